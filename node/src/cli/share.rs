//! `cohortium share`: terms, their preview and approval. What follows from an invitation is `shared`'s.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cohortium_protocol::ident::{Name, ShareId, Text};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::charter::LandedRows;
use cohortium_protocol::record::dataset::Source;
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::order::{Command, Unchecked};
use cohortium_protocol::record::schedule::Schedule;
use cohortium_protocol::record::share::{Content, Form, Linkage, Share, ShareFields};
use cohortium_protocol::time::UnixMillis;
use cohortium_store::seal;
use serde_json::json;

use crate::cli::call::{Cx, now};
use crate::cli::dataset::profile;
use crate::cli::exit::CliFault;
use crate::cli::mapped::mapped_content;
use crate::cli::policy::ColumnFlags;
use crate::cli::print::{Shown, Table, from_word, short, word, yes};
use crate::cli::{columns, find, shared, when};
use crate::control::{Reply, Request, ShareView, View};

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Define a share over a dataset, or its next version
    Define(Box<Define>),
    /// See columns, recipients and the first rows as they would leave
    Preview {
        /// The share
        name: String,
        /// How many rows
        #[arg(long, default_value_t = 5)]
        rows: u32,
    },
    /// Privacy officer: exactly these terms may leave
    Approve {
        /// The share
        name: String,
        /// These files leave although nobody looked into them
        #[arg(long)]
        unchecked: bool,
    },
    /// This node's shares
    List,
    /// Invite a consumer to an approved share
    Invite {
        /// The share
        name: String,
        /// The consumer
        #[arg(long)]
        to: Name,
        /// How long it can be answered
        #[arg(long, default_value_t = 30)]
        days: u32,
    },
    /// Take a snapshot now
    Take {
        /// The share
        name: String,
    },
    /// No byte from now on
    Revoke {
        /// The subscription: SHARE@PARTY, its share's name or its id
        subscription: String,
        /// For people
        #[arg(long)]
        reason: Option<Text>,
    },
    /// Lift a revocation
    Reinstate {
        /// The subscription
        subscription: String,
        /// For people
        #[arg(long)]
        reason: Option<Text>,
    },
    /// Let a subscription end at another time
    Expire {
        /// The subscription
        subscription: String,
        /// A date (to its end, UTC) or a time like 2027-01-31T12:00:00Z
        #[arg(value_parser = when::until)]
        at: UnixMillis,
        /// For people
        #[arg(long)]
        reason: Option<Text>,
    },
    /// Take snapshots at other times
    Schedule {
        /// The subscription
        subscription: String,
        /// manual, "every 15m Europe/Berlin" or "daily 02:30 mon-fri Europe/Berlin"
        #[arg(value_parser = when::schedule)]
        schedule: Schedule,
    },
    /// Write what a consumer lacks into a new folder, to be carried by hand
    Export {
        /// The subscription
        subscription: String,
        /// The folder
        folder: PathBuf,
    },
    /// Take in a folder that a provider exported
    Import {
        /// The folder
        folder: PathBuf,
    },
    /// Who has what of this node
    Who,
}

/// Terms.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("end").required(true).args(["expires", "days"]))]
pub(crate) struct Define {
    /// The share's name
    name: Name,
    /// The dataset
    #[arg(long)]
    dataset: String,
    /// Who may be invited
    #[arg(long, value_name = "PARTY,..", value_delimiter = ',', required = true)]
    to: Vec<Name>,
    /// What it may be used for
    #[arg(long)]
    purpose: Text,
    /// No byte after this date (its end, UTC) or time
    #[arg(long, value_name = "DATE", value_parser = when::until)]
    expires: Option<UnixMillis>,
    /// No byte after so many days
    #[arg(long, value_name = "N")]
    days: Option<u32>,
    #[command(flatten)]
    columns: ColumnFlags,
    /// Each row carries the patient's linkage token
    #[arg(long)]
    link: bool,
    /// Rows stay here and answer queries: rows (pseudonymised) or private (aggregates only)
    #[arg(long, value_name = "FORM", value_parser = in_place)]
    in_place: Option<Form>,
    /// When snapshots are taken
    #[arg(long, default_value = "manual", value_parser = when::schedule)]
    schedule: Schedule,
    /// What revocation and expiry mean for landed rows: exclude, keep or erase [default: the charter's]
    #[arg(long, value_parser = from_word::<LandedRows>)]
    on_revocation: Option<LandedRows>,
}

fn in_place(text: &str) -> Result<Form, String> {
    match text {
        "rows" => Ok(Form::InPlaceRows),
        "private" => Ok(Form::InPlacePrivate),
        _ => Err("is neither rows nor private".to_owned()),
    }
}

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    use cohortium_protocol::record::revocation::Change;
    match verb {
        Verb::Define(terms) => define(cx, *terms),
        Verb::Preview { name, rows } => preview(cx, &name, rows),
        Verb::Approve { name, unchecked } => approve(cx, &name, unchecked),
        Verb::List => Ok(list(&cx.view()?)),
        Verb::Invite { name, to, days } => shared::invite(cx, &name, &to, days),
        Verb::Take { name } => take(cx, &name),
        Verb::Revoke { subscription, reason } => shared::change(cx, &subscription, Change::Revoke, reason),
        Verb::Reinstate { subscription, reason } => shared::change(cx, &subscription, Change::Reinstate, reason),
        Verb::Expire { subscription, at, reason } => shared::change(cx, &subscription, Change::Expires(at), reason),
        Verb::Schedule { subscription, schedule } => {
            shared::change(cx, &subscription, Change::Schedule(schedule), None)
        }
        Verb::Export { subscription, folder } => shared::export(cx, &subscription, &folder),
        Verb::Import { folder } => shared::import(cx, &folder),
        Verb::Who => Ok(shared::who(&cx.view()?)),
    }
}

fn define(cx: &Cx, terms: Define) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let dataset = find::dataset(&view, &terms.dataset)?;
    let content = match &dataset.source {
        Source::Files { .. } if terms.columns.any() || terms.link => {
            return Err(CliFault::usage("a folder of files has no columns: no column flag and no --link"));
        }
        Source::Release { .. } if terms.columns.any() || terms.link => {
            return Err(CliFault::usage("the columns of a release are its own: no column flag, no --link"));
        }
        Source::Files { .. } => Content::UncheckedFiles,
        Source::Release { release } => Content::Release { release: *release },
        Source::Mapped { .. } if terms.columns.any() || terms.link => {
            return Err(CliFault::usage(
                "the columns of a mapped table are the common schema's: no column flag, no --link",
            ));
        }
        Source::Mapped { mapping, table } => mapped_content(cx, &view, mapping, table)?,
        source @ (Source::Csv { .. }
        | Source::Parquet { .. }
        | Source::Ndjson { .. }
        | Source::Json { .. }
        | Source::ArrowIpc { .. }
        | Source::Fhir { .. }
        | Source::Postgres(_)
        | Source::Maria(_)
        | Source::S3(_)) => {
            let linkage = if terms.link { Linkage::Token } else { Linkage::None };
            Content::Table(terms.columns.apply(profile(cx, &view, source)?, linkage, end(&terms))?)
        }
    };
    let terms = Terms {
        name: terms.name,
        to: terms.to,
        purpose: terms.purpose,
        expires: terms.expires,
        days: terms.days,
        form: terms.in_place,
        schedule: terms.schedule,
        on_revocation: terms.on_revocation,
    };
    let share = self::terms(&view, terms, dataset.dataset, content, cx.config()?.privacy.share_days_max)?;
    let shown = defined(&share);
    cx.give(&view, Command::DefineShare(share))?;
    Ok(shown)
}

/// What a person says of a share besides its columns.
pub(crate) struct Terms {
    pub(crate) name: Name,
    pub(crate) to: Vec<Name>,
    pub(crate) purpose: Text,
    pub(crate) expires: Option<UnixMillis>,
    pub(crate) days: Option<u32>,
    pub(crate) form: Option<Form>,
    pub(crate) schedule: Schedule,
    pub(crate) on_revocation: Option<LandedRows>,
}

/// When no byte leaves any more.
fn end(terms: &Define) -> UnixMillis {
    terms.expires.unwrap_or_else(|| now().plus(when::days(terms.days.unwrap_or(0))))
}

/// The share that these terms are, within the charter's and the node's bounds.
pub(crate) fn terms(
    view: &View,
    terms: Terms,
    dataset: cohortium_protocol::ident::DatasetId,
    content: Content,
    node_days: u32,
) -> Result<Share, CliFault> {
    let charter = view.charter.as_ref().ok_or_else(|| CliFault::refused("no charter is in force here yet"))?;
    let known = view.shares.iter().map(|each| &each.share).find(|share| share.name == terms.name);
    let expires = terms.expires.unwrap_or_else(|| now().plus(when::days(terms.days.unwrap_or(0))));
    let consumers: BTreeSet<Name> = terms.to.into_iter().collect();
    if let Some(stranger) = consumers.iter().find(|name| !charter.roster.contains_key(*name)) {
        return Err(CliFault::not_found(format!("{stranger} is no party; `cohortium consortium parties` lists them")));
    }
    let longest = charter.terms.share_validity_max.min(when::days(node_days));
    if expires <= now() || expires > now().plus(longest) {
        let days = longest.0 / (24 * 3600);
        return Err(CliFault::refused(format!(
            "a share ends in the future and within {days} days (charter and node.toml)"
        )));
    }
    let fields = ShareFields {
        consortium: view.consortium,
        provider: view.party.clone(),
        share: known.map_or_else(|| ShareId(seal::random()), |share| share.share),
        name: terms.name,
        version: known.map_or(1, |share| share.version.saturating_add(1)),
        dataset,
        form: terms.form.unwrap_or(Form::Snapshot),
        content,
        purpose: terms.purpose,
        consumers,
        expires,
        landed_rows: terms.on_revocation.unwrap_or(charter.terms.landed_rows),
        schedule: terms.schedule,
        ext: Extensions::default(),
    };
    Share::try_from(fields).map_err(|fault| CliFault::usage(fault.to_string()))
}

fn defined(share: &Share) -> Shown {
    let terms = Signed::unsigned(share).digest();
    let text = format!(
        "Share {} version {} ({}), to be previewed and approved\n{}",
        share.name,
        share.version,
        short(&share.share),
        columns::shown(&share.content)
    );
    Shown::new(json!({"share": share, "terms": terms}), text)
}

fn preview(cx: &Cx, name: &str, rows: u32) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let found = find::share(&view, name)?;
    let most = cx.config()?.privacy.preview_rows_max;
    if rows > most {
        return Err(CliFault::refused(format!("node.toml allows a preview of {most} rows (privacy.preview_rows_max)")));
    }
    let order = cx.signed(&view, Command::Preview { share: found.share.share })?;
    let Reply::Rows { header, rows, dropped, recipients } = cx.call(Request::Preview { order, rows })? else {
        return Err(CliFault::other_reply());
    };
    Ok(previewed(found, &header, &rows, &dropped, &recipients))
}

fn previewed(
    found: &ShareView,
    header: &[String],
    rows: &[Vec<Option<String>>],
    dropped: &[String],
    recipients: &[Name],
) -> Shown {
    let mut table = Table::of(header.iter().cloned());
    for row in rows {
        table.row(row.iter().map(|cell| cell.clone().unwrap_or_else(|| "-".to_owned())));
    }
    let names: Vec<String> = recipients.iter().map(ToString::to_string).collect();
    let stay = if dropped.is_empty() { "none".to_owned() } else { dropped.join(", ") };
    let share = &found.share;
    let text = format!(
        "{}\n{}\nrecipients       {}\npurpose          {}\nuntil            {}\ncolumns that stay  {}\n",
        table.to_text(),
        columns::shown(&share.content),
        names.join(", "),
        share.purpose,
        share.expires,
        crate::cli::print::visible(&stay),
    );
    let json = json!({
        "header": header, "rows": rows, "dropped": dropped, "content": share.content, "recipients": recipients,
        "purpose": share.purpose, "expires": share.expires.to_string(), "terms": found.terms,
    });
    Shown::new(json, text)
}

fn approve(cx: &Cx, name: &str, unchecked: bool) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let found = find::share(&view, name)?;
    let files = found.share.content == Content::UncheckedFiles;
    if files && !unchecked {
        return Err(CliFault::refused(
            "nobody looks into these files; say so with --unchecked, or do not let them leave",
        ));
    }
    if !files && unchecked {
        return Err(CliFault::usage("--unchecked is for files; this share is a table with a policy"));
    }
    // What is approved is computed from what was read here, not taken from the daemon's word.
    let terms = Signed::unsigned(&found.share).digest();
    let unchecked = if files { Unchecked::Acknowledged } else { Unchecked::No };
    cx.give(&view, Command::ApproveShare { share: found.share.share, terms, unchecked })?;
    let (name, version) = (&found.share.name, found.share.version);
    let json = json!({"share": found.share.share, "name": name, "version": version, "terms": terms});
    Ok(Shown::new(json, format!("Share {name} version {version} may leave: {terms}\n")))
}

fn take(cx: &Cx, name: &str) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let share = &find::share(&view, name)?.share;
    cx.give(&view, Command::TakeSnapshot { share: share.share })?;
    let text = format!("A snapshot of {} is being taken; `cohortium history` shows its end\n", share.name);
    Ok(Shown::new(json!({"share": share.share, "name": share.name}), text))
}

fn list(view: &View) -> Shown {
    let mut table =
        Table::new(["SHARE", "ID", "VERSION", "FORM", "COLUMNS", "TO", "APPROVED", "SCHEDULE", "UNTIL", "SNAPSHOTS"]);
    for each in &view.shares {
        let share = &each.share;
        let columns = match &share.content {
            Content::Table(table) => format!("{} of {}", table.leaving().count(), table.columns.len()),
            Content::UncheckedFiles => "unchecked files".to_owned(),
            Content::Release { release } => format!("release {}", short(release)),
        };
        let to: Vec<String> = share.consumers.iter().map(ToString::to_string).collect();
        table.row([
            share.name.to_string(),
            short(&share.share),
            share.version.to_string(),
            word(&share.form),
            columns,
            to.join(", "),
            yes(each.approved).to_owned(),
            when::shown_schedule(&share.schedule),
            share.expires.to_string(),
            each.snapshots.to_string(),
        ]);
    }
    Shown::new(json!(view.shares), table.or("No shares yet.\n"))
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::record::schema::{Column, ColumnRole, ColumnType, Treatment};
    use cohortium_protocol::record::share::TableTerms;

    use super::*;
    use crate::cli::tests::world;
    use crate::control::ErrorKind;

    fn said(name: &str, days: u32, to: &str) -> Terms {
        Terms {
            name: name.parse().unwrap(),
            to: vec![to.parse().unwrap()],
            purpose: "research".parse().unwrap(),
            expires: None,
            days: Some(days),
            form: None,
            schedule: Schedule::MANUAL,
            on_revocation: None,
        }
    }

    fn content() -> Content {
        let name = "sodium".parse().unwrap();
        let column = Column::new(name, ColumnType::Text, ColumnRole::Measure, Treatment::Round(0));
        Content::Table(TableTerms::of(vec![column], Linkage::None))
    }

    fn made(said: Terms, node_days: u32) -> Result<Share, ErrorKind> {
        let view = world::member();
        let dataset = view.datasets[0].dataset;
        terms(&view, said, dataset, content(), node_days).map_err(|fault| fault.kind)
    }

    #[test]
    fn the_second_definition_of_a_name_is_the_next_version_of_the_same_share() {
        let known = &world::member().shares[0].share;
        let next = made(said("los", 10, "op"), 366).unwrap();
        assert_eq!((next.share, next.version), (known.share, known.version + 1));
        let other = made(said("other", 10, "op"), 366).unwrap();
        assert_eq!(other.version, 1);
        assert_ne!(other.share, known.share);
        assert_eq!(other.landed_rows, LandedRows::Exclude, "the charter's answer");
    }

    #[test]
    fn a_share_ends_within_the_shorter_of_charter_and_node() {
        assert!(made(said("a", 100, "op"), 366).is_ok());
        assert_eq!(made(said("a", 101, "op"), 366), Err(ErrorKind::Refused), "the charter says 100 days");
        assert_eq!(made(said("a", 51, "op"), 50), Err(ErrorKind::Refused), "node.toml says 50 days");
        assert_eq!(made(said("a", 0, "op"), 366), Err(ErrorKind::Refused));
        assert_eq!(made(said("a", 10, "stranger"), 366), Err(ErrorKind::NotFound));
        assert_eq!(made(said("a", 10, "north"), 366), Err(ErrorKind::Usage), "the provider itself");
    }

    #[test]
    fn a_preview_shows_missing_cells_and_steers_no_terminal() {
        let found = &world::member().shares[0];
        let header = ["sodium".to_owned(), "x".to_owned()];
        let rows = [vec![Some("\u{1b}[1m140".to_owned()), None]];
        let shown = previewed(found, &header, &rows, &["eid".to_owned()], &["op".parse().unwrap()]);
        assert!(shown.text.starts_with("sodium        x\n\\u{1b}[1m140  -\n"), "{}", shown.text);
        assert!(shown.text.contains("columns that stay  eid"));
        assert!(
            shown.text.contains("sodium  text  measure            -      -      rounded to 0 digits"),
            "{}",
            shown.text
        );
        assert_eq!(shown.json["rows"][0][1], serde_json::Value::Null);
    }

    #[test]
    fn shares_are_listed_in_a_table() {
        let shown = list(&world::member());
        let lines: Vec<&str> = shown.text.lines().collect();
        assert!(lines[1].starts_with("los    09090909  1        snapshot  1 of 2   op  yes"), "{}", lines[1]);
        assert_eq!(shown.json[0]["terms"], world::member().shares[0].terms);
    }
}
