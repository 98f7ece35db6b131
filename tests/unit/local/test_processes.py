"""Programs that outlive their starter, and pids that are not believed alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medbots import errors
from medbots.local import processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[processes.Identity]:
    """A program that sleeps."""
    known = processes.spawn(SLEEP, tmp_path / "log", {})
    yield known
    processes.stop(known, 1)


def test_a_process_is_known_again(sleeper: processes.Identity) -> None:
    """The identity that was kept is the one that is read later."""
    assert processes.is_alive(sleeper)
    assert processes.identity(sleeper.pid) == sleeper


def test_a_reused_pid_is_somebody_else(sleeper: processes.Identity) -> None:
    """With another start time, the same pid is left alone: it is not alive, and is not stopped."""
    stale = processes.Identity(sleeper.pid, "an earlier start")
    assert not processes.is_alive(stale)
    assert processes.stop(stale, 1) is False
    assert processes.is_alive(sleeper)


@pytest.mark.parametrize("pid", [-1, 0, 2**22 + 1])
def test_no_such_process(pid: int) -> None:
    """A pid that nobody has belongs to nobody, and the numbers that mean groups neither."""
    assert processes.identity(pid) is None


def test_stop_ends_it(sleeper: processes.Identity) -> None:
    """A stopped process is gone, and stopping it again tells that nothing ran."""
    assert processes.stop(sleeper, 5) is True
    assert not processes.is_alive(sleeper)
    assert processes.stop(sleeper, 5) is False


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """After the time of grace, SIGKILL ends what SIGTERM did not."""
    log = tmp_path / "log"
    known = processes.spawn([sys.executable, "-c", DEAF], log, {})
    while "deaf" not in log.read_text():
        time.sleep(0.02)
    assert processes.stop(known, 0.2) is True
    assert processes.identity(known.pid) is None


def test_a_zombie_is_dead() -> None:
    """A child that has ended, and that nobody has waited for, is not alive."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    known = processes.identity(child.pid)
    deadline = time.monotonic() + 10
    while processes.identity(child.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert known is None or not processes.is_alive(known)
    child.wait()


def test_a_child_gets_no_variables_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets in the environment of medbots do not reach the services, which bots could ask."""
    monkeypatch.setenv("MEDPLUM_PASSWORD", "plant")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "plant")
    log = tmp_path / "log"
    ask = "import os; print(sorted(os.environ)); print(os.environ['GIVEN'])"
    known = processes.spawn([sys.executable, "-c", ask], log, {"GIVEN": "value"})
    while processes.is_alive(known):
        time.sleep(0.02)
    said = log.read_text()
    assert "value" in said
    assert "MEDPLUM_PASSWORD" not in said
    assert "AWS_SECRET_ACCESS_KEY" not in said


def test_the_log_is_private_and_grows(tmp_path: Path) -> None:
    """A log is readable for its owner only, and a second start adds to it."""
    log = tmp_path / "logs" / "log"
    for word in ("one", "two"):
        known = processes.spawn([sys.executable, "-c", f"print({word!r})"], log, {})
        while processes.is_alive(known):
            time.sleep(0.02)
    assert log.read_text() == "one\ntwo\n"
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.parent.stat().st_mode & 0o777 == 0o700


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    """It cannot be started, and the error names it."""
    with pytest.raises(errors.LocalStackError, match="/no/such/program cannot be started"):
        processes.spawn(["/no/such/program"], tmp_path / "log", {})


def test_our_own_identity() -> None:
    """This very process is alive."""
    own = processes.identity(os.getpid())
    assert own is not None
    assert processes.is_alive(own)
