//! What may be asked about: tables, their columns, what each says of whose row it is, and what is known of values beforehand.
//! A question is compiled against this alone, so that no refusal can depend on a row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::consolidate::shape::{MEMBER_COLUMN, TableShape};
use crate::private::declared::{Bounds, Domain, Origin};
use crate::private::term::{Column, Kind, Role, Term};

/// A column that may be asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnRule {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Bounds that hold for it where a question declares none.
    pub bounds: Option<Bounds>,
    /// Its values, where they are public: a group key that is this column is public.
    pub domain: Option<Domain>,
}

/// Whose rows a table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Patients': the name of the column that says whose.
    Patients(String),
    /// Nobody's: it is public, and this is where it comes from.
    Public(Origin),
}

/// A table that may be asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRule {
    /// Whose rows it has.
    pub whose: Whose,
    /// Its columns, in the order in which questions see them.
    pub columns: Vec<ColumnRule>,
}

/// The tables that a question may name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalogue {
    tables: BTreeMap<String, TableRule>,
    /// Names of columns that tie rows of one patient together.
    keys: Vec<String>,
}

impl Catalogue {
    /// Consolidated tables with all columns of the common schema and the member. A table without patients is left out: it
    /// is not public because nobody is named in it. The keys of tables of patients tie rows together by their name.
    pub fn of(shapes: &[TableShape]) -> Self {
        let mut catalogue = Self::default();
        for shape in shapes {
            let columns = shape.columns();
            let Some(person) = shape.person().and_then(|place| columns.get(place - 1)) else { continue };
            let own = columns.iter().filter_map(|column| Some((column.name.to_string(), Kind::of(column.kind)?)));
            let columns = own.chain([(MEMBER_COLUMN.to_owned(), Kind::Text)]);
            let rule = |(name, kind)| ColumnRule { name, kind, bounds: None, domain: None };
            let rule =
                TableRule { whose: Whose::Patients(person.name.to_string()), columns: columns.map(rule).collect() };
            let keys = shape.key().iter().filter(|key| **key != person.name).map(ToString::to_string);
            catalogue.insert(shape.table().as_str(), rule, keys.collect());
        }
        catalogue
    }

    /// Adds a table. `keys` are names of columns that, with the patient, tie its rows to those of other tables.
    pub fn insert(&mut self, table: &str, rule: TableRule, keys: BTreeSet<String>) {
        for key in keys {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
        self.tables.insert(table.to_owned(), rule);
    }

    /// The rule of a table, to narrow its columns or say what is known of them.
    pub fn table_mut(&mut self, table: &str) -> Option<&mut TableRule> {
        self.tables.get_mut(table)
    }

    pub(crate) fn table(&self, table: &str) -> Option<&TableRule> {
        self.tables.get(table)
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = (&String, &TableRule)> {
        self.tables.iter()
    }

    /// The columns of a table as terms of a source.
    pub(crate) fn columns(&self, rule: &TableRule, source: usize) -> Vec<Term> {
        let column = |(place, column): (usize, &ColumnRule)| {
            let role = match &rule.whose {
                Whose::Patients(unit) if *unit == column.name => Role::Unit,
                Whose::Patients(_) => {
                    self.keys.iter().position(|key| *key == column.name).map_or(Role::Value, Role::Key)
                }
                Whose::Public(_) => Role::Value,
            };
            Term::Column(Column { source, place, kind: column.kind, role })
        };
        rule.columns.iter().enumerate().map(column).collect()
    }
}

impl TableRule {
    /// The table as the planner sees it.
    pub(crate) fn schema(&self) -> SchemaRef {
        let field = |column: &ColumnRule| Field::new(&column.name, column.kind.arrow(), true);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// The place of the patient.
    pub(crate) fn unit(&self) -> Option<usize> {
        match &self.whose {
            Whose::Patients(unit) => self.columns.iter().position(|column| column.name == *unit),
            Whose::Public(_) => None,
        }
    }
}
