//! What callers ask: the parameters of an address and the body of a query, read within bounds.

use std::collections::BTreeMap;

use axum::http::Uri;
use serde::Deserialize;

use crate::catalogue::{Table, Version};
use crate::moment;
use crate::refusal::Refusal;

/// Parameters of an address, each at most once.
pub(crate) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(crate) fn of(uri: &Uri) -> Result<Self, Refusal> {
        let mut read = BTreeMap::new();
        for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if read.insert(key.into_owned(), value.into_owned()).is_some() {
                return Err(Refusal::Malformed("a parameter stands twice"));
            }
        }
        Ok(Self(read))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let read = |text: &str| Some(text).filter(digits).and_then(|text| text.parse().ok());
        let wrong = Refusal::Malformed("a parameter is no number of the range that it has");
        self.text(name).map(|text| read(text).filter(|number| *number <= MOST).ok_or(wrong)).transpose()
    }

    /// `true` and `false` in any case; Python clients write `True`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::Malformed("a parameter is neither true nor false")),
        }
    }
}

/// The largest number of the protocol's `Long`.
const MOST: u64 = i64::MAX.cast_unsigned();

/// The body of a query. Hints are read, as they must have their form, and not followed where no file could be left out
/// by them: files here have neither partitions nor statistics. Fields that are not listed are for other servers.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Query {
    predicate_hints: Option<Vec<String>>,
    json_predicate_hints: Option<String>,
    pub(crate) limit_hint: Option<u64>,
    pub(crate) version: Option<u64>,
    pub(crate) timestamp: Option<String>,
    pub(crate) starting_version: Option<u64>,
    pub(crate) ending_version: Option<u64>,
    pub(crate) max_files: Option<u64>,
    pub(crate) page_token: Option<String>,
}

impl Query {
    /// Reads a body; an empty one asks for everything.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let wrong = Refusal::Malformed("the body is no query");
        // The reader of JSON would take an array for an object.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(wrong);
        }
        let read: Self = serde_json::from_slice(body).map_err(|_| wrong)?;
        let numbers = [read.limit_hint, read.version, read.starting_version, read.ending_version, read.max_files];
        let in_range = numbers.into_iter().flatten().all(|number| number <= MOST);
        if in_range { Ok(read) } else { Err(Refusal::Malformed("a number is out of its range")) }
    }
}

/// The version that is asked for by number, by time, or by neither; at most one of them.
pub(crate) fn version_of<'a>(
    table: &'a Table,
    number: Option<u64>,
    time: Option<&str>,
) -> Result<&'a Version, Refusal> {
    match (number, time) {
        (None, None) => Ok(table.latest()),
        (Some(number), None) => table.version(number).ok_or(Refusal::NotFound),
        (None, Some(time)) => {
            let time = moment::read(time).ok_or(Refusal::Malformed(NO_TIME))?;
            table.as_of(time).ok_or(Refusal::Malformed("the table has no version at that time"))
        }
        (Some(_), Some(_)) => Err(Refusal::Malformed("version and timestamp exclude each other")),
    }
}

const NO_TIME: &str = "a timestamp is not of the form 2026-01-31T12:00:00Z";

/// The first and the last version of a table's changes, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// The versions that a change feed is asked of.
pub(crate) fn span_of(table: &Table, parameters: &Parameters) -> Result<Span, Refusal> {
    let time = |name: &str| {
        let read = |text| moment::read(text).ok_or(Refusal::Malformed(NO_TIME));
        parameters.text(name).map(read).transpose()
    };
    let (from, from_time) = (parameters.number("startingVersion")?, time("startingTimestamp")?);
    let (to, to_time) = (parameters.number("endingVersion")?, time("endingTimestamp")?);
    let first = match (from, from_time) {
        (Some(from), None) => from,
        (None, Some(time)) => table.from_time(time).ok_or(Refusal::Malformed(NOTHING_SINCE))?.number,
        (None, None) => return Err(Refusal::Malformed("a change feed begins at a version or a timestamp")),
        (Some(_), Some(_)) => return Err(Refusal::Malformed("starting version and timestamp exclude each other")),
    };
    let last = match (to, to_time) {
        (to, None) => to,
        (None, Some(time)) => Some(table.as_of(time).ok_or(Refusal::Malformed(NO_CHANGES))?.number),
        (Some(_), Some(_)) => return Err(Refusal::Malformed("ending version and timestamp exclude each other")),
    };
    span(table, first, last)
}

const NOTHING_SINCE: &str = "the table has no version since then";
const NO_CHANGES: &str = "the change feed ends before it begins";

/// The span from `first` to `last`, or to the latest version.
pub(crate) fn span(table: &Table, first: u64, last: Option<u64>) -> Result<Span, Refusal> {
    let latest = table.latest().number;
    if first > latest {
        return Err(Refusal::Malformed(NOTHING_SINCE));
    }
    let last = last.map_or(latest, |last| last.min(latest));
    if last < first { Err(Refusal::Malformed(NO_CHANGES)) } else { Ok(Span { first, last }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{table, version};

    fn parameters(query: &str) -> Result<Parameters, Refusal> {
        Parameters::of(&format!("/x?{query}").parse().unwrap())
    }

    #[test]
    fn parameters_have_their_form_and_stand_once() {
        let read = parameters("a=1&b=True&c=x%20y").unwrap();
        assert_eq!((read.number("a"), read.number("z")), (Ok(Some(1)), Ok(None)));
        assert_eq!((read.flag("b"), read.flag("z")), (Ok(true), Ok(false)));
        assert_eq!(read.text("c"), Some("x y"));
        assert!(parameters("a=1&a=2").is_err());
        for bad in ["", "-1", "+1", "1.0", "9223372036854775808", "0x1", "%00"] {
            assert!(parameters(&format!("a={bad}")).unwrap().number("a").is_err(), "{bad}");
        }
        assert!(parameters("a=yes").unwrap().flag("a").is_err());
    }

    #[test]
    fn a_query_is_an_object_of_the_protocols_fields() {
        let read = Query::read(br#"{"limitHint":5,"version":null,"includeRefreshToken":true,"requestedColumns":[]}"#);
        assert_eq!(read.unwrap().limit_hint, Some(5));
        assert!(Query::read(b"").unwrap().version.is_none());
        let deep = [b"[".repeat(60_000), b"]".repeat(60_000)].concat();
        let bad: [&[u8]; 8] = [
            b"[]",
            b"{",
            br#"{"limitHint":-1}"#,
            br#"{"limitHint":"5"}"#,
            br#"{"version":9223372036854775808}"#,
            br#"{"predicateHints":"x"}"#,
            br#"{"jsonPredicateHints":{}}"#,
            &deep,
        ];
        for body in bad {
            assert!(Query::read(body).is_err(), "{}", String::from_utf8_lossy(&body[..body.len().min(40)]));
        }
    }

    // DSS-10
    #[test]
    fn a_span_lies_within_the_tables_versions() {
        let table = table("a.b.c", 1, vec![version(1, 10_000, &[1]), version(3, 20_000, &[2])]);
        let of = |query: &str| span_of(&table, &parameters(query).unwrap()).map(|span| (span.first, span.last));
        assert_eq!(of("startingVersion=0"), Ok((0, 3)));
        assert_eq!(of("startingVersion=2&endingVersion=9"), Ok((2, 3)));
        assert_eq!(of("startingVersion=1&endingVersion=1"), Ok((1, 1)));
        assert_eq!(of("startingTimestamp=1970-01-01T00:00:11Z"), Ok((3, 3)));
        assert_eq!(of("startingVersion=0&endingTimestamp=1970-01-01%2000:00:19"), Ok((0, 1)));
        let bad = [
            "",
            "endingVersion=1",
            "startingVersion=4",
            "startingVersion=2&endingVersion=1",
            "startingVersion=x",
            "startingTimestamp=1970-01-01T00:00:21Z",
            "startingVersion=0&endingTimestamp=1970-01-01T00:00:09Z",
            "startingVersion=0&startingTimestamp=1970-01-01T00:00:00Z",
            "startingTimestamp=yesterday",
            "startingVersion=0&endingVersion=1&endingTimestamp=1970-01-01T00:00:20Z",
        ];
        for query in bad {
            assert!(matches!(of(query), Err(Refusal::Malformed(_))), "{query}");
        }
    }

    // DSS-9
    #[test]
    fn a_version_is_asked_for_by_number_or_by_time() {
        let table = table("a.b.c", 1, vec![version(1, 10_000, &[1]), version(3, 20_000, &[2])]);
        let of = |number, time| version_of(&table, number, time).map(|version| version.number);
        assert_eq!(of(None, None), Ok(3));
        assert_eq!(of(Some(1), None), Ok(1));
        assert_eq!(of(Some(2), None), Err(Refusal::NotFound));
        assert_eq!(of(None, Some("1970-01-01T00:00:19Z")), Ok(1));
        assert_eq!(of(None, Some("2100-01-01 00:00:00")), Ok(3));
        assert!(of(None, Some("1970-01-01T00:00:09Z")).is_err());
        assert!(of(Some(1), Some("1970-01-01T00:00:19Z")).is_err());
    }
}
