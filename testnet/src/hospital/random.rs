//! Seeded draws and permutations. Integers only, so that the same seed gives the same bytes on every machine.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What a stream of draws is for. Each has a key of its own, so that a change to one does not shift another.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Person = 1,
    Encounter = 2,
    Labs = 3,
    Vitals = 4,
    Diagnoses = 5,
    Registration = 6,
    Shuffle = 7,
    Change = 8,
    Corruption = 9,
}

/// A stream of `ChaCha20` draws that belongs to one (seed, purpose, place, index).
pub(super) struct Draws(ChaCha20Rng);

impl Draws {
    pub(super) fn new(seed: u64, purpose: Purpose, place: u64, index: u64) -> Self {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = purpose as u8;
        key[16..24].copy_from_slice(&place.to_le_bytes());
        key[24..].copy_from_slice(b"hospital");
        let mut rng = ChaCha20Rng::from_seed(key);
        rng.set_stream(index);
        Self(rng)
    }

    pub(super) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..bound` (bias below 2^-32 for the bounds used here); 0 for a bound of 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        scale(self.word(), bound)
    }

    /// Uniform in `low..=high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + signed(self.below(u64::try_from(high - low + 1).expect("low is at most high")))
    }

    /// True in `per_mille` of 1,000 draws.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[index(self.below(items.len() as u64))]
    }

    /// Like `pick`, but the front of the list is more frequent: half of all draws fall in the first quarter.
    pub(super) fn skewed(&mut self, bound: u64) -> u64 {
        let u = self.below(1 << 16);
        scale_16((u * u) >> 16, bound)
    }

    /// Normal with this mean and standard deviation, as the sum of twelve uniforms, so within six deviations.
    pub(super) fn normal(&mut self, mean: i64, deviation: i64) -> i64 {
        let mut sum = 0_i64;
        for _ in 0..3 {
            let word = self.word();
            sum += (0..4).map(|part| signed(word >> (16 * part) & 0xffff)).sum::<i64>();
        }
        mean + deviation * (sum - 6 * 0xffff) / 0x1_0000
    }

    /// Index into `weights`, drawn in proportion to them.
    pub(super) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut rest = self.below(weights.iter().sum());
        for (at, weight) in weights.iter().enumerate() {
            if rest < *weight {
                return at;
            }
            rest -= weight;
        }
        weights.len() - 1
    }
}

/// A keyed permutation of `0..size`, computed and not stored (a Feistel network with cycle walking).
#[derive(Clone)]
pub(super) struct Permutation {
    size: u64,
    half_bits: u32,
    keys: [u64; 6],
}

impl Permutation {
    /// `size` is at most 2^62.
    pub(super) fn new(seed: u64, place: u64, index: u64, size: u64) -> Self {
        assert!(size <= 1 << 62, "a permutation covers at most 2^62 values");
        let mut draws = Draws::new(seed, Purpose::Shuffle, place, index);
        let bits = u64::BITS - size.max(2).saturating_sub(1).leading_zeros();
        Self { size, half_bits: bits.div_ceil(2), keys: std::array::from_fn(|_| draws.word()) }
    }

    pub(super) fn forward(&self, value: u64) -> u64 {
        self.walk(value, |p, v| {
            let (mut left, mut right) = p.halves(v);
            for key in p.keys {
                (left, right) = (right, left ^ p.round(key, right));
            }
            (left, right)
        })
    }

    pub(super) fn backward(&self, value: u64) -> u64 {
        self.walk(value, |p, v| {
            let (mut left, mut right) = p.halves(v);
            for key in p.keys.iter().rev() {
                (left, right) = (right ^ p.round(*key, left), left);
            }
            (left, right)
        })
    }

    fn walk(&self, value: u64, step: impl Fn(&Self, u64) -> (u64, u64)) -> u64 {
        assert!(value < self.size, "a value outside the permutation");
        let mut at = value;
        loop {
            let (left, right) = step(self, at);
            at = left << self.half_bits | right;
            if at < self.size {
                return at;
            }
        }
    }

    fn halves(&self, value: u64) -> (u64, u64) {
        (value >> self.half_bits, value & self.mask())
    }

    fn mask(&self) -> u64 {
        (1 << self.half_bits) - 1
    }

    fn round(&self, key: u64, half: u64) -> u64 {
        mix(half ^ key) & self.mask()
    }
}

/// Mixes 64 bits (the finaliser of `SplitMix64`, Steele 2014).
pub(super) fn mix(word: u64) -> u64 {
    let a = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let b = (a ^ a >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let c = (b ^ b >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    c ^ c >> 31
}

/// A list index from a drawn number.
pub(super) fn index(value: u64) -> usize {
    usize::try_from(value).expect("drawn below a length")
}

/// The same number with a sign.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).expect("counts stay far below 2^63")
}

fn scale(word: u64, bound: u64) -> u64 {
    u64::try_from((u128::from(word) * u128::from(bound)) >> 64).expect("a product of 128 bits, shifted by 64")
}

fn scale_16(part: u64, bound: u64) -> u64 {
    (part * bound) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_hits_every_value_once_and_goes_back() {
        for size in [1, 2, 3, 7, 64, 1000] {
            let permutation = Permutation::new(7, 1, 2, size);
            let mut seen: Vec<u64> = (0..size).map(|v| permutation.forward(v)).collect();
            for (value, image) in seen.iter().enumerate() {
                assert_eq!(permutation.backward(*image), value as u64);
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..size).collect::<Vec<_>>());
        }
    }

    #[test]
    fn draws_depend_on_seed_purpose_place_and_index() {
        let first = |seed, purpose, place, index| Draws::new(seed, purpose, place, index).word();
        let base = first(1, Purpose::Person, 0, 0);
        assert_eq!(base, first(1, Purpose::Person, 0, 0));
        assert_ne!(base, first(2, Purpose::Person, 0, 0));
        assert_ne!(base, first(1, Purpose::Labs, 0, 0));
        assert_ne!(base, first(1, Purpose::Person, 1, 0));
        assert_ne!(base, first(1, Purpose::Person, 0, 1));
    }

    #[test]
    fn normal_draws_have_their_mean_and_spread() {
        let mut draws = Draws::new(3, Purpose::Labs, 0, 0);
        let values: Vec<i64> = (0..20_000).map(|_| draws.normal(500, 100)).collect();
        let mean = values.iter().sum::<i64>() / 20_000;
        let variance = values.iter().map(|v| (v - 500) * (v - 500)).sum::<i64>() / 20_000;
        assert!((495..=505).contains(&mean), "{mean}");
        assert!((9_500..=10_500).contains(&variance), "{variance}");
    }
}
