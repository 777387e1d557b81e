//! Rows to Arrow: one builder a column.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Int64Builder, ListBuilder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::rows::{Cell, Table, text_bytes};
use crate::view::{CellType, Column, View};

/// The key of a field's metadata that holds the FHIR type which the view declares.
pub const FHIR_TYPE: &str = "fhir:type";

impl View {
    /// The schema of the batches. Every column may be null; the elements of a list may be, too.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }
}

fn field(column: &Column) -> Field {
    let primitive = match column.cell {
        CellType::Boolean => DataType::Boolean,
        CellType::Integer => DataType::Int64,
        CellType::Decimal | CellType::Text | CellType::Untyped | CellType::Json => DataType::Utf8,
    };
    let data_type = if column.collection { DataType::new_list(primitive, true) } else { primitive };
    let declared = column.fhir_type.iter().map(|name| (FHIR_TYPE.to_owned(), name.clone()));
    Field::new(&column.name, data_type, true).with_metadata(declared.collect::<HashMap<_, _>>())
}

/// The columns of the batch that is being filled.
#[derive(Debug)]
pub(crate) struct Builders {
    schema: SchemaRef,
    columns: Vec<Builder>,
    /// The line that each row's record begins on.
    lines: Vec<u64>,
    bytes: usize,
}

#[derive(Debug)]
enum Builder {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Text(StringBuilder),
    Booleans(ListBuilder<BooleanBuilder>),
    Integers(ListBuilder<Int64Builder>),
    Texts(ListBuilder<StringBuilder>),
}

impl Builders {
    pub(crate) fn new(view: &View) -> Self {
        let columns = view.columns.iter().map(|column| Builder::new(column.cell, column.collection)).collect();
        Self { schema: view.schema(), columns, lines: Vec::new(), bytes: 0 }
    }

    pub(crate) fn rows(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds some rows of the table of a record that begins on this line, by their numbers.
    pub(crate) fn add(&mut self, table: &Table<'_>, rows: std::ops::Range<usize>, line: u64) {
        let width = self.columns.len();
        self.lines.extend(std::iter::repeat_n(line, rows.len()));
        for row in table.cells[rows.start * width..rows.end * width].chunks_exact(width) {
            for (builder, cell) in self.columns.iter_mut().zip(row) {
                self.bytes += text_bytes(cell);
                builder.add(cell);
            }
        }
    }

    /// The batch, if it has rows, and the lines of their records. The builders are empty then.
    pub(crate) fn finish(&mut self) -> Option<(RecordBatch, Vec<u64>)> {
        if self.lines.is_empty() {
            return None;
        }
        let lines = std::mem::take(&mut self.lines);
        self.bytes = 0;
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(Builder::finish).collect();
        // Columns of one length and of the schema's types cannot be refused.
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).ok().map(|batch| (batch, lines))
    }
}

impl Builder {
    fn new(cell: CellType, collection: bool) -> Self {
        match (cell, collection) {
            (CellType::Boolean, false) => Self::Boolean(BooleanBuilder::new()),
            (CellType::Integer, false) => Self::Integer(Int64Builder::new()),
            (CellType::Boolean, true) => Self::Booleans(ListBuilder::new(BooleanBuilder::new())),
            (CellType::Integer, true) => Self::Integers(ListBuilder::new(Int64Builder::new())),
            (_, false) => Self::Text(StringBuilder::new()),
            (_, true) => Self::Texts(ListBuilder::new(StringBuilder::new())),
        }
    }

    /// Adds a cell. A cell that is not of the column's type cannot come: `rows` makes them by the same type.
    fn add(&mut self, cell: &Cell<'_>) {
        match self {
            Self::Boolean(builder) => builder.append_option(boolean(cell)),
            Self::Integer(builder) => builder.append_option(integer(cell)),
            Self::Text(builder) => builder.append_option(text(cell)),
            Self::Booleans(builder) => {
                builder.values().extend(elements(cell).iter().map(boolean));
                builder.append(is_list(cell));
            }
            Self::Integers(builder) => {
                builder.values().extend(elements(cell).iter().map(integer));
                builder.append(is_list(cell));
            }
            Self::Texts(builder) => {
                builder.values().extend(elements(cell).iter().map(text));
                builder.append(is_list(cell));
            }
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Booleans(builder) => Arc::new(builder.finish()),
            Self::Integers(builder) => Arc::new(builder.finish()),
            Self::Texts(builder) => Arc::new(builder.finish()),
        }
    }
}

fn boolean(cell: &Cell<'_>) -> Option<bool> {
    if let Cell::Boolean(value) = cell { Some(*value) } else { None }
}

fn integer(cell: &Cell<'_>) -> Option<i64> {
    if let Cell::Integer(value) = cell { Some(*value) } else { None }
}

fn text<'c>(cell: &'c Cell<'_>) -> Option<&'c str> {
    if let Cell::Text(value) = cell { Some(value) } else { None }
}

fn elements<'c, 'a>(cell: &'c Cell<'a>) -> &'c [Cell<'a>] {
    if let Cell::List(cells) = cell { cells } else { &[] }
}

fn is_list(cell: &Cell<'_>) -> bool {
    matches!(cell, Cell::List(_))
}
