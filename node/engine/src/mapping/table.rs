//! One table that is being written: primary keys that are there, references that must be, and what is lost.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use cohortium_protocol::quantity::Rows;
use cohortium_schema::schema::{Reference, Table};
use hashbrown::hash_map::Entry as Slot;
use hashbrown::{DefaultHashBuilder, HashMap};

use crate::cells::Cells;
use crate::consolidate::shape::{ORIGIN_COLUMN, SOURCE_COLUMN};
use crate::limits::Limits;
use crate::mapping::account::{Reason, TableCount};
use crate::packed::Packed;
use crate::sink::{RowsWriter, SinkFault};

/// Characters of a code that is listed. 64.
const CODE_CHARS_MAX: usize = 64;
/// Bytes that one primary key takes while the table of them grows: 17 in an entry, some of which are empty, and for a
/// moment the old table beside the new one.
const KEY_BYTES: u64 = 64;

/// What a run loses and sets in the place of what is missing.
#[derive(Default)]
pub(crate) struct Losses {
    pub(crate) unmapped: BTreeMap<(String, String), Rows>,
    pub(crate) unmapped_more: bool,
    /// Records whose code is not listed.
    pub(crate) unmapped_unlisted: Rows,
}

impl Losses {
    /// Lists a code that no map has, or counts it: what is longer than codes are may be anything, free text too.
    pub(crate) fn unmapped(&mut self, map: &str, code: &str, codes_max: usize) {
        if code.chars().nth(CODE_CHARS_MAX).is_some() {
            self.unmapped_more = true;
            self.unmapped_unlisted.0 += 1;
            return;
        }
        let key = (map.to_owned(), code.to_owned());
        if let Some(count) = self.unmapped.get_mut(&key) {
            count.0 += 1;
        } else if self.unmapped.len() < codes_max {
            self.unmapped.insert(key, Rows(1));
        } else {
            self.unmapped_more = true;
            self.unmapped_unlisted.0 += 1;
        }
    }
}

/// A table that is being written.
pub(crate) struct Output<'s> {
    pub(crate) name: String,
    pub(crate) schema: SchemaRef,
    /// The place of the primary key, where there is one.
    key: Option<usize>,
    /// Foreign keys: place, field, and the table they lead to; `None`: a table that nobody has.
    pub(crate) references: Vec<(usize, String, Option<String>)>,
    writer: RowsWriter<&'s mut (dyn Write + Send)>,
    /// Primary keys that were emitted, with a hash of what the row says.
    keys: HashMap<i64, u64>,
    /// What rows are hashed with, seeded anew for each run. Two rows of one key look alike to it by a chance of one in 2^64; it is
    /// no hash for whoever wants them to.
    row_hash: DefaultHashBuilder,
    pub(crate) count: TableCount,
}

/// What a fact's primary key says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    New,
    Repeated,
    Conflict,
}

impl<'s> Output<'s> {
    pub(crate) fn new(table: &Table, sink: &'s mut (dyn Write + Send), limits: &Limits) -> Result<Self, SinkFault> {
        let fields = table.fields.iter().map(|field| Field::new(&field.name, field.kind.arrow(), !field.required));
        let own = [SOURCE_COLUMN, ORIGIN_COLUMN].map(|name| Field::new(name, DataType::Utf8, false));
        let schema = Arc::new(Schema::new(fields.chain(own).collect::<Vec<_>>()));
        let references = table.fields.iter().enumerate().filter_map(|(place, field)| match &field.reference {
            Reference::Table(to) => Some((place, field.name.clone(), Some(to.table.clone()))),
            Reference::LeftOut(_) => Some((place, field.name.clone(), None)),
            Reference::None | Reference::Concept(_) => None,
        });
        let key = table.fields.iter().find(|field| field.primary_key).map(|field| field.name.as_str());
        let keys: Vec<&str> = key.into_iter().chain([ORIGIN_COLUMN]).collect();
        Ok(Self {
            name: table.name.clone(),
            key: table.fields.iter().position(|field| field.primary_key),
            references: references.collect(),
            writer: RowsWriter::with_keys(sink, Arc::clone(&schema), limits, &keys)?,
            schema,
            keys: HashMap::new(),
            row_hash: DefaultHashBuilder::default(),
            count: TableCount::default(),
        })
    }

    pub(crate) fn has_key(&self, key: i64) -> bool {
        self.keys.contains_key(&key)
    }

    /// Rows that were written. Not the keys that are known: some tables have none.
    pub(crate) const fn facts(&self) -> u64 {
        self.count.emitted.0
    }

    /// Bytes that its known keys take.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.keys.len() as u64 * KEY_BYTES
    }

    /// What the keys of these rows say, taking new ones in.
    pub(crate) fn see(&mut self, batch: &RecordBatch) -> Vec<Sight> {
        let Some(place) = self.key else { return vec![Sight::New; batch.num_rows()] };
        let keys = batch.column(place).as_primitive::<Int64Type>();
        let said = batch.num_columns() - 2;
        let hashes = row_hashes(&self.row_hash, &batch.columns()[..said], batch.num_rows());
        let sight = |(row, hash): (usize, u64)| match self.keys.entry(keys.value(row)) {
            Slot::Vacant(free) => {
                free.insert(hash);
                Sight::New
            }
            Slot::Occupied(known) if *known.get() == hash => Sight::Repeated,
            Slot::Occupied(_) => Sight::Conflict,
        };
        hashes.into_iter().enumerate().map(sight).collect()
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkFault> {
        self.count.emitted.0 += batch.num_rows() as u64;
        self.writer.write(batch)
    }

    pub(crate) fn finish(self) -> Result<TableCount, SinkFault> {
        self.writer.finish()?;
        Ok(self.count)
    }
}

/// A hash of what each row says, what it leaves unsaid included. Within one run, to tell a repetition from a conflict.
fn row_hashes(hash: &DefaultHashBuilder, columns: &[ArrayRef], rows: usize) -> Vec<u64> {
    let cells = columns.iter().map(|column| Cells::new(column).expect("a common schema's types are handled"));
    let cells: Vec<Cells> = cells.collect();
    let mut message = Packed::with_capacity(1024);
    let row_hash = |row: usize| {
        message.truncate(0);
        for cells in &cells {
            cells.encode(row, &mut message);
        }
        hash.hash_one(message.filled())
    };
    (0..rows).map(row_hash).collect()
}

/// One entry of the quarantine table, for a row of a batch.
pub(crate) struct Entry<'a> {
    pub(crate) source: &'a str,
    pub(crate) place: u64,
    pub(crate) table: &'a str,
    pub(crate) column: &'a str,
    pub(crate) reason: Reason,
}

/// The quarantine table: which row of which source, for which table and column, and why. It holds no cell.
pub(crate) struct Quarantine<'s> {
    writer: RowsWriter<&'s mut (dyn Write + Send)>,
    schema: SchemaRef,
    texts: [StringBuilder; 4],
    places: arrow::array::PrimitiveBuilder<UInt64Type>,
    pub(crate) counts: BTreeMap<(String, String, Reason), Rows>,
}

/// Entries that are written at once.
const ENTRIES: usize = 8_192;

impl<'s> Quarantine<'s> {
    pub(crate) fn new(sink: &'s mut (dyn Write + Send), limits: &Limits) -> Result<Self, SinkFault> {
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
        let fields = vec![
            text("source", false),
            Field::new("place", DataType::UInt64, false),
            text("table", true),
            text("column", true),
            text("reason", false),
        ];
        let schema = Arc::new(Schema::new(fields));
        let writer = RowsWriter::new(sink, Arc::clone(&schema), limits)?;
        let places = arrow::array::PrimitiveBuilder::new();
        Ok(Self { writer, schema, texts: Default::default(), places, counts: BTreeMap::new() })
    }

    pub(crate) fn add(&mut self, entry: &Entry<'_>) -> Result<(), SinkFault> {
        let words = [entry.source, entry.table, entry.column, entry.reason.word()];
        for (builder, word) in self.texts.iter_mut().zip(words) {
            // A row that is no fact yet has no table, and a whole row no column.
            builder.append_option(Some(word).filter(|word| !word.is_empty()));
        }
        self.places.append_value(entry.place);
        let key = (entry.table.to_owned(), entry.column.to_owned(), entry.reason);
        self.counts.entry(key).or_insert(Rows(0)).0 += 1;
        if self.places.values_slice().len() >= ENTRIES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), SinkFault> {
        let [source, table, column, reason] = &mut self.texts;
        let places: ArrayRef = Arc::new(self.places.finish());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(source.finish()),
            places,
            Arc::new(table.finish()),
            Arc::new(column.finish()),
            Arc::new(reason.finish()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).expect("built in the schema's order");
        self.writer.write(&batch)
    }

    pub(crate) fn finish(mut self) -> Result<BTreeMap<(String, String, Reason), Rows>, SinkFault> {
        self.flush()?;
        self.writer.finish()?;
        Ok(self.counts)
    }
}

/// The columns of what a row says, with its source and origin.
pub(crate) fn owned_columns(source: &str, origins: &[&str]) -> [ArrayRef; 2] {
    let mut names = StringBuilder::new();
    let mut ids = StringBuilder::new();
    for origin in origins {
        names.append_value(source);
        ids.append_value(origin);
    }
    [Arc::new(names.finish()), Arc::new(ids.finish())]
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use cohortium_schema::schema::CommonSchema;

    use super::*;

    const DEATH: &str = r#"
name = "few"
version = "1"
[[table]]
name = "death"
field = [{ name = "cause", kind = "text", role = "quasi-identifier" }]
"#;

    #[test]
    fn a_row_says_something_else_where_another_column_is_empty() {
        let columns = [vec![Some(5), None, Some(5)], vec![None, Some(5), None]];
        let columns = columns.map(|column| Arc::new(Int64Array::from(column)) as ArrayRef);
        let hashes = row_hashes(&DefaultHashBuilder::default(), &columns, 3);
        assert_ne!(hashes[0], hashes[1]);
        assert_eq!(hashes[0], hashes[2]);
    }

    #[test]
    fn the_rows_of_a_table_without_a_key_are_counted_too() {
        let schema = CommonSchema::parse(DEATH).unwrap();
        let mut sink = Vec::new();
        let mut output = Output::new(schema.table("death").unwrap(), &mut sink, &Limits::default()).unwrap();
        let texts =
            |words: [&str; 2]| Arc::new(words.into_iter().map(Some).collect::<arrow::array::StringArray>()) as ArrayRef;
        let [source, origin] = owned_columns("north", &["1", "2"]);
        let columns = vec![texts(["a", "b"]), source, origin];
        output.write(&RecordBatch::try_new(Arc::clone(&output.schema), columns).unwrap()).unwrap();
        assert_eq!(output.facts(), 2);
    }

    #[test]
    fn a_code_is_listed_only_where_it_is_as_short_as_codes_are() {
        let mut losses = Losses::default();
        let (longest, longer) = ("\u{e4}".repeat(CODE_CHARS_MAX), "a".repeat(CODE_CHARS_MAX + 1));
        for code in ["x", "x", &longest, &longer, "y"] {
            losses.unmapped("sex", code, 2);
        }
        let listed: Vec<(&str, u64)> =
            losses.unmapped.iter().map(|((_, code), rows)| (code.as_str(), rows.0)).collect();
        assert_eq!(listed, [("x", 2), (longest.as_str(), 1)]);
        assert_eq!((losses.unmapped_more, losses.unmapped_unlisted), (true, Rows(2)));
    }
}
