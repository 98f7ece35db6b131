"""Fills a model's rows from the texts of another's, until nothing is missing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from medbots import errors
from medbots.embeddings import chunk_hash, documents
from medbots.embeddings import contract as contract_module
from medbots.embeddings import router as router_module
from medbots.embeddings.together import together
from medbots.reembedding import Behind, Made, Resource

UNKNOWN = "unknown"
"""The content hash of rows whose text the bot did not make: its next event replaces them."""
_IDLE_PASSES = 5
"""Passes that change nothing, after which no further one will."""
_HOPELESS = 20
"""Failures in a row after which the model, and not the text, is at fault."""

Advance = Callable[[int], None]
"""Hears of chunks that are done."""


class Worker(Protocol):
    """Reads and writes batches, each of one table, model and type."""

    async def read(self, batch: Sequence[Behind]) -> list[Resource]:
        """Return the texts of a batch; what is gone meanwhile is left out."""
        ...

    async def write(self, batch: Sequence[Made]) -> int:
        """Write what has not changed since it was read; return how many resources that were."""
        ...


class Store(Protocol):
    """The rows of one project and the model to come."""

    async def behind(self) -> list[Behind]:
        """Return what is missing."""
        ...

    async def clear_withdrawn(self) -> None:
        """Remove the rows of resources that are gone."""
        ...

    def worker(self) -> AbstractAsyncContextManager[Worker]:
        """Give something to read and write by, one for each task."""
        ...


@dataclass(slots=True)
class Tally:
    """What has been done so far."""

    resources: int = 0
    chunks: int = 0
    """Embedded anew."""
    refreshed: int = 0
    """Resources whose text was there already, from an earlier version."""
    passes: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Why the model did not take a resource, by type and id."""
    row: int = 0
    """Failures since the last success."""


@dataclass(frozen=True, slots=True)
class Filler:
    """Brings the rows of a model to what the other models have."""

    store: Store
    documents: documents.Documents
    contract: contract_module.Contract
    jobs: int
    """Requests under way at once."""
    batch: int
    """Texts in one request."""
    tally: Tally

    async def fill(self, advance: Advance = lambda _: None, *, enough: int = 0) -> None:
        """Embed what is missing, again and again until nothing is; bots go on writing meanwhile.

        Interrupted at any moment, the next run goes on with what is still missing.

        Args:
            advance: hears of chunks that are done.
            enough: where so few records are missing and no fewer than a pass before, for bots
                write as fast as they are followed, that is the end too.

        Raises:
            errors.ServerError: the model takes some of the texts not at all; names the records.
            errors.MedbotsError: router or database refuse, or cannot be reached.
        """
        before: list[Behind] = []
        idle = 0
        while todo := [one for one in await self.store.behind() if not self._failed(one)]:
            if before and len(before) <= len(todo) <= enough:
                break
            idle = idle + 1 if todo == before else 0
            if idle >= _IDLE_PASSES:
                raise errors.DatabaseError(
                    f"the rows of {todo[0].reference} cannot be written, and {len(todo) - 1} more",
                    hint="look into the database's log",
                )
            before = todo
            self.tally.passes += 1
            await self._pass(todo, advance)
        await self.store.clear_withdrawn()
        if self.tally.failed:
            raise _refused(self.tally.failed)

    def _failed(self, one: Behind) -> bool:
        return one.reference in self.tally.failed

    async def _pass(self, todo: Sequence[Behind], advance: Advance) -> None:
        waiting = batches(todo, self.batch)

        async def work() -> None:
            async with self.store.worker() as worker:
                for batch in waiting:
                    await self._batch(worker, batch)
                    advance(sum(one.chunks for one in batch))

        await together(work() for _ in range(min(self.jobs, len(todo))))

    async def _batch(self, worker: Worker, batch: Sequence[Behind]) -> None:
        resources = await worker.read(batch)
        hashes = {one.behind.id: self._hash(one) for one in resources}
        same = [one for one in resources if hashes[one.behind.id] == one.stored_hash != UNKNOWN]
        other = [one for one in resources if one not in same]
        made = [Made(one, hashes[one.behind.id], None) for one in same]
        made += [
            Made(one, hashes[one.behind.id], vectors) for one, vectors in await self._embed(other)
        ]
        written = await worker.write(made)
        self.tally.resources += written
        self.tally.refreshed += len(same)
        self.tally.chunks += sum(len(one.vectors or ()) for one in made)

    def _hash(self, resource: Resource) -> str:
        """Return what the bot would store; unknown where the old hash is not what it stored.

        Where the old rows carry the hash of their text, the bot made that text.
        """
        chunks = [
            chunk_hash.Chunk(one.content_type, one.section, one.text) for one in resource.texts
        ]
        proved = chunk_hash.content_hash(resource.behind.model_version, chunks)
        if proved != resource.content_hash:
            return UNKNOWN
        return chunk_hash.content_hash(self.contract.version, chunks)

    async def _embed(
        self, resources: Sequence[Resource]
    ) -> list[tuple[Resource, tuple[list[float], ...]]]:
        """Return the vectors of those that the model takes; the others are noted as failed."""
        try:
            vectors = await self._vectors([text.text for one in resources for text in one.texts])
        except (router_module.BusyError, errors.NotAllowedError):
            raise
        except errors.ServerError as error:
            if len(resources) == 1:
                self._fail(resources[0], error)
                return []
            # One text that the model does not take must not keep the others from theirs.
            alone = [await self._embed([one]) for one in resources]
            return [pair for pairs in alone for pair in pairs]
        self.tally.row = 0
        rest = iter(vectors)
        return [(one, tuple(next(rest) for _ in one.texts)) for one in resources]

    async def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        found: list[list[float]] = []
        for start in range(0, len(texts), self.batch):
            found += await self.documents.embed(texts[start : start + self.batch])
        return found

    def _fail(self, resource: Resource, error: errors.ServerError) -> None:
        self.tally.row += 1
        if self.tally.row >= _HOPELESS:
            raise error
        self.tally.failed[resource.behind.reference] = error.message


def requests(todo: Sequence[Behind], batch: int) -> int:
    """Return how many requests of at most `batch` texts these resources take."""
    sizes = (sum(one.chunks for one in part) for part in batches(todo, batch))
    return sum(math.ceil(size / batch) for size in sizes)


def batches(todo: Sequence[Behind], size: int) -> Iterator[list[Behind]]:
    """Yield neighbours of one table, model and type, with up to `size` chunks together.

    A resource is never parted: its rows are written together.
    """
    part: list[Behind] = []
    for one in todo:
        full = sum(each.chunks for each in part) + one.chunks > size
        if part and (full or _family(one) != _family(part[0])):
            yield part
            part = []
        part.append(one)
    if part:
        yield part


def _family(one: Behind) -> tuple[str, str, str]:
    return one.table, one.model_version, one.kind


def _refused(failed: dict[str, str]) -> errors.ServerError:
    names = sorted(failed)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""  # noqa: PLR2004
    return errors.ServerError(
        f"{len(names)} records could not be embedded, so nothing is switched: "
        f"{', '.join(names[:5])}{more}: {failed[names[0]]}",
        hint="correct the model at the router, or the records, and run it again: what is done "
        "stays done",
    )
