//! Linkage keys: made, wrapped to members, opened and kept. The key never leaves the keystore but wrapped (law 1).

use cohortium_engine::linkage::{key_id, sub_key};
use cohortium_protocol::endpoint::io::{Input, Ticket};
use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_protocol::key::pair::{SealingKey, SealingSecret};
use cohortium_protocol::key::wrap::{Secret32, unwrap, wrap};
use cohortium_protocol::record::charter::CharterKind;
use cohortium_protocol::record::manifest::LinkageKeyId;
use cohortium_protocol::wire::codec::{self, Blob};
use cohortium_store::seal::random;

use crate::driver::keys::Keys;

/// A wrap as it came.
pub(crate) struct Received {
    pub(crate) key: LinkageKeyId,
    pub(crate) ephemeral: SealingKey,
    pub(crate) ciphertext: Blob,
}

/// Which key: everything its name in the keystore is made of.
#[derive(Clone, Copy)]
pub(crate) struct Which {
    pub(crate) kind: CharterKind,
    pub(crate) consortium: ConsortiumId,
    pub(crate) epoch: u32,
}

impl Which {
    /// What a wrap is bound to.
    fn context(self, recipient: &Name) -> Vec<u8> {
        codec::encode(&(self.consortium, self.epoch, recipient))
    }

    fn id(self, key: &Secret32) -> LinkageKeyId {
        key_id(&sub_key(key, &self.consortium, self.epoch))
    }
}

/// Makes a key, or finds the one made before a crash. Blocks.
pub(crate) fn make(keys: &Keys, which: Which, ticket: Ticket) -> Input {
    let held = keys.linkage(which.kind, &which.consortium, which.epoch);
    let key = held.unwrap_or_else(|| Secret32::new(random()));
    Input::LinkageKey { ticket, key: keep(keys, which, &key) }
}

fn keep(keys: &Keys, which: Which, key: &Secret32) -> Option<LinkageKeyId> {
    match keys.keep_linkage(which.kind, &which.consortium, which.epoch, key) {
        Ok(()) => Some(which.id(key)),
        Err(fault) => {
            tracing::error!(event = "keystore-failed", %fault);
            None
        }
    }
}

/// Wraps the held key to each recipient; a recipient whose key is not usable is left out. `None`: no key is held.
pub(crate) fn wrap_all(
    keys: &Keys,
    which: Which,
    ticket: Ticket,
    recipients: Vec<(Name, SealingKey)>,
) -> Option<Input> {
    let key = keys.linkage(which.kind, &which.consortium, which.epoch)?;
    let wraps = recipients.into_iter().filter_map(|(name, sealing)| {
        let ephemeral = SealingSecret::from_seed(&random());
        let (public, ciphertext) = wrap(&key, &ephemeral, &sealing, &which.context(&name)).ok()?;
        Some((name, public, ciphertext))
    });
    Some(Input::LinkageWrapped { ticket, key: which.id(&key), wraps: wraps.collect() })
}

/// Opens a wrap for `recipient`, this node, and keeps the key when it is the stated one. Blocks.
pub(crate) fn open(keys: &Keys, which: Which, ticket: Ticket, recipient: &Name, received: &Received) -> Input {
    let sealing = keys.sealing().ok();
    let opened = sealing
        .and_then(|ours| unwrap(&ours, &received.ephemeral, &received.ciphertext, &which.context(recipient)).ok());
    let stated = opened.filter(|key| which.id(key) == received.key);
    Input::LinkageKey { ticket, key: stated.and_then(|key| keep(keys, which, &key)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::keys::tests::keys;

    fn which(kind: CharterKind, epoch: u32) -> Which {
        Which { kind, consortium: ConsortiumId([7; 32]), epoch }
    }

    fn id(input: &Input) -> Option<LinkageKeyId> {
        let Input::LinkageKey { key, .. } = input else { panic!("not a linkage key") };
        *key
    }

    // LINK-2
    #[test]
    fn a_wrapped_key_opens_at_its_recipient_under_its_epoch_and_stated_id_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (maker, north) = (keys(dir.path(), "maker"), keys(dir.path(), "north"));
        let name: Name = "north".parse().unwrap();
        let one = which(CharterKind::Production, 1);
        let made = id(&make(&maker, one, Ticket(1))).unwrap();
        assert_eq!(id(&make(&maker, one, Ticket(2))), Some(made), "made once");
        let recipients = vec![(name.clone(), north.sealing().unwrap().public())];
        let Some(Input::LinkageWrapped { wraps, key, .. }) = wrap_all(&maker, one, Ticket(3), recipients) else {
            panic!("no wrap")
        };
        assert_eq!((key, wraps.len()), (made, 1));
        let (_, ephemeral, ciphertext) = wraps.into_iter().next().unwrap();
        let good = Received { key, ephemeral, ciphertext };
        let bent = Received { key: LinkageKeyId([0; 16]), ephemeral, ciphertext: good.ciphertext.clone() };
        assert_eq!(id(&open(&north, one, Ticket(4), &name, &bent)), None);
        assert_eq!(id(&open(&north, which(CharterKind::Production, 2), Ticket(5), &name, &good)), None);
        assert!(north.linkage(one.kind, &one.consortium, 1).is_none(), "nothing refused is kept");
        assert_eq!(id(&open(&north, one, Ticket(6), &name, &good)), Some(made));
    }

    #[test]
    fn a_rehearsal_never_meets_a_production_key() {
        let dir = tempfile::tempdir().unwrap();
        let keys = keys(dir.path(), "node");
        let (rehearsal, production) = (which(CharterKind::Rehearsal, 1), which(CharterKind::Production, 1));
        let rehearsed = id(&make(&keys, rehearsal, Ticket(1))).unwrap();
        assert!(keys.linkage(production.kind, &production.consortium, 1).is_none());
        assert_ne!(id(&make(&keys, production, Ticket(2))).unwrap(), rehearsed);
        assert_eq!(id(&make(&keys, rehearsal, Ticket(3))), Some(rehearsed));
        let rows = |kind| *keys.rows(kind, &production.consortium).unwrap().as_bytes();
        assert_ne!(rows(CharterKind::Rehearsal), rows(CharterKind::Production));
        assert_eq!(rows(CharterKind::Rehearsal), rows(CharterKind::Rehearsal));
    }
}
