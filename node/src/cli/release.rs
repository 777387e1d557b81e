//! `cohortium release`: asked for under a project, reviewed, read and signed by a privacy officer, published, recalled, and
//! verified by anybody.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cohortium_protocol::digest::blob_digest;
use cohortium_protocol::ident::{ConsortiumId, DatasetId, Name, Nonce, ReleaseId, SubscriptionId, Text};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::dataset::{Dataset, Source};
use cohortium_protocol::record::listing::BlobRef;
use cohortium_protocol::record::order::{Command, Unchecked};
use cohortium_protocol::record::release::Release;
use cohortium_protocol::record::schedule::Schedule;
use cohortium_protocol::record::share::Content;
use cohortium_protocol::wire::codec;
use cohortium_sdk::release::{DiskFolder, VerifiedRelease, verify as verify_folder};
use cohortium_store::seal;
use serde_json::{Value, json};

use crate::cli::call::{Cx, now};
use crate::cli::exit::CliFault;
use crate::cli::print::{Shown, Table, short, word};
use crate::cli::share::{self, Terms};
use crate::cli::{dry_run, release_page, request_file, when};
use crate::control::{ErrorKind, ReleaseView, Reply, Request, View};
use crate::driver::fresh::Fresh;
use crate::service::release::{REPORT_REASON, explore_question, report_question};

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Ask for a release, as a TOML file says
    Request {
        /// The file
        file: PathBuf,
        /// Of private answers: only say what it would cost and how wide the noise would be. Free, and nothing is written anywhere
        #[arg(long)]
        dry_run: bool,
    },
    /// Releases that were asked for here, and recalls
    List,
    /// A release: how it stands, and its statement once it is signed
    Show {
        /// The release: the beginning of its id
        release: String,
    },
    /// Privacy officer: everything that was found on the way to a release
    Report {
        /// The release
        release: String,
        /// Write it as a page to a new file
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Privacy officer: sign the statement of a release that was made
    Sign {
        /// The release
        release: String,
    },
    /// Privacy officer: a release that was made is not signed
    Refuse {
        /// The release
        release: String,
    },
    /// Share a signed release with its recipients: dataset, share, approval, invitations and snapshot in one go
    Publish(Publish),
    /// Privacy officer: recall a release; who holds it is told to delete it
    Withdraw {
        /// The release
        release: String,
        /// For people
        #[arg(long)]
        reason: Text,
    },
    /// Privacy officer: what a request would cost and risk for several k, as a page that stays here
    Explore {
        /// The request's file
        file: PathBuf,
        /// Why rows are looked at; the log keeps a digest of it
        #[arg(long)]
        reason: String,
        /// The page, a new file
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Check the folder of a release offline; needs no daemon and no node
    Verify {
        /// The folder
        folder: PathBuf,
        /// The consortium's id, got elsewhere: without it anybody could have made all of it
        #[arg(long, value_name = "CONSORTIUM_ID")]
        anchor: Option<ConsortiumId>,
    },
}

/// How a release is published.
#[derive(Debug, clap::Args)]
pub(crate) struct Publish {
    /// The release
    release: String,
    /// Members that get it [default: all that it names]
    #[arg(long, value_name = "PARTY,..", value_delimiter = ',')]
    to: Vec<Name>,
    /// How long it is offered
    #[arg(long, default_value_t = 90)]
    days: u32,
    /// The share's name [default: release- and the beginning of the id]
    #[arg(long)]
    name: Option<Name>,
    /// Who approves and invites: a privacy officer, or NAME=FILE for a key elsewhere [default: as --as]
    #[arg(long, value_name = "PERSON")]
    officer: Option<String>,
}

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    match verb {
        Verb::Request { file, dry_run: true } => dry_run::run(cx, &file),
        Verb::Request { file, dry_run: false } => request(cx, &file),
        Verb::List => Ok(list(&cx.view()?)),
        Verb::Show { release } => show(cx, &release),
        Verb::Report { release, html } => report(cx, &release, html.as_deref()),
        Verb::Sign { release } => sign(cx, &release),
        Verb::Refuse { release } => refuse(cx, &release),
        Verb::Publish(publish) => self::publish(cx, publish),
        Verb::Withdraw { release, reason } => withdraw(cx, &release, reason),
        Verb::Explore { file, reason, html } => explore(cx, &file, reason, html.as_deref()),
        Verb::Verify { folder, anchor } => verify(cx, &folder, anchor),
    }
}

/// The release whose id begins so.
fn find<'a>(view: &'a View, text: &str) -> Result<&'a ReleaseView, CliFault> {
    let hex = text.len() >= 4 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut found = view.releases.iter().filter(|each| hex && each.release.to_string().starts_with(text));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(CliFault::not_found(format!(
            "there is no release {text}; `cohortium release list` shows what there is"
        ))),
        (Some(_), Some(_)) => Err(CliFault::usage(format!("{text} could be several releases; give more of the id"))),
    }
}

fn request(cx: &Cx, file: &Path) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let request = request_file::read(&view, file)?;
    let bytes = codec::encode(&request);
    let blob = BlobRef { digest: blob_digest(&bytes), bytes: Bytes(bytes.len() as u64) };
    let release = ReleaseId(seal::random());
    let order = cx.signed(&view, Command::RequestRelease { release, request: blob })?;
    match cx.call(Request::RequestRelease { order, request: Box::new(request) })? {
        Reply::Done => {
            let text = format!("Release {release} is asked for; `cohortium release show` tells how it stands\n");
            Ok(Shown::new(json!({"release": release}), text))
        }
        _ => Err(CliFault::other_reply()),
    }
}

fn list(view: &View) -> Shown {
    let mut table = Table::new(["RELEASE", "ASKED BY", "WHEN", "STATE", "KIND", "PROJECT"]);
    for each in &view.releases {
        let of = |tell: &dyn Fn(&Release) -> String| each.statement.as_deref().map_or_else(|| "-".to_owned(), tell);
        table.row([
            short(&each.release),
            each.person.to_string(),
            each.at.clone(),
            each.state.clone(),
            of(&|release| word(&release.done.kind())),
            of(&|release| release.request.project.to_string()),
        ]);
    }
    let mut text = table.or("No releases were asked for here.\n");
    for recall in &view.withdrawals {
        let _ = writeln!(text, "Release {} was recalled {}: {}", short(&recall.release), recall.at, recall.reason);
    }
    Shown::new(json!({"releases": view.releases, "withdrawals": view.withdrawals}), text)
}

fn show(cx: &Cx, text: &str) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let found = find(&view, text)?;
    let (consortium, release) = (view.consortium, found.release);
    let Reply::Told { message: fault } = cx.call(Request::ReleaseFault { consortium, release })? else {
        return Err(CliFault::other_reply());
    };
    let recall = view.withdrawals.iter().find(|recall| recall.release == release);
    let mut facts = Table::new(["Release", &release.to_string()]);
    facts.row(["asked by".to_owned(), format!("{} {}", found.person, found.at)]);
    facts.row(["state".to_owned(), found.state.clone()]);
    let same = found.same.as_ref().map(short);
    let recalled = recall.map(|recall| format!("{}: {}", recall.at, recall.reason));
    let digest = found.digest.as_ref().map(ToString::to_string);
    for (fact, value) in [
        ("refused", found.refusal.clone()),
        ("because", fault.clone()),
        ("is release", same),
        ("statement", digest),
        ("recalled", recalled),
    ] {
        if let Some(value) = value {
            facts.row([fact.to_owned(), value]);
        }
    }
    let statement = found.statement.as_deref().map(release_page::stated).unwrap_or_default();
    let json = json!({"release": found, "fault": fault, "withdrawal": recall});
    Ok(Shown::new(json, format!("{}{statement}", facts.to_text())))
}

/// What an officer reads of a release.
fn read(cx: &Cx, view: &View, release: ReleaseId) -> Result<Value, CliFault> {
    let salt = Nonce(seal::random());
    let order = cx.signed(view, Command::query(&salt, &report_question(release), REPORT_REASON))?;
    match cx.call(Request::ReleaseReport { order, release, salt })? {
        Reply::Told { message: Some(text) } => serde_json::from_str(&text).map_err(|_| CliFault::other_reply()),
        _ => Err(CliFault::other_reply()),
    }
}

fn report(cx: &Cx, text: &str, html: Option<&Path>) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let release = find(&view, text)?.release;
    let told = read(cx, &view, release)?;
    if let Some(path) = html {
        write_page(path, &release_page::report(&told))?;
    }
    let shown = release_page::report_text(&told);
    Ok(Shown::new(told, shown))
}

fn write_page(path: &Path, page: &str) -> Result<(), CliFault> {
    use std::io::Write;
    let unwritten = |fault: std::io::Error| CliFault::usage(format!("the page {}: {fault}", path.display()));
    let (fresh, mut file) = Fresh::file(path).map_err(unwritten)?;
    file.write_all(page.as_bytes()).and_then(|()| fresh.place()).map_err(unwritten)
}

fn sign(cx: &Cx, text: &str) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let release = find(&view, text)?.release;
    let told = read(cx, &view, release)?;
    if told["phase"] != "made" {
        return Err(CliFault::refused(format!("the release is {} and does not wait to be signed", told["phase"])));
    }
    let statement: Release = serde_json::from_value(told["statement"].clone())
        .map_err(|_| CliFault::refused("the statement is not ready; its request is being read, try again"))?;
    // What is signed is computed from what was read here, not taken from the daemon's word.
    let digest = Signed::unsigned(&statement).digest();
    cx.give(&view, Command::SignRelease { release, statement: digest })?;
    let text = format!("{}Release {} is signed: {digest}\n", release_page::stated(&statement), short(&release));
    Ok(Shown::new(json!({"release": release, "statement": digest}), text))
}

fn refuse(cx: &Cx, text: &str) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let release = find(&view, text)?.release;
    cx.give(&view, Command::RefuseRelease { release })?;
    Ok(Shown::new(json!({"release": release}), format!("Release {} is not signed\n", short(&release))))
}

fn withdraw(cx: &Cx, text: &str, reason: Text) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let release = find(&view, text)?.release;
    cx.give(&view, Command::WithdrawRelease { release, reason })?;
    let text = format!("Release {} is recalled; what was delivered is asked back\n", short(&release));
    Ok(Shown::new(json!({"release": release}), text))
}

/// Each order by the person whose it is: a data steward defines and takes, a privacy officer approves and invites.
fn publish(cx: &Cx, publish: Publish) -> Result<Shown, CliFault> {
    let officer = Cx { person: publish.officer.clone().or_else(|| cx.person.clone()), ..cx.clone() };
    let view = cx.view()?;
    let found = find(&view, &publish.release)?;
    let stated = found.statement.as_deref();
    let stated = stated.ok_or_else(|| CliFault::refused("only a signed release is published"))?;
    let to: BTreeSet<Name> =
        if publish.to.is_empty() { stated.request.recipients.clone() } else { publish.to.into_iter().collect() };
    if to.is_empty() {
        return Err(CliFault::usage("the release names no recipient"));
    }
    let release = found.release;
    let default = format!("release-{}", &release.to_string()[..8]);
    let name = publish.name.map_or_else(|| default.parse::<Name>(), Ok);
    let name = name.map_err(|fault| CliFault::usage(format!("the share's name {fault}")))?;
    let known = view.datasets.iter().find(|each| each.name == name);
    let dataset = Dataset {
        dataset: known.map_or_else(|| DatasetId(seal::random()), |known| known.dataset),
        name: name.clone(),
        source: Source::Release { release },
        key: Vec::new(),
        patient: None,
        linkage: None,
    };
    let id = dataset.dataset;
    cx.give(&view, Command::DefineDataset(dataset))?;
    let terms = Terms {
        name: name.clone(),
        to: to.iter().cloned().collect(),
        purpose: format!("release under project {}", stated.request.project)
            .parse()
            .map_err(|_| CliFault::other_reply())?,
        expires: None,
        days: Some(publish.days),
        form: None,
        schedule: Schedule::MANUAL,
        on_revocation: None,
    };
    let share = share::terms(&view, terms, id, Content::Release { release }, cx.config()?.privacy.share_days_max)?;
    let (of, digest) = (share.share, Signed::unsigned(&share).digest());
    cx.give(&view, Command::DefineShare(share))?;
    officer.give(&view, Command::ApproveShare { share: of, terms: digest, unchecked: Unchecked::No })?;
    for consumer in &to {
        let (subscription, answer_by) = (SubscriptionId(seal::random()), now().plus(when::days(publish.days)));
        officer.give(&view, Command::Invite { share: of, consumer: consumer.clone(), subscription, answer_by })?;
    }
    cx.give(&view, Command::TakeSnapshot { share: of })?;
    let names: Vec<&str> = to.iter().map(Name::as_str).collect();
    let text = format!("Release {} is offered to {} as {name}\n", short(&release), names.join(", "));
    Ok(Shown::new(json!({"release": release, "share": of, "name": name, "to": to}), text))
}

fn explore(cx: &Cx, file: &Path, reason: String, html: Option<&Path>) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let request = Box::new(request_file::read(&view, file)?);
    let salt = Nonce(seal::random());
    let order = cx.signed(&view, Command::query(&salt, &explore_question(&request), &reason))?;
    let Reply::Told { message: Some(text) } = cx.call(Request::Explore { order, request, reason, salt })? else {
        return Err(CliFault::other_reply());
    };
    let told: Value = serde_json::from_str(&text).map_err(|_| CliFault::other_reply())?;
    if let Some(path) = html {
        write_page(path, &release_page::explored(&told))?;
    }
    let shown = release_page::explored_text(&told);
    Ok(Shown::new(told, shown))
}

fn verify(cx: &Cx, folder: &Path, anchor: Option<ConsortiumId>) -> Result<Shown, CliFault> {
    if !folder.is_dir() {
        return Err(CliFault::not_found(format!("{} is no folder", folder.display())));
    }
    let verified =
        verify_folder(&DiskFolder::new(folder), anchor).map_err(|fault| CliFault::wrong(fault.to_string()))?;
    // A node that knows of a recall says so; nothing else of it is asked.
    let views = if cx.home.path().is_dir() && cx.daemon_runs() { cx.views().unwrap_or_default() } else { Vec::new() };
    let of_consortium = views.iter().filter(|view| view.consortium == verified.consortium);
    let mut recalls = of_consortium.flat_map(|view| &view.withdrawals);
    let recall = recalls.find(|recall| recall.release == verified.release.release);
    let mut shown = verified_as(&verified);
    if let Some(recall) = recall {
        let _ = writeln!(shown.text, "RECALLED {}: {}. Delete it.", recall.at, recall.reason);
        shown.found = Some(ErrorKind::VerifyFailed);
        if let Some(all) = shown.json.as_object_mut() {
            all.insert("withdrawal".to_owned(), json!(recall));
        }
    }
    Ok(shown)
}

fn verified_as(verified: &VerifiedRelease) -> Shown {
    let release = &verified.release;
    let cosigned: Vec<&str> = verified.cosigned_by.iter().map(Name::as_str).collect();
    let anchored = if verified.anchored {
        "Everything is as the consortium's charter chain has it.\n"
    } else {
        "NOT ANCHORED: give --anchor CONSORTIUM_ID; anybody could have made all of it.\n"
    };
    let mut facts = Table::new(["Release", &release.release.to_string()]);
    for (fact, value) in [
        ("consortium", format!("{} ({})", verified.consortium, word(&verified.kind))),
        ("charter version", verified.charter_version.to_string()),
        ("signed", verified.signed_at.to_string()),
        ("rows", verified.rows.0.to_string()),
        ("log cosigned by", if cosigned.is_empty() { "nobody".to_owned() } else { cosigned.join(", ") }),
    ] {
        facts.row([fact.to_owned(), value]);
    }
    let json = json!({
        "release": release.release, "consortium": verified.consortium, "anchored": verified.anchored,
        "rehearsal": word(&verified.kind) == "rehearsal", "charter_version": verified.charter_version,
        "signed_at": verified.signed_at.to_string(), "rows": verified.rows, "cosigned_by": verified.cosigned_by,
        "kind": release.done.kind(), "project": release.request.project,
    });
    Shown::new(json, format!("{}{}{anchored}", facts.to_text(), release_page::stated(release)))
}
