"""`db migrate --reembed`: another embedding model, while searches go on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medbots import state
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
from medbots.cli import (
    reembed_sight as sight_module,
)
from medbots.embeddings import contract as contract_module

if TYPE_CHECKING:
    from medbots import config
    from medbots.database.connection import Connection
    from medbots.database.watch import Watch
    from medbots.embeddings import reembed as reembed_module
    from medbots.embeddings import refill as refill_module
    from medbots.embeddings import router as router_module


@dataclass(frozen=True, slots=True)
class Request:
    """What the flags ask for."""

    jobs: int
    """Requests under way at once."""
    batch: int
    """Texts in one request."""
    dry_run: bool = False
    expect_project: str | None = None


def reembed(opts: options.Options, request: Request) -> db_report.Report:
    """Look, ask, change the model, and print what was done; return the report."""
    report = db_report.Report(dry_run=request.dry_run)
    started = time.perf_counter()
    sight = wiring.run(_look(opts, request, report))
    if not (request.dry_run or sight.nothing):
        if not opts.json and (opts.yes or not opts.interactive):
            render.note(sight.extent)
        prompts.confirm(opts, f"Going to {sight.extent}. Go on?")
    running = _plan(opts, report, sight) if request.dry_run else _run(opts, request, report)
    db_report.reported(opts, report, db_report.timed(report, started, running))
    if report.changed and not (request.dry_run or opts.json):
        render.note("the former vectors stay until: medbots db migrate --drop-previous")
        for said in _fleeting(wiring.settings(opts, wiring.manifest(opts))):
            render.note(said)
    return report


def _fleeting(settings: config.Settings) -> Iterator[str]:
    """What to do so that no later deploy plans the former model back."""
    origins = (settings.origin(name) for name in contract_module.SECRETS.values())
    given = [one.removeprefix("env ") for one in origins if one.startswith("env ")]
    if given:
        yield (
            f"{', '.join(given)} came from the environment: write the model into the manifest "
            "(models.embedding) too; a plan or deploy without them means what stands there"
        )


async def _look(
    opts: options.Options, request: Request, report: db_report.Report
) -> sight_module.Sight:
    """Return what is to be done, and raise what stands against it; nothing is changed."""
    from medbots.embeddings import documents, reembed

    async with _opened(opts, request, report) as run:
        async with store.connected(run.settings) as connection:
            sight = await _seen(run, connection, request)
        if (sight.todo or sight.outlook.makes) and not request.dry_run:
            await reembed.probe(documents.Documents(run.router, sight.new), sight.new)
        return sight


async def _plan(opts: options.Options, report: db_report.Report, sight: sight_module.Sight) -> None:
    """Say what a run would do; its SQL goes into the report."""
    from medbots.cli import render_watch
    from medbots.database import changeover
    from medbots.embeddings import reembed

    settings = wiring.settings(opts, wiring.manifest(opts))
    with render_watch.Watcher(opts, settings, report.script) as watch:
        async with store.connected(settings) as connection:
            change = changeover.Changeover(connection, sight.wish, sight.outlook, watch)
            stages = {
                reembed.Stage.TABLE: await change.make(),
                reembed.Stage.ROWS: bool(sight.todo),
                reembed.Stage.INDEX: sight.outlook.indexes and await change.index(),
                reembed.Stage.SWITCH: await change.switch(),
                reembed.Stage.SECRETS: sight.old != sight.new,
            }
    for stage, changed in stages.items():
        done = reembed.Done(stage, changed)
        report.steps += sight_module.steps(sight, done, sight.work)


async def _run(opts: options.Options, request: Request, report: db_report.Report) -> None:
    from medbots.cli import render_watch
    from medbots.database import changeover, lock, refill, schema
    from medbots.embeddings import documents, reembed
    from medbots.embeddings import refill as refill_module

    async with _opened(opts, request, report) as run:
        with render_watch.Watcher(opts, run.settings, quiet=True) as watch:
            async with (
                store.connected(run.settings) as connection,
                lock.alone(connection, schema.LOCK_WAIT_SECONDS, watch),
            ):
                sight = await _seen(run, connection, request)
                wish = sight.wish
                rows = refill.Refill(
                    wish.project_id,
                    wish.model_version,
                    sight.outlook.target,
                    lambda: store.connected(run.settings),
                )
                tables = changeover.Changeover(connection, wish, sight.outlook, watch, rows)
                model = documents.Documents(run.router, sight.new)
                tally = refill_module.Tally()
                filler = refill_module.Filler(
                    rows, model, sight.new, request.jobs, request.batch, tally
                )
                stages = reembed.run(tables, run.secrets, filler, _bar(watch))
                async for done in stages:
                    report.steps += sight_module.steps(
                        sight, done, sight_module.said(tally, model.requests)
                    )


@dataclass(frozen=True, slots=True)
class _Run:
    """What a run is connected to."""

    settings: config.Settings
    project: state.Project
    secrets: project_contract.ProjectContract
    router: router_module.Router


@asynccontextmanager
async def _opened(
    opts: options.Options, request: Request, report: db_report.Report
) -> AsyncIterator[_Run]:
    """Log in, and open what has to be open; raise where patient text may not go to the router."""
    from medbots.embeddings import phi_route, router

    the_manifest = wiring.manifest(opts)
    settings = wiring.settings(opts, the_manifest)
    report.database = store.name(settings)
    async with wiring.connected(settings) as client:
        report.project = state.Project(client.project.id, client.project.name)
        changes.expect(report.project, request.expect_project)
        secrets = project_contract.ProjectContract(client, the_manifest.namespace)
        phi_route.require(settings.llm_router_url, await secrets.phi_hosts())
        made = router.Router(
            settings.llm_router_url,
            settings.llm_api_key,
            origin=settings.origin("llm_router_url"),
            allow_http=settings.allow_http,
        )
        try:
            async with made:
                yield _Run(settings, report.project, secrets, made)
        finally:
            report.requests = client.requests


async def _seen(run: _Run, connection: Connection, request: Request) -> sight_module.Sight:
    from medbots.database import changeover, refill
    from medbots.embeddings import contract
    from medbots.embeddings import refill as refill_module

    await run.secrets.require_database(connection)
    old, new = await run.secrets.read(), contract.of_settings(run.settings)
    wish = store.wish(run.settings, run.project.id)
    outlook = await changeover.look(connection, wish)
    todo = await refill.behind(connection, wish.project_id, wish.model_version, outlook.target)
    requests = refill_module.requests(todo, request.batch)
    return sight_module.Sight(wish, outlook, old, new, tuple(todo), requests)


def _bar(watch: Watch) -> reembed_module.Bar:
    """Return what tells how far a filling is, as builds of indexes are told."""
    from medbots.database.watch import DONE, Progress

    @contextmanager
    def shown(title: str, total: int) -> Iterator[refill_module.Advance]:
        done = 0

        def advance(chunks: int) -> None:
            nonlocal done
            done += chunks
            watch.progress(Progress("vectors", title, done, max(done, total)))

        yield advance
        watch.progress(Progress("vectors", DONE, done, done))

    return shown
