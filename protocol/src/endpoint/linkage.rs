//! The linkage key's way: made by one member, wrapped to the others, relayed by the operator, checked on arrival.

use crate::ident::{ConsortiumId, Name};
use crate::key::pair::SealingKey;
use crate::key::signed::Signed;
use crate::record::extension::Extensions;
use crate::record::journal_entry::{Act, Actor};
use crate::record::linkage_wrap::LinkageWrap;
use crate::record::manifest::LinkageKeyId;
use crate::wire::codec::Blob;

use super::io::{Effect, Ticket};
use super::{Endpoint, Waiting};
use crate::code::ErrorCode;

/// Whether the key must be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Yes,
    No,
}

impl Endpoint {
    pub(super) fn make_linkage_key(&mut self, consortium: ConsortiumId, epoch: u32) {
        let ticket = self.ticket(Waiting::LinkageKey { consortium, epoch });
        self.after(consortium, Effect::MakeLinkageKey { ticket, consortium, epoch });
    }

    pub(super) fn linkage_key(&mut self, ticket: Ticket, key: Option<LinkageKeyId>) {
        let Some(Waiting::LinkageKey { consortium, epoch }) = self.waiting.remove(&ticket) else { return };
        if let Some(key) = key {
            self.persist(consortium, &Actor::Node, vec![Act::LinkageKeyHeld { epoch, key }]);
        } else {
            self.note_refusal(Some(consortium), None, ErrorCode::LinkageMismatch);
        }
    }

    /// To every other member whose root a person here has compared (spec LINK-1), and whose record is known.
    pub(super) fn wrap_linkage_key(&mut self, consortium: ConsortiumId, epoch: u32) {
        let now = self.cx().wall;
        let Some(room) = self.rooms.get(&consortium) else { return };
        let Some(binding) = room.state.charters.binding(&room.state.party) else { return };
        let recipients: Vec<(Name, SealingKey)> = binding
            .charter
            .members()
            .filter(|(name, party)| **name != room.state.party && room.state.confirmed.get(*name) == Some(&party.root))
            .filter_map(|(name, party)| {
                // The record of that very root, and one that stands: not the last one of a key that was handed over.
                let known = room.state.records.get(name).filter(|known| known.record.root == party.root);
                let record = &known.filter(|known| known.record.stands_at(now))?.record;
                Some((name.clone(), record.sealing))
            })
            .collect();
        let waiting = Waiting::LinkageWrap { consortium, epoch, recipients: recipients.clone() };
        let ticket = self.ticket(waiting);
        self.after(consortium, Effect::WrapLinkageKey { ticket, consortium, epoch, recipients });
    }

    pub(super) fn linkage_wrapped(&mut self, ticket: Ticket, key: LinkageKeyId, wraps: Vec<(Name, SealingKey, Blob)>) {
        let Some(Waiting::LinkageWrap { consortium, epoch, recipients }) = self.waiting.remove(&ticket) else { return };
        let at = self.cx().wall;
        let Some(room) = self.rooms.get(&consortium) else { return };
        let sealing = |name: &Name| recipients.iter().find(|(other, _)| other == name).map(|(_, key)| *key);
        let acts: Vec<Act> = wraps
            .into_iter()
            .filter_map(|(recipient, ephemeral, ciphertext)| {
                let wrap = LinkageWrap {
                    consortium,
                    epoch,
                    key,
                    maker: room.state.party.clone(),
                    sealing: sealing(&recipient)?,
                    recipient,
                    ephemeral,
                    ciphertext,
                    at,
                    ext: Extensions::default(),
                };
                Some(Act::LinkageWrap(Signed::sign(&wrap, &room.keys.signing)))
            })
            .collect();
        self.persist(consortium, &Actor::Node, acts);
    }

    /// A wrap that arrived for this node is opened once a person here has compared its maker's root (spec LINK-1); the
    /// driver keeps the key only if it is the stated one.
    pub(super) fn open_wrap(&mut self, consortium: ConsortiumId, signed: &Signed<LinkageWrap>) {
        let Some(room) = self.rooms.get(&consortium) else { return };
        let Ok(wrap) = signed.claimed() else { return };
        let for_us = wrap.recipient == room.state.party && wrap.sealing == room.keys.sealing;
        // A key from a maker whom nobody here has met could be one that the operator made: its tokens would hide nothing.
        let maker = room.state.charters.root_of(&room.state.party, &wrap.maker).map(|(root, _)| root);
        let met = maker.is_some() && room.state.confirmed.get(&wrap.maker).copied() == maker;
        // It may have waited for long: its maker's record must stand now, and be the one whose key has signed it.
        let known = room.state.records.get(&wrap.maker).map(|known| &known.record);
        let known = known.filter(|record| Some(record.root) == maker && record.stands_at(self.cx().wall));
        let stands = known.is_some_and(|record| signed.verify(&[record.signing]).is_ok());
        if !for_us || !met || !stands || room.state.linkage.held.contains_key(&wrap.epoch) {
            return;
        }
        let ticket = self.ticket(Waiting::LinkageKey { consortium, epoch: wrap.epoch });
        let (epoch, key, ephemeral, ciphertext) = (wrap.epoch, wrap.key, wrap.ephemeral, wrap.ciphertext);
        self.after(consortium, Effect::OpenLinkageWrap { ticket, consortium, epoch, key, ephemeral, ciphertext });
    }

    /// Wraps that arrived before a restart and were not opened yet.
    pub(super) fn reopen_wraps(&mut self) {
        let waiting: Vec<(ConsortiumId, Signed<LinkageWrap>)> = self
            .rooms
            .iter()
            .flat_map(|(id, room)| room.state.unopened_wraps().map(|signed| (*id, signed.clone())))
            .collect();
        for (consortium, signed) in waiting {
            let pending = self
                .waiting
                .values()
                .any(|other| matches!(other, Waiting::LinkageKey { consortium: c, .. } if *c == consortium));
            if !pending {
                self.open_wrap(consortium, &signed);
            }
        }
    }
}
