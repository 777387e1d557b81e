//! Inputs and effects in short words, for a history that a person can read.

use cohortium_protocol::code::MessageType;
use cohortium_protocol::digest::sha256;
use cohortium_protocol::endpoint::io::{Answer, Effect, Input, Message, RunEnd};
use cohortium_protocol::hex;
use cohortium_protocol::message::document::{Document, Numbered};
use cohortium_protocol::record::journal_entry::{Act, Actor, JournalEntry};
use cohortium_protocol::wire::codec;

pub(crate) fn short(bytes: &[u8]) -> String {
    hex::text(&bytes[..bytes.len().min(3)])
}

fn message(message: &Message) -> String {
    let digest = short(&sha256(&[&message.payload]));
    if message.kind == MessageType::Document
        && let Ok(numbered) = codec::decode::<Numbered>(&message.payload, usize::MAX)
    {
        return format!("Document #{} {} {digest}", numbered.index, document(&numbered.document));
    }
    if message.kind == MessageType::Refused {
        return format!("Refused {:?}", message.payload);
    }
    format!("{:?} {digest}", message.kind)
}

pub(crate) const fn document(document: &Document) -> &'static str {
    match document {
        Document::Charter(_) => "Charter",
        Document::NodeRecord(_) => "NodeRecord",
        Document::Invitation(_) => "Invitation",
        Document::Acceptance(_) => "Acceptance",
        Document::Standing(_) => "Standing",
        Document::Revocation(_) => "Revocation",
        Document::Manifest(_) => "Manifest",
        Document::Receipt(_) => "Receipt",
        Document::LinkageWrap(_) => "LinkageWrap",
        Document::SiteNotice(_) => "SiteNotice",
        Document::CommonSchema(_) => "CommonSchema",
        Document::Project(_) => "Project",
        Document::Withdrawal(_) => "Withdrawal",
        Document::Announcement(_) => "Announcement",
        Document::Objection(_) => "Objection",
        Document::Debit(_) => "Debit",
    }
}

fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Message(told) => message(told),
        other => format!("{other:?}"),
    }
}

fn entry(entry: &JournalEntry) -> String {
    let act = match &entry.act {
        Act::Order(order) => {
            let command = order.claimed().map(|order| format!("{:?}", order.command)).unwrap_or_default();
            let cut = command.char_indices().nth(90).map_or(command.len(), |(at, _)| at);
            format!("Order {}", &command[..cut])
        }
        Act::Receipt(signed) => {
            let told = signed.claimed().map(|receipt| format!("{} {:?}", short(&receipt.snapshot.0), receipt.outcome));
            format!("Receipt {}", told.unwrap_or_default())
        }
        Act::Manifest(signed) => {
            let told = signed.claimed().map(|manifest| format!("{:?} {}", manifest.base, manifest.sequence));
            format!("Manifest {} {}", short(&signed.digest().0), told.unwrap_or_default())
        }
        other => format!("{other:?}"),
    };
    match &entry.actor {
        Actor::Peer(name) => format!("{name}: {act}"),
        Actor::Person(_) | Actor::Node => act,
    }
}

pub(crate) fn input(input: &Input) -> String {
    match input {
        Input::Request { conn, message: told, .. } => format!("{conn:?} asks {}", message(told)),
        Input::Answered { ticket, answer: told } => format!("{ticket:?} answered {}", answer(told)),
        Input::Order { ticket, order } => {
            let person = order.claimed().map(|order| order.person.to_string()).unwrap_or_default();
            format!("{ticket:?} order of {person}")
        }
        Input::RunEnded { ticket, end } => {
            let told = match end {
                RunEnd::Taken(taken) => format!("taken {:?} {}", taken.base, short(&taken.listing.digest.0)),
                RunEnd::Unchanged | RunEnd::Failed(_) => format!("{end:?}"),
            };
            format!("{ticket:?} run {told}")
        }
        Input::ListingRead { ticket, listing } => format!("{ticket:?} listing {}", listing.is_some()),
        Input::LinkageWrapped { ticket, wraps, .. } => format!("{ticket:?} wrapped for {}", wraps.len()),
        Input::Connected { conn, side, protocol, .. } => format!("{conn:?} connected, {side:?} {protocol:?}"),
        other => format!("{other:?}"),
    }
}

pub(crate) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Persist { first, entries, .. } => {
            let told: Vec<String> = entries.iter().map(entry).collect();
            format!("persist {first}: {}", told.join("; "))
        }
        Effect::Ask { conn, ticket, message: told } => format!("{conn:?} {ticket:?} ask {}", message(told)),
        Effect::Fetch { conn, ticket, blob, part, .. } => {
            format!("{conn:?} {ticket:?} fetch {} {part:?}", short(&blob.digest.0))
        }
        Effect::Reply { stream, message: told, .. } => format!("{stream:?} reply {}", message(told)),
        Effect::Serve { stream, under, blob, part, .. } => {
            format!("{stream:?} serve {} {} {part:?}", short(&under.subscription.0), short(&blob.digest.0))
        }
        Effect::Run { ticket, plan } => {
            format!("{ticket:?} run {} delta {}", short(&plan.share.share.0), plan.previous.is_some())
        }
        Effect::OpenLanding { ticket, blob } => format!("{ticket:?} open {}", short(&blob.digest.0)),
        Effect::FinishBlob { ticket, blob } => format!("{ticket:?} finish {}", short(&blob.digest.0)),
        Effect::ReadListing { ticket, blob } => format!("{ticket:?} read listing {}", short(&blob.digest.0)),
        Effect::Check { ticket, version, .. } => format!("{ticket:?} check {}", short(&version.snapshot.0)),
        other => format!("{other:?}"),
    }
}
