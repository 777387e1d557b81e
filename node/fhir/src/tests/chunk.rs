//! Framing: whatever the size of the pieces that are read, the records are the same.

use super::*;

/// A reader that gives a few bytes at a time.
struct Drops<'b>(&'b [u8], usize);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let some = self.1.min(self.0.len()).min(buffer.len());
        buffer[..some].copy_from_slice(&self.0[..some]);
        self.0 = &self.0[some..];
        Ok(some)
    }
}

fn limits(chunk_bytes: usize, record_bytes_max: usize) -> Limits {
    Limits { record_bytes_max, chunk_bytes, ..Limits::default() }
}

/// The records as text with their places, and the fault that ended it.
fn records(input: &str, layout: Layout, limits: &Limits) -> (Vec<(u64, u64, String)>, Option<Fault>) {
    let mut found = Vec::new();
    for chunk in Chunks::new(Drops(input.as_bytes(), 3), layout, limits.clone()) {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(ReadFault::Document(fault)) => return (found, Some(fault)),
            Err(fault) => panic!("{fault}"),
        };
        for record in &chunk.records {
            let text = match &record.bytes {
                Ok(range) => String::from_utf8_lossy(&chunk.bytes[range.clone()]).into_owned(),
                Err(reason) => reason.code().to_owned(),
            };
            found.push((record.line, record.column, text));
        }
    }
    (found, None)
}

fn texts(input: &str, layout: Layout, limits: &Limits) -> Vec<String> {
    let (found, fault) = records(input, layout, limits);
    assert_eq!(fault, None, "{input}");
    found.into_iter().map(|(_, _, text)| text).collect()
}

#[test]
fn lines_are_records_whatever_is_read_at_once() {
    let input = "\u{feff}{\"a\":1}\n\n  \r\n{\"b\":2}\r\n{\"c\":3}";
    for chunk_bytes in 1..40 {
        let (found, fault) = records(input, Layout::Lines, &limits(chunk_bytes, 100));
        assert_eq!(fault, None);
        let expected = [(1, 1, "{\"a\":1}"), (4, 1, "{\"b\":2}\r"), (5, 1, "{\"c\":3}")];
        let expected: Vec<(u64, u64, String)> =
            expected.map(|(line, column, text)| (line, column, text.to_owned())).to_vec();
        assert_eq!(found, expected, "{chunk_bytes}");
    }
    assert_eq!(texts("", Layout::Lines, &limits(4, 10)), Vec::<String>::new());
    assert_eq!(texts("\n\n", Layout::Lines, &limits(4, 10)), Vec::<String>::new());
}

#[test]
fn a_line_over_the_limit_is_left_out_and_named_and_the_next_one_is_read() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100));
    for chunk_bytes in [1, 7, 64, 1000] {
        let input = format!("1\n{long}\n3\n");
        let (found, _) = records(&input, Layout::Lines, &limits(chunk_bytes, 20));
        let found: Vec<(u64, &str)> = found.iter().map(|(line, _, text)| (*line, text.as_str())).collect();
        assert_eq!(found, [(1, "1"), (2, "record-bytes"), (3, "3")], "{chunk_bytes}");
        assert_eq!(texts(&input, Layout::Lines, &limits(chunk_bytes, 1000)).len(), 3);
    }
    let (found, _) = records(&long, Layout::Lines, &limits(10, 20));
    assert_eq!(found, [(1, 1, "record-bytes".to_owned())]);
}

#[test]
fn elements_of_an_array_are_records() {
    let input = " [ {\"a\":[1,\"]\"]},\n \"x\\\"y\",2 , [],\n{\"b\":{}} ] \n";
    let expected =
        [(1, 4, "{\"a\":[1,\"]\"]}"), (2, 2, "\"x\\\"y\""), (2, 9, "2"), (2, 13, "[]"), (3, 1, "{\"b\":{}}")];
    for chunk_bytes in 1..50 {
        let (found, fault) = records(input, Layout::Array, &limits(chunk_bytes, 100));
        assert_eq!(fault, None, "{chunk_bytes}");
        assert_eq!(found, expected.map(|(line, column, text)| (line, column, text.to_owned())), "{chunk_bytes}");
    }
    assert_eq!(texts("[]", Layout::Array, &limits(9, 9)), Vec::<String>::new());
    assert_eq!(texts("[1,2222222222,3]", Layout::Array, &limits(2, 5)), ["1", "record-bytes", "3"]);
}

#[test]
fn entries_of_a_bundle_are_records() {
    let input = "{\"resourceType\":\"Bundle\",\"link\":[{\"entry\":[7]}],\"x\":\"entry\",\"entry\" : [\n\
                 {\"fullUrl\":\"a\",\"resource\":{\"entry\":[1]}},{\"b\":1}],\"total\":2}";
    for chunk_bytes in 1..60 {
        let found = texts(input, Layout::Bundle, &limits(chunk_bytes, 200));
        assert_eq!(found, ["{\"fullUrl\":\"a\",\"resource\":{\"entry\":[1]}}", "{\"b\":1}"], "{chunk_bytes}");
    }
    assert_eq!(texts("{\"resourceType\":\"Bundle\"}", Layout::Bundle, &limits(9, 99)), Vec::<String>::new());
}

#[test]
fn what_is_broken_around_the_records_ends_the_run_and_names_the_place() {
    let cases = [
        (Layout::Array, "", Reason::Truncated, (1, 1)),
        (Layout::Array, "{}", Reason::NotAResource, (1, 1)),
        (Layout::Array, "[1,2", Reason::Truncated, (1, 5)),
        (Layout::Array, "[1,\n{\"a\":", Reason::Truncated, (2, 6)),
        (Layout::Array, "[1 2]", Reason::Syntax, (1, 4)),
        (Layout::Array, "[1,]", Reason::Syntax, (1, 4)),
        (Layout::Array, "[,1]", Reason::Syntax, (1, 2)),
        (Layout::Array, "[1]\n [2]", Reason::Trailing, (2, 2)),
        (Layout::Array, "[1}]", Reason::Syntax, (1, 3)),
        (Layout::Bundle, "{\"resourceType\":\"Patient\"}", Reason::NotAResource, (1, 1)),
        (Layout::Bundle, "{\"entry\":[{}]}", Reason::NotAResource, (1, 1)),
        (Layout::Bundle, "{\"resourceType\":\"Bundle\",\"entry\":[{}]", Reason::Truncated, (1, 38)),
        (Layout::Bundle, "{\"resourceType\":\"Bundle\",\"entry\":[{}],\n\"entry\":[]}", Reason::DuplicateName, (2, 2)),
        (Layout::Bundle, "{\"resourceType\":\"Bundle\" \"entry\":[{}]}", Reason::Syntax, (1, 26)),
        (Layout::Bundle, "{\"resourceType\":\"Bundle\",\"entry\":[{}]}x", Reason::Trailing, (1, 39)),
        (Layout::Bundle, "[]", Reason::NotAResource, (1, 1)),
    ];
    for (layout, input, reason, (line, column)) in cases {
        let (_, fault) = records(input, layout, &limits(4, 100));
        assert_eq!(fault, Some(Fault { line, column, clause: None, reason }), "{input}");
    }
    let long = format!("{{\"resourceType\":\"Bundle\",\"x\":\"{}\"}}", "y".repeat(200));
    let (_, fault) = records(&long, Layout::Bundle, &limits(4, 100));
    assert_eq!(fault.map(|fault| fault.reason), Some(Reason::RecordBytes));
}

#[test]
fn the_layout_is_told_by_the_first_bytes() {
    let cases = [
        ("{\"resourceType\":\"Patient\"}\n", Layout::Lines),
        ("", Layout::Lines),
        (" \n[{}]", Layout::Array),
        ("{\n  \"resourceType\" : \"Bundle\",\n  \"type\": \"collection\"", Layout::Bundle),
        ("\u{feff}{\"resourceType\":\"Bundle\"", Layout::Bundle),
        ("{\"resourceType\":\"Basic\",\"x\":{}}\n{\"resourceType\":\"Bundle\"}", Layout::Lines),
    ];
    for (head, layout) in cases {
        assert_eq!(Layout::of(head.as_bytes()), layout, "{head}");
    }
}
