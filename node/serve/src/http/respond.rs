//! An answer onto the wire, at the pace of its reader, within bounds.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::{Body, HttpBody};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use bytes::Buf;
use cohortium_protocol::time::UnixMillis;
use http_body_util::BodyExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::http::head::Keep;

/// What one write offers to the socket; it has one span of time to take it.
const WRITE_BYTES: usize = 64 << 10;

/// What came of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Whole,
    /// The content ended early: access was taken back, or the store failed.
    Cut,
}

/// Writes an answer. Each 64 KiB must be taken within `write_max`.
///
/// # Errors
/// What the socket says, and [`io::ErrorKind::TimedOut`] for a reader that is too slow.
pub(crate) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    response: Response<Body>,
    method: &Method,
    keep: Keep,
    write_max: Duration,
    now: UnixMillis,
) -> io::Result<Sent> {
    let (mut parts, mut body) = response.into_parts();
    if !parts.headers.contains_key(CONTENT_LENGTH) {
        let length = body.size_hint().exact().unwrap_or(0);
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now.0));
    parts.headers.extend(HeaderValue::from_str(&date).ok().map(|date| (DATE, date)));
    if keep == Keep::Close {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    offer(stream, &head(parts.status, &parts.headers)?, write_max).await?;
    if method == Method::HEAD {
        timeout(write_max, stream.flush()).await??;
        return Ok(Sent::Whole);
    }
    let mut left: u64 =
        parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Ok(Sent::Cut) };
        let Ok(data) = frame.into_data() else { continue };
        // Never more than was promised: what follows would be read as the next answer.
        let Some(after) = u64::try_from(data.len()).ok().and_then(|bytes| left.checked_sub(bytes)) else {
            return Ok(Sent::Cut);
        };
        left = after;
        offer(stream, &data, write_max).await?;
    }
    timeout(write_max, stream.flush()).await??;
    Ok(if left == 0 { Sent::Whole } else { Sent::Cut })
}

async fn offer(stream: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8], write_max: Duration) -> io::Result<()> {
    while bytes.has_remaining() {
        let piece = &bytes[..bytes.len().min(WRITE_BYTES)];
        timeout(write_max, stream.write_all(piece)).await??;
        bytes.advance(piece.len());
    }
    Ok(())
}

fn head(status: StatusCode, headers: &axum::http::HeaderMap) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(512);
    let reason = status.canonical_reason().unwrap_or("-");
    write!(head, "HTTP/1.1 {} {reason}\r\n", status.as_u16())?;
    for (name, value) in headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        // A header's value holds no line end: its type refuses one.
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Ok(head)
}
