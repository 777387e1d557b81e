//! The ledger: how many reservations a second become durable, and how long it takes to open a journal of a million entries of
//! releases. The real journal on the disk, the real entries, the real fold; without workers, which read and compute.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use cohortium_protocol::digest::{BlobDigest, DocumentDigest};
use cohortium_protocol::ident::{ConsortiumId, Name, Nonce, ReleaseId};
use cohortium_protocol::key::pair::KeyPair;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::quantity::{AnonymityK, Bytes, ContributionBound, Delta, Rho};
use cohortium_protocol::record::charter::{
    AccountTerms, Charter, CharterFields, CharterKind, LandedRows, Party, PartyKind, ReleasePolicy, Terms,
};
use cohortium_protocol::record::debit::Debit;
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::journal_entry::{Act, Actor, JournalEntry, RunFault};
use cohortium_protocol::record::listing::BlobRef;
use cohortium_protocol::record::order::{Command, Order};
use cohortium_protocol::record::project::{BudgetShare, Project, ProjectFields, ReleaseKind};
use cohortium_protocol::record::reservation::{Charge, Reservation};
use cohortium_protocol::state::State;
use cohortium_protocol::table_version::TableVersionId;
use cohortium_protocol::time::{Seconds, UnixMillis};
use cohortium_store::journal::Journal;
use cohortium_store::seal::DataKey;
use serde_json::json;

use crate::Settings;
use crate::network::folder;
use crate::report::{Bar, Outcome, Series, Side};

const RESERVES_MIN: f64 = 1_000.0;
const OPENING_SECONDS_MAX: f64 = 2.0;
/// Who waits for a reservation to be durable, at once.
const WAITING: usize = 64;
const MEMBERS: u8 = 5;
const SPELL: Duration = Duration::from_secs(4);
/// Entries of one release: order, reservation, debit, end.
const ENTRIES_EACH: u64 = 4;
const AT: UnixMillis = UnixMillis(1_800_000_000_000);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// An operator with members, an account and a project, and everything that its releases' entries are made of.
struct Made {
    consortium: ConsortiumId,
    root: KeyPair,
    signing: KeyPair,
    charter: Signed<Charter>,
    project: Signed<Project>,
}

impl Made {
    fn new() -> Self {
        let (root, signing) = (KeyPair::from_seed(&[1; 32]), KeyPair::from_seed(&[2; 32]));
        let party = |kind, root: &KeyPair| Party {
            kind,
            title: "A party".parse().unwrap(),
            root: root.public(),
            succeeds: None,
        };
        let mut roster = BTreeMap::from([(name("operator"), party(PartyKind::Operator, &root))]);
        roster.extend((0..MEMBERS).map(|member| {
            let key = KeyPair::from_seed(&[100 + member; 32]);
            (name(&format!("member-{member}")), party(PartyKind::Member, &key))
        }));
        let terms = AccountTerms {
            population: "patients".parse().unwrap(),
            rho: Rho(u128::MAX),
            delta: Delta(u128::MAX),
            tokens_per_person_max: ContributionBound(2),
            patients_max: 1_000_000,
        };
        let charter = CharterFields {
            consortium: None,
            version: 1,
            previous: None,
            title: "Measured".parse().unwrap(),
            kind: CharterKind::Rehearsal,
            at: AT,
            roster,
            threshold: 1,
            schema: None,
            policy: ReleasePolicy { anonymity_k_min: AnonymityK(11), small_cell_min: 11 },
            accounts: BTreeMap::from([(name("patients"), terms)]),
            terms: Terms { landed_rows: LandedRows::Exclude, share_validity_max: Seconds(1), contract: None },
            linkage: None,
            ext: Extensions::default(),
        };
        let charter = Signed::sign(&Charter::try_from(charter).unwrap(), &root);
        let consortium = ConsortiumId(charter.digest().0);
        let project = ProjectFields {
            consortium,
            operator: name("operator"),
            name: name("answers"),
            version: 1,
            purpose: "to measure".parse().unwrap(),
            permit: "none".parse().unwrap(),
            account: name("patients"),
            people: [name("rita")].into(),
            kinds: [ReleaseKind::Aggregate].into(),
            tables: [(name("visit"), [name("person_id")].into())].into(),
            recipients: [name("member-0")].into(),
            budget: BudgetShare { rho: Rho(u128::MAX), delta: Delta(0) },
            expires: UnixMillis(u64::MAX),
            ext: Extensions::default(),
        };
        let project = Signed::sign(&Project::try_from(project).unwrap(), &signing);
        Self { consortium, root, signing, charter, project }
    }

    fn state(&self) -> State {
        State::new(self.consortium, name("operator"), self.root.public())
    }

    fn begin(&self) -> Vec<Act> {
        vec![
            Act::Began { party: name("operator") },
            Act::Charter(self.charter.clone()),
            Act::Project(self.project.clone()),
        ]
    }

    fn order(&self, number: u64) -> Act {
        let (release, nonce) = (release(number), Nonce(release(number).0));
        let request = BlobRef { digest: BlobDigest(wide(number)), bytes: Bytes(900) };
        let order = Order {
            consortium: self.consortium,
            party: name("operator"),
            person: name("rita"),
            nonce,
            at: AT,
            command: Command::RequestRelease { release, request },
            ext: Extensions::default(),
        };
        Act::Order(Signed::sign(&order, &self.signing))
    }

    /// The reservation at entry `at` of a journal, and its debit: what is durable before anything is computed.
    fn reserve(&self, number: u64, at: u64) -> [Act; 2] {
        let reservation = Reservation {
            release: release(number),
            kind: ReleaseKind::Aggregate,
            request: DocumentDigest(wide(number)),
            question: DocumentDigest(wide(number + 1)),
            charter: self.charter.digest(),
            project: self.project.digest(),
            account: name("patients"),
            consolidation: DocumentDigest([7; 32]),
            tables: [(name("visit"), TableVersionId([8; 32]))].into(),
            members: (0..MEMBERS).map(|member| name(&format!("member-{member}"))).collect(),
            recipients: [name("member-0")].into(),
            charge: Charge::Private { rho: Rho(1 << 60), delta: Delta(0) },
        };
        let spent = BudgetShare { rho: Rho(u128::from(number + 1) << 60), delta: Delta(0) };
        let operator = name("operator");
        let debit = Debit::of(&reservation, (self.consortium, &operator), (at, AT), (number + 1, spent));
        [Act::ReleaseReserved(Box::new(reservation)), Act::Debit(Signed::sign(&debit, &self.signing))]
    }
}

fn release(number: u64) -> ReleaseId {
    ReleaseId(u128::from(number).to_be_bytes())
}

fn wide(number: u64) -> [u8; 32] {
    let mut wide = [0; 32];
    wide[..8].copy_from_slice(&number.to_be_bytes());
    wide
}

fn written(act: Act) -> Vec<u8> {
    JournalEntry { at: AT, actor: Actor::Node, act }.to_bytes()
}

/// Reservations a second that are durable, of so many that wait at once; each waits for its own before it asks again.
fn reserves(made: &Made, waiting: usize) -> f64 {
    let dir = folder();
    let (mut journal, _) = Journal::open(&dir.path().join("journal"), &DataKey::random(), |_, _| {}).unwrap();
    let mut state = made.state();
    let begin: Vec<Vec<u8>> = made.begin().into_iter().map(written).collect();
    journal.append(&begin).unwrap();
    made.begin().into_iter().for_each(|act| state.apply(&JournalEntry { at: AT, actor: Actor::Node, act }));
    let (ask, asked): (Sender<Sender<()>>, Receiver<Sender<()>>) = channel();
    let until = Instant::now() + SPELL;
    let (mut number, began) = (0, Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..waiting {
            let ask = ask.clone();
            scope.spawn(move || {
                while Instant::now() < until {
                    let (done, durable) = channel();
                    if ask.send(done).is_err() || durable.recv().is_err() {
                        return;
                    }
                }
            });
        }
        drop(ask);
        // As the driver does: what came while the last batch was synced is the next batch.
        while let Ok(first) = asked.recv() {
            let all: Vec<Sender<()>> = std::iter::once(first).chain(asked.try_iter()).collect();
            let mut batch = Vec::new();
            for _ in &all {
                for act in made.reserve(number, state.entries) {
                    let entry = JournalEntry { at: AT, actor: Actor::Node, act };
                    state.apply(&entry);
                    batch.push(entry.to_bytes());
                }
                number += 1;
            }
            journal.append(&batch).unwrap();
            for done in all {
                let _ = done.send(());
            }
        }
    });
    number as f64 / began.elapsed().as_secs_f64()
}

/// Writes a journal of so many entries of releases.
fn write(made: &Made, dir: &Path, key: &DataKey, entries: u64) {
    let (mut journal, _) = Journal::open(dir, key, |_, _| {}).unwrap();
    journal.append(&made.begin().into_iter().map(written).collect::<Vec<_>>()).unwrap();
    let mut batch = Vec::new();
    for number in 0..entries / ENTRIES_EACH {
        batch.push(written(made.order(number)));
        let at = 3 + number * ENTRIES_EACH + 1;
        batch.extend(made.reserve(number, at).map(written));
        batch.push(written(Act::ReleaseFailed { release: release(number), fault: RunFault::Limit }));
        if batch.len() >= 4_000 {
            journal.append(&batch).unwrap();
            batch.clear();
        }
    }
    journal.append(&batch).unwrap();
}

/// As a node opens it: each entry is checked, decoded and folded.
fn opening(made: &Made, dir: &Path, key: &DataKey, entries: u64) -> (f64, f64) {
    let (mut state, began) = (made.state(), Instant::now());
    let (journal, _) = Journal::open(dir, key, |_, bytes| {
        state.apply(&JournalEntry::from_bytes(bytes).unwrap());
    })
    .unwrap();
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(journal.entries(), 3 + entries, "all of them");
    let spent = state.releases.spent(&name("patients"));
    assert_eq!(spent.rho, Rho(u128::from(entries / ENTRIES_EACH) << 60), "and the ledger is whole");
    drop(journal);
    let began = Instant::now();
    Journal::open(dir, key, |_, _| {}).unwrap();
    (seconds, began.elapsed().as_secs_f64())
}

pub(crate) fn run(settings: &Settings) -> Outcome {
    let made = Made::new();
    let quick = settings.pairs == 1;
    let (mut together, mut alone) = (Series::default(), Series::default());
    for _ in 0..settings.pairs.max(1) {
        together.push(reserves(&made, WAITING));
        alone.push(reserves(&made, 1));
    }
    let entries: u64 = if quick { 200_000 } else { 1_000_000 };
    let (dir, key) = (folder(), DataKey::random());
    let journal = dir.path().join("journal");
    write(&made, &journal, &key, entries);
    let bytes: u64 = std::fs::read_dir(&journal).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    let (mut open, mut checked) = (Series::default(), Series::default());
    for _ in 0..settings.pairs.max(1) {
        let (seconds, check) = opening(&made, &journal, &key, entries);
        open.push(seconds);
        checked.push(check);
    }
    let of = |what: String, shown: String| vec![what, shown];
    Outcome {
        title: "The ledger: durable reservations, and opening".to_owned(),
        header: vec!["what", "median (least to most)"],
        rows: vec![
            of(format!("reservations a second with their debits, {WAITING} waiting"), together.shown(0)),
            of("the same, one waiting".to_owned(), alone.shown(0)),
            of(format!("opening {entries} entries of releases, s"), open.shown(2)),
            of("of that: reading and checking the journal, s".to_owned(), checked.shown(2)),
        ],
        bars: vec![
            Bar {
                what: "reservations a second".to_owned(),
                measured: together.median(),
                bound: RESERVES_MIN,
                side: Side::AtLeast,
                unit: "",
            },
            Bar {
                what: "opening a million entries".to_owned(),
                measured: open.median() * 1e6 / entries as f64,
                bound: OPENING_SECONDS_MAX,
                side: Side::AtMost,
                unit: " s",
            },
        ],
        notes: vec![format!("The journal has {} MiB, {MEMBERS} members are told of every debit.", bytes >> 20)],
        raw: json!({"reserves": together.0, "reserves_alone": alone.0, "opening_seconds": open.0, "checking_seconds": checked.0,
            "entries": entries, "bytes": bytes}),
    }
}
