"""The synthetic patient and record that make a subscription fire, and their removal.

Both carry the tag `NAMESPACE/verify|fire`, by which what an interrupted run left behind is found.
Once the record is deleted only the patient is left to tell of it, so the patient gets the record's
reference as an identifier first, and goes last.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from medbots import errors
from medbots.checks import polling
from medbots.checks import rows as rows_module
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


RECORDS: Mapping[str, Callable[[str], Json]] = {"Condition": _condition}
"""How to make a record of a type for a patient's reference: the types that can be fired."""


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
        self, client: client_module.Client, namespace: str, rows: rows_module.Rows | None
    ) -> None:
        self._client = client
        self._system = f"{namespace}/verify"
        self._rows = rows
        """None: the bot that is fired keeps no rows."""

    async def plant(self, resource_type: str, trace: Trace) -> None:
        """Create a patient and a record; `trace` knows of each as soon as it stands."""
        person = {"resourceType": "Patient", "name": [{"text": _LABEL}]}
        trace.patient = await self._create(person)
        trace.record = await self._create(RECORDS[resource_type](trace.patient))

    async def _create(self, resource: Json) -> str:
        tag = {"system": self._system, "code": _TAG}
        meta = {"tag": [tag], "security": [_TEST_DATA]}
        kind = resource["resourceType"]
        created = await self._client.post(f"fhir/R4/{kind}", resource | {"meta": meta})
        return f"{kind}/{created['id']}"

    async def leftovers(self) -> AsyncIterator[Trace]:
        """Yield what an interrupted run left behind: records first, the patients after them."""
        tag = {"_tag": f"{self._system}|{_TAG}"}
        for kind in RECORDS:
            async for found in self._client.search(kind, tag | {"_fields": "subject"}):
                yield Trace(record=f"{kind}/{found['id']}")
        async for found in self._client.search("Patient", tag | {"_fields": "identifier"}):
            record = self._noted(found)
            yield Trace(f"Patient/{found['id']}", record, noted=record is not None)

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
        if self._rows is None:
            return True
        rows = self._rows

        async def cleared() -> bool | None:
            return await rows.clear_tombstone(record) or None

        followed = await polling.until(cleared, wait)
        await rows.delete(record)
        return bool(followed)
