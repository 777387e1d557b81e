//! `cohortium charter`: what the members have agreed, what is proposed, and this node's signature on it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{Name, Text};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::quantity::AnonymityK;
use cohortium_protocol::record::charter::{
    Charter, CharterFields, CharterKind, LandedRows, LinkageTerms, Party, PartyKind,
};
use cohortium_protocol::record::journal_entry::{Act, JournalEntry};
use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::safeguards::{Renewal, SafeguardFields, Safeguards};
use cohortium_protocol::time::Seconds;
use cohortium_schema::schema::CommonSchema;
use serde_json::{Value, json};

use crate::cli::account_file;
use crate::cli::call::{Cx, now};
use crate::cli::exit::CliFault;
use crate::cli::find;
use crate::cli::history::entries;
use crate::cli::mapped::schema_of_file;
use crate::cli::print::{Shown, Table, from_word, short, word};
use crate::cli::when;
use crate::control::View;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// The charter in force here, and what waits for signatures
    Show,
    /// Every version that this node knows
    History,
    /// Operator: put a new version to the members
    Propose(Box<Propose>),
    /// Countersign a proposed version for this node
    Sign {
        /// Its number or the beginning of its digest
        version: String,
    },
    /// What differs between two versions
    Diff {
        /// The number or digest of one
        from: String,
        /// The number or digest of the other
        to: String,
    },
}

/// What the next version changes.
#[derive(Debug, clap::Args)]
pub(crate) struct Propose {
    /// Admit a hospital that has joined; may be given several times
    #[arg(long, value_name = "NAME")]
    admit: Vec<Name>,
    /// Admit every hospital that has joined
    #[arg(long)]
    admit_all: bool,
    /// Remove a member; begins a new linkage epoch
    #[arg(long, value_name = "NAME")]
    remove: Vec<Name>,
    /// Another title
    #[arg(long)]
    title: Option<Text>,
    /// Member signatures that a change needs
    #[arg(long, value_name = "N")]
    threshold: Option<u16>,
    /// The least k of microdata that leaves
    #[arg(long, value_name = "N")]
    k: Option<u32>,
    /// Counts below this are suppressed
    #[arg(long, value_name = "N")]
    small_cell: Option<u32>,
    /// The least strict answer for landed rows: exclude, keep or erase
    #[arg(long, value_parser = from_word::<LandedRows>)]
    landed_rows: Option<LandedRows>,
    /// The longest a share may run
    #[arg(long, value_name = "N")]
    share_days: Option<u32>,
    /// The member that makes and wraps the linkage key
    #[arg(long, value_name = "NAME")]
    key_maker: Option<Name>,
    /// Begin a new linkage epoch
    #[arg(long)]
    next_epoch: bool,
    /// A TOML file with an [accounts.NAME] for each population: population, rho, delta, `patients_max`; where it grants more than
    /// before, `renews` names the unit of what it grants anew, such as "patient-year"
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// How long members may object to a release before it is reserved; 0: they are not asked
    #[arg(long, value_name = "SECONDS")]
    objection_wait: Option<u64>,
    /// When a private answer comes, from its reservation on, whatever the rows are
    #[arg(long, value_name = "SECONDS")]
    answer_time: Option<u64>,
    /// The consortium's own common schema in TOML; it is told to every member
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
}

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    match verb {
        Verb::Show => Ok(shown(&cx.view()?)),
        Verb::History => Ok(history(&versions(cx)?)),
        Verb::Propose(changes) => propose(cx, &changes),
        Verb::Sign { version } => sign(cx, &version),
        Verb::Diff { from, to } => diff(&versions(cx)?, &from, &to),
    }
}

/// The name of a charter version.
fn digest(charter: &Charter) -> DocumentDigest {
    Signed::unsigned(charter).digest()
}

fn shown(view: &View) -> Shown {
    let text = match &view.charter {
        None => "No charter is in force here yet.\n".to_owned(),
        Some(charter) => describe(charter),
    };
    let mut table = Table::new(["VERSION", "DIGEST", "SIGNED BY", "NEEDS"]);
    for each in &view.proposals {
        let signed: Vec<String> = each.signed.iter().map(ToString::to_string).collect();
        let needs = format!("{} of {}", each.needed, each.eligible.len());
        table.row([each.charter.version.to_string(), short(&each.digest), signed.join(", "), needs]);
    }
    let waiting = if view.proposals.is_empty() { String::new() } else { format!("\nProposed:\n{}", table.to_text()) };
    let digest = view.charter.as_ref().map(digest);
    let json = json!({"charter": view.charter, "digest": digest, "proposals": view.proposals});
    Shown::new(json, format!("{text}{waiting}"))
}

fn describe(charter: &Charter) -> String {
    let mut table = Table::new(["PARTY", "KIND", "TITLE", "FINGERPRINT"]);
    for (name, party) in &charter.roster {
        table.row([name.to_string(), word(&party.kind), party.title.to_string(), party.root.fingerprint()]);
    }
    let mut facts = Table::new(["Charter", charter.title.as_str()]);
    facts.row([
        "version".to_owned(),
        format!("{} ({}, {})", charter.version, word(&charter.kind), short(&digest(charter))),
    ]);
    facts.row(["written".to_owned(), charter.at.to_string()]);
    facts.row(["threshold".to_owned(), charter.threshold.to_string()]);
    facts.row(["least k".to_owned(), charter.policy.anonymity_k_min.0.to_string()]);
    facts.row(["least cell".to_owned(), charter.policy.small_cell_min.to_string()]);
    facts.row(["landed rows".to_owned(), word(&charter.terms.landed_rows)]);
    facts.row(["share at most".to_owned(), format!("{} days", charter.terms.share_validity_max.0 / (24 * 3600))]);
    let said = charter.safeguards();
    let wait = match said.objection_wait {
        Seconds(0) => "none: members are told of a release when it is reserved".to_owned(),
        wait => format!("{} seconds", wait.0),
    };
    facts.row(["members may object".to_owned(), wait]);
    facts.row(["private answers after".to_owned(), format!("{} seconds", said.answer_time.0)]);
    for (account, renewal) in &said.renewed {
        facts.row([
            format!("account {account}"),
            format!("enlarged by version {}, for each {}", renewal.version, renewal.unit),
        ]);
    }
    let schema = charter.schema.as_ref().map_or_else(|| "not named".to_owned(), short);
    facts.row(["common schema".to_owned(), schema]);
    let linkage =
        charter.linkage.as_ref().map(|linkage| format!("epoch {}, made by {}", linkage.epoch, linkage.key_maker));
    facts.row(["linkage".to_owned(), linkage.unwrap_or_else(|| "none".to_owned())]);
    format!("{}\n{}", facts.to_text(), table.to_text())
}

/// Every charter version in the journal, by number and digest.
fn versions(cx: &Cx) -> Result<Vec<Charter>, CliFault> {
    let view = cx.view()?;
    let mut found = BTreeMap::new();
    for (_, entry) in entries(cx, &view, 0, u64::MAX)? {
        if let Act::Charter(signed) = &entry.act
            && let Ok(charter) = signed.claimed()
        {
            found.insert((charter.version, signed.digest()), charter);
        }
    }
    for charter in view.charter.into_iter().chain(view.proposals.into_iter().map(|proposal| proposal.charter)) {
        found.insert((charter.version, digest(&charter)), charter);
    }
    Ok(found.into_values().collect())
}

fn history(versions: &[Charter]) -> Shown {
    let mut table = Table::new(["VERSION", "DIGEST", "WRITTEN", "PARTIES", "K", "LINKAGE"]);
    for charter in versions {
        let linkage = charter.linkage.as_ref().map_or_else(String::new, |linkage| format!("epoch {}", linkage.epoch));
        table.row([
            charter.version.to_string(),
            short(&digest(charter)),
            charter.at.to_string(),
            charter.roster.len().to_string(),
            charter.policy.anonymity_k_min.0.to_string(),
            linkage,
        ]);
    }
    let json: Vec<Value> =
        versions.iter().map(|charter| json!({"digest": digest(charter), "charter": charter})).collect();
    Shown::new(json!(json), table.or("No charter is known here yet.\n"))
}

fn propose(cx: &Cx, changes: &Propose) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let last = view.charter.as_ref().ok_or_else(|| CliFault::refused("no charter is in force here yet"))?;
    let mut titles = BTreeMap::new();
    for (_, entry) in entries(cx, &view, 0, u64::MAX)? {
        titles.extend(invited(&entry));
    }
    let schema = changes.schema.as_deref().map(|file| schema_of_file(Some(file))).transpose()?;
    let named = schema.as_ref().map(CommonSchema::digest);
    let next = next_version(&view, last, named, changes, &titles)?;
    node_floor(cx, &next)?;
    let (name, version) = (digest(&next), next.version);
    cx.give(&view, Command::ProposeCharter(next))?;
    if let Some(schema) = schema {
        cx.give(&view, Command::StateSchema { text: schema.canonical() })?;
    }
    Ok(Shown::new(json!({"version": version, "digest": name}), format!("Version {version} is proposed: {name}\n")))
}

/// The name and title that an invitation token was made for.
fn invited(entry: &JournalEntry) -> Option<(Name, Text)> {
    let Act::Order(order) = &entry.act else { return None };
    match order.claimed().ok()?.command {
        Command::IssueJoinToken { party, title, .. } => Some((party, title)),
        _ => None,
    }
}

fn next_version(
    view: &View,
    last: &Charter,
    schema: Option<DocumentDigest>,
    changes: &Propose,
    titles: &BTreeMap<Name, Text>,
) -> Result<Charter, CliFault> {
    let mut fields = CharterFields::from(last.clone());
    fields.consortium = Some(view.consortium);
    fields.previous = Some(digest(last));
    fields.version = last.version.saturating_add(1);
    fields.at = now();
    roster(view, &mut fields, changes, titles)?;
    fields.title = changes.title.clone().unwrap_or(fields.title);
    fields.schema = schema.or(fields.schema);
    fields.threshold = changes.threshold.unwrap_or(fields.threshold);
    fields.policy.anonymity_k_min = changes.k.map_or(fields.policy.anonymity_k_min, AnonymityK);
    fields.policy.small_cell_min = changes.small_cell.unwrap_or(fields.policy.small_cell_min);
    fields.terms.landed_rows = changes.landed_rows.unwrap_or(fields.terms.landed_rows);
    fields.terms.share_validity_max = changes.share_days.map_or(fields.terms.share_validity_max, when::days);
    fields.linkage = linkage(last.linkage.as_ref(), changes)?;
    safeguards(last, &mut fields, changes)?;
    Charter::try_from(fields).map_err(|fault| CliFault::usage(fault.to_string()))
}

/// Accounts, the units of what they grant anew, and the times of releases.
fn safeguards(last: &Charter, fields: &mut CharterFields, changes: &Propose) -> Result<(), CliFault> {
    let mut said = SafeguardFields::from(last.safeguards());
    for (name, (terms, renews)) in changes.accounts.as_deref().map(account_file::read).transpose()?.unwrap_or_default()
    {
        let before = last.accounts.get(&name);
        let enlarged = before.is_some_and(|before| terms.rho > before.rho || terms.delta > before.delta);
        match renews.filter(|_| enlarged) {
            Some(unit) => drop(said.renewed.insert(name.clone(), Renewal { version: fields.version, unit })),
            None if enlarged => {
                return Err(CliFault::usage(format!(
                    "account {name} grants more than before: say the unit of what it grants anew, such as renews = \"patient-year\""
                )));
            }
            None => {}
        }
        fields.accounts.insert(name, terms);
    }
    said.objection_wait = changes.objection_wait.map_or(said.objection_wait, Seconds);
    said.answer_time = changes.answer_time.map_or(said.answer_time, Seconds);
    if said != SafeguardFields::from(last.safeguards()) {
        let said = Safeguards::try_from(said).map_err(|fault| CliFault::usage(fault.to_string()))?;
        fields.ext = said.beside(std::mem::take(&mut fields.ext));
    }
    Ok(())
}

fn roster(
    view: &View,
    fields: &mut CharterFields,
    changes: &Propose,
    titles: &BTreeMap<Name, Text>,
) -> Result<(), CliFault> {
    let all = view.joining.keys().filter(|_| changes.admit_all);
    for name in changes.admit.iter().chain(all) {
        let joining = view.joining.get(name).ok_or_else(|| {
            CliFault::not_found(format!("{name} has not joined; `cohortium consortium parties` lists who has"))
        })?;
        let root = joining.root.parse().map_err(|_| CliFault::other_reply())?;
        let title =
            titles.get(name).cloned().or_else(|| name.as_str().parse().ok()).ok_or_else(CliFault::other_reply)?;
        fields.roster.insert(name.clone(), Party { kind: PartyKind::Member, title, root, succeeds: None });
    }
    for name in &changes.remove {
        if fields.roster.remove(name).is_none() {
            return Err(CliFault::not_found(format!("{name} is not on the roster")));
        }
    }
    Ok(())
}

/// A new epoch follows each exit (law 1) and each change of the key maker.
fn linkage(last: Option<&LinkageTerms>, changes: &Propose) -> Result<Option<LinkageTerms>, CliFault> {
    let Some(last) = last else {
        if changes.next_epoch && changes.key_maker.is_none() {
            return Err(CliFault::usage("there is no linkage key yet; name its maker with --key-maker"));
        }
        return Ok(changes.key_maker.clone().map(|key_maker| LinkageTerms { key_maker, epoch: 1 }));
    };
    let key_maker = changes.key_maker.clone().unwrap_or_else(|| last.key_maker.clone());
    if changes.remove.contains(&key_maker) {
        return Err(CliFault::usage(format!("{key_maker} makes the linkage key; name another with --key-maker")));
    }
    let new = changes.next_epoch || !changes.remove.is_empty() || key_maker != last.key_maker;
    let epoch = if new { last.epoch.saturating_add(1) } else { last.epoch };
    Ok(Some(LinkageTerms { key_maker, epoch }))
}

/// This node's own floor, which a production charter must not go below.
fn node_floor(cx: &Cx, charter: &Charter) -> Result<(), CliFault> {
    let floor = cx.config()?.privacy.anonymity_k_min;
    let least = charter.policy.anonymity_k_min.0.min(charter.policy.small_cell_min);
    if charter.kind == CharterKind::Production && least < floor {
        return Err(CliFault::refused(format!(
            "the charter allows k or cells of {least}; node.toml says at least {floor} (privacy.anonymity_k_min)"
        )));
    }
    Ok(())
}

fn sign(cx: &Cx, text: &str) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let proposal = find::proposal(&view, text)?;
    node_floor(cx, &proposal.charter)?;
    // What is signed is computed from what was shown, not taken from the daemon's word.
    let name = digest(&proposal.charter);
    cx.give(&view, Command::SignCharter(name))?;
    let version = proposal.charter.version;
    Ok(Shown::new(json!({"version": version, "digest": name}), format!("Version {version} is signed: {name}\n")))
}

fn diff(versions: &[Charter], from: &str, to: &str) -> Result<Shown, CliFault> {
    let (from, to) = (version(versions, from)?, version(versions, to)?);
    let as_json = |charter: &Charter| serde_json::to_value(charter).map_err(|_| CliFault::other_reply());
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    flatten(&as_json(from)?, String::new(), &mut before);
    flatten(&as_json(to)?, String::new(), &mut after);
    let mut table = Table::new(["FIELD", "BEFORE", "AFTER"]);
    let mut changes = Vec::new();
    for field in before.keys().chain(after.keys().filter(|field| !before.contains_key(*field))) {
        let (old, new) = (before.get(field), after.get(field));
        if old != new {
            let cell = |value: Option<&Value>| value.map(ToString::to_string).unwrap_or_default();
            table.row([field.clone(), cell(old), cell(new)]);
            changes.push(json!({"field": field, "before": old, "after": new}));
        }
    }
    Ok(Shown::new(json!(changes), table.or("Nothing differs.\n")))
}

fn version<'a>(versions: &'a [Charter], text: &str) -> Result<&'a Charter, CliFault> {
    let fits = |charter: &&Charter| {
        charter.version.to_string() == text || (text.len() >= 4 && digest(charter).to_string().starts_with(text))
    };
    let found: Vec<&Charter> = versions.iter().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(CliFault::not_found(format!(
            "there is no charter version {text}; `cohortium charter history` lists them"
        ))),
        _ => Err(CliFault::usage(format!("there are several versions {text}; give the digest"))),
    }
}

/// Every leaf of a JSON value by its path.
fn flatten(value: &Value, path: String, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(inner, path, into);
            }
        }
        leaf => drop(into.insert(path, leaf.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::world;

    fn changes() -> Propose {
        Propose {
            admit: Vec::new(),
            admit_all: false,
            remove: Vec::new(),
            title: None,
            threshold: None,
            k: None,
            small_cell: None,
            landed_rows: None,
            share_days: None,
            key_maker: None,
            next_epoch: false,
            accounts: None,
            objection_wait: None,
            answer_time: None,
            schema: None,
        }
    }

    fn propose(changes: &Propose) -> Result<Charter, CliFault> {
        let view = world::operator();
        let titles = BTreeMap::from([("west".parse().unwrap(), "West Hospital".parse().unwrap())]);
        next_version(&view, view.charter.as_ref().unwrap(), None, changes, &titles)
    }

    #[test]
    fn the_next_version_links_to_the_last_and_admits_who_has_joined() {
        let next = propose(&Propose { admit_all: true, ..changes() }).unwrap();
        let view = world::operator();
        let last = view.charter.as_ref().unwrap();
        assert_eq!((next.version, next.previous, next.consortium), (3, Some(digest(last)), Some(view.consortium)));
        let west = &next.roster[&"west".parse::<Name>().unwrap()];
        assert_eq!((west.title.as_str(), west.kind), ("West Hospital", PartyKind::Member));
        let stranger = propose(&Propose { admit: vec!["east".parse().unwrap()], ..changes() });
        assert_eq!(stranger.unwrap_err().kind, crate::control::ErrorKind::NotFound);
    }

    #[test]
    fn a_new_epoch_follows_each_exit_and_each_new_key_maker() {
        let epoch = |changes: &Propose| propose(changes).map(|next| next.linkage.as_ref().unwrap().epoch);
        assert_eq!(epoch(&changes()), Ok(4));
        assert_eq!(epoch(&Propose { next_epoch: true, ..changes() }), Ok(5));
        assert_eq!(epoch(&Propose { remove: vec!["south".parse().unwrap()], ..changes() }), Ok(5));
        assert_eq!(epoch(&Propose { key_maker: Some("south".parse().unwrap()), ..changes() }), Ok(5));
        assert!(
            epoch(&Propose { remove: vec!["north".parse().unwrap()], ..changes() }).is_err(),
            "the key maker leaves"
        );
    }

    #[test]
    fn a_diff_names_each_field_that_differs() {
        let view = world::operator();
        let last = view.charter.clone().unwrap();
        let next = propose(&Propose { threshold: Some(2), ..changes() }).unwrap();
        let shown = diff(&[last, next], "2", "3").unwrap();
        let fields: Vec<&str> =
            shown.json.as_array().unwrap().iter().map(|each| each["field"].as_str().unwrap()).collect();
        assert_eq!(fields, ["at", "previous", "threshold", "version"]);
    }
}
