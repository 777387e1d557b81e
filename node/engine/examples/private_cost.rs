//! What bounding contributions costs, beside what the same engine takes for the same grouping without it: CPU seconds, medians of
//! five, both sides by turns in one run.
//!
//! `cargo run --release -p cohortium-engine --example private_cost [ROWS]`

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use cohortium_engine::limits::Limits;
use cohortium_engine::private::{
    Ask, Bounds, Catalogue, ColumnRule, Contribution, Declared, Kind, Origin, Plan, PrivateRows, PrivateTable,
    Question, Room, SamplingKey, TableRule, Whose, bound, compile,
};
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use datafusion::prelude::SessionConfig;
use futures::StreamExt;

/// Rows of one patient, and values of the key.
const ROWS_OF_A_PATIENT: u64 = 10;
const KEYS: u64 = 50;
const RUNS: usize = 5;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

fn schema() -> SchemaRef {
    let field = |name: &str, kind| Field::new(name, kind, true);
    Arc::new(Schema::new(vec![
        field("person_id", DataType::Int64),
        field("ward", DataType::Utf8),
        field("code", DataType::Int64),
        field("cost", DataType::Float64),
    ]))
}

/// Batches of rows, of random patients, or patient after patient.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "made-up values")]
fn batches(rows: u64, clustered: bool) -> Result<Vec<RecordBatch>, Box<dyn Error>> {
    let mut random = Random(1);
    let patients = rows / ROWS_OF_A_PATIENT;
    let mut made = Vec::new();
    for begin in (0..rows).step_by(8_192) {
        let count = 8_192.min(rows - begin);
        let (mut people, mut wards, mut codes, mut costs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for row in begin..begin + count {
            let patient = if clustered { row / ROWS_OF_A_PATIENT } else { random.next() % patients };
            // Ids look as those of consolidated tables do: without order where the table has none.
            people.push(if clustered { patient as i64 * 1_000_003 } else { Random(patient).next() as i64 });
            let key = random.next() % KEYS;
            wards.push(format!("ward number {key}"));
            codes.push(key as i64);
            costs.push((random.next() % 100_000) as f64 / 100.0);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(people)),
            Arc::new(StringArray::from(wards)),
            Arc::new(Int64Array::from(codes)),
            Arc::new(Float64Array::from(costs)),
        ];
        made.push(RecordBatch::try_new(schema(), columns)?);
    }
    Ok(made)
}

fn catalogue() -> Catalogue {
    let kinds = [("person_id", Kind::Integer), ("ward", Kind::Text), ("code", Kind::Integer), ("cost", Kind::Float)];
    let column = |(name, kind): (&str, Kind)| ColumnRule { name: name.to_owned(), kind, bounds: None, domain: None };
    let rule = TableRule { whose: Whose::Patients("person_id".to_owned()), columns: kinds.map(column).to_vec() };
    let mut catalogue = Catalogue::default();
    catalogue.insert("visit", rule, BTreeSet::new());
    catalogue
}

fn plan(key: &str) -> Result<Plan, Box<dyn Error>> {
    let source = Origin::Standard("made up".to_owned());
    let bounds = Bounds { lower: 0.0, upper: 1_000.0, decimals: 2, source: source.clone() };
    let declared = Declared {
        contribution: Contribution { rows: 2, groups: 5, source },
        bounds: BTreeMap::from([("s".to_owned(), bounds)]),
        edges: BTreeMap::new(),
        keys: BTreeMap::new(),
        wish: None,
        study: None,
    };
    let text = format!("SELECT {key}, count(*) AS n, sum(cost) AS s FROM visit GROUP BY {key}");
    Ok(compile(&Question { ask: Ask::Sql(text), declared }, &catalogue())?)
}

/// CPU seconds of this process so far, all threads, at 100 ticks a second.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.collect::<Result<Vec<_>, _>>()?.into_iter().sum::<f64>() / 100.0)
}

fn private(plan: &Plan, batches: &[RecordBatch], ordered: bool) -> Result<u64, Box<dyn Error>> {
    let ordered_by = ordered.then(|| "person_id".to_owned());
    let rows = PrivateRows::Batches { schema: schema(), batches: batches.to_vec(), ordered_by };
    let table = PrivateTable { name: "visit".parse()?, rows };
    let room = Room { memory_bytes: 4 << 30, limits: Limits::default() };
    let bounded = bound(plan, &catalogue(), &[table], SamplingKey([7; 16]), &room)?;
    Ok(bounded.batch.num_rows() as u64)
}

fn plain(sql: &str, batches: &[RecordBatch]) -> Result<u64, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let config = SessionConfig::new().with_target_partitions(1);
        let context = SessionContext::new_with_config(config);
        let table = MemTable::try_new(schema(), vec![batches.to_vec()])?;
        context.register_table("visit", Arc::new(table))?;
        let mut stream = context.sql(sql).await?.execute_stream().await?;
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            rows += batch?.num_rows() as u64;
        }
        Ok(rows)
    })
}

fn timed(run: impl Fn() -> Result<u64, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let begin = cpu_seconds()?;
    run()?;
    Ok(cpu_seconds()? - begin)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Both sides by turns.
fn compare(
    name: &str,
    ours: impl Fn() -> Result<u64, Box<dyn Error>>,
    theirs: impl Fn() -> Result<u64, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut times: HashMap<bool, Vec<f64>> = HashMap::new();
    for _ in 0..RUNS {
        times.entry(true).or_default().push(timed(&ours)?);
        times.entry(false).or_default().push(timed(&theirs)?);
    }
    let mut of = |side| median(times.remove(&side).unwrap_or_default());
    let (ours, theirs) = (of(true), of(false));
    println!("{name:<58} {ours:>7.2} s {theirs:>7.2} s {:>6.2}", ours / theirs.max(0.01));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let rows = std::env::args().nth(1).map_or(Ok(10_000_000), |text| text.parse::<u64>())?;
    println!("{:<58} {:>9} {:>9} {:>6}", format!("{rows} rows, CPU seconds"), "bounded", "plain", "times");
    let million = batches(1_000_000, false)?;
    let scattered = batches(rows, false)?;
    for key in ["code", "ward"] {
        let plan = plan(key)?;
        let by_key = format!("SELECT {key}, count(*), sum(cost) FROM visit GROUP BY {key}");
        let by_patient = format!("SELECT person_id, {key}, count(*), sum(cost) FROM visit GROUP BY person_id, {key}");
        compare(
            &format!("by {key}, a million rows in no order; plain GROUP BY key"),
            || private(&plan, &million, false),
            || plain(&by_key, &million),
        )?;
        compare(
            &format!("by {key}, no order; plain GROUP BY patient, key"),
            || private(&plan, &scattered, false),
            || plain(&by_patient, &scattered),
        )?;
    }
    drop((million, scattered));
    let clustered = batches(rows, true)?;
    for key in ["code", "ward"] {
        let plan = plan(key)?;
        let by_key = format!("SELECT {key}, count(*), sum(cost) FROM visit GROUP BY {key}");
        compare(
            &format!("by {key}, clustered by patient; plain GROUP BY key"),
            || private(&plan, &clustered, true),
            || plain(&by_key, &clustered),
        )?;
    }
    Ok(())
}
