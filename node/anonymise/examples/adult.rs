//! CPU time, loss, classes and suppressed rows on Adult and on tables grown from it, beside ARX's own figures.
//!
//!     cargo run --release -p cohortium-anonymise --example adult [DATA_FOLDER] [adult|rows N ..]
//!
//! CPU time is that of all threads, from `/proc/self/stat`; memory is the most that was resident.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use cohortium_anonymise::encode::{QuasiRole, Roles, SensitiveRole, encode};
use cohortium_anonymise::file::{FileJob, anonymise_parquet};
use cohortium_anonymise::hierarchy::Hierarchy;
use cohortium_anonymise::lattice::{FullDomain, full_domain};
use cohortium_anonymise::local::{Local, Value, local};
use cohortium_anonymise::loss::Losses;
use cohortium_anonymise::model::Models;
use cohortium_anonymise::release::{Attacks, Mode, attacked};
use cohortium_anonymise::resistant::{Resistance, resistant};
use cohortium_anonymise::seed::Seed;
use cohortium_anonymise::table::Table;
use parquet::arrow::ArrowWriter;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::Value as Json;

const QUASI: [&str; 8] =
    ["sex", "age", "race", "marital-status", "education", "native-country", "workclass", "occupation"];

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Fallible<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/arx");
    let folder = match arguments.first() {
        Some(first) if Path::new(first).is_dir() => PathBuf::from(arguments.remove(0)),
        _ => beside,
    };
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return Ok(());
    }
    let adult = Adult::read(&folder)?;
    match arguments.first().map(String::as_str) {
        None | Some("adult") => adult.configurations()?,
        Some("rows") => {
            for rows in &arguments[1..] {
                adult.grown(rows.parse()?)?;
            }
        }
        Some(other) => return Err(format!("{other} is neither adult nor rows").into()),
    }
    Ok(())
}

struct Adult {
    columns: Vec<Vec<String>>,
    salary: Vec<String>,
    roles: Roles,
    results: Json,
}

impl Adult {
    fn read(folder: &Path) -> Fallible<Self> {
        let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_path(folder.join("adult.csv"))?;
        let header = reader.headers()?.clone();
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>()?;
        let column = |name: &str| -> Fallible<Vec<String>> {
            let at = header.iter().position(|held| held == name).ok_or("a column is missing")?;
            Ok(rows.iter().map(|row| row[at].to_owned()).collect())
        };
        let mut roles = Roles::default();
        let mut columns = Vec::new();
        for name in QUASI {
            let text = std::fs::read_to_string(folder.join(format!("adult_hierarchy_{name}.csv")))?;
            let hierarchy = Arc::new(Hierarchy::from_table(&text, ';')?);
            roles.quasi.push(QuasiRole { column: name.to_owned(), hierarchy, missing: None });
            columns.push(column(name)?);
        }
        roles.sensitive.push(SensitiveRole { column: "salary-class".to_owned(), tree: None });
        let results = serde_json::from_slice(&std::fs::read(folder.join("results.json"))?)?;
        Ok(Self { salary: column("salary-class")?, columns, roles, results })
    }

    fn table(&self) -> Fallible<Table> {
        let text = |column: &Vec<String>| Arc::new(StringArray::from_iter_values(column)) as ArrayRef;
        let columns = QUASI.iter().copied().zip(self.columns.iter().map(text));
        let batch = RecordBatch::try_from_iter(columns.chain([("salary-class", text(&self.salary))]))?;
        Ok(encode(&[batch], &self.roles)?.table)
    }

    fn configurations(&self) -> Fallible<()> {
        let (table, took) = timed(20, || self.table())?;
        println!("Adult, {} rows, encoded from texts in {took}", table.rows());
        for run in self.results["global"].as_array().into_iter().flatten() {
            let k = u32::try_from(run["k"].as_u64().unwrap_or(5))?;
            let asked = FullDomain::k(k, run["suppression_max"].as_f64().unwrap_or(1.0));
            let (found, took) = timed(20, || Ok(full_domain(&table, &asked)?))?;
            let name = format!("full domain, k {k}, suppression {}", asked.suppression_max);
            line(&name, &Losses::of(&table, &found.recoding), &took);
            println!(
                "    {:?}, {} of {} nodes, levels {:?}",
                found.optimality, found.visited, found.lattice, found.levels
            );
            println!("    ARX: {run}");
        }
        for k in [2, 5, 10, 50] {
            let (recoding, took) = timed(20, || Ok(local(&table, &Local::k(k))?))?;
            line(&format!("local, k {k}"), &Losses::of(&table, &recoding), &took);
            let asked = Local { values: vec![Value::Balanced, Value::Broad, Value::Even], ..Local::k(k) };
            let (best, took) = timed(20, || Ok(local(&table, &asked)?))?;
            line(&format!("local, best of three, k {k}"), &Losses::of(&table, &best), &took);
            let models = Models::k(k);
            let safe = || Ok(resistant(&table, &models, &Resistance::default(), &Seed([7; 32]))?);
            let (safe, took) = timed(5, safe)?;
            line(&format!("default mode, k {k}"), &Losses::of(&table, &safe), &took);
            for (name, recoding) in [("local", &recoding), ("default", &safe)] {
                for finding in attacked(&table, recoding, &models)?.into_iter().take(2) {
                    println!("    {name} under {:?}: {:.4} of cells refined", finding.attack, finding.refined());
                }
            }
        }
        println!("    ARX: {}", self.results["local_recoding"]);
        println!("    others: {}", self.results["others"]);
        Ok(())
    }

    /// Adult repeated, a quarter of each quasi-identifier's cells drawn anew from their column; file to file.
    fn grown(&self, rows: usize) -> Fallible<()> {
        let folder = tempfile::tempdir()?;
        let input = folder.path().join("input.parquet");
        self.write_grown(rows, &input)?;
        println!("{rows} rows grown from Adult, 8 quasi-identifiers, Parquet of {} bytes", input.metadata()?.len());
        let modes = [
            ("local", Mode::Local(Local { threads: 2, ..Local::k(5) })),
            ("full domain, suppression 0.02", Mode::FullDomain(FullDomain { threads: 2, ..FullDomain::k(5, 0.02) })),
            ("default mode", Mode::default_for(Models::k(5))),
        ];
        for (name, mode) in modes {
            let job = FileJob { roles: self.roles.clone(), mode, attacks: Attacks::Skip, id: None };
            let output = folder.path().join("output.parquet");
            let run = || Ok(anonymise_parquet(File::open(&input)?, File::create(&output)?, &job, &Seed([7; 32]))?);
            let (report, took) = timed(1, run)?;
            line(&format!("{name}, k 5, file to file"), &report.losses, &took);
            println!("    most memory so far {} MiB", memory_mib());
        }
        println!("    ARX: {}", self.results["million_rows"]);
        Ok(())
    }

    fn write_grown(&self, rows: usize, path: &Path) -> Fallible<()> {
        const BATCH: usize = 100_000;
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let own = self.salary.len();
        let mut writer: Option<ArrowWriter<File>> = None;
        for from in (0..rows).step_by(BATCH) {
            let numbers: Vec<usize> = (from..rows.min(from + BATCH)).map(|row| row % own).collect();
            let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
            for (name, column) in QUASI.iter().zip(&self.columns) {
                let cell = |row: &usize| {
                    let anew = dice.next_u32() % 4 == 0;
                    let row = if anew { dice.next_u32() as usize % own } else { *row };
                    column[row].as_str()
                };
                columns.push((name, Arc::new(StringArray::from_iter_values(numbers.iter().map(cell)))));
            }
            let salaries = numbers.iter().map(|row| self.salary[*row].as_str());
            columns.push(("salary-class", Arc::new(StringArray::from_iter_values(salaries))));
            let batch = RecordBatch::try_from_iter(columns)?;
            let writer = match &mut writer {
                Some(writer) => writer,
                None => writer.insert(ArrowWriter::try_new(File::create(path)?, batch.schema(), None)?),
            };
            writer.write(&batch)?;
        }
        if let Some(writer) = writer {
            writer.close()?;
        }
        Ok(())
    }
}

fn line(name: &str, losses: &Losses, took: &str) {
    println!("{name}: loss {:.4}, suppressed {}, classes {}, {took}", losses.loss, losses.suppressed, losses.classes);
}

/// Runs work some times and tells the mean CPU and wall time of one.
fn timed<T>(times: u32, mut work: impl FnMut() -> Fallible<T>) -> Fallible<(T, String)> {
    let (cpu, wall) = (cpu_s(), Instant::now());
    let mut last = work()?;
    for _ in 1..times {
        last = work()?;
    }
    let (cpu, wall) = ((cpu_s() - cpu) / f64::from(times), wall.elapsed().as_secs_f64() / f64::from(times));
    Ok((last, format!("{cpu:.4} s CPU, {wall:.4} s")))
}

/// CPU seconds of this process, user and system; clock ticks are hundredths on Linux.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib / 1_024)
}
