//! `cohortium sql`: a question over consolidated rows. Off until a person says why.

use std::path::PathBuf;

use cohortium_protocol::ident::Nonce;
use cohortium_protocol::record::order::Command;
use cohortium_store::seal;
use serde_json::json;

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::print::{Shown, Table};
use crate::control::{Asked, Reply, Request};

/// A question.
#[derive(Debug, clap::Args)]
pub(crate) struct Sql {
    /// Why rows are looked at. The log keeps a digest of it and of the question, not their words
    #[arg(long)]
    reason: Option<String>,
    /// One SELECT over the tables of the common schema
    question: String,
    /// Rows of the answer at most; more are a refusal, not a shorter answer [default: 1000 on a screen]
    #[arg(long, value_name = "N")]
    rows: Option<u64>,
    /// Write the answer to a new file that ends in .csv or .parquet
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the answer as CSV
    #[arg(long, conflicts_with = "output")]
    csv: bool,
}

/// Rows of an answer on a screen, where nobody says otherwise.
const SCREEN_ROWS: u64 = 1_000;

pub(crate) fn run(cx: &Cx, sql: &Sql) -> Result<Shown, CliFault> {
    let reason = sql.reason.clone().filter(|reason| !reason.trim().is_empty());
    let reason = reason.ok_or_else(|| CliFault::refused("rows are shown to who says why: give --reason TEXT"))?;
    let path = match &sql.output {
        None => None,
        Some(path) => {
            let path = std::path::absolute(path);
            let path = path.map_err(|fault| CliFault::usage(format!("the output file: {fault}")))?;
            let text = path.into_os_string().into_string();
            Some(text.map_err(|_| CliFault::usage("the path is not UTF-8 text"))?)
        }
    };
    let view = cx.view()?;
    let salt = Nonce(seal::random());
    let order = cx.signed(&view, Command::query(&salt, &sql.question, &reason))?;
    let rows_max = sql.rows.unwrap_or(if path.is_some() { u64::MAX } else { SCREEN_ROWS });
    let asked = Asked { question: sql.question.clone(), reason, salt, rows_max, path: path.clone() };
    match cx.call(Request::Query { order, asked })? {
        Reply::Count { rows } => {
            let path = path.unwrap_or_default();
            let text = format!("{rows} rows written to {path}\n");
            Ok(Shown::new(json!({"file": path, "rows": rows, "salt": salt}), text))
        }
        Reply::Rows { header, rows, .. } => {
            let text = if sql.csv { as_csv(&header, &rows) } else { as_table(&header, &rows) };
            Ok(Shown::new(json!({"columns": header, "rows": rows, "salt": salt}), text))
        }
        _ => Err(CliFault::other_reply()),
    }
}

fn as_table(header: &[String], rows: &[Vec<Option<String>>]) -> String {
    let mut table = Table::of(header.iter().cloned());
    for row in rows {
        table.row(row.iter().map(|cell| cell.clone().unwrap_or_else(|| "NULL".to_owned())));
    }
    table.to_text()
}

/// As RFC 4180 has it; a null is nothing, an empty text is `""`.
fn as_csv(header: &[String], rows: &[Vec<Option<String>>]) -> String {
    let cell = |cell: &Option<String>| match cell {
        None => String::new(),
        Some(text) if text.is_empty() || text.contains(['"', ',', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => text.clone(),
    };
    let line = |cells: Vec<String>| format!("{}\r\n", cells.join(","));
    let header = line(header.iter().map(|name| cell(&Some(name.clone()))).collect());
    rows.iter().fold(header, |text, row| text + &line(row.iter().map(cell).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_and_an_empty_text_are_told_apart() {
        let rows = [vec![None, Some(String::new()), Some("a\"b".to_owned())]];
        let header = ["x".to_owned(), "y".to_owned(), "z,".to_owned()];
        assert_eq!(as_csv(&header, &rows), "x,y,\"z,\"\r\n,\"\",\"a\"\"b\"\r\n");
        assert!(as_table(&header, &rows).contains("NULL"));
    }
}
