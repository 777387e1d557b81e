//! Facts: what a rule makes of a batch, which of it may be emitted, and which waits for a row that it refers to.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringBuilder};
use arrow::datatypes::Int64Type;

use crate::cells::{gather, text};
use crate::mapping::account::{Fate, Reason};
use crate::mapping::cell::{asked, evaluate};
use crate::mapping::fault::MapFault;
use crate::mapping::plan::{Rule, Spread, with_concept};
use crate::mapping::run::Run;
use crate::mapping::table::{Entry, Sight, owned_columns};
use crate::policy::ROW_COLUMN;

/// Rows of a source as rules see them.
pub(crate) struct Seen<'a> {
    pub(crate) source: &'a str,
    pub(crate) rows: &'a RecordBatch,
    /// Each row's number in the source, from 0.
    pub(crate) numbers: &'a [u64],
    /// Each row's place for people.
    pub(crate) places: &'a [u64],
}

/// Facts that refer to what is not there yet.
pub(crate) struct Pending {
    source: String,
    table: String,
    facts: RecordBatch,
    numbers: Vec<u64>,
    places: Vec<u64>,
}

/// Applies one rule to a batch.
pub(crate) fn apply(run: &mut Run<'_, '_>, rule: &mut Rule, seen: &Seen<'_>) -> Result<(), MapFault> {
    let Some((rows, numbers, places)) = due(run, rule, seen)? else { return Ok(()) };
    let (rows, numbers, places) = match &mut rule.spread {
        None => (rows, numbers, places),
        Some(spread) => spread.over(&rows, &numbers, &places),
    };
    let seen = Seen { source: seen.source, rows: &rows, numbers: &numbers, places: &places };
    let mut failed: Vec<Option<(usize, Reason)>> = vec![None; rows.num_rows()];
    let mut columns = Vec::with_capacity(rule.makers.len() + 2);
    for (place, maker) in rule.makers.iter_mut().enumerate() {
        let made = maker.make(&rows, &mut run.losses);
        for (row, reason) in made.failed {
            failed[row] = failed[row].or(Some((place, reason)));
        }
        columns.push(made.array);
    }
    let good: Vec<u32> = (0..).zip(&failed).filter(|(_, failed)| failed.is_none()).map(|(row, _)| row).collect();
    for (row, failure) in failed.iter().enumerate() {
        let Some((place, reason)) = failure else { continue };
        let column = rule.makers[*place].field.name.as_str();
        let entry = Entry { source: seen.source, place: places[row], table: &rule.table, column, reason: *reason };
        run.set_aside(&entry, numbers[row])?;
    }
    let bad = (failed.len() - good.len()) as u64;
    let output = run.output(&rule.table).ok_or_else(|| MapFault::NotGiven { name: rule.table.clone() })?;
    output.count.due.0 += failed.len() as u64;
    output.count.quarantined.0 += bad;
    let schema = Arc::clone(&output.schema);
    let origins = rows.column_by_name(ROW_COLUMN).and_then(|ids| text(ids).ok());
    let origins = origins.ok_or_else(|| MapFault::NotGiven { name: ROW_COLUMN.to_owned() })?;
    let origins: Vec<&str> = good.iter().map(|row| origins.value(*row as usize)).collect();
    let mut gathered = Vec::with_capacity(columns.len() + 2);
    for column in &columns {
        let kept = if good.len() == failed.len() {
            Arc::clone(column)
        } else {
            gather(column, &good).map_err(|_| MapFault::NotGiven { name: rule.table.clone() })?
        };
        gathered.push(kept);
    }
    gathered.extend(owned_columns(seen.source, &origins));
    let facts = RecordBatch::try_new(schema, gathered).expect("one column for each field, none null that is required");
    let pick = |all: &[u64]| good.iter().map(|row| all[*row as usize]).collect::<Vec<_>>();
    let made = Pending {
        source: seen.source.to_owned(),
        table: rule.table.clone(),
        facts,
        numbers: pick(&numbers),
        places: pick(&places),
    };
    let waiting = emit(run, made)?;
    if let Some(waiting) = waiting {
        run.pending_rows += waiting.numbers.len() as u64;
        run.pending_bytes += waiting.facts.get_array_memory_size() as u64 + 16 * waiting.numbers.len() as u64;
        run.pending.push(waiting);
    }
    Ok(())
}

impl Spread {
    /// Each row as often as concepts stand for its code, at least once; which one, is in a column of its own.
    fn over(&mut self, rows: &RecordBatch, numbers: &[u64], places: &[u64]) -> (RecordBatch, Vec<u64>, Vec<u64>) {
        // Rows that fail here fail again where the column is made, and are counted there.
        let asked = asked(&self.code, self.on.as_ref(), rows, &mut Vec::new());
        let (mut picked, mut concepts) = (Vec::with_capacity(rows.num_rows()), StringBuilder::new());
        for row in 0..rows.num_rows() {
            let found = asked.row(row).map(|(code, day)| self.finder.concepts(code, day));
            let found = found.as_deref().unwrap_or_default();
            let at = u32::try_from(row).expect("a batch has fewer rows");
            for concept in found {
                picked.push(at);
                concepts.append_value(concept.to_string());
            }
            if found.is_empty() {
                picked.push(at);
                concepts.append_value("");
            }
        }
        let columns = rows.columns().iter().map(|column| gather(column, &picked).expect("types that rules see"));
        let concepts: ArrayRef = Arc::new(concepts.finish());
        let columns: Vec<ArrayRef> = columns.chain([concepts]).collect();
        let pick = |all: &[u64]| picked.iter().map(|row| all[*row as usize]).collect::<Vec<_>>();
        let schema = with_concept(&rows.schema());
        let spread = RecordBatch::try_new(schema, columns).expect("the same columns and one more");
        (spread, pick(numbers), pick(places))
    }
}

/// The rows for which the rule makes a fact due.
type Due = Option<(RecordBatch, Vec<u64>, Vec<u64>)>;

fn due(run: &mut Run<'_, '_>, rule: &Rule, seen: &Seen<'_>) -> Result<Due, MapFault> {
    if seen.rows.num_rows() == 0 {
        return Ok(None);
    }
    let Some(filter) = &rule.filter else {
        return Ok(Some((seen.rows.clone(), seen.numbers.to_vec(), seen.places.to_vec())));
    };
    let mut failed = Vec::new();
    let passes = evaluate(filter, seen.rows, &mut failed);
    let none = BooleanArray::from(vec![false; seen.rows.num_rows()]);
    let passes = passes.as_boolean_opt().unwrap_or(&none);
    // Whether the fact is due cannot be said: it is, and it is in quarantine.
    for (row, reason) in &failed {
        let entry = Entry {
            source: seen.source,
            place: seen.places[*row],
            table: &rule.table,
            column: "where",
            reason: *reason,
        };
        run.set_aside(&entry, seen.numbers[*row])?;
    }
    if let Some(output) = run.output(&rule.table) {
        output.count.due.0 += failed.len() as u64;
        output.count.quarantined.0 += failed.len() as u64;
    }
    let rows: Vec<u32> = (0..).zip(passes).filter(|(_, passes)| *passes == Some(true)).map(|(row, _)| row).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    if rows.len() == seen.rows.num_rows() {
        return Ok(Some((seen.rows.clone(), seen.numbers.to_vec(), seen.places.to_vec())));
    }
    let columns = seen.rows.columns().iter().map(|column| gather(column, &rows)).collect::<Result<Vec<_>, _>>();
    let columns = columns.map_err(|_| MapFault::NotGiven { name: rule.table.clone() })?;
    let kept = RecordBatch::try_new(seen.rows.schema(), columns).expect("the same columns, of the same types");
    let pick = |all: &[u64]| rows.iter().map(|row| all[*row as usize]).collect::<Vec<_>>();
    Ok(Some((kept, pick(seen.numbers), pick(seen.places))))
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
        for (row, key) in keys.iter().enumerate() {
            let leads_nowhere = key.is_some_and(|key| !target.is_some_and(|target| target.has_key(key)));
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
