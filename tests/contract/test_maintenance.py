"""`db maintain` and `db reindex` on a real Postgres."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
import time
from typing import Any

import psycopg
import pytest
from psycopg import sql

from medbots import errors, secret
from medbots.database import connection, generations, leavings, maintenance, search, upkeep
from tests.support import postgres as support
from tests.support import store
from tests.support.shelf import DIMENSION, INDEX, MODEL, Shelf

TABLE = "public.clinical_embeddings"
OTHER = MODEL.replace("embedding-model", "other")
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


def test_an_index_that_was_just_built_is_not_rebuilt(shelf: Shelf) -> None:
    """A dry run and the run name the same steps: the missing index is built once, then vacuum."""
    shelf.fill(300)
    shelf.churn(0.3)
    with shelf.connect() as owner:
        owner.execute(f"DROP INDEX {INDEX}")
    planned = shelf.json("db", "maintain", "--dry-run")
    assert _steps(planned) == {
        ("index", INDEX): "planned",
        ("analyze", TABLE): "planned",
        ("vacuum", TABLE): "planned",
    }
    done = shelf.json("db", "maintain")
    assert _steps(done) == dict.fromkeys(_steps(planned), "done")
    again = shelf.json("db", "maintain")
    assert again["summary"] == {"due": 0, "done": 0}
    assert [one["kind"] for one in again["steps"]] == ["index", "analyze", "reindex", "vacuum"]


def test_an_index_built_beside_old_churn_is_not_worn(shelf: Shelf) -> None:
    """What was deleted before a migration built the index is no reason to build it again."""
    shelf.fill(300)
    shelf.churn(0.6)
    with shelf.connect() as owner:
        owner.execute(f"DROP INDEX {INDEX}")
    code, _, _ = shelf.run("db", "migrate")
    assert code == 0
    assert _steps(shelf.json("db", "maintain"))["reindex", INDEX] == "skipped"


def test_deleted_rows_of_another_model_do_not_wear_the_index(shelf: Shelf) -> None:
    """After an earlier model's rows are dropped, the index that never had them stays as it is."""
    shelf.fill(100)
    shelf.fill(300, model=OTHER)
    wish = store.wish(dimension=DIMENSION)
    assert wish.model_version == MODEL

    async def drop_previous() -> list[str]:
        async with store.connected(secret.Secret(shelf.url)) as owner:
            found = (leavings.Leaving(TABLE, False, (OTHER,), 300, 0),)
            return [step.key async for step in leavings.remove(owner, wish, found)]

    assert asyncio.run(drop_previous()) == [OTHER]
    done = shelf.json("db", "maintain")
    assert _steps(done)["reindex", INDEX] == "skipped"
    assert _steps(done)["vacuum", TABLE] == "done"


def test_a_length_that_no_table_has(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of another length are refused, as by db migrate; no index is built for them."""
    shelf.fill(20)
    before = _indexes(shelf)
    monkeypatch.setenv("EMBEDDING_DIM", "8")
    for args in (("db", "maintain", "--dry-run"), ("db", "maintain")):
        code, _, err = shelf.run(*args)
        assert code == 1
        assert "holds vectors of 16 dimensions; the manifest says 8" in err
        assert "EMBEDDING_DIM=16" in err
    assert _indexes(shelf) == before


def test_a_table_that_a_change_of_the_model_fills(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its index is built at the end of the filling, and not row by row before."""
    shelf.fill(20)
    following = f"{TABLE}_next"

    async def begin() -> None:
        async with store.connected(secret.Secret(shelf.url)) as owner:
            await generations.make_next(owner, 8)

    asyncio.run(begin())
    monkeypatch.setenv("EMBEDDING_DIM", "8")
    done = shelf.json("db", "maintain")
    (step,) = [one for one in done["steps"] if (one["kind"], one["table"]) == ("index", following)]
    assert (step["status"], "--reembed" in step["reason"]) == ("skipped", True)
    with shelf.connect() as owner:
        row = owner.execute(
            "SELECT count(*) FROM pg_indexes WHERE tablename = 'clinical_embeddings_next' "
            "AND indexdef LIKE '%hnsw%'"
        ).fetchone()
    assert row == (0,)


def test_a_model_that_has_no_row(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """No index is built for it, and the run says that its searches find nothing."""
    shelf.fill(20)
    before = _indexes(shelf)
    monkeypatch.setenv("EMBEDDING_MODEL", "another")
    done = shelf.json("db", "maintain")
    assert _indexes(shelf) == before
    (step,) = [one for one in done["steps"] if one["kind"] == "index"]
    version = MODEL.replace("embedding-model", "another")
    assert (step["target"], step["status"]) == (f"{INDEX}_{_digest(version)}", "skipped")
    assert step["reason"] == f"no row is of {version}, which the settings name"
    code, _, err = shelf.run("db", "maintain")
    assert code == 0
    assert f"warning: no row is of {version}" in err


def test_the_name_of_a_second_models_index(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step names the index that it builds, not the one that stands."""
    shelf.fill(20)
    shelf.fill(20, model=OTHER)
    monkeypatch.setenv("EMBEDDING_MODEL", "other")
    done = shelf.json("db", "maintain")
    assert _steps(done)["index", f"{INDEX}_{_digest(OTHER)}"] == "done"
    assert f"{INDEX}_{_digest(OTHER)}" in _indexes(shelf)


def test_an_index_of_a_model_without_rows_goes(shelf: Shelf) -> None:
    """It is named and dropped; not while a project without rows may be about to use it."""
    shelf.fill(20)
    stray = f"{INDEX}_stray"
    with shelf.connect() as owner:
        owner.execute(
            f"CREATE INDEX {stray} ON clinical_embeddings "
            f"USING hnsw (embedding halfvec_cosine_ops) WHERE model_version = '{OTHER}'"
        )
    wish = store.wish(store.OTHER_PROJECT, dimension=DIMENSION)
    asyncio.run(store.initialised(secret.Secret(shelf.url), wanted=wish))
    kept = shelf.json("db", "maintain")
    assert _steps(kept)["drop", stray] == "skipped"
    (step,) = [one for one in kept["steps"] if (one["kind"], one["target"]) == ("drop", stray)]
    assert f"project {store.OTHER_PROJECT} has no rows yet" in step["reason"]
    shelf.fill(1, store.OTHER_PROJECT)
    gone = shelf.json("db", "maintain")
    assert _steps(gone)["drop", stray] == "done"
    assert _indexes(shelf) & {stray, INDEX} == {INDEX}


def test_a_foreign_invalid_index(shelf: Shelf) -> None:
    """It is left, and the statement that mends it is named: nothing of medbots builds it."""
    with shelf.connect() as owner:
        owner.execute("CREATE INDEX my_own ON clinical_embeddings (created_at)")
        owner.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'my_own'::regclass"
        )
    (step,) = [one for one in shelf.json("db", "maintain")["steps"] if one["target"] == "my_own"]
    assert step["status"] == "skipped"
    assert step["reason"].endswith("REINDEX INDEX CONCURRENTLY public.my_own")


def _digest(model_version: str) -> str:
    return hashlib.sha256(model_version.encode()).hexdigest()[:8]


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


def test_reindex_says_for_whom_it_waits(shelf: Shelf) -> None:
    """An older transaction is named before the rebuild stands still behind it."""
    shelf.fill(50)
    with psycopg.connect(shelf.url, application_name="a long look") as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT count(*) FROM clinical_embeddings")
        time.sleep(1.1)
        ending = threading.Thread(target=_end_at_the_rebuild, args=(shelf, reader))
        ending.start()
        code, _, err = shelf.run("db", "reindex", "--index", INDEX)
        ending.join()
    assert code == 0, err
    assert re.search(
        rf"index {INDEX}: may have to wait for a transaction that began \d+ s ago \(pid ", err
    )
    assert "program a long look)" in err


def _end_at_the_rebuild(shelf: Shelf, reader: psycopg.Connection) -> None:
    """End the reader's transaction once a rebuild waits for it."""
    with shelf.connect() as owner:
        for _ in range(300):
            cursor = owner.execute(
                "SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'REINDEX%'"
                " AND datname = current_database()"
            )
            if cursor.fetchall():
                break
            time.sleep(0.1)
    reader.rollback()


def test_an_interrupted_reindex_says_how_it_goes_on(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run again, it clears away what is left."""

    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(maintenance, "rebuild", interrupted)
    code, _, err = shelf.run("db", "reindex")
    assert code == 130
    assert "hint: run it again" in err


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
