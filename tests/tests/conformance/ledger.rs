//! The audit log: leaves, roots, proofs, checkpoints.

use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::log::checkpoint::{LogKeys, Strangers, origin};
use cohortium_protocol::log::note::{KeyKind, NoteKey};
use cohortium_protocol::log::proof::{verify_consistency, verify_inclusion};
use cohortium_protocol::log::tile::{Tile, TileKind};
use cohortium_protocol::log::tree::{Frontier, TreeHash, TreeHead, leaf_hash};
use cohortium_protocol::log::{leaf_entry, leaf_salt};
use serde_json::{Value, json};

use crate::{Outcome, array, bytes, code_of, hex, number, text, unhex};

pub(crate) fn entry(input: &Value) -> Outcome {
    let salt = leaf_salt(&array(input, "salt_key"), text(input, "index").parse().unwrap());
    Ok(json!({ "salt": hex(&salt), "entry": leaf_entry(&salt, &bytes(input, "record")).to_string() }))
}

pub(crate) fn root(input: &Value) -> Outcome {
    let mut frontier = Frontier::default();
    for entry in input["entries"].as_array().unwrap() {
        frontier.append(leaf_hash(&unhex(entry.as_str().unwrap())));
    }
    Ok(json!(frontier.head().root.to_string()))
}

fn path(input: &Value) -> Vec<TreeHash> {
    input["path"].as_array().unwrap().iter().map(|hash| hash.as_str().unwrap().parse().unwrap()).collect()
}

fn head(input: &Value) -> TreeHead {
    TreeHead { size: number(input, "size"), root: TreeHash(array(input, "root")) }
}

pub(crate) fn inclusion(input: &Value) -> Outcome {
    let verdict = verify_inclusion(&TreeHash(array(input, "leaf")), number(input, "index"), &head(input), &path(input));
    verdict.map(|()| json!(true)).map_err(|fault| code_of(&fault))
}

pub(crate) fn consistency(input: &Value) -> Outcome {
    let verdict = verify_consistency(&head(&input["old"]), &head(&input["new"]), &path(input));
    verdict.map(|()| json!(true)).map_err(|fault| code_of(&fault))
}

pub(crate) fn log_origin(input: &Value) -> Outcome {
    let consortium: ConsortiumId = text(input, "consortium").parse().unwrap();
    Ok(json!(origin(&consortium, &text(input, "node").parse::<Name>().unwrap())))
}

pub(crate) fn tile(input: &Value) -> Outcome {
    let tile = Tile::parse(text(input, "path")).ok_or("no-tile")?;
    assert_eq!(tile.path(), text(input, "path"), "a tile has one path");
    let level = match tile.kind() {
        TileKind::Entries => "entries".to_owned(),
        TileKind::Hashes(level) => level.to_string(),
    };
    Ok(json!({ "level": level, "index": tile.index().to_string(), "width": tile.width() }))
}

fn public(value: &str) -> PublicKey {
    value.parse().unwrap()
}

pub(crate) fn key_id(input: &Value) -> Outcome {
    let kind = match number(input, "kind") {
        1 => KeyKind::Log,
        4 => KeyKind::Cosigner,
        unknown => panic!("no signature type {unknown}"),
    };
    let key = NoteKey::new(text(input, "name"), kind, public(text(input, "key"))).map_err(|fault| code_of(&fault))?;
    Ok(json!(hex(&key.id())))
}

pub(crate) fn open_checkpoint(input: &Value) -> Outcome {
    let log_key = public(text(input, "log_key"));
    let mut keys =
        LogKeys::new(text(input, "origin"), [log_key], Strangers::Ignore).map_err(|fault| code_of(&fault))?;
    for (name, key) in input["cosigners"].as_object().unwrap() {
        keys = keys.with_cosigner(name, public(key.as_str().unwrap())).map_err(|fault| code_of(&fault))?;
    }
    let open = keys.open(text(input, "checkpoint")).map_err(|fault| code_of(&fault))?;
    let cosigners: Vec<Value> =
        open.cosigned.iter().map(|signed| json!({ "name": signed.name, "at": signed.at_seconds })).collect();
    Ok(json!({
        "size": open.head.size,
        "root": open.head.root.to_string(),
        "cosigners": cosigners,
        "strangers": open.strangers,
    }))
}
