//! What workers said of runs and loads that made nothing: for the person who asks, kept until the next run, in no log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cohortium_protocol::ident::{ConsortiumId, Name, ReleaseId};

/// What was run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// A mapping.
    Mapping(ConsortiumId, Name),
    /// A publication of consolidated tables.
    Publication(ConsortiumId),
    /// Loading a vocabulary.
    Vocabulary,
    /// A release. What depends on rows is for the privacy officer alone (law 7).
    Release(ConsortiumId, ReleaseId),
}

/// The last word on each.
#[derive(Default)]
pub(crate) struct Told(Mutex<BTreeMap<About, String>>);

impl Told {
    /// Keeps what was said of a run; nothing, where it went well.
    pub(crate) fn keep(&self, about: &About, said: Option<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match said {
            Some(said) => drop(all.insert(about.clone(), said)),
            None => drop(all.remove(about)),
        }
    }

    /// What was said last.
    pub(crate) fn last(&self, about: &About) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(about).cloned()
    }
}
