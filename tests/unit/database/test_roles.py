"""The bots' role: its two tables, its own project's rows, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import psycopg
import pytest

from medbots import errors, secret
from medbots.database import connection, queries, roles, schema
from tests.support import postgres as support
from tests.support import store

ACTIVE = "embedding-model/4/none"
INSERT = """
INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, version_id,
  content_type, chunk_index, chunk_count, content_text, content_hash, model_version, embedding,
  resource_updated_at)
VALUES (%s, 'Condition', gen_random_uuid(), 'v', 'note', 0, 1, %s, 'h', %s, '[1,2,3,4]', now())
"""
TOMBSTONE = """
INSERT INTO clinical_embedding_tombstones VALUES (%s, 'Condition', gen_random_uuid(), NULL, now())
"""


async def _initialised(database: support.Database, project: str = store.PROJECT) -> store.Secrets:
    secrets = store.Secrets()
    await store.initialised(database.url, secrets, store.wish(project))
    return secrets


@contextlib.asynccontextmanager
async def _bot(secrets: store.Secrets) -> AsyncIterator[connection.Connection]:
    async with store.connected(secrets.url or secret.Secret("")) as connected:
        yield connected


def _role(database: support.Database, project: str = store.PROJECT) -> str:
    return roles.of_project(project, database.name).name


def test_names() -> None:
    """A role's name carries the whole project and the database, and fits into a name."""
    one = roles.of_project(store.PROJECT, "medplum")
    assert one.name == "medbots_bot_11111111111141118111111111111111_" + one.name[-8:]
    assert len(one.name) <= 63
    assert one.name != roles.of_project(store.OTHER_PROJECT, "medplum").name
    assert one.name != roles.of_project(store.PROJECT, "medplum_copy").name
    assert one == roles.of_project(store.PROJECT.upper(), "medplum")


@pytest.mark.parametrize("project", ["", "p1", "'; DROP ROLE postgres; --"])
def test_a_project_that_is_no_uuid(project: str) -> None:
    """Only a UUID becomes part of a role's name."""
    with pytest.raises(errors.UsageError, match="not a UUID"):
        roles.of_project(project, "medplum")


async def test_the_bots_can_do_their_work(postgres: support.Database) -> None:
    """A bot writes, changes, finds and deletes its rows and tombstones."""
    async with _bot(await _initialised(postgres)) as bot:
        await bot.execute(INSERT, [store.PROJECT, "Asthma", ACTIVE])
        await bot.execute("UPDATE clinical_embeddings SET content_text = 'Asthma, mild'")
        cursor = await bot.execute("SELECT content_text FROM clinical_embeddings")
        assert await cursor.fetchall() == [("Asthma, mild",)]
        cursor = await bot.execute("DELETE FROM clinical_embeddings")
        assert cursor.rowcount == 1
        await bot.execute(TOMBSTONE.encode(), [store.PROJECT])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM medplum_patients",
        "INSERT INTO medplum_patients VALUES ('x')",
        "SELECT * FROM medbots_migrations",
        "SELECT rolpassword FROM pg_authid",
        "TRUNCATE clinical_embeddings",
        "DROP TABLE clinical_embeddings",
        "ALTER TABLE clinical_embeddings DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON clinical_embeddings USING (true)",
        "CREATE INDEX ON clinical_embeddings (patient_id)",
        "CREATE TABLE loot (text text)",
        "CREATE SCHEMA loot",
        "CREATE EXTENSION btree_gin",
        "CREATE ROLE loot",
        "CREATE DATABASE loot",
        "ALTER ROLE postgres PASSWORD 'mine'",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "COPY clinical_embeddings TO '/tmp/loot'",
        "COPY clinical_embeddings TO PROGRAM 'cat'",
        "SELECT pg_read_file('postgresql.conf')",
    ],
)
async def test_the_bots_can_do_nothing_else(postgres: support.Database, statement: str) -> None:
    """Other tables, the schema, other roles and the server are closed to a bot."""
    secrets = await _initialised(postgres)
    async with store.connected(postgres.url) as owner:
        await owner.execute("CREATE TABLE medplum_patients (name text)")
    async with _bot(secrets) as bot:
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject)):
            await bot.execute(statement.encode())


async def test_the_bots_cannot_pass_their_rights_on(postgres: support.Database) -> None:
    """A grant by a bot is a warning of Postgres, and grants nothing."""
    secrets = await _initialised(postgres)
    async with _bot(secrets) as bot:
        await bot.execute("GRANT SELECT ON clinical_embeddings TO PUBLIC")
    async with store.connected(postgres.url) as owner:
        cursor = await owner.execute(
            "SELECT count(*) FROM pg_class c, aclexplode(c.relacl) a "
            "WHERE c.relname = 'clinical_embeddings' AND a.grantee = 0"
        )
        assert await cursor.fetchone() == (0,)


async def test_projects_cannot_be_crossed(postgres: support.Database) -> None:
    """A bot neither sees, changes, deletes nor writes the rows of another project."""
    first = await _initialised(postgres)
    second = await _initialised(postgres, store.OTHER_PROJECT)
    async with _bot(first) as one, _bot(second) as two:
        await one.execute(INSERT, [store.PROJECT, "secret of the first", ACTIVE])
        await two.execute(INSERT, [store.OTHER_PROJECT, "of the second", ACTIVE])
        cursor = await two.execute("SELECT content_text FROM clinical_embeddings")
        assert await cursor.fetchall() == [("of the second",)]
        for statement in (
            "UPDATE clinical_embeddings SET content_text = 'mine' WHERE project_id = %s",
            "DELETE FROM clinical_embeddings WHERE project_id = %s",
        ):
            assert (await two.execute(statement.encode(), [store.PROJECT])).rowcount == 0
        for statement, values in (
            (INSERT, [store.PROJECT, "forged", ACTIVE]),
            ("UPDATE clinical_embeddings SET project_id = %s", [store.PROJECT]),
            (TOMBSTONE, [store.PROJECT]),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                await two.execute(statement.encode(), values)
        # A predicate that tells what it is shown is shown nothing of others.
        cursor = await two.execute(
            "SELECT count(*) FROM clinical_embeddings WHERE content_text LIKE '%%first%%'"
        )
        assert await cursor.fetchone() == (0,)


async def test_a_second_project_leaves_the_first_alone(postgres: support.Database) -> None:
    """The first project's password, rights and rows are the same after the second's init."""
    first = await _initialised(postgres)
    url = first.url
    async with _bot(first) as bot:
        await bot.execute(INSERT, [store.PROJECT, "Asthma", ACTIVE])
    verifier = await _verifier(postgres)
    steps = await store.initialised(postgres.url, store.Secrets(), store.wish(store.OTHER_PROJECT))
    done = {step.kind: step.action for step in steps if step.action is not schema.Action.UNCHANGED}
    assert done == {"role": schema.Action.CREATE, "secret": schema.Action.CREATE}
    assert await _verifier(postgres) == verifier
    again = await store.initialised(postgres.url, first)
    assert {step.action for step in again} == {schema.Action.UNCHANGED}
    assert first.url == url
    async with _bot(first) as bot:
        cursor = await bot.execute("SELECT content_text FROM clinical_embeddings")
        assert await cursor.fetchall() == [("Asthma",)]


async def test_a_copy_of_the_database_leaves_the_first_alone(
    postgres_server: support.Server, postgres: support.Database
) -> None:
    """The same project in a copied database on the same server gets a role of its own."""
    first = await _initialised(postgres)
    with postgres_server.database(template=postgres.name) as copy:
        steps = await store.initialised(copy.url, store.Secrets())
        role = next(step for step in steps if step.kind == "role")
        assert role.action is schema.Action.CREATE
        assert role.key != _role(postgres)
        async with _bot(first) as bot:
            assert (await bot.execute("SELECT 1")).rowcount == 1
        async with store.connected(copy.url) as owner:
            await owner.execute(f"DROP OWNED BY {role.key}".encode())


async def _verifier(database: support.Database, project: str = store.PROJECT) -> str:
    async with store.connected(database.url) as owner:
        cursor = await owner.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = %s", [_role(database, project)]
        )
        return str((await cursor.fetchone() or ("",))[0])


async def test_the_password_reaches_the_server_as_a_verifier(
    postgres_server: support.Server, postgres: support.Database
) -> None:
    """What travels, is stored, and may be logged is a SCRAM verifier, never the password."""
    async with store.connected(postgres.url) as owner:
        await owner.execute("ALTER SYSTEM SET log_statement = 'all'")
        await owner.execute("SELECT pg_reload_conf()")
    try:
        secrets = await _initialised(postgres)
        verifier = await _verifier(postgres)
    finally:
        async with store.connected(postgres.url) as owner:
            await owner.execute("ALTER SYSTEM RESET log_statement")
            await owner.execute("SELECT pg_reload_conf()")
    url = (secrets.url or secret.Secret("")).reveal()
    password = str(psycopg.conninfo.conninfo_to_dict(url)["password"])
    log = postgres_server.embedded.log.read_text()
    assert verifier.startswith("SCRAM-SHA-256$")
    assert verifier in log
    assert password not in log
    assert len(password) == 43


async def test_sessions_of_the_bots(postgres: support.Database) -> None:
    """A bot's session is limited in time and isolated as its statements need."""
    secrets = await _initialised(postgres)
    async with await psycopg.AsyncConnection.connect(
        (secrets.url or secret.Secret("")).reveal()
    ) as bot:
        shown = {}
        for name in roles.settings("public"):
            shown[name] = (await (await bot.execute(f"SHOW {name}")).fetchone() or ("",))[0]
    assert shown == dict(roles.settings("public"))
    async with store.connected(postgres.url) as owner:
        cursor = await owner.execute(
            "SELECT rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, "
            "rolbypassrls, rolconnlimit BETWEEN 10 AND 90 FROM pg_roles WHERE rolname = %s",
            [_role(postgres)],
        )
        assert await cursor.fetchone() == (False, False, False, False, False, False, True)


@pytest.mark.parametrize(
    "damage",
    [
        "ALTER ROLE {role} SUPERUSER",
        "ALTER ROLE {role} BYPASSRLS CREATEROLE CREATEDB REPLICATION INHERIT",
        "ALTER ROLE {role} NOLOGIN",
        "GRANT pg_read_all_data TO {role}",
        'CREATE ROLE "odd {{1}}"; GRANT "odd {{1}}" TO {role}',
        "ALTER ROLE {role} RESET ALL",
        "ALTER ROLE {role} SET default_transaction_isolation = 'serializable'",
        "GRANT ALL ON clinical_embeddings TO {role}",
        "GRANT SELECT ON clinical_embeddings TO {role} WITH GRANT OPTION",
        "REVOKE INSERT ON clinical_embedding_tombstones FROM {role}",
        "DROP POLICY {role} ON clinical_embeddings",
        "ALTER POLICY {role} ON clinical_embeddings USING (true)",
        "ALTER POLICY {role} ON clinical_embedding_tombstones TO PUBLIC",
        "ALTER TABLE clinical_embeddings DISABLE ROW LEVEL SECURITY",
        "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
        "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
    ],
)
async def test_what_was_changed_is_mended(postgres: support.Database, damage: str) -> None:
    """Rights that were given, taken or bent by hand are as they should be after the next run."""
    secrets = await _initialised(postgres)
    statement = damage.format(role=_role(postgres), database=postgres.name)
    async with store.connected(postgres.url) as owner:
        await owner.execute(statement.encode())
    steps = await store.initialised(postgres.url, secrets)
    role = next(step for step in steps if step.kind == "role")
    assert role.action is schema.Action.UPDATE
    assert role.details
    again = await store.initialised(postgres.url, secrets)
    assert {step.action for step in again} == {schema.Action.UNCHANGED}
    async with _bot(secrets) as bot:
        await bot.execute(INSERT, [store.PROJECT, "Asthma", ACTIVE])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await bot.execute(INSERT, [store.OTHER_PROJECT, "forged", ACTIVE])


async def test_a_policy_that_opens_everything_is_pointed_out(postgres: support.Database) -> None:
    """A policy of somebody else that would show other projects' rows is named with its cure."""
    secrets = await _initialised(postgres)
    async with store.connected(postgres.url) as owner:
        await owner.execute('CREATE POLICY "see all" ON clinical_embeddings USING (true)')
    steps = await store.initialised(postgres.url, secrets)
    role = next(step for step in steps if step.kind == "role")
    (warning,) = role.warnings
    assert warning == (
        "another policy shows the bots rows of other projects: "
        'DROP POLICY "see all" ON clinical_embeddings'
    )


async def test_a_bots_search_uses_the_index(postgres: support.Database) -> None:
    """Under the row policy the planner still takes the partial HNSW index."""
    secrets = await _initialised(postgres)
    async with _bot(secrets) as bot:
        for number in range(300):
            vector = f"[1,{number % 17 + 1},{number % 5 + 1},{number + 1}]"
            await bot.execute(INSERT.replace("[1,2,3,4]", vector), [store.PROJECT, "x", ACTIVE])
        async with store.connected(postgres.url) as owner:
            await owner.execute("ANALYZE clinical_embeddings")
        async with bot.transaction():
            await queries.run(
                bot, "search_settings", 5000, store.PROJECT, ACTIVE, None, 4, False, 30
            )
            await bot.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            cursor = psycopg.AsyncRawCursor(bot)
            await cursor.execute(
                b"EXPLAIN " + queries.text("search_project").encode(),
                ["[1,2,3,4]", store.PROJECT, ACTIVE, None, None, None, None, 1.0, 10, 30],
            )
            plan = "\n".join([line async for (line,) in cursor])
    assert "Index Scan using clinical_embeddings_embedding_idx" in plan
