//! Thousands of corrupted rows in the files of five hospitals, in every format: each in quarantine with its place and its
//! reason, every other row as if they were not there.

use std::collections::{BTreeMap, BTreeSet};

use cohortium_protocol::digest::keyed_id;
use cohortium_testnet::hospital::{Site, TableKind};

use crate::Random;
use crate::member::{Mapped, Member, opted_out, origin, sites, source_of, tables};
use crate::spoil::Spoil;
use crate::write::{Form, Record, Table};

/// Encounters of a hospital.
const ROWS_PER_SITE: u64 = 480;

/// The same files twice: with corrupted rows, and without what these take away.
struct Pair {
    spoilt: BTreeMap<TableKind, Table>,
    without: BTreeMap<TableKind, Table>,
    /// What must be in quarantine: source, place, kind, reason.
    due: Vec<(&'static str, u64, Spoil, &'static str)>,
    /// How many facts-making rows stand a second time, word for word.
    again: u64,
    /// Origins of corrupted rows.
    origins: BTreeSet<String>,
    counts: BTreeMap<Spoil, u64>,
}

/// Keys of patients and encounters whose rows are not to be touched any more.
#[derive(Default)]
struct Closed {
    patients: BTreeSet<String>,
    encounters: BTreeSet<String>,
}

impl Closed {
    fn has(&self, table: &Table, cells: &[Option<String>]) -> bool {
        let is_in = |meaning: &str, keys: &BTreeSet<String>| {
            let cell = table.column(meaning).and_then(|place| cells[place].as_ref());
            cell.is_some_and(|key| keys.contains(key))
        };
        is_in("patient", &self.patients) || is_in("encounter", &self.encounters)
    }

    /// Nothing that refers to this row is to be corrupted as well: it would be in quarantine for the wrong reason.
    fn close(&mut self, kind: TableKind, key: &str) {
        match kind {
            TableKind::Patients => self.patients.insert(key.to_owned()),
            TableKind::Encounters => self.encounters.insert(key.to_owned()),
            TableKind::Labs | TableKind::Vitals | TableKind::Diagnoses => false,
        };
    }
}

impl Pair {
    /// One row in `every[0]` of patients and encounters is corrupted, one in `every[1]` of the other tables.
    fn of(site: &Site, form: Form, every: [usize; 2], random: &mut Random) -> Self {
        let mut closed = Closed { patients: opted_out(site).into_iter().collect(), ..Closed::default() };
        let (spoilt, without) = (BTreeMap::new(), BTreeMap::new());
        let (due, origins, counts) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
        let mut pair = Self { spoilt, without, due, again: 0, origins, counts };
        let mut turn = random.below(Spoil::of(form).len());
        for (kind, table) in tables(site, &TableKind::ALL) {
            let every = every[usize::from(!matches!(kind, TableKind::Patients | TableKind::Encounters))];
            let mut made = [table.clone(), table.clone()];
            for table in &mut made {
                table.rows.clear();
            }
            let [spoilt, without] = &mut made;
            for row in 0..table.rows.len() {
                let drawn = random.below(every) == 0 && !closed.has(&table, table.cells(row));
                let kinds = Spoil::of(form);
                let next = (turn..turn + kinds.len()).map(|turn| kinds[turn % kinds.len()]);
                let spoil = next
                    .take(if drawn { kinds.len() } else { 0 })
                    .find_map(|spoil| Some((spoil, spoil.apply(&table, form, row, random)?)));
                let whole = table.rows[row].clone();
                let Some((spoil, made)) = spoil else {
                    spoilt.rows.push(whole.clone());
                    without.rows.push(whole);
                    continue;
                };
                turn += 1;
                let key = table.cells(row)[0].clone().unwrap_or_default();
                closed.close(kind, &key);
                pair.note(&table, form, spoilt.rows.len(), spoil, made.due);
                if made.due.is_some() {
                    pair.origins.insert(origin(&key));
                }
                spoilt.rows.extend(made.records);
                if !made.gone {
                    without.rows.push(whole);
                }
            }
            let [spoilt, without] = made;
            pair.spoilt.insert(kind, spoilt);
            pair.without.insert(kind, without);
        }
        pair
    }

    fn note(&mut self, table: &Table, form: Form, record: usize, spoil: Spoil, due: Option<(usize, &'static str)>) {
        *self.counts.entry(spoil).or_default() += 1;
        match due {
            Some((at, reason)) => {
                self.due.push((source_of(table.kind), Table::place(form, record + at), spoil, reason));
            }
            None => self.again += 1,
        }
    }
}

fn map(member: &Member, tables: &BTreeMap<TableKind, Table>, form: Form) -> Mapped {
    let files = tables.iter().map(|(kind, table)| (*kind, (form, table.write(form)))).collect();
    let mapped = member.map(&files).unwrap_or_else(|fault| panic!("{form:?} {}: {fault}", member.site.name));
    for (kind, table) in tables {
        let count = &mapped.report.sources[source_of(*kind)];
        assert_eq!(count.rows.0, table.rows.len() as u64, "{form:?} {kind:?}: every record is a row");
    }
    mapped
}

/// Rows that are in quarantine, by the key that they have in the file, corrupted ones left out.
fn aside(
    mapped: &Mapped,
    tables: &BTreeMap<TableKind, Table>,
    form: Form,
    but: &BTreeSet<(&str, u64)>,
) -> BTreeSet<String> {
    let by_source: BTreeMap<&str, &Table> = tables.values().map(|table| (source_of(table.kind), table)).collect();
    let entries = mapped.reasons().into_keys().filter(|entry| !but.contains(entry));
    entries
        .map(|(source, place)| {
            let first = Table::place(form, 0);
            match &by_source[source].rows[usize::try_from(place - first).unwrap()] {
                Record::Cells(cells) => format!("{source} {}", cells[0].as_deref().unwrap_or_default()),
                Record::Raw(_) => format!("{source} at {place}"),
            }
        })
        .collect()
}

fn digest(facts: &[&str]) -> [u8; 16] {
    keyed_id(&[0; 32], facts.iter().map(|fact| fact.as_bytes()))
}

/// Corrupts, maps and compares; returns how many corruptions there were of each kind.
fn check(site: &Site, form: Form, seed: u64) -> BTreeMap<Spoil, u64> {
    let member = Member::new(site.clone(), &TableKind::ALL);
    let every = if form == Form::Csv { [14, 7] } else { [14, 9] };
    let pair = Pair::of(site, form, every, &mut Random(seed));
    let (spoilt, without) = (map(&member, &pair.spoilt, form), map(&member, &pair.without, form));
    let reasons = spoilt.reasons();
    for (source, place, spoil, reason) in &pair.due {
        let found = reasons.get(&(*source, *place));
        assert!(
            found.is_some_and(|found| found.contains(reason)),
            "seed {seed}, {form:?} {}, {source} at {place}: {spoil:?} is in quarantine as {found:?}, not as {reason}",
            site.name
        );
    }
    let (facts, expected) = (spoilt.facts_beside(&pair.origins), without.facts_beside(&pair.origins));
    let differ = facts.iter().zip(&expected).find(|(one, other)| one != other);
    assert!(digest(&facts) == digest(&expected), "seed {seed}, {form:?} {}: {differ:?}", site.name);
    assert!(facts.len() > 1_000);
    // Nothing else is in quarantine than what refers to a row that is gone.
    let corrupted = pair.due.iter().map(|(source, place, ..)| (*source, *place)).collect();
    let found = aside(&spoilt, &pair.spoilt, form, &corrupted);
    let expected = aside(&without, &pair.without, form, &BTreeSet::new());
    let differ: Vec<_> = found.symmetric_difference(&expected).collect();
    assert!(differ.is_empty(), "seed {seed}, {form:?} {}: {differ:?}", site.name);
    let repeated: u64 = spoilt.report.tables.values().map(|count| count.repeated.0).sum();
    assert!(repeated >= pair.again, "seed {seed}, {form:?}: {repeated} repetitions of {} rows", pair.again);
    assert!(spoilt.report.sources.values().all(|count| count.opted_out.0 > 0));
    pair.counts
}

// MAP-4, MAP-5
#[test]
fn every_corrupted_row_is_in_quarantine_and_no_other_row_changes() {
    let (mut counts, mut by_form) = (BTreeMap::new(), BTreeMap::new());
    for (number, site) in (0..).zip(sites(ROWS_PER_SITE)) {
        for form in Form::ALL {
            for (spoil, count) in check(&site, form, 100 * number + form as u64) {
                *counts.entry(spoil).or_insert(0_u64) += count;
                *by_form.entry(form).or_insert(0_u64) += count;
            }
        }
    }
    let all: u64 = counts.values().sum();
    println!("{all} corrupted rows, by format {by_form:?}, by kind {counts:?}");
    assert!(all >= 10_000, "{all}");
    assert!(counts.len() == 19 && counts.values().all(|count| *count >= 100), "{counts:?}");
}
