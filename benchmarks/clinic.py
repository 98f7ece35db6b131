"""A patient with a short record, and what each bot is asked about it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import httpx

Json = dict[str, Any]

_NOTE = (
    "Follow-up of type 2 diabetes. Haemoglobin A1c 7.1 %. Continue metformin 500 mg twice daily."
)
_LOINC, _UCUM = "http://loinc.org", "http://unitsofmeasure.org"
_ICD = "http://hl7.org/fhir/sid/icd-10-cm"


class Clinic:
    """Runs the bots of a project as its admin."""

    def __init__(self, http: httpx.Client) -> None:
        """Make the patient and the record."""
        self._http = http
        self._bots: dict[str, str] = {}
        self.patient = self._create({"resourceType": "Patient", "birthDate": "1960-05-04"})
        subject = {"reference": f"Patient/{self.patient}"}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.encounter = self._create(
            {
                "resourceType": "Encounter",
                "status": "finished",
                "class": {"code": "AMB"},
                "subject": subject,
                "period": {"start": now},
            }
        )
        visit = {"reference": f"Encounter/{self.encounter}"}
        self.condition = self._create(
            {
                "resourceType": "Condition",
                "subject": subject,
                "encounter": visit,
                "code": {"coding": [{"system": _ICD, "code": "E11.9"}], "text": "Type 2 diabetes"},
            }
        )
        for drug in ("warfarin 5 mg", "aspirin 100 mg", "metformin 500 mg"):
            self._create(
                {
                    "resourceType": "MedicationRequest",
                    "status": "active",
                    "intent": "order",
                    "subject": subject,
                    "medicationCodeableConcept": {"text": drug},
                }
            )
        for code, value, unit in (("4548-4", 7.1, "%"), ("2823-3", 4.1, "mmol/L")):
            self._create(
                {
                    "resourceType": "Observation",
                    "status": "final",
                    "subject": subject,
                    "encounter": visit,
                    "category": [{"coding": [{"code": "laboratory"}]}],
                    "code": {"coding": [{"system": _LOINC, "code": code}]},
                    "effectiveDateTime": now,
                    "valueQuantity": {"value": value, "unit": unit, "system": _UCUM, "code": unit},
                }
            )
        data = base64.b64encode(_NOTE.encode()).decode()
        self._create(
            {
                "resourceType": "DocumentReference",
                "status": "current",
                "subject": subject,
                "context": {"encounter": [visit]},
                "content": [{"attachment": {"contentType": "text/plain", "data": data}}],
            }
        )

    def input(self, key: str, number: int) -> Json:
        """Return what the bot is asked in its `number`th call; a command is never the same."""
        about = {"patientId": self.patient}
        visit = about | {"encounterId": self.encounter}
        match key:
            case "embedding":
                return {"resourceType": "Condition", "id": self.condition}
            case "semantic-search":
                return about | {"query": "diabetes", "minSimilarity": 0}
            case "rag-pipeline":
                return about | {"question": "What was the haemoglobin A1c?"}
            case "command-processor":
                parameters = {
                    "encounterId": self.encounter,
                    "noteType": "progress",
                    "content": f"{_NOTE} Visit {number}.",
                }
                command = "CreateEncounterNoteDraft"
                # Open tasks of one patient are limited, so each command is about another.
                other = self._create({"resourceType": "Patient"})
                parameters["encounterId"] = self._create(
                    {
                        "resourceType": "Encounter",
                        "status": "in-progress",
                        "class": {"code": "AMB"},
                        "subject": {"reference": f"Patient/{other}"},
                    }
                )
                return {
                    "command": command,
                    "patientId": other,
                    "encounterId": parameters["encounterId"],
                    "confidence": 0.9,
                    "parameters": parameters,
                }
            case "approval-queue":
                return {"action": "sweep"}
            case "clinical-decision-support":
                return about | {"analysisTypes": ["interactions", "critical", "preventive"]}
            case "documentation-assistant":
                return visit | {
                    "documentationType": "progress",
                    "clinicianInput": {"plan": "Continue metformin."},
                }
            case "billing-code-suggester":
                return visit
            case _:
                return about | {"eventType": "llm_request", "action": "E", "outcome": "0"}

    def execute(self, key: str, body: Json) -> None:
        """Run a bot, which has to succeed."""
        answer = self._http.post(f"fhir/R4/Bot/{self._bot(key)}/$execute", json=body, timeout=60)
        answer.raise_for_status()
        if not answer.json().get("success"):
            raise RuntimeError(f"{key}: {answer.text}")

    def _bot(self, key: str) -> str:
        if key not in self._bots:
            query = {"identifier": f"urn:medbots/bot|{key}"}
            page = self._http.get("fhir/R4/Bot", params=query).raise_for_status().json()
            self._bots[key] = page["entry"][0]["resource"]["id"]
        return self._bots[key]

    def _create(self, resource: Json) -> str:
        answer = self._http.post(f"fhir/R4/{resource['resourceType']}", json=resource)
        answer.raise_for_status()
        return str(answer.json()["id"])
