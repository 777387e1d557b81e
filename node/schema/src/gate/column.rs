//! What one pass gathers of one field: values that are missing, of another kind or too long, and ids.

use arrow::array::{Array, ArrayRef, AsArray, StringArrayType};
use arrow::datatypes::{DataType, Int64Type};
use hashbrown::HashMap;

use super::keys::{Keys, References};
use crate::limits::{CONCEPTS_MAX, IDS_MAX, SOURCE_VALUE_BYTES_MAX, SOURCE_VALUES_MAX};
use crate::schema::{Field, Kind, Reference};

/// Of one field.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    kind: Kind,
    length_max: Option<u32>,
    /// Whether every batch had it.
    pub(crate) present: bool,
    pub(crate) nulls: u64,
    pub(crate) mistyped: u64,
    pub(crate) overlong: u64,
    pub(crate) ids: Ids,
}

/// The ids of a field, as far as anybody asks.
#[derive(Debug)]
pub(crate) enum Ids {
    Nothing,
    Keys(Keys),
    References(References),
    Concepts(Concepts),
}

impl Column {
    pub(crate) fn new(field: &Field) -> Self {
        let ids = match &field.reference {
            _ if field.primary_key => Ids::Keys(Keys::default()),
            Reference::Table(_) => Ids::References(References::default()),
            Reference::Concept(_) => Ids::Concepts(Concepts::default()),
            Reference::None | Reference::LeftOut(_) => Ids::Nothing,
        };
        let (name, kind, length_max) = (field.name.clone(), field.kind, field.length_max);
        Self { name, kind, length_max, present: true, nulls: 0, mistyped: 0, overlong: 0, ids }
    }

    pub(crate) fn see(&mut self, array: &ArrayRef) {
        self.nulls += array.logical_null_count() as u64;
        if !is_of(array.data_type(), self.kind) {
            self.mistyped += (array.len() - array.logical_null_count()) as u64;
            return;
        }
        if let Some(max) = self.length_max {
            self.overlong += overlong(array, max);
        }
        let Some(ids) = array.as_primitive_opt::<Int64Type>() else { return };
        match (&mut self.ids, array.null_count()) {
            (Ids::Nothing, _) => {}
            (Ids::Keys(keys), 0) => keys.see(ids.values().iter().copied(), IDS_MAX),
            (Ids::Keys(keys), _) => keys.see(ids.iter().flatten().collect::<Vec<_>>().into_iter(), IDS_MAX),
            (Ids::References(references), 0) => references.see(ids.values().iter().copied(), IDS_MAX),
            (Ids::References(references), _) => references.see(ids.iter().flatten(), IDS_MAX),
            (Ids::Concepts(concepts), 0) => concepts.see(ids.values().iter().copied()),
            (Ids::Concepts(concepts), _) => concepts.see(ids.iter().flatten()),
        }
    }
}

/// Whether an array is of a kind. Texts may be any of Arrow's three.
pub(crate) fn is_of(data_type: &DataType, kind: Kind) -> bool {
    match kind {
        Kind::Text => matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
        Kind::Integer | Kind::Float | Kind::Boolean | Kind::Date | Kind::Timestamp => *data_type == kind.arrow(),
    }
}

/// How many texts have more than `characters_max` characters. Nothing else has any.
pub fn overlong(array: &ArrayRef, characters_max: u32) -> u64 {
    overlong_rows(array, characters_max).count() as u64
}

/// The rows of the array, from 0, whose text has more than `characters_max` characters.
pub fn overlong_rows(array: &ArrayRef, characters_max: u32) -> Box<dyn Iterator<Item = usize> + '_> {
    fn rows<'a, T: StringArrayType<'a> + Copy + 'a>(texts: T, max: usize) -> Box<dyn Iterator<Item = usize> + 'a> {
        // Most texts are short: a text has at most as many characters as bytes.
        let long = move |text: &str| text.len() > max && text.chars().count() > max;
        let found = texts.iter().enumerate().filter(move |(_, text)| text.is_some_and(long));
        Box::new(found.map(|(row, _)| row))
    }
    let max = usize::try_from(characters_max).unwrap_or(usize::MAX);
    if let Some(texts) = array.as_string_opt::<i32>() {
        rows(texts, max)
    } else if let Some(texts) = array.as_string_opt::<i64>() {
        rows(texts, max)
    } else if let Some(texts) = array.as_string_view_opt() {
        rows(texts, max)
    } else {
        Box::new(std::iter::empty())
    }
}

/// How often each concept stands in a field.
#[derive(Debug, Default)]
pub(crate) struct Concepts {
    pub(crate) rows: HashMap<i64, u64>,
    pub(crate) overflowed: bool,
}

impl Concepts {
    fn see(&mut self, ids: impl Iterator<Item = i64>) {
        // A field often has the same concept for many rows on end.
        let mut run = (0, 0);
        for id in ids {
            if run.0 != id {
                self.add(run);
                run = (id, 0);
            }
            run.1 += 1;
        }
        self.add(run);
    }

    fn add(&mut self, (id, rows): (i64, u64)) {
        if rows > 0 {
            *self.rows.entry(id).or_default() += rows;
            self.overflowed |= self.rows.len() > CONCEPTS_MAX;
            if self.overflowed {
                self.rows.clear();
            }
        }
    }
}

/// The different source values of a field, and whether any row of each has concept 0.
#[derive(Debug, Default)]
pub(crate) struct SourceValues {
    unmapped: HashMap<Box<str>, bool>,
    /// Rows without a source value: whether there are any, and whether one has concept 0.
    missing: Option<bool>,
    bytes: usize,
    overflowed: bool,
}

impl SourceValues {
    pub(crate) fn see(&mut self, values: &ArrayRef, concepts: &ArrayRef) {
        let Some(concepts) = concepts.as_primitive_opt::<Int64Type>() else { return };
        let is_zero = |row: usize| concepts.is_valid(row) && concepts.value(row) == 0;
        if let Some(values) = values.as_string_opt::<i32>() {
            self.see_all(values, is_zero);
        } else if let Some(values) = values.as_string_opt::<i64>() {
            self.see_all(values, is_zero);
        } else if let Some(values) = values.as_string_view_opt() {
            self.see_all(values, is_zero);
        }
    }

    fn see_all<'a>(&mut self, values: impl StringArrayType<'a> + Copy, is_zero: impl Fn(usize) -> bool) {
        if values.null_count() == values.len() {
            let zero = (0..values.len()).any(is_zero);
            self.missing = (!values.is_empty()).then(|| zero || self.missing == Some(true)).or(self.missing);
            return;
        }
        let mut last = None;
        for (row, value) in values.iter().enumerate() {
            let this = Some((value, is_zero(row)));
            if this != last {
                last = this;
                self.add(value, is_zero(row));
            }
        }
    }

    fn add(&mut self, value: Option<&str>, zero: bool) {
        let Some(value) = value else {
            self.missing = Some(self.missing == Some(true) || zero);
            return;
        };
        if let Some(known) = self.unmapped.get_mut(value) {
            *known |= zero;
        } else if self.unmapped.len() < SOURCE_VALUES_MAX && self.bytes + value.len() <= SOURCE_VALUE_BYTES_MAX {
            self.bytes += value.len();
            self.unmapped.insert(value.into(), zero);
        } else {
            self.overflowed = true;
        }
    }

    /// Different values with concept 0, and different values; no value counts as one.
    pub(crate) fn counts(&self) -> Option<(u64, u64)> {
        let zero = self.unmapped.values().filter(|zero| **zero).count() as u64 + u64::from(self.missing == Some(true));
        let all = self.unmapped.len() as u64 + u64::from(self.missing.is_some());
        (!self.overflowed).then_some((zero, all))
    }
}
