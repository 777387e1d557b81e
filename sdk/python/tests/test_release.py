"""A release that verifies is read in every way; one that does not gives nothing but its fault."""

import asyncio
import csv
import pickle
import subprocess
import sys

import pytest

import cohortium
from cohortium import aio, errors

KINDS = ["aggregate", "counts", "microdata"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_release_says_what_it_is(open_sample, kind, anchor):
    release = open_sample(kind)
    assert (release.kind, release.anchored, release.consortium, release.rehearsal) == (kind, True, anchor, True)
    assert release.statement["request"]["project"] == "stays"
    assert release.cosigned_by == ["centre", "east"]
    assert release.signed_at.isoformat().startswith("2026-11-04T08:00:00")
    assert (release.cost is None) == (kind != "aggregate")


def test_cost_names_epsilon_of_a_person_and_what_it_does_not_cover(open_sample):
    cost = open_sample("aggregate").cost
    assert abs(cost.rho - 0.05) < 1e-12 and cost.delta == 0
    assert abs(cost.at - 1e-7) < 1e-15
    assert 0 < cost.epsilon < cost.epsilon_person and cost.tokens == 2
    assert len(cost.uncovered) == 2 and len(cost.noise) == 3
    assert cost.noise[1].half_width == pytest.approx(0.32)


def test_without_an_anchor_it_says_so(open_sample):
    release = open_sample("counts", anchor=None)
    assert not release.anchored
    assert "NOT ANCHORED" in repr(release) and "NOT ANCHORED" in release._repr_html_()
    assert "NOT ANCHORED" not in repr(open_sample("counts"))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_the_same_in_every_library(open_sample, kind, tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("pandas"), pytest.importorskip("polars")
    release = open_sample(kind)
    table = release.to_arrow()
    assert table.num_rows == release.rows and table.column_names == release.columns
    plain = table.to_pylist()
    assert release.to_polars().to_dicts() == plain
    assert len(release.to_pandas()) == release.rows
    assert pyarrow.schema(release) == table.schema
    assert release.write_parquet(tmp_path / "rows.parquet") == release.rows
    assert parquet.read_table(tmp_path / "rows.parquet").to_pylist() == plain
    assert release.write_csv(tmp_path / "rows.csv", missing="NA") == release.rows
    with open(tmp_path / "rows.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [[line[name] == "NA" for name in release.columns] for line in lines] == [
        [row[name] is None for name in release.columns] for row in plain
    ]
    names, head = release._opened.head(7)
    assert [dict(zip(names, row)) for row in head] == plain[:7]


def test_rows_are_handed_over_without_a_copy_of_the_numbers(open_sample):
    """What pyarrow holds was not allocated by pyarrow."""
    pyarrow = pytest.importorskip("pyarrow")
    release, before = open_sample("microdata"), pyarrow.total_allocated_bytes()
    table = release.to_arrow()
    assert table.nbytes > 4_000 and pyarrow.total_allocated_bytes() - before < 256


def test_each_number_of_an_answer_has_its_interval(open_sample):
    release = open_sample("aggregate")
    assert release.intervals == {name: (f"{name} low", f"{name} high") for name in ("stays", "days", "readmitted")}
    names, head = release._opened.head(5)
    for row in (dict(zip(names, cells)) for cells in head):
        assert all(row[low] < row[name] < row[high] for name, (low, high) in release.intervals.items())
    assert open_sample("counts").intervals == {}


def test_a_notebook_shows_intervals_cost_and_what_is_not_covered(open_sample):
    page = open_sample("aggregate")._repr_html_()
    assert page.count("<small>[95 %]</small>") == 3 and "days low" not in page
    assert "not covered by epsilon" in page and "a0a0a0a0" in page and "fixed by petra" in page
    assert "<script" not in page and "http" not in page
    assert "<i>suppressed</i>" in open_sample("counts")._repr_html_()
    assert "no epsilon is claimed" in repr(open_sample("counts"))
    shown = open_sample("microdata")
    assert f"20 of {shown.rows} rows" in shown._repr_html_()


def test_what_stands_in_a_page_is_text(open_sample):
    release = open_sample("microdata")
    release.statement["request"]["project"] = "<script>"
    assert "<script" not in release._repr_html_()


DAMAGE = [
    ("charter/0001.cohortium", errors.SignatureFault),
    ("operator/0001.cohortium", errors.SignatureFault),
    ("statement.cohortium", errors.SignatureFault),
    ("project.cohortium", errors.SignatureFault),
    ("statement.json", errors.StatementFault),
    ("body/part-001.parquet", errors.BodyFault),
    ("journal/reserved", errors.LedgerFault),
    ("log/signed", errors.LedgerFault),
]


@pytest.mark.parametrize("path,kind", DAMAGE)
def test_damage_is_named_by_its_file_and_class(copied, anchor, path, kind):
    folder = copied("microdata")
    data = bytearray((folder / path).read_bytes())
    data[-20] ^= 1
    (folder / path).write_bytes(data)
    with pytest.raises(kind) as raised:
        cohortium.open_release(folder, anchor=anchor)
    assert raised.value.path == path and path in str(raised.value)
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), again.path, again.fault, str(again)) == (kind, path, raised.value.fault, str(raised.value))
    (folder / path).unlink()
    with pytest.raises(errors.FileFault) as raised:
        cohortium.open_release(folder, anchor=anchor)
    assert (raised.value.path, raised.value.fault) == (path, "missing")


def test_another_anchor_a_foreign_file_and_no_anchor_at_all(copied, anchor):
    folder = copied("counts")
    with pytest.raises(errors.AnchorFault):
        cohortium.open_release(folder, anchor="00" * 32)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        cohortium.open_release(folder, anchor="here")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(errors.FileFault) as raised:
        cohortium.open_release(folder, anchor=anchor)
    assert (raised.value.path, raised.value.fault) == ("notes.txt", "stranger")
    with pytest.raises(errors.ReleaseFault):
        cohortium.open_release(folder / "not here", anchor=anchor)


def test_what_changes_after_it_was_verified_is_never_decoded(copied, anchor):
    pyarrow = pytest.importorskip("pyarrow")
    folder = copied("microdata")
    release = cohortium.open_release(folder, anchor=anchor)
    other = (folder / "body/part-000.parquet").read_bytes()
    (folder / "body/part-001.parquet").write_bytes(other)
    with pytest.raises(pyarrow.ArrowException, match="changed since it was verified"):
        release.to_arrow()
    with pytest.raises(errors.RowsFault) as raised:
        release.write_csv(folder.parent / "rows.csv")
    assert raised.value.fault == "changed" and not (folder.parent / "rows.csv").exists()
    (folder / "body/part-000.parquet").write_bytes(other + b"\0")
    with pytest.raises(errors.RowsFault):
        release.to_arrow()


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(open_sample, tmp_path):
    with pytest.raises(OSError):
        open_sample("counts").write_csv(tmp_path / "no folder" / "rows.csv")
    with pytest.raises(errors.RowsFault, match="choose another mark"):
        open_sample("counts").write_csv(tmp_path / "rows.csv", missing="north")
    assert list(tmp_path.iterdir()) == []


def test_progress_comes_to_its_end_and_can_stop(open_sample, samples):
    seen = []
    open_sample("microdata", progress=lambda done, total: seen.append((done, total)))
    total = sum(path.stat().st_size for path in (samples / "microdata").rglob("*") if path.is_file())
    assert seen == sorted(seen) and seen[-1] == (total, total)

    def stop(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        open_sample("microdata", progress=stop)


def test_an_event_loop_goes_on_meanwhile(samples, anchor, facts):
    async def both():
        seen = []
        opened = aio.open_release(samples / "aggregate", anchor=anchor, progress=lambda *at: seen.append(at))
        verified = aio.verify_log(samples / "log", origin=facts["log_origin"], keys=[facts["log_key"]])
        release, report = await asyncio.gather(opened, verified)
        await asyncio.sleep(0)
        with pytest.raises(errors.AnchorFault):
            await aio.open_release(samples / "aggregate", anchor="00" * 32)
        return release.kind, report.size, bool(seen)

    assert asyncio.run(both()) == ("aggregate", 306, True)


def test_a_task_that_is_cancelled_ends_the_reading(samples, anchor):
    async def cancelled():
        task = asyncio.create_task(aio.open_release(samples / "microdata", anchor=anchor))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())


def test_a_log_verifies_and_its_damage_is_named(samples, facts, tmp_path):
    import shutil

    given = {"origin": facts["log_origin"], "keys": [facts["log_key"]]}
    report = cohortium.verify_log(samples / "log", **given)
    assert (report.size, report.strangers) == (306, 2)
    with pytest.raises(errors.LogFault):
        cohortium.verify_log(samples / "log", origin=facts["log_origin"], keys=["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"])
    folder = shutil.copytree(samples / "log", tmp_path / "log")
    path = next(folder.rglob("tile/0/000"))
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(errors.LogFault) as raised:
        cohortium.verify_log(folder, **given)
    assert raised.value.path == "tile/0/000"
    with pytest.raises(ValueError):
        cohortium.verify_log(folder, origin=facts["log_origin"], keys=["x"])


def test_nothing_else_makes_a_release():
    with pytest.raises(TypeError):
        cohortium._native.Opened()


def test_importing_takes_less_than_200_ms_and_no_other_library():
    code = "import sys, time; began = time.perf_counter(); import cohortium; print(time.perf_counter() - began, *sys.modules)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() for _ in range(5)]
    assert min(float(run[0]) for run in runs) < 0.2
    assert not {"pyarrow", "pandas", "polars", "numpy"} & set(runs[0])
