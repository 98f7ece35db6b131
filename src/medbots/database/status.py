"""What state the embedding store is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medbots.database import connection as connection_module
from medbots.database import extension, indexes, table
from medbots.database import migrations as migrations_module


@dataclass(frozen=True, slots=True)
class Status:
    """The store, as `db status` shows it."""

    database: str
    """Host, port and name."""
    server: str
    """Release of Postgres."""
    pgvector: str | None
    migrations: tuple[migrations_module.Entry, ...]
    index: indexes.Index | None
    """Of the model in use."""
    dimension: int | None
    """Declared length of a vector; None before `db init`."""
    rows: int
    bytes: int
    """Table with its indexes and TOAST."""
    origin: table.Origin = table.Origin.NONE
    complaint: str = ""

    @property
    def pending(self) -> tuple[migrations_module.Entry, ...]:
        """Migrations that have not been applied."""
        return tuple(
            one for one in self.migrations if one.condition is migrations_module.Condition.PENDING
        )

    def document(self) -> dict[str, Any]:
        """Return the contract's JSON."""
        index = self.index
        return {
            "database": self.database,
            "server": self.server,
            "pgvector": self.pgvector,
            "migrations": [
                {
                    "version": one.version,
                    "name": one.name,
                    "applied": one.applied.isoformat() if one.applied else None,
                    "checksum": one.checksum,
                    "condition": one.condition.value,
                }
                for one in self.migrations
            ],
            "index": {"name": index.name, "kind": index.kind, "valid": index.valid}
            if index
            else None,
            "dimension": self.dimension,
            "rows": self.rows,
            "bytes": self.bytes,
        }


async def read(
    connection: connection_module.Connection, model_version: str | None = None
) -> Status:
    """Return the state of the store; it need not have been made.

    The index is that of `model_version`; None, or none for it: the one of the well-known name.

    Raises:
        errors.NotAllowedError: the login may not read the table.
    """
    with connection_module.translated():
        info = connection.info
        cursor = await connection.execute("SHOW server_version")
        (server,) = await cursor.fetchone() or ("",)
        vector = await extension.find(connection)
        found = await table.inspect(connection)
        known = migrations_module.packaged()
        entries = migrations_module.compare(known, await migrations_module.history(connection))
        every = await indexes.find(connection)
        index = indexes.of_model(every, model_version) if model_version else None
        named = next((one for one in every if one.name == indexes.NAME), None)
        rows, size = await _size(connection, found)
    return Status(
        database=f"{info.host}:{info.port}/{info.dbname}",
        server=str(server).partition(" ")[0],
        pgvector=vector.version if vector else None,
        migrations=entries,
        index=index or named,
        dimension=found.dimension,
        rows=rows,
        bytes=size,
        origin=found.origin,
        complaint=found.complaint,
    )


async def _size(connection: connection_module.Connection, found: table.Table) -> tuple[int, int]:
    if found.origin is table.Origin.NONE:
        return 0, 0
    cursor = await connection.execute(
        f"SELECT count(*), pg_total_relation_size('{table.NAME}') FROM {table.NAME}"  # noqa: S608
    )
    row = await cursor.fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
