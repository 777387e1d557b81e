//! What happens to a patient at a site: encounters, diagnoses, laboratory values and vital signs, in integers.

use super::calendar::{Civil, DAY, Day, Minute, new_year};
use super::person::{AGE_YEAR, Condition, Conditions, Person};
use super::random::{Draws, Purpose, signed};
use super::site::Site;

/// Days over which the encounters of a site spread, from the beginning of `AGE_YEAR`.
const SPAN_DAYS: u64 = 1_400;

/// A code in ICD-10 and in ICD-9-CM.
pub(super) struct Diagnosis {
    pub(super) icd10: &'static str,
    pub(super) icd9: &'static str,
    infection: bool,
    /// Among inpatients and emergencies, then among outpatients and day cases.
    weights: [u64; 2],
}

const fn acute(icd10: &'static str, icd9: &'static str, weights: [u64; 2]) -> Diagnosis {
    Diagnosis { icd10, icd9, infection: false, weights }
}

const fn infection(icd10: &'static str, icd9: &'static str, weights: [u64; 2]) -> Diagnosis {
    Diagnosis { icd10, icd9, infection: true, weights }
}

/// Reasons to come.
const ACUTE: &[Diagnosis] = &[
    infection("J18.9", "486", [90, 20]),
    infection("N39.0", "599.0", [60, 60]),
    infection("J20.9", "466.0", [20, 70]),
    infection("A41.9", "038.9", [35, 0]),
    infection("K35.80", "540.9", [30, 0]),
    infection("L03.115", "682.6", [30, 30]),
    acute("I21.4", "410.71", [55, 0]),
    acute("I63.9", "434.91", [50, 5]),
    acute("S72.001A", "820.8", [50, 0]),
    acute("K80.20", "574.20", [40, 25]),
    acute("R07.9", "786.50", [60, 40]),
    acute("R55", "780.2", [40, 20]),
    acute("S06.0X0A", "850.0", [25, 10]),
    acute("R10.9", "789.00", [50, 60]),
    acute("E86.0", "276.51", [35, 10]),
    acute("M54.50", "724.2", [15, 120]),
    acute("Z00.00", "V70.0", [0, 160]),
    acute("H25.9", "366.10", [5, 60]),
    acute("K21.9", "530.81", [10, 80]),
    acute("L20.9", "691.8", [2, 40]),
];

/// Long-standing conditions, in the order of `Condition`.
const CHRONIC: [Diagnosis; 8] = [
    acute("I10", "401.9", [0, 0]),
    acute("E11.9", "250.00", [0, 0]),
    acute("N18.30", "585.3", [0, 0]),
    acute("I50.9", "428.0", [0, 0]),
    acute("J44.9", "496", [0, 0]),
    acute("F32.A", "311", [0, 0]),
    acute("D64.9", "285.9", [0, 0]),
    acute("C18.9", "153.9", [0, 0]),
];

/// Kind of an encounter; the number is the place in a dialect's list of codes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    Inpatient = 0,
    Outpatient = 1,
    Emergency = 2,
    Day = 3,
}

/// One encounter.
#[derive(Clone, Copy)]
pub(super) struct Encounter {
    /// At this site, from 0.
    pub(super) number: u64,
    /// The patient's place in the site's list.
    pub(super) slot: u64,
    pub(super) setting: Setting,
    pub(super) department: u64,
    pub(super) admitted: Minute,
    pub(super) discharged: Minute,
    pub(super) readmission: bool,
    /// In years.
    pub(super) age: i64,
    /// In tenths of kg/m2.
    pub(super) bmi: i64,
    sex: usize,
    conditions: Conditions,
    acute: usize,
}

/// All encounters of a site, patient by patient.
pub(super) struct Walk<'a> {
    site: &'a Site,
    next_slot: u64,
    next_number: u64,
    /// Sum of the weights of all patients so far.
    weight: u64,
    patient: Option<Patient>,
}

struct Patient {
    slot: u64,
    person: Person,
    encounters: u64,
    left: u64,
    last_discharge: Option<Minute>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(site: &'a Site) -> Self {
        Self { site, next_slot: 0, next_number: 0, weight: 0, patient: None }
    }

    /// The encounters are dealt out in proportion to weights, so that the total is exact: one each, then the rest by
    /// the difference of rounded running sums.
    fn next_patient(&mut self) -> Option<Patient> {
        let slot = self.next_slot;
        if slot == self.site.patients() {
            return None;
        }
        self.next_slot += 1;
        let before = self.site.further_encounters(self.weight);
        self.weight += self.site.weight(slot);
        let encounters = 1 + self.site.further_encounters(self.weight) - before;
        let person = self.site.patient(slot);
        Some(Patient { slot, person, encounters, left: encounters, last_discharge: None })
    }
}

impl Iterator for Walk<'_> {
    type Item = Encounter;

    fn next(&mut self) -> Option<Encounter> {
        if self.patient.as_ref().is_none_or(|patient| patient.left == 0) {
            self.patient = Some(self.next_patient()?);
        }
        let patient = self.patient.as_mut().expect("set just before");
        let mut draws = Draws::new(self.site.seed(), Purpose::Encounter, self.site.number(), self.next_number);
        let room = SPAN_DAYS / patient.encounters;
        let (admitted, readmission) = admission(&mut draws, patient.last_discharge, room);
        let encounter = Encounter::draw(&mut draws, self.next_number, patient.slot, &patient.person, admitted);
        self.next_number += 1;
        patient.left -= 1;
        patient.last_discharge = Some(encounter.discharged);
        Some(Encounter { readmission, ..encounter })
    }
}

/// When the next encounter begins, and whether that is within 30 days of the last one's end.
fn admission(draws: &mut Draws, last: Option<Minute>, room: u64) -> (Minute, bool) {
    let Some(last) = last else {
        let day = Day(new_year(AGE_YEAR).0 + signed(draws.below(room.max(1))));
        return (day.at_some_minute(draws), false);
    };
    let longest = signed(room.max(2));
    let gap =
        if draws.chance(180) || longest <= 31 { draws.between(1, longest.min(30)) } else { draws.between(31, longest) };
    (Day(last.day().0 + gap).at_some_minute(draws), gap <= 30)
}

impl Encounter {
    pub(super) fn draw(draws: &mut Draws, number: u64, slot: u64, person: &Person, admitted: Minute) -> Self {
        let age = age_on(person.birth, admitted.day().civil());
        let setting = setting(draws, age);
        let acute_side = usize::from(matches!(setting, Setting::Outpatient | Setting::Day));
        let weights: Vec<u64> = ACUTE.iter().map(|d| d.weights[acute_side]).collect();
        let acute = draws.weighted(&weights);
        let discharged = admitted.plus(stay_minutes(draws, setting, age, person.conditions));
        Self {
            number,
            slot,
            setting,
            department: acute as u64 / 2,
            admitted,
            discharged,
            readmission: false,
            age,
            bmi: person.bmi,
            sex: person.sex,
            conditions: person.conditions,
            acute,
        }
    }

    /// In days, by the calendar.
    pub(super) fn stay_days(&self) -> i64 {
        self.discharged.day().0 - self.admitted.day().0
    }

    /// The reason to come, then what else the patient has.
    pub(super) fn diagnoses(&self) -> impl Iterator<Item = &'static Diagnosis> {
        let conditions = self.conditions;
        let all = [
            Condition::Hypertension,
            Condition::Diabetes,
            Condition::Kidney,
            Condition::HeartFailure,
            Condition::Lung,
            Condition::Depression,
            Condition::Anaemia,
            Condition::Cancer,
        ];
        let chronic = all.into_iter().filter(move |c| conditions.has(*c)).map(|c| &CHRONIC[c as usize]);
        std::iter::once(&ACUTE[self.acute]).chain(chronic)
    }

    /// How often blood is taken.
    pub(super) fn blood_draws(&self) -> i64 {
        1 + i64::from(self.stay_days() >= 3) + i64::from(self.stay_days() >= 8)
    }

    /// How often vital signs are measured.
    pub(super) fn measurements(&self) -> i64 {
        1 + self.stay_days().min(4)
    }

    fn infected(&self) -> bool {
        ACUTE[self.acute].infection
    }

    /// The `n`-th of `of` moments between admission and discharge.
    pub(super) fn moment(&self, n: i64, of: i64) -> Minute {
        self.admitted.plus(15 + (self.discharged.0 - self.admitted.0 - 20).max(0) * n / of)
    }
}

fn setting(draws: &mut Draws, age: i64) -> Setting {
    const KINDS: [Setting; 4] = [Setting::Inpatient, Setting::Outpatient, Setting::Emergency, Setting::Day];
    let aged = u64::try_from(age).unwrap_or(0);
    KINDS[draws.weighted(&[120 + 4 * aged, 450, 220, 50])]
}

fn stay_minutes(draws: &mut Draws, setting: Setting, age: i64, conditions: Conditions) -> i64 {
    match setting {
        Setting::Outpatient => draws.between(30, 180),
        Setting::Emergency => draws.between(60, 720),
        Setting::Day => draws.between(240, 600),
        Setting::Inpatient => {
            let usual = 1 + age / 25 + conditions.count() / 2;
            let long = signed(draws.skewed(8));
            let outlier = if draws.chance(40) { draws.between(5, 30) } else { 0 };
            (usual + long + outlier) * DAY + draws.between(-240, 240)
        }
    }
}

fn age_on(birth: Civil, day: Civil) -> i64 {
    (day.year - birth.year - i64::from((day.month, day.day) < (birth.month, birth.day))).max(0)
}

/// Laboratory values of one blood draw, each in thousandths of its conventional unit.
pub(super) struct Blood {
    pub(super) creatinine: i64,
    pub(super) urea_nitrogen: i64,
    pub(super) glucose: i64,
    pub(super) sodium: i64,
    pub(super) potassium: i64,
    pub(super) haemoglobin: i64,
    pub(super) haematocrit: i64,
    pub(super) leukocytes: i64,
    pub(super) neutrophils: i64,
    pub(super) albumin: i64,
}

impl Blood {
    /// Kidney disease raises creatinine, urea and potassium together; haematocrit is three times haemoglobin; infection
    /// raises leukocytes and neutrophils and lowers albumin; heart failure lowers sodium.
    pub(super) fn draw(draws: &mut Draws, encounter: &Encounter) -> Self {
        let has = |condition| i64::from(encounter.conditions.has(condition));
        let infected = i64::from(encounter.infected());
        let male = i64::from(encounter.sex == 1);
        let kidney = has(Condition::Kidney) * draws.between(300, 1900);
        let usual = if encounter.age < 15 { 300 + 30 * encounter.age } else { 750 + 180 * male + encounter.age };
        let creatinine = (draws.normal(usual, usual / 6) + kidney).clamp(150, 9_900);
        let diabetes = has(Condition::Diabetes) * draws.between(20_000, 130_000);
        let anaemia = (has(Condition::Anaemia) + has(Condition::Cancer)) * 1_900;
        let haemoglobin = (draws.normal(13_300 + 1_400 * male, 1_200) - anaemia).clamp(4_500, 19_500);
        let leukocytes = (draws.normal(7_000, 1_600) + infected * draws.between(2_000, 9_000)).clamp(800, 38_000);
        let share = draws.normal(600 + 140 * infected, 70).clamp(200, 960);
        Self {
            creatinine,
            urea_nitrogen: (draws.normal(3_000, 2_500) + creatinine * 13).clamp(2_000, 140_000),
            glucose: (draws.normal(98_000, 13_000) + diabetes + infected * 8_000).clamp(38_000, 620_000),
            sodium: (draws.normal(139_500, 2_600) - has(Condition::HeartFailure) * 2_500).clamp(112_000, 168_000),
            potassium: (draws.normal(4_150, 370) + kidney / 4).clamp(2_100, 7_600),
            haemoglobin,
            haematocrit: (haemoglobin * 3 + draws.normal(0, 900)).clamp(13_000, 60_000),
            leukocytes,
            neutrophils: leukocytes * share / 1000,
            albumin: draws.normal(4_200 - 500 * infected - encounter.age * 5, 350).clamp(1_200, 5_600),
        }
    }
}

/// One set of vital signs. Temperature in tenths of a degree Celsius.
pub(super) struct Signs {
    pub(super) heart_rate: i64,
    pub(super) systolic: i64,
    pub(super) diastolic: i64,
    pub(super) temperature: i64,
    pub(super) saturation: i64,
    pub(super) respiration: i64,
}

impl Signs {
    /// Fever raises pulse and breathing (about ten beats a degree); lung disease lowers saturation; pressure rises with
    /// age and hypertension. Infants beat and breathe faster.
    pub(super) fn draw(draws: &mut Draws, encounter: &Encounter) -> Self {
        let has = |condition| i64::from(encounter.conditions.has(condition));
        let fever = if encounter.infected() { draws.between(2, 26) } else { 0 };
        let young = (12 - encounter.age).max(0);
        let pressure = 108 + encounter.age.min(80) * 3 / 10 + has(Condition::Hypertension) * 14 - young * 2;
        let systolic = draws.normal(pressure, 13).clamp(64, 235);
        let lung = has(Condition::Lung);
        let infection = i64::from(encounter.infected());
        Self {
            heart_rate: (draws.normal(75, 10) + fever + young * 4 + has(Condition::HeartFailure) * 6).clamp(34, 195),
            systolic,
            diastolic: (systolic * 6 / 10 + draws.normal(2, 6)).clamp(32, systolic - 8),
            temperature: (draws.normal(367, 3) + fever).clamp(345, 415),
            saturation: draws.normal(979 - 28 * lung - 8 * infection, 11).clamp(780, 1000) / 10,
            respiration: (draws.normal(15, 2) + fever / 5 + young + 3 * lung).clamp(7, 60),
        }
    }
}
