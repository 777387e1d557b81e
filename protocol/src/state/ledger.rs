//! The ledger as it is told: at the operator what it has told its members, at a member what it was told, added up by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{State, known};
use crate::digest::DocumentDigest;
use crate::ident::{Name, ReleaseId};
use crate::key::signed::Signed;
use crate::message::document::Document;
use crate::record::announcement::Announcement;
use crate::record::charter::Charter;
use crate::record::debit::Debit;
use crate::record::objection::Objection;
use crate::record::project::BudgetShare;
use crate::rule::budget::Spending;
use crate::rule::ledger::{Before, Disagreement, disagreement};

use super::releases::Phase;

/// A debit as it was told.
#[derive(Debug, Clone)]
pub struct Line {
    /// As signed.
    pub signed: Signed<Debit>,
    /// Its content.
    pub debit: Debit,
    /// Where it does not agree with what is known here.
    pub disagreement: Option<Disagreement>,
}

/// An announcement as it was told.
#[derive(Debug, Clone)]
pub struct Announced {
    /// Its content.
    pub announcement: Announcement,
    /// Its digest.
    pub digest: DocumentDigest,
}

/// Debits of one account, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddedUp {
    /// How many.
    pub debits: u64,
    /// Their sum.
    pub spent: Spending,
}

/// Debits, announcements and objections in one consortium.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    lines: Vec<Line>,
    debited: BTreeSet<ReleaseId>,
    accounts: BTreeMap<Name, AddedUp>,
    announced: BTreeMap<ReleaseId, Announced>,
    objections: BTreeMap<ReleaseId, Vec<Objection>>,
    own: Spending,
    cap: Option<BudgetShare>,
}

impl Ledger {
    /// Every debit that was told, in order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The first debit that disagrees with what is known here.
    pub fn disagrees(&self) -> Option<&Line> {
        self.lines.iter().find(|line| line.disagreement.is_some())
    }

    /// Whether a release was debited.
    pub fn is_debited(&self, release: ReleaseId) -> bool {
        self.debited.contains(&release)
    }

    /// What the debits of an account come to.
    pub fn account(&self, account: &Name) -> AddedUp {
        self.accounts.get(account).copied().unwrap_or_default()
    }

    /// What all debits come to that this node's own rows were used for, in all accounts.
    pub const fn own(&self) -> Spending {
        self.own
    }

    /// How a release was announced last.
    pub fn announced(&self, release: ReleaseId) -> Option<&Announced> {
        self.announced.get(&release)
    }

    /// Announcements of releases that were not debited, by release.
    pub fn waiting(&self) -> impl Iterator<Item = &Announced> {
        self.announced.values().filter(|announced| !self.is_debited(announced.announcement.release))
    }

    /// Objections to a release, made or received.
    pub fn objections(&self, release: ReleaseId) -> &[Objection] {
        self.objections.get(&release).map_or(&[], Vec::as_slice)
    }

    /// Whether `party` has objected to a release as it was announced last.
    pub fn has_objected(&self, release: ReleaseId, party: &Name) -> bool {
        let digest = self.announced(release).map(|announced| announced.digest);
        self.objections(release).iter().any(|said| said.member == *party && Some(said.announcement) == digest)
    }

    /// The most that releases may cost this node's patients, over all consortia of the node, before this consortium gets no more.
    pub const fn cap(&self) -> Option<BudgetShare> {
        self.cap
    }

    pub(super) const fn set_cap(&mut self, cap: Option<BudgetShare>) {
        self.cap = cap;
    }
}

impl State {
    /// The operator tells every member; a member adds it up.
    pub(super) fn apply_debit(&mut self, signed: &Signed<Debit>, peer: Option<&Name>) {
        let debit = known(signed);
        let judged = disagreement(&debit, &self.before(&debit)).filter(|_| peer.is_some());
        let added = self.ledger.accounts.entry(debit.account.clone()).or_default();
        (added.debits, added.spent) = (debit.sequence, added.spent.with(debit.charge));
        if debit.members.contains(&self.party) {
            self.ledger.own = self.ledger.own.with(debit.charge);
        }
        self.ledger.debited.insert(debit.release);
        self.releases.tell(debit.release);
        self.ledger.lines.push(Line { signed: signed.clone(), debit, disagreement: judged });
        if peer.is_none() {
            self.tell_members(&Document::Debit(signed.clone()));
        }
    }

    fn before<'a>(&'a self, debit: &Debit) -> Before<'a> {
        let AddedUp { debits, spent } = self.ledger.account(&debit.account);
        let version = self.charters.chain().iter().find(|version| version.digest == debit.charter);
        Before {
            debits,
            spent,
            known: self.ledger.is_debited(debit.release),
            charter: version.map(|version| &version.charter),
            announced: self.ledger.announced(debit.release).map(|announced| &announced.announcement),
            objected: self.ledger.has_objected(debit.release, &self.party),
        }
    }

    /// The operator asks every member; the release waits.
    pub(super) fn apply_announcement(&mut self, signed: &Signed<Announcement>, peer: Option<&Name>) {
        let announcement = known(signed);
        let (release, until) = (announcement.release, announcement.until);
        self.ledger.announced.insert(release, Announced { announcement, digest: signed.digest() });
        if peer.is_none() {
            self.releases.wait(release, until);
            self.tell_members(&Document::Announcement(signed.clone()));
        }
    }

    /// A member tells the operator; there the release is over, and nothing was paid.
    pub(super) fn apply_objection(&mut self, signed: &Signed<Objection>, peer: Option<&Name>) {
        let objection = known(signed);
        let release = objection.release;
        if peer.is_some() {
            self.releases.close(release, Phase::Objected);
        } else if let Some(head) = self.charters.head() {
            let operator = head.charter.operator().0.clone();
            self.post(None, &operator, Document::Objection(signed.clone()));
        }
        self.ledger.objections.entry(release).or_default().push(objection);
    }

    fn tell_members(&mut self, document: &Document) {
        let Some(head) = self.charters.head() else { return };
        let (document, named) = (Arc::new(document.clone()), document.digest());
        for (member, _) in head.charter.members() {
            self.mail.entry(member.clone()).or_default().push_named(Arc::clone(&document), named);
        }
    }

    /// A member that is admitted is told of every debit of the charter's accounts, so that it can add them up.
    pub(super) fn tell_debits(&mut self, charter: &Charter, member: &Name) {
        for line in self.ledger.lines.iter().filter(|line| charter.accounts.contains_key(&line.debit.account)) {
            let document = Arc::new(Document::Debit(line.signed.clone()));
            // One that comes back has heard of those before it left.
            let mailbox = self.mail.entry(member.clone()).or_default();
            if !mailbox.holds(&document) {
                mailbox.push(document);
            }
        }
    }
}
