//! Steps of the demo from one set of tables to what may leave it: a project, microdata and counts under it, signed, landed and
//! verified at every member, and attempts to find people in what was released.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cohortium_sdk::release::{DiskFolder, rows, verify};
use serde_json::Value;

use crate::cluster::{Node, wait};
use crate::demo::intruder::{AGE_STEP, AGE_YEAR, Attempt, Seen};
use crate::demo::{DemoFault, Network, step};
use crate::hospital::Registered;
use crate::report::ReleaseLine;

/// The person who asks.
pub(super) const SCIENTIST: &str = "rita";
/// The least class, and the least count.
const K: usize = 11;

impl Network {
    /// Asks for rows and for counts, has them signed and published, lands and verifies them everywhere, and attacks the rows.
    pub(super) fn release(&mut self) -> Result<(), DemoFault> {
        step(
            "releases",
            "a project; rows under k-anonymity and a table of counts, paid for, attacked, signed, published",
        );
        if !self.has_visits()? {
            println!("    skipped: releases and answers are of visits, and no member has any");
            return Ok(());
        }
        self.permit()?;
        let folder = self.dir.join("releases");
        fs::create_dir_all(&folder)?;
        fs::write(
            self.dir.join("sites.csv"),
            self.members.iter().fold(String::new(), |all, (member, _)| all + &member.name + ";any\n"),
        )?;
        let asked = [("microdata", self.microdata()), ("counts", self.counts())];
        for (kind, request) in asked {
            let landed = self.one(kind, &request, &folder.join(kind))?;
            if let Some(landed) = landed.filter(|_| kind == "microdata") {
                self.intrude(&landed)?;
            }
        }
        Ok(())
    }

    /// Whether there is a table of visits among the consolidated ones.
    pub(super) fn has_visits(&self) -> Result<bool, DemoFault> {
        let asked = ["sql", "SELECT count(*) FROM visit_occurrence", "--reason", "whether there are visits"];
        Ok(self.operator.exit_code(&asked)? == 0)
    }

    /// A charter with the population's account, a data scientist, and a project that a privacy officer approves.
    fn permit(&self) -> Result<(), DemoFault> {
        let accounts = self.dir.join("accounts.toml");
        fs::write(
            &accounts,
            format!(
                "[accounts.patients]\npopulation = \"patients of the members\"\npatients_max = 1000000\n{}",
                Self::account_rho()
            ),
        )?;
        let k = K.to_string();
        let propose =
            ["charter", "propose", "--k", &k, "--small-cell", &k, "--accounts", text(&accounts), "--answer-time", "8"];
        let number = self.operator.call(&propose)?["version"].clone();
        let version = number.to_string();
        for (member, node) in &self.members {
            wait(&format!("the charter at {}", member.name), || {
                Ok(node.exit_code(&["charter", "sign", &version])? == 0)
            })?;
        }
        wait("the charter in force", || Ok(self.operator.call(&["charter", "show"])?["charter"]["version"] == number))?;
        self.operator.call(&["person", "key", SCIENTIST, "--no-passphrase"])?;
        self.operator.call(&["person", "add", SCIENTIST, "--role", "data-scientist"])?;
        let project = self.dir.join("project.toml");
        fs::write(&project, self.project())?;
        self.operator.call(&["project", "define", text(&project)])?;
        self.operator.call(&["project", "approve", "stays"])?;
        Ok(())
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.members.iter().map(|(member, _)| format!("\"{}\"", member.name)).collect();
        names.join(", ")
    }

    fn project(&self) -> String {
        format!(
            r#"project = "stays"
purpose = "how long patients stay, by age and hospital"
permit = "demo, no real patient"
account = "patients"
people = ["{SCIENTIST}"]
kinds = ["microdata", "counts"]
recipients = [{}]
days = 90
[tables]
person = ["person_id", "gender_concept_id", "year_of_birth", "cohortium_member"]
visit_occurrence = ["person_id", "visit_occurrence_id", "visit_concept_id", "visit_start_date", "visit_end_date", "cohortium_member"]
"#,
            self.names()
        )
    }

    /// The first visit of each patient: one row a patient.
    fn question() -> String {
        format!(
            "WITH visits AS (SELECT person_id, cohortium_member, visit_concept_id, visit_start_date, visit_end_date, \
             row_number() OVER (PARTITION BY person_id ORDER BY visit_start_date, visit_occurrence_id) AS place \
             FROM visit_occurrence) \
             SELECT v.person_id AS patient, v.cohortium_member AS site, {AGE_YEAR} - p.year_of_birth AS age, \
             p.gender_concept_id AS sex, substr(CAST(v.visit_start_date AS VARCHAR), 1, 4) AS year, \
             v.visit_concept_id AS visit, \
             CAST(v.visit_end_date AS INT) - CAST(v.visit_start_date AS INT) AS stay \
             FROM visits v JOIN person p ON p.person_id = v.person_id AND p.cohortium_member = v.cohortium_member \
             WHERE v.place = 1"
        )
    }

    fn head(&self) -> String {
        format!(
            "project = \"stays\"\nrecipients = [{}]\npatient = \"patient\"\nmember = \"site\"\nquestion = \"{}\"\n",
            self.names(),
            Self::question()
        )
    }

    fn microdata(&self) -> String {
        let years: Vec<String> =
            (1900..=2030).map(|year| format!("[\"{year}\", \"{}s\", \"any\"]", year / 10 * 10)).collect();
        format!(
            r#"{}
[microdata]
k = {K}
[[microdata.columns]]
role = "quasi"
name = "age"
hierarchy = {{ lower = "0", upper = "120", unit = "{AGE_STEP}", steps = [2, 4, 12] }}
[[microdata.columns]]
role = "quasi"
name = "sex"
hierarchy = {{ table = [["8507", "any"], ["8532", "any"], ["8521", "any"], ["8551", "any"], ["8570", "any"], ["0", "any"]] }}
[[microdata.columns]]
role = "quasi"
name = "site"
hierarchy = {{ csv = "sites.csv" }}
[[microdata.columns]]
role = "quasi"
name = "year"
hierarchy = {{ table = [{}] }}
[[microdata.columns]]
role = "sensitive"
name = "visit"
[[microdata.columns]]
role = "measure"
name = "stay"
digits = 0
"#,
            self.head(),
            years.join(", ")
        )
    }

    fn counts(&self) -> String {
        format!(
            r#"{}
[counts]
floor = {K}
rounding = 5
[[counts.dimensions]]
name = "site"
hierarchy = {{ csv = "sites.csv" }}
[[counts.dimensions]]
name = "sex"
hierarchy = {{ table = [["8507"], ["8532"], ["8521"], ["8551"], ["8570"], ["0"]] }}
"#,
            self.head()
        )
    }

    /// One release from its request to what every member has verified; gives a member's folder of it, or nothing where an attack
    /// has stopped it.
    fn one(&mut self, kind: &str, request: &str, folder: &Path) -> Result<Option<PathBuf>, DemoFault> {
        fs::create_dir_all(folder)?;
        let file = self.dir.join(format!("{kind}.toml"));
        fs::write(&file, request)?;
        if kind == "microdata" {
            let page = folder.join("exploration.html");
            self.operator.call(&["release", "explore", text(&file), "--reason", "which k", "--html", text(&page)])?;
        }
        let asked = self.operator.call(&["--as", SCIENTIST, "release", "request", text(&file)])?;
        let release = asked["release"].as_str().unwrap_or_default().to_owned();
        let told = made(&self.operator, &release)?;
        if told["phase"] == "stopped" {
            let held = told["statement"].is_null();
            self.note(&format!("an attack succeeds and stops the {kind}"), attacks_seen(&told), held);
            return Ok(None);
        }
        let stood = told["phase"] == "made";
        self.note(&format!("attacks on the {kind} found nothing that stops it"), attacks_seen(&told), stood);
        if !stood {
            return Err(DemoFault::Release(format!("{kind} is {}: {}", told["phase"], told["fault"])));
        }
        let page = folder.join("report.html");
        self.operator.call(&["release", "report", &release, "--html", text(&page)])?;
        self.operator.call(&["release", "sign", &release])?;
        let published = self.operator.call(&["release", "publish", &release])?;
        let share = published["name"].as_str().unwrap_or_default().to_owned();
        let anchor = self.operator.call(&["status"])?;
        let anchor = consortium_of(&anchor);
        let (mut verified, mut first) = (0, PathBuf::new());
        for (member, node) in &self.members {
            wait(&format!("the offer of {kind} at {}", member.name), || {
                Ok(node.exit_code(&["subscription", "accept", &share])? == 0)
            })?;
        }
        for (member, node) in &self.members {
            wait(&format!("{kind} to land at {}", member.name), || landed(node, &share))?;
            let out = folder.join(&member.name);
            node.call(&["subscription", "checkout", &share, text(&out)])?;
            let told = node.call(&["release", "verify", text(&out), "--anchor", &anchor])?;
            verified += usize::from(told["anchored"] == true && told["release"] == release.as_str());
            first = out;
        }
        let seen = format!("{verified} of {}", self.members.len());
        self.note(&format!("every member lands and verifies the {kind}"), seen, verified == self.members.len());
        self.releases.push(ReleaseLine { path: first.display().to_string(), kind: kind.to_owned() });
        println!("    {kind:<12} {}", measures_seen(&told));
        Ok(Some(first))
    }

    /// Looks for the generator's own persons in what was released.
    fn intrude(&mut self, folder: &Path) -> Result<(), DemoFault> {
        let disk = DiskFolder::new(folder);
        let fault = |fault: &dyn std::fmt::Display| DemoFault::Release(fault.to_string());
        let verified = verify(&disk, None).map_err(|wrong| fault(&wrong))?;
        let released = rows(&disk, &verified).map_err(|wrong| fault(&wrong))?;
        let seen = Seen::new(&released).ok_or_else(|| DemoFault::Release("its columns are others".to_owned()))?;
        let sites: Vec<_> = self.members.iter().filter_map(|(member, _)| member.site.as_ref()).collect();
        if sites.is_empty() {
            println!("    skipped: attempts to find people, because no member's population is generated");
            return Ok(());
        }
        let mut population: BTreeMap<u64, (Registered, Vec<&str>)> = BTreeMap::new();
        for site in &sites {
            for known in site.register() {
                population.entry(known.person).or_insert((known, Vec::new())).1.push(&site.name);
            }
        }
        let everybody = seen.look_for(population.values().map(|(known, sites)| (*known, sites.as_slice())));
        let own_name = sites[0].name.clone();
        let own = [own_name.as_str()];
        let own = seen.look_for(sites[0].register().map(|known| (known, &own[..])));
        self.report_attempt("the whole population's register finds nobody alone", &everybody);
        self.report_attempt(&format!("{own_name} finds none of its own patients alone"), &own);
        Ok(())
    }

    fn report_attempt(&mut self, claim: &str, attempt: &Attempt) {
        self.note(claim, attempt.line(), attempt.unique == 0 && (attempt.found == 0 || attempt.fewest >= K));
    }
}

/// Waits until a release is made, or is none, and gives what its officer reads.
pub(super) fn made(operator: &Node, release: &str) -> Result<Value, DemoFault> {
    let mut told = Value::Null;
    wait("the release to be made", || {
        told = operator.call(&["release", "report", release])?;
        let phase = told["phase"].as_str().unwrap_or_default();
        Ok(!matches!(phase, "asked" | "reserved") && (phase != "made" || !told["statement"].is_null()))
    })?;
    Ok(told)
}

pub(super) fn landed(node: &Node, share: &str) -> Result<bool, crate::cluster::ClusterFault> {
    let all = node.call(&["subscription", "list"])?;
    let found = all.as_array().into_iter().flatten().find(|one| one["invitation"]["share"]["name"] == share);
    Ok(found.is_some_and(|one| one["snapshots"][0]["state"] == "landed"))
}

/// What each attack found.
fn attacks_seen(told: &Value) -> String {
    let all = told["report"]["attacks"].as_array().into_iter().flatten();
    let one = |found: &Value| {
        let name = found["attack"].as_str().unwrap_or_default();
        format!("{name} {} of {}", found["held"], found["of"])
    };
    let seen: Vec<String> = all.map(one).collect();
    if seen.is_empty() { told["fault"].to_string() } else { seen.join(", ") }
}

fn measures_seen(told: &Value) -> String {
    let of = told["report"]["measures"].as_object().into_iter().flatten();
    let seen = of.filter(|(_, value)| value.is_number()).map(|(name, value)| match value.as_f64() {
        Some(number) if value.is_f64() => format!("{} {number:.4}", name.replace('_', " ")),
        _ => format!("{} {value}", name.replace('_', " ")),
    });
    seen.collect::<Vec<_>>().join(", ")
}

/// The consortium's id as `status` has it.
fn consortium_of(status: &Value) -> String {
    let all = status["consortia"].as_array().or_else(|| status.as_array());
    let first = all.and_then(|all| all.first()).unwrap_or(status);
    first["consortium"].as_str().unwrap_or_default().to_owned()
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
