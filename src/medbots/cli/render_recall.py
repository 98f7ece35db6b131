"""How good and how fast the default search is, as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medbots.cli import options, render

if TYPE_CHECKING:
    from medbots.cli.db_recall import Report
    from medbots.database.recall import Times


def report(opts: options.Options, found: Report) -> None:
    """Print what was measured."""
    if opts.json:
        render.json(document(found))
        return
    measured = found.found
    interval = f"{measured.recall:.3f} ({measured.low:.3f} to {measured.high:.3f})"
    rows = (
        ("default", interval, *_times(measured.default)),
        ("exact", "1", *_times(measured.exact)),
    )
    render.table(opts, ("search", "recall@10 (95 %)", "p50", "p95"), rows)
    ways = ", ".join(f"{way} {count}" for way, count in sorted(measured.ways.items()))
    what = f"{found.resource_type} of " if found.resource_type else ""
    render.note(f"{measured.queries} queries to {what}project {found.project_id}; ways: {ways}")
    for warning in found.warnings:
        render.note(f"warning: {warning}")
    if found.ok:
        render.line(f"The recall reaches {found.threshold:g}.")
        if measured.low < found.threshold:
            render.note("the interval does not exclude less: a greater --sample narrows it")
    else:
        render.line(f"The recall is below {found.threshold:g}.")
        render.note("medbots db maintain rebuilds an index that is worn, or mends one")


def document(found: Report) -> dict[str, Any]:
    """Return the JSON."""
    measured = found.found
    return {
        "ok": found.ok,
        "database": found.database,
        "project": found.project_id,
        "model": found.model_version,
        "type": found.resource_type,
        "sample": measured.queries,
        "seed": found.seed,
        "threshold": found.threshold,
        "recall": round(measured.recall, 4),
        "interval": {"low": round(measured.low, 4), "high": round(measured.high, 4)},
        "default": _document(measured.default) | {"ways": measured.ways},
        "exact": _document(measured.exact),
        "warnings": list(found.warnings),
        "durationMs": found.duration_ms,
    }


def _times(times: Times) -> tuple[str, str]:
    return f"{times.p50:.1f} ms", f"{times.p95:.1f} ms"


def _document(times: Times) -> dict[str, Any]:
    return {"p50Ms": round(times.p50, 2), "p95Ms": round(times.p95, 2)}
