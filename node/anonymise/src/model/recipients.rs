//! A recipient knows its own patients: what is left of a class without them must still be empty or hold k.

use crate::table::Table;

/// Members that receive a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipients {
    /// Their numbers, as in [`Table::with_members`].
    pub members: Vec<u32>,
}

impl Recipients {
    /// Whether a class is safe against every recipient, and each row that combines what two members know against both
    /// together.
    pub(super) fn safe(&self, table: &Table, rows: &[u32], k: usize) -> bool {
        let Some(known_to) = &table.known_to else { return false };
        let without = |bits: u128| {
            let others: Vec<u32> = rows.iter().copied().filter(|row| known_to[*row as usize] & bits == 0).collect();
            table.patients_of(&others)
        };
        let alone = self.members.iter().all(|member| {
            let others = without(1_u128.checked_shl(*member).unwrap_or(0));
            others == 0 || others >= k
        });
        let mut shared: Vec<u128> = rows.iter().map(|row| known_to[*row as usize]).collect();
        shared.retain(|bits| bits.count_ones() > 1);
        shared.sort_unstable();
        shared.dedup();
        alone && shared.into_iter().all(|bits| pairs(bits).all(|pair| without(pair) >= k))
    }
}

/// Every two members of a set.
fn pairs(bits: u128) -> impl Iterator<Item = u128> {
    let members: Vec<u128> = (0..128).map(|member| 1_u128 << member).filter(|bit| bits & bit != 0).collect();
    let count = members.len();
    (0..count).flat_map(move |a| {
        let members = members.clone();
        (a + 1..count).map(move |b| members[a] | members[b])
    })
}
