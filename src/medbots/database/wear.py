"""What use has done to a table of embeddings and its HNSW indexes, as the server counts it."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass, replace

from psycopg import sql

from medbots.database import connection as connection_module
from medbots.database import queries

_FLUSH_SINCE = 150000
_PAGE = 8192
_PAGE_OVERHEAD = 32
"""Header and special space of an index page, in bytes."""
_NODE_OVERHEAD = 88
"""Line pointers and headers of a node and of its list of neighbours, and its row addresses."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What the counters said when an index was last built."""

    at: dt.datetime | None
    """When that was; None where only rows are known that it never had (`excuse`)."""
    deleted: int
    updated: int


@dataclass(frozen=True, slots=True)
class Index:
    """A valid HNSW index."""

    name: str
    rows: int
    """Entries, when it was last built or its table last analysed; -1 where neither has been."""
    bytes: int
    neighbours: int
    """Of a node in an upper layer: m. The lowest layer has twice as many."""
    rebuilt: Rebuilt | None = None
    """None: no build is on record."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of embeddings since the statistics began."""

    name: str
    """With its schema."""
    rows: int
    """At the last analysis; -1 before the first."""
    live: int
    dead: int
    """Row versions that no vacuum has removed."""
    deleted: int
    updated: int
    """Updates that gave a row new entries in the indexes."""
    modified: int
    """Rows written since the last analysis."""
    analyzed_at: dt.datetime | None
    inserted: int
    """Rows inserted since the last vacuum."""
    vacuumed_at: dt.datetime | None
    dimension: int
    owned: bool
    """Whether this login may maintain it."""
    indexes: tuple[Index, ...] = ()

    def churn(self, index: Index) -> int:
        """Return how many rows lost their entry in an index since it was built."""
        then = index.rebuilt
        if then is None or (then.deleted > self.deleted or then.updated > self.updated):
            # The statistics began anew since, as after a crash.
            return self.deleted + self.updated
        return self.deleted - then.deleted + self.updated - then.updated


def warranted(rows: int, dimension: int, neighbours: int) -> int:
    """Return the bytes of a new HNSW index of halfvec over so many rows.

    A node and its list of neighbours share a page where they fit: 4 to a page of 8 kB at 768
    dimensions and m 16, which is what pgvector 0.8.5 makes.
    """
    node = _NODE_OVERHEAD + 8 + 2 * dimension + 2 * neighbours * 6
    a_page = max((_PAGE - _PAGE_OVERHEAD) // node, 1)
    return (-(-rows // a_page) + 1) * _PAGE


async def inspect(connection: connection_module.Connection, table: str) -> Table | None:
    """Return what the server counts of a table, None where there is none.

    Raises:
        errors.MedbotsError: the database refused, or was lost.
    """
    if connection.info.server_version >= _FLUSH_SINCE:
        # What this session did itself is counted at once.
        await connection.execute("SELECT pg_stat_force_next_flush()")
    row = await (await queries.run(connection, "maintenance_table", table)).fetchone()
    if row is None:
        return None
    cursor = await queries.run(connection, "maintenance_indexes", table)
    indexes = tuple(
        [
            Index(name, rows, size, neighbours, _rebuilt(note))
            async for name, rows, size, neighbours, note in cursor
        ]
    )
    return replace(Table(table, *row), indexes=indexes)


_NOTE = re.compile(r"medbots: (?P<facts>\{.*\})")


def _rebuilt(note: str | None) -> Rebuilt | None:
    """Read what `remember` wrote; None where there is none, or somebody else's comment."""
    found = _NOTE.fullmatch(note or "")
    if found is None:
        return None
    try:
        facts = json.loads(found["facts"])
        at = dt.datetime.fromisoformat(facts["rebuilt"]) if facts["rebuilt"] else None
        return Rebuilt(at, int(facts["deleted"]), int(facts["updated"]))
    except (ValueError, KeyError, TypeError):
        return None


async def remember(
    connection: connection_module.Connection, table: Table, index: str, at: dt.datetime
) -> None:
    """Write down, as the index's comment, what the counters said before it was built.

    A comment of somebody else's stays: later runs then count from when the statistics began.

    Args:
        connection: of the owner.
        table: as it was before the build.
        index: its name, in the schema of the table.
        at: when the build ended.
    """
    name = _name(table.name, index)
    standing = await _comment(connection, name)
    if not standing or _NOTE.fullmatch(standing):
        await _write(connection, name, Rebuilt(at, table.deleted, table.updated))


async def excuse(
    connection: connection_module.Connection, table: str, index: str, deleted: int
) -> None:
    """Let an index not count deleted rows as lost that it never had, as those of another model.

    Args:
        connection: of the owner.
        table: whose rows they were, with its schema.
        index: its name, in the schema of the table.
        deleted: how many rows.
    """
    name = _name(table, index)
    standing = await _comment(connection, name)
    before = _rebuilt(standing)
    if standing and before is None:
        return
    before = before or Rebuilt(None, 0, 0)
    await _write(connection, name, replace(before, deleted=before.deleted + deleted))


def _name(table: str, index: str) -> sql.Identifier:
    return sql.Identifier(table.partition(".")[0], index)


async def _comment(connection: connection_module.Connection, name: sql.Identifier) -> str | None:
    cursor = await connection.execute(
        sql.SQL("SELECT obj_description({}::regclass, 'pg_class')").format(
            sql.Literal(name.as_string(connection))
        )
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def _write(
    connection: connection_module.Connection, name: sql.Identifier, then: Rebuilt
) -> None:
    facts = {
        "rebuilt": then.at.isoformat() if then.at else None,
        "deleted": then.deleted,
        "updated": then.updated,
    }
    comment = f"medbots: {json.dumps(facts)}"
    await connection.execute(
        sql.SQL("COMMENT ON INDEX {} IS {}").format(name, sql.Literal(comment))
    )
