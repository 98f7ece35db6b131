"""The synthetic patient and record that make a subscription fire, and their removal.

Both carry the tag `NAMESPACE/verify|fire`, by which what an interrupted run left behind is found.
Once the record is deleted only the patient is left to tell of it, so the patient gets the record's
reference as an identifier first, and goes last.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from medbots import errors, polling
from medbots.checks import rows as rows_module
from medbots.medplum import batch
from medbots.medplum import client as client_module

Json = dict[str, Any]

_TAG = "fire"
_LABEL = "Synthetic record of medbots verify, no person"
_TEST_DATA = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "code": "HTEST",
    "display": "test health data",
}


def _condition(patient: str) -> Json:
    return {
        "resourceType": "Condition",
        "subject": {"reference": patient},
        "code": {"text": _LABEL},
        "verificationStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/condition-ver-status",
                    "code": "unconfirmed",
                }
            ]
        },
    }


def _observation(patient: str) -> Json:
    return {
        "resourceType": "Observation",
        "status": "final",
        "subject": {"reference": patient},
        "code": {"text": _LABEL},
    }


def _report(patient: str) -> Json:
    return _observation(patient) | {"resourceType": "DiagnosticReport"}


def _document(patient: str) -> Json:
    text = base64.b64encode(_LABEL.encode()).decode()
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": patient},
        "content": [{"attachment": {"contentType": "text/plain", "data": text}}],
    }


def _medication_statement(patient: str) -> Json:
    return {
        "resourceType": "MedicationStatement",
        "status": "unknown",
        "subject": {"reference": patient},
        "medicationCodeableConcept": {"text": _LABEL},
    }


def _medication_request(patient: str) -> Json:
    """Cancelled from the start: nothing is to be decided about it."""
    return {
        "resourceType": "MedicationRequest",
        "status": "cancelled",
        "intent": "proposal",
        "subject": {"reference": patient},
        "medicationCodeableConcept": {"text": _LABEL},
    }


def _encounter(patient: str, status: str = "planned") -> Json:
    """Planned: nobody is there yet."""
    return {
        "resourceType": "Encounter",
        "status": status,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"},
        "subject": {"reference": patient},
    }


def _finished_encounter(patient: str) -> Json:
    """Finished, and with nothing in it that has a code."""
    return _encounter(patient, "finished")


def _task(patient: str) -> Json:
    """Cancelled from the start: nothing is to be approved."""
    return {
        "resourceType": "Task",
        "status": "cancelled",
        "intent": "proposal",
        "for": {"reference": patient},
        "code": {
            "coding": [{"system": "http://medplum.com/ai-command", "code": "ai-approval"}],
            "text": _LABEL,
        },
    }


RECORDS: Mapping[str, Callable[[str], Json]] = {
    "Condition": _condition,
    "DiagnosticReport": _report,
    "DocumentReference": _document,
    "Encounter": _encounter,
    "Encounter?status=finished": _finished_encounter,
    "MedicationRequest": _medication_request,
    "MedicationStatement": _medication_statement,
    "Observation": _observation,
    "Task?code=ai-approval": _task,
}
"""How to make a record that meets some criteria, for a patient's reference.

Each says that it is synthetic, and asks nothing of a bot but to run: no order, no result.
"""

TYPES = tuple(dict.fromkeys(criteria.partition("?")[0] for criteria in RECORDS))
"""The types of such records."""


@dataclass(slots=True)
class Trace:
    """What a run has left on the server and in the table so far."""

    patient: str | None = None
    """Such as `Patient/<id>`."""
    record: str | None = None
    """Such as `Condition/<id>`; it may be deleted already, and its tombstone still there."""
    noted: bool = False
    """Whether the patient on the server carries the record's reference."""


class Planter:
    """Creates and removes synthetic resources in the client's project."""

    def __init__(
        self,
        client: client_module.Client,
        namespace: str,
        rows: rows_module.Rows | None,
        kept: Collection[str],
    ) -> None:
        self._client = client
        self._system = f"{namespace}/verify"
        self._rows = rows
        self._kept = kept
        """Types of which a bot keeps rows; without rows there are none."""

    async def plant(self, criteria: str, trace: Trace) -> None:
        """Create a patient and a record; `trace` knows of each as soon as it stands.

        Args:
            criteria: one of RECORDS, which the record meets.
            trace: what is there so far.
        """
        person = {"resourceType": "Patient", "name": [{"text": _LABEL}]}
        trace.patient = await self._create(person)
        trace.record = await self._create(RECORDS[criteria](trace.patient))

    async def _create(self, resource: Json) -> str:
        tag = {"system": self._system, "code": _TAG}
        meta = {"tag": [tag], "security": [_TEST_DATA]}
        kind = resource["resourceType"]
        created = await self._client.post(f"fhir/R4/{kind}", resource | {"meta": meta})
        return f"{kind}/{created['id']}"

    async def leftovers(self) -> list[Trace]:
        """Return what an interrupted run left behind: records first, the patients after them."""
        query = f"_tag={quote(f'{self._system}|{_TAG}')}&_count=100&_fields=identifier"
        kinds = (*TYPES, "Patient")
        entries = [batch.BatchEntry("GET", f"{kind}?{query}") for kind in kinds]
        traces = []
        for result in await self._client.batch(entries):
            page = result.value() or {}
            for found in (one["resource"] for one in page.get("entry") or ()):
                reference = f"{found['resourceType']}/{found['id']}"
                if found["resourceType"] == "Patient":
                    record = self._noted(found)
                    traces.append(Trace(reference, record, noted=record is not None))
                else:
                    traces.append(Trace(record=reference))
        return traces

    def _noted(self, patient: Json) -> str | None:
        entries = patient.get("identifier") or ()
        values = (one.get("value") for one in entries if one.get("system") == self._system)
        return next(values, None)

    async def remove(self, trace: Trace, wait: float) -> bool:
        """Remove all of it; return whether the bot was seen to follow the deletion.

        Args:
            trace: what to remove; it is emptied step by step.
            wait: seconds in which the bot is expected to note the deletion.
        """
        followed = True
        if trace.record:
            if trace.patient and not trace.noted:
                await self._note(trace.patient, trace.record)
                trace.noted = True
            await self._delete(trace.record)
            followed = await self._forget(trace.record, wait)
            trace.record = None
        if trace.patient:
            await self._delete(trace.patient)
            trace.patient = None
        return followed

    async def _note(self, patient: str, record: str) -> None:
        identifier = [{"system": self._system, "value": record}]
        operation = {"op": "add", "path": "/identifier", "value": identifier}
        await self._client.patch(f"fhir/R4/{patient}", [operation])

    async def _delete(self, reference: str) -> None:
        try:
            await self._client.delete(f"fhir/R4/{reference}")
        except errors.NotFoundError:
            return

    async def _forget(self, record: str, wait: float) -> bool:
        """Remove the rows and the tombstone, which comes a moment after the deletion."""
        rows = self._rows
        if rows is None or record.partition("/")[0] not in self._kept:
            return True

        async def cleared() -> bool | None:
            return await rows.clear_tombstone(record) or None

        followed = await polling.until(cleared, wait)
        await rows.delete(record)
        return bool(followed)
