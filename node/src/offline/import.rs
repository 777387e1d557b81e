//! Taking in a folder: its documents as requests of its provider, its blobs through the same landing as from the network.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cohortium_protocol::code::{ErrorCode, MessageType};
use cohortium_protocol::endpoint::io::{ConnId, Message, Protocol, Side};
use cohortium_protocol::ident::{ConsortiumId, Name, SubscriptionId};
use cohortium_protocol::limits::{CONTROL_FRAME_BYTES_MAX, RANGE_BYTES};
use cohortium_protocol::message::document::Numbered;
use cohortium_protocol::message::hello::Refused;
use cohortium_protocol::record::export_heading::ExportHeading;
use cohortium_protocol::state::subscription::Fate;
use cohortium_protocol::wire::codec;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use crate::control::{ErrorKind, Reply};
use crate::driver::carried::Folder;
use crate::driver::clock;
use crate::driver::hands::Hands;
use crate::driver::meter::Meter;
use crate::driver::queue::{Event, NewWire};
use crate::driver::wires::{ReplyTo, Wire};
use crate::offline::folder::{self, Known, read_papers};
use crate::offline::whole::check_blobs;
use crate::service::answer::{Answered, broken, error, no_consortium, stopping};

/// How long the endpoint may take for one document.
const DOCUMENT_DEADLINE: Duration = Duration::from_secs(30);
/// How often is looked whether everything has landed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long nothing may land before the import gives up. Far longer than the rest after a fault that may pass.
const STILL_MAX: Duration = Duration::from_mins(1);

/// What is taken in, and whose a person said it is.
pub(crate) struct Import {
    pub(crate) consortium: ConsortiumId,
    pub(crate) provider: Name,
    pub(crate) folder: PathBuf,
    /// Told how far it is: first the look at the whole folder, then its landing.
    pub(crate) meter: Meter,
}

/// Takes the folder in. Ends when every snapshot in it has landed or was refused.
pub(crate) async fn run(hands: &Arc<Hands>, import: Import) -> Answered {
    let Import { consortium, provider, folder: path, meter } = import;
    let place = hands.place(&consortium).ok_or_else(no_consortium)?;
    if provider == place.party {
        return Err(error(ErrorKind::Refused, "the folder was exported by this node itself"));
    }
    let papers = path.clone();
    let read = spawn_blocking(move || read_papers(&papers)).await.map_err(|_| broken())?;
    let papers = read.map_err(|fault| error(ErrorKind::VerifyFailed, fault))?;
    let known = known(hands, consortium, provider).await?;
    // Before anything of it reaches the endpoint: a document that is taken uses up its place for good.
    let heading = folder::check(&papers, &known).map_err(|unfit| error(unfit.kind(), unfit))?;
    let (documents, folder) = (Arc::new(papers.documents), Arc::new(Folder::new(&path)));
    check_whole(hands, &heading, (path, &documents), &meter).await?;
    let conn = connect(hands, &heading, &folder).await?;
    let taken = async {
        let refused = hand_in(hands, conn, &documents).await?;
        until_landed(hands, &heading, &folder, &meter).await?;
        match refused {
            None => Ok(Reply::Done),
            Some(code) => Err(error(ErrorKind::Refused, format_args!("a document in the folder was refused: {code}"))),
        }
    };
    let taken = taken.await;
    hands.queue.send(Event::Closed(conn)).await;
    taken
}

/// What this node knows of the provider.
async fn known(hands: &Arc<Hands>, consortium: ConsortiumId, provider: Name) -> Result<Known, Reply> {
    let now = clock::wall();
    let look = hands.queue.look(move |endpoint| {
        let state = endpoint.state(consortium)?;
        let (root, _) = state.charters.root_of(&state.party, &provider)?;
        let record = state.records.get(&provider).map(|known| known.record.clone());
        let record = record.filter(|record| record.root == root);
        Some(Known { consortium, us: state.party.clone(), provider, root, record, now })
    });
    let known = look.await.ok_or_else(stopping)?;
    known.ok_or_else(|| error(ErrorKind::NotFound, "the provider is no party in the charter that binds this node"))
}

/// Checks what lies in the folder against what its documents name.
async fn check_whole(
    hands: &Arc<Hands>,
    heading: &ExportHeading,
    (path, documents): (PathBuf, &Arc<Vec<Numbered>>),
    meter: &Meter,
) -> Result<(), Reply> {
    let (consortium, subscription) = (heading.consortium, heading.subscription);
    let settled = hands.queue.look(move |endpoint| {
        let found = endpoint.state(consortium)?.subscriptions.get(&subscription)?;
        let settled = found.snapshots.iter().filter(|snapshot| snapshot.fate != Fate::Stated);
        Some(settled.map(|snapshot| snapshot.id).collect::<BTreeSet<_>>())
    });
    let settled = settled.await.ok_or_else(stopping)?.unwrap_or_default();
    let (documents, store, meter) = (Arc::clone(documents), hands.blobs.clone(), meter.clone());
    let look = move || check_blobs(&path, (&documents, subscription), (&settled, &store), &meter);
    let read = spawn_blocking(look);
    read.await.map_err(|_| broken())?.map_err(|fault| error(ErrorKind::VerifyFailed, fault))
}

async fn connect(hands: &Arc<Hands>, heading: &ExportHeading, folder: &Arc<Folder>) -> Result<ConnId, Reply> {
    // Nobody has shown a key: this node's own stands in its place, and is asked for nowhere.
    let tls = hands.keys.node_keys().map_err(|fault| error(ErrorKind::Local, fault))?.tls;
    let (number, numbered) = oneshot::channel();
    let new = NewWire {
        wire: Wire::Folder(Arc::clone(folder)),
        side: Side::Dialler,
        protocol: Protocol::Offline(heading.provider.clone()),
        consortium: Some(heading.consortium),
        tls,
        number,
    };
    hands.queue.send(Event::Wire(Box::new(new))).await;
    numbered.await.map_err(|_| stopping())
}

/// Hands in every document in order. The code of the first one that was refused, if any; what follows may stand all the
/// same, as over the network.
async fn hand_in(hands: &Arc<Hands>, conn: ConnId, documents: &[Numbered]) -> Result<Option<ErrorCode>, Reply> {
    let mut refused = None;
    for numbered in documents {
        let message = Message { kind: MessageType::Document, payload: codec::encode(numbered) };
        let (reply, replied) = oneshot::channel();
        hands.queue.send(Event::Request { conn, message, reply: ReplyTo::Here(reply) }).await;
        let answer = timeout(DOCUMENT_DEADLINE, replied).await.ok().and_then(Result::ok);
        let answer =
            answer.ok_or_else(|| error(ErrorKind::Refused, "the provider is no party that this node knows"))?;
        match code_of(&answer) {
            None => {}
            Some(ErrorCode::OutOfOrder) => {
                return Err(error(
                    ErrorKind::Refused,
                    "the folder does not begin where the last one ended; export it anew",
                ));
            }
            Some(code) => refused = refused.or(Some(code)),
        }
    }
    Ok(refused)
}

fn code_of(answer: &Message) -> Option<ErrorCode> {
    if answer.kind != MessageType::Refused {
        return None;
    }
    let refused = codec::decode::<Refused>(&answer.payload, CONTROL_FRAME_BYTES_MAX).ok();
    Some(refused.and_then(|refused| ErrorCode::from_code(refused.code)).unwrap_or(ErrorCode::Malformed))
}

/// Waits until no snapshot of the subscription is on its way any more.
async fn until_landed(
    hands: &Arc<Hands>,
    heading: &ExportHeading,
    folder: &Arc<Folder>,
    meter: &Meter,
) -> Result<(), Reply> {
    let (consortium, subscription) = (heading.consortium, heading.subscription);
    let (mut total, begun) = (0, hands.landings.written());
    let mut still_since = Instant::now();
    let mut before = None;
    loop {
        let look = hands.queue.look(move |endpoint| Progress::of(endpoint, consortium, subscription)).await;
        let now = look.ok_or_else(stopping)?;
        let Some(now) = now else {
            return Err(error(ErrorKind::NotFound, "this node has no such subscription; accept its invitation first"));
        };
        if !now.accepted {
            return Ok(());
        }
        if let Some(wrong) = folder.wrong() {
            return Err(error(ErrorKind::VerifyFailed, wrong));
        }
        if now.on_their_way == 0 {
            return if now.refused == 0 {
                Ok(())
            } else {
                Err(error(ErrorKind::VerifyFailed, "a snapshot in the folder was refused"))
            };
        }
        if now.bytes > total {
            total = now.bytes;
            meter.expect(total);
        }
        let moved = (now, hands.landings.written());
        // A range that is the last of its blob is shorter, and landings of others are counted too.
        meter.set(moved.1.saturating_sub(begun).saturating_mul(RANGE_BYTES).min(total));
        if before != Some(moved) {
            (before, still_since) = (Some(moved), Instant::now());
        }
        if still_since.elapsed() >= STILL_MAX {
            return Err(error(ErrorKind::Local, "nothing has landed for a minute; the log says why"));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// How far the snapshots of a subscription are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    accepted: bool,
    on_their_way: usize,
    /// Of those on their way.
    bytes: u64,
    refused: usize,
}

impl Progress {
    fn of(
        endpoint: &cohortium_protocol::endpoint::Endpoint,
        consortium: ConsortiumId,
        subscription: SubscriptionId,
    ) -> Option<Self> {
        let found = endpoint.state(consortium)?.subscriptions.get(&subscription)?;
        let count = |fate: Fate| found.snapshots.iter().filter(|snapshot| snapshot.fate == fate).count();
        let bytes = found.snapshots.iter().filter(|snapshot| snapshot.fate == Fate::Stated);
        Some(Self {
            accepted: found.terms.is_some(),
            on_their_way: count(Fate::Stated),
            bytes: bytes.map(|snapshot| snapshot.manifest.bytes.0).sum(),
            refused: count(Fate::Refused),
        })
    }
}
