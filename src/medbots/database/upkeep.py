"""What a table of embeddings needs, decided from the evidence alone."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from medbots.database import wear

DEAD_SHARE = 0.02
"""Of the rows. VACUUM mends the graph around each dead one: at 0.2 % that took a quarter of a
rebuild's time, at 1 % seven tenths, at 2 % nearly as long, at 5 % half as long again."""
CHURN_SHARE = 0.5
"""Of the rows: so many entries were replaced, in a graph that was made for others."""
BLOAT = 1.5
"""Size against what a new index takes."""
LEAST_BLOAT = 16 * 1024 * 1024
"""Bytes to win before a rebuild is worth it."""
ANALYZE_SHARE = 0.02
"""Of the rows, written since the last analysis."""
VACUUM_INSERTS = 0.1
"""Of the rows, inserted since the last vacuum: the visibility map lacks their pages."""


class Kind(enum.StrEnum):
    """What a step does; they run in this order."""

    DROP = "drop"
    """A left-over of an interrupted build, or the index of a model that has no row."""
    INDEX = "index"
    """An index that is missing, or no longer wanted."""
    ANALYZE = "analyze"
    REINDEX = "reindex"
    VACUUM = "vacuum"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that could be done, and why it is or is not."""

    kind: Kind
    target: str
    """Table or index."""
    due: bool
    reason: str
    table: str = ""
    """Whose index it is; of a table, itself."""
    evidence: Mapping[str, float | str | None] = field(default_factory=dict)
    warning: str = ""
    """What is wrong beside it, and no step can mend."""


def of_table(table: wear.Table) -> tuple[Step, ...]:
    """Return what a table may need: analyse, reindex each index, vacuum, in this order.

    Reindexing comes before the vacuum: a new graph has none of the dead rows, and the vacuum has
    then nothing to mend in it.
    """
    reindexes = [_reindex(table, index) for index in table.indexes]
    return (_analyze(table), *reindexes, _vacuum(table))


def _analyze(table: wear.Table) -> Step:
    rows = max(table.live, table.rows)
    share = _share(table.modified, rows)
    evidence = {"modified": table.modified, "rows": rows, "last": _iso(table.analyzed_at)}
    if table.rows < 0 or (table.analyzed_at is None and rows):
        due, why = True, "it was never analysed"
    elif share >= ANALYZE_SHARE:
        due, why = True, f"{table.modified:,} of {rows:,} rows were written since the last time"
    elif table.modified:
        due, why = (
            False,
            f"only {table.modified:,} of {rows:,} rows were written since the last time",
        )
    else:
        due, why = False, "nothing was written since the last time"
    return Step(Kind.ANALYZE, table.name, due, why, table.name, evidence)


def _reindex(table: wear.Table, index: wear.Index) -> Step:
    rows = index.rows if index.rows >= 0 else table.live
    churn = table.churn(index)
    # Counted for the whole table: an index of one type has its share of it.
    every = max(table.live, rows)
    least = wear.warranted(rows, table.dimension, index.neighbours)
    built = index.rebuilt.at if index.rebuilt else None
    when = built.date().isoformat() if built else "the statistics began"
    # A new index has none of the rows that were dead before it.
    dead = min(table.dead, churn)
    evidence: dict[str, float | str | None] = {
        "rows": rows,
        "dead": dead,
        "churn": churn,
        "rebuilt": _iso(built),
        "bytes": index.bytes,
        "warranted": least,
    }
    size = f"{_size(index.bytes)}, {index.bytes / least:.2f} times what {rows:,} rows take"
    if dead and _share(dead, table.live) >= DEAD_SHARE:
        due, why = (
            True,
            (
                f"{dead:,} dead rows beside {table.live:,}: a vacuum would take longer to "
                "mend the graph than a rebuild takes"
            ),
        )
    elif churn and _share(churn, every) >= CHURN_SHARE:
        due, why = True, f"{churn:,} rows were deleted or replaced since {when}, of {every:,}"
    elif index.bytes >= BLOAT * least and index.bytes - least >= LEAST_BLOAT:
        due, why = True, size
    else:
        what = size if rows else "it is empty"
        due, why = False, f"{churn:,} rows deleted or replaced since {when}, {what}"
    return Step(Kind.REINDEX, index.name, due, why, table.name, evidence)


def _vacuum(table: wear.Table) -> Step:
    rows = max(table.live, table.rows)
    evidence = {
        "dead": table.dead,
        "inserted": table.inserted,
        "rows": rows,
        "last": _iso(table.vacuumed_at),
    }
    if table.dead:
        due, why = True, f"{table.dead:,} dead rows take space"
    elif table.inserted and _share(table.inserted, rows) >= VACUUM_INSERTS:
        due, why = True, f"{table.inserted:,} of {rows:,} rows were inserted since the last time"
    else:
        due, why = False, "there is no dead row, and few are new"
    return Step(Kind.VACUUM, table.name, due, why, table.name, evidence)


def _share(part: int, whole: int) -> float:
    return part / max(whole, 1)


def _size(count: int) -> str:
    mebibyte = 1024 * 1024
    return f"{count / mebibyte:,.1f} MB" if count >= mebibyte else f"{count // 1024} kB"


def _iso(moment: object) -> str | None:
    return moment.isoformat() if hasattr(moment, "isoformat") else None
