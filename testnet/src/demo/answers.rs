//! Steps of the demo from one set of tables to private answers: what a hospital would ask, each answer beside the truth and its stated
//! interval, until the budget is used up; and the ledger after a crash.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cohortium_sdk::release::{DiskFolder, rows, verify};
use serde_json::Value;

use crate::cluster::wait;
use crate::demo::releases::{SCIENTIST, landed, made, text};
use crate::demo::{DemoFault, Network, step};
use crate::report::ReleaseLine;

/// What each question spends, and for how many the project has budget.
const RHO: f64 = 0.05;
const AFFORDED: usize = 4;

/// A question, and what is declared beside its words.
struct Question {
    name: &'static str,
    /// With the group key first, where there is one, and one measure.
    sql: &'static str,
    declared: String,
}

impl Network {
    /// The rho of the population's account.
    pub(super) fn account_rho() -> String {
        format!("rho = {}\ndelta = 1e-7\ntokens_per_person_max = 2\n", 2.0 * RHO * f64::from(4_u32))
    }

    /// Asks until nothing is left, and looks at the ledger behind a crash.
    pub(super) fn answer(&mut self) -> Result<(), DemoFault> {
        if !self.has_visits()? {
            return Ok(());
        }
        step("answers", "counts and means with differential privacy, paid from the population's account");
        let project = self.dir.join("answers.toml");
        fs::write(&project, self.answers_project())?;
        self.operator.call(&["project", "define", text(&project)])?;
        self.operator.call(&["project", "approve", "answers"])?;
        let (mut inside, mut cells) = (0, 0);
        let questions = self.questions();
        for question in questions.iter().take(AFFORDED) {
            let (held, of) = self.one_answer(question)?;
            inside += held;
            cells += of;
        }
        // 95 % each: with a dozen cells, fewer than two thirds would be a fault and not bad luck.
        self.note(
            "stated intervals hold the true values",
            format!("{inside} of {cells}"),
            3 * inside >= 2 * cells && cells > 0,
        );
        self.exhausted(&questions[0])?;
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

    fn answers_project(&self) -> String {
        let first = &self.members[0].0.name;
        #[expect(clippy::cast_precision_loss, reason = "four")]
        let budget = RHO * AFFORDED as f64;
        format!(
            r#"project = "answers"
purpose = "how many patients and stays there are"
permit = "demo, no real patient"
account = "patients"
people = ["{SCIENTIST}"]
kinds = ["aggregate"]
recipients = ["{first}"]
days = 90
[budget]
rho = {budget}
delta = 1e-7
[tables]
person = ["person_id", "gender_concept_id", "year_of_birth"]
visit_occurrence = ["person_id", "visit_concept_id", "cohortium_member"]
"#
        )
    }

    fn questions(&self) -> Vec<Question> {
        let names: Vec<String> = self.members.iter().map(|(member, _)| format!("\"{}\"", member.name)).collect();
        let contribution = |rows: u32, groups: u32| {
            format!(
                "[aggregate.declared.contribution]\nrows = {rows}\ngroups = {groups}\nsource = {{ person = \"petra\" }}\n"
            )
        };
        vec![
            Question {
                name: "patients by hospital",
                sql: "SELECT cohortium_member AS site, count(DISTINCT person_id) AS patients FROM visit_occurrence GROUP BY cohortium_member",
                declared: contribution(1, 2)
                    + &format!(
                        "[aggregate.declared.keys.site]\nvalues = [{}]\nsource = {{ standard = \"the charter's roster\" }}\n",
                        names.join(", ")
                    ),
            },
            Question {
                name: "stays by sex",
                sql: "SELECT p.gender_concept_id AS sex, count(*) AS stays FROM visit_occurrence v JOIN person p ON v.person_id = p.person_id GROUP BY p.gender_concept_id",
                declared: contribution(20, 1)
                    + "[aggregate.declared.keys.sex]\nvalues = [\"8507\", \"8532\"]\nsource = { standard = \"OMOP gender\" }\n",
            },
            Question {
                name: "mean year of birth",
                sql: "SELECT avg(year_of_birth) AS born FROM person",
                declared: contribution(1, 1)
                    + "[aggregate.declared.bounds.born]\nlower = 1900.0\nupper = 2026.0\nsource = { person = \"petra\" }\n",
            },
            Question {
                name: "patients by kind of visit, keys not known beforehand",
                sql: "SELECT visit_concept_id AS kind, count(DISTINCT person_id) AS patients FROM visit_occurrence GROUP BY visit_concept_id",
                declared: contribution(1, 3),
            },
        ]
    }

    fn request(&self, question: &Question) -> String {
        let delta = if question.declared.contains("keys") || !question.sql.contains("GROUP BY") {
            ""
        } else {
            "delta = 1e-8\n"
        };
        format!(
            "project = \"answers\"\nrecipients = [\"{}\"]\npatient = \"person_id\"\nmember = \"cohortium_member\"\n\
             question = \"{}\"\n[aggregate]\nrho = {RHO}\n{delta}{}",
            self.members[0].0.name, question.sql, question.declared
        )
    }

    /// One answer, from the request to the first member's verified folder: how many of its intervals hold the truth.
    fn one_answer(&mut self, question: &Question) -> Result<(usize, usize), DemoFault> {
        let file = self.dir.join("question.toml");
        fs::write(&file, self.request(question))?;
        let asked = self.operator.call(&["--as", SCIENTIST, "release", "request", text(&file)])?;
        let release = asked["release"].as_str().unwrap_or_default().to_owned();
        let told = made(&self.operator, &release)?;
        if told["phase"] != "made" {
            return Err(DemoFault::Release(format!("{} is {}: {}", question.name, told["phase"], told["fault"])));
        }
        self.operator.call(&["release", "sign", &release])?;
        let share =
            self.operator.call(&["release", "publish", &release])?["name"].as_str().unwrap_or_default().to_owned();
        let (member, node) = &self.members[0];
        wait(&format!("the answer's offer at {}", member.name), || {
            Ok(node.exit_code(&["subscription", "accept", &share])? == 0)
        })?;
        wait(&format!("the answer to land at {}", member.name), || landed(node, &share))?;
        let folder = self.dir.join("releases").join(question.name.replace([' ', ','], "-"));
        node.call(&["subscription", "checkout", &share, text(&folder)])?;
        let truth =
            self.operator.call(&["sql", question.sql, "--reason", "what the demo's answers are compared with"])?;
        let found = compared(&folder, &truth)?;
        let epsilon = told["statement"]["done"]["aggregate"]["epsilon"].as_f64().unwrap_or(f64::NAN) / 1e6;
        println!("    {:<24} epsilon {epsilon:.2} a token", question.name);
        for line in &found.lines {
            println!("      {line}");
        }
        self.releases.push(ReleaseLine { path: folder.display().to_string(), kind: "aggregate".to_owned() });
        Ok((found.inside, found.lines.len()))
    }

    /// The next question is refused: nothing is left of the project's share.
    fn exhausted(&mut self, question: &Question) -> Result<(), DemoFault> {
        let file = self.dir.join("question.toml");
        // Another question than the first, which would be answered from what is there.
        let other = self.request(question).replace("count(DISTINCT person_id)", "count(*)");
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

/// Each number of an answer beside the true one; what is not there of private keys is left out.
fn compared(folder: &Path, truth: &Value) -> Result<Compared, DemoFault> {
    let disk = DiskFolder::new(folder);
    let fault = |fault: &dyn std::fmt::Display| DemoFault::Release(fault.to_string());
    let verified = verify(&disk, None).map_err(|wrong| fault(&wrong))?;
    let released = rows(&disk, &verified).map_err(|wrong| fault(&wrong))?;
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
        found.lines.push(format!("{key:<10} {value:>10.1}, true {true_value:>10.1}, stated {low:.1} to {high:.1}"));
    }
    Ok(found)
}
