//! The attacks that run before a release may be signed, and the threshold that each must stay under.
//!
//! Thresholds are shares of what could be attacked, beyond what would hold by chance. A model's own promise has the threshold
//! zero: a single row that breaks it is a fault of this program, and stops the release. What no model was asked for has a bound
//! of its own, with its reason beside it.

use cohortium_anonymise::attack::{self, Attack, Auxiliary, Finding};
use cohortium_anonymise::memory::{History, Told, exposed_by};
use cohortium_anonymise::model::{Judge, ModelFault, Models};
use cohortium_anonymise::recoding::Recoding;
use cohortium_anonymise::table::Table;
use cohortium_protocol::ident::{ColumnName, Text};
use cohortium_protocol::quantity::Millionths;
use cohortium_protocol::record::release::{AttackKind, AttackRun};
use cohortium_protocol::record::request::{Diversity, MicrodataTerms, ReleaseRole};

use crate::worker::release::terms::number;

/// What a model promises holds for every row.
const PROMISED: Millionths = Millionths(0);
/// Cells that an attacker who knows the algorithm refines: DESIGN asks for at most one in a hundred of the generalised ones.
const REFINED: Millionths = Millionths(10_000);
/// Rows whose sensitive value is told by their class, where no diversity was asked for: whoever asks for none says that some
/// classes may be alike, and one row in twenty beyond chance is where that stops being some.
const TOLD: Millionths = Millionths(50_000);
/// Rows in classes where one value is three times as frequent as elsewhere and held by most: an inference that may be wrong, so
/// twice as many.
const LIKELY: Millionths = Millionths(100_000);
/// Rows in classes of two values: it takes further knowledge of the patient to tell them apart, so five times as many.
const HALVED: Millionths = Millionths(250_000);

/// How much more frequent than in the release a value must be for a class to count as skewed.
const SKEW_FACTOR: f64 = 3.0;
/// Comparisons of a person with a class that one linkage may take: about a second's.
const LINKAGE_STEPS_MAX: usize = 100_000_000;
/// The fewest persons of a sample that linkage is tried with.
const LINKAGE_SAMPLE_MIN: usize = 500;

/// One attack, what it found and what it must stay under.
pub(super) struct Found {
    pub(super) run: AttackRun,
    pub(super) finding: Finding,
}

impl Found {
    pub(super) fn new(finding: Finding, column: Option<ColumnName>, assumes: &str, threshold: Millionths) -> Self {
        // Ours, and short.
        let assumes = assumes.parse::<Text>().unwrap_or_else(|_| none());
        let run = AttackRun { attack: kind(finding.attack), column, assumes, threshold };
        Self { run, finding }
    }

    /// Whether it succeeded.
    pub(super) fn fell(&self) -> bool {
        self.finding.refined() > number(self.run.threshold)
    }
}

fn none() -> Text {
    "nothing".parse().expect("a word is a text")
}

const fn kind(of: Attack) -> AttackKind {
    match of {
        Attack::Linkage => AttackKind::Linkage,
        Attack::Homogeneity => AttackKind::Homogeneity,
        Attack::Skewness => AttackKind::Skewness,
        Attack::Background => AttackKind::Background,
        Attack::Minimality => AttackKind::Minimality,
        Attack::Downcoding => AttackKind::Downcoding,
        Attack::GreedyChoices => AttackKind::GreedyChoices,
        Attack::Intersection => AttackKind::Intersection,
        Attack::Linear => AttackKind::Linear,
    }
}

/// Microdata that is attacked.
pub(super) struct Attacked<'a> {
    pub(super) table: &'a Table,
    pub(super) recoding: &'a Recoding,
    pub(super) models: &'a Models,
    pub(super) asked: &'a MicrodataTerms,
    /// Members that will receive it: names and numbers.
    pub(super) recipients: &'a [(String, u32)],
}

/// Every attack on microdata but those that need earlier releases.
pub(super) fn on_microdata(of: &Attacked<'_>) -> Result<Vec<Found>, ModelFault> {
    let Attacked { table, recoding, models, .. } = *of;
    let k = usize::try_from(models.k).unwrap_or(usize::MAX);
    let mut found = vec![linked(table, recoding, k)];
    for (name, number) in of.recipients {
        let assumes = format!("everything of the patients of {name}, a recipient, and all quasi-identifiers");
        found.push(Found::new(attack::recipient(table, recoding, *number, k), None, &assumes, PROMISED));
    }
    let plain = |finding: Finding| {
        let assumes = finding.assumes;
        Found::new(finding, None, assumes, REFINED)
    };
    found.push(plain(attack::downcoding(table, recoding)));
    found.push(plain(attack::greedy_choices(table, recoding)));
    let judge = Judge::new(table, models)?;
    for (at, (name, diversity, close)) in sensitive(of.asked).into_iter().enumerate() {
        let mut add = |finding: Finding, threshold| {
            let assumes = finding.assumes;
            found.push(Found::new(finding, Some(name.clone()), assumes, threshold));
        };
        let homogeneity = if diversity >= 2 { PROMISED } else { TOLD };
        add(attack::homogeneity(table, recoding, at), homogeneity);
        add(attack::skewness(table, recoding, at, SKEW_FACTOR), if close { REFINED } else { LIKELY });
        add(attack::background(table, recoding, at, 1), if diversity >= 3 { PROMISED } else { HALVED });
        add(attack::minimality(table, recoding, &judge, at), REFINED);
    }
    Ok(found)
}

/// The table itself as the file of who is in it: the most that an outsider could hold.
fn linked(table: &Table, recoding: &Recoding, k: usize) -> Found {
    let most = (LINKAGE_STEPS_MAX / recoding.classes().max(1)).max(LINKAGE_SAMPLE_MIN);
    let people = Auxiliary::of(table, most);
    let assumes = if people.people.len() < table.rows() {
        format!("names and all quasi-identifiers of everybody in the table; tried with {} rows", people.people.len())
    } else {
        "names and all quasi-identifiers of everybody in the table".to_owned()
    };
    Found::new(attack::linkage(table, recoding, &people, k), None, &assumes, PROMISED)
}

/// The sensitive columns in order: how many values each class must have, and whether its distribution is held to any.
fn sensitive(asked: &MicrodataTerms) -> Vec<(ColumnName, u32, bool)> {
    let of = asked.columns.iter().filter_map(|column| match &column.role {
        ReleaseRole::Sensitive { diversity, closeness } => {
            let values = match diversity {
                Some(Diversity::Distinct(l)) => *l,
                // An entropy above log 1 takes two values.
                Some(Diversity::Entropy(l)) => 1 + u32::from(l.0 > 1_000_000),
                None => 1,
            };
            Some((column.name.clone(), values, closeness.is_some()))
        }
        ReleaseRole::Quasi { .. } | ReleaseRole::Measure { .. } => None,
    });
    of.collect()
}

/// What this release and all earlier ones together tell: patients in groups of fewer than k.
pub(super) fn intersected(told: &Told, history: &History, k: usize) -> Found {
    let exposed = exposed_by(told, history, k).len();
    let finding = Finding {
        attack: Attack::Intersection,
        assumes: "",
        claimed: exposed,
        held: exposed,
        by_chance: 0.0,
        of: told.len().max(exposed),
    };
    let assumes = "in which class of each release over the population a patient is, or that it is in none";
    Found::new(finding, None, assumes, PROMISED)
}

/// The linear program on a table of counts, from outside or by a member that subtracts its own patients.
pub(super) fn linear(finding: Finding, member: Option<&str>) -> Found {
    let assumes = match member {
        None => finding.assumes.to_owned(),
        Some(member) => format!("{}; and the counts of the patients of {member}, a recipient", finding.assumes),
    };
    Found::new(finding, None, &assumes, PROMISED)
}
