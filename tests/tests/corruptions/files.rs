//! Files as wholes: bytes flipped anywhere, files cut, quotes that swallow lines, footers that lie, decompression bombs.
//! A run accounts for every row that is still one, or ends with a fault that names a place and holds no cell.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use cohortium_engine::batch::SourceFault;
use cohortium_engine::mapping::MapFault;
use cohortium_testnet::hospital::TableKind;

use crate::Random;
use crate::member::{Mapped, Member, PART_BYTES_MAX, origin, sites, tables};
use crate::write::{Form, Record, Table};

const KIND: TableKind = TableKind::Patients;

/// A kind of corruption of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    /// One bit of any byte.
    FlippedBit,
    /// Three bytes to something else.
    OtherBytes,
    /// The file ends early.
    Cut,
    /// A quotation mark where none belongs.
    StrayQuote,
    /// A byte of what a binary file says of itself.
    LyingFooter,
}

impl Blow {
    fn of(form: Form) -> &'static [Self] {
        if form.is_text() {
            &[Self::FlippedBit, Self::OtherBytes, Self::Cut, Self::StrayQuote]
        } else {
            &[Self::FlippedBit, Self::OtherBytes, Self::Cut, Self::LyingFooter]
        }
    }

    /// The file, and the first byte that is not as it was.
    fn strike(self, bytes: &[u8], random: &mut Random) -> (Vec<u8>, usize) {
        let mut struck = bytes.to_vec();
        let at = random.below(bytes.len());
        match self {
            Self::FlippedBit => struck[at] ^= 1 << random.below(8),
            Self::OtherBytes => {
                let end = (at + 3).min(bytes.len());
                struck[at..end].iter_mut().for_each(|byte| *byte = random.next().to_le_bytes()[0]);
            }
            Self::Cut => struck.truncate(at),
            Self::StrayQuote => struck.insert(at, b'"'),
            Self::LyingFooter => {
                let footer = bytes.len() - bytes.len().min(1_200);
                let at = footer + random.below(bytes.len() - footer);
                struck[at] = struck[at].wrapping_add(1 + random.next().to_le_bytes()[0] % 255);
                return (struck, at);
            }
        }
        (struck, at)
    }
}

/// A small hospital's patients, and what becomes of them when nothing is wrong.
struct Clean {
    member: Member,
    table: Table,
    mapped: Mapped,
    cells: BTreeSet<String>,
}

impl Clean {
    fn new(number: usize) -> Self {
        let member = Member::new(sites(60).swap_remove(number), &[KIND]);
        let table = tables(&member.site, &[KIND]).remove(&KIND).unwrap();
        let mapped = member.map(&BTreeMap::from([(KIND, (Form::Csv, table.write(Form::Csv)))])).unwrap();
        let long = |cell: &&String| cell.len() > 7;
        let cells = (0..table.rows.len()).flat_map(|row| table.cells(row).iter().flatten()).filter(long);
        let cells = cells.cloned().collect();
        Self { member, table, mapped, cells }
    }

    fn map(&self, form: Form, bytes: Vec<u8>) -> Result<Mapped, MapFault> {
        let run = AssertUnwindSafe(|| self.member.map(&BTreeMap::from([(KIND, (form, bytes))])));
        catch_unwind(run).unwrap_or_else(|_| panic!("{form:?}: a panic that reached the caller"))
    }

    /// A fault tells where, and holds no cell.
    fn tells(&self, fault: &MapFault) {
        let text = fault.to_string();
        assert!(!self.cells.iter().any(|cell| text.contains(cell.as_str())), "a cell is in a fault");
        match fault {
            MapFault::Source { source, fault } => {
                assert_eq!(source, "patients");
                assert!(!matches!(fault, SourceFault::ReaderLost | SourceFault::Read { .. }), "{text}");
                let names = text.chars().any(|c| c.is_ascii_digit());
                assert!(names || *fault == SourceFault::Empty, "no place: {text}");
            }
            MapFault::Plan(_) | MapFault::Policy { .. } => assert!(text.contains("patients") || text.contains("rule")),
            MapFault::EmptyTable { table } => assert!(text.contains(table.as_str())),
            MapFault::NotGiven { .. }
            | MapFault::Changed { .. }
            | MapFault::TooMany { .. }
            | MapFault::Emptied { .. }
            | MapFault::NoVocabulary { .. }
            | MapFault::Drifted { .. }
            | MapFault::TooManyBytes { .. }
            | MapFault::Unaccounted { .. }
            | MapFault::Sink { .. } => panic!("{text}"),
        }
    }

    /// Origins of patients whose facts are not what they are in the clean file.
    fn changed(&self, mapped: &Mapped) -> BTreeSet<usize> {
        let by_origin = |mapped: &Mapped| {
            let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for fact in &mapped.facts {
                found.entry(fact.rsplit(',').next().unwrap().to_owned()).or_default().push(fact.clone());
            }
            found
        };
        let (was, is) = (by_origin(&self.mapped), by_origin(mapped));
        let rows = 0..self.table.rows.len();
        let differs = |row: &usize| {
            let origin = origin(self.table.cells(*row)[0].as_deref().unwrap());
            was.get(&origin) != is.get(&origin)
        };
        rows.filter(differs).collect()
    }
}

/// What a file that was struck came to.
#[derive(Debug, Default)]
struct Outcomes {
    refused: u64,
    set_aside: u64,
    harmless: u64,
    other_value: u64,
}

/// A text: rows before the blow are as they were, and so are those behind it unless an unreadable record took them in.
fn check_text(clean: &Clean, form: Form, (bytes, at): (&[u8], usize), mapped: &Mapped, outcomes: &mut Outcomes) {
    let lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
    let struck = lines(&bytes[..at]) + 1;
    let end = lines(bytes) + u64::from(!bytes.ends_with(b"\n"));
    let reasons = mapped.reasons();
    let unread: Vec<u64> = reasons
        .iter()
        .filter(|(_, reasons)| reasons.contains("row") || reasons.contains("conflict"))
        .map(|((_, place), _)| *place)
        .collect();
    let changed = clean.changed(mapped);
    for row in &changed {
        let line = Table::place(form, *row);
        let is_near = line + 1 >= struck && line <= struck + 1;
        let is_swallowed = unread.iter().any(|place| *place + 1 >= struck && *place <= line);
        assert!(
            is_near || is_swallowed || line > end,
            "{form:?}: row at {line} changed, struck at {struck}: {unread:?}"
        );
    }
    match (reasons.is_empty(), changed.is_empty()) {
        (false, _) => outcomes.set_aside += 1,
        (true, true) => outcomes.harmless += 1,
        (true, false) => outcomes.other_value += 1,
    }
}

// MAP-4
#[test]
fn a_struck_file_is_accounted_for_or_ends_the_run_with_its_place() {
    let mut counts: BTreeMap<(Form, Blow), Outcomes> = BTreeMap::new();
    for number in 0..5 {
        let clean = Clean::new(number);
        for form in Form::ALL {
            let whole = clean.table.write(form);
            assert_eq!(clean.map(form, whole.clone()).unwrap().facts, clean.mapped.facts, "{form:?}");
            for (turn, blow) in (0..).zip(Blow::of(form)) {
                let outcomes = counts.entry((form, *blow)).or_default();
                for seed in 0..12 {
                    let (bytes, at) = blow.strike(&whole, &mut Random(1_000 * number as u64 + 100 * turn + seed));
                    match clean.map(form, bytes.clone()) {
                        Err(fault) => {
                            clean.tells(&fault);
                            outcomes.refused += 1;
                        }
                        Ok(mapped) if form.is_text() => check_text(&clean, form, (&bytes, at), &mapped, outcomes),
                        Ok(mapped) => {
                            let rows = mapped.report.sources["patients"].rows.0;
                            assert_eq!(
                                rows,
                                clean.table.rows.len() as u64,
                                "{form:?} {blow:?} {seed}: a shorter table"
                            );
                            let changed = !clean.changed(&mapped).is_empty();
                            let count = if !mapped.quarantine.is_empty() {
                                &mut outcomes.set_aside
                            } else if changed {
                                &mut outcomes.other_value
                            } else {
                                &mut outcomes.harmless
                            };
                            *count += 1;
                        }
                    }
                }
            }
        }
    }
    for ((form, blow), outcomes) in &counts {
        println!("{form:?} {blow:?}: {outcomes:?}");
    }
    let refused: u64 = counts.values().map(|outcomes| outcomes.refused).sum();
    let set_aside: u64 = counts.values().map(|outcomes| outcomes.set_aside).sum();
    assert!(refused > 200 && set_aside > 100, "{refused} refused, {set_aside} set aside");
}

#[test]
fn what_unpacks_to_more_than_a_part_may_hold_ends_the_run() {
    let clean = Clean::new(0);
    let mut table = clean.table.clone();
    let street = table.column("street").unwrap();
    let bomb = "a".repeat(2 * PART_BYTES_MAX / table.rows.len());
    for row in &mut table.rows {
        if let Record::Cells(cells) = row {
            cells[street] = Some(bomb.clone());
        }
    }
    for form in [Form::Parquet, Form::ArrowIpc] {
        let bytes = if form == Form::Parquet { table.write_in_large_pages() } else { table.write(form) };
        assert!(bytes.len() < PART_BYTES_MAX / 8, "{form:?}: {}", bytes.len());
        match clean.map(form, bytes).err() {
            Some(MapFault::Source { fault: SourceFault::PartTooLong { rows: 0, max: PART_BYTES_MAX }, .. }) => {}
            other => panic!("{form:?}: {other:?}"),
        }
    }
}
