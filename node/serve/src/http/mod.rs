//! HTTP/1.1 on one connection: requests in, answers out, each step within a bound of bytes and of time.
//!
//! It reads what clients of the protocol write, strictly, and nothing more: bodies with a length, one request after the
//! other. What it cannot read with certainty it refuses, and closes.

mod head;
mod respond;

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::response::IntoResponse;
use bytes::{Buf, Bytes, BytesMut};
use cohortium_protocol::time::UnixMillis;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

use crate::http::head::{Continue, Head, Keep};
use crate::http::respond::Sent;
use crate::limits::Limits;
use crate::refusal::Refusal;

/// A stream of bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Serves one connection until either side has had enough.
pub(crate) async fn serve(stream: impl Stream, app: Router, limits: Limits, now: impl Fn() -> UnixMillis + Send) {
    // Who has asked for nothing yet waits no longer than a head may take.
    let patience = limits.head_max;
    let mut connection = Connection { stream, read: BytesMut::new(), app, limits, patience };
    // How a connection ends is the caller's affair: it has closed, or broken, or was cut.
    let _ended = connection.run(now).await;
}

struct Connection<S> {
    stream: S,
    /// What was read and not used yet.
    read: BytesMut,
    app: Router,
    limits: Limits,
    /// How long the next request may be waited for.
    patience: Duration,
}

/// What came of waiting for a request.
enum Came {
    Request(Box<Request<Body>>, Keep),
    /// Nothing more will come.
    Nothing,
    Refused(Refusal),
}

impl<S: Stream> Connection<S> {
    async fn run(&mut self, now: impl Fn() -> UnixMillis) -> io::Result<()> {
        loop {
            let (request, keep) = match self.request().await? {
                Came::Request(request, keep) => (*request, keep),
                Came::Nothing => return self.stream.shutdown().await,
                Came::Refused(refusal) => {
                    let response = refusal.into_response();
                    let (write_max, at) = (self.limits.write_max, now());
                    respond::write(&mut self.stream, response, &Method::GET, Keep::Close, write_max, at).await?;
                    return self.linger().await;
                }
            };
            let method = request.method().clone();
            let answered = timeout(self.limits.answer_max, self.app.call(request)).await;
            let response = match answered {
                Ok(Ok(response)) => response,
                Err(_) => Refusal::Unavailable.into_response(),
            };
            let (write_max, at) = (self.limits.write_max, now());
            match respond::write(&mut self.stream, response, &method, keep, write_max, at).await? {
                Sent::Whole if keep == Keep::Open => self.patience = self.limits.idle_max,
                Sent::Whole => return self.linger().await,
                // The length was promised, so only the end of the connection tells that the content is not whole.
                Sent::Cut => return Ok(()),
            }
        }
    }

    /// Waits for the next request and reads it whole.
    async fn request(&mut self) -> io::Result<Came> {
        if self.read.is_empty() && !self.more(Instant::now() + self.patience).await?.came() {
            return Ok(Came::Nothing);
        }
        let head = match self.head().await? {
            Ok(head) => head,
            Err(Some(refusal)) => return Ok(Came::Refused(refusal)),
            Err(None) => return Ok(Came::Nothing),
        };
        match self.body(&head).await? {
            Ok(body) => Ok(Came::Request(Box::new(head.request.map(|()| Body::from(body))), head.keep)),
            Err(refusal) => Ok(Came::Refused(refusal)),
        }
    }

    /// Reads the head. It may not dribble in.
    async fn head(&mut self) -> io::Result<Result<Head, Option<Refusal>>> {
        let until = Instant::now() + self.limits.head_max;
        let mut looked = 0;
        loop {
            let end = head::end_of(&self.read, looked);
            if end.unwrap_or(self.read.len()) > self.limits.head_bytes_max {
                return Ok(Err(Some(Refusal::HeadTooLarge)));
            }
            if let Some(end) = end {
                let bytes = self.read.split_to(end);
                return Ok(head::parse(&bytes, &self.limits).map_err(Some));
            }
            looked = self.read.len();
            match self.more(until).await? {
                More::Came => {}
                More::Ended => return Ok(Err(None)),
                More::Late => return Ok(Err(Some(Refusal::Slow))),
            }
        }
    }

    async fn body(&mut self, head: &Head) -> io::Result<Result<Bytes, Refusal>> {
        let until = Instant::now() + self.limits.body_max;
        if head.go_on == Continue::Wanted && self.read.len() < head.body_bytes {
            let go_on = self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            timeout(self.limits.write_max, go_on).await??;
            timeout(self.limits.write_max, self.stream.flush()).await??;
        }
        while self.read.len() < head.body_bytes {
            match self.more(until).await? {
                More::Came => {}
                More::Ended => return Ok(Err(Refusal::Malformed("the body is shorter than it says"))),
                More::Late => return Ok(Err(Refusal::Slow)),
            }
        }
        Ok(Ok(self.read.split_to(head.body_bytes).freeze()))
    }

    async fn more(&mut self, until: Instant) -> io::Result<More> {
        self.read.reserve(READ_BYTES);
        // A buffer that is limited reads no more than one request can hold, however much a caller sends ahead.
        let mut room = (&mut self.stream).take(READ_LIMIT);
        match timeout_at(until, room.read_buf(&mut self.read)).await {
            Ok(read) => Ok(if read? == 0 { More::Ended } else { More::Came }),
            Err(_) => Ok(More::Late),
        }
    }

    /// Closes so that the last answer arrives: a socket that is closed over unread bytes takes its answer back.
    async fn linger(&mut self) -> io::Result<()> {
        timeout(LINGER_MAX, self.stream.shutdown()).await??;
        let until = Instant::now() + LINGER_MAX;
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            self.read.clear();
            if !self.more(until).await?.came() {
                break;
            }
            left = left.saturating_sub(self.read.remaining());
        }
        Ok(())
    }
}

const READ_BYTES: usize = 8 << 10;
const READ_LIMIT: u64 = READ_BYTES as u64;
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1 << 20;

/// What came of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    Came,
    Ended,
    Late,
}

impl More {
    fn came(self) -> bool {
        self == Self::Came
    }
}
