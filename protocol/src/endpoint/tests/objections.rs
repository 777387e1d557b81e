//! What members see of the ledger, and what they may say to it: announcements, objections, debits, caps.

use super::releases::{OTHER, RELEASE, World, name, planned, request};
use super::*;
use crate::quantity::{Delta, Rho};
use crate::record::debit::Debit;
use crate::record::objection::Objection;
use crate::record::project::{BudgetShare, ReleaseKind};
use crate::record::refusal::Refusal;
use crate::record::request::{AggregateTerms, Asked, Request, RequestFields};
use crate::record::reservation::Charge;
use crate::record::safeguards::{SafeguardFields, Safeguards};
use crate::rule::ledger::Disagreement;
use crate::state::releases::{Phase, Told};

const WAIT: Seconds = Seconds(600);

fn waiting() -> Extensions {
    let fields = SafeguardFields { objection_wait: WAIT, ..Safeguards::default().into() };
    Safeguards::try_from(fields).unwrap().beside(Extensions::default())
}

/// An account of 10 and a project that may ask for private answers.
fn private(ext: Extensions) -> World {
    let mut world = World::under(ext);
    world.approve(|fields| {
        fields.version = 2;
        fields.kinds = [ReleaseKind::Microdata, ReleaseKind::Aggregate].into();
    });
    world
}

fn asks(fields: &mut RequestFields, rho: u128, words: &str) {
    fields.asked = Asked::Aggregate(AggregateTerms { declared: "{}".to_owned(), rho: Rho(rho), delta: Delta(0) });
    words.clone_into(&mut fields.question);
}

fn question(world: &World, rho: u128, words: &str) -> Request {
    request(&world.pair, |fields| asks(fields, rho, words))
}

/// Asked for and read; whether it is announced or reserved is for the charter.
fn ask(world: &mut World, release: ReleaseId, rho: u128) {
    world.ask(release).unwrap();
    let read = planned(question(world, rho, &format!("SELECT {}", release.0[0])));
    world.read(Some(read));
}

fn later(world: &mut World, seconds: u64) {
    world.pair.wall = world.pair.wall.map(|wall| wall.plus(Seconds(seconds)));
    world.pair.mono = world.pair.mono.plus(Seconds(seconds));
    world.pair.feed(0, Input::Tick);
}

fn object(world: &mut World, node: usize, release: ReleaseId) -> Result<(), OrderFault> {
    world.pair.order(node, Command::Object { release, reason: name("too much for our patients") })
}

fn objection(world: &World, change: impl FnOnce(&mut Objection)) -> Document {
    let announced = world.pair.state(0).ledger.announced(RELEASE).unwrap();
    let mut objection = Objection {
        consortium: world.pair.consortium,
        member: name("north"),
        release: RELEASE,
        announcement: announced.digest,
        reason: name("x"),
        at: NOW,
        ext: Extensions::default(),
    };
    change(&mut objection);
    Document::Objection(Signed::sign(&objection, &world.pair.parties[1].signing))
}

// REL-26 REL-28
#[test]
fn a_release_waits_for_its_members_and_goes_on_when_none_has_objected() {
    let mut world = private(waiting());
    ask(&mut world, RELEASE, 4);
    assert_eq!(world.phase(RELEASE), Phase::Announced(NOW.plus(WAIT)));
    let heard = world.pair.state(1).ledger.announced(RELEASE).expect("the member is asked");
    assert_eq!(heard.announcement.charge, Charge::Private { rho: Rho(4), delta: Delta(0) });
    assert_eq!((world.computes(), world.pair.state(0).releases.ledger().count()), (None, 0), "nothing is reserved");
    assert_eq!(world.told(RELEASE), Told::Waits);
    // Others are taken up meanwhile.
    ask(&mut world, OTHER, 3);
    assert!(matches!(world.phase(OTHER), Phase::Announced(_)));
    later(&mut world, WAIT.0 - 1);
    let reads = |effect: &Effect| if let Effect::ReadRequest { ticket, .. } = effect { Some(*ticket) } else { None };
    assert_eq!(world.pair.pick(0, reads), None, "not a second sooner");
    assert_eq!(world.pair.nodes[0].poll_wake().map(|wake| wake <= world.pair.mono.plus(Seconds(1))), Some(true));
    later(&mut world, 1);
    let again = planned(question(&world, 4, "SELECT 1"));
    world.read(Some(again));
    assert_eq!(world.phase(RELEASE), Phase::Reserved);
    let (ticket, _) = world.computes().expect("it is paid for");
    let line = &world.pair.state(1).ledger.lines()[0];
    assert_eq!((line.debit.release, line.disagreement), (RELEASE, None), "the member agrees");
    world.pair.feed(0, Input::ReleaseMade { ticket, end: Err(RunFault::Limit) });
    assert!(object(&mut world, 1, OTHER).is_err(), "the waiting time is over");
}

// REL-27
#[test]
fn an_objection_in_time_ends_a_release_before_anything_is_reserved() {
    let mut world = private(waiting());
    ask(&mut world, RELEASE, 4);
    assert!(matches!(object(&mut world, 0, RELEASE), Err(OrderFault::NotFound { .. })), "not the operator");
    assert!(matches!(object(&mut world, 1, OTHER), Err(OrderFault::NotFound { .. })), "only what is announced");
    object(&mut world, 1, RELEASE).unwrap();
    assert_eq!((world.phase(RELEASE), world.told(RELEASE)), (Phase::Objected, Told::NotReleased));
    assert!(object(&mut world, 1, RELEASE).is_err(), "once");
    later(&mut world, WAIT.0);
    assert_eq!((world.computes(), world.pair.state(0).releases.ledger().count()), (None, 0));
    world.pair.restart(0);
    assert_eq!(world.phase(RELEASE), Phase::Objected, "also after a restart");
    let operator = &world.pair.state(0).ledger;
    assert_eq!(operator.objections(RELEASE)[0].member, name("north"));
}

// REL-27
#[test]
fn an_objection_counts_from_a_member_concerned_to_what_was_announced_and_in_time() {
    type Bend = fn(&mut Objection);
    let cases: [(&str, Bend, ErrorCode); 4] = [
        ("another member", |said| said.member = name("south"), ErrorCode::IdentityRefused),
        ("another release", |said| said.release = OTHER, ErrorCode::NotFound),
        ("another announcement", |said| said.announcement = DocumentDigest([1; 32]), ErrorCode::NotFound),
        ("another consortium", |said| said.consortium = ConsortiumId([1; 32]), ErrorCode::ConsortiumUnknown),
    ];
    for (what, bend, code) in cases {
        let mut world = private(waiting());
        ask(&mut world, RELEASE, 4);
        let document = objection(&world, bend);
        assert_eq!(world.pair.deliver(0, document), Some(code), "{what}");
        assert!(matches!(world.phase(RELEASE), Phase::Announced(_)), "{what}");
    }
    let mut late = private(waiting());
    ask(&mut late, RELEASE, 4);
    late.pair.wall[0] = NOW.plus(WAIT);
    let document = objection(&late, |_| ());
    assert_eq!(late.pair.deliver(0, document), Some(ErrorCode::Expired), "the waiting time is over");
    let mut early = private(waiting());
    ask(&mut early, RELEASE, 4);
    early.pair.wall[0] = UnixMillis(NOW.plus(WAIT).0 - 1);
    let document = objection(&early, |_| ());
    assert_eq!(early.pair.deliver(0, document), None);
}

// REL-26
#[test]
fn what_changes_while_members_wait_is_announced_anew() {
    let mut world = private(waiting());
    ask(&mut world, RELEASE, 4);
    world.approve(|fields| {
        fields.version = 3;
        fields.kinds = [ReleaseKind::Aggregate].into();
    });
    later(&mut world, WAIT.0);
    let again = planned(question(&world, 4, "SELECT 1"));
    world.read(Some(again));
    assert_eq!(world.phase(RELEASE), Phase::Announced(NOW.plus(WAIT).plus(WAIT)), "the project is another");
}

// REL-24
#[test]
fn a_release_that_was_not_debited_is_not_taken() {
    let mut world = World::new();
    world.make(RELEASE, |_| ());
    world.sign(RELEASE).unwrap();
    let terms = world.share(RELEASE);
    let mut offer = Invitation {
        consortium: world.pair.consortium,
        subscription: SubscriptionId([31; 16]),
        consumer: name("north"),
        share: altered(terms.clone(), |terms| terms.share = ShareId([31; 16])),
        at: NOW,
        answer_by: NOW.plus(Seconds(60)),
        accepted: None,
        ext: Extensions::default(),
    };
    let signed =
        |world: &World, offer: &Invitation| Document::Invitation(Signed::sign(offer, &world.pair.parties[0].signing));
    let paid = signed(&world, &offer);
    assert_eq!(world.pair.deliver(1, paid), None);
    offer.share = altered(terms, |terms| {
        (terms.share, terms.content) = (ShareId([32; 16]), Content::Release { release: OTHER });
    });
    offer.subscription = SubscriptionId([32; 16]);
    let unpaid = signed(&world, &offer);
    assert_eq!(world.pair.deliver(1, unpaid), Some(ErrorCode::OutOfOrder));
}

// REL-25
#[test]
fn a_member_adds_up_the_debits_and_says_where_the_operator_states_another_ledger() {
    type Bend = fn(&mut Debit);
    let cases: [(Bend, Option<Disagreement>); 8] = [
        (|_| (), None),
        (|debit| debit.sequence = 3, Some(Disagreement::Sequence)),
        (|debit| debit.sequence = 1, Some(Disagreement::Sequence)),
        (|debit| debit.spent.rho = Rho(6), Some(Disagreement::Sum)),
        (|debit| debit.charge = Charge::Uncovered, Some(Disagreement::Sum)),
        (|debit| debit.release = RELEASE, Some(Disagreement::Twice)),
        (|debit| debit.charter = DocumentDigest([1; 32]), Some(Disagreement::Charter)),
        (
            |debit| {
                debit.charge = Charge::Private { rho: Rho(7), delta: Delta(0) };
                debit.spent.rho = Rho(11);
            },
            Some(Disagreement::Limit),
        ),
    ];
    for (number, (bend, expected)) in cases.into_iter().enumerate() {
        let mut world = private(Extensions::default());
        ask(&mut world, RELEASE, 4);
        let first = world.pair.state(1).ledger.lines()[0].debit.clone();
        assert_eq!((first.sequence, first.spent.rho, first.reserved), (1, Rho(4), world.pair.written(0) - 2));
        let charge = Charge::Private { rho: Rho(3), delta: Delta(0) };
        let spent = BudgetShare { rho: Rho(7), delta: Delta(0) };
        let mut debit = Debit { release: OTHER, sequence: 2, charge, spent, ..first };
        bend(&mut debit);
        let document = Document::Debit(Signed::sign(&debit, &world.pair.parties[0].signing));
        assert_eq!(world.pair.deliver(1, document), None, "it is kept: it is the proof");
        let ledger = &world.pair.state(1).ledger;
        assert_eq!(ledger.lines()[1].disagreement, expected, "{number}");
        let told = |effect: &Effect| match effect {
            Effect::Notify(Notice::LedgerDisagrees(_, why)) => Some(*why),
            _ => None,
        };
        assert_eq!(world.pair.pick(1, told), expected, "people hear of it");
    }
}

// REL-25
#[test]
fn a_member_sees_that_a_release_did_not_wait() {
    type Bend = fn(&mut Debit);
    let cases: [(Bend, bool, Option<Disagreement>); 4] = [
        (|_| (), false, None),
        (|debit| debit.at = UnixMillis(debit.at.0 - 1), false, Some(Disagreement::Early)),
        (|debit| debit.release = OTHER, false, Some(Disagreement::Unannounced)),
        (|_| (), true, Some(Disagreement::Objected)),
    ];
    for (number, (bend, objects, expected)) in cases.into_iter().enumerate() {
        let mut world = private(waiting());
        ask(&mut world, RELEASE, 4);
        if objects {
            object(&mut world, 1, RELEASE).unwrap();
        }
        let asked = world.pair.state(1).ledger.announced(RELEASE).unwrap().announcement.clone();
        let mut debit = Debit {
            consortium: asked.consortium,
            operator: asked.operator,
            release: asked.release,
            kind: asked.kind,
            charter: asked.charter,
            project: asked.project,
            account: asked.account,
            members: asked.members,
            charge: asked.charge,
            reserved: 90,
            sequence: 1,
            spent: BudgetShare { rho: Rho(4), delta: Delta(0) },
            at: asked.until,
            ext: Extensions::default(),
        };
        bend(&mut debit);
        let document = Document::Debit(Signed::sign(&debit, &world.pair.parties[0].signing));
        assert_eq!(world.pair.deliver(1, document), None);
        assert_eq!(world.pair.state(1).ledger.lines()[0].disagreement, expected, "{number}");
    }
}

// REL-29
#[test]
fn a_member_s_cap_objects_where_it_may_and_stops_sharing_where_it_is_passed() {
    let cap = |rho| Command::Cap { cap: Some(BudgetShare { rho: Rho(rho), delta: Delta(0) }) };
    let mut world = private(waiting());
    assert!(world.pair.order(0, cap(1)).is_err(), "the operator has no patients");
    world.pair.order(1, cap(3)).unwrap();
    ask(&mut world, RELEASE, 4);
    assert_eq!(world.phase(RELEASE), Phase::Objected, "it would pass the cap");
    ask(&mut world, OTHER, 3);
    assert!(matches!(world.phase(OTHER), Phase::Announced(_)), "it would not");
    assert!(!world.pair.subscription(1).revoked);
    let mut world = private(Extensions::default());
    world.pair.order(1, cap(3)).unwrap();
    ask(&mut world, RELEASE, 3);
    assert!(!world.pair.subscription(1).revoked, "up to the cap");
    let (ticket, _) = world.computes().unwrap();
    world.pair.feed(0, Input::ReleaseMade { ticket, end: Err(RunFault::Limit) });
    ask(&mut world, OTHER, 1);
    assert!(world.pair.subscription(1).revoked && world.pair.subscription(0).revoked, "and no further");
    let third = ReleaseId([3; 16]);
    let (ticket, _) = world.computes().unwrap();
    world.pair.feed(0, Input::ReleaseMade { ticket, end: Err(RunFault::Limit) });
    ask(&mut world, third, 1);
    assert_eq!(world.phase(third), Phase::Refused(Refusal::Tables), "its rows are used no more");
    assert!(world.pair.order(1, cap(3)).is_err(), "a cap below what was spent holds nothing back");
    world.pair.order(1, Command::Cap { cap: None }).unwrap();
}

// REL-9 REL-24
#[test]
fn a_crash_between_reservation_and_debit_is_made_good_at_the_next_start() {
    let mut world = private(Extensions::default());
    ask(&mut world, RELEASE, 4);
    let (journal, told) = (&world.pair.journals[0], |entry: &JournalEntry| matches!(entry.act, Act::Debit(_)));
    let at = journal.iter().position(told).expect("members are told");
    assert!(matches!(journal[at - 1].act, Act::ReleaseReserved(_)), "right after the reservation");
    world.pair.journals[0].truncate(at);
    world.pair.restart(0);
    let state = world.pair.state(0);
    assert_eq!(state.releases.ledger().count(), 1, "it stays paid for");
    let line = &state.ledger.lines()[0];
    assert_eq!((line.debit.release, line.debit.reserved), (RELEASE, at as u64 - 1));
    assert_eq!(state.ledger.account(&name("inpatients")).spent.rho, Rho(4));
}

// REL-6
#[test]
fn of_64_private_questions_for_the_last_unit_exactly_one_is_answered() {
    let mut world = private(Extensions::default());
    world.pair.disk_waits = true;
    world.pair.slow = 0;
    let all: Vec<ReleaseId> = (1..=64).map(|number| ReleaseId([number; 16])).collect();
    for release in &all {
        world.ask(*release).unwrap();
    }
    let consortium = world.pair.consortium;
    let reads = |effect: &Effect| match effect {
        Effect::ReadRequest { ticket, plan } => Some((*ticket, plan.release)),
        _ => None,
    };
    let mut computed = 0;
    for _ in 0..1000 {
        if let Some((ticket, release)) = world.pair.pick(0, reads) {
            let read = Some(planned(question(&world, 10, &format!("SELECT {}", release.0[0]))));
            world.pair.feed(0, Input::RequestRead { ticket, read });
        } else if let Some((ticket, _)) = world.computes() {
            computed += 1;
            world.pair.feed(0, Input::ReleaseMade { ticket, end: Err(RunFault::Limit) });
        } else {
            let upto = world.pair.written(0);
            world.pair.feed(0, Input::Persisted { consortium, upto });
        }
    }
    let phases: Vec<Phase> = all.iter().map(|release| world.phase(*release)).collect();
    let refused = phases.iter().filter(|phase| **phase == Phase::Refused(Refusal::Budget)).count();
    assert_eq!((computed, refused), (1, 63));
    assert_eq!(world.pair.state(0).releases.spent(&name("inpatients")).rho, Rho(10));
}

// REL-8
#[test]
fn some_private_answers_are_in_flight_at_once_and_rows_alone() {
    let mut world = private(Extensions::default());
    let all: Vec<ReleaseId> = (1..=6).map(|number| ReleaseId([number; 16])).collect();
    for release in &all {
        world.ask(*release).unwrap();
    }
    let reads = |effect: &Effect| match effect {
        Effect::ReadRequest { ticket, plan } => Some((*ticket, plan.release)),
        _ => None,
    };
    // Five private questions, and rows in between.
    while let Some((ticket, release)) = world.pair.pick(0, reads) {
        let words = format!("SELECT {}", release.0[0]);
        let asked = if release.0[0] == 3 { request(&world.pair, |_| ()) } else { question(&world, 1, &words) };
        world.pair.feed(0, Input::RequestRead { ticket, read: Some(planned(asked)) });
    }
    let phases = |world: &World| all.iter().map(|release| world.phase(*release)).collect::<Vec<_>>();
    let (asked, reserved) = (Phase::Asked, Phase::Reserved);
    assert_eq!(phases(&world), [reserved, reserved, asked, asked, asked, asked], "rows wait, and others behind them");
    for _ in 0..2 {
        let (ticket, _) = world.computes().expect("both are in flight");
        world.pair.feed(0, Input::ReleaseMade { ticket, end: Err(RunFault::Limit) });
    }
    let (ticket, release) = world.pair.pick(0, reads).expect("rows are taken up again");
    assert_eq!(release, all[2]);
    let rows = request(&world.pair, |_| ());
    world.pair.feed(0, Input::RequestRead { ticket, read: Some(planned(rows)) });
    assert_eq!((world.phase(all[2]), world.pair.pick(0, reads)), (reserved, None), "and alone");
    let (ticket, _) = world.computes().unwrap();
    world.pair.feed(0, Input::ReleaseMade { ticket, end: Err(RunFault::Limit) });
    world.pair.restart(0);
    assert_eq!(world.pair.state(0).releases.ledger().count(), 3);
}
