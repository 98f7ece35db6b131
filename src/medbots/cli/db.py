"""The noun `db`, with `db init` and `db status`: the embedding store in Postgres."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import typer

from medbots import errors
from medbots.cli import (
    db_bench,
    db_maintain,
    db_migrate,
    db_recall,
    db_repair,
    db_report,
    options,
    render_db,
    store,
    wiring,
)

if TYPE_CHECKING:
    from medbots import secret
    from medbots.database import status
    from medbots.medplum.client import Client

noun = typer.Typer(
    cls=options.Group,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The embedding store in Postgres.",
)


def register(app: typer.Typer) -> None:
    """Add the noun to the tree."""
    db_migrate.register(noun)
    db_repair.register(noun)
    db_bench.register(noun)
    db_maintain.register(noun)
    db_recall.register(noun)
    app.add_typer(noun, name="db")


@noun.callback()
def _noun() -> None:
    """Keep the noun a group."""


@noun.command("init", cls=options.Command)
def init(ctx: typer.Context, expect_project: options.ExpectProject = None) -> None:
    """Make the tables, the bots' database role, and the project's secret DATABASE_URL.

    What is there already is kept: a table made by the deployment guide is taken over with its
    rows. Run it again at any time.
    """
    opts = options.of(ctx)
    report = db_report.Report()
    db_report.reported(opts, report, initialise(opts, expect_project, report))


@noun.command("status", cls=options.Command)
def show_status(ctx: typer.Context) -> None:
    """Show migrations, index, dimension, rows and size; needs no login."""
    opts = options.of(ctx)
    render_db.status(opts, wiring.run(_status(opts)))


async def initialise(
    opts: options.Options, expect_project: str | None, report: db_report.Report
) -> None:
    """Make the embedding store and the bots' role, filling `report` as it goes.

    Raises:
        errors.MedbotsError: the database or the server refuses; what is reported was done.
    """
    from medbots import state
    from medbots.cli import changes, render_watch
    from medbots.database import connection, schema

    the_manifest = wiring.manifest(opts)
    settings = wiring.settings(opts, the_manifest)
    report.database = store.name(settings)
    started = time.perf_counter()
    async with wiring.connected(settings) as client:
        report.project = state.Project(client.project.id, client.project.name)
        changes.expect(report.project, expect_project)
        secrets = ProjectSecrets(client, the_manifest.namespace)
        notices = connection.Notices()
        wish = store.wish(settings, client.project.id)
        try:
            with render_watch.Watcher(opts, settings, quiet=True) as watch:
                async with (
                    store.connected(settings, notices=notices) as made,
                    aclosing(
                        schema.init(made, wish, secrets, notices=notices, watch=watch)
                    ) as steps,
                ):
                    async for step in steps:
                        report.steps.append(step)
        finally:
            report.requests = client.requests
            report.duration_ms = round((time.perf_counter() - started) * 1000)


async def _status(opts: options.Options) -> status.Status:
    from medbots.database import status

    settings = wiring.settings(opts, wiring.manifest(opts))
    async with store.connected(settings) as made:
        return await status.read(made, store.wish(settings, "").model_version)


class ProjectSecrets:
    """The secret DATABASE_URL of the client's project (a `schema.SecretStore`)."""

    def __init__(self, client: Client, namespace: str) -> None:
        from medbots.medplum import server

        self._server = server.ProjectServer(client, namespace)
        self._namespace = namespace
        self._user = client.user

    async def read(self) -> secret.Secret | None:
        """Return the URL that the project has.

        Raises:
            errors.NotAllowedError: only a project admin may read secrets.
        """
        from medbots import desired, model

        found = await self._server.read(model.Desired(self._namespace))
        if found.project.secrets is None:
            raise errors.NotAllowedError(
                f"{self._user} may not read the secrets of project {found.project.name!r}",
                hint="log in as a project admin: medbots login",
            )
        return found.project.secrets.get(desired.DATABASE_SECRET)

    async def write(self, url: secret.Secret) -> None:
        """Store the URL beside the project's other secrets."""
        from medbots import desired

        await self._server.write_secrets({desired.DATABASE_SECRET: url})
