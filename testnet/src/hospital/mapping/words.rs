//! A site's way of writing, as SQL: what an expression of its mapping says to get a text, a number or a day of a cell.

use crate::hospital::column::{Class, TableKind};
use crate::hospital::dialect::{DateStyle, Dialect};
use crate::hospital::site::{Site, SiteTable};

/// One table of one site.
pub(super) struct Words<'a> {
    dialect: &'a Dialect,
    table: SiteTable,
}

impl<'a> Words<'a> {
    pub(super) fn new(site: &'a Site, kind: TableKind) -> Self {
        Self { dialect: &site.dialect, table: site.table(kind) }
    }

    /// The header of the column with this meaning.
    pub(super) fn header(&self, meaning: &str) -> &str {
        let place = self.table.position(meaning).expect("the mapping asks for what every dialect has");
        &self.table.columns[place].name
    }

    /// The column, quoted: headers hold spaces, hyphens and words of SQL.
    pub(super) fn column(&self, meaning: &str) -> String {
        quoted(self.header(meaning))
    }

    /// The cell, or null for the site's mark of a missing value; an empty cell is null by itself.
    pub(super) fn present(&self, meaning: &str) -> String {
        self.without_mark(&self.column(meaning))
    }

    /// The same for a column in braces, which `each` fills in.
    pub(super) fn without_mark(&self, column: &str) -> String {
        match self.dialect.missing {
            "" => column.to_owned(),
            mark => format!("nullif({column}, '{mark}')"),
        }
    }

    /// A text that has a number's decimal point.
    pub(super) fn number(&self, text: &str) -> String {
        if self.dialect.decimal == '.' { text.to_owned() } else { format!("replace({text}, ',', '.')") }
    }

    /// The day of a cell that holds a day alone.
    pub(super) fn day(&self, meaning: &str) -> String {
        self.day_in(&self.column(meaning))
    }

    /// The day of a cell that holds a day and a time.
    pub(super) fn day_of(&self, meaning: &str) -> String {
        let column = self.column(meaning);
        match self.dialect.date {
            DateStyle::Iso | DateStyle::Digits => self.day_in(&column),
            DateStyle::DayDot | DateStyle::MonthSlash => self.day_in(&format!("split_part({column}, ' ', 1)")),
        }
    }

    /// Day and time of a cell that holds both.
    pub(super) fn moment(&self, meaning: &str) -> String {
        let (day, column) = (self.day_of(meaning), self.column(meaning));
        match self.dialect.date {
            DateStyle::Iso | DateStyle::DayDot | DateStyle::MonthSlash => {
                format!("{day} || ' ' || split_part({column}, ' ', 2) || ':00'")
            }
            DateStyle::Digits => {
                format!("{day} || ' ' || substr({column}, 9, 2) || ':' || substr({column}, 11, 2) || ':00'")
            }
        }
    }

    fn day_in(&self, text: &str) -> String {
        let style = match self.dialect.date {
            DateStyle::Iso => "iso",
            DateStyle::DayDot => "d.m.y",
            DateStyle::MonthSlash => "m/d/y",
            DateStyle::Digits => "compact",
        };
        format!("day({text}, '{style}')")
    }

    /// The headers of what names a person or may do so: rules see pseudonyms.
    pub(super) fn identifiers(&self) -> String {
        let named = |class| match class {
            Class::DirectIdentifier | Class::PrimaryKey | Class::PatientKey | Class::EncounterKey | Class::FreeText => {
                true
            }
            Class::QuasiIdentifier | Class::Plain => false,
        };
        let headers = self.table.columns.iter().filter(|column| named(column.class));
        headers.map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
    }
}

/// A column as SQL names it.
pub(super) fn quoted(header: &str) -> String {
    format!("\"{}\"", header.replace('"', "\"\""))
}

/// An expression as a string of TOML in which nothing needs escaping.
pub(super) fn toml(expression: &str) -> String {
    let mark = if expression.contains('\'') { "'''" } else { "'" };
    // A quotation mark at the end of the expression would run into the marks that close the string.
    let gap = if mark.len() == 3 && expression.ends_with('\'') { " " } else { "" };
    format!("{mark}{expression}{gap}{mark}")
}
