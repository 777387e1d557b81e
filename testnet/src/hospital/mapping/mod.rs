//! The mapping of a generated hospital: how its files, in its dialect, become tables of the common schema.
//!
//! It is written as a person of that hospital would write it, from what the site says of its own files: headers, units,
//! codes, dates and marks of missing values. It reads no row, and knows nothing of dirty cells.

use std::fmt::Write as _;

use super::column::TableKind;
use super::dialect::{DateStyle, DiagnosisSystem, TemperatureUnit};
use super::row::{ROLES, SETTINGS};
use super::site::Site;

mod code;
#[cfg(test)]
mod form;
pub mod shipped;
#[cfg(test)]
mod tests;
mod words;

pub(super) use code::SEXES;
use code::{
    BODY_MASS_INDEX, CHECK_UP, CONDITIONS, DIAGNOSIS_ROLES, FROM_RECORD, LABS, LANGUAGES, Measured, PREFERRED_LANGUAGE,
    SIGNS, VISITS,
};
use words::{Words, quoted, toml};

/// The common schema of all generated mappings, as `name-version`.
pub const SCHEMA: &str = "omop-cdm-5.4";
/// When the files were exported: no patient is known to be observed longer.
const EXPORTED: &str = "2025-12-31";

/// The site's mapping, version 1.
pub fn mapping_of(site: &Site) -> String {
    let mut text = head(site);
    text.push_str(&sources(site));
    text.push_str(&codes(site));
    let words = |kind| Words::new(site, kind);
    text.push_str(&patients(&words(TableKind::Patients)));
    text.push_str(&encounters(&words(TableKind::Encounters)));
    text.push_str(&labs(&words(TableKind::Labs)));
    text.push_str(&vitals(&words(TableKind::Vitals), site.dialect.temperature));
    text.push_str(&diagnoses(&words(TableKind::Diagnoses), check_up(site)));
    text
}

fn check_up(site: &Site) -> &'static str {
    CHECK_UP[site.dialect.diagnoses as usize]
}

fn head(site: &Site) -> String {
    let Site { name, title, dialect, .. } = site;
    let dates = match dialect.date {
        DateStyle::Iso => "2023-04-05 13:07",
        DateStyle::DayDot => "05.04.2023 13:07",
        DateStyle::MonthSlash => "04/05/2023 13:07",
        DateStyle::Digits => "20230405130700",
    };
    let missing = if dialect.missing.is_empty() { "an empty cell".to_owned() } else { dialect.missing.to_owned() };
    let decimal = dialect.decimal;
    let patient = site.table(TableKind::Patients).primary_key().to_owned();
    format!(
        r#"# {title}: from its five files to the common schema.
# Dates are written as {dates}, numbers with '{decimal}', and {missing} stands for no value.
mapping = "{name}"
version = 1
schema = "{SCHEMA}"
# Nothing in these files says more of them: deaths, drugs and procedures are not recorded here.
leaves_out = ["cdm_source", "death", "drug_exposure", "procedure_occurrence"]
patients = {{ source = "patients", id = "{patient}" }}
"#
    )
}

fn sources(site: &Site) -> String {
    let mut text = "\n# What names a person, a row or an encounter reaches the rules as a pseudonym.\n".to_owned();
    for table in site.tables() {
        let name = table.file_name.trim_end_matches(".csv");
        let identifiers = Words::new(site, table.kind).identifiers();
        writeln!(text, "[source.{name}]\ndataset = \"{name}\"\nidentifiers = [{identifiers}]")
            .expect("a String takes all");
    }
    text
}

fn codes(site: &Site) -> String {
    let number = site.dialect.number;
    let pairs = |codes: &[&str], concepts: &[u32]| -> Vec<(String, u32)> {
        codes.iter().zip(concepts).map(|(code, concept)| ((*code).to_owned(), *concept)).collect()
    };
    let languages = LANGUAGES.iter().map(|(code, concept)| ((*code).to_owned(), *concept)).collect();
    let mut text = String::new();
    for (map, codes) in [
        ("sex", pairs(&site.dialect.sex, &SEXES)),
        ("visit", pairs(&SETTINGS[number], &VISITS)),
        ("role", pairs(&ROLES[number], &DIAGNOSIS_ROLES)),
        ("language", languages),
    ] {
        let entries: Vec<String> = codes.iter().map(|(code, concept)| format!("\"{code}\" = {concept}")).collect();
        writeln!(text, "\n[codes.{map}]\n{}", entries.join("\n")).expect("a String takes all");
    }
    let system = if site.dialect.diagnoses == DiagnosisSystem::Icd10 { "ICD-10-CM" } else { "ICD-9-CM" };
    writeln!(text, "\n# {system}; 0: known, and no concept of it is listed.\n[codes.diagnosis]")
        .expect("a String takes all");
    for (icd10, icd9, concept, name) in CONDITIONS {
        let code = if site.dialect.diagnoses == DiagnosisSystem::Icd10 { icd10 } else { icd9 };
        writeln!(text, "\"{code}\" = {concept} # {name}").expect("a String takes all");
    }
    // Every laboratory code of a rule below is known here too; a code that is not ends in quarantine.
    text.push_str("\n[codes.loinc]\n");
    for lab in LABS {
        for code in lab.source {
            writeln!(text, "\"{code}\" = {} # {}", lab.concept, lab.name).expect("a String takes all");
        }
    }
    text
}

fn patients(words: &Words<'_>) -> String {
    let person = toml(&format!("person({})", words.column("patient")));
    let sex = toml(&words.present("sex"));
    let birth = words.day("birth_date");
    let [year, month, day] =
        [(1, 4), (6, 2), (9, 2)].map(|(from, length)| toml(&format!("substr({birth}, {from}, {length})")));
    let registered = toml(&words.day("registered"));
    let period = toml(&format!("surrogate('period', {})", words.column("patient")));
    let observation = toml(&format!("surrogate('observation', 'language', {})", words.column("patient")));
    let language = toml(&words.present("language"));
    format!(
        r#"
[[fact]]
table = "person"
from = "patients"
[fact.set]
person_id = {person}
gender_concept_id = {{ code = {sex}, map = "sex" }}
year_of_birth = {year}
month_of_birth = {month}
day_of_birth = {day}
race_concept_id = 0
ethnicity_concept_id = 0
gender_source_value = {sex}

# From the registration on; the day of the export stands in for an end.
[[fact]]
table = "observation_period"
from = "patients"
[fact.set]
observation_period_id = {period}
person_id = {person}
observation_period_start_date = {registered}
observation_period_end_date = {{ default = "{EXPORTED}" }}
period_type_concept_id = {FROM_RECORD}

[[fact]]
table = "observation"
from = "patients"
[fact.set]
observation_id = {observation}
person_id = {person}
observation_concept_id = {PREFERRED_LANGUAGE}
observation_date = {registered}
observation_type_concept_id = {FROM_RECORD}
value_as_concept_id = {{ code = {language}, map = "language" }}
value_source_value = {language}
"#
    )
}

fn encounters(words: &Words<'_>) -> String {
    let person = toml(&format!("person({})", words.column("patient")));
    let kind = toml(&words.present("type"));
    let [start, end] = ["admitted", "discharged"].map(|meaning| toml(&words.day_of(meaning)));
    let [start_time, end_time] = ["admitted", "discharged"].map(|meaning| toml(&words.moment(meaning)));
    let visit = toml(&visit(words));
    let bmi = words.present("bmi");
    let is_there = toml(&format!("{bmi} IS NOT NULL"));
    let value = toml(&words.number(&bmi));
    let id = toml(&format!("surrogate('measurement', 'bmi', {})", words.column("encounter")));
    let Measured { concept, unit, unit_concept, .. } = BODY_MASS_INDEX;
    format!(
        r#"
[[fact]]
table = "visit_occurrence"
from = "encounters"
[fact.set]
visit_occurrence_id = {visit}
person_id = {person}
visit_concept_id = {{ code = {kind}, map = "visit" }}
visit_start_date = {start}
visit_start_datetime = {start_time}
visit_end_date = {end}
visit_end_datetime = {end_time}
visit_type_concept_id = {FROM_RECORD}
visit_source_value = {kind}

[[fact]]
table = "measurement"
from = "encounters"
where = {is_there}
[fact.set]
measurement_id = {id}
person_id = {person}
measurement_concept_id = {concept}
measurement_date = {start}
measurement_datetime = {start_time}
measurement_type_concept_id = {FROM_RECORD}
value_as_number = {{ value = {value}, unit = "'kg/m2'", to = "{unit}" }}
unit_concept_id = {unit_concept}
visit_occurrence_id = {visit}
"#
    )
}

/// The visit that a row belongs to: the same id in every file.
fn visit(words: &Words<'_>) -> String {
    format!("surrogate('visit', {})", words.column("encounter"))
}

/// What every laboratory rule sets, whatever the value is converted to.
fn lab_set(words: &Words<'_>, concept: &str) -> String {
    let id = toml(&format!("surrogate('measurement', 'lab', {})", words.column("lab")));
    let person = toml(&format!("person({})", words.column("patient")));
    let (date, time) = (toml(&words.day_of("taken")), toml(&words.moment("taken")));
    let visit = toml(&visit(words));
    let [code, unit] = ["code", "unit"].map(|meaning| toml(&words.present(meaning)));
    format!(
        r"[fact.set]
measurement_id = {id}
person_id = {person}
measurement_concept_id = {concept}
measurement_date = {date}
measurement_datetime = {time}
measurement_type_concept_id = {FROM_RECORD}
visit_occurrence_id = {visit}
measurement_source_value = {code}
unit_source_value = {unit}
"
    )
}

fn labs(words: &Words<'_>) -> String {
    let code = words.present("code");
    let coded = toml(&code);
    let value = toml(&words.number(&words.present("value")));
    // UCUM writes micro as u.
    let unit = toml(&format!("replace({}, 'µ', 'u')", words.present("unit")));
    let list = |lab: &Measured| lab.source.iter().map(|code| format!("'{code}'")).collect::<Vec<_>>().join(", ");
    let mut text =
        "\n# Laboratory values leave in one unit each. Two are reported as mass or as amount of substance.\n"
            .to_owned();
    for lab in LABS.iter().filter(|lab| lab.molar_mass.is_some()) {
        let is_it = toml(&format!("{code} IN ({})", list(lab)));
        let set = lab_set(words, &lab.concept.to_string());
        let Measured { unit: to, unit_concept, name, molar_mass, .. } = lab;
        let molar_mass = molar_mass.unwrap_or_default();
        write!(
            text,
            r#"# {name}
[[fact]]
table = "measurement"
from = "labs"
where = {is_it}
{set}value_as_number = {{ value = {value}, unit = {unit}, to = "{to}", molar_mass = {molar_mass} }}
unit_concept_id = {unit_concept}

"#
        )
        .expect("a String takes all");
    }
    let others = LABS.iter().filter(|lab| lab.molar_mass.is_none());
    let entries: Vec<String> = others
        .map(|Measured { source, name, concept, unit, unit_concept, .. }| {
            let code = source.first().copied().unwrap_or_default();
            let concepts = format!("concept = {concept}, to = \"{unit}\", unit_concept = {unit_concept}");
            format!("    {{ code = \"{code}\", {concepts} }}, # {name}")
        })
        .collect();
    let is_it = toml(&format!("{code} = '{{code}}'"));
    let set = lab_set(words, "'{concept}'");
    let known: Vec<String> = LABS.iter().map(list).collect();
    let is_unknown = toml(&format!("{code} IS NULL OR {code} NOT IN ({})", known.join(", ")));
    let rest = lab_set(words, &format!("{{ code = {coded}, map = \"loinc\" }}"));
    let entries = entries.join("\n");
    write!(
        text,
        r#"# The others
[[fact]]
table = "measurement"
from = "labs"
where = {is_it}
each = [
{entries}
]
{set}value_as_number = {{ value = {value}, unit = {unit}, to = "{{to}}" }}
unit_concept_id = '{{unit_concept}}'

# Whatever else there is: due, and in quarantine for its code.
[[fact]]
table = "measurement"
from = "labs"
where = {is_unknown}
{rest}"#
    )
    .expect("a String takes all");
    text
}

fn vitals(words: &Words<'_>, temperature: TemperatureUnit) -> String {
    let cell = words.without_mark(&quoted("{column}"));
    let is_there = toml(&format!("{cell} IS NOT NULL"));
    let value = toml(&words.number(&cell));
    let id = toml(&format!("surrogate('measurement', '{{concept}}', {})", words.column("vital")));
    let person = toml(&format!("person({})", words.column("patient")));
    let (date, time) = (toml(&words.day_of("taken")), toml(&words.moment("taken")));
    let visit = toml(&visit(words));
    let entries: Vec<String> = SIGNS
        .iter()
        .map(|Measured { source, name, concept, unit: to, unit_concept, .. }| {
            let header = words.header(source.first().copied().unwrap_or_default());
            let unit = if *to == "Cel" && temperature == TemperatureUnit::Fahrenheit { "[degF]" } else { to };
            let concepts =
                format!("concept = {concept}, unit = \"{unit}\", to = \"{to}\", unit_concept = {unit_concept}");
            format!("    {{ column = \"{header}\", {concepts} }}, # {name}")
        })
        .collect();
    let entries = entries.join("\n");
    format!(
        r#"
# Each vital sign that was taken
[[fact]]
table = "measurement"
from = "vitals"
where = {is_there}
each = [
{entries}
]
[fact.set]
measurement_id = {id}
person_id = {person}
measurement_concept_id = '{{concept}}'
measurement_date = {date}
measurement_datetime = {time}
measurement_type_concept_id = {FROM_RECORD}
value_as_number = {{ value = {value}, unit = "'{{unit}}'", to = "{{to}}" }}
unit_concept_id = '{{unit_concept}}'
visit_occurrence_id = {visit}
"#
    )
}

fn diagnoses(words: &Words<'_>, check_up: &str) -> String {
    let person = toml(&format!("person({})", words.column("patient")));
    let code = words.present("code");
    let coded = toml(&code);
    let date = toml(&words.day("recorded"));
    let visit = toml(&visit(words));
    let role = toml(&words.present("role"));
    let [condition, observation] =
        ["condition", "observation"].map(|kind| toml(&format!("surrogate('{kind}', {})", words.column("diagnosis"))));
    let is_illness = toml(&format!("{code} IS DISTINCT FROM '{check_up}'"));
    let is_check_up = toml(&format!("{code} = '{check_up}'"));
    format!(
        r#"
[[fact]]
table = "condition_occurrence"
from = "diagnoses"
where = {is_illness}
[fact.set]
condition_occurrence_id = {condition}
person_id = {person}
condition_concept_id = {{ code = {coded}, map = "diagnosis" }}
condition_start_date = {date}
condition_type_concept_id = {FROM_RECORD}
condition_status_concept_id = {{ code = {role}, map = "role" }}
visit_occurrence_id = {visit}
condition_source_value = {coded}

# A check-up is no illness.
[[fact]]
table = "observation"
from = "diagnoses"
where = {is_check_up}
[fact.set]
observation_id = {observation}
person_id = {person}
observation_concept_id = 0
observation_date = {date}
observation_type_concept_id = {FROM_RECORD}
visit_occurrence_id = {visit}
observation_source_value = {coded}
"#
    )
}
