//! Records and cells of a text table: where they begin and end in bytes, by RFC 4180.
//!
//! Delimiters, quotes and line ends are ASCII, so bytes are enough to find them in UTF-8.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::source::input::line_ends;

/// Where a cell lies, without its quotes.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// It holds doubled quotes.
    pub(crate) doubled: bool,
    pub(crate) quoted: bool,
}

impl Cell {
    /// What it says, where the text begins at byte `from`.
    #[inline]
    pub(crate) fn text<'a>(&self, text: &'a str, from: usize) -> Cow<'a, str> {
        let written = &text[self.start - from..self.end - from];
        if self.doubled { Cow::Owned(written.replace("\"\"", "\"")) } else { Cow::Borrowed(written) }
    }
}

/// What stands at one place.
pub(crate) enum Split {
    /// A whole record; its cells are found.
    Record {
        /// Where the next one begins.
        end: usize,
        /// Its line ends.
        lines: u64,
        /// How many cells it has, also beyond those that were asked for.
        cells: usize,
    },
    /// It goes on behind what is at hand.
    Unfinished,
    /// Text follows a closing quote.
    Quote,
    /// A quote is not closed, and nothing follows.
    Open,
}

/// Splits the record that begins at `from`; appends at most `cells_max` of its cells.
pub(crate) fn split(
    bytes: &[u8],
    from: usize,
    ended: bool,
    delimiter: u8,
    (cells, cells_max): (&mut Vec<Cell>, usize),
) -> Split {
    let (mut at, mut lines, mut count) = (from, 1, 0);
    loop {
        let found = if bytes.get(at) == Some(&b'"') {
            quoted(bytes, at, ended, delimiter)
        } else {
            plain(bytes, at, ended, delimiter)
        };
        let (cell, next) = match found {
            Found::Cell(cell, next) => (cell, next),
            Found::Unfinished => return Split::Unfinished,
            Found::Quote => return Split::Quote,
            Found::Open => return Split::Open,
        };
        if count < cells_max {
            cells.push(cell);
        }
        count += 1;
        if cell.quoted {
            lines += line_ends(&bytes[cell.start..cell.end]);
        }
        match next {
            Next::Cell(start) => at = start,
            Next::Record(end) => return Split::Record { end, lines, cells: count },
        }
    }
}

/// A cell, or why there is none.
enum Found {
    Cell(Cell, Next),
    Unfinished,
    Quote,
    Open,
}

/// What follows a cell, and where.
enum Next {
    Cell(usize),
    Record(usize),
}

#[inline]
fn plain(bytes: &[u8], start: usize, ended: bool, delimiter: u8) -> Found {
    let stop = match find(&bytes[start..], delimiter) {
        Some(offset) => start + offset,
        None if ended => bytes.len(),
        None => return Found::Unfinished,
    };
    let cell = |end| Cell { start, end, doubled: false, quoted: false };
    if bytes.get(stop) == Some(&delimiter) {
        return Found::Cell(cell(stop), Next::Cell(stop + 1));
    }
    let end = if stop > start && bytes[stop - 1] == b'\r' { stop - 1 } else { stop };
    Found::Cell(cell(end), Next::Record(bytes.len().min(stop + 1)))
}

/// The first delimiter or line end. Cells are short: eight bytes are looked at in one number before a search is begun.
#[inline]
fn find(bytes: &[u8], delimiter: u8) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    // The highest bit of every byte that is zero, and no other bit.
    let zeros = |word: u64| !(((word & LOW) + LOW) | word | LOW);
    if let Some((head, _)) = bytes.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*head);
        let hits = zeros(word ^ (ONES * u64::from(delimiter))) | zeros(word ^ (ONES * u64::from(b'\n')));
        if hits != 0 {
            return Some((hits.trailing_zeros() / 8) as usize);
        }
        return memchr2(delimiter, b'\n', &bytes[8..]).map(|offset| offset + 8);
    }
    memchr2(delimiter, b'\n', bytes)
}

fn quoted(bytes: &[u8], open: usize, ended: bool, delimiter: u8) -> Found {
    let (start, mut at, mut doubled) = (open + 1, open + 1, false);
    loop {
        let Some(offset) = memchr(b'"', &bytes[at..]) else {
            return if ended { Found::Open } else { Found::Unfinished };
        };
        let end = at + offset;
        let cell = Cell { start, end, doubled, quoted: true };
        let rest = &bytes[end + 1..];
        return match rest {
            [b'"', ..] => {
                (at, doubled) = (end + 2, true);
                continue;
            }
            [next, ..] if *next == delimiter => Found::Cell(cell, Next::Cell(end + 2)),
            [b'\n', ..] => Found::Cell(cell, Next::Record(end + 2)),
            [b'\r', b'\n', ..] => Found::Cell(cell, Next::Record(end + 3)),
            [] | [b'\r'] if ended => Found::Cell(cell, Next::Record(bytes.len())),
            [] | [b'\r'] => Found::Unfinished,
            [_, ..] => Found::Quote,
        };
    }
}

/// Finds the end of a record that is not kept, piece by piece, so that it may be longer than any buffer.
pub(crate) struct Skip {
    delimiter: u8,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A cell begins.
    Begin,
    Plain,
    Quoted,
    /// Behind a quote that closes the cell, or is the first of two.
    Closing,
    /// Behind something that follows a closing quote: up to the line end whatever comes.
    Lost,
}

impl Skip {
    pub(crate) const fn new(delimiter: u8) -> Self {
        Self { delimiter, state: State::Begin }
    }

    /// Where the record ends in these bytes; `None`: behind them.
    pub(crate) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            self.state = match (self.state, *byte) {
                (State::Quoted, b'"') => State::Closing,
                (State::Begin | State::Closing, b'"') | (State::Quoted, _) => State::Quoted,
                (State::Begin | State::Plain | State::Closing | State::Lost, b'\n') => return Some(at + 1),
                (State::Begin | State::Plain | State::Closing, byte) if byte == self.delimiter => State::Begin,
                (State::Begin | State::Plain, _) => State::Plain,
                (State::Closing | State::Lost, _) => State::Lost,
            };
        }
        None
    }

    /// Whether the bytes end within quotes: then nobody knows where the next record begins.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Quoted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_delimiter_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..length {
                for found in [b',', b'\n'] {
                    // Neighbours of what is looked for, and bytes above ASCII, are not taken for it.
                    let mut bytes = [b',' + 1, b'\n' + 1, 0x80 | b',', 0x80 | b'\n', b',' - 1, 0xFF].repeat(8);
                    bytes.truncate(length);
                    assert_eq!(find(&bytes, b','), None);
                    bytes[at] = found;
                    assert_eq!(find(&bytes, b','), Some(at), "{length}");
                }
            }
        }
    }

    #[test]
    fn a_record_that_is_skipped_ends_where_one_that_is_split_ends() {
        let table = [
            "a,b\nrest",
            "a,\"b\nc\"\nrest",
            "\"a\"\"b\n\"\r\nrest",
            "\n",
            "\r\n",
            "a\"b\nrest",
            ",,,\nx",
            "\"\",\"\"\nx",
        ];
        for text in table {
            let mut cells = Vec::new();
            let Split::Record { end, .. } = split(text.as_bytes(), 0, true, b',', (&mut cells, 9)) else {
                unreachable!("{text:?} is a record")
            };
            // Also when it comes in two pieces.
            for cut in 0..end {
                let mut skip = Skip::new(b',');
                let first = skip.end(&text.as_bytes()[..cut]);
                assert_eq!(first, None, "{text:?}");
                assert_eq!(skip.end(&text.as_bytes()[cut..]), Some(end - cut), "{text:?} {cut}");
            }
        }
        let mut skip = Skip::new(b',');
        assert_eq!(skip.end(b"\"a\"x,\"b\nc"), Some(8));
        let mut skip = Skip::new(b',');
        assert_eq!((skip.end(b"a,\"b\n,c\n"), skip.is_open()), (None, true));
    }
}
