//! The two files that a draft is: what each column is, as `share define --policy` reads it, and a mapping.
//!
//! Names, kinds of values and guesses by names go into them; no value of the source does, no bound and no list.

use std::fmt::Write;

use cohortium_engine::observe::{Looks, ObservedColumn};
use cohortium_protocol::record::dataset::DateFormat;
use cohortium_protocol::record::schema::ColumnRole;

use crate::cli::print::word;

/// A string as TOML writes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// A column as SQL names it, whatever is in its name.
fn sql(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

const fn looks(looks: Looks) -> &'static str {
    match looks {
        Looks::Integer => "whole numbers",
        Looks::Number => "numbers",
        Looks::Boolean => "true and false",
        Looks::Date(DateFormat::Iso) => "days as 2024-02-29",
        Looks::Date(DateFormat::DayMonthYearDots) => "days as 29.02.2024",
        Looks::Date(DateFormat::MonthDayYearSlashes) => "days as 02/29/2024",
        Looks::Date(DateFormat::Compact) => "days as 20240229",
        Looks::Day => "days",
        Looks::Timestamp => "points in time",
        Looks::Text => "text",
        Looks::Nothing => "no value in the first rows",
        Looks::Other => "can be dropped or mapped, and never leaves as it is",
    }
}

const fn stays(column: &ObservedColumn) -> bool {
    matches!(column.role, ColumnRole::DirectIdentifier | ColumnRole::FreeText) || matches!(column.looks, Looks::Other)
}

/// What each column is.
pub(crate) fn schema(file: &str, columns: &[ObservedColumn]) -> String {
    let mut text =
        format!("# Columns of {}: kinds of values as found, roles and classes as guessed from names.\n", quoted(file));
    text.push_str("# A person confirms them: cohortium share define NAME --dataset DATASET --policy THIS-FILE\n");
    for column in columns {
        // Nothing says yet how finely a measure may leave.
        let role = if column.role == ColumnRole::Measure { ColumnRole::QuasiIdentifier } else { column.role };
        let treatment = if stays(column) { "drop" } else { "keep" };
        let name = quoted(column.name.as_str());
        let _ = write!(text, "\n[columns.{name}] # {}\nrole = \"{}\"\n", looks(column.looks), word(&role));
        if let Some(class) = &column.class {
            let _ = writeln!(text, "class = \"{}\"", word(class));
        }
        let _ = writeln!(text, "treatment = \"{treatment}\"");
        if column.role == ColumnRole::Measure {
            text.push_str("# A measure, by its name: role = \"measure\" with treatment = { round = DIGITS }.\n");
        }
    }
    text
}

/// A mapping that loses nothing: every column that may be mapped becomes an observation without a concept, until a person
/// says better.
pub(crate) fn mapping(name: &str, columns: &[ObservedColumn]) -> String {
    let patient = columns.iter().find(|column| column.role == ColumnRole::DirectIdentifier);
    let id = patient.map_or("cohortium_row", |column| column.name.as_str());
    let of = |call: &str| quoted(&call.replace("ID", &sql(id)));
    let mut text = format!(
        "# A draft: concepts are 0 (\"no matching concept\") until a person names better ones.\n\
         mapping = {name}\nversion = 1\nschema = \"omop-cdm-5.4\"\n\
         patients = {{ source = \"rows\", id = {} }}\n",
        quoted(id),
        name = quoted(name),
    );
    let identifiers = columns.iter().filter(|column| column.role == ColumnRole::DirectIdentifier);
    let identifiers: Vec<String> = identifiers.map(|column| quoted(column.name.as_str())).collect();
    let _ =
        writeln!(text, "source.rows = {{ dataset = {}, identifiers = [{}] }}", quoted(name), identifiers.join(", "));
    let person = if id == "cohortium_row" { "surrogate('person', ID)" } else { "person(ID)" };
    let _ = write!(
        text,
        "\n[[fact]] # 1900 stands for a year of birth that is not known; how often it was used is recorded.\n\
         table = \"person\"\nfrom = \"rows\"\n\
         set = {{ person_id = {}, gender_concept_id = 0, year_of_birth = {{ default = 1900 }}, race_concept_id = 0, \
         ethnicity_concept_id = 0 }}\n",
        of(person)
    );
    let told: Vec<&ObservedColumn> = columns.iter().filter(|column| !stays(column)).collect();
    if told.is_empty() {
        return text;
    }
    let each: Vec<String> = told
        .iter()
        .map(|column| {
            let name = column.name.as_str();
            let literal = name.replace('\'', "''");
            format!("    {{ column = {}, name = {} }},", quoted(&sql(name)), quoted(&literal))
        })
        .collect();
    let _ = write!(
        text,
        "\n[[fact]]\ntable = \"observation\"\nfrom = \"rows\"\nwhere = \"{{column}} IS NOT NULL\"\neach = [\n{}\n]\n\
         set = {{ observation_id = {}, person_id = {}, observation_concept_id = 0, observation_date = {}, \
         observation_type_concept_id = 32817, value_as_string = \"{{column}}\", \
         observation_source_value = \"'{{name}}'\" }}\n",
        each.join("\n"),
        of("surrogate('observation', '{name}', ID)"),
        of(person),
        date(&told),
    );
    text
}

/// The first day of a row, or one that stands for none.
fn date(columns: &[&ObservedColumn]) -> String {
    let day = columns.iter().find_map(|column| {
        let name = sql(column.name.as_str());
        match column.looks {
            Looks::Date(DateFormat::Iso) => Some(format!("day({name}, 'iso')")),
            Looks::Date(DateFormat::DayMonthYearDots) => Some(format!("day({name}, 'd.m.y')")),
            Looks::Date(DateFormat::MonthDayYearSlashes) => Some(format!("day({name}, 'm/d/y')")),
            Looks::Date(DateFormat::Compact) => Some(format!("day({name}, 'compact')")),
            Looks::Day => Some(name),
            Looks::Integer
            | Looks::Number
            | Looks::Boolean
            | Looks::Timestamp
            | Looks::Text
            | Looks::Nothing
            | Looks::Other => None,
        }
    });
    let none = "default = \"1900-01-01\"";
    day.map_or_else(|| format!("{{ {none} }}"), |day| format!("{{ sql = {}, {none} }}", quoted(&day)))
}

#[cfg(test)]
mod tests {
    use cohortium_engine::mapping::Mapping;
    use cohortium_protocol::record::schema::IdentifierClass;

    use super::*;
    use crate::cli::mapped::schema_of_file;
    use crate::cli::policy::Policy;

    fn column(name: &str, looks: Looks, role: ColumnRole, class: Option<IdentifierClass>) -> ObservedColumn {
        ObservedColumn { name: name.parse().unwrap(), looks, role, class }
    }

    #[test]
    fn a_draft_is_two_files_that_are_read_as_they_are() {
        let id = column("eid", Looks::Integer, ColumnRole::DirectIdentifier, Some(IdentifierClass::Other));
        let odd = column("what's \"this\"?", Looks::Text, ColumnRole::QuasiIdentifier, None);
        let seen = column("seen", Looks::Date(DateFormat::DayMonthYearDots), ColumnRole::QuasiIdentifier, None);
        let sodium = column("sodium", Looks::Number, ColumnRole::Measure, None);
        let nested = column("contact", Looks::Other, ColumnRole::QuasiIdentifier, None);
        let all = [id, odd, seen, sodium, nested];
        for columns in [&all[..], &all[1..], &all[..1], &[]] {
            toml::from_str::<Policy>(&schema("a \"file\".csv", columns)).unwrap();
            let written = mapping("ward", columns);
            Mapping::parse(&written, &schema_of_file(None).unwrap())
                .unwrap_or_else(|fault| panic!("{fault}:\n{written}"));
        }
        let told = mapping("ward", &all);
        assert!(told.contains("'d.m.y'") && !told.contains("contact"), "{told}");
    }
}
