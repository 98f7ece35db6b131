"""Bots close what they open: a run leaves no connection to the database behind."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures

import pytest

from tests.live import medplum, polling
from tests.live import stage as stage_module
from tests.live.medplum import Json
from tests.live.scratch import Scratch
from tests.live.stage import Stage
from tests.live.test_embedding import condition

RUNS = 100
AT_ONCE = 4


@pytest.fixture
def connections(deployed: Stage) -> Callable[[], int]:
    """Count the connections that the bots' role has open now."""
    role = stage_module.role_of(deployed)

    def count() -> int:
        query = "SELECT count(*) AS open FROM pg_stat_activity WHERE usename = %s"
        with deployed.database() as connection:
            row = connection.execute(query, (role,)).fetchone()
        assert row is not None
        return int(str(row["open"]))

    return count


def test_a_hundred_runs_leave_none(
    deployed: Stage, records: Scratch, connections: Callable[[], int]
) -> None:
    """Embedding, searching and answering, well and badly, four at a time."""
    patient = records.create({"resourceType": "Patient"})
    record = records.create(condition(patient, "Asthma"))
    deployed.wait_for_rows(record)
    about = {"patientId": patient["id"]}
    inputs: list[tuple[str, Json]] = [
        ("embedding", {"resourceType": "Condition", "id": record["id"]}),
        ("semantic-search", {**about, "query": "asthma"}),
        ("rag-pipeline", {**about, "question": "Is there asthma?"}),
        # These fail: a record that is not there, a patient that is not there.
        ("embedding", {"resourceType": "Condition", "id": patient["id"]}),
        ("rag-pipeline", {"patientId": record["id"], "question": "Is there asthma?"}),
    ]
    bots = {key: deployed.bot(key)["id"] for key, _ in inputs}

    def run(number: int) -> Json:
        key, body = inputs[number % len(inputs)]
        answer: Json = medplum.expect(deployed.clinic.admin.execute(bots[key], body))
        return answer

    polling.until(lambda: connections() == 0, "no connection before")
    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(run, range(RUNS)))
    succeeded = sum(answer["success"] for answer in answers)
    assert succeeded == RUNS * 3 // len(inputs)
    polling.until(lambda: connections() == 0, "no connection after")
