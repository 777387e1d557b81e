//! One subscription as either side knows it: terms, answers, changes, snapshots, and whether bytes may flow now.

use crate::code::ErrorCode;
use crate::digest::DocumentDigest;
use crate::ident::{Name, SnapshotId, SubscriptionId};
use crate::quantity::Bytes;
use crate::record::acceptance::{Answer, StandingState};
use crate::record::charter::LandedRows;
use crate::record::invitation::Invitation;
use crate::record::listing::BlobRef;
use crate::record::manifest::{Base, Manifest};
use crate::record::revocation::Change;
use crate::record::schedule::Schedule;
use crate::record::share::Share;
use crate::rule::snapshot_chain::ChainHead;
use crate::time::UnixMillis;

/// Which side of a subscription this node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It offers.
    Provider,
    /// It receives.
    Consumer,
}

/// What became of a snapshot at the consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Stated; no receipt yet.
    Stated,
    /// Landed.
    Landed,
    /// Refused.
    Refused,
    /// Landed and erased.
    Erased,
}

/// One snapshot of a subscription.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its id.
    pub id: SnapshotId,
    /// What the provider stated.
    pub manifest: Manifest,
    /// What became of it.
    pub fate: Fate,
    /// Consumer: whether the erasure has been stated to the provider.
    pub erasure_stated: bool,
}

/// Whether bytes flow, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waits for the consumer's answer.
    Invited,
    /// Bytes may flow.
    Active,
    /// The consumer wants nothing for now.
    Paused,
    /// The provider has revoked it.
    Revoked,
    /// The consumer said no.
    Refused,
    /// The consumer has ended it.
    Ended,
    /// Its time is over.
    Expired,
}

/// One subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Which side this node is.
    pub side: Side,
    /// The other side.
    pub peer: Name,
    /// The last invitation.
    pub invitation: Invitation,
    /// Its digest: what an answer names.
    pub invitation_digest: DocumentDigest,
    /// The answer to it.
    pub answer: Option<Answer>,
    /// The last invitation that was accepted: its terms bind until another is.
    pub accepted: Option<Invitation>,
    /// Its digest.
    pub accepted_digest: Option<DocumentDigest>,
    /// The digest of the share's terms in the last accepted invitation.
    pub terms: Option<DocumentDigest>,
    /// What bound before that, until the next invitation says that the provider holds it as accepted.
    former: Option<Box<Former>>,
    /// The consumer's wish.
    pub standing: StandingState,
    /// Number of the consumer's last standing.
    pub standing_sequence: u32,
    /// Whether the provider has revoked.
    pub revoked: bool,
    /// Whether the release that is shared was recalled: for good, and nothing of it is kept.
    pub withdrawn: bool,
    /// Number of the provider's last change.
    pub change_sequence: u32,
    /// When it ends.
    pub expires: UnixMillis,
    /// When snapshots are taken.
    pub schedule: Schedule,
    /// What the provider has changed since the last invitation, which an answer to that does not undo: a change and an
    /// answer may cross on their way.
    pub changed: (Option<UnixMillis>, Option<Schedule>),
    /// Snapshots stated to the consumer, in order.
    pub snapshots: Vec<Snapshot>,
    /// The landed version in use.
    pub current: Option<SnapshotId>,
    /// Bytes that left under it.
    pub served: Bytes,
}

/// What bound before an acceptance that the provider may not have heard in time.
#[derive(Debug, Clone)]
struct Former {
    accepted: Option<Invitation>,
    accepted_digest: Option<DocumentDigest>,
    terms: Option<DocumentDigest>,
    expires: UnixMillis,
    schedule: Schedule,
}

impl Subscription {
    /// A new one, from its first invitation.
    pub fn new(side: Side, peer: Name, invitation: Invitation, digest: DocumentDigest) -> Self {
        Self {
            id: invitation.subscription,
            side,
            peer,
            answer: None,
            accepted: None,
            accepted_digest: None,
            terms: None,
            former: None,
            standing: StandingState::Active,
            standing_sequence: 0,
            revoked: false,
            withdrawn: false,
            change_sequence: 0,
            expires: invitation.share.expires,
            schedule: invitation.share.schedule.clone(),
            changed: (None, None),
            snapshots: Vec::new(),
            current: None,
            served: Bytes(0),
            invitation_digest: digest,
            invitation,
        }
    }

    /// Takes a later invitation: new terms, which count once they are accepted. An acceptance that crossed it counts for
    /// nothing: accepted is what the provider says in it (spec SHARE-9).
    pub fn reinvite(&mut self, invitation: Invitation, digest: DocumentDigest) {
        let former = self.former.take();
        if self.accepted_digest != invitation.accepted {
            self.fall_back(former.filter(|former| former.accepted_digest == invitation.accepted));
        }
        (self.invitation, self.invitation_digest, self.answer) = (invitation, digest, None);
        self.changed = (None, None);
    }

    /// Whether the provider may still hold this as accepted: the last one or, while it has stated nothing under that, the
    /// one before. It cannot take back what it has acted on (spec SHARE-10).
    pub fn may_hold(&self, accepted: Option<DocumentDigest>) -> bool {
        let former = self.former.as_ref().is_some_and(|former| former.accepted_digest == accepted);
        accepted == self.accepted_digest || (former && !self.has_acted())
    }

    /// Whether the provider has acted on what was accepted last: a snapshot was stated under it.
    pub fn has_acted(&self) -> bool {
        self.terms.is_some() && self.snapshots.iter().any(|stated| Some(stated.manifest.terms) == self.terms)
    }

    /// The provider did not take the last answer: what bound before it binds again (spec SHARE-11).
    pub fn take_back_answer(&mut self) {
        if self.answer.take() == Some(Answer::Accept) {
            let former = self.former.take();
            self.fall_back(former);
        }
    }

    fn fall_back(&mut self, former: Option<Box<Former>>) {
        (self.accepted, self.accepted_digest, self.terms) = (None, None, None);
        if let Some(former) = former {
            let Former { accepted, accepted_digest, terms, expires, schedule } = *former;
            (self.accepted, self.accepted_digest, self.terms) = (accepted, accepted_digest, terms);
            self.expires = self.changed.0.unwrap_or(expires);
            self.schedule = self.changed.1.take().unwrap_or(schedule);
        }
    }

    /// Takes the consumer's answer; `terms` is the digest of the share in that invitation.
    pub fn answer(&mut self, answer: Answer, terms: DocumentDigest) {
        self.answer = Some(answer);
        if answer == Answer::Accept {
            self.former = Some(Box::new(Former {
                accepted: self.accepted.take(),
                accepted_digest: self.accepted_digest,
                terms: self.terms,
                expires: self.expires,
                schedule: self.schedule.clone(),
            }));
            self.terms = Some(terms);
            self.accepted_digest = Some(self.invitation_digest);
            self.expires = self.changed.0.unwrap_or(self.invitation.share.expires);
            self.schedule = self.changed.1.clone().unwrap_or_else(|| self.invitation.share.schedule.clone());
            self.accepted = Some(self.invitation.clone());
        }
    }

    /// The terms that bind: those accepted last, or those offered first while none are.
    pub fn terms_in_force(&self) -> &Share {
        &self.accepted.as_ref().unwrap_or(&self.invitation).share
    }

    /// Takes a change by the provider.
    pub fn change(&mut self, sequence: u32, change: &Change) {
        self.change_sequence = sequence;
        match change {
            Change::Revoke => self.revoked = true,
            Change::Reinstate => self.revoked = false,
            Change::Expires(at) => (self.expires, self.changed.0) = (*at, Some(*at)),
            Change::Schedule(schedule) => {
                (self.schedule, self.changed.1) = (schedule.clone(), Some(schedule.clone()));
            }
        }
    }

    /// The release that is shared was recalled.
    pub const fn withdraw(&mut self) {
        (self.withdrawn, self.revoked) = (true, true);
    }

    /// What holds now.
    pub fn phase(&self, now: UnixMillis) -> Phase {
        match (self.standing, self.terms) {
            (StandingState::Ended, _) => Phase::Ended,
            _ if self.revoked || self.withdrawn => Phase::Revoked,
            _ if now >= self.expires => Phase::Expired,
            (_, None) if self.answer == Some(Answer::Refuse) => Phase::Refused,
            (_, None) => Phase::Invited,
            (StandingState::Paused, Some(_)) => Phase::Paused,
            (StandingState::Active, Some(_)) => Phase::Active,
        }
    }

    /// Whether bytes may flow at this moment (spec XFER-1).
    ///
    /// # Errors
    /// The code that the asker gets.
    pub fn may_flow(&self, now: UnixMillis) -> Result<(), ErrorCode> {
        match self.phase(now) {
            Phase::Active => Ok(()),
            Phase::Revoked => Err(ErrorCode::Revoked),
            Phase::Expired => Err(ErrorCode::Expired),
            Phase::Invited | Phase::Paused | Phase::Refused | Phase::Ended => Err(ErrorCode::OutOfOrder),
        }
    }

    /// The last snapshot stated.
    pub fn head(&self) -> Option<ChainHead> {
        self.snapshots.last().map(|last| ChainHead { sequence: last.manifest.sequence, snapshot: last.id })
    }

    /// The snapshot of this id.
    pub fn snapshot(&self, id: SnapshotId) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.id == id)
    }

    /// Notes what became of a snapshot.
    pub fn settle(&mut self, id: SnapshotId, fate: Fate) {
        if let Some(snapshot) = self.snapshots.iter_mut().find(|snapshot| snapshot.id == id) {
            // An erasure is entered first and stated by a receipt when the bytes are gone.
            snapshot.erasure_stated = snapshot.fate == Fate::Erased && fate == Fate::Erased;
            snapshot.fate = fate;
        }
        if fate == Fate::Landed {
            self.current = Some(id);
        } else if self.current == Some(id) {
            self.current = None;
        }
    }

    /// The next snapshot to land: the first without a fate, after a newer full one where there is one that supersedes it.
    pub fn next_to_land(&self) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.fate == Fate::Stated)
    }

    /// The listings of the version `id`, from its full snapshot on; `None` if any of them is not landed.
    pub fn version(&self, id: SnapshotId) -> Option<Vec<BlobRef>> {
        let last = self.snapshots.iter().position(|snapshot| snapshot.id == id)?;
        let upto = self.snapshots.get(..=last)?;
        let first = upto.iter().rposition(|snapshot| snapshot.manifest.base == Base::Full)?;
        let chain = upto.get(first..)?;
        let landed = chain.iter().all(|snapshot| snapshot.fate == Fate::Landed);
        landed.then(|| chain.iter().map(|snapshot| snapshot.manifest.listing).collect())
    }

    /// As [`Subscription::version`], where the last one is still being landed.
    pub fn version_to_land(&self, id: SnapshotId) -> Option<Vec<BlobRef>> {
        let last = self.snapshots.iter().position(|snapshot| snapshot.id == id)?;
        let snapshot = self.snapshots.get(last)?;
        let mut listings = match snapshot.manifest.base {
            Base::Full => Vec::new(),
            Base::Delta => self.version(self.snapshots.get(last.checked_sub(1)?)?.id)?,
        };
        listings.push(snapshot.manifest.listing);
        Some(listings)
    }

    /// Whether landed rows may be used at `now` (law 11).
    pub fn rows_usable(&self, now: UnixMillis) -> bool {
        let over = self.revoked || self.withdrawn || now >= self.expires;
        !over || !self.withdrawn && self.terms_in_force().landed_rows == LandedRows::Keep
    }

    /// Whether landed rows must be erased at `now`, and some are left.
    pub fn must_erase(&self, now: UnixMillis) -> bool {
        let over = self.revoked || self.withdrawn || now >= self.expires;
        let erases = self.withdrawn || self.terms_in_force().landed_rows == LandedRows::Erase;
        let left = |snapshot: &Snapshot| matches!(snapshot.fate, Fate::Landed | Fate::Stated);
        over && erases && self.snapshots.iter().any(left)
    }
}
