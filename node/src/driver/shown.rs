//! What the core shows to the other parts after each turn: who may connect, and when shares are due.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use cohortium_protocol::endpoint::Endpoint;
use cohortium_protocol::endpoint::io::Notice;
use cohortium_protocol::ident::{ConsortiumId, Name, ShareId};
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::record::pipeline::Trigger;
use cohortium_protocol::record::schedule::Schedule;
use cohortium_transport::{Admission, Alpn};
use tokio::sync::watch;

use crate::driver::clock;

/// What is due by the clock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Share(ShareId),
    Pipeline(Name),
}

/// What is due, and when.
pub(crate) type Due = (ConsortiumId, What, Schedule);

/// The latest state, shared.
#[derive(Clone, Default)]
pub(crate) struct Shown(Arc<Inner>);

#[derive(Default)]
struct Inner {
    admitted: RwLock<BTreeSet<PublicKey>>,
    joins: AtomicBool,
    schedules: watch::Sender<Vec<Due>>,
}

impl Shown {
    /// Takes over what the endpoint says now.
    pub(crate) fn refresh(&self, endpoint: &Endpoint) {
        let admitted: BTreeSet<PublicKey> = endpoint.admitted().into_iter().collect();
        let known = self.0.admitted.read().is_ok_and(|known| *known == admitted);
        if !known {
            *self.0.admitted.write().unwrap_or_else(PoisonError::into_inner) = admitted;
        }
        self.0.joins.store(endpoint.expects_joins(clock::wall()), Ordering::Release);
        let due = endpoint.consortia().flat_map(|consortium| {
            let schedules = endpoint.schedules(consortium).into_iter();
            let shares = schedules.map(move |(share, schedule)| (consortium, What::Share(share), schedule));
            let pipelines = endpoint.state(consortium).into_iter().flat_map(|state| state.pipelines.values());
            let pipelines = pipelines.filter_map(move |piped| match &piped.pipeline.trigger {
                Trigger::Schedule(schedule) => {
                    Some((consortium, What::Pipeline(piped.pipeline.name.clone()), schedule.clone()))
                }
                Trigger::Landed { .. } | Trigger::NewFile { .. } => None,
            });
            shares.chain(pipelines)
        });
        let due: Vec<Due> = due.collect();
        self.0.schedules.send_if_modified(|have| {
            let differs = *have != due;
            if differs {
                *have = due;
            }
            differs
        });
    }

    /// Nobody may connect any more.
    pub(crate) fn clear(&self) {
        self.0.admitted.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn schedules(&self) -> watch::Receiver<Vec<Due>> {
        self.0.schedules.subscribe()
    }

    pub(crate) fn admission(&self) -> Roster {
        Roster(self.clone())
    }
}

/// Who may connect, for the transport.
pub(crate) struct Roster(Shown);

impl Admission for Roster {
    /// A joining hospital is known to nobody yet: while a token is out, whoever speaks the join protocol is heard briefly.
    fn admits(&self, alpn: Alpn, key: &PublicKey) -> bool {
        match alpn {
            Alpn::Join => self.0.0.joins.load(Ordering::Acquire),
            Alpn::Member => self.0.0.admitted.read().unwrap_or_else(PoisonError::into_inner).contains(key),
        }
    }
}

/// A notice as a line of the log: names of parties, ids, codes and counts.
pub(crate) fn log(notice: &Notice) {
    match notice {
        Notice::PeerUp(peer) => tracing::info!(event = "peer-up", %peer),
        Notice::PeerDown(peer) => tracing::info!(event = "peer-down", %peer),
        Notice::Refused { peer, code } => {
            let peer = peer.as_ref().map(tracing::field::display);
            tracing::warn!(event = "refused", peer, code = code.code(), name = code.name());
        }
        // Nothing passes to that peer until people have looked.
        Notice::MailForked(peer) => tracing::error!(event = "mail-forked", %peer),
        Notice::CharterInForce(version) => tracing::info!(event = "charter-in-force", version),
        Notice::Stated(share, snapshot) => tracing::info!(event = "stated", %share, %snapshot),
        Notice::RunFailed(share, fault) => tracing::warn!(event = "run-failed", %share, ?fault),
        Notice::Unchanged(share) => tracing::info!(event = "unchanged", %share),
        Notice::Mapped(mapping) => tracing::info!(event = "mapped", %mapping),
        Notice::MappingFailed(mapping, fault) => tracing::warn!(event = "mapping-failed", %mapping, ?fault),
        Notice::VocabularyLoaded(vocabulary) => tracing::info!(event = "vocabulary-loaded", %vocabulary),
        Notice::VocabularyFailed(fault) => tracing::warn!(event = "vocabulary-failed", ?fault),
        Notice::Consolidated(consolidation) => tracing::info!(event = "consolidated", %consolidation),
        Notice::ConsolidatedAlready => tracing::info!(event = "consolidated-already"),
        Notice::Published(consolidation) => tracing::info!(event = "published", %consolidation),
        Notice::PublishFailed(consolidation, fault) => {
            tracing::warn!(event = "publish-failed", %consolidation, ?fault);
        }
        Notice::ConsolidationFailed(fault) => tracing::warn!(event = "consolidation-failed", ?fault),
        Notice::ReleaseRefused(release, refusal) => tracing::info!(event = "release-refused", %release, ?refusal),
        Notice::ReleaseMade(release) => tracing::info!(event = "release-made", %release),
        // Why, depends on rows: it is for the privacy officer (law 7).
        Notice::ReleaseNotMade(release) => tracing::warn!(event = "release-not-made", %release),
        Notice::Announced(release, until) => tracing::info!(event = "release-announced", %release, %until),
        Notice::Objected(release, member) => tracing::warn!(event = "release-objected", %release, %member),
        Notice::LedgerDisagrees(release, why) => tracing::error!(event = "ledger-disagrees", %release, %why),
        Notice::CapPassed => tracing::error!(event = "cap-passed"),
        Notice::Withdrawn(release) => tracing::warn!(event = "release-withdrawn", %release),
        // How many rows landed is for the person who asks, not for a log file (law 8).
        Notice::Landed(subscription, snapshot, _) => tracing::info!(event = "landed", %subscription, %snapshot),
        Notice::LandingRefused(subscription, snapshot, code) => {
            tracing::warn!(event = "landing-refused", %subscription, %snapshot, code = code.code());
        }
        Notice::Revoked(subscription) => tracing::info!(event = "revoked", %subscription),
        // Both checkpoints are kept; whoever has them can show that the log was not one.
        Notice::SplitView(peer) => tracing::error!(event = "split-view", %peer),
        Notice::Lied(peer, digest) => tracing::error!(event = "lied", %peer, %digest),
    }
}
