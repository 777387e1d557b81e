"""The audit log of a node, verified from a copy of its folder."""

from __future__ import annotations

from os import PathLike
from typing import Iterable, List, Mapping, NamedTuple, Optional, Union

from . import _native


class LogReport(NamedTuple):
    """What stands of a log."""

    size: int
    """Leaves."""
    root: str
    """The root of its tree."""
    tiles: int
    """Tiles and bundles that were read."""
    checkpoints: int
    """Checkpoints whose signatures and roots were verified."""
    cosigners: List[str]
    """Who cosigned any of them."""
    strangers: int
    """Signatures by keys that were not given."""


def verify_log(
    path: Union[str, "PathLike[str]"],
    *,
    origin: str,
    keys: Iterable[str],
    cosigners: Optional[Mapping[str, str]] = None,
    checkpoint: Optional[str] = None,
) -> LogReport:
    """Reads every file of a log, recomputes every hash, and compares all of it with the signed checkpoints.

    `origin` is `cohortium/CONSORTIUM_ID/NODE`; `keys` are the log's keys, the present one and earlier ones, as hexadecimal
    digits. Once `cosigners` (origin: key) are given, a signature by any other key is a fault. With `checkpoint`, one that was
    got elsewhere, the folder's newest has to be that very text. Raises `errors.LogFault`.
    """
    others = sorted((cosigners or {}).items())
    return LogReport(**_native.verify_log(path, origin, list(keys), others, checkpoint))
