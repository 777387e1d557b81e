//! Mappings, generated and shipped, are what the format asks for and name what their sources have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::form::{Headers, faults};
use super::*;
use crate::hospital::{Class, Dirt, Plan, generate, public};

fn sites() -> Vec<Site> {
    generate(&Plan { rows_per_site: 200, dirty_per_mille: 40, ..Plan::default() }).unwrap().sites
}

fn headers_of(site: &Site) -> Headers {
    let named = site.tables().map(|table| {
        let headers = table.columns.iter().map(|column| column.name.clone()).collect();
        (table.file_name.trim_end_matches(".csv").to_owned(), headers)
    });
    named.into()
}

fn one_source(name: &str, headers: &[&str]) -> Headers {
    BTreeMap::from([(name.to_owned(), headers.iter().map(|header| (*header).to_owned()).collect())])
}

/// The columns that a view makes, whatever their depth in it.
fn view_columns(view: &serde_json::Value, found: &mut BTreeSet<String>) {
    match view {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                if key == "column" {
                    let columns = value.as_array().into_iter().flatten();
                    found.extend(columns.filter_map(|column| column["name"].as_str()).map(str::to_owned));
                } else {
                    view_columns(value, found);
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| view_columns(item, found)),
        _ => {}
    }
}

fn views() -> Headers {
    let columns = |text: &str| {
        let mut found = BTreeSet::new();
        view_columns(&serde_json::from_str(text).unwrap(), &mut found);
        found
    };
    shipped::FHIR_VIEWS.map(|(name, view)| (name.to_owned(), columns(view))).into()
}

const NOTHING: [String; 0] = [];

#[test]
fn every_sites_mapping_is_well_formed_and_names_columns_of_its_files() {
    for site in sites() {
        assert_eq!(faults(&mapping_of(&site), &headers_of(&site)), NOTHING, "{}", site.name);
    }
}

#[test]
fn a_mapping_of_one_dialect_does_not_fit_another() {
    let sites = sites();
    for (site, other) in sites.iter().zip(sites.iter().skip(1)) {
        let found = faults(&mapping_of(site), &headers_of(other));
        assert!(found.len() > 20, "{} over the files of {}", site.name, other.name);
    }
}

#[test]
fn what_may_name_a_person_is_an_identifier_of_every_mapping() {
    for site in sites() {
        let mapping: toml::Table = mapping_of(&site).parse().unwrap();
        for table in site.tables() {
            let name = table.file_name.trim_end_matches(".csv");
            let listed: Vec<&str> = mapping["source"][name]["identifiers"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(toml::Value::as_str)
                .collect();
            for column in &table.columns {
                let plain = matches!(column.class, Class::QuasiIdentifier | Class::Plain);
                assert_eq!(listed.contains(&column.name.as_str()), !plain, "{} {name} {}", site.name, column.name);
            }
        }
    }
}

#[test]
fn every_clean_code_is_in_its_map_and_no_dirty_one() {
    let maps = [
        (TableKind::Patients, "sex", "sex"),
        (TableKind::Patients, "language", "language"),
        (TableKind::Encounters, "type", "visit"),
        (TableKind::Labs, "code", "loinc"),
        (TableKind::Diagnoses, "code", "diagnosis"),
        (TableKind::Diagnoses, "role", "role"),
    ];
    for site in sites() {
        let mapping: toml::Table = mapping_of(&site).parse().unwrap();
        let dirty: BTreeSet<(TableKind, String, &str)> = site
            .dirty_cells()
            .filter(|cell| cell.dirt == Dirt::UnknownCode)
            .map(|cell| (cell.table, cell.key, cell.column))
            .collect();
        for (kind, meaning, map) in maps {
            let codes = mapping["codes"][map].as_table().unwrap();
            let place = site.table(kind).position(meaning).unwrap();
            for row in site.rows(kind) {
                let cells: Vec<&str> = row.cells().collect();
                let known = codes.contains_key(cells[place]) || cells[place] == check_up(&site);
                let wrong = dirty.contains(&(kind, cells[0].to_owned(), meaning));
                assert_eq!(known, !wrong, "{} {meaning} {}", site.name, cells[place]);
            }
        }
    }
}

#[test]
fn shipped_mappings_are_well_formed_and_name_columns_of_their_sources() {
    let stays = "First,Middle,Last,eid,vdate,rcount,gender,dialysisrenalendstage,asthma,irondef,pneum,substancedependence,\
                 psychologicaldisordermajor,depress,psychother,fibrosisandother,malnutrition,hemo,hematocrit,neutrophils,\
                 sodium,glucose,bloodureanitro,creatinine,bmi,pulse,respiration,secondarydiagnosisnonicd9,discharged,facid,\
                 lengthofstay";
    let heart = "age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,target";
    let split = |line: &'static str| line.split(',').collect::<Vec<_>>();
    assert_eq!(faults(shipped::LENGTH_OF_STAY, &one_source("stays", &split(stays))), NOTHING);
    assert_eq!(faults(shipped::HEART, &one_source("heart", &split(heart))), NOTHING);
    assert_eq!(faults(shipped::FHIR, &views()), NOTHING);
    assert_eq!(faults(shipped::FHIR_OBSERVATIONS, &views()), NOTHING);
}

#[test]
fn shipped_mappings_fit_the_public_files_as_they_are() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !data.join("los").is_dir() {
        println!("skipped: no public data at ../shared/data");
        return;
    }
    let sets = [
        ("stays", shipped::LENGTH_OF_STAY, public::los(&data).unwrap()),
        ("heart", shipped::HEART, public::heart(&data).unwrap()),
    ];
    for (name, mapping, sites) in sets {
        for site in sites {
            let headers: Vec<&str> = site.columns.iter().map(|column| column.name.as_str()).collect();
            assert_eq!(faults(mapping, &one_source(name, &headers)), NOTHING, "{}", site.name);
        }
    }
}

#[test]
fn the_length_of_stay_mapping_is_short_enough_to_be_read() {
    let lines = shipped::LENGTH_OF_STAY.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    assert!(lines.count() <= 46);
}

#[test]
fn a_mapping_that_breaks_a_rule_is_not_well_formed() {
    let site = &sites()[0];
    let good = mapping_of(site);
    let cases = [
        ("version = 1", "version = 0", "no version"),
        ("schema = \"omop-cdm-5.4\"", "schema = \"omop-cdm-5.3\"", "another schema"),
        ("id = \"patient_id\"", "id = \"nobody\"", "source patients has no column nobody"),
        ("dataset = \"labs\"", "dataset = \"labs\"\nspeed = 1", "unknown key speed"),
        ("[source.vitals]", "[source.signs]", "no source vitals"),
        ("\"F\" = 8532", "\"F\" = \"8532\"", "F is no concept id"),
        ("map = \"sex\"", "map = \"sexes\"", "no code map sexes"),
        ("map = \"sex\" }", "map = \"sex\", otherwise = 0 }", "unknown key otherwise"),
        ("year_of_birth = ", "# ", "no year_of_birth"),
        ("month_of_birth = ", "month = ", "unknown key month"),
        ("table = \"person\"", "table = \"people\"", "no table people"),
        ("person(\"patient_id\")", "person(\"sex\")", "person() of sex, which is no pseudonym"),
        ("day(\"birth_date\"", "date(\"birth_date\"", "no function date"),
        ("day(\"birth_date\"", "day(\"born\"", "patients has no column born"),
        ("'{unit}'", "'{units}'", "a word in braces that no entry has"),
        ("race_concept_id = 0", "race_concept_id = true", "neither constant nor expression"),
        ("[codes.sex]", "[codes.sex", "no TOML"),
    ];
    for (from, to, fault) in cases {
        assert!(good.contains(from), "{from}");
        let found = faults(&good.replace(from, to), &headers_of(site));
        assert!(found.iter().any(|one| one.contains(fault)), "{from} -> {to}: {found:?}");
    }
    let (without_rules, _) = good.split_once("[[fact]]").unwrap();
    assert!(faults(without_rules, &headers_of(site)).contains(&"no rule".to_owned()));
}
