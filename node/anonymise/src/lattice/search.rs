//! The search itself: branch and bound over the lattice, on scoped threads that share the best cost found.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::FullDomain;
use super::bound::Bounds;
use super::cost::Prices;
use super::group::{Groups, Key, Packing, Places, leaf_groups};
use crate::loss::Measure;
use crate::model::Judge;
use crate::table::Table;

/// A choice of levels and what it costs.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Best {
    pub(super) cost: u128,
    pub(super) levels: Vec<usize>,
}

/// The way from the leaves to a node. Groups are formed only for nodes that are looked at and for those on the way to them.
struct Way<K> {
    levels: Vec<usize>,
    steps: Vec<Step<K>>,
}

struct Step<K> {
    column: usize,
    groups: Option<Groups<K>>,
}

impl<K: Key> Way<K> {
    fn step(&mut self, column: usize) {
        self.levels[column] += 1;
        self.steps.push(Step { column, groups: None });
    }

    fn back(&mut self) {
        if let Some(step) = self.steps.pop() {
            self.levels[step.column] -= 1;
        }
    }
}

/// The groups at the end of some steps; nothing where there is no step.
fn formed<'w, K: Key>(
    steps: &'w mut [Step<K>],
    search: &Search<'_, K>,
    places: &mut Places<K>,
) -> Option<&'w Groups<K>> {
    let first = steps.iter().rposition(|step| step.groups.is_some()).map_or(0, |at| at + 1);
    let mut levels = vec![0; search.table.quasi.len()];
    for at in 0..steps.len() {
        let column = steps[at].column;
        if at >= first {
            let (below, here) = steps.split_at_mut(at);
            let from = below.last().and_then(|step| step.groups.as_ref()).unwrap_or(&search.leaves);
            here[0].groups = Some(search.rolled_up(from, column, levels[column], places));
        }
        levels[column] += 1;
    }
    steps.last().and_then(|step| step.groups.as_ref())
}

pub(super) struct Search<'a, K> {
    pub(super) table: &'a Table,
    judge: &'a Judge<'a>,
    packing: &'a Packing,
    pub(super) prices: &'a Prices,
    suppressed_max: u64,
    nodes_max: u64,
    stop: Option<fn() -> bool>,
    threads: usize,
    pub(super) leaves: Groups<K>,
    of_row: Vec<u32>,
    bounds: Bounds,
    /// Columns, those with most levels first: their combinations are shared out between threads.
    order: Vec<usize>,
    best: Mutex<Option<Best>>,
    visited: AtomicU64,
    ended: AtomicBool,
}

impl<'a, K: Key> Search<'a, K> {
    pub(super) fn new(
        table: &'a Table,
        asked: &'a FullDomain,
        judge: &'a Judge<'a>,
        packing: &'a Packing,
        prices: &'a Prices,
    ) -> Self {
        let (leaves, of_row) = leaf_groups(table, packing, !judge.counts_decide());
        let mut order: Vec<usize> = (0..table.quasi.len()).collect();
        order.sort_by_key(|column| std::cmp::Reverse(table.quasi[*column].hierarchy.levels()));
        Self {
            table,
            judge,
            packing,
            prices,
            bounds: Bounds::new(table, packing, &leaves, judge.k()),
            suppressed_max: (asked.suppression_max * table.rows as f64 + 1e-9).floor() as u64,
            nodes_max: asked.nodes_max,
            stop: asked.stop,
            threads: asked.threads.max(1),
            leaves,
            of_row,
            order,
            best: Mutex::new(None),
            visited: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// The best choice, the nodes visited, and whether nothing was left out.
    pub(super) fn run(self) -> (Option<Best>, u64, bool) {
        self.climb();
        let tasks = self.tasks();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.threads.min(tasks.len()) {
                scope.spawn(|| {
                    let mut places = Places::new();
                    while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                        self.task(task, &mut places);
                    }
                });
            }
        });
        let best = self.best.lock().map_or(None, |best| best.clone());
        (best, self.visited.load(Ordering::Relaxed), !self.ended.load(Ordering::Relaxed))
    }

    /// Levels of the first two columns of the order, the cheapest first; each is a part of the lattice.
    fn tasks(&self) -> Vec<Vec<usize>> {
        let mut tasks = vec![vec![0; self.table.quasi.len()]];
        for column in self.order.iter().take(2) {
            let levels = self.table.quasi[*column].hierarchy.levels();
            let raised = |task: Vec<usize>| {
                (0..levels).map(move |level| {
                    let mut task = task.clone();
                    task[*column] = level;
                    task
                })
            };
            tasks = tasks.into_iter().flat_map(raised).collect();
        }
        tasks.sort_by_key(|levels| self.prices.base(levels));
        tasks
    }

    fn task(&self, task: &[usize], places: &mut Places<K>) {
        let mut way = Way { levels: vec![0; task.len()], steps: Vec::new() };
        for column in self.order.iter().take(2) {
            while way.levels[*column] < task[*column] {
                way.step(*column);
            }
        }
        self.descend(&mut way, 2, places);
    }

    /// Looks at a node, then at every node above it in the columns from `from` on.
    fn descend(&self, way: &mut Way<K>, from: usize, places: &mut Places<K>) {
        if self.ended.load(Ordering::Relaxed) || self.hopeless_above(way, from) {
            return;
        }
        if self.stop.is_some_and(|stop| stop()) {
            self.ended.store(true, Ordering::Relaxed);
            return;
        }
        if !self.hopeless_here(&way.levels) {
            let groups = formed(&mut way.steps, self, places).unwrap_or(&self.leaves);
            if !self.visit(&way.levels, groups) {
                return;
            }
        }
        for place in from..self.order.len() {
            let column = self.order[place];
            if way.levels[column] + 1 < self.table.quasi[column].hierarchy.levels() {
                way.step(column);
                self.descend(way, place, places);
                way.back();
            }
        }
    }

    pub(super) fn rolled_up(
        &self,
        groups: &Groups<K>,
        column: usize,
        level: usize,
        places: &mut Places<K>,
    ) -> Groups<K> {
        groups.rolled_up(self.table, self.packing, column, level, places)
    }

    /// Whether this node cannot be the best, by what it must suppress. Ties stay open, so that the result does not depend on
    /// which thread was first.
    fn hopeless_here(&self, levels: &[usize]) -> bool {
        let suppressed = self.bounds.suppressed(levels);
        suppressed > self.suppressed_max || self.is_over(self.prices.least(levels, suppressed))
    }

    /// Whether no node from here up can be the best, in the columns from `from` on: what must be suppressed where they are at
    /// their roots must be suppressed at each of them, and levels only add to the cost.
    fn hopeless_above(&self, way: &Way<K>, from: usize) -> bool {
        let mut top = way.levels.clone();
        for column in self.order.iter().skip(from) {
            top[*column] = self.table.quasi[*column].hierarchy.levels() - 1;
        }
        let suppressed = self.bounds.suppressed(&top);
        if suppressed > self.suppressed_max {
            return true;
        }
        let finer = way.steps.iter().rev().find_map(|step| step.groups.as_ref()).unwrap_or(&self.leaves);
        let bound = match self.prices.measure {
            Measure::Loss | Measure::Entropy => self.prices.least(&way.levels, suppressed),
            // Merged groups only grow, and a suppressed group of s rows costs s times the table, which is more than s times s.
            Measure::Discernibility => finer.rows.iter().map(|rows| u128::from(*rows).pow(2)).sum(),
            // Never more classes than there are groups now, never fewer released rows than the limit leaves.
            Measure::AverageClassSize => {
                self.prices.of_sizes(0, finer.keys.len() as u64, self.suppressed_max.min(self.prices.rows))
            }
        };
        self.is_over(bound)
    }

    fn is_over(&self, bound: u128) -> bool {
        self.best.lock().is_ok_and(|best| best.as_ref().is_some_and(|best| bound > best.cost))
    }

    /// Prices a node and keeps it if it is the best; false once the budget is used up.
    pub(super) fn visit(&self, levels: &[usize], groups: &Groups<K>) -> bool {
        if self.visited.fetch_add(1, Ordering::Relaxed) >= self.nodes_max {
            self.visited.fetch_sub(1, Ordering::Relaxed);
            self.ended.store(true, Ordering::Relaxed);
            return false;
        }
        if let Some(cost) = self.cost(levels, groups)
            && let Ok(mut best) = self.best.lock()
        {
            let found = Best { cost, levels: levels.to_vec() };
            let better = |best: &Best| (found.cost, &found.levels) < (best.cost, &best.levels);
            if best.as_ref().is_none_or(better) {
                *best = Some(found);
            }
        }
        true
    }

    /// What a node costs; nothing where it suppresses more than the limit.
    fn cost(&self, levels: &[usize], groups: &Groups<K>) -> Option<u128> {
        let (cost, suppressed) = self.unlimited_cost(levels, groups);
        (suppressed <= self.suppressed_max).then_some(cost)
    }

    /// What a node costs, and how many rows it suppresses.
    pub(super) fn unlimited_cost(&self, levels: &[usize], groups: &Groups<K>) -> (u128, u64) {
        let holds = self.holds(groups);
        let gaps: Vec<&[u64]> =
            levels.iter().enumerate().map(|(column, level)| self.prices.gap(column, *level)).collect();
        let (mut suppressed, mut extra, mut squares, mut classes) = (0_u64, 0_u128, 0_u128, 0_u64);
        for (group, rows) in groups.rows.iter().enumerate() {
            let kept = holds.as_ref().map_or(*rows as usize >= self.judge.k(), |holds| holds[group]);
            if kept {
                squares += u128::from(*rows).pow(2);
                classes += 1;
            } else {
                suppressed += u64::from(*rows);
                let key = groups.keys[group];
                let cell = |(column, gap): (usize, &&[u64])| gap[self.packing.part(key, column)];
                let gap: u64 = gaps.iter().enumerate().map(cell).sum();
                extra += u128::from(gap) * u128::from(*rows);
            }
        }
        let cost = match self.prices.measure {
            Measure::Loss | Measure::Entropy => self.prices.base(levels) + extra,
            Measure::Discernibility | Measure::AverageClassSize => self.prices.of_sizes(squares, classes, suppressed),
        };
        (cost, suppressed)
    }

    /// Which groups hold, where counting rows does not decide.
    fn holds(&self, groups: &Groups<K>) -> Option<Vec<bool>> {
        if self.judge.counts_decide() {
            return None;
        }
        let class_of: Vec<u32> =
            self.of_row.iter().map(|leaf_group| groups.of_leaf_group[*leaf_group as usize]).collect();
        Some(self.judge.classes(&class_of, groups.keys.len()))
    }

    pub(super) fn best_cost(&self) -> Option<u128> {
        self.best.lock().ok().and_then(|best| best.as_ref().map(|best| best.cost))
    }
}
