"""Releases of a consortium of hospitals: verified offline, then read.

    import cohortium

    release = cohortium.open_release("landed/stays", anchor="64 hexadecimal digits of the consortium's id")
    frame = release.to_pandas()

Nothing of a release that does not verify is ever handed out: `open_release` raises the first thing that is wrong.
"""

from . import errors
from ._native import VERSION as __version__
from .log import LogReport, verify_log
from .release import Cost, Noise, Release, open_release

__all__ = ["Cost", "LogReport", "Noise", "Release", "__version__", "errors", "open_release", "verify_log"]
