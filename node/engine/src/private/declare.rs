//! What is asked, given what is declared for it: each measure its bounds or edges, each key its values or none.

use std::collections::{BTreeMap, BTreeSet};

use crate::private::canonical::text_of as value_text;
use crate::private::catalogue::{Catalogue, ColumnRule};
use crate::private::declared::{Bounds, CELLS_MAX, Contribution, Declared, Domain, Edges, GROUPS_MAX, Origin};
use crate::private::expression::read;
use crate::private::measure::{Measure, What};
use crate::private::plan::Key;
use crate::private::refusal::{Reason, Refusal};
use crate::private::relation::{Relation, Source};
use crate::private::request::MeasureKind;
use crate::private::table::ColumnRange;
use crate::private::term::{DatePart, Function, Kind, Term, Value};

/// A measure as it is asked.
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) kind: MeasureKind,
    pub(crate) input: Option<Term>,
    /// Of a variance: its root.
    pub(crate) deviation: bool,
    /// Of a variance: over the number of values.
    pub(crate) population: bool,
}

impl Asked {
    /// Whether it is a count, by which groups may be ordered.
    pub(crate) const fn counts(&self) -> bool {
        matches!(self.kind, MeasureKind::Count | MeasureKind::Patients)
    }

    /// Checks that the input fits what is measured.
    pub(crate) fn check(self) -> Result<Self, Refusal> {
        let numeric = |kind| matches!(kind, Kind::Integer | Kind::Float);
        match (&self.kind, &self.input) {
            (MeasureKind::Patients, _) => return Ok(Self { input: None, ..self }),
            (MeasureKind::Count, None) => return Ok(self),
            // Which patient it is makes no difference for whether there is one.
            (MeasureKind::Count, Some(term)) if term.column().is_some() || !term.uses_identifier() => return Ok(self),
            (_, None) => return Err(Reason::Undeclared { output: self.name, what: "input" }.into()),
            (_, Some(term)) if term.uses_identifier() => return Err(Refusal::identifier()),
            (_, Some(term)) if !numeric(term.kind()) => {
                return Err(Reason::Kinds { left: term.kind(), right: Kind::Float }.into());
            }
            (MeasureKind::Quantiles(shares), _) => {
                let holds = |share: &f64| (0.0..=1.0).contains(share);
                if shares.is_empty() || shares.len() > 100 || !shares.iter().all(holds) {
                    return Err(Refusal::part("quantile at no share between 0 and 1"));
                }
            }
            _ => {}
        }
        Ok(self)
    }
}

/// Hands out what is declared, and knows what of it was used.
pub(crate) struct Declarations<'a> {
    declared: &'a Declared,
    catalogue: &'a Catalogue,
    /// The tables among the sources.
    tables: BTreeMap<usize, String>,
    used: BTreeSet<(&'static str, String)>,
    origins: Vec<(String, Origin)>,
}

impl<'a> Declarations<'a> {
    pub(crate) fn new(declared: &'a Declared, catalogue: &'a Catalogue, relation: &Relation) -> Result<Self, Refusal> {
        declared.contribution.check()?;
        let sources = relation.inner.iter().chain(relation.outer.iter().map(|outer| &outer.numbered));
        let tables = sources.filter_map(|numbered| match &numbered.source {
            Source::Table { name, .. } => Some((numbered.id, name.clone())),
            Source::Nested(_) | Source::Grouped(_) => None,
        });
        let origins = vec![("contribution".to_owned(), declared.contribution.source.clone())];
        Ok(Self { declared, catalogue, tables: tables.collect(), used: BTreeSet::new(), origins })
    }

    /// What the catalogue says of the column that a term is.
    fn rule(&self, term: &Term) -> Option<&'a ColumnRule> {
        let column = term.column()?;
        self.catalogue.table(self.tables.get(&column.source)?)?.columns.get(column.place)
    }

    /// The values of a key, in order; `None` where it is private.
    pub(crate) fn key(&mut self, name: &str, term: &Term) -> Result<Option<Vec<Value>>, Refusal> {
        self.used.insert(("keys", name.to_owned()));
        if let Some(domain) = self.declared.keys.get(name).or_else(|| self.rule(term)?.domain.as_ref()) {
            self.origins.push((name.to_owned(), domain.source.clone()));
            return values_of(name, domain, term.kind()).map(Some);
        }
        let values = possible(term);
        if values.is_some() {
            self.origins.push((name.to_owned(), Origin::Expression));
        }
        Ok(values.map(|values| values.into_iter().collect()))
    }

    pub(crate) fn measure(&mut self, asked: Asked) -> Result<Measure, Refusal> {
        let Asked { name, kind, input, deviation, population } = asked;
        let what = match (kind, &input) {
            (MeasureKind::Count, None) => What::Rows,
            (MeasureKind::Count, Some(_)) => What::Values,
            (MeasureKind::Patients, _) => What::Patients,
            (MeasureKind::Sum, _) => What::Sum(self.bounds(&name, input.as_ref())?),
            (MeasureKind::Mean, _) => What::Mean(self.bounds(&name, input.as_ref())?),
            (MeasureKind::Variance, _) => {
                let bounds = self.bounds(&name, input.as_ref())?;
                What::Variance { bounds, sample: !population, deviation }
            }
            (MeasureKind::Histogram, _) => What::Histogram(self.edges(&name)?),
            (MeasureKind::Quantiles(shares), _) => What::Quantiles(self.edges(&name)?, shares),
        };
        Ok(Measure { name, what, input })
    }

    fn bounds(&mut self, name: &str, input: Option<&Term>) -> Result<Bounds, Refusal> {
        self.used.insert(("bounds", name.to_owned()));
        let declared = self.declared.bounds.get(name).cloned();
        let standard = || input.and_then(|term| self.rule(term)?.bounds.clone());
        let bounds = declared.or_else(standard).or_else(|| input.and_then(range));
        let bounds = bounds.ok_or_else(|| Reason::Undeclared { output: name.to_owned(), what: "bounds" })?;
        bounds.check(name)?;
        self.origins.push((name.to_owned(), bounds.source.clone()));
        Ok(bounds)
    }

    fn edges(&mut self, name: &str) -> Result<Edges, Refusal> {
        self.used.insert(("edges", name.to_owned()));
        let edges = self.declared.edges.get(name);
        let edges = edges.ok_or_else(|| Reason::Undeclared { output: name.to_owned(), what: "edges" })?;
        edges.check(name)?;
        self.origins.push((name.to_owned(), edges.source.clone()));
        Ok(edges.clone())
    }

    /// What a column of a table may hold: public values, bins, or numbers between bounds.
    pub(crate) fn column(&mut self, name: &str, term: &Term) -> Result<ColumnRange, Refusal> {
        let number = matches!(term.kind(), Kind::Integer | Kind::Float);
        if number && self.declared.edges.contains_key(name) {
            return self.edges(name).map(ColumnRange::Bins);
        }
        if number && self.declared.bounds.contains_key(name) {
            return self.bounds(name, Some(term)).map(ColumnRange::Number);
        }
        match self.key(name, term)? {
            Some(values) => Ok(ColumnRange::Values(values)),
            None => Err(Reason::Undeclared { output: name.to_owned(), what: "values, edges or bounds" }.into()),
        }
    }

    /// Bounds of a column that is measured as a number.
    pub(crate) fn number(&mut self, name: &str, term: &Term) -> Result<ColumnRange, Refusal> {
        if !matches!(term.kind(), Kind::Integer | Kind::Float) {
            return Err(Reason::Kinds { left: term.kind(), right: Kind::Float }.into());
        }
        self.bounds(name, Some(term)).map(ColumnRange::Number)
    }

    /// The contribution that holds for these keys, and where all that was known beforehand comes from.
    pub(crate) fn finish(
        self,
        keys: &[(Option<Vec<Value>>, Term)],
    ) -> Result<(Contribution, Vec<(String, Origin)>), Refusal> {
        let declared = self.declared;
        let names =
            [("bounds", declared.bounds.keys().collect::<Vec<_>>()), ("edges", declared.edges.keys().collect())];
        for (kind, names) in names.into_iter().chain([("keys", declared.keys.keys().collect())]) {
            if let Some(name) = names.into_iter().find(|name| !self.used.contains(&(kind, (*name).clone()))) {
                return Err(Reason::Unused { output: name.clone() }.into());
            }
        }
        let mut contribution = declared.contribution.clone();
        let groups =
            keys.iter().try_fold(1_u64, |groups, (values, _)| groups.checked_mul(values.as_ref()?.len() as u64));
        contribution.groups = groups.map_or(contribution.groups, |groups| contribution.groups.min(groups));
        Ok((contribution, self.origins))
    }
}

/// Refuses public keys that make more groups or cells than are answered at once.
pub(crate) fn check_cells(keys: &[Key], columns: usize) -> Result<(), Refusal> {
    if keys.iter().any(|key| key.values.is_none()) {
        return Ok(());
    }
    let groups = keys.iter().try_fold(1_usize, |groups, key| groups.checked_mul(key.values.as_ref()?.len()));
    let groups = groups.unwrap_or(usize::MAX);
    if groups > GROUPS_MAX {
        return Err(Reason::TooMany { what: "groups", max: GROUPS_MAX as u64 }.into());
    }
    if groups.saturating_mul(columns) > CELLS_MAX {
        return Err(Reason::TooMany { what: "cells", max: CELLS_MAX as u64 }.into());
    }
    Ok(())
}

fn values_of(name: &str, domain: &Domain, kind: Kind) -> Result<Vec<Value>, Refusal> {
    let value = |value: &Option<String>| match value {
        None => Ok(Value::Null(kind)),
        Some(text) => read(text, kind).ok_or_else(|| Refusal::declared(name, "a value is none of the key's kind")),
    };
    let values = domain.values.iter().map(value).collect::<Result<BTreeSet<_>, _>>()?;
    if values.is_empty() || values.len() > GROUPS_MAX {
        return Err(Refusal::declared(name, "between 1 and 100,000 values are needed"));
    }
    Ok(values.into_iter().collect())
}

/// The values that an expression can have, where its own words say so.
fn possible(term: &Term) -> Option<BTreeSet<Value>> {
    let numbers = |range: std::ops::RangeInclusive<i64>| {
        Some(range.map(Value::Integer).chain([Value::Null(Kind::Integer)]).collect())
    };
    match term {
        Term::Value(value) => Some(BTreeSet::from([value.clone()])),
        Term::Call(Function::Case, arguments) => {
            let values = arguments.iter().skip(1).step_by(2).chain(arguments.last());
            values.map(possible).try_fold(BTreeSet::new(), |mut all, values| {
                all.extend(values?);
                Some(all)
            })
        }
        Term::Call(Function::Part(part), _) => match part {
            DatePart::Quarter => numbers(1..=4),
            DatePart::Month => numbers(1..=12),
            DatePart::DayOfWeek => numbers(0..=6),
            DatePart::Hour => numbers(0..=23),
            DatePart::Week => numbers(1..=53),
            DatePart::Day => numbers(1..=31),
            DatePart::DayOfYear => numbers(1..=366),
            DatePart::Year => None,
        },
        term if term.kind() == Kind::Boolean => {
            Some([Value::Boolean(false), Value::Boolean(true), Value::Null(Kind::Boolean)].into())
        }
        _ => None,
    }
}

/// Bounds that an expression's own words give: whole numbers that it chooses between.
fn range(term: &Term) -> Option<Bounds> {
    let inner = match term {
        Term::Call(Function::Cast(Kind::Integer | Kind::Float), arguments) => arguments.first()?,
        other => other,
    };
    let values: Vec<f64> = possible(inner)?.iter().filter_map(Value::number).collect();
    if values.is_empty() || values.iter().any(|value| value.fract() != 0.0) {
        return None;
    }
    let lower = values.iter().copied().fold(f64::INFINITY, f64::min);
    let upper = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // One value alone still counts or does not.
    let (lower, upper) = if lower < upper { (lower, upper) } else { (lower.min(0.0), upper.max(0.0)) };
    Some(Bounds { lower, upper, decimals: 0, source: Origin::Expression })
}

pub(crate) fn floats(values: &[f64]) -> String {
    values.iter().map(|value| format!("{:016x}", (value + 0.0).to_bits())).collect::<Vec<_>>().join(" ")
}

/// What a key's values add to the question's text.
pub(crate) fn domain_text(values: Option<&[Value]>) -> String {
    match values {
        None => "private".to_owned(),
        Some(values) => format!("public {}", values.iter().map(value_text).collect::<Vec<_>>().join(" ")),
    }
}

/// What a measure adds to it.
pub(crate) fn what_text(what: &What) -> String {
    let bounds = |bounds: &Bounds| format!("{} {}", floats(&[bounds.lower, bounds.upper]), bounds.decimals);
    match what {
        What::Rows => "rows".to_owned(),
        What::Values => "values".to_owned(),
        What::Patients => "patients".to_owned(),
        What::Sum(within) => format!("sum {}", bounds(within)),
        What::Mean(within) => format!("mean {}", bounds(within)),
        What::Variance { bounds: within, sample, deviation } => {
            format!("variance {} {sample} {deviation}", bounds(within))
        }
        What::Histogram(edges) => format!("histogram {}", floats(&edges.at)),
        What::Quantiles(edges, shares) => format!("quantiles {} at {}", floats(&edges.at), floats(shares)),
    }
}
