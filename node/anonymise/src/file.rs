//! From a Parquet file to a Parquet file: the readers and writers are given. What the libraries say of a bad file quotes it, so
//! only our code for it goes on.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchReader};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;

use crate::body::{Beside, BodyFault, body};
use crate::encode::{Roles, encode};
use crate::lattice::LatticeFault;
use crate::release::{Attacks, Mode, Report, anonymise};
use crate::seed::Seed;
use crate::table::TableFault;

/// Rows that are read at once.
const BATCH_ROWS: usize = 65_536;

/// Why a file was not recoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFault {
    /// The input is no Parquet file that can be read.
    Read,
    /// The output cannot be written.
    Write,
    /// The table cannot be used.
    Table(TableFault),
    /// It cannot be recoded as asked.
    Recode(LatticeFault),
    /// The body cannot be built.
    Body(BodyFault),
}

impl std::fmt::Display for FileFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read => write!(f, "the input cannot be read as Parquet"),
            Self::Write => write!(f, "the body cannot be written"),
            Self::Table(_) => write!(f, "the table cannot be used"),
            Self::Recode(_) => write!(f, "the table cannot be recoded as asked"),
            Self::Body(_) => write!(f, "the body cannot be built"),
        }
    }
}

impl std::error::Error for FileFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Table(fault) => Some(fault),
            Self::Recode(fault) => Some(fault),
            Self::Body(fault) => Some(fault),
            Self::Read | Self::Write => None,
        }
    }
}

/// What is asked of a file.
#[derive(Clone, Debug)]
pub struct FileJob {
    /// What each column is.
    pub roles: Roles,
    /// How it is recoded.
    pub mode: Mode,
    /// Whether the attacks run.
    pub attacks: Attacks,
    /// The name of a column of random numbers, one a patient, if there is to be one.
    pub id: Option<String>,
}

/// Recodes a Parquet file into another.
///
/// # Errors
///
/// A file that cannot be read or written, a table that does not fit its roles, models that do not fit the table. On an error
/// the output holds nothing that may be used.
pub fn anonymise_parquet<R, W>(input: R, output: W, job: &FileJob, seed: &Seed) -> Result<Report, FileFault>
where
    R: ChunkReader + 'static,
    W: Write + Send,
{
    let roles = &job.roles;
    let kept: Vec<&String> = roles.sensitive.iter().map(|role| &role.column).chain(&roles.measures).collect();
    let (table, columns) = {
        let batches = read(input, roles)?;
        let table = encode(&batches, roles).map_err(FileFault::Table)?.table;
        let gathered = |name: &&String| gather(&batches, name).map(|array| ((*name).clone(), array));
        (table, kept.iter().map(gathered).collect::<Result<Vec<_>, _>>()?)
    };
    let (recoding, report) = anonymise(&table, &job.mode, job.attacks, seed).map_err(FileFault::Recode)?;
    let beside = Beside { columns, id: job.id.clone() };
    let released = body(&table, &recoding, &beside, seed).map_err(FileFault::Body)?;
    drop((table, beside, recoding));
    write(&released, output)?;
    Ok(report)
}

/// Reads the columns that have a role; texts of quasi-identifiers as dictionaries, which the file mostly has already.
fn read<R: ChunkReader + 'static>(input: R, roles: &Roles) -> Result<Vec<RecordBatch>, FileFault> {
    let found = ArrowReaderMetadata::load(&input, ArrowReaderOptions::new()).map_err(|_| FileFault::Read)?;
    let named = |name: &String| {
        roles
            .quasi
            .iter()
            .map(|role| &role.column)
            .chain(roles.sensitive.iter().map(|role| &role.column))
            .any(|held| held == name)
            || roles.measures.contains(name)
            || roles.patient.as_ref() == Some(name)
            || roles.member.as_ref() == Some(name)
    };
    let wanted: Vec<usize> =
        found.schema().fields().iter().enumerate().filter(|(_, field)| named(field.name())).map(|(at, _)| at).collect();
    let is_quasi = |field: &Field| roles.quasi.iter().any(|role| role.column == *field.name());
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 if is_quasi(field) => {
            let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Arc::new(Field::new(field.name(), kind, field.is_nullable()))
        }
        _ => Arc::clone(field),
    };
    let schema: SchemaRef = Arc::new(Schema::new(found.schema().fields().iter().map(field).collect::<Vec<_>>()));
    let options = ArrowReaderOptions::new().with_schema(schema);
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options).map_err(|_| FileFault::Read)?;
    let mask = ProjectionMask::roots(found.parquet_schema(), wanted);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata);
    let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|_| FileFault::Read)?;
    let empty = RecordBatch::new_empty(reader.schema());
    let mut batches: Vec<RecordBatch> =
        reader.map(|batch| batch.map_err(|_| FileFault::Read)).collect::<Result<_, _>>()?;
    // A file without rows gives no batch, and its columns would be missed.
    if batches.is_empty() {
        batches.push(empty);
    }
    Ok(batches)
}

/// One column of all batches.
///
/// # Errors
///
/// No batch has it, or they have it with different types.
pub fn gather(batches: &[RecordBatch], name: &str) -> Result<ArrayRef, FileFault> {
    let missing = || FileFault::Table(TableFault::NoColumn { column: name.to_owned() });
    let arrays: Vec<&ArrayRef> = batches.iter().filter_map(|batch| batch.column_by_name(name)).collect();
    let arrays: Vec<&dyn arrow::array::Array> = arrays.iter().map(AsRef::as_ref).collect();
    if arrays.is_empty() {
        return Err(missing());
    }
    concat(&arrays).map_err(|_| FileFault::Read)
}

/// Writes a body as a Parquet file.
///
/// # Errors
///
/// [`FileFault::Write`]
pub fn write<W: Write + Send>(body: &RecordBatch, output: W) -> Result<(), FileFault> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let writer = ArrowWriter::try_new(output, body.schema(), Some(properties));
    let mut writer = writer.map_err(|_| FileFault::Write)?;
    writer.write(body).map_err(|_| FileFault::Write)?;
    writer.close().map(|_| ()).map_err(|_| FileFault::Write)
}
