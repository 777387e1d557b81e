//! Tests of the finder.

use std::fs;
use std::path::Path;

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{ShareId, SnapshotId, SubscriptionId};
use cohortium_protocol::key::pair::KeyPair;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::acceptance::{Standing, StandingState};
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::journal_entry::{Act, Actor};
use cohortium_protocol::record::receipt::{Outcome, Receipt};
use cohortium_protocol::time::UnixMillis;

use super::*;
use crate::driver::books::{Batch, Books};

const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
const SHARE: ShareId = ShareId([0xaa; 16]);
const SNAPSHOT: SnapshotId = SnapshotId([0xbb; 32]);

fn subscription(number: u64) -> SubscriptionId {
    let mut id = [0xcc; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    // Eight digits tell them apart.
    id[..4].copy_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
    SubscriptionId(id)
}

fn standing(number: u64) -> Signed<Standing> {
    let standing = Standing {
        consortium: CONSORTIUM,
        subscription: subscription(number),
        consumer: "op".parse().unwrap(),
        sequence: 1,
        state: StandingState::Paused,
        at: UnixMillis(1),
        ext: Extensions::default(),
    };
    Signed::sign(&standing, &KeyPair::from_seed(&[2; 32]))
}

fn receipt(number: u64) -> Signed<Receipt> {
    let receipt = Receipt {
        consortium: CONSORTIUM,
        subscription: subscription(number),
        snapshot: SNAPSHOT,
        consumer: "op".parse().unwrap(),
        outcome: Outcome::Erased,
        at: UnixMillis(1),
        ext: Extensions::default(),
    };
    Signed::sign(&receipt, &KeyPair::from_seed(&[2; 32]))
}

/// The act number `number` of a life; every fourth standing is said twice.
fn act(number: u64) -> Act {
    match number % 4 {
        0 => Act::Served { subscription: subscription(number % 7), bytes: Bytes(number) },
        1 => Act::Standing(standing(number / 16)),
        2 => Act::Receipt(receipt(number)),
        _ => Act::SnapshotTaken { share: SHARE, snapshot: SNAPSHOT, index: None },
    }
}

/// A journal of so many acts.
struct Life {
    dir: tempfile::TempDir,
    books: Books,
    book: Book,
    key: DataKey,
}

impl Life {
    async fn new(entries: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (book, _) = Book::open(&dir.path().join("journal"), &DataKey::random()).unwrap();
        let mut books = Books::default();
        books.insert(CONSORTIUM, book.clone());
        let life = Self { dir, books, book, key: DataKey::random() };
        life.grow(entries, act).await;
        life
    }

    async fn grow(&self, entries: u64, act: fn(u64) -> Act) {
        let first = self.book.lock().entries();
        let entry = |number| {
            let entry = JournalEntry { at: UnixMillis(number), actor: Actor::Node, act: act(number) };
            codec::encode(&entry)
        };
        let batch = Batch { first, entries: (first..first + entries).map(entry).collect() };
        self.books.append(CONSORTIUM, batch).await.unwrap();
    }

    fn index(&self) -> PathBuf {
        self.dir.path().join("index")
    }

    fn finder_at(&self, dir: &Path) -> Finder {
        Finder::new(dir.to_owned(), self.key.clone(), CONSORTIUM, &self.book)
    }

    fn finder(&self) -> Finder {
        self.finder_at(&self.index())
    }

    /// What an index that is made at once holds.
    fn fresh(&self) -> Held {
        let dir = tempfile::tempdir().unwrap();
        let finder = self.finder_at(&dir.path().join("fresh"));
        finder.catch_up().unwrap();
        held(&finder)
    }
}

type Held = (Vec<(Vec<u8>, u64)>, Vec<Vec<u8>>, Mark);

/// Everything in it.
fn held(finder: &Finder) -> Held {
    let state = finder.lock();
    let State::Open(written) = &*state else { panic!("the index is not open") };
    let (mut documents, mut subjects) = (Vec::new(), Vec::new());
    written.documents.scan(b"", |key, seq| documents.push((key.to_vec(), seq))).unwrap();
    written.subjects.scan(b"", |key, ()| subjects.push(key.to_vec())).unwrap();
    assert_eq!(written.mark.get(MARK_KEY).unwrap().as_ref(), Some(&written.reached));
    (documents, subjects, written.reached.clone())
}

fn opened_from(finder: &Finder) -> u64 {
    finder.step(&mut finder.lock()).unwrap();
    match &*finder.lock() {
        State::Open(written) => written.reached.entries,
        State::Resting | State::Ended => panic!("the index is not open"),
    }
}

#[tokio::test]
async fn an_index_that_grew_is_the_one_that_is_made_at_once() {
    let life = Life::new(3).await;
    let finder = life.finder();
    for entries in [1, 40, 1200] {
        finder.catch_up().unwrap();
        life.grow(entries, act).await;
    }
    finder.catch_up().unwrap();
    assert_eq!(held(&finder), life.fresh());
    finder.close();
    life.grow(30, act).await;
    let finder = life.finder();
    assert_eq!(opened_from(&finder), 1244, "what was closed is kept");
    finder.catch_up().unwrap();
    assert_eq!(held(&finder), life.fresh());
}

#[tokio::test]
async fn all_that_names_a_thing_is_found_and_what_nothing_names_is_not() {
    let life = Life::new(64).await;
    let finder = life.finder();
    let all = |id: &str| finder.find(id, 0, usize::MAX);
    let with = |remainder| (0..64).filter(|number| number % 4 == remainder).collect::<Vec<u64>>();
    assert_eq!(all(&SHARE.to_string()), Ok(with(3)));
    let mut snapshot = with(2);
    snapshot.extend(with(3));
    snapshot.sort_unstable();
    assert_eq!(all("bbbbbbbbb"), Ok(snapshot.clone()));
    assert_eq!(finder.find("bbbbbbbb", 7, 3), Ok(vec![7, 10, 11]));
    assert_eq!(finder.find("bbbbbbbb", 64, 3), Ok(vec![]), "a page past the last");
    let digest = standing(1).digest().to_string();
    assert_eq!(all(&digest), Ok(vec![17]), "the first entry that holds it");
    assert_eq!(all(&digest[..11]), Ok(vec![17]));
    for id in ["bbbbbbbc", "aaaaaaaab", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbc"] {
        assert_eq!(all(id), Err(FindFault::NotFound), "{id}");
    }
    for id in ["", "bbbbbbb", "BBBBBBBB", "bbbbbbbg", "bbbbbbb\u{e9}", &"b".repeat(65)] {
        assert_eq!(all(id), Err(FindFault::NotAnId), "{id}");
    }
    life.grow(2, |number| {
        let mut id = [0xee; 16];
        id[15] = u8::try_from(number % 2).unwrap();
        Act::Served { subscription: SubscriptionId(id), bytes: Bytes(1) }
    })
    .await;
    let ids = vec!["ee".repeat(15) + "00", "ee".repeat(15) + "01"];
    assert_eq!(all("eeeeeeee"), Err(FindFault::Ambiguous { ids: ids.clone() }));
    assert_eq!(all(&ids[1]), Ok(vec![65]));
}

fn files(folder: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, each) } else { each(&path) }
    }
}

/// What is done to an index while nobody looks.
type Damage = (&'static str, fn(&Path));

#[tokio::test]
async fn after_a_kill_bent_bytes_or_a_deleted_folder_every_lookup_is_right() {
    let life = Life::new(500).await;
    let whole = life.fresh();
    let damages: [Damage; 6] = [
        ("nothing", |_| {}),
        ("the folder is deleted", |index| fs::remove_dir_all(index).unwrap()),
        ("the closing is deleted", |index| fs::remove_file(index.join("closed")).unwrap()),
        ("every 200th byte is bent", |index| {
            files(&index.join("sled"), &mut |path| {
                let mut bytes = fs::read(path).unwrap();
                bytes.iter_mut().step_by(200).for_each(|byte| *byte ^= 0x10);
                fs::write(path, bytes).unwrap();
            });
        }),
        ("one byte in the middle is bent", |index| {
            let path = index.join("sled").join("db");
            let mut bytes = fs::read(&path).unwrap();
            let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            bytes[written / 2] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("the end is cut off", |index| {
            let path = index.join("sled").join("db");
            let bytes = fs::read(&path).unwrap();
            let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            fs::write(path, &bytes[..written * 2 / 3]).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let finder = life.finder();
        finder.catch_up().unwrap();
        finder.close();
        assert_eq!(finder.find("aaaaaaaa", 0, 1), Err(FindFault::Unavailable), "a closed index finds nothing");
        damage(&life.index());
        let finder = life.finder();
        assert_eq!(finder.find("aaaaaaaa", 0, 2), Ok(vec![3, 7]), "{what}");
        assert_eq!(held(&finder), whole, "{what}");
        // Killed: dropped without being closed.
        drop(finder);
        let finder = life.finder();
        assert_eq!(finder.find(&standing(1).digest().to_string(), 0, 9), Ok(vec![17]), "{what}, then a kill");
        assert_eq!(held(&finder), whole, "{what}, then a kill");
        finder.close();
    }
}

#[tokio::test]
async fn an_index_that_does_not_hold_what_its_mark_says_is_made_again() {
    let life = Life::new(100).await;
    let whole = life.fresh();
    let lose: [fn(&Written); 3] = [
        |written| written.documents.remove(standing(1).digest().as_bytes()).unwrap(),
        |written| written.subjects.remove(&key(&SHARE.into(), 3)).unwrap(),
        |written| written.mark.remove(MARK_KEY).unwrap(),
    ];
    for lose in lose {
        let finder = life.finder();
        finder.catch_up().unwrap();
        if let State::Open(written) = &*finder.lock() {
            lose(written);
        }
        finder.close();
        let finder = life.finder();
        assert_eq!(opened_from(&finder), 0);
        finder.catch_up().unwrap();
        assert_eq!(held(&finder), whole);
        finder.close();
    }
}

#[tokio::test]
async fn an_index_of_another_journal_is_made_again() {
    let (life, shorter) = (Life::new(100).await, Life::new(99).await);
    let other = Life::new(0).await;
    other.grow(100, |number| Act::Served { subscription: subscription(number), bytes: Bytes(1) }).await;
    for restored in [&shorter, &other] {
        let finder = life.finder();
        finder.catch_up().unwrap();
        finder.close();
        let finder = Finder::new(life.index(), life.key.clone(), CONSORTIUM, &restored.book);
        finder.catch_up().unwrap();
        assert_eq!(held(&finder), restored.fresh());
        finder.close();
    }
}

#[tokio::test]
async fn the_node_goes_on_without_an_index_that_cannot_be_made() {
    let life = Life::new(10).await;
    fs::write(life.index(), b"a file").unwrap();
    let finder = life.finder();
    assert_eq!(finder.find("aaaaaaaa", 0, 1), Err(FindFault::Unavailable));
    finder.clone().follow().await;
    life.grow(10, act).await;
    finder.close();
    fs::remove_file(life.index()).unwrap();
    assert_eq!(finder.find("aaaaaaaa", 0, 1), Err(FindFault::Unavailable), "until the next start");
    assert_eq!(life.finder().find("aaaaaaaa", 0, 1), Ok(vec![3]));
}

#[tokio::test]
async fn what_becomes_durable_is_written_without_a_lookup() {
    let life = Life::new(1).await;
    let finder = life.finder();
    let following = tokio::spawn(finder.clone().follow());
    life.grow(20, act).await;
    let reached = || match &*finder.lock() {
        State::Open(written) => written.reached.entries,
        State::Resting | State::Ended => 0,
    };
    for _ in 0..200 {
        if reached() == 21 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(reached(), 21);
    following.abort();
}

#[test]
fn an_entry_is_about_every_id_that_it_names() {
    use cohortium_protocol::record::order::{Command, Order};
    let digest = DocumentDigest([5; 32]);
    let order = |command| {
        let order = Order {
            consortium: CONSORTIUM,
            party: "north".parse().unwrap(),
            person: "nora".parse().unwrap(),
            nonce: cohortium_protocol::ident::Nonce([1; 16]),
            at: UnixMillis(1),
            command,
            ext: Extensions::default(),
        };
        Act::Order(Signed::sign(&order, &KeyPair::from_seed(&[2; 32])))
    };
    let one = subscription(1);
    let cases: Vec<(Act, Vec<Subject>)> = vec![
        (Act::Began { party: "north".parse().unwrap() }, vec![]),
        (Act::DocumentKnown { document: DocumentDigest([2; 32]) }, vec![]),
        (Act::Standing(standing(1)), vec![one.into()]),
        (Act::Receipt(receipt(1)), vec![one.into(), SNAPSHOT.into()]),
        (Act::Erased { subscription: one, snapshot: SNAPSHOT }, vec![one.into(), SNAPSHOT.into()]),
        (Act::SnapshotTaken { share: SHARE, snapshot: SNAPSHOT, index: None }, vec![SHARE.into(), SNAPSHOT.into()]),
        (order(Command::Stop), vec![]),
        (order(Command::SignCharter(digest)), vec![digest.into()]),
        (order(Command::TakeSnapshot { share: SHARE }), vec![SHARE.into()]),
        (order(Command::RollBack { subscription: one, snapshot: SNAPSHOT }), vec![one.into(), SNAPSHOT.into()]),
        (order(Command::Prune { subscription: one, keep: 1 }), vec![one.into()]),
    ];
    for (act, expected) in cases {
        assert_eq!(subjects(&act), expected.into_iter().collect::<BTreeSet<_>>(), "{act:?}");
        let signed = matches!(act, Act::Standing(_) | Act::Receipt(_) | Act::Order(_));
        assert_eq!(document(&act).is_some(), signed, "{act:?}");
    }
}
