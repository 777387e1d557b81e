//! The file that a recipient needs: where the server is, its token, until when.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cohortium_protocol::time::UnixMillis;
use rustix::fs::{Mode, OFlags};
use serde_json::json;
use zeroize::Zeroizing;

use crate::recipient::BearerToken;

/// The path under which the protocol is spoken.
pub const PREFIX: &str = "/delta-sharing";

/// Where recipients find the server: `https://node.hospital.example:8443`, or `http://` within this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

/// A text that is no address of a server, or one that would carry a token over a network in the open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotABaseUrl;

impl fmt::Display for NotABaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an address like https://node.example:8443, or with http:// and a loopback address")
    }
}

impl std::error::Error for NotABaseUrl {}

impl FromStr for BaseUrl {
    type Err = NotABaseUrl;

    fn from_str(text: &str) -> Result<Self, NotABaseUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(NotABaseUrl)?;
        let (host, port) = split_port(rest.strip_suffix('/').unwrap_or(rest)).ok_or(NotABaseUrl)?;
        let good_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let good_host = match bare {
            Some(bare) => bare.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.len() <= 253 && host.bytes().all(plain),
        };
        let loopback = host == "localhost" || bare.unwrap_or(host).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match scheme {
            "https" if good_host && good_port => {}
            "http" if good_host && good_port && loopback => {}
            _ => return Err(NotABaseUrl),
        }
        Ok(Self(text.strip_suffix('/').unwrap_or(text).to_owned()))
    }
}

fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    match text.rfind(']') {
        Some(end) => {
            let (host, rest) = text.split_at(end + 1);
            if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) }
        }
        None => Some(text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))),
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The profile's text. It holds the token, and is wiped when dropped.
pub fn profile(base: &BaseUrl, token: &BearerToken, expires: UnixMillis) -> Zeroizing<String> {
    let text = json!({
        "shareCredentialsVersion": 1,
        "endpoint": format!("{base}{PREFIX}"),
        "bearerToken": *token.reveal(),
        "expirationTime": expires.to_string(),
    });
    Zeroizing::new(format!("{text:#}\n"))
}

/// Why a profile was not written.
#[derive(Debug)]
pub struct ProfileFault {
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for ProfileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "while writing the profile {}", self.path.display())
    }
}

impl std::error::Error for ProfileFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Writes a profile where there is no file yet, readable by its owner alone.
///
/// # Errors
/// [`ProfileFault`]; a file that is there stays as it is.
pub fn write_profile(path: &Path, profile: &str) -> Result<(), ProfileFault> {
    let fault = |source: io::Error| ProfileFault { path: path.to_owned(), source };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| fault(errno.into()))?;
    let mut file = File::from(opened);
    file.write_all(profile.as_bytes()).and_then(|()| file.sync_all()).map_err(fault)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    // DSS-1
    #[test]
    fn an_address_in_the_open_is_of_this_machine() {
        let good = [
            "https://node.example:8443",
            "https://node.example",
            "https://10.0.0.1/",
            "https://[2001:db8::1]:443",
            "http://127.0.0.1:80",
            "http://127.9.9.9:80",
            "http://localhost:8080",
            "http://[::1]:8080",
        ];
        for text in good {
            assert_eq!(text.parse::<BaseUrl>().unwrap().to_string(), text.trim_end_matches('/'));
        }
        let bad = [
            "",
            "node.example",
            "http://node.example",
            "http://10.0.0.1:80",
            "http://[2001:db8::1]",
            "ftp://127.0.0.1",
            "https://",
            "https://a b",
            "https://node.example/x",
            "https://node.example:0",
            "https://node.example:99999",
            "https://user@node.example",
            "https://[::1",
            "https://[::1]x",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "https://a?b",
            "https://a#b",
        ];
        for text in bad {
            assert_eq!(text.parse::<BaseUrl>(), Err(NotABaseUrl), "{text:?}");
        }
    }

    #[test]
    fn a_profile_is_written_once_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("researcher.share");
        let token = BearerToken::new([5; 32]);
        let text = profile(&"https://node.example".parse().unwrap(), &token, UnixMillis(4_102_444_800_000));
        write_profile(&path, &text).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(read["shareCredentialsVersion"], 1);
        assert_eq!(read["endpoint"], "https://node.example/delta-sharing");
        assert_eq!(read["bearerToken"], **token.reveal());
        assert_eq!(read["expirationTime"], "2100-01-01T00:00:00.000Z");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_profile(&path, "other").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), *text, "a file that is there stays");
    }
}
