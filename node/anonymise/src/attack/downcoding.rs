//! Downcoding and greedy choices: cells that are refined because a minimal or greedy recoder would otherwise have written them
//! more finely. Sources: Cohen 2022, section 4; Chhillar et al. 2025, arXiv 2509.03350.

use std::collections::HashMap;

use super::{Attack, Finding, generalised_cells, open};
use crate::hierarchy::Node;
use crate::loss::occurrences;
use crate::recoding::Recoding;
use crate::table::Table;

/// What the attacker says about rows of one class in one column.
struct Claim {
    class: usize,
    column: usize,
    says: Says,
}

enum Says {
    /// One row at least has the one value, one the other.
    Both([Node; 2]),
    /// So many rows at least have none of these values.
    Outside(Vec<Node>, usize),
}

impl Says {
    /// The cells that are written more finely if it holds.
    fn cells(&self) -> usize {
        match self {
            Self::Both(_) => 2,
            Self::Outside(_, rows) => *rows,
        }
    }

    /// How likely it is by chance, among rows that were drawn from the margin below a value.
    fn chance(&self, margin: &[Vec<u64>], within: Node, rows: usize) -> f64 {
        let count = |node: &Node| margin[usize::from(node.level)][node.index as usize] as f64;
        let share = |nodes: &[Node]| nodes.iter().map(count).sum::<f64>() / count(&within);
        match self {
            Self::Both(pair) => {
                let [one, other] = [share(&pair[..1]), share(&pair[1..])];
                1.0 - (1.0 - one).powi(rows as i32) - (1.0 - other).powi(rows as i32)
            }
            Self::Outside(values, least) => at_least(*least, rows, 1.0 - share(values)),
        }
    }
}

/// The chance of so many successes or more. Summed from the largest term's side in logarithms, so that nothing underflows.
fn at_least(successes: usize, of: usize, chance: f64) -> f64 {
    if successes == 0 || chance >= 1.0 {
        return 1.0;
    }
    if chance <= 0.0 {
        return 0.0;
    }
    let odds = (chance / (1.0 - chance)).ln();
    let mut term = of as f64 * (1.0 - chance).ln();
    let mut below = 0.0;
    for fewer in 0..successes {
        below += term.exp();
        term += odds + ((of - fewer) as f64 / (fewer + 1) as f64).ln();
    }
    (1.0 - below).clamp(0.0, 1.0)
}

/// Downcoding by tightness. Where a class is written as its rows' lowest common value, no value below that holds all of them:
/// of two values each has a row, of several the most frequent one lacks a row. One column a class, the one that says most,
/// because which row it is in another column is not known.
pub fn downcoding(table: &Table, recoding: &Recoding) -> Finding {
    let margins: Vec<_> = table.quasi.iter().map(occurrences).collect();
    let members = recoding.members();
    let mut claims = Vec::new();
    for class in 0..recoding.classes() {
        let says = |column: usize| {
            let node = recoding.written(class as u32)[column];
            let below = by_frequency(table, &margins[column], column, node);
            let says = match below[..] {
                [] | [_] => return None,
                [one, other] => Says::Both([one, other]),
                [most, ..] => Says::Outside(vec![most], 1),
            };
            let gain = says.cells() as f64 * (1.0 - says.chance(&margins[column], node, members.of(class).len()));
            Some((gain, Claim { class, column, says }))
        };
        let best = (0..recoding.width()).filter_map(says).max_by(|a, b| a.0.total_cmp(&b.0));
        claims.extend(best.map(|(_, claim)| claim));
    }
    let assumes = "the algorithm writes each class as its lowest common values";
    judged(table, recoding, &margins, Attack::Downcoding, assumes, &claims)
}

/// How many rows of a class are claimed to lie outside the values that went their own way.
#[derive(Clone, Copy)]
enum Portion {
    All,
    Half,
    Quarter,
    One,
}

/// Greedy choices: where another class lies inside a class but for one column, in which it has a value one level below, rows
/// with that value would have gone there. All such values are excluded or the most frequent one, for all rows of the class or a
/// portion: whatever refines most.
pub fn greedy_choices(table: &Table, recoding: &Recoding) -> Finding {
    let margins: Vec<_> = table.quasi.iter().map(occurrences).collect();
    let siblings = Siblings::new(table, recoding);
    let mut excluded: Vec<(usize, usize, Vec<Node>)> = Vec::new();
    for class in 0..recoding.classes() {
        for (column, node) in recoding.written(class as u32).iter().enumerate() {
            let below = by_frequency(table, &margins[column], column, *node);
            let inside = if below.len() < 2 { Vec::new() } else { siblings.inside(class, column, &below) };
            if !inside.is_empty() {
                excluded.push((class, column, inside));
            }
        }
    }
    let variants = [Portion::All, Portion::Half, Portion::Quarter, Portion::One]
        .into_iter()
        .flat_map(|portion| [usize::MAX, 1].map(|values_max| (portion, values_max)));
    let findings = variants.map(|(portion, values_max)| {
        let claims = exclusions(table, recoding, &margins, &excluded, portion, values_max);
        let assumes = "the algorithm sends every row to a finer class where there is one";
        judged(table, recoding, &margins, Attack::GreedyChoices, assumes, &claims)
    });
    let none = Finding { attack: Attack::GreedyChoices, assumes: "", claimed: 0, held: 0, by_chance: 0.0, of: 0 };
    findings.fold(none, |best, next| if best.of == 0 || next.refined() > best.refined() { next } else { best })
}

/// The claims of one variant. About a portion of a class only one column may speak, the one that says most.
fn exclusions(
    table: &Table,
    recoding: &Recoding,
    margins: &[Vec<Vec<u64>>],
    excluded: &[(usize, usize, Vec<Node>)],
    portion: Portion,
    values_max: usize,
) -> Vec<Claim> {
    let members = recoding.members();
    let mut claims: Vec<(f64, Claim)> = Vec::new();
    for (class, column, inside) in excluded {
        let node = recoding.written(*class as u32)[*column];
        let values: Vec<Node> = inside.iter().copied().take(values_max).collect();
        if values.len() == by_frequency(table, &margins[*column], *column, node).len() {
            continue;
        }
        let rows = members.of(*class).len();
        let least = match portion {
            Portion::All => rows,
            Portion::Half => rows.div_ceil(2),
            Portion::Quarter => rows.div_ceil(4),
            Portion::One => 1,
        };
        let says = Says::Outside(values, least);
        let gain = least as f64 * (1.0 - says.chance(&margins[*column], node, rows));
        let claim = Claim { class: *class, column: *column, says };
        match claims.last_mut() {
            Some(last) if last.1.class == *class && !matches!(portion, Portion::All) => {
                if gain > last.0 {
                    *last = (gain, claim);
                }
            }
            _ => claims.push((gain, claim)),
        }
    }
    claims.into_iter().map(|(_, claim)| claim).collect()
}

/// The values one level below that occur in the table at all, the most frequent first: margins of a table are taken to be
/// known.
fn by_frequency(table: &Table, margins: &[Vec<u64>], column: usize, node: Node) -> Vec<Node> {
    if !open(table, column, node) {
        return Vec::new();
    }
    let level = node.level - 1;
    let count = |node: &Node| margins[usize::from(level)][node.index as usize];
    let children = table.quasi[column].hierarchy.children(node).map(|index| Node { level, index });
    let mut found: Vec<Node> = children.filter(|node| count(node) > 0).collect();
    found.sort_by_key(|node| std::cmp::Reverse(count(node)));
    found
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
        let holds = match &claim.says {
            Says::Both(pair) => pair.iter().all(|node| rows.iter().any(|row| has(row, node))),
            Says::Outside(values, least) => {
                rows.iter().filter(|row| !values.iter().any(|node| has(row, node))).count() >= *least
            }
        };
        let cells = claim.says.cells();
        let within = recoding.written(claim.class as u32)[claim.column];
        claimed += cells;
        held += if holds { cells } else { 0 };
        by_chance += claim.says.chance(&margins[claim.column], within, rows.len()) * cells as f64;
    }
    Finding { attack, assumes, claimed, held, by_chance, of: generalised_cells(table, recoding) }
}
