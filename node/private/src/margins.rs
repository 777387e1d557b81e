//! Public domains of columns, tables of counts over some of them, and their orthogonal parts.
//!
//! A table over columns B is a sum of parts, one for each subset A of B: the part of A is what its columns say together beyond what fewer
//! of them say. Parts of different subsets are orthogonal, which makes consistency, planning and error simple (Xiao, He, Zhang and
//! Kifer 2023, "An Optimal and Scalable Matrix Mechanism for Noisy Marginals under Convex Loss Functions").

use std::collections::BTreeMap;
use std::ops::{Add, Mul, Sub};

/// Columns of one margin at most.
pub const MARGIN_COLUMNS_MAX: usize = 4;
/// Cells of one margin at most.
pub const CELLS_MAX: usize = 1 << 22;

/// Why there is no such domain or margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainError {
    /// A column has no value, or more than 65,536.
    Size,
    /// A margin names a column that is not there, one twice, or more than [`MARGIN_COLUMNS_MAX`].
    Columns,
    /// A margin has more than [`CELLS_MAX`] cells.
    Cells,
}

impl std::fmt::Display for DomainError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Size => "a column has no value or too many",
            Self::Columns => "a margin names a column twice, too many, or one that is not there",
            Self::Cells => "a margin has too many cells",
        })
    }
}

impl std::error::Error for DomainError {}

/// The columns of a margin, in rising order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Columns(Vec<usize>);

impl Columns {
    /// These columns, none twice.
    ///
    /// # Errors
    /// [`DomainError::Columns`].
    pub fn new(mut columns: Vec<usize>) -> Result<Self, DomainError> {
        columns.sort_unstable();
        let unique = columns.windows(2).all(|pair| pair[0] != pair[1]);
        if unique && columns.len() <= MARGIN_COLUMNS_MAX { Ok(Self(columns)) } else { Err(DomainError::Columns) }
    }

    /// The columns.
    pub fn list(&self) -> &[usize] {
        &self.0
    }

    /// Every subset, the empty one first.
    pub(crate) fn subsets(&self) -> impl Iterator<Item = Columns> + '_ {
        (0..1_usize << self.0.len()).map(|mask| {
            let chosen = self.0.iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1);
            Columns(chosen.map(|(_, column)| *column).collect())
        })
    }

    pub(crate) fn has(&self, column: usize) -> bool {
        self.0.contains(&column)
    }

    pub(crate) fn within(&self, other: &Columns) -> bool {
        self.0.iter().all(|column| other.has(*column))
    }
}

/// How many values each column may have. They are public: they come from a code list, not from rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    sizes: Vec<usize>,
}

/// Counts by margin.
///
/// Shape: one entry a cell, in row-major order of the margin's columns.
pub type Tables<T> = BTreeMap<Columns, Vec<T>>;

impl Domain {
    /// Columns of these sizes.
    ///
    /// # Errors
    /// [`DomainError::Size`].
    pub fn new(sizes: Vec<usize>) -> Result<Self, DomainError> {
        let sane = sizes.iter().all(|size| (1..=1 << 16).contains(size));
        if sane { Ok(Self { sizes }) } else { Err(DomainError::Size) }
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.sizes.len()
    }

    /// How many values a column has.
    pub fn size(&self, column: usize) -> usize {
        self.sizes[column]
    }

    /// How many cells a margin has.
    ///
    /// # Errors
    /// [`DomainError`] for a margin that this domain does not have.
    pub fn cells(&self, columns: &Columns) -> Result<usize, DomainError> {
        if columns.0.iter().any(|column| *column >= self.sizes.len()) {
            return Err(DomainError::Columns);
        }
        let product = columns.0.iter().try_fold(1_usize, |cells, column| cells.checked_mul(self.sizes[*column]));
        product.filter(|cells| *cells <= CELLS_MAX).ok_or(DomainError::Cells)
    }

    pub(crate) fn shape(&self, columns: &Columns) -> Vec<usize> {
        columns.0.iter().map(|column| self.sizes[*column]).collect()
    }

    /// Sums a table over the columns that `to` does not have.
    pub fn project<T: Copy + Default + Add<Output = T>>(&self, cells: &[T], from: &Columns, to: &Columns) -> Vec<T> {
        self.each_axis(cells, from, |column, line, out| {
            if to.has(column) {
                out.extend_from_slice(line);
            } else {
                out.push(line.iter().fold(T::default(), |sum, cell| sum + *cell));
            }
        })
    }

    /// The part of `part` in a table over `from`, in an orthonormal basis: what the columns of `part` say together beyond fewer of them.
    pub(crate) fn part_of(&self, cells: &[f64], from: &Columns, part: &Columns) -> Vec<f64> {
        self.each_axis(cells, from, |column, line, out| {
            if part.has(column) {
                contrasts(line, |k| 1.0 / root(k), from_k, out);
            } else {
                out.push(line.iter().sum());
            }
        })
    }

    /// Coefficients that the adjoint of [`Domain::spread`] gives: as [`Domain::part_of`], with means in place of sums.
    pub(crate) fn gather(&self, cells: &[f64], from: &Columns, part: &Columns) -> Vec<f64> {
        let scale: f64 =
            from.0.iter().filter(|column| !part.has(**column)).map(|column| self.sizes[*column] as f64).product();
        self.part_of(cells, from, part).into_iter().map(|value| value / scale).collect()
    }

    /// The same part in whole numbers, and the sensitivities of one row: contrasts times about `2^bits` for each column.
    pub(crate) fn whole_part(&self, cells: &[i64], part: &Columns, bits: u32) -> Vec<i64> {
        let wide: Vec<i128> = cells.iter().map(|cell| i128::from(*cell)).collect();
        let parts = self.each_axis(&wide, part, |_, line, out| {
            contrasts(line, |k| i128::from(whole_weight(k, bits)), |k| i128::try_from(k).unwrap_or(i128::MAX), out);
        });
        // A value that would leave 64 bits stops there, which brings no two tables further apart.
        parts
            .into_iter()
            .map(|value| i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX }))
            .collect()
    }

    /// Adds a part, given in the orthonormal basis, to a table over `to`.
    pub(crate) fn spread(&self, coefficients: &[f64], part: &Columns, to: &Columns, cells: &mut [f64]) {
        let mut tensor = coefficients.to_vec();
        let mut shape: Vec<usize> =
            to.0.iter().map(|column| if part.has(*column) { self.sizes[*column] - 1 } else { 1 }).collect();
        for (axis, column) in to.0.iter().enumerate() {
            let size = self.sizes[*column];
            tensor = along(&tensor, &shape, axis, |line, out| {
                if part.has(*column) {
                    combine(line, out);
                } else {
                    out.extend(std::iter::repeat_n(line[0] / size as f64, size));
                }
            });
            shape[axis] = size;
        }
        cells.iter_mut().zip(tensor).for_each(|(cell, value)| *cell += value);
    }

    /// Maps every line of every axis in turn.
    fn each_axis<T: Copy>(&self, cells: &[T], from: &Columns, map: impl Fn(usize, &[T], &mut Vec<T>)) -> Vec<T> {
        let mut shape = self.shape(from);
        let mut tensor = cells.to_vec();
        for axis in 0..shape.len() {
            let lines = tensor.len() / shape[axis].max(1);
            tensor = along(&tensor, &shape, axis, |line, out| map(from.0[axis], line, out));
            shape[axis] = tensor.len().checked_div(lines).unwrap_or(0);
        }
        tensor
    }
}

/// Maps every line along one axis of a row-major tensor; all lines must come out equally long.
fn along<T: Copy>(cells: &[T], shape: &[usize], axis: usize, map: impl Fn(&[T], &mut Vec<T>)) -> Vec<T> {
    let inner: usize = shape[axis + 1..].iter().product();
    let size = shape[axis];
    let (mut line, mut mapped, mut out) = (Vec::with_capacity(size), Vec::new(), Vec::new());
    if inner == 0 || size == 0 {
        return out;
    }
    for block in cells.chunks(inner * size) {
        let start = out.len();
        for offset in 0..inner {
            line.clear();
            line.extend(block.iter().skip(offset).step_by(inner));
            mapped.clear();
            map(&line, &mut mapped);
            if offset == 0 {
                out.resize(start + mapped.len() * inner, line[0]);
            }
            mapped.iter().enumerate().for_each(|(at, value)| out[start + at * inner + offset] = *value);
        }
    }
    out
}

/// Helmert's contrasts of a line: for k from 1, `weight(k)` times (the sum of the first k values less k times the next).
fn contrasts<T>(line: &[T], weight: impl Fn(usize) -> T, whole: impl Fn(usize) -> T, out: &mut Vec<T>)
where
    T: Copy + Add<Output = T> + Sub<Output = T> + Mul<Output = T>,
{
    let mut sum = line[0];
    for (k, value) in line.iter().enumerate().skip(1) {
        out.push(weight(k) * (sum - whole(k) * *value));
        sum = sum + *value;
    }
}

/// The line whose orthonormal contrasts these are and whose sum is zero.
fn combine(contrasts: &[f64], out: &mut Vec<f64>) {
    let size = contrasts.len() + 1;
    out.resize(size, 0.0);
    let mut later = 0.0;
    for at in (1..size).rev() {
        let share = contrasts[at - 1] / root(at);
        out[at] = later - share * at as f64;
        later += share;
    }
    out[0] = later;
}

fn from_k(k: usize) -> f64 {
    k as f64
}

/// The length of the contrast of k values against the next.
pub(crate) fn root(k: usize) -> f64 {
    (k as f64 * (k as f64 + 1.0)).sqrt()
}

/// The whole number that stands for `2^bits / root(k)`; at least 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 2^31")]
pub(crate) fn whole_weight(k: usize, bits: u32) -> u32 {
    (f64::from(bits).exp2() / root(k)).round().max(1.0) as u32
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn columns(list: &[usize]) -> Columns {
        Columns::new(list.to_vec()).unwrap()
    }

    #[test]
    fn the_parts_of_a_table_add_up_to_it_and_their_squares_to_its_square() {
        let domain = Domain::new(vec![3, 1, 4, 2]).unwrap();
        let all = columns(&[0, 1, 2, 3]);
        let cells: Vec<f64> = (0..24).map(|at| f64::from(at * at % 17) - 3.0).collect();
        let mut again = vec![0.0; 24];
        let mut squares = 0.0;
        for part in all.subsets() {
            let coefficients = domain.part_of(&cells, &all, &part);
            let others: f64 = [0, 1, 2, 3].iter().filter(|c| !part.has(**c)).map(|c| domain.size(*c) as f64).product();
            squares += coefficients.iter().map(|value| value * value).sum::<f64>() / others;
            domain.spread(&coefficients, &part, &all, &mut again);
        }
        assert!(cells.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-10), "{again:?}");
        assert!((squares - cells.iter().map(|value| value * value).sum::<f64>()).abs() < 1e-9);
    }

    #[test]
    fn whole_parts_are_orthonormal_ones_times_known_weights() {
        let domain = Domain::new(vec![5, 3]).unwrap();
        let both = columns(&[0, 1]);
        let cells: Vec<i64> = (0..15).map(|at| at * at).collect();
        let floats: Vec<f64> = cells.iter().map(|cell| *cell as f64).collect();
        let whole = domain.whole_part(&cells, &both, 16);
        let part = domain.part_of(&floats, &both, &both);
        for (at, (whole, part)) in whole.iter().zip(&part).enumerate() {
            let norm =
                [at / 2 + 1, at % 2 + 1].map(|k| f64::from(whole_weight(k, 16)) * root(k)).iter().product::<f64>();
            assert!((*whole as f64 / norm - part).abs() < 1e-9);
        }
        assert_eq!(domain.whole_part(&[i64::MAX; 15], &both, 16), [0; 8]);
    }

    #[test]
    fn projections_sum_and_margins_of_no_column_are_totals() {
        let domain = Domain::new(vec![2, 3]).unwrap();
        let both = columns(&[1, 0]);
        let cells = [1, 2, 3, 4, 5, 6];
        assert_eq!(domain.project(&cells, &both, &columns(&[0])), [6, 15]);
        assert_eq!(domain.project(&cells, &both, &columns(&[1])), [5, 7, 9]);
        assert_eq!(domain.project(&cells, &both, &columns(&[])), [21]);
    }

    #[test]
    fn domains_and_margins_that_cannot_be_are_refused() {
        assert_eq!(Domain::new(vec![2, 0]), Err(DomainError::Size));
        assert_eq!(Columns::new(vec![1, 1]), Err(DomainError::Columns));
        assert_eq!(Columns::new(vec![0, 1, 2, 3, 4]), Err(DomainError::Columns));
        let domain = Domain::new(vec![1 << 16, 1 << 16]).unwrap();
        assert_eq!(domain.cells(&columns(&[0, 1])), Err(DomainError::Cells));
        assert_eq!(domain.cells(&columns(&[2])), Err(DomainError::Columns));
        assert_eq!(domain.cells(&columns(&[])), Ok(1));
    }
}
