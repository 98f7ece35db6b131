"""`subscriptions sync` and `subscriptions list`."""

from __future__ import annotations

from typing import Any

import typer

from medbots.cli import options, render, wiring
from medbots.cli.deploy import DetailedExitcode, DryRun, Jobs

noun = typer.Typer(
    cls=options.Group,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="What triggers the bots.",
)


def register(app: typer.Typer) -> None:
    """Add the noun to the tree."""
    app.add_typer(noun, name="subscriptions")


@noun.command("sync", cls=options.Command)
def sync(
    ctx: typer.Context,
    dry_run: DryRun = False,
    only: options.Globs = None,
    jobs: Jobs = 4,
    expect_project: options.ExpectProject = None,
    detailed_exitcode: DetailedExitcode = False,
) -> None:
    """Make the project's Subscriptions what the manifest says."""
    from medbots.cli import changes

    request = changes.Request(
        changes.SYNC,
        dry_run,
        options.pattern(only),
        jobs,
        expect_project,
        detailed_exitcode and dry_run,
    )
    changes.execute(options.of(ctx), request)


@noun.command("list", cls=options.Command)
def list_(ctx: typer.Context) -> None:
    """List the project's Subscriptions that run a bot, ours and others'."""
    opts = options.of(ctx)
    rows = wiring.run(_rows(opts))
    if opts.json:
        render.json(rows)
        return
    if not rows:
        render.note("no subscription of this project runs a bot: medbots subscriptions sync")
        return
    columns = ("key", "name", "criteria", "bot", "status", "id", "owned")
    shown = [[_cell(row[column]) for column in columns] for row in rows]
    render.table(opts, columns, shown)


async def _rows(opts: options.Options) -> list[dict[str, Any]]:
    from medbots.medplum import server

    the_manifest = wiring.manifest(opts)
    async with wiring.connected(wiring.settings(opts, the_manifest)) as client:
        project = server.ProjectServer(client, the_manifest.namespace)
        return [
            {
                "key": live.key,
                "name": live.name,
                "criteria": live.criteria,
                "bot": bot,
                "status": live.status,
                "id": live.id,
                "owned": live.key is not None,
            }
            for live, bot in await project.subscriptions()
        ]


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
