"""The marks of an interrupted reconciliation, kept beside the rows that they are about."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from medbots import errors
from medbots.database import queries
from medbots.database.connection import Connection

Document = dict[str, Any]


class Checkpoints:
    """Of one project and one model, over a connection that nothing else uses meanwhile."""

    def __init__(self, connection: Connection, project_id: str, model_version: str) -> None:
        self._connection = connection
        self._key = (project_id, model_version)

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[Self]:
        """Hold the project's turn to reconcile, which a session that ends gives back.

        Raises:
            errors.ConflictError: another session has it.
        """
        cursor = await queries.run(self._connection, "reconcile_turn", self._key[0])
        if await cursor.fetchone() != (True,):
            raise errors.ConflictError(
                "another medbots embeddings reconcile works on this project",
                hint="wait until it has ended",
            )
        try:
            yield self
        finally:
            if not self._connection.broken and not self._connection.closed:
                await queries.run(self._connection, "reconcile_turn_end", self._key[0])

    async def load(self, arguments: str) -> tuple[dict[str, Document], dt.datetime | None]:
        """Return the marks by resource type, and when the last one was kept."""
        cursor = await queries.run(self._connection, "checkpoint_load", *self._key, arguments)
        rows = await cursor.fetchall()
        latest = max((at for _, _, at in rows), default=None)
        return {kind: mark for kind, mark, _ in rows}, latest

    async def save(self, arguments: str, kind: str, mark: Mapping[str, Any]) -> None:
        """Keep one mark."""
        text = json.dumps(mark)
        await queries.run(self._connection, "checkpoint_save", *self._key, arguments, kind, text)

    async def clear(self) -> None:
        """Forget all."""
        await queries.run(self._connection, "checkpoint_clear", *self._key)
