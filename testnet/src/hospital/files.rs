//! A hospital's tables, written as the files that its systems would export.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::column::TableKind;
use super::dialect::Mark;
use super::row::Rows;
use super::site::Site;

/// What was written for one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Without the header.
    pub rows: u64,
    /// With header and byte-order mark.
    pub bytes: u64,
}

impl Site {
    /// The rows of a table, generated one patient or encounter at a time, in this site's dialect but not yet quoted.
    pub fn rows(&self, kind: TableKind) -> Rows<'_> {
        Rows::new(self, kind)
    }

    /// Writes all five files into `dir`, which must exist. Memory does not grow with the rows.
    ///
    /// # Errors
    /// The first fault of the file system; files begun stay behind.
    pub fn write_to(&self, dir: &Path) -> io::Result<BTreeMap<TableKind, Written>> {
        TableKind::ALL.into_iter().map(|kind| Ok((kind, self.write_table(dir, kind)?))).collect()
    }

    /// One file in memory.
    pub(super) fn table_bytes(&self, kind: TableKind) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_rows_to(kind, &mut bytes).expect("memory takes every write");
        bytes
    }

    fn write_table(&self, dir: &Path, kind: TableKind) -> io::Result<Written> {
        let mut out = BufWriter::with_capacity(1 << 18, File::create(dir.join(kind.file_name()))?);
        let written = self.write_rows_to(kind, &mut out)?;
        out.flush()?;
        Ok(written)
    }

    fn write_rows_to(&self, kind: TableKind, out: &mut impl Write) -> io::Result<Written> {
        let mut line = self.header(kind);
        let mut written = Written { rows: 0, bytes: line.len() as u64 };
        out.write_all(line.as_bytes())?;
        for row in self.rows(kind) {
            line.clear();
            self.dialect.write_line(row.cells(), &mut line);
            out.write_all(line.as_bytes())?;
            written.rows += 1;
            written.bytes += line.len() as u64;
        }
        Ok(written)
    }

    fn header(&self, kind: TableKind) -> String {
        let mut line = String::new();
        if self.dialect.mark == Mark::ByteOrder {
            line.push('\u{feff}');
        }
        let columns = self.table(kind).columns;
        self.dialect.write_line(columns.iter().map(|column| column.name.as_str()), &mut line);
        line
    }
}
