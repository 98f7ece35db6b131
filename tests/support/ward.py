"""A project whose bots run, behind an httpx transport: what they answer, and what is left of it.

It searches by time, sort order and count alone; whatever else was asked stands in `searches`.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx

from tests.support.medplum_transport import outcome

Json = dict[str, Any]

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
PRACTITIONER = "Practitioner/d0"
PLANT = "Planted Patient Phrase"
"""Words of a record, which must not turn up."""


@dataclass
class Ward:
    """The project's bots, and every resource that somebody may search."""

    answers: dict[str, Any] = field(default_factory=dict)
    """What each bot returns: JSON, a Response, or a function of its input."""
    foreign: list[Json] = field(default_factory=list)
    """Bots of projects that are linked."""
    resources: list[Json] = field(default_factory=list)
    inputs: list[tuple[str, Any]] = field(default_factory=list)
    """Key and input of each run."""
    searches: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    down: int = 0
    """How many requests find nobody."""
    delay: float = 0.0
    """Seconds that a bot takes."""
    page: int = 1000
    forbidden: set[str] = field(default_factory=set)
    """Types that the login may not read."""

    def transport(self) -> httpx.MockTransport:
        """Return the transport."""

        async def answer(request: httpx.Request) -> httpx.Response:
            if self.delay and request.url.path.endswith("/$execute"):
                await asyncio.sleep(self.delay)
            return self._handle(request)

        return httpx.MockTransport(answer)

    def bot_id(self, key: str) -> str:
        """Return the id of a bot."""
        return f"bot-{key}"

    def asked(self, kind: str) -> dict[str, list[str]]:
        """Return the parameters of the last search of a type."""
        return next(params for found, params in reversed(self.searches) if found == kind)

    def add(self, resource: Json, minutes: float = 0) -> Json:
        """Keep a resource, written so many minutes after the start."""
        updated = (START + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
        made = {"id": str(uuid.uuid4()), **resource}
        made["meta"] = {"lastUpdated": updated, "versionId": "1", **resource.get("meta", {})}
        self.resources.append(made)
        return made

    def _handle(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            self.down -= 1
            raise httpx.ConnectError("nobody", request=request)
        path = request.url.path.lstrip("/")
        if path == "auth/me":
            return httpx.Response(200, json=_me())
        path = path.removeprefix("fhir/R4/")
        if path.endswith("/$execute"):
            return self._execute(path.split("/")[1], json.loads(request.content))
        if path in ("", "fhir/R4"):
            entries = json.loads(request.content)["entry"]
            parts = [self._get(*one["request"]["url"].split("?")) for one in entries]
            return httpx.Response(200, json=_batch(parts))
        return self._get(path, request.url.query.decode())

    def _execute(self, bot_id: str, body: Any) -> httpx.Response:
        key = bot_id.removeprefix("bot-")
        self.inputs.append((key, body))
        answer = self.answers[key]
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(body)
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, json=answer)

    def _get(self, path: str, query: str = "") -> httpx.Response:
        kind, _, name = path.partition("/")
        params: dict[str, list[str]] = {}
        for key, value in parse_qsl(query):
            params.setdefault(key, []).append(value)
        if name:
            return self._read(kind, name)
        self.searches.append((kind, params))
        if kind in self.forbidden:
            return httpx.Response(403, json=outcome("Forbidden"))
        if kind == "Bot":
            return httpx.Response(200, json=_bundle(self._bots()))
        return self._search(kind, params)

    def _read(self, kind: str, name: str) -> httpx.Response:
        wanted, _, history = name.partition("/")
        found = [
            one for one in self.resources if (one["resourceType"], one["id"]) == (kind, wanted)
        ]
        if not found:
            return httpx.Response(404, json=outcome("Not found"))
        if history:
            return httpx.Response(200, json=_bundle(found[::-1]))
        return httpx.Response(200, json=found[-1])

    def _bots(self) -> list[Json]:
        own = [
            {
                "resourceType": "Bot",
                "id": self.bot_id(key),
                "name": f"{key} bot",
                "identifier": [{"system": "urn:medbots/bot", "value": key}],
                "meta": {
                    "project": "p1",
                    "tag": [{"system": "urn:medbots/digest", "code": "d" * 64}],
                },
            }
            for key in self.answers
        ]
        return [*own, *self.foreign]

    def _search(self, kind: str, params: dict[str, list[str]]) -> httpx.Response:
        found = [one for one in self.resources if one["resourceType"] == kind]
        (sort,) = params.get("_sort", ["_lastUpdated"])
        found.sort(key=lambda one: one["meta"]["lastUpdated"], reverse=sort.startswith("-"))
        for limit in params.get("_lastUpdated", ()):
            moment = datetime.fromisoformat(limit.removeprefix("ge"))
            found = [
                one for one in found if datetime.fromisoformat(one["meta"]["lastUpdated"]) >= moment
            ]
        offset = int(params.get("_offset", ["0"])[0])
        size = min(self.page, int(params.get("_count", ["20"])[0]))
        bundle = _bundle(found[offset : offset + size])
        if offset + size < len(found):
            params["_offset"] = [str(offset + size)]
            url = f"http://localhost:8103/fhir/R4/{kind}?{urlencode(params, doseq=True)}"
            bundle["link"] = [{"relation": "next", "url": url}]
        return httpx.Response(200, json=bundle)


def run_of(
    ward: Ward,
    key: str,
    minutes: float = 0,
    *,
    log: str = "",
    failed: bool = False,
    subscription: str | None = None,
    **more: Any,
) -> Json:
    """Keep the AuditEvent of a run, as the server writes it."""
    end = START + timedelta(minutes=minutes)
    bot = {"reference": f"Bot/{ward.bot_id(key)}", "display": f"{key} bot"}
    entity = [{"what": bot}]
    if subscription:
        entity.append({"what": {"reference": "Condition/c1/_history/v1", "display": PLANT}})
        entity.append({"what": {"reference": f"Subscription/{subscription}", "display": "s"}})
    event: Json = {
        "resourceType": "AuditEvent",
        "type": {"system": "https://medplum.com/CodeSystem/audit-event", "code": "execute"},
        "period": {
            "start": (end - timedelta(milliseconds=46)).isoformat(timespec="milliseconds"),
            "end": end.isoformat(timespec="milliseconds"),
        },
        "recorded": end.isoformat(timespec="milliseconds"),
        "agent": [
            {"who": {"reference": PRACTITIONER, "display": PLANT}, "requestor": True},
            {"who": bot, "requestor": False},
        ],
        "source": {"observer": bot},
        "entity": entity,
        "outcome": "4" if failed else "0",
        "outcomeDesc": log,
        **more,
    }
    return ward.add(event, minutes)


def subscription_of(ward: Ward, name: str, key: str, identifier: str = "s1") -> Json:
    """Keep a Subscription that runs a bot."""
    return ward.add(
        {
            "resourceType": "Subscription",
            "id": identifier,
            "reason": name,
            "status": "active",
            "criteria": "Condition",
            "channel": {"type": "rest-hook", "endpoint": f"Bot/{ward.bot_id(key)}"},
        }
    )


def _me() -> Json:
    return {
        "user": {"resourceType": "User", "id": "u1", "email": "ada@example.com"},
        "project": {"resourceType": "Project", "id": "p1", "name": "Clinic"},
        "membership": {
            "resourceType": "ProjectMembership",
            "id": "m0",
            "admin": True,
            "profile": {"reference": PRACTITIONER},
        },
        "profile": {"resourceType": "Practitioner", "id": "d0"},
    }


def _bundle(resources: list[Json]) -> Json:
    bundle: Json = {"resourceType": "Bundle", "type": "searchset"}
    if resources:
        bundle["entry"] = [{"resource": one} for one in resources]
    return bundle


def _batch(parts: list[httpx.Response]) -> Json:
    entries = [
        {"resource": one.json(), "response": {"status": str(one.status_code)}} for one in parts
    ]
    return {"resourceType": "Bundle", "type": "batch-response", "entry": entries}
