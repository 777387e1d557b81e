//! Why a table is not consolidated. Faults name columns and places, never a cell (law 12).

use std::{fmt, io};

use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::record::journal_entry::RunFault;

use crate::batch::SourceFault;
use crate::land::LandFault;
use crate::sink::SinkFault;

/// Why a part is not made or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsolidateFault {
    /// The landed files themselves.
    Land(LandFault),
    /// A landed column that the common schema does not have.
    ColumnUnknown(ColumnName),
    /// A column that every row needs is not among the landed ones.
    ColumnMissing(ColumnName),
    /// A landed column is of another type than the common schema says.
    ColumnKind(ColumnName),
    /// A value that the common schema's type cannot hold as it is.
    Value {
        /// The snapshot, in the chain's order, from 0.
        part: usize,
        /// The first row of the batch it is in, from 1.
        row: u64,
        /// The column.
        column: ColumnName,
    },
    /// No value where every row needs one.
    ValueMissing {
        /// The snapshot, in the chain's order, from 0.
        part: usize,
        /// The first row of the batch it is in, from 1.
        row: u64,
        /// The column.
        column: ColumnName,
    },
    /// Not one name of a snapshot for each snapshot of the chain.
    Snapshots {
        /// Names.
        named: usize,
        /// Snapshots.
        landed: usize,
    },
    /// More rows than the limit.
    TooManyRows {
        /// The limit.
        max: u64,
    },
    /// More bytes of rows to be sorted than the limit.
    TooManyBytes {
        /// The limit.
        max: usize,
    },
    /// A file that does not have the columns of a part of this table.
    NotAPart,
    /// A part's rows are not in patient order.
    Disorder,
    /// Arrow does not do what it does for every lawful batch.
    Batch,
    /// No file to write to is left, or it does not take what is written.
    Sink {
        /// How it failed.
        kind: io::ErrorKind,
    },
}

impl fmt::Display for ConsolidateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Land(fault) => fault.fmt(f),
            Self::ColumnUnknown(name) => write!(f, "landed column {name} is not in the common schema"),
            Self::ColumnMissing(name) => write!(f, "column {name} is needed and has not landed"),
            Self::ColumnKind(name) => write!(f, "landed column {name} is not of the common schema's type"),
            Self::Value { part, row, column } => {
                write!(f, "snapshot {part}, row {row} or after: a value of column {column} does not fit its type")
            }
            Self::ValueMissing { part, row, column } => {
                write!(f, "snapshot {part}, row {row} or after: column {column} has no value")
            }
            Self::Snapshots { named, landed } => write!(f, "{named} names for {landed} snapshots"),
            Self::TooManyRows { max } => write!(f, "more than {max} rows in one part"),
            Self::TooManyBytes { max } => write!(f, "more than {max} bytes of rows to be sorted"),
            Self::NotAPart => f.write_str("a file does not have the columns of a consolidated part of this table"),
            Self::Disorder => f.write_str("the rows of a consolidated part are not in patient order"),
            Self::Batch => f.write_str("a batch of rows cannot be put together"),
            Self::Sink { kind } => write!(f, "writing consolidated rows failed: {kind}"),
        }
    }
}

impl std::error::Error for ConsolidateFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Land(fault) = self { Some(fault) } else { None }
    }
}

impl From<LandFault> for ConsolidateFault {
    fn from(fault: LandFault) -> Self {
        Self::Land(fault)
    }
}

impl From<SourceFault> for ConsolidateFault {
    fn from(fault: SourceFault) -> Self {
        Self::Land(LandFault::Source(fault))
    }
}

impl From<SinkFault> for ConsolidateFault {
    fn from(fault: SinkFault) -> Self {
        Self::Sink { kind: fault.kind }
    }
}

impl From<&ConsolidateFault> for RunFault {
    fn from(fault: &ConsolidateFault) -> Self {
        match fault {
            ConsolidateFault::Land(fault) => fault.into(),
            ConsolidateFault::ColumnUnknown(_)
            | ConsolidateFault::ColumnMissing(_)
            | ConsolidateFault::ColumnKind(_) => Self::ColumnsDiffer,
            ConsolidateFault::Value { .. }
            | ConsolidateFault::ValueMissing { .. }
            | ConsolidateFault::Snapshots { .. }
            | ConsolidateFault::NotAPart
            | ConsolidateFault::Disorder
            | ConsolidateFault::Batch => Self::Malformed,
            ConsolidateFault::TooManyRows { .. }
            | ConsolidateFault::TooManyBytes { .. }
            | ConsolidateFault::Sink { .. } => Self::Limit,
        }
    }
}
