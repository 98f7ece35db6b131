"""A service that is one program of ours: it prints `{"ready": true, …}` when it is ready."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from medbots import files
from medbots.local import logs, processes, service

_PROBE_SECONDS = 2.0
_STOP_SECONDS = 10.0
_READY_LINES = 50


@dataclass(slots=True)
class Program:
    """How the program is started and asked, and where it is remembered that it runs."""

    name: str
    url: str
    command: Callable[[], Sequence[str]]
    """Finds the command line; called only to start, for stopping needs no installed program."""
    health: str
    """Path that answers 200 without a login."""
    log: Path
    record: Path
    """File that tells which process it is."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    configuration: tuple[Path, str] | None = field(default=None, repr=False)
    """A file that the program reads when it starts, and its text."""
    build: Callable[[], str] = str
    """Tells one build of the program from another."""
    notes: list[str] = field(default_factory=list)
    _log_start: int = 0

    def pid(self) -> int | None:
        """Return the process id of the live program."""
        known = self._process()
        return known.pid if known else None

    def is_current(self) -> bool:
        """Return whether what runs has the build, port and configuration it would have now."""
        return self._recorded().get("made") == self._made()

    def is_healthy(self) -> bool:
        """Return whether it runs and answers its health check."""
        return self.pid() is not None and _answers(self.url, self.health)

    def start(self) -> None:
        """Start the program and remember which process it is."""
        if self.configuration:
            files.write(*self.configuration)
        self._log_start = logs.size(self.log)
        known = processes.spawn(self.command(), self.log, self.environ)
        entry = {"pid": known.pid, "started": known.started, "made": self._made()}
        try:
            files.write(self.record, json.dumps(entry) + "\n")
        except BaseException:
            processes.stop(known, _STOP_SECONDS)
            raise

    def is_ready(self) -> bool:
        """Return whether it has said that it is ready, and answers."""
        if self.pid() is None:
            raise service.ended(self.name, self.log, self._log_start)
        said = logs.tail(self.log, _READY_LINES, self._log_start)
        return any(_is_ready_line(line) for line in said) and self.is_healthy()

    def stop(self) -> bool:
        """Stop the program."""
        known = self._process()
        ran = processes.stop(known, _STOP_SECONDS) if known else False
        with files.translated(self.record):
            self.record.unlink(missing_ok=True)
        return ran

    def places(self) -> list[Path]:
        """Return nothing: all of its data lie with the stack's."""
        return []

    def remove(self) -> None:
        """Delete nothing: all of its data lie with the stack's."""

    def _process(self) -> processes.Identity | None:
        recorded = self._recorded()
        pid, started = recorded.get("pid"), recorded.get("started")
        if not isinstance(pid, int) or not isinstance(started, str):
            return None
        known = processes.Identity(pid, started)
        return known if processes.is_alive(known) else None

    def _recorded(self) -> dict[str, object]:
        try:
            content = json.loads(files.read(self.record) or "{}")
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    def _made(self) -> str:
        variables = [f"{name}={value}" for name, value in sorted(self.environ.items())]
        parts = [*self.command(), *variables, self.build(), *map(str, self.configuration or ())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _is_ready_line(line: str) -> bool:
    try:
        content = json.loads(line)
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("ready") is True


def _answers(url: str, path: str) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=_PROBE_SECONDS
    )
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
