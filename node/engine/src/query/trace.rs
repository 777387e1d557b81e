//! Where a column of a plan comes from: through names, joins and unions down to columns of tables.

use std::collections::BTreeSet;

use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan};

/// A column of a table.
pub(super) type Place = (String, String);

/// The one column of a table that column `at` of a plan just is; `None` where it is anything else.
pub(super) fn plain(plan: &LogicalPlan, at: usize) -> Option<Place> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            Some((scan.table_name.table().to_owned(), scan.projected_schema.fields().get(at)?.name().clone()))
        }
        LogicalPlan::Projection(projection) => plain_of(projection.expr.get(at)?, &projection.input),
        LogicalPlan::Aggregate(aggregate) => plain_of(aggregate.group_expr.get(at)?, &aggregate.input),
        LogicalPlan::Distinct(Distinct::On(on)) => plain_of(on.select_expr.get(at)?, &on.input),
        LogicalPlan::Union(union) => {
            let mut found = union.inputs.iter().map(|input| plain(input, at));
            let first = found.next()??;
            found.all(|other| other.as_ref() == Some(&first)).then_some(first)
        }
        _ => {
            let (input, at) = below(plan, at)?;
            plain(input, at)
        }
    }
}

fn plain_of(expr: &Expr, input: &LogicalPlan) -> Option<Place> {
    match expr {
        Expr::Alias(alias) => plain_of(&alias.expr, input),
        Expr::Column(column) => plain(input, place(input, column)?),
        _ => None,
    }
}

fn place(plan: &LogicalPlan, column: &Column) -> Option<usize> {
    plan.schema().maybe_index_of_column(column)
}

/// The input that column `at` is passed through from, and its place there; `None` where it is made here.
fn below(plan: &LogicalPlan, at: usize) -> Option<(&LogicalPlan, usize)> {
    let within = |input: &LogicalPlan| at < input.schema().fields().len();
    match plan {
        LogicalPlan::Filter(filter) => Some((&filter.input, at)),
        LogicalPlan::Sort(sort) => Some((&sort.input, at)),
        LogicalPlan::Limit(limit) => Some((&limit.input, at)),
        LogicalPlan::Distinct(Distinct::All(input)) => Some((input, at)),
        LogicalPlan::SubqueryAlias(alias) => Some((&alias.input, at)),
        LogicalPlan::Subquery(subquery) => Some((&subquery.subquery, at)),
        LogicalPlan::Window(window) if within(&window.input) => Some((&window.input, at)),
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                within(&join.right).then_some((&*join.right, at))
            }
            JoinType::Inner
            | JoinType::Left
            | JoinType::Right
            | JoinType::Full
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark => {
                if within(&join.left) {
                    return Some((&join.left, at));
                }
                let at = at.checked_sub(join.left.schema().fields().len())?;
                (at < join.right.schema().fields().len()).then_some((&*join.right, at))
            }
        },
        _ => None,
    }
}

/// Every column of a table that values of column `at` are made of. What rows are chosen, joined, grouped or ordered by is not
/// among them, nor what is only counted.
pub(super) fn sources(plan: &LogicalPlan, at: usize, found: &mut BTreeSet<Place>) {
    match plan {
        LogicalPlan::TableScan(_) => found.extend(plain(plan, at)),
        LogicalPlan::Projection(projection) => of_expr(projection.expr.get(at), &projection.input, found),
        LogicalPlan::Distinct(Distinct::On(on)) => of_expr(on.select_expr.get(at), &on.input, found),
        LogicalPlan::Union(union) => union.inputs.iter().for_each(|input| sources(input, at, found)),
        LogicalPlan::Aggregate(aggregate) => {
            let all = || aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
            // A grouping set has columns of its own.
            if all().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
                all().for_each(|expr| of_expr(Some(expr), &aggregate.input, found));
            } else {
                of_expr(all().nth(at), &aggregate.input, found);
            }
        }
        LogicalPlan::Window(window) => match at.checked_sub(window.input.schema().fields().len()) {
            None => sources(&window.input, at, found),
            Some(own) => of_expr(window.window_expr.get(own), &window.input, found),
        },
        _ => {
            if let Some((input, at)) = below(plan, at) {
                sources(input, at, found);
            }
        }
    }
}

fn of_expr(expr: Option<&Expr>, input: &LogicalPlan, found: &mut BTreeSet<Place>) {
    let Some(expr) = expr else { return };
    // Only what `each` stops at could fail, and it does not.
    let _ = expr.apply(|part| {
        Ok(match part {
            Expr::Column(column) => {
                if let Some(at) = place(input, column) {
                    sources(input, at, found);
                }
                TreeNodeRecursion::Continue
            }
            // A column of a plan further out: known by its name alone.
            Expr::OuterReferenceColumn(_, column) => {
                found.insert((String::new(), column.name.clone()));
                TreeNodeRecursion::Continue
            }
            Expr::AggregateFunction(function) if function.func.name() == "count" => TreeNodeRecursion::Jump,
            Expr::WindowFunction(function) => {
                function.params.args.iter().for_each(|arg| of_expr(Some(arg), input, found));
                TreeNodeRecursion::Jump
            }
            Expr::ScalarSubquery(subquery) => {
                for at in 0..subquery.subquery.schema().fields().len() {
                    sources(&subquery.subquery, at, found);
                }
                TreeNodeRecursion::Continue
            }
            _ => TreeNodeRecursion::Continue,
        })
    });
}
