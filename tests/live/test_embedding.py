"""The Embedding Bot on a running server: what becomes of a record, from its creation to its end."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable

import pytest

from tests.live import medplum, polling, scratch
from tests.live.medplum import Json
from tests.live.scratch import Scratch
from tests.live.stage import Stage

ZERO = "00000000-0000-4000-8000-000000000000"
TERMS = "http://terminology.hl7.org/CodeSystem/condition-"


def condition(patient: Json, text: str) -> Json:
    """Return an active, confirmed Condition."""
    return {
        "resourceType": "Condition",
        "subject": {"reference": f"Patient/{patient['id']}"},
        "code": {"text": text},
        "clinicalStatus": {"coding": [{"system": f"{TERMS}clinical", "code": "active"}]},
        "verificationStatus": {"coding": [{"system": f"{TERMS}ver-status", "code": "confirmed"}]},
    }


def document(patient: Json, content_type: str, content: bytes) -> Json:
    """Return a DocumentReference with one inline attachment."""
    data = base64.b64encode(content).decode()
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"text": "Progress note"},
        "subject": {"reference": f"Patient/{patient['id']}"},
        "content": [{"attachment": {"contentType": content_type, "data": data}}],
    }


def observation(patient: Json) -> Json:
    """Return a final Observation with a value."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "HbA1c"},
        "subject": {"reference": f"Patient/{patient['id']}"},
        "valueQuantity": {"value": 8.2, "unit": "%"},
    }


def medication_statement(patient: Json) -> Json:
    """Return an active MedicationStatement."""
    return {
        "resourceType": "MedicationStatement",
        "status": "active",
        "medicationCodeableConcept": {"text": "Metformin 500 mg"},
        "subject": {"reference": f"Patient/{patient['id']}"},
    }


def report(patient: Json) -> Json:
    """Return a final DiagnosticReport with a conclusion."""
    return {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": {"text": "Chest X-ray"},
        "subject": {"reference": f"Patient/{patient['id']}"},
        "conclusion": "No infiltrate.",
    }


@pytest.fixture
def patient(records: Scratch) -> Json:
    """A Patient with a name and a birth date, which no row may hold."""
    return records.create(
        {
            "resourceType": "Patient",
            "name": [{"family": "Unmistakable", "given": ["Zebedee"]}],
            "birthDate": "1931-07-13",
        }
    )


def runs_of(stage: Stage, resource: Json, number: int) -> list[Json]:
    """Wait for so many runs on a resource, and return their AuditEvents, newest first."""
    reference = f"{resource['resourceType']}/{resource['id']}"
    return scratch.wait_for_runs(stage.clinic.admin, reference, number)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda patient: condition(patient, "Asthma"), "Asthma"),
        (lambda patient: document(patient, "text/plain", b"Wound heals well."), "Wound heals"),
        (observation, "8.2"),
        (medication_statement, "Metformin"),
        (report, "No infiltrate"),
    ],
    ids=["Condition", "DocumentReference", "Observation", "MedicationStatement", "Report"],
)
def test_a_new_record_becomes_a_row(
    deployed: Stage, records: Scratch, patient: Json, make: Callable[[Json], Json], words: str
) -> None:
    """Each of the five types becomes rows of this project, patient and version, and no name."""
    made = records.create(make(patient))
    rows = deployed.wait_for_rows(made)
    text = "\n".join(str(row["content_text"]) for row in rows)
    assert words in text
    assert not any(each in text for each in ("Unmistakable", "Zebedee", "1931"))
    assert [row["chunk_index"] for row in rows] == list(range(len(rows)))
    for row in rows:
        assert str(row["project_id"]) == deployed.clinic.id
        assert str(row["patient_id"]) == patient["id"]
        assert row["fhir_resource_type"] == made["resourceType"]
        assert row["chunk_count"] == len(rows)
        assert row["model_version"] == model_version(deployed)
        assert len(json.loads(str(row["embedding"]))) == dimension(deployed)


def test_a_replay_changes_nothing(deployed: Stage, records: Scratch, patient: Json) -> None:
    """The same version again: `unchanged`, and the row stays as it is, its time too."""
    made = records.create(condition(patient, "Asthma"))
    before = deployed.wait_for_rows(made)
    again = execute(deployed, {"resourceType": "Condition", "id": made["id"]})
    assert again["success"] is True
    assert (again["unchanged"], again["embeddingsCreated"]) == (True, 0)
    assert again["chunksProcessed"] == 1
    assert deployed.rows(made) == before


def test_an_update_replaces(deployed: Stage, records: Scratch, patient: Json) -> None:
    """An update replaces the text and the version; there is no second row."""
    made = records.create(condition(patient, "Mild asthma"))
    deployed.wait_for_rows(made)
    updated = records.admin.update({**made, "code": {"text": "Severe asthma"}})
    (row,) = deployed.wait_for_rows(updated)
    assert "Severe asthma" in str(row["content_text"])
    assert len(deployed.rows(updated)) == 1


def test_a_document_that_shrinks_leaves_no_chunk(
    deployed: Stage, records: Scratch, patient: Json
) -> None:
    """A long note has many chunks; shortened, the surplus ones are gone."""
    long = "The wound is healing well. " * 200
    made = records.create(document(patient, "text/plain", long.encode()))
    many = len(deployed.wait_for_rows(made))
    short = {**made, "content": document(patient, "text/plain", b"Healed.")["content"]}
    updated = records.admin.update(short)
    few = len(deployed.wait_for_rows(updated))
    assert many > few
    assert len(deployed.rows(updated)) == few


def test_a_delete_removes_and_leaves_a_tombstone(
    deployed: Stage, records: Scratch, patient: Json
) -> None:
    """A deleted record's rows go, and a tombstone with its version stays."""
    made = records.create(condition(patient, "Asthma"))
    deployed.wait_for_rows(made)
    medplum.expect(records.admin.delete(f"fhir/R4/Condition/{made['id']}"))
    (tombstone,) = polling.until(lambda: deployed.tombstones(made), "the tombstone")
    assert deployed.rows(made) == []
    assert tombstone["version_id"] == made["meta"]["versionId"]


def test_a_record_in_error_loses_its_rows(deployed: Stage, records: Scratch, patient: Json) -> None:
    """A record that was entered in error is removed from the search."""
    made = records.create(observation(patient))
    deployed.wait_for_rows(made)
    records.admin.update({**made, "status": "entered-in-error"})
    polling.until(lambda: deployed.rows(made) == [], "the rows to go")


def test_a_pdf_leaves_no_byte_text(deployed: Stage, records: Scratch, patient: Json) -> None:
    """A PDF is never decoded as text: the document's own data are indexed, the PDF is reported."""
    content = b"%PDF-1.7\n1 0 obj << /Type /Catalog >> stream SECRETBYTES endstream\n%%EOF"
    made = records.create(document(patient, "application/pdf", content))
    rows = deployed.wait_for_rows(made)
    text = "\n".join(str(row["content_text"]) for row in rows)
    assert "Progress note" in text
    assert not any(each in text for each in ("%PDF", "SECRETBYTES", "obj", "stream"))
    answer = execute(deployed, {"resourceType": "DocumentReference", "id": made["id"]})
    assert answer["success"] is True
    (skipped,) = answer["skipped"]
    assert skipped["contentType"] == "application/pdf"
    assert skipped["reason"]


def test_a_binary_of_the_project_is_read(deployed: Stage, records: Scratch, patient: Json) -> None:
    """An attachment in a Binary of the server is read as what it is; HTML becomes text."""
    url = records.binary(b"<h1>Plan</h1><p>Physiotherapy &amp; rest</p>", "text/html")
    resource = document(patient, "text/html", b"")
    resource["content"] = [{"attachment": {"contentType": "text/html", "url": url}}]
    rows = deployed.wait_for_rows(records.create(resource))
    text = "\n".join(str(row["content_text"]) for row in rows)
    assert "Physiotherapy & rest" in text
    assert "<p>" not in text


def attached(patient: Json, url: str, content_type: str = "text/plain") -> Json:
    """Return a DocumentReference whose content lies elsewhere."""
    resource = document(patient, content_type, b"")
    return {**resource, "content": [{"attachment": {"contentType": content_type, "url": url}}]}


def kept_for(records: Scratch, reference: str, content: bytes) -> str:
    """Upload a text that is kept for a record; return `Binary/<id>`."""
    answer = records.admin.post(
        "fhir/R4/Binary",
        content=content,
        headers={"Content-Type": "text/plain", "X-Security-Context": reference},
    )
    return records.keep(f"Binary/{medplum.expect(answer, 201)['id']}")


def test_a_binary_that_is_kept_for_the_patient_is_read(
    deployed: Stage, records: Scratch, patient: Json
) -> None:
    """A text whose securityContext is the record's own patient is the record's text."""
    url = kept_for(records, f"Patient/{patient['id']}", b"Physiotherapy twice a week.")
    rows = deployed.wait_for_rows(records.create(attached(patient, url)))
    assert any("Physiotherapy twice" in str(row["content_text"]) for row in rows)


def test_nothing_comes_out_of_a_binary_that_is_not_the_records(
    deployed: Stage, records: Scratch, patient: Json
) -> None:
    """Neither another patient's text nor a bot's code is put into rows, whoever names its URL."""
    other = records.create({"resourceType": "Patient"})
    theirs = kept_for(records, f"Patient/{other['id']}", b"Unspeakable illness.")
    code = deployed.bot("embedding")["executableCode"]["url"]
    (code_id,) = re.findall(r"/storage/([0-9a-f-]{36})/", code)
    for url in (theirs, f"Binary/{code_id}"):
        made = records.create(attached(patient, url))
        rows = deployed.wait_for_rows(made)
        text = "\n".join(str(row["content_text"]) for row in rows)
        assert "Progress note" in text
        assert not any(each in text for each in ("Unspeakable", "exports", "require("))
        answer = execute(deployed, {"resourceType": "DocumentReference", "id": made["id"]})
        assert answer["skipped"][0]["reason"], url


def test_nothing_of_a_record_is_logged(deployed: Stage, records: Scratch, patient: Json) -> None:
    """The log of a run, which lands in its AuditEvent, holds ids and counts and no text."""
    made = records.create(condition(patient, "Unspeakable illness"))
    deployed.wait_for_rows(made)
    (event,) = runs_of(deployed, made, 1)
    assert event["outcome"] == "0"
    assert "Unspeakable" not in event.get("outcomeDesc", "")


def test_a_record_that_does_not_exist(deployed: Stage) -> None:
    """`$execute` for an unknown id: INVALID_INPUT, and it names the record."""
    answer = execute(deployed, {"resourceType": "Condition", "id": ZERO})
    assert (answer["success"], answer["errorCode"]) == (False, "INVALID_INPUT")
    assert f"Condition/{ZERO} does not exist" in answer["message"]


@pytest.mark.parametrize(
    "body",
    [{}, {"resourceType": "Patient", "id": "x"}, {"resourceType": "Condition"}, {"action": "no"}],
    ids=["empty", "other-type", "no-id", "unknown-action"],
)
def test_bad_input_is_told(deployed: Stage, body: Json) -> None:
    """Bad input: `success: false`, INVALID_INPUT, and a message that says what is wrong."""
    answer = execute(deployed, body)
    assert answer["success"] is False
    assert answer["errorCode"] == "INVALID_INPUT"
    assert answer["message"]


def execute(stage: Stage, body: Json) -> Json:
    """Run the Embedding Bot as the project's admin."""
    answer: Json = medplum.expect(stage.clinic.admin.execute(stage.bot("embedding")["id"], body))
    return answer


def dimension(stage: Stage) -> int:
    """Return the length of the vectors that the settings ask for."""
    return int(stage.medbots.settings.get("EMBEDDING_DIM", "768"))


def model_version(stage: Stage) -> str:
    """Return what rows record of their model."""
    alias = stage.medbots.settings.get("EMBEDDING_MODEL", "embedding-model")
    prefix = stage.medbots.settings.get("EMBEDDING_PREFIX_MODE", "none")
    return f"{alias}/{dimension(stage)}/{prefix}"
