//! Releases, from a request in a file to a folder that anybody checks: microdata and counts of what two members have sent.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cohortium_tests::real::network::{Network, Plan, Way};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::{CANARY, files_below};
use cohortium_tests::real::until;
use serde_json::Value;

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

const ACCOUNTS: &str = "[accounts.patients]\npopulation = \"patients of the members\"\npatients_max = 10000\n";

const QUESTION: &str = "SELECT p.person_id AS patient, p.cohortium_member AS site, 2024 - p.year_of_birth AS age, \
    p.gender_concept_id AS sex, v.discharged_to_concept_id AS dx, v.admitted_from_concept_id AS days \
    FROM person p JOIN visit_occurrence v ON p.person_id = v.person_id AND p.cohortium_member = v.cohortium_member";

/// A request of microdata.
fn microdata(question: &str, more: &str) -> String {
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

/// An operator and two members whose stays are consolidated, with an approved project.
struct Place {
    net: Network,
}

impl Place {
    fn new() -> Self {
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

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.net.path(name), text).unwrap();
        self.net.text(name)
    }

    /// Asks, and gives the release's id.
    fn ask(&self, name: &str, text: &str) -> String {
        let file = self.write(name, text);
        let asked = self.net.op.tell(&["--as", "rita", "release", "request", &file]);
        asked["release"].as_str().unwrap().to_owned()
    }

    fn state(&self, release: &str) -> Value {
        self.net.op.tell(&["release", "show", release])
    }

    /// Waits until a release is made, and gives what its officer reads.
    fn until_phase(&self, release: &str, phase: &str) -> Value {
        until(&format!("release {release} to be {phase}"), || {
            let told = self.net.op.tell(&["release", "report", release]);
            let now = told["phase"].as_str().unwrap().to_owned();
            assert!(now == phase || ["asked", "reserved", "made"].contains(&now.as_str()), "{told}");
            (now == phase && (phase != "made" || !told["statement"].is_null())).then_some(told)
        })
    }

    fn published(&self, release: &str) -> String {
        self.until_phase(release, "made");
        self.net.op.tell(&["release", "sign", release]);
        let published = self.net.op.tell(&["release", "publish", release]);
        published["name"].as_str().unwrap().to_owned()
    }

    fn landed(&self, member: &Site, share: &str, folder: &str) -> PathBuf {
        member.tell_soon(&["subscription", "accept", share]);
        member.until_landed(share, 1);
        member.tell(&["subscription", "checkout", share, &self.net.text(folder)]);
        self.net.path(folder)
    }

    fn anchor(&self) -> String {
        self.net.op.view()["consortium"].as_str().unwrap().to_owned()
    }
}

/// Stays of patients `from` to `from + rows`, mapped at a member and landed at the operator.
fn consolidate(net: &Network, member: &Site, from: u32, rows: u32) {
    let mut text = String::from("eid,name,age,sex,dx,days\n");
    for row in from..from + rows {
        let sex = if row % 2 == 0 { 8507 } else { 8532 };
        writeln!(text, "{row},{CANARY}{row},{},{sex},{},{}", 20 + row * 7 % 60, row * 13 % 5, row % 30).unwrap();
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

// REL-1, FOLD-2
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
    let without = place.net.north().tell(&["release", "verify", &folders[0].display().to_string()]);
    assert_eq!(without["anchored"], false);
    for path in files_below(&folders[0]) {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{}", path.display());
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
