//! What one column of one rule is made of: an array of the column's type, and for each row that has none the reason.
//!
//! A value that cannot be made is never a silent null (law 12): the row gets a [`Reason`], and the fact goes to quarantine.

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, new_null_array};
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{DataType, Date32Type};
use cohortium_schema::schema::Field;
use cohortium_schema::unit::Conversion;

use datafusion::physical_expr::PhysicalExpr;

use crate::calendar::CalendarDay;
use crate::cells::{self, gather};
use crate::mapping::account::Reason;
use crate::mapping::codes::{Asked, Finder};
pub(crate) use crate::mapping::exact::cast_to;
use crate::mapping::file::Several;
use crate::mapping::table::Losses;
use crate::mapping::unit::Converter;

/// Distinct unmapped codes that are listed.
const UNMAPPED_MAX: usize = 10_000;
/// Distinct units of one column: more are no units.
const UNITS_MAX: usize = 256;

/// What rules with a code of several facts call the concept of each, as text; empty where none stands for the code.
pub(crate) const CONCEPT_COLUMN: &str = "cohortium_concept";

/// An expression over a source's columns, as it is evaluated.
pub(crate) type Expression = Arc<dyn PhysicalExpr>;

/// How a column is made.
pub(crate) enum Making {
    Constant(ArrayRef),
    Expression(Expression),
    /// `map` is what the report calls the codes' list.
    Code {
        code: Expression,
        on: Option<Expression>,
        map: String,
        finder: Finder,
        several: Several,
        default: Option<i64>,
    },
    /// As a code of which each concept has made a row of its own: the concept stands in [`CONCEPT_COLUMN`].
    Spread {
        code: Expression,
        on: Option<Expression>,
        map: String,
        default: Option<i64>,
    },
    Unit {
        value: Expression,
        unit: Expression,
        converter: Converter,
        known: BTreeMap<String, Option<Conversion>>,
    },
    Default {
        expression: Option<Expression>,
        default: ArrayRef,
    },
}

/// One column of a rule.
pub(crate) struct Maker {
    pub(crate) field: Field,
    pub(crate) making: Making,
    /// How often a recorded default was used.
    pub(crate) defaults_used: u64,
}

/// A column as made: no value stands where there is a reason.
pub(crate) struct Made {
    pub(crate) array: ArrayRef,
    /// Rows that failed here, ascending, and why.
    pub(crate) failed: Vec<(usize, Reason)>,
}

impl Making {
    /// The expressions that it evaluates.
    pub(crate) fn expressions(&self) -> Vec<&Expression> {
        match self {
            Self::Constant(_) => Vec::new(),
            Self::Expression(expression) => vec![expression],
            Self::Code { code, on, .. } | Self::Spread { code, on, .. } => iter::once(code).chain(on).collect(),
            Self::Unit { value, unit, .. } => vec![value, unit],
            Self::Default { expression, .. } => expression.iter().collect(),
        }
    }
}

impl Maker {
    /// Makes the column for every row of a batch.
    pub(crate) fn make(&mut self, batch: &RecordBatch, losses: &mut Losses) -> Made {
        let mut failed = Vec::new();
        let array = match &mut self.making {
            Making::Constant(value) => repeat(value, batch.num_rows()),
            Making::Expression(expression) => {
                let raw = evaluate(expression, batch, &mut failed);
                cast(&raw, &self.field, &mut failed)
            }
            Making::Code { code, on, map, finder, several, default } => {
                let asked = asked(code, on.as_ref(), batch, &mut failed);
                let lookup = Lookup { map, default: *default, several: *several, used: &mut self.defaults_used };
                lookup.run(&asked, |_, code, day| finder.concepts(code, day), &mut failed, losses)
            }
            Making::Spread { code, on, map, default } => {
                let asked = asked(code, on.as_ref(), batch, &mut failed);
                let concepts = batch.column_by_name(CONCEPT_COLUMN).map(texts);
                let concept =
                    |row: usize| concepts.as_ref().and_then(|concepts| concepts.value(row).parse::<i64>().ok());
                let several = Several::Refuse;
                let lookup = Lookup { map, default: *default, several, used: &mut self.defaults_used };
                lookup.run(&asked, |row, _, _| concept(row).into_iter().collect(), &mut failed, losses)
            }
            Making::Unit { value, unit, converter, known } => {
                let values = evaluate(value, batch, &mut failed);
                let values = cast_to(&values, &DataType::Float64, &mut failed);
                let units = texts(&evaluate(unit, batch, &mut failed));
                convert(&values, &units, converter, known, &mut failed)
            }
            Making::Default { expression, default } => {
                let raw = match expression {
                    Some(expression) => {
                        let raw = evaluate(expression, batch, &mut failed);
                        cast(&raw, &self.field, &mut failed)
                    }
                    None => new_null_array(&self.field.kind.arrow(), batch.num_rows()),
                };
                self.defaults_used += (raw.null_count() - failed.len().min(raw.null_count())) as u64;
                fill(&raw, default)
            }
        };
        self.check(&array, &mut failed);
        // Of two reasons the one that was found first.
        failed.sort_by_key(|(row, _)| *row);
        failed.dedup_by_key(|(row, _)| *row);
        Made { array, failed }
    }

    /// Required columns have values, and texts the length that they may have.
    fn check(&self, array: &ArrayRef, failed: &mut Vec<(usize, Reason)>) {
        if self.field.required && array.null_count() > 0 {
            let known: std::collections::BTreeSet<usize> = failed.iter().map(|(row, _)| *row).collect();
            let missing = (0..array.len()).filter(|row| array.is_null(*row) && !known.contains(row));
            failed.extend(missing.map(|row| (row, Reason::Missing)));
        }
        if let (Some(max), Some(texts)) = (self.field.length_max, array.as_string_opt::<i32>()) {
            let longest = max as usize;
            for (row, text) in texts.iter().enumerate() {
                if text.is_some_and(|text| text.len() > longest && text.chars().count() > longest) {
                    failed.push((row, Reason::Length));
                }
            }
        }
    }
}

fn repeat(value: &ArrayRef, rows: usize) -> ArrayRef {
    gather(value, &vec![0; rows]).unwrap_or_else(|_| new_null_array(value.data_type(), rows))
}

/// Evaluates an expression; where it fails for the batch, by halves, until the rows are found for which it fails.
pub(crate) fn evaluate(expression: &Expression, batch: &RecordBatch, failed: &mut Vec<(usize, Reason)>) -> ArrayRef {
    let whole = expression.evaluate(batch).and_then(|value| value.into_array(batch.num_rows()));
    if let Ok(array) = whole {
        array
    } else {
        let mut parts = Vec::new();
        halves(expression, batch, 0, &mut parts, failed);
        let kind = parts.iter().flatten().map(|array: &ArrayRef| array.data_type().clone()).next();
        let kind = kind.unwrap_or(DataType::Utf8);
        let whole: Vec<ArrayRef> =
            parts.into_iter().map(|part| part.unwrap_or_else(|| new_null_array(&kind, 1))).collect();
        let whole: Vec<&dyn Array> = whole.iter().map(AsRef::as_ref).collect();
        arrow::compute::concat(&whole).unwrap_or_else(|_| new_null_array(&kind, batch.num_rows()))
    }
}

fn halves(
    expression: &Expression,
    batch: &RecordBatch,
    first: usize,
    parts: &mut Vec<Option<ArrayRef>>,
    failed: &mut Vec<(usize, Reason)>,
) {
    let rows = batch.num_rows();
    if rows == 0 {
        return;
    }
    if let Ok(array) = expression.evaluate(batch).and_then(|value| value.into_array(rows)) {
        parts.push(Some(array));
    } else if rows == 1 {
        parts.push(None);
        failed.push((first, Reason::Expression));
    } else {
        let half = rows / 2;
        halves(expression, &batch.slice(0, half), first, parts, failed);
        halves(expression, &batch.slice(half, rows - half), first + half, parts, failed);
    }
}

fn cast(raw: &ArrayRef, field: &Field, failed: &mut Vec<(usize, Reason)>) -> ArrayRef {
    cast_to(raw, &field.kind.arrow(), failed)
}

pub(crate) fn texts(raw: &ArrayRef) -> arrow::array::StringArray {
    cells::text(raw).unwrap_or_else(|_| arrow::array::StringArray::new_null(raw.len()))
}

/// The codes of a batch, each with its day where one is asked for.
pub(crate) fn asked(
    code: &Expression,
    on: Option<&Expression>,
    batch: &RecordBatch,
    failed: &mut Vec<(usize, Reason)>,
) -> Asked {
    let codes = texts(&evaluate(code, batch, failed));
    let days = on.map(|on| {
        let raw = evaluate(on, batch, failed);
        days(&raw, failed)
    });
    Asked { codes, days }
}

/// Days as numbers `YYYYMMDD`; a value that is no day, or none at all, is a failed row.
fn days(raw: &ArrayRef, failed: &mut Vec<(usize, Reason)>) -> Vec<Option<u32>> {
    let known = failed.len();
    let made = cast_to(raw, &DataType::Date32, failed);
    let missing = (0..raw.len()).filter(|row| raw.is_null(*row));
    let missing: Vec<_> = missing.filter(|row| !failed[..known].iter().any(|(known, _)| known == row)).collect();
    failed.extend(missing.into_iter().map(|row| (row, Reason::Missing)));
    let Some(days) = made.as_primitive_opt::<Date32Type>() else { return vec![None; raw.len()] };
    let number = |days: i32| {
        let day = CalendarDay::from_epoch(i64::from(days))?;
        Some(day.year * 10_000 + day.month * 100 + day.day)
    };
    days.iter().map(|day| day.and_then(number)).collect()
}

/// How concepts of codes become a column.
struct Lookup<'a> {
    map: &'a str,
    default: Option<i64>,
    several: Several,
    used: &'a mut u64,
}

impl Lookup<'_> {
    fn run(
        self,
        asked: &Asked,
        mut concepts: impl FnMut(usize, &str, Option<u32>) -> Arc<[i64]>,
        failed: &mut Vec<(usize, Reason)>,
        losses: &mut Losses,
    ) -> ArrayRef {
        let rows = asked.codes.len();
        let mut built = Int64Array::builder(rows);
        for row in 0..rows {
            let Some((code, day)) = asked.row(row) else {
                built.append_null();
                continue;
            };
            match (&*concepts(row, code, day), self.several, self.default) {
                ([concept], _, _) | ([concept, ..], Several::Lowest, _) => built.append_value(*concept),
                ([_, ..], Several::Refuse | Several::Each, _) => {
                    failed.push((row, Reason::Several));
                    built.append_null();
                }
                ([], _, Some(default)) => {
                    losses.unmapped(self.map, code, UNMAPPED_MAX);
                    *self.used += 1;
                    built.append_value(default);
                }
                ([], _, None) => {
                    losses.unmapped(self.map, code, UNMAPPED_MAX);
                    failed.push((row, Reason::Code));
                    built.append_null();
                }
            }
        }
        Arc::new(built.finish())
    }
}

/// Values in the unit that leaves. A value without a unit is a failed row: nobody guesses.
fn convert(
    values: &ArrayRef,
    units: &arrow::array::StringArray,
    converter: &Converter,
    known: &mut BTreeMap<String, Option<Conversion>>,
    failed: &mut Vec<(usize, Reason)>,
) -> ArrayRef {
    let Some(values) = values.as_primitive_opt::<arrow::datatypes::Float64Type>() else {
        return new_null_array(&DataType::Float64, values.len());
    };
    let mut built = Float64Array::builder(values.len());
    for (row, (value, unit)) in values.iter().zip(units).enumerate() {
        let Some(value) = value else {
            built.append_null();
            continue;
        };
        let conversion = unit.and_then(|unit| {
            if !known.contains_key(unit) && known.len() < UNITS_MAX {
                known.insert(unit.to_owned(), converter.conversion(unit).ok());
            }
            known.get(unit).and_then(Option::as_ref)
        });
        if let Some(converted) = conversion.and_then(|conversion| conversion.value(value)) {
            built.append_value(converted);
        } else {
            failed.push((row, Reason::Unit));
            built.append_null();
        }
    }
    Arc::new(built.finish())
}

/// The default in the place of every null.
fn fill(raw: &ArrayRef, default: &ArrayRef) -> ArrayRef {
    if raw.null_count() == 0 {
        return Arc::clone(raw);
    }
    let there: BooleanArray = (0..raw.len()).map(|row| Some(raw.is_valid(row))).collect();
    let default = arrow::array::Scalar::new(Arc::clone(default));
    zip(&there, raw, &default).unwrap_or_else(|_| Arc::clone(raw))
}
