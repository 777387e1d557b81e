//! A table with all its totals, and the lines along which cells add up to them.

use super::Cube;

/// Cells and totals of a cube. A cell is named by one number; in each dimension the place after the last value is the total.
#[expect(missing_debug_implementations, reason = "holds counts of patients before protection")]
pub struct Lines {
    sizes: Vec<usize>,
    values: Vec<u64>,
    /// Each line: its cells, then their total.
    sums: Vec<Vec<usize>>,
    of_cell: Vec<Vec<usize>>,
}

impl Lines {
    /// Adds up all totals of a cube.
    pub fn of(cube: &Cube) -> Self {
        let extended: Vec<usize> = cube.sizes.iter().map(|size| size + 1).collect();
        let cells = extended.iter().product();
        let mut values = vec![0; cells];
        for (at, count) in cube.counts.iter().enumerate() {
            let place = places(&cube.sizes, at);
            // The count goes to its cell and to every total over it.
            for totals in 0..1_usize << place.len() {
                let total = |(dimension, place): (usize, &usize)| {
                    if totals >> dimension & 1 == 1 { cube.sizes[dimension] } else { *place }
                };
                let place: Vec<usize> = place.iter().enumerate().map(total).collect();
                values[cell(&extended, &place)] += count;
            }
        }
        let mut lines = Vec::new();
        for at in 0..cells {
            let place = places(&extended, at);
            for dimension in (0..place.len()).filter(|dimension| place[*dimension] == cube.sizes[*dimension]) {
                let along = |value: usize| {
                    let mut place = place.clone();
                    place[dimension] = value;
                    cell(&extended, &place)
                };
                lines.push((0..=cube.sizes[dimension]).map(along).collect::<Vec<usize>>());
            }
        }
        let mut of_cell = vec![Vec::new(); cells];
        for (line, cells) in lines.iter().enumerate() {
            for cell in cells {
                of_cell[*cell].push(line);
            }
        }
        Self { sizes: cube.sizes.clone(), values, sums: lines, of_cell }
    }

    /// Cells and totals.
    pub fn cells(&self) -> usize {
        self.values.len()
    }

    /// The number of a cell; `None` in a dimension means the total.
    pub fn cell(&self, place: &[Option<usize>]) -> usize {
        let extended: Vec<usize> = self.sizes.iter().map(|size| size + 1).collect();
        let place: Vec<usize> =
            place.iter().zip(&self.sizes).map(|(place, size)| place.unwrap_or(*size).min(*size)).collect();
        cell(&extended, &place)
    }

    /// The place of a cell; `None` in a dimension means the total.
    pub(super) fn place(&self, at: usize) -> Vec<Option<usize>> {
        let extended: Vec<usize> = self.sizes.iter().map(|size| size + 1).collect();
        let place = places(&extended, at);
        place.into_iter().zip(&self.sizes).map(|(place, size)| (place < *size).then_some(place)).collect()
    }

    /// Whether a cell is a total.
    pub fn is_total(&self, at: usize) -> bool {
        let extended: Vec<usize> = self.sizes.iter().map(|size| size + 1).collect();
        places(&extended, at).iter().zip(&self.sizes).any(|(place, size)| place == size)
    }

    pub(super) fn value(&self, cell: usize) -> u64 {
        self.values[cell]
    }

    pub(super) fn lines(&self) -> &[Vec<usize>] {
        &self.sums
    }

    pub(super) fn through(&self, cell: usize) -> impl Iterator<Item = &Vec<usize>> {
        self.of_cell[cell].iter().map(|line| &self.sums[*line])
    }
}

fn cell(sizes: &[usize], place: &[usize]) -> usize {
    place.iter().zip(sizes).fold(0, |at, (place, size)| at * size + place)
}

fn places(sizes: &[usize], mut at: usize) -> Vec<usize> {
    let mut place = vec![0; sizes.len()];
    for (dimension, size) in sizes.iter().enumerate().rev() {
        place[dimension] = at % size;
        at /= size;
    }
    place
}
