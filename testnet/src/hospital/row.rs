//! Rows of a site's tables, made one patient or encounter at a time.

use std::collections::VecDeque;
use std::fmt::{self, Write};

use super::calendar::{Civil, DAY, Day, Minute, new_year, write_day, write_minute};
use super::clinic::{Blood, Encounter, Setting, Signs, Walk};
use super::column::TableKind;
use super::dialect::{ConcentrationUnit, DiagnosisSystem, Dialect, NameStyle, Notes, TemperatureUnit};
use super::names;
use super::random::{Draws, Purpose};
use super::site::{Dirt, Site};

/// How each dialect writes the kind of an encounter, in the order of `Setting`.
pub(super) const SETTINGS: [[&str; 4]; 5] = [
    ["inpatient", "outpatient", "emergency", "day case"],
    ["stationär", "ambulant", "Notfall", "teilstationär"],
    ["1", "2", "3", "4"],
    ["IMP", "AMB", "EMER", "SS"],
    ["I", "O", "E", "D"],
];

/// How each dialect writes whether a diagnosis is the reason to come or another.
pub(super) const ROLES: [[&str; 2]; 5] =
    [["principal", "secondary"], ["HD", "ND"], ["1", "2"], ["principal", "comorbidity"], ["P", "S"]];

/// One row: its cells in the site's dialect, not yet quoted. Prints as its number of cells only.
#[derive(Clone, Default)]
pub struct Row {
    text: String,
    ends: Vec<usize>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("cells", &self.ends.len()).finish_non_exhaustive()
    }
}

impl Row {
    /// The cells, in the order of the header.
    pub fn cells(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }

    fn cell(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self.ends.push(self.text.len());
        self
    }

    fn whole(&mut self, number: i64) -> &mut Self {
        write!(self.text, "{number}").expect("a String takes every write");
        self.cell("")
    }
}

/// The rows of one table of one site.
pub struct Rows<'a> {
    site: &'a Site,
    kind: TableKind,
    next_slot: u64,
    walk: Walk<'a>,
    pending: VecDeque<Row>,
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("site", self.site).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<'a> Rows<'a> {
    pub(super) fn new(site: &'a Site, kind: TableKind) -> Self {
        Self { site, kind, next_slot: 0, walk: Walk::new(site), pending: VecDeque::new() }
    }
}

impl Iterator for Rows<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        if self.kind == TableKind::Patients {
            let slot = self.next_slot;
            self.next_slot += 1;
            return (slot < self.site.patients()).then(|| patient_row(self.site, slot));
        }
        if self.pending.is_empty() {
            rows_of(self.site, self.kind, &self.walk.next()?, &mut self.pending);
        }
        self.pending.pop_front()
    }
}

/// The row of a patient.
pub(super) fn patient_row(site: &Site, slot: u64) -> Row {
    let dialect = &site.dialect;
    let person = site.patient(slot);
    let dirt = site.dirt(TableKind::Patients, slot);
    let token = site.token(slot);
    let mut draws = Draws::new(site.seed(), Purpose::Registration, site.number(), slot);
    let birth = Day::from_civil(person.birth);
    let registered = Day(birth.0.max(new_year(2014).0 + draws.between(0, 2_500)));
    let language = if dirt == Some(Dirt::UnknownCode) { "qqq" } else { person.language };
    let mut row = Row::default();
    row.cell(&site.patient_key(slot))
        .cell(&format!("CNRY-{token}"))
        .cell(&spelt(dialect, &person.given))
        .cell(&person.middle.map_or_else(|| dialect.missing.to_owned(), |middle| spelt(dialect, middle)))
        .cell(&spelt(dialect, &person.family))
        .cell(&write_day(dialect.date, person.birth))
        .cell(dialect.sex[person.sex])
        .cell(&format!("{}, c/o {token}", person.street))
        .cell(&person.zip.to_string())
        .cell(&site.phone(slot))
        .cell(&format!("cnry{token}@example.org"))
        .cell(&write_day(dialect.date, bad_if(dirt, registered.civil())))
        .cell(language);
    row
}

/// The rows of one encounter in one of the other tables.
pub(super) fn rows_of(site: &Site, kind: TableKind, encounter: &Encounter, out: &mut VecDeque<Row>) {
    match kind {
        TableKind::Patients => out.push_back(patient_row(site, encounter.slot)),
        TableKind::Encounters => out.push_back(encounter_row(site, encounter)),
        TableKind::Labs => lab_rows(site, encounter, out),
        TableKind::Vitals => vital_rows(site, encounter, out),
        TableKind::Diagnoses => diagnosis_rows(site, encounter, out),
    }
}

fn encounter_row(site: &Site, encounter: &Encounter) -> Row {
    const YES_NO: [[&str; 2]; 5] = [["yes", "no"], ["ja", "nein"], ["1", "0"], ["true", "false"], ["Y", "N"]];
    let dialect = &site.dialect;
    let dirt = site.dirt(TableKind::Encounters, encounter.number);
    let setting = SETTINGS[dialect.number][encounter.setting as usize];
    let mut row = Row::default();
    row.cell(&site.encounter_key(encounter.number))
        .cell(&site.patient_key(encounter.slot))
        .cell(if dirt == Some(Dirt::UnknownCode) { "ZZ" } else { setting })
        .cell(&format!("W{}", 10 + encounter.department))
        .cell(&moment(dialect, encounter.admitted, dirt))
        .cell(&moment(dialect, encounter.discharged, None))
        .whole(encounter.stay_days())
        .cell(YES_NO[dialect.number][usize::from(!encounter.readmission)])
        .whole(encounter.age)
        .cell(&fixed(dialect, encounter.bmi * 100, 1));
    if dialect.notes == Notes::Present {
        row.cell(&note(site, encounter));
    }
    row
}

/// Running text with the patient's name, insurance number and telephone: what must not leave in a "clinical" column.
fn note(site: &Site, encounter: &Encounter) -> String {
    let person = site.patient(encounter.slot);
    let name = format!("{}, {}", spelt(&site.dialect, &person.family), spelt(&site.dialect, &person.given));
    let token = site.token(encounter.slot);
    match encounter.number % 4 {
        0 => format!("{name} (CNRY-{token}) seen; says \"dizzy\" since 3 days; no fever."),
        1 => format!("Called family of {name} on {}, will be fetched by daughter.", site.phone(encounter.slot)),
        2 => format!("Pat. {name}; stable, mobilised. Letter to cnry{token}@example.org"),
        _ => {
            let kind = if encounter.setting == Setting::Inpatient { "ward round" } else { "consultation" };
            format!("{kind}: {name}, ins. CNRY-{token}, pain 3/10")
        }
    }
}

/// One laboratory value: code and unit at conventional and molar sites, and thousandths of the conventional unit.
struct Assay {
    codes: [&'static str; 2],
    units: [&'static str; 2],
    name: &'static str,
    value: i64,
    decimals: u32,
    reported: ConcentrationUnit,
    /// Molar units in 100,000 conventional ones.
    factor: i64,
}

fn assays(dialect: &Dialect, blood: &Blood) -> [Assay; 10] {
    let same = |code, name, unit, value, decimals| Assay {
        codes: [code, code],
        units: [unit, unit],
        name,
        value,
        decimals,
        reported: ConcentrationUnit::Conventional,
        factor: 0,
    };
    [
        Assay {
            codes: ["2160-0", "14682-9"],
            units: ["mg/dL", "µmol/L"],
            name: "Creatinine",
            value: blood.creatinine,
            decimals: 2,
            reported: dialect.creatinine,
            factor: 8_842_000,
        },
        Assay {
            codes: ["2345-7", "14749-6"],
            units: ["mg/dL", "mmol/L"],
            name: "Glucose",
            value: blood.glucose,
            decimals: 1,
            reported: dialect.glucose,
            factor: 5_551,
        },
        same("718-7", "Hemoglobin", "g/dL", blood.haemoglobin, 1),
        same("4544-3", "Hematocrit", "%", blood.haematocrit, 1),
        same("2951-2", "Sodium", "mmol/L", blood.sodium, 0),
        same("2823-3", "Potassium", "mmol/L", blood.potassium, 1),
        same("3094-0", "Urea nitrogen", "mg/dL", blood.urea_nitrogen, 0),
        same("6690-2", "Leukocytes", "10*3/uL", blood.leukocytes, 1),
        same("751-8", "Neutrophils", "10*3/uL", blood.neutrophils, 2),
        same("1751-7", "Albumin", "g/dL", blood.albumin, 1),
    ]
}

fn lab_rows(site: &Site, encounter: &Encounter, out: &mut VecDeque<Row>) {
    let dialect = &site.dialect;
    let dirt = site.dirt(TableKind::Labs, encounter.number);
    let mut draws = Draws::new(site.seed(), Purpose::Labs, site.number(), encounter.number);
    let (key, patient) = (site.encounter_key(encounter.number), site.patient_key(encounter.slot));
    let wanted = if encounter.setting == Setting::Inpatient { 10 } else { 6 };
    let times = encounter.blood_draws();
    let mut number = 0;
    for time in 0..times {
        let blood = Blood::draw(&mut draws, encounter);
        for assay in assays(dialect, &blood).iter().take(wanted) {
            number += 1;
            let dirt = dirt.filter(|_| number == 1);
            out.push_back(lab_row(dialect, [&key, &patient], number, assay, dirt, encounter.moment(time, times)));
        }
    }
}

fn lab_row(dialect: &Dialect, keys: [&str; 2], number: i64, assay: &Assay, dirt: Option<Dirt>, taken: Minute) -> Row {
    let molar = assay.reported == ConcentrationUnit::Molar;
    let side = usize::from(molar);
    let value = if molar { assay.value * assay.factor / 100_000 } else { assay.value };
    // A molar creatinine has two digits more before the point.
    let decimals = if molar && assay.decimals == 2 { 0 } else { assay.decimals };
    let mut row = Row::default();
    row.cell(&format!("{}-{number}", keys[0]))
        .cell(keys[0])
        .cell(keys[1])
        .cell(if dirt == Some(Dirt::UnknownCode) { "XX-0000" } else { assay.codes[side] })
        .cell(assay.name)
        .cell(&fixed(dialect, value, decimals))
        .cell(match dirt {
            Some(Dirt::UnitMissing) => dialect.missing,
            Some(Dirt::UnknownUnit) => "zorks",
            _ => assay.units[side],
        })
        .cell(&moment(dialect, taken, dirt));
    row
}

fn vital_rows(site: &Site, encounter: &Encounter, out: &mut VecDeque<Row>) {
    let dialect = &site.dialect;
    let dirt = site.dirt(TableKind::Vitals, encounter.number);
    let mut draws = Draws::new(site.seed(), Purpose::Vitals, site.number(), encounter.number);
    let key = site.encounter_key(encounter.number);
    let times = encounter.measurements();
    for time in 0..times {
        let signs = Signs::draw(&mut draws, encounter);
        let temperature = match dialect.temperature {
            TemperatureUnit::Celsius => signs.temperature * 100,
            TemperatureUnit::Fahrenheit => signs.temperature * 180 + 32_000,
        };
        let mut row = Row::default();
        row.cell(&format!("{key}-{}", time + 1))
            .cell(&key)
            .cell(&site.patient_key(encounter.slot))
            .cell(&moment(dialect, encounter.moment(time, times), dirt.filter(|_| time == 0)))
            .whole(signs.heart_rate)
            .whole(signs.systolic)
            .whole(signs.diastolic)
            .cell(&perhaps(&mut draws, dialect, 30, fixed(dialect, temperature, 1)))
            .cell(&perhaps(&mut draws, dialect, 40, signs.saturation.to_string()))
            .cell(&perhaps(&mut draws, dialect, 80, signs.respiration.to_string()));
        out.push_back(row);
    }
}

fn diagnosis_rows(site: &Site, encounter: &Encounter, out: &mut VecDeque<Row>) {
    let dialect = &site.dialect;
    let dirt = site.dirt(TableKind::Diagnoses, encounter.number);
    let mut draws = Draws::new(site.seed(), Purpose::Diagnoses, site.number(), encounter.number);
    let key = site.encounter_key(encounter.number);
    for (at, diagnosis) in encounter.diagnoses().enumerate() {
        let dirt = dirt.filter(|_| at == 0);
        let code = match dialect.diagnoses {
            DiagnosisSystem::Icd10 => diagnosis.icd10,
            DiagnosisSystem::Icd9 => diagnosis.icd9,
        };
        let referred = match dirt {
            Some(Dirt::DanglingReference) => site.no_encounter_key(encounter.number),
            _ => key.clone(),
        };
        let mut row = Row::default();
        row.cell(&format!("{key}-{}", at + 1))
            .cell(&referred)
            .cell(&site.patient_key(encounter.slot))
            .cell(if dirt == Some(Dirt::UnknownCode) { "ZZZ.9" } else { code })
            .cell(ROLES[dialect.number][at.min(1)])
            .cell(&write_day(dialect.date, bad_if(dirt, encounter.admitted.day().civil())))
            .cell(&format!("D{:03}", draws.below(140)));
        out.push_back(row);
    }
}

fn perhaps(draws: &mut Draws, dialect: &Dialect, missing_per_mille: u64, text: String) -> String {
    if draws.chance(missing_per_mille) { dialect.missing.to_owned() } else { text }
}

fn spelt(dialect: &Dialect, name: &str) -> String {
    match dialect.names {
        NameStyle::AsRegistered => name.to_owned(),
        NameStyle::Upper => name.to_uppercase(),
        NameStyle::Plain => names::without_diacritics(name),
    }
}

fn moment(dialect: &Dialect, minute: Minute, dirt: Option<Dirt>) -> String {
    write_minute(dialect.date, bad_if(dirt, minute.day().civil()), minute.0.rem_euclid(DAY))
}

fn bad_if(dirt: Option<Dirt>, civil: Civil) -> Civil {
    if dirt == Some(Dirt::BadDate) { Civil { month: 2, day: 31, ..civil } } else { civil }
}

/// Thousandths, rounded half up to this many decimals (at most three). Not for negative values.
fn fixed(dialect: &Dialect, thousandths: i64, decimals: u32) -> String {
    let unit = 10_i64.pow(3 - decimals);
    let rounded = (thousandths + unit / 2) / unit;
    let scale = 10_i64.pow(decimals);
    if decimals == 0 {
        return rounded.to_string();
    }
    let width = decimals as usize;
    format!("{}{}{:0width$}", rounded / scale, dialect.decimal, rounded % scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_rounds_half_up_and_uses_the_decimal_of_the_site() {
        let cases = [(1_049, 1, "1.0"), (1_050, 1, "1.1"), (1_005, 2, "1.01"), (139_500, 0, "140"), (50, 2, "0.05")];
        for (value, decimals, text) in cases {
            assert_eq!(fixed(&Dialect::of_site(0), value, decimals), text);
            assert_eq!(fixed(&Dialect::of_site(1), value, decimals), text.replace('.', ","));
        }
    }
}
