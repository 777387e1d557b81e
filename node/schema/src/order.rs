//! The order in which tables can be written so that each stands behind those that it refers to.

use std::collections::BTreeSet;

use crate::schema::{Reference, Table};

/// Places of tables in that order, otherwise as given. A table may refer to itself.
///
/// # Errors
/// The names of the tables that have no place: those in a circle, and those that refer to them.
pub(crate) fn by_reference(tables: &[Table]) -> Result<Vec<usize>, Vec<String>> {
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    let mut order = Vec::with_capacity(tables.len());
    while order.len() < tables.len() {
        let next = tables.iter().position(|table| !placed.contains(table.name.as_str()) && is_ready(table, &placed));
        let Some(next) = next else {
            let left = tables.iter().filter(|table| !placed.contains(table.name.as_str()));
            return Err(left.map(|table| table.name.clone()).collect());
        };
        placed.insert(&tables[next].name);
        order.push(next);
    }
    Ok(order)
}

fn is_ready(table: &Table, placed: &BTreeSet<&str>) -> bool {
    table.fields.iter().all(|field| match &field.reference {
        Reference::Table(to) => to.table == table.name || placed.contains(to.table.as_str()),
        Reference::None | Reference::LeftOut(_) | Reference::Concept(_) => true,
    })
}
