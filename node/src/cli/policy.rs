//! What happens to each column of a share: the guess from its name, then what a person says by flags or a policy file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cohortium_protocol::ident::{ColumnName, Name, Text};
use cohortium_protocol::record::dataset::DateFormat;
use cohortium_protocol::record::literal::ZipArea;
use cohortium_protocol::record::row_filter::RowTest;
use cohortium_protocol::record::safe_harbor::{birth_floor, small_areas_2000};
use cohortium_protocol::record::schema::{Column, ColumnRole, ColumnType, IdentifierClass, Treatment};
use cohortium_protocol::record::share::{Linkage, Standard, TableTerms};
use cohortium_protocol::time::UnixMillis;
use serde::Deserialize;

use crate::cli::exit::CliFault;
use crate::cli::print::from_word;
use crate::home;

/// The largest policy file.
const POLICY_BYTES_MAX: u64 = 1024 * 1024;

/// A policy file: what a person says about a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// What all of it is held to.
    standard: Option<Standard>,
    /// Who answers for the columns that name nobody else.
    owner: Option<Name>,
    /// ZIP areas of 20,000 or fewer people; those of the census of 2000 where nobody says otherwise.
    small_areas: Option<BTreeSet<ZipArea>>,
    /// The tests that a row must pass to leave, all of them.
    #[serde(default)]
    filter: Vec<RowTest>,
    /// By the column's name.
    #[serde(default)]
    columns: BTreeMap<ColumnName, Said>,
}

/// What a person says about one column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    role: Option<ColumnRole>,
    class: Option<SaidClass>,
    owner: Option<Name>,
    treatment: Option<Treatment>,
    reason: Option<Text>,
}

/// A class, or the word `none`, which contradicts a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct SaidClass(Option<IdentifierClass>);

impl TryFrom<String> for SaidClass {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        if word == "none" { Ok(Self(None)) } else { from_word(&word).map(|class| Self(Some(class))) }
    }
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
    /// A measure that leaves, and to how many decimal digits it is rounded; below 0 to tens, hundreds and so on
    #[arg(long, value_name = "COLUMN=DIGITS", value_delimiter = ',', value_parser = column_digits)]
    round: Vec<(ColumnName, i8)>,
    /// What the share is held to: hipaa-safe-harbor, or none
    #[arg(long, value_parser = from_word::<Standard>)]
    standard: Option<Standard>,
    /// A TOML file: standard, owner, `small_areas`, filter, and [columns.NAME] with role, class, owner, treatment, reason
    #[arg(long, value_name = "FILE")]
    policy: Option<std::path::PathBuf>,
}

fn column_role(text: &str) -> Result<(ColumnName, ColumnRole), String> {
    let (name, role) = text.rsplit_once('=').ok_or("is not COLUMN=ROLE")?;
    Ok((name.parse().map_err(|fault| format!("the column's name {fault}"))?, from_word(role)?))
}

fn column_digits(text: &str) -> Result<(ColumnName, i8), String> {
    let (name, digits) = text.rsplit_once('=').ok_or("is not COLUMN=DIGITS")?;
    let name = name.parse().map_err(|fault| format!("the column's name {fault}"))?;
    Ok((name, digits.parse().map_err(|_| "has no small whole number of digits")?))
}

impl ColumnFlags {
    /// Whether any of them is given.
    pub(crate) fn any(&self) -> bool {
        let columns = !self.drop.is_empty() || !self.pseudonym.is_empty() || !self.keep_role.is_empty();
        columns || !self.round.is_empty() || self.standard.is_some() || self.policy.is_some()
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
            let said = policy.columns.entry(name.clone()).or_default();
            (said.role, said.treatment) = (Some(*role), Some(Treatment::Keep));
        }
        for (name, digits) in &self.round {
            let said = policy.columns.entry(name.clone()).or_default();
            (said.role, said.treatment) = (Some(ColumnRole::Measure), Some(Treatment::Round(*digits)));
        }
        policy.standard = self.standard.or(policy.standard);
        Ok(policy)
    }

    /// The terms of a table's share: what was profiled, with the person's word over the guess.
    ///
    /// A guessed direct identifier and free text do not leave unless a person says so, and a guessed measure whose
    /// precision nobody has declared counts as a quasi-identifier.
    pub(crate) fn apply(
        &self,
        profiled: Vec<Column>,
        linkage: Linkage,
        expires: UnixMillis,
    ) -> Result<TableTerms, CliFault> {
        let Policy { standard, owner, small_areas, filter, columns: mut said } = self.policy()?;
        let standard = standard.unwrap_or(Standard::None);
        let decided = profiled.into_iter().map(|column| {
            let said = said.remove(&column.name).unwrap_or_default();
            let mut column = decide(said, column, standard, expires);
            column.owner = column.owner.or_else(|| owner.clone());
            column
        });
        let columns: Vec<Column> = decided.collect();
        if let Some(name) = said.keys().next() {
            return Err(CliFault::not_found(format!(
                "the source has no column {name}; `cohortium dataset profile` lists them"
            )));
        }
        let zips = columns.iter().any(|column| column.treatment == Treatment::Zip3);
        let small_areas = small_areas.unwrap_or_else(|| if zips { small_areas_2000() } else { BTreeSet::new() });
        Ok(TableTerms { columns, linkage, filter, small_areas, standard })
    }
}

fn decide(said: Said, column: Column, standard: Standard, expires: UnixMillis) -> Column {
    let guessed = said.role.is_none();
    let role = said.role.unwrap_or(column.role);
    let class = said.class.map_or(column.class, |said| said.0);
    // A column whose type cannot leave comes as dropped, and stays so unless a person names it.
    let usual = match standard {
        _ if column.treatment == Treatment::Drop && guessed => Treatment::Drop,
        Standard::None => by_role(role),
        Standard::HipaaSafeHarbor => by_class(&column, role, class, expires),
    };
    let treatment = said.treatment.unwrap_or(usual);
    let plain_measure = role == ColumnRole::Measure && treatment == Treatment::Keep;
    let role = match role {
        ColumnRole::Measure if guessed && plain_measure && column.kind != ColumnType::Boolean => {
            ColumnRole::QuasiIdentifier
        }
        other => other,
    };
    let kind = treatment.leaves_as(column.kind).unwrap_or(column.kind);
    Column { role, class, owner: said.owner, treatment, reason: said.reason, kind, ..column }
}

const fn by_role(role: ColumnRole) -> Treatment {
    match role {
        ColumnRole::DirectIdentifier | ColumnRole::FreeText => Treatment::Drop,
        ColumnRole::QuasiIdentifier | ColumnRole::Sensitive | ColumnRole::Measure => Treatment::Keep,
    }
}

/// What Safe Harbor lets leave of a column. Days are taken to be written by ISO 8601: where they are not, the run says so.
fn by_class(column: &Column, role: ColumnRole, class: Option<IdentifierClass>, expires: UnixMillis) -> Treatment {
    let (name, format) = (column.name.as_str().to_ascii_lowercase(), DateFormat::Iso);
    let named = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let floor = u16::try_from(birth_floor(expires)).ok();
    let words = words(column.name.as_str());
    let says = |said: &[&str]| words.iter().any(|word| said.contains(&word.as_str()));
    let is_day = matches!(column.kind, ColumnType::Date | ColumnType::Timestamp);
    match (by_role(role), class) {
        // A month or a day by itself is no year, and which one it is of nobody can tell.
        (Treatment::Keep, Some(IdentifierClass::Date | IdentifierClass::BirthDate))
            if !is_day && says(&["day", "days", "month", "months"]) =>
        {
            Treatment::Drop
        }
        (Treatment::Keep, Some(IdentifierClass::Place)) if named(&["zip", "postal", "postcode"]) => Treatment::Zip3,
        (Treatment::Keep, Some(IdentifierClass::Date)) if !is_day && says(&["age"]) => {
            if Treatment::Age90.leaves_as(column.kind).is_some() { Treatment::Age90 } else { Treatment::Drop }
        }
        (Treatment::Keep, Some(IdentifierClass::Date)) => Treatment::Year { format, floor: None },
        (Treatment::Keep, Some(IdentifierClass::BirthDate)) => Treatment::Year { format, floor },
        (Treatment::Keep, None) if is_day => Treatment::Year { format, floor: None },
        (Treatment::Keep, Some(_)) => Treatment::Drop,
        (usual, _) => usual,
    }
}

/// The words of a name in lower case, parted as `suspicion` parts them: by signs, and where a capital begins one.
fn words(name: &str) -> Vec<String> {
    let (mut words, mut last) = (vec![String::new()], ' ');
    for character in name.chars() {
        let begins = character.is_ascii_uppercase() && (last.is_ascii_lowercase() || last.is_ascii_digit());
        if begins || !character.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_ascii_alphanumeric()) {
            word.push(character.to_ascii_lowercase());
        }
        last = character;
    }
    words
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
    use cohortium_protocol::record::suspicion::suspicion;

    use super::*;

    /// 2027-01-15.
    const END: UnixMillis = UnixMillis(1_800_000_000_000);

    fn column(name: &str, kind: ColumnType) -> Column {
        let found = suspicion(name);
        let treatment = by_role(found.role);
        Column { class: found.class, ..Column::new(name.parse().unwrap(), kind, found.role, treatment) }
    }

    fn profiled() -> Vec<Column> {
        let names = [("name", ColumnType::Text), ("note", ColumnType::Text), ("age", ColumnType::Integer)];
        let more = [("bmi", ColumnType::Float), ("flag", ColumnType::Boolean)];
        names.into_iter().chain(more).map(|(name, kind)| column(name, kind)).collect()
    }

    fn applied(flags: &ColumnFlags) -> TableTerms {
        flags.apply(profiled(), Linkage::None, END).unwrap()
    }

    fn treated(flags: &ColumnFlags) -> Vec<(ColumnRole, Treatment)> {
        applied(flags).columns.into_iter().map(|column| (column.role, column.treatment)).collect()
    }

    #[test]
    fn an_identifier_and_free_text_stay_unless_a_person_says_otherwise() {
        use ColumnRole::{DirectIdentifier, FreeText, Measure, QuasiIdentifier, Sensitive};
        use Treatment::{Drop, Keep, Pseudonym, Round};
        let (stays, flag) = ([(DirectIdentifier, Drop), (FreeText, Drop)], (Measure, Keep));
        let guessed = [stays[0], stays[1], (QuasiIdentifier, Keep), (QuasiIdentifier, Keep), flag];
        assert_eq!(treated(&ColumnFlags::default()), guessed, "no measure is plain by default");
        let flags = ColumnFlags {
            drop: vec!["age".parse().unwrap()],
            pseudonym: vec!["name".parse().unwrap()],
            keep_role: vec![column_role("note=sensitive").unwrap()],
            round: vec![column_digits("bmi=-1").unwrap()],
            ..ColumnFlags::default()
        };
        let said =
            [(DirectIdentifier, Pseudonym), (Sensitive, Keep), (QuasiIdentifier, Drop), (Measure, Round(-1)), flag];
        assert_eq!(treated(&flags), said);
        assert!(applied(&flags).columns.iter().all(|column| column.check().is_ok()));
        let plain = ColumnFlags { keep_role: vec![column_role("bmi=measure").unwrap()], ..ColumnFlags::default() };
        assert_eq!(treated(&plain)[3], (Measure, Keep), "what a person says is not bent: the terms refuse it");
    }

    // SHARE-15
    #[test]
    fn the_preset_decides_by_class_and_its_own_terms_stand() {
        use Treatment::{Age90, Drop, Keep, Zip3};
        use cohortium_protocol::record::safe_harbor::check;
        let year = |floor| Treatment::Year { format: DateFormat::Iso, floor };
        let names = "mrn street zip city vdate dob age note sodium facid email photo";
        let text = names.split(' ').map(|name| column(name, ColumnType::Text));
        let typed = column("onset", ColumnType::Date);
        let flags = ColumnFlags { standard: Some(Standard::HipaaSafeHarbor), ..ColumnFlags::default() };
        let terms = flags.apply(text.chain([typed]).collect(), Linkage::None, END).unwrap();
        let treatments: Vec<Treatment> = terms.columns.iter().map(|column| column.treatment).collect();
        let expected =
            [Drop, Drop, Zip3, Drop, year(None), year(Some(1938)), Age90, Drop, Keep, Keep, Drop, Drop, year(None)];
        assert_eq!(treatments, expected);
        assert_eq!(terms.small_areas, small_areas_2000());
        for column in &terms.columns {
            assert_eq!((column.check(), check(column, &terms.small_areas, END)), (Ok(()), Ok(())), "{}", column.name);
            assert!(column.treatment.fits(column.kind), "{}", column.name);
        }
    }

    // SHARE-15
    #[test]
    fn under_the_preset_a_number_named_age_is_capped_and_one_named_day_or_month_does_not_leave() {
        use Treatment::{Age90, Drop};
        let year = |floor| Treatment::Year { format: DateFormat::Iso, floor };
        let table = [
            ("ageAtAdmission", ColumnType::Integer, Age90),
            ("admission_age", ColumnType::Integer, Age90),
            ("age", ColumnType::Text, Age90),
            ("age", ColumnType::Float, Drop),
            ("month", ColumnType::Integer, Drop),
            ("day", ColumnType::Integer, Drop),
            ("admissionMonth", ColumnType::Integer, Drop),
            ("birth_month", ColumnType::Integer, Drop),
            ("age_months", ColumnType::Integer, Drop),
            ("admission_day", ColumnType::Date, year(None)),
            ("admission", ColumnType::Integer, year(None)),
            ("yob", ColumnType::Integer, year(Some(1938))),
            ("dosage", ColumnType::Integer, Treatment::Keep),
        ];
        let flags = ColumnFlags { standard: Some(Standard::HipaaSafeHarbor), ..ColumnFlags::default() };
        for (name, kind, expected) in table {
            let terms = flags.apply(vec![column(name, kind)], Linkage::None, END).unwrap();
            assert_eq!(terms.columns[0].treatment, expected, "{name} {kind:?}");
            assert_eq!(terms.columns[0].check(), Ok(()), "{name}");
        }
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
        for wrong in [
            "[columns.name]\ntreat = \"drop\"",
            "[columns.name]\nrole = \"king\"",
            "colums = 1",
            "[columns.age]\nclass = \"king\"",
            "small_areas = [\"36\"]",
            "[columns.age]\ntreatment = { round = 300 }",
        ] {
            write(wrong);
            let fault = flags(&[]).apply(profiled(), Linkage::None, END).unwrap_err();
            assert!(fault.message.contains("line"), "{wrong}");
        }
        write("[columns.gone]\ntreatment = \"drop\"\n");
        let fault = flags(&[]).apply(profiled(), Linkage::None, END).unwrap_err();
        assert!(fault.message.contains("gone"));
    }

    #[test]
    fn a_policy_file_says_everything_that_terms_hold() {
        use cohortium_protocol::record::row_filter::{Bound, Passes};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        let text = "owner = \"registry\"\nsmall_areas = [\"036\"]\n\
                    [[filter]]\ncolumn = \"age\"\npasses = { at-least = { number = \"18\" } }\n\
                    [columns.age]\nclass = \"none\"\nowner = \"a.meyer\"\nreason = \"In bands already\"\n\
                    [columns.bmi]\nrole = \"measure\"\ntreatment = { round = 1 }\n\
                    [columns.note]\nrole = \"quasi-identifier\"\nclass = \"date\"\n\
                    treatment = { year = { format = \"day-month-year-dots\", floor = 1940 } }\n";
        std::fs::write(&path, text).unwrap();
        let terms = applied(&ColumnFlags { policy: Some(path), ..ColumnFlags::default() });
        let at_least = Passes::AtLeast(Bound::Number("18".parse().unwrap()));
        assert_eq!(terms.filter, [RowTest { column: "age".parse().unwrap(), passes: at_least }]);
        assert_eq!(terms.small_areas.len(), 1);
        let [name, note, age, bmi, _] = &terms.columns[..] else { panic!("five columns") };
        let owner = |column: &Column| column.owner.as_ref().map(ToString::to_string);
        assert_eq!([owner(name), owner(age)], [Some("registry".to_owned()), Some("a.meyer".to_owned())]);
        assert_eq!((age.class, age.reason.is_some(), bmi.treatment), (None, true, Treatment::Round(1)));
        let year = Treatment::Year { format: DateFormat::DayMonthYearDots, floor: Some(1940) };
        assert_eq!((note.class, note.treatment), (Some(IdentifierClass::Date), year));
    }

    #[test]
    fn a_column_and_a_role_are_read_from_the_last_equals_sign() {
        assert_eq!(column_role("a=b=measure").unwrap().0.as_str(), "a=b");
        for bad in ["a", "a=king", "=measure"] {
            assert!(column_role(bad).is_err(), "{bad}");
        }
        assert_eq!(
            column_digits("a=b=-2").map(|(name, digits)| (name.to_string(), digits)),
            Ok(("a=b".to_owned(), -2))
        );
        for bad in ["a", "a=x", "=1", "a=300"] {
            assert!(column_digits(bad).is_err(), "{bad}");
        }
    }
}
