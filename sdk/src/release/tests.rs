//! A release with everything around it, made by hand; then each byte of each file flipped, and each thing that could be another.

use std::collections::{BTreeMap, BTreeSet};

use cohortium_epsilon::{Cost, stated};
use cohortium_protocol::digest::{Sha256, blob_digest};
use cohortium_protocol::ident::{ConsortiumId, Nonce, ReleaseId};
use cohortium_protocol::key::pair::{KeyPair, SealingKey};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::log::checkpoint::{cosigned, origin, signed};
use cohortium_protocol::log::leaf_entry;
use cohortium_protocol::log::proof::InclusionBundle;
use cohortium_protocol::log::tree::{TreeHead, leaf_hash, node_hash};
use cohortium_protocol::quantity::{AnonymityK, Bytes, ContributionBound, Delta, Millionths, Rho, Rows};
use cohortium_protocol::record::charter::{
    AccountTerms, Charter, CharterFields, CharterKind, LandedRows, Party, PartyKind, ReleasePolicy, Terms,
};
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::hierarchy::HierarchyForm;
use cohortium_protocol::record::journal_entry::{Act, Actor, JournalEntry};
use cohortium_protocol::record::node_record::{NodeRecord, NodeRecordFields};
use cohortium_protocol::record::project::{BudgetShare, Project, ProjectFields, ReleaseKind};
use cohortium_protocol::record::release::{
    AggregateDone, BodyFile, Done, FileDigest, MicrodataMeasures, Release, ReleaseFields,
};
use cohortium_protocol::record::request::{
    AggregateTerms, Asked, MicrodataTerms, PatientIds, Recoding, ReleaseColumn, ReleaseRole, Request, RequestFields,
};
use cohortium_protocol::record::reservation::{Charge, Reservation};
use cohortium_protocol::table_version::TableVersionId;
use cohortium_protocol::time::{Seconds, UnixMillis};
use cohortium_protocol::wire::codec::{self, Blob};

use super::*;

const BODY: &str = "body/part-000.parquet";

/// A folder in memory.
#[derive(Clone)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl FolderRead for Memory {
    fn paths(&self) -> Result<Vec<String>, (String, ReadFault)> {
        Ok(self.0.keys().cloned().collect())
    }

    fn pieces(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), ReadFault> {
        self.0.get(path).ok_or(ReadFault::Missing)?.chunks(100).for_each(each);
        Ok(())
    }
}

fn pair(seed: u8) -> KeyPair {
    KeyPair::from_seed(&[seed; 32])
}

/// What a test bends before anything is signed.
struct Bend {
    release: Box<dyn Fn(&mut ReleaseFields)>,
    project: Box<dyn Fn(&mut ProjectFields)>,
    charter: Box<dyn Fn(&mut CharterFields)>,
    reserved: Box<dyn Fn(&mut Reservation)>,
    /// When the statement was signed.
    at: u64,
    /// The acts of both entries.
    acts: fn(&mut [Act; 2]),
}

impl Default for Bend {
    fn default() -> Self {
        Self {
            release: Box::new(|_| ()),
            project: Box::new(|_| ()),
            charter: Box::new(|_| ()),
            reserved: Box::new(|_| ()),
            at: 2_000,
            acts: |_| (),
        }
    }
}

/// The charter chain: the operator alone, then with one member and an account.
fn charters(bend: &Bend) -> (ConsortiumId, Vec<Signed<Charter>>) {
    let party =
        |kind, seed: u8| Party { kind, title: "A title".parse().unwrap(), root: pair(seed).public(), succeeds: None };
    let mut fields = CharterFields {
        consortium: None,
        version: 1,
        previous: None,
        title: "Example".parse().unwrap(),
        kind: CharterKind::Rehearsal,
        at: UnixMillis(1),
        roster: BTreeMap::from([("op".parse().unwrap(), party(PartyKind::Operator, 1))]),
        threshold: 1,
        schema: None,
        policy: ReleasePolicy { anonymity_k_min: AnonymityK(11), small_cell_min: 11 },
        accounts: BTreeMap::new(),
        terms: Terms { landed_rows: LandedRows::Exclude, share_validity_max: Seconds(1_000), contract: None },
        linkage: None,
        ext: Extensions::default(),
    };
    let first = Signed::sign(&Charter::try_from(fields.clone()).unwrap(), &pair(1));
    let consortium = ConsortiumId(first.digest().0);
    (fields.consortium, fields.version, fields.previous) = (Some(consortium), 2, Some(first.digest()));
    fields.roster.insert("north".parse().unwrap(), party(PartyKind::Member, 2));
    let account = AccountTerms {
        population: "patients".parse().unwrap(),
        rho: Rho(0),
        delta: Delta(0),
        tokens_per_person_max: ContributionBound(1),
        patients_max: 1_000,
    };
    fields.accounts.insert("patients".parse().unwrap(), account);
    (bend.charter)(&mut fields);
    let mut second = Signed::sign(&Charter::try_from(fields).unwrap(), &pair(1));
    second.add_signature(&pair(2));
    (consortium, vec![first, second])
}

fn record_fields(consortium: ConsortiumId) -> NodeRecordFields {
    NodeRecordFields {
        consortium,
        party: "op".parse().unwrap(),
        root: pair(1).public(),
        sequence: 1,
        tls: pair(103).public(),
        signing: pair(3).public(),
        sealing: SealingKey([4; 32]),
        not_before: UnixMillis(1_000),
        not_after: UnixMillis(100_000),
        ext: Extensions::default(),
    }
}

fn record(consortium: ConsortiumId, party: &str, root: u8, signing: u8) -> Signed<NodeRecord> {
    let fields = NodeRecordFields {
        party: party.parse().unwrap(),
        root: pair(root).public(),
        tls: pair(signing + 100).public(),
        signing: pair(signing).public(),
        ..record_fields(consortium)
    };
    Signed::sign(&NodeRecord::try_from(fields).unwrap(), &pair(root))
}

fn request(consortium: ConsortiumId) -> Request {
    let text = |text: &str| text.parse().unwrap();
    let hierarchy = HierarchyForm::Table(vec![vec![text("a"), text("x")], vec![text("b"), text("x")]]);
    let role = ReleaseRole::Quasi { hierarchy, missing: None };
    let fields = RequestFields {
        consortium,
        project: "stays".parse().unwrap(),
        salt: Nonce([5; 16]),
        question: "SELECT 1".to_owned(),
        patient: "patient".parse().unwrap(),
        member: "site".parse().unwrap(),
        asked: Asked::Microdata(MicrodataTerms {
            k: AnonymityK(11),
            recoding: Recoding::Resistant,
            columns: vec![ReleaseColumn { name: "q".parse().unwrap(), role }],
            ids: PatientIds::None,
        }),
        recipients: BTreeSet::from(["north".parse().unwrap()]),
        ext: Extensions::default(),
    };
    fields.try_into().unwrap()
}

fn project(consortium: ConsortiumId, bend: &Bend) -> Signed<Project> {
    let mut fields = ProjectFields {
        consortium,
        operator: "op".parse().unwrap(),
        name: "stays".parse().unwrap(),
        version: 1,
        purpose: "A purpose".parse().unwrap(),
        permit: "A permit".parse().unwrap(),
        account: "patients".parse().unwrap(),
        people: BTreeSet::from(["rita".parse().unwrap()]),
        kinds: BTreeSet::from([ReleaseKind::Microdata]),
        tables: BTreeMap::from([("person".parse().unwrap(), BTreeSet::from(["person_id".parse().unwrap()]))]),
        recipients: BTreeSet::from(["north".parse().unwrap()]),
        budget: BudgetShare { rho: Rho(0), delta: Delta(0) },
        expires: UnixMillis(50_000),
        ext: Extensions::default(),
    };
    (bend.project)(&mut fields);
    Signed::sign(&Project::try_from(fields).unwrap(), &pair(3))
}

/// The statement, and what its reservation says.
fn statement(
    consortium: ConsortiumId,
    charter: &Signed<Charter>,
    project: &Signed<Project>,
    bend: &Bend,
) -> (Release, Reservation) {
    let body = b"a body";
    let mut sha256 = Sha256::new();
    sha256.push(body);
    let mut fields = ReleaseFields {
        consortium,
        operator: "op".parse().unwrap(),
        release: ReleaseId([7; 16]),
        charter: charter.digest(),
        project: project.digest(),
        account: "patients".parse().unwrap(),
        request: request(consortium),
        reserved: 0,
        consolidation: blob_document(1),
        tables: BTreeMap::from([("person".parse().unwrap(), TableVersionId([8; 32]))]),
        inputs: BTreeMap::new(),
        excluded: BTreeSet::new(),
        done: Done::Microdata {
            k: AnonymityK(11),
            measures: MicrodataMeasures {
                rows: Rows(20),
                suppressed: Rows(0),
                classes: 1,
                loss: Millionths(1),
                columns: BTreeMap::new(),
                class_size: Millionths(1),
                discernibility: 1,
                entropy: Millionths(1),
            },
        },
        attacks: Vec::new(),
        together_with: BTreeSet::new(),
        not_covered: Vec::new(),
        body: vec![BodyFile {
            path: BODY.parse().unwrap(),
            bytes: Bytes(body.len() as u64),
            digest: blob_digest(body),
            sha256: FileDigest(sha256.finish()),
            rows: Rows(20),
        }],
        software: "cohortium".parse().unwrap(),
        at: UnixMillis(1_500),
        ext: Extensions::default(),
    };
    (bend.release)(&mut fields);
    let release = Release::try_from(fields).unwrap();
    let mut reserved = Reservation {
        release: release.release,
        kind: ReleaseKind::Microdata,
        request: Signed::unsigned(&release.request).digest(),
        question: blob_document(2),
        charter: release.charter,
        project: release.project,
        account: release.account.clone(),
        consolidation: release.consolidation,
        tables: release.tables.clone(),
        members: BTreeSet::from(["north".parse().unwrap()]),
        recipients: release.request.recipients.clone(),
        charge: Charge::Uncovered,
    };
    (bend.reserved)(&mut reserved);
    (release, reserved)
}

fn blob_document(seed: u8) -> cohortium_protocol::digest::DocumentDigest {
    cohortium_protocol::digest::DocumentDigest([seed; 32])
}

fn folder(bend: &Bend) -> (ConsortiumId, Memory) {
    let (consortium, charters) = charters(bend);
    let project = project(consortium, bend);
    let (release, reserved) = statement(consortium, &charters[1], &project, bend);
    let signed_release = Signed::sign(&release, &pair(3));
    let entry = |at, act| codec::encode(&JournalEntry { at: UnixMillis(at), actor: Actor::Node, act });
    let mut acts = [Act::ReleaseReserved(Box::new(reserved)), Act::Released(signed_release.clone())];
    (bend.acts)(&mut acts);
    let [first, second] = acts;
    let entries = [entry(1_400, first), entry(bend.at, second)];
    let salts = [[1; 32], [2; 32]];
    let leaves = [0, 1].map(|at: usize| leaf_entry(&salts[at], &entries[at]));
    let hashes = [0, 1].map(|at: usize| leaf_hash(&leaves[at].0));
    let head = TreeHead { size: 2, root: node_hash(&hashes[0], &hashes[1]) };
    let name = origin(&consortium, &"op".parse().unwrap());
    let north = origin(&consortium, &"north".parse().unwrap());
    let checkpoint = signed(&name, head, &pair(3)).unwrap();
    let checkpoint = cosigned(&checkpoint, &north, &pair(5), UnixMillis(3_000)).unwrap();
    let proof = |at: usize| {
        let (path, checkpoint) = (vec![hashes[1 - at]], checkpoint.clone());
        InclusionBundle { origin: name.clone(), index: at as u64, leaf: leaves[at], path, checkpoint }.encode()
    };
    let journal = |at: usize| codec::encode(&JournalFile { salt: salts[at], entry: Blob(entries[at].clone()) });
    let files = [
        (STATEMENT.to_owned(), signed_release.to_bytes()),
        (STATEMENT_JSON.to_owned(), statement_json(&release)),
        (PROJECT.to_owned(), project.to_bytes()),
        (numbered(CHARTER_FOLDER, 1), charters[0].to_bytes()),
        (numbered(CHARTER_FOLDER, 2), charters[1].to_bytes()),
        (numbered(OPERATOR_FOLDER, 1), record(consortium, "op", 1, 3).to_bytes()),
        (format!("{COSIGNER_FOLDER}/north{ENDING}"), record(consortium, "north", 2, 5).to_bytes()),
        (RESERVED.to_owned(), journal(0)),
        (RESERVED_PROOF.to_owned(), proof(0)),
        (SIGNED.to_owned(), journal(1)),
        (SIGNED_PROOF.to_owned(), proof(1)),
        (BODY.to_owned(), b"a body".to_vec()),
    ];
    (consortium, Memory(files.into()))
}

fn wrong(bend: &Bend) -> (String, Wrong) {
    let (consortium, folder) = folder(bend);
    let fault = verify(&folder, Some(consortium)).unwrap_err();
    (fault.path, fault.wrong)
}

/// What the reader in Python says of the folder of a bend: the file and the word of its fault.
fn reference(bend: &Bend) -> (String, String) {
    let (consortium, folder) = folder(bend);
    reference_of(consortium, &folder)
}

fn reference_of(consortium: ConsortiumId, folder: &Memory) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in &folder.0 {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/reference/verify_release.py");
    let mut command = std::process::Command::new("python3");
    let output = command.arg(script).arg(dir.path()).args(["--anchor", &consortium.to_string()]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    (text("path"), text("fault"))
}

// FOLD-2
#[test]
fn a_folder_stands_by_itself_and_says_whether_it_is_anchored() {
    let (consortium, folder) = folder(&Bend::default());
    let verified = verify(&folder, Some(consortium)).unwrap();
    assert_eq!((verified.anchored, verified.charter_version, verified.rows), (true, 2, Rows(20)));
    assert_eq!(verified.cosigned_by, BTreeSet::from(["north".parse().unwrap()]));
    assert_eq!(verified.signed_at, UnixMillis(2_000));
    assert!(!verify(&folder, None).unwrap().anchored);
    let other = verify(&folder, Some(ConsortiumId([0; 32]))).unwrap_err();
    assert_eq!((other.path, other.wrong), (numbered(CHARTER_FOLDER, 1), Wrong::Anchor));
}

// FOLD-3
#[test]
fn each_byte_that_is_flipped_is_named_by_its_file() {
    let (consortium, good) = folder(&Bend::default());
    for anchor in [Some(consortium), None] {
        for (path, bytes) in &good.0 {
            // What is read as people's words is compared whole: a few places of it do.
            let step = if path == STATEMENT_JSON { 97 } else { 1 };
            for place in (0..bytes.len()).step_by(step) {
                let mut bent = good.clone();
                bent.0.get_mut(path).unwrap()[place] ^= 1 << (place % 8);
                let fault = verify(&bent, anchor).expect_err(path);
                assert_eq!(&fault.path, path, "byte {place}, {}", fault.wrong);
            }
        }
    }
}

// FOLD-1
#[test]
fn a_file_too_few_or_too_many_is_named() {
    let (consortium, good) = folder(&Bend::default());
    for path in good.0.keys() {
        let mut bent = good.clone();
        bent.0.remove(path);
        let fault = verify(&bent, Some(consortium)).expect_err(path);
        // Without its last charter or a cosigner's record another file is what is wrong.
        let explained = [numbered(CHARTER_FOLDER, 2), format!("{COSIGNER_FOLDER}/north{ENDING}")];
        assert!(fault.path == *path || explained.contains(path), "{path}: {fault}");
    }
    let mut more = good.clone();
    more.0.insert("body/extra".to_owned(), Vec::new());
    let fault = verify(&more, Some(consortium)).unwrap_err();
    assert_eq!((fault.path.as_str(), fault.wrong), ("body/extra", Wrong::Stranger));
    let mut strange = good.clone();
    let mut statement = Signed::<Release>::from_bytes(&strange.0[STATEMENT]).unwrap();
    statement.add_signature(&pair(9));
    strange.0.insert(STATEMENT.to_owned(), statement.to_bytes());
    let fault = verify(&strange, Some(consortium)).unwrap_err();
    assert_eq!((fault.path.as_str(), fault.wrong), (STATEMENT, Wrong::StrangeSignature));
    assert_eq!(reference_of(consortium, &strange), (STATEMENT.to_owned(), "strange-signature".to_owned()));
    // Signed by the right root, of another consortium or of another party.
    let other =
        NodeRecord::try_from(NodeRecordFields { consortium: ConsortiumId([9; 32]), ..record_fields(consortium) });
    let north = NodeRecord::try_from(NodeRecordFields { party: "north".parse().unwrap(), ..record_fields(consortium) });
    for (record, wrong) in [(other, Wrong::Consortium), (north, Wrong::Party)] {
        let mut bent = good.clone();
        bent.0.insert(numbered(OPERATOR_FOLDER, 1), Signed::sign(&record.unwrap(), &pair(1)).to_bytes());
        let fault = verify(&bent, Some(consortium)).unwrap_err();
        assert_eq!(reference_of(consortium, &bent), (fault.path.clone(), fault.wrong.name().to_owned()));
        assert_eq!((fault.path, fault.wrong), (numbered(OPERATOR_FOLDER, 1), wrong));
    }
}

fn for_the_operator(asked: &Request) -> Request {
    let recipients = BTreeSet::from(["op".parse().unwrap()]);
    RequestFields { recipients, ..RequestFields::from(asked.clone()) }.try_into().unwrap()
}

/// The same statement, signed by one more key.
fn another_statement(acts: &mut [Act; 2]) {
    if let Act::Released(signed) = &mut acts[1] {
        signed.add_signature(&pair(9));
    }
}

fn of_another_consortium(fields: &mut ReleaseFields) {
    let other = ConsortiumId([9; 32]);
    (fields.consortium, fields.request) = (other, request(other));
}

// FOLD-2
#[test]
fn what_is_signed_and_does_not_fit_is_refused() {
    let release = |bend: fn(&mut ReleaseFields)| Bend { release: Box::new(bend), ..Bend::default() };
    let project = |bend: fn(&mut ProjectFields)| Bend { project: Box::new(bend), ..Bend::default() };
    let reserved = |bend: fn(&mut Reservation)| Bend { reserved: Box::new(bend), ..Bend::default() };
    let charter = |bend: fn(&mut CharterFields)| Bend { charter: Box::new(bend), ..Bend::default() };
    let acts = |bend: fn(&mut [Act; 2])| Bend { acts: bend, ..Bend::default() };
    let cases: Vec<(Bend, &str, Wrong)> = vec![
        (release(|f| f.operator = "north".parse().unwrap()), STATEMENT, Wrong::Party),
        (release(|f| f.charter = blob_document(9)), STATEMENT, Wrong::Charter),
        (release(|f| f.project = blob_document(9)), PROJECT, Wrong::Project),
        (release(|f| f.account = "other".parse().unwrap()), PROJECT, Wrong::Project),
        (release(|f| f.body[0].sha256 = FileDigest([0; 32])), BODY, Wrong::Body),
        (release(|f| f.request = for_the_operator(&f.request)), STATEMENT, Wrong::Recipient),
        (release(of_another_consortium), STATEMENT, Wrong::Consortium),
        (project(|f| f.kinds = BTreeSet::from([ReleaseKind::Counts])), STATEMENT, Wrong::NotOfProject),
        (project(|f| f.recipients.clear()), STATEMENT, Wrong::NotOfProject),
        (project(|f| f.expires = UnixMillis(1_400)), RESERVED, Wrong::EntryDiffers),
        (charter(|f| f.policy.anonymity_k_min = AnonymityK(12)), STATEMENT, Wrong::Floor),
        (charter(|f| f.accounts.clear()), STATEMENT, Wrong::NotOfProject),
        (reserved(|r| r.release = ReleaseId([0; 16])), RESERVED, Wrong::EntryDiffers),
        (reserved(|r| r.request = blob_document(9)), RESERVED, Wrong::EntryDiffers),
        (reserved(|r| r.consolidation = blob_document(9)), RESERVED, Wrong::EntryDiffers),
        (reserved(|r| r.recipients.clear()), RESERVED, Wrong::EntryDiffers),
        (reserved(|r| r.kind = ReleaseKind::Counts), RESERVED, Wrong::EntryDiffers),
        (reserved(|r| r.charter = blob_document(9)), RESERVED, Wrong::EntryDiffers),
        (reserved(|r| r.project = blob_document(9)), RESERVED, Wrong::EntryDiffers),
        (reserved(|r| r.account = "other".parse().unwrap()), RESERVED, Wrong::EntryDiffers),
        (reserved(|r| r.tables.clear()), RESERVED, Wrong::EntryDiffers),
        (reserved(|r| r.charge = Charge::Private { rho: Rho(1), delta: Delta(0) }), RESERVED, Wrong::EntryDiffers),
        (acts(|acts| acts[0] = acts[1].clone()), RESERVED, Wrong::Entry),
        (acts(|acts| acts[1] = acts[0].clone()), SIGNED, Wrong::Entry),
        (acts(another_statement), SIGNED, Wrong::EntryDiffers),
        (Bend { at: 100_000, ..Bend::default() }, STATEMENT, Wrong::Expired),
    ];
    for (number, (bend, path, expected)) in cases.into_iter().enumerate() {
        let word = expected.name().to_owned();
        assert_eq!(wrong(&bend), (path.to_owned(), expected), "case {number}");
        assert_eq!(reference(&bend), (path.to_owned(), word), "case {number}");
    }
    let other_entry = release(|f| f.reserved = 1);
    assert_eq!(wrong(&other_entry).0, RESERVED_PROOF);
    assert_eq!(reference(&other_entry), (RESERVED_PROOF.to_owned(), "proof".to_owned()));
    // The one thing that the reader in Python leaves out.
    let other_blake3 = release(|f| f.body[0].digest = blob_digest(b"x"));
    assert_eq!(wrong(&other_blake3), (BODY.to_owned(), Wrong::Body));
    assert_eq!(reference(&other_blake3).1, "");
}

/// An answer with differential privacy in place of the rows; its person is counted at two members.
fn private(rho: Rho, delta: Delta, bend: fn(&mut AggregateDone)) -> Bend {
    let at = AccountTerms {
        population: "patients".parse().unwrap(),
        rho: Rho(0),
        delta: Delta(0),
        tokens_per_person_max: ContributionBound(2),
        patients_max: 1_000,
    }
    .delta_shown();
    let of = move |rho| stated(Cost { rho, delta }.epsilon(at));
    Bend {
        charter: Box::new(|fields| {
            fields.accounts.get_mut(&"patients".parse().unwrap()).unwrap().tokens_per_person_max = ContributionBound(2);
        }),
        project: Box::new(|fields| fields.kinds = BTreeSet::from([ReleaseKind::Aggregate])),
        release: Box::new(move |fields| {
            let asked = Asked::Aggregate(AggregateTerms { declared: String::new(), rho, delta });
            let request = RequestFields { asked, ..RequestFields::from(fields.request.clone()) };
            fields.request = request.try_into().unwrap();
            let mut done = AggregateDone {
                rho,
                delta,
                epsilon: of(rho),
                epsilon_person: of(Rho(4 * rho.0)),
                tokens: ContributionBound(2),
                at,
                noise: Vec::new(),
                threshold: None,
                origins: Vec::new(),
                uncovered: BTreeSet::new(),
            };
            bend(&mut done);
            fields.done = Done::Aggregate(Box::new(done));
        }),
        reserved: Box::new(move |reserved| {
            reserved.kind = ReleaseKind::Aggregate;
            reserved.charge = Charge::Private { rho, delta };
        }),
        ..Bend::default()
    }
}

// FOLD-6
#[test]
fn an_epsilon_that_is_too_small_for_its_rho_and_delta_is_named() {
    let (rho, delta) = (Rho(1 << 76), Delta(1 << 70));
    let (consortium, good) = folder(&private(rho, delta, |_| ()));
    assert!(verify(&good, Some(consortium)).is_ok());
    // Who states more than it must is believed: a threshold costs a person more than the square of its tokens.
    let (consortium, more) = folder(&private(rho, delta, |done| done.epsilon_person.0 *= 3));
    assert!(verify(&more, Some(consortium)).is_ok());
    assert_eq!(reference_of(consortium, &more).1, "");
    let of = |bend: fn(&mut AggregateDone)| {
        let bend = private(rho, delta, bend);
        let (path, fault) = wrong(&bend);
        assert_eq!(reference(&bend), (path.clone(), fault.name().to_owned()));
        (path, fault)
    };
    let (path, fault) = of(|done| done.epsilon.0 -= 10);
    assert!(path == STATEMENT && matches!(fault, Wrong::EpsilonOfToken(_)), "{fault}");
    assert!(fault.to_string().starts_with("states an epsilon of a token below 1.2723"), "{fault}");
    // As if a person were at one member alone.
    assert!(matches!(of(|done| done.epsilon_person = done.epsilon).1, Wrong::EpsilonOfPerson(_)));
    assert_eq!(of(|done| done.tokens = ContributionBound(1)).1, Wrong::Account);
    assert_eq!(of(|done| done.at = Delta(1 << 99)).1, Wrong::Account);
    // A delta above the one that epsilon is stated at is bounded by none, and by nothing may it be said to be.
    let beyond = private(rho, Delta(1 << 99), |done| done.epsilon = Millionths(5));
    assert_eq!(reference(&beyond).1, "epsilon-of-token");
    assert_eq!(wrong(&beyond), (STATEMENT.to_owned(), Wrong::EpsilonOfToken(Millionths(u64::MAX))));
}
