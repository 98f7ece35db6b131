"""`db init` as a whole: idempotent, interruptible anywhere, one at a time."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from psycopg import conninfo, sql

from medbots import errors, secret
from medbots.database import connection, indexes, migrations, schema, status
from tests.support import postgres as support
from tests.support import store

ACTIVE = "embedding-model/4/none"


class CutError(Exception):
    """The connection was cut, as by a kill."""


async def _cut_after(
    url: secret.Secret, secrets: store.Secrets, statements: int
) -> tuple[bool, list[str]]:
    """Run db init and kill its session before a statement; return whether it ended, and them."""
    made = await connection.connect(url)
    executed: list[str] = []
    plain = made.execute

    async def counted(*args: Any, **kwargs: Any) -> Any:
        if len(executed) == statements:
            async with store.connected(url) as killer:
                await killer.execute("SELECT pg_terminate_backend(%s)", [made.info.backend_pid])
            raise CutError
        text = args[0]
        executed.append(text.as_string(made) if isinstance(text, sql.Composable) else str(text))
        return await plain(*args, **kwargs)

    made.execute = counted  # type: ignore[method-assign]
    try:
        async for _ in schema.init(made, store.wish(), secrets, wait_seconds=5):
            pass
    except (CutError, errors.UnreachableError):
        return False, executed
    finally:
        await made.close()
    return True, executed


async def _url(secrets: store.Secrets) -> secret.Secret:
    """Return the bots' URL, which must be there."""
    url = await secrets.read()
    assert url is not None
    return url


async def _picture(database: support.Database, secrets: store.Secrets) -> list[Any]:
    """Return everything that db init makes, without times and passwords."""
    async with store.connected(database.url) as connected:
        found = (await status.read(connected, ACTIVE)).document()
        for one in found["migrations"]:
            one["applied"] = one["applied"] is not None
        found.pop("database")
        found.pop("bytes")
        acl = await connected.execute(
            "SELECT relname::text, array_length(relacl, 1), relrowsecurity FROM pg_class "
            "WHERE relname LIKE 'clinical_embedding%%' AND relkind = 'r' ORDER BY 1"
        )
        policies = await connected.execute(
            "SELECT tablename::text, qual FROM pg_policies ORDER BY 1"
        )
        rows = await connected.execute("SELECT content_text, chunk_index FROM clinical_embeddings")
        shown = [found, await acl.fetchall(), await policies.fetchall(), await rows.fetchall()]
    bot = await connection.connect(await _url(secrets))
    await bot.close()
    return shown


async def _prepare(database: support.Database, *, guide: bool) -> None:
    """Empty the database of what db init makes; with `guide`, make the guide's table in it."""
    async with store.connected(database.url) as connected:
        await connected.execute(
            "DROP TABLE IF EXISTS clinical_embeddings, clinical_embeddings_set_aside, "
            "clinical_embedding_tombstones, medbots_migrations"
        )
        roles = await connected.execute(
            "SELECT rolname FROM pg_roles WHERE rolname ~ '^medbots_(bot|reader)_'"
        )
        for (role,) in await roles.fetchall():
            await connected.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
        if guide:
            await connected.execute(store.GUIDE.encode())
            await connected.execute(
                "INSERT INTO clinical_embeddings (fhir_resource_type, fhir_resource_id, "
                "content_text, embedding) VALUES "
                "('Condition', gen_random_uuid(), 'Asthma', '[1,2,3,4]')"
            )


@pytest.mark.parametrize("guide", [False, True], ids=["empty", "guide"])
async def test_interrupted_before_every_statement(
    postgres: support.Database, *, guide: bool
) -> None:
    """Killed before any statement that writes, the next run completes what a whole one makes.

    Before one that reads, it leaves what it leaves before the next that writes.
    """
    await _prepare(postgres, guide=guide)
    secrets = store.Secrets()
    ended, every = await _cut_after(postgres.url, secrets, 10_000)
    assert ended
    expected = await _picture(postgres, secrets)
    reading = re.compile(r"(b['\"])?\s*(SELECT|SHOW|RESET)\b")
    writing = [number for number, text in enumerate(every) if not reading.match(text)]
    assert len(writing) > 30
    for statements in writing:
        await _prepare(postgres, guide=guide)
        secrets = store.Secrets()
        assert (await _cut_after(postgres.url, secrets, statements))[0] is False
        await store.initialised(postgres.url, secrets)
        assert await _picture(postgres, secrets) == expected, f"cut before {statements}"


async def test_a_second_run_writes_nothing(postgres: support.Database) -> None:
    """Nothing to do: no statement that writes, no secret written, no password changed."""
    secrets = store.Secrets()
    first = await store.initialised(postgres.url, secrets)
    assert {step.kind for step in first} == {"extension", "migration", "index", "role", "secret"}
    url = secrets.url
    async with store.connected(postgres.url) as connected:
        before = await _written(connected)
        second = await store.initialised(postgres.url, secrets)
        assert await _written(connected) == before
    assert {step.action for step in second} == {schema.Action.UNCHANGED}
    assert (secrets.url, secrets.writes) == (url, 1)


async def _written(connected: connection.Connection) -> Any:
    """Return the id that the next writing transaction gets: each one so far has used one up."""
    cursor = await connected.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    return await cursor.fetchone()


async def test_concurrent_runs(postgres: support.Database) -> None:
    """Four runs at once end well, one after the other, with one password that works."""
    secrets = store.Secrets()
    every = await asyncio.gather(*(store.initialised(postgres.url, secrets) for _ in range(4)))
    writers = [
        steps for steps in every if any(one.action is not schema.Action.UNCHANGED for one in steps)
    ]
    assert len(writers) == 1
    assert secrets.writes == 1
    assert secrets.url is not None
    bot = await connection.connect(secrets.url)
    await bot.close()


async def test_a_lost_secret_is_made_anew(postgres: support.Database) -> None:
    """A project without the secret gets a new password; the old one is worth nothing then."""
    secrets = store.Secrets()
    await store.initialised(postgres.url, secrets)
    old, secrets.url = secrets.url, None
    steps = await store.initialised(postgres.url, secrets)
    assert (steps[-1].kind, steps[-1].action) == ("secret", schema.Action.CREATE)
    assert secrets.url not in (None, old)
    assert old is not None
    with pytest.raises(errors.NotAllowedError):
        await connection.connect(old)
    bot = await connection.connect(await _url(secrets))
    await bot.close()


async def test_a_password_changed_behind_our_back(postgres: support.Database) -> None:
    """A secret that opens nothing any more is replaced by one that does."""
    secrets = store.Secrets()
    await store.initialised(postgres.url, secrets)
    role = connection.address(secrets.url or secret.Secret("")).user
    async with store.connected(postgres.url) as connected:
        await connected.execute(f"ALTER ROLE {role} PASSWORD 'other'".encode())
    steps = await store.initialised(postgres.url, secrets)
    assert steps[-1].action is schema.Action.UPDATE
    assert "new password" in steps[-1].details
    bot = await connection.connect(await _url(secrets))
    await bot.close()


async def test_interrupted_between_password_and_secret(postgres: support.Database) -> None:
    """When the project could not be written, the next run sets password and secret again."""
    secrets = store.Secrets(fail=True)
    with pytest.raises(errors.UnreachableError):
        await store.initialised(postgres.url, secrets)
    assert secrets.url is None
    secrets.fail = False
    steps = await store.initialised(postgres.url, secrets)
    assert [one.action for one in steps if one.kind != "secret"] == [schema.Action.UNCHANGED] * (
        len(steps) - 1
    )
    bot = await connection.connect(await _url(secrets))
    await bot.close()


async def test_who_may_not_read_secrets_changes_nothing(postgres: support.Database) -> None:
    """Without the right to the project's secrets nothing is made in the database."""
    with pytest.raises(errors.NotAllowedError):
        await store.initialised(postgres.url, store.Secrets(readable=False))
    async with store.connected(postgres.url) as connected:
        assert await migrations.history(connected) == ()


async def test_the_address_for_the_server(postgres: support.Database) -> None:
    """MEDBOTS_BOT_DATABASE_URL gives host and parameters; role and password are the bots'."""
    wanted = store.wish(bot_database_url="postgresql://x:y@postgres:6432/medplum?sslmode=disable")
    secrets = store.Secrets()
    await store.initialised(postgres.url, secrets, wanted)
    assert secrets.url is not None
    shown = secrets.url.reveal()
    assert shown.startswith("postgresql://medbots_bot_1111")
    assert shown.endswith("@postgres:6432/medplum?sslmode=disable")
    assert ":y@" not in shown
    steps = await store.initialised(postgres.url, secrets, wanted)
    assert {step.action for step in steps} == {schema.Action.UNCHANGED}
    # A new address keeps the password.
    moved = store.wish(bot_database_url="postgresql://db.clinic.example/medplum")
    before = shown.split("@")[0]
    steps = await store.initialised(postgres.url, secrets, moved)
    assert steps[-1].action is schema.Action.UPDATE
    assert "new password" not in steps[-1].details
    assert secrets.url.reveal() == f"{before}@db.clinic.example:5432/medplum"


async def test_a_bad_address_for_the_server_breaks_nothing(postgres: support.Database) -> None:
    """A wrong MEDBOTS_BOT_DATABASE_URL is a usage error, and the role keeps its password."""
    secrets = store.Secrets()
    await store.initialised(postgres.url, secrets)
    with pytest.raises(errors.UsageError, match="MEDBOTS_BOT_DATABASE_URL"):
        await store.initialised(
            postgres.url, secrets, store.wish(bot_database_url="postgres//hunter2")
        )
    steps = await store.initialised(postgres.url, secrets)
    assert {step.action for step in steps} == {schema.Action.UNCHANGED}


async def test_no_secret_in_any_step(postgres: support.Database) -> None:
    """Neither the owner's nor the bots' password stands in what is told."""
    secrets = store.Secrets()
    steps = await store.initialised(postgres.url, secrets)
    told = repr(steps)
    for url in (postgres.url, secrets.url):
        password = conninfo.conninfo_to_dict((url or postgres.url).reveal())["password"]
        assert isinstance(password, str)
        assert len(password) >= 43
        assert password not in told


@pytest.mark.parametrize("dimension", [0, -1, 4001])
async def test_an_impossible_dimension(postgres: support.Database, dimension: int) -> None:
    """A dimension that no index takes is refused before anything is made."""
    with pytest.raises(errors.InvalidError, match="1 to 4000"):
        await store.initialised(postgres.url, wanted=store.wish(dimension=dimension))


@pytest.mark.parametrize("dimension", [1, 3000, 3001, 4000])
async def test_every_possible_dimension_can_be_stored(
    postgres: support.Database, dimension: int
) -> None:
    """A row with a vector of any length that an index takes goes in."""
    wanted = store.wish(dimension=dimension)
    await store.initialised(postgres.url, wanted=wanted)
    async with store.connected(postgres.url) as connected:
        await connected.execute(_INSERT, [wanted.model_version, str([0.5] * dimension)])
        found = await status.read(connected, wanted.model_version)
    assert (found.rows, found.dimension) == (1, dimension)


_INSERT = """
INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, version_id,
  content_type, chunk_index, chunk_count, content_text, content_hash, model_version, embedding,
  resource_updated_at)
VALUES (gen_random_uuid(), 'Condition', gen_random_uuid(), 'v', 'note', 0, 1, repeat('x', 1200),
  repeat('h', 64), %s, %s, now())
"""


async def test_a_zero_vector_is_refused(postgres: support.Database) -> None:
    """The table takes no vector that no search could find."""
    await store.initialised(postgres.url)
    async with store.connected(postgres.url) as connected:
        with pytest.raises(errors.DatabaseError, match="embedding_check"), connection.translated():
            await connected.execute(_INSERT, [ACTIVE, "[0,0,0,0]"])


async def test_a_changed_dimension_is_refused(postgres: support.Database) -> None:
    """An init with another dimension than before refuses, and names the cure."""
    await store.initialised(postgres.url)
    with pytest.raises(errors.DatabaseError, match="4 dimensions; the manifest says 8"):
        await store.initialised(postgres.url, wanted=store.wish(dimension=8))


async def _index_state(database: support.Database) -> list[tuple[str, bool, str | None]]:
    async with store.connected(database.url) as connected:
        return [(one.name, one.valid, one.model_version) for one in await indexes.find(connected)]


async def test_an_invalid_index_is_built_again(postgres: support.Database) -> None:
    """What an interrupted build left is removed, and the index is built beside the writers."""
    await store.initialised(postgres.url)
    async with store.connected(postgres.url) as connected:
        await connected.execute(_INSERT, [ACTIVE, "[1,0,0,0]"])
        await connected.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
            "'clinical_embeddings_embedding_idx'::regclass"
        )
    assert await _index_state(postgres) == [(indexes.NAME, False, ACTIVE)]
    steps = await store.initialised(postgres.url)
    assert next(one for one in steps if one.kind == "index").action is schema.Action.CREATE
    assert await _index_state(postgres) == [(indexes.NAME, True, ACTIVE)]


async def test_a_writer_does_not_stop_the_build(postgres: support.Database) -> None:
    """With rows the index is built concurrently: an open writing transaction ends unharmed."""
    await store.initialised(postgres.url)
    async with store.connected(postgres.url) as writer:
        await writer.execute(_INSERT, [ACTIVE, "[1,0,0,0]"])
        await writer.execute("DROP INDEX clinical_embeddings_embedding_idx")
        async with writer.transaction():
            await writer.execute(_INSERT, [ACTIVE, "[0,1,0,0]"])
            building = asyncio.create_task(store.initialised(postgres.url))
            await asyncio.sleep(0.5)
            assert not building.done()
            await writer.execute(_INSERT, [ACTIVE, "[0,0,1,0]"])
        await building
    assert await _index_state(postgres) == [(indexes.NAME, True, ACTIVE)]


async def test_a_changed_model_without_rows_takes_the_name(postgres: support.Database) -> None:
    """As long as nothing is stored, the named index follows the model."""
    await store.initialised(postgres.url)
    wanted = store.wish(alias="bge-m3")
    await store.initialised(postgres.url, wanted=wanted)
    assert await _index_state(postgres) == [(indexes.NAME, True, "bge-m3/4/none")]


async def test_a_changed_model_with_rows_gets_a_second_index(postgres: support.Database) -> None:
    """While rows of the former model are there, its index stays beside the new one."""
    await store.initialised(postgres.url)
    async with store.connected(postgres.url) as connected:
        await connected.execute(_INSERT, [ACTIVE, "[1,0,0,0]"])
    wanted = store.wish(alias="o'brien")
    await store.initialised(postgres.url, wanted=wanted)
    found = await _index_state(postgres)
    assert [one[1:] for one in found] == [(True, ACTIVE), (True, "o'brien/4/none")]
    assert found[1][0].startswith(f"{indexes.NAME}_")
    steps = await store.initialised(postgres.url, wanted=wanted)
    assert next(one for one in steps if one.kind == "index").action is schema.Action.UNCHANGED
