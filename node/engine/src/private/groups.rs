//! The group that each row is in: a small number for each combination of key values.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, StringArray};
use arrow::datatypes::{Date32Type, Int64Type};

use crate::private::keyed::{Quick, SamplingKey};
use crate::private::term::{Kind, Value};

/// A row that is in no group: its key is none of the public ones.
pub(crate) const NO_GROUP: u32 = u32::MAX;

/// How many numbers are remembered beside their table.
const RECENT: usize = 256;

/// One key column.
pub(crate) struct KeyColumn {
    kind: Kind,
    values: Vec<Value>,
    /// Whether values that are not there yet get a code.
    open: bool,
    null: u32,
    numbers: HashMap<i64, u32, Quick>,
    texts: HashMap<Box<str>, u32, Quick>,
    /// Numbers that were seen of late with their codes, by their lowest bits; nothing yet where the code is none.
    recent: Box<[(i64, u32)]>,
    /// The text before, and its code: rows of one key often follow one another.
    last_text: (String, Option<u32>),
}

impl KeyColumn {
    pub(crate) fn new(kind: Kind, values: Option<&[Value]>, seed: Quick) -> Self {
        let mut column = Self {
            kind,
            values: Vec::new(),
            open: true,
            null: NO_GROUP,
            numbers: HashMap::with_hasher(seed),
            texts: HashMap::with_hasher(seed),
            recent: vec![(0, NO_GROUP); RECENT].into(),
            last_text: (String::new(), None),
        };
        if let Some(values) = values {
            for value in values {
                column.code(value);
            }
            column.open = false;
        }
        column
    }

    fn add(&mut self, value: Value) -> u32 {
        let code = u32::try_from(self.values.len()).unwrap_or(NO_GROUP);
        self.values.push(value);
        code
    }

    fn code(&mut self, value: &Value) -> u32 {
        match value {
            Value::Null(_) => self.null_code(),
            Value::Integer(number) | Value::Time(number) => self.number(*number),
            Value::Date(days) => self.number(i64::from(*days)),
            Value::Boolean(value) => self.number(i64::from(*value)),
            Value::Text(text) => self.text(text),
            Value::Float(_) => NO_GROUP,
        }
    }

    fn null_code(&mut self) -> u32 {
        if self.null == NO_GROUP && self.open {
            self.null = self.add(Value::Null(self.kind));
        }
        self.null
    }

    fn number(&mut self, number: i64) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the lowest bits are meant")]
        let slot = number as usize % RECENT;
        let (last, code) = self.recent[slot];
        if last == number && code != NO_GROUP {
            return code;
        }
        let code = match self.numbers.get(&number) {
            Some(code) => *code,
            None if self.open => {
                let code = self.add(match self.kind {
                    Kind::Date => Value::Date(i32::try_from(number).unwrap_or_default()),
                    Kind::Boolean => Value::Boolean(number != 0),
                    _ => Value::Integer(number),
                });
                self.numbers.insert(number, code);
                code
            }
            None => NO_GROUP,
        };
        self.recent[slot] = (number, code);
        code
    }

    fn text(&mut self, text: &str) -> u32 {
        if let (last, Some(code)) = &self.last_text
            && last == text
        {
            return *code;
        }
        let code = match self.texts.get(text) {
            Some(code) => *code,
            None if self.open => {
                let code = self.add(Value::Text(text.to_owned()));
                self.texts.insert(text.into(), code);
                code
            }
            None => NO_GROUP,
        };
        let (last, last_code) = &mut self.last_text;
        last.clear();
        last.push_str(text);
        *last_code = Some(code);
        code
    }

    pub(crate) fn codes(&mut self, array: &ArrayRef) -> Option<Vec<u32>> {
        let rows = array.len();
        let mut codes = Vec::with_capacity(rows);
        macro_rules! each {
            ($array:expr, $code:expr) => {{
                let array = $array;
                for row in 0..rows {
                    let code = if array.is_null(row) { self.null_code() } else { $code(&mut *self, array.value(row)) };
                    codes.push(code);
                }
            }};
        }
        match self.kind {
            Kind::Integer => each!(array.as_primitive_opt::<Int64Type>()?, Self::number),
            Kind::Date => {
                each!(array.as_primitive_opt::<Date32Type>()?, |column: &mut Self, days| column
                    .number(i64::from(days)));
            }
            Kind::Boolean => each!(array.as_boolean_opt()?, |column: &mut Self, value| column.number(i64::from(value))),
            Kind::Text => each!(array.as_string_opt::<i32>()?, Self::text),
            Kind::Float | Kind::Time => return None,
        }
        Some(codes)
    }
}

/// Numbers of pairs: of the number of what stands in the columns before, and the code of this one.
struct Level {
    by: HashMap<u64, u32, Quick>,
    members: Vec<(u32, u32)>,
    last: Option<(u64, u32)>,
}

impl Level {
    fn number(&mut self, before: u32, code: u32) -> u32 {
        let pair = u64::from(before) << 32 | u64::from(code);
        if let Some((same, number)) = self.last
            && same == pair
        {
            return number;
        }
        let members = &mut self.members;
        let number = *self.by.entry(pair).or_insert_with(|| {
            members.push((before, code));
            u32::try_from(members.len() - 1).unwrap_or(NO_GROUP)
        });
        self.last = Some((pair, number));
        number
    }
}

/// The groups of an answer.
pub(crate) struct Groups {
    columns: Vec<KeyColumn>,
    /// Of private keys: how each column but the first goes on from the number of those before it.
    levels: Vec<Level>,
    public: bool,
    key: SamplingKey,
    hashes: Vec<Option<u64>>,
}

impl Groups {
    /// Groups of keys of these kinds; `None` for a column whose values are private.
    pub(crate) fn new(columns: &[(Kind, Option<&[Value]>)], key: SamplingKey) -> Self {
        let seed = Quick(key.hash([0]));
        let public = columns.iter().all(|(_, values)| values.is_some());
        let columns: Vec<_> = columns.iter().map(|(kind, values)| KeyColumn::new(*kind, *values, seed)).collect();
        let level = |_| Level { by: HashMap::with_hasher(seed), members: Vec::new(), last: None };
        let levels = columns.iter().skip(1).map(level).collect();
        Self { columns, levels, public, key, hashes: Vec::new() }
    }

    /// How many there are; of private keys, so far.
    pub(crate) fn len(&self) -> usize {
        match (self.columns.as_slice(), self.public) {
            ([], _) => 1,
            (columns, true) => columns.iter().map(|column| column.values.len()).product(),
            ([one], false) => one.values.len(),
            (_, false) => self.levels.last().map_or(0, |level| level.members.len()),
        }
    }

    /// The group of each row of a batch of key columns.
    pub(crate) fn of(&mut self, arrays: &[ArrayRef], rows: usize) -> Option<Vec<u32>> {
        let Some((first, rest)) = self.columns.split_first_mut() else { return Some(vec![0; rows]) };
        let mut groups = first.codes(arrays.first()?)?;
        for (place, column) in rest.iter_mut().enumerate() {
            let codes = column.codes(arrays.get(place + 1)?)?;
            let width = u32::try_from(column.values.len()).ok()?;
            let level = self.levels.get_mut(place)?;
            for (group, code) in groups.iter_mut().zip(codes) {
                *group = match (*group == NO_GROUP || code == NO_GROUP, self.public) {
                    (true, _) => NO_GROUP,
                    (false, true) => *group * width + code,
                    (false, false) => level.number(*group, code),
                };
            }
        }
        Some(groups)
    }

    /// The values of a group.
    pub(crate) fn values(&self, group: u32) -> Vec<&Value> {
        let mut values = Vec::with_capacity(self.columns.len());
        let mut group = group;
        for (place, column) in self.columns.iter().enumerate().rev() {
            let width = u32::try_from(column.values.len()).unwrap_or(u32::MAX).max(1);
            let (before, code) = match (place, self.public) {
                (0, _) => (0, group),
                (_, true) => (group / width, group % width),
                (_, false) => self.levels[place - 1].members.get(group as usize).copied().unwrap_or((0, NO_GROUP)),
            };
            values.extend(column.values.get(code as usize));
            group = before;
        }
        values.reverse();
        values
    }

    /// The hash of a group's values, by which groups of a unit are sampled. It does not depend on which groups there are.
    pub(crate) fn hash(&mut self, group: u32) -> u64 {
        let place = group as usize;
        if self.hashes.len() <= place {
            self.hashes.resize(self.len().max(place + 1), None);
        }
        if let Some(hash) = self.hashes[place] {
            return hash;
        }
        let mut words = vec![1];
        for value in self.values(group) {
            match value {
                Value::Null(_) => words.push(0),
                Value::Integer(number) | Value::Time(number) => words.extend([1, number.cast_unsigned()]),
                Value::Float(bits) => words.extend([2, *bits]),
                Value::Boolean(value) => words.extend([3, u64::from(*value)]),
                Value::Date(days) => words.extend([4, i64::from(*days).cast_unsigned()]),
                Value::Text(text) => {
                    let chunks = text.as_bytes().chunks(8);
                    words.extend([5, text.len() as u64]);
                    words.extend(chunks.map(|chunk| chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))));
                }
            }
        }
        let hash = self.key.hash(words);
        self.hashes[place] = Some(hash);
        hash
    }

    /// How two groups compare by their values.
    pub(crate) fn compare(&self, one: u32, other: u32) -> Ordering {
        self.values(one).cmp(&self.values(other))
    }

    /// The key columns, and the groups in the order of their values.
    pub(crate) fn finish(&self) -> (Vec<ArrayRef>, Vec<u32>) {
        let mut groups: Vec<u32> = (0..u32::try_from(self.len()).unwrap_or(u32::MAX)).collect();
        let values: Vec<Vec<&Value>> = groups.iter().map(|group| self.values(*group)).collect();
        groups.sort_by(|one, other| values[*one as usize].cmp(&values[*other as usize]));
        let column = |(place, column): (usize, &KeyColumn)| {
            array(column.kind, groups.iter().map(|group| values[*group as usize].get(place).copied()))
        };
        (self.columns.iter().enumerate().map(column).collect(), groups)
    }
}

/// Values of one kind as a column.
pub(crate) fn array<'a>(kind: Kind, cells: impl Iterator<Item = Option<&'a Value>>) -> ArrayRef {
    match kind {
        Kind::Text => Arc::new(cells.map(text_of).collect::<StringArray>()),
        Kind::Boolean => Arc::new(cells.map(|cell| number_of(cell).map(|value| value != 0)).collect::<BooleanArray>()),
        Kind::Date => {
            let day = |cell| number_of(cell).and_then(|days| i32::try_from(days).ok());
            Arc::new(cells.map(day).collect::<Date32Array>())
        }
        Kind::Integer | Kind::Float | Kind::Time => Arc::new(cells.map(number_of).collect::<Int64Array>()),
    }
}

fn text_of(value: Option<&Value>) -> Option<&str> {
    match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn number_of(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Integer(number) | Value::Time(number) => Some(*number),
        Value::Date(days) => Some(i64::from(*days)),
        Value::Boolean(value) => Some(i64::from(*value)),
        Value::Null(_) | Value::Float(_) | Value::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrays(texts: &[Option<&str>], numbers: &[i64], truths: &[bool]) -> Vec<ArrayRef> {
        vec![
            Arc::new(texts.iter().copied().collect::<StringArray>()),
            Arc::new(Int64Array::from(numbers.to_vec())),
            Arc::new(BooleanArray::from(truths.to_vec())),
        ]
    }

    fn shown(groups: &Groups, group: u32) -> Vec<String> {
        groups
            .values(group)
            .into_iter()
            .map(|value| match value {
                Value::Text(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                Value::Boolean(value) => value.to_string(),
                _ => "-".to_owned(),
            })
            .collect()
    }

    #[test]
    fn private_groups_are_those_that_there_are_and_public_ones_those_that_are_named() {
        let kinds = [Kind::Text, Kind::Integer, Kind::Boolean];
        let private = kinds.map(|kind| (kind, None));
        let mut groups = Groups::new(&private, SamplingKey([1; 16]));
        let batch = arrays(&[Some("b"), None, Some("b"), Some("b")], &[1, 1, 2, 1], &[true, true, true, true]);
        assert_eq!(groups.of(&batch, 4).unwrap(), [0, 1, 2, 0]);
        assert_eq!(
            (groups.len(), shown(&groups, 1), shown(&groups, 2)),
            (3, vec!["-".into(), "1".into(), "true".into()], vec!["b".into(), "2".into(), "true".into()])
        );
        // Nulls come first, then the values in order.
        assert_eq!(groups.finish().1, [1, 0, 2]);
        let (texts, numbers) = ([Value::Text("a".into()), Value::Text("b".into())], [Value::Integer(1)]);
        let truths = [Value::Boolean(false), Value::Boolean(true)];
        let public = [(Kind::Text, Some(&texts[..])), (Kind::Integer, Some(&numbers)), (Kind::Boolean, Some(&truths))];
        let mut groups = Groups::new(&public, SamplingKey([1; 16]));
        assert_eq!(groups.of(&batch, 4).unwrap(), [3, NO_GROUP, NO_GROUP, 3]);
        assert_eq!(
            (groups.len(), shown(&groups, 3), groups.finish().0[0].len()),
            (4, vec!["b".into(), "1".into(), "true".into()], 4)
        );
        let mut none = Groups::new(&[], SamplingKey([1; 16]));
        assert_eq!((none.of(&[], 2).unwrap(), none.len()), (vec![0, 0], 1));
    }

    // QUES-10
    #[test]
    fn the_hash_of_a_group_does_not_depend_on_which_others_there_are() {
        let hash = |texts: &[Option<&str>], row: usize| {
            let mut groups = Groups::new(&[(Kind::Text, None)], SamplingKey([1; 16]));
            let array: ArrayRef = Arc::new(texts.iter().copied().collect::<StringArray>());
            let found = groups.of(&[array], texts.len()).unwrap()[row];
            groups.hash(found)
        };
        let alone = hash(&[Some("ward")], 0);
        assert_eq!(alone, hash(&[Some("other"), None, Some("ward")], 2));
        let others = [hash(&[None], 0), hash(&[Some("")], 0), hash(&[Some("ward\0")], 0), hash(&[Some("war")], 0)];
        assert!(others.iter().all(|other| *other != alone));
    }
}
