//! Tables of levels: one line a leaf, from the leaf to the root, as ARX writes them. The check of such a table serves the
//! other builders too.

use std::collections::HashMap;

use super::{Hierarchy, HierarchyFault, LEAVES_MAX};

impl Hierarchy {
    /// Reads a table of levels: lines of labels with a separator between them, the leaf first. Empty lines are passed over.
    ///
    /// # Errors
    ///
    /// Every fault that a table of levels can have, with the line that shows it.
    pub fn from_table(text: &str, separator: char) -> Result<Self, HierarchyFault> {
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim_end).filter(|line| !line.is_empty());
        Self::from_paths(lines.map(|line| line.split(separator).map(str::to_owned).collect()).collect())
    }
}

/// Looks for holes, cycles, repeated leaves and values with two parents.
pub(super) fn check(paths: &[Vec<String>]) -> Result<(), HierarchyFault> {
    let levels = paths.first().map(Vec::len).filter(|levels| *levels > 0).ok_or(HierarchyFault::Empty)?;
    if paths.len() > LEAVES_MAX {
        return Err(HierarchyFault::TooLarge);
    }
    let mut parents: Vec<HashMap<&str, &str>> = vec![HashMap::new(); levels - 1];
    let mut leaves = HashMap::new();
    for (line, path) in paths.iter().enumerate() {
        if path.len() != levels {
            return Err(HierarchyFault::Ragged { line });
        }
        if let Some(level) = path.iter().position(String::is_empty).filter(|level| *level > 0) {
            return Err(HierarchyFault::Hole { line, level });
        }
        if let Some(level) = comes_back(path) {
            return Err(HierarchyFault::Cycle { line, level });
        }
        if leaves.insert(path[0].as_str(), line).is_some() {
            return Err(HierarchyFault::Twice { line });
        }
        for (level, pair) in path.windows(2).enumerate() {
            if *parents[level].entry(&pair[0]).or_insert(&pair[1]) != pair[1] {
                return Err(HierarchyFault::TwoParents { line, level });
            }
        }
    }
    Ok(())
}

/// The level at which a path names a value again after it has left it.
fn comes_back(path: &[String]) -> Option<usize> {
    (2..path.len()).find(|level| path[*level] != path[level - 1] && path[..level - 1].contains(&path[*level]))
}
