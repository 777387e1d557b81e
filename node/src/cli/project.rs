//! `cohortium project`: purposes under which releases are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cohortium_protocol::ident::{Name, Text};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::project::{BudgetShare, Project, ProjectFields, ReleaseKind};
use serde::Deserialize;
use serde_json::json;

use crate::cli::account_file::{delta, rho};
use crate::cli::call::{Cx, now};
use crate::cli::exit::CliFault;
use crate::cli::print::{Shown, Table, short, word, yes};
use crate::cli::when;
use crate::control::{ProjectView, View};
use crate::home;

/// The longest file of a project.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Operator: define a project, or its next version
    Define {
        /// A TOML file: project, purpose, permit, account, people, kinds, recipients, days or expires, [tables], [budget]
        file: PathBuf,
    },
    /// Privacy officer: releases may be asked for under this project as it stands
    Approve {
        /// The project
        name: String,
    },
    /// Projects, those that wait for approval first
    List,
    /// A project with everything it allows
    Show {
        /// The project
        name: String,
    },
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    project: Name,
    purpose: Text,
    permit: Text,
    account: Name,
    people: BTreeSet<Name>,
    kinds: BTreeSet<ReleaseKind>,
    #[serde(default)]
    recipients: BTreeSet<Name>,
    days: Option<u32>,
    expires: Option<String>,
    tables: BTreeMap<Name, BTreeSet<Name>>,
    #[serde(default)]
    budget: Budget,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    #[serde(default)]
    rho: f64,
    #[serde(default)]
    delta: f64,
}

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    match verb {
        Verb::Define { file } => define(cx, &file),
        Verb::Approve { name } => approve(cx, &name),
        Verb::List => Ok(list(&cx.view()?)),
        Verb::Show { name } => show(&cx.view()?, &name),
    }
}

fn define(cx: &Cx, file: &Path) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let bytes = home::read_bounded(file, FILE_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|_| CliFault::usage("the project is not UTF-8 text"))?;
    let written: Written =
        toml::from_str(&text).map_err(|fault| CliFault::usage(format!("{}: {fault}", file.display())))?;
    let project = project(&view, written)?;
    let digest = Signed::unsigned(&project).digest();
    let (name, version) = (project.name.clone(), project.version);
    cx.give(&view, Command::DefineProject(Box::new(project)))?;
    let text = format!("Project {name} version {version} ({}), to be approved\n", short(&digest));
    Ok(Shown::new(json!({"project": name, "version": version, "digest": digest}), text))
}

fn project(view: &View, written: Written) -> Result<Project, CliFault> {
    let expires = match (written.days, written.expires) {
        (Some(days), None) => now().plus(when::days(days)),
        (None, Some(until)) => {
            when::until(&until).map_err(|fault| CliFault::usage(format!("expires: {until} {fault}")))?
        }
        (Some(_), Some(_)) | (None, None) => return Err(CliFault::usage("a project has days or expires")),
    };
    let approved = view.projects.iter().filter(|known| known.approved && known.project.name == written.project);
    let version = approved.map(|known| known.project.version).max().unwrap_or(0).saturating_add(1);
    let fields = ProjectFields {
        consortium: view.consortium,
        operator: view.party.clone(),
        name: written.project,
        version,
        purpose: written.purpose,
        permit: written.permit,
        account: written.account,
        people: written.people,
        kinds: written.kinds,
        tables: written.tables,
        recipients: written.recipients,
        budget: BudgetShare { rho: rho(written.budget.rho)?, delta: delta(written.budget.delta)? },
        expires,
        ext: Extensions::default(),
    };
    Project::try_from(fields).map_err(|fault| CliFault::usage(fault.to_string()))
}

/// The newest version of a project: what waits for approval, else what is approved.
fn find<'a>(view: &'a View, name: &str) -> Result<&'a ProjectView, CliFault> {
    let named = view.projects.iter().filter(|known| known.project.name.as_str() == name);
    let found = named.max_by_key(|known| known.project.version);
    found.ok_or_else(|| {
        CliFault::not_found(format!("there is no project {name}; `cohortium project list` shows what there is"))
    })
}

fn approve(cx: &Cx, name: &str) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let found = find(&view, name)?;
    // What is approved is computed from what was read here, not taken from the daemon's word.
    let digest = Signed::unsigned(&found.project).digest();
    cx.give(&view, Command::ApproveProject { project: digest })?;
    let version = found.project.version;
    let text = format!("Releases may be asked for under project {name} version {version}\n");
    Ok(Shown::new(json!({"project": name, "version": version, "digest": digest}), text))
}

fn list(view: &View) -> Shown {
    let mut table = Table::new(["PROJECT", "VERSION", "APPROVED", "KINDS", "ACCOUNT", "RECIPIENTS", "UNTIL"]);
    for known in &view.projects {
        let project = &known.project;
        table.row([
            project.name.to_string(),
            project.version.to_string(),
            yes(known.approved).to_owned(),
            project.kinds.iter().map(word).collect::<Vec<_>>().join(", "),
            project.account.to_string(),
            names(&project.recipients),
            project.expires.to_string(),
        ]);
    }
    Shown::new(json!(view.projects), table.or("No projects yet.\n"))
}

fn show(view: &View, name: &str) -> Result<Shown, CliFault> {
    let known = find(view, name)?;
    let project = &known.project;
    let mut facts = Table::new(["Project", project.name.as_str()]);
    let kinds = project.kinds.iter().map(word).collect::<Vec<_>>().join(", ");
    for (fact, value) in [
        ("version", format!("{} ({})", project.version, short(&known.digest))),
        ("approved", yes(known.approved).to_owned()),
        ("purpose", project.purpose.to_string()),
        ("permit", project.permit.to_string()),
        ("account", project.account.to_string()),
        ("people", names(&project.people)),
        ("kinds", kinds),
        ("recipients", names(&project.recipients)),
        ("until", project.expires.to_string()),
    ] {
        facts.row([fact.to_owned(), value]);
    }
    for (table, columns) in &project.tables {
        facts.row([table.to_string(), names(columns)]);
    }
    Ok(Shown::new(json!(known), facts.to_text()))
}

fn names(all: &BTreeSet<Name>) -> String {
    all.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::world;

    const PROJECT: &str = r#"
        project = "stays"
        purpose = "length of stay"
        permit = "ethics vote 7"
        account = "patients"
        people = ["ada"]
        kinds = ["microdata", "counts"]
        recipients = ["north"]
        days = 90
        [tables]
        person = ["person_id", "year_of_birth"]
    "#;

    #[test]
    fn a_project_is_the_version_after_the_approved_one() {
        let mut view = world::operator();
        let read = |view: &View, text: &str| project(view, toml::from_str(text).unwrap());
        let first = read(&view, PROJECT).unwrap();
        assert_eq!((first.version, first.operator.clone()), (1, view.party.clone()));
        let digest = Signed::unsigned(&first).digest();
        view.projects.push(ProjectView { project: first, digest, approved: true });
        assert_eq!(read(&view, PROJECT).unwrap().version, 2);
        assert!(read(&view, &PROJECT.replace("days = 90", "")).is_err());
        assert!(toml::from_str::<Written>(&PROJECT.replace("days", "dayz")).is_err());
        assert_eq!(find(&view, "stays").unwrap().project.version, 1);
        assert!(find(&view, "other").is_err());
    }
}
