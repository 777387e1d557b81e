//! A keyed hash over words, by which rows and groups of a unit are sampled: the same unit with the same rows is always sampled the
//! same, whatever other rows there are and in whichever order they come.
//!
//! Source: Aumasson and Bernstein 2012, `SipHash-2-4`, over messages of whole words.

use std::hash::{BuildHasher, Hasher};

/// The key of the sampling. Who knows it and a unit's rows knows which of them count; it protects nothing else.
#[expect(missing_debug_implementations, reason = "it is a key")]
#[derive(Clone, Copy)]
pub struct SamplingKey(pub [u8; 16]);

impl SamplingKey {
    pub(crate) fn words(self) -> (u64, u64) {
        let word =
            |place: usize| self.0[place..place + 8].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        (word(0), word(8))
    }

    /// The hash of these words.
    pub(crate) fn hash(self, words: impl IntoIterator<Item = u64>) -> u64 {
        let (one, two) = self.words();
        let mut state = [
            one ^ 0x736f_6d65_7073_6575,
            two ^ 0x646f_7261_6e64_6f6d,
            one ^ 0x6c79_6765_6e65_7261,
            two ^ 0x7465_6462_7974_6573,
        ];
        let mut length = 0_u64;
        let take = |state: &mut [u64; 4], word: u64| {
            state[3] ^= word;
            round(state);
            round(state);
            state[0] ^= word;
        };
        for word in words {
            take(&mut state, word);
            length = length.wrapping_add(8);
        }
        take(&mut state, length << 56);
        state[2] ^= 0xff;
        (0..4).for_each(|_| round(&mut state));
        state[0] ^ state[1] ^ state[2] ^ state[3]
    }
}

const fn round(state: &mut [u64; 4]) {
    state[0] = state[0].wrapping_add(state[1]);
    state[1] = state[1].rotate_left(13) ^ state[0];
    state[0] = state[0].rotate_left(32);
    state[2] = state[2].wrapping_add(state[3]);
    state[3] = state[3].rotate_left(16) ^ state[2];
    state[0] = state[0].wrapping_add(state[3]);
    state[3] = state[3].rotate_left(21) ^ state[0];
    state[2] = state[2].wrapping_add(state[1]);
    state[1] = state[1].rotate_left(17) ^ state[2];
    state[2] = state[2].rotate_left(32);
}

/// A quick hash for tables in memory, seeded, so that nobody can choose values that all meet.
#[derive(Clone, Copy)]
pub(crate) struct Quick(pub(crate) u64);

impl BuildHasher for Quick {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

/// The upper and lower half of the product, folded.
pub(crate) const fn fold(one: u64, other: u64) -> u64 {
    let product = (one as u128).wrapping_mul(other as u128);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    let low = product as u64;
    (product >> 64) as u64 ^ low
}

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.write_u64(word);
        }
        self.write_u64(bytes.len() as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, 0x9e37_79b9_7f4a_7c15);
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word.cast_unsigned());
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the reference implementation's vectors: messages of 0, 8, 16 and 24 bytes, each byte its place.
    #[test]
    fn the_hash_is_the_published_one() {
        let key = SamplingKey(std::array::from_fn(|place| u8::try_from(place).unwrap()));
        let word = |place: u64| (0..8).rev().fold(0, |word, byte| word << 8 | (8 * place + byte));
        let hash = |words: u64| key.hash((0..words).map(word));
        assert_eq!(hash(0), 0x726f_db47_dd0e_0e31);
        assert_eq!(hash(1), 0x93f5_f579_9a93_2462);
        assert_eq!(hash(2), 0x3f2a_cc7f_57c2_9bdb);
    }

    #[test]
    fn texts_that_differ_by_an_end_hash_apart() {
        let hash = |text: &str| Quick(7).hash_one(text);
        assert_ne!(hash("a"), hash("a\0"));
        assert_ne!(hash("12345678"), hash("123456781"));
        assert_eq!(hash("12345678"), hash("12345678"));
    }
}
