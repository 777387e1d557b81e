//! What one caller may take of the node: bytes, time, places.

use std::time::Duration;

/// The bounds of a server. Each has a value that serves people well; a node may choose others.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request's line and headers.
    pub head_bytes_max: usize,
    /// Bytes of a request's target.
    pub target_bytes_max: usize,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// From a connection to the end of its TLS handshake.
    pub handshake_max: Duration,
    /// From the first byte of a head to its last.
    pub head_max: Duration,
    /// From the head to the last byte of the body.
    pub body_max: Duration,
    /// From a whole request to the head of its answer.
    pub answer_max: Duration,
    /// How long a connection may wait for its next request; for its first one as long as a head may take.
    pub idle_max: Duration,
    /// How long 64 KiB of an answer may take to be accepted: who reads slower is cut.
    pub write_max: Duration,
    /// Connections at once, of everybody together; more wait to be accepted.
    pub connections_max: usize,
    /// Requests at once of one recipient; those for files until their last byte has left.
    pub requests_per_recipient_max: usize,
    /// Items in one page of a list, when the caller asks for no fewer.
    pub page_items_max: usize,
    /// Files named in one answer; a caller that pages asks for the rest.
    pub files_max: usize,
    /// How long a link to a file stays good.
    pub link_life: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 << 10,
            target_bytes_max: 4 << 10,
            body_bytes_max: 64 << 10,
            handshake_max: Duration::from_secs(10),
            head_max: Duration::from_secs(10),
            body_max: Duration::from_secs(10),
            answer_max: Duration::from_mins(1),
            idle_max: Duration::from_mins(1),
            write_max: Duration::from_secs(20),
            connections_max: 512,
            requests_per_recipient_max: 256,
            page_items_max: 500,
            files_max: 10_000,
            link_life: Duration::from_hours(1),
        }
    }
}
