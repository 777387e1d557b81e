//! One text for each question, whatever its spelling: names of aliases, the order of tables, conditions and outputs, and how
//! joins are written make no difference. Its digest is what a stored answer is found by.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::private::catalogue::Catalogue;
use crate::private::relation::{LocalMeasure, Numbered, Relation, Source};
use crate::private::term::{Function, Term, Value};

/// The most orders of sources of one name that are tried; beyond it they stay as written.
const ORDERS_MAX: usize = 720;

/// What sources are called in the text.
#[derive(Clone)]
pub(crate) struct Names<'a> {
    catalogue: &'a Catalogue,
    /// By the source's own number: its number in the text, and the table that it is.
    sources: BTreeMap<usize, (usize, Option<String>)>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue) -> Self {
        Self { catalogue, sources: BTreeMap::new() }
    }

    fn add(&mut self, numbered: &Numbered) {
        let table = match &numbered.source {
            Source::Table { name, .. } => Some(name.clone()),
            Source::Nested(_) | Source::Grouped(_) => None,
        };
        let number = self.sources.len();
        self.sources.insert(numbered.id, (number, table));
    }

    pub(crate) fn term(&self, term: &Term) -> String {
        match term {
            Term::Column(column) => {
                let Some((number, table)) = self.sources.get(&column.source) else { return "?".to_owned() };
                let rule = table.as_ref().and_then(|table| self.catalogue.table(table));
                match rule.and_then(|rule| rule.columns.get(column.place)) {
                    Some(column) => format!("s{number}.{:?}", column.name),
                    None => format!("s{number}.{}", column.place),
                }
            }
            Term::Value(value) => text_of(value),
            Term::Call(function, arguments) => {
                let mut arguments: Vec<String> = arguments.iter().map(|argument| self.term(argument)).collect();
                if matches!(
                    function,
                    Function::And | Function::Or | Function::Equal | Function::Add | Function::Multiply
                ) {
                    arguments.sort();
                }
                format!("({function:?} {})", arguments.join(" "))
            }
        }
    }

    fn sorted(&self, terms: &[Term]) -> String {
        let mut terms: Vec<String> = terms.iter().map(|term| self.term(term)).collect();
        terms.sort();
        terms.dedup();
        terms.join(" ")
    }

    fn in_order(&self, terms: &[Term]) -> String {
        terms.iter().map(|term| self.term(term)).collect::<Vec<_>>().join(" ")
    }

    fn measure(&self, measure: &LocalMeasure) -> String {
        let word = match measure {
            LocalMeasure::Rows => "rows",
            LocalMeasure::Count(_) => "count",
            LocalMeasure::CountDistinct(_) => "distinct",
            LocalMeasure::Sum(_) => "sum",
            LocalMeasure::SumFloat(_) => "sum-float",
            LocalMeasure::Least(_) => "least",
            LocalMeasure::Greatest(_) => "greatest",
        };
        let input = measure.input().map(|term| format!(" {}", self.term(term))).unwrap_or_default();
        format!("({word}{input})")
    }

    fn source(&mut self, source: &Source) -> String {
        match source {
            Source::Table { name, .. } => format!("(table {name:?})"),
            Source::Nested(relation) => {
                let (text, _) = self.relation(relation, |names| names.in_order(&relation.columns));
                format!("(nested {text})")
            }
            Source::Grouped(grouped) => {
                let (text, _) = self.relation(&grouped.relation, |names| {
                    let measures = grouped.measures.iter().map(|measure| names.measure(measure));
                    format!("(keys {}) {}", names.in_order(&grouped.keys), measures.collect::<Vec<_>>().join(" "))
                });
                format!("(grouped {text})")
            }
        }
    }

    /// The relation, and what `rest` says over its columns, in the order of sources that makes the least text.
    pub(crate) fn relation(&self, relation: &Relation, rest: impl Fn(&Self) -> String) -> (String, Self) {
        let orders = orders(relation);
        let texts = orders.into_iter().map(|order| {
            let mut names = self.clone();
            let text = names.ordered(relation, &order);
            (format!("{text} {}", rest(&names)), names)
        });
        let least = texts.min_by(|one, other| one.0.cmp(&other.0));
        least.unwrap_or_else(|| (String::new(), self.clone()))
    }

    fn ordered(&mut self, relation: &Relation, order: &[usize]) -> String {
        let mut text = String::from("(from");
        let inner = order.iter().filter_map(|place| relation.inner.get(*place));
        for numbered in inner.clone() {
            self.add(numbered);
        }
        for outer in &relation.outer {
            self.add(&outer.numbered);
        }
        for numbered in inner {
            let _ = write!(text, " {}", self.clone().source(&numbered.source));
        }
        for outer in &relation.outer {
            let source = self.clone().source(&outer.numbered.source);
            let _ = write!(text, " (left {source} on {})", self.sorted(&outer.on));
        }
        let semi = relation.semi.iter().map(|semi| {
            let (sub, _) = self.relation(&semi.relation, |names| format!("(on {})", names.sorted(&semi.on)));
            format!("({} {sub})", if semi.negated { "without" } else { "with" })
        });
        let mut semi: Vec<String> = semi.collect();
        semi.sort();
        let _ = write!(text, " {}) (where {})", semi.join(" "), self.sorted(&relation.conditions));
        text
    }
}

/// A value as it stands in the text.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::Null(_) => "null".to_owned(),
        Value::Integer(value) => value.to_string(),
        Value::Float(bits) => format!("f{bits:016x}"),
        Value::Text(text) => format!("{text:?}"),
        Value::Boolean(value) => value.to_string(),
        Value::Date(days) => format!("d{days}"),
        Value::Time(micros) => format!("t{micros}"),
    }
}

/// The orders of the inner sources that are tried: tables by name, and all orders of those of one name.
fn orders(relation: &Relation) -> Vec<Vec<usize>> {
    let kind = |place: &usize| match &relation.inner[*place].source {
        Source::Table { name, .. } => name.as_str(),
        // Behind every table: no name has such a letter.
        Source::Nested(_) => "~n",
        Source::Grouped(_) => "~g",
    };
    let mut places: Vec<usize> = (0..relation.inner.len()).collect();
    places.sort_by(|one, other| kind(one).cmp(kind(other)));
    let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
    for same in places.chunk_by(|one, other| kind(one) == kind(other)) {
        let within = if same.len() <= 6 { permutations(same) } else { vec![same.to_vec()] };
        if orders.len() * within.len() > ORDERS_MAX {
            for order in &mut orders {
                order.extend(same);
            }
            continue;
        }
        let longer =
            |order: &Vec<usize>| within.iter().map(|next| [order.as_slice(), next].concat()).collect::<Vec<_>>();
        orders = orders.iter().flat_map(longer).collect();
    }
    orders
}

fn permutations(places: &[usize]) -> Vec<Vec<usize>> {
    if places.len() < 2 {
        return vec![places.to_vec()];
    }
    let mut all = Vec::new();
    for (at, place) in places.iter().enumerate() {
        let rest = [&places[..at], &places[at + 1..]].concat();
        all.extend(permutations(&rest).into_iter().map(|order| [&[*place], order.as_slice()].concat()));
    }
    all
}
