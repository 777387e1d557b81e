//! Seeded damage for tests: the same seed breaks the same bytes.

/// A small generator of numbers (xorshift), so that a failing run can be run again.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// The bytes with a few of them changed, left out, put in twice or cut off.
    pub(crate) fn mutated(&mut self, bytes: &[u8]) -> Vec<u8> {
        const SPICE: [&[u8]; 12] =
            [b"\"", b"\\", b"{", b"}", b"[", b"]", b",", b"null", b"\\u", b"\xff", b"1e999", b"\"resourceType\":"];
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => drop(bytes.splice(at..at, SPICE[self.below(SPICE.len())].iter().copied()).collect::<Vec<_>>()),
                2 => drop(bytes.drain(at..bytes.len().min(at + self.below(9)))),
                3 => {
                    let end = bytes.len().min(at + self.below(40));
                    let copy = bytes[at..end].to_vec();
                    drop(bytes.splice(at..at, copy).collect::<Vec<_>>());
                }
                _ => {
                    let byte = u8::try_from(self.below(256)).unwrap();
                    bytes.iter_mut().skip(at).take(1).for_each(|old| *old = byte);
                }
            }
        }
        bytes
    }
}
