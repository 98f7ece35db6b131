"""`db repair`: marks migrations as applied or reverted; tables are not touched."""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING, Annotated

import typer

from medbots.cli import db_report, options, prompts, store, wiring

if TYPE_CHECKING:
    from medbots import config
    from medbots.database import repair as repair_module


class Mark(enum.StrEnum):
    """What the history shall say."""

    APPLIED = "applied"
    REVERTED = "reverted"


Status = Annotated[Mark, typer.Option("--status", help="What the history shall say of them.")]
Versions = Annotated[
    list[str], typer.Argument(metavar="VERSION…", help="Migrations, such as 3 or 0003.")
]


def register(noun: typer.Typer) -> None:
    """Add the verb to `db`."""
    noun.command("repair", cls=options.Command)(repair)


def repair(ctx: typer.Context, versions: Versions, status: Status) -> None:
    """Correct the history of migrations, where it says something else than the tables.

    A migration marked as reverted is applied again by the next db migrate. No table is touched.
    """
    opts = options.of(ctx)
    settings = wiring.settings(opts, wiring.manifest(opts))
    mends = wiring.run(_plan(settings, status, versions))
    words = ", ".join(one.words for one in mends)
    prompts.confirm(opts, f"In the history of {store.name(settings)}, mark {words}?")
    report = db_report.Report(database=store.name(settings), outcome=_outcome(status, mends))
    db_report.reported(opts, report, _apply(opts, settings, report, mends))


def _outcome(status: Mark, mends: tuple[repair_module.Mend, ...]) -> str:
    names = ", ".join(one.entry.label for one in mends)
    if status is Mark.APPLIED:
        return f"Marked as applied: {names}."
    return f"Marked as reverted: {names}. medbots db migrate applies what is pending."


async def _plan(
    settings: config.Settings, status: Mark, versions: list[str]
) -> tuple[repair_module.Mend, ...]:
    from medbots.database import repair as repair_module

    async with store.connected(settings) as made:
        return await repair_module.plan(made, repair_module.Status(status), versions)


async def _apply(
    opts: options.Options,
    settings: config.Settings,
    report: db_report.Report,
    mends: tuple[repair_module.Mend, ...],
) -> None:
    from medbots.cli import render_watch
    from medbots.database import lock, schema
    from medbots.database import repair as repair_module

    started = time.perf_counter()
    with render_watch.Watcher(opts, settings) as watch:
        async with (
            store.connected(settings) as made,
            lock.alone(made, schema.LOCK_WAIT_SECONDS, watch),
        ):
            report.steps += await repair_module.apply(made, mends, watch=watch)
    report.duration_ms = round((time.perf_counter() - started) * 1000)
