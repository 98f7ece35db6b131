"""Plan and apply, as the verbs that change a project share it."""

from __future__ import annotations

import os
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import typer

from medbots import errors, state
from medbots.cli import contract_guard, options, render, render_changes, wiring

if TYPE_CHECKING:
    from medbots import apply, config, manifest, model, plan

ALL = tuple(state.Kind)
"""The kinds that `plan` shows."""

DEPLOY = tuple(kind for kind in state.Kind if kind is not state.Kind.SUBSCRIPTION)
"""The kinds that `deploy` keeps."""

SYNC = (state.Kind.SUBSCRIPTION,)
"""The kinds that `subscriptions sync` keeps."""

_ATTEMPTS = 3
"""How often a plan is applied, where somebody else changes the same things meanwhile."""

SUPER_ADMIN_PROJECT = (
    "warning: this is the server's super admin project: a bot in it can read every project, and "
    "no subscription in it fires for another's records; an admin of the project with the "
    "clinical data deploys there"
)
"""What a super admin has to know before a plan is applied where only they can log in."""

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
    strict: bool = False
    """Judge bots by the code that runs, not by the marks beside it."""


class Counter(Protocol):
    """Knows how many requests were made since login."""

    @property
    def requests(self) -> int:
        """How many."""
        ...


class Review(Protocol):
    """Looks at a plan before it is shown or applied."""

    async def __call__(self, the_plan: plan.Plan, actual: state.ServerState, /) -> plan.Plan:
        """Return it, or one with some of its changes left out or explained."""
        ...


@dataclass(slots=True)
class Report:
    """What is known of a run so far: it can be printed at any time, also after a failure."""

    dry_run: bool
    plan: plan.Plan | None = None
    applied: list[apply.Applied] = field(default_factory=list)
    requests: int = 0
    duration_ms: int = 0

    def record(self, applied: apply.Applied) -> None:
        """Keep how a change ended; another attempt counts where the one before did not succeed."""
        place = (applied.change.kind, applied.change.key)
        for index, one in enumerate(self.applied):
            if (one.change.kind, one.change.key) == place:
                if one.status != "done":
                    self.applied[index] = applied
                return
        self.applied.append(applied)


def execute(opts: options.Options, request: Request) -> None:
    """Plan, apply unless it is a dry run, print the result, and exit by the contract.

    Raises:
        errors.PartlyAppliedError: some changes failed; the next run completes them.
    """
    report = Report(request.dry_run)
    reported(opts, report, connect_and_run(opts, request, report))
    render_changes.result(opts, report)
    if request.detailed_exitcode and report.plan and report.plan.to_do:
        raise typer.Exit(_CHANGES)


def reported(opts: options.Options, report: Report, running: Coroutine[None, None, None]) -> None:
    """Run to the end; on failure print what is known once there is a plan, then raise it.

    Raises:
        errors.MedbotsError: the failure; already printed where stdout is JSON.
    """
    try:
        wiring.run(running)
        raise_failures(report)
    except errors.MedbotsError as error:
        if report.plan is not None:
            render_changes.result(opts, report, error)
            error.reported = opts.json
        raise


async def connect_and_run(opts: options.Options, request: Request, report: Report) -> None:
    """Do what `request` asks, by the settings of this run, filling `report` as it goes.

    Raises:
        errors.MedbotsError: as `run`; or the manifest, a bundle or the login is not as it must be.
    """
    from medbots.medplum import server, strict

    the_manifest = wiring.manifest(opts)
    settings = wiring.settings(opts, the_manifest)
    bundles = wiring.bundles(the_manifest) if state.Kind.BOT in request.kinds else {}
    async with wiring.connected(settings) as client:
        project = state.Project(client.project.id, client.project.name)
        expect(project, request.expect_project)
        if client.rights.super_admin and not opts.json:
            render.note(SUPER_ADMIN_PROJECT)
        wanted = wish(the_manifest, settings, bundles, request, project)
        kind = strict.StrictServer if request.strict else server.ProjectServer
        the_server = kind(client, the_manifest.namespace)

        async def review(the_plan: plan.Plan, actual: state.ServerState) -> plan.Plan:
            return await contract_guard.review(the_plan, actual, settings)

        await run(the_server, wanted, request, report, client, review)


def wish(
    the_manifest: manifest.Manifest,
    settings: config.Settings,
    bundles: Mapping[str, model.Bundle],
    request: Request,
    project: state.Project,
) -> model.Desired:
    """Return what should stand in `project`, as far as `request` means it.

    Raises:
        errors.UsageError: nothing that the verb keeps matches `--only`.
    """
    from medbots import desired

    wanted = desired.build(the_manifest, settings, os.environ, project.id, bundles)
    if not request.only:
        return wanted
    part = desired.only(wanted, request.only)
    if not (
        (state.Kind.BOT in request.kinds and part.bots)
        or (state.Kind.SUBSCRIPTION in request.kinds and part.subscriptions)
    ):
        what, verb = (
            ("bot", "subscriptions sync") if part.subscriptions else ("subscription", "deploy")
        )
        raise errors.UsageError(
            f"--only {request.only}: no {what} of the manifest is meant by it",
            hint=f"medbots {verb} --only {request.only}",
        )
    return part


async def run(
    server: state.Server,
    wanted: model.Desired,
    request: Request,
    report: Report,
    counter: Counter,
    review: Review | None = None,
) -> None:
    """Read, plan and apply, filling `report` as it goes; `review` may change what was planned.

    Raises:
        errors.NotAllowedError: the login may not do a part of the plan; nothing was written.
        errors.MedbotsError: the server cannot be read. A failed change is in the report instead.
    """
    from medbots import plan

    started = time.perf_counter()
    try:
        actual = await server.read(wanted)
        report.plan = plan.diff(wanted, actual, request.kinds)
        if review:
            report.plan = await review(report.plan, actual)
        if request.dry_run:
            report.plan.raise_if_blocked()
        else:
            await _apply(server, wanted, request, report, review)
    finally:
        report.requests = counter.requests
        report.duration_ms = round((time.perf_counter() - started) * 1000)


async def _apply(
    server: state.Server,
    wanted: model.Desired,
    request: Request,
    report: Report,
    review: Review | None,
) -> None:
    """Apply the plan. What somebody else changed meanwhile is read again, and planned anew."""
    from medbots import apply, plan

    the_plan = report.plan
    for _ in range(_ATTEMPTS):
        if the_plan is not None:
            async for applied in apply.apply(the_plan, server, jobs=request.jobs):
                report.record(applied)
        if not any(isinstance(one.error, errors.ConflictError) for one in report.applied):
            return
        actual = await server.read(wanted)
        the_plan = plan.diff(wanted, actual, request.kinds)
        if review:
            the_plan = await review(the_plan, actual)


def expect(project: state.Project, expected: str | None) -> None:
    """Raise unless the login works in the project that `--expect-project` names.

    Raises:
        errors.NotAllowedError: it works in another one.
        errors.UsageError: the flag was given an empty value, as by a variable that is not set.
    """
    if expected == "":
        raise errors.UsageError(
            "--expect-project names no project: its value is empty",
            hint="set the variable that it is taken from, or leave the flag out",
        )
    if expected is not None and expected not in (project.id, project.name):
        raise errors.NotAllowedError(
            f"the login works in project {project.name!r} ({project.id}), "
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
