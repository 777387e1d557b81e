//! `node.toml` as written: every key known, nothing checked yet.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use cohortium_protocol::ident::Name;
use cohortium_protocol::record::person::Role;
use serde::{Deserialize, Serialize};

/// The largest configuration file.
pub const CONFIG_BYTES_MAX: u64 = 256 * 1024;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Where QUIC listens, `address:port`; absent on a node that only dials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_udp: Option<String>,
    /// Where TLS over TCP listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_tcp: Option<String>,
    /// An HTTP CONNECT proxy, `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The routes to try, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<RouteKind>>,
    /// Whose key signs orders when `--as` is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// What opens the keystore.
    pub key: KeySection,
    /// The person who is enrolled with the node's root key when it begins or joins a consortium.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_person: Option<FirstPersonSection>,
    /// Limits of worker processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerSection>,
    /// What is kept free where blobs are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreSection>,
    /// What the daemon writes about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSection>,
    /// This node's own floors, stricter than the protocol's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<PrivacySection>,
}

/// A way to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteKind {
    /// QUIC over UDP.
    Quic,
    /// TLS over TCP.
    Tcp,
    /// TLS over TCP through the proxy.
    Proxy,
}

/// What opens the keystore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySection {
    /// The kind.
    pub source: KeySourceKind,
    /// The key file, or the file that holds the passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// The kinds of key source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySourceKind {
    /// 32 random bytes in a file.
    KeyFile,
    /// A passphrase in a file's first line.
    PassphraseFile,
    /// A passphrase that is asked for at the terminal.
    Prompt,
}

/// The first person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstPersonSection {
    /// The name.
    pub name: Name,
    /// The roles; always with site administrator.
    pub roles: BTreeSet<Role>,
    /// Public key, hexadecimal.
    pub key: String,
}

/// Limits of worker processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerSection {
    /// Memory of one worker.
    pub memory_mib: Option<u64>,
    /// Processor time of one job.
    pub cpu_seconds: Option<u64>,
    /// Wall time of one job.
    pub wall_seconds: Option<u64>,
    /// What one job may write.
    pub output_gib: Option<u64>,
    /// Workers that wait for a job.
    pub pool: Option<u16>,
}

/// What is kept free where blobs are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSection {
    /// Landing blobs leave so much free. Not given: the larger of 2 GiB and a twentieth of the file system, at most a
    /// quarter of it.
    pub reserve_mib: Option<u64>,
}

/// What the daemon writes about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSection {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: Option<String>,
    /// `text` or `json`.
    pub format: Option<LogFormat>,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// This node's own floors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacySection {
    /// The people of this node neither propose nor sign a production charter with a lower k or least cell.
    pub anonymity_k_min: Option<u32>,
    /// No share is defined for longer.
    pub share_days_max: Option<u32>,
    /// `share preview` shows no more rows.
    pub preview_rows_max: Option<u32>,
}

/// A configuration that is not TOML, or has a key or value that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotConfig {
    /// Where, counted from one; `None` when the reader does not say.
    pub line: Option<usize>,
    /// What the reader says about keys and types. The file holds no secret and no row.
    pub fault: String,
}

impl fmt::Display for NotConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.fault),
            None => f.write_str(&self.fault),
        }
    }
}

impl std::error::Error for NotConfig {}

impl ConfigFile {
    /// A new node's configuration: the key source and nothing else.
    pub const fn new(key: KeySection) -> Self {
        Self {
            listen_udp: None,
            listen_tcp: None,
            proxy: None,
            routes: None,
            person: None,
            key,
            first_person: None,
            worker: None,
            store: None,
            log: None,
            privacy: None,
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`NotConfig`].
    pub fn parse(text: &str) -> Result<Self, NotConfig> {
        toml::from_str(text).map_err(|fault| NotConfig {
            line: fault.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1),
            fault: fault.message().replace('\n', " "),
        })
    }

    /// The text of a file.
    ///
    /// # Panics
    /// Never: the configuration is tables of plain values.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("the configuration is tables of plain values")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_an_unknown_key_is_refused_with_its_line() {
        let mut config = ConfigFile::new(KeySection { source: KeySourceKind::Prompt, path: None });
        config.listen_udp = Some("127.0.0.1:7411".to_owned());
        config.routes = Some(vec![RouteKind::Tcp, RouteKind::Quic]);
        config.first_person = Some(FirstPersonSection {
            name: "alice".parse().unwrap(),
            roles: BTreeSet::from([Role::SiteAdministrator]),
            key: "00".to_owned(),
        });
        config.worker = Some(WorkerSection { memory_mib: Some(512), ..WorkerSection::default() });
        let text = config.to_text();
        assert_eq!(ConfigFile::parse(&text), Ok(config));
        for (extra, line) in [("colour = true", 3), ("[key]\nsource = \"prompt\"", 3), ("[worker]\nmemory = 1", 4)] {
            let bent = format!("[key]\nsource = \"prompt\"\n{extra}\n");
            assert_eq!(ConfigFile::parse(&bent).unwrap_err().line, Some(line), "{extra}");
        }
        assert!(ConfigFile::parse("listen_udp = \"x\"").is_err(), "a key source must be named");
    }
}
