//! What a hospital owes to the common schema: how many facts are due in each table, and which of them its dirty cells
//! cost. Counted from the rows and from what the generator knows of them; no mapping is read here, so that a mapping's
//! account can be held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::column::TableKind;
use super::site::{Dirt, Site, SiteTable};

/// A visit without illness, in ICD-10 and ICD-9-CM: an observation of the common schema, not a condition.
const ROUTINE: [&str; 2] = ["Z00.00", "V70.0"];
/// The measurements in one row of vital signs, one fact each where the cell is not missing.
const SIGNS: [&str; 6] = ["heart_rate", "systolic", "diastolic", "temperature", "saturation", "respiration"];
/// The column of every table that refers to a visit.
const VISIT: &str = "visit_occurrence_id";

/// Why a fact cannot be emitted, in the words of a quarantine table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// No day of the calendar.
    Cast,
    /// A code that no list has.
    Code,
    /// No unit, or one that is none.
    Unit,
    /// It refers to a visit that is not there, or is itself lost.
    Reference,
}

impl Loss {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cast => "cast",
            Self::Code => "code",
            Self::Unit => "unit",
            Self::Reference => "reference",
        }
    }
}

/// The facts that a hospital's files make due, by table of the common schema (OMOP CDM 5.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// All of them, by table.
    pub facts: BTreeMap<&'static str, u64>,
    /// Those that are lost, by table, column and reason. A visit that is lost takes with it what refers to it.
    pub lost: BTreeMap<(&'static str, &'static str, Loss), u64>,
}

impl Due {
    /// The facts of a table that are lost, for whatever reason.
    pub fn lost_of(&self, table: &str) -> u64 {
        self.lost.iter().filter(|((name, ..), _)| *name == table).map(|(_, count)| count).sum()
    }

    /// The facts of a table that a mapping must emit.
    pub fn kept_of(&self, table: &str) -> u64 {
        self.facts.get(table).copied().unwrap_or(0) - self.lost_of(table)
    }
}

impl Site {
    /// What the files as first written owe.
    pub fn due(&self) -> Due {
        let mut tally = Tally::new(self);
        for table in &self.tables() {
            for row in self.rows(table.kind) {
                tally.take(table, &row.cells().collect::<Vec<_>>());
            }
        }
        tally.due
    }

    /// What the files in `dir` owe, which `write_to` wrote and days of change may have changed: what comes with a day is
    /// clean, and no dirty cell goes.
    ///
    /// # Errors
    /// The first fault of the file system.
    pub fn due_in(&self, dir: &Path) -> io::Result<Due> {
        let mut tally = Tally::new(self);
        for table in &self.tables() {
            for line in BufReader::new(File::open(dir.join(table.file_name))?).lines().skip(1) {
                let cells = self.dialect.read_line(line?.trim_end_matches('\r'));
                tally.take(table, &cells.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
        Ok(tally.due)
    }
}

/// A count over rows, those of encounters before those that refer to them.
struct Tally<'a> {
    site: &'a Site,
    dirt: BTreeMap<(TableKind, String), Dirt>,
    /// Encounters whose visit is lost.
    without_visit: BTreeSet<String>,
    due: Due,
}

/// A fact that a row makes due, and where dirt in the row shows in it.
#[derive(Clone, Copy)]
struct Fact {
    table: &'static str,
    /// Where a bad date shows.
    date: Option<&'static str>,
    /// Where an unknown code shows.
    code: Option<&'static str>,
}

const PERSON: Fact = Fact { table: "person", date: None, code: None };
const PERIOD: Fact = Fact { table: "observation_period", date: Some("observation_period_start_date"), code: None };
const LANGUAGE: Fact = Fact { table: "observation", date: Some("observation_date"), code: Some("value_as_concept_id") };
const ENCOUNTER: Fact =
    Fact { table: "visit_occurrence", date: Some("visit_start_date"), code: Some("visit_concept_id") };
const LAB: Fact = Fact { table: "measurement", date: Some("measurement_date"), code: Some("measurement_concept_id") };
/// A measured value whose concept does not come from a cell of its row.
const SIGN: Fact = Fact { code: None, ..LAB };
const CHECK_UP: Fact = Fact { table: "observation", date: Some("observation_date"), code: None };
const CONDITION: Fact =
    Fact { table: "condition_occurrence", date: Some("condition_start_date"), code: Some("condition_concept_id") };

impl<'a> Tally<'a> {
    fn new(site: &'a Site) -> Self {
        let dirt = site.dirty_cells().map(|cell| ((cell.table, cell.key), cell.dirt)).collect();
        Self { site, dirt, without_visit: BTreeSet::new(), due: Due::default() }
    }

    /// Counts the facts of one row.
    fn take(&mut self, table: &SiteTable, cells: &[&str]) {
        let cell = |meaning| table.position(meaning).and_then(|place| cells.get(place)).copied().unwrap_or_default();
        let key = cells.first().copied().unwrap_or_default();
        let dirt = self.dirt.get(&(table.kind, key.to_owned())).copied();
        match table.kind {
            TableKind::Patients => {
                for fact in [PERSON, PERIOD, LANGUAGE] {
                    self.count(fact, dirt, None);
                }
            }
            TableKind::Encounters => {
                if self.count(ENCOUNTER, dirt, None) {
                    self.without_visit.insert(key.to_owned());
                }
                self.count(SIGN, dirt, Some(key));
            }
            TableKind::Labs => {
                self.count(LAB, dirt, Some(cell("encounter")));
            }
            TableKind::Vitals => {
                let missing = self.site.dialect.missing;
                for _ in SIGNS.iter().filter(|sign| cell(sign) != missing) {
                    self.count(SIGN, dirt, Some(cell("encounter")));
                }
            }
            TableKind::Diagnoses => {
                let fact = if ROUTINE.contains(&cell("code")) { CHECK_UP } else { CONDITION };
                self.count(fact, dirt, Some(cell("encounter")));
            }
        }
    }

    /// Counts one fact; tells whether it is lost. What is wrong with it comes before what is wrong with its visit.
    fn count(&mut self, fact: Fact, dirt: Option<Dirt>, encounter: Option<&str>) -> bool {
        *self.due.facts.entry(fact.table).or_default() += 1;
        let own = match dirt {
            Some(Dirt::BadDate) => fact.date.map(|column| (column, Loss::Cast)),
            Some(Dirt::UnknownCode) => fact.code.map(|column| (column, Loss::Code)),
            Some(Dirt::UnitMissing | Dirt::UnknownUnit) => Some(("value_as_number", Loss::Unit)),
            Some(Dirt::DanglingReference) => Some((VISIT, Loss::Reference)),
            None => None,
        };
        let visit_lost = encounter.is_some_and(|encounter| self.without_visit.contains(encounter));
        let Some((column, loss)) = own.or_else(|| visit_lost.then_some((VISIT, Loss::Reference))) else { return false };
        *self.due.lost.entry((fact.table, column, loss)).or_default() += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hospital::{Plan, generate};

    fn sites() -> Vec<Site> {
        generate(&Plan { rows_per_site: 300, dirty_per_mille: 40, ..Plan::default() }).unwrap().sites
    }

    /// Rows of a table of one site, as its writer made them.
    fn rows(site: &Site, kind: TableKind) -> u64 {
        site.rows(kind).count() as u64
    }

    #[test]
    fn every_row_makes_the_facts_due_that_its_table_stands_for() {
        for site in sites() {
            let due = site.due();
            assert_eq!(due.facts["person"], site.patients());
            assert_eq!(due.facts["observation_period"], site.patients());
            assert_eq!(due.facts["visit_occurrence"], site.encounters());
            let check_ups = due.facts["observation"] - site.patients();
            assert!(check_ups > 10, "{}", site.name);
            assert_eq!(due.facts["condition_occurrence"] + check_ups, rows(&site, TableKind::Diagnoses));
            let signs = due.facts["measurement"] - site.encounters() - rows(&site, TableKind::Labs);
            let cells = 6 * rows(&site, TableKind::Vitals);
            assert!(signs < cells && signs > cells * 9 / 10, "a missing cell is no fact: {signs} of {cells}");
        }
    }

    #[test]
    fn every_dirty_cell_costs_what_it_stands_in_and_a_lost_visit_what_refers_to_it() {
        for site in sites() {
            let due = site.due();
            let planted = site.dirty_counts();
            let direct = [
                ("observation_period", "observation_period_start_date", Loss::Cast, ("registered", Dirt::BadDate)),
                ("observation", "value_as_concept_id", Loss::Code, ("language", Dirt::UnknownCode)),
                ("visit_occurrence", "visit_start_date", Loss::Cast, ("admitted", Dirt::BadDate)),
                ("visit_occurrence", "visit_concept_id", Loss::Code, ("type", Dirt::UnknownCode)),
            ];
            for (table, column, loss, (meaning, dirt)) in direct {
                let kind = if table.starts_with("visit") { TableKind::Encounters } else { TableKind::Patients };
                assert_eq!(due.lost[&(table, column, loss)], planted[&(kind, meaning, dirt)], "{} {column}", site.name);
            }
            let units: u64 = [Dirt::UnitMissing, Dirt::UnknownUnit]
                .map(|dirt| planted[&(TableKind::Labs, "unit", dirt)])
                .iter()
                .sum();
            assert_eq!(due.lost[&("measurement", "value_as_number", Loss::Unit)], units);
            let dangling = planted[&(TableKind::Diagnoses, "encounter", Dirt::DanglingReference)];
            assert!(due.lost[&("condition_occurrence", VISIT, Loss::Reference)] > dangling, "lost visits come on top");
            assert_eq!(due.lost_of("person"), 0);
        }
    }

    #[test]
    fn facts_of_a_lost_visit_are_counted_as_its_rows_are() {
        let site = &sites()[3];
        let lost: BTreeSet<String> =
            site.dirty_cells().filter(|cell| cell.table == TableKind::Encounters).map(|cell| cell.key).collect();
        let table = site.table(TableKind::Labs);
        let place = table.position("encounter").unwrap();
        let dirty: BTreeSet<String> =
            site.dirty_cells().filter(|cell| cell.table == TableKind::Labs).map(|cell| cell.key).collect();
        let labs = site.rows(TableKind::Labs).filter(|row| {
            let cells: Vec<&str> = row.cells().collect();
            lost.contains(cells[place]) && !dirty.contains(cells[0])
        });
        let labs = labs.count() as u64;
        let of_all = site.due().lost[&("measurement", VISIT, Loss::Reference)];
        assert!(labs > 0 && of_all > labs, "vital signs come on top: {of_all} {labs}");
    }

    #[test]
    fn written_files_owe_the_same_and_a_day_of_change_only_adds_clean_facts() {
        for site in sites() {
            let dir = tempfile::tempdir().unwrap();
            site.write_to(dir.path()).unwrap();
            let due = site.due();
            assert_eq!(site.due_in(dir.path()).unwrap(), due, "{}", site.name);
            site.mutate(dir.path(), 5, 10).unwrap();
            let later = site.due_in(dir.path()).unwrap();
            assert!(later.kept_of("visit_occurrence") > due.kept_of("visit_occurrence"));
            for table in ["person", "observation_period", "visit_occurrence"] {
                assert_eq!(later.lost_of(table), due.lost_of(table), "{} {table}", site.name);
            }
        }
    }
}
