//! A source's columns, with a first guess of what each is to privacy: from its name alone, never from values.

use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::record::schema::{ColumnRole, ColumnType, IdentifierClass};
use cohortium_protocol::record::suspicion::{Suspicion, suspicion};
use serde::{Deserialize, Serialize};

use crate::batch::SourceFault;
use crate::handle::Handle;
use crate::limits::Limits;
use crate::source::{Format, SourceReader};

/// One column of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfiledColumn {
    /// Its name.
    pub name: ColumnName,
    /// The type it would leave with; `None`: it can only be dropped.
    pub kind: Option<ColumnType>,
    /// A guess for a person to correct.
    pub role: ColumnRole,
    /// Another: which of the identifiers of Safe Harbor it holds.
    pub class: Option<IdentifierClass>,
}

/// The columns of a source, in its order. Reads the header, footer or schema and no row; only of JSON all of it, for its
/// fields and their types.
///
/// # Errors
/// [`SourceFault`].
pub fn profile(source: &Handle, format: Format, limits: &Limits) -> Result<Vec<ProfiledColumn>, SourceFault> {
    let reader = SourceReader::open(source, format, limits)?;
    let columns = reader.columns().iter();
    let profiled = |column: &crate::batch::SourceColumn| {
        let Suspicion { role, class, .. } = *suspicion(column.name.as_str());
        ProfiledColumn { name: column.name.clone(), kind: column.leaves_as(), role, class }
    };
    Ok(columns.map(profiled).collect())
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::record::text_form::TextForm;

    use super::*;

    #[test]
    fn a_profile_reads_no_row() {
        let bytes: Handle = std::sync::Arc::new(b"eid,sodium\n\"never closed".to_vec());
        let columns = profile(&bytes, Format::Csv(TextForm::default()), &Limits::default()).unwrap();
        let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["eid", "sodium"]);
        let guessed: Vec<_> = columns.iter().map(|column| (column.role, column.class)).collect();
        let eid = (ColumnRole::DirectIdentifier, Some(IdentifierClass::Other));
        assert_eq!(guessed, [eid, (ColumnRole::Measure, None)]);
        assert!(columns.iter().all(|column| column.kind == Some(ColumnType::Text)));
    }
}
