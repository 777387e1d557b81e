//! Deltas: what they carry, and that they add up to the whole.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Date32Array, Float64Array, Int64Array, StringArray};
use cohortium_protocol::record::manifest::Base;

use super::*;
use crate::batch::SourceFault;
use crate::handle::Stamp;
use crate::land::{LandFault, LandedCount, check, count, merge};
use crate::policy::{PolicyFault, RefusedRow};
use crate::treatment::Refusal;

fn merged(parts: &[&Taken]) -> Taken {
    let mut rows = Vec::new();
    merge(&chain(parts), &mut rows, &Limits::default()).unwrap();
    Taken { rows, deletes: Vec::new(), ..parts[0].clone() }
}

#[test]
fn a_delta_carries_new_and_changed_rows_and_the_ids_of_those_gone() {
    let terms = Terms::csv("k v w", "k");
    let first = terms.take("k,v,w\n1,a,x\n2,b,x\n3,c,x\n4,d,x\n", None).unwrap();
    assert_eq!((first.report.base, first.counts()), (Base::Full, [4, 0, 0, 0]));
    let second = terms.take("k,v,w\n4,d,x\n5,e,x\n2,B,x\n1,a,x\n", Some(&first)).unwrap();
    assert_eq!((second.report.base, second.counts()), (Base::Delta, [2, 1, 0, 0]));
    assert_eq!(second.report.rows_version.0, 4);
    assert_eq!(cells(&chain(&[&first, &second])), ["1,a,x", "2,B,x", "4,d,x", "5,e,x"]);
    let third = terms.take("k,v,w\n1,a,x\n2,B,x\n4,d,x\n5,e,x\n", Some(&second)).unwrap();
    assert_eq!((third.report.unchanged, third.counts()), (true, [0, 0, 0, 0]));
    assert_eq!(third.index, second.index);
    // A row that comes back is new again.
    let fourth = terms.take("k,v,w\n1,a,x\n2,B,x\n4,d,x\n5,e,x\n3,c,x\n", Some(&third)).unwrap();
    assert_eq!(fourth.counts(), [1, 0, 0, 0]);
    let all = [&first, &second, &third, &fourth];
    assert_eq!(cells(&chain(&all)), ["1,a,x", "2,B,x", "3,c,x", "4,d,x", "5,e,x"]);
    assert_eq!(
        count(&chain(&all), &terms.limits),
        Ok(LandedCount { rows: cohortium_protocol::quantity::Rows(5), deltas: 3 })
    );
}

#[test]
fn deltas_add_up_to_the_whole_and_applying_one_twice_changes_nothing() {
    let terms = Terms::csv("k ~p v -name", "k").opt_out("p", &["p3", "p7"]);
    for seed in 0..25 {
        let mut random = Random(seed);
        let mut rows = BTreeMap::new();
        let mut parts: Vec<Taken> = Vec::new();
        for _ in 0..4 {
            for _ in 0..random.below(400) {
                let key = random.below(300);
                match random.below(4) {
                    0 => drop(rows.remove(&key)),
                    _ => drop(rows.insert(key, format!("p{},{},n{seed}", random.below(20), random.below(3)))),
                }
            }
            let text = csv_text("k,p,v,name", &rows);
            let full = terms.take(text.as_str(), None).unwrap();
            let delta = terms.take(text, parts.last()).unwrap();
            assert_eq!(delta.index, full.index, "seed {seed}");
            assert_eq!(delta.report.content, full.report.content);
            assert_eq!(delta.report.rows_version, full.report.rows_out);
            parts.push(delta);
            let whole = table(&chain(&[&full]));
            let landed: Vec<&Taken> = parts.iter().collect();
            assert_eq!(table(&chain(&landed)), whole, "seed {seed}");
            assert_eq!(table(&chain(&[&merged(&landed)])), whole, "seed {seed}");
            let twice: Vec<&Taken> =
                landed.iter().copied().chain(landed.last().copied().filter(|_| landed.len() > 1)).collect();
            assert_eq!(table(&chain(&twice)), whole, "seed {seed}");
            assert_eq!(count(&chain(&landed), &terms.limits).unwrap().rows, full.report.rows_out, "seed {seed}");
        }
    }
}

#[test]
fn an_opt_out_travels_as_a_delete_and_its_end_as_a_row() {
    let text = "k,p,v\n1,anna,a\n2,bert,b\n3,anna,c\n";
    let terms = Terms::csv("k ~p v", "k");
    let first = terms.take(text, None).unwrap();
    let out = Terms::csv("k ~p v", "k").opt_out("p", &["anna"]);
    let second = out.take(text, Some(&first)).unwrap();
    assert_eq!(second.counts(), [0, 2, 2, 0]);
    assert_eq!(cells(&chain(&[&first, &second])).len(), 1);
    let third = terms.take(text, Some(&second)).unwrap();
    assert_eq!(third.counts(), [2, 0, 0, 0]);
    assert_eq!(table(&chain(&[&first, &second, &third])), table(&chain(&[&first])));
}

#[test]
fn two_rows_of_one_key_are_named_by_their_lines() {
    let terms = Terms::csv("k j v", "k j");
    let text = "k,j,v\na,bc,1\n\"x\ny\",1,1\nab,c,2\na,bc,3\n";
    let fault = terms.take(text, None).err().unwrap();
    assert_eq!(fault, TakeFault::KeyTwice { first: 2, second: 6 });
    assert_eq!(fault.to_string(), "the rows at 2 and 6 have one key");
    // The same against an index in which the key is known.
    let known = terms.take("k,j,v\na,bc,1\n", None).unwrap();
    assert_eq!(terms.take(text, Some(&known)).err(), Some(TakeFault::KeyTwice { first: 2, second: 6 }));
    // A patient who opted out has no rows here, be there one or two.
    let out = Terms::csv("k j v", "k j").opt_out("k", &["a"]);
    assert_eq!(out.take(text, None).unwrap().counts(), [2, 0, 2, 0]);
}

#[test]
fn whatever_changes_what_leaves_is_a_change_and_nothing_else_is() {
    let text = "k,first,last,born,v\n1,Ren\u{e9}e,M\u{fc}ller,1984-02-29,a\n2,B,C,?,b\n";
    let terms = || Terms::csv("k -first -last -born v", "k").with_tokens();
    let first = terms().take(text, None).unwrap();
    assert_eq!(first.counts(), [2, 0, 0, 1]);
    // Another spelling of the same person leaves the same token; a dropped cell that no token needs changes nothing.
    let spelt = terms().take("k,first,last,born,v\n1,RENEE,Muller,1984-02-29,a\n2,B,D,?,b\n", Some(&first)).unwrap();
    assert!(spelt.report.unchanged);
    let corrected =
        terms().take("k,first,last,born,v\n1,Renee,Muller,1984-02-28,a\n2,B,C,?,b\n", Some(&first)).unwrap();
    assert_eq!(corrected.counts(), [1, 0, 0, 1]);
    // Under another key, key column or column list every row is another: a full snapshot.
    let mut epoch = terms();
    epoch.linkage_key = Some(Secret32::new([7; 32]));
    let hidden = Terms::csv("k -first -last -born ~v", "k").with_tokens();
    let narrower = Terms::csv("k -first -last -born -v", "k").with_tokens();
    let other_key = Terms::csv("k -first -last -born v", "k v").with_tokens();
    for other in [epoch, hidden, narrower, other_key] {
        let taken = other.take(text, Some(&first)).unwrap();
        assert_eq!((taken.report.base, taken.counts()), (Base::Full, [2, 0, 0, 1]));
    }
}

#[test]
fn a_pseudonym_is_new_when_its_value_is_and_only_then() {
    let terms = Terms::csv("~k ~p v", "k");
    let first = terms.take("k,p,v\n1,anna,a\n2,bert,b\n3,carl,c\n", None).unwrap();
    let text = "k,p,v\n1,anna,a\n2,berta,b\n4,carl,c\n";
    let second = terms.take(text, Some(&first)).unwrap();
    assert_eq!(second.counts(), [2, 1, 0, 0]);
    let whole = terms.take(text, None).unwrap();
    assert_eq!(table(&chain(&[&first, &second])), table(&chain(&[&whole])));
    // A column of another treatment leaves as something else, whichever way it goes.
    let open = Terms::csv("~k p v", "k").take(text, Some(&second)).unwrap();
    assert_eq!((open.report.base, open.counts()), (Base::Full, [3, 0, 0, 0]));
}

#[test]
fn a_table_without_key_is_always_full_and_says_whether_it_changed() {
    let terms = Terms::csv("a b -c", "");
    let first = terms.take("a,b,c\n1,1,x\n1,1,x\n", None).unwrap();
    let second = terms.take("a,b,c\n1,1,y\n1,1,y\n", Some(&first)).unwrap();
    assert_eq!((second.report.base, second.counts()), (Base::Full, [2, 0, 0, 0]));
    // The caller may compare either: the content, or the bytes that were written.
    assert_eq!((second.report.content, &second.rows), (first.report.content, &first.rows));
    assert_ne!(terms.take("a,b,c\n1,1,x\n1,2,x\n", None).unwrap().report.content, first.report.content);
    assert_eq!(count(&chain(&[&first]), &terms.limits).unwrap().rows.0, 2);
    let mut small = Terms::csv("a b -c", "");
    small.limits.batch_rows = 1;
    assert_eq!(small.take("a,b,c\n1,1,x\n1,1,x\n", None).unwrap().report.content, first.report.content);
}

#[test]
fn a_table_read_from_text_or_parquet_has_the_same_rows_by_key() {
    let csv = Terms::csv("k v", "k").take("k,v\n7,a\n8,b\n", None).unwrap();
    let file = parquet_file(vec![
        ("k", Arc::new(Int64Array::from(vec![8, 7]))),
        ("v", Arc::new(StringArray::from(vec!["b", "a"]))),
    ]);
    let parquet = Terms::parquet("k v", "k").kind("k", ColumnType::Integer).take(file, None).unwrap();
    assert_eq!(table(&chain(&[&csv])), table(&chain(&[&parquet])));
}

#[test]
fn types_of_a_parquet_source_leave_and_land_as_they_are() {
    let file = parquet_file(vec![
        ("k", Arc::new(Int64Array::from(vec![1, 2]))),
        ("f", Arc::new(Float64Array::from(vec![Some(0.1), None]))),
        ("d", Arc::new(Date32Array::from(vec![Some(19_782), None]))),
        ("born", Arc::new(Date32Array::from(vec![Some(5_172), None]))),
        ("first", Arc::new(StringArray::from(vec!["A", "B"]))),
        ("last", Arc::new(StringArray::from(vec!["C", "D"]))),
    ]);
    let terms = Terms::parquet("k f d -born -first -last", "k").with_tokens();
    let terms = terms.kind("k", ColumnType::Integer).kind("f", ColumnType::Float).kind("d", ColumnType::Date);
    let taken = terms.take(file, None).unwrap();
    assert_eq!(taken.counts(), [2, 0, 0, 1]);
    let landed = check(&handle(taken.rows.clone()), &terms.limits).unwrap();
    assert_eq!((landed.rows.0, landed.tokens, &landed.columns), (2, true, &taken.report.columns));
    let kinds: Vec<ColumnType> = landed.columns.iter().map(|column| column.kind).collect();
    assert_eq!(kinds, [ColumnType::Integer, ColumnType::Float, ColumnType::Date]);
    let made = crate::linkage::TokenMaker::new(&Secret32::new([6; 32]), DateFormat::Iso).token("A", "C", "1984-02-29");
    let lines = table(&chain(&[&taken]));
    assert!(
        lines.iter().any(|line| line.ends_with(&format!(",{},1,0.1,2024-02-29", crate::cells::hex(&made.unwrap()))))
    );
    assert!(lines.iter().any(|line| line.ends_with(",,2,,")));
}

/// A source that is written to while it is read.
struct Moving(Vec<u8>, AtomicU64);

impl RandomRead for Moving {
    fn len(&self) -> u64 {
        self.0.as_slice().len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn stamp(&self) -> Stamp {
        Stamp { bytes: 0, written: Some([i64::try_from(self.1.fetch_add(1, Ordering::SeqCst)).unwrap(); 4]) }
    }
}

#[test]
fn a_source_that_changes_while_it_is_read_is_no_snapshot() {
    for text in ["k,v\n1,a\n", "k,v\n1,a,torn\n"] {
        let moving: Handle = Arc::new(Moving(text.into(), AtomicU64::new(0)));
        assert_eq!(Terms::csv("k v", "k").take_handle(&moving, None).err(), Some(TakeFault::Changed));
    }
}

/// A medium that fails behind its first bytes.
struct Failing(u64);

impl RandomRead for Failing {
    fn len(&self) -> u64 {
        self.0
    }

    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

#[test]
fn a_medium_that_fails_is_not_a_malformed_file() {
    let unreadable = Some(TakeFault::Source(SourceFault::Read { kind: io::ErrorKind::PermissionDenied }));
    let failing: Handle = Arc::new(Failing(5_000));
    assert_eq!(Terms::csv("k v", "k").take_handle(&failing, None).err(), unreadable);
    assert_eq!(Terms::parquet("k v", "k").take_handle(&failing, None).err(), unreadable);
}

/// A sink that is full after some bytes.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_a_fault_wherever_it_comes() {
    let terms = Terms::csv("k v", "k");
    let first = terms.take("k,v\n1,a\n2,b\n", None).unwrap();
    for rooms in [[0, 9999, 9999], [20, 9999, 9999], [9999, 0, 9999], [9999, 9999, 0]] {
        let [mut rows, mut deletes, mut index] = rooms.map(Full);
        let sinks = Sinks { rows: &mut rows, deletes: &mut deletes, index: &mut index };
        let fault = take(&terms.job(), &handle("k,v\n2,c\n"), Some(first.previous()), sinks).err();
        assert_eq!(fault, Some(TakeFault::Sink { kind: io::ErrorKind::StorageFull }), "{rooms:?}");
    }
}

#[test]
fn rows_over_the_limit_and_keys_without_value_are_faults() {
    let mut terms = Terms::csv("k v", "k");
    terms.limits.rows_max = 2;
    assert!(terms.take("k,v\n1,a\n2,b\n", None).is_ok());
    let fault = terms.take("k,v\n1,a\n2,b\n3,c\n", None).err();
    assert_eq!(fault, Some(TakeFault::Source(SourceFault::TooManyRows { max: 2 })));
    let file = parquet_file(vec![("k", Arc::new(StringArray::from(vec![Some("a"), None])))]);
    let fault = Terms::parquet("k", "k").take(file, None).err();
    let refused = RefusedRow { place: 2, row: 1, column: name("k"), refusal: Refusal::NoKey };
    assert_eq!(fault, Some(TakeFault::Policy(PolicyFault::Refused(refused))));
}

#[test]
fn files_that_do_not_belong_together_are_no_chain() {
    let limits = Limits::default();
    let [one, two] = ["k v", "k w"].map(|columns| Terms::csv(columns, "k"));
    let (first, other) = (one.take("k,v\n1,a\n", None).unwrap(), two.take("k,w\n1,a\n", None).unwrap());
    let fault = count(&chain(&[&first, &other]), &limits).err();
    assert_eq!(fault, Some(LandFault::ColumnsDiffer { part: 1 }));
    let small = Limits { rows_max: 1, landed_rows_max: 1, ..limits };
    let long = one.take("k,v\n1,a\n2,b\n", None).unwrap();
    assert!(count(&chain(&[&first]), &small).is_ok());
    assert!(count(&chain(&[&long]), &small).is_err());
    assert!(count(&chain(&[&first, &long]), &small).is_err());
}

#[test]
fn an_export_tells_null_from_empty_and_can_be_read_again() {
    let file = parquet_file(vec![
        ("k", Arc::new(StringArray::from(vec![Some("a,\"b\"\r\n"), Some(""), Some("x")]))),
        ("v", Arc::new(StringArray::from(vec![None, Some("\u{e9}"), Some("")]))),
    ]);
    let taken = Terms::parquet("k v", "k").take(file, None).unwrap();
    let mut text = Vec::new();
    crate::land::to_csv(&chain(&[&taken]), &mut text, &Limits::default()).unwrap();
    let shown = String::from_utf8(text.clone()).unwrap();
    let id = &shown["cohortium_row,k,v\r\n".len()..][..32];
    assert!(shown.starts_with(&format!("cohortium_row,k,v\r\n{id},\"a,\"\"b\"\"\r\n\",\r\n")));
    assert!(shown.contains(",\"\",\u{e9}\r\n") && shown.ends_with(",x,\"\"\r\n"));
    let again = Terms::csv("c k v", "c");
    let mut again = again;
    again.table.columns[0].name = name("cohortium_row");
    let fault = again.take(text, None).err();
    assert_eq!(fault, Some(TakeFault::Policy(PolicyFault::Reserved(name("cohortium_row")))));
}
