//! The quality of one member's tables, measured in a worker: of a mapped set before it leaves, of the part that has landed.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{ConsortiumId, DatasetId, Name};
use cohortium_protocol::record::consolidation::Consolidation;
use cohortium_protocol::record::dataset::Dataset;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::BlobRef;
use cohortium_protocol::record::share::{Linkage, TableTerms};
use cohortium_schema::gate::Measured;
use cohortium_schema::schema::CommonSchema;
use tokio::task::spawn_blocking;

use crate::driver::hands::Hands;
use crate::driver::sets;
use crate::offered;
use crate::worker::job::{Job, Key32, Report, ReportFault, SealedFile, SiteRows, Terms};
use crate::worker::pass::FILES_MAX;

/// A mapped set, and under which terms its tables leave.
pub(crate) struct Leaving {
    pub(crate) consortium: ConsortiumId,
    pub(crate) mapping: Name,
    /// The set's listing.
    pub(crate) set: BlobRef,
    /// Whether patients are linked over members in it.
    pub(crate) linked: bool,
    /// The canonical form of the consortium's own schema; `None` where it uses OMOP's.
    pub(crate) schema: Option<Arc<str>>,
    /// Each table with its share's dataset and terms; those that are not offered leave as `mapping offer` would let them.
    pub(crate) tables: Vec<(Name, Option<(Dataset, TableTerms)>)>,
}

/// The tables in use, once somebody has asked for them.
pub(crate) struct TablesInUse {
    pub(crate) consolidation: Consolidation,
    pub(crate) digest: DocumentDigest,
    /// The canonical form of the schema that they are in, where it is the consortium's own.
    pub(crate) own_schema: Option<Arc<str>>,
}

impl TablesInUse {
    /// The schema that they are in.
    pub(crate) fn schema(&self) -> Result<CommonSchema, ReportFault> {
        let schema = CommonSchema::named(self.consolidation.schema, self.own_schema.as_deref());
        schema.ok_or(ReportFault::of(RunFault::ColumnsDiffer))
    }
}

/// What the gates measure of a set as it leaves.
pub(crate) async fn of_set(hands: &Arc<Hands>, leaving: Leaving) -> Result<Measured, ReportFault> {
    let (own, schema) = (Arc::clone(hands), leaving.schema.clone());
    let opened = spawn_blocking(move || open_set(&own, leaving)).await.unwrap_or(Err(ReportFault::LOST));
    let (tables, files) = opened?;
    measured(hands, schema.as_deref(), tables, files).await
}

/// What the gates measure of one member's part of the tables of a consolidation.
pub(crate) async fn of_member(hands: &Arc<Hands>, of: &TablesInUse, member: &Name) -> Result<Measured, ReportFault> {
    // Whether the schema is known here: what is measured must be in the one that the tables are stated in.
    of.schema()?;
    let parts = of.consolidation.tables.iter().filter_map(|(table, of)| {
        let part = of.parts.get(member)?;
        Some((table.clone(), part.blobs.clone()))
    });
    let parts: Vec<(Name, Vec<BlobRef>)> = parts.collect();
    let own = Arc::clone(hands);
    let opened = spawn_blocking(move || {
        let (mut tables, mut files) = (Vec::new(), Vec::new());
        for (table, blobs) in parts {
            tables.push((table, SiteRows::Part(open_part(&own, &blobs, &mut files)?)));
        }
        Ok((tables, files))
    });
    let (tables, files) = opened.await.unwrap_or(Err(ReportFault::LOST))?;
    measured(hands, of.own_schema.as_deref(), tables, files).await
}

async fn measured(
    hands: &Arc<Hands>,
    schema: Option<&str>,
    tables: Vec<(Name, SiteRows)>,
    files: Vec<OwnedFd>,
) -> Result<Measured, ReportFault> {
    if files.len() > FILES_MAX {
        return Err(ReportFault::of(RunFault::Limit));
    }
    let schema = schema.map(str::to_owned);
    match hands.pool.run(Job::Measure { schema, tables }, files).await? {
        Report::Measured(json) => serde_json::from_slice(&json.0).map_err(|_| ReportFault::LOST),
        _ => Err(ReportFault::LOST),
    }
}

/// The files of one part for a worker. Blocks.
pub(crate) fn open_part(
    hands: &Hands,
    blobs: &[BlobRef],
    files: &mut Vec<OwnedFd>,
) -> Result<Vec<SealedFile>, ReportFault> {
    let mut sealed = Vec::with_capacity(blobs.len());
    for blob in blobs {
        let opened = hands.blobs.open_for_worker(blob.digest).map_err(|fault| {
            tracing::error!(event = "blob-unreadable", %fault);
            ReportFault::of(RunFault::Unreadable)
        });
        let (file, key, bytes) = opened?;
        files.push(file.into());
        sealed.push(SealedFile { key: Key32(*key.expose()), bytes });
    }
    Ok(sealed)
}

type Opened = (Vec<(Name, SiteRows)>, Vec<OwnedFd>);

fn open_set(hands: &Hands, leaving: Leaving) -> Result<Opened, ReportFault> {
    let Leaving { consortium, mapping, set, linked, schema, tables } = leaving;
    let schema = CommonSchema::in_use(schema.as_deref()).map_err(|_| ReportFault::of(RunFault::ColumnsDiffer))?;
    let place = hands.place(&consortium).ok_or(ReportFault::LOST)?;
    let row_key = hands.keys.rows(place.kind, &consortium).map_err(|fault| {
        tracing::error!(event = "keystore-failed", %fault);
        ReportFault::of(RunFault::Limit)
    })?;
    let (mut rows, mut files) = (Vec::new(), Vec::new());
    for (name, offered) in tables {
        let found = schema.table(name.as_str()).ok_or(ReportFault::of(RunFault::ColumnsDiffer))?;
        let unfit = |_| ReportFault::of(RunFault::ColumnsDiffer);
        let (dataset, mut terms) = if let Some(offered) = offered {
            offered
        } else {
            let dataset = offered::dataset(DatasetId([0; 16]), name.clone(), &mapping, found).map_err(unfit)?;
            (dataset, offered::terms(found, linked).map_err(unfit)?)
        };
        // The person ids were made with tokens already.
        terms.linkage = Linkage::None;
        let (table, file) = sets::open_table(hands, set, &name).map_err(ReportFault::of)?;
        files.push(file);
        let terms = Terms {
            table: terms,
            dataset,
            row_key: Key32(*row_key.as_bytes()),
            linkage_key: None,
            opt_outs: std::collections::BTreeSet::new(),
        };
        rows.push((name, SiteRows::Mapped { terms: Box::new(terms), table }));
    }
    Ok((rows, files))
}
