//! Every bound of this package, with its unit.

/// The longest text of a view.
pub const VIEW_BYTES_MAX: usize = 1 << 20;

/// The longest path expression of a view, in bytes.
pub const PATH_BYTES_MAX: usize = 8 << 10;

/// The most names, signs and literals of a path: its tree is never deeper.
pub const PATH_TOKENS_MAX: usize = 600;

/// Expressions inside one another in a path, and selects inside one another in a view.
pub const PATH_DEPTH_MAX: usize = 48;

/// The most columns of a view.
pub const COLUMNS_MAX: usize = 4096;

/// Bounds on what one record may cost, whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one resource.
    pub record_bytes_max: usize,
    /// Values of one resource that the view asks for; each costs 24 bytes.
    pub record_values_max: usize,
    /// Objects and arrays inside one another.
    pub depth_max: usize,
    /// Rows that one resource may become.
    pub record_rows_max: usize,
    /// Cells that one resource may become, over all its rows and steps of joining.
    pub record_cells_max: usize,
    /// Bytes of text in the rows of one resource.
    pub row_bytes_max: usize,
    /// Rows after which a batch is handed on.
    pub batch_rows: usize,
    /// Bytes of text after which a batch is handed on, at the end of a resource.
    pub batch_bytes: usize,
    /// Bytes that are read and framed at once.
    pub chunk_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes_max: 16 << 20,
            record_values_max: 1_000_000,
            depth_max: 64,
            record_rows_max: 100_000,
            record_cells_max: 500_000,
            row_bytes_max: 32 << 20,
            batch_rows: 8192,
            batch_bytes: 8 << 20,
            chunk_bytes: 2 << 20,
        }
    }
}
