//! What is done to values, which rows pass a filter, and what a column's name says. The first two are the engine's.

use cohortium_engine::treatment::{Writing, passes, shift_days, treat_text};
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::suspicion::suspicion;
use serde_json::{Value, json};

use crate::{Outcome, array, code_of, number, text};

pub(crate) fn treat(input: &Value) -> Outcome {
    let treatment = serde_json::from_value(input["treatment"].clone()).unwrap();
    let small_areas = serde_json::from_value(input["small_areas"].clone()).unwrap();
    let treated = treat_text(treatment, &small_areas, input["shift"].as_i64(), text(input, "text"));
    treated.map(Value::from).map_err(|refusal| code_of(&refusal))
}

pub(crate) fn shift(input: &Value) -> Outcome {
    let days_max = u16::try_from(number(input, "days_max")).unwrap();
    Ok(json!(shift_days(&Secret32::new(array(input, "key")), text(input, "patient"), days_max)))
}

pub(crate) fn test(input: &Value) -> Outcome {
    let test = serde_json::from_value(input["passes"].clone()).unwrap();
    passes(&test, text(input, "text"), Writing::Source).map(Value::from).map_err(|refusal| code_of(&refusal))
}

pub(crate) fn suspected(input: &Value) -> Outcome {
    let found = suspicion(text(input, "name"));
    Ok(json!({ "role": found.role, "class": found.class }))
}
