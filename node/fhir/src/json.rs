//! JSON of one record, checked in full and indexed in one pass without recursion.
//!
//! Only what lies under names that the view asks for is kept; everything else is checked and passed over. Numbers stay
//! as they are written, because FHIR's decimals carry their precision. Names must be distinct in every object. The text
//! must be UTF-8 already, which the type says.

use std::borrow::Cow;

use crate::fault::Reason;
use crate::names::{Name, Names, hash};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Null,
    False,
    True,
    Number,
    /// A string without escapes.
    Plain,
    /// A string with escapes.
    Escaped,
    Array,
    Object,
}

/// A kept value. Its children follow it.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// First byte of the value, without the quote of a string.
    start: u32,
    /// Byte after the value, without the quote of a string.
    end: u32,
    /// The node after this one and everything in it.
    next: u32,
    /// The bytes of its name, if it has one.
    key: (u32, u32),
    name: Name,
    form: Form,
}

/// A container that is not closed yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Its node, if it is kept.
    node: Option<usize>,
    object: bool,
    /// Where its names begin in `Tape::keys`.
    keys: usize,
}

/// A property name of an open object.
#[derive(Debug, Clone, Copy)]
struct Key {
    hash: u64,
    start: u32,
    end: u32,
}

/// What is wrong with a text, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) at: usize,
    pub(crate) reason: Reason,
}

/// What one text may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Containers inside one another.
    pub(crate) depth: usize,
    /// Values that are kept.
    pub(crate) values: usize,
}

/// The index of one record. It is used again for the next one.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    nodes: Vec<Node>,
    open: Vec<Open>,
    keys: Vec<Key>,
}

impl Tape {
    /// Reads one value and nothing behind it. `names` of `None` keeps everything, without names.
    ///
    /// # Errors
    /// The first fault; the index is then of no use.
    pub(crate) fn read(&mut self, text: &str, names: Option<&Names>, bounds: Bounds) -> Result<(), Bad> {
        self.nodes.clear();
        self.open.clear();
        self.keys.clear();
        if u32::try_from(text.len()).is_err() {
            return Err(Bad { at: 0, reason: Reason::RecordBytes });
        }
        Reader { tape: self, bytes: text.as_bytes(), names, bounds, at: 0, key: (0, 0) }.document()
    }

    pub(crate) fn form(&self, node: u32) -> Form {
        self.nodes[index(node)].form
    }

    pub(crate) fn name(&self, node: u32) -> Name {
        self.nodes[index(node)].name
    }

    /// The bytes of a value, without the quotes of a string.
    pub(crate) fn span(&self, node: u32) -> (usize, usize) {
        let node = &self.nodes[index(node)];
        (index(node.start), index(node.end))
    }

    /// The bytes of a value's name; an element of an array has the one of what was read before it.
    pub(crate) fn key(&self, node: u32) -> (usize, usize) {
        let (start, end) = self.nodes[index(node)].key;
        (index(start), index(end))
    }

    /// The node after this one and everything in it.
    pub(crate) fn after(&self, node: u32) -> u32 {
        self.nodes[index(node)].next
    }

    /// The values in an array, or in an object.
    pub(crate) fn children(&self, node: u32) -> Children<'_> {
        let container = matches!(self.form(node), Form::Array | Form::Object);
        Children { tape: self, at: node + 1, end: if container { self.after(node) } else { node + 1 } }
    }

    /// The value of this name in an object.
    pub(crate) fn child(&self, node: u32, name: Name) -> Option<u32> {
        if self.form(node) != Form::Object {
            return None;
        }
        self.children(node).find(|child| self.name(*child) == name)
    }
}

/// The values in a container.
#[derive(Debug, Clone)]
pub(crate) struct Children<'t> {
    tape: &'t Tape,
    at: u32,
    end: u32,
}

impl Iterator for Children<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let node = self.at;
        (node < self.end).then(|| {
            self.at = self.tape.after(node);
            node
        })
    }
}

/// Places fit: the length of a text is checked before it is read.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

struct Reader<'r> {
    tape: &'r mut Tape,
    bytes: &'r [u8],
    names: Option<&'r Names>,
    bounds: Bounds,
    at: usize,
    /// The name that was read last.
    key: (u32, u32),
}

impl Reader<'_> {
    fn document(mut self) -> Result<(), Bad> {
        let mut name = Name::RESOURCE_TYPE;
        loop {
            let opened = self.value(name)?;
            if opened && let Some(next) = self.first_inside()? {
                name = next;
                continue;
            }
            match self.after_value()? {
                Some(next) => name = next,
                None => return Ok(()),
            }
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Result<u8, Bad> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(*byte);
            }
            self.at += 1;
        }
        Err(self.bad(Reason::Truncated))
    }

    fn bad(&self, reason: Reason) -> Bad {
        Bad { at: self.at, reason }
    }

    /// Reads a value, or the opening of a container: then it says true.
    fn value(&mut self, name: Name) -> Result<bool, Bad> {
        let byte = self.peek()?;
        let start = self.at;
        let (form, end) = match byte {
            b'{' | b'[' => {
                self.open_container(name, byte == b'{')?;
                return Ok(true);
            }
            b'"' => {
                let (end, escaped) = self.string()?;
                (if escaped { Form::Escaped } else { Form::Plain }, end)
            }
            b't' => (Form::True, self.word(b"true")?),
            b'f' => (Form::False, self.word(b"false")?),
            b'n' => (Form::Null, self.word(b"null")?),
            b'-' | b'0'..=b'9' => (Form::Number, self.number()?),
            _ => return Err(self.bad(Reason::Syntax)),
        };
        if self.keeps(name)? {
            let start = start + usize::from(byte == b'"');
            let next = place(self.tape.nodes.len() + 1);
            let key = self.key;
            self.tape.nodes.push(Node { start: place(start), end: place(end), next, key, name, form });
        }
        Ok(false)
    }

    /// Whether what comes now is kept: everything around it is, and its name is asked for.
    fn keeps(&self, name: Name) -> Result<bool, Bad> {
        let keeps = match self.tape.open.last() {
            None => true,
            Some(open) => open.node.is_some() && (!open.object || name != Name::OTHER || self.names.is_none()),
        };
        if keeps && self.tape.nodes.len() >= self.bounds.values {
            return Err(self.bad(Reason::RecordValues));
        }
        Ok(keeps)
    }

    fn open_container(&mut self, name: Name, object: bool) -> Result<(), Bad> {
        if self.tape.open.len() >= self.bounds.depth {
            return Err(self.bad(Reason::Depth));
        }
        let node = self.keeps(name)?.then(|| {
            let form = if object { Form::Object } else { Form::Array };
            self.tape.nodes.push(Node { start: place(self.at), end: 0, next: 0, key: self.key, name, form });
            self.tape.nodes.len() - 1
        });
        self.tape.open.push(Open { node, object, keys: self.tape.keys.len() });
        self.at += 1;
        Ok(())
    }

    /// After an opening: the name of the first value, or nothing if the container is empty. It is then closed.
    fn first_inside(&mut self) -> Result<Option<Name>, Bad> {
        let object = self.tape.open.last().is_some_and(|open| open.object);
        let byte = self.peek()?;
        if byte == if object { b'}' } else { b']' } {
            self.close()?;
            return Ok(None);
        }
        if object { self.key().map(Some) } else { Ok(Some(Name::OTHER)) }
    }

    /// After a value: the name of the next one, with everything closed that ends here; nothing at the end of the text.
    fn after_value(&mut self) -> Result<Option<Name>, Bad> {
        while let Some(open) = self.tape.open.last().copied() {
            match (self.peek()?, open.object) {
                (b',', true) => {
                    self.at += 1;
                    self.peek()?;
                    return self.key().map(Some);
                }
                (b',', false) => {
                    self.at += 1;
                    return Ok(Some(Name::OTHER));
                }
                (b'}', true) | (b']', false) => self.close()?,
                _ => return Err(self.bad(Reason::Syntax)),
            }
        }
        if self.peek().is_ok() { Err(self.bad(Reason::Trailing)) } else { Ok(None) }
    }

    fn close(&mut self) -> Result<(), Bad> {
        self.at += 1;
        let Some(open) = self.tape.open.pop() else { return Err(self.bad(Reason::Syntax)) };
        let next = place(self.tape.nodes.len());
        if let Some(node) = open.node.and_then(|node| self.tape.nodes.get_mut(node)) {
            node.end = place(self.at);
            node.next = next;
        }
        if open.object {
            let bytes = self.bytes;
            let text = |key: &Key| &bytes[index(key.start)..index(key.end)];
            let twice = duplicate(&mut self.tape.keys[open.keys..], text);
            self.tape.keys.truncate(open.keys);
            if let Some(key) = twice {
                return Err(Bad { at: index(key.start), reason: Reason::DuplicateName });
            }
        }
        Ok(())
    }

    /// A property name and its colon.
    fn key(&mut self) -> Result<Name, Bad> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(self.bad(Reason::Syntax));
        }
        let start = self.at + 1;
        let (end, escaped) = self.string()?;
        if escaped {
            return Err(Bad { at: start, reason: Reason::EscapedName });
        }
        let text = &self.bytes[start..end];
        let hash = hash(text);
        self.tape.keys.push(Key { hash, start: place(start), end: place(end) });
        self.key = (place(start), place(end));
        if self.peek()? != b':' {
            return Err(self.bad(Reason::Syntax));
        }
        self.at += 1;
        Ok(self.names.map_or(Name::OTHER, |names| names.find(text, hash)))
    }

    fn word(&mut self, word: &[u8]) -> Result<usize, Bad> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(self.at);
        }
        Err(self.bad(if word.starts_with(rest) { Reason::Truncated } else { Reason::Syntax }))
    }

    /// A number in JSON's grammar. Returns the byte after it.
    fn number(&mut self) -> Result<usize, Bad> {
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(self.at)
    }

    fn digits(&mut self) -> Result<(), Bad> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        let reason = if self.at == self.bytes.len() { Reason::Truncated } else { Reason::Syntax };
        if self.at == start { Err(self.bad(reason)) } else { Ok(()) }
    }

    /// A string. Returns the place of its last quote, and whether it has escapes.
    fn string(&mut self) -> Result<(usize, bool), Bad> {
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok((self.at - 1, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.bad(Reason::Syntax)),
                None => return Err(self.bad(Reason::Truncated)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Bad> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let (unit, length) = unicode(&self.bytes[self.at..]).ok_or(self.bad(Reason::Escape))?;
                debug_assert!(char::from_u32(unit).is_some());
                self.at += length;
                Ok(())
            }
            Some(_) => Err(self.bad(Reason::Escape)),
            None => Err(self.bad(Reason::Truncated)),
        }
    }
}

/// The character of a `\u` escape at the beginning of these bytes, with a surrogate's other half, and its length.
fn unicode(bytes: &[u8]) -> Option<(u32, usize)> {
    let unit = |at: usize| -> Option<u32> {
        let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    };
    match unit(0)? {
        high @ 0xd800..=0xdbff => {
            let low = unit(6).filter(|low| (0xdc00..=0xdfff).contains(low))?;
            Some((0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), 12))
        }
        0xdc00..=0xdfff => None,
        unit => Some((unit, 6)),
    }
}

/// The first byte from here that is a quote, a backslash or a control character, or the end; eight bytes at a time.
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]);
        let special = zero_bytes(word ^ repeat(b'"')) | zero_bytes(word ^ repeat(b'\\')) | below_space(word);
        if special != 0 {
            return at + usize::try_from(special.trailing_zeros() / 8).unwrap_or(0);
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}

const fn repeat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The first of these bytes from here, or the end; eight bytes at a time.
pub(crate) fn find(bytes: &[u8], wanted: u8, mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]);
        let found = zero_bytes(word ^ repeat(wanted));
        if found != 0 {
            return at + usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| *byte != wanted) {
        at += 1;
    }
    at
}

/// The high bit of each zero byte, exact up to the lowest one. Source: Mycroft's test.
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(repeat(1)) & !word & repeat(0x80)
}

/// The high bit of each byte under 0x20, exact up to the lowest one.
fn below_space(word: u64) -> u64 {
    word.wrapping_sub(repeat(0x20)) & !word & repeat(0x80)
}

/// A key that another one equals. Few keys are compared each with each; many are sorted, so that a hostile object costs
/// no square of its size.
fn duplicate<'b>(keys: &mut [Key], text: impl Fn(&Key) -> &'b [u8]) -> Option<Key> {
    if keys.len() > 16 {
        keys.sort_unstable_by(|a, b| a.hash.cmp(&b.hash).then_with(|| text(a).cmp(text(b))));
        return keys
            .windows(2)
            .find(|pair| pair[0].hash == pair[1].hash && text(&pair[0]) == text(&pair[1]))
            .map(|pair| pair[1]);
    }
    for (at, key) in keys.iter().enumerate() {
        if keys[..at].iter().any(|other| other.hash == key.hash && text(other) == text(key)) {
            return Some(*key);
        }
    }
    None
}

/// The characters of a string as it stands between its quotes. The escapes were checked when it was read.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    let Some(first) = raw.find('\\') else { return Cow::Borrowed(raw) };
    let mut text = String::with_capacity(raw.len());
    text.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let (character, length) = match rest.as_bytes().get(1) {
            Some(b'u') => unicode(rest.as_bytes()).unwrap_or((0xfffd, 2)),
            Some(b'b') => (8, 2),
            Some(b'f') => (12, 2),
            Some(b'n') => (10, 2),
            Some(b'r') => (13, 2),
            Some(b't') => (9, 2),
            Some(byte) => (u32::from(*byte), 2),
            None => (0xfffd, 1),
        };
        text.extend(char::from_u32(character));
        rest = &rest[length.min(rest.len())..];
    }
    text.push_str(rest);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 8, values: 70_000 };

    fn fault(text: &str) -> Option<(Reason, usize)> {
        let mut tape = Tape::default();
        tape.read(text, None, BOUNDS).err().map(|bad| (bad.reason, bad.at))
    }

    #[test]
    fn what_json_allows_is_read_and_what_it_does_not_is_named_with_its_place() {
        let good = [
            "{}",
            "[]",
            " [ ] ",
            "null",
            "-0",
            "0.5e-10",
            "1E+5",
            "\"\"",
            "[1,2,{\"a\":[]}]",
            "{\"a\":{\"a\":1}}",
            "\"\\u00e9\\ud83d\\ude00\\n\"",
            "[[[[[[[[]]]]]]]]",
            "{\"a\":1,\"b\":true,\"c\":false,\"d\":null}",
        ];
        for text in good {
            assert_eq!(fault(text), None, "{text}");
        }
        let bad = [
            ("", Reason::Truncated, 0),
            ("{", Reason::Truncated, 1),
            ("{\"a", Reason::Truncated, 3),
            ("{\"a\"", Reason::Truncated, 4),
            ("{\"a\":", Reason::Truncated, 5),
            ("{\"a\":1", Reason::Truncated, 6),
            ("[1,", Reason::Truncated, 3),
            ("tru", Reason::Truncated, 0),
            ("-", Reason::Truncated, 1),
            ("1.", Reason::Truncated, 2),
            ("1e+", Reason::Truncated, 3),
            ("[1.x]", Reason::Syntax, 3),
            ("[01]", Reason::Syntax, 2),
            ("[1 2]", Reason::Syntax, 3),
            ("[1,]", Reason::Syntax, 3),
            ("{,}", Reason::Syntax, 1),
            ("{\"a\" 1}", Reason::Syntax, 5),
            ("{\"a\":1,}", Reason::Syntax, 7),
            ("{a:1}", Reason::Syntax, 1),
            ("[}", Reason::Syntax, 1),
            ("{\"a\":1]", Reason::Syntax, 6),
            ("nul", Reason::Truncated, 0),
            ("NaN", Reason::Syntax, 0),
            ("+1", Reason::Syntax, 0),
            ("\"a\nb\"", Reason::Syntax, 2),
            ("\"longer than eight\u{1}\"", Reason::Syntax, 18),
            ("\"\\x\"", Reason::Escape, 1),
            ("\"\\ud83d\"", Reason::Escape, 1),
            ("\"\\ude00\"", Reason::Escape, 1),
            ("\"\\ud83d\\n\"", Reason::Escape, 1),
            ("\"\\u12g4\"", Reason::Escape, 1),
            ("{\"\\u0061\":1}", Reason::EscapedName, 2),
            ("{\"a\":1,\"a\":2}", Reason::DuplicateName, 8),
            ("{\"x\":{\"a\":1,\"a\":2}}", Reason::DuplicateName, 13),
            ("[[[[[[[[[]]]]]]]]]", Reason::Depth, 8),
            ("{} {}", Reason::Trailing, 3),
            ("1 x", Reason::Trailing, 2),
        ];
        for (text, reason, at) in bad {
            assert_eq!(fault(text), Some((reason, at)), "{text}");
        }
    }

    #[test]
    fn many_names_are_compared_without_a_square() {
        let object = |twice: &str| {
            let names: Vec<String> = (0..60_000).map(|n| format!("\"n{n}\":0")).collect();
            format!("{{{},{twice}}}", names.join(","))
        };
        assert_eq!(fault(&object("\"other\":0")), None);
        assert_eq!(fault(&object("\"n7\":0")).map(|(reason, _)| reason), Some(Reason::DuplicateName));
    }

    #[test]
    fn depth_is_bounded_before_anything_recurses() {
        let deep = "[".repeat(3_000_000);
        assert_eq!(fault(&deep), Some((Reason::Depth, 8)));
    }

    #[test]
    fn kept_values_are_bounded_and_others_cost_nothing() {
        let list = |n: usize| format!("{{\"a\":[{}]}}", vec!["0"; n].join(","));
        assert_eq!(fault(&list(69_998)), None);
        assert_eq!(fault(&list(69_999)).map(|(reason, _)| reason), Some(Reason::RecordValues));
        let mut tape = Tape::default();
        assert_eq!(tape.read(&list(69_999), Some(&Names::new()), BOUNDS), Ok(()));
    }

    #[test]
    fn only_what_is_asked_for_is_kept() {
        let mut names = Names::new();
        let (name, given) = (names.intern("name"), names.intern("given"));
        let text = "{\"text\":{\"given\":1},\"name\":[{\"given\":[\"a\",\"b\"],\"x\":2}]}";
        let mut tape = Tape::default();
        tape.read(text, Some(&names), BOUNDS).unwrap();
        let list = tape.child(0, name).unwrap();
        assert_eq!(tape.children(0).count(), 1);
        let first = tape.children(list).next().unwrap();
        assert_eq!(tape.children(first).count(), 1);
        let given = tape.child(first, given).unwrap();
        let spans: Vec<(usize, usize)> = tape.children(given).map(|node| tape.span(node)).collect();
        assert_eq!(spans.iter().map(|(from, to)| &text[*from..*to]).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(tape.child(given, name), None);
    }

    #[test]
    fn escapes_become_characters() {
        assert_eq!(unescape("a\\n\\u00e9\\ud83d\\ude00\\\\\\/\\\"z"), "a\n\u{e9}\u{1f600}\\/\"z");
        assert!(matches!(unescape("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn eight_bytes_at_a_time_stop_where_one_at_a_time_does() {
        let stops = |byte: u8| matches!(byte, b'"' | b'\\') || byte < 0x20;
        for byte in 0..=255 {
            for at in 0..20 {
                let mut bytes = [b'!'; 20];
                bytes[at] = byte;
                assert_eq!(find(&bytes, byte, 0), if byte == b'!' { 0 } else { at }, "{byte} {at}");
                assert_eq!(plain_end(&bytes, 0), if stops(byte) { at } else { 20 }, "{byte} {at}");
                bytes[19] = b'"';
                assert_eq!(plain_end(&bytes, 3), if stops(byte) && at >= 3 { at } else { 19 }, "{byte} {at}");
            }
        }
    }
}
