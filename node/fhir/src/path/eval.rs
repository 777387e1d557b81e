//! The evaluation of a compiled path over one record.

use std::borrow::Cow;

use super::ast::Operator;
use super::compile::{Expr, Fixed, Step, Test, Whole};
use super::operator::{TEXT_BYTES_MAX, arithmetic, condition, equal, equivalent, logic, ordered, same};
use super::value::{Item, Record, Scalar, single};
use crate::element::Kind;
use crate::fault::Reason;
use crate::json::Form;
use crate::names::Name;
use crate::temporal::Temporal;

/// Where a path is evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Scope<'a> {
    pub(crate) record: Record<'a>,
    /// `%rowIndex`
    pub(crate) row_index: i64,
}

/// Digits after the point that boundaries of decimals have when a path names none.
const BOUNDARY_DIGITS: u32 = 8;

impl<'a> Scope<'a> {
    /// Adds the values of a path to `out`.
    pub(crate) fn eval(&self, expr: &'a Expr, this: &Item<'a>, out: &mut Vec<Item<'a>>) -> Result<(), Reason> {
        match expr {
            Expr::Nothing => {}
            Expr::Fixed(fixed) => out.push(item(fixed)),
            Expr::This => out.push(this.clone()),
            Expr::Root => out.push(Item::Node(self.record.root)),
            Expr::RowIndex => out.push(Item::Integer(self.row_index)),
            Expr::Walk { of, steps } if matches!(**of, Expr::This) => self.walk(this, steps, out)?,
            Expr::Walk { of, steps } => {
                for item in &self.all(of, this)? {
                    self.walk(item, steps, out)?;
                }
            }
            Expr::Whole { of, function } => self.whole(of, function, this, out)?,
            Expr::Binary { operator, left, right, temporal } => {
                self.binary((*operator, *temporal), (left, right), this, out)?;
            }
            Expr::Negative(of) => {
                let items = self.all(of, this)?;
                if let Some(item) = single(&items)? {
                    out.extend(self.negative(item)?);
                }
            }
            Expr::If { condition: asked, then, otherwise } => match condition(self.record, &self.all(asked, this)?)? {
                Some(true) => self.eval(then, this, out)?,
                _ => otherwise.iter().try_for_each(|otherwise| self.eval(otherwise, this, out))?,
            },
        }
        Ok(())
    }

    /// All values of a path, evaluated at `this`.
    ///
    /// # Errors
    /// The first operator or function that is not defined for what it got.
    pub(crate) fn all(&self, expr: &'a Expr, this: &Item<'a>) -> Result<Vec<Item<'a>>, Reason> {
        let mut out = Vec::new();
        self.eval(expr, this, &mut out)?;
        Ok(out)
    }

    fn negative(&self, item: &Item<'a>) -> Result<Option<Item<'a>>, Reason> {
        Ok(match self.record.scalar(item) {
            Scalar::Missing => None,
            Scalar::Integer(value) => Some(Item::Integer(value.checked_neg().ok_or(Reason::NumberRange)?)),
            scalar => Some(Item::Decimal(scalar.decimal()?.negated().ok_or(Reason::NumberRange)?)),
        })
    }

    /// One value through all steps; what the last one gives is added.
    fn walk(&self, item: &Item<'a>, steps: &'a [Step], out: &mut Vec<Item<'a>>) -> Result<(), Reason> {
        let Some((step, rest)) = steps.split_first() else {
            out.push(item.clone());
            return Ok(());
        };
        match step {
            Step::Child(name) => {
                let node = container(item).and_then(|node| self.record.tape.child(node, *name));
                self.each(node, rest, out)
            }
            Step::Extended { name, beside } => self.extended(item, *name, *beside, rest, out),
            Step::Choice(name) => self.each(container(item).and_then(|node| self.choice(node, *name)), rest, out),
            Step::Typed { typed, plain, test } => {
                let Some(node) = container(item) else { return Ok(()) };
                let (typed, plain) = (self.record.tape.child(node, *typed), self.record.tape.child(node, *plain));
                self.each(typed, rest, out)?;
                let fitting = plain.filter(|plain| self.elements(*plain).all(|node| self.is(&Item::Node(node), test)));
                self.each(fitting, rest, out)
            }
            Step::OfType(test) => {
                if self.is(item, test) {
                    self.walk(item, rest, out)
                } else {
                    Ok(())
                }
            }
            Step::Where(criteria) => match condition(self.record, &self.all(criteria, item)?)? {
                Some(true) => self.walk(item, rest, out),
                _ => Ok(()),
            },
            Step::Select(projection) => {
                for item in &self.all(projection, item)? {
                    self.walk(item, rest, out)?;
                }
                Ok(())
            }
            Step::Extension { extension, url, is } => self.extensions(item, (*extension, *url), is, rest, out),
            Step::ResourceKey { id } => match container(item).and_then(|node| self.resource_key(node, *id)) {
                Some(key) => self.walk(&Item::Text(Cow::Borrowed(key)), rest, out),
                None => Ok(()),
            },
            Step::ReferenceKey { reference, resource } => {
                let target = container(item).and_then(|node| self.record.property(node, *reference));
                match target.and_then(|target| reference_key(target, resource.as_deref())) {
                    Some(key) => self.walk(&Item::Text(Cow::Borrowed(key)), rest, out),
                    None => Ok(()),
                }
            }
            Step::Boundary { high, of, digits, edge } => match self.boundary(item, (*high, *of, *digits), *edge)? {
                Some(item) => self.walk(&item, rest, out),
                None => Ok(()),
            },
        }
    }

    /// A value, or each value of an array, through further steps; JSON's `null` is no value.
    fn each(&self, node: Option<u32>, rest: &'a [Step], out: &mut Vec<Item<'a>>) -> Result<(), Reason> {
        let Some(node) = node else { return Ok(()) };
        for node in self.elements(node) {
            if self.record.tape.form(node) != Form::Null {
                self.walk(&Item::Node(node), rest, out)?;
            }
        }
        Ok(())
    }

    /// The values of an array, or the one value that is none.
    fn elements(&self, node: u32) -> impl Iterator<Item = u32> + use<'a> {
        let array = self.record.tape.form(node) == Form::Array;
        let inside = array.then(|| self.record.tape.children(node));
        inside.into_iter().flatten().chain((!array).then_some(node))
    }

    fn extended(
        &self,
        item: &Item<'a>,
        name: Name,
        beside: Name,
        rest: &'a [Step],
        out: &mut Vec<Item<'a>>,
    ) -> Result<(), Reason> {
        let Some(node) = container(item) else { return Ok(()) };
        let value = self.record.tape.child(node, name);
        let Some(beside) = self.record.tape.child(node, beside) else { return self.each(value, rest, out) };
        let mut values = value.into_iter().flat_map(|node| self.elements(node));
        let mut extras = self.elements(beside);
        loop {
            let value = values.next();
            let more = extras.next();
            if value.is_none() && more.is_none() {
                return Ok(());
            }
            let present = |node: &u32| self.record.tape.form(*node) != Form::Null;
            let item = match (value.filter(present), more.filter(present)) {
                (value, Some(more)) => Item::Extended { value, more },
                (Some(value), None) => Item::Node(value),
                (None, None) => continue,
            };
            self.walk(&item, rest, out)?;
        }
    }

    /// The value of a choice element, whatever its type.
    fn choice(&self, node: u32, name: Name) -> Option<u32> {
        let Record { tape, names, .. } = self.record;
        if tape.form(node) != Form::Object {
            return None;
        }
        let fits = |child: &u32| {
            let found = tape.name(*child);
            found == name || names.choice(found).is_some_and(|(base, _)| base == name)
        };
        tape.children(node).find(fits)
    }

    /// Whether a value is of a type, as far as JSON shows it: by the name it stands under, then by its form.
    fn is(&self, item: &Item<'a>, test: &Test) -> bool {
        let Record { tape, names, .. } = self.record;
        if let Some(node) = Record::node(item)
            && let Some((_, found)) = names.choice(tape.name(node))
        {
            return found.eq_ignore_ascii_case(&test.name);
        }
        match self.record.scalar(item) {
            Scalar::Missing => false,
            Scalar::Boolean(_) => test.kind == Kind::Boolean,
            Scalar::Integer(_) => matches!(test.kind, Kind::Integer | Kind::Decimal),
            Scalar::Number(_) | Scalar::Decimal(_) => test.kind == Kind::Decimal,
            Scalar::Text(found) => match test.kind {
                Kind::Text => true,
                Kind::Date | Kind::DateTime | Kind::Time => Temporal::parse(&found).is_some(),
                _ => false,
            },
            Scalar::Complex(_) => {
                let resource = container(item).and_then(|node| self.record.property(node, Name::RESOURCE_TYPE));
                match resource {
                    Some(resource) => *resource == *test.name || matches!(&*test.name, "Resource" | "DomainResource"),
                    None => test.kind == Kind::Complex,
                }
            }
        }
    }

    fn extensions(
        &self,
        item: &Item<'a>,
        (extension, url): (Name, Name),
        is: &'a Expr,
        rest: &'a [Step],
        out: &mut Vec<Item<'a>>,
    ) -> Result<(), Reason> {
        let list = container(item).and_then(|node| self.record.tape.child(node, extension));
        let wanted = self.all(is, item)?;
        let wanted = single(&wanted)?.map(|item| self.record.scalar(item));
        let (Some(list), Some(Scalar::Text(wanted))) = (list, wanted) else { return Ok(()) };
        for node in self.elements(list) {
            let found = self.record.tape.child(node, url).and_then(|url| self.record.string(url));
            if found.is_some_and(|found| found == wanted) {
                self.walk(&Item::Node(node), rest, out)?;
            }
        }
        Ok(())
    }

    /// The id of a resource: what `getReferenceKey` gives for references to it.
    fn resource_key(&self, node: u32, id: Name) -> Option<&'a str> {
        self.record.property(node, Name::RESOURCE_TYPE)?;
        self.record.property(node, id)
    }

    fn boundary(
        &self,
        item: &Item<'a>,
        (high, of, digits): (bool, Kind, Option<u32>),
        edge: Name,
    ) -> Result<Option<Item<'a>>, Reason> {
        match self.record.scalar(item) {
            Scalar::Missing => Ok(None),
            Scalar::Text(text) => {
                let temporal = Temporal::parse(&text).ok_or(Reason::Operand)?;
                let kind = match of {
                    Kind::Date | Kind::DateTime | Kind::Time => of,
                    _ if temporal.is_time_of_day() => Kind::Time,
                    _ => Kind::DateTime,
                };
                Ok(temporal.boundary(kind, high, digits).map(|text| Item::Text(Cow::Owned(text))))
            }
            Scalar::Complex(_) => {
                let edge = container(item).and_then(|node| self.record.tape.child(node, edge));
                let text = edge.filter(|edge| matches!(self.record.tape.form(*edge), Form::Plain | Form::Escaped));
                text.map_or(Ok(None), |text| {
                    self.boundary(&Item::Node(text), (high, Kind::DateTime, digits), Name::OTHER)
                })
            }
            scalar => {
                let digits = digits.unwrap_or(BOUNDARY_DIGITS);
                if digits > 28 {
                    return Ok(None);
                }
                let number = scalar.decimal()?;
                number.boundary(high, digits).map(|edge| Some(Item::Decimal(edge))).ok_or(Reason::NumberRange)
            }
        }
    }

    fn whole(&self, of: &'a Expr, function: &'a Whole, this: &Item<'a>, out: &mut Vec<Item<'a>>) -> Result<(), Reason> {
        let mut items = self.all(of, this)?;
        match function {
            Whole::First => out.extend(items.into_iter().next()),
            Whole::Last => out.extend(items.pop()),
            Whole::Single => out.extend(single(&items)?.cloned()),
            Whole::At(at) => {
                let at = self.all(at, this)?;
                if let Some(at) = single(&at)? {
                    let Scalar::Integer(at) = self.record.scalar(at) else { return Err(Reason::Operand) };
                    out.extend(usize::try_from(at).ok().and_then(|at| items.into_iter().nth(at)));
                }
            }
            Whole::Exists => out.push(Item::Boolean(!items.is_empty())),
            Whole::Empty => out.push(Item::Boolean(items.is_empty())),
            Whole::Count => out.push(Item::Integer(number(items.len()))),
            Whole::Not => out.extend(condition(self.record, &items)?.map(|value| Item::Boolean(!value))),
            Whole::HasValue => {
                let value = matches!(items.as_slice(), [item] if self.is_primitive(item));
                out.push(Item::Boolean(value));
            }
            Whole::All(criteria) => {
                let mut holds = true;
                for item in &items {
                    let asked = self.all(criteria, item)?;
                    holds &= condition(self.record, &asked)? == Some(true);
                }
                out.push(Item::Boolean(holds));
            }
            Whole::Join(separator) => out.extend(self.join(&items, separator.as_deref(), this)?),
            Whole::Is(test) => out.extend(single(&items)?.map(|item| Item::Boolean(self.is(item, test)))),
        }
        Ok(())
    }

    fn is_primitive(&self, item: &Item<'a>) -> bool {
        !matches!(self.record.scalar(item), Scalar::Missing | Scalar::Complex(_))
    }

    /// The texts with the separator between them; nothing for an empty collection.
    fn join(
        &self,
        items: &[Item<'a>],
        separator: Option<&'a Expr>,
        this: &Item<'a>,
    ) -> Result<Option<Item<'a>>, Reason> {
        let separator = separator.map_or(Ok(Vec::new()), |separator| self.all(separator, this))?;
        let separator = match single(&separator)?.map(|item| self.record.scalar(item)) {
            None | Some(Scalar::Missing) => Cow::Borrowed(""),
            Some(Scalar::Text(text)) => text,
            Some(_) => return Err(Reason::Operand),
        };
        let mut joined: Option<String> = None;
        for item in items {
            match self.record.scalar(item) {
                Scalar::Missing => {}
                Scalar::Text(text) => match &mut joined {
                    Some(joined) if joined.len() > TEXT_BYTES_MAX => return Err(Reason::RowBytes),
                    Some(joined) => {
                        joined.push_str(&separator);
                        joined.push_str(&text);
                    }
                    None => joined = Some(text.into_owned()),
                },
                _ => return Err(Reason::Operand),
            }
        }
        Ok(joined.map(|joined| Item::Text(Cow::Owned(joined))))
    }

    fn binary(
        &self,
        (operator, temporal): (Operator, bool),
        (left, right): (&'a Expr, &'a Expr),
        this: &Item<'a>,
        out: &mut Vec<Item<'a>>,
    ) -> Result<(), Reason> {
        let record = self.record;
        let left = self.all(left, this)?;
        let right = self.all(right, this)?;
        let boolean = |value: Option<bool>| value.map(Item::Boolean);
        match operator {
            Operator::And | Operator::Or | Operator::Xor | Operator::Implies => {
                let value = logic(operator, condition(record, &left)?, condition(record, &right)?);
                out.extend(boolean(value));
            }
            Operator::Equal => out.extend(boolean(equal(record, &left, &right, temporal)?)),
            Operator::NotEqual => out.extend(boolean(equal(record, &left, &right, temporal)?.map(|equal| !equal))),
            Operator::Equivalent => out.push(Item::Boolean(equivalent(record, &left, &right, temporal)?)),
            Operator::NotEquivalent => out.push(Item::Boolean(!equivalent(record, &left, &right, temporal)?)),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                out.extend(boolean(ordered(record, operator, &left, &right, temporal)?));
            }
            Operator::In => out.extend(boolean(self.member(&left, &right, temporal)?)),
            Operator::Contains => out.extend(boolean(self.member(&right, &left, temporal)?)),
            Operator::Union => self.union(left.into_iter().chain(right), temporal, out)?,
            Operator::Plus
            | Operator::Minus
            | Operator::Times
            | Operator::Over
            | Operator::Div
            | Operator::Mod
            | Operator::Join => out.extend(arithmetic(record, operator, &left, &right)?),
        }
        Ok(())
    }

    fn member(&self, one: &[Item<'a>], of: &[Item<'a>], temporal: bool) -> Result<Option<bool>, Reason> {
        let Some(one) = single(one)? else { return Ok(None) };
        for item in of {
            if same(self.record, one, item, temporal)? == Some(true) {
                return Ok(Some(true));
            }
        }
        Ok(Some(false))
    }

    /// The distinct values, in their order.
    fn union(
        &self,
        items: impl Iterator<Item = Item<'a>>,
        temporal: bool,
        out: &mut Vec<Item<'a>>,
    ) -> Result<(), Reason> {
        let first = out.len();
        for item in items {
            if out.len() - first >= UNION_VALUES_MAX {
                return Err(Reason::RecordRows);
            }
            if self.member(std::slice::from_ref(&item), &out[first..], temporal)? != Some(true) {
                out.push(item);
            }
        }
        Ok(())
    }
}

/// The most values that `|` gives: each is compared with each.
const UNION_VALUES_MAX: usize = 4096;

fn item(fixed: &Fixed) -> Item<'_> {
    match fixed {
        Fixed::Boolean(value) => Item::Boolean(*value),
        Fixed::Integer(value) => Item::Integer(*value),
        Fixed::Decimal(value) => Item::Decimal(*value),
        Fixed::Text(text) => Item::Text(Cow::Borrowed(text)),
    }
}

/// The object that an item's properties are looked for in.
fn container(item: &Item<'_>) -> Option<u32> {
    match item {
        Item::Node(node) | Item::Extended { more: node, .. } => Some(*node),
        _ => None,
    }
}

fn number(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

/// The id in a relative reference (`Patient/1`, also with a version), or in `urn:uuid:` where no type is asked for.
/// Absolute and contained ones name no row of this source: they give nothing. Source: SQL on FHIR, `getReferenceKey`.
fn reference_key<'r>(reference: &'r str, resource: Option<&str>) -> Option<&'r str> {
    if let Some(uuid) = reference.strip_prefix("urn:uuid:") {
        return (resource.is_none() && is_id(uuid)).then_some(uuid);
    }
    let mut parts = reference.split('/');
    let (found, id) = (parts.next()?, parts.next()?);
    let version = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => true,
        (Some("_history"), Some(version), None) => is_id(version),
        _ => false,
    };
    let named = found.starts_with(|c: char| c.is_ascii_uppercase()) && found.bytes().all(|c| c.is_ascii_alphabetic());
    let fits = resource.is_none_or(|resource| resource == found);
    (version && named && fits && is_id(id)).then_some(id)
}

/// FHIR's ids. Source: FHIR R4, datatype `id`.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'.')
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
