//! `DataFusion`'s logical plan into patient-local relations: an allow-list of nodes. A node that could let one patient's rows
//! decide what becomes of another's has no translation.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::{DFSchemaRef, JoinType, NullEquality};
use datafusion::logical_expr::expr::{AggregateFunction, Exists, InSubquery};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, LogicalPlan, Operator, TableScan};

use crate::private::catalogue::Catalogue;
use crate::private::expression::{Scopes, compare};
use crate::private::refusal::{Reason, Refusal};
use crate::private::relation::{Grouped, LocalMeasure, Numbered, OuterSource, Relation, SemiSource, Source};
use crate::private::term::{Column, Function, Kind, Role, Term, Value};
use crate::query::QueryFault;

/// The most sources of one question.
const SOURCES_MAX: usize = 16;

/// Translates one question.
pub(crate) struct Local<'a> {
    catalogue: &'a Catalogue,
    pub(crate) scopes: Scopes,
    sources: usize,
    /// Sources that may have no row for a row of the others.
    outer: BTreeSet<usize>,
}

impl<'a> Local<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue) -> Self {
        Self { catalogue, scopes: Scopes::default(), sources: 0, outer: BTreeSet::new() }
    }

    fn number(&mut self) -> Result<usize, Refusal> {
        self.sources += 1;
        if self.sources > SOURCES_MAX {
            return Err(Reason::TooMany { what: "tables and subqueries", max: SOURCES_MAX as u64 }.into());
        }
        Ok(self.sources - 1)
    }

    /// A term over the columns of a relation.
    pub(crate) fn term(&mut self, schema: &DFSchemaRef, columns: &[Term], expr: &Expr) -> Result<Term, Refusal> {
        self.scopes.push(schema, columns);
        let term = self.scopes.term(expr);
        self.scopes.pop();
        term
    }

    /// The relation of a plan, not yet sealed.
    pub(crate) fn relation(&mut self, plan: &LogicalPlan) -> Result<Relation, Refusal> {
        match plan {
            LogicalPlan::TableScan(scan) => self.table(scan),
            LogicalPlan::SubqueryAlias(alias) => self.relation(&alias.input),
            LogicalPlan::Projection(projection) => {
                let mut relation = self.relation(&projection.input)?;
                let schema = projection.input.schema();
                let columns = projection.expr.iter().map(|expr| {
                    let term = self.term(schema, &relation.columns, expr)?;
                    if term.column().is_none() && term.uses_identifier() {
                        Err(Refusal::identifier())
                    } else {
                        Ok(term)
                    }
                });
                relation.columns = columns.collect::<Result<_, _>>()?;
                Ok(relation)
            }
            LogicalPlan::Filter(filter) => {
                let mut relation = self.relation(&filter.input)?;
                for condition in split_conjunction(&filter.predicate) {
                    self.condition(filter.input.schema(), &mut relation, condition)?;
                }
                Ok(relation)
            }
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Aggregate(aggregate) => self.grouped(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let relation = self.relation(input)?;
                let keys = relation.columns.clone();
                self.group(relation, keys, Vec::new(), "SELECT DISTINCT")
            }
            other => Err(refused(other)),
        }
    }

    fn table(&mut self, scan: &TableScan) -> Result<Relation, Refusal> {
        let name = scan.table_name.table();
        let rule = self.catalogue.table(name).filter(|_| scan.table_name.schema().is_none());
        let rule = rule.ok_or(QueryFault::Plan)?;
        if !scan.filters.is_empty() || scan.fetch.is_some() || scan.projection.is_some() {
            return Err(Refusal::part("reading of a part of a table"));
        }
        let id = self.number()?;
        let columns = self.catalogue.columns(rule, id);
        Ok(Relation::of(id, Source::Table { name: name.to_owned(), unit: rule.unit() }, columns))
    }

    fn condition(&mut self, schema: &DFSchemaRef, relation: &mut Relation, expr: &Expr) -> Result<(), Refusal> {
        match expr {
            Expr::Exists(exists) => return self.exists(schema, relation, exists, false),
            Expr::InSubquery(within) => return self.within(schema, relation, within, false),
            Expr::Not(inner) => match &**inner {
                Expr::Exists(exists) => return self.exists(schema, relation, exists, true),
                Expr::InSubquery(within) => return self.within(schema, relation, within, true),
                _ => {}
            },
            _ => {}
        }
        let term = self.term(schema, &relation.columns, expr)?;
        relation.conditions.extend(checked(term)?.conjuncts());
        Ok(())
    }

    fn exists(
        &mut self,
        schema: &DFSchemaRef,
        relation: &mut Relation,
        exists: &Exists,
        negated: bool,
    ) -> Result<(), Refusal> {
        self.scopes.push(schema, &relation.columns);
        let found = self.relation(&exists.subquery.subquery);
        self.scopes.pop();
        self.semi(relation, found?, negated != exists.negated)
    }

    fn within(
        &mut self,
        schema: &DFSchemaRef,
        relation: &mut Relation,
        within: &InSubquery,
        negated: bool,
    ) -> Result<(), Refusal> {
        let value = self.term(schema, &relation.columns, &within.expr)?;
        self.scopes.push(schema, &relation.columns);
        let found = self.relation(&within.subquery.subquery);
        self.scopes.pop();
        let mut found = found?;
        let Some(other) = found.columns.first().cloned() else { return Err(Refusal::part("subquery without columns")) };
        let negated = negated != within.negated;
        let unit = |term: &Term| term.column().is_some_and(|column| column.role == Role::Unit);
        if negated && !(unit(&value) && unit(&other)) {
            // With a null in the list NOT IN is never true.
            return Err(Refusal::rather("NOT IN over a subquery of other than patients", "use NOT EXISTS"));
        }
        found.conditions.push(checked(compare(Operator::Eq, value, other)?)?);
        self.semi(relation, found, negated)
    }

    fn semi(&self, relation: &mut Relation, mut found: Relation, negated: bool) -> Result<(), Refusal> {
        found.columns.clear();
        let (relation_found, on) = self.seal(found, "a subquery")?;
        if on.is_empty() {
            return Err(Refusal::rather("subquery that says nothing of the row around it", "compare the patient keys"));
        }
        relation.semi.push(SemiSource { relation: relation_found, on, negated });
        Ok(())
    }

    fn join(&mut self, join: &Join) -> Result<Relation, Refusal> {
        if join.null_equality != NullEquality::NullEqualsNothing || join.null_aware {
            return Err(Refusal::part("join in which null equals null"));
        }
        let (left, right) = (self.relation(&join.left)?, self.relation(&join.right)?);
        let columns: Vec<Term> = left.columns.iter().chain(&right.columns).cloned().collect();
        match join.join_type {
            JoinType::Inner => {
                let on = self.join_conditions(join, &columns)?;
                Ok(joined(left, right, columns, on))
            }
            JoinType::Left => {
                let place = left.columns.len();
                let end = columns.len();
                let (right, columns) = self.outer_source(right, columns, place..end)?;
                let on = self.join_conditions(join, &columns)?;
                self.left(left, right, on, columns)
            }
            JoinType::Right => {
                let place = left.columns.len();
                let (left, columns) = self.outer_source(left, columns, 0..place)?;
                let on = self.join_conditions(join, &columns)?;
                self.left(right, left, on, columns)
            }
            JoinType::Full => Err(Refusal::rather("FULL JOIN", "use LEFT JOIN from a table that has every patient")),
            _ => Err(Refusal::part("join of that kind")),
        }
    }

    fn join_conditions(&mut self, join: &Join, columns: &[Term]) -> Result<Vec<Term>, Refusal> {
        let mut conditions = Vec::new();
        self.scopes.push(&join.schema, columns);
        let on = join.on.iter().map(|(left, right)| {
            let (left, right) = (self.scopes.term(left)?, self.scopes.term(right)?);
            compare(Operator::Eq, left, right)
        });
        let filter = join.filter.iter().map(|expr| self.scopes.term(expr));
        for term in on.chain(filter).collect::<Vec<_>>() {
            conditions.push(term);
        }
        self.scopes.pop();
        let conditions = conditions.into_iter().map(|term| Ok(checked(term?)?.conjuncts()));
        Ok(conditions.collect::<Result<Vec<_>, Refusal>>()?.concat())
    }

    /// A relation as one source, so that its columns are computed before a row may be missing.
    fn outer_source(
        &mut self,
        relation: Relation,
        columns: Vec<Term>,
        places: std::ops::Range<usize>,
    ) -> Result<(Numbered, Vec<Term>), Refusal> {
        let plain = relation.inner.len() == 1
            && relation.outer.is_empty()
            && relation.semi.is_empty()
            && relation.conditions.is_empty()
            && relation.columns.iter().all(|term| term.column().is_some());
        if plain {
            let numbered = relation.inner.into_iter().next().ok_or_else(|| Refusal::part("join of nothing"))?;
            self.outer.insert(numbered.id);
            return Ok((numbered, columns));
        }
        self.nested(relation, columns, places)
    }

    fn nested(
        &mut self,
        relation: Relation,
        mut columns: Vec<Term>,
        places: std::ops::Range<usize>,
    ) -> Result<(Numbered, Vec<Term>), Refusal> {
        let (mut relation, on) = self.seal(relation, "a joined subquery")?;
        if !on.is_empty() {
            return Err(Refusal::rather("subquery that speaks of a question further out", "join it there"));
        }
        let id = self.number()?;
        self.outer.insert(id);
        for (place, column) in places.enumerate() {
            let term = &columns[column];
            let role = self.role(term);
            columns[column] = Term::Column(Column { source: id, place, kind: term.kind(), role });
        }
        Self::add_unit(&mut relation);
        Ok((Numbered { id, source: Source::Nested(Box::new(relation)) }, columns))
    }

    /// The role of a column that is computed so: a patient who may be missing is no longer one that rows are known to be of.
    fn role(&self, term: &Term) -> Role {
        match term.column() {
            None => Role::Value,
            Some(column) if column.role == Role::Unit && self.outer.contains(&column.source) => Role::Key(usize::MAX),
            Some(column) => column.role,
        }
    }

    /// The patient is a column of every relation that is a source, whether or not the question has it among its columns.
    fn add_unit(relation: &mut Relation) {
        let Some(first) = relation.first_patient() else { return };
        let Some(place) = first.source.unit() else { return };
        let unit = Column { source: first.id, place, kind: Kind::Integer, role: Role::Unit };
        relation.columns.push(Term::Column(unit));
    }

    fn left(
        &mut self,
        mut left: Relation,
        right: Numbered,
        on: Vec<Term>,
        columns: Vec<Term>,
    ) -> Result<Relation, Refusal> {
        let (own, others) = (right.id, left.ids());
        let mut tied = false;
        let mut kept = Vec::new();
        for term in on {
            let sides = equality(&term).map(|(one, other)| if one.source == own { (one, other) } else { (other, one) });
            match sides {
                Some((one, other)) if one.source == own && others.contains(&other.source) => {
                    let public = right.source.unit().is_none();
                    tied |= public || one.role != Role::Value;
                    // Both are of one patient: that goes without saying, unless the other one may be missing.
                    if one.role != Role::Unit || self.outer.contains(&other.source) {
                        kept.push(term);
                    }
                }
                _ => kept.push(term),
            }
        }
        if !tied || left.first_patient().is_none() {
            return Err(untied("a join"));
        }
        left.outer.push(OuterSource { numbered: right, on: kept });
        left.columns = columns;
        Ok(left)
    }

    fn grouped(&mut self, aggregate: &Aggregate) -> Result<Relation, Refusal> {
        let relation = self.relation(&aggregate.input)?;
        let schema = aggregate.input.schema();
        let keys = aggregate.group_expr.iter().map(|expr| self.term(schema, &relation.columns, expr));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let mut measures = Vec::new();
        for expr in &aggregate.aggr_expr {
            measures.push(self.local_measure(schema, &relation.columns, expr)?);
        }
        self.group(relation, keys, measures, "a subquery that is not grouped by the patient key")
    }

    fn group(
        &mut self,
        relation: Relation,
        keys: Vec<Term>,
        measures: Vec<(LocalMeasure, bool)>,
        place: &'static str,
    ) -> Result<Relation, Refusal> {
        let (relation, on) = self.seal(relation, place)?;
        let patients = relation.patients();
        let is_unit = |term: &Term| {
            term.column().is_some_and(|column| column.role == Role::Unit && patients.contains(&column.source))
        };
        let nearest = "group by the patient key, too";
        let Some(unit) = keys.iter().position(is_unit).filter(|_| on.is_empty()) else {
            return Err(Refusal { reason: Reason::Patients { place }, nearest: Some(nearest) });
        };
        if keys.iter().any(|key| key.kind() == Kind::Float) {
            return Err(Refusal::rather(
                "group key that is a number with decimals",
                "cast it, or make bands with CASE",
            ));
        }
        if keys.iter().any(|key| key.column().is_none() && key.uses_identifier()) {
            return Err(Refusal::identifier());
        }
        let id = self.number()?;
        let key = |(place, key): (usize, &Term)| Column { source: id, place, kind: key.kind(), role: self.role(key) };
        let mut columns: Vec<Term> = keys.iter().enumerate().map(key).map(Term::Column).collect();
        let mut local = Vec::new();
        for (measure, is_mean) in measures {
            let kind = measure_kind(&measure);
            let place = keys.len() + local.len();
            let value = Term::Column(Column { source: id, place, kind, role: Role::Value });
            let counted = measure.input().cloned().filter(|_| is_mean);
            local.push(measure);
            columns.push(match counted {
                None => value,
                Some(input) => {
                    local.push(LocalMeasure::Count(input));
                    let count = Column { source: id, place: place + 1, kind: Kind::Integer, role: Role::Value };
                    let float = |term| Term::call(Function::Cast(Kind::Float), vec![term]);
                    let sum = if kind == Kind::Float { value } else { float(value) };
                    Term::call(Function::Divide, vec![sum, float(Term::Column(count))])
                }
            });
        }
        let grouped = Grouped { relation, keys, measures: local, unit };
        Ok(Relation::of(id, Source::Grouped(Box::new(grouped)), columns))
    }

    /// What is computed over one patient's rows; whether its mean is meant.
    fn local_measure(
        &mut self,
        schema: &DFSchemaRef,
        columns: &[Term],
        expr: &Expr,
    ) -> Result<(LocalMeasure, bool), Refusal> {
        let call = aggregate_of(expr)?;
        let input = self.measure_input(schema, columns, call)?;
        let identifier = |term: &Term| term.uses_identifier();
        let name = call.func.name();
        let counts = name == "count";
        if input.as_ref().is_some_and(|term| identifier(term) && !(counts && term.column().is_some())) {
            return Err(Refusal::identifier());
        }
        let distinct = call.params.distinct;
        let sum = |term: Term| match term.kind() {
            Kind::Integer => Ok(LocalMeasure::Sum(term)),
            Kind::Float => Ok(LocalMeasure::SumFloat(term)),
            kind => Err(Refusal::from(Reason::Kinds { left: kind, right: Kind::Float })),
        };
        Ok(match (name, input, distinct) {
            ("count", None, false) => (LocalMeasure::Rows, false),
            ("count", Some(term), false) => (LocalMeasure::Count(term), false),
            ("count", Some(term), true) => (LocalMeasure::CountDistinct(term), false),
            ("sum", Some(term), false) => (sum(term)?, false),
            ("avg", Some(term), false) => (sum(term)?, true),
            ("min", Some(term), _) => (LocalMeasure::Least(term), false),
            ("max", Some(term), _) => (LocalMeasure::Greatest(term), false),
            (name, _, _) => {
                let reason = Reason::Function { name: name.to_owned() };
                let nearest = "within a patient there are count, sum, avg, min and max";
                return Err(Refusal { reason, nearest: Some(nearest) });
            }
        })
    }

    /// What an aggregate is over: nothing for `count(*)`. FILTER becomes a CASE.
    pub(crate) fn measure_input(
        &mut self,
        schema: &DFSchemaRef,
        columns: &[Term],
        call: &AggregateFunction,
    ) -> Result<Option<Term>, Refusal> {
        let params = &call.params;
        if !params.order_by.is_empty() && !matches!(call.func.name(), "approx_percentile_cont" | "percentile_cont") {
            return Err(Refusal::part("ORDER BY within an aggregate"));
        }
        if params.null_treatment.is_some() {
            return Err(Refusal::part("IGNORE NULLS"));
        }
        let first = params.args.first().map(|expr| self.term(schema, columns, expr)).transpose()?;
        let constant = matches!(&first, Some(Term::Value(value)) if !matches!(value, Value::Null(_)));
        let input = first.filter(|_| !(call.func.name() == "count" && !params.distinct && constant));
        let Some(filter) = params.filter.as_deref() else { return Ok(input) };
        let condition = checked(self.term(schema, columns, filter)?)?;
        let value = input.unwrap_or(Term::Value(Value::Integer(1)));
        let nothing = Term::Value(Value::Null(value.kind()));
        Ok(Some(Term::call(Function::Case, vec![condition, value, nothing])))
    }

    /// Shows that all rows that meet in a relation are of one patient, and leaves out what says so: it holds for every
    /// relation. Returns the conditions that also speak of what is around it.
    pub(crate) fn seal(&self, mut relation: Relation, place: &'static str) -> Result<(Relation, Vec<Term>), Refusal> {
        let (own, patients) = (relation.ids(), relation.patients());
        let first = relation.first_patient().map(|source| source.id);
        // What may be missing is tied to the first patient already.
        let class = |id: usize| match (own.contains(&id), patients.contains(&id)) {
            (true, true) => Some(id),
            (true, false) if self.outer.contains(&id) => first,
            (true, false) => None,
            (false, _) => Some(usize::MAX),
        };
        let mut classes: BTreeMap<usize, usize> = patients.iter().map(|id| (*id, *id)).collect();
        let mut public: BTreeSet<usize> = own.iter().copied().filter(|id| class(*id).is_none()).collect();
        let mut on = Vec::new();
        let mut kept = Vec::new();
        for term in std::mem::take(&mut relation.conditions) {
            let around = !term.sources().is_subset(&own);
            let mut implied = false;
            let sources = term.sources();
            if sources.len() > 1 {
                public.retain(|id| !sources.contains(id));
            }
            if let Some((one, other)) = equality(&term) {
                if one.role != Role::Value
                    && let (Some(one), Some(other)) = (class(one.source), class(other.source))
                {
                    merge(&mut classes, one, other);
                }
                let sure = |id: &usize| !self.outer.contains(id);
                implied = one.role == Role::Unit && sure(&one.source) && sure(&other.source);
            }
            match (around, implied) {
                (true, _) => on.push(term),
                (false, true) => {}
                (false, false) => kept.push(term),
            }
        }
        relation.conditions = kept;
        let semi = relation.semi.iter().flat_map(|semi| {
            let within = semi.relation.ids();
            semi.on.iter().flat_map(Term::sources).filter(move |id| !within.contains(id))
        });
        let mut around = semi.chain(relation.columns.iter().flat_map(Term::sources));
        if around.any(|id| !own.contains(&id)) {
            return Err(Refusal::rather("subquery that speaks of a question further out", "join it there"));
        }
        let root = |id: usize| classes.get(&id).copied().unwrap_or(id);
        let tied = patients.iter().all(|id| first.is_none_or(|first| root(*id) == root(first)));
        let tied_around = on.is_empty() || first.is_none_or(|first| root(first) == root(usize::MAX));
        if !tied || !tied_around {
            return Err(untied(place));
        }
        // A public table that nothing is compared with would only repeat rows.
        if public.len() > usize::from(first.is_none()) {
            return Err(Refusal::rather("public table that is joined on nothing", "compare one of its columns"));
        }
        Ok((relation, on))
    }
}

/// Both columns of an equality of two columns of one role.
fn equality(term: &Term) -> Option<(&Column, &Column)> {
    match term {
        Term::Call(Function::Equal, arguments) => match arguments.as_slice() {
            [Term::Column(one), Term::Column(other)] if one.role == other.role => Some((one, other)),
            _ => None,
        },
        _ => None,
    }
}

fn merge(classes: &mut BTreeMap<usize, usize>, one: usize, other: usize) {
    let root = |classes: &BTreeMap<usize, usize>, id: usize| classes.get(&id).copied().unwrap_or(id);
    let (from, to) = (root(classes, one), root(classes, other));
    classes.insert(one, to);
    classes.insert(other, to);
    for class in classes.values_mut().filter(|class| **class == from) {
        *class = to;
    }
}

fn joined(mut left: Relation, right: Relation, columns: Vec<Term>, on: Vec<Term>) -> Relation {
    left.inner.extend(right.inner);
    left.outer.extend(right.outer);
    left.semi.extend(right.semi);
    left.conditions.extend(right.conditions);
    left.conditions.extend(on);
    left.columns = columns;
    left
}

fn checked(term: Term) -> Result<Term, Refusal> {
    if term.kind() != Kind::Boolean {
        return Err(Reason::Kinds { left: term.kind(), right: Kind::Boolean }.into());
    }
    if term.uses_identifier() { Err(Refusal::identifier()) } else { Ok(term) }
}

fn untied(place: &'static str) -> Refusal {
    let nearest = "compare the patient keys (or the visit keys) of both sides";
    Refusal { reason: Reason::Patients { place }, nearest: Some(nearest) }
}

pub(crate) fn aggregate_of(expr: &Expr) -> Result<&AggregateFunction, Refusal> {
    match expr {
        Expr::Alias(alias) => aggregate_of(&alias.expr),
        Expr::AggregateFunction(call) => Ok(call),
        _ => Err(Refusal::part("aggregate of that kind")),
    }
}

fn measure_kind(measure: &LocalMeasure) -> Kind {
    match measure {
        LocalMeasure::Rows | LocalMeasure::Count(_) | LocalMeasure::CountDistinct(_) | LocalMeasure::Sum(_) => {
            Kind::Integer
        }
        LocalMeasure::SumFloat(_) => Kind::Float,
        LocalMeasure::Least(term) | LocalMeasure::Greatest(term) => term.kind(),
    }
}

/// Why a node is on no list.
pub(crate) fn refused(plan: &LogicalPlan) -> Refusal {
    let by_patient = "join a subquery that is grouped by the patient key";
    match plan {
        LogicalPlan::Window(_) => Refusal::rather("window function", by_patient),
        LogicalPlan::Sort(_) => Refusal::rather("ORDER BY", "answers come in the order of their keys"),
        LogicalPlan::Limit(_) => {
            Refusal::rather("LIMIT", "to have the most frequent keys, order by a count, descending")
        }
        LogicalPlan::Union(_) => Refusal::rather("UNION", "ask once for each part, or use OR"),
        LogicalPlan::Distinct(_) => Refusal::rather("DISTINCT ON", by_patient),
        LogicalPlan::Values(_) => Refusal::rather("VALUES", "use a list or CASE"),
        LogicalPlan::EmptyRelation(_) => Refusal::part("SELECT without a table"),
        LogicalPlan::Subquery(_) => Refusal::rather("LATERAL join", by_patient),
        LogicalPlan::RecursiveQuery(_) => Refusal::part("recursion"),
        LogicalPlan::Unnest(_) => Refusal::part("UNNEST"),
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => Refusal::part("EXPLAIN"),
        LogicalPlan::Aggregate(_) => Refusal::part("aggregate in such a place"),
        _ => Refusal::part("such part of a plan"),
    }
}
