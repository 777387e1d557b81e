//! Callers that mean harm or do not know better: a clear answer, in time, and a server that goes on.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use cohortium_serve::limits::Limits;

use crate::ground::{Running, furnished, read_answer, token};

fn alive(running: &Running) {
    assert_eq!(running.get("/shares").status, 200, "the server goes on");
}

/// Bounds that a test can wait for.
fn hasty() -> Limits {
    let short = Duration::from_millis(400);
    Limits {
        head_max: short,
        body_max: short,
        idle_max: short,
        write_max: short,
        handshake_max: short,
        ..Limits::default()
    }
}

// DSS-18
#[test]
fn what_is_too_long_is_refused_with_the_protocols_json() {
    let running = furnished(Limits::default());
    let head =
        |rest: &str| running.raw(format!("GET /delta-sharing/shares HTTP/1.1\r\nHost: x\r\n{rest}\r\n\r\n").as_bytes());
    assert_eq!(head(&format!("X: {}", "y".repeat(17 << 10))).unwrap().refused().0, 431);
    assert_eq!(head(&"X: y\r\n".repeat(100)).unwrap().refused().0, 431);
    assert_eq!(head(&format!("X: {}", "y".repeat(4 << 20))).unwrap().refused().0, 431, "far more than fits");
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(8 << 10));
    assert_eq!(running.raw(long.as_bytes()).unwrap().refused().0, 414);
    let path = "/delta-sharing/shares/a/schemas/s/tables/t/query";
    let body = format!("{{\"predicateHints\":[\"{}\"]}}", "x".repeat(70 << 10));
    assert_eq!(running.ask("POST", path, &[], &body).refused().0, 413);
    let lying = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
    assert_eq!(running.raw(lying.as_bytes()).unwrap().refused().0, 413);
    let chunked = format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(running.raw(chunked.as_bytes()).unwrap().refused().0, 411);
    let huge_name = format!("/shares/{}/schemas", "a".repeat(200));
    assert_eq!(running.get(&huge_name).refused().0, 400);
    alive(&running);
}

// DSS-19
#[test]
fn path_tricks_get_a_clear_refusal() {
    let running = furnished(Limits::default());
    let tricks = [
        "/delta-sharing/shares/../../etc/passwd",
        "/delta-sharing/shares/%2e%2e/schemas",
        "/delta-sharing/shares/a%2fb/schemas",
        "/delta-sharing/shares/a%00/schemas",
        "/delta-sharing/shares/%ff/schemas",
        "/delta-sharing//shares",
        "//delta-sharing/shares",
        "/delta-sharing/shares/",
        "/delta-sharing/shares/a%20b/all-tables",
        "/delta-sharing/shares/a\\..\\b/schemas",
        "/",
        "/shares",
        "/delta-sharing/shares/%252e%252e/schemas",
        "/delta-sharing/shares/a;b/schemas",
        "/delta-sharing/shares/{share}/schemas",
        "/delta-sharing/shares/a/schemas/s/tables/t/../../../../b/schemas/s/tables/secret/metadata",
        "/delta-sharing/SHARES",
    ];
    for path in tricks {
        let (status, _) = running.ask("GET", path, &[], "").refused();
        assert!(status == 400 || status == 404, "{path}: {status}");
    }
    let rubbish: [&[u8]; 7] = [
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET /delta-sharing/shares HTTP/9.9\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    ];
    for bytes in rubbish {
        let (status, _) = running.raw(bytes).unwrap().refused();
        assert_eq!(status, 400, "{}", String::from_utf8_lossy(bytes));
    }
    alive(&running);
}

// DSS-16
#[test]
fn range_tricks_get_a_clear_refusal() {
    let running = furnished(Limits::default());
    let link = &running.links_of("a.s.t")[0];
    let many = format!("bytes={}", vec!["0-0"; 2000].join(","));
    for range in ["bytes=9-1", "bytes=300000-", "bytes=-0", "bytes=0-1,5-6", &many, "lines=1-2", "bytes=-", "bytes=1-x"]
    {
        assert_eq!(running.ask("GET", link, &[("Range", range)], "").refused().0, 416, "{range}");
    }
    let twice = running.ask("GET", link, &[("Range", "bytes=0-0"), ("Range", "bytes=1-1")], "");
    assert_eq!(twice.refused().0, 416);
    alive(&running);
}

// DSS-20
#[test]
fn who_sends_or_reads_too_slowly_is_cut() {
    let running = furnished(hasty());
    let late = |first: &[u8], drip: &[u8]| {
        let mut stream = running.connect();
        stream.write_all(first).unwrap();
        let began = Instant::now();
        for _ in 0..40 {
            std::thread::sleep(Duration::from_millis(50));
            if stream.write_all(drip).is_err() || began.elapsed() > Duration::from_secs(1) {
                break;
            }
        }
        let answer = read_answer(&mut stream, false).map(|answer| answer.refused().0);
        (answer, began.elapsed() < Duration::from_secs(5))
    };
    assert_eq!(late(b"GET /delta-sharing/shares HTTP/1.1\r\nX: ", b"y"), (Some(408), true), "a head that dribbles");
    let body =
        b"POST /delta-sharing/shares/a/schemas/s/tables/t/query HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n";
    assert_eq!(late(body, b" "), (Some(408), true), "a body that dribbles");
    let mut idle = running.connect();
    let began = Instant::now();
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0, "who says nothing is left");
    assert!(began.elapsed() < Duration::from_secs(5));
    alive(&running);
}

// DSS-20
#[test]
fn who_does_not_read_is_cut_and_gives_its_place_back() {
    let running = furnished(Limits { requests_per_recipient_max: 3, ..hasty() });
    let big = running.shelf.keep(&running.write("big", 64 << 20), 1);
    running.shelf.offer(vec![crate::ground::table("a.s.t", 1, vec![crate::ground::version(0, 0, vec![big])])]);
    let link = &running.links_of("a.s.t")[0];
    let mut stuck: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = running.connect();
            write!(stream, "GET {link} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut some = [0; 1000];
            stream.read_exact(&mut some).unwrap();
            stream
        })
        .collect();
    // DSS-21
    let busy = running.ask("GET", link, &[], "");
    assert_eq!((busy.refused(), busy.headers["retry-after"].as_str()), ((429, "RESOURCE_EXHAUSTED".to_owned()), "1"));
    assert_eq!(running.get("/shares").refused().0, 429);
    let other = format!("Bearer {}", *token(2).reveal());
    assert_eq!(
        running.ask("GET", "/delta-sharing/shares", &[("Authorization", &other)], "").status,
        200,
        "others are free"
    );
    std::thread::sleep(Duration::from_secs(2));
    alive(&running);
    let mut rest = Vec::new();
    let _broken = stuck[0].read_to_end(&mut rest);
    assert!(rest.len() < 64 << 20, "the transfer was cut");
}

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let running = furnished(Limits::default());
    let mut stream = running.connect();
    let bearer = token(1).reveal();
    let ask = |path: &str| {
        format!("GET /delta-sharing{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", *bearer)
    };
    let both = ask("/shares/a") + &ask("/shares/b");
    for byte in both.as_bytes().chunks(7) {
        stream.write_all(byte).unwrap();
    }
    // Both may come in one read, so the whole of it is looked at.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut read = String::new();
    stream.read_to_string(&mut read).unwrap();
    assert_eq!(read.matches("HTTP/1.1 200 OK").count(), 2, "{read}");
    assert!(read.find("\"name\":\"a\"").unwrap() < read.find("\"name\":\"b\"").unwrap());
    let expecting = format!(
        "POST /delta-sharing/shares/a/schemas/s/tables/t/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
        *bearer
    );
    let mut stream = running.connect();
    stream.write_all(expecting.as_bytes()).unwrap();
    let mut word = [0; 25];
    stream.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").unwrap();
    assert_eq!(read_answer(&mut stream, false).unwrap().status, 200);
}
