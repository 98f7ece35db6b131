"""A change of the embedding model on a running server, while bots write and people search."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from psycopg import sql

from medbots.embeddings import chunk_hash, contract
from tests.live import database, medplum, polling, projects, router
from tests.live import stage as stage_module
from tests.live.medplum import Json, Session
from tests.live.stage import Stage
from tests.live.target import Target
from tests.live.test_embedding import condition

QUESTION = "bronchial asthma with wheezing"
ASTHMA = "Bronchial asthma with nocturnal wheezing"
MODELS = {"twin-model": 768, "wide-model": 512}
"""What is changed to, in this order: another model of the same dimension, then another one."""

SEED = """
INSERT INTO clinical_embeddings (
  project_id, fhir_resource_type, fhir_resource_id, version_id, model_version, content_hash,
  resource_updated_at, chunk_index, chunk_count, content_type, content_section, content_text,
  embedding
)
SELECT %s, 'Condition', id, 'seed', %s, %s, now(), 0, 1, 'note', 'Text', text,
  (
    SELECT array_agg(random() - 0.5 + 0 * (n + length(text))) FROM generate_series(1, %s) AS n
  )::halfvec
FROM (VALUES (%s::uuid, %s::text)) AS given (id, text)
"""


@pytest.fixture(scope="module")
def moved(
    super_admin: Session, target: Target, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """A project with bots, a database and a router of its own, which has three models."""
    folder = tmp_path_factory.mktemp("reembed")
    clinic = projects.make_project(super_admin, "reembed", ["bots"])
    projects.lift_quota(super_admin, clinic.id)
    further = [f"--also={alias}={dimension}" for alias, dimension in MODELS.items()]
    try:
        with (
            router.running(*further) as url,
            database.of_its_own(target.with_router(url, None)) as alone,
            stage_module.of(clinic, alone, folder) as stage,
        ):
            stage.deploy()
            yield stage
    finally:
        projects.remove_project(super_admin, clinic)


def seed(stage: Stage, count: int) -> None:
    """Store so many records as the bot would have, without a server; the index is built after."""
    used = contract.of_secrets(stage.secrets())
    rows = []
    for number in range(count):
        text = f"[Condition | 2020-01-01 | Text]\nEntry {number} of a “long” list\n\\ {number}"
        chunk = chunk_hash.Chunk("note", "Text", text)
        proved = chunk_hash.content_hash(used.version, [chunk])
        values = (used.version, proved, used.dimension, uuid.uuid4(), text)
        rows.append((stage.clinic.id, *values))
    with stage.database() as connection:
        for each in connection.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'clinical_embeddings'"
            " AND indexdef LIKE '%hnsw%'"
        ).fetchall():
            connection.execute(
                sql.SQL("DROP INDEX {}").format(sql.Identifier(str(each["indexname"])))
            )
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(SEED, rows)
    stage.medbots("db", "init").expect()


@dataclass
class Life:
    """What goes on in a clinic: somebody searches, somebody writes."""

    stage: Stage
    patient: Json
    asthma: Json
    found: list[list[str]] = field(default_factory=list)
    """The ids that each search found."""
    trouble: list[str] = field(default_factory=list)
    records: dict[str, Json] = field(default_factory=dict)
    """Those that are there in the end, by id."""
    deleted: list[Json] = field(default_factory=list)

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Search and write until the end."""
        over = threading.Event()
        bot = self.stage.bot("semantic-search")["id"]
        works = (lambda session, _: self._search(session, bot), self._write)
        threads = [threading.Thread(target=self._loop, args=(work, over)) for work in works]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            over.set()
            for each in threads:
                each.join()

    def _loop(self, work: Callable[[Session, int], None], over: threading.Event) -> None:
        token = str(self.stage.clinic.admin.headers["Authorization"]).removeprefix("Bearer ")
        with self.stage.clinic.admin.with_token(token) as session:
            for number in itertools.takewhile(lambda _: not over.is_set(), itertools.count()):
                try:
                    work(session, number)
                except Exception as error:  # noqa: BLE001 - whatever it is, the test shall say it
                    self.trouble.append(repr(error)[:500])

    def _search(self, session: Session, bot: str) -> None:
        question = {"query": QUESTION, "minSimilarity": 0.1, "patientId": self.patient["id"]}
        answer = medplum.expect(session.execute(bot, question))
        if answer.get("success") is not True:
            self.trouble.append(f"a search failed: {answer}")
        self.found.append([each["resourceId"] for each in answer.get("results", [])])

    def _write(self, session: Session, number: int) -> None:
        made = session.create(condition(self.patient, f"Finding {number} of today"))
        self.records[made["id"]] = made
        if number % 3 == 1:
            old = next(iter(self.records.values()))
            changed = session.update({**old, "code": {"text": f"Corrected in step {number}"}})
            self.records[changed["id"]] = changed
        if number % 4 == 3:
            gone = self.records.pop(list(self.records)[1])
            medplum.expect(session.delete(f"fhir/R4/Condition/{gone['id']}"))
            self.deleted.append(gone)
        time.sleep(0.3)


def killed(stage: Stage, args: tuple[str, ...], when: Callable[[], bool]) -> None:
    """Start the command, and kill it as soon as something is so; it may not end before."""
    with stage.medbots.started(*args) as process:

        def due() -> bool:
            assert process.poll() is None, process.communicate()
            return when()

        polling.until(due, "the moment to kill", 900)
        process.kill()


def rows_of(stage: Stage, alias: str) -> int:
    """Return how many rows a model has, in whatever table."""
    with stage.database() as connection:
        tables = connection.execute(
            "SELECT attrelid::regclass::text AS name FROM pg_attribute"
            " WHERE attname = 'embedding' AND attrelid::regclass::text LIKE 'clinical_embeddings%'"
            " AND attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r')"
        ).fetchall()
        count = 0
        for each in tables:
            query = sql.SQL("SELECT count(*) AS n FROM {} WHERE model_version LIKE %s").format(
                sql.Identifier(str(each["name"]))
            )
            (row,) = connection.execute(query, [f"{alias}/%"]).fetchall()
            count += int(str(row["n"]))
    return count


def has_index(stage: Stage, alias: str) -> bool:
    """Whether the index of a model is there, or being built."""
    query = "SELECT 1 AS one FROM pg_indexes WHERE indexdef LIKE %s"
    with stage.database() as connection:
        return bool(connection.execute(query, [f"%hnsw%{alias}/%"]).fetchall())


def change(stage: Stage, model: str) -> None:
    """Change to a model, killed twice, while the clinic goes on; then nothing is missing."""
    chosen = dataclasses.replace(
        stage,
        medbots=stage.medbots.having(EMBEDDING_MODEL=model, EMBEDDING_DIM=str(MODELS[model])),
    )
    patient = stage.clinic.admin.create({"resourceType": "Patient"})
    asthma = stage.clinic.admin.create(condition(patient, ASTHMA))
    stage.wait_for_rows(asthma)
    life = Life(stage, patient, asthma)
    command = ("db", "migrate", "--reembed", "--yes")
    slowly = (*command, "--jobs", "1", "--batch", "4")
    with life.going_on():
        killed(chosen, slowly, lambda: rows_of(stage, model) > 40)
        assert stage.secrets().get("EMBEDDING_MODEL") != model
        killed(chosen, (*command, "--jobs", "2"), lambda: has_index(stage, model))
        report = chosen.medbots.json(*command)
        searches = len(life.found)
        polling.until(lambda: len(life.found) > searches + 3, "searches by the new model")
    assert life.trouble == []
    assert all(asthma["id"] in found for found in life.found), life.found
    assert {one["status"] for one in report["changes"]} == {"done"}
    assert stage.secrets()["EMBEDDING_MODEL"] == model
    there = {one["id"]: one["meta"]["versionId"] for one in (asthma, *life.records.values())}
    polling.until(
        lambda: versions(chosen, model, [*there, *(one["id"] for one in life.deleted)]) == there,
        "the rows of what was written meanwhile, and the end of what was deleted",
    )
    again = chosen.medbots.json(*command)
    assert {one["action"] for one in again["changes"]} == {"unchanged"}
    (tally,) = [
        one
        for one in chosen.medbots.json("embeddings", "status")["types"]
        if one["type"] == "Condition"
    ]
    assert (tally["missing"], tally["stale"], tally["failed"]) == (0, 0, 0)
    assert chosen.medbots.json("db", "status")["dimension"] == MODELS[model]


def versions(stage: Stage, alias: str, ids: list[str]) -> dict[str, str]:
    """Return the version that a model's rows of each record stand for, as a search would find it.

    One that stands in a former table alone, though it was deleted, counts as of no version.
    """
    query = (
        "SELECT fhir_resource_id::text AS id, version_id AS version FROM {}"
        " WHERE fhir_resource_id::text = ANY (%s)"
    )
    with stage.database() as connection:
        former = connection.execute(
            "SELECT to_regclass('clinical_embeddings_previous')::text AS name"
        ).fetchall()[0]["name"]
        found = connection.execute(
            query.format("clinical_embeddings") + " AND model_version LIKE %s", [ids, f"{alias}/%"]
        ).fetchall()
        left = connection.execute(query.format(former), [ids]).fetchall() if former else []
    current = {str(row["id"]): str(row["version"]) for row in found}
    return {str(row["id"]): "none" for row in left} | current


def test_the_model_changes_while_the_clinic_goes_on(moved: Stage) -> None:
    """To a twin, then to another dimension: no search fails or is empty, and nothing is lost."""
    seed(moved, 400)
    change(moved, "twin-model")
    now = moved.medbots.having(EMBEDDING_MODEL="twin-model")
    dropped = now.json("db", "migrate", "--drop-previous", "--yes")
    assert "embedding-model/768/none" in {one["key"] for one in dropped["changes"]}
    twin = dataclasses.replace(moved, medbots=now)
    change(twin, "wide-model")
    wide = moved.medbots.having(EMBEDDING_MODEL="wide-model", EMBEDDING_DIM="512")
    dropped = wide.json("db", "migrate", "--drop-previous", "--yes")
    assert [one["key"] for one in dropped["changes"]] == ["public.clinical_embeddings_previous"]
    assert rows_of(moved, "twin-model") == 0


@pytest.mark.full
def test_the_model_of_many_records_changes(moved: Stage) -> None:
    """The same with twenty thousand chunks."""
    used = contract.of_secrets(moved.secrets())
    seeded = dataclasses.replace(moved, medbots=moved.medbots.having(**used.secrets()))
    seed(seeded, 20_000)
    change(seeded, "twin-model" if used.alias == "wide-model" else "wide-model")
