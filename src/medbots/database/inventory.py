"""One project's part of the embedding store beside the server: compared, and cleared of orphans."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Sequence

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import queries
from medbots.database.connection import Connection
from medbots.inventory import Standing, Version

_RENAMED = "42P01"


class Store:
    """The store of one project and one model, over the owner's connection.

    One connection does one thing at a time: each method is alone on it until it ends.
    """

    def __init__(
        self, connection: Connection, project_id: str, model_version: str, dimension: int
    ) -> None:
        self._connection = connection
        self._project_id = project_id
        self.model = model_version
        self._dimension = dimension
        self._alone = asyncio.Lock()

    async def compare(self, kind: str, versions: Sequence[Version]) -> dict[str, Standing]:
        """Return how the store stands to each version."""
        if not versions:
            return {}
        async with self.working():
            cursor = await self.run(
                "bulk_compare",
                kind,
                self.model,
                [one.id for one in versions],
                [one.version for one in versions],
                [one.updated for one in versions],
            )
            return {name: Standing(standing) async for name, standing in cursor}

    async def keys(self, kind: str, after: str | None, limit: int) -> list[str]:
        """Return the ids of resources that have rows, of any model, in order."""
        async with self.working() as tables:
            found: set[str] = set()
            for table in tables:
                cursor = await self.run("bulk_keys", kind, after, limit, table=table)
                found |= {name async for (name,) in cursor}
        return sorted(found)[:limit]

    async def models(self) -> list[tuple[str, int]]:
        """Return the model versions with their rows, the most first."""
        counts: dict[str, int] = {}
        async with self.working() as tables:
            for table in tables:
                async for name, rows, _ in await self.run("model_versions", table=table):
                    counts[name] = counts.get(name, 0) + rows
        return sorted(counts.items(), key=lambda one: (-one[1], one[0]))

    @contextlib.asynccontextmanager
    async def alone(self, kind: str, ids: Sequence[str]) -> AsyncIterator[Turn]:
        """Keep everybody else from writing these resources, until the end or an error."""
        async with self.working() as tables:
            await self.run("bulk_lock", kind, list(ids))
            yield Turn(self, kind, tables)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[list[str]]:
        """Give a transaction and the names of the tables, the one of the model's length first.

        Raises:
            errors.DatabaseError: there is no table, or none of that length.
        """
        async with self._alone:
            with connection_module.translated(doing="the embedding store"):
                async with self._connection.transaction():
                    yield await self._tables()

    async def run(self, name: str, *values: object, table: str | None = None) -> queries.Cursor:
        """Execute a query of this project inside `working`, on the model's table or another."""
        return await queries.run(
            self._connection, name, self._project_id, *values, table=table or self._table
        )

    async def clock(self) -> dt.datetime:
        """Return the time inside `working`, in which it does not stand still."""
        cursor = await self._connection.execute("SELECT clock_timestamp()")
        now: dt.datetime
        ((now,),) = await cursor.fetchall()
        return now

    async def _tables(self) -> list[str]:
        try:
            cursor = await queries.run(self._connection, "bulk_generations")
            found = {name: length async for name, length in cursor}
        except errors.DatabaseError as error:
            cause = error.__cause__
            if getattr(cause, "sqlstate", None) != _RENAMED:
                raise
            raise errors.DatabaseError(
                "there are no embedding tables in this database", hint="medbots db init"
            ) from error
        fitting = [name for name, length in found.items() if length == self._dimension]
        if not fitting:
            lengths = " or ".join(str(one) for one in found.values())
            raise errors.DatabaseError(
                f"the embedding table holds vectors of {lengths} dimensions; the model in use "
                f"answers {self._dimension}",
                hint="medbots verify --only embeddings.contract",
            )
        self._table = fitting[0]
        return [self._table, *(name for name in found if name != self._table)]

    _table: str


class Turn:
    """The store while nobody else writes the resources that were named."""

    def __init__(self, store: Store, kind: str, tables: Sequence[str]) -> None:
        self._store = store
        self._kind = kind
        self._tables = tables

    async def now(self) -> dt.datetime:
        """Return the database's time: this machine's clock may be wrong."""
        return await self._store.clock()

    async def remove(self, ids: Sequence[str], until: dt.datetime) -> int:
        """Delete every row, mark the resources as gone until an instant; return how many had any.

        Rows and tombstones of every model and every table go, as when the bot withdraws.
        """
        removed: set[str] = set()
        none, times = [None] * len(ids), [until] * len(ids)
        for table in self._tables:
            cursor = await self._store.run("bulk_delete", self._kind, list(ids), none, table=table)
            removed |= {name async for (name,) in cursor}
        await self._store.run("bulk_bury", self._kind, list(ids), none, times)
        return len(removed)

    async def withdraw(self, versions: Sequence[Version]) -> None:
        """Delete the rows of versions that must not be found, and mark those versions.

        Where a later version is stored, it stays, whichever model made its rows.
        """
        ids, times = [one.id for one in versions], [one.updated for one in versions]
        newer: set[str] = set()
        for table in self._tables:
            cursor = await self._store.run(
                "bulk_newer", self._kind, self._store.model, ids, times, table=table
            )
            newer |= {name async for (name,) in cursor}
        meant = [one for one in versions if one.id not in newer]
        ids, times = [one.id for one in meant], [one.updated for one in meant]
        for table in self._tables:
            await self._store.run("bulk_delete", self._kind, ids, times, table=table)
        marks = [one.version for one in meant]
        await self._store.run("bulk_bury", self._kind, ids, marks, times)

    async def lift(self, versions: Sequence[Version]) -> None:
        """Forget whatever says that something later than these versions is known."""
        ids, times = [one.id for one in versions], [one.updated for one in versions]
        for table in self._tables:
            await self._store.run("bulk_lift", self._kind, ids, times, table=table)
