//! Where UDP is dropped: TLS over TCP, directly and through an HTTP CONNECT proxy.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use cohortium_testnet::cluster::free_port;
use cohortium_tests::real::network::{Network, Plan, Way, create, init};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::{column, table};
use cohortium_tests::real::until;

use crate::PROGRAM;

#[test]
fn a_member_that_tries_quic_in_vain_falls_back_to_tcp() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, free_port().unwrap()).into();
    let mut op = Site::new("op", dir.path(), PROGRAM);
    init(&op, dir.path(), &["--listen-tcp", &address.to_string()]);
    create(&op, &address.to_string(), "rehearsal");
    op.up();
    op.tell(&["consortium", "invite", "--name", "north", "--title", "North", "-o", &at("token")]);
    let mut north = Site::new("north", dir.path(), PROGRAM);
    init(&north, dir.path(), &[]);
    north.tell(&["consortium", "join", &at("token")]);
    north.up();
    op.tell(&["charter", "propose", "--admit-all"]);
    north.tell_soon(&["charter", "sign", "2"]);
    until("both to be connected", || {
        (op.view()["parties"]["north"]["connected"] == true && north.view()["parties"]["op"]["connected"] == true)
            .then_some(())
    });
}

/// A proxy that knows nothing but CONNECT. Counts the bytes that go through it.
fn proxy() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (address, passed) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&passed);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let counter = Arc::clone(&counter);
            thread::spawn(move || serve(&client, &counter));
        }
    });
    (address, passed)
}

fn serve(client: &TcpStream, counter: &Arc<AtomicU64>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let target = first.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    while {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        line != "\r\n"
    } {}
    let server = TcpStream::connect(target).ok()?;
    let mut answers = client;
    answers.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    let (mut from_server, mut to_client) = (server.try_clone().ok()?, client.try_clone().ok()?);
    let down = Arc::clone(counter);
    thread::spawn(move || {
        let copied = std::io::copy(&mut from_server, &mut to_client).unwrap_or(0);
        down.fetch_add(copied, Ordering::Relaxed);
        let _ = to_client.shutdown(std::net::Shutdown::Both);
    });
    let copied = std::io::copy(&mut reader, &mut &server).unwrap_or(0);
    counter.fetch_add(copied, Ordering::Relaxed);
    let _ = server.shutdown(std::net::Shutdown::Both);
    Some(())
}

#[test]
fn a_member_behind_a_proxy_joins_and_shares_through_it() {
    let mut net = Network::new(Plan { members: &[], ..Plan::pair(PROGRAM) });
    let (proxy, passed) = proxy();
    let token = net.text("token");
    net.op.tell(&["consortium", "invite", "--name", "north", "--title", "North", "-o", &token]);
    let mut north = Site::new("north", net.path("").as_path(), PROGRAM);
    init(&north, net.path("").as_path(), &["--proxy", &proxy.to_string()]);
    cohortium_tests::real::network::configure(&north, "routes = [\"proxy\"]");
    north.tell(&["consortium", "join", &token]);
    north.up();
    net.op.tell(&["charter", "propose", "--admit-all"]);
    net.members.push(north);
    net.sign(&net.op.view()["proposals"][0]["charter"]["version"].to_string());
    table(&net.path("los.csv"), 0..500, 0..0);
    net.offer_table("los");
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 1);
    net.op.tell(&["subscription", "checkout", "los", &net.text("out.csv")]);
    assert_eq!(column(&net.path("out.csv"), "age").len(), 500);
    net.north_mut().down();
    until("the proxy to have counted", || (passed.load(Ordering::Relaxed) > 1000).then_some(()));
    assert_eq!(Plan::pair(PROGRAM).way, Way::Quic, "the operator listened for QUIC as well, and was not asked");
}
