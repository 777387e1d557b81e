//! Binary files that say what is not so: a clear fault, bounded memory, and no panic that escapes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{Array, DictionaryArray, Int64Array, ListArray, NullArray, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow::ipc::{CompressionType, MetadataVersion};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::sources::{Sorted, corrupted, sort};
use super::*;
use crate::batch::SourceFault;
use crate::source::{Format, SourceReader};

fn sample(rows: i64) -> RecordBatch {
    let keys: ArrayRef = Arc::new(Int64Array::from((0..rows).collect::<Vec<_>>()));
    let texts: ArrayRef =
        Arc::new((0..rows).map(|row| (row % 3 > 0).then(|| format!("v{row}"))).collect::<StringArray>());
    let codes: Vec<String> = (0..rows).map(|row| format!("code {}", row % 5)).collect();
    let codes: DictionaryArray<Int32Type> = codes.iter().map(String::as_str).collect();
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>((0..rows).map(|row| Some(vec![Some(row), None])));
    let columns = [("k", keys), ("v", texts), ("c", Arc::new(codes) as ArrayRef), ("l", Arc::new(lists))];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

fn file(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5).unwrap();
    let options = options.try_with_compression(compression).unwrap();
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new_with_options(&mut bytes, &batches[0].schema(), options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}

fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}

/// Reads the first three columns; nested ones have no text.
fn read(bytes: &[u8], format: Format, limits: &Limits) -> Result<Vec<String>, SourceFault> {
    let mut reader = SourceReader::open(&handle(bytes), format, limits)?;
    reader.project(&reader.columns().iter().map(|column| column.leaves_as().is_some()).collect::<Vec<_>>());
    let mut rows = Vec::new();
    while let Some(batch) = reader.next_batch()? {
        let texts: Vec<StringArray> = batch
            .columns
            .iter()
            .flatten()
            .map(|array| crate::cells::text(&crate::columnar::plain_array(array).unwrap()).unwrap())
            .collect();
        let cell =
            |text: &StringArray, row| if text.is_valid(row) { text.value(row).to_owned() } else { "-".to_owned() };
        let row = |row| texts.iter().map(|text| cell(text, row)).collect::<Vec<_>>().join("|");
        rows.extend((0..batch.places.len()).map(row));
    }
    Ok(rows)
}

#[test]
fn arrow_files_and_streams_are_read_whole_compressed_or_not() {
    let batches = [sample(10), sample(10).slice(0, 3)];
    let expected: Vec<String> = (0..10)
        .chain(0..3)
        .map(|row| format!("{row}|{}|code {}", if row % 3 > 0 { format!("v{row}") } else { "-".to_owned() }, row % 5))
        .collect();
    let limits = Limits { batch_rows: 4, ..Limits::default() };
    let compressed = [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)];
    let mut files: Vec<Vec<u8>> = compressed.into_iter().map(|compression| file(&batches, compression)).collect();
    files.push(stream(&batches));
    let whole = stream(&batches);
    // A stream may end without saying so.
    files.push(whole[..whole.len() - 8].to_vec());
    for bytes in files {
        assert_eq!(read(&bytes, Format::ArrowIpc, &limits).unwrap(), expected);
        let reader = SourceReader::open(&handle(bytes), Format::ArrowIpc, &limits).unwrap();
        let leaves: Vec<bool> = reader.columns().iter().map(|column| column.leaves_as().is_some()).collect();
        assert_eq!(leaves, [true, true, true, false]);
    }
    let empty = RecordBatch::new_empty(batches[0].schema());
    assert_eq!(read(&file(&[empty], None), Format::ArrowIpc, &limits).unwrap(), Vec::<String>::new());
}

#[test]
fn an_arrow_file_or_stream_cut_or_bent_anywhere_is_read_or_a_fault() {
    let batches = [sample(7)];
    for (bytes, is_file) in [
        (file(&batches, None), true),
        (file(&batches, Some(CompressionType::LZ4_FRAME)), true),
        (stream(&batches), false),
    ] {
        for length in (0..bytes.len()).step_by(5) {
            let cut = catch_unwind(AssertUnwindSafe(|| read(&bytes[..length], Format::ArrowIpc, &Limits::default())));
            assert!(
                cut.is_ok_and(|cut| cut.is_err() || (!is_file && cut.is_ok_and(|rows| rows.is_empty()))),
                "{length}"
            );
        }
        for at in (0..bytes.len()).step_by(2) {
            for bits in [0x01, 0xFF] {
                let mut bent = bytes.clone();
                bent[at] ^= bits;
                let read = catch_unwind(AssertUnwindSafe(|| read(&bent, Format::ArrowIpc, &Limits::default()).is_ok()));
                assert!(read.is_ok(), "byte {at} bits {bits:x}");
            }
        }
    }
}

#[test]
fn a_thousand_corruptions_of_binary_files_leave_whole_batches_or_a_fault() {
    let arrow = file(&[sample(20).project(&[0, 1]).unwrap(), sample(20).project(&[0, 1]).unwrap()], None);
    let mut parquet = Vec::new();
    let batch = sample(20).project(&[0, 1]).unwrap();
    let mut writer = ArrowWriter::try_new(&mut parquet, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut faults = 0;
    for seed in 0..500 {
        for (bytes, format, whole) in
            [(&arrow, Format::ArrowIpc, [20, 40].as_slice()), (&parquet, Format::Parquet, &[20])]
        {
            let bent = corrupted(bytes, 0, b"\0\x01\x7F\x80\xFF", &mut Random(seed));
            match sort(&bent, format, &Limits::default()) {
                Ok(Sorted { rows, aside, fault: None, .. }) if rows.len() + aside.len() > 0 => {
                    assert!(whole.contains(&(rows.len() + aside.len())), "seed {seed}: {}", rows.len());
                }
                Ok(Sorted { fault, .. }) => faults += u32::from(fault.is_some()),
                Err(_) => faults += 1,
            }
        }
    }
    assert!(faults > 500, "{faults}");
}

#[test]
fn a_batch_that_is_long_or_says_it_is_ends_the_run_before_it_is_allocated() {
    let limits = Limits { part_bytes_max: 1 << 18, ..Limits::default() };
    let too_long = Some(SourceFault::PartTooLong { rows: 0, max: 1 << 18 });
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7; 1 << 16]));
    let bomb = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
    for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        let bytes = file(std::slice::from_ref(&bomb), compression);
        assert_eq!(compression.is_none(), bytes.len() > 1 << 18);
        assert_eq!(read(&bytes, Format::ArrowIpc, &limits).err(), too_long, "{compression:?}");
        assert_eq!(read(&bytes, Format::ArrowIpc, &Limits::default()).unwrap().len(), 1 << 16);
    }
    assert_eq!(read(&stream(std::slice::from_ref(&bomb)), Format::ArrowIpc, &limits).err(), too_long);
    // A buffer that is said to be short and is not: LZ4 would be read to its end.
    let mut lying = file(&[bomb], Some(CompressionType::LZ4_FRAME));
    let declared = (8_u64 << 16).to_le_bytes();
    let at = lying.windows(8).position(|bytes| bytes == declared).unwrap();
    lying[at..at + 8].copy_from_slice(&8_u64.to_le_bytes());
    assert_eq!(read(&lying, Format::ArrowIpc, &limits).err(), too_long);
}

#[test]
fn lengths_beyond_the_file_are_refused_before_anything_is_read() {
    let limits = Limits::default();
    let damaged = Some(SourceFault::Damaged { rows: 0 });
    let bytes = file(&[sample(3)], None);
    let footer = bytes.len() - 10;
    for (length, fault) in [
        (u32::MAX, SourceFault::Damaged { rows: 0 }),
        (u32::try_from(bytes.len()).unwrap(), SourceFault::Damaged { rows: 0 }),
    ] {
        let mut lying = bytes.clone();
        lying[footer..footer + 4].copy_from_slice(&length.to_le_bytes());
        assert_eq!(read(&lying, Format::ArrowIpc, &limits).err(), Some(fault));
    }
    // A heading of 2 GiB in a stream, and an end of the file that is none.
    let lying = [&[0xFF; 4][..], &i32::MAX.to_le_bytes(), &[0; 64]].concat();
    let long = Some(SourceFault::PartTooLong { rows: 0, max: limits.footer_bytes_max });
    assert_eq!(read(&lying, Format::ArrowIpc, &limits).err(), long);
    for bytes in [b"".as_slice(), b"ARROW1", b"ARROW1\0\0\0\0ARROW1", b"abc", b"eid,age\n1,2\n3,4\n"] {
        let fault = read(bytes, Format::ArrowIpc, &limits).err();
        assert!(fault == damaged || fault == long, "{bytes:?}: {fault:?}");
    }
    // Rows that nothing but their number stands for.
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Null, true)]));
    let nulls = RecordBatch::try_new(schema, vec![Arc::new(NullArray::new(50))]).unwrap();
    let mut bytes = file(&[nulls], None);
    let mut faults = 0;
    for at in 0..bytes.len() - 8 {
        if bytes[at..at + 8] == 50_u64.to_le_bytes() {
            bytes[at..at + 8].copy_from_slice(&(1_u64 << 60).to_le_bytes());
            faults += 1;
        }
    }
    let mut reader = SourceReader::open(&handle(bytes), Format::ArrowIpc, &limits).unwrap();
    assert!(faults > 0 && reader.next_batch().err() == damaged);
}

/// A Parquet file of one compressed column and one page.
fn zeros(rows: usize) -> Vec<u8> {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![0; rows]));
    let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(64 << 20)
        .set_data_page_row_count_limit(rows)
        .set_write_batch_size(rows)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn a_page_that_decompresses_beyond_the_limit_is_not_decompressed() {
    let bytes = zeros(1 << 15);
    assert!(bytes.len() < 1 << 16, "{}", bytes.len());
    assert_eq!(read(&bytes, Format::Parquet, &Limits::default()).unwrap().len(), 1 << 15);
    let limits = Limits { part_bytes_max: 1 << 17, ..Limits::default() };
    let fault = Some(SourceFault::PartTooLong { rows: 0, max: 1 << 17 });
    assert_eq!(read(&bytes, Format::Parquet, &limits).err(), fault);
    // The first page's heading begins behind the four letters: its type, then its length decompressed, zigzag and in
    // groups of seven bits. The largest even number of as many groups is a lie; an odd one would be a negative length.
    let mut lying = zeros(1 << 10);
    assert_eq!(lying[4..6], [0x15, 0x00]);
    assert_eq!(lying[6], 0x15);
    let groups = lying[7..].iter().position(|byte| *byte < 0x80).unwrap();
    assert!(groups > 0);
    lying[7..7 + groups].fill(0xFF);
    lying[7] = 0xFE;
    lying[7 + groups] = 0x7E;
    let limits = Limits { part_bytes_max: 100_000, ..Limits::default() };
    assert_eq!(read(&zeros(1 << 10), Format::Parquet, &limits).unwrap().len(), 1 << 10);
    assert_eq!(read(&lying, Format::Parquet, &limits).err(), Some(SourceFault::PartTooLong { rows: 0, max: 100_000 }));
    // Within the limit the decompressor fills up what is missing behind the values: these are what they were.
    let values = read(&zeros(1 << 10), Format::Parquet, &Limits::default()).unwrap();
    assert!(read(&lying, Format::Parquet, &Limits::default()).is_ok_and(|read| read == values));
}

#[test]
fn a_parquet_footer_that_lies_about_its_length_or_rows_is_a_fault() {
    let bytes = zeros(1 << 10);
    let tail = bytes.len() - 8;
    let with_length = |length: u32| {
        let mut lying = bytes.clone();
        lying[tail..tail + 4].copy_from_slice(&length.to_le_bytes());
        read(&lying, Format::Parquet, &Limits { footer_bytes_max: 200, ..Limits::default() }).err()
    };
    let damaged = Some(SourceFault::Damaged { rows: 0 });
    assert_eq!(with_length(u32::MAX), damaged);
    assert_eq!(with_length(201), Some(SourceFault::PartTooLong { rows: 0, max: 200 }));
    assert_eq!(with_length(0), damaged);
    // 1,024 rows are 0x80 0x10 in zigzag groups: the footer says so of the file and of its one row group.
    let mut stated = 0;
    for at in tail.saturating_sub(2_000)..tail - 2 {
        if bytes[at..at + 3] == [0x16, 0x80, 0x10] {
            let mut lying = bytes.clone();
            lying[at + 2] = 0x0C;
            let read = read(&lying, Format::Parquet, &Limits::default());
            assert!(read.is_err() || read.is_ok_and(|rows| rows.len() == 1 << 10), "byte {at}");
            stated += 1;
        }
    }
    assert!(stated >= 2, "{stated}");
}
