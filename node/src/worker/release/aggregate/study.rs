//! What is made of a table of bounded rows: margins that agree, a linear model, synthetic rows. Each is planned from public sizes,
//! bounds and the budget; rows are only summed, and the sums go to a mechanism.

use std::collections::BTreeMap;

use cohortium_engine::private::{
    Catalogue, MadeColumn, PrivateTable, Room, SamplingKey, Study, TableColumn, TablePlan, take_rows,
};
use cohortium_private::account::{Cost, Purse, stated};
use cohortium_private::interval::normal_two_sided;
use cohortium_private::margins::{CELLS_MAX, Columns, Domain, Tables};
use cohortium_private::model::design::{Design, Feature, Range, Value};
use cohortium_private::model::fit::{Fit, Linear};
use cohortium_private::owner::Owner;
use cohortium_private::planner::{Estimates, Strategy, Wish};
use cohortium_private::postprocess::nonnegative;
use cohortium_private::synthetic::{Model, Synthetic};
use cohortium_protocol::digest::sha256_for;
use cohortium_protocol::quantity::Rho;
use cohortium_protocol::record::release::{NoiseKind, NoiseLine};

use crate::worker::release::body::Batch;

use super::answer::CONFIDENCE;
use super::noise::NoNoise;

/// Rows of which moments are summed at a time.
const BLOCK_ROWS: usize = 1_024;

/// How a study is measured.
#[derive(Clone)]
pub(super) enum Measuring {
    Margins { domain: Domain, wanted: Vec<Columns>, strategy: Strategy },
    Linear { design: Design, outcome: usize, linear: Linear },
    Synthetic { domain: Domain, rows: u32, third: Rho, synthetic: Synthetic },
}

/// What was made, and a line for each thing that was measured.
pub(super) struct Studied {
    pub(super) body: Batch,
    pub(super) lines: Vec<NoiseLine>,
}

/// What rows are summed into.
enum Sums {
    Tables(Tables<i64>),
    Moments { rows: Vec<Vec<i64>>, sums: Vec<i64> },
}

/// What is made of the rows before it is put into words.
enum Made {
    Margins(Estimates),
    Linear(Fit),
    Synthetic(Model),
}

fn line(what: &str, deviation: f64, half_width: f64) -> Option<NoiseLine> {
    let (scale, half_width) = (stated(deviation), stated(half_width));
    Some(NoiseLine { what: what.parse().ok()?, noise: NoiseKind::Gaussian, scale, half_width })
}

/// All sets of so many of these columns.
fn sets(width: usize, ways: usize) -> Vec<Columns> {
    let chosen = |mask: &u64| mask.count_ones() as usize == ways;
    let columns = |mask: u64| Columns::new((0..width).filter(|column| mask >> column & 1 == 1).collect()).ok();
    match ways {
        2 => (0..width).flat_map(|a| (a + 1..width).filter_map(move |b| Columns::new(vec![a, b]).ok())).collect(),
        1 => (0..width).filter_map(|column| Columns::new(vec![column]).ok()).collect(),
        _ => (0..1_u64 << width.min(16)).filter(chosen).filter_map(columns).collect(),
    }
}

impl Measuring {
    /// The measurement with the least noise for what is paid. What it is refused for is public.
    pub(super) fn planned(plan: &TablePlan, paid: Cost) -> Result<Self, NoNoise> {
        let rows = u32::try_from(plan.rows_max()).map_err(|_| NoNoise)?;
        let columns = plan.columns();
        let domain = || {
            let sizes = columns.iter().map(TableColumn::size).collect::<Option<Vec<_>>>();
            sizes.and_then(|sizes| Domain::new(sizes).ok()).ok_or(NoNoise)
        };
        let fits = |domain: &Domain, margins: &[Columns]| {
            let cells = margins.iter().try_fold(0_usize, |sum, margin| Some(sum + domain.cells(margin).ok()?));
            cells.filter(|cells| *cells <= CELLS_MAX).ok_or(NoNoise)
        };
        match plan.study() {
            Study::Margins { ways } => {
                let domain = domain()?;
                let wanted: Vec<Columns> =
                    (1..=usize::from(*ways)).flat_map(|ways| sets(columns.len(), ways)).collect();
                fits(&domain, &wanted)?;
                let wishes = wanted.iter().map(|columns| Wish { columns: columns.clone(), weight: 1.0 }).collect();
                let strategy = Strategy::within(domain.clone(), wishes, rows, paid.rho).map_err(|_| NoNoise)?;
                Ok(Self::Margins { domain, wanted, strategy })
            }
            Study::Linear { outcome } => {
                let outcome = columns.iter().position(|column| column.name == *outcome).ok_or(NoNoise)?;
                let range = range(&columns[outcome]).ok_or(NoNoise)?;
                let others = columns.iter().enumerate().filter(|(at, _)| *at != outcome);
                let features = others.map(|(_, column)| feature(column)).collect::<Option<Vec<_>>>().ok_or(NoNoise)?;
                let design = Design::new(features, range).ok_or(NoNoise)?;
                let linear = Linear::within(design.clone(), rows, paid.rho).map_err(|_| NoNoise)?;
                Ok(Self::Linear { design, outcome, linear })
            }
            Study::Synthetic {} => {
                let domain = domain()?;
                fits(&domain, &sets(columns.len(), 2))?;
                let synthetic = Synthetic::within(domain.clone(), rows, paid.rho).map_err(|_| NoNoise)?;
                Ok(Self::Synthetic { domain, rows, third: Rho(paid.rho.0 / 3), synthetic })
            }
        }
    }

    /// The noise of what is measured, as far as it is known before a row is read.
    pub(super) fn lines(&self, plan: &TablePlan) -> Vec<NoiseLine> {
        let z = normal_two_sided(CONFIDENCE);
        let of = |what: &str, strategy: &Strategy, margin: &Columns| {
            let deviation = strategy.variance(margin).sqrt();
            line(&format!("{what} {}", named(plan, margin)), deviation, z * deviation)
        };
        match self {
            Self::Margins { wanted, strategy, .. } => {
                wanted.iter().filter_map(|margin| of("rows by", strategy, margin)).collect()
            }
            Self::Linear { linear, .. } => {
                let what = "sums of products of two columns, each from -1 to 1";
                line(what, linear.deviation(), z * linear.deviation()).into_iter().collect()
            }
            Self::Synthetic { domain, rows, third, .. } => {
                let singles = sets(domain.width(), 1);
                let Some(strategy) = measured(domain, &singles, *rows, *third) else { return Vec::new() };
                singles
                    .iter()
                    .filter_map(|margin| of("measured for synthetic rows: rows by", &strategy, margin))
                    .collect()
            }
        }
    }

    fn sums(&self) -> Sums {
        let empty = |domain: &Domain, margins: Vec<Columns>| {
            let table = |margin: Columns| Some((domain.cells(&margin).ok()?, margin));
            let tables = margins.into_iter().filter_map(table).map(|(cells, margin)| (margin, vec![0; cells]));
            Sums::Tables(tables.collect())
        };
        match self {
            Self::Margins { domain, wanted, .. } => {
                let most = wanted.iter().map(|margin| margin.list().len()).max().unwrap_or(0);
                empty(domain, wanted.iter().filter(|margin| margin.list().len() == most).cloned().collect())
            }
            Self::Linear { design, .. } => Sums::Moments { rows: Vec::new(), sums: vec![0; design.moments().len()] },
            Self::Synthetic { domain, .. } => empty(domain, sets(domain.width(), 2)),
        }
    }

    /// Adds a row. No value of it fails.
    fn add(&self, columns: &[TableColumn], row: &[Option<i64>], sums: &mut Sums) {
        match (self, sums) {
            (Self::Margins { domain, .. } | Self::Synthetic { domain, .. }, Sums::Tables(tables)) => {
                for (margin, cells) in tables {
                    let place = margin.list().iter().try_fold(0_usize, |place, column| {
                        let code = usize::try_from(row.get(*column).copied().flatten()?).ok()?;
                        (code < domain.size(*column)).then_some(place * domain.size(*column) + code)
                    });
                    if let Some(cell) = place.and_then(|place| cells.get_mut(place)) {
                        *cell = cell.saturating_add(1);
                    }
                }
            }
            (Self::Linear { design, outcome, .. }, Sums::Moments { rows, sums }) => {
                let cells = columns.iter().zip(row).enumerate().filter(|(at, _)| at != outcome);
                let cells: Vec<Value> = cells.map(|(_, (column, cell))| value(column, *cell)).collect();
                let outcome = columns.get(*outcome).zip(row.get(*outcome)).and_then(|(c, cell)| number(c, *cell));
                rows.push(design.whole(&cells, outcome));
                if rows.len() >= BLOCK_ROWS {
                    summed(design, rows, sums);
                }
            }
            (Self::Margins { .. } | Self::Synthetic { .. }, Sums::Moments { .. })
            | (Self::Linear { .. }, Sums::Tables(_)) => {}
        }
    }

    /// Sums the rows, draws the noise from what was paid, and makes of it what was asked for.
    pub(super) fn made(
        &self,
        plan: &TablePlan,
        (catalogue, tables): (&Catalogue, &[PrivateTable]),
        room: &Room,
        paid: Cost,
        seed: [u8; 32],
    ) -> Result<Studied, NoNoise> {
        let mut key = [0; 16];
        key.copy_from_slice(&seed[..16]);
        let seed = sha256_for("synthetic rows", &seed);
        let mut sums = self.sums();
        take_rows(plan, catalogue, tables, SamplingKey(key), room, &mut |row| {
            self.add(plan.columns(), row, &mut sums);
        })
        .map_err(|_| NoNoise)?;
        let made = self.drawn(sums, paid)?;
        let mut lines = self.lines(plan);
        let body = match &made {
            Made::Margins(estimates) => self.margins(plan, estimates),
            Made::Linear(fit) => self.coefficients(plan, fit),
            Made::Synthetic(model) => {
                lines.extend(self.pairs(plan, model));
                rows(plan, model, seed)
            }
        };
        Ok(Studied { body: body.ok_or(NoNoise)?, lines })
    }

    fn drawn(&self, sums: Sums, paid: Cost) -> Result<Made, NoNoise> {
        let owner = Owner::start(Purse::of(paid)).map_err(|_| NoNoise)?;
        let made = match (self.clone(), sums) {
            (Self::Margins { strategy, .. }, Sums::Tables(exact)) => {
                owner.draw(move |purse| strategy.release(purse, &exact)).map(Made::Margins)
            }
            (Self::Linear { design, linear, .. }, Sums::Moments { mut rows, mut sums }) => {
                summed(&design, &mut rows, &mut sums);
                owner.draw(move |purse| linear.release(purse, &sums, CONFIDENCE)).map(Made::Linear)
            }
            (Self::Synthetic { synthetic, .. }, Sums::Tables(exact)) => {
                owner.draw(move |purse| synthetic.release(purse, &exact)).map(Made::Synthetic)
            }
            (Self::Margins { .. } | Self::Synthetic { .. }, Sums::Moments { .. })
            | (Self::Linear { .. }, Sums::Tables(_)) => return Err(NoNoise),
        };
        made.map_err(|_| NoNoise)
    }

    /// A row for each cell of each margin: which columns it is of, their values, the count and its interval.
    fn margins(&self, plan: &TablePlan, estimates: &Estimates) -> Option<Batch> {
        let Self::Margins { domain, wanted, .. } = self else { return None };
        let found = nonnegative::margins(estimates, wanted, CONFIDENCE);
        let labels: Vec<Vec<Option<String>>> = plan.columns().iter().map(TableColumn::labels).collect();
        let (mut margin_of, mut keys) = (Vec::new(), vec![Vec::new(); labels.len()]);
        let mut numbers: [Vec<Option<f64>>; 3] = Default::default();
        // In the order in which they were wanted: single columns first.
        for (margin, cells) in wanted.iter().filter_map(|margin| Some((margin, found.get(margin)?))) {
            for (place, cell) in cells.iter().enumerate() {
                margin_of.push(Some(named(plan, margin)));
                let mut rest = place;
                let mut codes = BTreeMap::new();
                for column in margin.list().iter().rev() {
                    codes.insert(*column, rest % domain.size(*column));
                    rest /= domain.size(*column);
                }
                for (column, key) in keys.iter_mut().enumerate() {
                    key.push(codes.get(&column).and_then(|code| labels[column].get(*code).cloned().flatten()));
                }
                for (column, number) in numbers.iter_mut().zip([cell.value, cell.low, cell.high]) {
                    column.push(Some(number));
                }
            }
        }
        let keys = plan.columns().iter().map(|column| column.name.clone()).zip(keys.into_iter().map(MadeColumn::Texts));
        let names = ["rows", "rows low", "rows high"].map(str::to_owned);
        let numbers = names.into_iter().zip(numbers.into_iter().map(MadeColumn::Numbers));
        plan.made(
            [("margin".to_owned(), MadeColumn::Texts(margin_of))].into_iter().chain(keys).chain(numbers).collect(),
        )
    }

    /// A row for each coefficient, with the interval of the noise and that of noise and the choice of patients.
    fn coefficients(&self, plan: &TablePlan, fit: &Fit) -> Option<Batch> {
        let Self::Linear { outcome, linear, .. } = self else { return None };
        let mut terms = vec!["(where numbers are in the middle of their bounds)".to_owned()];
        for column in plan.columns().iter().enumerate().filter(|(at, _)| at != outcome).map(|(_, column)| column) {
            let labels: Vec<String> =
                column.labels().into_iter().map(|label| label.unwrap_or_else(|| "none".to_owned())).collect();
            match labels.split_first() {
                None => terms.push(column.name.clone()),
                Some((reference, others)) => {
                    terms.extend(others.iter().map(|other| format!("{}: {other} instead of {reference}", column.name)));
                }
            }
        }
        let mut lines: Vec<[f64; 5]> =
            fit.coefficients.iter().map(|c| interval(c.value, c.noise_half_width, c.half_width)).collect();
        let reach = normal_two_sided(CONFIDENCE) * linear.deviation();
        terms.extend(["(rows)", "(ridge, in rows)"].map(str::to_owned));
        lines.extend([interval(fit.rows, reach, reach), interval(fit.ridge, 0.0, 0.0)]);
        if terms.len() != lines.len() {
            return None;
        }
        let names = ["value", "noise low", "noise high", "low", "high"];
        let numbers = names.iter().enumerate().map(|(at, name)| {
            let cells = lines.iter().map(|line| Some(line[at]).filter(|cell| cell.is_finite())).collect();
            ((*name).to_owned(), MadeColumn::Numbers(cells))
        });
        let terms = ("term".to_owned(), MadeColumn::Texts(terms.into_iter().map(Some).collect()));
        plan.made(std::iter::once(terms).chain(numbers).collect())
    }

    /// The pairs that were chosen, with their noise.
    fn pairs(&self, plan: &TablePlan, model: &Model) -> Vec<NoiseLine> {
        let Self::Synthetic { domain, rows, third, .. } = self else { return Vec::new() };
        let pairs: Vec<Columns> = model.pairs().cloned().collect();
        let Some(strategy) = measured(domain, &pairs, *rows, *third) else { return Vec::new() };
        let of = |margin: &Columns| {
            let deviation = strategy.variance(margin).sqrt();
            let what = format!("chosen and measured for synthetic rows: rows by {}", named(plan, margin));
            line(&what, deviation, normal_two_sided(CONFIDENCE) * deviation)
        };
        pairs.iter().filter_map(of).collect()
    }
}

fn interval(value: f64, noise: f64, all: f64) -> [f64; 5] {
    [value, value - noise, value + noise, value - all, value + all]
}

fn measured(domain: &Domain, margins: &[Columns], rows: u32, rho: Rho) -> Option<Strategy> {
    let wishes = margins.iter().map(|columns| Wish { columns: columns.clone(), weight: 1.0 }).collect();
    Strategy::within(domain.clone(), wishes, rows, rho).ok()
}

fn named(plan: &TablePlan, margin: &Columns) -> String {
    let names = margin.list().iter().filter_map(|column| plan.columns().get(*column));
    names.map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn summed(design: &Design, rows: &mut Vec<Vec<i64>>, sums: &mut [i64]) {
    let of_block = design.sums(rows.iter().map(Vec::as_slice));
    sums.iter_mut().zip(of_block).for_each(|(sum, more)| *sum = sum.saturating_add(more));
    rows.clear();
}

/// Synthetic rows. Where a value lies in its bin is drawn: the bin alone was measured.
fn rows(plan: &TablePlan, model: &Model, seed: [u8; 32]) -> Option<Batch> {
    let drawn = model.rows(None, seed);
    let column = |(at, column): (usize, &TableColumn)| {
        let codes = drawn.iter().map(|row| row[at]).collect();
        let shares = model.shares(drawn.len(), at, seed);
        (column.name.clone(), MadeColumn::Codes(at, codes, shares))
    };
    plan.made(plan.columns().iter().enumerate().map(column).collect())
}

fn range(column: &TableColumn) -> Option<Range> {
    let bounds = column.bounds()?;
    Range::new(bounds.lower, bounds.upper)
}

/// A number, or one of some values beside the first, which is the reference.
fn feature(column: &TableColumn) -> Option<Feature> {
    match column.size() {
        Some(size) => Some(Feature::Category(size.checked_sub(1)?)),
        None => range(column).map(Feature::Number),
    }
}

fn value(column: &TableColumn, cell: Option<i64>) -> Value {
    match column.size() {
        Some(_) => Value::Category(cell.and_then(|code| usize::try_from(code).ok()?.checked_sub(1))),
        None => Value::Number(number(column, cell)),
    }
}

fn number(column: &TableColumn, cell: Option<i64>) -> Option<f64> {
    let bounds = column.bounds()?;
    #[expect(clippy::cast_precision_loss, reason = "below 2^50 in magnitude")]
    cell.map(|cell| cell as f64 / 10_f64.powi(i32::from(bounds.decimals)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::Float64Type;
    use cohortium_engine::limits::Limits;
    use cohortium_engine::private::{ColumnRule, Declared, Kind, PrivateRows, TableRule, Whose, compile_table};
    use cohortium_protocol::quantity::Delta;

    use super::*;

    const ROWS: i64 = 4_000;

    fn catalogue() -> Catalogue {
        let rule = |(name, kind): (&str, Kind)| ColumnRule { name: name.to_owned(), kind, bounds: None, domain: None };
        let columns = [("id", Kind::Integer), ("sex", Kind::Text), ("ward", Kind::Text), ("days", Kind::Float)];
        let mut catalogue = Catalogue::default();
        let whose = Whose::Patients("id".to_owned());
        catalogue.insert("stay", TableRule { whose, columns: columns.map(rule).to_vec() }, BTreeSet::new());
        catalogue
    }

    /// A stay of each patient: men stay 6 days, in ward B, and women 2, in ward A; a few values are none or far outside.
    fn stays(patients: std::ops::Range<i64>) -> Vec<PrivateTable> {
        let ids: Vec<i64> = patients.collect();
        let man = |id: &i64| id % 4 == 0;
        let texts =
            |of: &dyn Fn(&i64) -> &'static str| Arc::new(ids.iter().map(|id| Some(of(id))).collect::<StringArray>());
        let days = ids.iter().map(|id| match (id % 1_000, man(id)) {
            (1, _) => f64::NAN,
            (2, _) => f64::INFINITY,
            (3, _) => -1e300,
            (_, true) => 6.0,
            (_, false) => 2.0,
        });
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from(ids.clone()))),
            ("sex", texts(&|id| if man(id) { "m" } else { "f" })),
            ("ward", texts(&|id| if man(id) { "B" } else { "A" })),
            ("days", Arc::new(Float64Array::from_iter_values(days))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let rows = PrivateRows::Batches { schema: batch.schema(), batches: vec![batch], ordered_by: None };
        vec![PrivateTable { name: "stay".parse().unwrap(), rows }]
    }

    fn studied(columns: &str, declared: &str, rho: u128) -> Studied {
        let source = r#"{"person": "petra"}"#;
        let declared = format!(r#"{{"contribution": {{"rows": 1, "groups": 1, "source": S}}, {declared}}}"#);
        let declared: Declared = serde_json::from_str(&declared.replace('S', source)).unwrap();
        let plan = compile_table(&format!("SELECT {columns} FROM stay"), &declared, &catalogue()).unwrap();
        let paid = Cost { rho: Rho(rho), delta: Delta(0) };
        let measuring = Measuring::planned(&plan, paid).unwrap();
        let room = Room { memory_bytes: 64 << 20, limits: Limits::default() };
        measuring
            .made(&plan, (&catalogue(), &stays(0..ROWS)), &room, paid, [3; 32])
            .unwrap_or_else(|_| panic!("no answer"))
    }

    const KEYS: &str =
        r#""keys": {"sex": {"values": ["f", "m"], "source": S}, "ward": {"values": ["A", "B", "C"], "source": S}}"#;

    fn column(body: &Batch, name: &str) -> Vec<f64> {
        body.column_by_name(name).unwrap().as_primitive::<Float64Type>().values().to_vec()
    }

    // PRIV-11
    #[test]
    fn margins_agree_are_near_the_truth_and_state_their_noise() {
        let found = studied("sex, ward", &format!(r#""study": {{"margins": {{"ways": 2}}}}, {KEYS}"#), 1 << 79);
        // Two by sex, three by ward, six by both.
        let truth = [3_000.0, 1_000.0, 3_000.0, 1_000.0, 0.0, 3_000.0, 0.0, 0.0, 0.0, 1_000.0, 0.0];
        let rows = column(&found.body, "rows");
        assert_eq!((rows.len(), found.lines.len()), (truth.len(), 3));
        for (found, truth) in rows.iter().zip(truth) {
            assert!((found - truth).abs() < 12.0 && *found >= 0.0, "{rows:?}");
        }
        let sum = |cells: &[f64]| cells.iter().sum::<f64>();
        assert!(
            (rows[0] - sum(&rows[5..8])).abs() < 1e-6 && (sum(&rows[..2]) - sum(&rows[2..5])).abs() < 1e-6,
            "{rows:?}"
        );
        assert_ne!(rows, truth, "there is noise");
    }

    // PRIV-13
    #[test]
    fn a_model_finds_what_men_stay_longer_with_values_that_are_none_or_far_outside() {
        let declared = r#""study": {"linear": {"outcome": "days"}}, "keys": {"sex": {"values": ["f", "m"], "source": S}},
            "bounds": {"days": {"lower": 0.0, "upper": 10.0, "decimals": 1, "source": S}}"#;
        let found = studied("sex, days", declared, 1 << 79);
        let (value, low, high) =
            (column(&found.body, "value"), column(&found.body, "low"), column(&found.body, "high"));
        assert_eq!(value.len(), 4, "constant, men instead of women, rows and ridge");
        assert!((value[0] - 2.0).abs() < 0.3 && (value[1] - 4.0).abs() < 0.4, "{value:?}");
        assert!(low[1] < 4.0 && 4.0 < high[1] + 0.2 && high[1] - low[1] < 1.0, "{low:?} {high:?}");
        assert!((value[2] - 4_000.0).abs() < 20.0);
    }

    // PRIV-14
    #[test]
    fn synthetic_rows_are_as_many_and_keep_the_pair_that_says_most() {
        let found = studied("sex, ward", &format!(r#""study": {{"synthetic": {{}}}}, {KEYS}"#), 1 << 79);
        let rows = found.body.num_rows();
        assert!((3_950..4_050).contains(&rows), "{rows}");
        let cells = |name: &str| found.body.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (sex, ward) = (cells("sex"), cells("ward"));
        let together = (0..rows).filter(|row| sex.value(*row) == "m" && ward.value(*row) == "B").count();
        assert!((950..1_050).contains(&together), "{together}");
        assert_eq!(found.lines.len(), 3, "two columns, and the pair that was chosen");
    }
}
