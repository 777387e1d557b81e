//! Mappings: defined in order, run, and fresh before anything of what they made leaves.

use super::*;
use crate::record::allowance::{Allowance, AllowanceFields};
use crate::record::consolidation::ConsolidatedPart;
use crate::record::mapping::{Mapping, MappingFields, Origin};
use crate::record::order::{OptOutChoice, OptOutEntry};
use crate::record::publish_place::{AbsentTable, PublishPlace, WrittenIds};
use crate::record::remote::{Address, DatabasePlace, Privacy};
use crate::record::vocabulary::{LoadedVocabulary, Vocabulary};
use crate::table_version::PartDigest;

fn mapping(pair: &Pair, change: impl FnOnce(&mut MappingFields)) -> Command {
    let stays: Name = "stays".parse().unwrap();
    let mut fields = MappingFields {
        consortium: pair.consortium,
        party: pair.parties[1].name.clone(),
        name: "los".parse().unwrap(),
        version: 1,
        schema: DocumentDigest([7; 32]),
        text: "mapping".to_owned(),
        sources: BTreeMap::from([(stays.clone(), dataset("/data/stays.csv").dataset)]),
        patients: stays,
        tables: [Name::try_from("person".to_owned()).unwrap()].into(),
        ext: Extensions::default(),
    };
    change(&mut fields);
    Command::DefineMapping(Box::new(Mapping::try_from(fields).unwrap()))
}

/// What is changed, how, and whether it is still a mapping that may be defined.
type MappingCase = (&'static str, fn(&mut MappingFields), bool);

/// A member with one dataset and one mapping of it.
fn mapped() -> Pair {
    let mut pair = Pair::new();
    let stays = Dataset { patient: Some("eid".parse().unwrap()), ..dataset("/data/stays.csv") };
    pair.order(1, Command::DefineDataset(stays)).unwrap();
    let mapping = mapping(&pair, |_| {});
    pair.order(1, mapping).unwrap();
    pair
}

fn run(pair: &mut Pair) -> Ticket {
    pair.order(1, Command::RunMapping { mapping: "los".parse().unwrap() }).unwrap();
    let begun = |effect: &Effect| if let Effect::Map { ticket, .. } = effect { Some(*ticket) } else { None };
    pair.pick(1, begun).expect("the mapping runs")
}

fn end(pair: &mut Pair, ticket: Ticket) {
    let (_, listing) = listing();
    let end = MapEnd { set: listing, linkage: None, gates: Gates::Held };
    pair.feed(1, Input::Mapped { ticket, end: Ok(end) });
}

fn opt_out(pair: &mut Pair, patient: u8) {
    let dataset = dataset("/data/stays.csv").dataset;
    let entry = OptOutEntry([patient; 16]);
    pair.order(1, Command::OptOut { dataset, entry, choice: OptOutChoice::Out }).unwrap();
}

// MAP-2
#[test]
fn a_mapping_is_of_this_party_its_datasets_the_charters_schema_and_the_next_version() {
    let mut pair = mapped();
    let cases: [MappingCase; 5] = [
        ("the same version again", |_| {}, false),
        ("a gap", |fields| fields.version = 3, false),
        ("another party's", |fields| (fields.version, fields.party) = (2, "south".parse().unwrap()), false),
        (
            "an unknown dataset",
            |fields| {
                fields.version = 2;
                fields.sources.insert("labs".parse().unwrap(), DatasetId([5; 16]));
            },
            false,
        ),
        ("the next version", |fields| fields.version = 2, true),
    ];
    for (what, change, fits) in cases {
        let command = mapping(&pair, change);
        assert_eq!(pair.order(1, command).is_ok(), fits, "{what}");
    }
}

fn allowance(table: &str) -> Allowance {
    let thresholds = BTreeMap::from([("isRequired".parse().unwrap(), 15)]);
    Allowance::try_from(AllowanceFields { left_out: [table.parse().unwrap()].into(), thresholds }).unwrap()
}

// MAP-22 MAP-23
#[test]
fn a_manifest_states_what_its_mapping_allows_and_no_mapping_leaves_out_what_it_makes() {
    let mut pair = mapped();
    pair.share(LandedRows::Exclude);
    let define = |pair: &mut Pair, ext: Extensions| {
        let command = mapping(pair, |fields| (fields.version, fields.ext) = (2, ext));
        pair.order(1, command)
    };
    let broken = Extensions::one(Allowance::EXTENSION, vec![0xff]);
    assert!(matches!(define(&mut pair, broken), Err(OrderFault::Document)));
    let made = allowance("person").beside(Extensions::default());
    assert!(matches!(define(&mut pair, made), Err(OrderFault::Document)), "its rules make persons");
    let stated = allowance("death");
    define(&mut pair, stated.beside(Extensions::default())).unwrap();
    let (content, listing) = listing();
    let origin = Origin {
        mapping: pair.state(1).mappings[&Name::try_from("los".to_owned()).unwrap()].digest,
        schema: DocumentDigest([7; 32]),
        set: listing.digest,
        table: "person".parse().unwrap(),
        software: "cohortium-0.1.0".parse().unwrap(),
    };
    let (ticket, _) = pair.begin_run();
    let (index, linkage, vocabulary) = (None, None, None);
    let taken = Taken { base: Base::Full, listing, content, index, linkage, origin: Some(origin), vocabulary };
    pair.feed(1, Input::RunEnded { ticket, end: RunEnd::Taken(Box::new(taken)) });
    let manifest = &pair.subscription(0).snapshots.last().unwrap().manifest;
    assert_eq!(Allowance::of(&manifest.ext), Ok(stated));
}

// MAP-8
#[test]
fn nothing_of_a_mapped_table_leaves_after_an_opt_out_until_it_is_mapped_again() {
    let mut pair = mapped();
    let source = Source::Mapped { mapping: "los".parse().unwrap(), table: "person".parse().unwrap() };
    let table = Dataset { source, dataset: DatasetId([8; 16]), name: "los.person".parse().unwrap(), ..dataset("/x") };
    pair.order(1, Command::DefineDataset(table.clone())).unwrap();
    let terms = altered(share(pair.consortium, 1, LandedRows::Exclude), |terms| terms.dataset = table.dataset);
    pair.order(1, Command::DefineShare(terms.clone())).unwrap();
    pair.approve(&terms).unwrap();
    let stale = |pair: &mut Pair| {
        pair.order(1, Command::TakeSnapshot { share: SHARE }).unwrap();
        let begun = |effect: &Effect| if let Effect::Run { plan, .. } = effect { Some(plan.set.clone()) } else { None };
        pair.pick(1, begun).is_none()
    };
    assert!(stale(&mut pair), "it has never run");
    let ticket = run(&mut pair);
    end(&mut pair, ticket);
    let (ticket, plan) = pair.begin_run();
    assert_eq!(plan.set.map(|set| set.listing), Some(listing().1));
    opt_out(&mut pair, 1);
    pair.end_run(ticket, Base::Full);
    assert_eq!(pair.state(1).offers[&SHARE].snapshots.len(), 0, "the patient opted out while it was taken");
    assert!(stale(&mut pair));
    let ticket = run(&mut pair);
    opt_out(&mut pair, 2);
    end(&mut pair, ticket);
    assert!(stale(&mut pair), "another patient opted out while it ran");
    let ticket = run(&mut pair);
    end(&mut pair, ticket);
    let (ticket, _) = pair.begin_run();
    pair.end_run(ticket, Base::Full);
    assert_eq!(pair.state(1).offers[&SHARE].snapshots.len(), 1);
}

// MAP-3 MAP-14
#[test]
fn a_manifest_of_a_mapped_table_says_where_its_rows_come_from_and_a_consolidation_takes_those_alone() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    pair.order(0, Command::Consolidate).unwrap();
    let tables = |pair: &mut Pair| {
        let begun = |effect: &Effect| {
            if let Effect::Consolidate { ticket, plan } = effect { Some((*ticket, plan.tables.clone())) } else { None }
        };
        pair.pick(0, begun).unwrap()
    };
    let (ticket, none) = tables(&mut pair);
    assert!(none.is_empty(), "rows of no mapping are in no table");
    assert!(matches!(pair.order(0, Command::Consolidate), Err(OrderFault::OutOfOrder { .. })), "one at a time");
    pair.feed(0, Input::Consolidated { ticket, end: Err(RunFault::Limit) });
    let (content, listing) = listing();
    let origin = Origin {
        mapping: DocumentDigest([1; 32]),
        schema: DocumentDigest([2; 32]),
        set: listing.digest,
        table: "person".parse().unwrap(),
        software: "cohortium-0.1.0".parse().unwrap(),
    };
    let vocabulary = Vocabulary { release: "v5.0".parse().unwrap(), digest: DocumentDigest([9; 32]) };
    let (ticket, _) = pair.begin_run();
    let taken = Taken {
        base: Base::Full,
        listing,
        content,
        index: None,
        linkage: None,
        origin: Some(origin.clone()),
        vocabulary: Some(vocabulary.clone()),
    };
    pair.feed(1, Input::RunEnded { ticket, end: RunEnd::Taken(Box::new(taken)) });
    let stated = pair.subscription(0).snapshots.last().unwrap();
    assert_eq!(Origin::of(&stated.manifest.ext), Ok(Some(origin)));
    assert_eq!(Vocabulary::of(&stated.manifest.ext), Ok(Some(vocabulary)));
}

fn load(pair: &mut Pair) -> Ticket {
    pair.order(1, Command::LoadVocabulary { folder: "/data/athena".parse().unwrap() }).unwrap();
    let begun = |effect: &Effect| if let Effect::LoadVocabulary { ticket, .. } = effect { Some(*ticket) } else { None };
    pair.pick(1, begun).expect("the vocabulary is read")
}

fn loaded(number: u8) -> LoadedVocabulary {
    let vocabulary = Vocabulary { release: "v5.0".parse().unwrap(), digest: DocumentDigest([number; 32]) };
    LoadedVocabulary { vocabulary, index: BlobRef { digest: blob_digest(&[number]), bytes: Bytes(1) } }
}

// MAP-9
#[test]
fn the_vocabulary_that_was_loaded_last_is_in_use_and_its_index_alone_is_kept() {
    let mut pair = mapped();
    let ticket = load(&mut pair);
    let again = Command::LoadVocabulary { folder: "/data/athena".parse().unwrap() };
    assert!(matches!(pair.order(1, again), Err(OrderFault::OutOfOrder { .. })), "one at a time");
    pair.feed(1, Input::VocabularyLoaded { ticket, end: Err(RunFault::Malformed) });
    let now = |pair: &Pair| pair.state(1).vocabularies.current().cloned();
    assert_eq!((now(&pair), pair.state(1).vocabularies.fault()), (None, Some(RunFault::Malformed)));
    for number in [1, 2] {
        let ticket = load(&mut pair);
        pair.feed(1, Input::VocabularyLoaded { ticket, end: Ok(loaded(number)) });
    }
    assert_eq!((now(&pair), pair.state(1).vocabularies.fault()), (Some(loaded(2)), None));
    let live = pair.nodes[1].live_indexes(pair.consortium);
    assert!(live.contains(&loaded(2).index) && !live.contains(&loaded(1).index));
    assert!(pair.nodes[1].live_blobs(pair.consortium).contains(&loaded(2).index));
    // A run that began with another one makes nothing.
    let ticket = run(&mut pair);
    let other = load(&mut pair);
    pair.feed(1, Input::VocabularyLoaded { ticket: other, end: Ok(loaded(3)) });
    end(&mut pair, ticket);
    assert_eq!(pair.state(1).mappings[&name("los")].fault, Some(RunFault::Changed));
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

// MAP-10
#[test]
fn a_run_is_compared_with_the_last_set_of_any_version_and_only_tables_that_are_named_may_come_out_empty() {
    let mut pair = mapped();
    let plan = |pair: &mut Pair, empty: &[&str]| {
        let empty = empty.iter().map(|table| name(table)).collect();
        pair.order(1, Command::RunMappingDespite { mapping: name("los"), empty })?;
        let begun = |effect: &Effect| {
            if let Effect::Map { ticket, plan } = effect { Some((*ticket, plan.clone())) } else { None }
        };
        Ok::<_, OrderFault>(pair.pick(1, begun).unwrap())
    };
    assert!(matches!(plan(&mut pair, &["death"]), Err(OrderFault::NotFound { .. })), "no table of the mapping");
    let (ticket, first) = plan(&mut pair, &["person"]).unwrap();
    assert_eq!((first.before, first.empty.len()), (None, 1));
    end(&mut pair, ticket);
    let next = mapping(&pair, |fields| fields.version = 2);
    pair.order(1, next).unwrap();
    assert!(pair.nodes[1].live_blobs(pair.consortium).contains(&listing().1), "kept to be compared with");
    let (ticket, second) = plan(&mut pair, &[]).unwrap();
    assert_eq!((second.before, second.empty.len()), (Some(listing().1), 0));
    end(&mut pair, ticket);
    assert_eq!(pair.state(1).mappings[&name("los")].before, Some(listing().1));
}

#[test]
fn a_mapping_tells_who_defined_it_and_when() {
    let pair = mapped();
    let known = &pair.state(1).mappings[&name("los")];
    assert!(pair.state(1).persons.contains_key(&known.by));
    assert!(known.at > UnixMillis(0));
}

/// A member's table of the common schema, as a dataset and a share of its own.
struct Table {
    share: ShareId,
    subscription: SubscriptionId,
    of: &'static str,
}

const PERSON: Table = Table { share: ShareId([31; 16]), subscription: SubscriptionId([41; 16]), of: "person" };
const VISIT: Table = Table { share: ShareId([32; 16]), subscription: SubscriptionId([40; 16]), of: "visit_occurrence" };
/// The first table again, offered later under an id that is lower.
const AGAIN: Table = Table { share: ShareId([30; 16]), subscription: SubscriptionId([39; 16]), of: "person" };

impl Table {
    /// Offers it and has the operator accept.
    fn offer(&self, pair: &mut Pair, landed_rows: LandedRows, at: UnixMillis) {
        pair.wall = [at; 2];
        let name: Name = format!("t{}", self.share.0[0]).parse().unwrap();
        let id = DatasetId(self.share.0);
        pair.order(1, Command::DefineDataset(Dataset { dataset: id, name: name.clone(), ..dataset("/x") })).unwrap();
        let terms = altered(share(pair.consortium, 1, landed_rows), |terms| {
            (terms.share, terms.name, terms.dataset) = (self.share, name, id);
        });
        pair.order(1, Command::DefineShare(terms.clone())).unwrap();
        let digest = Signed::unsigned(&terms).digest();
        let approval = Command::ApproveShare { share: self.share, terms: digest, unchecked: Unchecked::No };
        pair.order(1, approval).unwrap();
        let (consumer, answer_by) = ("op".parse().unwrap(), at.plus(Seconds(3600)));
        let invite = Command::Invite { share: self.share, consumer, subscription: self.subscription, answer_by };
        pair.order(1, invite).unwrap();
        let invitation = pair.state(0).subscriptions[&self.subscription].invitation_digest;
        let answer = Said::Accept;
        let accept = Command::AnswerInvitation { subscription: self.subscription, invitation, answer };
        pair.order(0, accept).unwrap();
    }

    /// Takes a snapshot of it that says it is of this set, and lands it.
    fn land(&self, pair: &mut Pair, set: u8) {
        self.land_with(pair, set, BlobRole::Rows);
    }

    /// As [`Table::land`], of files in this role.
    fn land_with(&self, pair: &mut Pair, set: u8, role: BlobRole) {
        pair.order(1, Command::TakeSnapshot { share: self.share }).unwrap();
        let run = |effect: &Effect| if let Effect::Run { ticket, .. } = effect { Some(*ticket) } else { None };
        let ticket = pair.pick(1, run).unwrap();
        let (content, listing) = listing_of(role);
        let origin = Origin {
            mapping: DocumentDigest([1; 32]),
            schema: DocumentDigest([2; 32]),
            set: blob_digest(&[set]),
            table: self.of.parse().unwrap(),
            software: "cohortium-0.1.0".parse().unwrap(),
        };
        let taken = Taken {
            base: Base::Full,
            listing,
            content,
            index: None,
            linkage: None,
            origin: Some(origin),
            vocabulary: None,
        };
        pair.feed(1, Input::RunEnded { ticket, end: RunEnd::Taken(Box::new(taken)) });
        super::landing::begin_landing(pair, Some(listing_of(role).0));
        if role == BlobRole::Rows {
            super::landing::end_landing(pair);
        } else {
            super::landing::end_unchecked(pair);
        }
    }

    /// What a consolidation makes of it.
    fn part(&self, pair: &Pair) -> ConsolidatedPart {
        let found = &pair.state(0).subscriptions[&self.subscription];
        ConsolidatedPart {
            share: self.share,
            snapshot: found.current.unwrap(),
            mapping: None,
            vocabulary: None,
            digest: PartDigest([self.share.0[0]; 32]),
            blobs: vec![],
        }
    }
}

/// Orders a consolidation; gives its plan.
fn begin(pair: &mut Pair) -> (Ticket, Box<ConsolidationPlan>) {
    pair.order(0, Command::Consolidate).unwrap();
    let begun = |effect: &Effect| {
        if let Effect::Consolidate { ticket, plan } = effect { Some((*ticket, plan.clone())) } else { None }
    };
    pair.pick(0, begun).unwrap()
}

/// Ends it with these parts.
fn conclude(pair: &mut Pair, ticket: Ticket, of: &[&Table]) {
    let north: Name = "north".parse().unwrap();
    let tables = of.iter().map(|table| {
        let parts = BTreeMap::from([(north.clone(), table.part(pair))]);
        (table.of.parse().unwrap(), parts)
    });
    let tables = tables.collect();
    let listing = BlobRef { digest: blob_digest(b"consolidated"), bytes: Bytes(12) };
    let set = ConsolidatedSet { schema: DocumentDigest([2; 32]), tables, left_out: BTreeMap::new(), listing };
    pair.feed(0, Input::Consolidated { ticket, end: Ok(Box::new(set)) });
}

fn planned(plan: &ConsolidationPlan) -> Vec<ShareId> {
    plan.tables.iter().map(|table| table.share).collect()
}

// CONS-21 CONS-23
#[test]
fn tables_of_two_mapping_runs_are_not_taken_in_and_the_later_of_two_shares_counts() {
    let mut pair = Pair::new();
    PERSON.offer(&mut pair, LandedRows::Exclude, NOW);
    VISIT.offer(&mut pair, LandedRows::Exclude, NOW);
    PERSON.land(&mut pair, 1);
    VISIT.land(&mut pair, 1);
    let (ticket, plan) = begin(&mut pair);
    assert_eq!((planned(&plan), plan.left_out.len()), (vec![PERSON.share, VISIT.share], 0));
    conclude(&mut pair, ticket, &[&PERSON, &VISIT]);
    PERSON.land(&mut pair, 2);
    let (ticket, plan) = begin(&mut pair);
    assert_eq!((planned(&plan), plan.previous.len()), (vec![], 2), "what was taken in stays");
    assert_eq!(plan.left_out, BTreeMap::from([("north".parse().unwrap(), RunFault::SetStale)]));
    pair.feed(0, Input::Consolidated { ticket, end: Err(RunFault::SetStale) });
    assert_eq!(pair.nodes[0].consolidation_fault(pair.consortium), Some(RunFault::SetStale));
    VISIT.land(&mut pair, 2);
    AGAIN.offer(&mut pair, LandedRows::Exclude, NOW.plus(Seconds(60)));
    AGAIN.land(&mut pair, 2);
    let (ticket, plan) = begin(&mut pair);
    assert_eq!(planned(&plan), vec![AGAIN.share, VISIT.share], "offered later, whatever its id");
    conclude(&mut pair, ticket, &[&AGAIN, &VISIT]);
    assert_eq!(pair.nodes[0].consolidation_fault(pair.consortium), None, "an old fault is not told again");
}

// CONS-24
#[test]
fn parts_in_another_schema_are_not_taken_over() {
    let schemas = [None, Some(DocumentDigest([2; 32])), Some(DocumentDigest([9; 32]))];
    for (schema, taken_over) in schemas.into_iter().zip([true, true, false]) {
        let mut pair = Pair::amended(&Amendment { schema, ..Amendment::default() });
        PERSON.offer(&mut pair, LandedRows::Exclude, NOW);
        PERSON.land(&mut pair, 1);
        let (ticket, plan) = begin(&mut pair);
        assert!(plan.previous.is_empty());
        conclude(&mut pair, ticket, &[&PERSON]);
        let (_, plan) = begin(&mut pair);
        assert_eq!(plan.previous.len(), usize::from(taken_over), "{schema:?}: the set is in [2; 32]");
    }
}

// CONS-20
#[test]
fn files_that_nobody_looked_into_are_in_no_table_whatever_their_manifest_says() {
    let mut pair = Pair::new();
    PERSON.offer(&mut pair, LandedRows::Exclude, NOW);
    let files = altered(share(pair.consortium, 2, LandedRows::Exclude), |terms| {
        (terms.share, terms.name, terms.dataset) = (PERSON.share, "t31".parse().unwrap(), DatasetId(PERSON.share.0));
        terms.content = Content::UncheckedFiles;
    });
    let source = Source::Files { folder: "/x".parse().unwrap() };
    let name = "t31".parse().unwrap();
    let folder = Dataset { dataset: DatasetId(PERSON.share.0), name, source, ..dataset("/x") };
    pair.order(1, Command::DefineDataset(folder)).unwrap();
    pair.order(1, Command::DefineShare(files.clone())).unwrap();
    let terms = Signed::unsigned(&files).digest();
    pair.order(1, Command::ApproveShare { share: PERSON.share, terms, unchecked: Unchecked::Acknowledged }).unwrap();
    let (consumer, answer_by) = ("op".parse().unwrap(), NOW.plus(Seconds(3600)));
    let (share, subscription) = (PERSON.share, PERSON.subscription);
    pair.order(1, Command::Invite { share, consumer, subscription, answer_by }).unwrap();
    let invitation = pair.state(0).subscriptions[&subscription].invitation_digest;
    pair.order(0, Command::AnswerInvitation { subscription, invitation, answer: Said::Accept }).unwrap();
    PERSON.land_with(&mut pair, 1, BlobRole::File);
    assert!(planned(&begin(&mut pair).1).is_empty());
}

// CONS-22 SNAP-7
#[test]
fn rows_that_are_erased_are_in_no_set_of_table_versions_before_the_receipt_says_so() {
    let mut pair = Pair::new();
    PERSON.offer(&mut pair, LandedRows::Erase, NOW);
    PERSON.land(&mut pair, 1);
    let (ticket, _) = begin(&mut pair);
    conclude(&mut pair, ticket, &[&PERSON]);
    let listing = BlobRef { digest: blob_digest(b"consolidated"), bytes: Bytes(12) };
    assert!(pair.nodes[0].live_blobs(pair.consortium).contains(&listing));
    let revoke =
        Command::ChangeSubscription { subscription: PERSON.subscription, change: Change::Revoke, reason: None };
    pair.order(1, revoke).unwrap();
    let live = pair.nodes[0].live_blobs(pair.consortium);
    let erased = |pair: &Pair| pair.state(0).subscriptions[&PERSON.subscription].snapshots[0].erasure_stated;
    assert!(!live.contains(&listing) && !erased(&pair), "the sweep takes them, and then it is stated");
    assert!(pair.state(0).tables.current().is_none());
    pair.feed(0, Input::Swept { whole: true });
    assert!(erased(&pair));
}

// MAP-8
#[test]
fn a_set_leaves_only_under_terms_that_say_whether_it_links_patients() {
    let key = LinkageKeyId([3; 16]);
    // The key is held, so that nothing but the terms speaks against the set.
    let past = [vec![], vec![Act::LinkageKeyHeld { epoch: 1, key }]];
    let mut pair = Pair::amended(&Amendment { past, ..Amendment::linked("north") });
    let stays = Dataset { patient: Some("eid".parse().unwrap()), ..dataset("/data/stays.csv") };
    pair.order(1, Command::DefineDataset(stays)).unwrap();
    let defined = mapping(&pair, |_| {});
    pair.order(1, defined).unwrap();
    let source = Source::Mapped { mapping: "los".parse().unwrap(), table: "person".parse().unwrap() };
    let table = Dataset { source, dataset: DatasetId([8; 16]), name: "los.person".parse().unwrap(), ..dataset("/x") };
    pair.order(1, Command::DefineDataset(table.clone())).unwrap();
    let terms = altered(share(pair.consortium, 1, LandedRows::Exclude), |terms| terms.dataset = table.dataset);
    pair.order(1, Command::DefineShare(terms.clone())).unwrap();
    pair.approve(&terms).unwrap();
    let ticket = run(&mut pair);
    let (_, listing) = listing();
    let linkage = LinkageStatement { epoch: 1, key, normaliser: 1, check: LinkageCheck([4; 16]) };
    pair.feed(
        1,
        Input::Mapped { ticket, end: Ok(MapEnd { set: listing, linkage: Some(linkage), gates: Gates::Held }) },
    );
    pair.order(1, Command::TakeSnapshot { share: SHARE }).unwrap();
    let begun = |effect: &Effect| matches!(effect, Effect::Run { .. }).then_some(());
    assert!(pair.pick(1, begun).is_none(), "linked ids do not leave under an approval of unlinked ones");
}

/// A set of table versions at the operator, with these parts of one table.
fn consolidated(pair: &mut Pair, parts: BTreeMap<Name, ConsolidatedPart>) -> DocumentDigest {
    pair.order(0, Command::Consolidate).unwrap();
    let begun = |effect: &Effect| if let Effect::Consolidate { ticket, .. } = effect { Some(*ticket) } else { None };
    let ticket = pair.pick(0, begun).unwrap();
    let tables = BTreeMap::from([("person".parse().unwrap(), parts)]);
    let set =
        ConsolidatedSet { schema: DocumentDigest([2; 32]), tables, left_out: BTreeMap::new(), listing: listing().1 };
    pair.feed(0, Input::Consolidated { ticket, end: Ok(Box::new(set)) });
    pair.state(0).tables.current().unwrap().digest
}

fn publish(consolidation: DocumentDigest) -> Command {
    let text = |text: &str| text.parse().unwrap();
    let place = DatabasePlace {
        address: Address::Socket { path: text("/run/db") },
        privacy: Privacy::WithinMachine,
        database: text("cdm"),
        user: text("writer"),
        password: None,
        statement_seconds: 300,
    };
    let into = Box::new(PublishPlace { place, schema: None, absent: AbsentTable::Refuse, ids: WrittenIds::Whole });
    Command::Publish { consolidation, into }
}

// CONS-10, CONS-12
#[test]
fn only_the_set_in_use_is_published_one_at_a_time_and_never_with_rows_that_may_not_be_used() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    assert!(matches!(pair.order(0, publish(DocumentDigest([9; 32]))), Err(OrderFault::NotFound { .. })));
    let first = consolidated(&mut pair, BTreeMap::new());
    pair.order(0, Command::Stop).unwrap();
    assert_eq!(pair.order(0, publish(first)), Err(OrderFault::Stopped));
    pair.order(0, Command::Start).unwrap();
    pair.order(0, publish(first)).unwrap();
    let begun = |effect: &Effect| {
        if let Effect::Publish { ticket, plan } = effect { Some((*ticket, plan.set.digest)) } else { None }
    };
    let (ticket, digest) = pair.pick(0, begun).unwrap();
    assert_eq!(digest, first);
    assert!(matches!(pair.order(0, publish(first)), Err(OrderFault::OutOfOrder { .. })), "one at a time");
    pair.feed(0, Input::Published { ticket, end: Err(RunFault::Unsettled) });
    let last = |pair: &Pair| pair.state(0).tables.published().map(|last| (last.consolidation, last.fault));
    assert_eq!(last(&pair), Some((first, Some(RunFault::Unsettled))));
    pair.order(0, publish(first)).unwrap();
    let (ticket, _) = pair.pick(0, begun).unwrap();
    pair.feed(0, Input::Published { ticket, end: Ok(()) });
    assert_eq!(last(&pair), Some((first, None)));
    // Its rows are of a share that may be used, until it is revoked.
    let part = ConsolidatedPart {
        share: SHARE,
        snapshot: SnapshotId([4; 32]),
        mapping: None,
        vocabulary: None,
        digest: PartDigest([5; 32]),
        blobs: Vec::new(),
    };
    let second = consolidated(&mut pair, BTreeMap::from([("north".parse().unwrap(), part)]));
    pair.order(0, Command::ReadTables { consolidation: second }).unwrap();
    let (subscription, change) = (SUBSCRIPTION, Change::Revoke);
    pair.order(1, Command::ChangeSubscription { subscription, change, reason: None }).unwrap();
    for command in [publish(second), Command::ReadTables { consolidation: second }] {
        assert!(matches!(pair.order(0, command), Err(OrderFault::OutOfOrder { .. })));
    }
    assert!(matches!(pair.order(0, publish(first)), Err(OrderFault::NotFound { .. })), "it is in use no longer");
}
