//! A receiving member that takes its own patients out of every class: what is left may be too few. Spec: ANON-5, ANON-6.

use super::{Attack, Finding};
use crate::recoding::Recoding;
use crate::table::Table;

/// Rows of patients whom the member does not know, in classes where these are fewer than k. `member` is its number as in
/// [`Table::with_members`].
pub fn recipient(table: &Table, recoding: &Recoding, member: u32, k: usize) -> Finding {
    let bit = 1_u128.checked_shl(member).unwrap_or(0);
    let known = |row: u32| table.known_to.as_ref().is_some_and(|known| known[row as usize] & bit != 0);
    let mut claimed = 0;
    for rows in recoding.members().iter() {
        let others: Vec<u32> = rows.iter().copied().filter(|row| !known(*row)).collect();
        if !others.is_empty() && table.patients_of(&others) < k {
            claimed += others.len();
        }
    }
    Finding {
        attack: Attack::Linkage,
        assumes: "everything of its own patients",
        claimed,
        held: claimed,
        by_chance: 0.0,
        of: recoding.rows() - recoding.suppressed(),
    }
}
