"""The services' log files: their last lines, and the lines that come."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from medbots import files, secret

_TAIL_BYTES = 256 * 1024
_POLL_SECONDS = 0.2


def size(log: Path) -> int:
    """Return the size of a log in bytes; 0 where there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def tail(log: Path, lines: int, start: int = 0) -> list[str]:
    """Return the last lines of a log from byte `start` on, redacted.

    Raises:
        errors.StorageError: the log cannot be read.
    """
    if not log.exists():
        return []
    with files.translated(log), log.open("rb") as file:
        file.seek(max(start, size(log) - _TAIL_BYTES))
        text = file.read().decode(errors="replace")
    return [secret.redact(line) for line in text.splitlines()[-lines:]] if lines else []


def follow(logs: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield (service, line) for every line that comes, until the caller stops asking."""
    read = {name: size(log) for name, log in logs.items()}
    rest = dict.fromkeys(logs, b"")
    while True:
        for name, log in logs.items():
            now = size(log)
            if now < read[name]:
                read[name], rest[name] = 0, b""  # a new file took the old one's place
            if now > read[name]:
                with files.translated(log), log.open("rb") as file:
                    file.seek(read[name])
                    block = file.read()
                read[name] += len(block)
                *whole, rest[name] = (rest[name] + block).split(b"\n")
                for line in whole:
                    yield name, secret.redact(line.decode(errors="replace"))
        time.sleep(_POLL_SECONDS)
