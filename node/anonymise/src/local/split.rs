//! One split: which column, which values go their own way, and who stays with the rest.

use super::Value;
use super::part::Shape;
use crate::hierarchy::{CELL_COST, Node};
use crate::model::Judge;
use crate::table::Table;

/// The bucket of rows that stay under the value above.
const REST: u32 = 0;

/// What a thread needs to split parts, used again from part to part.
pub(super) struct Splitter<'a> {
    table: &'a Table,
    judge: &'a Judge<'a>,
    value: Value,
    shape: Shape,
    /// Patients of each value below.
    counts: Vec<u32>,
    last: Vec<u32>,
    /// The bucket of each row.
    bucket: Vec<u32>,
    spare: Vec<u32>,
}

/// A column's split as counted.
struct Plan {
    column: usize,
    node: Node,
    worth: f64,
}

impl<'a> Splitter<'a> {
    pub(super) fn new(table: &'a Table, judge: &'a Judge<'a>, value: Value, shape: Shape) -> Self {
        let (counts, last, bucket, spare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { table, judge, value, shape, counts, last, bucket, spare }
    }

    /// Splits a part in place; the lengths, in rows, of what it became. Nothing where it stays whole.
    pub(super) fn split(&mut self, cells: &mut [u32]) -> Option<Vec<usize>> {
        if self.shape.patients_in(cells) < 2 * self.judge.k() {
            return None;
        }
        let bounds = self.shape.bounds_of(cells);
        let mut plans: Vec<Plan> =
            bounds.iter().enumerate().filter_map(|(column, bounds)| self.plan(cells, column, *bounds)).collect();
        plans.sort_by(|a, b| b.worth.total_cmp(&a.worth));
        plans.iter().find_map(|plan| self.carry_out(cells, plan))
    }

    /// Counts the values below a column's current one, and what a split would save.
    fn plan(&mut self, cells: &[u32], column: usize, (low, high): (u32, u32)) -> Option<Plan> {
        let hierarchy = &self.table.quasi[column].hierarchy;
        let node = hierarchy.meet(low, high);
        if node.level == 0 {
            return None;
        }
        let cost = hierarchy.cost(usize::from(node.level), node.index);
        let children = hierarchy.children(node);
        self.count(cells, column, node);
        let k = self.judge.k() as u64;
        let (mut saved, mut rest, mut kept, mut entropy) = (0_u64, 0_u64, 0_u32, 0.0);
        let all: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let (mut largest, mut least) = (0, (u64::MAX, 0));
        for (child, count) in children.zip(&self.counts) {
            let count = u64::from(*count);
            if count == 0 {
                continue;
            }
            let share = count as f64 / all as f64;
            entropy -= share * share.ln();
            if count < k {
                rest += count;
                continue;
            }
            let saves = count * (cost - hierarchy.cost(usize::from(node.level) - 1, child));
            (saved, kept, largest) = (saved + saves, kept + 1, largest.max(count));
            least = least.min((count, saves));
        }
        if rest > 0 && rest < k {
            if largest >= k + (k - rest) {
                saved = saved.saturating_sub((k - rest) * cost);
            } else {
                (saved, kept) = (saved.saturating_sub(least.1), kept.saturating_sub(1));
            }
        }
        if kept == 0 || saved == 0 {
            return None;
        }
        let parts = f64::from(kept + u32::from(rest > 0));
        let saved = saved as f64 / CELL_COST as f64;
        let worth = match self.value {
            Value::Balanced => saved / (entropy * all as f64).sqrt(),
            Value::Broad => saved / parts.ln(),
            Value::Even => saved / (1.0 + entropy * all as f64),
        };
        Some(Plan { column, node, worth })
    }

    /// Patients of each value below a node.
    fn count(&mut self, cells: &[u32], column: usize, node: Node) {
        let hierarchy = &self.table.quasi[column].hierarchy;
        let children = hierarchy.children(node);
        let below = hierarchy.level(usize::from(node.level) - 1);
        self.counts.clear();
        self.counts.resize(children.len(), 0);
        if !self.shape.patients {
            for row in cells.chunks_exact(self.shape.stride()) {
                self.counts[(below[row[column] as usize] - children.start) as usize] += 1;
            }
            return;
        }
        self.last.clear();
        self.last.resize(children.len(), u32::MAX);
        for row in cells.chunks_exact(self.shape.stride()) {
            let child = (below[row[column] as usize] - children.start) as usize;
            let patient = row[self.shape.columns + 1];
            self.counts[child] += u32::from(self.last[child] != patient);
            self.last[child] = patient;
        }
    }

    /// Splits along a plan; nothing where no part would go its own way and hold.
    fn carry_out(&mut self, cells: &mut [u32], plan: &Plan) -> Option<Vec<usize>> {
        let Plan { column, node, .. } = *plan;
        self.count(cells, column, node);
        let hierarchy = &self.table.quasi[column].hierarchy;
        let start = hierarchy.children(node).start;
        let below = hierarchy.level(usize::from(node.level) - 1);
        let k = self.judge.k();
        // Buckets above 0 are values that go their own way.
        let mut buckets = 1;
        let mut of_child = vec![REST; self.counts.len()];
        for (child, count) in self.counts.iter().enumerate() {
            if *count as usize >= k {
                of_child[child] = buckets;
                buckets += 1;
            }
        }
        let stride = self.shape.stride();
        self.bucket.clear();
        self.bucket
            .extend(cells.chunks_exact(stride).map(|row| of_child[(below[row[column] as usize] - start) as usize]));
        let mut lengths = vec![0; buckets as usize];
        for bucket in &self.bucket {
            lengths[*bucket as usize] += 1;
        }
        if !self.judge.only_patients_count() {
            self.join_what_does_not_hold(cells, &mut lengths);
        }
        self.fill_rest(cells, &mut lengths);
        let whole = cells.len() / stride;
        if lengths[REST as usize] == whole || lengths.contains(&whole) {
            return None;
        }
        self.scatter(cells, &lengths);
        lengths.retain(|length| *length > 0);
        Some(lengths)
    }

    /// Sends values that are large enough and do not hold back to the rest.
    fn join_what_does_not_hold(&mut self, cells: &[u32], lengths: &mut [usize]) {
        for bucket in 1..lengths.len() {
            if !self.judge.holds(&self.rows_in(cells, bucket as u32)) {
                self.join(bucket as u32, lengths);
            }
        }
    }

    fn rows_in(&self, cells: &[u32], bucket: u32) -> Vec<u32> {
        let rows = cells.chunks_exact(self.shape.stride()).zip(&self.bucket);
        rows.filter(|(_, of)| **of == bucket).map(|(row, _)| row[self.shape.columns]).collect()
    }

    fn join(&mut self, bucket: u32, lengths: &mut [usize]) {
        for of in self.bucket.iter_mut().filter(|of| **of == bucket) {
            *of = REST;
        }
        lengths[REST as usize] += std::mem::take(&mut lengths[bucket as usize]);
    }

    /// Sees to it that the rest is empty or holds: by rows of the largest value while that can spare them, else by whole
    /// values, the smallest first.
    fn fill_rest(&mut self, cells: &[u32], lengths: &mut [usize]) {
        loop {
            if lengths[REST as usize] == 0 || self.rest_holds(cells, lengths) {
                return;
            }
            let own_way = || (1..lengths.len()).filter(|bucket| lengths[*bucket] > 0);
            let (Some(largest), Some(smallest)) =
                (own_way().max_by_key(|bucket| lengths[*bucket]), own_way().min_by_key(|bucket| lengths[*bucket]))
            else {
                return;
            };
            if !self.judge.counts_decide() || !self.borrow(largest as u32, lengths) {
                self.join(smallest as u32, lengths);
            }
        }
    }

    fn rest_holds(&self, cells: &[u32], lengths: &[usize]) -> bool {
        if self.judge.counts_decide() {
            return lengths[REST as usize] >= self.judge.k();
        }
        self.judge.holds(&self.rows_in(cells, REST))
    }

    /// Moves rows of a value to the rest until that has k, if the value keeps k.
    fn borrow(&mut self, bucket: u32, lengths: &mut [usize]) -> bool {
        let need = self.judge.k() - lengths[REST as usize];
        if lengths[bucket as usize] < self.judge.k() + need {
            return false;
        }
        for of in self.bucket.iter_mut().filter(|of| **of == bucket).take(need) {
            *of = REST;
        }
        lengths[bucket as usize] -= need;
        lengths[REST as usize] += need;
        true
    }

    /// Brings the rows of each bucket together, keeping their order.
    fn scatter(&mut self, cells: &mut [u32], lengths: &[usize]) {
        let stride = self.shape.stride();
        self.spare.clear();
        self.spare.extend_from_slice(cells);
        let mut next: Vec<usize> = Vec::with_capacity(lengths.len());
        let mut at = 0;
        for length in lengths {
            next.push(at);
            at += length * stride;
        }
        for (row, bucket) in self.spare.chunks_exact(stride).zip(&self.bucket) {
            let to = &mut next[*bucket as usize];
            cells[*to..*to + stride].copy_from_slice(row);
            *to += stride;
        }
    }
}
