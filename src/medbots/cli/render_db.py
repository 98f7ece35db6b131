"""The embedding store, as tables and as the contract's JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medbots import errors, secret
from medbots.cli import options, render

if TYPE_CHECKING:
    from medbots.cli.db import Report
    from medbots.database.schema import Step
    from medbots.database.status import Status

_ACTIONS = ("create", "update", "adopt", "unchanged")


def changed(step: Step) -> bool:
    """Return whether a step did anything."""
    return step.action != "unchanged"


def initialised(
    opts: options.Options, report: Report, error: errors.MedbotsError | None = None
) -> None:
    """Print what `db init` did, also when it failed half-way."""
    if opts.json:
        render.json(document(report, error))
        return
    done = [step for step in report.steps if changed(step)]
    if done:
        rows = [(step.kind, step.key, str(step.action)) for step in done]
        render.table(opts, ("kind", "key", "action"), rows)
    for step in report.steps:
        for detail in step.details if changed(step) else ():
            render.note(f"{step.key}: {detail}")
        for warning in step.warnings:
            render.note(f"warning: {warning}")
    if error is None:
        what = "is as it should be" if done else "is as it should be: nothing to do"
        render.line(f"The store at {report.database} {what}.")


def document(report: Report, error: errors.MedbotsError | None = None) -> dict[str, Any]:
    """Return the JSON of `db init`, in the shape of the contract's plans."""
    actions = [str(step.action) for step in report.steps]
    project = report.project
    shown: dict[str, Any] = {
        "project": {"id": project.id, "name": project.name} if project else None,
        "database": report.database,
        "dryRun": False,
        "changes": [
            {
                "kind": step.kind,
                "key": step.key,
                "name": step.key,
                "action": str(step.action),
                "status": "done",
                "details": [secret.redact(detail) for detail in step.details],
                "warnings": list(step.warnings),
            }
            for step in report.steps
        ],
        "summary": {action: actions.count(action) for action in _ACTIONS}
        | {"delete": 0, "failed": int(error is not None)},
        "requests": report.requests,
        "durationMs": report.duration_ms,
    }
    if error is not None:
        shown["error"] = {
            "code": error.code,
            "message": secret.redact(error.message),
            "hint": secret.redact(error.hint) if error.hint else None,
        }
    return shown


def status(opts: options.Options, found: Status) -> None:
    """Print the state of the store."""
    if opts.json:
        render.json(found.document())
        return
    index = found.index
    state = "valid" if index and index.valid else "INVALID"
    facts = (
        ("database", found.database),
        ("server", f"Postgres {found.server}"),
        ("pgvector", found.pgvector or "not installed"),
        ("table", str(found.origin)),
        ("dimension", str(found.dimension or "none")),
        ("index", f"{index.name} ({index.kind}, {state})" if index else "none"),
        ("rows", f"{found.rows:,}"),
        ("size", f"{found.bytes / 1024 / 1024:,.1f} MB"),
    )
    render.table(opts, ("", ""), facts)
    rows = [
        (
            f"{one.version:04}",
            one.name,
            one.applied.strftime("%Y-%m-%d %H:%M:%S") if one.applied else "",
            str(one.condition),
        )
        for one in found.migrations
    ]
    render.table(opts, ("migration", "name", "applied", "condition"), rows)
    if found.complaint:
        render.note(f"the table is neither medbots' nor the guide's: {found.complaint}")
    elif found.pending or index is None or not index.valid:
        render.note("medbots db init makes what is missing")
