//! Releases, from a request in a file to a folder that anybody checks: microdata and counts of what two members have sent.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cohortium_sdk::release::{DiskFolder, rows, verify};
use cohortium_tests::real::network::{Network, Plan, Way};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::{CANARY, files_below};
use cohortium_tests::real::until;
use serde_json::{Value, json};

use crate::PROGRAM;

/// One row a stay; every stay is of another patient.
const WARD: &str = r#"mapping = "ward"
version = 1
schema = "omop-cdm-5.4"
patients = { source = "stays", id = "eid" }
source.stays = { dataset = "stays", identifiers = ["eid", "name"] }

[[fact]]
table = "person"
from = "stays"
set = { person_id = "person(eid)", gender_concept_id = "CAST(sex AS BIGINT)", year_of_birth = "2024 - CAST(age AS BIGINT)", race_concept_id = 0, ethnicity_concept_id = 0 }

[[fact]]
table = "visit_occurrence"
from = "stays"
set = { visit_occurrence_id = "surrogate('visit', eid)", person_id = "person(eid)", visit_concept_id = 9201, visit_start_date = { default = "2024-01-01" }, visit_end_date = { default = "2024-01-02" }, visit_type_concept_id = 32817, discharged_to_concept_id = "CAST(dx AS BIGINT)", admitted_from_concept_id = "CAST(days AS BIGINT)" }
"#;

const PROJECT: &str = r#"
project = "stays"
purpose = "length of stay"
permit = "ethics vote 7"
account = "patients"
people = ["rita"]
kinds = ["microdata", "counts"]
recipients = ["north", "south"]
days = 90
[tables]
person = ["person_id", "year_of_birth", "gender_concept_id", "cohortium_member"]
visit_occurrence = ["person_id", "discharged_to_concept_id", "admitted_from_concept_id", "cohortium_member"]
"#;

const ACCOUNTS: &str =
    "[accounts.patients]\npopulation = \"patients of the members\"\nrho = 0.6\ndelta = 1e-6\npatients_max = 10000\n";

pub(crate) const QUESTION: &str = "SELECT p.person_id AS patient, p.cohortium_member AS site, 2024 - p.year_of_birth AS age, \
    p.gender_concept_id AS sex, v.discharged_to_concept_id AS dx, v.admitted_from_concept_id AS days \
    FROM person p JOIN visit_occurrence v ON p.person_id = v.person_id AND p.cohortium_member = v.cohortium_member";

/// A request of microdata.
pub(crate) fn microdata(question: &str, more: &str) -> String {
    format!(
        r#"project = "stays"
recipients = ["north", "south"]
patient = "patient"
member = "site"
question = "{question}"
[microdata]
k = 11
{more}
[[microdata.columns]]
role = "quasi"
name = "age"
hierarchy = {{ lower = "0", upper = "120", unit = "5", steps = [2, 4, 12] }}
[[microdata.columns]]
role = "quasi"
name = "sex"
hierarchy = {{ table = [["8507", "any"], ["8532", "any"]] }}
[[microdata.columns]]
role = "quasi"
name = "site"
hierarchy = {{ csv = "site.csv" }}
[[microdata.columns]]
role = "sensitive"
name = "dx"
distinct = 2
[[microdata.columns]]
role = "measure"
name = "days"
digits = -1
"#
    )
}

fn counts() -> String {
    format!(
        r#"project = "stays"
recipients = ["north"]
patient = "patient"
member = "site"
question = "{QUESTION}"
[counts]
floor = 11
[[counts.dimensions]]
name = "site"
hierarchy = {{ csv = "site.csv" }}
[[counts.dimensions]]
name = "dx"
hierarchy = {{ table = [["0"], ["1"], ["2"], ["3"], ["4"]] }}
"#
    )
}

/// When a private answer comes.
pub(crate) const ANSWER_SECONDS: &str = "8";

/// An operator and two members whose stays are consolidated, with an approved project.
pub(crate) struct Place {
    pub(crate) net: Network,
}

impl Place {
    pub(crate) fn new() -> Self {
        let plan = Plan { members: &["north", "south"], way: Way::Quic, key_maker: None, ..Plan::pair(PROGRAM) };
        let net = Network::new(plan);
        fs::write(net.path("accounts.toml"), ACCOUNTS).unwrap();
        net.op.tell(&[
            "charter",
            "propose",
            "--k",
            "11",
            "--small-cell",
            "11",
            "--accounts",
            &net.text("accounts.toml"),
            "--answer-time",
            ANSWER_SECONDS,
        ]);
        net.sign("3");
        for (site, from) in net.members.iter().zip([0, 5_000]) {
            consolidate(&net, site, from, 400);
        }
        net.op.tell(&["consolidate", "run"]);
        net.op.tell(&["person", "key", "rita", "--no-passphrase"]);
        net.op.tell(&["person", "add", "rita", "--role", "data-scientist"]);
        fs::write(net.path("project.toml"), PROJECT).unwrap();
        fs::write(net.path("site.csv"), "north;any\nsouth;any\n").unwrap();
        net.op.tell(&["project", "define", &net.text("project.toml")]);
        net.op.tell(&["project", "approve", "stays"]);
        Self { net }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.net.path(name), text).unwrap();
        self.net.text(name)
    }

    /// Asks, and gives the release's id.
    pub(crate) fn ask(&self, name: &str, text: &str) -> String {
        let file = self.write(name, text);
        let asked = self.net.op.tell(&["--as", "rita", "release", "request", &file]);
        asked["release"].as_str().unwrap().to_owned()
    }

    pub(crate) fn state(&self, release: &str) -> Value {
        self.net.op.tell(&["release", "show", release])
    }

    /// Waits until a release is made, and gives what its officer reads.
    pub(crate) fn until_phase(&self, release: &str, phase: &str) -> Value {
        until(&format!("release {release} to be {phase}"), || {
            let told = self.net.op.tell(&["release", "report", release]);
            let now = told["phase"].as_str().unwrap().to_owned();
            assert!(now == phase || ["asked", "reserved", "made"].contains(&now.as_str()), "{told}");
            (now == phase && (phase != "made" || !told["statement"].is_null())).then_some(told)
        })
    }

    pub(crate) fn published(&self, release: &str) -> String {
        self.until_phase(release, "made");
        self.net.op.tell(&["release", "sign", release]);
        let published = self.net.op.tell(&["release", "publish", release]);
        published["name"].as_str().unwrap().to_owned()
    }

    pub(crate) fn landed(&self, member: &Site, share: &str, folder: &str) -> PathBuf {
        member.tell_soon(&["subscription", "accept", share]);
        member.until_landed(share, 1);
        member.tell(&["subscription", "checkout", share, &self.net.text(folder)]);
        self.net.path(folder)
    }

    pub(crate) fn anchor(&self) -> String {
        self.net.op.view()["consortium"].as_str().unwrap().to_owned()
    }
}

/// Stays of patients `from` to `from + rows`, mapped at a member and landed at the operator.
fn consolidate(net: &Network, member: &Site, from: u32, rows: u32) {
    let mut text = String::from("eid,name,age,sex,dx,days\n");
    for row in from..from + rows {
        let sex = if row % 2 == 0 { 8507 } else { 8532 };
        // Values without a pattern: what repeats with age would be told by an age.
        let mixed = u64::from(row).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let (age, dx, days) = (20 + mixed % 60, mixed / 60 % 5, mixed / 300 % 30);
        writeln!(text, "{row},{CANARY}{row},{age},{sex},{dx},{days}").unwrap();
    }
    let name = format!("{}.csv", member.name);
    fs::write(net.path(&name), text).unwrap();
    member.tell(&["dataset", "add", "stays", "--csv", &net.text(&name), "--patient", "eid"]);
    fs::write(net.path("ward.toml"), WARD).unwrap();
    member.tell(&["mapping", "define", &net.text("ward.toml")]);
    member.tell(&["mapping", "run", "ward"]);
    member.tell(&["mapping", "offer", "ward", "--to", "op", "--purpose", "A test", "--days", "30"]);
    for table in ["person", "visit_occurrence"] {
        let share = format!("ward.{table}");
        member.tell(&["share", "approve", &share]);
        member.tell(&["share", "invite", &share, "--to", "op"]);
        let named = format!("{share}@{}", member.name);
        net.op.tell_soon(&["subscription", "accept", &named]);
        member.until_state(&share, "active");
        member.tell(&["share", "take", &share]);
        until(&format!("{named} to land"), || {
            let all = net.op.tell(&["subscription", "list"]);
            let found = all.as_array().unwrap().iter().find(|one| {
                one["invitation"]["share"]["name"] == share.as_str()
                    && one["invitation"]["share"]["provider"] == member.name.as_str()
            });
            (found.unwrap()["snapshots"][0]["state"] == "landed").then_some(())
        });
    }
}

fn verified(site: &Site, folder: &Path, anchor: &str) -> Value {
    site.tell(&["release", "verify", &folder.display().to_string(), "--anchor", anchor])
}

/// The reference's own checker reads the body beside what is stated of it.
fn independently_checked(net: &Network, folder: &Path, report: &Value) {
    let disk = DiskFolder::new(folder);
    let released = rows(&disk, &verify(&disk, None).unwrap()).unwrap();
    let line = |cells: Vec<String>| format!("{}\n", cells.join(","));
    // Values such as `[20, 30)` hold a comma.
    let cell = |cell: &Option<String>| format!("\"{}\"", cell.clone().unwrap_or_default());
    let mut csv = line(released.header.clone());
    csv.extend(released.rows.iter().map(|row| line(row.iter().map(cell).collect())));
    let measures = &report["measures"];
    let stated = json!({
        "quasi": ["age", "sex", "site"], "k": 11, "diversity": [{"column": "dx", "distinct": 2}],
        "rows": measures["rows"], "suppressed": measures["suppressed"], "classes": measures["classes"],
    });
    fs::write(net.path("body.csv"), csv).unwrap();
    fs::write(net.path("body.json"), stated.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/reference/check_anonymity.py");
    let ran = Command::new("python3").arg(script).args([net.path("body.csv"), net.path("body.json")]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && said.contains("holds"), "{said} {}", String::from_utf8_lossy(&ran.stderr));
}

/// One flipped byte of a file is named, with exit code 5.
fn named_when_flipped(site: &Site, folder: &Path, path: &Path, anchor: &str) {
    let good = fs::read(path).unwrap();
    let mut bent = good.clone();
    bent[good.len() / 2] ^= 1;
    fs::write(path, &bent).unwrap();
    let said = site.refused(&["release", "verify", &folder.display().to_string(), "--anchor", anchor], 5);
    let name = path.strip_prefix(folder).unwrap().display().to_string();
    assert!(said.starts_with(&name), "{name}: {said}");
    fs::write(path, good).unwrap();
}

// FOLD-2, FOLD-4, FOLD-5
#[test]
fn microdata_is_asked_for_signed_published_landed_and_verified_and_a_recall_erases_it() {
    let place = Place::new();
    let release = place.ask("request.toml", &microdata(QUESTION, ""));
    let told = place.until_phase(&release, "made");
    let report = &told["report"];
    assert_eq!((&report["kind"], &report["stood"]), (&"microdata".into(), &true.into()), "{told}");
    assert_eq!(report["measures"]["rows"], 800);
    assert!(report["measures"]["smallest_class"].as_u64().unwrap() >= 11, "{told}");
    assert_eq!(place.state(&release)["release"]["state"], "waits");
    place.net.op.tell(&["release", "report", &release, "--html", &place.net.text("report.html")]);
    // Whoever asked reads neither what was found nor the statement before it is signed.
    let refused = place.net.op.refused(&["--as", "rita", "release", "report", &release], 3);
    assert!(!refused.contains("class"), "{refused}");
    let share = place.published(&release);
    let folders: Vec<PathBuf> = place
        .net
        .members
        .iter()
        .map(|member| place.landed(member, &share, &format!("{}-release", member.name)))
        .collect();
    let anchor = place.anchor();
    for (member, folder) in place.net.members.iter().zip(&folders) {
        let verified = verified(member, folder, &anchor);
        assert_eq!((&verified["anchored"], &verified["release"]), (&true.into(), &release.as_str().into()));
        assert_eq!(verified["rows"], 800 - report["measures"]["suppressed"].as_u64().unwrap());
    }
    independently_checked(&place.net, &folders[0], report);
    let without = place.net.north().tell(&["release", "verify", &folders[0].display().to_string()]);
    assert_eq!(without["anchored"], false);
    for path in files_below(&folders[0]) {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{}", path.display());
        named_when_flipped(place.net.north(), &folders[0], &path, &anchor);
    }
    // The same question again costs nothing.
    let again = place.ask("again.toml", &microdata(QUESTION, ""));
    until("the same release", || (place.state(&again)["release"]["same"] == release.as_str()).then_some(()));
    // A recall: links stop, what landed is erased, and a node that knows of it says so.
    place.net.op.tell(&["release", "withdraw", &release, "--reason", "wrong cohort"]);
    for member in &place.net.members {
        until("the erasure", || (member.subscription(&share)["snapshots"][0]["state"] == "erased").then_some(()));
        let said = member.say(&["release", "verify", &folders[0].display().to_string(), "--anchor", &anchor]).unwrap();
        assert_eq!((said.code, &said.json["withdrawal"]["reason"]), (5, &"wrong cohort".into()), "{}", said.json);
    }
    place.net.op.verifies();
    place.net.north().verifies();
}

#[test]
fn who_asked_hears_one_constant_refusal_and_the_officer_what_was_wrong_and_later_releases_remember() {
    let place = Place::new();
    // By review, before anything is paid: words that say why.
    let wide = QUESTION.replace("p.gender_concept_id AS sex", "p.race_concept_id AS sex");
    let refused = place.ask("wide.toml", &microdata(&wide, ""));
    until("the refusal", || (place.state(&refused)["release"]["state"] == "refused").then_some(()));
    assert!(
        place.state(&refused)["release"]["refusal"].as_str().unwrap().contains("column"),
        "{}",
        place.state(&refused)
    );
    let odd = QUESTION.replace("SELECT p.person_id", "SELECT p.person_id + 1");
    let odd = place.ask("odd.toml", &microdata(&odd, ""));
    until("the refusal", || (place.state(&odd)["release"]["state"] == "refused").then_some(()));
    assert!(place.state(&odd)["fault"].as_str().unwrap().contains("patient"), "{}", place.state(&odd));
    // By what the rows hold, after it is paid: one word to who asked, column and level to the officer.
    let hole = microdata(QUESTION, "").replace(r#"["8507", "any"], "#, "");
    let failed = place.ask("hole.toml", &hole);
    until("the end", || (place.state(&failed)["release"]["state"] == "not-released").then_some(()));
    let told = place.state(&failed);
    assert!(told["fault"].is_null() && told["release"]["refusal"].is_null(), "{told}");
    let read = place.net.op.tell(&["release", "report", &failed]);
    assert!(read["fault"].as_str().unwrap().contains("column sex"), "{read}");
    assert!(!read["fault"].as_str().unwrap().contains("8507"), "no cell: {read}");
    // An attack that succeeds stops it: who knows the sex knows the sensitive value.
    let told_by_sex = QUESTION.replace("v.discharged_to_concept_id AS dx", "p.gender_concept_id AS dx");
    let stopped = place.ask("stopped.toml", &microdata(&told_by_sex, "").replace("distinct = 2\n", ""));
    until("the end", || (place.state(&stopped)["release"]["state"] == "not-released").then_some(()));
    let read = place.net.op.tell(&["release", "report", &stopped]);
    let found = read["report"]["attacks"].as_array().unwrap().iter().filter(|found| found["succeeded"] == true);
    assert!(read["phase"] == "stopped" && found.into_iter().any(|found| found["attack"] == "homogeneity"), "{read}");
    place.net.op.refused(&["release", "sign", &stopped], 3);
    // One that the officer refuses looks the same to who asked.
    let declined = place.ask("declined.toml", &microdata(QUESTION, ""));
    place.until_phase(&declined, "made");
    place.net.op.tell(&["release", "refuse", &declined]);
    assert_eq!(place.state(&declined)["release"]["state"], "not-released");
    // Two releases of overlapping cohorts keep k together; then a table of counts.
    let first = place.ask("first.toml", &microdata(QUESTION, ""));
    place.until_phase(&first, "made");
    place.net.op.tell(&["release", "sign", &first]);
    let younger = format!("{QUESTION} WHERE p.year_of_birth > 1950");
    let second = place.ask("second.toml", &microdata(&younger, ""));
    let told = place.until_phase(&second, "made");
    assert_eq!(told["report"]["earlier_releases"], 1);
    let attacks = told["report"]["attacks"].as_array().unwrap();
    let together = attacks.iter().find(|found| found["attack"] == "intersection").unwrap();
    assert_eq!(together["held"], 0, "{told}");
    assert_eq!(told["statement"]["together_with"][0], first.as_str());
    let counted = place.ask("counts.toml", &counts());
    let told = place.until_phase(&counted, "made");
    assert_eq!((&told["report"]["kind"], &told["report"]["stood"]), (&"counts".into(), &true.into()), "{told}");
    let share = place.published(&counted);
    let folder = place.landed(place.net.north(), &share, "counted");
    assert_eq!(verified(place.net.north(), &folder, &place.anchor())["kind"], "counts");
    // The page of an exploration stays with the operator, and takes a reason and an officer.
    let file = place.write("explored.toml", &microdata(QUESTION, ""));
    let explore = ["release", "explore", &file, "--reason", "which k", "--html", &place.net.text("explored.html")];
    assert!(place.net.op.tell(&explore)["points"].as_array().unwrap().len() >= 15);
    assert!(fs::read_to_string(place.net.path("explored.html")).unwrap().contains("<svg"));
    place.net.op.refused(&[&["--as", "rita"][..], &explore[..5]].concat(), 3);
}

// A crash after the reserve counts as spent (law 2).
#[test]
fn what_a_crash_ends_stays_paid_for_and_is_asked_for_anew() {
    let mut place = Place::new();
    let first = place.ask("request.toml", &microdata(QUESTION, ""));
    place.net.op.until_act("release-reserved", 0);
    place.net.op.crash();
    let state = until("the release to be decided", || {
        let told = place.net.op.tell(&["release", "report", &first]);
        let phase = told["phase"].as_str().unwrap().to_owned();
        ["failed", "made"].contains(&phase.as_str()).then_some(phase)
    });
    let again = place.ask("again.toml", &microdata(QUESTION, ""));
    if state == "made" {
        place.net.op.until_act("release-same", 0);
    } else {
        assert_eq!(place.state(&first)["release"]["state"], "not-released");
        place.until_phase(&again, "made");
        assert_eq!(place.net.op.acts("release-reserved").len(), 2, "paid for twice");
    }
    place.net.op.verifies();
}
