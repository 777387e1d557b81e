//! The canonical form of a common schema: the JSON that its digest is of, and that travels to the members.

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::record::schema::ColumnRole;
use serde::Deserialize;

use crate::omop;
use crate::schema::{CommonSchema, Kind, Reference, SchemaFault, Written, WrittenField, WrittenTable};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Canonical {
    name: String,
    version: String,
    tables: Vec<CanonicalTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CanonicalTable {
    name: String,
    description: String,
    fields: Vec<CanonicalField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CanonicalField {
    name: String,
    kind: Kind,
    length_max: Option<u32>,
    required: bool,
    primary_key: bool,
    reference: Reference,
    role: ColumnRole,
    description: String,
}

impl CommonSchema {
    /// The canonical form: everything that is declared, keys and tables in their order.
    ///
    /// # Panics
    /// Never: names, numbers and flags have a JSON form.
    pub fn canonical(&self) -> String {
        serde_json::to_string(self).expect("names, numbers and flags have a JSON form")
    }

    /// Reads what [`CommonSchema::canonical`] wrote, and checks it as a schema in TOML is checked.
    ///
    /// # Errors
    /// [`SchemaFault`]; [`SchemaFault::NotCanonical`] for other JSON, and for JSON that says the same in other words.
    pub fn from_canonical(text: &str) -> Result<Self, SchemaFault> {
        let read: Canonical = serde_json::from_str(text).map_err(|_| SchemaFault::NotCanonical)?;
        let schema = Self::checked(read.written())?;
        if schema.canonical() == text { Ok(schema) } else { Err(SchemaFault::NotCanonical) }
    }

    /// The schema in use: a consortium's own, of which this is the canonical form, or else OMOP's.
    ///
    /// # Errors
    /// [`SchemaFault`].
    pub fn in_use(own: Option<&str>) -> Result<Self, SchemaFault> {
        own.map_or_else(|| Ok(omop::omop_5_4()), Self::from_canonical)
    }

    /// The schema of this digest: the consortium's own, of which this is the canonical form, or else OMOP's; `None` where
    /// it is neither.
    pub fn named(digest: DocumentDigest, own: Option<&str>) -> Option<Self> {
        Self::in_use(own).ok().filter(|schema| schema.digest() == digest)
    }
}

impl Canonical {
    fn written(self) -> Written {
        let table = |table: CanonicalTable| WrittenTable {
            name: table.name,
            description: table.description,
            field: table.fields.into_iter().map(CanonicalField::written).collect(),
        };
        Written { name: self.name, version: self.version, table: self.tables.into_iter().map(table).collect() }
    }
}

impl CanonicalField {
    fn written(self) -> WrittenField {
        let (mut references, mut left_out, mut concept) = (None, None, None);
        match self.reference {
            Reference::None => {}
            Reference::Table(to) => references = Some(to),
            Reference::LeftOut(to) => left_out = Some(to),
            Reference::Concept(domain) => concept = Some(domain.unwrap_or_else(|| "any".to_owned())),
        }
        WrittenField {
            name: self.name,
            kind: self.kind.word().to_owned(),
            length_max: self.length_max,
            required: self.required,
            primary_key: self.primary_key,
            references,
            left_out,
            concept,
            role: self.role,
            description: self.description,
        }
    }
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::limits::COMMON_SCHEMA_BYTES_MAX;
    use cohortium_protocol::record::common_schema::schema_digest;

    use super::*;

    const OWN: &str = r#"
name = "registry"
version = "2"
[[table]]
name = "patient"
field = [
  { name = "patient_id", kind = "integer", required = true, primary_key = true, role = "quasi-identifier" },
  { name = "sex", kind = "text", length_max = 1, concept = "any", role = "quasi-identifier" },
]
[[table]]
name = "visit"
description = "A stay"
field = [
  { name = "patient_id", kind = "integer", required = true, references = "patient.patient_id", role = "quasi-identifier" },
  { name = "site_id", kind = "integer", left_out = "site.site_id", role = "quasi-identifier" },
  { name = "began", kind = "date", role = "quasi-identifier" },
]
"#;

    fn own() -> CommonSchema {
        CommonSchema::parse(&OWN.replace("kind = \"text\", length_max = 1, concept", "kind = \"integer\", concept"))
            .unwrap()
    }

    // MAP-12
    #[test]
    fn a_schema_reads_back_from_its_canonical_form_whose_digest_is_its_name() {
        for schema in [own(), omop::omop_5_4()] {
            let text = schema.canonical();
            assert_eq!(CommonSchema::from_canonical(&text).unwrap(), schema);
            assert_eq!(schema_digest(&text), schema.digest());
            assert!(text.len() <= COMMON_SCHEMA_BYTES_MAX, "{}", text.len());
        }
        assert_eq!(CommonSchema::in_use(None).unwrap().digest(), omop::omop_5_4().digest());
        assert_eq!(CommonSchema::in_use(Some(&own().canonical())).unwrap(), own());
        let (text, omop) = (own().canonical(), omop::omop_5_4());
        assert_eq!(CommonSchema::named(own().digest(), Some(&text)), Some(own()));
        assert_eq!(CommonSchema::named(omop.digest(), None), Some(omop.clone()));
        assert_eq!(
            (CommonSchema::named(omop.digest(), Some(&text)), CommonSchema::named(own().digest(), None)),
            (None, None)
        );
    }

    #[test]
    fn other_words_for_the_same_and_what_no_schema_may_say_are_refused() {
        let text = own().canonical();
        let refused = |text: &str| CommonSchema::from_canonical(text).unwrap_err();
        assert_eq!(refused(&text.replacen(':', ": ", 1)), SchemaFault::NotCanonical);
        assert_eq!(refused(&text.replacen('{', "{\"more\":1,", 1)), SchemaFault::NotCanonical);
        assert_eq!(refused("CANARY"), SchemaFault::NotCanonical);
        let circle = text.replace("patient.patient_id", "visit.patient_id");
        assert!(matches!(refused(&circle), SchemaFault::Field { .. }), "the checks of a schema in TOML hold here, too");
    }
}
