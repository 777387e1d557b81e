//! The mappings and views that are written by hand, for sets that are not generated.

/// Microsoft length of stay: the mapping of each facility's `stays`.
pub const LENGTH_OF_STAY: &str = include_str!("../../../mappings/los.toml");
/// UCI heart disease: the mapping of each hospital's `heart`.
pub const HEART: &str = include_str!("../../../mappings/heart.toml");
/// FHIR R4: patients, encounters and conditions over [`FHIR_VIEWS`].
pub const FHIR: &str = include_str!("../../../mappings/fhir/mapping.toml");
/// FHIR R4: patients and observations over [`FHIR_VIEWS`]. Over the public Synthea set it is refused.
pub const FHIR_OBSERVATIONS: &str = include_str!("../../../mappings/fhir/observations.toml");
/// SQL on FHIR views by the name of the source that each makes.
pub const FHIR_VIEWS: [(&str, &str); 4] = [
    ("patient", include_str!("../../../mappings/fhir/patient.json")),
    ("encounter", include_str!("../../../mappings/fhir/encounter.json")),
    ("condition", include_str!("../../../mappings/fhir/condition.json")),
    ("observation", include_str!("../../../mappings/fhir/observation.json")),
];
