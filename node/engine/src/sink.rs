//! Rows into a Parquet file, with the same settings for everything that leaves or is merged.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::consolidate::shape::DIGEST_COLUMN;
use crate::limits::Limits;
use crate::policy::{ROW_COLUMN, TOKEN_COLUMN};

/// A sink that does not take what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SinkFault {
    pub(crate) kind: io::ErrorKind,
}

impl From<io::Error> for SinkFault {
    fn from(error: io::Error) -> Self {
        Self { kind: error.kind() }
    }
}

impl From<ParquetError> for SinkFault {
    fn from(error: ParquetError) -> Self {
        let kind = match error {
            ParquetError::External(cause) => cause.downcast_ref::<io::Error>().map(io::Error::kind),
            _ => None,
        };
        Self { kind: kind.unwrap_or(io::ErrorKind::Other) }
    }
}

/// Writes rows, one row group at a time in memory.
pub(crate) struct RowsWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    row_group_bytes: usize,
    rows: u64,
}

impl<W: Write + Send> RowsWriter<W> {
    pub(crate) fn new(sink: W, schema: SchemaRef, limits: &Limits) -> Result<Self, SinkFault> {
        Self::with_keys(sink, schema, limits, &[])
    }

    /// As [`RowsWriter::new`], for rows that have keys: columns in which hardly a value stands twice.
    pub(crate) fn with_keys(sink: W, schema: SchemaRef, limits: &Limits, keys: &[&str]) -> Result<Self, SinkFault> {
        let level = ZstdLevel::try_new(1).map_err(SinkFault::from)?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_max_row_group_row_count(Some(131_072))
            .set_created_by("cohortium".to_owned());
        // Ids, tokens and digests are random: neither a dictionary nor compression finds anything in them.
        for random in [ROW_COLUMN, TOKEN_COLUMN, DIGEST_COLUMN] {
            let path = ColumnPath::from(random);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_compression(path, Compression::UNCOMPRESSED);
        }
        for key in keys {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(*key), false);
        }
        let writer = ArrowWriter::try_new(sink, schema, Some(properties.build()))?;
        Ok(Self { writer, row_group_bytes: limits.row_group_bytes, rows: 0 })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkFault> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.writer.write(batch)?;
        self.rows += batch.num_rows() as u64;
        if self.writer.in_progress_size() >= self.row_group_bytes {
            self.writer.flush()?;
        }
        Ok(())
    }

    /// Writes the footer; returns the number of rows.
    pub(crate) fn finish(mut self) -> Result<u64, SinkFault> {
        self.writer.finish()?;
        Ok(self.rows)
    }
}
