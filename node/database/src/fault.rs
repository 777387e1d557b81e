//! What can go wrong with a database: our own codes, SQLSTATEs and places. No text of a server goes on from here.

use std::{fmt, io};

use cohortium_protocol::ident::ColumnName;

/// A server's five-character code for an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// The server gave no code, or something that is none.
    pub const NONE: Self = Self(*b"?????");

    /// The code in these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let plain = |code: &[u8; 5]| code.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        <[u8; 5]>::try_from(bytes).ok().filter(plain).map_or(Self::NONE, Self)
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("?????")
    }

    /// What the commonest codes mean, in our words.
    fn meaning(self) -> &'static str {
        match &self.0 {
            b"28P01" | b"28000" => ", the user or password is wrong",
            b"3D000" => ", there is no such database",
            b"42P01" | b"42S02" => ", there is no such table",
            b"42703" | b"42S22" => ", there is no such column",
            b"42501" => ", the user may not",
            b"42601" => ", the statement is not one SELECT",
            b"57014" | b"70100" => ", it took longer than allowed",
            b"57P01" | b"57P02" | b"57P03" | b"08S01" => ", the server ended the connection",
            b"25006" => ", the statement writes",
            b"23503" => ", other rows refer to these",
            b"55P03" => ", somebody else holds the table",
            _ => "",
        }
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was being done when the server refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Signing on.
    Login,
    /// Beginning the transaction.
    Begin,
    /// Preparing the query.
    Prepare,
    /// Reading rows.
    Read,
    /// Looking at the table to land in.
    Look,
    /// Making the table to land in.
    Create,
    /// Taking away the old version's rows.
    Clear,
    /// Writing the new version's rows.
    Write,
    /// Making the new version visible.
    Commit,
}

impl Act {
    const fn words(self) -> &'static str {
        match self {
            Self::Login => "signing on",
            Self::Begin => "beginning a transaction",
            Self::Prepare => "preparing the query",
            Self::Read => "reading rows",
            Self::Look => "looking at the table to land in",
            Self::Create => "making the table to land in",
            Self::Clear => "taking away the old rows",
            Self::Write => "writing rows",
            Self::Commit => "committing",
        }
    }
}

/// Why a value cannot be given on, or taken in, as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A date or time that is infinitely early or late.
    Infinite,
    /// A number of a fixed scale that is not a number.
    NotANumber,
    /// A date with a zero for its month or day, or a zero year.
    ZeroDate,
    /// A day that no calendar has.
    NoSuchDay,
    /// A value beyond what the type holds.
    OutOfRange,
    /// More digits after the point than the type holds.
    Inexact,
    /// Text that is not UTF-8.
    NotUtf8,
    /// Text with a zero byte.
    ZeroByte,
    /// A cell over the limit, or text that is longer than the column.
    TooLong,
    /// Bytes that are no value of their type.
    Malformed,
    /// A null where none may be.
    Null,
}

impl Reason {
    /// The code that reports and quarantine tables carry.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Infinite => "infinite",
            Self::NotANumber => "not-a-number",
            Self::ZeroDate => "zero-date",
            Self::NoSuchDay => "no-such-day",
            Self::OutOfRange => "out-of-range",
            Self::Inexact => "inexact",
            Self::NotUtf8 => "not-utf-8",
            Self::ZeroByte => "zero-byte",
            Self::TooLong => "too-long",
            Self::Malformed => "malformed",
            Self::Null => "null",
        }
    }
}

/// A value that cannot be given on as it is: which one, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// The row, from 1.
    pub row: u64,
    /// The column.
    pub column: ColumnName,
    /// The reason.
    pub reason: Reason,
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}, column {}: {}", self.row, self.column, self.reason.code())
    }
}

/// The name of a database's type: printable ASCII, at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName(String);

impl TypeName {
    pub(crate) fn of(name: &str) -> Self {
        Self(name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(64).collect())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a conversation with a database ended. Places are for the owner's eyes; no fault carries a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseFault {
    /// The connection failed or ended.
    Lost {
        /// How.
        kind: io::ErrorKind,
        /// How many rows were read before.
        rows: u64,
    },
    /// No answer in the time that is allowed.
    Silent {
        /// How many rows were read before.
        rows: u64,
    },
    /// Bytes that are no answer of such a server.
    Protocol,
    /// A password would cross a network in the open: neither TLS nor a connection within the machine.
    NotPrivate,
    /// TLS is required, and the server has none.
    NoTls,
    /// The server's certificate or its TLS is not acceptable.
    Tls,
    /// The certificates to trust, or the server's name, cannot be used.
    TlsTerms,
    /// The server asks for a way of signing on that is not supported.
    LoginMethod,
    /// The user's name, the password or the database's name has a zero byte or is over-long.
    LoginTerms,
    /// The server refused.
    Server {
        /// What was being done.
        act: Act,
        /// The server's code.
        state: SqlState,
    },
    /// The query is empty, over-long or has a zero byte.
    Query,
    /// The statement returns no rows: it is no SELECT.
    NotASelect,
    /// The table's storage engine knows no transactions, so that there is no one state of it to read.
    NotTransactional,
    /// A column's name is empty, over-long, or has control or invisible characters.
    HeaderName {
        /// The column's place, from 1.
        position: usize,
    },
    /// Two columns with one name.
    HeaderTwice {
        /// The first one's place, from 1.
        first: usize,
        /// The second one's.
        second: usize,
    },
    /// A column that was asked for is of a type that is not supported.
    Unsupported {
        /// The column.
        column: ColumnName,
        /// The database's name of its type.
        kind: TypeName,
    },
    /// The columns changed between preparing and reading.
    Changed,
    /// More columns than the limit.
    TooManyColumns {
        /// The limit.
        max: usize,
    },
    /// More rows than the limit.
    TooManyRows {
        /// The limit.
        max: u64,
    },
    /// A row over the limit.
    RowTooLong {
        /// The row, from 1.
        row: u64,
    },
    /// More rows of one batch have faults than a batch lists.
    TooManyFaults {
        /// The limit.
        max: usize,
    },
    /// A value that cannot be given on as it is, where such rows are not set aside.
    Row(RowFault),
}

impl fmt::Display for DatabaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { kind, rows } => write!(f, "the database's connection was lost after {rows} rows: {kind}"),
            Self::Silent { rows } => write!(f, "the database did not answer in time after {rows} rows"),
            Self::Protocol => f.write_str("the database's answer makes no sense"),
            Self::NotPrivate => f.write_str("neither TLS nor a connection within this machine: nothing was sent"),
            Self::NoTls => f.write_str("TLS is required and the database has none"),
            Self::Tls => f.write_str("the database's certificate or TLS is not acceptable"),
            Self::TlsTerms => f.write_str("the certificates to trust or the server's name cannot be used"),
            Self::LoginMethod => f.write_str("the database asks for a way of signing on that is not supported"),
            Self::LoginTerms => f.write_str("user, password or database name has a zero byte or is too long"),
            Self::Server { act, state } => {
                let (act, code, meaning) = (act.words(), state.as_str(), state.meaning());
                write!(f, "the database refused {act}: SQLSTATE {code}{meaning}")
            }
            Self::Query => f.write_str("the query is empty, too long or has a zero byte"),
            Self::NotASelect => f.write_str("the statement returns no rows"),
            Self::NotTransactional => f.write_str("the table's storage engine knows no transactions"),
            Self::HeaderName { position } => write!(f, "column {position} has no usable name"),
            Self::HeaderTwice { first, second } => write!(f, "columns {first} and {second} have one name"),
            Self::Unsupported { column, kind } => {
                write!(f, "column {column} is of type {}, which is not supported", kind.as_str())
            }
            Self::Changed => f.write_str("the columns changed while the table was being read"),
            Self::TooManyColumns { max } => write!(f, "more than {max} columns"),
            Self::TooManyRows { max } => write!(f, "more than {max} rows"),
            Self::RowTooLong { row } => write!(f, "row {row} is too long"),
            Self::TooManyFaults { max } => write!(f, "more than {max} faulty rows in one batch"),
            Self::Row(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for DatabaseFault {}

impl From<io::Error> for DatabaseFault {
    /// A failed read or write. Its text is not kept; rustls' faults come as invalid data.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent { rows: 0 },
            io::ErrorKind::InvalidData => Self::Protocol,
            kind => Self::Lost { kind, rows: 0 },
        }
    }
}

impl DatabaseFault {
    /// The same fault with how far the reading had come.
    pub(crate) fn after(self, read: u64) -> Self {
        match self {
            Self::Lost { kind, .. } => Self::Lost { kind, rows: read },
            Self::Silent { .. } => Self::Silent { rows: read },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_five_capitals_and_digits_are_a_sqlstate() {
        assert_eq!(SqlState::of(b"42P01").as_str(), "42P01");
        for no in [&b"42p01"[..], b"42P0", b"42P011", b"Smith", b"", b"42 01", b"\xff2P01"] {
            assert_eq!(SqlState::of(no), SqlState::NONE);
        }
    }

    #[test]
    fn a_type_name_is_short_and_printable() {
        assert_eq!(TypeName::of("timestamp with\n\u{202e} time zone").as_str(), "timestamp with time zone");
        assert_eq!(TypeName::of(&"x".repeat(200)).as_str().len(), 64);
    }
}
