//! Keys, signatures, wraps, join proofs, heads over documents.

use cohortium_protocol::digest::{DocumentDigest, sha256};
use cohortium_protocol::ident::Nonce;
use cohortium_protocol::key::label;
use cohortium_protocol::key::pair::{PublicKey, SealingKey, SealingSecret, SignatureBytes};
use cohortium_protocol::key::wrap::{Secret32, unwrap, wrap};
use cohortium_protocol::message::document::Held;
use cohortium_protocol::message::join::{prove, secret_digest, secret_id};
use cohortium_protocol::wire::codec::Blob;
use serde_json::{Value, json};

use crate::{Outcome, array, bytes, code_of, hex, text, unhex};

fn key(input: &Value, name: &str) -> Result<PublicKey, String> {
    PublicKey::from_bytes(array(input, name)).map_err(|fault| code_of(&fault))
}

pub(crate) fn public_key(input: &Value) -> Outcome {
    key(input, "hex").map(|key| json!(key.to_string()))
}

pub(crate) fn verify_signature(input: &Value) -> Outcome {
    let stands = key(input, "key")?.verifies(&bytes(input, "message"), &SignatureBytes(array(input, "signature")));
    if stands { Ok(json!(true)) } else { Err("signature-invalid".to_owned()) }
}

pub(crate) fn pre_authentication_encoding(input: &Value) -> Outcome {
    let signed = label::pre_authentication_encoding(text(input, "payload_type"), &bytes(input, "payload"));
    Ok(json!({ "hex": hex(&signed), "digest": hex(&sha256(&[&signed])) }))
}

pub(crate) fn join_secret_digest(input: &Value) -> Outcome {
    Ok(json!(secret_digest(&Nonce(array(input, "secret"))).to_string()))
}

pub(crate) fn join_secret_id(input: &Value) -> Outcome {
    Ok(json!(secret_id(DocumentDigest(array(input, "digest"))).to_string()))
}

pub(crate) fn join_proof(input: &Value) -> Outcome {
    let (operator, hospital, root) = (key(input, "operator_tls")?, key(input, "hospital_tls")?, key(input, "root")?);
    Ok(json!(prove(DocumentDigest(array(input, "secret")), &operator, &hospital, &root).to_string()))
}

pub(crate) fn mail_head(input: &Value) -> Outcome {
    let names = input["documents"].as_array().ok_or("documents")?.iter().filter_map(Value::as_str);
    let name = |text: &str| DocumentDigest(unhex(text).try_into().expect("a name has 32 bytes"));
    Ok(json!(names.map(name).fold(Held::NONE, Held::with).head.to_string()))
}

pub(crate) fn wrap_secret(input: &Value) -> Outcome {
    let secret = Secret32::new(array(input, "secret"));
    let ephemeral = SealingSecret::from_seed(&array(input, "ephemeral_seed"));
    let recipient = SealingKey(array(input, "recipient"));
    let wrapped = wrap(&secret, &ephemeral, &recipient, &bytes(input, "context")).map_err(|fault| code_of(&fault))?;
    Ok(json!({ "ephemeral": wrapped.0.to_string(), "ciphertext": hex(&wrapped.1.0) }))
}

pub(crate) fn unwrap_secret(input: &Value) -> Outcome {
    let ours = SealingSecret::from_seed(&array(input, "seed"));
    let ephemeral = SealingKey(array(input, "ephemeral"));
    let opened = unwrap(&ours, &ephemeral, &Blob(bytes(input, "ciphertext")), &bytes(input, "context"));
    opened.map(|secret| json!(hex(secret.as_bytes()))).map_err(|fault| code_of(&fault))
}
