//! A recoding: which class each row is in, and how a class is written. What every transformation returns, and what every
//! measure, model and attack reads.

use std::collections::HashMap;

use crate::hierarchy::Node;
use crate::table::Table;

/// The class of a row that is not released.
pub const SUPPRESSED: u32 = u32::MAX;

/// Classes of rows that are written alike. Holds rows, so it does not print.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_debug_implementations, reason = "holds rows")]
pub struct Recoding {
    class_of: Vec<u32>,
    nodes: Vec<Node>,
    width: usize,
}

impl Recoding {
    /// Nothing is released of these rows.
    pub fn nothing(rows: usize, width: usize) -> Self {
        Self { class_of: vec![SUPPRESSED; rows], nodes: Vec::new(), width }
    }

    /// Puts together classes that are written alike, drops classes without rows, and numbers the others as they appear.
    pub(crate) fn new(class_of: Vec<u32>, nodes: &[Node], width: usize) -> Self {
        let mut found: HashMap<&[Node], u32> = HashMap::new();
        let mut renamed = vec![SUPPRESSED; nodes.len() / width];
        let mut recoding = Self { class_of, nodes: Vec::new(), width };
        for class in &mut recoding.class_of {
            if *class == SUPPRESSED {
                continue;
            }
            let at = *class as usize;
            if renamed[at] == SUPPRESSED {
                let next = found.len() as u32;
                let written = &nodes[at * width..(at + 1) * width];
                renamed[at] = *found.entry(written).or_insert_with(|| {
                    recoding.nodes.extend_from_slice(written);
                    next
                });
            }
            *class = renamed[at];
        }
        recoding
    }

    /// The number of rows, released or not.
    pub fn rows(&self) -> usize {
        self.class_of.len()
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.nodes.len() / self.width
    }

    /// The number of quasi-identifiers.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The class of each row; [`SUPPRESSED`] where it is not released.
    pub fn class_of(&self) -> &[u32] {
        &self.class_of
    }

    /// How a class is written, one value a quasi-identifier.
    pub fn written(&self, class: u32) -> &[Node] {
        let at = class as usize * self.width;
        &self.nodes[at..at + self.width]
    }

    /// How many rows are not released.
    pub fn suppressed(&self) -> usize {
        self.class_of.iter().filter(|class| **class == SUPPRESSED).count()
    }

    /// The rows of each class.
    pub fn members(&self) -> Members {
        Members::new(&self.class_of, self.classes())
    }

    /// The same without some classes: their rows are not released.
    #[must_use]
    pub fn without(&self, drop: &[bool]) -> Self {
        let keep = |class: &u32| if *class == SUPPRESSED || drop[*class as usize] { SUPPRESSED } else { *class };
        Self::new(self.class_of.iter().map(keep).collect(), &self.nodes, self.width)
    }

    /// The same without some rows.
    #[must_use]
    pub fn without_rows(&self, drop: impl Fn(u32) -> bool) -> Self {
        let keep = |(row, class): (usize, &u32)| if drop(row as u32) { SUPPRESSED } else { *class };
        Self::new(self.class_of.iter().enumerate().map(keep).collect(), &self.nodes, self.width)
    }

    /// Whether a row's own leaves lie below what its class says, for every row: what makes it a generalisation.
    pub fn covers(&self, table: &Table) -> bool {
        let covered = |(row, class): (usize, &u32)| {
            *class == SUPPRESSED
                || self.written(*class).iter().zip(&table.quasi).all(|(node, column)| {
                    column.hierarchy.over(usize::from(node.level), column.leaves[row]) == node.index
                })
        };
        self.class_of.iter().enumerate().all(covered)
    }
}

/// Rows sorted by class.
#[expect(missing_debug_implementations, reason = "holds rows")]
pub struct Members {
    start: Vec<u32>,
    rows: Vec<u32>,
}

impl Members {
    pub(crate) fn new(class_of: &[u32], classes: usize) -> Self {
        let mut start = vec![0_u32; classes + 1];
        for class in class_of.iter().filter(|class| **class != SUPPRESSED) {
            start[*class as usize + 1] += 1;
        }
        for class in 0..classes {
            start[class + 1] += start[class];
        }
        let mut next = start.clone();
        let mut rows = vec![0; start[classes] as usize];
        for (row, class) in class_of.iter().enumerate().filter(|(_, class)| **class != SUPPRESSED) {
            let at = &mut next[*class as usize];
            rows[*at as usize] = row as u32;
            *at += 1;
        }
        Self { start, rows }
    }

    /// The rows of a class, ascending.
    pub fn of(&self, class: usize) -> &[u32] {
        &self.rows[self.start[class] as usize..self.start[class + 1] as usize]
    }

    /// The classes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.start.len() - 1).map(|class| self.of(class))
    }
}
