//! One person of the population, and how a site may get the person wrong.

use serde::Serialize;

use super::calendar::{Civil, Day, new_year};
use super::names;
use super::random::{Draws, Purpose, index, mix, signed};

/// Year at whose beginning ages are counted.
pub(super) const AGE_YEAR: u64 = 2021;

/// What a site has wrong about a patient it shares with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// One letter of the family name.
    FamilyName,
    /// One letter of the given name.
    GivenName,
    /// Day and month of birth are exchanged; where that is no other date, the year is off by one instead.
    BirthDayMonth,
    /// The year of birth is off by one.
    BirthYear,
}

impl Fault {
    /// All faults, in the order in which they are dealt out.
    pub const ALL: [Self; 4] = [Self::FamilyName, Self::GivenName, Self::BirthDayMonth, Self::BirthYear];

    /// Name in the truth file.
    pub fn name(self) -> &'static str {
        match self {
            Self::FamilyName => "family-name",
            Self::GivenName => "given-name",
            Self::BirthDayMonth => "birth-day-month",
            Self::BirthYear => "birth-year",
        }
    }
}

/// Long-standing conditions of a person.
#[derive(Clone, Copy)]
pub(super) struct Conditions(u16);

/// One long-standing condition; the number is the bit and the row in the clinic's list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Hypertension = 0,
    Diabetes = 1,
    Kidney = 2,
    HeartFailure = 3,
    Lung = 4,
    Depression = 5,
    Anaemia = 6,
    Cancer = 7,
}

impl Conditions {
    pub(super) fn has(self, condition: Condition) -> bool {
        self.0 >> condition as u16 & 1 == 1
    }

    pub(super) fn count(self) -> i64 {
        i64::from(self.0.count_ones())
    }

    fn draw(draws: &mut Draws, age: i64) -> Self {
        // Per mille at age 90, falling with the square of the age; depression and anaemia depend less on it.
        const AT_NINETY: [u64; 8] = [750, 320, 300, 250, 220, 140, 260, 220];
        let aged = u64::try_from(age * age).expect("an age is not negative");
        let mut bits = 0;
        for (bit, at_ninety) in AT_NINETY.into_iter().enumerate() {
            let per_mille = at_ninety * aged / 8100 + if bit >= 5 { 20 } else { 2 };
            bits |= u16::from(draws.chance(per_mille)) << bit;
        }
        Self(bits)
    }
}

/// A person. Neither Debug nor Serialize: rows of patients do not print.
pub(super) struct Person {
    pub(super) given: String,
    pub(super) middle: Option<&'static str>,
    pub(super) family: String,
    pub(super) birth: Civil,
    /// 0 female, 1 male.
    pub(super) sex: usize,
    pub(super) street: String,
    pub(super) zip: u64,
    pub(super) language: &'static str,
    pub(super) conditions: Conditions,
    /// In tenths of kg/m2.
    pub(super) bmi: i64,
}

impl Person {
    /// The person with this number in the population of this seed.
    pub(super) fn draw(seed: u64, number: u64) -> Self {
        let mut draws = Draws::new(seed, Purpose::Person, 0, number);
        let sex = usize::from(draws.chance(480));
        let age = age(&mut draws);
        let birth = Day(new_year(AGE_YEAR).0 - age * 365 - age / 4 - draws.between(1, 365)).civil();
        let given = names::given(&mut draws, sex).to_owned();
        let middle = draws.chance(300).then(|| names::given(&mut draws, sex)).filter(|m| *m != given);
        Self {
            given,
            middle,
            family: names::family(&mut draws),
            birth,
            sex,
            street: names::street(&mut draws),
            zip: 10_000 + 100 * draws.skewed(400) + draws.below(100),
            language: draws.pick(&["en", "en", "en", "de", "de", "fr", "es", "it", "pt", "tr", "zh"]),
            conditions: Conditions::draw(&mut draws, age),
            bmi: if age < 16 { draws.normal(160 + 3 * age, 15) } else { draws.normal(268, 45) }.clamp(125, 520),
        }
    }

    /// The person as a site has it that makes this fault. `salt` chooses the letter.
    pub(super) fn spoil(&mut self, fault: Fault, salt: u64) {
        match fault {
            Fault::FamilyName => self.family = misspell(&self.family, salt),
            Fault::GivenName => self.given = misspell(&self.given, salt),
            Fault::BirthDayMonth if self.birth.day <= 12 && self.birth.day != self.birth.month => {
                self.birth = Civil { day: self.birth.month, month: self.birth.day, ..self.birth };
            }
            Fault::BirthDayMonth | Fault::BirthYear => self.birth = year_off(self.birth, salt),
        }
    }
}

/// Age at the beginning of `AGE_YEAR`, in the shape of a hospital's patients: some infants, then more with each decade.
fn age(draws: &mut Draws) -> i64 {
    const BANDS: [u64; 20] = [55, 25, 20, 28, 36, 42, 46, 44, 44, 48, 58, 68, 76, 84, 88, 84, 68, 44, 20, 6];
    signed(draws.weighted(&BANDS) as u64) * 5 + draws.between(0, 4)
}

fn year_off(birth: Civil, salt: u64) -> Civil {
    // No leap day lands in a common year: the fault must be a date that exists.
    let year = if salt.is_multiple_of(2) || birth.year >= 2019 { birth.year - 1 } else { birth.year + 1 };
    Civil { year, day: if birth.month == 2 { birth.day.min(28) } else { birth.day }, ..birth }
}

/// The name with two letters exchanged, one left out, one doubled or one wrong. Never the same name, and never one that
/// differs only in case or diacritics.
fn misspell(name: &str, salt: u64) -> String {
    let letters: Vec<char> = name.chars().collect();
    let before = names::without_diacritics(name).to_lowercase();
    for attempt in salt..salt + 64 {
        let word = mix(attempt);
        let at = index((word >> 8) % letters.len() as u64);
        let mut spoilt = letters.clone();
        match word % 4 {
            0 if at + 1 < letters.len() => spoilt.swap(at, at + 1),
            1 if letters.len() > 3 => drop(spoilt.remove(at)),
            2 => spoilt.insert(at, letters[at].to_ascii_lowercase()),
            _ => spoilt[at] = if letters[at] == 'e' { 'a' } else { 'e' },
        }
        let spoilt: String = spoilt.into_iter().collect();
        if letters_only(&names::without_diacritics(&spoilt)) != letters_only(&before) {
            return spoilt;
        }
    }
    format!("{name}e")
}

fn letters_only(name: &str) -> String {
    name.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_changes_exactly_what_it_names() {
        for number in 0..2_000 {
            for fault in Fault::ALL {
                let right = Person::draw(9, number);
                let mut wrong = Person::draw(9, number);
                wrong.spoil(fault, mix(number));
                let family = letters_only(&right.family) != letters_only(&wrong.family);
                let given = letters_only(&right.given) != letters_only(&wrong.given);
                let birth = right.birth != wrong.birth;
                let expect = match fault {
                    Fault::FamilyName => (true, false, false),
                    Fault::GivenName => (false, true, false),
                    Fault::BirthDayMonth | Fault::BirthYear => (false, false, true),
                };
                assert!((family, given, birth) == expect, "person {number}, {}", fault.name());
                assert!(Day::from_civil(wrong.birth).civil() == wrong.birth, "a date that exists");
            }
        }
    }

    #[test]
    fn the_population_is_old_as_a_hospital_is() {
        let old = (0..10_000).filter(|n| Person::draw(1, *n).birth.year <= 1956).count();
        assert!((3_500..5_500).contains(&old), "{old}");
    }
}
