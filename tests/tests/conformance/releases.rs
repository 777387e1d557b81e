//! The review of requests, the budget filter, and projects against a charter.

use std::collections::{BTreeMap, BTreeSet};

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{ColumnName, Name};
use cohortium_protocol::quantity::{Delta, Rho};
use cohortium_protocol::record::charter::Charter;
use cohortium_protocol::record::consolidation::Consolidation;
use cohortium_protocol::record::project::{BudgetShare, Project};
use cohortium_protocol::record::request::Request;
use cohortium_protocol::record::reservation::{Charge, Reservation};
use cohortium_protocol::rule::budget::Spending;
use cohortium_protocol::rule::review::{Asking, Decision, Known, fits_charter, review};
use cohortium_protocol::time::UnixMillis;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Outcome, array, code_of, number, text};

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("the vector says what the type holds")
}

fn spending(value: &Value) -> Spending {
    let BudgetShare { rho, delta } = read(value);
    Spending { rho, delta }
}

pub(crate) fn reviewed(input: &Value) -> Outcome {
    let (asking, known) = (&input["asking"], &input["known"]);
    let person: Name = text(asking, "person").parse().unwrap();
    let request: Request = read(&asking["request"]);
    let reads: BTreeMap<Name, BTreeSet<Name>> = read(&asking["reads"]);
    let columns: BTreeMap<ColumnName, BTreeSet<(Name, Name)>> = read(&asking["columns"]);
    let charter: Option<Charter> = read(&known["charter"]);
    let project: Option<Project> = read(&known["project"]);
    let tables: Option<Consolidation> = read(&known["tables"]);
    let accepted: BTreeSet<Name> = read(&known["accepted"]);
    let earlier: Vec<Reservation> = read(&known["earlier"]);
    let earlier: Vec<&Reservation> = earlier.iter().collect();
    let decision = review(
        &Asking {
            now: UnixMillis(number(asking, "now")),
            person: &person,
            request: &request,
            question: DocumentDigest(array(asking, "question")),
            reads: &reads,
            columns: &columns,
        },
        &Known {
            charter: charter.as_ref(),
            project: project.as_ref(),
            tables: tables.as_ref(),
            accepted: &accepted,
            account: spending(&known["account"]),
            project_spent: spending(&known["project_spent"]),
            earlier: &earlier,
        },
    );
    match decision {
        Decision::Refuse(refusal) => Err(code_of(&refusal)),
        Decision::Same(release) => Ok(json!({ "same": release })),
        Decision::Permit(permit) => Ok(json!({ "permit": {
            "charge": permit.charge, "floor": permit.floor, "tables": permit.tables, "members": permit.members,
        } })),
    }
}

/// Numbers that a JSON reader's would not hold stand there as digits.
fn budget(value: &Value) -> BudgetShare {
    BudgetShare { rho: Rho(text(value, "rho").parse().unwrap()), delta: Delta(text(value, "delta").parse().unwrap()) }
}

pub(crate) fn affords(input: &Value) -> Outcome {
    let BudgetShare { rho, delta } = budget(&input["spent"]);
    let charge = match input["charge"].get("private") {
        None => Charge::Uncovered,
        Some(private) => {
            let BudgetShare { rho, delta } = budget(private);
            Charge::Private { rho, delta }
        }
    };
    Ok(json!(Spending { rho, delta }.affords(charge, budget(&input["limit"]))))
}

pub(crate) fn project_fits(input: &Value) -> Outcome {
    let (project, charter): (Project, Charter) = (read(&input["project"]), read(&input["charter"]));
    fits_charter(&project, &charter).map(|()| json!(true)).map_err(|misfit| code_of(&misfit))
}
