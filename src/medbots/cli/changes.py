"""Plan and apply, as the verbs that change a project share it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from medbots import errors, state
from medbots.cli import options, render_changes, wiring

if TYPE_CHECKING:
    from medbots import apply, config, manifest, model, plan
    from medbots.medplum.client import Client

DEPLOY = tuple(kind for kind in state.Kind if kind is not state.Kind.SUBSCRIPTION)
"""The kinds that `deploy` keeps."""

SYNC = (state.Kind.SUBSCRIPTION,)
"""The kinds that `subscriptions sync` keeps."""

_CHANGES = 2
"""Exit code of `--detailed-exitcode` when there is something to do."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a verb asks for."""

    kinds: tuple[state.Kind, ...]
    dry_run: bool = False
    only: str | None = None
    jobs: int = 4
    expect_project: str | None = None
    detailed_exitcode: bool = False


@dataclass(slots=True)
class Report:
    """What is known of a run so far: it can be printed at any time, also after a failure."""

    dry_run: bool
    plan: plan.Plan | None = None
    applied: list[apply.Applied] = field(default_factory=list)
    requests: int = 0
    duration_ms: int = 0


def execute(opts: options.Options, request: Request) -> None:
    """Plan, apply unless it is a dry run, print the result, and exit by the contract.

    Raises:
        errors.PartlyAppliedError: some changes failed; the next run completes them.
    """
    report = Report(request.dry_run)
    try:
        wiring.run(_connect_and_run(opts, request, report))
        raise_failures(report)
    except errors.MedbotsError as error:
        if report.plan is not None:
            render_changes.result(opts, report, error)
            error.reported = opts.json
        raise
    render_changes.result(opts, report)
    if request.detailed_exitcode and report.plan and report.plan.to_do:
        raise typer.Exit(_CHANGES)


async def _connect_and_run(opts: options.Options, request: Request, report: Report) -> None:
    the_manifest = wiring.manifest(opts)
    settings = wiring.settings(opts, the_manifest)
    bundles = wiring.bundles(the_manifest) if state.Kind.BOT in request.kinds else {}
    async with wiring.connected(settings) as client:
        await run(client, the_manifest, settings, bundles, request, report)


async def run(
    client: Client,
    the_manifest: manifest.Manifest,
    settings: config.Settings,
    bundles: Mapping[str, model.Bundle],
    request: Request,
    report: Report,
) -> None:
    """Read, plan and apply in the client's project, filling `report` as it goes.

    Raises:
        errors.NotAllowedError: another project than expected, or the login may not do a part.
        errors.MedbotsError: the server cannot be read. A failed change is in the report instead.
    """
    from medbots import apply, desired, plan
    from medbots.medplum import server as server_module

    started = time.perf_counter()
    _expect(client, request.expect_project)
    wanted = desired.build(the_manifest, settings, os.environ, client.project.id, bundles)
    if request.only:
        wanted = desired.only(wanted, request.only)
    server = server_module.ProjectServer(client, the_manifest.namespace)
    try:
        report.plan = plan.diff(wanted, await server.read(wanted), request.kinds)
        if not request.dry_run:
            async for applied in apply.apply(report.plan, server, jobs=request.jobs):
                report.applied.append(applied)
    finally:
        report.requests = client.requests
        report.duration_ms = round((time.perf_counter() - started) * 1000)


def _expect(client: Client, expected: str | None) -> None:
    if expected and expected not in (client.project.id, client.project.name):
        raise errors.NotAllowedError(
            f"the login works in project {client.project.name!r} ({client.project.id}), "
            f"and --expect-project says {expected!r}",
            hint="medbots login --project ID",
        )


def raise_failures(report: Report) -> None:
    """Raise what the failures of a run amount to.

    Raises:
        errors.PartlyAppliedError: some changes were written, some failed.
        errors.MedbotsError: nothing was written: the first failure itself.
    """
    failures = [one.error for one in report.applied if one.error]
    if not failures:
        return
    written = sum(one.change.to_do and one.status == "done" for one in report.applied)
    if not written:
        raise failures[0]
    raise errors.PartlyAppliedError(
        f"{written} changes were applied and {len(failures)} failed: {failures[0].message}",
        hint=failures[0].hint or "run the command again: it completes what is missing",
    )
