//! Mapped tables as datasets of this node: their columns are the common schema's.

use cohortium_protocol::ident::Name;
use cohortium_protocol::record::share::Content;
use cohortium_schema::omop;
use cohortium_schema::schema::{CommonSchema, Table};

use crate::cli::exit::CliFault;
use crate::control::{MappingView, View};
use crate::offered;

/// The schema of this name; this version has OMOP's alone.
pub(crate) fn common_schema() -> CommonSchema {
    omop::omop_5_4()
}

/// The mapping of this name.
pub(crate) fn found<'v>(view: &'v View, name: &Name) -> Result<&'v MappingView, CliFault> {
    let found = view.mappings.iter().find(|mapping| &mapping.name == name);
    found.ok_or_else(|| CliFault::not_found(format!("no mapping {name}; `cohortium mapping list` shows them")))
}

/// The columns of a mapped table as they leave: what the schema calls an identifier or free text stays, and measured
/// values leave rounded.
pub(crate) fn content(table: &Table, linked: bool) -> Result<Content, CliFault> {
    offered::terms(table, linked).map(Content::Table).map_err(|fault| CliFault::usage(fault.to_string()))
}

/// The table of the common schema that a mapped dataset is.
pub(crate) fn mapped_content(view: &View, mapping: &Name, table: &Name) -> Result<Content, CliFault> {
    let schema = common_schema();
    let table = schema.table(table.as_str());
    let table = table.ok_or_else(|| CliFault::not_found("the common schema has no such table"))?;
    content(table, found(view, mapping)?.linked)
}
