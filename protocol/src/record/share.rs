//! A share's terms: what a provider offers, to whom, for what, until when.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::{ColumnName, ConsortiumId, DatasetId, Name, ReleaseId, ShareId, Text};
use crate::key::signed::Record;
use crate::limits::COLUMNS_MAX;
use crate::record::charter::LandedRows;
use crate::record::extension::Extensions;
use crate::record::literal::ZipArea;
use crate::record::row_filter::{Passes, RowTest, within_bounds};
use crate::record::safe_harbor::{self, Breach};
use crate::record::schedule::Schedule;
use crate::record::schema::{Column, ColumnRole, Treatment, Unlawful};
use crate::record::suspicion::suspicion;
use crate::time::UnixMillis;

/// Whether rows are copied or stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A copy travels, full and then in deltas.
    Snapshot,
    /// Rows stay; pseudonymised rows answer queries of named recipients. No privacy claim.
    InPlaceRows,
    /// Rows stay; each answer is an aggregate release.
    InPlacePrivate,
}

/// What is shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A table, its direct identifiers dropped or tokenised.
    Table(TableTerms),
    /// A set of files that nobody looked into: labelled `unchecked` everywhere, never an input to consolidation.
    UncheckedFiles,
    /// The folder of one signed release, always whole, and never an input to consolidation.
    Release {
        /// The release.
        release: ReleaseId,
    },
}

/// What of a table leaves, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableTerms {
    /// The columns of the source, each with what is done to it.
    pub columns: Vec<Column>,
    /// Whether each row carries the patient's linkage token.
    pub linkage: Linkage,
    /// The tests that a row must pass to leave, all of them; applied before anything else.
    pub filter: Vec<RowTest>,
    /// The ZIP areas of 20,000 or fewer people, which leave as `000`. Who defines the terms takes them from a census.
    pub small_areas: BTreeSet<ZipArea>,
    /// What all of it together is held to.
    pub standard: Standard,
}

impl TableTerms {
    /// Terms of these columns, all rows, held to no standard.
    pub const fn of(columns: Vec<Column>, linkage: Linkage) -> Self {
        Self { columns, linkage, filter: Vec::new(), small_areas: BTreeSet::new(), standard: Standard::None }
    }

    /// The columns that leave, in their order.
    pub fn leaving(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.leaves())
    }

    /// Whether a row's id may be made of its key. Under Safe Harbor it is not: no code that is derived from a person
    /// leaves, so rows are known by their place and every snapshot is full.
    pub fn keyed(&self) -> bool {
        self.standard == Standard::None
    }
}

/// A published standard that a table is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standard {
    /// None: rows are pseudonymised.
    None,
    /// 45 CFR 164.514(b)(2).
    HipaaSafeHarbor,
}

/// Whether rows carry linkage tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Linkage {
    /// No token: each member-local patient is a unit of its own.
    None,
    /// A token of the consortium's current epoch.
    Token,
}

/// The terms of one share in one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ShareFields", into = "ShareFields")]
pub struct Share(ShareFields);

/// A share's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareFields {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Who offers it.
    pub provider: Name,
    /// Its id, in every version.
    pub share: ShareId,
    /// For people.
    pub name: Name,
    /// 1, 2, 3, ...
    pub version: u32,
    /// The provider's dataset.
    pub dataset: DatasetId,
    /// Copied or in place.
    pub form: Form,
    /// What is in it.
    pub content: Content,
    /// What it may be used for.
    pub purpose: Text,
    /// Who may be invited.
    pub consumers: BTreeSet<Name>,
    /// No byte from here on.
    pub expires: UnixMillis,
    /// What revocation and expiry mean for rows that have landed.
    pub landed_rows: LandedRows,
    /// When snapshots are taken.
    pub schedule: Schedule,
    /// Room for later versions.
    pub ext: Extensions,
}

/// Why fields do not make a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareFault {
    /// A direct identifier would leave as something other than a pseudonym (law 1).
    IdentifierLeaves(ColumnName),
    /// Free text would leave, and no reason is stated.
    FreeTextLeaves(ColumnName),
    /// A measure would leave as finely as it was measured.
    MeasureNotRounded(ColumnName),
    /// The name says that it is a direct identifier, the role that it is none, and no reason is stated.
    IdentifierSuspected(ColumnName),
    /// The treatment does not make values of the type, or its numbers are out of bounds.
    TreatmentUnfit(ColumnName),
    /// Two columns with one name.
    ColumnTwice(ColumnName),
    /// No column leaves, or more than 4,096 are listed.
    Columns,
    /// The filter tests a column that is not listed.
    FilterColumn(ColumnName),
    /// The filter compares a direct identifier or free text with values.
    FilterTells(ColumnName),
    /// The filter has more than 64 tests, or a test of no or more than 1,000 texts.
    Filter,
    /// Dates would be shifted within two different bounds.
    ShiftBounds(ColumnName),
    /// A column may not leave like this under Safe Harbor.
    SafeHarbor {
        /// The column.
        column: ColumnName,
        /// What it would leave as.
        breach: Breach,
    },
    /// Rows would carry linkage tokens under Safe Harbor.
    SafeHarborTokens,
    /// Version 0.
    Version,
    /// Unchecked files and releases are only ever copied.
    FilesInPlace,
    /// The provider is among its own consumers.
    ConsumerIsProvider,
}

impl fmt::Display for ShareFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IdentifierLeaves(name) => {
                write!(f, "column {name} is a direct identifier and would leave readable; drop it or pseudonymise it")
            }
            Self::FreeTextLeaves(name) => write!(f, "column {name} is free text; drop it, or state a reason"),
            Self::MeasureNotRounded(name) => write!(
                f,
                "column {name} is a measure and would leave as finely as it was measured; \
                 round it to so many digits, or declare it a quasi-identifier"
            ),
            Self::IdentifierSuspected(name) => {
                write!(f, "column {name} is by its name a direct identifier and declared to be none; state a reason")
            }
            Self::TreatmentUnfit(name) => {
                write!(f, "column {name} cannot be treated so: its type or a number is wrong")
            }
            Self::ColumnTwice(name) => write!(f, "column {name} is listed twice"),
            Self::Columns => write!(f, "a table share needs a column that leaves and at most {COLUMNS_MAX} columns"),
            Self::FilterColumn(name) => write!(f, "the filter tests column {name}, which is not listed"),
            Self::FilterTells(name) => write!(
                f,
                "the filter compares column {name}, a direct identifier or free text, with values that the terms would tell; \
                 test whether it is present, or state a reason"
            ),
            Self::Filter => f.write_str("the filter has too many tests, or a test of no or too many texts"),
            Self::ShiftBounds(name) => write!(f, "column {name} is shifted within another bound than the others"),
            Self::SafeHarbor { column, breach } => write!(f, "column {column} would leave as {breach}"),
            Self::SafeHarborTokens => f.write_str("linkage tokens do not leave under Safe Harbor"),
            Self::Version => f.write_str("the version is zero"),
            Self::FilesInPlace => f.write_str("a set of unchecked files or a release can only be copied"),
            Self::ConsumerIsProvider => f.write_str("the provider is among the consumers"),
        }
    }
}

impl std::error::Error for ShareFault {}

impl TryFrom<ShareFields> for Share {
    type Error = ShareFault;

    fn try_from(fields: ShareFields) -> Result<Self, ShareFault> {
        if fields.version == 0 {
            return Err(ShareFault::Version);
        }
        if fields.consumers.contains(&fields.provider) {
            return Err(ShareFault::ConsumerIsProvider);
        }
        match &fields.content {
            Content::UncheckedFiles | Content::Release { .. } if fields.form != Form::Snapshot => {
                return Err(ShareFault::FilesInPlace);
            }
            Content::UncheckedFiles | Content::Release { .. } => {}
            Content::Table(table) => check_table(table, fields.expires)?,
        }
        Ok(Self(fields))
    }
}

fn check_table(table: &TableTerms, expires: UnixMillis) -> Result<(), ShareFault> {
    let mut names = BTreeSet::new();
    for column in &table.columns {
        check_column(column)?;
        if !names.insert(&column.name) {
            return Err(ShareFault::ColumnTwice(column.name.clone()));
        }
    }
    if table.leaving().next().is_none() || table.columns.len() > COLUMNS_MAX {
        return Err(ShareFault::Columns);
    }
    for test in &table.filter {
        let column = table.columns.iter().find(|column| column.name == test.column);
        check_test(test, column.ok_or_else(|| ShareFault::FilterColumn(test.column.clone()))?)?;
    }
    if !within_bounds(&table.filter) {
        return Err(ShareFault::Filter);
    }
    check_shifts(&table.columns)?;
    match table.standard {
        Standard::None => Ok(()),
        Standard::HipaaSafeHarbor => check_safe_harbor(table, expires),
    }
}

fn check_column(column: &Column) -> Result<(), ShareFault> {
    let name = || column.name.clone();
    column.check().map_err(|unlawful| match unlawful {
        Unlawful::Identifier => ShareFault::IdentifierLeaves(name()),
        Unlawful::FreeText => ShareFault::FreeTextLeaves(name()),
        Unlawful::Measure => ShareFault::MeasureNotRounded(name()),
    })?;
    if !column.treatment.fits(column.kind) {
        return Err(ShareFault::TreatmentUnfit(name()));
    }
    let suspected = suspicion(column.name.as_str()).role == ColumnRole::DirectIdentifier;
    if suspected && column.leaves_readable() && column.reason.is_none() {
        return Err(ShareFault::IdentifierSuspected(name()));
    }
    Ok(())
}

/// Terms are signed, sent and kept by every consumer: what a filter compares with is in them (spec SHARE-23).
fn check_test(test: &RowTest, column: &Column) -> Result<(), ShareFault> {
    let suspected = suspicion(column.name.as_str()).role == ColumnRole::DirectIdentifier && column.reason.is_none();
    let names = suspected || matches!(column.role, ColumnRole::DirectIdentifier | ColumnRole::FreeText);
    if names && test.passes != Passes::Present { Err(ShareFault::FilterTells(test.column.clone())) } else { Ok(()) }
}

/// One bound for all: else two columns would tell a patient's shift.
fn check_shifts(columns: &[Column]) -> Result<(), ShareFault> {
    let mut first = None;
    for column in columns {
        if let Treatment::ShiftDates { days_max, .. } = column.treatment
            && *first.get_or_insert(days_max) != days_max
        {
            return Err(ShareFault::ShiftBounds(column.name.clone()));
        }
    }
    Ok(())
}

fn check_safe_harbor(table: &TableTerms, expires: UnixMillis) -> Result<(), ShareFault> {
    if table.linkage == Linkage::Token {
        return Err(ShareFault::SafeHarborTokens);
    }
    for column in &table.columns {
        safe_harbor::check(column, &table.small_areas, expires)
            .map_err(|breach| ShareFault::SafeHarbor { column: column.name.clone(), breach })?;
        for test in table.filter.iter().filter(|test| test.column == column.name) {
            safe_harbor::check_test(&test.passes, column, expires)
                .map_err(|breach| ShareFault::SafeHarbor { column: column.name.clone(), breach })?;
        }
    }
    Ok(())
}

impl From<Share> for ShareFields {
    fn from(share: Share) -> Self {
        share.0
    }
}

impl std::ops::Deref for Share {
    type Target = ShareFields;

    fn deref(&self) -> &ShareFields {
        &self.0
    }
}

impl Record for Share {
    const LABEL: &'static str = "application/vnd.cohortium.v1.share.v1";
    const TITLE: &'static str = "share";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::dataset::DateFormat;
    use crate::record::safe_harbor::small_areas_2000;
    use crate::record::schema::{ColumnType, IdentifierClass};

    const ISO: DateFormat = DateFormat::Iso;

    fn column(name: &str, role: ColumnRole, treatment: Treatment) -> Column {
        Column::new(name.parse().unwrap(), ColumnType::Text, role, treatment)
    }

    fn los() -> Column {
        column("los", ColumnRole::Measure, Treatment::Round(0))
    }

    fn share(columns: Vec<Column>) -> ShareFields {
        table(TableTerms::of(columns, Linkage::None))
    }

    fn table(table: TableTerms) -> ShareFields {
        ShareFields {
            consortium: ConsortiumId([1; 32]),
            provider: "north".parse().unwrap(),
            share: ShareId([2; 16]),
            name: "stays".parse().unwrap(),
            version: 1,
            dataset: DatasetId([3; 16]),
            form: Form::Snapshot,
            content: Content::Table(table),
            purpose: "length of stay".parse().unwrap(),
            consumers: BTreeSet::from(["operator".parse().unwrap()]),
            expires: UnixMillis(9),
            landed_rows: LandedRows::Exclude,
            schedule: Schedule::MANUAL,
            ext: Extensions::default(),
        }
    }

    fn fault(columns: Vec<Column>) -> Option<ShareFault> {
        Share::try_from(share(columns)).err()
    }

    fn name(text: &str) -> ColumnName {
        text.parse().unwrap()
    }

    const TREATMENTS: [Treatment; 9] = [
        Treatment::Drop,
        Treatment::Keep,
        Treatment::Pseudonym,
        Treatment::Month { format: ISO },
        Treatment::Year { format: ISO, floor: None },
        Treatment::Zip3,
        Treatment::Age90,
        Treatment::ShiftDates { format: ISO, days_max: 30 },
        Treatment::Round(1),
    ];

    // SHARE-1
    #[test]
    fn a_direct_identifier_leaves_as_a_pseudonym_or_not_at_all() {
        for treatment in TREATMENTS {
            let lawful = matches!(treatment, Treatment::Drop | Treatment::Pseudonym);
            let expected = if lawful { None } else { Some(ShareFault::IdentifierLeaves(name("eid"))) };
            let eid = column("eid", ColumnRole::DirectIdentifier, treatment);
            assert_eq!(fault(vec![los(), eid]), expected, "{treatment:?}");
        }
    }

    // SHARE-11
    #[test]
    fn free_text_leaves_only_with_a_reason() {
        for treatment in TREATMENTS {
            let note = column("note", ColumnRole::FreeText, treatment);
            let expected =
                if treatment == Treatment::Drop { None } else { Some(ShareFault::FreeTextLeaves(name("note"))) };
            assert_eq!(fault(vec![los(), note.clone()]), expected, "{treatment:?}");
            let stated = Column { reason: Some("read by two people".parse().unwrap()), ..note };
            assert_eq!(fault(vec![los(), stated]), None, "{treatment:?}");
        }
    }

    // SHARE-12
    #[test]
    fn a_measure_is_rounded_or_is_a_quasi_identifier() {
        for kind in [ColumnType::Text, ColumnType::Integer, ColumnType::Float, ColumnType::Other, ColumnType::Date] {
            let kept = Column { kind, ..column("x", ColumnRole::Measure, Treatment::Keep) };
            assert_eq!(fault(vec![kept.clone()]), Some(ShareFault::MeasureNotRounded(name("x"))), "{kind:?}");
            assert_eq!(fault(vec![Column { role: ColumnRole::QuasiIdentifier, ..kept.clone() }]), None);
            if kind != ColumnType::Date {
                assert_eq!(fault(vec![Column { treatment: Treatment::Round(1), ..kept }]), None);
            }
        }
        let flag = Column { kind: ColumnType::Boolean, ..column("x", ColumnRole::Measure, Treatment::Keep) };
        assert_eq!(fault(vec![flag]), None);
    }

    // SHARE-13
    #[test]
    fn a_name_that_speaks_of_an_identifier_is_contradicted_only_with_a_reason() {
        let mrn = column("mrn", ColumnRole::Measure, Treatment::Round(0));
        assert_eq!(fault(vec![mrn.clone()]), Some(ShareFault::IdentifierSuspected(name("mrn"))));
        for treatment in [Treatment::Drop, Treatment::Pseudonym] {
            assert_eq!(fault(vec![los(), Column { treatment, ..mrn.clone() }]), None);
        }
        assert_eq!(fault(vec![Column { reason: Some("a count".parse().unwrap()), ..mrn }]), None);
        assert_eq!(
            fault(vec![column("zip", ColumnRole::QuasiIdentifier, Treatment::Keep)]),
            None,
            "no direct identifier"
        );
    }

    // SHARE-14
    #[test]
    fn treatments_filters_and_shifts_keep_their_bounds() {
        let unfit = column("x", ColumnRole::Sensitive, Treatment::Round(13));
        assert_eq!(fault(vec![unfit]), Some(ShareFault::TreatmentUnfit(name("x"))));
        let shift = |of: &str, days_max| {
            column(of, ColumnRole::QuasiIdentifier, Treatment::ShiftDates { format: ISO, days_max })
        };
        assert_eq!(fault(vec![shift("x", 30), shift("y", 30)]), None);
        assert_eq!(fault(vec![shift("x", 30), shift("y", 31)]), Some(ShareFault::ShiftBounds(name("y"))));
        let filtered = |of: &str, tests: usize| {
            let test = RowTest { column: name(of), passes: Passes::Present };
            let terms = TableTerms { filter: vec![test; tests], ..TableTerms::of(vec![los()], Linkage::None) };
            Share::try_from(table(terms)).err()
        };
        assert_eq!([filtered("los", 64), filtered("los", 65)], [None, Some(ShareFault::Filter)]);
        assert_eq!(filtered("gone", 1), Some(ShareFault::FilterColumn(name("gone"))));
    }

    // SHARE-23
    #[test]
    fn a_filter_compares_no_identifier_with_values() {
        let one_of = Passes::OneOf(BTreeSet::from(["1234567".parse().unwrap()]));
        let filtered = |column: &Column, passes: &Passes| {
            let filter = vec![RowTest { column: column.name.clone(), passes: passes.clone() }];
            Share::try_from(table(TableTerms { filter, ..TableTerms::of(vec![los(), column.clone()], Linkage::None) }))
                .err()
        };
        let reason = Some("a number of visits".parse().unwrap());
        let mrn = column("mrn", ColumnRole::QuasiIdentifier, Treatment::Drop);
        let stated = Column { reason: reason.clone(), ..mrn.clone() };
        let number = column("x", ColumnRole::DirectIdentifier, Treatment::Pseudonym);
        let words = Column { reason, ..column("y", ColumnRole::FreeText, Treatment::Keep) };
        let ward = column("ward", ColumnRole::QuasiIdentifier, Treatment::Keep);
        for told in [&mrn, &number, &words] {
            assert_eq!(filtered(told, &one_of), Some(ShareFault::FilterTells(told.name.clone())));
            assert_eq!(filtered(told, &Passes::Present), None);
        }
        for plain in [&stated, &ward] {
            assert_eq!(filtered(plain, &one_of), None);
        }
    }

    // SHARE-15
    #[test]
    fn safe_harbor_takes_no_tokens_and_no_column_that_breaks_it() {
        let terms = |columns, linkage| {
            let small_areas = small_areas_2000();
            TableTerms { small_areas, standard: Standard::HipaaSafeHarbor, ..TableTerms::of(columns, linkage) }
        };
        let zip = Column {
            class: Some(IdentifierClass::Place),
            ..column("zip", ColumnRole::QuasiIdentifier, Treatment::Zip3)
        };
        let fault = |columns, linkage| Share::try_from(table(terms(columns, linkage))).err();
        assert_eq!(fault(vec![los(), zip.clone()], Linkage::None), None);
        assert_eq!(fault(vec![los(), zip.clone()], Linkage::Token), Some(ShareFault::SafeHarborTokens));
        let kept = Column { treatment: Treatment::Keep, ..zip };
        let breach = Breach::Class(IdentifierClass::Place);
        assert_eq!(
            fault(vec![los(), kept], Linkage::None),
            Some(ShareFault::SafeHarbor { column: name("zip"), breach })
        );
    }

    // SHARE-2
    #[test]
    fn fields_that_do_not_fit_together_are_no_share() {
        assert_eq!(fault(vec![]), Some(ShareFault::Columns));
        let twice = share(vec![los(), los()]);
        assert_eq!(Share::try_from(twice).err(), Some(ShareFault::ColumnTwice(name("los"))));
        let files = ShareFields { form: Form::InPlaceRows, content: Content::UncheckedFiles, ..share(vec![]) };
        assert_eq!(Share::try_from(files).err(), Some(ShareFault::FilesInPlace));
        let own = ShareFields { consumers: BTreeSet::from(["north".parse().unwrap()]), ..share(vec![los()]) };
        assert_eq!(Share::try_from(own).err(), Some(ShareFault::ConsumerIsProvider));
    }
}
