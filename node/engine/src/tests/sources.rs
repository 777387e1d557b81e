//! Every row of a source is in a batch, or set aside with its reason, or behind the fault that ends the run.

use std::collections::BTreeSet;

use arrow::array::{Array, StringArray};
use cohortium_protocol::record::text_form::{Heading, TextEncoding, TextFormFields};

use super::*;
use crate::batch::{SourceColumn, SourceFault};
use crate::row_fault::{RowFault, SetAside, Tolerance};
use crate::source::{Format, SourceReader};

/// One row: its place, its number, its cells.
type Row = (u64, u64, Vec<Option<String>>);

/// What reading a source came to.
pub(super) struct Sorted {
    pub(super) columns: Vec<SourceColumn>,
    pub(super) rows: Vec<Row>,
    pub(super) aside: Vec<SetAside>,
    /// What ended the run.
    pub(super) fault: Option<SourceFault>,
}

/// Reads all there is, and checks that row numbers leave nothing out and name nothing twice.
pub(super) fn sort(bytes: &[u8], format: Format, limits: &Limits) -> Result<Sorted, SourceFault> {
    let mut reader = SourceReader::open_with(&handle(bytes), format, limits, Tolerance::SetAside)?;
    let columns = reader.columns().to_vec();
    let mut sorted = Sorted { columns, rows: Vec::new(), aside: Vec::new(), fault: None };
    loop {
        let batch = match reader.next_batch() {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(fault) => {
                sorted.fault = Some(fault);
                break;
            }
        };
        assert!(batch.places.len() + batch.set_aside.len() > 0);
        assert_eq!(batch.first_row, (sorted.rows.len() + sorted.aside.len()) as u64);
        let texts: Vec<StringArray> =
            batch.columns.iter().flatten().map(|array| crate::cells::text(array).unwrap()).collect();
        assert!(texts.iter().all(|text| text.len() == batch.places.len()));
        let cell = |text: &StringArray, row| text.is_valid(row).then(|| text.value(row).to_owned());
        for (row, (place, number)) in batch.places.iter().zip(batch.row_numbers()).enumerate() {
            sorted.rows.push((*place, number, texts.iter().map(|text| cell(text, row)).collect()));
        }
        sorted.aside.extend(batch.set_aside);
    }
    let numbers = sorted.rows.iter().map(|row| row.1).chain(sorted.aside.iter().map(|row| row.row));
    let numbers: BTreeSet<u64> = numbers.collect();
    let all = (sorted.rows.len() + sorted.aside.len()) as u64;
    assert_eq!(numbers, (1..=all).collect(), "every row is one or the other");
    Ok(sorted)
}

fn csv(bytes: &[u8]) -> Result<Sorted, SourceFault> {
    sort(bytes, Format::Csv(TextForm::default()), &Limits { batch_rows: 7, ..Limits::default() })
}

fn reasons(sorted: &Sorted) -> Vec<(u64, u64, &str)> {
    sorted.aside.iter().map(|row| (row.place, row.lines, row.reason.code())).collect()
}

fn cells_of(sorted: &Sorted) -> Vec<String> {
    let cell = |cell: &Option<String>| cell.clone().unwrap_or("-".to_owned());
    sorted.rows.iter().map(|row| row.2.iter().map(cell).collect::<Vec<_>>().join("|")).collect()
}

#[test]
fn a_row_that_cannot_be_read_is_set_aside_and_the_rest_is_read() {
    let text = b"a,b\n1,2\n3\n4,5,6\n7,\xFF\n\"8\"x,9\n10,11\n\n\n12,13\n\n\n";
    let sorted = csv(text).unwrap();
    assert_eq!(cells_of(&sorted), ["1|2", "10|11", "12|13"]);
    let expected =
        [(3, 1, "ragged"), (4, 1, "ragged"), (5, 1, "encoding"), (6, 1, "quote"), (8, 1, "ragged"), (9, 1, "ragged")];
    assert_eq!(reasons(&sorted), expected);
    assert_eq!(sorted.aside[2].column, Some(name("b")));
    assert_eq!(sorted.rows.iter().map(|row| (row.0, row.1)).collect::<Vec<_>>(), [(2, 1), (7, 6), (10, 9)]);
    // The same bytes where such a row ends the run.
    let mut reader =
        SourceReader::open(&handle(&text[..]), Format::Csv(TextForm::default()), &Limits::default()).unwrap();
    let fault = reader.next_batch().err();
    assert_eq!(fault.unwrap().to_string(), "row at 3: 1 cells where the table has 2 columns");
}

#[test]
fn pieces_of_a_row_whose_quotes_are_wrong_are_not_taken_for_rows() {
    // The second quote closes the cell; what follows up to the line end is left out, and the piece behind it, too.
    let sorted = csv(b"a,b\n1,2\n\"x\"y\nz\",3\n4,5\n\"6\",\"7\n8\"\n").unwrap();
    assert_eq!(cells_of(&sorted), ["1|2", "4|5", "6|7\n8"]);
    assert_eq!(reasons(&sorted), [(3, 1, "quote"), (4, 1, "quote")]);
    // A quote that swallows rows until the next one: one record of three lines.
    let sorted = csv(b"a,b\n1,\"2\n3,4\n5,\"6\n7,8\n").unwrap();
    assert_eq!((cells_of(&sorted), reasons(&sorted)), (vec!["7|8".to_owned()], vec![(2, 3, "quote")]));
}

#[test]
fn behind_a_quote_that_is_never_closed_nothing_can_be_found() {
    let sorted = csv(b"a,b\n1,2\n3,\"4\n5,6\n7,8\n").unwrap();
    assert_eq!(sorted.fault, Some(SourceFault::QuoteOpen { line: 3 }));
    let long = [b"a,b\n1,\"".as_slice(), &vec![b'\n'; 5 << 20]].concat();
    let limits = Limits { line_bytes_max: 1 << 20, ..Limits::default() };
    let sorted = sort(&long, Format::Csv(TextForm::default()), &limits).unwrap();
    assert_eq!(sorted.fault, Some(SourceFault::QuoteOpen { line: 2 }));
}

#[test]
fn one_enormous_line_or_a_million_cells_cost_no_more_than_the_limit() {
    let limits = Limits { line_bytes_max: 1 << 20, cell_bytes_max: 1 << 10, ..Limits::default() };
    let long = [b"a,b\n1,2\n3,".as_slice(), &vec![b'x'; 9 << 20], b"\n4,\"", &vec![b'\n'; 3 << 20], b"\"\n5,6\n7,"];
    let bytes = [&long.concat()[..], &vec![b'y'; 2 << 10], b"\n8,9\n", &vec![b','; 1 << 19], b"\n10,11"].concat();
    let sorted = sort(&bytes, Format::Csv(TextForm::default()), &limits).unwrap();
    assert_eq!(cells_of(&sorted), ["1|2", "5|6", "8|9", "10|11"]);
    let lines = (3 << 20) + 1;
    let behind = 4 + lines;
    let expected = [
        (3, 1, "record-too-long"),
        (4, lines, "record-too-long"),
        (behind + 1, 1, "cell-too-long"),
        (behind + 3, 1, "ragged"),
    ];
    assert_eq!(reasons(&sorted), expected);
    assert_eq!((sorted.aside[2].column.clone(), sorted.fault), (Some(name("b")), None));
}

#[test]
fn missing_marks_are_nulls_and_nothing_else_is() {
    let marks = ["?", "", "-9"].map(|mark| mark.parse().unwrap());
    let fields = TextFormFields { missing: marks.into(), ..TextForm::default().into() };
    let format = Format::Csv(TextForm::try_from(fields).unwrap());
    let sorted = sort(b"a,b\n?,\n\"?\",\"\"\n-9,-99\n ?,??\n", format, &Limits::default()).unwrap();
    assert_eq!(cells_of(&sorted), ["-|-", "-|-", "-|-99", " ?|??"]);
    let plain = csv(b"a,b\n?,\n").unwrap();
    assert_eq!(cells_of(&plain), ["?|"]);
}

#[test]
fn a_table_without_a_header_line_has_the_names_it_is_given() {
    let names = ["age", "sex"].map(name).to_vec();
    let fields =
        TextFormFields { heading: Heading::Names(names.clone()), delimiter: b'\t', ..TextForm::default().into() };
    let format = Format::Csv(TextForm::try_from(fields).unwrap());
    let sorted = sort(b"63\t1\n37\t1\n41\n", format.clone(), &Limits::default()).unwrap();
    assert_eq!(sorted.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>(), names);
    assert_eq!((cells_of(&sorted), reasons(&sorted)), (vec!["63|1".into(), "37|1".into()], vec![(3, 1, "ragged")]));
    assert_eq!(sort(b"", format, &Limits::default()).unwrap().rows, []);
}

#[test]
fn a_table_in_another_encoding_is_the_same_table() {
    let text = "Name;Größe\nJosé;\"1,80 \u{20ac}\"\n";
    let utf_16: Vec<u8> = format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect();
    let latin: Vec<u8> =
        text.chars().map(|c| if c == '\u{20ac}' { 0x80 } else { u8::try_from(u32::from(c)).unwrap() }).collect();
    for (encoding, bytes) in [
        (TextEncoding::Utf8, text.as_bytes()),
        (TextEncoding::Utf16, &utf_16),
        (TextEncoding::Utf16Be, &utf_16),
        (TextEncoding::Windows1252, &latin),
    ] {
        let fields = TextFormFields { delimiter: b';', encoding, ..TextForm::default().into() };
        let sorted = sort(bytes, Format::Csv(TextForm::try_from(fields).unwrap()), &Limits::default()).unwrap();
        assert_eq!(sorted.columns[1].name, name("Größe"));
        assert_eq!(cells_of(&sorted), ["José|1,80 \u{20ac}"], "{encoding:?}");
    }
    // Half a surrogate pair is no character: the row is set aside, the others stand.
    let fields = TextFormFields { encoding: TextEncoding::Utf16Le, ..TextForm::default().into() };
    let mut bytes: Vec<u8> = "a,b\n1,2\n3,#\n5,6\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let at = bytes.iter().position(|byte| *byte == b'#').unwrap();
    bytes[at..at + 2].copy_from_slice(&[0x00, 0xD8]);
    let sorted = sort(&bytes, Format::Csv(TextForm::try_from(fields).unwrap()), &Limits::default()).unwrap();
    assert_eq!((cells_of(&sorted), reasons(&sorted)), (vec!["1|2".into(), "5|6".into()], vec![(3, 1, "encoding")]));
}

/// Flips, puts in and takes out a few bytes behind `from`.
pub(super) fn corrupted(bytes: &[u8], from: usize, alphabet: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = from + usize::try_from(random.below((bytes.len() - from) as u64)).unwrap();
        let put = alphabet[usize::try_from(random.below(alphabet.len() as u64)).unwrap()];
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.insert(at, put),
            2 => bytes[at] = put,
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

#[test]
fn three_thousand_corruptions_of_a_text_table_are_all_accounted_for() {
    let rows = (0..40).map(|row| match row % 5 {
        0 => format!("{row},\"two\nlines {row}\",x\r\n"),
        1 => format!("{row},\"say \"\"{row}\"\"\",\u{e9}\n"),
        _ => format!("{row},plain {row},{}\n", row * row),
    });
    let text = format!("k,v,w\n{}", rows.collect::<String>());
    let (mut ended, mut aside) = (0, 0);
    for seed in 0..3_000 {
        let bytes = corrupted(text.as_bytes(), 6, b"\",\n\r\xFF\0a", &mut Random(seed));
        let sorted = csv(&bytes).unwrap();
        let lines = memchr::memchr_iter(b'\n', &bytes).count() as u64 + u64::from(!bytes.ends_with(b"\n"));
        // Row by row, each begins on the line behind the one before: no line is left out or taken twice.
        let read = sorted.rows.iter().map(|(place, _, cells)| {
            (*place, 1 + cells.iter().flatten().map(|cell| cell.matches('\n').count() as u64).sum::<u64>())
        });
        let mut spans: Vec<(u64, u64)> = read.chain(sorted.aside.iter().map(|row| (row.place, row.lines))).collect();
        spans.sort_unstable();
        let mut next = 2;
        for (place, count) in spans {
            assert_eq!(place, next, "seed {seed}");
            next = place + count;
        }
        match &sorted.fault {
            None => {
                let rest: Vec<&[u8]> =
                    bytes.split(|byte| *byte == b'\n').skip(usize::try_from(next).unwrap() - 1).collect();
                assert!(rest.iter().all(|line| matches!(line, [] | [b'\r'])), "seed {seed}: {next} of {lines}");
            }
            Some(SourceFault::QuoteOpen { line }) => assert!(*line >= next, "seed {seed}"),
            Some(fault) => unreachable!("seed {seed}: {fault}"),
        }
        ended += u32::from(sorted.fault.is_some());
        aside += sorted.aside.len();
    }
    assert!(ended > 10 && aside > 1_000, "{ended} runs ended, {aside} rows set aside");
}

#[test]
fn without_quotes_every_line_stands_for_itself() {
    let rows = (0..60).map(|row| format!("{row},v{row},\u{e9}{}\n", row * row));
    let text = format!("k,v,w\n{}", rows.collect::<String>());
    for seed in 0..3_000 {
        let mut bytes = corrupted(text.as_bytes(), 6, b",\n\r\xFF\0a", &mut Random(seed));
        bytes.iter_mut().filter(|byte| **byte == b'"').for_each(|byte| *byte = b'\'');
        let body = &bytes[6..];
        let mut lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
        let blank = |line: &&[u8]| matches!(line, [] | [b'\r']);
        while lines.last().is_some_and(blank) {
            lines.pop();
        }
        let cells = |line: &[u8]| {
            let text = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).ok()?.to_owned();
            Some(text.split(',').map(|cell| Some(cell.to_owned())).collect::<Vec<_>>()).filter(|row| row.len() == 3)
        };
        let expected: Vec<_> =
            (2..).zip(&lines).filter_map(|(place, line)| Some((place, place - 1, cells(line)?))).collect();
        let sorted = csv(&bytes).unwrap();
        assert_eq!(sorted.rows, expected, "seed {seed}");
        assert_eq!((sorted.rows.len() + sorted.aside.len(), sorted.fault), (lines.len(), None), "seed {seed}");
    }
}

fn ndjson(text: &[u8], limits: &Limits) -> Result<Sorted, SourceFault> {
    sort(text, Format::Ndjson, limits)
}

fn kinds(sorted: &Sorted) -> Vec<String> {
    let kind = |c: &SourceColumn| format!("{} {}{}", c.name, c.kind, if c.nested { " nested" } else { "" });
    sorted.columns.iter().map(kind).collect()
}

#[test]
fn fields_of_all_rows_are_columns_of_the_narrowest_type_that_holds_them() {
    let text = br#"{"k":1,"yes":true,"x":1,"t":"a"}
{"x":2.5,"k":2,"n":null,"m":1,"o":"text"}

{"k":-3,"yes":null,"m":"two","o":{"b":[1],"a":"\u00e9"},"late":9007199254740993}
"#;
    let array = format!("[{}]", String::from_utf8_lossy(text).trim().replace("\n\n", "\n").replace('\n', ",\n"));
    for sorted in [ndjson(text, &Limits::default()), sort(array.as_bytes(), Format::Json, &Limits::default())] {
        let sorted = sorted.unwrap();
        let expected =
            ["k Int64", "yes Boolean", "x Float64", "t Utf8", "n Utf8", "m Utf8", "o Utf8 nested", "late Int64"];
        assert_eq!(kinds(&sorted), expected);
        let rows = [
            "1|true|1.0|a|-|-|-|-",
            "2|-|2.5|-|-|1|\"text\"|-",
            "-3|-|-|-|-|two|{\"a\":\"\u{e9}\",\"b\":[1]}|9007199254740993",
        ];
        assert_eq!(cells_of(&sorted), rows);
    }
}

#[test]
fn a_nested_column_is_refused_by_name_and_can_be_dropped() {
    let mut terms = Terms::csv("k o", "").kind("k", ColumnType::Integer);
    terms.dataset.source = Source::Ndjson { path: "unused".parse().unwrap() };
    let text = "{\"k\":1,\"o\":[1]}\n";
    let fault = terms.take(text, None).err();
    assert_eq!(fault, Some(TakeFault::Policy(crate::policy::PolicyFault::Unsupported(name("o")))));
    terms.table.columns[1].treatment = Treatment::Drop;
    assert_eq!(terms.take(text, None).unwrap().report.rows_out.0, 1);
}

#[test]
fn json_that_is_no_row_is_set_aside_with_its_reason() {
    let text = b"{\"k\":1}\n[1]\n{\"k\":2,\"k\":3}\n{\"k\":4,\"\":1}\n{\"k\":\xFF}\n{\"k\":[[[1]]]}\n{\"k\":\n{\"k\":\"toolong\"}\n{\"k\":8,\"pad\":1234567890}\n{\"k\":9}";
    let limits =
        Limits { json_depth_max: 3, cell_bytes_max: 8, line_bytes_max: 22, batch_rows: 2, ..Limits::default() };
    let sorted = ndjson(text, &limits).unwrap();
    assert_eq!((kinds(&sorted), cells_of(&sorted)), (vec!["k Int64".to_owned()], vec!["1".to_owned(), "9".to_owned()]));
    let expected = [
        (2, 1, "not-an-object"),
        (3, 1, "field-twice"),
        (4, 1, "field-name"),
        (5, 1, "encoding"),
        (6, 1, "too-deep"),
        (7, 1, "not-json"),
        (8, 1, "cell-too-long"),
        (9, 1, "record-too-long"),
    ];
    assert_eq!(reasons(&sorted), expected);
    let fault = SourceReader::open(&handle(&text[..]), Format::Ndjson, &limits).err();
    assert_eq!(fault, Some(SourceFault::Row { place: 2, column: None, reason: RowFault::NotAnObject }));
    assert_eq!(ndjson(b"[1]\n\n", &limits).err(), Some(SourceFault::Empty));
    assert_eq!(sort(b"[{\"k\":1},", Format::Json, &limits).err(), Some(SourceFault::Truncated { line: 1 }));
    let many: String = (0..5_000).fold(String::new(), |all, n| all + &format!("{{\"c{n}\":1}}\n"));
    let fault = ndjson(many.as_bytes(), &Limits::default()).err();
    assert_eq!(fault, Some(SourceFault::TooManyColumns { max: 4_096 }));
}

/// Another file from the second reading of its beginning on.
struct Changing {
    first: Vec<u8>,
    second: Vec<u8>,
    begun: std::sync::atomic::AtomicU32,
}

impl RandomRead for Changing {
    fn len(&self) -> u64 {
        self.first.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        let begun = match (offset, buffer.len()) {
            (0, 3) => 1 + self.begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            _ => self.begun.load(std::sync::atomic::Ordering::Relaxed),
        };
        let bytes = if begun > 1 { &self.second } else { &self.first };
        bytes.read_at(offset, buffer)
    }
}

#[test]
fn a_field_first_seen_later_is_a_fault_that_names_it() {
    for (first, second, column) in
        [("{\"a\":1}", "{\"b\":1}", "b"), ("{\"a\":1}", "{\"a\":t}", ""), ("{\"a\":1.5}", "{\"a\":\"x\"}", "a")]
    {
        let source: Handle = Arc::new(Changing {
            first: first.into(),
            second: second.into(),
            begun: std::sync::atomic::AtomicU32::new(0),
        });
        let mut reader = SourceReader::open(&source, Format::Ndjson, &Limits::default()).unwrap();
        let expected = match column {
            "" => SourceFault::Row { place: 1, column: None, reason: RowFault::NotJson },
            column => SourceFault::FieldLater { place: 1, column: Some(name(column)) },
        };
        assert_eq!(reader.next_batch().err(), Some(expected));
    }
}

#[test]
fn three_thousand_corruptions_of_ndjson_are_all_accounted_for() {
    let lines: Vec<String> = (0..40)
        .map(|k| {
            format!("{{\"k\":{k},\"v\":\"text \\\"{k}\\\" \u{e9}\",\"o\":{{\"n\":[{k},null]}},\"b\":{}}}", k % 2 == 0)
        })
        .collect();
    let text = lines.join("\n");
    let mut aside = 0;
    for seed in 0..3_000 {
        let bytes = corrupted(text.as_bytes(), 0, b"\"{}[],:\n\\\xFF\0 9", &mut Random(seed));
        let sorted = match ndjson(&bytes, &Limits { batch_rows: 7, ..Limits::default() }) {
            Ok(sorted) => sorted,
            Err(fault) => unreachable!("seed {seed}: {fault}"),
        };
        let found: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let blank = |line: &&&[u8]| !line.iter().all(|byte| b" \t\r".contains(byte));
        assert_eq!(sorted.rows.len() + sorted.aside.len(), found.iter().filter(blank).count(), "seed {seed}");
        // A line that nobody touched is a row with its own key.
        let key = sorted.columns.iter().position(|column| column.name.as_str() == "k").unwrap();
        let rows: BTreeMap<u64, Option<String>> =
            sorted.rows.iter().map(|(place, _, cells)| (*place, cells[key].clone())).collect();
        for (place, line) in (1..).zip(&found) {
            if let Some(k) = lines.iter().position(|whole| whole.as_bytes() == *line) {
                assert_eq!(rows.get(&place), Some(&Some(k.to_string())), "seed {seed} line {place}");
            }
        }
        aside += sorted.aside.len();
    }
    assert!(aside > 1_000, "{aside}");
}

#[test]
fn a_corrupted_json_array_is_read_as_far_as_it_is_one() {
    let rows: Vec<String> = (0..40).map(|k| format!("{{\"k\":{k},\"v\":\"[{k}\",\"o\":[{k}]}}")).collect();
    let text = format!("[\n{}\n]\n", rows.join(",\n"));
    let (mut whole, mut refused) = (0, 0);
    for seed in 0..3_000 {
        let bytes = corrupted(text.as_bytes(), 0, b"\"{}[],:\n\\\xFF\0 9", &mut Random(seed));
        match sort(&bytes, Format::Json, &Limits::default()) {
            Ok(sorted) => {
                assert_eq!(sorted.fault, None, "seed {seed}");
                whole += 1;
            }
            Err(SourceFault::NotAnArray { .. } | SourceFault::Truncated { .. }) => refused += 1,
            Err(fault) => unreachable!("seed {seed}: {fault}"),
        }
    }
    assert!(whole > 500 && refused > 100, "{whole} {refused}");
}

#[test]
fn work_of_several_threads_comes_in_the_order_of_the_batches_and_so_does_its_first_fault() {
    let text: Vec<String> = (0..400).map(|row| format!("{{\"k\":{row}}}\n")).collect();
    let text = text.concat();
    let limits = Limits { batch_rows: 1, ..Limits::default() };
    let run = |faults: &[u64], rows_max| {
        let reader = SourceReader::open(&handle(text.clone()), Format::Ndjson, &limits).unwrap();
        let mut seen = Vec::new();
        let map = |batch: crate::batch::SourceBatch| {
            // Some take longer than those behind them.
            (0..(batch.first_row * 7_919 % 41) * 200).for_each(|step| {
                std::hint::black_box(step);
            });
            let fault = SourceFault::Damaged { rows: batch.first_row };
            if faults.contains(&batch.first_row) { Err(fault) } else { Ok(batch.first_row) }
        };
        let end = crate::source::for_each_mapped(reader, rows_max, map, |row| {
            seen.push(row);
            Ok::<(), SourceFault>(())
        });
        (seen, end)
    };
    assert_eq!(run(&[], 400), ((0..400).collect(), Ok(400)));
    assert_eq!(run(&[300, 50, 120], 400), ((0..50).collect(), Err(SourceFault::Damaged { rows: 50 })));
    assert_eq!(run(&[], 399), ((0..399).collect(), Err(SourceFault::TooManyRows { max: 399 })));
}
