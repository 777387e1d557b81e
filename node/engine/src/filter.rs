//! A share's row filter over batches: before anything else, so that a row that does not pass is looked at no further.

use arrow::array::{Array, StringArray};
use cohortium_protocol::record::row_filter::Passes;

use crate::treatment::{Refusal, Writing, passes};

/// One test and the source column that it looks at.
pub(crate) struct Tested<'a> {
    pub(crate) source: usize,
    /// Who wrote its days.
    pub(crate) writing: Writing,
    pub(crate) passes: &'a Passes,
}

impl Tested<'_> {
    /// Whether the row's cell passes.
    ///
    /// # Errors
    /// A cell that cannot be compared.
    pub(crate) fn pass(&self, cells: &StringArray, row: usize) -> Result<bool, Refusal> {
        let cell = if cells.is_valid(row) { cells.value(row) } else { "" };
        passes(self.passes, cell, self.writing)
    }
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::record::dataset::DateFormat;
    use cohortium_protocol::record::row_filter::Bound;

    use super::*;

    // SHARE-19
    #[test]
    fn a_cell_passes_a_test_or_not_or_cannot_be_compared() {
        let number = |text: &str| Bound::Number(text.parse().unwrap());
        let day = || Bound::Day { day: "2024-01-31".parse().unwrap(), format: DateFormat::DayMonthYearDots };
        let texts = || Passes::OneOf(["a", "b c"].into_iter().map(|text| text.parse().unwrap()).collect());
        let table = [
            (Passes::Present, "x", Ok(true)),
            (Passes::Present, " ", Ok(false)),
            (texts(), " b c ", Ok(true)),
            (texts(), "A", Ok(false)),
            (texts(), "", Ok(false)),
            (Passes::AtLeast(number("18")), "18.0", Ok(true)),
            (Passes::AtLeast(number("18")), "17.9", Ok(false)),
            (Passes::AtMost(number("18")), "18", Ok(true)),
            (Passes::AtMost(number("18")), "18.1", Ok(false)),
            (Passes::AtMost(number("18")), "?", Err(Refusal::NoNumber)),
            (Passes::AtLeast(day()), "31.01.2024", Ok(true)),
            (Passes::AtLeast(day()), "30.01.2024", Ok(false)),
            (Passes::AtMost(day()), "1.2.2024", Ok(false)),
            (Passes::AtMost(day()), "2024-01-01", Err(Refusal::NoDay)),
        ];
        for (passes, cell, expected) in table {
            let cells = StringArray::from(vec![Some(cell), None]);
            let tested = Tested { source: 0, writing: Writing::Source, passes: &passes };
            assert_eq!(tested.pass(&cells, 0), expected, "{passes:?} {cell}");
            assert_eq!(tested.pass(&cells, 1), Ok(false), "a missing cell");
        }
        let iso = StringArray::from(vec!["2024-02-01T10:00:00"]);
        assert_eq!(
            Tested { source: 0, writing: Writing::Own, passes: &Passes::AtLeast(day()) }.pass(&iso, 0),
            Ok(true)
        );
    }
}
