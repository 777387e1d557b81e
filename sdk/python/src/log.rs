//! Verification of a log's folder.

use std::path::PathBuf;

use cohortium_protocol::key::pair::PublicKey;
use cohortium_sdk::log::{LogFolder, LogKeys, Strangers};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::fault;

fn key(text: &str) -> PyResult<PublicKey> {
    text.parse().map_err(|_| fault::of_argument("a key", "is 64 hexadecimal digits of an Ed25519 key"))
}

fn keys_of(origin: &str, keys: &[String], cosigners: &[(String, String)]) -> PyResult<LogKeys> {
    let known = keys.iter().map(|text| key(text)).collect::<PyResult<Vec<_>>>()?;
    let strangers = if cosigners.is_empty() { Strangers::Ignore } else { Strangers::Refuse };
    let wrong = |fault: &dyn std::fmt::Display| fault::of_argument("an origin", &fault.to_string());
    let mut keys = LogKeys::new(origin, known, strangers).map_err(|fault| wrong(&fault))?;
    for (name, text) in cosigners {
        keys = keys.with_cosigner(name, key(text)?).map_err(|fault| wrong(&fault))?;
    }
    Ok(keys)
}

/// Reads every file of a log and recomputes every hash. Once cosigners are given, a signature by any other key is a fault. With a
/// checkpoint that was got elsewhere the folder's newest one has to be that very text.
#[pyfunction]
#[pyo3(signature = (path, origin, keys, cosigners, checkpoint))]
pub(crate) fn verify_log<'py>(
    py: Python<'py>,
    path: PathBuf,
    origin: &str,
    keys: Vec<String>,
    cosigners: Vec<(String, String)>,
    checkpoint: Option<String>,
) -> PyResult<Bound<'py, PyDict>> {
    let keys = keys_of(origin, &keys, &cosigners)?;
    let verified = py.detach(|| {
        let folder = LogFolder::new(&path);
        checkpoint.map_or_else(|| folder.verify(&keys), |held| folder.verify_against(&held, &keys))
    });
    let report = verified.map_err(|fault| fault::of_log(py, &fault))?;
    let told = PyDict::new(py);
    told.set_item("size", report.head.size)?;
    told.set_item("root", report.head.root.to_string())?;
    told.set_item("tiles", report.tiles)?;
    told.set_item("checkpoints", report.checkpoints)?;
    told.set_item("cosigners", report.cosigners.into_iter().collect::<Vec<_>>())?;
    told.set_item("strangers", report.strangers)?;
    Ok(told)
}
