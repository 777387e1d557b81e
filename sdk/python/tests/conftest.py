"""Made-up releases of five hospitals, written by `cargo run -p cohortium-sdk --example samples`; COHORTIUM_SAMPLES is their folder."""

import json
import os
import shutil
from pathlib import Path

import pytest

import cohortium


@pytest.fixture(scope="session")
def samples():
    return Path(os.environ["COHORTIUM_SAMPLES"])


@pytest.fixture(scope="session")
def facts(samples):
    return json.loads((samples / "facts.json").read_text())


@pytest.fixture(scope="session")
def anchor(facts):
    return facts["anchor"]


@pytest.fixture
def open_sample(samples, anchor):
    return lambda kind, **given: cohortium.open_release(samples / kind, **{"anchor": anchor, **given})


@pytest.fixture
def copied(samples, tmp_path):
    """A copy of a sample that a test may damage."""
    return lambda kind: Path(shutil.copytree(samples / kind, tmp_path / kind))
