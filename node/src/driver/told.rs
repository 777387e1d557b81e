//! What workers said of mapping runs that made nothing: for the person who asks, kept until the next run, in no log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cohortium_protocol::ident::Name;

/// The last word on each mapping.
#[derive(Default)]
pub(crate) struct Told(Mutex<BTreeMap<Name, String>>);

impl Told {
    /// Keeps what was said of a run; nothing, where it went well.
    pub(crate) fn keep(&self, mapping: &Name, said: Option<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match said {
            Some(said) => drop(all.insert(mapping.clone(), said)),
            None => drop(all.remove(mapping)),
        }
    }

    /// What was said last.
    pub(crate) fn last(&self, mapping: &Name) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(mapping).cloned()
    }
}
