//! Names of shares, schemas and tables, as they stand in addresses.

use std::fmt;
use std::str::FromStr;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// One name: 1 to 128 of `a-z 0-9 - _`, beginning with a letter or digit. Names that come from outside are folded to
/// lower case first, because the protocol takes no account of case; a dot would divide `share.schema.table` elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// A text that is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAName;

impl fmt::Display for NotAName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a name has 1 to {NAME_BYTES_MAX} of a-z, 0-9, - and _, and begins with a letter or digit")
    }
}

impl std::error::Error for NotAName {}

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if begins && text.len() <= NAME_BYTES_MAX && text.bytes().all(plain) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(NotAName)
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which table: its share, its schema, its own name. Ordered by these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The share.
    pub share: Name,
    /// The schema within the share.
    pub schema: Name,
    /// The table within the schema.
    pub table: Name,
}

impl FromStr for TableName {
    type Err = NotAName;

    /// Reads `share.schema.table`.
    fn from_str(text: &str) -> Result<Self, NotAName> {
        let mut parts = text.split('.');
        let (Some(share), Some(schema), Some(table), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAName);
        };
        Ok(Self { share: share.parse()?, schema: schema.parse()?, table: table.parse()? })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.share, self.schema, self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_plain_and_of_one_case() {
        let longest = "a".repeat(NAME_BYTES_MAX);
        for good in ["a", "0", "los-2026_v1", &longest] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        assert_eq!("LengthOfStay".parse::<Name>().unwrap().as_str(), "lengthofstay");
        for bad in ["", "-a", "_a", "a.b", "a/b", "..", "a b", "ä", "a\0", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert_eq!(bad.parse::<Name>(), Err(NotAName), "{bad:?}");
        }
    }

    #[test]
    fn a_table_is_named_by_three_names() {
        assert_eq!("A.b.c".parse::<TableName>().unwrap().to_string(), "a.b.c");
        for bad in ["a.b", "a.b.c.d", "a..c", ""] {
            assert_eq!(bad.parse::<TableName>(), Err(NotAName), "{bad:?}");
        }
    }
}
