//! Answers on the control socket: the lines that go back, and the errors that more than one request ends with.

use std::fmt;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::time::timeout;

use crate::control::{ErrorKind, Reply};

/// How long a caller may take to take an answer.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// An answer or the error that stands in its place.
pub(crate) type Answered = Result<Reply, Reply>;

/// An error for a person.
pub(crate) fn error(kind: ErrorKind, message: impl fmt::Display) -> Reply {
    Reply::Error { kind, message: message.to_string() }
}

/// The core has ended under the request.
pub(crate) fn stopping() -> Reply {
    error(ErrorKind::Local, "the daemon is stopping")
}

/// A blocking part of an answer panicked: our bug.
pub(crate) fn broken() -> Reply {
    error(ErrorKind::Local, "the daemon failed within this request; it goes on")
}

/// The request names a consortium that this node is not in.
pub(crate) fn no_consortium() -> Reply {
    error(ErrorKind::NotFound, "this node is in no such consortium")
}

/// The way back to one caller.
pub(crate) struct Out(OwnedWriteHalf);

impl Out {
    pub(crate) const fn new(write: OwnedWriteHalf) -> Self {
        Self(write)
    }

    /// Writes one line. `false`: the caller has gone.
    pub(crate) async fn say(&mut self, reply: &Reply) -> bool {
        let mut line = serde_json::to_vec(reply).expect("replies are plain data with text keys");
        line.push(b'\n');
        timeout(WRITE_DEADLINE, self.0.write_all(&line)).await.is_ok_and(|written| written.is_ok())
    }
}
