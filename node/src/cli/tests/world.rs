//! An operator and two hospitals, a share of one of them, fixed to the last digit.

use std::collections::{BTreeMap, BTreeSet};

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{ConsortiumId, DatasetId, Name, ShareId, SnapshotId, SubscriptionId};
use cohortium_protocol::key::pair::{KeyPair, PublicKey};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::quantity::{AnonymityK, Delta, Rho};
use cohortium_protocol::record::charter::{
    Charter, CharterFields, CharterKind, LandedRows, LinkageTerms, Party, PartyKind, ReleasePolicy, Terms,
};
use cohortium_protocol::record::dataset::{Dataset, Source};
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::invitation::Invitation;
use cohortium_protocol::record::manifest::Base;
use cohortium_protocol::record::person::Role;
use cohortium_protocol::record::project::BudgetShare;
use cohortium_protocol::record::schedule::Schedule;
use cohortium_protocol::record::schema::{Column, ColumnRole, ColumnType, Treatment};
use cohortium_protocol::record::share::{Content, Form, Linkage, Share, ShareFields, TableTerms};
use cohortium_protocol::record::text_form::TextForm;
use cohortium_protocol::time::UnixMillis;

use crate::cli::when;
use crate::control::{BudgetView, Joining, PartyView, PersonView, ShareView, SnapshotView, SubscriptionView, View};
use crate::home::MembershipFile;

const ID: ConsortiumId = ConsortiumId([1; 32]);
/// 2027-01-01T00:00:00Z.
const NEW_YEAR: UnixMillis = UnixMillis(1_798_761_600_000);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn key(seed: u8) -> PublicKey {
    KeyPair::from_seed(&[seed; 32]).public()
}

fn charter() -> Charter {
    let party =
        |kind, title: &str, seed| Party { kind, title: title.parse().unwrap(), root: key(seed), succeeds: None };
    let fields = CharterFields {
        consortium: Some(ID),
        version: 2,
        previous: Some(DocumentDigest([1; 32])),
        title: "Example".parse().unwrap(),
        kind: CharterKind::Rehearsal,
        at: UnixMillis(0),
        roster: BTreeMap::from([
            (name("op"), party(PartyKind::Operator, "Operator", 11)),
            (name("north"), party(PartyKind::Member, "North Hospital", 12)),
            (name("south"), party(PartyKind::Member, "South Hospital", 13)),
        ]),
        threshold: 1,
        schema: None,
        policy: ReleasePolicy { anonymity_k_min: AnonymityK(11), small_cell_min: 11 },
        accounts: BTreeMap::new(),
        terms: Terms { landed_rows: LandedRows::Exclude, share_validity_max: when::days(100), contract: None },
        linkage: Some(LinkageTerms { key_maker: name("north"), epoch: 4 }),
        ext: Extensions::default(),
    };
    Charter::try_from(fields).unwrap()
}

fn share() -> Share {
    let column = |text: &str, role, treatment| Column::new(text.parse().unwrap(), ColumnType::Text, role, treatment);
    let columns = vec![
        column("eid", ColumnRole::DirectIdentifier, Treatment::Drop),
        column("sodium", ColumnRole::Measure, Treatment::Round(0)),
    ];
    let fields = ShareFields {
        consortium: ID,
        provider: name("north"),
        share: ShareId([9; 16]),
        name: name("los"),
        version: 1,
        dataset: DatasetId([7; 16]),
        form: Form::Snapshot,
        content: Content::Table(TableTerms::of(columns, Linkage::None)),
        purpose: "research".parse().unwrap(),
        consumers: BTreeSet::from([name("op")]),
        expires: NEW_YEAR,
        landed_rows: LandedRows::Exclude,
        schedule: Schedule::MANUAL,
        ext: Extensions::default(),
    };
    Share::try_from(fields).unwrap()
}

fn view(party: &str) -> View {
    let charter = charter();
    let parties = charter.roster.iter().map(|(each, entry)| {
        let shown = PartyView {
            kind: entry.kind,
            title: entry.title.to_string(),
            fingerprint: entry.root.fingerprint(),
            confirmed: false,
            connected: each.as_str() == "op",
            clock_ahead_ms: None,
        };
        (each.clone(), shown)
    });
    View {
        consortium: ID,
        party: name(party),
        journal_entries: 42,
        stopped: false,
        parties: parties.collect(),
        charter: Some(charter),
        proposals: Vec::new(),
        joining: BTreeMap::new(),
        persons: vec![PersonView {
            person: name("alice"),
            roles: vec![Role::SiteAdministrator, Role::PrivacyOfficer],
            key: key(1).to_string(),
        }],
        datasets: Vec::new(),
        shares: Vec::new(),
        subscriptions: Vec::new(),
        mappings: Vec::new(),
        vocabularies: Vec::new(),
        vocabulary_loads: 0,
        vocabulary_fault: None,
        table_sets: Vec::new(),
        tables: None,
        tables_fault: None,
        consolidating: false,
        published: None,
        publishing: false,
        notices: Vec::new(),
        pipelines: Vec::new(),
        projects: Vec::new(),
        releases: Vec::new(),
        ledger: Vec::new(),
        budget: nothing_spent(),
        withdrawals: Vec::new(),
        linkage_epoch: Some(4),
    }
}

/// The operator, whom a third hospital has asked.
pub(crate) fn operator() -> View {
    let joining = Joining { root: key(14).to_string(), fingerprint: key(14).fingerprint() };
    View { joining: BTreeMap::from([(name("west"), joining)]), ..view("op") }
}

/// The hospital that shares.
pub(crate) fn member() -> View {
    let share = share();
    let invitation = Invitation {
        consortium: ID,
        subscription: SubscriptionId([10; 16]),
        consumer: name("op"),
        share: share.clone(),
        at: UnixMillis(0),
        answer_by: NEW_YEAR,
        accepted: None,
        ext: Extensions::default(),
    };
    let snapshot = |byte: u8, sequence, state: &str| SnapshotView {
        snapshot: SnapshotId([byte; 32]),
        sequence,
        base: if sequence == 1 { Base::Full } else { Base::Delta },
        bytes: 1024,
        state: state.to_owned(),
    };
    let subscription = SubscriptionView {
        subscription: SubscriptionId([10; 16]),
        invitation_digest: Signed::unsigned(&invitation).digest().to_string(),
        invitation,
        side: "provider".to_owned(),
        state: "active".to_owned(),
        share: share.share,
        expires: NEW_YEAR.to_string(),
        snapshots: vec![snapshot(12, 1, "landed"), snapshot(13, 2, "stated")],
        current: None,
        bytes_served: 2048,
    };
    let dataset = Dataset {
        dataset: DatasetId([7; 16]),
        name: name("los"),
        source: Source::Csv { path: "/data/los.csv".parse().unwrap(), form: TextForm::default() },
        key: vec!["eid".parse().unwrap()],
        patient: Some("eid".parse().unwrap()),
        linkage: None,
    };
    let shown = ShareView {
        terms: Signed::unsigned(&share).digest().to_string(),
        share,
        approved: true,
        last: Some(SnapshotId([13; 32])),
        snapshots: 2,
    };
    View { datasets: vec![dataset], shares: vec![shown], subscriptions: vec![subscription], ..view("north") }
}

/// The membership of the node of a view.
pub(crate) fn membership(view: &View) -> MembershipFile {
    MembershipFile {
        consortium: view.consortium,
        party: view.party.clone(),
        operator_root: key(11),
        operator_tls: key(21),
        operator_address: Some("op.example:7411".to_owned()),
        public_address: None,
        title: Some("Example".parse().unwrap()),
        kind: CharterKind::Rehearsal,
    }
}

fn nothing_spent() -> BudgetView {
    let nothing = BudgetShare { rho: Rho(0), delta: Delta(0) };
    BudgetView { own: nothing, own_everywhere: nothing, cap: None, announced: Vec::new() }
}
