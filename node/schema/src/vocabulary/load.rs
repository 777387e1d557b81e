//! Loads the user's own Athena download, file by file, in any order.

use std::collections::BTreeMap;
use std::io::BufRead;

use cohortium_protocol::digest::{DocumentDigest, sha256_for};

use super::code_map::day_number;
use super::index::{Row, Vocabulary, flags};
use super::table::{LoadFault, Table, Wrong};
use crate::limits::{CODE_BYTES_TOTAL_MAX, CONCEPTS_LOADED_MAX, NAMES_MAX, RELATIONSHIPS_MAX};

const CONCEPT: &str = "CONCEPT.csv";
const RELATIONSHIP: &str = "CONCEPT_RELATIONSHIP.csv";
const VOCABULARY: &str = "VOCABULARY.csv";

/// The row of VOCABULARY.csv that speaks of the whole.
const WHOLE: &str = "None";
/// The one relationship that is kept.
const MAPS_TO: &str = "Maps to";

/// A download that is being read. About 28 bytes a concept and its code, 8 bytes a mapping; names are not kept.
#[derive(Debug, Default)]
pub struct Loader {
    release: Option<String>,
    digests: BTreeMap<&'static str, [u8; 32]>,
    names: Names,
    codes: String,
    rows: Vec<Row>,
    maps: Vec<(u32, u32)>,
}

/// Names of domains and vocabularies, each once.
#[derive(Debug, Default)]
struct Names {
    places: BTreeMap<String, u16>,
    in_order: Vec<String>,
}

impl Names {
    fn place(&mut self, name: &str) -> Result<u16, LoadFault> {
        if let Some(place) = self.places.get(name) {
            return Ok(*place);
        }
        let too_many = LoadFault::TooMany { what: "names of domains and vocabularies", max: NAMES_MAX };
        let place = u16::try_from(self.in_order.len()).ok().filter(|place| usize::from(*place) < NAMES_MAX);
        let place = place.ok_or(too_many)?;
        self.places.insert(name.to_owned(), place);
        self.in_order.push(name.to_owned());
        Ok(place)
    }
}

impl Loader {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads VOCABULARY.csv: the release.
    ///
    /// # Errors
    /// [`LoadFault`]; the loader is then of no further use.
    pub fn vocabularies(&mut self, reader: impl BufRead) -> Result<(), LoadFault> {
        let mut table = Table::open(reader, VOCABULARY, &["vocabulary_id", "vocabulary_version"])?;
        while let Some([id, version]) = table.next()? {
            if id == WHOLE {
                self.release = Some(version.to_owned());
            }
        }
        self.digests.insert(VOCABULARY, table.digest());
        Ok(())
    }

    /// Reads CONCEPT.csv.
    ///
    /// # Errors
    /// [`LoadFault`]; the loader is then of no further use.
    pub fn concepts(&mut self, reader: impl BufRead) -> Result<(), LoadFault> {
        let wanted = [
            "concept_id",
            "domain_id",
            "vocabulary_id",
            "standard_concept",
            "concept_code",
            "invalid_reason",
            "valid_start_date",
            "valid_end_date",
        ];
        let mut table = Table::open(reader, CONCEPT, &wanted)?;
        while let Some([id, domain, vocabulary, standard, code, invalid, first, last]) = table.next()? {
            let days = (day_number(first), day_number(last));
            let parsed = id.parse::<u32>().ok();
            let domain = self.names.place(domain)?;
            let vocabulary = self.names.place(vocabulary)?;
            let flags = flags(standard, invalid);
            let (start, length) = (self.codes.len(), code.len());
            if self.rows.len() == CONCEPTS_LOADED_MAX || start + length > CODE_BYTES_TOTAL_MAX {
                return Err(LoadFault::TooMany { what: "concepts", max: CONCEPTS_LOADED_MAX });
            }
            self.codes.push_str(code);
            let id = parsed.ok_or_else(|| table.fault(Wrong::Id { column: "concept_id" }))?;
            let (Some(first), Some(last)) = days else {
                return Err(table.fault(Wrong::Day { column: "valid_start_date or valid_end_date" }));
            };
            let (Ok(start), Ok(length)) = (u32::try_from(start), u16::try_from(length)) else {
                return Err(table.fault(Wrong::TooLong));
            };
            self.rows.push(Row { id, start, length, domain, vocabulary, flags, days: (first, last) });
        }
        self.digests.insert(CONCEPT, table.digest());
        Ok(())
    }

    /// Reads `CONCEPT_RELATIONSHIP.csv`: which concept stands for which. Deleted relationships are left out.
    ///
    /// # Errors
    /// [`LoadFault`]; the loader is then of no further use.
    pub fn relationships(&mut self, reader: impl BufRead) -> Result<(), LoadFault> {
        let wanted = ["concept_id_1", "concept_id_2", "relationship_id", "invalid_reason"];
        let mut table = Table::open(reader, RELATIONSHIP, &wanted)?;
        while let Some([from, to, kind, invalid]) = table.next()? {
            if kind != MAPS_TO || !invalid.is_empty() {
                continue;
            }
            let ids = (from.parse().ok(), to.parse().ok());
            let (Some(from), Some(to)) = ids else {
                return Err(table.fault(Wrong::Id { column: "concept_id_1 or concept_id_2" }));
            };
            if self.maps.len() == RELATIONSHIPS_MAX {
                return Err(LoadFault::TooMany { what: "mappings", max: RELATIONSHIPS_MAX });
            }
            self.maps.push((from, to));
        }
        self.digests.insert(RELATIONSHIP, table.digest());
        Ok(())
    }

    /// The vocabulary, once all three files were read.
    ///
    /// # Errors
    /// [`LoadFault`].
    pub fn finish(mut self) -> Result<Vocabulary, LoadFault> {
        for file in [VOCABULARY, CONCEPT, RELATIONSHIP] {
            if !self.digests.contains_key(file) {
                return Err(LoadFault::NoFile { file });
            }
        }
        let release = self.release.ok_or(LoadFault::NoRelease)?;
        self.rows.sort_unstable_by_key(|row| row.id);
        let twice = self.rows.windows(2).find_map(|pair| (pair[0].id == pair[1].id).then(|| pair[0].id));
        if let Some(concept) = twice {
            return Err(LoadFault::ConceptTwice { concept });
        }
        self.maps.sort_unstable();
        self.maps.dedup();
        let digest = self.digests.iter().flat_map(|(file, digest)| [file.as_bytes(), b"\0", digest].concat());
        let digest = DocumentDigest(sha256_for("vocabulary", &digest.collect::<Vec<u8>>()));
        Ok(Vocabulary::new(release, digest, self.names.in_order, self.codes, self.rows, self.maps))
    }
}
