//! Records to batches: one chunk at a time, by one thread or several, always in the order of the input.

use std::io::Read;
use std::num::NonZeroUsize;
use std::ops::{AddAssign, ControlFlow};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use arrow::array::RecordBatch;

use crate::chunk::{Chunk, Chunks, Framed, Layout, ReadFault};
use crate::column::Builders;
use crate::fault::{Fault, Reason};
use crate::json::{Bounds, Form, Tape};
use crate::limits::Limits;
use crate::names::Name;
use crate::path::value::Record;
use crate::rows::{Made, Part as ViewPart, RowFault, Table, rows};
use crate::view::View;

/// What becomes of a record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFault {
    /// It gives no rows, and its fault is handed on.
    SetAside,
    /// The run ends.
    Refuse,
}

/// How an input is extracted.
#[derive(Debug, Clone)]
pub struct Options {
    /// What becomes of a record that cannot be read.
    pub on_fault: OnFault,
    /// Bounds on each record.
    pub limits: Limits,
    /// Threads beside the one that reads; one means that there are none.
    pub threads: NonZeroUsize,
}

impl Default for Options {
    fn default() -> Self {
        Self { on_fault: OnFault::Refuse, limits: Limits::default(), threads: NonZeroUsize::MIN }
    }
}

/// What an extraction hands on, in the order of the input within each chunk: rows may come after later records' faults.
#[derive(Debug, Clone)]
pub enum Part {
    /// Rows of sound records.
    Rows {
        /// The rows.
        batch: RecordBatch,
        /// The line that each row's record begins on, from 1.
        lines: Vec<u64>,
    },
    /// A record that was set aside.
    Fault(Fault),
}

/// What became of the records of an input.
///
/// `records` = `other_type` + `filtered` + `set_aside` + `taken`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All records.
    pub records: u64,
    /// Resources of another type than the view's, and entries of a bundle without a resource.
    pub other_type: u64,
    /// Resources that the view's filters leave out.
    pub filtered: u64,
    /// Records with a fault.
    pub set_aside: u64,
    /// Resources that became rows, or none where the view makes none of them.
    pub taken: u64,
    /// Rows of all batches.
    pub rows: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.other_type += other.other_type;
        self.filtered += other.filtered;
        self.set_aside += other.set_aside;
        self.taken += other.taken;
        self.rows += other.rows;
    }
}

/// Why an extraction ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A record has a fault, and faults are to end the run.
    Refused(Fault),
    /// The input cannot be read on.
    Input(ReadFault),
    /// Whoever takes the parts wants no more of them.
    Taker,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(fault) => fault.fmt(f),
            Self::Input(fault) => fault.fmt(f),
            Self::Taker => f.write_str("the rows are wanted no longer"),
        }
    }
}

impl std::error::Error for Stop {}

/// Whoever takes the parts of an extraction.
pub type Taker<'t> = dyn FnMut(Part) -> ControlFlow<()> + 't;

/// Extracts chunks. Extractors of one view work beside one another, each on its own chunks.
#[derive(Debug)]
pub struct Extractor<'v> {
    view: &'v View,
    options: Options,
    tape: Tape,
    builders: Builders,
}

impl<'v> Extractor<'v> {
    /// An extractor for a view.
    pub fn new(view: &'v View, options: &Options) -> Self {
        Self { view, options: options.clone(), tape: Tape::default(), builders: Builders::new(view) }
    }

    /// Hands on the rows of a chunk, and its faults if they are set aside. No batch spans two chunks.
    ///
    /// # Errors
    /// A fault that ends the run, or that the taker wants no more. What was handed on before stays valid.
    pub fn chunk(&mut self, chunk: &Chunk, take: &mut Taker<'_>) -> Result<Counts, Stop> {
        let mut counts = Counts::default();
        for framed in &chunk.records {
            counts.records += 1;
            if let Err(fault) = self.record(chunk, framed, &mut counts, take)? {
                if self.options.on_fault == OnFault::Refuse {
                    self.builders.finish();
                    return Err(Stop::Refused(fault));
                }
                counts.set_aside += 1;
                hand_on(take, Part::Fault(fault))?;
            }
        }
        self.flush(take)?;
        Ok(counts)
    }

    /// Extracts one record. The inner result is its fault.
    fn record(
        &mut self,
        chunk: &Chunk,
        framed: &Framed,
        counts: &mut Counts,
        take: &mut Taker<'_>,
    ) -> Result<Result<(), Fault>, Stop> {
        let bytes = match &framed.bytes {
            Ok(range) => &chunk.bytes[range.clone()],
            Err(reason) => return Ok(Err(fault_at(framed, &[], 0, *reason))),
        };
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(bad) => return Ok(Err(fault_at(framed, bytes, bad.valid_up_to(), Reason::Encoding))),
        };
        let Self { view, options, tape, builders } = self;
        let bounds = Bounds { depth: options.limits.depth_max, values: options.limits.record_values_max };
        if let Err(bad) = tape.read(text, Some(&view.names), bounds) {
            return Ok(Err(fault_at(framed, bytes, bad.at, bad.reason)));
        }
        let Some(root) = resource(tape, chunk.layout) else {
            counts.other_type += 1;
            return Ok(Ok(()));
        };
        let made = match rows(view, Record { text, tape, names: &view.names, root }, &options.limits) {
            Ok(made) => made,
            Err(fault) => return Ok(Err(view_fault(view, framed, fault))),
        };
        match made {
            Made::OtherType => counts.other_type += 1,
            Made::Filtered => counts.filtered += 1,
            Made::Rows(table) => {
                counts.taken += 1;
                counts.rows += u64::try_from(table.rows).unwrap_or(u64::MAX);
                add(builders, &options.limits, (&table, framed.line), take)?;
            }
        }
        Ok(Ok(()))
    }

    fn flush(&mut self, take: &mut Taker<'_>) -> Result<(), Stop> {
        self.builders.finish().map_or(Ok(()), |(batch, lines)| hand_on(take, Part::Rows { batch, lines }))
    }
}

/// The resource of a record: itself, or what an entry of a bundle holds.
fn resource(tape: &Tape, layout: Layout) -> Option<u32> {
    match layout {
        Layout::Bundle if tape.form(0) == Form::Object => tape.child(0, Name::RESOURCE),
        Layout::Lines | Layout::Array | Layout::Bundle => Some(0),
    }
}

/// Adds rows of a record, which begins on this line, to the batch, and hands it on whenever it is full.
fn add(
    builders: &mut Builders,
    limits: &Limits,
    (table, line): (&Table<'_>, u64),
    take: &mut Taker<'_>,
) -> Result<(), Stop> {
    let mut next = 0;
    while next < table.rows {
        let room = limits.batch_rows.max(1).saturating_sub(builders.rows());
        let end = table.rows.min(next + room);
        builders.add(table, next..end, line);
        next = end;
        if (builders.rows() >= limits.batch_rows || builders.bytes() >= limits.batch_bytes)
            && let Some((batch, lines)) = builders.finish()
        {
            hand_on(take, Part::Rows { batch, lines })?;
        }
    }
    Ok(())
}

fn hand_on(take: &mut Taker<'_>, part: Part) -> Result<(), Stop> {
    if take(part).is_break() { Err(Stop::Taker) } else { Ok(()) }
}

/// The place of a byte of a record.
fn fault_at(framed: &Framed, bytes: &[u8], at: usize, reason: Reason) -> Fault {
    let before = &bytes[..at.min(bytes.len())];
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let lines = before.split(|byte| *byte == b'\n').count() - 1;
    let column = match before.iter().rposition(|byte| *byte == b'\n') {
        Some(last) => number(before.len() - last),
        None => framed.column + number(before.len()),
    };
    Fault { line: framed.line + number(lines), column, clause: None, reason }
}

/// The place of a fault that the text does not show.
fn view_fault(view: &View, framed: &Framed, fault: RowFault) -> Fault {
    let clause = match fault.part {
        _ if fault.reason == Reason::NotAResource => None,
        ViewPart::Filter(number) => Some(format!("where[{number}]")),
        ViewPart::Column(number) => view.columns().get(number).map(|column| format!("column {}", column.name)),
        ViewPart::Rows => Some("select".to_owned()),
    };
    Fault { line: framed.line, column: framed.column, clause, reason: fault.reason }
}

/// Extracts a whole input. The parts are handed on in the order of the input, whatever the number of threads.
///
/// Memory: a few chunks and batches a thread, whatever the length of the input.
///
/// # Errors
/// Why it ended early. What was handed on before stays valid.
pub fn extract<R: Read>(
    view: &View,
    input: R,
    layout: Layout,
    options: &Options,
    take: &mut Taker<'_>,
) -> Result<Counts, Stop> {
    let mut chunks = Chunks::new(input, layout, options.limits.clone());
    if options.threads.get() > 1 {
        return beside(view, &mut chunks, options, take);
    }
    let mut extractor = Extractor::new(view, options);
    let mut counts = Counts::default();
    for chunk in chunks {
        counts += extractor.chunk(&chunk.map_err(Stop::Input)?, take)?;
    }
    Ok(counts)
}

/// What a thread sends back: parts, and the end of each chunk.
enum Sent {
    Part(Part),
    End(Result<Counts, Stop>),
}

/// Chunks in flight and parts that wait, for each thread.
const WAITING: usize = 2;

/// Deals chunks to threads in turn and takes them back in turn.
fn beside<R: Read>(
    view: &View,
    chunks: &mut Chunks<R>,
    options: &Options,
    take: &mut Taker<'_>,
) -> Result<Counts, Stop> {
    thread::scope(|scope| {
        let lanes: Vec<(SyncSender<Chunk>, Receiver<Sent>)> = (0..options.threads.get())
            .map(|_| {
                let (to, work) = sync_channel::<Chunk>(WAITING);
                let (done, from) = sync_channel::<Sent>(WAITING);
                scope.spawn(move || work_off(view, options, &work, &done));
                (to, from)
            })
            .collect();
        let mut counts = Counts::default();
        let (mut dealt, mut taken) = (0, 0);
        let mut end = None;
        loop {
            while end.is_none() && dealt - taken < lanes.len() * WAITING {
                match chunks.next() {
                    Some(Ok(chunk)) => {
                        // A thread ends only after its lane is dropped, which is after this loop.
                        let _ = lanes[dealt % lanes.len()].0.send(chunk);
                        dealt += 1;
                    }
                    Some(Err(fault)) => end = Some(Err(Stop::Input(fault))),
                    None => end = Some(Ok(())),
                }
            }
            if taken == dealt {
                return end.unwrap_or(Ok(())).map(|()| counts);
            }
            counts += take_back(&lanes[taken % lanes.len()].1, take)?;
            taken += 1;
        }
    })
}

/// Hands on everything that one chunk gave.
fn take_back(from: &Receiver<Sent>, take: &mut Taker<'_>) -> Result<Counts, Stop> {
    loop {
        match from.recv() {
            Ok(Sent::Part(part)) => hand_on(take, part)?,
            Ok(Sent::End(counts)) => return counts,
            // The thread has panicked, which joining it will pass on.
            Err(_) => return Err(Stop::Taker),
        }
    }
}

/// One thread: chunks in, parts out, until nobody sends or takes any more.
fn work_off(view: &View, options: &Options, work: &Receiver<Chunk>, done: &SyncSender<Sent>) {
    let mut extractor = Extractor::new(view, options);
    for chunk in work {
        let mut send = |part| match done.send(Sent::Part(part)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let counts = extractor.chunk(&chunk, &mut send);
        if done.send(Sent::End(counts)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
#[path = "tests/extract.rs"]
mod tests;
