//! Consolidation: parts built at once and step by step, versions of several members, and what is refused.

use std::io::Write;

use arrow::array::{
    AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Int64Type;
use cohortium_protocol::ident::{Name, SnapshotId};
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::table_version::{Cell, PartDigest, RowEncoding};

use super::*;
use crate::cells::{id_array, text};
use crate::consolidate::fault::ConsolidateFault;
use crate::consolidate::gather::{GatherJob, PreviousPart, gather, merge};
use crate::consolidate::layers::{PartReader, Seen};
use crate::consolidate::merged::SortedBatches;
use crate::consolidate::part::{PartReport, copy, digest};
use crate::consolidate::shape::{TableColumn, TableFields, TableShape};
use crate::consolidate::union::TableReader;

/// One row of a made-up table of visits, under its row id's number.
#[derive(Clone, PartialEq)]
#[expect(clippy::struct_field_names, reason = "the table's own column")]
struct Visit {
    visit: i64,
    person: i64,
    note: Option<String>,
    value: Option<f64>,
    source: &'static str,
    origin: u64,
}

type Visits = BTreeMap<u64, Visit>;

const COLUMNS: [(&str, ColumnType, bool); 7] = [
    ("visit_id", ColumnType::Integer, true),
    ("person_id", ColumnType::Integer, true),
    ("note", ColumnType::Text, false),
    ("value", ColumnType::Float, false),
    ("day", ColumnType::Date, false),
    ("at", ColumnType::Timestamp, false),
    ("first", ColumnType::Boolean, false),
];

fn fields() -> TableFields {
    let column = |(column, kind, required)| TableColumn { name: name(column), kind, required };
    TableFields {
        table: party("visit_occurrence"),
        columns: COLUMNS.map(column).to_vec(),
        key: vec![name("visit_id")],
        person: Some(name("person_id")),
    }
}

fn shape() -> TableShape {
    fields().try_into().unwrap()
}

fn party(text: &str) -> Name {
    text.parse().unwrap()
}

fn random_visit(random: &mut Random, row: u64) -> Visit {
    Visit {
        visit: i64::try_from(row).unwrap() - 7,
        person: i64::try_from(random.below(12)).unwrap() - 3,
        note: (random.below(3) > 0).then(|| format!("note {}", random.below(3))),
        value: [None, Some(0.5), Some(-0.0), Some(f64::NAN)][usize::try_from(random.below(4)).unwrap()],
        source: ["admissions", "laboratory"][usize::try_from(random.below(2)).unwrap()],
        origin: random.below(5),
    }
}

fn row_id(row: u64) -> [u8; 16] {
    (u128::from(row.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64 | u128::from(row)).to_be_bytes()
}

fn origin(number: u64) -> String {
    format!("{number:032x}")
}

fn landed_columns<'a>(rows: impl Iterator<Item = (&'a u64, &'a Visit)>) -> Vec<(&'static str, ArrayRef)> {
    let (ids, rows): (Vec<u64>, Vec<&Visit>) = rows.unzip();
    let of = |column: fn(&Visit) -> i64| rows.iter().map(|row| column(row)).collect::<Int64Array>();
    vec![
        ("cohortium_row", id_array(ids.into_iter().map(|id| Some(row_id(id))))),
        ("visit_id", Arc::new(of(|row| row.visit))),
        ("person_id", Arc::new(of(|row| row.person))),
        ("note", Arc::new(rows.iter().map(|row| row.note.clone()).collect::<StringArray>())),
        ("value", Arc::new(rows.iter().map(|row| row.value).collect::<Float64Array>())),
        ("day", Arc::new(rows.iter().map(|row| Some(i32::try_from(row.person).unwrap())).collect::<Date32Array>())),
        ("at", Arc::new(TimestampMicrosecondArray::from(rows.iter().map(|row| row.visit).collect::<Vec<i64>>()))),
        ("first", Arc::new(rows.iter().map(|row| row.note.is_some().then_some(true)).collect::<BooleanArray>())),
        ("cohortium_source", Arc::new(rows.iter().map(|row| Some(row.source)).collect::<StringArray>())),
        ("cohortium_origin", Arc::new(rows.iter().map(|row| Some(origin(row.origin))).collect::<StringArray>())),
    ]
}

fn full(rows: &Visits) -> LandedPart {
    LandedPart { rows: handle(parquet_file(landed_columns(rows.iter()))), deletes: None }
}

fn delta(before: &Visits, after: &Visits, also_written: u64) -> LandedPart {
    let same = |row: &u64, visit: &Visit| before.get(row).is_some_and(|old| encoded(old) == encoded(visit));
    let written = after.iter().filter(|(row, visit)| !same(row, visit) || **row % 7 == also_written);
    let written: Vec<_> = written.collect();
    let gone = before.keys().filter(|row| !after.contains_key(row));
    // Within one delta a row wins over a delete.
    let gone = gone.chain(written.first().map(|(row, _)| *row)).map(|row| Some(row_id(*row)));
    let gone = parquet_file(vec![("cohortium_row", id_array(gone))]);
    LandedPart { rows: handle(parquet_file(landed_columns(written.into_iter()))), deletes: Some(handle(gone)) }
}

fn encoded(visit: &Visit) -> Vec<u8> {
    let mut row = RowEncoding::new();
    push_cells(&mut row, visit);
    row.bytes().to_vec()
}

fn push_cells(row: &mut RowEncoding, visit: &Visit) {
    let (note, origin) = (visit.note.as_deref(), origin(visit.origin));
    let cells = [
        Cell::Integer(visit.visit),
        Cell::Integer(visit.person),
        note.map_or(Cell::Null, Cell::Text),
        visit.value.map_or(Cell::Null, |value| Cell::Float(value.to_bits())),
        Cell::Date(i32::try_from(visit.person).unwrap()),
        Cell::Timestamp(visit.visit),
        note.map_or(Cell::Null, |_| Cell::Boolean(true)),
        Cell::Text(visit.source),
        Cell::Text(&origin),
    ];
    for cell in cells {
        row.push(cell);
    }
}

/// What a part's digest must be, from the rows alone.
fn expected(member: &str, rows: &Visits) -> PartDigest {
    let digests = rows.values().map(|visit| {
        let mut row = RowEncoding::new();
        push_cells(&mut row, visit);
        row.digest()
    });
    PartDigest::of(&party("visit_occurrence"), &party(member), digests.collect())
}

struct Built {
    report: PartReport,
    files: Vec<Handle>,
}

/// One member's chain, and how its parts are built.
struct Site {
    shape: TableShape,
    member: Name,
    chain: LandedChain,
    snapshots: Vec<SnapshotId>,
    limits: Limits,
}

impl Site {
    fn new(member: &str, parts: Vec<LandedPart>) -> Self {
        let snapshots = (1..=parts.len()).map(|number| SnapshotId([u8::try_from(number).unwrap(); 32])).collect();
        let mut parts = parts.into_iter();
        let chain = LandedChain { full: parts.next().unwrap(), deltas: parts.collect() };
        let limits = Limits { part_file_rows: 5, batch_rows: 3, part_base_rows_min: 0, ..Limits::default() };
        Self { shape: shape(), member: party(member), chain, snapshots, limits }
    }

    fn build(
        &self,
        before: &[Handle],
        sinks: usize,
        build: impl FnOnce(
            &GatherJob<'_>,
            &mut dyn Iterator<Item = &mut (dyn Write + Send)>,
        ) -> Result<PartReport, ConsolidateFault>,
    ) -> Result<Built, ConsolidateFault> {
        let Self { shape, member, chain, snapshots, limits } = self;
        let job = GatherJob { shape, member, chain, snapshots, limits: *limits };
        let mut files = vec![Vec::new(); sinks];
        let report = build(&job, &mut files.iter_mut().map(|file| file as &mut (dyn Write + Send)))?;
        assert!(files[report.written()..].iter().all(Vec::is_empty), "a file that the report does not have");
        let written = files.into_iter().take(report.written()).map(handle);
        let files = before[..report.kept].iter().cloned().chain(written).collect();
        Ok(Built { report, files })
    }

    fn gather(&self) -> Result<Built, ConsolidateFault> {
        self.build(&[], 50, |job, sinks| gather(job, sinks))
    }

    fn merge(&self, previous: &Built, deltas: usize) -> Result<Built, ConsolidateFault> {
        let before = PreviousPart { files: &previous.files, deltas };
        self.build(&previous.files, 50, |job, sinks| merge(job, &before, sinks))
    }

    /// The part's rows as text, in order, without the row ids.
    fn lines(&self, built: &Built) -> Vec<String> {
        let mut reader = PartReader::new(&self.shape, &built.files, &self.limits).unwrap();
        let mut lines = Vec::new();
        while let Some(batch) = reader.next_sorted().unwrap() {
            lines.extend(shown(&batch));
        }
        lines
    }
}

fn shown(batch: &RecordBatch) -> Vec<String> {
    let columns: Vec<StringArray> = batch.columns()[1..].iter().map(|array| text(array).unwrap()).collect();
    let line = |row| columns.iter().map(|column| column.iter().nth(row).unwrap().unwrap_or("-")).collect::<Vec<_>>();
    (0..batch.num_rows()).map(|row| line(row).join(",")).collect()
}

fn step(random: &mut Random, rows: &mut Visits) {
    for _ in 0..random.below(20) {
        let row = random.below(40);
        match random.below(3) {
            0 => drop(rows.remove(&row)),
            _ => drop(rows.insert(row, random_visit(random, row))),
        }
    }
}

// CONS-5 CONS-8
#[test]
fn a_part_built_step_by_step_is_the_part_built_at_once() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut rows = Visits::new();
        step(&mut random, &mut rows);
        let mut parts = vec![full(&rows)];
        let mut last = Site::new("north", parts.clone()).gather().unwrap();
        assert_eq!(last.report.digest, expected("north", &rows), "seed {seed}");
        for done in 0..4 {
            let before = rows.clone();
            step(&mut random, &mut rows);
            parts.push(delta(&before, &rows, random.below(14)));
            let site = Site::new("north", parts.clone());
            let (at_once, merged) = (site.gather().unwrap(), site.merge(&last, done).unwrap());
            assert_eq!(at_once.report.absent, merged.report.absent, "seed {seed}");
            assert_eq!(site.lines(&at_once), site.lines(&merged), "seed {seed}");
            assert_eq!(merged.report.digest, expected("north", &rows), "seed {seed}");
            assert_eq!(merged.report.rows, Rows(rows.len() as u64));
            let read = digest(&site.shape, &site.member, &merged.files, &site.limits).unwrap();
            assert_eq!(read, (merged.report.digest, merged.report.rows), "what is in the files");
            // A new full snapshot of the same rows, and several deltas at once.
            let based = Site::new("north", vec![full(&rows)]).gather().unwrap();
            assert_eq!(based.report.digest, merged.report.digest, "seed {seed}");
            let first = Site::new("north", parts[..1].to_vec()).gather().unwrap();
            assert_eq!(site.lines(&site.merge(&first, 0).unwrap()), site.lines(&merged), "seed {seed}");
            last = merged;
        }
    }
}

#[test]
fn the_same_snapshot_twice_and_a_delta_of_nothing_change_nothing() {
    let mut random = Random(7);
    let mut rows = Visits::new();
    step(&mut random, &mut rows);
    let (before, base) = (rows.clone(), full(&rows));
    step(&mut random, &mut rows);
    let change = delta(&before, &rows, 99);
    let nothing = LandedPart { rows: handle(parquet_file(landed_columns([].into_iter()))), deletes: None };
    let once = Site::new("north", vec![base.clone(), change.clone()]);
    let built = once.gather().unwrap();
    for again in [change.clone(), nothing] {
        let twice = Site::new("north", vec![base.clone(), change.clone(), again]);
        assert_eq!(twice.gather().unwrap().report.digest, built.report.digest);
        assert_eq!(twice.merge(&built, 1).unwrap().report.digest, built.report.digest);
    }
    let untouched = once.merge(&built, 1).unwrap();
    assert_eq!((untouched.report.digest, once.lines(&untouched)), (built.report.digest, once.lines(&built)));
}

/// Many rows, so that a few changed ones are less than an eighth of them.
fn many_visits() -> Visits {
    let mut random = Random(5);
    (0..400).map(|row| (row, random_visit(&mut random, row))).collect()
}

/// A few rows written anew, taken away and added.
fn small_step(random: &mut Random, rows: &mut Visits, number: u64) {
    for _ in 0..3 {
        let row = random.below(400);
        rows.insert(row, random_visit(random, row));
        rows.remove(&random.below(400));
    }
    rows.insert(1_000 + number, random_visit(random, 1_000 + number));
}

// CONS-5 CONS-13 CONS-14
#[test]
fn a_small_change_lies_beside_a_base_that_stays_and_every_reader_sees_the_part() {
    for seed in 0..10 {
        let (mut random, mut rows) = (Random(seed), many_visits());
        let mut parts = vec![full(&rows)];
        let mut last = Site::new("north", parts.clone()).gather().unwrap();
        let (base, mut bases, mut kept) = (last.files.len(), 0, 0);
        for done in 0..20 {
            let before = rows.clone();
            small_step(&mut random, &mut rows, done);
            parts.push(delta(&before, &rows, 99));
            let site = Site::new("north", parts.clone());
            let (at_once, merged) =
                (site.gather().unwrap(), site.merge(&last, usize::try_from(done).unwrap()).unwrap());
            assert_eq!(merged.report.digest, expected("north", &rows), "seed {seed}");
            assert_eq!((at_once.report.digest, at_once.report.rows), (merged.report.digest, merged.report.rows));
            assert_eq!(site.lines(&at_once), site.lines(&merged), "seed {seed}");
            let read = digest(&site.shape, &site.member, &merged.files, &site.limits).unwrap();
            assert_eq!(read, (merged.report.digest, merged.report.rows), "what is in the files");
            // A version is read through the same door.
            let [whole, layered] = [&at_once, &merged].map(|built| {
                let parts = BTreeMap::from([(party("north"), built.files.clone())]);
                read_all(&site.shape, &parts)
            });
            assert_eq!(whole, layered, "seed {seed}");
            if merged.report.kept == 0 {
                bases += 1;
                assert!(!merged.report.gone);
            } else {
                kept += 1;
                assert!(merged.report.gone && merged.report.kept <= base.max(last.files.len()));
                assert!(merged.files.len() < at_once.files.len() * 2);
            }
            last = merged;
        }
        assert!(kept > 10 && bases > 0, "{kept} {bases}");
    }
}

// CONS-14
#[test]
fn a_row_that_is_gone_lies_in_the_base_for_sixteen_snapshots_at_most() {
    let mut rows = many_visits();
    let mut parts = vec![full(&rows)];
    let mut last = Site::new("north", parts.clone()).gather().unwrap();
    let before = rows.clone();
    rows.remove(&7);
    parts.push(delta(&before, &rows, 99));
    for done in 0..40 {
        if done > 0 {
            // A change of nothing but one row, always the same.
            let before = rows.clone();
            rows.insert(11, random_visit(&mut Random(done), 11));
            parts.push(delta(&before, &rows, 99));
        }
        let site = Site::new("north", parts.clone());
        last = site.merge(&last, usize::try_from(done).unwrap()).unwrap();
        assert_eq!(last.report.digest, expected("north", &rows));
        let based = last.report.kept == 0;
        assert_eq!(based, done % 17 == 16, "{done}");
    }
}

// CONS-13
#[test]
fn a_base_below_the_bound_and_one_of_which_an_eighth_has_changed_are_written_anew() {
    let rows = many_visits();
    let base = Site::new("north", vec![full(&rows)]).gather().unwrap();
    let after = |touched: u64, bound: u64| {
        let mut after = rows.clone();
        for row in 0..touched {
            after.insert(row, Visit { origin: 77, ..rows[&row].clone() });
        }
        let mut site = Site::new("north", vec![full(&rows), delta(&rows, &after, 99)]);
        site.limits.part_base_rows_min = bound;
        let built = site.merge(&base, 0).unwrap();
        assert_eq!(built.report.digest, expected("north", &after));
        built.report.kept > 0
    };
    assert!(after(50, 400) && !after(51, 400) && !after(1, 401));
}

#[test]
fn a_part_of_files_without_digests_is_read_and_built_anew_from_the_chain() {
    let rows = many_visits();
    let site = Site::new("north", vec![full(&rows)]);
    let built = site.gather().unwrap();
    let mut plain = Vec::new();
    let copied = copy(&site.shape, &site.member, &built.files, &mut plain, &site.limits).unwrap();
    assert_eq!(copied, (built.report.digest, Rows(400)));
    let plain = Built { report: built.report.clone(), files: vec![handle(plain)] };
    assert_eq!(site.lines(&plain), site.lines(&built));
    assert_eq!(digest(&site.shape, &site.member, &plain.files, &site.limits).unwrap(), copied);
    let mut after = rows.clone();
    after.remove(&3);
    let site = Site::new("north", vec![full(&rows), delta(&rows, &after, 99)]);
    let merged = site.merge(&plain, 0).unwrap();
    assert_eq!((merged.report.kept, merged.report.digest), (0, expected("north", &after)));
}

#[test]
fn a_digest_that_is_not_its_rows_and_a_gone_row_that_is_not_in_the_base_are_noticed() {
    let rows = many_visits();
    let mut other = rows.clone();
    other.insert(5, Visit { origin: 99, ..rows[&5].clone() });
    let (site, others) = (Site::new("north", vec![full(&rows)]), Site::new("north", vec![full(&other)]));
    let (built, bent) = (site.gather().unwrap(), others.gather().unwrap());
    // The rows of one part with the digests of another.
    let mixed: Vec<Handle> = built
        .files
        .iter()
        .zip(&bent.files)
        .map(|(rows, digests)| {
            let read = |file: &Handle| {
                let files = std::slice::from_ref(file);
                let mut reader = PartReader::seeing(&site.shape, files, Seen::File, &Limits::default()).unwrap();
                reader.next_sorted().unwrap().unwrap()
            };
            let (rows, digests) = (read(rows), read(digests));
            let mut columns: Vec<_> = rows
                .schema()
                .fields()
                .iter()
                .zip(rows.columns())
                .map(|(field, array)| (field.name().clone(), array.clone()))
                .collect();
            columns.last_mut().unwrap().1 = digests.columns().last().unwrap().clone();
            let columns = columns.iter().map(|(name, array)| (name.as_str(), array.clone())).collect();
            handle(parquet_file(columns))
        })
        .collect();
    assert_eq!(digest(&site.shape, &site.member, &mixed, &site.limits).err(), Some(ConsolidateFault::NotAPart));
    // A change beside a base that it was not made for.
    let mut fewer = rows.clone();
    fewer.remove(&9);
    let chain = vec![full(&rows), delta(&rows, &fewer, 99)];
    let changed = Site::new("north", chain.clone()).merge(&built, 0).unwrap();
    let wrong = Site::new("north", vec![full(&fewer)]).gather().unwrap();
    let gone = changed.files[changed.report.kept..].to_vec();
    let files = wrong.files.into_iter().chain(gone).collect();
    let again = Site::new("north", [chain, vec![delta(&fewer, &fewer, 99)]].concat());
    let fault = again.merge(&Built { report: changed.report, files }, 1).err();
    assert_eq!(fault, Some(ConsolidateFault::NotAPart));
}

fn some_visits() -> Visits {
    let mut random = Random(3);
    (0..30).map(|row| (row, random_visit(&mut random, row))).collect()
}

// CONS-2
#[test]
fn a_digest_is_over_content_and_not_over_order_layout_or_snapshot() {
    let rows = some_visits();
    let built = Site::new("north", vec![full(&rows)]).gather().unwrap();
    let mut turned = Site::new("north", vec![full(&rows)]);
    turned.chain.full.rows = handle(parquet_file(landed_columns(rows.iter().rev())));
    turned.limits = Limits { batch_rows: 7, part_file_rows: 1_000, ..turned.limits };
    turned.snapshots = vec![SnapshotId([99; 32])];
    let other = turned.gather().unwrap();
    assert_eq!(other.report.digest, built.report.digest);
    assert_eq!(other.report.files.len(), 1);
    assert_ne!(Site::new("south", vec![full(&rows)]).gather().unwrap().report.digest, built.report.digest);
    let changes: [fn(&mut Visit); 6] = [
        |visit| visit.visit += 100,
        |visit| visit.person += 1,
        |visit| visit.note = Some(String::new()),
        |visit| visit.value = Some(1.0),
        |visit| visit.source = "other",
        |visit| visit.origin += 100,
    ];
    for change in changes {
        let mut changed = rows.clone();
        changed.values_mut().nth(11).into_iter().for_each(change);
        assert_ne!(Site::new("north", vec![full(&changed)]).gather().unwrap().report.digest, built.report.digest);
    }
}

#[test]
fn a_file_ends_where_a_patient_does() {
    let rows = some_visits();
    let site = Site::new("north", vec![full(&rows)]);
    let built = site.gather().unwrap();
    let files = &built.report.files;
    assert!(files.len() > 2, "{files:?}");
    assert_eq!(files.iter().map(|file| file.rows.0).sum::<u64>(), 30);
    assert!(files[..files.len() - 1].iter().all(|file| file.rows.0 >= 5));
    let ranges: Vec<_> = files.iter().map(|file| file.patients.unwrap()).collect();
    assert!(ranges.windows(2).all(|pair| pair[0].last < pair[1].first));
    for (file, range) in built.files.iter().zip(&ranges) {
        let mut reader = PartReader::new(&site.shape, std::slice::from_ref(file), &site.limits).unwrap();
        let mut persons = Vec::new();
        while let Some(batch) = reader.next_sorted().unwrap() {
            persons.extend(batch.column(2).as_primitive::<Int64Type>().values().iter().copied());
        }
        assert!(persons.is_sorted());
        assert_eq!((persons.first(), persons.last()), (Some(&range.first), Some(&range.last)));
    }
    assert_eq!(format!("{:?}", ranges[0]), "a range of patients", "a patient's id does not print");
    // With fewer files than could be filled the last one takes the rest.
    let few = site.build(&[], 2, |job, sinks| gather(job, sinks)).unwrap();
    assert_eq!((few.report.files.len(), few.report.digest), (2, built.report.digest));
    assert_eq!(site.lines(&few), site.lines(&built));
    let none = site.build(&[], 0, |job, sinks| gather(job, sinks)).err();
    assert_eq!(none, Some(ConsolidateFault::Sink { kind: std::io::ErrorKind::StorageFull }));
}

#[test]
fn a_part_without_rows_has_no_file_and_a_digest() {
    let site = Site::new("north", vec![full(&Visits::new())]);
    let built = site.gather().unwrap();
    assert_eq!((built.report.files.len(), built.report.digest), (0, expected("north", &Visits::new())));
    let rows = some_visits();
    let site = Site::new("north", vec![full(&Visits::new()), delta(&Visits::new(), &rows, 99)]);
    assert_eq!(site.merge(&built, 0).unwrap().report.digest, expected("north", &rows));
}

/// All rows of a version as text, its patients in order, and the rows that gave way.
fn read_all(shape: &TableShape, parts: &BTreeMap<Name, Vec<Handle>>) -> (Vec<String>, Vec<i64>, BTreeMap<Name, Rows>) {
    let limits = Limits { batch_rows: 3, ..Limits::default() };
    let mut reader = TableReader::open(shape, parts, &limits).unwrap();
    let (mut lines, mut persons) = (Vec::new(), Vec::new());
    while let Some(batch) = reader.next_batch().unwrap() {
        lines.extend(shown(&batch));
        persons.extend(batch.column(2).as_primitive::<Int64Type>().values().iter().copied());
    }
    (lines, persons, reader.merged_rows())
}

// CONS-6
#[test]
fn rows_of_one_patient_come_together_and_a_row_of_two_members_once() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let (mut parts, mut stated) = (BTreeMap::new(), BTreeMap::new());
        for member in ["west", "east", "north"] {
            let rows: Visits = (0..random.below(300)).map(|row| (row, random_visit(&mut random, row))).collect();
            parts.insert(party(member), Site::new(member, vec![full(&rows)]).gather().unwrap().files);
            for visit in rows.values() {
                stated.entry((visit.person, visit.visit)).or_insert_with(Vec::new).push(party(member));
            }
        }
        let (lines, persons, merged) = read_all(&shape(), &parts);
        assert!(persons.is_sorted(), "seed {seed}");
        let mut expected: BTreeMap<Name, Rows> = parts.keys().map(|member| (member.clone(), Rows(0))).collect();
        for members in stated.values_mut() {
            members.sort();
            members[1..].iter().for_each(|member| expected.get_mut(member).unwrap().0 += 1);
        }
        assert_eq!((lines.len(), merged), (stated.len(), expected), "seed {seed}");
        for line in lines {
            let cells: Vec<&str> = line.split(',').collect();
            let stands = &stated[&(cells[1].parse().unwrap(), cells[0].parse().unwrap())][0];
            assert_eq!(cells[9], stands.as_str(), "seed {seed}");
        }
    }
}

// CONS-6
#[test]
fn of_one_members_rows_that_of_the_first_source_stands() {
    let mut rows = some_visits();
    let twin = |source| Visit { visit: 500, person: 1, note: None, value: None, source, origin: 0 };
    for (row, source) in [(100, "pharmacy"), (101, "admissions"), (102, "laboratory")] {
        rows.insert(row, twin(source));
    }
    let parts = BTreeMap::from([(party("north"), Site::new("north", vec![full(&rows)]).gather().unwrap().files)]);
    let (lines, _, merged) = read_all(&shape(), &parts);
    assert_eq!((lines.len(), merged), (31, BTreeMap::from([(party("north"), Rows(2))])));
    let stands: Vec<&String> = lines.iter().filter(|line| line.starts_with("500,")).collect();
    assert!(matches!(stands[..], [one] if one.contains(",admissions,")), "{stands:?}");
}

#[test]
fn without_a_key_every_row_stands_and_without_a_patient_members_follow_one_another() {
    let rows = some_visits();
    for person in [Some(name("person_id")), None] {
        let shape: TableShape = TableFields { key: Vec::new(), person, ..fields() }.try_into().unwrap();
        let mut parts = BTreeMap::new();
        for member in ["south", "north"] {
            let mut site = Site::new(member, vec![full(&rows)]);
            site.shape = shape.clone();
            parts.insert(party(member), site.gather().unwrap().files);
        }
        let (lines, persons, merged) = read_all(&shape, &parts);
        assert_eq!((lines.len(), merged.values().map(|rows| rows.0).sum::<u64>()), (60, 0));
        if shape.person().is_some() {
            assert!(persons.is_sorted());
        } else {
            assert!(lines[..30].iter().all(|line| line.contains(",north,")));
        }
    }
}

fn refused(change: impl FnOnce(&mut Vec<(&'static str, ArrayRef)>)) -> ConsolidateFault {
    let mut columns = landed_columns(some_visits().iter());
    change(&mut columns);
    let part = LandedPart { rows: handle(parquet_file(columns)), deletes: None };
    Site::new("north", vec![part]).gather().err().unwrap()
}

// CONS-7
#[test]
fn what_is_not_of_the_common_schema_is_refused_by_its_place() {
    let rows = some_visits();
    let replace = |place: usize, array: ArrayRef| refused(|columns| columns[place].1 = array);
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1; 30]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["CANARY"; 30]));
    let unknown = refused(|columns| columns.push(("extra", numbers.clone())));
    assert_eq!(unknown, ConsolidateFault::ColumnUnknown(name("extra")));
    let missing = refused(|columns| drop(columns.remove(1)));
    assert_eq!(missing, ConsolidateFault::ColumnMissing(name("visit_id")));
    let missing = refused(|columns| drop(columns.pop()));
    assert_eq!(missing, ConsolidateFault::ColumnMissing(name("cohortium_origin")));
    assert_eq!(replace(1, texts), ConsolidateFault::ColumnKind(name("visit_id")));
    assert_eq!(replace(3, numbers), ConsolidateFault::ColumnKind(name("note")));
    let zoned = TimestampMicrosecondArray::from(vec![0; 30]).with_timezone("UTC");
    assert_eq!(replace(6, Arc::new(zoned)), ConsolidateFault::ColumnKind(name("at")));
    let holes: Int64Array = (0..30).map(|row| (row != 17).then_some(row)).collect();
    let at = |row, column: &str| (0, row, name(column));
    let (part, row, column) = at(16, "person_id");
    assert_eq!(replace(2, Arc::new(holes)), ConsolidateFault::ValueMissing { part, row, column });
    let nanos: Vec<i64> = (0..30).map(|row| if row == 20 { 1 } else { row * 1_000 }).collect();
    let (part, row, column) = at(19, "at");
    let nanos = replace(6, Arc::new(arrow::array::TimestampNanosecondArray::from(nanos)));
    assert_eq!(nanos, ConsolidateFault::Value { part, row, column });
    assert_eq!(nanos.to_string(), "snapshot 0, row 19 or after: a value of column at does not fit its type");
    let mut site = Site::new("north", vec![full(&rows)]);
    site.snapshots.clear();
    assert_eq!(site.gather().err(), Some(ConsolidateFault::Snapshots { named: 0, landed: 1 }));
    let site = Site::new("north", vec![full(&rows)]);
    let built = site.gather().unwrap();
    assert_eq!(site.merge(&built, 1).err(), Some(ConsolidateFault::Snapshots { named: 2, landed: 1 }));
}

#[test]
fn a_column_that_has_not_landed_is_named_and_is_as_one_without_values() {
    let mut rows = some_visits();
    for visit in rows.values_mut() {
        visit.value = None;
    }
    let mut site = Site::new("north", vec![full(&rows)]);
    assert_eq!(site.gather().unwrap().report.absent, []);
    let mut columns = landed_columns(rows.iter());
    columns.retain(|(column, _)| *column != "value");
    site.chain.full.rows = handle(parquet_file(columns));
    let built = site.gather().unwrap();
    assert_eq!((built.report.absent, built.report.digest), (vec![name("value")], expected("north", &rows)));
}

#[test]
fn what_is_too_much_is_refused_at_its_limit() {
    let rows = some_visits();
    let limited = |limits: Limits| {
        let mut site = Site::new("north", vec![full(&rows)]);
        site.limits = limits;
        site.gather().err()
    };
    let limits = Limits::default();
    assert_eq!(limited(Limits { rows_max: 30, ..limits }), None);
    assert!(limited(Limits { rows_max: 29, ..limits }).is_some());
    let max = 1_000;
    let bytes = limited(Limits { sorted_bytes_max: max, ..limits });
    assert_eq!(bytes, Some(ConsolidateFault::TooManyBytes { max }));
    // Two snapshots within the limit each, and more than it together.
    let more: Visits = (30..60).map(|row| (row, random_visit(&mut Random(row), row))).collect();
    let written = LandedPart { rows: full(&more).rows, deletes: None };
    let mut site = Site::new("north", vec![full(&rows), written]);
    let before = Site::new("north", vec![full(&rows)]).gather().unwrap();
    site.limits.rows_max = 40;
    assert_eq!(site.gather().err(), Some(ConsolidateFault::TooManyRows { max: 40 }));
    assert_eq!(site.merge(&before, 0).err(), Some(ConsolidateFault::TooManyRows { max: 40 }));
}

#[test]
fn a_part_that_is_none_or_out_of_order_is_refused() {
    let rows = some_visits();
    let site = Site::new("north", vec![full(&rows)]);
    let built = site.gather().unwrap();
    let landed = [site.chain.full.rows.clone()];
    assert_eq!(digest(&site.shape, &site.member, &landed, &site.limits).err(), Some(ConsolidateFault::NotAPart));
    let turned: Vec<Handle> = built.files.iter().rev().cloned().collect();
    let parts = BTreeMap::from([(party("north"), turned.clone())]);
    let mut reader = TableReader::open(&site.shape, &parts, &site.limits).unwrap();
    let fault = std::iter::from_fn(|| reader.next_batch().transpose()).find_map(Result::err);
    assert_eq!(fault, Some(ConsolidateFault::Disorder));
    let mut site = site;
    site.limits.part_base_rows_min = 4_096;
    let fault = site.merge(&Built { report: built.report, files: turned }, 0).err();
    assert_eq!(fault, Some(ConsolidateFault::Disorder));
}
