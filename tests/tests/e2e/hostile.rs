//! Bent tables through a real daemon and its worker: each is taken or refused with a code, and the daemon goes on.

use std::collections::BTreeMap;
use std::fs;

use cohortium_tests::real::is_long;
use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::source::{CANARY, table};

use crate::PROGRAM;

/// A stream of numbers that follows from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (end.max(1) as u64)).unwrap()
    }
}

/// A few bytes changed, cut out, doubled or put in.
fn bend(good: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        let to = (at + numbers.below(64)).min(bytes.len());
        match numbers.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
            1 => drop(bytes.drain(at..to)),
            2 => {
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => drop(bytes.splice(at..at, *b"\"\n,\r\0\xff\xfe")),
            4 => bytes.truncate(at),
            _ if to - at >= 4 => bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes()),
            _ => {}
        }
    }
    bytes
}

#[test]
fn bent_tables_are_taken_or_refused_and_the_daemon_goes_on() {
    let net = Network::new(Plan::pair(PROGRAM));
    table(&net.path("los.csv"), 0..200, 0..0);
    net.offer_table("los");
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 1);
    net.op.tell(&["subscription", "checkout", "los", &net.text("good.parquet")]);
    let rounds = if is_long() { 3000 } else { 40 };
    let mut codes: BTreeMap<(&str, i32), u32> = BTreeMap::new();
    let north = net.north();
    for (kind, file) in [("csv", "los.csv"), ("parquet", "good.parquet")] {
        let good = fs::read(net.path(file)).unwrap();
        let path = net.text(&format!("bent.{kind}"));
        fs::write(&path, &good).unwrap();
        north.tell(&["dataset", "add", &format!("bent-{kind}"), &format!("--{kind}"), &path]);
        let mut numbers = Numbers(0x1234_5678_9abc_def1);
        for round in 0..rounds {
            fs::write(&path, bend(&good, &mut numbers)).unwrap();
            let said = north.say(&["dataset", "profile", &format!("bent-{kind}")]).unwrap();
            assert!([0, 3, 4, 7].contains(&said.code), "{kind} {round}: {} {}", said.code, said.error);
            assert!(!said.error.contains(CANARY), "{kind} {round}: a cell in an error: {}", said.error);
            *codes.entry((kind, said.code)).or_default() += 1;
        }
    }
    // And as the source of a share, where every row is read.
    let good = fs::read(net.path("los.csv")).unwrap();
    let mut numbers = Numbers(0x0fed_cba9_8765_4321);
    for _ in 0..rounds / 4 {
        fs::write(net.path("los.csv"), bend(&good, &mut numbers)).unwrap();
        let said = north.say(&["share", "preview", "los", "--rows", "50"]).unwrap();
        assert!([0, 3, 4, 7].contains(&said.code), "{} {}", said.code, said.error);
        assert!(!said.error.contains(CANARY) && !said.json.to_string().contains(CANARY), "{}", said.error);
        *codes.entry(("preview", said.code)).or_default() += 1;
    }
    eprintln!("how bent tables ended, by kind and exit code: {codes:?}");
    fs::write(net.path("los.csv"), good).unwrap();
    north.tell(&["share", "preview", "los"]);
    north.verifies();
}
