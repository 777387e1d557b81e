//! HTTP CONNECT through a proxy (RFC 9110, section 9.3.6): the request and a bounded answer.

use std::fmt;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::address::HostPort;
use crate::limits::PROXY_ANSWER_BYTES_MAX;

/// Why a proxy did not connect.
#[derive(Debug)]
pub enum ProxyError {
    /// The proxy answered with another status than 200.
    Refused {
        /// Its status.
        status: u16,
    },
    /// The answer is no HTTP, is too long, or goes on where the tunnel should begin.
    Malformed,
    /// The connection to the proxy failed.
    Io {
        /// What the system says.
        source: io::Error,
    },
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status } => write!(f, "the proxy refused to connect, status {status}"),
            Self::Malformed => f.write_str("the proxy's answer is not one to CONNECT"),
            Self::Io { .. } => f.write_str("the connection failed while asking the proxy"),
        }
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source } => Some(source),
            Self::Refused { .. } | Self::Malformed => None,
        }
    }
}

/// Asks for a tunnel to `target`. Afterwards the socket is the tunnel.
///
/// # Errors
/// [`ProxyError`]; the socket is of no more use then.
pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    target: &HostPort,
) -> Result<(), ProxyError> {
    // `HostPort` holds no line break, so the request is these two lines.
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let io = |source| ProxyError::Io { source };
    socket.write_all(request.as_bytes()).await.map_err(io)?;
    socket.flush().await.map_err(io)?;
    let mut answer = Vec::with_capacity(512);
    let mut part = [0; 512];
    let end = loop {
        if let Some(at) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if answer.len() >= PROXY_ANSWER_BYTES_MAX {
            return Err(ProxyError::Malformed);
        }
        let room = part.len().min(PROXY_ANSWER_BYTES_MAX - answer.len());
        match socket.read(&mut part[..room]).await.map_err(io)? {
            0 => return Err(ProxyError::Malformed),
            count => answer.extend_from_slice(&part[..count]),
        }
    };
    let status = status(&answer).ok_or(ProxyError::Malformed)?;
    if status != 200 {
        return Err(ProxyError::Refused { status });
    }
    // In TLS the dialler speaks first: bytes behind the answer come from the proxy itself.
    if answer.len() == end { Ok(()) } else { Err(ProxyError::Malformed) }
}

fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, after) = rest.split_at_checked(3)?;
    let ends = matches!(after.first(), Some(b' ' | b'\r'));
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(answer: Vec<u8>) -> Result<(), ProxyError> {
        let (mut ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs.write_all(&answer).await.unwrap();
        let target = "node.example.org:7070".parse().unwrap();
        let result = connect(&mut ours, &target).await;
        let mut asked = [0; 33];
        theirs.read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, b"CONNECT node.example.org:7070 HTT");
        result
    }

    #[tokio::test]
    async fn only_a_bounded_answer_with_status_200_opens_the_tunnel() {
        assert!(ask(b"HTTP/1.1 200 Connection established\r\nVia: p\r\n\r\n".to_vec()).await.is_ok());
        assert!(ask(b"HTTP/1.0 200\r\n\r\n".to_vec()).await.is_ok());
        let refused = ask(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n".to_vec()).await;
        assert!(matches!(refused, Err(ProxyError::Refused { status: 407 })));
        let long = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; PROXY_ANSWER_BYTES_MAX]].concat();
        for malformed in [
            b"SSH-2.0-x\r\n\r\n".to_vec(),
            b"HTTP/1.1 2000\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\n\r\n!".to_vec(),
            long,
        ] {
            assert!(matches!(ask(malformed).await, Err(ProxyError::Malformed)));
        }
    }
}
