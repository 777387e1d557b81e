//! What a worker is told to do and what it reports, in our codec. Jobs hold secrets and are never printed.

use std::collections::{BTreeMap, BTreeSet};

use cohortium_engine::consolidate::part::PartReport;
use cohortium_engine::consolidate::shape::TableShape;
use cohortium_engine::delta::TakeReport;
use cohortium_engine::mapping::{Changed, Table, Unlike};
use cohortium_engine::observe::ObservedColumn;
use cohortium_engine::profile::ProfiledColumn;
use cohortium_protocol::digest::{BlobDigest, DocumentDigest};
use cohortium_protocol::ident::{ColumnName, Name, SnapshotId, Text};
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::record::dataset::{Dataset, Source};
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::order::OptOutEntry;
use cohortium_protocol::record::publish_place::{AbsentTable, WrittenIds};
use cohortium_protocol::record::remote::DatabaseRows;
use cohortium_protocol::record::request::Request;
use cohortium_protocol::record::share::TableTerms;
use cohortium_protocol::table_version::PartDigest;
use cohortium_protocol::wire::codec::Blob;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::worker::release::{ReleaseFiles, ReleaseOrder, Released};

/// The longest job: a long list of opt-outs.
pub(crate) const JOB_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The longest report: three outboards of the largest blobs.
pub(crate) const REPORT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A 32-byte secret on its way to a worker. Wiped when dropped.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Key32(pub(crate) [u8; 32]);

impl Drop for Key32 {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A secret text on its way to a worker. Wiped when dropped.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SecretText(pub(crate) String);

impl Drop for SecretText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A sealed blob that comes as an open file: for reading, with its plain length, or for writing.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SealedFile {
    pub(crate) key: Key32,
    pub(crate) bytes: u64,
}

/// The row index of the snapshot before.
#[derive(Serialize, Deserialize)]
pub(crate) struct IndexFiles {
    pub(crate) base: SealedFile,
    /// What changes over the base call it.
    pub(crate) name: Vec<u8>,
    pub(crate) changes: Option<SealedFile>,
}

/// What a run applies.
#[derive(Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) table: TableTerms,
    pub(crate) dataset: Dataset,
    pub(crate) row_key: Key32,
    pub(crate) linkage_key: Option<Key32>,
    pub(crate) opt_outs: BTreeSet<OptOutEntry>,
}

/// A source of a mapping run.
#[derive(Serialize, Deserialize)]
pub(crate) struct MapInput {
    /// Its name in the mapping.
    pub(crate) name: String,
    pub(crate) dataset: Dataset,
    pub(crate) opted_out: BTreeSet<OptOutEntry>,
    /// Where it was drawn into a file of this node's own.
    pub(crate) sealed: Option<SealedFile>,
}

/// What a database is signed on to with.
#[derive(Serialize, Deserialize)]
pub(crate) struct SignOn {
    pub(crate) user: String,
    pub(crate) password: Option<SecretText>,
    pub(crate) database: String,
    /// The name that the server's certificate must carry, and the certificates to trust; `None`: within the machine.
    pub(crate) tls: Option<(String, Blob)>,
    pub(crate) statement_seconds: u32,
}

/// Which client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Speaks {
    Postgres,
    Maria,
}

/// What is drawn.
#[derive(Serialize, Deserialize)]
pub(crate) enum DrawFrom {
    /// File: the resources.
    Fhir { view: String },
    /// File: the connected socket.
    Database { speaks: Speaks, sign_on: Box<SignOn>, rows: DatabaseRows, rows_per_second: Option<u32> },
}

/// One source of a database among several.
#[derive(Serialize, Deserialize)]
pub(crate) struct DrawTable {
    /// What the mapping calls it.
    pub(crate) name: String,
    pub(crate) rows: DatabaseRows,
    pub(crate) rows_per_second: Option<u32>,
}

/// A consolidated table that is published: each member's files, in order.
#[derive(Serialize, Deserialize)]
pub(crate) struct PublishedTable {
    pub(crate) shape: TableShape,
    pub(crate) parts: Vec<(Name, Vec<SealedFile>)>,
}

/// Where and how tables are published.
#[derive(Serialize, Deserialize)]
pub(crate) struct PublishOrder {
    pub(crate) sign_on: SignOn,
    pub(crate) schema: Option<String>,
    pub(crate) absent: AbsentTable,
    pub(crate) ids: WrittenIds,
    /// The canonical form of the consortium's own schema.
    pub(crate) common: Option<String>,
    pub(crate) tables: Vec<PublishedTable>,
}

/// What a mapping run applies.
#[derive(Serialize, Deserialize)]
pub(crate) struct MapOrder {
    pub(crate) text: String,
    pub(crate) sources: Vec<MapInput>,
    pub(crate) row_key: Key32,
    pub(crate) linkage_key: Option<Key32>,
    /// What the gates bear beside the list's own thresholds, in thousandths.
    pub(crate) thresholds: BTreeMap<Text, u16>,
    /// The canonical form of the consortium's own schema.
    pub(crate) schema: Option<String>,
    /// The index of the loaded vocabulary, where the mapping asks for one.
    pub(crate) vocabulary: Option<SealedFile>,
    /// What the sources were when the last set was made, and whether this version of the mapping is newer.
    pub(crate) shapes: Option<(SealedFile, bool)>,
    /// Tables that had rows in that set.
    pub(crate) had_rows: BTreeSet<String>,
    /// Sources of databases, by the transaction in which they were drawn: those of one are of one moment.
    pub(crate) transactions: Vec<Vec<String>>,
    /// Tables that may come out empty.
    pub(crate) may_be_empty: BTreeSet<String>,
}

/// A mapping, and perhaps another, on fixtures.
#[derive(Serialize, Deserialize)]
pub(crate) struct TrialOrder {
    pub(crate) text: String,
    /// Another mapping, whose tables are compared with those of the first.
    pub(crate) other: Option<String>,
    pub(crate) schema: Option<String>,
    pub(crate) sources: Vec<String>,
    pub(crate) has_vocabulary: bool,
    /// Tables whose rows are expected, and perhaps `quarantine`.
    pub(crate) expected: Vec<String>,
}

/// What a trial made, and how that differs from what was expected or from what the other mapping makes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) unlike: BTreeMap<String, Unlike>,
    pub(crate) changed: BTreeMap<String, Changed>,
    /// The account, as JSON.
    pub(crate) report: Blob,
}

/// A mapped table as the worker wrote it.
#[derive(Serialize, Deserialize)]
pub(crate) struct MappedTable {
    pub(crate) name: String,
    pub(crate) rows: Rows,
    pub(crate) made: Made,
}

/// One landed snapshot of a table: a file of rows and perhaps one of deletes, and how many the provider says are in them.
#[derive(Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) rows: SealedFile,
    pub(crate) rows_stated: Rows,
    pub(crate) deletes: Option<SealedFile>,
    pub(crate) deletes_stated: Rows,
}

/// One table of one member, whose quality is measured.
#[derive(Serialize, Deserialize)]
pub(crate) enum SiteRows {
    /// As a mapping run made it, under the terms that it leaves with.
    Mapped { terms: Box<Terms>, table: SealedFile },
    /// As a part of a table version.
    Part(Vec<SealedFile>),
}

/// A consolidated table that a question may name: the files of each member's part.
#[derive(Serialize, Deserialize)]
pub(crate) struct QueryRows {
    pub(crate) shape: TableShape,
    pub(crate) parts: BTreeMap<Name, Vec<SealedFile>>,
}

/// How a landed table is written for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Shape {
    Parquet,
    Csv,
}

/// One job. The files come in the order in which they are named here.
#[derive(Serialize, Deserialize)]
pub(crate) enum Job {
    /// Files: source, of the row index before if any the base and the changes over it, rows, deletes, row index. The source is sealed where it is a blob of
    /// this node's own.
    Take {
        terms: Box<Terms>,
        source: Option<SealedFile>,
        previous: Option<IndexFiles>,
        rows: SealedFile,
        deletes: SealedFile,
        index: SealedFile,
    },
    /// Files: the sources, the vocabulary, the shapes, the tables, the quarantine.
    Map { order: Box<MapOrder>, tables: Vec<(String, SealedFile)>, quarantine: SealedFile },
    /// File: source, sealed where it is a blob of this node's own.
    Preview { terms: Box<Terms>, source: Option<SealedFile>, rows: u32 },
    /// File: source, sealed where it was drawn.
    Profile { source: Source, sealed: Option<SealedFile> },
    /// Reads the last part to its end and counts the chain. Files: rows and deletes of each part, the full one first.
    Check { chain: Vec<Part> },
    /// Counts the chain. Files as with `Check`.
    Count { chain: Vec<Part> },
    /// Writes the chain as one table. Files as with `Check`, then the plain file to write.
    Merge { chain: Vec<Part>, shape: Shape },
    /// Makes one member's part of a table version. Files: rows and deletes of each part of the chain, the files of the part
    /// before, those to write.
    Gather {
        shape: Box<TableShape>,
        member: Name,
        snapshots: Vec<SnapshotId>,
        chain: Vec<Part>,
        previous: Option<(Vec<SealedFile>, u64)>,
        into: Vec<SealedFile>,
    },
    /// Writes a part of a table version for a person, if its rows have this digest. Files: the part's, then the plain file to write.
    CopyPart { shape: Box<TableShape>, member: Name, part: Vec<SealedFile>, digest: PartDigest },
    /// Runs the quality gates over one member's tables, in the consortium's own schema or OMOP's. Files: those of each
    /// table, in order.
    Measure { schema: Option<String>, tables: Vec<(Name, SiteRows)> },
    /// Answers a question over consolidated tables. Files: the parts of each table by member, then the plain file to write
    /// where there is one.
    Query { question: String, tables: Vec<QueryRows>, rows_max: u64, shape: Option<Shape> },
    /// Writes a Parquet blob of our own for a person. Files: the blob, then the plain file to write.
    Write { table: SealedFile, shape: Shape },
    /// Looks at the columns and first rows of a source, for a draft. File: source.
    Observe { source: Source },
    /// Runs case files of the SQL on FHIR suite. Files: one for each name.
    Suite { names: Vec<String> },
    /// Draws sources of one database in one transaction. Files: the connected socket, then the blobs to write.
    DrawTogether { speaks: Speaks, sign_on: Box<SignOn>, tables: Vec<DrawTable>, into: Vec<SealedFile> },
    /// Draws a source. Files: the file or socket, then the blob to write. Ends after so many rows.
    Draw { from: DrawFrom, rows_max: u64, into: SealedFile },
    /// Lands tables in a PostgreSQL. Files: the connected socket, then the tables' files.
    Publish(Box<PublishOrder>),
    /// Reads a vocabulary. Files: the download's concepts, relationships and vocabularies, then the index to write.
    LoadVocabulary { index: SealedFile },
    /// Plans the question of a request over these tables, without a row. No file.
    Plan { request: Box<Request>, schema: Option<String>, tables: BTreeSet<Name> },
    /// Computes a release. Files: the parts of each table by member, then those of `into`.
    Release { order: Box<ReleaseOrder>, tables: Vec<QueryRows>, into: Box<ReleaseFiles> },
    /// Tries several ways of recoding for a request. Files: the parts of each table by member.
    Explore { order: Box<ReleaseOrder>, tables: Vec<QueryRows> },
    /// Counts the rows of Parquet files of a release's body. Files: one each.
    CountBody { files: Vec<SealedFile> },
    /// Tries a mapping on fixtures. Files: the sources, the three of a vocabulary, the expected rows.
    Trial { order: Box<TrialOrder> },
    /// Misbehaves, so that tests can see what becomes of it. Not reachable from any request.
    Probe(Probe),
}

/// Ways to misbehave, for tests.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probe {
    /// A panic.
    Panic,
    /// Takes memory.
    Allocate {
        /// How much.
        bytes: u64,
    },
    /// Opens a file by its path.
    OpenPath {
        /// The path.
        path: String,
    },
    /// Opens a socket.
    OpenSocket,
    /// Never ends, and needs the processor for it.
    Spin,
    /// Never ends, and needs nothing for it.
    Sleep,
    /// Writes to the file that it was given.
    Write {
        /// How much.
        bytes: u64,
    },
    /// Counts what it knows of the daemon's environment.
    Environment,
}

/// What a worker wrote to one of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) digest: BlobDigest,
    pub(crate) bytes: u64,
    pub(crate) outboard: Blob,
}

/// What a mapping run made.
#[derive(Serialize, Deserialize)]
pub(crate) struct MappedTables {
    pub(crate) tables: Vec<MappedTable>,
    pub(crate) quarantine: Made,
    pub(crate) quarantined: Rows,
    /// The account and the quality report, as JSON.
    pub(crate) report: Blob,
    /// What the sources are now.
    pub(crate) shapes: Blob,
    /// Whether codes were mapped with the vocabulary.
    pub(crate) with_vocabulary: bool,
    /// Whether person ids of linked patients were made with the linkage key.
    pub(crate) linked: bool,
    /// Whether nothing fatal failed in the quality gates.
    pub(crate) gates_hold: bool,
}

/// The first rows of a share as they would leave: for one person's screen.
#[derive(Serialize, Deserialize)]
pub(crate) struct Previewed {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
    pub(crate) dropped: Vec<ColumnName>,
}

/// What became of a job.
#[derive(Serialize, Deserialize)]
pub(crate) enum Report {
    Taken {
        report: Box<TakeReport>,
        rows: Made,
        deletes: Option<Made>,
        index: Option<Made>,
    },
    Mapped(Box<MappedTables>),
    Gathered {
        report: Box<PartReport>,
        files: Vec<Made>,
    },
    Previewed(Previewed),
    /// What the gates measured, as JSON.
    Measured(Blob),
    /// The answer to a question, and how many rows it has.
    Answered {
        answer: Previewed,
        rows: Rows,
    },
    Profiled(Vec<ProfiledColumn>),
    Observed(Vec<ObservedColumn>),
    /// The suite's report, as JSON.
    Suite {
        report: String,
    },
    /// Bytes of each blob that was written.
    DrawnTogether {
        bytes: Vec<u64>,
    },
    /// Bytes of the blob that was written.
    Drawn {
        bytes: u64,
    },
    Published,
    Rows(Rows),
    Vocabulary {
        release: Text,
        digest: DocumentDigest,
        index: Made,
    },
    Tried(Box<Trial>),
    /// What a question would read, and what the columns of its answer are made of.
    Reads {
        tables: BTreeMap<Name, BTreeSet<Name>>,
        columns: BTreeMap<ColumnName, BTreeSet<(Name, Name)>>,
        /// Of a private question: the digest of the one form that all its spellings have.
        canonical: Option<[u8; 32]>,
    },
    Released(Box<Released>),
    /// Loss and risk of several ways, as JSON.
    Explored(Blob),
    /// Rows of each file.
    Counted(Vec<Rows>),
    Probed(String),
}

/// Why a job was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReportFault {
    /// The fault's code.
    pub(crate) fault: RunFault,
    /// Columns and places, never cells: for the person who asked, never for a log or peer.
    pub(crate) detail: Option<String>,
}

impl ReportFault {
    /// The worker ended without a word.
    pub(crate) const LOST: Self = Self::of(RunFault::WorkerLost);

    pub(crate) const fn of(fault: RunFault) -> Self {
        Self { fault, detail: None }
    }

    /// The fault with the source that it is of.
    pub(crate) fn of_source(self, name: &str) -> Self {
        let detail = self.detail.map(|detail| format!("source {name} cannot be read: {detail}"));
        Self { detail, ..self }
    }

    /// A fault of the engine, which says columns and places.
    pub(crate) fn told<'a, F: std::fmt::Display>(fault: &'a F) -> Self
    where
        RunFault: From<&'a F>,
    {
        Self { fault: RunFault::from(fault), detail: Some(fault.to_string()) }
    }
}
