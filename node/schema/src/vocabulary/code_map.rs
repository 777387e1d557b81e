//! Code maps that a mapping brings along: rows of OMOP's `source_to_concept_map`, for codes that no vocabulary has.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::limits::{CODE_MAP_BYTES_MAX, CODE_MAP_ROWS_MAX};

/// One row as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeMapRow {
    /// The source's code.
    pub source_code: String,
    /// The source's concept, if it has one.
    #[serde(default)]
    pub source_concept_id: i64,
    /// What the source's codes are called.
    pub source_vocabulary_id: String,
    /// For people.
    #[serde(default)]
    pub source_code_description: String,
    /// The concept that stands for it; 0 where none does.
    pub target_concept_id: i64,
    /// The target's vocabulary.
    #[serde(default)]
    pub target_vocabulary_id: String,
    /// First day, `YYYY-MM-DD` or `YYYYMMDD`; empty where it always held.
    #[serde(default)]
    pub valid_start_date: String,
    /// Last day, likewise.
    #[serde(default)]
    pub valid_end_date: String,
    /// Empty, or why it does not hold any more.
    #[serde(default)]
    pub invalid_reason: String,
}

/// A concept that stands for a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Its id.
    pub concept: i64,
    /// The first day it does, as a number `YYYYMMDD`.
    pub from: u32,
    /// The last day.
    pub to: u32,
}

impl Target {
    /// Whether it stands on a day, a number `YYYYMMDD`.
    pub fn holds_on(&self, day: u32) -> bool {
        (self.from..=self.to).contains(&day)
    }
}

/// A checked code map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeMap {
    targets: BTreeMap<String, BTreeMap<String, Vec<Target>>>,
    left_out: Vec<usize>,
}

impl CodeMap {
    /// Takes rows, as a mapping writes them.
    ///
    /// # Errors
    /// [`CodeMapFault`] with the row, from 1.
    pub fn from_rows(rows: impl IntoIterator<Item = CodeMapRow>) -> Result<Self, CodeMapFault> {
        let mut map = Self::default();
        for (row, place) in rows.into_iter().zip(1..) {
            if place > CODE_MAP_ROWS_MAX {
                return Err(CodeMapFault::TooMany { rows_max: CODE_MAP_ROWS_MAX });
            }
            map.add(row, place)?;
        }
        map.targets.values_mut().flat_map(BTreeMap::values_mut).for_each(|targets| {
            targets.sort_unstable();
            targets.dedup();
        });
        Ok(map)
    }

    /// Reads a file of comma-separated rows with a header, quoted as RFC 4180 says.
    ///
    /// # Errors
    /// [`CodeMapFault`] with the row, from 1 for the first below the header.
    pub fn from_csv(bytes: &[u8]) -> Result<Self, CodeMapFault> {
        if bytes.len() > CODE_MAP_BYTES_MAX {
            return Err(CodeMapFault::TooLong { bytes_max: CODE_MAP_BYTES_MAX });
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let rows = csv::Reader::from_reader(bytes).into_deserialize();
        // The reader's own texts repeat cells.
        let fault = |row| CodeMapFault::Row { row, wrong: CodeMapWrong::Form };
        let rows: Vec<CodeMapRow> =
            rows.zip(1..).map(|(row, place)| row.map_err(|_| fault(place))).collect::<Result<_, _>>()?;
        Self::from_rows(rows)
    }

    /// The concepts that stand for a code. Several are normal; none means that it is not mapped.
    pub fn targets(&self, vocabulary: &str, code: &str) -> &[Target] {
        self.targets.get(vocabulary).and_then(|codes| codes.get(code)).map_or(&[], Vec::as_slice)
    }

    /// Whether there is a code of this vocabulary.
    pub fn holds(&self, vocabulary: &str) -> bool {
        self.targets.contains_key(vocabulary)
    }

    /// Rows, from 1, that do not hold any more and were left out.
    pub fn left_out(&self) -> &[usize] {
        &self.left_out
    }

    fn add(&mut self, row: CodeMapRow, place: usize) -> Result<(), CodeMapFault> {
        let fault = |wrong| CodeMapFault::Row { row: place, wrong };
        if row.source_code.is_empty() || row.source_vocabulary_id.is_empty() {
            return Err(fault(CodeMapWrong::Empty));
        }
        if row.target_concept_id < 0 {
            return Err(fault(CodeMapWrong::Target));
        }
        let day = |text: &str, otherwise| if text.is_empty() { Some(otherwise) } else { day_number(text) };
        let (from, to) = (day(&row.valid_start_date, 0), day(&row.valid_end_date, u32::MAX));
        let (Some(from), Some(to)) = (from, to) else { return Err(fault(CodeMapWrong::Day)) };
        if from > to {
            return Err(fault(CodeMapWrong::Order));
        }
        if !row.invalid_reason.is_empty() {
            self.left_out.push(place);
            return Ok(());
        }
        let codes = self.targets.entry(row.source_vocabulary_id).or_default();
        codes.entry(row.source_code).or_default().push(Target { concept: row.target_concept_id, from, to });
        Ok(())
    }
}

/// `YYYY-MM-DD` or `YYYYMMDD` as a number of eight digits.
pub(super) fn day_number(text: &str) -> Option<u32> {
    let digits: String = match text.len() {
        10 if text.bytes().enumerate().all(|(at, byte)| (byte == b'-') == (at == 4 || at == 7)) => {
            text.replace('-', "")
        }
        8 => text.to_owned(),
        _ => return None,
    };
    let number: u32 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()?;
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=days).contains(&day).then_some(number)
}

/// Why a code map is none. No code is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeMapFault {
    /// It is longer than anything we read.
    TooLong {
        /// The bound.
        bytes_max: usize,
    },
    /// It has too many rows.
    TooMany {
        /// The bound.
        rows_max: usize,
    },
    /// A row is wrong.
    Row {
        /// Which, from 1.
        row: usize,
        /// What is wrong.
        wrong: CodeMapWrong,
    },
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeMapWrong {
    /// Not a row of a code map.
    Form,
    /// No code, or no vocabulary.
    Empty,
    /// A target below 0.
    Target,
    /// A day that is none.
    Day,
    /// It ends before it begins.
    Order,
}

impl fmt::Display for CodeMapFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes_max } => write!(f, "the code map is longer than {bytes_max} bytes"),
            Self::TooMany { rows_max } => write!(f, "the code map has more than {rows_max} rows"),
            Self::Row { row, wrong } => write!(f, "the code map's row {row}: {wrong}"),
        }
    }
}

impl fmt::Display for CodeMapWrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "not a row of source_to_concept_map",
            Self::Empty => "no source_code or no source_vocabulary_id",
            Self::Target => "target_concept_id is below 0",
            Self::Day => "a date is neither YYYY-MM-DD nor YYYYMMDD",
            Self::Order => "it ends before it begins",
        })
    }
}

impl std::error::Error for CodeMapFault {}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "source_code,source_concept_id,source_vocabulary_id,source_code_description,target_concept_id,\
                          target_vocabulary_id,valid_start_date,valid_end_date,invalid_reason\n";

    fn read(rows: &str) -> Result<CodeMap, CodeMapFault> {
        CodeMap::from_csv(format!("{HEADER}{rows}").as_bytes())
    }

    fn wrong(rows: &str) -> CodeMapFault {
        let fault = read(rows).unwrap_err();
        assert!(!fault.to_string().contains("CANARY"), "{fault}");
        fault
    }

    #[test]
    fn a_code_has_its_targets_in_its_vocabulary() {
        let rows = "M,0,sex,\"male, as written\",8507,Gender,1970-01-01,2099-12-31,\n\
                    M,0,sex,again,8507,Gender,19700101,20991231,\n\
                    M,0,other,x,1,,,,\n\
                    D,0,sex,double,2,,,,\nD,0,sex,double,1,,,,\n\
                    X,0,sex,gone,9,,,,D\n";
        let map = read(rows).unwrap();
        let target = |concept, from, to| Target { concept, from, to };
        assert_eq!(map.targets("sex", "M"), [target(8507, 19_700_101, 20_991_231)]);
        assert_eq!(map.targets("other", "M"), [target(1, 0, u32::MAX)]);
        assert_eq!(map.targets("sex", "D").iter().map(|t| t.concept).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((map.targets("sex", "X"), map.targets("sex", "m"), map.left_out()), (&[][..], &[][..], &[6][..]));
        let [male] = map.targets("sex", "M") else { panic!("one target") };
        let days = [19_691_231, 19_700_101, 20_991_231, 21_000_101];
        assert_eq!(days.map(|day| male.holds_on(day)), [false, true, true, false]);
    }

    #[test]
    fn a_wrong_row_is_named_by_its_number_and_not_by_its_codes() {
        let at = |row, wrong| CodeMapFault::Row { row, wrong };
        assert_eq!(wrong("M,0,sex,x,1,,,,\nCANARY,0,sex,x,CANARY,,,,\n"), at(2, CodeMapWrong::Form));
        assert_eq!(wrong("CANARY,0,sex,x,1,,,\n"), at(1, CodeMapWrong::Form));
        assert_eq!(wrong(",0,CANARY,x,1,,,,\n"), at(1, CodeMapWrong::Empty));
        assert_eq!(wrong("CANARY,0,,x,1,,,,\n"), at(1, CodeMapWrong::Empty));
        assert_eq!(wrong("CANARY,0,sex,x,-1,,,,\n"), at(1, CodeMapWrong::Target));
        assert_eq!(wrong("CANARY,0,sex,x,1,,1970-13-01,,\n"), at(1, CodeMapWrong::Day));
        assert_eq!(wrong("CANARY,0,sex,x,1,,1970-01-02,1970-01-01,\n"), at(1, CodeMapWrong::Order));
        assert_eq!(CodeMap::from_csv(b"source_code\nCANARY\n"), Err(at(1, CodeMapWrong::Form)));
        assert_eq!(CodeMap::from_csv(b""), Ok(CodeMap::default()));
    }

    #[test]
    fn days_are_days() {
        for (text, fine) in [
            ("2024-02-29", true),
            ("2023-02-29", false),
            ("19000229", false),
            ("20000229", true),
            ("2024-04-31", false),
            ("2024-1-001", false),
            ("2024-00-10", false),
            ("2024-01-00", false),
            ("+0240101", false),
        ] {
            assert_eq!(day_number(text).is_some(), fine, "{text}");
        }
    }

    #[test]
    fn rows_are_bounded() {
        let row = CodeMapRow {
            source_code: "a".to_owned(),
            source_concept_id: 0,
            source_vocabulary_id: "v".to_owned(),
            source_code_description: String::new(),
            target_concept_id: 1,
            target_vocabulary_id: String::new(),
            valid_start_date: String::new(),
            valid_end_date: String::new(),
            invalid_reason: String::new(),
        };
        let rows = |count| CodeMap::from_rows(std::iter::repeat_n(row.clone(), count));
        assert!(rows(CODE_MAP_ROWS_MAX).is_ok());
        assert_eq!(rows(CODE_MAP_ROWS_MAX + 1), Err(CodeMapFault::TooMany { rows_max: CODE_MAP_ROWS_MAX }));
    }
}
