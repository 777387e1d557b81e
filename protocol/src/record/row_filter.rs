//! Which rows of a source leave: a closed list of tests, all of which a row must pass.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ident::{ColumnName, Text};
use crate::limits::{ROW_TEST_TEXTS_MAX, ROW_TESTS_MAX};
use crate::record::dataset::DateFormat;
use crate::record::literal::{Day, Decimal};

/// One test of a row. A cell that is missing or blank passes none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowTest {
    /// The column whose cell is looked at. It need not leave.
    pub column: ColumnName,
    /// What the cell must be.
    pub passes: Passes,
}

/// What passes a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Passes {
    /// Any value.
    Present,
    /// One of these texts, letter by letter, blanks around the cell aside. With one text: equals.
    OneOf(BTreeSet<Text>),
    /// This or more.
    AtLeast(Bound),
    /// This or less.
    AtMost(Bound),
}

/// What a cell is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// A number.
    Number(Decimal),
    /// A day.
    Day {
        /// The day.
        day: Day,
        /// How a text column writes its days.
        format: DateFormat,
    },
}

impl Bound {
    /// Whether it is at or above `other`; `None` where the two cannot be compared.
    fn at_or_above(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Some(a.scaled() >= b.scaled()),
            (Self::Day { day: a, format: x }, Self::Day { day: b, format: y }) => (x == y).then_some(a >= b),
            (Self::Number(_), Self::Day { .. }) | (Self::Day { .. }, Self::Number(_)) => None,
        }
    }
}

impl RowTest {
    /// Whether every row that passes this test passes `other` too.
    pub fn implies(&self, other: &Self) -> bool {
        self.column == other.column
            && match (&self.passes, &other.passes) {
                (_, Passes::Present) => true,
                (Passes::OneOf(a), Passes::OneOf(b)) => a.is_subset(b),
                (Passes::AtLeast(a), Passes::AtLeast(b)) => a.at_or_above(b) == Some(true),
                (Passes::AtMost(a), Passes::AtMost(b)) => b.at_or_above(a) == Some(true),
                (Passes::Present | Passes::OneOf(_) | Passes::AtLeast(_) | Passes::AtMost(_), _) => false,
            }
    }
}

/// Whether a filter keeps its bounds (spec SHARE-14).
pub fn within_bounds(filter: &[RowTest]) -> bool {
    let texts = |test: &RowTest| match &test.passes {
        Passes::OneOf(texts) => !texts.is_empty() && texts.len() <= ROW_TEST_TEXTS_MAX,
        Passes::Present | Passes::AtLeast(_) | Passes::AtMost(_) => true,
    };
    filter.len() <= ROW_TESTS_MAX && filter.iter().all(texts)
}

/// Whether every row that passes `next` passes `last` as well: nothing was taken out or loosened (spec SHARE-3).
pub fn no_looser(last: &[RowTest], next: &[RowTest]) -> bool {
    last.iter().all(|before| next.iter().any(|after| after.implies(before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(column: &str, passes: Passes) -> RowTest {
        RowTest { column: column.parse().unwrap(), passes }
    }

    fn number(text: &str) -> Bound {
        Bound::Number(text.parse().unwrap())
    }

    fn day(text: &str, format: DateFormat) -> Bound {
        Bound::Day { day: text.parse().unwrap(), format }
    }

    fn one_of(texts: &str) -> Passes {
        Passes::OneOf(texts.split(' ').map(|text| text.parse().unwrap()).collect())
    }

    // SHARE-3
    #[test]
    fn a_test_that_is_taken_out_or_loosened_lets_more_rows_leave() {
        use DateFormat::{Compact, Iso};
        use Passes::{AtLeast, AtMost, Present};
        let stricter_and_looser = [
            (one_of("a"), one_of("a b")),
            (one_of("a"), Present),
            (AtLeast(number("10")), AtLeast(number("9.5"))),
            (AtLeast(number("-1")), AtLeast(number("-2"))),
            (AtMost(number("9")), AtMost(number("10"))),
            (AtLeast(day("2024-02-01", Iso)), AtLeast(day("2024-01-31", Iso))),
            (AtMost(day("2023-12-31", Iso)), AtMost(day("2024-01-01", Iso))),
            (AtMost(number("9")), Present),
        ];
        for (strict, loose) in stricter_and_looser {
            let (strict, loose) = ([test("x", strict)], [test("x", loose)]);
            assert!(no_looser(&loose, &strict) && !no_looser(&strict, &loose), "{strict:?} {loose:?}");
            assert!(no_looser(&strict, &strict) && no_looser(&[], &strict) && !no_looser(&strict, &[]));
        }
        let incomparable = [
            (AtLeast(number("1")), AtMost(number("1"))),
            (AtLeast(number("1")), AtLeast(day("2024-01-01", Iso))),
            (AtLeast(day("2024-01-01", Compact)), AtLeast(day("2024-01-01", Iso))),
            (one_of("a"), one_of("b")),
        ];
        for (one, other) in incomparable {
            let (one, other) = ([test("x", one)], [test("x", other)]);
            assert!(!no_looser(&one, &other) && !no_looser(&other, &one), "{one:?} {other:?}");
        }
        assert!(!no_looser(&[test("x", Present)], &[test("y", Present)]));
    }

    // SHARE-14
    #[test]
    fn a_filter_has_so_many_tests_of_so_many_texts() {
        let tests = |count: usize| vec![test("x", Passes::Present); count];
        assert!(within_bounds(&tests(ROW_TESTS_MAX)) && !within_bounds(&tests(ROW_TESTS_MAX + 1)));
        let one_of =
            |count: usize| [test("x", Passes::OneOf((0..count).map(|n| n.to_string().parse().unwrap()).collect()))];
        assert!(within_bounds(&one_of(ROW_TEST_TEXTS_MAX)) && !within_bounds(&one_of(ROW_TEST_TEXTS_MAX + 1)));
        assert!(!within_bounds(&one_of(0)), "no row could pass");
    }
}
