//! Publications: consolidated tables through a worker into a PostgreSQL, over a connection that is opened here.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use cohortium_engine::consolidate::shape::TableShape;
use cohortium_protocol::endpoint::io::PublishPlan;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_schema::schema::CommonSchema;

use crate::driver::draw::{connect, sign_on};
use crate::driver::hands::Hands;
use crate::driver::making::{Run, blocking, disk};
use crate::driver::told::About;
use crate::worker::job::{Job, Key32, PublishOrder, PublishedTable, Report, ReportFault, SealedFile};
use crate::worker::pass::FILES_MAX;

/// Carries out one publication.
pub(crate) async fn run(hands: &Arc<Hands>, plan: PublishPlan) -> Run<()> {
    let about = About::Publication(plan.consortium);
    let ended = publish(hands, plan).await;
    let (detail, ended) = match ended {
        Ok(()) => (None, Ok(())),
        Err(ReportFault { fault, detail }) => (detail, Err(fault)),
    };
    hands.told.keep(&about, detail);
    ended
}

async fn publish(hands: &Arc<Hands>, plan: PublishPlan) -> Result<(), ReportFault> {
    let sign_on = sign_on(&plan.into.place).await?;
    let common = plan.schema.as_deref().map(str::to_owned);
    let schema = CommonSchema::named(plan.set.consolidation.schema, plan.schema.as_deref());
    let schema = schema.ok_or(ReportFault::of(RunFault::ColumnsDiffer))?;
    let (own, set) = (Arc::clone(hands), plan.set);
    let (tables, mut files) = blocking(move || opened(&own, &schema, &set)).await.map_err(ReportFault::of)?;
    // One more is the connection.
    if files.len() >= FILES_MAX {
        let detail = format!("more than {} files in these tables", FILES_MAX - 1);
        return Err(ReportFault { fault: RunFault::Limit, detail: Some(detail) });
    }
    files.insert(0, connect(&plan.into.place.address).await?);
    let (schema, absent, ids) = (plan.into.schema.map(String::from), plan.into.absent, plan.into.ids);
    let order = PublishOrder { sign_on, schema, absent, ids, common, tables };
    match hands.pool.run(Job::Publish(Box::new(order)), files).await? {
        Report::Published => Ok(()),
        _ => Err(ReportFault::LOST),
    }
}

/// The tables in the schema's order, so that rows come behind those that they refer to.
fn opened(
    hands: &Hands,
    schema: &CommonSchema,
    set: &cohortium_protocol::state::tables::TableSet,
) -> Run<(Vec<PublishedTable>, Vec<OwnedFd>)> {
    let (mut tables, mut files) = (Vec::new(), Vec::new());
    for found in schema.in_order() {
        let Some((name, table)) = set.consolidation.tables.iter().find(|(name, _)| name.as_str() == found.name) else {
            continue;
        };
        let mut parts = Vec::with_capacity(table.parts.len());
        for (member, part) in &table.parts {
            let mut sealed = Vec::with_capacity(part.blobs.len());
            for blob in &part.blobs {
                let (file, key, bytes) = hands.blobs.open_for_worker(blob.digest).map_err(|fault| disk(&fault))?;
                files.push(file.into());
                sealed.push(SealedFile { key: Key32(*key.expose()), bytes });
            }
            parts.push((member.clone(), sealed));
        }
        tables.push(PublishedTable { shape: TableShape::of(schema, name).ok_or(RunFault::ColumnsDiffer)?, parts });
    }
    Ok((tables, files))
}
