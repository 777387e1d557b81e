//! A ViewDefinition, read and checked: nothing of it is looked up or judged again while data is read.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::constant;
use crate::document::{Document, Value};
use crate::element::Kind;
use crate::json::Form;
use crate::limits::{COLUMNS_MAX, PATH_DEPTH_MAX, VIEW_BYTES_MAX};
use crate::names::Names;
use crate::path::compile::{Compiler, Expr, Fixed, Focus, Typed};
use crate::path::parse::parse;

/// What is wrong with a view, where in it, and what to do. It holds text of the view, never of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewFault {
    /// The place, such as `select[0].column[2].path`; empty for the whole view.
    pub place: String,
    /// What is wrong there, and what to do.
    pub what: String,
}

impl fmt::Display for ViewFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.place.is_empty() { "the view" } else { &self.place };
        write!(f, "{place}: {}", self.what)
    }
}

impl std::error::Error for ViewFault {}

/// What a column's cells are in Arrow; collections are lists of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellType {
    /// `boolean`.
    Boolean,
    /// `integer`, `positiveInt`, `unsignedInt` and `integer64`: signed, 64 bits.
    Integer,
    /// `decimal`: text, with the digits that the source has.
    Decimal,
    /// Every other primitive type, dates and times as they are written among them: text.
    Text,
    /// No type is declared or known: text of any primitive value.
    Untyped,
    /// A type that is no primitive: its JSON, as text.
    Json,
}

/// A column of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, unique in the view.
    pub name: String,
    /// The FHIR type that the view declares, without the address that FHIR's types begin with.
    pub fhir_type: Option<String>,
    /// What its cells are.
    pub cell: CellType,
    /// Whether a cell is a list.
    pub collection: bool,
}

/// A checked view.
#[derive(Debug, Clone)]
pub struct View {
    pub(crate) resource: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) filters: Vec<Expr>,
    /// All selects of the view, in one without a path of its own.
    pub(crate) root: Select,
    pub(crate) names: Names,
}

/// A select: what it is repeated for, and what its rows are made of, in the order of its columns.
#[derive(Debug, Clone)]
pub(crate) struct Select {
    pub(crate) each: Each,
    pub(crate) columns: Vec<Slot>,
    pub(crate) selects: Vec<Select>,
    pub(crate) unions: Vec<Select>,
    /// The number of columns, those of inner selects included.
    pub(crate) width: usize,
    /// Which of those are `%rowIndex`: they are 0, not null, where `forEachOrNull` finds nothing.
    pub(crate) row_indexes: Vec<usize>,
}

/// What a select is repeated for.
#[derive(Debug, Clone)]
pub(crate) enum Each {
    /// The value it stands at.
    One,
    Value(Expr),
    ValueOrNull(Expr),
    /// All values that these paths reach from one another.
    Repeat(Vec<Expr>),
}

/// How a column is filled.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// Its place among the columns of the view.
    pub(crate) column: usize,
    pub(crate) cell: CellType,
    pub(crate) collection: bool,
    /// Whether whole numbers may be texts, as `integer64` is in JSON.
    pub(crate) wide: bool,
    pub(crate) expr: Expr,
}

impl View {
    /// Reads and checks a ViewDefinition in JSON.
    ///
    /// # Errors
    /// The first fault, with its place in the view.
    pub fn parse(json: &[u8]) -> Result<Self, ViewFault> {
        let whole = |what: String| ViewFault { place: String::new(), what };
        if json.len() > VIEW_BYTES_MAX {
            return Err(whole(format!("a view has at most {VIEW_BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(json).map_err(|_| whole("the file is not UTF-8".to_owned()))?;
        let document = Document::read(text).map_err(|bad| {
            whole(format!("the file is not JSON: byte {} is at fault ({})", bad.at + 1, bad.reason.code()))
        })?;
        Reading::view(document.root())
    }

    /// The type of resource that the view is of.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The columns, in their order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }
}

/// A view while it is read.
struct Reading {
    resource: String,
    constants: BTreeMap<String, (Fixed, Kind)>,
    names: Names,
}

/// The columns of a select while it is read, with what union branches are compared by.
type Named = Vec<Column>;

impl Reading {
    fn view(root: Value<'_>) -> Result<View, ViewFault> {
        if root.form() != Form::Object {
            return Err(fault("", "a view is a JSON object"));
        }
        if let Some(found) = root.get("resourceType") {
            let found = text(found, "resourceType")?;
            if !found.ends_with("ViewDefinition") {
                return Err(fault("resourceType", "this is another resource: a view says ViewDefinition, or nothing"));
            }
        }
        let resource = root
            .get("resource")
            .ok_or_else(|| fault("resource", "is missing: name a resource type, such as Patient"))?;
        let resource = text(resource, "resource")?.into_owned();
        let letters = resource.bytes().all(|letter| letter.is_ascii_alphanumeric());
        if !letters || !resource.starts_with(|first: char| first.is_ascii_uppercase()) {
            return Err(fault("resource", "this is no resource type: write one as FHIR does, such as Patient"));
        }
        if let Some(name) = root.get("name") {
            sql_name(&text(name, "name")?, "name")?;
        }
        let mut reading = Self { resource, constants: BTreeMap::new(), names: Names::new() };
        reading.read_constants(root)?;
        let filters = reading.filters(root)?;
        let (select, columns) = reading.selects(root)?;
        if columns.is_empty() {
            return Err(fault("select", "the view has no columns: give it at least one"));
        }
        if columns.len() > COLUMNS_MAX || reading.names.is_full() {
            return Err(fault("select", &format!("a view has at most {COLUMNS_MAX} columns")));
        }
        Ok(View { resource: reading.resource, columns, filters, root: select, names: reading.names })
    }

    fn read_constants(&mut self, root: Value<'_>) -> Result<(), ViewFault> {
        for (at, value) in list(root, "constant", "")?.into_iter().enumerate() {
            let place = format!("constant[{at}]");
            let name = value.get("name").ok_or_else(|| fault(&place, "name is missing"))?;
            let name = text(name, &format!("{place}.name"))?.into_owned();
            sql_name(&name, &format!("{place}.name"))?;
            if name == "rowIndex" {
                return Err(fault(&place, "%rowIndex is the index of the row: choose another name"));
            }
            let constant = constant::read(value).map_err(|what| fault(&place, what))?;
            if self.constants.insert(name.clone(), constant).is_some() {
                return Err(fault(&place, &format!("the view has two constants {name}")));
            }
        }
        Ok(())
    }

    fn filters(&mut self, root: Value<'_>) -> Result<Vec<Expr>, ViewFault> {
        let mut filters = Vec::new();
        let focus = Focus::new(Kind::Complex, &self.resource);
        for (at, value) in list(root, "where", "")?.into_iter().enumerate() {
            let place = format!("where[{at}].path");
            let path = value.get("path").ok_or_else(|| fault(&place, "is missing"))?;
            let compiled = self.path(path, &place, &focus)?;
            if !matches!(compiled.focus.kind, Kind::Any | Kind::Boolean) {
                return Err(fault(&place, "a filter is true or false: compare the value with something"));
            }
            filters.push(compiled.expr);
        }
        Ok(filters)
    }

    fn selects(&mut self, root: Value<'_>) -> Result<(Select, Named), ViewFault> {
        let values = list(root, "select", "")?;
        if values.is_empty() {
            return Err(fault("select", "is missing: a view has at least one"));
        }
        let focus = Focus::new(Kind::Complex, &self.resource);
        let mut columns = Named::new();
        let mut selects = Vec::new();
        for (at, value) in values.into_iter().enumerate() {
            selects.push(self.select(value, &format!("select[{at}]"), &focus, &mut columns)?);
        }
        Ok((joined(Each::One, Vec::new(), selects, Vec::new()), columns))
    }

    /// Reads a select and adds its columns to `columns`. Source: SQL on FHIR, `ValidateColumns`.
    fn select(
        &mut self,
        value: Value<'_>,
        place: &str,
        focus: &Focus,
        columns: &mut Named,
    ) -> Result<Select, ViewFault> {
        if value.form() != Form::Object {
            return Err(fault(place, "a select is a JSON object"));
        }
        if place.matches('[').count() > PATH_DEPTH_MAX {
            return Err(fault(place, &format!("selects stand in one another at most {PATH_DEPTH_MAX} deep")));
        }
        known_spelling(value, place, &SELECT_PARTS)?;
        let (each, focus) = self.each(value, place, focus)?;
        let mut slots = Vec::new();
        for (at, column) in list(value, "column", place)?.into_iter().enumerate() {
            slots.push(self.column(column, &format!("{place}.column[{at}]"), &focus, columns)?);
        }
        let mut selects = Vec::new();
        for (at, inner) in list(value, "select", place)?.into_iter().enumerate() {
            selects.push(self.select(inner, &format!("{place}.select[{at}]"), &focus, columns)?);
        }
        let unions = self.unions(value, place, &focus, columns)?;
        if slots.is_empty() && selects.is_empty() && unions.is_empty() {
            return Err(fault(place, "a select has column, select or unionAll: this one has none"));
        }
        Ok(joined(each, slots, selects, unions))
    }

    /// The branches of `unionAll`: each must have the columns of the first.
    fn unions(
        &mut self,
        value: Value<'_>,
        place: &str,
        focus: &Focus,
        columns: &mut Named,
    ) -> Result<Vec<Select>, ViewFault> {
        let before = columns.len();
        let mut unions = Vec::new();
        let mut first: Option<Named> = None;
        for (at, branch) in list(value, "unionAll", place)?.into_iter().enumerate() {
            let place = format!("{place}.unionAll[{at}]");
            let mut found = columns[..before].to_vec();
            unions.push(self.select(branch, &place, focus, &mut found)?);
            let first = first.get_or_insert_with(|| found.clone());
            let names = |columns: &Named| columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
            if names(first) != names(&found) {
                return Err(fault(
                    &place,
                    "all branches of a unionAll have the same columns in the same order: this one differs",
                ));
            }
            let shapes = |column: &Column| (column.cell, column.collection);
            if let Some((column, _)) = first.iter().zip(&found).find(|(a, b)| shapes(a) != shapes(b)) {
                let what =
                    format!("column {} is of another type than in the first branch: give both one type", column.name);
                return Err(fault(&place, &what));
            }
        }
        columns.extend(first.into_iter().flat_map(|first| first.into_iter().skip(before)));
        Ok(unions)
    }

    /// What a select is repeated for, and what its paths begin at.
    fn each(&mut self, value: Value<'_>, place: &str, focus: &Focus) -> Result<(Each, Focus), ViewFault> {
        let found: Vec<&str> = EACH.into_iter().filter(|name| value.get(name).is_some()).collect();
        let name = match found.as_slice() {
            [] => return Ok((Each::One, focus.clone())),
            [name] => *name,
            _ => return Err(fault(place, "a select has one of forEach, forEachOrNull and repeat: keep one")),
        };
        let place = format!("{place}.{name}");
        let Some(inner) = value.get(name) else { return Ok((Each::One, focus.clone())) };
        if name != "repeat" {
            let Typed { expr, focus } = self.path(inner, &place, focus)?;
            return Ok((if name == "forEach" { Each::Value(expr) } else { Each::ValueOrNull(expr) }, focus));
        }
        let mut paths = Vec::new();
        let mut reached = Focus::new(Kind::Complex, "");
        for (at, path) in list(value, name, "")?.into_iter().enumerate() {
            let Typed { expr, focus } = self.path(path, &format!("{place}[{at}]"), focus)?;
            if !matches!(expr, Expr::Walk { .. } | Expr::Whole { .. } | Expr::Binary { .. }) {
                return Err(fault(&format!("{place}[{at}]"), "a recursive path descends: name an element"));
            }
            reached = focus;
            paths.push(expr);
        }
        if paths.is_empty() {
            return Err(fault(&place, "has no paths: name at least one"));
        }
        Ok((Each::Repeat(paths), reached))
    }

    fn column(&mut self, value: Value<'_>, place: &str, focus: &Focus, columns: &mut Named) -> Result<Slot, ViewFault> {
        known_spelling(value, place, &COLUMN_PARTS)?;
        let name = value.get("name").ok_or_else(|| fault(place, "name is missing"))?;
        let name = text(name, &format!("{place}.name"))?.into_owned();
        sql_name(&name, &format!("{place}.name"))?;
        if columns.iter().any(|column| column.name == name) {
            return Err(fault(place, &format!("the view has two columns {name}: rename one")));
        }
        let path = value.get("path").ok_or_else(|| fault(place, "path is missing"))?;
        let Typed { expr, focus } = self.path(path, &format!("{place}.path"), focus)?;
        let collection = match value.get("collection") {
            None => false,
            Some(value) => value.boolean().ok_or_else(|| fault(place, "collection is true or false"))?,
        };
        let fhir_type = value.get("type").map(|value| text(value, &format!("{place}.type"))).transpose()?;
        let fhir_type = fhir_type.map(|fhir_type| bare_type(&fhir_type).to_owned());
        let kind = match &fhir_type {
            Some(name) => Kind::of_type(name).ok_or_else(|| {
                fault(
                    &format!("{place}.type"),
                    &format!("{name} is no type of FHIR: write it as FHIR does, such as dateTime"),
                )
            })?,
            None => focus.kind,
        };
        let cell = match (kind, &fhir_type) {
            (Kind::Boolean, _) => CellType::Boolean,
            (Kind::Integer, _) => CellType::Integer,
            (Kind::Decimal, _) => CellType::Decimal,
            (Kind::Complex, Some(_)) => CellType::Json,
            (Kind::Any | Kind::Complex, _) => CellType::Untyped,
            _ => CellType::Text,
        };
        let wide = fhir_type.as_deref() == Some("integer64");
        let slot = Slot { column: columns.len(), cell, collection, wide, expr };
        columns.push(Column { name, fhir_type, cell, collection });
        Ok(slot)
    }

    fn path(&mut self, value: Value<'_>, place: &str, focus: &Focus) -> Result<Typed, ViewFault> {
        let path = text(value, place)?;
        let mut compiler = Compiler { names: &mut self.names, constants: &self.constants, resource: &self.resource };
        let typed = parse(&path).and_then(|ast| compiler.compile(&ast, focus));
        typed.map_err(|bad| fault(place, &format!("byte {} of the path: {}", bad.at, bad.what)))
    }
}

/// What a select can be repeated for.
const EACH: [&str; 3] = ["forEach", "forEachOrNull", "repeat"];

const SELECT_PARTS: [&str; 6] = ["column", "select", "unionAll", "forEach", "forEachOrNull", "repeat"];

const COLUMN_PARTS: [&str; 4] = ["name", "path", "type", "collection"];

/// Puts a select together from its parts.
fn joined(each: Each, columns: Vec<Slot>, selects: Vec<Select>, unions: Vec<Select>) -> Select {
    let mut width = columns.len();
    let own = columns.iter().enumerate().filter(|(_, slot)| matches!(slot.expr, Expr::RowIndex));
    let mut row_indexes: Vec<usize> = own.map(|(at, _)| at).collect();
    for inner in selects.iter().chain(unions.first()) {
        row_indexes.extend(inner.row_indexes.iter().map(|at| at + width));
        width += inner.width;
    }
    Select { each, columns, selects, unions, width, row_indexes }
}

fn fault(place: &str, what: &str) -> ViewFault {
    ViewFault { place: place.to_owned(), what: what.to_owned() }
}

fn text<'d>(value: Value<'d>, place: &str) -> Result<Cow<'d, str>, ViewFault> {
    value.string().ok_or_else(|| fault(place, "this is not a text: put it in quotes"))
}

/// The elements of a list that may be missing.
fn list<'d>(value: Value<'d>, name: &str, place: &str) -> Result<Vec<Value<'d>>, ViewFault> {
    let place = if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match value.get(name) {
        None => Ok(Vec::new()),
        Some(found) if found.form() == Form::Array => Ok(found.items().collect()),
        Some(_) => Err(fault(&place, "this is not a list: put it in [ ]")),
    }
}

/// Refuses a property that is a part of this structure but for its capitals: it would be passed over.
fn known_spelling(value: Value<'_>, place: &str, parts: &[&str]) -> Result<(), ViewFault> {
    let names: BTreeSet<&str> = value.properties().map(|(name, _)| name).collect();
    for name in names {
        if let Some(part) = parts.iter().find(|part| part.eq_ignore_ascii_case(name) && **part != name) {
            return Err(fault(place, &format!("{name} means nothing here: write {part}")));
        }
    }
    Ok(())
}

/// Source: SQL on FHIR, invariant `sql-name`.
fn sql_name(name: &str, place: &str) -> Result<(), ViewFault> {
    let letters = name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_');
    if letters && name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Ok(());
    }
    Err(fault(place, "a name has letters, digits and underscores, and begins with a letter"))
}

fn bare_type(name: &str) -> &str {
    let prefixes = ["http://hl7.org/fhir/StructureDefinition/", "http://hl7.org/fhirpath/"];
    prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

#[cfg(test)]
#[path = "tests/view.rs"]
mod tests;
