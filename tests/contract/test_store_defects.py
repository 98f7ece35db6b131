"""What breaks in the deployment guide's table, and does not in medbots'.

Each scenario counts a defect. It must be none in medbots' store; and it must be there in the
guide's, else the scenario shows nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import psycopg
import pytest

from medbots import errors
from tests.support import defects
from tests.support import postgres as support

Scenario = Callable[[defects.Store], Awaitable[int]]

_VECTOR_INDEXES = """
SELECT count(*), count(*) FILTER (WHERE NOT i.indisvalid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE i.indrelid = 'clinical_embeddings'::regclass AND a.amname IN ('hnsw', 'ivfflat')
"""


async def _insert(subject: defects.Store, index: int | None, vector: str) -> int:
    """Add a row; return how many were added, none where the table refuses it."""
    try:
        await subject.fetch(subject.insert, index, vector)
    except (psycopg.IntegrityError, errors.DatabaseError):
        return 0
    return 1


async def _takes_good_rows(subject: defects.Store) -> None:
    """Assert that it is what is wrong with a row by which it is refused, and nothing else."""
    assert await _insert(subject, 7, defects.VECTOR) == 1


async def overwritten_across_types(subject: defects.Store) -> int:
    """Two records of different types have the same id: texts that are lost."""
    first = defects.Resource("Condition")
    await subject.ingest(first, ["asthma"])
    await subject.ingest(defects.Resource("Observation", first.id), ["peak flow"])
    found = await subject.search()
    return len({"asthma", "peak flow"} - set(found))


async def doubled_without_an_index(subject: defects.Store) -> int:
    """A chunk without an index comes twice: rows that the key does not tell apart."""
    await _takes_good_rows(subject)
    added = [await _insert(subject, None, defects.VECTOR) for _ in range(2)]
    return max(sum(added) - 1, 0)


async def stale_chunks(subject: defects.Store) -> int:
    """A record of five chunks comes to have two: texts that are found and no longer there."""
    record = defects.Resource()
    await subject.ingest(record, [f"old {number}" for number in range(5)])
    await subject.ingest(record, ["new 0", "new 1"])
    rows = await subject.fetch("SELECT content_text FROM clinical_embeddings")
    assert {"new 0", "new 1"} <= {text for (text,) in rows}
    return sum(text.startswith("old") for (text,) in rows)


async def found_of_another_model(subject: defects.Store) -> int:
    """Records are embedded by two models: what a search by one finds of the other."""
    await subject.ingest(defects.Resource(), ["by this model"])
    await subject.ingest(defects.Resource(), ["by another"], "bge-m3/4/none", "[4,-3,2,-1]")
    found = await subject.search()
    assert "by this model" in found
    return found.count("by another")


async def accepted_and_never_found(subject: defects.Store) -> int:
    """A zero vector is stored: rows that are there and that the index does not find."""
    accepted = await _insert(subject, 0, "[0,0,0,0]")
    await _takes_good_rows(subject)
    found = (await subject.by_index()).count("raw")
    assert found >= 1
    return accepted + 1 - found


async def indexes_too_many(subject: defects.Store) -> int:
    """It is initialised twice: vector indexes beside the first."""
    await subject.init()
    (indexes, _) = (await subject.fetch(_VECTOR_INDEXES))[0]
    assert indexes >= 1
    return int(indexes) - 1


async def invalid_indexes_left(subject: defects.Store) -> int:
    """A build was interrupted: invalid indexes that another init leaves as they are."""
    await subject.ingest(defects.Resource(), ["asthma"])
    await subject.fetch(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid IN (SELECT i.indexrelid "
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam "
        "WHERE i.indrelid = 'clinical_embeddings'::regclass AND a.amname IN ('hnsw', 'ivfflat'))"
    )
    # The search gives no error in either store: only its plan tells.
    assert await subject.search() == ["asthma"]
    await subject.init()
    (_, invalid) = (await subject.fetch(_VECTOR_INDEXES))[0]
    return int(invalid)


async def dead_tuples(subject: defects.Store) -> int:
    """An unchanged record is ingested again: rows that were written anew."""
    record = defects.Resource()
    texts = ["one", "two", "three"]
    query = "SELECT ctid::text, xmin::text FROM clinical_embeddings ORDER BY chunk_index"
    await subject.ingest(record, texts)
    before = await subject.fetch(query)
    await subject.ingest(record, texts)
    after = await subject.fetch(query)
    assert len(before) == len(after) == len(texts)
    return sum(old != new for old, new in zip(before, after, strict=True))


SCENARIOS: list[tuple[Scenario, int]] = [
    (overwritten_across_types, 1),
    (doubled_without_an_index, 1),
    (stale_chunks, 3),
    (found_of_another_model, 1),
    (accepted_and_never_found, 1),
    (indexes_too_many, 1),
    (invalid_indexes_left, 1),
    (dead_tuples, 3),
]
"""With how often each shows in the guide's table."""


@pytest.mark.parametrize(
    ("scenario", "expected"), SCENARIOS, ids=[scenario.__name__ for scenario, _ in SCENARIOS]
)
async def test_the_guides_table_has_it(
    postgres: support.Database, scenario: Scenario, expected: int
) -> None:
    """The scenario shows the defect where it is known to be."""
    guide = defects.Guide(postgres)
    await guide.init()
    assert await scenario(guide) == expected


@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario, _ in SCENARIOS],
    ids=[scenario.__name__ for scenario, _ in SCENARIOS],
)
async def test_ours_has_not(postgres: support.Database, scenario: Scenario) -> None:
    """The same statements on medbots' store show none."""
    ours = defects.Ours(postgres)
    await ours.init()
    assert await scenario(ours) == 0
