//! The operator's side of the join protocol: a hospital with a one-time secret is noted, to be put to the members.

use crate::code::{ErrorCode, MessageType};
use crate::digest::DocumentDigest;
use crate::ident::ConsortiumId;
use crate::key::signed::SignedFault;
use crate::limits::JOIN_FRAME_BYTES_MAX;
use crate::message::join::{Join, JoinAck, proves, secret_id};
use crate::record::journal_entry::{Act, Actor};
use crate::wire::codec;

use super::io::{ConnId, Effect, Message, StreamId};
use super::{Endpoint, refused};

/// A join that stands.
struct Checked {
    ack: JoinAck,
    secret: DocumentDigest,
    is_news: bool,
}

impl Endpoint {
    pub(super) fn join_received(&mut self, conn: ConnId, stream: StreamId, message: &Message) {
        let checked = codec::decode::<Join>(&message.payload, JOIN_FRAME_BYTES_MAX)
            .map_err(|_| ErrorCode::Malformed)
            .and_then(|join| self.check_join(conn, &join).map(|checked| (join, checked)));
        match checked {
            Ok((join, checked)) => {
                let act = Act::JoinAsked { secret: checked.secret, record: join.record };
                self.persist(join.consortium, &Actor::Node, if checked.is_news { vec![act] } else { Vec::new() });
                let message = Message { kind: MessageType::JoinAck, payload: codec::encode(&checked.ack) };
                self.after(join.consortium, Effect::Reply { conn, stream, message });
            }
            Err(code) => {
                let consortium: Option<ConsortiumId> =
                    codec::decode::<Join>(&message.payload, JOIN_FRAME_BYTES_MAX).ok().map(|join| join.consortium);
                self.note_refusal(consortium, None, code);
                self.reply_now(conn, stream, refused(code));
                self.close(conn, code);
            }
        }
    }

    /// Secret, proof, expiry, and the record's signature by its own root (spec JOIN-1 to JOIN-4). The same hospital may
    /// ask again with the same secret and root; another root may not.
    fn check_join(&self, conn: ConnId, join: &Join) -> Result<Checked, ErrorCode> {
        let room = self.rooms.get(&join.consortium).ok_or(ErrorCode::ConsortiumUnknown)?;
        let now = self.cx().wall;
        let mut secrets = room.state.secrets.iter();
        let (digest, secret) =
            secrets.find(|(digest, _)| secret_id(**digest) == join.secret).ok_or(ErrorCode::TokenRefused)?;
        let claimed = join.record.claimed().map_err(SignedFault::code)?;
        let record = join.record.verify(&[claimed.root]).map_err(SignedFault::code)?;
        let tls = self.conns.get(&conn).map(|conn| conn.tls).ok_or(ErrorCode::OutOfOrder)?;
        let proven = proves(&join.proof, *digest, &room.keys.tls, &tls, &record.root);
        let same = |root: crate::key::pair::PublicKey| root == record.root;
        let state = &room.state;
        let taken = state.charters.root_of(&state.party, &record.party).map(|(root, _)| root);
        let asked = state.joining.get(&record.party).map(|known| known.record.root);
        let fresh = secret.used_by.is_none_or(same) && taken.is_none_or(same) && asked.is_none_or(same);
        if !proven || !fresh || record.party != secret.party {
            return Err(ErrorCode::TokenRefused);
        }
        if now >= secret.expires || !record.stands_at(now) {
            return Err(ErrorCode::Expired);
        }
        if record.tls != tls || record.consortium != join.consortium {
            return Err(ErrorCode::IdentityRefused);
        }
        let first = room.state.charters.chain().first().ok_or(ErrorCode::CharterNotInForce)?;
        let ours = room.state.records.get(&room.state.party).ok_or(ErrorCode::Unavailable)?;
        let ack = JoinAck { charter: first.signed.clone(), record: ours.signed.clone() };
        Ok(Checked { ack, secret: *digest, is_news: secret.used_by.is_none() })
    }
}
