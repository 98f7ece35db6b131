"""The named queries of `sql/queries`."""

from __future__ import annotations

import functools
from typing import Any

import psycopg

from medbots import assets
from medbots.database import connection as connection_module


@functools.cache
def text(name: str) -> str:
    """Return a query; its comment says what `$1`, `$2`, … stand for."""
    return (assets.sql() / "queries" / f"{name}.sql").read_text(encoding="utf-8")


async def run(
    connection: connection_module.Connection, name: str, *values: object
) -> psycopg.AsyncRawCursor[tuple[Any, ...]]:
    """Execute a query and return the cursor with its rows."""
    cursor = psycopg.AsyncRawCursor(connection)
    await cursor.execute(text(name).encode(), values)
    return cursor
