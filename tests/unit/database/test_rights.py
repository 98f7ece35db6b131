"""An owner who is no superuser: what suffices, and what is missing with its cure."""

from __future__ import annotations

import psycopg
import pytest

from medbots import errors, secret
from medbots.database import extension, queries, readers, schema
from tests.support import postgres as support
from tests.support import store

PASSWORD = "owner-password-1234567890"


async def _owner(database: support.Database, attributes: str = "", *grants: str) -> secret.Secret:
    """Make a login that is no superuser; return its URL."""
    name = f"owner_{database.name[-8:]}"
    async with store.connected(database.url) as admin:
        await admin.execute(f"CREATE ROLE {name} LOGIN {attributes} PASSWORD '{PASSWORD}'".encode())
        for grant in grants:
            await admin.execute(grant.format(name).encode())
    return database.url_as(name, PASSWORD)


async def _clean(database: support.Database) -> None:
    async with store.connected(database.url) as admin:
        names = await admin.execute(
            "SELECT rolname FROM pg_roles WHERE rolname ~ '^(owner_|medbots_bot_)' "
            "ORDER BY rolname LIKE 'owner_%%' DESC"
        )
        for (name,) in await names.fetchall():
            await admin.execute(f"DROP OWNED BY {name} CASCADE".encode())


async def test_an_owner_who_is_no_superuser(postgres: support.Database) -> None:
    """CREATE on the schema and CREATEROLE are enough, and a second run finds nothing to do."""
    url = await _owner(postgres, "CREATEROLE", "GRANT CREATE ON SCHEMA public TO {}")
    secrets = store.Secrets()
    steps = await store.initialised(url, secrets)
    assert steps[-1].action is schema.Action.CREATE
    again = await store.initialised(url, secrets)
    assert {step.action for step in again} == {schema.Action.UNCHANGED}
    async with store.connected(secrets.url or url) as bot:
        cursor = await bot.execute("SELECT count(*) FROM clinical_embeddings")
        assert await cursor.fetchone() == (0,)
    await _clean(postgres)


async def test_everything_missing_is_named_at_once(postgres: support.Database) -> None:
    """A login without rights gets every statement it needs in one run, and makes nothing."""
    async with store.connected(postgres.url) as admin:
        await admin.execute(store.GUIDE.encode())
    url = await _owner(postgres)
    secrets = store.Secrets()
    with pytest.raises(errors.NotAllowedError) as caught:
        await store.initialised(url, secrets)
    name = f"owner_{postgres.name[-8:]}"
    assert caught.value.hint == (
        f"let MEDBOTS_DATABASE_URL name their owner, postgres; or, to make {name} the owner, "
        f"a superuser runs, in database {postgres.name}: "
        f'GRANT CREATE ON SCHEMA public TO "{name}"; ALTER ROLE "{name}" CREATEROLE; '
        f'ALTER TABLE public.clinical_embeddings OWNER TO "{name}";'
    )
    assert secrets.writes == 0
    # The cure, run to the letter, cures.
    async with store.connected(postgres.url) as admin:
        await admin.execute((caught.value.hint or "").partition(f"{postgres.name}: ")[2].encode())
    steps = await store.initialised(url, secrets)
    assert steps[-1].action is schema.Action.CREATE
    await _clean(postgres)


async def test_a_refused_query_is_told_in_plain_words(postgres: support.Database) -> None:
    """No name of a query of medbots' own, which nobody can look up, stands in the message."""
    await store.initialised(postgres.url, store.Secrets())
    url = await _owner(postgres)
    async with store.connected(url) as nobody:
        with pytest.raises(errors.NotAllowedError) as caught:
            await queries.run(nobody, "model_versions", store.PROJECT)
    assert caught.value.message == "permission denied for table clinical_embeddings"
    await _clean(postgres)


async def test_a_store_without_a_reader_works(postgres: support.Database) -> None:
    """A login that may not make the missing reader leaves it, and says what a superuser runs."""
    url = await _owner(postgres, "CREATEROLE", "GRANT CREATE ON SCHEMA public TO {}")
    secrets = store.Secrets()
    await store.initialised(url, secrets)
    reader = readers.of_project(store.PROJECT, postgres.name).name
    name = f"owner_{postgres.name[-8:]}"
    async with store.connected(postgres.url) as admin:
        await admin.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}".encode())
        await admin.execute(f"ALTER ROLE {name} NOCREATEROLE".encode())
        steps = await store.initialised(url, secrets)
        assert {step.action for step in steps} == {schema.Action.UNCHANGED}
        (warning,) = next(step for step in steps if step.key == reader).warnings
        await admin.execute(warning.partition("superuser runs ")[2].partition(";")[0].encode())
    steps = await store.initialised(url, secrets)
    assert [step.key for step in steps if step.action is schema.Action.CREATE] == [reader]
    await _clean(postgres)


async def test_another_login_may_not_change_the_role(postgres: support.Database) -> None:
    """A login that did not make the role, and must mend it, is told who may."""
    await store.initialised(postgres.url, store.Secrets())
    url = await _owner(postgres, "CREATEROLE", "GRANT CREATE ON SCHEMA public TO {}")
    name = f"owner_{postgres.name[-8:]}"
    async with store.connected(postgres.url) as admin:
        for table in ("clinical_embeddings", "clinical_embedding_tombstones", "medbots_migrations"):
            await admin.execute(f"ALTER TABLE {table} OWNER TO {name}".encode())
    with pytest.raises(errors.NotAllowedError) as caught:
        await store.initialised(url, store.Secrets())
    assert "the login that made the role" in (caught.value.hint or "")
    await _clean(postgres)


async def test_an_extension_that_may_not_be_made(
    postgres_server: support.Server,
) -> None:
    """Without pgvector, and without the right to make it, the superuser's statement is named."""
    with postgres_server.database(template="template0") as bare:
        url = await _owner(bare, "CREATEROLE", "GRANT CREATE ON SCHEMA public TO {}")
        with pytest.raises(errors.NotAllowedError) as caught:
            await store.initialised(url, store.Secrets())
        hint = caught.value.hint or ""
        assert f"in database {bare.name}: CREATE EXTENSION vector;" in hint
        assert "docker exec" in hint
        assert "azure.extensions" in hint
        steps = await store.initialised(bare.url, store.Secrets())
        assert (steps[0].kind, steps[0].action) == ("extension", schema.Action.CREATE)


@pytest.mark.parametrize("version", ["0.5.1", "0.6.2", "0.7.4"])
async def test_an_extension_that_is_too_old(postgres: support.Database, version: str) -> None:
    """An old pgvector is refused with the statement that updates it."""
    async with store.connected(postgres.url) as admin:
        await admin.execute(
            "UPDATE pg_extension SET extversion = %s WHERE extname = 'vector'", [version]
        )
    with pytest.raises(errors.DatabaseError, match=f"pgvector {version} is too old") as caught:
        await store.initialised(postgres.url, store.Secrets())
    assert "ALTER EXTENSION vector UPDATE;" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("version", "warned"),
    [("0.8.0", True), ("0.8.3", True), ("0.8.4", False), ("0.9.0", False), ("0.10.1", False)],
)
async def test_an_extension_that_works_with_a_flaw(
    postgres: support.Database, version: str, *, warned: bool
) -> None:
    """A pgvector below 0.8.4 works, with a warning each time."""
    async with store.connected(postgres.url) as admin:
        await admin.execute(
            "UPDATE pg_extension SET extversion = %s WHERE extname = 'vector'", [version]
        )
    steps = await store.initialised(postgres.url, store.Secrets())
    assert bool(steps[0].warnings) is warned
    assert all("0.8.4" in one for one in steps[0].warnings)


async def test_a_server_without_pgvector(
    postgres: support.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not offer the extension gets the package and the image to install."""
    monkeypatch.setattr(extension, "NAME", "vector_that_is_not_there")
    with pytest.raises(errors.DatabaseError, match="has no pgvector") as caught:
        await store.initialised(postgres.url, store.Secrets())
    hint = caught.value.hint or ""
    assert "pgvector/pgvector:pg18" in hint
    assert "postgresql-18-pgvector" in hint


async def test_pgvector_in_a_schema_of_its_own(postgres_server: support.Server) -> None:
    """Where the extension lies elsewhere than in public, tables and bots find its types."""
    with postgres_server.database(template="template0") as bare:
        async with store.connected(bare.url) as admin:
            await admin.execute(
                "CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions"
            )
        secrets = store.Secrets()
        await store.initialised(bare.url, secrets)
        async with await psycopg.AsyncConnection.connect((secrets.url or bare.url).reveal()) as bot:
            cursor = await bot.execute("SELECT '[1,2]'::halfvec <=> '[1,2]'::vector::halfvec")
            assert await cursor.fetchone() == (0.0,)
        again = await store.initialised(bare.url, secrets)
        assert {step.action for step in again} == {schema.Action.UNCHANGED}


async def test_a_schema_open_to_everybody_is_pointed_out(postgres: support.Database) -> None:
    """Where every role may make tables, as before Postgres 15, the cure is said each time."""
    async with store.connected(postgres.url) as admin:
        await admin.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    steps = await store.initialised(postgres.url, store.Secrets())
    role = next(step for step in steps if step.kind == "role")
    assert any("REVOKE CREATE ON SCHEMA public FROM PUBLIC" in one for one in role.warnings)
