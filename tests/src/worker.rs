//! What a node's worker does, over synthetic sources: runs with policy, deltas and opt-outs, and looks at landed tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cohortium_protocol::digest::{blob_digest, keyed_id};
use cohortium_protocol::endpoint::io::{LandedVersion, RunEnd, RunPlan, Taken};
use cohortium_protocol::hex;
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::key::wrap::{Secret32, derive};
use cohortium_protocol::quantity::{Bytes, Rows};
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::{BlobRef, BlobRole, Listing, ListingEntry};
use cohortium_protocol::record::manifest::{Base, LinkageCheck, LinkageKeyId, LinkageStatement};
use cohortium_protocol::record::order::OptOutEntry;
use cohortium_protocol::record::schema::Treatment;
use cohortium_protocol::record::share::{Content, Share};
use cohortium_protocol::wire::codec;

use crate::disk::{BlobBytes, Disk};

/// What every direct identifier begins with: it may be found nowhere but at its provider's source.
pub(crate) const CANARY: &[u8] = b"CANARY";

/// One row of a source.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) patient: u32,
    pub(crate) measure: u32,
}

/// A source of rows or files.
#[derive(Clone, Default)]
pub(crate) struct Source {
    pub(crate) rows: BTreeMap<u32, Row>,
    pub(crate) files: BTreeMap<String, BlobBytes>,
}

/// A table or file set as it leaves: what a reader must find, by row id or path.
pub(crate) type Table = BTreeMap<String, String>;

/// What a run made, and what its truth is.
pub(crate) struct Made {
    pub(crate) end: RunEnd,
    pub(crate) blobs: Vec<(BlobRef, BlobBytes)>,
    pub(crate) table: Table,
    pub(crate) patients: BTreeSet<u32>,
}

/// A worker's bad habits, put in on purpose.
#[derive(Clone, Copy, Default)]
pub(crate) struct Habits {
    pub(crate) leaks_identifiers: bool,
    pub(crate) ignores_opt_outs: bool,
}

pub(crate) fn opt_out_entry(patient: u32) -> OptOutEntry {
    OptOutEntry(keyed_id(&[7; 32], [patient.to_le_bytes().as_slice()]))
}

/// As the engine derives it (spec LINK-7).
pub(crate) fn sub_key(key: &Secret32, consortium: ConsortiumId, epoch: u32) -> Secret32 {
    derive(consortium.as_bytes(), key, &[b"cohortium/1 linkage sub-key", &epoch.to_le_bytes()])
}

pub(crate) fn key_id(sub_key: &Secret32) -> LinkageKeyId {
    LinkageKeyId(keyed_id(sub_key.as_bytes(), [b"id".as_slice()]))
}

fn blob_of(bytes: Vec<u8>) -> (BlobRef, BlobBytes) {
    let blob = BlobRef { digest: blob_digest(&bytes), bytes: Bytes(u64::try_from(bytes.len()).unwrap_or(u64::MAX)) };
    (blob, Arc::new(bytes))
}

/// Carries out a run over `source` as it is now.
pub(crate) fn run(plan: &RunPlan, source: &Source, disk: &Disk, key: Option<&Secret32>, habits: Habits) -> Made {
    let failed =
        |fault| Made { end: RunEnd::Failed(fault), blobs: Vec::new(), table: Table::new(), patients: BTreeSet::new() };
    match &plan.share.content {
        Content::UncheckedFiles => run_files(plan, source, disk),
        Content::Release { .. } => plan.release.as_ref().map_or_else(
            || failed(RunFault::Unreadable),
            |release| run_release(plan, &release.signed.to_bytes(), disk),
        ),
        Content::Table(_) if plan.epoch.is_some() && key.is_none() => failed(RunFault::NoLinkageKey),
        Content::Table(_) => run_table(plan, source, disk, key, habits).unwrap_or_else(failed),
    }
}

fn run_files(plan: &RunPlan, source: &Source, disk: &Disk) -> Made {
    let mut blobs = Vec::new();
    let mut entries = Vec::new();
    let mut table = Table::new();
    for (path, bytes) in &source.files {
        let (blob, bytes) = blob_of(bytes.to_vec());
        table.insert(path.clone(), blob.digest.to_string());
        blobs.push((blob, bytes));
    }
    for ((path, _), (blob, _)) in source.files.iter().zip(&blobs) {
        let path = path.parse().expect("sources have plain paths");
        entries.push(ListingEntry { path, role: BlobRole::File, blob: *blob, rows: Rows(0) });
    }
    finish(plan, disk, Parts { base: Base::Full, entries, blobs, index: None, linkage: None }, table, BTreeSet::new())
}

/// The folder of a release: here its statement alone.
fn run_release(plan: &RunPlan, statement: &[u8], disk: &Disk) -> Made {
    let (blob, bytes) = blob_of(statement.to_vec());
    let path = "statement".parse().expect("a plain path");
    let entries = vec![ListingEntry { path, role: BlobRole::File, blob, rows: Rows(0) }];
    let table = Table::from([("statement".to_owned(), blob.digest.to_string())]);
    let parts = Parts { base: Base::Full, entries, blobs: vec![(blob, bytes)], index: None, linkage: None };
    finish(plan, disk, parts, table, BTreeSet::new())
}

struct Parts {
    base: Base,
    entries: Vec<ListingEntry>,
    blobs: Vec<(BlobRef, BlobBytes)>,
    index: Option<BlobRef>,
    linkage: Option<LinkageStatement>,
}

fn finish(plan: &RunPlan, disk: &Disk, parts: Parts, table: Table, patients: BTreeSet<u32>) -> Made {
    let Parts { base, entries, mut blobs, index, linkage } = parts;
    let content = Listing::try_from(entries).expect("entries are made in order");
    let before = plan.previous.and_then(|(blob, _)| disk.listing(blob));
    if base == Base::Full && before.as_ref() == Some(&content) {
        return Made { end: RunEnd::Unchanged, blobs: Vec::new(), table, patients };
    }
    let (listing, bytes) = blob_of(codec::encode(&content));
    blobs.push((listing, bytes));
    let taken = Taken { base, listing, content, index, linkage, origin: None, vocabulary: None };
    Made { end: RunEnd::Taken(Box::new(taken)), blobs, table, patients }
}

/// A row as it leaves, by the treatment of its columns.
fn rendered(share: &Share, place: u32, row: Row, key: Option<&Secret32>, habits: Habits) -> (String, String) {
    let id = hex::text(&keyed_id(&[9; 32], [place.to_le_bytes().as_slice()]));
    let mut cells = String::new();
    let Content::Table(table) = &share.content else { return (id, cells) };
    for column in &table.columns {
        let value = match column.name.as_str() {
            "eid" => format!("CANARY-E{}", row.patient),
            "name" => format!("CANARY-N{}", row.patient),
            "los" => row.measure.to_string(),
            _ => (row.patient % 90).to_string(),
        };
        let shown = match column.treatment {
            Treatment::Drop if habits.leaks_identifiers => Some(value),
            Treatment::Drop => None,
            // The simulator's measures are whole numbers, so that rounding changes nothing; it states no other treatment.
            Treatment::Keep
            | Treatment::Round(_)
            | Treatment::Month { .. }
            | Treatment::Year { .. }
            | Treatment::Zip3
            | Treatment::Age90
            | Treatment::ShiftDates { .. } => Some(value),
            Treatment::Pseudonym => Some(hex::text(&keyed_id(&[8; 32], [value.as_bytes()]))),
        };
        cells.extend(shown.map(|shown| format!(" {}={shown}", column.name)));
    }
    cells.extend(
        key.map(|key| {
            format!(" token={}", hex::text(&keyed_id(key.as_bytes(), [row.patient.to_le_bytes().as_slice()])))
        }),
    );
    (id, cells)
}

fn run_table(
    plan: &RunPlan,
    source: &Source,
    disk: &Disk,
    key: Option<&Secret32>,
    habits: Habits,
) -> Result<Made, RunFault> {
    let keyed = !plan.dataset.key.is_empty();
    let sub = key.zip(plan.epoch).map(|(key, epoch)| sub_key(key, plan.consortium, epoch));
    let mut table = Table::new();
    let mut patients = BTreeSet::new();
    for (place, row) in &source.rows {
        let out = plan.dataset.patient.is_some() && plan.opted_out.contains(&opt_out_entry(row.patient));
        if out && !habits.ignores_opt_outs {
            continue;
        }
        table.extend([rendered(&plan.share, *place, *row, sub.as_ref(), habits)]);
        patients.insert(row.patient);
    }
    let linkage = sub.as_ref().zip(plan.epoch).map(|(sub, epoch)| LinkageStatement {
        epoch,
        key: key_id(sub),
        normaliser: 1,
        check: LinkageCheck(keyed_id(sub.as_bytes(), [b"check".as_slice()])),
    });
    let index = |table: &Table| blob_of(text(table.iter().map(|(id, cells)| (id.as_str(), hash(cells)))));
    let previous = plan.previous.filter(|_| keyed);
    let mut parts = Parts { base: Base::Full, entries: Vec::new(), blobs: Vec::new(), index: None, linkage };
    let delta = match previous {
        Some((_, old)) => {
            let old = old.and_then(|old| disk.blob(old.digest)).ok_or(RunFault::Limit)?;
            Some(differences(&parse(old).ok_or(RunFault::Limit)?, &table))
        }
        None => None,
    };
    match delta.filter(|(upserts, deletes)| (upserts.len() + deletes.len()) * 2 <= table.len().max(1)) {
        Some((upserts, deletes)) if upserts.is_empty() && deletes.is_empty() => {
            return Ok(Made { end: RunEnd::Unchanged, blobs: Vec::new(), table, patients });
        }
        Some((upserts, deletes)) => {
            parts.base = Base::Delta;
            if !deletes.is_empty() {
                let gone = deletes.iter().map(|id| (id.as_str(), String::new()));
                parts.add("deletes.parquet", BlobRole::Deletes, deletes.len(), text(gone));
            }
            if !upserts.is_empty() {
                let rows = upserts.iter().map(|(id, cells)| (id.as_str(), cells.clone()));
                parts.add("rows.parquet", BlobRole::Rows, upserts.len(), text(rows));
            }
        }
        None => {
            let rows = text(table.iter().map(|(id, cells)| (id.as_str(), cells.clone())));
            parts.add("rows.parquet", BlobRole::Rows, table.len(), rows);
        }
    }
    if keyed {
        let (blob, bytes) = index(&table);
        parts.index = Some(blob);
        parts.blobs.push((blob, bytes));
    }
    Ok(finish(plan, disk, parts, table, patients))
}

impl Parts {
    fn add(&mut self, path: &str, role: BlobRole, rows: usize, bytes: Vec<u8>) {
        let (blob, bytes) = blob_of(bytes);
        let path = path.parse().expect("a plain path");
        let rows = Rows(u64::try_from(rows).unwrap_or(u64::MAX));
        self.entries.push(ListingEntry { path, role, blob, rows });
        self.blobs.push((blob, bytes));
    }
}

fn hash(cells: &str) -> String {
    format!(" {}", hex::text(&blob_digest(cells.as_bytes()).0[..8]))
}

fn text<'a>(lines: impl Iterator<Item = (&'a str, String)>) -> Vec<u8> {
    let mut out = String::new();
    for (id, cells) in lines {
        out.push_str(id);
        out.push_str(&cells);
        out.push('\n');
    }
    out.into_bytes()
}

fn parse(bytes: &[u8]) -> Option<Table> {
    let text = std::str::from_utf8(bytes).ok()?;
    let cut = |line: &str| line.split_at_checked(32).map(|(id, cells)| (id.to_owned(), cells.to_owned()));
    text.lines().map(cut).collect()
}

/// Rows that are new or changed, and ids of rows that are gone.
fn differences(old: &Table, table: &Table) -> (Vec<(String, String)>, Vec<String>) {
    let changed = table.iter().filter(|(id, cells)| old.get(*id) != Some(&hash(cells)));
    let upserts = changed.map(|(id, cells)| (id.clone(), cells.clone())).collect();
    let deletes = old.keys().filter(|id| !table.contains_key(*id)).cloned().collect();
    (upserts, deletes)
}

/// Reads a landed version from its blobs as a consumer does; `None`: something is missing or not a table.
pub(crate) fn read(disk: &Disk, version: &LandedVersion) -> Option<Table> {
    let mut table = Table::new();
    for listing in &version.listings {
        let listing = disk.listing(*listing)?;
        for entry in listing.entries() {
            let bytes = disk.blob(entry.blob.digest)?;
            match entry.role {
                BlobRole::File => drop(table.insert(entry.path.to_string(), blob_digest(bytes).to_string())),
                BlobRole::Rows => table.extend(parse(bytes)?),
                BlobRole::Deletes => parse(bytes)?.keys().for_each(|id| drop(table.remove(id))),
            }
        }
    }
    Some(table)
}

pub(crate) fn holds_canary(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .enumerate()
        .any(|(at, byte)| *byte == b'C' && bytes.get(at..).is_some_and(|rest| rest.starts_with(CANARY)))
}
