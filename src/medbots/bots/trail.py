"""The audit trail that the bots write: AuditEvents with a subtype of ours.

Only what is no text of a record is read from them: codes, times, references, counts and hashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from medbots.bots import words
from medbots.medplum import fhir

if TYPE_CHECKING:
    from medbots.bots.deployed import Bot
    from medbots.medplum.client import Client

TYPES = (
    "embedding_failure",
    "semantic_search",
    "rag_query",
    "decision_support",
    "documentation_draft",
    "billing_suggestion",
    "command_received",
    "command_queued",
    "command_executed",
    "command_blocked",
    "command_expired",
    "command_failed",
    "approval_granted",
    "approval_denied",
    "approval_refused",
    "llm_request",
    "llm_response",
    "phi_redaction",
    "audit_failure",
)
"""What the bots write down, as they spell it."""

_SYSTEM = "ai-audit-event"
_WRITER = "audit-logging"
_WRITTEN_FOR = ("semantic-search", "rag-pipeline", "documentation-assistant")
"""Bots that run as the user, and have the Audit Logging Bot write for them."""
_PAGE = 1000
_FAILED = "4,8,12"

_PLAIN = re.compile(
    r"true|false|-?\d{1,15}(\.\d{1,10})?|[0-9a-f]{32,128}"
    r"|[A-Z][A-Za-z]{1,60}/[A-Za-z0-9.-]{1,64}|[A-Z][A-Z0-9_]{2,39}"
)
"""A number, a hash, a reference or a code: what cannot quote a record."""
_ID = re.compile(r"[\w.:|-]{1,128}")


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the trail."""

    id: str
    at: datetime
    type: str
    """One of `TYPES`."""
    action: str
    """C, R, U, D or E."""
    outcome: str
    """0 success, 4 minor, 8 serious, 12 major failure."""
    bot: str
    """Key of the bot that did it, or its reference."""
    user: str | None
    """Reference of whoever asked, as the server attested it."""
    patient: str | None
    """`Patient/<id>`."""
    command: str | None
    """Id of the command."""
    code: str | None
    """The error's code."""
    resources: tuple[str, ...] = ()
    """References of what was worked on."""
    request: str | None = None
    """Id of the run, which also stands in the bot's log."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Numbers, hashes, references and codes, by name."""

    @property
    def ok(self) -> bool:
        """Whether it is no failure."""
        return self.outcome == "0"


@dataclass(frozen=True, slots=True)
class Query:
    """Which events are meant; None: all."""

    type: str | None = None
    patient: str | None = None
    """`Patient/<id>`."""
    bot: Bot | None = None
    user: str | None = None
    """Reference of whoever asked."""
    ok: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Exclusive."""
    command: str | None = None
    limit: int = 50
    """The newest, where there are more."""


async def events(
    client: Client, namespace: str, query: Query, bots: Mapping[str, Bot]
) -> tuple[list[Event], bool]:
    """Return the newest events, the newest last; and whether there were more of them.

    Args:
        client: logged in to the project.
        namespace: the manifest's.
        query: which events are meant.
        bots: those of the project, by key.

    Raises:
        errors.MedbotsError: the server cannot be reached, or the login may not read AuditEvents.
    """
    names = fhir.Names(namespace)
    params = {**_params(names, query), "_sort": "-date", "_count": min(query.limit + 1, _PAGE)}
    keys = {bot.reference: bot.key for bot in bots.values()}
    found: list[Event] = []
    async for event in client.search("AuditEvent", params):
        if len(found) == query.limit:
            return found[::-1], True
        found.append(of(event, names, keys))
    return found[::-1], False


def _params(names: fhir.Names, query: Query) -> dict[str, Any]:
    dates = [
        f"{prefix}{moment.isoformat(timespec='milliseconds')}"
        for prefix, moment in (("ge", query.since), ("lt", query.until))
        if moment is not None
    ]
    outcome = None if query.ok is None else "0" if query.ok else _FAILED
    given = {
        "subtype": names.token(_SYSTEM, query.type or ""),
        "patient": query.patient,
        # What a bot did, whoever wrote it down for it.
        "entity": query.bot and query.bot.reference,
        "agent": query.user,
        "outcome": outcome,
        "date": dates,
        "entity-name:exact": query.command,
    }
    return {name: value for name, value in given.items() if value}


def of(event: Mapping[str, Any], names: fhir.Names, keys: Mapping[str, str]) -> Event:
    """Read an AuditEvent of the trail; `keys` are the bots' keys by their references."""
    entities = list(_dicts(event.get("entity")))
    references = [one for one in (_reference(each.get("what")) for each in entities) if one]
    observer = _reference((event.get("source") or {}).get("observer"))
    claimed = next((one for one in references if one.startswith("Bot/")), None)
    # Anybody can have an event written for any bot; only bots that run as the user have to.
    believed = keys.get(observer or "") == _WRITER and keys.get(claimed or "") in _WRITTEN_FOR
    bot = claimed if believed else observer
    requesters = (_reference(one.get("who")) for one in _requesters(event))
    return Event(
        id=str(event["id"]),
        at=datetime.fromisoformat(event["recorded"]),
        type=_code(event.get("subtype"), names.system(_SYSTEM)),
        action=str(event.get("action") or ""),
        outcome=str(event.get("outcome", "0")),
        bot=keys.get(bot or "", bot or ""),
        user=next(requesters, None),
        patient=next((one for one in references if one.startswith("Patient/")), None),
        command=next((str(one["name"]) for one in entities if _is_id(one.get("name"))), None),
        code=words.code(event.get("outcomeDesc")),
        resources=tuple(one for one in references if not one.startswith(("Patient/", "Bot/"))),
        request=next((one for one in (_identifier(each) for each in entities) if one), None),
        facts=dict(_facts(entities)),
    )


def _requesters(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (one for one in _dicts(event.get("agent")) if one.get("requestor") is True)


def _facts(entities: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for entity in entities:
        for one in _dicts(entity.get("detail")):
            value = str(one.get("valueString", ""))
            if _PLAIN.fullmatch(value):
                yield str(one.get("type")), value


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and bool(_ID.fullmatch(value))


def _code(codings: Any, system: str) -> str:
    found = (str(one.get("code")) for one in _dicts(codings) if one.get("system") == system)
    return next(found, "")


def _identifier(entity: Mapping[str, Any]) -> str | None:
    value = ((entity.get("what") or {}).get("identifier") or {}).get("value")
    return str(value) if value else None


def _reference(value: Any) -> str | None:
    """Return a reference, and never its display: the server writes a record's words into it."""
    text = value.get("reference") if isinstance(value, Mapping) else None
    return str(text) if text else None


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    return (one for one in value or () if isinstance(one, Mapping))
