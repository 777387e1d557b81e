//! Lists, versions, metadata, queries and change feeds, as the protocol writes them.

use std::sync::atomic::Ordering;

use cohortium_protocol::time::UnixMillis;
use cohortium_serve::ground::Accessed;
use cohortium_serve::limits::Limits;
use cohortium_serve::recipient::{Recipient, Standing};
use serde_json::{Value, json};

use crate::ground::{Running, furnished, recipient, token};

const TABLE: &str = "/shares/a/schemas/s/tables/t";

fn names(running: &Running, path: &str) -> Vec<String> {
    let items = running.get(path).json()["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

// DSS-4
#[test]
fn lists_hold_what_was_granted_and_nothing_else() {
    let running = furnished(Limits::default());
    assert_eq!(names(&running, "/shares"), ["a", "b"]);
    assert_eq!(names(&running, "/shares/A/schemas"), ["s", "x"]);
    assert_eq!(names(&running, "/shares/a/schemas/S/tables"), ["t", "t-2"]);
    assert_eq!(names(&running, "/shares/b/all-tables"), ["v"]);
    assert_eq!(running.get("/shares/a").json()["share"]["name"], "a");
    let tables = running.get("/shares/a/all-tables").json();
    let first = json!({"name": "t", "schema": "s", "share": "a", "shareId": "61616161-6161-6161-6161-616161616161",
        "id": "01010101-0101-0101-0101-010101010101"});
    assert!(tables["items"].as_array().unwrap().contains(&first), "{tables}");
    let other = format!("Bearer {}", *token(2).reveal());
    let of_other = |path: &str| running.ask("GET", path, &[("Authorization", &other)], "");
    assert_eq!(of_other("/delta-sharing/shares").json()["items"][0]["name"], "b");
    assert_eq!(of_other("/delta-sharing/shares/b/all-tables").json()["items"][0]["name"], "secret");
    for path in [
        "/shares/c",
        "/shares/c/schemas",
        "/shares/a/schemas/none/tables",
        "/shares/c/all-tables",
        "/shares/b/schemas/s/tables/secret/version",
        "/shares/b/schemas/s/tables/secret/metadata",
        "/shares/b/schemas/s/tables/secret/changes?startingVersion=0",
        "/shares/b/schemas/s/tables/none/version",
    ] {
        assert_eq!(running.get(path).refused(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()), "{path}");
    }
    let secret = "/delta-sharing/shares/b/schemas/s/tables/secret/query";
    let none = "/delta-sharing/shares/b/schemas/s/tables/none/query";
    let (secret, none) = (running.ask("POST", secret, &[], "{}"), running.ask("POST", none, &[], "{}"));
    assert_eq!((secret.status, &secret.body), (404, &none.body), "what was not granted is as what is not there");
}

#[test]
fn pages_show_each_item_once_in_any_size() {
    let running = furnished(Limits::default());
    for most in 1..=4 {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = running.get(&format!("/shares/a/all-tables?maxResults={most}&pageToken={token}")).json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= most);
            seen.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
            match page["nextPageToken"].as_str() {
                Some(next) => next.clone_into(&mut token),
                None => break,
            }
        }
        seen.sort();
        assert_eq!(seen, ["t", "t-2", "u"], "in pages of {most}");
    }
    let none = running.get("/shares?maxResults=0").json();
    assert_eq!(none["items"], json!([]));
    let next = none["nextPageToken"].as_str().unwrap();
    assert_eq!(names(&running, &format!("/shares?pageToken={next}")), ["a", "b"]);
    for bad in ["maxResults=-1", "maxResults=x", "pageToken=x", &format!("maxResults=1&maxResults=1&pageToken={next}")]
    {
        assert_eq!(running.get(&format!("/shares?{bad}")).refused().0, 400, "{bad}");
    }
    let elsewhere = running.get(&format!("/shares/a/all-tables?pageToken={next}"));
    assert_eq!(elsewhere.refused().0, 400, "a token of another list");
}

// DSS-6
#[test]
fn every_answer_about_a_table_has_its_version_in_a_header() {
    let running = furnished(Limits::default());
    let version = |path: &str| running.get(path).headers["delta-table-version"].clone();
    assert_eq!(version(&format!("{TABLE}/version")), "2");
    assert_eq!(version(&format!("{TABLE}/version?startingTimestamp=1970-01-01T00:00:00Z")), "0");
    assert_eq!(version(&format!("{TABLE}/version?startingTimestamp=1970-01-01%2000:00:01.5")), "2");
    assert_eq!(running.get(&format!("{TABLE}/version?startingTimestamp=2100-01-01T00:00:00Z")).refused().0, 400);
    assert_eq!(version(&format!("{TABLE}/metadata")), "2");
    assert_eq!(version(&format!("{TABLE}/metadata?version=0")), "0");
    assert_eq!(version(&format!("{TABLE}/changes?startingVersion=1")), "2");
    let head = running.ask("HEAD", &format!("/delta-sharing{TABLE}"), &[], "");
    assert_eq!((head.status, head.headers["delta-table-version"].as_str()), (200, "2"));
    let query = |body: &str| running.ask("POST", &format!("/delta-sharing{TABLE}/query"), &[], body);
    assert_eq!(query("{}").headers["delta-table-version"], "2");
    assert_eq!(query(r#"{"version":0}"#).headers["delta-table-version"], "0");
    assert_eq!(query(r#"{"version":1}"#).refused().0, 404, "a version that was withdrawn");
    assert_eq!(query(r#"{"version":0,"timestamp":"1970-01-01T00:00:01Z"}"#).refused().0, 400);
}

fn query(running: &Running, capabilities: &str, body: &str) -> crate::ground::Answer {
    let headers = [("delta-sharing-capabilities", capabilities), ("Content-Type", "application/json")];
    running.ask("POST", &format!("/delta-sharing{TABLE}/query"), &headers, body)
}

// DSS-7 DSS-8
#[test]
fn a_query_names_the_files_of_a_version_in_both_formats() {
    let running = furnished(Limits::default());
    let parquet = query(&running, "", "{}");
    assert_eq!(parquet.headers["delta-sharing-capabilities"], "responseformat=parquet");
    let lines = parquet.lines();
    assert_eq!(lines[0], json!({"protocol": {"minReaderVersion": 1}}));
    assert_eq!((&lines[1]["metaData"]["size"], &lines[1]["metaData"]["numFiles"]), (&json!(3_300_000), &json!(2)));
    let sizes: Vec<&Value> = lines[2..].iter().map(|line| &line["file"]["size"]).collect();
    assert_eq!(sizes, [&json!(300_000), &json!(3_000_000)]);
    assert!(lines[2]["file"]["url"].as_str().unwrap().ends_with(".parquet"));
    assert!(lines[2]["file"].get("version").is_none() && lines[2]["file"].get("stats").is_none());
    let delta = query(&running, "responseformat=delta;readerfeatures=deletionvectors", r#"{"version":0}"#);
    assert_eq!(delta.headers["delta-sharing-capabilities"], "responseformat=delta");
    let lines = delta.lines();
    assert_eq!(lines[0]["protocol"]["deltaProtocol"]["minReaderVersion"], 1);
    assert_eq!((&lines[1]["metaData"]["version"], &lines[1]["metaData"]["size"]), (&json!(0), &json!(301_000)));
    assert_eq!((&lines[2]["file"]["version"], &lines[2]["file"]["timestamp"]), (&json!(0), &json!(1000)));
    let add = &lines[2]["file"]["deltaSingleAction"]["add"];
    assert_eq!((&add["size"], &add["dataChange"]), (&json!(1000), &json!(true)));
    // DSS-13
    assert!(add["path"].as_str().unwrap().ends_with(".parquet?sp=r"));
}

#[test]
fn hints_are_taken_and_a_limit_names_fewer_files() {
    let running = furnished(Limits::default());
    let files = |body: &str| query(&running, "", body).lines().len() - 2;
    assert_eq!(files(r#"{"limitHint":1}"#), 1);
    assert_eq!(files(r#"{"limitHint":21,"predicateHints":["a > 1","nonsense"],"jsonPredicateHints":"{{"}"#), 2);
    assert_eq!(files(r#"{"limitHint":0}"#), 0);
    for bad in ["{", "[]", r#"{"limitHint":-1}"#, r#"{"version":"x"}"#, r#"{"timestamp":"soon"}"#] {
        assert_eq!(query(&running, "", bad).refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()), "{bad}");
    }
    assert_eq!(query(&running, "responseformat=avro", "{}").refused().0, 400);
}

// DSS-11
#[test]
fn a_change_feed_removes_and_adds_whole_files() {
    let running = furnished(Limits::default());
    let lines = running.get(&format!("{TABLE}/changes?startingVersion=0&endingVersion=9")).lines();
    let acts: Vec<(&str, u64, u64)> = lines[2..]
        .iter()
        .map(|line| {
            let (act, file) = line.as_object().unwrap().iter().next().unwrap();
            (act.as_str(), file["version"].as_u64().unwrap(), file["size"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(acts, [("add", 0, 1000), ("add", 0, 300_000), ("remove", 2, 1000), ("add", 2, 3_000_000)]);
    let since = query(&running, "responseformat=delta", r#"{"startingVersion":1}"#).lines();
    let kinds: Vec<&String> = since[2..]
        .iter()
        .map(|line| line["file"]["deltaSingleAction"].as_object().unwrap().keys().next().unwrap())
        .collect();
    assert_eq!(kinds, ["remove", "add"]);
    assert_eq!(since[1]["metaData"]["version"], 1, "some clients look for the columns where they began");
    for bad in [
        "",
        "?startingVersion=3",
        "?startingVersion=2&endingVersion=0",
        "?startingVersion=0&includeHistoricalMetadata=2",
    ] {
        assert_eq!(running.get(&format!("{TABLE}/changes{bad}")).refused().0, 400, "{bad}");
    }
    assert_eq!(running.get(&format!("{TABLE}/changes?startingVersion=1&endingVersion=1")).refused().0, 404);
}

// DSS-22
#[test]
fn the_last_line_says_so_only_to_who_asked() {
    let running = furnished(Limits::default());
    let last = |capabilities: &str, body: &str| query(&running, capabilities, body).lines().pop().unwrap();
    assert!(last("", "{}").get("file").is_some());
    assert!(last("responseformat=delta", r#"{"includeRefreshToken":true}"#).get("file").is_some());
    let end = last("responseformat=delta;includeendstreamaction=true", "{}");
    assert!(end["endStreamAction"]["minUrlExpirationTimestamp"].as_u64().unwrap() > 1_600_000_000_000);
    let first = query(&running, "", r#"{"maxFiles":1}"#).lines();
    let token = first[3]["endStreamAction"]["nextPageToken"].as_str().unwrap();
    let second = query(&running, "", &json!({"maxFiles": 1, "pageToken": token}).to_string()).lines();
    assert_eq!((&first[..2], first.len(), second.len()), (&second[..2], 4, 4));
    assert_ne!(first[2]["file"]["id"], second[2]["file"]["id"]);
    assert!(second[3]["endStreamAction"].get("nextPageToken").is_none());
    let changes =
        |token: &str| running.get(&format!("{TABLE}/changes?startingVersion=0&maxFiles=3&pageToken={token}")).lines();
    let first = changes("");
    let second = changes(first[5]["endStreamAction"]["nextPageToken"].as_str().unwrap());
    assert_eq!((first.len(), second.len()), (6, 4));
    assert_eq!(query(&running, "", &json!({"maxFiles": 1, "pageToken": "AAAA"}).to_string()).refused().0, 400);
    let few = furnished(Limits { files_max: 1, ..Limits::default() });
    assert_eq!(query(&few, "", "{}").refused().0, 400, "too many for one answer");
    assert_eq!(query(&few, "", r#"{"maxFiles":9}"#).lines().len(), 4);
}

// DSS-3
#[test]
fn a_token_is_good_until_it_expires_or_is_revoked() {
    let running = furnished(Limits::default());
    let with = |header: &str| running.ask("GET", "/delta-sharing/shares", &[("Authorization", header)], "").refused();
    let wrong = (401, "UNAUTHENTICATED".to_owned());
    let foreign = format!("Bearer {}", *token(9).reveal());
    for header in ["", "Bearer", "Bearer x", "Basic x", &foreign] {
        assert_eq!(with(header), wrong, "{header:?}");
    }
    let none = running.raw(b"GET /delta-sharing/shares HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!((none.refused(), none.headers["www-authenticate"].as_str()), (wrong, "Bearer"));
    assert_eq!(running.get("/shares").status, 200);
    let one = recipient(&running.shelf, 1, &["a.s.t"]);
    running.shelf.admit(vec![Recipient { standing: Standing::Revoked, ..one.clone() }]);
    assert_eq!(running.get("/shares").refused(), (401, "REVOKED".to_owned()));
    running.shelf.admit(vec![Recipient { expires: UnixMillis(0), ..one.clone() }]);
    assert_eq!(running.get("/shares").refused(), (401, "TOKEN_EXPIRED".to_owned()));
    running.shelf.admit(vec![one]);
    assert_eq!(running.get("/shares").status, 200);
    running.shelf.ahead.store(86_400_001, Ordering::Relaxed);
    assert_eq!(running.get("/shares").refused(), (401, "TOKEN_EXPIRED".to_owned()));
}

// DSS-14
#[test]
fn every_answer_is_in_the_log_before_it_leaves_or_does_not_leave() {
    let running = furnished(Limits::default());
    let listed = running.get("/shares");
    let link = running.links_of("a.s.t")[1].clone();
    let read = running.ask("GET", &link, &[("Range", "bytes=5-14")], "");
    assert_eq!((listed.status, read.status, read.body.len()), (200, 206, 10));
    let log = running.shelf.log.lock().unwrap().clone();
    assert_eq!(log.len(), 3);
    assert_eq!((&log[0].what, log[0].bytes), (&Accessed::Names, u64::try_from(listed.body.len()).unwrap()));
    assert!(matches!(&log[1].what, Accessed::Table { version: 2, table } if table.to_string() == "a.s.t"));
    assert!(matches!(&log[2].what, Accessed::File { version: 2, first: 5, .. }) && log[2].bytes == 10);
    assert!(log.iter().all(|access| access.recipient.0 == [1; 16]));
    running.shelf.log_fails.store(true, Ordering::Relaxed);
    let unavailable = (503, "UNAVAILABLE".to_owned());
    assert_eq!(running.get("/shares").refused(), unavailable);
    assert_eq!(running.get(&format!("{TABLE}/version")).refused(), unavailable);
    assert_eq!(running.get(&format!("{TABLE}/metadata")).refused(), unavailable);
    assert_eq!(running.ask("GET", &link, &[], "").refused(), unavailable);
    assert_eq!(query(&running, "", "{}").refused(), unavailable);
}
