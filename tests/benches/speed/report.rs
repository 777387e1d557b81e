//! Figures as tables: medians, bars, the machine they were measured on. Markdown for people, JSON for scripts.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

/// Several measurements of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(pub(crate) Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The middle one, or the mean of the two in the middle; not a number when there is none.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[odd / 2],
            even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
        }
    }

    pub(crate) fn max(&self) -> f64 {
        self.sorted().last().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn min(&self) -> f64 {
        self.sorted().first().copied().unwrap_or(f64::NAN)
    }

    /// `median (min to max)` with so many decimals.
    pub(crate) fn shown(&self, decimals: usize) -> String {
        let (low, middle, high) = (self.min(), self.median(), self.max());
        if self.0.len() < 2 {
            return format!("{middle:.decimals$}");
        }
        format!("{middle:.decimals$} ({low:.decimals$} to {high:.decimals$})")
    }
}

/// A figure that must stay on one side of a bound.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) bound: f64,
    pub(crate) side: Side,
    pub(crate) unit: &'static str,
}

/// On which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    AtLeast,
    AtMost,
}

impl Bar {
    pub(crate) fn holds(&self) -> bool {
        match self.side {
            Side::AtLeast => self.measured >= self.bound,
            Side::AtMost => self.measured <= self.bound,
        }
    }
}

/// What one bench found.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) title: String,
    pub(crate) header: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) bars: Vec<Bar>,
    pub(crate) notes: Vec<String>,
    pub(crate) raw: Value,
}

impl Outcome {
    pub(crate) fn holds(&self) -> bool {
        self.bars.iter().all(Bar::holds)
    }

    pub(crate) fn to_markdown(&self) -> String {
        let mut text = format!("\n### {}\n\n", self.title);
        let mut line = |cells: &[String]| writeln!(text, "| {} |", cells.join(" | ")).expect("a String takes all");
        line(&self.header.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
        line(&self.header.iter().map(|_| "---".to_owned()).collect::<Vec<_>>());
        self.rows.iter().for_each(|row| line(row));
        if !self.bars.is_empty() {
            text.push_str("\n| bar | measured | bound | |\n| --- | --- | --- | --- |\n");
        }
        for bar in &self.bars {
            let sign = if bar.side == Side::AtLeast { "at least" } else { "at most" };
            let verdict = if bar.holds() { "holds" } else { "**MISSED**" };
            // No more digits than tell the two apart.
            let decimals = if bar.bound < 0.1 { 4 } else { 2 };
            let (measured, bound, unit) = (bar.measured, bar.bound, bar.unit);
            writeln!(
                text,
                "| {} | {measured:.decimals$}{unit} | {sign} {bound:.decimals$}{unit} | {verdict} |",
                bar.what
            )
            .expect("a String takes all");
        }
        for note in &self.notes {
            writeln!(text, "\n{note}").expect("a String takes all");
        }
        text
    }

    fn to_json(&self) -> Value {
        let bar = |bar: &Bar| {
            let side = if bar.side == Side::AtLeast { "at-least" } else { "at-most" };
            json!({"what": bar.what, "measured": bar.measured, "bound": bar.bound, "side": side, "unit": bar.unit.trim(),
                "holds": bar.holds()})
        };
        json!({"title": self.title, "bars": self.bars.iter().map(bar).collect::<Vec<_>>(), "notes": self.notes,
            "raw": self.raw})
    }
}

/// Where and on what a run was made.
#[derive(Debug)]
pub(crate) struct Machine {
    command: String,
    processor: String,
    cores: usize,
    memory_gib: f64,
    system: String,
    commit: String,
    load_before: String,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let line = |path: &str, key: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let found = text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_once(':'));
            found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let kib = line("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0);
        let arguments: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
        let dirty = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
        Self {
            command: ["./bench".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" "),
            processor: line("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            memory_gib: kib / 1_048_576.0,
            system: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            commit: git(&["rev-parse", "--short", "HEAD"]) + if dirty { " with uncommitted changes" } else { "" },
            load_before: load(),
        }
    }

    pub(crate) fn to_text(&self) -> String {
        format!(
            "`{}`, commit {}, {} cores of {}, {:.0} GiB, Linux {}, load {} before",
            self.command, self.commit, self.cores, self.processor, self.memory_gib, self.system, self.load_before
        )
    }

    fn to_json(&self) -> Value {
        json!({"command": self.command, "commit": self.commit, "processor": self.processor, "cores": self.cores,
            "memory_gib": self.memory_gib, "system": self.system, "load_before": self.load_before, "load_after": load()})
    }
}

/// The processes that wanted to run, over 1, 5 and 15 minutes.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn git(args: &[&str]) -> String {
    let output = Command::new("git").args(args).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Writes `target/bench/NAME.json` and `target/bench/NAME.md`.
pub(crate) fn write(name: &str, machine: &Machine, outcome: &Outcome) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&folder).unwrap();
    let json = json!({"machine": machine.to_json(), "outcome": outcome.to_json()});
    fs::write(folder.join(format!("{name}.json")), serde_json::to_vec_pretty(&json).unwrap()).unwrap();
    let markdown = format!("{}\n{}", machine.to_text(), outcome.to_markdown());
    fs::write(folder.join(format!("{name}.md")), markdown).unwrap();
}
