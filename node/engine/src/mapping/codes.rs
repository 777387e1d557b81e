//! Which concepts stand for a code: a mapping's own list, a file of `source_to_concept_map` rows, or a loaded vocabulary.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, StringArray};
use cohortium_schema::vocabulary::{CodeMap, Vocabulary};

/// Codes whose concepts are remembered: more are looked up again.
const KNOWN_MAX: usize = 65_536;
/// And days of one code: a search through more is no faster.
const DAYS_MAX: usize = 16;

/// Where concepts come from.
#[derive(Clone)]
pub(crate) enum Codes {
    /// The mapping's own list.
    Listed(Arc<BTreeMap<String, i64>>),
    /// Rows of a file, of one of its vocabularies.
    File { map: Arc<CodeMap>, vocabulary: String },
    /// A vocabulary that the node has loaded.
    Loaded { all: Arc<Vocabulary>, vocabulary: String },
}

impl Codes {
    fn find(&self, code: &str, day: Option<u32>) -> Vec<i64> {
        match self {
            Self::Listed(codes) => codes.get(code).copied().into_iter().collect(),
            Self::File { map, vocabulary } => {
                let targets = map.targets(vocabulary, code).iter();
                let hold = targets.filter(|target| day.is_none_or(|day| target.holds_on(day)));
                let mut concepts: Vec<i64> = hold.map(|target| target.concept).collect();
                concepts.sort_unstable();
                concepts.dedup();
                concepts
            }
            Self::Loaded { all, vocabulary } => all.standard(vocabulary, code, day),
        }
    }
}

/// The concepts of one code, by the day that was asked for.
type Known = Vec<(Option<u32>, Arc<[i64]>)>;

/// Concepts of codes, the ones that were asked for last remembered.
pub(crate) struct Finder {
    codes: Codes,
    known: HashMap<Box<str>, Known>,
    remembered: usize,
}

impl Finder {
    pub(crate) fn new(codes: Codes) -> Self {
        Self { codes, known: HashMap::new(), remembered: 0 }
    }

    /// The concepts that stand for a code, ascending; as it is written, or else without the blanks around it.
    pub(crate) fn concepts(&mut self, code: &str, day: Option<u32>) -> Arc<[i64]> {
        let known = self.known.get(code).map(Vec::as_slice).unwrap_or_default();
        if let Some((_, found)) = known.iter().find(|(of, _)| *of == day) {
            return Arc::clone(found);
        }
        let is_new = known.len() < DAYS_MAX && self.remembered < KNOWN_MAX;
        let mut found = self.codes.find(code, day);
        if found.is_empty() {
            found = self.codes.find(code.trim(), day);
        }
        let found: Arc<[i64]> = found.into();
        if is_new {
            self.remembered += 1;
            self.known.entry(code.into()).or_default().push((day, Arc::clone(&found)));
        }
        found
    }
}

/// Codes with the day that each is looked up on.
pub(crate) struct Asked {
    pub(crate) codes: StringArray,
    pub(crate) days: Option<Vec<Option<u32>>>,
}

impl Asked {
    /// The code of a row and its day; `None` where there is no code, or a day is needed and none is there.
    pub(crate) fn row(&self, row: usize) -> Option<(&str, Option<u32>)> {
        let code = self.codes.is_valid(row).then(|| self.codes.value(row))?;
        match &self.days {
            None => Some((code, None)),
            Some(days) => days.get(row).copied().flatten().map(|day| (code, Some(day))),
        }
    }
}
