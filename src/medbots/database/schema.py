"""`db init`: everything that one project needs in one database, made or mended, step by step."""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from medbots import secret
from medbots.database import (
    bot_url,
    extension,
    indexes,
    lock,
    migrations,
    rights,
    roles,
    table,
)
from medbots.database import connection as connection_module

LOCK_WAIT_SECONDS = 60.0


class Action(enum.StrEnum):
    """What a step did."""

    CREATE = "create"
    UPDATE = "update"
    ADOPT = "adopt"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was made sure of."""

    kind: str
    """`extension`, `migration`, `index`, `role` or `secret`."""
    key: str
    action: Action
    details: tuple[str, ...] = ()
    """What was done; free of secrets."""
    warnings: tuple[str, ...] = ()
    """What deserves a look, each time."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a project wants of the database."""

    project_id: str
    alias: str
    """Of the embedding model at the router."""
    dimension: int
    prefix: str
    """`none` or `nomic`."""
    model_version: str
    """What rows record of their model."""
    bot_database_url: secret.Secret | None = None
    """The database as the Medplum server sees it; its user and password are not used."""


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
) -> AsyncGenerator[Step, None]:
    """Bring the database to what the project wants, and yield each step as it is done.

    Every step is whole or not done at all, and looks before it acts: an interrupted run is
    completed by the next one, and a run that finds nothing to do writes nothing.

    Raises:
        errors.MedbotsError: a step cannot be done. What was yielded before stays.
    """
    role = roles.of_project(wish.project_id, connection.info.dbname)
    said = notices or connection_module.Notices()
    with connection_module.translated():
        async with lock.alone(connection, wait_seconds):
            # Who may not read the secrets may not write them: know it before anything is made.
            stored = await store.read()
            vector = await extension.ensure(connection)
            yield _extension_step(vector)
            before = await table.inspect(connection)
            table.refuse(before, wish.dimension)
            await rights.require(connection, role)
            async for step in _migrate(connection, wish, before, said):
                yield step
            built = await indexes.ensure(
                connection, wish.model_version, shared=await roles.shared(connection, role)
            )
            yield Step("index", indexes.NAME, Action.CREATE if built else Action.UNCHANGED)
            path = extension.search_path(vector.schema)
            done = await roles.ensure(connection, role, path)
            yield _role_step(role, done, await _warnings(connection, role))
            yield await _store_url(connection, wish, role, stored, store)


def _extension_step(vector: extension.Extension) -> Step:
    action = Action.CREATE if vector.created else Action.UNCHANGED
    warnings = (vector.warning,) if vector.warning else ()
    return Step("extension", extension.NAME, action, (vector.version,), warnings)


async def _migrate(
    connection: connection_module.Connection,
    wish: Wish,
    before: table.Table,
    notices: connection_module.Notices,
) -> AsyncIterator[Step]:
    settings = {
        "medbots.dimension": str(wish.dimension),
        "medbots.project_id": wish.project_id,
        "medbots.model_version": wish.model_version,
        # Prefixes change vectors: rows made without them are not the model's in use then.
        "medbots.model_alias": wish.alias if wish.prefix == "none" else "",
    }
    done = {one.version for one in await migrations.history(connection)}
    adopting = before.origin is table.Origin.GUIDE
    async for entry in migrations.migrate(connection, settings):
        # What the database said belongs to the migration that has just ended.
        details, notices.lines = tuple(notices.lines), []
        action = Action.UNCHANGED if entry.version in done else Action.CREATE
        if adopting and details:
            action = Action.ADOPT
        yield Step("migration", f"{entry.version:04}_{entry.name}", action, details)


def _role_step(role: roles.Role, done: tuple[str, ...], warnings: tuple[str, ...]) -> Step:
    if not done:
        action = Action.UNCHANGED
    else:
        action = Action.CREATE if done[0] == roles.CREATED else Action.UPDATE
    return Step("role", role.name, action, done, warnings)


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
