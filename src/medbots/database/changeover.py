"""The database's part in a change of the embedding model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import (
    generations,
    indexes,
    migrations,
    refill,
    rights,
    roles,
    table,
    type_indexes,
)
from medbots.database import watch as watch_module
from medbots.database.step import Wish

VERB = "db migrate --reembed"
_DROP = "medbots db migrate --drop-previous"
_SETTLE_SECONDS = 60.0
"""Longer than any bot runs."""
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the database makes of a change before it begins."""

    target: str
    """The table that the new vectors are to be in."""
    makes: bool
    """Whether it has to be made."""
    indexes: bool
    """Whether its index has to be built."""
    warnings: tuple[str, ...] = ()

    @property
    def switches(self) -> bool:
        """Whether it has to take the name of the table in use."""
        return self.target != generations.CURRENT


async def look(connection: connection_module.Connection, wish: Wish) -> Outlook:
    """Return what is to be done for a model, or raise where it cannot be.

    Raises:
        errors.DatabaseError: the store is not as this release makes it, other projects use the
            table, or another change was begun and not ended. The hint is the cure.
        errors.NotAllowedError: this login does not own the tables.
    """
    with connection_module.translated():
        found = await table.inspect(connection)
        if found.origin is not table.Origin.OURS:
            table.refuse(found, found.dimension or wish.dimension)
            raise errors.DatabaseError(
                f"there is no {table.NAME} of medbots with rows to embed again",
                hint="medbots db init makes it, for the model in the manifest",
            )
        table.refuse(found, found.dimension or wish.dimension)
        await _refuse_pending(connection)
        await rights.require(connection, None, VERB)
        tables = await generations.find(connection)
        there = generations.of_dimension(tables, wish.dimension)
        target = there.name if there else generations.NEXT
        warnings: tuple[str, ...] = ()
        if target != generations.CURRENT:
            await _refuse_others(connection, wish)
            await _refuse_crossed(connection, tables, target, makes=there is None)
            warnings = await _bound(connection)
        index = indexes.of_model(await indexes.find(connection, target), wish.model_version)
    valid = index is not None and index.valid and index.kind == "hnsw"
    return Outlook(target, there is None, not valid, warnings)


async def _refuse_pending(connection: connection_module.Connection) -> None:
    known = migrations.packaged()
    entries = migrations.compare(known, await migrations.history(connection))
    migrations.refuse_drift(known, entries)
    pending = [one.label for one in entries if one.condition is migrations.Condition.PENDING]
    if pending:
        raise errors.DatabaseError(
            f"the schema is behind this release: {', '.join(pending)}",
            hint=f"with EMBEDDING_MODEL and EMBEDDING_DIM of the model in use: medbots db migrate; "
            f"then medbots {VERB}",
        )


async def _refuse_others(connection: connection_module.Connection, wish: Wish) -> None:
    others = await generations.others(connection, wish.project_id)
    # By what they say, not by their names: a copied database has its original's too.
    role = roles.of_project(wish.project_id, connection.info.dbname)
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM pg_policy WHERE polrelid = to_regclass(%s) "
        "AND starts_with(polname::text, %s) AND pg_get_expr(polqual, polrelid) <> %s)",
        [generations.CURRENT, roles.PREFIX, role.own_rows],
    )
    if others or await cursor.fetchone() == (True,):
        names = f": {', '.join(others)}" if others else ""
        raise errors.DatabaseError(
            f"other projects keep their vectors in {table.NAME} too{names}; a change of the "
            "dimension would take their searches from them",
            hint="take a model of the same dimension; or give this project a database of its own "
            "(MEDBOTS_DATABASE_URL), then medbots db init and medbots embeddings reconcile",
        )


async def _refuse_crossed(
    connection: connection_module.Connection,
    tables: tuple[generations.Generation, ...],
    target: str,
    *,
    makes: bool,
) -> None:
    """Raise where the names of the tables leave no place for the change."""
    for one in tables:
        if one.name in (generations.CURRENT, target):
            continue
        what = "an earlier change" if one.name == generations.PREVIOUS else "a change not completed"
        raise errors.DatabaseError(
            f"{one.name} still holds the vectors of {what}, of {one.dimension} dimensions",
            hint=f"with EMBEDDING_MODEL and EMBEDDING_DIM of the model in use: {_DROP}",
        )
    if not makes and not await generations.same_columns(connection, target):
        raise errors.DatabaseError(
            f"{target} has other columns than {table.NAME}: it was made by another release",
            hint=f"with EMBEDDING_MODEL and EMBEDDING_DIM of the model in use: {_DROP}",
        )


async def _bound(connection: connection_module.Connection) -> tuple[str, ...]:
    return tuple(
        f"{one} will go on reading {generations.PREVIOUS}: make it anew after the switch"
        for one in await generations.bound(connection)
    )


@dataclass(frozen=True, slots=True)
class Changeover:
    """Makes, fills and switches tables for a model; the caller holds `lock.alone`."""

    connection: connection_module.Connection
    """Of the owner."""
    wish: Wish
    outlook: Outlook
    watch: watch_module.Watch = watch_module.SILENT
    rows: refill.Refill | None = None
    """What is filled meanwhile: it has to follow the table to its new name."""

    async def make(self) -> bool:
        """Make the table that the new vectors are to be in; return whether it was not there."""
        if self.outlook.makes:
            await generations.make_next(self.connection, self.wish.dimension, self.watch)
        return self.outlook.makes

    async def index(self) -> bool:
        """Build the index of the new vectors; return whether there was none."""
        target, model = self.outlook.target, self.wish.model_version
        built = await indexes.ensure(
            self.connection, model, shared=True, watch=self.watch, on=target
        )
        if self.watch.dry_run:
            return built
        async for change in type_indexes.ensure(
            self.connection, model, watch=self.watch, on=target
        ):
            built |= change.action is type_indexes.Action.BUILD
        await generations.analyze(self.connection, target)
        return built

    async def switch(self) -> bool:
        """Let the new table come into use; return whether it was not."""
        if self.outlook.switches:
            await generations.switch(self.connection, self.outlook.target, self.watch)
            if self.rows:
                self.rows.target = generations.CURRENT
        return self.outlook.switches

    async def settle(self) -> None:
        """Wait for the bots that run now to end: they may have read the secrets before.

        A bot has one connection from its beginning to its end.
        """
        role = roles.of_project(self.wish.project_id, self.connection.info.dbname).name
        # One that has read its secrets is about to connect.
        await asyncio.sleep(_POLL_SECONDS * 2)
        running = await self._sessions(role)
        for _ in range(round(_SETTLE_SECONDS / _POLL_SECONDS)):
            if not running:
                return
            await asyncio.sleep(_POLL_SECONDS)
            running &= await self._sessions(role)

    async def _sessions(self, role: str) -> set[int]:
        cursor = await self.connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE usename = %s AND datname = current_database()",
            [role],
        )
        return {pid async for (pid,) in cursor}
