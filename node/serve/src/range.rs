//! The part of a file that a caller asks for.

use axum::http::HeaderMap;
use axum::http::header::{IF_RANGE, RANGE};

use crate::refusal::Refusal;

/// Bytes of a file, from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: u64,
    pub(crate) bytes: u64,
}

/// The part of a file of `bytes` bytes and the tag `etag` that is asked for; `None` for the whole of it.
///
/// # Errors
/// [`Refusal::Range`] for whatever is not one range that begins within the file: several ranges, other units, numbers
/// that are none.
pub(crate) fn part_of(headers: &HeaderMap, bytes: u64, etag: &str) -> Result<Option<Part>, Refusal> {
    let refused = Refusal::Range { bytes };
    let mut asked = headers.get_all(RANGE).iter();
    let (Some(range), None) = (asked.next(), asked.next()) else {
        return if headers.contains_key(RANGE) { Err(refused) } else { Ok(None) };
    };
    if headers.get(IF_RANGE).is_some_and(|known| known.as_bytes() != etag.as_bytes()) {
        return Ok(None);
    }
    let range = range.to_str().ok().and_then(|text| text.trim().strip_prefix("bytes="));
    range.and_then(|range| one_range(range, bytes)).map(Some).ok_or(refused)
}

/// `a-b`, `a-` or `-n` of RFC 9110, section 14.1.2.
fn one_range(range: &str, bytes: u64) -> Option<Part> {
    let (first, last) = range.split_once('-')?;
    let end = bytes.checked_sub(1)?;
    let (first, last) = match (first, last) {
        ("", length) => (bytes.saturating_sub(number(length).filter(|length| *length > 0)?), end),
        (first, "") => (number(first)?, end),
        (first, last) => (number(first)?, number(last)?.min(end)),
    };
    (first <= end).then_some(())?;
    Some(Part { first, bytes: last.checked_sub(first)?.checked_add(1)? })
}

/// Digits alone; more than a u64 holds is the largest there is.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn asked(ranges: &[&str], if_range: Option<&'static str>) -> Result<Option<(u64, u64)>, Refusal> {
        let mut headers = HeaderMap::new();
        for range in ranges {
            headers.append(RANGE, HeaderValue::from_str(range).unwrap());
        }
        headers.extend(if_range.map(|etag| (IF_RANGE, HeaderValue::from_static(etag))));
        Ok(part_of(&headers, 100, "\"e\"")?.map(|part| (part.first, part.bytes)))
    }

    // DSS-15
    #[test]
    fn one_range_within_the_file_is_served() {
        let cases = [
            ("bytes=0-0", (0, 1)),
            ("bytes=0-99", (0, 100)),
            ("bytes=0-100", (0, 100)),
            ("bytes=99-99", (99, 1)),
            ("bytes=50-", (50, 50)),
            ("bytes=-1", (99, 1)),
            ("bytes=-1000", (0, 100)),
            ("bytes=0-99999999999999999999999999", (0, 100)),
            (" bytes=1-2", (1, 2)),
        ];
        for (range, part) in cases {
            assert_eq!(asked(&[range], None), Ok(Some(part)), "{range}");
        }
        assert_eq!(asked(&[], None), Ok(None));
        assert_eq!(asked(&["bytes=0-0"], Some("\"e\"")), Ok(Some((0, 1))));
        assert_eq!(asked(&["bytes=0-0"], Some("\"old\"")), Ok(None), "the file is another one: all of it");
    }

    // DSS-16
    #[test]
    fn every_other_range_is_refused() {
        let tricks = [
            "bytes=100-",
            "bytes=100-100",
            "bytes=2-1",
            "bytes=-0",
            "bytes=-",
            "bytes=",
            "bytes",
            "",
            "0-1",
            "bytes=a-b",
            "bytes=0-0,1-1",
            "bytes=0-,0-,0-,0-",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=--1",
            "bytes=0x0-1",
            "bytes=0 -1",
            "items=0-1",
            "Bytes=0-1",
            "bytes=0-1;",
            "bytes=99999999999999999999999999-",
            "bytes=1.0-2",
        ];
        for range in tricks {
            assert_eq!(asked(&[range], None), Err(Refusal::Range { bytes: 100 }), "{range:?}");
        }
        assert_eq!(asked(&["bytes=0-0", "bytes=1-1"], None), Err(Refusal::Range { bytes: 100 }));
        assert_eq!(one_range("0-0", 0), None, "an empty file has no range");
        assert_eq!(one_range("-5", 0), None);
    }
}
