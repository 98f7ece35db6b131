"""The client of one Medplum server, logged in to one project."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from medbots import errors, state
from medbots.medplum import batch as batch_module
from medbots.medplum import credentials, identity, outcome
from medbots.medplum import http as http_module
from medbots.medplum import tokens as tokens_module
from medbots.medplum.batch import BatchEntry, BatchResult
from medbots.medplum.identity import ProjectRef

__all__ = ["BatchEntry", "BatchResult", "Client", "ProjectRef"]

FHIR = "fhir/R4/"
_FHIR_JSON = "application/fhir+json"
_EXTENDED = {"X-Medplum": "extended"}
_UPLOAD_LIMIT = 300.0
"""Seconds."""
_TYPE_LEVEL = re.compile(r"[A-Z][A-Za-z]+(/?\?.*|/?)")
"""A path that names a resource type and no id: a search, or a conditional write."""


class Client:
    """Requests as one login. Every method raises a MedbotsError when the server refuses.

    A request that meets 401 is sent once more with renewed tokens: the server did nothing.
    A super admin sees every project; searches and conditional writes are held to the one that
    the login works in.
    """

    def __init__(
        self,
        http: http_module.Http,
        source: credentials.Source,
        tokens: tokens_module.Tokens,
        who: identity.Identity,
    ) -> None:
        self.base_url = http.base_url
        self.identity = who
        self._http = http
        self._source = source
        self._tokens = tokens
        self._renewing = asyncio.Lock()

    @property
    def project(self) -> ProjectRef:
        """The one project that the login works in."""
        return self.identity.project

    @property
    def rights(self) -> state.Rights:
        """What the login may do."""
        return self.identity.rights

    @property
    def user(self) -> str:
        """Who is logged in, for display."""
        return self.identity.user

    @property
    def expires_at(self) -> datetime | None:
        """When the access token ends."""
        return self._tokens.expires_at

    @property
    def tokens(self) -> tokens_module.Tokens:
        """The tokens in use, for the one place that stores them."""
        return self._tokens

    @property
    def requests(self) -> int:
        """HTTP requests so far, those of logging in not counted."""
        return self._http.sent

    async def get(
        self, path: str, params: Mapping[str, Any] | None = None, *, extended: bool = False
    ) -> Any:
        """Read; `extended` also returns `meta.project` and its kin."""
        headers = _EXTENDED if extended else None
        answer = await self._send("GET", self._held(path, params), headers=headers)
        return self._document(answer)

    async def post(
        self,
        path: str,
        body: Any,
        *,
        if_none_exist: str | None = None,
        time_limit: float = http_module.TIME_LIMIT,
        text: bool = False,
    ) -> Any:
        """Create, or call an operation.

        Args:
            path: such as `fhir/R4/Task` or `fhir/R4/Bot/<id>/$execute`.
            body: what becomes JSON.
            if_none_exist: a search; create only where it finds nothing.
            time_limit: seconds; an operation may take longer than a write.
            text: an answer that is not JSON is returned as text: a bot may answer anything.
        """
        headers = {}
        if if_none_exist is not None:
            headers["If-None-Exist"] = self._held(f"{path}?{if_none_exist}").partition("?")[2]
        answer = await self._send(
            "POST",
            path,
            headers=headers,
            body=body,
            time_limit=time_limit,
            conditional=if_none_exist is not None,
        )
        return self._document(answer, text=text)

    async def put(self, path: str, body: Any, *, if_match: str | None = None) -> Any:
        """Replace a resource; `if_match` is the `meta.versionId` it must still have."""
        headers = {} if if_match is None else {"If-Match": f'W/"{if_match}"'}
        answer = await self._send("PUT", self._held(path), headers=headers, body=body)
        return self._document(answer)

    async def patch(self, path: str, operations: Sequence[Mapping[str, Any]]) -> Any:
        """Apply a JSON Patch."""
        headers = {"Content-Type": "application/json-patch+json"}
        answer = await self._send("PATCH", self._held(path), headers=headers, body=operations)
        return self._document(answer)

    async def delete(self, path: str) -> None:
        """Delete a resource."""
        self._document(await self._send("DELETE", self._held(path)))

    async def batch(
        self, entries: Sequence[BatchEntry], *, extended: bool = False
    ) -> list[BatchResult]:
        """Send several requests as one; results stand in the order of the entries.

        The server carries deletes out first, then creates, updates, patches, operations, searches
        and reads, whatever their order.
        """
        if not entries:
            return []
        held = [replace(one, url=self._held(one.url)) for one in entries]
        answer = await self._send(
            "POST",
            FHIR,
            headers=_EXTENDED if extended else None,
            body=batch_module.bundle(held),
            read_only=all(one.method == "GET" for one in entries),
        )
        return batch_module.results(held, self._document(answer))

    async def search(
        self, resource_type: str, params: Mapping[str, Any] | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield every resource that a search finds, page after page."""
        async for page in self.pages(resource_type, params):
            for one in page:
                yield one

    async def pages(
        self, resource_type: str, params: Mapping[str, Any] | None = None
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield what a search finds as the server's pages, each when it is asked for."""
        url = f"{FHIR}{resource_type}?{urlencode({'_count': 1000, **(params or {})}, doseq=True)}"
        while url:
            page = _object(await self.get(url), url)
            yield [one["resource"] for one in page.get("entry") or () if "resource" in one]
            url = _next(page, after=url)

    async def upload(self, content: bytes, filename: str, content_type: str) -> str:
        """Store a file as a Binary; return its id and version, as in `id/version`."""
        answer = await self._send(
            "POST",
            f"{FHIR}Binary?{urlencode({'_filename': filename})}",
            headers={"Content-Type": content_type},
            content=content,
            time_limit=_UPLOAD_LIMIT,
        )
        stored = _object(self._document(answer), answer.request, "id")
        version = (stored.get("meta") or {}).get("versionId")
        return f"{stored['id']}/{version}" if version else str(stored["id"])

    async def read_binary(self, binary_id: str, *, most: int | None = None) -> bytes:
        """Return the bytes of a Binary; of a greater one than `most`, no more than these."""
        answer = await self._send(
            "GET",
            f"{FHIR}Binary/{binary_id}",
            headers={"Accept": "*/*"},
            time_limit=_UPLOAD_LIMIT,
            any_type=True,
            most=most,
        )
        return answer.content

    async def _send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        content: bytes | None = None,
        **options: Any,
    ) -> http_module.Answer:
        kind = _FHIR_JSON if path.startswith(FHIR) else "application/json"
        all_headers = {"Accept": kind}
        if body is not None:
            all_headers["Content-Type"] = kind
            content = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        all_headers |= headers or {}
        tokens = self._tokens
        if tokens.stale(datetime.now(UTC)):
            tokens = await self._renew(tokens)
        for last in (False, True):
            all_headers["Authorization"] = f"Bearer {tokens.access.reveal()}"
            answer = await self._http.send(
                method, path, headers=all_headers, content=content, **options
            )
            if answer.status != 401 or last:  # noqa: PLR2004
                break
            tokens = await self._renew(tokens)
        if not answer.ok:
            raise outcome.error(answer.status, answer.document(), answer.request)
        return answer

    async def _renew(self, ended: tokens_module.Tokens) -> tokens_module.Tokens:
        """Renew once for all requests that met the same end."""
        async with self._renewing:
            if self._tokens.access == ended.access:
                self._tokens = await self._source.renew(self._http, ended)
            return self._tokens

    def _held(self, path: str, params: Mapping[str, Any] | None = None) -> str:
        """Return `path` with `params`; a super admin's search is held to the project."""
        if params:
            path += ("&" if "?" in path else "?") + urlencode(params, doseq=True)
        relative = path.removeprefix(FHIR)
        if (
            self.rights.super_admin
            and _TYPE_LEVEL.fullmatch(relative)
            and not re.search(r"[?&]_project=", relative)
        ):
            path += ("&" if "?" in path else "?") + urlencode({"_project": self.project.id})
        return path

    def _document(self, answer: http_module.Answer, *, text: bool = False) -> Any:
        """Return the answer's JSON; an error that came with status 200 is one all the same."""
        document = answer.document()
        if document is None and answer.content and answer.content != b"null":
            if text:
                return answer.content.decode(errors="replace")
            raise errors.ServerError(
                f"{answer.request}: {self.base_url} answered {answer.media_type or 'something'} "
                "instead of JSON",
                hint="is a proxy in between?",
            )
        if outcome.is_error(document):
            raise outcome.error(answer.status, document, answer.request)
        return document


def _object(document: Any, request: str, *members: str) -> dict[str, Any]:
    """Return an answer that must be a JSON object with these members."""
    if isinstance(document, dict) and document.keys() >= set(members):
        return document
    path = request.partition("?")[0]
    raise errors.ServerError(f"{path}: the server answered with something unexpected")


def _next(page: Mapping[str, Any], after: str) -> str:
    """Return the path of the next page, empty at the end.

    Only path and query of the link count: behind a proxy the server may know itself by another
    name, and the login must not go there.
    """
    links = [one.get("url", "") for one in page.get("link") or () if one.get("relation") == "next"]
    if not links:
        return ""
    parts = urlsplit(links[0])
    url = FHIR + f"{parts.path}?{parts.query}".rpartition(FHIR)[2]
    if url == after:
        raise errors.ServerError(f"the search {after.partition('?')[0]} never ends")
    return url
