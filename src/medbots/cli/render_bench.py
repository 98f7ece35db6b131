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
        (str(one.number), one.what, one.shown, one.goal, "met" if one.met else "MISSED")
        for one in found.ratios
    ]
    measured = found.measured
    title = f"{measured.rows:,} rows, {measured.server}"
    render.table(opts, ("", "ratio", "measured", "goal", ""), rows, title=title)
    missed = sum(not one.met for one in found.ratios)
    said = "Every goal is reached" if not missed else f"{missed} of {len(rows)} goals are missed"
    render.line(f"{said}; measured in {measured.seconds:.0f} s at {found.database}.")
    if found.html is not None:
        render.note(f"report: {found.html}")


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
