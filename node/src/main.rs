//! The binary `cohortium`: everything is in the library, so that the test network can be the same program.

fn main() {}
