//! Differentially private answers: the question is compiled against the common schema alone, its rows are bounded, noise is drawn
//! from what was paid, and each cell gets its interval. From the first row on there is one error, and it is constant (law 7).

mod noise;
mod answer;

use std::collections::{BTreeMap, BTreeSet};

use cohortium_engine::consolidate::shape::TableShape;
use cohortium_engine::limits::Limits;
use cohortium_engine::private::{
    Ask, Catalogue, Declared, Origin, Plan, PrivateRows, PrivateTable, Question, Room, SamplingKey, bound, compile,
};
use cohortium_engine::query::{QueryTable, Question as Reading, columns_read};
use cohortium_private::account::Cost;
use cohortium_private::interval::Family;
use cohortium_protocol::ident::{Name, Text};
use cohortium_protocol::quantity::{ContributionBound, Delta, Millionths};
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::release::{AggregateDone, Done, NoiseKind, NoiseLine};
use cohortium_protocol::record::request::{AggregateTerms, Request};
use cohortium_schema::schema::CommonSchema;
use serde::{Deserialize, Serialize};

use crate::worker::job::ReportFault;
use crate::worker::looks::memory_bytes;
use crate::worker::release::body::Batch;
use crate::worker::release::{Computed, ReleaseOrder};

use self::noise::{Mechanism, NoNoise};

/// What an answer's statement says of the account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccountShown {
    /// At how many members one person may be counted.
    pub(crate) tokens: ContributionBound,
    /// The delta that epsilon is stated at.
    pub(crate) at: Delta,
}

/// The one error behind the payment.
fn unanswered() -> ReportFault {
    ReportFault::of(RunFault::Limit)
}

impl From<NoNoise> for ReportFault {
    fn from(_: NoNoise) -> Self {
        unanswered()
    }
}

/// Columns by table.
type Columns = BTreeMap<Name, BTreeSet<Name>>;

/// What a question would read, and the digest of the one form that all its spellings have. Nothing of it depends on rows.
pub(super) fn planned(
    request: &Request,
    asked: &AggregateTerms,
    schema: &CommonSchema,
    tables: &BTreeSet<Name>,
) -> Result<(Columns, [u8; 32]), ReportFault> {
    let shapes: Vec<TableShape> = tables.iter().filter_map(|table| TableShape::of(schema, table)).collect();
    let plan = compiled(request, asked, &Catalogue::of(&shapes))?;
    let cost = noise::cost(asked.rho, asked.delta);
    let unpaid = || refused("the budget is too small or too large for an answer within these bounds");
    noise::planned(&plan.parts(), plan.has_private_keys(), cost).map_err(|_| unpaid())?;
    let known: Vec<QueryTable> = shapes.into_iter().map(|shape| QueryTable { shape, parts: BTreeMap::new() }).collect();
    let reads = columns_read(&reading(request, &known)).map_err(|fault| ReportFault::told(&fault))?;
    Ok((reads, plan.digest()))
}

fn reading<'a>(request: &'a Request, tables: &'a [QueryTable]) -> Reading<'a> {
    let memory_bytes = memory_bytes();
    Reading { text: &request.question, tables, rows_max: 0, memory_bytes, limits: Limits::default() }
}

fn refused(why: &str) -> ReportFault {
    ReportFault { fault: RunFault::Malformed, detail: Some(why.to_owned()) }
}

fn compiled(request: &Request, asked: &AggregateTerms, catalogue: &Catalogue) -> Result<Plan, ReportFault> {
    let declared: Declared = serde_json::from_str(&asked.declared)
        .map_err(|fault| refused(&format!("what is declared cannot be read: {fault}")))?;
    let question = Question { ask: Ask::Sql(request.question.clone()), declared };
    compile(&question, catalogue).map_err(|refusal| refused(&refusal.to_string()))
}

/// Answers a question.
pub(super) fn made(
    order: &ReleaseOrder,
    asked: &AggregateTerms,
    tables: Vec<QueryTable>,
) -> Result<Computed, ReportFault> {
    let shapes: Vec<TableShape> = tables.iter().map(|table| table.shape.clone()).collect();
    let catalogue = Catalogue::of(&shapes);
    let plan = compiled(&order.request, asked, &catalogue)?;
    let paid = noise::cost(asked.rho, asked.delta);
    let mechanisms = noise::planned(&plan.parts(), plan.has_private_keys(), paid)?;
    let tables: Vec<PrivateTable> = tables
        .into_iter()
        .map(|table| PrivateTable {
            name: table.shape.table().clone(),
            rows: PrivateRows::Consolidated(Box::new(table)),
        })
        .collect();
    let room = Room { memory_bytes: memory_bytes() / 2, limits: Limits::default() };
    let mut key = [0; 16];
    key.copy_from_slice(&order.seed.0[..16]);
    let bounded = bound(&plan, &catalogue, &tables, SamplingKey(key), &room).map_err(|_| unanswered())?;
    let noised = noise::drawn(&bounded, &mechanisms, paid)?;
    let body: Batch = answer::answered(&plan, &bounded, &mechanisms, &noised)?;
    let done = done(order, &plan, &mechanisms, paid);
    let statement = serde_json::to_value(&done).unwrap_or_default();
    let report = serde_json::json!({
        "kind": "aggregate",
        "question": plan.text(),
        "cells": body.num_rows() * body.num_columns(),
        "statement": statement,
    });
    Ok(Computed {
        body,
        done: Done::Aggregate(Box::new(done)),
        found: Vec::new(),
        told: None,
        report: report.to_string().into_bytes(),
        not_covered: not_covered(),
    })
}

fn done(order: &ReleaseOrder, plan: &Plan, mechanisms: &[Mechanism], paid: Cost) -> AggregateDone {
    let AccountShown { tokens, at } = order.account;
    // Infinite where nothing bounds it.
    let person = noise::of_person(mechanisms, paid, tokens).map_or(f64::INFINITY, |cost| cost.epsilon(at));
    let line = |(part, mechanism): (cohortium_engine::private::Part, &Mechanism)| {
        let noise = mechanism.noise();
        let kind = match (mechanism, noise.family) {
            (Mechanism::Thresholded(_), _) => NoiseKind::GaussianThreshold,
            (Mechanism::Additive(_), Family::Gaussian) => NoiseKind::Gaussian,
            (Mechanism::Additive(_), Family::Laplace) => NoiseKind::Laplace,
        };
        #[expect(clippy::cast_precision_loss, reason = "a power of ten up to 10^9")]
        let scale = part.scale as f64;
        Some(NoiseLine {
            what: noise::words(part.counted).parse().ok()?,
            noise: kind,
            scale: millionths(noise.scale / scale),
            half_width: millionths(noise.half_width(answer::CONFIDENCE) / scale),
        })
    };
    let threshold = mechanisms.iter().find_map(|mechanism| match mechanism {
        Mechanism::Thresholded(thresholded) => u64::try_from(thresholded.threshold()).ok(),
        Mechanism::Additive(_) => None,
    });
    let origin = |(what, origin): &(String, Origin)| Some((what.parse::<Text>().ok()?, words_of(origin).parse().ok()?));
    AggregateDone {
        rho: paid.rho,
        delta: paid.delta,
        epsilon: millionths(paid.epsilon(at)),
        epsilon_person: millionths(person),
        tokens,
        at,
        noise: plan.parts().into_iter().zip(mechanisms).filter_map(line).collect(),
        threshold,
        origins: plan.origins().iter().filter_map(origin).collect(),
        uncovered: order.earlier.iter().copied().collect(),
    }
}

fn words_of(origin: &Origin) -> String {
    match origin {
        Origin::Standard(which) => format!("standard: {which}"),
        Origin::Person(who) => format!("fixed by {who}; what was learned from rows for it is not covered"),
        Origin::Estimate(release) => format!("private estimate, paid for: {release}"),
        Origin::Expression => "the question's own words".to_owned(),
    }
}

/// Rounded up; what no integer holds is the largest.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is against who releases")]
fn millionths(of: f64) -> Millionths {
    if of.is_nan() { Millionths(u64::MAX) } else { Millionths((of * 1e6).ceil() as u64) }
}

fn not_covered() -> Vec<String> {
    [
        "that a table version exists, and when: gates, drift and opt-outs depend on rows",
        "rows that were clipped or left out to keep a patient's part within its bounds: intervals are of the noise alone",
        "bounds, keys and code lists that a person fixed who had seen rows",
        "values that an expression could not be computed of, which count as missing",
    ]
    .map(str::to_owned)
    .to_vec()
}
