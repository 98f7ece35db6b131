"""`db migrate --drop-previous`: removes the vectors that no bot uses any more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from medbots import errors, state
from medbots.cli import (
    changes,
    db_report,
    options,
    project_contract,
    prompts,
    render,
    store,
    wiring,
)

if TYPE_CHECKING:
    from medbots.database.connection import Connection
    from medbots.database.leavings import Leaving
    from medbots.database.step import Wish


def drop_previous(
    opts: options.Options, *, dry_run: bool, expect_project: str | None
) -> db_report.Report:
    """Name what would go, ask, remove it, and print what was done; return the report."""
    report = db_report.Report(dry_run=dry_run)
    started = time.perf_counter()
    wish, found = wiring.run(_look(opts, report, expect_project))
    if found and not dry_run:
        listed = "\n".join(f"  {one.words}" for one in found)
        doomed = f"These vectors, which no bot uses, will be deleted:\n{listed}"
        if not (opts.json or opts.interactive):
            render.note(doomed)
        prompts.confirm(opts, f"{doomed}\nGo on?")
    running = _remove(opts, report, wish, found)
    db_report.reported(opts, report, db_report.timed(report, started, running))
    return report


async def _look(
    opts: options.Options, report: db_report.Report, expect_project: str | None
) -> tuple[Wish, tuple[Leaving, ...]]:
    """Return what no bot uses."""
    from medbots.database import leavings

    settings = wiring.settings(opts, wiring.manifest(opts))
    report.database = store.name(settings)
    async with store.connected(settings) as connection:
        project = await _agreed(opts, report, connection, expect_project)
        wish = store.wish(settings, project.id)
        return wish, await leavings.look(connection, wish)


async def _agreed(
    opts: options.Options,
    report: db_report.Report,
    connection: Connection,
    expect_project: str | None = None,
) -> state.Project:
    """Return the login's project, whose bots work by the model that the settings name.

    Raises:
        errors.StateError: they do not, or use another database.
    """
    from medbots.embeddings import contract

    the_manifest = wiring.manifest(opts)
    settings = wiring.settings(opts, the_manifest)
    async with wiring.connected(settings) as client:
        report.project = state.Project(client.project.id, client.project.name)
        changes.expect(report.project, expect_project)
        secrets = project_contract.ProjectContract(client, the_manifest.namespace)
        await secrets.require_database(connection)
        used, named = await secrets.read(), contract.of_settings(settings)
        report.requests += client.requests
    if used != named:
        raise errors.StateError(
            f"the bots work by {used.version} (the project's secrets), and the settings name "
            f"{named.version}: one of them is not to be dropped, and medbots will not guess which",
            hint="medbots db migrate --reembed moves the bots to the model of the settings; or set "
            "EMBEDDING_MODEL, EMBEDDING_DIM and EMBEDDING_PREFIX_MODE to what the bots work by",
        )
    return report.project


async def _remove(
    opts: options.Options, report: db_report.Report, wish: Wish, found: tuple[Leaving, ...]
) -> None:
    from medbots.cli import render_watch
    from medbots.database import leavings, lock, schema

    settings = wiring.settings(opts, wiring.manifest(opts))
    script = report.script if report.dry_run else None
    with render_watch.Watcher(opts, settings, script, quiet=True) as watch:
        async with (
            store.connected(settings) as connection,
            lock.alone(connection, schema.LOCK_WAIT_SECONDS, watch),
        ):
            # The answer may have taken long; nobody changes the model while the lock is held.
            await _agreed(opts, report, connection)
            now = await leavings.look(connection, wish)
            if [(one.table, one.models) for one in now] != [
                (one.table, one.models) for one in found
            ]:
                raise errors.ConflictError(
                    "the vectors have changed since they were named", hint="run the command again"
                )
            async for step in leavings.remove(connection, wish, found, watch):
                report.steps.append(step)
