//! Files, unwraps, secrets, machine paths, the top level, paths in documents.

use std::collections::BTreeSet;

use crate::source::{Source, Tree, has_ending};

/// The longest file, in lines before its tests.
const FILE_LINES_MAX: usize = 600;

/// Types whose values are secret: no text form, no encoding.
pub(crate) const SECRETS: &[&str] = &[
    "KeyPair",
    "SealingSecret",
    "Secret32",
    "DataKey",
    "NodeKeys",
    "TokenMaker",
    "TlsIdentity",
    "LogSigner",
    "Password",
    "Login",
    "BearerToken",
    "LinkKey",
    "TlsKeys",
];

/// What stands at the top, by the owner's layout and by custom.
const TOP_LEVEL: [&str; 22] = [
    "protocol",
    "node",
    "sdk",
    "spec",
    "testnet",
    "tests",
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE",
    "deny.toml",
    "clippy.toml",
    "rustfmt.toml",
    "rust-toolchain.toml",
    ".ci",
    ".gitignore",
    "test",
    "long",
    "bench",
];

pub(crate) fn file_complaints(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let first = file.text.lines().next().unwrap_or_default();
        if first.strip_prefix("//! ").is_none_or(|purpose| purpose.trim().is_empty()) {
            found.push(format!("{} does not open with what it is for", file.path));
        }
        let lines = file.before_tests().lines().count();
        if lines > FILE_LINES_MAX {
            found.push(format!("{} has {lines} lines before its tests, more than {FILE_LINES_MAX}", file.path));
        }
    }
    found
}

/// The harness of the tests with real nodes: library code that tests alone call.
const HARNESS: &str = "tests/src/real/";

pub(crate) fn unwrap_complaints(files: &[Source]) -> Vec<String> {
    let unwraps = files.iter().filter(|file| !file.path.starts_with(HARNESS) && file.code().contains(".unwrap()"));
    unwraps.map(|file| format!("{} unwraps outside its tests", file.path)).collect()
}

/// Secret types that derive or implement a telling `Debug`, `Display` or `Serialize`, or that are not there any more.
pub(crate) fn secret_complaints(files: &[Source], secrets: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let codes: Vec<(&Source, String)> = files.iter().map(|file| (file, file.code())).collect();
    for secret in secrets {
        let mut declared = false;
        for (file, code) in &codes {
            for attributes in attributes_of(code, secret) {
                declared = true;
                if ["Debug", "Serialize", "Display"].iter().any(|name| derives(attributes, name)) {
                    found.push(format!("{}: {secret} derives a text form or encoding", file.path));
                }
            }
            if ["Debug", "Display", "Serialize"].iter().any(|name| shows_itself(code, name, secret)) {
                found.push(format!("{}: {secret} implements a text form or encoding", file.path));
            }
        }
        if !declared {
            found.push(format!("the secret type {secret} is nowhere: take it off the list"));
        }
    }
    found
}

/// Whether the type implements this trait and its code looks at the value: a constant name as `Debug` is no leak.
fn shows_itself(code: &str, name: &str, secret: &str) -> bool {
    let head = format!("{name} for {secret} {{");
    let body = code.split(&head).nth(1).map(|rest| rest.split("\n}").next().unwrap_or(rest));
    body.is_some_and(|body| name != "Debug" || body.contains("self."))
}

/// What stands between the item before and each declaration of this struct.
fn attributes_of<'a>(code: &'a str, name: &str) -> Vec<&'a str> {
    let declaration = format!("struct {name}");
    let whole =
        |at: &usize| !code[at + declaration.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let starts = code.match_indices(&declaration).map(|(at, _)| at).filter(whole);
    starts.map(|at| &code[code[..at].rfind([';', '}']).map_or(0, |end| end + 1)..at]).collect()
}

fn derives(attributes: &str, name: &str) -> bool {
    let derived = attributes.split("derive(").skip(1).filter_map(|rest| rest.split(')').next());
    derived.flat_map(|list| list.split(',')).any(|item| item.trim().rsplit("::").next() == Some(name))
}

/// Absolute paths below folders that only one machine or person has.
pub(crate) fn machine_complaints(files: &[Source]) -> Vec<String> {
    let places = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("/wo", "rk/"),
        concat!("C:\\Us", "ers\\"),
    ];
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path != "Cargo.lock") {
        for place in places {
            let stands_alone = |(at, _): (usize, &str)| {
                let before = file.text[..at].chars().next_back();
                before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | '/')))
            };
            if file.text.match_indices(place).any(stands_alone) {
                found.push(format!("{} names {place}, a place of one machine", file.path));
            }
        }
    }
    found
}

pub(crate) fn top_level_complaints(names: &BTreeSet<String>) -> Vec<String> {
    let stray = names.iter().filter(|name| !TOP_LEVEL.contains(&name.as_str()));
    let mut found: Vec<String> = stray.map(|name| format!("{name} does not belong at the top level")).collect();
    if !names.contains("LICENSE") {
        found.push("there is no LICENSE".to_owned());
    }
    found
}

/// Paths in backticks that are nowhere. A text counts as a path when its first part is at the top level, or when it ends
/// as a source file does.
pub(crate) fn path_complaints(text: &str, tree: &Tree) -> Vec<String> {
    let top = tree.top_level();
    let quoted = text.split('`').skip(1).step_by(2);
    let looks_like_path = |candidate: &&str| {
        let plain = candidate.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
        let source = ["rs", "md", "toml", "py"].iter().any(|ending| has_ending(candidate, ending));
        let inside = candidate.split_once('/').is_some_and(|(first, _)| top.contains(first));
        plain && !candidate.starts_with('.') && (source || inside)
    };
    let gone = quoted.filter(looks_like_path).filter(|path| !tree.has(path));
    gone.map(|path| format!("ARCHITECTURE.md names {path}, which is nowhere")).collect()
}
