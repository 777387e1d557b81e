//! Identifiers and names. Ids are random or digests; names are for people and restricted so that no two look alike.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::is_nfc;

use crate::hex::byte_string;
use crate::limits::{MISSING_MARK_CHARS_MAX, NAME_CHARS_MAX, PATH_BYTES_MAX, TEXT_CHARS_MAX};

byte_string! {
    /// A consortium: the document digest of its charter's version 1. In every signed payload, HELLO and log origin.
    ConsortiumId, 32
}
byte_string! {
    /// A share: random, chosen by its provider.
    ShareId, 16
}
byte_string! {
    /// A dataset of one node: random, chosen by that node.
    DatasetId, 16
}
byte_string! {
    /// A subscription: one consumer's standing invitation to one share. Random, chosen by the provider.
    SubscriptionId, 16
}
byte_string! {
    /// A snapshot: the document digest of its manifest.
    SnapshotId, 32
}
byte_string! {
    /// A release, from its request on: random, chosen by who asks for it.
    ReleaseId, 16
}
byte_string! {
    /// A random value that makes one order or request unlike any other.
    Nonce, 16
}

/// Why a text is not an acceptable name, title or path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// Nothing in it.
    Empty,
    /// More than the bound, in characters (names, texts) or bytes (paths).
    TooLong {
        /// The bound.
        max: usize,
    },
    /// A name does not begin with a letter or digit.
    Start,
    /// A character that is not allowed, at this byte.
    Character {
        /// Offset of the character in bytes.
        at: usize,
    },
    /// A path that is absolute, has an empty component, `.` or `..`.
    Escapes,
    /// A text that is not in Unicode normalisation form C, so that it could look like another.
    NotNormal,
    /// A literal that does not have its form.
    Form {
        /// The form, in words.
        of: &'static str,
    },
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "is empty"),
            Self::TooLong { max } => write!(f, "is longer than {max}"),
            Self::Start => write!(f, "does not begin with a lower-case letter or digit"),
            Self::Character { at } => write!(f, "has a character that is not allowed at byte {at}"),
            Self::Escapes => write!(f, "is absolute or has an empty, '.' or '..' component"),
            Self::NotNormal => write!(f, "is not in Unicode normalisation form C"),
            Self::Form { of } => write!(f, "is not {of}"),
        }
    }
}

impl std::error::Error for NameFault {}

/// Makes a text newtype whose one door is the checking function.
macro_rules! checked_text {
    ($(#[$meta:meta])* $name:ident, $check:path) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameFault;

            fn try_from(text: String) -> Result<Self, NameFault> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = NameFault;

            fn from_str(text: &str) -> Result<Self, NameFault> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(checked: $name) -> Self {
                checked.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

pub(crate) use checked_text;

checked_text! {
    /// The name of a party, person, share, dataset or account: 1 to 64 of `a-z 0-9 - _ .`, beginning with a letter or
    /// digit (spec NAME-1). ASCII lower case only, so that no two names look alike.
    Name, check_name
}
checked_text! {
    /// A text for people: 1 to 2,000 characters, NFC, no control or invisible formatting characters (spec NAME-2).
    Text, check_text
}
checked_text! {
    /// A file's path inside a snapshot: relative, `/` between components, none of them empty, `.` or `..` (spec NAME-3).
    RelPath, check_path
}
checked_text! {
    /// A column's name: as [`Text`], at most 128 characters.
    ColumnName, check_column
}

checked_text! {
    /// What a source writes where it has no value, such as `?`, `NA` or nothing at all: at most 32 characters, no control
    /// character (spec NAME-5).
    MissingMark, check_mark
}

fn check_name(text: &str) -> Result<(), NameFault> {
    bounded(text.chars().count(), NAME_CHARS_MAX)?;
    match text.char_indices().find(|(_, c)| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.')) {
        Some((at, _)) => Err(NameFault::Character { at }),
        None if text.starts_with(['-', '_', '.']) => Err(NameFault::Start),
        None => Ok(()),
    }
}

fn check_text(text: &str) -> Result<(), NameFault> {
    bounded(text.chars().count(), TEXT_CHARS_MAX)?;
    visible(text)
}

fn check_column(text: &str) -> Result<(), NameFault> {
    bounded(text.chars().count(), 128)?;
    visible(text)
}

fn check_mark(text: &str) -> Result<(), NameFault> {
    if text.chars().count() > MISSING_MARK_CHARS_MAX {
        return Err(NameFault::TooLong { max: MISSING_MARK_CHARS_MAX });
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => Err(NameFault::Character { at }),
        None => Ok(()),
    }
}

fn check_path(text: &str) -> Result<(), NameFault> {
    bounded(text.len(), PATH_BYTES_MAX)?;
    visible(text)?;
    if let Some(at) = text.find('\\') {
        return Err(NameFault::Character { at });
    }
    if text.split('/').any(|component| matches!(component, "" | "." | "..")) {
        return Err(NameFault::Escapes);
    }
    Ok(())
}

fn bounded(length: usize, max: usize) -> Result<(), NameFault> {
    match length {
        0 => Err(NameFault::Empty),
        n if n > max => Err(NameFault::TooLong { max }),
        _ => Ok(()),
    }
}

fn visible(text: &str) -> Result<(), NameFault> {
    match text.char_indices().find(|(_, c)| c.is_control() || is_invisible(*c)) {
        Some((at, _)) => Err(NameFault::Character { at }),
        None if !is_nfc(text) => Err(NameFault::NotNormal),
        None => Ok(()),
    }
}

/// Zero-width, bidirectional and other formatting characters that make one text look like another (Unicode TR36).
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_lower_case_ascii() {
        for good in ["a", "north-1", "0.x_y", &"a".repeat(64)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        let wrong = [
            ("", NameFault::Empty),
            (long.as_str(), NameFault::TooLong { max: 64 }),
            ("-a", NameFault::Start),
            ("Nord", NameFault::Character { at: 0 }),
            ("n\u{043e}rth", NameFault::Character { at: 1 }),
            ("a/b", NameFault::Character { at: 1 }),
        ];
        for (text, fault) in wrong {
            assert_eq!(text.parse::<Name>(), Err(fault), "{text}");
        }
    }

    #[test]
    fn a_path_cannot_leave_its_folder_or_hide_what_it_is() {
        for good in ["a.csv", "2024/März/a b.csv", "..a", "a..", &"x".repeat(1024)] {
            assert!(good.parse::<RelPath>().is_ok(), "{good}");
        }
        let wrong = [
            "",
            "/etc/passwd",
            "..",
            "../a",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\u{202E}vsc.b",
            "a\u{200B}b",
            "Ma\u{0308}rz",
            &"x".repeat(1025),
        ];
        for text in wrong {
            assert!(text.parse::<RelPath>().is_err(), "{text:?}");
        }
    }

    // NAME-5
    #[test]
    fn a_mark_of_what_is_missing_is_short_and_may_be_empty() {
        for good in ["", "?", "\\N", " ", "nicht erhoben", "\u{2014}", &"x".repeat(32)] {
            assert!(good.parse::<MissingMark>().is_ok(), "{good:?}");
        }
        assert_eq!("x".repeat(33).parse::<MissingMark>(), Err(NameFault::TooLong { max: 32 }));
        for bad in ["a\n", "\t", "\u{85}"] {
            assert!(matches!(bad.parse::<MissingMark>(), Err(NameFault::Character { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_checked_on_every_door() {
        let name: Result<Name, _> = serde_json::from_str("\"../x\"");
        assert!(name.is_err());
        assert_eq!(serde_json::from_str::<Name>("\"north\"").map(|n| n.to_string()).ok(), Some("north".to_owned()));
    }
}
