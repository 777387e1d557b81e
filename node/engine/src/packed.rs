//! Bytes put one behind the other, and messages made of them for keyed hashing.

use cohortium_protocol::digest::keyed_id_framed;
use cohortium_protocol::key::wrap::Secret32;

/// Bytes that are copied at once where a cell is no longer: a copy of a length known beforehand needs no call.
const SHORT: usize = 16;

/// Bytes put one behind the other. Most cells are a few bytes long, and a call for each would cost more than they do.
pub(crate) struct Packed {
    /// What lies behind `end` means nothing.
    bytes: Vec<u8>,
    end: usize,
}

impl Packed {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: vec![0; bytes + SHORT], end: 0 }
    }

    /// Keeps the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.end = self.end.min(length);
    }

    pub(crate) const fn len(&self) -> usize {
        self.end
    }

    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    /// The bytes put, and nothing behind them.
    #[cfg(test)]
    pub(crate) fn into_filled(mut self) -> Vec<u8> {
        self.bytes.truncate(self.end);
        self.bytes
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.reserve(1);
        self.bytes[self.end] = byte;
        self.end += 1;
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.put_part(bytes, 0, bytes.len());
    }

    /// Puts `from[start..end]`.
    #[inline]
    pub(crate) fn put_part(&mut self, from: &[u8], start: usize, end: usize) {
        let length = end - start;
        self.reserve(length);
        let into = &mut self.bytes[self.end..];
        match (from[start..].first_chunk::<SHORT>(), into.first_chunk_mut::<SHORT>()) {
            (Some(from), Some(into)) if length <= SHORT => *into = *from,
            _ => into[..length].copy_from_slice(&from[start..end]),
        }
        self.end += length;
    }

    /// Puts at most `most` bytes: as many of those it is handed as `fill` says it wrote.
    pub(crate) fn put_with(&mut self, most: usize, fill: impl FnOnce(&mut [u8]) -> usize) {
        self.reserve(most);
        self.end += fill(&mut self.bytes[self.end..][..most]).min(most);
    }

    /// Puts one part as [`cohortium_protocol::digest::keyed_id`] would: its length, then the part.
    pub(crate) fn put_framed(&mut self, part: &[u8]) {
        self.put(&(part.len() as u64).to_le_bytes());
        self.put(part);
    }

    #[inline]
    fn reserve(&mut self, more: usize) {
        let needed = self.end + more + SHORT;
        if needed > self.bytes.len() {
            self.bytes.resize(needed.max(self.bytes.len() * 2), 0);
        }
    }
}

/// Hashes messages that begin with the same label under one key.
pub(crate) struct Labelled<'a> {
    key: &'a [u8; 32],
    message: Packed,
    label_bytes: usize,
}

impl<'a> Labelled<'a> {
    pub(crate) fn new(key: &'a Secret32, label: &[u8]) -> Self {
        let mut message = Packed::with_capacity(1024);
        message.put_framed(label);
        Self { key: key.as_bytes(), label_bytes: message.len(), message }
    }

    /// Hashes what `fill` puts behind the label.
    pub(crate) fn hash(&mut self, fill: impl FnOnce(&mut Packed)) -> [u8; 16] {
        self.message.truncate(self.label_bytes);
        fill(&mut self.message);
        keyed_id_framed(self.key, self.message.filled())
    }
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::digest::keyed_id;

    use super::*;

    #[test]
    fn what_is_put_is_what_is_there_whatever_its_length() {
        let text: Vec<u8> = (0..=255).collect();
        for first in [0, 1, 15, 16, 17, 100] {
            for second in [0, 1, 15, 16, 17, 240, 256] {
                let mut packed = Packed::with_capacity(0);
                packed.put(&text[..first]);
                packed.put_part(&text, 256 - second, 256);
                packed.push(7);
                let expected = [&text[..first], &text[256 - second..], &[7]].concat();
                assert_eq!(packed.filled(), expected);
                packed.truncate(first);
                assert_eq!(packed.into_filled(), text[..first]);
            }
        }
    }

    #[test]
    fn a_labelled_hash_is_a_keyed_id() {
        let key = Secret32::new([3; 32]);
        let mut labelled = Labelled::new(&key, b"row");
        for part in ["", "7", "a part that is longer than sixteen bytes"] {
            let expected = keyed_id(key.as_bytes(), [b"row".as_slice(), part.as_bytes()]);
            assert_eq!(labelled.hash(|message| message.put_framed(part.as_bytes())), expected);
        }
    }
}
