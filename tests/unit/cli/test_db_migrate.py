"""`db migrate` and `db repair`: SQL, shapes, words and exit codes, against a real Postgres."""

from __future__ import annotations

import json
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from medbots import __main__ as boundary
from medbots import config, errors
from medbots.cli import wiring
from medbots.database import migrations
from tests.support import postgres as support
from tests.support import store

MANIFEST = """\
version: 1
namespace: urn:medbots
models: {embedding: {alias: embedding-model, dimension: 4, prefix: none}}
bots:
  embedding: {name: Embedding Bot, source: embedding.ts, secrets: [DATABASE_URL]}
"""
ROW = (
    "INSERT INTO clinical_embeddings (fhir_resource_type, fhir_resource_id, content_text, "
    "embedding, model_version) VALUES ('Condition', gen_random_uuid(), 'Asthma', '[1,2,3,4]', 'm')"
)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, postgres: support.Database) -> None:
    """A manifest, a database, and nobody logged in."""
    (tmp_path / "medbots.yaml").write_text(MANIFEST)
    (tmp_path / "embedding.ts").write_text("export const handler = 1;")
    for name in config.VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("MEDBOTS_DATABASE_URL", postgres.url.reveal())
    monkeypatch.chdir(tmp_path)


def _run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = boundary.run(("db", *args))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def _json(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any]:
    code, out, _ = _run(capsys, *args, "--format", "json")
    return code, json.loads(out)


def _fetch(database: support.Database, query: str) -> list[Any]:
    with psycopg.connect(database.url.reveal(), autocommit=True) as owner:
        cursor = owner.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def _log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def connected(_: config.Settings) -> AsyncIterator[Any]:
        project = types.SimpleNamespace(id=store.PROJECT, name="Clinic")
        yield types.SimpleNamespace(project=project, requests=1)

    monkeypatch.setattr(wiring, "connected", connected)


def test_migrate_needs_no_login(
    postgres: support.Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """On an empty database everything but role and secret is made; then there is nothing to do."""
    code, found = _json(capsys, "migrate", "--detailed-exitcode")
    assert code == 2
    assert found["project"] is None
    assert {one["kind"] for one in found["changes"]} == {"extension", "migration", "index"}
    assert found["summary"] | {"unchanged": 0} == {
        "create": len(migrations.packaged()) + 1,
        "update": 0,
        "adopt": 0,
        "delete": 0,
        "unchanged": 0,
        "failed": 0,
    }
    assert _fetch(postgres, "SELECT count(*) FROM pg_roles WHERE rolname ~ '^medbots_'") == [(0,)]
    code, out, err = _run(capsys, "migrate", "--detailed-exitcode")
    assert (code, err) == (0, "")
    assert out.endswith("is as it should be: nothing to do.\n")


def test_each_statement_is_told_before_it_runs(
    postgres: support.Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """What failed is the last that was told; migrations are told by what they are for."""
    _fetch(postgres, "CREATE VIEW clinical_embedding_tombstones AS SELECT 1 AS one")
    code, _, err = _run(capsys, "migrate")
    assert code == 3
    told = [line for line in err.splitlines() if line.startswith(("migration ", "index "))]
    assert told[0] == (
        "migration 0001_migration_history: What has been applied here, by whom, and from which "
        "text."
    )
    assert told[-1].startswith("migration 0005_row_level_security: Each project's role sees ")
    _fetch(postgres, "DROP VIEW clinical_embedding_tombstones")
    _fetch(postgres, "DELETE FROM medbots_migrations WHERE version > 3")
    code, _, err = _run(capsys, "migrate", "--verbose")
    assert code == 0
    assert "SELECT set_config('statement_timeout', '0', true), " in err
    assert "ALTER TABLE public.clinical_embeddings ENABLE ROW LEVEL SECURITY;" in err
    create = (
        'CREATE INDEX "clinical_embeddings_embedding_idx" ON public.clinical_embeddings USING hnsw'
    )
    assert create in err
    assert "SELECT set_config('statement_timeout', '0', false), " in err
    _fetch(postgres, "DROP INDEX clinical_embeddings_embedding_idx")
    code, _, err = _run(capsys, "migrate")
    assert err.startswith(f"index clinical_embeddings_embedding_idx: {create}")
    assert len(err.splitlines()) == 1


def test_a_dry_run_prints_sql_that_psql_takes(
    postgres_server: support.Server,
    postgres: support.Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A dry run changes nothing; its output, run by hand, leaves nothing pending."""
    code, script, _ = _run(capsys, "migrate", "--dry-run", "--detailed-exitcode")
    assert code == 2
    assert _fetch(postgres, "SELECT to_regclass('medbots_migrations')") == [(None,)]
    assert "set_config('medbots.dimension', '4', true)" in script
    with postgres_server.database() as other:
        _execute_by_hand(other, script)
        monkeypatch.setenv("MEDBOTS_DATABASE_URL", other.url.reveal())
        code, found = _json(capsys, "migrate", "--detailed-exitcode")
        assert code == 0
        assert {one["action"] for one in found["changes"]} == {"unchanged"}
        assert _json(capsys, "migrate", "--dry-run")[1]["sql"] == ""
        code, out, err = _run(capsys, "migrate", "--dry-run", "--detailed-exitcode")
        assert (code, out) == (0, "")
        assert "nothing to do" in err


def _execute_by_hand(database: support.Database, script: str) -> None:
    """Run a script as psql does: each statement for itself, unless BEGIN opens a transaction."""
    with psycopg.connect(database.url.reveal(), autocommit=True) as owner:
        for part in script.split("\n\n-- "):
            _, _, text = part.partition("\n")
            owner.execute(text.encode())


def test_a_dry_run_of_an_adoption(
    postgres: support.Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """For a table of the guide with rows the SQL builds every index concurrently, and runs."""
    _fetch(postgres, store.GUIDE)
    _fetch(postgres, ROW)
    _log_in(monkeypatch)
    code, found = _json(capsys, "migrate", "--dry-run")
    assert code == 0
    assert found["dryRun"] is True
    assert found["project"] == {"id": store.PROJECT, "name": "Clinic"}
    planned = {one["key"]: one["action"] for one in found["changes"] if one["status"] == "planned"}
    assert planned["0002_adopt_guide_table"] == "adopt"
    assert planned["clinical_embeddings_patient_idx"] == "create"
    assert _fetch(postgres, "SELECT to_regclass('medbots_migrations')") == [(None,)]
    builds = [line for line in found["sql"].splitlines() if " INDEX " in line and "ON " in line]
    made = [line for line in builds if line.startswith("CREATE") and "CONCURRENTLY" in line]
    assert len(made) == 3
    _execute_by_hand(postgres, found["sql"])
    code, found = _json(capsys, "migrate", "--detailed-exitcode")
    assert code == 0
    assert _fetch(postgres, "SELECT content_text FROM clinical_embeddings") == [("Asthma",)]


def test_adopting_needs_a_login(
    postgres: support.Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a login a table of the guide is left as it is, and the error names the commands."""
    _fetch(postgres, store.GUIDE)

    @asynccontextmanager
    async def refused(_: config.Settings) -> AsyncIterator[Any]:
        raise errors.NotLoggedInError
        yield

    monkeypatch.setattr(wiring, "connected", refused)
    code, found = _json(capsys, "migrate")
    assert code == 4
    assert found["error"]["code"] == "not-logged-in"
    assert "its rows are adopted for the project of the login" in found["error"]["message"]
    assert found["error"]["hint"].startswith("medbots login, then medbots db migrate; or medbots")
    assert _fetch(postgres, "SELECT to_regclass('medbots_migrations')") == [(None,)]
    _log_in(monkeypatch)
    code, found = _json(capsys, "migrate", "--expect-project", "another")
    assert (code, found["error"]["code"]) == (4, "not-allowed")
    code, found = _json(capsys, "migrate", "--expect-project", store.PROJECT)
    assert (code, found["summary"]["adopt"]) == (0, 1)


def test_progress_for_machines(
    postgres: support.Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """With JSON, stderr has one event a line: each statement, and how far a build is."""
    assert _run(capsys, "migrate")[0] == 0
    _fetch(
        postgres,
        "INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, "
        "version_id, content_type, chunk_index, chunk_count, content_text, content_hash, "
        "model_version, embedding, resource_updated_at) SELECT gen_random_uuid(), 'Condition', "
        "gen_random_uuid(), 'v', 'note', 0, 1, 'text', 'h', 'embedding-model/4/none', "
        "ARRAY[random(), random(), random(), 1]::vector::halfvec, now() "
        "FROM generate_series(1, 2000)",
    )
    _fetch(postgres, "DROP INDEX clinical_embeddings_embedding_idx")
    code, _, err = _run(capsys, "migrate", "--format", "json")
    assert code == 0
    events = [json.loads(line) for line in err.splitlines()]
    what = "index clinical_embeddings_embedding_idx"
    assert {"event": "statement", "what": what} in events
    last = {"event": "progress", "what": what, "phase": "done", "done": 1, "total": 1}
    assert events[-1] == last


def test_a_failure_half_way_is_reported(
    postgres: support.Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was applied before a failure is listed, and the exit code says that it goes on."""
    _fetch(postgres, "CREATE VIEW clinical_embedding_tombstones AS SELECT 1 AS one")
    code, found = _json(capsys, "migrate")
    assert code == 3
    assert found["error"]["message"].startswith("migration 0005_row_level_security: ")
    assert found["summary"]["failed"] == 1
    assert [one["key"] for one in found["changes"] if one["action"] == "create"] == [
        one.label for one in migrations.packaged()[:4]
    ]
    _fetch(postgres, "DROP VIEW clinical_embedding_tombstones")
    code, found = _json(capsys, "repair", "--status", "reverted", "4", "--yes")
    assert code == 0
    assert _json(capsys, "migrate")[0] == 0


def test_a_table_that_was_dropped_is_made_again(
    postgres: support.Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the history says more than the tables, the error is the command that helps."""
    assert _run(capsys, "migrate")[0] == 0
    _fetch(postgres, "DROP TABLE clinical_embeddings")
    code, found = _json(capsys, "migrate")
    assert code == 1
    command = found["error"]["hint"].partition("what is there: ")[2]
    for one in command.split("; "):
        assert _run(capsys, *one.removeprefix("medbots db ").split(), "--yes")[0] == 0
    assert _fetch(postgres, "SELECT count(*) FROM clinical_embeddings") == [(0,)]


def test_repair_is_confirmed(
    postgres: support.Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal it refuses unless --yes; then it says what it did, and runs nothing."""
    assert _run(capsys, "migrate")[0] == 0
    last = migrations.packaged()[-1]
    code, found = _json(capsys, "repair", "--status", "reverted", str(last.version))
    assert (code, found["error"]["code"]) == (64, "confirmation-needed")
    count = f"SELECT count(*) FROM medbots_migrations WHERE version = {last.version}"  # noqa: S608
    assert _fetch(postgres, count) == [(1,)]
    code, out, err = _run(capsys, "repair", "--status", "reverted", last.label, "--yes")
    assert code == 0
    assert f"{last.label}: DELETE FROM public.medbots_migrations WHERE version" in err  # noqa: S608
    assert "marked as reverted; it was applied at 20" in err
    assert out.endswith(
        f"Marked as reverted: {last.label}. medbots db migrate applies what is pending.\n"
    )
    assert last.label in out
    assert _fetch(postgres, count) == [(0,)]
    code, found = _json(capsys, "repair", "--status", "applied", f"{last.version:04}", "--yes")
    assert code == 0
    assert found["changes"] == [
        {
            "kind": "history",
            "key": last.label,
            "name": last.label,
            "action": "create",
            "status": "done",
            "details": ["marked as applied, without running it"],
            "warnings": [],
        }
    ]
    assert _json(capsys, "migrate", "--dry-run", "--detailed-exitcode")[0] == 0


def test_the_hint_for_another_text_is_the_cure(
    postgres: support.Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """A migration that was applied from another text is accepted by the command of the hint."""
    assert _run(capsys, "migrate")[0] == 0
    _fetch(postgres, "UPDATE medbots_migrations SET checksum = 'sha256:0' WHERE version = 3")
    code, found = _json(capsys, "migrate")
    assert code == 1
    command = found["error"]["hint"].partition("mean the same: medbots db ")[2]
    code, found = _json(capsys, *command.split(), "--yes")
    assert code == 0
    assert found["changes"][0]["action"] == "update"
    assert "before from sha256:0" in found["changes"][0]["details"][0]
    assert _json(capsys, "migrate")[0] == 0


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("applied", "99"), "there is no migration '99'"),
        (("applied", "\N{FULLWIDTH DIGIT THREE}"), "there is no migration"),
        (("applied", "3; DROP"), "there is no migration"),
        (("applied", "3"), "0003_clinical_embeddings is marked as applied already"),
        (("reverted", "3"), "the history would lack 0003 and have a later one"),
        (("reverted", "99"), "there is no migration '99'"),
    ],
)
def test_nonsense_is_refused(
    capsys: pytest.CaptureFixture[str],
    args: tuple[str, str],
    word: str,
) -> None:
    """What makes no sense is a usage error that changes nothing."""
    assert _run(capsys, "migrate")[0] == 0
    status, version = args
    code, found = _json(capsys, "repair", "--yes", "--status", status, version)
    assert code == 64
    assert word in found["error"]["message"]
    assert _json(capsys, "migrate", "--dry-run", "--detailed-exitcode")[0] == 0


def test_repair_without_a_history(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing was ever applied there is nothing to mend; migrate is the way."""
    code, found = _json(capsys, "repair", "--status", "applied", "1", "--yes")
    assert code == 1
    assert found["error"]["hint"].startswith("medbots db migrate")
