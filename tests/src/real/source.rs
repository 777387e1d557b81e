//! Sources for tests: small tables, folders of files whose bytes follow from a seed.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "only tests call this; what goes wrong fails them")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What every identifier of [`table`] begins with: it may be found nowhere but in the source.
pub const CANARY: &str = "feedfacecafe";

/// A table of stays: `eid` identifies, `name` is a canary, `age` and `sodium` are measured. `sodium` is `140` but for the
/// rows that `changed` names.
pub fn table(path: &Path, rows: Range<u32>, changed: Range<u32>) {
    let mut text = String::from("eid,name,age,sodium\n");
    for row in rows {
        let sodium = if changed.contains(&row) { 155 } else { 140 };
        writeln!(text, "{row},{CANARY}{row:04x},{},{sodium}", 20 + row % 60).unwrap();
    }
    fs::write(path, text).unwrap();
}

/// Bytes that follow from a seed, no two pieces alike.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut all = Vec::with_capacity(length + 8);
    while all.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.extend_from_slice(&state.to_le_bytes());
    }
    all.truncate(length);
    all
}

/// Writes a file of [`bytes`], in pieces: memory does not grow with its length.
pub fn big_file(path: &Path, seed: u64, mebibytes: u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    for piece in 0..mebibytes {
        file.write_all(&bytes(seed ^ (piece << 20), 1 << 20)).unwrap();
    }
    file.flush().unwrap();
}

/// All plain files below a folder, in order.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let kind = fs::symlink_metadata(&path).map(|metadata| metadata.file_type());
            match kind {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Whether two files are the same, compared in pieces.
pub fn same(one: &Path, other: &Path) -> bool {
    use std::io::Read;
    let (mut one, mut other) = (File::open(one).unwrap(), File::open(other).unwrap());
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = one.read(&mut a).unwrap();
        if read == 0 {
            return other.read(&mut b).unwrap() == 0;
        }
        if other.read_exact(&mut b[..read]).is_err() || a[..read] != b[..read] {
            return false;
        }
    }
}

/// Cells of a column of a checked-out CSV, sorted.
pub fn column(path: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let at = header.iter().position(|cell| cell.trim_matches('"') == name);
    let Some(at) = at else { return Vec::new() };
    let mut cells: Vec<String> = lines.filter_map(|line| line.split(',').nth(at)).map(str::to_owned).collect();
    cells.sort();
    cells
}
