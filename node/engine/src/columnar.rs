//! Types of columns: which of them leave, and as what.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use cohortium_protocol::record::schema::ColumnType;

/// The type of what leaves for a column of this type; `None` for types that cannot leave: nested ones, bytes, intervals.
pub(crate) fn column_type(kind: &DataType) -> Option<ColumnType> {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(ColumnType::Text),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => Some(ColumnType::Integer),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(ColumnType::Float),
        DataType::Boolean => Some(ColumnType::Boolean),
        DataType::Date32 | DataType::Date64 => Some(ColumnType::Date),
        DataType::Timestamp(_, _) => Some(ColumnType::Timestamp),
        DataType::UInt64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _) => Some(ColumnType::Other),
        DataType::Dictionary(_, value) => match value.as_ref() {
            DataType::Dictionary(_, _) => None,
            value => column_type(value),
        },
        DataType::Null
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::Binary
        | DataType::FixedSizeBinary(_)
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::List(_)
        | DataType::ListView(_)
        | DataType::FixedSizeList(_, _)
        | DataType::LargeList(_)
        | DataType::LargeListView(_)
        | DataType::Struct(_)
        | DataType::Union(_, _)
        | DataType::Map(_, _)
        | DataType::RunEndEncoded(_, _) => None,
    }
}

/// The Arrow type that leaves: dictionaries unpacked, one kind of text.
pub(crate) fn plain_type(kind: &DataType) -> DataType {
    match kind {
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        other => other.clone(),
    }
}

/// The array in its [`plain_type`]; `None` where arrow cannot.
pub(crate) fn plain_array(array: &ArrayRef) -> Option<ArrayRef> {
    let plain = plain_type(array.data_type());
    if &plain == array.data_type() {
        return Some(Arc::clone(array));
    }
    arrow::compute::cast(array, &plain).ok()
}
