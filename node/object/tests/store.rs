//! Fetching from a real S3 server, started and ended by these tests, and from one that lies.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cohortium_object::fetch::{FetchFault, FetchLimits, Fetched, fetch};
use cohortium_object::place::{Credentials, Place};
use tempfile::TempDir;

/// Says a line that the test harness does not swallow.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// An S3 server over a folder: its folders are buckets, its files objects.
struct Store {
    folder: TempDir,
    port: u16,
    server: Child,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Store {
    /// `None`, and a line that says so, where `s3s-fs` is not installed.
    fn start() -> Option<Self> {
        let named = std::env::var_os("COHORTIUM_S3_SERVER").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found =
            named.or_else(|| std::env::split_paths(&path).map(|dir| dir.join("s3s-fs")).find(|file| file.exists()));
        let Some(program) = found else {
            assert!(std::env::var_os("COHORTIUM_NEED_DATABASES").is_none(), "s3s-fs is not installed and must be");
            say("skipped: s3s-fs is not installed; README.md says how");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bucket")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--access-key", "name", "--secret-key", "key"]);
        command.args(["--port", &port.to_string()]).arg(folder.path());
        let server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let store = Self { folder, port, server };
        let until = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "s3s-fs does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        say("objects: s3s-fs runs for this test");
        Some(store)
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.folder.path().join("bucket").join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn place(&self, key: &str) -> Place {
        place(self.port, key)
    }
}

fn place(port: u16, key: &str) -> Place {
    Place {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        region: "us-east-1".to_owned(),
        bucket: "bucket".to_owned(),
        key: key.to_owned(),
        root_pem: None,
    }
}

fn credentials(secret: &str) -> Credentials {
    Credentials { access_key: "name".to_owned().into(), secret: secret.to_owned().into(), token: None }
}

/// Small ranges, so that a small object takes several.
fn limits() -> FetchLimits {
    FetchLimits { range_bytes: 1_000, request_max: Duration::from_secs(20), ..FetchLimits::default() }
}

async fn fetched(place: &Place, limits: &FetchLimits) -> Result<(Vec<u8>, Fetched), FetchFault> {
    let mut bytes = Vec::new();
    let fetched = fetch(place, Some(&credentials("key")), limits, &mut bytes).await?;
    Ok((bytes, fetched))
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
}

#[tokio::test]
async fn an_object_arrives_whole_in_ranges() {
    let Some(store) = Store::start() else { return };
    for length in [0, 1, 999, 1_000, 1_001, 50_000] {
        store.put("in a/folder/ä%41 b.csv", &content(length));
        let (bytes, fetched) = fetched(&store.place("in a/folder/ä%41 b.csv"), &limits()).await.unwrap();
        assert!(bytes == content(length), "{length}");
        assert_eq!(fetched.bytes, length as u64);
    }
}

#[tokio::test]
async fn what_is_too_large_not_there_or_not_allowed_is_a_fault() {
    let Some(store) = Store::start() else { return };
    store.put("one", &content(2_000));
    let most = |object_bytes_max| FetchLimits { object_bytes_max, ..limits() };
    assert_eq!(fetched(&store.place("one"), &most(2_000)).await.unwrap().0.len(), 2_000);
    let large = fetched(&store.place("one"), &most(1_999)).await.unwrap_err();
    assert_eq!(large, FetchFault::TooLarge { bytes: 2_000, max: 1_999 });
    assert_eq!(fetched(&store.place("two"), &limits()).await.unwrap_err(), FetchFault::NotFound);
    for key in ["../bucket/one", "a//b", "./one"] {
        assert_eq!(fetched(&store.place(key), &limits()).await.unwrap_err(), FetchFault::Place, "{key}");
    }
    for asker in [Some(credentials("another")), None] {
        let mut bytes = Vec::new();
        let fault = fetch(&store.place("one"), asker.as_ref(), &limits(), &mut bytes).await.unwrap_err();
        assert_eq!((fault, bytes.len()), (FetchFault::Denied, 0));
    }
}

/// A sink in whose midst somebody writes another version.
struct Meddling<'a> {
    store: &'a Store,
    with: Option<Vec<u8>>,
    bytes: usize,
}

impl Write for Meddling<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.bytes += buffer.len();
        if self.bytes >= 3_000
            && let Some(other) = self.with.take()
        {
            self.store.put("one", &other);
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_object_that_changes_meanwhile_fails_the_fetch() {
    let Some(store) = Store::start() else { return };
    let mut same_length = content(10_000);
    same_length[9_999] ^= 1;
    for other in [same_length, content(20_000), content(5)] {
        store.put("one", &content(10_000));
        let mut sink = Meddling { store: &store, with: Some(other), bytes: 0 };
        let fault = fetch(&store.place("one"), Some(&credentials("key")), &limits(), &mut sink).await.unwrap_err();
        assert_eq!((fault, sink.bytes), (FetchFault::Changed, 3_000));
    }
}

/// A sink that takes nothing.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server that gives these answers, one a connection, and hands back what it heard.
fn liar(answers: Vec<String>) -> (u16, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let mut heard = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4_096];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let length = stream.read(&mut piece).unwrap();
                assert!(length > 0, "a request ends with an empty line");
                request.extend(&piece[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            heard.push(String::from_utf8(request).unwrap().to_lowercase());
        }
        heard
    });
    (port, server)
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n";
const PART: &str =
    "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n";

#[tokio::test]
async fn a_store_that_says_the_object_changed_is_believed_and_was_told_which_version_is_meant() {
    let head = format!("{HEAD}ETag: \"v1\"\r\nContent-Length: 4\r\n\r\n");
    let changed = "HTTP/1.1 412 Precondition Failed\r\nConnection: close\r\nContent-Length: 6\r\n\r\ncanary".to_owned();
    let (port, server) = liar(vec![head, changed]);
    let fault = fetched(&place(port, "one"), &limits()).await.unwrap_err();
    assert_eq!(fault, FetchFault::Changed);
    assert!(!fault.to_string().contains("canary"));
    let heard = server.join().unwrap();
    assert!(heard[0].starts_with("head /bucket/one"), "{}", heard[0]);
    assert!(heard[1].contains("if-match: \"v1\"") && heard[1].contains("range: bytes=0-3"), "{}", heard[1]);
}

#[tokio::test]
async fn versions_without_a_tag_and_ranges_of_another_length_are_faults() {
    for tag in ["", "ETag: W/\"v1\"\r\n", "ETag: \r\n"] {
        let (port, _server) = liar(vec![format!("{HEAD}{tag}Content-Length: 4\r\n\r\n")]);
        assert_eq!(fetched(&place(port, "one"), &limits()).await.unwrap_err(), FetchFault::NoTag, "{tag}");
    }
    let head = || format!("{HEAD}ETag: \"v1\"\r\nContent-Length: 4\r\n\r\n");
    let part = |tag: &str, range: &str, body: &str| {
        format!("{PART}ETag: {tag}\r\nContent-Range: bytes {range}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    for (answer, fault) in [
        (part("\"v2\"", "0-3/4", "abcd"), FetchFault::Changed),
        (part("\"v1\"", "0-3/5", "abcd"), FetchFault::Changed),
        (part("\"v1\"", "0-2/4", "abc"), FetchFault::Store { at: 0 }),
        (part("\"v1\"", "0-3/4", "abc"), FetchFault::Length { at: 0 }),
        (part("\"v1\"", "0-3/4", "abcde"), FetchFault::Length { at: 0 }),
    ] {
        let (port, server) = liar(vec![head(), answer.clone()]);
        assert_eq!(fetched(&place(port, "one"), &limits()).await.unwrap_err(), fault, "{answer}");
        server.join().unwrap();
    }
    let (port, _server) = liar(vec![head(), part("\"v1\"", "0-3/4", "abcd")]);
    assert_eq!(fetched(&place(port, "one"), &limits()).await.unwrap().0, b"abcd");
    let (port, _server) = liar(vec![head(), part("\"v1\"", "0-3/4", "abcd")]);
    let full = fetch(&place(port, "one"), None, &limits(), &mut Full).await.unwrap_err();
    assert_eq!(full, FetchFault::Sink { kind: io::ErrorKind::StorageFull });
}
