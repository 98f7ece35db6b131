"""Follows the runs of bots as they come, also beyond a restart of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from medbots import errors
from medbots.bots import runs

if TYPE_CHECKING:
    from medbots.medplum.client import Client

INTERVAL = 2.0
"""Seconds between two looks."""
OVERLAP = timedelta(seconds=10)
"""How far each look goes back beyond what is known."""


async def follow(
    client: Client,
    query: runs.Query,
    known: Iterable[runs.Run],
    say: Callable[[str], object],
    *,
    interval: float = INTERVAL,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> AsyncGenerator[runs.Run, None]:
    """Yield each run once, as it ends, until the caller stops asking.

    While the server is out of reach it waits, and says so.

    Args:
        client: logged in to the project.
        query: which runs are meant.
        known: those that were seen already.
        say: takes a line of narration.
        interval: seconds between two looks.
        sleep: how to wait.

    Raises:
        errors.MedbotsError: the server refuses.
    """
    seen = {run.id: run.updated for run in known}
    first, last = min(seen.values(), default=None), max(seen.values(), default=None)
    away = False
    while True:
        await sleep(interval)
        try:
            found = await runs.after(client, query, last and last - OVERLAP)
        except errors.UnreachableError as error:
            if not away:
                say(f"{error.message}; waiting for it")
            away = True
            continue
        if away:
            say(f"{client.base_url} answers again")
        away = False
        for run in found:
            # What is older than all that is known was left out on purpose.
            if run.id not in seen and not (first and run.updated < first):
                yield run
        seen = {run.id: run.updated for run in found} or seen
        last = max([*seen.values(), *([last] if last else [])], default=None)
