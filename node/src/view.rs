//! What people see of a node's state: the endpoint's state as [`View`]s. No row, no secret.

use std::collections::BTreeMap;

use cohortium_protocol::endpoint::{Clocks, Endpoint};
use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::journal_entry::StepFault;
use cohortium_protocol::record::objection::Objection;
use cohortium_protocol::record::project::BudgetShare;
use cohortium_protocol::record::vocabulary::LoadedVocabulary;
use cohortium_protocol::rule::budget::Spending;
use cohortium_protocol::state::State;
use cohortium_protocol::state::charters::Version;
use cohortium_protocol::state::ledger::Line;
use cohortium_protocol::state::pipelines::{Parking, Piped};
use cohortium_protocol::state::releases::{Filed, Told};
use cohortium_protocol::state::share::Offer;
use cohortium_protocol::state::subscription::{Fate, Phase, Side, Snapshot, Subscription};
use cohortium_protocol::state::tables::Mapped;
use cohortium_protocol::time::UnixMillis;

use crate::control::{
    BudgetView, DebitView, Joining, MappingView, PartyView, PersonView, PipelineView, ProjectView, Proposal,
    ReleaseView, ShareView, SnapshotView, SubscriptionView, View, VocabularyView,
};
use crate::driver::clock;

/// Everything the node knows of its consortia.
pub(crate) fn views(endpoint: &Endpoint) -> Vec<View> {
    endpoint.consortia().filter_map(|consortium| view(endpoint, consortium)).collect()
}

fn view(endpoint: &Endpoint, consortium: ConsortiumId) -> Option<View> {
    let state = endpoint.state(consortium)?;
    let binding = state.charters.binding(&state.party);
    Some(View {
        consortium,
        party: state.party.clone(),
        journal_entries: state.entries,
        stopped: state.stopped,
        charter: binding.map(|version| version.charter.clone()),
        proposals: proposals(state),
        joining: joining(state),
        persons: persons(state),
        parties: parties(endpoint, state),
        datasets: state.datasets.values().cloned().collect(),
        shares: state.offers.values().map(share).collect(),
        subscriptions: state.subscriptions.values().map(|found| subscription(found, clock::wall())).collect(),
        mappings: state.mappings.values().map(mapping).collect(),
        vocabularies: vocabularies(state),
        vocabulary_loads: state.vocabularies.loads(),
        vocabulary_fault: state.vocabularies.fault().map(|fault| format!("{fault:?}")),
        table_sets: state.tables.sets().iter().map(|set| set.consolidation.clone()).collect(),
        tables: state.tables.current().map(|set| set.digest),
        tables_fault: endpoint.consolidation_fault(consortium).map(|fault| format!("{fault:?}")),
        consolidating: endpoint.is_consolidating(consortium),
        published: state
            .tables
            .published()
            .map(|last| (last.consolidation, last.fault.map(|fault| format!("{fault:?}")))),
        publishing: endpoint.is_publishing(consortium),
        notices: state.notices.clone(),
        pipelines: state.pipelines.values().map(pipeline).collect(),
        projects: projects(state),
        releases: state.releases.all().map(|filed| release(state, filed)).collect(),
        ledger: state.ledger.lines().iter().map(|line| debit(state, line)).collect(),
        budget: budget(endpoint, state),
        withdrawals: state.releases.withdrawals().cloned().collect(),
        linkage_epoch: state.linkage.held.keys().next_back().copied(),
    })
}

/// Versions that wait for signatures, and those in force that this node is not bound by yet.
fn proposals(state: &State) -> Vec<Proposal> {
    let bound = state.charters.binding(&state.party).map_or(0, |version| version.charter.version);
    let unsigned = state.charters.chain().iter().filter(|version| version.charter.version > bound);
    unsigned.chain(state.charters.proposals()).map(|version| proposal(state, version)).collect()
}

fn proposal(state: &State, version: &Version) -> Proposal {
    let requirement = state.charters.requirement_of(version);
    let named = |roots: &std::collections::BTreeSet<cohortium_protocol::key::pair::PublicKey>| {
        let roster = version.charter.roster.iter();
        roster.filter(|(_, party)| roots.contains(&party.root)).map(|(name, _)| name.clone()).collect::<Vec<Name>>()
    };
    Proposal {
        digest: version.digest.to_string(),
        charter: version.charter.clone(),
        signed: named(&version.signers),
        eligible: requirement.as_ref().map(|needed| named(&needed.eligible)).unwrap_or_default(),
        needed: requirement.map_or(0, |needed| needed.needed),
    }
}

fn joining(state: &State) -> BTreeMap<Name, Joining> {
    let view = |record: &cohortium_protocol::record::node_record::NodeRecord| Joining {
        root: record.root.to_string(),
        fingerprint: record.root.fingerprint(),
    };
    state.joining.iter().map(|(name, known)| (name.clone(), view(&known.record))).collect()
}

fn persons(state: &State) -> Vec<PersonView> {
    let view = |person: &cohortium_protocol::record::person::Person| PersonView {
        person: person.person.clone(),
        roles: person.roles.iter().copied().collect(),
        key: person.key.to_string(),
    };
    state.persons.values().map(view).collect()
}

fn parties(endpoint: &Endpoint, state: &State) -> BTreeMap<Name, PartyView> {
    let Some(head) = state.charters.head() else { return BTreeMap::new() };
    let connected = endpoint.connected_parties(state.consortium);
    let clocks = endpoint.clocks(state.consortium);
    let roster = head.charter.roster.iter();
    let view = |name: &Name, party: &cohortium_protocol::record::charter::Party| PartyView {
        kind: party.kind,
        title: party.title.to_string(),
        fingerprint: party.root.fingerprint(),
        confirmed: state.confirmed.get(name) == Some(&party.root),
        connected: connected.contains(name),
        clock_ahead_ms: clocks.get(name).map(ahead_ms),
    };
    roster.map(|(name, party)| (name.clone(), view(name, party))).collect()
}

fn ahead_ms(clocks: &Clocks) -> i64 {
    let apart = i64::try_from(clocks.theirs.0.abs_diff(clocks.ours.0)).unwrap_or(i64::MAX);
    if clocks.theirs < clocks.ours { -apart } else { apart }
}

fn share(offer: &Offer) -> ShareView {
    ShareView {
        share: offer.share.clone(),
        terms: offer.terms.to_string(),
        approved: offer.approved_now().is_some(),
        last: offer.snapshots.last().map(|stated| stated.id),
        snapshots: offer.snapshots.len() as u64,
    }
}

fn mapping(known: &Mapped) -> MappingView {
    MappingView {
        name: known.mapping.name.clone(),
        version: known.mapping.version,
        digest: known.digest,
        schema: known.mapping.schema,
        tables: known.mapping.tables.iter().cloned().collect(),
        runs: known.runs,
        fault: known.fault.map(|fault| format!("{fault:?}")),
        set: known.set.as_ref().map(|set| set.listing.digest),
        stale: known.set.as_ref().is_some_and(|set| set.stale),
        linked: known.set.as_ref().is_some_and(|set| set.linkage.is_some()),
        by: known.by.clone(),
        at: known.at.to_string(),
        sources: known.mapping.sources.clone(),
    }
}

fn projects(state: &State) -> Vec<ProjectView> {
    let drafts = state.releases.drafts().map(|(project, digest)| ProjectView {
        project: project.clone(),
        digest: *digest,
        approved: false,
    });
    let approved = state.releases.projects().map(|known| ProjectView {
        project: known.project.clone(),
        digest: known.digest,
        approved: true,
    });
    drafts.chain(approved).collect()
}

/// What was paid for a release, whatever became of it (law 2).
fn debit(state: &State, line: &Line) -> DebitView {
    let debit = &line.debit;
    let version = state.charters.chain().iter().find(|version| version.digest == debit.charter);
    let filed = state.releases.get(debit.release);
    let by_digest = state.releases.projects().find(|known| known.digest == debit.project);
    let reserved = filed.and_then(|filed| filed.reserved.as_ref()).map(|reserved| reserved.project.clone());
    DebitView {
        entry: debit.reserved,
        at: debit.at.to_string(),
        release: debit.release,
        person: filed.map(|filed| filed.person.clone()),
        project: reserved.or_else(|| by_digest.map(|known| known.project.name.clone())),
        version: version.map(|version| version.charter.version),
        members: debit.members.clone(),
        disagreement: line.disagreement.map(|why| why.to_string()),
        account: debit.account.clone(),
        kind: debit.kind,
        charge: debit.charge,
    }
}

fn budget(endpoint: &Endpoint, state: &State) -> BudgetView {
    let share = |sum: Spending| BudgetShare { rho: sum.rho, delta: sum.delta };
    let by = |said: &Objection| said.member.clone();
    let announced = state.ledger.waiting().map(|told| {
        let objections = state.ledger.objections(told.announcement.release);
        (told.announcement.clone(), objections.iter().map(by).collect())
    });
    BudgetView {
        own: share(state.ledger.own()),
        own_everywhere: share(endpoint.own_spending()),
        cap: state.ledger.cap(),
        announced: announced.collect(),
    }
}

/// A release as its requester may know it (law 7).
fn release(state: &State, filed: &Filed) -> ReleaseView {
    let told = state.releases.told_requester(filed.release);
    let (word, refusal, same) = match told {
        None | Some(Told::Waits) => ("waits", None, None),
        Some(Told::Refused(refusal)) => ("refused", Some(refusal.to_string()), None),
        Some(Told::NotReleased) => ("not-released", None, None),
        Some(Told::Is(is)) if is == filed.release => ("released", None, None),
        Some(Told::Is(is)) => ("same", None, Some(is)),
        Some(Told::Withdrawn(_)) => ("withdrawn", None, None),
    };
    let signed = filed.released.as_ref().map(|released| &released.signed);
    ReleaseView {
        release: filed.release,
        person: filed.person.clone(),
        at: filed.at.to_string(),
        state: word.to_owned(),
        refusal,
        same,
        statement: signed.and_then(|signed| signed.claimed().ok()).map(Box::new),
        digest: signed.map(Signed::digest),
    }
}

fn pipeline(piped: &Piped) -> PipelineView {
    let run = piped.run;
    let failed = run.and_then(|run| run.failed);
    let (state, fault) = match (piped.parked, run, failed) {
        (Some(Parking::ByPerson), _, _) => ("parked", Some("by a person".to_owned())),
        (Some(Parking::ByFault(fault)), _, _) => ("parked", Some(step_fault(fault))),
        (None, None, _) => ("waiting", None),
        (None, Some(_), Some((_, fault))) => ("resting", Some(step_fault(fault))),
        (None, Some(_), None) => ("running", None),
    };
    PipelineView {
        pipeline: piped.pipeline.clone(),
        order: piped.order,
        person: piped.person.clone(),
        step: run.map(|run| run.step),
        attempt: run.map(|run| run.attempt),
        state: state.to_owned(),
        fault,
        runs: piped.runs,
        last: piped.last.map(|at| at.to_string()),
    }
}

fn step_fault(fault: StepFault) -> String {
    match fault {
        StepFault::Run(fault) => format!("the run made nothing: {fault:?}"),
        StepFault::Gates => "the quality gates failed".to_owned(),
        StepFault::RoleMissing => "the person who ordered it may not do this any more".to_owned(),
        StepFault::NotApproved => "the privacy officer has not approved these terms".to_owned(),
        StepFault::NotFound => "what it names is not there".to_owned(),
        StepFault::OutOfOrder => "the node's state does not allow it now".to_owned(),
    }
}

fn vocabularies(state: &State) -> Vec<VocabularyView> {
    let all = state.vocabularies.loaded();
    let view = |(place, (at, loaded)): (usize, &(UnixMillis, LoadedVocabulary))| VocabularyView {
        release: loaded.vocabulary.release.clone(),
        digest: loaded.vocabulary.digest,
        at: at.to_string(),
        in_use: place + 1 == all.len(),
    };
    all.iter().enumerate().map(view).collect()
}

fn subscription(found: &Subscription, now: UnixMillis) -> SubscriptionView {
    SubscriptionView {
        subscription: found.id,
        invitation_digest: found.invitation_digest.to_string(),
        invitation: found.invitation.clone(),
        side: match found.side {
            Side::Provider => "provider",
            Side::Consumer => "consumer",
        }
        .to_owned(),
        state: phase(found.phase(now)).to_owned(),
        share: found.invitation.share.share,
        expires: found.expires.to_string(),
        snapshots: found.snapshots.iter().map(|snapshot| snapshot_view(found.side, snapshot)).collect(),
        current: found.current,
        bytes_served: found.served.0,
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Invited => "invited",
        Phase::Active => "active",
        Phase::Paused => "paused",
        Phase::Revoked => "revoked",
        Phase::Refused => "refused",
        Phase::Ended => "ended",
        Phase::Expired => "expired",
    }
}

fn snapshot_view(side: Side, snapshot: &Snapshot) -> SnapshotView {
    SnapshotView {
        snapshot: snapshot.id,
        sequence: snapshot.manifest.sequence,
        base: snapshot.manifest.base,
        bytes: snapshot.manifest.bytes.0,
        state: match (snapshot.fate, side) {
            (Fate::Stated, Side::Provider) => "stated",
            (Fate::Stated, Side::Consumer) => "landing",
            (Fate::Landed, _) => "landed",
            (Fate::Refused, _) => "refused",
            (Fate::Erased, _) => "erased",
        }
        .to_owned(),
    }
}
