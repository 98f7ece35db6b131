"""The key, the check and the ordinary index of the table: there, valid, built beside the bots.

Migration 0003 makes them on an empty table. Where the table has rows already, for it was the
guide's, they are made here before that migration, which then finds them: in its one transaction
the builds would lock everybody out. What an interrupted or failed build left invalid is mended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from medbots import errors
from medbots.database import builds, queries, table, table_lock
from medbots.database import connection as connection_module
from medbots.database import watch as watch_module

KEY = "clinical_embeddings_chunk_key"
CHECK = "clinical_embeddings_embedding_check"
PATIENT = "clinical_embeddings_patient_idx"

_DEFINITIONS = {
    KEY: "ON {} (project_id, fhir_resource_type, fhir_resource_id, model_version, chunk_index)",
    PATIENT: "ON {} (project_id, patient_id)",
}

_DOUBLES = (
    "SELECT array_agg(id) FROM public.clinical_embeddings GROUP BY project_id, "
    "fhir_resource_type, fhir_resource_id, model_version, chunk_index HAVING count(*) > 1"
)
"""Finds the rows that are one and the same by the key."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What stands of them. An index that is not there is None, else whether it is valid."""

    key_index: bool | None = None
    key: bool = False
    """Whether that index is the table's constraint."""
    check: bool | None = None
    """Whether every row has been checked; None: there is no such constraint."""
    patient_index: bool | None = None


_SOUND = Keys(key_index=True, key=True, check=True, patient_index=True)


async def inspect(connection: connection_module.Connection) -> Keys:
    """Return what stands of the table's keys, from the catalogue alone."""
    cursor = await queries.run(connection, "table_keys", table.NAME, KEY, CHECK, PATIENT)
    row = await cursor.fetchone()
    return Keys(*row) if row else Keys()


async def ensure(
    connection: connection_module.Connection,
    *,
    anew: bool = False,
    watch: watch_module.Watch = watch_module.SILENT,
) -> AsyncIterator[tuple[str, bool]]:
    """Yield each of the table's keys with whether it was made now. The caller holds `lock.alone`.

    Args:
        connection: of the owner; the table has its new columns.
        anew: take none for present, as in the dry run of an adoption.
        watch: hears the statements, and how far a build is.

    Raises:
        errors.DatabaseError: another session builds an index of the table, or rows break the key.
    """
    found = Keys() if anew else await inspect(connection)
    if found != _SOUND and not watch.dry_run:
        # What another session builds looks like a left-over until it is ready.
        await builds.alone(connection, [table.NAME], watch=watch)
        found = await inspect(connection)
    if found == _SOUND:
        for name in (KEY, CHECK, PATIENT):
            yield name, False
        return
    rows = await table.count(connection)
    yield KEY, await _ensure_key(connection, found, rows, watch)
    yield CHECK, await _ensure_check(connection, found, watch)
    yield PATIENT, await _ensure_index(connection, PATIENT, found.patient_index, rows, watch)


async def _ensure_key(
    connection: connection_module.Connection, found: Keys, rows: int, watch: watch_module.Watch
) -> bool:
    if found.key:
        return False
    await _ensure_index(connection, KEY, found.key_index, rows, watch)
    statement = sql.SQL("ALTER TABLE {on} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}")
    key = statement.format(on=sql.SQL(table.NAME), name=sql.Identifier(KEY))
    await table_lock.execute(connection, f"constraint {KEY}", key, watch)
    return True


async def _ensure_check(
    connection: connection_module.Connection, found: Keys, watch: watch_module.Watch
) -> bool:
    """Add the check without looking at the rows, then look at them: writers go on meanwhile."""
    if found.check:
        return False
    label = f"constraint {CHECK}"
    names = {"on": sql.SQL(table.NAME), "name": sql.Identifier(CHECK)}
    if found.check is None:
        add = "ALTER TABLE {on} ADD CONSTRAINT {name} CHECK (l2_norm(embedding) > 0) NOT VALID"
        await table_lock.execute(connection, label, sql.SQL(add).format(**names), watch)
    validate = sql.SQL("ALTER TABLE {on} VALIDATE CONSTRAINT {name}").format(**names)
    await builds.run(connection, label, validate, rows=0, watch=watch)
    return True


async def _ensure_index(
    connection: connection_module.Connection,
    name: str,
    valid: bool | None,
    rows: int,
    watch: watch_module.Watch,
) -> bool:
    if valid:
        return False
    if valid is not None:
        await builds.drop(connection, name, concurrently=rows > 0, watch=watch)
    definition = sql.SQL(_DEFINITIONS[name]).format(sql.SQL(table.NAME))
    try:
        await builds.create(
            connection, name, definition, rows=rows, unique=name == KEY, watch=watch
        )
    except errors.DatabaseError as error:
        if isinstance(error.__cause__, psycopg.errors.UniqueViolation):
            error.hint = f"take one of each away, then run it again: {_DOUBLES}"
        raise
    return True
