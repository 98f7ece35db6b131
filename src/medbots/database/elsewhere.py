"""The store's own statements, run in another schema than its own.

Every statement of medbots names schema `public`. A connection of this kind puts another schema's
name in its place, here and nowhere else, so that what runs there is what ships.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

_TABLE = re.compile(r"public\.[a-z_]+")
_PUBLIC = re.compile(r"\bpublic\.|\"public\"\.")


class Connection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A connection whose statements mean another schema where they say `public`."""

    schema = "public"

    def place(self, text: str) -> str:
        """Return a statement, or the name of a table, as it is meant in that schema."""
        return _PUBLIC.sub(f"{self.schema}.", text)

    def placed(self, values: Sequence[object]) -> tuple[object, ...]:
        """Return the parameters of a statement, with names of tables as they are meant here."""
        return tuple(self._value(value) for value in values)

    def _value(self, value: object) -> object:
        match value:
            case str() if _TABLE.fullmatch(value):
                return self.place(value)
            case list() if value and all(isinstance(one, str) for one in value):
                return [self._value(one) for one in value]
        return value

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """Execute a statement in that schema."""
        match query:
            case bytes():
                text = query.decode()
            case sql.Composable():
                text = query.as_string(self)
            case _:
                text = query
        if isinstance(params, list | tuple):
            params = self.placed(params)
        return await super().execute(self.place(text).encode(), params, **options)
