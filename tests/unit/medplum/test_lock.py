"""The lock: one holder at a time, also across processes, and none after its holder is gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from medbots import errors
from medbots.medplum import lock

HOLDER = """
import asyncio, pathlib, sys
from medbots.medplum import lock

async def main():
    async with lock.exclusive(pathlib.Path(sys.argv[1])):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@contextlib.contextmanager
def held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


async def test_one_at_a_time(tmp_path: Path) -> None:
    """Two who want it hold it one after the other."""
    path = tmp_path / "new" / "x.lock"
    order: list[str] = []

    async def hold(name: str) -> None:
        async with lock.exclusive(path):
            order.append(f"{name} in")
            await asyncio.sleep(0.01)
            order.append(f"{name} out")

    await asyncio.gather(hold("a"), hold("b"))
    assert order in (
        ["a in", "a out", "b in", "b out"],
        ["b in", "b out", "a in", "a out"],
    )
    assert path.stat().st_mode & 0o777 == 0o600


async def test_another_process_is_waited_for_and_named(tmp_path: Path) -> None:
    """Patience ends with the lock's name, and with what helps."""
    path = tmp_path / "x.lock"
    with held_elsewhere(path):
        with pytest.raises(errors.StorageError, match=r"x\.lock: another medbots") as caught:
            async with lock.exclusive(path, patience=0.1):
                pytest.fail("two hold it")
        assert caught.value.hint


async def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A process that was killed leaves no stale lock."""
    path = tmp_path / "x.lock"
    with held_elsewhere(path) as process:
        process.kill()
        process.wait()
        async with lock.exclusive(path, patience=5):
            pass


async def test_lock_that_cannot_be_made(tmp_path: Path) -> None:
    """A state folder that is a file is one clear error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.StorageError) as caught:
        async with lock.exclusive(tmp_path / "file" / "x.lock"):
            pytest.fail("it was held")
    assert "MEDBOTS_STATE_DIR" in (caught.value.hint or "")
