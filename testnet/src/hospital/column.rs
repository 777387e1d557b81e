//! What each column of a table is, so that a share policy can be written from it.

use serde::Serialize;

/// What a column is to a share policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Names, numbers and addresses that point at one person: never leaves a member.
    DirectIdentifier,
    /// Unique in its table and stable from day to day.
    PrimaryKey,
    /// Names the patient by the site's own number.
    PatientKey,
    /// Names the encounter by the site's own number.
    EncounterKey,
    /// Points at few people together with others: birth date, sex, postcode.
    QuasiIdentifier,
    /// Running text, which may name anybody.
    FreeText,
    /// Nothing of the above.
    Plain,
}

/// Which part of a linkage token a column gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkageField {
    /// Given name.
    Given,
    /// Family name.
    Family,
    /// Birth date.
    BirthDate,
    /// Administrative sex.
    Sex,
}

/// One column of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// As in this file's header.
    pub name: String,
    /// The same in all sites, for example `birth_date`.
    pub meaning: String,
    /// For the share policy.
    pub class: Class,
    /// For the linkage token.
    pub linkage: Option<LinkageField>,
}

impl Column {
    /// A column whose name says what it means.
    pub fn plain(name: &str) -> Self {
        Self { name: name.to_owned(), meaning: name.to_owned(), class: Class::Plain, linkage: None }
    }

    /// The same column with another class.
    #[must_use]
    pub fn with_class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// The same column as a part of the linkage token.
    #[must_use]
    pub fn with_linkage(self, field: LinkageField) -> Self {
        Self { linkage: Some(field), ..self }
    }
}

/// One of the five tables every site has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableKind {
    /// One row a patient of this site.
    Patients,
    /// One row an encounter.
    Encounters,
    /// One row a laboratory value.
    Labs,
    /// One row a set of vital signs.
    Vitals,
    /// One row a diagnosis of an encounter.
    Diagnoses,
}

impl TableKind {
    /// All tables, referenced ones first.
    pub const ALL: [Self; 5] = [Self::Patients, Self::Encounters, Self::Labs, Self::Vitals, Self::Diagnoses];

    /// Name of the file at every site.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Patients => "patients.csv",
            Self::Encounters => "encounters.csv",
            Self::Labs => "labs.csv",
            Self::Vitals => "vitals.csv",
            Self::Diagnoses => "diagnoses.csv",
        }
    }

    /// The column whose last digit a day of change turns: never missing, never dirty.
    pub(super) fn changing(self) -> &'static str {
        match self {
            Self::Patients => "zip",
            Self::Encounters => "department",
            Self::Labs => "value",
            Self::Vitals => "heart_rate",
            Self::Diagnoses => "recorder",
        }
    }

    fn fields(self) -> &'static [Field] {
        match self {
            Self::Patients => PATIENTS,
            Self::Encounters => ENCOUNTERS,
            Self::Labs => LABS,
            Self::Vitals => VITALS,
            Self::Diagnoses => DIAGNOSES,
        }
    }

    /// The columns in this dialect. The note, always the last of the encounters, only where asked.
    pub(super) fn columns(self, dialect: usize, notes: super::dialect::Notes) -> Vec<Column> {
        let shown = |field: &&Field| field.class != Class::FreeText || notes == super::dialect::Notes::Present;
        let column = |field: &Field| Column {
            name: field.headers[dialect].to_owned(),
            meaning: field.meaning.to_owned(),
            class: field.class,
            linkage: field.linkage,
        };
        self.fields().iter().filter(shown).map(column).collect()
    }
}

/// A column and its header in each of the five dialects.
struct Field {
    meaning: &'static str,
    class: Class,
    linkage: Option<LinkageField>,
    headers: [&'static str; 5],
}

const fn field(meaning: &'static str, class: Class, headers: [&'static str; 5]) -> Field {
    Field { meaning, class, linkage: None, headers }
}

const fn linked(meaning: &'static str, class: Class, part: LinkageField, headers: [&'static str; 5]) -> Field {
    Field { meaning, class, linkage: Some(part), headers }
}

const ENCOUNTER: Field =
    field("encounter", Class::EncounterKey, ["encounter_id", "Fallnummer", "ENC_NO", "encounterId", "enc"]);
const PATIENT: Field =
    field("patient", Class::PatientKey, ["patient_id", "Patientennummer", "MRN", "patientId", "pat"]);

const PATIENTS: &[Field] = &[
    field("patient", Class::PrimaryKey, ["patient_id", "Patientennummer", "MRN", "patientId", "pat"]),
    field("insurance", Class::DirectIdentifier, ["insurance_no", "Versichertennr", "INS_NO", "insuranceNumber", "ins"]),
    linked(
        "given",
        Class::DirectIdentifier,
        LinkageField::Given,
        ["given_name", "Vorname", "FIRST_NM", "givenName", "gn"],
    ),
    field("middle", Class::DirectIdentifier, ["middle_name", "Zweiter Vorname", "MIDDLE_NM", "middleName", "mn"]),
    linked(
        "family",
        Class::DirectIdentifier,
        LinkageField::Family,
        ["family_name", "Nachname", "LAST_NM", "familyName", "fn"],
    ),
    linked(
        "birth_date",
        Class::QuasiIdentifier,
        LinkageField::BirthDate,
        ["birth_date", "Geburtsdatum", "DOB", "birthDate", "dob"],
    ),
    linked("sex", Class::QuasiIdentifier, LinkageField::Sex, ["sex", "Geschlecht", "GENDER", "gender", "sx"]),
    field("street", Class::DirectIdentifier, ["street", "Straße", "ADDR_1", "addressLine", "addr"]),
    field("zip", Class::QuasiIdentifier, ["zip", "PLZ", "ZIP_CD", "postalCode", "plz"]),
    field("phone", Class::DirectIdentifier, ["phone", "Telefon", "PHONE_NO", "telephone", "tel"]),
    field("email", Class::DirectIdentifier, ["email", "E-Mail", "EMAIL_ADDR", "emailAddress", "mail"]),
    field("registered", Class::Plain, ["registered_on", "Aufnahme am", "REG_DT", "registeredAt", "reg"]),
    field("language", Class::Plain, ["language", "Sprache", "LANG_CD", "preferredLanguage", "lang"]),
];

const ENCOUNTERS: &[Field] = &[
    field("encounter", Class::PrimaryKey, ["encounter_id", "Fallnummer", "ENC_NO", "encounterId", "enc"]),
    PATIENT,
    field("type", Class::Plain, ["encounter_type", "Fallart", "ENC_TYPE", "encounterClass", "typ"]),
    field("department", Class::Plain, ["department", "Fachabteilung", "DEPT_CD", "serviceUnit", "dep"]),
    field("admitted", Class::Plain, ["admitted_at", "Aufnahmezeit", "ADMIT_DT", "periodStart", "adm"]),
    field("discharged", Class::Plain, ["discharged_at", "Entlassungszeit", "DISCH_DT", "periodEnd", "dis"]),
    field("stay_days", Class::Plain, ["length_of_stay", "Verweildauer", "LOS", "lengthDays", "los"]),
    field("readmission", Class::Plain, ["readmitted_30d", "Wiederaufnahme", "READM_30", "isReadmission", "rea"]),
    field("age", Class::QuasiIdentifier, ["age_years", "Alter", "AGE", "ageAtAdmission", "age"]),
    field("bmi", Class::Plain, ["bmi", "BMI", "BMI", "bodyMassIndex", "bmi"]),
    field("note", Class::FreeText, ["note", "Anmerkung", "NOTE_TXT", "noteText", "txt"]),
];

const LABS: &[Field] = &[
    field("lab", Class::PrimaryKey, ["lab_id", "Befundnummer", "RESULT_NO", "observationId", "lab"]),
    ENCOUNTER,
    PATIENT,
    field("code", Class::Plain, ["loinc", "LOINC", "LOINC_CD", "code", "cod"]),
    field("name", Class::Plain, ["test_name", "Untersuchung", "TEST_NM", "display", "nam"]),
    field("value", Class::Plain, ["value", "Wert", "RESULT_VAL", "valueQuantity", "val"]),
    field("unit", Class::Plain, ["unit", "Einheit", "RESULT_UNIT", "unitCode", "uni"]),
    field("taken", Class::Plain, ["taken_at", "Abnahmezeit", "COLL_DT", "effectiveDateTime", "tkn"]),
];

const VITALS: &[Field] = &[
    field("vital", Class::PrimaryKey, ["vital_id", "Messnummer", "VITAL_NO", "vitalId", "vit"]),
    ENCOUNTER,
    PATIENT,
    field("taken", Class::Plain, ["taken_at", "Messzeit", "MEAS_DT", "effectiveDateTime", "tkn"]),
    field("heart_rate", Class::Plain, ["heart_rate", "Herzfrequenz", "HR", "heartRate", "hr"]),
    field("systolic", Class::Plain, ["systolic", "RR systolisch", "SBP", "systolicPressure", "sys"]),
    field("diastolic", Class::Plain, ["diastolic", "RR diastolisch", "DBP", "diastolicPressure", "dia"]),
    field("temperature", Class::Plain, ["temperature_c", "Temperatur", "TEMP_F", "bodyTemperature", "tmp_f"]),
    field("saturation", Class::Plain, ["spo2", "SpO2", "SPO2", "oxygenSaturation", "o2"]),
    field("respiration", Class::Plain, ["respiration_rate", "Atemfrequenz", "RESP", "respiratoryRate", "rr"]),
];

const DIAGNOSES: &[Field] = &[
    field("diagnosis", Class::PrimaryKey, ["diagnosis_id", "Diagnosenummer", "DX_NO", "conditionId", "dia"]),
    ENCOUNTER,
    PATIENT,
    field("code", Class::Plain, ["icd10", "ICD-10", "ICD9_CD", "code", "icd"]),
    field("role", Class::Plain, ["role", "Diagnoseart", "DX_ROLE", "rank", "rol"]),
    field("recorded", Class::Plain, ["recorded_on", "Diagnosedatum", "DX_DT", "recordedDate", "dat"]),
    field("recorder", Class::Plain, ["recorded_by", "Erfasser", "RECORDER", "recorder", "rec"]),
];
