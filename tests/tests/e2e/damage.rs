//! One bit turned anywhere in what a node keeps: the matching verification names the place and ends with 5.

use std::fs;
use std::path::{Path, PathBuf};

use cohortium_tests::real::bend::{Bent, places};
use cohortium_tests::real::is_long;
use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::{bytes, files_below, table};

use crate::PROGRAM;
use crate::published::consolidated;

/// Places tried in all files together, in the short form.
const TRIES: usize = 110;

/// A node's home with a table, its delta and files landed, at rest.
fn landed() -> Network {
    let mut net = Network::new(Plan::pair(PROGRAM));
    table(&net.path("los.csv"), 0..300, 0..0);
    net.offer_table("los");
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 1);
    fs::create_dir_all(net.path("set")).unwrap();
    fs::write(net.path("set/small"), b"small").unwrap();
    fs::write(net.path("set/large"), bytes(6, 3 << 20)).unwrap();
    net.offer_files("set");
    net.north().tell(&["share", "take", "set"]);
    net.op.until_landed("set", 1);
    net.north().until_landed("set", 1);
    net.op.down();
    net.north_mut().down();
    net.op.verifies();
    net.north().verifies();
    net
}

/// Turns bits of these files; `command` must find each and say one of the words that `names` gives for it.
fn each_bit_is_found(site: &Site, files: &[PathBuf], command: &[&str], names: impl Fn(&Path) -> Vec<String>) {
    let mut tried = 0;
    let every = if is_long() { 1 } else { files.len().div_ceil(TRIES / 2) };
    let each = if is_long() { 3000 } else { (TRIES / files.len()).max(2) };
    for (number, path) in files.iter().enumerate().step_by(every) {
        let mut places = places(path, each as u64, number as u64 + 7);
        // Both ends of a file are always tried; the rest is spread.
        if !is_long() && places.len() > each {
            let last = places.len() - 1;
            places = (0..each).map(|at| places[at * last / (each - 1)]).collect();
        }
        for at in places {
            let bit = u32::try_from((at ^ number as u64) % 8).unwrap();
            let bent = Bent::new(path, at, bit);
            let said = site.say(command).unwrap();
            let place = format!("bit {bit} of byte {at} of {}", path.display());
            assert_eq!(said.code, 5, "{place}: {} {}", said.json, said.error);
            let words = names(path);
            assert!(words.iter().any(|word| said.error.contains(word)), "{place}: {:?} in {}", words, said.error);
            drop(bent);
            tried += 1;
        }
    }
    eprintln!("{}: {tried} bits of {} files, each found by {command:?}", site.name, files.len());
    site.tell(command);
}

fn plain(folder: &Path) -> Vec<PathBuf> {
    files_below(folder).into_iter().filter(|path| fs::metadata(path).unwrap().len() > 0).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn a_bit_of_a_blob_or_the_journal_is_found_and_named() {
    let net = landed();
    for site in [&net.op, net.north()] {
        let blobs = plain(&site.home.join("blobs"));
        assert!(blobs.len() >= 5, "{blobs:?}");
        each_bit_is_found(site, &blobs, &["verify"], |path| {
            vec![path.file_stem().unwrap().to_string_lossy().into_owned(), file_name(path)]
        });
        let journal = plain(&site.consortium_dir().join("journal"));
        each_bit_is_found(site, &journal, &["verify"], |_| vec!["segment".to_owned(), "entry".to_owned()]);
    }
}

#[test]
fn a_bit_of_a_log_tile_or_checkpoint_is_found_and_named() {
    let net = landed();
    for site in [&net.op, net.north()] {
        let folder = site.consortium_dir().join("log");
        let files = plain(&folder);
        assert!(files.len() >= 3, "{files:?}");
        let names = |path: &Path| vec![path.strip_prefix(&folder).unwrap().display().to_string(), file_name(path)];
        each_bit_is_found(site, &files, &["log", "verify"], names);
        each_bit_is_found(site, &files, &["verify"], names);
    }
}

#[test]
fn a_running_daemon_finds_damage_too_and_goes_on() {
    let mut net = landed();
    net.op.up();
    let blobs = plain(&net.op.home.join("blobs"));
    let largest = blobs.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let bent = Bent::new(largest, 100_000, 3);
    let said = net.op.refused(&["verify"], 5);
    assert!(said.contains(&*largest.file_stem().unwrap().to_string_lossy()), "{said}");
    // Damaged bytes never leave the node as if they were good.
    let out = net.text("out");
    let said = net.op.say(&["subscription", "checkout", "set", &out]).unwrap();
    assert_ne!(said.code, 0, "a damaged file was written: {}", said.json);
    assert!(!Path::new(&out).exists(), "nothing half written stays");
    drop(bent);
    net.op.tell(&["verify"]);
    net.op.tell(&["subscription", "checkout", "set", &out]);
}

#[test]
fn a_bit_of_a_consolidated_part_is_found_and_named_and_so_is_a_part_that_is_gone() {
    let mut net = Network::new(Plan::pair(PROGRAM));
    consolidated(&net, 60, 1);
    let view = net.op.view();
    let files: Vec<PathBuf> = ["person", "visit_occurrence"]
        .map(|table| {
            let part = &view["table_sets"][0]["tables"][table]["parts"]["north"]["blobs"][0];
            let digest = part[0].as_str().unwrap().to_owned();
            let blobs = files_below(&net.op.home.join("blobs"));
            blobs.into_iter().find(|path| file_name(path).starts_with(&digest)).unwrap()
        })
        .into();
    let told = |said: &str, path: &Path, table: &str| {
        let named = said.contains(&*path.file_stem().unwrap().to_string_lossy());
        assert!(named && said.contains(&format!("north's part of table {table}, consolidation 1")), "{said}");
    };
    for (path, table) in files.iter().zip(["person", "visit_occurrence"]) {
        let length = fs::metadata(path).unwrap().len();
        for at in [0, length / 2, length - 1] {
            let bent = Bent::new(path, at, 5);
            told(&net.op.refused(&["verify"], 5), path, table);
            drop(bent);
        }
        let aside = net.path("aside");
        fs::rename(path, &aside).unwrap();
        told(&net.op.refused(&["verify"], 5), path, table);
        fs::rename(&aside, path).unwrap();
    }
    net.op.tell(&["verify"]);
    net.op.down();
    each_bit_is_found(&net.op, &files, &["verify"], |path| {
        vec![path.file_stem().unwrap().to_string_lossy().into_owned()]
    });
}

#[test]
fn a_journal_that_is_damaged_in_its_middle_does_not_start_and_says_where() {
    let mut net = landed();
    let journal = plain(&net.op.consortium_dir().join("journal"));
    let bent = Bent::new(&journal[0], fs::metadata(&journal[0]).unwrap().len() / 2, 1);
    assert!(net.op.start().is_err(), "a node with a damaged journal must not serve");
    let log = net.op.log();
    assert!(log.contains("journal") || log.contains("entry") || log.contains("segment"), "{log}");
    drop(bent);
    net.op.up();
    net.north_mut().up();
    net.op.verifies();
}
