"""A store with rows in it, and the command line beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from medbots.embeddings import contract
from tests.support import store

DIMENSION = 16
MODEL = contract.model_version("embedding-model", DIMENSION, "none")
INDEX = "clinical_embeddings_embedding_idx"
MANIFEST = f"""\
version: 1
namespace: urn:medbots
models: {{embedding: {{alias: embedding-model, dimension: {DIMENSION}, prefix: none}}}}
bots:
  embedding: {{name: Embedding Bot, source: embedding.ts, secrets: [DATABASE_URL]}}
"""

_FILL = """
INSERT INTO clinical_embeddings (
  project_id, fhir_resource_type, fhir_resource_id, version_id, content_type, chunk_index,
  chunk_count, content_text, content_hash, embedding, model_version, resource_updated_at
)
SELECT %s::uuid, 'Observation', gen_random_uuid(), '1', 'text', 0, 1, 'kept to itself', 'h',
  array(SELECT random() - 0.5 + 0 * number FROM generate_series(1, %s))::real[]::halfvec, %s, now()
FROM generate_series(1, %s) AS number
"""


@dataclass(frozen=True)
class Shelf:
    """A database with a store, and `medbots` at its side."""

    url: str
    run: Callable[..., tuple[int, str, str]]
    """Exit code, stdout and stderr of a command."""

    def json(self, *args: str, code: int = 0) -> Any:
        """Run a command, which ends with `code`, and return its JSON."""
        ended, out, err = self.run(*args, "--format", "json")
        assert ended == code, out + err
        return json.loads(out)

    def connect(self) -> psycopg.Connection:
        """Connect as the owner."""
        return psycopg.connect(self.url, autocommit=True)

    def fill(self, rows: int, project: str = store.PROJECT, model: str = MODEL) -> None:
        """Add rows of random vectors, the same ones in each run."""
        with self.connect() as connection:
            connection.execute("SELECT setseed(0.5)")
            connection.execute(_FILL, [project, DIMENSION, model, rows])

    def churn(self, share: float) -> None:
        """Delete a share of the rows."""
        with self.connect() as connection:
            connection.execute(
                "DELETE FROM clinical_embeddings WHERE id IN (SELECT id FROM clinical_embeddings "
                "ORDER BY id LIMIT (SELECT count(*) * %s FROM clinical_embeddings)::int)",
                [share],
            )
            connection.execute("SELECT pg_stat_force_next_flush()")
