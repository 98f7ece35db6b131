"""The vector index of the model in use: named, partial, valid."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from medbots.database import builds, queries, table, wear
from medbots.database import connection as connection_module
from medbots.database import watch as watch_module

NAME = "clinical_embeddings_embedding_idx"
_BARE = table.NAME.rpartition(".")[2]


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
        return self._part("model")

    @property
    def resource_type(self) -> str | None:
        """The one resource type that it indexes, where it is partial on a model and a type."""
        return self._part("type")

    def _part(self, name: str) -> str | None:
        found = _PREDICATE.fullmatch(self.predicate)
        value = found[name] if found else None
        return value.replace("''", "'") if value is not None else None


def _equals(column: str, group: str) -> str:
    return rf"\(+{column}\)?(?:::text)? = '(?P<{group}>(?:[^']|'')*)'(?:::[a-z ]+)?\)+"


_PREDICATE = re.compile(
    rf"\(*{_equals('model_version', 'model')}(?: AND {_equals('fhir_resource_type', 'type')})?\)*"
)


async def find(connection: connection_module.Connection, on: str = table.NAME) -> tuple[Index, ...]:
    """Return every vector index of a table of embeddings."""
    cursor = await queries.run(connection, "vector_indexes", on)
    return tuple([Index(*row) async for row in cursor])


def name_on(on: str) -> str:
    """Return the well-known name of the vector index of a table: it begins with the table's own."""
    return NAME.replace(_BARE, on.rpartition(".")[2], 1)


def of_model(found: tuple[Index, ...], model_version: str) -> Index | None:
    """Return the index of a whole model, a valid one where there are several."""
    matching = [
        one for one in found if one.model_version == model_version and one.resource_type is None
    ]
    return next((one for one in matching if one.valid), matching[0] if matching else None)


def _serves(index: Index | None) -> bool:
    return index is not None and index.valid and index.kind == "hnsw"


def _left_over(index: Index) -> bool:
    """Whether nothing uses it, of whatever model; those of single types are built again apart."""
    return not index.valid and index.resource_type is None


async def ensure(
    connection: connection_module.Connection,
    model_version: str,
    *,
    shared: bool = False,
    anew: bool = False,
    watch: watch_module.Watch = watch_module.SILENT,
    on: str = table.NAME,
) -> bool:
    """Make sure that the rows of a model have a valid HNSW index; return whether one was built.

    Left-overs of interrupted builds go first, of other models too. The well-known name goes to the
    first model; where it serves another model, which has rows or may be that of another project
    (`shared`), this one gets a name of its own. Where rows exist the build is concurrent: bots go
    on writing. The caller holds `lock.alone`.

    Args:
        connection: of the owner.
        model_version: of the model in use.
        shared: whether other projects use the table.
        anew: take no index for present: those that stand go before this, as a dry run says.
        watch: hears the statements, and how far a build is.
        on: the table, which is the one in use by default.

    Raises:
        errors.DatabaseError: another session builds one for too long, or the build fails.
    """
    found = () if anew else await find(connection, on)
    if _serves(of_model(found, model_version)) and not any(map(_left_over, found)):
        return False
    if not watch.dry_run:
        # What another session builds looks like a left-over until it is ready.
        await builds.alone(connection, [on], watch=watch)
        found = () if anew else await find(connection, on)
    rows = await table.count(connection, on)
    for index in filter(_left_over, found):
        await builds.drop(connection, index.name, concurrently=rows > 0, watch=watch)
    current = of_model(found, model_version)
    if _serves(current):
        return False
    standing = []
    for index in found:
        if _left_over(index):
            continue
        unused = (
            index.name == name_on(on)
            and not shared
            and not await _has_rows(connection, index.model_version, on)
        )
        if unused or index is current:
            await builds.drop(connection, index.name, concurrently=rows > 0, watch=watch)
        else:
            standing.append(index)
    name = free_name(standing, model_version, on)
    await build(connection, name, _definition(model_version, on), on=on, rows=rows, watch=watch)
    return True


def free_name(standing: Sequence[Index], model_version: str, on: str = table.NAME) -> str:
    """Return the name for a model's index beside those that stay: the well-known one, if free."""
    known = name_on(on)
    if all(one.name != known for one in standing):
        return known
    return f"{known}_{hashlib.sha256(model_version.encode()).hexdigest()[:8]}"


async def build(
    connection: connection_module.Connection,
    name: str,
    definition: sql.Composable,
    *,
    on: str,
    rows: int,
    watch: watch_module.Watch = watch_module.SILENT,
) -> None:
    """Build a vector index of a table, and write down what it is new to (`wear.remember`).

    Raises:
        errors.MedbotsError: as `builds.create`.
    """
    before = None if watch.dry_run else await wear.inspect(connection, on)
    await builds.create(connection, name, definition, rows=rows, watch=watch)
    if before is not None:
        await wear.remember(connection, before, name, dt.datetime.now(dt.UTC))


def _definition(model_version: str, on: str) -> sql.Composed:
    return sql.SQL(
        "ON {table} USING hnsw (embedding halfvec_cosine_ops) "
        "WITH (m = 16, ef_construction = 64) WHERE model_version = {model}"
    ).format(table=sql.SQL(on), model=sql.Literal(model_version))


async def _has_rows(
    connection: connection_module.Connection, model_version: str | None, on: str
) -> bool:
    """Whether an index has anything to find; one on all models has, where there are rows."""
    if model_version is None:
        return await table.count(connection, on) > 0
    cursor = await connection.execute(
        sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE model_version = %s)").format(sql.SQL(on)),
        [model_version],
    )
    return await cursor.fetchone() == (True,)
