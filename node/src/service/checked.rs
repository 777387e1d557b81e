//! Quality on request: of a mapping before anything of it leaves, of one member's landed tables, and of all members beside
//! each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cohortium_protocol::endpoint::Endpoint;
use cohortium_protocol::endpoint::io::{Input, MapPlan, SiteDepartures, TOO_FEW_SITES};
use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::limits::DEPARTURE_UNITS_MAX;
use cohortium_protocol::record::allowance::Allowance;
use cohortium_protocol::record::dataset::{Dataset, Source};
use cohortium_protocol::record::order::{Command, Order};
use cohortium_protocol::record::share::{Content, TableTerms};
use cohortium_protocol::record::site_notice::{Departure, Measured as Quantity};
use cohortium_schema::compare::{self, SiteSummary};
use cohortium_schema::gate::{Outcome, Report as Quality, Thresholds};
use serde_json::json;

use crate::control::{ErrorKind, Reply};
use crate::driver::hands::Hands;
use crate::driver::mapping;
use crate::driver::quality::{self, Leaving};
use crate::driver::queue::Queue;
use crate::driver::told::About;
use crate::service::answer::{Answered, broken, error, stopping};
use crate::service::asked::{carry_out, claimed, other_command, refused};
use crate::service::tables;
use crate::worker::job::ReportFault;

/// What a check of a mapping needs.
struct Wanted {
    plan: MapPlan,
    /// The set that the last run made, if nothing has aged it since.
    fresh: Option<(cohortium_protocol::record::listing::BlobRef, bool)>,
    tables: Vec<(Name, Option<(Dataset, TableTerms)>)>,
}

/// What the gates measure of a mapping's tables as they would leave. Of the last run's set while it is fresh; else, or on
/// wish, of a run whose set nothing names, so that it goes with the next sweep.
pub(super) async fn mapping(queue: &Queue, hands: &Arc<Hands>, order: Box<Signed<Order>>, again: bool) -> Answered {
    let (consortium, command) = claimed(&order)?;
    let Command::CheckMapping { mapping: name } = command else { return Err(other_command()) };
    carry_out(queue, order).await?;
    let wanted = name.clone();
    let looked = queue.look(move |endpoint| wanted_for(endpoint, consortium, &wanted)).await.ok_or_else(stopping)?;
    let Wanted { plan, fresh, tables } =
        looked.ok_or_else(|| error(ErrorKind::NotFound, "there is no such mapping"))?;
    // Held until the end: what is made here is named by nothing.
    let making = Arc::clone(&hands.making).read_owned().await;
    let fresh = fresh.filter(|_| !again);
    let schema = plan.schema.clone();
    let allowance = Allowance::of(&plan.mapping.ext).unwrap_or_default();
    let (set, linked) = match fresh {
        Some(fresh) => fresh,
        None => match mapping::run(hands, plan).await {
            Ok(made) => (made.set, made.linkage.is_some()),
            Err(fault) => {
                return Err(refused(&ReportFault {
                    fault,
                    detail: hands.told.last(&About::Mapping(consortium, name)),
                }));
            }
        },
    };
    let leaving = Leaving { consortium, mapping: name, set, linked, schema, tables };
    let measured = quality::of_set(hands, leaving).await;
    drop(making);
    if fresh.is_none() {
        hands.sweep();
    }
    let measured = measured.map_err(|fault| refused(&fault))?;
    let json = json!({"fresh": fresh.is_some(), "measured": measured, "allowance": allowance});
    Ok(Reply::Told { message: Some(json.to_string()) })
}

fn wanted_for(endpoint: &Endpoint, consortium: ConsortiumId, name: &Name) -> Option<Wanted> {
    let plan = endpoint.map_plan(consortium, name)?;
    let state = endpoint.state(consortium)?;
    let known = state.mappings.get(name)?;
    let current = |epoch: u32| plan.epoch == Some(epoch);
    let fresh = known.set.as_ref().filter(|set| !set.stale);
    let fresh = fresh.filter(|set| set.linkage.as_ref().is_none_or(|statement| current(statement.epoch)));
    let fresh = fresh.map(|set| (set.listing, set.linkage.is_some()));
    let offered = |table: &Name| {
        let made = Source::Mapped { mapping: name.clone(), table: table.clone() };
        let mut shares: Vec<_> = state
            .offers
            .values()
            .filter_map(|offer| {
                let dataset = state.datasets.get(&offer.share.dataset).filter(|dataset| dataset.source == made)?;
                let Content::Table(terms) = &offer.share.content else { return None };
                Some((offer.approved_now().is_none(), dataset.clone(), terms.clone()))
            })
            .collect();
        // Terms that may leave now come before those that may not yet.
        shares.sort_by_key(|(waits, _, _)| *waits);
        shares.into_iter().next().map(|(_, dataset, terms)| (dataset, terms))
    };
    let tables = known.mapping.tables.iter().map(|table| (table.clone(), offered(table))).collect();
    Some(Wanted { plan, fresh, tables })
}

/// The gates over one member's landed tables. Counts stay here: which check ended how, and the digest that the member has.
pub(super) async fn member(
    queue: &Queue,
    hands: &Arc<Hands>,
    order: Box<Signed<Order>>,
    thresholds: Option<&str>,
) -> Answered {
    let (consortium, command) = claimed(&order)?;
    let Command::CheckTables { member } = command else { return Err(other_command()) };
    let thresholds = thresholds.map(Thresholds::parse).transpose();
    let thresholds = thresholds.map_err(|fault| error(ErrorKind::Usage, fault))?.unwrap_or_default();
    carry_out(queue, order).await?;
    let tables = tables::in_use(queue, consortium).await?;
    let (set, of) = (tables.consolidation.clone(), member.clone());
    let looked = queue.look(move |endpoint| endpoint.allowance(consortium, &set, &of));
    let allowance = looked.await.ok_or_else(stopping)?;
    let measured = quality::of_member(hands, &tables, &member).await.map_err(|fault| refused(&fault))?;
    let report = Quality::new(&measured, &thresholds, &allowance).map_err(|fault| error(ErrorKind::Usage, fault))?;
    let told = report.checks.iter().filter(|check| check.outcome != Outcome::NotApplicable);
    let checks: Vec<_> = told
        .map(|check| {
            json!({"id": check.id, "severity": check.severity, "outcome": check.outcome, "threshold": check.threshold})
        })
        .collect();
    let json = json!({
        "member": member, "consolidation": tables.digest, "outcome": report.outcome, "digest": report.digest(), "checks": checks,
        "left_out": report.left_out, "stated": report.stated,
    });
    Ok(Reply::Told { message: Some(json.to_string()) })
}

/// All members beside each other. What departs at a site is told to it alone, by a notice.
pub(super) async fn compare(queue: &Queue, hands: &Arc<Hands>, order: Box<Signed<Order>>) -> Answered {
    let (consortium, command) = claimed(&order)?;
    let Command::CompareSites = command else { return Err(other_command()) };
    carry_out(queue, order).await?;
    let tables = tables::in_use(queue, consortium).await?;
    let digest = tables.digest;
    let members: BTreeSet<&Name> = tables.consolidation.tables.values().flat_map(|table| table.parts.keys()).collect();
    let mut summaries = Vec::new();
    for member in members {
        let measured = quality::of_member(hands, &tables, member).await.map_err(|fault| refused(&fault))?;
        summaries.push(SiteSummary::new(member.clone(), &measured));
    }
    let compared = compare::compare(&summaries).map_err(|_| error(ErrorKind::Refused, TOO_FEW_SITES))?;
    let mut found = BTreeMap::new();
    for site in compared.for_operator().sites {
        let departures = compared.for_site(site).map(|seen| seen.found).unwrap_or_default();
        let departures = departures.into_iter().map(told).collect::<Option<Vec<_>>>().ok_or_else(broken)?.concat();
        if !departures.is_empty() {
            found.insert(site.clone(), departures);
        }
    }
    let sites = u32::try_from(summaries.len()).unwrap_or(u32::MAX);
    let departures = SiteDepartures { sites, found };
    if !queue.input(Input::Compared { consortium, consolidation: digest, departures }).await {
        return Err(stopping());
    }
    let json = serde_json::to_value(compared.for_operator()).map_err(|_| broken())?;
    Ok(Reply::Told { message: Some(json!({"consolidation": digest, "comparison": json}).to_string()) })
}

/// A departure as a notice says it; `None` where the schema's names are no names. Long lists of units are several.
fn told(departure: &compare::Departure) -> Option<Vec<Departure>> {
    let quantity = |of: &compare::Quantity| {
        Some(Quantity { table: of.table.parse().ok()?, field: of.field.parse().ok()?, concept: concept(of.concept) })
    };
    let share = |share: &Option<compare::Percent>| share.map(|percent| percent.0);
    Some(match departure {
        compare::Departure::Missing { table, field, here, elsewhere } => vec![Departure::Missing {
            table: table.parse().ok()?,
            field: field.parse().ok()?,
            here: share(here),
            elsewhere: share(elsewhere),
        }],
        compare::Departure::Units { of, units, here } => {
            let of = quantity(of)?;
            let units: Vec<u64> = units.iter().map(|unit| concept(*unit)).collect();
            let some = |units: &[u64]| Departure::Units { of: of.clone(), units: units.to_vec(), here: share(here) };
            units.chunks(DEPARTURE_UNITS_MAX).map(some).collect()
        }
        compare::Departure::Distribution { of, unit, distance } => {
            vec![Departure::Distribution { of: quantity(of)?, unit: concept(*unit), distance: *distance }]
        }
    })
}

/// A concept's id; there is none below 0.
fn concept(id: i64) -> u64 {
    u64::try_from(id).unwrap_or(0)
}
