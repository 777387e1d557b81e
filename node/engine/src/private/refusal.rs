//! Why a question is not put to the rows at all. Known from the question and the catalogue alone: no row is read before (law 7).

use std::fmt;

use crate::private::term::Kind;
use crate::query::QueryFault;

/// A refusal: a normal answer, with the nearest question that can be asked where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// What to ask instead.
    pub nearest: Option<&'static str>,
}

/// The reason of a refusal. Names are the question's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is too long or deep, no SQL, or names what is not there.
    Question(QueryFault),
    /// It has a part that is on no list of what can be made private.
    Part {
        /// What, in our words.
        what: &'static str,
    },
    /// It calls a function that is on no list.
    Function {
        /// Its name.
        name: String,
    },
    /// A comparison or calculation of two kinds of value.
    Kinds {
        /// One.
        left: Kind,
        /// The other.
        right: Kind,
    },
    /// A text of the question that is no value of the kind it is compared with.
    Literal {
        /// That kind.
        kind: Kind,
    },
    /// It uses what says which patient or visit it is for something else than joining and counting.
    Identifier,
    /// Rows of different patients would meet.
    Patients {
        /// Where.
        place: &'static str,
    },
    /// A measure or group key lacks what must be declared for it.
    Undeclared {
        /// The output's name.
        output: String,
        /// What is missing.
        what: &'static str,
    },
    /// Something is declared for an output that does not have it, or that is not there.
    Unused {
        /// As declared.
        output: String,
    },
    /// A declaration that holds no bound.
    Declared {
        /// The output's name, or what of the declarations it is.
        output: String,
        /// What is wrong.
        what: &'static str,
    },
    /// More than can be answered at once.
    TooMany {
        /// Of what.
        what: &'static str,
        /// At most.
        max: u64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Question(fault) => fault.fmt(f),
            Self::Part { what } => write!(f, "a private question may have no {what}"),
            Self::Function { name } => write!(f, "a private question may not call {name}"),
            Self::Kinds { left, right } => write!(f, "{left} and {right} do not go together here"),
            Self::Literal { kind } => write!(f, "a text in the question is no {kind}, which it is compared with"),
            Self::Identifier => f.write_str("what names a patient or visit serves joins and counts of patients only"),
            Self::Patients { place } => write!(f, "rows of different patients would meet in {place}"),
            Self::Undeclared { output, what } => write!(f, "{output} has no {what}"),
            Self::Unused { output } => write!(f, "something is declared for {output}, which does not take it"),
            Self::Declared { output, what } => write!(f, "what is declared for {output}: {what}"),
            Self::TooMany { what, max } => write!(f, "there are more than {max} {what}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        match self.nearest {
            Some(nearest) => write!(f, "; {nearest}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<QueryFault> for Refusal {
    fn from(fault: QueryFault) -> Self {
        Reason::Question(fault).into()
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, nearest: None }
    }
}

impl Refusal {
    pub(crate) fn part(what: &'static str) -> Self {
        Reason::Part { what }.into()
    }

    pub(crate) fn rather(what: &'static str, nearest: &'static str) -> Self {
        Self { reason: Reason::Part { what }, nearest: Some(nearest) }
    }

    pub(crate) fn declared(output: &str, what: &'static str) -> Self {
        Reason::Declared { output: output.to_owned(), what }.into()
    }

    pub(crate) fn identifier() -> Self {
        Self {
            reason: Reason::Identifier,
            nearest: Some("join on it, or count the patients with count(DISTINCT person_id)"),
        }
    }
}
