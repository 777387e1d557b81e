//! The common schema: tables, their fields, what each field holds, refers to and is to privacy.
//!
//! A consortium writes its own in TOML or takes OMOP's (`omop`). What is read is checked once, here: no reference to
//! nowhere, at most one primary key a table, no circle of references between tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Schema as ArrowSchema, SchemaRef, TimeUnit};
use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::limits::COLUMNS_MAX;
use cohortium_protocol::record::common_schema::schema_digest;
use cohortium_protocol::record::schema::{ColumnRole, ColumnType};
use serde::{Deserialize, Serialize};

use crate::limits::{NAME_CHARS_MAX, SCHEMA_BYTES_MAX, TABLES_MAX};
use crate::order;

/// What a field's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// 64-bit signed integer.
    Integer,
    /// 64-bit float.
    Float,
    /// Text, of at most [`Field::length_max`] characters where that is given.
    Text,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// A time of day on a day, in microseconds, without a time zone.
    Timestamp,
}

impl Kind {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Text => "text",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        }
    }

    /// The Arrow type of a column of this kind.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }
}

impl From<Kind> for ColumnType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Integer => Self::Integer,
            Kind::Float => Self::Float,
            Kind::Text => Self::Text,
            Kind::Boolean => Self::Boolean,
            Kind::Date => Self::Date,
            Kind::Timestamp => Self::Timestamp,
        }
    }
}

/// A field of a table, written `table.field`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath {
    /// The table.
    pub table: String,
    /// The field.
    pub field: String,
}

impl TryFrom<String> for FieldPath {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (table, field) = text.split_once('.').ok_or("a reference is written table.field")?;
        Ok(Self { table: table.to_owned(), field: field.to_owned() })
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.to_string()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.field)
    }
}

/// What a field refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// Nothing.
    #[default]
    None,
    /// The primary key of a table of this schema.
    Table(FieldPath),
    /// The primary key of a table that this schema leaves out: whatever it names is nowhere.
    LeftOut(FieldPath),
    /// A concept of the vocabulary, of this domain where one is given.
    Concept(Option<String>),
}

/// One field of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name: 1 to 63 of `a-z 0-9 _`, beginning with a letter.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
    /// The most characters of a text.
    pub length_max: Option<u32>,
    /// Whether each row has a value.
    pub required: bool,
    /// Whether its values name the table's rows.
    pub primary_key: bool,
    /// What it refers to.
    pub reference: Reference,
    /// What it is to a patient's privacy.
    pub role: ColumnRole,
    /// For people.
    pub description: String,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its name, as a field's.
    pub name: String,
    /// For people.
    pub description: String,
    /// Its fields, in their order.
    pub fields: Vec<Field>,
}

impl Table {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field whose values name the rows.
    pub fn primary_key(&self) -> Option<&Field> {
        self.fields.iter().find(|field| field.primary_key)
    }

    /// The Arrow schema of its rows, fields in order.
    pub fn arrow(&self) -> SchemaRef {
        let field = |field: &Field| ArrowField::new(&field.name, field.kind.arrow(), !field.required);
        Arc::new(ArrowSchema::new(self.fields.iter().map(field).collect::<Vec<_>>()))
    }
}

/// A checked common schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommonSchema {
    name: String,
    version: String,
    tables: Vec<Table>,
    #[serde(skip)]
    order: Vec<usize>,
}

impl CommonSchema {
    /// Reads a schema as it is written in TOML: `name`, `version`, `[[table]]` and in each `[[table.field]]`.
    ///
    /// # Errors
    /// [`SchemaFault`], with the table and field where it is one of theirs.
    pub fn parse(text: &str) -> Result<Self, SchemaFault> {
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(SchemaFault::TooLong { bytes_max: SCHEMA_BYTES_MAX });
        }
        let written: Written = toml::from_str(text).map_err(|error| SchemaFault::syntax(text, &error))?;
        Self::checked(written)
    }

    /// What the schema is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which version of it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The tables as they are written.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The tables so that each one stands behind those that it refers to; else as they are written.
    pub fn in_order(&self) -> impl Iterator<Item = &Table> {
        self.order.iter().filter_map(|place| self.tables.get(*place))
    }

    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The Arrow schema of a table.
    pub fn arrow(&self, table: &str) -> Option<SchemaRef> {
        self.table(table).map(Table::arrow)
    }

    /// The digest of the canonical form: JSON of everything that is declared, keys and tables in their order.
    ///
    /// # Panics
    /// Never: names, numbers and flags have a JSON form.
    pub fn digest(&self) -> DocumentDigest {
        schema_digest(&self.canonical())
    }

    pub(crate) fn checked(written: Written) -> Result<Self, SchemaFault> {
        if written.table.is_empty() || written.table.len() > TABLES_MAX {
            return Err(SchemaFault::TableCount { max: TABLES_MAX });
        }
        let mut names = BTreeSet::new();
        let mut tables = Vec::with_capacity(written.table.len());
        for table in written.table {
            let table = table.checked()?;
            if !names.insert(table.name.clone()) {
                return Err(SchemaFault::TableTwice { table: table.name });
            }
            tables.push(table);
        }
        check_references(&tables)?;
        let order = order::by_reference(&tables).map_err(|tables| SchemaFault::Circle { tables })?;
        Ok(Self { name: written.name, version: written.version, tables, order })
    }
}

/// Each reference names a primary key of its own kind.
fn check_references(tables: &[Table]) -> Result<(), SchemaFault> {
    let keys: BTreeMap<(&str, &str), Kind> = tables
        .iter()
        .filter_map(|table| table.primary_key().map(|key| ((table.name.as_str(), key.name.as_str()), key.kind)))
        .collect();
    let names: BTreeSet<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    for table in tables {
        for field in &table.fields {
            let to_nowhere = match &field.reference {
                Reference::None => None,
                Reference::Table(to) => {
                    Some(to).filter(|to| keys.get(&(to.table.as_str(), to.field.as_str())) != Some(&field.kind))
                }
                Reference::LeftOut(to) => Some(to).filter(|to| names.contains(to.table.as_str())),
                Reference::Concept(_) if field.kind == Kind::Integer => None,
                Reference::Concept(_) => return Err(table.fault(field, FieldFault::ConceptKind)),
            };
            if let Some(to) = to_nowhere {
                return Err(table.fault(field, FieldFault::Reference { to: to.clone() }));
            }
        }
    }
    Ok(())
}

impl Table {
    fn fault(&self, field: &Field, fault: FieldFault) -> SchemaFault {
        SchemaFault::Field { table: self.name.clone(), field: field.name.clone(), fault }
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) table: Vec<WrittenTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenTable {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) field: Vec<WrittenField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenField {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) length_max: Option<u32>,
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) primary_key: bool,
    pub(crate) references: Option<FieldPath>,
    pub(crate) left_out: Option<FieldPath>,
    /// A domain, or `any`.
    pub(crate) concept: Option<String>,
    pub(crate) role: ColumnRole,
    #[serde(default)]
    pub(crate) description: String,
}

impl WrittenTable {
    fn checked(self) -> Result<Table, SchemaFault> {
        if !is_name(&self.name) {
            return Err(SchemaFault::TableName { table: self.name });
        }
        if self.field.is_empty() || self.field.len() > COLUMNS_MAX {
            return Err(SchemaFault::FieldCount { table: self.name, max: COLUMNS_MAX });
        }
        let mut table = Table { name: self.name, description: self.description, fields: Vec::new() };
        for written in self.field {
            let name = written.name.clone();
            let fault = |fault| SchemaFault::Field { table: table.name.clone(), field: name.clone(), fault };
            let field = written.checked().map_err(fault)?;
            if table.field(&field.name).is_some() {
                return Err(fault(FieldFault::Twice));
            }
            if let (true, Some(first)) = (field.primary_key, table.primary_key()) {
                return Err(fault(FieldFault::SecondKey { first: first.name.clone() }));
            }
            table.fields.push(field);
        }
        Ok(table)
    }
}

impl WrittenField {
    fn checked(self) -> Result<Field, FieldFault> {
        if !is_name(&self.name) {
            return Err(FieldFault::Name);
        }
        let kind = match self.kind.as_str() {
            "integer" => Kind::Integer,
            "float" => Kind::Float,
            "text" => Kind::Text,
            "boolean" => Kind::Boolean,
            "date" => Kind::Date,
            "timestamp" => Kind::Timestamp,
            _ => return Err(FieldFault::Kind { kind: self.kind }),
        };
        if self.length_max.is_some_and(|max| kind != Kind::Text || max == 0) {
            return Err(FieldFault::Length);
        }
        if self.primary_key && !(self.required && kind == Kind::Integer) {
            return Err(FieldFault::KeyForm);
        }
        let reference = match (self.references, self.left_out, self.concept) {
            (None, None, None) => Reference::None,
            (Some(to), None, None) => Reference::Table(to),
            (None, Some(to), None) => Reference::LeftOut(to),
            (None, None, Some(domain)) => Reference::Concept(Some(domain).filter(|domain| domain != "any")),
            _ => return Err(FieldFault::TwoReferences),
        };
        Ok(Field {
            name: self.name,
            kind,
            length_max: self.length_max,
            required: self.required,
            primary_key: self.primary_key,
            reference,
            role: self.role,
            description: self.description,
        })
    }
}

/// 1 to 63 of `a-z 0-9 _`, beginning with a letter: what every database takes unquoted.
fn is_name(text: &str) -> bool {
    text.len() <= NAME_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// Why a text is no common schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaFault {
    /// It is longer than anything we read.
    TooLong {
        /// The bound.
        bytes_max: usize,
    },
    /// It is not TOML, or not of a schema's form.
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What the reader of TOML says.
        message: String,
    },
    /// It is not the canonical form of a schema.
    NotCanonical,
    /// No table, or too many.
    TableCount {
        /// The bound.
        max: usize,
    },
    /// A table's name is not one.
    TableName {
        /// The name.
        table: String,
    },
    /// Two tables of one name.
    TableTwice {
        /// The name.
        table: String,
    },
    /// No field, or too many.
    FieldCount {
        /// The table.
        table: String,
        /// The bound.
        max: usize,
    },
    /// A field is wrong.
    Field {
        /// The table.
        table: String,
        /// The field.
        field: String,
        /// What is wrong.
        fault: FieldFault,
    },
    /// Tables refer to one another in a circle.
    Circle {
        /// Those in the circle, and those that wait for it.
        tables: Vec<String>,
    },
}

impl SchemaFault {
    fn syntax(text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        Self::Syntax { line: before.matches('\n').count() + 1, message: error.message().to_owned() }
    }
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldFault {
    /// Its name is not one.
    Name,
    /// Its table has a field of this name already.
    Twice,
    /// Its kind is none.
    Kind {
        /// As written.
        kind: String,
    },
    /// A length that is 0, or of something that is not text.
    Length,
    /// A primary key that is not a required integer.
    KeyForm,
    /// Its table has a primary key already.
    SecondKey {
        /// That one.
        first: String,
    },
    /// It refers to two things.
    TwoReferences,
    /// It refers to what is not a primary key of its own kind; or to a table as left out that is there.
    Reference {
        /// What it names.
        to: FieldPath,
    },
    /// A concept that is not an integer.
    ConceptKind,
}

impl fmt::Display for SchemaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes_max } => write!(f, "the schema is longer than {bytes_max} bytes"),
            Self::Syntax { line, message } => write!(f, "the schema's line {line}: {message}"),
            Self::NotCanonical => f.write_str("this is not the canonical form of a common schema"),
            Self::TableCount { max } => write!(f, "a schema has 1 to {max} tables"),
            Self::TableName { table } => {
                write!(f, "table {table:?}: a name is 1 to 63 of a-z, 0-9 and _, a letter first")
            }
            Self::TableTwice { table } => write!(f, "table {table} stands there twice"),
            Self::FieldCount { table, max } => write!(f, "table {table}: a table has 1 to {max} fields"),
            Self::Field { table, field, fault } => write!(f, "table {table}, field {field:?}: {fault}"),
            Self::Circle { tables } => write!(f, "tables refer to one another in a circle: {}", tables.join(", ")),
        }
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("a name is 1 to 63 of a-z, 0-9 and _, a letter first"),
            Self::Twice => f.write_str("stands there twice"),
            Self::Kind { kind } => {
                write!(f, "no kind is called {kind:?}: integer, float, text, boolean, date or timestamp")
            }
            Self::Length => f.write_str("a length is at least 1, and only texts have one"),
            Self::KeyForm => f.write_str("a primary key is a required integer"),
            Self::SecondKey { first } => write!(f, "is a second primary key beside {first}"),
            Self::TwoReferences => f.write_str("has more than one of references, left_out and concept"),
            Self::Reference { to } => write!(f, "{to} is not a primary key of the same kind, or not left out"),
            Self::ConceptKind => f.write_str("a concept is an integer"),
        }
    }
}

impl std::error::Error for SchemaFault {}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
name = "wards"
version = "1"

[[table]]
name = "ward"
[[table.field]]
name = "ward_id"
kind = "integer"
required = true
primary_key = true
role = "quasi-identifier"

[[table]]
name = "stay"
[[table.field]]
name = "stay_id"
kind = "integer"
required = true
primary_key = true
role = "quasi-identifier"
[[table.field]]
name = "ward_id"
kind = "integer"
references = "ward.ward_id"
role = "quasi-identifier"
[[table.field]]
name = "note"
kind = "text"
length_max = 3
role = "free-text"
"#;

    fn fault(from: &str, to: &str) -> String {
        assert!(TWO.contains(from), "{from}");
        CommonSchema::parse(&TWO.replacen(from, to, 1)).unwrap_err().to_string()
    }

    #[test]
    fn a_schema_is_read_with_its_arrow_types() {
        let schema = CommonSchema::parse(TWO).unwrap();
        assert_eq!((schema.name(), schema.version(), schema.tables().len()), ("wards", "1", 2));
        let stay = schema.arrow("stay").unwrap();
        let fields: Vec<_> =
            stay.fields().iter().map(|f| (f.name().as_str(), f.data_type(), f.is_nullable())).collect();
        assert_eq!(
            fields,
            [
                ("stay_id", &DataType::Int64, false),
                ("ward_id", &DataType::Int64, true),
                ("note", &DataType::Utf8, true)
            ]
        );
        assert!(schema.arrow("bed").is_none());
    }

    #[test]
    fn a_fault_names_table_and_field() {
        let cases = [
            ("references = \"ward.ward_id\"", "references = \"ward.nowhere\"", "ward.nowhere is not a primary key"),
            ("references = \"ward.ward_id\"", "references = \"bed.bed_id\"", "bed.bed_id is not a primary key"),
            ("references = \"ward.ward_id\"", "references = \"ward\"", "a reference is written table.field"),
            ("references = \"ward.ward_id\"", "left_out = \"ward.ward_id\"", "not left out"),
            ("references = \"ward.ward_id\"", "references = \"ward.ward_id\"\nconcept = \"any\"", "more than one of"),
            (
                "references = \"ward.ward_id\"",
                "required = true\nprimary_key = true",
                "second primary key beside stay_id",
            ),
            ("length_max = 3", "concept = \"Unit\"", "field \"note\": a concept is an integer"),
            ("kind = \"text\"", "kind = \"varchar\"", "table stay, field \"note\": no kind is called \"varchar\""),
            ("length_max = 3", "length_max = 0", "a length is at least 1"),
            ("kind = \"text\"", "kind = \"float\"", "only texts have one"),
            ("name = \"note\"", "name = \"ward_id\"", "field \"ward_id\": stands there twice"),
            ("name = \"note\"", "name = \"Note\"", "field \"Note\": a name is"),
            ("name = \"stay\"", "name = \"ward\"", "table ward stands there twice"),
            ("name = \"stay\"", "name = \"a stay\"", "table \"a stay\": a name is"),
            ("required = true\n", "", "field \"ward_id\": a primary key is a required integer"),
            ("length_max = 3", "lenght = 3", "line 30: unknown field `lenght`"),
            ("role = \"free-text\"", "role = \"harmless\"", "unknown variant `harmless`"),
            ("role = \"free-text\"\n", "", "missing field `role`"),
        ];
        for (from, to, expected) in cases {
            let text = fault(from, to);
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_table_stands_behind_what_it_refers_to_and_a_circle_has_no_order() {
        let names = |text: &str| {
            let schema = CommonSchema::parse(text).unwrap();
            schema.in_order().map(|table| table.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(TWO), ["ward", "stay"]);
        let (head, tables) = TWO.split_once("[[table]]").unwrap();
        let (ward, stay) = tables.split_once("[[table]]").unwrap();
        let turned = format!("{head}[[table]]{stay}\n[[table]]{ward}");
        assert_eq!(names(&turned), ["ward", "stay"]);
        let field = |to: &str| {
            format!(
                "[[table.field]]\nname = \"other\"\nkind = \"integer\"\nreferences = \"{to}\"\nrole = \"sensitive\"\n"
            )
        };
        let own = format!("{turned}{}", field("ward.ward_id"));
        assert_eq!(names(&own), ["ward", "stay"], "a table may refer to itself");
        let circle = CommonSchema::parse(&format!("{turned}{}", field("stay.stay_id")));
        assert_eq!(circle, Err(SchemaFault::Circle { tables: vec!["stay".to_owned(), "ward".to_owned()] }));
    }

    #[test]
    fn the_digest_depends_on_what_is_declared_and_not_on_how() {
        let digest = |text: &str| CommonSchema::parse(text).unwrap().digest();
        assert_eq!(digest(TWO), digest(&format!("# a comment\n{TWO}")));
        let changes = [
            ("length_max = 3", "length_max = 4"),
            ("role = \"free-text\"", "role = \"sensitive\""),
            ("\"1\"", "\"2\""),
        ];
        for (from, to) in changes {
            assert_ne!(digest(TWO), digest(&TWO.replacen(from, to, 1)), "{to}");
        }
    }

    #[test]
    fn bounds_are_kept_on_both_sides() {
        let name = |length: usize| TWO.replacen("\"note\"", &format!("{:?}", "n".repeat(length)), 1);
        assert!(CommonSchema::parse(&name(NAME_CHARS_MAX)).is_ok());
        assert!(CommonSchema::parse(&name(NAME_CHARS_MAX + 1)).is_err());
        let padded = |bytes: usize| format!("{TWO}{}", "#".repeat(bytes - TWO.len()));
        assert!(CommonSchema::parse(&padded(SCHEMA_BYTES_MAX)).is_ok());
        let long = CommonSchema::parse(&padded(SCHEMA_BYTES_MAX + 1));
        assert_eq!(long, Err(SchemaFault::TooLong { bytes_max: SCHEMA_BYTES_MAX }));
        let (_, ward) = TWO.split_once("[[table]]").unwrap();
        let (ward, _) = ward.split_once("[[table]]").unwrap();
        let tables = |count: usize| {
            let tables = (0..count).map(|n| format!("[[table]]{}", ward.replacen("\"ward\"", &format!("\"t{n}\""), 1)));
            format!("name = \"x\"\nversion = \"1\"\n{}", tables.collect::<String>())
        };
        assert!(CommonSchema::parse(&tables(TABLES_MAX)).is_ok());
        assert_eq!(CommonSchema::parse(&tables(TABLES_MAX + 1)), Err(SchemaFault::TableCount { max: TABLES_MAX }));
        assert!(CommonSchema::parse("name = \"x\"\nversion = \"1\"\ntable = []\n").is_err());
    }
}
