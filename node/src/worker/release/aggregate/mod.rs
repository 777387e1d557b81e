//! Differentially private answers: the question is compiled against the common schema alone, its rows are bounded, noise is drawn
//! from what was paid, and each cell gets its interval. From the first row on there is one error, and it is constant (law 7).

mod noise;
mod answer;
mod study;
mod asking;

use std::collections::{BTreeMap, BTreeSet};

use cohortium_engine::consolidate::shape::TableShape;
use cohortium_engine::limits::Limits;
use cohortium_engine::private::{Catalogue, Origin, PrivateRows, PrivateTable, columns_read};
use cohortium_engine::query::{QueryTable, Question as Reading};
use cohortium_private::account::stated;
use cohortium_protocol::ident::{Name, ReleaseId, Text};
use cohortium_protocol::quantity::{ContributionBound, Delta};
use cohortium_protocol::record::release::{AggregateDone, Done, NoiseLine};
use cohortium_protocol::record::request::{AggregateTerms, Request};
use cohortium_schema::schema::CommonSchema;
use serde::{Deserialize, Serialize};

use crate::worker::job::ReportFault;
use crate::worker::looks::memory_bytes;
use crate::worker::release::{Computed, ReleaseOrder};

use self::asking::Asking;

/// What an answer's statement says of the account.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct AccountShown {
    /// At how many members one person may be counted.
    pub(crate) tokens: ContributionBound,
    /// The delta that epsilon is stated at.
    pub(crate) at: Delta,
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
    let shapes = shapes(schema, tables);
    let asking = Asking::of(request, asked, &Catalogue::of(&shapes))?;
    let known: Vec<QueryTable> = shapes.into_iter().map(|shape| QueryTable { shape, parts: BTreeMap::new() }).collect();
    let reads = columns_read(&reading(request, &known)).map_err(|fault| ReportFault::told(&fault))?;
    Ok((reads, asking.digest()))
}

/// What an answer would cost and how wide its noise would be, as its statement would say it, before anything is asked or paid. It looks
/// at the request, the schema and the account, and at nothing else.
pub(crate) fn outlined(
    request: &Request,
    asked: &AggregateTerms,
    schema: &CommonSchema,
    account: AccountShown,
) -> Result<AggregateDone, ReportFault> {
    let tables = schema.tables().iter().filter_map(|table| table.name.parse().ok()).collect();
    let asking = Asking::of(request, asked, &Catalogue::of(&shapes(schema, &tables)))?;
    Ok(done(&asking, asking.lines(), account, BTreeSet::new()))
}

fn shapes(schema: &CommonSchema, tables: &BTreeSet<Name>) -> Vec<TableShape> {
    tables.iter().filter_map(|table| TableShape::of(schema, table)).collect()
}

fn reading<'a>(request: &'a Request, tables: &'a [QueryTable]) -> Reading<'a> {
    let memory_bytes = memory_bytes();
    Reading { text: &request.question, tables, rows_max: 0, memory_bytes, limits: Limits::default() }
}

/// Answers a question.
pub(super) fn made(
    order: &ReleaseOrder,
    asked: &AggregateTerms,
    tables: Vec<QueryTable>,
) -> Result<Computed, ReportFault> {
    let shapes: Vec<TableShape> = tables.iter().map(|table| table.shape.clone()).collect();
    let asking = Asking::of(&order.request, asked, &Catalogue::of(&shapes))?;
    let tables: Vec<PrivateTable> = tables
        .into_iter()
        .map(|table| PrivateTable {
            name: table.shape.table().clone(),
            rows: PrivateRows::Consolidated(Box::new(table)),
        })
        .collect();
    let (body, lines) = asking.answer((&Catalogue::of(&shapes), &tables), order.seed.0)?;
    let done = done(&asking, lines, order.account, order.earlier.iter().copied().collect());
    let statement = serde_json::to_value(&done).unwrap_or_default();
    let report = serde_json::json!({
        "kind": "aggregate",
        "question": asking.text(),
        "cells": body.num_rows() * body.num_columns(),
        "statement": statement,
    });
    Ok(Computed {
        body,
        done: Done::Aggregate(Box::new(done)),
        found: Vec::new(),
        told: None,
        report: report.to_string().into_bytes(),
        not_covered: not_covered(&asking),
    })
}

fn done(
    asking: &Asking,
    noise: Vec<NoiseLine>,
    account: AccountShown,
    uncovered: BTreeSet<ReleaseId>,
) -> AggregateDone {
    let AccountShown { tokens, at } = account;
    let paid = asking.paid();
    // Infinite where nothing bounds it.
    let person = asking.of_person(tokens).map_or(f64::INFINITY, |cost| cost.epsilon(at));
    let origin = |(what, origin): &(String, Origin)| Some((what.parse::<Text>().ok()?, words_of(origin).parse().ok()?));
    AggregateDone {
        rho: paid.rho,
        delta: paid.delta,
        epsilon: stated(paid.epsilon(at)),
        epsilon_person: stated(person),
        tokens,
        at,
        noise,
        threshold: asking.threshold(),
        origins: asking.origins().iter().filter_map(origin).collect(),
        uncovered,
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

fn not_covered(asking: &Asking) -> Vec<String> {
    let synthetic = asking.is_synthetic().then_some(
        "rows are synthetic: drawn from noised counts of the columns and pairs that are named, none is a patient's; for code and not for findings",
    );
    let always = [
        "that a table version exists, and when: gates, drift and opt-outs depend on rows",
        "rows that were clipped or left out to keep a patient's part within its bounds: intervals are of the noise alone",
        "bounds, keys and code lists that a person fixed who had seen rows",
        "values that an expression could not be computed of, which count as missing",
    ];
    synthetic.into_iter().chain(always).map(str::to_owned).collect()
}
