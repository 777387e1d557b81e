//! Requirement ids: each is defined once with one MUST, each is cited by a test or a vector, each citation has its id.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Tree, has_ending};

/// The simulator's checkers. They are library code, but `simulation.rs` alone runs them, and shows that they can fail.
const CHECKERS: &str = "tests/src/check.rs";

pub(crate) fn complaints(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let defined = definitions(tree, &mut found);
    let prefixes: BTreeSet<&str> = defined.iter().filter_map(|id| id.split('-').next()).collect();
    let mut tested = vector_citations(tree);
    for file in tree.rust() {
        for (id, strict) in citations(&file.text) {
            if !defined.contains(&id) && (strict || prefixes.contains(id.split('-').next().unwrap_or_default())) {
                found.push(format!("{} cites {id}, which the specification does not have", file.path));
            }
        }
        let tests = if file.path == CHECKERS { &file.text } else { file.tests() };
        tested.extend(citations(tests).into_iter().map(|(id, _)| id));
    }
    for id in tested.iter().filter(|id| !defined.contains(*id)) {
        if !found.iter().any(|complaint| complaint.contains(&format!("cites {id},"))) {
            found.push(format!("a vector cites {id}, which the specification does not have"));
        }
    }
    let excepted = exceptions(tree, &mut found);
    for id in &defined {
        match (tested.contains(id), excepted.get(id)) {
            (false, None) => found.push(format!("{id} is cited by no test and no vector, and is no exception")),
            (true, Some(_)) => found.push(format!("{id} is tested: take it out of spec/exceptions.toml")),
            (true, None) | (false, Some(_)) => {}
        }
    }
    for id in excepted.keys().filter(|id| !defined.contains(*id)) {
        found.push(format!("spec/exceptions.toml names {id}, which the specification does not have"));
    }
    found
}

/// Every id that the chapters define, each at the head of a paragraph.
fn definitions(tree: &Tree, found: &mut Vec<String>) -> BTreeSet<String> {
    let mut defined = BTreeSet::new();
    for chapter in tree.files.iter().filter(|file| file.path.starts_with("spec/") && has_ending(&file.path, "md")) {
        for paragraph in chapter.text.split("\n\n") {
            let Some(id) = paragraph
                .trim_start()
                .strip_prefix("**")
                .and_then(|rest| rest.split("**").next())
                .filter(|id| is_id(id))
            else {
                continue;
            };
            if !defined.insert(id.to_owned()) {
                found.push(format!("{}: {id} is defined twice", chapter.path));
            }
            let musts = paragraph.matches("MUST").count();
            if musts != 1 {
                found.push(format!("{}: {id} has {musts} MUST, not one", chapter.path));
            }
        }
    }
    defined
}

fn is_id(text: &str) -> bool {
    let (prefix, number) = text.split_once('-').unwrap_or_default();
    let upper = prefix.len() >= 2 && prefix.bytes().all(|byte| byte.is_ascii_uppercase());
    upper && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Ids in comments. Strict: the comment begins with the id or says `spec` before it, so it can be nothing else.
fn citations(text: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start) {
        let Some(comment) = line.strip_prefix("//") else { continue };
        let mut before = if comment.starts_with(['/', '!']) { "doc" } else { "" };
        for word in comment.split_whitespace() {
            let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            if is_id(word) {
                found.push((word.to_owned(), matches!(before, "" | "spec" | "Spec")));
            }
            before = if before.is_empty() && is_id(word) { "" } else { word };
            if before.is_empty() && !is_id(word) {
                before = "-";
            }
        }
    }
    found
}

/// The requirements of all vectors; `conformance.rs` replays every vector.
fn vector_citations(tree: &Tree) -> BTreeSet<String> {
    let vectors = tree.files.iter().filter(|file| file.path.starts_with("spec/vectors/"));
    let parsed = vectors.map(|file| serde_json::from_str::<Vec<serde_json::Value>>(&file.text).unwrap());
    parsed.flatten().filter_map(|vector| vector["requirement"].as_str().map(str::to_owned)).collect()
}

/// Excepted ids, each with the reason of its entry; an entry may name several.
fn exceptions(tree: &Tree, found: &mut Vec<String>) -> BTreeMap<String, String> {
    let text = tree.text("spec/exceptions.toml").unwrap_or_default();
    let table: toml::Table = text.parse().unwrap();
    let entries = table.get("exception").and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut excepted = BTreeMap::new();
    for entry in entries {
        let reason = entry.get("reason").and_then(toml::Value::as_str).unwrap_or_default();
        let ids = entry.get("ids").and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
        for id in ids.iter().filter_map(toml::Value::as_str) {
            if reason.is_empty() {
                found.push(format!("the exception of {id} has no reason"));
            }
            excepted.insert(id.to_owned(), reason.to_owned());
        }
    }
    excepted
}
