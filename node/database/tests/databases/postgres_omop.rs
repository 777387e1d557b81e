//! The official tables of OMOP CDM 5.4 load, and rows of ours land in them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use cohortium_database::fault::Reason;
use cohortium_database::land::{Absent, LandFault, Landing, Target};
use cohortium_database::limits::Limits;
use cohortium_database::query::TableName;

use crate::postgres::postgres;
use crate::room::say;

/// The official DDL for a schema of this name.
fn official(schema: &str) -> Option<String> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("COHORTIUM_DATA").map_or(data, PathBuf::from);
    let Ok(text) = fs::read_to_string(data.join("omop_spec/OMOPCDM_postgresql_5.4_ddl.sql")) else {
        say("skipped: ../shared/data/omop_spec is not there");
        return None;
    };
    Some(text.replace("@cdmDatabaseSchema", schema))
}

/// Days and microseconds of an ordinary day.
const DAY: i32 = 19_782;
const NOON: i64 = DAY as i64 * 86_400_000_000 + 43_200_000_000;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

fn longs(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn same(value: i64, rows: i64) -> ArrayRef {
    longs((0..rows).map(|_| value))
}

fn person(rows: i64) -> RecordBatch {
    let count = usize::try_from(rows).unwrap();
    batch(vec![
        ("person_id", longs(1..=rows)),
        ("gender_concept_id", same(8_507, rows)),
        ("year_of_birth", longs((0..rows).map(|row| 1_920 + row % 100))),
        ("birth_datetime", Arc::new(TimestampMicrosecondArray::from(vec![None; count]))),
        ("race_concept_id", same(0, rows)),
        ("ethnicity_concept_id", same(0, rows)),
        ("person_source_value", Arc::new(StringArray::from(vec!["züri \"7\"\n"; count]))),
    ])
}

fn visit(rows: i64) -> RecordBatch {
    let count = usize::try_from(rows).unwrap();
    batch(vec![
        ("visit_occurrence_id", longs(1..=rows)),
        ("person_id", longs(1..=rows)),
        ("visit_concept_id", same(9_201, rows)),
        ("visit_start_date", Arc::new(Date32Array::from(vec![DAY; count]))),
        ("visit_start_datetime", Arc::new(TimestampMicrosecondArray::from(vec![NOON; count]))),
        ("visit_end_date", Arc::new(Date32Array::from(vec![DAY + 1; count]))),
        ("visit_type_concept_id", same(32_817, rows)),
    ])
}

fn measurement(rows: i64) -> RecordBatch {
    let count = usize::try_from(rows).unwrap();
    let values =
        (0..rows).map(|row| if row % 3 == 0 { None } else { i32::try_from(row).ok().map(|row| f64::from(row) / 10.0) });
    batch(vec![
        ("measurement_id", longs(1..=rows)),
        ("person_id", longs(1..=rows)),
        ("measurement_concept_id", same(3_004_249, rows)),
        ("measurement_date", Arc::new(Date32Array::from(vec![DAY; count]))),
        ("measurement_type_concept_id", same(32_817, rows)),
        ("value_as_number", Arc::new(values.collect::<Float64Array>())),
        ("unit_source_value", Arc::new(StringArray::from(vec![Some("mmHg"); count]))),
    ])
}

fn target(table: &str, batch: &RecordBatch) -> Target {
    let table = TableName { schema: Some("cdm".to_owned()), table: table.to_owned() };
    Target { table, schema: batch.schema(), absent: Absent::Refuse }
}

#[test]
fn the_official_tables_load_and_take_our_rows() {
    let Some(server) = postgres() else { return };
    let Some(ddl) = official("cdm") else { return };
    let database = server.database("omop");
    let path = std::env::temp_dir().join(format!("cohortium-omop-{}.sql", std::process::id()));
    fs::write(&path, ddl).unwrap();
    server.sql(&database, "CREATE SCHEMA cdm");
    server.file(&database, &path);
    fs::remove_file(&path).unwrap();
    let made = server.sql(&database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'cdm'");
    assert_eq!(made.trim(), "39");
    let login = server.login(&database);
    for rows in [300, 200] {
        let batches = [person(rows), visit(rows), measurement(rows)];
        let targets: Vec<Target> = ["person", "visit_occurrence", "measurement"]
            .iter()
            .zip(&batches)
            .map(|(table, batch)| target(table, batch))
            .collect();
        let mut landing = Landing::begin(server.stream(), &login, &Limits::default(), &targets).unwrap();
        for (place, batch) in batches.iter().enumerate() {
            landing.write(place, batch).unwrap();
        }
        assert_eq!(landing.commit(), Ok(vec![u64::try_from(rows).unwrap(); 3]));
    }
    let joined = "SELECT count(*), sum(m.value_as_number), min(v.visit_start_datetime), max(v.visit_end_date), \
                  min(p.person_source_value) FROM cdm.person p JOIN cdm.visit_occurrence v USING (person_id) \
                  JOIN cdm.measurement m USING (person_id)";
    let expected: i32 = (0..200).filter(|row| row % 3 != 0).sum();
    let sum = format!("{}.{}", expected / 10, expected % 10);
    assert_eq!(
        server.sql(&database, joined).trim_end_matches('\n'),
        format!("200|{sum}|2024-02-29 12:00:00|2024-03-01|züri \"7\"")
    );
    // An id of 63 bits does not fit the official integer, and is not cut to fit.
    let wide = batch(vec![
        ("person_id", longs(std::iter::once(1 << 40))),
        ("gender_concept_id", same(0, 1)),
        ("year_of_birth", same(1_950, 1)),
        ("race_concept_id", same(0, 1)),
        ("ethnicity_concept_id", same(0, 1)),
    ]);
    let mut landing = Landing::begin(server.stream(), &login, &Limits::default(), &[target("person", &wide)]).unwrap();
    let Err(LandFault::Cell { fault, .. }) = landing.write(0, &wide) else { panic!("it is taken") };
    assert_eq!((fault.column.as_str(), fault.reason), ("person_id", Reason::OutOfRange));
}
