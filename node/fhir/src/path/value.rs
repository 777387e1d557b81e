//! What a path gives: values of a record, and values that were made on the way.

use std::borrow::Cow;

use crate::decimal::Decimal;
use crate::fault::Reason;
use crate::json::{Form, Tape, unescape};
use crate::names::{Name, Names};

/// One record, read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) text: &'a str,
    pub(crate) tape: &'a Tape,
    pub(crate) names: &'a Names,
    /// The resource: the record itself, or what a bundle's entry holds.
    pub(crate) root: u32,
}

/// One value in a collection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item<'a> {
    /// A value of the record.
    Node(u32),
    /// A primitive value of the record, which may be missing, with what stands beside it under `_name`.
    Extended {
        value: Option<u32>,
        more: u32,
    },
    Boolean(bool),
    Integer(i64),
    Decimal(Decimal),
    Text(Cow<'a, str>),
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.compare(*other).is_some_and(std::cmp::Ordering::is_eq)
    }
}

/// A value that operators can look at.
#[derive(Debug, Clone)]
pub(crate) enum Scalar<'a> {
    /// A primitive value without a value, or JSON's `null`.
    Missing,
    Boolean(bool),
    Integer(i64),
    /// A number of the record, as written: neither an integer of 64 bits, nor looked into yet.
    Number(&'a str),
    Decimal(Decimal),
    Text(Cow<'a, str>),
    /// An object or array, as written.
    Complex(&'a str),
}

impl<'a> Record<'a> {
    /// The bytes of a value, without the quotes of a string.
    pub(crate) fn raw(&self, node: u32) -> &'a str {
        let (start, end) = self.tape.span(node);
        self.text.get(start..end).unwrap_or_default()
    }

    /// The text of a string in the record.
    pub(crate) fn string(&self, node: u32) -> Option<Cow<'a, str>> {
        match self.tape.form(node) {
            Form::Plain => Some(Cow::Borrowed(self.raw(node))),
            Form::Escaped => Some(unescape(self.raw(node))),
            _ => None,
        }
    }

    /// The text of an object's string property, if it has no escapes.
    pub(crate) fn property(&self, object: u32, name: Name) -> Option<&'a str> {
        let child = self.tape.child(object, name)?;
        (self.tape.form(child) == Form::Plain).then(|| self.raw(child))
    }

    /// The value itself.
    pub(crate) fn scalar(&self, item: &Item<'a>) -> Scalar<'a> {
        match item {
            Item::Node(node) | Item::Extended { value: Some(node), .. } => self.node_scalar(*node),
            Item::Extended { value: None, .. } => Scalar::Missing,
            Item::Boolean(value) => Scalar::Boolean(*value),
            Item::Integer(value) => Scalar::Integer(*value),
            Item::Decimal(value) => Scalar::Decimal(*value),
            Item::Text(text) => Scalar::Text(text.clone()),
        }
    }

    fn node_scalar(&self, node: u32) -> Scalar<'a> {
        match self.tape.form(node) {
            Form::Null => Scalar::Missing,
            Form::False => Scalar::Boolean(false),
            Form::True => Scalar::Boolean(true),
            Form::Number => {
                let raw = self.raw(node);
                raw.parse().map_or(Scalar::Number(raw), Scalar::Integer)
            }
            Form::Plain => Scalar::Text(Cow::Borrowed(self.raw(node))),
            Form::Escaped => Scalar::Text(unescape(self.raw(node))),
            Form::Array | Form::Object => Scalar::Complex(self.raw(node)),
        }
    }

    /// The node of a value of the record.
    pub(crate) fn node(item: &Item<'a>) -> Option<u32> {
        match item {
            Item::Node(node) => Some(*node),
            Item::Extended { value, .. } => *value,
            _ => None,
        }
    }
}

impl Scalar<'_> {
    /// The number, exactly.
    ///
    /// # Errors
    /// `Operand` if it is none, `NumberRange` if it has too many digits.
    pub(crate) fn decimal(&self) -> Result<Decimal, Reason> {
        match self {
            Self::Integer(value) => Ok(Decimal::new(i128::from(*value), 0)),
            Self::Number(raw) => Decimal::parse(raw).ok_or(Reason::NumberRange),
            Self::Decimal(value) => Ok(*value),
            _ => Err(Reason::Operand),
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Number(_) | Self::Decimal(_))
    }
}

/// The one value of a collection, if there is one.
///
/// # Errors
/// `ManyValues` if there are several.
pub(crate) fn single<'i, 'a>(items: &'i [Item<'a>]) -> Result<Option<&'i Item<'a>>, Reason> {
    match items {
        [] => Ok(None),
        [item] => Ok(Some(item)),
        _ => Err(Reason::ManyValues),
    }
}
