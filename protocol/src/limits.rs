//! Every bound of the protocol, with its unit. `spec/registry.toml` lists the same values; a test compares them.
//!
//! Nothing here depends on a node's configuration: these are the limits that two nodes must agree on to talk.

use crate::quantity::Bytes;
use crate::time::Seconds;

/// A control frame's payload: one message between two sessions.
pub const CONTROL_FRAME_BYTES_MAX: usize = 64 * 1024;
/// A manifest, charter or other signed document on the wire, as its whole envelope.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// A frame on the join protocol, before anything about the peer is known.
pub const JOIN_FRAME_BYTES_MAX: usize = 64 * 1024;
/// A listing blob: the names and digests of one snapshot's blobs.
pub const LISTING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// One journal entry, encoded.
pub const JOURNAL_ENTRY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// One leaf of the audit log, as C2SP tlog-tiles allows.
pub const LOG_LEAF_BYTES_MAX: usize = 65_535;
/// A checkpoint of the audit log with all its cosignatures.
pub const LOG_NOTE_BYTES_MAX: usize = 512 * 1024;
/// A proof bundle of the audit log: at most two checkpoints and a path.
pub const LOG_PROOF_BYTES_MAX: usize = 2 * LOG_NOTE_BYTES_MAX + 64 * 1024;
/// Between two checkpoints that a node shows one peer on one connection.
pub const LOG_COSIGN_INTERVAL: Seconds = Seconds(3600);
/// The unit of transfer, verification and resume.
pub const RANGE_BYTES: u64 = 4 * 1024 * 1024;
/// The smallest chunk group whose BLAKE3 chaining value an outboard keeps.
pub const GROUP_BYTES_MIN: u64 = 256 * 1024;
/// The largest number of chunk groups in one outboard; a longer blob gets larger groups.
pub const OUTBOARD_GROUPS_MAX: u64 = 262_144;
/// The largest blob.
pub const BLOB_BYTES_MAX: Bytes = Bytes(1 << 40);
/// Ranges of one snapshot that a consumer asks for at the same time.
pub const RANGES_IN_FLIGHT_MAX: usize = 8;
/// Entries of one listing.
pub const LISTING_ENTRIES_MAX: usize = 200_000;
/// Parties in one charter.
pub const PARTIES_MAX: usize = 1_000;
/// Signatures on one envelope.
pub const SIGNATURES_MAX: usize = 1_000;
/// Bytes of one mapping as a person writes it.
pub const MAPPING_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the canonical form of a common schema. 512 KiB.
pub const COMMON_SCHEMA_BYTES_MAX: usize = 512 * 1024;
/// Sources of one mapping.
pub const MAPPING_SOURCES_MAX: usize = 64;
/// Tables of one mapping.
pub const MAPPING_TABLES_MAX: usize = 64;
/// Bytes of one SELECT that is a source.
pub const SELECT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one ViewDefinition that is a source's.
pub const VIEW_BYTES_MAX: usize = 256 * 1024;
/// Departures in one notice to a site.
pub const DEPARTURES_MAX: usize = 2_000;
/// Units in one of them.
pub const DEPARTURE_UNITS_MAX: usize = 100;
/// Steps of one pipeline.
pub const PIPELINE_STEPS_MAX: usize = 32;
/// Attempts at one step of it.
pub const PIPELINE_ATTEMPTS_MAX: u16 = 20;
/// The longest wait between two of them.
pub const PIPELINE_WAIT_MAX: Seconds = Seconds(24 * 3600);
/// Thresholds of one step.
pub const PIPELINE_THRESHOLDS_MAX: usize = 256;
/// Columns of one table.
pub const COLUMNS_MAX: usize = 4_096;
/// Tests of one row filter.
pub const ROW_TESTS_MAX: usize = 64;
/// Texts of one test of a row filter.
pub const ROW_TEST_TEXTS_MAX: usize = 1_000;
/// Decimal digits that a number can be rounded to, before or after the point.
pub const ROUND_DIGITS_MAX: i8 = 12;
/// The largest bound of a patient's shift, in days.
pub const SHIFT_DAYS_MAX: u16 = 3_650;
/// Entries of one extension map.
pub const EXTENSIONS_MAX: usize = 32;
/// Bytes of one extension.
pub const EXTENSION_BYTES_MAX: usize = 4 * 1024;
/// A name: a party, share, dataset or person.
pub const NAME_CHARS_MAX: usize = 64;
/// A title, purpose or reason, written by a person.
pub const TEXT_CHARS_MAX: usize = 2_000;
/// Marks of missing values in one text table.
pub const MISSING_MARKS_MAX: usize = 32;
/// One of them.
pub const MISSING_MARK_CHARS_MAX: usize = 32;
/// A file's path inside a snapshot.
pub const PATH_BYTES_MAX: usize = 1_024;
/// How far two nodes' clocks may lie apart before a statement's time is refused.
pub const CLOCK_SKEW_MAX: Seconds = Seconds(600);
/// The longest validity of a node record.
pub const NODE_RECORD_VALIDITY_MAX: Seconds = Seconds(30 * 24 * 3600);
/// The longest life of an invitation token to a consortium.
pub const JOIN_TOKEN_VALIDITY_MAX: Seconds = Seconds(30 * 24 * 3600);
/// Documents and newer node records of one peer in an hour: each is an entry of the journal.
pub const PEER_DOCUMENTS_AN_HOUR_MAX: usize = 10_000;
/// Their bytes together.
pub const PEER_DOCUMENT_BYTES_AN_HOUR_MAX: Bytes = Bytes(64 * 1024 * 1024);
/// How long nothing is sent to a peer that has refused a document as busy.
pub const BUSY_REST: Seconds = Seconds(300);
/// Newer node records of one party in an hour that an operator takes in and relays to all.
pub const PARTY_RECORDS_AN_HOUR_MAX: usize = 32;
/// TLS handshake, from the first packet.
pub const HANDSHAKE_DEADLINE: Seconds = Seconds(10);
/// HELLO and its answer, from the end of the handshake.
pub const HELLO_DEADLINE: Seconds = Seconds(10);
/// The first frame of a stream, from its opening.
pub const HEADER_DEADLINE: Seconds = Seconds(10);
/// The answer to a request other than a range.
pub const ANSWER_DEADLINE: Seconds = Seconds(30);
/// A whole range, from its request: a peer slower than this is cut.
pub const RANGE_DEADLINE: Seconds = Seconds(120);
/// From a revocation to the last byte served under it.
pub const REVOCATION_DEADLINE: Seconds = Seconds(1);
/// Bytes of one request for a release, encoded: it is repeated in the release's statement. 512 KiB.
pub const REQUEST_BYTES_MAX: usize = 512 * 1024;
/// Columns of one request.
pub const REQUEST_COLUMNS_MAX: usize = 64;
/// Lines of one hierarchy as it is written.
pub const HIERARCHY_LINES_MAX: usize = 65_536;
/// Levels of one hierarchy, leaves and root included.
pub const HIERARCHY_LEVELS_MAX: usize = 32;
/// Files of one release's body.
pub const BODY_FILES_MAX: usize = 1_000;
/// Attacks that one release states.
pub const ATTACK_RUNS_MAX: usize = 256;
/// Sentences on what one release does not cover.
pub const NOT_COVERED_MAX: usize = 64;
/// Releases of one consortium that are asked for and neither signed nor refused.
pub const RELEASES_OPEN_MAX: usize = 64;
/// The longest time that a charter lets members object to a release. 90 days.
pub const OBJECTION_WAIT_MAX: Seconds = Seconds(90 * 24 * 3600);
/// From the reservation of a private answer to the answer, where the charter names no time.
pub const ANSWER_TIME: Seconds = Seconds(60);
/// The longest time that a charter names for that. One day.
pub const ANSWER_TIME_MAX: Seconds = Seconds(24 * 3600);
/// Floor of k for microdata that leaves, in patients.
pub const ANONYMITY_K_FLOOR: u32 = 11;

const _: () = assert!(RANGE_BYTES.is_multiple_of(GROUP_BYTES_MIN), "a range is whole chunk groups");
const _: () = assert!(GROUP_BYTES_MIN.is_power_of_two() && RANGE_BYTES.is_power_of_two());
const _: () = assert!(BLOB_BYTES_MAX.0 / RANGE_BYTES <= OUTBOARD_GROUPS_MAX, "a group is never longer than a range");
const _: () = assert!(CONTROL_FRAME_BYTES_MAX <= DOCUMENT_BYTES_MAX);
