//! Trees: pairs of a value and its parent, in any order and of any depth.

use std::collections::{HashMap, HashSet};

use super::{Hierarchy, HierarchyFault, LEVELS_MAX};

impl Hierarchy {
    /// Builds a hierarchy from pairs of child and parent. Leaves are the values that are nobody's parent; where branches
    /// differ in depth, a leaf is repeated upwards.
    ///
    /// # Errors
    ///
    /// A cycle, a child with two parents, an empty name, or no pair.
    pub fn from_tree(pairs: &[(&str, &str)]) -> Result<Self, HierarchyFault> {
        let mut parent_of = HashMap::new();
        for (line, (child, parent)) in pairs.iter().enumerate() {
            if child.is_empty() || parent.is_empty() {
                return Err(HierarchyFault::Hole { line, level: usize::from(!child.is_empty()) });
            }
            if *parent_of.entry(*child).or_insert(*parent) != *parent {
                return Err(HierarchyFault::TwoParents { line, level: 0 });
            }
        }
        let parents: HashSet<&str> = pairs.iter().map(|(_, parent)| *parent).collect();
        let mut seen = HashSet::new();
        let mut paths = Vec::new();
        for (line, (child, _)) in pairs.iter().enumerate() {
            let path = way_up(child, &parent_of, line)?;
            if !parents.contains(child) && seen.insert(*child) {
                paths.push(path);
            }
        }
        let depth = paths.iter().map(Vec::len).max().ok_or(HierarchyFault::Empty)?;
        let several_roots = paths.iter().any(|path| path.last() != paths[0].last());
        let padded = paths.into_iter().map(|path| {
            let leaf = std::iter::repeat_n(path[0], depth - path.len());
            let root = several_roots.then_some(super::ROOT);
            leaf.chain(path.iter().copied()).chain(root).map(str::to_owned).collect()
        });
        Self::from_paths(padded.collect())
    }
}

fn way_up<'a>(
    child: &'a str,
    parent_of: &HashMap<&'a str, &'a str>,
    line: usize,
) -> Result<Vec<&'a str>, HierarchyFault> {
    let mut path = vec![child];
    while let Some(parent) = path.last().and_then(|value| parent_of.get(value)) {
        if path.contains(parent) {
            return Err(HierarchyFault::Cycle { line, level: path.len() });
        }
        if path.len() == LEVELS_MAX {
            return Err(HierarchyFault::TooLarge);
        }
        path.push(parent);
    }
    Ok(path)
}
