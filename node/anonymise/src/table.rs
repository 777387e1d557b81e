//! A table as the engine sees it: quasi-identifiers as leaves of hierarchies, sensitive columns as numbered values, whose
//! each row is, and which members know a patient. Reading Arrow into it is `encode`'s part.

use std::sync::Arc;

use crate::hierarchy::{Hierarchy, HierarchyFault};

/// Most rows of one table: rows and patients are numbered with 32 bits, one of which means "none".
pub const ROWS_MAX: usize = u32::MAX as usize - 1;
/// Most members whose knowledge can be told apart.
pub const MEMBERS_MAX: usize = 128;

/// Why a table was not accepted. Names the column and the level, never a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableFault {
    /// There is no quasi-identifier.
    NoQuasiIdentifier,
    /// A column has another number of rows than the first.
    Length {
        /// The column.
        column: String,
    },
    /// There are more than [`ROWS_MAX`] rows.
    TooManyRows,
    /// There are more than [`MEMBERS_MAX`] members.
    TooManyMembers,
    /// No column has this name.
    NoColumn {
        /// The name that was asked for.
        column: String,
    },
    /// A column holds a type that this role cannot have.
    Kind {
        /// The column.
        column: String,
    },
    /// A cell is null, and the hierarchy has no leaf for what is missing.
    Null {
        /// The column.
        column: String,
    },
    /// A cell is not a finite number.
    NotANumber {
        /// The column.
        column: String,
    },
    /// A cell is no value of this level of the hierarchy.
    NotInHierarchy {
        /// The column.
        column: String,
        /// The level, leaves being 0.
        level: usize,
    },
    /// The hierarchy itself is at fault.
    Hierarchy {
        /// The column.
        column: String,
        /// What is wrong with its hierarchy.
        source: HierarchyFault,
    },
}

impl std::fmt::Display for TableFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoQuasiIdentifier => write!(f, "no column is a quasi-identifier"),
            Self::Length { column } => write!(f, "column {column} has another number of rows"),
            Self::TooManyRows => write!(f, "the table has over {ROWS_MAX} rows"),
            Self::TooManyMembers => write!(f, "the table has over {MEMBERS_MAX} members"),
            Self::NoColumn { column } => write!(f, "there is no column {column}"),
            Self::Kind { column } => write!(f, "column {column} has a type that its role cannot have"),
            Self::Null { column } => write!(f, "column {column} has a null, and no leaf for what is missing"),
            Self::NotANumber { column } => write!(f, "column {column} has a cell that is not a finite number"),
            Self::NotInHierarchy { column, level } => {
                write!(f, "column {column} has a cell that is not in level {level} of its hierarchy")
            }
            Self::Hierarchy { column, .. } => write!(f, "the hierarchy of column {column} cannot be used"),
        }
    }
}

impl std::error::Error for TableFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Hierarchy { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A quasi-identifier: each row's leaf of a hierarchy.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds rows")]
pub struct Quasi {
    pub(crate) name: String,
    pub(crate) hierarchy: Arc<Hierarchy>,
    pub(crate) leaves: Vec<u32>,
}

impl Quasi {
    /// A column from the leaf of each row.
    ///
    /// # Errors
    ///
    /// A number that is no leaf of the hierarchy.
    pub fn new(name: &str, hierarchy: Arc<Hierarchy>, leaves: Vec<u32>) -> Result<Self, TableFault> {
        if leaves.iter().any(|leaf| *leaf as usize >= hierarchy.leaves()) {
            return Err(TableFault::NotInHierarchy { column: name.to_owned(), level: 0 });
        }
        Ok(Self { name: name.to_owned(), hierarchy, leaves })
    }

    /// The column's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its hierarchy.
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// The leaf of each row.
    pub fn leaves(&self) -> &[u32] {
        &self.leaves
    }
}

/// A sensitive column: each row's value, numbered in the order of the values.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds rows")]
pub struct Sensitive {
    pub(crate) name: String,
    pub(crate) values: Vec<u32>,
    pub(crate) distinct: usize,
    pub(crate) tree: Option<Arc<Hierarchy>>,
}

impl Sensitive {
    /// A column from each row's value, values numbered from 0 in their order; `tree` is what a hierarchical distance needs,
    /// and then values are its leaves.
    pub fn new(name: &str, values: Vec<u32>, tree: Option<Arc<Hierarchy>>) -> Self {
        let seen = values.iter().max().map_or(0, |most| *most as usize + 1);
        let distinct = tree.as_ref().map_or(seen, |tree| tree.leaves().max(seen));
        Self { name: name.to_owned(), values, distinct, tree }
    }

    /// The column's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What the engine works on. Holds rows, so it does not print.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds rows")]
pub struct Table {
    pub(crate) rows: usize,
    pub(crate) quasi: Vec<Quasi>,
    pub(crate) sensitive: Vec<Sensitive>,
    pub(crate) patient: Option<Vec<u32>>,
    /// The members that know a patient, as bits, by row: the same for all rows of one patient.
    pub(crate) known_to: Option<Vec<u128>>,
    /// What earlier releases have told of each row's patient: patients of one number are alike in all of them.
    pub(crate) told: Option<Vec<u32>>,
}

impl Table {
    /// A table of quasi-identifiers where each row is a patient of its own.
    ///
    /// # Errors
    ///
    /// No column, too many rows, or columns of different length.
    pub fn new(quasi: Vec<Quasi>) -> Result<Self, TableFault> {
        let rows = quasi.first().ok_or(TableFault::NoQuasiIdentifier)?.leaves.len();
        if rows > ROWS_MAX {
            return Err(TableFault::TooManyRows);
        }
        if let Some(column) = quasi.iter().find(|column| column.leaves.len() != rows) {
            return Err(TableFault::Length { column: column.name.clone() });
        }
        Ok(Self { rows, quasi, sensitive: Vec::new(), patient: None, known_to: None, told: None })
    }

    /// Adds a sensitive column.
    ///
    /// # Errors
    ///
    /// Another number of rows.
    pub fn with_sensitive(mut self, column: Sensitive) -> Result<Self, TableFault> {
        if column.values.len() != self.rows {
            return Err(TableFault::Length { column: column.name });
        }
        self.sensitive.push(column);
        Ok(self)
    }

    /// Says whose each row is. Patients may have any numbers; they are renumbered.
    ///
    /// # Errors
    ///
    /// Another number of rows.
    pub fn with_patients(mut self, patients: &[u64]) -> Result<Self, TableFault> {
        if patients.len() != self.rows {
            return Err(TableFault::Length { column: "patient".to_owned() });
        }
        let mut known: Vec<u64> = patients.to_vec();
        known.sort_unstable();
        known.dedup();
        let number = |patient: &u64| known.partition_point(|other| other < patient) as u32;
        self.patient = (known.len() < self.rows).then(|| patients.iter().map(number).collect());
        if let Some(members) = self.known_to.take() {
            self.known_to = Some(self.joined_by_patient(members));
        }
        Ok(self)
    }

    /// Says which member each row came from; a patient is known to every member that one of its rows came from.
    ///
    /// # Errors
    ///
    /// Another number of rows, or a member's number above [`MEMBERS_MAX`].
    pub fn with_members(mut self, members: &[u32]) -> Result<Self, TableFault> {
        if members.len() != self.rows {
            return Err(TableFault::Length { column: "member".to_owned() });
        }
        if members.iter().any(|member| *member as usize >= MEMBERS_MAX) {
            return Err(TableFault::TooManyMembers);
        }
        let bits = members.iter().map(|member| 1_u128 << member).collect();
        self.known_to = Some(self.joined_by_patient(bits));
        Ok(self)
    }

    fn joined_by_patient(&self, mut bits: Vec<u128>) -> Vec<u128> {
        if let Some(patient) = &self.patient {
            let mut known = vec![0; patient.iter().max().map_or(0, |most| *most as usize + 1)];
            for (row, of) in patient.iter().enumerate() {
                known[*of as usize] |= bits[row];
            }
            for (row, of) in patient.iter().enumerate() {
                bits[row] = known[*of as usize];
            }
        }
        bits
    }

    /// The table without some of its rows.
    #[must_use]
    pub fn without(&self, drop: impl Fn(u32) -> bool) -> Self {
        self.only(&(0..self.rows as u32).filter(|row| !drop(*row)).collect::<Vec<u32>>())
    }

    /// Some rows of the table as a table of its own.
    pub(crate) fn only(&self, rows: &[u32]) -> Self {
        fn pick<T: Copy>(of: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|row| of[*row as usize]).collect()
        }
        let quasi = |column: &Quasi| Quasi { leaves: pick(&column.leaves, rows), ..column.clone() };
        let sensitive = |column: &Sensitive| Sensitive { values: pick(&column.values, rows), ..column.clone() };
        Self {
            rows: rows.len(),
            quasi: self.quasi.iter().map(quasi).collect(),
            sensitive: self.sensitive.iter().map(sensitive).collect(),
            patient: self.patient.as_ref().map(|of| pick(of, rows)),
            known_to: self.known_to.as_ref().map(|of| pick(of, rows)),
            told: self.told.as_ref().map(|of| pick(of, rows)),
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The quasi-identifiers, in order.
    pub fn quasi(&self) -> &[Quasi] {
        &self.quasi
    }

    /// The sensitive columns, in order.
    pub fn sensitive(&self) -> &[Sensitive] {
        &self.sensitive
    }

    /// Whose a row is.
    pub fn patient(&self, row: u32) -> u32 {
        self.patient.as_ref().map_or(row, |patient| patient[row as usize])
    }

    /// How many patients some rows belong to.
    pub fn patients_of(&self, rows: &[u32]) -> usize {
        match &self.patient {
            None => rows.len(),
            Some(patient) => {
                let mut seen: Vec<u32> = rows.iter().map(|row| patient[*row as usize]).collect();
                seen.sort_unstable();
                seen.dedup();
                seen.len()
            }
        }
    }
}
