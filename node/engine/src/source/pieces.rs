//! Arrays of a binary file as batches of bounded size: a dictionary or view makes much text of few bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, OffsetSizeTrait};
use arrow::compute::filter;
use arrow::datatypes::DataType;

use crate::batch::{SourceBatch, SourceColumn, SourceFault};
use crate::limits::Limits;
use crate::row_fault::{BadRow, RowFault, Tally};

/// Rows that were read together and are given out in pieces.
pub(crate) struct Pieces {
    columns: Vec<Option<ArrayRef>>,
    rows: usize,
    at: usize,
}

impl Pieces {
    pub(crate) const fn none() -> Self {
        Self { columns: Vec::new(), rows: 0, at: 0 }
    }

    /// One array for each of the source's columns, `None` where nobody asked for it.
    pub(crate) const fn new(columns: Vec<Option<ArrayRef>>, rows: usize) -> Self {
        Self { columns, rows, at: 0 }
    }

    /// The next batch; `None` where all rows were given out.
    pub(crate) fn next(
        &mut self,
        named: &[SourceColumn],
        limits: &Limits,
        tally: &mut Tally,
    ) -> Result<Option<SourceBatch>, SourceFault> {
        if self.at == self.rows {
            return Ok(None);
        }
        let damaged = SourceFault::Damaged { rows: tally.rows() };
        let most = limits.batch_rows.min(self.rows - self.at);
        let pieces: Vec<Option<ArrayRef>> =
            self.columns.iter().map(|column| column.as_ref().map(|column| column.slice(self.at, most))).collect();
        let (mut bytes, mut long) = (vec![0_usize; most], BTreeMap::new());
        for (piece, column) in pieces.iter().zip(named) {
            let Some(lengths) = piece.as_ref().map(text_lengths) else { continue };
            for ((row, bytes), length) in bytes.iter_mut().enumerate().zip(lengths.ok_or(damaged.clone())?) {
                *bytes += length;
                if length > limits.cell_bytes_max {
                    long.entry(row).or_insert(&column.name);
                }
            }
        }
        let mut sum = 0_usize;
        let fits = |bytes: &&usize| {
            let before = sum;
            sum = sum.saturating_add(**bytes);
            before < limits.batch_bytes
        };
        let rows = bytes.iter().take_while(fits).count();
        let first_row = tally.rows();
        for row in 0..rows {
            match long.get(&row) {
                None => tally.read(1),
                Some(column) => {
                    let (place, column) = (tally.rows() + 1, Some((*column).clone()));
                    tally.bad(BadRow { place, lines: 1, column, reason: RowFault::CellTooLong })?;
                }
            }
        }
        self.at += rows;
        let kept: BooleanArray = (0..rows).map(|row| Some(!long.contains_key(&row))).collect();
        let cut = |piece: ArrayRef| {
            let piece = piece.slice(0, rows);
            if kept.true_count() == rows { Ok(piece) } else { filter(&piece, &kept).map_err(|_| damaged.clone()) }
        };
        let columns = pieces.into_iter().map(|piece| piece.map(&cut).transpose()).collect::<Result<_, _>>()?;
        let places = (0..rows).filter(|row| kept.value(*row)).map(|row| first_row + 1 + row as u64).collect();
        Ok(Some(SourceBatch { columns, places, first_row, set_aside: tally.take() }))
    }
}

/// How many bytes of text each cell has; nothing for types that are no text. `None`: keys beyond their dictionary.
fn text_lengths(array: &ArrayRef) -> Option<Vec<usize>> {
    fn offsets<O: OffsetSizeTrait>(array: &ArrayRef) -> Vec<usize> {
        array.as_string::<O>().offsets().lengths().collect()
    }
    Some(match array.data_type() {
        DataType::Utf8 => offsets::<i32>(array),
        DataType::LargeUtf8 => offsets::<i64>(array),
        DataType::Utf8View => array.as_string_view().lengths().map(|length| length as usize).collect(),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let lengths = text_lengths(&Arc::clone(dictionary.values()))?;
            if lengths.is_empty() {
                return Some(Vec::new());
            }
            let keys = dictionary.normalized_keys();
            keys.into_iter().map(|key| lengths.get(key).copied()).collect::<Option<_>>()?
        }
        _ => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int32Array, Int64Array, LargeStringArray, StringArray, StringViewArray};

    use super::*;
    use crate::row_fault::Tolerance;

    fn batches(array: ArrayRef, limits: &Limits, tolerance: Tolerance) -> Result<Vec<SourceBatch>, SourceFault> {
        let named = [SourceColumn::new("v".parse().unwrap(), array.data_type().clone())];
        let rows = array.len();
        let (mut pieces, mut tally, mut found) =
            (Pieces::new(vec![Some(array)], rows), Tally::new(tolerance), Vec::new());
        while let Some(batch) = pieces.next(&named, limits, &mut tally)? {
            found.push(batch);
        }
        assert_eq!(tally.rows(), rows as u64);
        Ok(found)
    }

    #[test]
    fn text_that_a_dictionary_repeats_comes_in_small_batches() {
        let limits = Limits { batch_bytes: 100, batch_rows: 50, ..Limits::default() };
        let values: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(40), "y".to_owned()]));
        let keys = Int32Array::from([vec![0; 9], vec![1; 60]].concat());
        let dictionary: ArrayRef = Arc::new(DictionaryArray::new(keys, values));
        let cells: Vec<String> = [vec!["x".repeat(40); 9], vec!["y".to_owned(); 60]].concat();
        let view: ArrayRef = Arc::new(cells.iter().map(|cell| Some(cell.as_str())).collect::<StringViewArray>());
        let large: ArrayRef = Arc::new(LargeStringArray::from(cells));
        for array in [dictionary, view, large] {
            let batches = batches(array, &limits, Tolerance::Refuse).unwrap();
            let rows: Vec<_> = batches.iter().map(|batch| batch.places.len()).collect();
            assert_eq!(rows, [3, 3, 3, 50, 10]);
            let places: Vec<u64> = batches.iter().flat_map(|batch| batch.places.clone()).collect();
            assert_eq!(places, (1..=69).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_row_with_a_cell_over_the_limit_is_set_aside_or_a_fault() {
        let limits = Limits { cell_bytes_max: 3, ..Limits::default() };
        let array: ArrayRef = Arc::new(StringArray::from(vec![Some("abc"), Some("abcd"), None, Some("")]));
        let found = batches(array.clone(), &limits, Tolerance::SetAside).unwrap();
        let [batch] = found.as_slice() else { unreachable!("it is one batch") };
        assert_eq!((batch.places.as_slice(), batch.row_numbers()), (&[1, 3, 4][..], vec![1, 3, 4]));
        assert_eq!(batch.columns[0].as_ref().unwrap().len(), 3);
        let aside: Vec<_> = batch.set_aside.iter().map(|row| (row.place, row.row, row.reason.code())).collect();
        assert_eq!(aside, [(2, 2, "cell-too-long")]);
        let fault = batches(array, &limits, Tolerance::Refuse).err();
        let column = Some("v".parse().unwrap());
        assert_eq!(fault, Some(SourceFault::Row { place: 2, column, reason: RowFault::CellTooLong }));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX; 3]));
        assert_eq!(batches(numbers, &limits, Tolerance::Refuse).unwrap().len(), 1);
    }
}
