//! Releases in the simulated world: an operator that consolidates what has landed, people who ask, sign and recall, a driver
//! that reads and computes, and what must hold of all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cohortium_protocol::digest::{DocumentDigest, blob_digest, sha256_for};
use cohortium_protocol::endpoint::io::{
    ConsolidatedSet, Input, LandedVersion, MadeRelease, ReleasePlan, RequestPlan, RequestRead, Ticket,
};
use cohortium_protocol::ident::{ColumnName, ConsortiumId, DatasetId, Name, Nonce, ReleaseId, ShareId};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::limits::REQUEST_BYTES_MAX;
use cohortium_protocol::quantity::{AnonymityK, Bytes, ContributionBound, Delta, Millionths, Rho, Rows};
use cohortium_protocol::record::consolidation::ConsolidatedPart;
use cohortium_protocol::record::dataset::{Dataset, Source as Place};
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::hierarchy::HierarchyForm;
use cohortium_protocol::record::journal_entry::{Act, RunFault};
use cohortium_protocol::record::listing::BlobRef;
use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::person::Role;
use cohortium_protocol::record::project::{BudgetShare, Project, ProjectFields, ReleaseKind};
use cohortium_protocol::record::release::{AggregateDone, BodyFile, Done, FileDigest, MicrodataMeasures, Release};
use cohortium_protocol::record::request::{
    AggregateTerms, Asked, MicrodataTerms, PatientIds, Recoding, ReleaseColumn, ReleaseRole, Request, RequestFields,
};
use cohortium_protocol::record::reservation::{Charge, Verdict};
use cohortium_protocol::record::schedule::Schedule;
use cohortium_protocol::record::share::{Content, Form, ShareFields};
use cohortium_protocol::rule::budget::Spending;
use cohortium_protocol::rule::ledger::Disagreement;
use cohortium_protocol::state::releases::{Phase, offered_release};
use cohortium_protocol::state::subscription::{Fate, Side};
use cohortium_protocol::table_version::PartDigest;
use cohortium_protocol::time::Seconds;
use cohortium_protocol::wire::codec;

use crate::people::{OFFICER, STEWARD, Wish};
use crate::world::{Event, OPERATOR, World};

const SCIENTIST: &[Role] = &[Role::DataScientist];
const COLUMNS: [&str; 2] = ["person_id", "age"];

fn plain<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("plain letters are a name, text or path")
}

fn blob_of(bytes: &[u8]) -> BlobRef {
    BlobRef { digest: blob_digest(bytes), bytes: Bytes(u64::try_from(bytes.len()).unwrap_or(u64::MAX)) }
}

/// An answer that spends what was paid.
fn answered(asked: &AggregateTerms) -> AggregateDone {
    AggregateDone {
        rho: asked.rho,
        delta: asked.delta,
        epsilon: Millionths(1),
        epsilon_person: Millionths(1),
        tokens: ContributionBound(2),
        at: Delta(1),
        noise: Vec::new(),
        threshold: None,
        origins: Vec::new(),
        uncovered: BTreeSet::new(),
    }
}

impl World {
    /// What the people of the operator may want of releases.
    pub(crate) fn wish_release(&mut self) -> Option<Wish> {
        (0..6).find_map(|_| self.wish_step())
    }

    /// One step on the way of some release.
    fn wish_step(&mut self) -> Option<Wish> {
        let releases = &self.state(OPERATOR).releases;
        let fresh = releases.projects().next().is_none();
        let drafts: Vec<DocumentDigest> = releases.drafts().map(|(_, digest)| *digest).collect();
        match self.dice.below(100) {
            0..5 => self.wish_project(),
            5..30 if fresh && drafts.is_empty() => self.wish_project(),
            5..15 => self.dice.pick(&drafts).map(|project| (Command::ApproveProject { project }, OFFICER)),
            15..25 => Some((Command::Consolidate, STEWARD)),
            25..50 => self.wish_request(),
            50..75 => self.wish_decision(),
            75..92 => self.wish_sharing(),
            _ => {
                let released = self.releases_in(Phase::Released);
                let offered =
                    |release: &ReleaseId| self.state(OPERATOR).subscriptions_to_release(*release).next().is_some();
                let released: Vec<ReleaseId> = released.into_iter().filter(offered).collect();
                let reason = plain("a column was wrong");
                self.dice.pick(&released).map(|release| (Command::WithdrawRelease { release, reason }, OFFICER))
            }
        }
    }

    fn releases_in(&self, phase: Phase) -> Vec<ReleaseId> {
        self.state(OPERATOR).releases.all().filter(|filed| filed.phase == phase).map(|filed| filed.release).collect()
    }

    fn wish_project(&mut self) -> Option<Wish> {
        let state = self.state(OPERATOR);
        let head = state.charters.head()?;
        let recipients: BTreeSet<Name> = head.charter.members().map(|(name, _)| name.clone()).collect();
        let name: Name = plain("stays");
        let version = state.releases.project(&name).map_or(0, |known| known.project.version) + 1;
        let person = self.nodes[OPERATOR].orderer(Role::DataScientist).name.clone();
        let runs = Seconds(if self.dice.percent(10) { self.dice.between(20, 90) } else { 90_000 });
        let fields = ProjectFields {
            consortium: self.consortium,
            operator: plain("operator"),
            name,
            version,
            purpose: plain("length of stay"),
            permit: plain("none"),
            account: plain("patients"),
            people: [person].into(),
            kinds: [ReleaseKind::Microdata, ReleaseKind::Aggregate].into(),
            tables: [(plain("stays"), COLUMNS.map(plain::<Name>).into())].into(),
            recipients,
            budget: BudgetShare { rho: Rho(u128::from(self.dice.between(1, 10))), delta: Delta(1) },
            expires: self.nodes[OPERATOR].clock.wall(self.now).plus(runs),
            ext: Extensions::default(),
        };
        let project = Project::try_from(fields).ok()?;
        Some((Command::DefineProject(Box::new(project)), STEWARD))
    }

    /// The request's words are stored before the order names them.
    fn wish_request(&mut self) -> Option<Wish> {
        let project = self.state(OPERATOR).releases.project(&plain("stays"))?;
        let recipients = project.project.recipients.clone();
        let form = HierarchyForm::Prefixes { codes: vec![plain("80")], keep: vec![1] };
        let role = ReleaseRole::Quasi { hierarchy: form, missing: None };
        let rows = MicrodataTerms {
            k: AnonymityK(if self.dice.percent(5) { 10 } else { 11 }),
            recoding: Recoding::Resistant,
            columns: vec![ReleaseColumn { name: plain("age"), role }],
            ids: PatientIds::None,
        };
        let rho = Rho(u128::from(self.dice.between(1, 4)));
        let private = AggregateTerms { declared: "{}".to_owned(), rho, delta: Delta(0) };
        let fields = RequestFields {
            consortium: self.consortium,
            project: plain("stays"),
            salt: Nonce(self.dice.bytes()),
            question: format!("SELECT {}", self.dice.below(3)),
            patient: plain("person_id"),
            member: plain("member"),
            asked: if self.dice.percent(50) { Asked::Microdata(rows) } else { Asked::Aggregate(private) },
            recipients,
            ext: Extensions::default(),
        };
        let bytes = codec::encode(&Request::try_from(fields).ok()?);
        let request = blob_of(&bytes);
        self.nodes[OPERATOR].disk.put(request, Arc::new(bytes));
        let release = ReleaseId(self.dice.bytes());
        Some((Command::RequestRelease { release, request }, SCIENTIST))
    }

    fn wish_decision(&mut self) -> Option<Wish> {
        let made = self.releases_in(Phase::Made);
        let release = self.dice.pick(&made)?;
        if self.dice.percent(15) {
            return Some((Command::RefuseRelease { release }, OFFICER));
        }
        let statement = self.nodes[OPERATOR].endpoint.statement(self.consortium, release)?;
        let statement = Signed::unsigned(&statement).digest();
        Some((Command::SignRelease { release, statement }, OFFICER))
    }

    /// A signed release becomes a dataset and a share; the rest is done as with every other share.
    fn wish_sharing(&mut self) -> Option<Wish> {
        let released = self.releases_in(Phase::Released);
        let release = self.dice.pick(&released)?;
        let (id, state) = (release.0, self.state(OPERATOR));
        let (dataset, share) = (DatasetId(id), ShareId(id));
        let name: Name = plain(&format!("r{}", cohortium_protocol::hex::text(&id)));
        if !state.datasets.contains_key(&dataset) {
            let source = Place::Release { release };
            let (key, patient, linkage) = (Vec::new(), None, None);
            return Some((Command::DefineDataset(Dataset { dataset, name, source, key, patient, linkage }), STEWARD));
        }
        if state.offers.contains_key(&share) {
            return None;
        }
        let signed = state.releases.get(release)?.released.as_ref()?.signed.claimed().ok()?;
        let fields = ShareFields {
            consortium: self.consortium,
            provider: plain("operator"),
            share,
            name,
            version: 1,
            dataset,
            form: Form::Snapshot,
            content: Content::Release { release },
            purpose: plain("a release"),
            consumers: signed.request.recipients.clone(),
            expires: self.nodes[OPERATOR].clock.wall(self.now).plus(Seconds(80_000)),
            landed_rows: cohortium_protocol::record::charter::LandedRows::Keep,
            schedule: Schedule::MANUAL,
            ext: Extensions::default(),
        };
        fields.try_into().ok().map(|share| (Command::DefineShare(share), STEWARD))
    }

    /// Consolidates what has landed at the operator and may be used, as one table with a part for each member.
    pub(crate) fn consolidates(&mut self, node: usize, ticket: Ticket) {
        let wall = self.nodes[node].clock.wall(self.now);
        let consumed = self.state(node).subscriptions.values().filter(|found| found.side == Side::Consumer);
        let mut parts = BTreeMap::new();
        for found in
            consumed.filter(|found| found.rows_usable(wall) && offered_release(found.terms_in_force()).is_none())
        {
            let Some(snapshot) = found.current else { continue };
            let part = ConsolidatedPart {
                share: found.invitation.share.share,
                snapshot,
                mapping: None,
                vocabulary: None,
                digest: PartDigest(snapshot.0),
                blobs: Vec::new(),
            };
            parts.entry(found.peer.clone()).or_insert(part);
        }
        let listing =
            codec::encode(&cohortium_protocol::record::listing::Listing::try_from(Vec::new()).expect("no entry"));
        let blob = blob_of(&listing);
        self.nodes[node].disk.put(blob, Arc::new(listing));
        let end = if parts.is_empty() {
            Err(RunFault::Unreadable)
        } else {
            let tables = [(plain("stays"), parts)].into();
            let schema = DocumentDigest([5; 32]);
            Ok(Box::new(ConsolidatedSet { schema, tables, left_out: BTreeMap::new(), listing: blob }))
        };
        let after = self.dice.between(1, 2000);
        self.later(node, after, Input::Consolidated { ticket, end });
    }

    /// Reads a request out of the store and plans it.
    pub(crate) fn reads_request(&mut self, node: usize, ticket: Ticket, plan: &RequestPlan) {
        let bytes = self.nodes[node].disk.blob(plan.request.digest).cloned();
        if bytes.is_none() && self.nodes[node].true_journal.is_none() {
            self.complain("the words of a request that is not decided are gone".to_owned());
        }
        let request = bytes.and_then(|bytes| codec::decode::<Request>(&bytes, REQUEST_BYTES_MAX).ok());
        let read = request.map(|request| {
            let person = |column: &str| BTreeSet::from([(plain("stays"), plain::<Name>(column))]);
            let columns: BTreeMap<ColumnName, BTreeSet<(Name, Name)>> = [
                (plain("person_id"), person("person_id")),
                (plain("member"), BTreeSet::new()),
                (plain("age"), person("age")),
            ]
            .into();
            let question = DocumentDigest(sha256_for("question", request.question.as_bytes()));
            let reads = [(plain("stays"), COLUMNS.map(plain::<Name>).into())].into();
            Box::new(RequestRead { request, question, reads, columns })
        });
        let after = self.dice.between(1, 400);
        self.later(node, after, Input::RequestRead { ticket, read });
    }

    /// A release begins to be computed: it must be paid for, once, of rows that may be used.
    pub(crate) fn begins_release(&mut self, node: usize, ticket: Ticket, plan: Box<ReleasePlan>) {
        let (release, entry) = (plan.spent.release(), plan.spent.entry());
        let found = &self.nodes[node];
        let paid = found.shadow.releases.get(release).and_then(|filed| filed.reserved.as_ref());
        if paid.is_none_or(|paid| paid.entry != entry || paid.reservation.charge != plan.spent.charge()) {
            return self.complain("a release is computed before its reservation is durable".to_owned());
        }
        if self.nodes[node].true_journal.is_none() && !self.check.computed.insert(release) {
            return self.complain("a release is computed twice".to_owned());
        }
        self.check_paid(node, &plan);
        let shares: Vec<ShareId> = plan
            .set
            .consolidation
            .tables
            .values()
            .flat_map(|table| table.parts.iter())
            .filter(|(member, _)| plan.members.contains(*member))
            .map(|(_, part)| part.share)
            .collect();
        self.check_usable(node, &shares, "computes");
        self.nodes[node].making += 1;
        let (life, after) = (self.nodes[node].life, self.dice.between(5, 4000));
        self.soon(after, Event::Computed { node, life, ticket, plan });
    }

    /// Everything that was ever computed privately is in the durable ledger and within the account; its members were told, were
    /// waited for where the charter says so, and have not objected.
    fn check_paid(&mut self, node: usize, plan: &ReleasePlan) {
        if self.nodes[node].true_journal.is_some() {
            return;
        }
        let release = plan.spent.release();
        if let Charge::Private { rho, delta: _ } = plan.spent.charge() {
            self.check.private += rho.0;
        }
        let (durable, wall) = (&self.nodes[node].shadow, self.nodes[node].clock.wall(self.now));
        let account = plain("patients");
        let spent = durable.releases.spent(&account).rho;
        let history = durable.releases.history(&account).map(|(_, paid)| paid.reservation.charge);
        let added_up = history.fold(Spending::default(), Spending::with).rho;
        let head = durable.charters.head().map(|head| &head.charter);
        let limit = head.and_then(|head| head.accounts.get(&plain("patients"))).map_or(Rho(0), |account| account.rho);
        let announced = durable.ledger.announced(release);
        // A charter that came into force since may let members object who were not asked.
        let under = durable.releases.get(release).and_then(|filed| filed.reserved.as_ref());
        let under = under.and_then(|paid| {
            durable.charters.chain().iter().find(|version| version.digest == paid.reservation.charter)
        });
        let waits = under.is_some_and(|version| version.charter.safeguards().objection_wait.0 > 0);
        let waited = announced.is_some_and(|told| told.announcement.until <= wall || self.nodes[node].clock.is_wrong());
        let complaint = if added_up != spent {
            "the account's sum is not that of its debits"
        } else if self.check.private > spent.0 {
            "more was computed than the ledger says was paid"
        } else if spent > limit {
            "the account has spent more than the charter grants"
        } else if !durable.ledger.is_debited(release) {
            "a release is computed that members are not told of"
        } else if waits && !waited {
            "a release is computed for whose waiting time nobody waited"
        } else if !durable.ledger.objections(release).is_empty() {
            "a release is computed that a member has objected to"
        } else {
            return;
        };
        self.complain(complaint.to_owned());
    }

    /// Every member has added up the operator's ledger, and agrees.
    fn check_ledgers(&mut self) {
        // REL-25, REL-30
        let operator = &self.state(OPERATOR).ledger;
        let (account, told) = (plain::<Name>("patients"), operator.lines().len());
        let spent = operator.account(&account);
        let mut wrong = None;
        for node in (1..self.nodes.len()).filter(|node| self.nodes[*node].is_sound()) {
            let name = &self.nodes[node].name;
            let head = self.state(OPERATOR).charters.head();
            let party = head.is_some_and(|head| head.charter.roster.contains_key(name));
            let takes_part = self.state(node).charters.binding(name).is_some();
            let ledger = &self.state(node).ledger;
            // One that objected when the time was over sees that it was not heard.
            let disagrees = ledger.lines().iter().filter_map(|line| line.disagreement);
            let disagrees = disagrees.filter(|why| *why != Disagreement::Objected).min();
            if party && takes_part && (disagrees.is_some() || ledger.account(&account) != spent) {
                let lines = ledger.lines().len();
                wrong = Some(format!("{name} has added up {lines} debits of {told}, and sees {disagrees:?}"));
            }
        }
        if let Some(wrong) = wrong {
            self.complain(wrong);
        }
    }

    /// It is computed, unless the worker dies.
    pub(crate) fn computed(&mut self, node: usize, life: u32, ticket: Ticket, plan: &ReleasePlan) {
        if self.nodes[node].life != life || !self.nodes[node].is_on() {
            return;
        }
        self.nodes[node].making = self.nodes[node].making.saturating_sub(1);
        let fails = !self.calm && self.dice.percent(8);
        let rows = !matches!(plan.request.asked, Asked::Aggregate(_));
        let fell = rows && self.dice.percent(15);
        let release = plan.spent.release();
        let mut put = |what: &str| {
            let bytes = [what.as_bytes(), &release.0].concat();
            let blob = blob_of(&bytes);
            self.check.made(node, blob, &Arc::new(bytes.clone()));
            self.nodes[node].disk.put(blob, Arc::new(bytes));
            blob
        };
        let (body, report, memory) = (put("body"), put("report"), put("memory"));
        let memory = Some(memory).filter(|_| rows);
        let file = BodyFile {
            path: plain("body.parquet"),
            bytes: body.bytes,
            digest: body.digest,
            sha256: FileDigest([1; 32]),
            rows: Rows(20),
        };
        let measures = MicrodataMeasures {
            rows: Rows(20),
            suppressed: Rows(0),
            classes: 1,
            loss: Millionths(0),
            columns: BTreeMap::new(),
            class_size: Millionths(0),
            discernibility: 1,
            entropy: Millionths(0),
        };
        let made = MadeRelease {
            body: vec![file],
            report,
            memory,
            done: match &plan.request.asked {
                Asked::Aggregate(asked) => Done::Aggregate(Box::new(answered(asked))),
                Asked::Microdata(_) | Asked::Counts(_) => Done::Microdata { k: AnonymityK(plan.floor), measures },
            },
            attacks: Vec::new(),
            together_with: plan.earlier.iter().map(|(earlier, _)| *earlier).filter(|_| rows).collect(),
            not_covered: Vec::new(),
            verdict: if fell { Verdict::Fell } else { Verdict::Stood },
        };
        let end = if fails { Err(RunFault::Limit) } else { Ok(Box::new(made)) };
        self.feed(node, life, Input::ReleaseMade { ticket, end });
    }

    /// What a consumer's driver finds in a release's folder: the operator's statement of that release, or nothing.
    pub(crate) fn verifies(
        &self,
        node: usize,
        version: &LandedVersion,
        (consortium, release): (ConsortiumId, ReleaseId),
    ) -> Option<Rows> {
        let disk = &self.nodes[node].disk;
        let listing = disk.listing(*version.listings.first()?)?;
        let bytes = disk.blob(listing.entries().first()?.blob.digest)?;
        let signing = self.nodes[OPERATOR].secrets.signing.public();
        let statement = Signed::<Release>::from_bytes(bytes).ok()?.verify(&[signing]).ok()?;
        (statement.release == release && statement.consortium == consortium).then_some(Rows(20))
    }

    fn check_usable(&mut self, node: usize, shares: &[ShareId], does: &str) {
        if self.nodes[node].true_journal.is_some() {
            return;
        }
        let wall = self.nodes[node].clock.wall(self.now);
        let usable: BTreeSet<ShareId> = self
            .state(node)
            .subscriptions
            .values()
            .filter(|found| found.side == Side::Consumer && found.rows_usable(wall))
            .map(|found| found.invitation.share.share)
            .collect();
        if !shares.iter().all(|share| usable.contains(share)) {
            self.complain(format!("the operator {does} a release of rows that may not be used"));
        }
    }

    /// An entry about a release that is about to be written.
    pub(crate) fn check_release_entry(&mut self, node: usize, act: &Act) {
        if self.nodes[node].true_journal.is_some() {
            return;
        }
        match act {
            Act::ReleaseMade { release, .. } | Act::ReleaseStopped { release, .. } => {
                if !self.check.computed.contains(release) {
                    self.complain("a release is made that was never computed".to_owned());
                }
                if let Act::ReleaseStopped { release, .. } = act {
                    self.check.stopped.insert(*release);
                }
            }
            Act::Released(signed) => {
                let Ok(statement) = signed.claimed() else { return };
                let durable = self.nodes[node].shadow.releases.get(statement.release);
                let durable = durable.and_then(|filed| filed.reserved.as_ref()).map(|paid| paid.entry);
                if durable != Some(statement.reserved) || !self.check.computed.contains(&statement.release) {
                    self.complain("a release is signed whose reservation is not durable".to_owned());
                }
                if self.check.stopped.contains(&statement.release) {
                    self.complain("a release is signed on which an attack succeeded".to_owned());
                }
                let shares: Vec<ShareId> =
                    statement.inputs.values().flat_map(BTreeMap::values).map(|input| input.share).collect();
                self.check_usable(node, &shares, "signs");
                self.check.signed += 1;
            }
            _ => {}
        }
    }

    /// After all faults: what was computed is in the ledger, which is within its limits, and recalls have reached everybody.
    pub(crate) fn check_releases(&mut self) {
        if !self.nodes[OPERATOR].is_sound() {
            return;
        }
        self.check_ledgers();
        let state = self.state(OPERATOR);
        let ledger: BTreeSet<ReleaseId> = state.releases.ledger().map(|filed| filed.release).collect();
        let account = plain("patients");
        let spent = state.releases.spent(&account);
        let limit = state.charters.head().and_then(|head| head.charter.accounts.get(&account)).map(|terms| terms.rho);
        let within = limit.is_none_or(|limit| spent.rho <= limit);
        if !self.check.computed.is_subset(&ledger) || !within {
            return self.complain("a release that was computed is not in the ledger".to_owned());
        }
        let recalled: Vec<ReleaseId> = state.releases.withdrawals().map(|recall| recall.release).collect();
        let mut wrong = None;
        for release in recalled {
            for node in (1..self.nodes.len()).filter(|node| self.nodes[*node].is_sound()) {
                let offered: Vec<_> = self.state(node).subscriptions_to_release(release).collect();
                let heard = self.state(node).releases.withdrawal(release).is_some();
                let left = offered.iter().any(|found| {
                    found.current.is_some() || found.snapshots.iter().any(|each| each.fate == Fate::Landed)
                });
                let head = state.charters.binding(&self.nodes[OPERATOR].name);
                let party = head.is_some_and(|head| head.charter.roster.contains_key(&self.nodes[node].name))
                    && self.state(node).charters.binding(&self.nodes[node].name).is_some();
                if party && !offered.is_empty() && (!heard || left) {
                    wrong = Some(self.nodes[node].name.clone());
                }
            }
        }
        self.check.recalled += u64::try_from(self.state(OPERATOR).releases.withdrawals().count()).unwrap_or(0);
        if let Some(name) = wrong {
            self.complain(format!("{name} has not heard of a recall, or still holds what was recalled"));
        }
    }
}
