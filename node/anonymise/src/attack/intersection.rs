//! Intersection: a patient who is in two releases is in one class of each, so among the patients of both. Source: Ganta,
//! Kasiviswanathan and Smith 2008, section 3.

use std::collections::{HashMap, HashSet};

use super::{Attack, Finding};
use crate::recoding::{Recoding, SUPPRESSED};
use crate::table::Table;

/// Patients of the second release whose classes in both share fewer than k patients. `same` gives the patient of the first
/// release that a patient of the second is, if any.
pub fn intersection(
    first: (&Table, &Recoding),
    second: (&Table, &Recoding),
    same: impl Fn(u32) -> Option<u32>,
    k: usize,
) -> Finding {
    let mut earlier: HashMap<u32, HashSet<u32>> = HashMap::new();
    for (row, class) in first.1.class_of().iter().enumerate().filter(|(_, class)| **class != SUPPRESSED) {
        earlier.entry(first.0.patient(row as u32)).or_default().insert(*class);
    }
    // Patients by the pair of classes that they are in.
    let mut shared: HashMap<(u32, u32), HashSet<u32>> = HashMap::new();
    for (row, class) in second.1.class_of().iter().enumerate().filter(|(_, class)| **class != SUPPRESSED) {
        let patient = second.0.patient(row as u32);
        for before in same(patient).and_then(|patient| earlier.get(&patient)).into_iter().flatten() {
            shared.entry((*before, *class)).or_default().insert(patient);
        }
    }
    let exposed: HashSet<u32> = shared.into_values().filter(|patients| patients.len() < k).flatten().collect();
    let assumes = "that a patient is in both releases, and the patient's quasi-identifiers";
    let of = second.1.rows() - second.1.suppressed();
    Finding { attack: Attack::Intersection, assumes, claimed: exposed.len(), held: exposed.len(), by_chance: 0.0, of }
}
