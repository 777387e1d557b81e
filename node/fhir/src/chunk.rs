//! Input cut into chunks of whole records, in bounded memory: lines, the elements of one array, or one bundle's entries.

use std::io::{self, Read};
use std::ops::Range;

use crate::fault::{Fault, Reason};
use crate::json::find;
use crate::limits::Limits;
use crate::list::{Found, List};

/// How the records of an input are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One resource a line (NDJSON). Empty lines are no records.
    Lines,
    /// One JSON array of resources.
    Array,
    /// One Bundle: its entries' resources.
    Bundle,
}

impl Layout {
    /// The layout that the first bytes of an input speak for: an array begins with a bracket, a bundle names itself (or its
    /// entries) before its first inner object ends; everything else is lines.
    pub fn of(head: &[u8]) -> Self {
        let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).trim_ascii_start();
        if head.starts_with(b"[") {
            return Self::Array;
        }
        let names = |text: &[u8], name: &[u8]| text.windows(name.len()).any(|found| found == name);
        let first = &head[..head.iter().position(|byte| *byte == b'}').unwrap_or(head.len())];
        let compact: Vec<u8> = first.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        if names(&compact, b"\"resourceType\":\"Bundle\"") { Self::Bundle } else { Self::Lines }
    }
}

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whole records of an input, and the bytes that they are in.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub(crate) layout: Layout,
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: Vec<Framed>,
}

/// A record in a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Framed {
    /// The line that it begins on, from 1.
    pub(crate) line: u64,
    /// The byte of that line that it begins at, from 1.
    pub(crate) column: u64,
    /// Its bytes; a reason instead if they were not kept.
    pub(crate) bytes: Result<Range<usize>, Reason>,
}

impl Chunk {
    /// A chunk of lines that are in memory already, whose first one has this number. The last one needs no line feed.
    pub fn of_lines(bytes: Vec<u8>, first_line: u64, limits: &Limits) -> Self {
        let mut line = first_line;
        let records = split(&bytes, &mut line, limits);
        Self { layout: Layout::Lines, bytes, records }
    }

    /// The number of records in the chunk, sound or not.
    pub fn records(&self) -> usize {
        self.records.len()
    }
}

/// Why no further chunk can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFault {
    /// The input cannot be read.
    Input(io::ErrorKind),
    /// The array or bundle around the records is broken, so that the records after this place cannot be told apart.
    Document(Fault),
}

impl std::fmt::Display for ReadFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input(kind) => write!(f, "while reading the input: {kind}"),
            Self::Document(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for ReadFault {}

/// Reads an input chunk by chunk. It holds one chunk and the beginning of one record.
#[derive(Debug)]
pub struct Chunks<R> {
    input: R,
    layout: Layout,
    limits: Limits,
    /// What was read and is in no chunk yet.
    rest: Vec<u8>,
    /// The line that `rest` begins on.
    line: u64,
    list: List,
    begun: bool,
    ended: bool,
}

impl<R: Read> Chunks<R> {
    /// Begins to read.
    pub fn new(input: R, layout: Layout, limits: Limits) -> Self {
        let list = List::new(layout == Layout::Bundle, limits.record_bytes_max);
        Self { input, layout, limits, rest: Vec::new(), line: 1, list, begun: false, ended: false }
    }

    /// Reads more behind `rest`, about one chunk. Says whether the input has ended.
    fn fill(&mut self) -> Result<bool, ReadFault> {
        let wanted = self.limits.chunk_bytes.max(if self.begun { 1 } else { BYTE_ORDER_MARK.len() });
        let have = self.rest.len();
        let limit = u64::try_from(wanted).unwrap_or(u64::MAX);
        self.rest.reserve_exact(wanted);
        let read = (&mut self.input).take(limit).read_to_end(&mut self.rest);
        let read = read.map_err(|fault| ReadFault::Input(fault.kind()))?;
        if !self.begun {
            self.begun = true;
            if self.rest.starts_with(BYTE_ORDER_MARK) {
                self.rest.drain(..BYTE_ORDER_MARK.len());
            }
        }
        Ok(read < wanted || (read == 0 && have == self.rest.len()))
    }

    fn lines(&mut self) -> Result<Option<Chunk>, ReadFault> {
        loop {
            if self.ended {
                let bytes = std::mem::take(&mut self.rest);
                return Ok((!bytes.is_empty()).then(|| self.chunk(bytes)));
            }
            let old = self.rest.len();
            self.ended = self.fill()?;
            if self.ended {
                continue;
            }
            let Some(last) = self.rest[old..].iter().rposition(|byte| *byte == b'\n') else {
                if self.rest.len() > self.limits.record_bytes_max {
                    return self.overlong().map(Some);
                }
                continue;
            };
            let rest = self.rest.split_off(old + last + 1);
            let bytes = std::mem::replace(&mut self.rest, rest);
            return Ok(Some(self.chunk(bytes)));
        }
    }

    /// Reads over the rest of a line that is too long, without keeping it.
    fn overlong(&mut self) -> Result<Chunk, ReadFault> {
        let record = Framed { line: self.line, column: 1, bytes: Err(Reason::RecordBytes) };
        self.line += 1;
        self.rest.clear();
        while !self.ended {
            self.ended = self.fill()?;
            let end = find(&self.rest, b'\n', 0);
            if end < self.rest.len() {
                self.rest.drain(..=end);
                break;
            }
            self.rest.clear();
        }
        Ok(Chunk { layout: self.layout, bytes: Vec::new(), records: vec![record] })
    }

    fn chunk(&mut self, bytes: Vec<u8>) -> Chunk {
        let records = split(&bytes, &mut self.line, &self.limits);
        Chunk { layout: self.layout, bytes, records }
    }

    fn elements(&mut self) -> Result<Option<Chunk>, ReadFault> {
        if self.ended {
            return Ok(None);
        }
        let mut chunk = Chunk { layout: self.layout, bytes: Vec::new(), records: Vec::new() };
        while chunk.bytes.len() < self.limits.chunk_bytes && !self.ended {
            self.ended = self.fill()?;
            let read = std::mem::take(&mut self.rest);
            let mut found = Found { bytes: &mut chunk.bytes, records: &mut chunk.records };
            self.list.read(&read, &mut found).map_err(ReadFault::Document)?;
            if self.ended {
                self.list.finish().map_err(ReadFault::Document)?;
            }
        }
        Ok((!chunk.records.is_empty()).then_some(chunk))
    }
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = Result<Chunk, ReadFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = if self.layout == Layout::Lines { self.lines() } else { self.elements() };
        if chunk.is_err() {
            self.ended = true;
            self.rest.clear();
        }
        chunk.transpose()
    }
}

/// The lines that hold anything.
fn split(bytes: &[u8], line: &mut u64, limits: &Limits) -> Vec<Framed> {
    let mut records = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let end = find(bytes, b'\n', start);
        let text = &bytes[start..end];
        if text.len() > limits.record_bytes_max {
            records.push(Framed { line: *line, column: 1, bytes: Err(Reason::RecordBytes) });
        } else if text.iter().any(|byte| !byte.is_ascii_whitespace()) {
            records.push(Framed { line: *line, column: 1, bytes: Ok(start..end) });
        }
        *line += 1;
        start = end + 1;
    }
    records
}

#[cfg(test)]
#[path = "tests/chunk.rs"]
mod tests;
