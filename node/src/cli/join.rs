//! `cohortium consortium join`: one exchange with the operator's node over the join protocol, then the first entries.

use std::sync::Arc;

use cohortium_protocol::code::{ErrorCode, MessageType};
use cohortium_protocol::ident::{ConsortiumId, Text};
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::key::signed::{Signed, Verified};
use cohortium_protocol::limits::{ANSWER_DEADLINE, JOIN_FRAME_BYTES_MAX};
use cohortium_protocol::message::hello::Refused;
use cohortium_protocol::message::join::{Join, JoinAck, JoinToken, prove, secret_digest, secret_id};
use cohortium_protocol::record::charter::Charter;
use cohortium_protocol::record::journal_entry::Act;
use cohortium_protocol::record::node_record::NodeRecord;
use cohortium_protocol::wire::codec;
use cohortium_transport::frame::{read_frame, write_frame};
use cohortium_transport::{
    Admission, Alpn, Connection, DialTarget, HostPort, Route, TlsIdentity, Transport, TransportConfig,
};
use serde_json::json;

use crate::cli::call::{Cx, now};
use crate::cli::exit::{CliFault, chain};
use crate::cli::found::{self, NodeKeys};
use crate::cli::print::Shown;
use crate::config::file::RouteKind;
use crate::config::resolve::Config;
use crate::config::secret;
use crate::home::{self, MembershipFile};

/// The node record that is sent, kept until the join has ended, so that a second try sends the same one.
const RECORD_FILE: &str = "joining.record";

pub(crate) fn run(cx: &Cx, token: &JoinToken, title: Option<Text>) -> Result<Shown, CliFault> {
    let config = cx.config()?;
    cx.daemon_must_rest()?;
    let first = found::first_person(&config)?;
    if token.expires <= now() {
        return Err(CliFault::refused(format!("the token ended at {}; ask the operator for a new one", token.expires)));
    }
    if cx.home.memberships()?.iter().any(|each| each.consortium == token.consortium) {
        return Err(CliFault::refused(format!("this node is in consortium {} already", token.consortium)));
    }
    let mut keystore = secret::open_keystore(&cx.home, &config.key)?;
    let keys = NodeKeys::of(&keystore)?;
    let record = kept_record(cx, token, &keys)?;
    let digest = secret_digest(&token.secret);
    let proof = prove(digest, &token.tls, &keys.tls.public(), &keys.root.public());
    let join = Join { consortium: token.consortium, secret: secret_id(digest), proof, record: record.clone() };
    let identity = TlsIdentity::from_seed(&keys.tls_seed);
    let ack = runtime()?.block_on(ask(&config, token, identity, &join))?;
    let charter = check(token, &ack)?;
    let membership = MembershipFile {
        consortium: token.consortium,
        party: token.party.clone(),
        operator_root: token.operator,
        operator_tls: token.tls,
        operator_address: Some(token.address.to_string()),
        public_address: None,
        title: Some(title.unwrap_or_else(|| charter.title.clone())),
        kind: charter.kind,
    };
    let acts = found::first_acts(&keys, &membership, vec![Act::NodeRecord(record)], first);
    found::begin(&cx.home, &mut keystore, &membership, acts)?;
    let _ = std::fs::remove_file(cx.home.consortium(&token.consortium).join(RECORD_FILE));
    Ok(shown(&membership, &charter, &keys.root.public()))
}

/// The record of an earlier try that was not answered, or a new one.
fn kept_record(cx: &Cx, token: &JoinToken, keys: &NodeKeys) -> Result<Signed<NodeRecord>, CliFault> {
    let path = cx.home.consortium(&token.consortium).join(RECORD_FILE);
    if let Ok(bytes) = home::read_private(&path, JOIN_FRAME_BYTES_MAX as u64)
        && let Ok(record) = Signed::<NodeRecord>::from_bytes(&bytes)
        && record.verify(&[keys.root.public()]).is_ok_and(|held| held.party == token.party && held.stands_at(now()))
    {
        return Ok(record);
    }
    let record = keys.record(token.consortium, &token.party)?;
    home::make_folder(&cx.home.consortium(&token.consortium))?;
    home::replace_private(&path, &record.to_bytes())?;
    Ok(record)
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CliFault> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|fault| CliFault::local(format!("{fault} while starting the network")))
}

/// Nobody dials a command.
pub(crate) struct Nobody;

impl Admission for Nobody {
    fn admits(&self, _alpn: Alpn, _key: &PublicKey) -> bool {
        false
    }
}

/// A transport that only dials.
pub(crate) async fn dialling(identity: TlsIdentity) -> Result<Transport, CliFault> {
    let config = TransportConfig { listen_udp: None, listen_tcp: None, identity, admission: Arc::new(Nobody) };
    Transport::bind(config).await.map_err(|fault| CliFault::unreachable(chain(&fault)))
}

async fn ask(config: &Config, token: &JoinToken, identity: TlsIdentity, join: &Join) -> Result<JoinAck, CliFault> {
    let addr: HostPort = token.address.as_str().parse().map_err(|fault| {
        CliFault::usage(format!("the token's address {} {fault}; ask the operator for a new one", token.address))
    })?;
    let transport = dialling(identity).await?;
    let connection = dial(&transport, config, &addr, token.tls).await?;
    let answer = exchange(&connection, join).await;
    connection.close(0, "joined");
    transport.close().await;
    answer
}

async fn dial(
    transport: &Transport,
    config: &Config,
    addr: &HostPort,
    peer_key: PublicKey,
) -> Result<Connection, CliFault> {
    let mut faults = Vec::new();
    for kind in &config.routes {
        let route = match (kind, &config.proxy) {
            (RouteKind::Quic, _) => Route::Quic,
            (RouteKind::Tcp, _) => Route::Tcp,
            (RouteKind::Proxy, Some(proxy)) => Route::Proxy { addr: proxy.clone() },
            (RouteKind::Proxy, None) => continue,
        };
        let target = DialTarget { addr: addr.clone(), peer_key, alpn: Alpn::Join, route };
        match transport.dial(&target).await {
            Ok(connection) => return Ok(connection),
            Err(fault) => {
                let final_word = !fault.another_route_may_help();
                faults.push(format!("{}: {}", target.route, chain(&fault)));
                if final_word {
                    break;
                }
            }
        }
    }
    Err(CliFault::unreachable(format!("no route leads to the operator at {addr}; {}", faults.join("; "))))
}

async fn exchange(connection: &Connection, join: &Join) -> Result<JoinAck, CliFault> {
    let lost =
        |fault: &dyn std::error::Error| CliFault::unreachable(format!("the operator did not answer: {}", chain(fault)));
    let deadline = std::time::Duration::from_millis(ANSWER_DEADLINE.millis());
    let (mut send, mut recv) = connection.open().await.map_err(|fault| lost(&fault))?;
    write_frame(&mut send, MessageType::Join, &codec::encode(join), deadline).await.map_err(|fault| lost(&fault))?;
    let (kind, payload) = read_frame(&mut recv, deadline).await.map_err(|fault| lost(&fault))?;
    let odd = || CliFault::wrong("the operator's answer is malformed; it is not the node that the token names");
    match kind {
        MessageType::JoinAck => codec::decode(&payload, JOIN_FRAME_BYTES_MAX).map_err(|_| odd()),
        MessageType::Refused => {
            let refused: Refused = codec::decode(&payload, JOIN_FRAME_BYTES_MAX).map_err(|_| odd())?;
            Err(refusal(ErrorCode::from_code(refused.code)))
        }
        _ => Err(odd()),
    }
}

fn refusal(code: Option<ErrorCode>) -> CliFault {
    match code {
        Some(ErrorCode::TokenRefused) => {
            CliFault::refused("the token is used, ended or unknown; ask the operator for a new one")
        }
        Some(ErrorCode::ClockSkew) => {
            CliFault::refused("the clocks of the two nodes lie too far apart; set this machine's")
        }
        Some(code) => CliFault::refused(format!("the operator refused: {code}")),
        None => CliFault::refused("the operator refused with a code of a later version"),
    }
}

/// Checks the answer against the token, which came another way: the id is the digest of the first charter, the operator
/// in it has the token's root key, and that key has signed both documents.
fn check(token: &JoinToken, ack: &JoinAck) -> Result<Verified<Charter>, CliFault> {
    let wrong = |what: &str| CliFault::wrong(format!("the operator's answer does not fit the token: {what}"));
    if ConsortiumId(ack.charter.digest().0) != token.consortium {
        return Err(wrong("the charter is not the one that the consortium's id names"));
    }
    let charter = ack.charter.verify(&[token.operator]).map_err(|fault| wrong(&format!("the charter {fault}")))?;
    if charter.version != 1 || charter.operator().1.root != token.operator {
        return Err(wrong("the operator has another root key"));
    }
    let record = ack.record.verify(&[token.operator]).map_err(|fault| wrong(&format!("the node record {fault}")))?;
    if record.consortium != token.consortium || record.party != *charter.operator().0 || record.tls != token.tls {
        return Err(wrong("the node record is another node's"));
    }
    Ok(charter)
}

fn shown(membership: &MembershipFile, charter: &Charter, root: &PublicKey) -> Shown {
    let (operator, ours) = (membership.operator_root.fingerprint(), root.fingerprint());
    let (consortium, party) = (membership.consortium, &membership.party);
    let json = json!({
        "consortium": consortium,
        "title": charter.title,
        "kind": charter.kind,
        "party": party,
        "operator": {"name": charter.operator().0, "fingerprint": operator},
        "fingerprint": ours,
    });
    let text = format!(
        "Asked to join {} ({consortium}) as {party}\n  the operator's fingerprint  {operator}\n  this node's fingerprint     \
         {ours}\nCompare both by telephone. This node takes part once the members have admitted it.\n",
        charter.title
    );
    Shown::new(json, text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cohortium_protocol::ident::{Name, Nonce};
    use cohortium_protocol::key::pair::{KeyPair, SealingKey};
    use cohortium_protocol::quantity::AnonymityK;
    use cohortium_protocol::record::charter::{
        CharterFields, CharterKind, LandedRows, Party, PartyKind, ReleasePolicy, Terms,
    };
    use cohortium_protocol::record::extension::Extensions;
    use cohortium_protocol::record::node_record::NodeRecordFields;
    use cohortium_protocol::time::{Seconds, UnixMillis};

    use super::*;
    use crate::control::ErrorKind;

    fn pair(seed: u8) -> KeyPair {
        KeyPair::from_seed(&[seed; 32])
    }

    fn charter(root: u8, signer: u8) -> Signed<Charter> {
        let operator: Name = "op".parse().unwrap();
        let title: Text = "T".parse().unwrap();
        let party =
            Party { kind: PartyKind::Operator, title: title.clone(), root: pair(root).public(), succeeds: None };
        let fields = CharterFields {
            consortium: None,
            version: 1,
            previous: None,
            title,
            kind: CharterKind::Rehearsal,
            at: UnixMillis(1),
            roster: BTreeMap::from([(operator, party)]),
            threshold: 1,
            schema: None,
            policy: ReleasePolicy { anonymity_k_min: AnonymityK(2), small_cell_min: 2 },
            accounts: BTreeMap::new(),
            terms: Terms { landed_rows: LandedRows::Exclude, share_validity_max: Seconds(1), contract: None },
            linkage: None,
            ext: Extensions::default(),
        };
        Signed::sign(&Charter::try_from(fields).unwrap(), &pair(signer))
    }

    fn record(consortium: ConsortiumId, tls: u8, party: &str, signer: u8) -> Signed<NodeRecord> {
        let fields = NodeRecordFields {
            consortium,
            party: party.parse().unwrap(),
            root: pair(1).public(),
            sequence: 1,
            tls: pair(tls).public(),
            signing: pair(3).public(),
            sealing: SealingKey([4; 32]),
            not_before: UnixMillis(0),
            not_after: UnixMillis(1),
            ext: Extensions::default(),
        };
        Signed::sign(&NodeRecord::try_from(fields).unwrap(), &pair(signer))
    }

    #[test]
    fn an_answer_counts_only_when_all_of_it_fits_the_token() {
        let good = charter(1, 1);
        let id = ConsortiumId(good.digest().0);
        let token = JoinToken {
            consortium: id,
            party: "north".parse().unwrap(),
            operator: pair(1).public(),
            tls: pair(2).public(),
            address: "op.example:1".parse().unwrap(),
            secret: Nonce([0; 16]),
            expires: UnixMillis(1),
        };
        let ack = |charter: Signed<Charter>, record| JoinAck { charter, record };
        assert!(check(&token, &ack(good.clone(), record(id, 2, "op", 1))).is_ok());
        let other_root = charter(9, 1);
        let other_token = JoinToken { consortium: ConsortiumId(other_root.digest().0), ..token.clone() };
        let bad = [
            (&token, ack(charter(9, 1), record(id, 2, "op", 1))),
            (&token, ack(charter(1, 9), record(id, 2, "op", 1))),
            (&other_token, ack(other_root, record(other_token.consortium, 2, "op", 1))),
            (&token, ack(good.clone(), record(id, 2, "op", 9))),
            (&token, ack(good.clone(), record(id, 8, "op", 1))),
            (&token, ack(good.clone(), record(id, 2, "north", 1))),
            (&token, ack(good, record(ConsortiumId([0; 32]), 2, "op", 1))),
        ];
        for (at, (token, ack)) in bad.into_iter().enumerate() {
            assert_eq!(check(token, &ack).err().map(|fault| fault.kind), Some(ErrorKind::VerifyFailed), "case {at}");
        }
    }
}
