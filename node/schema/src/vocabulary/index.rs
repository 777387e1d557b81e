//! A vocabulary in memory: concepts by id and by code, and what each one maps to. And its form at rest.

use std::fmt;

use cohortium_protocol::digest::DocumentDigest;

use crate::gate::{Concept, Concepts};

/// Bits of [`Row::flags`].
const STANDARD: u8 = 1;
const CLASSIFICATION: u8 = 2;
const DELETED: u8 = 4;
const REPLACED: u8 = 8;

/// One concept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: u32,
    /// Where its code begins among all codes, and its bytes.
    pub(super) start: u32,
    pub(super) length: u16,
    pub(super) domain: u16,
    pub(super) vocabulary: u16,
    pub(super) flags: u8,
    /// First and last day, as numbers `YYYYMMDD`.
    pub(super) days: (u32, u32),
}

/// The flags of `standard_concept` and `invalid_reason`. What is neither empty nor D is taken for replaced.
pub(super) fn flags(standard: &str, invalid: &str) -> u8 {
    let standard = match standard {
        "S" => STANDARD,
        "C" => CLASSIFICATION,
        _ => 0,
    };
    let invalid = match invalid {
        "" => 0,
        "D" => DELETED,
        _ => REPLACED,
    };
    standard | invalid
}

/// Whether a concept still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// It does.
    Valid,
    /// It was deleted.
    Deleted,
    /// Another one took its place.
    Replaced,
}

/// A concept of a vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its id.
    pub id: i64,
    /// Its code in its own vocabulary.
    pub code: &'a str,
    /// That vocabulary.
    pub vocabulary: &'a str,
    /// Its domain.
    pub domain: &'a str,
    /// Whether it is a standard concept.
    pub standard: bool,
    /// Whether it still holds.
    pub validity: Validity,
}

/// The concepts that stand for another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapsTo<'a> {
    /// Standard and valid, in the order of their ids.
    pub standard: Vec<Entry<'a>>,
    /// Named by the download, and not standard or not valid any more: not to be used.
    pub stale: Vec<Entry<'a>>,
    /// Named by the download, and not in it.
    pub absent: Vec<i64>,
}

/// A loaded vocabulary.
#[derive(Clone, PartialEq, Eq)]
pub struct Vocabulary {
    release: String,
    digest: DocumentDigest,
    names: Vec<String>,
    codes: String,
    /// By id.
    rows: Vec<Row>,
    /// Places of rows, by vocabulary, code and id.
    by_code: Vec<u32>,
    /// From and to, in that order.
    maps: Vec<(u32, u32)>,
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vocabulary({:?}, {} concepts, {} mappings)", self.release, self.rows.len(), self.maps.len())
    }
}

impl Vocabulary {
    /// `rows` are by id and `maps` in order, without doubles.
    pub(super) fn new(
        release: String,
        digest: DocumentDigest,
        names: Vec<String>,
        codes: String,
        rows: Vec<Row>,
        maps: Vec<(u32, u32)>,
    ) -> Self {
        let mut vocabulary = Self { release, digest, names, codes, rows, by_code: Vec::new(), maps };
        let mut places: Vec<u32> = (0_u32..).take(vocabulary.rows.len()).collect();
        places.sort_unstable_by_key(|place| vocabulary.key(*place));
        vocabulary.by_code = places;
        vocabulary
    }

    /// Which release it is, as VOCABULARY.csv says.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The digest of the three files it was read from.
    pub fn digest(&self) -> DocumentDigest {
        self.digest
    }

    /// How many concepts there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The concept of this id.
    pub fn entry(&self, id: i64) -> Option<Entry<'_>> {
        let id = u32::try_from(id).ok()?;
        let place = self.rows.binary_search_by_key(&id, |row| row.id).ok()?;
        self.rows.get(place).map(|row| self.entry_of(row))
    }

    /// Whether there is a concept of this vocabulary.
    pub fn holds(&self, vocabulary: &str) -> bool {
        let Some(name) = self.name(vocabulary) else { return false };
        let first = self.by_code.partition_point(|place| self.key(*place).0 < name);
        self.by_code.get(first).is_some_and(|place| self.key(*place).0 == name)
    }

    fn name(&self, vocabulary: &str) -> Option<u16> {
        self.names.iter().position(|name| name == vocabulary).and_then(|place| u16::try_from(place).ok())
    }

    /// The ids of the standard concepts that stand for a code, ascending: what it maps to, or itself where it is one. With
    /// a day, a number `YYYYMMDD`, the code is the one that held on it: codes are used again for something else.
    pub fn standard(&self, vocabulary: &str, code: &str, day: Option<u32>) -> Vec<i64> {
        let Some(found) = self.lookup_on(vocabulary, code, day) else { return Vec::new() };
        let mapped = self.maps_to(found.id).standard;
        if mapped.is_empty() && found.standard && found.validity == Validity::Valid {
            return vec![found.id];
        }
        mapped.into_iter().map(|entry| entry.id).collect()
    }

    /// The concept of this code: a valid one before others, then the lowest id.
    pub fn lookup(&self, vocabulary: &str, code: &str) -> Option<Entry<'_>> {
        self.lookup_on(vocabulary, code, None)
    }

    pub(super) fn lookup_on(&self, vocabulary: &str, code: &str, day: Option<u32>) -> Option<Entry<'_>> {
        let name = self.name(vocabulary)?;
        let first = self.by_code.partition_point(|place| {
            let (of, its_code, _) = self.key(*place);
            (of, its_code) < (name, code)
        });
        let same = self.by_code.get(first..)?.iter().map_while(|place| {
            let row = self.rows.get(usize::try_from(*place).ok()?)?;
            (row.vocabulary == name && self.code(row) == code).then_some(row)
        });
        let holds = |row: &&Row| day.is_none_or(|day| (row.days.0..=row.days.1).contains(&day));
        same.filter(holds)
            .map(|row| self.entry_of(row))
            .min_by_key(|entry| (entry.validity != Validity::Valid, entry.id))
    }

    /// What stands for a concept. A standard concept usually stands for itself.
    pub fn maps_to(&self, id: i64) -> MapsTo<'_> {
        let mut found = MapsTo::default();
        let Ok(from) = u32::try_from(id) else { return found };
        let first = self.maps.partition_point(|(of, _)| *of < from);
        for (_, to) in self.maps[first..].iter().take_while(|(of, _)| *of == from) {
            match self.entry(i64::from(*to)) {
                Some(entry) if entry.standard && entry.validity == Validity::Valid => found.standard.push(entry),
                Some(entry) => found.stale.push(entry),
                None => found.absent.push(i64::from(*to)),
            }
        }
        found
    }

    fn key(&self, place: u32) -> (u16, &str, u32) {
        let row = usize::try_from(place).ok().and_then(|place| self.rows.get(place));
        row.map_or((0, "", 0), |row| (row.vocabulary, self.code(row), row.id))
    }

    fn code(&self, row: &Row) -> &str {
        let start = usize::try_from(row.start).unwrap_or(usize::MAX);
        self.codes.get(start..start.saturating_add(usize::from(row.length))).unwrap_or_default()
    }

    fn entry_of(&self, row: &Row) -> Entry<'_> {
        let name = |place: u16| self.names.get(usize::from(place)).map_or("", String::as_str);
        let validity = match row.flags {
            flags if flags & DELETED != 0 => Validity::Deleted,
            flags if flags & REPLACED != 0 => Validity::Replaced,
            _ => Validity::Valid,
        };
        Entry {
            id: i64::from(row.id),
            code: self.code(row),
            vocabulary: name(row.vocabulary),
            domain: name(row.domain),
            standard: row.flags & STANDARD != 0,
            validity,
        }
    }
}

impl Concepts for Vocabulary {
    fn release(&self) -> &str {
        &self.release
    }

    fn concept(&self, id: i64) -> Option<Concept<'_>> {
        let entry = self.entry(id)?;
        Some(Concept { domain: entry.domain, standard: entry.standard, valid: entry.validity == Validity::Valid })
    }
}

/// The first bytes of the form at rest.
const MAGIC: &[u8; 8] = b"cohvoc\x00\x02";
/// Bytes of one concept at rest.
const ROW_BYTES: usize = 23;

/// The form at rest: magic and version, digest, then release, names and codes as length and bytes, then concepts and
/// mappings as a number and fixed-width rows. Integers are little endian, lengths 8 bytes.
impl Vocabulary {
    /// Bytes that [`Vocabulary::from_bytes`] opens. They are the user's licensed content: to be sealed like any data.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            Vec::with_capacity(self.codes.len() + self.rows.len() * ROW_BYTES + self.maps.len() * 8 + 4_096);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(self.digest.as_bytes());
        put_text(&mut bytes, &self.release);
        put_length(&mut bytes, self.names.len());
        self.names.iter().for_each(|name| put_text(&mut bytes, name));
        put_text(&mut bytes, &self.codes);
        put_length(&mut bytes, self.rows.len());
        for row in &self.rows {
            bytes.extend_from_slice(&row.id.to_le_bytes());
            bytes.extend_from_slice(&row.start.to_le_bytes());
            for part in [row.length, row.domain, row.vocabulary] {
                bytes.extend_from_slice(&part.to_le_bytes());
            }
            bytes.push(row.flags);
            bytes.extend_from_slice(&row.days.0.to_le_bytes());
            bytes.extend_from_slice(&row.days.1.to_le_bytes());
        }
        put_length(&mut bytes, self.maps.len());
        for (from, to) in &self.maps {
            bytes.extend_from_slice(&from.to_le_bytes());
            bytes.extend_from_slice(&to.to_le_bytes());
        }
        bytes
    }

    /// Opens what [`Vocabulary::to_bytes`] made.
    ///
    /// # Errors
    /// [`NotAnIndex`]: anything else. Nothing is allocated by a length that the bytes do not have.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAnIndex> {
        Self::read(&mut &*bytes).ok_or(NotAnIndex)
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        (take::<8>(from)? == *MAGIC).then_some(())?;
        let digest = DocumentDigest(take::<32>(from)?);
        let release = take_text(from)?;
        let names = (0..take_length(from, 8)?).map(|_| take_text(from)).collect::<Option<Vec<_>>>()?;
        let codes = take_text(from)?;
        let row = |from: &mut &[u8]| {
            Some(Row {
                id: u32::from_le_bytes(take(from)?),
                start: u32::from_le_bytes(take(from)?),
                length: u16::from_le_bytes(take(from)?),
                domain: u16::from_le_bytes(take(from)?),
                vocabulary: u16::from_le_bytes(take(from)?),
                flags: take::<1>(from)?[0],
                days: (u32::from_le_bytes(take(from)?), u32::from_le_bytes(take(from)?)),
            })
        };
        let rows = (0..take_length(from, ROW_BYTES)?).map(|_| row(from)).collect::<Option<Vec<_>>>()?;
        let pair = |from: &mut &[u8]| Some((u32::from_le_bytes(take(from)?), u32::from_le_bytes(take(from)?)));
        let maps = (0..take_length(from, 8)?).map(|_| pair(from)).collect::<Option<Vec<_>>>()?;
        let fits = |row: &Row| {
            let start = usize::try_from(row.start).unwrap_or(usize::MAX);
            let code = codes.get(start..start.saturating_add(usize::from(row.length)));
            code.is_some() && usize::from(row.domain.max(row.vocabulary)) < names.len()
        };
        let in_order = rows.windows(2).all(|pair| pair[0].id < pair[1].id) && maps.windows(2).all(|p| p[0] < p[1]);
        let whole = from.is_empty() && in_order && rows.iter().all(fits);
        whole.then(|| Self::new(release, digest, names, codes, rows, maps))
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend_from_slice(&(length as u64).to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_length(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*first)
}

/// A number of things of at least `bytes` bytes each, of which there are enough.
fn take_length(from: &mut &[u8], bytes: usize) -> Option<usize> {
    let length = usize::try_from(u64::from_le_bytes(take(from)?)).ok()?;
    (length.checked_mul(bytes)? <= from.len()).then_some(length)
}

fn take_text(from: &mut &[u8]) -> Option<String> {
    let length = take_length(from, 1)?;
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    std::str::from_utf8(text).ok().map(str::to_owned)
}

/// Bytes that are no vocabulary at rest, or not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnIndex;

impl fmt::Display for NotAnIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the vocabulary's index is not whole, or of another version")
    }
}

impl std::error::Error for NotAnIndex {}
