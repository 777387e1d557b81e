//! The rows that a view makes of one record. Source: SQL on FHIR, processing algorithm.

use std::borrow::Cow;

use crate::fault::Reason;
use crate::limits::Limits;
use crate::names::Name;
use crate::path::compile::Expr;
use crate::path::eval::Scope;
use crate::path::operator::condition;
use crate::path::value::{Item, Record, Scalar};
use crate::view::{CellType, Each, Select, Slot, View};

/// One cell.
#[derive(Debug, Clone)]
pub(crate) enum Cell<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Text(Cow<'a, str>),
    List(Vec<Cell<'a>>),
}

/// Rows of equal width. The width may be nothing; the rows count all the same.
#[derive(Debug, Default)]
pub(crate) struct Table<'a> {
    pub(crate) rows: usize,
    pub(crate) cells: Vec<Cell<'a>>,
}

/// The bytes of text in a cell; each element of a list counts for its place in memory besides.
pub(crate) fn text_bytes(cell: &Cell<'_>) -> usize {
    match cell {
        Cell::Text(text) => text.len(),
        Cell::List(cells) => cells.iter().map(|cell| size_of::<Cell<'_>>() + text_bytes(cell)).sum(),
        Cell::Null | Cell::Boolean(_) | Cell::Integer(_) => 0,
    }
}

/// What is wrong with a record, and with which part of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowFault {
    pub(crate) part: Part,
    pub(crate) reason: Reason,
}

/// A part of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Filter(usize),
    Column(usize),
    /// A path that rows are made by, or their number.
    Rows,
}

/// What a record is to a view.
#[derive(Debug)]
pub(crate) enum Made<'a> {
    /// It is a resource of another type.
    OtherType,
    /// It is of the view's type, and a filter leaves it out.
    Filtered,
    Rows(Table<'a>),
}

/// Applies a view to a record.
///
/// # Errors
/// The first fault; the record then has no rows.
pub(crate) fn rows<'a>(view: &'a View, record: Record<'a>, limits: &Limits) -> Result<Made<'a>, RowFault> {
    let at = |part: Part| move |reason: Reason| RowFault { part, reason };
    let found =
        record.property(record.root, Name::RESOURCE_TYPE).ok_or(Reason::NotAResource).map_err(at(Part::Rows))?;
    if found != view.resource {
        return Ok(Made::OtherType);
    }
    let scope = Scope { record, row_index: 0 };
    let root = Item::Node(record.root);
    for (number, filter) in view.filters.iter().enumerate() {
        let passed = scope.all(filter, &root).and_then(|values| passes(&scope, &values));
        if !passed.map_err(at(Part::Filter(number)))? {
            return Ok(Made::Filtered);
        }
    }
    let mut table = Table::default();
    let maker = Maker { record, limits, bytes: std::cell::Cell::new(0) };
    maker.select(&view.root, &root, 0, &mut table)?;
    Ok(Made::Rows(table))
}

/// Whether a filter's values let a record through: nothing does not, and what is no boolean is a fault.
fn passes<'a>(scope: &Scope<'a>, values: &[Item<'a>]) -> Result<bool, Reason> {
    match condition(scope.record, values)? {
        None => Ok(false),
        Some(value) => match values.first().map(|item| scope.record.scalar(item)) {
            Some(Scalar::Boolean(_)) => Ok(value),
            _ => Err(Reason::NotBoolean),
        },
    }
}

struct Maker<'a, 'l> {
    record: Record<'a>,
    limits: &'l Limits,
    /// Bytes of text in the cells made so far.
    bytes: std::cell::Cell<usize>,
}

impl<'a> Maker<'a, '_> {
    /// Adds the rows of a select to `out`, whose rows have its width.
    fn select(
        &self,
        select: &'a Select,
        focus: &Item<'a>,
        row_index: i64,
        out: &mut Table<'a>,
    ) -> Result<(), RowFault> {
        let scope = Scope { record: self.record, row_index };
        let at_rows = |reason| RowFault { part: Part::Rows, reason };
        let foci = match &select.each {
            Each::One => return self.at_focus(select, focus, row_index, out),
            Each::Value(path) | Each::ValueOrNull(path) => scope.all(path, focus).map_err(at_rows)?,
            Each::Repeat(paths) => {
                let mut found = Vec::new();
                self.descend(&scope, paths, focus, &mut found).map_err(at_rows)?;
                found
            }
        };
        if foci.is_empty() && matches!(select.each, Each::ValueOrNull(_)) {
            out.rows += 1;
            out.cells.extend(
                (0..select.width).map(
                    |at| {
                        if select.row_indexes.contains(&at) { Cell::Integer(0) } else { Cell::Null }
                    },
                ),
            );
            return self.bounded(out);
        }
        for (row_index, focus) in (0..).zip(&foci) {
            self.at_focus(select, focus, row_index, out)?;
        }
        Ok(())
    }

    /// All values that the paths reach from one another, each before those that are reached from it.
    fn descend(
        &self,
        scope: &Scope<'a>,
        paths: &'a [Expr],
        from: &Item<'a>,
        found: &mut Vec<Item<'a>>,
    ) -> Result<(), Reason> {
        for path in paths {
            for item in scope.all(path, from)? {
                if !self.is_inside(&item, from) {
                    return Err(Reason::Repeat);
                }
                if found.len() >= self.limits.record_rows_max {
                    return Err(Reason::RecordRows);
                }
                found.push(item.clone());
                self.descend(scope, paths, &item, found)?;
            }
        }
        Ok(())
    }

    /// Whether a value lies inside another one: then a recursion ends, at the latest where the record's depth does.
    fn is_inside(&self, inner: &Item<'a>, outer: &Item<'a>) -> bool {
        match (Record::node(inner), Record::node(outer)) {
            (Some(inner), Some(outer)) => inner > outer && inner < self.record.tape.after(outer),
            _ => false,
        }
    }

    /// Adds the rows of a select at one value: its columns, joined with the rows of its inner selects and of its union.
    fn at_focus(
        &self,
        select: &'a Select,
        focus: &Item<'a>,
        row_index: i64,
        out: &mut Table<'a>,
    ) -> Result<(), RowFault> {
        if select.selects.is_empty() && select.unions.is_empty() {
            self.columns(&select.columns, focus, row_index, &mut out.cells)?;
            out.rows += 1;
            return self.bounded(out);
        }
        let mut joined = Table { rows: 1, cells: Vec::with_capacity(select.width) };
        self.columns(&select.columns, focus, row_index, &mut joined.cells)?;
        for inner in &select.selects {
            if joined.rows == 1
                && matches!(inner.each, Each::One)
                && inner.selects.is_empty()
                && inner.unions.is_empty()
            {
                self.columns(&inner.columns, focus, row_index, &mut joined.cells)?;
                continue;
            }
            let mut right = Table::default();
            self.select(inner, focus, row_index, &mut right)?;
            joined = self.product(joined, right, inner.width)?;
        }
        if let Some(first) = select.unions.first() {
            let mut right = Table::default();
            for branch in &select.unions {
                self.select(branch, focus, row_index, &mut right)?;
            }
            joined = self.product(joined, right, first.width)?;
        }
        out.rows += joined.rows;
        out.cells.append(&mut joined.cells);
        self.bounded(out)
    }

    /// Each row of one table with each row of the other, whose width is given.
    fn product(&self, left: Table<'a>, right: Table<'a>, width: usize) -> Result<Table<'a>, RowFault> {
        if left.rows == 1 {
            if right.rows == 1 {
                let mut cells = left.cells;
                cells.extend(right.cells);
                return Ok(Table { rows: 1, cells });
            }
            if left.cells.is_empty() {
                return Ok(right);
            }
        }
        let rows = left.rows.saturating_mul(right.rows);
        let left_width = left.cells.len().checked_div(left.rows).unwrap_or(0);
        let size = rows.saturating_mul(left_width + width);
        if rows > self.limits.record_rows_max || size > self.limits.record_cells_max {
            return Err(RowFault { part: Part::Rows, reason: Reason::RecordRows });
        }
        let bytes = |cells: &[Cell<'a>]| cells.iter().map(text_bytes).sum::<usize>();
        let copied = bytes(&left.cells).saturating_mul(right.rows);
        self.spend(copied.saturating_add(bytes(&right.cells).saturating_mul(left.rows)))
            .map_err(|reason| RowFault { part: Part::Rows, reason })?;
        let mut cells = Vec::with_capacity(size);
        for l in 0..left.rows {
            for r in 0..right.rows {
                cells.extend_from_slice(&left.cells[l * left_width..(l + 1) * left_width]);
                cells.extend_from_slice(&right.cells[r * width..(r + 1) * width]);
            }
        }
        Ok(Table { rows, cells })
    }

    /// Counts bytes of text against the limit of the record.
    fn spend(&self, bytes: usize) -> Result<(), Reason> {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        if self.bytes.get() > self.limits.row_bytes_max { Err(Reason::RowBytes) } else { Ok(()) }
    }

    fn bounded(&self, table: &Table<'a>) -> Result<(), RowFault> {
        if table.rows > self.limits.record_rows_max || table.cells.len() > self.limits.record_cells_max {
            return Err(RowFault { part: Part::Rows, reason: Reason::RecordRows });
        }
        Ok(())
    }

    fn columns(
        &self,
        slots: &'a [Slot],
        focus: &Item<'a>,
        row_index: i64,
        cells: &mut Vec<Cell<'a>>,
    ) -> Result<(), RowFault> {
        let scope = Scope { record: self.record, row_index };
        for slot in slots {
            let at_column = |reason| RowFault { part: Part::Column(slot.column), reason };
            let values = scope.all(&slot.expr, focus).map_err(at_column)?;
            let cell = self.cell(slot, &values).map_err(at_column)?;
            self.spend(text_bytes(&cell)).map_err(at_column)?;
            cells.push(cell);
        }
        Ok(())
    }

    fn cell(&self, slot: &Slot, values: &[Item<'a>]) -> Result<Cell<'a>, Reason> {
        match values {
            _ if slot.collection => {
                if values.len() > self.limits.record_cells_max {
                    return Err(Reason::RecordRows);
                }
                let cells = values.iter().map(|value| self.value(slot, value));
                Ok(Cell::List(cells.collect::<Result<_, _>>()?))
            }
            [] => Ok(Cell::Null),
            [value] => self.value(slot, value),
            _ => Err(Reason::ManyValues),
        }
    }

    /// One value as the column's type has it; nothing is rounded, cut or guessed.
    fn value(&self, slot: &Slot, item: &Item<'a>) -> Result<Cell<'a>, Reason> {
        let text = |text: String| Cell::Text(Cow::Owned(text));
        Ok(match (slot.cell, self.record.scalar(item)) {
            (_, Scalar::Missing) => Cell::Null,
            (CellType::Boolean, Scalar::Boolean(value)) => Cell::Boolean(value),
            (CellType::Integer, Scalar::Integer(value)) => Cell::Integer(value),
            (CellType::Integer, Scalar::Decimal(value)) => Cell::Integer(value.whole().ok_or(Reason::ColumnType)?),
            (CellType::Integer, Scalar::Text(text)) if slot.wide => {
                Cell::Integer(text.parse().map_err(|_| Reason::ColumnType)?)
            }
            (CellType::Decimal | CellType::Untyped, Scalar::Integer(value)) => text(value.to_string()),
            (CellType::Decimal | CellType::Untyped, Scalar::Number(raw)) | (CellType::Json, Scalar::Complex(raw)) => {
                Cell::Text(Cow::Borrowed(raw))
            }
            (CellType::Decimal | CellType::Untyped, Scalar::Decimal(value)) => text(value.to_string()),
            (CellType::Text | CellType::Untyped, Scalar::Text(text)) => Cell::Text(text),
            (CellType::Untyped, Scalar::Boolean(value)) => {
                Cell::Text(Cow::Borrowed(if value { "true" } else { "false" }))
            }
            (_, Scalar::Complex(_)) => return Err(Reason::ComplexValue),
            _ => return Err(Reason::ColumnType),
        })
    }
}
