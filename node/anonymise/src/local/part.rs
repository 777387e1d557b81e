//! Rows laid out for partitioning: leaves and row number of each row together, so that a part is one run of memory.

use std::ops::Range;

use crate::model::Judge;
use crate::table::Table;

/// A run of rows.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) rows: Range<usize>,
}

/// The rows of a table, each with its leaves, then its number, then whose it is where that matters.
pub(crate) struct Rows {
    pub(crate) cells: Vec<u32>,
    pub(crate) shape: Shape,
}

/// How a row lies in memory.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Columns.
    pub(crate) columns: usize,
    /// Whether several rows may be one patient's: then rows of each part stay in the order of patients.
    pub(crate) patients: bool,
}

impl Shape {
    pub(crate) fn stride(self) -> usize {
        self.columns + 1 + usize::from(self.patients)
    }

    /// How many patients these rows have.
    pub(crate) fn patients_in(self, cells: &[u32]) -> usize {
        if !self.patients {
            return cells.len() / self.stride();
        }
        let mut last = u32::MAX;
        let mut found = 0;
        for row in cells.chunks_exact(self.stride()) {
            let patient = row[self.columns + 1];
            found += usize::from(patient != last);
            last = patient;
        }
        found
    }

    /// The smallest and largest leaf of each column.
    pub(crate) fn bounds_of(self, cells: &[u32]) -> Vec<(u32, u32)> {
        let mut bounds = vec![(u32::MAX, 0); self.columns];
        for row in cells.chunks_exact(self.stride()) {
            for (bound, leaf) in bounds.iter_mut().zip(row) {
                *bound = (bound.0.min(*leaf), bound.1.max(*leaf));
            }
        }
        bounds
    }

    /// Whether these rows may form a class.
    pub(crate) fn holds(self, cells: &[u32], judge: &Judge<'_>) -> bool {
        if judge.only_patients_count() {
            return self.patients_in(cells) >= judge.k() && !cells.is_empty();
        }
        let rows: Vec<u32> = cells.chunks_exact(self.stride()).map(|row| row[self.columns]).collect();
        judge.holds(&rows)
    }
}

impl Rows {
    pub(crate) fn of(table: &Table) -> Self {
        let shape = Shape { columns: table.quasi.len(), patients: table.patient.is_some() };
        let mut order: Vec<u32> = (0..table.rows as u32).collect();
        if shape.patients {
            order.sort_by_key(|row| table.patient(*row));
        }
        let stride = shape.stride();
        let mut cells = vec![0; order.len() * stride];
        for (at, column) in table.quasi.iter().enumerate() {
            for (cells, row) in cells.chunks_exact_mut(stride).zip(&order) {
                cells[at] = column.leaves[*row as usize];
            }
        }
        for (cells, row) in cells.chunks_exact_mut(stride).zip(&order) {
            cells[shape.columns] = *row;
            if shape.patients {
                cells[shape.columns + 1] = table.patient(*row);
            }
        }
        Self { cells, shape }
    }

    pub(crate) fn holds(&self, judge: &Judge<'_>) -> bool {
        self.shape.holds(&self.cells, judge)
    }

    fn cells_of(&self, part: &Part) -> &[u32] {
        let stride = self.shape.stride();
        &self.cells[part.rows.start * stride..part.rows.end * stride]
    }

    pub(crate) fn bounds(&self, part: &Part) -> Vec<(u32, u32)> {
        self.shape.bounds_of(self.cells_of(part))
    }

    pub(crate) fn numbers(&self, part: &Part) -> impl Iterator<Item = u32> {
        self.cells_of(part).chunks_exact(self.shape.stride()).map(|row| row[self.shape.columns])
    }
}
