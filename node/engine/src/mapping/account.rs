//! The account of a mapping run: what became of every source row and of every fact that was due. No cell stands in it.

use std::collections::BTreeMap;
use std::fmt;

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::quantity::Rows;
use cohortium_schema::drift::SourceShape;
use cohortium_schema::gate::Measured;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::mapping::change::SourceChange;

/// Why a fact or a row is in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The row itself could not be read.
    Row,
    /// A value that is not of the column's type.
    Cast,
    /// An expression that fails for this row: a division by zero, an overflow.
    Expression,
    /// A code that the code map does not have.
    Code,
    /// A unit that is unknown, or that cannot be converted to the one that leaves.
    Unit,
    /// No value in a required column.
    Missing,
    /// A text longer than the schema allows.
    Length,
    /// It refers to a row that is not there.
    Reference,
    /// Another fact with the same primary key says something else.
    Conflict,
    /// A code that several concepts stand for, and the mapping does not say which.
    Several,
}

impl Reason {
    /// The word that stands in the quarantine table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Cast => "cast",
            Self::Expression => "expression",
            Self::Code => "code",
            Self::Unit => "unit",
            Self::Missing => "missing",
            Self::Length => "length",
            Self::Reference => "reference",
            Self::Conflict => "conflict",
            Self::Several => "several",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What became of a source's rows: `accepted + partial + quarantined + opted_out = rows`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCount {
    /// Rows of the source.
    pub rows: Rows,
    /// Rows all of whose facts were emitted, those without any due fact included.
    pub accepted: Rows,
    /// Of these, rows of which no rule made anything due.
    pub idle: Rows,
    /// Rows some of whose facts are in quarantine.
    pub partial: Rows,
    /// Rows that could not be read, or all of whose facts are in quarantine.
    pub quarantined: Rows,
    /// Rows of patients who opted out, which no rule saw.
    pub opted_out: Rows,
}

/// What became of a table's facts: `emitted + quarantined = due`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCount {
    /// Facts that were due. A fact stated again word for word is due once.
    pub due: Rows,
    /// Rows of the table.
    pub emitted: Rows,
    /// Facts in quarantine.
    pub quarantined: Rows,
    /// How often a fact was stated again.
    pub repeated: Rows,
}

/// What a mapping run came to. For the provider: counts depend on rows (law 8).
#[derive(Debug, Clone)]
pub struct MapReport {
    /// Each source.
    pub sources: BTreeMap<String, SourceCount>,
    /// Each table of the schema that the mapping has a rule for.
    pub tables: BTreeMap<String, TableCount>,
    /// Entries of the quarantine table by table, column and reason; a row that could not be read has neither table nor
    /// column.
    pub quarantine: BTreeMap<(String, String, Reason), Rows>,
    /// How often a recorded default was used, by `table.column`.
    pub defaults: BTreeMap<String, Rows>,
    /// Codes that no code map had, by map and code, with the records they cost. For the member's own eyes: a code is a
    /// cell.
    pub unmapped: BTreeMap<(String, String), Rows>,
    /// More unmapped codes than are listed, or longer ones.
    pub unmapped_more: bool,
    /// Records whose unmapped code is not listed.
    pub unmapped_unlisted: Rows,
    /// What the gates measured.
    pub quality: Measured,
    /// What each source is now: kept with the set, and compared with by the next run.
    pub shapes: BTreeMap<String, SourceShape>,
    /// What of it has changed since the last set.
    pub changes: Vec<SourceChange>,
    /// Whether this version of the mapping is newer than that set, and so made for what it finds.
    pub accepted: bool,
    /// Release and digest of the vocabulary that codes could be mapped with.
    pub vocabulary: Option<(String, DocumentDigest)>,
}

impl SourceCount {
    /// Whether every row is accounted for.
    pub const fn balances(&self) -> bool {
        self.accepted.0 + self.partial.0 + self.quarantined.0 + self.opted_out.0 == self.rows.0
    }
}

impl TableCount {
    /// Whether every fact that was due is accounted for.
    pub const fn balances(&self) -> bool {
        self.emitted.0 + self.quarantined.0 == self.due.0
    }
}

impl MapReport {
    /// Whether nothing was lost: every source's and every table's sum is what it must be.
    pub fn balances(&self) -> bool {
        self.sources.values().all(SourceCount::balances) && self.tables.values().all(TableCount::balances)
    }

    /// The first source or table of which something was lost.
    pub(crate) fn unbalanced(&self) -> Option<&str> {
        let source = self.sources.iter().find(|(_, count)| !count.balances()).map(|(name, _)| name);
        let table = || self.tables.iter().find(|(_, count)| !count.balances()).map(|(name, _)| name);
        source.or_else(table).map(String::as_str)
    }
}

impl MapReport {
    /// As JSON: `sources`, `tables`, `quarantine`, `defaults`, `unmapped` with what costs most first, `drift`,
    /// `vocabulary`.
    pub fn to_json(&self) -> serde_json::Value {
        let aside = self.quarantine.iter().map(|((table, column, reason), entries)| {
            json!({"table": table, "column": column, "reason": reason.word(), "entries": entries.0})
        });
        let mut costly: Vec<_> = self.unmapped.iter().collect();
        costly.sort_by_key(|(_, records)| std::cmp::Reverse(records.0));
        let unmapped =
            costly.into_iter().map(|((map, code), records)| json!({"map": map, "code": code, "records": records.0}));
        let changes = self.changes.iter().map(|SourceChange { source, change }| {
            json!({"source": source, "column": change.column, "change": change.kind, "class": change.class,
                "told": change.to_string()})
        });
        let vocabulary = self.vocabulary.as_ref();
        json!({
            "sources": self.sources,
            "tables": self.tables,
            "quarantine": aside.collect::<Vec<_>>(),
            "defaults": self.defaults,
            "unmapped": unmapped.collect::<Vec<_>>(),
            "unmapped_more": self.unmapped_more,
            "unmapped_unlisted": self.unmapped_unlisted.0,
            "drift": {"accepted": self.accepted, "changes": changes.collect::<Vec<_>>()},
            "vocabulary": vocabulary.map(|(release, digest)| json!({"release": release, "digest": digest})),
        })
    }
}

/// What is known so far of one source row: whether a fact of it was emitted, whether one is in quarantine, and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fate(u8);

impl Fate {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const EMITTED: Self = Self(1);
    pub(crate) const QUARANTINED: Self = Self(2);
    pub(crate) const OPTED_OUT: Self = Self(4);
    /// It came before the rules. A row that never did is lost, and no rule's being silent about it makes it accepted.
    pub(crate) const SEEN: Self = Self(8);

    pub(crate) fn mark(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The fates of a source's rows, one byte each.
#[derive(Default)]
pub(crate) struct Fates(Vec<Fate>);

impl Fates {
    /// Room for rows up to this one.
    pub(crate) fn reach(&mut self, rows: u64) {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        if self.0.len() < rows {
            self.0.resize(rows, Fate::NONE);
        }
    }

    /// Marks a row, counted from 0.
    pub(crate) fn mark(&mut self, row: u64, fate: Fate) {
        if let Some(found) = usize::try_from(row).ok().and_then(|row| self.0.get_mut(row)) {
            found.mark(fate);
        }
    }

    /// Bytes that they take, and for a moment twice as many again while they grow.
    pub(crate) fn held_bytes(&self) -> u64 {
        3 * self.0.len() as u64
    }

    /// What became of the rows, of which the reader counted so many. A row that the reader counted and nobody looked at, or
    /// that has a number and was not read, is in no sum, so that the account does not balance.
    pub(crate) fn count(&self, rows_read: u64) -> SourceCount {
        const ALL_EMITTED: Fate = Fate(Fate::SEEN.0 | Fate::EMITTED.0);
        const ALL_QUARANTINED: Fate = Fate(Fate::SEEN.0 | Fate::QUARANTINED.0);
        const SOME: Fate = Fate(Fate::SEEN.0 | Fate::EMITTED.0 | Fate::QUARANTINED.0);
        let mut count = SourceCount { rows: Rows(rows_read.max(self.0.len() as u64)), ..SourceCount::default() };
        for fate in &self.0 {
            match *fate {
                Fate::OPTED_OUT => count.opted_out.0 += 1,
                Fate::QUARANTINED | ALL_QUARANTINED => count.quarantined.0 += 1,
                ALL_EMITTED => count.accepted.0 += 1,
                Fate::SEEN => {
                    count.accepted.0 += 1;
                    count.idle.0 += 1;
                }
                SOME => count.partial.0 += 1,
                // Never looked at, or looked at although it should not have been.
                _ => {}
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // MAP-4
    #[test]
    fn a_row_that_nobody_looked_at_is_in_no_sum() {
        let account = |fates: &[(u64, Fate)], reached: u64, read: u64| {
            let mut all = Fates::default();
            all.reach(reached);
            for (row, fate) in fates {
                all.mark(*row, *fate);
            }
            all.count(read).balances()
        };
        let (seen, emitted, aside, out) = (Fate::SEEN, Fate::EMITTED, Fate::QUARANTINED, Fate::OPTED_OUT);
        let whole = [(0, seen), (1, seen), (1, emitted), (2, aside), (3, out), (4, seen), (4, emitted), (4, aside)];
        assert!(account(&whole, 5, 5));
        assert!(!account(&whole[1..], 5, 5), "the first row passed by every rule");
        assert!(!account(&whole, 5, 6), "the reader counted one more");
        assert!(!account(&whole, 6, 5), "a number was left out");
        assert!(!account(&[whole.as_slice(), &[(3, emitted)]].concat(), 5, 5), "who opted out is in a table");
    }
}
