//! Blobs: shapes, outboards, groups, ranges, keyed ids.

use cohortium_protocol::digest::{BlobDigest, keyed_id};
use cohortium_protocol::outboard::{Outboard, Range, group_bytes, group_count, outboard_bytes, range_count};
use serde_json::{Value, json};

use crate::{Outcome, array, bytes, code_of, hex, number, unhex};

pub(crate) fn keyed(input: &Value) -> Outcome {
    let parts: Vec<Vec<u8>> =
        input["parts"].as_array().unwrap().iter().map(|part| unhex(part.as_str().unwrap())).collect();
    Ok(json!(hex(&keyed_id(&array(input, "key"), parts.iter().map(Vec::as_slice)))))
}

pub(crate) fn shape(input: &Value) -> Outcome {
    let length = number(input, "blob_bytes");
    Ok(json!({
        "group_bytes": group_bytes(length),
        "groups": group_count(length),
        "outboard_bytes": outboard_bytes(length),
        "ranges": range_count(length),
    }))
}

fn outboard(input: &Value) -> Result<Outboard, String> {
    let digest = BlobDigest(array(input, "digest"));
    Outboard::check(digest, number(input, "blob_bytes"), &bytes(input, "outboard")).map_err(|fault| code_of(&fault))
}

pub(crate) fn check_outboard(input: &Value) -> Outcome {
    outboard(input).map(|_| json!(true))
}

/// A piece of the pattern blob 0, 1, ..., 250, 0, ..., perhaps with one bit flipped.
fn data(input: &Value) -> Vec<u8> {
    let (offset, length) = (number(&input["data"], "offset"), number(&input["data"], "bytes"));
    let mut piece: Vec<u8> = (offset..offset + length).map(|at| u8::try_from(at % 251).unwrap()).collect();
    if let Some(bit) = input["data"].get("flip").and_then(Value::as_u64) {
        piece[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
    }
    piece
}

pub(crate) fn verify_group(input: &Value) -> Outcome {
    let verdict =
        outboard(input).expect("the vector is about a group").verify_group(number(input, "index"), &data(input));
    verdict.map(|()| json!(true)).map_err(|fault| code_of(&fault))
}

pub(crate) fn verify_range(input: &Value) -> Outcome {
    let piece = data(input);
    let range = Range { offset: number(&input["data"], "offset"), len: u64::try_from(piece.len()).unwrap() };
    let range = Range { offset: number(input, "offset"), ..range };
    let verdict = outboard(input).expect("the vector is about a range").verify_range(range, &piece);
    verdict.map(|()| json!(true)).map_err(|fault| code_of(&fault))
}
