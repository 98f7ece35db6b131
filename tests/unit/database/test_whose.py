"""Whether a database is the one that a project's bots use, judged by what their login opens."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import conninfo

from medbots import errors, secret
from medbots.database import roles, whose
from tests.support import postgres as support
from tests.support import store


async def bots_url(database: support.Database) -> secret.Secret:
    """Return the secret that `db init` has written for this database."""
    secrets = store.Secrets()
    await store.initialised(database.url, secrets)
    assert secrets.url is not None
    return secrets.url


def elsewhere(url: secret.Secret, **parts: str) -> secret.Secret:
    """Return the URL with other parts."""
    return secret.Secret(conninfo.make_conninfo(url.reveal(), **parts))


async def judged(database: support.Database, url: secret.Secret | None) -> str:
    """Return what is said against the database; nothing where it may be the bots'."""
    async with store.connected(database.url) as connection:
        try:
            await whose.require(connection, store.PROJECT, url)
        except errors.StateError as error:
            return f"{error.message} | {error.hint}"
    return ""


async def test_the_bots_own_database_passes(postgres: support.Database) -> None:
    """By their own way, and where their host's name means nothing here, by their login."""
    url = await bots_url(postgres)
    assert await judged(postgres, url) == ""
    assert await judged(postgres, elsewhere(url, host="127.0.0.1", port="1")) == ""


@pytest.mark.parametrize("reachable", [True, False], ids=["from here too", "for the bots alone"])
async def test_another_database_is_noticed(
    reachable: bool, postgres: support.Database, postgres_server: support.Server
) -> None:
    """Also one that has the tables, and a role of the same project; both places are named."""
    url = await bots_url(postgres)
    where = url if reachable else elsewhere(url, host="127.0.0.1", port="1")
    with postgres_server.database() as other:
        await bots_url(other)
        said = await judged(other, where)
    assert "the bots use another database" in said
    assert postgres.name in said
    assert other.name in said
    assert "MEDBOTS_DATABASE_URL" in said
    password = str(conninfo.conninfo_to_dict(url.reveal())["password"])
    assert password not in said


async def test_a_copy_with_its_original_s_roles_is_noticed(
    postgres: support.Database, postgres_server: support.Server
) -> None:
    """Its roles let the bots' login in; it is not where the bots' URL leads."""
    url = await bots_url(postgres)
    with postgres_server.database() as copy:
        await bots_url(copy)
        own = roles.of_project(store.PROJECT, copy.name).name
        with psycopg.connect(copy.url.reveal(), autocommit=True) as admin:
            admin.execute(f"ALTER ROLE {own} PASSWORD 'same'")
            admin.execute(
                f"ALTER ROLE {roles.of_project(store.PROJECT, postgres.name).name} PASSWORD 'same'"
            )
        theirs = elsewhere(url, password="same", user=own)
        assert "another database" in await judged(copy, theirs)


async def test_a_login_that_the_database_refuses_is_noticed(postgres: support.Database) -> None:
    """A role of the right name with another password: the secret is of another server."""
    url = await bots_url(postgres)
    role = roles.of_project(store.PROJECT, postgres.name).name
    other = elsewhere(url, host="127.0.0.1", port="1", password="another")
    said = await judged(postgres, other)
    assert "the bots use another database" in said
    with psycopg.connect(postgres.url.reveal(), autocommit=True) as admin:
        admin.execute(f"DROP OWNED BY {role}")
        admin.execute(f"DROP ROLE {role}")
    assert "the bots use another database" in await judged(
        postgres, elsewhere(url, host="127.0.0.1", port="1")
    )


async def test_without_the_secret_no_bot_uses_it(postgres: support.Database) -> None:
    """The command that makes the secret is named."""
    said = await judged(postgres, None)
    assert "has no secret DATABASE_URL" in said
    assert "medbots db init" in said


async def test_a_secret_that_is_no_url_is_noticed(postgres: support.Database) -> None:
    """And not repeated."""
    said = await judged(postgres, secret.Secret("pass:word=x"))
    assert "names no database" in said
    assert "pass:word" not in said
