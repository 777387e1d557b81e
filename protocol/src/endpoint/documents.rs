//! Documents from and to peers: each is checked by its signature and its place, journaled, answered, and followed up.

use crate::code::{ErrorCode, MessageType};
use crate::ident::{ConsortiumId, Name, ReleaseId, SnapshotId};
use crate::key::pair::PublicKey;
use crate::key::signed::{Record, Signed, SignedFault, Verified};
use crate::limits::{CLOCK_SKEW_MAX, DOCUMENT_BYTES_MAX};
use crate::message::document::{Document, Numbered};
use crate::record::acceptance::{Acceptance, Standing as StandingDocument, StandingState};
use crate::record::announcement::Announcement;
use crate::record::charter::PartyKind;
use crate::record::common_schema::CommonSchema;
use crate::record::debit::Debit;
use crate::record::invitation::Invitation;
use crate::record::journal_entry::{Act, Actor};
use crate::record::linkage_wrap::LinkageWrap;
use crate::record::manifest::{ContentLabel, Manifest, leaving_columns};
use crate::record::node_record::NodeRecord;
use crate::record::objection::Objection;
use crate::record::project::Project;
use crate::record::receipt::{Outcome, Receipt};
use crate::record::revocation::{Change, Revocation};
use crate::record::share::{Content, Linkage};
use crate::record::site_notice::SiteNotice;
use crate::record::withdrawal::Withdrawal;
use crate::rule::review::fits_charter;
use crate::rule::snapshot_chain::check_continues;
use crate::state::State;
use crate::state::charters::Standing;
use crate::state::outbox::Mailbox;
use crate::state::releases::{Phase, offered_release};
use crate::state::subscription::{Fate, Side, Subscription};
use crate::time::UnixMillis;
use crate::wire::codec;

use super::answers::says_not_taken;
use super::io::{ConnId, Effect, Message, Notice, Protocol, StreamId, Under};
use super::{DONE, Endpoint, Up, Waiting, refused};

/// A peer whose document is checked, and what this node knows.
struct Sender<'a> {
    state: &'a State,
    peer: &'a Name,
    standing: Standing,
    now: UnixMillis,
}

impl Endpoint {
    pub(super) fn document_received(&mut self, conn: ConnId, stream: StreamId, up: &Up, message: &Message) {
        let Ok(numbered) = codec::decode::<Numbered>(&message.payload, DOCUMENT_BYTES_MAX) else {
            self.note_refusal(Some(up.consortium), Some(&up.peer), ErrorCode::Malformed);
            return self.reply_now(conn, stream, refused(ErrorCode::Malformed));
        };
        let Some(room) = self.rooms.get(&up.consortium) else { return };
        let received = room.state.mail.get(&up.peer).map_or(0, Mailbox::received);
        // One that is here already is answered as the first time; one from the future shows a gap (spec MAIL-2).
        if numbered.index != received {
            let again = room.state.mail.get(&up.peer).and_then(|mail| mail.refusal(numbered.index));
            let again = again.filter(|code| !says_not_taken(*code)).map_or(DONE, refused);
            let message = if numbered.index < received { again } else { refused(ErrorCode::OutOfOrder) };
            return self.after(up.consortium, Effect::Reply { conn, stream, message });
        }
        // A record that does not stand, or a clock here that is wrong, refuses the peer and not the document: a refused
        // document counts as received, and an end or a revocation would be lost for good.
        let now = self.cx().wall;
        let known = room.state.records.get(&up.peer);
        if !self.is_offline(conn) && known.is_none_or(|known| !known.record.stands_at(now)) {
            self.reply_now(conn, stream, refused(ErrorCode::Unavailable));
            return self.close(conn, ErrorCode::Expired);
        }
        let renews = matches!(numbered.document, Document::NodeRecord(_));
        let fits = self.is_offline(conn)
            || (self.may_grow(up.consortium, &up.peer, message.payload.len())
                && (!renews || self.may_renew(up.consortium, &up.peer)));
        // The connection stays: everything else of it goes on, and the peer rests (spec MAIL-6).
        if !fits {
            return self.reply_now(conn, stream, refused(ErrorCode::Busy));
        }
        let Some(room) = self.rooms.get(&up.consortium) else { return };
        let standing = room.state.charters.root_of(&room.state.party, &up.peer).map(|(_, standing)| standing);
        let standing = standing.unwrap_or(Standing::CharterOnly);
        let sender = Sender { state: &room.state, peer: &up.peer, standing, now: self.cx().wall };
        let document = numbered.document.digest();
        let checked = sender.check(numbered.document);
        let actor = Actor::Peer(up.peer.clone());
        match checked {
            Ok(act) => {
                // What was served for a snapshot stands in the journal before the word that it landed.
                if matches!(act, Act::Receipt(_)) {
                    self.journal_served();
                }
                self.persist(up.consortium, &actor, vec![act.clone()]);
                self.after(up.consortium, Effect::Reply { conn, stream, message: DONE });
                self.follow_up(up.consortium, act);
            }
            Err(code) => {
                // What came over a connection came from that peer, and counts. What came in a folder may be anybody's.
                if !self.is_offline(conn) {
                    self.persist(up.consortium, &actor, vec![Act::DocumentRefused { document, code }]);
                }
                self.after(up.consortium, Effect::Reply { conn, stream, message: refused(code) });
                self.effects.push_back(Effect::Notify(Notice::Refused { peer: Some(up.peer.clone()), code }));
            }
        }
    }

    fn is_offline(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|conn| matches!(conn.protocol, Protocol::Offline(_)))
    }

    fn follow_up(&mut self, consortium: ConsortiumId, act: Act) {
        match act {
            Act::Revocation(signed) => {
                let claimed = signed.claimed().ok().filter(|revocation| revocation.change == Change::Revoke);
                if let Some(revocation) = claimed {
                    self.drop_landing(consortium, revocation.subscription);
                    self.effects.push_back(Effect::Notify(Notice::Revoked(revocation.subscription)));
                }
            }
            Act::Charter(signed) => {
                let head = self.rooms.get(&consortium).and_then(|room| room.state.charters.head());
                if let Some(head) = head.filter(|head| head.digest == signed.digest()) {
                    let notice = Notice::CharterInForce(head.charter.version);
                    self.effects.push_back(Effect::Notify(notice));
                }
                self.refresh_standings(consortium);
            }
            Act::LinkageWrap(signed) => self.open_wrap(consortium, &signed),
            // A pause that comes late, behind what its consumer has asked for since, ends that all the same.
            Act::Standing(signed) => {
                let claimed = signed.claimed().ok().filter(|standing| standing.state != StandingState::Active);
                if let Some(standing) = claimed {
                    self.cut(Under { consortium, subscription: standing.subscription }, ErrorCode::OutOfOrder);
                }
            }
            Act::Withdrawal(signed) => self.withdrawal_heard(consortium, &signed),
            Act::Announcement(signed) => self.announcement_heard(consortium, &signed),
            Act::Objection(signed) => self.objection_heard(consortium, &signed),
            Act::Debit(_) => self.debit_heard(consortium),
            Act::Began { .. }
            | Act::Order(_)
            | Act::Person(_)
            | Act::NodeRecord(_)
            | Act::JoinAsked { .. }
            | Act::Invitation(_)
            | Act::Acceptance(_)
            | Act::Manifest(_)
            | Act::SnapshotTaken { .. }
            | Act::SnapshotFailed { .. }
            | Act::Receipt(_)
            | Act::LinkageKeyHeld { .. }
            | Act::Served { .. }
            | Act::PeerRefused { .. }
            | Act::DocumentRefused { .. }
            | Act::DocumentKnown { .. }
            | Act::SnapshotUnwanted { .. }
            | Act::Mapped { .. }
            | Act::MappingFailed { .. }
            | Act::Consolidated { .. }
            | Act::ConsolidationFailed { .. }
            | Act::Published { .. }
            | Act::PublishFailed { .. }
            | Act::AnswerRefused { .. }
            | Act::SiteNotice(_)
            | Act::Compared { .. }
            | Act::PipelineBegan { .. }
            | Act::PipelineStep { .. }
            | Act::CommonSchema(_)
            | Act::VocabularyLoaded(_)
            | Act::VocabularyFailed { .. }
            | Act::Project(_)
            | Act::ReleaseRefused { .. }
            | Act::ReleaseSame { .. }
            | Act::ReleaseReserved(_)
            | Act::ReleaseMade { .. }
            | Act::ReleaseFailed { .. }
            | Act::ReleaseStopped { .. }
            | Act::Released(_)
            | Act::Erased { .. } => {}
        }
    }

    /// After a charter came in: peers that were known by a proposal only may now be parties.
    pub(super) fn refresh_standings(&mut self, consortium: ConsortiumId) {
        let Some(room) = self.rooms.get(&consortium) else { return };
        let mut fallen = Vec::new();
        for up in self.conns.values_mut().filter_map(|conn| conn.up.as_mut()) {
            if up.consortium == consortium {
                let standing = room.state.charters.root_of(&room.state.party, &up.peer);
                let standing = standing.map_or(Standing::CharterOnly, |(_, standing)| standing);
                if up.standing == Standing::Party && standing == Standing::CharterOnly {
                    let theirs = room.state.subscriptions.values().filter(|found| found.peer == up.peer);
                    fallen.extend(theirs.map(|found| found.id));
                }
                up.standing = standing;
            }
        }
        for subscription in fallen {
            self.cut(Under { consortium, subscription }, ErrorCode::CharterNotInForce);
        }
    }

    /// Sends each connected peer the next document it lacks, one at a time, each after its entry is durable.
    pub(super) fn send_mail(&mut self) {
        let now = self.cx().mono;
        let ready: Vec<(ConnId, Up)> = self
            .conns
            .iter()
            .filter_map(|(id, conn)| conn.up.clone().map(|up| (*id, up)))
            .filter(|(_, up)| up.sending.is_none())
            .collect();
        for (conn, up) in ready {
            let Some(room) = self.rooms.get(&up.consortium) else { continue };
            if room.rests.get(&up.peer).is_some_and(|until| *until > now) {
                continue;
            }
            let document = room.state.mail.get(&up.peer).and_then(|mail| mail.get(up.next));
            let Some(document) = document else { continue };
            let introduces =
                matches!(**document, Document::Charter(_) | Document::NodeRecord(_) | Document::CommonSchema(_));
            if up.standing == Standing::CharterOnly && !introduces {
                continue;
            }
            let takes_back =
                matches!(**document, Document::Revocation(_) | Document::Withdrawal(_) | Document::Objection(_));
            if room.state.stopped && !introduces && !takes_back {
                continue;
            }
            let numbered = Numbered { index: up.next, document: (**document).clone() };
            let message = Message { kind: MessageType::Document, payload: codec::encode(&numbered) };
            let ticket = self.ticket(Waiting::Document(conn));
            if let Some(up) = self.conns.get_mut(&conn).and_then(|conn| conn.up.as_mut()) {
                up.sending = Some(ticket);
            }
            self.after(up.consortium, Effect::Ask { conn, ticket, message });
        }
    }
}

impl Sender<'_> {
    /// The act that this document amounts to, or the code it is refused with.
    fn check(&self, document: Document) -> Result<Act, ErrorCode> {
        let act = match document {
            Document::Charter(signed) => return self.charter(&signed),
            Document::NodeRecord(signed) => return self.node_record(signed),
            Document::CommonSchema(signed) => return self.common_schema(signed),
            // What was spent is also for a member that has not signed the newest charter: a debit that it refused would be lost.
            Document::Announcement(signed) => {
                return self.announcement(&signed).map(|()| Act::Announcement(signed));
            }
            Document::Debit(signed) => return self.debit(&signed).map(|()| Act::Debit(signed)),
            Document::Invitation(signed) => self.invitation(&signed).map(|()| Act::Invitation(signed)),
            Document::Acceptance(signed) => self.acceptance(&signed).map(|()| Act::Acceptance(signed)),
            Document::Standing(signed) => self.consumer_standing(&signed).map(|()| Act::Standing(signed)),
            Document::Revocation(signed) => self.revocation(&signed).map(|()| Act::Revocation(signed)),
            Document::Manifest(signed) => self.manifest(&signed).map(|()| Act::Manifest(signed)),
            Document::Receipt(signed) => self.receipt(&signed).map(|()| Act::Receipt(signed)),
            Document::LinkageWrap(signed) => self.linkage_wrap(&signed).map(|()| Act::LinkageWrap(signed)),
            Document::SiteNotice(signed) => self.site_notice(&signed).map(|()| Act::SiteNotice(signed)),
            Document::Project(signed) => self.project(&signed).map(|()| Act::Project(signed)),
            Document::Withdrawal(signed) => self.withdrawal(&signed).map(|()| Act::Withdrawal(signed)),
            Document::Objection(signed) => self.objection(&signed).map(|()| Act::Objection(signed)),
        }?;
        match self.standing {
            Standing::Party => Ok(act),
            Standing::CharterOnly => Err(ErrorCode::CharterNotInForce),
        }
    }

    fn charter(&self, signed: &Signed<crate::record::charter::Charter>) -> Result<Act, ErrorCode> {
        let version = self.state.charters.check(signed)?;
        let known = Act::DocumentKnown { document: version.digest };
        if self.state.charters.is_news(&version) { Ok(Act::Charter(version.signed)) } else { Ok(known) }
    }

    /// A record of the sender, or of a third party that the operator relays; its root's signature stands by itself.
    fn node_record(&self, signed: Signed<NodeRecord>) -> Result<Act, ErrorCode> {
        let claimed = signed.claimed().map_err(SignedFault::code)?;
        let (root, _) =
            self.state.charters.root_of(&self.state.party, &claimed.party).ok_or(ErrorCode::IdentityRefused)?;
        let record = signed.verify(&[root]).map_err(SignedFault::code)?;
        let named = record.consortium == self.state.consortium && record.root == root;
        if !named || record.party == self.state.party {
            return Err(ErrorCode::IdentityRefused);
        }
        let is_news = self.state.is_newer_record(&record);
        let document = signed.digest();
        Ok(if is_news { Act::NodeRecord(signed) } else { Act::DocumentKnown { document } })
    }

    /// The operator's statement of a schema that a charter version known here names (spec MAP-12).
    fn common_schema(&self, signed: Signed<CommonSchema>) -> Result<Act, ErrorCode> {
        let head = self.state.charters.head().ok_or(ErrorCode::CharterNotInForce)?;
        let schema = self.verified(&signed, head.charter.operator().0)?;
        self.home(schema.consortium)?;
        if !self.state.charters.names_schema(schema.named()) {
            return Err(ErrorCode::NotFound);
        }
        let document = signed.digest();
        let is_known = self.state.schemas.contains_key(&schema.named());
        Ok(if is_known { Act::DocumentKnown { document } } else { Act::CommonSchema(signed) })
    }

    /// Verifies a document with the signing key that `party`'s node record names.
    fn verified<T: Record>(&self, signed: &Signed<T>, party: &Name) -> Result<Verified<T>, ErrorCode> {
        let record = &self.state.records.get(party).ok_or(ErrorCode::IdentityRefused)?.record;
        let root = self.state.charters.root_of(&self.state.party, party).map(|(root, _)| root);
        if root != Some(record.root) || !record.stands_at(self.now) {
            return Err(ErrorCode::IdentityRefused);
        }
        let keys: [PublicKey; 1] = [record.signing];
        signed.verify(&keys).map_err(SignedFault::code)
    }

    fn subscription(&self, id: crate::ident::SubscriptionId, side: Side) -> Result<&Subscription, ErrorCode> {
        let found = self.state.subscriptions.get(&id);
        found.filter(|found| found.side == side && found.peer == *self.peer).ok_or(ErrorCode::NotFound)
    }

    fn home(&self, consortium: ConsortiumId) -> Result<(), ErrorCode> {
        if consortium == self.state.consortium { Ok(()) } else { Err(ErrorCode::ConsortiumUnknown) }
    }

    fn invitation(&self, signed: &Signed<Invitation>) -> Result<(), ErrorCode> {
        let invitation = self.verified(signed, self.peer)?;
        self.home(invitation.consortium)?;
        let share = &invitation.share;
        if invitation.consumer != self.state.party
            || share.provider != *self.peer
            || share.consortium != invitation.consortium
        {
            return Err(ErrorCode::IdentityRefused);
        }
        if self.now >= invitation.answer_by || self.now >= share.expires {
            return Err(ErrorCode::Expired);
        }
        if let Some(release) = offered_release(share) {
            self.release_offer(release)?;
        }
        match self.state.subscriptions.get(&invitation.subscription) {
            None => Ok(()),
            Some(found) => {
                let same = found.side == Side::Consumer && found.peer == *self.peer;
                let later =
                    found.invitation.share.share == share.share && found.invitation.share.version < share.version;
                if same && later && found.may_hold(invitation.accepted) { Ok(()) } else { Err(ErrorCode::Forked) }
            }
        }
    }

    fn acceptance(&self, signed: &Signed<Acceptance>) -> Result<(), ErrorCode> {
        let acceptance = self.verified(signed, self.peer)?;
        self.home(acceptance.consortium)?;
        let found = self.subscription(acceptance.subscription, Side::Provider)?;
        if acceptance.consumer != *self.peer {
            return Err(ErrorCode::IdentityRefused);
        }
        // A later invitation has ended the time of the one it answers; that one tells the consumer (spec SHARE-9).
        let crossed = acceptance.invitation != found.invitation_digest;
        if crossed || self.now >= found.invitation.answer_by {
            return Err(ErrorCode::Expired);
        }
        if found.answer.is_none() { Ok(()) } else { Err(ErrorCode::OutOfOrder) }
    }

    fn consumer_standing(&self, signed: &Signed<StandingDocument>) -> Result<(), ErrorCode> {
        let standing = self.verified(signed, self.peer)?;
        self.home(standing.consortium)?;
        let found = self.subscription(standing.subscription, Side::Provider)?;
        let next = found.standing_sequence.checked_add(1) == Some(standing.sequence);
        if next && found.standing != StandingState::Ended && standing.consumer == *self.peer {
            Ok(())
        } else {
            Err(ErrorCode::OutOfOrder)
        }
    }

    fn revocation(&self, signed: &Signed<Revocation>) -> Result<(), ErrorCode> {
        let revocation = self.verified(signed, self.peer)?;
        self.home(revocation.consortium)?;
        let found = self.subscription(revocation.subscription, Side::Consumer)?;
        let next = found.change_sequence.checked_add(1) == Some(revocation.sequence);
        if next && revocation.provider == *self.peer { Ok(()) } else { Err(ErrorCode::OutOfOrder) }
    }

    fn manifest(&self, signed: &Signed<Manifest>) -> Result<(), ErrorCode> {
        let manifest = self.verified(signed, self.peer)?;
        self.home(manifest.consortium)?;
        let found = self.state.subscribed(self.peer, manifest.share).ok_or(ErrorCode::NotFound)?;
        found.may_flow(self.now).or_else(|code| if code == ErrorCode::OutOfOrder { Ok(()) } else { Err(code) })?;
        if manifest.provider != *self.peer || found.terms != Some(manifest.terms) {
            return Err(ErrorCode::OutOfOrder);
        }
        if !manifest.taken.agrees(self.now, CLOCK_SKEW_MAX) && manifest.taken > self.now {
            return Err(ErrorCode::ClockSkew);
        }
        check_continues(found.head(), &manifest, SnapshotId(signed.digest().0))?;
        self.label_and_linkage(found, &manifest)
    }

    /// Label, columns and linkage statement are what the terms say (spec SNAP-11); the key is the announced one (spec
    /// LINK-3, LINK-6).
    fn label_and_linkage(&self, found: &Subscription, manifest: &Manifest) -> Result<(), ErrorCode> {
        let terms = found.terms_in_force();
        let linkage = match &terms.content {
            Content::Table(table) => table.linkage,
            Content::UncheckedFiles | Content::Release { .. } => Linkage::None,
        };
        if manifest.label != ContentLabel::of(&terms.content) || manifest.columns != leaving_columns(terms) {
            return Err(ErrorCode::Malformed);
        }
        let Some(statement) = &manifest.linkage else {
            return if linkage == Linkage::None { Ok(()) } else { Err(ErrorCode::LinkageMismatch) };
        };
        let charter = self.state.charters.binding(&self.state.party).ok_or(ErrorCode::CharterNotInForce)?;
        let epoch = charter.charter.linkage.as_ref().map(|terms| terms.epoch);
        let announced = self.state.linkage.announced.get(&statement.epoch);
        let check = self.state.linkage.checks.get(&(statement.key, statement.normaliser));
        let fits = linkage == Linkage::Token
            && epoch == Some(statement.epoch)
            && announced == Some(&statement.key)
            && check.is_none_or(|check| *check == statement.check);
        if fits { Ok(()) } else { Err(ErrorCode::LinkageMismatch) }
    }

    fn receipt(&self, signed: &Signed<Receipt>) -> Result<(), ErrorCode> {
        let receipt = self.verified(signed, self.peer)?;
        self.home(receipt.consortium)?;
        let found = self.subscription(receipt.subscription, Side::Provider)?;
        let known = found.snapshot(receipt.snapshot).filter(|_| receipt.consumer == *self.peer);
        let known = known.ok_or(ErrorCode::NotFound)?;
        // Stated, then landed or refused, then erased: never back.
        let goes_on = match (known.fate, receipt.outcome) {
            (Fate::Stated, _) | (Fate::Landed | Fate::Refused, Outcome::Erased) => true,
            (Fate::Landed | Fate::Refused, Outcome::Landed { .. } | Outcome::Refused(_)) | (Fate::Erased, _) => false,
        };
        if goes_on { Ok(()) } else { Err(ErrorCode::OutOfOrder) }
    }

    /// From the operator, about this party (spec QUAL-3).
    fn site_notice(&self, signed: &Signed<SiteNotice>) -> Result<(), ErrorCode> {
        let notice = self.verified(signed, self.peer)?;
        self.home(notice.consortium)?;
        let operates = self.state.charters.kind_of(&self.state.party, self.peer) == Some(PartyKind::Operator);
        let about_us = notice.member == self.state.party && notice.operator == *self.peer;
        if operates && about_us { Ok(()) } else { Err(ErrorCode::IdentityRefused) }
    }

    /// Only the operator offers releases, and none that it has recalled (spec REL-19).
    fn release_offer(&self, release: ReleaseId) -> Result<(), ErrorCode> {
        if self.state.charters.kind_of(&self.state.party, self.peer) != Some(PartyKind::Operator) {
            return Err(ErrorCode::IdentityRefused);
        }
        if self.state.releases.withdrawal(release).is_some() {
            return Err(ErrorCode::Revoked);
        }
        // What was not debited here was paid for by nobody that this node knows of (spec REL-24).
        if self.state.ledger.is_debited(release) { Ok(()) } else { Err(ErrorCode::OutOfOrder) }
    }

    /// Whether the sender is the operator, and says so.
    fn operates(&self, named: &Name) -> Result<(), ErrorCode> {
        let head = self.state.charters.head().ok_or(ErrorCode::CharterNotInForce)?;
        let operates = head.charter.operator().0 == self.peer && named == self.peer;
        if operates { Ok(()) } else { Err(ErrorCode::IdentityRefused) }
    }

    /// From the operator, and not of what was reserved already.
    fn announcement(&self, signed: &Signed<Announcement>) -> Result<(), ErrorCode> {
        let announcement = self.verified(signed, self.peer)?;
        self.home(announcement.consortium)?;
        self.operates(&announcement.operator)?;
        let over = self.state.ledger.is_debited(announcement.release);
        let last = self.state.ledger.announced(announcement.release).map(|announced| announced.announcement.at);
        let again = last.is_some_and(|last| announcement.at < last);
        if over || again { Err(ErrorCode::OutOfOrder) } else { Ok(()) }
    }

    /// From a member whose rows would be used, of what waits, as it was announced last and in time (spec REL-27).
    fn objection(&self, signed: &Signed<Objection>) -> Result<(), ErrorCode> {
        let objection = self.verified(signed, self.peer)?;
        self.home(objection.consortium)?;
        if objection.member != *self.peer {
            return Err(ErrorCode::IdentityRefused);
        }
        let filed = self.state.releases.get(objection.release).ok_or(ErrorCode::NotFound)?;
        let announced = self.state.ledger.announced(objection.release).ok_or(ErrorCode::NotFound)?;
        let Phase::Announced(until) = filed.phase else { return Err(ErrorCode::Expired) };
        if announced.digest != objection.announcement || !announced.announcement.members.contains(self.peer) {
            return Err(ErrorCode::NotFound);
        }
        if self.now >= until { Err(ErrorCode::Expired) } else { Ok(()) }
    }

    /// From the operator. Where it disagrees with what is known it is kept all the same: it is the proof (spec REL-25).
    fn debit(&self, signed: &Signed<Debit>) -> Result<(), ErrorCode> {
        let debit = self.verified(signed, self.peer)?;
        self.home(debit.consortium)?;
        self.operates(&debit.operator)
    }

    /// From the operator, and within the charter as it is here (spec REL-7).
    fn project(&self, signed: &Signed<Project>) -> Result<(), ErrorCode> {
        let project = self.verified(signed, self.peer)?;
        self.home(project.consortium)?;
        let operates = self.state.charters.kind_of(&self.state.party, self.peer) == Some(PartyKind::Operator);
        if !operates || project.operator != *self.peer {
            return Err(ErrorCode::IdentityRefused);
        }
        let head = self.state.charters.head().ok_or(ErrorCode::CharterNotInForce)?;
        fits_charter(&project, &head.charter).map_err(|_| ErrorCode::CharterNotInForce)?;
        let last = self.state.releases.project(&project.name).map_or(0, |known| known.project.version);
        if last < project.version { Ok(()) } else { Err(ErrorCode::OutOfOrder) }
    }

    /// From the operator, about a release that it has offered to this party (spec REL-15).
    fn withdrawal(&self, signed: &Signed<Withdrawal>) -> Result<(), ErrorCode> {
        let withdrawal = self.verified(signed, self.peer)?;
        self.home(withdrawal.consortium)?;
        if withdrawal.operator != *self.peer {
            return Err(ErrorCode::IdentityRefused);
        }
        let offered = self.state.subscriptions_to_release(withdrawal.release);
        let from_peer = |found: &Subscription| found.side == Side::Consumer && found.peer == *self.peer;
        if !offered.into_iter().any(from_peer) {
            return Err(ErrorCode::NotFound);
        }
        let again = self.state.releases.withdrawal(withdrawal.release).is_some();
        if again { Err(ErrorCode::OutOfOrder) } else { Ok(()) }
    }

    /// At the operator: from the key maker, to be relayed. At a member: relayed, for it, from the charter's key maker.
    fn linkage_wrap(&self, signed: &Signed<LinkageWrap>) -> Result<(), ErrorCode> {
        let claimed = signed.claimed().map_err(SignedFault::code)?;
        let wrap = self.verified(signed, &claimed.maker)?;
        self.home(wrap.consortium)?;
        let charter = self.state.charters.binding(&self.state.party).ok_or(ErrorCode::CharterNotInForce)?;
        let terms = charter.charter.linkage.as_ref().ok_or(ErrorCode::LinkageMismatch)?;
        let announced = self.state.linkage.announced.get(&wrap.epoch);
        if wrap.maker != terms.key_maker || wrap.epoch != terms.epoch || announced.is_some_and(|key| *key != wrap.key) {
            return Err(ErrorCode::LinkageMismatch);
        }
        let relayed = wrap.recipient == self.state.party;
        let to_relay = self.state.is_operator() && wrap.maker == *self.peer;
        if relayed || to_relay { Ok(()) } else { Err(ErrorCode::NotFound) }
    }
}
