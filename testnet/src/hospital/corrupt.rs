//! One thing wrong in one of a hospital's files, drawn from a seed: what a mapping run has to account for, whatever it is.
//!
//! Every corruption is within one line, or doubles it; all other bytes stay as they were.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::calendar::{Civil, write_day, write_minute};
use super::column::TableKind;
use super::random::{Draws, Purpose, index};
use super::site::{Site, SiteTable};

/// The kinds of corruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Corruption {
    /// Words where a number or a date belongs.
    Words,
    /// The value of a laboratory result a thousandfold, as in another unit that nobody names.
    Thousandfold,
    /// The unit of another kind of quantity.
    OtherUnit,
    /// A date in the site's style that no calendar has.
    ImpossibleDate,
    /// A code that no list has.
    UnknownCode,
    /// The number of a patient or an encounter that is not there.
    DanglingId,
    /// Nothing where something was.
    EmptyCell,
    /// A cell and its delimiter are gone.
    DroppedCell,
    /// A cell more than the header has.
    ExtraCell,
    /// Two cells of a row have changed places.
    SwappedCells,
    /// The row stands twice.
    DoubledRow,
    /// The line ends early.
    CutLine,
    /// One bit of one byte; the line may be no text any more, or two lines, or one with the next.
    FlippedBit,
    /// A byte-order mark in front of the line.
    ByteOrderMark,
    /// A quotation mark where none belongs.
    StrayQuote,
}

impl Corruption {
    /// All of them; seeds take them in turn.
    pub const ALL: [Self; 15] = [
        Self::Words,
        Self::Thousandfold,
        Self::OtherUnit,
        Self::ImpossibleDate,
        Self::UnknownCode,
        Self::DanglingId,
        Self::EmptyCell,
        Self::DroppedCell,
        Self::ExtraCell,
        Self::SwappedCells,
        Self::DoubledRow,
        Self::CutLine,
        Self::FlippedBit,
        Self::ByteOrderMark,
        Self::StrayQuote,
    ];

    /// Whether it may fall on the header.
    fn may_hit_header(self) -> bool {
        match self {
            Self::CutLine | Self::FlippedBit | Self::ByteOrderMark | Self::StrayQuote => true,
            Self::Words
            | Self::Thousandfold
            | Self::OtherUnit
            | Self::ImpossibleDate
            | Self::UnknownCode
            | Self::DanglingId
            | Self::EmptyCell
            | Self::DroppedCell
            | Self::ExtraCell
            | Self::SwappedCells
            | Self::DoubledRow => false,
        }
    }

    /// The columns it may fall on, by table and meaning; none: every column of every table.
    fn columns(self) -> &'static [(TableKind, &'static str)] {
        use TableKind::{Diagnoses, Encounters, Labs, Patients, Vitals};
        match self {
            Self::Words => &[
                (Patients, "birth_date"),
                (Encounters, "admitted"),
                (Encounters, "bmi"),
                (Labs, "value"),
                (Labs, "taken"),
                (Vitals, "systolic"),
                (Diagnoses, "recorded"),
            ],
            Self::Thousandfold => &[(Labs, "value")],
            Self::OtherUnit => &[(Labs, "unit")],
            Self::ImpossibleDate => &[
                (Patients, "birth_date"),
                (Patients, "registered"),
                (Encounters, "admitted"),
                (Encounters, "discharged"),
                (Labs, "taken"),
                (Vitals, "taken"),
                (Diagnoses, "recorded"),
            ],
            Self::UnknownCode => &[
                (Patients, "sex"),
                (Patients, "language"),
                (Encounters, "type"),
                (Labs, "code"),
                (Diagnoses, "code"),
                (Diagnoses, "role"),
            ],
            Self::DanglingId => &[
                (Encounters, "patient"),
                (Labs, "patient"),
                (Labs, "encounter"),
                (Vitals, "patient"),
                (Vitals, "encounter"),
                (Diagnoses, "patient"),
                (Diagnoses, "encounter"),
            ],
            Self::EmptyCell
            | Self::DroppedCell
            | Self::ExtraCell
            | Self::SwappedCells
            | Self::DoubledRow
            | Self::CutLine
            | Self::FlippedBit
            | Self::ByteOrderMark
            | Self::StrayQuote => &[],
        }
    }
}

/// A file with one thing wrong. Prints without its bytes and its row's key.
#[derive(Clone, PartialEq, Eq)]
pub struct Corrupted {
    /// What is wrong.
    pub kind: Corruption,
    /// In which table's file.
    pub table: TableKind,
    /// In which line, from 1, which is the header.
    pub line: u64,
    /// In which column, by its header, where it is one cell that is wrong.
    pub column: Option<String>,
    /// The primary key of the row as it was; none for the header.
    pub key: Option<String>,
    /// The whole file.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Corrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Corrupted");
        shown.field("kind", &self.kind).field("table", &self.table).field("line", &self.line);
        shown.field("column", &self.column).finish_non_exhaustive()
    }
}

/// A site's five files in memory, with the places of their lines.
pub struct Files<'a> {
    site: &'a Site,
    files: BTreeMap<TableKind, (Vec<u8>, Vec<Range<usize>>)>,
}

impl fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("site", self.site).finish_non_exhaustive()
    }
}

impl<'a> Files<'a> {
    /// The files as the site first writes them.
    pub fn of(site: &'a Site) -> Self {
        let files = TableKind::ALL.map(|kind| {
            let bytes = site.table_bytes(kind);
            let lines = lines(&bytes, site.dialect.line_end.text().len());
            (kind, (bytes, lines))
        });
        Self { site, files: files.into() }
    }

    /// One file as it is.
    pub fn bytes(&self, kind: TableKind) -> &[u8] {
        &self.files[&kind].0
    }

    /// The corruption of this seed. The same seed gives the same bytes; seeds take the kinds in turn.
    pub fn corrupted(&self, seed: u64) -> Corrupted {
        let kind = Corruption::ALL[index(seed % Corruption::ALL.len() as u64)];
        let mut draws = Draws::new(self.site.seed(), Purpose::Corruption, self.site.number(), seed);
        let (table, meaning) = match kind.columns() {
            [] => (draws.pick(&TableKind::ALL), None),
            columns => {
                let (table, meaning) = draws.pick(columns);
                (table, Some(meaning))
            }
        };
        let (bytes, lines) = &self.files[&table];
        let header = kind.may_hit_header() && draws.chance(50);
        let line = if header { 0 } else { 1 + index(draws.below(lines.len() as u64 - 1)) };
        let span = lines[line].clone();
        let mut broken = Line::new(self.site, self.site.table(table), &bytes[span.clone()]);
        let key = (!header).then(|| broken.key());
        let place = meaning.and_then(|meaning| broken.table.position(meaning));
        let column = broken.corrupt(kind, place, &mut draws);
        let column = column.map(|place| broken.table.columns[place].name.clone());
        let bytes = [&bytes[..span.start], &broken.bytes, &bytes[span.end..]].concat();
        Corrupted { kind, table, line: line as u64 + 1, column, key, bytes }
    }
}

/// The places of the lines of a file, without their ends.
fn lines(bytes: &[u8], end: usize) -> Vec<Range<usize>> {
    let mut start = 0;
    let whole = bytes.split_inclusive(|byte| *byte == b'\n');
    whole
        .map(|line| {
            let span = start..start + line.len() - end;
            start += line.len();
            span
        })
        .collect()
}

/// One line without its end.
struct Line<'a> {
    site: &'a Site,
    table: SiteTable,
    bytes: Vec<u8>,
}

impl<'a> Line<'a> {
    fn new(site: &'a Site, table: SiteTable, bytes: &[u8]) -> Self {
        Self { site, table, bytes: bytes.to_vec() }
    }

    /// The line as text: the generator writes nothing else.
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("the generator writes UTF-8")
    }

    fn key(&self) -> String {
        self.site.dialect.read_line(self.text()).swap_remove(0)
    }

    /// Makes the line wrong; gives the place of the cell that is, where it is one.
    fn corrupt(&mut self, kind: Corruption, place: Option<usize>, draws: &mut Draws) -> Option<usize> {
        match kind {
            Corruption::Words => return Some(self.replace(place?, "see letter")),
            Corruption::Thousandfold => return Some(self.multiply(place?)),
            Corruption::OtherUnit => return Some(self.replace(place?, "mm[Hg]")),
            Corruption::ImpossibleDate => return Some(self.replace(place?, &self.impossible_date(place?))),
            Corruption::UnknownCode => return Some(self.replace(place?, "QQ-0000")),
            Corruption::DanglingId => return Some(self.replace(place?, "999999999999")),
            Corruption::EmptyCell => return self.empty(draws),
            Corruption::DroppedCell => return Some(self.drop_cell(draws)),
            Corruption::SwappedCells => self.swap(draws),
            Corruption::ExtraCell => {
                self.bytes.extend_from_slice(format!("{}extra", self.site.dialect.delimiter).as_bytes());
            }
            Corruption::DoubledRow => {
                let again = [self.site.dialect.line_end.text().as_bytes(), &self.bytes].concat();
                self.bytes.extend(again);
            }
            Corruption::CutLine => self.bytes.truncate(self.boundary(draws, self.bytes.len())),
            Corruption::FlippedBit => {
                let at = index(draws.below(self.bytes.len() as u64));
                self.bytes[at] ^= 1 << draws.below(8);
            }
            Corruption::ByteOrderMark => drop(self.bytes.splice(0..0, "\u{feff}".bytes())),
            Corruption::StrayQuote => self.bytes.insert(self.boundary(draws, self.bytes.len() + 1), b'"'),
        }
        None
    }

    /// Where each cell stands, quotation marks included.
    fn cells(&self) -> Vec<Range<usize>> {
        let (mut cells, mut start, mut quoted) = (Vec::new(), 0, false);
        for (at, character) in self.text().char_indices() {
            if character == '"' {
                quoted = !quoted;
            } else if character == self.site.dialect.delimiter && !quoted {
                cells.push(start..at);
                start = at + 1;
            }
        }
        cells.push(start..self.bytes.len());
        cells
    }

    fn replace(&mut self, place: usize, text: &str) -> usize {
        let mut cell = String::new();
        self.site.dialect.write_cell(text, &mut cell);
        let span = self.cells().swap_remove(place);
        self.bytes.splice(span, cell.into_bytes());
        place
    }

    /// Three digits more before the point.
    fn multiply(&mut self, place: usize) -> usize {
        let cells = self.site.dialect.read_line(self.text());
        let decimal = self.site.dialect.decimal;
        let (whole, fraction) = cells[place].split_once(decimal).unwrap_or((&cells[place], ""));
        let text = format!("{whole}{fraction:0<3}");
        self.replace(place, &text)
    }

    /// The 45th of a thirteenth month.
    fn impossible_date(&self, place: usize) -> String {
        let civil = Civil { year: 2023, month: 13, day: 45 };
        let style = self.site.dialect.date;
        match self.table.columns[place].meaning.as_str() {
            "admitted" | "discharged" | "taken" => write_minute(style, civil, 600),
            _ => write_day(style, civil),
        }
    }

    /// Empties the first cell, from a drawn one on, that is not empty.
    fn empty(&mut self, draws: &mut Draws) -> Option<usize> {
        let cells = self.cells();
        let first = index(draws.below(cells.len() as u64));
        let places = (0..cells.len()).map(|step| (first + step) % cells.len());
        let place = places.into_iter().find(|place| !matches!(&self.text()[cells[*place].clone()], "" | "\"\""))?;
        Some(self.replace(place, ""))
    }

    fn drop_cell(&mut self, draws: &mut Draws) -> usize {
        let cells = self.cells();
        let place = index(draws.below(cells.len() as u64));
        let span = cells[place].clone();
        // With the delimiter behind it, or, for the last cell, the one before it.
        let span = if place + 1 < cells.len() { span.start..span.end + 1 } else { span.start - 1..span.end };
        self.bytes.drain(span);
        place
    }

    /// Exchanges a drawn cell with the next one that says something else.
    fn swap(&mut self, draws: &mut Draws) {
        let spans = self.cells();
        let mut cells: Vec<String> = spans.iter().map(|span| self.text()[span.clone()].to_owned()).collect();
        let first = index(draws.below(cells.len() as u64));
        let other =
            (1..cells.len()).map(|step| (first + step) % cells.len()).find(|place| cells[*place] != cells[first]);
        if let Some(other) = other {
            cells.swap(first, other);
        }
        let delimiter = self.site.dialect.delimiter.to_string();
        self.bytes = cells.join(&delimiter).into_bytes();
    }

    /// A place below `end` that is not within a character.
    fn boundary(&self, draws: &mut Draws, end: usize) -> usize {
        let at_most = index(draws.below(end as u64));
        (0..=at_most).rev().find(|at| self.text().is_char_boundary(*at)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::hospital::{Plan, generate};

    /// One seed after another, over all sites.
    const SEEDS: u64 = 1_500;

    fn sites() -> Vec<Site> {
        generate(&Plan { rows_per_site: 60, ..Plan::default() }).unwrap().sites
    }

    /// The line's bytes before and after; everything around them is the same.
    fn changed<'f>(files: &'f Files<'_>, broken: &'f Corrupted) -> (&'f [u8], &'f [u8]) {
        let (bytes, lines) = &files.files[&broken.table];
        let span = lines[usize::try_from(broken.line).unwrap() - 1].clone();
        let after = broken.bytes.len() - (bytes.len() - span.end);
        assert!(bytes[..span.start] == broken.bytes[..span.start], "{broken:?}: what stands before is as it was");
        assert!(bytes[span.end..] == broken.bytes[after..], "{broken:?}: what stands behind is as it was");
        (&bytes[span.clone()], &broken.bytes[span.start..after])
    }

    fn cells(site: &Site, line: &[u8]) -> Vec<String> {
        site.dialect.read_line(std::str::from_utf8(line).unwrap())
    }

    #[test]
    fn every_seed_changes_one_line_and_nothing_else() {
        for site in sites() {
            let files = Files::of(&site);
            let mut hit = BTreeSet::new();
            for seed in 0..SEEDS {
                let broken = files.corrupted(seed);
                let (before, after) = changed(&files, &broken);
                assert!(before != after, "{broken:?}");
                assert_eq!(broken.key.is_none(), broken.line == 1, "{broken:?}");
                hit.insert((broken.kind, broken.line == 1));
            }
            assert_eq!(hit.len(), Corruption::ALL.len() + 4, "all kinds, and four of them on a header too");
        }
    }

    #[test]
    fn a_wrong_cell_stands_in_the_column_that_is_named() {
        for site in sites() {
            let files = Files::of(&site);
            for seed in 0..SEEDS {
                let broken = files.corrupted(seed);
                let Some(column) = &broken.column else { continue };
                let table = site.table(broken.table);
                let place = table.columns.iter().position(|one| &one.name == column).unwrap();
                let (before, after) = changed(&files, &broken);
                let (mut before, mut after) = (cells(&site, before), cells(&site, after));
                assert_eq!(before[0], broken.key.clone().unwrap());
                if broken.kind == Corruption::DroppedCell {
                    before.remove(place);
                } else {
                    assert_ne!(before.remove(place), after.remove(place), "{broken:?}");
                }
                assert_eq!(before, after, "{broken:?}");
            }
        }
    }

    #[test]
    fn each_kind_does_what_it_says() {
        for site in sites() {
            let files = Files::of(&site);
            for seed in 0..SEEDS {
                let broken = files.corrupted(seed);
                let (before, after) = changed(&files, &broken);
                match broken.kind {
                    Corruption::Thousandfold => {
                        let column = broken.column.as_ref().unwrap();
                        let place =
                            site.table(broken.table).columns.iter().position(|one| &one.name == column).unwrap();
                        let number = |line| cells(&site, line)[place].replace(',', ".").parse::<f64>().unwrap();
                        assert!((number(after) - number(before) * 1000.0).abs() < 1e-6 * number(after), "{broken:?}");
                    }
                    Corruption::EmptyCell => {
                        let column = broken.column.as_ref().unwrap();
                        let place =
                            site.table(broken.table).columns.iter().position(|one| &one.name == column).unwrap();
                        assert_eq!(cells(&site, after)[place], "");
                    }
                    Corruption::DroppedCell => assert_eq!(cells(&site, after).len() + 1, cells(&site, before).len()),
                    Corruption::ExtraCell => assert_eq!(cells(&site, after).len(), cells(&site, before).len() + 1),
                    Corruption::SwappedCells => {
                        let sorted = |line| {
                            let mut cells = cells(&site, line);
                            cells.sort();
                            cells
                        };
                        assert_eq!(sorted(before), sorted(after));
                    }
                    Corruption::DoubledRow => {
                        let end = site.dialect.line_end.text().as_bytes();
                        assert!(after == [before, end, before].concat());
                    }
                    Corruption::CutLine => assert!(before.starts_with(after) && after.len() < before.len()),
                    Corruption::FlippedBit => {
                        let differ = |(a, b): (&u8, &u8)| (a ^ b).count_ones();
                        assert_eq!(before.iter().zip(after).map(differ).sum::<u32>(), 1);
                    }
                    Corruption::ByteOrderMark => assert!(after == [b"\xef\xbb\xbf", before].concat()),
                    Corruption::StrayQuote => {
                        let quotes = |line: &[u8]| line.split(|byte| *byte == b'"').count();
                        assert_eq!((quotes(after), after.len()), (quotes(before) + 1, before.len() + 1));
                    }
                    Corruption::Words
                    | Corruption::OtherUnit
                    | Corruption::ImpossibleDate
                    | Corruption::UnknownCode
                    | Corruption::DanglingId => assert!(broken.column.is_some()),
                }
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_bytes_again_and_a_site_its_own() {
        let sites = sites();
        let [one, other] = [&sites[0], &sites[1]].map(Files::of);
        assert_eq!(one.corrupted(77), one.corrupted(77));
        assert_ne!(one.corrupted(77).line, other.corrupted(77).line);
        let lines: BTreeSet<u64> = (0..SEEDS).map(|seed| one.corrupted(seed).line).collect();
        assert!(lines.len() > 100, "seeds fall on many lines: {}", lines.len());
    }
}
