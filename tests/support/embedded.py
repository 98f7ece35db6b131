"""Rows as the Embedding Bot writes them, and a router that answers vectors of any alias."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

from medbots.embeddings import chunk_hash, contract
from medbots.local.model_server import hashing

JANUARY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

_INSERT = """
INSERT INTO {table} (
  project_id, fhir_resource_type, fhir_resource_id, version_id, patient_id, model_version,
  content_hash, resource_updated_at, chunk_index, chunk_count, content_type, content_section,
  content_text, embedding
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::halfvec)
ON CONFLICT (project_id, fhir_resource_type, fhir_resource_id, model_version, chunk_index)
DO UPDATE SET version_id = excluded.version_id, content_hash = excluded.content_hash,
  resource_updated_at = excluded.resource_updated_at, content_text = excluded.content_text,
  chunk_count = excluded.chunk_count, embedding = excluded.embedding, created_at = now()
"""


def uuid_of(number: int) -> str:
    """Return an id that is the same each time."""
    return str(uuid.UUID(int=number, version=4))


@dataclass(frozen=True)
class Writer:
    """Writes resources of one project and model."""

    url: str
    project: str
    model: contract.Contract
    table: str = "clinical_embeddings"

    def put(
        self,
        number: int,
        texts: Sequence[str],
        *,
        kind: str = "Condition",
        updated_at: dt.datetime = JANUARY,
        content_hash: str | None = None,
    ) -> str:
        """Make the rows of a resource those of a version; return its id."""
        name = uuid_of(number)
        chunks = [chunk_hash.Chunk("note", "Text", text) for text in texts]
        proved = chunk_hash.content_hash(self.model.version, chunks)
        version = updated_at.isoformat()
        rows = [
            (
                self.project, kind, name, version, uuid_of(7), self.model.version,
                content_hash or proved, updated_at, place, len(chunks), one.content_type,
                one.section, one.text,
                str(hashing.embed(self.model.document(one.text), self.model.dimension)),
            )
            for place, one in enumerate(chunks)
        ]  # fmt: skip
        with psycopg.connect(self.url) as connection:
            with connection.cursor() as cursor:
                cursor.executemany(_INSERT.format(table=self.table), rows)
            connection.execute(
                f"DELETE FROM {self.table} WHERE fhir_resource_id = %s AND model_version = %s"  # noqa: S608
                " AND chunk_index >= %s",
                [name, self.model.version, len(chunks)],
            )
        return name


@dataclass
class ModelRouter:
    """Answers `/v1/embeddings` by feature hashing, each alias in its own dimension."""

    dimensions: dict[str, int]
    inputs: list[str] = field(default_factory=list)
    """Every text that was embedded."""
    requests: int = 0
    refuses: str = ""
    """A text with these words is answered with 400."""
    down: bool = False
    """Whether nothing listens."""
    breaks_after: int | None = None
    """So many requests are answered; then the process ends."""

    def transport(self) -> httpx.MockTransport:
        """Return what httpx asks instead of a network."""
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body: dict[str, Any] = json.loads(request.content)
        if self.down:
            self.requests += 1
            raise httpx.ConnectError("refused", request=request)
        if self.breaks_after is not None and self.requests >= self.breaks_after:
            raise KeyboardInterrupt
        self.requests += 1
        dimension = self.dimensions.get(body["model"])
        if dimension is None:
            return httpx.Response(404, json={"error": {"message": "unknown model"}})
        if self.refuses and any(self.refuses in text for text in body["input"]):
            return httpx.Response(400, json={"error": {"message": body["input"][0]}})
        self.inputs += body["input"]
        data = [
            {"index": place, "embedding": hashing.embed(text, dimension)}
            for place, text in enumerate(body["input"])
        ]
        return httpx.Response(200, json={"data": data})
