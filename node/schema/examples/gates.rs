//! What the quality gates cost a row: made-up persons and measurements, in the mapping's order and mixed.
//!
//! `cargo run --release -p cohortium-schema --example gates [ROWS]`

#![expect(clippy::unwrap_used, reason = "an example may fail")]

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema};
use cohortium_schema::gate::{Checks, Gates};
use cohortium_schema::omop::omop_5_4;

const BATCH: i64 = 8_192;

/// A 63-bit id that has no order: the finaliser of splitmix64 (Vigna 2015).
fn id(of: i64) -> i64 {
    let mut z = of.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 1).cast_signed()
}

fn batch(table: &str, rows: i64, columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let schema = omop_5_4();
    let fields = &schema.table(table).unwrap().fields;
    let arrays: Vec<ArrayRef> = fields
        .iter()
        .map(|field| {
            let given = columns.iter().find(|(name, _)| *name == field.name).map(|(_, array)| array.clone());
            given.unwrap_or_else(|| new_null_array(&field.kind.arrow(), usize::try_from(rows).unwrap()))
        })
        .collect();
    let field = |(field, array): (&cohortium_schema::schema::Field, &ArrayRef)| {
        Field::new(&field.name, DataType::clone(array.data_type()), true)
    };
    let fields: Vec<Field> = fields.iter().zip(&arrays).map(field).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn measurements(first: i64, person: impl Fn(i64) -> i64) -> RecordBatch {
    let rows = first..first + BATCH;
    let ids = |of: &dyn Fn(i64) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.clone().map(of))) };
    let values = rows.clone().map(|row| f64::from(u8::try_from(row % 251).unwrap()) / 7.0);
    let days = rows.clone().map(|row| i32::try_from(row % 3_650 + 15_000).unwrap());
    let source = rows.clone().map(|row| ["glucose", "sodium", "creatinine"][usize::try_from(row % 3).unwrap()]);
    batch(
        "measurement",
        BATCH,
        &[
            ("measurement_id", ids(&id)),
            ("person_id", ids(&|row| id(-1 - person(row)))),
            ("measurement_concept_id", ids(&|row| 3_000_000 + row % 3)),
            ("measurement_date", Arc::new(Date32Array::from_iter_values(days))),
            ("measurement_type_concept_id", ids(&|_| 32_817)),
            ("value_as_number", Arc::new(Float64Array::from_iter_values(values))),
            ("unit_concept_id", ids(&|row| 8_000 + row % 3)),
            ("visit_occurrence_id", ids(&|row| id(person(row)))),
            ("measurement_source_value", Arc::new(StringArray::from_iter_values(source))),
            ("unit_source_value", Arc::new(StringArray::from_iter_values(rows.clone().map(|_| "mg/dL")))),
        ],
    )
}

fn main() {
    let rows: i64 = std::env::args().nth(1).map_or(4_000_000, |rows| rows.parse().unwrap());
    let schema = omop_5_4();
    for (what, mixed) in [("clustered by patient", false), ("patients mixed", true)] {
        let person = |row: i64| if mixed { id(row) % (rows / 40) } else { row / 40 };
        let batches: Vec<RecordBatch> = (0..64).map(|n| measurements(n * BATCH, person)).collect();
        let mut gates = Gates::new(&schema, &Checks::omop_5_4(&schema));
        let (began, mut seen) = (Instant::now(), 0);
        while seen < rows {
            for batch in &batches {
                gates.see("measurement", batch).unwrap();
                seen += BATCH;
            }
        }
        let passed = began.elapsed();
        let measured = gates.finish(None);
        let per_row = |time: std::time::Duration| time.as_nanos() / u128::from(seen.cast_unsigned());
        println!(
            "{what}: {seen} rows, {} ns a row, of these {} ns at the end; {} checks",
            per_row(began.elapsed()),
            per_row(began.elapsed().saturating_sub(passed)),
            measured.measures.len()
        );
    }
}
