//! A compiled question: what is read, grouped and measured, and how far one unit can move it. Everything about it is known
//! before a row is read, so that its cost and its noise can be told without any.

use std::collections::BTreeSet;

use crate::private::declared::{Contribution, Origin, Wish};
use crate::private::having::Having;
use crate::private::measure::{Part, Parts, Recipe};
use crate::private::relation::Relation;
use crate::private::term::{Kind, Term, Value};

/// A group key.
pub(crate) struct Key {
    pub(crate) term: Term,
    /// Its values, in order; `None` where it is private.
    pub(crate) values: Option<Vec<Value>>,
}

/// A column of the answer, in the order that the question has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A group key, by its place.
    Key(usize),
    /// A measure, by the place of its recipe.
    Measure(usize),
}

/// Only the groups with the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Top {
    /// How many.
    pub groups: u64,
    /// By the measure with this recipe.
    pub measure: usize,
}

/// A question that can be answered.
#[expect(missing_debug_implementations, reason = "its literals may name a patient")]
pub struct Plan {
    pub(crate) relation: Relation,
    pub(crate) keys: Vec<Key>,
    pub(crate) parts: Parts,
    pub(crate) contribution: Contribution,
    pub(crate) outputs: Vec<(String, Output)>,
    pub(crate) having: Option<Having>,
    pub(crate) top: Option<Top>,
    pub(crate) wish: Option<Wish>,
    pub(crate) origins: Vec<(String, Origin)>,
    pub(crate) text: String,
}

impl Plan {
    /// The question in the one form that all its spellings have. It holds the literals: it belongs into the erasable store.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a stored answer to this question is found by, together with the versions of its tables.
    pub fn digest(&self) -> [u8; 32] {
        cohortium_protocol::digest::sha256_for("private question", self.text.as_bytes())
    }

    /// The tables that it reads.
    pub fn tables(&self) -> BTreeSet<String> {
        let mut tables = BTreeSet::new();
        self.relation.tables(&mut |name| tables.extend([name.to_owned()]));
        tables
    }

    /// The kinds of the group keys.
    pub fn key_kinds(&self) -> Vec<Kind> {
        self.keys.iter().map(|key| key.term.kind()).collect()
    }

    /// Whether any key is private: then groups stay hidden until a mechanism has shown them, by the part that counts units.
    pub fn has_private_keys(&self) -> bool {
        self.keys.iter().any(|key| key.values.is_none())
    }

    /// The vectors that a mechanism makes noise for.
    pub fn parts(&self) -> Vec<Part> {
        self.parts.planned.iter().map(|planned| planned.part.clone()).collect()
    }

    /// How the measures are had from the parts.
    pub fn recipes(&self) -> &[Recipe] {
        &self.parts.recipes
    }

    /// The contribution that holds: never more groups than there are.
    pub const fn contribution(&self) -> &Contribution {
        &self.contribution
    }

    /// The columns of the answer by name, in the order of the question.
    pub fn outputs(&self) -> &[(String, Output)] {
        &self.outputs
    }

    /// A condition on the answer, over values that have their noise.
    pub const fn having(&self) -> Option<&Having> {
        self.having.as_ref()
    }

    /// Whether only the groups with the most are wanted.
    pub const fn top(&self) -> Option<Top> {
        self.top
    }

    /// What the asker would like.
    pub const fn wish(&self) -> Option<&Wish> {
        self.wish.as_ref()
    }

    /// What was known beforehand and where from: the statement lists it.
    pub fn origins(&self) -> &[(String, Origin)] {
        &self.origins
    }
}
