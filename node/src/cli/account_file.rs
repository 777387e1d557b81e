//! Accounts of a charter as a person writes them: the privacy budget of a population, in TOML.

use std::collections::BTreeMap;
use std::path::Path;

use cohortium_protocol::ident::{Name, Text};
use cohortium_protocol::quantity::{ContributionBound, Delta, Rho};
use cohortium_protocol::record::charter::AccountTerms;
use serde::Deserialize;

use crate::cli::exit::CliFault;
use crate::home;

/// The longest file.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The file: a section for each account.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    accounts: BTreeMap<Name, Account>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    population: Text,
    #[serde(default)]
    rho: f64,
    #[serde(default)]
    delta: f64,
    #[serde(default = "one")]
    tokens_per_person_max: u32,
    patients_max: u64,
    /// Where the account grants more than before: the unit of what it grants anew.
    renews: Option<Text>,
}

const fn one() -> u32 {
    1
}

/// Reads accounts, each with the unit of what it grants anew.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<Name, (AccountTerms, Option<Text>)>, CliFault> {
    let bytes = home::read_bounded(path, FILE_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|_| CliFault::usage("the accounts are not UTF-8 text"))?;
    let written: Written =
        toml::from_str(&text).map_err(|fault| CliFault::usage(format!("{}: {fault}", path.display())))?;
    let terms = |(name, account): (Name, Account)| {
        let terms = AccountTerms {
            population: account.population,
            rho: rho(account.rho)?,
            delta: delta(account.delta)?,
            tokens_per_person_max: ContributionBound(account.tokens_per_person_max),
            patients_max: account.patients_max,
        };
        Ok((name, (terms, account.renews)))
    };
    written.accounts.into_iter().map(terms).collect()
}

/// Rho as it is counted, in 2^-80: rounded down, so that nobody gets more than was written.
pub(crate) fn rho(number: f64) -> Result<Rho, CliFault> {
    scaled("rho", number, 80).map(Rho)
}

/// Delta as it is counted, in 2^-100.
pub(crate) fn delta(number: f64) -> Result<Delta, CliFault> {
    scaled("delta", number, 100).map(Delta)
}

/// The largest number that is taken: far more than any budget.
const NUMBER_MAX: f64 = 1e6;

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be small and not negative")]
fn scaled(what: &str, number: f64, bits: i32) -> Result<u128, CliFault> {
    if (0.0..=NUMBER_MAX).contains(&number) {
        Ok((number * 2_f64.powi(bits)).floor() as u128)
    } else {
        Err(CliFault::usage(format!("{what} is no number from 0 to {NUMBER_MAX}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_and_budgets_scaled() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("accounts.toml");
        let text = "[accounts.patients]\npopulation = \"patients\"\nrho = 0.5\npatients_max = 1000\n";
        std::fs::write(&file, text).unwrap();
        let all = read(&file).unwrap();
        let (found, renews) = &all[&"patients".parse::<Name>().unwrap()];
        assert_eq!(*renews, None);
        assert_eq!((found.rho, found.delta, found.patients_max), (Rho(1 << 79), Delta(0), 1000));
        assert!(rho(-1.0).is_err() && rho(f64::NAN).is_err());
        std::fs::write(&file, text.replace("rho", "rhoo")).unwrap();
        assert!(read(&file).is_err());
    }
}
