"""What state the embedding store is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import extension, models, readers
from medbots.database import indexes as indexes_module
from medbots.database import leftovers as leftovers_module
from medbots.database import migrations as migrations_module
from medbots.database import table as table_module


@dataclass(frozen=True, slots=True)
class Rows:
    """One table of embeddings."""

    table: str
    dimension: int | None
    """Declared length of a vector."""
    rows: int
    bytes: int
    """With indexes and TOAST."""


@dataclass(frozen=True, slots=True)
class Status:
    """The store, as `db status` shows it."""

    database: str
    """Host, port and name."""
    server: str
    """Release of Postgres."""
    pgvector: str | None
    migrations: tuple[migrations_module.Entry, ...]
    index: indexes_module.Index | None
    """Of the model in use; where it has none, that of the well-known name."""
    dimension: int | None
    """Declared length of a vector; None before `db init`."""
    rows: int
    bytes: int
    """Table with its indexes and TOAST."""
    table: str = table_module.NAME
    """The one that bots of the model work with."""
    tables: tuple[Rows, ...] = ()
    """Those that there are: two while the dimension changes, and until the former is dropped."""
    indexes: tuple[indexes_module.Index, ...] = ()
    """Every vector index of that table: of models, and of single types."""
    leftovers: tuple[leftovers_module.LeftOver, ...] = ()
    """Invalid indexes, of any table of the store."""
    roles: tuple[readers.Made, ...] = ()
    origin: table_module.Origin = table_module.Origin.NONE
    complaint: str = ""
    model_version: str | None = None
    """Of the model in use, by the settings."""
    warnings: tuple[str, ...] = ()
    """What of the settings does not fit what is there."""
    drift: errors.DatabaseError | None = None
    """What is wrong with the history, and the cure; None where nothing is."""

    @property
    def pending(self) -> tuple[migrations_module.Entry, ...]:
        """Migrations that have not been applied."""
        return tuple(
            one for one in self.migrations if one.condition is migrations_module.Condition.PENDING
        )

    @property
    def indexed(self) -> bool:
        """Whether a valid index serves the model in use."""
        index = self.index
        return (
            index is not None and index.valid and self.model_version in (None, index.model_version)
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
            "index": {
                "name": index.name,
                "kind": index.kind,
                "valid": index.valid,
                "model": index.model_version,
            }
            if index
            else None,
            "dimension": self.dimension,
            "rows": self.rows,
            "bytes": self.bytes,
            "tables": [
                {
                    "name": one.table,
                    "dimension": one.dimension,
                    "rows": one.rows,
                    "bytes": one.bytes,
                }
                for one in self.tables
            ],
            "indexes": [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "valid": one.valid,
                    "model": one.model_version,
                    "type": one.resource_type,
                    "bytes": one.bytes,
                }
                for one in self.indexes
            ],
            "leftovers": [
                {
                    "name": one.name,
                    "table": one.table,
                    "kind": one.kind,
                    "bytes": one.bytes,
                    "copyOf": one.copy_of,
                    "building": one.building,
                }
                for one in self.leftovers
            ],
            "roles": [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "project": one.project_id,
                    "members": list(one.members),
                }
                for one in self.roles
            ],
            "model": self.model_version,
            "warnings": list(self.warnings),
            "drift": self.drift.message if self.drift else None,
        }


async def read(
    connection: connection_module.Connection, model_version: str | None = None
) -> Status:
    """Return the state of the store; it need not have been made.

    Where there are several tables, the one is meant that bots of `model_version` work with. The
    index is that model's; None, or none for it: the one of the well-known name.

    Raises:
        errors.NotAllowedError: the login may not read the table.
    """
    with connection_module.translated():
        info = connection.info
        cursor = await connection.execute("SHOW server_version")
        (server,) = await cursor.fetchone() or ("",)
        vector = await extension.find(connection)
        found = await table_module.inspect(connection)
        known = migrations_module.packaged()
        entries = migrations_module.compare(known, await migrations_module.history(connection))
        tables = await _tables(connection)
        used = _used(tables, model_version)
        name = used.table if used else table_module.NAME
        every = await indexes_module.find(connection, name)
        index = indexes_module.of_model(every, model_version) if model_version else None
        named = next((one for one in every if one.name == indexes_module.name_on(name)), None)
        invalid = await leftovers_module.find(connection)
        roles = await readers.made(connection)
        warnings: tuple[str, ...] = ()
        if model_version and used:
            warnings = await models.idle(connection, "", model_version, name)
    return Status(
        database=f"{info.host}:{info.port}/{info.dbname}",
        server=str(server).partition(" ")[0],
        pgvector=vector.version if vector else None,
        migrations=entries,
        index=index or named,
        dimension=used.dimension if used else found.dimension,
        rows=used.rows if used else 0,
        bytes=used.bytes if used else 0,
        table=name,
        tables=tables,
        indexes=every,
        leftovers=invalid,
        roles=roles,
        model_version=model_version,
        warnings=warnings,
        drift=_drift(known, entries),
        origin=found.origin,
        complaint=found.complaint,
    )


def _drift(
    known: tuple[migrations_module.Migration, ...], entries: tuple[migrations_module.Entry, ...]
) -> errors.DatabaseError | None:
    try:
        migrations_module.refuse_drift(known, entries)
    except errors.DatabaseError as error:
        return error
    return None


async def _tables(connection: connection_module.Connection) -> tuple[Rows, ...]:
    """Return the tables that there are, the one in use first; somebody else's of that name too."""
    cursor = await connection.execute(
        "SELECT name, nullif(a.atttypmod, -1), pg_total_relation_size(to_regclass(name)) "
        "FROM unnest(%s::text[]) WITH ORDINALITY AS t (name, rank) "
        "LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(name) AND a.attname = 'embedding' "
        "WHERE to_regclass(name) IS NOT NULL ORDER BY rank",
        [list(table_module.GENERATIONS)],
    )
    return tuple(
        [
            Rows(name, dimension, await table_module.count(connection, name), size)
            async for name, dimension, size in cursor
        ]
    )


def _used(tables: tuple[Rows, ...], model_version: str | None) -> Rows | None:
    """Return the table that bots of a model work with; without one of its length, the first."""
    length = (model_version or "").rpartition("/")[0].rpartition("/")[2]
    fitting = [one for one in tables if str(one.dimension) == length]
    return next(iter(fitting or tables), None)
