//! `cohortium dataset`: where this node finds rows or files of its own.

use std::path::{Path, PathBuf};

use cohortium_protocol::ident::{ColumnName, DatasetId, MissingMark, Name, Text};
use cohortium_protocol::record::dataset::{Dataset, DateFormat, LinkageColumns, Source};
use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::schema::Column;
use cohortium_protocol::record::text_form::{Heading, TextEncoding, TextForm, TextFormFields};
use cohortium_store::seal;
use serde_json::json;

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::find;
use crate::cli::print::{Shown, Table, from_word, short, word};
use crate::cli::remote::{self, ObjectFlags, ReachFlags, RowsFlags};
use crate::control::{Reply, Request, View};

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Name a source, or describe one anew
    Add(Box<Add>),
    /// This node's datasets
    List,
    /// The columns of a dataset with a guess of what each is to privacy; reads no row
    Profile {
        /// The dataset
        name: String,
    },
}

/// A source.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["csv", "parquet", "ndjson", "json_array", "arrow", "files", "fhir", "postgres", "maria", "s3"]))]
pub(crate) struct Add {
    /// The dataset's name
    name: Name,
    /// A text table
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
    /// A Parquet file
    #[arg(long, value_name = "FILE")]
    parquet: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long, value_name = "FILE")]
    ndjson: Option<PathBuf>,
    /// One JSON array of objects
    #[arg(long, value_name = "FILE")]
    json_array: Option<PathBuf>,
    /// An Arrow IPC file or stream
    #[arg(long, value_name = "FILE")]
    arrow: Option<PathBuf>,
    /// A folder of files that nobody looks into
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// FHIR resources, one a line, in one array or in one bundle, through --view
    #[arg(long, value_name = "FILE")]
    fhir: Option<PathBuf>,
    /// The SQL on FHIR ViewDefinition, as JSON
    #[arg(long, value_name = "FILE")]
    view: Option<PathBuf>,
    /// Rows of a PostgreSQL: HOST, HOST:PORT, or the path of its socket or the socket's folder
    #[arg(long, value_name = "ADDRESS")]
    postgres: Option<String>,
    /// Rows of a MariaDB: HOST, HOST:PORT, or the path of its socket
    #[arg(long, value_name = "ADDRESS")]
    maria: Option<String>,
    #[command(flatten)]
    reach: ReachFlags,
    #[command(flatten)]
    rows: RowsFlags,
    /// An object of an S3 store
    #[arg(long, value_name = "BUCKET/KEY")]
    s3: Option<String>,
    #[command(flatten)]
    object: ObjectFlags,
    /// The columns that make a row unlike every other; without them each snapshot is full
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',', conflicts_with = "files")]
    key: Vec<ColumnName>,
    /// The column that names the patient, for opt-outs
    #[arg(long, value_name = "COLUMN", conflicts_with = "files")]
    patient: Option<ColumnName>,
    /// The given name, for linkage tokens
    #[arg(long, value_name = "COLUMN", requires_all = ["link_family", "link_birth"])]
    link_given: Option<ColumnName>,
    /// The family name
    #[arg(long, value_name = "COLUMN", requires_all = ["link_given", "link_birth"])]
    link_family: Option<ColumnName>,
    /// The date of birth
    #[arg(long, value_name = "COLUMN", requires_all = ["link_given", "link_family"])]
    link_birth: Option<ColumnName>,
    /// How it is written: iso, day-month-year-dots, month-day-year-slashes or compact
    #[arg(long, default_value = "iso", value_parser = from_word::<DateFormat>)]
    birth_format: DateFormat,
}

/// How a text table is written.
#[derive(Debug, clap::Args)]
pub(crate) struct Form {
    /// The character between two cells; write tab for a tab [default: ,]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// utf-8, utf-16 (by its byte-order mark), utf-16le, utf-16be or windows-1252 (Latin-1 is part of it) [default: utf-8]
    #[arg(long, value_parser = from_word::<TextEncoding>)]
    encoding: Option<TextEncoding>,
    /// What stands where there is no value, such as ? or NA or nothing; once for each
    #[arg(long, value_name = "TEXT")]
    missing: Vec<MissingMark>,
    /// The columns' names, where the first line is a row already
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    columns: Vec<ColumnName>,
}

impl Form {
    /// Whether anything is said.
    const fn is_said(&self) -> bool {
        let Self { delimiter, encoding, missing, columns } = self;
        delimiter.is_some() || encoding.is_some() || !missing.is_empty() || !columns.is_empty()
    }

    pub(crate) fn checked(&self) -> Result<TextForm, CliFault> {
        let heading = if self.columns.is_empty() { Heading::Line } else { Heading::Names(self.columns.clone()) };
        let missing = self.missing.iter().cloned().collect();
        let (delimiter, encoding) = (self.delimiter.unwrap_or(b','), self.encoding.unwrap_or(TextEncoding::Utf8));
        let fields = TextFormFields { delimiter, encoding, missing, heading };
        TextForm::try_from(fields).map_err(|fault| CliFault::usage(fault.to_string()))
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [one] if one.is_ascii() && !matches!(one, b'"' | b'\n' | b'\r') => Ok(*one),
        _ if text == "\\t" || text == "tab" => Ok(b'\t'),
        _ => Err("is not one ASCII character (write tab for a tab)".to_owned()),
    }
}

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    match verb {
        Verb::Add(add) => define(cx, *add),
        Verb::List => Ok(list(&cx.view()?)),
        Verb::Profile { name } => {
            let view = cx.view()?;
            Ok(profiled(&profile(cx, &view, &find::dataset(&view, &name)?.source)?))
        }
    }
}

fn define(cx: &Cx, add: Add) -> Result<Shown, CliFault> {
    let source = source(&add)?;
    let view = cx.view()?;
    let known = view.datasets.iter().find(|dataset| dataset.name == add.name).map(|dataset| dataset.dataset);
    let linkage = add.link_given.zip(add.link_family).zip(add.link_birth);
    let birth_format = add.birth_format;
    let dataset = Dataset {
        dataset: known.unwrap_or_else(|| DatasetId(seal::random())),
        name: add.name,
        source,
        key: add.key,
        patient: add.patient,
        linkage: linkage.map(|((given, family), birth)| LinkageColumns { given, family, birth, birth_format }),
    };
    let (name, id) = (dataset.name.clone(), dataset.dataset);
    cx.give(&view, Command::DefineDataset(dataset))?;
    Ok(Shown::new(json!({"dataset": id, "name": name}), format!("Dataset {name} ({})\n", short(&id))))
}

/// Flags that say nothing about this kind of source are refused. By hand: clap asks for nothing that another argument
/// excludes.
fn fitting(add: &Add) -> Result<(), CliFault> {
    let (server, store) = (add.postgres.is_some() || add.maria.is_some(), add.s3.is_some());
    let others = [
        (add.form.is_said() && add.csv.is_none() && !store, "a text table"),
        ((add.reach.is_said() || add.rows.is_said()) && !server, "a database"),
        (add.reach.has_tls() && !server && !store, "a database or a store"),
        (add.object.is_said() && !store, "an object of a store"),
    ];
    match others.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, of)) => Err(CliFault::usage(format!("a flag that is said here is for {of}"))),
        None => Ok(()),
    }
}

fn source(add: &Add) -> Result<Source, CliFault> {
    fitting(add)?;
    if let Some(path) = &add.csv {
        let path = absolute(path)?;
        return Ok(Source::Csv { path, form: add.form.checked()? });
    }
    match (add.fhir.as_deref(), add.view.as_deref()) {
        (Some(path), Some(view)) => return Ok(Source::Fhir { path: absolute(path)?, view: remote::view(view)? }),
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => return Err(CliFault::usage("--fhir and --view go together")),
    }
    if let Some(address) = &add.postgres {
        return Ok(Source::Postgres(add.rows.of(add.reach.place(address, remote::POSTGRES_PORT)?)?));
    }
    if let Some(address) = &add.maria {
        return Ok(Source::Maria(add.rows.of(add.reach.place(address, remote::MARIA_PORT)?)?));
    }
    if let Some(object) = &add.s3 {
        return Ok(Source::S3(add.object.place(object, &add.reach, add.form.checked()?)?));
    }
    match (&add.parquet, &add.ndjson, &add.json_array, &add.arrow, &add.files) {
        (Some(path), None, None, None, None) => Ok(Source::Parquet { path: absolute(path)? }),
        (None, Some(path), None, None, None) => Ok(Source::Ndjson { path: absolute(path)? }),
        (None, None, Some(path), None, None) => Ok(Source::Json { path: absolute(path)? }),
        (None, None, None, Some(path), None) => Ok(Source::ArrowIpc { path: absolute(path)? }),
        (None, None, None, None, Some(path)) => Ok(Source::Files { folder: absolute(path)? }),
        _ => Err(CliFault::usage(
            "give one of --csv, --parquet, --ndjson, --json-array, --arrow, --files, --fhir, --postgres, --maria and --s3",
        )),
    }
}

/// The daemon runs in another folder: it gets the whole path.
pub(crate) fn absolute(path: &Path) -> Result<Text, CliFault> {
    let whole = std::fs::canonicalize(path)
        .map_err(|fault| CliFault::new(crate::control::ErrorKind::NotFound, format!("{}: {fault}", path.display())))?;
    let text = whole.into_os_string().into_string().map_err(|_| CliFault::usage("the path is not UTF-8 text"))?;
    text.parse().map_err(|fault| CliFault::usage(format!("the path {fault}")))
}

/// The columns of a source, from the worker.
pub(crate) fn profile(cx: &Cx, view: &View, source: &Source) -> Result<Vec<Column>, CliFault> {
    let order = cx.signed(view, Command::Profile)?;
    match cx.call(Request::Profile { order, source: source.clone() })? {
        Reply::Columns(columns) => Ok(columns),
        _ => Err(CliFault::other_reply()),
    }
}

fn profiled(columns: &[Column]) -> Shown {
    let mut table = Table::new(["COLUMN", "TYPE", "ROLE", "CLASS"]);
    for column in columns {
        let class = column.class.map_or_else(|| "-".to_owned(), |class| word(&class));
        table.row([column.name.to_string(), word(&column.kind), word(&column.role), class]);
    }
    Shown::new(json!(columns), table.or("A folder of files has no columns.\n"))
}

fn list(view: &View) -> Shown {
    let mut table = Table::new(["DATASET", "ID", "KIND", "WHERE", "KEY", "PATIENT", "LINKS BY"]);
    for each in &view.datasets {
        let key: Vec<String> = each.key.iter().map(ToString::to_string).collect();
        let links = each.linkage.as_ref().map(|by| format!("{}, {}, {}", by.given, by.family, by.birth));
        table.row([
            each.name.to_string(),
            short(&each.dataset),
            each.source.kind().to_owned(),
            place_of(&each.source),
            key.join(", "),
            each.patient.as_ref().map(ToString::to_string).unwrap_or_default(),
            links.unwrap_or_default(),
        ]);
    }
    Shown::new(json!(view.datasets), table.or("No datasets yet.\n"))
}

/// Where a source is: a path, a table of a mapping, a database or an object of a store.
fn place_of(source: &Source) -> String {
    match source {
        Source::Mapped { mapping, table } => format!("{mapping}/{table}"),
        Source::Postgres(table) | Source::Maria(table) => remote::shown(table),
        Source::S3(object) => format!("{}/{}", object.bucket, object.key),
        Source::Release { release } => release.to_string(),
        Source::Csv { .. }
        | Source::Parquet { .. }
        | Source::Ndjson { .. }
        | Source::Json { .. }
        | Source::ArrowIpc { .. }
        | Source::Fhir { .. }
        | Source::Files { .. } => source.path().map(ToString::to_string).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::record::remote::{ObjectForm, Privacy};

    use super::*;
    use crate::cli::tests::world;

    #[test]
    fn a_delimiter_is_one_character() {
        assert_eq!(
            [",", ";", "\t", "tab", "\\t", "|"].map(delimiter).map(Result::ok),
            [Some(b','), Some(b';'), Some(b'\t'), Some(b'\t'), Some(b'\t'), Some(b'|')]
        );
        for bad in ["", ",,", "é", "\"", "\n"] {
            assert!(delimiter(bad).is_err(), "{bad:?}");
        }
    }

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        add: Add,
    }

    fn parsed(args: &[&str]) -> Result<Source, String> {
        let line = <Line as clap::Parser>::try_parse_from([&["add", "x"], args].concat());
        source(&line.map_err(|fault| fault.to_string())?.add).map_err(|fault| fault.to_string())
    }

    #[test]
    fn each_format_has_its_flag_and_a_text_table_says_how_it_is_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for (flag, kind) in [
            ("--csv", "csv"),
            ("--parquet", "parquet"),
            ("--ndjson", "ndjson"),
            ("--json-array", "json"),
            ("--arrow", "arrow-ipc"),
        ] {
            assert_eq!(parsed(&[flag, path]).unwrap().kind(), kind);
        }
        let form = ["--delimiter", "tab", "--encoding", "windows-1252", "--missing", "?", "--missing", ""];
        let told = parsed(&[&["--csv", path], &form[..], &["--columns", "age,sex"]].concat()).unwrap();
        let Source::Csv { form, .. } = told else { unreachable!("it was a text table") };
        assert_eq!((form.delimiter, form.encoding), (b'\t', TextEncoding::Windows1252));
        assert_eq!(form.missing.iter().map(MissingMark::as_str).collect::<Vec<_>>(), ["", "?"]);
        assert_eq!(form.heading, Heading::Names(vec!["age".parse().unwrap(), "sex".parse().unwrap()]));
        for wrong in [
            &["--postgres", "db", "--database", "d", "--user", "u"][..],
            &["--postgres", "db", "--database", "d", "--table", "t"],
            &["--csv", path, "--database", "d"],
            &["--maria", "db", "--database", "d", "--user", "u", "--table", "t", "--select", path],
            &["--fhir", path],
            &["--s3", "bucket"],
            &["--s3", "bucket/key"],
            &["--csv", path, "--parquet", path],
            &["--ndjson", path, "--missing", "?"],
            &["--csv", path, "--encoding", "ebcdic"],
            &["--csv", path, "--columns", "age,age"],
            &[],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_database_or_store_is_named_with_how_it_is_reached_and_never_with_a_password() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        std::fs::write(path, "SELECT 1").unwrap();
        let database = ["--database", "ward", "--user", "reader", "--password-file", path];
        let table = parsed(&[&["--postgres", "db:6000"], &database[..], &["--table", "cdm.person"]].concat()).unwrap();
        assert_eq!((table.kind(), place_of(&table).as_str()), ("postgres", "db:6000/ward/cdm.person"));
        let select = [&["--maria", "db", "--tls-roots", path], &database[..], &["--select", path]].concat();
        let Source::Maria(select) = parsed(&select).unwrap() else { unreachable!("it was a MariaDB") };
        let Privacy::Tls { name, .. } = &select.place.privacy else { unreachable!("it has roots") };
        assert_eq!((name.as_str(), remote::shown(&select).as_str()), ("db", "db:3306/ward (a SELECT)"));
        let object = ["--s3", "ward/a/stays.csv", "--delimiter", ";", "--credentials", path];
        let Source::S3(object) = parsed(&object).unwrap() else { unreachable!("it was an object") };
        let ObjectForm::Csv(form) = &object.form else { unreachable!("its key ends in csv") };
        assert_eq!((object.key.as_str(), form.delimiter), ("a/stays.csv", b';'));
        assert_eq!(parsed(&["--fhir", path, "--view", path]).unwrap().kind(), "fhir");
    }

    #[test]
    fn datasets_are_listed_in_both_forms() {
        let shown = list(&world::member());
        let golden = concat!(
            r#"[{"dataset":"07070707070707070707070707070707","key":["eid"],"linkage":null,"name":"los","patient":"eid","#,
            r#""source":{"csv":{"form":{"delimiter":44,"encoding":"utf-8","heading":"line","missing":[]},"path":"/data/los.csv"}}}]"#
        );
        assert_eq!(shown.json.to_string(), golden);
        let text = "DATASET  ID        KIND  WHERE          KEY  PATIENT  LINKS BY\n\
                    los      07070707  csv   /data/los.csv  eid  eid\n";
        assert_eq!(shown.text, text);
    }
}
