//! `cohortium budget`: what releases have cost each population, who spent it on what, what is left, and beside it every release that
//! epsilon does not cover; a member's objections and its cap.

use std::fmt::Write;

use clap::{Args, Subcommand};
use cohortium_private::account::Cost;
use cohortium_protocol::ident::{Name, ReleaseId, Text};
use cohortium_protocol::quantity::{ContributionBound, Delta, Rho};
use cohortium_protocol::record::charter::AccountTerms;
use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::project::BudgetShare;
use cohortium_protocol::record::reservation::Charge;
use cohortium_protocol::record::safeguards::Renewal;
use cohortium_protocol::rule::budget::Spending;
use serde_json::{Value, json};

use crate::cli::account_file;
use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::print::{Shown, Table, short, word};
use crate::control::{DebitView, View};

/// Without a verb: what was spent.
#[derive(Debug, Args)]
pub(crate) struct Budget {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Member: object to a release that is announced, within the charter's waiting time
    Object {
        /// The beginning of its id
        release: String,
        /// For the operator's people
        #[arg(long)]
        reason: Text,
    },
    /// Member: what releases may cost this node's patients, over all its consortia, before this consortium gets no more
    Cap(Cap),
}

#[derive(Debug, Args)]
struct Cap {
    /// Rho
    #[arg(long, required_unless_present = "none")]
    rho: Option<f64>,
    /// Delta
    #[arg(long, default_value_t = 0.0)]
    delta: f64,
    /// Take the cap away
    #[arg(long, conflicts_with = "rho")]
    none: bool,
}

pub(crate) fn run(cx: &Cx, budget: Budget) -> Result<Shown, CliFault> {
    match budget.verb {
        None => spent(cx),
        Some(Verb::Object { release, reason }) => object(cx, &release, reason),
        Some(Verb::Cap(wanted)) => cap(cx, &wanted),
    }
}

fn object(cx: &Cx, text: &str, reason: Text) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let asked = view.budget.announced.iter().map(|(announcement, _)| announcement.release);
    let found: Vec<ReleaseId> =
        asked.filter(|release| text.len() >= 4 && release.to_string().starts_with(text)).collect();
    let [release] = found.as_slice() else {
        return Err(CliFault::not_found(format!("{text} is not one announced release; `cohortium budget` lists them")));
    };
    cx.give(&view, Command::Object { release: *release, reason })?;
    Ok(Shown::new(json!({"release": release}), format!("This node objects to release {}\n", short(release))))
}

fn cap(cx: &Cx, wanted: &Cap) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let share = |rho| {
        Ok::<_, CliFault>(BudgetShare { rho: account_file::rho(rho)?, delta: account_file::delta(wanted.delta)? })
    };
    let cap = wanted.rho.map(share).transpose()?;
    cx.give(&view, Command::Cap { cap })?;
    let text = cap.map_or_else(|| "No cap holds\n".to_owned(), |cap| format!("The cap is {}\n", plain(cap)));
    Ok(Shown::new(json!({"cap": cap.map(amounts)}), text))
}

fn spent(cx: &Cx) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let charter = view.charter.as_ref().ok_or_else(|| CliFault::not_found("no charter binds this node yet"))?;
    let (mut text, mut accounts) = (String::new(), Vec::new());
    let said = charter.safeguards();
    for (name, terms) in &charter.accounts {
        let debits: Vec<&DebitView> = view.ledger.iter().filter(|debit| debit.account == *name).collect();
        let (shown, json) = account((name, terms, said.renewed.get(name)), &debits);
        text.push_str(&shown);
        accounts.push(json);
    }
    if accounts.is_empty() {
        text.push_str("The charter has no account: nothing can be released\n");
    }
    let (shown, own) = of_members(&view);
    text.push_str(&shown);
    let disagreements: Vec<Value> = view.ledger.iter().filter_map(disagreement).collect();
    let json = json!({
        "accounts": accounts, "own": own["own"], "own_everywhere": own["own_everywhere"], "cap": own["cap"],
        "announced": own["announced"], "agrees": disagreements.is_empty(), "disagreements": disagreements,
    });
    Ok(Shown::new(json, text))
}

fn disagreement(debit: &DebitView) -> Option<Value> {
    let why = debit.disagreement.as_ref()?;
    Some(json!({"release": debit.release, "entry": debit.entry, "why": why}))
}

/// What a member sees beside the accounts: what its own patients have paid, its cap, what it may still object to, and whether
/// the operator's word agrees with what was added up here.
fn of_members(view: &View) -> (String, Value) {
    let budget = &view.budget;
    let operates = view.charter.as_ref().is_some_and(|charter| *charter.operator().0 == view.party);
    let mut facts = Table::new(["This node's patients", view.party.as_str()]);
    facts.row(["releases of this consortium".to_owned(), plain(budget.own)]);
    facts.row(["releases of all its consortia".to_owned(), plain(budget.own_everywhere)]);
    facts.row(["cap".to_owned(), budget.cap.map_or_else(|| "none".to_owned(), plain)]);
    let mut text = if operates { String::new() } else { format!("{}\n", facts.to_text()) };
    let mut asked = Table::new(["ANNOUNCED", "RELEASE", "ACCOUNT", "WOULD COST", "UNTIL", "OBJECTED"]);
    for (announcement, objected) in &budget.announced {
        let would = match announcement.charge {
            Charge::Uncovered => "not covered by epsilon".to_owned(),
            Charge::Private { rho, delta } => plain(BudgetShare { rho, delta }),
        };
        let objected: Vec<&str> = objected.iter().map(Name::as_str).collect();
        let (at, until) = (announcement.at.to_string(), announcement.until.to_string());
        asked.row([
            at,
            announcement.release.to_string(),
            announcement.account.to_string(),
            would,
            until,
            objected.join(", "),
        ]);
    }
    if !budget.announced.is_empty() {
        let _ = writeln!(text, "{}", asked.to_text());
    }
    for debit in view.ledger.iter().filter(|debit| debit.disagreement.is_some()) {
        let why = debit.disagreement.as_deref().unwrap_or_default();
        let _ = writeln!(text, "The ledger DISAGREES at release {}: {why}", debit.release);
    }
    if !operates && !view.ledger.is_empty() && view.ledger.iter().all(|debit| debit.disagreement.is_none()) {
        text.push_str("The operator's ledger agrees with what was added up here\n");
    }
    let announced: Vec<Value> = budget
        .announced
        .iter()
        .map(|(told, objected)| json!({"release": told.release, "until": told.until, "charge": told.charge, "objected": objected}))
        .collect();
    let json = json!({
        "own": amounts(budget.own), "own_everywhere": amounts(budget.own_everywhere), "cap": budget.cap.map(amounts),
        "announced": announced,
    });
    (text, json)
}

fn plain(share: BudgetShare) -> String {
    format!("rho {:.6}, delta {:.1e}", number(share.rho), probability(share.delta))
}

fn amounts(share: BudgetShare) -> Value {
    json!({"rho": number(share.rho), "delta": probability(share.delta)})
}

/// What was spent since an account was enlarged last, by the charter versions that the debits name.
fn period(renewal: Option<&Renewal>, debits: &[&DebitView]) -> Spending {
    let since = renewal.map_or(0, |renewal| renewal.version);
    let within = debits.iter().filter(|debit| debit.version.is_none_or(|version| version >= since));
    within.map(|debit| debit.charge).fold(Spending::default(), Spending::with)
}

fn account((name, terms, renewal): (&Name, &AccountTerms, Option<&Renewal>), debits: &[&DebitView]) -> (String, Value) {
    let at = terms.delta_shown();
    let spent = debits.iter().map(|debit| debit.charge).fold(Spending::default(), Spending::with);
    let left = Spending {
        rho: Rho(terms.rho.0.saturating_sub(spent.rho.0)),
        delta: Delta(terms.delta.0.saturating_sub(spent.delta.0)),
    };
    let mut table = Table::new(["Account", name.as_str()]);
    table.row(["population".to_owned(), terms.population.to_string()]);
    let limit = Spending { rho: terms.rho, delta: terms.delta };
    let in_period = period(renewal, debits);
    let since = renewal.map_or_else(
        || "spent in this period, the first".to_owned(),
        |renewal| format!("spent in this period, since version {} renewed each {}", renewal.version, renewal.unit),
    );
    for (what, sum) in [
        ("limit".to_owned(), limit),
        ("spent, lifetime".to_owned(), spent),
        (since, in_period),
        ("left".to_owned(), left),
    ] {
        table.row([what, shown(sum, at)]);
    }
    let person = terms.tokens_per_person_max;
    table.row([
        format!("spent, of a person at {} members", person.0),
        match of_person(spent, person, at) {
            bounded if bounded.is_finite() => format!("epsilon {bounded:.4}"),
            _ => "in the statements, one by one: delta was spent".to_owned(),
        },
    ]);
    let mut lines = Table::new(["AT", "RELEASE", "KIND", "PROJECT", "PERSON", "COST"]);
    for debit in debits {
        let cost = match debit.charge {
            Charge::Uncovered => "not covered by epsilon".to_owned(),
            Charge::Private { rho, delta } => shown(Spending { rho, delta }, at),
        };
        let kind = word(&debit.kind);
        lines.row([
            debit.at.clone(),
            debit.release.to_string(),
            kind,
            debit.project.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            debit.person.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            cost,
        ]);
    }
    let uncovered: Vec<_> =
        debits.iter().filter(|debit| debit.charge == Charge::Uncovered).map(|debit| debit.release).collect();
    let text = if debits.is_empty() {
        format!("{}\nNothing was spent\n\n", table.to_text())
    } else {
        format!("{}\n{}\n", table.to_text(), lines.to_text())
    };
    let sum =
        |sum: Spending| json!({"rho": number(sum.rho), "delta": probability(sum.delta), "epsilon": epsilon(sum, at)});
    let json = json!({
        "account": name,
        "population": terms.population,
        "delta": probability(at),
        "limit": sum(limit),
        "spent": sum(spent),
        "period": {"spent": sum(in_period), "since_version": renewal.map(|renewal| renewal.version), "unit": renewal.map(|renewal| &renewal.unit)},
        "left": sum(left),
        "person": {"members": person.0, "epsilon": of_person(spent, person, at)},
        "debits": debits.iter().map(|debit| debited(debit, at)).collect::<Vec<_>>(),
        "not_covered": uncovered,
    });
    (text, json)
}

/// A debit for scripts: what was debited as numbers that JSON holds.
fn debited(debit: &DebitView, at: Delta) -> Value {
    let charge = match debit.charge {
        Charge::Uncovered => Value::Null,
        Charge::Private { rho, delta } => {
            let sum = Spending { rho, delta };
            json!({"rho": number(rho), "delta": probability(delta), "epsilon": epsilon(sum, at)})
        }
    };
    json!({
        "entry": debit.entry, "at": debit.at, "release": debit.release, "kind": debit.kind, "project": debit.project,
        "person": debit.person, "charge": charge,
    })
}

fn cost(sum: Spending) -> Cost {
    Cost { rho: sum.rho, delta: sum.delta }
}

fn epsilon(sum: Spending, at: Delta) -> f64 {
    cost(sum).epsilon(at)
}

/// Epsilon of a person whose rows are spread over so many tokens. Where delta was spent only each release's own statement bounds it
/// for several tokens: then it is infinite here.
fn of_person(sum: Spending, tokens: ContributionBound, at: Delta) -> f64 {
    if tokens.0 > 1 && sum.delta > Delta(0) {
        return f64::INFINITY;
    }
    let rho = cohortium_private::account::rho_of_person(sum.rho, tokens);
    rho.map_or(f64::INFINITY, |rho| epsilon(Spending { rho, ..sum }, at))
}

fn shown(sum: Spending, at: Delta) -> String {
    format!(
        "rho {:.6}, delta {:.1e}; epsilon {:.4} at delta {:.1e}",
        number(sum.rho),
        probability(sum.delta),
        epsilon(sum, at),
        probability(at)
    )
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn number(rho: Rho) -> f64 {
    rho.0 as f64 / 2_f64.powi(80)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn probability(delta: Delta) -> f64 {
    delta.0 as f64 / 2_f64.powi(100)
}

/// The world of the tests has no account; what an account comes to is tested here.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_the_limit_less_every_debit_and_a_person_at_two_members_has_more_epsilon() {
        let terms = AccountTerms {
            population: "patients".parse().unwrap(),
            rho: Rho(1 << 80),
            delta: Delta(0),
            tokens_per_person_max: ContributionBound(2),
            patients_max: 10_000,
        };
        let debit = |release: u8, charge| DebitView {
            entry: 1,
            at: "2026-01-01".to_owned(),
            release: cohortium_protocol::ident::ReleaseId([release; 16]),
            person: Some("rita".parse().unwrap()),
            project: Some("stays".parse().unwrap()),
            version: Some(u32::from(release)),
            members: std::collections::BTreeSet::new(),
            disagreement: None,
            account: "patients".parse().unwrap(),
            kind: cohortium_protocol::record::project::ReleaseKind::Aggregate,
            charge,
        };
        let debits = [debit(1, Charge::Private { rho: Rho(1 << 78), delta: Delta(0) }), debit(2, Charge::Uncovered)];
        let name: Name = "patients".parse().unwrap();
        let (text, json) = account((&name, &terms, None), &debits.iter().collect::<Vec<_>>());
        assert_eq!((json["spent"]["rho"].as_f64(), json["left"]["rho"].as_f64()), (Some(0.25), Some(0.75)));
        assert_eq!(json["period"]["spent"]["rho"].as_f64(), Some(0.25));
        let renewal = Renewal { version: 2, unit: "patient-year".parse().unwrap() };
        let (shown, renewed) = account((&name, &terms, Some(&renewal)), &debits.iter().collect::<Vec<_>>());
        assert_eq!(renewed["period"]["spent"]["rho"].as_f64(), Some(0.0), "the first debit was under version 1");
        assert_eq!(renewed["spent"]["rho"].as_f64(), Some(0.25), "a lifetime has no periods");
        assert!(shown.contains("spent, lifetime") && shown.contains("since version 2 renewed each patient-year"));
        assert!(json["person"]["epsilon"].as_f64() > json["spent"]["epsilon"].as_f64());
        let threshold = debit(3, Charge::Private { rho: Rho(1), delta: Delta(1) });
        let (text_too, json_too) = account((&name, &terms, None), &[&threshold]);
        assert!(json_too["person"]["epsilon"].is_null() && text_too.contains("one by one"), "{text_too}");
        assert_eq!(json["not_covered"].as_array().map(Vec::len), Some(1));
        assert!(text.contains("not covered by epsilon"));
    }
}
