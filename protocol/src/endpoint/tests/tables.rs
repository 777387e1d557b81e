//! Mappings: defined in order, run, and fresh before anything of what they made leaves.

use super::*;
use crate::record::mapping::{Mapping, MappingFields, Origin};
use crate::record::order::{OptOutChoice, OptOutEntry};

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

// MAP-3
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
    let (ticket, _) = pair.begin_run();
    let taken = Taken { base: Base::Full, listing, content, index: None, linkage: None, origin: Some(origin.clone()) };
    pair.feed(1, Input::RunEnded { ticket, end: RunEnd::Taken(Box::new(taken)) });
    let stated = pair.subscription(0).snapshots.last().unwrap();
    assert_eq!(Origin::of(&stated.manifest.ext), Ok(Some(origin)));
}
