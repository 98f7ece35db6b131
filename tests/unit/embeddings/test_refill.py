"""Filling a model's rows: in what batches, until when, and what stops it."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from medbots import errors
from medbots.embeddings import chunk_hash, contract, documents, refill
from medbots.reembedding import Behind, Made, Resource, Text

OLD, NEW = contract.Contract("old", 2, "none"), contract.Contract("new", 2, "none")
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def behind(name: str, chunks: int = 1, kind: str = "Condition", table: str = "t") -> Behind:
    """Return a resource that is missing."""
    return Behind(table, kind, name, OLD.version, NOW, NOW, chunks)


@dataclass
class Store:
    """What is missing, in memory; each resource's text is its id."""

    missing: dict[str, Behind]
    written: dict[str, Made] = field(default_factory=dict)
    busy: list[Behind] = field(default_factory=list)
    """Each pass finds one of these anew: somebody writes as fast as is followed."""
    deaf: bool = False
    """Whether nothing that is written arrives."""
    cleared: int = 0

    async def behind(self) -> list[Behind]:
        """Return what is missing."""
        if self.busy:
            one = self.busy.pop(0)
            self.missing[one.id] = one
        return list(self.missing.values())

    async def clear_withdrawn(self) -> None:
        """Count."""
        self.cleared += 1

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[Store]:
        """Give itself."""
        yield self

    async def read(self, batch: Sequence[Behind]) -> list[Resource]:
        """Return texts, with the hash that the bot stored."""
        found = []
        for one in batch:
            texts = tuple(Text(str(n), "note", "Text", one.id) for n in range(one.chunks))
            chunks = [chunk_hash.Chunk("note", "Text", one.id)] * one.chunks
            found.append(Resource(one, texts, chunk_hash.content_hash(OLD.version, chunks), None))
        return found

    async def write(self, batch: Sequence[Made]) -> int:
        """Keep what was made."""
        for made in [] if self.deaf else batch:
            name = made.resource.behind.id
            self.written[name] = made
            self.missing.pop(name, None)
        return len(batch)


@dataclass
class Model:
    """Counts texts, and refuses some."""

    refuses: tuple[str, ...] = ()
    calls: list[list[str]] = field(default_factory=list)

    async def embed(
        self, model: str, texts: Sequence[str], *, task: str | None = None
    ) -> list[list[float]]:
        """Answer a vector for each text."""
        self.calls.append(list(texts))
        if set(texts) & set(self.refuses):
            raise errors.ServerError(f"HTTP 400 to {model}")
        return [[1.0, 0.0] for _ in texts]


def filler(store: Store, model: Model, batch: int = 4, jobs: int = 1) -> refill.Filler:
    """Return the code under test."""
    made = documents.Documents(model, NEW)
    return refill.Filler(store, made, NEW, jobs, batch, refill.Tally())


def store_of(*some: Behind) -> Store:
    """Return a store where these are missing."""
    return Store({one.id: one for one in some})


def test_neighbours_share_a_request() -> None:
    """Up to the size, of one table, model and type, and no resource is parted."""
    other_model = replace(behind("e"), model_version="x/2/none")
    todo = [behind("a", 2), behind("b", 2), behind("c", 1), behind("d", 9), other_model]
    todo += [behind("f", kind="Observation"), behind("g", kind="Observation", table="u")]
    parts = [[one.id for one in part] for part in refill.batches(todo, 4)]
    assert parts == [["a", "b"], ["c"], ["d"], ["e"], ["f"], ["g"]]
    assert refill.requests(todo, 4) == 1 + 1 + 3 + 1 + 1 + 1
    assert refill.requests([], 4) == 0


async def test_a_long_record_takes_several_requests_and_one_writing() -> None:
    """No request has more texts than were asked for; the rows are written together."""
    store, model = store_of(behind("a", 9)), Model()
    await filler(store, model).fill()
    assert [len(texts) for texts in model.calls] == [4, 4, 1]
    assert len(store.written["a"].vectors or ()) == 9
    chunks = [chunk_hash.Chunk("note", "Text", "a")] * 9
    assert store.written["a"].content_hash == chunk_hash.content_hash(NEW.version, chunks)
    assert store.cleared == 1


async def test_several_at_once() -> None:
    """Each batch is done once, however many work."""
    store, model = store_of(*(behind(f"r{number:02}") for number in range(20))), Model()
    subject = filler(store, model, batch=3, jobs=4)
    seen: list[int] = []
    await subject.fill(seen.append)
    assert sum(seen) == 20
    assert sorted(text for texts in model.calls for text in texts) == sorted(store.written)
    assert (subject.tally.resources, subject.tally.chunks) == (20, 20)


async def test_a_refused_text_keeps_no_other_back() -> None:
    """The record is named and not tried again in every pass; the message has no text of it."""
    store, model = store_of(behind("a"), behind("bad"), behind("c")), Model(("bad",))
    with pytest.raises(errors.ServerError, match="Condition/bad") as caught:
        await filler(store, model).fill()
    assert "nothing is switched" in caught.value.message
    assert set(store.written) == {"a", "c"}
    assert sum("bad" in texts for texts in model.calls) == 2


async def test_a_model_that_refuses_everything() -> None:
    """After twenty failures in a row the model is at fault, and the others are not tried."""
    names = [f"r{number:03}" for number in range(60)]
    store, model = store_of(*map(behind, names)), Model(tuple(names))
    with pytest.raises(errors.ServerError, match="HTTP 400"):
        await filler(store, model, batch=1).fill()
    assert len(model.calls) == 20


async def test_writers_as_fast_as_the_filling() -> None:
    """Where a few are missing in every pass, the filling ends, and the next one makes up for it."""
    store = store_of(behind("a"))
    store.busy = [behind(f"new{number}") for number in range(50)]
    await filler(store, Model()).fill(enough=5)
    assert len(store.busy) > 40
    assert len(store.missing) == 1
    store.busy = []
    await filler(store, Model()).fill()
    assert store.missing == {}


async def test_what_cannot_be_written_ends_it() -> None:
    """The same records missing again and again are an error, and no endless loop."""
    store = store_of(behind("a"), behind("b"))
    store.deaf = True
    with pytest.raises(errors.DatabaseError, match="Condition/a cannot be written, and 1 more"):
        await filler(store, Model()).fill()
