//! Whether a later version of a share lets more leave. Every widening needs the privacy officer's signature anew.

use std::collections::BTreeMap;

use crate::ident::ColumnName;
use crate::record::charter::LandedRows;
use crate::record::revocation::Change;
use crate::record::row_filter::no_looser;
use crate::record::schema::{Column, Treatment};
use crate::record::share::{Content, Linkage, Share, TableTerms};
use crate::time::UnixMillis;

/// In which way more leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Widening {
    /// A column leaves that did not, or leaves plainer.
    Column(ColumnName),
    /// Rows carry tokens that did not.
    Linkage,
    /// A test of the filter is gone or looser: more rows leave.
    Filter,
    /// A ZIP area that left as `000` leaves as itself.
    SmallAreas,
    /// The table is no longer held to the standard that it was held to.
    Standard,
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
        (Content::Table(last), Content::Table(next)) => table_widenings(last, next, &mut found),
        (Content::UncheckedFiles, Content::UncheckedFiles) => {}
        (Content::Release { release: last }, Content::Release { release: next }) if last == next => {}
        (Content::Table(_) | Content::UncheckedFiles | Content::Release { .. }, _) => found.push(Widening::Other),
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

fn table_widenings(last: &TableTerms, next: &TableTerms, found: &mut Vec<Widening>) {
    let before: BTreeMap<&ColumnName, Treatment> =
        last.columns.iter().map(|column| (&column.name, column.treatment)).collect();
    let former = |column: &Column| before.get(&column.name).copied().unwrap_or(Treatment::Drop);
    let plainer = next.columns.iter().filter(|column| !no_plainer(former(column), column.treatment));
    found.extend(plainer.map(|column| Widening::Column(column.name.clone())));
    let changes = [
        (last.linkage == Linkage::None && next.linkage == Linkage::Token, Widening::Linkage),
        (!no_looser(&last.filter, &next.filter), Widening::Filter),
        (!last.small_areas.is_subset(&next.small_areas), Widening::SmallAreas),
        (next.standard < last.standard, Widening::Standard),
    ];
    found.extend(changes.into_iter().filter(|(widens, _)| *widens).map(|(_, widening)| widening));
}

/// Whether what leaves under `next` could be made of what left under `last`.
fn no_plainer(last: Treatment, next: Treatment) -> bool {
    use Treatment::{Age90, Drop, Keep, Month, Pseudonym, Round, ShiftDates, Year, Zip3};
    match (last, next) {
        (_, Drop) | (Keep, _) | (Pseudonym, Pseudonym) | (Zip3, Zip3) | (Age90, Age90) => true,
        (Month { format: a }, Month { format: b } | Year { format: b, .. }) => a == b,
        (Year { format: a, floor: x }, Year { format: b, floor: y }) => a == b && y >= x,
        (ShiftDates { format: a, days_max: x }, ShiftDates { format: b, days_max: y }) => a == b && x == y,
        (Round(a), Round(b)) => b <= a,
        (Drop | Pseudonym | Month { .. } | Year { .. } | Zip3 | Age90 | ShiftDates { .. } | Round(_), _) => false,
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
    use crate::record::dataset::DateFormat;
    use crate::record::extension::Extensions;
    use crate::record::row_filter::{Passes, RowTest};
    use crate::record::schedule::Schedule;
    use crate::record::schema::{ColumnRole, ColumnType};
    use crate::record::share::{Form, ShareFields, Standard};

    fn column(name: &str, treatment: Treatment) -> Column {
        Column::new(name.parse().unwrap(), ColumnType::Text, ColumnRole::Sensitive, treatment)
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
            content: with(columns, Linkage::None),
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
        Content::Table(TableTerms::of(columns, linkage))
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
        let release = |number| Content::Release { release: crate::ident::ReleaseId([number; 16]) };
        assert_eq!(found(|f| f.content = release(1)), [Widening::Other]);
        let of = |number| Share::try_from(ShareFields { content: release(number), ..fields() }).unwrap();
        assert_eq!(widenings(&of(1), &of(1)), []);
        assert_eq!(widenings(&of(1), &of(2)), [Widening::Other], "another release");
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

    // SHARE-3
    #[test]
    fn a_looser_filter_a_shorter_list_and_a_dropped_standard_widen() {
        let tested =
            |passes: Vec<Passes>| passes.into_iter().map(|passes| RowTest { column: "a".parse().unwrap(), passes });
        let terms = |filter: Vec<Passes>, areas: &[&str], standard| {
            let small_areas = areas.iter().map(|area| area.parse().unwrap()).collect();
            let columns = vec![column("a", Treatment::Keep)];
            TableTerms {
                filter: tested(filter).collect(),
                small_areas,
                standard,
                ..TableTerms::of(columns, Linkage::None)
            }
        };
        let widened = |last: TableTerms, next: TableTerms| {
            let mut found = Vec::new();
            table_widenings(&last, &next, &mut found);
            found
        };
        let strict = || terms(vec![Passes::Present], &["036", "059"], Standard::HipaaSafeHarbor);
        assert_eq!(widened(strict(), strict()), []);
        let loose = terms(vec![], &["036"], Standard::None);
        assert_eq!(widened(strict(), loose.clone()), [Widening::Filter, Widening::SmallAreas, Widening::Standard]);
        assert_eq!(widened(loose, strict()), []);
    }

    // SHARE-3
    #[test]
    fn a_treatment_widens_unless_the_one_before_tells_as_much() {
        let iso = DateFormat::Iso;
        let year = |floor| Treatment::Year { format: iso, floor };
        let month = Treatment::Month { format: iso };
        let shift = |days_max| Treatment::ShiftDates { format: iso, days_max };
        let all = [
            Treatment::Drop,
            Treatment::Keep,
            Treatment::Pseudonym,
            month,
            year(None),
            year(Some(1930)),
            year(Some(1940)),
            Treatment::Zip3,
            Treatment::Age90,
            shift(30),
            shift(31),
            Treatment::Round(1),
            Treatment::Round(0),
            Treatment::Month { format: DateFormat::Compact },
        ];
        let narrower = [
            (month, year(None)),
            (month, year(Some(1930))),
            (month, year(Some(1940))),
            (year(None), year(Some(1930))),
            (year(None), year(Some(1940))),
            (year(Some(1930)), year(Some(1940))),
            (Treatment::Round(1), Treatment::Round(0)),
        ];
        for last in all {
            for next in all {
                let expected = last == next
                    || next == Treatment::Drop
                    || last == Treatment::Keep
                    || narrower.contains(&(last, next));
                assert_eq!(no_plainer(last, next), expected, "{last:?} {next:?}");
            }
        }
    }

    // SHARE-4
    #[test]
    fn only_revoking_and_ending_earlier_shorten() {
        let now = UnixMillis(100);
        assert!(shortens(&Change::Revoke, now) && shortens(&Change::Expires(UnixMillis(100)), now));
        assert!(!shortens(&Change::Expires(UnixMillis(101)), now) && !shortens(&Change::Reinstate, now));
    }
}
