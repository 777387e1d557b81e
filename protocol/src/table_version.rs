//! The content of a consolidated table as digests: of a row, of one member's part, of a whole version.
//!
//! A digest is over what the rows say and over nothing of how they lie in files, so that two builds of the same content
//! are the same version. No input or output and no Arrow here: the caller hands over cells.

use std::collections::BTreeMap;

use crate::digest::{DocumentDigest, blake3_for, preamble};
use crate::hex::byte_string;
use crate::ident::Name;
use crate::wire::codec;

byte_string! {
    /// The digest of one canonically encoded row.
    RowDigest, 32
}
byte_string! {
    /// The digest of all current rows of one member in one table, in whatever files they lie.
    PartDigest, 32
}
byte_string! {
    /// The name of a table version: the digest of its content. Equal ids are equal content.
    TableVersionId, 32
}

/// Separates the digests of rows from all others.
const ROW: &str = "consolidated row";
/// Separates the digests of parts.
const PART: &str = "consolidated part";
/// Separates the names of versions.
const VERSION: &str = "table version";

/// One cell, in the type that its column has in the common schema.
#[expect(missing_debug_implementations, reason = "it holds a cell")]
#[derive(Clone, Copy)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// Text.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// The bits of a 64-bit float.
    Float(u64),
    /// True or false.
    Boolean(bool),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00, without a zone.
    Timestamp(i64),
}

/// Digests of rows that are hashed at once.
const PIECE_ROWS: usize = 4_096;

impl RowDigest {
    /// Two numbers that are ordered as the bytes are, and compared much quicker.
    fn halves(&self) -> (u128, u128) {
        let number = |half: Option<&[u8; 16]>| half.copied().map_or(0, u128::from_be_bytes);
        (number(self.0.first_chunk()), number(self.0.last_chunk()))
    }
}

/// The bits that stand for every NaN.
const NAN_BITS: u64 = 0x7ff8_0000_0000_0000;

/// A row that is being encoded, cell by cell (spec CONS-1). One is used for many rows.
///
/// No two rows of one schema have one encoding: a cell is 0 for none, or 1 and the value, of fixed length or with its
/// length before it.
#[expect(missing_debug_implementations, reason = "it holds cells")]
pub struct RowEncoding {
    /// Begins with the preamble, so that a row is hashed at once.
    bytes: Vec<u8>,
    preamble_bytes: usize,
}

impl Default for RowEncoding {
    fn default() -> Self {
        Self::new()
    }
}

impl RowEncoding {
    /// A row without cells.
    pub fn new() -> Self {
        let bytes = preamble(ROW);
        Self { preamble_bytes: bytes.len(), bytes }
    }

    /// Begins the next row.
    pub fn clear(&mut self) {
        self.bytes.truncate(self.preamble_bytes);
    }

    /// The next cell, in the order of the schema's columns; source and origin come last.
    pub fn push(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Null => self.bytes.push(0),
            Cell::Text(text) => {
                self.value(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
                self.bytes.extend_from_slice(text.as_bytes());
            }
            Cell::Integer(number) | Cell::Timestamp(number) => self.value(&number.to_le_bytes()),
            Cell::Float(bits) => self.value(&one_nan(bits).to_le_bytes()),
            Cell::Boolean(value) => self.value(&[u8::from(value)]),
            Cell::Date(days) => self.value(&days.to_le_bytes()),
        }
    }

    fn value(&mut self, bytes: &[u8]) {
        self.bytes.push(1);
        self.bytes.extend_from_slice(bytes);
    }

    /// The cells pushed since the row began.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(self.preamble_bytes..).unwrap_or_default()
    }

    /// The row's digest.
    pub fn digest(&self) -> RowDigest {
        RowDigest(*blake3::hash(&self.bytes).as_bytes())
    }
}

/// The same bits for every NaN: which one a machine computes says nothing. 0 and -0 stay two values.
const fn one_nan(bits: u64) -> u64 {
    const INFINITY: u64 = 0x7ff0_0000_0000_0000;
    if bits & (u64::MAX >> 1) > INFINITY { NAN_BITS } else { bits }
}

impl PartDigest {
    /// The digest over the digests of a part's rows, which are sorted here: their order is one of files (spec CONS-2).
    ///
    /// Equal rows count as often as they are there. The member stands here once and not in each row.
    pub fn of(table: &Name, member: &Name, mut rows: Vec<RowDigest>) -> Self {
        rows.sort_unstable_by_key(RowDigest::halves);
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&preamble(PART));
        hasher.update(&codec::encode(&(table, member, count)));
        // BLAKE3 is quick where it gets many chunks at once.
        let mut piece = Vec::with_capacity(PIECE_ROWS.saturating_mul(32));
        for some in rows.chunks(PIECE_ROWS) {
            piece.clear();
            for row in some {
                piece.extend_from_slice(&row.0);
            }
            hasher.update(&piece);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

impl TableVersionId {
    /// The name of the version that these parts make up, one for each member (spec CONS-3).
    pub fn of(table: &Name, schema: &DocumentDigest, parts: &BTreeMap<&Name, PartDigest>) -> Self {
        Self(blake3_for(VERSION, [codec::encode(&(table, schema, parts)).as_slice()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn row(cells: &[Cell<'_>]) -> RowEncoding {
        let mut row = RowEncoding::new();
        for cell in cells {
            row.push(*cell);
        }
        row
    }

    // CONS-1
    #[test]
    fn no_two_rows_of_one_schema_have_one_encoding() {
        let texts = [
            [Cell::Text("ab"), Cell::Text("c")],
            [Cell::Text("a"), Cell::Text("bc")],
            [Cell::Text("abc"), Cell::Null],
            [Cell::Null, Cell::Text("abc")],
            [Cell::Text("abc"), Cell::Text("")],
        ];
        let numbers = [[Cell::Integer(0), Cell::Null], [Cell::Null, Cell::Integer(0)], [Cell::Integer(-1), Cell::Null]];
        for rows in [&texts[..], &numbers[..]] {
            let mut digests: Vec<RowDigest> = rows.iter().map(|cells| row(cells).digest()).collect();
            digests.sort_unstable();
            digests.dedup();
            assert_eq!(digests.len(), rows.len());
        }
    }

    #[test]
    fn a_row_is_encoded_the_same_after_another_one() {
        let mut used = row(&[Cell::Text("before"), Cell::Date(1)]);
        used.clear();
        used.push(Cell::Boolean(true));
        assert_eq!(used.bytes(), [1, 1]);
        assert_eq!(used.digest(), row(&[Cell::Boolean(true)]).digest());
        assert_ne!(used.digest().0, *blake3::hash(&[1, 1]).as_bytes(), "a row's digest is for rows alone");
    }

    #[test]
    fn every_nan_is_one_value_and_the_zeros_are_two() {
        let digest = |value: f64| row(&[Cell::Float(value.to_bits())]).digest();
        assert_eq!(digest(f64::NAN), digest(-f64::NAN));
        assert_eq!(digest(f64::NAN), digest(f64::from_bits(u64::MAX)));
        assert_ne!(digest(0.0), digest(-0.0));
        assert_ne!(digest(f64::INFINITY), digest(f64::NAN));
        assert_ne!(digest(f64::INFINITY), digest(f64::NEG_INFINITY));
    }

    // CONS-2 CONS-3
    #[test]
    fn digests_do_not_depend_on_order_and_on_everything_else() {
        let (table, other, north, south) = (name("death"), name("person"), name("north"), name("south"));
        let [a, b] = [1, 2].map(|byte| RowDigest([byte; 32]));
        let part = PartDigest::of(&table, &north, vec![a, b]);
        assert_eq!(part, PartDigest::of(&table, &north, vec![b, a]));
        let others = [
            PartDigest::of(&table, &north, vec![a]),
            PartDigest::of(&table, &north, vec![a, b, b]),
            PartDigest::of(&table, &south, vec![a, b]),
            PartDigest::of(&other, &north, vec![a, b]),
        ];
        assert!(!others.contains(&part));
        let schema = DocumentDigest([7; 32]);
        let version = |table, schema, parts| TableVersionId::of(table, schema, &BTreeMap::from_iter(parts));
        let both = version(&table, &schema, vec![(&north, part), (&south, others[0])]);
        let others = [
            version(&other, &schema, vec![(&north, part), (&south, others[0])]),
            version(&table, &DocumentDigest([8; 32]), vec![(&north, part), (&south, others[0])]),
            version(&table, &schema, vec![(&north, others[0]), (&south, part)]),
            version(&table, &schema, vec![(&north, part)]),
        ];
        assert!(!others.contains(&both));
    }
}
