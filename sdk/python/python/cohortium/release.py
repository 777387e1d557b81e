"""A release that was verified: its statement, its cost, its rows."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from os import PathLike
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from . import _native

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

_Path = Union[str, "PathLike[str]"]
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Noise(NamedTuple):
    """The noise of the cells of one vector of numbers."""

    what: str
    """What it counts, and for which columns."""
    family: str
    """`gaussian`, `laplace` or `gaussian-threshold`."""
    scale: float
    """Its scale, in the unit of the column."""
    half_width: float
    """The noise of a cell is within this with a probability of 95 %."""


class Cost(NamedTuple):
    """What a private answer cost its population's account, and what epsilon does not cover."""

    rho: float
    """Zero-concentrated loss of one linkage token."""
    delta: float
    """The probability that the loss does not bound; part of what was debited."""
    epsilon: float
    """Epsilon of one linkage token at `at`, rounded up."""
    epsilon_person: float
    """Epsilon of a person whose records are spread over `tokens` tokens."""
    tokens: int
    """The number of tokens that the charter allows a person."""
    at: float
    """The delta that both are stated at."""
    noise: Tuple[Noise, ...]
    """The noise of each vector."""
    threshold: Optional[int]
    """Groups whose noised count of patients is below this are not there; None where all keys were named beforehand."""
    fixed: Tuple[Tuple[str, str], ...]
    """What was fixed beforehand, and where it comes from."""
    uncovered: Tuple[str, ...]
    """Releases over the same population that epsilon does not cover."""


class Release:
    """A release whose folder was verified. `open_release` alone makes one."""

    def __init__(self, opened: _native.Opened) -> None:
        self._opened = opened
        facts = opened.facts()
        self.consortium: str = facts["consortium"]
        """The consortium that its chain of charters begins."""
        self.anchored: bool = facts["anchored"]
        """Whether that is the consortium that was named: without an anchor anybody could have made all of it."""
        self.rehearsal: bool = facts["rehearsal"]
        """Whether it is of a rehearsal: no real patient may be behind it."""
        self.charter_version: int = facts["charter_version"]
        """The charter that it was reviewed against."""
        self.signed_at: datetime = _EPOCH + timedelta(milliseconds=facts["signed_at"])
        """When it was signed, by the operator's clock."""
        self.cosigned_by: List[str] = facts["cosigned_by"]
        """Parties that cosigned the checkpoint of the log which it is proved to be in."""
        self.rows: int = facts["rows"]
        """Rows of its body."""
        self.statement: Dict[str, Any] = json.loads(opened.statement_json())
        """The signed statement."""

    @property
    def id(self) -> str:
        """The release's id."""
        return str(self.statement["release"])

    @property
    def kind(self) -> str:
        """`microdata`, `counts` or `aggregate`."""
        return str(next(iter(self.statement["done"])))

    @property
    def not_covered(self) -> List[str]:
        """What was not checked, or is not covered by any promise, in words."""
        return list(self.statement["not_covered"])

    @property
    def cost(self) -> Optional[Cost]:
        """What it cost; None for rows and counts, which claim no epsilon."""
        done = self.statement["done"].get("aggregate")
        if done is None:
            return None
        millionth = 1e-6
        return Cost(
            rho=int(done["rho"]) * 2.0**-80,
            delta=int(done["delta"]) * 2.0**-100,
            epsilon=done["epsilon"] * millionth,
            epsilon_person=done["epsilon_person"] * millionth,
            tokens=done["tokens"],
            at=int(done["at"]) * 2.0**-100,
            noise=tuple(
                Noise(line["what"], line["noise"], line["scale"] * millionth, line["half_width"] * millionth)
                for line in done["noise"]
            ),
            threshold=done["threshold"],
            fixed=tuple((what, origin) for what, origin in done["origins"]),
            uncovered=tuple(done["uncovered"]),
        )

    @property
    def intervals(self) -> Dict[str, Tuple[str, str]]:
        """Of a private answer, the columns that hold the ends of each number's interval of 95 %, by the number's column."""
        if self.kind != "aggregate":
            return {}
        names = self.columns
        return {name: (f"{name} low", f"{name} high") for name in names if {f"{name} low", f"{name} high"} <= set(names)}

    @property
    def columns(self) -> List[str]:
        """Names of the columns, in order."""
        return self._opened.columns()

    def __arrow_c_stream__(self, requested_schema: Optional[object] = None) -> object:
        """The rows for any library that takes Arrow streams (`pyarrow.table`, `polars.DataFrame`, DuckDB); nothing is copied.

        Each file of rows is compared with the statement once more before it is decoded.
        """
        return self._opened.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        return self._opened.__arrow_c_schema__()

    def to_arrow(self) -> "pyarrow.Table":
        """The rows as a table of pyarrow."""
        return _library("pyarrow", "arrow").table(self)

    def to_pandas(self) -> "pandas.DataFrame":
        """The rows as a data frame of pandas."""
        _library("pandas", "pandas")
        frame: "pandas.DataFrame" = self.to_arrow().to_pandas()
        return frame

    def to_polars(self) -> "polars.DataFrame":
        """The rows as a data frame of polars."""
        frame: "polars.DataFrame" = _library("polars", "polars").DataFrame(self)
        return frame

    def write_parquet(self, path: _Path) -> int:
        """Writes the rows into one Parquet file, whole or not at all, in place of one that is there; returns their number."""
        return self._opened.write_parquet(path)

    def write_csv(self, path: _Path, *, missing: str = "") -> int:
        """Writes the rows into one CSV file, whole or not at all, in place of one that is there; returns their number.

        `missing` stands where nothing is stated. Raises `errors.RowsFault` where a text of a column is that very mark.
        """
        return self._opened.write_csv(path, missing)

    def __repr__(self) -> str:
        from . import _show

        return _show.text(self)

    def _repr_html_(self) -> str:
        from . import _show

        return _show.page(self)


def _library(name: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as fault:
        raise ImportError(f"{name} is not installed: pip install 'cohortium[{extra}]'", name=name) from fault


def open_release(
    path: _Path, *, anchor: Optional[str] = None, progress: Optional[Callable[[int, int], object]] = None
) -> Release:
    """Verifies the folder of a release and opens it; raises an `errors.ReleaseFault` that names the first thing that is wrong.

    `anchor` is the consortium's id, 64 hexadecimal digits, from somewhere else than the folder. Without it anybody could have
    made all of it: the release then says so. `progress` is called with the bytes that were read and those that there are.
    """
    return Release(_native.open_release(path, anchor, progress))
