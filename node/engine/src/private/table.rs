//! A table of patients' rows, at most so many of each unit, every column a public value, a bin or a number between public bounds: what
//! a set of margins, a model or synthetic rows are made of. Its rows are given to who sums them, and are shown to nobody.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;

use crate::private::canonical::Names;
use crate::private::catalogue::Catalogue;
use crate::private::declare::{Declarations, domain_text, floats};
use crate::private::declared::{Bounds, Contribution, Declared, Edges, Origin, Study};
use crate::private::groups;
use crate::private::measure::{Input, Reading};
use crate::private::refusal::{Reason, Refusal};
use crate::private::relation::Relation;
use crate::private::term::{Kind, Term, Value};

/// Columns of a table at most.
const COLUMNS_MAX: usize = 32;
/// Columns of a margin at most.
const WAYS_MAX: u8 = 3;

/// What a column may hold.
#[derive(Clone, PartialEq)]
pub(crate) enum ColumnRange {
    /// One of these values, in order.
    Values(Vec<Value>),
    /// A number, by the bin in which it lies.
    Bins(Edges),
    /// A number, clipped to its bounds.
    Number(Bounds),
}

/// A column of a table.
#[expect(missing_debug_implementations, reason = "a value may name a patient")]
pub struct TableColumn {
    /// Its name in the question.
    pub name: String,
    range: ColumnRange,
    kind: Kind,
    term: Term,
}

/// A question for a table, and what is made of it.
#[expect(missing_debug_implementations, reason = "its literals may name a patient")]
pub struct TablePlan {
    pub(crate) relation: Relation,
    pub(crate) contribution: Contribution,
    pub(crate) origins: Vec<(String, Origin)>,
    columns: Vec<TableColumn>,
    study: Study,
    text: String,
}

impl TableColumn {
    /// How many values or bins there are; `None` of a number between bounds.
    pub fn size(&self) -> Option<usize> {
        match &self.range {
            ColumnRange::Values(values) => Some(values.len()),
            ColumnRange::Bins(edges) => Some(edges.at.len() - 1),
            ColumnRange::Number(_) => None,
        }
    }

    /// Between which values a number is clipped.
    pub const fn bounds(&self) -> Option<&Bounds> {
        match &self.range {
            ColumnRange::Number(bounds) => Some(bounds),
            ColumnRange::Values(_) | ColumnRange::Bins(_) => None,
        }
    }

    /// The values or bins as text, in the order of their codes; none of a number between bounds.
    pub fn labels(&self) -> Vec<Option<String>> {
        match &self.range {
            ColumnRange::Values(values) => {
                let texts = cast(&groups::array(self.kind, values.iter().map(Some)), &DataType::Utf8);
                let texts = texts.ok().and_then(|texts| Some(texts.as_string_opt::<i32>()?.clone()));
                texts.iter().flat_map(|texts| texts.iter()).map(|text| text.map(str::to_owned)).collect()
            }
            ColumnRange::Bins(edges) => {
                edges.at.windows(2).map(|bin| Some(format!("from {} to {}", bin[0], bin[1]))).collect()
            }
            ColumnRange::Number(_) => Vec::new(),
        }
    }

    /// A column of the values with these codes. In a bin the value is at a share between 0 and 1 of its width, whole where the question's
    /// values are. `None` for a number between bounds, or a code that there is not.
    pub fn array(&self, codes: &[usize], mut share: impl FnMut() -> f64) -> Option<ArrayRef> {
        match &self.range {
            ColumnRange::Values(values) => {
                let rows = arrow::array::UInt64Array::from_iter_values(codes.iter().map(|code| *code as u64));
                let inside = codes.iter().all(|code| *code < values.len());
                let all = groups::array(self.kind, values.iter().map(Some));
                if inside { take(&all, &rows, None).ok() } else { None }
            }
            ColumnRange::Bins(edges) => {
                let mut within = |code: &usize| {
                    let (from, to) = (edges.at.get(*code)?, edges.at.get(*code + 1)?);
                    Some(from + share().clamp(0.0, 1.0) * (to - from))
                };
                let drawn = codes.iter().map(&mut within).collect::<Option<Vec<f64>>>()?;
                #[expect(clippy::cast_possible_truncation, reason = "saturates")]
                let whole = |value: f64| value.floor() as i64;
                Some(match self.kind {
                    Kind::Integer => Arc::new(drawn.into_iter().map(whole).collect::<Int64Array>()) as ArrayRef,
                    _ => Arc::new(Float64Array::from(drawn)),
                })
            }
            ColumnRange::Number(_) => None,
        }
    }

    fn reading(&self) -> Reading {
        match &self.range {
            ColumnRange::Values(values) => Reading::Code(self.kind, values.clone()),
            ColumnRange::Bins(edges) => Reading::Bin(edges.at.clone()),
            ColumnRange::Number(bounds) => Reading::Clipped(bounds.clone()),
        }
    }

    fn text(&self, names: &Names<'_>) -> String {
        let range = match &self.range {
            ColumnRange::Values(values) => domain_text(Some(values)),
            ColumnRange::Bins(edges) => format!("bins {}", floats(&edges.at)),
            ColumnRange::Number(bounds) => {
                format!("number {} {}", floats(&[bounds.lower, bounds.upper]), bounds.decimals)
            }
        };
        format!("(column {} {range})", names.term(&self.term))
    }
}

impl TablePlan {
    pub(crate) fn of(
        relation: Relation,
        names: Vec<String>,
        study: &Study,
        declared: &Declared,
        catalogue: &Catalogue,
    ) -> Result<Self, Refusal> {
        if names.len() > COLUMNS_MAX || names.len() != relation.columns.len() {
            return Err(Reason::TooMany { what: "columns of a table", max: COLUMNS_MAX as u64 }.into());
        }
        if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            return Err(Refusal::rather("two outputs of one name", "name them with AS"));
        }
        let mut declarations = Declarations::new(declared, catalogue, &relation)?;
        let mut columns = Vec::with_capacity(names.len());
        for (name, term) in names.into_iter().zip(&relation.columns) {
            if term.uses_identifier() {
                return Err(Refusal::identifier());
            }
            let is_outcome = matches!(study, Study::Linear { outcome } if *outcome == name);
            let range =
                if is_outcome { declarations.number(&name, term)? } else { declarations.column(&name, term)? };
            columns.push(TableColumn { name, range, kind: term.kind(), term: term.clone() });
        }
        let (contribution, origins) = declarations.finish(&[])?;
        check(study, &columns)?;
        let text = text(&relation, study, &columns, &contribution, catalogue);
        Ok(Self { relation, contribution, origins, columns, study: study.clone(), text })
    }

    /// The question in the one form that all its spellings have. It holds the literals: it belongs into the erasable store.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a stored answer to this question is found by, together with the versions of its tables.
    pub fn digest(&self) -> [u8; 32] {
        cohortium_protocol::digest::sha256_for("private question", self.text.as_bytes())
    }

    /// What is made of the table.
    pub const fn study(&self) -> &Study {
        &self.study
    }

    /// The columns, in the order of the question.
    pub fn columns(&self) -> &[TableColumn] {
        &self.columns
    }

    /// How many rows of one unit there are at most.
    pub const fn rows_max(&self) -> u64 {
        self.contribution.rows
    }

    /// What was known beforehand and where from: the statement lists it.
    pub fn origins(&self) -> &[(String, Origin)] {
        &self.origins
    }

    /// Whether a row counts only where every column has one of its values.
    pub(crate) const fn of_whole_rows(&self) -> bool {
        match self.study {
            Study::Margins { .. } | Study::Synthetic {} => true,
            // A model takes what is missing for the middle, or for the reference value.
            Study::Linear { .. } => false,
        }
    }

    pub(crate) fn inputs(&self) -> Vec<Input> {
        self.columns.iter().map(|column| Input { term: column.term.clone(), reading: column.reading() }).collect()
    }
}

/// Refuses columns that a study cannot be made of.
fn check(study: &Study, columns: &[TableColumn]) -> Result<(), Refusal> {
    let least = match study {
        Study::Margins { ways } if (1..=WAYS_MAX).contains(ways) => usize::from(*ways),
        Study::Margins { .. } => return Err(Refusal::declared("study", "margins are of 1 to 3 columns")),
        Study::Linear { .. } | Study::Synthetic {} => 2,
    };
    if columns.len() < least {
        return Err(Refusal::declared("study", "it needs more columns than are selected"));
    }
    match study {
        Study::Linear { outcome } if !columns.iter().any(|column| column.name == *outcome) => {
            Err(Refusal::declared(outcome, "the outcome is none of the columns"))
        }
        Study::Linear { .. } => Ok(()),
        Study::Margins { .. } | Study::Synthetic {} => match columns.iter().find(|column| column.size().is_none()) {
            Some(column) => Err(Reason::Undeclared { output: column.name.clone(), what: "values or edges" }.into()),
            None => Ok(()),
        },
    }
}

/// Everything that makes a question another one.
fn text(
    relation: &Relation,
    study: &Study,
    columns: &[TableColumn],
    contribution: &Contribution,
    catalogue: &Catalogue,
) -> String {
    let (text, _) = Names::new(catalogue).relation(relation, |names| {
        let outcome = |column: &&TableColumn| matches!(study, Study::Linear { outcome } if *outcome == column.name);
        let mut texts: Vec<String> =
            columns.iter().filter(|column| !outcome(column)).map(|column| column.text(names)).collect();
        texts.sort();
        let study = match study {
            Study::Margins { ways } => format!("(margins {ways})"),
            Study::Synthetic {} => "(synthetic)".to_owned(),
            Study::Linear { .. } => {
                let outcome = columns.iter().find(outcome).map(|column| column.text(names));
                format!("(linear {})", outcome.unwrap_or_default())
            }
        };
        format!("{study} {}", texts.join(" "))
    });
    format!("{text} (rows {})", contribution.rows)
}
