//! A source's columns, with a first guess of what each is to privacy: from its name alone, never from values.

use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::record::schema::{ColumnRole, ColumnType};
use serde::{Deserialize, Serialize};

use crate::batch::SourceFault;
use crate::columnar::column_type;
use crate::handle::Handle;
use crate::limits::Limits;
use crate::source::{Format, SourceReader};

/// One column of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfiledColumn {
    /// Its name.
    pub name: ColumnName,
    /// The type it would leave with; `None`: it can only be dropped.
    pub kind: Option<ColumnType>,
    /// A guess for a person to correct.
    pub role: ColumnRole,
}

/// The columns of a source, in its order. Reads the header, or Parquet's footer, and no row.
///
/// # Errors
/// [`SourceFault`].
pub fn profile(source: &Handle, format: Format, limits: &Limits) -> Result<Vec<ProfiledColumn>, SourceFault> {
    let reader = SourceReader::open(source, format, limits)?;
    let columns = reader.columns().iter();
    let profiled = |column: &crate::batch::SourceColumn| ProfiledColumn {
        name: column.name.clone(),
        kind: column_type(&column.kind),
        role: guess_role(column.name.as_str()),
    };
    Ok(columns.map(profiled).collect())
}

/// Words of a name, each of them alone; and pieces that count wherever they stand. The first line that fits decides.
const GUESSES: [(ColumnRole, &[&str], &[&str]); 4] = [
    (
        ColumnRole::DirectIdentifier,
        &["id", "eid", "mrn", "ssn", "nhs", "tel", "fax", "ip", "url", "pid", "first", "middle", "last", "given"],
        &[
            "name",
            "street",
            "address",
            "phone",
            "mail",
            "patient",
            "passport",
            "insurance",
            "licence",
            "license",
            "account",
            "surname",
            "family",
            "mobile",
        ],
    ),
    (
        ColumnRole::QuasiIdentifier,
        &["age", "sex", "dob", "yob", "day", "month", "year", "plz", "lat", "lon", "job", "facid", "ward"],
        &[
            "date",
            "zip",
            "postal",
            "postcode",
            "gender",
            "birth",
            "facility",
            "hospital",
            "admi",
            "discharg",
            "city",
            "county",
            "country",
            "state",
            "region",
            "race",
            "ethnic",
            "religion",
            "marital",
            "occupation",
            "death",
            "time",
        ],
    ),
    (ColumnRole::FreeText, &["text", "memo"], &["note", "comment", "remark", "description", "narrative", "freetext"]),
    (ColumnRole::Sensitive, &["dx", "hiv", "drg"], &["diag", "icd", "code", "condition", "disease", "drug", "medic"]),
];

/// What a column of this name probably is. In doubt the stricter role; a name that says nothing is a measure.
pub fn guess_role(name: &str) -> ColumnRole {
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let fits = |(_, whole, part): &&(ColumnRole, &[&str], &[&str])| {
        words.iter().any(|word| whole.contains(word)) || part.iter().any(|part| lower.contains(part))
    };
    GUESSES.iter().find(fits).map_or(ColumnRole::Measure, |(role, ..)| *role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_guessed_from_the_name_alone() {
        use ColumnRole::{DirectIdentifier, FreeText, Measure, QuasiIdentifier, Sensitive};
        let table = [
            (DirectIdentifier, "First Last first_name LASTNAME eid MRN patient_id e-mail Street phone2 ssn"),
            (QuasiIdentifier, "vdate zip ZIP3 age sex gender facid discharged birthdate admission"),
            (FreeText, "note clinical_text comments"),
            (Sensitive, "secondarydiagnosisnonicd9 icd10 code drug"),
            (Measure, "sodium bmi dosage lengthofstay hemo x"),
        ];
        for (role, names) in table {
            for name in names.split(' ') {
                assert_eq!(guess_role(name), role, "{name}");
            }
        }
    }

    #[test]
    fn a_profile_reads_no_row() {
        let bytes: Handle = std::sync::Arc::new(b"eid,sodium\n\"never closed".to_vec());
        let columns = profile(&bytes, Format::Csv { delimiter: b',' }, &Limits::default()).unwrap();
        let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["eid", "sodium"]);
        assert!(columns.iter().all(|column| column.kind == Some(ColumnType::Text)));
    }
}
