//! The expressions of a private question: typed, total, and written one way. `DataFusion`'s own expressions are translated into
//! these ([`expression`](crate::private::expression)), and only these are run: what has no variant here cannot be asked.

use std::collections::BTreeSet;
use std::fmt;

use arrow::datatypes::{DataType, TimeUnit};
use cohortium_protocol::record::schema::ColumnType;

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A 64-bit signed integer.
    Integer,
    /// A 64-bit float.
    Float,
    /// Text.
    Text,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// Microseconds since 1970 without a zone.
    Time,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer => "integer",
            Self::Float => "number",
            Self::Text => "text",
            Self::Boolean => "truth value",
            Self::Date => "date",
            Self::Time => "time",
        })
    }
}

impl Kind {
    pub(crate) const fn arrow(self) -> DataType {
        match self {
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }

    pub(crate) const fn of(kind: ColumnType) -> Option<Self> {
        Some(match kind {
            ColumnType::Text => Self::Text,
            ColumnType::Integer => Self::Integer,
            ColumnType::Float => Self::Float,
            ColumnType::Boolean => Self::Boolean,
            ColumnType::Date => Self::Date,
            ColumnType::Timestamp => Self::Time,
            ColumnType::Other => return None,
        })
    }
}

/// What a column says of whom a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// Nothing.
    Value,
    /// It is the patient.
    Unit,
    /// It ties rows of one patient together: the number of this name among the catalogue's keys.
    Key(usize),
}

/// A column of one source of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Column {
    /// The source, unique within one question.
    pub(crate) source: usize,
    /// Its place in the source.
    pub(crate) place: usize,
    pub(crate) kind: Kind,
    pub(crate) role: Role,
}

/// A value that stands in the question. Floats are kept as bits, so that they are equal when they are the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Value {
    Null(Kind),
    Integer(i64),
    Float(u64),
    Text(String),
    Boolean(bool),
    Date(i32),
    Time(i64),
}

impl Value {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Null(kind) => *kind,
            Self::Integer(_) => Kind::Integer,
            Self::Float(_) => Kind::Float,
            Self::Text(_) => Kind::Text,
            Self::Boolean(_) => Kind::Boolean,
            Self::Date(_) => Kind::Date,
            Self::Time(_) => Kind::Time,
        }
    }

    /// A float; both zeros and all that are no number are one.
    pub(crate) fn float(value: f64) -> Self {
        let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
        Self::Float(value.to_bits())
    }

    /// As a number, where it is one.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a bound of an expression, checked again as a float")]
            Self::Integer(value) => Some(*value as f64),
            Self::Float(bits) => Some(f64::from_bits(*bits)),
            Self::Boolean(value) => Some(f64::from(u8::from(*value))),
            Self::Null(_) | Self::Text(_) | Self::Date(_) | Self::Time(_) => None,
        }
    }
}

/// A part of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum DatePart {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    DayOfWeek,
    DayOfYear,
    Hour,
}

/// What a call does. Each is total: where it has no value it is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Function {
    /// Any number of truth values.
    And,
    Or,
    Not,
    /// Two values of one kind.
    Equal,
    Less,
    LessEqual,
    IsNull,
    /// A value and the literals it may be.
    In,
    /// A text and a literal pattern.
    Like,
    LikeAnyCase,
    /// Conditions and values by turns, then the value where none holds.
    Case,
    /// The first that is not null.
    Coalesce,
    /// Two integers or two floats.
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Negate,
    Absolute,
    Floor,
    Ceiling,
    /// To the nearest whole number, halves away from zero.
    Round,
    Cast(Kind),
    Lower,
    Upper,
    Trim,
    /// In characters.
    Length,
    /// A text, the place of the first character from 1, the number of characters.
    Substring,
    /// Of a date or time.
    Part(DatePart),
    /// The first day of the year, quarter, month or week that a date or time is in, or its day.
    Truncate(DatePart),
    /// A date or time and a number.
    AddDays,
    AddMonths,
    /// A time and a number.
    AddMicroseconds,
    /// From the second date to the first.
    DaysBetween,
}

impl Function {
    /// Whether the order of its arguments means nothing.
    const fn is_symmetric(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Equal | Self::Add | Self::Multiply)
    }

    fn kind(self, arguments: &[Term]) -> Kind {
        let kind = |place: usize| arguments.get(place).map_or(Kind::Boolean, Term::kind);
        match self {
            Self::And
            | Self::Or
            | Self::Not
            | Self::Equal
            | Self::Less
            | Self::LessEqual
            | Self::IsNull
            | Self::In
            | Self::Like
            | Self::LikeAnyCase => Kind::Boolean,
            Self::Case => kind(1),
            Self::Coalesce
            | Self::Add
            | Self::Subtract
            | Self::Multiply
            | Self::Divide
            | Self::Remainder
            | Self::Negate
            | Self::Absolute
            | Self::Floor
            | Self::Ceiling
            | Self::Round
            | Self::AddDays
            | Self::AddMonths
            | Self::AddMicroseconds => kind(0),
            Self::Cast(kind) => kind,
            Self::Lower | Self::Upper | Self::Trim | Self::Substring => Kind::Text,
            Self::Length | Self::Part(_) | Self::DaysBetween => Kind::Integer,
            Self::Truncate(_) => Kind::Date,
        }
    }
}

/// An expression over the columns of a relation's sources.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Term {
    Column(Column),
    Value(Value),
    Call(Function, Vec<Term>),
}

impl Term {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Column(column) => column.kind,
            Self::Value(value) => value.kind(),
            Self::Call(function, arguments) => function.kind(arguments),
        }
    }

    pub(crate) const fn column(&self) -> Option<&Column> {
        match self {
            Self::Column(column) => Some(column),
            Self::Value(_) | Self::Call(..) => None,
        }
    }

    /// A call, written as every call that means the same is: nested ANDs and ORs are one, what is said twice is said once.
    pub(crate) fn call(function: Function, arguments: Vec<Self>) -> Self {
        let mut arguments = arguments;
        match function {
            Function::And | Function::Or => {
                let mut flat = BTreeSet::new();
                for argument in arguments {
                    match argument {
                        Self::Call(inner, arguments) if inner == function => flat.extend(arguments),
                        other => drop(flat.insert(other)),
                    }
                }
                if flat.len() == 1 {
                    return flat.into_iter().next().unwrap_or(Self::Value(Value::Boolean(true)));
                }
                arguments = flat.into_iter().collect();
            }
            Function::Not => match arguments.pop() {
                Some(Self::Call(Function::Not, mut inner)) if inner.len() == 1 => return inner.remove(0),
                Some(Self::Value(Value::Boolean(value))) => return Self::Value(Value::Boolean(!value)),
                other => arguments.extend(other),
            },
            Function::In if arguments.len() > 1 => {
                let values: BTreeSet<Self> = arguments.drain(1..).collect();
                arguments.extend(values);
                if arguments.len() == 2 {
                    return Self::call(Function::Equal, arguments);
                }
            }
            other if other.is_symmetric() => arguments.sort(),
            _ => {}
        }
        Self::Call(function, arguments)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self::call(Function::And, vec![self, other])
    }

    pub(crate) fn negated(self) -> Self {
        Self::call(Function::Not, vec![self])
    }

    /// The conditions of which this is the conjunction.
    pub(crate) fn conjuncts(self) -> Vec<Self> {
        match self {
            Self::Call(Function::And, arguments) => arguments,
            Self::Value(Value::Boolean(true)) => Vec::new(),
            other => vec![other],
        }
    }

    /// Calls `visit` for each column in it.
    pub(crate) fn columns(&self, visit: &mut impl FnMut(&Column)) {
        match self {
            Self::Column(column) => visit(column),
            Self::Value(_) => {}
            Self::Call(_, arguments) => arguments.iter().for_each(|argument| argument.columns(visit)),
        }
    }

    /// The sources that it names.
    pub(crate) fn sources(&self) -> BTreeSet<usize> {
        let mut sources = BTreeSet::new();
        self.columns(&mut |column| sources.extend([column.source]));
        sources
    }

    /// Whether it computes something with a column that says whose row it is. Two of them may be compared with each other,
    /// and one may be asked for whether it is there.
    pub(crate) fn uses_identifier(&self) -> bool {
        match self {
            Self::Column(column) => column.role != Role::Value,
            Self::Value(_) => false,
            Self::Call(Function::IsNull, arguments) => {
                arguments.iter().any(|argument| argument.column().is_none() && argument.uses_identifier())
            }
            Self::Call(Function::Equal, arguments) => {
                let roles: Vec<_> =
                    arguments.iter().map(|argument| argument.column().map(|column| column.role)).collect();
                let same = matches!(roles[..], [Some(left), Some(right)] if left == right);
                !same && arguments.iter().any(Self::uses_identifier)
            }
            Self::Call(_, arguments) => arguments.iter().any(Self::uses_identifier),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(place: usize, role: Role) -> Term {
        Term::Column(Column { source: 0, place, kind: Kind::Boolean, role })
    }

    #[test]
    fn what_means_the_same_is_written_the_same() {
        let [a, b, c] = [0, 1, 2].map(|place| column(place, Role::Value));
        let one = a.clone().and(b.clone()).and(c.clone());
        let other = c.clone().and(a.clone().and(b.clone())).and(a.clone());
        assert!(one == other);
        assert!(a.clone().negated().negated() == a);
        let [ab, ba] = [[&a, &b], [&b, &a]].map(|pair| Term::call(Function::Equal, pair.map(Clone::clone).to_vec()));
        assert!(ab == ba);
        let value = |value| Term::Value(Value::Boolean(value));
        let list = |values: &[bool]| {
            let values = values.iter().map(|one| value(*one));
            Term::call(Function::In, std::iter::once(a.clone()).chain(values).collect())
        };
        assert!(list(&[true, false]) == list(&[false, true, true]));
        assert!(list(&[true]) == Term::call(Function::Equal, vec![value(true), a]));
        assert!(Value::float(-0.0) == Value::float(0.0) && Value::float(f64::NAN) == Value::float(-f64::NAN));
    }

    // QUES-5
    #[test]
    fn identifiers_are_compared_with_their_like_or_asked_whether_they_are_there() {
        let (unit, other, key) = (column(0, Role::Unit), column(3, Role::Unit), column(1, Role::Key(0)));
        let value = column(2, Role::Value);
        let equal = |left: &Term, right: &Term| Term::call(Function::Equal, vec![left.clone(), right.clone()]);
        assert!(!equal(&unit, &other).uses_identifier());
        assert!(!Term::call(Function::IsNull, vec![key.clone()]).uses_identifier());
        for term in [equal(&unit, &key), equal(&unit, &value), equal(&key, &column(4, Role::Key(1)))] {
            assert!(term.uses_identifier());
        }
        assert!(Term::call(Function::Less, vec![unit.clone(), other]).uses_identifier());
        assert!(Term::call(Function::IsNull, vec![Term::call(Function::Not, vec![unit])]).uses_identifier());
        assert!(!equal(&value, &value).uses_identifier());
    }
}
