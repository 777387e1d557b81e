//! The part of `cohortium share` that comes after the terms: invitations, changes, who has what, and the way by hand.

use std::path::Path;

use cohortium_protocol::ident::{Name, SubscriptionId, Text};
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::revocation::Change;
use cohortium_store::seal;
use serde_json::{Value, json};

use crate::cli::call::{Cx, now};
use crate::cli::exit::CliFault;
use crate::cli::find;
use crate::cli::print::{Shown, Table, short};
use crate::cli::when;
use crate::control::{Reply, Request, View};
use crate::offline::folder::read_heading;

pub(crate) fn invite(cx: &Cx, name: &str, consumer: &Name, days: u32) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let share = &find::share(&view, name)?.share;
    if !share.consumers.contains(consumer) {
        return Err(CliFault::refused(format!(
            "the terms of {} do not name {consumer}; define the share again with --to, and have it approved",
            share.name
        )));
    }
    // A consumer that was invited before keeps its subscription and answers anew.
    let known =
        view.subscriptions.iter().find(|each| each.share == share.share && each.invitation.consumer == *consumer);
    let subscription = known.map_or_else(|| SubscriptionId(seal::random()), |each| each.subscription);
    let answer_by = now().plus(when::days(days)).min(share.expires);
    let command = Command::Invite { share: share.share, consumer: consumer.clone(), subscription, answer_by };
    cx.give(&view, command)?;
    let json =
        json!({"subscription": subscription, "share": share.share, "to": consumer, "answer_by": answer_by.to_string()});
    let text =
        format!("{consumer} is invited to {} ({}), to answer by {answer_by}\n", share.name, short(&subscription));
    Ok(Shown::new(json, text))
}

pub(crate) fn change(cx: &Cx, text: &str, change: Change, reason: Option<Text>) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let found = find::subscription(&view, text)?;
    if found.invitation.share.provider != view.party {
        return Err(CliFault::refused("only the provider changes a subscription; see `cohortium subscription`"));
    }
    let (what, value) = match &change {
        Change::Revoke => ("revoked".to_owned(), Value::Null),
        Change::Reinstate => ("reinstated".to_owned(), Value::Null),
        Change::Expires(at) => (format!("to end at {at}"), json!(at.to_string())),
        Change::Schedule(schedule) => {
            let shown = when::shown_schedule(schedule);
            (format!("to be taken {shown}"), json!(shown))
        }
    };
    let id = found.subscription;
    let json = json!({"subscription": id, "change": crate::cli::act::change_word(&change), "value": value});
    cx.give(&view, Command::ChangeSubscription { subscription: id, change, reason })?;
    let (share, consumer) = (&found.invitation.share.name, &found.invitation.consumer);
    Ok(Shown::new(json, format!("{share}@{consumer} ({}) is {what}\n", short(&id))))
}

pub(crate) fn export(cx: &Cx, text: &str, folder: &Path) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let found = find::subscription(&view, text)?;
    let folder = absolute(folder)?;
    if Path::new(&folder).exists() {
        return Err(CliFault::refused(format!("{folder} is there already; an export is written to a new folder")));
    }
    let order = cx.signed(&view, Command::Export { subscription: found.subscription })?;
    let request = Request::Export { order, folder: folder.clone() };
    let Reply::Exported { bytes, snapshots } = cx.call(request)? else { return Err(CliFault::other_reply()) };
    let json = json!({"subscription": found.subscription, "folder": folder, "bytes": bytes, "snapshots": snapshots});
    Ok(Shown::new(json, format!("{snapshots} snapshots, {} in {folder}\n", Bytes(bytes))))
}

pub(crate) fn import(cx: &Cx, folder: &Path) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let folder = absolute(folder)?;
    // Whose it says it is; the daemon checks that with the keys it knows.
    let heading = read_heading(Path::new(&folder)).map_err(CliFault::wrong)?;
    let heading = heading.claimed().map_err(|fault| CliFault::wrong(format!("the heading {fault}")))?;
    let order = cx.signed(&view, Command::Import { provider: heading.provider })?;
    match cx.call(Request::Import { order, folder: folder.clone() })? {
        Reply::Done => Ok(Shown::new(json!({"folder": folder}), format!("{folder} is taken in\n"))),
        _ => Err(CliFault::other_reply()),
    }
}

pub(crate) fn absolute(path: &Path) -> Result<String, CliFault> {
    let whole = std::path::absolute(path).map_err(|fault| CliFault::usage(format!("{}: {fault}", path.display())))?;
    whole.into_os_string().into_string().map_err(|_| CliFault::usage("the path is not UTF-8 text"))
}

pub(crate) fn who(view: &View) -> Shown {
    let mut table = Table::new(["SHARE", "CONSUMER", "SUBSCRIPTION", "STATE", "HAS", "BYTES SERVED", "UNTIL"]);
    let mut json = Vec::new();
    let ours = view.subscriptions.iter().filter(|each| each.invitation.share.provider == view.party);
    for each in ours {
        let landed = each.snapshots.iter().filter(|snapshot| snapshot.state == "landed").count();
        let (share, consumer) = (&each.invitation.share.name, &each.invitation.consumer);
        table.row([
            share.to_string(),
            consumer.to_string(),
            short(&each.subscription),
            each.state.clone(),
            format!("{landed} of {} snapshots", each.snapshots.len()),
            Bytes(each.bytes_served).to_string(),
            each.expires.clone(),
        ]);
        json.push(json!({
            "share": share, "consumer": consumer, "subscription": each.subscription, "state": each.state,
            "snapshots_landed": landed, "snapshots_stated": each.snapshots.len(), "current": each.current,
            "bytes_served": each.bytes_served, "expires": each.expires,
        }));
    }
    Shown::new(json!(json), table.or("Nobody has anything of this node.\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::world;

    #[test]
    fn who_has_what_is_shown_in_both_forms() {
        let shown = who(&world::member());
        let golden = concat!(
            r#"[{"bytes_served":2048,"consumer":"op","current":null,"expires":"2027-01-01T00:00:00.000Z","share":"los","#,
            r#""snapshots_landed":1,"snapshots_stated":2,"state":"active","subscription":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"}]"#
        );
        assert_eq!(shown.json.to_string(), golden);
        assert!(shown.text.contains("1 of 2 snapshots  2.0 KiB"), "{}", shown.text);
        assert_eq!(who(&world::operator()).text, "Nobody has anything of this node.\n");
    }
}
