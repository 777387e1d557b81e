//! `cohortium show`: signed documents of any kind as JSON, for a person or a script to read, out of files or out of the
//! running node's journal. Verifies nothing but their form.

use std::path::PathBuf;

use cohortium_protocol::key::signed::{Record, Signed, SignedFault};
use cohortium_protocol::limits::DOCUMENT_BYTES_MAX;
use cohortium_protocol::message::document::Document;
use cohortium_protocol::record::acceptance::{Acceptance, Standing};
use cohortium_protocol::record::announcement::Announcement;
use cohortium_protocol::record::charter::Charter;
use cohortium_protocol::record::common_schema::CommonSchema;
use cohortium_protocol::record::consolidation::Consolidation;
use cohortium_protocol::record::debit::Debit;
use cohortium_protocol::record::export_heading::ExportHeading;
use cohortium_protocol::record::invitation::Invitation;
use cohortium_protocol::record::journal_entry::JournalEntry;
use cohortium_protocol::record::linkage_wrap::LinkageWrap;
use cohortium_protocol::record::manifest::Manifest;
use cohortium_protocol::record::node_record::NodeRecord;
use cohortium_protocol::record::objection::Objection;
use cohortium_protocol::record::order::Order;
use cohortium_protocol::record::person::Person;
use cohortium_protocol::record::project::Project;
use cohortium_protocol::record::receipt::Receipt;
use cohortium_protocol::record::release::Release;
use cohortium_protocol::record::request::Request as ReleaseRequest;
use cohortium_protocol::record::revocation::Revocation;
use cohortium_protocol::record::share::Share;
use cohortium_protocol::record::site_notice::SiteNotice;
use cohortium_protocol::record::withdrawal::Withdrawal;
use serde_json::{Value, json};

use crate::cli::act::document;
use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::find;
use crate::cli::print::Shown;
use crate::control::{Reply, Request};
use crate::driver::subject;
use crate::home;
use crate::offline::folder::{Papers, read_papers};

/// Which document.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The document's file, as `history --documents` writes it, or a folder that a provider exported; where there is no
    /// such file, 8 digits or more of the digest of a document that the running node holds
    #[arg(value_name = "FILE|DIGEST")]
    file: PathBuf,
}

pub(crate) fn run(cx: &Cx, show: &Show) -> Result<Shown, CliFault> {
    let wrong = |fault: SignedFault| CliFault::wrong(format!("{} {fault}", show.file.display()));
    let json = if show.file.is_dir() {
        let Papers { heading, documents, .. } = read_papers(&show.file).map_err(CliFault::wrong)?;
        let shown: Result<Vec<Value>, SignedFault> =
            documents.iter().map(|each| read(&bytes_of(&each.document))).collect();
        json!({"heading": read(&heading.to_bytes()).map_err(wrong)?, "documents": shown.map_err(wrong)?})
    } else if let Some(digest) = show.digest() {
        read(&held(cx, digest)?).map_err(wrong)?
    } else {
        read(&home::read_bounded(&show.file, DOCUMENT_BYTES_MAX as u64)?).map_err(wrong)?
    };
    let text = serde_json::to_string_pretty(&json).map_err(|_| CliFault::local("the document has no JSON form"))?;
    Ok(Shown::new(json, text))
}

impl Show {
    /// What is no file and can be the beginning of a digest.
    fn digest(&self) -> Option<&str> {
        self.file.to_str().filter(|text| find::is_id(text) && !self.file.exists())
    }
}

/// The envelope of the document whose digest begins so, out of the running node's journal.
fn held(cx: &Cx, digest: &str) -> Result<Vec<u8>, CliFault> {
    let request = Request::Find { consortium: cx.membership()?.consortium, id: digest.to_owned() };
    let Reply::History(entries) = cx.call(request)? else { return Err(CliFault::other_reply()) };
    let is_it =
        |entry: &JournalEntry| subject::document(&entry.act).is_some_and(|found| found.to_string().starts_with(digest));
    // The last one: a charter comes again with more signatures.
    let found = entries.iter().rev().find(|(_, entry)| is_it(entry)).and_then(|(_, entry)| document(&entry.act));
    found.ok_or_else(|| CliFault::not_found(format!("{digest} names a thing, not a document; see `history --about`")))
}

/// A document's envelope.
fn bytes_of(document: &Document) -> Vec<u8> {
    match document {
        Document::Charter(signed) => signed.to_bytes(),
        Document::NodeRecord(signed) => signed.to_bytes(),
        Document::Invitation(signed) => signed.to_bytes(),
        Document::Acceptance(signed) => signed.to_bytes(),
        Document::Standing(signed) => signed.to_bytes(),
        Document::Revocation(signed) => signed.to_bytes(),
        Document::Manifest(signed) => signed.to_bytes(),
        Document::Receipt(signed) => signed.to_bytes(),
        Document::LinkageWrap(signed) => signed.to_bytes(),
        Document::SiteNotice(signed) => signed.to_bytes(),
        Document::CommonSchema(signed) => signed.to_bytes(),
        Document::Project(signed) => signed.to_bytes(),
        Document::Withdrawal(signed) => signed.to_bytes(),
        Document::Announcement(signed) => signed.to_bytes(),
        Document::Objection(signed) => signed.to_bytes(),
        Document::Debit(signed) => signed.to_bytes(),
    }
}

type Reader = fn(&[u8]) -> Result<Value, SignedFault>;

/// One reader for each kind of signed document.
const READERS: [Reader; 23] = [
    read_as::<Announcement>,
    read_as::<Objection>,
    read_as::<Debit>,
    read_as::<Project>,
    read_as::<ReleaseRequest>,
    read_as::<Release>,
    read_as::<Withdrawal>,
    read_as::<Charter>,
    read_as::<ExportHeading>,
    read_as::<Consolidation>,
    read_as::<CommonSchema>,
    read_as::<NodeRecord>,
    read_as::<Person>,
    read_as::<Order>,
    read_as::<Share>,
    read_as::<Invitation>,
    read_as::<Acceptance>,
    read_as::<Standing>,
    read_as::<Revocation>,
    read_as::<Manifest>,
    read_as::<Receipt>,
    read_as::<LinkageWrap>,
    read_as::<SiteNotice>,
];

fn read(bytes: &[u8]) -> Result<Value, SignedFault> {
    let of_kind = READERS.iter().map(|read| read(bytes)).find(|read| !matches!(read, Err(SignedFault::WrongType)));
    of_kind.unwrap_or(Err(SignedFault::WrongType))
}

fn read_as<T: Record>(bytes: &[u8]) -> Result<Value, SignedFault> {
    let signed = Signed::<T>::from_bytes(bytes)?;
    let document = signed.claimed()?;
    let envelope = serde_json::to_value(&signed).unwrap_or_default();
    let signers: Vec<Value> =
        envelope["signatures"].as_array().into_iter().flatten().map(|line| line["key"].clone()).collect();
    Ok(json!({
        "type": T::LABEL, "title": T::TITLE, "digest": signed.digest(), "claimed_signers": signers, "document": document,
    }))
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::ident::{ConsortiumId, SubscriptionId};
    use cohortium_protocol::key::pair::KeyPair;
    use cohortium_protocol::record::acceptance::StandingState;
    use cohortium_protocol::record::extension::Extensions;
    use cohortium_protocol::time::UnixMillis;

    use super::*;

    #[test]
    fn a_document_of_any_kind_is_shown_by_its_own_reader() {
        let standing = Standing {
            consortium: ConsortiumId([1; 32]),
            subscription: SubscriptionId([2; 16]),
            consumer: "op".parse().unwrap(),
            sequence: 3,
            state: StandingState::Paused,
            at: UnixMillis(4),
            ext: Extensions::default(),
        };
        let pair = KeyPair::from_seed(&[1; 32]);
        let signed = Signed::sign(&standing, &pair);
        let shown = read(&signed.to_bytes()).unwrap();
        assert_eq!(shown["title"], "standing");
        assert_eq!(shown["document"]["state"], "paused");
        assert_eq!(shown["claimed_signers"], json!([pair.public()]));
        assert_eq!(shown["digest"], json!(signed.digest()));
        let mut bytes = signed.to_bytes();
        assert!(read(&bytes[1..]).is_err());
        bytes.push(0);
        assert!(read(&bytes).is_err());
    }
}
