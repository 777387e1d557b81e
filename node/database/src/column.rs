//! Columns as the database has them, each with the type in which its values arrive, or none.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, TimeUnit};
use cohortium_protocol::ident::ColumnName;

use crate::fault::{DatabaseFault, TypeName};

/// A column as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Its name.
    pub name: ColumnName,
    /// The type its values arrive in; `None` for a type that is not supported, which can only be left out.
    pub kind: Option<DataType>,
    /// The database's own name of the type.
    pub declared: TypeName,
}

/// A point in time without a zone, in microseconds.
pub(crate) const LOCAL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// A point in time in UTC, in microseconds.
pub(crate) fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A time of day, in microseconds.
pub(crate) const TIME: DataType = DataType::Time64(TimeUnit::Microsecond);

/// The names of columns, each usable and none twice.
pub(crate) fn named_once<'a>(
    names: impl ExactSizeIterator<Item = &'a str>,
    max: usize,
) -> Result<Vec<ColumnName>, DatabaseFault> {
    if names.len() > max {
        return Err(DatabaseFault::TooManyColumns { max });
    }
    let (mut places, mut checked) = (BTreeMap::new(), Vec::with_capacity(names.len()));
    for (index, name) in names.enumerate() {
        let position = index + 1;
        let name = ColumnName::try_from(name.to_owned()).map_err(|_| DatabaseFault::HeaderName { position })?;
        if let Some(first) = places.insert(name.clone(), position) {
            return Err(DatabaseFault::HeaderTwice { first, second: position });
        }
        checked.push(name);
    }
    Ok(checked)
}
