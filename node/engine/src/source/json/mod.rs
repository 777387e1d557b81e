//! JSON objects as rows, from NDJSON or one array. Each top-level field is a column.
//!
//! The file is read twice: first for its fields and their types, which nothing but all of it can tell, then for its rows.
//! So no field is lost because it comes late, and no value is changed because an earlier one was of a narrower type.

mod items;
mod kind;
mod object;

use std::borrow::Cow;
use std::collections::HashMap;

use cohortium_protocol::ident::ColumnName;

use crate::batch::{SourceBatch, SourceColumn, SourceFault};
use crate::handle::Handle;
use crate::limits::Limits;
use crate::row_fault::{BadRow, RowFault, Tally, Tolerance};
use crate::source::json::items::{Item, Items};
use crate::source::json::kind::{Filling, Kind, OtherKind, Seen};
use crate::source::json::object::{Fields, Value, value};

pub(crate) use crate::source::json::items::Layout;

/// Reads JSON objects in batches.
pub(crate) struct JsonReader {
    items: Items,
    columns: Vec<SourceColumn>,
    kinds: Vec<Kind>,
    names: Names,
    needed: Vec<bool>,
    limits: Limits,
    tally: Tally,
}

/// The fields so far, by name.
#[derive(Default)]
struct Names {
    places: HashMap<String, usize>,
    names: Vec<ColumnName>,
}

impl Names {
    /// Where the field stands. Fields mostly come in the same order, so the likely place is looked at first.
    fn place(&self, name: &str, likely: usize) -> Option<usize> {
        match self.names.get(likely) {
            Some(here) if here.as_str() == name => Some(likely),
            Some(_) | None => self.places.get(name).copied(),
        }
    }

    fn add(&mut self, name: ColumnName) -> usize {
        let place = self.names.len();
        self.places.insert(name.as_str().to_owned(), place);
        self.names.push(name);
        place
    }
}

/// A row's values with the names of their fields.
type Row<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// Reads one object; what is wrong with it, and in which field. New fields have usable names.
fn row<'a>(bytes: &'a [u8], names: &Names, limits: &Limits) -> Result<Row<'a>, (RowFault, Option<ColumnName>)> {
    let Fields(fields) = Fields::of(bytes, limits).map_err(|fault| (fault, None))?;
    let mut row = Vec::with_capacity(fields.len());
    for (at, (name, raw)) in fields.into_iter().enumerate() {
        let column = || name.parse::<ColumnName>();
        if names.place(&name, at).is_none() && column().is_err() {
            return Err((RowFault::FieldName, None));
        }
        let value = value(raw, limits).map_err(|fault| (fault, column().ok()))?;
        row.push((name, value));
    }
    let mut names: Vec<&str> = row.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err((RowFault::FieldTwice, pair[0].parse().ok())),
        None => Ok(row),
    }
}

/// What the first reading finds.
struct Found {
    names: Names,
    seen: Vec<Seen>,
}

impl Found {
    fn read(handle: &Handle, layout: Layout, limits: &Limits, tolerance: Tolerance) -> Result<Self, SourceFault> {
        let mut items = Items::new(handle, layout, limits.line_bytes_max)?;
        let mut found = Self { names: Names::default(), seen: Vec::new() };
        // Nothing is kept of it: rows that are set aside are so again when the rows are read.
        let mut tally = Tally::new(tolerance);
        while let Some(item) = items.next()? {
            tally.take();
            match item {
                Item::Whole { place, lines } => match row(items.bytes(), &found.names, limits) {
                    Ok(row) => found.learn(&row),
                    Err((reason, column)) => tally.bad(BadRow { place, lines, column, reason })?,
                },
                Item::TooLong { place, lines } => {
                    tally.bad(BadRow { place, lines, column: None, reason: RowFault::RecordTooLong })?;
                }
            }
            if found.seen.len() > limits.columns_max {
                return Err(SourceFault::TooManyColumns { max: limits.columns_max });
            }
        }
        Ok(found)
    }

    fn learn(&mut self, row: &Row<'_>) {
        for (at, (name, value)) in row.iter().enumerate() {
            let known = self.names.place(name, at);
            let Some(place) = known.or_else(|| Some(self.names.add(name.parse().ok()?))) else { continue };
            self.seen.resize(self.names.names.len(), Seen::default());
            self.seen[place] = self.seen[place].and(Seen::of(value));
        }
    }
}

impl JsonReader {
    /// Reads the whole file for its fields.
    pub(crate) fn open(
        handle: &Handle,
        layout: Layout,
        limits: &Limits,
        tolerance: Tolerance,
    ) -> Result<Self, SourceFault> {
        let Found { names, seen } = Found::read(handle, layout, limits, tolerance)?;
        if names.names.is_empty() {
            return Err(SourceFault::Empty);
        }
        let kinds: Vec<Kind> = seen.into_iter().map(Seen::kind).collect();
        let column = |(name, kind): (&ColumnName, &Kind)| SourceColumn {
            nested: *kind == Kind::Nested,
            ..SourceColumn::new(name.clone(), kind.data_type())
        };
        let columns: Vec<_> = names.names.iter().zip(&kinds).map(column).collect();
        Ok(Self {
            items: Items::new(handle, layout, limits.line_bytes_max)?,
            needed: vec![true; columns.len()],
            columns,
            kinds,
            names,
            limits: *limits,
            tally: Tally::new(tolerance),
        })
    }

    /// The columns, in the order in which the file first has them.
    pub(crate) fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    /// Reads only these columns from here on; the others are checked all the same.
    pub(crate) fn project(&mut self, needed: &[bool]) {
        self.needed = needed.to_vec();
    }

    /// The next rows; `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceFault> {
        let first_row = self.tally.rows();
        let filling = |(needed, kind): (&bool, &Kind)| needed.then(|| Filling::new(*kind));
        let mut columns: Vec<Option<Filling>> = self.needed.iter().zip(&self.kinds).map(filling).collect();
        let (mut places, mut bytes) = (Vec::new(), 0);
        while places.len() + self.tally.waiting() < self.limits.batch_rows && bytes < self.limits.batch_bytes {
            let Some(item) = self.items.next()? else { break };
            let (place, lines) = match item {
                Item::Whole { place, lines } => (place, lines),
                Item::TooLong { place, lines } => {
                    self.tally.bad(BadRow { place, lines, column: None, reason: RowFault::RecordTooLong })?;
                    continue;
                }
            };
            let written = self.items.bytes();
            bytes += written.len();
            match row(written, &self.names, &self.limits) {
                Ok(row) => {
                    self.fill(&row, place, places.len(), &mut columns)?;
                    places.push(place);
                    self.tally.read(1);
                }
                Err((reason, column)) => self.tally.bad(BadRow { place, lines, column, reason })?,
            }
        }
        let set_aside = self.tally.take();
        if places.is_empty() && set_aside.is_empty() {
            return Ok(None);
        }
        let rows = places.len();
        let columns = columns.into_iter().map(|column| column.map(|column| column.finish(rows))).collect();
        Ok(Some(SourceBatch { columns, places, first_row, set_aside }))
    }

    fn fill(&self, row: &Row<'_>, place: u64, at: usize, columns: &mut [Option<Filling>]) -> Result<(), SourceFault> {
        for (likely, (name, value)) in row.iter().enumerate() {
            let later = || SourceFault::FieldLater { place, column: name.parse().ok() };
            let column = self.names.place(name, likely).ok_or_else(later)?;
            if let Some(filling) = columns.get_mut(column).and_then(Option::as_mut) {
                filling.put(at, value).map_err(|OtherKind| later())?;
            }
        }
        Ok(())
    }
}
