//! The hands: what effects are carried out with. Each effect becomes a task that reports back to the queue.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cohortium_protocol::code::MessageType;
use cohortium_protocol::endpoint::io::{Answer, Input, Message, Part, Ticket, Under};
use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_protocol::key::pair::SealingKey;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::charter::CharterKind;
use cohortium_protocol::record::listing::BlobRef;
use cohortium_store::blob::BlobStore;
use tokio::sync::RwLock;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::driver::audit::Audit;
use crate::driver::books::Book;
use crate::driver::bulk::{self, Outlet, Unserved, Wanted};
use crate::driver::cuts::Cuts;
use crate::driver::finder::Finder;
use crate::driver::keys::Keys;
use crate::driver::landings::Landings;
use crate::driver::linkage::{self, Received, Which};
use crate::driver::listings::listing;
use crate::driver::queue::Queue;
use crate::driver::sweeps::Sweeps;
use crate::driver::told::Told;
use crate::driver::wires::{self, ReplyTo, Wire};
use crate::driver::witness::{self, Cosignature, Witnessed};
use crate::worker::pool::Pool;

/// How long tasks may take to end when the node stops.
const END_DEADLINE: Duration = Duration::from_secs(5);

/// What the node knows of a consortium besides what the endpoint knows.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) party: Name,
    pub(crate) kind: CharterKind,
    pub(crate) book: Book,
    pub(crate) audit: Audit,
    pub(crate) witnessed: Witnessed,
    pub(crate) finder: Finder,
}

/// Everything effects are carried out with.
pub(crate) struct Hands {
    pub(crate) queue: Queue,
    pub(crate) blobs: BlobStore,
    pub(crate) keys: Arc<Keys>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) landings: Arc<Landings>,
    pub(crate) cuts: Cuts,
    /// Read by whoever makes blobs that nothing names yet; written by the sweep.
    pub(crate) making: Arc<RwLock<()>>,
    /// Read by whoever looks whether a blob is there; written by the sweep.
    pub(crate) opening: Arc<RwLock<()>>,
    pub(crate) tasks: TaskTracker,
    places: Mutex<BTreeMap<ConsortiumId, Place>>,
    followers: Mutex<Vec<AbortHandle>>,
    pub(crate) sweeps: Sweeps,
    pub(crate) told: Told,
}

impl Hands {
    pub(crate) fn new(queue: Queue, blobs: BlobStore, keys: Keys, pool: Pool) -> Self {
        Self {
            landings: Arc::new(Landings::new(blobs.clone())),
            queue,
            blobs,
            keys: Arc::new(keys),
            pool: Arc::new(pool),
            cuts: Cuts::default(),
            making: Arc::default(),
            opening: Arc::default(),
            tasks: TaskTracker::new(),
            places: Mutex::default(),
            followers: Mutex::default(),
            sweeps: Sweeps::default(),
            told: Told::default(),
        }
    }

    pub(crate) fn add_place(&self, consortium: ConsortiumId, place: Place) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(consortium, place);
    }

    pub(crate) fn place(&self, consortium: &ConsortiumId) -> Option<Place> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).get(consortium).cloned()
    }

    pub(crate) fn places(&self) -> BTreeMap<ConsortiumId, Place> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs `work` until the node stops, beside the tasks that end by themselves.
    pub(crate) fn follow(&self, work: impl Future<Output = ()> + Send + 'static) {
        let follower = tokio::spawn(work).abort_handle();
        self.followers.lock().unwrap_or_else(PoisonError::into_inner).push(follower);
    }

    /// Runs `work` and reports what it gives.
    pub(super) fn report(&self, work: impl Future<Output = Input> + Send + 'static) {
        let queue = self.queue.clone();
        self.tasks.spawn(async move {
            let input = work.await;
            queue.input(input).await;
        });
    }

    /// Runs `work` on a blocking thread and reports what it gives; `lost` when it panics.
    fn report_blocking(&self, lost: Input, work: impl FnOnce() -> Input + Send + 'static) {
        self.report(async move { spawn_blocking(work).await.unwrap_or(lost) });
    }

    pub(crate) fn ask(&self, wire: Option<&Wire>, ticket: Ticket, message: Message) {
        let connection = match wire {
            Some(Wire::Network { connection, .. }) => Some(connection.clone()),
            // A folder is sent nothing.
            Some(Wire::Folder(_)) | None => None,
        };
        let (wire, queue) = (wire.cloned(), self.queue.clone());
        self.tasks.spawn(async move {
            let answer = match connection {
                Some(connection) => wires::ask(&connection, &message).await,
                None => Answer::Lost,
            };
            let greeted = matches!(&answer, Answer::Message(message) if message.kind == MessageType::HelloAck);
            queue.input(Input::Answered { ticket, answer }).await;
            // After the answer is in the queue: what the peer sends from now on comes behind it.
            if let Some(wire) = wire.filter(|_| greeted) {
                wire.greet();
            }
        });
    }

    pub(crate) fn fetch(&self, wire: Option<&Wire>, under: Under, ticket: Ticket, wanted: Wanted) {
        let (token, landings, wire) = (self.cuts.token(under), Arc::clone(&self.landings), wire.cloned());
        self.report(async move {
            let fetched = async {
                match wire {
                    Some(Wire::Network { connection, .. }) => bulk::fetch(&connection, &wanted, &landings).await,
                    Some(Wire::Folder(folder)) => bulk::take_in(&folder, &wanted, &landings).await,
                    None => Answer::Lost,
                }
            };
            let answer = tokio::select! {
                biased;
                () = token.cancelled() => Answer::Lost,
                answer = fetched => answer,
            };
            Input::Answered { ticket, answer }
        });
    }

    pub(crate) fn serve(&self, to: ReplyTo, under: Under, blob: BlobRef, part: Part) {
        let ReplyTo::Stream(send, recv) = to else { return };
        let (token, blobs, counted) = (self.cuts.token(under), self.blobs.clone(), Arc::new(AtomicU64::new(0)));
        let outlet = Outlet { send, recv, sent: Arc::clone(&counted) };
        self.report(async move {
            // When the token is cancelled the outlet is dropped, which resets the stream: no byte follows.
            let served = tokio::select! {
                biased;
                () = token.cancelled() => Ok(()),
                served = bulk::serve(outlet, blobs, blob, part) => served,
            };
            if let Err(Unserved::Store(fault)) = served {
                tracing::error!(event = "blob-unreadable", digest = %blob.digest, %fault);
            }
            Input::Served { under, bytes: Bytes(counted.load(Ordering::Relaxed)) }
        });
    }

    pub(crate) fn open_landing(&self, ticket: Ticket, blob: BlobRef) {
        let (landings, opening) = (Arc::clone(&self.landings), Arc::clone(&self.opening));
        self.report(async move {
            let opening = opening.read_owned().await;
            let state = spawn_blocking(move || landings.open(blob)).await.ok().flatten();
            drop(opening);
            Input::LandingOpened { ticket, state }
        });
    }

    pub(crate) fn finish_blob(&self, ticket: Ticket, blob: BlobRef) {
        let landings = Arc::clone(&self.landings);
        self.report_blocking(Input::BlobFinished { ticket, durable: false }, move || Input::BlobFinished {
            ticket,
            durable: landings.finish(blob),
        });
    }

    pub(crate) fn read_listing(&self, ticket: Ticket, blob: BlobRef) {
        let blobs = self.blobs.clone();
        self.report_blocking(Input::ListingRead { ticket, listing: None }, move || Input::ListingRead {
            ticket,
            listing: listing(&blobs, blob),
        });
    }

    fn which(&self, consortium: ConsortiumId, epoch: u32) -> Option<(Which, Place)> {
        let place = self.place(&consortium)?;
        Some((Which { kind: place.kind, consortium, epoch }, place))
    }

    pub(crate) fn make_linkage_key(&self, ticket: Ticket, consortium: ConsortiumId, epoch: u32) {
        let (keys, which) = (Arc::clone(&self.keys), self.which(consortium, epoch));
        let lost = Input::LinkageKey { ticket, key: None };
        self.report_blocking(lost.clone(), move || {
            which.map_or(lost, |(which, _)| linkage::make(&keys, which, ticket))
        });
    }

    pub(crate) fn wrap_linkage_key(
        &self,
        ticket: Ticket,
        consortium: ConsortiumId,
        epoch: u32,
        recipients: Vec<(Name, SealingKey)>,
    ) {
        let (keys, which) = (Arc::clone(&self.keys), self.which(consortium, epoch));
        let lost = Input::LinkageKey { ticket, key: None };
        self.report_blocking(lost.clone(), move || {
            which.and_then(|(which, _)| linkage::wrap_all(&keys, which, ticket, recipients)).unwrap_or(lost)
        });
    }

    pub(crate) fn open_linkage_wrap(&self, ticket: Ticket, consortium: ConsortiumId, epoch: u32, received: Received) {
        let (keys, which) = (Arc::clone(&self.keys), self.which(consortium, epoch));
        let lost = Input::LinkageKey { ticket, key: None };
        self.report_blocking(lost.clone(), move || {
            which.map_or(lost, |(which, place)| linkage::open(&keys, which, ticket, &place.party, &received))
        });
    }

    pub(crate) fn prove_log(&self, ticket: Ticket, consortium: ConsortiumId, from: u64) {
        let (place, lost) = (self.place(&consortium), Input::LogProof { ticket, proof: None });
        self.report_blocking(lost.clone(), move || {
            place.map_or(lost, |place| witness::prove(&place.audit, ticket, from))
        });
    }

    pub(crate) fn witness(&self, ticket: Ticket, consortium: ConsortiumId, peer: Name, checkpoint: String) {
        let (place, lost) = (self.place(&consortium), Input::Witnessed { ticket, durable: false });
        self.report_blocking(lost.clone(), move || {
            place.map_or(lost, |place| place.witnessed.keep(ticket, &peer, &checkpoint))
        });
    }

    pub(crate) fn keep_cosignature(&self, consortium: ConsortiumId, cosignature: Cosignature) {
        if let Some(place) = self.place(&consortium) {
            self.tasks.spawn_blocking(move || witness::add(&place.witnessed, &place.audit, &cosignature));
        }
    }

    pub(crate) fn keep_evidence(&self, consortium: ConsortiumId, peer: Name, last: String, now: String) {
        if let Some(place) = self.place(&consortium) {
            self.tasks.spawn_blocking(move || place.witnessed.keep_evidence(&peer, &last, &now));
        }
    }

    /// Ends every task: transfers are cut, runs are killed. What they leave is taken up after the next start.
    pub(crate) async fn end(&self) {
        self.cuts.cut_all();
        self.pool.close();
        self.tasks.close();
        let _ = timeout(END_DEADLINE, self.tasks.wait()).await;
    }

    /// Makes landings safe and the audit logs complete, closes the indexes, and lets go of the journals.
    pub(crate) async fn save(&self) {
        let followers = std::mem::take(&mut *self.followers.lock().unwrap_or_else(PoisonError::into_inner));
        followers.iter().for_each(AbortHandle::abort);
        let places = std::mem::take(&mut *self.places.lock().unwrap_or_else(PoisonError::into_inner));
        let landings = Arc::clone(&self.landings);
        let saved = spawn_blocking(move || {
            landings.checkpoint_all();
            for (consortium, place) in places {
                if let Err(fault) = place.audit.catch_up() {
                    tracing::error!(event = "log-failed", %consortium, %fault);
                }
                place.finder.close();
            }
        });
        // A panic has been printed already, and what it left undone is caught up at the next start.
        let _ = saved.await;
    }
}
