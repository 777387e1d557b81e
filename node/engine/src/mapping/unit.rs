//! Units of one column: what each unit that turns up is to the one that leaves, looked up once.

use cohortium_schema::unit::{Conversion, MolarMass, Unit, UnitFault};

/// Converts values to one unit.
pub(crate) struct Converter {
    to: Unit,
    molar_mass: Option<MolarMass>,
}

impl Converter {
    /// To this unit; with grams per mole, also between mass and amount of substance.
    pub(crate) fn new(to: &str, grams_a_mole: Option<f64>) -> Result<Self, UnitFault> {
        Ok(Self { to: Unit::parse(to)?, molar_mass: grams_a_mole.map(MolarMass::new).transpose()? })
    }

    /// From a unit as a source writes it.
    pub(crate) fn conversion(&self, from: &str) -> Result<Conversion, UnitFault> {
        Conversion::between(&Unit::parse(from)?, &self.to, self.molar_mass)
    }
}
