"""Server and embedding store beside each other, as tables and as the contract's JSON."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from medbots import errors, inventory
from medbots.cli import error_json, moment, options, render

if TYPE_CHECKING:
    from medbots.cli.embeddings_reconcile import Result
    from medbots.embeddings import reconcile

_COLUMNS = (*("resources", "embedded", "missing", "stale", "orphaned", "failed", "withheld"),)
_EVENT_SECONDS = 1.0
"""Between two lines of progress, at least."""
_SHOWN = 10
"""Failed records that are named in text."""


def status(opts: options.Options, found: inventory.Inventory) -> None:
    """Print what `embeddings status` found."""
    if opts.json:
        render.json(found.document())
        return
    _table(opts, found.types)
    rows = [(name, str(count)) for name, count in found.models]
    render.table(opts, ("model", "rows"), rows)
    left = inventory.difference(found.types)
    render.line(_SAME if not left else f"{_records(left)} to do: medbots embeddings reconcile")


def reconciled(opts: options.Options, result: Result, error: errors.MedbotsError | None) -> None:
    """Print what `embeddings reconcile` found and did, also where it ended half-way."""
    if result.report is None:
        return
    if opts.json:
        render.json(document(result, error))
        return
    report = result.report
    if result.dry_run:
        _table(opts, report.before)
        left = report.difference
        render.line(_same(result) if not left else f"{_records(left)} to do; nothing was changed.")
        return
    if report.before:
        whose = ", with what the interrupted run found" if report.resumed else ""
        _table(opts, report.before, title=f"before{whose}")
    if report.after:
        _table(opts, report.after, title="after")
    for key, code in list(report.failed.items())[:_SHOWN]:
        render.note(f"{key}: {code}")
    if len(report.failed) > _SHOWN:
        render.note(f"and {len(report.failed) - _SHOWN} more: --format json names all")
    render.line(
        f"{_records(report.embedded)} embedded, {report.deleted} orphans deleted, "
        f"{len(report.failed)} failed, in {result.duration_ms / 1000:.1f} s"
        f"{', since it went on' if report.resumed else ''}."
    )
    if error is None:
        render.line(_same(result))


_SAME = "The store is what the server holds."


def _same(result: Result) -> str:
    if result.whole:
        return _SAME
    return "What was changed since is as the server holds it; nothing older was compared."


def document(result: Result, error: errors.MedbotsError | None) -> dict[str, Any]:
    """Return the contract's JSON."""
    report = result.report
    assert report is not None  # noqa: S101 (the caller has looked)
    sides = {"before": report.before, "after": report.after}
    return {
        "dryRun": result.dry_run,
        **{
            name: inventory.Inventory(dict(types), result.models.get(name, [])).document()
            for name, types in sides.items()
        },
        "embedded": report.embedded,
        "deleted": report.deleted,
        "failed": len(report.failed),
        "failures": [{"resource": key, "errorCode": code} for key, code in report.failed.items()],
        "resumedFrom": report.resumed and moment.utc(report.resumed),
        "durationMs": result.duration_ms,
        **({"error": error_json.document(error)} if error else {}),
    }


def note(opts: options.Options, text: str) -> None:
    """Tell something on stderr: to a person, or as a line of JSON to a program."""
    render.note(json.dumps({"event": "note", "message": text}) if opts.json else text)


def resuming(at: datetime) -> str:
    """Return that an interrupted run is gone on with."""
    return f"going on where the run of {moment.local(at)} was interrupted; --restart begins anew"


def _table(opts: options.Options, types: Mapping[str, inventory.Tally], title: str = "") -> None:
    rows = [
        (name, *(str(one.document()[column]) for column in _COLUMNS)) for name, one in types.items()
    ]
    render.table(opts, ("type", *_COLUMNS), rows, title=title)


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"


class Progress:
    """A bar on a terminal; with `--format json`, lines of JSON on stderr."""

    def __init__(self, opts: options.Options, title: str, total: int) -> None:
        self._opts = opts
        self._title = title
        self._total = total
        self._pass = 1
        self._counts = {"lookedAt": 0, "embedded": 0, "deleted": 0, "failed": 0}
        self._last = 0.0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Show it."""
        bar = render.progress(self._opts, self._title, self._total)
        self._advance = self._stack.enter_context(bar)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Take it away."""
        self._tell("", last=True)
        self._stack.close()

    def looked_at(self, kind: str, count: int) -> None:
        """Some records have been compared."""
        self._count(kind, lookedAt=count)

    def got_on(self, step: reconcile.Progress) -> None:
        """Some records have been compared, embedded or deleted; or all are looked at again."""
        if step.again:
            self._advance(-self._counts["lookedAt"])
            self._pass, self._counts["lookedAt"], self._counts["failed"] = step.again, 0, 0
        counts = {"embedded": step.embedded, "deleted": step.deleted, "failed": step.failed}
        self._count(step.kind, lookedAt=step.looked_at, **counts)

    def _count(self, kind: str, **counts: int) -> None:
        for name, more in counts.items():
            self._counts[name] += more
        if counts["lookedAt"]:
            self._advance(counts["lookedAt"])
        self._tell(kind)

    def _tell(self, kind: str, *, last: bool = False) -> None:
        now = time.monotonic()
        if not self._opts.json or (now - self._last < _EVENT_SECONDS and not last):
            return
        self._last = now
        event = {"event": "progress", "what": self._title, "type": kind or None, "pass": self._pass}
        # What is made meanwhile is looked at too.
        total = max(self._total, self._counts["lookedAt"])
        sys.stderr.write(json.dumps({**event, **self._counts, "total": total}) + "\n")
        sys.stderr.flush()
