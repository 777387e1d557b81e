//! Mapped tables as datasets of this node: their columns are the common schema's.

use std::path::Path;

use cohortium_protocol::ident::Name;
use cohortium_protocol::limits::COMMON_SCHEMA_BYTES_MAX;
use cohortium_protocol::record::share::Content;
use cohortium_schema::limits::SCHEMA_BYTES_MAX;
use cohortium_schema::omop;
use cohortium_schema::schema::{CommonSchema, Table};

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::control::{MappingView, Reply, Request, View};
use crate::home;
use crate::offered;

/// The consortium's common schema: its charter's own, or OMOP's.
pub(crate) fn common_schema(cx: &Cx, view: &View) -> Result<CommonSchema, CliFault> {
    let omop = omop::omop_5_4();
    let named = view.charter.as_ref().and_then(|charter| charter.schema).filter(|named| *named != omop.digest());
    let Some(named) = named else { return Ok(omop) };
    let Reply::Told { message } = cx.call(Request::CommonSchema { consortium: view.consortium })? else {
        return Err(CliFault::other_reply());
    };
    let text = message.ok_or_else(|| {
        CliFault::not_found("the charter's common schema has not arrived here; the operator states it with its charter")
    })?;
    let schema = CommonSchema::from_canonical(&text).map_err(|fault| CliFault::refused(fault.to_string()))?;
    // What is signed later is about the schema that the members have agreed on, not about the daemon's word.
    if schema.digest() == named {
        Ok(schema)
    } else {
        Err(CliFault::refused("this is not the charter's common schema"))
    }
}

/// A common schema as it is written in a file of TOML; OMOP's where none is given.
pub(crate) fn schema_of_file(file: Option<&Path>) -> Result<CommonSchema, CliFault> {
    let Some(file) = file else { return Ok(omop::omop_5_4()) };
    let bytes = home::read_bounded(file, SCHEMA_BYTES_MAX as u64)?;
    let text =
        String::from_utf8(bytes).map_err(|_| CliFault::usage(format!("{} is not UTF-8 text", file.display())))?;
    let schema = CommonSchema::parse(&text).map_err(|fault| CliFault::usage(format!("{}: {fault}", file.display())))?;
    if schema.canonical().len() > COMMON_SCHEMA_BYTES_MAX {
        let why = format!("{}: its canonical form is longer than {COMMON_SCHEMA_BYTES_MAX} bytes", file.display());
        return Err(CliFault::usage(why));
    }
    Ok(schema)
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
pub(crate) fn mapped_content(cx: &Cx, view: &View, mapping: &Name, table: &Name) -> Result<Content, CliFault> {
    let schema = common_schema(cx, view)?;
    let table = schema.table(table.as_str());
    let table = table.ok_or_else(|| CliFault::not_found("the common schema has no such table"))?;
    content(table, found(view, mapping)?.linked)
}
