"""`verify`: does everything stand, and does it fire?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from medbots import errors
from medbots.check import Severity
from medbots.cli import duration, options, render_checks, wiring

if TYPE_CHECKING:
    from medbots.check import Check, Report
    from medbots.checks.target import Target
    from medbots.checks.verification import Choice

_Globs = list[str] | None

Strict = Annotated[bool, typer.Option("--strict", help="Compare the bots' code byte for byte.")]
Only = Annotated[
    _Globs,
    typer.Option(
        "--only", metavar="GLOB,…", help="Only checks with such an id; several, or repeated."
    ),
]
Skip = Annotated[
    _Globs,
    typer.Option("--skip", metavar="GLOB,…", help="Leave these checks out; several, or repeated."),
]
ListChecks = Annotated[
    bool,
    typer.Option("--list-checks", help="List the ids and what they mean, and look at nothing."),
]
Wait = Annotated[
    str,
    typer.Option(
        "--wait",
        metavar="DURATION",
        help="Repeat until all pass, this long at the most, such as 120s.",
    ),
]
Interval = Annotated[
    str,
    typer.Option(
        "--interval",
        metavar="DURATION",
        help="How long to pause before a repetition.",
    ),
]
FailOn = Annotated[
    Severity,
    typer.Option("--fail-on", metavar="error|warning", help="The mildest trouble that fails."),
]


def register(app: typer.Typer) -> None:
    """Add the verb to the tree."""
    app.command("verify", cls=options.Command)(verify)


def verify(
    ctx: typer.Context,
    strict: Strict = False,
    only: Only = None,
    skip: Skip = None,
    list_checks: ListChecks = False,
    wait: Wait = "0s",
    interval: Interval = "2s",
    fail_on: FailOn = Severity.ERROR,
) -> None:
    """Check that server, bots, subscriptions, database and models stand, and that bots fire.

    Exits with 0 when nothing failed and with 1 when a check failed, whatever it was that failed:
    also a login or a server is the subject of a check here.
    """
    from medbots.checks import verification

    opts = options.of(ctx)
    times = duration.seconds("--wait", wait), duration.seconds("--interval", interval)
    choice = verification.Choice(_globs(only), _globs(skip), fail_on, *times)
    if list_checks:
        render_checks.listing(opts, wiring.run(_listed(opts, choice)))
        return
    report = wiring.run(_verified(opts, choice, strict=strict))
    render_checks.report(opts, report)
    if not report.ok:
        error = errors.CheckFailedError()
        error.reported = True
        raise error


def _globs(given: list[str] | None) -> list[str]:
    """Several globs may stand in one value, parted by commas, which no id has."""
    return [glob for value in given or () for glob in value.split(",") if glob]


async def _listed(opts: options.Options, choice: Choice) -> tuple[Check, ...]:
    from medbots.checks import verification

    return verification.chosen(target_of(opts, strict=False, looks=False), choice)


async def _verified(opts: options.Options, choice: Choice, *, strict: bool) -> Report:
    from medbots.checks import verification

    return await verification.run(
        lambda: target_of(opts, strict=strict), choice, render_checks.Narrator(opts)
    )


def target_of(opts: options.Options, *, strict: bool, looks: bool = True) -> Target:
    """Put together what is looked at; nothing is opened yet."""
    from medbots.checks import rows, target
    from medbots.database import extension, status
    from medbots.embeddings import router
    from medbots.medplum import code, health, server

    the_manifest = wiring.manifest(opts)
    settings = wiring.settings(opts, the_manifest)
    sources = target.Sources(
        login=lambda: wiring.connected(settings),
        server=lambda client: server.ProjectServer(client, the_manifest.namespace),
        code=code.read,
        health=lambda: health.read(settings.base_url, settings.origin("base_url")),
        database=extension.connect,
        store=status.read,
        router=router.Router(
            settings.llm_router_url,
            settings.llm_api_key,
            origin=settings.origin("llm_router_url"),
            allow_http=settings.allow_http,
        ),
        rows=rows.Rows,
    )
    bundles = wiring.bundles(the_manifest) if looks else {}
    return target.Target(the_manifest, settings, os.environ, bundles, sources, strict=strict)
