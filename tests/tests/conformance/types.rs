//! Every record and message by its name in the specification: bytes, JSON, signatures, refusals.

use std::collections::{BTreeMap, BTreeSet};

use cohortium_protocol::ident::Nonce;
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::key::signed::{Record, Signed, SignedFault};
use cohortium_protocol::limits::DOCUMENT_BYTES_MAX;
use cohortium_protocol::message::document::Numbered;
use cohortium_protocol::message::hello::{Hello, HelloAck, Refused};
use cohortium_protocol::message::join::{Join, JoinAck, JoinToken};
use cohortium_protocol::message::transfer::{BulkBegin, OutboardGet, RangeGet};
use cohortium_protocol::message::witness::{LogAnswer, LogOffer};
use cohortium_protocol::record::acceptance::{Acceptance, Standing};
use cohortium_protocol::record::allowance::{Allowance, AllowanceFields};
use cohortium_protocol::record::announcement::Announcement;
use cohortium_protocol::record::charter::{Charter, CharterFields};
use cohortium_protocol::record::common_schema::{CommonSchema, CommonSchemaFields};
use cohortium_protocol::record::consolidation::{Consolidation, ConsolidationFields};
use cohortium_protocol::record::dataset::Dataset;
use cohortium_protocol::record::debit::Debit;
use cohortium_protocol::record::export_heading::ExportHeading;
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::invitation::Invitation;
use cohortium_protocol::record::journal_entry::JournalEntry;
use cohortium_protocol::record::linkage_wrap::LinkageWrap;
use cohortium_protocol::record::listing::{Listing, ListingEntry};
use cohortium_protocol::record::manifest::Manifest;
use cohortium_protocol::record::mapping::{Mapping, MappingFields, Origin};
use cohortium_protocol::record::node_record::{NodeRecord, NodeRecordFields};
use cohortium_protocol::record::objection::Objection;
use cohortium_protocol::record::order::{Command, Order};
use cohortium_protocol::record::person::Person;
use cohortium_protocol::record::pipeline::{Pipeline, PipelineFields};
use cohortium_protocol::record::project::{Project, ProjectFields};
use cohortium_protocol::record::receipt::Receipt;
use cohortium_protocol::record::release::{Release, ReleaseFields};
use cohortium_protocol::record::remote::{Select, ViewText};
use cohortium_protocol::record::request::{Request, RequestFields};
use cohortium_protocol::record::revocation::Revocation;
use cohortium_protocol::record::safeguards::{SafeguardFields, Safeguards};
use cohortium_protocol::record::schedule::{Schedule, ScheduleFields};
use cohortium_protocol::record::share::{Share, ShareFields};
use cohortium_protocol::record::site_notice::{SiteNotice, SiteNoticeFields};
use cohortium_protocol::record::text_form::{TextForm, TextFormFields};
use cohortium_protocol::record::vocabulary::Vocabulary;
use cohortium_protocol::record::withdrawal::Withdrawal;
use cohortium_protocol::wire::codec::{self, Blob, CodecFault};
use serde_json::{Value, json};

use crate::{Outcome, bytes, code_of, number, text};

/// What decoding gave.
struct Decoded {
    /// The JSON form, where a JSON reader's numbers can hold it.
    json: Option<Value>,
    /// Whether the value, and what its JSON form is read back as, are encoded as the same bytes.
    same_bytes: bool,
}

impl Decoded {
    /// The JSON form, unless an encoder writes other bytes than were decoded.
    fn json(self) -> Result<Option<Value>, String> {
        if self.same_bytes { Ok(self.json) } else { Err("encoded-otherwise".to_owned()) }
    }
}

type Decode = fn(&[u8], usize) -> Result<Decoded, CodecFault>;

/// Decodes one type.
macro_rules! decoder {
    ($kind:ty) => {
        |bytes, max| {
            codec::decode::<$kind>(bytes, max).map(|value| {
                let json = serde_json::to_value(&value).ok();
                let back =
                    json.clone().map(|json| serde_json::from_value::<$kind>(json).map(|back| codec::encode(&back)));
                let same_back = back.is_none_or(|back| back.is_ok_and(|back| back == bytes));
                Decoded { json, same_bytes: same_back && codec::encode(&value) == bytes }
            })
        }
    };
}

fn value_decoder(name: &str) -> Decode {
    match name {
        "u8" => decoder!(u8),
        "u16" => decoder!(u16),
        "u32" => decoder!(u32),
        "u64" => decoder!(u64),
        "u128" => decoder!(u128),
        "bool" => decoder!(bool),
        "string" => decoder!(String),
        "bytes" => decoder!(Blob),
        "option-u32" => decoder!(Option<u32>),
        "seq-u16" => decoder!(Vec<u16>),
        "set-u16" => decoder!(BTreeSet<u16>),
        "map-u16-bytes" => decoder!(BTreeMap<u16, Blob>),
        unknown => panic!("no value type {unknown}"),
    }
}

fn record_decoder(name: &str) -> Decode {
    match name {
        "charter" => decoder!(Charter),
        "node-record" => decoder!(NodeRecord),
        "person" => decoder!(Person),
        "share" => decoder!(Share),
        "schedule" => decoder!(Schedule),
        "invitation" => decoder!(Invitation),
        "acceptance" => decoder!(Acceptance),
        "standing" => decoder!(Standing),
        "revocation" => decoder!(Revocation),
        "manifest" => decoder!(Manifest),
        "receipt" => decoder!(Receipt),
        "linkage-wrap" => decoder!(LinkageWrap),
        "order" => decoder!(Order),
        "export-heading" => decoder!(ExportHeading),
        "consolidation" => decoder!(Consolidation),
        "listing" => decoder!(Listing),
        "journal-entry" => decoder!(JournalEntry),
        "dataset" => decoder!(Dataset),
        "mapping" => decoder!(Mapping),
        "site-notice" => decoder!(SiteNotice),
        "pipeline" => decoder!(Pipeline),
        "origin" => decoder!(Origin),
        "vocabulary" => decoder!(Vocabulary),
        "allowance" => decoder!(Allowance),
        "common-schema" => decoder!(CommonSchema),
        "project" => decoder!(Project),
        "request" => decoder!(Request),
        "release" => decoder!(Release),
        "withdrawal" => decoder!(Withdrawal),
        "announcement" => decoder!(Announcement),
        "objection" => decoder!(Objection),
        "debit" => decoder!(Debit),
        "safeguards" => decoder!(Safeguards),
        "text-form" => decoder!(TextForm),
        "select" => decoder!(Select),
        "view" => decoder!(ViewText),
        "hello" => decoder!(Hello),
        "hello-ack" => decoder!(HelloAck),
        "refused" => decoder!(Refused),
        "document" => decoder!(Numbered),
        "outboard-get" => decoder!(OutboardGet),
        "range-get" => decoder!(RangeGet),
        "bulk-begin" => decoder!(BulkBegin),
        "log-offer" => decoder!(LogOffer),
        "log-answer" => decoder!(LogAnswer),
        "join-token" => decoder!(JoinToken),
        "join" => decoder!(Join),
        "join-ack" => decoder!(JoinAck),
        unknown => panic!("no record or message {unknown}"),
    }
}

pub(crate) fn decode_value(input: &Value) -> Outcome {
    let (name, bytes) = (text(input, "type"), bytes(input, "hex"));
    let max = usize::try_from(number(input, "max")).unwrap();
    let decoded = value_decoder(name)(&bytes, max).map_err(|fault| code_of(&fault))?;
    match (name, decoded.json()?) {
        ("u128", _) => Ok(json!({ "decimal": codec::decode::<u128>(&bytes, max).unwrap().to_string() })),
        (_, Some(json)) => Ok(json!({ "json": json })),
        (_, None) => panic!("{name} has no JSON form"),
    }
}

/// Compares the JSON form only where the vector states one: a budget may be too large for a JSON reader's numbers.
pub(crate) fn decode_record(input: &Value, expect: &Value) -> Outcome {
    let (name, bytes) = (text(input, "type"), bytes(input, "hex"));
    let decoded = record_decoder(name)(&bytes, DOCUMENT_BYTES_MAX).map_err(|fault| code_of(&fault))?;
    let json = decoded.json()?;
    match expect.get("json") {
        None => Ok(json!({})),
        Some(_) => Ok(json!({ "json": json })),
    }
}

/// How an order names a question and its reason.
pub(crate) fn query(input: &Value) -> Outcome {
    let salt = Nonce(crate::array(input, "salt"));
    let Command::Query { question, reason } = Command::query(&salt, text(input, "question"), text(input, "reason"))
    else {
        panic!("another command");
    };
    Ok(json!({ "question": question, "reason": reason }))
}

/// The finer fault of fields that do not fit together.
macro_rules! field_fault {
    ($input:expr, $fields:ty => $kind:ty) => {{
        let fields: $fields = serde_json::from_value($input["fields"].clone()).expect("each field by itself stands");
        <$kind>::try_from(fields).err().map(|fault| code_of(&fault))
    }};
}

/// Bytes that are refused as malformed for what their fields say.
pub(crate) fn refuse_record(input: &Value) -> Outcome {
    match record_decoder(text(input, "type"))(&bytes(input, "hex"), DOCUMENT_BYTES_MAX) {
        Err(CodecFault::Malformed) => {}
        Err(fault) => return Err(code_of(&fault)),
        Ok(_) => return Err("accepted".to_owned()),
    }
    if let Some(ext) = input.get("ext") {
        let map: BTreeMap<u16, Blob> = serde_json::from_value(ext.clone()).unwrap();
        return Err(Extensions::try_from(map).err().map_or("accepted".to_owned(), |fault| code_of(&fault)));
    }
    if input.get("fields").is_none() {
        return Err(code_of(&CodecFault::Malformed));
    }
    let fault = match text(input, "type") {
        "charter" => field_fault!(input, CharterFields => Charter),
        "safeguards" => field_fault!(input, SafeguardFields => Safeguards),
        "node-record" => field_fault!(input, NodeRecordFields => NodeRecord),
        "share" => field_fault!(input, ShareFields => Share),
        "mapping" => field_fault!(input, MappingFields => Mapping),
        "allowance" => field_fault!(input, AllowanceFields => Allowance),
        "site-notice" => field_fault!(input, SiteNoticeFields => SiteNotice),
        "pipeline" => field_fault!(input, PipelineFields => Pipeline),
        "common-schema" => field_fault!(input, CommonSchemaFields => CommonSchema),
        "project" => field_fault!(input, ProjectFields => Project),
        "request" => field_fault!(input, RequestFields => Request),
        "release" => field_fault!(input, ReleaseFields => Release),
        "schedule" => field_fault!(input, ScheduleFields => Schedule),
        "consolidation" => field_fault!(input, ConsolidationFields => Consolidation),
        "text-form" => field_fault!(input, TextFormFields => TextForm),
        "select" => field_fault!(input, String => Select),
        "view" => field_fault!(input, String => ViewText),
        "listing" => field_fault!(input, Vec<ListingEntry> => Listing),
        unknown => panic!("no rule about fields of {unknown}"),
    };
    Err(fault.unwrap_or("accepted".to_owned()))
}

/// Every signed document: its name, its label, and how an envelope of it is verified.
macro_rules! documents {
    ($($name:literal => $kind:ty,)+) => {
        pub(crate) fn label(input: &Value) -> Outcome {
            match text(input, "type") {
                $($name => Ok(json!(<$kind as Record>::LABEL)),)+
                unknown => panic!("no document {unknown}"),
            }
        }

        fn verify(name: &str, bytes: &[u8], accepted: &[PublicKey]) -> Result<Value, SignedFault> {
            match name {
                $($name => {
                    let verified = Signed::<$kind>::from_bytes(bytes)?.verify(accepted)?;
                    let signers: Vec<String> = verified.signers().iter().map(ToString::to_string).collect();
                    Ok(json!({ "digest": verified.digest().to_string(), "signers": signers }))
                })+
                unknown => panic!("no document {unknown}"),
            }
        }
    };
}

documents! {
    "charter" => Charter,
    "node-record" => NodeRecord,
    "person" => Person,
    "share" => Share,
    "invitation" => Invitation,
    "acceptance" => Acceptance,
    "standing" => Standing,
    "revocation" => Revocation,
    "manifest" => Manifest,
    "receipt" => Receipt,
    "linkage-wrap" => LinkageWrap,
    "order" => Order,
    "export-heading" => ExportHeading,
    "mapping" => Mapping,
    "common-schema" => CommonSchema,
    "consolidation" => Consolidation,
    "site-notice" => SiteNotice,
    "pipeline" => Pipeline,
    "project" => Project,
    "request" => Request,
    "release" => Release,
    "withdrawal" => Withdrawal,
    "announcement" => Announcement,
    "objection" => Objection,
    "debit" => Debit,
}

pub(crate) fn verify_document(input: &Value) -> Outcome {
    let keys = input["accepted"].as_array().unwrap().iter();
    let accepted: Vec<PublicKey> = keys.filter_map(|key| key.as_str().unwrap().parse().ok()).collect();
    let verdict = verify(text(input, "type"), &bytes(input, "hex"), &accepted);
    verdict.map_err(|fault| format!("{} {}", code_of(&fault), fault.code().code()))
}
