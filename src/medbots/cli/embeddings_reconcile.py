"""`embeddings reconcile`: embeds what subscriptions missed, deletes what is left of nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from medbots import errors
from medbots.cli import inventory, options, store, wiring
from medbots.cli.embeddings_status import DIFFERENT, Types

if TYPE_CHECKING:
    from medbots.cli.inventory import Sides
    from medbots.embeddings.reconcile import Report, Wish

Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="1h|DATE",
        help="Embed only what was changed since: 1h, 7d, or a date. Orphans are always found.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only compare.")]
Jobs = Annotated[
    int, typer.Option("--jobs", metavar="N", min=1, max=32, help="Runs or batches at once.")
]
Direct = Annotated[
    bool, typer.Option("--direct", help="Embed in batches from here, not by the bot: much faster.")
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Begin anew where an interrupted run could go on.")
]
DetailedExitcode = Annotated[
    bool, typer.Option("--detailed-exitcode", help="Exit a dry run with 2 on a difference.")
]


@dataclass(slots=True)
class Result:
    """What is known of a run so far."""

    dry_run: bool = False
    whole: bool = True
    """Whether records are looked at whenever they were changed."""
    report: Report | None = None
    models: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """Rows by model version, `before` and `after`."""
    notes: list[str] = field(default_factory=list)
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """How it is to be done."""

    wish: Wish
    dry_run: bool
    direct: bool
    restart: bool
    expect_project: str | None
    """Id or name of the only project whose rows may be written and deleted."""


def register(noun: typer.Typer) -> None:
    """Add the verb to `embeddings`."""
    noun.command("reconcile", cls=options.Command)(reconcile)


def reconcile(
    ctx: typer.Context,
    types: Types = None,
    since: Since = None,
    dry_run: DryRun = False,
    jobs: Jobs = 4,
    direct: Direct = False,
    restart: Restart = False,
    expect_project: options.ExpectProject = None,
    detailed_exitcode: DetailedExitcode = False,
) -> None:
    """Make the embedding store what the server holds, while bots go on writing.

    What is missing or stale is embedded by the Embedding Bot, or with --direct from here; rows of
    records that are gone are deleted. Interrupted, it goes on where it was. Needs what embeddings
    status needs.
    """
    from medbots.cli import moment
    from medbots.embeddings.reconcile import Wish

    opts = options.of(ctx)
    wish = Wish(inventory.kinds(types), moment.gone_by("--since", since), jobs, since or "")
    result = _ended(opts, Request(wish, dry_run, direct, restart, expect_project))
    if result.report and result.report.difference and dry_run and detailed_exitcode:
        raise typer.Exit(DIFFERENT)


def _ended(opts: options.Options, request: Request) -> Result:
    """Do the work, print what came of it, also half-way, and raise what is left.

    Raises:
        errors.PartlyAppliedError: not everything could be embedded.
        errors.MedbotsError: it could not go on.
    """
    from medbots.cli import interruption, render_inventory

    result = Result(request.dry_run, whole=request.wish.since is None)
    try:
        with interruption.by_termination():
            wiring.run(_work(opts, request, result))
    except errors.MedbotsError as error:
        if result.report is None:
            raise
        if isinstance(error, errors.InterruptedByUserError):
            error.hint = "run it again with the same options: it goes on where it was"
        render_inventory.reconciled(opts, result, error)
        error.reported = opts.json
        raise
    end = None if request.dry_run or result.report is None else _left(result.report)
    render_inventory.reconciled(opts, result, end)
    if end is not None:
        end.reported = opts.json
        raise end
    return result


def _left(report: Report) -> errors.PartlyAppliedError | None:
    if report.failed:
        codes = ", ".join(sorted(set(report.failed.values())))
        return errors.PartlyAppliedError(
            f"{len(report.failed)} records could not be embedded ({codes})",
            hint="medbots verify tells what is wrong; then run it again",
        )
    if report.difference:
        return errors.PartlyAppliedError(
            f"{report.difference} records differ still, after as many looks as are worth it",
            hint="run it again, or see whether the subscriptions have caught up: "
            "medbots embeddings status",
        )
    return None


async def _work(opts: options.Options, request: Request, result: Result) -> None:
    started = time.perf_counter()
    async with inventory.opened(opts, expect_project=request.expect_project) as sides:
        result.models["before"] = await sides.store.models()
        try:
            if request.dry_run:
                await _look(opts, sides, request.wish, result)
            else:
                await _mend(opts, sides, request, result)
        finally:
            result.duration_ms = round((time.perf_counter() - started) * 1000)
        result.models["after"] = await sides.store.models()


async def _look(opts: options.Options, sides: Sides, wish: Wish, result: Result) -> None:
    from medbots.cli import render_inventory
    from medbots.embeddings import inventory as looking
    from medbots.embeddings.reconcile import Report

    total = sum([await sides.server.total(kind, wish.since) for kind in wish.kinds])
    with render_inventory.Progress(opts, "comparing", total) as shown:
        found = await looking.count(
            sides.server, sides.store, wish.kinds, since=wish.since, advance=shown.looked_at
        )
    result.report = Report(before=found.types, after=found.types)


async def _mend(opts: options.Options, sides: Sides, request: Request, result: Result) -> None:
    from medbots.cli import reconciling, render_inventory
    from medbots.database.checkpoints import Checkpoints
    from medbots.embeddings.reconcile import Reconciler

    wish = request.wish
    total = sum([await sides.server.total(kind, wish.since) for kind in wish.kinds])
    async with (
        # Its own connection: what is kept is no part of what is being written beside it.
        store.connected(sides.settings) as connection,
        Checkpoints(connection, sides.client.project.id, sides.contract.version).alone() as kept,
        reconciling.embedder(sides, request.direct) as embedder,
    ):
        if not request.restart:
            resumed = (await kept.load(wish.arguments))[1]
            if resumed is not None:
                render_inventory.note(opts, render_inventory.resuming(resumed))
        async with reconciling.index_aside(opts, sides, embedder, total):
            with render_inventory.Progress(opts, "reconciling", total) as shown:
                run = Reconciler(sides.server, sides.store, embedder, kept, wish, shown.got_on)
                result.report = run.report
                await run.run(restart=request.restart)
