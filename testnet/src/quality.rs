//! The demo's look at quality: what `check` said at each member before anything left, what the operator finds in what has
//! landed, and how sites differ.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::cluster::{ClusterFault, Node, Said, wait};

/// The exit code of what the rules do not allow.
const REFUSED: i32 = 3;
/// The exit code of a check that found something.
const VERIFY_FAILED: i32 = 5;
/// Sites that a comparison needs (law 8 of the design).
pub(crate) const SITES_COMPARED_MIN: usize = 5;
/// Digits of a digest that are shown.
const DIGITS_SHOWN: usize = 16;
/// Departures that are shown of one site; the others are counted.
const SHOWN_MAX: usize = 3;

/// What the quality gates said of one member's tables.
pub(crate) struct Verdict {
    /// `pass`, `pass-with-failures` or `fail`.
    pub(crate) outcome: String,
    /// The report's digest.
    pub(crate) digest: String,
    /// How many checks passed.
    passed: usize,
    /// The checks that failed.
    failed: Vec<String>,
}

impl Verdict {
    /// Of a report's checks, its outcome and its digest.
    fn read(told: &Value, checks: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = |outcomes: &'static [&str]| {
            let all = checks.as_array().into_iter().flatten();
            all.filter(move |check| check["outcome"].as_str().is_some_and(|outcome| outcomes.contains(&outcome)))
        };
        Self {
            outcome: text(&told["outcome"]),
            digest: text(&told["digest"]),
            passed: of(&["pass"]).count(),
            failed: of(&["fail", "error"]).map(|check| text(&check["id"])).collect(),
        }
    }

    /// Whether both are one report: the same outcome by the same digest, and there is one.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        !self.digest.is_empty() && self.digest == other.digest && self.outcome == other.outcome
    }

    /// For people: what the member sees, and what the operator saw.
    pub(crate) fn line(&self, member: &str, at_operator: &Self) -> String {
        let short = |verdict: &Self| verdict.digest.chars().take(DIGITS_SHOWN).collect::<String>();
        let (outcome, passed, failed) = (&self.outcome, self.passed, self.failed.len());
        let (here, there) = (short(self), short(at_operator));
        let equal = if self.equals(at_operator) { "equal" } else { "NOT equal" };
        format!(
            "    {member:<12} {outcome:<18} {passed:>4} passed, {failed:>2} failed; member {here}, operator {there}: {equal}"
        )
    }
}

/// Which checks failed at how many members, the most frequent first.
pub(crate) fn failures(verdicts: &[&Verdict]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for check in verdicts.iter().flat_map(|verdict| &verdict.failed) {
        *counts.entry(check).or_default() += 1;
    }
    let mut counted: Vec<(&str, usize)> = counts.into_iter().collect();
    counted.sort_by_key(|(_, count)| Reverse(*count));
    let members = verdicts.len();
    counted.into_iter().map(|(check, count)| format!("    failed at {count:>2} of {members}: {check}")).collect()
}

/// The report of a member's mapped tables as they would leave. Nothing is sent for it.
pub(crate) fn at_member(node: &Node, mapping: &str) -> Result<Verdict, ClusterFault> {
    let told = told(node, &["check", mapping])?;
    Ok(Verdict::read(&told, &told["report"]["checks"]))
}

/// The same report, made by the operator of what has landed of a member and is consolidated.
pub(crate) fn at_operator(operator: &Node, member: &str) -> Result<Verdict, ClusterFault> {
    let told = told(operator, &["consolidate", "quality", member])?;
    Ok(Verdict::read(&told, &told["checks"]))
}

/// What a command tells whose code says also whether gates failed.
fn told(node: &Node, args: &[&str]) -> Result<Value, ClusterFault> {
    let Said { code, json, error } = node.say(args)?;
    if code == 0 || (code == VERIFY_FAILED && json["digest"].is_string()) {
        return Ok(json);
    }
    Err(ClusterFault::Command { node: node.name.clone(), command: args.join(" "), message: error })
}

/// What a comparison of sites found, as the operator may see it.
pub(crate) struct Comparison {
    /// How many sites were compared.
    pub(crate) sites: usize,
    /// Each departure in words, with its site.
    found: Vec<(String, String)>,
}

impl Comparison {
    /// The sites that depart in something.
    pub(crate) fn departing(&self) -> Vec<&str> {
        let mut sites: Vec<&str> = self.found.iter().map(|(site, _)| site.as_str()).collect();
        sites.dedup();
        sites.sort_unstable();
        sites.dedup();
        sites
    }

    /// For people: who departs in what.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for site in self.departing() {
            let of: Vec<&str> =
                self.found.iter().filter(|(found, _)| found == site).map(|(_, words)| words.as_str()).collect();
            lines.extend(shown(&of).into_iter().map(|words| format!("    {site:<12} {words}")));
        }
        if lines.is_empty() {
            lines.push("    no site departs from the others".to_owned());
        }
        lines
    }
}

/// The first of many, and how many more there are.
fn shown(words: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = words.iter().take(SHOWN_MAX).map(|words| (*words).to_owned()).collect();
    match words.len().saturating_sub(SHOWN_MAX) {
        0 => {}
        more => lines.push(format!("and in {more} more")),
    }
    lines
}

/// Compares the sites of the tables in use; each that departs is sent a notice.
pub(crate) fn compare(operator: &Node) -> Result<Comparison, ClusterFault> {
    let told = operator.call(&["consolidate", "compare"])?;
    let comparison = &told["comparison"];
    let found = comparison["found"].as_array().into_iter().flatten();
    Ok(Comparison {
        sites: comparison["sites"].as_array().map_or(0, Vec::len),
        found: found
            .map(|each| (each["site"].as_str().unwrap_or_default().to_owned(), words_of(&each["departure"])))
            .collect(),
    })
}

/// Whether a comparison of these members is refused.
pub(crate) fn is_refused(operator: &Node) -> Result<bool, ClusterFault> {
    Ok(operator.exit_code(&["consolidate", "compare"])? == REFUSED)
}

/// A member's own notices, one line a departure.
pub(crate) fn notice(node: &Node) -> Result<Vec<String>, ClusterFault> {
    let notices = node.call(&["check", "--notices"])?;
    let departures =
        notices.as_array().into_iter().flatten().filter_map(|notice| notice["departures"].as_array()).flatten();
    let words: Vec<String> = departures.map(words_of).collect();
    Ok(shown(&words.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// Waits until a member has been told what departs there, and gives its lines.
pub(crate) fn await_notice(node: &Node) -> Result<Vec<String>, ClusterFault> {
    let mut lines = Vec::new();
    wait(&format!("the notice at {}", node.name), || {
        lines = notice(node)?;
        Ok(!lines.is_empty())
    })?;
    Ok(lines)
}

/// A departure for people. Shares that would tell a small count are left out where they come from.
fn words_of(departure: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let share = |value: &Value| value.as_u64().map_or_else(|| "few".to_owned(), |share| format!("{share} %"));
    let quantity = |of: &Value| format!("{}.{} of concept {}", text(&of["table"]), text(&of["field"]), of["concept"]);
    if let Some(missing) = departure.get("missing") {
        let (table, field) = (text(&missing["table"]), text(&missing["field"]));
        return format!(
            "{table}.{field} missing: {}, elsewhere {}",
            share(&missing["here"]),
            share(&missing["elsewhere"])
        );
    }
    if let Some(units) = departure.get("units") {
        let of: Vec<String> = units["units"].as_array().into_iter().flatten().map(ToString::to_string).collect();
        return format!("{}: {} in units {}", quantity(&units["of"]), share(&units["here"]), of.join(" "));
    }
    let distribution = &departure["distribution"];
    format!("{}: distribution at distance {} of 100", quantity(&distribution["of"]), distribution["distance"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn two_reports_are_equal_by_digest_and_outcome_and_none_equals_nothing() {
        let checks =
            json!([{"id": "a", "outcome": "pass"}, {"id": "b", "outcome": "fail"}, {"id": "c", "outcome": "error"}]);
        let of = |outcome: &str, digest: &str| Verdict::read(&json!({"outcome": outcome, "digest": digest}), &checks);
        let one = of("fail", "aa");
        assert_eq!((one.passed, one.failed.as_slice()), (1, &["b".to_owned(), "c".to_owned()][..]));
        assert!(one.equals(&of("fail", "aa")) && one.line("x", &one).ends_with(": equal"));
        assert!(!one.equals(&of("fail", "ab")) && !one.equals(&of("pass", "aa")));
        assert!(one.line("x", &of("fail", "ab")).ends_with(": NOT equal"));
        assert!(!of("", "").equals(&of("", "")));
        let other = Verdict::read(&json!({}), &json!([{"id": "c", "outcome": "fail"}]));
        assert_eq!(failures(&[&one, &other]), ["    failed at  2 of 2: c", "    failed at  1 of 2: b"]);
    }

    #[test]
    fn departures_are_told_by_site_and_long_lists_are_cut_and_counted() {
        let found = (0..5).map(|at| ("south".to_owned(), format!("words {at}")));
        let comparison = Comparison { sites: 5, found: found.chain([("east".to_owned(), "one".to_owned())]).collect() };
        assert_eq!(comparison.departing(), ["east", "south"]);
        let lines = comparison.lines();
        assert_eq!((lines.len(), lines.last().map(|line| line.ends_with("and in 2 more"))), (5, Some(true)));
        let distribution = json!({"distribution":
            {"of": {"table": "measurement", "field": "value_as_number", "concept": 7}, "unit": 1, "distance": 61}});
        assert_eq!(
            words_of(&distribution),
            "measurement.value_as_number of concept 7: distribution at distance 61 of 100"
        );
        let missing = json!({"missing": {"table": "person", "field": "day_of_birth", "here": 90, "elsewhere": null}});
        assert_eq!(words_of(&missing), "person.day_of_birth missing: 90 %, elsewhere few");
    }
}
