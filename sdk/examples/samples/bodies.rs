//! Rows of made-up stays at five hospitals, and what is released of them: rows, counts, and means with intervals.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array,
};
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;

/// The hospitals, each with its mean stay in days and its share of patients who are back within 30 days, in per cent.
pub(crate) const SITES: [(&str, f64, u64); 5] =
    [("centre", 5.0, 12), ("east", 3.6, 8), ("north", 4.2, 10), ("south", 6.1, 15), ("west", 4.7, 11)];
/// Bands of age; older patients stay longer.
pub(crate) const AGES: [&str; 4] = ["18-44", "45-64", "65-79", "80 and more"];
/// Cells below are suppressed, with others so that none can be computed.
pub(crate) const FLOOR: u64 = 11;
/// Half widths of the noise: of a count of stays, of a mean of days, of a share.
pub(crate) const HALF_WIDTHS: [f64; 3] = [14.0, 0.32, 0.021];

/// A file of rows as Parquet, and how many rows it has.
pub(crate) struct Body {
    pub(crate) path: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: u64,
}

struct Stay {
    site: usize,
    age: usize,
    woman: bool,
    days: i64,
    back: bool,
}

/// Small numbers in a fixed order: splitmix64 (Steele, Lea and Flood 2014).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Between 0 and 1.
    fn share(&mut self) -> f64 {
        number(self.below(1 << 20)) / number(1 << 20)
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of this file are small")]
fn number(of: u64) -> f64 {
    of as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a stay of at most 60 days")]
fn stays() -> Vec<Stay> {
    let mut numbers = Numbers(20_261_201);
    let mut found = Vec::new();
    for (site, (_, mean, back)) in SITES.iter().enumerate() {
        for age in 0..AGES.len() {
            for woman in [false, true] {
                // Every class of the rows has at least 11 patients.
                for _ in 0..(11 + numbers.below(60)) {
                    let scale = mean * (0.7 + 0.2 * number(age as u64));
                    let days = (-numbers.share().max(1e-6).ln() * scale).ceil().clamp(1.0, 60.0) as i64;
                    let back = numbers.below(100) < back + 2 * age as u64;
                    found.push(Stay { site, age, woman, days, back });
                }
            }
        }
    }
    found
}

/// The rows, in two files.
pub(crate) fn microdata() -> Vec<Body> {
    let stays = stays();
    let cut = stays.len() / 2;
    let paths = ["body/part-000.parquet", "body/part-001.parquet"];
    let halves = [&stays[..cut], &stays[cut..]];
    halves.into_iter().zip(paths).map(|(stays, path)| body(path, &rows(stays))).collect()
}

fn rows(stays: &[Stay]) -> RecordBatch {
    let dictionary = |of: &dyn Fn(&Stay) -> &'static str| -> ArrayRef {
        Arc::new(stays.iter().map(of).collect::<DictionaryArray<Int32Type>>())
    };
    let columns: [(&str, ArrayRef); 5] = [
        ("site", dictionary(&|stay| SITES[stay.site].0)),
        ("age", dictionary(&|stay| AGES[stay.age])),
        ("sex", dictionary(&|stay| if stay.woman { "F" } else { "M" })),
        ("days", Arc::new(stays.iter().map(|stay| Some(stay.days)).collect::<Int64Array>())),
        ("readmitted", Arc::new(stays.iter().map(|stay| Some(stay.back)).collect::<BooleanArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .expect("columns of one length, each with another name")
}

/// Patients by hospital and age with all totals, in the order of the two dimensions; what is suppressed is missing. And how many are.
pub(crate) fn counts() -> (Vec<Body>, u64) {
    let stays = stays();
    let (mut sites, mut ages, mut patients) = (Vec::new(), Vec::new(), Vec::new());
    let places = |many: usize| (0..many).map(Some).chain([None]);
    for site in places(SITES.len()) {
        for age in places(AGES.len()) {
            let counted = stays.iter().filter(|stay| {
                stay.back && site.is_none_or(|site| stay.site == site) && age.is_none_or(|age| stay.age == age)
            });
            let counted = counted.count() as u64;
            sites.push(site.map_or("(all)", |site| SITES[site].0));
            ages.push(age.map_or("(all)", |age| AGES[age]));
            // Two of each line and of each column stay hidden, so that no total gives one of them away.
            let hidden = matches!((site, age), (Some(site), Some(age)) if site < 4 && (age + site) % 4 < 2);
            patients.push((!hidden && (counted >= FLOOR || counted == 0)).then_some(counted));
        }
    }
    let suppressed = patients.iter().filter(|count| count.is_none()).count() as u64;
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("site", Arc::new(StringArray::from(sites)) as ArrayRef, false),
        ("age", Arc::new(StringArray::from(ages)) as ArrayRef, false),
        ("patients", Arc::new(UInt64Array::from(patients)) as ArrayRef, true),
    ]);
    (vec![body("body/counts.parquet", &batch.expect("columns of one length, each with another name"))], suppressed)
}

/// Stays, mean days and the share that is back within 30 days, by hospital and with intervals.
pub(crate) fn aggregate() -> Vec<Body> {
    let stays = stays();
    let mut numbers = Numbers(7);
    let mut columns: Vec<(String, Vec<f64>)> = Vec::new();
    let mut exact: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for site in 0..SITES.len() {
        let here: Vec<&Stay> = stays.iter().filter(|stay| stay.site == site).collect();
        let many = number(here.len() as u64);
        let days = number(here.iter().map(|stay| stay.days.unsigned_abs()).sum());
        let back = number(here.iter().filter(|stay| stay.back).count() as u64);
        exact.entry("stays").or_default().push(many);
        exact.entry("days").or_default().push(days / many);
        exact.entry("readmitted").or_default().push(back / many);
    }
    for (name, half) in ["stays", "days", "readmitted"].into_iter().zip(HALF_WIDTHS) {
        // Not drawn by a mechanism: made up like everything here.
        let values: Vec<f64> = exact[name].iter().map(|value| value + half * (numbers.share() - 0.5)).collect();
        let moved = |by: f64| values.iter().map(|value| value + by).collect::<Vec<f64>>();
        let (low, high) = (moved(-half), moved(half));
        columns.push((name.to_owned(), values));
        columns.extend([(format!("{name} low"), low), (format!("{name} high"), high)]);
    }
    let sites = Arc::new(StringArray::from(SITES.map(|(name, _, _)| name).to_vec())) as ArrayRef;
    let columns = columns.into_iter().map(|(name, values)| (name, Arc::new(Float64Array::from(values)) as ArrayRef));
    let batch = RecordBatch::try_from_iter([("site".to_owned(), sites)].into_iter().chain(columns));
    vec![body("body/answer.parquet", &batch.expect("columns of one length, each with another name"))]
}

fn body(path: &'static str, batch: &RecordBatch) -> Body {
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("plain columns have a form in Parquet");
    writer.write(batch).expect("memory takes all");
    Body { path, bytes: writer.into_inner().expect("memory takes all"), rows: batch.num_rows() as u64 }
}
