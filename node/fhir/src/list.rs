//! The elements of one long JSON array, found while it streams past: the array itself, or a bundle's `entry`.
//!
//! Elements are handed on as they are and checked by whoever reads them. What stands around the array is kept and checked
//! at the end; it is as short as a record.

use crate::chunk::Framed;
use crate::fault::{Fault, Reason};
use crate::json::{Bounds, Tape};
use crate::names::{Name, Names};

/// What stands around the array is shallow, and nothing of it is kept but its type.
const BOUNDS: Bounds = Bounds { depth: 64, values: 1000 };

/// Where the elements that are found go.
#[derive(Debug)]
pub(crate) struct Found<'f> {
    pub(crate) bytes: &'f mut Vec<u8>,
    pub(crate) records: &'f mut Vec<Framed>,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    line: u64,
    column: u64,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The document before or after the array.
    Around,
    /// Before an element; after a comma one must come.
    Before {
        comma: bool,
    },
    Element,
    After,
}

/// Whether the next byte is in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

/// A streaming reader of one array.
#[derive(Debug)]
pub(crate) struct List {
    state: State,
    /// Whether the array is a bundle's.
    bundle: bool,
    /// Whether the array has been found.
    opened: bool,
    /// Brackets that are open, within the element or around the array.
    depth: usize,
    quote: Quote,
    /// The document without the content of the array.
    around: Vec<u8>,
    /// Where the last string of `around` begins, while it is the last thing in there.
    string: usize,
    /// Whether the last thing in `around` is the name `entry` of the bundle itself, with its colon.
    named: bool,
    /// Where the array's content begins in `around`, and where the file goes on after it.
    gap: Option<(usize, Place)>,
    place: Place,
    element: Place,
    /// The bytes of the element so far; nothing if they are too many.
    kept: Option<Vec<u8>>,
    bytes_max: usize,
}

impl List {
    pub(crate) fn new(bundle: bool, bytes_max: usize) -> Self {
        let place = Place { line: 1, column: 1 };
        Self {
            state: State::Around,
            bundle,
            opened: false,
            depth: 0,
            quote: Quote::Outside,
            around: Vec::new(),
            string: 0,
            named: false,
            gap: None,
            place,
            element: place,
            kept: Some(Vec::new()),
            bytes_max,
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// What is wrong between the elements.
    pub(crate) fn read(&mut self, bytes: &[u8], found: &mut Found<'_>) -> Result<(), Fault> {
        for byte in bytes {
            self.byte(*byte, found)?;
            if *byte == b'\n' {
                self.place = Place { line: self.place.line + 1, column: 1 };
            } else {
                self.place.column += 1;
            }
        }
        Ok(())
    }

    /// Checks what stands around the array, once everything is read.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn finish(&self) -> Result<(), Fault> {
        if self.state != State::Around {
            return Err(self.fault(Reason::Truncated));
        }
        let text = std::str::from_utf8(&self.around)
            .map_err(|fault| self.around_fault(fault.valid_up_to(), Reason::Encoding))?;
        let names = Names::new();
        let mut tape = Tape::default();
        tape.read(text, Some(&names), BOUNDS).map_err(|bad| self.around_fault(bad.at, bad.reason))?;
        let own_type = tape.child(0, Name::RESOURCE_TYPE).map(|node| tape.span(node));
        let is_bundle = own_type.is_some_and(|(start, end)| text.get(start..end) == Some("Bundle"));
        if self.bundle != is_bundle || (!self.bundle && !self.opened) {
            return Err(self.around_fault(0, Reason::NotAResource));
        }
        Ok(())
    }

    /// One byte. A byte that ends an element is read twice: as its end, and as what follows.
    fn byte(&mut self, byte: u8, found: &mut Found<'_>) -> Result<(), Fault> {
        let blank = matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        match (self.state, byte) {
            (State::Around, _) => self.around(byte),
            (State::Before { .. } | State::After, _) if blank => Ok(()),
            (State::Before { comma: false } | State::After, b']') => {
                self.state = State::Around;
                self.gap = Some((self.around.len(), self.place));
                self.around(byte)
            }
            (State::After, b',') => {
                self.state = State::Before { comma: true };
                Ok(())
            }
            (State::Before { .. }, b',' | b']' | b'}' | b':') | (State::After, _) => Err(self.fault(Reason::Syntax)),
            (State::Before { .. }, _) => {
                self.state = State::Element;
                self.element = self.place;
                self.depth = 0;
                self.kept = Some(Vec::new());
                self.element(byte, found)
            }
            (State::Element, _) => self.element(byte, found),
        }
    }

    /// A byte of an element. It ends with its last bracket, or before what cannot belong to it.
    fn element(&mut self, byte: u8, found: &mut Found<'_>) -> Result<(), Fault> {
        let outside = self.quote == Quote::Outside && self.depth == 0;
        if outside && matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t') {
            self.end_element(found);
            return self.byte(byte, found);
        }
        if let Some(kept) = self.kept.as_mut() {
            kept.push(byte);
            if kept.len() > self.bytes_max {
                self.kept = None;
            }
        }
        let was_string = self.quote != Quote::Outside;
        self.track(byte);
        if self.depth == 0 && self.quote == Quote::Outside && (was_string || matches!(byte, b'}' | b']')) {
            self.end_element(found);
        }
        Ok(())
    }

    fn end_element(&mut self, found: &mut Found<'_>) {
        let start = found.bytes.len();
        let bytes = self.kept.take().map(|kept| {
            found.bytes.extend(kept);
            start..found.bytes.len()
        });
        let Place { line, column } = self.element;
        found.records.push(Framed { line, column, bytes: bytes.ok_or(Reason::RecordBytes) });
        self.state = State::After;
    }

    /// A byte of the document around the array.
    fn around(&mut self, byte: u8) -> Result<(), Fault> {
        if self.around.len() >= self.bytes_max {
            return Err(self.fault(Reason::RecordBytes));
        }
        let outside = self.quote == Quote::Outside;
        if outside && byte == b'"' {
            self.string = self.around.len();
        }
        let at_array = if self.bundle { self.named && self.depth == 1 } else { self.around.trim_ascii().is_empty() };
        self.around.push(byte);
        if outside && byte == b'[' && at_array && !self.opened {
            self.opened = true;
            self.state = State::Before { comma: false };
            return Ok(());
        }
        if outside && byte == b':' {
            let name = self.around.get(self.string..self.around.len() - 1).unwrap_or_default();
            self.named = name.trim_ascii() == b"\"entry\"";
        } else if outside && !byte.is_ascii_whitespace() {
            self.named = false;
        }
        if outside && byte == b']' && self.gap.is_some_and(|(at, _)| at + 1 == self.around.len()) {
            self.depth = usize::from(self.bundle);
        } else {
            self.track(byte);
        }
        Ok(())
    }

    fn track(&mut self, byte: u8) {
        match (self.quote, byte) {
            (Quote::Inside, b'"') => self.quote = Quote::Outside,
            (Quote::Inside, b'\\') => self.quote = Quote::Escaped,
            (Quote::Escaped, _) | (Quote::Outside, b'"') => self.quote = Quote::Inside,
            (Quote::Outside, b'{' | b'[') => self.depth += 1,
            (Quote::Outside, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
            (Quote::Inside | Quote::Outside, _) => {}
        }
    }

    fn fault(&self, reason: Reason) -> Fault {
        Fault { line: self.place.line, column: self.place.column, clause: None, reason }
    }

    /// The fault of a byte of `around`, at its place in the file.
    fn around_fault(&self, at: usize, reason: Reason) -> Fault {
        let (from, base) = match self.gap {
            Some((gap, place)) if at >= gap => (gap, place),
            _ => (0, Place { line: 1, column: 1 }),
        };
        let mut place = base;
        for byte in &self.around[from..at.min(self.around.len())] {
            place = match byte {
                b'\n' => Place { line: place.line + 1, column: 1 },
                _ => Place { column: place.column + 1, ..place },
            };
        }
        Fault { line: place.line, column: place.column, clause: None, reason }
    }
}
