"""What the supervisor asks of a service, and what it tells about one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from medbots import errors
from medbots.local import logs

_LAST_LINES = 8


class Service(Protocol):
    """One service of the stack."""

    name: str
    """Its name on the command line."""
    url: str
    """Where it is reached; without a password."""
    log: Path
    notes: list[str]
    """What a user would want to know of the last start."""

    def pid(self) -> int | None:
        """Return the process id of the live service."""
        ...

    def is_current(self) -> bool:
        """Return whether what runs is what `start` would start now."""
        ...

    def is_healthy(self) -> bool:
        """Return whether it runs and answers."""
        ...

    def start(self) -> None:
        """Start it; `is_ready` tells when that is done."""
        ...

    def is_ready(self) -> bool:
        """Return whether it has finished starting.

        Raises:
            errors.LocalStackError: it has ended instead.
        """
        ...

    def stop(self) -> bool:
        """Stop it and keep its data; return whether it ran."""
        ...

    def places(self) -> list[Path]:
        """Return the folders of its data that lie outside the stack's own folder."""
        ...

    def remove(self) -> None:
        """Delete its data outside the stack's own folder; it must be stopped."""
        ...


@dataclass(frozen=True, slots=True)
class Status:
    """How a service is."""

    name: str
    url: str
    pid: int | None
    healthy: bool

    def document(self) -> dict[str, object]:
        """Return it as `local status` prints it."""
        return {"name": self.name, "url": self.url, "pid": self.pid, "healthy": self.healthy}


def status(service: Service) -> Status:
    """Look at a service."""
    return Status(service.name, service.url, service.pid(), service.is_healthy())


def ended(name: str, log: Path, start: int = 0) -> errors.LocalStackError:
    """Return the error of a service that ended while it started, with its last words."""
    said = logs.tail(log, _LAST_LINES, start)
    words = "\n".join(f"  {line}" for line in said) or "  it said nothing"
    return errors.LocalStackError(
        f"{name} ended while it started:\n{words}", hint=f"medbots local logs {name}"
    )
