//! Work that the hands give to a worker process or to the sweep: it takes the hands along.

use std::sync::Arc;

use cohortium_protocol::endpoint::io::{
    ConsolidationPlan, Input, LandedVersion, MapPlan, PublishPlan, ReleasePlan, RequestPlan, RunPlan, Ticket,
};
use cohortium_protocol::ident::{ConsortiumId, ReleaseId, Text};

use cohortium_protocol::record::journal_entry::RunFault;
use tokio::time::Instant;

use crate::driver::hands::Hands;
use crate::driver::{consolidation, landed, mapping, publish, release, release_folder, run, sweep, vocabulary};

impl Hands {
    pub(crate) fn run(self: &Arc<Self>, ticket: Ticket, plan: Box<RunPlan>) {
        let hands = Arc::clone(self);
        self.tasks.spawn(async move {
            // Held until the end is in the queue: what the run made is named by nothing before.
            let making = Arc::clone(&hands.making).read_owned().await;
            let end = run::run(&hands, *plan).await;
            hands.queue.input(Input::RunEnded { ticket, end }).await;
            drop(making);
        });
    }

    pub(crate) fn map(self: &Arc<Self>, ticket: Ticket, plan: Box<MapPlan>) {
        let hands = Arc::clone(self);
        self.tasks.spawn(async move {
            let making = Arc::clone(&hands.making).read_owned().await;
            let end = mapping::run(&hands, *plan).await;
            hands.queue.input(Input::Mapped { ticket, end }).await;
            drop(making);
        });
    }

    pub(crate) fn load_vocabulary(self: &Arc<Self>, ticket: Ticket, folder: Text) {
        let hands = Arc::clone(self);
        self.tasks.spawn(async move {
            let making = Arc::clone(&hands.making).read_owned().await;
            let end = vocabulary::load(&hands, folder).await;
            hands.queue.input(Input::VocabularyLoaded { ticket, end }).await;
            drop(making);
        });
    }

    pub(crate) fn consolidate(self: &Arc<Self>, ticket: Ticket, plan: Box<ConsolidationPlan>) {
        let hands = Arc::clone(self);
        self.tasks.spawn(async move {
            let making = Arc::clone(&hands.making).read_owned().await;
            let end = consolidation::run(&hands, *plan).await.map(Box::new);
            hands.queue.input(Input::Consolidated { ticket, end }).await;
            drop(making);
        });
    }

    pub(crate) fn publish(self: &Arc<Self>, ticket: Ticket, plan: Box<PublishPlan>) {
        let hands = Arc::clone(self);
        self.report(async move { Input::Published { ticket, end: publish::run(&hands, *plan).await } });
    }

    pub(crate) fn read_request(self: &Arc<Self>, ticket: Ticket, plan: Box<RequestPlan>) {
        let hands = Arc::clone(self);
        self.report(async move { Input::RequestRead { ticket, read: release::read_request(&hands, *plan).await } });
    }

    pub(crate) fn release(self: &Arc<Self>, ticket: Ticket, plan: Box<ReleasePlan>) {
        let hands = Arc::clone(self);
        self.tasks.spawn(async move {
            // The time of a private answer begins here, not when a sweep lets it go on.
            let began = Instant::now();
            let making = Arc::clone(&hands.making).read_owned().await;
            let closed = hands.pool.closed();
            let end = tokio::select! {
                biased;
                () = closed.cancelled() => Err(RunFault::WorkerLost),
                end = release::make(&hands, began, *plan) => end,
            };
            hands.queue.input(Input::ReleaseMade { ticket, end }).await;
            drop(making);
        });
    }

    pub(crate) fn check(
        self: &Arc<Self>,
        ticket: Ticket,
        version: LandedVersion,
        release: Option<(ConsortiumId, ReleaseId)>,
    ) {
        let hands = Arc::clone(self);
        self.report(async move {
            let rows = match release {
                None => landed::check(&hands, &version).await,
                Some(release) => release_folder::check(&hands, &version, release).await,
            };
            Input::Checked { ticket, rows }
        });
    }

    pub(crate) fn sweep(self: &Arc<Self>) {
        let hands = Arc::clone(self);
        if self.sweeps.begin() {
            self.tasks.spawn(async move { sweep::run(&hands, &hands.sweeps).await });
        }
    }
}
