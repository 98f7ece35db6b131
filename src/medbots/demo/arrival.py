"""Waits for the vectors of records: through subscriptions, nobody asks for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Collection

from medbots import errors
from medbots.bots import execution
from medbots.bots.deployed import Bot
from medbots.database import connection as connection_module
from medbots.database import queries
from medbots.medplum.client import Client

_POLL_SECONDS = 0.1
_AT_ONCE = 4


async def embedded(
    connection: connection_module.Connection, project_id: str, model_version: str
) -> set[str]:
    """Return the records that have vectors of this model, as `Type/id`."""
    found = await queries.run(connection, "embedded_resources", project_id, model_version)
    return {str(name) for (name,) in await found.fetchall()}


async def arrivals(
    connection: connection_module.Connection,
    project_id: str,
    model_version: str,
    expected: Collection[str],
    *,
    patience: float = 20.0,
) -> AsyncGenerator[int, None]:
    """Yield how many of `expected` have vectors, whenever it changes, until all have.

    Raises:
        errors.CheckFailedError: for `patience` seconds, no further one arrived.
    """
    last, changed = -1, time.monotonic()
    while last < len(expected):
        there = len(await embedded(connection, project_id, model_version) & set(expected))
        if there != last:
            last, changed = there, time.monotonic()
            yield there
        elif time.monotonic() - changed > patience:
            raise errors.CheckFailedError(
                f"{there} of {len(expected)} records have vectors, and for {patience:g} s no "
                "further one arrived",
                hint="medbots verify tells what does not work",
            )
        else:
            await asyncio.sleep(_POLL_SECONDS)


async def embed(client: Client, bot: Bot, records: Collection[str]) -> None:
    """Let the Embedding Bot make the vectors of records whose events were lost.

    Raises:
        errors.MedbotsError: the bot cannot, and says why.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(record: str) -> None:
        kind, _, found = record.partition("/")
        async with gate:
            await execution.succeed(client, bot, {"resourceType": kind, "id": found})

    await asyncio.gather(*(one(record) for record in records))
