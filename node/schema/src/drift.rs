//! Drift: how a source's shape differs from the one that a mapping was last run on, and what that means for the mapping.
//!
//! A shape holds no value: codes and units are keyed digests that only their member can make. It is kept with the
//! snapshot and compared before a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cohortium_protocol::digest::{keyed_id, sha256_for};
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::record::schema::ColumnType;
use serde::{Deserialize, Serialize};

/// A code or a unit as its member knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark([u8; 16]);

impl Mark {
    /// The mark of a text under the member's own key.
    pub fn new(key: &[u8; 32], text: &str) -> Self {
        Self(keyed_id(key, [b"shape".as_slice(), text.as_bytes()]))
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark(..)")
    }
}

/// The shape of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnShape {
    /// Its type.
    pub kind: ColumnType,
    /// Its place in the source, from 0.
    pub place: u32,
    /// The codes that occur, where the mapping maps its codes; else nothing.
    pub codes: BTreeSet<Mark>,
    /// The units that occur, where the mapping reads it as units; else nothing.
    pub units: BTreeSet<Mark>,
}

impl ColumnShape {
    /// A digest of what the column holds, whatever it is called and wherever it stands.
    fn digest(&self) -> [u8; 32] {
        let mut form = format!("{:?}", self.kind).into_bytes();
        for marks in [&self.codes, &self.units] {
            form.push(0);
            for mark in marks {
                form.extend_from_slice(&mark.0);
            }
            form.extend_from_slice(&(marks.len() as u64).to_le_bytes());
        }
        sha256_for("column shape", &form)
    }
}

/// The shape of a source: its columns by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceShape {
    /// The columns.
    pub columns: BTreeMap<ColumnName, ColumnShape>,
}

/// What has changed about a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is gone, and a new one holds what it held.
    Renamed {
        /// The new name.
        to: ColumnName,
    },
    /// Its type is another.
    Retyped {
        /// What it was.
        from: ColumnType,
        /// What it is.
        to: ColumnType,
    },
    /// Its codes are others.
    Recoded {
        /// Codes that were not there.
        new: usize,
        /// Codes that are not there any more.
        gone: usize,
    },
    /// Its units are others.
    UnitChanged {
        /// Units that were not there.
        new: usize,
        /// Units that are not there any more.
        gone: usize,
    },
}

/// What a change means for a mapping that was made before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeClass {
    /// It cannot meet anything it does not know.
    Additive,
    /// It holds for what it knew, and may meet what it does not know.
    Widening,
    /// It does not fit any more.
    Breaking,
}

/// One change of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The column, by its name of before where it had one.
    pub column: ColumnName,
    /// What has changed.
    pub kind: ChangeKind,
    /// What that means.
    pub class: ChangeClass,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = &self.column;
        match &self.kind {
            ChangeKind::Added => write!(f, "column {column} is new"),
            ChangeKind::Removed => write!(f, "column {column} is gone"),
            ChangeKind::Renamed { to } => write!(f, "column {column} is called {to} now"),
            ChangeKind::Retyped { from, to } => {
                write!(f, "column {column} was {} and is {}", kind_word(*from), kind_word(*to))
            }
            ChangeKind::Recoded { new, gone } => write!(f, "column {column} has {new} new codes and {gone} fewer"),
            ChangeKind::UnitChanged { new, gone } => write!(f, "column {column} has {new} new units and {gone} fewer"),
        }?;
        write!(f, " ({})", self.class.word())
    }
}

const fn kind_word(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "text",
        ColumnType::Integer => "integer",
        ColumnType::Float => "float",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamp",
        ColumnType::Other => "something else",
    }
}

impl ChangeClass {
    /// As people call it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Additive => "additive",
            Self::Widening => "widening",
            Self::Breaking => "breaking",
        }
    }
}

impl SourceShape {
    /// The columns alone, without what is in them: what is known before a row is read.
    #[must_use]
    pub fn bare(&self) -> Self {
        let bare =
            |shape: &ColumnShape| ColumnShape { codes: BTreeSet::new(), units: BTreeSet::new(), ..shape.clone() };
        Self { columns: self.columns.iter().map(|(name, shape)| (name.clone(), bare(shape))).collect() }
    }
}

/// The changes from one shape to another, by column.
///
/// A column that is gone and a column that is new are one that was renamed when they are the only two of equal digest,
/// and when something speaks for it besides the type: codes, units, or the same place in the source. In doubt they are
/// two. A renamed column breaks the mapping that asks for it by its old name.
pub fn classify(before: &SourceShape, now: &SourceShape) -> Vec<Change> {
    let only = |one: &SourceShape, other: &SourceShape| -> Vec<(ColumnName, ColumnShape)> {
        let of_one = one.columns.iter().filter(|(name, _)| !other.columns.contains_key(*name));
        of_one.map(|(name, shape)| (name.clone(), shape.clone())).collect()
    };
    let (gone, mut new) = (only(before, now), only(now, before));
    let mut changes = Vec::new();
    let unambiguous = |columns: &[(ColumnName, ColumnShape)], digest: &[u8; 32]| {
        columns.iter().filter(|(_, shape)| shape.digest() == *digest).count() == 1
    };
    let all_new = new.clone();
    for (name, shape) in &gone {
        let digest = shape.digest();
        let renamed = new.iter().position(|(_, other)| {
            let evident = !shape.codes.is_empty() || !shape.units.is_empty() || shape.place == other.place;
            evident && other.digest() == digest && unambiguous(&gone, &digest) && unambiguous(&all_new, &digest)
        });
        let kind = renamed.map_or(ChangeKind::Removed, |place| ChangeKind::Renamed { to: new.remove(place).0 });
        changes.push(Change { column: name.clone(), kind, class: ChangeClass::Breaking });
    }
    let added = |(column, _)| Change { column, kind: ChangeKind::Added, class: ChangeClass::Additive };
    changes.extend(new.into_iter().map(added));
    for (name, was) in &before.columns {
        if let Some(is) = now.columns.get(name) {
            changes.extend(of_column(name, was, is));
        }
    }
    changes.sort_by(|a, b| (&a.column, &a.kind).cmp(&(&b.column, &b.kind)));
    changes
}

fn of_column(name: &ColumnName, was: &ColumnShape, is: &ColumnShape) -> impl Iterator<Item = Change> {
    let retyped = (was.kind != is.kind).then(|| {
        let kind = ChangeKind::Retyped { from: was.kind, to: is.kind };
        (kind, retyping(was.kind, is.kind))
    });
    let recoded = marks(&was.codes, &is.codes).map(|(new, gone, class)| (ChangeKind::Recoded { new, gone }, class));
    let units = marks(&was.units, &is.units).map(|(new, gone, class)| (ChangeKind::UnitChanged { new, gone }, class));
    let column = name.clone();
    let found = [retyped, recoded, units].into_iter().flatten();
    found.map(move |(kind, class)| Change { column: column.clone(), kind, class })
}

/// A type that holds every value of the one before it widens.
fn retyping(from: ColumnType, to: ColumnType) -> ChangeClass {
    match (from, to) {
        (ColumnType::Integer, ColumnType::Float) | (ColumnType::Date, ColumnType::Timestamp) => ChangeClass::Widening,
        _ => ChangeClass::Breaking,
    }
}

/// How many marks are new and how many are gone, and what that means: new ones beside old ones widen; when none of the
/// old ones is left, the column is written in another way. Where there was none, nothing was known that could be gone.
fn marks(was: &BTreeSet<Mark>, is: &BTreeSet<Mark>) -> Option<(usize, usize, ChangeClass)> {
    let (new, gone) = (is.difference(was).count(), was.difference(is).count());
    let class = match (new, gone) {
        (0, 0) => return None,
        (0, _) => ChangeClass::Additive,
        (_, gone) if gone == was.len() && !was.is_empty() => ChangeClass::Breaking,
        _ => ChangeClass::Widening,
    };
    Some((new, gone, class))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(columns: &[(&str, ColumnType, &[&str], &[&str])]) -> SourceShape {
        let marks = |texts: &[&str]| texts.iter().map(|text| Mark::new(&[7; 32], text)).collect();
        let columns = columns.iter().zip(0..).map(|((name, kind, codes, units), place)| {
            (name.parse().unwrap(), ColumnShape { kind: *kind, place, codes: marks(codes), units: marks(units) })
        });
        SourceShape { columns: columns.collect() }
    }

    fn changes(before: &SourceShape, now: &SourceShape) -> Vec<(String, ChangeKind, ChangeClass)> {
        let found = classify(before, now).into_iter();
        found.map(|change| (change.column.as_str().to_owned(), change.kind, change.class)).collect()
    }

    use ChangeClass::{Additive, Breaking, Widening};
    use ColumnType::{Date, Float, Integer, Text, Timestamp};

    #[test]
    fn an_equal_shape_has_not_changed_and_columns_may_move() {
        let before = shape(&[("sex", Text, &["M", "F"], &[]), ("age", Integer, &[], &[])]);
        let moved = shape(&[("age", Integer, &[], &[]), ("sex", Text, &["F", "M"], &[])]);
        assert_eq!(changes(&before, &moved), []);
    }

    #[test]
    fn columns_come_and_go() {
        let before = shape(&[("sex", Text, &["M"], &[]), ("age", Integer, &[], &[])]);
        let now = shape(&[("age", Integer, &[], &[]), ("ward", Text, &[], &[])]);
        let expected =
            [("sex".to_owned(), ChangeKind::Removed, Breaking), ("ward".to_owned(), ChangeKind::Added, Additive)];
        assert_eq!(changes(&before, &now), expected);
    }

    #[test]
    fn a_renamed_column_is_known_by_what_it_holds() {
        let renamed = |to: &str| ChangeKind::Renamed { to: to.parse().unwrap() };
        let before = shape(&[("sex", Text, &["M", "F"], &[]), ("age", Integer, &[], &[])]);
        let by_codes = shape(&[("age", Integer, &[], &[]), ("gender", Text, &["M", "F"], &[])]);
        assert_eq!(changes(&before, &by_codes), [("sex".to_owned(), renamed("gender"), Breaking)]);
        let by_place = shape(&[("sex", Text, &["M", "F"], &[]), ("years", Integer, &[], &[])]);
        assert_eq!(changes(&before, &by_place), [("age".to_owned(), renamed("years"), Breaking)]);
        let elsewhere = shape(&[("years", Integer, &[], &[]), ("sex", Text, &["M", "F"], &[])]);
        let kinds: Vec<_> = changes(&before, &elsewhere).into_iter().map(|(_, kind, _)| kind).collect();
        assert_eq!(kinds, [ChangeKind::Removed, ChangeKind::Added], "a type alone is no evidence");
        let twice = shape(&[("a", Text, &["M", "F"], &[]), ("age", Integer, &[], &[]), ("b", Text, &["M", "F"], &[])]);
        let kinds: Vec<_> = changes(&before, &twice).into_iter().map(|(_, kind, _)| kind).collect();
        assert_eq!(kinds, [ChangeKind::Added, ChangeKind::Added, ChangeKind::Removed], "two could be it");
    }

    #[test]
    fn a_type_that_holds_the_old_values_widens() {
        let class = |from, to| changes(&shape(&[("x", from, &[], &[])]), &shape(&[("x", to, &[], &[])]))[0].2;
        assert_eq!((class(Integer, Float), class(Date, Timestamp)), (Widening, Widening));
        assert_eq!(
            (class(Float, Integer), class(Integer, Text), class(Timestamp, Date)),
            (Breaking, Breaking, Breaking)
        );
    }

    #[test]
    fn codes_and_units_are_compared_as_sets() {
        let codes = |was: &[&str], is: &[&str]| {
            let found = changes(&shape(&[("x", Text, was, &[])]), &shape(&[("x", Text, is, &[])]));
            found.into_iter().map(|(_, kind, class)| (kind, class)).collect::<Vec<_>>()
        };
        let recoded = |new, gone| ChangeKind::Recoded { new, gone };
        assert_eq!(codes(&["M", "F"], &["M"]), [(recoded(0, 1), Additive)]);
        assert_eq!(codes(&["M", "F"], &["M", "F", "U"]), [(recoded(1, 0), Widening)]);
        assert_eq!(codes(&["M", "F"], &["M", "W"]), [(recoded(1, 1), Widening)]);
        assert_eq!(codes(&["M", "F"], &["1", "2"]), [(recoded(2, 2), Breaking)]);
        assert_eq!(codes(&["M", "F"], &[]), [(recoded(0, 2), Additive)]);
        assert_eq!(codes(&[], &["M"]), [(recoded(1, 0), Widening)], "nothing was known that could be gone");
        let units = changes(&shape(&[("x", Float, &[], &["mg/dL"])]), &shape(&[("x", Float, &[], &["mmol/L"])]));
        assert_eq!(units, [("x".to_owned(), ChangeKind::UnitChanged { new: 1, gone: 1 }, Breaking)]);
        let beside = changes(&shape(&[("x", Float, &[], &["a"])]), &shape(&[("x", Float, &[], &["a", "b"])]));
        assert_eq!(beside, [("x".to_owned(), ChangeKind::UnitChanged { new: 1, gone: 0 }, Widening)]);
    }

    #[test]
    fn before_a_row_is_read_columns_and_kinds_are_compared() {
        let before = shape(&[("sex", Text, &["M"], &[]), ("age", Integer, &[], &[])]);
        let now = shape(&[("sex", Text, &["1"], &[]), ("age", Text, &[], &[])]);
        let kinds: Vec<_> = changes(&before.bare(), &now.bare()).into_iter().map(|(column, ..)| column).collect();
        assert_eq!(kinds, ["age"]);
        assert_eq!(changes(&before, &now).len(), 2);
    }

    #[test]
    fn a_change_is_told_by_columns_and_numbers() {
        let before = shape(&[("sex", Text, &["CANARY"], &[]), ("age", Integer, &[], &[])]);
        let now = shape(&[("sex", Text, &["CANARY2"], &[]), ("age", Text, &[], &[]), ("ward", Text, &[], &[])]);
        let told: Vec<String> = classify(&before, &now).iter().map(ToString::to_string).collect();
        let expected = [
            "column age was integer and is text (breaking)",
            "column sex has 1 new codes and 1 fewer (breaking)",
            "column ward is new (additive)",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_shape_tells_no_code_and_travels() {
        let source = shape(&[("sex", Text, &["CANARY"], &["mmol"])]);
        let text = serde_json::to_string(&source).unwrap();
        assert!(!text.contains("CANARY") && !format!("{source:?}").contains("CANARY"));
        assert_eq!(serde_json::from_str::<SourceShape>(&text).unwrap(), source);
        assert_ne!(Mark::new(&[1; 32], "M"), Mark::new(&[2; 32], "M"), "nobody without the key can try codes");
    }
}
