//! What a mapping's SQL may be: a question of the row alone, whose whole numbers do not wrap.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Expr, Operator, Volatility};
use datafusion::physical_expr::expressions::{BinaryExpr, Literal, NegativeExpr};

use crate::mapping::cell::Expression;

/// Whether the same row gives the same value whenever it is asked: no chance, no clock.
pub(crate) fn is_steady(expression: &Expr) -> bool {
    let moves = |expression: &Expr| match expression {
        Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
        Expr::ScalarVariable(..) => true,
        _ => false,
    };
    !expression.exists(|expression| Ok(moves(expression))).unwrap_or(true)
}

/// The expression with arithmetic that fails where a whole number would wrap (law 12).
pub(crate) fn unwrapping(expression: Expression, seen: &Schema) -> Result<Expression> {
    let checked = |node: Expression| {
        if let Some(binary) = node.downcast_ref::<BinaryExpr>() {
            let (left, right) = (Arc::clone(binary.left()), Arc::clone(binary.right()));
            let checked = BinaryExpr::new(left, *binary.op(), right).with_fail_on_overflow(true);
            return Ok(Transformed::yes(Arc::new(checked) as Expression));
        }
        let Some(negative) = node.downcast_ref::<NegativeExpr>() else { return Ok(Transformed::no(node)) };
        let kind = negative.arg().data_type(seen)?;
        if !kind.is_integer() {
            return Ok(Transformed::no(node));
        }
        let zero = Arc::new(Literal::new(ScalarValue::new_zero(&kind)?));
        let checked = BinaryExpr::new(zero, Operator::Minus, Arc::clone(negative.arg())).with_fail_on_overflow(true);
        Ok(Transformed::yes(Arc::new(checked) as Expression))
    };
    Ok(expression.transform_up(checked)?.data)
}
