//! The configuration that the node runs with: every value checked, every default filled in, privacy settings at their floors.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cohortium_protocol::ident::{Name, NameFault};
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::limits::ANONYMITY_K_FLOOR;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::person::Role;
use cohortium_store::blob::Reserve;
use cohortium_transport::HostPort;

use crate::config::file::{CONFIG_BYTES_MAX, ConfigFile, KeySourceKind, LogFormat, NotConfig, RouteKind};
use crate::home::{self, Home, HomeFault};

/// The longest share that a node may allow itself, in days.
pub const SHARE_DAYS_CEILING: u32 = 3_660;
/// The most rows that a preview may be allowed to show.
pub const PREVIEW_ROWS_CEILING: u32 = 100;

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where QUIC listens.
    pub listen_udp: Option<SocketAddr>,
    /// Where TLS over TCP listens.
    pub listen_tcp: Option<SocketAddr>,
    /// The proxy of this network.
    pub proxy: Option<HostPort>,
    /// The routes to try, in order; at least one.
    pub routes: Vec<RouteKind>,
    /// Whose key signs orders.
    pub person: Option<Name>,
    /// What opens the keystore.
    pub key: KeyPlace,
    /// Who is enrolled with the root key.
    pub first_person: Option<FirstPerson>,
    /// Limits of worker processes.
    pub worker: WorkerLimits,
    /// What landing blobs leave free where they are stored.
    pub reserve: Reserve,
    /// What the daemon writes about itself.
    pub log: LogConfig,
    /// This node's own floors.
    pub privacy: Privacy,
}

/// What opens the keystore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// A key file.
    KeyFile(PathBuf),
    /// A file with a passphrase.
    PassphraseFile(PathBuf),
    /// Asked for at the terminal.
    Prompt,
}

/// The first person of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstPerson {
    /// The name.
    pub name: Name,
    /// The roles.
    pub roles: std::collections::BTreeSet<Role>,
    /// The key.
    pub key: PublicKey,
}

/// Limits of worker processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Memory of one worker.
    pub memory: Bytes,
    /// Processor time of one job.
    pub cpu: Duration,
    /// Wall time of one job.
    pub wall: Duration,
    /// What one job may write.
    pub output: Bytes,
    /// Workers that wait for a job.
    pub pool: u16,
}

/// What the daemon writes about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// The least severe line.
    pub level: tracing::Level,
    /// How.
    pub format: LogFormat,
}

/// This node's own floors and ceilings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privacy {
    /// The least k and cell of a production charter that people here propose or sign.
    pub anonymity_k_min: u32,
    /// The longest share, in days.
    pub share_days_max: u32,
    /// The most rows of a preview.
    pub preview_rows_max: u32,
}

/// Why a configuration is not taken. Each names the key in the file.
#[derive(Debug)]
pub enum ConfigFault {
    /// The file cannot be read.
    Home(HomeFault),
    /// Not UTF-8.
    NotText,
    /// Not this version's configuration.
    Syntax(NotConfig),
    /// A value that is not an address.
    Address {
        /// The key.
        key: &'static str,
    },
    /// A value that is not a name.
    Name {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        source: NameFault,
    },
    /// No route, one twice, or the proxy's without a proxy.
    Routes,
    /// The key source needs a path, or takes none.
    KeyPath {
        /// Whether it needs one.
        needed: bool,
    },
    /// A number out of its range.
    Range {
        /// The key.
        key: &'static str,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// An unknown log level.
    LogLevel,
    /// The first person's key is no key, or the role of site administrator is missing.
    FirstPerson,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home(fault) => fault.fmt(f),
            Self::NotText => f.write_str("the file is not UTF-8 text"),
            Self::Syntax(fault) => fault.fmt(f),
            Self::Address { key } => write!(f, "{key} is not an address with a port"),
            Self::Name { key, source } => write!(f, "{key} {source}"),
            Self::Routes => f.write_str("routes are one or more of quic, tcp and, with a proxy, proxy; each once"),
            Self::KeyPath { needed: true } => f.write_str("key.path is missing: this key.source reads a file"),
            Self::KeyPath { needed: false } => {
                f.write_str("key.path is given, but key.source = \"prompt\" reads no file")
            }
            Self::Range { key, min, max } => write!(f, "{key} is not {min} to {max}"),
            Self::LogLevel => f.write_str("log.level is not error, warn, info, debug or trace"),
            Self::FirstPerson => {
                f.write_str("first_person needs a public key of 64 digits and the role site-administrator")
            }
        }
    }
}

impl std::error::Error for ConfigFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Home(fault) => fault.source(),
            Self::Syntax(fault) => Some(fault),
            Self::Name { source, .. } => Some(source),
            Self::NotText
            | Self::Address { .. }
            | Self::Routes
            | Self::KeyPath { .. }
            | Self::Range { .. }
            | Self::LogLevel
            | Self::FirstPerson => None,
        }
    }
}

impl Config {
    /// Reads and checks a node's configuration.
    ///
    /// # Errors
    /// [`ConfigFault`], naming the line or the key.
    pub fn load(home: &Home) -> Result<Self, ConfigFault> {
        let bytes = home::read_bounded(&home.config_file(), CONFIG_BYTES_MAX).map_err(ConfigFault::Home)?;
        let text = String::from_utf8(bytes).map_err(|_| ConfigFault::NotText)?;
        let file = ConfigFile::parse(&text).map_err(ConfigFault::Syntax)?;
        Self::resolve(&file, home.path())
    }

    /// Checks every value. Relative paths are relative to `base`.
    ///
    /// # Errors
    /// [`ConfigFault`], naming the first key that is wrong.
    pub fn resolve(file: &ConfigFile, base: &Path) -> Result<Self, ConfigFault> {
        let proxy = match &file.proxy {
            Some(text) => Some(text.parse().map_err(|_| ConfigFault::Address { key: "proxy" })?),
            None => None,
        };
        Ok(Self {
            listen_udp: listen("listen_udp", file.listen_udp.as_deref())?,
            listen_tcp: listen("listen_tcp", file.listen_tcp.as_deref())?,
            routes: routes(file.routes.as_deref(), proxy.is_some())?,
            proxy,
            person: match &file.person {
                Some(text) => Some(text.parse().map_err(|source| ConfigFault::Name { key: "person", source })?),
                None => None,
            },
            key: key_place(file, base)?,
            first_person: first_person(file)?,
            worker: worker(file)?,
            reserve: reserve(file)?,
            log: log(file)?,
            privacy: privacy(file)?,
        })
    }
}

fn listen(key: &'static str, text: Option<&str>) -> Result<Option<SocketAddr>, ConfigFault> {
    text.map(|text| text.parse().map_err(|_| ConfigFault::Address { key })).transpose()
}

fn routes(written: Option<&[RouteKind]>, has_proxy: bool) -> Result<Vec<RouteKind>, ConfigFault> {
    let Some(written) = written else {
        let mut all = vec![RouteKind::Quic, RouteKind::Tcp];
        all.extend(has_proxy.then_some(RouteKind::Proxy));
        return Ok(all);
    };
    let mut sorted = written.to_vec();
    sorted.sort();
    sorted.dedup();
    let once = sorted.len() == written.len() && !written.is_empty();
    if once && (has_proxy || !written.contains(&RouteKind::Proxy)) {
        Ok(written.to_vec())
    } else {
        Err(ConfigFault::Routes)
    }
}

fn key_place(file: &ConfigFile, base: &Path) -> Result<KeyPlace, ConfigFault> {
    let path = file.key.path.as_ref().map(|path| base.join(path));
    match (file.key.source, path) {
        (KeySourceKind::KeyFile, Some(path)) => Ok(KeyPlace::KeyFile(path)),
        (KeySourceKind::PassphraseFile, Some(path)) => Ok(KeyPlace::PassphraseFile(path)),
        (KeySourceKind::Prompt, None) => Ok(KeyPlace::Prompt),
        (KeySourceKind::KeyFile | KeySourceKind::PassphraseFile, None) => Err(ConfigFault::KeyPath { needed: true }),
        (KeySourceKind::Prompt, Some(_)) => Err(ConfigFault::KeyPath { needed: false }),
    }
}

fn first_person(file: &ConfigFile) -> Result<Option<FirstPerson>, ConfigFault> {
    let Some(section) = &file.first_person else { return Ok(None) };
    let key = section.key.parse().map_err(|_| ConfigFault::FirstPerson)?;
    if !section.roles.contains(&Role::SiteAdministrator) {
        return Err(ConfigFault::FirstPerson);
    }
    Ok(Some(FirstPerson { name: section.name.clone(), roles: section.roles.clone(), key }))
}

impl Default for WorkerLimits {
    /// Those of a node that sets none: for work without a node.
    fn default() -> Self {
        Self {
            memory: Bytes(1 << 30),
            cpu: Duration::from_hours(4),
            wall: Duration::from_hours(6),
            output: Bytes(1 << 40),
            pool: 2,
        }
    }
}

fn worker(file: &ConfigFile) -> Result<WorkerLimits, ConfigFault> {
    let section = file.worker.clone().unwrap_or_default();
    let hours = |hours: u64| hours * 3600;
    Ok(WorkerLimits {
        memory: Bytes(within("worker.memory_mib", section.memory_mib, 1024, 256, 1 << 20)? << 20),
        cpu: Duration::from_secs(within("worker.cpu_seconds", section.cpu_seconds, hours(4), 10, hours(240))?),
        wall: Duration::from_secs(within("worker.wall_seconds", section.wall_seconds, hours(6), 10, hours(240))?),
        output: Bytes(within("worker.output_gib", section.output_gib, 1024, 1, 1 << 16)? << 30),
        pool: u16::try_from(within("worker.pool", section.pool.map(u64::from), 2, 1, 16)?).unwrap_or(1),
    })
}

fn reserve(file: &ConfigFile) -> Result<Reserve, ConfigFault> {
    let Some(mib) = file.store.as_ref().and_then(|section| section.reserve_mib) else { return Ok(Reserve::OfSize) };
    Ok(Reserve::Bytes(within("store.reserve_mib", Some(mib), mib, 1, 1 << 30)? << 20))
}

fn log(file: &ConfigFile) -> Result<LogConfig, ConfigFault> {
    let section = file.log.clone().unwrap_or_default();
    let level = match section.level.as_deref() {
        None | Some("info") => tracing::Level::INFO,
        Some("error") => tracing::Level::ERROR,
        Some("warn") => tracing::Level::WARN,
        Some("debug") => tracing::Level::DEBUG,
        Some("trace") => tracing::Level::TRACE,
        Some(_) => return Err(ConfigFault::LogLevel),
    };
    Ok(LogConfig { level, format: section.format.unwrap_or(LogFormat::Text) })
}

/// Floors, not defaults: a value that is less strict than the protocol allows is refused, never silently raised.
fn privacy(file: &ConfigFile) -> Result<Privacy, ConfigFault> {
    let section = file.privacy.clone().unwrap_or_default();
    let bounded = |key, value: Option<u32>, default: u32, min: u32, max: u32| {
        within(key, value.map(u64::from), default.into(), min.into(), max.into())
            .map(|value| u32::try_from(value).unwrap_or(max))
    };
    Ok(Privacy {
        anonymity_k_min: bounded(
            "privacy.anonymity_k_min",
            section.anonymity_k_min,
            ANONYMITY_K_FLOOR,
            ANONYMITY_K_FLOOR,
            u32::MAX,
        )?,
        share_days_max: bounded("privacy.share_days_max", section.share_days_max, 366, 1, SHARE_DAYS_CEILING)?,
        preview_rows_max: bounded("privacy.preview_rows_max", section.preview_rows_max, 20, 0, PREVIEW_ROWS_CEILING)?,
    })
}

fn within(key: &'static str, value: Option<u64>, default: u64, min: u64, max: u64) -> Result<u64, ConfigFault> {
    let value = value.unwrap_or(default);
    if (min..=max).contains(&value) { Ok(value) } else { Err(ConfigFault::Range { key, min, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Config, ConfigFault> {
        Config::resolve(&ConfigFile::parse(text).unwrap(), Path::new("/node"))
    }

    const KEY: &str = "[key]\nsource = \"key-file\"\npath = \"k\"\n";

    #[test]
    fn a_short_file_resolves_to_the_documented_defaults() {
        let config = resolve(KEY).unwrap();
        assert_eq!(config.key, KeyPlace::KeyFile("/node/k".into()));
        assert_eq!((config.listen_udp, config.listen_tcp), (None, None));
        assert_eq!(config.routes, [RouteKind::Quic, RouteKind::Tcp]);
        assert_eq!(config.privacy, Privacy { anonymity_k_min: 11, share_days_max: 366, preview_rows_max: 20 });
        assert_eq!(config.worker.memory, Bytes(1 << 30));
        assert_eq!(config.reserve, Reserve::OfSize);
        let chosen = resolve(&format!("{KEY}[store]\nreserve_mib = 64\n")).unwrap();
        assert_eq!(chosen.reserve, Reserve::Bytes(64 << 20));
        let with_proxy = resolve(&format!("proxy = \"p.example:3128\"\n{KEY}")).unwrap();
        assert_eq!(with_proxy.routes, [RouteKind::Quic, RouteKind::Tcp, RouteKind::Proxy]);
    }

    #[test]
    fn a_wrong_value_is_refused_and_its_key_named() {
        let cases = [
            (format!("listen_udp = \"localhost\"\n{KEY}"), "listen_udp"),
            (format!("listen_tcp = \"1.2.3.4\"\n{KEY}"), "listen_tcp"),
            (format!("proxy = \"p\"\n{KEY}"), "proxy"),
            (format!("routes = []\n{KEY}"), "routes"),
            (format!("routes = [\"tcp\", \"tcp\"]\n{KEY}"), "routes"),
            (format!("routes = [\"proxy\"]\n{KEY}"), "routes"),
            (format!("person = \"Alice\"\n{KEY}"), "person"),
            ("[key]\nsource = \"key-file\"\n".to_owned(), "key.path"),
            ("[key]\nsource = \"prompt\"\npath = \"k\"\n".to_owned(), "key.path"),
            (format!("{KEY}[worker]\nmemory_mib = 255\n"), "worker.memory_mib"),
            (format!("{KEY}[worker]\npool = 17\n"), "worker.pool"),
            (format!("{KEY}[store]\nreserve_mib = 0\n"), "store.reserve_mib"),
            (format!("{KEY}[log]\nlevel = \"all\"\n"), "log.level"),
            (
                format!("{KEY}[first_person]\nname = \"a\"\nroles = [\"site-administrator\"]\nkey = \"00\"\n"),
                "first_person",
            ),
        ];
        for (text, key) in cases {
            let shown = resolve(&text).unwrap_err().to_string();
            assert!(shown.contains(key), "{text}: {shown}");
        }
    }

    #[test]
    fn a_privacy_setting_below_its_floor_is_refused_and_not_raised() {
        let cases = [
            ("anonymity_k_min = 10", false),
            ("anonymity_k_min = 11", true),
            ("share_days_max = 0", false),
            ("share_days_max = 3660", true),
            ("share_days_max = 3661", false),
            ("preview_rows_max = 0", true),
            ("preview_rows_max = 100", true),
            ("preview_rows_max = 101", false),
        ];
        for (line, taken) in cases {
            assert_eq!(resolve(&format!("{KEY}[privacy]\n{line}\n")).is_ok(), taken, "{line}");
        }
    }

    #[test]
    fn the_first_person_is_a_site_administrator() {
        let key = cohortium_protocol::key::pair::KeyPair::from_seed(&[1; 32]).public();
        let text = |role: &str| format!("{KEY}[first_person]\nname = \"a\"\nroles = [\"{role}\"]\nkey = \"{key}\"\n");
        assert!(resolve(&text("site-administrator")).unwrap().first_person.is_some());
        assert!(matches!(resolve(&text("auditor")), Err(ConfigFault::FirstPerson)));
    }
}
