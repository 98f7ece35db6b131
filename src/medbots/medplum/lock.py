"""One process at a time: a lock that ends with the process that holds it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from medbots import errors, files

_INTERVAL = 0.05
_PATIENCE = 90.0
"""Seconds; longer than one request and its repetitions take."""


@contextlib.asynccontextmanager
async def exclusive(path: Path, patience: float = _PATIENCE) -> AsyncIterator[None]:
    """Hold the lock file `path`. The file stays: deleting it would let two hold it.

    Raises:
        errors.StorageError: it cannot be made, or another process keeps it.
    """
    files.make_folder(path.parent)
    with files.translated(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        end = time.monotonic() + patience
        while not _take(descriptor):
            if time.monotonic() >= end:
                raise errors.StorageError(
                    f"{path}: another medbots has held this lock for {patience:.0f} s",
                    hint="end the other process, or wait for it",
                )
            await asyncio.sleep(_INTERVAL)
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
