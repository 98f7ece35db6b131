"""`db maintain` and `db reindex` on a real Postgres."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg import sql

from medbots import errors, secret
from medbots.database import connection, maintenance, search, upkeep
from tests.support import postgres as support
from tests.support import store
from tests.support.shelf import INDEX, MODEL, Shelf

TABLE = "public.clinical_embeddings"
LEFT_OVER = f"{INDEX}_ccnew"


def _steps(document: Any) -> dict[tuple[str, str], str]:
    return {(one["kind"], one["target"]): one["status"] for one in document["steps"]}


def _leave_over(shelf: Shelf) -> None:
    """Leave what a REINDEX CONCURRENTLY leaves that was cancelled."""
    with shelf.connect() as owner:
        owner.execute(
            f"CREATE INDEX {LEFT_OVER} ON clinical_embeddings "
            "USING hnsw (embedding halfvec_cosine_ops)"
        )
        owner.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [LEFT_OVER]
        )


def _indexes(shelf: Shelf) -> set[str]:
    with shelf.connect() as owner:
        return {
            str(row[0])
            for row in owner.execute(
                "SELECT relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
                "WHERE indrelid = %s::regclass",
                [TABLE],
            )
        }


def test_churn_is_cured_and_then_there_is_nothing_to_do(shelf: Shelf) -> None:
    """Deleted rows: analyse, reindex, vacuum, in this order; the next run finds nothing to do."""
    shelf.fill(600)
    shelf.churn(0.2)
    planned = shelf.json("db", "maintain", "--dry-run")
    assert planned["summary"] == {"due": 3, "done": 0}
    assert [one["kind"] for one in planned["steps"]] == ["index", "analyze", "reindex", "vacuum"]
    assert _steps(planned)["reindex", INDEX] == "planned"
    evidence = {one["kind"]: one["evidence"] for one in planned["steps"]}
    assert (evidence["reindex"]["dead"], evidence["reindex"]["churn"]) == (120, 120)
    assert evidence["vacuum"]["dead"] == 120

    done = shelf.json("db", "maintain")
    assert _steps(done) == {
        ("index", INDEX): "skipped",
        ("analyze", TABLE): "done",
        ("reindex", INDEX): "done",
        ("vacuum", TABLE): "done",
    }
    again = shelf.json("db", "maintain")
    assert again["summary"] == {"due": 0, "done": 0}
    code, out, _ = shelf.run("db", "maintain")
    assert code == 0
    assert out.splitlines()[-1].endswith("needs no maintenance.")


def test_dead_rows_that_an_old_transaction_still_sees(shelf: Shelf) -> None:
    """The vacuum cannot remove them; the session that holds them is named."""
    shelf.fill(300)
    with psycopg.connect(shelf.url, application_name="a long report") as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM clinical_embeddings")
        shelf.churn(0.01)
        done = shelf.json("db", "maintain")
    (vacuum,) = [one for one in done["steps"] if one["kind"] == "vacuum"]
    assert vacuum["note"].startswith(f"3 dead rows stay in {TABLE}")
    assert "program a long report" in vacuum["note"]
    again = shelf.json("db", "maintain")
    assert [one["note"] for one in again["steps"] if one["kind"] == "vacuum"] == [""]


def test_a_dry_run_changes_nothing(shelf: Shelf) -> None:
    """No row is vacuumed, no index rebuilt, nothing written down."""
    shelf.fill(300)
    shelf.churn(0.5)
    before = _files(shelf)
    shelf.json("db", "maintain", "--dry-run")
    assert _files(shelf) == before
    assert shelf.json("db", "maintain", "--dry-run")["summary"]["due"] == 3


def _files(shelf: Shelf) -> Any:
    with shelf.connect() as owner:
        return owner.execute(
            "SELECT pg_relation_filenode(%s), pg_relation_filenode(%s), "
            "obj_description(%s::regclass)",
            [TABLE, INDEX, INDEX],
        ).fetchone()


def test_left_overs_go_and_a_missing_index_comes(shelf: Shelf) -> None:
    """What an interrupted rebuild left is dropped; the index that searches need is built."""
    shelf.fill(300)
    _leave_over(shelf)
    with shelf.connect() as owner:
        owner.execute(f"DROP INDEX {INDEX}")
    done = shelf.json("db", "maintain")
    assert _steps(done)["drop", LEFT_OVER] == "done"
    assert _steps(done)["index", INDEX] == "done"
    assert LEFT_OVER not in _indexes(shelf)
    assert INDEX in _indexes(shelf)


def test_reindex_drops_what_an_earlier_one_left(shelf: Shelf) -> None:
    """The left-over goes first, then the index is rebuilt; another's name is a usage error."""
    shelf.fill(300)
    _leave_over(shelf)
    before = _files(shelf)
    done = shelf.json("db", "reindex", "--index", INDEX)
    assert _steps(done) == {("drop", LEFT_OVER): "done", ("reindex", INDEX): "done"}
    assert _files(shelf) != before
    assert LEFT_OVER not in _indexes(shelf)
    code, _, err = shelf.run("db", "reindex", "--index", "another_idx")
    assert code == 64
    assert INDEX in err


def test_nobodys_comment_is_overwritten(shelf: Shelf) -> None:
    """The record of a rebuild is the index's comment, unless somebody has written one there."""
    with shelf.connect() as owner:
        owner.execute(f"COMMENT ON INDEX {INDEX} IS 'ours since spring'")
        shelf.json("db", "reindex")
        row = owner.execute("SELECT obj_description(%s::regclass)", [INDEX]).fetchone()
    assert row == ("ours since spring",)


async def test_searches_go_on_during_a_reindex(shelf: Shelf) -> None:
    """While the index is rebuilt, every search finds what it found before."""
    shelf.fill(2_000)
    url = secret.Secret(shelf.url)
    async with store.connected(url) as owner, store.connected(url) as reader:
        search.prepare(reader)
        cursor = await owner.execute(
            "SELECT fhir_resource_id::text, embedding::vector::real[] "
            "FROM clinical_embeddings LIMIT 1"
        )
        name, vector = await cursor.fetchone() or ("", [])
        wanted = search.Search(store.PROJECT, MODEL, vector, 1)

        async def rebuild() -> list[maintenance.Done]:
            return [one async for one in maintenance.reindex(owner, INDEX)]

        rebuilding = asyncio.create_task(rebuild())
        found = 0
        while not rebuilding.done():
            hits = (await search.nearest(reader, wanted)).hits
            assert [hit.resource_id for hit in hits] == [name]
            found += 1
        (done,) = await rebuilding
    assert done.ran
    assert found > 3


async def test_one_run_at_a_time(shelf: Shelf) -> None:
    """A second run waits, and then says who holds the lock; it has done nothing."""
    url = secret.Secret(shelf.url)
    async with store.connected(url) as first, store.connected(url) as second:
        running = maintenance.reindex(first)
        await anext(running)
        waiting = maintenance.maintain(second, MODEL, wait_seconds=0.2)
        with pytest.raises(errors.DatabaseError, match="another run changes this database: pid"):
            await anext(waiting)
        await running.aclose()


async def test_who_does_not_own_the_tables(shelf: Shelf, postgres: support.Database) -> None:
    """Postgres would warn and skip; medbots refuses before anything is tried."""
    with shelf.connect() as owner:
        owner.execute("CREATE ROLE test_maintainer LOGIN PASSWORD 'x'")
        owner.execute("GRANT pg_read_all_data TO test_maintainer")
    made = await connection.connect(postgres.url_as("test_maintainer", "x"))
    try:
        with pytest.raises(errors.NotAllowedError, match=r"does not own public\.clinical"):
            await anext(maintenance.maintain(made, MODEL))
    finally:
        await made.close()


def test_without_a_store(shelf: Shelf) -> None:
    """There is nothing to maintain, and the command that makes it is named."""
    with shelf.connect() as owner:
        owner.execute("DROP TABLE clinical_embeddings")
    for verb in ("maintain", "reindex"):
        code, _, err = shelf.run("db", verb)
        assert code == 1
        assert "hint: medbots db init" in err


async def test_a_rebuild_that_was_cut_is_recognised(shelf: Shelf) -> None:
    """The session is killed in the middle of a REINDEX: the next run removes the copy."""
    shelf.fill(2_000)
    with shelf.connect() as owner:
        backend = owner.execute("SELECT pg_backend_pid()").fetchone()
        assert backend is not None
        with shelf.connect() as killer:
            killing = asyncio.create_task(_kill_when_building(killer, backend[0]))
            statement = sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(sql.Identifier(INDEX))
            with pytest.raises(psycopg.OperationalError):
                await asyncio.to_thread(owner.execute, statement)
            await killing
    assert LEFT_OVER in _indexes(shelf)
    async with store.connected(secret.Secret(shelf.url)) as next_one:
        done = [one async for one in maintenance.maintain(next_one, MODEL)]
    first = done[0].step
    assert (first.kind, first.target, done[0].ran) == (upkeep.Kind.DROP, LEFT_OVER, True)
    assert LEFT_OVER not in _indexes(shelf)


async def _kill_when_building(killer: psycopg.Connection, pid: int) -> None:
    """End a session once its index build is under way."""
    while killer.execute(  # noqa: ASYNC110 (another process tells, by its view alone)
        "SELECT count(*) FROM pg_stat_progress_create_index WHERE pid = %s AND phase LIKE %s",
        [pid, "building index%"],
    ).fetchone() != (1,):
        await asyncio.sleep(0.005)
    killer.execute("SELECT pg_terminate_backend(%s)", [pid])
