//! A path's tree made ready: names become numbers, constants values, and the type of what comes out is worked out as far
//! as it is known before any data is.

use std::collections::BTreeMap;

use super::PathFault;
use super::ast::{Ast, Literal, Node, Operator};
use crate::decimal::Decimal;
use crate::element::{Kind, is_choice, known_type};
use crate::names::{Name, Names};

/// A path that can be evaluated.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    Nothing,
    Fixed(Fixed),
    This,
    Root,
    RowIndex,
    /// Each value of `of` by itself through all steps.
    Walk {
        of: Box<Expr>,
        steps: Vec<Step>,
    },
    /// All values of `of` together.
    Whole {
        of: Box<Expr>,
        function: Whole,
    },
    /// `temporal`: texts are compared as dates and times.
    Binary {
        operator: Operator,
        left: Box<Expr>,
        right: Box<Expr>,
        temporal: bool,
    },
    Negative(Box<Expr>),
    If {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
}

/// A value of the view. Dates and times are texts.
#[derive(Debug, Clone)]
pub(crate) enum Fixed {
    Boolean(bool),
    Integer(i64),
    Decimal(Decimal),
    Text(Box<str>),
}

/// What is done with each value.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Child(Name),
    /// A primitive element with what stands beside it under `_name`.
    Extended {
        name: Name,
        beside: Name,
    },
    /// A choice element of any type.
    Choice(Name),
    /// A choice element of one type: under its typed name, or under its plain one if its value is of that type.
    Typed {
        typed: Name,
        plain: Name,
        test: Test,
    },
    OfType(Test),
    Where(Expr),
    Select(Expr),
    Extension {
        extension: Name,
        url: Name,
        is: Expr,
    },
    ResourceKey {
        id: Name,
    },
    /// The type of resource that the reference must name, if any.
    ReferenceKey {
        reference: Name,
        resource: Option<Box<str>>,
    },
    /// `of` is what is known of the value's type; `edge` is where a period says it.
    Boundary {
        high: bool,
        of: Kind,
        digits: Option<u32>,
        edge: Name,
    },
}

/// What is done with a whole collection.
#[derive(Debug, Clone)]
pub(crate) enum Whole {
    First,
    Last,
    Single,
    At(Box<Expr>),
    Exists,
    Empty,
    Count,
    Not,
    HasValue,
    All(Box<Expr>),
    Join(Option<Box<Expr>>),
    Is(Test),
}

/// A type that values are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) name: Box<str>,
    pub(crate) kind: Kind,
}

/// An expression and what is known of its values.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    pub(crate) expr: Expr,
    pub(crate) focus: Focus,
}

/// What is known of the values that a path begins at.
#[derive(Debug, Clone)]
pub(crate) struct Focus {
    pub(crate) kind: Kind,
    /// The element's name, or its type.
    pub(crate) name: String,
}

impl Focus {
    pub(crate) fn new(kind: Kind, name: &str) -> Self {
        Self { kind, name: name.to_owned() }
    }
}

/// What the paths of one view share.
#[derive(Debug)]
pub(crate) struct Compiler<'c> {
    pub(crate) names: &'c mut Names,
    pub(crate) constants: &'c BTreeMap<String, (Fixed, Kind)>,
    /// The view's resource type.
    pub(crate) resource: &'c str,
}

/// The functions that views may call.
const FUNCTIONS: &str = "where, select, exists, all, empty, not, hasValue, first, last, single, count, ofType, is, as, \
                         extension, join, iif, lowBoundary, highBoundary, getResourceKey and getReferenceKey";

fn typed(expr: Expr, kind: Kind, name: &str) -> Typed {
    Typed { expr, focus: Focus::new(kind, name) }
}

/// One step more.
fn step(of: Typed, step: Step, focus: Focus) -> Typed {
    let expr = match of.expr {
        Expr::Walk { of, mut steps } => {
            steps.push(step);
            Expr::Walk { of, steps }
        }
        expr => Expr::Walk { of: Box::new(expr), steps: vec![step] },
    };
    Typed { expr, focus }
}

fn whole(of: Typed, function: Whole, focus: Focus) -> Typed {
    Typed { expr: Expr::Whole { of: Box::new(of.expr), function }, focus }
}

impl Compiler<'_> {
    /// Makes a tree ready that is evaluated at values of this kind.
    ///
    /// # Errors
    /// An unknown function, constant or type, or arguments that a function does not take.
    pub(crate) fn compile(&mut self, ast: &Ast, focus: &Focus) -> Result<Typed, PathFault> {
        match &ast.node {
            Node::Nothing => Ok(typed(Expr::Nothing, Kind::Any, "")),
            Node::Literal(literal) => {
                let (fixed, kind) = fixed(literal).ok_or_else(|| PathFault::new(ast.at, "the number is too large"))?;
                Ok(typed(Expr::Fixed(fixed), kind, ""))
            }
            Node::This => Ok(Typed { expr: Expr::This, focus: focus.clone() }),
            Node::Constant(name) => self.constant(name, ast.at),
            Node::Member { of, name } => self.member(of.as_deref(), name, focus),
            Node::Call { of, name, arguments } => {
                let call = Call { at: ast.at, of: of.as_deref(), name, arguments };
                self.call(&call, focus)
            }
            Node::At { of, index } => {
                let of = self.compile(of, focus)?;
                let index = self.compile(index, focus)?;
                let kept = of.focus.clone();
                Ok(whole(of, Whole::At(Box::new(index.expr)), kept))
            }
            Node::Negative(of) => {
                let of = self.compile(of, focus)?;
                Ok(Typed { expr: Expr::Negative(Box::new(of.expr)), focus: of.focus })
            }
            Node::Binary { operator, left, right } => {
                let left = self.compile(left, focus)?;
                let right = self.compile(right, focus)?;
                Ok(binary(*operator, left, right))
            }
            Node::Typed { of, cast, name } => self.of_type(Some(of), name, *cast, ast.at, focus),
        }
    }

    fn constant(&self, name: &str, at: usize) -> Result<Typed, PathFault> {
        if let Some((fixed, kind)) = self.constants.get(name) {
            return Ok(typed(Expr::Fixed(fixed.clone()), *kind, ""));
        }
        let text = |text: &str| Ok(typed(Expr::Fixed(Fixed::Text(Box::from(text))), Kind::Text, ""));
        match name {
            "rowIndex" => Ok(typed(Expr::RowIndex, Kind::Integer, "")),
            "resource" | "rootResource" | "context" => Ok(typed(Expr::Root, Kind::Complex, self.resource)),
            "ucum" => text("http://unitsofmeasure.org"),
            "sct" => text("http://snomed.info/sct"),
            "loinc" => text("http://loinc.org"),
            _ => Err(PathFault::new(at, format!("the view has no constant {name}"))),
        }
    }

    fn base(&mut self, of: Option<&Ast>, focus: &Focus) -> Result<Typed, PathFault> {
        match of {
            Some(of) => self.compile(of, focus),
            None => Ok(Typed { expr: Expr::This, focus: focus.clone() }),
        }
    }

    fn member(&mut self, of: Option<&Ast>, name: &str, focus: &Focus) -> Result<Typed, PathFault> {
        if of.is_none() && name == self.resource && name == focus.name {
            return self.base(None, focus);
        }
        let mut of = self.base(of, focus)?;
        let kind = Kind::of_element(&of.focus.name, name);
        if matches!(name, "extension" | "id") {
            self.extend(&mut of.expr);
        }
        let next = if is_choice(name) {
            Step::Choice(self.names.intern_choice(name))
        } else {
            Step::Child(self.names.intern(name))
        };
        Ok(step(of, next, Focus::new(kind, name)))
    }

    /// Lets the last element of a path bring along what stands beside it, because its extensions are asked for.
    fn extend(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Walk { steps, .. } => {
                let last = steps.iter_mut().rev().find(|step| !matches!(step, Step::Where(_)));
                if let Some(last @ Step::Child(_)) = last
                    && let Step::Child(name) = *last
                {
                    let beside = self.names.intern_beside(name);
                    *last = Step::Extended { name, beside };
                }
            }
            Expr::Whole { of, function: Whole::First | Whole::Last | Whole::Single | Whole::At(_) } => self.extend(of),
            _ => {}
        }
    }

    /// `of.ofType(name)`, `of as name` and, without `cast`, `of is name`.
    fn of_type(
        &mut self,
        of: Option<&Ast>,
        name: &str,
        cast: bool,
        at: usize,
        focus: &Focus,
    ) -> Result<Typed, PathFault> {
        let bare = name.strip_prefix("FHIR.").or_else(|| name.strip_prefix("System.")).unwrap_or(name);
        let kind = Kind::of_type(name).ok_or_else(|| PathFault::new(at, format!("{name} is no type of FHIR")))?;
        let test = Test { name: Box::from(bare), kind };
        let result = Focus::new(kind, bare);
        let choice = match of.map(|of| &of.node) {
            Some(Node::Member { of, name }) if is_choice(name) => known_type(bare).map(|found| (of, name, found)),
            _ => None,
        };
        if !cast {
            let of = self.base(of, focus)?;
            return Ok(whole(of, Whole::Is(test), Focus::new(Kind::Boolean, "")));
        }
        if let Some((of, element, found)) = choice {
            let of = self.base(of.as_deref(), focus)?;
            let plain = self.names.intern(element);
            let typed = self.names.intern_typed(plain, element, found);
            return Ok(step(of, Step::Typed { typed, plain, test }, result));
        }
        let of = self.base(of, focus)?;
        Ok(step(of, Step::OfType(test), result))
    }

    fn call(&mut self, call: &Call<'_>, focus: &Focus) -> Result<Typed, PathFault> {
        let boolean = Focus::new(Kind::Boolean, "");
        match call.name {
            "ofType" | "as" | "is" => {
                let name = type_argument(call.one()?).ok_or_else(|| call.fault("takes the name of a type"))?;
                return self.of_type(call.of, &name, call.name != "is", call.at, focus);
            }
            "iif" => return self.choose(call, focus),
            _ => {}
        }
        let of = self.base(call.of, focus)?;
        let kept = of.focus.clone();
        match call.name {
            "where" => {
                let criteria = self.compile(call.one()?, &kept)?;
                Ok(step(of, Step::Where(criteria.expr), kept))
            }
            "select" => {
                let projection = self.compile(call.one()?, &kept)?;
                Ok(step(of, Step::Select(projection.expr), projection.focus))
            }
            "exists" if call.arguments.is_empty() => Ok(whole(of, Whole::Exists, boolean)),
            "exists" => {
                let criteria = self.compile(call.one()?, &kept)?;
                Ok(whole(step(of, Step::Where(criteria.expr), kept), Whole::Exists, boolean))
            }
            "all" => {
                let criteria = self.compile(call.one()?, &kept)?;
                Ok(whole(of, Whole::All(Box::new(criteria.expr)), boolean))
            }
            "empty" => call.none().map(|()| whole(of, Whole::Empty, boolean)),
            "not" => call.none().map(|()| whole(of, Whole::Not, boolean)),
            "hasValue" => call.none().map(|()| whole(of, Whole::HasValue, boolean)),
            "first" => call.none().map(|()| whole(of, Whole::First, kept)),
            "last" => call.none().map(|()| whole(of, Whole::Last, kept)),
            "single" => call.none().map(|()| whole(of, Whole::Single, kept)),
            "count" => call.none().map(|()| whole(of, Whole::Count, Focus::new(Kind::Integer, ""))),
            "join" => {
                let separator = match call.arguments {
                    [] => None,
                    _ => Some(Box::new(self.compile(call.one()?, focus)?.expr)),
                };
                Ok(whole(of, Whole::Join(separator), Focus::new(Kind::Text, "")))
            }
            _ => self.fhir_call(call, of, focus),
        }
    }

    /// The functions that FHIR and SQL on FHIR add.
    fn fhir_call(&mut self, call: &Call<'_>, mut of: Typed, focus: &Focus) -> Result<Typed, PathFault> {
        let key = Focus::new(Kind::Text, "");
        match call.name {
            "extension" => {
                let is = self.compile(call.one()?, focus)?.expr;
                self.extend(&mut of.expr);
                let extension =
                    Step::Extension { extension: self.names.intern("extension"), url: self.names.intern("url"), is };
                Ok(step(of, extension, Focus::new(Kind::Complex, "extension")))
            }
            "lowBoundary" | "highBoundary" => {
                let high = call.name == "highBoundary";
                let digits = match call.arguments {
                    [] => None,
                    [Ast { node: Node::Literal(Literal::Integer(digits)), .. }] => {
                        Some(u32::try_from(*digits).unwrap_or(u32::MAX))
                    }
                    _ => return Err(call.fault("takes the number of digits, or nothing")),
                };
                let kind = of.focus.kind;
                let edge = self.names.intern(if high { "end" } else { "start" });
                let result = if kind == Kind::Complex { Kind::DateTime } else { kind };
                let result = if kind == Kind::Integer { Kind::Decimal } else { result };
                Ok(step(of, Step::Boundary { high, of: kind, digits, edge }, Focus::new(result, "")))
            }
            "getResourceKey" => {
                call.none()?;
                let id = self.names.intern("id");
                Ok(step(of, Step::ResourceKey { id }, key))
            }
            "getReferenceKey" => {
                let resource = match call.arguments {
                    [] => None,
                    _ => Some(
                        type_argument(call.one()?).ok_or_else(|| call.fault("takes the name of a resource type"))?,
                    ),
                };
                let bare = resource.map(|name| Box::from(name.strip_prefix("FHIR.").unwrap_or(&name)));
                let reference = self.names.intern("reference");
                Ok(step(of, Step::ReferenceKey { reference, resource: bare }, key))
            }
            _ => Err(call.fault(&format!("is no function of views: there are {FUNCTIONS}"))),
        }
    }

    fn choose(&mut self, call: &Call<'_>, focus: &Focus) -> Result<Typed, PathFault> {
        let (condition, then, otherwise) = match call.arguments {
            [condition, then] if call.of.is_none() => (condition, then, None),
            [condition, then, otherwise] if call.of.is_none() => (condition, then, Some(otherwise)),
            _ => return Err(call.fault("takes a condition and one or two results, and stands by itself")),
        };
        let condition = Box::new(self.compile(condition, focus)?.expr);
        let then = self.compile(then, focus)?;
        let otherwise = otherwise.map(|otherwise| self.compile(otherwise, focus)).transpose()?;
        let differs = otherwise.as_ref().is_some_and(|otherwise| otherwise.focus.kind != then.focus.kind);
        let focus = if differs { Focus::new(Kind::Any, "") } else { then.focus };
        let otherwise = otherwise.map(|otherwise| Box::new(otherwise.expr));
        Ok(Typed { expr: Expr::If { condition, then: Box::new(then.expr), otherwise }, focus })
    }
}

/// A function call as written.
struct Call<'c> {
    at: usize,
    of: Option<&'c Ast>,
    name: &'c str,
    arguments: &'c [Ast],
}

impl<'c> Call<'c> {
    fn fault(&self, what: &str) -> PathFault {
        PathFault::new(self.at, format!("{} {what}", self.name))
    }

    fn none(&self) -> Result<(), PathFault> {
        if self.arguments.is_empty() { Ok(()) } else { Err(self.fault("takes no arguments")) }
    }

    fn one(&self) -> Result<&'c Ast, PathFault> {
        match self.arguments {
            [argument] => Ok(argument),
            _ => Err(self.fault("takes one argument")),
        }
    }
}

/// A type as an argument: `Patient`, `FHIR.Patient`, or in quotes.
fn type_argument(ast: &Ast) -> Option<String> {
    match &ast.node {
        Node::Literal(Literal::Text(name)) | Node::Member { of: None, name } => Some(name.clone()),
        Node::Member { of: Some(of), name } => Some(format!("{}.{name}", type_argument(of)?)),
        _ => None,
    }
}

fn fixed(literal: &Literal) -> Option<(Fixed, Kind)> {
    Some(match literal {
        Literal::Boolean(value) => (Fixed::Boolean(*value), Kind::Boolean),
        Literal::Integer(value) => (Fixed::Integer(*value), Kind::Integer),
        Literal::Decimal(text) => (Fixed::Decimal(Decimal::parse(text)?), Kind::Decimal),
        Literal::Text(text) => (Fixed::Text(Box::from(text.as_str())), Kind::Text),
        Literal::Date(text) => (Fixed::Text(Box::from(text.as_str())), Kind::Date),
        Literal::DateTime(text) => (Fixed::Text(Box::from(text.as_str())), Kind::DateTime),
        Literal::Time(text) => (Fixed::Text(Box::from(text.as_str())), Kind::Time),
    })
}

fn binary(operator: Operator, left: Typed, right: Typed) -> Typed {
    let (a, b) = (left.focus.kind, right.focus.kind);
    let numbers = [Kind::Integer, Kind::Decimal];
    let kind = match operator {
        Operator::Plus | Operator::Minus | Operator::Times | Operator::Mod if a == Kind::Integer && b == a => a,
        Operator::Plus | Operator::Minus | Operator::Times | Operator::Mod
            if numbers.contains(&a) && numbers.contains(&b) =>
        {
            Kind::Decimal
        }
        Operator::Plus if a == Kind::Text || b == Kind::Text => Kind::Text,
        Operator::Over => Kind::Decimal,
        Operator::Div => Kind::Integer,
        Operator::Join => Kind::Text,
        Operator::Union if a == b => a,
        Operator::Plus | Operator::Minus | Operator::Times | Operator::Mod | Operator::Union => Kind::Any,
        _ => Kind::Boolean,
    };
    let name = if operator == Operator::Union && left.focus.name == right.focus.name {
        left.focus.name
    } else {
        String::new()
    };
    let ordering =
        matches!(operator, Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual);
    // A date element beside a text literal is compared as text, as long as only equality is asked.
    let texts = !ordering && (a == Kind::Text || b == Kind::Text);
    let temporal = (a.is_temporal() || b.is_temporal()) && !texts;
    let expr = Expr::Binary { operator, left: Box::new(left.expr), right: Box::new(right.expr), temporal };
    Typed { expr, focus: Focus { kind, name } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::parse::parse;

    fn compiled(text: &str) -> Result<Typed, PathFault> {
        let mut names = Names::new();
        let constants = BTreeMap::from([("c".to_owned(), (Fixed::Integer(1), Kind::Integer))]);
        let mut compiler = Compiler { names: &mut names, constants: &constants, resource: "Patient" };
        compiler.compile(&parse(text)?, &Focus::new(Kind::Complex, "Patient"))
    }

    #[test]
    fn types_are_known_where_the_path_says_them() {
        let cases = [
            ("active", Kind::Boolean),
            ("Patient.birthDate", Kind::Date),
            ("name.family", Kind::Any),
            ("name.exists()", Kind::Boolean),
            ("name.given.join(',')", Kind::Text),
            ("value.ofType(Quantity).value", Kind::Decimal),
            ("value.ofType(Quantity).value.lowBoundary()", Kind::Decimal),
            ("birthDate.highBoundary()", Kind::Date),
            ("effective.ofType(Period).lowBoundary()", Kind::DateTime),
            ("(value as dateTime)", Kind::DateTime),
            ("value is string", Kind::Boolean),
            ("%rowIndex", Kind::Integer),
            ("%c + 1", Kind::Integer),
            ("%c / 1", Kind::Decimal),
            ("%c + 1.5", Kind::Decimal),
            ("'a' + name.family", Kind::Text),
            ("getResourceKey()", Kind::Text),
            ("name.select(period.start)", Kind::DateTime),
            ("iif(active, 1, 2)", Kind::Integer),
            ("iif(active, 1, 'a')", Kind::Any),
        ];
        for (text, kind) in cases {
            assert_eq!(compiled(text).unwrap().focus.kind, kind, "{text}");
        }
    }

    #[test]
    fn what_views_do_not_have_is_named_with_its_place() {
        let cases = [
            ("%d", 1),
            ("name.frobnicate()", 6),
            ("name.first(1)", 6),
            ("name.where()", 6),
            ("name.where(a, b)", 6),
            ("value.ofType(strin)", 7),
            ("value.ofType(1)", 7),
            ("value as quantity", 7),
            ("getReferenceKey(1)", 1),
            ("a.lowBoundary(b)", 3),
            ("iif(a)", 1),
            ("name.exists(a, b)", 6),
        ];
        for (text, at) in cases {
            assert_eq!(compiled(text).unwrap_err().at, at, "{text}");
        }
    }
}
