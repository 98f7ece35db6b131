"""The hash of a chunk set is the one that the Embedding Bot would store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medbots.embeddings import chunk_hash

FILE = Path(__file__).parents[3] / "bot_templates" / "test" / "content-hashes.json"
CASES = json.loads(FILE.read_text(encoding="utf-8"))
"""The bots' own test reads the same file."""


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_it_is_the_bots(case: dict[str, Any]) -> None:
    """Quotes, control characters, separators and signs beyond the BMP are written as JavaScript."""
    chunks = [
        chunk_hash.Chunk(one["contentType"], one["section"], one["text"]) for one in case["chunks"]
    ]
    assert chunk_hash.content_hash(case["model"], chunks) == case["hash"]


def test_every_part_counts() -> None:
    """Another model, section, type, text or order has another hash."""
    one, other = chunk_hash.Chunk("note", "A", "x"), chunk_hash.Chunk("note", "B", "x")
    made = {
        chunk_hash.content_hash(model, chunks)
        for model in ("m", "n")
        for chunks in ((one, other), (other, one), (one,), (chunk_hash.Chunk("note", "A", "y"),))
    }
    assert len(made) == 8
