//! `cohortium budget`: what releases have cost each population, who spent it on what, what is left, and beside it every release that
//! epsilon does not cover.

use cohortium_private::account::Cost;
use cohortium_protocol::ident::Name;
use cohortium_protocol::quantity::{ContributionBound, Delta, Rho};
use cohortium_protocol::record::charter::AccountTerms;
use cohortium_protocol::record::reservation::Charge;
use cohortium_protocol::rule::budget::Spending;
use serde_json::{Value, json};

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::print::{Shown, Table, word};
use crate::control::DebitView;

pub(crate) fn run(cx: &Cx) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let charter = view.charter.as_ref().ok_or_else(|| CliFault::not_found("no charter binds this node yet"))?;
    let (mut text, mut accounts) = (String::new(), Vec::new());
    for (name, terms) in &charter.accounts {
        let debits: Vec<&DebitView> = view.ledger.iter().filter(|debit| debit.account == *name).collect();
        let (shown, json) = account(name, terms, &debits);
        text.push_str(&shown);
        accounts.push(json);
    }
    if accounts.is_empty() {
        text.push_str("The charter has no account: nothing can be released\n");
    }
    Ok(Shown::new(json!({ "accounts": accounts }), text))
}

fn account(name: &Name, terms: &AccountTerms, debits: &[&DebitView]) -> (String, Value) {
    let at = terms.delta_shown();
    let spent = debits.iter().map(|debit| debit.charge).fold(Spending::default(), Spending::with);
    let left = Spending {
        rho: Rho(terms.rho.0.saturating_sub(spent.rho.0)),
        delta: Delta(terms.delta.0.saturating_sub(spent.delta.0)),
    };
    let mut table = Table::new(["Account", name.as_str()]);
    table.row(["population".to_owned(), terms.population.to_string()]);
    let limit = Spending { rho: terms.rho, delta: terms.delta };
    for (what, sum) in [("limit", limit), ("spent, lifetime", spent), ("left", left)] {
        table.row([what.to_owned(), shown(sum, at)]);
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
            debit.project.to_string(),
            debit.person.to_string(),
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
            person: "rita".parse().unwrap(),
            project: "stays".parse().unwrap(),
            account: "patients".parse().unwrap(),
            kind: cohortium_protocol::record::project::ReleaseKind::Aggregate,
            charge,
        };
        let debits = [debit(1, Charge::Private { rho: Rho(1 << 78), delta: Delta(0) }), debit(2, Charge::Uncovered)];
        let (text, json) = account(&"patients".parse().unwrap(), &terms, &debits.iter().collect::<Vec<_>>());
        assert_eq!((json["spent"]["rho"].as_f64(), json["left"]["rho"].as_f64()), (Some(0.25), Some(0.75)));
        assert!(json["person"]["epsilon"].as_f64() > json["spent"]["epsilon"].as_f64());
        let threshold = debit(3, Charge::Private { rho: Rho(1), delta: Delta(1) });
        let (text_too, json_too) = account(&"patients".parse().unwrap(), &terms, &[&threshold]);
        assert!(json_too["person"]["epsilon"].is_null() && text_too.contains("one by one"), "{text_too}");
        assert_eq!(json["not_covered"].as_array().map(Vec::len), Some(1));
        assert!(text.contains("not covered by epsilon"));
    }
}
