//! A ground over plain files, a server on it, and a caller that writes whatever it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cohortium_protocol::digest::{BlobDigest, blob_digest};
use cohortium_protocol::time::UnixMillis;
use cohortium_serve::api::Sharing;
use cohortium_serve::catalogue::{Catalogue, DataFile, Table, Version};
use cohortium_serve::ground::{Access, FileBytes, Ground, Unavailable};
use cohortium_serve::limits::Limits;
use cohortium_serve::link::LinkKey;
use cohortium_serve::profile::{profile, write_profile};
use cohortium_serve::recipient::{BearerToken, Recipient, RecipientId, Recipients, Standing};
use cohortium_serve::schema::{Column, ColumnType};
use cohortium_serve::server::{Server, TlsKeys};
use serde_json::Value;
use tokio::sync::oneshot;

/// What the tests change while a server runs.
pub(crate) struct Shelf {
    catalogue: Mutex<Arc<Catalogue>>,
    recipients: Mutex<Arc<Recipients>>,
    files: Mutex<BTreeMap<BlobDigest, PathBuf>>,
    pub(crate) log: Mutex<Vec<Access>>,
    pub(crate) log_fails: AtomicBool,
    /// Milliseconds that the clock is ahead.
    pub(crate) ahead: AtomicU64,
}

struct PlainFile(File, u64);

impl FileBytes for PlainFile {
    fn read(&self, offset: u64, most: usize) -> Result<Bytes, Unavailable> {
        let left = usize::try_from(self.1.saturating_sub(offset)).map_err(|_| Unavailable)?;
        let mut bytes = vec![0; most.min(left)];
        self.0.read_exact_at(&mut bytes, offset).map_err(|_| Unavailable)?;
        Ok(bytes.into())
    }
}

impl Ground for Shelf {
    fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.lock().unwrap())
    }

    fn recipients(&self) -> Arc<Recipients> {
        Arc::clone(&self.recipients.lock().unwrap())
    }

    fn open(&self, file: BlobDigest) -> Result<Arc<dyn FileBytes>, Unavailable> {
        let path = self.files.lock().unwrap().get(&file).cloned().ok_or(Unavailable)?;
        let file = File::open(path).map_err(|_| Unavailable)?;
        let bytes = file.metadata().map_err(|_| Unavailable)?.len();
        Ok(Arc::new(PlainFile(file, bytes)))
    }

    fn record(&self, access: &Access) -> Result<(), Unavailable> {
        if self.log_fails.load(Ordering::Relaxed) {
            return Err(Unavailable);
        }
        self.log.lock().unwrap().push(access.clone());
        Ok(())
    }

    fn now(&self) -> UnixMillis {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        UnixMillis(u64::try_from(now.as_millis()).unwrap() + self.ahead.load(Ordering::Relaxed))
    }
}

impl Shelf {
    fn new() -> Self {
        Self {
            catalogue: Mutex::default(),
            recipients: Mutex::default(),
            files: Mutex::default(),
            log: Mutex::default(),
            log_fails: AtomicBool::new(false),
            ahead: AtomicU64::new(0),
        }
    }

    pub(crate) fn offer(&self, tables: Vec<Table>) {
        *self.catalogue.lock().unwrap() = Arc::new(Catalogue::new(tables).unwrap());
    }

    pub(crate) fn admit(&self, recipients: Vec<Recipient>) {
        *self.recipients.lock().unwrap() = Arc::new(Recipients::new(recipients));
    }

    /// A file of the shelf, with what the catalogue says of it.
    pub(crate) fn keep(&self, path: &Path, rows: u64) -> DataFile {
        let content = std::fs::read(path).unwrap();
        let digest = blob_digest(&content);
        self.files.lock().unwrap().insert(digest, path.to_owned());
        DataFile { digest, bytes: u64::try_from(content.len()).unwrap(), rows }
    }
}

/// A recipient of these tables whose token is made of one byte, good for a day.
pub(crate) fn recipient(shelf: &Shelf, number: u8, tables: &[&str]) -> Recipient {
    Recipient {
        id: RecipientId([number; 16]),
        name: format!("recipient-{number}"),
        token: token(number).hash(),
        expires: UnixMillis(shelf.now().0 + 86_400_000),
        standing: Standing::Admitted,
        tables: tables.iter().map(|table| table.parse().unwrap()).collect::<BTreeSet<_>>(),
    }
}

pub(crate) fn token(number: u8) -> BearerToken {
    BearerToken::new([number; 32])
}

pub(crate) fn table(name: &str, id: u8, versions: Vec<Version>) -> Table {
    let share_id = [name.as_bytes()[0]; 16];
    Table { name: name.parse().unwrap(), id: [id; 16], share_id, description: None, versions }
}

pub(crate) fn version(number: u64, released: u64, files: Vec<DataFile>) -> Version {
    let columns = vec![Column { name: "a".to_owned(), holds: ColumnType::Long, nullable: true, comment: None }];
    Version { number, released: UnixMillis(released), columns, files }
}

/// A running server; it ends when this is dropped.
pub(crate) struct Running {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) address: SocketAddr,
    pub(crate) base: String,
    pub(crate) folder: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
    _runtime: tokio::runtime::Runtime,
}

pub(crate) fn start(limits: Limits, tls: Option<TlsKeys>) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shelf = Arc::new(Shelf::new());
    let scheme = if tls.is_some() { "https" } else { "http" };
    let server = runtime.block_on(Server::bind("127.0.0.1:0".parse().unwrap(), tls)).unwrap();
    let address = server.address();
    let base = format!("{scheme}://{address}");
    let ground: Arc<dyn Ground> = Arc::clone(&shelf) as Arc<dyn Ground>;
    let sharing = Sharing::new(ground, LinkKey::new(&[42; 32]), base.parse().unwrap(), limits);
    runtime.spawn(server.run(Arc::new(sharing), async {
        let _: Result<(), _> = stopped.await;
    }));
    let folder = tempfile::tempdir().unwrap();
    Running { shelf, address, base, folder, _stop: stop, _runtime: runtime }
}

/// A server with two shares of made-up files, of which recipient 1 may read all but `b.s.secret`, and 2 only `b.s.secret`.
/// `a.s.t` has the versions 0 and 2; 1 was withdrawn.
pub(crate) fn furnished(limits: Limits) -> Running {
    let running = start(limits, None);
    let shelf = &running.shelf;
    let file = |name: &str, bytes: usize, rows| shelf.keep(&running.write(name, bytes), rows);
    let (one, two, three) = (file("1", 1000, 10), file("2", 300_000, 20), file("3", 3_000_000, 30));
    shelf.offer(vec![
        table("a.s.t", 1, vec![version(0, 1_000, vec![one, two]), version(2, 2_000, vec![two, three])]),
        table("a.s.t-2", 2, vec![version(0, 1_000, vec![one])]),
        table("a.x.u", 3, vec![version(0, 1_000, vec![one])]),
        table("b.s.v", 4, vec![version(0, 1_000, vec![one])]),
        table("b.s.secret", 5, vec![version(0, 1_000, vec![one])]),
    ]);
    let open = ["a.s.t", "a.s.t-2", "a.x.u", "b.s.v"];
    shelf.admit(vec![recipient(shelf, 1, &open), recipient(shelf, 2, &["b.s.secret"])]);
    running
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        assert!(self.status == 200 && self.text().ends_with('\n'), "{self:?}");
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The code of a refusal, which has the protocol's form.
    pub(crate) fn refused(&self) -> (u16, String) {
        let body = self.json();
        let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["errorCode", "message"], "{self:?}");
        (self.status, body["errorCode"].as_str().unwrap().to_owned())
    }
}

impl Running {
    /// A file whose bytes tell their place.
    pub(crate) fn write(&self, name: &str, bytes: usize) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content(bytes)).unwrap();
        path
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Writes these bytes on a connection of their own and reads one answer.
    pub(crate) fn raw(&self, request: &[u8]) -> Option<Answer> {
        let mut stream = self.connect();
        let _broken = stream.write_all(request);
        read_answer(&mut stream, request.starts_with(b"HEAD"))
    }

    /// Asks as recipient 1, or as the one of the given token.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let bearer = format!("Bearer {}", *token(1).reveal());
        let own = if named { None } else { Some(("Authorization", bearer.as_str())) };
        let lines: Vec<String> =
            headers.iter().copied().chain(own).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let lines = lines.concat();
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{lines}{length}Connection: close\r\n\r\n{body}");
        self.raw(request.as_bytes()).expect("the server answers")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", &format!("/delta-sharing{path}"), &[], "")
    }

    /// The paths of the links in an answer.
    pub(crate) fn links(&self, answer: &Answer) -> Vec<String> {
        let found = answer.lines().into_iter().filter_map(|line| {
            let action = line["file"].as_object().or(line["add"].as_object()).or(line["remove"].as_object())?.clone();
            let delta = &action
                .get("deltaSingleAction")
                .map(|single| single["add"].as_object().or(single["remove"].as_object()).unwrap()["path"].clone());
            let url = delta.clone().unwrap_or_else(|| action["url"].clone());
            Some(url.as_str().unwrap().strip_prefix(&self.base).unwrap().to_owned())
        });
        found.collect()
    }

    /// The links of a table's latest version.
    pub(crate) fn links_of(&self, table: &str) -> Vec<String> {
        let [share, schema, name] = table.split('.').collect::<Vec<_>>().try_into().unwrap();
        let path = format!("/delta-sharing/shares/{share}/schemas/{schema}/tables/{name}/query");
        self.links(&self.ask("POST", &path, &[], "{}"))
    }

    /// The profile of recipient 1.
    pub(crate) fn profile(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let expires = UnixMillis(self.shelf.now().0 + 86_400_000);
        write_profile(&path, &profile(&self.base.parse().unwrap(), &token(1), expires)).unwrap();
        path
    }
}

pub(crate) fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// One answer; `None` where the connection ended before there was a whole head.
pub(crate) fn read_answer(stream: &mut TcpStream, no_body: bool) -> Option<Answer> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let mut some = [0; 4096];
        match stream.read(&mut some) {
            Ok(0) | Err(_) => return None,
            Ok(got) => read.extend_from_slice(&some[..got]),
        }
    };
    let head = String::from_utf8(read[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let bytes = headers["content-length"].parse().unwrap();
    let mut body = read[end..].to_vec();
    while !no_body && body.len() < bytes {
        let mut some = vec![0; 64 << 10];
        match stream.read(&mut some) {
            Ok(0) | Err(_) => break,
            Ok(got) => body.extend_from_slice(&some[..got]),
        }
    }
    Some(Answer { status, headers, body })
}
