//! A day of change: rewrites a site's files with some rows changed, added and deleted, and counts exactly what it did.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::calendar::{Day, new_year};
use super::clinic::Encounter;
use super::column::TableKind;
use super::person::AGE_YEAR;
use super::random::{Draws, Permutation, Purpose};
use super::row::{Row, patient_row, rows_of};
use super::site::Site;

/// What a day of change did to one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TableChange {
    /// Rows before.
    pub before: u64,
    /// Rows that are still there with another cell.
    pub changed: u64,
    /// Rows with a new primary key, at the end of the file.
    pub added: u64,
    /// Rows that are gone.
    pub deleted: u64,
    /// Rows after: `before + added - deleted`.
    pub after: u64,
}

/// What a day of change did.
pub type DayOfChange = BTreeMap<TableKind, TableChange>;

/// Which rows of a table change. Rows that are first of their encounter, patients and encounters are never deleted, so
/// that every reference still resolves and every dirty cell stays.
struct Choice {
    delete: Permutation,
    deleted: u64,
    change: Permutation,
    changed: u64,
}

/// Patients and encounters of the day.
struct Arrivals {
    first_patient: u64,
    patients: u64,
    encounters: Vec<Encounter>,
}

impl Site {
    /// Applies a day of change to the five files that `write_to` (or an earlier day) left in `dir`.
    ///
    /// Of each table `percent` of the rows not deleted get another value in one cell (postcode, department, laboratory
    /// value, heart rate, recorder). A tenth of `percent` of the patients and of the encounters, at least one each, is
    /// added, with laboratory values, vital signs and diagnoses. A tenth of `percent` of the rows of those last three
    /// tables is deleted. Shares are rounded down; the counts returned are exact. The same seed on the same files gives
    /// the same bytes. Each file is replaced by renaming a finished one.
    ///
    /// # Errors
    /// The first fault of the file system, and `InvalidData` for a file that this site did not write; tables before it are
    /// changed.
    pub fn mutate(&self, dir: &Path, seed: u64, percent: u32) -> io::Result<DayOfChange> {
        let percent = u64::from(percent.min(100));
        let patients = count(dir, TableKind::Patients)?.0;
        let encounters = count(dir, TableKind::Encounters)?.0;
        let arrivals = self.arrivals(seed, percent, patients, encounters);
        TableKind::ALL
            .into_iter()
            .map(|kind| Ok((kind, self.change_table(dir, kind, seed, percent, &arrivals)?)))
            .collect()
    }

    fn arrivals(&self, seed: u64, percent: u64, patients: u64, encounters: u64) -> Arrivals {
        let some = |rows: u64| if percent == 0 { 0 } else { (rows * percent / 1000).max(1) };
        let new_patients = some(patients);
        let new_encounters = some(encounters).max(new_patients);
        let mut draws = Draws::new(seed ^ self.seed(), Purpose::Change, self.number(), 0);
        let encounter = |at: u64| {
            let slot = if at < new_patients { patients + at } else { draws.below(patients) };
            let admitted = Day(new_year(AGE_YEAR + 4).0 + draws.between(0, 27)).at_some_minute(&mut draws);
            Encounter::draw(&mut draws, encounters + at, slot, &self.patient(slot), admitted)
        };
        Arrivals {
            first_patient: patients,
            patients: new_patients,
            encounters: (0..new_encounters).map(encounter).collect(),
        }
    }

    fn change_table(
        &self,
        dir: &Path,
        kind: TableKind,
        seed: u64,
        percent: u64,
        arrivals: &Arrivals,
    ) -> io::Result<TableChange> {
        let (before, deletable) = count(dir, kind)?;
        let deleted = (before * percent / 1000).min(deletable);
        let kept = before - deleted;
        let place = 1_000 + self.number();
        let choice = Choice {
            delete: Permutation::new(seed ^ self.seed(), place, kind as u64, deletable),
            deleted,
            change: Permutation::new(seed ^ self.seed(), place, 10 + kind as u64, kept),
            changed: kept * percent / 100,
        };
        let path = dir.join(kind.file_name());
        let unfinished = path.with_extension("unfinished");
        let mut out = BufWriter::with_capacity(1 << 18, File::create(&unfinished)?);
        self.rewrite(&path, kind, &choice, &mut out)?;
        let added = self.append(kind, arrivals, &mut out)?;
        out.flush()?;
        drop(out);
        fs::rename(unfinished, path)?;
        Ok(TableChange { before, changed: choice.changed, added, deleted, after: kept + added })
    }

    fn rewrite(&self, path: &Path, kind: TableKind, choice: &Choice, out: &mut impl Write) -> io::Result<()> {
        let column = self.table(kind).position(kind.changing()).expect("every table has its changing column");
        let mut source = BufReader::with_capacity(1 << 18, File::open(path)?);
        let (mut line, mut changed_line) = (String::new(), String::new());
        source.read_line(&mut line)?;
        out.write_all(line.as_bytes())?;
        let (mut deletable, mut kept) = (0, 0);
        while next_line(&mut source, &mut line)? {
            if may_go(kind, &line) {
                deletable += 1;
                if choice.delete.forward(deletable - 1) < choice.deleted {
                    continue;
                }
            }
            kept += 1;
            if choice.change.forward(kept - 1) < choice.changed {
                changed_line.clear();
                self.turn_digit(&line, column, &mut changed_line)?;
                out.write_all(changed_line.as_bytes())?;
            } else {
                out.write_all(line.as_bytes())?;
            }
        }
        Ok(())
    }

    fn turn_digit(&self, line: &str, column: usize, out: &mut String) -> io::Result<()> {
        let mut cells = self.dialect.read_line(line.trim_end_matches(['\r', '\n']));
        let turned = cells.get_mut(column).and_then(turn_last_digit);
        turned.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a cell to change does not end in a digit"))?;
        self.dialect.write_line(cells.iter().map(String::as_str), out);
        Ok(())
    }

    /// Writes the day's rows, one patient or encounter at a time.
    fn append(&self, kind: TableKind, arrivals: &Arrivals, out: &mut impl Write) -> io::Result<u64> {
        let mut rows: VecDeque<Row> = VecDeque::new();
        let mut added = 0;
        if kind == TableKind::Patients {
            for slot in arrivals.first_patient..arrivals.first_patient + arrivals.patients {
                rows.push_back(patient_row(self, slot));
                added += self.write_rows(&mut rows, out)?;
            }
            return Ok(added);
        }
        for encounter in &arrivals.encounters {
            rows_of(self, kind, encounter, &mut rows);
            added += self.write_rows(&mut rows, out)?;
        }
        Ok(added)
    }

    fn write_rows(&self, rows: &mut VecDeque<Row>, out: &mut impl Write) -> io::Result<u64> {
        let mut line = String::new();
        let count = rows.len() as u64;
        for row in rows.drain(..) {
            line.clear();
            self.dialect.write_line(row.cells(), &mut line);
            out.write_all(line.as_bytes())?;
        }
        Ok(count)
    }
}

fn turn_last_digit(cell: &mut String) -> Option<()> {
    let digit = cell.pop()?.to_digit(10)?;
    cell.push(char::from_digit((digit + 1) % 10, 10)?);
    Some(())
}

/// Rows of a file, and how many of them a day may delete.
fn count(dir: &Path, kind: TableKind) -> io::Result<(u64, u64)> {
    let mut source = BufReader::with_capacity(1 << 18, File::open(dir.join(kind.file_name()))?);
    let mut line = String::new();
    source.read_line(&mut line)?;
    let (mut rows, mut deletable) = (0, 0);
    while next_line(&mut source, &mut line)? {
        rows += 1;
        deletable += u64::from(may_go(kind, &line));
    }
    Ok((rows, deletable))
}

fn next_line(source: &mut impl BufRead, line: &mut String) -> io::Result<bool> {
    line.clear();
    Ok(source.read_line(line)? > 0)
}

/// A laboratory value, set of vital signs or diagnosis that is not the first of its encounter. Its key, the first cell,
/// ends in `-` and a number.
fn may_go(kind: TableKind, line: &str) -> bool {
    match kind {
        TableKind::Patients | TableKind::Encounters => false,
        TableKind::Labs | TableKind::Vitals | TableKind::Diagnoses => {
            let key = line.split([',', ';', '\t']).next().unwrap_or_default().trim_matches('"');
            key.rsplit_once('-').is_some_and(|(_, number)| number.parse::<u64>().is_ok_and(|n| n > 1))
        }
    }
}
