"""The local stack itself, as processes: what survives, what is repaired, what is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

import medbots
from medbots.local import processes, stack
from medbots.local.supervisor import Event, Supervisor, Wish


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account may pass through; Postgres runs as nobody when we are root."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o711)
        yield Path(made)


@pytest.fixture
def local(folder: Path) -> Iterator[Supervisor]:
    """A stack on ports of its own, deleted at the end."""
    made = Supervisor(folder / "local", preferred={})
    yield made
    if made.layout.root.exists():
        made.reset(_ignore)


def _ignore(_: Event) -> None:
    """Take an event."""


def _command(folder: Path, *args: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "MEDBOTS_STATE_DIR": str(folder)}
    environ["PYTHONPATH"] = str(Path(medbots.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-m", "medbots", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )


def _all_healthy(local: Supervisor) -> bool:
    return [one.healthy for one in local.status()] == [True, True, True]


def _listening(pid: int) -> set[str]:
    """Return the addresses that a process and its children listen on."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return {
        connection.laddr.ip
        for process in family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def _run_of(folder: Path) -> list[str]:
    """Return the command lines of all processes that work in a folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line and "medbots local" not in line:
            found.append(line)
    return found


def test_data_survive_down_and_up(local: Supervisor) -> None:
    """What was written is there after a restart, at the same addresses, with the same logins."""
    profile = local.up(Wish(), _ignore)
    assert _all_healthy(local)
    with psycopg.connect(profile["MEDBOTS_DATABASE_URL"], autocommit=True) as database:
        database.execute("CREATE TABLE kept (word text)")
        database.execute("INSERT INTO kept VALUES ('still here')")
    assert local.down(_ignore) is True
    assert [one.pid for one in local.status()] == [None, None, None]
    assert local.up(Wish(), _ignore) == profile
    with psycopg.connect(profile["MEDBOTS_DATABASE_URL"]) as database:
        assert database.execute("SELECT word FROM kept").fetchone() == ("still here",)
    login = httpx.post(
        f"{profile['MEDPLUM_BASE_URL']}auth/login",
        json={
            "email": profile["MEDPLUM_EMAIL"],
            "password": profile["MEDPLUM_PASSWORD"],
            "scope": "openid",
            "codeChallenge": "x" * 43,
            "codeChallengeMethod": "plain",
        },
    )
    assert login.status_code == 200
    assert "code" in login.json()


def test_nothing_listens_beyond_loopback(local: Supervisor) -> None:
    """Every service listens on the loopback interface only."""
    local.up(Wish(), _ignore)
    for one in local.status():
        assert one.pid is not None
        assert _listening(one.pid) == {"127.0.0.1"}


def test_files_are_private(local: Supervisor) -> None:
    """Credentials, logs and records are for their owner only."""
    local.up(Wish(), _ignore)
    layout = local.layout
    private = [layout.stackfile, layout.configuration]
    private += [layout.log(stack.MODELS), layout.log(stack.MEDPLUM), layout.record(stack.MEDPLUM)]
    assert [oct(path.stat().st_mode & 0o777) for path in private] == ["0o600"] * len(private)


def test_no_secret_on_a_command_line(local: Supervisor) -> None:
    """Whoever lists processes learns no password and no key."""
    profile = local.up(Wish(), _ignore)
    lines = " ".join(
        " ".join(psutil.Process(one.pid).cmdline()) for one in local.status() if one.pid
    )
    database = psycopg.conninfo.conninfo_to_dict(profile["MEDBOTS_DATABASE_URL"])
    for hidden in (profile["MEDPLUM_PASSWORD"], profile["LLM_API_KEY"], database["password"]):
        assert str(hidden) not in lines


def test_a_killed_service_is_brought_back(local: Supervisor) -> None:
    """Up after a crash of one service starts that one and leaves the others alone."""
    local.up(Wish(), _ignore)
    for name in stack.SERVICES:
        before = {one.name: one.pid for one in local.status()}
        victim = processes.identity(before[name] or 0)
        assert victim is not None
        os.kill(victim.pid, signal.SIGKILL)
        while processes.is_alive(victim):
            time.sleep(0.02)
        events: list[Event] = []
        local.up(Wish(), events.append)
        assert [event.service for event in events if event.what == "starting"] == [name]
        after = {one.name: one.pid for one in local.status()}
        assert {key for key in after if after[key] != before[key]} == {name}
        assert _all_healthy(local)


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "stack.json"),
        (signal.SIGTERM, "logs/models.log"),
        (signal.SIGINT, "run/models.json"),
        (signal.SIGTERM, "run/medplum.json"),
    ],
)
def test_an_interrupted_up_leaves_nothing(
    folder: Path, local: Supervisor, number: signal.Signals, moment: str
) -> None:
    """Ctrl-C, or a SIGTERM, in the middle of up: exit code 130, no process, and up works again."""
    command = _command(folder, "local", "up")
    while not (local.layout.root / moment).exists():
        assert command.poll() is None
        time.sleep(0.002)
    command.send_signal(number)
    command.communicate(timeout=60)
    assert command.returncode == 130
    assert _run_of(folder) == []
    local.up(Wish(), _ignore)
    assert _all_healthy(local)


def test_two_ups_at_once(folder: Path, local: Supervisor) -> None:
    """Two commands at once: one brings the stack up, the other is refused or finds it up."""
    both = [_command(folder, "local", "up", "--format", "json") for _ in range(2)]
    said = [command.communicate(timeout=60)[0] for command in both]
    codes = sorted(command.returncode for command in both)
    assert codes in ([0, 0], [0, 1])
    refused = [
        json.loads(out)["error"]
        for out, command in zip(said, both, strict=True)
        if command.returncode
    ]
    assert all("another medbots command" in error["message"] for error in refused)
    assert _all_healthy(local)


def test_a_service_that_cannot_start_is_named(folder: Path, local: Supervisor) -> None:
    """When one service fails to start, the error shows its words and nothing is left running."""
    local.layout.data(stack.MEDPLUM).parent.mkdir(parents=True)
    local.layout.data(stack.MEDPLUM).write_text("in the way")
    command = _command(folder, "local", "up")
    _, err = command.communicate(timeout=60)
    assert command.returncode == 1
    assert "medplum ended while it started" in err
    assert "hint: medbots local logs medplum" in err
    assert _run_of(folder) == []
