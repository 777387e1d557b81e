//! What one pass gathers of one table.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::kernels::cmp::gt;

use super::check::{Check, PERIOD, Rule};
use super::column::{Column, SourceValues};
use super::period::Periods;
use super::profile::{Profile, TableProfile};
use crate::schema::Table;

/// Of one table.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) seen: bool,
    pub(crate) rows: u64,
    pub(crate) columns: Vec<Column>,
    /// By source field and concept field.
    pub(crate) sources: BTreeMap<[String; 2], SourceValues>,
    /// By first and last: rows where it is later, rows with both.
    pub(crate) spans: BTreeMap<[String; 2], (u64, u64)>,
    pub(crate) periods: Option<Periods>,
    profile: Profile,
}

impl Tally {
    pub(crate) fn new<'a>(table: &Table, checks: impl Iterator<Item = &'a Check>) -> Self {
        let (mut sources, mut spans, mut periods) = (BTreeMap::new(), BTreeMap::new(), None);
        for check in checks.filter(|check| check.table == table.name) {
            match (&check.rule, &check.field) {
                (Rule::PeriodOverlap, _) => periods = Some(Periods::default()),
                (Rule::SourceValueCompleteness(other), Some(field)) => {
                    sources.insert([field.clone(), other.clone()], SourceValues::default());
                }
                (Rule::StartBeforeEnd(other), Some(field)) => {
                    spans.insert([field.clone(), other.clone()], (0, 0));
                }
                _ => {}
            }
        }
        let columns = table.fields.iter().map(Column::new).collect();
        Self { seen: false, rows: 0, columns, sources, spans, periods, profile: Profile::new(table) }
    }

    pub(crate) fn see(&mut self, batch: &RecordBatch) {
        self.seen = true;
        self.rows += batch.num_rows() as u64;
        for column in &mut self.columns {
            match batch.column_by_name(&column.name) {
                Some(array) => column.see(array),
                None => column.present = false,
            }
        }
        let both = |[a, b]: &[String; 2]| Some((batch.column_by_name(a)?, batch.column_by_name(b)?));
        for (fields, values) in &mut self.sources {
            if let Some((value, concept)) = both(fields) {
                values.see(value, concept);
            }
        }
        for (fields, counts) in &mut self.spans {
            if let Some((first, last)) = both(fields) {
                see_span(counts, first, last);
            }
        }
        let [person, start, end] = PERIOD.map(|(name, _)| batch.column_by_name(name));
        if let (Some(periods), Some(person), Some(start), Some(end)) = (&mut self.periods, person, start, end) {
            periods.see(person, start, end);
        }
        self.profile.see(|name| batch.column_by_name(name));
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub(crate) fn profile(self, name: &str) -> TableProfile {
        let missing = self.columns.into_iter().map(|column| (column.name, column.nulls)).collect();
        self.profile.finish(name, self.rows, missing)
    }
}

/// Two arrays of different types cannot be compared: then nothing is counted, and the type's own check says so.
fn see_span((later, both): &mut (u64, u64), first: &ArrayRef, last: &ArrayRef) {
    if first.null_count() == first.len() || last.null_count() == last.len() {
        return;
    }
    if let Ok(is_later) = gt(first, last) {
        *later += is_later.true_count() as u64;
        *both += (is_later.len() - is_later.null_count()) as u64;
    }
}
