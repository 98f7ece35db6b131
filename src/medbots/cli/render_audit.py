"""The audit trail, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medbots.cli import moment, options, render

if TYPE_CHECKING:
    from medbots.bots.trail import Event, Query

_OUTCOMES = {"0": "ok", "4": "minor", "8": "serious", "12": "major"}


def events(opts: options.Options, query: Query, found: Sequence[Event], more: bool) -> None:
    """Print the events; a column that says the same in each row is left out."""
    if opts.json:
        render.json([_document(one) for one in found])
    elif found:
        columns = _columns(query, found)
        render.table(opts, columns, [[_cell(one, name) for name in columns] for one in found])
    else:
        render.note("no event is like that")
    if more:
        render.note(f"the newest {len(found)}; --limit and --since show more")


def _columns(query: Query, found: Sequence[Event]) -> list[str]:
    asked = {
        "type": query.type,
        "bot": query.bot,
        "user": query.user,
        "patient": query.patient,
        "command": query.command,
    }
    columns = ("time", "type", "outcome", "code", "bot", "user", "patient", "command")
    return [
        name for name in columns if not asked.get(name) and any(_cell(one, name) for one in found)
    ]


def _cell(event: Event, name: str) -> str:
    match name:
        case "time":
            return moment.local(event.at)
        case "outcome":
            return _OUTCOMES.get(event.outcome, event.outcome)
        case "patient":
            return (event.patient or "").removeprefix("Patient/")
        case "user":
            return (event.user or "").removeprefix("Practitioner/")
        case _:
            return str(getattr(event, name) or "")


def _document(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": moment.utc(event.at),
        "type": event.type,
        "action": event.action,
        "outcome": event.outcome,
        "ok": event.ok,
        "code": event.code,
        "bot": event.bot,
        "user": event.user,
        "patient": event.patient,
        "commandId": event.command,
        "resources": list(event.resources),
        "requestId": event.request,
        "facts": dict(event.facts),
    }
