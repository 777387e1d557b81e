//! Bad input: hierarchies with holes and cycles, cells outside them, nulls and NaN, empty and tiny tables, from file to file.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{Int32Type, Int64Type};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::random;
use crate::body::{Beside, body};
use crate::encode::{QuasiRole, Roles, SensitiveRole, encode};
use crate::file::{FileFault, FileJob, anonymise_parquet};
use crate::hierarchy::{Cell, DateStep, Dates, Hierarchy, HierarchyFault, Intervals, Node};
use crate::lattice::FullDomain;
use crate::local::Local;
use crate::model::Models;
use crate::release::{Attacks, Mode, anonymise};
use crate::resistant::Resistance;
use crate::seed::Seed;
use crate::table::{Quasi, Table, TableFault};

// ANON-1
#[test]
fn a_faulty_hierarchy_is_refused_with_line_and_level() {
    let table = |text: &str| Hierarchy::from_table(text, ';').err();
    assert_eq!(table(""), Some(HierarchyFault::Empty));
    assert_eq!(table("a;x;*\nb;*"), Some(HierarchyFault::Ragged { line: 1 }));
    assert_eq!(table("a;x;*\nb;;*"), Some(HierarchyFault::Hole { line: 1, level: 1 }));
    assert_eq!(table("a;x;*\na;x;*"), Some(HierarchyFault::Twice { line: 1 }));
    assert_eq!(table("a;x;*\nb;x;y"), Some(HierarchyFault::TwoParents { line: 1, level: 1 }));
    assert_eq!(table("a;b;a"), Some(HierarchyFault::Cycle { line: 0, level: 2 }));
    assert_eq!(table("a;a;*"), None, "a leaf that is repeated upwards is no cycle");
    let tree = |pairs: &[(&str, &str)]| Hierarchy::from_tree(pairs).err();
    assert_eq!(tree(&[]), Some(HierarchyFault::Empty));
    assert!(matches!(tree(&[("a", "b"), ("b", "a")]), Some(HierarchyFault::Cycle { .. })));
    assert!(matches!(tree(&[("a", "a")]), Some(HierarchyFault::Cycle { .. })));
    assert_eq!(tree(&[("a", "b"), ("a", "c")]), Some(HierarchyFault::TwoParents { line: 1, level: 0 }));
    assert_eq!(tree(&[("a", "")]), Some(HierarchyFault::Hole { line: 0, level: 1 }));
    let intervals = |lower, upper, unit, steps: &[u32]| {
        Hierarchy::from_intervals(&Intervals { lower, upper, unit, steps: steps.to_vec() }).err()
    };
    assert_eq!(intervals(0.0, 100.0, 1.0, &[5, 10]), None);
    assert_eq!(intervals(0.0, 100.0, 1.0, &[5, 12]), Some(HierarchyFault::Steps { level: 2 }));
    assert_eq!(intervals(0.0, f64::NAN, 1.0, &[]), Some(HierarchyFault::Range));
    assert_eq!(intervals(0.0, 1.0, 0.0, &[]), Some(HierarchyFault::Range));
    assert_eq!(intervals(0.0, 1e12, 1.0, &[]), Some(HierarchyFault::TooLarge));
    let dates =
        |first, last, steps: &[DateStep]| Hierarchy::from_dates(&Dates { first, last, steps: steps.to_vec() }).err();
    assert_eq!(dates(1, 0, &[]), Some(HierarchyFault::Range));
    assert_eq!(dates(0, 9, &[DateStep::Year, DateStep::Month]), Some(HierarchyFault::Steps { level: 2 }));
    assert_eq!(Hierarchy::from_prefixes(&["1234"], &[2, 3]).err(), Some(HierarchyFault::Steps { level: 2 }));
}

#[test]
fn builders_write_what_people_read() {
    let labels = |hierarchy: &Hierarchy, cell: Cell<'_>| -> Vec<String> {
        let leaf = hierarchy.leaf(cell).unwrap();
        let label =
            |level: usize| hierarchy.label(Node { level: level as u8, index: hierarchy.over(level, leaf) }).to_owned();
        (0..hierarchy.levels()).map(label).collect()
    };
    let ages = Intervals { lower: 0.0, upper: 90.0, unit: 1.0, steps: vec![5, 10] };
    let ages = Hierarchy::from_intervals(&ages).unwrap();
    assert_eq!(labels(&ages, Cell::Whole(37)), ["37", "[35, 40)", "[30, 40)", "*"]);
    assert_eq!(labels(&ages, Cell::Whole(104))[0], "89", "what lies above is top coded");
    assert!(ages.leaf(Cell::Real(f64::INFINITY)).is_none());
    let days = Dates { first: 6_000, last: 8_000, steps: vec![DateStep::Month, DateStep::Quarter, DateStep::Decade] };
    let days = Hierarchy::from_dates(&days).unwrap();
    assert_eq!(labels(&days, Cell::Day(7_305)), ["1990-01-01", "1990-01", "1990-Q1", "1990s", "*"]);
    assert!(days.leaf(Cell::Day(8_001)).is_none());
    let codes = Hierarchy::from_prefixes(&["I10", "I11.9", "E11"], &[3, 1, 0]).unwrap();
    assert_eq!(labels(&codes, Cell::Text("I11.9")), ["I11.9", "I11*", "I*", "*"]);
    assert_eq!(labels(&codes, Cell::Text("I10")), ["I10", "I10", "I*", "*"]);
    assert_eq!(codes.cost(1, codes.over(1, codes.leaf(Cell::Text("I10")).unwrap())), 0, "a repeated leaf is a leaf");
    let tree = Hierarchy::from_tree(&[("a", "x"), ("b", "x"), ("x", "r"), ("c", "r")]).unwrap();
    assert_eq!(labels(&tree, Cell::Text("c")), ["c", "c", "r"]);
    assert!(tree.leaf(Cell::Text("x")).is_none(), "a value that is not a leaf");
}

fn quasi(column: &str, hierarchy: &Arc<Hierarchy>) -> QuasiRole {
    QuasiRole { column: column.to_owned(), hierarchy: Arc::clone(hierarchy), missing: None }
}

// ANON-1
#[test]
fn bad_cells_are_named_by_column_and_never_quoted() {
    let letters = Arc::new(Hierarchy::from_table("a;*\nb;*\nunknown;*", ';').unwrap());
    let numbers = Intervals { lower: 0.0, upper: 10.0, unit: 1.0, steps: vec![] };
    let numbers = Arc::new(Hierarchy::from_intervals(&numbers).unwrap());
    let read = |array: ArrayRef, role: QuasiRole| {
        let batch = RecordBatch::try_from_iter_with_nullable([("secret", array, true)]).unwrap();
        encode(&[batch], &Roles { quasi: vec![role], ..Roles::default() }).map(|encoded| encoded.table)
    };
    let column = || "secret".to_owned();
    let fault = |array: ArrayRef, hierarchy| read(array, quasi("secret", hierarchy)).err();
    let texts = |texts: &[Option<&str>]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let outside = TableFault::NotInHierarchy { column: column(), level: 0 };
    assert_eq!(fault(texts(&[Some("a"), Some("zebra")]), &letters), Some(outside.clone()));
    assert!(!outside.to_string().contains("zebra"));
    assert_eq!(fault(texts(&[None]), &letters), Some(TableFault::Null { column: column() }));
    let nan = Arc::new(Float64Array::from(vec![1.0, f64::NAN]));
    assert_eq!(fault(nan, &numbers), Some(TableFault::NotANumber { column: column() }));
    let infinite = Arc::new(Float64Array::from(vec![f64::NEG_INFINITY]));
    assert_eq!(fault(infinite, &numbers), Some(TableFault::NotANumber { column: column() }));
    assert_eq!(fault(Arc::new(Date32Array::from(vec![1])), &numbers), Some(outside.clone()));
    assert_eq!(fault(texts(&[Some("7x")]), &numbers), Some(outside));
    let marked = QuasiRole { missing: Some("unknown".to_owned()), ..quasi("secret", &letters) };
    assert_eq!(read(texts(&[None, Some("b")]), marked).unwrap().quasi()[0].leaves(), [2, 1]);
    let absent = Roles { quasi: vec![quasi("other", &letters)], ..Roles::default() };
    let batch = RecordBatch::try_from_iter([("secret", texts(&[Some("a")]))]).unwrap();
    assert_eq!(encode(&[batch], &absent).err(), Some(TableFault::NoColumn { column: "other".to_owned() }));
}

fn modes(k: u32) -> [Mode; 3] {
    [
        Mode::Resistant(Models::k(k), Resistance::default()),
        Mode::Local(Local::k(k)),
        Mode::FullDomain(FullDomain::k(k, 1.0)),
    ]
}

#[test]
fn tables_that_cannot_be_released_give_empty_ones() {
    let hierarchy = Arc::new(Hierarchy::from_table("a;*\nb;*", ';').unwrap());
    for rows in [0, 1, 4] {
        let column = Quasi::new("q", Arc::clone(&hierarchy), vec![0; rows]).unwrap();
        let table = Table::new(vec![column]).unwrap();
        for mode in modes(5) {
            let (recoding, report) = anonymise(&table, &mode, Attacks::Run, &Seed([1; 32])).unwrap();
            assert_eq!((recoding.classes(), report.losses.suppressed), (0, rows));
        }
    }
}

#[test]
fn a_unique_quasi_identifier_and_ten_columns_are_recoded() {
    let rows = 300;
    let unique = Intervals { lower: 0.0, upper: 300.0, unit: 1.0, steps: vec![10, 100] };
    let unique = Arc::new(Hierarchy::from_intervals(&unique).unwrap());
    let mut columns = vec![Quasi::new("unique", Arc::clone(&unique), (0..rows).collect()).unwrap()];
    let mut dice = random::dice(5);
    for at in 1..10 {
        let hierarchy = Arc::new(random::hierarchy(&mut dice, "x"));
        let leaves = (0..rows).map(|_| dice.below(hierarchy.leaves() as u64) as u32).collect();
        columns.push(Quasi::new(&format!("q{at}"), hierarchy, leaves).unwrap());
    }
    let table = Table::new(columns).unwrap();
    for mode in modes(3) {
        let (recoding, report) = anonymise(&table, &mode, Attacks::Run, &Seed([1; 32])).unwrap();
        assert!(recoding.covers(&table));
        assert!(report.losses.risk.smallest_class >= 3);
    }
}

#[test]
fn from_file_to_file_only_what_is_released_is_in_the_bytes() {
    let count = 400;
    let hierarchy = Arc::new(Hierarchy::from_table("north;land\nsouth;land\nlonely;land", ';').unwrap());
    let place = |row: i64| {
        if row == 0 {
            "lonely"
        } else if row % 2 == 0 {
            "north"
        } else {
            "south"
        }
    };
    let diagnosis = |row: i64| if row == 0 { "RAREDISEASE".to_owned() } else { format!("common{}", row % 7) };
    let columns: [(&str, ArrayRef); 4] = [
        ("place", Arc::new((0..count).map(place).map(Some).collect::<StringArray>())),
        ("diagnosis", Arc::new((0..count).map(diagnosis).map(Some).collect::<StringArray>())),
        ("name", Arc::new((0..count).map(|row| Some(format!("NAMEOF{row}"))).collect::<StringArray>())),
        ("patient", Arc::new(Int64Array::from_iter_values(700_000..700_000 + count))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let roles = Roles {
        quasi: vec![quasi("place", &hierarchy)],
        sensitive: vec![SensitiveRole { column: "diagnosis".to_owned(), tree: None }],
        patient: Some("patient".to_owned()),
        ..Roles::default()
    };
    let mode = Mode::FullDomain(FullDomain::k(11, 0.01));
    let job = FileJob { roles, mode, attacks: Attacks::Run, id: Some("id".to_owned()) };
    let mut body = Vec::new();
    let report = anonymise_parquet(Bytes::from(file.clone()), &mut body, &job, &Seed([1; 32])).unwrap();
    assert_eq!((report.losses.suppressed, report.losses.classes), (1, 2));
    let read = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(body.clone())).unwrap().build().unwrap();
    let released: Vec<RecordBatch> = read.map(Result::unwrap).collect();
    assert_eq!(released[0].num_rows(), 399);
    let names: Vec<String> = released[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "place", "diagnosis"]);
    let places = released[0].column(1).as_any_dictionary().values().clone();
    assert_eq!(places.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["north", "south"]);
    // Statistics and dictionaries of one value stand in the file as they are.
    let holds = |needle: &str| body.windows(needle.len()).any(|bytes| bytes == needle.as_bytes());
    assert!(holds("north") || holds("south"));
    assert!(!holds("lonely") && !holds("RAREDISEASE") && !holds("NAMEOF"), "a row that stays behind leaves no byte");
    let again = anonymise_parquet(Bytes::from(body), Vec::new(), &job, &Seed([1; 32]));
    assert_eq!(again.err(), Some(FileFault::Table(TableFault::NoColumn { column: "patient".to_owned() })));
    for cut in [0, 3, 60, file.len() / 2, file.len() - 1] {
        let fault = anonymise_parquet(Bytes::from(file[..cut].to_vec()), Vec::new(), &job, &Seed([1; 32]));
        assert_eq!(fault.err(), Some(FileFault::Read));
    }
}

// ANON-8
#[test]
fn a_dictionary_does_not_bring_values_of_rows_that_stay_behind() {
    let hierarchy = Arc::new(Hierarchy::from_table("a;*\nb;*", ';').unwrap());
    let leaves: Vec<u32> = (0..40).map(|row| u32::from(row == 0)).collect();
    let table = Table::new(vec![Quasi::new("q", hierarchy, leaves).unwrap()]).unwrap();
    let (recoding, _) =
        anonymise(&table, &Mode::FullDomain(FullDomain::k(11, 0.5)), Attacks::Run, &Seed([1; 32])).unwrap();
    assert_eq!(recoding.suppressed(), 1);
    let text = |row: u32| if row == 0 { "SECRET" } else { "common" };
    let column: DictionaryArray<Int32Type> = (0..40).map(text).collect();
    let beside = Beside { columns: vec![("s".to_owned(), Arc::new(column))], id: None };
    let released = body(&table, &recoding, &beside, &Seed([1; 32])).unwrap();
    let held = released.columns().iter().map(|array| format!("{:?}", array.to_data())).collect::<Vec<_>>().concat();
    let bytes = |word: &str| format!("{:?}", word.as_bytes()).trim_matches(['[', ']']).to_owned();
    assert!(held.contains(&bytes("common")), "the test sees the bytes");
    assert!(!held.contains(&bytes("SECRET")));
    assert_eq!(released.column(0).as_any_dictionary().values().len(), 1, "and no value that no class has");
}

// ANON-8
#[test]
fn ids_are_new_in_every_release_and_rows_are_in_another_order() {
    let mut dice = random::dice(2);
    let shape = random::Shape { rows_max: 900, shared_patients: true, ..random::SMALL };
    let table = std::iter::repeat_with(|| random::table(&mut dice, &shape))
        .find(|table| table.rows() > 300 && table.patient.is_some())
        .unwrap();
    let (recoding, _) = anonymise(&table, &Mode::Local(Local::k(2)), Attacks::Skip, &Seed([1; 32])).unwrap();
    let numbers = Int64Array::from_iter_values(0..table.rows() as i64);
    let beside = Beside { columns: vec![("row".to_owned(), Arc::new(numbers))], id: Some("id".to_owned()) };
    let released = |seed| {
        let body = body(&table, &recoding, &beside, &Seed([seed; 32])).unwrap();
        let of = |name: &str| body.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
        (of("id"), of("row"))
    };
    let ((ids, rows), (other_ids, other_rows)) = (released(1), released(2));
    assert_ne!(rows, other_rows);
    assert!(!rows.is_sorted() && !other_rows.is_sorted());
    assert!(!ids.iter().any(|id| other_ids.contains(id)));
    let mut of_patient = std::collections::HashMap::new();
    for (id, row) in ids.iter().zip(&rows) {
        assert_eq!(of_patient.entry(table.patient(*row as u32)).or_insert(*id), id, "one patient, one id");
    }
    let distinct: std::collections::HashSet<&i64> = of_patient.values().collect();
    assert_eq!(distinct.len(), of_patient.len());
}
