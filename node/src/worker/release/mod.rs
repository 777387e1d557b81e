//! Releases, computed under the worker's limits: rows of a question become rows or counts that may leave, a report for the
//! privacy officer, and what later releases must remember. Either all of it is written or nothing of it is used.

mod fault;
mod terms;
mod rows;
mod attacks;
mod microdata;
mod counts;
mod aggregate;
mod remember;
mod report;
mod body;
mod explore;

use std::collections::BTreeSet;

use cohortium_protocol::ident::{ReleaseId, Text};
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::record::release::{AttackRun, Done, FileDigest};
use cohortium_protocol::record::request::{Asked, Request};
use cohortium_protocol::record::reservation::Verdict;
use serde::{Deserialize, Serialize};

use crate::worker::files::{Files, disk_full};
use crate::worker::job::{Key32, Made, QueryRows, Report, ReportFault, SealedFile};
use crate::worker::sealed;

pub(crate) use aggregate::{AccountShown, outlined};
pub(super) use explore::explored;
pub(super) use rows::planned;

/// What a release is computed from beside its files.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReleaseOrder {
    pub(crate) request: Request,
    /// The least class or count.
    pub(crate) floor: u32,
    /// The canonical form of the consortium's own schema.
    pub(crate) schema: Option<String>,
    /// Earlier releases over the population, whose memories come as files.
    pub(crate) earlier: Vec<ReleaseId>,
    /// What an aggregate states of its account.
    pub(crate) account: AccountShown,
    /// What everything random but noise is drawn from.
    pub(crate) seed: Key32,
}

/// The files of a release's job after the tables' parts, in this order.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReleaseFiles {
    pub(crate) earlier: Vec<SealedFile>,
    /// As many as a body may need; those that it does not are left empty.
    pub(crate) body: Vec<SealedFile>,
    pub(crate) report: SealedFile,
    pub(crate) memory: SealedFile,
}

/// A file of a body.
#[derive(Serialize, Deserialize)]
pub(crate) struct BodyMade {
    pub(crate) made: Made,
    pub(crate) sha256: FileDigest,
    pub(crate) rows: Rows,
}

/// What was made of a release.
#[derive(Serialize, Deserialize)]
pub(crate) struct Released {
    pub(crate) body: Vec<BodyMade>,
    pub(crate) report: Made,
    /// `None` of an aggregate, which tells nothing of a patient.
    pub(crate) memory: Option<Made>,
    pub(crate) done: Done,
    pub(crate) attacks: Vec<AttackRun>,
    pub(crate) together_with: BTreeSet<ReleaseId>,
    pub(crate) not_covered: Vec<Text>,
    pub(crate) verdict: Verdict,
}

/// Computes a release.
pub(super) fn released(
    order: &ReleaseOrder,
    tables: Vec<QueryRows>,
    into: &ReleaseFiles,
    files: &mut Files,
) -> Result<Report, ReportFault> {
    let tables = rows::opened(tables, files)?;
    let history = remember::history(&into.earlier, files)?;
    let rows = |tables: &[_]| rows::gathered(&order.request, order.schema.as_deref(), tables);
    let computed = match &order.request.asked {
        Asked::Microdata(asked) => microdata::made(order, asked, &rows(&tables)?, &history)?,
        Asked::Counts(asked) => counts::made(order, asked, &rows(&tables)?, &history)?,
        Asked::Aggregate(asked) => aggregate::made(order, asked, tables)?,
    };
    let body = body::write(&computed.body, &into.body, files)?;
    let mut report = sealed::create(files.next()?, &into.report).map_err(disk_full)?;
    std::io::Write::write_all(&mut report, &computed.report).map_err(disk_full)?;
    let report = sealed::finish(report).map_err(disk_full)?;
    // An answer tells nothing of one patient and keeps no model together with others: what epsilon does not cover is in `done`.
    let together_with = computed.told.iter().flat_map(|_| order.earlier.iter().copied()).collect();
    let memory = computed.told.map(|told| remember::write(&told, &into.memory, files)).transpose()?;
    let stood = computed.found.iter().all(|found| !found.fell());
    Ok(Report::Released(Box::new(Released {
        body,
        report,
        memory,
        done: computed.done,
        attacks: computed.found.into_iter().map(|found| found.run).collect(),
        together_with,
        not_covered: computed.not_covered.iter().filter_map(|text| text.parse().ok()).collect(),
        verdict: if stood { Verdict::Stood } else { Verdict::Fell },
    })))
}

/// What one of the kinds comes to, before anything of it is written.
struct Computed {
    body: body::Batch,
    done: Done,
    found: Vec<attacks::Found>,
    told: Option<cohortium_anonymise::memory::Told>,
    /// As JSON.
    report: Vec<u8>,
    not_covered: Vec<String>,
}
