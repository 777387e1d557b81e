//! Faults of the SDK as exceptions of `cohortium.errors`, which sorts them into classes.

use cohortium_sdk::log::LogFault;
use cohortium_sdk::release::{ReleaseFault, RowsFault, WrongRows};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The exception of a fault in this file: `maker` is a function of `cohortium.errors`.
fn exception(py: Python<'_>, maker: &str, path: &str, fault: &str, sentence: &str) -> PyErr {
    let made = py
        .import("cohortium.errors")
        .and_then(|errors| errors.getattr(maker))
        .and_then(|maker| maker.call1((path, fault, sentence)));
    // Where the Python half is not there, what it says is the fault.
    made.map_or_else(|fault| fault, PyErr::from_value)
}

pub(crate) fn of_release(py: Python<'_>, fault: &ReleaseFault) -> PyErr {
    exception(py, "of_release", &fault.path, fault.wrong.name(), &fault.to_string())
}

pub(crate) fn of_rows(py: Python<'_>, fault: &RowsFault) -> PyErr {
    if let WrongRows::Write(kind) = fault.wrong {
        let os = std::io::Error::new(kind, fault.to_string());
        return os.into();
    }
    exception(py, "of_rows", &fault.path, fault.wrong.name(), &fault.to_string())
}

pub(crate) fn of_log(py: Python<'_>, fault: &LogFault) -> PyErr {
    exception(py, "of_log", fault.path(), "log", &fault.to_string())
}

/// An argument that is none of its kind.
pub(crate) fn of_argument(name: &str, is: &str) -> PyErr {
    PyValueError::new_err(format!("{name} {is}"))
}
