//! Facts: which of what rules make may be emitted, and which waits for a row that it refers to.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use crate::cells::gather;
use crate::mapping::account::{Fate, Reason};
use crate::mapping::apply::{Facts, Failed};
use crate::mapping::fault::MapFault;
use crate::mapping::run::Run;
use crate::mapping::table::{Entry, Sight};

/// Facts that refer to what is not there yet.
pub(crate) struct Pending {
    pub(crate) source: String,
    pub(crate) table: String,
    pub(crate) facts: RecordBatch,
    pub(crate) numbers: Vec<u64>,
    pub(crate) places: Vec<u64>,
}

/// Takes in what a rule has made of a batch.
pub(crate) fn take_in(run: &mut Run<'_, '_>, source: &str, facts: Facts) -> Result<(), MapFault> {
    let Facts { table, due, failed, made, defaults } = facts;
    for failed in &failed {
        let Failed { number, place, column, reason } = failed;
        let entry = Entry { source, place: *place, table: &table, column, reason: *reason };
        run.set_aside(&entry, *number)?;
    }
    let output = run.output(&table).ok_or_else(|| MapFault::NotGiven { name: table.clone() })?;
    output.count.due.0 += due;
    output.count.quarantined.0 += failed.len() as u64;
    run.defaults_used(&table, defaults);
    let Some(made) = made else { return Ok(()) };
    if let Some(waiting) = emit(run, made)? {
        run.pending_rows += waiting.numbers.len() as u64;
        run.pending_bytes += waiting.facts.get_array_memory_size() as u64 + 16 * waiting.numbers.len() as u64;
        run.pending.push(waiting);
    }
    Ok(())
}

/// Emits what refers to nothing that is missing; gives back what does.
fn emit(run: &mut Run<'_, '_>, made: Pending) -> Result<Option<Pending>, MapFault> {
    let dangling = dangling(run, &made);
    let (mut ready, mut waits) = (Vec::new(), Vec::new());
    for (row, dangles) in (0_u32..).zip(&dangling) {
        if dangles.is_some() { waits.push(row) } else { ready.push(row) }
    }
    let waiting = if waits.is_empty() { None } else { Some(part(&made, &waits)) };
    let ready = if waits.is_empty() { made } else { part(&made, &ready) };
    let output = run.output(&ready.table).ok_or_else(|| MapFault::NotGiven { name: ready.table.clone() })?;
    let sights = output.see(&ready.facts);
    let mut kept = Vec::with_capacity(sights.len());
    let mut conflicts = Vec::new();
    for (row, sight) in (0_u32..).zip(sights) {
        match sight {
            Sight::New => kept.push(row),
            Sight::Repeated => {
                output.count.repeated.0 += 1;
                output.count.due.0 -= 1;
            }
            Sight::Conflict => conflicts.push(row),
        }
    }
    output.count.quarantined.0 += conflicts.len() as u64;
    let emitted = if kept.len() == ready.numbers.len() { ready.facts.clone() } else { part(&ready, &kept).facts };
    output.write(&emitted)?;
    run.gates.see(&ready.table, &emitted).map_err(|_| MapFault::NotGiven { name: ready.table.clone() })?;
    let gone: std::collections::BTreeSet<u32> = conflicts.iter().copied().collect();
    if let Some(fates) = run.fates.get_mut(&ready.source) {
        let stays = (0_u32..).zip(&ready.numbers).filter(|(row, _)| !gone.contains(row));
        stays.for_each(|(_, number)| fates.mark(*number, Fate::EMITTED));
    }
    for row in conflicts {
        set_aside(run, &ready, row, "", Reason::Conflict)?;
    }
    Ok(waiting)
}

fn set_aside(run: &mut Run<'_, '_>, facts: &Pending, row: u32, column: &str, reason: Reason) -> Result<(), MapFault> {
    let at = row as usize;
    let entry = Entry { source: &facts.source, place: facts.places[at], table: &facts.table, column, reason };
    Ok(run.set_aside(&entry, facts.numbers[at])?)
}

/// For each fact the place of the first foreign key that leads nowhere so far.
fn dangling(run: &Run<'_, '_>, made: &Pending) -> Vec<Option<usize>> {
    let mut dangling = vec![None; made.numbers.len()];
    let Some(output) = run.outputs.iter().find(|output| output.name == made.table) else { return dangling };
    for (place, _, table) in &output.references {
        let target = table.as_ref().and_then(|table| run.outputs.iter().find(|output| &output.name == table));
        let keys = made.facts.column(*place).as_primitive::<Int64Type>();
        if keys.null_count() == keys.len() {
            continue;
        }
        // Facts of one patient or visit mostly follow each other.
        let mut last = (None, false);
        for (row, key) in keys.iter().enumerate() {
            if key != last.0 {
                last = (key, key.is_some_and(|key| !target.is_some_and(|target| target.has_key(key))));
            }
            let leads_nowhere = last.1;
            if leads_nowhere && dangling[row].is_none() {
                dangling[row] = Some(*place);
            }
        }
    }
    dangling
}

/// Some rows of facts.
fn part(facts: &Pending, rows: &[u32]) -> Pending {
    let columns = facts.facts.columns().iter().map(|column| gather(column, rows).expect("a common schema's types"));
    let columns: Vec<_> = columns.collect();
    let pick = |all: &[u64]| rows.iter().map(|row| all[*row as usize]).collect();
    Pending {
        source: facts.source.clone(),
        table: facts.table.clone(),
        facts: RecordBatch::try_new(facts.facts.schema(), columns).expect("the same columns, of the same types"),
        numbers: pick(&facts.numbers),
        places: pick(&facts.places),
    }
}

/// Emits what waited for a row that has come since, as long as anything comes; the rest is in quarantine.
pub(crate) fn settle(run: &mut Run<'_, '_>) -> Result<(), MapFault> {
    loop {
        let waiting = std::mem::take(&mut run.pending);
        let before: u64 = waiting.iter().map(|facts| facts.numbers.len() as u64).sum();
        for facts in waiting {
            if let Some(still) = emit(run, facts)? {
                run.pending.push(still);
            }
        }
        let after: u64 = run.pending.iter().map(|facts| facts.numbers.len() as u64).sum();
        if after == before || after == 0 {
            break;
        }
    }
    for facts in std::mem::take(&mut run.pending) {
        let dangling = dangling(run, &facts);
        for (row, place) in (0_u32..).zip(dangling) {
            let column = place.map_or(String::new(), |place| facts.facts.schema().field(place).name().clone());
            set_aside(run, &facts, row, &column, Reason::Reference)?;
        }
        if let Some(output) = run.output(&facts.table) {
            output.count.quarantined.0 += facts.numbers.len() as u64;
        }
    }
    Ok(())
}
