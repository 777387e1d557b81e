//! What a column's name says of what it probably holds. A guess for a person to correct; but who contradicts it where
//! it says "identifier" states why.
//!
//! The table is part of record version 1 of a share and never changes: old terms must stay readable.

use crate::record::schema::{ColumnRole, IdentifierClass};

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// What such a column is to privacy.
    pub role: ColumnRole,
    /// Which identifier it holds, if one.
    pub class: Option<IdentifierClass>,
    /// Words of a name, each by itself.
    pub words: &'static [&'static str],
    /// Pieces that count wherever they stand.
    pub parts: &'static [&'static str],
}

const fn line(
    role: ColumnRole,
    class: Option<IdentifierClass>,
    words: &'static [&'static str],
    parts: &'static [&'static str],
) -> Suspicion {
    Suspicion { role, class, words, parts }
}

const fn direct(class: IdentifierClass, words: &'static [&'static str], parts: &'static [&'static str]) -> Suspicion {
    line(ColumnRole::DirectIdentifier, Some(class), words, parts)
}

/// The first line that fits decides: identifiers first.
pub const TABLE: [Suspicion; 24] = [
    direct(IdentifierClass::Name, &["first", "middle", "last", "given"], &["name", "surname", "family"]),
    direct(IdentifierClass::Email, &[], &["mail"]),
    direct(IdentifierClass::Fax, &["fax"], &[]),
    direct(IdentifierClass::Phone, &["tel"], &["phone", "mobile", "telefon"]),
    direct(IdentifierClass::IpAddress, &["ip"], &[]),
    direct(IdentifierClass::Url, &["url"], &["website"]),
    direct(IdentifierClass::SocialSecurity, &["ssn"], &["socialsec", "social_sec"]),
    direct(IdentifierClass::HealthPlan, &["nhs"], &["insurance", "beneficiar"]),
    direct(IdentifierClass::Licence, &[], &["licence", "license", "passport"]),
    direct(IdentifierClass::Vehicle, &["vin"], &["vehicle"]),
    direct(IdentifierClass::Device, &["udi", "imei", "serial"], &[]),
    direct(IdentifierClass::Biometric, &[], &["fingerprint", "biometric"]),
    direct(IdentifierClass::Photo, &["photo", "picture", "portrait"], &[]),
    direct(IdentifierClass::Account, &[], &["account"]),
    direct(
        IdentifierClass::MedicalRecord,
        &["mrn", "pid"],
        &[
            "patient",
            "medicalrecord",
            "medical_record",
            "recordnum",
            "record_num",
            "record_no",
            "hospital_num",
            "hospitalnum",
            "hospital_no",
            "hospitalno",
            "case_no",
            "caseno",
            "case_num",
            "casenum",
        ],
    ),
    direct(IdentifierClass::Place, &[], &["street", "address"]),
    direct(
        IdentifierClass::Other,
        &["id", "eid", "caseid", "patid", "personid", "subjectid", "visitid", "encounterid", "accession"],
        &["identifier", "uuid", "guid"],
    ),
    line(
        ColumnRole::QuasiIdentifier,
        Some(IdentifierClass::BirthDate),
        &["dob", "yob", "born", "geb"],
        &["birth", "geburt"],
    ),
    line(
        ColumnRole::QuasiIdentifier,
        Some(IdentifierClass::Place),
        &["plz", "lat", "lon"],
        &["zip", "postal", "postcode", "city", "county"],
    ),
    line(
        ColumnRole::QuasiIdentifier,
        Some(IdentifierClass::Date),
        &["age", "day", "month"],
        &["date", "admi", "discharg", "death", "time"],
    ),
    line(
        ColumnRole::QuasiIdentifier,
        None,
        &["sex", "year", "job", "facid", "ward"],
        &[
            "gender",
            "facility",
            "hospital",
            "country",
            "state",
            "region",
            "race",
            "ethnic",
            "religion",
            "marital",
            "occupation",
        ],
    ),
    line(
        ColumnRole::FreeText,
        None,
        &["text", "memo"],
        &["note", "comment", "remark", "description", "narrative", "freetext"],
    ),
    line(
        ColumnRole::Sensitive,
        None,
        &["dx", "hiv", "drg"],
        &["diag", "icd", "code", "condition", "disease", "drug", "medic"],
    ),
    // A name that says nothing: every column fits.
    line(ColumnRole::Measure, None, &[], &[""]),
];

/// What a column of this name probably is: in doubt the stricter, and a measure where the name says nothing.
pub fn suspicion(name: &str) -> &'static Suspicion {
    let (words, lower) = (words(name), name.to_ascii_lowercase());
    let fits = |line: &&Suspicion| {
        words.iter().any(|word| line.words.contains(&word.as_str()))
            || line.parts.iter().any(|part| lower.contains(part))
    };
    let [.., nothing] = &TABLE;
    TABLE.iter().find(fits).unwrap_or(nothing)
}

/// The words of a name in lower case: runs of ASCII letters and digits, and where a capital follows a small letter or a
/// digit another one begins.
fn words(name: &str) -> Vec<String> {
    let (mut words, mut word, mut last) = (Vec::new(), String::new(), ' ');
    for character in name.chars() {
        let begins = character.is_ascii_uppercase() && (last.is_ascii_lowercase() || last.is_ascii_digit());
        if begins || !character.is_ascii_alphanumeric() {
            words.push(std::mem::take(&mut word));
        }
        if character.is_ascii_alphanumeric() {
            word.push(character.to_ascii_lowercase());
        }
        last = character;
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    // SHARE-13
    #[test]
    fn a_role_and_a_class_are_guessed_from_the_name_alone() {
        use ColumnRole::{DirectIdentifier, FreeText, Measure, QuasiIdentifier, Sensitive};
        use IdentifierClass as Class;
        let table = [
            (DirectIdentifier, Some(Class::Name), "First Last first_name LASTNAME givenName test_name"),
            (
                DirectIdentifier,
                Some(Class::Other),
                "eid encounterId lab_id ID identifier subject_identifier uuid caseid patid encounterid accession_number",
            ),
            (
                DirectIdentifier,
                Some(Class::MedicalRecord),
                "MRN patient_id patientId Patientennummer medical_record_number hospital_number case_no",
            ),
            (DirectIdentifier, Some(Class::Email), "e-mail emailAddress"),
            (DirectIdentifier, Some(Class::Place), "Street addressLine"),
            (DirectIdentifier, Some(Class::Phone), "phone2 telephone tel Telefon"),
            (DirectIdentifier, Some(Class::SocialSecurity), "ssn social_security_number socialsecurity"),
            (DirectIdentifier, Some(Class::HealthPlan), "insurance_no beneficiary_number"),
            (QuasiIdentifier, Some(Class::BirthDate), "birthdate DOB yob birth_year born Geburtsdatum"),
            (QuasiIdentifier, Some(Class::Place), "zip ZIP3 postalCode plz"),
            (QuasiIdentifier, Some(Class::Date), "vdate age discharged admission effectiveDateTime"),
            (QuasiIdentifier, None, "sex gender facid year state"),
            (FreeText, None, "note clinical_text comments"),
            (Sensitive, None, "secondarydiagnosisnonicd9 icd10 code drug"),
            (Measure, None, "valid covid acid recorded sodium bmi dosage lengthofstay hemo x platelets \u{e4}"),
        ];
        for (role, class, names) in table {
            for name in names.split(' ') {
                let found = suspicion(name);
                assert_eq!((found.role, found.class), (role, class), "{name}");
            }
        }
    }
}
