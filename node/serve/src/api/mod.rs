//! The protocol's addresses: who is let in, and which function answers.

mod caller;
mod file;
mod list;
mod table;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Response};
use axum::routing::{get, head, post};

use crate::ground::{Access, Accessed, Ground, Unavailable};
use crate::limits::Limits;
use crate::link::LinkKey;
use crate::profile::{BaseUrl, PREFIX};
use crate::recipient::RecipientId;
use crate::refusal::Refusal;
use caller::Busy;

/// A server's state: what it stands on, the key of its links, its address and bounds.
pub struct Sharing {
    pub(crate) ground: Arc<dyn Ground>,
    pub(crate) key: LinkKey,
    base: BaseUrl,
    pub(crate) limits: Limits,
    busy: Busy,
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sharing({})", self.base)
    }
}

impl Sharing {
    /// A server on `ground` whose links begin with `base`.
    pub fn new(ground: Arc<dyn Ground>, key: LinkKey, base: BaseUrl, limits: Limits) -> Self {
        Self { ground, key, base, limits, busy: Busy::default() }
    }

    /// Writes what is about to be answered into the log.
    async fn record(&self, recipient: RecipientId, what: Accessed, bytes: u64) -> Result<(), Refusal> {
        let access = Access { recipient, what, bytes, at: self.ground.now() };
        let ground = Arc::clone(&self.ground);
        blocking(move || ground.record(&access)).await
    }
}

/// Runs what may block away from the sockets.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Unavailable> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Unavailable)) | Err(_) => Err(Refusal::Unavailable),
    }
}

/// All addresses of a server. Whatever is not among them does not exist, for nobody.
pub(crate) fn router(sharing: Arc<Sharing>) -> Router {
    let table = "/shares/{share}/schemas/{schema}/tables/{table}";
    let protocol = Router::new()
        .route("/shares", get(list::shares))
        .route("/shares/{share}", get(list::share))
        .route("/shares/{share}/schemas", get(list::schemas))
        .route("/shares/{share}/schemas/{schema}/tables", get(list::tables))
        .route("/shares/{share}/all-tables", get(list::all_tables))
        .route(table, head(table::version))
        .route(&format!("{table}/version"), get(table::version))
        .route(&format!("{table}/metadata"), get(table::metadata))
        .route(&format!("{table}/query"), post(table::query))
        .route(&format!("{table}/changes"), get(table::changes))
        .route("/files/{link}", get(file::read).head(file::describe));
    Router::new()
        .nest(PREFIX, protocol)
        .fallback(|| async { Refusal::NotFound })
        .method_not_allowed_fallback(|| async { Refusal::Method })
        .with_state(sharing)
}

/// An answer that nobody may keep for others.
fn answer(content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The length of a text, as the log counts it.
fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
