//! Projects and releases: what is approved, what was asked, reserved, made, signed and recalled. The ledger is a view of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::subscription::{Side, Subscription};
use super::{State, known};
use crate::digest::DocumentDigest;
use crate::ident::{Name, ReleaseId};
use crate::key::signed::Signed;
use crate::message::document::Document;
use crate::record::charter::Charter;
use crate::record::consolidation::Consolidation;
use crate::record::listing::BlobRef;
use crate::record::made_release::MadeRelease;
use crate::record::project::Project;
use crate::record::refusal::Refusal;
use crate::record::release::{BodyFile, Release};
use crate::record::reservation::Reservation;
use crate::record::run_fault::RunFault;
use crate::record::share::{Content, Share};
use crate::record::withdrawal::Withdrawal;
use crate::rule::budget::Spending;
use crate::time::UnixMillis;

/// A project in its last approved version.
#[derive(Debug, Clone)]
pub struct Approved {
    /// As signed.
    pub signed: Signed<Project>,
    /// Its content.
    pub project: Project,
    /// Its digest.
    pub digest: DocumentDigest,
}

/// How far a release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its request waits for its review.
    Asked,
    /// Review has refused it; nothing was paid.
    Refused(Refusal),
    /// The same was asked before: this is that release.
    Same(ReleaseId),
    /// It is announced, and members may object until then.
    Announced(UnixMillis),
    /// A member has objected in time; nothing was paid.
    Objected,
    /// It is paid for and computed.
    Reserved,
    /// It is made and waits for the privacy officer.
    Made,
    /// It was paid for and not made.
    Failed(RunFault),
    /// An attack on it succeeded.
    Stopped(BlobRef),
    /// The privacy officer does not sign it.
    Declined,
    /// It is signed.
    Released,
    /// It was recalled.
    Withdrawn,
}

/// A debit that is on record.
#[derive(Debug, Clone)]
pub struct Reserved {
    /// The journal entry.
    pub entry: u64,
    /// When.
    pub at: UnixMillis,
    /// The project's name, in every version.
    pub project: Name,
    /// What was reserved.
    pub reservation: Reservation,
    /// The set whose rows it reads.
    pub set: Option<Arc<Consolidation>>,
}

/// A release as its operator signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRelease {
    /// The journal entry that holds it.
    pub entry: u64,
    /// The statement.
    pub signed: Signed<Release>,
}

/// A release from its request on.
#[derive(Debug, Clone)]
pub struct Filed {
    /// Its id.
    pub release: ReleaseId,
    /// Who asked.
    pub person: Name,
    /// When.
    pub at: UnixMillis,
    /// The request's words.
    pub request: BlobRef,
    /// How far it is.
    pub phase: Phase,
    /// What was paid.
    pub reserved: Option<Reserved>,
    /// What was made, and when.
    pub made: Option<(UnixMillis, Box<MadeRelease>)>,
    /// What was signed.
    pub released: Option<SignedRelease>,
    /// Its recall.
    pub withdrawal: Option<Signed<Withdrawal>>,
}

/// What a requester may know of a release (law 7, spec REL-12): after the payment it is one of three words, whatever rows made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It is not decided.
    Waits,
    /// Review has refused it.
    Refused(Refusal),
    /// There will be no release.
    NotReleased,
    /// It is this release.
    Is(ReleaseId),
    /// It was recalled.
    Withdrawn(ReleaseId),
}

/// Projects, releases and recalls in one consortium.
#[derive(Debug, Clone, Default)]
pub struct Releases {
    drafts: BTreeMap<Name, (Project, DocumentDigest)>,
    approved: BTreeMap<Name, Approved>,
    filed: BTreeMap<ReleaseId, Filed>,
    /// Asked for, and neither signed nor refused, in order.
    open: Vec<ReleaseId>,
    /// Reserved, in order.
    ledger: Vec<ReleaseId>,
    /// Their sums by account, and by account and project: a review adds up no ledger.
    spent: BTreeMap<Name, Spending>,
    spent_by: BTreeMap<(Name, Name), Spending>,
    /// Reserved, by what was asked; in order.
    asked: BTreeMap<DocumentDigest, Vec<ReleaseId>>,
    /// Reserved, and members are not told; in order.
    untold: Vec<ReleaseId>,
    withdrawals: BTreeMap<ReleaseId, Withdrawal>,
}

impl Releases {
    /// A project in its last approved version.
    pub fn project(&self, name: &Name) -> Option<&Approved> {
        self.approved.get(name)
    }

    /// Every project in its last approved version.
    pub fn projects(&self) -> impl Iterator<Item = &Approved> {
        self.approved.values()
    }

    /// Projects that were defined and wait for approval, each with its digest.
    pub fn drafts(&self) -> impl Iterator<Item = &(Project, DocumentDigest)> {
        self.drafts.values()
    }

    /// The draft of this digest.
    pub fn draft(&self, project: DocumentDigest) -> Option<&Project> {
        self.drafts.values().find(|(_, digest)| *digest == project).map(|(draft, _)| draft)
    }

    /// A release.
    pub fn get(&self, release: ReleaseId) -> Option<&Filed> {
        self.filed.get(&release)
    }

    /// Every release that was asked for here.
    pub fn all(&self) -> impl Iterator<Item = &Filed> {
        self.filed.values()
    }

    /// Those that are asked for and neither signed nor refused, the oldest first.
    pub fn open(&self) -> impl Iterator<Item = &Filed> {
        self.open.iter().filter_map(|id| self.filed.get(id))
    }

    /// Every debit, the oldest first: the ledger. What came of it does not matter (law 2).
    pub fn ledger(&self) -> impl Iterator<Item = &Filed> {
        self.ledger.iter().filter_map(|id| self.filed.get(id))
    }

    /// The debits of one account: of one population, over all projects and tables (law 3).
    pub fn history<'a>(&'a self, account: &'a Name) -> impl Iterator<Item = (&'a Filed, &'a Reserved)> {
        let reserved = self.ledger().filter_map(|filed| Some((filed, filed.reserved.as_ref()?)));
        reserved.filter(move |(_, reserved)| reserved.reservation.account == *account)
    }

    /// The sum of an account's debits.
    pub fn spent(&self, account: &Name) -> Spending {
        self.spent.get(account).copied().unwrap_or_default()
    }

    /// The sum of the debits of a project, in all its versions.
    pub fn spent_by(&self, account: &Name, project: &Name) -> Spending {
        self.spent_by.get(&(account.clone(), project.clone())).copied().unwrap_or_default()
    }

    /// Debits for the same question, the oldest first.
    pub fn of_question(&self, question: DocumentDigest) -> impl Iterator<Item = &Filed> {
        self.asked.get(&question).into_iter().flatten().filter_map(|id| self.filed.get(id))
    }

    /// Debits that members are not told of, the oldest first.
    pub fn untold(&self) -> impl Iterator<Item = &Reserved> {
        self.untold.iter().filter_map(|id| self.filed.get(id)?.reserved.as_ref())
    }

    pub(super) fn tell(&mut self, release: ReleaseId) {
        self.untold.retain(|untold| *untold != release);
    }

    fn debit(&mut self, reserved: &Reserved) {
        let Reserved { project, reservation, .. } = reserved;
        let (account, charge) = (&reservation.account, reservation.charge);
        let sum = self.spent.entry(account.clone()).or_default();
        *sum = sum.with(charge);
        let sum = self.spent_by.entry((account.clone(), project.clone())).or_default();
        *sum = sum.with(charge);
        self.asked.entry(reservation.question).or_default().push(reservation.release);
        self.untold.push(reservation.release);
        self.ledger.push(reservation.release);
    }

    /// The recall of a release.
    pub fn withdrawal(&self, release: ReleaseId) -> Option<&Withdrawal> {
        self.withdrawals.get(&release)
    }

    /// Recalls, made or received.
    pub fn withdrawals(&self) -> impl Iterator<Item = &Withdrawal> {
        self.withdrawals.values()
    }

    /// What earlier releases told of patients of an account, the oldest first: those that were made and may be or have been
    /// delivered. What was delivered cannot be recalled.
    pub fn told(&self, account: &Name) -> Vec<(ReleaseId, BlobRef)> {
        let told = self.history(account).filter_map(|(filed, _)| {
            let delivered = matches!(filed.phase, Phase::Made | Phase::Released | Phase::Withdrawn);
            let memory = filed.made.as_ref().and_then(|(_, made)| made.memory);
            memory.filter(|_| delivered).map(|memory| (filed.release, memory))
        });
        told.collect()
    }

    /// What its requester may know of a release.
    pub fn told_requester(&self, release: ReleaseId) -> Option<Told> {
        let filed = self.filed.get(&release)?;
        Some(match filed.phase {
            Phase::Asked | Phase::Announced(_) | Phase::Reserved | Phase::Made => Told::Waits,
            Phase::Refused(refusal) => Told::Refused(refusal),
            // Never a chain: what is the same as another is itself never the same as a third.
            Phase::Same(same) => self.filed.get(&same).map_or(Told::NotReleased, |filed| match filed.phase {
                Phase::Released => Told::Is(same),
                Phase::Withdrawn => Told::Withdrawn(same),
                Phase::Failed(_) | Phase::Stopped(_) | Phase::Declined | Phase::Objected | Phase::Refused(_) => {
                    Told::NotReleased
                }
                Phase::Asked | Phase::Announced(_) | Phase::Reserved | Phase::Made | Phase::Same(_) => Told::Waits,
            }),
            Phase::Failed(_) | Phase::Stopped(_) | Phase::Declined | Phase::Objected => Told::NotReleased,
            Phase::Released => Told::Is(release),
            Phase::Withdrawn => Told::Withdrawn(release),
        })
    }

    /// Blobs that must stay: words of requests that are not decided, reports for the officer, what was told of patients,
    /// bodies that may still leave.
    pub fn live_blobs(&self) -> Vec<BlobRef> {
        let mut live = Vec::new();
        for filed in self.filed.values() {
            let made = filed.made.as_ref().map(|(_, made)| made);
            match filed.phase {
                Phase::Asked | Phase::Announced(_) | Phase::Reserved | Phase::Made => live.push(filed.request),
                Phase::Stopped(report) => live.extend([filed.request, report]),
                Phase::Refused(_)
                | Phase::Same(_)
                | Phase::Failed(_)
                | Phase::Declined
                | Phase::Objected
                | Phase::Released
                | Phase::Withdrawn => {}
            }
            if matches!(filed.phase, Phase::Made | Phase::Released | Phase::Withdrawn) {
                live.extend(made.into_iter().flat_map(|made| [Some(made.report), made.memory]).flatten());
            }
            if matches!(filed.phase, Phase::Made | Phase::Released) {
                live.extend(made.into_iter().flat_map(|made| made.body.iter().map(BodyFile::blob)));
            }
        }
        live
    }

    pub(super) fn define(&mut self, project: Project) {
        let digest = Signed::unsigned(&project).digest();
        self.drafts.insert(project.name.clone(), (project, digest));
    }

    pub(super) fn file(&mut self, release: ReleaseId, person: Name, at: UnixMillis, request: BlobRef) {
        let (phase, reserved, made, released, withdrawal) = (Phase::Asked, None, None, None, None);
        let filed = Filed { release, person, at, request, phase, reserved, made, released, withdrawal };
        self.filed.insert(release, filed);
        self.open.push(release);
    }

    /// A release that is decided is not open any more.
    pub(super) fn close(&mut self, release: ReleaseId, phase: Phase) {
        self.enter(release, phase, |_| ());
        self.open.retain(|open| *open != release);
    }

    pub(super) fn wait(&mut self, release: ReleaseId, until: UnixMillis) {
        self.enter(release, Phase::Announced(until), |_| ());
    }

    pub(super) fn make(&mut self, release: ReleaseId, at: UnixMillis, made: Box<MadeRelease>) {
        self.enter(release, Phase::Made, |filed| filed.made = Some((at, made)));
    }

    fn enter(&mut self, release: ReleaseId, phase: Phase, change: impl FnOnce(&mut Filed)) {
        if let Some(filed) = self.filed.get_mut(&release) {
            filed.phase = phase;
            change(filed);
        }
    }
}

/// The release that a share is of.
pub fn offered_release(share: &Share) -> Option<ReleaseId> {
    match share.content {
        Content::Release { release } => Some(release),
        Content::Table(_) | Content::UncheckedFiles => None,
    }
}

impl State {
    /// Subscriptions to shares of a release, on either side.
    pub fn subscriptions_to_release(&self, release: ReleaseId) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.values().filter(move |found| offered_release(&found.invitation.share) == Some(release))
    }

    /// The operator tells every member; one that is admitted later is told with the charter.
    pub(super) fn apply_project(&mut self, signed: &Signed<Project>, peer: Option<&Name>) {
        let project = known(signed);
        let (name, digest) = (project.name.clone(), signed.digest());
        self.releases.drafts.retain(|_, (_, draft)| *draft != digest);
        self.releases.approved.insert(name, Approved { signed: signed.clone(), project, digest });
        let Some(head) = self.charters.head().filter(|_| peer.is_none()) else { return };
        let document = Arc::new(Document::Project(signed.clone()));
        for (member, _) in head.charter.members() {
            self.mail.entry(member.clone()).or_default().push(Arc::clone(&document));
        }
    }

    /// A member that is admitted is told the projects that the charter has room for.
    pub(super) fn tell_projects(&mut self, charter: &Charter, member: &Name) {
        let fits = |known: &&Approved| crate::rule::review::fits_charter(&known.project, charter).is_ok();
        for known in self.releases.approved.values().filter(fits) {
            let document = Arc::new(Document::Project(known.signed.clone()));
            self.mail.entry(member.clone()).or_default().push(document);
        }
    }

    pub(super) fn apply_reservation(&mut self, reservation: &Reservation, at: UnixMillis) {
        let set = self.tables.sets().iter().find(|set| set.digest == reservation.consolidation);
        let set = set.map(|set| Arc::new(set.consolidation.clone()));
        let entry = self.entries.saturating_sub(1);
        let of_project = self.releases.approved.values().find(|known| known.digest == reservation.project);
        let Some(project) = of_project.map(|known| known.project.name.clone()) else { return };
        let release = reservation.release;
        let reserved = Reserved { entry, at, project, reservation: reservation.clone(), set };
        self.releases.debit(&reserved);
        self.releases.enter(release, Phase::Reserved, |filed| filed.reserved = Some(reserved));
    }

    pub(super) fn apply_release(&mut self, signed: &Signed<Release>) {
        let release = known(signed).release;
        let entry = self.entries.saturating_sub(1);
        let released = SignedRelease { entry, signed: signed.clone() };
        self.releases.enter(release, Phase::Released, |filed| filed.released = Some(released));
        self.releases.open.retain(|open| *open != release);
    }

    /// The operator tells every party that was invited to it. On both sides no further byte flows, and what has landed is
    /// erased, whatever the terms say of landed rows.
    pub(super) fn apply_withdrawal(&mut self, signed: &Signed<Withdrawal>, peer: Option<&Name>) {
        let withdrawal = known(signed);
        let release = withdrawal.release;
        let mut parties = BTreeSet::new();
        for found in self.subscriptions.values_mut() {
            let side = if peer.is_some() { Side::Consumer } else { Side::Provider };
            let ours = found.side == side && peer.is_none_or(|peer| found.peer == *peer);
            if ours && offered_release(&found.invitation.share) == Some(release) {
                found.withdraw();
                parties.insert(found.peer.clone());
            }
        }
        for party in parties {
            self.post(peer, &party, Document::Withdrawal(signed.clone()));
        }
        self.releases.enter(release, Phase::Withdrawn, |filed| filed.withdrawal = Some(signed.clone()));
        self.releases.withdrawals.insert(release, withdrawal);
    }
}
