"""The ratios of a benchmark, as a table and as JSON."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

import medbots
from medbots.cli import options, render

if TYPE_CHECKING:
    from medbots.cli.db_bench import Report


def report(opts: options.Options, found: Report) -> None:
    """Print each ratio with its goal."""
    if opts.json:
        render.json(document(found))
        return
    rows = [
        (str(one.number), one.what, one.shown, one.goal, _VERDICTS[one.met]) for one in found.ratios
    ]
    measured = found.measured
    title = f"{measured.rows:,} rows, {measured.server}"
    render.table(opts, ("", "ratio", "measured", "goal", ""), rows, title=title)
    said = f"{found.missed} of {found.judged} goals are missed"
    if not found.missed:
        said = "Every goal is reached" if found.judged == len(rows) else _partly()
    render.line(f"{said}; measured in {measured.seconds:.0f} s at {found.database}.")
    if found.html is not None:
        render.note(f"report: {found.html}")


_VERDICTS = {True: "met", False: "MISSED", None: "not judged"}


def _partly() -> str:
    from medbots.bench import ratios

    return (
        "Nothing is stale, lost, dead or too much; the other goals are judged from "
        f"{ratios.ROWS:,} rows on"
    )


def document(found: Report) -> dict[str, Any]:
    """Return the JSON."""
    return {
        "ok": found.ok,
        "medbots": medbots.__version__,
        "database": found.database,
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "load": _load()},
        "ratios": [one.document() for one in found.ratios],
        "figures": found.measured.document(),
        "html": str(found.html) if found.html else None,
    }


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
