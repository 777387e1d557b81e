//! Where a database or an object of a store is, and how it is reached. Secrets are in files of the node's machine; a record
//! names them and holds none.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::Text;
use crate::limits::{SELECT_BYTES_MAX, VIEW_BYTES_MAX};
use crate::record::text_form::TextForm;

/// A text of several lines, as a person wrote it: 1 to `MAX` bytes, no zero byte (spec SRC-2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Written<const MAX: usize>(String);

/// One SELECT.
pub type Select = Written<SELECT_BYTES_MAX>;

/// A SQL on FHIR ViewDefinition, as JSON.
pub type ViewText = Written<VIEW_BYTES_MAX>;

/// Why a text is none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenFault {
    /// Nothing is written.
    Empty,
    /// Longer than the bound.
    TooLong {
        /// The bound, bytes.
        max: usize,
    },
    /// A zero byte.
    Zero,
}

impl fmt::Display for WrittenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing is written"),
            Self::TooLong { max } => write!(f, "longer than {max} bytes"),
            Self::Zero => f.write_str("a zero byte"),
        }
    }
}

impl std::error::Error for WrittenFault {}

impl<const MAX: usize> TryFrom<String> for Written<MAX> {
    type Error = WrittenFault;

    fn try_from(text: String) -> Result<Self, WrittenFault> {
        if text.is_empty() {
            Err(WrittenFault::Empty)
        } else if text.len() > MAX {
            Err(WrittenFault::TooLong { max: MAX })
        } else if text.contains('\0') {
            Err(WrittenFault::Zero)
        } else {
            Ok(Self(text))
        }
    }
}

impl<const MAX: usize> From<Written<MAX>> for String {
    fn from(text: Written<MAX>) -> Self {
        text.0
    }
}

impl<const MAX: usize> Written<MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a database listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Address {
    /// A host of the network, or this one.
    Network {
        /// Its name or address.
        host: Text,
        /// The port.
        port: u16,
    },
    /// A socket in this machine's files.
    Socket {
        /// Its path.
        path: Text,
    },
}

/// How the way to a database is kept private. There is no "if it happens to offer it".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Privacy {
    /// The connection must be a local socket or loopback.
    WithinMachine,
    /// TLS 1.3, or no conversation.
    Tls {
        /// The file of certificates to trust, in PEM. Nothing else is trusted.
        roots: Text,
        /// The name that the server's certificate must carry.
        name: Text,
    },
}

/// A database, and who signs on to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabasePlace {
    /// Where it listens.
    pub address: Address,
    /// How the way there is kept private.
    pub privacy: Privacy,
    /// The database.
    pub database: Text,
    /// The user.
    pub user: Text,
    /// The file whose first line is the password, private to the node's user; `None`: the server asks for none.
    pub password: Option<Text>,
    /// The longest that the server may work on one statement, in seconds.
    pub statement_seconds: u32,
}

/// Which rows of a database are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseRows {
    /// Every row of a table or view.
    Table {
        /// Its schema; in MariaDB, its database. `None`: where the server finds it.
        schema: Option<Text>,
        /// Its name.
        table: Text,
    },
    /// The rows of one SELECT.
    Select(Select),
}

/// Rows of a database as a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseTable {
    /// The database.
    pub place: DatabasePlace,
    /// Which rows.
    pub rows: DatabaseRows,
    /// Rows a second at most; `None` for as fast as it goes.
    pub rows_per_second: Option<u32>,
}

/// An object of an S3 store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPlace {
    /// The store's address; `None`: Amazon's in the region. Without TLS only within this machine.
    pub endpoint: Option<Text>,
    /// The region.
    pub region: Text,
    /// The bucket.
    pub bucket: Text,
    /// The object's key.
    pub key: Text,
    /// The file of a certificate to trust beside those of the system, in PEM.
    pub roots: Option<Text>,
    /// The file with access key, secret and perhaps a session token, a line each, private to the node's user; `None`:
    /// nobody signs.
    pub credentials: Option<Text>,
    /// How the object is read.
    pub form: ObjectForm,
}

/// How an object's bytes are a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectForm {
    /// A text table.
    Csv(TextForm),
    /// A Parquet file.
    Parquet,
    /// One JSON object a line.
    Ndjson,
    /// One JSON array of objects.
    Json,
    /// An Arrow IPC file or stream.
    ArrowIpc,
}

#[cfg(test)]
mod tests {
    use super::*;

    // SRC-2
    #[test]
    fn a_select_or_view_is_bounded_and_says_something() {
        let of = |text: &str| Select::try_from(text.to_owned()).map(String::from);
        assert_eq!(of("SELECT 1\n-- all"), Ok("SELECT 1\n-- all".to_owned()));
        assert_eq!(of(&"x".repeat(65_536)).map(|text| text.len()), Ok(65_536));
        assert_eq!(of(&"x".repeat(65_537)), Err(WrittenFault::TooLong { max: 65_536 }));
        assert_eq!((of(""), of("a\0b")), (Err(WrittenFault::Empty), Err(WrittenFault::Zero)));
        let view = |length: usize| ViewText::try_from("x".repeat(length)).is_ok();
        assert!(view(262_144) && !view(262_145));
    }
}
