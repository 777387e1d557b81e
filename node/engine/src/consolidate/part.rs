//! The files of a part: written in patient order, each with whole patients, and read again one after the other.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::vec::IntoIter;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use cohortium_protocol::ident::{ColumnName, Name};
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::table_version::{PartDigest, RowEncoding};
use serde::{Deserialize, Serialize};

use crate::columnar::plain_array;
use crate::consolidate::content::Content;
use crate::consolidate::fault::ConsolidateFault;
use crate::consolidate::merged::SortedBatches;
use crate::consolidate::shape::TableShape;
use crate::handle::Handle;
use crate::limits::Limits;
use crate::sink::RowsWriter;
use crate::source::{Format, SourceReader};

/// Where a part is written: as many files as it may take, the first that are needed are used. The last one takes all
/// rows that are left.
pub type PartSinks<'a, 's> = &'a mut dyn Iterator<Item = &'s mut (dyn Write + Send)>;

/// The patients of one file.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatientRange {
    /// The lowest.
    pub first: i64,
    /// The highest.
    pub last: i64,
}

impl fmt::Debug for PatientRange {
    /// Surrogate ids are cells: they do not print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a range of patients")
    }
}

/// One file of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFile {
    /// Its rows.
    pub rows: Rows,
    /// Its patients, in a table of patients: no other file of the part has rows of one of them.
    pub patients: Option<PatientRange>,
}

/// What a part came to. For the operator's engine and the member: it depends on rows (law 8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReport {
    /// The digest of its content.
    pub digest: PartDigest,
    /// Its rows.
    pub rows: Rows,
    /// The files that were written, in order.
    pub files: Vec<PartFile>,
    /// Columns of the common schema that have not landed: no row has a value there.
    pub absent: Vec<ColumnName>,
}

/// Writes a part and digests it on the way.
pub(crate) struct PartWriter<'a, 's> {
    shape: &'a TableShape,
    schema: SchemaRef,
    sinks: PartSinks<'a, 's>,
    writer: Option<RowsWriter<&'s mut (dyn Write + Send)>>,
    /// The file after the current one, taken early to know whether there is one.
    following: Option<&'s mut (dyn Write + Send)>,
    files: Vec<PartFile>,
    content: Content,
    limits: Limits,
}

impl<'a, 's> PartWriter<'a, 's> {
    pub(crate) fn new(shape: &'a TableShape, sinks: PartSinks<'a, 's>, limits: &Limits) -> Self {
        let following = sinks.next();
        Self {
            shape,
            schema: shape.schema(),
            sinks,
            writer: None,
            following,
            files: Vec::new(),
            content: Content::new(RowEncoding::new(), limits.rows_max),
            limits: *limits,
        }
    }

    /// Writes rows that follow those written before.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), ConsolidateFault> {
        self.content.add(batch, self.shape.content())?;
        let patients = self.shape.person().map(|place| batch.column(place).as_primitive::<Int64Type>().values());
        let mut from = 0;
        while from < batch.num_rows() {
            let patient = patients.map(|patients| patients[from]);
            let written = self.files.last().copied();
            let room = written.map_or(0, |file| self.limits.part_file_rows.saturating_sub(file.rows.0));
            let same = written.is_some_and(|file| patient.is_some() && file.patients.map(|all| all.last) == patient);
            let alike =
                patients.map_or(1, |patients| patients[from..].partition_point(|other| Some(*other) == patient));
            // A patient's rows stay together: a file that is full takes the rest of its last patient.
            let (begins, rows) = match room {
                0 if same => (false, alike),
                0 if written.is_none() || self.following.is_some() => (true, alike),
                0 => (false, batch.num_rows() - from),
                room => (false, usize::try_from(room).unwrap_or(usize::MAX).min(batch.num_rows() - from)),
            };
            if begins {
                self.begin()?;
            }
            self.append(
                &batch.slice(from, rows),
                patients.map(|patients| (patients[from], patients[from + rows - 1])),
            )?;
            from += rows;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), ConsolidateFault> {
        let sink = self.following.take().ok_or(ConsolidateFault::Sink { kind: io::ErrorKind::StorageFull })?;
        self.following = self.sinks.next();
        let full = self.writer.replace(RowsWriter::new(sink, Arc::clone(&self.schema), &self.limits)?);
        full.map(RowsWriter::finish).transpose()?;
        self.files.push(PartFile { rows: Rows(0), patients: None });
        Ok(())
    }

    fn append(&mut self, batch: &RecordBatch, patients: Option<(i64, i64)>) -> Result<(), ConsolidateFault> {
        let (Some(writer), Some(file)) = (&mut self.writer, self.files.last_mut()) else {
            return Err(ConsolidateFault::Batch);
        };
        writer.write(batch)?;
        file.rows.0 += batch.num_rows() as u64;
        if let Some((first, last)) = patients {
            file.patients = Some(PatientRange { first: file.patients.map_or(first, |before| before.first), last });
        }
        Ok(())
    }

    pub(crate) fn finish(self, member: &Name, absent: Vec<ColumnName>) -> Result<PartReport, ConsolidateFault> {
        self.writer.map(RowsWriter::finish).transpose()?;
        let rows = Rows(self.content.len());
        Ok(PartReport { digest: self.content.finish(self.shape.table(), member), rows, files: self.files, absent })
    }
}

/// Reads the files of a part, one after the other.
pub(crate) struct PartReader {
    schema: SchemaRef,
    files: IntoIter<Handle>,
    reader: Option<SourceReader>,
    limits: Limits,
}

impl PartReader {
    pub(crate) fn new(shape: &TableShape, files: &[Handle], limits: &Limits) -> Self {
        let files = files.to_vec();
        Self { schema: shape.schema(), files: files.into_iter(), reader: None, limits: *limits }
    }

    fn open(&self, file: &Handle) -> Result<SourceReader, ConsolidateFault> {
        let reader = SourceReader::open(file, Format::Parquet, &self.limits)?;
        let found = reader.columns().iter().map(|column| (column.name.as_str(), &column.kind));
        let wanted = self.schema.fields().iter().map(|field| (field.name().as_str(), field.data_type()));
        if found.eq(wanted) { Ok(reader) } else { Err(ConsolidateFault::NotAPart) }
    }
}

impl SortedBatches for PartReader {
    fn next_sorted(&mut self) -> Result<Option<RecordBatch>, ConsolidateFault> {
        loop {
            if let Some(reader) = &mut self.reader {
                if let Some(batch) = reader.next_batch()? {
                    let columns: Option<Vec<_>> = batch.columns.iter().flatten().map(plain_array).collect();
                    let columns = columns.ok_or(ConsolidateFault::NotAPart)?;
                    let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
                    return batch.map(Some).map_err(|_| ConsolidateFault::NotAPart);
                }
                self.reader = None;
            }
            let Some(file) = self.files.next() else { return Ok(None) };
            self.reader = Some(self.open(&file)?);
        }
    }
}

/// Reads the files of a part and digests what they hold: what a consolidation states can be checked at any time.
///
/// # Errors
/// [`ConsolidateFault`].
pub fn digest(
    shape: &TableShape,
    member: &Name,
    files: &[Handle],
    limits: &Limits,
) -> Result<(PartDigest, Rows), ConsolidateFault> {
    let mut reader = PartReader::new(shape, files, limits);
    let mut content = Content::new(RowEncoding::new(), limits.rows_max);
    while let Some(batch) = reader.next_sorted()? {
        content.add(&batch, shape.content())?;
    }
    let rows = Rows(content.len());
    Ok((content.finish(shape.table(), member), rows))
}
