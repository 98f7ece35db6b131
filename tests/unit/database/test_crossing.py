"""Projects are kept apart: the bots' role and the reader try to cross by every statement."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest

from medbots import secret
from medbots.database import connection, queries, readers, roles, schema
from tests.support import postgres as support
from tests.support import store

ACTIVE = "embedding-model/4/none"
SECRET = "Asthma of the first project"
KEPT = "aaaaaaaa-0000-4000-8000-000000000001"
RESOURCE = "aaaaaaaa-0000-4000-8000-000000000002"
PATIENT = "aaaaaaaa-0000-4000-8000-000000000003"
INSERT = """
INSERT INTO clinical_embeddings (id, project_id, fhir_resource_type, fhir_resource_id, version_id,
  patient_id, content_type, chunk_index, chunk_count, content_text, content_hash, model_version,
  embedding, resource_updated_at)
VALUES (%s, %s, 'Condition', %s, 'v', %s, 'note', 0, 1, %s, 'h', %s, '[1,2,3,4]', now())
"""
TOMBSTONE = "INSERT INTO clinical_embedding_tombstones VALUES (%s, 'Condition', %s, 'v', now())"

PICTURE = """
SELECT to_jsonb(e) FROM clinical_embeddings e ORDER BY id;
SELECT to_jsonb(t) FROM clinical_embedding_tombstones t ORDER BY project_id;
SELECT c.relname::text, c.relacl::text, c.relrowsecurity, c.relowner::regrole::text, a.attacl::text
  FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL
  WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, a.attnum;
SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1;
SELECT policyname::text, roles::text, qual FROM pg_policies ORDER BY 1, 2, 3;
SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members ORDER BY 1, 2
"""


class Clinic:
    """A database in which two projects have a row and a tombstone each."""

    def __init__(self, database: support.Database) -> None:
        self.database = database
        self.secrets = {store.PROJECT: store.Secrets(), store.OTHER_PROJECT: store.Secrets()}

    async def open(self) -> None:
        """Make the store for both, and the rows."""
        for project, secrets in self.secrets.items():
            await store.initialised(self.database.url, secrets, store.wish(project))
        async with store.connected(self.database.url) as owner:
            mine = [KEPT, store.PROJECT, RESOURCE, PATIENT, SECRET, ACTIVE]
            await owner.execute(INSERT.encode(), mine)
            theirs = [uuid.uuid4(), store.OTHER_PROJECT, uuid.uuid4(), None, "of the second"]
            await owner.execute(INSERT.encode(), [*theirs, ACTIVE])
            for project in self.secrets:
                await owner.execute(TOMBSTONE.encode(), [project, RESOURCE])
            await owner.execute("CREATE ROLE watcher LOGIN PASSWORD 'x'")
            reader = readers.of_project(store.OTHER_PROJECT, self.database.name)
            await owner.execute(f"GRANT {reader.name} TO watcher".encode())

    @contextlib.asynccontextmanager
    async def session(self, who: str) -> AsyncIterator[connection.Connection]:
        """Connect as the second project's bots, or as who may read its monitoring."""
        bot = self.secrets[store.OTHER_PROJECT].url or secret.Secret("")
        url = bot if who == "bot" else self.database.url_as("watcher", "x")
        async with store.connected(url) as session:
            yield session

    async def picture(self) -> list[Any]:
        """Return everything that must be as it was: rows, rights, policies and objects."""
        async with store.connected(self.database.url) as owner:
            return [
                await (await owner.execute(query.encode())).fetchall()
                for query in PICTURE.split(";\n")
            ]


@pytest.fixture(scope="module")
def clinic(postgres_server: support.Server) -> Iterator[Clinic]:
    """The two projects; no test may change anything of it, which `unchanged` asserts."""
    with postgres_server.database() as database:
        made = Clinic(database)
        asyncio.run(made.open())
        yield made


@contextlib.asynccontextmanager
async def unchanged(clinic: Clinic) -> AsyncIterator[None]:
    """Assert that what was tried has changed nothing."""
    before = await clinic.picture()
    yield
    assert await clinic.picture() == before


FIRST_BOT = "medbots_bot_11111111111141118111111111111111_{copy}"
FIRST_READER = "medbots_reader_11111111111141118111111111111111_{copy}"

# Each is an error for the second project's bots, and for who may read its monitoring.
REFUSED = """
INSERT INTO clinical_embedding_tombstones VALUES ('{first}', 'Condition', gen_random_uuid(), 'v',
  now());
UPDATE clinical_embeddings SET project_id = '{first}';
UPDATE clinical_embedding_tombstones SET project_id = '{first}';
INSERT INTO clinical_embedding_tombstones VALUES ('{first}', 'Condition', '{resource}', 'v', now())
  ON CONFLICT (project_id, fhir_resource_type, fhir_resource_id) DO UPDATE SET deleted_at = now();
INSERT INTO clinical_embeddings (id, project_id, fhir_resource_type, fhir_resource_id, version_id,
  content_type, chunk_index, chunk_count, content_text, content_hash, model_version, embedding,
  resource_updated_at)
  VALUES ('{kept}', '{second}', 'Condition', gen_random_uuid(), 'v', 'note', 0, 1, 'mine', 'h', 'm',
  '[1,2,3,4]', now())
  ON CONFLICT (id) DO UPDATE SET content_text = 'mine' RETURNING content_text;
MERGE INTO clinical_embeddings e USING (SELECT 1) s ON false WHEN NOT MATCHED THEN INSERT
  (project_id, fhir_resource_type, fhir_resource_id, version_id, content_type, chunk_index,
  chunk_count, content_text, content_hash, model_version, embedding, resource_updated_at)
  VALUES ('{first}', 'Condition', gen_random_uuid(), 'v', 'note', 0, 1, 'forged', 'h', 'm',
  '[1,2,3,4]', now());
COPY clinical_embedding_tombstones FROM STDIN;
TRUNCATE clinical_embeddings;
DROP TABLE clinical_embeddings;
DROP INDEX clinical_embeddings_embedding_idx;
REINDEX INDEX clinical_embeddings_embedding_idx;
ALTER TABLE clinical_embeddings DISABLE ROW LEVEL SECURITY;
ALTER TABLE clinical_embeddings NO FORCE ROW LEVEL SECURITY;
ALTER TABLE clinical_embeddings OWNER TO CURRENT_USER;
ALTER TABLE clinical_embeddings ADD COLUMN copy text;
CREATE POLICY everything ON clinical_embeddings USING (true);
DROP POLICY {first_bot} ON clinical_embeddings;
ALTER POLICY {own_bot} ON clinical_embeddings USING (true);
CREATE RULE r AS ON SELECT TO clinical_embeddings DO INSTEAD NOTHING;
CREATE TRIGGER t BEFORE INSERT ON clinical_embeddings FOR EACH ROW
  EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE INDEX ON clinical_embeddings (content_text);
CREATE TABLE public.copy AS SELECT 1 AS one;
CREATE VIEW public.copy AS SELECT 1 AS one;
CREATE SCHEMA mine;
CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT 1';
CREATE EXTENSION pageinspect;
SET ROLE {first_bot};
SET ROLE {first_reader};
SET ROLE postgres;
SET SESSION AUTHORIZATION {first_bot};
SET session_replication_role = replica;
GRANT {first_bot} TO CURRENT_USER;
GRANT {first_reader} TO CURRENT_USER;
ALTER ROLE {first_bot} PASSWORD 'known';
ALTER ROLE {own_bot} BYPASSRLS;
CREATE ROLE another;
COPY clinical_embedding_tombstones TO PROGRAM 'cat';
COPY (SELECT 1) TO '/tmp/out';
SELECT * FROM pg_statistic;
SELECT rolpassword FROM pg_authid;
SELECT * FROM medbots_reconciliations;
SELECT lo_import('/etc/passwd');
SELECT pg_read_file('PG_VERSION');
DELETE FROM medbots_migrations;
INSERT INTO medbots_migrations (version, name, checksum, medbots_version) VALUES (99, 'a', 'b', 'c')
"""


_REFUSALS = (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)
"""The second only of COPY FROM, which row security does not take."""


def _named(statement: str, database: str) -> str:
    copy = roles.of_project(store.PROJECT, database).name[-8:]
    names = {
        "first": store.PROJECT,
        "second": store.OTHER_PROJECT,
        "kept": KEPT,
        "resource": RESOURCE,
        "first_bot": FIRST_BOT.format(copy=copy),
        "first_reader": FIRST_READER.format(copy=copy),
        "own_bot": roles.of_project(store.OTHER_PROJECT, database).name,
    }
    for name, value in names.items():
        statement = statement.replace("{" + name + "}", value)
    return statement


@pytest.mark.parametrize("who", ["bot", "reader"])
async def test_what_crosses_is_refused(clinic: Clinic, who: str) -> None:
    """Every statement that would write, own, open or become another's is an error."""
    async with unchanged(clinic), clinic.session(who) as session:
        for template in REFUSED.split(";\n"):
            statement = _named(template, clinic.database.name)
            with pytest.raises(_REFUSALS) as caught:
                await session.execute(statement.encode())
            assert SECRET not in str(caught.value)
        # This one is a warning only.
        await session.execute("GRANT SELECT (id) ON clinical_embeddings TO PUBLIC")


@pytest.mark.parametrize("who", ["bot", "reader"])
async def test_row_security_cannot_be_turned_off(clinic: Clinic, who: str) -> None:
    """Without row security a query is an error, not one that sees everything."""
    async with clinic.session(who) as session:
        await session.execute("SET row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            await session.execute("SELECT project_id FROM clinical_embeddings")


LEAK = (
    "CREATE FUNCTION pg_temp.leak(anyelement) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS "
    "$$ BEGIN RAISE NOTICE 'leaked %', $1; RETURN true; END $$"
)


@pytest.mark.parametrize(("who", "column"), [("bot", "content_text"), ("reader", "project_id")])
async def test_a_leaky_function_is_shown_nothing_of_others(
    clinic: Clinic, who: str, column: str
) -> None:
    """A cheap function that tells what it is given is given the own project's rows alone."""
    async with clinic.session(who) as session:
        heard: list[str] = []
        session.add_notice_handler(lambda said: heard.append(said.message_primary or ""))
        await session.execute(LEAK.encode())
        select = f"SELECT count(*) FROM clinical_embeddings WHERE pg_temp.leak({column})"  # noqa: S608
        await session.execute(select.encode())
    own = "of the second" if who == "bot" else store.OTHER_PROJECT
    assert heard == [f"leaked {own}"]


@pytest.mark.parametrize(
    "predicate",
    [
        f"1 / (length(content_text) - {len(SECRET)}) < 9",
        "(CASE WHEN content_text LIKE 'Asthma%' THEN content_text ELSE '1' END)::int = 1",
    ],
)
async def test_an_error_tells_nothing_of_others(clinic: Clinic, predicate: str) -> None:
    """An expression that fails on another's text, and would quote it, is not evaluated on it."""
    query = f"SELECT count(*) FROM clinical_embeddings WHERE {predicate}".encode()  # noqa: S608
    async with store.connected(clinic.database.url) as owner:
        with pytest.raises(psycopg.DataError):
            await owner.execute(query)
    async with clinic.session("bot") as session:
        assert await (await session.execute(query)).fetchone() == (1,)


@pytest.mark.parametrize(("name", "last"), [("search_patient", PATIENT), ("search_project", 50)])
async def test_searches_find_nothing_of_others(clinic: Clinic, name: str, last: object) -> None:
    """The bots' searches with another project's id find no row; its own bots find it."""
    values = ["[1,2,3,4]", store.PROJECT, ACTIVE, None, None, None, None, 2.0, 10, last]
    for project, found in ((store.OTHER_PROJECT, []), (store.PROJECT, [SECRET])):
        async with store.connected(clinic.secrets[project].url or secret.Secret("")) as session:
            cursor = await queries.run(session, name, *values)
            assert [row[4] for row in await cursor.fetchall()] == found


READING = """
SELECT count(*) FROM clinical_embeddings WHERE project_id = '{first}';
SELECT count(*) FROM ONLY clinical_embeddings TABLESAMPLE SYSTEM (100) WHERE project_id = '{first}';
SELECT count(*) FROM clinical_embedding_tombstones WHERE project_id = '{first}';
SELECT count(*) FROM clinical_embeddings a FULL JOIN clinical_embeddings b
  ON a.project_id = b.project_id WHERE b.project_id = '{first}';
SELECT count(*) FROM pg_stats WHERE tablename = 'clinical_embeddings'
"""
WRITING = """
WITH gone AS (DELETE FROM clinical_embeddings WHERE project_id = '{first}' RETURNING 1)
  SELECT count(*) FROM gone;
WITH changed AS (UPDATE clinical_embeddings SET content_text = 'mine' WHERE project_id = '{first}'
  RETURNING 1) SELECT count(*) FROM changed
"""


@pytest.mark.parametrize(
    ("who", "statements"), [("bot", READING + ";\n" + WRITING), ("reader", READING)]
)
async def test_rows_of_others_are_not_there(clinic: Clinic, who: str, statements: str) -> None:
    """Whatever reads, deletes or updates finds no row of another project."""
    async with store.connected(clinic.database.url) as owner:
        await owner.execute("ANALYZE clinical_embeddings")
    async with unchanged(clinic), clinic.session(who) as session:
        for template in statements.split(";\n"):
            statement = _named(template, clinic.database.name)
            assert await (await session.execute(statement.encode())).fetchone() == (0,), statement


async def test_a_copy_holds_the_own_rows_alone(clinic: Clinic) -> None:
    """COPY TO of a bot gives its own project's rows."""
    statement = "COPY clinical_embeddings (content_text) TO STDOUT"
    async with (
        clinic.session("bot") as session,
        session.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        lines = [bytes(part) async for part in copy]
    assert lines == [b"of the second\n"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT content_text FROM clinical_embeddings",
        "SELECT content_section FROM clinical_embeddings",
        "SELECT content_hash FROM clinical_embeddings",
        "SELECT embedding FROM clinical_embeddings",
        "SELECT patient_id FROM clinical_embeddings",
        "SELECT * FROM clinical_embeddings",
        "SELECT e FROM clinical_embeddings e",
        "SELECT to_jsonb(e) FROM clinical_embeddings e",
        "SELECT ctid FROM clinical_embeddings",
        "SELECT id FROM clinical_embeddings WHERE content_text LIKE 'A%'",
        "SELECT id FROM clinical_embeddings ORDER BY embedding <=> '[1,2,3,4]'",
        "SELECT count(*) FROM clinical_embeddings GROUP BY patient_id",
        "SELECT id FROM clinical_embeddings WHERE patient_id IS NULL",
        "COPY clinical_embeddings TO STDOUT",
        "TABLE clinical_embeddings",
        "DELETE FROM clinical_embeddings",
        "UPDATE clinical_embeddings SET version_id = 'w'",
        "SELECT id FROM clinical_embeddings FOR UPDATE",
        "BEGIN; LOCK TABLE clinical_embeddings IN SHARE MODE",
    ],
)
async def test_a_reader_learns_nothing_of_what_rows_say(clinic: Clinic, query: str) -> None:
    """Text, section, hash, vector and patient are refused, in whatever place; so is writing."""
    async with unchanged(clinic), clinic.session("reader") as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await session.execute(query.encode())


async def test_a_reader_can_watch(clinic: Clinic) -> None:
    """Counts by type, model and time of its own project, withdrawals and the history are there."""
    async with clinic.session("reader") as session:
        cursor = await session.execute(
            "SELECT fhir_resource_type, model_version, count(*), max(resource_updated_at) <= now() "
            "FROM clinical_embeddings GROUP BY 1, 2"
        )
        assert await cursor.fetchall() == [("Condition", ACTIVE, 1, True)]
        cursor = await session.execute(
            "SELECT project_id::text, fhir_resource_id::text FROM clinical_embedding_tombstones"
        )
        assert await cursor.fetchall() == [(store.OTHER_PROJECT, RESOURCE)]
        cursor = await session.execute("SELECT min(version) FROM medbots_migrations")
        assert await cursor.fetchone() == (1,)
        for name, columns in readers.COLUMNS.items():
            await session.execute(f"SELECT {', '.join(columns)} FROM {name}".encode())  # noqa: S608


async def test_a_group_cannot_log_in(clinic: Clinic) -> None:
    """The reader is a group: nobody connects as it, and it has no power of its own."""
    reader = readers.of_project(store.PROJECT, clinic.database.name)
    assert len(reader.name) <= 63
    async with store.connected(clinic.database.url) as owner:
        cursor = await owner.execute(
            "SELECT rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, "
            "rolreplication, rolpassword FROM pg_authid WHERE rolname = %s",
            [reader.name],
        )
        assert await cursor.fetchone() == (*[False] * 6, None)
    with pytest.raises(psycopg.OperationalError):
        await psycopg.AsyncConnection.connect(clinic.database.url_as(reader.name, "").reveal())


@pytest.mark.parametrize(
    "damage",
    [
        "GRANT SELECT ON clinical_embeddings TO {reader}",
        "GRANT SELECT (content_text) ON clinical_embeddings TO {reader}",
        "REVOKE SELECT (version_id) ON clinical_embeddings FROM {reader}",
        "GRANT DELETE ON clinical_embedding_tombstones TO {reader}",
        "GRANT INSERT ON medbots_migrations TO {reader}",
        "DROP POLICY {reader} ON clinical_embeddings",
        "ALTER POLICY {reader} ON clinical_embeddings USING (true)",
        "ALTER ROLE {reader} LOGIN",
        "ALTER ROLE {reader} BYPASSRLS CREATEROLE",
        "GRANT pg_read_all_data TO {reader}",
    ],
)
async def test_what_was_changed_of_a_reader_is_mended(
    postgres: support.Database, damage: str
) -> None:
    """Rights, columns, policy and powers are set again; its members stay."""
    secrets = store.Secrets()
    await store.initialised(postgres.url, secrets)
    reader = readers.of_project(store.PROJECT, postgres.name).name
    async with store.connected(postgres.url) as owner:
        await owner.execute(
            f"CREATE ROLE {postgres.name} LOGIN; GRANT {reader} TO {postgres.name}".encode()
        )
        await owner.execute(damage.replace("{reader}", reader).encode())
        steps = await store.initialised(postgres.url, secrets)
        changed = [one.key for one in steps if one.action is not schema.Action.UNCHANGED]
        assert changed == [reader]
        steps = await store.initialised(postgres.url, secrets)
        assert {one.action for one in steps} == {schema.Action.UNCHANGED}
        cursor = await owner.execute(
            "SELECT member::regrole::text FROM pg_auth_members WHERE roleid = %s::regrole",
            [reader],
        )
        assert (postgres.name,) in await cursor.fetchall()
