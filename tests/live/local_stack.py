"""The local stack for the live suite: one for all processes of a run, the last one stops it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medbots.local import stackfile, supervisor
from tests.live import target
from tests.live.target import Login, Target


@contextmanager
def running(factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Give the stack, started on ports of its own in a folder of its own."""
    folder = _folder(factory)
    stack = supervisor.Supervisor(folder / "local", preferred={})
    with _locked(folder):
        settings = stack.up(supervisor.Wish(), lambda event: None)
        _count(folder, 1)
    known = stackfile.load(stack.layout.stackfile)
    assert known is not None
    credentials = known.credentials
    try:
        yield target.from_settings(
            settings, Login(credentials.super_admin_email, credentials.super_admin_password)
        )
    finally:
        with _locked(folder):
            if _count(folder, -1) == 0:
                stack.reset(lambda event: None)
                shutil.rmtree(folder, ignore_errors=True)


def _folder(factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all processes of this run share."""
    base = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    folder = base / "live-stack"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _count(folder: Path, change: int) -> int:
    """Add to the number of processes that use the stack, and return it."""
    file = folder / "users"
    users = int(file.read_text()) if file.exists() else 0
    file.write_text(str(users + change))
    return users + change
