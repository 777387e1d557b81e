//! Consolidated tables for the people of this node who may see rows: those in use, and their files in a folder.

use std::sync::Arc;

use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::order::{Command, Order};
use cohortium_schema::schema::CommonSchema;

use crate::control::{ErrorKind, Reply};
use crate::driver::clock;
use crate::driver::exported;
use crate::driver::hands::Hands;
use crate::driver::landed::CheckoutFault;
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

/// The rows of the table versions of a set, into a new folder: `TABLE/MEMBER/part-000.parquet`.
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
        let state = endpoint.state(consortium)?;
        let set = state.tables.sets().iter().find(|set| set.digest == consolidation)?.consolidation.clone();
        let text = state.schemas.get(&set.schema).map(|stated| Arc::clone(&stated.text));
        Some((set, text))
    });
    let set = looked.await.ok_or_else(stopping)?;
    let (set, text) = set.ok_or_else(|| error(ErrorKind::NotFound, "this set of table versions is not kept"))?;
    let schema = CommonSchema::named(set.schema, text.as_deref()).ok_or_else(broken)?;
    let meter = Meter::default();
    let written = told(out, &meter, exported::export(hands, set, schema, folder, meter.clone())).await;
    let fresh = written.map_err(|fault| match fault {
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
