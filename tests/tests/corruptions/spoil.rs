//! What can be wrong with one row, by the format that it is written in, and what must become of it.

use std::iter;

use cohortium_testnet::hospital::TableKind;

use crate::Random;
use crate::member::CELL_BYTES_MAX;
use crate::write::{Form, Record, Table};

/// Codes of a visit without illness.
const CHECK_UPS: [&str; 2] = ["Z00.00", "V70.0"];

/// A kind of corruption of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spoil {
    /// A date that no calendar has.
    BadDate,
    /// A date cut short.
    CutDate,
    /// Words where a number belongs.
    Words,
    /// A unit of another kind of quantity, or none that anybody knows.
    BadUnit,
    /// A code that no list has.
    BadCode,
    /// The number of a patient or an encounter that is not there.
    Dangling,
    /// No value where one is needed.
    NoKey,
    /// The key of the row before it, with something else to say.
    SameKey,
    /// The row again, word for word.
    Again,
    /// A cell less than the header has, or more.
    Ragged,
    /// The line ends early.
    CutLine,
    /// A byte that is no text.
    NotUtf8,
    /// Text behind a closing quote.
    Quote,
    /// A cell longer than any may be.
    LongCell,
    /// A line longer than any may be.
    LongLine,
    /// A field of an object twice.
    FieldTwice,
    /// Lists within lists.
    TooDeep,
    /// JSON, and no object.
    NotAnObject,
    /// Quotes that JSON does not have.
    WrongQuotes,
}

use Spoil::{
    Again, BadCode, BadDate, BadUnit, CutDate, CutLine, Dangling, FieldTwice, LongCell, LongLine, NoKey, NotAnObject,
    NotUtf8, Quote, Ragged, SameKey, TooDeep, Words, WrongQuotes,
};

/// What one corruption makes of a row.
pub(crate) struct Spoilt {
    /// What stands in the place of the row: one record, or it and another.
    pub(crate) records: Vec<Record>,
    /// Which of them must be in quarantine, and why; `None`: it is a repetition, and counted as one.
    pub(crate) due: Option<(usize, &'static str)>,
    /// Others that refer to the row find nothing.
    pub(crate) gone: bool,
}

impl Spoil {
    /// Those that a format can have.
    pub(crate) fn of(form: Form) -> &'static [Self] {
        match form {
            Form::Csv => &[
                BadDate, CutDate, Words, BadUnit, BadCode, Dangling, SameKey, Again, Ragged, CutLine, NotUtf8, Quote,
                LongCell, LongLine,
            ],
            Form::Ndjson => &[
                BadDate,
                CutDate,
                Words,
                BadUnit,
                BadCode,
                Dangling,
                NoKey,
                SameKey,
                Again,
                CutLine,
                NotUtf8,
                LongCell,
                LongLine,
                FieldTwice,
                TooDeep,
                NotAnObject,
                WrongQuotes,
            ],
            Form::Json => &[
                BadDate,
                CutDate,
                Words,
                BadUnit,
                BadCode,
                Dangling,
                NoKey,
                SameKey,
                Again,
                NotUtf8,
                LongCell,
                LongLine,
                FieldTwice,
                TooDeep,
                NotAnObject,
            ],
            Form::Parquet | Form::ArrowIpc => {
                &[BadDate, CutDate, Words, BadUnit, BadCode, Dangling, NoKey, SameKey, Again]
            }
        }
    }

    /// The columns that a cell's corruption may fall on, with whether others then find nothing to refer to.
    fn columns(self) -> &'static [(TableKind, &'static str, bool)] {
        use TableKind::{Diagnoses, Encounters, Labs, Patients, Vitals};
        match self {
            BadDate | CutDate => &[
                (Patients, "birth_date", true),
                (Patients, "registered", false),
                (Encounters, "admitted", true),
                (Labs, "taken", false),
                (Vitals, "taken", false),
                (Diagnoses, "recorded", false),
            ],
            Words => &[
                (Encounters, "bmi", false),
                (Labs, "value", false),
                (Vitals, "systolic", false),
                (Vitals, "temperature", false),
            ],
            BadUnit => &[(Labs, "unit", false)],
            BadCode => &[
                (Patients, "sex", true),
                (Patients, "language", false),
                (Encounters, "type", true),
                (Labs, "code", false),
                (Diagnoses, "code", false),
                (Diagnoses, "role", false),
            ],
            Dangling => &[
                (Encounters, "patient", true),
                (Labs, "patient", false),
                (Labs, "encounter", false),
                (Vitals, "patient", false),
                (Vitals, "encounter", false),
                (Diagnoses, "patient", false),
                (Diagnoses, "encounter", false),
            ],
            _ => &[],
        }
    }

    /// Applies it to a row of a table; `None`: this table has nothing that it could fall on.
    pub(crate) fn apply(self, table: &Table, form: Form, row: usize, random: &mut Random) -> Option<Spoilt> {
        let cells = table.cells(row);
        match self {
            BadDate | CutDate | Words | BadUnit | BadCode | Dangling => self.cell(table, cells, random),
            SameKey | Again => self.twice(table, cells),
            _ => {
                let record = self.row(table, form, cells, random);
                Some(Spoilt { records: vec![record], due: Some((0, "row")), gone: true })
            }
        }
    }

    fn cell(self, table: &Table, cells: &[Option<String>], random: &mut Random) -> Option<Spoilt> {
        let mine: Vec<_> = self.columns().iter().filter(|(kind, ..)| *kind == table.kind).collect();
        if mine.is_empty() {
            return None;
        }
        let (_, meaning, gone) = *random.pick(&mine);
        let place = table.column(meaning)?;
        let before = cells[place].clone()?;
        // No rule reads the role of a check-up.
        let is_check_up =
            || table.column("code").is_some_and(|code| CHECK_UPS.map(Some).contains(&cells[code].as_deref()));
        if meaning == "role" && is_check_up() {
            return None;
        }
        if before == table.dialect.missing {
            return None;
        }
        let digits =
            |text: &str| -> String { text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect() };
        let (after, reason) = match (self, meaning) {
            (BadDate, _) => (digits(&before), "cast"),
            (CutDate, _) => (before[..3 + random.below(2)].to_owned(), "cast"),
            (Words, _) => ("see letter".to_owned(), "cast"),
            (BadUnit, _) => (random.pick(&["mm[Hg]", "zorks", "%%"]).to_owned(), "unit"),
            (BadCode, _) => ("QQ-0000".to_owned(), "code"),
            (_, "patient") => (format!("99999{}", random.below(1_000_000)), "missing"),
            _ => (format!("99999{}", random.below(1_000_000)), "reference"),
        };
        let mut cells = cells.to_vec();
        cells[place] = Some(after);
        Some(Spoilt { records: vec![Record::Cells(cells)], due: Some((0, reason)), gone })
    }

    /// Only where nobody refers to the row, and where all of its facts are there or none.
    fn twice(self, table: &Table, cells: &[Option<String>]) -> Option<Spoilt> {
        let first = Record::Cells(cells.to_vec());
        if self == Again {
            return Some(Spoilt { records: vec![first.clone(), first], due: None, gone: false });
        }
        if table.kind != TableKind::Labs {
            return None;
        }
        let mut other = cells.to_vec();
        let value = table.column("value")?;
        other[value] = other[value].as_ref().map(|value| format!("1{value}"));
        Some(Spoilt { records: vec![first, Record::Cells(other)], due: Some((1, "conflict")), gone: false })
    }

    /// What makes a row unreadable.
    fn row(self, table: &Table, form: Form, cells: &[Option<String>], random: &mut Random) -> Record {
        let text = |cells: &[Option<String>]| table.record(form, &Record::Cells(cells.to_vec()));
        let key = |key: Option<String>| {
            let mut cells = cells.to_vec();
            cells[0] = key;
            cells
        };
        let last = cells.len() - 1;
        Record::Raw(match self {
            NoKey if form.is_text() => text(&key(None)),
            NoKey => return Record::Cells(key(None)),
            Ragged if random.below(2) == 0 => text(&[cells, &[Some("extra".to_owned())]].concat()),
            Ragged => text(&cells[..last]),
            CutLine if form == Form::Csv => text(&cells[..=random.below(last)]),
            CutLine => {
                let whole = text(cells);
                whole[..=random.below(whole.len() - 2)].iter().copied().filter(u8::is_ascii).collect()
            }
            NotUtf8 => {
                let whole = text(&key(Some("@@".to_owned())));
                let at = whole.windows(2).position(|pair| pair == b"@@").unwrap();
                [&whole[..at], b"\xFF", &whole[at + 2..]].concat()
            }
            Quote => [b"\"closed\"open".as_slice(), &text(&key(Some("x".to_owned())))[1..]].concat(),
            LongCell => text(&key(Some("x".repeat(CELL_BYTES_MAX + 1)))),
            LongLine => text(&key(Some("x".repeat(crate::member::RECORD_BYTES_MAX)))),
            FieldTwice => {
                let whole = String::from_utf8(text(cells)).unwrap();
                let name = serde_json::to_string(&table.headers[random.below(last)]).unwrap();
                format!("{},{name}:\"again\"}}", whole.strip_suffix('}').unwrap()).into_bytes()
            }
            TooDeep => {
                let whole = String::from_utf8(text(cells)).unwrap();
                let deep: String = iter::repeat_n('[', 100).chain(iter::repeat_n(']', 100)).collect();
                format!("{},\"deep\":{deep}}}", whole.strip_suffix('}').unwrap()).into_bytes()
            }
            NotAnObject => random.pick(&["[1,2]", "42", "\"text\"", "null", "[[]]"]).as_bytes().to_vec(),
            WrongQuotes => String::from_utf8(text(cells)).unwrap().replace('"', "'").into_bytes(),
            BadDate | CutDate | Words | BadUnit | BadCode | Dangling | SameKey | Again => {
                panic!("{self:?} is of a cell")
            }
        })
    }
}
