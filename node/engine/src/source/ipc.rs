//! Arrow IPC files and streams. Arrow's own readers allocate what a file declares and panic on some hostile ones: here
//! every length is checked against the file and the limits first, and a panic is a damaged file.
//!
//! Framing: <https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc>.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::FileDecoder;
use arrow::ipc::{
    Block, CompressionType, Message, MessageHeader, MetadataVersion, RecordBatch as Encoded, Schema, root_as_footer,
    root_as_message,
};

use parquet::file::reader::Length;

use crate::batch::{SourceBatch, SourceColumn, SourceFault, named_once};
use crate::handle::{Chunks, Handle};
use crate::limits::Limits;
use crate::row_fault::{Tally, Tolerance};
use crate::source::pieces::Pieces;

/// How a file begins and ends. A stream has neither.
const MAGIC: &[u8] = b"ARROW1";
/// What stands before the heading of a message, in all but old streams.
const CONTINUATION: [u8; 4] = [0xFF; 4];
/// Before a compressed buffer: how long it is decompressed, or -1 where it is not compressed.
const LENGTH_BYTES: usize = 8;

/// Reads an Arrow IPC file or stream in batches.
pub(crate) struct IpcReader {
    chunks: Chunks,
    schema: SchemaRef,
    version: MetadataVersion,
    messages: Messages,
    decoder: Option<FileDecoder>,
    /// Bytes of each dictionary that is held.
    dictionaries: BTreeMap<i64, usize>,
    columns: Vec<SourceColumn>,
    needed: Vec<bool>,
    limits: Limits,
    tally: Tally,
    pieces: Pieces,
}

/// Where the messages behind the schema are.
enum Messages {
    /// As the file's footer lists them, dictionaries first.
    Listed(VecDeque<Place>),
    /// One after the other, from here on.
    Streamed(u64),
}

/// Where a message is.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    heading: usize,
    body: usize,
}

/// A message that was read, with its heading and body.
struct Parts {
    bytes: Buffer,
    place: Place,
}

/// What a message came to.
enum Decoded {
    Dictionary { id: i64, bytes: usize, is_delta: bool },
    Rows(RecordBatch),
    Nothing,
}

/// Why a message is not decoded.
enum Refusal {
    Damaged,
    TooLong,
}

impl IpcReader {
    /// Reads the schema, and of a file the list of its batches.
    pub(crate) fn open(handle: &Handle, limits: &Limits, tolerance: Tolerance) -> Result<Self, SourceFault> {
        let chunks = Chunks::new(handle);
        let is_file = chunks.range(0, MAGIC.len()).is_ok_and(|bytes| bytes == MAGIC);
        let (schema, version, messages) = if is_file { listed(&chunks, limits)? } else { streamed(&chunks, limits)? };
        let fields = schema.fields();
        if fields.len() > limits.columns_max {
            return Err(SourceFault::TooManyColumns { max: limits.columns_max });
        }
        let names = named_once(fields.iter().map(|field| field.name().clone()))?;
        let kinds = fields.iter().map(|field| field.data_type().clone());
        let columns: Vec<_> = names.into_iter().zip(kinds).map(|(name, kind)| SourceColumn::new(name, kind)).collect();
        Ok(Self {
            chunks,
            schema,
            version,
            messages,
            decoder: None,
            dictionaries: BTreeMap::new(),
            needed: vec![true; columns.len()],
            columns,
            limits: *limits,
            tally: Tally::new(tolerance),
            pieces: Pieces::none(),
        })
    }

    /// The columns, in the file's order.
    pub(crate) fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    /// Reads only these columns.
    pub(crate) fn project(&mut self, needed: &[bool]) {
        self.needed = needed.to_vec();
    }

    /// The next rows; `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceFault> {
        loop {
            if let Some(batch) = self.pieces.next(&self.columns, &self.limits, &mut self.tally)? {
                return Ok(Some(batch));
            }
            let Some(parts) = self.next_message()? else { return Ok(None) };
            match self.decoded(&parts)? {
                Decoded::Dictionary { id, bytes, is_delta } => self.hold(id, bytes, is_delta)?,
                Decoded::Rows(batch) => {
                    let mut arrays = batch.columns().iter().cloned();
                    let columns = self.needed.iter().map(|needed| if *needed { arrays.next() } else { None }).collect();
                    self.pieces = Pieces::new(columns, batch.num_rows());
                }
                Decoded::Nothing => {}
            }
        }
    }

    fn next_message(&mut self) -> Result<Option<Parts>, SourceFault> {
        let place = match &mut self.messages {
            Messages::Listed(places) => places.pop_front(),
            Messages::Streamed(at) => {
                let place = place_at(&self.chunks, *at, self.tally.rows(), &self.limits)?;
                *at = place.map_or(*at, |place| place.offset + (place.heading + place.body) as u64);
                place
            }
        };
        place.map(|place| read(&self.chunks, place, self.tally.rows(), &self.limits)).transpose()
    }

    /// Runs Arrow's own code.
    fn decoded(&mut self, parts: &Parts) -> Result<Decoded, SourceFault> {
        let rows = self.tally.rows();
        let decoder = self.decoder.get_or_insert_with(|| {
            let wanted = self.needed.iter().enumerate().filter(|(_, needed)| **needed).map(|(index, _)| index);
            FileDecoder::new(Arc::clone(&self.schema), self.version).with_projection(wanted.collect())
        });
        let limits = &self.limits;
        let done = catch_unwind(AssertUnwindSafe(|| decode(decoder, parts, limits)));
        match done {
            Ok(Ok(decoded)) => Ok(decoded),
            Ok(Err(Refusal::TooLong)) => Err(SourceFault::PartTooLong { rows, max: self.limits.part_bytes_max }),
            Ok(Err(Refusal::Damaged)) | Err(_) => Err(SourceFault::Damaged { rows }),
        }
    }

    /// All dictionaries together are as long as one part may be.
    fn hold(&mut self, id: i64, bytes: usize, is_delta: bool) -> Result<(), SourceFault> {
        let held = self.dictionaries.entry(id).or_default();
        *held = if is_delta { held.saturating_add(bytes) } else { bytes };
        if self.dictionaries.values().fold(0_usize, |sum, bytes| sum.saturating_add(*bytes))
            > self.limits.part_bytes_max
        {
            return Err(SourceFault::PartTooLong { rows: self.tally.rows(), max: self.limits.part_bytes_max });
        }
        Ok(())
    }
}

type Opened = (SchemaRef, MetadataVersion, Messages);

/// A schema in Arrow's own form; arrow panics on some that are none.
fn schema_of(schema: Schema<'_>) -> Result<SchemaRef, SourceFault> {
    let damaged = SourceFault::Damaged { rows: 0 };
    if !schema.endianness().equals_to_target_endianness() {
        return Err(damaged);
    }
    catch_unwind(AssertUnwindSafe(|| fb_to_schema(schema))).map(Arc::new).map_err(|_| damaged)
}

/// A file: the footer says where everything is.
fn listed(chunks: &Chunks, limits: &Limits) -> Result<Opened, SourceFault> {
    let damaged = || SourceFault::Damaged { rows: 0 };
    let tail_bytes = 4 + MAGIC.len();
    let tail = chunks.len().checked_sub(tail_bytes as u64).ok_or_else(damaged)?;
    let ending = range(chunks, tail, tail_bytes, 0)?;
    if !ending.ends_with(MAGIC) {
        return Err(damaged());
    }
    let length = ending.first_chunk().map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes));
    let start = tail.checked_sub(u64::from(length)).ok_or_else(damaged)?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > limits.footer_bytes_max {
        return Err(SourceFault::PartTooLong { rows: 0, max: limits.footer_bytes_max });
    }
    let bytes = range(chunks, start, length, 0)?;
    let footer = root_as_footer(&bytes).map_err(|_| damaged())?;
    let schema = schema_of(footer.schema().ok_or_else(damaged)?)?;
    let blocks = [footer.dictionaries(), footer.recordBatches()].into_iter().flatten().flatten();
    let place = |block: &Block| {
        Some(Place {
            offset: u64::try_from(block.offset()).ok()?,
            heading: usize::try_from(block.metaDataLength()).ok()?,
            body: usize::try_from(block.bodyLength()).ok()?,
        })
    };
    let places: Option<VecDeque<_>> = blocks.map(place).collect();
    Ok((schema, footer.version(), Messages::Listed(places.ok_or_else(damaged)?)))
}

/// A stream: the first message is the schema.
fn streamed(chunks: &Chunks, limits: &Limits) -> Result<Opened, SourceFault> {
    let damaged = || SourceFault::Damaged { rows: 0 };
    let place = place_at(chunks, 0, 0, limits)?.ok_or_else(damaged)?;
    let parts = read(chunks, place, 0, limits)?;
    let message = message_of(&parts).ok_or_else(damaged)?;
    let schema = schema_of(message.header_as_schema().ok_or_else(damaged)?)?;
    let next = place.offset + (place.heading + place.body) as u64;
    Ok((schema, message.version(), Messages::Streamed(next)))
}

/// The message that begins here; `None` at the end.
fn place_at(chunks: &Chunks, offset: u64, rows: u64, limits: &Limits) -> Result<Option<Place>, SourceFault> {
    let damaged = || SourceFault::Damaged { rows };
    // A stream may end with its bytes, without saying so.
    if offset == chunks.len() {
        return Ok(None);
    }
    let number = |at| range(chunks, at, 4, rows).map(|bytes| bytes.first_chunk().copied().unwrap_or_default());
    let first = number(offset)?;
    let (length, before) = if first == CONTINUATION { (number(offset + 4)?, 8) } else { (first, 4) };
    let length = usize::try_from(i32::from_le_bytes(length)).map_err(|_| damaged())?;
    if length == 0 {
        return Ok(None);
    }
    if length > limits.footer_bytes_max {
        return Err(SourceFault::PartTooLong { rows, max: limits.footer_bytes_max });
    }
    let heading = range(chunks, offset + before as u64, length, rows)?;
    let message = root_as_message(&heading).map_err(|_| damaged())?;
    let body = usize::try_from(message.bodyLength()).map_err(|_| damaged())?;
    Ok(Some(Place { offset, heading: before + length, body }))
}

/// Reads a message whole, if it is short enough.
fn read(chunks: &Chunks, place: Place, rows: u64, limits: &Limits) -> Result<Parts, SourceFault> {
    if place.heading > limits.footer_bytes_max + CONTINUATION.len() + 4 || place.body > limits.part_bytes_max {
        return Err(SourceFault::PartTooLong { rows, max: limits.part_bytes_max });
    }
    let bytes = range(chunks, place.offset, place.heading + place.body, rows)?;
    Ok(Parts { bytes: Buffer::from(bytes), place })
}

fn range(chunks: &Chunks, start: u64, length: usize, rows: u64) -> Result<bytes::Bytes, SourceFault> {
    let damaged = |_| chunks.failure().map_or(SourceFault::Damaged { rows }, |kind| SourceFault::Read { kind });
    chunks.range(start, length).map_err(damaged)
}

/// The message in its frame.
fn message_of(parts: &Parts) -> Option<Message<'_>> {
    let heading = parts.bytes.get(..parts.place.heading)?;
    let before = if heading.starts_with(&CONTINUATION) { 8 } else { 4 };
    root_as_message(heading.get(before..)?).ok()
}

fn decode(decoder: &mut FileDecoder, parts: &Parts, limits: &Limits) -> Result<Decoded, Refusal> {
    let damaged = |_| Refusal::Damaged;
    let number = |length: usize| i64::try_from(length).map_err(|_| Refusal::Damaged);
    let (heading, body) = (i32::try_from(parts.place.heading), number(parts.place.body)?);
    let block = Block::new(0, heading.map_err(|_| Refusal::Damaged)?, body);
    let message = message_of(parts).ok_or(Refusal::Damaged)?;
    let encoded = parts.bytes.get(parts.place.heading..).ok_or(Refusal::Damaged)?;
    match message.header_type() {
        MessageHeader::DictionaryBatch => {
            let dictionary = message.header_as_dictionary_batch().ok_or(Refusal::Damaged)?;
            let bytes = decoded_bytes(dictionary.data().ok_or(Refusal::Damaged)?, encoded, limits)?;
            decoder.read_dictionary(&block, &parts.bytes).map_err(damaged)?;
            Ok(Decoded::Dictionary { id: dictionary.id(), bytes, is_delta: dictionary.isDelta() })
        }
        MessageHeader::RecordBatch => {
            decoded_bytes(message.header_as_record_batch().ok_or(Refusal::Damaged)?, encoded, limits)?;
            let batch = decoder.read_record_batch(&block, &parts.bytes).map_err(damaged)?;
            Ok(batch.map_or(Decoded::Nothing, Decoded::Rows))
        }
        _ => Err(Refusal::Damaged),
    }
}

/// How many bytes the buffers have once they are decompressed: all together as one part may have.
fn decoded_bytes(batch: Encoded<'_>, body: &[u8], limits: &Limits) -> Result<usize, Refusal> {
    // Columns of nothing but nulls have no buffers, so nothing else bounds how many rows are declared.
    if !(0..=i64::from(i32::MAX)).contains(&batch.length()) {
        return Err(Refusal::Damaged);
    }
    let codec = batch.compression().map(|compression| compression.codec());
    let mut sum = 0_usize;
    for buffer in batch.buffers().into_iter().flatten() {
        let place = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let (start, length) = place.ok_or(Refusal::Damaged)?;
        let bytes = body.get(start..).and_then(|rest| rest.get(..length)).ok_or(Refusal::Damaged)?;
        let declared = match (codec, bytes.split_first_chunk::<LENGTH_BYTES>()) {
            (None, _) => length,
            (Some(_), None) if length == 0 => 0,
            (Some(_), None) => return Err(Refusal::Damaged),
            (Some(codec), Some((declared, compressed))) => match i64::from_le_bytes(*declared) {
                -1 => length,
                declared => {
                    let declared = usize::try_from(declared).map_err(|_| Refusal::Damaged)?;
                    // Arrow reads LZ4 to its end, however long that is; of Zstandard no more than is declared.
                    if codec == CompressionType::LZ4_FRAME && declared <= limits.part_bytes_max {
                        check_lz4(compressed, declared)?;
                    }
                    declared
                }
            },
        };
        sum = sum.saturating_add(declared);
        if sum > limits.part_bytes_max {
            return Err(Refusal::TooLong);
        }
    }
    Ok(sum)
}

/// Decompresses without keeping, up to one byte more than is declared.
fn check_lz4(compressed: &[u8], declared: usize) -> Result<(), Refusal> {
    let mut decoder = lz4_flex::frame::FrameDecoder::new(compressed).take(declared as u64 + 1);
    let found = std::io::copy(&mut decoder, &mut std::io::sink()).map_err(|_| Refusal::Damaged)?;
    if found > declared as u64 { Err(Refusal::TooLong) } else { Ok(()) }
}
