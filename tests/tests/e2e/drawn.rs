//! Sources that are drawn: databases, and FHIR through views; shared, mapped, and when they fail.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use cohortium_tests::real::network::{Network, Offer, Plan};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::{CANARY, column};
use serde_json::Value;

use crate::PROGRAM;
use crate::maria::maria;
use crate::postgres::postgres;
use crate::room::say;

/// Stays as a database has them. The third row's day is infinitely late: no day that could be given on.
const STAYS: &str =
    "CREATE TABLE stays (eid integer PRIMARY KEY, name text, age integer, sodium numeric(6,1), seen date);
    INSERT INTO stays VALUES (7, 'CANARY7', 54, 140.4, '2024-02-29'), (8, 'CANARY8', 61, 138, '2024-03-01'),
    (9, 'CANARY9', 70, NULL, 'infinity'), (11, 'CANARY11', 33, 141, '2023-12-31')";

/// Persons and visits of them.
const WARD: &str = r#"mapping = "ward"
version = 1
schema = "omop-cdm-5.4"
patients = { source = "stays", id = "eid" }
source.stays = { dataset = "stays", identifiers = ["eid", "name"] }

[[fact]]
table = "person"
from = "stays"
set = { person_id = "person(eid)", gender_concept_id = 0, year_of_birth = "2024 - age", race_concept_id = 0, ethnicity_concept_id = 0 }

[[fact]]
table = "visit_occurrence"
from = "stays"
set = { visit_occurrence_id = "surrogate('visit', eid)", person_id = "person(eid)", visit_concept_id = 9201, visit_start_date = "seen", visit_end_date = "seen", visit_type_concept_id = 32817 }
"#;

/// What leaves of them.
pub(crate) const DEFINE: [&str; 8] = [
    "--pseudonym",
    "eid",
    "--drop",
    "name",
    "--keep-role",
    "age=quasi-identifier,seen=quasi-identifier",
    "--round",
    "sodium=0",
];

/// Writes a file that only this user can read.
pub(crate) fn secret(path: &Path, text: &str) -> String {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// Files that a run left where blobs are made.
pub(crate) fn left(site: &Site) -> Vec<PathBuf> {
    let all = site.files_below(".");
    all.into_iter().filter(|path| path.parent().is_some_and(|folder| folder.ends_with("temp"))).collect()
}

/// Maps with `WARD` and checks its account: one row of four is set aside, at its place in the source.
fn ward(net: &Network) {
    let north = net.north();
    fs::write(net.path("ward.toml"), WARD).unwrap();
    north.tell(&["mapping", "define", &net.text("ward.toml")]);
    north.tell(&["mapping", "run", "ward"]);
    let report = north.tell(&["mapping", "report", "ward"]);
    let stays = &report["sources"]["stays"];
    let counts = ["rows", "accepted", "partial", "quarantined"].map(|name| stays[name].as_u64().unwrap());
    assert_eq!(counts, [4, 3, 0, 1], "{report}");
    assert_eq!(report["tables"]["visit_occurrence"]["emitted"], 3, "{report}");
    let path = net.path("quarantine.csv");
    north.tell(&["mapping", "quarantine", "ward", &path.display().to_string()]);
    assert_eq!((column(&path, "source"), column(&path, "column")), (vec!["stays".to_owned()], vec!["seen".to_owned()]));
    assert_eq!((column(&path, "place"), column(&path, "reason")), (vec!["3".to_owned()], vec!["row".to_owned()]));
    assert_eq!(left(north), Vec::<PathBuf>::new());
}

/// A mapping of two sources of one database, which are drawn in one transaction, and of a third that is reached as another.
fn together(net: &Network, reach: &[&str]) {
    let north = net.north();
    let two = WARD.replace("mapping = \"ward\"", "mapping = \"two\"");
    let (head, facts) = two.split_once("[[fact]]").unwrap();
    let (person, visit) = facts.split_once("[[fact]]").unwrap();
    let visit = |from: &str| format!("[[fact]]{}", visit.replace("from = \"stays\"", &format!("from = \"{from}\"")));
    let sources = ["more", "other"]
        .map(|name| format!("source.{name} = {{ dataset = \"{name}\", identifiers = [\"eid\", \"name\"] }}\n"));
    let text = format!("{head}{}[[fact]]{person}{}{}", sources.concat(), visit("more"), visit("other"));
    fs::write(net.path("two.toml"), text).unwrap();
    let rows = ["--table", "public.stays", "--key", "eid", "--patient", "eid"];
    north.tell(&[&["dataset", "add", "more"], reach, &rows].concat());
    let other = ["--statement-timeout", "77"];
    north.tell(&[&["dataset", "add", "other"], reach, &rows[..], &other].concat());
    north.tell(&["mapping", "define", &net.text("two.toml")]);
    north.tell(&["mapping", "run", "two"]);
    let report = north.tell(&["mapping", "report", "two"]);
    assert_eq!(report["transactions"], serde_json::json!([["more", "stays"], ["other"]]));
    assert_eq!(left(north), Vec::<PathBuf>::new());
}

/// Shares the rows that can be given on, and shows that a row that cannot ends a run with nothing left behind.
fn shared(net: &Network, whole: &[&str], sound: &[&str]) {
    let north = net.north();
    net.offer(&Offer { from: north, to: &net.op, name: "sound", source: sound, define: &DEFINE, approve: &[] });
    let preview = north.tell(&["share", "preview", "sound"]);
    assert_eq!(preview["rows"].as_array().map(Vec::len), Some(3), "{preview}");
    north.tell(&["share", "take", "sound"]);
    net.op.until_landed("sound", 1);
    net.op.tell(&["subscription", "checkout", "sound", &net.text("out.csv")]);
    let out = net.path("out.csv");
    assert_eq!(
        (column(&out, "age"), column(&out, "sodium")),
        (texts(&["33", "54", "61"]), texts(&["138.0", "140.0", "141.0"]))
    );
    assert_eq!(column(&out, "seen"), texts(&["2023-12-31", "2024-02-29", "2024-03-01"]));
    assert!(!fs::read_to_string(&out).unwrap().contains(CANARY));
    net.offer(&Offer { from: north, to: &net.op, name: "whole", source: whole, define: &DEFINE, approve: &[] });
    let said = north.refused(&["share", "preview", "whole"], 3);
    assert!(said.contains("row at 3, column seen") && !said.contains(CANARY), "{said}");
    north.tell(&["share", "take", "whole"]);
    assert_eq!(north.until_act("snapshot-failed", 0)["fault"], "malformed");
    assert_eq!(left(north), Vec::<PathBuf>::new());
}

fn texts(of: &[&str]) -> Vec<String> {
    of.iter().map(|text| (*text).to_owned()).collect()
}

// SRC-3
#[test]
fn a_postgres_table_is_shared_and_mapped_and_what_cannot_be_given_on_is_accounted_for() {
    let Some(server) = postgres() else { return };
    let database = server.database("stays");
    server.sql(&database, &STAYS.replace("CANARY", CANARY));
    let net = Network::new(Plan::pair(PROGRAM));
    let password = secret(&net.path("password"), server.password);
    let socket = server.socket().display().to_string();
    let reach = ["--database", "stays", "--user", "admin", "--password-file", &password];
    let whole =
        [&["--postgres", &socket], &reach[..], &["--table", "public.stays", "--key", "eid", "--patient", "eid"]]
            .concat();
    net.north().tell(&[&["dataset", "add", "stays"], &whole[..]].concat());
    let listed = net.north().tell(&["dataset", "list"]).to_string();
    assert!(listed.contains("\"postgres\"") && !listed.contains(server.password), "{listed}");
    let columns = net.north().tell(&["dataset", "profile", "stays"]);
    let kinds: Vec<&Value> = columns.as_array().unwrap().iter().map(|column| &column["kind"]).collect();
    assert_eq!(kinds, ["integer", "text", "integer", "other", "date"]);
    ward(&net);
    together(&net, &[&["--postgres", &socket], &reach[..]].concat());
    let select = net.text("sound.sql");
    fs::write(&select, "SELECT * FROM stays WHERE isfinite(seen) ORDER BY eid").unwrap();
    let address = format!("127.0.0.1:{}", server.room.port);
    let roots = net.text("roots.pem");
    fs::write(&roots, &server.room.root_pem).unwrap();
    let tls = ["--tls-roots", &roots, "--tls-name", "localhost", "--select", &select, "--key", "eid"];
    let sound = [&["--postgres", &address], &reach[..], &tls].concat();
    shared(&net, &whole, &sound);
    // What the server says of itself is in no journal: neither the password nor a cell.
    let history = format!("{:?}", net.north().history());
    assert!(!history.contains(server.password) && !history.contains(CANARY));
    net.north().verifies();
}

#[test]
fn a_maria_table_is_shared_and_mapped_and_what_cannot_be_given_on_is_accounted_for() {
    let Some(server) = maria() else { return };
    let database = server.database("stays");
    let stays = STAYS.replace("CANARY", CANARY).replace("infinity", "0000-00-00");
    server.sql(&database, &format!("SET sql_mode = ''; {stays}"));
    let net = Network::new(Plan::pair(PROGRAM));
    let password = secret(&net.path("password"), server.password);
    let socket = server.socket().display().to_string();
    let reach = ["--maria", &socket, "--database", "stays", "--user", "reader", "--password-file", &password];
    let whole = [&reach[..], &["--table", "stays", "--key", "eid", "--patient", "eid"]].concat();
    net.north().tell(&[&["dataset", "add", "stays"], &whole[..]].concat());
    ward(&net);
    let select = net.text("sound.sql");
    fs::write(&select, "SELECT * FROM stays WHERE YEAR(seen) > 0").unwrap();
    let sound = [&reach[..], &["--select", &select, "--key", "eid"]].concat();
    shared(&net, &whole, &sound);
}

/// A relay that cuts each connection once so many bytes came from the server.
fn cutting(to: u16, after: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let (mut from, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut into));
            let (mut from, mut into) = (server, client);
            thread::spawn(move || {
                let (mut piece, mut left) = ([0; 4096], after);
                while left > 0 {
                    let Ok(read @ 1..) = from.read(&mut piece[..left.min(4096)]) else { break };
                    left -= read;
                    if into.write_all(&piece[..read]).is_err() {
                        break;
                    }
                }
                let _ = (from.shutdown(Shutdown::Both), into.shutdown(Shutdown::Both));
            });
        }
    });
    port
}

#[test]
fn a_database_that_goes_away_or_lets_nobody_in_fails_the_run_and_leaves_nothing() {
    let Some(server) = postgres() else { return };
    let database = server.database("going");
    let rows = "CREATE TABLE rows AS SELECT i AS eid, 'CANARY' || i AS name, 50 AS age, 140.0::float8 AS sodium,
        DATE '2024-01-01' AS seen FROM generate_series(1, 60000) AS i";
    server.sql(&database, &rows.replace("CANARY", CANARY));
    let net = Network::new(Plan::pair(PROGRAM));
    let north = net.north();
    let password = secret(&net.path("password"), server.password);
    let reach =
        ["--database", "going", "--user", "admin", "--password-file", &password, "--table", "rows", "--key", "eid"];
    let direct = format!("127.0.0.1:{}", server.room.port);
    let cut = format!("127.0.0.1:{}", cutting(server.room.port, 1_000_000));
    net.offer(&Offer {
        from: north,
        to: &net.op,
        name: "going",
        source: &[&["--postgres", &direct], &reach[..]].concat(),
        define: &DEFINE,
        approve: &[],
    });
    let add = |address: &str, reach: &[&str]| {
        north.tell(&[&["dataset", "add", "going", "--postgres", address], reach].concat());
        north.tell(&["share", "approve", "going"]);
    };
    add(&cut, &reach);
    north.tell(&["share", "take", "going"]);
    assert_eq!(north.until_act("snapshot-failed", 0)["fault"], "unreadable");
    assert_eq!(left(north), Vec::<PathBuf>::new());
    // A wrong password, a file of it that others can read, nobody at the port.
    let wrong = secret(&net.path("wrong"), "another");
    let with = |file: &str| {
        let mut reach = reach.map(str::to_owned);
        reach[5] = file.to_owned();
        reach
    };
    let reach_wrong = with(&wrong);
    add(&direct, &reach_wrong.each_ref().map(String::as_str));
    let said = north.refused(&["dataset", "profile", "going"], 4);
    assert!(said.contains("28P01") && !said.contains("another"), "{said}");
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o644)).unwrap();
    let said = north.refused(&["dataset", "profile", "going"], 4);
    assert!(said.contains("password's file") && !said.contains("another"), "{said}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    add(&format!("127.0.0.1:{closed}"), &reach);
    assert!(north.refused(&["dataset", "profile", "going"], 4).contains("not reached"));
    // The node goes on: the same rows, whole.
    add(&direct, &reach);
    north.tell(&["share", "take", "going"]);
    net.op.until_landed("going", 1);
    assert_eq!(net.op.tell(&["subscription", "count", "going"])["rows"], 60_000);
    assert!(!north.log().contains(CANARY) && !north.log().contains("another"));
    north.verifies();
}

fn fhir() -> Option<PathBuf> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = std::env::var_os("COHORTIUM_DATA").map_or(data, PathBuf::from).join("fhir/synthea_r4");
    if data.join("Patient.ndjson").exists() {
        return Some(data);
    }
    say("skipped: ../shared/data/fhir is not there");
    None
}

fn resources(text: &str) -> u64 {
    text.lines().filter(|line| !line.trim().is_empty()).count() as u64
}

#[test]
fn fhir_resources_become_tables_of_the_common_schema_and_broken_ones_are_in_quarantine_with_their_lines() {
    let Some(data) = fhir() else { return };
    let net = Network::new(Plan::pair(PROGRAM));
    let north = net.north();
    let mappings = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testnet/mappings/fhir");
    let mut records = Vec::new();
    for (name, file) in [("patient", "Patient"), ("encounter", "Encounter"), ("condition", "Condition")] {
        let mut text = fs::read_to_string(data.join(format!("{file}.ndjson"))).unwrap();
        let sound = resources(&text);
        if name == "patient" {
            text.push_str("{\"resourceType\":\"Patient\",\"id\":\"x\",\"gender\":\n{\"resourceType\":\"Patient\",\"id\":\"y\",\"id\":\"z\"}\n");
        }
        let path = net.text(&format!("{name}.ndjson"));
        fs::write(&path, &text).unwrap();
        let view = mappings.join(format!("{name}.json")).display().to_string();
        north.tell(&["dataset", "add", name, "--fhir", &path, "--view", &view]);
        records.push((name, sound, text.lines().count()));
    }
    let columns = north.tell(&["dataset", "profile", "patient"]);
    assert_eq!(columns[0]["name"], "patient_id");
    north.tell(&["mapping", "define", &mappings.join("mapping.toml").display().to_string()]);
    north.tell(&["mapping", "run", "fhir"]);
    let report = north.tell(&["mapping", "report", "fhir"]);
    for (name, sound, _) in &records {
        let count = |what: &str| report["sources"][*name][what].as_u64().unwrap();
        let broken = if *name == "patient" { 2 } else { 0 };
        let parts = count("accepted") + count("partial") + count("quarantined") + count("opted_out");
        assert_eq!(count("rows"), parts, "{report}");
        if *name == "patient" {
            assert_eq!((count("rows"), count("quarantined")), (sound + broken, broken), "{report}");
        }
    }
    assert_eq!(report["tables"]["person"]["emitted"].as_u64(), Some(records[0].1), "{report}");
    let path = net.path("quarantine.csv");
    north.tell(&["mapping", "quarantine", "fhir", &path.display().to_string()]);
    let text = fs::read_to_string(&path).unwrap();
    let last = records[0].2;
    for line in [last - 1, last] {
        assert!(text.lines().any(|entry| entry.starts_with(&format!("patient,{line},"))), "{line}: {text}");
    }
    assert_eq!(left(north), Vec::<PathBuf>::new());
}

#[test]
fn what_was_drawn_does_not_outlive_a_crash() {
    let Some(server) = postgres() else { return };
    let database = server.database("crash");
    let rows =
        "CREATE TABLE rows AS SELECT i AS eid, i AS age, 140.0::float8 AS sodium, DATE '2024-01-01' AS seen, '' AS name
        FROM generate_series(1, 100000) AS i";
    server.sql(&database, rows);
    let mut net = Network::new(Plan::pair(PROGRAM));
    let password = secret(&net.path("password"), server.password);
    let address = format!("127.0.0.1:{}", server.room.port);
    let reach = ["--database", "crash", "--user", "admin", "--password-file", &password, "--table", "rows"];
    // Slowly, so that the crash comes in the midst of it.
    let slow = ["--rows-per-second", "2000", "--key", "eid"];
    net.offer(&Offer {
        from: net.north(),
        to: &net.op,
        name: "rows",
        source: &[&["--postgres", &address], &reach[..], &slow].concat(),
        define: &DEFINE,
        approve: &[],
    });
    net.north().tell(&["share", "take", "rows"]);
    cohortium_tests::real::until("something to be drawn", || (!left(net.north()).is_empty()).then_some(()));
    net.north_mut().crash();
    assert_eq!(left(net.north()), Vec::<PathBuf>::new());
    net.north().verifies();
}
