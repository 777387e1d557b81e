//! FHIRPath, as far as views need it: text to tree, tree to what is evaluated, and the evaluation.

pub(crate) mod lex;
pub(crate) mod ast;
pub(crate) mod parse;
pub(crate) mod compile;
pub(crate) mod value;
pub(crate) mod operator;
pub(crate) mod eval;

/// What is wrong with a path, and at which of its bytes (from 1). It is text of the view, not of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathFault {
    pub(crate) at: usize,
    pub(crate) what: String,
}

impl PathFault {
    pub(crate) fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at: at + 1, what: what.into() }
    }
}
