//! What the node offers: tables with their versions and files. A value of its own, never changed; the node hands out
//! another one when something is released or withdrawn.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::time::UnixMillis;

use crate::name::TableName;
use crate::schema::{Column, schema_text};

/// A Parquet file of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataFile {
    /// Its name, which is the digest of its content.
    pub digest: BlobDigest,
    /// Its length in bytes, exactly.
    pub bytes: u64,
    /// Its rows. They decide which files a limit needs, and are told to nobody.
    pub rows: u64,
}

/// One version of a table, immutable.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its number. Numbers rise; one that is missing was withdrawn.
    pub number: u64,
    /// When it was released.
    pub released: UnixMillis,
    /// The columns of its files.
    pub columns: Vec<Column>,
    /// Its files, in the order in which they are read.
    pub files: Vec<DataFile>,
}

impl Version {
    /// The schema as Delta writes it.
    pub fn schema_text(&self) -> String {
        schema_text(&self.columns)
    }

    /// All bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// The file of this digest, where the version has it.
    pub fn file(&self, digest: BlobDigest) -> Option<DataFile> {
        self.files.iter().copied().find(|file| file.digest == digest)
    }
}

/// A table with at least one version.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its names.
    pub name: TableName,
    /// An id that stays, whatever the name.
    pub id: [u8; 16],
    /// The id of its share.
    pub share_id: [u8; 16],
    /// What it is, for people.
    pub description: Option<String>,
    /// Its versions, by rising number and time.
    pub versions: Vec<Version>,
}

impl Table {
    /// The version that counts when none is named.
    ///
    /// # Panics
    /// Never for a table of a [`Catalogue`], which has a version.
    pub fn latest(&self) -> &Version {
        self.versions.last().expect("a catalogue takes no table without a version")
    }

    /// The version of this number.
    pub fn version(&self, number: u64) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// The last version that was there at `time`.
    pub fn as_of(&self, time: UnixMillis) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.released <= time)
    }

    /// The first version from `time` on.
    pub fn from_time(&self, time: UnixMillis) -> Option<&Version> {
        self.versions.iter().find(|version| version.released >= time)
    }

    /// What changed from version to version, of the versions from `first` to `last`, both included. The first version
    /// of all adds all of its files.
    pub fn changes(&self, first: u64, last: u64) -> Vec<Change<'_>> {
        let mut found = Vec::new();
        for (at, version) in self.versions.iter().enumerate() {
            if (first..=last).contains(&version.number) {
                let before = at.checked_sub(1).map(|before| &self.versions[before]);
                found.push(Change::between(before, version));
            }
        }
        found
    }
}

/// How one version differs from the one before it: whole files, as a release is never changed but replaced.
#[derive(Debug)]
pub struct Change<'a> {
    /// The version that came.
    pub to: &'a Version,
    /// Files that are gone, each with the version that had it and still answers for it.
    pub removed: Vec<(&'a Version, DataFile)>,
    /// Files that are new.
    pub added: Vec<DataFile>,
}

impl<'a> Change<'a> {
    fn between(before: Option<&'a Version>, to: &'a Version) -> Self {
        let old: &[DataFile] = before.map_or(&[], |version| &version.files);
        let removed = before
            .into_iter()
            .flat_map(|version| version.files.iter().map(move |file| (version, *file)))
            .filter(|(_, file)| to.file(file.digest).is_none())
            .collect();
        let added = to.files.iter().copied().filter(|file| !old.iter().any(|had| had.digest == file.digest)).collect();
        Self { to, removed, added }
    }
}

/// Why tables are no catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueFault {
    /// Two tables have one name, or one id.
    Twice {
        /// The second.
        table: TableName,
    },
    /// A table without a version, or versions whose numbers or times do not rise.
    Versions {
        /// The table.
        table: TableName,
    },
    /// A version names one file twice.
    FileTwice {
        /// The table.
        table: TableName,
        /// The version's number.
        version: u64,
    },
}

impl fmt::Display for CatalogueFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice { table } => write!(f, "table {table} has a name or an id that another table has"),
            Self::Versions { table } => write!(f, "the versions of table {table} do not rise, or there is none"),
            Self::FileTwice { table, version } => write!(f, "version {version} of table {table} names a file twice"),
        }
    }
}

impl std::error::Error for CatalogueFault {}

/// All tables, by name.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    tables: BTreeMap<TableName, Arc<Table>>,
    by_id: BTreeMap<[u8; 16], TableName>,
}

impl Catalogue {
    /// A catalogue of these tables.
    ///
    /// # Errors
    /// [`CatalogueFault`].
    pub fn new(tables: Vec<Table>) -> Result<Self, CatalogueFault> {
        let mut catalogue = Self::default();
        for table in tables {
            check_versions(&table)?;
            let name = table.name.clone();
            let known_id = catalogue.by_id.insert(table.id, name.clone()).is_some();
            if known_id || catalogue.tables.insert(name.clone(), Arc::new(table)).is_some() {
                return Err(CatalogueFault::Twice { table: name });
            }
        }
        Ok(catalogue)
    }

    /// The table of this name.
    pub fn table(&self, name: &TableName) -> Option<&Arc<Table>> {
        self.tables.get(name)
    }

    /// The table of this id.
    pub fn table_by_id(&self, id: [u8; 16]) -> Option<&Arc<Table>> {
        self.tables.get(self.by_id.get(&id)?)
    }

    /// All tables, by name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }
}

fn check_versions(table: &Table) -> Result<(), CatalogueFault> {
    let rises = |pair: &[Version]| pair[0].number < pair[1].number && pair[0].released <= pair[1].released;
    if table.versions.is_empty() || !table.versions.windows(2).all(rises) {
        return Err(CatalogueFault::Versions { table: table.name.clone() });
    }
    for version in &table.versions {
        let digests: BTreeSet<BlobDigest> = version.files.iter().map(|file| file.digest).collect();
        if digests.len() != version.files.len() {
            return Err(CatalogueFault::FileTwice { table: table.name.clone(), version: version.number });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{file, table, version};

    #[test]
    fn a_catalogue_has_each_table_once_and_versions_that_rise() {
        let good = || table("a.b.c", 1, vec![version(0, 10, &[1]), version(2, 10, &[2])]);
        assert!(Catalogue::new(vec![good(), table("a.b.d", 2, vec![version(0, 1, &[1])])]).is_ok());
        let twice = Catalogue::new(vec![good(), table("a.b.c", 2, vec![version(0, 1, &[1])])]);
        assert!(matches!(twice, Err(CatalogueFault::Twice { .. })));
        let one_id = Catalogue::new(vec![good(), table("a.b.d", 1, vec![version(0, 1, &[1])])]);
        assert!(matches!(one_id, Err(CatalogueFault::Twice { .. })));
        let bad: [Vec<Version>; 3] =
            [vec![], vec![version(1, 1, &[1]), version(1, 2, &[2])], vec![version(0, 2, &[1]), version(1, 1, &[2])]];
        for versions in bad {
            let refused = Catalogue::new(vec![table("a.b.c", 1, versions)]);
            assert!(matches!(refused, Err(CatalogueFault::Versions { .. })));
        }
        let same = Catalogue::new(vec![table("a.b.c", 1, vec![version(0, 1, &[1, 1])])]);
        assert!(matches!(same, Err(CatalogueFault::FileTwice { version: 0, .. })));
    }

    #[test]
    fn a_version_is_found_by_number_and_by_time() {
        let table = table("a.b.c", 1, vec![version(0, 10, &[1]), version(2, 20, &[2])]);
        assert_eq!(table.latest().number, 2);
        assert!(table.version(1).is_none());
        let as_of = |time| table.as_of(UnixMillis(time)).map(|version| version.number);
        assert_eq!([9, 10, 19, 20, 99].map(as_of), [None, Some(0), Some(0), Some(2), Some(2)]);
        let from = |time| table.from_time(UnixMillis(time)).map(|version| version.number);
        assert_eq!([0, 10, 11, 20, 21].map(from), [Some(0), Some(0), Some(2), Some(2), None]);
    }

    #[test]
    fn a_change_removes_and_adds_whole_files_and_leaves_what_stays() {
        let table = table("a.b.c", 1, vec![version(0, 1, &[1, 2]), version(2, 2, &[2, 3]), version(3, 3, &[2, 3])]);
        let all = table.changes(0, 9);
        let numbers: Vec<(u64, usize, usize)> =
            all.iter().map(|change| (change.to.number, change.removed.len(), change.added.len())).collect();
        assert_eq!(numbers, [(0, 0, 2), (2, 1, 1), (3, 0, 0)]);
        assert_eq!((all[1].removed[0].0.number, all[1].removed[0].1), (0, file(1)));
        assert_eq!(all[1].added, [file(3)]);
        assert_eq!(table.changes(1, 2).len(), 1, "the change to 2 is against 0, what is left before it");
    }
}
