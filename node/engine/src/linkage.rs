//! Linkage tokens (law 1): the normaliser, version 1, and the HMAC over what it makes of a name and a day.
//!
//! The rules of version 1 never change; other rules are another version, and tokens of two versions never meet.

use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::key::wrap::{Secret32, derive};
use cohortium_protocol::record::dataset::DateFormat;
use cohortium_protocol::record::manifest::{LinkageCheck, LinkageKeyId};
use ring::hmac;
use unicode_normalization::UnicodeNormalization;

use crate::calendar::{is_time_of_day, usual_clock};
use crate::packed::Packed;

/// The version of the rules in this file.
pub const NORMALISER: u16 = 1;

/// The example person that a check value is made of: every rule has something to do.
const EXAMPLE: [&str; 3] =
    ["\u{17d}ofia-\u{c6}gir Lu\u{131}s", "M\u{fc}ller-\u{141}\u{f3}d\u{17a} O'\u{d8}re\u{df}", "29.02.1984"];

/// The key of one consortium and epoch.
pub fn sub_key(key: &Secret32, consortium: &ConsortiumId, epoch: u32) -> Secret32 {
    derive(consortium.as_bytes(), key, &[b"cohortium/1 linkage sub-key", &epoch.to_le_bytes()])
}

/// Names a sub-key without revealing it.
pub fn key_id(sub_key: &Secret32) -> LinkageKeyId {
    LinkageKeyId(first_16(derive(b"cohortium/1 linkage key id", sub_key, &[]).as_bytes()))
}

/// What only a holder of the same sub-key and the same rules computes: over the example person as *this* build
/// normalises it, so that another reading of the rules is refused and not silently unmatched.
pub fn check_value(sub_key: &Secret32, normaliser: u16) -> LinkageCheck {
    let [given, family, birth] = EXAMPLE;
    let birth = day(birth, DateFormat::DayMonthYearDots).unwrap_or_default();
    let fields = [name(given), name(family), birth];
    let mut message = b"cohortium/1 linkage check".to_vec();
    message.extend_from_slice(&normaliser.to_le_bytes());
    append_fields(&mut message, &fields);
    let key = hmac::Key::new(hmac::HMAC_SHA256, sub_key.as_bytes());
    LinkageCheck(first_16(hmac::sign(&key, &message).as_ref()))
}

fn first_16(bytes: &[u8]) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&bytes[..16]);
    first
}

/// Makes tokens under one sub-key.
#[expect(missing_debug_implementations, reason = "it holds a secret")]
#[derive(Clone)]
pub struct TokenMaker {
    key: hmac::Key,
    format: DateFormat,
}

impl TokenMaker {
    /// Tokens of days written as `format`.
    pub fn new(sub_key: &Secret32, format: DateFormat) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, sub_key.as_bytes()), format }
    }

    /// The token; `None` where a name has no letter or the day is none.
    pub fn token(&self, given: &str, family: &str, birth: &str) -> Option<[u8; 32]> {
        let fields = [name(given), name(family), day(birth, self.format)?];
        if fields.iter().any(String::is_empty) {
            return None;
        }
        let mut message = b"cohortium/1 linkage token".to_vec();
        message.extend_from_slice(&NORMALISER.to_le_bytes());
        append_fields(&mut message, &fields);
        let mut token = [0; 32];
        token.copy_from_slice(hmac::sign(&self.key, &message).as_ref());
        Some(token)
    }
}

impl TokenMaker {
    /// Puts what a token is made of, so that equal bytes are equal tokens under one key. Returns whether there is one.
    pub(crate) fn put_fields(&self, person: [Option<&str>; 3], out: &mut Packed) -> bool {
        let start = out.len();
        let made = self.try_put_fields(person, out).is_some();
        if !made {
            out.truncate(start);
            out.push(0);
        }
        made
    }

    fn try_put_fields(&self, [given, family, birth]: [Option<&str>; 3], out: &mut Packed) -> Option<()> {
        let day = day_number(birth?, self.format)?;
        out.push(1);
        out.put(&day.to_le_bytes());
        for raw in [given?, family?] {
            let start = out.len();
            put_name(raw, out);
            if out.len() == start {
                return None;
            }
            // A name has letters and marks only, so this ends it.
            out.push(0);
        }
        Some(())
    }
}

fn put_name(raw: &str, out: &mut Packed) {
    if !raw.is_ascii() {
        return out.put(name(raw).as_bytes());
    }
    // Every byte is written and only letters are kept: no branch depends on a letter.
    out.put_with(raw.len(), |letters| {
        let mut kept = 0;
        for byte in raw.bytes() {
            letters[kept] = byte.to_ascii_uppercase();
            kept += usize::from(byte.is_ascii_alphabetic());
        }
        kept
    });
}

fn append_fields(message: &mut Vec<u8>, fields: &[String; 3]) {
    for field in fields {
        message.extend_from_slice(&(field.len() as u64).to_le_bytes());
        message.extend_from_slice(field.as_bytes());
    }
}

/// A name by the rules of version 1.
///
/// 1. Compatibility decomposition (NFKD).
/// 2. Marks above, below and through letters go: the combining diacritical marks, Hebrew points, Arabic vowel signs.
///    Marks that are letters of their script (Indic vowel signs, Thai tones, Japanese voicing) stay.
/// 3. Latin letters that do not decompose are folded: ß to SS, ø to O, æ to AE, and so on.
/// 4. Upper case.
/// 5. Everything that is no letter goes: spaces, hyphens, apostrophes, digits.
/// 6. What is left beyond A to Z, letters and marks of other scripts, is composed (NFKC).
///
/// Nothing is transliterated between scripts, and ü is U and not UE: `Müller` and `Muller` meet, `Mueller` does not.
pub fn name(raw: &str) -> String {
    if raw.is_ascii() {
        return raw.bytes().filter(u8::is_ascii_alphabetic).map(|byte| char::from(byte.to_ascii_uppercase())).collect();
    }
    let mut folded = String::with_capacity(raw.len());
    for character in raw.nfkd().filter(|character| !is_removed_mark(*character)) {
        match fold(character) {
            Some(letters) => folded.push_str(letters),
            None => folded.extend(character.to_uppercase()),
        }
    }
    // Upper-casing can bring marks and small letters back (U+0149, U+01F0): once more, until nothing changes.
    let kept = folded.nfkd().filter(|character| !is_removed_mark(*character) && is_name_part(*character));
    kept.nfkc().collect()
}

fn is_name_part(character: char) -> bool {
    // Spacing modifiers count as letters in Unicode, but in names they are apostrophes.
    let apostrophe = matches!(character, '\u{02B0}'..='\u{02FF}');
    !apostrophe && (character.is_alphabetic() || unicode_normalization::char::is_combining_mark(character))
}

const fn is_removed_mark(character: char) -> bool {
    matches!(
        character,
        '\u{0300}'..='\u{036F}'
            | '\u{0591}'..='\u{05BD}' | '\u{05BF}' | '\u{05C1}' | '\u{05C2}' | '\u{05C4}' | '\u{05C5}' | '\u{05C7}'
            | '\u{0610}'..='\u{061A}' | '\u{064B}'..='\u{065F}' | '\u{0670}'
            | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}'
    )
}

const fn fold(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{df}' | '\u{1e9e}' => "SS",
        '\u{d8}' | '\u{f8}' => "O",
        '\u{c6}' | '\u{e6}' => "AE",
        '\u{152}' | '\u{153}' => "OE",
        '\u{110}' | '\u{111}' | '\u{d0}' | '\u{f0}' | '\u{189}' | '\u{256}' => "D",
        '\u{126}' | '\u{127}' => "H",
        '\u{131}' | '\u{197}' | '\u{268}' => "I",
        '\u{138}' | '\u{198}' | '\u{199}' => "K",
        '\u{141}' | '\u{142}' | '\u{23d}' | '\u{19a}' => "L",
        '\u{14a}' | '\u{14b}' => "N",
        '\u{de}' | '\u{fe}' => "TH",
        '\u{166}' | '\u{167}' => "T",
        '\u{180}' | '\u{243}' => "B",
        '\u{1b5}' | '\u{1b6}' => "Z",
        '\u{1e4}' | '\u{1e5}' => "G",
        '\u{18f}' | '\u{259}' => "E",
        _ => return None,
    })
}

/// A day as eight digits; `None` for what is no day of the calendar, or is written another way.
pub fn day(raw: &str, format: DateFormat) -> Option<String> {
    day_number(raw, format).map(|day| format!("{day:08}"))
}

/// The number that the eight digits write.
pub(crate) fn day_number(raw: &str, format: DateFormat) -> Option<u32> {
    if let (DateFormat::Iso, &[a, b, c, d, b'-', e, f, b'-', g, h]) = (format, raw.as_bytes()) {
        return digits_day([a, b, c, d, e, f, g, h]);
    }
    if let (DateFormat::Iso, Some((&[a, b, c, d, b'-', e, f, b'-', g, h], clock))) =
        (format, raw.as_bytes().split_first_chunk())
        && usual_clock(clock).is_some()
    {
        return digits_day([a, b, c, d, e, f, g, h]);
    }
    let raw = raw.trim_ascii();
    let (year, month, day) = match format {
        DateFormat::Iso => {
            let (date, time) = raw.split_at_checked(10)?;
            let time_follows = time.is_empty() || time.starts_with(['T', 't', ' ']) && is_time_of_day(time);
            let [year, month, day] = fields(date, '-')?;
            (time_follows && month.len() == 2 && day.len() == 2).then_some((year, month, day))?
        }
        DateFormat::Compact => {
            let (date, time) = raw.split_at_checked(8)?;
            let (year, rest) = date.split_at_checked(4)?;
            let (month, day) = rest.split_at_checked(2)?;
            is_time_of_day(time).then_some((year, month, day))?
        }
        DateFormat::DayMonthYearDots => {
            let [day, month, year] = fields(raw, '.')?;
            (year, month, day)
        }
        DateFormat::MonthDayYearSlashes => {
            let [month, day, year] = fields(raw, '/')?;
            (year, month, day)
        }
    };
    let (year, month, day) = (number(year, 4..=4)?, number(month, 1..=2)?, number(day, 1..=2)?);
    is_day(year, month, day).then(|| year * 10_000 + month * 100 + day)
}

fn fields(raw: &str, separator: char) -> Option<[&str; 3]> {
    let mut parts = raw.split(separator);
    let fields = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(fields)
}

fn number(digits: &str, lengths: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let well_formed = lengths.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed { digits.parse().ok() } else { None }
}

/// The usual way to write a day, without the general way's splitting.
fn digits_day(digits: [u8; 8]) -> Option<u32> {
    let mut day = 0;
    for digit in digits {
        day = day * 10 + char::from(digit).to_digit(10)?;
    }
    is_day(day / 10_000, day / 100 % 100, day % 100).then_some(day)
}

const fn is_day(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    year > 0 && day > 0 && day <= days
}

#[cfg(test)]
mod tests {
    use super::*;

    // LINK-4
    #[test]
    fn spellings_of_one_name_meet() {
        let pairs = [
            ("M\u{fc}ller", "MULLER"),
            ("Mu\u{308}ller", "muller"),
            ("Stra\u{df}e", "STRASSE"),
            ("\u{1e9e}", "ss"),
            ("S\u{f8}ren", "Soren"),
            ("\u{c6}gir", "aegir"),
            ("C\u{153}ur", "coeur"),
            ("\u{110}or\u{111}e", "Dorde"),
            ("\u{141}\u{f3}d\u{17a}", "lodz"),
            ("\u{de}\u{f3}r\u{f0}ur", "Thordur"),
            ("I\u{15f}\u{131}k", "isik"),
            ("\u{130}nci", "inci"),
            ("O'Neil", "ONEIL"),
            ("O\u{2019}Neil", "o neil"),
            ("Anne-Marie", "ANNE MARIE"),
            ("  Jo\u{e3}o ", "joao"),
            ("Nguy\u{1ec5}n", "Nguyen"),
            ("\u{ff21}\u{ff42}", "AB"),
            ("Dvo\u{159}\u{e1}k", "Dvorak"),
            ("\u{149}a", "na"),
            ("\u{fb01}n", "FIN"),
            ("Ren\u{e9}e 2", "renee"),
            ("\u{1f0}an", "Jan"),
            ("\u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}", "\u{3c3}\u{3b9}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c3}"),
            ("\u{418}\u{432}\u{430}\u{43d}", "\u{438}\u{432}\u{430}\u{43d}"),
            ("\u{410}\u{43b}\u{451}\u{43d}\u{430}", "\u{410}\u{43b}\u{435}\u{43d}\u{430}"),
            ("\u{d55c}\u{ae00}", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"),
            ("\u{645}\u{64f}\u{62d}\u{645}\u{62f}", "\u{645}\u{62d}\u{645}\u{62f}"),
        ];
        for (left, right) in pairs {
            assert_eq!(name(left), name(right), "{left} {right}");
            assert!(!name(left).is_empty(), "{left}");
            assert_eq!(name(&name(left)), name(left), "{left}: normalising twice changes nothing");
        }
    }

    #[test]
    fn names_that_differ_in_letters_stay_apart() {
        let different = [
            ("Mueller", "M\u{fc}ller"),
            ("Anna", "Hanna"),
            ("\u{418}\u{432}\u{430}\u{43d}", "Ivan"),
            ("\u{915}\u{93f}", "\u{915}\u{93e}"),
            ("\u{304b}", "\u{304c}"),
        ];
        for (left, right) in different {
            assert_ne!(name(left), name(right), "{left} {right}");
        }
        for empty in ["", " ", "-", "123", "?", "\u{301}", "\u{200b}"] {
            assert_eq!(name(empty), "", "{empty:?}");
        }
    }

    #[test]
    fn a_day_is_one_of_the_calendar() {
        use DateFormat::{Compact, DayMonthYearDots, Iso, MonthDayYearSlashes};
        let days = [
            (Iso, "2024-02-29", Some("20240229")),
            (Iso, "2023-02-29", None),
            (Iso, "1900-02-29", None),
            (Iso, "2000-02-29T10:00:00Z", Some("20000229")),
            (Iso, "2000-02-29 10:00:00.5+01:00", Some("20000229")),
            (Iso, "2000-02-29x", None),
            (Iso, "2000-02-29T", None),
            (Iso, "2000-02-29T25:00", None),
            (Iso, "2000-02-29 555123456", None),
            (Compact, "20000229555123456", None),
            (Iso, "2000-2-29", None),
            (Iso, "0000-01-01", None),
            (Iso, "2000-04-31", None),
            (Iso, "", None),
            (Iso, "2000-01-0\u{661}", None),
            (Iso, "2000-01-+1", None),
            (Iso, "2000-13-01", None),
            (DayMonthYearDots, "29.02.2024", Some("20240229")),
            (DayMonthYearDots, "1.2.2024", Some("20240201")),
            (DayMonthYearDots, "1.2.24", None),
            (DayMonthYearDots, "1.2.2024.", None),
            (DayMonthYearDots, "00.01.2024", None),
            (MonthDayYearSlashes, "9/21/2012", Some("20120921")),
            (MonthDayYearSlashes, "21/9/2012", None),
            (MonthDayYearSlashes, "02/29/2024", Some("20240229")),
            (Compact, "20240229", Some("20240229")),
            (Compact, "20240229101500+0100", Some("20240229")),
            (Compact, "20240229T10", Some("20240229")),
            (Compact, "2024022", None),
            (Compact, "20240230", None),
            (Compact, "202402\u{e9}9", None),
            (Compact, " 20240229 ", Some("20240229")),
        ];
        for (format, raw, expected) in days {
            assert_eq!(day(raw, format).as_deref(), expected, "{format:?} {raw}");
        }
    }

    // LINK-5
    #[test]
    fn tokens_meet_under_one_key_and_nowhere_else() {
        let key = Secret32::new([7; 32]);
        let consortium = ConsortiumId([1; 32]);
        let first = sub_key(&key, &consortium, 1);
        let iso = TokenMaker::new(&first, DateFormat::Iso);
        let slashes = TokenMaker::new(&first, DateFormat::MonthDayYearSlashes);
        let token = iso.token("Ren\u{e9}e", "M\u{fc}ller", "1984-02-29");
        assert!(token.is_some());
        assert_eq!(token, slashes.token("RENEE", "Muller", "2/29/1984"));
        assert_ne!(token, iso.token("Muller", "Renee", "1984-02-29"));
        assert_ne!(token, iso.token("Reneem", "uller", "1984-02-29"));
        for (given, family, birth) in [("", "a", "1984-02-29"), ("a", "?", "1984-02-29"), ("a", "b", "1983-02-29")] {
            assert_eq!(iso.token(given, family, birth), None);
        }
        for other in [
            sub_key(&key, &consortium, 2),
            sub_key(&key, &ConsortiumId([2; 32]), 1),
            sub_key(&Secret32::new([8; 32]), &consortium, 1),
        ] {
            assert_ne!(token, TokenMaker::new(&other, DateFormat::Iso).token("Renee", "Muller", "1984-02-29"));
            assert_ne!(key_id(&first), key_id(&other));
            assert_ne!(check_value(&first, NORMALISER), check_value(&other, NORMALISER));
        }
        assert_ne!(check_value(&first, 1), check_value(&first, 2));
        assert_eq!(check_value(&first, 1), check_value(&sub_key(&key, &consortium, 1), 1));
        assert_ne!(&key_id(&first).0[..], &first.as_bytes()[..16]);
    }

    #[test]
    fn people_of_one_token_are_put_as_the_same_bytes_and_no_others() {
        let maker = TokenMaker::new(&Secret32::new([7; 32]), DateFormat::Iso);
        let put = |person: [&str; 3]| {
            let mut out = Packed::with_capacity(0);
            let made = maker.put_fields(person.map(Some), &mut out);
            assert_eq!(made, maker.token(person[0], person[1], person[2]).is_some(), "{person:?}");
            out.into_filled()
        };
        let names = ["anna", "ANNA", "Anna ", "\u{c1}nna", "an", "naan", "naanna", "", "?", "\u{418}\u{432}"];
        let days = ["1984-02-29", "1984-02-29T10", "1984-02-28", "?"];
        let people = names.iter().flat_map(|g| names.iter().map(move |f| (g, f)));
        let people: Vec<_> = people.flat_map(|(g, f)| days.iter().map(move |day| [*g, *f, *day])).collect();
        for one in &people {
            for two in &people {
                let tokens = [one, two].map(|person| maker.token(person[0], person[1], person[2]));
                assert_eq!(put(*one) == put(*two), tokens[0] == tokens[1], "{one:?} {two:?}");
            }
        }
        assert!(!maker.put_fields([None, Some("a"), Some("1984-02-29")], &mut Packed::with_capacity(0)));
    }

    #[test]
    fn the_example_person_uses_every_rule_and_version_1_stays_as_it_is() {
        let [given, family, birth] = EXAMPLE;
        let normal = [name(given), name(family), day(birth, DateFormat::DayMonthYearDots).unwrap()];
        assert_eq!(normal, ["ZOFIAAEGIRLUIS", "MULLERLODZOORESS", "19840229"]);
    }
}
