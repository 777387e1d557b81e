//! `cohortium subscription`: the consumer's side of a share, and what landed of it.

use std::path::PathBuf;

use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::acceptance::{Answer, StandingState};
use cohortium_protocol::record::order::Command;
use serde_json::json;

use crate::cli::call::Cx;
use crate::cli::columns;
use crate::cli::exit::CliFault;
use crate::cli::find::{self, other_side};
use crate::cli::print::{Shown, Table, short, word};
use crate::cli::shared::absolute;
use crate::cli::when;
use crate::control::{Reply, Request, SubscriptionView, View};

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// All subscriptions, as provider and as consumer
    List,
    /// The exact terms of one, and its snapshots
    Show(Which),
    /// Consumer: countersign exactly the terms shown
    Accept(Which),
    /// Consumer: refuse them
    Refuse(Which),
    /// Consumer: nothing until told
    Pause(Which),
    /// Consumer: send again
    Resume(Which),
    /// Consumer: never again
    End(Which),
    /// Consumer: use an earlier landed version
    Rollback {
        #[command(flatten)]
        which: Which,
        /// The snapshot: its number or the beginning of its id
        snapshot: String,
    },
    /// Consumer: forget landed versions
    Prune {
        #[command(flatten)]
        which: Which,
        /// How many of the newest stay
        #[arg(long)]
        keep: u32,
    },
    /// Consumer: count the distinct rows of the version in use
    Count(Which),
    /// Consumer: write the version in use to a new file: .parquet or .csv, or a folder for files
    Checkout {
        #[command(flatten)]
        which: Which,
        /// The file or folder
        path: PathBuf,
    },
}

/// One subscription.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// SHARE@PARTY, the share's name, or the beginning of the subscription's id
    subscription: String,
}

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let find = |which: &Which| find::subscription(&view, &which.subscription);
    match verb {
        Verb::List => Ok(list(&view)),
        Verb::Show(which) => Ok(shown(&view, find(&which)?)),
        Verb::Accept(which) => answer(cx, &view, find(&which)?, Answer::Accept),
        Verb::Refuse(which) => answer(cx, &view, find(&which)?, Answer::Refuse),
        Verb::Pause(which) => stand(cx, &view, find(&which)?, StandingState::Paused),
        Verb::Resume(which) => stand(cx, &view, find(&which)?, StandingState::Active),
        Verb::End(which) => stand(cx, &view, find(&which)?, StandingState::Ended),
        Verb::Rollback { which, snapshot } => roll_back(cx, &view, find(&which)?, &snapshot),
        Verb::Prune { which, keep } => prune(cx, &view, find(&which)?, keep),
        Verb::Count(which) => count(cx, &view, find(&which)?),
        Verb::Checkout { which, path } => checkout(cx, &view, find(&which)?, &path),
    }
}

fn label(view: &View, found: &SubscriptionView) -> String {
    format!("{}@{} ({})", found.invitation.share.name, other_side(view, found), short(&found.subscription))
}

fn list(view: &View) -> Shown {
    let mut table = Table::new(["SHARE", "SIDE", "WITH", "ID", "STATE", "SNAPSHOTS", "IN USE", "UNTIL"]);
    for each in &view.subscriptions {
        let current = each.current.and_then(|id| each.snapshots.iter().find(|snapshot| snapshot.snapshot == id));
        table.row([
            each.invitation.share.name.to_string(),
            each.side.clone(),
            other_side(view, each).to_string(),
            short(&each.subscription),
            each.state.clone(),
            each.snapshots.len().to_string(),
            current.map_or_else(|| "-".to_owned(), |snapshot| format!("number {}", snapshot.sequence)),
            each.expires.clone(),
        ]);
    }
    Shown::new(json!(view.subscriptions), table.or("No subscriptions yet.\n"))
}

fn shown(view: &View, found: &SubscriptionView) -> Shown {
    let share = &found.invitation.share;
    let mut facts = Table::new(["Subscription", &found.subscription.to_string()]);
    facts.row(["share".to_owned(), format!("{} version {} of {}", share.name, share.version, share.provider)]);
    facts.row(["for".to_owned(), found.invitation.consumer.to_string()]);
    facts.row(["state".to_owned(), found.state.clone()]);
    facts.row(["purpose".to_owned(), share.purpose.to_string()]);
    facts.row(["form".to_owned(), word(&share.form)]);
    facts.row(["until".to_owned(), found.expires.clone()]);
    facts.row(["landed rows after the end".to_owned(), word(&share.landed_rows)]);
    facts.row(["taken".to_owned(), when::shown_schedule(&share.schedule)]);
    facts.row(["answer by".to_owned(), found.invitation.answer_by.to_string()]);
    facts.row(["terms".to_owned(), Signed::unsigned(share).digest().to_string()]);
    let columns = columns::leaving(&share.content);
    let mut snapshots = Table::new(["NUMBER", "SNAPSHOT", "BASE", "BYTES", "STATE"]);
    for each in &found.snapshots {
        let state =
            if found.current == Some(each.snapshot) { format!("{}, in use", each.state) } else { each.state.clone() };
        snapshots.row([
            each.sequence.to_string(),
            short(&each.snapshot),
            word(&each.base),
            Bytes(each.bytes).to_string(),
            state,
        ]);
    }
    let text = format!("{}\n{columns}\n{}", facts.to_text(), snapshots.or("No snapshots yet.\n"));
    Shown::new(json!({"with": other_side(view, found), "subscription": found}), text)
}

fn answer(cx: &Cx, view: &View, found: &SubscriptionView, answer: Answer) -> Result<Shown, CliFault> {
    // What is countersigned is computed from the terms that were read here, not taken from the daemon's word.
    let invitation = Signed::unsigned(&found.invitation).digest();
    cx.give(view, Command::AnswerInvitation { subscription: found.subscription, invitation, answer })?;
    let word = word(&answer);
    let json = json!({"subscription": found.subscription, "invitation": invitation, "answer": word});
    Ok(Shown::new(json, format!("{}: {word}ed\n", label(view, found)).replace("refuseed", "refused")))
}

fn stand(cx: &Cx, view: &View, found: &SubscriptionView, state: StandingState) -> Result<Shown, CliFault> {
    cx.give(view, Command::SetStanding { subscription: found.subscription, state })?;
    let word = word(&state);
    Ok(Shown::new(
        json!({"subscription": found.subscription, "state": word}),
        format!("{}: {word}\n", label(view, found)),
    ))
}

fn roll_back(cx: &Cx, view: &View, found: &SubscriptionView, text: &str) -> Result<Shown, CliFault> {
    let snapshot = find::snapshot(found, text)?;
    cx.give(view, Command::RollBack { subscription: found.subscription, snapshot: snapshot.snapshot })?;
    let json = json!({"subscription": found.subscription, "current": snapshot.snapshot, "sequence": snapshot.sequence});
    Ok(Shown::new(json, format!("{}: number {} is in use\n", label(view, found), snapshot.sequence)))
}

fn prune(cx: &Cx, view: &View, found: &SubscriptionView, keep: u32) -> Result<Shown, CliFault> {
    cx.give(view, Command::Prune { subscription: found.subscription, keep })?;
    let json = json!({"subscription": found.subscription, "keep": keep});
    Ok(Shown::new(json, format!("{}: the newest {keep} versions stay\n", label(view, found))))
}

fn count(cx: &Cx, view: &View, found: &SubscriptionView) -> Result<Shown, CliFault> {
    let order = cx.signed(view, Command::ReadLanded { subscription: found.subscription })?;
    let Reply::Count { rows } = cx.call(Request::Count { order })? else { return Err(CliFault::other_reply()) };
    let json = json!({"subscription": found.subscription, "current": found.current, "rows": rows});
    Ok(Shown::new(json, format!("{}: {rows} distinct rows\n", label(view, found))))
}

fn checkout(cx: &Cx, view: &View, found: &SubscriptionView, path: &std::path::Path) -> Result<Shown, CliFault> {
    let path = absolute(path)?;
    if std::path::Path::new(&path).exists() {
        return Err(CliFault::refused(format!("{path} is there already; a checkout never overwrites")));
    }
    let order = cx.signed(view, Command::ReadLanded { subscription: found.subscription })?;
    match cx.call(Request::Checkout { order, path: path.clone() })? {
        Reply::Done => Ok(Shown::new(
            json!({"subscription": found.subscription, "current": found.current, "path": path}),
            format!("{} is in {path}\n", label(view, found)),
        )),
        _ => Err(CliFault::other_reply()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::world;
    use crate::control::ErrorKind;

    #[test]
    fn a_subscription_is_found_by_share_party_or_id() {
        let view = world::member();
        for text in ["los", "los@op", "0a0a", "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"] {
            assert!(find::subscription(&view, text).is_ok(), "{text}");
        }
        for text in ["los@north", "heart", "0b0b"] {
            assert_eq!(find::subscription(&view, text).unwrap_err().kind, ErrorKind::NotFound, "{text}");
        }
        let found = &view.subscriptions[0];
        assert_eq!(find::snapshot(found, "2").unwrap().sequence, 2);
        assert_eq!(find::snapshot(found, "0c0c").unwrap().sequence, 1);
        assert!(find::snapshot(found, "3").is_err());
    }

    #[test]
    fn the_terms_shown_name_every_column_that_leaves_and_none_that_stays() {
        let view = world::member();
        let shown = shown(&view, &view.subscriptions[0]);
        assert!(shown.text.contains("sodium") && !shown.text.contains("eid"), "{}", shown.text);
        assert!(shown.text.contains("purpose") && shown.text.contains("research"));
    }
}
