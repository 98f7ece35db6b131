"""What tests of the embedding store share: wishes, secrets in memory, the guide's table."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from medbots import errors, secret
from medbots.database import connection, schema
from medbots.embeddings import contract

PROJECT = "11111111-1111-4111-8111-111111111111"
OTHER_PROJECT = "22222222-2222-4222-8222-222222222222"
DIMENSION = 4

GUIDE = """
CREATE TABLE IF NOT EXISTS clinical_embeddings (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  fhir_resource_type VARCHAR(100) NOT NULL,
  fhir_resource_id UUID NOT NULL,
  patient_id UUID,
  content_type VARCHAR(50),
  chunk_index INTEGER DEFAULT 0,
  content_text TEXT,
  embedding VECTOR(4),
  model_version VARCHAR(100),
  created_at TIMESTAMPTZ DEFAULT NOW(),
  UNIQUE(fhir_resource_id, chunk_index)
);
CREATE INDEX ON clinical_embeddings USING ivfflat (embedding vector_cosine_ops)
  WITH (lists = 100);
CREATE INDEX idx_embeddings_resource ON clinical_embeddings(fhir_resource_type, fhir_resource_id);
CREATE INDEX idx_embeddings_patient ON clinical_embeddings(patient_id);
"""
"""What the deployment guide runs, with a shorter vector."""


def wish(
    project: str = PROJECT,
    *,
    alias: str = "embedding-model",
    dimension: int = DIMENSION,
    prefix: str = "none",
    bot_database_url: str | None = None,
) -> schema.Wish:
    """Return what a project wants of the database."""
    return schema.Wish(
        project_id=project,
        alias=alias,
        dimension=dimension,
        prefix=prefix,
        model_version=contract.model_version(alias, dimension, prefix),
        bot_database_url=secret.Secret(bot_database_url) if bot_database_url else None,
    )


@dataclass
class Secrets:
    """A project's DATABASE_URL, in memory."""

    url: secret.Secret | None = None
    readable: bool = True
    writes: int = 0
    fail: bool = False

    async def read(self) -> secret.Secret | None:
        """Return the URL."""
        if not self.readable:
            raise errors.NotAllowedError("the login may not read the project's secrets")
        return self.url

    async def write(self, url: secret.Secret) -> None:
        """Store the URL."""
        if self.fail:
            raise errors.UnreachableError("the server is gone")
        self.writes += 1
        self.url = url


@contextlib.asynccontextmanager
async def connected(url: secret.Secret) -> AsyncIterator[connection.Connection]:
    """Connect by the code under test."""
    made = await connection.connect(url)
    try:
        yield made
    finally:
        await made.close()


async def initialised(
    url: secret.Secret, secrets: Secrets | None = None, wanted: schema.Wish | None = None
) -> list[schema.Step]:
    """Run `db init` once and return its steps."""
    notices = connection.Notices()
    made = await connection.connect(url, notices=notices)
    try:
        steps = schema.init(
            made, wanted or wish(), secrets or Secrets(), notices=notices, wait_seconds=20
        )
        return [step async for step in steps]
    finally:
        await made.close()
