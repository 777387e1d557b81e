//! Consolidated tables: rows, parts, versions.

use std::collections::BTreeMap;

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::Name;
use cohortium_protocol::table_version::{Cell, PartDigest, RowDigest, RowEncoding, TableVersionId};
use serde_json::{Value, json};

use crate::{Outcome, array, hex, text, unhex};

/// A cell, written as its kind and its value.
fn cell(written: &Value) -> Cell<'_> {
    let (kind, value) = (written[0].as_str().unwrap(), &written[1]);
    let number = || value.as_i64().unwrap();
    match kind {
        _ if value.is_null() => Cell::Null,
        "text" => Cell::Text(value.as_str().unwrap()),
        "integer" => Cell::Integer(number()),
        "float" => Cell::Float(u64::from_str_radix(value.as_str().unwrap(), 16).unwrap()),
        "boolean" => Cell::Boolean(value.as_bool().unwrap()),
        "date" => Cell::Date(i32::try_from(number()).unwrap()),
        "timestamp" => Cell::Timestamp(number()),
        unknown => panic!("no kind of cell {unknown}"),
    }
}

pub(crate) fn row(input: &Value) -> Outcome {
    let mut row = RowEncoding::new();
    input["cells"].as_array().unwrap().iter().for_each(|written| row.push(cell(written)));
    Ok(json!({ "hex": hex(row.bytes()), "digest": row.digest().to_string() }))
}

fn name(input: &Value, field: &str) -> Name {
    text(input, field).parse().unwrap()
}

pub(crate) fn part(input: &Value) -> Outcome {
    let rows = input["rows"].as_array().unwrap().iter().map(|row| unhex(row.as_str().unwrap()).try_into().unwrap());
    let rows = rows.map(RowDigest).collect();
    Ok(json!(PartDigest::of(&name(input, "table"), &name(input, "member"), rows).to_string()))
}

pub(crate) fn version(input: &Value) -> Outcome {
    let parts: BTreeMap<Name, PartDigest> = serde_json::from_value(input["parts"].clone()).unwrap();
    let parts = parts.iter().map(|(member, digest)| (member, *digest)).collect();
    let schema = DocumentDigest(array(input, "schema"));
    Ok(json!(TableVersionId::of(&name(input, "table"), &schema, &parts).to_string()))
}
