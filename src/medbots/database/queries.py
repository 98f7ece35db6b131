"""The named queries of `sql/queries`."""

from __future__ import annotations

import functools
from typing import Any

import psycopg

from medbots import assets
from medbots.database import connection as connection_module
from medbots.database import elsewhere
from medbots.database import table as table_module

Cursor = psycopg.AsyncRawCursor[tuple[Any, ...]]


@functools.cache
def text(name: str) -> str:
    """Return a query; its comment says what `$1`, `$2`, … stand for."""
    return (assets.sql() / "queries" / f"{name}.sql").read_text(encoding="utf-8")


async def run(
    connection: connection_module.Connection,
    name: str,
    *values: object,
    table: str = table_module.NAME,
) -> Cursor:
    """Execute a query and return the cursor with its rows.

    `table` stands for the table in use; it is one of medbots' own names, never input.

    Raises:
        errors.MedbotsError: the database refused, or was lost.
    """
    cursor: Cursor = psycopg.AsyncRawCursor(connection)
    statement = text(name).replace(table_module.NAME, table)
    if isinstance(connection, elsewhere.Connection):
        statement, values = connection.place(statement), connection.placed(values)
    with connection_module.translated():
        await cursor.execute(statement.encode(), values)
    return cursor
