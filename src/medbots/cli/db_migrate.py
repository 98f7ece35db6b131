"""`db migrate`: the schema of the store, without what belongs to one project."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from medbots import errors
from medbots.cli import db_report, options, store, wiring

if TYPE_CHECKING:
    from medbots import config
    from medbots.database import schema

_CHANGES = 2
"""Exit code of `--detailed-exitcode` when something was pending."""

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the SQL that would run; run none of it.")
]
DetailedExitcode = Annotated[
    bool, typer.Option("--detailed-exitcode", help="Exit with 2 when anything was pending.")
]
ExpectProject = Annotated[
    str | None,
    typer.Option("--expect-project", metavar="ID", help="Adopt rows for no other project."),
]


Reembed = Annotated[
    bool,
    typer.Option("--reembed", help="Move the bots to the model of the settings, with all records."),
]
DropPrevious = Annotated[
    bool,
    typer.Option("--drop-previous", help="Delete the vectors of models that no bot works by."),
]
Jobs = Annotated[
    int,
    typer.Option("--jobs", metavar="N", min=1, max=32, help="With --reembed: requests at once."),
]
Batch = Annotated[
    int,
    typer.Option("--batch", metavar="N", min=1, max=512, help="With --reembed: texts a request."),
]


def register(noun: typer.Typer) -> None:
    """Add the verb to `db`."""
    noun.command("migrate", cls=options.Command)(migrate)


def migrate(
    ctx: typer.Context,
    dry_run: DryRun = False,
    detailed_exitcode: DetailedExitcode = False,
    expect_project: ExpectProject = None,
    reembed: Reembed = False,
    drop_previous: DropPrevious = False,
    jobs: Jobs = 4,
    batch: Batch = 32,
) -> None:
    """Apply what is pending of the schema: extension, migrations, indexes; needs no login.

    Only a table made by the deployment guide needs one: its rows are adopted for the project of
    the login. Roles and secrets are for db init to make.

    With --reembed, every record is embedded again by the model that the settings name, from the
    text that is stored, while the bots go on with the old vectors; then the bots are moved to the
    new ones. It needs a project admin's login, and goes on where it was interrupted.
    """
    from medbots.cli import db_drop, db_reembed

    opts = options.of(ctx)
    if reembed and drop_previous:
        raise errors.UsageError(
            "--reembed and --drop-previous are two steps: look at the searches in between",
            hint="medbots db migrate --reembed; later medbots db migrate --drop-previous",
        )
    if reembed:
        request = db_reembed.Request(jobs, batch, dry_run, expect_project)
        report = db_reembed.reembed(opts, request)
    elif drop_previous:
        report = db_drop.drop_previous(opts, dry_run=dry_run, expect_project=expect_project)
    else:
        report = db_report.Report(dry_run=dry_run)
        db_report.reported(opts, report, _migrate(opts, report, expect_project))
    if detailed_exitcode and report.changed:
        raise typer.Exit(_CHANGES)


async def _migrate(
    opts: options.Options, report: db_report.Report, expect_project: str | None
) -> None:
    from medbots.cli import render_watch
    from medbots.database import connection, schema

    settings = wiring.settings(opts, wiring.manifest(opts))
    report.database = store.name(settings)
    wish = await _wish(settings, report, expect_project)
    notices = connection.Notices()
    started = time.perf_counter()
    with render_watch.Watcher(opts, settings, report.script if report.dry_run else None) as watch:
        try:
            async with (
                store.connected(settings, notices=notices) as made,
                aclosing(schema.migrate(made, wish, notices=notices, watch=watch)) as steps,
            ):
                async for step in steps:
                    report.steps.append(step)
        finally:
            report.duration_ms = round((time.perf_counter() - started) * 1000)


async def _wish(
    settings: config.Settings, report: db_report.Report, expect_project: str | None
) -> schema.Wish:
    """Return what to make of the store; with the login's project where rows are to be adopted."""
    from medbots import state
    from medbots.cli import changes
    from medbots.database import table

    async with store.connected(settings) as made:
        found = await table.inspect(made)
    if found.origin is not table.Origin.GUIDE:
        return store.wish(settings, "")
    try:
        async with wiring.connected(settings) as client:
            report.project = state.Project(client.project.id, client.project.name)
            report.requests = client.requests
    except errors.NotLoggedInError as error:
        # schema.migrate says for what a login is needed, but not which one was tried.
        raise errors.NotLoggedInError(
            f"{table.NAME} is the deployment guide's: its rows are adopted for the project of the "
            f"login: {error.message}",
            hint="medbots login, then medbots db migrate; or medbots db init, which also makes "
            "the bots' role and secret",
        ) from error
    changes.expect(report.project, expect_project)
    return store.wish(settings, report.project.id)
