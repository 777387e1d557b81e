//! Parquet's headings, walked through before Parquet's own reader believes what they declare.
//!
//! Thrift's compact protocol: <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

/// Structures, lists and maps within each other.
const DEPTH_MAX: usize = 32;
/// Entries of one list: Parquet's reader reserves memory for as many as a list declares.
const ENTRIES_MAX: u64 = 1 << 20;

/// What walking came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walked {
    /// A whole structure.
    Whole,
    /// It goes on behind the bytes.
    Unfinished,
    /// No structure, or one that declares too much.
    Refused,
}

/// Walks through the structure at the beginning of `bytes`. `each` sees every number of the outermost structure and of
/// those directly in it: the numbers of the inner field (or 0) and of the outer one, and the number; it may refuse.
pub(crate) fn walk(bytes: &[u8], each: &mut dyn FnMut(Field, i64) -> bool) -> Walked {
    let mut walk = Walk { bytes, at: 0, each };
    match walk.structure(0, 0) {
        Ok(()) => Walked::Whole,
        Err(Stop::Unfinished) => Walked::Unfinished,
        Err(Stop::Refused) => Walked::Refused,
    }
}

/// The place of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    /// The field of the outermost structure.
    pub(crate) outer: i64,
    /// The field of the structure in it; 0 where the number is the outer field itself.
    pub(crate) inner: i64,
}

enum Stop {
    Unfinished,
    Refused,
}

struct Walk<'a, 'f> {
    bytes: &'a [u8],
    at: usize,
    each: &'f mut dyn FnMut(Field, i64) -> bool,
}

impl Walk<'_, '_> {
    fn structure(&mut self, depth: usize, outer: i64) -> Result<(), Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop::Refused);
        }
        let mut id: i64 = 0;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0F;
            if kind == 0 {
                return Ok(());
            }
            id = match head >> 4 {
                0 => self.zigzag()?,
                delta => id.saturating_add(i64::from(delta)),
            };
            let field = if depth == 0 { Field { outer: id, inner: 0 } } else { Field { outer, inner: id } };
            if matches!(kind, 3..=6) {
                let number = if kind == 3 { i64::from(self.byte()?) } else { self.zigzag()? };
                if depth <= 1 && !(self.each)(field, number) {
                    return Err(Stop::Refused);
                }
            } else if !matches!(kind, 1 | 2) {
                self.value(kind, depth, field.outer)?;
            }
        }
    }

    /// A value that is not a field: there a truth value has a byte of its own.
    fn value(&mut self, kind: u8, depth: usize, outer: i64) -> Result<(), Stop> {
        match kind {
            1..=3 => self.byte().map(drop),
            4..=6 => self.zigzag().map(drop),
            7 => self.pass(8),
            8 => {
                let length = self.varint()?;
                self.pass(usize::try_from(length).map_err(|_| Stop::Refused)?)
            }
            9 | 10 => self.list(depth, outer),
            11 => self.map(depth, outer),
            12 => self.structure(depth + 1, outer),
            _ => Err(Stop::Refused),
        }
    }

    fn list(&mut self, depth: usize, outer: i64) -> Result<(), Stop> {
        let head = self.byte()?;
        let entries = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        self.entries(entries, &[head & 0x0F], depth, outer)
    }

    fn map(&mut self, depth: usize, outer: i64) -> Result<(), Stop> {
        let entries = self.varint()?;
        let kinds = if entries == 0 { 0 } else { self.byte()? };
        self.entries(entries, &[kinds >> 4, kinds & 0x0F], depth, outer)
    }

    fn entries(&mut self, entries: u64, kinds: &[u8], depth: usize, outer: i64) -> Result<(), Stop> {
        if entries > ENTRIES_MAX || depth >= DEPTH_MAX {
            return Err(Stop::Refused);
        }
        for _ in 0..entries {
            for kind in kinds {
                // One deeper than a structure's own fields: no number in a list is seen.
                self.value(*kind, depth + 1, outer)?;
            }
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        let byte = self.bytes.get(self.at).copied().ok_or(Stop::Unfinished)?;
        self.at += 1;
        Ok(byte)
    }

    fn pass(&mut self, bytes: usize) -> Result<(), Stop> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.bytes.len()).ok_or(Stop::Unfinished)?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Stop> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Stop::Refused)
    }

    fn zigzag(&mut self) -> Result<i64, Stop> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(bytes: &[u8]) -> (Walked, Vec<(i64, i64, i64)>) {
        let mut seen = Vec::new();
        let walked = walk(bytes, &mut |field, number| {
            seen.push((field.outer, field.inner, number));
            number != 99
        });
        (walked, seen)
    }

    #[test]
    fn numbers_are_found_and_everything_else_is_passed() {
        // 1: i32 -3; 2: truth; 3: binary "ab"; 7: struct {1: i32 64, 2: list of two truths}; 20 (long form): double; stop.
        let bytes = [
            0x15, 5, 0x11, 0x18, 2, b'a', b'b', 0x4C, 0x15, 0x80, 1, 0x19, 0x21, 1, 2, 0, 0x07, 40, 0, 0, 0, 0, 0, 0,
            0, 0, 0,
        ];
        assert_eq!(numbers(&bytes), (Walked::Whole, vec![(1, 0, -3), (7, 1, 64)]));
        for length in 0..bytes.len() {
            assert_eq!(numbers(&bytes[..length]).0, Walked::Unfinished, "{length}");
        }
        assert_eq!(numbers(&[0x15, 0xC6, 1, 0]).0, Walked::Refused);
    }

    #[test]
    fn what_declares_too_much_is_refused_before_it_is_read() {
        assert_eq!(numbers(&[0x19, 0xFC, 0x80, 0x80, 0x40]).0, Walked::Unfinished);
        assert_eq!(numbers(&[0x19, 0xFC, 0x81, 0x80, 0x40]).0, Walked::Refused);
        assert_eq!(numbers(&[0x1B, 0x81, 0x80, 0x40, 0x55]).0, Walked::Refused);
        assert_eq!(numbers(&[0x1C; 40]).0, Walked::Refused);
        assert_eq!(numbers(&[[0x19].as_slice(), &[0x19; 60]].concat()).0, Walked::Refused);
        assert_eq!(numbers(&[0x1D]).0, Walked::Refused);
        assert_eq!(
            numbers(&[0x16, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]).0,
            Walked::Refused
        );
    }
}
