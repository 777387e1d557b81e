//! From noised cells to the answer: each measure with an interval that holds the exact value of the bounded rows with 95 %, keys first.
//! All of it is post-processing and costs nothing.

use cohortium_engine::private::{AnswerColumn, Bounded, Output, Part, Plan, Recipe, What};
use cohortium_private::quantile::{Share, from_noised};

use crate::worker::release::body::Batch;

use super::noise::{Mechanism, NoNoise, Noised};

/// How sure an interval is.
pub(super) const CONFIDENCE: f64 = 0.95;

/// A value and the ends of its interval.
#[derive(Debug, Clone, Copy)]
struct Estimate {
    value: f64,
    low: f64,
    high: f64,
}

const NOTHING: Estimate = Estimate { value: f64::NAN, low: f64::NAN, high: f64::NAN };

struct Cells<'a> {
    bounded: &'a Bounded,
    mechanisms: &'a [Mechanism],
    noised: &'a Noised,
}

impl Cells<'_> {
    fn part(&self, at: usize) -> &Part {
        &self.bounded.parts[at]
    }

    /// A noised cell and how far its noise reaches, when `together` cells are to hold at once.
    fn cell(&self, part: usize, column: usize, group: usize, together: usize) -> Estimate {
        let value = self.noised.vectors[part].get(column).and_then(|cells| cells.get(group)).copied().unwrap_or(0);
        let value = whole(value);
        let half = self.mechanisms[part].noise().half_width(1.0 - (1.0 - CONFIDENCE) / number(together));
        Estimate { value, low: value - half, high: value + half }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a noised value, whose noise is far above what is rounded")]
fn whole(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn number(value: usize) -> f64 {
    value as f64
}

/// The least and the greatest of a function over the corners of some intervals, and its value in their middle.
fn corners<const N: usize>(of: [Estimate; N], function: impl Fn([f64; N]) -> f64) -> Estimate {
    let value = function(of.map(|one| one.value));
    let (mut low, mut high) = (value, value);
    for corner in 0..1_usize << N {
        let at: [f64; N] =
            std::array::from_fn(|place| if corner >> place & 1 == 0 { of[place].low } else { of[place].high });
        let there = function(at);
        low = low.min(there);
        high = high.max(there);
    }
    Estimate { value, low, high }
}

/// The columns of one measure.
fn measured(cells: &Cells<'_>, recipe: &Recipe, group: usize) -> Vec<Estimate> {
    let first = recipe.parts.first().copied().unwrap_or(0);
    match &recipe.what {
        What::Rows | What::Values | What::Patients => vec![count(cells.cell(first, 0, group, 1))],
        What::Sum(_) => {
            let scale = whole(cells.part(first).scale);
            vec![corners([cells.cell(first, 0, group, 1)], |[sum]| sum / scale)]
        }
        What::Mean(bounds) => {
            let part = cells.part(first);
            let (scale, centre) = (whole(part.scale), whole(part.centre));
            let of = [first, recipe.parts[1]].map(|part| cells.cell(part, 0, group, 2));
            let mean =
                |[sum, count]: [f64; 2]| ((sum / count.max(1.0) + centre) / scale).clamp(bounds.lower, bounds.upper);
            vec![corners(of, mean)]
        }
        What::Variance { sample, deviation, .. } => {
            let part = cells.part(first);
            let scale = whole(part.scale);
            let of = [first, recipe.parts[1], recipe.parts[2]].map(|part| cells.cell(part, 0, group, 3));
            let variance = |[sum, squares, count]: [f64; 3]| {
                let count = count.max(2.0);
                // Squares were divided by the scale once, to stay small.
                let about_mean = (squares * scale - sum * sum / count).max(0.0) / (scale * scale);
                let variance = about_mean / if *sample { count - 1.0 } else { count };
                if *deviation { variance.sqrt() } else { variance }
            };
            vec![corners(of, variance)]
        }
        What::Histogram(edges) => {
            let bins = edges.at.len() - 1;
            (0..bins).map(|bin| count(cells.cell(first, bin, group, 1))).collect()
        }
        What::Quantiles(edges, shares) => {
            let bins = edges.at.len() - 1;
            let counts: Vec<f64> = (0..bins).map(|bin| cells.cell(first, bin, group, 1).value).collect();
            // The noise of a sum over bins grows with the root of their number.
            let reach = cells.mechanisms[first].noise().half_width(CONFIDENCE) * number(bins).sqrt();
            shares.iter().map(|share| quantile(&counts, &edges.at, *share, reach)).collect()
        }
    }
}

fn count(of: Estimate) -> Estimate {
    Estimate { value: of.value.max(0.0), low: of.low.max(0.0), high: of.high.max(0.0) }
}

/// The end of the bin in which the share is reached, and of those where it could be.
fn quantile(counts: &[f64], edges: &[f64], share: f64, reach: f64) -> Estimate {
    let total: f64 = counts.iter().map(|count| count.max(0.0)).sum();
    if total <= 0.0 {
        return NOTHING;
    }
    let at = |share: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share between 0 and 1")]
        let share = Share::new((share.clamp(0.0, 1.0) * 10_000.0).round() as u16)?;
        from_noised(share, counts)
    };
    let edge = |bin: Option<usize>, end: usize| bin.and_then(|bin| edges.get(bin + end)).copied().unwrap_or(f64::NAN);
    let off = reach / total;
    Estimate { value: edge(at(share), 1), low: edge(at(share - off), 0), high: edge(at(share + off), 1) }
}

/// The names of a measure's columns.
fn names(name: &str, what: &What) -> Vec<String> {
    match what {
        What::Histogram(edges) => {
            edges.at.windows(2).map(|bin| format!("{name} from {} to {}", bin[0], bin[1])).collect()
        }
        What::Quantiles(_, shares) if shares.len() > 1 => {
            shares.iter().map(|share| format!("{name} at {share}")).collect()
        }
        _ => vec![name.to_owned()],
    }
}

/// The answer: keys and measures in the order of the question, each measure with the ends of its interval behind it.
pub(super) fn answered(
    plan: &Plan,
    bounded: &Bounded,
    mechanisms: &[Mechanism],
    noised: &Noised,
) -> Result<Batch, NoNoise> {
    let cells = Cells { bounded, mechanisms, noised };
    let values: Vec<Vec<Vec<Estimate>>> = (0..noised.groups.len())
        .map(|group| plan.recipes().iter().map(|recipe| measured(&cells, recipe, group)).collect())
        .collect();
    let value = |group: usize, measure: usize| values[group].get(measure)?.first().map(|found| found.value);
    let mut shown: Vec<usize> = (0..noised.groups.len())
        .filter(|group| plan.having().is_none_or(|having| having.holds(&|measure| value(*group, measure))))
        .collect();
    if let Some(top) = plan.top() {
        let by = |group: &usize| value(*group, top.measure).unwrap_or(f64::NEG_INFINITY);
        shown.sort_by(|a, b| by(b).total_cmp(&by(a)));
        shown.truncate(usize::try_from(top.groups).unwrap_or(usize::MAX));
    }
    let mut columns: Vec<(String, AnswerColumn)> = Vec::new();
    for (name, output) in plan.outputs() {
        let measure = match *output {
            Output::Key(at) => {
                columns.push((name.clone(), AnswerColumn::Key(at)));
                continue;
            }
            Output::Measure(at) => at,
        };
        let recipe = plan.recipes().get(measure).ok_or(NoNoise)?;
        for (place, name) in names(name, &recipe.what).into_iter().enumerate() {
            let column = |of: fn(&Estimate) -> f64| {
                let cell = |group: &usize| of(values[*group][measure].get(place).unwrap_or(&NOTHING));
                let cells = shown.iter().map(cell).map(|cell| cell.is_finite().then_some(cell));
                AnswerColumn::Values(cells.collect())
            };
            let ends = [
                (format!("{name} low"), column(|found| found.low)),
                (format!("{name} high"), column(|found| found.high)),
            ];
            columns.push((name, column(|found| found.value)));
            columns.extend(ends);
        }
    }
    let groups: Vec<usize> = shown.iter().map(|group| noised.groups[*group]).collect();
    bounded.answer(&groups, columns).ok_or(NoNoise)
}
