//! Prints how fast two views take generated FHIR data in: megabytes per CPU-second and per second, on one thread and two.
//!
//! Usage: `rate [MEGABYTES] [FOLDER]`. The folder holds `Encounter.ndjson` and `Patient.ndjson`, which are repeated to that
//! size; they are not read twice from the disk. CPU time and peak memory are read from the kernel, so this runs on Linux only.

use std::fs;
use std::io::Read;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use cohortium_fhir::{Counts, Layout, Options, Part, View, extract};

const ENCOUNTERS: &str = r#"{"resource": "Encounter", "select": [{"column": [
  {"name": "id", "path": "getResourceKey()", "type": "id"},
  {"name": "patient", "path": "subject.getReferenceKey(Patient)", "type": "id"},
  {"name": "status", "path": "status", "type": "code"},
  {"name": "class", "path": "class.code", "type": "code"},
  {"name": "start", "path": "period.start", "type": "dateTime"},
  {"name": "end", "path": "period.end", "type": "dateTime"},
  {"name": "type", "path": "type.coding.where(system = 'http://snomed.info/sct').code.first()", "type": "code"},
  {"name": "reason", "path": "reasonCode.coding.code.first()", "type": "code"},
  {"name": "provider", "path": "serviceProvider.display", "type": "string"}]}]}"#;

const PATIENTS: &str = r#"{"resource": "Patient", "select": [
  {"column": [
    {"name": "id", "path": "getResourceKey()", "type": "id"},
    {"name": "gender", "path": "gender", "type": "code"},
    {"name": "birth_date", "path": "birthDate", "type": "date"},
    {"name": "died", "path": "deceased.ofType(dateTime)", "type": "dateTime"},
    {"name": "family", "path": "name.where(use = 'official').family.first()", "type": "string"},
    {"name": "given", "path": "name.where(use = 'official').given.join(' ')", "type": "string"}]},
  {"forEachOrNull": "address", "column": [
    {"name": "city", "path": "city", "type": "string"},
    {"name": "postal_code", "path": "postalCode", "type": "string"}]}]}"#;

/// A text again and again, up to a length.
struct Repeated<'t> {
    text: &'t [u8],
    at: usize,
    left: usize,
}

impl Read for Repeated<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.text.len() {
            self.at = 0;
        }
        let some = buffer.len().min(self.left).min(self.text.len() - self.at);
        buffer[..some].copy_from_slice(&self.text[self.at..self.at + some]);
        self.at += some;
        self.left -= some;
        Ok(some)
    }
}

/// Seconds of CPU time of this process so far, all threads together, in the hundredths that the kernel counts.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}

fn peak_memory() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().to_owned())
}

fn measure(name: &str, view: &View, text: &[u8], megabytes: usize, threads: NonZeroUsize) -> Option<()> {
    let length = megabytes * 1_000_000 / text.len() * text.len();
    let options = Options { threads, ..Options::default() };
    let (began, cpu) = (Instant::now(), cpu_seconds()?);
    let mut batches = 0;
    let mut take = |part| {
        batches += usize::from(matches!(part, Part::Rows { .. }));
        ControlFlow::Continue(())
    };
    let input = Repeated { text, at: 0, left: length };
    let Counts { records, rows, .. } = extract(view, input, Layout::Lines, &options, &mut take).ok()?;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let size = f64::from(u32::try_from(length / 1000).ok()?) / 1000.0;
    println!(
        "{name}: {threads} threads: {:.0} MB/CPU-s, {:.0} MB/s ({size:.0} MB, {records} records, {rows} rows, {batches} batches)",
        size / cpu.max(0.01),
        size / seconds,
    );
    Some(())
}

fn run() -> Option<()> {
    let mut arguments = std::env::args().skip(1);
    let megabytes = arguments.next().map_or(Some(200), |megabytes| megabytes.parse().ok())?;
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/fhir/synthea_r4");
    let folder = arguments.next().map_or(default, PathBuf::from);
    for (name, view) in [("Encounter", ENCOUNTERS), ("Patient", PATIENTS)] {
        let view = View::parse(view.as_bytes()).ok()?;
        let text = fs::read(folder.join(name).with_extension("ndjson")).ok()?;
        for threads in [NonZeroUsize::MIN, NonZeroUsize::MIN.saturating_add(1)] {
            measure(name, &view, &text, megabytes, threads)?;
        }
    }
    println!("peak memory: {}", peak_memory()?);
    Some(())
}

fn main() -> ExitCode {
    if run().is_none() {
        eprintln!("error: usage: rate [MEGABYTES] [FOLDER with Encounter.ndjson and Patient.ndjson]");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
