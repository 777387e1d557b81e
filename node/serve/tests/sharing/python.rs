//! The unmodified Python client `delta-sharing`, in an environment of its own under the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use cohortium_protocol::time::UnixMillis;
use cohortium_serve::catalogue::{DataFile, Version};
use cohortium_serve::limits::Limits;
use cohortium_serve::recipient::{Recipient, Standing};
use cohortium_serve::schema::{Column, ColumnType};
use cohortium_serve::server::TlsKeys;
use serde_json::Value;

use crate::ground::{Running, recipient, start, table};

/// With this variable a client that cannot be installed is a failure; without it the tests say that they were skipped.
const NEED: &str = "COHORTIUM_NEED_DELTA_SHARING";
const CLIENT: &str = "delta-sharing==1.4.2";
pub(crate) const TABLE: &str = "study.release.stays";
/// 2026-01-01T00:00:00Z.
const NEW_YEAR: u64 = 1_767_225_600_000;
const DAY: u64 = 86_400_000;

/// The Python that has the client, installed once.
pub(crate) fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("delta-sharing-1.4.2");
    let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
    if ready.exists() {
        return Some(python);
    }
    let run = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        && run(Command::new(&python).args(["-m", "pip", "install", "-q", "--disable-pip-version-check", CLIENT]))
        && std::fs::write(&ready, CLIENT).is_ok();
    assert!(made || std::env::var_os(NEED).is_none(), "{NEED} is set, and pip does not install {CLIENT}");
    if !made {
        println!("skipped: pip does not install {CLIENT}");
    }
    made.then_some(python)
}

/// Runs a command of `client.py`; `trusted` is a certificate to trust.
pub(crate) fn client(python: &Path, arguments: &[&str], trusted: Option<&Path>) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sharing/client.py");
    let mut command = Command::new(python);
    command.arg(script).args(arguments).env_remove("http_proxy").env_remove("https_proxy").env("NO_PROXY", "127.0.0.1");
    if let Some(pem) = trusted {
        command.env("REQUESTS_CA_BUNDLE", pem).env("SSL_CERT_FILE", pem);
    }
    let output = command.output().unwrap();
    let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "{arguments:?}\n{}\n{}", texts[0], texts[1]);
    texts[0].clone()
}

pub(crate) fn columns() -> Vec<Column> {
    let types = [
        ("id", ColumnType::Long),
        ("stay", ColumnType::Double),
        ("region", ColumnType::String),
        ("day", ColumnType::Date),
        ("seen", ColumnType::Timestamp),
        ("old", ColumnType::Boolean),
    ];
    let column =
        |(name, holds): (&str, ColumnType)| Column { name: name.to_owned(), holds, nullable: true, comment: None };
    types.map(column).to_vec()
}

/// A server with the table of `client.py`: versions 0, 1 and 3, a day apart.
fn furnish(python: &Path, tls: Option<TlsKeys>) -> Running {
    let running = start(Limits::default(), tls);
    let folder = running.folder.path().to_str().unwrap().to_owned();
    let made: Value = serde_json::from_str(&client(python, &["make", &folder], None)).unwrap();
    let file = |name: &str| -> DataFile {
        running.shelf.keep(&running.folder.path().join(format!("{name}.parquet")), made[name].as_u64().unwrap())
    };
    let version = |number: u64, names: &[&str]| Version {
        number,
        released: UnixMillis(NEW_YEAR + number * DAY + DAY / 2),
        columns: columns(),
        files: names.iter().map(|name| file(name)).collect(),
    };
    let versions = vec![version(0, &["zero"]), version(1, &["zero", "one"]), version(3, &["one", "three"])];
    running.shelf.offer(vec![table(TABLE, 1, versions)]);
    running.shelf.admit(vec![recipient(&running.shelf, 1, &[TABLE])]);
    running
}

// DSS-7 DSS-8 DSS-11
#[test]
fn the_python_client_lists_reads_goes_back_and_follows_changes_in_both_formats() {
    let Some(python) = python() else { return };
    let running = furnish(python, None);
    let (profile, folder) = (running.profile("researcher.share"), running.folder.path());
    client(python, &["read", profile.to_str().unwrap(), folder.to_str().unwrap()], None);
}

#[test]
fn the_python_client_reads_over_tls() {
    let Some(python) = python() else { return };
    let (keys, root) = authority();
    let running = furnish(python, Some(keys));
    let pem = running.folder.path().join("root.pem");
    std::fs::write(&pem, root).unwrap();
    let (profile, folder) = (running.profile("researcher.share"), running.folder.path());
    client(python, &["load", profile.to_str().unwrap(), folder.to_str().unwrap()], Some(&pem));
}

// DSS-3 DSS-12
#[test]
fn the_python_client_gets_nothing_by_a_token_or_a_link_that_ended() {
    let Some(python) = python() else { return };
    let running = furnish(python, None);
    let profile = running.profile("researcher.share");
    let profile = profile.to_str().unwrap();
    let links = client(python, &["links", profile], None);
    let link = links.lines().next().unwrap();
    let one = recipient(&running.shelf, 1, &[TABLE]);
    running.shelf.admit(vec![Recipient { standing: Standing::Revoked, ..one.clone() }]);
    client(python, &["refused", profile, "401"], None);
    client(python, &["ended", link, "403"], None);
    running.shelf.admit(vec![Recipient { expires: UnixMillis(0), ..one.clone() }]);
    client(python, &["refused", profile, "401"], None);
    client(python, &["ended", link, "403"], None);
    running.shelf.admit(vec![one]);
    client(python, &["links", profile], None);
    running.shelf.ahead.store(3_600_001, std::sync::atomic::Ordering::Relaxed);
    client(python, &["ended", link, "403"], None);
    client(python, &["links", profile], None);
}

/// A server's keys, and the certificate of who vouches for them.
fn authority() -> (TlsKeys, String) {
    let root_key = rcgen::KeyPair::generate().unwrap();
    let mut root = rcgen::CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    root.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(root, root_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut own = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    own.use_authority_key_identifier_extension = true;
    own.distinguished_name.push(rcgen::DnType::CommonName, "a node");
    let chain = own.signed_by(&key, &issuer).unwrap().pem();
    (TlsKeys::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap(), root_pem)
}
