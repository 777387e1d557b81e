//! Bounds on what one job reads. The worker's own memory and time limits stand behind them.

use cohortium_protocol::limits::COLUMNS_MAX;

/// The bounds of one job. Reaching one is a fault that names it, never a shortened result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows of a table whose rows are held in memory by id: about 80 bytes a row for a keyed table, 8 in a landed
    /// full snapshot and 40 in a landed delta. 10,000,000.
    pub rows_max: u64,
    /// Rows of a table that only streams through: one without a key. 2^32.
    pub rows_streamed_max: u64,
    /// Bytes of one cell. 16 MiB.
    pub cell_bytes_max: usize,
    /// Bytes of one record of a text table, or of one JSON object; line ends included. 64 MiB.
    pub line_bytes_max: usize,
    /// Columns of one table. 4,096.
    pub columns_max: usize,
    /// JSON objects and lists within each other. 64.
    pub json_depth_max: usize,
    /// Bytes of a part of a binary file that is read whole, as stored and decompressed: a Parquet page, an Arrow batch
    /// with its dictionaries. 256 MiB.
    pub part_bytes_max: usize,
    /// Bytes of a Parquet or Arrow footer, or the heading of one Arrow batch. 16 MiB.
    pub footer_bytes_max: usize,
    /// Rows of one batch between two threads. 8,192.
    pub batch_rows: usize,
    /// Bytes of text after which a batch is closed. 8 MiB.
    pub batch_bytes: usize,
    /// Bytes of encoded rows after which a Parquet row group is written out. 64 MiB.
    pub row_group_bytes: usize,
    /// Bytes of rows that are held in memory to be sorted, their sort keys included. 2 GiB.
    pub sorted_bytes_max: usize,
    /// Rows of a row index beside which only what has changed is written; a shorter one is written whole. 4,096.
    pub index_base_rows_min: u64,
    /// Rows after which the next file of a consolidated part begins, at the next patient. 1,048,576.
    pub part_file_rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows_max: 10_000_000,
            rows_streamed_max: 1 << 32,
            cell_bytes_max: 16 << 20,
            line_bytes_max: 64 << 20,
            columns_max: COLUMNS_MAX,
            json_depth_max: 64,
            part_bytes_max: 256 << 20,
            footer_bytes_max: 16 << 20,
            batch_rows: 8_192,
            batch_bytes: 8 << 20,
            row_group_bytes: 64 << 20,
            sorted_bytes_max: 2 << 30,
            index_base_rows_min: 4_096,
            part_file_rows: 1 << 20,
        }
    }
}
