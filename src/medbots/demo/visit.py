"""One visit from its beginning to the last line of its audit trail, by the bots, for the demo."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from medbots import errors, polling
from medbots.bots import approvals, execution, trail
from medbots.bots.deployed import Bot
from medbots.medplum.client import Client

Answer = Mapping[str, Any]

QUESTION = "What was the hemoglobin A1c?"
CLINICIAN = {"plan": "Continue metformin. Stop aspirin. INR in one week."}
_ROLE = "http://terminology.hl7.org/CodeSystem/practitioner-role"
_BILLING = "SuggestBillingCodes"
_PATIENCE = 15.0
"""Seconds for a subscription's bot."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a bot did."""

    key: str
    bot: str
    """Key of the bot."""
    asked: str
    answer: Answer
    milliseconds: int


class Visit:
    """A patient's visit in the client's project, as the logged-in practitioner sees it."""

    def __init__(
        self, client: Client, namespace: str, bots: Mapping[str, Bot], patient: str, encounter: str
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._bots = bots
        self._about = {"patientId": patient.partition("/")[2]}
        self._encounter = encounter

    async def acts(self) -> AsyncGenerator[Act, None]:
        """Yield what the bots do, one after the other.

        Raises:
            errors.MedbotsError: a bot failed, or did not run.
        """
        visit = {**self._about, "encounterId": self._encounter.partition("/")[2]}
        yield await self._act("ask", "rag-pipeline", QUESTION, self._about | {"question": QUESTION})
        yield await self._act(
            "decide",
            "clinical-decision-support",
            "interactions of the medication",
            self._about | {"analysisTypes": ["interactions"]},
        )
        yield await self._act(
            "draft",
            "documentation-assistant",
            "a progress note from the record and the clinician's plan",
            visit
            | {
                "documentationType": "progress",
                "format": "text",
                "clinicianInput": CLINICIAN,
                "saveDraft": True,
            },
        )
        waiting = await self._finish()
        yield waiting
        task = str(waiting.answer["taskId"])
        yield await self._approve(task)
        yield await self._trail(str(waiting.answer["commandId"]))

    async def _act(self, key: str, bot: str, asked: str, body: Mapping[str, Any]) -> Act:
        began = time.perf_counter()
        answer = await execution.succeed(self._client, self._bots[bot], dict(body))
        return Act(key, bot, asked, answer, _since(began))

    async def _finish(self) -> Act:
        """Finish the visit: the Billing Code Suggester runs by its subscription."""
        began = time.perf_counter()
        path = f"fhir/R4/{self._encounter}"
        if (await self._client.get(path))["status"] != "finished":
            finished = {"op": "replace", "path": "/status", "value": "finished"}
            await self._client.patch(path, [finished])
        task = await polling.until(self._suggested, _PATIENCE)
        if task is None:
            raise errors.CheckFailedError(
                "the visit is finished, and the Billing Code Suggester suggested nothing",
                hint="medbots bot logs billing-code-suggester",
            )
        return Act(
            "finish",
            "billing-code-suggester",
            "the Encounter becomes finished, and a subscription fires",
            {"taskId": task.id, "commandId": task.digest, "command": task.text},
            _since(began),
        )

    async def _suggested(self) -> approvals.Approval | None:
        query = approvals.Query(
            closed=True, patient=f"Patient/{self._about['patientId']}", command=_BILLING
        )
        found, _ = await approvals.queue(self._client, self._namespace, query)
        return next(iter(found), None)

    async def _approve(self, task: str) -> Act:
        """Approve as the practitioner who is logged in, whose role is a doctor's."""
        await self._be_a_doctor()
        body = {"taskId": task, "decision": "approve"}
        return await self._act("approve", "approval-queue", "the codes, as a doctor", body)

    async def _be_a_doctor(self) -> None:
        me = (await self._client.get("auth/me"))["profile"]
        reference = f"{me['resourceType']}/{me['id']}"
        role = {
            "resourceType": "PractitionerRole",
            "active": True,
            "practitioner": {"reference": reference},
            "code": [{"coding": [{"system": _ROLE, "code": "doctor"}]}],
        }
        await self._client.post(
            "fhir/R4/PractitionerRole", role, if_none_exist=f"practitioner={reference}"
        )

    async def _trail(self, command: str) -> Act:
        began = time.perf_counter()
        query = trail.Query(command=command)
        events, _ = await trail.events(self._client, self._namespace, query, self._bots)
        lines = [{"at": f"{one.at:%H:%M:%S}", "type": one.type, "bot": one.bot} for one in events]
        return Act("audit", "audit-logging", command, {"events": lines}, _since(began))


def _since(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)
