//! Looks for values that must never leave a member in every file that nodes wrote.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Every canary has this length: sixteen hexadecimal digits, or a plus sign and thirteen digits.
const LENGTHS: [usize; 2] = [16, 14];

/// Files below `dir` that hold one of `canaries`, and how many files were read.
///
/// # Errors
/// A fault of the file system, with the path it happened at in its text.
pub fn files_with(canaries: &[String], dir: &Path) -> io::Result<(Vec<PathBuf>, u64)> {
    let wanted: HashSet<&[u8]> = canaries.iter().map(String::as_bytes).collect();
    let (mut found, mut read, mut folders) = (Vec::new(), 0, vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let kind = fs::symlink_metadata(&path)?.file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                read += 1;
                if holds(&fs::read(&path)?, &wanted) {
                    found.push(path);
                }
            }
        }
    }
    Ok((found, read))
}

/// Whether any window of a canary's length is one.
fn holds(bytes: &[u8], wanted: &HashSet<&[u8]>) -> bool {
    let possible = |window: &[u8]| window.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'+');
    LENGTHS.iter().any(|length| bytes.windows(*length).any(|window| possible(window) && wanted.contains(window)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_canary_is_found_wherever_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let canaries = ["0123456789abcdef".to_owned(), "+9991234567890".to_owned()];
        fs::create_dir(dir.path().join("deep")).unwrap();
        fs::write(dir.path().join("clean"), vec![0xff; 5000]).unwrap();
        assert_eq!(files_with(&canaries, dir.path()).unwrap(), (vec![], 1));
        for canary in &canaries {
            let mut bytes = vec![0xee; 4000];
            bytes.extend_from_slice(canary.as_bytes());
            bytes.push(0);
            let path = dir.path().join("deep").join("planted");
            fs::write(&path, bytes).unwrap();
            assert_eq!(files_with(&canaries, dir.path()).unwrap(), (vec![path], 2));
        }
    }
}
