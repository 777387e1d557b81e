//! `cohortium dataset`: where this node finds rows or files of its own.

use std::path::{Path, PathBuf};

use cohortium_protocol::ident::{ColumnName, DatasetId, Name, Text};
use cohortium_protocol::record::dataset::{Dataset, DateFormat, LinkageColumns, Source};
use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::schema::Column;
use cohortium_store::seal;
use serde_json::json;

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::find;
use crate::cli::print::{Shown, Table, from_word, short, word};
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
#[command(group = clap::ArgGroup::new("source").required(true).args(["csv", "parquet", "files"]))]
pub(crate) struct Add {
    /// The dataset's name
    name: Name,
    /// A text table with one header line
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// The character between two cells
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter, requires = "csv")]
    delimiter: u8,
    /// A Parquet file
    #[arg(long, value_name = "FILE")]
    parquet: Option<PathBuf>,
    /// A folder of files that nobody looks into
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
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
    let view = cx.view()?;
    let known = view.datasets.iter().find(|dataset| dataset.name == add.name).map(|dataset| dataset.dataset);
    let linkage = add.link_given.zip(add.link_family).zip(add.link_birth);
    let birth_format = add.birth_format;
    let dataset = Dataset {
        dataset: known.unwrap_or_else(|| DatasetId(seal::random())),
        name: add.name,
        source: source(add.csv.as_deref(), add.delimiter, add.parquet.as_deref(), add.files.as_deref())?,
        key: add.key,
        patient: add.patient,
        linkage: linkage.map(|((given, family), birth)| LinkageColumns { given, family, birth, birth_format }),
    };
    let (name, id) = (dataset.name.clone(), dataset.dataset);
    cx.give(&view, Command::DefineDataset(dataset))?;
    Ok(Shown::new(json!({"dataset": id, "name": name}), format!("Dataset {name} ({})\n", short(&id))))
}

fn source(csv: Option<&Path>, delimiter: u8, parquet: Option<&Path>, files: Option<&Path>) -> Result<Source, CliFault> {
    match (csv, parquet, files) {
        (Some(path), None, None) => Ok(Source::Csv { path: absolute(path)?, delimiter }),
        (None, Some(path), None) => Ok(Source::Parquet { path: absolute(path)? }),
        (None, None, Some(path)) => Ok(Source::Files { folder: absolute(path)? }),
        _ => Err(CliFault::usage("give one of --csv, --parquet and --files")),
    }
}

/// The daemon runs in another folder: it gets the whole path.
fn absolute(path: &Path) -> Result<Text, CliFault> {
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
    let mut table = Table::new(["COLUMN", "TYPE", "ROLE"]);
    for column in columns {
        table.row([column.name.to_string(), word(&column.kind), word(&column.role)]);
    }
    Shown::new(json!(columns), table.or("A folder of files has no columns.\n"))
}

fn list(view: &View) -> Shown {
    let mut table = Table::new(["DATASET", "ID", "KIND", "PATH", "KEY", "PATIENT", "LINKS BY"]);
    for each in &view.datasets {
        let kind = match &each.source {
            Source::Csv { .. } => "csv",
            Source::Parquet { .. } => "parquet",
            Source::Files { .. } => "files",
        };
        let key: Vec<String> = each.key.iter().map(ToString::to_string).collect();
        let links = each.linkage.as_ref().map(|by| format!("{}, {}, {}", by.given, by.family, by.birth));
        table.row([
            each.name.to_string(),
            short(&each.dataset),
            kind.to_owned(),
            each.source.path().to_string(),
            key.join(", "),
            each.patient.as_ref().map(ToString::to_string).unwrap_or_default(),
            links.unwrap_or_default(),
        ]);
    }
    Shown::new(json!(view.datasets), table.or("No datasets yet.\n"))
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn datasets_are_listed_in_both_forms() {
        let shown = list(&world::member());
        let golden = concat!(
            r#"[{"dataset":"07070707070707070707070707070707","key":["eid"],"linkage":null,"name":"los","patient":"eid","#,
            r#""source":{"csv":{"delimiter":44,"path":"/data/los.csv"}}}]"#
        );
        assert_eq!(shown.json.to_string(), golden);
        let text = "DATASET  ID        KIND  PATH           KEY  PATIENT  LINKS BY\n\
                    los      07070707  csv   /data/los.csv  eid  eid\n";
        assert_eq!(shown.text, text);
    }
}
