//! The repository's files as texts, and Rust code without comments, strings and tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A text file.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Its path from the repository's top, with `/`.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
    /// Whether another file includes it in its tests alone.
    pub(crate) test: bool,
}

/// All text files of the repository.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) files: Vec<Source>,
}

/// What builds and tools make.
const DERIVED: [&str; 5] = ["target", ".git", "out", "__pycache__", "regressions"];

impl Tree {
    pub(crate) fn read() -> Self {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        visit(&top, "", &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(files.len() > 50, "the repository is not where it is expected");
        let mut tree = Self { files };
        tree.mark_tests();
        tree
    }

    /// Finds the files that are declared as modules of tests: `#[cfg(test)] mod x;`, also with a path.
    pub(crate) fn mark_tests(&mut self) {
        let mut tests = BTreeSet::new();
        for file in &self.files {
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for declared in file.text.split("#[cfg(test)]\n").skip(1) {
                let mut lines = declared.lines().map(str::trim);
                let first = lines.next().unwrap_or_default();
                let path = first.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]"));
                let name = first
                    .trim_start_matches("pub(crate) ")
                    .strip_prefix("mod ")
                    .and_then(|rest| rest.strip_suffix(';'));
                tests.extend(path.map(|path| format!("{folder}/{path}")));
                tests.extend(name.map(|name| format!("{folder}/{name}.rs")));
            }
        }
        self.files.iter_mut().for_each(|file| file.test = tests.contains(&file.path));
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.clone())
    }

    pub(crate) fn registry(&self) -> toml::Table {
        self.text("spec/registry.toml").unwrap().parse().unwrap()
    }

    /// The files of this name.
    pub(crate) fn named(&self, name: &str) -> Vec<Source> {
        self.files.iter().filter(|file| file.path.rsplit('/').next() == Some(name)).cloned().collect()
    }

    pub(crate) fn rust(&self) -> Vec<Source> {
        self.rust_under("")
    }

    pub(crate) fn rust_under(&self, folder: &str) -> Vec<Source> {
        let inside = |file: &&Source| file.path.starts_with(folder) && has_ending(&file.path, "rs");
        self.files.iter().filter(inside).cloned().collect()
    }

    pub(crate) fn top_level(&self) -> BTreeSet<String> {
        self.files.iter().filter_map(|file| file.path.split('/').next()).map(str::to_owned).collect()
    }

    /// Whether a file or folder has this path, or a path that ends in these components.
    pub(crate) fn has(&self, path: &str) -> bool {
        let wanted = format!("/{}/", path.trim_matches('/'));
        self.files.iter().any(|file| format!("/{}/", file.path).contains(&wanted))
    }
}

pub(crate) fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == ending)
}

fn visit(folder: &Path, prefix: &str, files: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        // In a second working tree `.git` is a file.
        if DERIVED.contains(&name.as_str()) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            visit(&entry.path(), &path, files);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.push(Source { path, text, test: false });
        }
    }
}

impl Source {
    /// Whether the whole file is a test.
    pub(crate) fn is_test(&self) -> bool {
        let inside = |part: &str| matches!(part, "tests" | "benches" | "examples" | "fuzz" | "tests.rs");
        self.test || (!self.path.starts_with("tests/src/") && self.path.split('/').any(inside))
    }

    /// The lines before the file's tests.
    pub(crate) fn before_tests(&self) -> &str {
        if self.is_test() {
            return "";
        }
        let at = self.text.find("\n#[cfg(test)]\n").map_or(self.text.len(), |at| at + 1);
        if self.text.starts_with("#[cfg(test)]\n") { "" } else { &self.text[..at] }
    }

    /// The lines of the file's tests.
    pub(crate) fn tests(&self) -> &str {
        &self.text[self.before_tests().len()..]
    }

    /// The code before the tests, its comments and the content of its strings left out.
    pub(crate) fn code(&self) -> String {
        stripped(self.before_tests())
    }
}

/// Rust code without comments and without the content of strings.
fn stripped(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
        } else if character == '"' {
            string_end(rest)
        } else if let Some(literal) = character_literal(rest) {
            literal
        } else {
            code.push(character);
            rest = &rest[character.len_utf8()..];
            continue;
        };
        rest = &rest[skip..];
    }
    code
}

/// The number of `#` of a raw string that begins here.
fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

fn string_end(rest: &str) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match (escaped, character) {
            (false, '"') => return at + 1,
            (false, '\\') => escaped = true,
            _ => escaped = false,
        }
    }
    rest.len()
}

/// The length of a character literal that begins here; lifetimes are none.
fn character_literal(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    if inner.starts_with('\\') {
        return inner.char_indices().skip(2).find(|(_, c)| *c == '\'').map(|(at, _)| at + 2);
    }
    let first = inner.chars().next()?;
    inner[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}
