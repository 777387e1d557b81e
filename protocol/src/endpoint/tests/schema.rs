//! A consortium's own schema: stated by its operator alone, and only the one that a charter version names.

use super::*;
use crate::record::common_schema::{CommonSchema, CommonSchemaFields, schema_digest};

const TEXT: &str = "the canonical form";

fn named() -> Pair {
    Pair::amended(&Amendment { schema: Some(schema_digest(TEXT)), ..Amendment::default() })
}

fn state(text: &str) -> Command {
    Command::StateSchema { text: text.to_owned() }
}

fn statement(pair: &Pair, text: &str, by: usize) -> Document {
    let fields = CommonSchemaFields { consortium: pair.consortium, text: text.to_owned(), ext: Extensions::default() };
    Document::CommonSchema(Signed::sign(&CommonSchema::try_from(fields).unwrap(), &pair.parties[by].signing))
}

fn held(pair: &Pair, node: usize) -> Option<String> {
    pair.state(node).schemas.get(&schema_digest(TEXT)).map(|stated| stated.text.to_string())
}

// MAP-12
#[test]
fn the_operator_states_the_schema_that_its_charter_names_and_the_members_are_told() {
    let mut pair = named();
    assert!(matches!(pair.order(1, state(TEXT)), Err(OrderFault::OutOfOrder { .. })), "a member states none");
    assert!(matches!(pair.order(0, state("another")), Err(OrderFault::OutOfOrder { .. })), "no charter names it");
    assert_eq!((held(&pair, 0), held(&pair, 1)), (None, None));
    pair.order(0, state(TEXT)).unwrap();
    assert_eq!((held(&pair, 0).as_deref(), held(&pair, 1).as_deref()), (Some(TEXT), Some(TEXT)));
    let entries = pair.written(0);
    pair.order(0, state(TEXT)).unwrap();
    assert_eq!(pair.written(0), entries + 1, "said again it is an order and nothing else");
}

// MAP-12
#[test]
fn a_statement_that_is_not_the_operators_or_that_no_charter_names_is_refused() {
    let mut pair = named();
    let foreign = statement(&pair, TEXT, 1);
    assert!(pair.deliver(1, foreign).is_some(), "not signed by the operator");
    let other = statement(&pair, "another", 0);
    assert_eq!(pair.deliver(1, other), Some(ErrorCode::NotFound));
    assert_eq!(held(&pair, 1), None);
    let right = statement(&pair, TEXT, 0);
    assert_eq!(pair.deliver(1, right), None);
    assert_eq!(held(&pair, 1).as_deref(), Some(TEXT));
}
