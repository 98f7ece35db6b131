"""A server, a store and an embedder in memory, which keep the ports of `embeddings`."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from medbots import errors
from medbots.embeddings import faults
from medbots.embeddings.faults import Outcome
from medbots.inventory import Standing, Version

KIND = "Condition"
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PAGE = 3


def version(number: int) -> Version:
    """Return the first version of the `number`th resource; ids are in the order of the numbers."""
    name = str(uuid.UUID(int=number + 1))
    return Version(name, "v1", START + dt.timedelta(seconds=number))


@dataclass
class FakeServer:
    """Holds resources of one type."""

    resources: dict[str, Version] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    """Ids that a search misses, and a direct read finds."""
    failing: set[str] = field(default_factory=set)
    """Ids whose embedding failed, by the audit trail."""
    asked: list[str] = field(default_factory=list)
    """Ids that were read directly."""
    since: list[dt.datetime | None] = field(default_factory=list)
    """From where pages were asked for."""

    def put(self, *versions: Version) -> None:
        """Store versions."""
        self.resources |= {one.id: one for one in versions}

    async def pages(self, kind: str, since: dt.datetime | None) -> AsyncIterator[list[Version]]:
        """Yield pages of three, oldest change first; what changes meanwhile comes again."""
        self.since.append(since)
        if kind != KIND:
            return
        given: set[tuple[str, str]] = set()
        while True:
            left = sorted(
                (
                    one
                    for one in self.resources.values()
                    if (one.id, one.version) not in given
                    and one.id not in self.hidden
                    and (since is None or one.updated >= since)
                ),
                key=lambda one: (one.updated, one.id),
            )[:PAGE]
            if not left:
                return
            given |= {(one.id, one.version) for one in left}
            yield left

    async def versions(self, kind: str, ids: Sequence[str]) -> list[Version]:
        """Return those that a search finds."""
        return [self.resources[one] for one in ids if one in self.resources.keys() - self.hidden]

    async def gone(self, kind: str, resource_id: str) -> bool:
        """Whether a direct read finds none."""
        self.asked.append(resource_id)
        return resource_id not in self.resources

    async def failures(self, kind: str, versions: Sequence[Version]) -> set[str]:
        """Return those that failed."""
        return {one.id for one in versions} & self.failing


@dataclass
class FakeStore:
    """Holds one version a resource."""

    rows: dict[str, Version] = field(default_factory=dict)
    tombstones: dict[str, Version] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    clock: dt.datetime = START + dt.timedelta(days=30)

    async def compare(self, kind: str, versions: Sequence[Version]) -> dict[str, Standing]:
        """Judge by the rules of the real one."""
        return {one.id: self._standing(one) for one in versions}

    def _standing(self, one: Version) -> Standing:
        row, tombstone = self.rows.get(one.id), self.tombstones.get(one.id)
        if row is not None and row.version == one.version:
            return Standing.EMBEDDED
        if row is not None and row.updated > one.updated:
            return Standing.AHEAD
        if tombstone is not None and tombstone.updated > one.updated:
            return Standing.BLOCKED
        if row is None and tombstone is not None and tombstone.version == one.version:
            return Standing.WITHHELD
        return Standing.MISSING if row is None else Standing.STALE

    async def keys(self, kind: str, after: str | None, limit: int) -> list[str]:
        """Return ids in order."""
        if kind != KIND:
            return []
        return sorted(one for one in self.rows if after is None or one > after)[:limit]

    async def models(self) -> list[tuple[str, int]]:
        """Return one model."""
        return [("m/4/none", len(self.rows))]

    @contextlib.asynccontextmanager
    async def alone(self, kind: str, ids: Sequence[str]) -> AsyncIterator[FakeTurn]:
        """Lock resources."""
        self.locked |= set(ids)
        yield FakeTurn(self)
        self.locked -= set(ids)


@dataclass
class FakeTurn:
    """Works on a locked store."""

    store: FakeStore

    async def now(self) -> dt.datetime:
        """Return the store's time."""
        return self.store.clock

    async def remove(self, ids: Sequence[str], until: dt.datetime) -> int:
        """Delete rows and leave tombstones."""
        assert set(ids) <= self.store.locked
        removed = sum(self.store.rows.pop(one, None) is not None for one in ids)
        self.store.tombstones |= {one: Version(one, "", until) for one in ids}
        return removed

    async def lift(self, versions: Sequence[Version]) -> None:
        """Forget what is later."""
        for one in versions:
            assert one.id in self.store.locked
            self.store.tombstones.pop(one.id, None)
            if one.id in self.store.rows:
                self.store.rows[one.id] = replace(one, version="?", updated=START)


@dataclass
class FakeEmbedder:
    """Copies the server's version into the store, unless it is to fail."""

    server: FakeServer
    store: FakeStore
    batch: int = 2
    failing: dict[str, int] = field(default_factory=dict)
    """By id, how often it fails."""
    code: str = faults.UNKNOWN
    """With which it fails."""
    down: bool = False
    """Whether it cannot be reached after `reach` batches."""
    reach: int = 0
    calls: list[list[str]] = field(default_factory=list)

    @property
    def handed(self) -> list[str]:
        """Every id that was handed over, in order."""
        return [one for call in self.calls for one in call]

    async def embed(self, kind: str, versions: Sequence[Version]) -> Outcome:
        """Embed what there is, as it is now."""
        if self.down and len(self.calls) >= self.reach:
            raise errors.UnreachableError("the router cannot be reached")
        self.calls.append([one.id for one in versions])
        outcome = Outcome()
        for one in versions:
            if self.failing.get(one.id, 0) > 0:
                self.failing[one.id] -= 1
                outcome.fail(one.id, self.code, own=faults.own(self.code))
            elif one.id in self.server.resources:
                self.store.rows[one.id] = self.server.resources[one.id]
                outcome.done += 1
        return outcome


@dataclass
class FakeCheckpoints:
    """Marks in memory."""

    marks: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    """By arguments and type."""

    async def load(
        self, arguments: str
    ) -> tuple[Mapping[str, Mapping[str, Any]], dt.datetime | None]:
        """Return what was kept."""
        found = self.marks.get(arguments, {})
        return found, START if found else None

    async def save(self, arguments: str, kind: str, mark: Mapping[str, Any]) -> None:
        """Keep one."""
        self.marks.setdefault(arguments, {})[kind] = dict(mark)

    async def clear(self) -> None:
        """Forget all."""
        self.marks.clear()
