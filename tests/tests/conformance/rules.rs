//! Rules over records: charter succession, manifest chains, widenings.

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{ConsortiumId, SnapshotId};
use cohortium_protocol::key::pair::KeyPair;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::charter::Charter;
use cohortium_protocol::record::invitation::Invitation;
use cohortium_protocol::record::manifest::Manifest;
use cohortium_protocol::record::revocation::Change;
use cohortium_protocol::record::share::Share;
use cohortium_protocol::rule::charter_in_force::{check_succession, requirement, strengthens};
use cohortium_protocol::rule::snapshot_chain::{ChainHead, check_continues};
use cohortium_protocol::rule::widening::{shortens, widenings};
use cohortium_protocol::state::charters::Charters;
use cohortium_protocol::state::subscription::{Side, Subscription};
use cohortium_protocol::time::UnixMillis;
use serde_json::{Value, json};

use crate::{Outcome, array, bytes, code_of, number, text, unhex};

pub(crate) fn succession(input: &Value) -> Outcome {
    let charter = |name: &str| serde_json::from_value::<Charter>(input[name].clone()).unwrap();
    let (last, next) = (charter("last"), charter("next"));
    check_succession(
        ConsortiumId(array(input, "consortium")),
        &last,
        DocumentDigest(array(input, "last_digest")),
        &next,
    )
    .map_err(|fault| code_of(&fault))?;
    let need = requirement(&last, &next);
    let eligible: Vec<String> = need.eligible.iter().map(ToString::to_string).collect();
    Ok(json!({ "eligible": eligible, "needed": need.needed, "strengthens": strengthens(&last, &next) }))
}

pub(crate) fn charter_document(input: &Value) -> Outcome {
    let mut charters =
        Charters::new(ConsortiumId(array(input, "consortium")), text(input, "operator_root").parse().unwrap());
    let read = |bytes: &[u8]| Signed::<Charter>::from_bytes(bytes).map_err(|fault| code_of(&fault.code()));
    for earlier in input["chain"].as_array().unwrap() {
        let version = charters.check(&read(&unhex(earlier.as_str().unwrap())).unwrap()).unwrap();
        assert!(charters.take(version).is_some(), "the chain of the vector is in force");
    }
    let version = charters.check(&read(&bytes(input, "hex"))?).map_err(|code| code_of(&code))?;
    let signers: Vec<String> = version.signers.iter().map(ToString::to_string).collect();
    let carried = serde_json::to_value(&version.signed).unwrap();
    let carried: Vec<&Value> = carried["signatures"].as_array().unwrap().iter().map(|line| &line["key"]).collect();
    Ok(json!({ "digest": version.digest.to_string(), "signers": signers, "carried": carried }))
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

pub(crate) fn may_flow(input: &Value) -> Outcome {
    let invitation: Invitation = serde_json::from_value(input["invitation"].clone()).unwrap();
    let peer = invitation.consumer.clone();
    let name = |invitation: &Invitation| Signed::sign(invitation, &KeyPair::from_seed(&[1; 32])).digest();
    let digest = name(&invitation);
    let mut subscription = Subscription::new(Side::Provider, peer, invitation, digest);
    for event in input["events"].as_array().unwrap() {
        let (kind, value) = event.as_object().unwrap().iter().next().unwrap();
        match kind.as_str() {
            "invitation" => {
                let invitation = serde_json::from_value(value.clone()).unwrap();
                let digest = name(&invitation);
                subscription.reinvite(invitation, digest);
            }
            "answer" => subscription.answer(serde_json::from_value(value.clone()).unwrap(), DocumentDigest([1; 32])),
            "standing" => subscription.standing = serde_json::from_value(value.clone()).unwrap(),
            "change" => subscription.change(1, &serde_json::from_value(value.clone()).unwrap()),
            unknown => panic!("no event {unknown}"),
        }
    }
    let verdict = subscription.may_flow(UnixMillis(number(input, "now")));
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
