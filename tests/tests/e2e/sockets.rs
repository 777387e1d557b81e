//! The control socket and the home folder: closed to others, and unmoved by garbage.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::files_below;

use crate::PROGRAM;

fn mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What the daemon answers to raw bytes, up to the end of the connection.
fn answer(site: &Site, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(site.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The daemon may close before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn garbage_on_the_control_socket_is_answered_by_an_error_and_the_daemon_goes_on() {
    let net = Network::new(Plan::pair(PROGRAM));
    let north = net.north();
    let deep = format!("{{\"version\":1,\"request\":{}", "[".repeat(100_000));
    let cases: [&[u8]; 8] = [
        b"hello\n",
        b"\n",
        b"\xff\xfe\x00\x01\n",
        b"{\"version\":1}\n",
        b"{\"version\":999,\"request\":\"ping\"}\n",
        b"{\"version\":1,\"request\":\"dance\"}\n",
        b"{\"version\":1,\"request\":{\"order\":{\"payload_type\":\"x\",\"payload\":\"zz\",\"signatures\":[]}}}\n",
        deep.as_bytes(),
    ];
    for case in cases {
        let said = answer(north, case);
        assert!(
            said.contains("\"kind\":\"usage\""),
            "{:?}: {said}",
            String::from_utf8_lossy(&case[..case.len().min(60)])
        );
    }
    let long = vec![b'x'; 5 << 20];
    let said = answer(north, &long);
    assert!(said.is_empty() || said.contains("longer than"), "{said}");
    assert!(answer(north, b"").is_empty());
    // Many callers that say nothing do not keep others out for good.
    let idle: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(north.socket()).unwrap()).collect();
    north.tell(&["status"]);
    drop(idle);
    assert!(answer(north, b"{\"version\":1,\"request\":\"ping\"}\n").contains("pong"));
}

#[test]
fn nothing_of_a_home_can_be_opened_by_others() {
    let mut net = Network::new(Plan::pair(PROGRAM));
    let home = net.north().home.clone();
    assert_eq!(fs::metadata(&home).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(net.north().socket()).unwrap().mode() & 0o777, 0o600);
    for path in
        files_below(&home).iter().filter(|path| path.ends_with("keystore") || path.extension() == Some("key".as_ref()))
    {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o077, 0, "{}", path.display());
    }
    if rustix_is_root() {
        // The folder above is opened, so that only the home's own mode stands in the way.
        mode(home.parent().unwrap(), 0o755);
        let connect = format!("import socket; socket.socket(socket.AF_UNIX).connect({:?})", net.north().socket());
        let other = Command::new("python3").args(["-c", &connect]).uid(65534).gid(65534).output().unwrap();
        assert!(!other.status.success(), "another user has opened the socket");
    } else {
        eprintln!("skipped: trying the socket as another user needs root");
    }
    net.north_mut().down();
    for open in [0o710, 0o701, 0o750, 0o755] {
        mode(&home, open);
        let said = net.north().refused(&["verify"], 7);
        assert!(said.contains("chmod"), "{said}");
        assert!(net.north_mut().start().is_err(), "a daemon started in a home that others can open");
    }
    mode(&home, 0o700);
    let key = net.path("north.key");
    mode(&key, 0o644);
    assert!(net.north_mut().start().is_err(), "a key file that others can read was used");
    mode(&key, 0o600);
    net.north_mut().up();
    // A second daemon in the same home finds the first.
    let second = net.north().say(&["run"]).unwrap();
    assert_ne!(second.code, 0, "two daemons in one home");
    net.north().tell(&["status"]);
}

fn rustix_is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}
