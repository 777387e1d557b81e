//! Cells of arrays: encoded for hashing, copied into fresh arrays, written as text.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeBinaryBuilder, PrimitiveArray, StringArray,
    StringBuilder,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{ArrowNativeType, DataType};
use arrow::downcast_primitive_array;

use crate::packed::Packed;

/// An array of a type that is not handled here, or a value that its type cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotHandled;

/// One column's cells, ready to be encoded row by row without allocating.
pub(crate) enum Cells {
    Text(StringArray),
    Boolean(BooleanArray),
    Fixed { bytes: Buffer, width: usize, nulls: Option<NullBuffer> },
}

impl Cells {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self, NotHandled> {
        let kind = array.data_type();
        match kind {
            DataType::Utf8 => return Ok(Self::Text(array.as_string().clone())),
            DataType::Boolean => return Ok(Self::Boolean(array.as_boolean().clone())),
            _ => {}
        }
        let fixed = if let DataType::FixedSizeBinary(width) = kind { usize::try_from(*width).ok() } else { None };
        let width = fixed.or(kind.primitive_width()).ok_or(NotHandled)?;
        let data = array.to_data();
        let buffer = data.buffers().first().ok_or(NotHandled)?;
        let (from, length) = (data.offset() * width, data.len() * width);
        if buffer.len() < from + length {
            return Err(NotHandled);
        }
        Ok(Self::Fixed { bytes: buffer.slice_with_length(from, length), width, nulls: data.nulls().cloned() })
    }

    /// Appends the cell so that no two different rows of one schema have one encoding: 0 for a null, else the length of
    /// a text plus 1 (from 254 on 255 and the length itself) or for other types 1, then the bytes.
    pub(crate) fn encode(&self, row: usize, out: &mut Packed) {
        match self {
            Self::Text(array) if array.is_null(row) => out.push(0),
            Self::Text(array) => {
                let (start, end) = (array.value_offsets()[row].as_usize(), array.value_offsets()[row + 1].as_usize());
                match u8::try_from(end - start + 1) {
                    Ok(marker) if marker < u8::MAX => out.push(marker),
                    _ => {
                        out.push(u8::MAX);
                        out.put(&(end - start).to_le_bytes());
                    }
                }
                out.put_part(array.value_data(), start, end);
            }
            Self::Boolean(array) if array.is_null(row) => out.push(0),
            Self::Boolean(array) => out.put(&[1, u8::from(array.value(row))]),
            Self::Fixed { nulls: Some(nulls), .. } if nulls.is_null(row) => out.push(0),
            Self::Fixed { bytes, width, .. } => {
                out.push(1);
                out.put_part(bytes, row * width, (row + 1) * width);
            }
        }
    }
}

/// Copies the rows into a new array that holds nothing else: no value of another row, none under a null (law 8).
pub(crate) fn gather(array: &ArrayRef, rows: &[u32]) -> Result<ArrayRef, NotHandled> {
    let array = array.as_ref();
    if matches!(array.data_type(), DataType::Interval(_) | DataType::Duration(_)) {
        return Err(NotHandled);
    }
    downcast_primitive_array!(
        array => Ok(gather_primitive(array, rows)),
        DataType::Utf8 => Ok(gather_text(array.as_string(), rows)),
        DataType::Boolean => Ok(gather_boolean(array.as_boolean(), rows)),
        DataType::FixedSizeBinary(width) => gather_bytes(array, *width, rows),
        _ => Err(NotHandled),
    )
}

fn gather_primitive<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, rows: &[u32]) -> ArrayRef {
    let cells = rows.iter().map(|row| at(*row)).map(|row| array.is_valid(row).then(|| array.value(row)));
    Arc::new(cells.collect::<PrimitiveArray<T>>().with_data_type(array.data_type().clone()))
}

fn gather_text(array: &StringArray, rows: &[u32]) -> ArrayRef {
    let all = rows.len() == array.len() && (0..).zip(rows).all(|(at, row)| at == *row);
    if all && array.null_count() == 0 {
        // As it is, in a copy of its own bytes and no others.
        let offsets = OffsetBuffer::from_lengths(array.offsets().lengths());
        let (first, last) = (array.value_offsets()[0], array.value_offsets()[array.len()]);
        let bytes = Buffer::from(&array.value_data()[at_offset(first)..at_offset(last)]);
        return Arc::new(StringArray::new(offsets, bytes, None));
    }
    let lengths = array.offsets().lengths().sum::<usize>() / array.len().max(1) + 1;
    let mut built = StringBuilder::with_capacity(rows.len(), rows.len() * lengths);
    for row in rows {
        built.append_option(array.is_valid(at(*row)).then(|| array.value(at(*row))));
    }
    Arc::new(built.finish())
}

fn gather_boolean(array: &BooleanArray, rows: &[u32]) -> ArrayRef {
    let cells = rows.iter().map(|row| at(*row)).map(|row| array.is_valid(row).then(|| array.value(row)));
    Arc::new(cells.collect::<BooleanArray>())
}

fn gather_bytes(array: &dyn Array, width: i32, rows: &[u32]) -> Result<ArrayRef, NotHandled> {
    let array = array.as_fixed_size_binary();
    let mut built = FixedSizeBinaryBuilder::with_capacity(rows.len(), width);
    for row in rows {
        if array.is_null(at(*row)) {
            built.append_null();
        } else {
            built.append_value(array.value(at(*row))).map_err(|_| NotHandled)?;
        }
    }
    Ok(Arc::new(built.finish()))
}

fn at(row: u32) -> usize {
    row as usize
}

fn at_offset(offset: i32) -> usize {
    usize::try_from(offset).expect("offsets of an array are not negative")
}

/// Every row's number.
pub(crate) fn all_rows(rows: usize) -> Vec<u32> {
    (0..u32::try_from(rows).unwrap_or(u32::MAX)).collect()
}

/// Ids as an array.
pub(crate) fn id_array<const N: usize>(ids: impl Iterator<Item = Option<[u8; N]>>) -> ArrayRef {
    let mut built = FixedSizeBinaryBuilder::new(i32::try_from(N).expect("ids are 16 or 32 bytes"));
    for id in ids {
        match id {
            Some(id) => built.append_value(id).expect("the builder has the id's width"),
            None => built.append_null(),
        }
    }
    Arc::new(built.finish())
}

/// The cells as text for keys, people and export: numbers in decimal, days and times by ISO 8601, bytes as hexadecimal
/// digits. One value has one text, whether it was read from text or from Parquet.
pub(crate) fn text(array: &ArrayRef) -> Result<StringArray, NotHandled> {
    match array.data_type() {
        DataType::Utf8 => Ok(array.as_string().clone()),
        DataType::FixedSizeBinary(_) => {
            let bytes = array.as_fixed_size_binary();
            Ok(bytes.iter().map(|cell| cell.map(hex)).collect())
        }
        DataType::Timestamp(unit, Some(_)) => {
            // Without chrono's time zone tables arrow knows no names of zones; the value itself is UTC.
            let utc = array.to_data().into_builder().data_type(DataType::Timestamp(*unit, None)).build();
            let plain = arrow::array::make_array(utc.map_err(|_| NotHandled)?);
            let cells = text(&plain)?;
            Ok(cells.iter().map(|cell| cell.map(|cell| format!("{cell}Z"))).collect())
        }
        _ => {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            let cells = cast_with_options(array, &DataType::Utf8, &options).map_err(|_| NotHandled)?;
            Ok(cells.as_string().clone())
        }
    }
}

/// Cells as they name rows and people.
pub(crate) struct Identifiers {
    pub(crate) cells: StringArray,
    /// Rows whose number is not whole, or so large that its type no longer counts by ones: it names nobody.
    pub(crate) unclear: Vec<usize>,
}

/// The cells as they name rows and people: as [`text`] writes them, but a whole number has one text whatever number type
/// its column came in. 1001.0 is 1001, or who opted out as 1001 would not have.
pub(crate) fn identifiers(array: &ArrayRef) -> Result<Identifiers, NotHandled> {
    let cells = text(array)?;
    let whole_below = match array.data_type() {
        DataType::Float16 => f64::from(1_u16 << 11),
        DataType::Float32 => f64::from(1_u32 << 24),
        DataType::Float64 => 9_007_199_254_740_992.0,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            return Ok(whole(&cells, |_, written| match written.split_once('.') {
                None => Some(written.to_owned()),
                Some((whole, rest)) => rest.bytes().all(|digit| digit == b'0').then(|| whole.to_owned()),
            }));
        }
        _ => return Ok(Identifiers { cells, unclear: Vec::new() }),
    };
    let wide = arrow::compute::cast(array, &DataType::Float64).map_err(|_| NotHandled)?;
    let values = wide.as_primitive::<arrow::datatypes::Float64Type>();
    Ok(whole(&cells, |row, _| {
        let value = values.value(row);
        // What is added makes a zero of the negative one.
        (value.fract() == 0.0 && value.abs() < whole_below).then(|| format!("{:.0}", value + 0.0))
    }))
}

/// The cells with whole numbers written anew; `None`: it is none.
fn whole(cells: &StringArray, write: impl Fn(usize, &str) -> Option<String>) -> Identifiers {
    let (mut built, mut unclear) = (StringBuilder::with_capacity(cells.len(), cells.len() * 8), Vec::new());
    for (row, written) in cells.iter().enumerate() {
        let Some(written) = written else {
            built.append_null();
            continue;
        };
        if let Some(whole) = write(row, written) {
            built.append_value(whole);
        } else {
            unclear.push(row);
            built.append_value(written);
        }
    }
    Identifiers { cells: built.finish(), unclear }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut digits = vec![0; bytes.len() * 2];
    write_hex(bytes, &mut digits);
    String::from_utf8(digits).expect("digits are ASCII")
}

/// The hexadecimal digits of an id.
pub(crate) fn hex_of_id(id: [u8; 16]) -> [u8; 32] {
    let mut digits = [0; 32];
    write_hex(&id, &mut digits);
    digits
}

fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.as_chunks_mut::<2>().0) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Float64Array, Int64Array, TimestampMillisecondArray};

    use super::*;

    fn encoded(array: &ArrayRef) -> Vec<Vec<u8>> {
        let cells = Cells::new(array).unwrap();
        let encode = |row| {
            let mut out = Packed::with_capacity(0);
            cells.encode(row, &mut out);
            out.into_filled()
        };
        (0..array.len()).map(encode).collect()
    }

    #[test]
    fn null_and_empty_and_zero_are_three_things() {
        let long = ["x".repeat(252), "x".repeat(253), "x".repeat(254), "x".repeat(255), "x".repeat(70_000)];
        let short = [Some(""), None, Some("\0"), Some("a")];
        let text: ArrayRef =
            Arc::new(short.into_iter().chain(long.iter().map(|text| Some(text.as_str()))).collect::<StringArray>());
        let prefix_free = encoded(&text);
        for (at, one) in prefix_free.iter().enumerate() {
            assert!(prefix_free.iter().enumerate().all(|(other, two)| at == other || !two.starts_with(one)));
        }
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), None, Some(1)]));
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(false), None, Some(true)]));
        let ids = id_array([Some([0; 16]), None, Some([1; 16])].into_iter());
        for array in [text, numbers, flags, ids] {
            let mut cells = encoded(&array);
            cells.sort();
            cells.dedup();
            assert_eq!(cells.len(), array.len(), "{}", array.data_type());
            // A slice is encoded as its own rows.
            assert_eq!(encoded(&array.slice(1, array.len() - 1)), encoded(&array)[1..]);
        }
    }

    #[test]
    fn gathered_arrays_hold_nothing_but_their_rows() {
        let nulls = Some(NullBuffer::from(vec![true, false, true]));
        let under = StringArray::try_new(
            arrow::buffer::OffsetBuffer::from_lengths([2, 6, 6]),
            Buffer::from(b"okCANARYCANARY".to_vec()),
            nulls.clone(),
        );
        let gathered = gather(&(Arc::new(under.unwrap()) as ArrayRef), &[0, 1]).unwrap();
        assert_eq!(gathered.as_string::<i32>().value_data(), b"ok");
        let numbers: ArrayRef = Arc::new(Int64Array::new(vec![1, 77, 77].into(), nulls));
        let gathered = gather(&numbers, &[0, 1]).unwrap();
        assert_eq!(gathered.as_primitive::<arrow::datatypes::Int64Type>().values().as_ref(), [1, 0]);
    }

    #[test]
    fn a_whole_number_names_alike_whatever_its_type_and_another_names_nobody() {
        let floats =
            [Some(1001.0), Some(-0.0), Some(2.5), None, Some(9_007_199_254_740_991.0), Some(9_007_199_254_740_992.0)];
        let named = |array: ArrayRef| {
            let Identifiers { cells, unclear } = identifiers(&array).unwrap();
            (cells.iter().map(|cell| cell.unwrap_or("-").to_owned()).collect::<Vec<_>>(), unclear)
        };
        let (cells, unclear) = named(Arc::new(Float64Array::from(floats.to_vec())));
        assert_eq!(
            (&cells[..2], &cells[3..5]),
            (&["1001", "0"].map(String::from)[..], &["-", "9007199254740991"].map(String::from)[..])
        );
        assert_eq!(unclear, [2, 5]);
        let odd = Float64Array::from(vec![f64::NAN, f64::INFINITY]);
        assert_eq!(named(Arc::new(odd)).1, [0, 1]);
        let single = arrow::array::Float32Array::from(vec![1001.0, 16_777_216.0]);
        assert_eq!(named(Arc::new(single)), (vec!["1001".to_owned(), "16777216.0".to_owned()], vec![1]));
        let decimal =
            arrow::array::Decimal128Array::from(vec![100_100, 100_101]).with_precision_and_scale(9, 2).unwrap();
        assert_eq!(named(Arc::new(decimal)), (vec!["1001".to_owned(), "1001.01".to_owned()], vec![1]));
        assert_eq!(named(Arc::new(Int64Array::from(vec![1001]))), (vec!["1001".to_owned()], vec![]));
    }

    #[test]
    fn a_value_has_one_text() {
        let of = |array: ArrayRef| text(&array).unwrap().value(0).to_owned();
        assert_eq!(of(Arc::new(Int64Array::from(vec![101_000]))), "101000");
        assert_eq!(of(Arc::new(Float64Array::from(vec![2.5]))), "2.5");
        assert_eq!(of(Arc::new(Date32Array::from(vec![0]))), "1970-01-01");
        let utc = TimestampMillisecondArray::from(vec![0]).with_timezone("Europe/Berlin");
        assert_eq!(of(Arc::new(utc)), "1970-01-01T00:00:00Z");
        assert_eq!(of(id_array([Some([0xAB; 16])].into_iter())), "ab".repeat(16));
    }
}
