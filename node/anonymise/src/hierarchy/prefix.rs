//! Prefix masking: a code keeps ever fewer of its first characters, as with ZIP and ICD codes.

use super::{Hierarchy, HierarchyFault};

impl Hierarchy {
    /// Builds the hierarchy of a public list of codes: each level keeps so many first characters and masks the others with
    /// `*`.
    ///
    /// # Errors
    ///
    /// An empty list, an empty or repeated code, or lengths that do not shrink.
    pub fn from_prefixes(codes: &[&str], keep: &[usize]) -> Result<Self, HierarchyFault> {
        if let Some(level) = keep.windows(2).position(|pair| pair[0] <= pair[1]) {
            return Err(HierarchyFault::Steps { level: level + 2 });
        }
        let path = |code: &&str| {
            let masked = |keep: &usize| {
                let tail = code.chars().skip(*keep).map(|_| '*');
                if *keep == 0 { super::ROOT.to_owned() } else { code.chars().take(*keep).chain(tail).collect() }
            };
            std::iter::once((*code).to_owned()).chain(keep.iter().map(masked)).chain([super::ROOT.to_owned()]).collect()
        };
        let mut paths: Vec<Vec<String>> = codes.iter().map(path).collect();
        if keep.last() == Some(&0) {
            for path in &mut paths {
                path.pop();
            }
        }
        if let Some(line) = codes.iter().position(|code| code.is_empty()) {
            return Err(HierarchyFault::Hole { line, level: 0 });
        }
        // Codes of several lengths share a prefix and not a mask: `12**` and `12*` would be two nodes.
        let one_mask = |path: &mut Vec<String>| path.iter_mut().skip(1).for_each(shorten);
        paths.iter_mut().for_each(one_mask);
        Self::from_paths(paths)
    }
}

/// Writes a run of masks as one.
fn shorten(label: &mut String) {
    let kept = label.trim_end_matches('*').len();
    if label.len() > kept {
        label.truncate(kept);
        label.push('*');
    }
}
