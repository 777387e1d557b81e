//! Randomness, which is an argument: a seed that the caller draws once for each release and keeps to itself.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A secret seed. Who knows it can undo what the attack-resistant mode hides.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a secret")]
pub struct Seed(pub [u8; 32]);

/// What a part of the work draws from a seed for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Shuffle,
    Ids,
    Resist,
    Round,
    Attack,
}

/// A stream of random numbers.
pub(crate) struct Dice(ChaCha20Rng);

impl Seed {
    /// The stream of one purpose; streams of different purposes or parts have nothing in common.
    pub(crate) fn dice(&self, purpose: Purpose, part: u64) -> Dice {
        let mut generator = ChaCha20Rng::from_seed(self.0);
        let purpose = match purpose {
            Purpose::Shuffle => 1,
            Purpose::Ids => 2,
            Purpose::Resist => 3,
            Purpose::Round => 4,
            Purpose::Attack => 5,
        };
        generator.set_stream(part << 3 | purpose);
        Dice(generator)
    }
}

impl Dice {
    pub(crate) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Below `end`, evenly. Source: Lemire 2019, without the last rejection step, whose bias of `end` in 2^64 is below anything
    /// that a release could show.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(end)) >> 64) as u64
    }

    /// From 0 to 1, without 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}
