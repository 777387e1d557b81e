//! What has changed of a mapping's sources since the last set, and whether the mapping was made for it.

use std::collections::BTreeMap;

use cohortium_schema::drift::{Change, ChangeClass, SourceShape, classify};

/// One change of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceChange {
    /// The source.
    pub source: String,
    /// What has changed.
    pub change: Change,
}

impl std::fmt::Display for SourceChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "source {}: {}", self.source, self.change)
    }
}

/// The shapes that the last set was made of.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// By source; a source that is not in it is compared with nothing.
    pub shapes: BTreeMap<String, SourceShape>,
    /// Whether an earlier version of the mapping was run on them: a new version is made for what it finds.
    pub accepted: bool,
}

impl Before {
    /// What has changed of one source.
    pub(crate) fn changes(&self, source: &str, now: &SourceShape) -> Vec<SourceChange> {
        let Some(before) = self.shapes.get(source) else { return Vec::new() };
        all(source, classify(before, now))
    }

    /// What has changed that no row has to be read for.
    pub(crate) fn bare_changes(&self, source: &str, now: &SourceShape) -> Vec<SourceChange> {
        let Some(before) = self.shapes.get(source) else { return Vec::new() };
        all(source, classify(&before.bare(), &now.bare()))
    }

    /// Those of the changes that this mapping was not made for.
    pub(crate) fn refused(&self, changes: &[SourceChange]) -> Vec<SourceChange> {
        let breaks = changes.iter().any(|change| change.change.class == ChangeClass::Breaking);
        if breaks && !self.accepted { changes.to_vec() } else { Vec::new() }
    }
}

fn all(source: &str, changes: Vec<Change>) -> Vec<SourceChange> {
    changes.into_iter().map(|change| SourceChange { source: source.to_owned(), change }).collect()
}
