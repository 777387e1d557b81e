//! The report as one page: no script, nothing from elsewhere, readable in the dark.

use std::collections::BTreeMap;

use super::check::Severity;
use super::judge::{Finding, Outcome, Report, RunOutcome};
use super::measured::Unfit;
use super::plot::{bars, share_bar};
use super::profile::{Histogram, TableProfile};
use crate::bins::label;
use crate::fraction::share;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#667;--line:#d5d9e0;--bar:#3b6fb5;--bad:#b3261e;--good:#1f7a3d}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--dim:#9aa;--line:#3a4048;--bar:#7aa7e0;--bad:#ff8a80;--good:#7fd79a}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}th,td{text-align:left;padding:.2rem .6rem .2rem 0;
border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.fail,.error{color:var(--bad);font-weight:600}.pass{color:var(--good)}.dim{color:var(--dim)}
.plot{width:100%;height:auto;max-height:9rem}.plot rect{fill:var(--bar)}.plot text{fill:var(--dim);font-size:11px}
.share{display:inline-block;width:8rem;height:.7rem;background:var(--line)}.share span{display:block;height:100%;
background:var(--bar)}summary{cursor:pointer;padding:.3rem 0}";

/// The page.
pub(crate) fn page(report: &Report, title: &str) -> String {
    let title = escaped(title);
    let vocabulary = report.vocabulary.as_deref().map_or_else(|| "none loaded".to_owned(), escaped);
    let tables: String = report.tables.iter().map(table).collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
         </head><body><h1>{title}</h1>{}<p class=\"dim\">report {}<br>schema {}<br>vocabulary: {vocabulary}{}</p>\
         {}{}<h2>Tables</h2>{tables}</body></html>\n",
        verdict(report),
        report.digest(),
        report.schema,
        stated(report),
        failures(report),
        all_checks(report),
    )
}

/// What the mapping states of its tables.
fn stated(report: &Report) -> String {
    let left_out: Vec<&str> = report.left_out.iter().map(cohortium_protocol::ident::Name::as_str).collect();
    let per_cent = |(check, borne): (_, &u16)| format!("{check} {} %", f64::from(*borne) / 10.0);
    let borne: Vec<String> = report.stated.iter().map(per_cent).collect();
    let line = |what: &str, words: String| match words.as_str() {
        "" => String::new(),
        words => format!("<br>{what}: {}", escaped(words)),
    };
    line("left out by the mapping", left_out.join(", ")) + &line("borne by the mapping", borne.join(", "))
}

fn verdict(report: &Report) -> String {
    let (class, words) = match report.outcome {
        RunOutcome::Pass => ("pass", "Pass"),
        RunOutcome::PassWithFailures => ("fail", "Pass, with failures"),
        RunOutcome::Fail => ("fail", "Fail"),
    };
    let of = |outcome| report.checks.iter().filter(|check| check.outcome == outcome).count();
    let [pass, fail, na, error] = [Outcome::Pass, Outcome::Fail, Outcome::NotApplicable, Outcome::Error].map(of);
    format!(
        "<p><strong class=\"{class}\">{words}.</strong> Of {} checks {pass} passed, {fail} failed, {na} did not apply \
         and {error} could not be made.</p>",
        report.checks.len()
    )
}

fn failures(report: &Report) -> String {
    let bad = |check: &&Finding| matches!(check.outcome, Outcome::Fail | Outcome::Error);
    let mut found: Vec<&Finding> = report.checks.iter().filter(bad).collect();
    found.sort_by_key(|check| check.severity);
    if found.is_empty() {
        return String::new();
    }
    format!("<h2>What failed</h2>{}", rows_of(&found))
}

fn all_checks(report: &Report) -> String {
    let mut by_name: BTreeMap<(Severity, &str), Vec<&Finding>> = BTreeMap::new();
    for check in &report.checks {
        by_name.entry((check.severity, &check.name)).or_default().push(check);
    }
    let sections = by_name.iter().map(|((severity, name), checks)| {
        let failed = checks.iter().filter(|check| check.outcome == Outcome::Fail).count();
        let (count, severity) = (checks.len(), severity_text(*severity));
        let rows = rows_of(checks);
        format!("<details><summary>{name} ({severity}): {count} checks, {failed} failed</summary>{rows}</details>")
    });
    format!("<h2>All checks</h2>{}", sections.collect::<String>())
}

fn rows_of(checks: &[&Finding]) -> String {
    let row = |check: &&Finding| {
        let place =
            check.field.as_ref().map_or_else(|| check.table.clone(), |field| format!("{}.{field}", check.table));
        let (class, outcome) = match check.outcome {
            Outcome::Pass => ("pass", "pass"),
            Outcome::Fail => ("fail", "fail"),
            Outcome::NotApplicable => ("dim", "not applicable"),
            Outcome::Error => ("error", "not made"),
        };
        let why = check.reason.map_or_else(String::new, |reason| format!(": {}", reason_text(reason)));
        format!(
            "<tr><td>{place}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}&nbsp;%</td><td class=\"{class}\">{outcome}{why}</td></tr>",
            check.name,
            severity_text(check.severity),
            check.violated,
            check.applicable,
            check.threshold
        )
    };
    let rows: String = checks.iter().map(row).collect();
    format!(
        "<table><tr><th>where</th><th>check</th><th>severity</th><th class=\"n\">violated</th><th class=\"n\">of</th>\
         <th class=\"n\">allowed</th><th>outcome</th></tr>{rows}</table>"
    )
}

fn table(table: &TableProfile) -> String {
    let missing = table.missing.iter().map(|(field, missing)| {
        format!(
            "<tr><td>{field}</td><td>{}</td><td class=\"n\">{missing}</td></tr>",
            share_bar(share(*missing, table.rows))
        )
    });
    let missing: String = missing.collect();
    let months = match &table.day {
        Some(day) if !table.months.is_empty() => {
            let months: Vec<(String, u64)> = with_gaps(&table.months);
            format!("<h4>Rows by month of {day}</h4>{}", bars("rows by month", &months))
        }
        _ => String::new(),
    };
    let histograms: String = table.histograms.iter().map(histogram).collect();
    format!(
        "<h3>{}: {} rows</h3>{months}{histograms}<details><summary>Missing values</summary><table><tr><th>field</th>\
         <th>share</th><th class=\"n\">rows</th></tr>{missing}</table></details>",
        table.table, table.rows
    )
}

fn histogram(histogram: &Histogram) -> String {
    let (Some(first), Some(last)) = (histogram.bins.keys().next(), histogram.bins.keys().next_back()) else {
        return String::new();
    };
    let rows = |bin| histogram.bins.get(&bin).copied().unwrap_or(0);
    let all: Vec<(String, u64)> = (*first..=*last).map(|bin| (label(bin), rows(bin))).collect();
    let what = format!("{} of concept {}, unit {}", histogram.field, histogram.concept, histogram.unit);
    format!("<h4>{what}</h4>{}", bars(&what, &all))
}

/// Months from the first to the last, those without rows too.
fn with_gaps(months: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let number = |name: &String| {
        let (year, month) = name.split_once('-')?;
        Some(year.parse::<u32>().ok()? * 12 + month.parse::<u32>().ok()? - 1)
    };
    let ends = months.keys().next().and_then(number).zip(months.keys().next_back().and_then(number));
    let named =
        ends.map(|(first, last)| (first..=last).map(|month| format!("{:04}-{:02}", month / 12, month % 12 + 1)));
    named.into_iter().flatten().map(|name| (name.clone(), months.get(&name).copied().unwrap_or(0))).collect()
}

fn severity_text(severity: Severity) -> &'static str {
    match severity {
        Severity::Fatal => "fatal",
        Severity::Convention => "convention",
        Severity::Characterization => "characterization",
    }
}

fn reason_text(reason: Unfit) -> &'static str {
    match reason {
        Unfit::NoVocabulary => "no vocabulary is loaded",
        Unfit::TableAbsent => "the table is not there",
        Unfit::LeftOut => "the mapping leaves the table out",
        Unfit::FieldAbsent => "the field is not there",
        Unfit::NoRows => "no rows",
        Unfit::NoValues => "no values",
        Unfit::WrongType => "the values are of another type",
        Unfit::TooMany => "more different values than are remembered",
    }
}

/// A text that a page shows as it is.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
