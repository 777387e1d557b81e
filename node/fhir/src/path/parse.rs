//! Tokens to a tree, by FHIRPath's grammar and precedence.

use super::PathFault;
use super::ast::{Ast, Literal, Node, Operator};
use super::lex::{Placed, Token, tokens};
use crate::limits::{PATH_DEPTH_MAX, PATH_TOKENS_MAX};
use crate::temporal::Temporal;

/// Binary operators by precedence, loosest first. Source: FHIRPath, operator precedence.
const LEVELS: [&[(&str, Operator)]; 9] = [
    &[("implies", Operator::Implies)],
    &[("or", Operator::Or), ("xor", Operator::Xor)],
    &[("and", Operator::And)],
    &[("in", Operator::In), ("contains", Operator::Contains)],
    &[("=", Operator::Equal), ("!=", Operator::NotEqual), ("~", Operator::Equivalent), ("!~", Operator::NotEquivalent)],
    &[("<", Operator::Less), ("<=", Operator::LessOrEqual), (">", Operator::Greater), (">=", Operator::GreaterOrEqual)],
    &[("|", Operator::Union)],
    &[("+", Operator::Plus), ("-", Operator::Minus), ("&", Operator::Join)],
    &[("*", Operator::Times), ("/", Operator::Over), ("div", Operator::Div), ("mod", Operator::Mod)],
];

/// The level that `is` and `as` stand above.
const SUMS: usize = 7;

/// The tree of a path.
///
/// # Errors
/// Where the text is no expression, and why.
pub(crate) fn parse(text: &str) -> Result<Ast, PathFault> {
    let tokens = tokens(text)?;
    if let Some((_, at)) = tokens.get(PATH_TOKENS_MAX) {
        return Err(PathFault::new(*at, format!("a path has at most {PATH_TOKENS_MAX} names, signs and literals")));
    }
    let mut parser = Parser { tokens, next: 0, depth: 0 };
    let ast = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(ast),
        _ => Err(parser.fault("the expression ends before this: an operator is missing")),
    }
}

struct Parser {
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn at(&self) -> usize {
        self.tokens[self.next].1
    }

    /// The last token is never passed.
    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn fault(&self, what: impl Into<String>) -> PathFault {
        PathFault::new(self.at(), what)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(found) if *found == sign);
        if found {
            self.take();
        }
        found
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), PathFault> {
        if self.takes(sign) { Ok(()) } else { Err(self.fault(format!("{sign} is missing here"))) }
    }

    fn expression(&mut self) -> Result<Ast, PathFault> {
        self.depth += 1;
        if self.depth > PATH_DEPTH_MAX {
            return Err(self.fault(format!("expressions stand in one another at most {PATH_DEPTH_MAX} deep")));
        }
        let ast = self.level(0);
        self.depth -= 1;
        ast
    }

    fn level(&mut self, level: usize) -> Result<Ast, PathFault> {
        let Some(operators) = LEVELS.get(level) else { return self.signed() };
        let mut left = self.level(level + 1)?;
        if level + 1 == SUMS {
            left = self.typed(left)?;
        }
        while let Some(operator) = self.operator(operators) {
            let at = self.at();
            self.take();
            let mut right = self.level(level + 1)?;
            if level + 1 == SUMS {
                right = self.typed(right)?;
            }
            left = Ast { at, node: Node::Binary { operator, left: Box::new(left), right: Box::new(right) } };
        }
        Ok(left)
    }

    fn operator(&self, operators: &[(&str, Operator)]) -> Option<Operator> {
        let text = match self.peek() {
            Token::Sign(sign) => sign,
            Token::Name(name) => name.as_str(),
            _ => return None,
        };
        operators.iter().find(|(sign, _)| *sign == text).map(|(_, operator)| *operator)
    }

    /// `is` and `as` with a type.
    fn typed(&mut self, of: Ast) -> Result<Ast, PathFault> {
        let cast = match self.peek() {
            Token::Name(name) if name == "as" => true,
            Token::Name(name) if name == "is" => false,
            _ => return Ok(of),
        };
        let at = self.at();
        self.take();
        let name = self.type_name()?;
        Ok(Ast { at, node: Node::Typed { of: Box::new(of), cast, name } })
    }

    fn type_name(&mut self) -> Result<String, PathFault> {
        let Token::Name(mut name) = self.peek().clone() else { return Err(self.fault("a type is missing here")) };
        self.take();
        while self.takes(".") {
            let Token::Name(part) = self.take() else { return Err(self.fault("a type is missing here")) };
            name = format!("{name}.{part}");
        }
        Ok(name)
    }

    fn signed(&mut self) -> Result<Ast, PathFault> {
        let at = self.at();
        if self.takes("-") {
            let of = self.invocations()?;
            return Ok(Ast { at, node: Node::Negative(Box::new(of)) });
        }
        self.takes("+");
        self.invocations()
    }

    /// A term, and what follows it after points and in brackets.
    fn invocations(&mut self) -> Result<Ast, PathFault> {
        let mut ast = self.term()?;
        loop {
            let at = self.at();
            if self.takes(".") {
                ast = self.invocation(Some(ast))?;
            } else if self.takes("[") {
                let index = Box::new(self.expression()?);
                self.expect("]")?;
                ast = Ast { at, node: Node::At { of: Box::new(ast), index } };
            } else {
                return Ok(ast);
            }
        }
    }

    fn term(&mut self) -> Result<Ast, PathFault> {
        let at = self.at();
        let literal = |literal| Ast { at, node: Node::Literal(literal) };
        match self.peek().clone() {
            Token::Sign("(") => {
                self.take();
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("{") => {
                self.take();
                self.expect("}")?;
                Ok(Ast { at, node: Node::Nothing })
            }
            Token::Text(text) => {
                self.take();
                Ok(literal(Literal::Text(text)))
            }
            Token::Number(digits) => {
                let number = number(&digits).ok_or_else(|| self.fault("the number is too large"))?;
                self.take();
                if matches!(self.peek(), Token::Text(_)) {
                    return Err(
                        self.fault("quantities with units are not supported: compare value and unit by themselves")
                    );
                }
                Ok(literal(number))
            }
            Token::Date(text) => {
                let date = date(&text).ok_or_else(|| self.fault("this is no date or time, such as @2020-01-31"))?;
                self.take();
                Ok(literal(date))
            }
            Token::Constant(name) => {
                self.take();
                Ok(Ast { at, node: Node::Constant(name) })
            }
            Token::Name(name) if (name == "true" || name == "false") && !self.is_called() => {
                self.take();
                Ok(literal(Literal::Boolean(name == "true")))
            }
            Token::Name(_) | Token::Special(_) => self.invocation(None),
            Token::End => Err(self.fault("the expression ends too early")),
            Token::Sign(sign) => Err(self.fault(format!("{sign} cannot stand here"))),
        }
    }

    fn is_called(&self) -> bool {
        matches!(self.tokens.get(self.next + 1), Some((Token::Sign("("), _)))
    }

    fn invocation(&mut self, of: Option<Ast>) -> Result<Ast, PathFault> {
        let at = self.at();
        let of = of.map(Box::new);
        match self.peek().clone() {
            Token::Special(name) if of.is_none() => {
                if name != "this" {
                    return Err(self.fault("only $this is supported"));
                }
                self.take();
                Ok(Ast { at, node: Node::This })
            }
            Token::Name(name) => {
                self.take();
                if !self.takes("(") {
                    return Ok(Ast { at, node: Node::Member { of, name } });
                }
                let mut arguments = Vec::new();
                while !self.takes(")") {
                    if !arguments.is_empty() {
                        self.expect(",")?;
                    }
                    arguments.push(self.expression()?);
                }
                Ok(Ast { at, node: Node::Call { of, name, arguments } })
            }
            _ => Err(self.fault("a name is missing here")),
        }
    }
}

fn number(digits: &str) -> Option<Literal> {
    if digits.contains('.') {
        crate::decimal::Decimal::parse(digits).map(|_| Literal::Decimal(digits.to_owned()))
    } else {
        digits.parse().ok().map(Literal::Integer)
    }
}

fn date(text: &str) -> Option<Literal> {
    Temporal::parse(text)?;
    Some(match text.find('T') {
        Some(0) => Literal::Time(text[1..].to_owned()),
        Some(_) => Literal::DateTime(text.trim_end_matches('T').to_owned()),
        None => Literal::Date(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree with all its brackets.
    fn shown(ast: &Ast) -> String {
        match &ast.node {
            Node::Nothing => "{}".to_owned(),
            Node::Literal(Literal::Text(text)) => format!("'{text}'"),
            Node::Literal(Literal::Integer(number)) => number.to_string(),
            Node::Literal(literal) => format!("{literal:?}"),
            Node::This => "$this".to_owned(),
            Node::Constant(name) => format!("%{name}"),
            Node::Member { of: None, name } => name.clone(),
            Node::Member { of: Some(of), name } => format!("{}.{name}", shown(of)),
            Node::Call { of, name, arguments } => {
                let arguments: Vec<String> = arguments.iter().map(shown).collect();
                let of = of.as_ref().map_or(String::new(), |of| format!("{}.", shown(of)));
                format!("{of}{name}({})", arguments.join(","))
            }
            Node::At { of, index } => format!("{}[{}]", shown(of), shown(index)),
            Node::Negative(of) => format!("(-{})", shown(of)),
            Node::Binary { operator, left, right } => format!("({} {operator:?} {})", shown(left), shown(right)),
            Node::Typed { of, cast, name } => format!("({} {} {name})", shown(of), if *cast { "as" } else { "is" }),
        }
    }

    #[test]
    fn operators_bind_as_the_specification_says() {
        let cases = [
            ("a or b and c", "(a Or (b And c))"),
            ("a = 1 + 2 * 3", "(a Equal (1 Plus (2 Times 3)))"),
            ("a - b - c", "((a Minus b) Minus c)"),
            ("a.b.where(c = 'x').first()[0].d", "a.b.where((c Equal 'x')).first()[0].d"),
            ("a < b = c < d", "((a Less b) Equal (c Less d))"),
            ("a implies b or c", "(a Implies (b Or c))"),
            ("-a.b + 1", "((-a.b) Plus 1)"),
            ("(a | b).c", "(a Union b).c"),
            ("value as Quantity > 3", "((value as Quantity) Greater 3)"),
            ("a is System.String and b", "((a is System.String) And b)"),
            ("a in b | c", "(a In (b Union c))"),
            ("%c.x", "%c.x"),
            ("$this", "$this"),
            ("not().a", "not().a"),
            ("true.not()", "Boolean(true).not()"),
            ("{}", "{}"),
            ("contains.as", "contains.as"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(&parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_named_with_its_place() {
        let cases = [
            ("", 1),
            ("a.", 3),
            ("a b", 3),
            ("(a", 3),
            ("a[1", 4),
            ("a.where(b", 10),
            ("1 +", 4),
            ("a.first)", 8),
            (")", 1),
            ("4 'mg'", 3),
            ("@2020-13", 1),
            ("$total", 1),
            ("99999999999999999999", 1),
            ("a.$this", 3),
        ];
        for (text, at) in cases {
            assert_eq!(parse(text).unwrap_err().at, at, "{text}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
        assert!(parse(&nested(PATH_DEPTH_MAX - 1)).is_ok());
        assert!(parse(&nested(PATH_DEPTH_MAX)).is_err());
        assert!(parse(&format!("a{}", ".a".repeat(PATH_TOKENS_MAX / 2 - 1))).is_ok());
        assert!(parse(&format!("a{}", "+a".repeat(PATH_TOKENS_MAX / 2))).is_err());
    }
}
