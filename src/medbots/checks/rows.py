"""The rows and tombstones of single records, for the checks that fire a bot."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from medbots import errors, polling
from medbots.database import connection as connection_module
from medbots.database import generations, queries


@dataclass(frozen=True, slots=True)
class Row:
    """What a check wants to know of one row; its text is never read."""

    dimension: int
    model_version: str


class Rows:
    """One project's part of the embedding tables, over the owner's connection."""

    def __init__(self, connection: connection_module.Connection, project_id: str) -> None:
        self._connection = connection
        self._project_id = project_id

    async def of(self, record: str) -> list[Row]:
        """Return the rows of a record, such as `Condition/<id>`."""
        found = await self._run("resource_rows", *record.split("/"))
        return [Row(*values) for values in await found.fetchall()]

    async def delete(self, record: str) -> None:
        """Delete the rows of a record, from every table of embeddings."""
        for one in await generations.find(self._connection):
            values = (self._project_id, *record.split("/"), None)
            await queries.run(self._connection, "delete_resource", *values, table=one.name)

    async def clear_tombstone(self, record: str) -> bool:
        """Delete the tombstone of a record; return whether there was one."""
        return (await self._run("clear_tombstone", *record.split("/"))).rowcount > 0

    @contextlib.asynccontextmanager
    async def alone(self, limit: float) -> AsyncIterator[None]:
        """Hold the project's turn to fire: what carries the tag then is nobody's any more.

        A session that ends, however it ends, gives its turn back.

        Raises:
            errors.ConflictError: another run did not end within `limit` seconds.
        """

        async def taken() -> bool | None:
            row = await (await self._run("verify_turn")).fetchone()
            return (row == (True,)) or None

        if not await polling.until(taken, limit):
            raise errors.ConflictError(
                f"another medbots verify has been firing in this project for {limit:g} s",
                hint="run the command again when it has ended",
            )
        try:
            yield
        finally:
            await self._run("verify_turn_end")

    async def _run(self, name: str, *values: str) -> queries.Cursor:
        return await queries.run(self._connection, name, self._project_id, *values)
