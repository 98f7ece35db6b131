"""The named queries that checks use, over the owner's connection."""

from __future__ import annotations

from typing import Any

import psycopg

from medbots import assets
from medbots.database import connection as connection_module

Cursor = psycopg.AsyncRawCursor[tuple[Any, ...]]


async def run(connection: connection_module.Connection, name: str, *values: object) -> Cursor:
    """Run `sql/queries/<name>.sql`; its parameters are `$1`, `$2`, … in the order of `values`.

    Raises:
        errors.MedbotsError: the database refused, or was lost.
    """
    text = (assets.sql() / "queries" / f"{name}.sql").read_bytes()
    cursor: Cursor = psycopg.AsyncRawCursor(connection)
    with connection_module.translated(doing=f"query {name}"):
        await cursor.execute(text, values)
    return cursor
