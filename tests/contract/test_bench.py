"""`db bench` on a real Postgres, with few rows: that it measures, and what it leaves."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from medbots import errors, secret
from medbots.bench import defects
from medbots.cli import db_bench
from medbots.database import scratch
from tests.support import postgres as support
from tests.support.shelf import Shelf

SETTING = "MEDBOTS_DATABASE_URL"


def _schemas(shelf: Shelf) -> set[str]:
    with shelf.connect() as owner:
        rows = owner.execute(
            "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)", [scratch.PREFIX]
        )
        return {str(row[0]) for row in rows}


def test_from_end_to_end(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight ratios, a report with three plots, no schema left, and the store itself untouched."""
    monkeypatch.setattr(db_bench, "QUERIES", 10)
    shelf.fill(20)
    report = tmp_path / "report.html"
    code, out, err = shelf.run("db", "bench", "--rows", "400", "--html", str(report))
    # So few rows tell of no goal of speed; what is counted holds at any number.
    assert code == 0, out + err
    lines = [line.strip() for line in out.splitlines()]
    assert [line[0] for line in lines if line.endswith("not judged")] == list("1234567")
    assert "the other goals are judged from 20,000 rows on; measured in" in lines[-1]
    (defects_line,) = [line for line in lines if line.startswith("8 ")]
    assert "0, 0, 0, 0" in defects_line
    assert defects_line.endswith("met")
    page = report.read_text()
    assert page.count("<svg") == 3
    # Names of namespaces are no addresses: nothing is fetched to show it.
    assert "http" not in page.replace("http://www.w3.org/", "")
    assert _schemas(shelf) == set()
    with shelf.connect() as owner:
        assert owner.execute("SELECT count(*) FROM clinical_embeddings").fetchone() == (20,)


async def test_defects_are_the_guides_alone(shelf: Shelf) -> None:
    """The same acts leave every defect on the guide's schema, and none here."""
    url = secret.Secret(shelf.url)
    async with (
        scratch.schema(url, "guide", SETTING) as theirs,
        scratch.schema(url, "ours", SETTING) as mine,
    ):
        wrong = await defects.count(defects.GuideStore(theirs))
        assert wrong == {
            "staleChunks": 3,
            "crossTypeOverwrites": 1,
            "deadTuples": 20,
            "extraIndexes": 1,
        }
        right = await defects.count(defects.OurStore(mine))
        assert right == dict.fromkeys(wrong, 0)


async def test_what_a_killed_run_left_goes_and_a_living_one_stays(shelf: Shelf) -> None:
    """A schema without a session is swept; one in use, and one of another name, are not."""
    url = secret.Secret(shelf.url)
    killed, foreign = f"{scratch.PREFIX}ours_0123456789ab", f"{scratch.PREFIX}of_somebody"
    async with scratch.schema(url, "living", SETTING) as living:
        with shelf.connect() as owner:
            owner.execute(f"CREATE SCHEMA {killed} CREATE TABLE rows (a int)")
            owner.execute(f"CREATE SCHEMA {foreign}")
        assert await scratch.sweep(url, SETTING) == (killed,)
        assert _schemas(shelf) == {living.schema, foreign}
    assert _schemas(shelf) == {foreign}


async def test_a_lost_session_is_swept_at_the_end(shelf: Shelf) -> None:
    """Where the connection can do no more, another one drops the schema."""
    with pytest.raises(psycopg.OperationalError):
        await _lose(shelf)
    assert _schemas(shelf) == set()


async def _lose(shelf: Shelf) -> None:
    async with scratch.schema(secret.Secret(shelf.url), "lost", SETTING) as connection:
        with shelf.connect() as killer:
            pid = connection.info.backend_pid
            killer.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        await connection.execute("SELECT 1")


async def test_statements_reach_the_scratch_schema_alone(shelf: Shelf) -> None:
    """Text, composed statements and names as parameters: each means the scratch schema."""
    url = secret.Secret(shelf.url)
    async with scratch.schema(url, "place", SETTING) as connection:
        await connection.execute("CREATE TABLE public.probe (a int)")
        cursor: Any = await connection.execute(
            "SELECT to_regclass(%s)::text, to_regclass('public.probe')::text", ["public.probe"]
        )
        assert await cursor.fetchone() == ("probe", "probe")
    with shelf.connect() as owner:
        assert owner.execute("SELECT to_regclass('public.probe')").fetchone() == (None,)


async def test_who_may_not_make_schemas(shelf: Shelf, postgres: support.Database) -> None:
    """Refused with the statement that a superuser runs."""
    with shelf.connect() as owner:
        owner.execute("CREATE ROLE test_bencher LOGIN PASSWORD 'x'")
    url = postgres.url_as("test_bencher", "x")
    with pytest.raises(errors.NotAllowedError) as refusal:
        await scratch.schema(url, "none", SETTING).__aenter__()
    grant = f"GRANT CREATE ON DATABASE {postgres.name} TO test_bencher"
    assert grant in str(refusal.value.hint)
    assert _schemas(shelf) == set()


def test_before_anything_is_measured(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A missing folder, or package, is said at once, with the cure."""
    code, _, err = shelf.run("db", "bench", "--html", str(tmp_path / "none" / "report.html"))
    assert code == 64
    assert "mkdir -p" in err
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    code, _, err = shelf.run("db", "bench", "--html", "report.html")
    assert code == 1
    assert "needs numpy and matplotlib" in err
    assert "pip install 'medbots[bench]'" in err


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Whatever was to be measured, which is left undone."""
    found: list[object] = []

    async def measure(*args: object) -> None:
        found.append(args)
        raise errors.DatabaseError("it was measured")

    monkeypatch.setattr("medbots.bench.run.measure", measure)
    return found


@pytest.mark.parametrize(
    ("name", "said", "cure"),
    [
        ("", "that is a folder, and a file is wanted", "report.html"),
        ("link", "that is a folder, and a file is wanted", "report.html"),
        ("none/report.html", "there is no folder", "mkdir -p"),
        ("x" * 300, "it cannot be written: file name too long", "a file that you may write"),
        ("loop", "it cannot be written: too many levels of symbolic links", "that you may write"),
    ],
    ids=["folder", "link to a folder", "no folder", "too long", "loop"],
)
def test_a_report_that_cannot_be_written(
    name: str, said: str, cure: str, shelf: Shelf, measured: list[object], tmp_path: Path
) -> None:
    """It is refused before minutes are spent on it."""
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "loop").symlink_to("loop")
    code, out, err = shelf.run("db", "bench", "--html", str(tmp_path / name))
    assert (code, out, measured) == (64, "", [])
    assert said in err
    assert cure in err


def test_a_report_that_the_system_refuses(
    shelf: Shelf, measured: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder or an older report that this user may not write: told by the system's reason."""
    old = tmp_path / "report.html"
    old.write_text("of last week")

    def refuse(self: Path, mode: str) -> None:
        if mode == "xb" and self.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    for name in ("new.html", "report.html"):
        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", refuse)
            code, _, err = shelf.run("db", "bench", "--html", str(tmp_path / name))
        assert (code, measured) == (64, [])
        assert f"{name}: it cannot be written: permission denied" in err


def test_the_check_leaves_everything_as_it_was(
    shelf: Shelf, measured: list[object], tmp_path: Path
) -> None:
    """No empty file is left of it, an older report stays whole, and a link stays a link."""
    new, old, link = (tmp_path / name for name in ("new.html", "old.html", "link.html"))
    old.write_text("of last week")
    link.symlink_to("aside.html")
    for target in (new, old, link):
        code, _, err = shelf.run("db", "bench", "--html", str(target))
        assert (code, "it was measured" in err) == (1, True)
    assert len(measured) == 3
    assert sorted(one.name for one in tmp_path.iterdir() if "html" in one.name) == [
        "link.html",
        "old.html",
    ]
    assert old.read_text() == "of last week"
    assert link.is_symlink()


async def test_an_interruption_drops_the_schema(shelf: Shelf) -> None:
    """Cancelled in the middle, as by Ctrl-C, a run leaves nothing."""
    url = secret.Secret(shelf.url)
    entered = asyncio.Event()

    async def work() -> None:
        async with scratch.schema(url, "interrupted", SETTING) as connection:
            entered.set()
            await connection.execute("SELECT pg_sleep(60)")

    running = asyncio.create_task(work())
    await entered.wait()
    assert len(_schemas(shelf)) == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert _schemas(shelf) == set()
