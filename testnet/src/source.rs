//! What each member of a demo brings: its tables as files, and what its share policy says of each column.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cohortium_protocol::record::schema::ColumnRole;
use cohortium_protocol::record::suspicion::suspicion;

use crate::hospital::mapping::{mapping_of, shipped};
use crate::hospital::{self, Class, Column, Consortium, DateStyle, LinkageField, Plan, Site, public};
use crate::postgres::PostgresFault;

/// Where the rows of a table are.
#[derive(Debug, Clone)]
pub enum Origin {
    /// In a text table.
    Text {
        /// The file.
        path: PathBuf,
        /// Between two cells.
        delimiter: char,
    },
    /// In FHIR resources, one a line, through a view.
    Fhir {
        /// The resources.
        path: PathBuf,
        /// The view.
        view: PathBuf,
    },
    /// In a table of a PostgreSQL.
    Postgres {
        /// Its local socket.
        socket: PathBuf,
        /// The file that holds the reader's password.
        password: PathBuf,
    },
}

/// One table of one member.
#[derive(Debug, Clone)]
pub struct Table {
    /// The name of its dataset and share; of its table, in a database.
    pub name: String,
    /// Where it is.
    pub origin: Origin,
    /// Its rows now.
    pub rows: u64,
    /// The column that makes a row unlike every other.
    pub key: Option<String>,
    /// The column that names the patient.
    pub patient: Option<String>,
    /// Given name, family name, date of birth and how it is written, where the table has all three.
    pub linkage: Option<[String; 4]>,
    /// The share policy, as the file that `share define --policy` reads.
    pub policy: PathBuf,
}

/// One member's data.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name in the consortium.
    pub name: String,
    /// For people.
    pub title: String,
    /// Where its files are.
    pub folder: PathBuf,
    /// Its tables.
    pub tables: Vec<Table>,
    /// How they become the common schema, as a mapping file whose datasets are the tables' names.
    pub mapping: PathBuf,
    /// Values that must never leave it.
    pub canaries: Vec<String>,
    /// The generator, for a day of change.
    pub site: Option<Site>,
}

/// Why there is no data.
#[derive(Debug)]
pub enum SourceFault {
    /// A plan out of bounds.
    Plan(hospital::PlanError),
    /// A public set.
    Public(public::PublicError),
    /// A file cannot be written.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A set that is not generated cannot be read.
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The demo's database.
    Postgres(PostgresFault),
    /// Fewer rows are in the database than were written for it.
    Lost {
        /// Which table.
        table: String,
    },
}

impl std::fmt::Display for SourceFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plan(fault) => fault.fmt(f),
            Self::Public(fault) => fault.fmt(f),
            Self::Io { path, source } => write!(f, "{source} while writing {}", path.display()),
            Self::Read { path, source } => write!(f, "{source} while reading {}", path.display()),
            Self::Postgres(fault) => fault.fmt(f),
            Self::Lost { table } => write!(f, "not every row of {table} is in the database"),
        }
    }
}

impl std::error::Error for SourceFault {}

/// Generated hospitals, written below `dir`, one folder each.
///
/// # Errors
/// [`SourceFault`].
pub fn generated(plan: &Plan, dir: &Path) -> Result<Vec<Member>, SourceFault> {
    let Consortium { sites, truth } = hospital::generate(plan).map_err(SourceFault::Plan)?;
    let truth_dir = dir.join("truth");
    write(&truth_dir, || fs::create_dir_all(&truth_dir).and_then(|()| truth.write_to(&truth_dir)))?;
    sites.into_iter().map(|site| generated_member(site, dir)).collect()
}

pub(crate) fn generated_member(site: Site, dir: &Path) -> Result<Member, SourceFault> {
    let folder = dir.join(&site.name);
    let written = write(&folder, || fs::create_dir_all(&folder).and_then(|()| site.write_to(&folder)))?;
    let mut tables = Vec::new();
    for table in site.tables() {
        let name = table.file_name.trim_end_matches(".csv").to_owned();
        let policy = write_policy(&folder, &name, &table.columns, Some(table.primary_key()))?;
        tables.push(Table {
            origin: Origin::Text { path: folder.join(table.file_name), delimiter: site.dialect.delimiter },
            rows: written.get(&table.kind).map_or(0, |written| written.rows),
            key: Some(table.primary_key().to_owned()),
            patient: column_of(&table.columns, Class::PatientKey).or_else(|| patient_key(&name, table.primary_key())),
            linkage: linkage(&table.columns, site.dialect.date),
            policy,
            name,
        });
    }
    let mapping = write_mapping(&folder, &mapping_of(&site))?;
    let canaries = site.canaries().collect();
    let (name, title) = (site.name.clone(), site.title.clone());
    Ok(Member { name, title, folder, tables, mapping, canaries, site: Some(site) })
}

/// The patient table's own key names the patient.
fn patient_key(table: &str, key: &str) -> Option<String> {
    (table == "patients").then(|| key.to_owned())
}

fn column_of(columns: &[Column], class: Class) -> Option<String> {
    columns.iter().find(|column| column.class == class).map(|column| column.name.clone())
}

fn linkage(columns: &[Column], style: DateStyle) -> Option<[String; 4]> {
    let of = |field: LinkageField| {
        columns.iter().find(|column| column.linkage == Some(field)).map(|column| column.name.clone())
    };
    let format = match style {
        DateStyle::Iso => "iso",
        DateStyle::DayDot => "day-month-year-dots",
        DateStyle::MonthSlash => "month-day-year-slashes",
        DateStyle::Digits => "compact",
    };
    Some([of(LinkageField::Given)?, of(LinkageField::Family)?, of(LinkageField::BirthDate)?, format.to_owned()])
}

/// A public set: what its one table is called, and the mapping that all its facilities share.
#[derive(Debug, Clone, Copy)]
pub struct PublicSet {
    /// The name of each member's dataset and share.
    pub table: &'static str,
    /// The mapping's text.
    pub mapping: &'static str,
}

/// Microsoft length of stay.
pub const LENGTH_OF_STAY: PublicSet = PublicSet { table: "stays", mapping: shipped::LENGTH_OF_STAY };
/// UCI heart disease.
pub const HEART: PublicSet = PublicSet { table: "heart", mapping: shipped::HEART };

/// A public set of `data`, one member a facility.
///
/// # Errors
/// [`SourceFault`].
pub fn public_set(sites: Vec<public::SiteFiles>, set: PublicSet, dir: &Path) -> Result<Vec<Member>, SourceFault> {
    sites.into_iter().map(|site| public_member(&site, set, dir)).collect()
}

fn public_member(site: &public::SiteFiles, set: PublicSet, dir: &Path) -> Result<Member, SourceFault> {
    let PublicSet { table, mapping } = set;
    let folder = dir.join(&site.name);
    let path = write(&folder, || fs::create_dir_all(&folder).and_then(|()| site.write_to(&folder)))?;
    let key = site.primary_key.clone();
    let policy = write_policy(&folder, table, &site.columns, key.as_deref())?;
    let mapping = write_mapping(&folder, mapping)?;
    let table = Table {
        name: table.to_owned(),
        origin: Origin::Text { path, delimiter: ',' },
        rows: site.rows,
        patient: key.clone(),
        key,
        linkage: None,
        policy,
    };
    let (name, title) = (site.name.clone(), site.title.clone());
    Ok(Member { name, title, folder, tables: vec![table], mapping, canaries: Vec::new(), site: None })
}

pub(crate) fn write_mapping(folder: &Path, text: &str) -> Result<PathBuf, SourceFault> {
    let path = folder.join("mapping.toml");
    write(&path, || fs::write(&path, text))?;
    Ok(path)
}

/// Every column with its role and treatment, decided from what it is, never from what is in it.
pub(crate) fn write_policy(
    folder: &Path,
    table: &str,
    columns: &[Column],
    key: Option<&str>,
) -> Result<PathBuf, SourceFault> {
    let mut text = String::new();
    for column in columns {
        let is_key = key == Some(column.name.as_str());
        let (role, treatment) = match column.class {
            _ if column.linkage.is_some_and(|field| field != LinkageField::Sex) => ("direct-identifier", "drop"),
            Class::DirectIdentifier if !is_key => ("direct-identifier", "drop"),
            Class::DirectIdentifier | Class::PrimaryKey | Class::PatientKey | Class::EncounterKey => {
                ("direct-identifier", "pseudonym")
            }
            // What is measured is written with marks for what is missing and beyond a device's range, so it is not rounded.
            Class::QuasiIdentifier | Class::Plain => ("quasi-identifier", "keep"),
            Class::FreeText => ("free-text", "drop"),
        };
        let name = serde_json::Value::from(column.name.as_str());
        // A name like `test_name` speaks of a person; who made the table says that it is none.
        let suspected = suspicion(&column.name).role == ColumnRole::DirectIdentifier && treatment == "keep";
        let reason = if suspected { "reason = \"names a thing and no person\"\n" } else { "" };
        writeln!(text, "[columns.{name}]\nrole = \"{role}\"\ntreatment = \"{treatment}\"\n{reason}")
            .expect("a String takes all");
    }
    let path = folder.join(format!("{table}.policy.toml"));
    write(&path, || fs::write(&path, &text))?;
    Ok(path)
}

pub(crate) fn write<T>(path: &Path, act: impl FnOnce() -> io::Result<T>) -> Result<T, SourceFault> {
    act().map_err(|source| SourceFault::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The datasets that a member's mapping reads.
    fn datasets(member: &Member) -> BTreeSet<String> {
        let mapping: toml::Table = fs::read_to_string(&member.mapping).unwrap().parse().unwrap();
        let sources = mapping["source"].as_table().unwrap().values();
        sources.map(|source| source["dataset"].as_str().unwrap().to_owned()).collect()
    }

    fn tables(member: &Member) -> BTreeSet<String> {
        member.tables.iter().map(|table| table.name.clone()).collect()
    }

    #[test]
    fn a_members_mapping_lies_beside_its_files_and_reads_all_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan { sites: 5, rows_per_site: 40, ..Plan::default() };
        for member in generated(&plan, dir.path()).unwrap() {
            assert_eq!(datasets(&member), tables(&member), "{}", member.name);
        }
        let site = public::SiteFiles {
            name: "facility".to_owned(),
            title: String::new(),
            bytes: b"eid\n1\n".to_vec(),
            file_name: "file.csv".to_owned(),
            rows: 1,
            columns: vec![Column::plain("eid")],
            primary_key: None,
        };
        for set in [LENGTH_OF_STAY, HEART] {
            for member in public_set(vec![site.clone()], set, dir.path()).unwrap() {
                assert_eq!(datasets(&member), tables(&member), "{}", set.table);
            }
        }
    }
}
