//! `cohortium linkage`: make the key of the charter's epoch, wrap it for the confirmed members, see which one is held.

use cohortium_protocol::record::order::Command;
use serde_json::json;

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::print::Shown;
use crate::control::View;

/// The verbs.
#[derive(Debug, Clone, Copy, clap::Subcommand)]
pub(crate) enum Verb {
    /// Key maker: make the key of the charter's epoch
    Make,
    /// Key maker: wrap it for every member whose fingerprint was confirmed
    Wrap,
    /// The charter's epoch and the one whose key this node holds
    Show,
}

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    match verb {
        Verb::Make => {
            let epoch = epoch(&view)?;
            cx.give(&view, Command::MakeLinkageKey { epoch })?;
            Ok(Shown::new(json!({"epoch": epoch}), format!("The linkage key of epoch {epoch} is made\n")))
        }
        Verb::Wrap => {
            let epoch = epoch(&view)?;
            cx.give(&view, Command::WrapLinkageKey { epoch })?;
            Ok(Shown::new(json!({"epoch": epoch}), format!("The linkage key of epoch {epoch} is wrapped\n")))
        }
        Verb::Show => Ok(shown(&view)),
    }
}

fn epoch(view: &View) -> Result<u32, CliFault> {
    let terms = view.charter.as_ref().and_then(|charter| charter.linkage.as_ref());
    let none =
        || CliFault::refused("the charter names no key maker; the operator proposes one: charter propose --key-maker");
    terms.map(|terms| terms.epoch).ok_or_else(none)
}

fn shown(view: &View) -> Shown {
    let terms = view.charter.as_ref().and_then(|charter| charter.linkage.as_ref());
    let charter = match terms {
        Some(terms) => format!("The charter's epoch is {}, its key made by {}.", terms.epoch, terms.key_maker),
        None => "The charter names no key maker.".to_owned(),
    };
    let held = match view.linkage_epoch {
        Some(epoch) => format!("This node holds the key of epoch {epoch}."),
        None => "This node holds no linkage key.".to_owned(),
    };
    Shown::new(json!({"charter": terms, "held": view.linkage_epoch}), format!("{charter}\n{held}\n"))
}
