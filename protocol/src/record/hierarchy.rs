//! A hierarchy as it is written in a request: how one column's values become coarser. Public parameters, readable by a person.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::Text;
use crate::limits::{HIERARCHY_LEVELS_MAX, HIERARCHY_LINES_MAX};
use crate::record::literal::{Day, Decimal};

/// A level of a hierarchy of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateLevel {
    /// `1987-04`.
    Month,
    /// `1987-Q2`.
    Quarter,
    /// `1987`.
    Year,
    /// `1980s`.
    Decade,
}

/// How the values of one column become coarser. A root is added where the last level has several values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HierarchyForm {
    /// A line for each leaf, from the leaf to the root.
    Table(Vec<Vec<Text>>),
    /// Numbers: leaves are steps of `unit` from `lower` to below `upper`; what lies outside counts as the first or last.
    Intervals {
        /// The lower bound.
        lower: Decimal,
        /// The upper bound, not included.
        upper: Decimal,
        /// The width of a leaf.
        unit: Decimal,
        /// The width of each level above in leaves, each a multiple of the one before.
        steps: Vec<u32>,
    },
    /// Days.
    Dates {
        /// The first.
        first: Day,
        /// The last.
        last: Day,
        /// The levels above days, from fine to coarse.
        levels: Vec<DateLevel>,
    },
    /// Codes that keep ever fewer of their first characters.
    Prefixes {
        /// The codes.
        codes: Vec<Text>,
        /// How many characters each level above keeps.
        keep: Vec<u8>,
    },
    /// Pairs of a value and the one above it, in any order.
    Tree(Vec<(Text, Text)>),
}

/// Why a hierarchy is out of bounds. What its lines say is checked where it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HierarchyBound {
    /// No line, or too many.
    Lines,
    /// Too many levels.
    Levels,
}

impl fmt::Display for HierarchyBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines => write!(f, "a hierarchy has 1 to {HIERARCHY_LINES_MAX} lines"),
            Self::Levels => write!(f, "a hierarchy has at most {HIERARCHY_LEVELS_MAX} levels"),
        }
    }
}

impl std::error::Error for HierarchyBound {}

impl HierarchyForm {
    /// Whether it is within the bounds of lines and levels.
    ///
    /// # Errors
    /// The bound that it breaks.
    pub fn check(&self) -> Result<(), HierarchyBound> {
        // One level is the leaves, one the root.
        let (lines, levels) = match self {
            Self::Table(lines) => (lines.len(), lines.iter().map(Vec::len).max().unwrap_or(0)),
            Self::Intervals { steps, .. } => (1, steps.len().saturating_add(2)),
            Self::Dates { levels, .. } => (1, levels.len().saturating_add(2)),
            Self::Prefixes { codes, keep } => (codes.len(), keep.len().saturating_add(2)),
            Self::Tree(pairs) => (pairs.len(), 0),
        };
        if !(1..=HIERARCHY_LINES_MAX).contains(&lines) {
            return Err(HierarchyBound::Lines);
        }
        if levels > HIERARCHY_LEVELS_MAX { Err(HierarchyBound::Levels) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_each_bound() {
        let text: Text = "x".parse().unwrap();
        let table = |lines, levels| HierarchyForm::Table(vec![vec![text.clone(); levels]; lines]).check();
        assert_eq!(table(HIERARCHY_LINES_MAX, HIERARCHY_LEVELS_MAX), Ok(()));
        assert_eq!(table(HIERARCHY_LINES_MAX + 1, 1), Err(HierarchyBound::Lines));
        assert_eq!(table(0, 1), Err(HierarchyBound::Lines));
        assert_eq!(table(1, HIERARCHY_LEVELS_MAX + 1), Err(HierarchyBound::Levels));
    }
}
