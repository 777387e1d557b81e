//! Where a node listens, as people write it: a host name or address, and a port.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Bytes of a host name (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// A host and a port. Its text holds no character that could end a line of a proxy's request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// A text that is no `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotHostPort;

impl fmt::Display for NotHostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not HOST:PORT, 1.2.3.4:PORT or [IPV6]:PORT")
    }
}

impl std::error::Error for NotHostPort {}

impl HostPort {
    /// The host: a name or an IPv4 or IPv6 address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for HostPort {
    type Err = NotHostPort;

    fn from_str(text: &str) -> Result<Self, NotHostPort> {
        let (host, port) = text.rsplit_once(':').ok_or(NotHostPort)?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port: u16 = port.parse().ok().filter(|port| digits && *port != 0).ok_or(NotHostPort)?;
        if let Some(inner) = host.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']').and_then(|a| a.parse().ok()).ok_or(NotHostPort)?;
            return Ok(Self { host: address.to_string(), port });
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        let length = (1..=HOST_BYTES_MAX).contains(&host.len());
        if length && host.bytes().all(plain) { Ok(Self { host: host.to_owned(), port }) } else { Err(NotHostPort) }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_port_has_no_room_for_a_second_line() {
        for good in ["node.example.org:7070", "127.0.0.1:1", "[::1]:65535"] {
            assert_eq!(good.parse::<HostPort>().unwrap().to_string(), good);
        }
        let long = format!("{}:1", "a".repeat(254));
        for bad in [
            "",
            "host",
            "host:",
            ":1",
            "host:0",
            "host:65536",
            "host:+1",
            "a b:1",
            "a\r\nX: y:1",
            "::1:7",
            "[::1:7",
            &long,
        ] {
            assert_eq!(bad.parse::<HostPort>(), Err(NotHostPort), "{bad:?}");
        }
    }
}
