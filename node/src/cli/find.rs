//! Finding what a person means: a name, or the beginning of an id that nothing else begins with.

use std::collections::BTreeSet;

use cohortium_protocol::ident::Name;
use cohortium_protocol::record::dataset::Dataset;

use crate::cli::exit::CliFault;
use crate::control::{Proposal, ShareView, SnapshotView, SubscriptionView, View};
use crate::driver::finder::ID_DIGITS_MIN;
use crate::home::MembershipFile;

/// The fewest digits of an id that name it.
const PREFIX_MIN: usize = 4;

/// What is looked for, and the command that lists all there is.
#[derive(Clone, Copy)]
struct Sought {
    what: &'static str,
    list: &'static str,
}

const fn sought(what: &'static str, list: &'static str) -> Sought {
    Sought { what, list }
}

/// The one item of `items` that is called `text` or whose id begins with it.
fn pick<'a, T>(
    Sought { what, list }: Sought,
    text: &str,
    items: &'a [T],
    names: impl Fn(&T) -> Vec<String>,
    id: impl Fn(&T) -> String,
) -> Result<&'a T, CliFault> {
    let called: Vec<&T> = items.iter().filter(|item| names(item).iter().any(|name| name == text)).collect();
    let found = if called.is_empty() {
        let hex = text.len() >= PREFIX_MIN && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        items.iter().filter(|item| hex && id(item).starts_with(text)).collect()
    } else {
        called
    };
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(CliFault::not_found(format!("there is no {what} {text}; `cohortium {list}` shows what there is"))),
        several => {
            let ids: Vec<String> = several.iter().map(|item| id(item).chars().take(12).collect()).collect();
            Err(CliFault::usage(format!("{what} {text} could be any of {}; give more of the id", ids.join(", "))))
        }
    }
}

/// The consortium that a command is about.
pub(crate) fn membership<'a>(
    memberships: &'a [MembershipFile],
    text: Option<&str>,
) -> Result<&'a MembershipFile, CliFault> {
    match (text, memberships) {
        (_, []) => {
            Err(CliFault::not_found("this node is in no consortium; `cohortium consortium create` or `join` first"))
        }
        (None, [one]) => Ok(one),
        (None, several) => {
            let names: Vec<String> = several.iter().map(|each| each.consortium.to_string()[..8].to_owned()).collect();
            Err(CliFault::usage(format!(
                "this node is in several consortia; give --consortium, one of {}",
                names.join(", ")
            )))
        }
        (Some(text), _) => pick(
            sought("consortium", "consortium list"),
            text,
            memberships,
            |each| each.title.iter().map(ToString::to_string).collect(),
            |each| each.consortium.to_string(),
        ),
    }
}

/// A dataset of this node.
pub(crate) fn dataset<'a>(view: &'a View, text: &str) -> Result<&'a Dataset, CliFault> {
    pick(
        sought("dataset", "dataset list"),
        text,
        &view.datasets,
        |each| vec![each.name.to_string()],
        |each| each.dataset.to_string(),
    )
}

/// A share of this node.
pub(crate) fn share<'a>(view: &'a View, text: &str) -> Result<&'a ShareView, CliFault> {
    pick(
        sought("share", "share list"),
        text,
        &view.shares,
        |each| vec![each.share.name.to_string()],
        |each| each.share.share.to_string(),
    )
}

/// A subscription: by the share's name, by `SHARE@PARTY` with the other side's name, or by its id.
pub(crate) fn subscription<'a>(view: &'a View, text: &str) -> Result<&'a SubscriptionView, CliFault> {
    let names = |each: &SubscriptionView| {
        let share = &each.invitation.share.name;
        vec![share.to_string(), format!("{share}@{}", other_side(view, each))]
    };
    pick(sought("subscription", "subscription list"), text, &view.subscriptions, names, |each| {
        each.subscription.to_string()
    })
}

/// Who is at the other end of a subscription.
pub(crate) fn other_side<'a>(view: &View, subscription: &'a SubscriptionView) -> &'a Name {
    let invitation = &subscription.invitation;
    if invitation.share.provider == view.party { &invitation.consumer } else { &invitation.share.provider }
}

/// A snapshot of a subscription: by its number or its id.
pub(crate) fn snapshot<'a>(subscription: &'a SubscriptionView, text: &str) -> Result<&'a SnapshotView, CliFault> {
    let names = |each: &SnapshotView| vec![each.sequence.to_string()];
    pick(sought("snapshot", "subscription show"), text, &subscription.snapshots, names, |each| {
        each.snapshot.to_string()
    })
}

/// The id of what a history is about: of a share of that name, else a dataset, or a subscription as `SHARE@PARTY`, or the
/// beginning of any id.
pub(crate) fn about(view: &View, text: &str) -> Result<String, CliFault> {
    let mut ids = BTreeSet::new();
    let named = |name: &Name| name.as_str() == text;
    ids.extend(view.shares.iter().filter(|each| named(&each.share.name)).map(|each| each.share.share.to_string()));
    for each in &view.subscriptions {
        let share = &each.invitation.share.name;
        if named(share) {
            ids.insert(each.share.to_string());
        }
        if format!("{share}@{}", other_side(view, each)) == text {
            ids.insert(each.subscription.to_string());
        }
    }
    if ids.is_empty() {
        // A share and its dataset often have one name, and a share's history tells of its dataset.
        ids.extend(view.datasets.iter().filter(|each| named(&each.name)).map(|each| each.dataset.to_string()));
    }
    match (ids.pop_first(), ids.is_empty()) {
        (Some(id), true) => Ok(id),
        (Some(first), false) => {
            let all: Vec<String> = [first].into_iter().chain(ids).collect();
            Err(CliFault::usage(format!("{text} is the name of several things; give one of {}", all.join(", "))))
        }
        (None, _) if is_id(text) => Ok(text.to_owned()),
        (None, _) => Err(CliFault::not_found(format!(
            "there is no share, dataset or subscription {text}, and it is not {ID_DIGITS_MIN} or more digits of an id"
        ))),
    }
}

/// Whether it can be the beginning of an id that the daemon looks for.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() >= ID_DIGITS_MIN && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A charter version that waits: by its number or its digest.
pub(crate) fn proposal<'a>(view: &'a View, text: &str) -> Result<&'a Proposal, CliFault> {
    let names = |each: &Proposal| vec![each.charter.version.to_string()];
    pick(sought("charter proposal", "charter show"), text, &view.proposals, names, |each| each.digest.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::world;

    #[test]
    fn what_a_history_is_about_is_named_or_given_by_its_id() {
        let view = world::member();
        let id = |text: &str| about(&view, text).map_err(|fault| fault.kind);
        assert_eq!(id("los@op"), Ok("0a".repeat(16)));
        assert_eq!(id("los"), Ok("09".repeat(16)));
        assert_eq!(id("deadbeef"), Ok("deadbeef".to_owned()));
        for text in ["deadbee", "DEADBEEF", "nothing", ""] {
            assert_eq!(id(text), Err(crate::control::ErrorKind::NotFound), "{text:?}");
        }
        let mut other = view.clone();
        other.datasets[0].name = "beds".parse().unwrap();
        assert_eq!(about(&other, "beds").ok(), Some("07".repeat(16)));
        other.subscriptions[0].share = cohortium_protocol::ident::ShareId([8; 16]);
        let fault = about(&other, "los").unwrap_err();
        assert_eq!(fault.kind, crate::control::ErrorKind::Usage, "two providers share under one name");
    }

    fn items() -> Vec<(&'static str, &'static str)> {
        vec![("los", "aaaa1111"), ("heart", "aaaa2222"), ("heart", "bbbb3333"), ("aaaa1", "cccc4444")]
    }

    fn find(text: &str) -> Result<&'static str, crate::control::ErrorKind> {
        let items = items();
        let found =
            pick(sought("thing", "thing list"), text, &items, |item| vec![item.0.to_owned()], |item| item.1.to_owned());
        found.map(|item| item.1).map_err(|fault| fault.kind)
    }

    #[test]
    fn a_name_comes_before_an_id_and_what_is_ambiguous_is_refused() {
        use crate::control::ErrorKind::{NotFound, Usage};
        let cases = [
            ("los", Ok("aaaa1111")),
            ("heart", Err(Usage)),
            ("aaaa", Err(Usage)),
            ("aaaa2", Ok("aaaa2222")),
            ("aaaa1", Ok("cccc4444")),
            ("bbbb", Ok("bbbb3333")),
            ("bbb", Err(NotFound)),
            ("BBBB", Err(NotFound)),
            ("dddd", Err(NotFound)),
            ("", Err(NotFound)),
        ];
        for (text, expected) in cases {
            assert_eq!(find(text), expected, "{text:?}");
        }
    }
}
