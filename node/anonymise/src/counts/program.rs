//! The linear program of an attacker: suppressed cells are unknown and not negative, every line adds up. A dense simplex with
//! Bland's rule, which cannot cycle; the feasible start is found once and used for every question.

use super::Lines;

/// What is taken for zero: counts are whole, and far below the 2^53 that floats hold exactly.
const SMALL: f64 = 1e-7;

/// The attacker's equations in solved form: each row has one unknown of its own.
pub(crate) struct Program {
    /// Rows of coefficients, the last being the right-hand side.
    rows: Vec<Vec<f64>>,
    basis: Vec<usize>,
    unknowns: usize,
}

impl Program {
    /// `open` are the suppressed cells; `known` gives the others.
    pub(crate) fn new(lines: &Lines, open: &[usize], known: impl Fn(usize) -> u64) -> Self {
        let unknowns = open.len();
        let mut place = vec![None; lines.cells()];
        for (at, cell) in open.iter().enumerate() {
            place[*cell] = Some(at);
        }
        let mut rows = Vec::new();
        for line in lines.lines().iter().filter(|line| line.iter().any(|cell| place[*cell].is_some())) {
            let mut row = vec![0.0; unknowns + 1];
            for (at, cell) in line.iter().enumerate() {
                let sign = if at + 1 == line.len() { -1.0 } else { 1.0 };
                match place[*cell] {
                    Some(unknown) => row[unknown] += sign,
                    None => row[unknowns] -= sign * known(*cell) as f64,
                }
            }
            if row[unknowns] < 0.0 {
                for cell in &mut row {
                    *cell = -*cell;
                }
            }
            rows.push(row);
        }
        let mut program = Self { rows, basis: Vec::new(), unknowns };
        program.begin();
        program
    }

    /// The least and the most an unknown can be; no most where nothing bounds it.
    pub(crate) fn bounds(&mut self, unknown: usize) -> (u64, Option<u64>) {
        let low = self.optimum(unknown, 1.0).map_or(0.0, |low| (low - 1e-6).ceil().max(0.0));
        let high = self.optimum(unknown, -1.0).map(|high| (high + 1e-6).floor().max(0.0) as u64);
        (low as u64, high)
    }

    /// Finds a feasible start: artificial unknowns, one a row, are driven out.
    fn begin(&mut self) {
        let (unknowns, count) = (self.unknowns, self.rows.len());
        for (at, row) in self.rows.iter_mut().enumerate() {
            let right = row.pop().unwrap_or(0.0);
            row.extend((0..count).map(|other| f64::from(u8::from(other == at))));
            row.push(right);
        }
        self.basis = (unknowns..unknowns + count).collect();
        let mut cost = vec![0.0; unknowns + count + 1];
        for row in &self.rows {
            for (sum, cell) in cost.iter_mut().zip(row) {
                *sum -= cell;
            }
        }
        for artificial in &mut cost[unknowns..unknowns + count] {
            *artificial = 0.0;
        }
        self.descend(&mut cost);
        // Artificial unknowns that remain are zero; rows that have nothing else say nothing.
        let mut at = 0;
        while at < self.rows.len() {
            if self.basis[at] < unknowns {
                at += 1;
                continue;
            }
            if let Some(column) = (0..unknowns).find(|column| self.rows[at][*column].abs() > SMALL) {
                self.pivot(at, column, &mut cost);
                at += 1;
            } else {
                self.rows.swap_remove(at);
                self.basis.swap_remove(at);
            }
        }
        for row in &mut self.rows {
            let right = row.pop().unwrap_or(0.0);
            row.truncate(unknowns);
            row.push(right);
        }
    }

    /// The least of `sign` times an unknown, as that unknown's value; nothing where there is none.
    fn optimum(&mut self, unknown: usize, sign: f64) -> Option<f64> {
        let mut cost = vec![0.0; self.unknowns + 1];
        match self.basis.iter().position(|basic| *basic == unknown) {
            None => cost[unknown] = sign,
            Some(row) => {
                for (cost, cell) in cost.iter_mut().zip(&self.rows[row]) {
                    *cost = -sign * cell;
                }
                cost[unknown] = 0.0;
            }
        }
        self.descend(&mut cost).then(|| {
            let row = self.basis.iter().position(|basic| *basic == unknown);
            row.map_or(0.0, |row| self.rows[row][self.unknowns])
        })
    }

    /// Pivots until no cost is negative; false where a cost falls without end.
    fn descend(&mut self, cost: &mut [f64]) -> bool {
        let last = cost.len() - 1;
        while let Some(column) = (0..last).find(|column| cost[*column] < -SMALL) {
            let mut leaving: Option<(f64, usize)> = None;
            for (at, row) in self.rows.iter().enumerate().filter(|(_, row)| row[column] > SMALL) {
                let ratio = row[last] / row[column];
                let better = leaving.is_none_or(|(least, held)| {
                    ratio < least - SMALL || (ratio < least + SMALL && self.basis[at] < self.basis[held])
                });
                if better {
                    leaving = Some((ratio, at));
                }
            }
            let Some((_, row)) = leaving else { return false };
            self.pivot(row, column, cost);
        }
        true
    }

    fn pivot(&mut self, at: usize, column: usize, cost: &mut [f64]) {
        let scale = self.rows[at][column];
        for cell in &mut self.rows[at] {
            *cell /= scale;
        }
        let pivot = self.rows[at].clone();
        let others = self.rows.iter_mut().enumerate().filter(|(other, _)| *other != at).map(|(_, row)| &mut row[..]);
        for row in others.chain([cost]) {
            let factor = row[column];
            if factor.abs() > 0.0 {
                for (cell, pivot) in row.iter_mut().zip(&pivot) {
                    *cell -= factor * pivot;
                }
                row[column] = 0.0;
            }
        }
        self.basis[at] = column;
    }
}
