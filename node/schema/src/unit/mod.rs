//! Units: from what a source writes to what the common schema wants, by UCUM, and never by a guess.
//!
//! A conversion is found once and applied to many values. The mole is a unit of its own kind here: to UCUM it is a
//! number, so that `mmol/L` and `10*9/L`, or `%` and `mmol/mol`, would convert; to a laboratory they are not the same.
//! Between mass and amount of substance a molar mass is needed, which a mapping gives.

mod alias;

use std::fmt;

use octofhir_ucum::{AdvancedConversionContext, ErrorKind, UnitExpr};

/// Characters of a unit as a source writes it.
pub const UNIT_CHARS_MAX: usize = 64;

/// A unit as UCUM writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    code: String,
    amounts: Amounts,
}

/// How often a unit of amount stands above and below the line: mole, equivalent, osmole, and enzyme units.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Amounts([[u32; 2]; AMOUNTS.len()]);

/// Units that UCUM counts in moles. Enzyme units are one kind: they convert.
const AMOUNTS: [&[&str]; 4] = [&["mol"], &["eq"], &["osm"], &["U", "kat"]];
const MOLE: usize = 0;

impl Unit {
    /// Reads a unit as a laboratory writes it: by the list of spellings, else as UCUM, case and all.
    ///
    /// # Errors
    /// [`UnitFault::Unknown`]. The text is not repeated: what stands in a unit's column may be anything.
    pub fn parse(written: &str) -> Result<Self, UnitFault> {
        let written = written.trim();
        if written.is_empty() || written.chars().count() > UNIT_CHARS_MAX {
            return Err(UnitFault::Unknown);
        }
        let code = alias::ucum_of(written).unwrap_or(written);
        let analysis = octofhir_ucum::analyse(code).map_err(|_| UnitFault::Unknown)?;
        let mut amounts = Amounts::default();
        amounts.count(&analysis.parsed_ast, 1);
        Ok(Self { code: code.to_owned(), amounts })
    }

    /// Its code in UCUM.
    pub fn ucum(&self) -> &str {
        &self.code
    }
}

impl Amounts {
    fn count(&mut self, expression: &UnitExpr, power: i32) {
        match expression {
            UnitExpr::Symbol(symbol) => self.count_symbol(symbol, power),
            UnitExpr::Numeric(_) | UnitExpr::Annotation(_) => {}
            UnitExpr::Annotated(inner, _) => self.count(inner, power),
            UnitExpr::Power(inner, exponent) => self.count(inner, power.saturating_mul(*exponent)),
            UnitExpr::Product(terms) => terms.iter().for_each(|term| self.count(term, power)),
            UnitExpr::Quotient(above, below) => {
                self.count(above, power);
                self.count(below, power.saturating_neg());
            }
            UnitExpr::Reciprocal(inner) => self.count(inner, power.saturating_neg()),
        }
    }

    fn count_symbol(&mut self, symbol: &str, power: i32) {
        let atom = octofhir_ucum::lookup_unit(symbol, octofhir_ucum::Case::Sensitive).map(|(_, atom)| atom.code);
        let kind = AMOUNTS.iter().position(|codes| atom.is_some_and(|atom| codes.contains(&atom)));
        if let Some(place) = kind.and_then(|kind| self.0.get_mut(kind)) {
            place[usize::from(power < 0)] += power.unsigned_abs();
        }
    }

    /// Moles above the line, less those below, and the rest without moles.
    fn split(&self) -> ([u32; 2], Self) {
        let mut rest = self.clone();
        (std::mem::take(&mut rest.0[MOLE]), rest)
    }
}

/// Grams a mole, above 0. Given by a mapping, for one substance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MolarMass(f64);

impl MolarMass {
    /// Grams a mole.
    ///
    /// # Errors
    /// [`UnitFault::MolarMass`]: not above 0, or not below a thousand million.
    pub fn new(grams_a_mole: f64) -> Result<Self, UnitFault> {
        if grams_a_mole > 0.0 && grams_a_mole < 1e9 { Ok(Self(grams_a_mole)) } else { Err(UnitFault::MolarMass) }
    }
}

/// A conversion that has been found: `value * factor + offset`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    factor: f64,
    offset: f64,
}

impl Conversion {
    /// Finds the conversion from one unit to another; with a molar mass also between mass and amount of substance. A
    /// molar mass that is not needed is not used.
    ///
    /// # Errors
    /// [`UnitFault`]: the units do not measure the same, or not on a common scale.
    pub fn between(from: &Unit, to: &Unit, molar_mass: Option<MolarMass>) -> Result<Self, UnitFault> {
        if from.amounts == to.amounts {
            return Self::linear(&from.code, &to.code);
        }
        let ((from_moles, from_rest), (to_moles, to_rest)) = (from.amounts.split(), to.amounts.split());
        let moles = is_one_mole(from_moles, to_moles).filter(|_| from_rest == to_rest);
        // So many `x.g/mol` are as many `x` of a substance that has one gram a mole.
        let of_one_gram = |unit: &Unit| format!("({}).(g/mol)", unit.code);
        let Self { factor, offset } = match moles {
            Some(MolesAre::To) => Self::linear(&from.code, &of_one_gram(to))?,
            Some(MolesAre::From) => Self::linear(&of_one_gram(from), &to.code)?,
            None => return Err(UnitFault::Incommensurable),
        };
        let MolarMass(mass) = molar_mass.ok_or(UnitFault::NeedsMolarMass)?;
        let factor = if matches!(moles, Some(MolesAre::To)) { factor / mass } else { factor * mass };
        Ok(Self { factor, offset })
    }

    /// What UCUM says, if it is a straight line.
    fn linear(from: &str, to: &str) -> Result<Self, UnitFault> {
        let context = AdvancedConversionContext::default();
        let found = octofhir_ucum::convert_with_context(1.0, from, to, &context).map_err(|error| match error.kind {
            ErrorKind::OutOfDomain { .. } => UnitFault::Curved,
            _ => UnitFault::Incommensurable,
        })?;
        match (found.factor, found.offset) {
            (Some(factor), Some(offset)) => Ok(Self { factor: factor.to_f64(), offset: offset.to_f64() }),
            _ => Err(UnitFault::Curved),
        }
    }

    /// Converts one value; `None` where it is no number, or no float holds what it becomes.
    pub fn value(&self, value: f64) -> Option<f64> {
        Some(value * self.factor + self.offset).filter(|became| became.is_finite())
    }
}

/// On which side there is one mole more.
enum MolesAre {
    From,
    To,
}

fn is_one_mole(from: [u32; 2], to: [u32; 2]) -> Option<MolesAre> {
    match (from, to) {
        ([above, below], [to_above, to_below]) if below == to_below && to_above == above + 1 => Some(MolesAre::To),
        ([above, below], [to_above, to_below]) if below == to_below && above == to_above + 1 => Some(MolesAre::From),
        _ => None,
    }
}

/// Why there is no unit or no conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitFault {
    /// Neither a listed spelling nor UCUM.
    Unknown,
    /// The units do not measure the same thing.
    Incommensurable,
    /// One is of mass and the other of amount of substance, and the mapping gives no molar mass.
    NeedsMolarMass,
    /// The conversion is not a straight line.
    Curved,
    /// A molar mass that is none.
    MolarMass,
}

impl fmt::Display for UnitFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "the unit is not known",
            Self::Incommensurable => "the units do not measure the same",
            Self::NeedsMolarMass => "between mass and amount of substance a molar mass is needed",
            Self::Curved => "the units are not on one straight scale",
            Self::MolarMass => "a molar mass is above 0 and below 1e9 g/mol",
        })
    }
}

impl std::error::Error for UnitFault {}

#[cfg(test)]
mod tests {
    use super::*;

    const GLUCOSE: f64 = 180.156;

    fn unit(written: &str) -> Unit {
        Unit::parse(written).unwrap()
    }

    fn between(from: &str, to: &str, molar_mass: Option<f64>) -> Result<Conversion, UnitFault> {
        let mass = molar_mass.map(|mass| MolarMass::new(mass).unwrap());
        Conversion::between(&unit(from), &unit(to), mass)
    }

    fn close(from: &str, to: &str, molar_mass: Option<f64>, value: f64, expected: f64) {
        let became = between(from, to, molar_mass).unwrap().value(value).unwrap();
        assert!((became - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{value} {from} is {became} {to}");
    }

    #[test]
    fn units_of_one_kind_convert() {
        close("mg/dL", "g/L", None, 90.0, 0.9);
        close("K/uL", "10*9/L", None, 7.3, 7.3);
        close("MIL/CMM", "10*12/L", None, 4.5, 4.5);
        close("Deg C", "[degF]", None, 37.0, 98.6);
        close("[degF]", "Cel", None, 98.6, 37.0);
        close("lbs", "kg", None, 100.0, 45.359_237);
        close("mmHg", "kPa", None, 120.0, 15.998_64);
        close("U/L", "ukat/L", None, 60.0, 1.0);
        close("mmol/L", "umol/L", None, 0.08, 80.0);
        close("mIU/mL", "[IU]/L", None, 2.5, 2.5);
    }

    #[test]
    fn mass_and_amount_convert_by_a_molar_mass_both_ways() {
        close("mg/dL", "mmol/L", Some(GLUCOSE), 90.0, 90.0 * 10.0 / GLUCOSE);
        close("mmol/L", "mg/dL", Some(GLUCOSE), 5.0, 5.0 * GLUCOSE / 10.0);
        close("mg/dL", "umol/L", Some(113.12), 1.0, 10_000.0 / 113.12);
        close("mg/dL", "g/L", Some(GLUCOSE), 90.0, 0.9);
        assert_eq!(between("mg/dL", "mmol/L", None), Err(UnitFault::NeedsMolarMass));
        for (mass, fine) in [(0.0, false), (-1.0, false), (f64::NAN, false), (1e9, false), (1e-9, true), (9e8, true)] {
            assert_eq!(MolarMass::new(mass).is_ok(), fine, "{mass}");
        }
    }

    #[test]
    fn what_does_not_measure_the_same_is_a_fault_and_not_a_number() {
        let pairs = [
            ("mg/dL", "mg"),
            ("mmol/L", "10*9/L"),
            ("%", "mmol/mol"),
            ("mmol/L", "meq/L"),
            ("mosm/kg", "mmol/kg"),
            ("mg/g", "umol/mmol"),
            ("[IU]/L", "U/L"),
            ("[IU]/mL", "[arb'U]/mL"),
            ("C", "[degF]"),
            ("mg", "mmol/L"),
        ];
        for (from, to) in pairs {
            for mass in [None, Some(GLUCOSE)] {
                assert!(between(from, to, mass).is_err(), "{from} to {to}");
                assert!(between(to, from, mass).is_err(), "{to} to {from}");
            }
        }
        assert_eq!(between("[pH]", "mol/L", None), Err(UnitFault::Incommensurable));
        assert_eq!(between("dB", "1", None), Err(UnitFault::Curved));
    }

    #[test]
    fn an_unknown_unit_is_a_fault_that_does_not_repeat_it() {
        for written in ["", "  ", "CANARY", "units", "mg/dL (fasting)", &"m".repeat(UNIT_CHARS_MAX + 1)] {
            let fault = Unit::parse(written).unwrap_err();
            assert_eq!(fault, UnitFault::Unknown, "{written}");
            assert!(!fault.to_string().contains("CANARY"));
        }
        let longest = format!("m{{{}}}", "a".repeat(UNIT_CHARS_MAX - 3));
        assert_eq!(Unit::parse(&longest).map(|unit| unit.ucum().len()), Ok(UNIT_CHARS_MAX));
    }

    #[test]
    fn what_no_float_holds_is_no_value() {
        let conversion = between("km", "mm", None).unwrap();
        assert_eq!(
            [1.0, f64::MAX, f64::INFINITY, f64::NAN].map(|value| conversion.value(value)),
            [Some(1e6), None, None, None]
        );
    }

    #[test]
    fn most_of_the_units_that_hospitals_write_are_read() {
        let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        let file = std::env::var_os("COHORTIUM_DATA").map_or(root, Into::into).join("eicu/lab.csv");
        let Ok(text) = std::fs::read_to_string(file) else {
            println!("skipped: ../shared/data/eicu/lab.csv is not there");
            return;
        };
        let units = text.lines().skip(1).filter_map(|line| line.split(',').nth(8)).filter(|unit| !unit.is_empty());
        let (mut read, mut all) = (0_u32, 0_u32);
        for written in units {
            all += 1;
            read += u32::from(Unit::parse(written).is_ok());
        }
        println!("{read} of {all} laboratory results have a unit that is read");
        assert!(all > 20_000 && read * 100 >= all * 99, "{read} of {all}");
    }
}
