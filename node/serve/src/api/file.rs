//! The bytes of a file, for who holds a link to it. Everything is checked in every request, and again before each piece.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri};
use futures::stream;

use crate::api::caller::Place;
use crate::api::{Sharing, answer, blocking};
use crate::catalogue::{DataFile, Table};
use crate::ground::{Access, Accessed, FileBytes};
use crate::link::Shown;
use crate::range::{Part, part_of};
use crate::recipient::{Recipient, Shut};
use crate::refusal::Refusal;

type Answer = Result<Response<Body>, Refusal>;

/// What is read at once, and where reads begin: a sealed block of the store.
const BLOCK_BYTES: u64 = 1 << 20;
/// What leaves at once, between two looks at whether it still may.
const PIECE_BYTES: usize = 256 << 10;

/// What a link gives, as things stand now.
struct Granted {
    recipient: Arc<Recipient>,
    table: Arc<Table>,
    version: u64,
    file: DataFile,
}

impl Sharing {
    /// What a link gives now: it is ours, its time has not come, its recipient is let in, the table is granted, and the
    /// version and its file have not been withdrawn.
    fn granted(&self, shown: &Shown) -> Result<Granted, Refusal> {
        let recipients = self.ground.recipients();
        let recipient = recipients.get(shown.recipient()).ok_or(Refusal::Link)?;
        let claims = shown.verify(&self.key, &recipient.token).ok_or(Refusal::Link)?;
        let now = self.ground.now();
        recipient.admit(now).map_err(|shut| match shut {
            Shut::Expired => Refusal::LinkExpired,
            Shut::Revoked => Refusal::LinkRevoked,
        })?;
        if now >= claims.expires {
            return Err(Refusal::LinkExpired);
        }
        let catalogue = self.ground.catalogue();
        let table = catalogue.table_by_id(claims.table).filter(|table| recipient.may_read(&table.name));
        let table = table.ok_or(Refusal::NotFound)?;
        let file = table.version(claims.version).and_then(|version| version.file(claims.file));
        Ok(Granted {
            recipient: Arc::clone(recipient),
            table: Arc::clone(table),
            version: claims.version,
            file: file.ok_or(Refusal::NotFound)?,
        })
    }
}

/// The link of an address. Nothing may be added to it.
fn shown_of(path: Result<Path<String>, axum::extract::rejection::PathRejection>, uri: &Uri) -> Result<Shown, Refusal> {
    let Path(name) = path.map_err(|_| Refusal::Link)?;
    if !matches!(uri.query(), None | Some("sp=r")) {
        return Err(Refusal::Malformed("nothing may be added to a link"));
    }
    name.strip_suffix(".parquet").and_then(Shown::read).ok_or(Refusal::Link)
}

type LinkPath = Result<Path<String>, axum::extract::rejection::PathRejection>;

pub(crate) async fn describe(
    State(sharing): State<Arc<Sharing>>,
    path: LinkPath,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let granted = sharing.granted(&shown_of(path, &uri)?)?;
    let _place = sharing.busy.enter(granted.recipient.id, sharing.limits.requests_per_recipient_max)?;
    let part = part_of(&headers, granted.file.bytes, &etag(granted.file))?;
    Ok(headed(granted.file, part, Body::empty()))
}

pub(crate) async fn read(State(sharing): State<Arc<Sharing>>, path: LinkPath, uri: Uri, headers: HeaderMap) -> Answer {
    let shown = shown_of(path, &uri)?;
    let granted = sharing.granted(&shown)?;
    let place = sharing.busy.enter(granted.recipient.id, sharing.limits.requests_per_recipient_max)?;
    let part = part_of(&headers, granted.file.bytes, &etag(granted.file))?;
    let Part { first, bytes } = part.unwrap_or(Part { first: 0, bytes: granted.file.bytes });
    let digest = granted.file.digest;
    let what = Accessed::File { table: granted.table.name.clone(), version: granted.version, file: digest, first };
    let access = Access { recipient: granted.recipient.id, what, bytes, at: sharing.ground.now() };
    let ground = Arc::clone(&sharing.ground);
    let content = blocking(move || {
        let content = ground.open(digest)?;
        ground.record(&access)?;
        Ok(content)
    })
    .await?;
    let transfer = Transfer { sharing, shown, content, at: first, left: bytes, held: Bytes::new(), _place: place };
    let body = Body::from_stream(stream::try_unfold(transfer, Transfer::next));
    Ok(headed(granted.file, part, body))
}

fn etag(file: DataFile) -> String {
    format!("\"{}\"", file.digest)
}

/// The head of an answer about a file or a part of it.
fn headed(file: DataFile, part: Option<Part>, body: Body) -> Response<Body> {
    let mut response = answer("application/vnd.apache.parquet", body);
    let bytes = part.map_or(file.bytes, |part| part.bytes);
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    headers.extend(HeaderValue::from_str(&etag(file)).ok().map(|etag| (ETAG, etag)));
    if let Some(Part { first, bytes }) = part {
        let last = first.saturating_add(bytes).saturating_sub(1);
        let range = HeaderValue::from_str(&format!("bytes {first}-{last}/{}", file.bytes));
        headers.extend(range.ok().map(|range| (CONTENT_RANGE, range)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

/// A file on its way.
struct Transfer {
    sharing: Arc<Sharing>,
    shown: Shown,
    content: Arc<dyn FileBytes>,
    at: u64,
    left: u64,
    held: Bytes,
    _place: Place,
}

impl Transfer {
    /// The next piece. An error ends the connection, so that the reader sees that the file is not whole.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.sharing.granted(&self.shown).map_err(|_| cut())?;
        if self.held.is_empty() {
            self.held = self.block().await?;
        }
        let piece = self.held.split_to(self.held.len().min(PIECE_BYTES));
        let bytes = u64::try_from(piece.len()).map_err(|_| cut())?;
        self.at += bytes;
        self.left -= bytes;
        Ok(Some((piece, self)))
    }

    /// What is left of the block that holds the next byte.
    async fn block(&self) -> io::Result<Bytes> {
        let most = usize::try_from(self.left.min(BLOCK_BYTES - self.at % BLOCK_BYTES)).map_err(|_| cut())?;
        let (content, at) = (Arc::clone(&self.content), self.at);
        let block = blocking(move || content.read(at, most)).await.map_err(|_| cut())?;
        if block.is_empty() || block.len() > most { Err(cut()) } else { Ok(block) }
    }
}

fn cut() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionAborted)
}
