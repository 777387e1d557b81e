//! What is filtered, cut, rounded or moved: nothing of it leaves otherwise, and what cannot be read does not leave.

use arrow::array::{Date32Array, Float64Array, Int64Array, StringArray};
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::manifest::Base;
use cohortium_protocol::record::row_filter::{Bound, Passes, RowTest};
use cohortium_protocol::record::safe_harbor::small_areas_2000;
use cohortium_protocol::record::share::Standard;

use super::*;
use crate::policy::{Policy, PolicyFault, RefusedRow, Tolerance};
use crate::source::{Format, SourceReader};
use crate::treatment::{Refusal, shift_days};

const CANARY: &str = "Zq7CanaryXw9";
const ISO: DateFormat = DateFormat::Iso;

fn shift(days_max: u16) -> Treatment {
    Treatment::ShiftDates { format: ISO, days_max }
}

fn year() -> Treatment {
    Treatment::Year { format: ISO, floor: None }
}

impl Terms {
    fn filter(mut self, column: &str, passes: Passes) -> Self {
        self.table.filter.push(RowTest { column: name(column), passes });
        self
    }

    fn patient(mut self, column: &str) -> Self {
        self.dataset.patient = Some(name(column));
        self
    }
}

fn at_least(number: &str) -> Passes {
    Passes::AtLeast(Bound::Number(number.parse().unwrap()))
}

// LAW-1 SHARE-19
#[test]
fn a_filtered_row_is_nowhere_in_the_bytes_and_is_looked_at_no_further() {
    let terms = Terms::csv("k -age born v", "k").treat("born", year()).filter("age", at_least("18"));
    let terms = terms.filter("v", Passes::Present);
    // The rows that are filtered have no key, no day and a canary: none of it matters.
    let text = format!(
        "k,age,born,v\n1,18,1984-02-29,kept\n{CANARY}1,17,{CANARY}2,{CANARY}3\n2,40,{CANARY}4,\n3,,x,{CANARY}\n"
    );
    let taken = terms.take(text.as_str(), None).unwrap();
    let report = &taken.report;
    let counts =
        [report.rows_source.0, report.filtered.0, report.opted_out.0, report.rows_version.0, report.rows_out.0];
    assert_eq!(counts, [4, 3, 0, 1, 1]);
    assert_eq!(cells(&chain(&[&taken])), ["1,1984,kept"]);
    for bytes in [everything_in(&taken.rows), taken.index.clone()] {
        for absent in [CANARY, "age", "02-29"] {
            assert!(!contains(&bytes, absent), "{absent}");
        }
    }
    // A row that no longer passes is deleted by the next delta.
    let delta = terms.take("k,age,born,v\n1,17,1984-02-29,kept\n", Some(&taken)).unwrap();
    assert_eq!((delta.report.base, delta.report.deletes.0, delta.report.filtered.0), (Base::Delta, 1, 1));
    // Taken out, the same search finds the canary.
    let mut open = Terms::csv("k -age born v", "k");
    open.table.filter.clear();
    assert!(contains(&everything_in(&open.take(text, None).unwrap().rows), CANARY));
}

// SHARE-17
#[test]
fn what_cannot_be_read_ends_the_run_with_its_place_or_is_set_aside() {
    let zip = Treatment::Zip3;
    let terms = || {
        let terms = Terms::csv("k zip age born d v p", "k").treat("zip", zip).treat("age", Treatment::Age90);
        let terms = terms.treat("born", year()).treat("d", shift(30)).treat("v", Treatment::Round(1)).patient("p");
        terms.filter("k", at_least("0"))
    };
    let header = "k,zip,age,born,d,v,p\n";
    let good = "1,02139,40,1984-02-29,2024-01-01,7,anna\n";
    let bad = [
        (format!("2,{CANARY},40,1984-02-29,2024-01-01,7,bert\n"), "zip", Refusal::NoZip),
        (format!("2,02139,{CANARY},1984-02-29,2024-01-01,7,bert\n"), "age", Refusal::NoAge),
        (format!("2,02139,40,{CANARY},2024-01-01,7,bert\n"), "born", Refusal::NoDay),
        (format!("2,02139,40,1984-02-29,{CANARY},7,bert\n"), "d", Refusal::NoDay),
        (format!("2,02139,40,1984-02-29,2024-01-01,{CANARY},bert\n"), "v", Refusal::NoNumber),
        ("2,02139,40,1984-02-29,2024-01-01,7, \n".to_owned(), "d", Refusal::NoPatient),
        (format!("{CANARY},02139,40,1984-02-29,2024-01-01,7,bert\n"), "k", Refusal::NoNumber),
    ];
    for (line, column, refusal) in bad {
        let text = format!("{header}{good}{line}3{}", &good[1..]);
        let refused = RefusedRow { place: 3, row: 1, column: name(column), refusal };
        let Err(TakeFault::Policy(fault)) = terms().take(text.as_str(), None) else { panic!("{line}") };
        assert_eq!(fault, PolicyFault::Refused(refused.clone()));
        assert!(!format!("{fault} {fault:?}").contains(CANARY));
        assert_eq!(RunFault::from(&fault), RunFault::Malformed);
        let (terms, source) = (terms(), handle(text.as_str()));
        let mut reader = SourceReader::open(&source, Format::Csv(TextForm::default()), &Limits::default()).unwrap();
        let policy = Policy::new(&terms.job(), reader.columns()).unwrap().tolerating(Tolerance::SetAside);
        reader.project(policy.needed());
        let applied = policy.apply(&reader.next_batch().unwrap().unwrap()).unwrap();
        assert_eq!((applied.refused, applied.places, applied.rows.num_rows()), (vec![refused], vec![2, 4], 2));
    }
}

// SHARE-18
#[test]
fn a_patients_dates_keep_their_intervals_and_none_stays_where_it_was() {
    let key = Secret32::new([5; 32]);
    let mut random = Random(7);
    let day = |days: u64| crate::calendar::CalendarDay::from_epoch(i64::try_from(days).unwrap()).unwrap().write(ISO);
    let rows: Vec<(u64, u64, u64)> =
        (0..400).map(|_| (random.below(40), 10_000 + random.below(9_000), 10_000 + random.below(9_000))).collect();
    let lines = rows.iter().map(|(patient, from, to)| format!("{patient},{},{}\n", day(*from), day(*to)));
    let text = format!("p,from,to\n{}", lines.collect::<String>());
    let terms = Terms::csv("-p from to", "").treat("from", shift(365)).treat("to", shift(365)).patient("p");
    let taken = terms.take(text, None).unwrap();
    let mut expected: Vec<String> = Vec::new();
    for (patient, from, to) in &rows {
        let days = shift_days(&key, &patient.to_string(), 365);
        assert!(days != 0 && days.abs() <= 365);
        let moved = |at: u64| day(at.checked_add_signed(days).unwrap());
        assert_ne!(moved(*from), day(*from));
        expected.push(format!("{},{}", moved(*from), moved(*to)));
    }
    expected.sort();
    // Both columns by the same number of days: so every interval of a patient is kept, in all rows.
    assert_eq!(cells(&chain(&[&taken])), expected);
    // In another table, and typed, the patient moves by the same.
    let file = parquet_file(vec![
        ("id", Arc::new(Int64Array::from(vec![7])) as ArrayRef),
        ("d", Arc::new(Date32Array::from(vec![19_782]))),
    ]);
    let typed = Terms::parquet("-id d", "").treat("d", shift(365)).kind("d", ColumnType::Date).patient("id");
    let moved = day(19_782_u64.checked_add_signed(shift_days(&key, "7", 365)).unwrap());
    assert_eq!(cells(&chain(&[&typed.take(file, None).unwrap()])), [moved]);
    let mut nobody = Terms::csv("-p from", "").treat("from", shift(365));
    nobody.dataset.patient = None;
    let fault = nobody.take("p,from\n1,2024-01-01\n", None).err();
    assert_eq!(fault, Some(TakeFault::Policy(PolicyFault::NoPatientColumn)));
}

// SHARE-16
#[test]
fn no_value_of_the_source_leaves_unless_it_is_kept() {
    let mut random = Random(3);
    let digits = |random: &mut Random, count: u32| (0..count).map(|_| random.below(10).to_string()).collect::<String>();
    let (mut text, mut values) = ("zip,born,d,v,w,p,kept\n".to_owned(), Vec::new());
    for row in 0..300 {
        let zip = format!("9{}-{}", digits(&mut random, 4), digits(&mut random, 4));
        let born = format!("19{}-0{}-1{}", 10 + random.below(90), 1 + random.below(9), random.below(10));
        let moved = format!("20{}-0{}-1{}", 10 + random.below(90), 1 + random.below(9), random.below(10));
        let (v, w) = (format!("1{}.{}7", digits(&mut random, 3), digits(&mut random, 6)), digits(&mut random, 9) + "3");
        text.push_str(
            &[&zip, &born, &moved, &v, &w, &format!("patient{row}"), &format!("kept{row}\n")]
                .map(String::as_str)
                .join(","),
        );
        values.push((row, [zip, born, moved, v, w, format!("patient{row}")]));
    }
    let terms = Terms::csv("zip born d v w ~p kept", "").treat("zip", Treatment::Zip3).treat("born", year());
    let terms =
        terms.treat("d", shift(90)).treat("v", Treatment::Round(1)).treat("w", Treatment::Round(-4)).patient("p");
    let taken = terms.take(text, None).unwrap();
    let out = cells(&chain(&[&taken]));
    assert_eq!(out.len(), 300);
    let all = everything_in(&taken.rows);
    for (row, cells) in values {
        let line = out.iter().find(|line| line.ends_with(&format!(",kept{row}"))).unwrap();
        let shown: Vec<&str> = line.split(',').collect();
        for (cell, left) in cells.iter().zip(shown) {
            assert_ne!(cell, left, "{line}");
        }
        for cell in [&cells[0], &cells[3], &cells[4], &cells[5]] {
            assert!(!contains(&all, cell), "{cell}");
        }
    }
}

#[test]
fn another_treatment_is_another_version_of_the_policy_and_a_full_snapshot() {
    let text = "k,d,p\n1,2024-02-29,x\n";
    let terms = |treatment| Terms::csv("k d -p", "k").treat("d", treatment).patient("p");
    let month = |format| Treatment::Month { format };
    let floor = Treatment::Year { format: ISO, floor: Some(1940) };
    let all = [year(), floor, month(ISO), shift(30), shift(31), Treatment::Keep, Treatment::Pseudonym];
    for (at, first) in all.iter().enumerate() {
        let taken = terms(*first).take(text, None).unwrap();
        for (other, next) in all.iter().enumerate() {
            let expected = if at == other { Base::Delta } else { Base::Full };
            let again = terms(*next).take(text, Some(&taken)).unwrap();
            assert_eq!(again.report.base, expected, "{first:?} {next:?}");
        }
    }
    let zips = |areas: &[&str]| {
        let mut terms = Terms::csv("k zip", "k").treat("zip", Treatment::Zip3);
        terms.table.small_areas = areas.iter().map(|area| area.parse().unwrap()).collect();
        terms
    };
    let taken = zips(&["036"]).take("k,zip\n1,03601\n", None).unwrap();
    assert_eq!(cells(&chain(&[&taken])), ["1,000"]);
    let wider = zips(&[]).take("k,zip\n1,03601\n", Some(&taken)).unwrap();
    assert_eq!((wider.report.base, cells(&chain(&[&wider]))), (Base::Full, vec!["1,036".to_owned()]));
}

// SHARE-20
#[test]
fn under_safe_harbor_a_row_is_known_by_its_place_alone() {
    let mut terms = Terms::csv("-k zip", "k").treat("zip", Treatment::Zip3);
    let keyed = [terms.take("k,zip\n1,02139\n", None).unwrap(), terms.take("k,zip\n2,02139\n", None).unwrap()];
    assert_ne!(table(&chain(&[&keyed[0]])), table(&chain(&[&keyed[1]])), "ids follow the key");
    (terms.table.standard, terms.table.small_areas) = (Standard::HipaaSafeHarbor, small_areas_2000());
    let one = terms.take("k,zip\n1,02139\n", None).unwrap();
    let other = terms.take("k,zip\n2,02139\n", None).unwrap();
    assert_eq!(table(&chain(&[&one])), table(&chain(&[&other])), "nothing of the key is in the bytes");
    assert!(!one.report.has_index && one.report.base == Base::Full);
}

#[test]
fn blank_and_missing_stay_what_they_are() {
    let terms = Terms::csv("a b", "").treat("a", year()).treat("b", Treatment::Round(1));
    assert_eq!(cells(&chain(&[&terms.take("a,b\n, \n", None).unwrap()])), ["\"\",\"\""]);
    let file = parquet_file(vec![
        ("a", Arc::new(StringArray::from(vec![None::<&str>])) as ArrayRef),
        ("b", Arc::new(Float64Array::from(vec![None]))),
    ]);
    let typed = Terms::parquet("a b", "").treat("a", year()).treat("b", Treatment::Round(1));
    let taken = typed.kind("b", ColumnType::Float).take(file, None).unwrap();
    assert_eq!(cells(&chain(&[&taken])), [","]);
}

#[test]
fn blanks_around_an_identifier_are_no_part_of_its_pseudonym() {
    let taken = Terms::csv("~p v", "").take("p,v\n7,a\n\" 7 \",b\n", None).unwrap();
    let ids: std::collections::BTreeSet<String> =
        cells(&chain(&[&taken])).iter().map(|line| line.split(',').next().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 1);
}

#[test]
fn a_type_that_cannot_be_treated_is_refused_before_a_row_is_read() {
    let file = || parquet_file(vec![("a", Arc::new(Float64Array::from(vec![1.0])) as ArrayRef)]);
    let terms = Terms::parquet("a", "").treat("a", Treatment::Zip3);
    let fault = Some(TakeFault::Policy(PolicyFault::Untreatable(name("a"))));
    assert_eq!(terms.take(file(), None).err(), fault);
}
