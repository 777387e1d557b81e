"""What a researcher does with a profile, through the unmodified PyPI client. Each command ends with an error if anything
is not as it should be.

    make FOLDER             writes the files of a table's versions, and prints their rows
    read PROFILE FOLDER     lists, reads, limits, goes back in time and follows the changes, in both formats
    load PROFILE FOLDER     reads the latest version in both formats, and nothing else
    links PROFILE           prints the links to the files of the latest version
    refused PROFILE STATUS  is refused
    ended URL STATUS        a link gives nothing any more
    big FOLDER ROWS         writes one large file, and prints its rows
    speed PROFILE URL       prints seconds of loading the table, as the client does by itself and in each format, and of
                            reading its file over plain HTTP, from another server and from this one
"""

import datetime
import json
import pathlib
import statistics
import sys
import time

import numpy
import pandas
import pyarrow
import pyarrow.parquet

import delta_sharing
from delta_sharing.protocol import AddFile, DeltaSharingProfile, Table
from delta_sharing.reader import DeltaSharingReader
from delta_sharing.rest_client import DataSharingRestClient

TABLE = "study.release.stays"
VERSIONS = {0: ["zero"], 1: ["zero", "one"], 3: ["one", "three"]}
FORMATS = [None, False, True]


def rows(name):
    """A made-up table; its numbers tell which file they are of."""
    start, count = {"zero": (0, 1000), "one": (10_000, 2000), "three": (30_000, 500)}[name]
    numbers = range(start, start + count)
    utc = datetime.timezone.utc
    return pyarrow.table(
        {
            "id": pyarrow.array(numbers, pyarrow.int64()),
            "stay": pyarrow.array([n / 4 if n % 7 else None for n in numbers], pyarrow.float64()),
            "region": pyarrow.array([f"r\u00e9gion {n % 5}" for n in numbers], pyarrow.string()),
            "day": pyarrow.array([datetime.date(2020, 1, 1 + n % 28) for n in numbers], pyarrow.date32()),
            "seen": pyarrow.array(
                [datetime.datetime(2020, 1, 1, n % 24, tzinfo=utc) for n in numbers], pyarrow.timestamp("us", "UTC")
            ),
            "old": pyarrow.array([n % 2 == 0 for n in numbers], pyarrow.bool_()),
        }
    )


def make(folder):
    made = {}
    for name in ["zero", "one", "three"]:
        table = rows(name)
        pyarrow.parquet.write_table(table, pathlib.Path(folder, name + ".parquet"), row_group_size=300)
        made[name] = table.num_rows
    print(json.dumps(made))


def expected(folder, version):
    frames = [pandas.read_parquet(pathlib.Path(folder, name + ".parquet")) for name in VERSIONS[version]]
    return pandas.concat(frames, ignore_index=True)


def same(got, want, what):
    got, want = (frame.sort_values("id").reset_index(drop=True) for frame in (got, want))
    assert list(got.columns) == list(want.columns), (what, list(got.columns))
    assert len(got) == len(want), (what, len(got), len(want))
    for column in want.columns:
        left, right = got[column], want[column]
        if column == "seen":
            left, right = (pandas.to_datetime(side, utc=True).astype("int64") for side in (left, right))
        equal = (left == right) | (left.isna() & right.isna())
        assert equal.all(), (what, column)


def load(profile, folder):
    url = f"{profile}#{TABLE}"
    for delta in FORMATS:
        same(delta_sharing.load_as_pandas(url, use_delta_format=delta), expected(folder, 3), f"latest, delta={delta}")


def read(profile, folder):
    client = delta_sharing.SharingClient(profile)
    assert client.list_all_tables() == [Table(share="study", schema="release", name="stays")], client.list_all_tables()
    shares = client.list_shares()
    assert [share.name for share in shares] == ["study"]
    schemas = client.list_schemas(shares[0])
    assert [schema.name for schema in schemas] == ["release"]
    assert [table.name for table in client.list_tables(schemas[0])] == ["stays"]
    url = f"{profile}#{TABLE}"
    assert delta_sharing.get_table_version(url) == 3
    assert delta_sharing.get_table_version(url, starting_timestamp="2026-01-02T00:00:00Z") == 1
    for delta in [False, True]:
        metadata = delta_sharing.get_table_metadata(url, use_delta_format=delta)
        fields = [field["name"] for field in json.loads(metadata.schema_string)["fields"]]
        assert fields == ["id", "stay", "region", "day", "seen", "old"], fields
        sizes = [pathlib.Path(folder, name + ".parquet").stat().st_size for name in VERSIONS[3]]
        assert (metadata.size, metadata.num_files) == (sum(sizes), 2)
        assert delta_sharing.get_table_protocol(url, use_delta_format=delta).min_reader_version == 1
    load(profile, folder)
    for delta in FORMATS:
        versions(url, folder, delta)
        changes(url, folder, delta)
    hints = json.dumps({"op": "isNull", "children": [{"op": "column", "name": "id", "valueType": "long"}]})
    hinted = delta_sharing.load_as_pandas(url, jsonPredicateHints=hints, convert_in_batches=True)
    same(hinted, expected(folder, 3), "hinted, in batches")


def versions(url, folder, delta):
    for version in VERSIONS:
        got = delta_sharing.load_as_pandas(url, version=version, use_delta_format=delta)
        same(got, expected(folder, version), f"version {version}, delta={delta}")
    at = delta_sharing.load_as_pandas(url, timestamp="2026-01-03T12:00:00Z", use_delta_format=delta)
    same(at, expected(folder, 1), f"timestamp, delta={delta}")
    for limit in [0, 1, 1999, 2001]:
        got = delta_sharing.load_as_pandas(url, limit=limit, use_delta_format=delta)
        assert len(got) == limit, (limit, len(got), delta)
        assert list(got.columns)[:2] == ["id", "stay"]


def changes(url, folder, delta):
    def told(**span):
        got = delta_sharing.load_table_changes_as_pandas(url, use_delta_format=delta, **span)
        return dict(got.groupby(["_commit_version", "_change_type"]).size()), got

    first, one, three = 1000, 2000, 500
    everything, frame = told(starting_version=0)
    want = {(0, "insert"): first, (1, "insert"): one, (3, "delete"): first, (3, "insert"): three}
    assert everything == want, (delta, everything)
    gone = frame[frame["_change_type"] == "delete"].drop(columns=[c for c in frame.columns if c.startswith("_")])
    same(gone, expected(folder, 0), f"what was removed, delta={delta}")
    assert told(starting_version=1, ending_version=1)[0] == {(1, "insert"): one}
    assert told(starting_version=2)[0] == {(3, "delete"): first, (3, "insert"): three}
    assert told(starting_timestamp="2026-01-02T00:00:00Z", ending_version=1)[0] == {(1, "insert"): one}


def links(profile):
    rest = DataSharingRestClient(DeltaSharingProfile.read_from_file(profile))
    share, schema, name = TABLE.split(".")
    found = rest.list_files_in_table(Table(share=share, schema=schema, name=name))
    for file in found.add_files:
        print(file.url)


def refused(profile, status):
    try:
        delta_sharing.SharingClient(profile).list_all_tables()
    except Exception as fault:
        assert status in str(fault), fault
        return
    raise AssertionError("it was let in")


def ended(url, status):
    file = AddFile(url=url, id="x", partition_values={}, size=1)
    try:
        DeltaSharingReader._to_pandas(file, {}, False, None, False)
    except Exception as fault:
        assert status in str(fault) or isinstance(fault, FileNotFoundError), repr(fault)
        return
    raise AssertionError("the link still gives its file")


def big(folder, count):
    count, dice = int(count), numpy.random.default_rng(7)
    table = pyarrow.table(
        {
            "id": dice.permutation(count),
            "stay": dice.gamma(2.0, 3.0, count),
            "region": pyarrow.array(dice.integers(0, 50, count)).cast(pyarrow.string()),
            "day": pyarrow.array(dice.integers(18000, 19000, count, dtype="int32")).cast(pyarrow.date32()),
            "seen": pyarrow.array(dice.integers(0, 10**15, count)).cast(pyarrow.timestamp("us", "UTC")),
            "old": pyarrow.array(dice.integers(0, 2, count)).cast(pyarrow.bool_()),
        }
    )
    pyarrow.parquet.write_table(table, pathlib.Path(folder, "big.parquet"), compression="zstd")
    print(json.dumps({"big": count}))


def speed(profile, url):
    """Alternately, so that neither side has the machine to itself; medians of five after one of each."""
    rest = DataSharingRestClient(DeltaSharingProfile.read_from_file(profile))
    share, schema, name = TABLE.split(".")
    link = rest.list_files_in_table(Table(share=share, schema=schema, name=name)).add_files[0].url
    sides = {
        "plain": lambda: pandas.read_parquet(url),
        "served": lambda: pandas.read_parquet(link),
        "default": lambda: delta_sharing.load_as_pandas(f"{profile}#{TABLE}"),
        "parquet": lambda: delta_sharing.load_as_pandas(f"{profile}#{TABLE}", use_delta_format=False),
        "delta": lambda: delta_sharing.load_as_pandas(f"{profile}#{TABLE}", use_delta_format=True),
    }
    taken = {side: [] for side in sides}
    for turn in range(6):
        for side, run in sides.items():
            began = time.perf_counter()
            count = len(run())
            if turn:
                taken[side].append(time.perf_counter() - began)
            assert count > 0
    print(json.dumps({side: statistics.median(times) for side, times in taken.items()}))


if __name__ == "__main__":
    commands = [make, read, load, links, refused, ended, big, speed]
    {command.__name__: command for command in commands}[sys.argv[1]](*sys.argv[2:])
