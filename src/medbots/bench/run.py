"""One run: both sides filled and searched side by side, so that a busy machine hits both alike."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from medbots import errors, secret
from medbots.bench import data, defects, figures, guide, ours, side
from medbots.database import connection as connection_module
from medbots.database import elsewhere, indexes, maintenance, scratch, wear
from medbots.database import table as table_module

_SHARES = (0.25, 0.5, 1.0)
"""Of the rows: the stages at which the run stops to measure."""
_AT_STAGE, _EXACT = 20, 20
"""Searches of each kind at a stage, and exact ones at the end."""
_WARM = 3
_KINDS = ("everything", "rare", "patient", "exact")
_CANDIDATES = (10, 20, 40, 100, 200, 400)
_PROBES = (1, 5, 10, 20, 50)
_ON_CURVE = 30
_INSERTED = 100
"""A batch that is copied into the index is one row in so many, and at least `_LEAST_INSERTED`."""
_LEAST_INSERTED = 50

Say = Callable[[str], None]
Search = Callable[[data.Query], Awaitable[side.Timed]]


@dataclass(frozen=True, slots=True)
class Ground:
    """The database to measure in."""

    url: secret.Secret
    setting: str
    """Where the URL came from, for errors."""


async def measure(
    ground: Ground, corpus: data.Corpus, say: Say = lambda _: None
) -> figures.Measured:
    """Fill both sides with the same rows, ask them the same, and return what was measured.

    Everything happens in scratch schemas, which are dropped at the end; those of runs that were
    cut are dropped first.

    Args:
        ground: where.
        corpus: rows and queries.
        say: is told what is being done.

    Raises:
        errors.MedbotsError: the database refuses, or is lost.
    """
    with connection_module.translated(doing="the benchmark"):
        return await _measure(ground, corpus, say)


async def _measure(ground: Ground, corpus: data.Corpus, say: Say) -> figures.Measured:
    began = time.perf_counter()
    for name in await scratch.sweep(ground.url, ground.setting):
        say(f"dropped {name}, which an interrupted run had left")
    say(f"make {corpus.queries} queries and their true answers")
    queries = corpus.asked()
    async with _sides(ground) as (theirs, mine):
        stages: list[figures.Stage] = []
        rows = itertools.chain.from_iterable(corpus.batches())
        for share in _SHARES:
            size = round(corpus.rows * share)
            say(f"{size:,} rows: load, build, insert, search")
            before = stages[-1].rows if stages else 0
            stage = await _stage(theirs, mine, rows, before, size, queries)
            stages.append(stage)
            if size < corpus.rows:
                await mine.drop()
        say("build the indexes of rare types")
        await mine.build_types()
        await _settle(theirs, mine)
        sizes = await side.size(theirs.connection), await side.size(mine.connection)
        say(f"search, {corpus.queries} queries of each kind on both sides in turn")
        searched = await _searches(theirs, mine, queries)
        say("recall against latency")
        curves = await _curves(theirs, mine, queries[:_ON_CURVE])
        say("rebuild the index while searches run")
        reindex, stall, meanwhile = await _stall(ground, mine, queries)
        server = await _server(mine.connection)
    say("count defects")
    theirs_wrong, mine_wrong = await _defects(ground)
    return figures.Measured(
        rows=corpus.rows,
        server=server,
        guide=_summary(searched[0], sizes[0], theirs_wrong),
        ours=_summary(searched[1], sizes[1], mine_wrong),
        stages=tuple(stages),
        reindex=reindex,
        stall=stall,
        searches_meanwhile=meanwhile,
        curve=curves[0],
        guide_curve=curves[1],
        seconds=time.perf_counter() - began,
    )


@asynccontextmanager
async def _sides(ground: Ground) -> AsyncIterator[tuple[guide.Guide, ours.Ours]]:
    async with AsyncExitStack() as stack:
        made: list[elsewhere.Connection] = []
        for kind in ("guide", "ours"):
            schema = scratch.schema(ground.url, kind, ground.setting)
            connection = await stack.enter_async_context(schema)
            await side.prepare(connection)
            made.append(connection)
        await guide.create(made[0])
        await ours.create(made[1])
        await side.unlimited(made[1])
        yield guide.Guide(made[0]), ours.Ours(made[1])


async def _stage(
    theirs: guide.Guide,
    mine: ours.Ours,
    rows: Iterator[data.Row],
    before: int,
    size: int,
    queries: Sequence[data.Query],
) -> figures.Stage:
    """Load up to `size` rows, the last of them into the finished index, and search a little."""
    inserted = max(size // _INSERTED, _LEAST_INSERTED)
    loaded = size - before - inserted
    theirs_seconds = load = 0.0
    for start in range(0, loaded, data.BATCH):
        batch = list(itertools.islice(rows, min(data.BATCH, loaded - start)))
        load += await mine.load(batch)
        theirs_seconds += await theirs.load(batch)
    build = await mine.build()
    last = list(itertools.islice(rows, inserted))
    insert = await mine.load(last)
    theirs_seconds += await theirs.load(last)
    await _settle(theirs, mine)
    some = queries[:_AT_STAGE]
    return figures.Stage(
        rows=size,
        build=build,
        load_row=load / loaded,
        insert_row=insert / inserted,
        guide_row=theirs_seconds / (loaded + inserted),
        search=await _median(mine.everything, some),
        exact=await _median(mine.exact, some),
        guide_search=await _median(theirs.everything, some),
        guide_exact=await _median(theirs.exact, some),
        bytes=await side.size(mine.connection),
        guide_bytes=await side.size(theirs.connection),
    )


async def _settle(theirs: guide.Guide, mine: ours.Ours) -> None:
    """Let statistics and visibility be those of a store that has stood a while."""
    for one in (theirs, mine):
        await one.connection.execute(f"VACUUM (ANALYZE, PARALLEL 0) {table_module.NAME}")


async def _median(search: Search, queries: Sequence[data.Query]) -> float:
    found = [await search(query) for query in queries]
    return figures.searches([(0, one.seconds, one.whole) for one in found]).p50


async def _searches(
    theirs: guide.Guide, mine: ours.Ours, queries: Sequence[data.Query]
) -> tuple[dict[str, figures.Searches], dict[str, figures.Searches]]:
    """Ask both sides in turn, query by query; return the figures of each by kind."""
    both: tuple[dict[str, figures.Searches], ...] = ({}, {})
    sides: tuple[side.Side, ...] = (theirs, mine)
    for kind in _KINDS:
        asked = queries[:_EXACT] if kind == "exact" else queries
        for query in asked[:_WARM]:
            for one in sides:
                await _ask(one, kind, query)
        found: tuple[list[tuple[float, float, float]], ...] = ([], [])
        for query in asked:
            for one, answers in zip(sides, found, strict=True):
                timed = await _ask(one, kind, query)
                recall = _recall(timed.found, _truth(query, kind))
                answers.append((recall, timed.seconds, timed.whole))
        for by_kind, answers in zip(both, found, strict=True):
            by_kind[kind] = figures.searches(answers)
    return both[0], both[1]


async def _ask(one: side.Side, kind: str, query: data.Query) -> side.Timed:
    match kind:
        case "everything":
            return await one.everything(query)
        case "rare":
            return await one.rare(query)
        case "patient":
            return await one.patient(query)
    return await one.exact(query)


def _summary(
    searched: Mapping[str, figures.Searches], size: int, wrong: Mapping[str, int]
) -> figures.Side:
    return figures.Side(
        searched["everything"],
        searched["rare"],
        searched["patient"],
        searched["exact"],
        size,
        wrong,
    )


def _truth(query: data.Query, kind: str) -> frozenset[uuid.UUID]:
    return {"rare": query.nearest_rare, "patient": query.nearest_of_patient}.get(
        kind, query.nearest
    )


def _recall(found: frozenset[uuid.UUID], truth: frozenset[uuid.UUID]) -> float:
    return len(found & truth) / len(truth) if truth else 1.0


async def _curves(
    theirs: guide.Guide, mine: ours.Ours, queries: Sequence[data.Query]
) -> tuple[tuple[figures.Point, ...], tuple[figures.Point, ...]]:
    """Return recall and latency by the candidates of ours, and by the probes of the guide's."""
    curves: list[tuple[figures.Point, ...]] = []
    for search, settings in ((mine.reaching, _CANDIDATES), (theirs.probing, _PROBES)):
        points: list[figures.Point] = []
        for setting in settings:
            found = []
            for query in queries:
                timed = await search(query, setting)
                found.append((_recall(timed.found, query.nearest), timed.seconds, timed.whole))
            summary = figures.searches(found)
            points.append(figures.Point(setting, summary.recall, summary.p50))
        curves.append(tuple(points))
    return curves[0], curves[1]


async def _stall(
    ground: Ground, mine: ours.Ours, queries: Sequence[data.Query]
) -> tuple[float, float, int]:
    """Rebuild the index in one session and search in another; return both times and the number."""
    found = await wear.inspect(mine.connection, table_module.NAME)
    if found is None:
        raise errors.DatabaseError("the table to rebuild the index of is not there")
    schema = mine.connection.schema
    async with scratch.another(ground.url, schema, ground.setting) as connection:
        began = time.perf_counter()
        rebuilding = asyncio.create_task(maintenance.rebuild(connection, found, indexes.NAME))
        times = []
        for query in itertools.cycle(queries):
            if rebuilding.done():
                break
            times.append((await mine.everything(query)).whole)
            await asyncio.sleep(0)
        await rebuilding
        return time.perf_counter() - began, max(times), len(times)


async def _defects(ground: Ground) -> tuple[dict[str, int], dict[str, int]]:
    async with (
        scratch.schema(ground.url, "guide", ground.setting) as theirs,
        scratch.schema(ground.url, "ours", ground.setting) as mine,
    ):
        return (
            await defects.count(defects.GuideStore(theirs)),
            await defects.count(defects.OurStore(mine)),
        )


async def _server(connection: elsewhere.Connection) -> str:
    cursor = await connection.execute(
        "SELECT current_setting('server_version'), extversion FROM pg_extension "
        "WHERE extname = 'vector'"
    )
    release, vector = await cursor.fetchone()
    return f"Postgres {release.partition(' ')[0]}, pgvector {vector}"
