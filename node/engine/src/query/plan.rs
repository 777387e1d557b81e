//! What may be in the plan of a question: an allow-list, so that what `DataFusion` learns later is refused.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;

use super::fault::{QueryFault, planning};

/// # Errors
/// [`QueryFault::Forbidden`].
pub(super) fn check(plan: &LogicalPlan) -> Result<(), QueryFault> {
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(plan).map_err(|_| QueryFault::NotOneSelect)?;
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        found = found.or(forbidden(node));
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .map_err(|fault| planning(&fault))?;
    match found {
        Some(what) => Err(QueryFault::Forbidden { what }),
        None => Ok(()),
    }
}

fn forbidden(node: &LogicalPlan) -> Option<&'static str> {
    match node {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Distinct(_) => None,
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => Some("EXPLAIN"),
        LogicalPlan::RecursiveQuery(_) => Some("recursion"),
        LogicalPlan::Copy(_) | LogicalPlan::Dml(_) | LogicalPlan::Ddl(_) | LogicalPlan::Statement(_) => {
            Some("statement that changes something")
        }
        LogicalPlan::DescribeTable(_) => Some("DESCRIBE"),
        // What later versions bring is refused, too.
        _ => Some("such part of a plan"),
    }
}
