//! Extraction: hostile records, limits, threads, and every record accounted for.

use std::fmt::Write as _;

use arrow::array::AsArray;

use super::*;
use crate::dice::Dice;
use crate::limits::Limits;

/// What a whole run gave.
#[derive(Debug, PartialEq)]
struct Run {
    batches: Vec<RecordBatch>,
    faults: Vec<Fault>,
    counts: Result<Counts, Stop>,
}

fn run(view: &View, input: &[u8], layout: Layout, options: &Options) -> Run {
    let (mut batches, mut faults) = (Vec::new(), Vec::new());
    let mut take = |part| {
        match part {
            Part::Rows { batch, .. } => batches.push(batch),
            Part::Fault(fault) => faults.push(fault),
        }
        ControlFlow::Continue(())
    };
    let counts = extract(view, input, layout, options, &mut take);
    Run { batches, faults, counts }
}

fn aside() -> Options {
    Options { on_fault: OnFault::SetAside, ..Options::default() }
}

fn view(json: &str) -> View {
    View::parse(json.as_bytes()).unwrap()
}

fn patients() -> View {
    view(
        r#"{"resource":"Patient","where":[{"path":"active"}],"select":[
            {"column":[{"name":"id","path":"id","type":"id"},{"name":"n","path":"multipleBirth.ofType(integer)","type":"integer"}]},
            {"forEachOrNull":"name","column":[{"name":"family","path":"family","type":"string"},
                {"name":"given","path":"given","type":"string","collection":true}]}]}"#,
    )
}

/// One column's cells over all batches.
fn texts(run: &Run, column: usize) -> Vec<Option<String>> {
    let cells = run.batches.iter().flat_map(|batch| batch.column(column).as_string::<i32>().iter());
    cells.map(|cell| cell.map(str::to_owned)).collect()
}

#[test]
fn each_hostile_record_is_set_aside_with_its_place_and_the_others_are_taken() {
    let good = "{\"resourceType\":\"Patient\",\"id\":\"g\",\"active\":true}";
    let deep = format!("{{\"resourceType\":\"Patient\",\"x\":{}", "[".repeat(2_000_000));
    let cases: [(&[u8], &str, u64); 24] = [
        (b"{\"resourceType\":\"Patient\"", "json-truncated", 26),
        (b"{\"resourceType\":\"Patient\",\"id\":\"secret", "json-truncated", 39),
        (b"secret", "json-syntax", 1),
        (b"{\"resourceType\":\"Patient\",\"id\":secret}", "json-syntax", 32),
        (b"{\"resourceType\":\"Patient\",}", "json-syntax", 27),
        (b"{\"id\":\"a\",\"resourceType\":\"Patient\",\"id\":\"secret\"}", "json-duplicate-name", 37),
        (b"{\"resourceType\":\"Patient\",\"text\":{\"a\":1,\"a\":2}}", "json-duplicate-name", 42),
        (b"{\"resourceType\":\"Patient\",\"id\":\"\xff\"}", "json-encoding", 33),
        (b"{\"resourceType\":\"Patient\",\"id\":\"\xed\xa0\x80\"}", "json-encoding", 33),
        (b"{\"resourceType\":\"Patient\",\"id\":\"\\ud800\"}", "json-escape", 33),
        (b"{\"resourceType\":\"Patient\",\"id\":\"a\x00b\"}", "json-syntax", 34),
        (b"{\"resourceType\":\"Patient\",\"i\\u0064\":\"a\"}", "json-escaped-name", 28),
        (b"{\"resourceType\":\"Patient\"}{}", "json-trailing", 27),
        (b"{\"resourceType\":\"Patient\"} x", "json-trailing", 28),
        (deep.as_bytes(), "json-depth", 94),
        (b"[]", "not-a-resource", 1),
        (b"7", "not-a-resource", 1),
        (b"null", "not-a-resource", 1),
        (b"{}", "not-a-resource", 1),
        (b"{\"resourceType\":7}", "not-a-resource", 1),
        (b"{\"resourceType\":\"Patient\",\"active\":\"secret\"}", "not-boolean", 1),
        (b"{\"resourceType\":\"Patient\",\"active\":[true,true]}", "many-values", 1),
        (b"{\"resourceType\":\"Patient\",\"active\":true,\"multipleBirthInteger\":\"secret\"}", "column-type", 1),
        (
            b"{\"resourceType\":\"Patient\",\"active\":true,\"name\":[{\"family\":{\"a\":\"secret\"}}]}",
            "complex-value",
            1,
        ),
    ];
    for (bytes, code, column) in cases {
        let input = [good.as_bytes(), b"\n", bytes, b"\n", good.as_bytes()].concat();
        let found = run(&patients(), &input, Layout::Lines, &aside());
        let [fault] = found.faults.as_slice() else { panic!("{code}: {:?}", found.faults) };
        assert_eq!((fault.reason.code(), fault.line, fault.column), (code, 2, column), "{fault}");
        assert!(!fault.to_string().contains("secret") && !format!("{fault:?}").contains("secret"));
        let counts = Counts { records: 3, set_aside: 1, taken: 2, rows: 2, ..Counts::default() };
        assert_eq!(found.counts, Ok(counts));
        let refused = run(&patients(), &input, Layout::Lines, &Options::default());
        assert_eq!(refused.counts, Err(Stop::Refused(fault.clone())));
    }
}

#[test]
fn faults_of_the_view_name_its_part() {
    let input = b"{\"resourceType\":\"Patient\",\"active\":true,\"multipleBirthInteger\":1.5}\n{\"resourceType\":\"Patient\",\"active\":1}";
    let faults = run(&patients(), input, Layout::Lines, &aside()).faults;
    let clauses: Vec<Option<&str>> = faults.iter().map(|fault| fault.clause.as_deref()).collect();
    assert_eq!(clauses, [Some("column n"), Some("where[0]")]);
}

#[test]
fn other_types_and_filtered_resources_are_counted() {
    let input = b"{\"resourceType\":\"Group\"}\n{\"resourceType\":\"Patient\"}\n{\"resourceType\":\"Patient\",\"active\":false}\n\
                  {\"resourceType\":\"Patient\",\"active\":true,\"name\":[{\"family\":\"a\"},{\"family\":\"b\"}]}\n";
    let found = run(&patients(), input, Layout::Lines, &aside());
    let counts = Counts { records: 4, other_type: 1, filtered: 2, taken: 1, rows: 2, set_aside: 0 };
    assert_eq!(found.counts, Ok(counts));
    assert_eq!(texts(&found, 2), [Some("a".to_owned()), Some("b".to_owned())]);
}

#[test]
fn values_keep_their_digits_and_their_characters() {
    let view = view(
        r#"{"resource":"Observation","select":[{"column":[
            {"name":"d","path":"value.ofType(Quantity).value","type":"decimal"},
            {"name":"t","path":"note.text","type":"markdown"},
            {"name":"j","path":"value.ofType(Quantity)","type":"Quantity"},
            {"name":"u","path":"status"}]}]}"#,
    );
    let input = "{\"resourceType\":\"Observation\",\"valueQuantity\":{\"value\":1.500},\"note\":[{\"text\":\"\u{e9}\\n\\\"\"}],\"status\":1e2}\n\
                 {\"resourceType\":\"Observation\",\"status\":true}";
    let found = run(&view, input.as_bytes(), Layout::Lines, &Options::default());
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(texts(&found, 0), [some("1.500"), None]);
    assert_eq!(texts(&found, 1), [some("\u{e9}\n\""), None]);
    assert_eq!(texts(&found, 2), [some("{\"value\":1.500}"), None]);
    assert_eq!(texts(&found, 3), [some("1e2"), some("true")]);
}

#[test]
fn a_bundle_and_an_array_give_the_rows_of_their_lines() {
    let resources = [
        "{\"resourceType\":\"Patient\",\"active\":true,\"id\":\"1\"}",
        "{\"resourceType\":\"Patient\",\n\"active\":true,\"id\":\"2\"}",
    ];
    let lines = resources.map(|resource| resource.replace('\n', "")).join("\n");
    let array = format!("[{}]", resources.join(", "));
    let entries = resources.map(|resource| format!("{{\"fullUrl\":\"x\",\"resource\":{resource}}}")).join(",");
    let bundle = format!("{{\"resourceType\":\"Bundle\",\"entry\":[{entries},{{\"request\":{{}}}}]}}");
    let expected = run(&patients(), lines.as_bytes(), Layout::Lines, &Options::default());
    for (input, layout, records) in [(array, Layout::Array, 2), (bundle, Layout::Bundle, 3)] {
        assert_eq!(Layout::of(input.as_bytes()), layout);
        let found = run(&patients(), input.as_bytes(), layout, &Options::default());
        assert_eq!(found.batches, expected.batches);
        assert_eq!(found.counts.map(|counts| (counts.records, counts.taken)), Ok((records, 2)));
    }
    let broken = "[{\"resourceType\":\"Patient\",\n\"active\":true,,}]";
    let fault = run(&patients(), broken.as_bytes(), Layout::Array, &aside()).faults.remove(0);
    assert_eq!((fault.line, fault.column), (2, 15));
}

#[test]
fn one_record_cannot_become_endless_rows() {
    let cross = view(
        r#"{"resource":"A","select":[{"forEach":"x","column":[{"name":"a","path":"$this","type":"integer"}]},
            {"forEach":"x","column":[{"name":"b","path":"$this","type":"integer"}]}]}"#,
    );
    let record = |n: usize| format!("{{\"resourceType\":\"A\",\"x\":[{}]}}", vec!["1"; n].join(","));
    let limited = |limits: Limits| Options { limits, ..aside() };
    let rows = limited(Limits { record_rows_max: 100, ..Limits::default() });
    assert_eq!(run(&cross, record(10).as_bytes(), Layout::Lines, &rows).counts.map(|counts| counts.rows), Ok(100));
    let fault = run(&cross, record(11).as_bytes(), Layout::Lines, &rows).faults.remove(0);
    assert_eq!((fault.reason, fault.clause.as_deref()), (Reason::RecordRows, Some("select")));
    let cells = limited(Limits { record_cells_max: 199, ..Limits::default() });
    assert_eq!(run(&cross, record(10).as_bytes(), Layout::Lines, &cells).faults[0].reason, Reason::RecordRows);

    let twice =
        view(r#"{"resource":"A","select":[{"repeat":["i","i"],"column":[{"name":"a","path":"n","type":"integer"}]}]}"#);
    let nested = format!("{{\"resourceType\":\"A\",{}\"n\":1{}}}", "\"i\":{".repeat(40), "}".repeat(40));
    assert_eq!(run(&twice, nested.as_bytes(), Layout::Lines, &aside()).faults[0].reason, Reason::RecordRows);

    let wide = view(
        r#"{"resource":"A","select":[{"forEach":"x","column":[{"name":"a","path":"%resource.y.join('')","type":"string"}]}]}"#,
    );
    let mut input = record(1000);
    input.pop();
    let _ = write!(input, ",\"y\":\"{}\"}}", "z".repeat(100_000));
    assert_eq!(run(&wide, input.as_bytes(), Layout::Lines, &aside()).faults[0].reason, Reason::RowBytes);
}

#[test]
fn a_recursion_that_does_not_descend_is_a_fault() {
    let up = view(
        r#"{"resource":"A","select":[{"repeat":["%resource.i"],"column":[{"name":"a","path":"n","type":"integer"}]}]}"#,
    );
    let input = b"{\"resourceType\":\"A\",\"i\":{\"n\":1}}";
    assert_eq!(run(&up, input, Layout::Lines, &aside()).faults[0].reason, Reason::Repeat);
}

#[test]
fn batches_are_bounded_in_rows_and_bytes() {
    let limits = Limits { batch_rows: 7, ..Limits::default() };
    let one = "{\"resourceType\":\"Patient\",\"active\":true,\"name\":[{\"family\":\"a\"},{},{}]}\n".repeat(10);
    let found = run(&patients(), one.as_bytes(), Layout::Lines, &Options { limits, ..aside() });
    let sizes: Vec<usize> = found.batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(sizes, [7, 7, 7, 7, 2]);
    let limits = Limits { batch_bytes: 1, ..Limits::default() };
    let found = run(&patients(), one.as_bytes(), Layout::Lines, &Options { limits, ..aside() });
    assert_eq!(found.batches.len(), 10);
}

#[test]
fn threads_give_what_one_gives_in_the_same_order() {
    let mut input = String::new();
    for number in 0..5000 {
        let line = match number % 50 {
            7 => "broken".to_owned(),
            8 => "{\"resourceType\":\"Group\"}".to_owned(),
            _ => format!("{{\"resourceType\":\"Patient\",\"active\":true,\"id\":\"{number}\"}}"),
        };
        let _ = writeln!(input, "{line}");
    }
    let limits = Limits { chunk_bytes: 3000, ..Limits::default() };
    let with = |threads: usize, on_fault| Options {
        threads: NonZeroUsize::new(threads).unwrap(),
        on_fault,
        limits: limits.clone(),
    };
    let one = run(&patients(), input.as_bytes(), Layout::Lines, &with(1, OnFault::SetAside));
    assert_eq!((one.faults.len(), one.faults[99].line), (100, 4958));
    for threads in [2, 3, 8] {
        assert_eq!(run(&patients(), input.as_bytes(), Layout::Lines, &with(threads, OnFault::SetAside)), one);
        let refused = run(&patients(), input.as_bytes(), Layout::Lines, &with(threads, OnFault::Refuse));
        assert_eq!(refused.counts, Err(Stop::Refused(one.faults[0].clone())));
        let mut parts = 0;
        let mut take = |_| {
            parts += 1;
            if parts == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = with(threads, OnFault::SetAside);
        let stopped = extract(&patients(), input.as_bytes(), Layout::Lines, &options, &mut take);
        assert_eq!((stopped, parts), (Err(Stop::Taker), 3));
    }
}

#[test]
fn chunks_of_lines_can_be_extracted_by_themselves() {
    let chunk = Chunk::of_lines(b"x\n{\"resourceType\":\"Patient\",\"active\":true}".to_vec(), 41, &Limits::default());
    assert_eq!(chunk.records(), 2);
    let mut lines = Vec::new();
    let mut take = |part| {
        if let Part::Fault(fault) = part {
            lines.push(fault.line);
        }
        ControlFlow::Continue(())
    };
    let view = patients();
    let counts = Extractor::new(&view, &aside()).chunk(&chunk, &mut take);
    assert_eq!((counts.map(|counts| counts.taken), lines), (Ok(1), vec![41]));
}

#[test]
fn thousands_of_broken_records_are_all_accounted_for() {
    let good = r#"{"resourceType":"Patient","id":"p\u00e9","active":true,"multipleBirthInteger":2,"name":[{"family":"F","given":["a","b"],"x":{"y":[1.5e3,-0,null]}}],"text":"z"}"#;
    let view = patients();
    let mut dice = Dice(42);
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..6000 {
        let bytes = dice.mutated(good.as_bytes());
        let layout = [Layout::Lines, Layout::Array, Layout::Bundle][round % 3];
        let input = match layout {
            Layout::Lines => bytes,
            Layout::Array => [b"[", bytes.as_slice(), b"]"].concat(),
            Layout::Bundle => {
                [b"{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":", bytes.as_slice(), b"}]}"].concat()
            }
        };
        let found = run(&view, &input, layout, &aside());
        seen.extend(found.faults.iter().map(|fault| fault.reason));
        let rows: usize = found.batches.iter().map(RecordBatch::num_rows).sum();
        match found.counts {
            Ok(counts) => {
                let sum = counts.other_type + counts.filtered + counts.set_aside + counts.taken;
                assert_eq!(counts.records, sum, "round {round}");
                assert_eq!(usize::try_from(counts.rows), Ok(rows), "round {round}");
                assert_eq!(usize::try_from(counts.set_aside), Ok(found.faults.len()), "round {round}");
            }
            Err(Stop::Input(ReadFault::Document(_))) => assert!(layout != Layout::Lines, "round {round}"),
            Err(stop) => panic!("round {round}: {stop}"),
        }
    }
    assert!(seen.len() >= 8, "{seen:?}");
}
