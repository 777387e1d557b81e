//! Differentially private answers through the release path: paid from the population's account, signed, landed, verified; refused when
//! the account is used up; the ledger after a crash is what it was.

use std::path::Path;

use cohortium_sdk::release::{DiskFolder, rows, verify};
use cohortium_tests::real::until;
use serde_json::Value;

use crate::releases::{self, Place, microdata};

const PROJECT: &str = r#"
project = "answers"
purpose = "length of stay by sex"
permit = "ethics vote 8"
account = "patients"
people = ["rita"]
kinds = ["aggregate"]
recipients = ["north", "south"]
days = 90
[budget]
rho = 0.5
delta = 1e-7
[tables]
person = ["person_id", "gender_concept_id"]
visit_occurrence = ["person_id", "admitted_from_concept_id"]
"#;

pub(crate) const QUESTION: &str = "SELECT p.gender_concept_id AS sex, count(*) AS stays, avg(v.admitted_from_concept_id) AS days \
    FROM person p JOIN visit_occurrence v ON p.person_id = v.person_id GROUP BY p.gender_concept_id";

pub(crate) fn asked(question: &str, rho: f64) -> String {
    format!(
        r#"project = "answers"
recipients = ["north", "south"]
patient = "person_id"
member = "cohortium_member"
question = "{question}"
[aggregate]
rho = {rho}
[aggregate.declared.contribution]
rows = 1
groups = 1
source = {{ person = "petra" }}
[aggregate.declared.keys.sex]
values = ["8507", "8532", "0"]
source = {{ standard = "OMOP gender" }}
[aggregate.declared.bounds.days]
lower = 0.0
upper = 30.0
source = {{ person = "petra" }}
"#
    )
}

pub(crate) fn answers() -> Place {
    let place = Place::new();
    let file = place.write("answers.toml", PROJECT);
    place.net.op.tell(&["project", "define", &file]);
    place.net.op.tell(&["project", "approve", "answers"]);
    place
}

pub(crate) fn spent(place: &Place) -> f64 {
    place.net.op.tell(&["budget"])["accounts"][0]["spent"]["rho"].as_f64().unwrap()
}

pub(crate) fn refusal(place: &Place, release: &str) -> Value {
    until("the refusal", || {
        let told = place.state(release);
        (told["release"]["state"] == "refused").then(|| told["release"]["refusal"].clone())
    })
}

fn cell(folder: &Path, row: usize, column: &str) -> f64 {
    let disk = DiskFolder::new(folder);
    let released = rows(&disk, &verify(&disk, None).unwrap()).unwrap();
    let at = released.header.iter().position(|name| name == column).unwrap();
    released.rows[row][at].as_ref().unwrap().parse().unwrap()
}

// REL-22, REL-23
#[test]
fn an_answer_is_paid_for_once_signed_landed_and_verified_and_the_account_ends() {
    let place = answers();
    let release = place.ask("mean.toml", &asked(QUESTION, 0.25));
    let share = place.published(&release);
    let folder = place.landed(place.net.north(), &share, "north-answer");
    let verified =
        place.net.north().tell(&["release", "verify", &folder.display().to_string(), "--anchor", &place.anchor()]);
    assert_eq!((&verified["anchored"], &verified["rows"]), (&true.into(), &3.into()), "{verified}");
    // 800 patients, one stay each, half of either sex; days are 0 to 29. A wrong count would be far outside.
    for row in 1..3 {
        let [low, stays, high] = ["stays low", "stays", "stays high"].map(|column| cell(&folder, row, column));
        assert!(low <= stays && stays <= high && (stays - 400.0).abs() < 60.0, "{low} {stays} {high}");
        let days = cell(&folder, row, "days");
        assert!((10.0..20.0).contains(&days), "{days}");
    }
    assert!(cell(&folder, 0, "stays") < 60.0, "a public key that nobody has is answered too");
    assert!((spent(&place) - 0.25).abs() < 1e-9);
    let stated = place.state(&release)["release"]["statement"]["done"]["aggregate"].clone();
    let [token, person] = ["epsilon", "epsilon_person"].map(|field| stated[field].as_u64().unwrap());
    // Rho 0.25 at a delta of 1e-5 is epsilon 3.4 or so; the charter counts a person at one member.
    assert!((2_000_000..5_000_000).contains(&token) && token == person, "{stated}");
    assert!(stated["origins"].to_string().contains("petra"), "what a person fixed is listed: {stated}");
    // Another spelling of the same question is the same answer and free; a more exact one is not the same.
    let spelt = QUESTION.replace(
        "count(*) AS stays, avg(v.admitted_from_concept_id) AS days",
        "COUNT(*) AS stays, AVG(v.admitted_from_concept_id) AS days",
    );
    let again = place.ask("again.toml", &asked(&spelt, 0.25));
    until("the same answer", || (place.state(&again)["release"]["same"] == release.as_str()).then_some(()));
    assert!((spent(&place) - 0.25).abs() < 1e-9);
    let exact = place.ask("exact.toml", &asked(QUESTION, 0.3));
    assert!(refusal(&place, &exact).as_str().unwrap().contains("cost"), "more than is left of the project's share");
    // What the project does not name, and what cannot be made private, is refused before anything is paid.
    let wide = QUESTION.replace("p.gender_concept_id", "p.race_concept_id");
    let wide = place.ask("wide.toml", &asked(&wide, 0.1));
    assert!(refusal(&place, &wide).as_str().unwrap().contains("column"));
    let rowwise = "SELECT person_id, count(*) AS stays FROM visit_occurrence GROUP BY person_id";
    let rowwise = place.ask("rowwise.toml", &asked(rowwise, 0.1));
    refusal(&place, &rowwise);
    assert!((spent(&place) - 0.25).abs() < 1e-9);
    place.net.op.verifies();
}

#[test]
fn after_a_crash_behind_the_payment_the_payment_stands_and_there_is_no_answer() {
    let mut place = answers();
    let file = place.write("mean.toml", &asked(QUESTION, 0.25));
    let release =
        place.net.op.tell(&["--as", "rita", "release", "request", &file])["release"].as_str().unwrap().to_owned();
    until("the payment", || (spent(&place) > 0.0).then_some(()));
    place.net.op.crash();
    assert!((spent(&place) - 0.25).abs() < 1e-9, "paid is paid");
    until("the end of it", || {
        let state = place.state(&release)["release"]["state"].as_str().unwrap().to_owned();
        // It may have been made before the kill came; then it waits for its signature.
        let phase = place.net.op.tell(&["release", "report", &release])["phase"].as_str().unwrap().to_owned();
        (state == "not-released" || phase == "made").then_some(())
    });
}

// REL-23
#[test]
fn an_answer_names_the_microdata_that_epsilon_does_not_cover_and_claims_no_model_with_it() {
    let place = answers();
    let rows = place.ask("rows.toml", &microdata(releases::QUESTION, ""));
    place.published(&rows);
    let answer = place.ask("mean.toml", &asked(QUESTION, 0.25));
    let statement = place.until_phase(&answer, "made")["statement"].clone();
    assert_eq!(statement["done"]["aggregate"]["uncovered"], serde_json::json!([rows]), "{statement}");
    assert_eq!(statement["together_with"], serde_json::json!([]), "{statement}");
}
