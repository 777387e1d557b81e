//! The report for the privacy officer, as JSON: what was asked, what it cost, what each attack found. It holds counts and names of
//! columns and members, and stays with the operator (law 8).

use cohortium_anonymise::loss::Losses;
use cohortium_anonymise::memory::History;
use serde_json::{Value, json};

use crate::worker::release::ReleaseOrder;
use crate::worker::release::attacks::{Attacked, Found};
use crate::worker::release::terms::number;

/// Sizes of classes that the report counts one by one; larger ones are counted together.
const SIZES_SHOWN: usize = 100;

/// What is said of microdata.
pub(super) struct Microdata<'a> {
    pub(super) order: &'a ReleaseOrder,
    pub(super) attacked: &'a Attacked<'a>,
    pub(super) losses: &'a Losses,
    pub(super) found: &'a [Found],
    pub(super) history: &'a History,
}

pub(super) fn of_microdata(of: &Microdata<'_>) -> Vec<u8> {
    let Attacked { table, recoding, asked, recipients, .. } = *of.attacked;
    let mut sizes = std::collections::BTreeMap::<usize, usize>::new();
    for rows in recoding.members().iter() {
        *sizes.entry(table.patients_of(rows).min(SIZES_SHOWN)).or_default() += 1;
    }
    let all: Value = json!({
        "kind": "microdata",
        "k": of.order.floor,
        "recoding": serde_json::to_value(asked.recoding).unwrap_or_default(),
        "measures": measures(of.attacked, of.losses),
        "class_sizes": sizes,
        "recipients": recipients.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "earlier_releases": of.history.releases(),
        "attacks": attacks(of.found),
        "stood": of.found.iter().all(|found| !found.fell()),
    });
    all.to_string().into_bytes()
}

/// Measures of a recoding by name.
pub(super) fn measures(attacked: &Attacked<'_>, losses: &Losses) -> Value {
    let table = attacked.table;
    let columns: serde_json::Map<String, Value> = table
        .quasi()
        .iter()
        .zip(&losses.loss_by_column)
        .map(|(column, loss)| (column.name().to_owned(), json!(loss)))
        .collect();
    json!({
        "rows": table.rows(),
        "suppressed": losses.suppressed,
        "classes": losses.classes,
        "loss": losses.loss,
        "loss_by_column": columns,
        "entropy": losses.entropy,
        "discernibility": losses.discernibility.to_string(),
        "average_class_size": losses.average_class_size,
        "smallest_class": losses.risk.smallest_class,
        "highest_risk": losses.risk.highest,
        "mean_risk": losses.risk.mean,
    })
}

/// Findings in full.
pub(super) fn attacks(found: &[Found]) -> Vec<Value> {
    let one = |found: &Found| {
        json!({
            "attack": serde_json::to_value(found.run.attack).unwrap_or_default(),
            "column": found.run.column,
            "assumes": found.run.assumes,
            "claimed": found.finding.claimed,
            "held": found.finding.held,
            "by_chance": found.finding.by_chance,
            "of": found.finding.of,
            "refined": found.finding.refined(),
            "threshold": number(found.run.threshold),
            "succeeded": found.fell(),
        })
    };
    found.iter().map(one).collect()
}

/// What is said of a table of counts.
pub(super) struct Counts<'a> {
    pub(super) order: &'a ReleaseOrder,
    pub(super) patients: usize,
    pub(super) held_back: usize,
    pub(super) small: usize,
    pub(super) complementary: usize,
    pub(super) cells: u64,
    pub(super) found: &'a [Found],
    pub(super) history: &'a History,
}

pub(super) fn of_counts(of: &Counts<'_>) -> Vec<u8> {
    let all = json!({
        "kind": "counts",
        "floor": of.order.floor,
        "measures": {
            "patients": of.patients,
            "held_back": of.held_back,
            "cells": of.cells,
            "small": of.small,
            "complementary": of.complementary,
        },
        "earlier_releases": of.history.releases(),
        "attacks": attacks(of.found),
        "stood": of.found.iter().all(|found| !found.fell()),
    });
    all.to_string().into_bytes()
}
