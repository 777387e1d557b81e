//! What a caller is told when it gets nothing: a status, a code and a sentence, as the protocol's JSON.

use axum::body::Body;
use axum::http::header::{CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request is refused. What a caller wrote is never repeated to it, and nothing is told of what it may not read:
/// a table that was not granted does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Something in the request is not as the protocol writes it.
    Malformed(&'static str),
    /// No token, or one of nobody.
    Token,
    /// The token's time is over.
    TokenExpired,
    /// The recipient was revoked.
    Revoked,
    /// A link that this server did not make, or not for this.
    Link,
    /// The link's time is over, or its recipient's.
    LinkExpired,
    /// The link's recipient was revoked.
    LinkRevoked,
    /// There is no such thing, for this recipient.
    NotFound,
    /// Another method.
    Method,
    /// The request did not come in time.
    Slow,
    /// The body has no length.
    LengthRequired,
    /// The body is too long.
    BodyTooLarge,
    /// The target is too long.
    TargetTooLong,
    /// The head is too long, or has too many headers.
    HeadTooLarge,
    /// Another range than one that lies in the file.
    Range {
        /// The file's length.
        bytes: u64,
    },
    /// The recipient has too many requests at once.
    Busy,
    /// The node cannot answer: its log or its store does not.
    Unavailable,
}

impl Refusal {
    /// Status, code and sentence.
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        let bad = "INVALID_PARAMETER_VALUE";
        match self {
            Self::Malformed(what) => (StatusCode::BAD_REQUEST, bad, what),
            Self::Token => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "the bearer token is missing or wrong"),
            Self::TokenExpired => (
                StatusCode::UNAUTHORIZED,
                "TOKEN_EXPIRED",
                "the bearer token has expired; ask the node's operator for a new profile",
            ),
            Self::Revoked => (StatusCode::UNAUTHORIZED, "REVOKED", "access was revoked by the node's operator"),
            Self::Link => (StatusCode::FORBIDDEN, "LINK_INVALID", "the link is not valid; query the table again"),
            Self::LinkExpired => (StatusCode::FORBIDDEN, "LINK_EXPIRED", "the link has expired; query the table again"),
            Self::LinkRevoked => (StatusCode::FORBIDDEN, "REVOKED", "access was revoked by the node's operator"),
            Self::NotFound => (StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST", "there is no such resource"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "the method is not allowed here"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "the request did not come in time"),
            Self::LengthRequired => (StatusCode::LENGTH_REQUIRED, bad, "a body needs a Content-Length"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, bad, "the body is too long"),
            Self::TargetTooLong => (StatusCode::URI_TOO_LONG, bad, "the target is too long"),
            Self::HeadTooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, bad, "the headers are too long or too many")
            }
            Self::Range { .. } => {
                (StatusCode::RANGE_NOT_SATISFIABLE, bad, "the range is not one range of bytes within the file")
            }
            Self::Busy => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", "too many requests at once"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "the node cannot answer now"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, message) = self.parts();
        let mut response = Response::new(Body::from(json!({"errorCode": code, "message": message}).to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        match self {
            Self::Token | Self::TokenExpired | Self::Revoked => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Range { bytes } => {
                let whole = HeaderValue::from_str(&format!("bytes */{bytes}"));
                headers.extend(whole.ok().map(|whole| (CONTENT_RANGE, whole)));
            }
            Self::Busy | Self::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Malformed(_)
            | Self::Link
            | Self::LinkExpired
            | Self::LinkRevoked
            | Self::NotFound
            | Self::Method
            | Self::Slow
            | Self::LengthRequired
            | Self::BodyTooLarge
            | Self::TargetTooLong
            | Self::HeadTooLarge => {}
        }
        tracing::debug!(status = status.as_u16(), code, "refused");
        response
    }
}
