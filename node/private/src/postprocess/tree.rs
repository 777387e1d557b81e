//! Counts over a hierarchy, every node measured by itself: the best estimate of every node from all of them, so that parts add up to
//! wholes, and then none negative. Error is carried through.
//!
//! Source: Hay, Rastogi, Miklau and Suciu 2010, for any variances: up the tree each node's own value is weighed against the sum of its
//! parts, down the tree what is left over is shared among them by variance.

use crate::{interval::normal_two_sided, postprocess::Cell};

/// A measured node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// The node above; `None` for a root. Nodes above stand before nodes below.
    pub above: Option<usize>,
    /// What was measured.
    pub value: f64,
    /// The variance of its noise: above zero, and infinite where the node was not measured.
    pub variance: f64,
}

/// Why nodes are no hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeError {
    /// A node stands before the one above it.
    Order,
    /// A value is no number, or a variance not above zero.
    Value,
    /// A node was not measured, and not all of its parts were either.
    Unknown,
}

impl std::fmt::Display for TreeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Order => "a node of the hierarchy stands before the one above it",
            Self::Value => "a measured value or its variance is no number",
            Self::Unknown => "neither a node nor all of its parts were measured",
        })
    }
}

impl std::error::Error for TreeError {}

/// A node's estimate and its variance.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    value: f64,
    variance: f64,
}

/// Every node's best estimate with its interval: parts add up and none is negative.
///
/// # Errors
/// [`TreeError`], which depends on the hierarchy and on which nodes were measured.
pub fn consistent(nodes: &[Node], confidence: f64) -> Result<Vec<Cell>, TreeError> {
    let parts = parts(nodes)?;
    let up = upward(nodes, &parts)?;
    let best = downward(nodes, &parts, &up);
    let values = nonnegative(nodes, &parts, &best);
    let width = normal_two_sided(confidence);
    let cells = values
        .iter()
        .zip(&best)
        .map(|(value, known)| Cell::of_count(*value, known.value, width * known.variance.sqrt()));
    Ok(cells.collect())
}

/// The parts of every node.
fn parts(nodes: &[Node]) -> Result<Vec<Vec<usize>>, TreeError> {
    let mut parts = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        if node.variance.is_nan() || node.variance <= 0.0 || (node.variance.is_finite() && !node.value.is_finite()) {
            return Err(TreeError::Value);
        }
        match node.above {
            Some(above) if above < at => parts[above].push(at),
            Some(_) => return Err(TreeError::Order),
            None => {}
        }
    }
    Ok(parts)
}

/// From the leaves up: what a node and all below it say of it.
fn upward(nodes: &[Node], parts: &[Vec<usize>]) -> Result<Vec<Known>, TreeError> {
    let mut up = vec![Known { value: 0.0, variance: f64::INFINITY }; nodes.len()];
    for at in (0..nodes.len()).rev() {
        let own = Known { value: nodes[at].value, variance: nodes[at].variance };
        let below = Known {
            value: parts[at].iter().map(|part| up[*part].value).sum(),
            variance: parts[at].iter().map(|part| up[*part].variance).sum(),
        };
        up[at] = match (own.variance.is_finite(), !parts[at].is_empty() && below.variance.is_finite()) {
            (true, true) => {
                let share = below.variance / (own.variance + below.variance);
                Known { value: share * own.value + (1.0 - share) * below.value, variance: share * own.variance }
            }
            (true, false) => own,
            (false, true) => below,
            (false, false) => return Err(TreeError::Unknown),
        };
    }
    Ok(up)
}

/// From the roots down: the difference between a node and the sum of its parts is shared by variance.
fn downward(nodes: &[Node], parts: &[Vec<usize>], up: &[Known]) -> Vec<Known> {
    let mut best = up.to_vec();
    for at in 0..nodes.len() {
        let sum: f64 = parts[at].iter().map(|part| up[*part].value).sum();
        let spread: f64 = parts[at].iter().map(|part| up[*part].variance).sum();
        for part in &parts[at] {
            let share = up[*part].variance / spread;
            best[*part] = Known {
                value: up[*part].value + share * (best[at].value - sum),
                variance: up[*part].variance * (1.0 - share) + share * share * best[at].variance,
            };
        }
    }
    best
}

/// The nearest values that are not negative, from the roots down: the parts of a node are moved onto the simplex of its value.
fn nonnegative(nodes: &[Node], parts: &[Vec<usize>], best: &[Known]) -> Vec<f64> {
    let mut values: Vec<f64> = best.iter().map(|known| known.value.max(0.0)).collect();
    for at in 0..nodes.len() {
        let wanted: Vec<Known> = parts[at].iter().map(|part| best[*part]).collect();
        for (part, value) in parts[at].iter().zip(onto_simplex(&wanted, values[at])) {
            values[*part] = value;
        }
    }
    values
}

/// The nearest point, by precision, whose entries are not negative and add up to `sum`: entries less a common amount times variance.
fn onto_simplex(wanted: &[Known], sum: f64) -> Vec<f64> {
    if wanted.is_empty() {
        return Vec::new();
    }
    // Entries reach zero in the order of value over variance.
    let mut order: Vec<&Known> = wanted.iter().collect();
    order.sort_by(|a, b| (b.value / b.variance).total_cmp(&(a.value / a.variance)));
    let (mut values, mut variances, mut amount) = (0.0, 0.0, 0.0);
    for known in order {
        let next = (values + known.value - sum) / (variances + known.variance);
        if variances > 0.0 && known.value - next * known.variance <= 0.0 {
            break;
        }
        values += known.value;
        variances += known.variance;
        amount = next;
    }
    wanted.iter().map(|known| (known.value - amount * known.variance).max(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(above: Option<usize>, value: f64, variance: f64) -> Node {
        Node { above, value, variance }
    }

    // PRIV-11
    #[test]
    fn parts_add_up_and_nothing_is_negative() {
        let nodes = [
            node(None, 100.0, 4.0),
            node(Some(0), 70.0, 9.0),
            node(Some(0), -20.0, 9.0),
            node(Some(1), 50.0, 16.0),
            node(Some(1), -3.0, 16.0),
            node(Some(2), -4.0, 16.0),
            node(Some(2), 5.0, 1.0),
        ];
        let cells = consistent(&nodes, 0.95).unwrap();
        assert!(cells.iter().all(|cell| cell.value >= 0.0 && cell.low <= cell.value && cell.value <= cell.high));
        for (whole, parts) in [(0, [1, 2]), (1, [3, 4]), (2, [5, 6])] {
            let sum: f64 = parts.iter().map(|part| cells[*part].value).sum();
            assert!((sum - cells[whole].value).abs() < 1e-9, "{cells:?}");
        }
    }

    #[test]
    fn a_node_and_its_parts_are_weighed_by_their_precision() {
        // Own value 10 of variance 1; two parts of 4 each, variance 2 each: sum 8 of variance 4.
        let nodes = [node(None, 10.0, 1.0), node(Some(0), 4.0, 2.0), node(Some(0), 4.0, 2.0)];
        let up = upward(&nodes, &parts(&nodes).unwrap()).unwrap();
        assert!((up[0].value - 9.6).abs() < 1e-12 && (up[0].variance - 0.8).abs() < 1e-12);
        let best = downward(&nodes, &parts(&nodes).unwrap(), &up);
        // From the normal equations: precision of a part is 1/2 and, through the whole, the matrix [[1.5, 1], [1, 1.5]].
        assert!((best[1].value - 4.8).abs() < 1e-12 && (best[1].variance - 1.2).abs() < 1e-12, "{best:?}");
        let unmeasured = [node(None, 0.0, f64::INFINITY), node(Some(0), 4.0, 2.0), node(Some(0), 5.0, 2.0)];
        assert!((consistent(&unmeasured, 0.9).unwrap()[0].value - 9.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_hierarchy_is_refused() {
        assert_eq!(consistent(&[node(Some(1), 1.0, 1.0), node(None, 1.0, 1.0)], 0.9), Err(TreeError::Order));
        assert_eq!(consistent(&[node(None, f64::NAN, 1.0)], 0.9), Err(TreeError::Value));
        assert_eq!(consistent(&[node(None, 1.0, 0.0)], 0.9), Err(TreeError::Value));
        assert_eq!(consistent(&[node(None, 1.0, f64::INFINITY)], 0.9), Err(TreeError::Unknown));
        assert_eq!(consistent(&[], 0.9), Ok(Vec::new()));
    }

    #[test]
    fn the_simplex_keeps_its_sum_whatever_comes() {
        for (values, sum) in
            [(vec![5.0, -5.0, 1.0], 3.0), (vec![-1.0, -2.0], 0.0), (vec![1.0, 1.0], 10.0), (vec![-9.0, -1.0], 2.0)]
        {
            let wanted: Vec<Known> =
                values.iter().zip(1..).map(|(value, k)| Known { value: *value, variance: f64::from(k) }).collect();
            let found = onto_simplex(&wanted, sum);
            assert!(
                (found.iter().sum::<f64>() - sum).abs() < 1e-9 && found.iter().all(|value| *value >= 0.0),
                "{found:?}"
            );
        }
    }
}
