"""What the program that makes texts is told of a Binary before it asks for its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from medbots import errors
from medbots.embeddings import record_text

FACTS = {"resourceType": "Binary", "contentType": "text/plain"}


class Reader:
    """One Binary, or the error that reading it raises."""

    def __init__(self, found: dict[str, Any] | errors.MedbotsError | None) -> None:
        self.found = found
        self.asked: list[str] = []

    async def records(self, kind: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return nothing."""
        return []

    async def record(self, kind: str, resource_id: str) -> dict[str, Any] | None:
        """Return what there is, or raise."""
        self.asked.append(f"{kind}/{resource_id}")
        if isinstance(self.found, errors.MedbotsError):
            raise self.found
        return self.found

    async def binary(self, binary_id: str, most: int) -> bytes | int:
        """Return bytes that nobody here should ask for."""
        self.asked.append(f"{most} bytes of {binary_id}")
        return b"secret"


@pytest.mark.parametrize(
    ("found", "told"),
    [(FACTS, FACTS), (None, None), (errors.NotAllowedError("no"), None)],
    ids=["there", "gone", "not allowed"],
)
async def test_a_binary_is_told_of_without_its_bytes(
    found: dict[str, Any] | errors.MedbotsError | None, told: dict[str, Any] | None
) -> None:
    """Its type and whose it is are read as FHIR; one that cannot be read is none."""
    reader = Reader(found)
    texts = record_text.RecordTexts(
        Path("node"), Path("x.js"), reader, "http://clinic.example", "m"
    )
    assert await texts._found("binary-facts", ["b1"]) == told
    assert reader.asked == ["Binary/b1"]


async def test_a_server_that_fails_is_not_taken_for_a_missing_binary() -> None:
    """An error other than a refusal is raised, so that the record is tried again."""
    reader = Reader(errors.UnreachableError("down"))
    texts = record_text.RecordTexts(
        Path("node"), Path("x.js"), reader, "http://clinic.example", "m"
    )
    with pytest.raises(errors.UnreachableError):
        await texts._found("binary-facts", ["b1"])


async def test_of_a_binary_no_more_is_read_than_was_asked_for() -> None:
    """The program says how much it takes: a film that calls itself text fills no memory here."""
    reader = Reader(FACTS)
    texts = record_text.RecordTexts(
        Path("node"), Path("x.js"), reader, "http://clinic.example", "m"
    )
    assert await texts._found("binary", ["b1"], 6) == {"data": "c2VjcmV0"}
    assert reader.asked == ["6 bytes of b1"]
