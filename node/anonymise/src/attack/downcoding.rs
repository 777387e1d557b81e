//! Downcoding and greedy choices: cells that are refined because a minimal or greedy recoder would otherwise have written them
//! more finely. Sources: Cohen 2022, section 4; Chhillar et al. 2025, arXiv 2509.03350.

use std::collections::HashMap;

use super::{Attack, Finding, generalised_cells, open};
use crate::hierarchy::Node;
use crate::loss::occurrences;
use crate::recoding::Recoding;
use crate::table::Table;

/// Rows of one class that the attacker says something about.
struct Claim {
    class: usize,
    column: usize,
    /// For each of these values one row at least has it; the attacker writes it so.
    each_of: Vec<Node>,
    /// Or: no row has any of these.
    none_of: Vec<Node>,
}

/// Downcoding by tightness. Where a class is written as its rows' lowest common value and two values lie below that, each of
/// them has a row. One column a class, because which row it is in another column is not known.
pub fn downcoding(table: &Table, recoding: &Recoding) -> Finding {
    let mut claims = Vec::new();
    let margins: Vec<_> = table.quasi.iter().map(occurrences).collect();
    let members = recoding.members();
    for class in 0..recoding.classes() {
        let written = recoding.written(class as u32);
        let halves = |column: usize| {
            let node = written[column];
            let below = occurring(table, &margins[column], column, node);
            (open(table, column, node) && below.len() == 2).then_some((column, below))
        };
        // The attacker takes the column that says most: the one whose claim is least likely by chance.
        let size = members.of(class).len();
        let best = (0..written.len()).filter_map(halves).min_by(|a, b| {
            let chance = |(column, below): &(usize, Vec<Node>)| both(&margins[*column], below, size);
            chance(a).total_cmp(&chance(b))
        });
        if let Some((column, each_of)) = best {
            claims.push(Claim { class, column, each_of, none_of: Vec::new() });
        }
    }
    let assumes = "the algorithm writes each class as its lowest common values";
    judged(table, recoding, &margins, Attack::Downcoding, assumes, &claims)
}

/// Greedy choices: where another class lies inside a class but for one column, in which it has a value one level below, rows
/// with that value would have gone there. All such values are excluded.
pub fn greedy_choices(table: &Table, recoding: &Recoding) -> Finding {
    let margins: Vec<_> = table.quasi.iter().map(occurrences).collect();
    let mut boxes: HashMap<&[Node], usize> = HashMap::new();
    for class in 0..recoding.classes() {
        boxes.insert(recoding.written(class as u32), class);
    }
    let mut claims = Vec::new();
    let siblings = Siblings::new(table, recoding);
    for class in 0..recoding.classes() {
        for column in 0..recoding.width() {
            let node = recoding.written(class as u32)[column];
            let below = occurring(table, &margins[column], column, node);
            if below.len() < 2 {
                continue;
            }
            let none_of = siblings.inside(class, column, &below);
            if !none_of.is_empty() && none_of.len() < below.len() {
                claims.push(Claim { class, column, each_of: Vec::new(), none_of });
            }
        }
    }
    let assumes = "the algorithm sends every row to a finer class where there is one";
    judged(table, recoding, &margins, Attack::GreedyChoices, assumes, &claims)
}

/// The values one level below that occur in the table at all: margins of a table are taken to be known.
fn occurring(table: &Table, margins: &[Vec<u64>], column: usize, node: Node) -> Vec<Node> {
    let level = node.level.saturating_sub(1);
    let children = table.quasi[column].hierarchy.children(node);
    children.filter(|child| margins[usize::from(level)][*child as usize] > 0).map(|index| Node { level, index }).collect()
}

/// Classes by the value of one column, to find those inside another.
struct Siblings<'a> {
    table: &'a Table,
    recoding: &'a Recoding,
    /// By column and value: classes that are written so there.
    by_value: Vec<HashMap<Node, Vec<u32>>>,
}

/// Most classes that are compared with one: an attacker has patience, a release process has a clock.
const COMPARED_MAX: usize = 2_000;

impl<'a> Siblings<'a> {
    fn new(table: &'a Table, recoding: &'a Recoding) -> Self {
        let mut by_value = vec![HashMap::<Node, Vec<u32>>::new(); recoding.width()];
        for class in 0..recoding.classes() as u32 {
            for (column, node) in recoding.written(class).iter().enumerate() {
                by_value[column].entry(*node).or_default().push(class);
            }
        }
        Self { table, recoding, by_value }
    }

    /// Which of these values of a column have a class of their own within a class.
    fn inside(&self, class: usize, column: usize, below: &[Node]) -> Vec<Node> {
        let outer = self.recoding.written(class as u32);
        let has_class = |value: &&Node| {
            let within = |other: &u32| {
                let inner = self.recoding.written(*other);
                (0..outer.len()).all(|at| at == column || self.under(at, inner[at], outer[at]))
            };
            self.by_value[column].get(*value).is_some_and(|found| found.iter().take(COMPARED_MAX).any(within))
        };
        below.iter().filter(has_class).copied().collect()
    }

    fn under(&self, column: usize, inner: Node, outer: Node) -> bool {
        inner.level <= outer.level
            && self.table.quasi[column].hierarchy.lifted(inner, usize::from(outer.level)).index == outer.index
    }
}

/// The chance that rows drawn from a column's margin have both values.
fn both(margins: &[Vec<u64>], each_of: &[Node], rows: usize) -> f64 {
    let count = |node: &Node| margins[usize::from(node.level)][node.index as usize] as f64;
    let all: f64 = each_of.iter().map(count).sum();
    1.0 - each_of.iter().map(|node| (1.0 - count(node) / all).powi(rows as i32)).sum::<f64>()
}

/// Compares claims with the truth and with chance. A claim about a class holds as a whole or not at all.
fn judged(
    table: &Table,
    recoding: &Recoding,
    margins: &[Vec<Vec<u64>>],
    attack: Attack,
    assumes: &'static str,
    claims: &[Claim],
) -> Finding {
    let members = recoding.members();
    let (mut claimed, mut held, mut by_chance) = (0, 0, 0.0);
    for claim in claims {
        let rows = members.of(claim.class);
        let quasi = &table.quasi[claim.column];
        let has = |row: &u32, node: &Node| {
            quasi.hierarchy.over(usize::from(node.level), quasi.leaves[*row as usize]) == node.index
        };
        let margin = &margins[claim.column];
        let (cells, holds, chance) = if claim.none_of.is_empty() {
            let holds = claim.each_of.iter().all(|node| rows.iter().any(|row| has(row, node)));
            (claim.each_of.len(), holds, both(margin, &claim.each_of, rows.len()))
        } else {
            let holds = rows.iter().all(|row| claim.none_of.iter().all(|node| !has(row, node)));
            let node = recoding.written(claim.class as u32)[claim.column];
            let count = |node: &Node| margin[usize::from(node.level)][node.index as usize] as f64;
            let excluded: f64 = claim.none_of.iter().map(count).sum();
            (rows.len(), holds, (1.0 - excluded / count(&node)).powi(rows.len() as i32))
        };
        claimed += cells;
        held += if holds { cells } else { 0 };
        by_chance += chance * cells as f64;
    }
    Finding { attack, assumes, claimed, held, by_chance, of: generalised_cells(table, recoding) }
}
