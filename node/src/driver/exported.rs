//! The parts of table versions as files for people, one a member and table: written by a worker, since a part may lie in several
//! files, some rows of which are not its any more.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use cohortium_engine::consolidate::shape::TableShape;
use cohortium_protocol::record::consolidation::Consolidation;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_schema::schema::CommonSchema;
use tokio::task::spawn_blocking;

use crate::driver::fresh::{Fresh, create};
use crate::driver::hands::Hands;
use crate::driver::landed::CheckoutFault;
use crate::driver::meter::Meter;
use crate::driver::quality::open_part;
use crate::worker::job::{Job, Report, ReportFault};

/// Writes `TABLE/MEMBER/part-000.parquet` for each part into a new folder, which appears under its name when it is placed.
///
/// A part whose rows do not have the digest that the consolidation states ends it.
pub(crate) async fn export(
    hands: &Arc<Hands>,
    set: Consolidation,
    schema: CommonSchema,
    path: PathBuf,
    meter: Meter,
) -> Result<Fresh, CheckoutFault> {
    let bytes = |blob: &cohortium_protocol::record::listing::BlobRef| blob.bytes.0;
    let parts = set.tables.values().flat_map(|table| table.parts.values());
    meter.expect(parts.map(|part| part.blobs.iter().map(bytes).sum::<u64>()).sum());
    let fresh = Fresh::folder(&path)?;
    for (table, version) in &set.tables {
        let shape = TableShape::of(&schema, table).ok_or(ReportFault::of(RunFault::ColumnsDiffer))?;
        for (member, part) in &version.parts {
            let folder = fresh.temp().join(table.as_str()).join(member.as_str());
            let (own, blobs) = (Arc::clone(hands), part.blobs.clone());
            let opened = spawn_blocking(move || {
                DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
                let mut files = Vec::new();
                let sealed = open_part(&own, &blobs, &mut files)?;
                files.push(create(&folder.join("part-000.parquet"))?.into());
                Ok::<_, CheckoutFault>((sealed, files))
            });
            let (sealed, files) = opened.await.unwrap_or(Err(CheckoutFault::Worker(ReportFault::LOST)))?;
            let (shape, member) = (Box::new(shape.clone()), member.clone());
            match hands.pool.run(Job::CopyPart { shape, member, part: sealed, digest: part.digest }, files).await? {
                Report::Rows(_) => meter.add(part.blobs.iter().map(bytes).sum()),
                _ => return Err(ReportFault::LOST.into()),
            }
        }
    }
    Ok(fresh)
}
