//! The shape of a source as a run sees it: columns and kinds, and marks of the codes and units that rules read.
//!
//! It holds no value: a mark is a keyed digest that only this member can make.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::RecordBatch;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::schema::ColumnType;
use cohortium_schema::drift::{ColumnShape, Mark, SourceShape};
use datafusion::physical_expr::utils::collect_columns;

use crate::batch::SourceColumn;
use crate::cells::text;
use crate::mapping::cell::{Expression, Making};
use crate::mapping::plan::Rule;

/// Different codes or units of one column: a column with more is a text and no list of codes.
const MARKS_MAX: usize = 4_096;

/// Columns and kinds of a source, nothing of its rows.
pub(crate) fn columns(found: &[SourceColumn]) -> SourceShape {
    let shape = |(place, column): (u32, &SourceColumn)| {
        let kind = column.leaves_as().unwrap_or(ColumnType::Other);
        (column.name.clone(), ColumnShape { kind, place, codes: BTreeSet::new(), units: BTreeSet::new() })
    };
    SourceShape { columns: (0..).zip(found).map(shape).collect() }
}

/// What one column's values are to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Read {
    Codes,
    Units,
}

/// Takes the shape of a source while its rows pass.
pub(crate) struct Shaper {
    shape: SourceShape,
    seen: BTreeMap<(String, Read), HashSet<Box<str>>>,
}

impl Shaper {
    /// For rules over a source of these columns.
    pub(crate) fn new(found: &[SourceColumn], rules: &[Rule]) -> Self {
        let mut seen = BTreeMap::new();
        let mut watch = |expression: &Expression, read: Read| {
            let mut columns = collect_columns(expression).into_iter();
            // An expression over several columns has no column of codes.
            if let (Some(column), None) = (columns.next(), columns.next()) {
                seen.insert((column.name().to_owned(), read), HashSet::new());
            }
        };
        for rule in rules {
            for maker in &rule.makers {
                match &maker.making {
                    Making::Code { code, .. } | Making::Spread { code, .. } => watch(code, Read::Codes),
                    Making::Unit { unit, .. } => watch(unit, Read::Units),
                    Making::Constant(_) | Making::Expression(_) | Making::Default { .. } => {}
                }
            }
        }
        Self { shape: columns(found), seen }
    }

    /// Looks at the rows that the rules see.
    pub(crate) fn see(&mut self, rows: &RecordBatch) {
        for ((column, _), seen) in &mut self.seen {
            let values = rows.column_by_name(column).and_then(|array| text(array).ok());
            let Some(values) = values.filter(|_| seen.len() <= MARKS_MAX) else { continue };
            let mut last = None;
            for value in values.iter().flatten() {
                if last != Some(value) && seen.len() <= MARKS_MAX && !seen.contains(value) {
                    seen.insert(value.into());
                }
                last = Some(value);
            }
        }
    }

    /// The shape, with marks under the member's key.
    pub(crate) fn finish(mut self, key: &Secret32) -> SourceShape {
        for ((column, read), seen) in self.seen {
            let Some(shape) = self.shape.columns.iter_mut().find(|(name, _)| name.as_str() == column) else { continue };
            if seen.len() <= MARKS_MAX {
                let marks = seen.iter().map(|text| Mark::new(key.as_bytes(), text)).collect();
                match read {
                    Read::Codes => shape.1.codes = marks,
                    Read::Units => shape.1.units = marks,
                }
            }
        }
        self.shape
    }
}
