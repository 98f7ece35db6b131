"""One project of a Medplum, as far as `ProjectServer` talks to it, behind an httpx transport.

It keeps the server's manners that matter to the adapter: the admin endpoint drops identifier and
time limit, a failed JSON Patch test is a 400, a stale If-Match a 412, an empty search has no entry,
an answer to `_fields` is tagged as a subset.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

Json = dict[str, Any]

SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}

_ALLOWED = {"name", "description", "runtimeVersion", "sourceCode", "executableCode"}


def outcome(text: str) -> Json:
    """Return an OperationOutcome that carries an error."""
    issue = {"severity": "error", "code": "invalid", "details": {"text": text}}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


class Medplum:
    """The project's resources, and what was asked."""

    def __init__(self, *, admin: bool = True, super_admin: bool = False) -> None:
        self.admin = admin
        self.super_admin = super_admin
        self.project: Json = {
            "resourceType": "Project",
            "id": "p1",
            "name": "Clinic",
            "features": ["bots"],
            "meta": {"versionId": "v0"},
        }
        self.resources: dict[tuple[str, str], Json] = {("Project", "p1"): self.project}
        self.requests: list[tuple[str, str]] = []
        self.fail: frozenset[int] = frozenset()
        """Numbers of writes (from 1) that answer 500."""
        self.writes = 0
        self._numbers = itertools.count(1)

    def transport(self) -> httpx.MockTransport:
        """Return the transport. As on a network, other tasks get on while one waits."""

        async def answer(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0)
            return self._handle(request)

        return httpx.MockTransport(answer)

    def of(self, kind: str) -> list[Json]:
        """Return the resources of one type."""
        return [one for (found, _), one in self.resources.items() if found == kind]

    def _handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.lstrip("/")
        self.requests.append((request.method, path))
        if path == "auth/me":
            return httpx.Response(200, json=self._me())
        if path.startswith("fhir/R4/Binary"):
            return self._count_write() or self._created({"resourceType": "Binary"})
        body = json.loads(request.content) if request.content else None
        if path in ("fhir/R4", "fhir/R4/"):
            entries = [self._entry(one) for one in body["entry"]]
            bundle = {"resourceType": "Bundle", "type": "batch-response", "entry": entries}
            return httpx.Response(200, json=bundle)
        if path == "admin/projects/p1/bot":
            return self._count_write() or self._create_bot(body)
        query = request.url.query.decode()
        return self._fhir(request, path.removeprefix("fhir/R4/"), query, body)

    def _me(self) -> Json:
        return {
            "user": {"resourceType": "User", "id": "u1", "email": "admin@example.com"},
            "project": {
                "resourceType": "Project",
                "id": "p1",
                "name": "Clinic",
                "superAdmin": self.super_admin,
            },
            "membership": {"resourceType": "ProjectMembership", "id": "m0", "admin": self.admin},
            "profile": {"resourceType": "Practitioner", "id": "d0"},
        }

    def _count_write(self) -> httpx.Response | None:
        self.writes += 1
        if self.writes in self.fail:
            return httpx.Response(500, json=outcome("Internal server error"))
        return None

    def _entry(self, entry: Json) -> Json:
        parts = urlsplit(entry["request"]["url"])
        if "/" in parts.path:
            kind, _, name = parts.path.partition("/")
            found = self._visible(kind) and self.resources.get((kind, name))
            status = "200" if found else "404"
            resource = {"resource": copy.deepcopy(found)} if found else {}
            return {"response": {"status": status}, **resource}
        if not self._visible(parts.path):
            return {"response": {"status": "403", "outcome": outcome("Forbidden")}}
        found = self._search(parts.path, dict(parse_qsl(parts.query)))
        return {"resource": found, "response": {"status": "200"}}

    def _visible(self, kind: str) -> bool:
        return self.admin or self.super_admin or kind not in ("Project", "ProjectMembership")

    def _search(self, kind: str, params: dict[str, str]) -> Json:
        found = [one for one in self.of(kind) if _matches(one, params)]
        bundle: Json = {"resourceType": "Bundle", "type": "searchset"}
        if found:
            bundle["entry"] = [{"resource": copy.deepcopy(one)} for one in found]
        if "_fields" in params:
            for entry in bundle.get("entry", ()):
                entry["resource"]["meta"].setdefault("tag", []).append(SUBSETTED)
        return bundle

    def _fhir(self, request: httpx.Request, path: str, query: str, body: Any) -> httpx.Response:
        kind, _, name = path.partition("/")
        if request.method == "GET":
            if not name:
                return httpx.Response(200, json=self._search(kind, dict(parse_qsl(query))))
            found = self.resources.get((kind, name))
            return httpx.Response(200 if found else 404, json=found or outcome("Not found"))
        failure = self._count_write()
        if failure:
            return failure
        if request.method == "POST":
            condition = request.headers.get("If-None-Exist", "")
            same = condition and self._search(kind, dict(parse_qsl(condition))).get("entry")
            if same:
                return httpx.Response(200, json=same[0]["resource"])
            if kind == "ProjectMembership" and not self.super_admin:
                return httpx.Response(403, json=outcome("Forbidden"))
            return self._created(body)
        live = self.resources.get((kind, name))
        if live is None:
            return httpx.Response(404, json=outcome("Not found"))
        return self._change(request, live, body)

    def _change(self, request: httpx.Request, live: Json, body: Any) -> httpx.Response:
        if request.method == "DELETE":
            del self.resources[live["resourceType"], live["id"]]
            return httpx.Response(200, json={**outcome("Deleted"), "issue": []})
        if request.method == "PATCH":
            return self._patch(live, body)
        wanted = request.headers.get("If-Match", "")
        if wanted and live["meta"]["versionId"] not in wanted:
            return httpx.Response(412, json=outcome("Precondition Failed"))
        live.clear()
        live.update(body)
        return self._new_version(live)

    def _patch(self, live: Json, operations: list[Json]) -> httpx.Response:
        changed = copy.deepcopy(live)
        for one in operations:
            *above, last = one["path"].lstrip("/").split("/")
            target = changed
            for member in above:
                target = target[member]
            if one["op"] == "test" and target.get(last) != one["value"]:
                return httpx.Response(400, json=outcome("Test failed"))
            if one["op"] == "add":
                target[last] = one["value"]
            if one["op"] == "remove" and target.pop(last, None) is None:
                return httpx.Response(400, json=outcome("Missing"))
        if live is self.project and not self.super_admin:
            changed["features"] = live["features"]
        live.clear()
        live.update(changed)
        return self._new_version(live)

    def _new_version(self, live: Json) -> httpx.Response:
        live.setdefault("meta", {})["versionId"] = f"v{next(self._numbers)}"
        return httpx.Response(200, json=live)

    def _created(self, body: Json) -> httpx.Response:
        number = next(self._numbers)
        resource = {**body, "id": f"id{number}"}
        resource["meta"] = {**body.get("meta", {}), "versionId": f"v{number}"}
        self.resources[resource["resourceType"], resource["id"]] = resource
        return httpx.Response(201, json=resource)

    def _create_bot(self, body: Json) -> httpx.Response:
        if not (self.admin or self.super_admin):
            return httpx.Response(403, json=outcome("Forbidden"))
        kept = {name: value for name, value in body.items() if name in _ALLOWED}
        answer = self._created({"resourceType": "Bot", **kept})
        bot = {"reference": f"Bot/{answer.json()['id']}"}
        member = {"resourceType": "ProjectMembership", "user": bot, "profile": bot}
        if "accessPolicy" in body:
            member["accessPolicy"] = body["accessPolicy"]
        self._created(member)
        return answer


def _matches(resource: Json, params: dict[str, str]) -> bool:
    found: dict[str, list[str]] = {
        "identifier": _tokens(resource.get("identifier"), "value"),
        "_tag": _tokens(resource.get("meta", {}).get("tag"), "code"),
        "name:exact": [resource.get("name", "")],
        "profile": [resource.get("profile", {}).get("reference", "")],
        "url": [resource.get("channel", {}).get("endpoint", "")],
        "_id": [resource["id"]],
        "_project": [resource.get("meta", {}).get("project", "p1")],
    }
    return all(
        set(found[name]) & set(re.split(r"(?<!\\),", value))
        for name, value in params.items()
        if name in found
    )


def _tokens(entries: Any, member: str) -> list[str]:
    return [f"{one['system']}|{one[member]}" for one in entries or ()]
