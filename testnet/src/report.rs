//! What happened, as a table for people and as `summary.json` for scripts.

use std::fmt::Write as _;

use serde::Serialize;

/// One member's line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberLine {
    /// Its name.
    pub name: String,
    /// Rows in its files, counted when they were written.
    pub rows_source: u64,
    /// Distinct source rows that the operator's worker found in landed data.
    pub rows_landed: u64,
    /// Rows that failed the common schema's mapping; there is none yet.
    pub rows_quarantined: u64,
    /// Bytes that left it, from its own journal.
    pub bytes_sent: u64,
}

/// A release that every member landed and verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleaseLine {
    /// Its folder.
    pub path: String,
    /// `microdata`, `aggregate`, `counts` or `synthetic`.
    pub kind: String,
}

/// What a demo leaves behind for scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// One a member.
    pub members: Vec<MemberLine>,
    /// Releases.
    pub releases: Vec<ReleaseLine>,
    /// Whether every check of this demo passed.
    pub verified: bool,
    /// Every check, with what it found.
    pub checks: Vec<Check>,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was claimed.
    pub claim: String,
    /// What was seen.
    pub seen: String,
    /// Whether it holds.
    pub holds: bool,
}

impl Summary {
    /// The summary of these lines and checks.
    pub fn new(members: Vec<MemberLine>, releases: Vec<ReleaseLine>, checks: Vec<Check>) -> Self {
        let verified = !checks.is_empty() && checks.iter().all(|check| check.holds);
        Self { members, releases, verified, checks }
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let widest = self.members.iter().map(|line| line.name.len()).max().unwrap_or(0).max(6);
        let mut line = |cells: [&str; 5]| {
            let [name, source, landed, quarantined, sent] = cells;
            writeln!(text, "  {name:<widest$}  {source:>11}  {landed:>11}  {quarantined:>11}  {sent:>12}")
                .expect("a String takes all");
        };
        line(["member", "source rows", "landed rows", "quarantined", "bytes sent"]);
        for member in &self.members {
            let figures = [member.rows_source, member.rows_landed, member.rows_quarantined, member.bytes_sent];
            let [source, landed, quarantined, sent] = figures.map(|figure| figure.to_string());
            line([&member.name, &source, &landed, &quarantined, &sent]);
        }
        let sum = |of: fn(&MemberLine) -> u64| self.members.iter().map(of).sum::<u64>().to_string();
        let sums = [sum(|m| m.rows_source), sum(|m| m.rows_landed), sum(|m| m.rows_quarantined), sum(|m| m.bytes_sent)];
        line(["all", &sums[0], &sums[1], &sums[2], &sums[3]]);
        text.push('\n');
        for release in &self.releases {
            writeln!(text, "  release  {} ({})", release.path, release.kind).expect("a String takes all");
        }
        for check in &self.checks {
            let mark = if check.holds { "holds" } else { "FAILS" };
            writeln!(text, "  {mark}  {}: {}", check.claim, check.seen).expect("a String takes all");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_verified_without_a_check_or_with_one_that_fails() {
        let check = |holds| Check { claim: "c".to_owned(), seen: "s".to_owned(), holds };
        assert!(!Summary::new(vec![], vec![], vec![]).verified);
        assert!(Summary::new(vec![], vec![], vec![check(true)]).verified);
        assert!(!Summary::new(vec![], vec![], vec![check(true), check(false)]).verified);
    }
}
