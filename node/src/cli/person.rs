//! `cohortium person`: who works at this node, in which roles, and their key files.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cohortium_protocol::ident::Name;
use cohortium_protocol::key::pair::{KeyPair, PublicKey};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::person::{Person, Role};
use serde_json::json;

use crate::cli::call::{Cx, now, sign};
use crate::cli::exit::CliFault;
use crate::cli::found::PERSON_DAYS;
use crate::cli::print::{Shown, Table, from_word, short, word};
use crate::cli::when;
use crate::config::secret;
use crate::control::{Reply, Request, View};
use crate::home::Home;
use crate::person::{self, Protection};

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Enrol a person, or change the roles of one
    Add {
        /// The person
        name: Name,
        /// A role: site-administrator, data-steward, privacy-officer, data-scientist, auditor; may be given several times
        #[arg(long = "role", required = true, value_delimiter = ',', value_parser = from_word::<Role>)]
        roles: Vec<Role>,
        /// The person's public key; without it, that of the key file made here
        #[arg(long)]
        key: Option<PublicKey>,
        /// How long the enrolment stands
        #[arg(long, default_value_t = PERSON_DAYS)]
        days: u32,
    },
    /// The people of this node
    List,
    /// Take all roles from a person
    Remove {
        /// The person
        name: Name,
    },
    /// Make a key file for a person
    Key {
        /// The person
        name: Name,
        /// Where, if not in the node's folder
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Protect it by the file's permissions alone, without a passphrase
        #[arg(long)]
        no_passphrase: bool,
    },
}

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    match verb {
        Verb::Add { name, roles, key, days } => add(cx, &name, &roles.into_iter().collect(), key, days),
        Verb::List => Ok(list(&cx.view()?)),
        Verb::Remove { name } => remove(cx, &name),
        Verb::Key { name, output, no_passphrase } => make_key(cx, &name, output, no_passphrase),
    }
}

fn add(cx: &Cx, name: &Name, roles: &BTreeSet<Role>, key: Option<PublicKey>, days: u32) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let known = view.persons.iter().find(|person| person.person == *name).and_then(|person| person.key.parse().ok());
    let made = || person::public(&person::key_path(&cx.home, name));
    let key = match (key, known) {
        (Some(key), _) | (None, Some(key)) => key,
        (None, None) => made()?,
    };
    enrol(cx, &view, name.clone(), key, roles.clone(), days)?;
    let names: Vec<String> = roles.iter().map(word).collect();
    let text = format!("{name} may act as {}\n", names.join(", "));
    Ok(Shown::new(json!({"person": name, "roles": roles, "key": key}), text))
}

fn remove(cx: &Cx, name: &Name) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let known = view.persons.iter().find(|person| person.person == *name).and_then(|person| person.key.parse().ok());
    let key = known.ok_or_else(|| CliFault::not_found(format!("there is no person {name} at this node")))?;
    enrol(cx, &view, name.clone(), key, BTreeSet::new(), PERSON_DAYS)?;
    Ok(Shown::new(json!({"person": name, "roles": []}), format!("{name} has no role any more\n")))
}

fn enrol(cx: &Cx, view: &View, name: Name, key: PublicKey, roles: BTreeSet<Role>, days: u32) -> Result<(), CliFault> {
    let (giver, pair) = cx.person()?;
    let enrolled = Person {
        consortium: view.consortium,
        party: view.party.clone(),
        person: name,
        key,
        roles,
        not_after: now().plus(when::days(days)),
        ext: Extensions::default(),
    };
    let mut signed = Signed::sign(&enrolled, &pair);
    // Who sees rows or lets them leave is vouched for by the root key, or by a privacy officer who gives the order.
    let trusted = [Role::DataSteward, Role::PrivacyOfficer].iter().any(|role| enrolled.roles.contains(role));
    let officer = view.persons.iter().any(|each| each.person == giver && each.roles.contains(&Role::PrivacyOfficer));
    if trusted && !officer {
        let keystore = secret::open_keystore(&cx.home, &cx.config()?.key)?;
        signed.add_signature(&KeyPair::from_seed(&*secret::seed(&keystore, "root")?));
    }
    let order = sign(view, giver, &pair, Command::EnrolPerson(signed));
    match cx.call(Request::Order(Box::new(order)))? {
        Reply::Done => Ok(()),
        _ => Err(CliFault::other_reply()),
    }
}

fn list(view: &View) -> Shown {
    let mut table = Table::new(["PERSON", "ROLES", "KEY"]);
    for person in &view.persons {
        let roles: Vec<String> = person.roles.iter().map(word).collect();
        table.row([person.person.to_string(), roles.join(", "), short(&person.key)]);
    }
    Shown::new(json!(view.persons), table.or("Nobody is enrolled.\n"))
}

fn make_key(cx: &Cx, name: &Name, output: Option<PathBuf>, no_passphrase: bool) -> Result<Shown, CliFault> {
    let path = match output {
        Some(path) => path,
        None => person::key_path(&Home::open(cx.home.path())?, name),
    };
    let protection =
        if no_passphrase { Protection::FileOnly } else { Protection::Passphrase(cx.person_passphrase.clone()) };
    let key = person::create(&path, &protection)?;
    let shown = path.display().to_string();
    Ok(Shown::new(json!({"person": name, "key": key, "file": shown}), format!("{key}\nThe key is in {shown}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::world;

    #[test]
    fn people_are_listed_in_both_forms() {
        let shown = list(&world::operator());
        let key = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
        let golden =
            format!(r#"[{{"key":"{key}","person":"alice","roles":["site-administrator","privacy-officer"]}}]"#);
        assert_eq!(shown.json.to_string(), golden);
        assert_eq!(
            shown.text,
            "PERSON  ROLES                                KEY\nalice   site-administrator, privacy-officer  8a88e3dd\n"
        );
    }
}
