//! The files of a part, as they are written: in patient order, each with whole patients; what they hold, digested again; and as one
//! file for people.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use cohortium_protocol::ident::{ColumnName, Name};
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::table_version::PartDigest;
use serde::{Deserialize, Serialize};

use crate::consolidate::content::{Content, Digested};
use crate::consolidate::fault::ConsolidateFault;
use crate::consolidate::layers::{Layers, PartReader, Seen};
use crate::consolidate::merged::SortedBatches;
use crate::consolidate::shape::TableShape;
use crate::handle::Handle;
use crate::limits::Limits;
use crate::sink::RowsWriter;

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
    /// Its patients, in a table of patients: no other file that was written with it has rows of one of them.
    pub patients: Option<PatientRange>,
}

/// What a part came to. For the operator's engine and the member: it depends on rows (law 8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReport {
    /// The digest of its content.
    pub digest: PartDigest,
    /// Its rows.
    pub rows: Rows,
    /// Files of the part before that are the first of this one.
    pub kept: usize,
    /// Whether a file of ids that are gone was written, before the files of rows.
    pub gone: bool,
    /// The files of rows that were written, in order.
    pub files: Vec<PartFile>,
    /// Columns of the common schema that have not landed: no row has a value there.
    pub absent: Vec<ColumnName>,
}

impl PartReport {
    /// How many sinks were used, from the first.
    pub fn written(&self) -> usize {
        self.files.len() + usize::from(self.gone)
    }
}

/// Writes rows of a part and takes in their digests.
pub(crate) struct PartWriter<'a, 's> {
    shape: &'a TableShape,
    schema: SchemaRef,
    sinks: PartSinks<'a, 's>,
    writer: Option<RowsWriter<&'s mut (dyn Write + Send)>>,
    /// The file after the current one, taken early to know whether there is one.
    following: Option<&'s mut (dyn Write + Send)>,
    files: Vec<PartFile>,
    gone: bool,
    content: Content,
    limits: Limits,
}

impl<'a, 's> PartWriter<'a, 's> {
    /// Begins after rows that are written already, whose digests are given.
    pub(crate) fn new(shape: &'a TableShape, sinks: PartSinks<'a, 's>, content: Content, limits: &Limits) -> Self {
        let following = sinks.next();
        let schema = shape.file_schema();
        Self { shape, schema, sinks, writer: None, following, files: Vec::new(), gone: false, content, limits: *limits }
    }

    /// Writes the file of ids that are gone; to be called before the first row.
    pub(crate) fn write_gone(&mut self, gone: &RecordBatch) -> Result<(), ConsolidateFault> {
        let mut writer = RowsWriter::new(self.next_sink()?, gone.schema(), &self.limits)?;
        writer.write(gone)?;
        writer.finish()?;
        self.gone = true;
        Ok(())
    }

    fn next_sink(&mut self) -> Result<&'s mut (dyn Write + Send), ConsolidateFault> {
        let sink = self.following.take().ok_or(ConsolidateFault::Sink { kind: io::ErrorKind::StorageFull })?;
        self.following = self.sinks.next();
        Ok(sink)
    }

    /// Writes rows that follow those written before.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), ConsolidateFault> {
        self.content.add(batch.columns().last().ok_or(ConsolidateFault::Batch)?, |_| true)?;
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
        let sink = self.next_sink()?;
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

    pub(crate) fn finish(
        self,
        member: &Name,
        kept: usize,
        absent: Vec<ColumnName>,
    ) -> Result<PartReport, ConsolidateFault> {
        self.writer.map(RowsWriter::finish).transpose()?;
        let Self { content, files, gone, .. } = self;
        let rows = Rows(content.len());
        Ok(PartReport { digest: content.finish(self.shape.table(), member), rows, kept, gone, files, absent })
    }
}

/// Reads the files of a part and digests what they hold: what a consolidation states can be checked at any time.
///
/// # Errors
/// [`ConsolidateFault`]; `NotAPart` also where the digest beside a row is not the row's.
pub fn digest(
    shape: &TableShape,
    member: &Name,
    files: &[Handle],
    limits: &Limits,
) -> Result<(PartDigest, Rows), ConsolidateFault> {
    each_digested(shape, member, files, limits, |_| Ok(()))
}

/// Writes a part as one Parquet file for people, in patient order, and digests it on the way.
///
/// # Errors
/// As [`digest`]; what the sink got by then is no table.
pub fn copy(
    shape: &TableShape,
    member: &Name,
    files: &[Handle],
    sink: &mut (dyn Write + Send),
    limits: &Limits,
) -> Result<(PartDigest, Rows), ConsolidateFault> {
    let mut writer = RowsWriter::new(sink, shape.schema(), limits)?;
    let copied = each_digested(shape, member, files, limits, |batch| Ok(writer.write(batch)?))?;
    writer.finish()?;
    Ok(copied)
}

fn each_digested(
    shape: &TableShape,
    member: &Name,
    files: &[Handle],
    limits: &Limits,
    mut see: impl FnMut(&RecordBatch) -> Result<(), ConsolidateFault>,
) -> Result<(PartDigest, Rows), ConsolidateFault> {
    let stored = Layers::of(shape, files, limits)?.digested;
    let mut reader = PartReader::seeing(shape, files, if stored { Seen::File } else { Seen::Table }, limits)?;
    let (mut digested, mut content) = (Digested::new(shape), Content::new(limits.rows_max));
    let table: Vec<usize> = (0..shape.schema().fields().len()).collect();
    while let Some(batch) = reader.next_sorted()? {
        let digests = digested.digests(&batch)?;
        if stored && batch.columns().last() != Some(&digests) {
            return Err(ConsolidateFault::NotAPart);
        }
        content.add(&digests, |_| true)?;
        see(&batch.project(&table).map_err(|_| ConsolidateFault::Batch)?)?;
    }
    let rows = Rows(content.len());
    Ok((content.finish(shape.table(), member), rows))
}
