//! What is read: a table, or one SELECT. Names are quoted, and a SELECT is read as a part of ours.

use crate::fault::DatabaseFault;

/// The longest SELECT, in bytes.
const SELECT_BYTES_MAX: usize = 64 * 1024;
/// The longest name of a database, in bytes; both servers' own limits lie below.
const NAME_BYTES_MAX: usize = 256;

/// A table, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// The schema; in MariaDB, the database. Without one, the server's own search.
    pub schema: Option<String>,
    /// The table, or a view.
    pub table: String,
}

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Every row of a table.
    Table(TableName),
    /// The rows of one SELECT. It stands in parentheses within ours, so that nothing but a query fits there.
    Select(String),
}

/// How a server writes a name that is taken as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quote {
    /// PostgreSQL.
    Double,
    /// MariaDB.
    Back,
}

impl Quote {
    pub(crate) fn name(self, name: &str) -> String {
        let mark = match self {
            Self::Double => '"',
            Self::Back => '`',
        };
        format!("{mark}{}{mark}", name.replace(mark, &format!("{mark}{mark}")))
    }

    /// The table's whole name.
    ///
    /// # Errors
    /// A part of it is empty, over-long, or has a zero byte.
    pub(crate) fn table(self, table: &TableName) -> Result<String, DatabaseFault> {
        let parts = table.schema.iter().chain([&table.table]);
        let quoted = parts.map(|part| match part.len() {
            1..=NAME_BYTES_MAX if !part.contains('\0') => Ok(self.name(part)),
            _ => Err(DatabaseFault::Query),
        });
        Ok(quoted.collect::<Result<Vec<_>, _>>()?.join("."))
    }
}

impl Query {
    /// What stands behind FROM.
    fn from(&self, quote: Quote) -> Result<String, DatabaseFault> {
        match self {
            Self::Table(table) => quote.table(table),
            // A comment at its end is ended by the line.
            Self::Select(text) if (1..=SELECT_BYTES_MAX).contains(&text.len()) && !text.contains('\0') => {
                let text = text.trim_end().trim_end_matches(';');
                Ok(format!("({text}\n)"))
            }
            Self::Select(_) => Err(DatabaseFault::Query),
        }
    }

    /// The statement that has every column.
    pub(crate) fn all(&self, quote: Quote) -> Result<String, DatabaseFault> {
        Ok(format!("SELECT * FROM {} AS cohortium_rows", self.from(quote)?))
    }

    /// The statement that has only these columns, in this order; as many rows also without any.
    pub(crate) fn only(&self, quote: Quote, columns: &[&str]) -> Result<String, DatabaseFault> {
        let names: Vec<String> = columns.iter().map(|name| quote.name(name)).collect();
        let names = if names.is_empty() { "1".to_owned() } else { names.join(", ") };
        Ok(format!("SELECT {names} FROM {} AS cohortium_rows", self.from(quote)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_whatever_is_in_them() {
        let table =
            |schema: Option<&str>, table: &str| TableName { schema: schema.map(str::to_owned), table: table.into() };
        assert_eq!(Quote::Double.table(&table(Some("a\"b"), "c d")).unwrap(), "\"a\"\"b\".\"c d\"");
        assert_eq!(Quote::Back.table(&table(None, "x`; DROP")).unwrap(), "`x``; DROP`");
        for bad in ["", "a\0b", &"x".repeat(257)] {
            assert_eq!(Quote::Back.table(&table(None, bad)), Err(DatabaseFault::Query));
        }
    }

    #[test]
    fn a_select_stands_within_ours() {
        let query = Query::Select("SELECT 1 -- one; \n;".to_owned());
        assert_eq!(query.all(Quote::Double).unwrap(), "SELECT * FROM (SELECT 1 -- one; \n\n) AS cohortium_rows");
        let only = query.only(Quote::Back, &["a", "b"]).unwrap();
        assert!(only.starts_with("SELECT `a`, `b` FROM (SELECT 1"), "{only}");
        assert!(query.only(Quote::Back, &[]).unwrap().starts_with("SELECT 1 FROM ("));
        assert_eq!(Query::Select(String::new()).all(Quote::Back), Err(DatabaseFault::Query));
        assert_eq!(Query::Select("x".repeat(65_537)).all(Quote::Back), Err(DatabaseFault::Query));
    }
}
