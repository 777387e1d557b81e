//! `cohortium log evidence`: the pairs of checkpoints by which a peer has shown that its log is not one.

use cohortium_protocol::log::checkpoint::Checkpoint;
use cohortium_protocol::log::note::Note;
use cohortium_protocol::log::tree::TreeHead;
use serde_json::{Value, json};

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::print::{Shown, Table};
use crate::driver::witness::{self, Evidence};

/// Lists all of it, or shows the piece whose name begins so. Reads the node's files; no daemon is needed.
pub(crate) fn run(cx: &Cx, name: Option<&str>) -> Result<Shown, CliFault> {
    let consortium = cx.home.consortium(&cx.membership()?.consortium);
    let all = witness::evidence(&consortium).map_err(CliFault::local)?;
    match name {
        None => Ok(list(&all)),
        Some(name) => {
            let mut found = all.iter().filter(|piece| piece.name.starts_with(name));
            match (found.next(), found.next()) {
                (Some(piece), None) => Ok(shown(piece)),
                (Some(_), Some(_)) => {
                    Err(CliFault::usage(format!("more than one piece of evidence begins with {name}")))
                }
                (None, _) => Err(CliFault::not_found(format!("there is no evidence whose name begins with {name}"))),
            }
        }
    }
}

fn head(checkpoint: &str) -> Option<TreeHead> {
    let note = Note::parse(checkpoint).ok()?;
    Some(Checkpoint::parse(note.text()).ok()?.head)
}

fn summary(piece: &Evidence) -> Value {
    let size = |checkpoint: &str| head(checkpoint).map(|head| head.size);
    json!({"evidence": piece.name, "folder": piece.folder, "cosigned_size": size(&piece.last), "shown_size": size(&piece.now)})
}

fn list(all: &[Evidence]) -> Shown {
    let mut table = Table::new(["EVIDENCE", "COSIGNED AT", "SHOWN AT", "FOLDER"]);
    let size =
        |checkpoint: &str| head(checkpoint).map_or_else(|| "unreadable".to_owned(), |head| head.size.to_string());
    for piece in all {
        table.row([piece.name.clone(), size(&piece.last), size(&piece.now), piece.folder.display().to_string()]);
    }
    let pieces: Vec<Value> = all.iter().map(summary).collect();
    Shown::new(json!(pieces), table.or("No peer has shown two logs as one.\n"))
}

fn shown(piece: &Evidence) -> Shown {
    let mut json = summary(piece);
    json["cosigned"] = json!(piece.last);
    json["shown"] = json!(piece.now);
    let Evidence { last, now, .. } = piece;
    Shown::new(json, format!("This node cosigned:\n\n{last}\nand was shown later, as of the same log:\n\n{now}"))
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::key::pair::KeyPair;
    use cohortium_protocol::log::checkpoint::signed;
    use cohortium_protocol::log::tree::TreeHash;

    use super::*;

    #[test]
    fn a_piece_is_listed_with_both_sizes_and_shown_with_both_texts() {
        let of = |size, root| {
            let head = TreeHead { size, root: TreeHash([root; 32]) };
            signed("log", head, &KeyPair::from_seed(&[1; 32])).unwrap()
        };
        let piece =
            Evidence { name: "north-07".to_owned(), folder: "/e/north-07".into(), last: of(9, 1), now: of(5, 2) };
        let listed = list(std::slice::from_ref(&piece));
        assert_eq!((&listed.json[0]["cosigned_size"], &listed.json[0]["shown_size"]), (&json!(9), &json!(5)));
        assert!(listed.text.contains("north-07") && listed.text.contains("/e/north-07"));
        let whole = shown(&piece);
        assert!(whole.text.contains(&piece.last) && whole.text.contains(&piece.now));
        assert_eq!((&whole.json["cosigned"], &whole.json["shown"]), (&json!(piece.last), &json!(piece.now)));
        assert_eq!(list(&[]).json, json!([]));
        let damaged = Evidence { last: "x".to_owned(), ..piece };
        assert_eq!(list(&[damaged]).json[0]["cosigned_size"], Value::Null);
    }
}
