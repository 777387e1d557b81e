//! Rules over records: charter succession, manifest chains, widenings.

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{ConsortiumId, SnapshotId};
use cohortium_protocol::record::charter::Charter;
use cohortium_protocol::record::manifest::Manifest;
use cohortium_protocol::record::revocation::Change;
use cohortium_protocol::record::share::Share;
use cohortium_protocol::rule::charter_in_force::{check_succession, requirement, strengthens};
use cohortium_protocol::rule::snapshot_chain::{ChainHead, check_continues};
use cohortium_protocol::rule::widening::{shortens, widenings};
use cohortium_protocol::time::UnixMillis;
use serde_json::{Value, json};

use crate::{Outcome, array, code_of, number};

pub(crate) fn succession(input: &Value) -> Outcome {
    let charter = |name: &str| serde_json::from_value::<Charter>(input[name].clone()).unwrap();
    let (last, next) = (charter("last"), charter("next"));
    check_succession(ConsortiumId(array(input, "consortium")), &last, DocumentDigest(array(input, "last_digest")), &next)
        .map_err(|fault| code_of(&fault))?;
    let need = requirement(&last, &next);
    let eligible: Vec<String> = need.eligible.iter().map(ToString::to_string).collect();
    Ok(json!({ "eligible": eligible, "needed": need.needed, "strengthens": strengthens(&last, &next) }))
}

pub(crate) fn continues(input: &Value) -> Outcome {
    let manifest: Manifest = serde_json::from_value(input["manifest"].clone()).unwrap();
    let head = input["head"].as_object().map(|_| ChainHead {
        sequence: number(&input["head"], "sequence"),
        snapshot: SnapshotId(array(&input["head"], "snapshot")),
    });
    let verdict = check_continues(head, &manifest, SnapshotId(array(input, "snapshot")));
    verdict.map(|()| json!(true)).map_err(|code| code_of(&code))
}

pub(crate) fn widens(input: &Value) -> Outcome {
    let share = |name: &str| serde_json::from_value::<Share>(input[name].clone()).unwrap();
    Ok(json!(!widenings(&share("last"), &share("next")).is_empty()))
}

pub(crate) fn restricts(input: &Value) -> Outcome {
    let change: Change = serde_json::from_value(input["change"].clone()).unwrap();
    Ok(json!(shortens(&change, UnixMillis(number(input, "expires")))))
}
