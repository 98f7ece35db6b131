"""Brings the embedding store to what the server holds: embeds what was missed, deletes orphans."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from medbots import errors, inventory
from medbots.embeddings import inventory as looking
from medbots.embeddings.faults import INVALID, Outcome, Streak
from medbots.embeddings.marks import Checkpoints, Mark
from medbots.embeddings.together import together
from medbots.inventory import Standing, Tallies, Version

PASSES = 3
"""How often all is looked at, at the most."""
_ORPHANS_AT_ONCE = 50
"""How many are locked at a time."""
_LIFTED = frozenset({Standing.BLOCKED, Standing.AHEAD})


class Embedder(Protocol):
    """Whoever embeds: the bot, or medbots itself in batches."""

    @property
    def batch(self) -> int:
        """Resources that are handed over at once."""
        ...

    async def embed(self, kind: str, versions: Sequence[Version]) -> Outcome:
        """Embed the current version of each resource."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be reconciled."""

    kinds: tuple[str, ...]
    since: dt.datetime | None = None
    """Only what was changed from then on; orphans are found whenever they were left."""
    jobs: int = 4
    """Batches in work at a time."""
    window: str = ""
    """`since` as it was asked for, where it is told: `1h` is another instant each time."""

    @property
    def arguments(self) -> str:
        """What must be the same for an interrupted run to be gone on with."""
        since = self.since.isoformat() if self.since else ""
        return f"{','.join(self.kinds)};{self.window or since}"


@dataclass(slots=True)
class Report:
    """What a run found and did."""

    before: Tallies = field(default_factory=dict)
    after: Tallies = field(default_factory=dict)
    embedded: int = 0
    """Resources brought to the server's version."""
    deleted: int = 0
    """Orphans whose rows are gone."""
    failed: dict[str, str] = field(default_factory=dict)
    """An error code by `Type/id`."""
    resumed: dt.datetime | None = None
    """When the interrupted run last got on that this one continued."""

    @property
    def difference(self) -> int:
        """What is left to do."""
        return inventory.difference(self.after)


@dataclass(frozen=True, slots=True)
class Progress:
    """Something has got on: by how much."""

    kind: str
    looked_at: int = 0
    """Resources of the server."""
    embedded: int = 0
    deleted: int = 0
    failed: int = 0
    again: int = 0
    """Another look at all has begun: the how many-eth. What was looked at and failed before it is
    to be counted anew."""


class Reconciler:
    """One run. Memory holds two pages of versions and the batches in work."""

    def __init__(
        self,
        server: looking.Server,
        store: looking.Store,
        embedder: Embedder,
        checkpoints: Checkpoints,
        wish: Wish,
        tell: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.report = Report()
        self._server = server
        self._store = store
        self._embedder = embedder
        self._checkpoints = checkpoints
        self._wish = wish
        self._since = wish.since
        self._tell = tell
        self._jobs = asyncio.Semaphore(wish.jobs)
        self._streak = Streak()

    async def run(self, *, restart: bool = False) -> Report:
        """Reconcile, going on where an interrupted run with the same arguments was.

        What a pass leaves undone, another one tries again: resources whose embedding failed, and
        those that were changed meanwhile. A run that went on with another one looks at all again.

        Raises:
            errors.PartlyAppliedError: so much fails in a row, by no fault of the records, that
                something must be down.
            errors.MedbotsError: server or database refuse. What was done stays; the next run goes
                on from the last page.
        """
        report = self.report
        if restart:
            await self._checkpoints.clear()
        kept, report.resumed = await self._checkpoints.load(self._wish.arguments)
        marks = {kind: Mark.of(kind, document) for kind, document in kept.items()}
        # Where the interrupted run was to begin: what lies before now's `1h` is not done yet.
        self._since = next((mark.since for mark in marks.values()), self._since)
        for mark in marks.values():
            self._tell(Progress(mark.kind, looked_at=mark.before.resources))
        for number in range(PASSES):
            report.failed.clear()
            if number:
                self._tell(Progress("", again=number + 1))
            for kind in self._wish.kinds:
                mark = await self._pass(
                    marks.get(kind) or Mark(kind, since=self._since), keep=number == 0
                )
                if number == 0:
                    report.before[kind] = mark.before
                report.after[kind] = mark.left
            whole = number > 0 or report.resumed is None
            if whole and report.difference <= (len(report.failed) if number else 0):
                break
            marks = {}
        await self._checkpoints.clear()
        return report

    async def _pass(self, mark: Mark, *, keep: bool) -> Mark:
        """Look at one type once, from where the mark stands, and mend what is wrong."""
        if mark.phase == "embed":
            if mark.since is not None:
                # Where it began is to be known even if the first page is not done.
                await self._keep(mark, keep=keep)
            await self._embed_all(mark, keep=keep)
            mark.phase = "sweep"
        if mark.phase == "sweep":
            walk = looking.absent(self._server, self._store, mark.kind, mark.after)
            async for mark.after, orphans in walk:
                for start in range(0, len(orphans), _ORPHANS_AT_ONCE):
                    await self._remove(mark, orphans[start : start + _ORPHANS_AT_ONCE])
                await self._keep(mark, keep=keep)
            mark.phase = "done"
        await self._keep(mark, keep=keep)
        return mark

    async def _embed_all(self, mark: Mark, *, keep: bool) -> None:
        """Go through the server's pages; while one is embedded, the next is read and compared.

        The mark moves page by page: what is in work when the run is interrupted is looked at again.
        """
        ahead: tuple[list[Version], asyncio.Task[None]] | None = None
        resumed = replace(mark)
        try:
            async for page in self._server.pages(mark.kind, mark.position or mark.since):
                fresh = [one for one in page if not resumed.covers(one)]
                before, ahead = ahead, (page, asyncio.ensure_future(self._page(mark, fresh)))
                await self._settle(mark, before, keep=keep)
            await self._settle(mark, ahead, keep=keep)
        finally:
            if ahead is not None:
                ahead[1].cancel()
                await asyncio.gather(ahead[1], return_exceptions=True)

    async def _settle(
        self, mark: Mark, work: tuple[list[Version], asyncio.Task[None]] | None, *, keep: bool
    ) -> None:
        if work is not None:
            page, task = work
            await task
            mark.move(page)
            await self._keep(mark, keep=keep)

    async def _keep(self, mark: Mark, *, keep: bool) -> None:
        if keep:
            await self._checkpoints.save(self._wish.arguments, mark.kind, mark.document())

    async def _page(self, mark: Mark, page: Sequence[Version]) -> None:
        kind = mark.kind
        standings = await looking.compare(self._server, self._store, kind, page)
        mark.before.take(standings.values())
        todo = [one for one in page if standings[one.id] in looking.OPEN]
        failed: set[str] = set()
        self._tell(Progress(kind, looked_at=len(page) - len(todo)))
        if todo:
            await self._lift(kind, [one for one in todo if standings[one.id] in _LIFTED])
            size = self._embedder.batch
            batches = [todo[start : start + size] for start in range(0, len(todo), size)]
            for codes, now in await together(self._embed(kind, one) for one in batches):
                failed |= codes
                standings |= now
        mark.left.take(standings.values())
        mark.left.failed += len(failed)

    async def _lift(self, kind: str, versions: Sequence[Version]) -> None:
        """Let go of what the store knows better than the server, where the server says it again.

        Under the locks: whoever withdraws a resource meanwhile does so after this.
        """
        for start in range(0, len(versions), looking.KEYS):
            ids = [one.id for one in versions[start : start + looking.KEYS]]
            async with self._store.alone(kind, ids) as turn:
                await turn.lift(await self._server.versions(kind, ids))

    async def _embed(
        self, kind: str, versions: Sequence[Version]
    ) -> tuple[set[str], dict[str, Standing]]:
        """Have a batch embedded; return whose embedding failed, and how the store stands then.

        What counts as embedded is what the store shows, whatever the embedder says of itself.
        """
        async with self._jobs:
            if self._streak.over:
                return set(), {}
            outcome = await self._embedder.embed(kind, versions)
        failed = await self._blamed(kind, outcome.failed)
        standings = await looking.compare(self._server, self._store, kind, versions)
        mended = sum(one not in looking.OPEN for one in standings.values())
        self.report.embedded += mended
        self.report.failed |= {f"{kind}/{one}": code for one, code in failed.items()}
        self._tell(Progress(kind, looked_at=len(versions), embedded=mended, failed=len(failed)))
        self._streak.count(outcome)
        if self._streak.over:
            raise errors.PartlyAppliedError(
                f"{self._streak.length} resources in a row could not be embedded "
                f"({', '.join(sorted(self._streak.codes))}): stopped",
                hint="medbots verify tells what is down; run it again then: it goes on from here",
            )
        return set(failed), standings

    async def _blamed(self, kind: str, failed: Mapping[str, str]) -> dict[str, str]:
        """Return the failures without those of records that were deleted meanwhile.

        A record that is there and is answered so all the same has failed: its bot is an old one,
        or may not read it.
        """
        doubtful = [one for one, code in failed.items() if code == INVALID]
        gone = await together(self._gone(kind, one) for one in doubtful)
        deleted = {one for one, is_gone in zip(doubtful, gone, strict=True) if is_gone}
        return {one: code for one, code in failed.items() if one not in deleted}

    async def _remove(self, mark: Mark, ids: Sequence[str]) -> None:
        """Delete the rows of those that are gone for sure."""
        async with self._store.alone(mark.kind, ids) as turn:
            # Before the read: no version made until now can be the current one if it finds none.
            until = await turn.now()
            gone = await together(self._gone(mark.kind, one) for one in ids)
            orphans = [one for one, is_gone in zip(ids, gone, strict=True) if is_gone]
            removed = await turn.remove(orphans, until) if orphans else 0
        mark.before.orphaned += removed
        self.report.deleted += removed
        self._tell(Progress(mark.kind, deleted=removed))

    async def _gone(self, kind: str, resource_id: str) -> bool:
        async with self._jobs:
            return await self._server.gone(kind, resource_id)
