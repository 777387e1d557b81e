//! The gates as their callers use them: batches in, one report out.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Float64Array, Int64Array, StringArray, StringViewArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema};

use cohortium_protocol::ident::Name;
use cohortium_protocol::record::allowance::{Allowance, AllowanceFields};

use super::*;
use crate::omop::omop_5_4;
use crate::schema::Kind;

/// A batch of a table of OMOP: the given columns, and all others without a value.
fn batch(table: &str, columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let schema = omop_5_4();
    let rows = columns.first().map_or(0, |(_, array)| array.len());
    let given = |name: &str| columns.iter().find(|(column, _)| *column == name).map(|(_, array)| array.clone());
    let fields = &schema.table(table).unwrap().fields;
    assert!(columns.iter().all(|(name, _)| fields.iter().any(|field| field.name == *name)), "a column is misspelt");
    let arrays = fields.iter().map(|field| {
        let array = given(&field.name).unwrap_or_else(|| new_null_array(&field.kind.arrow(), rows));
        (field.name.clone(), array)
    });
    let arrays: Vec<_> = arrays.collect();
    let fields: Vec<_> = arrays.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    let arrays = arrays.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn ids(ids: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(ids.to_vec()))
}

fn maybe(ids: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(ids.to_vec()))
}

fn days(days: &[i32]) -> ArrayRef {
    Arc::new(Date32Array::from(days.to_vec()))
}

fn texts(texts: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

/// Five persons without a fault.
fn persons() -> RecordBatch {
    let five = |value: i64| ids(&[value; 5]);
    batch(
        "person",
        &[
            ("person_id", ids(&[1, 2, 3, 4, 5])),
            ("gender_concept_id", five(8_507)),
            ("year_of_birth", five(1970)),
            ("race_concept_id", five(0)),
            ("ethnicity_concept_id", five(0)),
        ],
    )
}

fn conditions(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    batch("condition_occurrence", columns)
}

fn measured(batches: &[(&str, RecordBatch)], vocabulary: Option<&dyn Concepts>) -> Measured {
    let schema = omop_5_4();
    let mut gates = Gates::new(&schema, &Checks::omop_5_4(&schema));
    for (table, batch) in batches {
        gates.see(table, batch).unwrap();
    }
    gates.finish(vocabulary)
}

fn count(measured: &Measured, id: &str) -> Count {
    measured.measures.iter().find(|measure| measure.id == id).unwrap_or_else(|| panic!("no check {id}")).count
}

fn of(violated: u64, applicable: u64) -> Count {
    Count::Of { violated, applicable }
}

fn finding<'a>(report: &'a Report, id: &str) -> &'a Finding {
    report.checks.iter().find(|check| check.id == id).unwrap()
}

/// A made-up vocabulary: 10 is a good condition, 11 of another domain, 12 not standard, 13 not valid.
struct MadeUp;

impl Concepts for MadeUp {
    fn release(&self) -> &'static str {
        "made up <1>"
    }

    fn concept(&self, id: i64) -> Option<Concept<'_>> {
        let domain = if id == 11 { "Drug" } else { "Condition" };
        (id == 0 || (10..14).contains(&id)).then_some(Concept { domain, standard: id != 12, valid: id != 13 })
    }
}

#[test]
fn the_checks_are_those_of_the_dashboard() {
    let checks = Checks::omop_5_4(&omop_5_4());
    let ours = ["observation", "cdm_source"];
    let eight = |check: &&Check| !ours.contains(&check.table.as_str()) && check.rule != Rule::Length;
    let of = |severity| checks.iter().filter(eight).filter(|check| check.severity == severity).count();
    assert_eq!((of(Severity::Fatal), of(Severity::Convention)), (312, 96), "as the dashboard counts for eight tables");
    let all = |severity| checks.iter().filter(|check| check.rule != Rule::Length && check.severity == severity).count();
    assert_eq!((all(Severity::Fatal), all(Severity::Convention), all(Severity::Characterization)), (383, 113, 167));
    assert_eq!(checks.iter().filter(|check| check.rule == Rule::Length).count(), 34);
    assert!(checks.iter().any(|check| check.id == "field_isrequired_person_gender_concept_id"));
}

#[test]
fn every_check_is_executed_once_there_are_rows_and_a_vocabulary() {
    let schema = omop_5_4();
    let batches: Vec<(&str, RecordBatch)> = schema
        .tables()
        .iter()
        .map(|table| {
            let columns = table.fields.iter().map(|field| {
                let array: ArrayRef = match field.kind {
                    Kind::Integer => ids(&[10]),
                    Kind::Float => Arc::new(Float64Array::from(vec![1.0])),
                    Kind::Date => days(&[0]),
                    Kind::Timestamp => Arc::new(TimestampMicrosecondArray::from(vec![0])),
                    Kind::Text | Kind::Boolean => texts(&[Some("x")]),
                };
                (field.name.as_str(), array)
            });
            (table.name.as_str(), batch(&table.name, &columns.collect::<Vec<_>>()))
        })
        .collect();
    let with = measured(&batches, Some(&MadeUp));
    let idle: Vec<_> = with.measures.iter().filter(|measure| !matches!(measure.count, Count::Of { .. })).collect();
    assert_eq!(idle, Vec::<&Measure>::new());
    let without = measured(&batches, None);
    let idle = without.measures.iter().filter(|measure| !matches!(measure.count, Count::Of { .. }));
    let idle: Vec<_> = idle.map(|measure| (measure.name.as_str(), measure.count)).collect();
    assert!(idle.iter().all(|(_, count)| *count == Count::NotApplicable(Unfit::NoVocabulary)));
    let named = |name| idle.iter().filter(|(idle, _)| *idle == name).count();
    let [keys, domain, standard] = ["isForeignKey", "fkDomain", "isStandardValidConcept"].map(named);
    assert_eq!((keys, domain, standard, idle.len()), (43, 24, 30, 97));
}

#[test]
fn tables_and_fields_that_are_not_there_are_counted() {
    let whole = persons();
    let without_year = whole.project(&[0, 1, 3, 4]).unwrap();
    let seen = measured(&[("person", without_year)], None);
    assert_eq!(count(&seen, "table_cdmtable_person"), of(0, 1));
    assert_eq!(count(&seen, "table_cdmtable_death"), of(1, 1));
    assert_eq!(count(&seen, "field_cdmfield_person_year_of_birth"), of(1, 1));
    assert_eq!(count(&seen, "field_cdmfield_person_person_id"), of(0, 1));
    assert_eq!(count(&seen, "field_isrequired_person_year_of_birth"), Count::NotApplicable(Unfit::FieldAbsent));
    assert_eq!(count(&seen, "field_isrequired_death_person_id"), Count::NotApplicable(Unfit::TableAbsent));
    let empty = measured(&[("person", whole.slice(0, 0))], None);
    assert_eq!(count(&empty, "table_cdmtable_person"), of(0, 1));
    assert_eq!(count(&empty, "field_isrequired_person_person_id"), Count::NotApplicable(Unfit::NoRows));
}

#[test]
fn missing_mistyped_and_overlong_values_are_counted_by_row() {
    let seen = measured(
        &[(
            "condition_occurrence",
            conditions(&[
                ("condition_occurrence_id", ids(&[1, 2, 3])),
                ("person_id", maybe(&[Some(1), None, None])),
                ("condition_concept_id", texts(&[Some("10"), None, Some("11")])),
                ("stop_reason", texts(&[Some(&"ä".repeat(20)), Some(&"ä".repeat(21)), None])),
            ]),
        )],
        Some(&MadeUp),
    );
    let at = |name: &str| count(&seen, &format!("field_{name}"));
    assert_eq!(at("isrequired_condition_occurrence_person_id"), of(2, 3));
    assert_eq!(at("isrequired_condition_occurrence_condition_occurrence_id"), of(0, 3));
    assert_eq!(at("measurevaluecompleteness_condition_occurrence_stop_reason"), of(1, 3));
    assert_eq!(at("textlength_condition_occurrence_stop_reason"), of(1, 3), "20 characters fit, whatever their bytes");
    assert_eq!(at("cdmdatatype_condition_occurrence_condition_concept_id"), of(2, 3));
    assert_eq!(at("fkdomain_condition_occurrence_condition_concept_id"), Count::Error(Unfit::WrongType));
}

#[test]
fn texts_are_measured_in_each_of_their_forms() {
    let long = "a".repeat(21);
    let values = vec![Some("a"), Some(long.as_str()), None];
    let forms: [ArrayRef; 3] = [
        Arc::new(StringArray::from(values.clone())),
        Arc::new(arrow::array::LargeStringArray::from(values.clone())),
        Arc::new(StringViewArray::from(values)),
    ];
    for form in forms {
        assert_eq!(overlong_rows(&form, 20).collect::<Vec<_>>(), [1]);
        assert_eq!((overlong(&form, 20), overlong(&form, 21)), (1, 0));
        let seen = measured(
            &[(
                "condition_occurrence",
                conditions(&[("condition_source_value", form), ("condition_concept_id", ids(&[0, 0, 7]))]),
            )],
            None,
        );
        let of_values = count(&seen, "field_sourcevaluecompleteness_condition_occurrence_condition_source_value");
        assert_eq!(of_values, of(2, 3), "no value counts as a value");
    }
}

#[test]
fn keys_and_references_are_exact_whatever_the_order_of_tables() {
    let facts = conditions(&[
        ("condition_occurrence_id", ids(&[7, 8, 7, 9])),
        ("person_id", ids(&[1, 5, 6, 6])),
        ("provider_id", maybe(&[None, None, None, Some(3)])),
        ("visit_occurrence_id", maybe(&[None, Some(70), None, None])),
    ]);
    let parts = |batch: &RecordBatch| vec![batch.slice(0, 1), batch.slice(1, batch.num_rows() - 1)];
    let mut forward: Vec<(&str, RecordBatch)> = parts(&persons()).into_iter().map(|part| ("person", part)).collect();
    forward.extend(parts(&facts).into_iter().map(|part| ("condition_occurrence", part)));
    let backward: Vec<_> = forward.iter().rev().cloned().collect();
    let whole = vec![("condition_occurrence", facts), ("person", persons())];
    for batches in [&forward, &backward, &whole] {
        let seen = measured(batches, None);
        let at = |id: &str| count(&seen, id);
        assert_eq!(at("field_isprimarykey_condition_occurrence_condition_occurrence_id"), of(2, 4));
        assert_eq!(at("field_isprimarykey_person_person_id"), of(0, 5));
        assert_eq!(at("field_isforeignkey_condition_occurrence_person_id"), of(2, 4));
        assert_eq!(at("field_isforeignkey_condition_occurrence_provider_id"), of(1, 4), "a table that is left out");
        assert_eq!(
            at("field_isforeignkey_condition_occurrence_visit_occurrence_id"),
            of(1, 4),
            "a table that is absent"
        );
        assert_eq!(at("table_measurepersoncompleteness_condition_occurrence"), of(3, 5));
        assert_eq!(seen, measured(&forward, None));
    }
}

#[test]
fn concepts_are_held_against_the_vocabulary() {
    let facts = conditions(&[
        ("condition_occurrence_id", ids(&[1, 2, 3, 4, 5, 6])),
        ("condition_concept_id", ids(&[10, 11, 12, 13, 0, 99])),
        ("condition_source_value", texts(&[Some("a"), Some("a"), Some("b"), Some("c"), Some("d"), None])),
    ]);
    let at = |vocabulary: Option<&dyn Concepts>, name: &str| {
        let seen = measured(&[("condition_occurrence", facts.clone())], vocabulary);
        count(&seen, &format!("field_{name}_condition_occurrence_condition_concept_id"))
    };
    assert_eq!(at(Some(&MadeUp), "isforeignkey"), of(1, 6));
    assert_eq!(at(Some(&MadeUp), "fkdomain"), of(1, 6));
    assert_eq!(at(Some(&MadeUp), "isstandardvalidconcept"), of(2, 6));
    assert_eq!(at(Some(&MadeUp), "standardconceptrecordcompleteness"), of(1, 6));
    for name in ["isforeignkey", "fkdomain", "isstandardvalidconcept"] {
        assert_eq!(at(None, name), Count::NotApplicable(Unfit::NoVocabulary));
    }
    assert_eq!(at(None, "standardconceptrecordcompleteness"), of(1, 6), "this one needs none");
    let seen = measured(&[("condition_occurrence", facts.clone())], None);
    assert_eq!(count(&seen, "field_sourcevaluecompleteness_condition_occurrence_condition_source_value"), of(1, 5));
}

#[test]
fn an_end_before_its_start_is_counted() {
    let facts = conditions(&[
        ("condition_start_date", days(&[5, 5, 5, 5])),
        ("condition_end_date", Arc::new(Date32Array::from(vec![Some(4), Some(5), Some(6), None]))),
    ]);
    let seen = measured(&[("condition_occurrence", facts)], None);
    let id = "field_plausiblestartbeforeend_condition_occurrence_condition_start_date";
    assert_eq!(count(&seen, id), of(1, 3));
}

#[test]
fn a_threshold_decides_on_both_of_its_sides_and_can_change_afterwards() {
    let rows: Vec<Option<i64>> = (0..100).map(|row| (row >= 5).then_some(1)).collect();
    let facts = conditions(&[("condition_concept_id", maybe(&rows))]);
    let seen = measured(&[("condition_occurrence", facts)], None);
    let id = "field_isrequired_condition_occurrence_condition_concept_id";
    let outcome = |set: &str| {
        let report = Report::new(&seen, &Thresholds::parse(set).unwrap(), &Allowance::default()).unwrap();
        finding(&report, id).outcome
    };
    assert_eq!(outcome(""), Outcome::Fail);
    assert_eq!(outcome(&format!("{id} = 4.99")), Outcome::Fail);
    assert_eq!(outcome(&format!("{id} = 5")), Outcome::Pass);
    assert_eq!(outcome("isRequired = 5"), Outcome::Pass, "by its kind");
    assert_eq!(outcome(&format!("isRequired = 5\n{id} = 1")), Outcome::Fail, "its own before its kind's");
    let unknown = Report::new(&seen, &Thresholds::parse("isRequried = 5").unwrap(), &Allowance::default());
    assert_eq!(unknown, Err(ThresholdFault::Unknown { check: "isRequried".to_owned() }));
    for (value, fine) in [("0", true), ("100", true), ("100.1", false), ("-0.1", false), ("nan", false)] {
        assert_eq!(Thresholds::parse(&format!("isRequired = {value}")).is_ok(), fine, "{value}");
    }
}

#[test]
fn a_run_passes_passes_with_failures_or_fails() {
    let seen = measured(&[("person", persons())], None);
    let set =
        |text: &str| Report::new(&seen, &Thresholds::parse(text).unwrap(), &Allowance::default()).unwrap().outcome;
    assert_eq!(set(""), RunOutcome::Fail, "tables are not there");
    assert_eq!(set("cdmTable = 100"), RunOutcome::Pass);
    let race = "cdmTable = 100\nfield_standardconceptrecordcompleteness_person_race_concept_id = 99\n";
    assert_eq!(set(race), RunOutcome::PassWithFailures, "race is 0, a convention");
    let missing = "cdmTable = 100\nmeasureValueCompleteness = 99\n";
    assert_eq!(set(missing), RunOutcome::PassWithFailures, "values are missing, which is good to know");
    let mistyped = batch("person", &[("person_id", texts(&[Some("1")]))]);
    let seen = measured(&[("person", mistyped)], None);
    let borne = Thresholds::parse("cdmTable = 100\ncdmDatatype = 100\nisRequired = 100").unwrap();
    let report = Report::new(&seen, &borne, &Allowance::default()).unwrap();
    let error = finding(&report, "field_isprimarykey_person_person_id");
    assert_eq!((error.outcome, error.reason), (Outcome::Error, Some(Unfit::WrongType)));
    assert_eq!(report.outcome, RunOutcome::Fail, "a fatal check that could not be made is not passed");
}

#[test]
fn what_a_mapping_states_is_judged_by_and_shown() {
    let seen = measured(&[("person", persons())], None);
    let all: BTreeSet<Name> = omop_5_4().tables().iter().map(|table| table.name.parse().unwrap()).collect();
    let stated = |left_out: BTreeSet<Name>, thresholds: &[(&str, u16)]| {
        let thresholds = thresholds.iter().map(|(check, borne)| (check.parse().unwrap(), *borne)).collect();
        Allowance::try_from(AllowanceFields { left_out, thresholds }).unwrap()
    };
    let report = |set: &str, stated: &Allowance| Report::new(&seen, &Thresholds::parse(set).unwrap(), stated).unwrap();
    let most: BTreeSet<Name> = all.iter().filter(|table| table.as_str() != "death").cloned().collect();
    let one_missing = report("", &stated(most, &[]));
    let fatal = one_missing.checks.iter().filter(|check| check.outcome == Outcome::Fail);
    assert_eq!(fatal.map(|check| check.id.as_str()).collect::<Vec<_>>(), ["table_cdmtable_death"]);
    assert_eq!(one_missing.outcome, RunOutcome::Fail);
    let none_missing = report("", &stated(all.clone(), &[]));
    assert_eq!(none_missing.outcome, RunOutcome::Pass);
    let death = finding(&none_missing, "table_cdmtable_death");
    assert_eq!((death.outcome, death.reason), (Outcome::NotApplicable, Some(Unfit::LeftOut)));
    let there = finding(&none_missing, "table_cdmtable_person");
    assert_eq!((there.outcome, there.applicable), (Outcome::Pass, 1), "a table that is there is looked at");
    // The mapping's thresholds come before the list's, and those that somebody sets now before the mapping's.
    let strict = stated(all, &[("measureValueCompleteness", 990)]);
    assert_eq!(report("", &strict).outcome, RunOutcome::PassWithFailures);
    assert_eq!(report("measureValueCompleteness = 100", &strict).outcome, RunOutcome::Pass);
    assert_ne!(report("", &strict).digest(), none_missing.digest());
    let page = report("", &strict).to_html("T");
    assert!(page.contains("left out by the mapping: ") && page.contains("measureValueCompleteness 99 %"), "{page}");
}

#[test]
fn the_digest_is_of_what_was_counted_and_measured_values_travel() {
    let facts = |concept: i64| conditions(&[("condition_concept_id", ids(&[concept, 1]))]);
    let report = |seen: &Measured| Report::new(seen, &Thresholds::default(), &Allowance::default()).unwrap();
    let seen = measured(&[("person", persons()), ("condition_occurrence", facts(1))], None);
    let again = measured(&[("condition_occurrence", facts(1)), ("person", persons())], None);
    let other = measured(&[("person", persons()), ("condition_occurrence", facts(0))], None);
    assert_eq!(report(&seen).digest(), report(&again).digest());
    assert_ne!(report(&seen).digest(), report(&other).digest());
    let travelled: Measured = serde_json::from_str(&serde_json::to_string(&seen).unwrap()).unwrap();
    assert_eq!(report(&travelled).digest(), report(&seen).digest());
}

#[test]
fn a_profile_counts_months_missing_values_and_bins() {
    let facts = batch(
        "measurement",
        &[
            ("measurement_concept_id", ids(&[3, 3, 3, 4])),
            ("unit_concept_id", maybe(&[Some(9), Some(9), None, Some(9)])),
            ("value_as_number", Arc::new(Float64Array::from(vec![Some(5.0), Some(5.1), Some(5.0), None]))),
            ("measurement_date", Arc::new(Date32Array::from(vec![Some(0), Some(31), Some(40), Some(i32::MAX)]))),
        ],
    );
    let seen = measured(&[("measurement", facts)], None);
    let [table] = &seen.tables[..] else { panic!("one table") };
    assert_eq!(
        (table.table.as_str(), table.rows, table.missing["unit_concept_id"], table.far),
        ("measurement", 4, 1, 1)
    );
    let months: Vec<_> = table.months.iter().map(|(month, rows)| (month.as_str(), *rows)).collect();
    assert_eq!(months, [("1970-01", 1), ("1970-02", 2)]);
    let keys: Vec<_> = table.histograms.iter().map(|h| (h.concept, h.unit, h.bins.values().sum::<u64>())).collect();
    assert_eq!(keys, [(3, 0, 1), (3, 9, 2)]);
}

#[test]
fn the_page_needs_nothing_else_and_shows_what_failed() {
    let facts = batch(
        "measurement",
        &[
            ("measurement_concept_id", ids(&[3; 3])),
            ("value_as_number", Arc::new(Float64Array::from(vec![5.0, 6.0, 7.0]))),
            ("measurement_date", days(&[0, 31, 400])),
            ("measurement_source_value", texts(&[Some("CANARY-7391"); 3])),
        ],
    );
    let seen = measured(&[("person", persons()), ("measurement", facts)], Some(&MadeUp));
    let report = Report::new(&seen, &Thresholds::default(), &Allowance::default()).unwrap();
    let page = report.to_html("Ward <7> & \"others\"");
    assert!(page.contains("<h1>Ward &lt;7&gt; &amp; &quot;others&quot;</h1>") && page.contains("made up &lt;1&gt;"));
    assert!(page.contains(&report.digest().to_string()) && page.matches("<svg").count() == 2);
    assert!(page.contains("1971-02") && page.contains("from 5: 1"));
    for word in ["<script", "http", "src=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
    for text in [page, report.to_json(), format!("{seen:?}")] {
        assert!(!text.contains("CANARY"), "no value of a cell stands in a report");
    }
}

#[test]
fn a_schema_of_ones_own_has_checks_too() {
    let text = "name = \"w\"\nversion = \"1\"\n[[table]]\nname = \"ward\"\n[[table.field]]\nname = \"ward_id\"\n\
                kind = \"integer\"\nrequired = true\nprimary_key = true\nrole = \"quasi-identifier\"\n\
                [[table.field]]\nname = \"name\"\nkind = \"text\"\nlength_max = 2\nrole = \"free-text\"\n";
    let schema = CommonSchema::parse(text).unwrap();
    let mut gates = Gates::new(&schema, &Checks::declared(&schema));
    let fields = vec![Field::new("ward_id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)];
    let columns = vec![ids(&[1, 1]), texts(&[Some("ab"), Some("abc")])];
    gates.see("ward", &RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()).unwrap();
    let bed = gates.see("bed", &RecordBatch::new_empty(Arc::new(Schema::empty())));
    assert_eq!(bed, Err(UnknownTable { table: "bed".to_owned() }));
    let seen = gates.finish(None);
    assert_eq!(count(&seen, "field_isprimarykey_ward_ward_id"), of(2, 2));
    assert_eq!(count(&seen, "field_textlength_ward_name"), of(1, 2));
    assert_eq!(seen.measures.len(), 8);
}

#[test]
fn checks_that_fit_nothing_are_refused() {
    let schema = omop_5_4();
    let parse = |check: &str| {
        let list = format!("schema = \"OMOP CDM\"\nversion = \"5.4\"\ncheck = [{check}]\n");
        Checks::parse(&list, &schema).map(|checks| checks.iter().count()).map_err(|fault| fault.to_string())
    };
    let good =
        "{ name = \"isRequired\", severity = \"fatal\", table = \"death\", field = \"person_id\", threshold = 0 }";
    assert_eq!(parse(good), Ok(1 + 34));
    assert!(parse(&format!("{good}, {good}")).unwrap_err().contains("twice"));
    for (from, to) in [
        ("isRequired", "isRequried"),
        ("death", "deaths"),
        ("person_id", "person"),
        ("isRequired", "isPrimaryKey"),
        ("isRequired", "fkDomain"),
        ("isRequired", "cdmTable"),
        ("isRequired", "measureObservationPeriodOverlap"),
    ] {
        assert!(parse(&good.replacen(from, to, 1)).unwrap_err().contains("fits nothing"), "{to}");
    }
    assert!(parse(&good.replacen("= 0", "= 101", 1)).unwrap_err().contains("0 to 100 per cent"));
    assert!(parse(&good.replacen("\"fatal\"", "\"bad\"", 1)).unwrap_err().contains("line 3"));
    assert!(matches!(
        Checks::parse("schema = \"x\"\nversion = \"1\"\ncheck = []\n", &schema),
        Err(CheckFault::OtherSchema { .. })
    ));
}

#[test]
fn what_is_remembered_is_bounded_and_said() {
    use crate::limits::{CONCEPTS_MAX, HISTOGRAMS_MAX, SOURCE_VALUE_BYTES_MAX, SOURCE_VALUES_MAX};
    let many = |count: usize| ids(&(1..=i64::try_from(count).unwrap()).collect::<Vec<_>>());
    let concepts = |count: usize| {
        let seen = measured(&[("condition_occurrence", conditions(&[("condition_concept_id", many(count))]))], None);
        count_of(&seen, "standardconceptrecordcompleteness_condition_occurrence_condition_concept_id")
    };
    assert_eq!(concepts(CONCEPTS_MAX), of(0, u64::try_from(CONCEPTS_MAX).unwrap()));
    assert_eq!(concepts(CONCEPTS_MAX + 1), Count::Error(Unfit::TooMany));
    let values = |values: ArrayRef| {
        let zeros = ids(&vec![0; values.len()]);
        let batch = conditions(&[("condition_source_value", values), ("condition_concept_id", zeros)]);
        let seen = measured(&[("condition_occurrence", batch)], None);
        count_of(&seen, "sourcevaluecompleteness_condition_occurrence_condition_source_value")
    };
    let numbers =
        |count: usize| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..count).map(|n| n.to_string()))) };
    let all = u64::try_from(SOURCE_VALUES_MAX).unwrap();
    assert_eq!(values(numbers(SOURCE_VALUES_MAX)), of(all, all));
    assert_eq!(values(numbers(SOURCE_VALUES_MAX + 1)), Count::Error(Unfit::TooMany));
    let long = "x".repeat(SOURCE_VALUE_BYTES_MAX);
    assert_eq!(values(texts(&[Some(&long)])), of(1, 1));
    assert_eq!(values(texts(&[Some(&long), Some("y")])), Count::Error(Unfit::TooMany));
    let left_out = |count: usize| {
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.0; count]));
        let batch = batch("measurement", &[("measurement_concept_id", many(count)), ("value_as_number", numbers)]);
        let seen = measured(&[("measurement", batch)], None);
        (seen.tables[0].histograms.len(), seen.tables[0].left_out)
    };
    assert_eq!((left_out(HISTOGRAMS_MAX), left_out(HISTOGRAMS_MAX + 2)), ((HISTOGRAMS_MAX, 0), (HISTOGRAMS_MAX, 2)));
}

fn count_of(measured: &Measured, field_check: &str) -> Count {
    count(measured, &format!("field_{field_check}"))
}
