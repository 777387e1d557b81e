//! What workers said of runs and loads that made nothing: for the person who asks, kept until the next run, in no log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cohortium_protocol::ident::Name;

/// The last word on each mapping, and on the vocabulary.
#[derive(Default)]
pub(crate) struct Told {
    mappings: Mutex<BTreeMap<Name, String>>,
    vocabulary: Mutex<Option<String>>,
}

impl Told {
    /// Keeps what was said of a run; nothing, where it went well.
    pub(crate) fn keep(&self, mapping: &Name, said: Option<String>) {
        let mut all = self.mappings.lock().unwrap_or_else(PoisonError::into_inner);
        match said {
            Some(said) => drop(all.insert(mapping.clone(), said)),
            None => drop(all.remove(mapping)),
        }
    }

    /// What was said last.
    pub(crate) fn last(&self, mapping: &Name) -> Option<String> {
        self.mappings.lock().unwrap_or_else(PoisonError::into_inner).get(mapping).cloned()
    }

    /// Keeps what was said of loading a vocabulary; nothing, where it went well.
    pub(crate) fn keep_vocabulary(&self, said: Option<String>) {
        *self.vocabulary.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }

    /// What was said last of loading a vocabulary.
    pub(crate) fn last_vocabulary(&self) -> Option<String> {
        self.vocabulary.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
