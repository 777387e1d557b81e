//! Releases from the project to the recall: who decides what, what is paid before what, and what nobody gets.

use super::sites::consolidated;
use super::*;
use crate::ident::{ColumnName, Text};
use crate::quantity::{Delta, Millionths, Rho, Rows};
use crate::record::hierarchy::HierarchyForm;
use crate::record::made_release::MadeRelease;
use crate::record::project::{BudgetShare, Project, ProjectFields, ReleaseKind};
use crate::record::refusal::Refusal;
use crate::record::release::{BodyFile, Done, FileDigest, MicrodataMeasures, Release};
use crate::record::request::{
    Asked, MicrodataTerms, PatientIds, Recoding, ReleaseColumn, ReleaseRole, Request, RequestFields,
};
use crate::record::reservation::Verdict;
use crate::record::withdrawal::Withdrawal;
use crate::state::releases::{Phase, Told};

pub(super) const RELEASE: ReleaseId = ReleaseId([1; 16]);
pub(super) const OTHER: ReleaseId = ReleaseId([2; 16]);

/// What is changed, and how.
type ProjectCase = (&'static str, fn(&mut ProjectFields));
type TermsCase = (&'static str, fn(&mut ShareFields));
/// What is made otherwise, and what becomes of it.
type MadeCase = (fn(&mut MadeRelease), Phase);

pub(super) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn project(pair: &Pair, change: impl FnOnce(&mut ProjectFields)) -> Project {
    let columns = ["person_id", "year_of_birth"].map(name::<Name>).into();
    let mut fields = ProjectFields {
        consortium: pair.consortium,
        operator: name("op"),
        name: name("stays"),
        version: 1,
        purpose: name("length of stay"),
        permit: name("EK 12/3"),
        account: name("inpatients"),
        people: [name("dan")].into(),
        kinds: [ReleaseKind::Microdata].into(),
        tables: [(name("person"), columns)].into(),
        recipients: [name("north")].into(),
        budget: BudgetShare { rho: Rho(10), delta: Delta(10) },
        expires: NOW.plus(Seconds(1000)),
        ext: Extensions::default(),
    };
    change(&mut fields);
    fields.try_into().unwrap()
}

pub(super) fn request(pair: &Pair, change: impl FnOnce(&mut RequestFields)) -> Request {
    let form = HierarchyForm::Prefixes { codes: vec![name("1980")], keep: vec![3] };
    let role = ReleaseRole::Quasi { hierarchy: form, missing: None };
    let columns = vec![ReleaseColumn { name: name("born"), role }];
    let terms = MicrodataTerms { k: AnonymityK(11), recoding: Recoding::Resistant, columns, ids: PatientIds::None };
    let mut fields = RequestFields {
        consortium: pair.consortium,
        project: name("stays"),
        salt: Nonce([1; 16]),
        question: "SELECT person_id, cohortium_member, year_of_birth AS born FROM person".to_owned(),
        patient: name("person_id"),
        member: name("cohortium_member"),
        asked: Asked::Microdata(terms),
        recipients: [name("north")].into(),
        ext: Extensions::default(),
    };
    change(&mut fields);
    fields.try_into().unwrap()
}

/// As a driver plans it.
pub(super) fn planned(request: Request) -> Box<RequestRead> {
    let of = |column: &str| [(name("person"), name(column))].into();
    let columns: BTreeMap<ColumnName, BTreeSet<(Name, Name)>> = [
        (name("person_id"), of("person_id")),
        (name("cohortium_member"), BTreeSet::new()),
        (name("born"), of("year_of_birth")),
    ]
    .into();
    let reads = [(name("person"), ["person_id", "year_of_birth"].map(name::<Name>).into())].into();
    let question = DocumentDigest(sha256_for("question", request.question.as_bytes()));
    Box::new(RequestRead { request, question, reads, columns })
}

fn blob(text: &str) -> BlobRef {
    BlobRef { digest: blob_digest(text.as_bytes()), bytes: Bytes(text.len() as u64) }
}

pub(super) fn made(change: impl FnOnce(&mut MadeRelease)) -> Box<MadeRelease> {
    let measures = MicrodataMeasures {
        rows: Rows(20),
        suppressed: Rows(0),
        classes: 1,
        loss: Millionths(1),
        columns: BTreeMap::new(),
        class_size: Millionths(1),
        discernibility: 1,
        entropy: Millionths(0),
    };
    let body = blob("body");
    let file = BodyFile {
        path: name("body.parquet"),
        bytes: body.bytes,
        digest: body.digest,
        sha256: FileDigest([3; 32]),
        rows: Rows(20),
    };
    let mut made = MadeRelease {
        body: vec![file],
        report: blob("report"),
        memory: Some(blob("memory")),
        done: Done::Microdata { k: AnonymityK(11), measures },
        attacks: vec![],
        together_with: BTreeSet::new(),
        not_covered: vec![],
        verdict: Verdict::Stood,
    };
    change(&mut made);
    Box::new(made)
}

/// An operator with consolidated rows of two members, of which one has accepted the charter, and an approved project.
pub(super) struct World {
    pub(super) pair: Pair,
    dan: KeyPair,
}

impl World {
    pub(super) fn new() -> Self {
        Self::under(Extensions::default())
    }

    /// Under a charter with these extensions.
    pub(super) fn under(ext: Extensions) -> Self {
        let account = AccountTerms {
            population: name("inpatients of all sites"),
            rho: Rho(10),
            delta: Delta(10),
            tokens_per_person_max: crate::quantity::ContributionBound(2),
            patients_max: 1000,
        };
        let amendment = Amendment {
            south: Some(Party3::new("south", 3)),
            accounts: [(name("inpatients"), account)].into(),
            ext,
            ..Amendment::default()
        };
        let mut pair = consolidated(&amendment, &["north", "south"]);
        let dan = KeyPair::from_seed(&[99; 32]);
        let (consortium, party) = (pair.consortium, pair.parties[0].name.clone());
        let enrolled = person(consortium, &party, "dan", &dan, &[Role::DataScientist]);
        let root = pair.parties[0].root.clone();
        pair.order(0, Command::EnrolPerson(Signed::sign(&enrolled, &root))).unwrap();
        let mut world = Self { pair, dan };
        world.approve(|_| ());
        world
    }

    pub(super) fn approve(&mut self, change: impl FnOnce(&mut ProjectFields)) {
        let project = project(&self.pair, change);
        self.pair.order(0, Command::DefineProject(Box::new(project.clone()))).unwrap();
        let project = Signed::unsigned(&project).digest();
        self.pair.order(0, Command::ApproveProject { project }).unwrap();
    }

    pub(super) fn ask(&mut self, release: ReleaseId) -> Result<(), OrderFault> {
        let dan = self.dan.clone();
        let request = blob(&format!("request {}", release.0[0]));
        self.pair.order_by(0, "dan", &dan, Command::RequestRelease { release, request })
    }

    pub(super) fn read(&mut self, read: Option<Box<RequestRead>>) {
        let wanted =
            |effect: &Effect| if let Effect::ReadRequest { ticket, .. } = effect { Some(*ticket) } else { None };
        let ticket = self.pair.pick(0, wanted).expect("the request is read");
        self.pair.feed(0, Input::RequestRead { ticket, read });
    }

    pub(super) fn computes(&mut self) -> Option<(Ticket, Box<ReleasePlan>)> {
        self.pair.pick(0, |effect| match effect {
            Effect::Release { ticket, plan } => Some((*ticket, plan.clone())),
            _ => None,
        })
    }

    pub(super) fn phase(&self, release: ReleaseId) -> Phase {
        self.pair.state(0).releases.get(release).unwrap().phase
    }

    pub(super) fn told(&self, release: ReleaseId) -> Told {
        self.pair.state(0).releases.told_requester(release).unwrap()
    }

    /// A release is asked for, read and reserved.
    pub(super) fn reserve(
        &mut self,
        release: ReleaseId,
        change: impl FnOnce(&mut RequestFields),
    ) -> (Ticket, Box<ReleasePlan>) {
        self.ask(release).unwrap();
        let request = request(&self.pair, change);
        self.read(Some(planned(request)));
        self.computes().expect("it is computed")
    }

    /// And made.
    pub(super) fn make(&mut self, release: ReleaseId, change: impl FnOnce(&mut RequestFields)) {
        let (ticket, _) = self.reserve(release, change);
        self.pair.feed(0, Input::ReleaseMade { ticket, end: Ok(made(|_| ())) });
        assert_eq!(self.phase(release), Phase::Made);
    }

    pub(super) fn sign(&mut self, release: ReleaseId) -> Result<Release, OrderFault> {
        let found = self.pair.nodes[0].statement(self.pair.consortium, release);
        let statement = found.ok_or(OrderFault::NotFound { what: "statement" })?;
        let digest = Signed::unsigned(&statement).digest();
        self.pair.order(0, Command::SignRelease { release, statement: digest })?;
        Ok(statement)
    }

    /// And signed, and shared with the member, which accepts.
    pub(super) fn share(&mut self, release: ReleaseId) -> Share {
        let source = Dataset { source: Source::Release { release }, name: name("released"), ..dataset("/x") };
        self.pair.order(0, Command::DefineDataset(source)).unwrap();
        let terms = self.terms(release);
        self.pair.order(0, Command::DefineShare(terms.clone())).unwrap();
        let digest = Signed::unsigned(&terms).digest();
        let approval = Command::ApproveShare { share: terms.share, terms: digest, unchecked: Unchecked::No };
        self.pair.order(0, approval).unwrap();
        self.invite(SUBSCRIPTION_2).unwrap();
        let invitation = self.pair.state(1).subscriptions[&SUBSCRIPTION_2].invitation_digest;
        let (subscription, answer) = (SUBSCRIPTION_2, Said::Accept);
        self.pair.order(1, Command::AnswerInvitation { subscription, invitation, answer }).unwrap();
        terms
    }

    fn invite(&mut self, subscription: SubscriptionId) -> Result<(), OrderFault> {
        let (share, answer_by) = (SHARE_2, NOW.plus(Seconds(3600)));
        self.pair.order(0, Command::Invite { share, consumer: name("north"), subscription, answer_by })
    }

    fn terms(&self, release: ReleaseId) -> Share {
        altered(share(self.pair.consortium, 1, LandedRows::Keep), |terms| {
            (terms.provider, terms.share, terms.name) = (name("op"), SHARE_2, name("released"));
            terms.consumers = [name("north")].into();
            terms.content = Content::Release { release };
            terms.landed_rows = LandedRows::Exclude;
        })
    }

    /// A snapshot of it lands at the member.
    fn land(&mut self, rows: Option<Rows>) {
        self.pair.order(0, Command::TakeSnapshot { share: SHARE_2 }).unwrap();
        let run = |effect: &Effect| {
            if let Effect::Run { ticket, plan } = effect { Some((*ticket, plan.clone())) } else { None }
        };
        let (ticket, plan) = self.pair.pick(0, run).expect("a snapshot is taken");
        assert!(plan.release.is_some_and(|release| release.signed.claimed().unwrap().release == RELEASE));
        let (content, listing) = listing_of(BlobRole::File);
        let origin = Some(crate::record::mapping::Origin {
            mapping: DocumentDigest([1; 32]),
            schema: DocumentDigest([2; 32]),
            set: listing.digest,
            table: name("person"),
            software: name("cohortium-0.1.0"),
        });
        let taken = Taken { base: Base::Full, listing, content, index: None, linkage: None, origin, vocabulary: None };
        self.pair.feed(0, Input::RunEnded { ticket, end: RunEnd::Taken(Box::new(taken)) });
        let open = |effect: &Effect| if let Effect::OpenLanding { ticket, .. } = effect { Some(*ticket) } else { None };
        let read = |effect: &Effect| if let Effect::ReadListing { ticket, .. } = effect { Some(*ticket) } else { None };
        let check = |effect: &Effect| {
            if let Effect::Check { ticket, release, .. } = effect { Some((*ticket, *release)) } else { None }
        };
        let complete = |ticket| Input::LandingOpened { ticket, state: Some(LandingState::Complete) };
        let ticket = self.pair.pick(1, open).expect("a landing begins");
        self.pair.feed(1, complete(ticket));
        let ticket = self.pair.pick(1, read).expect("its listing is read");
        self.pair.feed(1, Input::ListingRead { ticket, listing: Some(listing_of(BlobRole::File).0) });
        while let Some(ticket) = self.pair.pick(1, open) {
            self.pair.feed(1, complete(ticket));
        }
        let (ticket, release) = self.pair.pick(1, check).expect("it is verified");
        assert_eq!(release, Some((self.pair.consortium, RELEASE)), "as this release of this consortium");
        self.pair.feed(1, Input::Checked { ticket, rows });
    }

    fn landed(&self) -> &crate::state::subscription::Subscription {
        &self.pair.state(1).subscriptions[&SUBSCRIPTION_2]
    }
}

const SHARE_2: ShareId = ShareId([17; 16]);
const SUBSCRIPTION_2: SubscriptionId = SubscriptionId([18; 16]);

// REL-7
#[test]
fn a_project_fits_the_charter_is_approved_as_it_was_read_and_told_to_the_members() {
    let mut world = World::new();
    let known = |pair: &Pair| pair.state(1).releases.project(&name("stays")).map(|known| known.project.version);
    assert_eq!(known(&world.pair), Some(1));
    let cases: [ProjectCase; 8] = [
        ("the same version", |fields| fields.version = 1),
        ("a gap", |fields| fields.version = 3),
        ("no such account", |fields| fields.account = name("outpatients")),
        ("a recipient who is no member", |fields| fields.recipients = [name("east")].into()),
        ("the operator", |fields| fields.recipients = [name("op")].into()),
        ("more rho than the account", |fields| fields.budget.rho = Rho(11)),
        ("more delta than the account", |fields| fields.budget.delta = Delta(11)),
        ("it is over", |fields| fields.expires = NOW),
    ];
    for (what, change) in cases {
        let bent = project(&world.pair, |fields| {
            fields.version = 2;
            change(fields);
        });
        let defined = world.pair.order(0, Command::DefineProject(Box::new(bent.clone())));
        assert!(defined.is_err(), "{what}");
        // Nor does a member take it from the operator's own hand, unless it is only for the operator to know.
        let signed = Signed::sign(&bent, &world.pair.parties[0].signing);
        let taken = world.pair.deliver(1, Document::Project(signed)).is_none();
        assert_eq!(taken, what == "a gap" || what == "it is over", "{what}");
        if taken {
            world = World::new();
        }
    }
    let next = project(&world.pair, |fields| fields.version = 2);
    world.pair.order(0, Command::DefineProject(Box::new(next.clone()))).unwrap();
    assert_eq!(known(&world.pair), Some(1), "a draft is told to nobody");
    let read = Command::ApproveProject { project: DocumentDigest([9; 32]) };
    assert!(matches!(world.pair.order(0, read), Err(OrderFault::NotFound { .. })), "another than was read");
    let by_north = Signed::sign(&next, &world.pair.parties[1].signing);
    assert_eq!(world.pair.deliver(0, Document::Project(by_north)), Some(ErrorCode::IdentityRefused));
    let digest = Signed::unsigned(&next).digest();
    world.pair.order(0, Command::ApproveProject { project: digest }).unwrap();
    assert_eq!(known(&world.pair), Some(2));
    let member = Command::DefineProject(Box::new(project(&world.pair, |fields| fields.operator = name("north"))));
    assert!(matches!(world.pair.order(1, member), Err(OrderFault::OutOfOrder { .. })), "only the operator");
}

// ROLE-3
#[test]
fn a_data_scientist_asks_and_neither_defines_nor_signs() {
    let mut world = World::new();
    world.ask(RELEASE).unwrap();
    assert_eq!(world.phase(RELEASE), Phase::Asked);
    let dan = world.dan.clone();
    let draft = Box::new(project(&world.pair, |fields| fields.version = 2));
    let statement = DocumentDigest([1; 32]);
    for command in [
        Command::DefineProject(draft),
        Command::ApproveProject { project: statement },
        Command::SignRelease { release: RELEASE, statement },
        Command::RefuseRelease { release: RELEASE },
        Command::WithdrawRelease { release: RELEASE, reason: name("x") },
    ] {
        let refused = world.pair.order_by(0, "dan", &dan, command);
        assert!(matches!(refused, Err(OrderFault::RoleMissing { .. })));
    }
    let ada = Command::RequestRelease { release: OTHER, request: blob("request") };
    assert!(matches!(world.pair.order(0, ada), Err(OrderFault::RoleMissing { .. })), "and nobody else asks");
    assert!(matches!(world.ask(RELEASE), Err(OrderFault::OutOfOrder { .. })), "an id is taken once");
}

// REL-4
#[test]
fn a_request_that_review_refuses_is_not_reserved() {
    let mut world = World::new();
    world.ask(RELEASE).unwrap();
    world.read(None);
    assert_eq!(world.phase(RELEASE), Phase::Refused(Refusal::Question));
    let read = planned(request(&world.pair, |fields| fields.recipients = [name("south")].into()));
    world.ask(OTHER).unwrap();
    world.read(Some(read));
    assert_eq!(world.phase(OTHER), Phase::Refused(Refusal::Recipients));
    assert_eq!(world.told(OTHER), Told::Refused(Refusal::Recipients));
    assert_eq!((world.pair.state(0).releases.ledger().count(), world.computes()), (0, None));
}

// REL-8
#[test]
fn nothing_is_computed_before_its_reservation_is_durable() {
    let mut world = World::new();
    world.ask(RELEASE).unwrap();
    (world.pair.disk_waits, world.pair.slow) = (true, 0);
    let read = planned(request(&world.pair, |_| ()));
    world.read(Some(read));
    assert_eq!(world.phase(RELEASE), Phase::Reserved);
    assert_eq!(world.computes(), None, "the reservation is written and not durable");
    let (consortium, upto) = (world.pair.consortium, world.pair.written(0));
    for upto in [upto - 2, upto - 1] {
        world.pair.feed(0, Input::Persisted { consortium, upto });
        assert_eq!(world.computes(), None, "nor is it now: members are not told yet");
    }
    world.pair.feed(0, Input::Persisted { consortium, upto });
    let (_, plan) = world.computes().expect("now it is paid for");
    assert_eq!(
        (plan.spent.release(), plan.spent.entry()),
        (RELEASE, upto - 2),
        "and members are told of it in the next entry"
    );
    world.pair.feed(0, Input::Persisted { consortium, upto });
    assert_eq!(world.computes(), None, "once");
}

// REL-9
#[test]
fn a_crash_after_the_reservation_counts_as_spent() {
    let mut world = World::new();
    world.reserve(RELEASE, |_| ());
    world.pair.restart(0);
    assert_eq!(world.phase(RELEASE), Phase::Failed(RunFault::WorkerLost));
    assert_eq!((world.computes(), world.pair.state(0).releases.ledger().count()), (None, 1));
    assert_eq!(world.told(RELEASE), Told::NotReleased);
    // One that was asked for before the crash is reviewed after it.
    world.ask(OTHER).unwrap();
    world.pair.restart(0);
    let read = planned(request(&world.pair, |_| ()));
    world.read(Some(read));
    assert_eq!(world.phase(OTHER), Phase::Reserved);
}

// REL-10 REL-12
#[test]
fn what_an_attack_succeeded_on_or_does_not_fit_is_never_signed_and_told_in_one_word() {
    let cases: [MadeCase; 5] = [
        (|made| made.verdict = Verdict::Fell, Phase::Stopped(blob("report"))),
        (|made| made.body.clear(), Phase::Failed(RunFault::Limit)),
        (|made| made.body.push(made.body[0].clone()), Phase::Failed(RunFault::Malformed)),
        (|made| made.done = Done::Counts { floor: 11, cells: 1, suppressed: 0 }, Phase::Failed(RunFault::Malformed)),
        (
            |made| {
                if let Done::Microdata { k, .. } = &mut made.done {
                    k.0 = 10;
                }
            },
            Phase::Failed(RunFault::Malformed),
        ),
    ];
    for (change, phase) in cases {
        let mut world = World::new();
        let (ticket, _) = world.reserve(RELEASE, |_| ());
        assert_eq!(world.told(RELEASE), Told::Waits);
        world.pair.feed(0, Input::ReleaseMade { ticket, end: Ok(made(change)) });
        assert_eq!((world.phase(RELEASE), world.told(RELEASE)), (phase, Told::NotReleased));
        let order = Command::SignRelease { release: RELEASE, statement: DocumentDigest([1; 32]) };
        assert!(matches!(world.pair.order(0, order), Err(OrderFault::NotFound { .. })));
        assert_eq!(world.pair.state(0).releases.ledger().count(), 1, "it stays paid for");
    }
    let mut world = World::new();
    world.make(RELEASE, |_| ());
    assert_eq!(world.told(RELEASE), Told::Waits);
    world.pair.order(0, Command::RefuseRelease { release: RELEASE }).unwrap();
    assert_eq!((world.phase(RELEASE), world.told(RELEASE)), (Phase::Declined, Told::NotReleased));
    assert!(world.sign(RELEASE).is_err());
}

// REL-5
#[test]
fn the_same_question_of_the_same_rows_is_answered_again_for_nothing() {
    let mut world = World::new();
    world.make(RELEASE, |_| ());
    let again = |world: &mut World, release, read| {
        world.ask(release).unwrap();
        world.read(Some(read));
    };
    let same = planned(request(&world.pair, |fields| fields.salt = Nonce([7; 16])));
    again(&mut world, OTHER, same);
    assert_eq!((world.phase(OTHER), world.told(OTHER)), (Phase::Same(RELEASE), Told::Waits));
    world.sign(RELEASE).unwrap();
    assert_eq!(world.told(OTHER), Told::Is(RELEASE));
    assert_eq!((world.pair.state(0).releases.ledger().count(), world.computes()), (1, None));
    // Whoever asks must be allowed to ask all the same.
    let stranger = planned(request(&world.pair, |fields| fields.recipients = [name("south")].into()));
    again(&mut world, ReleaseId([3; 16]), stranger);
    assert_eq!(world.phase(ReleaseId([3; 16])), Phase::Refused(Refusal::Recipients));
    // Another recipient knows other patients.
    world.approve(|fields| {
        fields.version = 2;
        fields.recipients.insert(name("south"));
    });
    let wider = planned(request(&world.pair, |fields| fields.recipients.extend([name("south")])));
    again(&mut world, ReleaseId([4; 16]), wider);
    let (ticket, plan) = world.computes().expect("it is another release");
    assert_eq!(plan.earlier, [(RELEASE, blob("memory"))], "which keeps its model together with the first");
    world.pair.feed(0, Input::ReleaseMade { ticket, end: Err(RunFault::Limit) });
    // One that was recalled is not served again.
    world.pair.order(0, Command::WithdrawRelease { release: RELEASE, reason: name("x") }).unwrap();
    assert_eq!(world.told(OTHER), Told::Withdrawn(RELEASE));
    let read = planned(request(&world.pair, |_| ()));
    again(&mut world, ReleaseId([5; 16]), read);
    assert_eq!(world.phase(ReleaseId([5; 16])), Phase::Reserved);
}

// REL-11 REL-17
#[test]
fn the_officer_signs_what_was_read_of_rows_that_may_be_used() {
    let mut world = World::new();
    let (ticket, plan) = world.reserve(RELEASE, |_| ());
    assert_eq!(plan.members, [name("north")].into(), "south has not accepted the charter");
    world.pair.feed(0, Input::ReleaseMade { ticket, end: Ok(made(|_| ())) });
    let other = Command::SignRelease { release: RELEASE, statement: DocumentDigest([1; 32]) };
    assert!(matches!(world.pair.order(0, other), Err(OrderFault::OutOfOrder { .. })));
    let mut late = World::new();
    late.make(RELEASE, |_| ());
    late.pair.wall = [NOW.plus(Seconds(1000)); 2];
    assert!(matches!(late.sign(RELEASE), Err(OrderFault::OutOfOrder { .. })), "the project is over");
    let mut halted = World::new();
    halted.make(RELEASE, |_| ());
    halted.pair.order(0, Command::Stop).unwrap();
    assert_eq!(halted.sign(RELEASE).err(), Some(OrderFault::Stopped));
    let mut revoked = World::new();
    revoked.make(RELEASE, |_| ());
    let revoke = Command::ChangeSubscription { subscription: SUBSCRIPTION, change: Change::Revoke, reason: None };
    revoked.pair.order(1, revoke.clone()).unwrap();
    assert!(matches!(revoked.sign(RELEASE), Err(OrderFault::OutOfOrder { .. })), "rows in it were revoked");
    let mut meanwhile = World::new();
    let (ticket, _) = meanwhile.reserve(RELEASE, |_| ());
    meanwhile.pair.order(1, revoke).unwrap();
    meanwhile.pair.feed(0, Input::ReleaseMade { ticket, end: Ok(made(|_| ())) });
    assert_eq!(meanwhile.phase(RELEASE), Phase::Failed(RunFault::Changed));
    let statement = world.sign(RELEASE).unwrap();
    assert_eq!(statement.excluded, [name("south")].into());
    let members: Vec<&Name> = statement.inputs.values().flat_map(BTreeMap::keys).collect();
    assert_eq!(members, [&name::<Name>("north")]);
    assert_eq!(world.told(RELEASE), Told::Is(RELEASE));
    assert!(world.sign(RELEASE).is_err(), "once");
}

// REL-18
#[test]
fn a_request_s_words_are_in_no_entry_before_its_release_is_signed_and_are_read_again_after_a_start() {
    let mut world = World::new();
    world.make(RELEASE, |fields| fields.question = "SELECT TELLTALE".to_owned());
    let telltale = |journal: &[JournalEntry]| {
        let bytes: Vec<u8> = journal.iter().flat_map(codec::encode).collect();
        bytes.windows(8).any(|window| window == b"TELLTALE")
    };
    assert!(!telltale(&world.pair.journals[0]));
    let live = world.pair.nodes[0].live_blobs(world.pair.consortium);
    for wanted in ["request 1", "report", "memory", "body"] {
        assert!(live.contains(&blob(wanted)), "{wanted}");
    }
    world.pair.restart(0);
    assert!(world.sign(RELEASE).is_err(), "its words are not here yet");
    let read = planned(request(&world.pair, |fields| fields.question = "SELECT TELLTALE".to_owned()));
    world.read(Some(read));
    world.sign(RELEASE).unwrap();
    assert!(telltale(&world.pair.journals[0]), "the statement repeats them");
    let live = world.pair.nodes[0].live_blobs(world.pair.consortium);
    assert!(!live.contains(&blob("request 1")) && live.contains(&blob("body")));
    assert!(world.pair.nodes[0].live_indexes(world.pair.consortium).contains(&blob("body")), "which is no listing");
}

// REL-13 REL-14 REL-20
#[test]
fn a_signed_release_is_shared_whole_with_its_recipients_verified_and_never_consolidated() {
    let mut world = World::new();
    world.make(RELEASE, |_| ());
    let source = Dataset { source: Source::Release { release: RELEASE }, name: name("released"), ..dataset("/x") };
    let early = world.pair.order(0, Command::DefineDataset(source.clone()));
    assert!(matches!(early, Err(OrderFault::NotFound { .. })), "it is not signed");
    world.sign(RELEASE).unwrap();
    world.pair.order(0, Command::DefineDataset(source)).unwrap();
    let cases: [TermsCase; 3] = [
        ("another party", |terms| terms.consumers = [name("south")].into()),
        ("another release", |terms| terms.content = Content::Release { release: OTHER }),
        ("files", |terms| terms.content = Content::UncheckedFiles),
    ];
    for (what, change) in cases {
        let terms = altered(world.terms(RELEASE), change);
        assert!(world.pair.order(0, Command::DefineShare(terms)).is_err(), "{what}");
    }
    let in_place = ShareFields { form: Form::InPlaceRows, ..world.terms(RELEASE).into() };
    assert!(Share::try_from(in_place).is_err());
    world.share(RELEASE);
    world.land(Some(Rows(20)));
    let landed = world.landed();
    let manifest = &landed.snapshots[0].manifest;
    assert_eq!((landed.snapshots[0].fate, manifest.label), (Fate::Landed, ContentLabel::Release));
    world.pair.order(1, Command::Consolidate).unwrap();
    let begun =
        |effect: &Effect| if let Effect::Consolidate { plan, .. } = effect { Some(plan.tables.len()) } else { None };
    assert_eq!(world.pair.pick(1, begun), Some(0), "whatever its manifest says of where rows come from");
    let mut wrong = World::new();
    wrong.make(RELEASE, |_| ());
    wrong.sign(RELEASE).unwrap();
    wrong.share(RELEASE);
    wrong.land(None);
    assert_eq!(wrong.landed().snapshots[0].fate, Fate::Refused, "what does not verify does not land");
}

// REL-16 REL-21
#[test]
fn a_recall_reaches_who_was_invited_ends_what_flows_and_erases_what_has_landed() {
    let mut world = World::new();
    world.make(RELEASE, |_| ());
    world.sign(RELEASE).unwrap();
    world.share(RELEASE);
    world.land(Some(Rows(20)));
    world.pair.order(0, Command::Stop).unwrap();
    let reason: Text = name("a column was wrong");
    world.pair.order(0, Command::WithdrawRelease { release: RELEASE, reason: reason.clone() }).unwrap();
    let cut =
        |effect: &Effect| matches!(effect, Effect::Cut { under } if under.subscription == SUBSCRIPTION_2).then_some(());
    assert!(world.pair.pick(0, cut).is_some(), "no further byte");
    let heard = world.pair.state(1).releases.withdrawal(RELEASE).expect("also while all output is stopped");
    assert_eq!(heard.reason, reason);
    let landed = world.landed();
    assert_eq!((landed.snapshots[0].fate, landed.current), (Fate::Erased, None), "although its terms say exclude");
    assert!(!landed.rows_usable(NOW));
    world.pair.order(0, Command::Start).unwrap();
    world.pair.feed(1, Input::Swept { whole: true });
    let provider = &world.pair.state(0).subscriptions[&SUBSCRIPTION_2];
    assert_eq!(provider.snapshots[0].fate, Fate::Erased, "its receipt has come");
    assert_eq!(provider.may_flow(NOW), Err(ErrorCode::Revoked));
    let reinstate =
        Command::ChangeSubscription { subscription: SUBSCRIPTION_2, change: Change::Reinstate, reason: None };
    assert!(matches!(world.pair.order(0, reinstate), Err(OrderFault::OutOfOrder { .. })));
    assert!(world.invite(SubscriptionId([19; 16])).is_err());
    assert!(world.pair.order(0, Command::TakeSnapshot { share: SHARE_2 }).is_err());
    let live = world.pair.nodes[0].live_blobs(world.pair.consortium);
    assert!(!live.contains(&blob("body")), "it leaves no more");
    assert!(live.contains(&blob("memory")), "what was told is remembered");
}

// REL-15 REL-19
#[test]
fn a_recall_or_an_offer_of_a_release_by_anybody_else_counts_for_nothing() {
    let mut world = World::new();
    world.make(RELEASE, |_| ());
    world.sign(RELEASE).unwrap();
    let terms = world.share(RELEASE);
    let withdrawal = |world: &World, operator: &str, release, by: usize| {
        let consortium = world.pair.consortium;
        let recall = Withdrawal {
            consortium,
            operator: name(operator),
            release,
            statement: DocumentDigest([1; 32]),
            reason: name("x"),
            at: NOW,
            ext: Extensions::default(),
        };
        Document::Withdrawal(Signed::sign(&recall, &world.pair.parties[by].signing))
    };
    let cases = [
        ("north", RELEASE, 1, ErrorCode::SignatureInvalid),
        ("north", RELEASE, 0, ErrorCode::IdentityRefused),
        ("op", OTHER, 0, ErrorCode::NotFound),
    ];
    for (operator, release, by, code) in cases {
        let document = withdrawal(&world, operator, release, by);
        assert_eq!(world.pair.deliver(1, document), Some(code));
    }
    // The operator itself hears of no recall: it never was a consumer.
    let document = withdrawal(&world, "north", RELEASE, 1);
    assert_eq!(world.pair.deliver(0, document), Some(ErrorCode::NotFound));
    let offer = |world: &World, provider: usize, consumer: &str, subscription| {
        let share = altered(terms.clone(), |terms| {
            terms.provider = world.pair.parties[provider].name.clone();
            (terms.share, terms.consumers) = (ShareId([21; 16]), [name(consumer)].into());
        });
        let invitation = Invitation {
            consortium: world.pair.consortium,
            subscription,
            consumer: name(consumer),
            share,
            at: NOW,
            answer_by: NOW.plus(Seconds(60)),
            accepted: None,
            ext: Extensions::default(),
        };
        Document::Invitation(Signed::sign(&invitation, &world.pair.parties[provider].signing))
    };
    let document = offer(&world, 1, "op", SubscriptionId([22; 16]));
    assert_eq!(world.pair.deliver(0, document), Some(ErrorCode::IdentityRefused), "a member has no releases");
    let document = withdrawal(&world, "op", RELEASE, 0);
    assert_eq!(world.pair.deliver(1, document), None);
    let document = withdrawal(&world, "op", RELEASE, 0);
    assert_eq!(world.pair.deliver(1, document), Some(ErrorCode::OutOfOrder), "once");
    let document = offer(&world, 0, "north", SubscriptionId([23; 16]));
    assert_eq!(world.pair.deliver(1, document), Some(ErrorCode::Revoked), "what is recalled is not offered again");
}

#[test]
fn one_release_at_a_time_and_a_bounded_number_that_waits() {
    let mut world = World::new();
    for number in 1..=64 {
        world.ask(ReleaseId([number; 16])).unwrap();
    }
    assert!(matches!(world.ask(ReleaseId([65; 16])), Err(OrderFault::OutOfOrder { .. })));
    let reads = |effect: &&Effect| matches!(effect, Effect::ReadRequest { .. });
    assert_eq!(world.pair.seen[0].iter().filter(reads).count(), 1);
    let read = planned(request(&world.pair, |_| ()));
    world.read(Some(read));
    assert_eq!(world.pair.seen[0].iter().filter(reads).count(), 0, "the next one waits for the first");
    let (ticket, _) = world.computes().unwrap();
    world.pair.feed(0, Input::ReleaseMade { ticket, end: Ok(made(|_| ())) });
    assert_eq!(world.pair.seen[0].iter().filter(reads).count(), 1);
}
