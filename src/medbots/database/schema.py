"""`db migrate` and `db init`: the store, and what one project needs in it, step by step."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

from medbots import errors, secret
from medbots.database import (
    bot_url,
    extension,
    indexes,
    keys,
    leftovers,
    lock,
    migrations,
    models,
    readers,
    rights,
    roles,
    table,
    type_indexes,
)
from medbots.database import connection as connection_module
from medbots.database import watch as watch_module
from medbots.database.step import Action, Step, Wish

__all__ = ["Action", "SecretStore", "Step", "Wish", "init", "migrate"]

LOCK_WAIT_SECONDS = 60.0

_NOBODY = "00000000-0000-0000-0000-000000000000"
"""Stands for the project where no row is adopted; the migrations expect the form of one."""


class SecretStore(Protocol):
    """Where the bots' DATABASE_URL is kept: a Medplum project's secrets."""

    async def read(self) -> secret.Secret | None:
        """Return the URL; raise NotAllowedError where the login may not read secrets."""
        ...

    async def write(self, url: secret.Secret) -> None:
        """Store the URL, keep the other secrets."""
        ...


async def init(
    connection: connection_module.Connection,
    wish: Wish,
    store: SecretStore,
    *,
    notices: connection_module.Notices | None = None,
    wait_seconds: float = LOCK_WAIT_SECONDS,
    watch: watch_module.Watch = watch_module.SILENT,
) -> AsyncGenerator[Step, None]:
    """Bring the database to what the project wants, and yield each step as it is done.

    Every step is whole or not done at all, and looks before it acts: an interrupted run is
    completed by the next one, and a run that finds nothing to do writes nothing.

    Raises:
        errors.MedbotsError: a step cannot be done. What was yielded before stays.
    """
    role = roles.of_project(wish.project_id, connection.info.dbname)
    reader = readers.of_project(wish.project_id, connection.info.dbname)
    said = notices or connection_module.Notices()
    with connection_module.translated():
        async with lock.alone(connection, wait_seconds, watch):
            # Who may not read the secrets may not write them: know it before anything is made.
            stored = await store.read()
            vector = await extension.ensure(connection, watch)
            yield _extension_step(vector)
            before = await table.inspect(connection)
            table.refuse(before, wish.dimension)
            await models.refuse(connection, wish.project_id, wish.model_version)
            await rights.require(connection, role)
            async for step in _structure(connection, wish, before, said, watch):
                yield step
            path = extension.search_path(vector.schema)
            done = await roles.ensure(connection, role, path)
            yield _role_step(role.name, done, await _warnings(connection, role))
            yield await _reader_step(connection, reader)
            yield await _store_url(connection, wish, role, stored, store)


async def migrate(
    connection: connection_module.Connection,
    wish: Wish,
    *,
    notices: connection_module.Notices | None = None,
    wait_seconds: float = LOCK_WAIT_SECONDS,
    watch: watch_module.Watch = watch_module.SILENT,
) -> AsyncGenerator[Step, None]:
    """Do what of `init` belongs to no project: extension, migrations, keys and indexes.

    Raises:
        errors.NotLoggedInError: the table is the deployment guide's, and the wish names no project
            to adopt its rows for.
        errors.MedbotsError: a step cannot be done. What was yielded before stays.
    """
    said = notices or connection_module.Notices()
    with connection_module.translated():
        async with lock.alone(connection, wait_seconds, watch):
            vector = await extension.ensure(connection, watch)
            yield _extension_step(vector)
            before = await table.inspect(connection)
            table.refuse(before, wish.dimension)
            await rights.require(connection, None, "db migrate")
            if before.origin is table.Origin.GUIDE and not wish.project_id:
                raise errors.NotLoggedInError(
                    f"{table.NAME} is the deployment guide's: its rows are adopted for one "
                    "project, and nobody is logged in to say which",
                    hint="medbots login, then medbots db migrate; or medbots db init, which also "
                    "makes the bots' role and secret",
                )
            async for step in _structure(connection, wish, before, said, watch):
                yield step


async def _structure(
    connection: connection_module.Connection,
    wish: Wish,
    before: table.Table,
    notices: connection_module.Notices,
    watch: watch_module.Watch,
) -> AsyncIterator[Step]:
    """Make what all projects share, whole or finished from where an interrupted run left it."""
    async for one in leftovers.remove(connection, watch=watch):
        yield Step("index", one.name, Action.DELETE, (f"left by a reindex of {one.copy_of}",))
    async for step in _migrate(connection, wish, before, notices, watch):
        yield step
    shared = await roles.shared(connection, wish.project_id)
    # In a dry run the guide's table still has the indexes that its adoption drops.
    anew = watch.dry_run and before.origin is table.Origin.GUIDE
    built = await indexes.ensure(
        connection, wish.model_version, shared=shared, anew=anew, watch=watch
    )
    action = Action.CREATE if built else Action.UNCHANGED
    idle = await models.idle(connection, wish.project_id, wish.model_version)
    yield Step("index", indexes.NAME, action, warnings=idle)
    if anew:
        watch.statement("indexes of single types", "-- which, is seen once the rows are adopted")
    elif not watch.dry_run or before.origin is table.Origin.OURS:
        async for change in type_indexes.ensure(connection, wish.model_version, watch=watch):
            yield _type_step(change)


def _type_step(change: type_indexes.Change) -> Step:
    action = {
        type_indexes.Action.BUILD: Action.CREATE,
        type_indexes.Action.KEEP: Action.UNCHANGED,
        type_indexes.Action.DROP: Action.DELETE,
    }[change.action]
    return Step("index", change.name, action, (change.why,))


def _extension_step(vector: extension.Extension) -> Step:
    action = Action.CREATE if vector.created else Action.UNCHANGED
    warnings = (vector.warning,) if vector.warning else ()
    return Step("extension", extension.NAME, action, (vector.version,), warnings)


async def _migrate(
    connection: connection_module.Connection,
    wish: Wish,
    before: table.Table,
    notices: connection_module.Notices,
    watch: watch_module.Watch,
) -> AsyncIterator[Step]:
    settings = {
        "medbots.dimension": str(wish.dimension),
        "medbots.project_id": wish.project_id or _NOBODY,
        "medbots.model_version": wish.model_version,
        # Prefixes change vectors: rows made without them are not the model's in use then.
        "medbots.model_alias": wish.alias if wish.prefix == "none" else "",
    }
    done = {one.version for one in await migrations.history(connection)}
    table.refuse_lost(before, done)
    adopting = before.origin is table.Origin.GUIDE
    async for entry in migrations.migrate(connection, settings, watch=watch):
        # What the database said belongs to the migration that has just ended.
        details, notices.lines = tuple(notices.lines), []
        action = Action.UNCHANGED if entry.version in done else Action.CREATE
        if adopting and (details or (watch.dry_run and entry.version == table.ADOPTION)):
            action = Action.ADOPT
        yield Step("migration", entry.label, action, details)
        early = entry.version == table.ADOPTION and table.MAKING not in done
        if early and before.origin is not table.Origin.NONE:
            anew = watch.dry_run and adopting
            async for name, made in keys.ensure(connection, anew=anew, watch=watch):
                if made:
                    yield Step("index", name, Action.CREATE)
    if watch.dry_run and table.MAKING not in done:
        return
    async for name, made in keys.ensure(connection, watch=watch):
        if made:
            yield Step("index", name, Action.CREATE)


def _role_step(name: str, done: tuple[str, ...], warnings: tuple[str, ...] = ()) -> Step:
    if not done:
        action = Action.UNCHANGED
    else:
        action = Action.CREATE if done[0] in (roles.CREATED, readers.CREATED) else Action.UPDATE
    return Step("role", name, action, done, warnings)


async def _reader_step(connection: connection_module.Connection, reader: readers.Reader) -> Step:
    """Make the reader; the bots need none, so that a login that may not make it goes on."""
    cure = await readers.hindrance(connection, reader)
    if cure is not None:
        return Step("role", reader.name, Action.UNCHANGED, (), (cure,))
    return _role_step(reader.name, await readers.ensure(connection, reader))


async def _warnings(connection: connection_module.Connection, role: roles.Role) -> tuple[str, ...]:
    """Return what weakens the role's limits and is not for medbots to change."""
    found = [
        f"another policy shows the bots rows of other projects: {cure}"
        for cure in await roles.intruders(connection, role)
    ]
    if await rights.public_may_create(connection):
        found.append(
            "every role may make tables in schema public, the bots' too: REVOKE CREATE ON SCHEMA "
            "public FROM PUBLIC, when no other program counts on it"
        )
    return tuple(found)


async def _store_url(
    connection: connection_module.Connection,
    wish: Wish,
    role: roles.Role,
    stored: secret.Secret | None,
    store: SecretStore,
) -> Step:
    """Make sure that the project's secret opens the database.

    The database gets a new password first and the project after it: interrupted in between, the
    next run finds a password that opens nothing, and does both again.
    """
    password = bot_url.password_of(stored, role)
    opens = await bot_url.opens(connection, role, password) if password else False
    details: tuple[str, ...] = ()
    if password is None or opens is False:
        # Before the password, so that a wrong setting breaks nothing.
        bot_url.build(connection, wish.bot_database_url, role, secret.Secret("-"))
        password = await roles.set_password(connection, role)
        details = ("new password",)
    elif opens is None:
        details = ("the password could not be tried from here",)
    url = bot_url.build(connection, wish.bot_database_url, role, password)
    if url == stored:
        return Step("secret", bot_url.SECRET, Action.UNCHANGED, details)
    target = connection_module.address(url, bot_url.SECRET)
    await store.write(url)
    action = Action.UPDATE if stored else Action.CREATE
    return Step("secret", bot_url.SECRET, action, (*details, f"leads to {target}"))
