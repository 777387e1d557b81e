//! The characters of a text source, as UTF-8 in a buffer that grows until one record fits.

use std::io::{self, Read};

use cohortium_protocol::record::text_form::TextEncoding;
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::batch::SourceFault;
use crate::handle::{Handle, Sequential};

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// Bytes decoded at once.
const DECODE_BYTES: usize = 64 << 10;
/// What a decoder needs at least to make progress.
const DECODE_ROOM: usize = 64;
/// A byte that UTF-8 never has. It stands where the source has bytes that are no characters of its encoding, so that the
/// row is found where all other rows that are not UTF-8 are found.
const NO_CHARACTER: u8 = 0xFF;

/// What is read and not yet passed.
pub(crate) struct Input {
    feed: Feed,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    line: u64,
}

enum Feed {
    Utf8(Sequential),
    Decoded(Box<Decoded>),
}

impl Input {
    /// From behind the byte-order mark, if there is one.
    pub(crate) fn new(handle: &Handle, encoding: TextEncoding) -> Result<Self, SourceFault> {
        let mut head = [0; 3];
        let length = usize::try_from(handle.len()).map_or(3, |bytes| bytes.min(3));
        let head = &mut head[..length];
        handle.read_at(0, head).map_err(|error| SourceFault::Read { kind: error.kind() })?;
        let mark = Encoding::for_bom(head);
        let behind = |encoding| mark.filter(|(marked, _)| *marked == encoding).map_or(0, |(_, bytes)| bytes as u64);
        let decoded = |encoding| Feed::Decoded(Box::new(Decoded::new(handle, encoding, behind(encoding))));
        let feed = match encoding {
            TextEncoding::Utf8 => Feed::Utf8(Sequential::from(handle, behind(encoding_rs::UTF_8))),
            TextEncoding::Utf16 => match mark {
                Some((marked, _)) if marked == UTF_16LE || marked == UTF_16BE => decoded(marked),
                Some(_) | None => return Err(SourceFault::NoByteOrderMark),
            },
            TextEncoding::Utf16Le => decoded(UTF_16LE),
            TextEncoding::Utf16Be => decoded(UTF_16BE),
            TextEncoding::Windows1252 => decoded(WINDOWS_1252),
        };
        Ok(Self { feed, buffer: vec![0; READ_BYTES], start: 0, end: 0, ended: false, line: 1 })
    }

    /// The bytes at hand.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether nothing follows them.
    pub(crate) const fn ended(&self) -> bool {
        self.ended
    }

    /// The line at which they begin, from 1.
    pub(crate) const fn line(&self) -> u64 {
        self.line
    }

    /// Leaves bytes behind, and the line ends in them.
    pub(crate) const fn pass(&mut self, bytes: usize, lines: u64) {
        self.start += bytes;
        self.line += lines;
    }

    /// Reads behind what is at hand; doubles the buffer where that fills it.
    pub(crate) fn read_more(&mut self) -> Result<(), SourceFault> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.buffer.len() - self.end < DECODE_ROOM {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let free = &mut self.buffer[self.end..];
        let read = match &mut self.feed {
            Feed::Utf8(source) => source.read(free),
            Feed::Decoded(decoded) => decoded.read(free),
        };
        let count = read.map_err(|error| SourceFault::Read { kind: error.kind() })?;
        self.end += count;
        self.ended = count == 0;
        Ok(())
    }
}

/// How many line ends there are.
pub(crate) fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Bytes of another encoding as UTF-8.
struct Decoded {
    source: Sequential,
    decoder: Decoder,
    raw: Vec<u8>,
    start: usize,
    end: usize,
    /// All of the source is in `raw`.
    last: bool,
    done: bool,
}

impl Decoded {
    fn new(handle: &Handle, encoding: &'static Encoding, at: u64) -> Self {
        let (source, decoder) = (Sequential::from(handle, at), encoding.new_decoder_without_bom_handling());
        Self { source, decoder, raw: vec![0; DECODE_BYTES], start: 0, end: 0, last: false, done: false }
    }

    /// At least one byte, or 0 at the end. `out` has at least [`DECODE_ROOM`].
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(room) = out.len().checked_sub(1) else { return Ok(0) };
        while !self.done {
            if self.start == self.end && !self.last {
                let count = self.source.read(&mut self.raw)?;
                (self.start, self.end, self.last) = (0, count, count == 0);
            }
            let raw = &self.raw[self.start..self.end];
            let (result, read, written) =
                self.decoder.decode_to_utf8_without_replacement(raw, &mut out[..room], self.last);
            self.start += read;
            match result {
                DecoderResult::Malformed(_, _) => {
                    out[written] = NO_CHARACTER;
                    return Ok(written + 1);
                }
                DecoderResult::InputEmpty => self.done = self.last,
                DecoderResult::OutputFull => {}
            }
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn all(bytes: &[u8], encoding: TextEncoding) -> Result<Vec<u8>, SourceFault> {
        let handle: Handle = Arc::new(bytes.to_vec());
        let mut input = Input::new(&handle, encoding)?;
        while !input.ended() {
            input.read_more()?;
        }
        Ok(input.unread().to_vec())
    }

    fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn every_encoding_gives_the_same_characters() {
        let text = "gr\u{f6}\u{df}e;\u{20ac}\r\n".repeat(50_000);
        let latin: Vec<u8> =
            text.chars().map(|c| if c == '\u{20ac}' { 0x80 } else { u8::try_from(c).unwrap() }).collect();
        assert_eq!(all(&latin, TextEncoding::Windows1252).unwrap(), text.as_bytes());
        for (marked, plain, order) in [
            (b"\xFF\xFE".as_slice(), TextEncoding::Utf16Le, u16::to_le_bytes as fn(u16) -> [u8; 2]),
            (b"\xFE\xFF", TextEncoding::Utf16Be, u16::to_be_bytes),
        ] {
            let bytes = utf_16(&text, order);
            assert_eq!(all(&bytes, plain).unwrap(), text.as_bytes());
            let bytes = [marked, bytes.as_slice()].concat();
            for encoding in [TextEncoding::Utf16, plain] {
                assert_eq!(all(&bytes, encoding).unwrap(), text.as_bytes());
            }
        }
        assert_eq!(all(&[b"\xEF\xBB\xBF", text.as_bytes()].concat(), TextEncoding::Utf8).unwrap(), text.as_bytes());
    }

    #[test]
    fn without_a_mark_nobody_guesses_the_order_of_bytes() {
        for bytes in [b"".as_slice(), b"a", b"a\0", b"\xEF\xBB\xBFa"] {
            assert_eq!(all(bytes, TextEncoding::Utf16).err(), Some(SourceFault::NoByteOrderMark));
        }
        assert_eq!(all(b"\xFF\xFE", TextEncoding::Utf16).unwrap(), b"");
    }

    #[test]
    fn what_is_no_character_is_marked_where_it_stands() {
        let lone = [utf_16("a", u16::to_le_bytes), vec![0x00, 0xD8], utf_16("b\n", u16::to_le_bytes)].concat();
        assert_eq!(all(&lone, TextEncoding::Utf16Le).unwrap(), b"a\xFFb\n");
        let cut = [utf_16("ab", u16::to_le_bytes), vec![b'c']].concat();
        assert_eq!(all(&cut, TextEncoding::Utf16Le).unwrap(), b"ab\xFF");
        assert_eq!(all(b"\x81\xE9", TextEncoding::Windows1252).unwrap(), "\u{81}\u{e9}".as_bytes());
    }
}
