"""A measured thing, and its figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    milliseconds: tuple[float, ...]
    """Every measurement."""
    requests: int | None = None
    """HTTP requests after login, where they count."""
    goal: str = ""
    met: bool | None = None

    @property
    def median(self) -> float:
        """The median in milliseconds."""
        return statistics.median(self.milliseconds)

    @property
    def p95(self) -> float:
        """The time that 95 % do not exceed, in milliseconds (nearest rank)."""
        return percentile(self.milliseconds, 95)

    def document(self) -> dict[str, object]:
        """Return it as JSON."""
        return {
            "what": self.what,
            "runs": len(self.milliseconds),
            "medianMs": round(self.median, 1),
            "p95Ms": round(self.p95, 1),
            "requests": self.requests,
            "goal": self.goal,
            "met": self.met,
        }


def percentile(values: Sequence[float], share: int) -> float:
    """Return the smallest value that `share` percent of the values do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 100)
    return ordered[max(rank, 1) - 1]
