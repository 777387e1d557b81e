//! From what was gathered to one count a check.

use std::collections::BTreeMap;

use cohortium_protocol::digest::DocumentDigest;
use serde::{Deserialize, Serialize};

use super::check::{Check, Checks, PERSON_KEY, PERSON_TABLE, Rule, Severity};
use super::column::{Column, Ids};
use super::keys::Keys;
use super::profile::TableProfile;
use super::table::Tally;
use crate::schema::{CommonSchema, Field, Reference};

/// A concept as far as checks ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concept<'a> {
    /// Its domain.
    pub domain: &'a str,
    /// Whether it is a standard concept.
    pub standard: bool,
    /// Whether it is valid: neither deleted nor replaced.
    pub valid: bool,
}

/// A vocabulary as far as checks ask for it.
pub trait Concepts {
    /// Which release it is.
    fn release(&self) -> &str;
    /// A concept, if there is one of this id.
    fn concept(&self, id: i64) -> Option<Concept<'_>>;
}

/// What one check counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Count {
    /// Rows, persons or values.
    Of {
        /// How many break the rule.
        violated: u64,
        /// How many were looked at.
        applicable: u64,
    },
    /// There is nothing that could break the rule, or nothing to hold it against.
    NotApplicable(Unfit),
    /// It could not be counted.
    Error(Unfit),
}

/// Why a check counted nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfit {
    /// No vocabulary is loaded.
    NoVocabulary,
    /// The table is not there.
    TableAbsent,
    /// The mapping leaves the table out on purpose.
    LeftOut,
    /// The field is not there.
    FieldAbsent,
    /// The table has no rows.
    NoRows,
    /// No row has a value.
    NoValues,
    /// The field's type is not its kind, so that its values were not looked at.
    WrongType,
    /// There are more different values than one pass remembers.
    TooMany,
}

/// One check and what it counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// The check.
    pub id: String,
    /// Its kind's name.
    pub name: String,
    /// The table.
    pub table: String,
    /// The field, unless it is about a whole table.
    pub field: Option<String>,
    /// How bad a failure is.
    pub severity: Severity,
    /// Per cent that may be violated, where nobody says otherwise.
    pub threshold: f64,
    /// What was counted.
    pub count: Count,
}

/// What one pass has measured. Counts only, and of one member's rows: law 8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The schema.
    pub schema: DocumentDigest,
    /// The vocabulary's release, if there was one.
    pub vocabulary: Option<String>,
    /// The checks, in the order of their list.
    pub measures: Vec<Measure>,
    /// The tables that were there, by name.
    pub tables: Vec<TableProfile>,
}

pub(crate) fn measure(
    schema: &CommonSchema,
    checks: &Checks,
    mut tables: BTreeMap<String, Tally>,
    vocabulary: Option<&dyn Concepts>,
) -> Measured {
    tables.values_mut().flat_map(|tally| &mut tally.columns).for_each(|column| match &mut column.ids {
        Ids::Keys(keys) => keys.sort(),
        Ids::References(references) => references.compact(),
        Ids::Nothing | Ids::Concepts(_) => {}
    });
    let periods = tables.iter_mut().filter_map(|(name, tally)| Some((name.clone(), tally.periods.as_mut()?.counts())));
    let periods: BTreeMap<String, Option<(u64, u64)>> = periods.collect();
    let counting = Counting { schema, tables: &tables, periods: &periods, vocabulary };
    let measures = checks.iter().map(|check| counting.measure(check)).collect();
    let (schema, vocabulary) = (schema.digest(), vocabulary.map(|vocabulary| vocabulary.release().to_owned()));
    let seen = tables.into_iter().filter(|(_, tally)| tally.seen);
    let tables = seen.map(|(name, tally)| tally.profile(&name)).collect();
    Measured { schema, vocabulary, measures, tables }
}

struct Counting<'a> {
    schema: &'a CommonSchema,
    tables: &'a BTreeMap<String, Tally>,
    periods: &'a BTreeMap<String, Option<(u64, u64)>>,
    vocabulary: Option<&'a dyn Concepts>,
}

type Counted = Result<(u64, u64), Count>;

/// What was remembered, or that it was too much.
fn remembered<T>(value: Option<T>) -> Result<T, Count> {
    value.ok_or(Count::Error(Unfit::TooMany))
}

impl Counting<'_> {
    fn measure(&self, check: &Check) -> Measure {
        let count = match self.count(check) {
            Ok((violated, applicable)) => Count::Of { violated, applicable },
            Err(count) => count,
        };
        let Check { id, name, table, field, severity, threshold, rule: _ } = check.clone();
        Measure { id, name, table, field, severity, threshold, count }
    }

    fn count(&self, check: &Check) -> Counted {
        let absent = Count::NotApplicable(Unfit::TableAbsent);
        let tally = self.tables.get(&check.table).filter(|tally| tally.seen);
        match (&check.rule, tally, &check.field) {
            (Rule::TablePresent, tally, _) => Ok((u64::from(tally.is_none()), 1)),
            (_, None, _) => Err(absent),
            (Rule::PersonCompleteness, Some(tally), _) => self.persons_without(tally),
            (Rule::PeriodOverlap, Some(_), _) => {
                let counts = self.periods.get(&check.table).copied().flatten();
                remembered(counts).and_then(|(violated, all)| some(violated, all, Unfit::NoRows))
            }
            (rule, Some(tally), Some(name)) => {
                let declared = self.schema.table(&check.table).and_then(|table| table.field(name));
                let column = tally.column(name);
                let (Some(declared), Some(column)) = (declared, column) else {
                    return Err(Count::NotApplicable(Unfit::FieldAbsent));
                };
                self.count_field(rule, tally, declared, column)
            }
            (_, Some(_), None) => Err(Count::NotApplicable(Unfit::FieldAbsent)),
        }
    }

    fn persons_without(&self, tally: &Tally) -> Counted {
        let persons = self.tables.get(PERSON_TABLE).filter(|persons| persons.seen);
        let keys = persons.and_then(|persons| persons.column(PERSON_KEY)).map(|column| &column.ids);
        let references = tally.column(PERSON_KEY).map(|column| &column.ids);
        match (keys, references) {
            (Some(Ids::Keys(keys)), Some(Ids::References(references))) => {
                let without = remembered(references.unreferred(keys))?;
                some(without, persons.map_or(0, |persons| persons.rows), Unfit::NoRows)
            }
            _ => Err(Count::NotApplicable(Unfit::TableAbsent)),
        }
    }

    fn count_field(&self, rule: &Rule, tally: &Tally, declared: &Field, column: &Column) -> Counted {
        match rule {
            Rule::FieldPresent => return Ok((u64::from(!column.present), 1)),
            _ if !column.present => return Err(Count::NotApplicable(Unfit::FieldAbsent)),
            _ if tally.rows == 0 => return Err(Count::NotApplicable(Unfit::NoRows)),
            Rule::Required | Rule::ValueCompleteness => return Ok((column.nulls, tally.rows)),
            Rule::Datatype => return Ok((column.mistyped, tally.rows)),
            _ if column.mistyped > 0 => return Err(Count::Error(Unfit::WrongType)),
            _ => {}
        }
        let rows = tally.rows;
        let pair = |other: &String| [column.name.clone(), other.clone()];
        match (rule, &column.ids) {
            (Rule::Length, _) => Ok((column.overlong, rows)),
            (Rule::PrimaryKey, Ids::Keys(keys)) => Ok((remembered(keys.duplicates())?, rows)),
            (Rule::ForeignKey, _) => Ok((self.dangling(declared, column, rows)?, rows)),
            (Rule::Domain(domain), ids) => {
                Ok((self.concepts(ids, column, rows, |concept| concept.domain != domain)?, rows))
            }
            (Rule::StandardConcept, ids) => {
                let wrong = |concept: Concept| !(concept.standard && concept.valid);
                Ok((self.concepts(ids, column, rows, wrong)?, rows))
            }
            (Rule::ConceptCompleteness, Ids::Concepts(concepts)) => {
                if column.nulls == rows {
                    return Err(Count::NotApplicable(Unfit::NoValues));
                }
                let counted = (!concepts.overflowed).then(|| concepts.rows.get(&0).copied().unwrap_or(0));
                Ok((remembered(counted)?, rows))
            }
            (Rule::SourceValueCompleteness(other), _) => {
                let counts = tally.sources.get(&pair(other)).and_then(super::column::SourceValues::counts);
                remembered(counts).and_then(|(zero, all)| some(zero, all, Unfit::NoValues))
            }
            (Rule::StartBeforeEnd(other), _) => {
                let (later, both) = tally.spans.get(&pair(other)).copied().unwrap_or_default();
                some(later, both, Unfit::NoValues)
            }
            _ => Err(Count::NotApplicable(Unfit::FieldAbsent)),
        }
    }

    /// Rows that refer to what is nowhere.
    fn dangling(&self, declared: &Field, column: &Column, rows: u64) -> Result<u64, Count> {
        match (&declared.reference, &column.ids) {
            // What this schema leaves out has no rows, so each value leads nowhere.
            (Reference::LeftOut(_), _) => Ok(rows - column.nulls),
            (Reference::Table(to), Ids::References(references)) => {
                let target = self.tables.get(&to.table).and_then(|tally| tally.column(&to.field));
                let nothing = Keys::default();
                let keys = match target.map(|column| &column.ids) {
                    Some(Ids::Keys(keys)) => keys,
                    _ => &nothing,
                };
                remembered(references.dangling(keys))
            }
            (Reference::Concept(_), Ids::Concepts(concepts)) => {
                let vocabulary = self.vocabulary.ok_or(Count::NotApplicable(Unfit::NoVocabulary))?;
                let nowhere = concepts.rows.iter().filter(|(id, _)| vocabulary.concept(**id).is_none());
                remembered((!concepts.overflowed).then(|| nowhere.map(|(_, rows)| rows).sum()))
            }
            _ => Err(Count::NotApplicable(Unfit::FieldAbsent)),
        }
    }

    /// Rows whose concept is in the vocabulary, not 0, and wrong.
    fn concepts(&self, ids: &Ids, column: &Column, rows: u64, wrong: impl Fn(Concept) -> bool) -> Result<u64, Count> {
        let vocabulary = self.vocabulary.ok_or(Count::NotApplicable(Unfit::NoVocabulary))?;
        let Ids::Concepts(concepts) = ids else { return Err(Count::NotApplicable(Unfit::FieldAbsent)) };
        if column.nulls == rows {
            return Err(Count::NotApplicable(Unfit::NoValues));
        }
        let is_wrong = |id: i64| id != 0 && vocabulary.concept(id).is_some_and(&wrong);
        let found = concepts.rows.iter().filter(|(id, _)| is_wrong(**id));
        remembered((!concepts.overflowed).then(|| found.map(|(_, rows)| rows).sum()))
    }
}

/// Counts, unless nothing was looked at.
fn some(violated: u64, applicable: u64, otherwise: Unfit) -> Counted {
    if applicable == 0 { Err(Count::NotApplicable(otherwise)) } else { Ok((violated, applicable)) }
}
