//! Objects of a store as sources: fetched in one version, or not at all.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use cohortium_tests::real::network::{Network, Offer, Plan};
use cohortium_tests::real::source::CANARY;

use crate::PROGRAM;
use crate::drawn::{DEFINE, left, secret};

/// A store with one object. Each answer is of the bytes that are there when it is asked for.
struct Store {
    port: u16,
    object: Arc<Mutex<Vec<u8>>>,
}

impl Store {
    /// After so many answers the object becomes another.
    fn start(bytes: Vec<u8>, change_after: Option<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let object = Arc::new(Mutex::new(bytes));
        let held = Arc::clone(&object);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                if Some(number) == change_after {
                    held.lock().unwrap()[0] ^= 1;
                }
                answer(stream, &held.lock().unwrap());
            }
        });
        Self { port, object }
    }
}

fn answer(mut stream: TcpStream, object: &[u8]) {
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let Ok(read @ 1..) = stream.read(&mut piece) else { return };
        request.extend(&piece[..read]);
    }
    let request = String::from_utf8_lossy(&request).to_lowercase();
    let tag = format!(
        "\"{:x}\"",
        object.iter().fold(object.len() as u64, |sum, byte| sum.wrapping_mul(31) ^ u64::from(*byte))
    );
    let common = format!("Connection: close\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nETag: {tag}\r\n");
    let range = request.lines().find_map(|line| line.strip_prefix("range: bytes="));
    let said = request.lines().find_map(|line| line.strip_prefix("if-match: "));
    let answer = match range {
        _ if !request.contains("authorization: aws4-hmac-sha256 credential=name/") => {
            b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 6\r\n\r\ncanary".to_vec()
        }
        _ if said.is_some_and(|said| said != tag) => {
            b"HTTP/1.1 412 Precondition Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
        None => format!("HTTP/1.1 200 OK\r\n{common}Content-Length: {}\r\n\r\n", object.len()).into_bytes(),
        Some(range) => {
            let (start, end) = range.trim().split_once('-').unwrap();
            let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
            let total = object.len();
            let head =
                format!("Content-Range: bytes {start}-{end}/{total}\r\nContent-Length: {}\r\n\r\n", end + 1 - start);
            let mut all = format!("HTTP/1.1 206 Partial Content\r\n{common}{head}").into_bytes();
            all.extend(&object[start..=end]);
            all
        }
    };
    let _ = stream.write_all(&answer);
}

#[test]
fn an_object_of_a_store_is_shared_in_one_version_or_not_at_all() {
    let mut text = String::from("eid;name;age;sodium;seen\n");
    for row in 0..200_000 {
        writeln!(text, "{row};{CANARY}{row};{};140;2024-01-01", 20 + row % 60).unwrap();
    }
    let store = Store::start(text.clone().into_bytes(), None);
    let net = Network::new(Plan::pair(PROGRAM));
    let north = net.north();
    let credentials = secret(&net.path("credentials"), "name\nkey\n");
    let at = |port: u16| format!("http://127.0.0.1:{port}");
    let source = |endpoint: &str, credentials: &str| {
        [
            "--s3",
            "ward/a/stays.csv",
            "--endpoint",
            endpoint,
            "--credentials",
            credentials,
            "--delimiter",
            ";",
            "--key",
            "eid",
        ]
        .map(str::to_owned)
    };
    let first = source(&at(store.port), &credentials);
    net.offer(&Offer {
        from: north,
        to: &net.op,
        name: "stays",
        source: &first.each_ref().map(String::as_str),
        define: &DEFINE,
        approve: &[],
    });
    north.tell(&["share", "take", "stays"]);
    net.op.until_landed("stays", 1);
    assert_eq!(net.op.tell(&["subscription", "count", "stays"])["rows"], 200_000);
    assert_eq!(left(north), Vec::<PathBuf>::new());
    // A delta of the next version.
    let more = format!("{text}200000;{CANARY};40;141;2024-01-02\n");
    *store.object.lock().unwrap() = more.into_bytes();
    north.tell(&["share", "take", "stays"]);
    net.op.until_landed("stays", 2);
    assert_eq!(net.op.subscription("stays")["snapshots"][1]["base"], "delta");
    // A version that is gone between two ranges, and credentials that do not count.
    let meddled = Store::start(vec![b'x'; 10 << 20], Some(2));
    let stranger = secret(&net.path("stranger"), "nobody\nkey\n");
    let wrong = [source(&at(meddled.port), &credentials), source(&at(store.port), &stranger)];
    for (number, (source, fault)) in wrong.iter().zip(["changed", "unreadable"]).enumerate() {
        let source = source.each_ref().map(String::as_str);
        north.tell(&[&["dataset", "add", "stays"], &source[..]].concat());
        north.tell(&["share", "approve", "stays"]);
        north.tell(&["share", "take", "stays"]);
        assert_eq!(north.until_act("snapshot-failed", number)["fault"], fault);
        let said = north.say(&["dataset", "profile", "stays"]).unwrap();
        assert!(number == 0 || (said.code == 4 && !said.error.contains("canary")), "{}", said.error);
    }
    assert_eq!(left(north), Vec::<PathBuf>::new());
}
