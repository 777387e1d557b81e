//! `cohortium release request --dry-run`: what a private answer would cost and how wide its noise would be. It gives no order and reads
//! the charter, the ledger and the request alone; cost and noise are computed by what would make the answer.

use std::path::Path;

use cohortium_private::account::Cost;
use cohortium_protocol::quantity::{Delta, Millionths, Rho};
use cohortium_protocol::record::charter::AccountTerms;
use cohortium_protocol::record::release::AggregateDone;
use cohortium_protocol::record::request::Asked;
use cohortium_protocol::record::reservation::Charge;
use cohortium_protocol::rule::budget::Spending;
use serde_json::{Value, json};

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::mapped::common_schema;
use crate::cli::print::{Shown, Table, word};
use crate::cli::request_file;
use crate::worker::release::{AccountShown, outlined};

/// Two to the power of the bits behind a rho's point, and a delta's.
#[expect(clippy::cast_precision_loss, reason = "a power of two")]
const RHO_UNIT: f64 = (1_u128 << 80) as f64;
#[expect(clippy::cast_precision_loss, reason = "a power of two")]
const DELTA_UNIT: f64 = (1_u128 << 100) as f64;

pub(crate) fn run(cx: &Cx, file: &Path) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let request = request_file::read(&view, file)?;
    let Asked::Aggregate(asked) = &request.asked else {
        return Err(CliFault::usage(
            "only private answers have a cost that is known beforehand: --dry-run takes [aggregate]",
        ));
    };
    let charter = view.charter.as_ref().ok_or_else(|| CliFault::not_found("no charter binds this node yet"))?;
    let project = view.projects.iter().find(|each| each.approved && each.project.name == request.project);
    let project =
        project.ok_or_else(|| CliFault::not_found(format!("there is no approved project {}", request.project)))?;
    let account = &project.project.account;
    let terms = charter.accounts.get(account);
    let terms = terms.ok_or_else(|| CliFault::not_found(format!("the charter has no account {account}")))?;
    let shown = AccountShown { tokens: terms.tokens_per_person_max, at: terms.delta_shown() };
    let schema = common_schema(cx, &view)?;
    let done = outlined(&request, asked, &schema, shown)
        .map_err(|fault| CliFault::usage(fault.detail.unwrap_or_else(|| format!("{:?}", fault.fault))))?;
    let charge = |of: &dyn Fn(&crate::control::DebitView) -> bool| {
        view.ledger.iter().filter(|debit| of(debit)).map(|debit| debit.charge).fold(Spending::default(), Spending::with)
    };
    let budget = &project.project.budget;
    let left = [
        ("account", left(terms.rho, terms.delta, charge(&|debit| debit.account == *account))),
        ("project", left(budget.rho, budget.delta, charge(&|debit| debit.project.as_ref() == Some(&request.project)))),
    ];
    Ok(told(&done, terms, &left))
}

fn left(rho: Rho, delta: Delta, spent: Spending) -> Spending {
    Spending { rho: Rho(rho.0.saturating_sub(spent.rho.0)), delta: Delta(delta.0.saturating_sub(spent.delta.0)) }
}

/// A figure in its unit; infinite where nothing bounds it.
#[expect(clippy::cast_precision_loss, reason = "for people")]
fn figure(millionths: Millionths) -> f64 {
    if millionths.0 == u64::MAX { f64::INFINITY } else { millionths.0 as f64 / 1e6 }
}

/// A part of what is left; infinite where there is nothing.
#[expect(clippy::cast_precision_loss, reason = "for people")]
fn share(of: u128, left: u128) -> f64 {
    if of == 0 { 0.0 } else { of as f64 / left as f64 }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn told(done: &AggregateDone, terms: &AccountTerms, left: &[(&str, Spending)]) -> Shown {
    let (rho, delta, at) =
        (done.rho.0 as f64 / RHO_UNIT, done.delta.0 as f64 / DELTA_UNIT, done.at.0 as f64 / DELTA_UNIT);
    let (token, person) = (figure(done.epsilon), figure(done.epsilon_person));
    let epsilon =
        |epsilon: f64| if epsilon.is_finite() { format!("{epsilon:.4}") } else { "bounded by nothing".to_owned() };
    let mut facts = Table::new(["Would cost", &format!("rho {rho:.6}, delta {delta:.1e}")]);
    facts.row(["epsilon of a token".to_owned(), format!("{} at delta {at:.1e}", epsilon(token))]);
    facts.row([format!("of a person at {} members", terms.tokens_per_person_max.0), epsilon(person)]);
    let mut shares = serde_json::Map::new();
    for (what, left) in left {
        let (of_rho, of_delta) = (share(done.rho.0, left.rho.0), share(done.delta.0, left.delta.0));
        let charge = Charge::Private { rho: done.rho, delta: done.delta };
        let fits = Spending::default().with(charge).rho <= left.rho && done.delta <= left.delta;
        let text = match (of_rho.is_finite() && of_delta.is_finite(), fits) {
            (true, true) => format!("{:.2} % of rho, {:.2} % of delta", 100.0 * of_rho, 100.0 * of_delta),
            (true, false) => {
                format!("more than is left: {:.2} % of rho, {:.2} % of delta", 100.0 * of_rho, 100.0 * of_delta)
            }
            (false, _) => "more than is left: nothing".to_owned(),
        };
        facts.row([format!("of what the {what} has left"), text]);
        let epsilon = Cost { rho: left.rho, delta: left.delta }.epsilon(done.at);
        shares.insert(
            (*what).to_owned(),
            json!({"rho": of_rho, "delta": of_delta, "fits": fits, "left_epsilon": epsilon}),
        );
    }
    if let Some(threshold) = done.threshold {
        facts.row(["a key is shown from".to_owned(), format!("{threshold} patients on, with their noise")]);
    }
    let mut lines = Table::new(["NOISE ON", "KIND", "DEVIATION", "95 % WITHIN"]);
    for line in &done.noise {
        let [scale, half] = [line.scale, line.half_width].map(|of| format!("{:.3}", figure(of)));
        lines.row([line.what.to_string(), word(&line.noise), scale, format!("+/- {half}")]);
    }
    let noise: Vec<Value> = done
        .noise
        .iter()
        .map(|line| {
            json!({"what": line.what, "noise": line.noise, "deviation": figure(line.scale), "half_width": figure(line.half_width)})
        })
        .collect();
    let json = json!({
        "rho": rho, "delta": delta, "at": at, "epsilon": token, "epsilon_person": person,
        "members": terms.tokens_per_person_max, "share_of_left": shares, "threshold": done.threshold, "noise": noise,
    });
    let free = "Nothing was asked for, and nothing is spent.\n";
    Shown::new(json, format!("{}\n{}\n{free}", facts.to_text(), lines.to_text()))
}
