//! What a mapping run made, for the people of this node who may see rows: its report and its quarantine.

use std::sync::Arc;

use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::listing::BlobRef;
use cohortium_protocol::record::order::{Command, Order};
use tokio::task::spawn_blocking;

use crate::control::{ErrorKind, Reply};
use crate::driver::fresh::Fresh;
use crate::driver::hands::Hands;
use crate::driver::queue::Queue;
use crate::driver::sets::{self, QUARANTINE_PATH, REPORT_PATH};
use crate::driver::told::About;
use crate::service::answer::{Answered, broken, error, stopping};
use crate::service::asked::{absolute, carry_out, claimed, other_command, refused};
use crate::worker::job::{Job, Key32, Report, ReportFault, SealedFile, Shape};

/// The account and the quality report, as JSON.
pub(super) async fn report(queue: &Queue, hands: &Arc<Hands>, order: Box<Signed<Order>>) -> Answered {
    let set = set_of(queue, order).await?;
    let hands = Arc::clone(hands);
    let read = spawn_blocking(move || {
        let found = sets::find(&hands, set, REPORT_PATH)?;
        sets::read(&hands, found.blob)
    });
    let bytes = read.await.map_err(|_| broken())?.map_err(|fault| refused(&ReportFault::of(fault)))?;
    Ok(Reply::Told { message: Some(String::from_utf8(bytes).map_err(|_| broken())?) })
}

/// What the worker said of the last run, where it made nothing.
pub(super) async fn fault(queue: &Queue, hands: &Hands, order: Box<Signed<Order>>) -> Answered {
    let (consortium, command) = claimed(&order)?;
    let Command::ReadMapped { mapping } = command else { return Err(other_command()) };
    carry_out(queue, order).await?;
    Ok(Reply::Told { message: hands.told.last(&About::Mapping(consortium, mapping)) })
}

/// The quarantine, into a new file.
pub(super) async fn quarantine(queue: &Queue, hands: &Arc<Hands>, order: Box<Signed<Order>>, path: &str) -> Answered {
    let path = absolute(path)?;
    let shape = match path.extension().and_then(|ending| ending.to_str()) {
        Some("parquet") => Shape::Parquet,
        Some("csv") => Shape::Csv,
        _ => return Err(error(ErrorKind::Usage, "the quarantine is written to a path that ends in .parquet or .csv")),
    };
    let set = set_of(queue, order).await?;
    let own = Arc::clone(hands);
    let opened = spawn_blocking(move || {
        let found = sets::find(&own, set, QUARANTINE_PATH).map_err(|fault| refused(&ReportFault::of(fault)))?;
        let opened = own.blobs.open_for_worker(found.blob.digest);
        let (file, key, bytes) = opened.map_err(|fault| error(ErrorKind::Local, fault))?;
        let (fresh, into) = Fresh::file(&path).map_err(|fault| error(ErrorKind::Usage, fault))?;
        Ok::<_, Reply>((SealedFile { key: Key32(*key.expose()), bytes }, vec![file.into(), into.into()], fresh))
    });
    let (table, files, fresh) = opened.await.map_err(|_| broken())??;
    match hands.pool.run(Job::Write { table, shape }, files).await {
        Ok(Report::Rows(_)) => fresh.place().map(|()| Reply::Done).map_err(|fault| error(ErrorKind::Usage, fault)),
        Ok(_) => Err(broken()),
        Err(fault) => Err(refused(&fault)),
    }
}

/// The consortium's own schema, where its charter names one that has arrived. It is public.
pub(super) async fn common_schema(queue: &Queue, consortium: ConsortiumId) -> Answered {
    let looked = queue.look(move |endpoint| {
        let state = endpoint.state(consortium)?;
        let named = state.charters.binding(&state.party)?.charter.schema?;
        Some(state.schemas.get(&named)?.text.to_string())
    });
    Ok(Reply::Told { message: looked.await.ok_or_else(stopping)? })
}

async fn set_of(queue: &Queue, order: Box<Signed<Order>>) -> Result<BlobRef, Reply> {
    let (consortium, command) = claimed(&order)?;
    let Command::ReadMapped { mapping } = command else { return Err(other_command()) };
    carry_out(queue, order).await?;
    let looked = queue.look(move |endpoint| {
        let known = endpoint.state(consortium)?.mappings.get(&mapping)?;
        Some(known.set.as_ref()?.listing)
    });
    looked.await.ok_or_else(stopping)?.ok_or_else(|| error(ErrorKind::NotFound, "this mapping has not run"))
}
