"""What a project of a Medplum server holds of the types that are embedded."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from medbots import errors
from medbots.inventory import Version
from medbots.medplum import fhir
from medbots.medplum.client import Client

_COUNT = 500
"""Resources of a page: the server signs a URL for each attachment, which takes milliseconds."""
_EVENTS_AT_ONCE = 50
"""Resources whose audit events are sought at once."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LIGHT = {"_fields": "id"}

Json = dict[str, Any]


async def require_whole_sight(client: Client) -> None:
    """Refuse a login that may not see every resource of its project.

    What it does not see would pass for deleted, and lose its vectors.

    Raises:
        errors.NotAllowedError: it is no project admin, or an AccessPolicy limits it.
    """
    if client.rights.super_admin:
        return
    why = f"{client.user} is no admin of project {client.project.name!r}"
    if client.rights.admin:
        membership = await client.get(f"fhir/R4/ProjectMembership/{client.identity.membership}")
        if not (membership.get("accessPolicy") or membership.get("access")):
            return
        why = f"an AccessPolicy limits what {client.user} sees"
    raise errors.NotAllowedError(
        f"{why}: what this login does not see would pass for deleted, and lose its vectors",
        hint="log in as a project admin without an AccessPolicy: medbots login",
    )


class Server:
    """One project, seen by a login from which nothing is hidden."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._names = fhir.Names(namespace)

    async def total(self, kind: str, since: dt.datetime | None = None) -> int:
        """Return how many resources of a type there are."""
        params = {**_changed(since), "_total": "accurate", "_count": 0}
        page = await self._client.get(f"fhir/R4/{kind}", params)
        return int(page.get("total") or 0)

    async def pages(self, kind: str, since: dt.datetime | None) -> AsyncIterator[list[Version]]:
        """Yield the versions of a type, oldest change first, from an instant on.

        In this order the server pages by cursor, without end; and what is changed meanwhile comes
        again at the end.
        """
        params = {"_sort": "_lastUpdated", "_count": _COUNT, **_LIGHT, **_changed(since)}
        async for page in self._client.pages(kind, params):
            yield [_version(one) for one in page]

    async def versions(self, kind: str, ids: Sequence[str]) -> list[Version]:
        """Return the current versions of those that are there, in any order."""
        return [_version(one) for one in await self._by_id(kind, ids, _LIGHT)]

    async def records(self, kind: str, ids: Sequence[str]) -> list[Json]:
        """Return those that are there, whole, in any order."""
        return await self._by_id(kind, ids, {})

    async def gone(self, kind: str, resource_id: str) -> bool:
        """Whether a direct read says that the project has no such resource."""
        found = await self._read(kind, resource_id)
        return found is None or self._foreign(found)

    async def record(self, kind: str, resource_id: str) -> Json | None:
        """Return one resource; None where there is none, or none that the project's bots may read.

        A super admin reads every project's, and whoever writes a record chooses what it refers to.
        """
        found = await self._read(kind, resource_id)
        hidden = found and self._client.rights.super_admin and self._foreign(found)
        return None if hidden else found

    async def binary(self, binary_id: str, most: int) -> bytes | int:
        """Return the first bytes of a Binary, or the HTTP status that it answers instead."""
        try:
            return await self._client.read_binary(binary_id, most=most)
        except errors.NotFoundError:
            return 404
        except errors.NotAllowedError:
            return 403

    async def base_url(self) -> str:
        """Return the address by which the server knows itself, and by which it signs URLs."""
        try:
            found = await self._client.get(".well-known/openid-configuration")
        except errors.MedbotsError:
            found = None
        issuer = found.get("issuer") if isinstance(found, dict) else None
        return str(issuer or self._client.base_url)

    async def failures(self, kind: str, versions: Sequence[Version]) -> set[str]:
        """Return the ids whose embedding failed, by the audit trail, after the version was made."""
        failed: set[str] = set()
        for start in range(0, len(versions), _EVENTS_AT_ONCE):
            part = versions[start : start + _EVENTS_AT_ONCE]
            made = {f"{kind}/{one.id}": one.updated for one in part}
            params = {
                "subtype": f"{self._names.system('ai-audit-event')}|embedding_failure",
                "entity": ",".join(made),
                "_lastUpdated": _instant(min(made.values())),
                "_fields": "entity",
            }
            async for event in self._client.search("AuditEvent", params):
                at = _moment(event)
                for entity in event.get("entity") or ():
                    name = str((entity.get("what") or {}).get("reference"))
                    if name in made and at > made[name]:
                        failed.add(name.partition("/")[2])
        return failed

    async def _read(self, kind: str, resource_id: str) -> Json | None:
        try:
            found: Json = await self._client.get(f"fhir/R4/{kind}/{resource_id}", extended=True)
        except errors.NotFoundError:
            return None
        return found

    def _foreign(self, resource: Json) -> bool:
        own = self._client.project.id
        return bool(resource.get("meta", {}).get("project", own) != own)

    async def _by_id(self, kind: str, ids: Sequence[str], params: Json) -> list[Json]:
        if not ids:
            return []
        asked = {"_id": ",".join(ids), "_count": len(ids), **params}
        return [one async for one in self._client.search(kind, asked)]


def _changed(since: dt.datetime | None) -> Json:
    return {} if since is None else {"_lastUpdated": _instant(since)}


def _instant(moment: dt.datetime) -> str:
    return f"ge{moment.astimezone(dt.UTC).isoformat(timespec='milliseconds')}"


def _version(resource: Json) -> Version:
    """Read the version of a resource.

    Raises:
        errors.ServerError: it has none, or an id that no row can have.
    """
    name = str(resource.get("id", "")).lower()
    version = (resource.get("meta") or {}).get("versionId")
    if not (_UUID.fullmatch(name) and version):
        kind = resource.get("resourceType")
        raise errors.ServerError(
            f"the server told a {kind} without its version, or with an id that is no UUID"
        )
    return Version(name, str(version), _moment(resource))


def _moment(resource: Json) -> dt.datetime:
    return dt.datetime.fromisoformat(resource["meta"]["lastUpdated"])
