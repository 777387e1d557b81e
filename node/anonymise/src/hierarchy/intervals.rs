//! Numeric intervals: leaves are steps of a declared precision between two public bounds, higher levels are wider steps.

use super::lookup::Lookup;
use super::{Hierarchy, HierarchyFault, LEAVES_MAX};

/// What an interval hierarchy is made of. Everything is a public parameter; nothing is learned from rows.
#[derive(Clone, Debug)]
pub struct Intervals {
    /// The lower bound; what lies below counts as the first leaf, which is then a bottom code.
    pub lower: f64,
    /// The upper bound, not included; what lies above counts as the last leaf, which is then a top code.
    pub upper: f64,
    /// The width of a leaf.
    pub unit: f64,
    /// The width of each level above the leaves in leaves, each a multiple of the one before.
    pub steps: Vec<u32>,
}

impl Hierarchy {
    /// Builds the hierarchy of intervals. A step of one is written as its lower end, others as `[from, to)`.
    ///
    /// # Errors
    ///
    /// Bounds that are not numbers, are empty or hold too many leaves; steps that do not nest.
    pub fn from_intervals(intervals: &Intervals) -> Result<Self, HierarchyFault> {
        let Intervals { lower, upper, unit, steps } = intervals;
        let leaves = ((upper - lower) / unit).ceil();
        if !(lower.is_finite() && upper.is_finite() && *unit > 0.0 && leaves >= 1.0) {
            return Err(HierarchyFault::Range);
        }
        if leaves > LEAVES_MAX as f64 {
            return Err(HierarchyFault::TooLarge);
        }
        let leaves = leaves as u32;
        let mut below = 1;
        for (level, step) in steps.iter().enumerate() {
            if *step <= below || step % below != 0 {
                return Err(HierarchyFault::Steps { level: level + 1 });
            }
            below = *step;
        }
        let at = |leaf: u32| lower + f64::from(leaf) * unit;
        let interval = |leaf: u32, step: u32| {
            let from = leaf / step * step;
            format!("[{}, {})", at(from), at((from + step).min(leaves)))
        };
        let path = |leaf: u32| {
            let above = steps.iter().map(|step| interval(leaf, *step));
            std::iter::once(format!("{}", at(leaf))).chain(above).chain([super::ROOT.to_owned()]).collect()
        };
        let built = Self::from_paths((0..leaves).map(path).collect())?;
        Ok(built.with_lookup(Lookup::Grid { lower: *lower, unit: *unit, leaves }))
    }
}
