//! A first good choice of levels: from the leaves up, always the column whose next level costs least. It gives the exact
//! search a bound to begin with, and it is what remains where the budget is used up.

use super::group::{Groups, Key, Places};
use super::search::Search;

impl<K: Key> Search<'_, K> {
    pub(super) fn climb(&self) {
        let mut places = Places::new();
        let mut levels = vec![0; self.table.quasi.len()];
        let mut groups: Option<Groups<K>> = None;
        loop {
            let here = groups.as_ref().unwrap_or(&self.leaves);
            if !self.visit(&levels, here) {
                return;
            }
            // What is above costs more than the best already: nothing on this way gets better.
            if self.best_cost().is_some_and(|best| self.prices.base(&levels) > best) {
                return;
            }
            let mut next: Option<(u128, usize, Groups<K>)> = None;
            for (column, quasi) in self.table.quasi.iter().enumerate() {
                if levels[column] + 1 == quasi.hierarchy.levels() {
                    continue;
                }
                let above = self.rolled_up(here, column, levels[column], &mut places);
                levels[column] += 1;
                let cost = self.unlimited_cost(&levels, &above).0;
                levels[column] -= 1;
                if next.as_ref().is_none_or(|(best, _, _)| cost < *best) {
                    next = Some((cost, column, above));
                }
            }
            let Some((_, column, above)) = next else { return };
            levels[column] += 1;
            groups = Some(above);
        }
    }
}
