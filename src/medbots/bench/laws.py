"""How figures grow with the rows: laws of one power, fitted to what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medbots.bench import figures


@dataclass(frozen=True, slots=True)
class Law:
    """`value = factor · rows ^ power`."""

    what: str
    unit: str
    factor: float
    power: float
    worst: float
    """Greatest deviation of a measured value from the law, as a share of what the law says."""

    def at(self, rows: float) -> float:
        """Return what the law says of so many rows."""
        return float(self.factor * rows**self.power)

    def document(self) -> dict[str, object]:
        """Return it as JSON."""
        return {
            "what": self.what,
            "unit": self.unit,
            "factor": self.factor,
            "power": round(self.power, 3),
            "worstDeviation": round(self.worst, 3),
        }


_VALUES: tuple[tuple[str, str, Callable[[figures.Stage], float]], ...] = (
    ("default search", "ms", lambda stage: stage.search),
    ("exact search", "ms", lambda stage: stage.exact),
    ("guide's default search", "ms", lambda stage: stage.guide_search),
    ("guide's exact search", "ms", lambda stage: stage.guide_exact),
    ("COPY into the index, a row", "ms", lambda stage: 1000 * stage.insert_row),
    ("build of the index", "s", lambda stage: stage.build),
    ("size", "MB", lambda stage: stage.bytes / 1e6),
    ("guide's size", "MB", lambda stage: stage.guide_bytes / 1e6),
)


def fit(what: str, unit: str, points: Sequence[tuple[float, float]]) -> Law:
    """Return the law of least squares in logarithms through points of rows and value.

    Args:
        what: the figure's name.
        unit: of its values.
        points: at least two different numbers of rows, all values above 0.

    Raises:
        ValueError: there are too few points to lay a line through.
    """
    logs = [(math.log(rows), math.log(value)) for rows, value in points]
    middle = sum(x for x, _ in logs) / len(logs)
    height = sum(y for _, y in logs) / len(logs)
    width = sum((x - middle) ** 2 for x, _ in logs)
    if width == 0:
        raise ValueError(f"{what}: one number of rows gives no law")
    power = sum((x - middle) * (y - height) for x, y in logs) / width
    factor = math.exp(height - power * middle)
    worst = max(abs(value / (factor * rows**power) - 1) for rows, value in points)
    return Law(what, unit, factor, power, worst)


def of(stages: Sequence[figures.Stage]) -> tuple[Law, ...]:
    """Return the laws of the stages of some runs."""
    return tuple(
        fit(what, unit, [(stage.rows, value(stage)) for stage in stages])
        for what, unit, value in _VALUES
    )
