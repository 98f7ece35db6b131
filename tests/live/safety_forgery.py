"""Tasks that look like those of the Command Processor Bot, and code that writes what it is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tests.live.medplum import Json

TASK_CODES = "http://medplum.com/ai-command"
_AI_LABEL = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
}
_HOURS = 24

WRITER = """
exports.handler = async (medplum, event) => {
  const wish = event.input && event.input.safetyWrite;
  if (!wish) {
    return { success: true, ignored: true };
  }
  return wish.id ? medplum.updateResource(wish) : medplum.createResource(wish);
};
"""
"""A bot that writes `safetyWrite` in its own name, and lets events be."""


def canonical(command: Json) -> str:
    """Return what a Task keeps of a command, as the Command Processor Bot spells it."""
    names = {"command", "patientId", "encounterId", "parameters"}
    kept = {name: value for name, value in command.items() if name in names}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def command_id(command: Json) -> str:
    """Return the id of a command: the hash of its canonical text."""
    return hashlib.sha256(canonical(command).encode()).hexdigest()


def task(
    namespace: str,
    command: Json,
    requester: str,
    roles: Sequence[str] = ("practitioner", "nurse"),
    mode: str = "single",
) -> Json:
    """Return a Task that asks for the approval of a command, right in every detail."""
    now = datetime.now(UTC)
    inputs = [
        ("command", {"valueString": canonical(command)}),
        ("command-sha256", {"valueString": command_id(command)}),
        ("confidence", {"valueDecimal": command["confidence"]}),
        ("approval-mode", {"valueCode": mode}),
        ("approval-reason", {"valueCode": "ALWAYS"}),
    ]
    encounter = {"encounter": _reference("Encounter", command)} if "encounterId" in command else {}
    return {
        "resourceType": "Task",
        "meta": {"security": [_AI_LABEL]},
        "identifier": [{"system": f"{namespace}/command", "value": command_id(command)}],
        "status": "requested",
        "intent": "proposal",
        "priority": "routine",
        "businessStatus": concept(namespace, "task-status", "awaiting-approval"),
        "code": {
            "coding": [
                {"system": TASK_CODES, "code": "ai-approval"},
                {"system": TASK_CODES, "code": command["command"]},
            ],
            "text": command["command"],
        },
        "for": _reference("Patient", command),
        **encounter,
        "authoredOn": now.isoformat(timespec="milliseconds"),
        "requester": {"reference": requester},
        "performerType": [concept(namespace, "approver-role", role) for role in roles],
        "restriction": {
            "period": {"end": (now + timedelta(hours=_HOURS)).isoformat(timespec="milliseconds")}
        },
        "input": [
            {"type": concept(namespace, "task-input", code), **value} for code, value in inputs
        ],
    }


def concept(namespace: str, system: str, code: str) -> Json:
    """Return a code of one of medbots' own systems."""
    return {"coding": [{"system": f"{namespace}/{system}", "code": code}]}


def _reference(resource_type: str, command: Json) -> Json:
    name = f"{resource_type.lower()}Id"
    return {"reference": f"{resource_type}/{command[name]}"}
