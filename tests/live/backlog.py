"""A clinic with many records, made while no subscription runs, and ways to spoil their rows."""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medbots import inventory
from tests.live import medplum
from tests.live.medplum import Json, Session
from tests.live.stage import Row, Stage

BATCH = 100
UNIQUE = frozenset({"id", "created_at"})
"""Columns in which two ways of embedding differ."""


@dataclass
class Backlog:
    """The records, as the server stored them."""

    stage: Stage
    records: list[Json]

    @property
    def admin(self) -> Session:
        """The project's admin."""
        return self.stage.clinic.admin

    def status(self) -> dict[str, int]:
        """Return what `embeddings status` counts over all types."""
        found = self.stage.medbots.json("embeddings", "status")
        return total(found)

    def execute(self, query: str, *values: object) -> list[Row]:
        """Run SQL as the owner."""
        with self.stage.database() as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def rows(self) -> dict[tuple[str, str, int], Row]:
        """Return every row of the project, but for what two ways of embedding differ in."""
        found = self.execute(
            "SELECT * FROM clinical_embeddings WHERE project_id = %s", self.stage.clinic.id
        )
        return {
            (
                str(one["fhir_resource_type"]),
                str(one["fhir_resource_id"]),
                int(str(one["chunk_index"])),
            ): {name: value for name, value in one.items() if name not in UNIQUE}
            for one in found
        }

    def embedded(self, *types: str) -> list[Json]:
        """Return the records that have rows, of these types or of all."""
        ids = {name for _, name, _ in self.rows()}
        return [
            one
            for one in self.records
            if one["id"] in ids and one["resourceType"] in (types or inventory.TYPES)
        ]

    def update(self, records: Sequence[Json], **members: Any) -> None:
        """Change records on the server, and remember what came of it."""
        entries = [
            medplum.entry("PUT", f"{one['resourceType']}/{one['id']}", {**one, **members})
            for one in records
        ]
        changed = {one["id"]: one for one in _sent(self.admin, entries)}
        self.records = [changed.get(one["id"], one) for one in self.records]

    def delete(self, records: Sequence[Json]) -> None:
        """Delete records from the server."""
        _sent(self.admin, [medplum.entry("DELETE", _reference(one)) for one in records])
        gone = {one["id"] for one in records}
        self.records = [one for one in self.records if one["id"] not in gone]

    def lose_rows(self, records: Sequence[Json]) -> None:
        """Take away rows of records, as when their event was never delivered."""
        ids = [one["id"] for one in records]
        self.execute("DELETE FROM clinical_embeddings WHERE fhir_resource_id = ANY (%s)", ids)

    def age_rows(self, records: Sequence[Json]) -> None:
        """Let rows stand for an earlier version."""
        self.execute(
            "UPDATE clinical_embeddings SET version_id = %s, resource_updated_at = '2001-01-01'"
            " WHERE fhir_resource_id = ANY (%s)",
            str(uuid.uuid4()),
            [one["id"] for one in records],
        )

    def plant_orphans(self, number: int) -> None:
        """Copy rows for records that never were."""
        self.execute(
            "INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id,"
            " version_id, patient_id, content_type, content_section, chunk_index, chunk_count,"
            " content_text, content_hash, embedding, model_version, resource_updated_at)"
            " SELECT project_id, fhir_resource_type, gen_random_uuid(), version_id, patient_id,"
            " content_type, content_section, 0, 1, content_text, content_hash, embedding,"
            " model_version, resource_updated_at FROM clinical_embeddings"
            " WHERE project_id = %s AND chunk_index = 0 LIMIT %s",
            self.stage.clinic.id,
            number,
        )

    def bury(self, records: Sequence[Json]) -> None:
        """Take records for gone that are there."""
        self.lose_rows(records)
        for one in records:
            self.execute(
                "INSERT INTO clinical_embedding_tombstones VALUES (%s, %s, %s, NULL, now())",
                *(self.stage.clinic.id, one["resourceType"], one["id"]),
            )


def total(document: Json) -> dict[str, int]:
    """Return the counts of all types together."""
    tally = inventory.Tally()
    for one in document["types"]:
        tally.add(inventory.Tally.of(one))
    return tally.document()


def make(stage: Stage, number: int) -> Backlog:
    """Create records of all five types, with all that a text can refer to."""
    admin = stage.clinic.admin
    patient = admin.create({"resourceType": "Patient", "name": [{"family": "Unmistakable"}]})
    subject = {"reference": f"Patient/{patient['id']}"}
    drug = admin.create({"resourceType": "Medication", "code": {"text": "Levothyroxine 50 ug"}})
    note = b"# Plan\nRest and fluids.\n\n" + b"The wound is healing well. " * 80
    answer = admin.post("fhir/R4/Binary", content=note, headers={"Content-Type": "text/markdown"})
    binary = medplum.expect(answer, 201)["id"]
    result = admin.create(_observation(subject, 0))
    made = [
        _record(one, subject, f"Medication/{drug['id']}", f"Binary/{binary}", result["id"])
        for one in range(number - 1)
    ]
    records: list[Json] = [result]
    for start in range(0, len(made), BATCH):
        part = made[start : start + BATCH]
        records += _sent(admin, [medplum.entry("POST", one["resourceType"], one) for one in part])
    return Backlog(stage, records)


def some(records: Sequence[Json], number: int, seed: int) -> list[Json]:
    """Return records at random, the same ones in each run."""
    return random.Random(seed).sample(list(records), number)  # noqa: S311


def _record(number: int, subject: Json, drug: str, binary: str, result: str) -> Json:
    terms = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    match number % 5:
        case 0:
            wrong = number % 50 == 0
            status = "entered-in-error" if wrong else "confirmed"
            return {
                "resourceType": "Condition",
                "subject": subject,
                "code": {"text": f"Asthma, episode {number}"},
                "verificationStatus": {"coding": [{"system": terms, "code": status}]},
            }
        case 1:
            return _observation(subject, number)
        case 2:
            reference = {"medicationReference": {"reference": drug}}
            text = {"medicationCodeableConcept": {"text": f"Metformin {number} mg"}}
            return {
                "resourceType": "MedicationStatement",
                "status": "active",
                "subject": subject,
                **(reference if number % 10 == 2 else text),
            }
        case 3:
            return {
                "resourceType": "DiagnosticReport",
                "status": "final",
                "code": {"text": "Chest X-ray"},
                "subject": subject,
                "conclusion": f"No infiltrate in image {number}.",
                **(
                    {"result": [{"reference": f"Observation/{result}"}]} if number % 10 == 3 else {}
                ),
            }
        case _:
            inline = base64.b64encode(f"HISTORY:\nSeen on day {number}.".encode()).decode()
            content = {"data": inline} if (number + 1) % 50 else {"url": binary}
            kind = "text/plain" if (number + 1) % 50 else "text/markdown"
            return {
                "resourceType": "DocumentReference",
                "status": "current",
                "type": {"text": "Progress note"},
                "subject": subject,
                "content": [{"attachment": {"contentType": kind, **content}}],
            }


def _observation(subject: Json, number: int) -> Json:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "HbA1c"},
        "subject": subject,
        "valueQuantity": {"value": 5 + number / 1000, "unit": "%"},
    }


def _reference(record: Json) -> str:
    return f"{record['resourceType']}/{record['id']}"


def _sent(admin: Session, entries: Sequence[Json]) -> list[Json]:
    answer = medplum.expect(admin.bundle(entries))
    statuses = {one["response"]["status"] for one in answer["entry"]}
    assert statuses <= {"200", "201"}, statuses
    return [one["resource"] for one in answer["entry"] if "resource" in one]
