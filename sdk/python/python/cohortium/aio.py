"""The same names for programs with an event loop: the work is done in a thread, and holds no lock of the interpreter."""

from __future__ import annotations

import asyncio
import functools
from os import PathLike
from typing import Any, Callable, Optional, Union

from . import log, release
from .log import LogReport
from .release import Release

__all__ = ["open_release", "verify_log"]


async def open_release(
    path: Union[str, "PathLike[str]"],
    *,
    anchor: Optional[str] = None,
    progress: Optional[Callable[[int, int], object]] = None,
) -> Release:
    """As `cohortium.open_release`. `progress` is called in the loop. Where the task is cancelled, reading ends."""
    loop, cancelled = asyncio.get_running_loop(), False

    def told(done: int, total: int) -> None:
        if cancelled:
            raise asyncio.CancelledError
        if progress is not None:
            loop.call_soon_threadsafe(progress, done, total)

    try:
        return await asyncio.to_thread(functools.partial(release.open_release, path, anchor=anchor, progress=told))
    except asyncio.CancelledError:
        cancelled = True
        raise


async def verify_log(path: Union[str, "PathLike[str]"], **given: Any) -> LogReport:
    """As `cohortium.verify_log`."""
    return await asyncio.to_thread(functools.partial(log.verify_log, path, **given))
