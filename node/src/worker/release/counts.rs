//! Tables of counts: cells under the floor are suppressed, others so that nobody works them out, also no recipient that takes its
//! own patients away.

use cohortium_anonymise::counts::{Cube, Lines, Protection, Rounding, body, linear, protect_from};
use cohortium_anonymise::encode::{Encoded, QuasiRole, Roles, encode, patient_numbers};
use cohortium_anonymise::memory::{History, counted, held_back};
use cohortium_anonymise::seed::Seed;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::release::Done;
use cohortium_protocol::record::request::{CountRounding, CountTerms};

use crate::worker::job::ReportFault;
use crate::worker::release::body::Batch;
use crate::worker::release::microdata::recipients;
use crate::worker::release::{Computed, ReleaseOrder, attacks, report, terms};

pub(super) fn made(
    order: &ReleaseOrder,
    asked: &CountTerms,
    batches: &[Batch],
    history: &History,
) -> Result<Computed, ReportFault> {
    let request = &order.request;
    let mut roles = Roles {
        patient: Some(request.patient.to_string()),
        member: Some(request.member.to_string()),
        ..Roles::default()
    };
    for (name, form) in &asked.dimensions {
        let hierarchy = terms::hierarchy(name, form)?;
        roles.quasi.push(QuasiRole { column: name.to_string(), hierarchy, missing: None });
    }
    let Encoded { table, members } = encode(batches, &roles)?;
    let patients = patient_numbers(batches, request.patient.as_str())?;
    let (k, floor) = (usize::try_from(order.floor).unwrap_or(usize::MAX), u64::from(order.floor));
    let out = held_back(&patients, history, k);
    let stays =
        |row: u32| usize::try_from(row).ok().and_then(|row| patients.get(row)).is_some_and(|of| out.contains(of));
    let table = if out.is_empty() { table } else { table.without(stays) };
    let told = counted(&patients.iter().copied().filter(|patient| !out.contains(patient)).collect::<Vec<u64>>());
    let columns: Vec<(usize, usize)> = (0..asked.dimensions.len()).map(|column| (column, 0)).collect();
    if Cube::is_too_large(&table, &columns) {
        let detail = Some("the table of counts has too many cells".to_owned());
        return Err(ReportFault { fault: RunFault::Limit, detail });
    }
    let cube = Cube::of(&table, &columns);
    let named = recipients(request, &members);
    let others: Vec<Cube> = named.iter().map(|(_, number)| Cube::without(&table, &columns, *number)).collect();
    let rounding = match asked.rounding {
        CountRounding::None => Rounding::None,
        CountRounding::To(base) => Rounding::Nearest(base.into()),
    };
    let protected = protect_from(&cube, &others, &Protection { floor, rounding }, &Seed(order.seed.0))?;
    let mut found = vec![attacks::linear(linear(&cube, &protected, floor), None)];
    for ((name, _), cube) in named.iter().zip(&others) {
        found.push(attacks::linear(linear(cube, &protected, floor), Some(name)));
    }
    if history.releases() > 0 {
        found.push(attacks::intersected(&told, history, k));
    }
    let cells = Lines::of(&cube).cells() as u64;
    let suppressed = (protected.small + protected.complementary) as u64;
    let done = Done::Counts { floor: order.floor, cells, suppressed };
    let report = report::of_counts(&report::Counts {
        order,
        patients: told.len(),
        held_back: out.len(),
        small: protected.small,
        complementary: protected.complementary,
        cells,
        found: &found,
        history,
    });
    let body = body(&table, &columns, &cube, &protected)?;
    Ok(Computed { body, done, found, told: Some(told), report, not_covered: not_covered(asked, !out.is_empty()) })
}

fn not_covered(asked: &CountTerms, held_back: bool) -> Vec<String> {
    let mut texts = vec![
        "patients who are counted in another cell of an earlier or later table".to_owned(),
        "what two recipients work out who put together the counts of their own patients".to_owned(),
        "a patient with several rows is counted once, where the first of them is".to_owned(),
    ];
    if held_back {
        texts
            .push("patients whom this table would single out beside earlier releases are not counted in it".to_owned());
    }
    if asked.rounding != CountRounding::None {
        texts.push("counts and totals are rounded one by one and need not add up".to_owned());
    }
    texts
}
