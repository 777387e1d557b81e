//! Orders about charters and parties' keys.

use crate::digest::DocumentDigest;
use crate::ident::Name;
use crate::key::pair::{KeyPair, PublicKey};
use crate::key::signed::Signed;
use crate::record::charter::{Charter, PartyKind};
use crate::record::journal_entry::Act;
use crate::rule::charter_in_force::check_succession;

use super::io::OrderFault;
use super::orders::{Consequence, Then, and_then, only};
use super::{Endpoint, Room};

impl Endpoint {
    /// The operator signs the next version and puts it to the members. Whoever it admits has joined with that root.
    pub(super) fn propose_charter(room: &Room, charter: &Charter) -> Result<Consequence, OrderFault> {
        let state = &room.state;
        if !state.is_operator() {
            return Err(OrderFault::OutOfOrder { why: "only the operator proposes charters" });
        }
        let head = state.charters.head().ok_or(OrderFault::CharterNotInForce)?;
        check_succession(state.consortium, &head.charter, head.digest, charter)
            .map_err(|_| OrderFault::OutOfOrder { why: "the charter does not follow the one in force" })?;
        state
            .charters
            .check_names(charter)
            .map_err(|_| OrderFault::OutOfOrder { why: "a name of an earlier party is given to another" })?;
        for (name, party) in charter.members().filter(|(name, _)| !head.charter.roster.contains_key(*name)) {
            let joined = state.joining.get(name).is_some_and(|known| known.record.root == party.root);
            if !joined {
                return Err(OrderFault::OutOfOrder { why: "a hospital is admitted that has not joined with that key" });
            }
        }
        let root = root_of(room)?;
        Ok(and_then(vec![Act::Charter(Signed::sign(charter, root))], Then::Standings))
    }

    /// A member binds itself to a version: its root signs exactly the bytes that were proposed.
    pub(super) fn sign_charter(room: &Room, digest: DocumentDigest) -> Result<Consequence, OrderFault> {
        let charters = &room.state.charters;
        let mut versions = charters.proposals().chain(charters.chain());
        let version = versions
            .find(|version| version.digest == digest)
            .ok_or(OrderFault::NotFound { what: "charter version" })?;
        let root = root_of(room)?;
        let listed = version.charter.roster.get(&room.state.party).is_some_and(|party| party.root == root.public());
        let former = charters.head().and_then(|head| head.charter.roster.get(&room.state.party));
        if !listed && former.is_none_or(|party| party.root != root.public()) {
            return Err(OrderFault::OutOfOrder { why: "this node is on neither roster" });
        }
        let mut signed = version.signed.clone();
        signed.add_signature(root);
        Ok(and_then(vec![Act::Charter(signed)], Then::Standings))
    }

    /// A person states that a party's root was compared by another channel.
    pub(super) fn confirm_root(room: &Room, party: &Name, root: &PublicKey) -> Result<Consequence, OrderFault> {
        let known = room.state.charters.root_of(&room.state.party, party);
        let joining = room.state.joining.get(party).map(|known| known.record.root);
        let stands = known.map(|(key, _)| key).or(joining);
        match stands {
            None => Err(OrderFault::NotFound { what: "party" }),
            Some(key) if key == *root => Ok(only(vec![])),
            Some(_) => Err(OrderFault::OutOfOrder { why: "the party's root key is not the one that was compared" }),
        }
    }

    /// Whether this node is the charter's key maker in this epoch, and holds its key or not yet.
    pub(super) fn check_key_maker(room: &Room, epoch: u32, held: super::linkage::Held) -> Result<(), OrderFault> {
        let binding = room.state.charters.binding(&room.state.party).ok_or(OrderFault::CharterNotInForce)?;
        let terms = binding.charter.linkage.as_ref().ok_or(OrderFault::NotFound { what: "linkage in the charter" })?;
        if terms.key_maker != room.state.party || terms.epoch != epoch {
            return Err(OrderFault::OutOfOrder { why: "the charter names another key maker or epoch" });
        }
        match (held, room.state.linkage.held.contains_key(&epoch)) {
            (super::linkage::Held::No, true) => Err(OrderFault::OutOfOrder { why: "the key of this epoch exists" }),
            (super::linkage::Held::Yes, false) => {
                Err(OrderFault::OutOfOrder { why: "the key of this epoch is not made" })
            }
            (super::linkage::Held::No, false) | (super::linkage::Held::Yes, true) => Ok(()),
        }
    }

    /// Whether `party` is in the charter that binds this node and has accepted it.
    pub(super) fn has_accepted(room: &Room, party: &Name) -> bool {
        let charters = &room.state.charters;
        match charters.kind_of(&room.state.party, party) {
            Some(PartyKind::Operator) => true,
            Some(PartyKind::Member) => charters.binding(party).is_some(),
            None => false,
        }
    }
}

fn root_of(room: &Room) -> Result<&KeyPair, OrderFault> {
    let why = "the root key is kept offline; sign with it there";
    room.keys.root.as_ref().ok_or(OrderFault::OutOfOrder { why })
}
