//! Bounds on what one conversation with a database reads, and how fast.

use std::time::Duration;

/// The bounds of one conversation. Reaching one is a fault that names it, never a shortened result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest that the server may work on one statement: on one request for rows in PostgreSQL, on all rows up to
    /// the first request in MariaDB, on all rows of a table that is landed. 5 minutes.
    pub statement_timeout: Duration,
    /// The longest that a connection may be silent while an answer is due. A minute above the statement timeout.
    pub silence_max: Duration,
    /// Rows a second, on average and in any one second; `None` for as fast as it goes.
    pub rows_per_second: Option<u32>,
    /// Rows of one table. 2^32.
    pub rows_max: u64,
    /// Bytes of one cell; a longer one is a fault of its row. 16 MiB.
    pub cell_bytes_max: usize,
    /// Bytes of one row on the wire; a longer one ends the run, because nothing is allocated for it. 64 MiB.
    pub row_bytes_max: usize,
    /// Columns of one table. 4,096.
    pub columns_max: usize,
    /// Rows of one batch, and of one request to the server. 8,192.
    pub batch_rows: u32,
    /// Bytes of cells after which a batch is closed. 8 MiB.
    pub batch_bytes: usize,
    /// Faults of rows that one batch lists; one more ends the run. 1,024.
    pub faults_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            statement_timeout: Duration::from_mins(5),
            silence_max: Duration::from_mins(6),
            rows_per_second: None,
            rows_max: 1 << 32,
            cell_bytes_max: 16 << 20,
            row_bytes_max: 64 << 20,
            columns_max: 4_096,
            batch_rows: 8_192,
            batch_bytes: 8 << 20,
            faults_max: 1_024,
        }
    }
}

impl Limits {
    /// Rows of one request: never more than a second may bring, and at least one.
    pub(crate) fn request_rows(&self) -> u32 {
        let most = self.rows_per_second.unwrap_or(u32::MAX).min(i32::MAX.unsigned_abs());
        self.batch_rows.min(most).max(1)
    }

    /// The statement timeout in whole milliseconds, at least one: zero would mean none.
    pub(crate) fn statement_millis(&self) -> u32 {
        let most = u128::from(i32::MAX.unsigned_abs());
        u32::try_from(self.statement_timeout.as_millis().clamp(1, most)).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_brings_no_more_rows_than_a_second_may() {
        let of =
            |rows_per_second, batch_rows| Limits { rows_per_second, batch_rows, ..Limits::default() }.request_rows();
        assert_eq!(of(None, 100), 100);
        assert_eq!(of(Some(99), 100), 99);
        assert_eq!(of(Some(101), 100), 100);
        assert_eq!(of(Some(0), 100), 1);
        assert_eq!(of(None, u32::MAX), 2_147_483_647);
    }

    #[test]
    fn a_statement_timeout_is_never_none() {
        let of = |statement_timeout| Limits { statement_timeout, ..Limits::default() }.statement_millis();
        assert_eq!(of(Duration::from_micros(3)), 1);
        assert_eq!(of(Duration::from_secs(2)), 2_000);
        assert_eq!(of(Duration::MAX), 2_147_483_647);
    }
}
