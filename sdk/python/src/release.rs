//! A release that was verified: its facts, its rows as an Arrow stream, and its files elsewhere.

use std::cell::RefCell;
use std::path::PathBuf;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatchReader};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use arrow::ffi::FFI_ArrowSchema;
use arrow::ffi_stream::FFI_ArrowArrayStream;
use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_sdk::release::{OpenRelease, Progress, RowsFault, statement_json};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};

use crate::fault;

/// Values of Python: those of a row, or of a column.
type Cells<'py> = Vec<Bound<'py, PyAny>>;

/// A release whose folder was verified. Made by `open_release` alone.
#[pyclass(frozen, module = "cohortium._native")]
#[derive(Debug)]
pub(crate) struct Opened {
    release: OpenRelease,
}

/// Verifies the folder of a release. `progress` is called with the bytes that were read and those that there are; an exception of it,
/// or the interrupt key, ends the verification.
#[pyfunction]
#[pyo3(signature = (path, anchor, progress))]
pub(crate) fn open_release(
    py: Python<'_>,
    path: PathBuf,
    anchor: Option<&str>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Opened> {
    let wrong = |_| fault::of_argument("anchor", "is the consortium's id: 64 hexadecimal digits");
    let anchor: Option<ConsortiumId> = anchor.map(str::parse).transpose().map_err(wrong)?;
    let opened = py.detach(|| {
        let raised = RefCell::new(None);
        let each = |at: Progress| {
            let goes_on = Python::attach(|py| {
                py.check_signals()?;
                progress.as_ref().map_or(Ok(()), |call| call.call1(py, (at.done, at.total)).map(drop))
            });
            goes_on.map_err(|fault| raised.replace(Some(fault))).is_ok()
        };
        let opened = OpenRelease::open_watched(&path, anchor, &each);
        (opened, raised.into_inner())
    });
    match opened {
        (_, Some(raised)) => Err(raised),
        (opened, None) => opened.map(|release| Opened { release }).map_err(|fault| fault::of_release(py, &fault)),
    }
}

#[pymethods]
impl Opened {
    /// The statement as `statement.json` has it, which was compared with the signed one.
    fn statement_json(&self) -> PyResult<String> {
        String::from_utf8(statement_json(self.release.statement()))
            .map_err(|fault| PyValueError::new_err(fault.to_string()))
    }

    /// What was verified beside the statement.
    fn facts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let verified = self.release.verified();
        let told = PyDict::new(py);
        told.set_item("consortium", verified.consortium.to_string())?;
        told.set_item("anchored", verified.anchored)?;
        told.set_item("charter_version", verified.charter_version)?;
        told.set_item("rehearsal", self.release.rehearsal())?;
        told.set_item("signed_at", verified.signed_at.0)?;
        told.set_item("cosigned_by", verified.cosigned_by.iter().map(Name::to_string).collect::<Vec<_>>())?;
        told.set_item("rows", verified.rows.0)?;
        Ok(told)
    }

    /// The rows by Arrow's interface of capsules: nothing is copied. A requested schema is not followed, as the interface allows.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        let batches = py.detach(|| self.release.batches()).map_err(|fault| fault::of_rows(py, &fault))?;
        let stream = FFI_ArrowArrayStream::new(Box::new(batches));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }

    /// Names and types of the columns by the same interface.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let batches = py.detach(|| self.release.batches()).map_err(|fault| fault::of_rows(py, &fault))?;
        let schema = FFI_ArrowSchema::try_from(batches.schema().as_ref());
        let schema =
            schema.map_err(|_| PyValueError::new_err("the columns have types that Arrow's interface does not know"))?;
        PyCapsule::new_with_value(py, schema, c"arrow_schema")
    }

    /// Names of the columns.
    fn columns(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let batches = py.detach(|| self.release.batches()).map_err(|fault| fault::of_rows(py, &fault))?;
        Ok(batches.columns().fields().iter().map(|field| field.name().clone()).collect())
    }

    /// Names of the columns, and the first rows as values of Python: what has no number or truth value as text.
    fn head<'py>(&self, py: Python<'py>, rows: usize) -> PyResult<(Vec<String>, Vec<Cells<'py>>)> {
        let wrong = |fault: RowsFault| fault::of_rows(py, &fault);
        let mut batches = self.release.batches().map_err(wrong)?;
        let names = batches.columns().fields().iter().map(|field| field.name().clone()).collect();
        let mut shown = Vec::new();
        while shown.len() < rows {
            let Some(batch) = batches.following_batch().map_err(wrong)? else { break };
            let some = batch.slice(0, batch.num_rows().min(rows - shown.len()));
            let columns: Vec<Cells<'py>> =
                some.columns().iter().map(|array| values(py, array)).collect::<PyResult<_>>()?;
            shown.extend((0..some.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()));
        }
        Ok((names, shown))
    }

    /// Writes one new Parquet file; returns the number of rows.
    fn write_parquet(&self, py: Python<'_>, path: PathBuf) -> PyResult<u64> {
        py.detach(|| self.release.write_parquet(&path)).map_err(|fault| fault::of_rows(py, &fault))
    }

    /// Writes one new CSV file; returns the number of rows.
    fn write_csv(&self, py: Python<'_>, path: PathBuf, missing: &str) -> PyResult<u64> {
        py.detach(|| self.release.write_csv(&path, missing)).map_err(|fault| fault::of_rows(py, &fault))
    }
}

/// The cells of a column as values of Python.
fn values<'py>(py: Python<'py>, array: &ArrayRef) -> PyResult<Cells<'py>> {
    let of = |kind: &DataType| {
        cast(array, kind).map_err(|_| PyValueError::new_err("a column has values that have no form in Python"))
    };
    let kind = array.data_type();
    if *kind == DataType::Boolean {
        all(py, array.as_boolean().iter())
    } else if *kind == DataType::UInt64 {
        all(py, array.as_primitive::<UInt64Type>().iter())
    } else if kind.is_integer() {
        all(py, of(&DataType::Int64)?.as_primitive::<Int64Type>().iter())
    } else if kind.is_floating() {
        all(py, of(&DataType::Float64)?.as_primitive::<Float64Type>().iter())
    } else {
        all(py, of(&DataType::Utf8)?.as_string::<i32>().iter())
    }
}

fn all<'py, T: IntoPyObjectExt<'py>>(py: Python<'py>, cells: impl Iterator<Item = Option<T>>) -> PyResult<Cells<'py>> {
    cells.map(|cell| cell.into_bound_py_any(py)).collect()
}
