//! Who may import whom: the table between packages, and the order of modules inside `protocol`.

use std::collections::BTreeMap;

use crate::source::Source;

/// Folder of each package, what it imports of this workspace, and the outside crates it may name. `*`: any.
const PACKAGES: [(&str, &[&str], &[&str]); 16] = [
    (
        "protocol",
        &[],
        &[
            "base64",
            "bincode",
            "blake3",
            "ed25519-dalek",
            "ring",
            "serde",
            "unicode-normalization",
            "x25519-dalek",
            "zeroize",
        ],
    ),
    (
        "node/transport",
        &["protocol"],
        &[
            "bytes",
            "futures",
            "quinn",
            "rustls",
            "socket2",
            "tokio",
            "tokio-rustls",
            "tokio-util",
            "tracing",
            "yamux",
            "zeroize",
        ],
    ),
    ("node/store", &["protocol"], &["argon2", "ring", "rustix", "serde", "sled", "tracing", "zeroize"]),
    (
        "node/engine",
        &["protocol", "schema"],
        &[
            "arrow",
            "bytes",
            "datafusion",
            "encoding_rs",
            "futures",
            "jiff",
            "lz4_flex",
            "memchr",
            "parquet",
            "ring",
            "rustix",
            "serde",
            "serde_json",
            "tokio",
            "toml",
            "tracing",
            "unicode-normalization",
            "zeroize",
        ],
    ),
    (
        "node/schema",
        &["protocol"],
        &["arrow", "csv", "hashbrown", "octofhir-ucum", "ring", "serde", "serde_json", "toml"],
    ),
    (
        "node/database",
        &["protocol"],
        &["arrow", "bytes", "fallible-iterator", "postgres-protocol", "ring", "rustix", "rustls", "zeroize"],
    ),
    ("node/object", &[], &["futures", "object_store", "zeroize"]),
    ("node/fhir", &[], &["arrow"]),
    ("node/anonymise", &["protocol"], &["arrow", "parquet", "rand_chacha"]),
    ("node/epsilon", &["protocol"], &[]),
    ("node/private", &["protocol", "epsilon"], &["opendp", "rand_chacha"]),
    (
        "node/serve",
        &["protocol"],
        &[
            "axum",
            "base64",
            "bytes",
            "form_urlencoded",
            "futures",
            "http-body-util",
            "httparse",
            "httpdate",
            "ring",
            "rustix",
            "rustls",
            "serde",
            "serde_json",
            "subtle",
            "tokio",
            "tokio-rustls",
            "tower-service",
            "tracing",
            "zeroize",
        ],
    ),
    (
        "node",
        &[
            "protocol",
            "transport",
            "store",
            "engine",
            "schema",
            "fhir",
            "database",
            "object",
            "anonymise",
            "private",
            "sdk",
        ],
        &[
            "base64",
            "bytes",
            "clap",
            "clap_complete",
            "command-fds",
            "futures",
            "indicatif",
            "jiff",
            "ring",
            "rustix",
            "serde",
            "serde_json",
            "tempfile",
            "tokio",
            "tokio-util",
            "toml",
            "tracing",
            "tracing-subscriber",
            "zeroize",
        ],
    ),
    ("sdk", &["protocol", "epsilon", "transport"], &["arrow", "parquet", "serde", "serde_json", "tokio"]),
    (
        "testnet",
        &["protocol", "node", "sdk"],
        &["clap", "rand_chacha", "serde", "serde_json", "tempfile", "tokio", "toml"],
    ),
    (
        "tests",
        &["protocol", "transport", "store", "engine", "schema", "fhir", "database", "object", "node", "sdk", "testnet"],
        &["*"],
    ),
];

/// Dependencies that a manifest has beside the table. What its tests need is not looked at.
pub(crate) fn complaints(manifests: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for manifest in manifests.iter().filter(|manifest| manifest.path != "Cargo.toml") {
        let folder = manifest.path.trim_end_matches("/Cargo.toml");
        let Some((_, ours, outside)) = PACKAGES.iter().find(|(package, _, _)| *package == folder) else {
            found.push(format!("{folder} is a package that the table of imports does not know"));
            continue;
        };
        let table: toml::Table = manifest.text.parse().unwrap();
        for name in ["dependencies", "build-dependencies"]
            .iter()
            .filter_map(|key| table.get(*key)?.as_table())
            .flat_map(toml::Table::keys)
        {
            let allowed = match name.strip_prefix("cohortium-") {
                Some(package) => ours.contains(&package),
                None => outside.contains(&name.as_str()) || outside.contains(&"*"),
            };
            if !allowed {
                found.push(format!("{folder} may not import {name}"));
            }
        }
    }
    found
}

/// Crates that one file of the workspace names alone.
const ONE_FILE: [(&str, &str); 2] =
    [("bincode::", "protocol/src/wire/codec.rs"), ("opendp::", "node/private/src/mechanism.rs")];

/// What `protocol` never names: files, sockets, threads, clocks, random sources, unordered maps, floats.
const NEVER_IN_PROTOCOL: [&str; 12] = [
    "std::fs",
    "std::net",
    "std::thread",
    "SystemTime",
    "Instant",
    "SystemRandom",
    "OsRng",
    "getrandom",
    "HashMap",
    "HashSet",
    "f32",
    "f64",
];

/// Crates named beside their one file, and names that the library without input and output may not use.
pub(crate) fn name_complaints(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let code = file.code();
        for (name, only) in ONE_FILE {
            if file.path != only && words(&code, name).next().is_some() {
                found.push(format!("{} names {name}, which only {only} may", file.path));
            }
        }
        if file.path.starts_with("protocol/src/") {
            let named = NEVER_IN_PROTOCOL.iter().filter(|name| words(&code, name).next().is_some());
            found.extend(named.map(|name| format!("{} names {name}, which protocol never does", file.path)));
        }
    }
    found
}

/// Where a name stands as a word of its own.
fn words<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code.match_indices(name).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back().is_some_and(part_of_word);
        let after = !name.ends_with(':') && code[*at + name.len()..].starts_with(part_of_word);
        !before && !after
    })
}

/// Names of later modules in earlier ones, by the order of the `mod` lines.
pub(crate) fn order_complaints(files: &[Source]) -> Vec<String> {
    let place: BTreeMap<String, Vec<String>> = files
        .iter()
        .filter(|file| file.path.ends_with("/lib.rs") || file.path.ends_with("/mod.rs"))
        .map(|file| (folder_of(&file.path).to_owned(), modules(&file.code())))
        .collect();
    let top = "protocol/src";
    let mut found = Vec::new();
    for file in files {
        let own: Vec<&str> = own_path(file, top);
        for named in paths(&file.code()) {
            for depth in 0..named.len().min(own.len()) {
                let folder = [&[top], &own[..depth]].concat().join("/");
                let order = place.get(&folder).map_or(&[][..], Vec::as_slice);
                let at = |name: &str| order.iter().position(|module| module == name);
                let (ours, theirs) = (at(own[depth]), at(&named[depth]));
                if let (Some(ours), Some(theirs)) = (ours, theirs)
                    && theirs > ours
                {
                    found.push(format!("{} names crate::{}, which stands below it", file.path, named.join("::")));
                }
                if own[depth] != named[depth] {
                    break;
                }
            }
        }
    }
    found
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The modules that a file declares, in order.
fn modules(code: &str) -> Vec<String> {
    let declared = code.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    declared.map(str::to_owned).collect()
}

/// A file's module path: nothing for `lib.rs`.
fn own_path<'a>(file: &'a Source, top: &str) -> Vec<&'a str> {
    let inside = file.path.trim_start_matches(top).trim_start_matches('/').trim_end_matches(".rs");
    inside.split('/').filter(|part| !matches!(*part, "lib" | "mod")).collect()
}

/// Every `crate::a::b` of the code, also out of `crate::{a::b, c}`.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.push(segments(rest)),
            Some(group) => found.extend(group_items(group).into_iter().map(segments)),
        }
    }
    found.retain(|path| !path.is_empty());
    found
}

fn segments(text: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    text.split("::")
        .map(str::trim_start)
        .map_while(|part| Some(word(part)).filter(|word| !word.is_empty()))
        .take(3)
        .collect()
}

/// The items of a group, up to its closing brace.
fn group_items(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(group[start..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}
