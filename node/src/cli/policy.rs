//! What happens to each column of a share: the guess from its name, then what a person says by flags or a policy file.

use std::collections::BTreeMap;
use std::path::Path;

use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::record::schema::{Column, ColumnRole, Treatment};
use serde::Deserialize;

use crate::cli::exit::CliFault;
use crate::cli::print::from_word;
use crate::home;

/// The largest policy file.
const POLICY_BYTES_MAX: u64 = 1024 * 1024;

/// A policy file: what a person says about columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// By the column's name.
    #[serde(default)]
    columns: BTreeMap<ColumnName, Said>,
}

/// What a person says about one column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    role: Option<ColumnRole>,
    treatment: Option<Treatment>,
}

/// Flags that speak of columns.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ColumnFlags {
    /// Columns that do not leave
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    drop: Vec<ColumnName>,
    /// Columns whose values become keyed ids that only this node can compute
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    pseudonym: Vec<ColumnName>,
    /// A column that leaves in this role: quasi-identifier, sensitive, measure or free-text
    #[arg(long, value_name = "COLUMN=ROLE", value_delimiter = ',', value_parser = column_role)]
    keep_role: Vec<(ColumnName, ColumnRole)>,
    /// A TOML file with a table for each column: [columns.NAME] role = "...", treatment = "drop", "keep" or "pseudonym"
    #[arg(long, value_name = "FILE")]
    policy: Option<std::path::PathBuf>,
}

fn column_role(text: &str) -> Result<(ColumnName, ColumnRole), String> {
    let (name, role) = text.rsplit_once('=').ok_or("is not COLUMN=ROLE")?;
    Ok((name.parse().map_err(|fault| format!("the column's name {fault}"))?, from_word(role)?))
}

impl ColumnFlags {
    /// Whether any of them is given.
    pub(crate) fn any(&self) -> bool {
        !self.drop.is_empty() || !self.pseudonym.is_empty() || !self.keep_role.is_empty() || self.policy.is_some()
    }

    /// The policy file with the flags over it.
    fn policy(&self) -> Result<Policy, CliFault> {
        let mut policy = match &self.policy {
            Some(path) => read(path)?,
            None => Policy::default(),
        };
        for name in &self.drop {
            policy.columns.entry(name.clone()).or_default().treatment = Some(Treatment::Drop);
        }
        for name in &self.pseudonym {
            policy.columns.entry(name.clone()).or_default().treatment = Some(Treatment::Pseudonym);
        }
        for (name, role) in &self.keep_role {
            *policy.columns.entry(name.clone()).or_default() =
                Said { role: Some(*role), treatment: Some(Treatment::Keep) };
        }
        Ok(policy)
    }

    /// The columns of a share: what was profiled, with the person's word over the guess.
    ///
    /// A guessed direct identifier and free text do not leave unless a person says so.
    pub(crate) fn apply(&self, profiled: Vec<Column>) -> Result<Vec<Column>, CliFault> {
        let mut policy = self.policy()?.columns;
        let columns =
            profiled.into_iter().map(|column| decide(policy.remove(&column.name).unwrap_or_default(), column));
        let columns: Vec<Column> = columns.collect();
        match policy.keys().next() {
            Some(name) => Err(CliFault::not_found(format!(
                "the source has no column {name}; `cohortium dataset profile` lists them"
            ))),
            None => Ok(columns),
        }
    }
}

fn decide(said: Said, column: Column) -> Column {
    let role = said.role.unwrap_or(column.role);
    let by_role = match role {
        ColumnRole::DirectIdentifier | ColumnRole::FreeText => Treatment::Drop,
        ColumnRole::QuasiIdentifier | ColumnRole::Sensitive | ColumnRole::Measure => Treatment::Keep,
    };
    // A column whose type cannot leave comes as dropped, and stays so unless a person names it.
    let guessed = if column.treatment == Treatment::Drop && said.role.is_none() { Treatment::Drop } else { by_role };
    Column { role, treatment: said.treatment.unwrap_or(guessed), ..column }
}

fn read(path: &Path) -> Result<Policy, CliFault> {
    let bytes = home::read_bounded(path, POLICY_BYTES_MAX)?;
    let text =
        String::from_utf8(bytes).map_err(|_| CliFault::usage(format!("{} is not UTF-8 text", path.display())))?;
    toml::from_str(&text).map_err(|fault| {
        let line = fault.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        CliFault::usage(format!("{}, line {line}: {}", path.display(), fault.message().replace('\n', " ")))
    })
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::record::schema::ColumnType;

    use super::*;

    fn column(name: &str, role: ColumnRole) -> Column {
        Column { name: name.parse().unwrap(), kind: ColumnType::Text, role, treatment: Treatment::Keep }
    }

    fn profiled() -> Vec<Column> {
        vec![
            column("name", ColumnRole::DirectIdentifier),
            column("note", ColumnRole::FreeText),
            column("age", ColumnRole::QuasiIdentifier),
            column("bmi", ColumnRole::Measure),
        ]
    }

    fn treated(flags: &ColumnFlags) -> Vec<(ColumnRole, Treatment)> {
        flags.apply(profiled()).unwrap().into_iter().map(|column| (column.role, column.treatment)).collect()
    }

    #[test]
    fn an_identifier_and_free_text_stay_unless_a_person_says_otherwise() {
        use ColumnRole::{DirectIdentifier, FreeText, Measure, QuasiIdentifier, Sensitive};
        use Treatment::{Drop, Keep, Pseudonym};
        let guessed = [(DirectIdentifier, Drop), (FreeText, Drop), (QuasiIdentifier, Keep), (Measure, Keep)];
        assert_eq!(treated(&ColumnFlags::default()), guessed);
        let flags = ColumnFlags {
            drop: vec!["bmi".parse().unwrap()],
            pseudonym: vec!["name".parse().unwrap()],
            keep_role: vec![column_role("note=sensitive").unwrap()],
            policy: None,
        };
        let said = [(DirectIdentifier, Pseudonym), (Sensitive, Keep), (QuasiIdentifier, Keep), (Measure, Drop)];
        assert_eq!(treated(&flags), said);
    }

    #[test]
    fn a_policy_file_is_read_strictly_and_flags_stand_over_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let flags = |drop: &[&str]| ColumnFlags {
            drop: drop.iter().map(|name| name.parse().unwrap()).collect(),
            policy: Some(path.clone()),
            ..ColumnFlags::default()
        };
        write("[columns.name]\ntreatment = \"pseudonym\"\n[columns.bmi]\nrole = \"sensitive\"\n");
        assert_eq!(treated(&flags(&[]))[0].1, Treatment::Pseudonym);
        assert_eq!(treated(&flags(&[]))[3], (ColumnRole::Sensitive, Treatment::Keep));
        assert_eq!(treated(&flags(&["name"]))[0].1, Treatment::Drop);
        for wrong in ["[columns.name]\ntreat = \"drop\"", "[columns.name]\nrole = \"king\"", "colums = 1"] {
            write(wrong);
            assert!(flags(&[]).apply(profiled()).unwrap_err().message.contains("line"), "{wrong}");
        }
        write("[columns.gone]\ntreatment = \"drop\"\n");
        assert!(flags(&[]).apply(profiled()).unwrap_err().message.contains("gone"));
    }

    #[test]
    fn a_column_and_a_role_are_read_from_the_last_equals_sign() {
        assert_eq!(column_role("a=b=measure").unwrap().0.as_str(), "a=b");
        for bad in ["a", "a=king", "=measure"] {
            assert!(column_role(bad).is_err(), "{bad}");
        }
    }
}
