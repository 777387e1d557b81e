//! Whether a later version of a share lets more leave. Every widening needs the privacy officer's signature anew.

use std::collections::BTreeMap;

use crate::ident::ColumnName;
use crate::record::charter::LandedRows;
use crate::record::revocation::Change;
use crate::record::schema::{Column, Treatment};
use crate::record::share::{Content, Linkage, Share};
use crate::time::UnixMillis;

/// In which way more leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Widening {
    /// A column leaves that did not, or leaves plainer.
    Column(ColumnName),
    /// Rows carry tokens that did not.
    Linkage,
    /// Another consumer.
    Consumer(crate::ident::Name),
    /// A later expiry.
    Expiry,
    /// Landed rows are treated less strictly after revocation.
    LandedRows,
    /// Another dataset, form, purpose or kind of content: not comparable.
    Other,
}

/// What `next` lets leave that `last` did not (spec SHARE-3). Empty: it only narrows.
pub fn widenings(last: &Share, next: &Share) -> Vec<Widening> {
    let mut found = Vec::new();
    let incomparable = last.dataset != next.dataset
        || last.form != next.form
        || last.purpose != next.purpose
        || last.share != next.share
        || last.provider != next.provider;
    if incomparable {
        found.push(Widening::Other);
    }
    match (&last.content, &next.content) {
        (Content::Table { columns: a, linkage: x }, Content::Table { columns: b, linkage: y }) => {
            found.extend(plainer(a, b).map(Widening::Column));
            if *x == Linkage::None && *y == Linkage::Token {
                found.push(Widening::Linkage);
            }
        }
        (Content::UncheckedFiles, Content::UncheckedFiles) => {}
        (Content::Table { .. }, Content::UncheckedFiles) | (Content::UncheckedFiles, Content::Table { .. }) => {
            found.push(Widening::Other);
        }
    }
    found.extend(next.consumers.difference(&last.consumers).cloned().map(Widening::Consumer));
    if next.expires > last.expires {
        found.push(Widening::Expiry);
    }
    if laxity(next.landed_rows) > laxity(last.landed_rows) {
        found.push(Widening::LandedRows);
    }
    found
}

fn plainer<'a>(last: &'a [Column], next: &'a [Column]) -> impl Iterator<Item = ColumnName> + 'a {
    let before: BTreeMap<&ColumnName, &Column> = last.iter().map(|column| (&column.name, column)).collect();
    next.iter()
        .filter(move |column| {
            let former = before.get(&column.name).map_or(0, |former| plainness(former.treatment));
            plainness(column.treatment) > former
        })
        .map(|column| column.name.clone())
}

const fn plainness(treatment: Treatment) -> u8 {
    match treatment {
        Treatment::Drop => 0,
        Treatment::Pseudonym => 1,
        Treatment::Keep => 2,
    }
}

const fn laxity(rows: LandedRows) -> u8 {
    match rows {
        LandedRows::Erase => 0,
        LandedRows::Exclude => 1,
        LandedRows::Keep => 2,
    }
}

/// Whether a change of a running subscription only takes away, given when it ends now (spec SHARE-4).
pub fn shortens(change: &Change, expires: UnixMillis) -> bool {
    match change {
        Change::Revoke => true,
        Change::Expires(at) => *at <= expires,
        Change::Reinstate | Change::Schedule(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ident::{ConsortiumId, DatasetId, ShareId};
    use crate::record::extension::Extensions;
    use crate::record::schedule::Schedule;
    use crate::record::schema::{ColumnRole, ColumnType};
    use crate::record::share::{Form, ShareFields};

    fn column(name: &str, treatment: Treatment) -> Column {
        let kind = ColumnType::Text;
        Column { name: name.parse().unwrap(), kind, role: ColumnRole::Measure, treatment }
    }

    fn fields() -> ShareFields {
        let columns =
            vec![column("a", Treatment::Keep), column("b", Treatment::Pseudonym), column("c", Treatment::Drop)];
        ShareFields {
            consortium: ConsortiumId([1; 32]),
            provider: "north".parse().unwrap(),
            share: ShareId([2; 16]),
            name: "stays".parse().unwrap(),
            version: 1,
            dataset: DatasetId([3; 16]),
            form: Form::Snapshot,
            content: Content::Table { columns, linkage: Linkage::None },
            purpose: "p".parse().unwrap(),
            consumers: BTreeSet::from(["operator".parse().unwrap()]),
            expires: UnixMillis(9),
            landed_rows: LandedRows::Exclude,
            schedule: Schedule::MANUAL,
            ext: Extensions::default(),
        }
    }

    fn found(bend: impl FnOnce(&mut ShareFields)) -> Vec<Widening> {
        let mut next = fields();
        bend(&mut next);
        widenings(&Share::try_from(fields()).unwrap(), &Share::try_from(next).unwrap())
    }

    fn with(columns: Vec<Column>, linkage: Linkage) -> Content {
        Content::Table { columns, linkage }
    }

    // SHARE-3
    #[test]
    fn every_way_to_let_more_leave_is_a_widening() {
        let name = |text: &str| text.parse::<ColumnName>().unwrap();
        assert_eq!(found(|_| ()), []);
        let keeps_b = with(vec![column("b", Treatment::Keep)], Linkage::None);
        assert_eq!(found(|f| f.content = keeps_b), [Widening::Column(name("b"))]);
        let takes_c = with(vec![column("c", Treatment::Pseudonym)], Linkage::Token);
        assert_eq!(found(|f| f.content = takes_c), [Widening::Column(name("c")), Widening::Linkage]);
        let new_d = with(vec![column("d", Treatment::Keep)], Linkage::None);
        assert_eq!(found(|f| f.content = new_d), [Widening::Column(name("d"))]);
        assert_eq!(found(|f| f.content = Content::UncheckedFiles), [Widening::Other]);
        assert_eq!(found(|f| f.consumers.extend(["x".parse().unwrap()])), [Widening::Consumer("x".parse().unwrap())]);
        assert_eq!(found(|f| f.expires = UnixMillis(10)), [Widening::Expiry]);
        assert_eq!(found(|f| f.landed_rows = LandedRows::Keep), [Widening::LandedRows]);
        assert_eq!(found(|f| f.purpose = "q".parse().unwrap()), [Widening::Other]);
        assert_eq!(found(|f| f.dataset = DatasetId([4; 16])), [Widening::Other]);
        let narrows = |f: &mut ShareFields| {
            f.content = with(vec![column("a", Treatment::Pseudonym)], Linkage::None);
            (f.expires, f.landed_rows) = (UnixMillis(8), LandedRows::Erase);
            f.consumers.clear();
        };
        assert_eq!(found(narrows), []);
    }

    // SHARE-4
    #[test]
    fn only_revoking_and_ending_earlier_shorten() {
        let now = UnixMillis(100);
        assert!(shortens(&Change::Revoke, now) && shortens(&Change::Expires(UnixMillis(100)), now));
        assert!(!shortens(&Change::Expires(UnixMillis(101)), now) && !shortens(&Change::Reinstate, now));
    }
}
