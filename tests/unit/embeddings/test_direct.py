"""Embedding in batches: what is written, and that one bad text fails alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from medbots import errors
from medbots.embeddings import contract, direct, documents, router
from medbots.inventory import Embedded, Text
from tests.support.inventory import KIND, version

MODEL = contract.Contract("m", 2, "none")


class Clinic:
    """Reader, maker of texts, router and writer in one."""

    def __init__(self, number: int) -> None:
        self.versions = [version(one) for one in range(number)]
        self.texts_of: dict[str, Text | str] = {
            one.id: Text(one, None, (("note", "S", f"text {place}"),), f"hash {place}")
            for place, one in enumerate(self.versions)
        }
        self.bad: set[str] = set()
        """Texts that the router refuses."""
        self.busy: set[str] = set()
        """Texts on which it fails."""
        self.down = False
        self.refusing = False
        """Whether the router refuses whatever it is sent."""
        self.requests: list[int] = []
        self.written: list[Embedded] = []
        self.withdrawn: list[str] = []
        self.unchanged: set[str] = set()
        paused = documents.Documents(self, MODEL, pause=self._pause)
        self.embedder = direct.Direct(self, self, paused, self)  # type: ignore[arg-type]

    async def _pause(self, seconds: float) -> None:
        """Wait for nothing."""

    async def records(self, kind: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return those that have a text."""
        return [{"id": one} for one in ids if one in self.texts_of]

    async def texts(self, records: Sequence[dict[str, Any]]) -> list[Text | str]:
        """Return their texts."""
        return [self.texts_of[one["id"]] for one in records]

    async def embed(
        self, model: str, texts: Sequence[str], *, task: str | None = None
    ) -> list[list[float]]:
        """Return a vector that tells the text."""
        self.requests.append(len(texts))
        assert task == "embedding"
        if self.down or not self.busy.isdisjoint(texts):
            raise router.BusyError("HTTP 500")
        if self.refusing:
            raise errors.ServerError("HTTP 404")
        if not self.bad.isdisjoint(texts):
            raise errors.ServerError("HTTP 400")
        return [
            [1.0, float(one.rpartition(" ")[2])] if one.startswith("text") else [1.0, 1.0]
            for one in texts
        ]

    async def refresh(self, kind: str, texts: Sequence[Text]) -> set[str]:
        """Return those whose text is new."""
        return {one.version.id for one in texts} - self.unchanged

    async def write(self, kind: str, embedded: Sequence[Embedded]) -> None:
        """Keep what is written."""
        self.written += embedded

    async def withdraw(self, kind: str, texts: Sequence[Text]) -> None:
        """Keep what is withdrawn."""
        self.withdrawn += [one.version.id for one in texts]

    def numbers(self) -> list[int]:
        """Return the numbers of the written resources, which their vectors must tell."""
        found = [self.versions.index(one.text.version) for one in self.written]
        assert [one.vectors for one in self.written] == [([1.0, float(n)],) for n in found]
        return found


async def test_each_text_gets_its_own_vector_in_few_requests() -> None:
    """A hundred texts: two requests after the first word, and no vector goes astray."""
    clinic = Clinic(100)
    outcome = await clinic.embedder.embed(KIND, clinic.versions)
    assert (outcome.done, outcome.failed) == (100, {})
    assert clinic.requests == [1, 64, 36]
    assert clinic.numbers() == list(range(100))


async def test_chunks_stay_together() -> None:
    """A resource of several chunks gets one vector each, in order."""
    clinic = Clinic(2)
    chunks = tuple(("note", "S", f"text {one}") for one in range(70))
    clinic.texts_of[clinic.versions[0].id] = Text(clinic.versions[0], None, chunks, "h")
    await clinic.embedder.embed(KIND, clinic.versions)
    assert clinic.written[0].vectors == tuple([1.0, float(one)] for one in range(70))
    assert clinic.written[1].vectors == ([1.0, 1.0],)


async def test_withheld_unchanged_gone_and_unreadable() -> None:
    """No chunk: withdrawn. Same text: no vector. Gone: nothing. No text: failed with its code."""
    clinic = Clinic(5)
    withheld, same, gone, bad, new = clinic.versions
    clinic.texts_of[withheld.id] = Text(withheld, None, (), None)
    clinic.unchanged = {same.id}
    del clinic.texts_of[gone.id]
    clinic.texts_of[bad.id] = "TIMEOUT"
    outcome = await clinic.embedder.embed(KIND, clinic.versions)
    assert (outcome.done, outcome.failed, outcome.down) == (3, {bad.id: "TIMEOUT"}, [bad.id])
    assert clinic.withdrawn == [withheld.id]
    assert clinic.numbers() == [4]
    assert new.id == clinic.written[0].text.version.id


@pytest.mark.parametrize("how", ["bad", "busy"])
async def test_a_text_that_the_model_refuses_fails_alone(how: str) -> None:
    """One bad text among many: the others are written, however it is refused."""
    clinic = Clinic(9)
    setattr(clinic, how, {"text 4"})
    outcome = await clinic.embedder.embed(KIND, clinic.versions)
    assert outcome.failed == {clinic.versions[4].id: "EMBEDDING_ERROR"}
    assert (outcome.done, outcome.down) == (8, [])
    assert clinic.numbers() == [0, 1, 2, 3, 5, 6, 7, 8]


async def test_a_router_that_refuses_every_text_is_no_fault_of_the_records() -> None:
    """Its model was taken away in the midst of a run: it refuses a harmless text too."""
    clinic = Clinic(9)
    await clinic.embedder.prove()
    clinic.refusing = True
    with pytest.raises(errors.ServerError, match="HTTP 404"):
        await clinic.embedder.embed(KIND, clinic.versions)
    assert clinic.written == []


async def test_a_router_that_is_down_ends_the_batch() -> None:
    """It fails on a harmless text too: the error goes up, nothing is written, nothing is blamed."""
    clinic = Clinic(9)
    clinic.down = True
    with pytest.raises(router.BusyError):
        await clinic.embedder.embed(KIND, clinic.versions)
    assert clinic.written == []


async def test_the_probe_refuses_another_length() -> None:
    """Before anything is done: a model of another dimension is told."""
    clinic = Clinic(1)
    clinic.embedder = direct.Direct(
        clinic,
        clinic,
        documents.Documents(clinic, contract.Contract("m", 3, "none")),
        clinic,  # type: ignore[arg-type]
    )
    with pytest.raises(documents.VectorError) as caught:
        await clinic.embedder.embed(KIND, clinic.versions)
    assert "m/3/none, by which the bots work (the project's secrets)" in caught.value.message
    assert "EMBEDDING_DIM=2 medbots db migrate --reembed" in str(caught.value.hint)
    assert clinic.written == []


async def test_where_nothing_is_to_be_embedded_the_router_is_not_asked() -> None:
    """It may be down: what is withheld or has its text already is brought up to date."""
    clinic = Clinic(2)
    withheld, same = clinic.versions
    clinic.texts_of[withheld.id] = Text(withheld, None, (), None)
    clinic.unchanged = {same.id}
    clinic.down = True
    outcome = await clinic.embedder.embed(KIND, clinic.versions)
    assert (outcome.done, clinic.requests, clinic.withdrawn) == (2, [], [withheld.id])
