//! Verifies a release and writes its rows: `cargo run --release -p cohortium-sdk --example read_release -- FOLDER ANCHOR OUT.csv`.
//!
//! `OUT` ends in `.csv` or `.parquet`. `--example samples` makes a folder to try it with.

use std::error::Error;
use std::path::PathBuf;

use cohortium_sdk::release::OpenRelease;

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [folder, anchor, out] = given.as_slice() else { return Err("give FOLDER ANCHOR OUT".into()) };
    let (folder, out) = (PathBuf::from(folder), PathBuf::from(out));
    // The anchor comes from somewhere else than the folder: from the consortium, once and for all.
    let anchor = anchor.parse().map_err(|_| "the anchor is the consortium's id: 64 hexadecimal digits")?;
    let release = OpenRelease::open(&folder, Some(anchor))?;
    println!("{:?} of {}, from {:?}", release.kind(), release.statement().account, release.statement().inputs.keys());
    if let Some(cost) = release.cost() {
        println!("epsilon of a person, in millionths: {}; not covered: {:?}", cost.epsilon_person.0, cost.uncovered);
    }
    for batch in release.batches()? {
        println!(
            "{} rows of {} columns",
            batch.as_ref().map_err(ToString::to_string)?.num_rows(),
            batch?.num_columns()
        );
    }
    let csv = out.extension().is_some_and(|ending| ending == "csv");
    let rows = if csv { release.write_csv(&out, "")? } else { release.write_parquet(&out)? };
    println!("{rows} rows in {}", out.display());
    Ok(())
}
