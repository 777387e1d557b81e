//! Lines of an Athena download: tab-separated, a header line, quotes are letters like any other.

use std::fmt;
use std::io::{self, BufRead, Read};

use ring::digest::{Context, SHA256};

use crate::limits::VOCABULARY_LINE_BYTES_MAX;

/// A file of the download, read line by line, and hashed as it is read.
pub(super) struct Table<R> {
    reader: R,
    file: &'static str,
    places: Vec<usize>,
    columns: usize,
    line: u64,
    buffer: Vec<u8>,
    digest: Context,
}

impl<R: BufRead> Table<R> {
    /// Reads the header and finds the columns that are wanted.
    pub(super) fn open(reader: R, file: &'static str, wanted: &[&'static str]) -> Result<Self, LoadFault> {
        let digest = Context::new(&SHA256);
        let mut table = Self { reader, file, places: Vec::new(), columns: 0, line: 0, buffer: Vec::new(), digest };
        if !table.fill()? {
            return Err(table.fault(Wrong::NoHeader));
        }
        let header = std::str::from_utf8(&table.buffer).map_err(|_| table.fault(Wrong::Encoding))?;
        let names: Vec<&str> = header.trim_start_matches('\u{feff}').split('\t').collect();
        let place = |name: &&'static str| {
            let same = |found: &&str| found.eq_ignore_ascii_case(name);
            names.iter().position(same).ok_or_else(|| table.fault(Wrong::NoColumn { column: name }))
        };
        let (places, columns) = (wanted.iter().map(place).collect::<Result<_, _>>()?, names.len());
        table.places = places;
        table.columns = columns;
        Ok(table)
    }

    /// The wanted cells of the next line.
    pub(super) fn next<const N: usize>(&mut self) -> Result<Option<[&str; N]>, LoadFault> {
        if !self.fill()? {
            return Ok(None);
        }
        let fault = |wrong| LoadFault::Line { file: self.file, line: self.line, wrong };
        let line = std::str::from_utf8(&self.buffer).map_err(|_| fault(Wrong::Encoding))?;
        let (mut cells, mut found) = ([""; N], 0);
        for (at, cell) in line.split('\t').enumerate() {
            found += 1;
            let wanted = cells.iter_mut().zip(&self.places).filter(|(_, place)| **place == at);
            wanted.for_each(|(to, _)| *to = cell);
        }
        if found == self.columns { Ok(Some(cells)) } else { Err(fault(Wrong::Columns { expected: self.columns })) }
    }

    pub(super) fn fault(&self, wrong: Wrong) -> LoadFault {
        LoadFault::Line { file: self.file, line: self.line, wrong }
    }

    /// The SHA-256 of all that was read.
    pub(super) fn digest(self) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.digest.finish().as_ref());
        digest
    }

    /// Reads a line, without its end, into the buffer. False at the end of the file.
    fn fill(&mut self) -> Result<bool, LoadFault> {
        self.buffer.clear();
        self.line += 1;
        let mut bounded = (&mut self.reader).take(VOCABULARY_LINE_BYTES_MAX + 1);
        bounded
            .read_until(b'\n', &mut self.buffer)
            .map_err(|error| LoadFault::Read { file: self.file, kind: error.kind() })?;
        self.digest.update(&self.buffer);
        if self.buffer.len() as u64 > VOCABULARY_LINE_BYTES_MAX {
            return Err(self.fault(Wrong::TooLong));
        }
        let read_any = !self.buffer.is_empty();
        for end in [b'\n', b'\r'] {
            if self.buffer.last() == Some(&end) {
                self.buffer.pop();
            }
        }
        Ok(read_any)
    }
}

/// Why a download cannot be loaded. No cell of it is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadFault {
    /// A file could not be read.
    Read {
        /// Which.
        file: &'static str,
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// A line is not what it should be.
    Line {
        /// The file.
        file: &'static str,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        wrong: Wrong,
    },
    /// More than anything that is distributed today.
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// Two concepts of one id.
    ConceptTwice {
        /// The id.
        concept: u32,
    },
    /// VOCABULARY.csv has no row `None`, which names the release.
    NoRelease,
    /// A file is missing.
    NoFile {
        /// Which.
        file: &'static str,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// There is none.
    NoHeader,
    /// The header lacks a column.
    NoColumn {
        /// Which.
        column: &'static str,
    },
    /// Another number of columns than in the header.
    Columns {
        /// Of the header.
        expected: usize,
    },
    /// Not UTF-8.
    Encoding,
    /// Longer than anything we read.
    TooLong,
    /// A column that should hold a day, `YYYYMMDD`, does not.
    Day {
        /// Which.
        column: &'static str,
    },
    /// A column that should hold an id does not.
    Id {
        /// Which.
        column: &'static str,
    },
}

impl fmt::Display for LoadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, kind } => write!(f, "{file} cannot be read: {kind}"),
            Self::Line { file, line, wrong } => write!(f, "{file}, line {line}: {wrong}"),
            Self::TooMany { what, max } => write!(f, "the vocabulary has more than {max} {what}"),
            Self::ConceptTwice { concept } => write!(f, "CONCEPT.csv has concept {concept} twice"),
            Self::NoRelease => write!(f, "VOCABULARY.csv has no row None, which names the release"),
            Self::NoFile { file } => write!(f, "{file} is missing"),
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeader => write!(f, "there is no header"),
            Self::NoColumn { column } => write!(f, "the header has no column {column}"),
            Self::Columns { expected } => write!(f, "not {expected} columns as in the header"),
            Self::Encoding => write!(f, "not UTF-8"),
            Self::TooLong => write!(f, "longer than {VOCABULARY_LINE_BYTES_MAX} bytes"),
            Self::Day { column } => write!(f, "column {column} holds no day"),
            Self::Id { column } => write!(f, "column {column} holds no id"),
        }
    }
}

impl std::error::Error for LoadFault {}
