//! Ten thousand seeded corruptions of what hospitals write, and every one accounted for: the row is in quarantine with its
//! place and the reason, or the run ends with a fault that names the place, and nothing else changes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong fails the test")]

#[path = "corruptions/member.rs"]
mod member;
#[path = "corruptions/spoil.rs"]
mod spoil;
#[path = "corruptions/write.rs"]
mod write;
#[path = "corruptions/rows.rs"]
mod rows;
#[path = "corruptions/files.rs"]
mod files;

/// A small generator of numbers, so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}
