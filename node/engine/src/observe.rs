//! What a source's columns look like, for a draft: types found in the first rows, roles guessed from names.
//!
//! It says what kind of value stands in a column and nothing of the values themselves: no extreme, no list, no count. What
//! is learned from rows and fixed as a bound would no longer be public.

use arrow::array::{Array, StringArray};
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::record::dataset::DateFormat;
use cohortium_protocol::record::schema::{ColumnRole, ColumnType, IdentifierClass};
use cohortium_protocol::record::suspicion::{Suspicion, suspicion};
use serde::{Deserialize, Serialize};

use crate::batch::SourceFault;
use crate::calendar::CalendarDay;
use crate::cells::text;
use crate::columnar::plain_array;
use crate::handle::Handle;
use crate::limits::Limits;
use crate::row_fault::Tolerance;
use crate::source::{Format, SourceReader};

/// Rows that are looked at.
const ROWS: usize = 10_000;

/// What the values of a column look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Looks {
    /// Whole numbers.
    Integer,
    /// Numbers.
    Number,
    /// True and false.
    Boolean,
    /// Days, written so.
    Date(DateFormat),
    /// Days, as days.
    Day,
    /// Points in time.
    Timestamp,
    /// Text.
    Text,
    /// No value in the rows that were looked at.
    Nothing,
    /// Something that can be dropped or mapped, and never leaves as it is.
    Other,
}

/// One column of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedColumn {
    /// Its name.
    pub name: ColumnName,
    /// What its values look like.
    pub looks: Looks,
    /// A guess for a person to correct.
    pub role: ColumnRole,
    /// Another: which of the identifiers of Safe Harbor it holds.
    pub class: Option<IdentifierClass>,
}

/// Looks at the columns of a source and its first rows. Rows that cannot be read are passed over.
///
/// # Errors
/// [`SourceFault`].
pub fn observe(source: &Handle, format: Format, limits: &Limits) -> Result<Vec<ObservedColumn>, SourceFault> {
    let mut reader = SourceReader::open_with(source, format, limits, Tolerance::SetAside)?;
    let mut texts = vec![TextLooks::default(); reader.columns().len()];
    let mut rows = 0;
    while rows < ROWS {
        let Some(batch) = reader.next_batch()? else { break };
        rows += batch.places.len() + batch.set_aside.len();
        for (column, looks) in batch.columns.iter().zip(&mut texts) {
            let plain = column.as_ref().and_then(plain_array);
            if let Some(Ok(cells)) = plain.map(|array| text(&array)) {
                looks.see(&cells);
            }
        }
    }
    let columns = reader.columns().iter().zip(texts).map(|(column, looks)| {
        let Suspicion { role, class, .. } = *suspicion(column.name.as_str());
        let looks = match column.leaves_as() {
            Some(ColumnType::Text) => looks.verdict(),
            Some(ColumnType::Integer) => Looks::Integer,
            Some(ColumnType::Float) => Looks::Number,
            Some(ColumnType::Boolean) => Looks::Boolean,
            Some(ColumnType::Date) => Looks::Day,
            Some(ColumnType::Timestamp) => Looks::Timestamp,
            Some(ColumnType::Other) | None => Looks::Other,
        };
        ObservedColumn { name: column.name.clone(), looks, role, class }
    });
    Ok(columns.collect())
}

/// What a text can look like, the first that fits before the others: eight digits are a day before they are a number.
const GUESSES: [Looks; 7] = [
    Looks::Date(DateFormat::Iso),
    Looks::Date(DateFormat::DayMonthYearDots),
    Looks::Date(DateFormat::MonthDayYearSlashes),
    Looks::Date(DateFormat::Compact),
    Looks::Integer,
    Looks::Number,
    Looks::Boolean,
];

fn fits(cell: &str, looks: Looks) -> bool {
    match looks {
        Looks::Date(format) => CalendarDay::read(cell, format).is_some(),
        Looks::Integer => cell.parse::<i64>().is_ok(),
        Looks::Number => cell.parse::<f64>().is_ok_and(f64::is_finite),
        Looks::Boolean => matches!(cell, "true" | "false" | "TRUE" | "FALSE" | "True" | "False"),
        Looks::Day | Looks::Timestamp | Looks::Text | Looks::Nothing | Looks::Other => false,
    }
}

/// What every cell of a column so far could be.
#[derive(Clone)]
struct TextLooks {
    seen: bool,
    guesses: Vec<Looks>,
}

impl Default for TextLooks {
    fn default() -> Self {
        Self { seen: false, guesses: GUESSES.to_vec() }
    }
}

impl TextLooks {
    fn see(&mut self, cells: &StringArray) {
        for cell in (0..cells.len()).filter(|row| cells.is_valid(*row)).map(|row| cells.value(row).trim()) {
            if !cell.is_empty() {
                self.seen = true;
                self.guesses.retain(|looks| fits(cell, *looks));
            }
        }
    }

    fn verdict(&self) -> Looks {
        if self.seen { self.guesses.first().copied().unwrap_or(Looks::Text) } else { Looks::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::record::text_form::TextForm;

    use super::*;

    #[test]
    fn a_column_looks_like_what_all_its_cells_are() {
        let table = "eid,age,bmi,born,seen,flag,note,none,day\n\
                     1,54,1.5,2001-02-03,03.02.2001,true,a,,20010203\n\
                     2,,-3,2001-02-28T01:02,,false,7,,20010204\n";
        let handle: Handle = std::sync::Arc::new(table.as_bytes().to_vec());
        let columns = observe(&handle, Format::Csv(TextForm::default()), &Limits::default()).unwrap();
        let looks: Vec<_> = columns.iter().map(|column| column.looks).collect();
        assert_eq!(
            looks,
            [
                Looks::Integer,
                Looks::Integer,
                Looks::Number,
                Looks::Date(DateFormat::Iso),
                Looks::Date(DateFormat::DayMonthYearDots),
                Looks::Boolean,
                Looks::Text,
                Looks::Nothing,
                Looks::Date(DateFormat::Compact),
            ]
        );
        assert_eq!(columns[0].role, ColumnRole::DirectIdentifier);
    }
}
