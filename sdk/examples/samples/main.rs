//! Writes made-up releases of five hospitals into a new folder: `cargo run --release -p cohortium-sdk --example samples -- FOLDER`.
//!
//! `microdata`, `counts` and `aggregate` are folders of releases, `log` is the operator's log, and `facts.json` names the anchor
//! and the log's key. The same bytes come every time. No patient is behind any row.

mod bodies;
mod world;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("give the new folder")?;
    let sample = world::sample();
    for (kind, files) in &sample.releases {
        write(&folder.join(kind), files)?;
    }
    write(&folder.join("log"), &sample.log)?;
    let facts = serde_json::json!({
        "anchor": sample.consortium.to_string(), "log_origin": sample.log_origin, "log_key": sample.log_key.to_string(),
    });
    fs::write(folder.join("facts.json"), format!("{facts:#}\n"))?;
    println!("{}", folder.display());
    Ok(())
}

fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder.parent().unwrap_or(folder))?;
    fs::create_dir(folder).map_err(|fault| format!("{}: {fault}", folder.display()))?;
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, bytes)?;
    }
    Ok(())
}
