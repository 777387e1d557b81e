"""The worked notebook runs from its first cell to its last, and draws what it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def test_the_notebook_of_stays_runs_and_draws(samples, tmp_path):
    for library in ("matplotlib", "pandas", "pyarrow"):
        pytest.importorskip(library)
    environment = {**os.environ, "COHORTIUM_SAMPLES": str(samples), "COHORTIUM_FIGURES": str(tmp_path), "MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "error", str(EXAMPLES / "stays.py")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "beyond the noise: " in ran.stdout and "of 20 cells are suppressed" in ran.stdout
    written = {path.name for path in tmp_path.iterdir()}
    tables = {f"{name}.{form}" for name in ("answer", "counts", "rows") for form in ("parquet", "csv")}
    assert written == tables | {"means.png", "counts.png", "rows.png"}
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("means.png", "counts.png", "rows.png"))


def test_every_example_in_python_is_python():
    for path in EXAMPLES.glob("*.py"):
        compile(path.read_text(), str(path), "exec")
