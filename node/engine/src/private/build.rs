//! A relation as a plan that `DataFusion` runs. Nothing of the question's own plan is run: it is made anew from terms, all
//! sources with patients joined on the patient.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column as Named, JoinType, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, max, min, sum};
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{
    Case, ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, cast, lit, try_cast,
};

use crate::private::catalogue::Catalogue;
use crate::private::relation::{LocalMeasure, Numbered, Relation, Source};
use crate::private::term::{Function, Kind, Term, Value};
use crate::private::total::evaluate;

/// The rows of the tables, by name.
pub(crate) type Providers = BTreeMap<String, Arc<dyn TableProvider>>;

/// A relation's plan.
pub(crate) struct Build<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) providers: &'a Providers,
}

fn broken() -> DataFusionError {
    DataFusionError::Plan("a relation that is none".to_owned())
}

/// The name of a source's column in the plan.
fn name(source: usize, place: usize) -> String {
    format!("t{source}_{place}")
}

fn column(source: usize, place: usize) -> Expr {
    Expr::Column(Named::new_unqualified(name(source, place)))
}

impl Build<'_> {
    /// These terms over the rows of a relation.
    pub(crate) fn projected(&self, relation: &Relation, terms: &[&Term]) -> Result<LogicalPlan> {
        let columns = terms.iter().enumerate().map(|(place, term)| expr(term).alias(format!("c{place}")));
        LogicalPlanBuilder::from(self.relation(relation)?).project(columns)?.build()
    }

    fn relation(&self, relation: &Relation) -> Result<LogicalPlan> {
        let first = relation.first_patient().or(relation.inner.first()).ok_or_else(broken)?;
        let unit = |numbered: &Numbered| numbered.source.unit().map(|place| column(numbered.id, place));
        let mut conditions: Vec<&Term> = relation.conditions.iter().collect();
        let mut here = BTreeSet::from([first.id]);
        let mut plan = LogicalPlanBuilder::from(self.source(first)?);
        // Those with patients first, so that a public table finds what it is compared with.
        let rest = relation.inner.iter().filter(|inner| inner.id != first.id);
        let (with, without): (Vec<_>, Vec<_>) = rest.partition(|inner| inner.source.unit().is_some());
        for next in with.into_iter().chain(without) {
            here.insert(next.id);
            let (now, later): (Vec<_>, Vec<_>) = conditions
                .into_iter()
                .partition(|term| term.sources().contains(&next.id) && term.sources().is_subset(&here));
            conditions = later;
            let same = unit(first).zip(unit(next)).map(|(one, other)| one.eq(other));
            let on: Vec<Expr> = same.into_iter().chain(now.into_iter().map(expr)).collect();
            let next = self.source(next)?;
            plan = if on.is_empty() { plan.cross_join(next)? } else { plan.join_on(next, JoinType::Inner, on)? };
        }
        for outer in &relation.outer {
            let same = unit(first).zip(unit(&outer.numbered)).map(|(one, other)| one.eq(other));
            let on: Vec<Expr> = same.into_iter().chain(outer.on.iter().map(expr)).collect();
            plan = plan.join_on(self.source(&outer.numbered)?, JoinType::Left, on)?;
        }
        if let Some(condition) = conditions.into_iter().map(expr).reduce(Expr::and) {
            plan = plan.filter(condition)?;
        }
        for semi in &relation.semi {
            let other = semi.relation.first_patient();
            let same = match other {
                None => None,
                Some(other) => Some(unit(first).ok_or_else(broken)?.eq(unit(other).ok_or_else(broken)?)),
            };
            let on: Vec<Expr> = same.into_iter().chain(semi.on.iter().map(expr)).collect();
            let kind = if semi.negated { JoinType::LeftAnti } else { JoinType::LeftSemi };
            plan = plan.join_on(self.relation(&semi.relation)?, kind, on)?;
        }
        plan.build()
    }

    fn source(&self, numbered: &Numbered) -> Result<LogicalPlan> {
        let id = numbered.id;
        match &numbered.source {
            Source::Table { name: table, .. } => {
                let rule = self.catalogue.table(table).ok_or_else(broken)?;
                let provider = self.providers.get(table).ok_or_else(broken)?;
                let columns =
                    rule.columns.iter().enumerate().map(|(place, column)| {
                        Expr::Column(Named::new_unqualified(&column.name)).alias(name(id, place))
                    });
                let scan = LogicalPlanBuilder::scan(table.as_str(), provider_as_source(Arc::clone(provider)), None)?;
                scan.project(columns.collect::<Vec<_>>())?.build()
            }
            Source::Nested(relation) => {
                let columns =
                    relation.columns.iter().enumerate().map(|(place, term)| expr(term).alias(name(id, place)));
                LogicalPlanBuilder::from(self.relation(relation)?).project(columns.collect::<Vec<_>>())?.build()
            }
            Source::Grouped(grouped) => {
                let keys = grouped.keys.iter().enumerate().map(|(place, term)| expr(term).alias(name(id, place)));
                let keys: Vec<Expr> = keys.collect();
                let places = keys.len()..;
                let measures = places.clone().zip(&grouped.measures);
                let measures: Vec<Expr> =
                    measures.map(|(place, measure)| aggregate(measure).alias(name(id, place))).collect();
                let plan = self.relation(&grouped.relation)?;
                let plan = LogicalPlanBuilder::from(plan).aggregate(keys, measures)?;
                let keys = (0..grouped.keys.len()).map(|place| column(id, place));
                let measures = places.zip(&grouped.measures);
                let measures =
                    measures.map(|(place, measure)| finished(measure, column(id, place)).alias(name(id, place)));
                plan.project(keys.chain(measures).collect::<Vec<_>>())?.build()
            }
        }
    }
}

/// Decimals in which integers are added up, and what floats are added up as: sums do not depend on the order of rows.
const WHOLE: DataType = DataType::Decimal128(20, 0);
const MILLIONTHS: DataType = DataType::Decimal128(28, 6);

fn aggregate(measure: &LocalMeasure) -> Expr {
    match measure {
        LocalMeasure::Rows => count(lit(1_i64)),
        LocalMeasure::Count(term) => count(expr(term)),
        LocalMeasure::CountDistinct(term) => count_distinct(expr(term)),
        LocalMeasure::Sum(term) => sum(cast(expr(term), WHOLE)),
        LocalMeasure::SumFloat(term) => sum(try_cast(expr(term), MILLIONTHS)),
        LocalMeasure::Least(term) => min(expr(term)),
        LocalMeasure::Greatest(term) => max(expr(term)),
    }
}

fn finished(measure: &LocalMeasure, value: Expr) -> Expr {
    match measure {
        LocalMeasure::Sum(_) => try_cast(value, DataType::Int64),
        LocalMeasure::SumFloat(_) => try_cast(value, DataType::Float64),
        LocalMeasure::Rows
        | LocalMeasure::Count(_)
        | LocalMeasure::CountDistinct(_)
        | LocalMeasure::Least(_)
        | LocalMeasure::Greatest(_) => value,
    }
}

/// The expression that a term is. Arguments have the kinds that functions take, so that nothing is coerced.
pub(crate) fn expr(term: &Term) -> Expr {
    let (function, arguments) = match term {
        Term::Column(of) => return column(of.source, of.place),
        Term::Value(value) => return Expr::Literal(scalar(value), None),
        Term::Call(function, arguments) => (*function, arguments),
    };
    let mut each: Vec<Expr> = arguments.iter().map(expr).collect();
    let mut next = || if each.is_empty() { lit(ScalarValue::Boolean(None)) } else { each.remove(0) };
    match function {
        Function::And => each.into_iter().reduce(Expr::and).unwrap_or_else(|| lit(true)),
        Function::Or => each.into_iter().reduce(Expr::or).unwrap_or_else(|| lit(false)),
        Function::Not => Expr::Not(Box::new(next())),
        Function::IsNull => next().is_null(),
        Function::Equal => next().eq(next()),
        Function::Less => next().lt(next()),
        Function::LessEqual => next().lt_eq(next()),
        Function::In => {
            let value = next();
            value.in_list(each, false)
        }
        Function::Like | Function::LikeAnyCase => {
            let any_case = function == Function::LikeAnyCase;
            Expr::Like(Like::new(false, Box::new(next()), Box::new(next()), None, any_case))
        }
        Function::Case => {
            let last = each.pop().map(Box::new);
            let mut pairs = Vec::new();
            let mut rest = each.into_iter();
            while let (Some(when), Some(then)) = (rest.next(), rest.next()) {
                pairs.push((Box::new(when), Box::new(then)));
            }
            Expr::Case(Case { expr: None, when_then_expr: pairs, else_expr: last })
        }
        Function::Coalesce => {
            let last = each.pop().map(Box::new);
            let pairs = each.into_iter().map(|value| (Box::new(value.clone().is_not_null()), Box::new(value)));
            let pairs: Vec<_> = pairs.collect();
            match last {
                Some(last) if pairs.is_empty() => *last,
                last => Expr::Case(Case { expr: None, when_then_expr: pairs, else_expr: last }),
            }
        }
        _ => ScalarUDF::new_from_impl(Total::new(function, term.kind(), each.len())).call(each),
    }
}

fn scalar(value: &Value) -> ScalarValue {
    match value {
        Value::Null(kind) => ScalarValue::try_from(&kind.arrow()).unwrap_or(ScalarValue::Null),
        Value::Integer(value) => ScalarValue::Int64(Some(*value)),
        Value::Float(bits) => ScalarValue::Float64(Some(f64::from_bits(*bits))),
        Value::Text(text) => ScalarValue::Utf8(Some(text.clone())),
        Value::Boolean(value) => ScalarValue::Boolean(Some(*value)),
        Value::Date(days) => ScalarValue::Date32(Some(*days)),
        Value::Time(micros) => ScalarValue::TimestampMicrosecond(Some(*micros), None),
    }
}

/// A total function as `DataFusion` calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Total {
    function: Function,
    kind: Kind,
    name: String,
    signature: Signature,
}

impl Total {
    fn new(function: Function, kind: Kind, arguments: usize) -> Self {
        let signature = Signature::any(arguments, Volatility::Immutable);
        Self { function, kind, name: format!("total_{function:?}"), signature }
    }
}

impl ScalarUDFImpl for Total {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.kind.arrow())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays =
            args.args.into_iter().map(|value| value.into_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(evaluate(self.function, &arrays, self.kind, args.number_rows)))
    }
}
