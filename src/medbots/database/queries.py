"""The named queries of `sql/queries`."""

from __future__ import annotations

import functools
from typing import Any

import psycopg

from medbots import assets
from medbots.database import connection as connection_module

Cursor = psycopg.AsyncRawCursor[tuple[Any, ...]]


@functools.cache
def text(name: str) -> str:
    """Return a query; its comment says what `$1`, `$2`, … stand for."""
    return (assets.sql() / "queries" / f"{name}.sql").read_text(encoding="utf-8")


async def run(connection: connection_module.Connection, name: str, *values: object) -> Cursor:
    """Execute a query and return the cursor with its rows.

    Raises:
        errors.MedbotsError: the database refused, or was lost.
    """
    cursor: Cursor = psycopg.AsyncRawCursor(connection)
    with connection_module.translated(doing=f"query {name}"):
        await cursor.execute(text(name).encode(), values)
    return cursor
