//! Cosigning a peer's log: the one way to a cosignature leads through the proof that the log only grew.

use crate::key::pair::KeyPair;
use crate::log::checkpoint::{LogKeys, cosigned};
use crate::log::proof::{ProofFault, verify_consistency};
use crate::log::tree::{TreeHash, TreeHead};
use crate::time::UnixMillis;

/// Who cosigns.
#[expect(missing_debug_implementations, reason = "a secret has no text form")]
#[derive(Clone, Copy)]
pub struct Witness<'a> {
    /// This node's own origin.
    pub name: &'a str,
    /// This node's signing key.
    pub pair: &'a KeyPair,
}

impl Witness<'_> {
    /// Cosigns a peer's `checkpoint` at `now`, when it stands and extends `last`, the head that this node cosigned last;
    /// `path` is the consistency proof between the two, empty when there is no last one (spec LOG-13).
    ///
    /// Gives the head, which the caller keeps durably as the new `last` before it sends anything, and the checkpoint
    /// with the cosignature.
    ///
    /// # Errors
    /// [`ProofFault`]; after [`ProofFault::Forked`] or [`ProofFault::RolledBack`] both checkpoints are evidence.
    pub fn cosign(
        self,
        keys: &LogKeys,
        last: Option<&TreeHead>,
        (checkpoint, path): (&str, &[TreeHash]),
        now: UnixMillis,
    ) -> Result<(TreeHead, String), ProofFault> {
        let open = keys.open(checkpoint).map_err(ProofFault::Note)?;
        match (last, path) {
            (Some(last), path) => verify_consistency(last, &open.head, path)?,
            (None, []) => {}
            (None, [_, ..]) => return Err(ProofFault::PathLength),
        }
        let cosigned = cosigned(checkpoint, self.name, self.pair, now).map_err(ProofFault::Note)?;
        Ok((open.head, cosigned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::checkpoint::tests::{ORIGIN, PEER, keys, log_pair, peer_pair};
    use crate::log::checkpoint::{Strangers, signed};
    use crate::log::edge::tests::log_of;
    use crate::log::proof::TreeReader;

    // LOG-13
    #[test]
    fn a_log_that_was_forked_or_rolled_back_is_not_cosigned() {
        let ((_, five), (files, nine)) = (log_of(5), log_of(9));
        let pair = peer_pair();
        let at = |head| signed(ORIGIN, head, &log_pair()).unwrap();
        let path = TreeReader::new(&files, 9).consistency(5).unwrap().unwrap();
        let keys = keys(Strangers::Refuse);
        let ask = |last: Option<&TreeHead>, head, path: &[TreeHash]| {
            Witness { name: PEER, pair: &pair }.cosign(&keys, last, (&at(head), path), UnixMillis(7000))
        };
        let (head, text) = ask(None, five, &[]).unwrap();
        assert_eq!((head, keys.open(&text).unwrap().cosigned[0].at_seconds), (five, Some(7)));
        assert_eq!(ask(Some(&five), nine, &path).unwrap().0, nine);
        assert_eq!(ask(Some(&five), five, &[]).unwrap().0, five);
        assert_eq!(ask(Some(&nine), five, &[]).unwrap_err(), ProofFault::RolledBack);
        let other = TreeHead { root: nine.root, ..five };
        assert_eq!(ask(Some(&five), other, &[]).unwrap_err(), ProofFault::Forked);
        assert_eq!(ask(Some(&other), nine, &path).unwrap_err(), ProofFault::Root);
        assert_eq!(ask(Some(&five), nine, &[]).unwrap_err(), ProofFault::PathLength);
        assert_eq!(ask(None, nine, &path).unwrap_err(), ProofFault::PathLength);
        let unsigned = at(nine).replace("9\n", "8\n");
        let refused = Witness { name: PEER, pair: &pair }.cosign(&keys, None, (&unsigned, &[]), UnixMillis(7000));
        assert!(matches!(refused, Err(ProofFault::Note(_))));
    }
}
