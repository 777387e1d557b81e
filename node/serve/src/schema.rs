//! Columns of a table as Delta's schema text. Who knows the Parquet files says what the columns are.

use serde_json::{Value, json};

/// What a column holds, as Delta names it, and which Parquet type it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text: `BYTE_ARRAY` with the string annotation.
    String,
    /// 64-bit integer.
    Long,
    /// 32-bit integer.
    Integer,
    /// 16-bit integer.
    Short,
    /// 8-bit integer.
    Byte,
    /// 32-bit float.
    Float,
    /// 64-bit float.
    Double,
    /// True or false.
    Boolean,
    /// Bytes.
    Binary,
    /// A day.
    Date,
    /// Microseconds, adjusted to UTC.
    Timestamp,
    /// Exact decimal numbers.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits behind the point, at most the precision.
        scale: u8,
    },
}

impl ColumnType {
    fn text(self) -> String {
        let name = match self {
            Self::String => "string",
            Self::Long => "long",
            Self::Integer => "integer",
            Self::Short => "short",
            Self::Byte => "byte",
            Self::Float => "float",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Binary => "binary",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Decimal { precision, scale } => return format!("decimal({precision},{scale})"),
        };
        name.to_owned()
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, as in the Parquet files.
    pub name: String,
    /// What it holds.
    pub holds: ColumnType,
    /// Whether a cell may be null.
    pub nullable: bool,
    /// What it means, for people.
    pub comment: Option<String>,
}

/// The schema text of these columns, in their order.
pub(crate) fn schema_text(columns: &[Column]) -> String {
    let fields: Vec<Value> = columns.iter().map(field).collect();
    json!({"type": "struct", "fields": fields}).to_string()
}

fn field(column: &Column) -> Value {
    let metadata = column.comment.as_ref().map_or_else(|| json!({}), |comment| json!({"comment": comment}));
    json!({"name": column.name, "type": column.holds.text(), "nullable": column.nullable, "metadata": metadata})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_deltas_schema() {
        let column = |name: &str, holds, comment: Option<&str>| Column {
            name: name.to_owned(),
            holds,
            nullable: true,
            comment: comment.map(str::to_owned),
        };
        let decimal = ColumnType::Decimal { precision: 10, scale: 2 };
        let text = schema_text(&[column("a\"b", ColumnType::Long, Some("days")), column("c", decimal, None)]);
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["type"], "struct");
        let first = json!({"name": "a\"b", "type": "long", "nullable": true, "metadata": {"comment": "days"}});
        assert_eq!(read["fields"][0], first);
        assert_eq!(read["fields"][1]["type"], "decimal(10,2)");
        assert_eq!(read["fields"][1]["metadata"], json!({}));
    }
}
