//! Small symmetric matrices: factors, inverses.

/// A square matrix, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    size: usize,
    cells: Vec<f64>,
}

impl Matrix {
    /// The matrix of these cells.
    pub fn from_cells(size: usize, cell: impl Fn(usize, usize) -> f64) -> Self {
        Self { size, cells: (0..size * size).map(|at| cell(at / size, at % size)).collect() }
    }

    /// One cell.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.cells[row * self.size + column]
    }

    /// The product with a vector.
    pub fn times(&self, vector: &[f64]) -> Vec<f64> {
        self.cells.chunks(self.size.max(1)).map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
    }

    /// The inverse of a symmetric matrix by its Cholesky factor; `None` unless every pivot is above `least`, which must not be negative.
    pub fn inverse(&self, least: f64) -> Option<Self> {
        let size = self.size;
        let mut factor = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                let known: f64 = (0..column).map(|k| factor[row * size + k] * factor[column * size + k]).sum();
                let rest = self.at(row, column) - known;
                if row == column {
                    if rest.is_nan() || rest <= least {
                        return None;
                    }
                    factor[row * size + row] = rest.sqrt();
                } else {
                    factor[row * size + column] = rest / factor[column * size + column];
                }
            }
        }
        let mut inverse = Self::from_cells(size, |_, _| 0.0);
        for unit in 0..size {
            let mut solved = vec![0.0; size];
            for row in 0..size {
                let known: f64 = (0..row).map(|k| factor[row * size + k] * solved[k]).sum();
                solved[row] = (f64::from(u8::from(row == unit)) - known) / factor[row * size + row];
            }
            for row in (0..size).rev() {
                let known: f64 = (row + 1..size).map(|k| factor[k * size + row] * solved[k]).sum();
                solved[row] = (solved[row] - known) / factor[row * size + row];
            }
            solved.iter().enumerate().for_each(|(row, value)| inverse.cells[row * size + unit] = *value);
        }
        Some(inverse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverse_times_its_matrix_is_one_and_what_has_none_is_refused() {
        let matrix = Matrix::from_cells(3, |a, b| if a == b { 4.0 } else { 1.0 / (a + b) as f64 });
        let inverse = matrix.inverse(0.0).unwrap();
        for unit in 0..3 {
            let column: Vec<f64> = (0..3).map(|row| inverse.at(row, unit)).collect();
            let product = matrix.times(&column);
            assert!(
                product.iter().enumerate().all(|(row, value)| (value - f64::from(u8::from(row == unit))).abs() < 1e-12)
            );
        }
        assert_eq!(Matrix::from_cells(2, |_, _| 1.0).inverse(0.0), None);
        assert_eq!(Matrix::from_cells(2, |_, _| f64::NAN).inverse(0.0), None);
        assert_eq!(matrix.inverse(4.0), None);
    }
}
