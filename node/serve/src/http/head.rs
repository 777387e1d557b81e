//! The head of a request: its line and headers, taken only in the one form in which nobody can read them otherwise.

use axum::http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use crate::limits::Limits;
use crate::refusal::Refusal;

/// No client of the protocol sends more headers.
const HEADERS_MAX: usize = 64;

/// Whether the connection stays open after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Open,
    Close,
}

/// Whether the caller waits for a word before it sends the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continue {
    Wanted,
    No,
}

/// A head that was read.
#[derive(Debug)]
pub(crate) struct Head {
    /// The request, without its body.
    pub(crate) request: Request<()>,
    pub(crate) body_bytes: usize,
    pub(crate) keep: Keep,
    pub(crate) go_on: Continue,
}

/// Where the head ends: behind the first empty line. The bytes before `looked` hold none.
pub(crate) fn end_of(bytes: &[u8], looked: usize) -> Option<usize> {
    let from = looked.saturating_sub(3);
    bytes[from..].windows(4).position(|four| four == b"\r\n\r\n").map(|at| from + at + 4)
}

/// Reads a head that ends where [`end_of`] says.
pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Head, Refusal> {
    let malformed = Refusal::Malformed("the request is no HTTP");
    // A line that ends in a newline alone ends elsewhere for other readers.
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'\n' && (at == 0 || bytes[at - 1] != b'\r')) {
        return Err(malformed);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut read = httparse::Request::new(&mut headers);
    match read.parse(bytes) {
        Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(Refusal::Malformed("speak HTTP/1.1")),
        Ok(_) | Err(_) => return Err(malformed),
    }
    let (method, target, version) = (read.method, read.path, read.version);
    let (Some(method), Some(target), Some(version)) = (method, target, version) else { return Err(malformed) };
    let uri = target_of(target, limits)?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| malformed)?;
    let headers = header_map(read.headers).ok_or(malformed)?;
    let body_bytes = body_bytes(&headers, limits)?;
    if version == 1 && headers.get_all(HOST).iter().count() != 1 {
        return Err(Refusal::Malformed("a request has one Host"));
    }
    let listed = |name, word: &str| has_word(&headers, name, word);
    let keep = if version == 0 || listed(CONNECTION, "close") { Keep::Close } else { Keep::Open };
    let go_on = if version == 1 && listed(EXPECT, "100-continue") { Continue::Wanted } else { Continue::No };
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(Head { request, body_bytes, keep, go_on })
}

/// A path with or without parameters; no address of another server, no fragment.
fn target_of(target: &str, limits: &Limits) -> Result<Uri, Refusal> {
    if target.len() > limits.target_bytes_max {
        return Err(Refusal::TargetTooLong);
    }
    let plain = target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let uri = if plain { target.parse().ok() } else { None };
    uri.ok_or(Refusal::Malformed("the target is no path"))
}

fn header_map(headers: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        map.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some(map)
}

/// The body's length: none or one, in digits. No client of the protocol sends chunks.
fn body_bytes(headers: &HeaderMap, limits: &Limits) -> Result<usize, Refusal> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::LengthRequired);
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let (length, second) = (lengths.next(), lengths.next());
    let Some(length) = length else { return Ok(0) };
    let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match length.to_str().ok().filter(digits) {
        Some(text) if second.is_none() => {
            // More digits than a usize holds are too many bytes, too.
            let bytes = text.parse().unwrap_or(usize::MAX);
            if bytes > limits.body_bytes_max { Err(Refusal::BodyTooLarge) } else { Ok(bytes) }
        }
        Some(_) | None => Err(Refusal::Malformed("the length of the body is no number")),
    }
}

fn has_word(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let texts = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<(String, usize, Keep), Refusal> {
        assert_eq!(end_of(head.as_bytes(), 0), Some(head.len()), "{head:?}");
        let head = parse(head.as_bytes(), &Limits::default())?;
        Ok((format!("{} {}", head.request.method(), head.request.uri()), head.body_bytes, head.keep))
    }

    #[test]
    fn a_head_is_read() {
        let get = read("GET /a/b?c=d HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(get, Ok(("GET /a/b?c=d".to_owned(), 0, Keep::Open)));
        let post = read("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 12\r\nConnection: TE, Close\r\n\r\n");
        assert_eq!(post, Ok(("POST /a".to_owned(), 12, Keep::Close)));
        assert_eq!(read("GET / HTTP/1.0\r\n\r\n").map(|(_, _, keep)| keep), Ok(Keep::Close));
        let expected = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n";
        assert_eq!(parse(expected.as_bytes(), &Limits::default()).unwrap().go_on, Continue::Wanted);
    }

    // DSS-19
    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let wrong = [
            "GET http://other/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "CONNECT other:443 HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /\u{e4} HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX:y\0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX: y\r\n z\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
            "\r\n\r\n",
            "hello\r\n\r\n",
            "\u{16}\u{3}\u{1}\r\n\r\n",
        ];
        for head in wrong {
            assert!(matches!(read(head), Err(Refusal::Malformed(_))), "{head:?}: {:?}", read(head));
        }
        let chunked = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(read(chunked), Err(Refusal::LengthRequired));
    }

    // DSS-18
    #[test]
    fn a_head_has_bounds() {
        let head = |target: usize, headers: usize, length: &str| {
            let many = "X: y\r\n".repeat(headers);
            let target = "a".repeat(target);
            read(&format!("POST /{target} HTTP/1.1\r\nHost: x\r\n{many}Content-Length: {length}\r\n\r\n")).map(|_| ())
        };
        let limits = Limits::default();
        assert_eq!(head(limits.target_bytes_max - 1, HEADERS_MAX - 2, "65536"), Ok(()));
        assert_eq!(head(limits.target_bytes_max, 0, "0"), Err(Refusal::TargetTooLong));
        assert_eq!(head(0, HEADERS_MAX - 1, "0"), Err(Refusal::HeadTooLarge));
        assert_eq!(head(0, 0, "65537"), Err(Refusal::BodyTooLarge));
        assert_eq!(head(0, 0, &"9".repeat(40)), Err(Refusal::BodyTooLarge));
    }

    #[test]
    fn the_end_is_found_wherever_the_reads_were_cut() {
        let bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nnext";
        let end = bytes.len() - 4;
        for cut in 0..bytes.len() {
            let found = end_of(&bytes[..cut], 0).or_else(|| end_of(bytes, cut));
            assert_eq!(found, Some(end), "{cut}");
        }
    }
}
