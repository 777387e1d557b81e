//! The review: the one function that decides whether a release is made. It never sees a row, and nothing of its answer
//! depends on one.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::DocumentDigest;
use crate::ident::{ColumnName, Name, ReleaseId};
use crate::record::charter::{Charter, PartyKind};
use crate::record::consolidation::{ConsolidatedTable, Consolidation};
use crate::record::project::{BudgetShare, Project};
use crate::record::refusal::Refusal;
use crate::record::request::{Asked, Request};
use crate::record::reservation::{Charge, Reservation};
use crate::rule::budget::Spending;
use crate::table_version::TableVersionId;
use crate::time::UnixMillis;

/// What is asked, by whom, and what it would read.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// When.
    pub now: UnixMillis,
    /// Who asks.
    pub person: &'a Name,
    /// The request.
    pub request: &'a Request,
    /// The digest of what is asked and of whom.
    pub question: DocumentDigest,
    /// Tables and columns that the question reads.
    pub reads: &'a BTreeMap<Name, BTreeSet<Name>>,
    /// What each column of its answer is made of.
    pub columns: &'a BTreeMap<ColumnName, BTreeSet<(Name, Name)>>,
}

/// What a node knows when it decides.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The charter in force, if it binds the operator.
    pub charter: Option<&'a Charter>,
    /// The project that the request names, in its last approved version.
    pub project: Option<&'a Project>,
    /// The tables in use, if all their rows may be used (law 11).
    pub tables: Option<&'a Consolidation>,
    /// Members that have accepted the charter in force.
    pub accepted: &'a BTreeSet<Name>,
    /// What was debited to the project's account, by everybody.
    pub account: Spending,
    /// What of it was debited by this project, in all its versions.
    pub project_spent: Spending,
    /// Earlier releases that were made, and are neither refused nor recalled; the oldest first.
    pub earlier: &'a [&'a Reservation],
}

/// What is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// What is debited.
    pub charge: Charge,
    /// The least class or count.
    pub floor: u32,
    /// The table versions that are read.
    pub tables: BTreeMap<Name, TableVersionId>,
    /// Members whose rows are used.
    pub members: BTreeSet<Name>,
}

/// A review's answer: a refusal is a normal one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is reserved, paid for and computed.
    Permit(Permit),
    /// It is there already, and costs nothing.
    Same(ReleaseId),
    /// It is not made.
    Refuse(Refusal),
}

/// Decides about a request (spec REL-4 to REL-6).
pub fn review(asking: &Asking<'_>, known: &Known<'_>) -> Decision {
    match reviewed(asking, known) {
        Err(refusal) => Decision::Refuse(refusal),
        Ok(permit) => match same(asking, &permit, known.earlier) {
            Some(release) => Decision::Same(release),
            None => match afforded(known, permit.charge) {
                Err(refusal) => Decision::Refuse(refusal),
                Ok(()) => Decision::Permit(permit),
            },
        },
    }
}

fn reviewed(asking: &Asking<'_>, known: &Known<'_>) -> Result<Permit, Refusal> {
    let charter = known.charter.ok_or(Refusal::Charter)?;
    let project = known.project.ok_or(Refusal::Project)?;
    check_person(asking, project)?;
    check_columns(asking, project)?;
    check_recipients(&asking.request.recipients, charter, Some(project))?;
    let floor = check_floor(&asking.request.asked, charter)?;
    if !charter.accounts.contains_key(&project.account) {
        return Err(Refusal::Account);
    }
    let (tables, members) = check_tables(asking, known)?;
    Ok(Permit { charge: charge_of(&asking.request.asked), floor, tables, members })
}

fn check_person(asking: &Asking<'_>, project: &Project) -> Result<(), Refusal> {
    let request = asking.request;
    let refusal = if request.consortium != project.consortium || request.project != project.name {
        Refusal::Question
    } else if asking.now >= project.expires {
        Refusal::Expired
    } else if !project.people.contains(asking.person) {
        Refusal::Person
    } else if !project.kinds.contains(&request.asked.kind()) {
        Refusal::Kind
    } else {
        return Ok(());
    };
    Err(refusal)
}

/// Every column that is read is the project's, and none that leaves is made of a patient's name in any table (law 1).
fn check_columns(asking: &Asking<'_>, project: &Project) -> Result<(), Refusal> {
    if asking.reads.is_empty() {
        return Err(Refusal::Question);
    }
    let within = |(table, columns): (&Name, &BTreeSet<Name>)| {
        project.tables.get(table).is_some_and(|allowed| columns.is_subset(allowed))
    };
    if !asking.reads.iter().all(within) {
        return Err(Refusal::Columns);
    }
    // An aggregate's answer has no column of rows; what may be in it is for its own planning.
    if let Asked::Aggregate(_) = asking.request.asked {
        return Ok(());
    }
    let made_of = |column: &ColumnName| asking.columns.get(column).ok_or(Refusal::Question);
    let patient: BTreeSet<&Name> = made_of(&asking.request.patient)?.iter().map(|(_, column)| column).collect();
    made_of(&asking.request.member)?;
    // A join has the same name of the patient in several tables.
    for column in leaving(&asking.request.asked) {
        if made_of(column)?.iter().any(|(_, source)| patient.contains(source)) {
            return Err(Refusal::Identifier);
        }
    }
    Ok(())
}

/// The columns that leave.
fn leaving(asked: &Asked) -> Vec<&ColumnName> {
    match asked {
        Asked::Microdata(terms) => terms.columns.iter().map(|column| &column.name).collect(),
        Asked::Counts(terms) => terms.dimensions.iter().map(|(name, _)| name).collect(),
        Asked::Aggregate(_) => Vec::new(),
    }
}

/// Recipients are members, and the project's.
///
/// # Errors
/// [`Refusal::Recipients`].
pub fn check_recipients(
    recipients: &BTreeSet<Name>,
    charter: &Charter,
    project: Option<&Project>,
) -> Result<(), Refusal> {
    let is_member = |name: &Name| charter.roster.get(name).is_some_and(|party| party.kind == PartyKind::Member);
    let of_project = project.is_none_or(|project| recipients.is_subset(&project.recipients));
    if of_project && recipients.iter().all(is_member) { Ok(()) } else { Err(Refusal::Recipients) }
}

/// A floor is refused below the charter's, not raised: nobody gets something else than was asked. The charter's own is at
/// least the protocol's outside a rehearsal (spec CHAR-6).
///
/// # Errors
/// [`Refusal::Floor`].
pub fn check_floor(asked: &Asked, charter: &Charter) -> Result<u32, Refusal> {
    let (floor, least) = match asked {
        Asked::Microdata(terms) => (terms.k.0, charter.policy.anonymity_k_min.0),
        Asked::Counts(terms) => (terms.floor, charter.policy.small_cell_min),
        // Noise hides what is small.
        Asked::Aggregate(_) => (0, 0),
    };
    if floor < least { Err(Refusal::Floor) } else { Ok(floor) }
}

type Read = (BTreeMap<Name, TableVersionId>, BTreeSet<Name>);

fn check_tables(asking: &Asking<'_>, known: &Known<'_>) -> Result<Read, Refusal> {
    let set = known.tables.ok_or(Refusal::Tables)?;
    let mut tables = BTreeMap::new();
    let mut members = BTreeSet::new();
    for name in asking.reads.keys() {
        let ConsolidatedTable { version, parts } = set.tables.get(name).ok_or(Refusal::Tables)?;
        tables.insert(name.clone(), *version);
        members.extend(parts.keys().filter(|member| known.accepted.contains(*member)).cloned());
    }
    if members.is_empty() { Err(Refusal::Members) } else { Ok((tables, members)) }
}

/// What a release is debited with: what epsilon covers, with all that was asked to be spent.
pub const fn charge_of(asked: &Asked) -> Charge {
    match asked {
        Asked::Microdata(_) | Asked::Counts(_) => Charge::Uncovered,
        Asked::Aggregate(terms) => Charge::Private { rho: terms.rho, delta: terms.delta },
    }
}

/// The same was asked of the same rows, and reaches nobody that the earlier release does not (law 2).
fn same(asking: &Asking<'_>, permit: &Permit, earlier: &[&Reservation]) -> Option<ReleaseId> {
    let is_same = |earlier: &&&Reservation| {
        earlier.question == asking.question
            && earlier.kind == asking.request.asked.kind()
            && earlier.charge.covers(permit.charge)
            && earlier.tables == permit.tables
            && earlier.members == permit.members
            && asking.request.recipients.is_subset(&earlier.recipients)
    };
    earlier.iter().find(is_same).map(|earlier| earlier.release)
}

fn afforded(known: &Known<'_>, charge: Charge) -> Result<(), Refusal> {
    let project = known.project.ok_or(Refusal::Project)?;
    let account = known.charter.and_then(|charter| charter.accounts.get(&project.account)).ok_or(Refusal::Account)?;
    let limit = BudgetShare { rho: account.rho, delta: account.delta };
    let fits = known.account.affords(charge, limit) && known.project_spent.affords(charge, project.budget);
    if fits { Ok(()) } else { Err(Refusal::Budget) }
}

/// Why a project does not fit a charter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// It is of another consortium or operator.
    Operator,
    /// The charter has no such account.
    Account,
    /// A recipient is no member.
    Recipients,
    /// It would use more than the account holds.
    Budget,
}

/// Whether a project can stand under a charter (spec REL-7).
///
/// # Errors
/// What does not fit.
pub fn fits_charter(project: &Project, charter: &Charter) -> Result<(), Misfit> {
    if charter.operator().0 != &project.operator {
        return Err(Misfit::Operator);
    }
    let account = charter.accounts.get(&project.account).ok_or(Misfit::Account)?;
    check_recipients(&project.recipients, charter, None).map_err(|_| Misfit::Recipients)?;
    let within = project.budget.rho <= account.rho && project.budget.delta <= account.delta;
    if within { Ok(()) } else { Err(Misfit::Budget) }
}
