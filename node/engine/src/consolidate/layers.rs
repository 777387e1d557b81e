//! The files of a part as one stream in patient order: a base, and beside it what has changed since.
//!
//! First come the base's files. Where something has changed, two kinds follow: one file of ids that the base still holds and
//! the part does not, each with the snapshot that took it away; then files of the rows that are new or have replaced others. What a file
//! is, its columns say. Every reader of a part goes through here, so that nobody sees a row that is gone.

use std::collections::HashSet;
use std::sync::Arc;
use std::vec::IntoIter;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use cohortium_protocol::ident::SnapshotId;

use crate::cells::id_array;
use crate::columnar::plain_array;
use crate::consolidate::fault::ConsolidateFault;
use crate::consolidate::merged::{Merged, SortKeys, SortedBatches};
use crate::consolidate::shape::{DIGEST_COLUMN, SNAPSHOT_COLUMN, TableShape};
use crate::handle::Handle;
use crate::index::Id;
use crate::land::row_ids;
use crate::limits::Limits;
use crate::policy::ROW_COLUMN;
use crate::source::{Format, SourceReader};

/// The files of a part, sorted out.
pub(crate) struct Layers {
    pub(crate) base: Vec<Handle>,
    /// Ids of the base's rows that are not the part's any more; there whenever something has changed.
    pub(crate) gone: Option<Handle>,
    pub(crate) changed: Vec<Handle>,
    pub(crate) base_rows: u64,
    pub(crate) changed_rows: u64,
    /// Whether each row has its digest beside it: files of earlier versions have none.
    pub(crate) digested: bool,
}

/// What a file is, by its columns.
enum Kind {
    Rows { digested: bool },
    Gone,
}

impl Layers {
    /// Looks at the footers.
    pub(crate) fn of(shape: &TableShape, files: &[Handle], limits: &Limits) -> Result<Self, ConsolidateFault> {
        let (table, file) = (shape.schema(), shape.file_schema());
        let mut layers =
            Self { base: Vec::new(), gone: None, changed: Vec::new(), base_rows: 0, changed_rows: 0, digested: true };
        for handle in files {
            let reader = SourceReader::open(handle, Format::Parquet, limits)?;
            let rows = reader.rows_stated().unwrap_or(0);
            match kind(&reader, &table, &file)? {
                Kind::Gone if layers.gone.is_none() => layers.gone = Some(Arc::clone(handle)),
                Kind::Gone => return Err(ConsolidateFault::NotAPart),
                Kind::Rows { digested } => {
                    layers.digested &= digested;
                    let (into, count) = match layers.gone {
                        None => (&mut layers.base, &mut layers.base_rows),
                        Some(_) => (&mut layers.changed, &mut layers.changed_rows),
                    };
                    into.push(Arc::clone(handle));
                    *count += rows;
                }
            }
        }
        Ok(layers)
    }

    /// The ids that are gone, as their file has them: each with the place of its snapshot among these; the place of one that
    /// is not among them is 0.
    pub(crate) fn gone(&self, snapshots: &[SnapshotId], limits: &Limits) -> Result<Vec<(Id, usize)>, ConsolidateFault> {
        let Some(file) = &self.gone else { return Ok(Vec::new()) };
        let names: Vec<String> = snapshots.iter().map(ToString::to_string).collect();
        let mut reader = SourceReader::open(file, Format::Parquet, limits)?;
        let mut gone = Vec::new();
        while let Some(batch) = reader.next_batch()? {
            let batch = plain(&batch.columns, &gone_schema())?;
            let by = batch.column(1).as_string_opt::<i32>().ok_or(ConsolidateFault::NotAPart)?;
            let mut last = (0, "");
            for (id, name) in row_ids(&batch).zip(by.iter()) {
                let name = name.unwrap_or_default();
                if name != last.1 {
                    last = (names.iter().position(|known| known == name).unwrap_or(0), name);
                }
                gone.push((id, last.0));
            }
        }
        Ok(gone)
    }
}

fn kind(reader: &SourceReader, table: &Schema, file: &Schema) -> Result<Kind, ConsolidateFault> {
    let is = |schema: &Schema| {
        let found = reader.columns().iter().map(|column| (column.name.as_str(), &column.kind));
        found.eq(schema.fields().iter().map(|field| (field.name().as_str(), field.data_type())))
    };
    match () {
        () if is(file) => Ok(Kind::Rows { digested: true }),
        () if is(table) => Ok(Kind::Rows { digested: false }),
        () if is(&gone_schema()) => Ok(Kind::Gone),
        () => Err(ConsolidateFault::NotAPart),
    }
}

/// The columns of the file of ids that are gone.
pub(crate) fn gone_schema() -> SchemaRef {
    let id = Field::new(ROW_COLUMN, DataType::FixedSizeBinary(16), false);
    Arc::new(Schema::new(vec![id, Field::new(SNAPSHOT_COLUMN, DataType::Utf8, false)]))
}

/// That file's rows.
pub(crate) fn gone_batch(gone: &[(Id, usize)], snapshots: &[SnapshotId]) -> Result<RecordBatch, ConsolidateFault> {
    let names: Vec<String> = snapshots.iter().map(ToString::to_string).collect();
    let by = gone.iter().map(|(_, at)| names.get(*at).map_or("", String::as_str));
    let columns: Vec<ArrayRef> =
        vec![id_array(gone.iter().map(|(id, _)| Some(*id))), Arc::new(StringArray::from_iter_values(by))];
    RecordBatch::try_new(gone_schema(), columns).map_err(|_| ConsolidateFault::Batch)
}

fn plain(columns: &[Option<ArrayRef>], schema: &SchemaRef) -> Result<RecordBatch, ConsolidateFault> {
    let columns: Option<Vec<_>> = columns.iter().flatten().map(plain_array).collect();
    let columns = columns.ok_or(ConsolidateFault::NotAPart)?;
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|_| ConsolidateFault::NotAPart)
}

/// Bits of the filter for each id: of sixteen ids that are not in a set one is looked up.
const FILTER_BITS: usize = 16;

/// Ids to be compared with many others, most of which are not among them. The set's hasher is a keyed one, since a peer chooses
/// ids; whoever chooses them so that the filter lets all through makes us look up all.
pub(crate) struct Ids {
    ids: HashSet<Id>,
    /// A bit for the last bytes of each id; a power of two.
    filter: Vec<u64>,
}

impl Ids {
    pub(crate) fn of(ids: HashSet<Id>) -> Self {
        let words = (ids.len() * FILTER_BITS / 64).next_power_of_two();
        let mut filter = vec![0; words];
        for id in &ids {
            let (word, bit) = place(id, words);
            filter[word] |= bit;
        }
        Self { ids, filter }
    }

    pub(crate) fn contains(&self, id: &Id) -> bool {
        let (word, bit) = place(id, self.filter.len());
        self.filter[word] & bit != 0 && self.ids.contains(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Id> {
        self.ids.iter().copied()
    }
}

fn place(id: &Id, words: usize) -> (usize, u64) {
    let tail = id.last_chunk().map_or(0, |tail| u64::from_be_bytes(*tail));
    let word = usize::try_from(tail >> 6 & (words as u64 - 1)).unwrap_or(0);
    (word, 1 << (tail & 63))
}

/// Which columns of a part's files are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The table's.
    Table,
    /// The table's, and the digests of rows.
    File,
    /// Row ids and digests alone.
    Digests,
}

/// Files one after the other, less the rows that are gone.
pub(crate) struct Layer {
    files: IntoIter<Handle>,
    reader: Option<SourceReader>,
    gone: Option<Arc<Ids>>,
    seen: Seen,
    schema: SchemaRef,
    limits: Limits,
}

impl Layer {
    pub(crate) fn new(
        shape: &TableShape,
        files: Vec<Handle>,
        gone: Option<Arc<Ids>>,
        seen: Seen,
        limits: &Limits,
    ) -> Self {
        let file = shape.file_schema();
        let schema = match seen {
            Seen::Table => shape.schema(),
            Seen::File => file,
            Seen::Digests => {
                let fields = file.fields();
                Arc::new(Schema::new(
                    [fields.first(), fields.last()].into_iter().flatten().cloned().collect::<Vec<_>>(),
                ))
            }
        };
        Self { files: files.into_iter(), reader: None, gone, seen, schema, limits: *limits }
    }

    fn open(&self, file: &Handle) -> Result<SourceReader, ConsolidateFault> {
        let mut reader = SourceReader::open(file, Format::Parquet, &self.limits)?;
        let needed: Vec<bool> = reader
            .columns()
            .iter()
            .map(|column| match self.seen {
                Seen::Table => column.name.as_str() != DIGEST_COLUMN,
                Seen::File => true,
                Seen::Digests => [ROW_COLUMN, DIGEST_COLUMN].contains(&column.name.as_str()),
            })
            .collect();
        reader.project(&needed);
        Ok(reader)
    }

    fn staying(&self, batch: RecordBatch) -> Result<RecordBatch, ConsolidateFault> {
        let Some(gone) = &self.gone else { return Ok(batch) };
        let stays: BooleanArray = row_ids(&batch).map(|id| Some(!gone.contains(&id))).collect();
        if stays.true_count() == stays.len() {
            return Ok(batch);
        }
        filter_record_batch(&batch, &stays).map_err(|_| ConsolidateFault::Batch)
    }
}

impl SortedBatches for Layer {
    fn next_sorted(&mut self) -> Result<Option<RecordBatch>, ConsolidateFault> {
        loop {
            if let Some(reader) = &mut self.reader {
                if let Some(batch) = reader.next_batch()? {
                    let batch = self.staying(plain(&batch.columns, &self.schema)?)?;
                    if batch.num_rows() > 0 {
                        return Ok(Some(batch));
                    }
                    continue;
                }
                self.reader = None;
            }
            let Some(file) = self.files.next() else { return Ok(None) };
            self.reader = Some(self.open(&file)?);
        }
    }
}

/// Reads the rows of a part, in patient order.
pub(crate) enum PartReader {
    Base(Box<Layer>),
    Changed(Box<Merged<Layer>>),
}

impl PartReader {
    pub(crate) fn new(shape: &TableShape, files: &[Handle], limits: &Limits) -> Result<Self, ConsolidateFault> {
        Self::seeing(shape, files, Seen::Table, limits)
    }

    pub(crate) fn seeing(
        shape: &TableShape,
        files: &[Handle],
        seen: Seen,
        limits: &Limits,
    ) -> Result<Self, ConsolidateFault> {
        let layers = Layers::of(shape, files, limits)?;
        if layers.gone.is_none() {
            return Ok(Self::Base(Box::new(Layer::new(shape, layers.base, None, seen, limits))));
        }
        let gone = layers.gone(&[], limits)?.into_iter().map(|(id, _)| id).collect();
        let base = Layer::new(shape, layers.base, Some(Arc::new(Ids::of(gone))), seen, limits);
        let changed = Layer::new(shape, layers.changed, None, seen, limits);
        let keys = SortKeys::new(&shape.schema(), shape.order())?;
        Ok(Self::Changed(Box::new(Merged::new(keys, vec![base, changed], limits.batch_rows)?)))
    }
}

impl SortedBatches for PartReader {
    fn next_sorted(&mut self) -> Result<Option<RecordBatch>, ConsolidateFault> {
        match self {
            Self::Base(layer) => layer.next_sorted(),
            Self::Changed(merged) => merged.next_batch(|_, _| true),
        }
    }
}
