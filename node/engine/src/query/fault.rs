//! Why a question is not answered. `DataFusion`'s own words quote cells and never leave this module (law 12).

use std::fmt;

use cohortium_protocol::record::journal_entry::RunFault;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::consolidate::fault::ConsolidateFault;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryFault {
    /// The question is longer than the bound.
    TooLong {
        /// In bytes.
        bytes_max: usize,
    },
    /// More words than the bound.
    TooWide {
        /// Words, numbers and signs.
        tokens_max: usize,
    },
    /// Parentheses or operators within each other beyond the bound.
    TooDeep {
        /// Parentheses within each other.
        depth_max: usize,
        /// Operators in all.
        operators_max: usize,
    },
    /// It is no SQL.
    Syntax,
    /// It is something else than one SELECT.
    NotOneSelect,
    /// It asks for something that no question may have.
    Forbidden {
        /// What, in our words.
        what: &'static str,
    },
    /// It names a column that is not there.
    NoColumn {
        /// As the question names it.
        name: String,
    },
    /// It names a table that is not there, or cannot be planned over the columns there are.
    Plan,
    /// A value in it cannot be computed: a cast, a division, an overflow.
    Value,
    /// The consolidated tables cannot be read.
    Table(ConsolidateFault),
    /// More rows than asked for.
    TooManyRows {
        /// The bound.
        max: u64,
    },
    /// It needs more memory than it may have.
    Memory,
    /// The answer has a type that cannot be written.
    Type,
    /// The answer cannot be written.
    Sink,
    /// Two columns of the answer have one name.
    Twice {
        /// Their name.
        name: String,
    },
    /// A column of a release's answer that names the patient, and is not just a table's own patient column.
    NotThePatient {
        /// Its name.
        name: String,
    },
    /// A column of a release's answer that names the member, and is not just a table's own.
    NotTheMember {
        /// Its name.
        name: String,
    },
    /// A column that is to leave as it is, and is made of ids.
    MadeOfIds {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for QueryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes_max } => write!(f, "the question is longer than {bytes_max} bytes"),
            Self::TooWide { tokens_max } => write!(f, "the question has more than {tokens_max} words and signs"),
            Self::TooDeep { depth_max, operators_max } => write!(
                f,
                "the question has more than {depth_max} parentheses within each other or more than {operators_max} operators"
            ),
            Self::Syntax => f.write_str("the question is no SQL"),
            Self::NotOneSelect => f.write_str("the question is not one SELECT"),
            Self::Forbidden { what } => write!(f, "a question may have no {what}"),
            Self::NoColumn { name } => write!(f, "there is no column {name:?} where the question names it"),
            Self::Plan => f.write_str(
                "the question names a table or function that is not there, or does not fit the types of the columns",
            ),
            Self::Value => f.write_str("a value in the question cannot be computed: a cast, a division or an overflow"),
            Self::Table(fault) => fault.fmt(f),
            Self::TooManyRows { max } => {
                write!(f, "the answer has more than {max} rows; say LIMIT or write it to a file")
            }
            Self::Memory => f.write_str("the question needs more memory than it may have"),
            Self::Type => f.write_str("a column of the answer has a type that cannot be written; cast it"),
            Self::Sink => f.write_str("the answer cannot be written"),
            Self::Twice { name } => write!(f, "two columns of the answer are called {name:?}"),
            Self::NotThePatient { name } => {
                write!(f, "column {name:?} is to name the patient, and is not just the patient column of a table")
            }
            Self::NotTheMember { name } => {
                write!(f, "column {name:?} is to name the member, and is not just cohortium_member of a table")
            }
            Self::MadeOfIds { name } => {
                write!(f, "column {name:?} is made of ids of rows or patients, which do not leave")
            }
        }
    }
}

impl std::error::Error for QueryFault {}

impl From<&QueryFault> for RunFault {
    fn from(fault: &QueryFault) -> Self {
        match fault {
            QueryFault::TooManyRows { .. } | QueryFault::Memory | QueryFault::Sink => Self::Limit,
            QueryFault::Table(fault) => fault.into(),
            QueryFault::TooLong { .. }
            | QueryFault::TooWide { .. }
            | QueryFault::TooDeep { .. }
            | QueryFault::Syntax
            | QueryFault::NotOneSelect
            | QueryFault::Forbidden { .. }
            | QueryFault::NoColumn { .. }
            | QueryFault::Plan
            | QueryFault::Value
            | QueryFault::Type
            | QueryFault::Twice { .. }
            | QueryFault::NotThePatient { .. }
            | QueryFault::NotTheMember { .. }
            | QueryFault::MadeOfIds { .. } => Self::Malformed,
        }
    }
}

/// What a fault while planning is to the person: a column's name is the question's own.
pub(crate) fn planning(fault: &DataFusionError) -> QueryFault {
    match fault.find_root() {
        DataFusionError::SchemaError(schema, _) => match &**schema {
            SchemaError::FieldNotFound { field, .. } => QueryFault::NoColumn { name: field.name.clone() },
            _ => QueryFault::Plan,
        },
        DataFusionError::ResourcesExhausted(_) => QueryFault::Memory,
        DataFusionError::ArrowError(..) => QueryFault::Value,
        _ => QueryFault::Plan,
    }
}

/// What a fault while running is to the person: its text may quote a cell, so only its kind is looked at.
pub(super) fn running(fault: &DataFusionError) -> QueryFault {
    match fault.find_root() {
        DataFusionError::ResourcesExhausted(_) => QueryFault::Memory,
        DataFusionError::External(inner) => match inner.downcast_ref::<ConsolidateFault>() {
            Some(fault) => QueryFault::Table(fault.clone()),
            None => QueryFault::Value,
        },
        _ => QueryFault::Value,
    }
}
