//! Where the objects of a JSON source begin and end: lines of NDJSON, items of one array. Looks into none of them.

use cohortium_protocol::record::text_form::TextEncoding;
use memchr::memchr;

use crate::batch::SourceFault;
use crate::handle::Handle;
use crate::source::input::{Input, line_ends};

/// How objects stand beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One a line. Lines of nothing but blanks are none.
    Lines,
    /// In one array.
    Array,
}

/// Items, one after the other.
pub(crate) struct Items {
    input: Input,
    layout: Layout,
    bytes_max: usize,
    place: Place,
    /// The current one's bytes, and how many to leave behind with it; its lines.
    current: (usize, usize, u64),
}

/// Where in an array we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before its bracket, or in NDJSON everywhere.
    Before,
    /// Behind its bracket, no item yet.
    First,
    /// Behind a comma.
    Next,
    /// Behind its last item.
    Closed,
}

/// What comes next.
pub(crate) enum Item {
    /// An item; [`Items::bytes`] has it.
    Whole {
        /// The line it begins at, from 1.
        place: u64,
        /// How many lines it takes up.
        lines: u64,
    },
    /// An item over the limit, which has been left behind.
    TooLong {
        /// The line it begins at, from 1.
        place: u64,
        /// How many lines it takes up.
        lines: u64,
    },
}

impl Items {
    pub(crate) fn new(handle: &Handle, layout: Layout, bytes_max: usize) -> Result<Self, SourceFault> {
        let input = Input::new(handle, TextEncoding::Utf8)?;
        Ok(Self { input, layout, bytes_max, place: Place::Before, current: (0, 0, 0) })
    }

    /// The current item, with blanks around it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.input.unread()[..self.current.0]
    }

    /// Leaves the current item behind and finds the next one; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, SourceFault> {
        let (_, passed, line_ends) = std::mem::take(&mut self.current);
        self.input.pass(passed, line_ends);
        loop {
            self.pass_blanks()?;
            if self.input.unread().is_empty() {
                return self.at_end();
            }
            match (self.layout, self.place) {
                (Layout::Lines, _) => return self.item(Scan::Line).map(Some),
                (Layout::Array, Place::Before) if self.input.unread().starts_with(b"[") => {
                    self.input.pass(1, 0);
                    self.place = Place::First;
                }
                (Layout::Array, Place::First) if self.input.unread().starts_with(b"]") => {
                    self.input.pass(1, 0);
                    self.place = Place::Closed;
                }
                (Layout::Array, Place::First | Place::Next) => return self.item(Scan::array()).map(Some),
                (Layout::Array, Place::Before | Place::Closed) => {
                    return Err(SourceFault::NotAnArray { line: self.input.line() });
                }
            }
        }
    }

    fn at_end(&self) -> Result<Option<Item>, SourceFault> {
        let line = self.input.line();
        match (self.layout, self.place) {
            (Layout::Lines, _) | (Layout::Array, Place::Closed) => Ok(None),
            (Layout::Array, Place::Before) => Err(SourceFault::NotAnArray { line }),
            (Layout::Array, Place::First | Place::Next) => Err(SourceFault::Truncated { line }),
        }
    }

    fn pass_blanks(&mut self) -> Result<(), SourceFault> {
        loop {
            let bytes = self.input.unread();
            let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
            let text = bytes.iter().position(|byte| !blank(byte));
            let passed = text.unwrap_or(bytes.len());
            let lines = line_ends(&bytes[..passed]);
            self.input.pass(passed, lines);
            if text.is_some() || self.input.ended() {
                return Ok(());
            }
            self.input.read_more()?;
        }
    }

    /// The item that begins here, whole in the buffer or left behind.
    fn item(&mut self, mut scan: Scan) -> Result<Item, SourceFault> {
        let (place, mut scanned, mut left, mut is_long) = (self.input.line(), 0, 0, false);
        loop {
            let bytes = self.input.unread();
            let (end, long) = (scan.end(&bytes[scanned..]), bytes.len() > self.bytes_max);
            scanned = end.map_or(bytes.len(), |end| scanned + end);
            if end.is_none() && self.input.ended() && self.layout == Layout::Array {
                let line = self.input.line() + line_ends(bytes);
                return Err(SourceFault::Truncated { line });
            }
            if let Some(separator) = end.map(|_| bytes[scanned]) {
                self.place = if separator == b']' { Place::Closed } else { Place::Next };
            }
            if end.is_some() || self.input.ended() {
                let ends = line_ends(&bytes[..scanned]);
                let passed = bytes.len().min(scanned + 1);
                let behind = line_ends(&bytes[scanned..passed]);
                if !is_long && scanned <= self.bytes_max {
                    self.current = (scanned, passed, ends + behind);
                    return Ok(Item::Whole { place, lines: ends + 1 });
                }
                self.input.pass(passed, ends + behind);
                return Ok(Item::TooLong { place, lines: left + ends + 1 });
            }
            if long {
                let ends = line_ends(bytes);
                let passed = bytes.len();
                self.input.pass(passed, ends);
                (scanned, left, is_long) = (0, left + ends, true);
            }
            self.input.read_more()?;
        }
    }
}

/// Finds the end of an item, piece by piece.
enum Scan {
    /// At the line end.
    Line,
    /// At the comma or bracket that is in no string, object or inner array.
    Array { depth: u64, in_string: bool, escaped: bool },
}

impl Scan {
    const fn array() -> Self {
        Self::Array { depth: 0, in_string: false, escaped: false }
    }

    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let Self::Array { depth, in_string, escaped } = self else { return memchr(b'\n', bytes) };
        for (at, byte) in bytes.iter().enumerate() {
            match (*in_string, *byte) {
                (true, _) if *escaped => *escaped = false,
                (true, b'\\') => *escaped = true,
                (_, b'"') => *in_string = !*in_string,
                (false, b'{' | b'[') => *depth += 1,
                (false, b',' | b']') if *depth == 0 => return Some(at),
                (false, b'}' | b']') => *depth = depth.saturating_sub(1),
                (true | false, _) => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Items as text with place and lines; those that are too long as `None`.
    fn items(text: &str, layout: Layout, bytes_max: usize) -> Result<Vec<(Option<String>, u64, u64)>, SourceFault> {
        let handle: Handle = Arc::new(text.as_bytes().to_vec());
        let mut items = Items::new(&handle, layout, bytes_max)?;
        let mut found = Vec::new();
        while let Some(item) = items.next()? {
            found.push(match item {
                Item::Whole { place, lines } => {
                    (Some(String::from_utf8(items.bytes().to_vec()).unwrap().trim().to_owned()), place, lines)
                }
                Item::TooLong { place, lines } => (None, place, lines),
            });
        }
        Ok(found)
    }

    #[test]
    fn lines_and_array_items_are_found_with_their_lines() {
        let some = |text: &str, place, lines| (Some(text.to_owned()), place, lines);
        let lines = "\u{FEFF}{\"a\":1}\n\n  \r\n{\"a\":\n{\"b\":2}";
        let expected = [some("{\"a\":1}", 1, 1), some("{\"a\":", 4, 1), some("{\"b\":2}", 5, 1)];
        assert_eq!(items(lines, Layout::Lines, 100).unwrap(), expected);
        let array = "\n [ {\"a\":\"],{\\\"\"},\n[1,2]\n,{\"b\":[{}]\n}\n]\n ";
        let expected = [some("{\"a\":\"],{\\\"\"}", 2, 1), some("[1,2]", 3, 2), some("{\"b\":[{}]\n}", 4, 3)];
        assert_eq!(items(array, Layout::Array, 100).unwrap(), expected);
        assert_eq!(items("[]", Layout::Array, 100).unwrap(), []);
        // A comma too many is an item that holds nothing.
        assert_eq!(items("[1,]", Layout::Array, 100).unwrap(), [some("1", 1, 1), some("", 1, 1)]);
        assert_eq!(items("[,1]", Layout::Array, 100).unwrap(), [some("", 1, 1), some("1", 1, 1)]);
    }

    #[test]
    fn what_is_no_array_or_is_cut_is_a_fault() {
        let table = [
            ("", SourceFault::NotAnArray { line: 1 }),
            ("{}", SourceFault::NotAnArray { line: 1 }),
            ("[1]\n2", SourceFault::NotAnArray { line: 2 }),
            ("[", SourceFault::Truncated { line: 1 }),
            ("[1,\n", SourceFault::Truncated { line: 2 }),
            ("[1,\n{\"a\":\"\n]", SourceFault::Truncated { line: 3 }),
        ];
        for (text, fault) in table {
            assert_eq!(items(text, Layout::Array, 100).err(), Some(fault), "{text:?}");
        }
    }

    #[test]
    fn an_item_over_the_limit_is_left_behind_however_long_it_is() {
        let long = format!("\"{}\n{}\"", "x".repeat(3 << 20), "y".repeat(3 << 20));
        let array = format!("[1,{long},2]");
        let at = |text: &str, place| (Some(text.to_owned()), place, 1);
        assert_eq!(items(&array, Layout::Array, 1 << 20).unwrap(), [at("1", 1), (None, 1, 2), at("2", 2)]);
        let lines = format!("1\n{}\n2", "x".repeat(6 << 20));
        assert_eq!(items(&lines, Layout::Lines, 1 << 20).unwrap(), [at("1", 1), (None, 2, 1), at("2", 3)]);
        assert_eq!(items("12345\n123456", Layout::Lines, 5).unwrap(), [at("12345", 1), (None, 2, 1)]);
    }
}
