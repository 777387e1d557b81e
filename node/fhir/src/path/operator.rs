//! What operators do with values. Every one gives a value, nothing (FHIRPath's empty collection), or a reason.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::ast::Operator;
use super::value::{Item, Record, Scalar, single};
use crate::decimal::Decimal;
use crate::document::same_json;
use crate::fault::Reason;
use crate::temporal::Temporal;

/// The longest text that a path makes of others, in bytes: a path that doubles a text again and again stops there.
pub(crate) const TEXT_BYTES_MAX: usize = 32 << 20;

/// The value of a collection as a condition: nothing, or true or false. One value that is no boolean is true.
///
/// Source: FHIRPath, singleton evaluation of collections.
///
/// # Errors
/// `ManyValues` if there are several.
pub(crate) fn condition<'a>(record: Record<'a>, items: &[Item<'a>]) -> Result<Option<bool>, Reason> {
    Ok(single(items)?.and_then(|item| match record.scalar(item) {
        Scalar::Missing => None,
        Scalar::Boolean(value) => Some(value),
        _ => Some(true),
    }))
}

/// Three-valued logic; `None` is unknown. The other operators give unknown.
pub(crate) fn logic(operator: Operator, left: Option<bool>, right: Option<bool>) -> Option<bool> {
    let not = |value: Option<bool>| value.map(|value| !value);
    match operator {
        Operator::And => match (left, right) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Operator::Or => not(logic(Operator::And, not(left), not(right))),
        Operator::Implies => logic(Operator::Or, not(left), right),
        Operator::Xor => left.zip(right).map(|(left, right)| left != right),
        _ => None,
    }
}

/// `=`: whether both collections have the same values in the same order; nothing if one is empty.
pub(crate) fn equal<'a>(
    record: Record<'a>,
    left: &[Item<'a>],
    right: &[Item<'a>],
    temporal: bool,
) -> Result<Option<bool>, Reason> {
    if left.is_empty() || right.is_empty() {
        return Ok(None);
    }
    if left.len() != right.len() {
        return Ok(Some(false));
    }
    let mut unknown = false;
    for (left, right) in left.iter().zip(right) {
        match same(record, left, right, temporal)? {
            Some(true) => {}
            Some(false) => return Ok(Some(false)),
            None => unknown = true,
        }
    }
    Ok((!unknown).then_some(true))
}

/// Whether two values are equal; nothing where dates have not the same parts.
pub(crate) fn same<'a>(
    record: Record<'a>,
    left: &Item<'a>,
    right: &Item<'a>,
    temporal: bool,
) -> Result<Option<bool>, Reason> {
    let (left, right) = (record.scalar(left), record.scalar(right));
    Ok(match (&left, &right) {
        (Scalar::Missing, _) | (_, Scalar::Missing) => None,
        (Scalar::Boolean(left), Scalar::Boolean(right)) => Some(left == right),
        (Scalar::Integer(left), Scalar::Integer(right)) => Some(left == right),
        (Scalar::Text(left), Scalar::Text(right)) => match times(left, right, temporal) {
            Some((left, right)) => left.compare(right).map(Ordering::is_eq),
            None => Some(left == right),
        },
        (Scalar::Complex(left), Scalar::Complex(right)) => Some(left == right || same_json(left, right)?),
        _ if left.is_number() && right.is_number() => {
            Some(left.decimal()?.compare(right.decimal()?).ok_or(Reason::NumberRange)?.is_eq())
        }
        _ => Some(false),
    })
}

/// Both texts as dates or times, if they are asked to be and are.
fn times(left: &str, right: &str, temporal: bool) -> Option<(Temporal, Temporal)> {
    temporal.then(|| Some((Temporal::parse(left)?, Temporal::parse(right)?))).flatten()
}

/// `~`: as `=`, but two empty collections are equivalent, the order is none of its business, and texts are compared
/// without regard to case and white space.
pub(crate) fn equivalent<'a>(
    record: Record<'a>,
    left: &[Item<'a>],
    right: &[Item<'a>],
    temporal: bool,
) -> Result<bool, Reason> {
    if left.len() != right.len() {
        return Ok(false);
    }
    let mut rest: Vec<&Item<'a>> = right.iter().collect();
    for left in left {
        let mut found = None;
        for (at, right) in rest.iter().enumerate() {
            if alike(record, left, right, temporal)? {
                found = Some(at);
                break;
            }
        }
        match found {
            Some(at) => rest.swap_remove(at),
            None => return Ok(false),
        };
    }
    Ok(true)
}

fn alike<'a>(record: Record<'a>, left: &Item<'a>, right: &Item<'a>, temporal: bool) -> Result<bool, Reason> {
    match (record.scalar(left), record.scalar(right)) {
        (Scalar::Text(a), Scalar::Text(b)) if !temporal => {
            let words = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ");
            Ok(words(&a) == words(&b))
        }
        _ => Ok(same(record, left, right, temporal)?.unwrap_or(false)),
    }
}

/// `<`, `<=`, `>` and `>=`; nothing if a side is empty or dates have not the same parts.
///
/// # Errors
/// `Operand` for values that have no order together.
pub(crate) fn ordered<'a>(
    record: Record<'a>,
    operator: Operator,
    left: &[Item<'a>],
    right: &[Item<'a>],
    temporal: bool,
) -> Result<Option<bool>, Reason> {
    let (Some(left), Some(right)) = (single(left)?, single(right)?) else { return Ok(None) };
    let (left, right) = (record.scalar(left), record.scalar(right));
    let order = match (&left, &right) {
        (Scalar::Missing, _) | (_, Scalar::Missing) => None,
        (Scalar::Text(left), Scalar::Text(right)) if temporal => {
            let (left, right) = times(left, right, true).ok_or(Reason::Operand)?;
            left.compare(right)
        }
        (Scalar::Text(left), Scalar::Text(right)) => Some(left.cmp(right)),
        _ => Some(left.decimal()?.compare(right.decimal()?).ok_or(Reason::NumberRange)?),
    };
    Ok(order.map(|order| match operator {
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        _ => order.is_ge(),
    }))
}

/// `+`, `-`, `*`, `/`, `div`, `mod` and `&`; nothing if a side is empty (`&` takes it for an empty text), or for a division by zero.
///
/// # Errors
/// `Operand` for values that cannot be calculated with, `NumberRange` for too many digits.
pub(crate) fn arithmetic<'a>(
    record: Record<'a>,
    operator: Operator,
    left: &[Item<'a>],
    right: &[Item<'a>],
) -> Result<Option<Item<'a>>, Reason> {
    let (left, right) = (single(left)?, single(right)?);
    let scalar = |item: Option<&Item<'a>>| item.map_or(Scalar::Missing, |item| record.scalar(item));
    let (left, right) = (scalar(left), scalar(right));
    match (operator, &left, &right) {
        (Operator::Join, ..) | (Operator::Plus, Scalar::Text(_), Scalar::Text(_)) => joined(&left, &right).map(Some),
        (_, Scalar::Missing, _) | (_, _, Scalar::Missing) => Ok(None),
        (_, Scalar::Integer(left), Scalar::Integer(right)) if operator != Operator::Over => {
            integers(operator, *left, *right)
        }
        _ => decimals(operator, left.decimal()?, right.decimal()?),
    }
}

fn joined<'a>(left: &Scalar<'a>, right: &Scalar<'a>) -> Result<Item<'a>, Reason> {
    let text = |side: &Scalar<'a>| match side {
        Scalar::Missing => Ok(Cow::Borrowed("")),
        Scalar::Text(text) => Ok(text.clone()),
        _ => Err(Reason::Operand),
    };
    let (left, right) = (text(left)?, text(right)?);
    if left.len() + right.len() > TEXT_BYTES_MAX {
        return Err(Reason::RowBytes);
    }
    Ok(Item::Text(Cow::Owned(left.into_owned() + &right)))
}

fn integers<'a>(operator: Operator, left: i64, right: i64) -> Result<Option<Item<'a>>, Reason> {
    let result = match operator {
        Operator::Plus => left.checked_add(right),
        Operator::Minus => left.checked_sub(right),
        Operator::Times => left.checked_mul(right),
        _ if right == 0 => return Ok(None),
        Operator::Div => left.checked_div(right),
        Operator::Mod => left.checked_rem(right),
        _ => return Err(Reason::Operand),
    };
    result.map(|result| Some(Item::Integer(result))).ok_or(Reason::NumberRange)
}

fn decimals<'a>(operator: Operator, left: Decimal, right: Decimal) -> Result<Option<Item<'a>>, Reason> {
    let result = match operator {
        Operator::Plus => left.plus(right),
        Operator::Minus => left.minus(right),
        Operator::Times => left.times(right),
        _ if right.is_zero() => return Ok(None),
        Operator::Over => left.divided_by(right),
        Operator::Div => {
            let quotient = left.divided_by(right).and_then(Decimal::truncated).ok_or(Reason::NumberRange)?;
            return Ok(Some(Item::Integer(quotient)));
        }
        Operator::Mod => left.remainder(right),
        _ => return Err(Reason::Operand),
    };
    result.map(|result| Some(Item::Decimal(result))).ok_or(Reason::NumberRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logic_has_three_values() {
        let (t, f, u) = (Some(true), Some(false), None);
        let table = [
            (Operator::And, [t, f, u, f, f, f, u, f, u]),
            (Operator::Or, [t, t, t, t, f, u, t, u, u]),
            (Operator::Xor, [f, t, u, t, f, u, u, u, u]),
            (Operator::Implies, [t, f, u, t, t, t, t, u, u]),
        ];
        for (operator, expected) in table {
            let pairs = [t, f, u].into_iter().flat_map(|left| [t, f, u].map(|right| (left, right)));
            let found: Vec<Option<bool>> = pairs.map(|(left, right)| logic(operator, left, right)).collect();
            assert_eq!(found, expected, "{operator:?}");
        }
    }
}
