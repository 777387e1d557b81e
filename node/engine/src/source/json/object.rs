//! One JSON object as the fields of one row: names once each, values as they are written.
//!
//! `serde_json` checks the grammar; its error texts, which can carry values, are dropped here.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::limits::Limits;
use crate::row_fault::RowFault;

/// A field's value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    /// As it is written.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// An object or list as canonical JSON: no blanks, names in the order of their characters, texts with no more
    /// escapes than JSON asks for, numbers as they are written.
    Nested(String),
}

/// Fields in the order in which they are written. A name may be in it twice.
pub(crate) struct Fields<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Each)
    }
}

impl<'a> Fields<'a> {
    /// The fields of an object, with blanks around it or not.
    pub(crate) fn of(bytes: &'a [u8], limits: &Limits) -> Result<Self, RowFault> {
        let text = std::str::from_utf8(bytes).map_err(|_| RowFault::Encoding)?;
        // Before anything that works by recursion or allocates.
        measure(bytes, limits)?;
        if text.trim_ascii_start().starts_with('{') {
            return serde_json::from_str(text).map_err(|_| RowFault::NotJson);
        }
        match serde_json::from_str::<IgnoredAny>(text) {
            Ok(IgnoredAny) => Err(RowFault::NotAnObject),
            Err(_) => Err(RowFault::NotJson),
        }
    }
}

/// A value, read to its end.
pub(crate) fn value<'a>(raw: &'a RawValue, limits: &Limits) -> Result<Value<'a>, RowFault> {
    let written = raw.get();
    if written.len() > limits.cell_bytes_max {
        return Err(RowFault::CellTooLong);
    }
    Ok(match written.as_bytes().first() {
        Some(b'n') => Value::Null,
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'"') => Value::Text(text(written)?),
        Some(b'{' | b'[') => {
            let mut canonical = String::with_capacity(written.len());
            write_canonical(raw, &mut canonical)?;
            Value::Nested(canonical)
        }
        Some(_) | None => Value::Number(written),
    })
}

/// A text without its quotes and escapes. One half of a surrogate pair is no text.
fn text(written: &str) -> Result<Cow<'_, str>, RowFault> {
    let inner = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(RowFault::NotJson)?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(written).map(Cow::Owned).map_err(|_| RowFault::NotJson)
    } else {
        Ok(Cow::Borrowed(inner))
    }
}

/// A text as JSON, with no more escapes than needed.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Recursion is as deep as the value, which was bounded before.
fn write_canonical(raw: &RawValue, out: &mut String) -> Result<(), RowFault> {
    let written = raw.get();
    match written.as_bytes().first() {
        Some(b'{') => {
            let Fields(mut fields) = serde_json::from_str(written).map_err(|_| RowFault::NotJson)?;
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            if fields.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return Err(RowFault::FieldTwice);
            }
            out.push('{');
            for (at, (name, value)) in fields.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(&quoted(name));
                out.push(':');
                write_canonical(value, out)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(written).map_err(|_| RowFault::NotJson)?;
            out.push('[');
            for (at, item) in items.into_iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write_canonical(item, out)?;
            }
            out.push(']');
        }
        Some(b'"') => out.push_str(&quoted(&text(written)?)),
        Some(_) | None => out.push_str(written),
    }
    Ok(())
}

/// How deep objects and lists stand within each other, and how many values stand beside each other outermost.
fn measure(bytes: &[u8], limits: &Limits) -> Result<(), RowFault> {
    let (mut depth, mut fields, mut in_string, mut escaped) = (0_usize, 1_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => fields += 1,
            _ => {}
        }
        if depth > limits.json_depth_max {
            return Err(RowFault::TooDeep);
        }
    }
    if fields > limits.columns_max { Err(RowFault::TooManyFields) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &[u8]) -> Option<RowFault> {
        let limits = Limits { json_depth_max: 4, cell_bytes_max: 20, columns_max: 3, ..Limits::default() };
        let fields = match Fields::of(text, &limits) {
            Ok(Fields(fields)) => fields,
            Err(fault) => return Some(fault),
        };
        fields.into_iter().find_map(|(_, raw)| value(raw, &limits).err())
    }

    #[test]
    fn what_is_no_object_has_its_reason() {
        let table: [(&[u8], Option<RowFault>); 27] = [
            (b"{\"a\":1,\"b\":[1,2,3,4,5],\"c\":1}", None),
            (b"{\"a\":1,\"b\":2,\"c\":1,\"d\":1}", Some(RowFault::TooManyFields)),
            (b"{\"a\":\"345678901234567890\"}", None),
            (b"{\"a\":\"3456789012345678901\"}", Some(RowFault::CellTooLong)),
            (b"{}", None),
            (b" {\"a\": 1} \r", None),
            (b"{\"a\":{\"b\":[{}]}}", None),
            (b"{\"a\":{\"b\":[{\"c\":[]}]}}", Some(RowFault::TooDeep)),
            (b"{\"a\":\"[[[[[[{{{{\\\"[[[\"}", None),
            (b"[1]", Some(RowFault::NotAnObject)),
            (b"1", Some(RowFault::NotAnObject)),
            (b"\"{}\"", Some(RowFault::NotAnObject)),
            (b"", Some(RowFault::NotJson)),
            (b"a", Some(RowFault::NotJson)),
            (b"{\"a\":1", Some(RowFault::NotJson)),
            (b"{\"a\":1}}", Some(RowFault::NotJson)),
            (b"{\"a\":1}{\"b\":2}", Some(RowFault::NotJson)),
            (b"{\"a\":01}", Some(RowFault::NotJson)),
            (b"{\"a\":NaN}", Some(RowFault::NotJson)),
            (b"{\"a\":1,}", Some(RowFault::NotJson)),
            (b"{a:1}", Some(RowFault::NotJson)),
            (b"{\"a\":\"\\ud800\"}", Some(RowFault::NotJson)),
            (b"{\"a\":[\"\\ud800\"]}", Some(RowFault::NotJson)),
            (b"{\"a\":\"\x01\"}", Some(RowFault::NotJson)),
            (b"{\"a\":\"\xFF\"}", Some(RowFault::Encoding)),
            (b"{\"a\":{\"b\":1,\"b\":1}}", Some(RowFault::FieldTwice)),
            (b"{\"a\":[{\"b\":1,\"\\u0062\":1}]}", Some(RowFault::FieldTwice)),
        ];
        for (text, expected) in table {
            assert_eq!(fault(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn values_are_as_they_are_written_and_nested_ones_canonical() {
        let row = br#"{"n":-1.50E+3,"t":"a\u00e9\n","e":"","b":true,"x":null,"o":{"b":[1.0, "\u0041\/"],"a":{ }}}"#;
        let Ok(Fields(fields)) = Fields::of(row, &Limits::default()) else { unreachable!("it is an object") };
        let shown: Vec<String> = fields
            .into_iter()
            .map(|(name, raw)| match value(raw, &Limits::default()) {
                Ok(Value::Null) => format!("{name} null"),
                Ok(Value::Boolean(truth)) => format!("{name} {truth}"),
                Ok(Value::Number(written)) => format!("{name} {written}"),
                Ok(Value::Text(text)) => format!("{name} {text:?}"),
                Ok(Value::Nested(json)) => format!("{name} {json}"),
                Err(fault) => format!("{name} {fault}"),
            })
            .collect();
        let expected = ["n -1.50E+3", "t \"a\u{e9}\\n\"", "e \"\"", "b true", "x null", r#"o {"a":{},"b":[1.0,"A/"]}"#];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_thousand_brackets_are_too_deep_and_no_danger() {
        let deep = format!("{{\"a\":{}", "[".repeat(1 << 20));
        assert_eq!(Fields::of(deep.as_bytes(), &Limits::default()).err(), Some(RowFault::TooDeep));
    }
}
