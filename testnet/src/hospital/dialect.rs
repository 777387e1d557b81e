//! How a site writes its files: delimiter, quoting, dates, codes, units and missing marks. Five dialects, used in turn.

use serde::{Deserialize, Serialize};

use super::random::index;

/// How dates are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DateStyle {
    /// `2023-04-05`, with time `2023-04-05 13:07`.
    Iso,
    /// `05.04.2023`, with time `05.04.2023 13:07`.
    DayDot,
    /// `04/05/2023`, with time `04/05/2023 13:07`.
    MonthSlash,
    /// Fourteen digits, `20230405130700`; a day alone has six zeros.
    Digits,
}

/// When a cell stands in quotation marks. Within them `"` is doubled (RFC 4180).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quoting {
    /// Only where the cell holds the delimiter, a quotation mark or a line end.
    WhereNeeded,
    /// Every cell, the header included.
    Always,
}

/// How lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LineEnd {
    /// `\n`.
    Lf,
    /// `\r\n`.
    CrLf,
}

/// What stands in front of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// Nothing.
    None,
    /// The UTF-8 byte-order mark, `EF BB BF`.
    ByteOrder,
}

/// How names are spelt at this site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameStyle {
    /// As in the population register.
    AsRegistered,
    /// In capital letters.
    Upper,
    /// Diacritics left out (`Müller` is `Muller`).
    Plain,
}

/// Unit of a laboratory value that sites report differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConcentrationUnit {
    /// mg/dL.
    Conventional,
    /// µmol/L (creatinine) or mmol/L (glucose).
    Molar,
}

/// Unit of a temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TemperatureUnit {
    /// Degrees Celsius.
    Celsius,
    /// Degrees Fahrenheit.
    Fahrenheit,
}

/// Which code system diagnoses are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiagnosisSystem {
    /// ICD-10.
    Icd10,
    /// ICD-9-CM.
    Icd9,
}

/// Whether encounters carry a free-text note. It names the patient: a trap for whoever shares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notes {
    /// No such column.
    Absent,
    /// A column with the patient's name and insurance number in running text.
    Present,
}

/// A site's way of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dialect {
    /// Which column of the header lists is used, 0 to 4.
    pub number: usize,
    /// Between two cells: `,`, `;` or a tab.
    pub delimiter: char,
    /// At the end of a line.
    pub line_end: LineEnd,
    /// In front of the header.
    pub mark: Mark,
    /// When cells are quoted.
    pub quoting: Quoting,
    /// Between whole and fraction: `.` or `,`.
    pub decimal: char,
    /// Dates.
    pub date: DateStyle,
    /// Codes of female and male.
    pub sex: [&'static str; 2],
    /// What stands for a missing value.
    pub missing: &'static str,
    /// Spelling of names.
    pub names: NameStyle,
    /// Unit of creatinine.
    pub creatinine: ConcentrationUnit,
    /// Unit of glucose.
    pub glucose: ConcentrationUnit,
    /// Unit of temperature.
    pub temperature: TemperatureUnit,
    /// Code system of diagnoses.
    pub diagnoses: DiagnosisSystem,
    /// Free text.
    pub notes: Notes,
}

const BASE: Dialect = Dialect {
    number: 0,
    delimiter: ',',
    line_end: LineEnd::Lf,
    mark: Mark::None,
    quoting: Quoting::WhereNeeded,
    decimal: '.',
    date: DateStyle::Iso,
    sex: ["F", "M"],
    missing: "",
    names: NameStyle::AsRegistered,
    creatinine: ConcentrationUnit::Conventional,
    glucose: ConcentrationUnit::Conventional,
    temperature: TemperatureUnit::Celsius,
    diagnoses: DiagnosisSystem::Icd10,
    notes: Notes::Present,
};

const ALL: [Dialect; 5] = [
    BASE,
    Dialect {
        number: 1,
        delimiter: ';',
        line_end: LineEnd::CrLf,
        decimal: ',',
        date: DateStyle::DayDot,
        sex: ["w", "m"],
        missing: "NA",
        creatinine: ConcentrationUnit::Molar,
        glucose: ConcentrationUnit::Molar,
        ..BASE
    },
    Dialect {
        number: 2,
        mark: Mark::ByteOrder,
        quoting: Quoting::Always,
        date: DateStyle::MonthSlash,
        sex: ["2", "1"],
        missing: "?",
        names: NameStyle::Upper,
        temperature: TemperatureUnit::Fahrenheit,
        diagnoses: DiagnosisSystem::Icd9,
        notes: Notes::Absent,
        ..BASE
    },
    Dialect {
        number: 3,
        delimiter: '\t',
        date: DateStyle::Digits,
        sex: ["female", "male"],
        missing: "\\N",
        names: NameStyle::Plain,
        creatinine: ConcentrationUnit::Molar,
        ..BASE
    },
    Dialect {
        number: 4,
        delimiter: ';',
        missing: "-99",
        glucose: ConcentrationUnit::Molar,
        temperature: TemperatureUnit::Fahrenheit,
        notes: Notes::Absent,
        ..BASE
    },
];

impl Dialect {
    /// The dialect of the site with this number (from 0); every fifth site writes alike.
    pub fn of_site(site: u64) -> Self {
        ALL[index(site % 5)]
    }

    /// Appends one line with its end. Cells must hold no line end.
    pub(super) fn write_line<'a>(&self, cells: impl Iterator<Item = &'a str>, line: &mut String) {
        for (at, cell) in cells.enumerate() {
            if at > 0 {
                line.push(self.delimiter);
            }
            self.write_cell(cell, line);
        }
        line.push_str(self.line_end.text());
    }

    /// Appends one cell, quoted where this site quotes.
    pub(super) fn write_cell(&self, cell: &str, line: &mut String) {
        let needed = cell.contains([self.delimiter, '"', '\r', '\n']);
        if !needed && self.quoting == Quoting::WhereNeeded {
            line.push_str(cell);
            return;
        }
        line.push('"');
        for part in cell.split_inclusive('"') {
            line.push_str(part);
            if part.ends_with('"') {
                line.push('"');
            }
        }
        line.push('"');
    }

    /// The cells of one line without its end, as `write_line` wrote it.
    pub(super) fn read_line(&self, line: &str) -> Vec<String> {
        let mut cells = vec![String::new()];
        let mut quoted = false;
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            let cell = cells.last_mut().expect("starts with one cell");
            if character == '"' && quoted && characters.peek() == Some(&'"') {
                cell.push('"');
                characters.next();
            } else if character == '"' {
                quoted = !quoted;
            } else if character == self.delimiter && !quoted {
                cells.push(String::new());
            } else {
                cell.push(character);
            }
        }
        cells
    }
}

impl LineEnd {
    /// The characters.
    pub fn text(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_as_written_in_every_dialect() {
        let cells = ["", "plain", "O'Brien, Séan; x", "says \"dizzy\"\"", "\\N", "tab\there"];
        for site in 0..5 {
            let dialect = Dialect::of_site(site);
            let mut line = String::new();
            dialect.write_line(cells.iter().copied(), &mut line);
            let body = line.strip_suffix(dialect.line_end.text()).unwrap();
            assert_eq!(dialect.read_line(body), cells);
        }
    }

    #[test]
    fn the_five_dialects_differ_where_real_ones_do() {
        let count = |test: fn(&Dialect) -> bool| ALL.iter().filter(|d| test(d)).count();
        assert_eq!(count(|d| d.mark == Mark::ByteOrder), 1);
        assert_eq!(count(|d| d.line_end == LineEnd::CrLf), 1);
        assert_eq!(count(|d| d.decimal == ','), 1);
        assert_eq!(count(|d| d.diagnoses == DiagnosisSystem::Icd9), 1);
        for delimiter in [',', ';', '\t'] {
            assert!(ALL.iter().any(|d| d.delimiter == delimiter));
        }
        let mut marks: Vec<_> = ALL.iter().map(|d| d.missing).collect();
        marks.sort_unstable();
        marks.dedup();
        assert_eq!(marks.len(), 5);
        for (number, dialect) in ALL.iter().enumerate() {
            assert_eq!(dialect.number, number);
            assert!(dialect.decimal != dialect.delimiter);
        }
    }
}
