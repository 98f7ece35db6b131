"""Commands about a patient, and the people who decide about them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from tests.live import medplum, polling
from tests.live import stage as stage_module
from tests.live.medplum import Json, Session
from tests.live.projects import Member
from tests.live.scratch import Scratch
from tests.live.stage import Stage

ROLES = "http://terminology.hl7.org/CodeSystem/practitioner-role"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
UCUM = "http://unitsofmeasure.org"
AI_LABEL = "AIAST"
PRIVATE = "The patient speaks of suicidal thoughts."
"""What stands in a note, and nowhere else."""


@dataclass(frozen=True)
class People:
    """Who hands commands in and who decides about them."""

    author: Member
    """A doctor, who hands them in."""
    doctor: Member
    nurse: Member
    pharmacist: Member
    clerk: Member
    """Has no role, and may do anything with Tasks."""


@contextmanager
def people(stage: Stage) -> Iterator[People]:
    """Make them, and take them away again."""
    with stage_module.records(stage) as made:
        yield People(
            author=member(made, "doctor"),
            doctor=member(made, "doctor"),
            nurse=member(made, "nurse"),
            pharmacist=member(made, "pharmacist"),
            clerk=member(made),
        )


def member(made: Scratch, role: str | None = None, **more: object) -> Member:
    """Make somebody, with an active PractitionerRole where one is named."""
    somebody = made.member()
    if role is not None:
        give_role(made, somebody, role, **more)
    return somebody


def give_role(made: Scratch, somebody: Member, code: str, **more: object) -> Json:
    """Make somebody's PractitionerRole."""
    return made.create(
        {
            "resourceType": "PractitionerRole",
            "active": True,
            "practitioner": {"reference": somebody.profile},
            "code": [{"coding": [{"system": ROLES, "code": code}]}],
            **more,
        }
    )


@dataclass(frozen=True)
class Matter:
    """An adult patient with an encounter, and what is commanded about them."""

    stage: Stage
    made: Scratch
    author: Session
    patient: Json
    encounter: Json

    WRITTEN: ClassVar[Mapping[str, str]] = {
        "Flag": "patient",
        "DocumentReference": "patient",
        "Condition": "patient",
        "Claim": "patient",
        "ServiceRequest": "patient",
        "MedicationRequest": "patient",
    }
    """What commands write, and by which parameter it is found."""

    @property
    def admin(self) -> Session:
        """The project's admin."""
        return self.stage.clinic.admin

    @property
    def subject(self) -> Json:
        """The patient, as a reference."""
        return {"reference": f"Patient/{self.patient['id']}"}

    def potassium(self, value: float = 6.8, **more: object) -> Json:
        """Make a final potassium in mmol/L; from 6.5 on it is critical."""
        return self.made.create(
            {
                "resourceType": "Observation",
                "status": "final",
                "subject": self.subject,
                "effectiveDateTime": "2026-03-01T08:00:00Z",
                "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
                "valueQuantity": {
                    "value": value,
                    "unit": "mmol/L",
                    "system": UCUM,
                    "code": "mmol/L",
                },
                **more,
            }
        )

    def condition(self) -> Json:
        """Make an active problem."""
        return self.made.create(
            {
                "resourceType": "Condition",
                "subject": self.subject,
                "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "active"}]},
                "code": {"coding": [{"system": ICD10CM, "code": "J45.909", "display": "Asthma"}]},
            }
        )

    def submit(
        self, command: str, parameters: Json, by: Session | None = None, **more: object
    ) -> Json:
        """Hand a command in, by default as the author."""
        body = {
            "command": command,
            "patientId": self.patient["id"],
            "confidence": 0.9,
            "parameters": parameters,
            **more,
        }
        return self.run("command-processor", body, by or self.author)

    def flag(self, observation: Json, severity: str = "critical", code: str = "HH") -> Json:
        """Flag a result."""
        parameters = {
            "observationId": observation["id"],
            "severity": severity,
            "interpretation": {"system": INTERPRETATION, "code": code},
        }
        return self.submit("FlagAbnormalResult", parameters)

    def note(self, content: str = PRIVATE, by: Session | None = None, **more: object) -> Json:
        """Draft a note of the encounter."""
        parameters: Json = {"noteType": "progress", "content": content}
        more = {"encounterId": self.encounter["id"], **more}
        return self.submit("CreateEncounterNoteDraft", parameters, by, **more)

    def start(self, code: str = "6809", display: str = "metformin") -> Json:
        """Suggest to start a medication."""
        medication = {"system": RXNORM, "code": code, "display": display}
        parameters = {"action": "start", "medication": medication, "rationale": "HbA1c"}
        return self.submit("SuggestMedicationChange", parameters)

    def decide(self, task: str, decision: str, by: Session, **more: object) -> Json:
        """Decide about a Task."""
        return self.run("approval-queue", {"taskId": task, "decision": decision, **more}, by)

    def approve(self, task: str, by: Member, **more: object) -> Json:
        """Approve a Task."""
        return self.decide(task, "approve", by.session, **more)

    def run(self, key: str, body: Json, by: Session, **headers: str) -> Json:
        """Run a bot as somebody."""
        path = f"fhir/R4/Bot/{self.stage.bot(key)['id']}/$execute"
        answer: Json = medplum.expect(by.post(path, json=body, headers=headers))
        return answer

    def tasks(self) -> list[Json]:
        """Return the patient's Tasks."""
        return self.admin.find(f"Task?patient={self.subject['reference']}")

    def task(self, task: str) -> Json:
        """Read a Task."""
        return self.admin.read(f"Task/{task}")

    def edit(self, task: str, by: Session, **change: object) -> Json:
        """Change a Task as somebody."""
        return by.update({**by.read(f"Task/{task}"), **change})

    def reaches(self, task: str, status: str, business: str | None = None) -> Json:
        """Wait until a Task has a status, and a business status."""

        def there() -> Json | None:
            seen = self.task(task)
            fits = seen["status"] == status and business in (None, business_status(seen))
            return seen if fits else None

        return polling.until(there, f"Task/{task} to be {status} {business or ''}")

    def written(self) -> dict[str, int]:
        """Count what there is of each type that commands write."""
        found = {kind: len(self.records(kind)) for kind in self.WRITTEN}
        return {kind: number for kind, number in found.items() if number}

    def records(self, kind: str) -> list[Json]:
        """Return the patient's records of a type."""
        return self.admin.find(f"{kind}?{self.WRITTEN[kind]}={self.subject['reference']}")

    def trail(self, kind: str) -> list[Json]:
        """Return the audit events of a type about the patient."""
        subtype = f"{self.stage.namespace}/ai-audit-event|{kind}"
        return self.admin.find(f"AuditEvent?subtype={subtype}&patient={self.subject['reference']}")

    def origins(self, reference: str) -> list[Json]:
        """Return the Provenances of a resource."""
        return self.admin.find(f"Provenance?target={reference}")

    def clean(self) -> None:
        """Delete what commands made of the patient."""
        for task in self.tasks():
            for each in self.origins(f"Task/{task['id']}"):
                self.admin.delete(f"fhir/R4/Provenance/{each['id']}")
        for kind in self.WRITTEN:
            for record in self.records(kind):
                for each in self.origins(f"{kind}/{record['id']}"):
                    self.admin.delete(f"fhir/R4/Provenance/{each['id']}")
                self.admin.delete(f"fhir/R4/{kind}/{record['id']}")
        for message in self.admin.find(f"Communication?subject={self.subject['reference']}"):
            self.admin.delete(f"fhir/R4/Communication/{message['id']}")
        for task in self.tasks():
            self.admin.delete(f"fhir/R4/Task/{task['id']}")


@contextmanager
def matter(
    stage: Stage, made: Scratch, author: Member, born: str = "1950-01-01"
) -> Iterator[Matter]:
    """Give a patient, and clean up at the end."""
    patient = made.create({"resourceType": "Patient", "birthDate": born})
    encounter = made.create(
        {
            "resourceType": "Encounter",
            "status": "in-progress",
            "class": {"code": "AMB"},
            "subject": {"reference": f"Patient/{patient['id']}"},
        }
    )
    found = Matter(stage, made, author.session, patient, encounter)
    try:
        yield found
    finally:
        found.clean()


def business_status(task: Json) -> str | None:
    """Return the code of a Task's businessStatus."""
    for coding in task.get("businessStatus", {}).get("coding", []):
        return str(coding["code"])
    return None


def values(task: Json, part: str, code: str) -> list[object]:
    """Return the values of a Task's input or output by the code of their type."""
    found = []
    for each in task.get(part, []):
        if any(coding["code"] == code for coding in each["type"]["coding"]):
            found += [value for name, value in each.items() if name.startswith("value")]
    return found


def text(document: Json) -> str:
    """Return the text of a DocumentReference that holds its bytes, or refers to them."""
    return base64.b64decode(document["content"][0]["attachment"]["data"]).decode()


def labels(resource: Json) -> list[str]:
    """Return the codes of a resource's security labels."""
    return [each["code"] for each in resource["meta"].get("security", [])]
