//! A mapped table as it leaves where nobody says otherwise: what the common schema calls an identifier or free text stays,
//! measured values leave rounded.

use std::fmt;

use cohortium_engine::consolidate::shape::{ORIGIN_COLUMN, SOURCE_COLUMN};
use cohortium_protocol::ident::{ColumnName, DatasetId, Name};
use cohortium_protocol::record::dataset::{Dataset, Source};
use cohortium_protocol::record::schema::{Column, ColumnRole, ColumnType, Treatment};
use cohortium_protocol::record::share::{Linkage, TableTerms};
use cohortium_protocol::record::suspicion::suspicion;
use cohortium_schema::schema::Table;

/// Decimal digits that a measured value leaves with.
const MEASURE_DIGITS: i8 = 4;

/// A name of the common schema that is none here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameUnfit {
    /// As the schema has it.
    name: String,
}

impl fmt::Display for NameUnfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the common schema's name {:?} is no name of a column or dataset", self.name)
    }
}

impl std::error::Error for NameUnfit {}

fn parsed<T: std::str::FromStr>(name: &str) -> Result<T, NameUnfit> {
    name.parse().map_err(|_| NameUnfit { name: name.to_owned() })
}

/// The columns of a mapped table as they leave.
pub(crate) fn terms(table: &Table, linked: bool) -> Result<TableTerms, NameUnfit> {
    let own = [SOURCE_COLUMN, ORIGIN_COLUMN].map(|name| (name, ColumnType::Text, ColumnRole::QuasiIdentifier));
    let fields = table.fields.iter().map(|field| (field.name.as_str(), ColumnType::from(field.kind), field.role));
    let columns = fields.chain(own).map(|(name, kind, role)| {
        let (role, treatment) = match (role, kind) {
            (ColumnRole::DirectIdentifier | ColumnRole::FreeText, _) => (role, Treatment::Drop),
            (ColumnRole::Measure, ColumnType::Float) => (role, Treatment::Round(MEASURE_DIGITS)),
            (ColumnRole::Measure, ColumnType::Integer) => (role, Treatment::Round(0)),
            (ColumnRole::Measure, _) => (ColumnRole::QuasiIdentifier, Treatment::Keep),
            (ColumnRole::QuasiIdentifier | ColumnRole::Sensitive, _) => (role, Treatment::Keep),
        };
        let name: ColumnName = parsed(name)?;
        // Names of the common schema, such as a concept of a drug or a cause of death, are not what they remind of.
        let reminds = matches!(suspicion(name.as_str()).role, ColumnRole::DirectIdentifier | ColumnRole::FreeText);
        let reason = reminds.then(|| parsed("A column of the common schema")).transpose()?;
        Ok(Column { reason, ..Column::new(name, kind, role, treatment) })
    });
    let columns = columns.collect::<Result<Vec<_>, NameUnfit>>()?;
    Ok(TableTerms::of(columns, if linked { Linkage::Token } else { Linkage::None }))
}

/// The dataset that a mapped table is.
pub(crate) fn dataset(id: DatasetId, name: Name, mapping: &Name, table: &Table) -> Result<Dataset, NameUnfit> {
    let key = table.primary_key().or_else(|| table.field("person_id"));
    Ok(Dataset {
        dataset: id,
        name,
        source: Source::Mapped { mapping: mapping.clone(), table: parsed(&table.name)? },
        key: key.map(|field| parsed(&field.name)).transpose()?.into_iter().collect(),
        patient: None,
        linkage: None,
    })
}
