//! What is measured, and the parts of which it is made: vectors of whole numbers over all groups, each with how far one unit can
//! move it. Equal parts of several measures are one, and are paid for once.

use std::ops::Range;

use crate::private::declared::{Bounds, CHANGE_MAX, Contribution, Edges};
use crate::private::refusal::{Reason, Refusal};
use crate::private::term::{Kind, Term, Value};

/// What a measure is.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Rows.
    Rows,
    /// Rows that have a value.
    Values,
    /// Distinct units.
    Patients,
    /// The sum of values.
    Sum(Bounds),
    /// Their mean.
    Mean(Bounds),
    /// Their variance.
    Variance {
        /// Between which values they are clipped.
        bounds: Bounds,
        /// Over one less than the number of values.
        sample: bool,
        /// Its root is asked for.
        deviation: bool,
    },
    /// How many values are in each bin.
    Histogram(Edges),
    /// The values below which these shares of all lie.
    Quantiles(Edges, Vec<f64>),
}

/// A measure with its input.
pub(crate) struct Measure {
    pub(crate) name: String,
    pub(crate) what: What,
    pub(crate) input: Option<Term>,
}

/// How far one unit can move a vector when it is added or taken away. Follows from the declared bounds alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sensitivity {
    /// Cells that can change.
    pub l0: u64,
    /// Their changes together.
    pub l1: u128,
    /// The sum of the squares of their changes: the square of the Euclidean distance, which is rarely a whole number.
    pub l2_squared: u128,
    /// The greatest change of one cell.
    pub linf: u64,
}

impl Sensitivity {
    /// Of cells one a group, in at most `groups` groups.
    fn of_groups(groups: u64, change: u64) -> Self {
        let (groups_wide, change_wide) = (u128::from(groups), u128::from(change));
        Self {
            l0: groups,
            l1: groups_wide * change_wide,
            l2_squared: groups_wide * change_wide * change_wide,
            linf: change,
        }
    }
}

/// What the cells of a part count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Rows.
    Rows,
    /// Units.
    Patients,
    /// Rows with a value.
    Values,
    /// Clipped values, scaled, each less the centre.
    Sum,
    /// Squares of clipped scaled values less the centre, each divided by the scale and rounded.
    Squares,
    /// Rows in each bin.
    Bins,
}

/// One vector: these columns over all groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What its cells count.
    pub counted: Counted,
    /// Its columns behind the keys.
    pub columns: Range<usize>,
    /// How far one unit can move it.
    pub sensitivity: Sensitivity,
    /// A cell over this is in the unit of the question: 10 to the declared decimals; 1 for what counts.
    pub scale: i64,
    /// What was taken off each value, scaled.
    pub centre: i64,
}

/// How a measure is had from the parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The name of the output.
    pub name: String,
    /// What it is.
    pub what: What,
    /// The places of its parts: the vector itself; of a mean its sum and count; of a variance its sum, squares and count.
    pub parts: Vec<usize>,
}

/// How a row's cell of an input becomes a whole number.
#[derive(Clone, PartialEq)]
pub(crate) enum Reading {
    /// Clipped and scaled.
    Clipped(Bounds),
    /// The number of the bin.
    Bin(Vec<f64>),
    /// 0 where there is a value.
    Present,
    /// The place of the value among these.
    Code(Kind, Vec<Value>),
}

/// A column of whole numbers that the parts read: an input, read in a way.
pub(crate) struct Input {
    pub(crate) term: Term,
    pub(crate) reading: Reading,
}

/// A part and the input that it reads; `None` counts rows or units.
pub(crate) struct Planned {
    pub(crate) part: Part,
    pub(crate) input: Option<usize>,
}

/// The parts of a question.
pub(crate) struct Parts {
    pub(crate) inputs: Vec<Input>,
    pub(crate) planned: Vec<Planned>,
    pub(crate) recipes: Vec<Recipe>,
    /// Columns behind the keys.
    pub(crate) columns: usize,
}

/// The half of a range, rounded up: how far a value can be from the centre.
fn half(bounds: &Bounds) -> (i64, i64) {
    let (lower, upper) = bounds.scaled();
    let centre = i64::midpoint(lower, upper);
    (centre, (upper - centre).max(centre - lower))
}

/// A square over the scale, rounded half up.
pub(crate) fn square(value: i64, scale: i64) -> i64 {
    let (value, scale) = (i128::from(value), i128::from(scale));
    i64::try_from((2 * value * value + scale) / (2 * scale)).unwrap_or(i64::MAX)
}

impl Parts {
    /// The parts of these measures. Where keys are private the number of units is one of them.
    pub(crate) fn of(measures: Vec<Measure>, contribution: &Contribution, private: bool) -> Result<Self, Refusal> {
        let mut parts = Self { inputs: Vec::new(), planned: Vec::new(), recipes: Vec::new(), columns: 0 };
        let bound = contribution;
        if private {
            parts.part(Counted::Patients, None, 1, 1, 0, bound, "patients")?;
        }
        for measure in measures {
            let Measure { name, what, input } = measure;
            let made = parts.measure(&name, &what, input.as_ref(), bound)?;
            parts.recipes.push(Recipe { name, what, parts: made });
        }
        Ok(parts)
    }

    fn measure(
        &mut self,
        name: &str,
        what: &What,
        input: Option<&Term>,
        bound: &Contribution,
    ) -> Result<Vec<usize>, Refusal> {
        let missing = || Refusal::from(Reason::Undeclared { output: name.to_owned(), what: "input" });
        let read = |parts: &mut Self, reading| -> Result<usize, Refusal> {
            Ok(parts.input(input.ok_or_else(missing)?, reading))
        };
        Ok(match what {
            What::Rows => vec![self.part(Counted::Rows, None, 1, 1, 0, bound, name)?],
            What::Patients => vec![self.part(Counted::Patients, None, 1, 1, 0, bound, name)?],
            What::Values => {
                let input = read(self, Reading::Present)?;
                vec![self.part(Counted::Values, Some(input), 1, 1, 0, bound, name)?]
            }
            What::Sum(bounds) => {
                let input = read(self, Reading::Clipped(bounds.clone()))?;
                let (lower, upper) = bounds.scaled();
                let change = lower.unsigned_abs().max(upper.unsigned_abs());
                vec![self.part(Counted::Sum, Some(input), change, bounds.scale(), 0, bound, name)?]
            }
            What::Mean(bounds) => {
                let input = read(self, Reading::Clipped(bounds.clone()))?;
                let (centre, half) = half(bounds);
                let sum =
                    self.part(Counted::Sum, Some(input), half.unsigned_abs(), bounds.scale(), centre, bound, name)?;
                let present = read(self, Reading::Present)?;
                vec![sum, self.part(Counted::Values, Some(present), 1, 1, 0, bound, name)?]
            }
            What::Variance { bounds, .. } => {
                let input = read(self, Reading::Clipped(bounds.clone()))?;
                let (centre, half) = half(bounds);
                let scale = bounds.scale();
                let sum = self.part(Counted::Sum, Some(input), half.unsigned_abs(), scale, centre, bound, name)?;
                let most = square(half, scale).unsigned_abs();
                let squares = self.part(Counted::Squares, Some(input), most, scale, centre, bound, name)?;
                let present = read(self, Reading::Present)?;
                vec![sum, squares, self.part(Counted::Values, Some(present), 1, 1, 0, bound, name)?]
            }
            What::Histogram(edges) | What::Quantiles(edges, _) => {
                let input = read(self, Reading::Bin(edges.at.clone()))?;
                vec![self.bins(input, edges.at.len() - 1, bound)]
            }
        })
    }

    fn input(&mut self, term: &Term, reading: Reading) -> usize {
        if let Some(place) = self.inputs.iter().position(|input| input.term == *term && input.reading == reading) {
            return place;
        }
        self.inputs.push(Input { term: term.clone(), reading });
        self.inputs.len() - 1
    }

    #[expect(clippy::too_many_arguments, reason = "each is one property of a part")]
    fn part(
        &mut self,
        counted: Counted,
        input: Option<usize>,
        change: u64,
        scale: i64,
        centre: i64,
        bound: &Contribution,
        name: &str,
    ) -> Result<usize, Refusal> {
        let rows = if counted == Counted::Patients { 1 } else { bound.rows };
        if change == 0 {
            return Err(Refusal::declared(name, "nothing could change within the bounds: more decimals are needed"));
        }
        let change = change.checked_mul(rows).filter(|change| *change <= CHANGE_MAX.unsigned_abs());
        let change = change.ok_or_else(|| {
            let nearest = Some("narrower bounds, fewer decimals or fewer rows fit");
            let what = "one unit could change a cell by more than 2^50";
            Refusal { reason: Reason::Declared { output: name.to_owned(), what }, nearest }
        })?;
        let sensitivity = Sensitivity::of_groups(bound.groups, change);
        let columns = self.columns..self.columns + 1;
        Ok(self.plan(Planned { part: Part { counted, columns, sensitivity, scale, centre }, input }))
    }

    fn bins(&mut self, input: usize, bins: usize, bound: &Contribution) -> usize {
        let (rows, groups) = (u128::from(bound.rows), u128::from(bound.groups));
        let sensitivity = Sensitivity {
            l0: bound.groups * bound.rows.min(bins as u64),
            l1: groups * rows,
            l2_squared: groups * rows * rows,
            linf: bound.rows,
        };
        let columns = self.columns..self.columns + bins;
        let part = Part { counted: Counted::Bins, columns, sensitivity, scale: 1, centre: 0 };
        self.plan(Planned { part, input: Some(input) })
    }

    /// Adds a part, or finds the one that is the same.
    fn plan(&mut self, planned: Planned) -> usize {
        let same = |other: &Planned| {
            other.input == planned.input
                && other.part.counted == planned.part.counted
                && other.part.centre == planned.part.centre
        };
        if let Some(place) = self.planned.iter().position(same) {
            return place;
        }
        self.columns += planned.part.columns.len();
        self.planned.push(planned);
        self.planned.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::declared::Origin;
    use crate::private::term::{Column, Kind, Role};

    fn input() -> Term {
        Term::Column(Column { source: 0, place: 3, kind: Kind::Float, role: Role::Value })
    }

    fn contribution(rows: u64, groups: u64) -> Contribution {
        Contribution { rows, groups, source: Origin::Expression }
    }

    fn bounds(lower: f64, upper: f64, decimals: u8) -> Bounds {
        Bounds { lower, upper, decimals, source: Origin::Expression }
    }

    fn parts(measures: Vec<(What, Option<Term>)>, rows: u64, groups: u64) -> Result<Parts, Refusal> {
        let measures = measures.into_iter().map(|(what, input)| Measure { name: "x".to_owned(), what, input });
        Parts::of(measures.collect(), &contribution(rows, groups), false)
    }

    // QUES-14
    #[test]
    fn sensitivities_follow_from_the_bounds() {
        let one = |what, input| {
            let parts = parts(vec![(what, input)], 3, 4).unwrap();
            parts.planned.iter().map(|planned| planned.part.sensitivity).collect::<Vec<_>>()
        };
        let of = Sensitivity::of_groups;
        assert_eq!(one(What::Rows, None), [of(4, 3)]);
        assert_eq!(one(What::Patients, None), [of(4, 1)]);
        assert_eq!(one(What::Sum(bounds(-7.0, 5.0, 1)), Some(input())), [of(4, 210)]);
        // The centre of -70 and 50 is -10.
        assert_eq!(one(What::Mean(bounds(-7.0, 5.0, 1)), Some(input())), [of(4, 180), of(4, 3)]);
        let variance = What::Variance { bounds: bounds(-7.0, 5.0, 1), sample: true, deviation: false };
        assert_eq!(one(variance, Some(input())), [of(4, 180), of(4, 1_080), of(4, 3)]);
        let edges = Edges { at: vec![0.0, 1.0, 2.0], source: Origin::Expression };
        let bins = one(What::Histogram(edges), Some(input()));
        assert_eq!(bins, [Sensitivity { l0: 8, l1: 12, l2_squared: 36, linf: 3 }]);
        let odd = Sensitivity::of_groups(3, 5);
        assert_eq!((odd.l1, odd.l2_squared), (15, 75));
    }

    // QUES-14
    #[test]
    fn equal_parts_are_one_and_what_is_too_much_is_refused() {
        let mean = || (What::Mean(bounds(0.0, 10.0, 0)), Some(input()));
        let variance = What::Variance { bounds: bounds(0.0, 10.0, 0), sample: false, deviation: true };
        let made = parts(vec![mean(), (variance, Some(input())), (What::Values, Some(input()))], 1, 1).unwrap();
        assert_eq!((made.planned.len(), made.inputs.len(), made.columns), (3, 2, 3));
        assert_eq!(
            made.recipes.iter().map(|recipe| recipe.parts.clone()).collect::<Vec<_>>(),
            [vec![0, 1], vec![0, 2, 1], vec![1]]
        );
        let most = bounds(0.0, 1_125_899_906_842_624.0, 0);
        assert!(parts(vec![(What::Sum(most.clone()), Some(input()))], 1, 1_000_000).is_ok());
        assert!(parts(vec![(What::Sum(most), Some(input()))], 2, 1).is_err());
        let narrow = What::Variance { bounds: bounds(0.0, 0.01, 3), sample: true, deviation: false };
        assert!(parts(vec![(narrow, Some(input()))], 1, 1).is_err());
    }

    #[test]
    fn squares_are_rounded_half_up() {
        assert_eq!([square(0, 10), square(5, 10), square(-5, 10), square(4, 10)], [0, 3, 3, 2]);
        assert_eq!(square(1 << 52, 1), i64::MAX);
    }
}
