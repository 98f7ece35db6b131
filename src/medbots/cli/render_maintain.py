"""What maintenance did and why, as lines and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medbots import errors
from medbots.cli import error_json, options, render

if TYPE_CHECKING:
    from medbots.cli.db_maintain import Report
    from medbots.database.maintenance import Done


def progress(opts: options.Options, done: Done) -> None:
    """Say on stderr, what has just been done, and what is wrong."""
    if done.ran and not opts.json:
        render.note(f"{done.step.kind} {done.step.target}: {_took(done)}")
    if done.note and not opts.json:
        render.note(f"warning: {done.note}")


def steps(opts: options.Options, report: Report, error: errors.MedbotsError | None = None) -> None:
    """Print each step with its reason."""
    if opts.json:
        render.json(document(report, error))
        return
    rows = [
        (str(one.step.kind), one.step.target, _status(one, report), one.step.reason)
        for one in report.done
    ]
    render.table(opts, ("step", "of", "", "why"), rows)
    if error is not None:
        return
    due = sum(one.step.due for one in report.done)
    if not due:
        render.line(f"The store at {report.database} needs no maintenance.")
    elif report.dry_run:
        render.line(f"To be done at {report.database}: {_count(due)}, by medbots db maintain")
    else:
        seconds = report.duration_ms / 1000
        render.line(f"Done at {report.database}: {_count(due)} in {seconds:.1f} s.")


def document(report: Report, error: errors.MedbotsError | None = None) -> dict[str, Any]:
    """Return the JSON."""
    shown: dict[str, Any] = {
        "database": report.database,
        "dryRun": report.dry_run,
        "steps": [
            {
                "kind": str(one.step.kind),
                "target": one.step.target,
                "table": one.step.table,
                "due": one.step.due,
                "status": _status(one, report),
                "reason": one.step.reason,
                "evidence": dict(one.step.evidence),
                "durationMs": round(one.seconds * 1000),
                "note": one.note,
            }
            for one in report.done
        ],
        "summary": {
            "due": sum(one.step.due for one in report.done),
            "done": sum(one.ran for one in report.done),
        },
        "durationMs": report.duration_ms,
    }
    if error is not None:
        shown["error"] = error_json.document(error)
    return shown


def _status(done: Done, report: Report) -> str:
    if done.ran:
        return "done"
    return "planned" if done.step.due and report.dry_run else "skipped"


def _count(steps: int) -> str:
    return f"{steps} step{'s' if steps != 1 else ''}"


def _took(done: Done) -> str:
    return f"{done.seconds:.1f} s"
