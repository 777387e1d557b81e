//! Members of the demo whose rows are no text tables: FHIR resources through views, and a hospital's tables in a PostgreSQL.

use std::fs;
use std::path::Path;

use crate::hospital::mapping::shipped;
use crate::hospital::{self, Class, Column, Plan};
use crate::postgres::Server;
use crate::source::{Member, Origin, SourceFault, Table, generated_member, write, write_mapping, write_policy};

/// The resources of the public Synthea set that are mapped: source, file, and the columns that its view makes, the row's own
/// key first.
const RESOURCES: [(&str, &str, &[&str]); 3] = [
    ("patient", "Patient.ndjson", &["patient_id", "gender", "birth_date", "deceased_at"]),
    ("encounter", "Encounter.ndjson", &["encounter_id", "patient_id", "class_code", "period_start", "period_end"]),
    (
        "condition",
        "Condition.ndjson",
        &["condition_id", "patient_id", "encounter_id", "snomed_code", "onset", "abatement"],
    ),
];
/// The member with these resources.
const FHIR_MEMBER: &str = "fhir";
/// The member with a database.
const DATABASE_MEMBER: &str = "database";

/// A member with the FHIR resources of `data/fhir/synthea_r4`, through the views that are written for them.
///
/// # Errors
/// [`SourceFault`].
pub(crate) fn fhir(data: &Path, dir: &Path) -> Result<Member, SourceFault> {
    let folder = dir.join(FHIR_MEMBER);
    write(&folder, || fs::create_dir_all(&folder))?;
    let mut tables = Vec::new();
    for (name, file, columns) in RESOURCES {
        let path = data.join("fhir/synthea_r4").join(file);
        let text = fs::read_to_string(&path).map_err(|source| SourceFault::Read { path: path.clone(), source })?;
        let view = folder.join(format!("{name}.json"));
        let text_of = shipped::FHIR_VIEWS.iter().find(|(view, _)| *view == name).map_or("", |(_, text)| text);
        write(&view, || fs::write(&view, text_of))?;
        let described: Vec<Column> =
            columns.iter().map(|column| Column::plain(column).with_class(class(column))).collect();
        let key = columns.first().map(|key| (*key).to_owned());
        let policy = write_policy(&folder, name, &described, key.as_deref())?;
        tables.push(Table {
            name: name.to_owned(),
            origin: Origin::Fhir { path, view },
            rows: text.lines().filter(|line| !line.trim().is_empty()).count() as u64,
            key,
            patient: Some("patient_id".to_owned()),
            linkage: None,
            policy,
        });
    }
    Ok(Member {
        name: FHIR_MEMBER.to_owned(),
        title: "Synthea, FHIR R4".to_owned(),
        mapping: write_mapping(&folder, shipped::FHIR)?,
        folder,
        tables,
        canaries: Vec::new(),
        site: None,
    })
}

/// What a column of a view is.
fn class(column: &str) -> Class {
    match column {
        "patient_id" => Class::PatientKey,
        "encounter_id" => Class::EncounterKey,
        "condition_id" => Class::PrimaryKey,
        _ => Class::QuasiIdentifier,
    }
}

/// A generated hospital whose tables lie in a database. The files that they were loaded from stay, as what the hospital is
/// known to owe; no dataset names them.
///
/// # Errors
/// [`SourceFault`].
pub(crate) fn database(server: &Server, plan: &Plan, dir: &Path) -> Result<Member, SourceFault> {
    let plan = Plan { sites: hospital::SITES[0], ..*plan };
    // Of its sites the first writes as COPY reads: commas, and nothing where there is no value.
    let mut sites = hospital::generate(&plan).map_err(SourceFault::Plan)?.sites.into_iter();
    let Some(mut site) = sites.next() else { return Err(SourceFault::Plan(hospital::PlanError::Sites)) };
    DATABASE_MEMBER.clone_into(&mut site.name);
    let mut member = generated_member(site.clone(), dir)?;
    let password = member.folder.join("reader.password");
    server.write_password(&password).map_err(SourceFault::Postgres)?;
    for (table, described) in member.tables.iter_mut().zip(site.tables()) {
        let columns: Vec<&str> = described.columns.iter().map(|column| column.name.as_str()).collect();
        let csv = member.folder.join(described.file_name);
        let rows = server.load(&table.name, &columns, &csv).map_err(SourceFault::Postgres)?;
        if rows != table.rows {
            return Err(SourceFault::Lost { table: table.name.clone() });
        }
        table.origin = Origin::Postgres { socket: server.socket(), password: password.clone() };
    }
    Ok(member)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_view_makes_the_columns_that_its_policy_speaks_of() {
        for (name, _, columns) in RESOURCES {
            let (_, text) = shipped::FHIR_VIEWS.iter().find(|(view, _)| *view == name).unwrap();
            let view: Value = serde_json::from_str(text).unwrap();
            let made: Vec<&str> = view["select"][0]["column"]
                .as_array()
                .unwrap()
                .iter()
                .map(|column| column["name"].as_str().unwrap())
                .collect();
            assert_eq!(made, columns, "{name}");
        }
    }
}
