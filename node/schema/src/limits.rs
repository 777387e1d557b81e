//! Bounds on what this package reads and remembers. Reaching one is a fault or an outcome that names it.

/// Bytes of a schema, of a list of checks, of a list of thresholds. 4 MiB.
pub const SCHEMA_BYTES_MAX: usize = 4 << 20;
/// Tables of a common schema.
pub const TABLES_MAX: usize = 256;
/// Characters of a name of a schema, table or field: what `PostgreSQL` takes.
pub const NAME_CHARS_MAX: usize = 63;

/// Ids that the gates remember of one field: 8 bytes each for a primary key, 16 for references and periods.
pub const IDS_MAX: usize = 100_000_000;
/// Different concepts that the gates count in one field.
pub const CONCEPTS_MAX: usize = 1_000_000;
/// Different source values that the gates remember of one field.
pub const SOURCE_VALUES_MAX: usize = 1_000_000;
/// Bytes of those values together. 64 MiB.
pub const SOURCE_VALUE_BYTES_MAX: usize = 64 << 20;
/// Histograms that the gates keep of one table, one for each field, concept and unit.
pub const HISTOGRAMS_MAX: usize = 5_000;

/// Bytes of one line of a vocabulary's file. 64 KiB.
pub const VOCABULARY_LINE_BYTES_MAX: u64 = 64 << 10;
/// Concepts of a vocabulary: the largest download has about 10 million.
pub const CONCEPTS_LOADED_MAX: usize = 40_000_000;
/// Bytes of their codes together. 1 GiB.
pub const CODE_BYTES_TOTAL_MAX: usize = 1 << 30;
/// Mappings from one concept to another.
pub const RELATIONSHIPS_MAX: usize = 100_000_000;
/// Names of domains and vocabularies together.
pub const NAMES_MAX: usize = 4_096;
/// Bytes of a code map as a file. 64 MiB.
pub const CODE_MAP_BYTES_MAX: usize = 64 << 20;
/// Rows of a code map.
pub const CODE_MAP_ROWS_MAX: usize = 500_000;
/// Codes that are listed as not mapped.
pub const UNMAPPED_CODES_MAX: usize = 100_000;
/// Bytes of those codes together. 16 MiB.
pub const UNMAPPED_CODE_BYTES_MAX: usize = 16 << 20;
