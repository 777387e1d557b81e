//! Bounds on what one job reads. The worker's own memory and time limits stand behind them.

use cohortium_protocol::limits::COLUMNS_MAX;

/// Rows after which the next file of a consolidated part begins, at the next patient.
pub const PART_FILE_ROWS: u64 = 1 << 20;
/// The memory that a job may take where nobody says how much: what a worker has by default. 1 GiB.
const MEMORY_BYTES: u64 = 1 << 30;
/// Bytes that a row of a table held by id takes: two entries of 32 bytes, and where they are found.
const HELD_ROW_BYTES: u64 = 80;
/// What one landed row takes at most while its id is held.
const LANDED_ROW_BYTES: u64 = 40;

/// The bounds of one job. Reaching one is a fault that names it, never a shortened result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows of a table whose rows are held in memory: about 80 bytes a row of a keyed table, of a part, of a merge.
    /// 10,000,000, and no more than half of the memory holds.
    pub rows_max: u64,
    /// Rows of a landed table, of which the ids are held: 8 bytes a row of a full snapshot, 40 of a delta. 10,000,000, and
    /// no more than half of the memory holds.
    pub landed_rows_max: u64,
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
    /// with its dictionaries. 256 MiB, and no more than a quarter of the memory.
    pub part_bytes_max: usize,
    /// Bytes of a Parquet or Arrow footer, or the heading of one Arrow batch. 16 MiB.
    pub footer_bytes_max: usize,
    /// Rows of one batch between two threads. 8,192.
    pub batch_rows: usize,
    /// Bytes of text after which a batch is closed. 8 MiB.
    pub batch_bytes: usize,
    /// Bytes of encoded rows after which a Parquet row group is written out. 64 MiB.
    pub row_group_bytes: usize,
    /// Bytes of rows that are held in memory to be sorted, their sort keys included. Half of the memory.
    pub sorted_bytes_max: usize,
    /// Bytes that a mapping run holds of what it has seen: patients, primary keys, fates of rows, facts that wait. Half of
    /// the memory.
    pub mapped_bytes_max: u64,
    /// Rows of a row index beside which only what has changed is written; a shorter one is written whole. 4,096.
    pub index_base_rows_min: u64,
    /// Rows of a consolidated part's base beside which only what has changed is written; a shorter one is written whole. 4,096.
    pub part_base_rows_min: u64,
    /// Rows after which the next file of a consolidated part begins, at the next patient. [`PART_FILE_ROWS`].
    pub part_file_rows: u64,
}

impl Limits {
    /// The bounds of a job that may take so many bytes of memory: a bound that is named is reached before an allocation
    /// fails. The other half is for code, threads, batches on their way and what a container holds while it grows.
    pub fn of_memory(bytes: u64) -> Self {
        let half = bytes / 2;
        let at_most = |bytes: u64, share: u64| usize::try_from(bytes.min(half / share)).unwrap_or(usize::MAX);
        Self {
            rows_max: (half / HELD_ROW_BYTES).min(10_000_000),
            landed_rows_max: (half / LANDED_ROW_BYTES).min(10_000_000),
            rows_streamed_max: 1 << 32,
            cell_bytes_max: at_most(16 << 20, 32),
            line_bytes_max: at_most(64 << 20, 8),
            columns_max: COLUMNS_MAX,
            json_depth_max: 64,
            part_bytes_max: at_most(256 << 20, 2),
            footer_bytes_max: at_most(16 << 20, 32),
            batch_rows: 8_192,
            batch_bytes: at_most(8 << 20, 64),
            row_group_bytes: at_most(64 << 20, 8),
            sorted_bytes_max: at_most(half, 1),
            mapped_bytes_max: half,
            index_base_rows_min: 4_096,
            part_base_rows_min: 4_096,
            part_file_rows: PART_FILE_ROWS,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of_memory(MEMORY_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_at_once_is_bounded_by_the_memory_that_a_job_has() {
        for bytes in [64 << 20, 1 << 30, 3 << 30, 1 << 40] {
            let Limits { rows_max, landed_rows_max, sorted_bytes_max, mapped_bytes_max, part_bytes_max, .. } =
                Limits::of_memory(bytes);
            let held = [
                rows_max * HELD_ROW_BYTES,
                landed_rows_max * LANDED_ROW_BYTES,
                sorted_bytes_max as u64,
                mapped_bytes_max,
                2 * part_bytes_max as u64,
            ];
            assert!(held.into_iter().all(|held| held <= bytes / 2), "{bytes}: {held:?}");
        }
        let gibibyte = Limits::default();
        assert_eq!((gibibyte.cell_bytes_max, gibibyte.line_bytes_max), (16 << 20, 64 << 20));
        assert_eq!((gibibyte.part_bytes_max, gibibyte.footer_bytes_max), (256 << 20, 16 << 20));
        assert_eq!((gibibyte.batch_bytes, gibibyte.row_group_bytes), (8 << 20, 64 << 20));
        assert_eq!(Limits::of_memory(1 << 40).rows_max, 10_000_000);
    }
}
