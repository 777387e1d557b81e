//! Source codes that nothing stands for, by how many records they cost. For the member's own eyes: codes are cells.

use std::collections::BTreeMap;

use crate::limits::{UNMAPPED_CODE_BYTES_MAX, UNMAPPED_CODES_MAX};

/// What a run could not map. It has no text form of its own, so that it stands in no log.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "it holds values of cells")]
pub struct Unmapped {
    records: BTreeMap<(String, String), u64>,
    bytes: usize,
    not_listed: u64,
}

/// One code that nothing stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(missing_debug_implementations, reason = "it holds the value of a cell")]
pub struct UnmappedCode<'a> {
    /// The source's column, or what its codes are called.
    pub column: &'a str,
    /// The code.
    pub code: &'a str,
    /// Records that have it.
    pub records: u64,
}

impl Unmapped {
    /// Counts records of a code. Beyond the bounds they are counted without their code.
    pub fn add(&mut self, column: &str, code: &str, records: u64) {
        let key = (column.to_owned(), code.to_owned());
        if let Some(known) = self.records.get_mut(&key) {
            *known += records;
        } else if self.records.len() < UNMAPPED_CODES_MAX && self.bytes + code.len() <= UNMAPPED_CODE_BYTES_MAX {
            self.bytes += code.len();
            self.records.insert(key, records);
        } else {
            self.not_listed += records;
        }
    }

    /// Records without a concept, listed or not.
    pub fn records(&self) -> u64 {
        self.records.values().sum::<u64>() + self.not_listed
    }

    /// Records whose code is not listed, because there are too many.
    pub fn not_listed(&self) -> u64 {
        self.not_listed
    }

    /// The codes, those of most records first; equal ones by column and code.
    pub fn most_costly(&self) -> Vec<UnmappedCode<'_>> {
        let codes =
            self.records.iter().map(|((column, code), records)| UnmappedCode { column, code, records: *records });
        let mut codes: Vec<UnmappedCode<'_>> = codes.collect();
        codes.sort_by_key(|code| std::cmp::Reverse(code.records));
        codes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_by_what_they_cost() {
        let mut unmapped = Unmapped::default();
        for (column, code, records) in [("sex", "U", 2), ("ward", "7", 5), ("sex", "U", 4), ("sex", "A", 5)] {
            unmapped.add(column, code, records);
        }
        let listed = unmapped.most_costly();
        let listed: Vec<_> = listed.iter().map(|code| (code.column, code.code, code.records)).collect();
        assert_eq!(listed, [("sex", "U", 6), ("sex", "A", 5), ("ward", "7", 5)]);
        assert_eq!((unmapped.records(), unmapped.not_listed()), (16, 0));
    }

    #[test]
    fn beyond_the_bound_records_are_still_counted() {
        let mut unmapped = Unmapped::default();
        for code in 0..UNMAPPED_CODES_MAX {
            unmapped.add("c", &code.to_string(), 1);
        }
        assert_eq!(unmapped.not_listed(), 0);
        unmapped.add("c", "one more", 3);
        unmapped.add("c", "0", 1);
        let all = u64::try_from(UNMAPPED_CODES_MAX).unwrap() + 4;
        assert_eq!((unmapped.not_listed(), unmapped.records()), (3, all));
        let mut long = Unmapped::default();
        long.add("c", &"x".repeat(UNMAPPED_CODE_BYTES_MAX), 1);
        assert_eq!(long.not_listed(), 0);
        long.add("c", "y", 1);
        assert_eq!(long.not_listed(), 1);
    }
}
