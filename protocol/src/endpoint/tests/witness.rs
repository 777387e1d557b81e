//! Cosigning: an honest log, one that was forked, one that was rolled back.

use super::*;
use crate::limits::LOG_COSIGN_INTERVAL;
use crate::log::checkpoint::{LogKeys, Strangers, origin};
use crate::log::edge::tests::log_of;
use crate::log::proof::TreeReader;
use crate::log::tree::{TreeHash, TreeHead};
use crate::message::witness::LogOffer;

fn shows(pair: &mut Pair, head: TreeHead) {
    let consortium = pair.consortium;
    pair.feed(1, Input::LogHead { consortium, head });
}

/// The operator is asked to keep a checkpoint, and says whether it has.
fn keeps(pair: &mut Pair, durable: bool) -> Option<String> {
    let witness = |effect: &Effect| match effect {
        Effect::Witness { ticket, checkpoint, .. } => Some((*ticket, checkpoint.clone())),
        _ => None,
    };
    let (ticket, checkpoint) = pair.pick(0, witness)?;
    pair.feed(0, Input::Witnessed { ticket, durable });
    Some(checkpoint)
}

/// From which size the member is asked to prove its log.
fn proves(pair: &mut Pair, proof: Option<(TreeHead, Vec<TreeHash>)>) -> Option<u64> {
    let prove = |effect: &Effect| match effect {
        Effect::ProveLog { ticket, from, .. } => Some((*ticket, *from)),
        _ => None,
    };
    let (ticket, from) = pair.pick(1, prove)?;
    pair.feed(1, Input::LogProof { ticket, proof });
    Some(from)
}

/// The cosignature that reached the member.
fn cosignature(pair: &mut Pair) -> Option<(u64, String)> {
    let kept = |effect: &Effect| match effect {
        Effect::KeepCosignature { size, checkpoint, .. } => Some((*size, checkpoint.clone())),
        _ => None,
    };
    pair.pick(1, kept)
}

fn proof(from: u64, to: u64) -> (TreeHead, Vec<TreeHash>) {
    let (files, head) = log_of(to);
    (head, TreeReader::new(&files, to).consistency(from).unwrap().unwrap())
}

/// Whether the operator has evidence, has told its people and has closed the connection.
fn split(pair: &mut Pair) -> bool {
    let north = pair.parties[1].name.clone();
    let evidence = |effect: &Effect| match effect {
        Effect::KeepEvidence { last, now, .. } => Some((last.clone(), now.clone())),
        _ => None,
    };
    let Some((last, now)) = pair.pick(0, evidence) else { return false };
    assert_ne!(last, now);
    assert!(pair.seen[0].contains(&Effect::Notify(Notice::SplitView(north))));
    assert!(pair.seen[0].contains(&Effect::Close { conn: ConnId(1), code: ErrorCode::Forked }));
    true
}

// LOG-13 LOG-17 LOG-18
#[test]
fn an_honest_log_is_cosigned_once_it_is_kept_and_again_after_an_hour() {
    let mut pair = Pair::new();
    shows(&mut pair, log_of(5).1);
    assert_eq!(cosignature(&mut pair), None, "nothing leaves before the checkpoint is durable");
    assert!(keeps(&mut pair, true).is_some());
    let (size, text) = cosignature(&mut pair).unwrap();
    assert_eq!(size, 5);
    let name = |n: usize| origin(&pair.consortium, &pair.parties[n].name);
    let keys = LogKeys::new(&name(1), [pair.parties[1].signing.public()], Strangers::Refuse).unwrap();
    let keys = keys.with_cosigner(&name(0), pair.parties[0].signing.public()).unwrap();
    assert_eq!(keys.open(&text).unwrap().cosigned.len(), 1);
    shows(&mut pair, log_of(9).1);
    pair.mono = Millis(LOG_COSIGN_INTERVAL.millis());
    pair.feed(1, Input::Tick);
    assert_eq!(proves(&mut pair, None), None, "a millisecond too early");
    pair.mono = Millis(LOG_COSIGN_INTERVAL.millis() + 1);
    pair.feed(1, Input::Tick);
    assert_eq!(proves(&mut pair, Some(proof(5, 9))), Some(5));
    assert!(keeps(&mut pair, true).is_some());
    assert_eq!(cosignature(&mut pair).unwrap().0, 9);
    pair.disconnect();
    pair.connect();
    assert_eq!(proves(&mut pair, None), None, "a head that is cosigned is not shown again");
    pair.order(1, Command::Stop).unwrap();
    shows(&mut pair, log_of(12).1);
    assert_eq!(proves(&mut pair, None), None, "nor any while the node is stopped");
    pair.order(1, Command::Start).unwrap();
    shows(&mut pair, log_of(12).1);
    assert_eq!(proves(&mut pair, Some(proof(9, 12))), Some(9), "once after connecting");
}

// LOG-13
#[test]
fn a_head_that_comes_late_is_not_shown_in_place_of_a_newer_one() {
    let mut pair = Pair::new();
    pair.disconnect();
    shows(&mut pair, log_of(9).1);
    shows(&mut pair, log_of(5).1);
    pair.connect();
    keeps(&mut pair, true);
    assert_eq!(cosignature(&mut pair).unwrap().0, 9);
}

// LOG-11
#[test]
fn a_checkpoint_is_offered_plain_and_under_the_key_of_its_log() {
    let pair = Pair::new();
    let name = origin(&pair.consortium, &pair.parties[1].name);
    let of = |pair: &KeyPair| crate::log::checkpoint::signed(&name, log_of(5).1, pair).unwrap();
    let plain = of(&pair.parties[1].signing);
    let stranger = crate::log::checkpoint::cosigned(&plain, "x", &pair.parties[0].ada, NOW).unwrap();
    let more = plain.replace("\n\n", "\nmore\n\n");
    for (checkpoint, expected) in [
        (plain.clone(), None),
        (of(&pair.parties[1].root), Some(ErrorCode::SignatureInvalid)),
        (plain.replace("\n5\n", "\n6\n"), Some(ErrorCode::SignatureInvalid)),
        (stranger, Some(ErrorCode::Malformed)),
        (more, Some(ErrorCode::Malformed)),
    ] {
        let mut pair = Pair::new();
        let offer = LogOffer { old: 0, checkpoint, path: vec![] };
        let message = Message { kind: MessageType::Checkpoint, payload: codec::encode(&offer) };
        let (conn, stream) = (ConnId(1), StreamId(91));
        pair.feed(0, Input::Request { conn, stream, message });
        let refusal = |effect: &Effect| match effect {
            Effect::Reply { message, .. } => Some(code_of(message)),
            _ => None,
        };
        assert_eq!(pair.pick(0, refusal), expected);
        assert_eq!(keeps(&mut pair, true).is_some(), expected.is_none());
    }
}

// LOG-18
#[test]
fn a_checkpoint_that_cannot_be_kept_is_not_cosigned() {
    let mut pair = Pair::new();
    shows(&mut pair, log_of(5).1);
    assert!(keeps(&mut pair, false).is_some());
    assert_eq!(cosignature(&mut pair), None);
}

// LOG-13
#[test]
fn a_node_that_has_forgotten_what_was_cosigned_is_asked_for_a_proof_from_there() {
    let mut pair = Pair::new();
    shows(&mut pair, log_of(5).1);
    keeps(&mut pair, true);
    pair.restore(1);
    pair.connect();
    shows(&mut pair, log_of(9).1);
    assert_eq!(proves(&mut pair, Some(proof(5, 9))), Some(5));
    keeps(&mut pair, true);
    assert_eq!(cosignature(&mut pair).unwrap().0, 9);
}

// LOG-13 LOG-19
#[test]
fn a_log_that_was_forked_or_rolled_back_is_evidence() {
    let (three, five, nine) = (log_of(3).1, log_of(5).1, log_of(9).1);
    let forked = TreeHead { root: nine.root, ..five };
    let grown = TreeHead { root: five.root, ..nine };
    for (what, head, expected) in
        [("the same", five, false), ("rolled back", three, true), ("forked", forked, true), ("forked", grown, true)]
    {
        for restarts in [false, true] {
            let mut pair = Pair::new();
            shows(&mut pair, five);
            let kept = keeps(&mut pair, true).unwrap();
            pair.restore(1);
            if restarts {
                pair.restore(0);
                let (consortium, north) = (pair.consortium, pair.parties[1].name.clone());
                pair.nodes[0].remember_witnessed(consortium, north, kept);
            }
            pair.connect();
            pair.seen[1].clear();
            shows(&mut pair, head);
            proves(&mut pair, Some((head, proof(5, 9).1)));
            assert_eq!(split(&mut pair), expected, "{what} {head:?}");
            assert_eq!(keeps(&mut pair, true).is_some(), !expected, "{what}");
        }
    }
}
