//! What every request that carries a person's order begins with: what it claims, whether it is carried out, and what a
//! worker's fault is to the person who asked.

use std::path::PathBuf;

use cohortium_protocol::endpoint::io::OrderFault;
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::order::{Command, Order};

use crate::control::{ErrorKind, Reply};
use crate::driver::queue::Queue;
use crate::service::answer::{error, stopping};
use crate::worker::job::ReportFault;

/// Has an order carried out.
pub(crate) async fn carry_out(queue: &Queue, order: Box<Signed<Order>>) -> Result<(), Reply> {
    let result = queue.order(order).await.ok_or_else(stopping)?;
    result.map_err(|fault| error(kind_of(&fault), fault))
}

pub(crate) fn claimed(order: &Signed<Order>) -> Result<(ConsortiumId, Command), Reply> {
    let order = order.claimed().map_err(|fault| error(ErrorKind::Usage, fault))?;
    Ok((order.consortium, order.command))
}

pub(crate) fn other_command() -> Reply {
    error(ErrorKind::Usage, "the order is for something else than the request")
}

/// Which exit code an order's refusal ends with.
const fn kind_of(fault: &OrderFault) -> ErrorKind {
    match fault {
        OrderFault::NotFound { .. } => ErrorKind::NotFound,
        OrderFault::Unavailable => ErrorKind::Local,
        OrderFault::NotEnrolled
        | OrderFault::RoleMissing { .. }
        | OrderFault::NotForNow
        | OrderFault::CharterNotInForce
        | OrderFault::OutOfOrder { .. }
        | OrderFault::NotApproved
        | OrderFault::Stopped
        | OrderFault::Document => ErrorKind::Refused,
    }
}

/// A worker's fault for the person who asked: columns and places, never cells.
pub(crate) fn refused(fault: &ReportFault) -> Reply {
    let kind = match fault.fault {
        RunFault::WorkerLost | RunFault::Limit => ErrorKind::Local,
        RunFault::Unreadable => ErrorKind::NotFound,
        RunFault::Changed
        | RunFault::Malformed
        | RunFault::ColumnsDiffer
        | RunFault::KeyTwice
        | RunFault::SetStale
        | RunFault::NoVocabulary
        | RunFault::Drifted
        | RunFault::Emptied
        | RunFault::Unsettled
        | RunFault::NoLinkageKey => ErrorKind::Refused,
    };
    match &fault.detail {
        Some(detail) => error(kind, detail),
        None => error(kind, format_args!("the worker could not do it: {:?}", fault.fault)),
    }
}

pub(crate) fn absolute(path: &str) -> Result<PathBuf, Reply> {
    let path = PathBuf::from(path);
    if path.is_absolute() { Ok(path) } else { Err(error(ErrorKind::Usage, "the path is not absolute")) }
}
