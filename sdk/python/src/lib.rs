//! The native half of the Python package `cohortium`: it verifies and reads, and leaves words, tables and pages to Python.

#![expect(clippy::needless_pass_by_value, reason = "what Python hands over arrives as a value")]

mod fault;
mod log;
mod release;

/// What the Python half of the package imports.
#[pyo3::pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use crate::log::verify_log;
    #[pymodule_export]
    use crate::release::{Opened, open_release};

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
