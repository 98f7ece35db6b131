"""Faults on demand: what a model router does on a bad day, said beforehand.

A fault comes by the request header `X-Medbots-Fault: 429; times=2`, by the control endpoint, or
from a scenario file; the last two hold a JSON list such as
`[{"kind": "429", "times": 1, "retryAfter": 1}, {"kind": "slow", "seconds": 3}]`.
They are used up in their order, each `times` times (0: until cleared).
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

HEADER = "X-Medbots-Fault"
MAX_SECONDS = 300.0


class Kind(enum.StrEnum):
    """What goes wrong."""

    SLOW = "slow"
    """The right answer, `seconds` late."""
    TOO_MANY = "429"
    SERVER_ERROR = "500"
    WRONG_DIMENSION = "wrong-dimension"
    """Vectors of `dimension` components."""
    INVALID_BODY = "invalid-body"
    """200 with a page of HTML, as a proxy in front of a dead router sends it."""
    EMPTY = "empty"
    """200 with no vector in it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, with what it needs to know."""

    kind: Kind
    times: int = 1
    """How many requests it hits; 0: every one until it is cleared."""
    seconds: float = 1.0
    dimension: int = 1536
    retry_after: float | None = None
    """Sent as `Retry-After` with a 429; None: the header is left out."""

    def document(self) -> dict[str, Any]:
        """Return the fault as the control endpoint takes it."""
        return {
            "kind": self.kind.value,
            "times": self.times,
            "seconds": self.seconds,
            "dimension": self.dimension,
            "retryAfter": self.retry_after,
        }


class Faults:
    """The faults that are still to come."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._queue: deque[Fault] = deque(faults)

    def add(self, faults: Iterable[Fault]) -> None:
        """Queue more faults."""
        self._queue.extend(faults)

    def clear(self) -> None:
        """Drop every fault."""
        self._queue.clear()

    def pending(self) -> list[Fault]:
        """Return the faults that are still to come, each with the times that are left."""
        return list(self._queue)

    def take(self) -> Fault | None:
        """Return the fault of the next request, and use it up."""
        if not self._queue:
            return None
        fault = self._queue[0]
        if fault.times == 1:
            self._queue.popleft()
        elif fault.times > 1:
            self._queue[0] = replace(fault, times=fault.times - 1)
        return fault


def parse(document: Any) -> list[Fault]:
    """Return the faults of a JSON list.

    Raises:
        ValueError: it is no such list; the message says where.
    """
    if not isinstance(document, list):
        raise ValueError("faults: must be a list")  # noqa: TRY004
    return [_fault(entry, f"faults[{index}]") for index, entry in enumerate(document)]


def from_header(value: str) -> Fault:
    """Return the fault that the header names.

    Raises:
        ValueError: the header cannot be read.
    """
    kind, *pairs = (part.strip() for part in value.split(";"))
    entry: dict[str, Any] = {"kind": kind}
    for pair in pairs:
        name, _, number = pair.partition("=")
        try:
            entry[name.strip()] = float(number)
        except ValueError:
            raise ValueError(f"{HEADER}: {name.strip() or pair!r} must be a number") from None
    return _fault(entry, HEADER)


_LIMITS = {
    "times": (0, 1_000_000),
    "seconds": (0, MAX_SECONDS),
    "dimension": (1, 16_000),
    "retryAfter": (0, MAX_SECONDS),
}


def _fault(entry: Any, where: str) -> Fault:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where}: must be an object")  # noqa: TRY004
    kinds = [kind.value for kind in Kind]
    if entry.get("kind") not in kinds:
        raise ValueError(f"{where}.kind: must be one of {', '.join(kinds)}")
    unknown = sorted(set(entry) - {"kind", *_LIMITS})
    if unknown:
        raise ValueError(f"{where}: unknown {unknown[0]!r}")
    numbers = {name: _number(entry, name, where) for name in _LIMITS}
    return Fault(
        Kind(entry["kind"]),
        times=int(_or(numbers["times"], 1)),
        seconds=_or(numbers["seconds"], 1.0),
        dimension=int(_or(numbers["dimension"], 1536)),
        retry_after=numbers["retryAfter"],
    )


def _number(entry: Mapping[str, Any], name: str, where: str) -> float | None:
    value = entry.get(name)
    if value is None:
        return None
    low, high = _LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{where}.{name}: must be a number from {low:g} to {high:g}")
    return float(value)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
