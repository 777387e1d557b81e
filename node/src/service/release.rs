//! Releases for the people of this node: a request is filed, its officer reads what was made, and a request is explored before it
//! is filed.

use std::sync::Arc;
use std::time::Duration;

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{ConsortiumId, Nonce, ReleaseId};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::quantity::{Bytes, ContributionBound, Delta};
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::BlobRef;
use cohortium_protocol::record::order::{Command, Order};
use cohortium_protocol::record::person::Role;
use cohortium_protocol::record::request::{Asked, Request};
use cohortium_protocol::state::releases::Phase;
use cohortium_protocol::wire::codec;
use cohortium_schema::schema::CommonSchema;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::control::{ErrorKind, Reply};
use crate::driver::clock;
use crate::driver::hands::Hands;
use crate::driver::queue::Queue;
use crate::driver::release::{open, seed};
use crate::driver::sets;
use crate::driver::told::About;
use crate::service::answer::{Answered, broken, error, stopping};
use crate::service::asked::{carry_out, claimed, other_command, refused};
use crate::worker::job::{Job, Report, ReportFault};
use crate::worker::release::{AccountShown, ReleaseOrder};

/// How long an exploration may take.
const DEADLINE: Duration = Duration::from_mins(30);

/// Why a release's report is read, in the order that is on record.
pub(crate) const REPORT_REASON: &str = "review of a release";

/// What an order to read a release's report says, for its digest.
pub(crate) fn report_question(release: ReleaseId) -> String {
    format!("report of release {release}")
}

/// What an order to explore a request says, for its digest.
pub(crate) fn explore_question(request: &Request) -> String {
    let digest: DocumentDigest = Signed::unsigned(request).digest();
    format!("exploration of request {digest}")
}

/// Files a request: its words go into the store, where they can be erased, and the order names them by digest.
pub(super) async fn request(
    queue: &Queue,
    hands: &Arc<Hands>,
    order: Box<Signed<Order>>,
    request: Request,
) -> Answered {
    let (_, command) = claimed(&order)?;
    let Command::RequestRelease { request: named, .. } = command else { return Err(other_command()) };
    let bytes = codec::encode(&request);
    // Held until the order is in the journal: nothing names the blob before.
    let making = Arc::clone(&hands.making).read_owned().await;
    let blobs = hands.blobs.clone();
    let stored = spawn_blocking(move || blobs.put(&bytes)).await.map_err(|_| broken())?;
    let stored = stored.map_err(|fault| error(ErrorKind::Local, fault))?;
    if named != (BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) }) {
        return Err(other_command());
    }
    let done = carry_out(queue, order).await;
    drop(making);
    done.map(|()| Reply::Done)
}

/// Everything of a release for the privacy officer: how far it is, the statement that waits to be signed, findings in full, and
/// why nothing was made. Only an officer gets it, and that it was read is on record (law 7).
pub(super) async fn report(
    queue: &Queue,
    hands: &Arc<Hands>,
    order: Box<Signed<Order>>,
    release: ReleaseId,
    salt: Nonce,
) -> Answered {
    let consortium = for_officer(queue, order, &salt, &report_question(release), REPORT_REASON).await?;
    let looked = queue.look(move |endpoint| {
        let filed = endpoint.state(consortium)?.releases.get(release)?;
        let made = filed.made.as_ref().map(|(_, made)| made.report);
        let report = if let Phase::Stopped(report) = filed.phase { Some(report) } else { made };
        let signed = filed.released.as_ref().and_then(|released| released.signed.claimed().ok());
        Some((phase(filed.phase), endpoint.statement(consortium, release).or(signed), report))
    });
    let found = looked.await.ok_or_else(stopping)?;
    let (phase, statement, report) = found.ok_or_else(|| error(ErrorKind::NotFound, "there is no such release"))?;
    let (own, mut findings) = (Arc::clone(hands), Value::Null);
    if let Some(report) = report {
        let bytes = spawn_blocking(move || sets::read(&own, report)).await.map_err(|_| broken())?;
        let bytes = bytes.map_err(|fault| refused(&ReportFault::of(fault)))?;
        findings = serde_json::from_slice(&bytes).map_err(|_| broken())?;
    }
    let fault = hands.told.last(&About::Release(consortium, release));
    let told = json!({"release": release, "phase": phase, "statement": statement, "report": findings, "fault": fault});
    Ok(Reply::Told { message: Some(told.to_string()) })
}

/// Has several ways of recoding tried for a request. What they would cost and risk depends on rows: it is for an officer.
pub(super) async fn explore(
    queue: &Queue,
    hands: &Arc<Hands>,
    order: Box<Signed<Order>>,
    (request, reason, salt): (Request, String, Nonce),
) -> Answered {
    if reason.trim().is_empty() {
        return Err(error(ErrorKind::Refused, "no row is looked at without a reason"));
    }
    let consortium = for_officer(queue, order, &salt, &explore_question(&request), &reason).await?;
    let now = clock::wall();
    let looked = queue.look(move |endpoint| {
        let set = endpoint.usable_tables(consortium, now)?.consolidation.clone();
        let stated = endpoint.state(consortium)?.schemas.get(&set.schema);
        let schema = stated.map(|stated| stated.text.to_string());
        Some((set, schema))
    });
    let tables = looked.await.ok_or_else(stopping)?;
    let (set, schema) = tables.ok_or_else(|| error(ErrorKind::NotFound, "no consolidated table may be used"))?;
    let own = Arc::clone(hands);
    let opened = spawn_blocking(move || {
        let known = CommonSchema::named(set.schema, schema.as_deref());
        let known = known.ok_or(ReportFault::of(RunFault::ColumnsDiffer))?;
        let (tables, files) = open(&own, &set, &known, None, &request.question)?;
        let floor = match &request.asked {
            Asked::Microdata(asked) => asked.k.0,
            Asked::Counts(asked) => asked.floor,
            Asked::Aggregate(_) => 0,
        };
        // Nothing of an account is in what is explored.
        let account = AccountShown { tokens: ContributionBound(1), at: Delta(0) };
        let seed = seed().map_err(ReportFault::of)?;
        Ok::<_, ReportFault>((
            ReleaseOrder { request, floor, schema, earlier: Vec::new(), account, seed },
            tables,
            files,
        ))
    });
    let (order, tables, files) = opened.await.map_err(|_| broken())?.map_err(|fault| refused(&fault))?;
    let job = Job::Explore { order: Box::new(order), tables };
    let explored = timeout(DEADLINE, hands.pool.run(job, files)).await;
    let explored = explored.unwrap_or_else(|_| Err(ReportFault::of(RunFault::Limit)));
    match explored.map_err(|fault| refused(&fault))? {
        Report::Explored(json) => Ok(Reply::Told { message: String::from_utf8(json.0).ok() }),
        _ => Err(broken()),
    }
}

/// Why a request was not understood: nothing of it depends on rows, and whoever asked may read it.
pub(super) async fn fault(queue: &Queue, hands: &Hands, consortium: ConsortiumId, release: ReleaseId) -> Answered {
    let looked = queue.look(move |endpoint| {
        let filed = endpoint.state(consortium)?.releases.get(release)?;
        Some(matches!(filed.phase, Phase::Refused(_)))
    });
    let is_refused = looked.await.ok_or_else(stopping)?.unwrap_or(false);
    let message = if is_refused { hands.told.last(&About::Release(consortium, release)) } else { None };
    Ok(Reply::Told { message })
}

/// Carries an order out that names what is read by digest, and lets only a privacy officer go on.
async fn for_officer(
    queue: &Queue,
    order: Box<Signed<Order>>,
    salt: &Nonce,
    question: &str,
    reason: &str,
) -> Result<ConsortiumId, Reply> {
    let (consortium, command) = claimed(&order)?;
    let person = order.claimed().map_err(|fault| error(ErrorKind::Usage, fault))?.person;
    if command != Command::query(salt, question, reason) {
        return Err(other_command());
    }
    // The order's signature stands once it is carried out.
    carry_out(queue, order).await?;
    let looked = queue.look(move |endpoint| {
        let persons = endpoint.state(consortium).map(|state| &state.persons);
        persons.and_then(|all| all.get(&person)).is_some_and(|known| known.roles.contains(&Role::PrivacyOfficer))
    });
    if looked.await.ok_or_else(stopping)? {
        return Ok(consortium);
    }
    Err(error(ErrorKind::Refused, "only a privacy officer reads what was found on the way to a release"))
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Asked => "asked",
        Phase::Refused(_) => "refused",
        Phase::Same(_) => "same",
        Phase::Announced(_) => "announced",
        Phase::Objected => "objected",
        Phase::Reserved => "reserved",
        Phase::Made => "made",
        Phase::Failed(_) => "failed",
        Phase::Stopped(_) => "stopped",
        Phase::Declined => "declined",
        Phase::Released => "released",
        Phase::Withdrawn => "withdrawn",
    }
}
