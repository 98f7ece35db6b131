"""`bot logs`: the runs there are, and those that come."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from medbots import errors
from medbots.cli import interruption, options, render, render_bots, wiring

if TYPE_CHECKING:
    from medbots.bots.deployed import Bot
    from medbots.bots.runs import Run
    from medbots.bots.triggers import Triggers
    from medbots.manifest import Manifest
    from medbots.medplum.client import Client


@dataclass(frozen=True, slots=True)
class Choice:
    """Which runs are meant."""

    key: str | None
    """Of one bot; None: all of the manifest's."""
    since: datetime | None
    failed: bool
    limit: int


def show(opts: options.Options, choice: Choice, *, follow: bool) -> None:
    """Print the runs.

    Raises:
        errors.InterruptedByUserError: somebody ended --follow, which is how it ends.
    """
    with interruption.by_termination():
        try:
            wiring.run(_show(opts, choice, follow=follow))
        except errors.InterruptedByUserError as error:
            error.reported = follow
            raise


async def _show(opts: options.Options, choice: Choice, *, follow: bool) -> None:
    from medbots.bots import following, runs, triggers

    the_manifest = wiring.manifest(opts)
    async with wiring.connected(wiring.settings(opts, the_manifest)) as client:
        meant = await _bots(client, the_manifest, choice.key)
        query = runs.Query(meant, choice.since, choice.failed, choice.limit)
        found, more = await runs.recent(client, query)
        names = triggers.Triggers(client, the_manifest.namespace)
        printer = render_bots.RunPrinter(opts, [bot.key for bot in meant], follow=follow)
        await _print(printer, names, found)
        printer.ended(found, more=more, every=not (choice.since or choice.failed))
        if not follow:
            return
        async with aclosing(following.follow(client, query, found, render.note)) as coming:
            async for run in coming:
                await _print(printer, names, [run])


async def _print(printer: render_bots.RunPrinter, names: Triggers, found: list[Run]) -> None:
    for run in found:
        printer.run(run, await names.name(run.trigger))


async def _bots(client: Client, the_manifest: Manifest, key: str | None) -> list[Bot]:
    """Return the bots that are meant.

    Raises:
        errors.NotFoundError: none of them is deployed.
    """
    from medbots.bots import deployed

    keys = [bot.key for bot in the_manifest.bots]
    if key is not None:
        return [await deployed.bot(client, the_manifest.namespace, key, keys)]
    found = await deployed.bots(client, the_manifest.namespace)
    if not found:
        raise errors.NotFoundError(
            f"no bot of the manifest is deployed in project {client.project.name!r}",
            hint="medbots deploy",
        )
    return list(found.values())
