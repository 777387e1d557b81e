//! Bytes that somebody bent: a fault, never a panic that escapes, never a table that is quietly shorter.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{DictionaryArray, Int64Array, StringArray};
use arrow::datatypes::Int32Type;

use super::*;
use crate::cells::id_array;
use crate::land::{LandFault, LandedTable, check, count, merge, to_csv};

fn landed(bytes: &[u8]) -> Result<LandedTable, LandFault> {
    let (blob, limits) = (handle(bytes), Limits::default());
    let table = check(&blob, &limits)?;
    let chain = LandedChain {
        full: LandedPart { rows: blob.clone(), deletes: Some(blob.clone()) },
        deltas: vec![LandedPart { rows: blob.clone(), deletes: Some(blob) }],
    };
    assert_eq!(count(&chain, &limits)?.rows, table.rows);
    merge(&chain, &mut Vec::new(), &limits)?;
    to_csv(&chain, &mut Vec::new(), &limits)?;
    Ok(table)
}

fn sample() -> Vec<u8> {
    let rows: Vec<String> = (0..40).map(|row| format!("{row},p{},\u{e9}{}\n", row % 7, row * row)).collect();
    Terms::csv("k ~p v", "k").take(format!("k,p,v\n{}", rows.concat()), None).unwrap().rows
}

#[test]
fn a_landed_file_cut_anywhere_is_a_fault() {
    let bytes = sample();
    assert_eq!(landed(&bytes).unwrap().rows.0, 40);
    for length in (0..bytes.len()).step_by(3) {
        let outcome = catch_unwind(AssertUnwindSafe(|| landed(&bytes[..length])));
        assert!(outcome.is_ok_and(|outcome| outcome.is_err()), "{length}");
    }
}

#[test]
fn a_landed_file_with_a_bent_byte_is_a_fault_or_another_table_and_never_a_panic() {
    let bytes = sample();
    for at in 0..bytes.len() {
        for bits in [0x01, 0x80, 0xFF] {
            let mut bent = bytes.clone();
            bent[at] ^= bits;
            assert!(catch_unwind(AssertUnwindSafe(|| landed(&bent).is_ok())).is_ok(), "byte {at} bits {bits:x}");
        }
    }
}

#[test]
fn a_text_cut_or_bent_anywhere_is_read_or_a_fault() {
    let text = "\u{FEFF}k,\"v \"\"\",w\r\n1,\"a\nb\",\u{e9}\r\n2,\"\",x\r\n3,\"say \"\"hi\"\"\",y\r\n".as_bytes();
    let terms = Terms::csv("k v w", "k");
    for length in 0..=text.len() {
        drop(terms.take(&text[..length], None));
        for bits in [0x01, 0x80, 0xFF] {
            let mut bent = text.to_vec();
            if let Some(byte) = bent.get_mut(length) {
                *byte ^= bits;
            }
            drop(terms.take(bent, None));
        }
    }
}

#[test]
fn what_no_provider_can_have_sent_is_refused() {
    let ids = |ids: &[u8]| id_array(ids.iter().map(|id| Some([*id; 16])));
    let text = |cells: &[&str]| Arc::new(StringArray::from(cells.to_vec())) as ArrayRef;
    let fault = |columns| landed(&parquet_file(columns)).err();
    assert!(fault(vec![("cohortium_row", ids(&[1, 2])), ("v", text(&["a", "b"]))]).is_none());
    assert_eq!(fault(vec![("v", text(&["a"])), ("cohortium_row", ids(&[1]))]), Some(LandFault::NoRowIds));
    assert_eq!(fault(vec![("cohortium_row", text(&["a"]))]), Some(LandFault::NoRowIds));
    let short = id_array([Some([1_u8; 15])].into_iter());
    assert_eq!(fault(vec![("cohortium_row", short)]), Some(LandFault::NoRowIds));
    let twice = Some(LandFault::IdTwice { row: 3 });
    assert_eq!(fault(vec![("cohortium_row", ids(&[1, 2, 1]))]), twice);
    let missing = id_array([Some([1; 16]), None].into_iter());
    assert_eq!(fault(vec![("cohortium_row", missing)]), Some(LandFault::IdMissing { row: 2 }));
    let unsupported = |n: &str| Some(LandFault::Unsupported(name(n)));
    let bytes = Arc::new(arrow::array::BinaryArray::from_vec(vec![b"x"])) as ArrayRef;
    assert_eq!(fault(vec![("cohortium_row", ids(&[1])), ("b", bytes)]), unsupported("b"));
    assert_eq!(
        fault(vec![("cohortium_row", ids(&[1])), ("cohortium_token", text(&["x"]))]),
        unsupported("cohortium_token")
    );
    let dictionary: DictionaryArray<Int32Type> = ["a", "b"].into_iter().collect();
    assert!(fault(vec![("cohortium_row", ids(&[1, 2])), ("d", Arc::new(dictionary))]).is_none());
}

#[test]
fn a_day_or_time_beyond_the_calendar_is_a_fault_and_not_a_hole() {
    let ids = id_array([Some([1; 16])].into_iter());
    let time = arrow::array::TimestampSecondArray::from(vec![i64::MAX]);
    let chain = |column: ArrayRef| {
        let file = parquet_file(vec![("cohortium_row", ids.clone()), ("t", column)]);
        LandedChain { full: LandedPart { rows: handle(file), deletes: None }, deltas: vec![] }
    };
    let beyond = chain(Arc::new(time));
    assert!(to_csv(&beyond, &mut Vec::new(), &Limits::default()).is_err());
    assert_eq!(count(&beyond, &Limits::default()).unwrap().rows.0, 1);
    assert!(to_csv(&chain(Arc::new(Int64Array::from(vec![i64::MAX]))), &mut Vec::new(), &Limits::default()).is_ok());
}
