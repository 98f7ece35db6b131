"""`db maintain` and `db reindex`: the store kept fast, while the bots use it."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from medbots import errors
from medbots.cli import interruption, options, render_maintain, store, wiring

if TYPE_CHECKING:
    from medbots.database.maintenance import Done

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, and why.")]
IndexName = Annotated[
    str | None, typer.Option("--index", metavar="NAME", help="This one; all without it.")
]


@dataclass(slots=True)
class Report:
    """What is known of a run so far."""

    dry_run: bool = False
    database: str = ""
    done: list[Done] = field(default_factory=list)
    duration_ms: int = 0


def register(noun: typer.Typer) -> None:
    """Add the verbs to `db`."""
    noun.command("maintain", cls=options.Command)(maintain)
    noun.command("reindex", cls=options.Command)(reindex)


def maintain(ctx: typer.Context, dry_run: DryRun = False) -> None:
    """Analyse, rebuild indexes that need it, and vacuum; say why, or why not.

    Bots go on reading and writing meanwhile. Needs the database alone, and no login.
    """
    _report(options.of(ctx), Report(dry_run), maintaining=True)


def reindex(ctx: typer.Context, index: IndexName = None) -> None:
    """Rebuild the vector indexes beside those in use: no search waits for it.

    Needs the database alone, and no login.
    """
    _report(options.of(ctx), Report(), index=index)


def _report(
    opts: options.Options,
    report: Report,
    *,
    maintaining: bool = False,
    index: str | None = None,
) -> None:
    """Do the work and print what came of it, also where it ended half-way."""
    try:
        with interruption.by_termination():
            wiring.run(_work(opts, report, maintaining=maintaining, index=index))
    except errors.MedbotsError as error:
        if isinstance(error, errors.InterruptedByUserError) and not report.dry_run:
            error.hint = "run it again: what an interrupted rebuild has left is cleared away first"
        if not any(one.ran for one in report.done):
            raise
        end = error
        if not isinstance(error, errors.InterruptedByUserError):
            end = errors.PartlyAppliedError(error.message, hint=error.hint)
        render_maintain.steps(opts, report, end)
        end.reported = opts.json
        raise end from error
    render_maintain.steps(opts, report)


async def _work(
    opts: options.Options, report: Report, *, maintaining: bool, index: str | None
) -> None:
    from medbots.cli import render_watch
    from medbots.database import maintenance

    settings = wiring.settings(opts, wiring.manifest(opts))
    report.database = store.name(settings)
    model = store.wish(settings, "").model_version
    started = time.perf_counter()
    with render_watch.Watcher(opts, settings) as watch:
        try:
            async with store.connected(settings) as connection:
                steps = (
                    maintenance.maintain(connection, model, dry_run=report.dry_run, watch=watch)
                    if maintaining
                    else maintenance.reindex(connection, index, watch=watch)
                )
                async with aclosing(steps):
                    async for one in steps:
                        report.done.append(one)
                        render_maintain.progress(opts, one)
        finally:
            report.duration_ms = round((time.perf_counter() - started) * 1000)
