//! A short JSON document that is looked at by name: a view, a case of the suite, an object that is compared.

use std::borrow::Cow;

use crate::decimal::Decimal;
use crate::fault::Reason;
use crate::json::{Bad, Bounds, Form, Tape, unescape};

/// What documents of people may cost: they are as long as their callers let them be.
const BOUNDS: Bounds = Bounds { depth: 64, values: 4_000_000 };

/// The longest objects that are compared with one another, in bytes.
const COMPARED_BYTES_MAX: usize = 64 << 10;

/// A document in memory.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    text: &'a str,
    tape: Tape,
}

/// A value in a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'d> {
    document: &'d Document<'d>,
    node: u32,
}

impl<'a> Document<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, Bad> {
        let mut tape = Tape::default();
        tape.read(text, None, BOUNDS)?;
        Ok(Self { text, tape })
    }

    pub(crate) fn root(&self) -> Value<'_> {
        Value { document: self, node: 0 }
    }
}

impl<'d> Value<'d> {
    pub(crate) fn form(&self) -> Form {
        self.document.tape.form(self.node)
    }

    /// The value as written, with the quotes of a string.
    pub(crate) fn text(&self) -> &'d str {
        let quote = usize::from(matches!(self.form(), Form::Plain | Form::Escaped));
        let (start, end) = self.document.tape.span(self.node);
        self.document.text.get(start - quote..end + quote).unwrap_or_default()
    }

    /// The property of this name; JSON's `null` is none.
    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        self.properties().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The properties of an object, in their order, without those that are `null`.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&'d str, Self)> {
        let object = self.form() == Form::Object;
        let document = self.document;
        let values = self.children().filter(move |value| object && value.form() != Form::Null);
        values.map(move |value| {
            let (start, end) = document.tape.key(value.node);
            (document.text.get(start..end).unwrap_or_default(), value)
        })
    }

    /// The elements of an array; nothing else has any.
    pub(crate) fn items(&self) -> impl Iterator<Item = Self> {
        let array = self.form() == Form::Array;
        self.children().filter(move |_| array)
    }

    fn children(&self) -> impl Iterator<Item = Self> + use<'d> {
        let document = self.document;
        document.tape.children(self.node).map(move |node| Value { document, node })
    }

    /// The characters of a string.
    pub(crate) fn string(&self) -> Option<Cow<'d, str>> {
        let (start, end) = self.document.tape.span(self.node);
        let raw = self.document.text.get(start..end)?;
        match self.form() {
            Form::Plain => Some(Cow::Borrowed(raw)),
            Form::Escaped => Some(unescape(raw)),
            _ => None,
        }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.form() {
            Form::True => Some(true),
            Form::False => Some(false),
            _ => None,
        }
    }

    /// One line for everything in the value: where it is, what it is, and its content.
    fn flatten(&self, path: &str, lines: &mut Vec<String>) {
        let content = match self.form() {
            Form::Object | Form::Array => String::new(),
            Form::Number => Decimal::parse(self.text()).map_or(self.text().to_owned(), |n| n.shortened().to_string()),
            _ => self.string().map_or(self.text().to_owned(), Cow::into_owned),
        };
        let form = if self.form() == Form::Escaped { Form::Plain } else { self.form() };
        lines.push(format!("{path} {form:?} {content:?}"));
        for (name, value) in self.properties() {
            value.flatten(&format!("{path}.{name}"), lines);
        }
        for (at, value) in self.items().enumerate() {
            value.flatten(&format!("{path}[{at}]"), lines);
        }
    }
}

/// Whether two objects or arrays say the same: the order of properties does not matter, nor how numbers are written.
///
/// # Errors
/// `Operand` for values that are too long to be compared.
pub(crate) fn same_json(left: &str, right: &str) -> Result<bool, Reason> {
    if left.len().max(right.len()) > COMPARED_BYTES_MAX {
        return Err(Reason::Operand);
    }
    let lines = |text: &str| -> Result<Vec<String>, Reason> {
        let document = Document::read(text).map_err(|bad| bad.reason)?;
        let mut lines = Vec::new();
        document.root().flatten("", &mut lines);
        lines.sort_unstable();
        Ok(lines)
    };
    Ok(lines(left)? == lines(right)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_found_by_name() {
        let text = "{\"a\": [1, \"x\\ny\"], \"b\": null, \"c\": {\"a\": true}}";
        let document = Document::read(text).unwrap();
        let root = document.root();
        let items: Vec<&str> = root.get("a").unwrap().items().map(|item| item.text()).collect();
        assert_eq!(items, ["1", "\"x\\ny\""]);
        assert_eq!(root.get("a").unwrap().items().nth(1).unwrap().string().as_deref(), Some("x\ny"));
        assert!(root.get("b").is_none() && root.get("d").is_none());
        assert_eq!(root.get("c").and_then(|c| c.get("a")).and_then(|a| a.boolean()), Some(true));
        assert_eq!(root.properties().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!((root.items().count(), root.get("a").unwrap().properties().count()), (0, 0));
    }

    #[test]
    fn objects_are_equal_whatever_their_order() {
        let same = |left, right| same_json(left, right);
        let (a, b) = ("{\"a\":1,\"b\":[1,{\"c\":\"x\"}]}", "{\"b\":[1.0, {\"c\":\"\\u0078\"}], \"a\":1}");
        assert_eq!(same(a, b), Ok(true));
        assert_eq!(same("[1,2]", "[2,1]"), Ok(false));
        assert_eq!(same("{\"a\":{}}", "{\"a\":[]}"), Ok(false));
        assert_eq!(same("{\"a\":\"1\"}", "{\"a\":1}"), Ok(false));
        assert_eq!(same(&"1".repeat(COMPARED_BYTES_MAX + 1), "1"), Err(Reason::Operand));
    }
}
