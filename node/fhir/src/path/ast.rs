//! The tree of a path, as written.

/// An expression and the byte of the path that it is told of by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ast {
    pub(crate) at: usize,
    pub(crate) node: Node,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// `{}`
    Nothing,
    Literal(Literal),
    /// `$this`
    This,
    /// `%name`
    Constant(String),
    /// `name`, or `of.name`
    Member {
        of: Option<Box<Ast>>,
        name: String,
    },
    /// `name(arguments)`, or `of.name(arguments)`
    Call {
        of: Option<Box<Ast>>,
        name: String,
        arguments: Vec<Ast>,
    },
    /// `of[index]`
    At {
        of: Box<Ast>,
        index: Box<Ast>,
    },
    /// `-of`
    Negative(Box<Ast>),
    Binary {
        operator: Operator,
        left: Box<Ast>,
        right: Box<Ast>,
    },
    /// `of is type`, or `of as type`
    Typed {
        of: Box<Ast>,
        cast: bool,
        name: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Boolean(bool),
    Integer(i64),
    /// As written.
    Decimal(String),
    Text(String),
    Date(String),
    DateTime(String),
    Time(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Xor,
    Implies,
    Plus,
    Minus,
    Times,
    Over,
    Div,
    Mod,
    /// `&`
    Join,
    /// `|`
    Union,
    In,
    Contains,
}
