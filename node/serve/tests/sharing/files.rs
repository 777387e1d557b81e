//! Links to files: what they give, and when they stop.

use std::io::Read;
use std::io::Write;
use std::sync::atomic::Ordering;

use cohortium_serve::limits::Limits;
use cohortium_serve::recipient::{Recipient, Standing};
use cohortium_serve::server::{Server, ServerFault, TlsKeys};

use crate::ground::{Running, content, furnished, recipient, start, table, token, version};

/// A change that takes access back, and what a reader is told then.
type Change = (fn(&Running), u16, &'static str);

fn only(running: &Running) -> Recipient {
    recipient(&running.shelf, 1, &["a.s.t"])
}

/// Everything that ends a link.
const ENDS: [Change; 6] = [
    (|running| running.shelf.admit(vec![Recipient { standing: Standing::Revoked, ..only(running) }]), 403, "REVOKED"),
    (|running| running.shelf.ahead.store(3_600_001, Ordering::Relaxed), 403, "LINK_EXPIRED"),
    (|running| running.shelf.admit(vec![Recipient { token: token(7).hash(), ..only(running) }]), 403, "LINK_INVALID"),
    (|running| running.shelf.admit(vec![]), 403, "LINK_INVALID"),
    (|running| running.shelf.admit(vec![recipient(&running.shelf, 1, &["b.s.v"])]), 404, "RESOURCE_DOES_NOT_EXIST"),
    (|running| running.shelf.offer(vec![]), 404, "RESOURCE_DOES_NOT_EXIST"),
];

// DSS-12
#[test]
fn a_link_needs_no_token_and_gives_one_file() {
    let running = furnished(Limits::default());
    let link = &running.links_of("a.s.t")[1];
    let none = [("Authorization", "")];
    let whole = running.ask("GET", link, &none, "");
    assert_eq!((whole.status, whole.body == content(3_000_000)), (200, true));
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    assert_eq!(whole.headers["content-type"], "application/vnd.apache.parquet");
    let head = running.ask("HEAD", link, &none, "");
    assert_eq!((head.status, head.headers["content-length"].as_str(), head.body.len()), (200, "3000000", 0));
    for (range, from, to) in
        [("bytes=0-0", 0, 1), ("bytes=1048570-1048580", 1_048_570, 1_048_581), ("bytes=-7", 2_999_993, 3_000_000)]
    {
        let part = running.ask("GET", link, &[("Range", range), none[0]], "");
        assert_eq!((part.status, part.body == content(3_000_000)[from..to]), (206, true), "{range}");
        assert_eq!(part.headers["content-range"], format!("bytes {from}-{}/3000000", to - 1));
        let head = running.ask("HEAD", link, &[("Range", range)], "");
        assert_eq!((head.status, &head.headers["content-range"]), (206, &part.headers["content-range"]));
    }
    let beyond = running.ask("GET", link, &[("Range", "bytes=3000000-")], "");
    assert_eq!((beyond.refused().0, beyond.headers["content-range"].as_str()), (416, "bytes */3000000"));
}

// DSS-12 DSS-17
#[test]
fn whatever_ends_a_link_ends_it_at_once_for_get_head_and_range() {
    for (change, status, code) in ENDS {
        let running = furnished(Limits::default());
        let link = &running.links_of("a.s.t")[0];
        assert_eq!(running.ask("GET", link, &[], "").status, 200);
        change(&running);
        let refused = (status, code.to_owned());
        assert_eq!(running.ask("GET", link, &[], "").refused(), refused);
        assert_eq!(running.ask("GET", link, &[("Range", "bytes=0-0")], "").refused(), refused);
        assert_eq!(running.ask("HEAD", link, &[], "").status, status);
    }
}

// DSS-17
#[test]
fn whatever_ends_a_link_cuts_a_transfer_that_is_on_its_way() {
    for (change, _, code) in ENDS {
        let running = start(Limits::default(), None);
        let big = running.shelf.keep(&running.write("big", 64 << 20), 1);
        running.shelf.offer(vec![table("a.s.t", 1, vec![version(0, 0, vec![big])])]);
        running.shelf.admit(vec![only(&running)]);
        let link = &running.links_of("a.s.t")[0];
        let mut stream = running.connect();
        write!(stream, "GET {link} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut some = vec![0; 1 << 20];
        stream.read_exact(&mut some).unwrap();
        change(&running);
        let mut rest = Vec::new();
        let _broken = stream.read_to_end(&mut rest);
        let read = (some.len() + rest.len()) >> 20;
        assert!(read < 32, "{code}: {read} MiB were read after access was taken back");
    }
}

#[test]
fn a_version_that_is_withdrawn_takes_its_files_with_it_and_no_others() {
    let running = furnished(Limits::default());
    let before = running.links(&running.ask(
        "POST",
        "/delta-sharing/shares/a/schemas/s/tables/t/query",
        &[],
        r#"{"version":0}"#,
    ));
    let after = running.links_of("a.s.t");
    let three = running.shelf.keep(&running.write("3", 3_000_000), 30);
    running.shelf.offer(vec![table("a.s.t", 1, vec![version(2, 2_000, vec![three])])]);
    assert_eq!(running.ask("GET", &before[0], &[], "").status, 404);
    assert_eq!(running.ask("GET", &after[0], &[], "").status, 404, "the file went out of the version");
    assert_eq!(running.ask("GET", &after[1], &[], "").status, 200);
    let changes = running.get("/shares/a/schemas/s/tables/t/changes?startingVersion=0").lines();
    assert_eq!(changes.len(), 3, "what was withdrawn is not in the feed, not even as removed");
}

#[test]
fn a_link_cannot_be_bent() {
    let running = furnished(Limits::default());
    let links = running.links_of("a.s.t");
    let link = &links[0];
    let bare = link.strip_suffix(".parquet").unwrap();
    let (start, end) = bare.split_at(bare.len() - 43);
    let mixed = format!("{start}{}.parquet", &links[1].strip_suffix(".parquet").unwrap()[bare.len() - 43..]);
    let bent = [
        bare.to_owned(),
        format!("{bare}.csv"),
        format!("{start}.parquet"),
        mixed,
        format!("{bare}%00.parquet"),
        format!("{start}A{end}.parquet"),
        "/delta-sharing/files/.parquet".to_owned(),
        "/delta-sharing/files/x.parquet".to_owned(),
        "/delta-sharing/files/..%2f..%2fetc%2fpasswd".to_owned(),
        "/delta-sharing/files/%ff.parquet".to_owned(),
    ];
    for path in &bent {
        assert_eq!(running.ask("GET", path, &[], "").refused(), (403, "LINK_INVALID".to_owned()), "{path}");
    }
    for path in [format!("{link}?x=1"), format!("{link}?sp=rw"), format!("{link}?sp=r&sp=r"), format!("{link}?")] {
        assert_eq!(running.ask("GET", &path, &[], "").refused().0, 400, "{path}");
    }
    assert_eq!(running.ask("GET", &format!("{link}?sp=r"), &[], "").status, 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"] {
        assert_eq!(running.ask(method, link, &[], "").refused(), (405, "METHOD_NOT_ALLOWED".to_owned()), "{method}");
    }
}

// DSS-1
#[test]
fn without_tls_a_server_listens_within_its_machine_alone() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bind = |address: &str| runtime.block_on(Server::bind(address.parse().unwrap(), None));
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:127.0.0.1]:0"] {
        assert!(matches!(bind(address), Err(ServerFault::InTheOpen { .. })), "{address}");
    }
    assert!(bind("127.0.0.1:0").is_ok());
    let keys = keys();
    assert!(runtime.block_on(Server::bind("0.0.0.0:0".parse().unwrap(), Some(keys))).is_ok());
    assert!(matches!(TlsKeys::from_pem(b"x", b"y"), Err(ServerFault::Certificate)));
}

fn keys() -> TlsKeys {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    TlsKeys::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes()).unwrap()
}
