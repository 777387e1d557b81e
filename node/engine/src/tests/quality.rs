//! The report that a member has before anything leaves is the one that the operator computes from what has landed.

use std::io::Write;

use arrow::array::{Date32Array, Float64Array, Int64Array, StringArray};
use cohortium_protocol::ident::SnapshotId;
use cohortium_protocol::record::allowance::Allowance;
use cohortium_schema::gate::{Checks, Measured, Outcome, Report, RunOutcome, Thresholds};
use cohortium_schema::schema::CommonSchema;

use super::*;
use crate::consolidate::gather::{GatherJob, gather};
use crate::consolidate::quality::{SiteTable, measure};
use crate::consolidate::shape::TableShape;

const SCHEMA: &str = r#"
name = "stays"
version = "1"
[[table]]
name = "lab"
field = [
  { name = "lab_id", kind = "integer", required = true, primary_key = true, role = "quasi-identifier" },
  { name = "person_id", kind = "integer", required = true, role = "quasi-identifier" },
  { name = "day", kind = "date", required = true, role = "quasi-identifier" },
  { name = "value", kind = "float", role = "measure" },
  { name = "note", kind = "text", role = "free-text" },
]
"#;

fn mapped_table(rows: i64) -> Vec<u8> {
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; usize::try_from(rows).unwrap()])) };
    let value = |row: i64| (row % 7 > 0).then(|| 5.0 + f64::from(i32::try_from(row % 90).unwrap()) * 0.123_456_789);
    parquet_file(vec![
        ("lab_id", Arc::new((0..rows).collect::<Int64Array>())),
        ("person_id", Arc::new((0..rows).map(|row| row % 40).collect::<Int64Array>())),
        ("day", Arc::new((0..rows).map(|row| Some(i32::try_from(row % 400).unwrap())).collect::<Date32Array>())),
        ("value", Arc::new((0..rows).map(value).collect::<Float64Array>())),
        ("note", text("a note that stays")),
        ("cohortium_source", text("labs")),
        ("cohortium_origin", text(&"0a".repeat(16))),
    ])
}

/// The terms under which the table leaves: measures rounded, the note not at all.
fn terms(digits: i8) -> Terms {
    let mut terms = Terms::parquet("lab_id person_id day value -note cohortium_source cohortium_origin", "lab_id");
    for (of, kind) in [
        ("lab_id", ColumnType::Integer),
        ("person_id", ColumnType::Integer),
        ("day", ColumnType::Date),
        ("value", ColumnType::Float),
    ] {
        terms = terms.kind(of, kind);
    }
    terms.treat("value", Treatment::Round(digits))
}

struct Shared {
    schema: CommonSchema,
    shape: TableShape,
    checks: Checks,
}

impl Shared {
    fn new() -> Self {
        let schema = CommonSchema::parse(SCHEMA).unwrap();
        let shape = TableShape::of(&schema, &"lab".parse().unwrap()).unwrap();
        let checks = Checks::declared(&schema);
        Self { schema, shape, checks }
    }

    fn measured(&self, table: SiteTable<'_>) -> Measured {
        measure(&self.schema, &self.checks, &[(self.shape.clone(), table)], &Limits::default()).unwrap()
    }

    /// Before anything leaves.
    fn at_the_member(&self, terms: &Terms, table: &Handle) -> Measured {
        self.measured(SiteTable::Mapped { job: terms.job(), table })
    }

    /// Taken, landed and gathered.
    fn at_the_operator(&self, terms: &Terms, table: &Handle) -> Measured {
        let taken = terms.take_handle(table, None).unwrap();
        let chain = chain(&[&taken]);
        let snapshots = [SnapshotId([7; 32])];
        let member = "north".parse().unwrap();
        let limits = Limits { part_file_rows: 90, ..Limits::default() };
        let job = GatherJob { shape: &self.shape, member: &member, chain: &chain, snapshots: &snapshots, limits };
        let mut files = vec![Vec::new(); 9];
        let report = gather(&job, &mut files.iter_mut().map(|file| file as &mut (dyn Write + Send))).unwrap();
        let files: Vec<Handle> = files.into_iter().take(report.files.len()).map(handle).collect();
        assert!(files.len() > 1, "several files");
        self.measured(SiteTable::Part(&files))
    }
}

fn report(measured: &Measured) -> Report {
    Report::new(measured, &Thresholds::default(), &Allowance::default()).unwrap()
}

// QUAL-1
#[test]
fn a_member_and_the_operator_have_one_digest() {
    let shared = Shared::new();
    for (rows, digits) in [(300, 4), (300, 0), (120, -1)] {
        let (terms, table) = (terms(digits), handle(mapped_table(rows)));
        let (here, there) = (shared.at_the_member(&terms, &table), shared.at_the_operator(&terms, &table));
        assert_eq!(report(&here).digest(), report(&there).digest(), "{rows} rows, {digits} digits");
        assert_eq!(here.tables[0].missing["note"], u64::try_from(rows).unwrap(), "what stays has no value");
        assert!(here.tables[0].histograms[0].bins.len() > 1);
        // A row, or a digit, that one of them does not have shows.
        let fewer = shared.at_the_operator(&terms, &handle(mapped_table(rows - 1)));
        assert_ne!(report(&here).digest(), report(&fewer).digest());
    }
    let table = handle(mapped_table(300));
    let (fine, coarse) = (shared.at_the_member(&terms(4), &table), shared.at_the_operator(&terms(-1), &table));
    assert_ne!(report(&fine).digest(), report(&coarse).digest(), "under other terms other rows leave");
}

#[test]
fn what_was_counted_is_judged_again_by_other_thresholds() {
    let shared = Shared::new();
    let measured = shared.at_the_member(&terms(4), &handle(mapped_table(300)));
    // As it is kept beside a set.
    let kept: Measured = serde_json::from_str(&serde_json::to_string(&measured).unwrap()).unwrap();
    assert_eq!(report(&kept), report(&measured));
    let mut broken = kept.clone();
    for measure in broken.measures.iter_mut().filter(|measure| measure.name == "isRequired") {
        measure.count = cohortium_schema::gate::Count::Of { violated: 3, applicable: 300 };
    }
    let judged = |thresholds: &str| {
        Report::new(&broken, &Thresholds::parse(thresholds).unwrap(), &Allowance::default()).unwrap()
    };
    assert_eq!(judged("").outcome, RunOutcome::Fail);
    assert_eq!(judged("isRequired = 1.0").outcome, RunOutcome::Pass);
    let failed = judged("isRequired = 0.5");
    assert!(failed.checks.iter().any(|check| check.outcome == Outcome::Fail));
}
