//! The partition as a whole: parts are split until none can be, on scoped threads that take parts from one list.
//!
//! A part's fate depends on its rows alone, so the result does not depend on the number of threads.

use std::sync::{Condvar, Mutex};

use super::Value;
use super::part::{Part, Rows, Shape};
use super::split::Splitter;
use crate::model::Judge;
use crate::table::Table;

/// A part of fewer rows is finished by the thread that has it.
const SHARED_ROWS_MIN: usize = 4_096;

struct Open<'r> {
    start: usize,
    cells: &'r mut [u32],
}

struct Shared<'r> {
    open: Vec<Open<'r>>,
    busy: usize,
    done: Vec<Part>,
}

/// Partitions the rows, which are moved so that each part is one run.
pub(super) fn partition(table: &Table, judge: &Judge<'_>, value: Value, rows: &mut Rows, threads: usize) -> Vec<Part> {
    let shape = rows.shape;
    let whole = Open { start: 0, cells: &mut rows.cells };
    let shared = Mutex::new(Shared { open: vec![whole], busy: 0, done: Vec::new() });
    let changed = Condvar::new();
    let work = || {
        let mut splitter = Splitter::new(table, judge, value, shape);
        let mut done = Vec::new();
        while let Some(open) = take(&shared, &changed) {
            let left = finish(&mut splitter, shape, open, &mut done);
            if let Ok(mut shared) = shared.lock() {
                shared.open.extend(left);
                shared.busy -= 1;
            }
            changed.notify_all();
        }
        if let Ok(mut shared) = shared.lock() {
            shared.done.append(&mut done);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut done = shared.into_inner().map_or(Vec::new(), |shared| shared.done);
    done.sort_by_key(|part| part.rows.start);
    done
}

/// The largest open part, as soon as there is one; nothing where all is done.
fn take<'r>(shared: &Mutex<Shared<'r>>, changed: &Condvar) -> Option<Open<'r>> {
    let nothing_yet = |shared: &mut Shared<'r>| shared.open.is_empty() && shared.busy > 0;
    let mut shared = changed.wait_while(shared.lock().ok()?, nothing_yet).ok()?;
    let largest = (0..shared.open.len()).max_by_key(|at| shared.open[*at].cells.len())?;
    shared.busy += 1;
    Some(shared.open.swap_remove(largest))
}

/// Splits a large part once and gives back what it became; splits a small one to the end.
fn finish<'r>(splitter: &mut Splitter<'_>, shape: Shape, open: Open<'r>, done: &mut Vec<Part>) -> Vec<Open<'r>> {
    let stride = shape.stride();
    let shared = open.cells.len() / stride >= SHARED_ROWS_MIN;
    let mut left = vec![open];
    while let Some(part) = left.pop() {
        let Some(lengths) = splitter.split(part.cells) else {
            done.push(Part { rows: part.start..part.start + part.cells.len() / stride });
            continue;
        };
        let (mut start, mut cells) = (part.start, part.cells);
        for length in lengths {
            let (own, others) = cells.split_at_mut(length * stride);
            left.push(Open { start, cells: own });
            (start, cells) = (start + length, others);
        }
        if shared {
            return left;
        }
    }
    left
}
