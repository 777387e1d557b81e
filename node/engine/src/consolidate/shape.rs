//! The shape of a consolidated table: the common schema's columns, what makes a row unique, whose row it is; and the
//! columns that every consolidated row has beside them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use cohortium_protocol::ident::{ColumnName, Name};
use cohortium_protocol::record::schema::ColumnType;
use cohortium_schema::schema::CommonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::ROW_COLUMN;

/// The source's name at its member.
pub const SOURCE_COLUMN: &str = "cohortium_source";
/// The source row's id: 32 hexadecimal digits that the member alone can compute.
pub const ORIGIN_COLUMN: &str = "cohortium_origin";
/// The member that states the row.
pub const MEMBER_COLUMN: &str = "cohortium_member";
/// The snapshot that last wrote the row: 64 hexadecimal digits.
pub const SNAPSHOT_COLUMN: &str = "cohortium_snapshot";
/// The row's digest (spec CONS-1): in the files of a part alone, so that a row that stays is not hashed again.
pub(crate) const DIGEST_COLUMN: &str = "cohortium_digest";
/// Begins the names of all such columns.
const RESERVED: &str = "cohortium_";

/// A column of the common schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableColumn {
    /// Its name.
    pub name: ColumnName,
    /// Its type; never [`ColumnType::Other`].
    pub kind: ColumnType,
    /// Whether every row has a value.
    pub required: bool,
}

/// A table as the common schema has it, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFields {
    /// Its name.
    pub table: Name,
    /// Its columns, in the schema's order.
    pub columns: Vec<TableColumn>,
    /// What makes a row unique over all members; empty where nothing does.
    pub key: Vec<ColumnName>,
    /// The patient's column, a whole number; `None` in a table about other things.
    pub person: Option<ColumnName>,
}

/// A table of the common schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TableFields", into = "TableFields")]
pub struct TableShape(TableFields);

/// Why a table cannot be consolidated at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShapeFault {
    /// No column.
    Empty,
    /// A name that is kept for columns of the engine's own.
    Reserved(ColumnName),
    /// Two columns of one name.
    Twice(ColumnName),
    /// A type that has no canonical encoding.
    Kind(ColumnName),
    /// A key or patient column that is not there or may be without value.
    Needed(ColumnName),
    /// A patient column that is not a whole number.
    Person(ColumnName),
}

impl fmt::Display for ShapeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the table has no columns"),
            Self::Reserved(name) => write!(f, "the name of column {name} is reserved"),
            Self::Twice(name) => write!(f, "column {name} is there twice"),
            Self::Kind(name) => write!(f, "column {name} has a type that cannot be consolidated"),
            Self::Needed(name) => write!(f, "column {name} is key or patient, and not there in every row"),
            Self::Person(name) => write!(f, "the patient column {name} is not a whole number"),
        }
    }
}

impl std::error::Error for ShapeFault {}

impl TryFrom<TableFields> for TableShape {
    type Error = ShapeFault;

    fn try_from(fields: TableFields) -> Result<Self, ShapeFault> {
        let mut seen = BTreeSet::new();
        for column in &fields.columns {
            if column.name.as_str().starts_with(RESERVED) {
                return Err(ShapeFault::Reserved(column.name.clone()));
            }
            if !seen.insert(&column.name) {
                return Err(ShapeFault::Twice(column.name.clone()));
            }
            if arrow_type(column.kind).is_none() {
                return Err(ShapeFault::Kind(column.name.clone()));
            }
        }
        if fields.columns.is_empty() {
            return Err(ShapeFault::Empty);
        }
        for name in fields.key.iter().chain(&fields.person) {
            let column = fields.columns.iter().find(|column| &column.name == name && column.required);
            let column = column.ok_or_else(|| ShapeFault::Needed(name.clone()))?;
            if fields.person.as_ref() == Some(name) && column.kind != ColumnType::Integer {
                return Err(ShapeFault::Person(name.clone()));
            }
        }
        Ok(Self(fields))
    }
}

impl From<TableShape> for TableFields {
    fn from(shape: TableShape) -> Self {
        shape.0
    }
}

/// The one Arrow type of a column of this kind; `None` for kinds that have several.
pub(crate) fn arrow_type(kind: ColumnType) -> Option<DataType> {
    Some(match kind {
        ColumnType::Text => DataType::Utf8,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::Other => return None,
    })
}

impl TableShape {
    /// A table of the common schema. A primary key that is not the patient's makes rows of one member unique alone: surrogate
    /// ids of two members never meet. `None` where the schema has no such table, or one that cannot be consolidated.
    pub fn of(schema: &CommonSchema, table: &Name) -> Option<Self> {
        let found = schema.table(table.as_str())?;
        let name = |text: &str| text.parse::<ColumnName>().ok();
        let columns = found.fields.iter().map(|field| {
            Some(TableColumn { name: name(&field.name)?, kind: field.kind.into(), required: field.required })
        });
        let fields = TableFields {
            table: table.clone(),
            columns: columns.collect::<Option<_>>()?,
            key: found.primary_key().and_then(|field| name(&field.name)).into_iter().collect(),
            person: found.field("person_id").and_then(|field| name(&field.name)),
        };
        Self::try_from(fields).ok()
    }

    /// The table's name.
    pub const fn table(&self) -> &Name {
        &self.0.table
    }

    /// The common schema's columns.
    pub fn columns(&self) -> &[TableColumn] {
        &self.0.columns
    }

    /// What makes a row unique over all members; empty where nothing does.
    pub fn key(&self) -> &[ColumnName] {
        &self.0.key
    }

    /// The patient's column.
    pub const fn patient(&self) -> Option<&ColumnName> {
        self.0.person.as_ref()
    }

    /// The columns of a consolidated table: row id, the common schema's, source, origin, member, snapshot.
    pub fn schema(&self) -> SchemaRef {
        let own =
            self.0.columns.iter().filter_map(|column| {
                Some(Field::new(column.name.as_str(), arrow_type(column.kind)?, !column.required))
            });
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let fields = std::iter::once(Field::new(ROW_COLUMN, DataType::FixedSizeBinary(16), false))
            .chain(own)
            .chain([SOURCE_COLUMN, ORIGIN_COLUMN, MEMBER_COLUMN, SNAPSHOT_COLUMN].map(text));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The columns of the files of a part: those of the table, and the row's digest.
    pub(crate) fn file_schema(&self) -> SchemaRef {
        let table = self.schema();
        let digest = Arc::new(Field::new(DIGEST_COLUMN, DataType::FixedSizeBinary(32), false));
        Arc::new(Schema::new(table.fields().iter().cloned().chain([digest]).collect::<Vec<_>>()))
    }

    /// The places, in [`schema`](Self::schema), of what a part's digest is over: the schema's columns, source, origin.
    pub(crate) fn content(&self) -> std::ops::Range<usize> {
        1..self.0.columns.len() + 3
    }

    /// The place of the patient.
    pub(crate) fn person(&self) -> Option<usize> {
        self.0.person.as_ref().and_then(|name| self.place(name))
    }

    /// Whether rows of one key are one row.
    pub(crate) fn has_key(&self) -> bool {
        !self.0.key.is_empty()
    }

    /// The places that rows of all members are ordered by: the patient, then the key.
    pub(crate) fn group(&self) -> Vec<usize> {
        let mut places: Vec<usize> = self.person().into_iter().collect();
        for place in self.0.key.iter().filter_map(|name| self.place(name)) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// The places that rows of one part are ordered by: as [`group`](Self::group), then the source, then the row id.
    pub(crate) fn order(&self) -> Vec<usize> {
        let source = self.0.columns.len() + 1;
        self.group().into_iter().chain([source, 0]).collect()
    }

    fn place(&self, name: &ColumnName) -> Option<usize> {
        self.0.columns.iter().position(|column| &column.name == name).map(|place| place + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> TableFields {
        let column = |name: &str, kind, required| TableColumn { name: name.parse().unwrap(), kind, required };
        TableFields {
            table: "visit_occurrence".parse().unwrap(),
            columns: vec![
                column("visit_occurrence_id", ColumnType::Integer, true),
                column("person_id", ColumnType::Integer, true),
                column("visit_source_value", ColumnType::Text, false),
            ],
            key: vec!["visit_occurrence_id".parse().unwrap()],
            person: Some("person_id".parse().unwrap()),
        }
    }

    /// A change that is refused, and what with.
    type Case = (fn(&mut TableFields), &'static str);

    #[test]
    fn rows_are_ordered_by_patient_then_key_then_source_then_id() {
        let shape = TableShape::try_from(fields()).unwrap();
        assert_eq!((shape.group(), shape.order(), shape.content()), (vec![2, 1], vec![2, 1, 4, 0], 1..6));
        let schema = shape.schema();
        assert_eq!(
            [schema.field(0).name(), schema.field(4).name(), schema.field(7).name()],
            [ROW_COLUMN, SOURCE_COLUMN, SNAPSHOT_COLUMN]
        );
        let mut keyless = fields();
        (keyless.key, keyless.person) = (Vec::new(), None);
        let shape = TableShape::try_from(keyless).unwrap();
        assert_eq!((shape.group(), shape.order(), shape.has_key()), (vec![], vec![4, 0], false));
    }

    #[test]
    fn a_table_whose_rows_cannot_be_told_apart_or_encoded_is_refused() {
        let refused = |change: fn(&mut TableFields)| {
            let mut fields = fields();
            change(&mut fields);
            TableShape::try_from(fields).err().map(|fault| format!("{fault:?}"))
        };
        assert_eq!(refused(|fields| fields.columns.clear()).as_deref(), Some("Empty"));
        let cases: [Case; 7] = [
            (|fields| fields.columns[2].name = "cohortium_row".parse().unwrap(), "Reserved(\"cohortium_row\")"),
            (|fields| fields.columns[2].name = "person_id".parse().unwrap(), "Twice(\"person_id\")"),
            (|fields| fields.columns[2].kind = ColumnType::Other, "Kind(\"visit_source_value\")"),
            (|fields| fields.key.push("gone".parse().unwrap()), "Needed(\"gone\")"),
            (|fields| fields.columns[0].required = false, "Needed(\"visit_occurrence_id\")"),
            (|fields| fields.columns[1].required = false, "Needed(\"person_id\")"),
            (|fields| fields.columns[1].kind = ColumnType::Text, "Person(\"person_id\")"),
        ];
        for (change, fault) in cases {
            assert_eq!(refused(change).as_deref(), Some(fault));
        }
    }
}
