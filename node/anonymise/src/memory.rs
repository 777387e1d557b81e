//! Memory of releases: a new release together with all earlier ones over the same population keeps k for every patient.
//!
//! What all releases together tell of a patient is the class that the patient is in, or is not, in each of them. Patients of
//! whom the same is told are a group. A release is safe when every group, of patients who are in it or were in an earlier one,
//! has k patients or none: then neither joining classes nor subtracting cohorts finds fewer. Before the new release is made,
//! patients whose group is already too small stay out of it, and so do as many more as it takes for those who stay out to be k
//! themselves; then the group is a condition on every class. A newcomer so waits until k newcomers are there.
//!
//! Sources: Ganta, Kasiviswanathan and Smith 2008 (composition); Xiao and Tao 2007 (what newcomers and leavers tell).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::ModelFault;
use crate::recoding::{Recoding, SUPPRESSED};
use crate::table::Table;

/// How often those who are found stay out one by one, before all of their groups do.
const ROUNDS_MAX: usize = 12;

/// What one release told: the classes of each patient who was in it.
pub type Told = BTreeMap<u64, BTreeSet<u32>>;

/// What earlier releases of a population told, by patient. Kept by who releases, sealed; it holds patients.
#[derive(Clone, Default)]
#[expect(missing_debug_implementations, reason = "holds patients")]
pub struct History {
    /// For each release the classes of each patient who was in it.
    releases: Vec<Told>,
}

/// What a release tells: `patients` names the patient of each row, by the same numbers in every release.
pub fn told(patients: &[u64], recoding: &Recoding) -> Told {
    let mut told = Told::new();
    for (patient, class) in patients.iter().zip(recoding.class_of()).filter(|(_, class)| **class != SUPPRESSED) {
        told.entry(*patient).or_default().insert(*class);
    }
    told
}

/// What a table of counts tells: who was counted. Its cells are sums, and joining sums finds nobody; who is in one table and
/// not in another is what their difference tells.
pub fn counted(patients: &[u64]) -> Told {
    patients.iter().map(|patient| (*patient, BTreeSet::from([0]))).collect()
}

impl History {
    /// The number of releases.
    pub fn releases(&self) -> usize {
        self.releases.len()
    }

    /// Adds a release: `patients` names the patient of each row, by the same numbers in every release.
    pub fn add(&mut self, patients: &[u64], recoding: &Recoding) {
        self.push(told(patients, recoding));
    }

    /// Adds a release by what it told.
    pub fn push(&mut self, told: Told) {
        self.releases.push(told);
    }

    /// How many patients are in groups that the history alone has made smaller than k.
    pub fn small(&self, k: usize) -> usize {
        let mut groups: HashMap<u32, usize> = HashMap::new();
        for group in self.told().into_values() {
            *groups.entry(group).or_default() += 1;
        }
        groups.into_values().filter(|patients| *patients < k).sum()
    }

    /// What was told of each patient of the history, as a number; alike means the same number. Nobody has the number 0, which
    /// is for patients of whom nothing was told.
    fn told(&self) -> HashMap<u64, u32> {
        let everybody: BTreeSet<u64> = self.releases.iter().flat_map(|release| release.keys().copied()).collect();
        let mut numbers: HashMap<Vec<Option<&BTreeSet<u32>>>, u32> = HashMap::new();
        let number = |patient: u64| {
            let told = self.releases.iter().map(|release| release.get(&patient)).collect();
            let next = numbers.len() as u32 + 1;
            (patient, *numbers.entry(told).or_insert(next))
        };
        everybody.into_iter().map(number).collect()
    }
}

/// Makes a release that keeps k together with the history. `recode` is what makes a recoding of a table; the table that it
/// gets lacks the rows that must wait, and its classes must hold under [`crate::model::Judge`] for that table.
///
/// # Errors
///
/// What `recode` refuses.
pub fn with_history(
    table: &Table,
    patients: &[u64],
    history: &History,
    k: usize,
    recode: impl Fn(&Table) -> Result<Recoding, ModelFault>,
) -> Result<Recoding, ModelFault> {
    let told = history.told();
    let told_of = |patient: u64| told.get(&patient).copied().unwrap_or(0);
    let (mut out, mut rounds): (BTreeSet<u64>, usize) = (BTreeSet::new(), 0);
    loop {
        hold_back(patients, &told, k, &mut out);
        let rows: Vec<u32> = (0..table.rows as u32).filter(|row| !out.contains(&patients[*row as usize])).collect();
        let mut part = table.only(&rows);
        part.told = Some(rows.iter().map(|row| told_of(patients[*row as usize])).collect());
        let recoded = recode(&part)?;
        let mut class_of = vec![SUPPRESSED; table.rows];
        for (row, class) in rows.iter().zip(recoded.class_of()) {
            class_of[*row as usize] = *class;
        }
        let nodes: Vec<_> = (0..recoded.classes() as u32).flat_map(|class| recoded.written(class).to_vec()).collect();
        let whole = Recoding::new(class_of, &nodes, table.quasi.len());
        let exposed = exposed(patients, &whole, history, k);
        if exposed.is_empty() {
            return Ok(whole);
        }
        // What was suppressed on the way made a group of leavers too small, or rows of one patient in several classes make
        // somebody known. First those who are found stay out; then, where that did not do, everybody of their groups. The loop
        // ends, because with every round fewer patients are left.
        let before = out.len();
        rounds += 1;
        if rounds <= ROUNDS_MAX {
            out.extend(&exposed);
            if out.len() > before {
                continue;
            }
        }
        let groups: BTreeSet<u32> = exposed.iter().map(|patient| told_of(*patient)).collect();
        out.extend(patients.iter().copied().filter(|patient| groups.contains(&told_of(*patient))));
        if out.len() == before {
            return Ok(Recoding::nothing(table.rows, table.quasi.len()));
        }
    }
}

/// Patients whom a new release cannot count together with the others: with them, somebody would be found by subtracting
/// releases.
pub fn held_back(patients: &[u64], history: &History, k: usize) -> BTreeSet<u64> {
    let mut out = BTreeSet::new();
    if history.releases() > 0 {
        hold_back(patients, &history.told(), k, &mut out);
    }
    out
}

/// Keeps patients out until, in each group of the history, those who are in are k or none, and so are those who stay out.
fn hold_back(patients: &[u64], told: &HashMap<u64, u32>, k: usize, out: &mut BTreeSet<u64>) {
    let present: BTreeSet<u64> = patients.iter().copied().collect();
    let mut groups: BTreeMap<u32, (Vec<u64>, usize)> = BTreeMap::new();
    for patient in &present {
        let (inside, outside) = groups.entry(told.get(patient).copied().unwrap_or(0)).or_default();
        if out.contains(patient) { *outside += 1 } else { inside.push(*patient) }
    }
    for (_, group) in told.iter().filter(|(patient, _)| !present.contains(*patient)) {
        groups.entry(*group).or_default().1 += 1;
    }
    for (group, (inside, outside)) in groups {
        // Newcomers who stay out are in no release at all: nobody can subtract them.
        let lacking = if group == 0 || outside == 0 { 0 } else { k.saturating_sub(outside) };
        let rest = inside.len().saturating_sub(lacking);
        let leaves = if rest < k { inside.len() } else { lacking };
        // A whole group that leaves may still be too small to stay out: then it was so before this release.
        out.extend(inside.into_iter().take(leaves));
    }
}

/// Patients whose group, by all releases together, is smaller than k: those whom joining or subtracting would find. Groups that
/// the history alone had made so small are not counted again.
pub fn exposed(patients: &[u64], recoding: &Recoding, history: &History, k: usize) -> BTreeSet<u64> {
    exposed_by(&self::told(patients, recoding), history, k)
}

/// The same of what a release tells.
pub fn exposed_by(release: &Told, history: &History, k: usize) -> BTreeSet<u64> {
    let told = history.told();
    let mut with = history.clone();
    with.push(release.clone());
    let together = with.told();
    let mut groups: HashMap<u32, Vec<u64>> = HashMap::new();
    for (patient, group) in &together {
        groups.entry(*group).or_default().push(*patient);
    }
    let mut before: HashMap<u32, usize> = HashMap::new();
    for group in told.values() {
        *before.entry(*group).or_default() += 1;
    }
    let small = groups.into_values().filter(|group| group.len() < k).flatten();
    let known_before = |patient: &u64| told.get(patient).is_some_and(|group| before[group] < k);
    small.filter(|patient| !known_before(patient)).collect()
}
