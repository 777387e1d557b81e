//! One act of the journal in the words of a person: what it was, about what, how many bytes, how it ended.

use cohortium_protocol::ident::{Name, SnapshotId, SubscriptionId};
use cohortium_protocol::key::signed::{Record, Signed};
use cohortium_protocol::record::acceptance::{Acceptance, Answer, Standing};
use cohortium_protocol::record::invitation::Invitation;
use cohortium_protocol::record::journal_entry::{Act, Actor, StepEnd};
use cohortium_protocol::record::manifest::Manifest;
use cohortium_protocol::record::order::{Command, OptOutChoice};
use cohortium_protocol::record::receipt::Outcome;
use cohortium_protocol::record::revocation::Change;

use crate::cli::print::{short, word};

/// An act in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The kind of act, one word.
    pub(crate) what: &'static str,
    /// About what.
    pub(crate) about: String,
    /// Bytes it moved or speaks of.
    pub(crate) bytes: Option<u64>,
    /// How it ended, where it could have ended otherwise.
    pub(crate) outcome: String,
}

impl Told {
    fn new(what: &'static str, about: impl Into<String>) -> Self {
        Self { what, about: about.into(), ..Self::default() }
    }

    fn ended(self, outcome: impl Into<String>) -> Self {
        Self { outcome: outcome.into(), ..self }
    }

    fn of(self, bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..self }
    }
}

/// Who did it.
pub(crate) fn who(actor: &Actor) -> String {
    match actor {
        Actor::Person(name) => name.to_string(),
        Actor::Node => "this node".to_owned(),
        Actor::Peer(name) => format!("party {name}"),
    }
}

/// The act in words.
pub(crate) fn tell(act: &Act) -> Told {
    match act {
        Act::Began { party } => Told::new("began", format!("as {party}")),
        Act::Order(order) => Told::new("order", read(order, |order| command_word(&order.command).to_owned())),
        Act::Person(person) => Told::new("person", read(person, |person| person.person.to_string())),
        Act::Charter(charter) => Told::new("charter", read(charter, |charter| format!("version {}", charter.version))),
        Act::NodeRecord(record) => {
            Told::new("node-record", read(record, |record| format!("{} number {}", record.party, record.sequence)))
        }
        Act::JoinAsked { record, .. } => Told::new("join-asked", read(record, |record| record.party.to_string())),
        Act::Invitation(signed) => invitation(signed),
        Act::Acceptance(signed) => answer(signed),
        Act::Standing(signed) => standing(signed),
        Act::Revocation(signed) => Told::new("change", read(signed, |change| short(&change.subscription)))
            .ended(read(signed, |change| change_word(&change.change).to_owned())),
        Act::Manifest(signed) => manifest(signed),
        Act::SnapshotTaken { share, snapshot, .. } => {
            Told::new("snapshot-taken", format!("{} {}", short(share), short(snapshot)))
        }
        Act::SnapshotFailed { share, fault } => Told::new("snapshot-failed", short(share)).ended(word(fault)),
        Act::Receipt(signed) => receipt(signed),
        Act::LinkageWrap(signed) => {
            Told::new("linkage-wrap", read(signed, |wrap| format!("epoch {} for {}", wrap.epoch, wrap.recipient)))
        }
        Act::LinkageKeyHeld { epoch, .. } => Told::new("linkage-key-held", format!("epoch {epoch}")),
        Act::Served { subscription, bytes } => Told::new("served", short(subscription)).of(bytes.0),
        Act::PeerRefused { peer, code } => refused(peer.as_ref(), &code.to_string()),
        Act::DocumentRefused { code, .. } => Told::new("document-refused", "").ended(code.to_string()),
        Act::DocumentKnown { .. } => Told::new("document-known", ""),
        Act::SnapshotUnwanted { subscription, snapshot, code } => {
            both("snapshot-unwanted", subscription, snapshot).ended(code.to_string())
        }
        Act::Mapped { mapping, set, .. } => {
            Told::new("mapped", format!("{} {}", short(mapping), short(&set.digest))).of(set.bytes.0)
        }
        Act::VocabularyLoaded(loaded) => {
            Told::new("vocabulary-loaded", loaded.vocabulary.release.to_string()).of(loaded.index.bytes.0)
        }
        Act::VocabularyFailed { fault } => Told::new("vocabulary-failed", "").ended(word(fault)),
        Act::CommonSchema(signed) => Told::new("common-schema", read(signed, |schema| short(&schema.named()))),
        Act::Project(_)
        | Act::ReleaseRefused { .. }
        | Act::ReleaseSame { .. }
        | Act::ReleaseReserved(_)
        | Act::ReleaseMade { .. }
        | Act::ReleaseFailed { .. }
        | Act::ReleaseStopped { .. }
        | Act::Released(_)
        | Act::Withdrawal(_) => of_release(act),
        Act::Announcement(_) | Act::Objection(_) | Act::Debit(_) => of_ledger(act),
        Act::MappingFailed { mapping, fault } => Told::new("mapping-failed", short(mapping)).ended(word(fault)),
        Act::Consolidated { consolidation, .. } => {
            Told::new("consolidated", read(consolidation, |all| format!("number {}", all.sequence)))
        }
        Act::Published { consolidation } => Told::new("published", short(consolidation)),
        Act::PublishFailed { consolidation, fault } => {
            Told::new("publish-failed", short(consolidation)).ended(word(fault))
        }
        Act::ConsolidationFailed { fault } => Told::new("consolidation-failed", "").ended(word(fault)),
        Act::AnswerRefused { subscription, code, .. } => {
            Told::new("answer-refused", short(subscription)).ended(code.to_string())
        }
        Act::SiteNotice(signed) => Told::new("site-notice", read(signed, |notice| format!("about {}", notice.member))),
        Act::Compared { consolidation } => Told::new("compared", short(consolidation)),
        Act::PipelineBegan { pipeline, .. } => Told::new("pipeline-began", pipeline.to_string()),
        Act::PipelineStep { pipeline, step, attempt, end } => {
            Told::new("pipeline-step", format!("{pipeline} step {step} attempt {attempt}")).ended(ended(*end))
        }
        Act::Erased { subscription, snapshot } => both("erased", subscription, snapshot),
    }
}

/// What happened to a project or release.
fn of_release(act: &Act) -> Told {
    match act {
        Act::Project(signed) => {
            Told::new("project", read(signed, |project| format!("{} version {}", project.name, project.version)))
        }
        Act::ReleaseRefused { release, refusal } => Told::new("release-refused", short(release)).ended(word(refusal)),
        Act::ReleaseSame { release, same } => Told::new("release-same", short(release)).ended(short(same)),
        Act::ReleaseReserved(reservation) => Told::new("release-reserved", short(&reservation.release)),
        Act::ReleaseMade { release, .. } => Told::new("release-made", short(release)),
        Act::ReleaseFailed { release, fault } => Told::new("release-failed", short(release)).ended(word(fault)),
        Act::ReleaseStopped { release, .. } => Told::new("release-stopped", short(release)),
        Act::Released(signed) => Told::new("released", read(signed, |release| short(&release.release))),
        Act::Withdrawal(signed) => Told::new("withdrawal", read(signed, |said| short(&said.release))),
        _ => Told::default(),
    }
}

/// What members are told of the ledger, and say to it.
fn of_ledger(act: &Act) -> Told {
    match act {
        Act::Announcement(signed) => Told::new("announcement", read(signed, |said| short(&said.release)))
            .ended(read(signed, |said| format!("until {}", said.until))),
        Act::Objection(signed) => Told::new("objection", read(signed, |said| short(&said.release)))
            .ended(read(signed, |said| said.member.to_string())),
        Act::Debit(signed) => Told::new("debit", read(signed, |said| short(&said.release)))
            .ended(read(signed, |said| format!("number {} of {}", said.sequence, said.account))),
        _ => Told::default(),
    }
}

fn refused(peer: Option<&Name>, code: &str) -> Told {
    Told::new("peer-refused", peer.map_or("a stranger", Name::as_str)).ended(code)
}

fn invitation(signed: &Signed<Invitation>) -> Told {
    Told::new("invitation", read(signed, |said| format!("{} to {}", said.share.name, said.consumer)))
}

fn both(what: &'static str, subscription: &SubscriptionId, snapshot: &SnapshotId) -> Told {
    Told::new(what, format!("{} {}", short(subscription), short(snapshot)))
}

fn standing(signed: &Signed<Standing>) -> Told {
    let state = read(signed, |said| word(&said.state));
    Told::new("standing", read(signed, |said| short(&said.subscription))).ended(state)
}

fn answer(signed: &Signed<Acceptance>) -> Told {
    let outcome = read(signed, |said| if said.answer == Answer::Accept { "accepted" } else { "refused" }.to_owned());
    Told::new("answer", read(signed, |said| short(&said.subscription))).ended(outcome)
}

fn manifest(signed: &Signed<Manifest>) -> Told {
    let which = read(signed, |manifest| format!("{} number {}", short(&manifest.share), manifest.sequence));
    let base = read(signed, |manifest| word(&manifest.base));
    Told::new("manifest", which).ended(base).of(number(signed, |manifest| manifest.bytes.0))
}

/// The envelope of the signed document that an act is, where it is one.
pub(crate) fn document(act: &Act) -> Option<Vec<u8>> {
    match act {
        Act::Order(signed) => Some(signed.to_bytes()),
        Act::Person(signed) => Some(signed.to_bytes()),
        Act::Charter(signed) => Some(signed.to_bytes()),
        Act::NodeRecord(record) | Act::JoinAsked { record, .. } => Some(record.to_bytes()),
        Act::Invitation(signed) => Some(signed.to_bytes()),
        Act::Acceptance(signed) => Some(signed.to_bytes()),
        Act::Standing(signed) => Some(signed.to_bytes()),
        Act::Revocation(signed) => Some(signed.to_bytes()),
        Act::Manifest(signed) => Some(signed.to_bytes()),
        Act::Receipt(signed) => Some(signed.to_bytes()),
        Act::LinkageWrap(signed) => Some(signed.to_bytes()),
        Act::SiteNotice(signed) => Some(signed.to_bytes()),
        Act::Consolidated { consolidation, .. } => Some(consolidation.to_bytes()),
        Act::CommonSchema(signed) => Some(signed.to_bytes()),
        Act::Project(signed) => Some(signed.to_bytes()),
        Act::Released(signed) => Some(signed.to_bytes()),
        Act::Withdrawal(signed) => Some(signed.to_bytes()),
        Act::Announcement(signed) => Some(signed.to_bytes()),
        Act::Objection(signed) => Some(signed.to_bytes()),
        Act::Debit(signed) => Some(signed.to_bytes()),
        Act::Began { .. }
        | Act::SnapshotTaken { .. }
        | Act::SnapshotFailed { .. }
        | Act::LinkageKeyHeld { .. }
        | Act::Served { .. }
        | Act::PeerRefused { .. }
        | Act::DocumentRefused { .. }
        | Act::DocumentKnown { .. }
        | Act::SnapshotUnwanted { .. }
        | Act::Mapped { .. }
        | Act::MappingFailed { .. }
        | Act::ConsolidationFailed { .. }
        | Act::Published { .. }
        | Act::PublishFailed { .. }
        | Act::AnswerRefused { .. }
        | Act::Compared { .. }
        | Act::PipelineBegan { .. }
        | Act::PipelineStep { .. }
        | Act::VocabularyLoaded(_)
        | Act::VocabularyFailed { .. }
        | Act::ReleaseRefused { .. }
        | Act::ReleaseSame { .. }
        | Act::ReleaseReserved(_)
        | Act::ReleaseMade { .. }
        | Act::ReleaseFailed { .. }
        | Act::ReleaseStopped { .. }
        | Act::Erased { .. } => None,
    }
}

fn ended(end: StepEnd) -> String {
    match end {
        StepEnd::Done => "done".to_owned(),
        StepEnd::Failed(fault) => format!("failed: {}", word(&fault)),
        StepEnd::Parked(fault) => format!("parked: {}", word(&fault)),
    }
}

fn receipt(signed: &Signed<cohortium_protocol::record::receipt::Receipt>) -> Told {
    let about = read(signed, |receipt| format!("{} {}", short(&receipt.subscription), short(&receipt.snapshot)));
    let told = Told::new("receipt", about);
    match signed.claimed().map(|receipt| receipt.outcome) {
        Ok(Outcome::Landed { bytes }) => told.ended("landed").of(bytes.0),
        Ok(Outcome::Refused(code)) => told.ended(format!("refused: {code}")),
        Ok(Outcome::Erased) => told.ended("erased"),
        Err(_) => told.ended("unreadable"),
    }
}

fn read<T: Record>(signed: &Signed<T>, tell: impl Fn(&T) -> String) -> String {
    signed.claimed().map_or_else(|_| "unreadable".to_owned(), |document| tell(&document))
}

fn number<T: Record>(signed: &Signed<T>, tell: impl Fn(&T) -> u64) -> u64 {
    signed.claimed().map_or(0, |document| tell(&document))
}

/// What a change of a subscription is called.
pub(crate) const fn change_word(change: &Change) -> &'static str {
    match change {
        Change::Revoke => "revoke",
        Change::Reinstate => "reinstate",
        Change::Expires(_) => "expires",
        Change::Schedule(_) => "schedule",
    }
}

const fn command_word(command: &Command) -> &'static str {
    match command {
        Command::EnrolPerson(_) => "enrol-person",
        Command::IssueJoinToken { .. } => "issue-join-token",
        Command::ProposeCharter(_) => "propose-charter",
        Command::SignCharter(_) => "sign-charter",
        Command::ConfirmRoot { .. } => "confirm-root",
        Command::MakeLinkageKey { .. } => "make-linkage-key",
        Command::WrapLinkageKey { .. } => "wrap-linkage-key",
        Command::DefineDataset(_) => "define-dataset",
        Command::DefineShare(_) => "define-share",
        Command::ApproveShare { .. } => "approve-share",
        Command::Invite { .. } => "invite",
        Command::AnswerInvitation { answer: Answer::Accept, .. } => "accept-invitation",
        Command::AnswerInvitation { answer: Answer::Refuse, .. } => "refuse-invitation",
        Command::SetStanding { .. } => "set-standing",
        Command::ChangeSubscription { change, .. } => match change {
            Change::Revoke => "revoke",
            Change::Reinstate => "reinstate",
            Change::Expires(_) => "change-expiry",
            Change::Schedule(_) => "change-schedule",
        },
        Command::TakeSnapshot { .. } => "take-snapshot",
        Command::OptOut { choice: OptOutChoice::Out, .. } => "opt-out",
        Command::OptOut { choice: OptOutChoice::In, .. } => "opt-in",
        Command::RollBack { .. } => "roll-back",
        Command::Prune { .. } => "prune",
        Command::Preview { .. } => "preview",
        Command::ReadLanded { .. } => "read-landed",
        Command::Stop => "stop",
        Command::Start => "start",
        Command::Export { .. } => "export",
        Command::Import { .. } => "import",
        Command::Profile => "profile",
        Command::DefineMapping(_) => "define-mapping",
        Command::RunMapping { .. } | Command::RunMappingDespite { .. } => "run-mapping",
        Command::LoadVocabulary { .. } => "load-vocabulary",
        Command::StateSchema { .. } => "state-schema",
        Command::DefineProject(_) => "define-project",
        Command::ApproveProject { .. } => "approve-project",
        Command::RequestRelease { .. } => "request-release",
        Command::SignRelease { .. } => "sign-release",
        Command::RefuseRelease { .. } => "refuse-release",
        Command::WithdrawRelease { .. } => "withdraw-release",
        Command::Object { .. } => "object",
        Command::Cap { .. } => "cap",
        Command::ReadMapped { .. } => "read-mapped",
        Command::Consolidate => "consolidate",
        Command::UseTables { .. } => "use-tables",
        Command::ReadTables { .. } => "read-tables",
        Command::Publish { .. } => "publish",
        Command::CheckMapping { .. } => "check-mapping",
        Command::CheckTables { .. } => "check-tables",
        Command::CompareSites => "compare-sites",
        Command::Query { .. } => "query",
        Command::DefinePipeline(_) => "define-pipeline",
        Command::ChangePipeline { .. } => "change-pipeline",
    }
}
