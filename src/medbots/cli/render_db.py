"""The embedding store, as tables and as the contract's JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from medbots import errors, secret
from medbots.cli import error_json, options, render

if TYPE_CHECKING:
    from medbots.cli.db_report import Report
    from medbots.database.indexes import Index
    from medbots.database.schema import Step
    from medbots.database.status import Status

_ACTIONS = ("create", "update", "adopt", "delete", "unchanged")


def changed(step: Step) -> bool:
    """Return whether a step did anything."""
    return step.action != "unchanged"


def done(opts: options.Options, report: Report, error: errors.MedbotsError | None = None) -> None:
    """Print what a run did or would do, also when it failed half-way."""
    if opts.json:
        render.json(document(report, error))
    elif report.dry_run:
        _script(report)
    else:
        _done(opts, report, error)


def _script(report: Report) -> None:
    """Print the SQL of a dry run, as a file that psql takes."""
    _notes(report)
    if not report.changed:
        render.note(f"The store at {report.database} is as it should be: nothing to do.")
        return
    render.line("\n\n".join(report.script))


def _done(opts: options.Options, report: Report, error: errors.MedbotsError | None) -> None:
    steps = [step for step in report.steps if changed(step)]
    if steps:
        rows = [(step.kind, step.key, str(step.action)) for step in steps]
        render.table(opts, ("kind", "key", "action"), rows)
    _notes(report)
    if error is None:
        what = "is as it should be" if steps else "is as it should be: nothing to do"
        render.line(report.outcome or f"The store at {report.database} {what}.")


def _notes(report: Report) -> None:
    for step in report.steps:
        for detail in step.details if changed(step) else ():
            render.note(f"{step.key}: {detail}")
        for warning in step.warnings:
            render.note(f"warning: {warning}")


def document(report: Report, error: errors.MedbotsError | None = None) -> dict[str, Any]:
    """Return the JSON of a run, in the shape of the contract's plans."""
    actions = [str(step.action) for step in report.steps]
    project = report.project
    shown: dict[str, Any] = {
        "project": {"id": project.id, "name": project.name} if project else None,
        "database": report.database,
        "dryRun": report.dry_run,
        "changes": [
            {
                "kind": step.kind,
                "key": step.key,
                "name": step.key,
                "action": str(step.action),
                "status": "planned" if report.dry_run and changed(step) else "done",
                "details": [secret.redact(detail) for detail in step.details],
                "warnings": list(step.warnings),
            }
            for step in report.steps
        ],
        "summary": {action: actions.count(action) for action in _ACTIONS}
        | {"failed": int(error is not None)},
        "requests": report.requests,
        "durationMs": report.duration_ms,
    }
    if report.dry_run:
        shown["sql"] = "\n\n".join(report.script) if report.changed else ""
    if error is not None:
        shown["error"] = error_json.document(error)
    return shown


def status(opts: options.Options, found: Status) -> None:
    """Print the state of the store."""
    if opts.json:
        render.json(found.document())
        return
    index = found.index
    facts = (
        ("database", found.database),
        ("server", f"Postgres {found.server}"),
        ("pgvector", found.pgvector or "not installed"),
        ("table", str(found.origin)),
        ("dimension", str(found.dimension or "none")),
        ("index", _index(index) if index else "none"),
        ("rows", f"{found.rows:,}"),
        ("size", _megabytes(found.bytes)),
        *(
            (f"index for {one.resource_type}", f"{one.name}, {_megabytes(one.bytes)}")
            for one in found.indexes
            if one.resource_type is not None and one.model_version == _model(index)
        ),
        *(
            (one.table, f"{one.rows:,} rows of {one.dimension} dimensions, {_megabytes(one.bytes)}")
            for one in (found.tables if len(found.tables) > 1 else ())
        ),
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
    rows = [(one.name, one.kind, one.project_id, ", ".join(one.members)) for one in found.roles]
    if rows:
        render.table(opts, ("role", "kind", "project", "members"), rows)
    for said in _advice(found):
        render.note(said)


def _index(index: Index) -> str:
    state = "valid" if index.valid else "INVALID"
    of = f" of {index.model_version}" if index.model_version else ""
    return f"{index.name} ({index.kind}, {state}){of}"


def _advice(found: Status) -> Iterator[str]:
    """What is not as it should be, with the command that helps."""
    if found.complaint:
        yield f"the table is neither medbots' nor the guide's: {found.complaint}"
        return
    if found.drift is not None:
        yield found.drift.message
        yield f"  {found.drift.hint}"
    elif found.pending and found.roles:
        yield "medbots db migrate applies what is pending"
    elif found.pending:
        yield (
            "medbots db init makes what is missing, for the project of the login; without one, "
            "medbots db migrate makes the tables"
        )
    elif not found.indexed and not found.warnings:
        yield "medbots db migrate builds the index"
    elif not found.roles:
        yield "no project's bots have a role here: medbots db init"
    yield from found.warnings
    for one in found.leftovers:
        place = f"invalid index {one.name} of {one.table}"
        if one.building:
            yield f"{place}: a session builds an index of that table now"
        elif one.ours:
            yield f"{place}, left by an interrupted build: medbots db migrate finishes it"
        else:
            yield f"{place}, which is not medbots': REINDEX INDEX CONCURRENTLY public.{one.name}"


def _model(index: Index | None) -> str | None:
    return index.model_version if index else None


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:,.1f} MB"
