//! A question into a plan, against the catalogue alone. SQL and the parts of a request become one form.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::{DFSchemaRef, ScalarValue};
use datafusion::config::Dialect;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, Projection};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as Sql;

use crate::private::canonical::Names;
use crate::private::catalogue::{Catalogue, Whose};
use crate::private::declare::{Asked, Declarations};
use crate::private::declared::{Declared, Origin};
use crate::private::having::{Having, number};
use crate::private::local::{Local, aggregate_of, refused};
use crate::private::measure::{Measure, Parts};
use crate::private::plan::{Key, Output, Plan, Top};
use crate::private::refusal::{Reason, Refusal};
use crate::private::relation::Relation;
use crate::private::request::{Ask, MeasureKind, Question, Request};
use crate::private::session::{on_deep_stack, session};
use crate::private::table::TablePlan;
use crate::private::term::{Kind, Role, Term};
use crate::query::{QueryFault, guard, planning};

/// Memory that planning may take.
const PLANNING_BYTES: usize = 64 << 20;
/// The most group keys, and the most measures.
const OUTPUTS_MAX: usize = 64;

/// A question taken apart, before anything is declared for it.
pub(crate) struct Taken {
    pub(crate) relation: Relation,
    /// Names and terms.
    pub(crate) keys: Vec<(String, Term)>,
    pub(crate) measures: Vec<Asked>,
    /// Names and what they are.
    pub(crate) outputs: Vec<(String, Output)>,
    pub(crate) having: Option<Having>,
    pub(crate) top: Option<Top>,
}

/// Compiles a question.
///
/// # Errors
/// [`Refusal`], from the question and the catalogue alone.
pub fn compile(question: &Question, catalogue: &Catalogue) -> Result<Plan, Refusal> {
    if question.declared.study.is_some() {
        return Err(Refusal::rather("study of its groups", "select the columns of a table, or declare no study"));
    }
    let taken = match &question.ask {
        Ask::Sql(text) => {
            guard::check(text)?;
            on_deep_stack(async { taken_of_sql(text, catalogue).await })
        }
        Ask::Parts(request) => {
            let pieces = request.filter.iter().chain(request.group_by.iter().map(|group| &group.by));
            for piece in pieces.chain(request.measures.iter().filter_map(|measure| measure.of.as_ref())) {
                guard::check(piece)?;
            }
            on_deep_stack(async { taken_of_parts(request, catalogue).await })
        }
    };
    let taken = taken.unwrap_or(Err(Refusal::from(QueryFault::Plan)))?;
    declared(taken, question, catalogue)
}

/// A session that knows the tables' columns, and no row.
fn planner(catalogue: &Catalogue) -> Result<SessionContext, Refusal> {
    let context = session(PLANNING_BYTES, 1).map_err(|fault| planning(&fault))?;
    for (name, rule) in catalogue.tables() {
        let table = Arc::new(EmptyTable::new(rule.schema()));
        context.register_table(name.as_str(), table).map_err(|fault| planning(&fault))?;
    }
    Ok(context)
}

/// One SELECT as the planner reads it.
async fn planned(text: &str, catalogue: &Catalogue) -> Result<LogicalPlan, Refusal> {
    let state = planner(catalogue)?.state();
    let statement = state.sql_to_statement(text, &Dialect::Generic).map_err(|_| QueryFault::Syntax)?;
    match &statement {
        Statement::Statement(sql) if matches!(**sql, Sql::Query(_)) => {}
        _ => return Err(QueryFault::NotOneSelect.into()),
    }
    state.statement_to_plan(statement).await.map_err(|fault| planning(&fault).into())
}

async fn taken_of_sql(text: &str, catalogue: &Catalogue) -> Result<Taken, Refusal> {
    take(&planned(text, catalogue).await?, &mut Local::new(catalogue))
}

/// The parts of a SELECT, from the outside to its aggregate.
fn take(plan: &LogicalPlan, local: &mut Local<'_>) -> Result<Taken, Refusal> {
    if let LogicalPlan::Limit(limit) = plan {
        return top(plan, limit.fetch.as_deref().filter(|_| limit.skip.is_none()), &limit.input, local);
    }
    let LogicalPlan::Projection(projection) = plan else {
        return Err(match plan {
            LogicalPlan::Distinct(_) => Refusal::rather("SELECT DISTINCT of the answer", "group by its columns"),
            other => refused(other),
        });
    };
    let (aggregate, predicate) = match &*projection.input {
        LogicalPlan::Aggregate(aggregate) => (aggregate, None),
        LogicalPlan::Filter(filter) => match &*filter.input {
            LogicalPlan::Aggregate(aggregate) => (aggregate, Some(&filter.predicate)),
            _ => return Err(rows_asked()),
        },
        LogicalPlan::Window(_) => return Err(refused(&projection.input)),
        _ => return Err(rows_asked()),
    };
    let schema = projection.input.schema();
    let having = predicate.map(|expr| Having::of(expr, schema, aggregate.group_expr.len())).transpose()?;
    let (keys, measures, relation) = grouped(aggregate, local)?;
    let outputs = outputs(projection, keys.len())?;
    let named = |output: Output, default: String| {
        outputs.iter().find(|(_, other)| *other == output).map_or(default, |(name, _)| name.clone())
    };
    let field = |place: usize| schema.field(place).name().clone();
    let key = |(place, term)| (named(Output::Key(place), field(place)), term);
    let keys: Vec<_> = keys.into_iter().enumerate().map(key).collect();
    let measure = |(place, asked): (usize, Asked)| {
        let name = named(Output::Measure(place), field(keys.len() + place));
        Asked { name, ..asked }
    };
    let measures = measures.into_iter().enumerate().map(measure).collect();
    Ok(Taken { relation, keys, measures, outputs, having, top: None })
}

fn rows_asked() -> Refusal {
    Refusal::rather("answer of rows", "ask for counts, sums, means or quantiles of them")
}

/// `ORDER BY a count DESC LIMIT k`: the keys with the most.
fn top(plan: &LogicalPlan, fetch: Option<&Expr>, input: &LogicalPlan, local: &mut Local<'_>) -> Result<Taken, Refusal> {
    let LogicalPlan::Sort(sort) = input else { return Err(refused(plan)) };
    let groups = match fetch {
        Some(Expr::Literal(ScalarValue::Int64(Some(groups)), _)) => {
            u64::try_from(*groups).ok().filter(|groups| *groups > 0)
        }
        _ => None,
    };
    let ([by], Some(groups)) = (sort.expr.as_slice(), groups) else { return Err(refused(plan)) };
    let mut taken = take(&sort.input, local)?;
    let place = match &by.expr {
        Expr::Column(name) if !by.asc => sort.input.schema().maybe_index_of_column(name),
        _ => None,
    };
    match place.and_then(|place| taken.outputs.get(place)) {
        Some((_, Output::Measure(measure))) if taken.measures[*measure].counts() => {
            taken.top = Some(Top { groups, measure: *measure });
            Ok(taken)
        }
        _ => Err(refused(plan)),
    }
}

/// The columns of the answer: keys and measures as they are.
fn outputs(projection: &Projection, keys: usize) -> Result<Vec<(String, Output)>, Refusal> {
    let schema = projection.input.schema();
    let output = |(place, expr): (usize, &Expr)| {
        let mut expr = expr;
        while let Expr::Alias(alias) = expr {
            expr = &alias.expr;
        }
        let found = match expr {
            Expr::Column(name) => schema.maybe_index_of_column(name),
            _ => None,
        };
        let found = found.ok_or_else(|| {
            Refusal::rather("calculation with the answer", "ask for its parts; what is computed of them is free")
        })?;
        let output = if found < keys { Output::Key(found) } else { Output::Measure(found - keys) };
        Ok((projection.schema.field(place).name().clone(), output))
    };
    projection.expr.iter().enumerate().map(output).collect()
}

type Grouped = (Vec<Term>, Vec<Asked>, Relation);

fn grouped(aggregate: &Aggregate, local: &mut Local<'_>) -> Result<Grouped, Refusal> {
    let relation = local.relation(&aggregate.input)?;
    let schema = aggregate.input.schema();
    let keys = aggregate.group_expr.iter().map(|expr| local.term(schema, &relation.columns, expr));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let mut measures = Vec::new();
    for expr in &aggregate.aggr_expr {
        measures.push(measure(local, schema, &relation.columns, aggregate_of(expr)?)?);
    }
    Ok((keys, measures, sealed(relation, local)?))
}

fn sealed(relation: Relation, local: &Local<'_>) -> Result<Relation, Refusal> {
    let (relation, on) = local.seal(relation, "the joined tables")?;
    if relation.first_patient().is_none() || !on.is_empty() {
        return Err(Refusal::rather("answer about public tables only", "read them as they are"));
    }
    Ok(relation)
}

fn measure(
    local: &mut Local<'_>,
    schema: &DFSchemaRef,
    columns: &[Term],
    call: &AggregateFunction,
) -> Result<Asked, Refusal> {
    let input = local.measure_input(schema, columns, call)?;
    let name = call.func.name();
    let unit = input.as_ref().and_then(Term::column).is_some_and(|column| column.role == Role::Unit);
    let kind = match (name, call.params.distinct, &input) {
        ("count", false, _) => MeasureKind::Count,
        ("count", true, Some(_)) if unit && call.params.filter.is_none() => MeasureKind::Patients,
        ("count", true, _) => {
            let nearest = "count(DISTINCT person_id) counts patients; group by the value to count each";
            return Err(Refusal::rather("count of distinct values", nearest));
        }
        (_, true, _) => return Err(Refusal::rather("DISTINCT in a measure", "leave it out")),
        ("sum", ..) => MeasureKind::Sum,
        ("avg", ..) => MeasureKind::Mean,
        ("var" | "var_samp" | "var_pop" | "stddev" | "stddev_samp" | "stddev_pop", ..) => MeasureKind::Variance,
        ("median" | "approx_median", ..) => MeasureKind::Quantiles(vec![0.5]),
        ("approx_percentile_cont" | "percentile_cont", ..) => {
            let share = call.params.args.get(1).and_then(number).filter(|share| (0.0..=1.0).contains(share));
            MeasureKind::Quantiles(vec![share.ok_or_else(|| Refusal::part("quantile at no share between 0 and 1"))?])
        }
        ("min" | "max", ..) => {
            return Err(Refusal::rather("extreme of all patients", "ask for a quantile, such as 0.05 or 0.95"));
        }
        _ => return Err(Reason::Function { name: name.to_owned() }.into()),
    };
    let deviation = name.starts_with("stddev");
    let population = name.ends_with("_pop");
    let asked = Asked { name: String::new(), kind, input, deviation, population };
    asked.check()
}

async fn taken_of_parts(request: &Request, catalogue: &Catalogue) -> Result<Taken, Refusal> {
    let state = planner(catalogue)?;
    let plan = state.table(request.table.as_str()).await.map_err(|fault| planning(&fault))?;
    let mut plan = plan.into_unoptimized_plan();
    let state = state.state();
    let expr = |plan: &LogicalPlan, text: &str| {
        state.create_logical_expr(text, plan.schema()).map_err(|fault| Refusal::from(planning(&fault)))
    };
    if let Some(filter) = &request.filter {
        let condition = expr(&plan, filter)?;
        plan = LogicalPlanBuilder::from(plan)
            .filter(condition)
            .and_then(LogicalPlanBuilder::build)
            .map_err(|fault| planning(&fault))?;
    }
    let mut local = Local::new(catalogue);
    let relation = local.relation(&plan)?;
    let schema = plan.schema();
    let mut keys = Vec::new();
    for group in &request.group_by {
        keys.push((group.name.clone(), local.term(schema, &relation.columns, &expr(&plan, &group.by)?)?));
    }
    let mut measures = Vec::new();
    for measure in &request.measures {
        let input = match &measure.of {
            Some(of) => Some(local.term(schema, &relation.columns, &expr(&plan, of)?)?),
            None => None,
        };
        let (name, kind) = (measure.name.clone(), measure.measure.clone());
        measures.push(Asked { name, kind, input, deviation: false, population: false }.check()?);
    }
    let named = |name: &String, output| (name.clone(), output);
    let outputs = keys.iter().enumerate().map(|(place, key)| named(&key.0, Output::Key(place)));
    let outputs =
        outputs.chain(measures.iter().enumerate().map(|(place, asked)| named(&asked.name, Output::Measure(place))));
    let outputs: Vec<_> = outputs.collect();
    let top = match &request.top {
        None => None,
        Some(top) => {
            let by = |asked: &Asked| asked.name == top.by && asked.counts();
            let measure = measures.iter().position(by).filter(|_| top.groups > 0);
            let measure = measure.ok_or_else(|| Refusal::declared(&top.by, "the keys with the most are by a count"))?;
            Some(Top { groups: top.groups, measure })
        }
    };
    Ok(Taken { relation: sealed(relation, &local)?, keys, measures, outputs, having: None, top })
}

/// Puts keys and measures into the order that their texts have, and gives them what is declared for them.
fn declared(taken: Taken, question: &Question, catalogue: &Catalogue) -> Result<Plan, Refusal> {
    let Taken { relation, keys, measures, outputs, having, top } = taken;
    check_outputs(&keys, &measures, &outputs)?;
    let mut declarations = Declarations::new(&question.declared, catalogue, &relation)?;
    let keys = keys.into_iter().map(|(name, term)| Ok((declarations.key(&name, &term)?, term)));
    let keys: Vec<_> = keys.collect::<Result<_, Refusal>>()?;
    let mut whats = Vec::new();
    for asked in measures {
        whats.push(declarations.measure(asked)?);
    }
    let (contribution, mut origins) = declarations.finish(&keys)?;
    origins.extend(public_tables(&relation, catalogue));
    let names = Names::new(catalogue);
    let key_text = |names: &Names<'_>, (values, term): &(Option<Vec<_>>, Term)| {
        format!("(key {} {})", names.term(term), crate::private::declare::domain_text(values.as_deref()))
    };
    let measure_text = |names: &Names<'_>, measure: &Measure| {
        let input = measure.input.as_ref().map(|term| names.term(term)).unwrap_or_default();
        format!("(measure {} {input})", crate::private::declare::what_text(&measure.what))
    };
    let (text, names) = names.relation(&relation, |names| {
        let mut keys: Vec<String> = keys.iter().map(|key| key_text(names, key)).collect();
        let mut measures: Vec<String> = whats.iter().map(|measure| measure_text(names, measure)).collect();
        keys.sort();
        measures.sort();
        measures.dedup();
        format!("{} {}", keys.join(" "), measures.join(" "))
    });
    let (keys, key_places) = ordered(keys, |key| key_text(&names, key));
    let (measures, measure_places) = ordered(whats, |measure| measure_text(&names, measure));
    let outputs = outputs.into_iter().map(|(name, output)| match output {
        Output::Key(place) => (name, Output::Key(key_places[place])),
        Output::Measure(place) => (name, Output::Measure(measure_places[place])),
    });
    let having = having.map(|having| having.renumbered(&measure_places));
    let top = top.map(|top| Top { measure: measure_places[top.measure], ..top });
    let text = format!(
        "{text} (rows {}) (groups {}) {} {}",
        contribution.rows,
        contribution.groups,
        having.as_ref().map(Having::text).unwrap_or_default(),
        top.map(|top| format!("(top {} m{})", top.groups, top.measure)).unwrap_or_default(),
    );
    let private = keys.iter().any(|(values, _)| values.is_none());
    let parts = Parts::of(measures, &contribution, private)?;
    let keys: Vec<Key> = keys.into_iter().map(|(values, term)| Key { term, values }).collect();
    crate::private::declare::check_cells(&keys, parts.columns)?;
    Ok(Plan {
        relation,
        keys,
        parts,
        contribution,
        outputs: outputs.collect(),
        having,
        top,
        wish: question.declared.wish.clone(),
        origins,
        text,
    })
}

/// Compiles a question for a table of rows, of which something is made.
///
/// # Errors
/// [`Refusal`], from the question and the catalogue alone.
pub fn compile_table(text: &str, declared: &Declared, catalogue: &Catalogue) -> Result<TablePlan, Refusal> {
    let Some(study) = &declared.study else { return Err(rows_asked()) };
    guard::check(text)?;
    let taken = on_deep_stack(async {
        let (plan, mut local) = (planned(text, catalogue).await?, Local::new(catalogue));
        let relation = sealed(local.relation(&plan)?, &local)?;
        let names = plan.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        Ok((relation, names))
    });
    let (relation, names) = taken.unwrap_or(Err(Refusal::from(QueryFault::Plan)))?;
    let public = public_tables(&relation, catalogue);
    let mut plan = TablePlan::of(relation, names, study, declared, catalogue)?;
    plan.origins.extend(public);
    Ok(plan)
}

/// The public tables that a relation reads, with where they come from.
fn public_tables(relation: &Relation, catalogue: &Catalogue) -> Vec<(String, Origin)> {
    let source = |name: String| match &catalogue.table(&name)?.whose {
        Whose::Public(source) => Some((name, source.clone())),
        Whose::Patients(_) => None,
    };
    tables_of(relation).into_iter().filter_map(source).collect()
}

fn tables_of(relation: &Relation) -> std::collections::BTreeSet<String> {
    let mut tables = std::collections::BTreeSet::new();
    relation.tables(&mut |name| tables.extend([name.to_owned()]));
    tables
}

/// Sorted by their texts, those of one text once; and where each went.
fn ordered<T>(items: Vec<T>, text: impl Fn(&T) -> String) -> (Vec<T>, Vec<usize>) {
    let texts: Vec<String> = items.iter().map(text).collect();
    let mut sorted: BTreeMap<&String, T> = BTreeMap::new();
    for (text, item) in texts.iter().zip(items) {
        sorted.entry(text).or_insert(item);
    }
    let place = |text: &String| sorted.keys().position(|other| *other == text).unwrap_or_default();
    let places = texts.iter().map(place).collect();
    (sorted.into_values().collect(), places)
}

fn check_outputs(keys: &[(String, Term)], measures: &[Asked], outputs: &[(String, Output)]) -> Result<(), Refusal> {
    if measures.is_empty() {
        return Err(rows_asked());
    }
    if keys.len() > OUTPUTS_MAX || measures.len() > OUTPUTS_MAX || outputs.len() > 2 * OUTPUTS_MAX {
        return Err(Reason::TooMany { what: "keys or measures", max: OUTPUTS_MAX as u64 }.into());
    }
    let names = outputs.iter().map(|(name, _)| name);
    if names.clone().collect::<std::collections::BTreeSet<_>>().len() < outputs.len() {
        return Err(Refusal::rather("two outputs of one name", "name them with AS"));
    }
    for (_, term) in keys {
        if term.uses_identifier() {
            return Err(Refusal::identifier());
        }
        match term.kind() {
            Kind::Integer | Kind::Text | Kind::Boolean | Kind::Date => {}
            Kind::Float => {
                return Err(Refusal::rather("group key that is a number with decimals", "make bands with CASE"));
            }
            Kind::Time => return Err(Refusal::rather("group key that is a time", "use date_trunc")),
        }
    }
    Ok(())
}
