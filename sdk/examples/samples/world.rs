//! What stands around the made-up releases: a consortium of five hospitals, its charters and keys, a project, a log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::str::FromStr;

use cohortium_epsilon::{Cost, stated};
use cohortium_protocol::digest::{DocumentDigest, Sha256, blob_digest};
use cohortium_protocol::ident::{ConsortiumId, Name, Nonce, ReleaseId, ShareId, SnapshotId};
use cohortium_protocol::key::pair::{KeyPair, PublicKey, SealingKey};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::log::LeafEntry;
use cohortium_protocol::log::checkpoint::{cosigned, origin, signed};
use cohortium_protocol::log::edge::{CHECKPOINT_PATH, Edge};
use cohortium_protocol::log::fault::ReadFault;
use cohortium_protocol::log::leaf_entry;
use cohortium_protocol::log::proof::{InclusionBundle, TreeReader};
use cohortium_protocol::log::tile::TileRead;
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
    AggregateDone, AttackKind, AttackRun, BodyFile, Done, FileDigest, MicrodataMeasures, NoiseKind, NoiseLine, Release,
    ReleaseFields, ReleaseInput,
};
use cohortium_protocol::record::request::{
    AggregateTerms, Asked, CountRounding, CountTerms, Diversity, MicrodataTerms, PatientIds, Recoding, ReleaseColumn,
    ReleaseRole, Request, RequestFields,
};
use cohortium_protocol::record::reservation::Reservation;
use cohortium_protocol::rule::review::charge_of;
use cohortium_protocol::table_version::TableVersionId;
use cohortium_protocol::time::{Seconds, UnixMillis};
use cohortium_protocol::wire::codec::{self, Blob};
use cohortium_sdk::release::{
    CHARTER_FOLDER, COSIGNER_FOLDER, ENDING, JournalFile, OPERATOR_FOLDER, PROJECT, RESERVED, RESERVED_PROOF, SIGNED,
    SIGNED_PROOF, STATEMENT, STATEMENT_JSON, numbered, statement_json,
};

use crate::bodies::{self, AGES, Body, FLOOR, HALF_WIDTHS, SITES};

/// 2026-11-02T08:00:00Z.
const BEGAN: u64 = 1_793_606_400_000;
const DAY: u64 = 24 * 3600 * 1000;
/// Entries of the journal before the releases.
const BEFORE: u64 = 300;
const ACCOUNT: &str = "inpatients";
const TABLES: [&str; 2] = ["person", "visit_occurrence"];

/// Files by their paths.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Everything that is made up.
pub(crate) struct Sample {
    pub(crate) consortium: ConsortiumId,
    pub(crate) releases: BTreeMap<&'static str, Files>,
    pub(crate) log: Files,
    pub(crate) log_origin: String,
    pub(crate) log_key: PublicKey,
}

fn known<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("names and texts of this file are ones")
}

/// The key of a number: who can read this file can sign as everybody in it.
fn pair(seed: u8) -> KeyPair {
    KeyPair::from_seed(&[seed; 32])
}

/// The operator's keys: root 1 and signing 2. The hospital at a place has roots from 10 and signing keys from 20 on.
const ROOT: u8 = 1;
const SIGNING: u8 = 2;

fn members() -> impl Iterator<Item = (Name, u8)> {
    SITES.iter().zip(10..).map(|((name, _, _), seed)| (known(name), seed))
}

fn account() -> AccountTerms {
    AccountTerms {
        population: known("patients of the members, from 2024 on"),
        rho: Rho(1 << 80),
        delta: Delta(1 << 80),
        tokens_per_person_max: ContributionBound(2),
        patients_max: 1_000_000,
    }
}

/// The charter chain: the operator alone; then with all hospitals, an account, and the signatures of all.
fn charters() -> Vec<Signed<Charter>> {
    let party =
        |kind, seed: u8, title: &str| Party { kind, title: known(title), root: pair(seed).public(), succeeds: None };
    let mut fields = CharterFields {
        consortium: None,
        version: 1,
        previous: None,
        title: known("Five made-up hospitals"),
        kind: CharterKind::Rehearsal,
        at: UnixMillis(BEGAN),
        roster: BTreeMap::from([(known("operator"), party(PartyKind::Operator, ROOT, "The operator"))]),
        threshold: 3,
        schema: None,
        policy: ReleasePolicy { anonymity_k_min: AnonymityK(11), small_cell_min: 11 },
        accounts: BTreeMap::new(),
        terms: Terms { landed_rows: LandedRows::Exclude, share_validity_max: Seconds(90 * 24 * 3600), contract: None },
        linkage: None,
        ext: Extensions::default(),
    };
    let charter = |fields: CharterFields| Charter::try_from(fields).expect("a charter that fits together");
    let first = Signed::sign(&charter(fields.clone()), &pair(ROOT));
    fields.consortium = Some(ConsortiumId(first.digest().0));
    (fields.version, fields.previous) = (2, Some(first.digest()));
    for (name, seed) in members() {
        fields.roster.insert(name, party(PartyKind::Member, seed, "A hospital"));
    }
    fields.accounts.insert(known(ACCOUNT), account());
    let mut second = Signed::sign(&charter(fields), &pair(ROOT));
    members().for_each(|(_, seed)| second.add_signature(&pair(seed)));
    vec![first, second]
}

fn record(consortium: ConsortiumId, party: &Name, root: u8, signing: u8) -> Signed<NodeRecord> {
    let fields = NodeRecordFields {
        consortium,
        party: party.clone(),
        root: pair(root).public(),
        sequence: 1,
        tls: pair(signing + 100).public(),
        signing: pair(signing).public(),
        sealing: SealingKey([4; 32]),
        not_before: UnixMillis(BEGAN),
        not_after: UnixMillis(BEGAN + 30 * DAY),
        ext: Extensions::default(),
    };
    Signed::sign(&NodeRecord::try_from(fields).expect("a record of 30 days with three keys"), &pair(root))
}

fn project(consortium: ConsortiumId) -> Signed<Project> {
    let columns = ["person_id", "gender_concept_id", "year_of_birth", "visit_start_date", "visit_end_date"];
    let fields = ProjectFields {
        consortium,
        operator: known("operator"),
        name: known("stays"),
        version: 1,
        purpose: known("Length of stay and readmission within 30 days"),
        permit: known("made up: no permit is needed"),
        account: known(ACCOUNT),
        people: BTreeSet::from([known("rita")]),
        kinds: BTreeSet::from([ReleaseKind::Microdata, ReleaseKind::Counts, ReleaseKind::Aggregate]),
        tables: TABLES.map(|table| (known(table), columns.map(known).into())).into(),
        recipients: members().map(|(name, _)| name).collect(),
        budget: BudgetShare { rho: Rho(1 << 80), delta: Delta(1 << 80) },
        expires: UnixMillis(BEGAN + 90 * DAY),
        ext: Extensions::default(),
    };
    Signed::sign(&Project::try_from(fields).expect("a project with people, kinds and tables"), &pair(SIGNING))
}

/// A line for each leaf: itself, then everything.
fn one_level(leaves: impl IntoIterator<Item = &'static str>) -> HierarchyForm {
    HierarchyForm::Table(leaves.into_iter().map(|leaf| vec![known(leaf), known("any")]).collect())
}

fn sites() -> HierarchyForm {
    one_level(SITES.iter().map(|(name, _, _)| *name))
}

fn microdata_asked() -> Asked {
    let quasi = |hierarchy| ReleaseRole::Quasi { hierarchy, missing: None };
    let diverse = ReleaseRole::Sensitive { diversity: Some(Diversity::Distinct(2)), closeness: None };
    let column = |name: &str, role| ReleaseColumn { name: known(name), role };
    Asked::Microdata(MicrodataTerms {
        k: AnonymityK(11),
        recoding: Recoding::Resistant,
        columns: vec![
            column("site", quasi(sites())),
            column("age", quasi(one_level(AGES))),
            column("sex", quasi(one_level(["F", "M"]))),
            column("days", ReleaseRole::Measure { digits: 0 }),
            column("readmitted", diverse),
        ],
        ids: PatientIds::None,
    })
}

fn counts_asked() -> Asked {
    let dimensions = vec![(known("site"), sites()), (known("age"), one_level(AGES))];
    Asked::Counts(CountTerms { dimensions, floor: 11, rounding: CountRounding::None })
}

/// 1/20, in units of 2^-80.
const SPENT: Rho = Rho((1 << 80) / 20);

fn aggregate_asked() -> Asked {
    let declared = r#"{"contribution":{"rows":5,"groups":1,"source":{"person":"petra"}}}"#;
    Asked::Aggregate(AggregateTerms { declared: declared.to_owned(), rho: SPENT, delta: Delta(0) })
}

fn microdata_done(rows: u64) -> Done {
    Done::Microdata {
        k: AnonymityK(11),
        measures: MicrodataMeasures {
            rows: Rows(rows + 9),
            suppressed: Rows(9),
            classes: 40,
            loss: Millionths(9_100),
            columns: ["age", "sex", "site"].map(|name| (known(name), Millionths(9_100))).into(),
            class_size: Millionths(rows * 1_000_000 / 40),
            discernibility: rows * rows / 40,
            entropy: Millionths(12_000),
        },
    }
}

fn aggregate_done(earlier: &[ReleaseId]) -> Done {
    let what = ["stays", "sum of days, for days", "stays that are followed by another, for readmitted"];
    let noise = what.iter().zip(HALF_WIDTHS).map(|(what, half)| NoiseLine {
        what: known(what),
        noise: NoiseKind::Gaussian,
        scale: stated(half / 1.96),
        half_width: stated(half),
    });
    let at = account().delta_shown();
    let epsilon = |rho| stated(Cost { rho, delta: Delta(0) }.epsilon(at));
    Done::Aggregate(Box::new(AggregateDone {
        rho: SPENT,
        delta: Delta(0),
        epsilon: epsilon(SPENT),
        epsilon_person: epsilon(Rho(4 * SPENT.0)),
        tokens: ContributionBound(2),
        at,
        noise: noise.collect(),
        threshold: None,
        origins: vec![(
            known("5 stays of one patient"),
            known("fixed by petra; what was learned from rows for it is not covered"),
        )],
        uncovered: earlier.iter().copied().collect(),
    }))
}

/// What is made of one kind.
struct Kind {
    name: &'static str,
    asked: Asked,
    done: Done,
    body: Vec<Body>,
}

fn kinds() -> [Kind; 3] {
    let microdata = bodies::microdata();
    let rows = microdata.iter().map(|file| file.rows).sum();
    let (counts, suppressed) = bodies::counts();
    let done = Done::Counts { floor: u32::try_from(FLOOR).unwrap_or(u32::MAX), cells: 30, suppressed };
    [
        Kind { name: "microdata", asked: microdata_asked(), done: microdata_done(rows), body: microdata },
        Kind { name: "counts", asked: counts_asked(), done, body: counts },
        Kind {
            name: "aggregate",
            asked: aggregate_asked(),
            done: aggregate_done(&[id(0), id(1)]),
            body: bodies::aggregate(),
        },
    ]
}

/// The release at a place.
fn id(place: u8) -> ReleaseId {
    ReleaseId([0xa0 + place; 16])
}

fn request(consortium: ConsortiumId, kind: &Kind) -> Request {
    let fields = RequestFields {
        consortium,
        project: known("stays"),
        salt: Nonce([5; 16]),
        question: format!("SELECT \u{2026} -- the {} of stays, made up\nFROM person JOIN visit_occurrence", kind.name),
        patient: known("person_id"),
        member: known(if kind.name == "aggregate" { "cohortium_member" } else { "site" }),
        asked: kind.asked.clone(),
        recipients: members().map(|(name, _)| name).collect(),
        ext: Extensions::default(),
    };
    fields.try_into().expect("a question whose columns are there")
}

fn digest(seed: u8) -> DocumentDigest {
    DocumentDigest([seed; 32])
}

fn body_file(file: &Body) -> BodyFile {
    let mut sha256 = Sha256::new();
    sha256.push(&file.bytes);
    BodyFile {
        path: known(file.path),
        bytes: Bytes(file.bytes.len() as u64),
        digest: blob_digest(&file.bytes),
        sha256: FileDigest(sha256.finish()),
        rows: Rows(file.rows),
    }
}

fn statement(place: u8, kind: &Kind, charter: &Signed<Charter>, consortium: ConsortiumId) -> Release {
    let input = |(name, seed): (Name, u8)| {
        let share = ShareId([seed; 16]);
        (name, ReleaseInput { share, snapshot: SnapshotId([seed; 32]), mapping: Some(digest(seed)), vocabulary: None })
    };
    let attack = AttackRun {
        attack: AttackKind::Linkage,
        column: None,
        assumes: known("all quasi-identifiers of a patient"),
        threshold: Millionths(0),
    };
    let fields = ReleaseFields {
        consortium,
        operator: known("operator"),
        release: id(place),
        charter: charter.digest(),
        project: project(consortium).digest(),
        account: known(ACCOUNT),
        request: request(consortium, kind),
        reserved: BEFORE + 2 * u64::from(place),
        consolidation: digest(1),
        tables: TABLES.map(|table| (known(table), TableVersionId([8; 32]))).into(),
        inputs: TABLES.map(|table| (known(table), members().map(input).collect())).into(),
        excluded: BTreeSet::new(),
        done: kind.done.clone(),
        attacks: if kind.name == "aggregate" { Vec::new() } else { vec![attack] },
        together_with: (0..place).filter(|_| kind.name != "aggregate").map(id).collect(),
        not_covered: vec![known("that a table version exists, and when: gates, drift and opt-outs depend on rows")],
        body: kind.body.iter().map(body_file).collect(),
        software: known("made up"),
        at: UnixMillis(BEGAN + 2 * DAY),
        ext: Extensions::default(),
    };
    Release::try_from(fields).expect("what was done is what was asked")
}

fn reservation(release: &Release) -> Reservation {
    Reservation {
        release: release.release,
        kind: release.done.kind(),
        request: Signed::unsigned(&release.request).digest(),
        question: digest(2),
        charter: release.charter,
        project: release.project,
        account: release.account.clone(),
        consolidation: release.consolidation,
        tables: release.tables.clone(),
        members: members().map(|(name, _)| name).collect(),
        recipients: release.request.recipients.clone(),
        charge: charge_of(&release.request.asked),
    }
}

/// The files of a log, to be read again.
struct Tiles(Files);

impl TileRead for Tiles {
    fn read(&self, path: &str, _: usize) -> Result<Vec<u8>, ReadFault> {
        self.0.get(path).cloned().ok_or(ReadFault::Missing)
    }
}

/// The log over all entries, its checkpoint cosigned by two hospitals.
fn log(consortium: ConsortiumId, leaves: &[LeafEntry]) -> (Tiles, String) {
    let (mut edge, mut files) = (Edge::default(), Files::new());
    for leaf in leaves {
        edge.append(*leaf, &mut |tile, bytes| drop(files.insert(tile.path(), bytes)));
    }
    files.extend(edge.partials().into_iter().map(|(tile, bytes)| (tile.path(), bytes)));
    let name = origin(&consortium, &known("operator"));
    let mut checkpoint = signed(&name, edge.head(), &pair(SIGNING)).expect("an origin names a key");
    for (member, seed) in members().take(2) {
        let at = UnixMillis(BEGAN + 3 * DAY);
        checkpoint =
            cosigned(&checkpoint, &origin(&consortium, &member), &pair(seed + 10), at).expect("it was just signed");
    }
    files.insert(CHECKPOINT_PATH.to_owned(), checkpoint.clone().into_bytes());
    (Tiles(files), checkpoint)
}

/// The salt and bytes of an entry, and its leaf.
fn entry(number: u64, act: Act) -> (JournalFile, LeafEntry) {
    let bytes = codec::encode(&JournalEntry { at: UnixMillis(BEGAN + 2 * DAY + number), actor: Actor::Node, act });
    let mut salt = [7; 32];
    salt[..8].copy_from_slice(&number.to_le_bytes());
    let leaf = leaf_entry(&salt, &bytes);
    (JournalFile { salt, entry: Blob(bytes) }, leaf)
}

/// Everything, the same each time.
pub(crate) fn sample() -> Sample {
    let charters = charters();
    let consortium = ConsortiumId(charters[0].digest().0);
    let kinds = kinds();
    let mut leaves: Vec<LeafEntry> = (0..BEFORE).map(|number| leaf_entry(&[3; 32], &number.to_le_bytes())).collect();
    let mut made = Vec::new();
    for (place, kind) in (0_u8..).zip(&kinds) {
        let release = statement(place, kind, &charters[1], consortium);
        let signed = Signed::sign(&release, &pair(SIGNING));
        let number = leaves.len() as u64;
        let (reserved, first) = entry(number, Act::ReleaseReserved(Box::new(reservation(&release))));
        let (released, second) = entry(number + 1, Act::Released(signed.clone()));
        leaves.extend([first, second]);
        made.push((release, signed, [reserved, released], number));
    }
    let (tiles, checkpoint) = log(consortium, &leaves);
    let log_origin = origin(&consortium, &known("operator"));
    let mut tree = TreeReader::new(&tiles, leaves.len() as u64);
    let mut proof = |index: u64, leaf: LeafEntry| {
        let path = tree.inclusion(index).expect("its tiles are here").expect("it is in the tree");
        InclusionBundle { origin: log_origin.clone(), index, leaf, path, checkpoint: checkpoint.clone() }.encode()
    };
    let mut releases = BTreeMap::new();
    for (kind, (release, signed, entries, number)) in kinds.into_iter().zip(made) {
        let leaf = |file: &JournalFile| leaf_entry(&file.salt, &file.entry.0);
        let mut files = around(consortium, &charters);
        files.extend([
            (STATEMENT.to_owned(), signed.to_bytes()),
            (STATEMENT_JSON.to_owned(), statement_json(&release)),
            (RESERVED.to_owned(), codec::encode(&entries[0])),
            (SIGNED.to_owned(), codec::encode(&entries[1])),
            (RESERVED_PROOF.to_owned(), proof(number, leaf(&entries[0]))),
            (SIGNED_PROOF.to_owned(), proof(number + 1, leaf(&entries[1]))),
        ]);
        files.extend(kind.body.into_iter().map(|file| (file.path.to_owned(), file.bytes)));
        releases.insert(kind.name, files);
    }
    Sample { consortium, releases, log_origin, log_key: pair(SIGNING).public(), log: tiles.0 }
}

/// The files that all releases share.
fn around(consortium: ConsortiumId, charters: &[Signed<Charter>]) -> Files {
    let mut files = Files::from([
        (PROJECT.to_owned(), project(consortium).to_bytes()),
        (numbered(OPERATOR_FOLDER, 1), record(consortium, &known("operator"), ROOT, SIGNING).to_bytes()),
    ]);
    files.extend(
        charters.iter().zip(1..).map(|(charter, number)| (numbered(CHARTER_FOLDER, number), charter.to_bytes())),
    );
    files.extend(members().take(2).map(|(member, seed)| {
        let record = record(consortium, &member, seed, seed + 10);
        (format!("{COSIGNER_FOLDER}/{member}{ENDING}"), record.to_bytes())
    }));
    files
}
