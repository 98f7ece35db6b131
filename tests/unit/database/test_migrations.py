"""Numbered migrations: order, history, checksum, lock."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest

from medbots import errors
from medbots.database import lock, migrations, watch
from tests.support import postgres as support
from tests.support import store

AT = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
HISTORY = migrations.Migration(
    1,
    "history",
    "CREATE TABLE public.medbots_migrations (version int PRIMARY KEY, name text, checksum text, "
    "applied_at timestamptz DEFAULT now(), medbots_version text)",
)
FIRST = migrations.Migration(2, "first", "CREATE TABLE first (); CREATE TABLE also ()")
SECOND = migrations.Migration(3, "second", "CREATE TABLE second (); SELECT 1/0")


def _applied(migration: migrations.Migration, checksum: str = "") -> migrations.Applied:
    return migrations.Applied(migration.version, migration.name, checksum or migration.checksum, AT)


def test_packaged_are_numbered_without_gaps() -> None:
    """The release's own migrations count from 1, each with a name of its own."""
    known = migrations.packaged()
    assert [one.version for one in known] == list(range(1, len(known) + 1))
    assert len({one.name for one in known}) == len(known)


def test_checksum_ignores_line_ends() -> None:
    """A checkout with other line ends holds the same migration."""
    unix = migrations.Migration(1, "a", "SELECT 1;\nSELECT 2;\n")
    dos = migrations.Migration(1, "a", "SELECT 1;\r\nSELECT 2;\r\n")
    assert unix.checksum == dos.checksum
    assert unix.checksum != migrations.Migration(1, "a", "SELECT 1;\n").checksum


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["1_short.sql"], "NNNN"),
        (["0001-dash.sql"], "NNNN"),
        (["0001_Upper.sql"], "NNNN"),
        (["0001_a.sql", "0001_b.sql"], "is taken by 0001_a.sql"),
    ],
)
def test_misnamed_files(tmp_path: Path, names: list[str], word: str) -> None:
    """A file whose name tells no order is refused by name."""
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(errors.MedbotsError, match=word):
        migrations.packaged(tmp_path)


def test_compare_knows_every_condition() -> None:
    """Applied, changed, pending and unknown migrations are told apart."""
    known = (HISTORY, FIRST, SECOND)
    applied = (
        _applied(HISTORY),
        _applied(FIRST, "sha256:other"),
        migrations.Applied(9, "future", "sha256:x", AT),
    )
    found = {one.version: one.condition.value for one in migrations.compare(known, applied)}
    assert found == {1: "applied", 2: "changed", 3: "pending", 9: "unknown"}


def test_drift_is_refused_with_the_cure() -> None:
    """A migration that was applied from another text stops everything and names both ways out."""
    known = (HISTORY, FIRST)
    entries = migrations.compare(known, (_applied(HISTORY), _applied(FIRST, "sha256:other")))
    with pytest.raises(errors.DatabaseError, match="0002_first") as caught:
        migrations.refuse_drift(known, entries)
    hint = caught.value.hint or ""
    assert "pip install --force-reinstall medbots" in hint
    assert "if both texts mean the same: medbots db repair --status applied 0002" in hint


def test_a_later_release_is_refused() -> None:
    """A database that a later medbots has migrated is left alone."""
    known = (HISTORY,)
    entries = migrations.compare(known, (_applied(HISTORY), _applied(FIRST)))
    with pytest.raises(errors.DatabaseError, match="0002_first") as caught:
        migrations.refuse_drift(known, entries)
    assert caught.value.hint == "pip install --upgrade medbots"


def test_a_gap_in_the_history_is_refused() -> None:
    """A pending migration before an applied one is a history that somebody edited."""
    known = (HISTORY, FIRST, SECOND)
    entries = migrations.compare(known, (_applied(HISTORY), _applied(SECOND)))
    with pytest.raises(
        errors.DatabaseError, match="0002_first is missing from the history"
    ) as caught:
        migrations.refuse_drift(known, entries)
    assert "medbots db repair --status reverted 0003; medbots db migrate" in (
        caught.value.hint or ""
    )


async def _tables(connection: object) -> set[str]:
    cursor = await connection.execute(  # type: ignore[attr-defined]
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    return {name async for (name,) in cursor}


async def test_a_failing_migration_leaves_nothing_of_itself(postgres: support.Database) -> None:
    """What came before is applied, the failed one is not, not even its first statement."""
    async with store.connected(postgres.url) as connected:
        with pytest.raises(errors.DatabaseError, match="migration 0003_second: division by zero"):
            async for _ in migrations.migrate(connected, {}, (HISTORY, FIRST, SECOND)):
                pass
        assert await _tables(connected) == {"medbots_migrations", "first", "also"}
        assert [one.version for one in await migrations.history(connected)] == [1, 2]
        mended = migrations.Migration(3, "second", "CREATE TABLE second ()")
        entries = [
            entry async for entry in migrations.migrate(connected, {}, (HISTORY, FIRST, mended))
        ]
        assert [entry.condition.value for entry in entries] == ["applied", "applied", "pending"]
        assert [one.version for one in await migrations.history(connected)] == [1, 2, 3]


async def test_the_history_says_who_and_what(postgres: support.Database) -> None:
    """Each applied migration is recorded with checksum, time, login and release."""
    await store.initialised(postgres.url)
    async with store.connected(postgres.url) as connected:
        cursor = await connected.execute(
            "SELECT version, checksum, applied_by, medbots_version, applied_at <= now() "
            "FROM medbots_migrations ORDER BY version"
        )
        rows = await cursor.fetchall()
    known = migrations.packaged()
    assert [(row[0], row[1]) for row in rows] == [(one.version, one.checksum) for one in known]
    assert {row[2] for row in rows} == {"postgres"}
    assert all(row[3] and row[4] for row in rows)


async def test_drift_stops_db_init_before_anything(postgres: support.Database) -> None:
    """An init on a drifted history changes neither schema nor role nor secret."""
    await store.initialised(postgres.url)
    secrets = store.Secrets()
    async with store.connected(postgres.url) as connected:
        await connected.execute(
            "UPDATE medbots_migrations SET checksum = 'sha256:0' WHERE version = 3"
        )
        with pytest.raises(errors.DatabaseError, match="0003_clinical_embeddings was applied from"):
            await store.initialised(postgres.url, secrets)
    assert secrets.writes == 0


async def test_a_lost_history_is_made_anew(postgres: support.Database) -> None:
    """Tables restored without their history are recognised: every migration can run again."""
    await store.initialised(postgres.url)
    async with store.connected(postgres.url) as connected:
        await connected.execute("DROP TABLE medbots_migrations")
        await store.initialised(postgres.url)
        known = migrations.packaged()
        assert len(await migrations.history(connected)) == len(known)


async def test_the_lock_is_waited_for_and_says_who_holds_it(postgres: support.Database) -> None:
    """A run that waits too long names the process, user and program that hold the lock."""
    heard: list[str] = []

    class Hearing(watch.Watch):
        def waiting(self, reason: str) -> None:
            heard.append(reason)

    async with store.connected(postgres.url) as first, store.connected(postgres.url) as second:
        async with lock.alone(first, 1):
            with pytest.raises(errors.DatabaseError) as caught:
                async with lock.alone(second, 0.3, Hearing()):
                    raise AssertionError("two hold the lock")
            assert len(heard) == 1
            assert (
                f"another run that changes this database: pid {first.info.backend_pid}" in heard[0]
            )
            assert f"pid {first.info.backend_pid}, user postgres, program medbots" in (
                caught.value.message
            )
            assert f"pg_terminate_backend({first.info.backend_pid})" in (caught.value.hint or "")
        async with lock.alone(second, 1):
            pass


async def test_the_lock_passes_on(postgres: support.Database) -> None:
    """Who waits gets the lock as soon as it is free, also when the holder's session dies."""
    async with store.connected(postgres.url) as first, store.connected(postgres.url) as second:
        order: list[str] = []

        async def hold() -> None:
            async with lock.alone(first, 1):
                await asyncio.sleep(0.3)
                order.append("first")
                await first.close()

        async def wait() -> None:
            await asyncio.sleep(0.1)
            async with lock.alone(second, 5):
                order.append("second")

        await asyncio.gather(hold(), wait())
    assert order == ["first", "second"]
