//! Rows of the joined tables as they come, unit by unit: at once where they come in the order of units, else parted by unit first.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};

use crate::private::declared::Bounds;
use crate::private::groups::{Groups, KeyColumn, NO_GROUP};
use crate::private::keyed::{Quick, fold};
use crate::private::measure::{Input, Reading};
use crate::private::unit::{NO_VALUE, Rows as UnitRows, Units};

/// Into how many parts rows go whose units come in no order. Each is sorted by itself.
const PARTS: usize = 256;

/// Why there is no answer: memory, or rows that are not in the order that they were said to be in.
pub(crate) struct NotGathered;

/// Takes batches of a unit column, key columns and input columns, and adds each unit when all its rows are there.
pub(crate) struct Gather<'a> {
    units: Units<'a>,
    groups: Groups,
    inputs: &'a [Input],
    /// Of each input that is read as a code.
    codes: Vec<Option<KeyColumn>>,
    /// Whether a row without a value in some input counts nowhere.
    whole_rows: bool,
    keys: usize,
    rows: Rows,
    bytes_max: usize,
}

enum Rows {
    /// They come in the order of units.
    Ordered(Current),
    /// In no order: words of each row, a unit, a group and the values.
    Parted(Vec<Vec<i64>>),
}

/// The rows so far of the unit that came last.
#[derive(Default)]
struct Current {
    unit: Option<i64>,
    groups: Vec<u32>,
    values: Vec<Vec<i64>>,
}

impl<'a> Gather<'a> {
    pub(crate) fn new(
        units: Units<'a>,
        groups: Groups,
        inputs: &'a [Input],
        keys: usize,
        ordered: bool,
        bytes_max: usize,
    ) -> Self {
        let rows = if ordered {
            Rows::Ordered(Current { values: vec![Vec::new(); inputs.len()], ..Current::default() })
        } else {
            Rows::Parted(vec![Vec::new(); PARTS])
        };
        let code = |input: &Input| match &input.reading {
            // The seed is public: so are the values that are looked up.
            Reading::Code(kind, values) => Some(KeyColumn::new(*kind, Some(values), Quick(1))),
            Reading::Clipped(_) | Reading::Bin(_) | Reading::Present => None,
        };
        let codes = inputs.iter().map(code).collect();
        Self { units, groups, inputs, codes, whole_rows: false, keys, rows, bytes_max }
    }

    /// A row without a value in some input counts nowhere.
    pub(crate) fn of_whole_rows(self) -> Self {
        Self { whole_rows: true, ..self }
    }

    /// Takes a batch: the unit, the keys, the inputs.
    pub(crate) fn take(&mut self, batch: &RecordBatch) -> Result<(), NotGathered> {
        let rows = batch.num_rows();
        let columns = batch.columns();
        let units = columns.first().and_then(|column| column.as_primitive_opt::<Int64Type>()).ok_or(NotGathered)?;
        let keys = columns.get(1..=self.keys).ok_or(NotGathered)?;
        let groups = self.groups.of(keys, rows).ok_or(NotGathered)?;
        let inputs = columns.get(1 + self.keys..).ok_or(NotGathered)?;
        let read = self.inputs.iter().zip(&mut self.codes).zip(inputs).map(|((input, codes), array)| match codes {
            Some(codes) => codes.codes(array).map(|codes| codes.into_iter().map(coded).collect()),
            None => read(&input.reading, array),
        });
        let values = read.collect::<Option<Vec<_>>>().ok_or(NotGathered)?;
        if values.len() != self.inputs.len() {
            return Err(NotGathered);
        }
        let whole = |row: usize| !self.whole_rows || values.iter().all(|column| column[row] != NO_VALUE);
        let counts = |row: &usize| groups[*row] != NO_GROUP && units.is_valid(*row) && whole(*row);
        let (units, groups, values) = if (0..rows).all(|row| counts(&row)) {
            (units.values().to_vec(), groups, values)
        } else {
            let kept: Vec<usize> = (0..rows).filter(counts).collect();
            let values = values.iter().map(|column| kept.iter().map(|row| column[*row]).collect()).collect();
            let units = kept.iter().map(|row| units.value(*row)).collect();
            (units, kept.iter().map(|row| groups[*row]).collect(), values)
        };
        self.rows(&units, &groups, &values)
    }

    fn rows(&mut self, units: &[i64], groups: &[u32], values: &[Vec<i64>]) -> Result<(), NotGathered> {
        let bytes = match &mut self.rows {
            Rows::Parted(parts) => {
                for (row, unit) in units.iter().enumerate() {
                    let place = usize::try_from(fold(unit.cast_unsigned() ^ 0x5bd1_e995, 0x9e37_79b9_7f4a_7c15) >> 56);
                    let part = &mut parts[place.unwrap_or_default() % PARTS];
                    part.push(*unit);
                    part.push(i64::from(groups[row]));
                    part.extend(values.iter().map(|column| column[row]));
                }
                parts.iter().map(Vec::capacity).sum::<usize>() * size_of::<i64>()
            }
            Rows::Ordered(current) => {
                let mut begin = 0;
                for run in units.chunk_by(PartialEq::eq) {
                    let end = begin + run.len();
                    if current.unit != Some(run[0]) {
                        if current.unit.is_some_and(|unit| unit > run[0]) {
                            return Err(NotGathered);
                        }
                        current.flush(&mut self.units, &mut self.groups);
                        current.unit = Some(run[0]);
                    }
                    // A unit whose rows are all in one batch is added from where they are.
                    if end < units.len() && current.groups.is_empty() {
                        let rows = UnitRows { groups: &groups[begin..end], values, begin };
                        self.units.add(run[0], &rows, &mut self.groups);
                    } else {
                        current.groups.extend_from_slice(&groups[begin..end]);
                        for (kept, column) in current.values.iter_mut().zip(values) {
                            kept.extend_from_slice(&column[begin..end]);
                        }
                    }
                    begin = end;
                }
                current.groups.capacity() * (1 + current.values.len()) * size_of::<i64>()
            }
        };
        let cells = self.groups.len().saturating_mul(64);
        if bytes.saturating_add(self.units.bytes()).saturating_add(cells) > self.bytes_max {
            return Err(NotGathered);
        }
        Ok(())
    }

    /// Adds what has not been added.
    pub(crate) fn finish(mut self) -> Result<(Units<'a>, Groups), NotGathered> {
        match self.rows {
            Rows::Ordered(mut current) => current.flush(&mut self.units, &mut self.groups),
            Rows::Parted(parts) => {
                for part in parts {
                    add_part(&part, self.inputs.len(), &mut self.units, &mut self.groups);
                    if self.units.bytes() > self.bytes_max {
                        return Err(NotGathered);
                    }
                }
            }
        }
        Ok((self.units, self.groups))
    }
}

impl Current {
    fn flush(&mut self, units: &mut Units<'_>, groups: &mut Groups) {
        if let Some(unit) = self.unit.take()
            && !self.groups.is_empty()
        {
            units.add(unit, &UnitRows { groups: &self.groups, values: &self.values, begin: 0 }, groups);
        }
        self.groups.clear();
        self.values.iter_mut().for_each(Vec::clear);
    }
}

/// Sorts the rows of a part by unit and group, and adds each unit.
fn add_part(part: &[i64], inputs: usize, units: &mut Units<'_>, groups: &mut Groups) {
    let width = 2 + inputs;
    let mut keys: Vec<(i64, u32, u32)> = (0_u32..)
        .zip(part.chunks_exact(width))
        .map(|(row, words)| (words[0], u32::try_from(words[1]).unwrap_or(NO_GROUP), row))
        .collect();
    keys.sort_unstable_by_key(|(unit, group, _)| (*unit, *group));
    let mut rows = Vec::new();
    let mut values: Vec<Vec<i64>> = vec![Vec::new(); inputs];
    for of_unit in keys.chunk_by(|one, other| one.0 == other.0) {
        rows.clear();
        rows.extend(of_unit.iter().map(|(_, group, _)| *group));
        for (input, column) in values.iter_mut().enumerate() {
            column.clear();
            column.extend(of_unit.iter().map(|(_, _, row)| part[*row as usize * width + 2 + input]));
        }
        units.add(of_unit[0].0, &UnitRows { groups: &rows, values: &values, begin: 0 }, groups);
    }
}

/// The place of a value among public ones.
fn coded(code: u32) -> i64 {
    if code == NO_GROUP { NO_VALUE } else { i64::from(code) }
}

/// An input as whole numbers.
fn read(reading: &Reading, array: &ArrayRef) -> Option<Vec<i64>> {
    match reading {
        // Codes are looked up where their column is.
        Reading::Code(..) => None,
        Reading::Present => Some(present(array)),
        Reading::Clipped(bounds) => clipped(bounds, array),
        Reading::Bin(edges) => {
            let last = edges.len().checked_sub(2)?;
            let bin = |value: f64| {
                let place = edges.partition_point(|edge| *edge <= value).saturating_sub(1).min(last);
                if value.is_nan() { NO_VALUE } else { i64::try_from(place).unwrap_or(NO_VALUE) }
            };
            if let Some(values) = array.as_primitive_opt::<Float64Type>() {
                return Some(values.iter().map(|value| value.map_or(NO_VALUE, bin)).collect());
            }
            let values = array.as_primitive_opt::<Int64Type>()?;
            #[expect(clippy::cast_precision_loss, reason = "only its place among the edges matters")]
            let bin = |value: i64| bin(value as f64);
            Some(values.iter().map(|value| value.map_or(NO_VALUE, bin)).collect())
        }
    }
}

/// 0 where there is a value; what is no number is none.
fn present(array: &ArrayRef) -> Vec<i64> {
    if let Some(values) = array.as_primitive_opt::<Float64Type>() {
        let there = |value: Option<f64>| value.is_some_and(|value| !value.is_nan());
        return values.iter().map(|value| if there(value) { 0 } else { NO_VALUE }).collect();
    }
    match array.logical_nulls() {
        None => vec![0; array.len()],
        Some(nulls) => nulls.iter().map(|there| if there { 0 } else { NO_VALUE }).collect(),
    }
}

fn clipped(bounds: &Bounds, array: &ArrayRef) -> Option<Vec<i64>> {
    let (lower, upper) = bounds.scaled();
    let scale = bounds.scale();
    if let Some(values) = array.as_primitive_opt::<Int64Type>() {
        let of = |value: i64| value.saturating_mul(scale).clamp(lower, upper);
        return Some(if values.null_count() == 0 {
            values.values().iter().map(|value| of(*value)).collect()
        } else {
            values.iter().map(|value| value.map_or(NO_VALUE, of)).collect()
        });
    }
    let values = array.as_primitive_opt::<Float64Type>()?;
    #[expect(clippy::cast_precision_loss, reason = "at most 10^9")]
    let factor = scale as f64;
    let of = |value: f64| {
        if value.is_nan() {
            return NO_VALUE;
        }
        rounded(value.clamp(bounds.lower, bounds.upper) * factor).clamp(lower, upper)
    };
    Some(if values.null_count() == 0 {
        values.values().iter().map(|value| of(*value)).collect()
    } else {
        values.iter().map(|value| value.map_or(NO_VALUE, of)).collect()
    })
}

/// The nearest whole number, halves away from zero, of a value of at most 50 bits: without a call for each row.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "of at most 50 bits")]
fn rounded(value: f64) -> i64 {
    let whole = value as i64;
    let rest = value - whole as f64;
    whole + i64::from(rest >= 0.5) - i64::from(rest <= -0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_as_the_standard_library_does() {
        for value in [0.0, -0.0, 0.499_999_999_999_999_94, 0.5, -0.5, 1.5, -2.5, 1e15 + 0.5, -1e15 - 0.5, 1e-300] {
            #[expect(clippy::cast_possible_truncation, reason = "small")]
            let expected = f64::round(value) as i64;
            assert_eq!(rounded(value), expected, "{value}");
        }
    }
}
