"""`db init` and `db status`: shapes, words and exit codes, against a real Postgres."""

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
from medbots import config, secret, state
from medbots.cli import wiring
from medbots.database import migrations
from medbots.medplum import server
from tests.support import fake_server, store
from tests.support import postgres as support

MANIFEST = """\
version: 1
namespace: urn:medbots
models: {embedding: {alias: embedding-model, dimension: 4, prefix: none}}
bots:
  embedding: {name: Embedding Bot, source: embedding.ts, secrets: [DATABASE_URL]}
"""

INVALID = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "


@pytest.fixture
def project(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, postgres: support.Database
) -> fake_server.FakeServer:
    """A project in memory behind the command line, and a database."""
    fake = fake_server.FakeServer(
        state.Project(store.PROJECT, "Clinic", frozenset({"bots"}), {"OTHER": secret.Secret("x")})
    )

    @asynccontextmanager
    async def connected(_: config.Settings) -> AsyncIterator[Any]:
        yield types.SimpleNamespace(
            project=types.SimpleNamespace(id=fake.project.id, name=fake.project.name),
            user="Practitioner/me",
            requests=3,
        )

    (tmp_path / "medbots.yaml").write_text(MANIFEST)
    (tmp_path / "embedding.ts").write_text("export const handler = 1;")
    for name in config.VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("MEDBOTS_DATABASE_URL", postgres.url.reveal())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wiring, "connected", connected)
    monkeypatch.setattr(server, "ProjectServer", lambda *_: fake)
    return fake


def _run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = boundary.run(args)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def _json(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any]:
    code, out, _ = _run(capsys, *args, "--format", "json")
    return code, json.loads(out)


def test_init_then_nothing_to_do(
    project: fake_server.FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A first init makes everything and stores the secret; a second one has nothing to do."""
    code, found = _json(capsys, "db", "init")
    assert code == 0
    assert found["project"] == {"id": store.PROJECT, "name": "Clinic"}
    kinds = {one["kind"]: one["action"] for one in found["changes"]}
    assert kinds == {
        "extension": "unchanged",
        "migration": "create",
        "index": "create",
        "role": "create",
        "secret": "create",
    }
    assert found["summary"]["create"] == len(migrations.packaged()) + 4
    assert {one["status"] for one in found["changes"]} == {"done"}
    assert isinstance(found["requests"], int)
    secrets = project.project.secrets or {}
    assert set(secrets) == {"OTHER", "DATABASE_URL"}
    with psycopg.connect(secrets["DATABASE_URL"].reveal()) as bot:
        row = bot.execute("SELECT count(*) FROM clinical_embeddings").fetchone()
        assert row == (0,)

    code, found = _json(capsys, "db", "init")
    assert code == 0
    assert found["summary"] == {
        "create": 0,
        "update": 0,
        "adopt": 0,
        "unchanged": len(migrations.packaged()) + 5,
        "delete": 0,
        "failed": 0,
    }
    assert project.writes == 1
    code, out, _ = _run(capsys, "db", "init")
    assert code == 0
    assert out.endswith("is as it should be: nothing to do.\n")


def test_nothing_printed_holds_a_password(
    project: fake_server.FakeServer,
    postgres: support.Database,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither text nor JSON, neither stdout nor stderr shows the owner's or the bots' password."""
    printed = "".join("".join(map(str, _run(capsys, "db", "init", *args))) for args in ([], ["-v"]))
    printed += str(_json(capsys, "db", "init")) + str(_json(capsys, "db", "status"))
    url = (project.project.secrets or {})["DATABASE_URL"].reveal()
    for one in (url, postgres.url.reveal()):
        password = psycopg.conninfo.conninfo_to_dict(one)["password"]
        assert isinstance(password, str)
        assert password not in printed
    assert "postgresql://" not in printed


def test_text_says_what_was_adopted(
    project: fake_server.FakeServer,
    postgres: support.Database,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the database said while it took over the guide's table is told on stderr."""
    with psycopg.connect(postgres.url.reveal(), autocommit=True) as owner:
        owner.execute(store.GUIDE.encode())
    code, out, err = _run(capsys, "db", "init")
    assert code == 0
    assert "0002_adopt_guide_table" in out
    assert f"adopted 0 rows of the earlier table for project {store.PROJECT}" in err


@pytest.mark.usefixtures("project")
def test_status_needs_no_login(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status works before and after init, by the database alone, in the contract's shape."""
    before = _json(capsys, "db", "status")
    _json(capsys, "db", "init")
    monkeypatch.setattr(wiring, "connected", None)
    code, found = _json(capsys, "db", "status")
    assert before[0] == code == 0
    assert set(found) == {
        "database",
        "server",
        "pgvector",
        "migrations",
        "index",
        "dimension",
        "rows",
        "bytes",
        "tables",
        "indexes",
        "leftovers",
        "roles",
        "model",
        "warnings",
        "drift",
    }
    assert set(found) == set(before[1])
    assert found["index"] == {
        "name": "clinical_embeddings_embedding_idx",
        "kind": "hnsw",
        "valid": True,
        "model": "embedding-model/4/none",
    }
    assert (found["model"], found["warnings"]) == ("embedding-model/4/none", [])
    assert (found["dimension"], found["rows"]) == (4, 0)
    assert found["server"].startswith("18.")
    assert {one["condition"] for one in found["migrations"]} == {"applied"}
    assert all(one["applied"] and one["checksum"] for one in found["migrations"])
    assert before[1]["index"] is None
    assert before[1]["dimension"] is None
    assert {one["applied"] for one in before[1]["migrations"]} == {None}
    assert "nothing" not in _run(capsys, "db", "status")[2]
    assert [(one["kind"], one["project"], one["members"]) for one in found["roles"]] == [
        ("bot", store.PROJECT, []),
        ("reader", store.PROJECT, []),
    ]
    assert found["indexes"][0] | {"bytes": 0} == {
        "name": "clinical_embeddings_embedding_idx",
        "kind": "hnsw",
        "valid": True,
        "model": "embedding-model/4/none",
        "type": None,
        "bytes": 0,
    }
    assert (found["leftovers"], found["drift"]) == ([], None)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("DELETE FROM medbots_migrations WHERE version > 4", "medbots db migrate applies what is"),
        ("DELETE FROM medbots_migrations WHERE version = 4", "0004_clinical_embedding_tombstones"),
        (
            "UPDATE medbots_migrations SET checksum = 'x' WHERE version = 2",
            "medbots db repair --status applied 0002",
        ),
        ("DROP INDEX clinical_embeddings_embedding_idx", "medbots db migrate builds the index"),
        (
            INVALID + "'clinical_embeddings_patient_idx'::regclass",
            "invalid index clinical_embeddings_patient_idx of public.clinical_embeddings, left by",
        ),
        (
            f"CREATE INDEX mine ON clinical_embeddings (created_at); {INVALID} 'mine'::regclass",
            "which is not medbots': REINDEX INDEX CONCURRENTLY public.mine",
        ),
    ],
)
def test_status_says_what_is_wrong(
    postgres: support.Database, capsys: pytest.CaptureFixture[str], damage: str, words: str
) -> None:
    """Each thing that is not as it should be is told with the command that helps."""
    assert _run(capsys, "db", "init")[0] == 0
    assert _run(capsys, "db", "status")[2] == ""
    with psycopg.connect(postgres.url.reveal(), autocommit=True) as owner:
        owner.execute(damage.encode())
    code, _, err = _run(capsys, "db", "status")
    assert code == 0
    assert words in err
    found = _json(capsys, "db", "status")[1]
    assert (found["drift"] is not None) == ("history" in err or "another text" in err)
    assert len(found["leftovers"]) == err.count("invalid index")


@pytest.mark.usefixtures("project")
def test_status_under_a_model_without_rows(
    monkeypatch: pytest.MonkeyPatch, postgres: support.Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """The index that is shown is of another model than the settings', which is said aloud."""
    assert _run(capsys, "db", "init")[0] == 0
    with psycopg.connect(postgres.url.reveal(), autocommit=True) as owner:
        owner.execute(
            "INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, "
            "version_id, content_type, content_text, content_hash, embedding, model_version, "
            "chunk_index, chunk_count, resource_updated_at) "
            "SELECT %s, 'Observation', gen_random_uuid(), '1', 'note', 'x', 'h', '[1,0,0,0]', "
            "'embedding-model/4/none', 0, 1, now()",
            [store.PROJECT],
        )
    assert _run(capsys, "db", "status")[2] == ""
    monkeypatch.setenv("EMBEDDING_MODEL", "another")
    _, out, err = _run(capsys, "db", "status")
    assert "clinical_embeddings_embedding_idx (hnsw, valid) of embedding-model/4/none" in out
    assert err.startswith("no row is of another/4/none, which the settings name")
    assert _json(capsys, "db", "status")[1]["warnings"] == [err.strip()]


@pytest.mark.usefixtures("project")
def test_status_of_an_empty_database(capsys: pytest.CaptureFixture[str]) -> None:
    """Who has no login is told the command that needs none."""
    err = _run(capsys, "db", "status")[2]
    assert "medbots db init makes what is missing" in err
    assert "without one, medbots db migrate makes the tables" in err


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("verb", ["init", "status", "migrate"])
def test_without_the_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    """Without MEDBOTS_DATABASE_URL the error names it, and the exit code is that of usage."""
    monkeypatch.delenv("MEDBOTS_DATABASE_URL")
    code, found = _json(capsys, "db", verb)
    assert code == 64
    assert "MEDBOTS_DATABASE_URL is not set" in found["error"]["message"]
    assert "[REDACTED]" not in found["error"]["hint"]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("verb", ["init", "status", "migrate"])
@pytest.mark.parametrize(
    ("url", "code", "name"),
    [
        ("postgresql://me:hunter2@127.0.0.1:9/medplum", 5, "unreachable"),
        ("hunter2", 64, "usage"),
    ],
)
def test_database_trouble(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str,
    code: int,
    name: str,
    verb: str,
) -> None:
    """A database that is down or misnamed is one message with the contract's exit code."""
    monkeypatch.setenv("MEDBOTS_DATABASE_URL", url)
    found = _json(capsys, "db", verb)
    assert found[0] == code
    assert found[1]["error"]["code"] == name
    assert "hunter2" not in json.dumps(found[1])


def test_a_wrong_password(
    monkeypatch: pytest.MonkeyPatch,
    project: fake_server.FakeServer,
    postgres: support.Database,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A refused password is exit 4."""
    monkeypatch.setenv("MEDBOTS_DATABASE_URL", postgres.url_as("postgres", "wrong").reveal())
    code, found = _json(capsys, "db", "init")
    assert (code, found["error"]["code"]) == (4, "not-allowed")
    assert project.writes == 0


def test_partly_applied(
    project: fake_server.FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the project cannot be written the rest stays done: exit 3, and the next run ends it."""
    project.fail = frozenset({1})
    code, found = _json(capsys, "db", "init")
    assert code == 3
    assert found["error"]["code"] == "partly-applied"
    assert found["error"]["message"] == "the connection broke"
    assert found["summary"]["failed"] == 1
    assert [one["kind"] for one in found["changes"]][-1] == "role"
    code, found = _json(capsys, "db", "init")
    assert (code, found["summary"]["create"]) == (0, 1)


def test_no_project_admin(
    project: fake_server.FakeServer,
    postgres: support.Database,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Who may not read the project's secrets is told so before anything is made."""
    project.rights = state.Rights()
    code, found = _json(capsys, "db", "init")
    assert (code, found["error"]["code"]) == (4, "not-allowed")
    assert (
        "Practitioner/me may not read the secrets of project 'Clinic'"
        in (found["error"]["message"])
    )
    with psycopg.connect(postgres.url.reveal()) as owner:
        row = owner.execute("SELECT to_regclass('clinical_embeddings')").fetchone()
        assert row == (None,)


def test_another_project(
    project: fake_server.FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """--expect-project refuses to work in any other project."""
    code, found = _json(capsys, "db", "init", "--expect-project", "other")
    assert (code, found["error"]["code"]) == (4, "not-allowed")
    assert project.writes == 0
    assert _json(capsys, "db", "init", "--expect-project", "Clinic")[0] == 0
