//! One hospital: its patients and its dialect.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::column::{Column, TableKind};
use super::dialect::Dialect;
use super::person::{Fault, Person};
use super::random::{Permutation, index, mix};
use super::world::World;
use super::{PlanError, ROWS_PER_SITE};

const TITLES: [&str; 12] = [
    "St Brigid General Hospital",
    "Klinikum Lindenau",
    "Northgate Medical Center",
    "Havenport University Hospital",
    "Hôpital des Tilleuls",
    "Elmwood Children and Family Clinic",
    "Bergheim Regional Hospital",
    "Riverside Heart and Lung Institute",
    "Saint Anselm Infirmary",
    "Westmoor District Hospital",
    "Clínica Santa Aurora",
    "Kronberg Geriatric Centre",
];

/// What is wrong with a dirty cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dirt {
    /// 31 February, in the site's date style.
    BadDate,
    /// The unit of a laboratory value is missing.
    UnitMissing,
    /// A unit that is none.
    UnknownUnit,
    /// A code that no list has.
    UnknownCode,
    /// The number of an encounter that the site never had.
    DanglingReference,
}

impl Dirt {
    /// Name in the truth file.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadDate => "bad-date",
            Self::UnitMissing => "unit-missing",
            Self::UnknownUnit => "unknown-unit",
            Self::UnknownCode => "unknown-code",
            Self::DanglingReference => "dangling-reference",
        }
    }
}

/// One cell that a quality gate has to find. Prints without its row's key.
#[derive(Clone, PartialEq, Eq)]
pub struct DirtyCell {
    /// Its table.
    pub table: TableKind,
    /// The primary key of its row.
    pub key: String,
    /// The meaning of its column.
    pub column: &'static str,
    /// What is wrong.
    pub dirt: Dirt,
}

impl fmt::Debug for DirtyCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cell = f.debug_struct("DirtyCell");
        cell.field("table", &self.table).field("column", &self.column).field("dirt", &self.dirt).finish_non_exhaustive()
    }
}

/// The kinds of dirt of a table, with the meaning of the column each falls on. They are dealt out in turn.
pub(super) fn dirt_of(table: TableKind) -> &'static [(Dirt, &'static str)] {
    match table {
        TableKind::Patients => &[(Dirt::BadDate, "registered"), (Dirt::UnknownCode, "language")],
        TableKind::Encounters => &[(Dirt::BadDate, "admitted"), (Dirt::UnknownCode, "type")],
        TableKind::Labs => &[
            (Dirt::UnitMissing, "unit"),
            (Dirt::UnknownUnit, "unit"),
            (Dirt::UnknownCode, "code"),
            (Dirt::BadDate, "taken"),
        ],
        TableKind::Vitals => &[(Dirt::BadDate, "taken")],
        TableKind::Diagnoses => {
            &[(Dirt::UnknownCode, "code"), (Dirt::BadDate, "recorded"), (Dirt::DanglingReference, "encounter")]
        }
    }
}

/// A table of a site: what its file is called and what its columns are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SiteTable {
    /// Which table.
    pub kind: TableKind,
    /// Name of its file.
    pub file_name: &'static str,
    /// In the order of the file.
    pub columns: Vec<Column>,
}

impl SiteTable {
    /// Header of the primary key, which stands first in every table.
    pub fn primary_key(&self) -> &str {
        &self.columns[0].name
    }

    /// Place of the column with this meaning.
    pub fn position(&self, meaning: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.meaning == meaning)
    }
}

/// A generated hospital.
#[derive(Clone)]
pub struct Site {
    number: u64,
    /// For machines: `site-01` and so on, sorted as numbered.
    pub name: String,
    /// For people.
    pub title: String,
    /// How it writes.
    pub dialect: Dialect,
    world: World,
    visitors: Arc<[u64]>,
    order: Permutation,
    dirt: [Permutation; 5],
    weight_total: u64,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("name", &self.name).field("patients", &self.patients()).finish_non_exhaustive()
    }
}

impl Site {
    pub(super) fn new(world: &World, number: u64, visitors: Vec<u64>) -> Result<Self, PlanError> {
        let plan = world.plan;
        let patients = plan.home_patients() + visitors.len() as u64;
        if patients > plan.rows_per_site {
            return Err(PlanError::MoreVisitorsThanRows { site: number });
        }
        let place = number + 1;
        let dirt = TableKind::ALL.map(|table| {
            let subjects = if table == TableKind::Patients { patients } else { plan.rows_per_site };
            Permutation::new(plan.seed, place, 10 + table as u64, subjects)
        });
        let title = TITLES.get(index(number)).map_or_else(|| format!("Hospital {place}"), |title| (*title).to_owned());
        let mut site = Self {
            number,
            name: format!("site-{place:02}"),
            title,
            dialect: Dialect::of_site(number),
            world: world.clone(),
            visitors: visitors.into(),
            order: Permutation::new(plan.seed, place, 0, patients),
            dirt,
            weight_total: 0,
        };
        site.weight_total = (0..patients).map(|slot| site.weight(slot)).sum();
        Ok(site)
    }

    /// Rows of `patients.csv` as first written.
    pub fn patients(&self) -> u64 {
        self.world.plan.home_patients() + self.visitors.len() as u64
    }

    /// Rows of `encounters.csv` as first written.
    pub fn encounters(&self) -> u64 {
        self.world.plan.rows_per_site
    }

    /// The five tables, referenced ones first.
    pub fn tables(&self) -> [SiteTable; 5] {
        TableKind::ALL.map(|kind| self.table(kind))
    }

    /// One table's description.
    pub fn table(&self, kind: TableKind) -> SiteTable {
        let columns = kind.columns(self.dialect.number, self.dialect.notes);
        SiteTable { kind, file_name: kind.file_name(), columns }
    }

    /// Strings that must never leave this site: for each of its first `patients` patients the token that stands in
    /// insurance number, street, e-mail and note, then the telephone number. Pass `self.patients()` for the files as
    /// first written, or the rows of `patients.csv` after days of change.
    pub fn canaries_of(&self, patients: u64) -> impl Iterator<Item = String> + '_ {
        (0..patients).flat_map(|slot| [self.token(slot), self.phone(slot)])
    }

    /// `canaries_of` the files as first written.
    pub fn canaries(&self) -> impl Iterator<Item = String> + '_ {
        self.canaries_of(self.patients())
    }

    /// The cells that are dirty, in every table. A day of change neither adds nor removes one.
    pub fn dirty_cells(&self) -> impl Iterator<Item = DirtyCell> + '_ {
        TableKind::ALL.into_iter().flat_map(move |table| {
            let permutation = &self.dirt[table as usize];
            (0..self.dirty_subjects(table)).map(move |rank| {
                let subject = permutation.backward(rank);
                let kinds = dirt_of(table);
                let (dirt, column) = kinds[index(rank % kinds.len() as u64)];
                DirtyCell { table, key: self.first_key(table, subject), column, dirt }
            })
        })
    }

    /// How many cells are dirty, by table, meaning of the column and kind.
    pub fn dirty_counts(&self) -> BTreeMap<(TableKind, &'static str, Dirt), u64> {
        let mut counts = BTreeMap::new();
        for cell in self.dirty_cells() {
            *counts.entry((cell.table, cell.column, cell.dirt)).or_default() += 1;
        }
        counts
    }

    /// How many cells of a table are dirty: the stated share of patients (in `patients.csv`) or of encounters.
    pub fn dirty_subjects(&self, table: TableKind) -> u64 {
        let subjects = if table == TableKind::Patients { self.patients() } else { self.encounters() };
        subjects * self.world.plan.dirty_per_mille / 1000
    }

    /// The dirt in the first row that this patient or encounter has in this table.
    pub(super) fn dirt(&self, table: TableKind, subject: u64) -> Option<Dirt> {
        let subjects = if table == TableKind::Patients { self.patients() } else { self.encounters() };
        // What a day of change adds is clean, so that the counts stay as stated.
        let rank = (subject < subjects).then(|| self.dirt[table as usize].forward(subject))?;
        let kinds = dirt_of(table);
        (rank < self.dirty_subjects(table)).then(|| kinds[index(rank % kinds.len() as u64)].0)
    }

    fn first_key(&self, table: TableKind, subject: u64) -> String {
        match table {
            TableKind::Patients => self.patient_key(subject),
            TableKind::Encounters => self.encounter_key(subject),
            TableKind::Labs | TableKind::Vitals | TableKind::Diagnoses => format!("{}-1", self.encounter_key(subject)),
        }
    }

    /// Sites number their patients alike, so the same number means somebody else elsewhere.
    pub(super) fn patient_key(&self, slot: u64) -> String {
        format!("{}{:08}", ["P", "4", "", "pat-", "X"][self.dialect.number], slot + 1)
    }

    pub(super) fn encounter_key(&self, number: u64) -> String {
        format!("{}{:08}", ["E", "7", "9", "enc-", "F"][self.dialect.number], number + 1)
    }

    /// A key like those of encounters that none of them has, whatever a day of change adds.
    pub(super) fn no_encounter_key(&self, number: u64) -> String {
        self.encounter_key(10 * ROWS_PER_SITE[1] + number)
    }

    /// The number of the person in this place of the site's list. Places after the first list are persons that a day
    /// of change adds; nobody else sees them.
    pub(super) fn person_number(&self, slot: u64) -> u64 {
        let plan = self.world.plan;
        if slot >= self.patients() {
            return plan.persons() + (slot - self.patients()) * plan.sites + self.number;
        }
        let place = self.order.forward(slot);
        if place < plan.home_patients() {
            place * plan.sites + self.number
        } else {
            self.visitors[index(place - plan.home_patients())]
        }
    }

    /// The person in this place, as this site has it.
    pub(super) fn patient(&self, slot: u64) -> Person {
        let number = self.person_number(slot);
        let mut person = Person::draw(self.seed(), number);
        if let Some(fault) = self.world.fault(number, self.number) {
            person.spoil(fault, mix(number ^ self.seed()));
        }
        person
    }

    pub(super) fn fault(&self, slot: u64) -> Option<Fault> {
        self.world.fault(self.person_number(slot), self.number)
    }

    pub(super) fn token(&self, slot: u64) -> String {
        self.world.token(self.person_number(slot), self.number)
    }

    pub(super) fn phone(&self, slot: u64) -> String {
        self.world.phone(self.person_number(slot), self.number)
    }

    pub(super) fn seed(&self) -> u64 {
        self.world.plan.seed
    }

    pub(super) fn number(&self) -> u64 {
        self.number + 1
    }

    /// How readily this patient comes back.
    pub(super) fn weight(&self, slot: u64) -> u64 {
        match mix(self.seed() ^ mix(self.number << 40 | slot)) % 100 {
            0..55 => 1,
            55..80 => 4,
            80..94 => 10,
            _ => 30,
        }
    }

    /// The encounters after the first that fall to patients with this running sum of weights.
    pub(super) fn further_encounters(&self, weight: u64) -> u64 {
        let further = u128::from(self.encounters() - self.patients());
        let share = u128::from(weight) * further / u128::from(self.weight_total);
        u64::try_from(share).expect("at most the number of encounters")
    }
}
