"""Tasks that ask for approval, as the Command Processor Bot writes them."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.ward import Ward

Json = dict[str, Any]

NS = "urn:medbots"
AI = "http://medplum.com/ai-command"
PROCESSOR = "Bot/bot-command-processor"
QUEUE = "Bot/bot-approval-queue"
CONTENT = "Assessment: planted words of a note"


def canonical(command: str, parameters: Json) -> str:
    """Return a command as the processor writes it."""
    document = {"command": command, "parameters": parameters, "patientId": "p9"}
    return json.dumps(document, separators=(",", ":"), sort_keys=True)


def digest(text: str) -> str:
    """Return the hash that stands for a command."""
    return hashlib.sha256(text.encode()).hexdigest()


def task(
    ward: Ward,
    identifier: str = "t1",
    command: str = "CreateEncounterNoteDraft",
    *,
    dual: bool = False,
    roles: tuple[str, ...] = ("practitioner", "nurse"),
    expires: timedelta = timedelta(hours=23, minutes=30),
    author: str | None = PROCESSOR,
    **more: Any,
) -> Json:
    """Keep the first version of a Task."""
    now = datetime.now(UTC)
    text = canonical(command, {"noteType": "progress", "content": CONTENT})
    inputs = {
        "command": {"valueString": text},
        "command-sha256": {"valueString": digest(text)},
        "confidence": {"valueDecimal": 0.82},
        "approval-mode": {"valueCode": "dual" if dual else "single"},
        "approval-reason": {"valueCode": "ALWAYS"},
        "ai-model": {"valueString": "offline-stand-in/x"},
        "prompt-template": {"valueString": "note/1"},
        "source": {"valueReference": {"reference": "Observation/o1", "display": CONTENT}},
    }
    resource: Json = {
        "resourceType": "Task",
        "id": identifier,
        "status": "requested",
        "intent": "proposal",
        "businessStatus": _concept("task-status", "awaiting-approval"),
        "code": {
            "coding": [{"system": AI, "code": "ai-approval"}, {"system": AI, "code": command}]
        },
        "for": {"reference": "Patient/p9", "display": CONTENT},
        "encounter": {"reference": "Encounter/e9"},
        "requester": {"reference": "Device/d1"},
        "authoredOn": (now - timedelta(minutes=40)).isoformat(timespec="milliseconds"),
        "restriction": {"period": {"end": (now + expires).isoformat(timespec="milliseconds")}},
        "performerType": [_concept("approver-role", role) for role in roles],
        "input": [{"type": _concept("task-input", k), **v} for k, v in inputs.items()],
        **more,
    }
    if author:
        resource["meta"] = {"author": {"reference": author}}
    return ward.add(resource, len(ward.resources))


def next_version(ward: Ward, minutes: float, author: str = QUEUE, **changes: Any) -> Json:
    """Keep another version of the Task that was kept last."""
    last = copy.deepcopy(ward.resources[-1])
    last.update(changes)
    last["meta"] = {"author": {"reference": author}, "versionId": str(minutes)}
    return ward.add(last, minutes)


def status(code: str) -> Json:
    """Return a businessStatus."""
    return _concept("task-status", code)


def output(code: str, **value: Any) -> Json:
    """Return an output of a Task."""
    return {"type": _concept("task-output", code), **value}


def approval(who: str, *roles: str) -> Json:
    """Return the output that says who approved."""
    extension = [{"url": f"{NS}/approver-role", "valueCode": role} for role in roles]
    return output("approval", valueReference={"reference": who}, extension=extension)


def _concept(kind: str, code: str) -> Json:
    return {"coding": [{"system": f"{NS}/{kind}", "code": code}]}
