//! `DataFusion`'s expressions into terms: an allow-list. What is not named here is refused, whatever later versions bring.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, IntervalMonthDayNano, TimestampMicrosecondType};
use datafusion::common::{Column as Named, DFSchemaRef, ScalarValue};
use datafusion::logical_expr::expr::{Like, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Case, Expr, Operator};

use crate::private::refusal::{Reason, Refusal};
use crate::private::term::{DatePart, Function, Kind, Term, Value};
use crate::private::total;
use crate::query::QueryFault;

/// The longest pattern of LIKE: what is longer might not compile, and that would show only where there are rows.
const PATTERN_BYTES_MAX: usize = 256;

/// The columns that an expression may name, and those of the questions around it.
#[derive(Default)]
pub(crate) struct Scopes(Vec<(DFSchemaRef, Vec<Term>)>);

impl Scopes {
    pub(crate) fn push(&mut self, schema: &DFSchemaRef, columns: &[Term]) {
        self.0.push((Arc::clone(schema), columns.to_vec()));
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    fn column(&self, name: &Named) -> Result<Term, Refusal> {
        let place = |(schema, columns): &(DFSchemaRef, Vec<Term>)| {
            schema.maybe_index_of_column(name).and_then(|place| columns.get(place)).cloned()
        };
        self.0.last().and_then(place).ok_or_else(|| QueryFault::NoColumn { name: name.name.clone() }.into())
    }

    /// A column of a question around this one.
    fn outer(&self, name: &Named) -> Result<Term, Refusal> {
        let place = |(schema, columns): &(DFSchemaRef, Vec<Term>)| {
            schema.maybe_index_of_column(name).and_then(|place| columns.get(place)).cloned()
        };
        let mut around = self.0.iter().rev().skip(1);
        around.find_map(place).ok_or_else(|| QueryFault::NoColumn { name: name.name.clone() }.into())
    }

    /// The term that means what the expression does.
    pub(crate) fn term(&self, expr: &Expr) -> Result<Term, Refusal> {
        let of = |expr: &Expr| self.term(expr);
        let call = |function, arguments| Ok(Term::call(function, arguments));
        match expr {
            Expr::Alias(alias) => of(&alias.expr),
            Expr::Column(name) => self.column(name),
            Expr::OuterReferenceColumn(_, name) => self.outer(name),
            Expr::Literal(value, _) => literal(value),
            Expr::BinaryExpr(binary) => self.binary(binary),
            Expr::Like(like) => self.like(like),
            Expr::Not(inner) => Ok(truth(of(inner)?)?.negated()),
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => call(Function::IsNull, vec![of(inner)?]),
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => {
                Ok(Term::call(Function::IsNull, vec![of(inner)?]).negated())
            }
            Expr::IsTrue(inner) => Ok(is(truth(of(inner)?)?)),
            Expr::IsNotTrue(inner) => Ok(is(truth(of(inner)?)?).negated()),
            Expr::IsFalse(inner) => Ok(is(truth(of(inner)?)?.negated())),
            Expr::IsNotFalse(inner) => Ok(is(truth(of(inner)?)?.negated()).negated()),
            Expr::Negative(inner) => match number(of(inner)?)? {
                Term::Value(Value::Integer(value)) => {
                    Ok(Term::Value(value.checked_neg().map_or(Value::Null(Kind::Integer), Value::Integer)))
                }
                Term::Value(Value::Float(bits)) => Ok(Term::Value(Value::float(-f64::from_bits(bits)))),
                term => call(Function::Negate, vec![term]),
            },
            Expr::Between(between) => {
                let (value, low, high) = (of(&between.expr)?, of(&between.low)?, of(&between.high)?);
                let within = compare(Operator::GtEq, value.clone(), low)?.and(compare(Operator::LtEq, value, high)?);
                Ok(if between.negated { within.negated() } else { within })
            }
            Expr::InList(list) => {
                let value = of(&list.expr)?;
                let mut arguments = vec![value];
                for expr in &list.list {
                    let (fitted, one) = together(arguments[0].clone(), of(expr)?)?;
                    if !matches!(one, Term::Value(_)) {
                        return Err(Refusal::rather("column in a list of IN", "compare with OR"));
                    }
                    arguments[0] = fitted;
                    arguments.push(one);
                }
                let kind = arguments[0].kind();
                for argument in &mut arguments[1..] {
                    *argument = fit(argument.clone(), kind)?;
                }
                let within = Term::call(Function::In, arguments);
                Ok(if list.negated { within.negated() } else { within })
            }
            Expr::Case(case) => self.case(case),
            Expr::Cast(cast) => convert(of(&cast.expr)?, cast.field.data_type()),
            Expr::TryCast(cast) => convert(of(&cast.expr)?, cast.field.data_type()),
            Expr::ScalarFunction(function) => self.function(function),
            other => Err(refused(other)),
        }
    }

    fn binary(&self, binary: &BinaryExpr) -> Result<Term, Refusal> {
        let (left, right) = (&*binary.left, &*binary.right);
        match binary.op {
            Operator::And => Ok(truth(self.term(left)?)?.and(truth(self.term(right)?)?)),
            Operator::Or => Ok(Term::call(Function::Or, vec![truth(self.term(left)?)?, truth(self.term(right)?)?])),
            Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                compare(binary.op, self.term(left)?, self.term(right)?)
            }
            Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
                if let Some(interval) = interval(right) {
                    return moved(binary.op, self.term(left)?, interval);
                }
                if let (Some(interval), Operator::Plus) = (interval(left), binary.op) {
                    return moved(binary.op, self.term(right)?, interval);
                }
                calculate(binary.op, self.term(left)?, self.term(right)?)
            }
            _ => Err(Refusal::part("operator of that kind")),
        }
    }

    fn like(&self, like: &Like) -> Result<Term, Refusal> {
        let (text, pattern) = (self.term(&like.expr)?, self.term(&like.pattern)?);
        let literal = matches!(&pattern, Term::Value(Value::Text(text)) if text.len() <= PATTERN_BYTES_MAX);
        if !literal || like.escape_char.is_some() {
            return Err(Refusal::rather(
                "LIKE with such a pattern",
                "use a literal of at most 256 bytes without ESCAPE",
            ));
        }
        if text.kind() != Kind::Text {
            return Err(Reason::Kinds { left: text.kind(), right: Kind::Text }.into());
        }
        let function = if like.case_insensitive { Function::LikeAnyCase } else { Function::Like };
        let found = Term::call(function, vec![text, pattern]);
        Ok(if like.negated { found.negated() } else { found })
    }

    fn case(&self, case: &Case) -> Result<Term, Refusal> {
        let subject = case.expr.as_deref().map(|expr| self.term(expr)).transpose()?;
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        for (when, then) in &case.when_then_expr {
            let when = self.term(when)?;
            conditions.push(match &subject {
                Some(subject) => compare(Operator::Eq, subject.clone(), when)?,
                None => truth(when)?,
            });
            values.push(self.term(then)?);
        }
        let last = case.else_expr.as_deref().map(|expr| self.term(expr)).transpose()?;
        values.push(last.unwrap_or(Term::Value(Value::Null(Kind::Boolean))));
        let values = alike(values)?;
        let mut arguments = Vec::new();
        for (place, value) in values.into_iter().enumerate() {
            arguments.extend(conditions.get(place).cloned());
            arguments.push(value);
        }
        Ok(Term::call(Function::Case, arguments))
    }

    fn function(&self, function: &ScalarFunction) -> Result<Term, Refusal> {
        let arguments = function.args.iter().map(|expr| self.term(expr)).collect::<Result<Vec<_>, _>>()?;
        let name = function.func.name();
        let call = |function, arguments| Ok(Term::call(function, arguments));
        match (name, arguments.as_slice()) {
            ("lower", [one]) => call(Function::Lower, vec![fit(one.clone(), Kind::Text)?]),
            ("upper", [one]) => call(Function::Upper, vec![fit(one.clone(), Kind::Text)?]),
            ("btrim" | "trim", [one]) => call(Function::Trim, vec![fit(one.clone(), Kind::Text)?]),
            ("character_length", [one]) => call(Function::Length, vec![fit(one.clone(), Kind::Text)?]),
            ("substr", [text, start, rest @ ..]) if rest.len() < 2 => {
                let length = rest.first().cloned().unwrap_or(Term::Value(Value::Integer(i64::MAX)));
                let (start, length) = (fit(start.clone(), Kind::Integer)?, fit(length, Kind::Integer)?);
                call(Function::Substring, vec![fit(text.clone(), Kind::Text)?, start, length])
            }
            ("coalesce", [_, ..]) => call(Function::Coalesce, alike(arguments)?),
            ("nullif", [one, other]) => {
                let equal = compare(Operator::Eq, one.clone(), other.clone())?;
                call(Function::Case, vec![equal, Term::Value(Value::Null(one.kind())), one.clone()])
            }
            ("abs", [one]) => call(Function::Absolute, vec![number(one.clone())?]),
            ("floor", [one]) => call(Function::Floor, vec![number(one.clone())?]),
            ("ceil", [one]) => call(Function::Ceiling, vec![number(one.clone())?]),
            ("round", [one]) => call(Function::Round, vec![number(one.clone())?]),
            ("date_part", [Term::Value(Value::Text(part)), day]) => {
                let part = part_named(part).ok_or_else(|| Refusal::part("such part of a date"))?;
                call(Function::Part(part), vec![day_or_time(day.clone())?])
            }
            ("date_trunc", [Term::Value(Value::Text(part)), day]) => {
                let part = part_named(part).filter(|part| {
                    matches!(
                        part,
                        DatePart::Year | DatePart::Quarter | DatePart::Month | DatePart::Week | DatePart::Day
                    )
                });
                let part = part.ok_or_else(|| Refusal::part("such part of a date"))?;
                call(Function::Truncate(part), vec![day_or_time(day.clone())?])
            }
            ("days_between", [later, earlier]) => {
                call(Function::DaysBetween, vec![day_or_time(later.clone())?, day_or_time(earlier.clone())?])
            }
            ("add_days", [day, days]) => {
                call(Function::AddDays, vec![day_or_time(day.clone())?, fit(days.clone(), Kind::Integer)?])
            }
            _ => Err(Reason::Function { name: name.to_owned() }.into()),
        }
    }
}

/// Why an expression is on no list.
fn refused(expr: &Expr) -> Refusal {
    let by_patient = "join a subquery that is grouped by the patient key";
    match expr {
        Expr::ScalarSubquery(_) => Refusal::rather("subquery that stands for a value", by_patient),
        Expr::Exists(_) | Expr::InSubquery(_) => {
            Refusal::rather("subquery within another condition", "give it an AND of its own in WHERE")
        }
        Expr::SetComparison(_) => Refusal::rather("comparison with ANY or ALL", "use EXISTS or a list"),
        Expr::WindowFunction(_) => Refusal::rather("window function", by_patient),
        Expr::AggregateFunction(_) => Refusal::part("aggregate in such a place"),
        Expr::SimilarTo(_) => Refusal::rather("SIMILAR TO", "use LIKE with a literal"),
        Expr::GroupingSet(_) => Refusal::rather("GROUPING SETS, ROLLUP or CUBE", "ask once for each set of keys"),
        Expr::Placeholder(_) | Expr::ScalarVariable(..) => Refusal::part("parameter or variable"),
        Expr::Unnest(_) => Refusal::part("UNNEST"),
        _ => Refusal::part("expression of that kind"),
    }
}

fn literal(value: &ScalarValue) -> Result<Term, Refusal> {
    if value.is_null() {
        return Ok(Term::Value(Value::Null(kind_of(&value.data_type()).unwrap_or(Kind::Boolean))));
    }
    let value = match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            Value::Text(text.clone())
        }
        ScalarValue::Boolean(Some(value)) => Value::Boolean(*value),
        ScalarValue::UInt64(Some(value)) => match i64::try_from(*value) {
            Ok(value) => Value::Integer(value),
            Err(_) => return Err(Refusal::part("whole number of more than 63 bits")),
        },
        other => {
            let kind = kind_of(&other.data_type()).ok_or_else(|| Refusal::part("literal of that type"))?;
            let array = other.to_array().map_err(|_| Refusal::part("literal of that type"))?;
            return cast_literal(&array, kind).ok_or_else(|| Refusal::part("literal of that type"));
        }
    };
    Ok(Term::Value(value))
}

/// The one cell of an array as a literal of a kind; `None` where it is no such value.
fn cast_literal(array: &ArrayRef, kind: Kind) -> Option<Term> {
    let array = total::cast(array, kind)?;
    if array.len() != 1 || array.is_null(0) {
        return None;
    }
    Some(Term::Value(match kind {
        Kind::Integer => Value::Integer(array.as_primitive::<Int64Type>().value(0)),
        Kind::Float => Value::float(array.as_primitive::<Float64Type>().value(0)),
        Kind::Text => Value::Text(array.as_string::<i32>().value(0).to_owned()),
        Kind::Boolean => Value::Boolean(array.as_boolean().value(0)),
        Kind::Date => Value::Date(array.as_primitive::<Date32Type>().value(0)),
        Kind::Time => Value::Time(array.as_primitive::<TimestampMicrosecondType>().value(0)),
    }))
}

/// The value of a kind that a text writes.
pub(crate) fn read(text: &str, kind: Kind) -> Option<Value> {
    let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
    match cast_literal(&array, kind)? {
        Term::Value(value) => Some(value),
        Term::Column(_) | Term::Call(..) => None,
    }
}

fn kind_of(kind: &DataType) -> Option<Kind> {
    Some(match kind {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => Kind::Integer,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Kind::Float,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
        DataType::Boolean => Kind::Boolean,
        DataType::Date32 | DataType::Date64 => Kind::Date,
        DataType::Timestamp(_, None) => Kind::Time,
        _ => return None,
    })
}

fn convert(term: Term, to: &DataType) -> Result<Term, Refusal> {
    let no_type =
        || Refusal::rather("cast to that type", "cast to BIGINT, DOUBLE, VARCHAR, BOOLEAN, DATE or TIMESTAMP");
    let to = kind_of(to).ok_or_else(no_type)?;
    if term.kind() == to {
        return Ok(term);
    }
    match &term {
        Term::Value(Value::Null(_)) => return Ok(Term::Value(Value::Null(to))),
        Term::Value(Value::Text(text)) => {
            return read(text, to).map(Term::Value).ok_or_else(|| Reason::Literal { kind: to }.into());
        }
        _ => {}
    }
    if !can_cast_types(&term.kind().arrow(), &to.arrow()) {
        return Err(Reason::Kinds { left: term.kind(), right: to }.into());
    }
    Ok(Term::call(Function::Cast(to), vec![term]))
}

/// A condition.
fn truth(term: Term) -> Result<Term, Refusal> {
    fit(term, Kind::Boolean)
}

/// True where it is true, false where it is not or null.
fn is(term: Term) -> Term {
    Term::call(Function::Coalesce, vec![term, Term::Value(Value::Boolean(false))])
}

fn number(term: Term) -> Result<Term, Refusal> {
    match term.kind() {
        Kind::Integer | Kind::Float => Ok(term),
        kind => Err(Reason::Kinds { left: kind, right: Kind::Float }.into()),
    }
}

fn day_or_time(term: Term) -> Result<Term, Refusal> {
    match term.kind() {
        Kind::Date | Kind::Time => Ok(term),
        _ => fit(term, Kind::Date),
    }
}

/// The term as one of that kind, where that loses nothing; a literal text may write it.
pub(crate) fn fit(term: Term, kind: Kind) -> Result<Term, Refusal> {
    match (&term, term.kind(), kind) {
        (Term::Value(Value::Null(_)), _, _) => Ok(Term::Value(Value::Null(kind))),
        (_, from, to) if from == to => Ok(term),
        #[expect(clippy::cast_precision_loss, reason = "a literal that is compared with floats")]
        (Term::Value(Value::Integer(value)), _, Kind::Float) => Ok(Term::Value(Value::float(*value as f64))),
        (Term::Value(Value::Text(text)), _, Kind::Date | Kind::Time) => {
            read(text, kind).map(Term::Value).ok_or_else(|| Reason::Literal { kind }.into())
        }
        (_, Kind::Integer, Kind::Float) | (_, Kind::Date, Kind::Time) => {
            Ok(Term::call(Function::Cast(kind), vec![term]))
        }
        (_, left, right) => Err(Reason::Kinds { left, right }.into()),
    }
}

/// Two terms as terms of one kind.
fn together(left: Term, right: Term) -> Result<(Term, Term), Refusal> {
    let null = |term: &Term| matches!(term, Term::Value(Value::Null(_)));
    let text = |term: &Term| matches!(term, Term::Value(Value::Text(_)));
    let (to_left, to_right) = (left.kind(), right.kind());
    let narrower = matches!((to_left, to_right), (Kind::Integer, Kind::Float) | (Kind::Date, Kind::Time));
    if null(&left) || narrower || (text(&left) && !null(&right)) {
        return Ok((fit(left, to_right)?, right));
    }
    let right = fit(right, to_left)?;
    Ok((left, right))
}

fn alike(terms: Vec<Term>) -> Result<Vec<Term>, Refusal> {
    let null = |term: &&Term| !matches!(term, Term::Value(Value::Null(_)));
    let kinds: Vec<Kind> = terms.iter().filter(null).map(Term::kind).collect();
    let first = kinds.first().copied().unwrap_or(Kind::Boolean);
    let kind = match first {
        Kind::Integer if kinds.contains(&Kind::Float) => Kind::Float,
        Kind::Date if kinds.contains(&Kind::Time) => Kind::Time,
        kind => kind,
    };
    terms.into_iter().map(|term| fit(term, kind)).collect()
}

pub(crate) fn compare(operator: Operator, left: Term, right: Term) -> Result<Term, Refusal> {
    let (left, right) = together(left, right)?;
    Ok(match operator {
        Operator::NotEq => Term::call(Function::Equal, vec![left, right]).negated(),
        Operator::Lt => Term::call(Function::Less, vec![left, right]),
        Operator::LtEq => Term::call(Function::LessEqual, vec![left, right]),
        Operator::Gt => Term::call(Function::Less, vec![right, left]),
        Operator::GtEq => Term::call(Function::LessEqual, vec![right, left]),
        _ => Term::call(Function::Equal, vec![left, right]),
    })
}

fn calculate(operator: Operator, left: Term, right: Term) -> Result<Term, Refusal> {
    let days = matches!(left.kind(), Kind::Date | Kind::Time);
    if days && matches!(operator, Operator::Minus) && matches!(right.kind(), Kind::Date | Kind::Time) {
        return Err(Refusal::rather("difference of dates with a minus", "use days_between(later, earlier)"));
    }
    if days && matches!(operator, Operator::Plus | Operator::Minus) && right.kind() == Kind::Integer {
        let right = if operator == Operator::Minus { Term::call(Function::Negate, vec![right]) } else { right };
        return Ok(Term::call(Function::AddDays, vec![left, right]));
    }
    let (left, right) = together(number(left)?, number(right)?)?;
    let function = match operator {
        Operator::Plus => Function::Add,
        Operator::Minus => Function::Subtract,
        Operator::Multiply => Function::Multiply,
        Operator::Divide => Function::Divide,
        _ => Function::Remainder,
    };
    Ok(Term::call(function, vec![left, right]))
}

/// The interval that a literal is.
fn interval(expr: &Expr) -> Option<IntervalMonthDayNano> {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(interval), _) => *interval,
        _ => None,
    }
}

/// A date or time moved by an interval.
fn moved(operator: Operator, term: Term, interval: IntervalMonthDayNano) -> Result<Term, Refusal> {
    let sign = match operator {
        Operator::Plus => 1,
        Operator::Minus => -1,
        _ => return Err(Refusal::part("multiple of an interval")),
    };
    let mut term = day_or_time(term)?;
    let micros = interval.nanoseconds / 1_000;
    if micros != 0 && term.kind() == Kind::Date {
        return Err(Refusal::rather("day moved by hours", "move it by days, or cast it to TIMESTAMP"));
    }
    let parts = [
        (Function::AddMonths, i64::from(interval.months)),
        (Function::AddDays, i64::from(interval.days)),
        (Function::AddMicroseconds, micros),
    ];
    for (function, count) in parts {
        if count != 0 {
            term = Term::call(function, vec![term, Term::Value(Value::Integer(sign * count))]);
        }
    }
    Ok(term)
}

fn part_named(name: &str) -> Option<DatePart> {
    Some(match name.to_ascii_lowercase().as_str() {
        "year" => DatePart::Year,
        "quarter" => DatePart::Quarter,
        "month" => DatePart::Month,
        "week" => DatePart::Week,
        "day" => DatePart::Day,
        "dow" => DatePart::DayOfWeek,
        "doy" => DatePart::DayOfYear,
        "hour" => DatePart::Hour,
        _ => return None,
    })
}
