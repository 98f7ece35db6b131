"""What the bots' searches find, against an exact scan: each kind goes the way meant for it."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from medbots.database import connection, indexes, search, type_indexes
from tests.support import postgres as support
from tests.support import store

DIMENSION = 64
WISH = store.wish(dimension=DIMENSION)
PATIENT = "aaaaaaaa-0000-4000-8000-000000000007"
COMMON, RARE = "Observation", "Condition"
QUERIES = 20
NEAREST = 10
LIMIT = 3 * NEAREST
"""As the Semantic Search Bot asks, since some of what it finds may not be shown."""

_COPY = """
COPY clinical_embeddings (
  project_id, fhir_resource_type, fhir_resource_id, version_id, patient_id, content_type,
  chunk_index, chunk_count, content_text, content_hash, embedding, model_version,
  resource_updated_at
) FROM STDIN
"""


@dataclass(frozen=True)
class Cloud:
    """Vectors in groups, as records that are alike lie."""

    centres: list[list[float]]
    chance: random.Random

    @classmethod
    def of(cls, groups: int) -> Cloud:
        """Return as many groups."""
        chance = random.Random(7)  # noqa: S311 (test data)
        return cls([[chance.gauss(0, 1) for _ in range(DIMENSION)] for _ in range(groups)], chance)

    def vector(self) -> list[float]:
        """Return one vector near a centre."""
        near = self.chance.choice(self.centres)
        return [round(value + self.chance.gauss(0, 0.3), 4) for value in near]


async def _fill(connected: connection.Connection, cloud: Cloud, rows: int) -> None:
    """Store `rows` records: a twentieth of the rare type, a fortieth of the patient."""
    cursor = connected.cursor()
    async with cursor.copy(_COPY) as copy:
        for number in range(rows):
            await copy.write_row(
                (
                    store.PROJECT,
                    RARE if number % 20 == 3 else COMMON,
                    f"bbbbbbbb-0000-4000-8000-{number:012}",
                    "1",
                    PATIENT if number % 40 == 7 else None,
                    "note",
                    0,
                    1,
                    "[Observation | 2024-01-01 | Result]",
                    "hash",
                    str(cloud.vector()),
                    WISH.model_version,
                    "2024-01-01T00:00:00Z",
                )
            )


@dataclass(frozen=True)
class Recall:
    """What a kind of search is expected to find."""

    types: tuple[str, ...] | None
    patient: str | None
    way: str
    least: float
    """Mean share of the ten nearest."""


async def _exact(
    connected: connection.Connection, vector: list[float], expected: Recall
) -> list[str]:
    cursor = await connected.execute(
        "SELECT fhir_resource_id::text FROM clinical_embeddings "
        "WHERE (%(types)s::text[] IS NULL OR fhir_resource_type = ANY (%(types)s)) "
        "AND (%(patient)s::uuid IS NULL OR patient_id = %(patient)s) "
        "ORDER BY (embedding <=> %(vector)s::halfvec) + 0 LIMIT %(limit)s",
        {
            "types": list(expected.types) if expected.types else None,
            "patient": expected.patient,
            "vector": str(vector),
            "limit": NEAREST,
        },
    )
    return [str(found) async for (found,) in cursor]


async def _expect(connected: connection.Connection, cloud: Cloud, expected: Recall) -> None:
    shares = []
    search.prepare(connected)
    for _ in range(QUERIES):
        vector = cloud.vector()
        found = await search.nearest(
            connected,
            search.Search(
                store.PROJECT, WISH.model_version, vector, LIMIT, expected.types, expected.patient
            ),
        )
        assert found.way == expected.way, expected
        nearest = await _exact(connected, vector, expected)
        assert len(nearest) == NEAREST
        shares.append(len({one.resource_id for one in found.hits[:NEAREST]} & set(nearest)))
    assert sum(shares) / NEAREST / QUERIES >= expected.least, expected


@pytest.mark.parametrize(
    "rows", [2_000, pytest.param(20_000, marks=pytest.mark.full)], ids=["2k", "20k"]
)
async def test_recall(
    postgres: support.Database, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A patient's search misses nothing; a type's and a project's next to nothing."""
    cloud = Cloud.of(rows // 50)
    await store.initialised(postgres.url, wanted=WISH)
    async with store.connected(postgres.url) as connected:
        await connected.execute(f"DROP INDEX {indexes.NAME}".encode())
        await _fill(connected, cloud, rows)
        # Without an index of its own, the rare type is read exactly.
        monkeypatch.setattr(type_indexes, "LEAST_ROWS", rows)
        await store.initialised(postgres.url, wanted=WISH)
        await connected.execute("VACUUM ANALYZE clinical_embeddings")
        rare = Recall((RARE,), None, "exact", 1.0)
        for expected in (
            Recall(None, PATIENT, "patient", 1.0),
            Recall((COMMON,), PATIENT, "patient", 1.0),
            Recall(None, None, "index", 0.97),
            Recall((COMMON,), None, "index", 0.97),
            Recall((COMMON, RARE), None, "index", 0.97),
            rare,
        ):
            await _expect(connected, cloud, expected)
        monkeypatch.setattr(type_indexes, "LEAST_ROWS", rows // 20)
        await store.initialised(postgres.url, wanted=WISH)
        await _expect(connected, cloud, Recall((RARE,), None, "type", 0.97))
