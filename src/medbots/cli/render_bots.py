"""Bots, their answers and their runs, as a person reads them and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medbots.cli import moment, options, render

if TYPE_CHECKING:
    from medbots.bots.runs import Run
    from medbots.cli.bot_list import Row

_DIGEST = len("sha256:") + 12
_EMBEDDER = "embedding"
_LONGEST = 160
"""Characters of a log that a line shows."""


def listing(opts: options.Options, rows: Sequence[Row]) -> None:
    """Print the manifest's bots."""
    if opts.json:
        render.json(
            [
                {
                    "key": row.key,
                    "name": row.name,
                    "id": row.id,
                    "deployed": row.id is not None,
                    "runAsUser": row.run_as_user,
                    "membership": row.membership,
                    "digest": row.digest,
                }
                for row in rows
            ]
        )
        return
    columns = ("key", "name", "id", "deployed", "runs as", "membership", "code")
    render.table(opts, columns, [_cells(row) for row in rows])
    if any(row.id is None for row in rows):
        render.note("medbots deploy brings what is not deployed")


def _cells(row: Row) -> tuple[str, ...]:
    deployed = row.id is not None
    member = {True: "yes", False: "none", None: "not visible" if deployed else ""}[row.membership]
    return (
        row.key,
        row.name,
        row.id or "",
        "yes" if deployed else "no",
        "user" if row.run_as_user else "bot",
        member,
        (row.digest or "")[:_DIGEST].removeprefix("sha256:"),
    )


def answer(opts: options.Options, found: Any, *, raw: bool) -> None:
    """Print what a bot answered: as it is, or laid out for reading."""
    if opts.json or raw:
        render.json(found)
    elif isinstance(found, str):
        render.line(render.visible(found))
    else:
        render.pretty(found)


class RunPrinter:
    """Prints runs: a line each, or as JSON, which is one array unless more is to come."""

    def __init__(self, opts: options.Options, keys: Sequence[str], *, follow: bool) -> None:
        self._opts = opts
        self._follow = follow
        self._width = max(len(key) for key in keys)
        self._documents: list[dict[str, Any]] = []

    def run(self, run: Run, trigger: str) -> None:
        """Print a run; `trigger` is its name."""
        if not self._opts.json:
            render.line(self._line(run, trigger))
        elif self._follow:
            render.json(self._document(run, trigger))
        else:
            self._documents.append(self._document(run, trigger))

    def ended(self, found: Sequence[Run], *, more: bool, every: bool) -> None:
        """Say what there is to say of the runs so far; `every`: all of them were asked for."""
        if self._opts.json and not self._follow:
            render.json(self._documents)
        elif not found and not self._follow:
            verify = "no run yet: medbots verify tells whether bots can run"
            render.note(verify if every else "no run is like that")
        if more:
            render.note(f"the newest {len(found)}; --limit and --since show more")
        if any(run.bot == _EMBEDDER and not run.ok for run in found):
            render.note(f"where {_EMBEDDER!r} failed: once medbots verify passes, {_repair()}")

    def _line(self, run: Run, trigger: str) -> str:
        took = "" if run.duration_ms is None else f"{run.duration_ms} ms"
        log = run.shown_log(verbose=self._opts.verbose)
        first = next(iter((log or "").splitlines()), "")
        parts = (
            moment.local(run.at),
            f"{run.bot:<{self._width}}",
            f"{'ok' if run.ok else 'failed':<6}",
            f"{took:>9}",
            trigger,
            f"by {run.requester}" if run.requester else "",
            run.input or "",
            "(log withheld: -v)" if log is None and run.log else _short(first),
        )
        return "  ".join(render.visible(part) for part in parts if part).rstrip()

    def _document(self, run: Run, trigger: str) -> dict[str, Any]:
        return {
            "id": run.id,
            "at": moment.utc(run.at),
            "bot": run.bot,
            "ok": run.ok,
            "durationMs": run.duration_ms,
            "trigger": trigger,
            "subscription": run.trigger if run.trigger.startswith("Subscription/") else None,
            "requester": run.requester,
            "input": run.input,
            "log": run.shown_log(verbose=self._opts.verbose),
        }


def _repair() -> str:
    from medbots.bots import execution

    return execution.REPAIR


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
