//! Linkage: sub-keys, check values, the normaliser, tokens. These are the engine's.

use cohortium_engine::linkage::{TokenMaker, check_value, day, key_id, name, sub_key};
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::dataset::DateFormat;
use serde_json::{Value, json};

use crate::{Outcome, array, hex, number, text};

fn format(input: &Value) -> DateFormat {
    serde_json::from_value(input["format"].clone()).unwrap()
}

fn sub_key_of(input: &Value) -> Secret32 {
    let epoch = u32::try_from(number(input, "epoch")).unwrap();
    sub_key(&Secret32::new(array(input, "key")), &ConsortiumId(array(input, "consortium")), epoch)
}

pub(crate) fn normal_name(input: &Value) -> Outcome {
    Ok(json!(name(text(input, "name"))))
}

pub(crate) fn normal_day(input: &Value) -> Outcome {
    day(text(input, "day"), format(input)).map(Value::from).ok_or_else(|| "no-day".to_owned())
}

pub(crate) fn key(input: &Value) -> Outcome {
    let sub_key = sub_key_of(input);
    Ok(json!({ "sub_key": hex(sub_key.as_bytes()), "id": key_id(&sub_key).to_string() }))
}

pub(crate) fn check(input: &Value) -> Outcome {
    let normaliser = u16::try_from(number(input, "normaliser")).unwrap();
    Ok(json!(check_value(&sub_key_of(input), normaliser).to_string()))
}

pub(crate) fn token(input: &Value) -> Outcome {
    let maker = TokenMaker::new(&sub_key_of(input), format(input));
    let made = maker.token(text(input, "given"), text(input, "family"), text(input, "birth"));
    made.map(|token| json!(hex(&token))).ok_or_else(|| "no-token".to_owned())
}
