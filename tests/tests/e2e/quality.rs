//! From a check before anything leaves to questions over what has landed: one digest at both ends, notices to one site alone,
//! reasons on record and words nowhere, pipelines that do it by themselves.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::until;
use serde_json::Value;

use crate::PROGRAM;

const TABLES: [&str; 4] = ["person", "observation_period", "visit_occurrence", "measurement"];

const MAPPING: &str = r#"
mapping = "los"
version = 1
schema = "omop-cdm-5.4"
patients = { source = "stays", id = "eid" }
source.stays = { dataset = "stays" }
codes.sex = { F = 8532, M = 8507 }

[[fact]]
table = "person"
from = "stays"
set = { person_id = "person(eid)", gender_concept_id = { code = "sex", map = "sex" }, year_of_birth = { default = 1900 }, race_concept_id = 0, ethnicity_concept_id = 0 }

[[fact]]
table = "observation_period"
from = "stays"
set = { observation_period_id = "surrogate('period', eid)", person_id = "person(eid)", observation_period_start_date = "day(began, 'iso')", observation_period_end_date = "day(ended, 'iso')", period_type_concept_id = 32817 }

[[fact]]
table = "visit_occurrence"
from = "stays"
set = { visit_occurrence_id = "surrogate('visit', eid)", person_id = "person(eid)", visit_concept_id = 9201, visit_start_date = "day(began, 'iso')", visit_end_date = "day(ended, 'iso')", visit_type_concept_id = 32817 }

[[fact]]
table = "measurement"
from = "stays"
set = { measurement_id = "surrogate('measurement', eid)", person_id = "person(eid)", measurement_concept_id = 3019550, measurement_date = "day(began, 'iso')", measurement_type_concept_id = 32817, value_as_number = "sodium", unit_concept_id = 8753, visit_occurrence_id = "surrogate('visit', eid)" }
"#;

/// A table of stays; sodium about 140, times a factor.
fn stays(path: &Path, rows: u32, factor: f64) {
    let mut text = String::from("eid,sex,began,ended,sodium\n");
    for row in 0..rows {
        let sodium = (130.0 + f64::from(row * 7 % 23) + f64::from(row % 10) / 7.0) * factor;
        let (sex, day) = (if row % 3 == 0 { "F" } else { "M" }, row % 28 + 1);
        writeln!(text, "{row},{sex},2024-01-{day:02},2024-02-{day:02},{sodium}").unwrap();
    }
    fs::write(path, text).unwrap();
}

/// A member with a source and a mapping that has not run.
fn ready(net: &Network, member: &Site, rows: u32, factor: f64) -> String {
    let csv = net.text(&format!("{}.csv", member.name));
    stays(Path::new(&csv), rows, factor);
    let mapping = net.text(&format!("{}.toml", member.name));
    fs::write(&mapping, MAPPING).unwrap();
    member.tell(&["dataset", "add", "stays", "--csv", &csv, "--key", "eid", "--patient", "eid"]);
    member.tell(&["mapping", "define", &mapping]);
    csv
}

/// Offers every mapped table to the operator, who accepts. Nothing is taken yet.
fn offer(net: &Network, member: &Site) {
    member.tell(&["mapping", "offer", "los", "--to", "op", "--purpose", "Test", "--days", "30"]);
    for table in TABLES {
        let share = format!("los.{table}");
        member.tell(&["share", "approve", &share]);
        member.tell(&["share", "invite", &share, "--to", "op"]);
        net.op.tell_soon(&["subscription", "accept", &format!("{share}@{}", member.name)]);
        member.until_state(&share, "active");
    }
}

fn land(net: &Network, member: &Site, count: usize) {
    for table in TABLES {
        member.tell(&["share", "take", &format!("los.{table}")]);
    }
    for table in TABLES {
        until(&format!("{table} of {} to land", member.name), || {
            let subscriptions = net.op.view()["subscriptions"].as_array().cloned().unwrap_or_default();
            let of = |each: &Value| {
                let share = &each["invitation"]["share"];
                share["name"] == format!("los.{table}") && share["provider"] == member.name.as_str()
            };
            let found = subscriptions.into_iter().find(of)?;
            let landed = found["snapshots"].as_array()?.iter().filter(|each| each["state"] == "landed").count();
            (landed == count).then_some(())
        });
    }
}

fn digest(said: &Value) -> String {
    let digest = said["digest"].as_str().unwrap_or_else(|| panic!("a digest in {said}")).to_owned();
    assert_eq!(digest.len(), 64);
    digest
}

// QUAL-1 QUAL-2 SQL-1 CONS-9
#[test]
fn a_member_knows_before_it_sends_what_the_operator_will_see_and_questions_leave_no_words() {
    let mut net = Network::new(Plan::pair(PROGRAM));
    ready(&net, net.north(), 60, 1.0);
    // Tables that this mapping does not make are missing, which is fatal unless somebody bears it.
    let before = net.north().say(&["check", "los"]).unwrap();
    assert_eq!((before.code, &before.json["outcome"]), (5, &"fail".into()), "{}", before.error);
    assert_eq!(before.json["kept"], false);
    assert_eq!(net.north().view()["mappings"][0]["set"], Value::Null, "nothing of it is kept");
    let thresholds = net.text("thresholds.toml");
    fs::write(&thresholds, "cdmTable = 100\n").unwrap();
    let borne = net.north().tell(&["check", "los", "--thresholds", &thresholds, "--html", &net.text("page.html")]);
    assert_ne!(borne["outcome"], "fail", "{borne}");
    assert!(fs::read_to_string(net.path("page.html")).unwrap().starts_with("<!doctype html>"));
    assert_ne!(digest(&borne), digest(&before.json), "thresholds are part of the report");

    net.north().tell(&["mapping", "run", "los"]);
    let kept = net.north().say(&["check", "los"]).unwrap();
    assert_eq!((digest(&kept.json), &kept.json["kept"]), (digest(&before.json), &true.into()));
    let report = net.north().tell(&["mapping", "report", "los", "--thresholds", &thresholds]);
    assert_ne!(report["quality"]["outcome"], "fail", "judged again without another run");
    offer(&net, net.north());
    land(&net, net.north(), 1);
    net.op.tell(&["consolidate", "run"]);
    let there = net.op.say(&["consolidate", "quality", "north"]).unwrap();
    assert_eq!((there.code, digest(&there.json)), (5, digest(&before.json)), "{}", there.error);
    assert!(there.json["checks"][0].get("violated").is_none(), "counts stay in the engine");
    let borne_there = net.op.tell(&["consolidate", "quality", "north", "--thresholds", &thresholds]);
    assert_eq!(digest(&borne_there), digest(&borne));
    let all = net.op.tell(&["consolidate", "quality", "--thresholds", &thresholds]);
    assert_eq!(all, serde_json::json!([borne_there]), "of every member in turn");

    let refused = net.op.refused(&["consolidate", "compare"], 3);
    assert_eq!(refused, "a comparison needs five sites");

    questions(&net);
    lineage(&mut net);
}

// QUAL-1 MAP-23
#[test]
fn what_a_mapping_leaves_out_on_purpose_is_no_failure_at_either_end() {
    let net = Network::new(Plan::pair(PROGRAM));
    let north = net.north();
    ready(&net, north, 60, 1.0);
    let stated = "leaves_out = [\"cdm_source\", \"condition_occurrence\", \"death\", \"drug_exposure\", \"observation\", \
                  \"procedure_occurrence\"]\nthresholds = { measureValueCompleteness = 99.5 }\n";
    let define = |version: u32, words: &str| {
        let text = MAPPING.replace("version = 1\n", &format!("version = {version}\n{words}"));
        fs::write(net.path("los.toml"), text).unwrap();
        north.say(&["mapping", "define", &net.text("los.toml")]).unwrap()
    };
    let made = define(2, "leaves_out = [\"person\"]\n");
    assert!(made.code == 2 && made.error.contains("leaves_out names person"), "{}", made.error);
    assert_eq!(define(2, stated).code, 0);
    north.tell(&["mapping", "run", "los"]);
    let here = north.tell(&["check", "los"]);
    assert_eq!((&here["outcome"], &here["kept"]), (&"pass-with-failures".into(), &true.into()), "{here}");
    assert_eq!(here["report"]["left_out"].as_array().map(Vec::len), Some(6));
    let reported = north.tell(&["mapping", "report", "los"]);
    assert_eq!(reported["quality"]["outcome"], "pass-with-failures");
    offer(&net, north);
    land(&net, north, 1);
    net.op.tell(&["consolidate", "run"]);
    let there = net.op.tell(&["consolidate", "quality", "north"]);
    assert_eq!((digest(&there), &there["outcome"]), (digest(&here), &here["outcome"]));
    assert_eq!((&there["left_out"], &there["stated"]), (&here["report"]["left_out"], &here["report"]["stated"]));
    // Somebody's own thresholds come before the mapping's, at either end and without another run.
    let strict = net.text("strict.toml");
    fs::write(&strict, "cdmTable = 0\nmeasurePersonCompleteness = 100\nmeasureValueCompleteness = 100\n").unwrap();
    let [here, there] = [(north, ["check", "los"]), (&net.op, ["consolidate", "quality"])].map(|(site, words)| {
        let all = site.tell(&[&words[..], &["--thresholds", &strict]].concat());
        if all.is_array() { all[0].clone() } else { all }
    });
    assert_eq!(digest(&there), digest(&here));
}

fn questions(net: &Network) {
    let question = "SELECT count(*) AS n, min(value_as_number) > 100 AS plausible, 'quokka' AS animal FROM measurement";
    net.op.refused(&["sql", question], 3);
    net.op.refused(&["sql", "--reason", " ", question], 3);
    let before = net.op.history().len();
    let answer = net.op.tell(&["sql", "--reason", "because of wombats", question]);
    assert_eq!(answer["columns"], serde_json::json!(["n", "plausible", "animal"]));
    assert_eq!(answer["rows"], serde_json::json!([["60", "true", "quokka"]]));
    let history = net.op.history();
    assert_eq!(history.len(), before + 1, "one entry, which is one leaf of the log");
    let text = serde_json::to_string(&history).unwrap() + &net.op.log();
    assert!(!text.contains("quokka") && !text.contains("wombat"), "a word of a question or reason is on record");
    for file in cohortium_tests::real::source::files_below(&net.op.home) {
        let bytes = fs::read(&file).unwrap();
        let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
        assert!(!has(b"quokka") && !has(b"wombat"), "{}", file.display());
    }
    let joined =
        "SELECT p.gender_concept_id, count(*) FROM person p JOIN measurement m USING (person_id) GROUP BY 1 ORDER BY 1";
    let rows = net.op.tell(&["sql", "--reason", "a test", joined])["rows"].clone();
    assert_eq!(rows, serde_json::json!([["8507", "40"], ["8532", "20"]]));
    for refused in ["DROP TABLE person", "SELECT * FROM '/etc/hostname'", "SELECT 1; SELECT 2"] {
        net.op.refused(&["sql", "--reason", "a test", refused], 3);
    }
    let cell = net.op.refused(&["sql", "--reason", "a test", "SELECT CAST(cohortium_member AS INT) FROM person"], 3);
    assert!(!cell.contains("north"), "{cell}");
    let more = net.op.refused(&["sql", "--reason", "a test", "--rows", "59", "SELECT * FROM person"], 7);
    assert!(more.contains("more than 59 rows"), "{more}");
    let out = net.text("answer.csv");
    let written = net.op.tell(&["sql", "--reason", "a test", "-o", &out, "SELECT person_id FROM person"]);
    assert_eq!((&written["rows"], fs::read_to_string(&out).unwrap().lines().count()), (&60.into(), 61));
}

fn lineage(net: &mut Network) {
    let events = net.text("events.ndjson");
    let shown = net.op.tell(&["consolidate", "lineage", "person", "--openlineage", &events]);
    let part = &shown[0];
    assert_eq!((&part["member"], shown.as_array().unwrap().len()), (&"north".into(), 1));
    assert_eq!(part["mapping"], net.north().view()["mappings"][0]["digest"]);
    assert_eq!(
        part["snapshot"],
        net.north().view()["shares"]
            .as_array()
            .unwrap()
            .iter()
            .find(|each| each["share"]["name"] == "los.person")
            .unwrap()["last"]
    );
    let lines = fs::read_to_string(&events).unwrap();
    let kinds: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["eventType"].clone()).collect();
    assert_eq!(kinds, ["START", "COMPLETE"]);
    let by_version = net.op.tell(&["consolidate", "lineage", part["version"].as_str().unwrap()]);
    assert_eq!(by_version, shown);
    // Out of the document alone, while nothing runs.
    let documents = net.text("documents");
    net.op.tell(&["history", "--documents", &documents]);
    let files = cohortium_tests::real::source::files_below(Path::new(&documents));
    net.op.down();
    let read = |file: &std::path::PathBuf| net.op.say(&["consolidate", "lineage", file.to_str().unwrap()]).unwrap();
    let told: Vec<Value> = files.iter().map(read).filter(|said| said.code == 0).map(|said| said.json).collect();
    let [offline] = &told[..] else { panic!("one consolidation among {files:?}") };
    let persons: Vec<&Value> = offline.as_array().unwrap().iter().filter(|each| each["table"] == "person").collect();
    assert_eq!(persons, [part]);
}

// QUAL-3
#[test]
fn what_a_comparison_finds_about_a_site_reaches_that_site_alone() {
    let members = ["east", "middle", "north", "south", "west"];
    let net = Network::new(Plan { members: &members, ..Plan::pair(PROGRAM) });
    for member in &net.members {
        // One site writes another unit than it says.
        let factor = if member.name == "south" { 18.0 } else { 1.0 };
        ready(&net, member, 120, factor);
        member.tell(&["mapping", "run", "los"]);
        offer(&net, member);
        land(&net, member, 1);
    }
    net.op.tell(&["consolidate", "run"]);
    let told = net.op.tell(&["consolidate", "compare"]);
    let found = told["comparison"]["found"].as_array().unwrap();
    assert!(!found.is_empty() && found.iter().all(|each| each["site"] == "south"), "{told}");
    assert_eq!(told["comparison"]["sites"].as_array().unwrap().len(), 5);
    let south = net.members.iter().find(|member| member.name == "south").unwrap();
    south.until_act("site-notice", 0);
    let notices = south.tell(&["check", "--notices"]);
    assert_eq!((&notices[0]["member"], &notices[0]["sites"]), (&"south".into(), &5.into()));
    for member in net.members.iter().filter(|member| member.name != "south") {
        assert!(member.acts("site-notice").is_empty(), "{}", member.name);
        assert_eq!(member.tell(&["check", "--notices"]), serde_json::json!([]));
    }
    assert_eq!((net.op.acts("compared").len(), net.op.acts("site-notice").len()), (1, 1));
}

// PIPE-2 PIPE-5
#[test]
fn a_changed_file_is_checked_shared_and_consolidated_by_itself() {
    let mut net = Network::new(Plan::pair(PROGRAM));
    let csv = ready(&net, net.north(), 40, 1.0);
    net.north().tell(&["mapping", "run", "los"]);
    offer(&net, net.north());
    let (here, there) = (net.text("north.pipeline.toml"), net.text("op.pipeline.toml"));
    let shares: Vec<String> = TABLES.iter().map(|table| format!("\"share los.{table}\"")).collect();
    let steps =
        format!("steps = [\"check los\", {}]\nretry = {{ attempts = 3, wait_seconds = 1 }}\n", shares.join(", "));
    fs::write(&here, format!("name = \"feed\"\non = {{ file = \"stays\" }}\n{steps}")).unwrap();
    fs::write(&there, "name = \"tables\"\non = { landed = \"any\" }\nsteps = [\"consolidate\"]\n").unwrap();
    // Of this mapping's tables some are missing, so that the gates fail and the pipeline is parked.
    net.north().tell(&["pipeline", "define", &here]);
    net.op.tell(&["pipeline", "define", &there]);
    let state = |site: &Site| site.tell(&["pipeline", "status"])[0].clone();
    until("the pipeline to be parked", || (state(net.north())["state"] == "parked").then_some(()));
    assert_eq!(state(net.north())["fault"], "the quality gates failed");
    assert!(net.op.acts("consolidated").is_empty(), "nothing was sent");
    // Borne, it goes on by the file alone.
    let borne = format!("{steps}[thresholds]\ncdmTable = 100\n");
    fs::write(&here, format!("name = \"feed\"\non = {{ file = \"stays\" }}\n{borne}")).unwrap();
    net.north().tell(&["pipeline", "define", &here]);
    until("the tables to be consolidated", || (!net.op.acts("consolidated").is_empty()).then_some(()));
    until("the pipeline to rest", || (state(net.north())["runs"].as_u64() > Some(0)).then_some(()));
    // What it was at survives a kill.
    net.north_mut().crash();
    assert_eq!(state(net.north())["state"], "waiting");
    let runs = state(net.north())["runs"].as_u64();
    stays(Path::new(&csv), 41, 1.0);
    until("the changed file to begin it", || (state(net.north())["runs"].as_u64() > runs).then_some(()));
    let count = || {
        let said = net.op.say(&["sql", "--reason", "a test", "SELECT count(*) FROM person"]).unwrap();
        said.json["rows"][0][0].as_str().map(str::to_owned)
    };
    until("the new rows in the tables", || (count().as_deref() == Some("41")).then_some(()));
    net.north().tell(&["pipeline", "remove", "feed"]);
    assert_eq!(net.north().tell(&["pipeline", "list"]), serde_json::json!([]));
}
