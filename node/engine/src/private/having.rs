//! A condition on the answer. It is over values that have their noise: looking at them again costs nothing and tells nothing.

use datafusion::common::{DFSchemaRef, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::private::refusal::Refusal;

/// A condition over the values of the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Having {
    /// The value of the measure with this recipe is less than the number.
    Less(usize, f64),
    /// It is greater.
    Greater(usize, f64),
    /// All hold.
    All(Vec<Having>),
    /// At least one holds.
    Any(Vec<Having>),
    /// It does not hold; a value that is not there makes no comparison hold.
    Not(Box<Having>),
}

impl Having {
    /// Whether it holds for one group; `value` gives a measure's value with its noise.
    pub fn holds(&self, value: &impl Fn(usize) -> Option<f64>) -> bool {
        match self {
            Self::Less(measure, bound) => value(*measure).is_some_and(|value| value < *bound),
            Self::Greater(measure, bound) => value(*measure).is_some_and(|value| value > *bound),
            Self::All(all) => all.iter().all(|one| one.holds(value)),
            Self::Any(any) => any.iter().any(|one| one.holds(value)),
            Self::Not(inner) => !inner.holds(value),
        }
    }

    /// With other numbers for the measures.
    pub(crate) fn renumbered(self, to: &[usize]) -> Self {
        let number = |measure: usize| to.get(measure).copied().unwrap_or(measure);
        let each = |all: Vec<Self>| all.into_iter().map(|one| one.renumbered(to)).collect();
        match self {
            Self::Less(measure, bound) => Self::Less(number(measure), bound),
            Self::Greater(measure, bound) => Self::Greater(number(measure), bound),
            Self::All(all) => Self::All(each(all)),
            Self::Any(any) => Self::Any(each(any)),
            Self::Not(inner) => Self::Not(Box::new(inner.renumbered(to))),
        }
    }

    /// The condition that an expression over the columns of an aggregate is; `keys` of them come first.
    pub(crate) fn of(expr: &Expr, schema: &DFSchemaRef, keys: usize) -> Result<Self, Refusal> {
        let refused = || Refusal::rather("such condition in HAVING", "compare one measure with one number");
        match expr {
            Expr::Not(inner) => Ok(Self::Not(Box::new(Self::of(inner, schema, keys)?))),
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Ok(Self::All(vec![Self::of(left, schema, keys)?, Self::of(right, schema, keys)?]))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                Ok(Self::Any(vec![Self::of(left, schema, keys)?, Self::of(right, schema, keys)?]))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let measure = |expr: &Expr| match expr {
                    Expr::Column(name) => schema.maybe_index_of_column(name).and_then(|place| place.checked_sub(keys)),
                    _ => None,
                };
                let not = |inner| Self::Not(Box::new(inner));
                let (measure, bound, op) = match (measure(left), number(left), measure(right), number(right)) {
                    (Some(measure), _, _, Some(bound)) => (measure, bound, *op),
                    (_, Some(bound), Some(measure), _) => (measure, bound, op.swap().ok_or_else(refused)?),
                    _ => return Err(refused()),
                };
                match op {
                    Operator::Lt => Ok(Self::Less(measure, bound)),
                    Operator::Gt => Ok(Self::Greater(measure, bound)),
                    Operator::LtEq => Ok(not(Self::Greater(measure, bound))),
                    Operator::GtEq => Ok(not(Self::Less(measure, bound))),
                    _ => Err(refused()),
                }
            }
            _ => Err(refused()),
        }
    }

    pub(crate) fn text(&self) -> String {
        let each = |all: &[Self]| {
            let mut texts: Vec<String> = all.iter().map(Self::text).collect();
            texts.sort();
            texts.join(" ")
        };
        match self {
            Self::Less(measure, bound) => format!("(m{measure} < {bound:?})"),
            Self::Greater(measure, bound) => format!("(m{measure} > {bound:?})"),
            Self::All(all) => format!("(all {})", each(all)),
            Self::Any(any) => format!("(any {})", each(any)),
            Self::Not(inner) => format!("(not {})", inner.text()),
        }
    }
}

/// The number that a literal is.
#[expect(clippy::cast_precision_loss, reason = "compared with values that have noise")]
pub(crate) fn number(expr: &Expr) -> Option<f64> {
    let value = match expr {
        Expr::Negative(inner) => return number(inner).map(|value| -value),
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => *value as f64,
        Expr::Literal(ScalarValue::UInt64(Some(value)), _) => *value as f64,
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => *value,
        _ => return None,
    };
    value.is_finite().then_some(value)
}
