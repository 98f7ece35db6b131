"""`plan` and `deploy`: bots, memberships, policies, devices and secrets as one plan."""

from __future__ import annotations

from typing import Annotated

import typer

from medbots.cli import options

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan, change nothing.")]
Jobs = Annotated[
    int, typer.Option("--jobs", metavar="N", min=1, max=64, help="Writes under way at once.")
]
DetailedExitcode = Annotated[
    bool, typer.Option("--detailed-exitcode", help="Exit a dry run with 2 when there are changes.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Compare the code that runs, byte for byte.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the tree."""
    app.command("plan", cls=options.Command)(plan)
    app.command("deploy", cls=options.Command)(deploy)


def plan(
    ctx: typer.Context,
    only: options.Globs = None,
    expect_project: options.ExpectProject = None,
    detailed_exitcode: DetailedExitcode = False,
    strict: Strict = False,
) -> None:
    """Show what deploy and subscriptions sync would change; change nothing."""
    from medbots.cli import changes

    request = changes.Request(
        changes.ALL,
        dry_run=True,
        only=options.pattern(only),
        expect_project=expect_project,
        detailed_exitcode=detailed_exitcode,
        strict=strict,
    )
    changes.execute(options.of(ctx), request)


def deploy(
    ctx: typer.Context,
    dry_run: DryRun = False,
    only: options.Globs = None,
    jobs: Jobs = 4,
    expect_project: options.ExpectProject = None,
    detailed_exitcode: DetailedExitcode = False,
    strict: Strict = False,
) -> None:
    """Bring the bots, with all that they need to run, into the project."""
    from medbots.cli import changes

    request = changes.Request(
        changes.DEPLOY,
        dry_run,
        options.pattern(only),
        jobs,
        expect_project,
        detailed_exitcode and dry_run,
        strict,
    )
    changes.execute(options.of(ctx), request)
