//! The simulator of a consortium, and the tests that need more than one package.
