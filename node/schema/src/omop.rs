//! OMOP CDM 5.4, generated from the official lists by `generate.py`.

use crate::schema::CommonSchema;

/// The tables as generated.
const TABLES: &str = include_str!("../omop-5.4.toml");

/// OMOP CDM 5.4: person, `observation_period`, `visit_occurrence`, `condition_occurrence`, `drug_exposure`,
/// `procedure_occurrence`, measurement, death, observation, `cdm_source`.
///
/// # Panics
/// Never: a test parses what is checked in.
pub fn omop_5_4() -> CommonSchema {
    CommonSchema::parse(TABLES).expect("the generated schema is one")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use arrow::datatypes::{DataType, TimeUnit};

    use super::*;
    use crate::schema::Reference;

    #[test]
    fn the_generated_schema_has_the_official_tables_fields_and_types() {
        let schema = omop_5_4();
        let fields = |table: &str| schema.table(table).unwrap().fields.len();
        let sizes = [("person", 18), ("observation_period", 5), ("visit_occurrence", 17), ("condition_occurrence", 16)];
        assert_eq!(sizes.map(|(table, _)| (table, fields(table))), sizes);
        let more = [("drug_exposure", 23), ("procedure_occurrence", 16), ("measurement", 23), ("death", 7)];
        assert_eq!(more.map(|(table, _)| (table, fields(table))), more);
        assert_eq!((fields("observation"), fields("cdm_source"), schema.tables().len()), (21, 11, 10));
        let measurement = schema.arrow("measurement").unwrap();
        let kind = |name: &str| measurement.field_with_name(name).unwrap().data_type().clone();
        assert_eq!(kind("measurement_id"), DataType::Int64);
        assert_eq!(kind("measurement_date"), DataType::Date32);
        assert_eq!(kind("measurement_datetime"), DataType::Timestamp(TimeUnit::Microsecond, None));
        assert_eq!(kind("value_as_number"), DataType::Float64);
        assert_eq!(kind("unit_source_value"), DataType::Utf8);
        assert!(!measurement.field_with_name("person_id").unwrap().is_nullable());
        let field = |name: &str| schema.table("visit_occurrence").unwrap().field(name).unwrap();
        assert_eq!(field("visit_source_value").length_max, Some(50));
        assert_eq!(field("visit_concept_id").reference, Reference::Concept(Some("Visit".to_owned())));
        assert!(matches!(&field("provider_id").reference, Reference::LeftOut(to) if to.table == "provider"));
        let order: Vec<_> = schema.in_order().map(|table| table.name.as_str()).collect();
        let place = |name: &str| order.iter().position(|table| *table == name);
        assert!(place("person") < place("visit_occurrence") && place("visit_occurrence") < place("measurement"));
    }

    #[test]
    fn what_is_checked_in_is_what_the_official_lists_make() {
        let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let data = std::env::var_os("COHORTIUM_DATA").map_or(package.join("../../../shared/data"), PathBuf::from);
        let lists = data.join("omop_spec");
        if !lists.is_dir() {
            println!("skipped: ../shared/data/omop_spec is not there");
            return;
        }
        let out = tempfile::tempdir().unwrap();
        let script = package.join("generate.py");
        let status = Command::new("python3").arg(script).arg(&lists).arg(out.path()).status().unwrap();
        assert!(status.success());
        for name in ["omop-5.4.toml", "omop-5.4-checks.toml"] {
            let made = std::fs::read(out.path().join(name)).unwrap();
            assert!(made == std::fs::read(package.join(name)).unwrap(), "{name} is not what generate.py makes");
        }
    }
}
