//! Steps of the demo from one set of tables to private answers: what a hospital would ask, each answer beside the truth and its stated
//! interval, until the budget is used up; and the ledger after a crash.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cohortium_sdk::release::{DiskFolder, ReleasedRows, rows, verify};
use serde_json::Value;

use crate::cluster::wait;
use crate::demo::questions::{Question, RHO, questions};
use crate::demo::releases::{SCIENTIST, landed, made, text};
use crate::demo::{DemoFault, Network, step};
use crate::report::ReleaseLine;

/// Cells of an answer that are shown.
const LINES: usize = 4;

impl Network {
    /// The rho of the population's account.
    pub(super) fn account_rho() -> String {
        format!("rho = {}\ndelta = 1e-7\ntokens_per_person_max = 2\n", 2.0 * budget(questions(&[]).len()))
    }

    /// Asks until nothing is left, and looks at the ledger behind a crash.
    pub(super) fn answer(&mut self) -> Result<(), DemoFault> {
        if !self.has_visits()? {
            return Ok(());
        }
        step("answers", "counts and means with differential privacy, paid from the population's account");
        let asked = self.askable()?;
        let project = self.dir.join("answers.toml");
        fs::write(&project, self.answers_project(budget(asked.len())))?;
        self.operator.call(&["project", "define", text(&project)])?;
        self.operator.call(&["project", "approve", "answers"])?;
        // All at once: each is answered at the charter's time, and some are in flight together.
        let releases = asked.iter().map(|question| self.ask(question)).collect::<Result<Vec<_>, _>>()?;
        let (mut inside, mut cells) = (0, 0);
        for (question, release) in asked.iter().zip(&releases) {
            let (held, of) = self.one_answer(question, release)?;
            inside += held;
            cells += of;
        }
        // 95 % each: fewer than four fifths of so many would be a fault and not bad luck.
        self.note(
            "stated intervals hold the true values",
            format!("{inside} of {cells}, of {} questions", asked.len()),
            5 * inside >= 4 * cells && cells > 0,
        );
        self.exhausted(&asked[0])?;
        let before = self.spent()?;
        self.operator.kill();
        self.operator.start()?;
        let after = self.spent()?;
        let seen = format!("rho {before} before, {after} after kill -9");
        self.note("the ledger is what it was after a crash", seen, before == after && before != Value::Null);
        Ok(())
    }

    fn spent(&self) -> Result<Value, DemoFault> {
        Ok(self.operator.call(&["budget"])?["accounts"][0]["spent"]["rho"].clone())
    }

    fn answers_project(&self, rho: f64) -> String {
        let first = &self.members[0].0.name;
        format!(
            r#"project = "answers"
purpose = "who comes, how long they stay, who comes again"
permit = "demo, no real patient"
account = "patients"
people = ["{SCIENTIST}"]
kinds = ["aggregate"]
recipients = ["{first}"]
days = 90
[budget]
rho = {rho}
delta = 1e-7
[tables]
person = ["person_id", "gender_concept_id", "year_of_birth"]
visit_occurrence = ["person_id", "visit_concept_id", "visit_start_date", "visit_end_date", "cohortium_member"]
measurement = ["person_id", "measurement_concept_id", "measurement_date", "value_as_number"]
condition_occurrence = ["person_id", "condition_concept_id"]
"#
        )
    }

    /// The questions whose tables are there.
    fn askable(&self) -> Result<Vec<Question>, DemoFault> {
        let sites: Vec<String> = self.members.iter().map(|(member, _)| member.name.clone()).collect();
        let mut asked = Vec::new();
        for question in questions(&sites) {
            let count = question.needs.map(|table| format!("SELECT count(*) FROM {table}"));
            let there = match &count {
                None => true,
                Some(count) => self.operator.exit_code(&["sql", count, "--reason", "whether there are rows"])? == 0,
            };
            if there {
                asked.push(question);
            }
        }
        Ok(asked)
    }

    fn ask(&self, question: &Question) -> Result<String, DemoFault> {
        let file = self.dir.join("question.toml");
        fs::write(&file, question.request(&self.members[0].0.name))?;
        let asked = self.operator.call(&["--as", SCIENTIST, "release", "request", text(&file)])?;
        Ok(asked["release"].as_str().unwrap_or_default().to_owned())
    }

    /// One answer, from the request to the first member's verified folder: how many of its intervals hold the truth.
    fn one_answer(&mut self, question: &Question, release: &str) -> Result<(usize, usize), DemoFault> {
        let told = made(&self.operator, release)?;
        if told["phase"] != "made" {
            return Err(DemoFault::Release(format!("{} is {}: {}", question.name, told["phase"], told["fault"])));
        }
        self.operator.call(&["release", "sign", release])?;
        let share =
            self.operator.call(&["release", "publish", release])?["name"].as_str().unwrap_or_default().to_owned();
        let (member, node) = &self.members[0];
        wait(&format!("the answer's offer at {}", member.name), || {
            Ok(node.exit_code(&["subscription", "accept", &share])? == 0)
        })?;
        wait(&format!("the answer to land at {}", member.name), || landed(node, &share))?;
        let folder = self.dir.join("releases").join(question.name.replace([' ', ',', '/'], "-"));
        node.call(&["subscription", "checkout", &share, text(&folder)])?;
        let epsilon = told["statement"]["done"]["aggregate"]["epsilon"].as_f64().unwrap_or(f64::NAN) / 1e6;
        println!("    {}, epsilon {epsilon:.2} a token", question.name);
        self.releases.push(ReleaseLine { path: folder.display().to_string(), kind: "aggregate".to_owned() });
        let released = released(&folder)?;
        if question.study.is_some() {
            for row in released.rows.iter().take(LINES) {
                println!("      {}", row.iter().flatten().map(String::as_str).collect::<Vec<_>>().join("  "));
            }
            println!("      {} rows: {}", released.rows.len(), released.header.join(", "));
            return Ok((0, 0));
        }
        let plain = question.plain.as_ref().unwrap_or(&question.sql);
        let truth = self.operator.call(&["sql", plain, "--reason", "what the demo's answers are compared with"])?;
        let found = compared(&released, &truth);
        for line in found.lines.iter().take(LINES) {
            println!("      {line}");
        }
        if found.lines.len() > LINES {
            println!(
                "      and {} more; {} of all {} hold",
                found.lines.len() - LINES,
                found.inside,
                found.lines.len()
            );
        }
        Ok((found.inside, found.lines.len()))
    }

    /// The next question is refused: nothing is left of the project's share.
    fn exhausted(&mut self, question: &Question) -> Result<(), DemoFault> {
        let file = self.dir.join("question.toml");
        // Another question than the first, which would be answered from what is there.
        let other = question.request(&self.members[0].0.name).replace("count(DISTINCT person_id)", "count(*)");
        fs::write(&file, other)?;
        let asked = self.operator.call(&["--as", SCIENTIST, "release", "request", text(&file)])?;
        let release = asked["release"].as_str().unwrap_or_default().to_owned();
        let mut told = Value::Null;
        wait("the review", || {
            told = self.operator.call(&["release", "show", &release])?["release"].clone();
            Ok(told["state"] != "waits" || told["refusal"] != Value::Null)
        })?;
        let why = told["refusal"].as_str().unwrap_or_default().to_owned();
        self.note(
            "a question beyond the budget is refused",
            why.clone(),
            told["state"] == "refused" && why.contains("left"),
        );
        Ok(())
    }
}

struct Compared {
    inside: usize,
    lines: Vec<String>,
}

/// The rows of a verified folder.
fn released(folder: &Path) -> Result<ReleasedRows, DemoFault> {
    let disk = DiskFolder::new(folder);
    let fault = |fault: &dyn std::fmt::Display| DemoFault::Release(fault.to_string());
    let verified = verify(&disk, None).map_err(|wrong| fault(&wrong))?;
    rows(&disk, &verified).map_err(|wrong| fault(&wrong))
}

/// Each number of an answer beside the true one; what is not there of private keys is left out.
fn compared(released: &ReleasedRows, truth: &Value) -> Compared {
    let keyed = released.header.len() > 3;
    let cell = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut true_of: BTreeMap<String, f64> = BTreeMap::new();
    for row in truth["rows"].as_array().into_iter().flatten() {
        let cells: Vec<String> = row.as_array().into_iter().flatten().map(cell).collect();
        let key = if keyed { cells.first().cloned().unwrap_or_default() } else { String::new() };
        true_of.insert(key, cells.last().and_then(|cell| cell.parse().ok()).unwrap_or(f64::NAN));
    }
    let mut found = Compared { inside: 0, lines: Vec::new() };
    for row in &released.rows {
        let number =
            |at: usize| row.get(at).cloned().flatten().and_then(|cell| cell.parse::<f64>().ok()).unwrap_or(f64::NAN);
        let (key, at) = if keyed { (row[0].clone().unwrap_or_default(), 1) } else { (String::new(), 0) };
        let (value, low, high) = (number(at), number(at + 1), number(at + 2));
        let true_value = true_of.get(&key).copied().unwrap_or(0.0);
        found.inside += usize::from(low <= true_value && true_value <= high);
        found.lines.push(format!("{key:<12} {value:>10.1}, true {true_value:>10.1}, stated {low:.1} to {high:.1}"));
    }
    found
}

/// What so many questions spend together.
fn budget(questions: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a dozen")]
    let questions = questions as f64;
    RHO * questions
}
