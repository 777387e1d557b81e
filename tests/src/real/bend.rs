//! One bit turned in a file, and turned back when the guard goes.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "only tests call this; what goes wrong fails them")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file with one bit turned. The bit is put back when this is dropped.
#[derive(Debug)]
pub struct Bent {
    path: PathBuf,
    at: u64,
    good: u8,
}

impl Bent {
    /// Turns bit `bit` (0 to 7) of byte `at`.
    ///
    /// # Panics
    /// When the file has no such byte.
    pub fn new(path: &Path, at: u64, bit: u32) -> Self {
        let mut byte = [0];
        let file = File::options().read(true).write(true).open(path).unwrap();
        file.read_exact_at(&mut byte, at).unwrap();
        let good = byte[0];
        file.write_all_at(&[good ^ (1 << (bit % 8))], at).unwrap();
        Self { path: path.to_owned(), at, good }
    }
}

impl Drop for Bent {
    fn drop(&mut self) {
        let file = File::options().write(true).open(&self.path);
        let _ = file.and_then(|file| file.write_all_at(&[self.good], self.at));
    }
}

/// Places to turn a bit at: every byte of a small file, else the ends and `most` places spread by a seed.
pub fn places(path: &Path, most: u64, seed: u64) -> Vec<u64> {
    let length = fs::metadata(path).unwrap().len();
    if length <= most {
        return (0..length).collect();
    }
    let mut state = seed | 1;
    let mut all: Vec<u64> = (0..most)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % length
        })
        .chain([0, 1, length / 2, length - 2, length - 1])
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}
