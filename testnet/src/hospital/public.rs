//! Public data sets, split into one file a facility. Cells are never rewritten: each row keeps its bytes.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::column::{Class, Column};

/// Facilities of the length-of-stay set, with the names its metadata gives them.
const FACILITIES: [(&str, &str); 5] = [
    ("A", "General Medicine 3 West"),
    ("B", "Pulmonary 2 West"),
    ("C", "General Medicine 3 South"),
    ("D", "Geriatrics 2 East"),
    ("E", "Behavioral 1 East"),
];

/// The four hospitals of the heart disease set: site name, title, file.
const HEART: [(&str, &str, &str); 4] = [
    ("cleveland", "Cleveland Clinic Foundation", "processed.cleveland.data"),
    ("hungarian", "Hungarian Institute of Cardiology, Budapest", "processed.hungarian.data"),
    ("switzerland", "University Hospitals, Zurich and Basel", "processed.switzerland.data"),
    ("va", "V.A. Medical Center, Long Beach", "processed.va.data"),
];

const HEART_HEADER: &str = "age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,target\n";

/// One site's file of a public set.
#[derive(Clone)]
pub struct SiteFiles {
    /// For machines, for example `facility-a`.
    pub name: String,
    /// For people.
    pub title: String,
    /// The file: header (with its byte-order mark, where the source has one) and rows.
    pub bytes: Vec<u8>,
    /// Name to write it under.
    pub file_name: String,
    /// Without the header.
    pub rows: u64,
    /// In the order of the header, names without the byte-order mark.
    pub columns: Vec<Column>,
    /// Header of the key, where the set has one.
    pub primary_key: Option<String>,
}

impl fmt::Debug for SiteFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteFiles").field("name", &self.name).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl SiteFiles {
    /// Writes the file into `dir`, which must exist, and returns its path.
    ///
    /// # Errors
    /// A fault of the file system.
    pub fn write_to(&self, dir: &Path) -> io::Result<PathBuf> {
        let path = dir.join(&self.file_name);
        fs::write(&path, &self.bytes)?;
        Ok(path)
    }
}

/// Why a public set cannot be split.
#[derive(Debug)]
pub enum PublicError {
    /// A file cannot be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The header lacks a column.
    Column {
        /// Which file.
        path: PathBuf,
        /// Which column.
        name: &'static str,
    },
    /// A row has another number of cells than the header, or an unknown facility.
    Row {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
}

impl fmt::Display for PublicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::Column { path, name } => write!(f, "{} has no column {name}", path.display()),
            Self::Row { path, line } => {
                write!(f, "line {line} of {} does not fit the header or the facilities", path.display())
            }
        }
    }
}

impl std::error::Error for PublicError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Column { .. } | Self::Row { .. } => None,
        }
    }
}

/// The length-of-stay set in `data/los`, one file for each facility A to E, rows in the order of the source. `data` is
/// the folder that holds `los/`. The key `eid` is unique over all facilities; it and the three name columns are direct
/// identifiers.
///
/// # Errors
/// A file that is absent or not as expected.
pub fn los(data: &Path) -> Result<Vec<SiteFiles>, PublicError> {
    let path = data.join("los/LengthOfStay-IaaSDemo.csv");
    let bytes = read(&path)?;
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let header = lines.next().unwrap_or_default();
    let columns: Vec<Column> = header_names(header).iter().map(|name| los_column(name)).collect();
    let at = |name: &'static str| {
        let found = columns.iter().position(|column| column.name == name);
        found.ok_or(PublicError::Column { path: path.clone(), name })
    };
    let facility = at("facid")?;
    at("eid")?;
    let mut sites = FACILITIES.map(|(letter, title)| SiteFiles {
        name: format!("facility-{}", letter.to_lowercase()),
        title: title.to_owned(),
        bytes: header.to_vec(),
        file_name: "stays.csv".to_owned(),
        rows: 0,
        columns: columns.clone(),
        primary_key: Some("eid".to_owned()),
    });
    for (number, line) in lines.enumerate() {
        let cells: Vec<&[u8]> = without_end(line).split(|byte| *byte == b',').collect();
        let place = FACILITIES.iter().position(|(letter, _)| cells.get(facility) == Some(&letter.as_bytes()));
        match place {
            Some(place) if cells.len() == columns.len() => {
                sites[place].bytes.extend_from_slice(line);
                sites[place].rows += 1;
            }
            Some(_) | None => return Err(PublicError::Row { path, line: number + 2 }),
        }
    }
    Ok(sites.into())
}

/// The heart disease set in `data/heart`, one file for each of the four hospitals. A header line is put in front where
/// the source has none; rows keep their bytes. There is no identity and no key.
///
/// # Errors
/// A file that is absent or not as expected.
pub fn heart(data: &Path) -> Result<Vec<SiteFiles>, PublicError> {
    HEART.iter().map(|(name, title, file)| heart_site(name, title, &data.join("heart").join(file))).collect()
}

fn heart_site(name: &str, title: &str, path: &Path) -> Result<SiteFiles, PublicError> {
    let source = read(path)?;
    let begins_with_name = source.first().is_some_and(u8::is_ascii_alphabetic);
    let mut bytes = if begins_with_name { Vec::new() } else { HEART_HEADER.as_bytes().to_vec() };
    bytes.extend_from_slice(&source);
    let header = bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    let columns: Vec<Column> = header_names(header).iter().map(|column| heart_column(column)).collect();
    let mut rows = 0;
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate().skip(1) {
        if without_end(line).split(|byte| *byte == b',').count() != columns.len() {
            // The line of the source: one less where the header is ours.
            return Err(PublicError::Row { path: path.to_owned(), line: number + usize::from(begins_with_name) });
        }
        rows += 1;
    }
    Ok(SiteFiles {
        name: name.to_owned(),
        title: title.to_owned(),
        bytes,
        file_name: "heart.csv".to_owned(),
        rows,
        columns,
        primary_key: None,
    })
}

fn los_column(name: &str) -> Column {
    let class = match name {
        "First" | "Middle" | "Last" | "eid" => Class::DirectIdentifier,
        "gender" | "vdate" | "discharged" => Class::QuasiIdentifier,
        _ => Class::Plain,
    };
    Column::plain(name).with_class(class)
}

fn heart_column(name: &str) -> Column {
    let class = if matches!(name, "age" | "sex") { Class::QuasiIdentifier } else { Class::Plain };
    Column::plain(name).with_class(class)
}

fn read(path: &Path) -> Result<Vec<u8>, PublicError> {
    fs::read(path).map_err(|source| PublicError::Read { path: path.to_owned(), source })
}

fn header_names(header: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(without_end(header));
    text.trim_start_matches('\u{feff}').split(',').map(str::to_owned).collect()
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The shared data folder, or a line that says why the test does nothing.
    fn data() -> Option<PathBuf> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = package.join("../../shared/data");
        if folder.join("los").is_dir() && folder.join("heart").is_dir() {
            return Some(folder);
        }
        println!("skipped: no public data at ../shared/data");
        None
    }

    #[test]
    fn los_keeps_every_row_and_the_header_of_five_facilities() {
        let Some(data) = data() else { return };
        let sites = los(&data).unwrap();
        assert_eq!(sites.iter().map(|s| s.rows).collect::<Vec<_>>(), [3_065, 2_916, 444, 452, 3_123]);
        let source = fs::read(data.join("los/LengthOfStay-IaaSDemo.csv")).unwrap();
        let lines =
            |bytes: &[u8]| -> Vec<Vec<u8>> { bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect() };
        let all = lines(&source);
        let mut split: Vec<Vec<u8>> = Vec::new();
        for site in &sites {
            let own = lines(&site.bytes);
            assert_eq!(own[0], all[0], "header with its byte-order mark");
            split.extend_from_slice(&own[1..]);
        }
        let mut rows = all[1..].to_vec();
        rows.sort_unstable();
        split.sort_unstable();
        assert!(rows == split, "every row's bytes, once");
    }

    #[test]
    fn los_names_its_direct_identifiers_and_a_unique_key() {
        let Some(data) = data() else { return };
        let sites = los(&data).unwrap();
        let direct: Vec<&str> =
            sites[0].columns.iter().filter(|c| c.class == Class::DirectIdentifier).map(|c| c.name.as_str()).collect();
        assert_eq!(direct, ["First", "Middle", "Last", "eid"]);
        assert_eq!(sites[0].columns.len(), 31);
        let mut keys = BTreeSet::new();
        for site in &sites {
            for line in String::from_utf8(site.bytes.clone()).unwrap().lines().skip(1) {
                assert!(keys.insert(line.split(',').nth(3).unwrap().to_owned()), "eid repeats");
            }
        }
        assert_eq!(keys.len(), 10_000);
    }

    #[test]
    fn heart_gives_four_sites_of_fourteen_columns() {
        let Some(data) = data() else { return };
        let sites = heart(&data).unwrap();
        assert_eq!(sites.iter().map(|s| s.rows).collect::<Vec<_>>(), [303, 294, 123, 200]);
        for site in &sites {
            assert!(site.bytes.starts_with(HEART_HEADER.as_bytes()), "{}", site.name);
            assert_eq!(site.columns.len(), 14);
        }
        let source = fs::read(data.join("heart/processed.cleveland.data")).unwrap();
        assert_eq!(sites[0].bytes[HEART_HEADER.len()..], source);
        let source = fs::read(data.join("heart/processed.va.data")).unwrap();
        assert_eq!(sites[3].bytes, source);
    }

    #[test]
    fn an_absent_folder_and_a_strange_row_are_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(los(dir.path()), Err(PublicError::Read { .. })));
        fs::create_dir(dir.path().join("los")).unwrap();
        let file = dir.path().join("los/LengthOfStay-IaaSDemo.csv");
        fs::write(&file, "eid,facid\n1,A\n2,Q\n").unwrap();
        assert!(matches!(los(dir.path()), Err(PublicError::Row { line: 3, .. })));
        fs::write(&file, "eid,facid\n1,A,x\n").unwrap();
        assert!(matches!(los(dir.path()), Err(PublicError::Row { line: 2, .. })));
        fs::write(&file, "eid\n1\n").unwrap();
        assert!(matches!(los(dir.path()), Err(PublicError::Column { name: "facid", .. })));
    }
}
