//! What was drawn from a source that is no table of rows by itself: a database's rows, FHIR resources through a view.
//!
//! A Parquet file of our own making: each row's place in its source stands beside it, and what could not be read is a row
//! with a fault and nothing else, so that no row is lost between the two processes that have it in hand.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, UInt64Array, new_null_array};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::quantity::Rows;

use crate::batch::{SourceBatch, SourceColumn, SourceFault};
use crate::handle::Handle;
use crate::limits::Limits;
use crate::row_fault::{BadRow, FaultCode, RowFault, Tally, Tolerance};
use crate::sink::RowsWriter;
use crate::source::parquet::{NESTED, ParquetReader};

/// The columns before those of the source: the row's place, the fault's code, the fault's column.
const OWN: [&str; 3] = ["cohortium_drawn_place", "cohortium_drawn_fault", "cohortium_drawn_column"];
/// Faults that are written together.
const FAULTS: usize = 8_192;

/// Why what is drawn cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrawFault {
    /// The sink takes no more.
    Sink {
        /// How it failed.
        kind: io::ErrorKind,
    },
    /// Columns that are not those that were announced: the reader's fault, never a row's.
    Columns,
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnFault {
    /// Its place in the source, from 1.
    pub place: u64,
    /// The column, where the fault is in one.
    pub column: Option<ColumnName>,
    /// Why.
    pub code: FaultCode,
}

/// Writes what is drawn.
#[expect(missing_debug_implementations, reason = "it holds rows")]
pub struct DrawnWriter<W: Write + Send> {
    writer: RowsWriter<W>,
    schema: SchemaRef,
    faults: Vec<DrawnFault>,
    rows: u64,
}

impl<W: Write + Send> DrawnWriter<W> {
    /// Begins a file with these columns.
    ///
    /// # Errors
    /// [`DrawFault`].
    pub fn new(sink: W, columns: &[SourceColumn], limits: &Limits) -> Result<Self, DrawFault> {
        let own = [DataType::UInt64, DataType::Utf8, DataType::Utf8].into_iter().zip(OWN);
        let own = own.map(|(kind, name)| Field::new(name, kind, true));
        let theirs = columns.iter().map(|column| {
            let field = Field::new(column.name.as_str(), column.kind.clone(), true);
            let nested = column.nested.then(|| (NESTED.to_owned(), String::new()));
            field.with_metadata(nested.into_iter().collect())
        });
        let schema: SchemaRef = Arc::new(Schema::new(own.chain(theirs).collect::<Vec<_>>()));
        let writer = RowsWriter::new(sink, Arc::clone(&schema), limits).map_err(|fault| sunk(fault.kind))?;
        Ok(Self { writer, schema, faults: Vec::new(), rows: 0 })
    }

    /// Rows that were read, one array for each column, with their places.
    ///
    /// # Errors
    /// [`DrawFault`].
    pub fn rows(&mut self, columns: Vec<ArrayRef>, places: Vec<u64>) -> Result<(), DrawFault> {
        if places.is_empty() {
            return Ok(());
        }
        self.flush()?;
        let none = new_null_array(&DataType::Utf8, places.len());
        let own: [ArrayRef; 3] = [Arc::new(UInt64Array::from(places)), Arc::clone(&none), none];
        self.write(own.into_iter().chain(columns).collect())
    }

    /// A row that could not be read.
    ///
    /// # Errors
    /// [`DrawFault`].
    pub fn fault(&mut self, fault: DrawnFault) -> Result<(), DrawFault> {
        self.faults.push(fault);
        if self.faults.len() >= FAULTS { self.flush() } else { Ok(()) }
    }

    /// How many rows there are so far, read or not.
    pub const fn count(&self) -> u64 {
        self.rows + self.faults.len() as u64
    }

    fn flush(&mut self) -> Result<(), DrawFault> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let faults = std::mem::take(&mut self.faults);
        let places: UInt64Array = faults.iter().map(|fault| Some(fault.place)).collect();
        let codes: StringArray = faults.iter().map(|fault| Some(fault.code.as_str())).collect();
        let names: StringArray = faults.iter().map(|fault| fault.column.as_ref().map(ColumnName::as_str)).collect();
        let own: [ArrayRef; 3] = [Arc::new(places), Arc::new(codes), Arc::new(names)];
        let theirs = self.schema.fields().iter().skip(OWN.len());
        let theirs = theirs.map(|field| new_null_array(field.data_type(), faults.len()));
        let columns = own.into_iter().chain(theirs).collect();
        self.write(columns)
    }

    fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), DrawFault> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|_| DrawFault::Columns)?;
        self.rows += batch.num_rows() as u64;
        self.writer.write(&batch).map_err(|fault| sunk(fault.kind))
    }

    /// Ends the file. Returns the rows, read or not.
    ///
    /// # Errors
    /// [`DrawFault`].
    pub fn finish(mut self) -> Result<Rows, DrawFault> {
        self.flush()?;
        self.writer.finish().map(Rows).map_err(|fault| sunk(fault.kind))
    }
}

const fn sunk(kind: io::ErrorKind) -> DrawFault {
    DrawFault::Sink { kind }
}

/// Reads what was drawn.
pub(crate) struct DrawnReader {
    file: ParquetReader,
    columns: Vec<SourceColumn>,
    tally: Tally,
}

impl DrawnReader {
    /// Reads the footer.
    pub(crate) fn open(handle: &Handle, limits: &Limits, tolerance: Tolerance) -> Result<Self, SourceFault> {
        // A limit of the file's own reader is a fault of the file: what is in it was within all limits once.
        let file = ParquetReader::open(handle, limits, Tolerance::Refuse)?;
        let own = file.columns().iter().map(|column| column.name.as_str()).take(OWN.len()).eq(OWN);
        if !own {
            return Err(SourceFault::Damaged { rows: 0 });
        }
        let columns = file.columns()[OWN.len()..].to_vec();
        Ok(Self { file, columns, tally: Tally::new(tolerance) })
    }

    /// The columns, in the source's order.
    pub(crate) fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    /// Reads only these columns.
    pub(crate) fn project(&mut self, needed: &[bool]) {
        self.file.project(&[&[true; OWN.len()], needed].concat());
    }

    /// The next rows; `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceFault> {
        let Some(batch) = self.file.next_batch()? else { return Ok(None) };
        let first_row = self.tally.rows();
        let damaged = || SourceFault::Damaged { rows: first_row };
        let [Some(places), Some(codes), Some(names), columns @ ..] = batch.columns.as_slice() else {
            return Err(damaged());
        };
        let places = places.as_primitive_opt::<UInt64Type>().ok_or_else(damaged)?;
        let texts = codes.as_string_opt::<i32>().zip(names.as_string_opt::<i32>());
        let (codes, names) = texts.ok_or_else(damaged)?;
        for row in 0..places.len() {
            if codes.is_null(row) {
                self.tally.read(1);
                continue;
            }
            let code = FaultCode::of(codes.value(row)).ok_or_else(damaged)?;
            let column = names.is_valid(row).then(|| ColumnName::try_from(names.value(row).to_owned()));
            let column = column.transpose().map_err(|_| damaged())?;
            let place = places.value(row);
            self.tally.bad(BadRow { place, lines: 1, column, reason: RowFault::Drawn(code) })?;
        }
        let read: BooleanArray = (0..places.len()).map(|row| Some(codes.is_null(row))).collect();
        let all = read.true_count() == places.len();
        let cut = |array: &ArrayRef| {
            if all { Ok(Arc::clone(array)) } else { filter(array, &read).map_err(|_| damaged()) }
        };
        let columns = columns.iter().map(|column| column.as_ref().map(cut).transpose()).collect::<Result<_, _>>()?;
        let places = (0..places.len()).filter(|row| read.value(*row)).map(|row| places.value(row)).collect();
        Ok(Some(SourceBatch { columns, places, first_row, set_aside: self.tally.take() }))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;
    use crate::source::{Format, SourceReader};

    fn name(text: &str) -> ColumnName {
        text.parse().unwrap()
    }

    fn drawn() -> Handle {
        let mut bytes = Vec::new();
        let mut json = SourceColumn::new(name("b"), DataType::Utf8);
        json.nested = true;
        let columns = [SourceColumn::new(name("a"), DataType::Int64), json];
        let mut writer = DrawnWriter::new(&mut bytes, &columns, &Limits::default()).unwrap();
        let rows = |from: i64, places: &[u64]| {
            let numbers = Int64Array::from_iter_values(from..from + i64::try_from(places.len()).unwrap());
            let texts: StringArray = places.iter().map(|place| Some(format!("t{place}"))).collect();
            (vec![Arc::new(numbers) as ArrayRef, Arc::new(texts) as ArrayRef], places.to_vec())
        };
        let (columns, places) = rows(1, &[7, 7]);
        writer.rows(columns, places).unwrap();
        let code = FaultCode::of("many-values").unwrap();
        writer.fault(DrawnFault { place: 8, column: Some(name("a")), code }).unwrap();
        writer.fault(DrawnFault { place: 9, column: None, code }).unwrap();
        let (columns, places) = rows(3, &[12]);
        writer.rows(columns, places).unwrap();
        assert_eq!((writer.count(), writer.finish()), (5, Ok(Rows(5))));
        Arc::new(bytes)
    }

    #[test]
    fn every_row_that_was_drawn_is_read_or_set_aside_with_its_place_in_the_source() {
        let handle = drawn();
        let mut reader =
            SourceReader::open_with(&handle, Format::Drawn, &Limits::default(), Tolerance::SetAside).unwrap();
        let seen: Vec<_> = reader.columns().iter().map(|column| (column.name.as_str(), column.nested)).collect();
        assert_eq!(seen, [("a", false), ("b", true)]);
        reader.project(&[true, false]);
        let batch = reader.next_batch().unwrap().unwrap();
        assert_eq!((batch.places.as_slice(), batch.row_numbers()), (&[7, 7, 12][..], vec![1, 2, 5]));
        let aside: Vec<_> = batch.set_aside.iter().map(|row| (row.place, row.row, row.reason.code())).collect();
        assert_eq!(aside, [(8, 3, "many-values"), (9, 4, "many-values")]);
        assert_eq!(batch.columns[0].as_ref().unwrap().len(), 3);
        assert!(batch.columns[1].is_none() && reader.next_batch().unwrap().is_none());
    }

    #[test]
    fn where_no_row_may_be_set_aside_the_first_ends_the_run_with_its_place() {
        let mut reader = SourceReader::open(&drawn(), Format::Drawn, &Limits::default()).unwrap();
        let fault = reader.next_batch().err().unwrap();
        assert_eq!(fault.to_string(), "row at 8, column a: many-values");
    }

    #[test]
    fn a_file_of_another_make_is_none() {
        let mut bytes = Vec::new();
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        RowsWriter::new(&mut bytes, schema, &Limits::default()).unwrap().finish().unwrap();
        let handle: Handle = Arc::new(bytes);
        let opened = SourceReader::open(&handle, Format::Drawn, &Limits::default());
        assert_eq!(opened.err(), Some(SourceFault::Damaged { rows: 0 }));
    }
}
