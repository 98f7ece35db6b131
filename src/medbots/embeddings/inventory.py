"""Compares what the server holds with what the store holds, page by page."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from medbots import inventory
from medbots.inventory import Standing, Tally, Version

KEYS = 150
"""Resources that are looked up on the server at once: proxies take URLs of 8 kB."""


class Server(Protocol):
    """The Medplum server, seen by a login from which nothing is hidden."""

    def pages(self, kind: str, since: dt.datetime | None) -> AsyncIterator[list[Version]]:
        """Yield the versions of a type, oldest change first, from an instant on."""
        ...

    async def versions(self, kind: str, ids: Sequence[str]) -> list[Version]:
        """Return the current versions of those that are there, in any order."""
        ...

    async def gone(self, kind: str, resource_id: str) -> bool:
        """Whether a direct read says that there is no such resource."""
        ...

    async def failures(self, kind: str, versions: Sequence[Version]) -> set[str]:
        """Return the ids whose embedding failed, by the audit trail, after the version was made."""
        ...


class Turn(Protocol):
    """The store while nobody else writes the resources that were named."""

    async def now(self) -> dt.datetime:
        """Return the store's time: this machine's clock may be wrong."""
        ...

    async def remove(self, ids: Sequence[str], until: dt.datetime) -> int:
        """Delete every row, mark the resources as gone until then; return how many had any."""
        ...

    async def lift(self, versions: Sequence[Version]) -> None:
        """Forget whatever says that something later than these versions is known."""
        ...


class Store(Protocol):
    """The embedding store of one project and one model."""

    async def compare(self, kind: str, versions: Sequence[Version]) -> dict[str, Standing]:
        """Return how the store stands to each version."""
        ...

    async def keys(self, kind: str, after: str | None, limit: int) -> list[str]:
        """Return the ids of resources that have rows, of any model, in order."""
        ...

    async def models(self) -> list[tuple[str, int]]:
        """Return the model versions with their rows, the most first."""
        ...

    def alone(self, kind: str, ids: Sequence[str]) -> AbstractAsyncContextManager[Turn]:
        """Keep everybody else from writing these resources."""
        ...


Advance = Callable[[str, int], None]
"""Hears of resources that were looked at, by type."""


async def count(
    server: Server,
    store: Store,
    kinds: Sequence[str],
    *,
    since: dt.datetime | None = None,
    advance: Advance = lambda *_: None,
) -> inventory.Inventory:
    """Return the picture, of what was changed since an instant or of all, and change nothing.

    Raises:
        errors.MedbotsError: server or database refuse, or cannot be reached.
    """
    found = inventory.Inventory()
    for kind in kinds:
        tally = found.types[kind] = Tally()
        async for page in server.pages(kind, since):
            standings = await compare(server, store, kind, page)
            tally.take(standings.values())
            open_ = [one for one in page if standings[one.id] in OPEN]
            tally.failed += len(await server.failures(kind, open_)) if open_ else 0
            advance(kind, len(page))
        async for _, orphans in absent(server, store, kind, None):
            tally.orphaned += len(orphans)
    found.models = await store.models()
    return found


OPEN = frozenset({Standing.MISSING, Standing.STALE, Standing.BLOCKED, Standing.AHEAD})
"""What a reconciliation has to do something about."""


async def compare(
    server: Server, store: Store, kind: str, page: Sequence[Version]
) -> dict[str, Standing]:
    """Return how the store stands to each version of a page.

    Where the store is ahead of it, the server is asked again: most often the resource was changed
    since the page was read.
    """
    found = await store.compare(kind, page)
    ahead = [one.id for one in page if found[one.id] is Standing.AHEAD]
    for start in range(0, len(ahead), KEYS):
        now = await server.versions(kind, ahead[start : start + KEYS])
        found |= await store.compare(kind, now)
    return found


async def absent(
    server: Server, store: Store, kind: str, after: str | None
) -> AsyncIterator[tuple[str, list[str]]]:
    """Yield, batch by batch, the last id looked at, and those that a search did not find."""
    while keys := await store.keys(kind, after, KEYS):
        there = {one.id for one in await server.versions(kind, keys)}
        after = keys[-1]
        yield after, [one for one in keys if one not in there]
