"""The hash by which a bot sees that a record's text needs no new vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """One row's text, as `lib/chunking.ts` cuts it."""

    content_type: str
    section: str | None
    """None in rows that the deployment guide's bot wrote."""
    text: str


def content_hash(model_version: str, chunks: Sequence[Chunk]) -> str:
    """Return what `lib/embedding-store.ts` stores as the content hash of a chunk set.

    SHA-256 over `JSON.stringify([modelVersion, [[contentType, section, text], …]])`: no spaces,
    nothing escaped but quotes, backslashes, control characters and lone surrogates.
    """
    parts = [model_version, [[one.content_type, one.section, one.text] for one in chunks]]
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
