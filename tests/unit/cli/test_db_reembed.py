"""`db migrate --reembed` and `--drop-previous`, on a real Postgres and a router in memory."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
import threading
import time
import types
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from medbots import __main__ as boundary
from medbots import config, secret, state
from medbots.cli import prompts, wiring
from medbots.database import changeover, generations
from medbots.embeddings import chunk_hash, contract
from medbots.embeddings import router as router_module
from medbots.medplum import inventory as medplum_inventory
from medbots.medplum import server, strict  # noqa: F401 - strict is made of the real server
from tests.support import docs, embedded, fake_server, specs, store
from tests.support import postgres as support

OLD = contract.Contract("old-model", 4, "none")
SAME = contract.Contract("new-model", 4, "none")
WIDE = contract.Contract("wide-model", 6, "nomic")
FEBRUARY = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
MARCH = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
MANIFEST = """\
version: 1
namespace: urn:medbots
bots:
  embedding:
    name: Embedding Bot
    source: embedding.ts
    secrets: [DATABASE_URL]
    optionalSecrets: [EMBEDDING_MODEL, EMBEDDING_DIM, EMBEDDING_PREFIX_MODE]
"""


@dataclass
class Told:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@dataclass
class Clinic:
    """A project with rows of the old model, its database, and a router."""

    project: fake_server.FakeServer
    url: str
    router: embedded.ModelRouter
    run: Callable[..., Told]
    choose: Callable[[contract.Contract], None]
    """Lets the settings of the runs to come name a model."""

    def writer(self, model: contract.Contract, table: str = "clinical_embeddings") -> Any:
        """Return what writes rows as the bots do by a model."""
        return embedded.Writer(self.url, store.PROJECT, model, table)

    def rows(self, table: str = "clinical_embeddings", model: str | None = None) -> list[Any]:
        """Return what a search could find, without vectors."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(
                "SELECT fhir_resource_id::text, version_id, chunk_index, chunk_count,"  # noqa: S608
                f" content_text, content_hash FROM {table}"
                " WHERE model_version = coalesce(%s, model_version) ORDER BY 1, 3",
                [model],
            ).fetchall()

    def tables(self) -> dict[str, int]:
        """Return the tables of embeddings, with the length of their vectors."""
        with psycopg.connect(self.url) as connection:
            return dict(
                connection.execute(
                    "SELECT c.relname, atttypmod FROM pg_attribute a JOIN pg_class c"
                    " ON c.oid = a.attrelid WHERE attname = 'embedding' AND relkind = 'r'"
                ).fetchall()
            )

    def secrets(self) -> dict[str, str]:
        """Return what tells the bots of the model."""
        live = self.project.project.secrets or {}
        return {name: live[name].reveal() for name in contract.SECRETS if name in live}


@pytest.fixture(scope="module")
def template(postgres_server: support.Server) -> Iterator[str]:
    """A database with the store, and nine resources of the old model, of one to three chunks."""
    with postgres_server.database() as database:
        secrets = store.Secrets()
        wanted = store.wish(alias=OLD.alias)
        asyncio.run(_made(database.url, secrets, wanted))
        writer = embedded.Writer(database.url.reveal(), store.PROJECT, OLD)
        for number in range(9):
            texts = [
                f"record {number} part {part} “quoted”\n\\ é" for part in range(number % 3 + 1)
            ]
            kind = "Observation" if number == 8 else "Condition"
            writer.put(number, texts, kind=kind)
        yield database.name


async def _made(url: secret.Secret, secrets: store.Secrets, wanted: Any) -> None:
    await store.initialised(url, secrets, wanted)


@pytest.fixture
def clinic(
    template: str,
    postgres_server: support.Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Clinic]:
    """The project behind the command line, whose bots work by the old model."""
    live = {name: secret.Secret(value) for name, value in OLD.secrets().items()}
    fake = fake_server.FakeServer(state.Project(store.PROJECT, "Clinic", frozenset({"bots"}), live))

    @asynccontextmanager
    async def connected(_: config.Settings) -> AsyncIterator[Any]:
        yield types.SimpleNamespace(
            project=types.SimpleNamespace(id=fake.project.id, name=fake.project.name),
            user="Practitioner/me",
            rights=fake.rights,
            requests=3,
        )

    router = embedded.ModelRouter({one.alias: one.dimension for one in (OLD, SAME, WIDE)})
    real = router_module.Router

    def make(*args: Any, **named: Any) -> router_module.Router:
        return real(*args, **named, transport=router.transport())

    (tmp_path / "medbots.yaml").write_text(MANIFEST)
    (tmp_path / "embedding.ts").write_text("export const handler = 1;")
    for name in config.VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wiring, "connected", connected)
    monkeypatch.setattr(server, "ProjectServer", lambda *_: fake)
    monkeypatch.setattr(router_module, "Router", make)
    monkeypatch.setattr(
        wiring, "bundles", lambda found: {bot.key: specs.bundle(bot.key) for bot in found.bots}
    )

    def run(*args: str) -> Told:
        capsys.readouterr()
        code = boundary.run(args)
        captured = capsys.readouterr()
        return Told(code, captured.out, captured.err)

    def choose(model: contract.Contract) -> None:
        for name, value in model.secrets().items():
            monkeypatch.setenv(name, value)

    with postgres_server.database(template) as database:
        monkeypatch.setenv("MEDBOTS_DATABASE_URL", database.url.reveal())
        live["DATABASE_URL"] = database.url
        yield Clinic(fake, database.url.reveal(), router, run, choose)


REEMBED = ("db", "migrate", "--reembed", "--yes")
DROP = ("db", "migrate", "--drop-previous", "--yes")


def expected(model: contract.Contract, rows: list[Any]) -> list[Any]:
    """Return rows as the bot would have written them by a model: the same text, its own hash."""
    texts: dict[str, list[chunk_hash.Chunk]] = {}
    for row in rows:
        texts.setdefault(row[0], []).append(chunk_hash.Chunk("note", "Text", row[4]))
    return [(*row[:5], chunk_hash.content_hash(model.version, texts[row[0]])) for row in rows]


@pytest.mark.parametrize(
    "command",
    [
        REEMBED,
        (*REEMBED[:-1], "--dry-run"),
        DROP,
        ("embeddings", "status"),
        ("embeddings", "reconcile", "--direct"),
        ("embeddings", "reconcile", "--dry-run"),
    ],
    ids=" ".join,
)
def test_another_database_than_the_bots_is_refused(
    command: tuple[str, ...],
    clinic: Clinic,
    postgres: support.Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No verb that speaks of the bots' vectors reads or writes those of another database."""

    async def seen(_: object) -> None:
        """Let the login see all."""

    monkeypatch.setattr(medplum_inventory, "require_whole_sight", seen)
    live = clinic.project.project.secrets or {}
    own = {**live, "DATABASE_URL": postgres.url}
    clinic.project.project = replace(clinic.project.project, secrets=own)
    clinic.choose(SAME if "--reembed" in command else OLD)
    told = clinic.run(*command)
    assert (told.code, told.out) == (1, "")
    assert "the bots use another database" in told.err
    assert postgres.name in told.err
    assert clinic.router.inputs == []
    assert clinic.project.writes == 0


def test_another_dimension(clinic: Clinic) -> None:
    """The new table comes into use with what the bot would have written; the old one stays."""
    before = clinic.rows()
    clinic.choose(WIDE)
    told = clinic.run(*REEMBED, "--format", "json")
    assert told.code == 0, told.out + told.err
    assert clinic.tables() == {"clinical_embeddings": 6, "clinical_embeddings_previous": 4}
    assert clinic.rows() == expected(WIDE, before)
    assert clinic.rows("clinical_embeddings_previous") == before
    assert clinic.secrets() == WIDE.secrets()
    assert clinic.project.writes == 1
    texts = [text for text in clinic.router.inputs if "record" in text]
    assert sorted(texts) == sorted(f"search_document: {row[4]}" for row in before)
    done = {(one["kind"], one["key"]): one["action"] for one in told.json["changes"]}
    assert done["table", "public.clinical_embeddings"] == "update"
    assert done["rows", WIDE.version] == "create"
    assert done["secret", "EMBEDDING_DIM"] == "update"
    assert told.json["summary"]["failed"] == 0
    assert told.json["durationMs"] > 0
    with psycopg.connect(clinic.url) as connection:
        names = {
            name
            for (name,) in connection.execute(
                "SELECT indexname FROM pg_indexes WHERE tablename = 'clinical_embeddings'"
            )
        }
        counts = connection.execute(
            "SELECT count(*), min(p::text) FROM (SELECT polrelid::regclass::text AS t, array_agg("
            "(polname, polcmd, polroles, pg_get_expr(polqual, polrelid)) ORDER BY polname) AS p"
            " FROM pg_policy WHERE polrelid::regclass::text LIKE 'clinical_embeddings%'"
            " GROUP BY 1) AS each GROUP BY p"
        ).fetchall()
        granted = connection.execute(
            "SELECT array_agg(t ORDER BY t) FROM (SELECT table_name, (grantee, privilege_type,"
            " column_name)::text AS t FROM information_schema.column_privileges"
            " WHERE table_name LIKE 'clinical_embeddings%') AS each GROUP BY table_name"
        ).fetchall()
    assert len(granted) == 2
    assert granted[0] == granted[1]
    assert {
        "clinical_embeddings_pkey",
        "clinical_embeddings_chunk_key",
        "clinical_embeddings_patient_idx",
        "clinical_embeddings_embedding_idx",
    } <= names
    assert [count for count, _ in counts] == [2]

    again = clinic.run(*REEMBED, "--format", "json")
    assert {one["action"] for one in again.json["changes"]} == {"unchanged"}
    assert clinic.run("db", "init", "--format", "json").code == 0


def test_another_model_of_the_same_dimension(clinic: Clinic) -> None:
    """Its rows stand beside the old ones, which go on request, with their index."""
    before = clinic.rows()
    clinic.choose(SAME)
    assert clinic.run(*REEMBED).code == 0
    assert clinic.tables() == {"clinical_embeddings": 4}
    assert clinic.rows(model=OLD.version) == before
    assert clinic.rows(model=SAME.version) == expected(SAME, before)
    assert clinic.secrets() == SAME.secrets()
    told = clinic.run(*DROP, "--format", "json")
    assert told.code == 0, told.out + told.err
    assert {one["key"]: one["action"] for one in told.json["changes"]} == {
        "clinical_embeddings_embedding_idx": "delete",
        OLD.version: "delete",
    }
    assert clinic.rows() == expected(SAME, before)
    status = clinic.run("db", "status", "--format", "json").json
    assert status["index"]["valid"] is True
    assert status["rows"] == len(before)


@pytest.mark.parametrize("model", [SAME, WIDE], ids=["same", "wide"])
def test_it_goes_on_where_it_was_interrupted(clinic: Clinic, model: contract.Contract) -> None:
    """Ended after each request in turn, and run again, nothing is lost or embedded twice."""
    before = clinic.rows()
    clinic.choose(model)
    for _ in range(20):
        # The first one is the probe of each run.
        clinic.router.breaks_after = clinic.router.requests + 3
        told = clinic.run(*REEMBED, "--jobs", "1", "--batch", "4")
        if told.code == 0:
            break
        assert told.code == 130
        assert clinic.secrets() == OLD.secrets()
        assert clinic.rows(model=OLD.version) == before
    assert told.code == 0, told.err
    assert clinic.rows(model=model.version) == expected(model, before)
    texts = [text for text in clinic.router.inputs if "record" in text]
    assert len(texts) == len(before)


@pytest.mark.parametrize("stage", ["make", "index", "switch", "settle"])
def test_it_goes_on_after_each_stage(
    clinic: Clinic, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended right after a stage, the bots' secrets and a table of their dimension still agree."""
    before = clinic.rows()
    clinic.choose(WIDE)
    real = getattr(changeover.Changeover, stage)

    async def ended(self: changeover.Changeover) -> bool:
        await real(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(changeover.Changeover, stage, ended)
        told = clinic.run(*REEMBED)
        assert told.code == 130
        assert "hint: run it again: it completes what is missing" in told.err
    dimension = int(clinic.secrets()["EMBEDDING_DIM"])
    alias = clinic.secrets()["EMBEDDING_MODEL"]
    table = {name for name, one in clinic.tables().items() if one == dimension}
    assert len(table) == 1
    found = clinic.rows(table.pop())
    assert found == (before if alias == OLD.alias else expected(WIDE, before))
    if stage == "switch":
        # A bot that has not heard yet writes to the former table.
        clinic.writer(OLD, "clinical_embeddings_previous").put(
            3, ["changed meanwhile"], updated_at=FEBRUARY
        )
    assert clinic.run(*REEMBED).code == 0
    assert clinic.tables() == {"clinical_embeddings": 6, "clinical_embeddings_previous": 4}
    now = clinic.rows("clinical_embeddings_previous")
    assert clinic.rows() == expected(WIDE, now)
    assert clinic.secrets() == WIDE.secrets()


def test_what_bots_write_meanwhile(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """New, changed, shrunk, touched and deleted records of the time of filling are followed."""
    clinic.choose(WIDE)
    writer = clinic.writer(OLD)
    real = changeover.Changeover.index

    async def index(self: changeover.Changeover) -> bool:
        writer.put(20, ["new"], updated_at=FEBRUARY)
        writer.put(1, ["changed"], updated_at=FEBRUARY)
        touched = [row[4] for row in clinic.rows() if row[0] == embedded.uuid_of(2)]
        writer.put(2, touched, updated_at=MARCH)
        with psycopg.connect(clinic.url) as connection:
            # A bot of an earlier release knows one table, and marks what it withdraws.
            gone = [embedded.uuid_of(4)]
            connection.execute("DELETE FROM clinical_embeddings WHERE fhir_resource_id = %s", gone)
            connection.execute(
                "INSERT INTO clinical_embedding_tombstones VALUES (%s, 'Condition', %s, 'v', %s)",
                [store.PROJECT, *gone, FEBRUARY],
            )
        return await real(self)

    at_the_switch: list[Any] = []
    plain = changeover.Changeover.switch

    async def switch(self: changeover.Changeover) -> bool:
        at_the_switch.extend(clinic.rows("clinical_embeddings_next"))
        return await plain(self)

    monkeypatch.setattr(changeover.Changeover, "index", index)
    monkeypatch.setattr(changeover.Changeover, "switch", switch)
    assert clinic.run(*REEMBED).code == 0
    left = clinic.rows("clinical_embeddings_previous")
    assert clinic.rows() == expected(WIDE, left)
    # No search by the new model misses what was written while its index was built.
    assert at_the_switch == clinic.rows()
    assert embedded.uuid_of(4) not in {row[0] for row in left}
    # The touched record kept its text, and cost no second call of the model.
    texts = [text for text in clinic.router.inputs if "record 2" in text]
    assert len(texts) == 3


def test_what_is_bound_to_the_table_is_named(clinic: Clinic) -> None:
    """A view goes on reading the former table: it is named before, and keeps it from going."""
    with psycopg.connect(clinic.url) as connection:
        connection.execute(
            "CREATE VIEW mine AS SELECT content_text, vector_dims(embedding) AS length"
            " FROM clinical_embeddings"
        )
    clinic.choose(WIDE)
    told = clinic.run("db", "migrate", "--reembed", "--dry-run")
    assert "warning: view mine will go on reading public.clinical_embeddings_previous" in told.err
    assert clinic.run(*REEMBED).code == 0
    with psycopg.connect(clinic.url) as connection:
        assert connection.execute("SELECT DISTINCT length FROM mine").fetchall() == [(4,)]
    told = clinic.run(*DROP)
    assert told.code == 1
    assert "view mine reads it" in told.err
    assert "clinical_embeddings_previous" in clinic.tables()


def test_nobody_waits_for_the_switch(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a long transaction reads the table, the switch steps back, and searches go on."""
    over = threading.Event()
    waits: list[float] = []
    pauses: list[float] = []

    def search() -> None:
        with psycopg.connect(clinic.url, autocommit=True) as connection:
            while not over.is_set():
                started = time.monotonic()
                connection.execute("SELECT count(*) FROM clinical_embeddings")
                waits.append(time.monotonic() - started)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            reader.rollback()
        await asyncio.sleep(0.05)

    monkeypatch.setitem(generations.switch.__kwdefaults__, "pause", pause)
    clinic.choose(WIDE)
    with psycopg.connect(clinic.url) as reader:
        # As the bots: an older snapshot would keep the index from being built.
        reader.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        reader.execute("SELECT count(*) FROM clinical_embeddings")
        searching = threading.Thread(target=search)
        searching.start()
        try:
            assert clinic.run(*REEMBED).code == 0
        finally:
            over.set()
            searching.join()
    assert len(pauses) == 2
    # By the switch alone nobody waits for more than 400 ms; the rest is for a busy machine.
    assert max(waits) < 1.5


def test_rows_of_the_guide_keep_their_mark(clinic: Clinic) -> None:
    """Text that the bot did not make is embedded, and replaced by the record's next event."""
    clinic.writer(contract.Contract("guide", 4, "none")).put(
        30, ["from before"], content_hash="unknown"
    )
    clinic.choose(SAME)
    assert clinic.run(*REEMBED).code == 0
    (row,) = [one for one in clinic.rows(model=SAME.version) if one[0] == embedded.uuid_of(30)]
    assert row[4:] == ("from before", "unknown")


def test_the_way_back(clinic: Clinic) -> None:
    """Back to the former dimension, the table that is still there is brought up to date."""
    clinic.choose(WIDE)
    assert clinic.run(*REEMBED).code == 0
    clinic.writer(WIDE).put(0, ["changed since"], updated_at=MARCH)
    clinic.router.inputs.clear()
    clinic.choose(OLD)
    assert clinic.run(*REEMBED).code == 0
    assert clinic.tables() == {"clinical_embeddings": 4, "clinical_embeddings_previous": 6}
    assert clinic.rows() == expected(OLD, clinic.rows("clinical_embeddings_previous"))
    assert [text for text in clinic.router.inputs if "migrate" not in text] == ["changed since"]
    assert clinic.secrets() == OLD.secrets()


def test_a_model_that_the_environment_names_is_to_be_written_down(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next deploy means the manifest's; where that names it, nothing is said."""
    clinic.choose(SAME)
    told = clinic.run(*REEMBED)
    assert "EMBEDDING_MODEL, EMBEDDING_DIM, EMBEDDING_PREFIX_MODE came from" in told.err
    assert "models.embedding" in told.err
    for name in contract.SECRETS:
        monkeypatch.delenv(name)
    written = f"models: {{embedding: {{alias: {OLD.alias}, dimension: 4, prefix: none}}}}\n"
    Path("medbots.yaml").write_text(MANIFEST + written)
    told = clinic.run(*REEMBED)
    assert told.code == 0, told.err
    assert clinic.secrets() == OLD.secrets()
    assert "models.embedding" not in told.err


class TestRefusals:
    """What is not begun."""

    def test_init_with_another_model(self, clinic: Clinic) -> None:
        """`db init` builds no index for a model by which searches would find nothing."""
        clinic.choose(SAME)
        told = clinic.run("db", "init")
        assert told.code == 1
        assert OLD.version in told.err
        assert "medbots db migrate --reembed" in told.err
        clinic.choose(WIDE)
        told = clinic.run("db", "init")
        assert told.code == 1
        assert "medbots db migrate --reembed" in told.err

    def test_migrate_with_another_model(self, clinic: Clinic) -> None:
        """Without a login `db migrate` cannot know whose the rows are: it warns."""
        clinic.choose(SAME)
        told = clinic.run("db", "migrate")
        assert told.code == 0
        assert f"warning: no row is of {SAME.version}" in told.err
        assert "medbots db migrate --reembed" in told.err
        clinic.choose(OLD)
        assert "warning: no row" not in clinic.run("db", "migrate").err

    def test_without_a_yes(self, clinic: Clinic) -> None:
        """It costs money: without a terminal and without --yes nothing is made."""
        clinic.choose(WIDE)
        told = clinic.run("db", "migrate", "--reembed")
        assert told.code == 64
        assert "embed 18 chunks of 9 records, in about 2 requests" in told.err
        assert f"by {WIDE.version}, then move the bots to it from {OLD.version}" in told.err
        assert clinic.tables() == {"clinical_embeddings": 4}

    def test_a_dry_run(self, clinic: Clinic) -> None:
        """A dry run says how much it is, shows the SQL, and makes no call of the model."""
        clinic.choose(WIDE)
        told = clinic.run("db", "migrate", "--reembed", "--dry-run", "--format", "json")
        assert told.code == 0, told.err
        assert told.json["dryRun"] is True
        assert "CREATE TABLE public.clinical_embeddings_next" in told.json["sql"]
        (rows,) = [one for one in told.json["changes"] if one["kind"] == "rows"]
        assert rows["details"] == ["18 chunks of 9 records, in about 2 requests"]
        assert {one["status"] for one in told.json["changes"]} == {"planned"}
        assert clinic.router.requests == 0
        assert clinic.tables() == {"clinical_embeddings": 4}

    def test_a_model_of_another_dimension_than_said(self, clinic: Clinic) -> None:
        """The router is asked first, and what it answers is said."""
        clinic.choose(contract.Contract(WIDE.alias, 8, "none"))
        told = clinic.run(*REEMBED)
        assert told.code == 1
        assert "6 dimensions, not 8" in told.err
        assert clinic.tables() == {"clinical_embeddings": 4}

    def test_an_unknown_model(self, clinic: Clinic) -> None:
        """An alias that the router does not have is named."""
        clinic.choose(contract.Contract("nobody", 4, "none"))
        told = clinic.run(*REEMBED)
        assert told.code == 1
        assert "nobody" in told.err

    def test_a_router_outside(self, clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
        """Patient text goes to no host outside the private network that was not named."""
        clinic.choose(SAME)
        monkeypatch.setenv("LLM_ROUTER_URL", "https://llm.example.com")
        told = clinic.run(*REEMBED)
        assert told.code == 4
        assert "LLM_PHI_ALLOWED_HOSTS" in told.err
        assert clinic.router.requests == 0
        monkeypatch.setenv("LLM_PHI_ALLOWED_HOSTS", "llm.example.com")
        assert clinic.run(*REEMBED).code == 0

    def test_a_router_that_the_project_does_not_allow(
        self, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The project's secret holds for whoever runs it; no environment widens it."""
        clinic.choose(SAME)
        monkeypatch.setenv("LLM_ROUTER_URL", "https://llm.example.com")
        monkeypatch.setenv("LLM_PHI_ALLOWED_HOSTS", "llm.example.com")
        forbid = {"LLM_PHI_ALLOWED_HOSTS": secret.Secret("llm.hospital.example")}
        project = clinic.project.project
        clinic.project.project = replace(project, secrets={**(project.secrets or {}), **forbid})
        told = clinic.run(*REEMBED)
        assert told.code == 4
        assert clinic.router.requests == 0

    def test_another_project_in_the_table(self, clinic: Clinic) -> None:
        """Another dimension would end the other project's searches; another alias does not."""
        embedded.Writer(clinic.url, store.OTHER_PROJECT, OLD).put(40, ["theirs"])
        clinic.choose(WIDE)
        told = clinic.run(*REEMBED)
        assert told.code == 1
        assert store.OTHER_PROJECT in told.err
        clinic.choose(SAME)
        assert clinic.run(*REEMBED).code == 0
        told = clinic.run(*DROP, "--format", "json")
        assert [one["key"] for one in told.json["changes"]] == [OLD.version]
        assert [row[4] for row in clinic.rows(model=OLD.version)] == ["theirs"]

    @pytest.mark.parametrize("model", [SAME, WIDE], ids=["same", "wide"])
    def test_a_text_that_the_model_refuses(self, clinic: Clinic, model: contract.Contract) -> None:
        """The record is named, its text is not; the others are done, and nothing is switched."""
        clinic.choose(model)
        clinic.router.refuses = "record 5"
        told = clinic.run(*REEMBED, "--batch", "8")
        assert told.code == 3
        assert re.search(rf"rows +{model.version} +create", told.out)
        assert f"Condition/{embedded.uuid_of(5)}" in told.err
        assert "part 0" not in told.err + told.out
        assert clinic.secrets() == OLD.secrets()
        table = "clinical_embeddings_next" if model is WIDE else "clinical_embeddings"
        assert len({row[0] for row in clinic.rows(table, model.version)}) == 8
        clinic.router.refuses = ""
        assert clinic.run(*REEMBED).code == 0
        assert clinic.secrets() == model.secrets()

    def test_a_text_that_is_refused_where_nothing_else_is_missing(self, clinic: Clinic) -> None:
        """Nothing was done: no part of anything."""
        clinic.choose(SAME)
        clinic.router.refuses = "record 5"
        assert clinic.run(*REEMBED).code == 3
        told = clinic.run(*REEMBED)
        assert (told.code, told.out) == (1, "")
        assert f"Condition/{embedded.uuid_of(5)}" in told.err

    def test_a_router_that_is_not_there(self, clinic: Clinic) -> None:
        """It is told at once where something is to be embedded, and not asked for where nothing."""
        clinic.router.down = True
        clinic.choose(SAME)
        told = clinic.run(*REEMBED)
        assert (told.code, told.out, clinic.router.requests) == (5, "", 1)
        assert "cannot be reached: no connection" in told.err
        clinic.router.down = False
        assert clinic.run(*REEMBED).code == 0
        clinic.router.down, clinic.router.requests = True, 0
        clinic.choose(OLD)
        assert clinic.run(*REEMBED).code == 0
        assert (clinic.router.requests, clinic.secrets()) == (0, OLD.secrets())

    def test_what_would_be_dropped_is_counted(self, clinic: Clinic) -> None:
        """A dry run tells the rows that the run itself then deletes, and deletes none."""
        clinic.choose(SAME)
        assert clinic.run(*REEMBED).code == 0
        rows = len(clinic.rows(model=OLD.version))
        told = clinic.run(*DROP, "--dry-run", "--format", "json")
        (planned,) = [one for one in told.json["changes"] if one["kind"] == "rows"]
        assert planned["details"] == [f"{rows} rows"]
        assert len(clinic.rows(model=OLD.version)) == rows == 18
        told = clinic.run(*DROP, "--format", "json")
        (done,) = [one for one in told.json["changes"] if one["kind"] == "rows"]
        assert done["details"] == [f"{rows} rows deleted"]

    def test_what_the_bots_work_by_is_not_dropped(self, clinic: Clinic) -> None:
        """While settings and bots disagree, or records are missing, nothing is deleted."""
        clinic.choose(WIDE)
        told = clinic.run(*DROP)
        assert told.code == 1
        assert OLD.version in told.err
        clinic.choose(SAME)
        assert clinic.run(*REEMBED).code == 0
        clinic.writer(OLD).put(50, ["late"], updated_at=MARCH)
        told = clinic.run(*DROP)
        assert told.code == 1
        assert f"Condition/{embedded.uuid_of(50)}" in told.err
        assert clinic.run("db", "migrate", "--drop-previous", "--non-interactive").code == 1
        assert clinic.run(*REEMBED).code == 0
        told = clinic.run("db", "migrate", "--drop-previous", "--non-interactive")
        assert (told.code, told.out) == (64, "")
        assert f"  in public.clinical_embeddings: 19 rows of {OLD.version}" in told.err
        assert clinic.rows(model=OLD.version) != []

    @pytest.mark.parametrize("model", [SAME, WIDE], ids=["same", "wide"])
    def test_bots_that_are_moved_back_before_the_answer(
        self, clinic: Clinic, monkeypatch: pytest.MonkeyPatch, model: contract.Contract
    ) -> None:
        """While the question stands, somebody has the bots work by the old model: it stays."""
        clinic.choose(model)
        assert clinic.run(*REEMBED).code == 0
        before = clinic.rows(), clinic.tables()

        def answer(*_: object) -> None:
            project = clinic.project.project
            back = {name: secret.Secret(one) for name, one in OLD.secrets().items()}
            clinic.project.project = replace(project, secrets={**(project.secrets or {}), **back})

        monkeypatch.setattr(prompts, "confirm", answer)
        told = clinic.run(*DROP)
        assert told.code == 1
        assert OLD.version in told.err
        assert (clinic.rows(), clinic.tables()) == before

    def test_a_table_that_is_still_there(self, clinic: Clinic) -> None:
        """A third dimension waits until the first is dropped, which is said and can be done."""
        clinic.choose(WIDE)
        assert clinic.run(*REEMBED).code == 0
        third = contract.Contract("third", 8, "none")
        clinic.router.dimensions["third"] = 8
        clinic.choose(third)
        told = clinic.run(*REEMBED)
        assert told.code == 1
        assert "--drop-previous" in told.err
        clinic.choose(WIDE)
        told = clinic.run(*DROP, "--format", "json")
        assert told.code == 0
        (one,) = told.json["changes"]
        assert (one["kind"], one["action"]) == ("table", "delete")
        assert clinic.tables() == {"clinical_embeddings": 6}
        clinic.choose(third)
        assert clinic.run(*REEMBED).code == 0
        assert clinic.tables()["clinical_embeddings"] == 8


@pytest.mark.parametrize("model", [SAME, WIDE], ids=["same", "wide"])
def test_a_new_index_is_not_worn(clinic: Clinic, model: contract.Contract) -> None:
    """Maintenance finds the index sound after the change, and after the old vectors are gone."""
    clinic.choose(model)
    assert clinic.run(*REEMBED).code == 0
    for command in (None, DROP):
        assert command is None or clinic.run(*command).code == 0
        told = clinic.run("db", "maintain", "--dry-run", "--format", "json")
        assert told.code == 0, told.err
        judged = [one for one in told.json["steps"] if one["kind"] in ("index", "reindex", "drop")]
        assert {"index", "reindex"} <= {one["kind"] for one in judged}
        assert [(one["target"], one["reason"]) for one in judged if one["due"]] == []


def test_each_command_of_the_page_works(clinic: Clinic, tmp_path: Path) -> None:
    """Whoever types what the page says, in its order, ends with the new model alone."""
    page = Path(__file__).parents[3] / "docs" / "how-to" / "embedding-store.md"
    (section,) = re.findall(r"(?ms)^## Change the model\n(.*?)^## ", page.read_text())
    (tmp_path / "section.md").write_text(section)
    first, *rest = docs.commands(tmp_path / "section.md")
    assert clinic.run(*first.split()[1:]).code == 0
    clinic.choose(WIDE)
    assert len(rest) == 4
    for command in rest:
        told = clinic.run(*command.split()[1:], "--yes")
        assert told.code == 0, told.err
    assert clinic.tables() == {"clinical_embeddings": 6}
    assert clinic.secrets() == WIDE.secrets()


class TestDeploy:
    """A deploy whose settings name another model than the bots work by."""

    @pytest.mark.parametrize("model", [SAME, WIDE], ids=["same", "wide"])
    @pytest.mark.parametrize("verb", ["plan", "deploy"])
    def test_it_leaves_the_bots_where_they_find_something(
        self, clinic: Clinic, verb: str, model: contract.Contract
    ) -> None:
        """The secrets are skipped, with the reason and the command; the rest is deployed."""
        clinic.choose(model)
        told = clinic.run(verb, "--format", "json")
        assert told.code == 0, told.err
        found = {one["key"]: one for one in told.json["changes"]}
        moving = found["EMBEDDING_MODEL"]
        assert moving["status"] == "skipped"
        assert f"{OLD.version} → {model.version}: 9 records have no vector" in moving["reason"]
        assert "medbots db migrate --reembed" in moving["reason"]
        assert clinic.secrets() == OLD.secrets()
        assert found["embedding"]["status"] == ("planned" if verb == "plan" else "done")

    def test_it_moves_them_where_nothing_is_lost(self, clinic: Clinic) -> None:
        """Records that the new model has embedded too are no reason, nor is a store without any."""
        clinic.choose(SAME)
        assert clinic.run(*REEMBED).code == 0
        clinic.choose(OLD)
        told = clinic.run("deploy")
        assert told.code == 0, told.err
        assert f"note: secret EMBEDDING_MODEL: {SAME.version} → {OLD.version}" in told.err
        assert clinic.secrets() == OLD.secrets()

    def test_it_does_not_go_back_by_itself(self, clinic: Clinic) -> None:
        """Settings of before, in another pipeline, do not take the bots to the former table."""
        clinic.choose(WIDE)
        assert clinic.run(*REEMBED).code == 0
        clinic.choose(OLD)
        told = clinic.run("deploy", "--format", "json")
        found = {one["key"]: one for one in told.json["changes"]}
        assert found["EMBEDDING_DIM"]["status"] == "skipped"
        assert "public.clinical_embeddings holds vectors of 6" in found["EMBEDDING_DIM"]["reason"]
        assert clinic.secrets() == WIDE.secrets()

    def test_it_warns_where_no_database_can_be_asked(
        self, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the database, plan and deploy say what would not be found, and the command."""
        monkeypatch.delenv("MEDBOTS_DATABASE_URL")
        clinic.choose(SAME)
        told = clinic.run("plan")
        assert told.code == 0, told.err
        assert "MEDBOTS_DATABASE_URL is not set" in told.err
        assert "medbots db migrate --reembed" in told.err

    def test_it_does_not_ask_another_database_than_the_bots(
        self, clinic: Clinic, postgres: support.Database
    ) -> None:
        """An empty one lacks nothing: that says nothing of the bots' own."""
        live = clinic.project.project.secrets or {}
        own = {**live, "DATABASE_URL": postgres.url}
        clinic.project.project = replace(clinic.project.project, secrets=own)
        clinic.choose(SAME)
        told = clinic.run("plan")
        assert told.code == 0, told.err
        assert "could not be asked (the bots use another database)" in told.err
        assert "medbots db migrate --reembed" in told.err


def test_the_state_half_way(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """`db status` shows the table that the bots work with, and names the other one."""
    with monkeypatch.context() as patched:
        patched.setattr(changeover.Changeover, "index", _ended)
        clinic.choose(WIDE)
        assert clinic.run(*REEMBED).code == 130
    clinic.choose(OLD)
    status = clinic.run("db", "status", "--format", "json").json
    assert (status["dimension"], status["rows"], status["index"]["valid"]) == (4, 18, True)
    tables = [(one["name"], one["dimension"], one["rows"]) for one in status["tables"]]
    assert tables == [
        ("public.clinical_embeddings", 4, 18),
        ("public.clinical_embeddings_next", 6, 18),
    ]
    assert "public.clinical_embeddings_next" in clinic.run("db", "status").out
    # The change is given up: what it made goes on request.
    assert clinic.run(*DROP).code == 0
    assert clinic.tables() == {"clinical_embeddings": 4}


async def _ended(_: changeover.Changeover) -> bool:
    raise KeyboardInterrupt
