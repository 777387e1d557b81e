//! Rules over the rows of a source: what each makes of a batch, before anybody asks what else there is. It needs the rows alone, and so
//! runs beside the thread that emits.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringBuilder, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use cohortium_protocol::ident::ColumnName;

use crate::batch::SourceBatch;
use crate::cells::{NotHandled, gather, text};
use crate::mapping::account::Reason;
use crate::mapping::cell::{asked, evaluate};
use crate::mapping::fact::Pending;
use crate::mapping::fault::{Inner, MapFault};
use crate::mapping::plan::{Rule, Spread, with_concept};
use crate::mapping::run::as_seen;
use crate::mapping::shape::Shaper;
use crate::mapping::table::{Losses, owned_columns};
use crate::policy::{Policy, ROW_COLUMN};
use crate::row_fault::SetAside;

/// What is made of a batch: its rows first, then the facts of each rule that makes one due.
pub(crate) enum Made {
    Rows(Rows),
    Facts(Facts),
}

/// The rows of a batch: which of them rules see, and what became of the others.
pub(crate) struct Rows {
    /// The number, from 0, of the row behind the batch.
    pub(crate) end: u64,
    /// Numbers of rows that the policy took out, from 0.
    pub(crate) gone: Vec<u64>,
    /// Rows whose patients opted out, by the policy's own count.
    pub(crate) opted_out: u64,
    /// Rows that the policy could not treat: number from 0, place, column.
    pub(crate) refused: Vec<(u64, u64, ColumnName)>,
    /// Rows that the reader could not read.
    pub(crate) unread: Vec<SetAside>,
    /// Numbers of the rows that rules see, from 0.
    pub(crate) seen: Vec<u64>,
}

/// What one rule makes of a batch.
pub(crate) struct Facts {
    pub(crate) table: String,
    /// Facts that were due, those that could not be made included.
    pub(crate) due: u64,
    pub(crate) failed: Vec<Failed>,
    pub(crate) made: Option<Pending>,
    /// How often recorded defaults were used, by column.
    pub(crate) defaults: Vec<(String, u64)>,
}

/// A fact that could not be made.
pub(crate) struct Failed {
    /// Its row's number, from 0.
    pub(crate) number: u64,
    /// Its row's place for people.
    pub(crate) place: u64,
    pub(crate) column: String,
    pub(crate) reason: Reason,
}

/// Rows of a source as rules see them.
struct Seen {
    rows: RecordBatch,
    /// Each row's number in the source, from 0.
    numbers: Vec<u64>,
    /// Each row's place for people.
    places: Vec<u64>,
}

impl Seen {
    /// Some of the rows, in these columns.
    fn picked(&self, columns: Vec<ArrayRef>, schema: SchemaRef, picked: &[u32]) -> Self {
        let pick = |all: &[u64]| picked.iter().map(|row| all[*row as usize]).collect::<Vec<_>>();
        let rows = RecordBatch::try_new(schema, columns).expect("the same columns, of the same types");
        Self { rows, numbers: pick(&self.numbers), places: pick(&self.places) }
    }
}

/// Applies the rules of one source.
pub(crate) struct Applier<'a> {
    pub(crate) source: &'a str,
    pub(crate) policy: &'a Policy<'a>,
    pub(crate) is_text_table: bool,
    pub(crate) rules: Vec<Rule>,
    /// The columns of each table that rules are for.
    pub(crate) tables: BTreeMap<String, SchemaRef>,
    pub(crate) shaper: Shaper,
    pub(crate) losses: Losses,
}

impl Applier<'_> {
    /// Hands over what is made of a batch, piece by piece.
    pub(crate) fn batch(
        &mut self,
        batch: SourceBatch,
        give: &mut dyn FnMut(Made) -> Result<(), Inner>,
    ) -> Result<(), Inner> {
        let prepared = self.policy.prepare(&batch)?;
        let staying = prepared.staying();
        let outgoing = self.policy.outgoing(&prepared, &staying)?;
        let rows = self.as_seen(&outgoing);
        self.shaper.see(&rows);
        let all = batch.row_numbers();
        // By the row, not by its place: a source's record may become several rows, which share one.
        let refused = prepared.refused.iter().map(|row| (row.row - batch.first_row, &row.column));
        let refused: BTreeMap<u64, &ColumnName> = refused.collect();
        let rows_of_batch = all.iter().zip(&prepared.stays).zip(0..);
        let gone = rows_of_batch.filter(|((_, stays), row)| !**stays && !refused.contains_key(row));
        let gone: Vec<u64> = gone.map(|((number, _), _)| number - 1).collect();
        let of_batch = all.iter().zip(&prepared.places).zip(0..);
        let refused = of_batch.filter_map(|((number, place), row)| {
            refused.get(&row).map(|column| (number - 1, *place, (*column).clone()))
        });
        let refused = refused.collect();
        let numbers: Vec<u64> = staying.iter().map(|row| all[*row as usize] - 1).collect();
        let places: Vec<u64> = staying.iter().map(|row| prepared.places[*row as usize]).collect();
        give(Made::Rows(Rows {
            end: batch.first_row + (batch.places.len() + batch.set_aside.len()) as u64,
            gone,
            opted_out: prepared.opted_out,
            refused,
            unread: batch.set_aside,
            seen: numbers.clone(),
        }))?;
        let seen = Seen { rows, numbers, places };
        for rule in &mut self.rules {
            let schema = self.tables.get(&rule.table);
            let schema = schema.ok_or_else(|| Inner::Whole(MapFault::NotGiven { name: rule.table.clone() }))?;
            let facts = apply(rule, self.source, &seen, schema, &mut self.losses).map_err(Inner::Whole)?;
            give(Made::Facts(facts))?;
        }
        Ok(())
    }

    /// A batch as rules see it: the row's id is text; an empty cell of a text table, and a blank identifier of any, is no
    /// value.
    fn as_seen(&self, batch: &RecordBatch) -> RecordBatch {
        let policy = self.policy;
        let is_pseudonym = |column: &str| {
            let mut pseudonyms = policy.leaving.iter().filter(|leaving| leaving.is_pseudonym());
            pseudonyms.any(|leaving| policy.names[leaving.source].as_str() == column)
        };
        as_seen(batch, |column| self.is_text_table || is_pseudonym(column))
    }
}

/// Applies one rule to a batch.
fn apply(
    rule: &mut Rule,
    source: &str,
    seen: &Seen,
    schema: &SchemaRef,
    losses: &mut Losses,
) -> Result<Facts, MapFault> {
    let mut facts = Facts { table: rule.table.clone(), due: 0, failed: Vec::new(), made: None, defaults: Vec::new() };
    let Some(due) = due(rule, seen, &mut facts)? else { return Ok(facts) };
    let seen = match &mut rule.spread {
        None => due,
        Some(spread) => spread.over(&due),
    };
    let mut failed: Vec<Option<(usize, Reason)>> = vec![None; seen.rows.num_rows()];
    let mut columns = Vec::with_capacity(rule.makers.len() + 2);
    for (place, maker) in rule.makers.iter_mut().enumerate() {
        let made = maker.make(&seen.rows, losses);
        for (row, reason) in made.failed {
            failed[row] = failed[row].or(Some((place, reason)));
        }
        columns.push(made.array);
    }
    facts.defaults = rule.defaults_used();
    facts.due += failed.len() as u64;
    for (row, failure) in failed.iter().enumerate() {
        let Some((place, reason)) = failure else { continue };
        let column = rule.makers[*place].field.name.clone();
        facts.failed.push(Failed { number: seen.numbers[row], place: seen.places[row], column, reason: *reason });
    }
    let good: Vec<u32> = (0..).zip(&failed).filter(|(_, failed)| failed.is_none()).map(|(row, _)| row).collect();
    let origins = seen.rows.column_by_name(ROW_COLUMN).and_then(|ids| text(ids).ok());
    let origins = origins.ok_or_else(|| MapFault::NotGiven { name: ROW_COLUMN.to_owned() })?;
    let origins: Vec<&str> = good.iter().map(|row| origins.value(*row as usize)).collect();
    if good.len() < failed.len() {
        for column in &mut columns {
            *column = gather(column, &good).map_err(|_| MapFault::NotGiven { name: rule.table.clone() })?;
        }
    }
    columns.extend(owned_columns(source, &origins));
    let made = RecordBatch::try_new(Arc::clone(schema), columns);
    let pick = |all: &[u64]| good.iter().map(|row| all[*row as usize]).collect::<Vec<_>>();
    facts.made = Some(Pending {
        source: source.to_owned(),
        table: rule.table.clone(),
        facts: made.expect("one column for each field, none null that is required"),
        numbers: pick(&seen.numbers),
        places: pick(&seen.places),
    });
    Ok(facts)
}

impl Spread {
    /// Each row as often as concepts stand for its code, at least once; which one, is in a column of its own.
    fn over(&mut self, seen: &Seen) -> Seen {
        // Rows that fail here fail again where the column is made, and are counted there.
        let rows = &seen.rows;
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
        seen.picked(columns.chain([concepts]).collect(), with_concept(&rows.schema()), &picked)
    }
}

/// The rows for which the rule makes a fact due.
fn due(rule: &Rule, seen: &Seen, facts: &mut Facts) -> Result<Option<Seen>, MapFault> {
    let count = seen.rows.num_rows();
    if count == 0 {
        return Ok(None);
    }
    let whole = || Seen { rows: seen.rows.clone(), numbers: seen.numbers.clone(), places: seen.places.clone() };
    let Some(filter) = &rule.filter else { return Ok(Some(whole())) };
    let mut failed = Vec::new();
    let passes = evaluate(filter, &seen.rows, &mut failed);
    let none = BooleanArray::from(vec![false; count]);
    let passes = passes.as_boolean_opt().unwrap_or(&none);
    // Whether the fact is due cannot be said: it is, and it is in quarantine.
    for (row, reason) in failed {
        let (number, place) = (seen.numbers[row], seen.places[row]);
        facts.failed.push(Failed { number, place, column: "where".to_owned(), reason });
    }
    facts.due += facts.failed.len() as u64;
    let rows: Vec<u32> = (0..).zip(passes).filter(|(_, passes)| *passes == Some(true)).map(|(row, _)| row).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    if rows.len() == count {
        return Ok(Some(whole()));
    }
    let (columns, schema) =
        read_alone(rule, &seen.rows, &rows).map_err(|NotHandled| MapFault::NotGiven { name: rule.table.clone() })?;
    Ok(Some(seen.picked(columns, schema, &rows)))
}

/// These rows of the columns that the rule reads; where the others are, nothing: a table's many rules each pick a few of its rows.
fn read_alone(rule: &Rule, batch: &RecordBatch, rows: &[u32]) -> Result<(Vec<ArrayRef>, SchemaRef), NotHandled> {
    let reads = rule.reads();
    let schema = batch.schema();
    let picked = batch.columns().iter().zip(schema.fields()).enumerate().map(|(place, (column, field))| {
        if reads.contains(&place) || field.name() == ROW_COLUMN {
            Ok((gather(column, rows)?, Arc::clone(field)))
        } else {
            let nothing = new_null_array(column.data_type(), rows.len());
            Ok((nothing, Arc::new(field.as_ref().clone().with_nullable(true))))
        }
    });
    let (columns, fields): (Vec<_>, Vec<_>) = picked.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    Ok((columns, Arc::new(Schema::new(fields))))
}
