//! Microdata: from rows to rows that may leave. It never refuses for the size of classes; what no class can hold is suppressed,
//! down to a body without a row.

use std::cell::RefCell;
use std::collections::BTreeMap;

use cohortium_anonymise::body::{Beside, body};
use cohortium_anonymise::encode::{Encoded, encode, patient_numbers};
use cohortium_anonymise::file::gather;
use cohortium_anonymise::lattice::{LatticeFault, full_domain};
use cohortium_anonymise::local::local;
use cohortium_anonymise::loss::Losses;
use cohortium_anonymise::measure::rounded;
use cohortium_anonymise::memory::{self, History, with_history};
use cohortium_anonymise::model::{Judge, ModelFault, Models};
use cohortium_anonymise::recoding::{Recoding, SUPPRESSED};
use cohortium_anonymise::release::Mode;
use cohortium_anonymise::resistant::resistant;
use cohortium_anonymise::seed::Seed;
use cohortium_anonymise::table::Table;
use cohortium_protocol::quantity::{AnonymityK, Millionths, Rows};
use cohortium_protocol::record::release::{Done, MicrodataMeasures};
use cohortium_protocol::record::request::{MicrodataTerms, PatientIds, ReleaseRole, Request};

use crate::worker::job::ReportFault;
use crate::worker::release::attacks::{self, Attacked};
use crate::worker::release::body::Batch;
use crate::worker::release::{Computed, ReleaseOrder, report, terms};

/// The column of patients' numbers.
const PATIENT: &str = "patient";

/// The table of a request, with what stays beside it.
pub(super) struct Prepared {
    pub(super) encoded: Encoded,
    /// The patient of each row, by the same number in every release.
    patients: Vec<u64>,
    pub(super) recipients: Vec<(String, u32)>,
    beside: Beside,
}

/// Reads rows as a request takes them.
pub(super) fn prepare(request: &Request, asked: &MicrodataTerms, batches: &[Batch]) -> Result<Prepared, ReportFault> {
    let mut columns = Vec::new();
    for column in &asked.columns {
        let name = column.name.as_str();
        match &column.role {
            ReleaseRole::Quasi { .. } => {}
            ReleaseRole::Sensitive { .. } => columns.push((name.to_owned(), gather(batches, name)?)),
            ReleaseRole::Measure { digits } => {
                columns.push((name.to_owned(), rounded(&gather(batches, name)?, name, *digits)?));
            }
        }
    }
    let encoded = encode(batches, &terms::roles(request, asked)?)?;
    let patients = patient_numbers(batches, request.patient.as_str())?;
    let id = match asked.ids {
        PatientIds::None => None,
        PatientIds::Random => Some(PATIENT.to_owned()),
    };
    let recipients = recipients(request, &encoded.members);
    Ok(Prepared { encoded, patients, recipients, beside: Beside { columns, id } })
}

/// Members that receive a release and have rows in its table, with their numbers there.
pub(super) fn recipients(request: &Request, members: &[String]) -> Vec<(String, u32)> {
    let named = members.iter().zip(0..).filter(|(name, _)| request.recipients.iter().any(|of| of.as_str() == *name));
    named.map(|(name, number)| (name.clone(), number)).collect()
}

/// Recodes a table in one of the ways.
pub(super) fn recode(table: &Table, mode: &Mode, seed: &Seed) -> Result<Recoding, LatticeFault> {
    match mode {
        Mode::Resistant(models, resistance) => resistant(table, models, resistance, seed).map_err(LatticeFault::Model),
        Mode::Local(asked) => local(table, asked).map_err(LatticeFault::Model),
        Mode::FullDomain(asked) => full_domain(table, asked).map(|found| found.recoding),
    }
}

pub(super) fn made(
    order: &ReleaseOrder,
    asked: &MicrodataTerms,
    batches: &[Batch],
    history: &History,
) -> Result<Computed, ReportFault> {
    let prepared = prepare(&order.request, asked, batches)?;
    let table = &prepared.encoded.table;
    let numbers = prepared.recipients.iter().map(|(_, number)| *number).collect();
    let models = terms::models(asked, order.floor, numbers);
    let mode = terms::mode(asked.recoding, models.clone());
    let seed = Seed(order.seed.0);
    let k = usize::try_from(order.floor).unwrap_or(usize::MAX);
    let recoding = remembered(&prepared, asked, &mode, history, &seed, k)?;
    let recoding = if holds(table, &models, &recoding)? {
        recoding
    } else {
        // Never a table that breaks its own statement.
        Recoding::nothing(table.rows(), asked_quasi(asked))
    };
    let told = memory::told(&prepared.patients, &recoding);
    let attacked = Attacked { table, recoding: &recoding, models: &models, asked, recipients: &prepared.recipients };
    let mut found = attacks::on_microdata(&attacked)?;
    if history.releases() > 0 {
        found.push(attacks::intersected(&told, history, k));
    }
    let losses = Losses::of(table, &recoding);
    let done = Done::Microdata { k: AnonymityK(order.floor), measures: measures(table, &losses) };
    let report = report::of_microdata(&report::Microdata {
        order,
        attacked: &attacked,
        losses: &losses,
        found: &found,
        history,
    });
    let body = body(table, &recoding, &prepared.beside, &seed)?;
    Ok(Computed { body, done, found, told: Some(told), report, not_covered: not_covered(asked, history, k) })
}

fn asked_quasi(asked: &MicrodataTerms) -> usize {
    asked.columns.iter().filter(|column| matches!(column.role, ReleaseRole::Quasi { .. })).count()
}

/// A recoding that keeps k together with all earlier releases, and with the numbers that make rows of one patient known.
fn remembered(
    prepared: &Prepared,
    asked: &MicrodataTerms,
    mode: &Mode,
    history: &History,
    seed: &Seed,
    k: usize,
) -> Result<Recoding, ReportFault> {
    let table = &prepared.encoded.table;
    if history.releases() == 0 && asked.ids == PatientIds::None {
        return Ok(recode(table, mode, seed)?);
    }
    let refused: RefCell<Option<LatticeFault>> = RefCell::new(None);
    let each = |part: &Table| {
        recode(part, mode, seed).map_err(|fault| match fault {
            LatticeFault::Model(fault) => fault,
            other => {
                *refused.borrow_mut() = Some(other);
                ModelFault::K
            }
        })
    };
    let recoded = with_history(table, &prepared.patients, history, k, each);
    match (recoded, refused.into_inner()) {
        (_, Some(fault)) => Err(fault.into()),
        (recoded, None) => Ok(recoded?),
    }
}

/// Whether every class holds, with the distributions of what is released as reference: what a reader can check.
fn holds(table: &Table, models: &Models, recoding: &Recoding) -> Result<bool, ModelFault> {
    let released = |row: u32| {
        usize::try_from(row).ok().and_then(|row| recoding.class_of().get(row)).is_some_and(|class| *class != SUPPRESSED)
    };
    let judge = Judge::over(table, models, released)?;
    Ok(recoding.covers(table) && recoding.members().iter().all(|rows| judge.holds(rows)))
}

/// A measure from 0 on, in millionths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "measures are not negative, and a cast saturates"
)]
fn millionths(of: f64) -> Millionths {
    Millionths((of * 1e6).round() as u64)
}

fn measures(table: &Table, losses: &Losses) -> MicrodataMeasures {
    let columns = table.quasi().iter().zip(&losses.loss_by_column);
    let columns = columns.filter_map(|(column, loss)| Some((column.name().parse().ok()?, millionths(*loss))));
    MicrodataMeasures {
        rows: Rows(table.rows() as u64),
        suppressed: Rows(losses.suppressed as u64),
        classes: losses.classes as u64,
        loss: millionths(losses.loss),
        columns: columns.collect::<BTreeMap<_, _>>(),
        class_size: millionths(losses.average_class_size),
        discernibility: u64::try_from(losses.discernibility).unwrap_or(u64::MAX),
        entropy: millionths(losses.entropy),
    }
}

/// What this release was not checked for.
fn not_covered(asked: &MicrodataTerms, history: &History, k: usize) -> Vec<String> {
    let mut texts = vec![
        "what a recipient knows of patients of whom none of its own rows is in the question's answer".to_owned(),
        "sensitive columns and measures leave as they are: whoever knows such a value of a patient knows more than the \
         quasi-identifiers"
            .to_owned(),
        "releases that were made outside this consortium, and patients whose linkage token has changed since an earlier one"
            .to_owned(),
    ];
    if asked.ids == PatientIds::None {
        texts.push("which of several rows are one patient's, where they can be told by their measures".to_owned());
    }
    if history.small(k) > 0 {
        texts.push("groups of patients that earlier releases alone have made smaller than k".to_owned());
    }
    texts
}
