//! What a mapping's SQL may be: a question of the row alone, whose whole numbers do not wrap, and where a patient or a row
//! is named a keyed id.

use std::sync::Arc;

use arrow::datatypes::Schema;
use cohortium_schema::schema::{Field, Kind, Reference};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Expr, Operator, Volatility};
use datafusion::physical_expr::expressions::{BinaryExpr, Literal, NegativeExpr};

use crate::mapping::cell::Expression;

/// The table that all others name patients by.
const PERSON_TABLE: &str = "person";
const PERSON_COLUMN: &str = "person_id";

/// Whether the same row gives the same value whenever it is asked: no chance, no clock.
pub(crate) fn is_steady(expression: &Expr) -> bool {
    let moves = |expression: &Expr| match expression {
        Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
        Expr::ScalarVariable(..) => true,
        _ => false,
    };
    !expression.exists(|expression| Ok(moves(expression))).unwrap_or(true)
}

/// The function that gives the expression's value, if nothing is done to it afterwards.
pub(crate) fn called(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::ScalarFunction(call) => Some(call.func.name()),
        _ => None,
    }
}

/// The functions of which one must give a column that names a patient or a row (law 1, spec MAP-20): a number of the
/// source's own would leave as it is. `None`: it names neither.
pub(crate) fn naming(table: &str, field: &Field) -> Option<&'static [&'static str]> {
    let leads_to = match &field.reference {
        Reference::Table(to) | Reference::LeftOut(to) => Some(to.table.as_str()),
        Reference::None | Reference::Concept(_) => None,
    };
    let is_person =
        field.name == PERSON_COLUMN || leads_to == Some(PERSON_TABLE) || (table == PERSON_TABLE && field.primary_key);
    let is_row = field.primary_key || matches!(field.reference, Reference::Table(_));
    match field.kind {
        _ if is_person => Some(&["person", "surrogate"]),
        Kind::Integer if is_row => Some(&["surrogate"]),
        Kind::Integer | Kind::Float | Kind::Text | Kind::Boolean | Kind::Date | Kind::Timestamp => None,
    }
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
