//! Releases at their operator: a request is read and planned, and what is paid for is computed in the worker.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use cohortium_engine::consolidate::shape::TableShape;
use cohortium_protocol::digest::{DocumentDigest, sha256_for};
use cohortium_protocol::endpoint::io::{MadeRelease, ReleasePlan, RequestPlan, RequestRead};
use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_protocol::limits::REQUEST_BYTES_MAX;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::consolidation::Consolidation;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::BlobRef;
use cohortium_protocol::record::release::BodyFile;
use cohortium_protocol::record::request::{Asked, Request};
use cohortium_protocol::wire::codec;
use cohortium_schema::schema::CommonSchema;
use cohortium_store::blob::Pending;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use crate::driver::hands::Hands;
use crate::driver::making::{Run, blocking, disk};
use crate::driver::on_time;
use crate::driver::quality::open_part;
use crate::driver::sets::{self, read};
use crate::driver::told::About;
use crate::worker::job::{Job, Key32, Made, QueryRows, Report, ReportFault, SealedFile};
use crate::worker::pass::FILES_MAX;
use crate::worker::release::{AccountShown, BodyMade, ReleaseFiles, ReleaseOrder, Released};

/// Files of a body, at most.
const BODY_FILES: usize = 16;

/// Reads a request, and plans its question where there are tables. What is wrong with it is kept for who asked: nothing of it
/// depends on rows.
pub(crate) async fn read_request(hands: &Arc<Hands>, plan: RequestPlan) -> Option<Box<RequestRead>> {
    let about = About::Release(plan.consortium, plan.release);
    match requested(hands, plan).await {
        Ok(read) => {
            hands.told.keep(&about, None);
            Some(Box::new(read))
        }
        Err(ReportFault { fault, detail }) => {
            hands.told.keep(&about, Some(detail.unwrap_or_else(|| format!("{fault:?}"))));
            None
        }
    }
}

async fn requested(hands: &Arc<Hands>, plan: RequestPlan) -> Result<RequestRead, ReportFault> {
    let own = Arc::clone(hands);
    let (consortium, blob) = (plan.consortium, plan.request);
    let (request, question, key) = blocking(move || {
        let bytes = read(&own, blob)?;
        let request: Request = codec::decode(&bytes, REQUEST_BYTES_MAX).map_err(|_| RunFault::Malformed)?;
        let (question, key) = question(&own, consortium, &request)?;
        Ok((request, question, key))
    })
    .await
    .map_err(ReportFault::of)?;
    let Some(set) = plan.set else {
        return Ok(RequestRead { request, question, reads: BTreeMap::new(), columns: BTreeMap::new() });
    };
    let tables: BTreeSet<Name> = set.consolidation.tables.keys().cloned().collect();
    let schema = plan.schema.as_deref().map(str::to_owned);
    let job = Job::Plan { request: Box::new(request.clone()), schema, tables };
    match hands.pool.run(job, Vec::new()).await? {
        Report::Reads { tables: reads, columns, canonical } => {
            let question = match canonical {
                None => question,
                // All spellings of a private question are one, whatever is paid for it.
                Some(canonical) => {
                    DocumentDigest(sha256_for("private release question", &[key.as_slice(), &canonical].concat()))
                }
            };
            Ok(RequestRead { request, question, reads, columns })
        }
        _ => Err(ReportFault::LOST),
    }
}

/// What is asked and of whom, without salt, project and recipients, under a secret of this node: the same question has the same
/// digest, and nobody else can try which one it was.
fn question(hands: &Hands, consortium: ConsortiumId, request: &Request) -> Run<(DocumentDigest, [u8; 32])> {
    let place = hands.place(&consortium).ok_or(RunFault::WorkerLost)?;
    let key = hands.keys.rows(place.kind, &consortium).map_err(|fault| {
        tracing::error!(event = "keystore-failed", %fault);
        RunFault::Limit
    })?;
    let asked = codec::encode(&(&request.question, &request.patient, &request.member, &request.asked));
    let digest = sha256_for("release question", &[key.as_bytes().as_slice(), &asked].concat());
    Ok((DocumentDigest(digest), *key.as_bytes()))
}

/// Computes what was paid for. A private answer that began at `began` comes at its time, and so does the word that there is none:
/// of why there is none nothing is kept (law 7).
pub(crate) async fn make(hands: &Arc<Hands>, began: Instant, plan: ReleasePlan) -> Run<Box<MadeRelease>> {
    if matches!(plan.request.asked, Asked::Aggregate(_)) {
        let due = began + Duration::from_secs(plan.answer_time.0);
        let work = async { computed(hands, plan).await.map_err(|fault| fault.fault) };
        return on_time::at(due, work).await.map(Box::new);
    }
    let about = About::Release(plan.request.consortium, plan.spent.release());
    match computed(hands, plan).await {
        Ok(made) => Ok(Box::new(made)),
        Err(ReportFault { fault, detail }) => {
            hands.told.keep(&about, detail);
            Err(fault)
        }
    }
}

/// Places for what a job writes, with the job's own view of them.
struct Places {
    pending: Vec<Pending>,
    files: ReleaseFiles,
}

async fn computed(hands: &Arc<Hands>, plan: ReleasePlan) -> Result<MadeRelease, ReportFault> {
    let own = Arc::clone(hands);
    let private = matches!(plan.request.asked, Asked::Aggregate(_));
    let prepared = blocking(move || Ok(prepare(&own, &plan)));
    let (job, files, pending) = prepared.await.map_err(ReportFault::of)??;
    // Other jobs must not take the time of a private answer: it has a place of its own.
    let report = if private { hands.pool.run_at_once(job, files).await? } else { hands.pool.run(job, files).await? };
    let Report::Released(released) = report else { return Err(ReportFault::LOST) };
    blocking(move || keep(*released, pending)).await.map_err(ReportFault::of)
}

fn prepare(hands: &Hands, plan: &ReleasePlan) -> Result<(Job, Vec<OwnedFd>, Vec<Pending>), ReportFault> {
    let set = &plan.set.consolidation;
    let schema = CommonSchema::named(set.schema, plan.schema.as_deref());
    let schema = schema.ok_or(ReportFault::of(RunFault::ColumnsDiffer))?;
    let (tables, mut files) = open(hands, set, &schema, Some(&plan.members), &plan.request.question)?;
    let mut earlier = Vec::with_capacity(plan.earlier.len());
    let remembers = !matches!(plan.request.asked, Asked::Aggregate(_));
    for (_, memory) in plan.earlier.iter().filter(|_| remembers) {
        let (sealed, file) = sets::open(hands, *memory).map_err(ReportFault::of)?;
        files.push(file);
        earlier.push(sealed);
    }
    let Places { pending, files: into } = places(hands, earlier, &mut files).map_err(ReportFault::of)?;
    let order = Box::new(ReleaseOrder {
        request: plan.request.clone(),
        floor: plan.floor,
        schema: plan.schema.as_deref().map(str::to_owned),
        earlier: plan.earlier.iter().map(|(release, _)| *release).collect(),
        account: AccountShown { tokens: plan.account.tokens_per_person_max, at: plan.account.delta_shown() },
        seed: seed().map_err(ReportFault::of)?,
    });
    if files.len() > FILES_MAX {
        let detail = Some(format!("more than {FILES_MAX} files of tables and of memories of earlier releases"));
        return Err(ReportFault { fault: RunFault::Limit, detail });
    }
    Ok((Job::Release { order, tables, into: Box::new(into) }, files, pending))
}

/// Files for a body, a report and a memory.
fn places(hands: &Hands, earlier: Vec<SealedFile>, files: &mut Vec<OwnedFd>) -> Run<Places> {
    let mut pending = Vec::new();
    let mut place = |files: &mut Vec<OwnedFd>| {
        let made = hands.blobs.prepare_for_worker().map_err(|fault| disk(&fault))?;
        let (file, key) = made.for_worker().map_err(|fault| disk(&fault))?;
        files.push(file.into());
        pending.push(made);
        Ok::<_, RunFault>(SealedFile { key: Key32(*key.expose()), bytes: 0 })
    };
    let body = (0..BODY_FILES).map(|_| place(files)).collect::<Run<Vec<_>>>()?;
    let (report, memory) = (place(files)?, place(files)?);
    Ok(Places { pending, files: ReleaseFiles { earlier, body, report, memory } })
}

/// What everything random of one release is drawn from: it is in no file and no record.
pub(crate) fn seed() -> Run<Key32> {
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| RunFault::WorkerLost)?;
    Ok(Key32(seed))
}

/// The tables whose names stand in a question, with their files; of these members alone, where some are named. Nothing here
/// reads SQL: a name that only looks like one costs some open files.
pub(crate) fn open(
    hands: &Hands,
    set: &Consolidation,
    schema: &CommonSchema,
    members: Option<&BTreeSet<Name>>,
    question: &str,
) -> Result<(Vec<QueryRows>, Vec<OwnedFd>), ReportFault> {
    let question = question.to_ascii_lowercase();
    let (mut tables, mut files) = (Vec::new(), Vec::new());
    for (table, of) in set.tables.iter().filter(|(table, _)| question.contains(table.as_str())) {
        let mut parts: BTreeMap<Name, _> = BTreeMap::new();
        for (member, part) in of.parts.iter().filter(|(member, _)| members.is_none_or(|all| all.contains(*member))) {
            parts.insert(member.clone(), open_part(hands, &part.blobs, &mut files)?);
        }
        let shape = TableShape::of(schema, table).ok_or(ReportFault::of(RunFault::ColumnsDiffer))?;
        tables.push(QueryRows { shape, parts });
    }
    // One file more may come: what is written.
    if files.len() < FILES_MAX { Ok((tables, files)) } else { Err(ReportFault::of(RunFault::Limit)) }
}

/// Makes what a worker wrote durable, all of it, before anybody hears of it.
fn keep(released: Released, mut pending: Vec<Pending>) -> Run<MadeRelease> {
    let Released { body, report, memory, done, attacks, together_with, not_covered, verdict } = released;
    let (Some(of_memory), Some(of_report)) = (pending.pop(), pending.pop()) else { return Err(RunFault::WorkerLost) };
    let mut files = Vec::with_capacity(body.len());
    // Places that were not needed are dropped, and their files with them.
    for ((number, into), BodyMade { made, sha256, rows }) in pending.into_iter().enumerate().zip(body) {
        let stored = commit(into, made)?;
        let path = format!("body/part-{number:03}.parquet").parse().map_err(|_| RunFault::WorkerLost)?;
        files.push(BodyFile { path, bytes: stored.bytes, digest: stored.digest, sha256, rows });
    }
    let report = commit(of_report, report)?;
    let memory = memory.map(|memory| commit(of_memory, memory)).transpose()?;
    Ok(MadeRelease { body: files, report, memory, done, attacks, together_with, not_covered, verdict })
}

fn commit(into: Pending, made: Made) -> Run<BlobRef> {
    let Made { digest, bytes, outboard } = made;
    let stored = into.commit(digest, bytes, &outboard.0).map_err(|fault| disk(&fault))?;
    Ok(BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) })
}
