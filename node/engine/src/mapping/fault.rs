//! Why a mapping run made nothing: the mapping, its sources, or what would have come of them. No cell stands in it.

use std::fmt;
use std::io;

use cohortium_protocol::record::journal_entry::RunFault;

use crate::batch::SourceFault;
use crate::mapping::change::SourceChange;
use crate::mapping::plan::PlanFault;
use crate::policy::PolicyFault;
use crate::sink::SinkFault;

/// Why a run made nothing. What the sinks got by then is to be thrown away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapFault {
    /// The mapping does not fit its sources.
    Plan(PlanFault),
    /// A source cannot be read.
    Source {
        /// Its name.
        source: String,
        /// Why.
        fault: SourceFault,
    },
    /// A source's dataset does not allow what the mapping needs.
    Policy {
        /// Its name.
        source: String,
        /// Why.
        fault: PolicyFault,
    },
    /// The job brings no such source or no place to write a table.
    NotGiven {
        /// The name.
        name: String,
    },
    /// It was written to while it was read.
    Changed {
        /// The source.
        source: String,
    },
    /// More rows, patients or facts than the limit.
    TooMany {
        /// The limit.
        max: u64,
    },
    /// What the run would hold of what it has seen is over the limit.
    TooManyBytes {
        /// The limit.
        max: u64,
    },
    /// The account of a source or table does not come out: a row or fact was lost. A fault of this program.
    Unaccounted {
        /// The source or table.
        name: String,
    },
    /// A table for which facts were due would be empty: the mapping is wrong, not the rows.
    EmptyTable {
        /// The table.
        table: String,
    },
    /// A table that had rows in the set before would have none: nothing was due.
    Emptied {
        /// The table.
        table: String,
    },
    /// Codes are mapped with vocabularies that are not loaded.
    NoVocabulary {
        /// Their names.
        names: Vec<String>,
    },
    /// The sources are no longer what this version of the mapping was run on.
    Drifted {
        /// What has changed, of all of them.
        changes: Vec<SourceChange>,
    },
    /// A sink does not take what is written.
    Sink {
        /// How it failed.
        kind: io::ErrorKind,
    },
}

impl fmt::Display for MapFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(fault) => write!(f, "the mapping does not fit its sources: {fault}"),
            Self::Source { source, fault } => write!(f, "source {source} cannot be read: {fault}"),
            Self::Policy { source, fault } => write!(f, "source {source}: {fault}"),
            Self::NotGiven { name } => write!(f, "nothing is given for {name}"),
            Self::Changed { source } => write!(f, "source {source} was written to while it was read"),
            Self::TooMany { max } => write!(f, "more than {max} rows, patients or facts"),
            Self::TooManyBytes { max } => {
                write!(f, "patients, keys and facts that wait take more than {max} bytes of memory")
            }
            Self::Unaccounted { name } => write!(f, "the account of {name} does not come out"),
            Self::EmptyTable { table } => {
                write!(
                    f,
                    "every fact of table {table} would be in quarantine; mend the mapping, or allow it: --allow-empty {table}"
                )
            }
            Self::Emptied { table } => {
                write!(
                    f,
                    "table {table} had rows and would have none; if that is right, allow it: --allow-empty {table}"
                )
            }
            Self::NoVocabulary { names } => {
                let names = names.join(", ");
                write!(f, "the mapping needs {names}, and no loaded vocabulary has it: cohortium vocabulary load DIR")
            }
            Self::Drifted { changes } => {
                f.write_str("the sources are not what this version of the mapping was run on before")?;
                changes.iter().try_for_each(|change| write!(f, "; {change}"))?;
                f.write_str("; define the mapping's next version for what they are now")
            }
            Self::Sink { kind } => write!(f, "writing a mapped table failed: {kind}"),
        }
    }
}

impl std::error::Error for MapFault {}

impl From<PlanFault> for MapFault {
    fn from(fault: PlanFault) -> Self {
        Self::Plan(fault)
    }
}

impl From<SinkFault> for MapFault {
    fn from(fault: SinkFault) -> Self {
        Self::Sink { kind: fault.kind }
    }
}

impl From<&MapFault> for RunFault {
    fn from(fault: &MapFault) -> Self {
        match fault {
            MapFault::Plan(_) | MapFault::NotGiven { .. } => Self::ColumnsDiffer,
            MapFault::Source { fault, .. } => fault.into(),
            MapFault::Policy { fault, .. } => fault.into(),
            MapFault::Changed { .. } => Self::Changed,
            MapFault::EmptyTable { .. } => Self::Malformed,
            MapFault::Emptied { .. } => Self::Emptied,
            MapFault::NoVocabulary { .. } => Self::NoVocabulary,
            MapFault::Drifted { .. } => Self::Drifted,
            MapFault::TooMany { .. } | MapFault::TooManyBytes { .. } | MapFault::Sink { .. } => Self::Limit,
            MapFault::Unaccounted { .. } => Self::WorkerLost,
        }
    }
}

/// Within a source's batches: a fault that already names its source, or one that does not yet.
pub(crate) enum Inner {
    Source(SourceFault),
    Policy(PolicyFault),
    Whole(MapFault),
}

impl From<SourceFault> for Inner {
    fn from(fault: SourceFault) -> Self {
        Self::Source(fault)
    }
}

impl From<PolicyFault> for Inner {
    fn from(fault: PolicyFault) -> Self {
        Self::Policy(fault)
    }
}

impl From<SinkFault> for Inner {
    fn from(fault: SinkFault) -> Self {
        Self::Whole(fault.into())
    }
}

impl Inner {
    pub(crate) fn at(self, source: &str) -> MapFault {
        match self {
            Self::Source(fault) => MapFault::Source { source: source.to_owned(), fault },
            Self::Policy(fault) => MapFault::Policy { source: source.to_owned(), fault },
            Self::Whole(fault) => fault,
        }
    }
}
