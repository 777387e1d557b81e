//! Which concepts the mappings of generated hospitals know: a few well-known ids of the OMOP vocabularies, as numbers.
//! 0 is OMOP's "no matching concept": the code is known, and no concept for it is listed here.

/// The concept of what comes from an electronic record.
pub(super) const FROM_RECORD: u32 = 32_817;
/// The concept of the language that a patient prefers.
pub(super) const PREFERRED_LANGUAGE: u32 = 40_758_030;
/// Female, male.
pub(in crate::hospital) const SEXES: [u32; 2] = [8_532, 8_507];
/// Inpatient, outpatient and emergency visit; a day case is an outpatient visit.
pub(super) const VISITS: [u32; 4] = [9_201, 9_202, 9_203, 9_202];
/// Principal and further diagnosis.
pub(super) const DIAGNOSIS_ROLES: [u32; 2] = [32_902, 32_908];
/// Languages of patients.
pub(super) const LANGUAGES: [(&str, u32); 8] = [
    ("en", 4_180_186),
    ("de", 4_182_504),
    ("fr", 4_180_190),
    ("es", 4_182_511),
    ("it", 4_182_507),
    ("pt", 4_181_536),
    ("tr", 0),
    ("zh", 0),
];

/// A measurement: its concept, the unit that leaves as UCUM and as a concept.
#[derive(Clone, Copy)]
pub(super) struct Measured {
    /// LOINC codes for labs, the meaning of a column for signs.
    pub(super) source: &'static [&'static str],
    pub(super) name: &'static str,
    pub(super) concept: u32,
    pub(super) unit: &'static str,
    pub(super) unit_concept: u32,
    /// Grams per mole, where sites report both mass and amount of substance.
    pub(super) molar_mass: Option<&'static str>,
}

const fn measured(
    source: &'static [&'static str],
    name: &'static str,
    concept: u32,
    unit: &'static str,
    unit_concept: u32,
) -> Measured {
    Measured { source, name, concept, unit, unit_concept, molar_mass: None }
}

/// Laboratory values by LOINC code.
pub(super) const LABS: [Measured; 10] = [
    Measured {
        molar_mass: Some("113.12"),
        ..measured(&["2160-0", "14682-9"], "creatinine", 3_016_723, "mg/dL", 8_840)
    },
    Measured { molar_mass: Some("180.156"), ..measured(&["2345-7", "14749-6"], "glucose", 3_004_501, "mg/dL", 8_840) },
    measured(&["718-7"], "haemoglobin", 3_000_963, "g/dL", 8_713),
    measured(&["4544-3"], "haematocrit", 3_023_314, "%", 8_554),
    measured(&["2951-2"], "sodium", 3_019_550, "mmol/L", 8_753),
    measured(&["2823-3"], "potassium", 3_023_103, "mmol/L", 8_753),
    measured(&["3094-0"], "urea nitrogen", 3_013_682, "mg/dL", 8_840),
    measured(&["6690-2"], "leukocytes", 3_000_905, "10*3/uL", 8_848),
    measured(&["751-8"], "neutrophils", 3_013_650, "10*3/uL", 8_848),
    measured(&["1751-7"], "albumin", 3_024_561, "g/dL", 8_713),
];

/// Vital signs by the meaning of their column.
pub(super) const SIGNS: [Measured; 6] = [
    measured(&["heart_rate"], "heart rate", 3_027_018, "/min", 8_541),
    measured(&["systolic"], "systolic pressure", 3_004_249, "mm[Hg]", 8_876),
    measured(&["diastolic"], "diastolic pressure", 3_012_888, "mm[Hg]", 8_876),
    measured(&["temperature"], "body temperature", 3_020_891, "Cel", 586_323),
    measured(&["saturation"], "oxygen saturation", 40_762_499, "%", 8_554),
    measured(&["respiration"], "respiratory rate", 3_024_171, "/min", 8_541),
];

/// The body mass index of an encounter.
pub(super) const BODY_MASS_INDEX: Measured = measured(&["bmi"], "body mass index", 3_038_553, "kg/m2", 9_531);

/// A visit without illness, in ICD-10-CM and ICD-9-CM.
pub(super) const CHECK_UP: [&str; 2] = ["Z00.00", "V70.0"];

/// Diagnoses: ICD-10-CM, ICD-9-CM, condition concept, name.
pub(super) const CONDITIONS: [(&str, &str, u32, &str); 27] = [
    ("J18.9", "486", 255_848, "pneumonia"),
    ("N39.0", "599.0", 81_902, "urinary tract infection"),
    ("J20.9", "466.0", 260_139, "acute bronchitis"),
    ("A41.9", "038.9", 132_797, "sepsis"),
    ("K35.80", "540.9", 440_448, "appendicitis"),
    ("L03.115", "682.6", 0, "cellulitis of a leg"),
    ("I21.4", "410.71", 4_270_024, "non-ST-elevation myocardial infarction"),
    ("I63.9", "434.91", 443_454, "cerebral infarction"),
    ("S72.001A", "820.8", 4_230_399, "hip fracture"),
    ("K80.20", "574.20", 196_456, "gallstone"),
    ("R07.9", "786.50", 77_670, "chest pain"),
    ("R55", "780.2", 135_360, "syncope"),
    ("S06.0X0A", "850.0", 378_001, "concussion without loss of consciousness"),
    ("R10.9", "789.00", 200_219, "abdominal pain"),
    ("E86.0", "276.51", 435_796, "dehydration"),
    ("M54.50", "724.2", 194_133, "low back pain"),
    ("H25.9", "366.10", 375_545, "cataract"),
    ("K21.9", "530.81", 318_800, "gastro-oesophageal reflux"),
    ("L20.9", "691.8", 133_834, "atopic dermatitis"),
    ("I10", "401.9", 320_128, "essential hypertension"),
    ("E11.9", "250.00", 201_826, "type 2 diabetes"),
    ("N18.30", "585.3", 443_597, "chronic kidney disease stage 3"),
    ("I50.9", "428.0", 316_139, "heart failure"),
    ("J44.9", "496", 255_573, "chronic obstructive lung disease"),
    ("F32.A", "311", 440_383, "depressive disorder"),
    ("D64.9", "285.9", 439_777, "anaemia"),
    ("C18.9", "153.9", 4_180_790, "malignant tumour of colon"),
];
