"""Embeds many records at once, without the bot: reads, cuts, embeds in batches, writes by COPY."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from medbots import errors
from medbots.embeddings import faults, record_text
from medbots.embeddings.documents import Documents, VectorError
from medbots.embeddings.faults import Outcome
from medbots.embeddings.router import BusyError
from medbots.inventory import Embedded, Text, Version

BATCH = 128
"""Records that are read, embedded and written together."""
TEXTS = 64
"""Texts of one request to the router."""
_PROBE = "medbots embeddings reconcile"


class Texts(Protocol):
    """Whoever makes records' text."""

    async def texts(self, records: Sequence[record_text.Json]) -> list[Text | str]:
        """Return the text of each record, or the error code that stands for it."""
        ...


class Writer(Protocol):
    """The embedding store, by the rules of the bot: nothing replaces what is later."""

    async def refresh(self, kind: str, texts: Sequence[Text]) -> set[str]:
        """Let rows of an unchanged text stand for its new version; return whose text is another."""
        ...

    async def write(self, kind: str, embedded: Sequence[Embedded]) -> None:
        """Make the rows of each resource those of its version, all or none."""
        ...

    async def withdraw(self, kind: str, texts: Sequence[Text]) -> None:
        """Delete the rows of versions that must not be found, and mark those versions."""
        ...


class Router(Protocol):
    """A model router that may answer vectors in base64."""

    async def embed(
        self, model: str, texts: Sequence[str], *, task: str | None = None, packed: bool = False
    ) -> list[list[float]]:
        """Return one vector for each text."""
        ...

    async def packs(self, model: str, text: str) -> bool:
        """Whether it answers the same vector in base64 as in numbers."""
        ...


class Packing:
    """A router that is asked for base64 once it has shown that it can."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._packed: bool | None = None

    async def embed(
        self, model: str, texts: Sequence[str], *, task: str | None = None
    ) -> list[list[float]]:
        """Return one vector for each text, whatever form it came in."""
        if self._packed is None:
            self._packed = await self._router.packs(model, _PROBE)
        return await self._router.embed(model, texts, task=task, packed=self._packed)


class Direct:
    """An `Embedder` of batches."""

    batch = BATCH

    def __init__(
        self, reader: record_text.Reader, texts: Texts, documents: Documents, writer: Writer
    ) -> None:
        self._reader = reader
        self._texts = texts
        self._documents = documents
        self._writer = writer
        self._proved = False
        self._proving = asyncio.Lock()

    async def prove(self) -> None:
        """Raise unless the router makes vectors that can be stored; it is asked once.

        Raises:
            errors.MedbotsError: it is down, refuses, or answers vectors of another length.
        """
        async with self._proving:
            if self._proved:
                return
            try:
                await self.probe(first=True)
            except VectorError as error:
                raise self._unfit(error) from None
            self._proved = True

    def _unfit(self, error: VectorError) -> VectorError:
        """Say by what the bots work: neither manifest nor environment has a say in it here."""
        contract, cure = self._documents.contract, error.hint
        if error.length is not None:
            cure = (
                f"let the router's alias {contract.alias} name the model of before; or move the "
                f"bots to this one: EMBEDDING_DIM={error.length} medbots db migrate --reembed"
            )
        return VectorError(
            f"{contract.version}, by which the bots work (the project's secrets), and the router "
            f"differ: {error.message}",
            hint=cure,
        )

    async def probe(self, *, first: bool = False) -> None:
        """Raise unless the router answers a vector that can be stored; costs one short text.

        Args:
            first: whether it has answered nothing yet.

        Raises:
            errors.MedbotsError: it is down, refuses, or answers vectors of another length.
        """
        await self._documents.embed([_PROBE], first=first)

    async def embed(self, kind: str, versions: Sequence[Version]) -> Outcome:
        """Embed the current version of each resource; one that is gone by now needs nothing.

        Raises:
            errors.MedbotsError: server, router or database refuse, or cannot be reached.
        """
        records = await self._reader.records(kind, [one.id for one in versions])
        outcome = Outcome()
        texts: list[Text] = []
        for record, made in zip(records, await self._texts.texts(records), strict=True):
            if isinstance(made, Text):
                texts.append(made)
            else:
                outcome.fail(str(record["id"]).lower(), made, own=faults.own(made))
        await self._writer.withdraw(kind, [one for one in texts if not one.chunks])
        different = await self._writer.refresh(kind, [one for one in texts if one.chunks])
        todo = [one for one in texts if one.version.id in different]
        if todo:
            await self.prove()
        embedded = await self._embedded(todo, outcome)
        await self._writer.write(kind, embedded)
        outcome.done = len(texts) - len(todo) + len(embedded)
        return outcome

    async def _embedded(self, texts: Sequence[Text], outcome: Outcome) -> list[Embedded]:
        """Return the texts with their vectors; what the model will not take fails alone."""
        if not texts:
            return []
        try:
            vectors = await self._vectors([one for text in texts for _, _, one in text.chunks])
        except (errors.NotAllowedError, errors.UnreachableError):
            raise
        except errors.ServerError as error:
            if isinstance(error, BusyError) or len(texts) == 1:
                # It is the text that it fails on, or it is down: then it fails on this one too.
                await self.probe()
            if len(texts) == 1:
                outcome.fail(texts[0].version.id, faults.UNKNOWN, own=True)
                return []
            half = len(texts) // 2
            first = await self._embedded(texts[:half], outcome)
            return first + await self._embedded(texts[half:], outcome)
        rest = iter(vectors)
        return [Embedded(one, tuple(next(rest) for _ in one.chunks)) for one in texts]

    async def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        vectors: list[list[float]] = []
        for start in range(0, len(texts), TEXTS):
            vectors += await self._documents.embed(texts[start : start + TEXTS])
        return vectors
