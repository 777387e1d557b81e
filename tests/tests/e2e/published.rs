//! Consolidated tables in an operator's PostgreSQL and in a folder: whole, or as they were.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::source::{CANARY, files_below};
use cohortium_tests::real::until;

use crate::PROGRAM;
use crate::drawn::secret;
use crate::postgres::{Postgres, postgres};
use crate::room::say;

/// One row a stay; every stay is of another patient.
const WARD: &str = r#"mapping = "ward"
version = 1
schema = "omop-cdm-5.4"
patients = { source = "stays", id = "eid" }
source.stays = { dataset = "stays", identifiers = ["eid", "name"] }

[[fact]]
table = "person"
from = "stays"
set = { person_id = "person(eid)", gender_concept_id = 0, year_of_birth = "2024 - CAST(age AS BIGINT)", race_concept_id = 0, ethnicity_concept_id = 0 }

[[fact]]
table = "visit_occurrence"
from = "stays"
set = { visit_occurrence_id = "surrogate('visit', eid)", person_id = "person(eid)", visit_concept_id = 9201, visit_start_date = { default = "2024-01-01" }, visit_end_date = { default = "2024-01-02" }, visit_type_concept_id = 32817 }
"#;

const TABLES: [&str; 2] = ["person", "visit_occurrence"];

/// The official DDL for a schema of this name.
fn official(schema: &str) -> Option<String> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = std::env::var_os("COHORTIUM_DATA").map_or(data, PathBuf::from);
    let Ok(text) = fs::read_to_string(data.join("omop_spec/OMOPCDM_postgresql_5.4_ddl.sql")) else {
        say("skipped: ../shared/data/omop_spec is not there");
        return None;
    };
    Some(text.replace("@cdmDatabaseSchema", schema))
}

/// Maps `rows` stays at the member and has them consolidated at the operator.
pub(crate) fn consolidated(net: &Network, rows: u32, number: usize) {
    land(net, rows, number);
    net.op.tell(&["consolidate", "run"]);
}

/// Maps `rows` stays at the member, whose tables land at the operator in this version.
fn land(net: &Network, rows: u32, number: usize) {
    let north = net.north();
    let mut text = String::from("eid,name,age\n");
    (0..rows).for_each(|row| writeln!(text, "{row},{CANARY}{row},{}", 20 + row % 60).unwrap());
    fs::write(net.path("stays.csv"), text).unwrap();
    if number == 1 {
        north.tell(&["dataset", "add", "stays", "--csv", &net.text("stays.csv"), "--patient", "eid"]);
        fs::write(net.path("ward.toml"), WARD).unwrap();
        north.tell(&["mapping", "define", &net.text("ward.toml")]);
    }
    north.tell(&["mapping", "run", "ward"]);
    if number == 1 {
        north.tell(&["mapping", "offer", "ward", "--to", "op", "--purpose", "A test", "--days", "30"]);
    }
    for table in TABLES {
        let share = format!("ward.{table}");
        if number == 1 {
            north.tell(&["share", "approve", &share]);
            north.tell(&["share", "invite", &share, "--to", "op"]);
            net.op.tell_soon(&["subscription", "accept", &share]);
            north.until_state(&share, "active");
        }
        north.tell(&["share", "take", &share]);
        net.op.until_landed(&share, number);
    }
}

// CONS-11
#[test]
fn consolidated_tables_are_in_the_official_schema_of_a_postgres_whole_or_as_they_were() {
    let Some(server) = postgres() else { return };
    let Some(ddl) = official("cdm") else { return };
    let database = server.database("published");
    server.sql(&database, "CREATE SCHEMA cdm");
    let path = std::env::temp_dir().join(format!("cohortium-published-{}.sql", std::process::id()));
    fs::write(&path, ddl).unwrap();
    server.file(&database, &path);
    fs::remove_file(&path).unwrap();

    let net = Network::new(Plan::pair(PROGRAM));
    let password = secret(&net.path("password"), server.password);
    let address = format!("127.0.0.1:{}", server.room.port);
    let reach = ["--postgres", &address, "--database", &database, "--user", "admin", "--password-file", &password];
    let whole = [&["consolidate", "publish"], &reach[..], &["--schema", "cdm"]].concat();
    let publish = [&whole[..], &["--number-ids"]].concat();
    net.op.refused(&publish, 4);
    consolidated(&net, 300, 1);
    // Ids have 63 bits and the official tables hold 32: none is cut to fit.
    let said = net.op.refused(&whole, 3);
    assert!(said.contains("person_id") && said.contains("out-of-range"), "{said}");
    net.op.tell(&publish);
    let count = |table: &str| server.sql(&database, &format!("SELECT count(*) FROM cdm.{table}")).trim().to_owned();
    let joined = "SELECT count(*) FROM cdm.person JOIN cdm.visit_occurrence USING (person_id)";
    assert_eq!((count("person"), count("visit_occurrence")), ("300".into(), "300".into()));
    assert_eq!(server.sql(&database, joined).trim(), "300");

    // The next version takes the first one's place; a fault in the midst of it changes nothing.
    consolidated(&net, 320, 2);
    server.sql(&database, "ALTER TABLE cdm.visit_occurrence ADD CHECK (visit_concept_id = 0) NOT VALID");
    let said = net.op.refused(&publish, 3);
    assert!(said.contains("23514") && !said.contains("9201"), "{said}");
    assert_eq!((count("person"), count("visit_occurrence")), ("300".into(), "300".into()));
    server.sql(&database, "ALTER TABLE cdm.visit_occurrence DROP CONSTRAINT visit_occurrence_visit_concept_id_check");
    net.op.tell(&publish);
    assert_eq!((count("person"), count("visit_occurrence")), ("320".into(), "320".into()));

    // Tables that are not there are made where that is asked for, and nowhere else.
    let elsewhere = [&["consolidate", "publish"], &reach[..], &["--schema", "public"]].concat();
    let said = net.op.refused(&elsewhere, 3);
    assert!(said.contains("person is not there"), "{said}");
    net.op.tell(&[&elsewhere[..], &["--create"]].concat());
    assert_eq!(server.sql(&database, "SELECT count(*) FROM public.person").trim(), "320");

    assert_eq!((net.op.acts("published").len(), net.op.acts("publish-failed").len()), (3, 3));
    let told = net.op.tell(&["history"]).to_string();
    assert!(told.contains("published") && !told.contains(server.password), "{told}");
    by_itself(&net, server, &database, [&address, &password]);
    net.op.verifies();
}

// PIPE-2
fn by_itself(net: &Network, server: &Postgres, database: &str, [address, password]: [&str; 2]) {
    let file = format!(
        "name = \"tables\"\non = {{ landed = \"any\" }}\nsteps = [\"consolidate\", \"publish\"]\n[publish]\n\
         postgres = \"{address}\"\ndatabase = \"{database}\"\nuser = \"admin\"\npassword_file = \"{password}\"\n\
         schema = \"public\"\n"
    );
    fs::write(net.path("without.toml"), file.split("[publish]").next().unwrap()).unwrap();
    net.op.refused(&["pipeline", "define", &net.text("without.toml")], 2);
    fs::write(net.path("tables.toml"), &file).unwrap();
    net.op.tell(&["pipeline", "define", &net.text("tables.toml")]);
    until("what has landed to be published", || (!published(net).is_empty()).then_some(()));
    land(net, 350, 3);
    until("the new rows in the database", || {
        (server.sql(database, "SELECT count(*) FROM public.person").trim() == "350").then_some(())
    });
    until("the pipeline to rest", || (net.op.tell(&["pipeline", "status"])[0]["state"] == "waiting").then_some(()));
    net.op.tell(&["pipeline", "remove", "tables"]);
}

/// Publications beyond those that people have ordered.
fn published(net: &Network) -> Vec<serde_json::Value> {
    net.op.acts("published").into_iter().skip(3).collect()
}

#[test]
fn consolidated_tables_are_written_to_a_folder_by_table_and_member() {
    let net = Network::new(Plan::pair(PROGRAM));
    net.op.refused(&["consolidate", "export", &net.text("out")], 4);
    consolidated(&net, 40, 1);
    net.op.tell(&["consolidate", "export", &net.text("out")]);
    let out = net.path("out");
    let files: Vec<String> =
        files_below(&out).iter().map(|path| path.strip_prefix(&out).unwrap().display().to_string()).collect();
    assert_eq!(files, ["person/north/part-000.parquet", "visit_occurrence/north/part-000.parquet"]);
    for file in &files {
        let bytes = fs::read(out.join(file)).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{file}");
    }
    // What is there is not written over.
    net.op.refused(&["consolidate", "export", &net.text("out")], 2);
    assert!(net.op.acts("order").len() > 1);
}

// CONS-13
#[test]
fn a_small_change_is_seen_by_every_reader_of_a_part() {
    const ROWS: u32 = 5_000;
    let net = Network::new(Plan::pair(PROGRAM));
    consolidated(&net, ROWS, 1);
    // More rows than a base needs, and a change of less than an eighth of them: beside the base lies what has changed.
    consolidated(&net, ROWS + 40, 2);
    let count = |question: &str| {
        let said = net.op.tell(&["sql", "--reason", "A test", question]);
        said["rows"][0][0].as_str().unwrap_or_default().to_owned()
    };
    let all = (ROWS + 40).to_string();
    assert_eq!(count("SELECT count(*) FROM person"), all);
    let joined = "SELECT count(*) FROM person JOIN visit_occurrence ON person.person_id = visit_occurrence.person_id";
    assert_eq!(count(joined), all);
    // Fewer again, many of which are in the base: they are gone from every answer and from what is written for people.
    consolidated(&net, ROWS - 100, 3);
    assert_eq!(count("SELECT count(*) FROM visit_occurrence"), (ROWS - 100).to_string());
    // The worker compares the digest of what it writes with the consolidation's.
    net.op.tell(&["consolidate", "export", &net.text("out")]);
    assert_eq!(files_below(&net.path("out")).len(), TABLES.len());
    net.op.verifies();
}
