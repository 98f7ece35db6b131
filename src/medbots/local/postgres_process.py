"""One Postgres server process: whether it lives, how it starts and how it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medbots import errors
from medbots.local import ports
from medbots.local import postgres_install as install

_POLL_SECONDS = 0.02
_LOG_LIMIT = 10 * 1024 * 1024

SETTINGS: Mapping[str, str] = {
    "listen_addresses": ports.HOST,
    "unix_socket_directories": "",
    # Upstream Medplum runs its Postgres so; what works here works there.
    "default_transaction_isolation": "repeatable read",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    # Parallel index builds need /dev/shm, which containers keep small.
    "max_parallel_maintenance_workers": "0",
    "max_connections": "100",
    "timezone": "UTC",
    # Rows hold patient text: keep them out of the log, also when a statement fails.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
}


@dataclass(frozen=True, slots=True)
class Running:
    """A live server, as its pid file describes it."""

    pid: int
    port: int
    ready: bool


def arguments(program: Path, data: Path, port: int, settings: Mapping[str, str]) -> list[str]:
    """Return the command line of the server."""
    options = {**SETTINGS, **settings, "port": str(port)}
    given = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return [str(program), "-D", str(data), *given]


def running(data: Path) -> Running | None:
    """Return the server that works on a data folder, or None.

    A pid file left by a crash is not believed: its number may be another program's by now.
    """
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (OSError, ValueError, IndexError):
        return None
    if not _is_postgres(pid, data):
        return None
    return Running(pid, port, ready=len(lines) > 7 and lines[7].strip() == "ready")  # noqa: PLR2004


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold a lock file, so that two starts at once come one after the other."""
    import fcntl  # noqa: PLC0415  (not on Windows)

    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def spawn(
    argv: Sequence[str], data: Path, log: Path, owner: install.Account, timeout: float
) -> Running:
    """Start a server that outlives this process, and wait until it answers.

    Raises:
        errors.LocalStackError: it ended, with the last words of its log; or it was not ready
            within `timeout` seconds.
    """
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_name(log.name + ".1"))
    deadline = time.monotonic() + timeout
    while True:
        start = log.stat().st_size if log.exists() else 0
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            child = subprocess.Popen(  # noqa: S603
                argv,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd="/",
                start_new_session=True,
                env=_environment(),
                **owner.popen(),
            )  # type: ignore[call-overload]
        except OSError as error:
            raise errors.LocalStackError(f"Postgres cannot be started: {error}") from error
        finally:
            os.close(descriptor)
        try:
            found = wait_ready(data, deadline - time.monotonic(), child)
        except errors.LocalStackError:
            if child.poll() is None:
                raise
        else:
            child.returncode = 0  # it lives on by itself: nobody waits for it here
            return found
        said = log.read_bytes()[start:].decode(errors="replace").strip()
        # After a crash the old server's children may still hold its memory for a moment.
        if "pre-existing shared memory block" in said and time.monotonic() < deadline:
            time.sleep(0.5)
            continue
        raise _start_error(said, log)


def stop(data: Path, timeout: float) -> bool:
    """Stop the server of a data folder (a fast shutdown: sessions end, nothing is lost).

    Returns whether there was one.

    Raises:
        errors.LocalStackError: it did not end within `timeout` seconds.
    """
    found = running(data)
    if found is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGINT)
    deadline = time.monotonic() + timeout
    while _is_postgres(found.pid, data):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(found.pid, os.WNOHANG)
        if time.monotonic() > deadline:
            raise errors.LocalStackError(
                f"Postgres (pid {found.pid}) did not stop within {timeout:.0f} s",
                hint=f"kill -QUIT {found.pid}",
            )
        time.sleep(_POLL_SECONDS)
    return True


def wait_ready(data: Path, timeout: float, child: subprocess.Popen[bytes] | None = None) -> Running:
    """Wait until the server of a data folder answers.

    Raises:
        errors.LocalStackError: it is not ready within `timeout` seconds, or has ended.
    """
    deadline = time.monotonic() + timeout
    while True:
        ended = child is not None and child.poll() is not None
        found = running(data)
        if found is not None and found.ready:
            return found
        if found is None and (ended or child is None):
            raise errors.LocalStackError("Postgres ended while it started")
        if time.monotonic() > deadline:
            raise errors.LocalStackError(
                "Postgres is not ready yet: it may be recovering from a crash",
                hint="medbots local status",
            )
        time.sleep(_POLL_SECONDS)


def _start_error(said: str, log: Path) -> errors.LocalStackError:
    if "could not bind" in said or "could not create any TCP/IP sockets" in said:
        return errors.LocalStackError("the port chosen for Postgres was taken in the meantime")
    if "No space left on device" in said:
        return errors.LocalStackError(f"no space left on the disk of {log.parent}")
    last = said.splitlines()[-3:] or ["it said nothing"]
    return errors.LocalStackError(f"Postgres did not start: {'; '.join(last)}", hint=f"see {log}")


def _is_postgres(pid: int, data: Path) -> bool:
    """Whether this process is a server on this data folder, and not a zombie."""
    command = _command(pid)
    return "postgres" in command and str(data) in command


def _command(pid: int) -> str:
    """Return the command line of a process, or nothing where there is none."""
    if pid <= 0:
        return ""
    listed = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return listed.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    ps = shutil.which("ps") or "/bin/ps"
    shown = subprocess.run(  # noqa: S603
        [ps, "-ww", "-o", "command=", "-p", str(pid)], check=False, capture_output=True
    )
    return shown.stdout.decode(errors="replace")


def _environment() -> dict[str, str]:
    """Return an environment without the PG… and secret variables of whoever runs medbots."""
    kept = ("PATH", "TZ", "TMPDIR", "DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH")
    return {"LC_ALL": "C"} | {name: os.environ[name] for name in kept if name in os.environ}
