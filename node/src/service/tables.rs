//! Consolidated tables for the people of this node who may see rows: those in use, and their files in a folder.

use std::sync::Arc;

use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::order::{Command, Order};
use tokio::task::spawn_blocking;

use crate::control::{ErrorKind, Reply};
use crate::driver::clock;
use crate::driver::hands::Hands;
use crate::driver::landed::{CheckoutFault, checkout_files};
use crate::driver::listings::listing;
use crate::driver::meter::Meter;
use crate::driver::quality::TablesInUse;
use crate::driver::queue::Queue;
use crate::driver::told::About;
use crate::service::answer::{Answered, Out, broken, error, stopping};
use crate::service::asked::{absolute, carry_out, claimed, other_command};
use crate::service::progress::told;

/// The tables in use, once the order is on record.
pub(super) async fn in_use(queue: &Queue, consortium: ConsortiumId) -> Result<TablesInUse, Reply> {
    let now = clock::wall();
    let looked = queue.look(move |endpoint| {
        let set = endpoint.usable_tables(consortium, now)?;
        let (consolidation, digest) = (set.consolidation.clone(), set.digest);
        let own_schema = endpoint.own_schema(consortium, consolidation.schema);
        Some(TablesInUse { consolidation, digest, own_schema })
    });
    let found = looked.await.ok_or_else(stopping)?;
    found.ok_or_else(|| error(ErrorKind::NotFound, "no consolidated table may be used"))
}

/// The files of the table versions in use, into a new folder: `TABLE/MEMBER/part-000.parquet`. Nobody looks into them.
pub(super) async fn export(
    queue: &Queue,
    hands: &Arc<Hands>,
    order: Box<Signed<Order>>,
    folder: &str,
    out: &mut Out,
) -> Answered {
    let folder = absolute(folder)?;
    let (consortium, command) = claimed(&order)?;
    let Command::ReadTables { consolidation } = command else { return Err(other_command()) };
    carry_out(queue, order).await?;
    let looked = queue.look(move |endpoint| {
        let sets = endpoint.state(consortium)?.tables.sets();
        sets.iter().find(|set| set.digest == consolidation).map(|set| set.listing)
    });
    let set = looked.await.ok_or_else(stopping)?;
    let set = set.ok_or_else(|| error(ErrorKind::NotFound, "this set of table versions is not kept"))?;
    let blobs = hands.blobs.clone();
    let listing = spawn_blocking(move || listing(&blobs, set)).await.ok().flatten().ok_or_else(broken)?;
    let meter = Meter::default();
    let copied = told(out, &meter, checkout_files(hands, listing, folder, meter.clone())).await;
    let (fresh, _) = copied.map_err(|fault| match fault {
        CheckoutFault::Io(_) | CheckoutFault::Ending => error(ErrorKind::Usage, fault),
        CheckoutFault::Worker(_) | CheckoutFault::Blob(_) => error(ErrorKind::Local, fault),
    })?;
    fresh.place().map(|()| Reply::Done).map_err(|fault| error(ErrorKind::Usage, fault))
}

/// What the worker said of the last publication, where it changed nothing.
pub(super) async fn fault(queue: &Queue, hands: &Hands, order: Box<Signed<Order>>) -> Answered {
    let (consortium, command) = claimed(&order)?;
    let Command::ReadTables { .. } = command else { return Err(other_command()) };
    carry_out(queue, order).await?;
    Ok(Reply::Told { message: hands.told.last(&About::Publication(consortium)) })
}
