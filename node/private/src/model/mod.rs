//! Linear models from noised moments: the products of features and outcome, summed over rows, are all that is measured.

pub mod design;
pub mod fit;
pub mod matrix;
