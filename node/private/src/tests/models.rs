//! Linear models of public data: length of stay, and readmission within 30 days.

use std::collections::BTreeMap;

use cohortium_protocol::quantity::Rho;

use crate::{
    account::{Cost, Purse, rho_within},
    model::{
        design::{Design, Feature, Range, Value},
        fit::{Coefficient, Linear, fit},
    },
    tests::data,
};

type Record = BTreeMap<String, String>;

fn rho_of(epsilon: f64) -> Rho {
    rho_within(epsilon, Cost::ceiling(0.0, 1e-6).unwrap().delta).unwrap()
}

fn number(low: f64, high: f64) -> Feature {
    Feature::Number(Range::new(low, high).unwrap())
}

fn parsed(record: &Record, column: &str) -> Value {
    Value::Number(record[column].trim_end_matches('+').parse().ok())
}

fn category(record: &Record, column: &str, values: &[&str]) -> Value {
    Value::Category(values.iter().position(|value| *value == record[column]))
}

/// Names of the coefficients, the design, and the exact sums.
struct Case {
    name: &'static str,
    entries: Vec<&'static str>,
    design: Design,
    sums: Vec<i64>,
}

fn case(
    name: &'static str,
    entries: &[&'static str],
    design: Design,
    rows: impl Iterator<Item = (Vec<Value>, Option<f64>)>,
) -> Case {
    let rows: Vec<Vec<i64>> = rows.map(|(cells, outcome)| design.whole(&cells, outcome)).collect();
    let sums = design.sums(rows.iter().map(Vec::as_slice));
    Case { name, entries: entries.to_vec(), design, sums }
}

fn stays() -> Option<Case> {
    let text = data::text("los/LengthOfStay-IaaSDemo.csv", None)?;
    let records = data::records(&text, "eid");
    let features =
        vec![number(0.0, 5.0), Feature::Category(1), Feature::Category(1), number(0.0, 10.0), number(15.0, 50.0)];
    let design = Design::new(features, Range::new(1.0, 17.0).unwrap()).unwrap();
    let rows = records.iter().map(|record| {
        let cells = vec![
            parsed(record, "rcount"),
            category(record, "gender", &["M"]),
            category(record, "psychologicaldisordermajor", &["1"]),
            parsed(record, "secondarydiagnosisnonicd9"),
            parsed(record, "bmi"),
        ];
        (cells, record["lengthofstay"].parse().ok())
    });
    let entries = ["constant", "earlier stays", "male", "psychological disorder", "diagnoses", "bmi"];
    Some(case("length of stay", &entries, design, rows))
}

fn readmissions() -> Option<Case> {
    let text = data::text("diabetes130/dataset_diabetes.zip", Some("dataset_diabetes/diabetic_data.csv"))?;
    let records = data::records(&text, "patient_nbr");
    let features =
        vec![number(1.0, 14.0), number(0.0, 5.0), number(1.0, 9.0), Feature::Category(1), Feature::Category(2)];
    let design = Design::new(features, Range::new(0.0, 1.0).unwrap()).unwrap();
    let rows = records.iter().map(|record| {
        let cells = vec![
            parsed(record, "time_in_hospital"),
            parsed(record, "number_inpatient"),
            parsed(record, "number_diagnoses"),
            category(record, "diabetesMed", &["Yes"]),
            category(record, "insulin", &["Up", "Down"]),
        ];
        (cells, Some(f64::from(u8::from(record["readmitted"] == "<30"))))
    });
    let entries = ["constant", "days", "inpatient visits", "diagnoses", "medication", "insulin up", "insulin down"];
    Some(case("readmission within 30 days", &entries, design, rows))
}

fn exact(case: &Case) -> Vec<Coefficient> {
    let unit = crate::model::design::UNIT as f64;
    let moments: Vec<f64> = case.sums.iter().map(|sum| *sum as f64 / (unit * unit)).collect();
    fit(&case.design, &moments, 0.0, 0.95).coefficients
}

// PRIV-8, PRIV-13
#[test]
fn intervals_of_coefficients_hold_what_the_rows_give_without_noise() {
    for case in [stays(), readmissions()].into_iter().flatten() {
        let exact = exact(&case);
        for epsilon in [1.0, 3.0] {
            let plan = Linear::within(case.design.clone(), 1, rho_of(epsilon)).unwrap();
            let runs = 3_000;
            let (mut inside, mut seen, mut last) = (0_u32, 0_u32, Vec::new());
            for _ in 0..runs {
                let fitted = plan.release(&mut Purse::of(plan.cost()), &case.sums, 0.95).unwrap();
                for (found, exact) in fitted.coefficients.iter().zip(&exact) {
                    inside += u32::from((found.value - exact.value).abs() <= found.noise_half_width);
                    seen += 1;
                    assert!(found.half_width >= found.noise_half_width);
                }
                last = fitted.coefficients;
            }
            let share = f64::from(inside) / f64::from(seen);
            println!("{} at epsilon {epsilon}: coverage {share:.4} of 95 % over {runs} releases", case.name);
            for ((name, found), exact) in case.entries.iter().zip(&last).zip(&exact) {
                println!(
                    "  {name}: {:.4} +- {:.4} (noise {:.4}), without noise {:.4} +- {:.4}",
                    found.value, found.half_width, found.noise_half_width, exact.value, exact.half_width
                );
            }
            assert!(share >= 0.92, "{share}");
        }
    }
}

// PRIV-7
#[test]
fn sums_at_the_ends_of_their_type_give_a_model_and_say_nothing() {
    let design = Design::new(vec![number(0.0, 1.0)], Range::new(0.0, 1.0).unwrap()).unwrap();
    let plan = Linear::within(design, 1, rho_of(1.0)).unwrap();
    for sums in [[i64::MIN; 6], [i64::MAX; 6], [0; 6]] {
        let fitted = plan.release(&mut Purse::of(plan.cost()), &sums, 0.95).unwrap();
        assert_eq!(fitted.coefficients.len(), 2);
        assert!(fitted.coefficients.iter().all(|found| !found.value.is_nan() && !found.half_width.is_nan()));
    }
    assert!(plan.release(&mut Purse::of(plan.cost()), &[0; 5], 0.95).is_err());
}
