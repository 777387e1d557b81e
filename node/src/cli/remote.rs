//! Flags that say where a database or an object of a store is, and how it is reached. Passwords are never among them.

use std::path::{Path, PathBuf};

use cohortium_protocol::ident::Text;
use cohortium_protocol::limits::{SELECT_BYTES_MAX, VIEW_BYTES_MAX};
use cohortium_protocol::record::remote::{
    Address, DatabasePlace, DatabaseRows, DatabaseTable, ObjectForm, ObjectPlace, Privacy, ViewText, Written,
};
use cohortium_protocol::record::text_form::TextForm;

use crate::cli::dataset::absolute;
use crate::cli::exit::CliFault;
use crate::home;

/// The port of each server, and where PostgreSQL's socket lies in a folder.
pub(crate) const POSTGRES_PORT: u16 = 5432;
pub(crate) const MARIA_PORT: u16 = 3306;

/// The longest that a server works on one statement, where nobody says otherwise.
const STATEMENT_SECONDS: u32 = 300;

/// How a server is reached, and who signs on to it.
#[derive(Debug, clap::Args, serde::Deserialize)]
pub(crate) struct ReachFlags {
    /// The database
    #[arg(long)]
    database: Option<Text>,
    /// Who signs on
    #[arg(long)]
    user: Option<Text>,
    /// A file that only the node's user can read, whose first line is the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Speak TLS, and trust the certificates in this PEM file alone; without it the server must be on this machine
    #[arg(long, value_name = "FILE")]
    tls_roots: Option<PathBuf>,
    /// The name that the server's certificate must carry [default: the host]
    #[arg(long, value_name = "NAME", requires = "tls_roots")]
    tls_name: Option<Text>,
    /// The longest that the server may work on one statement [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    statement_timeout: Option<u32>,
}

impl ReachFlags {
    /// Whether anything is said that only a database needs.
    pub(crate) const fn is_said(&self) -> bool {
        let Self { database, user, password_file, statement_timeout, .. } = self;
        database.is_some() || user.is_some() || password_file.is_some() || statement_timeout.is_some()
    }

    /// Whether it is said whom to trust.
    pub(crate) const fn has_tls(&self) -> bool {
        self.tls_roots.is_some()
    }

    /// The place at this address: `HOST`, `HOST:PORT`, or the path of a socket.
    pub(crate) fn place(&self, address: &str, port: u16) -> Result<DatabasePlace, CliFault> {
        let needed = |value: &Option<Text>, flag: &str| {
            value.clone().ok_or_else(|| CliFault::usage(format!("a database needs {flag}")))
        };
        let address = address_of(address, port)?;
        let privacy = match (&self.tls_roots, &self.tls_name, &address) {
            (None, _, _) => Privacy::WithinMachine,
            (Some(roots), Some(name), _) => Privacy::Tls { roots: absolute(roots)?, name: name.clone() },
            (Some(roots), None, Address::Network { host, .. }) => {
                Privacy::Tls { roots: absolute(roots)?, name: host.clone() }
            }
            (Some(_), None, Address::Socket { .. }) => {
                return Err(CliFault::usage("a socket has no name that a certificate could carry; give --tls-name"));
            }
        };
        Ok(DatabasePlace {
            address,
            privacy,
            database: needed(&self.database, "--database")?,
            user: needed(&self.user, "--user")?,
            password: self.password_file.as_deref().map(absolute).transpose()?,
            statement_seconds: self.statement_timeout.unwrap_or(STATEMENT_SECONDS),
        })
    }
}

fn address_of(written: &str, port: u16) -> Result<Address, CliFault> {
    let wrong = || CliFault::usage(format!("{written} is no HOST, HOST:PORT or path of a socket"));
    if written.contains('/') {
        let path = Path::new(written);
        // PostgreSQL's own way of saying where its socket is: the folder.
        let path = if path.is_dir() { path.join(format!(".s.PGSQL.{port}")) } else { path.to_owned() };
        return Ok(Address::Socket { path: absolute(&path)? });
    }
    let (host, port) = match written.rsplit_once(':') {
        // An address of version 6 stands in brackets.
        Some((host, digits)) if !host.contains(':') || host.ends_with(']') => {
            (host, digits.parse().map_err(|_| wrong())?)
        }
        _ => (written, port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(Address::Network { host: host.parse().map_err(|_| wrong())?, port })
}

/// Which rows of a database are a source.
#[derive(Debug, clap::Args)]
pub(crate) struct RowsFlags {
    /// The table or view: TABLE, or SCHEMA.TABLE
    #[arg(long, conflicts_with = "select")]
    table: Option<String>,
    /// A file with one SELECT whose rows are the source
    #[arg(long, value_name = "FILE")]
    select: Option<PathBuf>,
    /// Read at most so many rows a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rows_per_second: Option<u32>,
}

impl RowsFlags {
    /// Whether anything is said.
    pub(crate) const fn is_said(&self) -> bool {
        self.table.is_some() || self.select.is_some() || self.rows_per_second.is_some()
    }

    /// The source of these rows at a place.
    pub(crate) fn of(&self, place: DatabasePlace) -> Result<Box<DatabaseTable>, CliFault> {
        let text = |text: &str| text.parse::<Text>().map_err(|fault| CliFault::usage(format!("--table {fault}")));
        let rows = match (&self.table, &self.select) {
            (Some(named), _) => match named.split_once('.') {
                Some((schema, table)) => DatabaseRows::Table { schema: Some(text(schema)?), table: text(table)? },
                None => DatabaseRows::Table { schema: None, table: text(named)? },
            },
            (None, Some(file)) => DatabaseRows::Select(written::<SELECT_BYTES_MAX>(file)?),
            (None, None) => return Err(CliFault::usage("a database needs --table or --select")),
        };
        Ok(Box::new(DatabaseTable { place, rows, rows_per_second: self.rows_per_second }))
    }
}

/// Which object of a store.
#[derive(Debug, clap::Args)]
pub(crate) struct ObjectFlags {
    /// The store, such as <https://s3.hospital.example:9000> [default: Amazon's in the region]
    #[arg(long, value_name = "URL")]
    endpoint: Option<Text>,
    /// The region [default: us-east-1]
    #[arg(long)]
    region: Option<Text>,
    /// A file that only the node's user can read: access key, secret and perhaps a session token, a line each
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// How the object is read: csv, parquet, ndjson, json-array or arrow [default: by the key's ending]
    #[arg(long, value_name = "FORM")]
    form: Option<String>,
}

impl ObjectFlags {
    /// Whether anything is said.
    pub(crate) const fn is_said(&self) -> bool {
        self.endpoint.is_some() || self.region.is_some() || self.credentials.is_some() || self.form.is_some()
    }

    /// The object `BUCKET/KEY`; `text` says how it is written if it is a text table.
    pub(crate) fn place(&self, object: &str, reach: &ReachFlags, text: TextForm) -> Result<Box<ObjectPlace>, CliFault> {
        let (bucket, key) = object.split_once('/').ok_or_else(|| CliFault::usage("--s3 takes BUCKET/KEY"))?;
        let parsed = |text: &str| text.parse::<Text>().map_err(|fault| CliFault::usage(format!("--s3 {fault}")));
        let form = self.form.as_deref().or_else(|| Some(key.rsplit_once('.')?.1)).unwrap_or_default();
        let form = match form {
            "csv" | "tsv" => ObjectForm::Csv(text),
            "parquet" => ObjectForm::Parquet,
            "ndjson" => ObjectForm::Ndjson,
            "json-array" | "json" => ObjectForm::Json,
            "arrow" => ObjectForm::ArrowIpc,
            other => {
                return Err(CliFault::usage(format!(
                    "--form {other} is none of csv, parquet, ndjson, json-array, arrow"
                )));
            }
        };
        Ok(Box::new(ObjectPlace {
            endpoint: self.endpoint.clone(),
            region: self.region.clone().map_or_else(|| parsed("us-east-1"), Ok)?,
            bucket: parsed(bucket)?,
            key: parsed(key)?,
            roots: reach.tls_roots.as_deref().map(absolute).transpose()?,
            credentials: self.credentials.as_deref().map(absolute).transpose()?,
            form,
        }))
    }
}

/// The view in a file.
pub(crate) fn view(file: &Path) -> Result<ViewText, CliFault> {
    written::<VIEW_BYTES_MAX>(file)
}

fn written<const MAX: usize>(file: &Path) -> Result<Written<MAX>, CliFault> {
    let bytes = home::read_bounded(file, MAX as u64)?;
    let text =
        String::from_utf8(bytes).map_err(|_| CliFault::usage(format!("{} is not UTF-8 text", file.display())))?;
    Written::try_from(text).map_err(|fault| CliFault::usage(format!("{}: {fault}", file.display())))
}

/// A database's rows for a list of datasets.
pub(crate) fn shown(table: &DatabaseTable) -> String {
    let at = shown_place(&table.place);
    match &table.rows {
        DatabaseRows::Table { schema: Some(schema), table } => format!("{at}/{schema}.{table}"),
        DatabaseRows::Table { schema: None, table } => format!("{at}/{table}"),
        DatabaseRows::Select(_) => format!("{at} (a SELECT)"),
    }
}

/// A database for people.
pub(crate) fn shown_place(place: &DatabasePlace) -> String {
    match &place.address {
        Address::Network { host, port } => format!("{host}:{port}/{}", place.database),
        Address::Socket { path } => format!("{path} {}", place.database),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_or_without_a_port_or_a_socket() {
        let of = |text: &str| match address_of(text, 5432).ok()? {
            Address::Network { host, port } => Some(format!("{host} {port}")),
            Address::Socket { path } => Some(path.to_string()),
        };
        assert_eq!(of("db.example").as_deref(), Some("db.example 5432"));
        assert_eq!(of("db.example:6000").as_deref(), Some("db.example 6000"));
        assert_eq!(of("[::1]:6000").as_deref(), Some("::1 6000"));
        assert_eq!(of("::1").as_deref(), Some("::1 5432"));
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join(".s.PGSQL.5432");
        std::fs::write(&socket, b"").unwrap();
        let socket = std::fs::canonicalize(socket).unwrap().into_os_string().into_string().unwrap();
        assert_eq!(of(dir.path().to_str().unwrap()), Some(socket));
        for wrong in ["", "db:port", "db:70000", "/no/such/socket"] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
    }
}
