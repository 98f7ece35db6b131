"""A clinic's project in memory, as far as the checks talk to it: a client, and a bot that runs.

The bot is an object with three switches; `Clinic.post` and `Clinic.delete` set it off as the
server would, AuditEvent and all, so that a check cannot pass without the bot having run.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import urllib.parse
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medbots import errors, state
from medbots.checks import rows
from medbots.medplum.batch import BatchEntry, BatchResult
from medbots.medplum.identity import ProjectRef

Json = dict[str, Any]


@dataclass
class Bot:
    """What the server would run on a new record."""

    reference: str = "Bot/id"
    subscriptions: dict[str, str] = field(default_factory=dict)
    """The Subscription that runs it, by the type that is created."""
    runs: bool = True
    outcome: str = "0"
    log: str = "embedded 1 chunk"
    writes: bool = True
    """A row on creation."""
    follows: bool = True
    """A tombstone on deletion."""
    audits: bool = True
    row: rows.Row = field(default_factory=lambda: rows.Row(768, "embedding-model/768/none"))


@dataclass
class Table:
    """Rows and tombstones by record; keeps the shape of `rows.Rows`, and subclasses nothing."""

    rows: dict[str, list[rows.Row]] = field(default_factory=dict)
    tombstones: set[str] = field(default_factory=set)
    held: bool = False
    """Whether somebody has the turn to fire."""
    broken: bool = False

    async def of(self, record: str) -> list[rows.Row]:
        """Return the rows of a record."""
        return list(self.rows.get(record, ()))

    async def delete(self, record: str) -> None:
        """Delete the rows of a record."""
        if self.broken:
            raise errors.DatabaseError("the disk of the database is full")
        self.rows.pop(record, None)

    async def clear_tombstone(self, record: str) -> bool:
        """Delete a tombstone."""
        there = record in self.tombstones
        self.tombstones.discard(record)
        return there

    @contextlib.asynccontextmanager
    async def alone(self, limit: float) -> AsyncIterator[None]:
        """Hold the turn."""
        if self.held:
            raise errors.ConflictError(f"another medbots verify has been firing for {limit:g} s")
        self.held = True
        try:
            yield
        finally:
            self.held = False


class Clinic:
    """A logged-in client of one project; it keeps what `checks` use of `client.Client`."""

    def __init__(self, table: Table, rights: state.Rights | None = None) -> None:
        self.project = ProjectRef("p1", "Clinic")
        self.rights = rights or state.Rights(admin=True)
        self.user = "admin@example.com"
        self.resources: dict[str, Json] = {}
        """By reference."""
        self.bot = Bot()
        self.table = table
        self.calls: list[str] = []
        self.interrupt_after: str | None = None
        """A method after whose success the run is cancelled, as Ctrl-C does."""
        self.refuse: set[str] = set()
        """Methods that answer 500."""
        self.hidden: set[str] = set()
        """References that no search of the login shows, and whose read is refused."""
        self._numbers = itertools.count(1)

    def of(self, kind: str) -> list[str]:
        """Return the references of one type."""
        return [one for one in self.resources if one.startswith(f"{kind}/")]

    def add(self, resource: Json) -> str:
        """Put a resource there without anything firing; return its reference."""
        reference = f"{resource['resourceType']}/{next(self._numbers)}"
        self.resources[reference] = {**resource, "id": reference.partition("/")[2]}
        return reference

    @contextlib.contextmanager
    def _called(self, method: str, path: str) -> Iterator[None]:
        self.calls.append(f"{method} {path}")
        if method in self.refuse:
            raise errors.ServerError(f"{method} {path}: the server failed (HTTP 500)")
        yield
        if self.interrupt_after == method:
            self.interrupt_after = None
            raise asyncio.CancelledError

    async def post(self, path: str, body: Json) -> Json:
        """Create, and set the bot off for what it is subscribed to."""
        with self._called("POST", path):
            reference = self.add(body)
            if body["resourceType"] in self.bot.subscriptions and self.bot.runs:
                self._run(reference)
        return self.resources[reference]

    def _run(self, record: str) -> None:
        if self.bot.audits:
            trigger = self.bot.subscriptions[record.partition("/")[0]]
            what = (self.bot.reference, record, trigger)
            self.add(
                {
                    "resourceType": "AuditEvent",
                    "type": {"code": "execute"},
                    "source": {"observer": {"reference": self.bot.reference}},
                    "outcome": self.bot.outcome,
                    "outcomeDesc": self.bot.log,
                    "entity": [{"what": {"reference": one}} for one in what],
                }
            )
        if self.bot.writes:
            self.table.rows[record] = [self.bot.row]

    async def get(self, path: str, params: Mapping[str, str]) -> Json:
        """Find AuditEvents by source and entity."""
        with self._called("GET", path):
            found = [
                self.resources[one]
                for one in self.of("AuditEvent")
                if self.resources[one]["source"]["observer"]["reference"] == params["source"]
                and params["entity"]
                in [entity["what"]["reference"] for entity in self.resources[one]["entity"]]
            ]
        return {"entry": [{"resource": one} for one in found]} if found else {}

    async def search(self, kind: str, params: Mapping[str, str]) -> AsyncIterator[Json]:
        """Find everything of a type."""
        with self._called("GET", kind):
            found = [self.resources[one] for one in self.of(kind)]
        for one in found:
            yield one

    async def batch(self, entries: Sequence[BatchEntry]) -> list[BatchResult]:
        """Find, each type by an entry of its own; ask nothing for nothing."""
        if not entries:
            return []
        with self._called("GET", "batch"):
            return [self._found(*one.url.partition("?")[::2]) for one in entries]

    def _found(self, kind: str, query: str) -> BatchResult:
        if "/" in kind:
            there = self.resources.get(kind)
            if kind in self.hidden:
                return BatchResult(403, None, None)
            return BatchResult(200 if there else 410, there, None)
        asked = {name: values[0] for name, values in urllib.parse.parse_qs(query).items()}
        found = [self.resources[one] for one in self.of(kind) if one not in self.hidden]
        match kind:
            case "PractitionerRole":
                found = [one for one in found if _has_role(one, asked["role"].split(","))]
                people = {one["practitioner"]["reference"] for one in found}
                found += [self.resources[one] for one in people & self.resources.keys()]
            case "Bot":
                found = [one for one in found if one["id"] in asked["_id"].split(",")]
            case _:
                found = [one for one in found if asked["_tag"] in _tags(one)]
        entries = [{"resource": one} for one in found]
        return BatchResult(200, {"resourceType": "Bundle", "entry": entries}, None)

    async def patch(self, path: str, operations: Sequence[Json]) -> None:
        """Add members."""
        with self._called("PATCH", path):
            for one in operations:
                live = self.resources[path.removeprefix("fhir/R4/")]
                live[one["path"].lstrip("/")] = one["value"]

    async def delete(self, path: str) -> None:
        """Delete, and set the bot off."""
        reference = path.removeprefix("fhir/R4/")
        with self._called("DELETE", path):
            if self.resources.pop(reference, None) is None:
                raise errors.NotFoundError(f"{reference}: deleted (HTTP 410)")
            watched = reference.partition("/")[0] in self.bot.subscriptions
            if watched and self.bot.runs and self.bot.follows:
                self.table.rows.pop(reference, None)
                self.table.tombstones.add(reference)


def _tags(resource: Json) -> list[str]:
    tags = resource.get("meta", {}).get("tag", ())
    return [f"{each['system']}|{each['code']}" for each in tags]


def _has_role(role: Json, codes: list[str]) -> bool:
    held = [f"{coding['system']}|{coding['code']}" for coding in role["code"][0]["coding"]]
    return role["active"] is True and any(code in codes for code in held)
