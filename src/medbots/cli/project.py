"""`project doctor`: what a project lacks for bots to run, and, as a super admin, its cure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from medbots import errors
from medbots.cli import options, wiring

if TYPE_CHECKING:
    from medbots import state
    from medbots.cli import changes
    from medbots.medplum.client import Client

noun = typer.Typer(
    cls=options.Group,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The Medplum project that the bots live in.",
)


def register(app: typer.Typer) -> None:
    """Add the noun to the tree."""
    app.add_typer(noun, name="project")


@noun.callback()
def _noun() -> None:
    """Keep the noun a group, also while it has one verb."""


@noun.command("doctor", cls=options.Command)
def doctor(
    ctx: typer.Context,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="ID", help="Another project, as a super admin."),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Give it what it lacks.")] = False,
) -> None:
    """Show what the project lacks for its bots to run; with --fix, give it that.

    Features and memberships of existing bots can be given by a super admin only.
    """
    from medbots.cli import changes, render_changes

    opts = options.of(ctx)
    report = changes.Report(dry_run=not fix)
    changes.reported(opts, report, _examine(opts, target, report))
    error = _verdict(report, target, fixed=fix)
    render_changes.result(opts, report, error)
    if error is not None:
        error.reported = opts.json
        raise error


def _verdict(
    report: changes.Report, target: str | None, *, fixed: bool
) -> errors.MedbotsError | None:
    """Return what there is to complain of: what lacks, or what this login cannot see."""
    if report.plan is None:
        return None
    if report.plan.to_do and not fixed:
        there = f" --target {target}" if target else ""
        return errors.CheckFailedError(
            "the project lacks what its bots need", hint=f"medbots project doctor{there} --fix"
        )
    unseen = dict.fromkeys(change.skip for change in report.plan.changes if change.skip)
    if unseen:
        return errors.NotAllowedError(
            "; ".join(unseen), hint="log in as a project admin: medbots login"
        )
    return None


async def _examine(opts: options.Options, target: str | None, report: changes.Report) -> None:
    from medbots import state
    from medbots.cli import changes
    from medbots.medplum import server

    the_manifest = wiring.manifest(opts)
    settings = wiring.settings(opts, the_manifest)
    async with wiring.connected(settings) as client:
        project = await _target(client, target)
        the_server = server.ProjectServer(client, the_manifest.namespace, project=project)
        kinds = (state.Kind.FEATURE, state.Kind.MEMBERSHIP)
        request = changes.Request(kinds, dry_run=report.dry_run)
        wish = changes.wish(the_manifest, settings, {}, request, project)
        await changes.run(the_server, wish, request, report, client)


async def _target(client: Client, target: str | None) -> state.Project:
    from medbots import state

    own = state.Project(client.project.id, client.project.name)
    if target is None or target in (own.id, own.name):
        return own
    if not client.rights.super_admin:
        raise errors.NotAllowedError(
            f"the login works in project {own.name!r} and may not look into {target!r}",
            hint="log in as a super admin of this server: medbots login",
        )
    try:
        found = await client.get(f"fhir/R4/Project/{target}")
    except errors.NotFoundError:
        raise errors.NotFoundError(
            f"{client.base_url} has no project with the id {target!r}",
            hint="medbots whoami, in a login of that project, shows its id",
        ) from None
    return state.Project(found["id"], found.get("name", ""))
