//! Replays every vector of `spec/vectors`, which an independent reference wrote, through `cohortium-protocol`
//! and, for linkage tokens and treatments, `cohortium-engine`.
//!
//! What the reference accepts must be accepted with the same outcome, what it refuses must be refused with the same
//! code. An operation or type that is not known here is a failure, so no vector is skipped.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a vector that cannot be read is a failed test")]
#![expect(clippy::unnecessary_wraps, reason = "every operation has the same shape, also one that never refuses")]

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[path = "conformance/encoding.rs"]
mod encoding;
#[path = "conformance/ledger.rs"]
mod ledger;
#[path = "conformance/identity.rs"]
mod identity;
#[path = "conformance/releases.rs"]
mod releases;
#[path = "conformance/rules.rs"]
mod rules;
#[path = "conformance/snapshot.rs"]
mod snapshot;
#[path = "conformance/table.rs"]
mod table;
#[path = "conformance/tokens.rs"]
mod tokens;
#[path = "conformance/treatments.rs"]
mod treatments;
#[path = "conformance/types.rs"]
mod types;

/// What an operation gives: a value, or the code of its refusal.
type Outcome = Result<Value, String>;

/// The areas of the specification that have vectors.
const AREAS: [&str; 13] = [
    "blob",
    "codec",
    "document",
    "frame",
    "key",
    "linkage",
    "log",
    "message",
    "name",
    "record",
    "rule",
    "table",
    "treatment",
];

fn spec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec")
}

/// The code of a fault: its variant's name in lower case with hyphens; a wrapping variant gives way to the inner one.
fn code_of(fault: &impl Debug) -> String {
    let shown = format!("{fault:?}");
    let inner = ["Codec(", "Note("].iter().find_map(|wrapper| shown.strip_prefix(wrapper)).unwrap_or(&shown);
    let mut code = String::new();
    for character in inner.chars().take_while(char::is_ascii_alphanumeric) {
        if character.is_ascii_uppercase() && !code.is_empty() {
            code.push('-');
        }
        code.push(character.to_ascii_lowercase());
    }
    code
}

/// The text field `name`.
fn text<'a>(input: &'a Value, name: &str) -> &'a str {
    input[name].as_str().unwrap_or_else(|| panic!("the input has no text {name}: {input}"))
}

/// The number field `name`.
fn number(input: &Value, name: &str) -> u64 {
    input[name].as_u64().unwrap_or_else(|| panic!("the input has no number {name}: {input}"))
}

/// The bytes that the text field `name` writes in hexadecimal digits.
fn bytes(input: &Value, name: &str) -> Vec<u8> {
    unhex(text(input, name))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// The bytes of a field that always has the same length.
fn array<const N: usize>(input: &Value, name: &str) -> [u8; N] {
    bytes(input, name).try_into().unwrap_or_else(|_| panic!("{name} is not {N} bytes: {input}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn carry_out(operation: &str, input: &Value, expect: &Value) -> Outcome {
    match operation {
        "decode-value" => types::decode_value(input),
        "decode-record" => types::decode_record(input, expect),
        "refuse-record" => types::refuse_record(input),
        "verify-document" => types::verify_document(input),
        "label" => types::label(input),
        "query-digests" => types::query(input),
        "frame-header" => encoding::frame_header(input),
        "agree-version" => encoding::agree_version(input),
        "check-text" => encoding::check_text(input),
        "public-key" => identity::public_key(input),
        "verify-signature" => identity::verify_signature(input),
        "pre-authentication-encoding" => identity::pre_authentication_encoding(input),
        "join-secret-digest" => identity::join_secret_digest(input),
        "join-secret-id" => identity::join_secret_id(input),
        "join-proof" => identity::join_proof(input),
        "mail-head" => identity::mail_head(input),
        "wrap" => identity::wrap_secret(input),
        "unwrap" => identity::unwrap_secret(input),
        "keyed-id" => snapshot::keyed(input),
        "blob-shape" => snapshot::shape(input),
        "outboard-check" => snapshot::check_outboard(input),
        "verify-group" => snapshot::verify_group(input),
        "verify-range" => snapshot::verify_range(input),
        "row-encoding" => table::row(input),
        "part-digest" => table::part(input),
        "table-version" => table::version(input),
        "leaf-entry" => ledger::entry(input),
        "tree-root" => ledger::root(input),
        "verify-inclusion" => ledger::inclusion(input),
        "verify-consistency" => ledger::consistency(input),
        "tile-path" => ledger::tile(input),
        "log-origin" => ledger::log_origin(input),
        "log-key-id" => ledger::key_id(input),
        "open-checkpoint" => ledger::open_checkpoint(input),
        "linkage-name" => tokens::normal_name(input),
        "linkage-day" => tokens::normal_day(input),
        "linkage-sub-key" => tokens::key(input),
        "linkage-check" => tokens::check(input),
        "linkage-token" => tokens::token(input),
        "treat" => treatments::treat(input),
        "shift-days" => treatments::shift(input),
        "row-test" => treatments::test(input),
        "suspicion" => treatments::suspected(input),
        "charter-succession" => rules::succession(input),
        "may-flow" => rules::may_flow(input),
        "charter-check" => rules::charter_document(input),
        "manifest-continues" => rules::continues(input),
        "share-widens" => rules::widens(input),
        "change-restricts" => rules::restricts(input),
        "review" => releases::reviewed(input),
        "affords" => releases::affords(input),
        "project-fits" => releases::project_fits(input),
        unknown => panic!("no operation {unknown}: a vector would be skipped"),
    }
}

/// Replays one vector; gives what is wrong.
fn replay(vector: &Value) -> Result<(), String> {
    let outcome = carry_out(text(vector, "operation"), &vector["input"], &vector["expect"]);
    let wanted = match vector.get("code") {
        None => Ok(vector["expect"].clone()),
        // The error code that the peer is told stands beside the fault where the two differ.
        Some(code) => Err(match vector.get("wire") {
            Some(wire) => format!("{} {wire}", code.as_str().unwrap()),
            None => code.as_str().unwrap().to_owned(),
        }),
    };
    let refused = text(vector, "result") == "invalid";
    if outcome != wanted || (refused && wanted.is_ok()) || (text(vector, "result") == "valid" && wanted.is_err()) {
        return Err(format!("{}: expected {wanted:?}, got {outcome:?} ({})", vector["id"], vector["note"]));
    }
    Ok(())
}

fn vectors_of(area: &str) -> Vec<Value> {
    let folder = spec().join("vectors").join(area);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &PathBuf| serde_json::from_str::<Vec<Value>>(&fs::read_to_string(path).unwrap()).unwrap();
    files.iter().flat_map(read).collect()
}

#[test]
fn the_library_agrees_with_the_reference_on_every_vector() {
    let mut areas: Vec<String> = fs::read_dir(spec().join("vectors"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    areas.sort();
    let (mut wrong, mut ids) = (Vec::new(), std::collections::BTreeSet::new());
    for area in &areas {
        let vectors = vectors_of(area);
        assert!(!vectors.is_empty(), "{area} has no vectors");
        for vector in &vectors {
            assert!(ids.insert(text(vector, "id").to_owned()), "{} twice", vector["id"]);
            wrong.extend(replay(vector).err());
        }
    }
    assert!(AREAS.iter().all(|area| areas.iter().any(|found| found == area)), "an area is missing: {areas:?}");
    assert!(wrong.is_empty(), "{} of {} vectors:\n{}", wrong.len(), ids.len(), wrong.join("\n"));
}

#[test]
fn a_vector_that_expects_the_wrong_thing_fails() {
    let accepted = r#"{"id":"x","operation":"check-text","input":{"type":"name","text":"A"},"result":"valid","expect":"A","note":""}"#;
    let refused = r#"{"id":"x","operation":"check-text","input":{"type":"name","text":"a"},"result":"invalid","code":"start","note":""}"#;
    for vector in [accepted, refused] {
        assert!(replay(&serde_json::from_str(vector).unwrap()).is_err());
    }
}

#[test]
fn the_reference_still_makes_exactly_these_vectors() {
    let maker = spec().join("reference/make_vectors.py");
    match Command::new("python3").arg("-B").arg(&maker).arg("--check").output() {
        Err(fault) => println!("skipped: python3 does not start ({fault})"),
        Ok(output) if !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("tomllib") => {
            println!("skipped: the reference needs Python 3.11");
        }
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        }
    }
}
