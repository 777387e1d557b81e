//! Observation periods: whose overlap or touch.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{Date32Type, Int64Type};

use crate::limits::IDS_MAX;

/// The periods of all persons.
#[derive(Debug, Default)]
pub(crate) struct Periods {
    /// Person, first day, last day.
    spans: Vec<(i64, i32, i32)>,
    overflowed: bool,
}

impl Periods {
    /// Remembers the periods of some rows; one without person, start or end is none.
    pub(crate) fn see(&mut self, person: &ArrayRef, start: &ArrayRef, end: &ArrayRef) {
        let (Some(person), Some(start), Some(end)) = (
            person.as_primitive_opt::<Int64Type>(),
            start.as_primitive_opt::<Date32Type>(),
            end.as_primitive_opt::<Date32Type>(),
        ) else {
            return;
        };
        self.overflowed |= self.spans.len() + person.len() > IDS_MAX;
        if !self.overflowed {
            let all = person.iter().zip(start.iter()).zip(end.iter());
            self.spans.extend(all.filter_map(|((person, start), end)| Some((person?, start?, end?))));
        }
    }

    /// Persons whose periods overlap or touch, and persons with a period.
    pub(crate) fn counts(&mut self) -> Option<(u64, u64)> {
        self.spans.sort_unstable();
        let persons = self.spans.chunk_by(|a, b| a.0 == b.0);
        let (mut overlapping, mut all) = (0, 0);
        for spans in persons {
            all += 1;
            let mut reached = None;
            overlapping += u64::from(spans.iter().any(|(_, start, end)| {
                let touches = reached.is_some_and(|reached| i64::from(*start) <= i64::from(reached) + 1);
                reached = reached.max(Some(*end));
                touches
            }));
        }
        (!self.overflowed).then_some((overlapping, all))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Int64Array};

    use super::*;

    fn counts(spans: &[(i64, i32, i32)]) -> Option<(u64, u64)> {
        let mut periods = Periods::default();
        let days = |of: fn(&(i64, i32, i32)) -> i32| -> ArrayRef {
            Arc::new(Date32Array::from_iter_values(spans.iter().map(of)))
        };
        let persons: ArrayRef = Arc::new(Int64Array::from_iter_values(spans.iter().map(|span| span.0)));
        periods.see(&persons, &days(|span| span.1), &days(|span| span.2));
        periods.counts()
    }

    #[test]
    fn periods_that_overlap_or_touch_count_once_a_person() {
        assert_eq!(counts(&[(1, 0, 10), (1, 12, 20)]), Some((0, 1)), "a day lies between");
        assert_eq!(counts(&[(1, 0, 10), (1, 11, 20)]), Some((1, 1)), "back to back");
        assert_eq!(counts(&[(1, 11, 20), (2, 0, 10), (1, 0, 11)]), Some((1, 2)));
        assert_eq!(counts(&[(1, 0, 100), (1, 2, 3), (1, 50, 60)]), Some((1, 1)), "within an earlier, longer one");
        assert_eq!(counts(&[(1, 0, 10), (2, 5, 15)]), Some((0, 2)), "another person's");
        assert_eq!(counts(&[(1, 0, i32::MAX), (2, i32::MIN, i32::MAX)]), Some((0, 2)));
        assert_eq!(counts(&[]), Some((0, 0)));
    }
}
