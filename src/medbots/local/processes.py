"""Programs that outlive the command that started them, and how to know them again.

A process is known by its pid and its start time together: a pid alone may be another program's
by the time it is read back from a file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medbots import errors, files

_POLL_SECONDS = 0.02
_LOG_LIMIT = 10 * 1024 * 1024
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, never to be taken for another."""

    pid: int
    started: str
    """When it was started, as the system tells it; compared, never read."""


def identity(pid: int) -> Identity | None:
    """Return the identity of a live process; None where there is none, or a zombie."""
    started = _started(pid) if pid > 0 else None
    return Identity(pid, started) if started else None


def is_alive(known: Identity) -> bool:
    """Return whether this very process still runs."""
    with contextlib.suppress(OSError):
        os.waitpid(known.pid, os.WNOHANG)  # our own child: let it go
    return identity(known.pid) == known


def spawn(argv: Sequence[str], log: Path, environ: Mapping[str, str]) -> Identity:
    """Start a program in a session of its own; what it says goes to the 0600 file `log`.

    It gets `environ` and what every program needs, and nothing else of this process's
    environment: a bot can read the variables of the server it runs in.

    Raises:
        errors.LocalStackError: it cannot be started.
        errors.StorageError: the log cannot be written.
    """
    files.make_folder(log.parent)
    with files.translated(log):
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_name(f"{log.name}.1"))
        sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    try:
        child = subprocess.Popen(  # noqa: S603
            argv,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd="/",
            env={**passed_on, **environ},
            start_new_session=True,
        )
    except OSError as error:
        raise errors.LocalStackError(f"{argv[0]} cannot be started: {error.strerror}") from error
    finally:
        os.close(sink)
    known = identity(child.pid)
    child.returncode = 0  # it lives on by itself; `is_alive` collects it when it ends
    return known or Identity(child.pid, "")


def stop(known: Identity, grace: float) -> bool:
    """End a process: SIGTERM, and SIGKILL after `grace` seconds; return whether it ran."""
    if not is_alive(known):
        return False
    for wish in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(known.pid, wish)
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline:
            if not is_alive(known):
                return True
            time.sleep(_POLL_SECONDS)
    raise errors.LocalStackError(
        f"process {known.pid} does not end", hint=f"kill -KILL {known.pid}"
    )


def _started(pid: int) -> str | None:
    if Path("/proc/self/stat").exists():
        return _started_by_proc(pid)
    ps = shutil.which("ps") or "/bin/ps"
    shown = subprocess.run(  # noqa: S603
        [ps, "-o", "stat=,lstart=", "-p", str(pid)],
        check=False,
        capture_output=True,
        text=True,
        env={"LC_ALL": "C"},
    )
    status, _, started = shown.stdout.strip().partition(" ")
    return None if not started or status.startswith("Z") else started.strip()


def _started_by_proc(pid: int) -> str | None:
    """Linux: the ticks since boot, and which boot that was (proc(5): fields 3 and 22)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    state, ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{boot}:{ticks}"
