"""`embeddings status` and `embeddings reconcile` on a running server: events lost in every way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.live import backlog as backlog_module
from tests.live import database, medplum, polling, projects, router, scratch
from tests.live.backlog import Backlog
from tests.live.medplum import Session
from tests.live.stage import Stage
from tests.live.target import Target, given
from tests.support import docs

RECORDS = 1_000
DIRECT = ("embeddings", "reconcile", "--direct")
BY_BOT = ("embeddings", "reconcile")


def embed(stage: Stage, super_admin: Session, number: int) -> Backlog:
    """Deploy without subscriptions, make records, and embed them all from here."""
    projects.lift_quota(super_admin, stage.clinic.id)
    for verb in (("deploy",), ("db", "init"), ("deploy",)):
        stage.medbots(*verb).expect()
    made = backlog_module.make(stage, number)
    report = stage.medbots.json(*DIRECT)
    assert report["embedded"] == len(made.records)
    return made


@pytest.fixture(scope="module", name="whole")
def _whole(whole: Target) -> Iterator[Target]:
    """Embed in a database of its own: some runs drop the vector index, which all projects use."""
    with apart(whole) as own:
        yield own


@contextmanager
def apart(whole: Target) -> Iterator[Target]:
    """Give the target with a database that tests of other projects, run beside it, do not use.

    A stack that the environment names is tested by one process, which disturbs nobody.
    """
    if given():
        yield whole
        return
    with database.of_its_own(whole) as own:
        yield own


@pytest.fixture(scope="module", name="backlog")
def _backlog(stage: Stage, super_admin: Session) -> Backlog:
    """A project with its records embedded, and no subscription."""
    return embed(stage, super_admin, RECORDS)


@pytest.fixture
def own_router(backlog: Backlog) -> Iterator[httpx.Client]:
    """Controls of a router of this test's own."""
    with router.running() as url, httpx.Client(base_url=url) as client:
        yield client


def test_what_is_embedded_from_here_is_what_the_bot_makes(backlog: Backlog) -> None:
    """A record's rows are the same whoever embeds it: text, hash, patient, version, vector."""
    before = backlog.rows()
    special = [one for one in backlog.records if one["resourceType"] == "DocumentReference"][:20]
    chosen = [*backlog_module.some(backlog.records, 40, 1), *special]
    backlog.lose_rows(chosen)
    report = backlog.stage.medbots.json(*BY_BOT, "--jobs", "6")
    embedded = {one["id"] for one in chosen if any(key[1] == one["id"] for key in before)}
    assert report["embedded"] == len(embedded)
    assert report["before"] != report["after"]
    assert backlog.rows() == before


def check_the_difference(backlog: Backlog, part: int) -> None:
    """Lose events of all kinds, each of `part` records; repair; nothing is wrong afterwards."""
    good = backlog.embedded("Observation", "Condition")
    chosen = backlog_module.some(good, 5 * part, 2)
    lost, aged, changed, deleted, buried = (
        chosen[start : start + part] for start in range(0, 5 * part, part)
    )
    backlog.lose_rows(lost)
    backlog.age_rows(aged)
    backlog.update(changed, note=[{"text": "Changed while nobody listened."}])
    backlog.delete(deleted)
    backlog.bury(buried)
    backlog.plant_orphans(part)
    count = backlog.status()
    withheld = count["withheld"]
    assert count == {
        "resources": len(backlog.records),
        "embedded": len(backlog.records) - withheld - 4 * part,
        "missing": 2 * part,
        "stale": 2 * part,
        "orphaned": 2 * part,
        "failed": 0,
        "withheld": withheld,
    }
    assert withheld > 0
    medbots = backlog.stage.medbots
    dry = medbots.json(*DIRECT, "--dry-run", "--detailed-exitcode", code=2)
    assert backlog_module.total(dry["before"]) == backlog.status() == count
    report = medbots.json(*DIRECT)
    assert backlog_module.total(report["before"]) == count
    assert (report["embedded"], report["deleted"], report["failed"]) == (4 * part, 2 * part, 0)
    after = backlog.status()
    assert backlog_module.total(report["after"]) == after
    assert after == count | {
        "embedded": len(backlog.records) - withheld,
        "missing": 0,
        "stale": 0,
        "orphaned": 0,
    }
    ids, rows = {one["id"] for one in changed}, backlog.rows()
    texts = [str(row["content_text"]) for key, row in rows.items() if key[1] in ids]
    assert sum("while nobody listened" in one for one in texts) == part
    versions = {one["id"]: one["meta"]["versionId"] for one in backlog.records}
    assert all(row["version_id"] == versions[key[1]] for key, row in rows.items())
    again = medbots.json(*DIRECT)
    assert (again["embedded"], again["deleted"], again["before"]) == (0, 0, again["after"])


def test_the_difference_is_zero_afterwards(backlog: Backlog) -> None:
    """Lost creations, updates and deletions, orphans, wrong tombstones: all told, all repaired."""
    check_the_difference(backlog, 30)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)],
    ids=["kill", "int"],
)
def test_an_interrupted_run_is_gone_on_with(backlog: Backlog, number: int, code: int) -> None:
    """Killed in the middle, the next run says since when it goes on, and does only the rest."""
    before = backlog.rows()
    backlog.lose_rows(backlog.records)
    marks = "SELECT mark FROM medbots_reconciliations WHERE project_id = %s"
    with backlog.stage.medbots.started(*DIRECT, "--jobs", "1") as running:
        polling.until(lambda: backlog.execute(marks, backlog.stage.clinic.id), "a mark")
        running.send_signal(number)
        running.communicate(timeout=60)
    assert running.returncode == code
    done = len({key[:2] for key in backlog.rows()})
    assert done > 0
    resources = len({key[:2] for key in before})
    report = backlog.stage.medbots.json(*DIRECT)
    assert report["resumedFrom"] is not None
    assert report["embedded"] == resources - done
    assert backlog_module.total(report["after"])["missing"] == 0
    assert backlog.rows() == before
    assert backlog.execute(marks, backlog.stage.clinic.id) == []
    index = "SELECT 1 FROM pg_indexes WHERE indexname = 'clinical_embeddings_embedding_idx'"
    assert backlog.execute(index)


def test_a_router_that_limits_is_waited_for(backlog: Backlog, own_router: httpx.Client) -> None:
    """429 with a pause, then a failure: asked again; nothing is lost, nothing fails."""
    chosen = backlog_module.some(backlog.embedded(), 20, 3)
    before = backlog.rows()
    backlog.lose_rows(chosen)
    faults = [{"kind": "429", "times": 2, "retryAfter": 1}, {"kind": "500", "times": 1}]
    own_router.post("/control/faults", json=faults).raise_for_status()
    began = time.monotonic()
    medbots = backlog.stage.medbots.having(LLM_ROUTER_URL=str(own_router.base_url))
    report = medbots.json(*DIRECT)
    assert (report["embedded"], report["failed"]) == (20, 0)
    assert time.monotonic() - began > 2
    assert backlog.rows() == before


def test_what_the_bot_tried_in_vain_is_told(backlog: Backlog) -> None:
    """Records whose embedding the bot has audited as failed: counted, named, 3; then repaired."""
    stage, chosen = backlog.stage, backlog_module.some(backlog.embedded("Condition"), 3, 4)
    missing = backlog_module.some(backlog.embedded("Observation"), 2, 5)
    before = backlog.rows()
    backlog.lose_rows([*chosen, *missing])
    with blocked_route(stage):
        done = stage.medbots.json(*BY_BOT, "--type", "Condition", code=3)
        refused = stage.medbots(*DIRECT).expect(4)
    assert "LLM_PHI_ALLOWED_HOSTS" in refused.err
    assert (done["failed"], done["embedded"], done["error"]["code"]) == (3, 0, "partly-applied")
    assert {one["resource"] for one in done["failures"]} == {
        f"Condition/{one['id']}" for one in chosen
    }
    assert {one["errorCode"] for one in done["failures"]} == {"PHI_ROUTE_BLOCKED"}
    count = backlog.status()
    assert (count["missing"], count["failed"]) == (5, 3)
    report = stage.medbots.json(*BY_BOT)
    assert (report["embedded"], report["failed"]) == (5, 0)
    assert backlog.status()["failed"] == 0
    assert backlog.rows() == before


@contextmanager
def blocked_route(stage: Stage) -> Iterator[None]:
    """Forbid patient data to go to the router, by the project's secret."""
    path = f"fhir/R4/Project/{stage.clinic.id}"
    secrets = stage.clinic.admin.read(f"Project/{stage.clinic.id}")["secret"]
    blocked = [*secrets, {"name": "LLM_PHI_ALLOWED_HOSTS", "valueString": "nowhere.example"}]
    for_now = [{"op": "add", "path": "/secret", "value": blocked}]
    medplum.expect(stage.clinic.admin.change(path, for_now))
    try:
        yield
    finally:
        back = [{"op": "add", "path": "/secret", "value": secrets}]
        medplum.expect(stage.clinic.admin.change(path, back))


def test_vectors_of_another_length_change_nothing(
    backlog: Backlog, own_router: httpx.Client
) -> None:
    """A model of another dimension is refused before anything is touched."""
    fault = [{"kind": "wrong-dimension", "times": 0, "dimension": 16}]
    own_router.post("/control/faults", json=fault).raise_for_status()
    medbots = backlog.stage.medbots.having(LLM_ROUTER_URL=str(own_router.base_url))
    medbots(*DIRECT).expect()
    backlog.lose_rows(backlog_module.some(backlog.embedded("Condition"), 1, 7))
    before = backlog.rows()
    done = medbots(*DIRECT).expect(1)
    assert "by which the bots work (the project's secrets)" in done.err
    assert "EMBEDDING_DIM=16 medbots db migrate --reembed" in done.err
    assert backlog.rows() == before
    assert backlog.stage.medbots.json(*DIRECT)["embedded"] == 1


def test_another_database_than_the_bots_is_refused(backlog: Backlog) -> None:
    """Nothing is written into it, by whichever way, and no bot is run for it."""
    with database.of_its_own(backlog.stage.target) as other:
        medbots = backlog.stage.medbots.having(MEDBOTS_DATABASE_URL=other.database_url)
        with psycopg.connect(other.database_url, autocommit=True) as owner:
            owner.execute("CREATE EXTENSION IF NOT EXISTS vector")
        medbots("db", "migrate").expect()
        for verb in (DIRECT, BY_BOT, (*BY_BOT, "--dry-run"), ("embeddings", "status")):
            done = medbots(*verb).expect(1)
            assert "the bots use another database" in done.err
        with psycopg.connect(other.database_url) as owner:
            assert owner.execute("SELECT count(*) FROM clinical_embeddings").fetchone() == (0,)


def test_patient_text_goes_to_no_other_host(backlog: Backlog) -> None:
    """A router outside the private network is refused; nothing is sent."""
    medbots = backlog.stage.medbots.having(LLM_ROUTER_URL="https://llm.example.com")
    done = medbots(*DIRECT).expect(4)
    assert "LLM_PHI_ALLOWED_HOSTS" in done.err


def test_who_sees_only_a_part_may_not_reconcile(backlog: Backlog) -> None:
    """No admin, or an admin under an AccessPolicy: refused with 4, and no row goes."""
    before = backlog.rows()
    stage = backlog.stage
    with scratch.of(stage.clinic) as made:
        policy = made.create(
            {
                "resourceType": "AccessPolicy",
                "resource": [{"resourceType": "Condition"}, {"resourceType": "ProjectMembership"}],
            }
        )
        for more in ({}, {"membership": {"admin": True}}):
            reference = f"AccessPolicy/{policy['id']}" if more else None
            member = projects.invite(stage.clinic, reference, **more)
            token = str(member.session.headers["Authorization"]).removeprefix("Bearer ")
            medbots = stage.medbots.having(MEDPLUM_ACCESS_TOKEN=token)
            for verb in (DIRECT, BY_BOT, ("embeddings", "status")):
                done = medbots(*verb).expect(4)
                assert "would pass for deleted" in done.err
            projects.remove_member(stage.clinic, member.membership)
    assert backlog.rows() == before


@pytest.mark.parametrize(
    "args",
    [
        *(("--type", "Patient"), ("--type", ",")),
        *(("--since", "never"), ("--since", "2999-01-01"), ("--jobs", "0")),
    ],
    ids=["other-type", "no-type", "no-date", "to-come", "no-jobs"],
)
def test_bad_input_is_a_usage_error(backlog: Backlog, args: tuple[str, str]) -> None:
    """What cannot be meant: 64, and nothing is changed."""
    backlog.stage.medbots(*BY_BOT, *args).expect(64)


def test_each_command_of_the_page_works(backlog: Backlog) -> None:
    """Whoever types what the page says of repair meets no error."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "embedding-store.md"
    meant = [one for one in docs.commands(page) if one.startswith("medbots embeddings ")]
    assert len(meant) >= 5
    for command in meant:
        backlog.stage.medbots(*command.split()[1:]).expect()


def test_subscriptions_go_on_meanwhile(backlog: Backlog) -> None:
    """While records are changed and their subscriptions embed them, both end up right."""
    stage = backlog.stage
    backlog.lose_rows(backlog.records)
    stage.medbots("subscriptions", "sync").expect()
    stop = threading.Event()
    busy = [one for one in backlog.records if one["resourceType"] == "Observation"][:60]
    written: dict[str, str] = {}

    def write() -> None:
        for number, one in enumerate(busy):
            if stop.is_set():
                return
            note = f"Written beside, {number}."
            backlog.admin.update({**one, "note": [{"text": note}]})
            written[one["id"]] = note

    writer = threading.Thread(target=write)
    writer.start()
    try:
        report = stage.medbots.json(*DIRECT)
    finally:
        stop.set()
        writer.join()
    assert report["failed"] == 0
    polling.until(lambda: backlog.status()["missing"] + backlog.status()["stale"] == 0, "no rest")
    count = backlog.status()
    assert (count["orphaned"], count["resources"]) == (0, len(backlog.records))
    assert written
    texts = {key[1]: str(row["content_text"]) for key, row in backlog.rows().items()}
    assert [note for name, note in written.items() if note not in texts[name]] == []
