"""What a run measures: plain figures, from which ratios, tables and plots are made."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Searches:
    """One kind of search on one side."""

    recall: float
    p50: float
    """Milliseconds of the search's statement."""
    p95: float
    whole_p50: float
    """With its transaction and, on medbots' side, the choice of the way."""
    queries: int


@dataclass(frozen=True, slots=True)
class Side:
    """One side, at the full number of rows."""

    everything: Searches
    rare: Searches
    patient: Searches
    exact: Searches
    bytes: int
    """Table with its indexes and TOAST."""
    defects: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Stage:
    """How things stand at a number of rows, on the way to all of them."""

    rows: int
    build: float
    """Seconds of building medbots' index over these rows."""
    load_row: float
    """Seconds a row of a COPY without that index."""
    insert_row: float
    """Seconds a row of a COPY into that index."""
    guide_row: float
    """Seconds a row of a COPY into the guide's indexes."""
    search: float
    """p50 in milliseconds of medbots' default search."""
    exact: float
    guide_search: float
    guide_exact: float
    bytes: int
    guide_bytes: int


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of an index."""

    setting: int
    """Candidates of the HNSW search, or probes of the IVFFlat one."""
    recall: float
    p50: float
    """Milliseconds."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that a run found."""

    rows: int
    server: str
    """Release of Postgres, and of pgvector."""
    guide: Side
    ours: Side
    stages: tuple[Stage, ...]
    reindex: float
    """Seconds of rebuilding medbots' index beside the searches."""
    stall: float
    """Seconds of the slowest search meanwhile."""
    searches_meanwhile: int
    curve: tuple[Point, ...] = ()
    guide_curve: tuple[Point, ...] = ()
    seconds: float = 0.0
    """Of the whole run."""

    @property
    def insert_row(self) -> float:
        """Seconds a row of a COPY into the index, from empty to full.

        The mean over the way. Up to the first stage the cost grows with the logarithm of the
        rows, so its mean is that of the stage less one part in ln(rows); then along the stages.
        """
        first, last = self.stages[0], self.stages[-1]
        area = first.rows * first.insert_row * (1 - 1 / math.log(first.rows))
        area += sum(
            (here.rows - before.rows) * (here.insert_row + before.insert_row) / 2
            for before, here in itertools.pairwise(self.stages)
        )
        return area / last.rows

    @property
    def bulk_row(self) -> float:
        """Seconds a row of a COPY without the index, and of building that afterwards."""
        last = self.stages[-1]
        return last.load_row + last.build / last.rows

    def document(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return asdict(self) | {"insert_row": self.insert_row, "bulk_row": self.bulk_row}


def searches(
    found: Sequence[tuple[float, float, float]],
) -> Searches:
    """Return the figures of some searches.

    Args:
        found: for each its recall, the seconds of its statement and the seconds of all of it.
    """
    seconds = sorted(one[1] for one in found)
    rank = max(-(-len(seconds) * 95 // 100), 1) - 1
    return Searches(
        recall=statistics.mean(one[0] for one in found),
        p50=1000 * statistics.median(seconds),
        p95=1000 * seconds[rank],
        whole_p50=1000 * statistics.median(one[2] for one in found),
        queries=len(found),
    )
