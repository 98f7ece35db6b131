"""What `embeddings reconcile` embeds with, and the vector index out of the way meanwhile."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from medbots import assets, errors
from medbots.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from medbots.cli.inventory import Sides
    from medbots.cli.render_watch import Watcher
    from medbots.embeddings.reconcile import Embedder
    from medbots.manifest import Manifest

_TOOL = ("src", "tools", "record-text.ts")
_SMALL = 20_000
"""Rows that a search scans in time without the vector index."""
_LARGEST = 50_000
"""Rows that the table may grow to meanwhile: still some tenths of a second for a search."""
_SHARE = 0.08
"""Of the rows: an index that has to take more is faster built anew."""
_LOCK_SECONDS = 60.0


@asynccontextmanager
async def embedder(sides: Sides, direct: bool) -> AsyncIterator[Embedder]:
    """Give what embeds: the bot, or medbots itself.

    Raises:
        errors.NotAllowedError: patient text may not go to the router from here.
        errors.MedbotsError: the bot, the router, or what makes the text is not there.
    """
    from medbots.bots import deployed
    from medbots.bots import embedder as by_bot

    if not direct:
        keys = [bot.key for bot in sides.manifest.bots]
        bot = await deployed.bot(sides.client, sides.manifest.namespace, by_bot.KEY, keys)
        yield by_bot.BotEmbedder(sides.client, bot)
        return
    from medbots.database.bulk import Writer
    from medbots.embeddings import direct as by_hand
    from medbots.embeddings import phi_route, record_text, router
    from medbots.embeddings.documents import Documents

    settings, version = sides.settings, sides.contract.version
    phi_route.require(settings.llm_router_url, sides.phi_hosts)
    node, program = _node(), _program(sides.manifest)
    origin, base_url = settings.origin("llm_router_url"), await sides.server.base_url()
    async with (
        router.Router(
            settings.llm_router_url,
            settings.llm_api_key,
            origin=origin,
            allow_http=settings.allow_http,
        ) as model,
        record_text.RecordTexts(node, program, sides.server, base_url, version) as texts,
    ):
        writer = Writer(sides.connection, sides.store)
        found = by_hand.Direct(
            sides.server, texts, Documents(by_hand.Packing(model), sides.contract), writer
        )
        yield found


def _node() -> Path:
    from medbots.bundler import tools

    found = tools.node(os.environ)
    if found is None:
        raise errors.MedbotsError(
            "--direct needs Node, which makes the text of records as the bot does",
            hint="pip install 'medbots[node]'; or leave --direct out",
        )
    return found


def _program(manifest: Manifest) -> Path:
    """Return the program that makes records' text by the modules of the manifest's own bot."""
    from medbots import bundler
    from medbots.bots import embedder as by_bot
    from medbots.bundler import project

    sources = [bot.source for bot in manifest.bots if bot.key == by_bot.KEY]
    root = project.of(sources[0], assets.sql()).root if sources else assets.bot_templates()
    source = root.joinpath(*_TOOL)
    if not source.is_file():
        raise errors.MedbotsError(
            f"{source} is not there: the text of records would not be what your Embedding Bot "
            "makes of them",
            hint="take it over from the packaged bots, or leave --direct out",
        )
    file, _ = bundler.program(source)
    return file


def faster_anew(rows: int, missing: int) -> bool:
    """Return whether to build the vector index anew after a load, and to do without it meanwhile.

    Args:
        rows: in the table before.
        missing: resources to be embedded, each of at least one row.
    """
    if missing <= _SHARE * max(rows, missing):
        return False
    # In an empty table there is nothing yet that a search could miss.
    return rows == 0 or (rows < _SMALL and rows + missing <= _LARGEST)


@asynccontextmanager
async def index_aside(
    opts: options.Options, sides: Sides, embedding: Embedder, resources: int
) -> AsyncIterator[None]:
    """Take the vector index away where it is faster built anew, and build it at the end.

    That is where medbots itself embeds, and the router has shown that it can.

    Only while the table is small enough for searches to do without. One that is missing, as an
    interrupted run leaves it, is built too.
    """
    from medbots.cli import render_inventory, render_watch
    from medbots.database import builds, indexes, lock, table
    from medbots.embeddings import direct

    connection = sides.connection
    # While the length of vectors is being changed, these may be another table's than the bots'.
    in_use = (await table.inspect(connection)).dimension == sides.contract.dimension
    if not (isinstance(embedding, direct.Direct) and in_use):
        yield
        return
    rows = await table.count(connection)
    index = indexes.of_model(await indexes.find(connection), sides.contract.version)
    # Only a small table is counted: this reads all of it.
    missing = resources - await _settled(sides) if rows < _SMALL else 0
    with render_watch.Watcher(opts, sides.settings, quiet=True) as watch:
        if index is not None and faster_anew(rows, missing):
            await embedding.prove()
            render_inventory.note(
                opts,
                f"the vector index is built anew at the end, which is faster for {missing} "
                "records; until then searches read every row",
            )
            async with lock.alone(connection, _LOCK_SECONDS, watch):
                await builds.drop(connection, index.name, concurrently=rows > 0, watch=watch)
            index = None
        try:
            yield
        finally:
            if index is None and not connection.closed:
                render_inventory.note(opts, "building the vector index")
                await _build_index(sides, watch)


async def _build_index(sides: Sides, watch: Watcher) -> None:
    from medbots.database import indexes, lock, roles

    connection, project = sides.connection, sides.client.project.id
    async with lock.alone(connection, _LOCK_SECONDS, watch):
        shared = await roles.shared(connection, project)
        await indexes.ensure(connection, sides.contract.version, shared=shared, watch=watch)


async def _settled(sides: Sides) -> int:
    """Return how many resources have rows of the model in use, or were withheld or deleted."""
    from medbots.database import queries, table

    project = sides.client.project.id
    found = await queries.run(
        sides.connection, "embedded_resources", project, sides.contract.version
    )
    gone = await sides.connection.execute(
        f"SELECT count(*) FROM {table.TOMBSTONES} WHERE project_id = %s",  # noqa: S608
        [project],
    )
    (tombstones,) = await gone.fetchone() or (0,)
    return found.rowcount + int(tombstones)
