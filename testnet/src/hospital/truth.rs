//! Who is who: what an evaluation of linkage and quarantine compares with. It never stands among a site's files.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::mapping::SEXES;
use super::person::{Fault, Person};
use super::site::{DirtyCell, Site};

/// One patient of one site.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// Number of the person in the population: the same at all sites.
    pub person: u64,
    /// Name of the site.
    pub site: String,
    /// The site's key of the patient, as in `patients.csv`.
    pub patient: String,
    /// What this site has wrong about the person.
    pub fault: Option<Fault>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("site", &self.site).field("fault", &self.fault).finish_non_exhaustive()
    }
}

/// A patient as everybody who has a full register knows them: neither name nor illness.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// Number of the person in the population.
    pub person: u64,
    /// The concept of the sex, as mappings write it.
    pub sex: u32,
    /// Year of birth.
    pub born: i64,
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registered")
    }
}

impl Site {
    /// Every patient of the site, as the population's register has them and not as the site does.
    pub fn register(&self) -> impl Iterator<Item = Registered> + '_ {
        (0..self.patients()).map(|slot| {
            let person = self.person_number(slot);
            let known = Person::draw(self.seed(), person);
            Registered { person, sex: SEXES[known.sex], born: known.birth.year }
        })
    }
}

/// The truth about the files as first written. Patients that a day of change adds are at one site only.
#[derive(Debug, Clone)]
pub struct Truth {
    /// Persons in the population.
    pub persons: u64,
    /// Persons that are patients of two or three sites.
    pub shared_persons: u64,
    /// Those of them that one of their sites has wrong.
    pub faulty_persons: u64,
    pub(super) sites: Vec<Site>,
}

impl Truth {
    /// Every patient of every site, in the order of the files.
    pub fn links(&self) -> impl Iterator<Item = Link> + '_ {
        self.sites.iter().flat_map(|site| {
            (0..site.patients()).map(|slot| Link {
                person: site.person_number(slot),
                site: site.name.clone(),
                patient: site.patient_key(slot),
                fault: site.fault(slot),
            })
        })
    }

    /// Every dirty cell of every site, with the site's name.
    pub fn dirty_cells(&self) -> impl Iterator<Item = (&str, DirtyCell)> + '_ {
        self.sites.iter().flat_map(|site| site.dirty_cells().map(|cell| (site.name.as_str(), cell)))
    }

    /// Writes `links.csv` (person,site,patient,fault) and `dirty.csv` (site,file,key,column,dirt) into `dir`, which must
    /// exist and must not be a folder that a node reads.
    ///
    /// # Errors
    /// The first fault of the file system.
    pub fn write_to(&self, dir: &Path) -> io::Result<()> {
        let mut links = BufWriter::new(File::create(dir.join("links.csv"))?);
        writeln!(links, "person,site,patient,fault")?;
        for link in self.links() {
            let fault = link.fault.map_or("", Fault::name);
            writeln!(links, "{},{},{},{fault}", link.person, link.site, link.patient)?;
        }
        links.flush()?;
        let mut dirty = BufWriter::new(File::create(dir.join("dirty.csv"))?);
        writeln!(dirty, "site,file,key,column,dirt")?;
        for (site, cell) in self.dirty_cells() {
            writeln!(dirty, "{site},{},{},{},{}", cell.table.file_name(), cell.key, cell.column, cell.dirt.name())?;
        }
        dirty.flush()
    }
}
