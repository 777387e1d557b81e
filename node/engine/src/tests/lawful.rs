//! Laws 1, 8 and 12: what a share does not name does not leave, by any path.

use std::collections::HashMap;

use arrow::array::{
    Array, BinaryArray, DictionaryArray, Int32Array, Int64Array, ListArray, StringArray, StringViewArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use cohortium_protocol::record::journal_entry::RunFault;

use super::*;
use crate::batch::{SourceBatch, SourceColumn};
use crate::policy::{Policy, PolicyFault, pseudonym};
use crate::preview::preview;
use crate::source::{Format, SourceReader};
use crate::treatment::Refusal;

const CANARY: &str = "Zq7CanaryXw9";

fn policy_fault(terms: &Terms, text: &str) -> PolicyFault {
    match terms.take(text, None).err() {
        Some(TakeFault::Policy(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

// SHARE-4
#[test]
fn the_sources_columns_must_be_exactly_the_shares() {
    let terms = Terms::csv("a b -c", "");
    let differ = |missing: &[&str], additional: &[&str]| PolicyFault::ColumnsDiffer {
        missing: missing.iter().copied().map(name).collect(),
        additional: additional.iter().copied().map(name).collect(),
        retyped: vec![],
    };
    assert!(terms.take("c,b,a\n1,2,3\n", None).is_ok());
    assert_eq!(policy_fault(&terms, "a,b\n"), differ(&["c"], &[]));
    assert_eq!(policy_fault(&terms, "a,b,c,d\n"), differ(&[], &["d"]));
    assert_eq!(policy_fault(&terms, "a,b,C\n"), differ(&["c"], &["C"]));
    let fault = policy_fault(&terms, "a,b,c,d\n");
    assert_eq!(fault.to_string(), "the source's columns are not the share's; additional: d");
    assert_eq!(RunFault::from(&fault), RunFault::ColumnsDiffer);
    // Without a header line the names would be cells: none is named.
    assert_eq!(policy_fault(&terms, &format!("{CANARY},2,3\n")), differ(&["a", "b", "c"], &[]));
    let retyped = Terms::csv("a b -c", "").kind("b", ColumnType::Integer).kind("c", ColumnType::Integer);
    let expected = PolicyFault::ColumnsDiffer { missing: vec![], additional: vec![], retyped: vec![name("b")] };
    assert_eq!(policy_fault(&retyped, "a,b,c\n"), expected);
}

#[test]
fn a_policy_that_cannot_be_applied_is_refused_before_a_row_is_read() {
    let text = "a,first,last,born\n1,2,3,4\n";
    let terms = || Terms::csv("a -first -last -born", "a");
    let mut unlawful = terms();
    unlawful.table.columns[0].role = ColumnRole::DirectIdentifier;
    assert_eq!(policy_fault(&unlawful, text), PolicyFault::Unlawful(name("a")));
    let mut keyless = terms();
    keyless.dataset.key = vec![name("gone")];
    assert_eq!(policy_fault(&keyless, text), PolicyFault::NotListed(name("gone")));
    let mut no_patient = terms().opt_out("a", &["1"]);
    no_patient.dataset.patient = None;
    assert_eq!(policy_fault(&no_patient, text), PolicyFault::NoPatientColumn);
    let mut no_key = terms().with_tokens();
    no_key.linkage_key = None;
    assert_eq!(policy_fault(&no_key, text), PolicyFault::NoLinkageKey);
    assert_eq!(RunFault::from(&policy_fault(&no_key, text)), RunFault::NoLinkageKey);
    let mut no_columns = terms().with_tokens();
    no_columns.dataset.linkage = None;
    assert_eq!(policy_fault(&no_columns, text), PolicyFault::NoLinkageColumns);
}

#[test]
fn types_that_cannot_leave_are_refused_by_name_and_can_be_dropped() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
    let file = parquet_file(vec![
        ("k", Arc::new(Int64Array::from(vec![1]))),
        ("l", Arc::new(list)),
        ("b", Arc::new(BinaryArray::from_vec(vec![b"x"]))),
    ]);
    for (columns, refused) in [("k l -b", "l"), ("k -l b", "b"), ("k ~l -b", "l")] {
        let fault = Terms::parquet(columns, "k").kind("k", ColumnType::Integer).take(file.clone(), None).err();
        assert_eq!(fault, Some(TakeFault::Policy(PolicyFault::Unsupported(name(refused)))));
    }
    assert!(Terms::parquet("k -l -b", "k").kind("k", ColumnType::Integer).take(file, None).is_ok());
}

// LAW-1
#[test]
fn what_is_dropped_filtered_or_tokenised_is_nowhere_in_the_bytes() {
    let text = format!(
        "k,p,first,last,born,v\n1,anna,{CANARY}1,{CANARY}2,1984-02-29,kept\n\
         2,bert,Bert,B,1984-02-29,{CANARY}3\n{CANARY}4,\" bert\",Bert,B,1984-02-29,{CANARY}5\n\
         3,{CANARY}6,C,C,1984-02-29,kept\n"
    );
    let terms = Terms::csv("k ~p -first -last -born v", "k").with_tokens().opt_out("p", &["bert"]);
    let taken = terms.take(text.as_str(), None).unwrap();
    assert_eq!(taken.counts(), [2, 0, 2, 0]);
    let cleaned = text.replace(CANARY, "changed");
    let delta = terms.take(cleaned, Some(&taken)).unwrap();
    for bytes in [&taken.rows, &delta.rows] {
        let all = everything_in(bytes);
        assert!(contains(&all, "kept") && contains(&all, "cohortium_token"));
        for absent in [CANARY, "bert", "Bert", "1984", "anna", "first", "born"] {
            assert!(!contains(&all, absent), "{absent}");
        }
    }
    for bytes in [&taken.index, &delta.index, &delta.deletes] {
        assert!(!contains(bytes, CANARY));
    }
    // The opposite: a kept column is found by the same search.
    assert!(contains(
        &everything_in(&Terms::csv("k ~p -first -last -born v", "k").take(text, None).unwrap().rows),
        CANARY
    ));
}

// LAW-8
#[test]
fn nothing_of_a_parquet_source_leaves_but_referenced_values() {
    let keys = Int32Array::from(vec![Some(1), None, Some(2)]);
    let values = StringArray::from(vec![CANARY, "kept", "also"]);
    let dictionary = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values)).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("k", Arc::new(StringViewArray::from(vec!["one", "two", "three"]))),
        ("v", Arc::new(dictionary)),
        ("gone", Arc::new(StringArray::from(vec![CANARY; 3]))),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(n, array)| {
            let metadata = HashMap::from([("pandas".to_owned(), CANARY.to_owned())]);
            Field::new(*n, array.data_type().clone(), true).with_metadata(metadata)
        })
        .collect();
    let schema = Schema::new(fields).with_metadata(HashMap::from([("table".to_owned(), CANARY.to_owned())]));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(schema), arrays).unwrap();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let taken = Terms::parquet("k v -gone", "k").take(file, None).unwrap();
    let all = everything_in(&taken.rows);
    assert!(contains(&all, "kept") && !contains(&all, CANARY));
}

// LAW-8
#[test]
fn arrays_that_leave_share_no_buffer_with_the_source() {
    let terms = Terms::csv("k v w", "k").opt_out("k", &["b"]);
    let columns: Vec<_> = ["k", "v", "w"].map(|n| SourceColumn::new(name(n), DataType::Utf8)).into();
    let dictionary_type = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let columns = [columns[0].clone(), columns[1].clone(), SourceColumn::new(name("w"), dictionary_type)];
    let job = terms.job();
    let policy = Policy::new(&job, &columns).unwrap();
    let under = format!("x{CANARY}y");
    let offsets = OffsetBuffer::from_lengths([1, CANARY.len(), 1]);
    let nulls = NullBuffer::from(vec![true, false, true]);
    let values = StringArray::try_new(offsets, Buffer::from(under.into_bytes()), Some(nulls)).unwrap();
    let keys = Int32Array::from(vec![0, 1, 0]);
    let dictionary =
        DictionaryArray::<Int32Type>::try_new(keys, Arc::new(StringArray::from(vec!["d", CANARY]))).unwrap();
    let batch = SourceBatch {
        columns: vec![
            Some(Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef),
            Some(Arc::new(values)),
            Some(Arc::new(dictionary)),
        ],
        places: vec![2, 3, 4],
        first_row: 0,
        set_aside: vec![],
    };
    let prepared = policy.prepare(&batch).unwrap();
    let leaving = policy.outgoing(&prepared, &prepared.staying()).unwrap();
    assert_eq!(leaving.num_rows(), 2);
    for array in leaving.columns() {
        for buffer in array.to_data().buffers() {
            assert!(!contains(buffer, CANARY) && !contains(buffer, "b"), "{}", array.data_type());
        }
    }
}

#[test]
fn a_pseudonym_hides_its_value_and_is_the_same_wherever_the_value_is() {
    let taken = Terms::csv("~p ~q v", "").take("p,q,v\n7,8,a\n8,,b\n", None).unwrap();
    let key = Secret32::new([5; 32]);
    let [seven, eight] = ["7", "8"].map(|value| pseudonym(&key, value));
    assert_eq!((seven.len(), seven == eight), (32, false));
    let mut expected = vec![format!("{seven},{eight},a"), format!("{eight},\"\",b")];
    expected.sort();
    assert_eq!(cells(&chain(&[&taken])), expected);
    assert_ne!(seven, pseudonym(&Secret32::new([6; 32]), "7"));
}

#[test]
fn a_preview_shows_what_would_leave() {
    let text = format!("k,p,first,v\n1,anna,{CANARY},a\n2,bert,{CANARY},b\n3,carl,{CANARY},\n4,dora,{CANARY},d\n");
    let terms = Terms::csv("k ~p -first v", "k").opt_out("p", &["bert"]);
    let shown = preview(&terms.job(), &handle(text.as_str()), 2).unwrap();
    assert_eq!(shown.header, ["cohortium_row", "k", "p", "v"]);
    assert_eq!(shown.dropped, [name("first")]);
    assert_eq!(shown.treated, [(name("p"), Treatment::Pseudonym)]);
    let kept: Vec<_> = shown.rows.iter().map(|row| [row[1].as_deref(), row[3].as_deref()]).collect();
    assert_eq!(kept, [[Some("1"), Some("a")], [Some("3"), Some("")]]);
    let all = table(&chain(&[&terms.take(text, None).unwrap()]));
    for row in &shown.rows {
        let line: Vec<_> = row.iter().map(|cell| cell.as_deref().filter(|c| !c.is_empty()).unwrap_or("\"\"")).collect();
        assert!(all.contains(&line.join(",")));
    }
}

// LAW-12
#[test]
fn no_fault_carries_a_cell() {
    let terms = Terms::csv("k v", "k");
    let texts = [
        format!("k,v\n{CANARY},1\n{CANARY},2\n"),
        format!("k,v\n{CANARY}\n"),
        format!("k,v\n\"{CANARY}\"{CANARY},1\n"),
        format!("{CANARY},{CANARY}\n1,2\n"),
        format!("{CANARY},{CANARY}2\n1,2\n"),
        format!("k,v\n\"{CANARY},1\n"),
    ];
    for text in texts {
        let fault = terms.take(text.as_str(), None).err().unwrap();
        assert!(!format!("{fault} {fault:?}").contains(CANARY), "{fault}");
    }
    let bytes = [format!("k,v\n{CANARY},").as_bytes(), b"\xFF\n"].concat();
    let fault = terms.take(bytes, None).err().unwrap();
    assert_eq!(
        fault.to_string(),
        "the source cannot be read: row at 2, column v: bytes that are no characters of the source's encoding"
    );
}

#[test]
fn a_batch_holds_only_columns_that_were_asked_for() {
    let source = handle(format!("a,b\n1,{CANARY}\n"));
    let mut reader = SourceReader::open(&source, Format::Csv(TextForm::default()), &Limits::default()).unwrap();
    reader.project(&[true, false]);
    let batch = reader.next_batch().unwrap().unwrap();
    assert_eq!([batch.columns[0].is_some(), batch.columns[1].is_some()], [true, false]);
}

// SHARE-17
#[test]
fn a_number_names_a_row_and_a_patient_alike_whatever_number_type_its_column_has() {
    let terms = || Terms::parquet("~pid x", "pid").kind("x", ColumnType::Integer);
    let file = |pid: ArrayRef| parquet_file(vec![("pid", pid), ("x", Arc::new(Int64Array::from(vec![1, 2])))]);
    let ints = file(Arc::new(Int64Array::from(vec![1001, 1002])));
    let floats = file(Arc::new(arrow::array::Float64Array::from(vec![1001.0, 1002.0])));
    let left = |source: &[u8]| table(&chain(&[&terms().take(source, None).unwrap()]));
    assert_eq!(left(&ints), left(&floats), "row ids and pseudonyms");
    for source in [&ints, &floats] {
        let taken = terms().opt_out("pid", &["1001"]).take(source.clone(), None).unwrap();
        assert_eq!(taken.counts(), [1, 0, 1, 0]);
    }
    let between = file(Arc::new(arrow::array::Float64Array::from(vec![1001.0, 1002.5])));
    for terms in [terms(), Terms::parquet("~pid x", "").kind("x", ColumnType::Integer).opt_out("pid", &["7"])] {
        let Some(TakeFault::Policy(PolicyFault::Refused(row))) = terms.take(between.clone(), None).err() else {
            panic!("it names nobody");
        };
        assert_eq!((row.place, row.column.as_str(), row.refusal), (2, "pid", Refusal::NotWhole));
    }
}
