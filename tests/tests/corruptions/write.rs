//! One table in any format: what a site's rows are as CSV in its dialect, NDJSON, a JSON array, Parquet or Arrow IPC.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use cohortium_testnet::hospital::{Dialect, LineEnd, Mark, Quoting, Site, TableKind};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

/// A format of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Csv,
    Ndjson,
    Json,
    Parquet,
    ArrowIpc,
}

impl Form {
    pub(crate) const ALL: [Self; 5] = [Self::Csv, Self::Ndjson, Self::Json, Self::Parquet, Self::ArrowIpc];

    /// Whether a row is a line of text.
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Ndjson | Self::Json)
    }
}

/// One record of a file: cells, or for a format of text what stands in its line instead.
#[derive(Clone)]
pub(crate) enum Record {
    /// `None`: no value, where the format has such a thing.
    Cells(Vec<Option<String>>),
    Raw(Vec<u8>),
}

/// A table's header and rows.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) kind: TableKind,
    pub(crate) dialect: Dialect,
    pub(crate) headers: Vec<String>,
    pub(crate) meanings: Vec<String>,
    pub(crate) rows: Vec<Record>,
}

impl Table {
    pub(crate) fn of(site: &Site, kind: TableKind) -> Self {
        let columns = site.table(kind).columns;
        let cells = |row: cohortium_testnet::hospital::Row| {
            Record::Cells(row.cells().map(|cell| Some(cell.to_owned())).collect())
        };
        Self {
            kind,
            dialect: site.dialect,
            headers: columns.iter().map(|column| column.name.clone()).collect(),
            meanings: columns.iter().map(|column| column.meaning.clone()).collect(),
            rows: site.rows(kind).map(cells).collect(),
        }
    }

    pub(crate) fn column(&self, meaning: &str) -> Option<usize> {
        self.meanings.iter().position(|found| found == meaning)
    }

    /// A row's cells.
    pub(crate) fn cells(&self, row: usize) -> &[Option<String>] {
        match &self.rows[row] {
            Record::Cells(cells) => cells,
            Record::Raw(_) => panic!("row {row} is no cells"),
        }
    }

    /// The place, for people, of a record of a file in this format.
    pub(crate) const fn place(form: Form, record: usize) -> u64 {
        let lines_before = match form {
            Form::Csv | Form::Json => 1,
            Form::Ndjson | Form::Parquet | Form::ArrowIpc => 0,
        };
        record as u64 + 1 + lines_before
    }

    /// The whole file.
    pub(crate) fn write(&self, form: Form) -> Vec<u8> {
        match form {
            Form::Csv | Form::Ndjson => self.lines(form),
            Form::Json => self.array(),
            Form::Parquet => {
                let zstd = Compression::ZSTD(ZstdLevel::try_new(1).unwrap());
                parquet_file(&self.batch(), WriterProperties::builder().set_compression(zstd))
            }
            Form::ArrowIpc => arrow_file(&self.batch(), 700),
        }
    }

    fn lines(&self, form: Form) -> Vec<u8> {
        let mut bytes = Vec::new();
        if form == Form::Csv {
            if self.dialect.mark == Mark::ByteOrder {
                bytes.extend("\u{feff}".bytes());
            }
            let header: Vec<Option<String>> = self.headers.iter().cloned().map(Some).collect();
            bytes.extend(self.record(form, &Record::Cells(header)));
            bytes.extend(self.line_end(form));
        }
        for row in &self.rows {
            bytes.extend(self.record(form, row));
            bytes.extend(self.line_end(form));
        }
        bytes
    }

    fn array(&self) -> Vec<u8> {
        let rows: Vec<Vec<u8>> = self.rows.iter().map(|row| self.record(Form::Json, row)).collect();
        [b"[\n".as_slice(), &rows.join(b",\n".as_slice()), b"\n]\n"].concat()
    }

    fn line_end(&self, form: Form) -> &'static [u8] {
        if form == Form::Csv && self.dialect.line_end == LineEnd::CrLf { b"\r\n" } else { b"\n" }
    }

    /// One record without its line end.
    pub(crate) fn record(&self, form: Form, record: &Record) -> Vec<u8> {
        match (record, form) {
            (Record::Raw(bytes), _) => bytes.clone(),
            (Record::Cells(cells), Form::Csv) => {
                let cells: Vec<String> = cells.iter().map(|cell| self.cell(cell.as_deref().unwrap_or(""))).collect();
                cells.join(&self.dialect.delimiter.to_string()).into_bytes()
            }
            (Record::Cells(cells), _) => self.object(cells).into_bytes(),
        }
    }

    /// A cell as CSV of this dialect has it.
    pub(crate) fn cell(&self, text: &str) -> String {
        let needed = text.contains([self.dialect.delimiter, '"', '\r', '\n']);
        if needed || self.dialect.quoting == Quoting::Always {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    }

    /// The row as a JSON object; a field for each cell.
    pub(crate) fn object(&self, cells: &[Option<String>]) -> String {
        let field = |(name, cell): (&String, &Option<String>)| format!("{}:{}", json(name), json(cell));
        format!("{{{}}}", self.headers.iter().zip(cells).map(field).collect::<Vec<_>>().join(","))
    }

    /// As Parquet whose columns are one page each, in which no value stands for others.
    pub(crate) fn write_in_large_pages(&self) -> Vec<u8> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
            .set_dictionary_enabled(false)
            .set_data_page_size_limit(1 << 30)
            .set_write_batch_size(1 << 20);
        parquet_file(&self.batch(), properties)
    }

    fn batch(&self) -> RecordBatch {
        let fields = self.headers.iter().map(|name| Field::new(name, DataType::Utf8, true));
        let column = |column: usize| -> ArrayRef {
            let cells = (0..self.rows.len()).map(|row| self.cells(row)[column].as_deref());
            Arc::new(cells.collect::<StringArray>())
        };
        let columns = (0..self.headers.len()).map(column).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).unwrap()
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// Row groups of 700 rows.
fn parquet_file(batch: &RecordBatch, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let properties = properties.set_max_row_group_row_count(Some(700)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Batches of so many rows, compressed.
fn arrow_file(batch: &RecordBatch, group: usize) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new_with_options(&mut bytes, &batch.schema(), options).unwrap();
    for from in (0..batch.num_rows()).step_by(group) {
        writer.write(&batch.slice(from, group.min(batch.num_rows() - from))).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}
