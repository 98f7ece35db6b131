"""Commands that wait for a person's approval: the Tasks of the Command Processor Bot.

Ids, codes and times are read for the list; what a command would write is in `Approval.command`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from medbots.medplum import fhir

if TYPE_CHECKING:
    from medbots.medplum.client import Client

_SYSTEM = "http://medplum.com/ai-command"
_APPROVAL = "ai-approval"
_PAGE = 1000

PUT_ASIDE = ("draft", "received", "ready", "on-hold")
"""Statuses by which a person lets a Task rest: nothing is decided about it."""
OPEN = ("requested", "in-progress", "accepted", *PUT_ASIDE)
"""Statuses of a Task that is not over."""

COMMANDS = (
    "FlagAbnormalResult",
    "CreateEncounterNoteDraft",
    "ProposeProblemListUpdate",
    "SuggestBillingCodes",
    "QueueReferralLetter",
    "SuggestMedicationChange",
)
"""What the Command Processor Bot takes."""


@dataclass(frozen=True, slots=True)
class Approver:
    """Somebody who has approved."""

    who: str
    """Reference of the Practitioner."""
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Approval:
    """One version of a Task that asks for approval."""

    id: str
    version: str
    command: str
    """Its name."""
    patient: str | None
    """Reference."""
    encounter: str | None
    requester: str | None
    """Reference: the Practitioner who handed it in, or the Device of the model."""
    status: str
    """Of the Task: requested, in-progress, completed, rejected, cancelled or failed; or what people
    set by hand: accepted, entered-in-error or one of `PUT_ASIDE`."""
    state: str
    """The Task's businessStatus, such as `awaiting-second`."""
    authored: datetime | None
    expires: datetime | None
    confidence: float | None
    roles: tuple[str, ...]
    """Who may approve."""
    dual: bool
    """Whether two people must, each in a role of their own."""
    reasons: tuple[str, ...]
    """Why it needs approval, as codes."""
    text: str
    """The command as JSON text, as it was handed in."""
    digest: str | None
    """SHA-256 of that text, as the Task has it."""
    modified: str | None
    """The command as an approver changed it, as JSON text."""
    modified_digest: str | None
    model: str | None
    prompt: str | None
    sources: tuple[str, ...]
    approvers: tuple[Approver, ...]
    results: tuple[str, ...]
    """References of what came of it."""
    reason: str | None
    """Why it was rejected or withdrawn: a code, or words of a person."""

    def parameters(self) -> Mapping[str, Any]:
        """Return the parameters of the command that runs; empty where its text is no JSON."""
        try:
            found = json.loads(self.modified or self.text).get("parameters")
        except (ValueError, AttributeError):
            return {}
        return found if isinstance(found, dict) else {}

    def expired(self, now: datetime) -> bool:
        """Whether its time is over, and no sweep has said so yet."""
        waits = self.status in OPEN and self.status != "in-progress"
        return waits and self.expires is not None and self.expires <= now


@dataclass(frozen=True, slots=True)
class Query:
    """Which Tasks are meant; None: all."""

    closed: bool = False
    """Those that are over too."""
    patient: str | None = None
    """Reference."""
    command: str | None = None
    requester: str | None = None
    """Reference."""
    limit: int = 100
    """The newest, where there are more."""


async def queue(client: Client, namespace: str, query: Query) -> tuple[list[Approval], bool]:
    """Return the newest Tasks, the newest last; and whether there were more of them.

    Raises:
        errors.MedbotsError: the server cannot be reached, or the login may not read Tasks.
    """
    codes = [f"{_SYSTEM}|{code}" for code in (_APPROVAL, query.command) if code]
    params = {
        "code": codes,
        "status": None if query.closed else ",".join(OPEN),
        "patient": query.patient,
        "requester": query.requester,
        "_sort": "-authored-on",
        "_count": min(query.limit + 1, _PAGE),
    }
    given = {name: value for name, value in params.items() if value is not None}
    names = fhir.Names(namespace)
    found: list[Approval] = []
    async for task in client.search("Task", given):
        if len(found) == query.limit:
            return found[::-1], True
        found.append(of(task, names))
    return found[::-1], False


def is_approval(task: Mapping[str, Any]) -> bool:
    """Whether a Task asks for the approval of a command."""
    return any(
        (one.get("system"), one.get("code")) == (_SYSTEM, _APPROVAL)
        for one in _codings(task.get("code"))
    )


def of(task: Mapping[str, Any], names: fhir.Names) -> Approval:
    """Read a Task."""
    meta = task.get("meta") or {}
    restriction = (task.get("restriction") or {}).get("period") or {}
    inputs = _Values(task.get("input"), names.system("task-input"))
    outputs = _Values(task.get("output"), names.system("task-output"))
    commands = [
        str(one.get("code"))
        for one in _codings(task.get("code"))
        if one.get("system") == _SYSTEM and one.get("code") != _APPROVAL
    ]
    return Approval(
        id=str(task["id"]),
        version=str(meta.get("versionId", "")),
        command=next(iter(commands), ""),
        patient=_reference(task.get("for")),
        encounter=_reference(task.get("encounter")),
        requester=_reference(task.get("requester")),
        status=str(task.get("status", "")),
        state=_code(task.get("businessStatus"), names.system("task-status")) or "",
        authored=_instant(task.get("authoredOn")),
        expires=_instant(restriction.get("end")),
        confidence=inputs.number("confidence"),
        roles=tuple(_roles(task.get("performerType"), names)),
        dual=inputs.text("approval-mode") == "dual",
        reasons=tuple(inputs.texts("approval-reason")),
        text=inputs.text("command") or "",
        digest=inputs.text("command-sha256"),
        modified=outputs.text("modified-command"),
        modified_digest=outputs.text("modified-command-sha256"),
        model=inputs.text("ai-model"),
        prompt=inputs.text("prompt-template"),
        sources=tuple(inputs.references("source")),
        approvers=tuple(_approvers(outputs, names)),
        results=tuple(outputs.references("result")),
        reason=_reason(task.get("statusReason"), names),
    )


class _Values:
    """The inputs or outputs of a Task, by the codes of our own."""

    def __init__(self, entries: Any, system: str) -> None:
        self._entries = [
            (code, entry) for entry in _dicts(entries) if (code := _code(entry.get("type"), system))
        ]

    def all(self, code: str) -> Iterator[Mapping[str, Any]]:
        return (entry for found, entry in self._entries if found == code)

    def texts(self, code: str) -> Iterator[str]:
        for entry in self.all(code):
            value = entry.get("valueString", entry.get("valueCode"))
            if isinstance(value, str):
                yield value

    def text(self, code: str) -> str | None:
        return next(self.texts(code), None)

    def number(self, code: str) -> float | None:
        values = (entry.get("valueDecimal") for entry in self.all(code))
        return next((float(one) for one in values if isinstance(one, int | float)), None)

    def references(self, code: str) -> Iterator[str]:
        found = (_reference(entry.get("valueReference")) for entry in self.all(code))
        return (one for one in found if one)


def _approvers(outputs: _Values, names: fhir.Names) -> Iterator[Approver]:
    system = names.system("approver-role")
    for entry in outputs.all("approval"):
        roles = (
            str(one.get("valueCode"))
            for one in _dicts(entry.get("extension"))
            if one.get("url") == system
        )
        yield Approver(_reference(entry.get("valueReference")) or "", tuple(roles))


def _roles(concepts: Any, names: fhir.Names) -> Iterator[str]:
    found = (_code(one, names.system("approver-role")) for one in _dicts(concepts))
    return (one for one in found if one)


def _reason(concept: Any, names: fhir.Names) -> str | None:
    if not isinstance(concept, Mapping):
        return None
    return _code(concept, names.system("rejection-reason")) or concept.get("text")


def _codings(concept: Any) -> Iterator[Mapping[str, Any]]:
    return _dicts(concept.get("coding") if isinstance(concept, Mapping) else None)


def _code(concept: Any, system: str) -> str | None:
    codes = (one.get("code") for one in _codings(concept) if one.get("system") == system)
    return next((str(one) for one in codes if one), None)


def _instant(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.astimezone() if found else None


def _reference(value: Any) -> str | None:
    text = value.get("reference") if isinstance(value, Mapping) else None
    return str(text) if text else None


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    return (one for one in value or () if isinstance(one, Mapping))
