//! What one unit contributes: at most so many groups, in each at most so many rows, chosen by a keyed hash of the unit, the group
//! and the row's own values. Nothing of another unit is looked at, and the order of rows makes no difference.

use crate::private::declared::Contribution;
use crate::private::groups::Groups;
use crate::private::keyed::{SamplingKey, fold};
use crate::private::measure::{Counted, Planned, square};

/// A value that is none: no clipped value and no bin is as low.
pub(crate) const NO_VALUE: i64 = i64::MIN;

/// The rows of a unit: the group of each, and the inputs in which their values begin at a place.
pub(crate) struct Rows<'a> {
    pub(crate) groups: &'a [u32],
    pub(crate) values: &'a [Vec<i64>],
    pub(crate) begin: usize,
}

/// Takes the rows of a table that count, one by one: a value for each input, `None` where there is none.
pub type Taking<'a> = &'a mut (dyn FnMut(&[Option<i64>]) + Send);

/// Adds units to the cells of an answer.
pub(crate) struct Units<'a> {
    planned: &'a [Planned],
    columns: usize,
    rows_max: usize,
    groups_max: usize,
    key: SamplingKey,
    /// An odd secret that mixes the hash of a unit with that of a group.
    mixer: u64,
    /// By group, then column. 128 bits hold the sum of all rows of all units.
    cells: Vec<i128>,
    /// By group: the unit that was there last, counted from 1, and its run.
    marks: Vec<(u32, u32)>,
    unit: u32,
    runs: Vec<Run>,
    /// Rows of the unit that count.
    chosen: Vec<u32>,
    /// Group and row of what is sampled, in one number.
    sampled: Vec<u64>,
    /// Who takes the rows that count, where they are a table.
    taking: Option<Taking<'a>>,
}

/// The rows of a unit in one group.
struct Run {
    group: u32,
    /// None where the group is not among those that count.
    rows: usize,
    /// By which groups are chosen, where there are too many.
    hash: u64,
}

/// Up to so many groups of a unit each one's rank is counted out; beyond it they are sorted.
const RANKED_MAX: usize = 32;

impl<'a> Units<'a> {
    pub(crate) fn new(planned: &'a [Planned], columns: usize, bound: &Contribution, key: SamplingKey) -> Self {
        let whole = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
        Self {
            planned,
            columns,
            rows_max: whole(bound.rows),
            groups_max: whole(bound.groups),
            key,
            mixer: key.hash([4]) | 1,
            cells: Vec::new(),
            marks: Vec::new(),
            unit: 0,
            runs: Vec::new(),
            chosen: Vec::new(),
            sampled: Vec::new(),
            taking: None,
        }
    }

    /// With somebody who takes every row that counts.
    pub(crate) fn given_to(self, taking: Taking<'a>) -> Self {
        Self { taking: Some(taking), ..self }
    }

    /// The cells of a group.
    pub(crate) fn cells(&self, group: u32) -> Option<&[i128]> {
        let begin = group as usize * self.columns;
        self.cells.get(begin..begin + self.columns)
    }

    /// Bytes of what is held.
    pub(crate) fn bytes(&self) -> usize {
        let words = self.marks.capacity() + self.sampled.capacity() + self.chosen.capacity();
        self.cells.capacity() * size_of::<i128>() + words * size_of::<u64>() + self.runs.capacity() * size_of::<Run>()
    }

    /// Adds all rows of one unit.
    pub(crate) fn add(&mut self, unit: i64, rows: &Rows<'_>, groups: &mut Groups) {
        let mut runs = std::mem::take(&mut self.runs);
        self.find_runs(rows.groups, &mut runs);
        if runs.len() > self.groups_max {
            self.sample_groups(unit, &mut runs, groups);
        }
        self.add_counts(&runs);
        if !rows.values.is_empty() {
            self.choose(unit, &runs, rows, groups);
            self.add_values(rows);
            self.give(rows);
        }
        self.runs = runs;
    }

    fn find_runs(&mut self, groups: &[u32], runs: &mut Vec<Run>) {
        runs.clear();
        if self.unit == u32::MAX {
            self.marks.fill((0, 0));
            self.unit = 0;
        }
        self.unit += 1;
        for group in groups {
            let place = *group as usize;
            if place >= self.marks.len() {
                self.marks.resize(place + 1, (0, 0));
                self.cells.resize((place + 1) * self.columns, 0);
            }
            let mark = &mut self.marks[place];
            if mark.0 == self.unit {
                runs[mark.1 as usize].rows += 1;
            } else {
                *mark = (self.unit, u32::try_from(runs.len()).unwrap_or(u32::MAX));
                runs.push(Run { group: *group, rows: 1, hash: 0 });
            }
        }
    }

    /// Leaves as many groups as may count. The hash of a unit and a group is that of the unit, mixed with that of the group.
    fn sample_groups(&self, unit: i64, runs: &mut [Run], groups: &mut Groups) {
        let of_unit = self.key.hash([2, unit.cast_unsigned()]);
        for run in runs.iter_mut() {
            run.hash = fold(of_unit ^ groups.hash(run.group), self.mixer);
        }
        if runs.len() <= RANKED_MAX && self.rank(runs) {
            return;
        }
        let groups = &*groups;
        let mut order: Vec<usize> = (0..runs.len()).collect();
        order.select_nth_unstable_by(self.groups_max - 1, |one, other| {
            let (one, other) = (&runs[*one], &runs[*other]);
            one.hash.cmp(&other.hash).then_with(|| groups.compare(one.group, other.group))
        });
        for place in &order[self.groups_max..] {
            runs[*place].rows = 0;
        }
    }

    /// Of few groups each one's rank is counted out, which is quicker than sorting. Changes nothing where two hashes are the same
    /// and one of them would count.
    fn rank(&self, runs: &mut [Run]) -> bool {
        let mut hashes = [0; RANKED_MAX];
        for (hash, run) in hashes.iter_mut().zip(&*runs) {
            *hash = run.hash;
        }
        let hashes = &hashes[..runs.len()];
        let counts = |hash: u64| hashes.iter().map(|other| usize::from(*other < hash)).sum::<usize>() < self.groups_max;
        let mut kept = 0_u64;
        for (place, hash) in hashes.iter().enumerate() {
            kept |= u64::from(counts(*hash)) << place;
        }
        if kept.count_ones() as usize != self.groups_max {
            return false;
        }
        for (place, run) in runs.iter_mut().enumerate() {
            if kept >> place & 1 == 0 {
                run.rows = 0;
            }
        }
        true
    }

    fn add_counts(&mut self, runs: &[Run]) {
        for planned in self.planned {
            let place = planned.part.columns.start;
            match planned.part.counted {
                Counted::Rows => {
                    for run in runs {
                        self.cells[run.group as usize * self.columns + place] += run.rows.min(self.rows_max) as i128;
                    }
                }
                Counted::Patients => {
                    for run in runs {
                        self.cells[run.group as usize * self.columns + place] += i128::from(run.rows > 0);
                    }
                }
                Counted::Values | Counted::Sum | Counted::Squares | Counted::Bins => {}
            }
        }
    }

    /// Chooses the rows that count: all of a group where they are not too many.
    fn choose(&mut self, unit: i64, runs: &[Run], rows: &Rows<'_>, groups: &mut Groups) {
        self.chosen.clear();
        self.sampled.clear();
        let numbered = (0_u32..).zip(rows.groups);
        if runs.iter().all(|run| (1..=self.rows_max).contains(&run.rows)) {
            self.chosen.extend(numbered.map(|(row, _)| row));
            return;
        }
        for (row, group) in numbered {
            let of_group = runs[self.marks[*group as usize].1 as usize].rows;
            if of_group > self.rows_max {
                self.sampled.push(u64::from(*group) << 32 | u64::from(row));
            } else if of_group > 0 {
                self.chosen.push(row);
            }
        }
        self.sampled.sort_unstable();
        let sampled = std::mem::take(&mut self.sampled);
        for of_group in sampled.chunk_by(|one, other| one >> 32 == other >> 32) {
            let group = u32::try_from(of_group[0] >> 32).unwrap_or(u32::MAX);
            #[expect(clippy::cast_possible_truncation, reason = "the lower half is the row")]
            let of_group = of_group.iter().map(|packed| *packed as u32).collect();
            let hash = groups.hash(group);
            self.sample_rows(unit, hash, of_group, rows);
        }
        self.sampled = sampled;
    }

    /// Chooses rows of one group. Rows with the same values are numbered, so that each has its own chance.
    fn sample_rows(&mut self, unit: i64, group: u64, mut rows: Vec<u32>, all: &Rows<'_>) {
        let of = |row: u32| all.values.iter().map(move |column| column[all.begin + row as usize]);
        rows.sort_unstable_by(|one, other| of(*one).cmp(of(*other)));
        let mut hashed = Vec::with_capacity(rows.len());
        for same in rows.chunk_by(|one, other| of(*one).eq(of(*other))) {
            for (copy, row) in same.iter().enumerate() {
                let words = [3, unit.cast_unsigned(), group, copy as u64].into_iter();
                hashed.push((self.key.hash(words.chain(of(*row).map(i64::cast_unsigned))), *row));
            }
        }
        hashed.select_nth_unstable_by(self.rows_max - 1, |one, other| {
            one.0.cmp(&other.0).then_with(|| of(one.1).cmp(of(other.1)))
        });
        self.chosen.extend(hashed.into_iter().take(self.rows_max).map(|(_, row)| row));
    }

    /// Gives each row that counts to who takes them.
    fn give(&mut self, rows: &Rows<'_>) {
        let Some(taking) = &mut self.taking else { return };
        let mut values = Vec::with_capacity(rows.values.len());
        for row in &self.chosen {
            let cells = rows.values.iter().map(|column| column[rows.begin + *row as usize]);
            values.clear();
            values.extend(cells.map(|cell| (cell != NO_VALUE).then_some(cell)));
            taking(&values);
        }
    }

    fn add_values(&mut self, rows: &Rows<'_>) {
        for planned in self.planned {
            let part = &planned.part;
            let Some(input) = planned.input.and_then(|input| rows.values.get(input)) else { continue };
            let input = &input[rows.begin..];
            let (width, place, cells) = (self.columns, part.columns.start, &mut self.cells);
            let there = self.chosen.iter().map(|row| (rows.groups[*row as usize], input[*row as usize]));
            let there = there.filter(|(_, value)| *value != NO_VALUE);
            let there = there.map(|(group, value)| (group as usize * width + place, value));
            match part.counted {
                Counted::Values => there.for_each(|(cell, _)| cells[cell] += 1),
                Counted::Sum => there.for_each(|(cell, value)| cells[cell] += i128::from(value - part.centre)),
                Counted::Squares => there.for_each(|(cell, value)| {
                    cells[cell] += i128::from(square(value - part.centre, part.scale));
                }),
                Counted::Bins => {
                    for (cell, bin) in there.filter_map(|(cell, bin)| Some((cell, usize::try_from(bin).ok()?))) {
                        if bin < part.columns.len() {
                            cells[cell + bin] += 1;
                        }
                    }
                }
                Counted::Rows | Counted::Patients => {}
            }
        }
    }
}
