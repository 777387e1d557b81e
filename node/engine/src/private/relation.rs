//! The relations of a private question. Each is patient-local: it is, for every patient, a function of that patient's rows and
//! of public tables, and all of them side by side. It holds by construction: sources with patients are always joined on the
//! patient, groups and distinct rows always have the patient among their keys.

use std::collections::BTreeSet;

use crate::private::term::Term;

/// A source with its number, which is unique within one question.
pub(crate) struct Numbered {
    pub(crate) id: usize,
    pub(crate) source: Source,
}

pub(crate) enum Source {
    /// A table of the catalogue: its name, and the place of the patient.
    Table { name: String, unit: Option<usize> },
    /// A relation whose columns are computed before it is joined.
    Nested(Box<Relation>),
    /// One row for each combination of keys, the patient among them.
    Grouped(Box<Grouped>),
}

pub(crate) struct Grouped {
    pub(crate) relation: Relation,
    /// Its first columns.
    pub(crate) keys: Vec<Term>,
    /// The columns after them.
    pub(crate) measures: Vec<LocalMeasure>,
    /// Which of the keys is the patient.
    pub(crate) unit: usize,
}

/// What is computed over the rows of one patient. None depends on their order.
pub(crate) enum LocalMeasure {
    Rows,
    Count(Term),
    CountDistinct(Term),
    /// Of integers; null beyond 64 bits.
    Sum(Term),
    /// Of floats, at six decimals; what is not below 10^22 in magnitude counts as null.
    SumFloat(Term),
    Least(Term),
    Greatest(Term),
}

impl LocalMeasure {
    pub(crate) const fn input(&self) -> Option<&Term> {
        match self {
            Self::Rows => None,
            Self::Count(term)
            | Self::CountDistinct(term)
            | Self::Sum(term)
            | Self::SumFloat(term)
            | Self::Least(term)
            | Self::Greatest(term) => Some(term),
        }
    }
}

/// A source that may have no row for a row of the others.
pub(crate) struct OuterSource {
    pub(crate) numbered: Numbered,
    /// When a row of it belongs to a row of the others; that both are of one patient goes without saying.
    pub(crate) on: Vec<Term>,
}

/// A relation of which only matters whether it has a row for a row of the others.
pub(crate) struct SemiSource {
    pub(crate) relation: Relation,
    pub(crate) on: Vec<Term>,
    /// Rows without such a row stay, not those with one.
    pub(crate) negated: bool,
}

/// Sources joined on their patient, the conditions on their rows, and what is computed from each row.
pub(crate) struct Relation {
    pub(crate) inner: Vec<Numbered>,
    pub(crate) outer: Vec<OuterSource>,
    pub(crate) semi: Vec<SemiSource>,
    pub(crate) conditions: Vec<Term>,
    pub(crate) columns: Vec<Term>,
}

impl Source {
    /// The place of the patient among its columns; `None` where it is public.
    pub(crate) fn unit(&self) -> Option<usize> {
        match self {
            Self::Table { unit, .. } => *unit,
            // It stands last: see `Local::add_unit`.
            Self::Nested(relation) => relation.first_patient().and(relation.columns.len().checked_sub(1)),
            Self::Grouped(grouped) => Some(grouped.unit),
        }
    }
}

impl Relation {
    pub(crate) fn of(id: usize, source: Source, columns: Vec<Term>) -> Self {
        let inner = vec![Numbered { id, source }];
        Self { inner, outer: Vec::new(), semi: Vec::new(), conditions: Vec::new(), columns }
    }

    /// The numbers of its own sources.
    pub(crate) fn ids(&self) -> BTreeSet<usize> {
        let outer = self.outer.iter().map(|outer| outer.numbered.id);
        self.inner.iter().map(|inner| inner.id).chain(outer).collect()
    }

    /// The first source with patients: its patient is the relation's.
    pub(crate) fn first_patient(&self) -> Option<&Numbered> {
        self.inner.iter().find(|inner| inner.source.unit().is_some())
    }

    /// The numbers of its sources with patients that have a row for each of its rows.
    pub(crate) fn patients(&self) -> BTreeSet<usize> {
        self.inner.iter().filter(|inner| inner.source.unit().is_some()).map(|inner| inner.id).collect()
    }

    /// Calls `visit` with each name of a table in it.
    pub(crate) fn tables(&self, visit: &mut impl FnMut(&str)) {
        let outer = self.outer.iter().map(|outer| &outer.numbered);
        for numbered in self.inner.iter().chain(outer) {
            match &numbered.source {
                Source::Table { name, .. } => visit(name),
                Source::Nested(relation) => relation.tables(visit),
                Source::Grouped(grouped) => grouped.relation.tables(visit),
            }
        }
        for semi in &self.semi {
            semi.relation.tables(visit);
        }
    }
}
