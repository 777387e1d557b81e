//! One column of a batch while it fills.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int8Builder,
    Int16Builder, Int32Builder, Int64Builder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
    UInt8Builder, UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow::datatypes::{DataType, TimeUnit};

use crate::value::Value;

/// A column that fills.
pub(crate) enum Cells {
    Bool(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Uint8(UInt8Builder),
    Uint16(UInt16Builder),
    Uint32(UInt32Builder),
    Uint64(UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder),
    Text(StringBuilder),
    Days(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

/// Runs one expression on whichever builder it is.
macro_rules! on_builder {
    ($cells:expr, $builder:ident => $run:expr) => {
        match $cells {
            Cells::Bool($builder) => $run,
            Cells::Int8($builder) => $run,
            Cells::Int16($builder) => $run,
            Cells::Int32($builder) => $run,
            Cells::Int64($builder) => $run,
            Cells::Uint8($builder) => $run,
            Cells::Uint16($builder) => $run,
            Cells::Uint32($builder) => $run,
            Cells::Uint64($builder) => $run,
            Cells::Float32($builder) => $run,
            Cells::Float64($builder) => $run,
            Cells::Decimal($builder) => $run,
            Cells::Text($builder) => $run,
            Cells::Days($builder) => $run,
            Cells::Time($builder) => $run,
            Cells::Timestamp($builder) => $run,
        }
    };
}

impl Cells {
    /// An empty column of this type; `None` for a type in which nothing arrives.
    pub(crate) fn of(kind: &DataType) -> Option<Self> {
        Some(match kind {
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Int8 => Self::Int8(Int8Builder::new()),
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::UInt8 => Self::Uint8(UInt8Builder::new()),
            DataType::UInt16 => Self::Uint16(UInt16Builder::new()),
            DataType::UInt32 => Self::Uint32(UInt32Builder::new()),
            DataType::UInt64 => Self::Uint64(UInt64Builder::new()),
            DataType::Float32 => Self::Float32(Float32Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            DataType::Decimal128(..) => Self::Decimal(Decimal128Builder::new().with_data_type(kind.clone())),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Date32 => Self::Days(Date32Builder::new()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(Time64MicrosecondBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(kind.clone()))
            }
            _ => return None,
        })
    }

    /// Adds a value. False, and nothing added, when it is not of this column's type.
    #[must_use]
    pub(crate) fn push(&mut self, value: Value<'_>) -> bool {
        macro_rules! narrow {
            ($builder:expr, $value:expr) => {
                match $value.try_into() {
                    Ok(value) => $builder.append_value(value),
                    Err(_) => return false,
                }
            };
        }
        match (self, value) {
            (cells, Value::Null) => on_builder!(cells, builder => builder.append_null()),
            (Self::Bool(builder), Value::Bool(value)) => builder.append_value(value),
            (Self::Int8(builder), Value::Int(value)) => narrow!(builder, value),
            (Self::Int16(builder), Value::Int(value)) => narrow!(builder, value),
            (Self::Int32(builder), Value::Int(value)) => narrow!(builder, value),
            (Self::Int64(builder), Value::Int(value)) => builder.append_value(value),
            (Self::Uint8(builder), Value::Uint(value)) => narrow!(builder, value),
            (Self::Uint16(builder), Value::Uint(value)) => narrow!(builder, value),
            (Self::Uint32(builder), Value::Uint(value)) => narrow!(builder, value),
            (Self::Uint64(builder), Value::Uint(value)) => builder.append_value(value),
            (Self::Float32(builder), Value::Float32(value)) => builder.append_value(value),
            (Self::Float64(builder), Value::Float64(value)) => builder.append_value(value),
            (Self::Decimal(builder), Value::Decimal(value)) => builder.append_value(value),
            (Self::Text(builder), Value::Text(value)) => builder.append_value(value),
            (Self::Days(builder), Value::Days(value)) => builder.append_value(value),
            (Self::Time(builder), Value::Micros(value)) => builder.append_value(value),
            (Self::Timestamp(builder), Value::Micros(value)) => builder.append_value(value),
            _ => return false,
        }
        true
    }

    /// The values so far as an array; the column is empty then.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        on_builder!(self, builder => Arc::new(builder.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_type_is_not_taken() {
        let mut column = Cells::of(&DataType::Int8).unwrap();
        assert!(column.push(Value::Int(-128)) && column.push(Value::Null));
        for other in [Value::Int(128), Value::Uint(1), Value::Text("1"), Value::Bool(true)] {
            assert!(!column.push(other));
        }
        let array = column.finish();
        assert_eq!((array.len(), array.null_count()), (2, 1));
        assert!(Cells::of(&DataType::Binary).is_none());
    }
}
