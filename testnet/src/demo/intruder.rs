//! Attempts to find people in a release: with the register of the whole population, and as a member that knows its own patients.

use std::collections::BTreeMap;

use cohortium_sdk::release::ReleasedRows;

use crate::hospital::Registered;

/// The years that ages of the demo's requests are counted to.
pub(super) const AGE_YEAR: i64 = 2021;
/// The width of the finest age that is released.
pub(super) const AGE_STEP: i64 = 5;

/// What an attempt came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    /// Persons who were looked for.
    pub(super) persons: usize,
    /// Persons whom some released row could be.
    pub(super) found: usize,
    /// Persons for whom just one released row is left.
    pub(super) unique: usize,
    /// Those of them who truly are a patient of the hospital that the row names.
    pub(super) right: usize,
    /// The fewest rows that are left for a person, where any are.
    pub(super) fewest: usize,
}

impl Attempt {
    /// For people.
    pub(super) fn line(&self) -> String {
        let Self { persons, found, unique, right, fewest } = self;
        format!(
            "{persons} persons, {found} of them fit some row; {unique} fit one alone, {right} rightly; at least {fewest} rows fit each"
        )
    }
}

/// Released rows by age, sex and hospital as they are written, and how many there are of each.
pub(super) struct Seen(BTreeMap<[String; 3], usize>);

impl Seen {
    /// `None` where a release lacks one of the columns.
    pub(super) fn new(rows: &ReleasedRows) -> Option<Self> {
        let place = |name: &str| rows.header.iter().position(|column| column == name);
        let places = [place("age")?, place("sex")?, place("site")?];
        let mut seen = BTreeMap::new();
        for row in &rows.rows {
            let cell = |place: usize| row.get(place).cloned().flatten().unwrap_or_default();
            *seen.entry(places.map(cell)).or_insert(0) += 1;
        }
        Some(Self(seen))
    }

    /// Looks for persons, each with the hospitals where the intruder takes them to be patients.
    pub(super) fn look_for<'a>(&self, persons: impl IntoIterator<Item = (Registered, &'a [&'a str])>) -> Attempt {
        let mut attempt = Attempt { fewest: usize::MAX, ..Attempt::default() };
        for (person, sites) in persons {
            attempt.persons += 1;
            let fits = self.0.iter().filter(|([age, sex, site], _)| {
                covers_age(age, AGE_YEAR - person.born)
                    && covers(sex, &person.sex.to_string())
                    && covers_any(site, sites)
            });
            let left: usize = fits.map(|(_, rows)| rows).sum();
            attempt.found += usize::from(left > 0);
            attempt.unique += usize::from(left == 1);
            attempt.right += usize::from(left == 1 && !sites.is_empty());
            if left > 0 {
                attempt.fewest = attempt.fewest.min(left);
            }
        }
        if attempt.found == 0 {
            attempt.fewest = 0;
        }
        attempt
    }
}

/// What stands over every value.
const ROOT: &str = "*";
const ANY: &str = "any";

fn covers(written: &str, value: &str) -> bool {
    written == value || written == ROOT || written == ANY
}

fn covers_any(written: &str, values: &[&str]) -> bool {
    values.iter().any(|value| covers(written, value))
}

/// An age as a hierarchy of intervals writes it: the lower end of a step, `[from, to)`, or the root.
fn covers_age(written: &str, age: i64) -> bool {
    if written == ROOT {
        return true;
    }
    let bounds =
        written.strip_prefix('[').and_then(|rest| rest.strip_suffix(')')).and_then(|rest| rest.split_once(", "));
    let bounds = match bounds {
        Some((from, to)) => from.parse().ok().zip(to.parse().ok()),
        None => written.parse().ok().map(|from: i64| (from, from + AGE_STEP)),
    };
    bounds.is_some_and(|(from, to): (i64, i64)| (from..to).contains(&age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_fits_the_rows_that_cover_them() {
        let cell = |text: &str| Some(text.to_owned());
        let row = |age: &str, sex: &str, site: &str| vec![cell(age), cell(sex), cell(site)];
        let header = ["age", "sex", "site"].map(str::to_owned).to_vec();
        let rows = vec![
            row("[20, 30)", "8507", "any"),
            row("25", "any", "north"),
            row("*", "*", "*"),
            row("30", "8507", "north"),
        ];
        let seen = Seen::new(&ReleasedRows { header, rows }).unwrap();
        let person = |born, sex| Registered { person: 1, sex, born };
        let look = |born, sex, sites: &[&str]| seen.look_for([(person(born, sex), sites)]);
        assert_eq!(look(1995, 8507, &["north"]).fewest, 3);
        assert_eq!(look(1995, 8507, &["south"]).fewest, 2);
        assert_eq!(look(1901, 8532, &["south"]).unique, 1);
        assert_eq!(look(1991, 8507, &["north"]).fewest, 2);
        assert_eq!(Seen::new(&ReleasedRows::default()).map(|_| ()), None);
    }
}
