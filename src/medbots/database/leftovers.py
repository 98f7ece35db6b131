"""What interrupted builds left: indexes that every write pays for and no search uses."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from medbots.database import builds, keys, queries, table
from medbots.database import connection as connection_module
from medbots.database import watch as watch_module

_VECTOR = ("hnsw", "ivfflat")
_BUILT_AGAIN = (keys.KEY, keys.PATIENT)
_COPY = re.compile(r"(?P<of>.+)_cc(?P<kind>new|old)\d*")


@dataclass(frozen=True, slots=True)
class LeftOver:
    """An invalid index."""

    table: str
    """With its schema."""
    name: str
    kind: str
    """Its access method, such as `btree` or `hnsw`."""
    bytes: int
    building: bool
    """Whether a session builds an index of that table now: then it may be no left-over."""

    @property
    def copy_of(self) -> str | None:
        """The index that an interrupted REINDEX CONCURRENTLY was to replace, or had replaced."""
        found = _COPY.fullmatch(self.name)
        return found["of"] if found else None

    @property
    def ours(self) -> bool:
        """Whether `db migrate` removes it, or builds it again."""
        return self.copy_of is not None or self.kind in _VECTOR or self.name in _BUILT_AGAIN


async def find(
    connection: connection_module.Connection, tables: Sequence[str] = table.STORE
) -> tuple[LeftOver, ...]:
    """Return the invalid indexes of the store's tables."""
    cursor = await queries.run(connection, "invalid_indexes", list(tables))
    return tuple([LeftOver(*row) async for row in cursor])


async def remove(
    connection: connection_module.Connection,
    *,
    tables: Sequence[str] = table.STORE,
    wait_seconds: float | None = None,
    watch: watch_module.Watch = watch_module.SILENT,
) -> AsyncIterator[LeftOver]:
    """Drop the copies that an interrupted REINDEX CONCURRENTLY left, and yield each.

    The index itself still stands, or its successor does. Other invalid indexes keep their names:
    who makes them (`keys.ensure`, `indexes.ensure`) builds them again. The caller holds
    `lock.alone`.

    Raises:
        errors.DatabaseError: another session builds an index of the table for longer than
            `wait_seconds`; says which.
    """
    if not any(one.copy_of for one in await find(connection, tables)):
        return
    if not watch.dry_run:
        await builds.alone(connection, tables, wait_seconds, watch=watch)
    for one in await find(connection, tables):
        if one.copy_of:
            await builds.drop(connection, one.name, concurrently=True, watch=watch)
            yield one
