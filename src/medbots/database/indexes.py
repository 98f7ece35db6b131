"""The vector index of the model in use: named, partial, valid."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from psycopg import sql

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import queries, table

NAME = "clinical_embeddings_embedding_idx"

# Bytes of maintenance_work_mem that a build needs for each row, and the most that it is given.
_BYTES_A_ROW = 4096
_LEAST_KB, _MOST_KB = 64 * 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Index:
    """A vector index on the table."""

    name: str
    kind: str
    """`hnsw` or `ivfflat`."""
    valid: bool
    """An invalid one is never used, and gives no error: searches are slow."""
    predicate: str = ""
    bytes: int = 0
    builder: int | None = None
    """Process id of the session that builds it now."""

    @property
    def model_version(self) -> str | None:
        """The one model that it indexes, where it is partial on one."""
        found = _MODEL.fullmatch(self.predicate)
        return found["value"].replace("''", "'") if found else None


_MODEL = re.compile(r"\(+model_version\)?(?:::text)? = '(?P<value>(?:[^']|'')*)'(?:::[a-z ]+)?\)+")


async def find(connection: connection_module.Connection) -> tuple[Index, ...]:
    """Return every vector index of the table."""
    cursor = await queries.run(connection, "vector_indexes", table.NAME)
    return tuple([Index(*row) async for row in cursor])


def of_model(found: tuple[Index, ...], model_version: str) -> Index | None:
    """Return the index of a model, a valid one where there are several."""
    matching = [one for one in found if one.model_version == model_version]
    return next((one for one in matching if one.valid), matching[0] if matching else None)


async def ensure(
    connection: connection_module.Connection, model_version: str, *, shared: bool = False
) -> bool:
    """Make sure that the rows of a model have a valid HNSW index; return whether one was built.

    Left-overs of interrupted builds go first. The well-known name goes to the first model; where
    it serves another model, which has rows or may be that of another project (`shared`), this
    one gets a name of its own. Where rows exist the build is concurrent: bots go on writing. The
    caller holds `lock.alone`.

    Raises:
        errors.DatabaseError: another session builds it now, or the build fails.
    """
    found = await find(connection)
    current = of_model(found, model_version)
    if current is not None and current.valid and current.kind == "hnsw":
        return False
    populated = await _populated(connection)
    taken = False
    for index in found:
        if index.builder is not None:
            raise errors.DatabaseError(
                f"another session (pid {index.builder}) builds the index {index.name} now",
                hint="run it again when that has ended",
            )
        unused = (
            index.name == NAME
            and not shared
            and not await _has_rows(connection, index.model_version)
        )
        if not index.valid or unused or index is current:
            await _drop(connection, index.name, concurrently=populated)
        elif index.name == NAME:
            taken = True
    suffix = hashlib.sha256(model_version.encode()).hexdigest()[:8]
    await _build(connection, f"{NAME}_{suffix}" if taken else NAME, model_version, populated)
    return True


async def _build(
    connection: connection_module.Connection, name: str, model_version: str, concurrently: bool
) -> None:
    rows = await _estimate(connection)
    memory = min(max(rows * _BYTES_A_ROW // 1024, _LEAST_KB), _MOST_KB)
    build = sql.SQL(
        "CREATE INDEX {how} {name} ON {table} USING hnsw (embedding halfvec_cosine_ops) "
        "WITH (m = 16, ef_construction = 64) WHERE model_version = {model}"
    ).format(
        how=sql.SQL("CONCURRENTLY" if concurrently else ""),
        name=sql.Identifier(name),
        table=sql.SQL(table.NAME),
        model=sql.Literal(model_version),
    )
    with connection_module.translated(doing=f"index {name}"):
        for setting, value in {
            "statement_timeout": "0",
            "lock_timeout": "0" if concurrently else "15s",
            "maintenance_work_mem": f"{memory}kB",
            # Parallel workers share /dev/shm, which containers keep too small for that.
            "max_parallel_maintenance_workers": "0",
        }.items():
            await connection.execute("SELECT set_config(%s, %s, false)", [setting, value])
        await connection.execute(build)
        for setting in ("maintenance_work_mem", "max_parallel_maintenance_workers"):
            await connection.execute(sql.SQL("RESET {}").format(sql.Identifier(setting)))
        await connection_module.limit(connection)


async def _drop(connection: connection_module.Connection, name: str, *, concurrently: bool) -> None:
    how = sql.SQL("CONCURRENTLY" if concurrently else "")
    drop = sql.SQL("DROP INDEX {} IF EXISTS public.{}").format(how, sql.Identifier(name))
    with connection_module.translated(doing=f"index {name}"):
        await connection.execute(drop)


async def _populated(connection: connection_module.Connection) -> bool:
    cursor = await connection.execute(f"SELECT EXISTS (SELECT FROM {table.NAME})")  # noqa: S608
    return await cursor.fetchone() == (True,)


async def _has_rows(connection: connection_module.Connection, model_version: str | None) -> bool:
    """Whether an index has anything to find; one on all models has, where there are rows."""
    if model_version is None:
        return await _populated(connection)
    cursor = await connection.execute(
        f"SELECT EXISTS (SELECT FROM {table.NAME} WHERE model_version = %s)",  # noqa: S608
        [model_version],
    )
    return await cursor.fetchone() == (True,)


async def _estimate(connection: connection_module.Connection) -> int:
    cursor = await connection.execute(
        f"SELECT count(*) FROM {table.NAME}"  # noqa: S608
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
