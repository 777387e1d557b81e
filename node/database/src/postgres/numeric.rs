//! Decimals as PostgreSQL's binary form of `numeric` has them: digits to the base 10,000 around a point.

use bytes::{BufMut, BytesMut};

use crate::fault::Reason;

/// Digits of the base.
const BASE_DIGITS: usize = 4;
const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xc000;

/// How many digits a column takes before and behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) before: usize,
    pub(crate) behind: usize,
}

/// Writes a decimal, `-12.50`, behind its length.
///
/// # Errors
/// It does not fit the room as it is: PostgreSQL would round it.
pub(crate) fn put(text: &str, room: Option<Room>, out: &mut BytesMut) -> Result<(), Reason> {
    let (sign, digits) = text.strip_prefix('-').map_or((0, text), |digits| (NEGATIVE, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    if let Some(room) = room {
        if part.trim_end_matches('0').len() > room.behind {
            return Err(Reason::Inexact);
        }
        if whole.len() > room.before {
            return Err(Reason::OutOfRange);
        }
    }
    // Four digits each, counted from the point.
    let lead = (BASE_DIGITS - whole.len() % BASE_DIGITS) % BASE_DIGITS;
    let trail = (BASE_DIGITS - part.len() % BASE_DIGITS) % BASE_DIGITS;
    let zeros = |count| std::iter::repeat_n(b'0', count);
    let all: Vec<u8> = zeros(lead).chain(whole.bytes()).chain(part.bytes()).chain(zeros(trail)).collect();
    let number = |four: &[u8]| four.iter().fold(0, |number: i16, digit| number * 10 + i16::from(digit - b'0'));
    let groups: Vec<i16> = all.chunks_exact(BASE_DIGITS).map(number).collect();
    let fits = |count: usize| i16::try_from(count).map_err(|_| Reason::OutOfRange);
    let weight = fits(whole.len().div_ceil(BASE_DIGITS))? - 1;
    let (count, scale) = (fits(groups.len())?, fits(part.len())?);
    out.put_i32(i32::from(count) * 2 + 8);
    out.put_i16(count);
    out.put_i16(weight);
    out.put_u16(if groups.iter().all(|group| *group == 0) { 0 } else { sign });
    out.put_i16(scale);
    for group in groups {
        out.put_i16(group);
    }
    Ok(())
}

/// Writes what is not a number.
pub(crate) fn put_nan(out: &mut BytesMut) {
    out.put_i32(8);
    out.put_i32(0);
    out.put_u16(NOT_A_NUMBER);
    out.put_i16(0);
}

/// A decimal of this scale as text.
pub(crate) fn decimal_text(value: i128, scale: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_keeps_its_digits() {
        assert_eq!(decimal_text(-1250, 2), "-12.50");
        assert_eq!(decimal_text(5, 3), "0.005");
        assert_eq!(decimal_text(0, 0), "0");
        assert_eq!(decimal_text(-7, 0), "-7");
        let wire = |text: &str| {
            let mut out = BytesMut::new();
            put(text, None, &mut out).unwrap();
            out[4..].chunks_exact(2).map(|two| i16::from_be_bytes([two[0], two[1]])).collect::<Vec<_>>()
        };
        assert_eq!(wire("12345.678"), [3, 1, 0, 3, 1, 2345, 6780]);
        assert_eq!(wire("-0.5"), [1, -1, 0x4000, 1, 5000]);
        assert_eq!(wire("-0.00"), [1, -1, 0, 2, 0]);
        assert_eq!(wire("0"), [0, -1, 0, 0]);
    }

    #[test]
    fn a_decimal_that_would_be_rounded_is_refused() {
        let room = Some(Room { before: 3, behind: 2 });
        let put = |text: &str| put(text, room, &mut BytesMut::new());
        assert_eq!(put("-999.99"), Ok(()));
        assert_eq!(put("0001.1000"), Ok(()));
        assert_eq!(put("1.001"), Err(Reason::Inexact));
        assert_eq!(put("1000"), Err(Reason::OutOfRange));
    }
}
