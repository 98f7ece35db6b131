"""Rare types have an index of their own, as long as they are rare and numerous."""

from __future__ import annotations

import pytest

from medbots.database import indexes, maintenance, schema, type_indexes, upkeep, wear
from tests.support import postgres as support
from tests.support import store

ACTIVE = "embedding-model/4/none"
_ROWS = """
INSERT INTO clinical_embeddings (
  project_id, fhir_resource_type, fhir_resource_id, version_id, content_type, chunk_index,
  chunk_count, content_text, content_hash, embedding, model_version, resource_updated_at
)
SELECT %s, %s, gen_random_uuid(), '1', 'note', 0, 1, 'text', 'hash',
  ('[1,2,3,' || n || ']')::halfvec, %s, now()
FROM generate_series(1, %s) AS n
"""


@pytest.mark.parametrize(
    ("counts", "standing", "wanted"),
    [
        ({}, (), set()),
        ({"Observation": 1_000}, (), set()),
        ({"Observation": 9_000, "Condition": 1_000}, (), {"Condition"}),
        ({"Observation": 9_000, "Condition": 999}, (), set()),
        ({"Observation": 8_990, "Condition": 1_000}, (), set()),
        ({"Observation": 60_000, "Condition": 3_000, "Note": 4_000}, (), {"Condition", "Note"}),
        # What stands stays a while, so that it does not come and go.
        ({"Observation": 9_000, "Condition": 500}, ("Condition",), {"Condition"}),
        ({"Observation": 9_000, "Condition": 499}, ("Condition",), set()),
        ({"Observation": 8_500, "Condition": 1_500}, ("Condition",), {"Condition"}),
        ({"Observation": 8_400, "Condition": 1_600}, ("Condition",), set()),
        ({"Observation": 8_500, "Condition": 1_500}, (), set()),
        ({"Observation": 9_000}, ("Condition",), set()),
    ],
)
def test_which_types_have_one(
    counts: dict[str, int], standing: tuple[str, ...], wanted: set[str]
) -> None:
    """From 1,000 rows on, up to a tenth of the model's; what stands is given some leeway."""
    assert type_indexes.wanted(counts, standing) == wanted


_BOTH = (
    "(((model_version)::text = 'o''brien'::text) AND ((fhir_resource_type)::text = "
    "'Condition'::text))"
)


@pytest.mark.parametrize(
    ("predicate", "model", "resource_type"),
    [
        ("((model_version)::text = 'a/4/none'::text)", "a/4/none", None),
        (
            _BOTH,
            "o'brien",
            "Condition",
        ),
        ("((fhir_resource_type)::text = 'Condition'::text)", None, None),
        ("(((model_version)::text = 'a'::text) AND (chunk_index = 0))", None, None),
        ("", None, None),
    ],
)
def test_what_an_index_is_of(predicate: str, model: str | None, resource_type: str | None) -> None:
    """An index is of a model, or of a model and a type, by its predicate alone."""
    index = indexes.Index("i", "hnsw", valid=True, predicate=predicate)
    assert (index.model_version, index.resource_type) == (model, resource_type)
    assert (indexes.of_model((index,), "a/4/none") is index) is (model == "a/4/none")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty rows of a type are enough for an index."""
    monkeypatch.setattr(type_indexes, "LEAST_ROWS", 20)
    monkeypatch.setattr(type_indexes, "_ROWS_TO_STAY", 10)


async def _fill(database: support.Database, *, model: str = ACTIVE, **counts: int) -> None:
    async with store.connected(database.url) as connected:
        for resource_type, rows in counts.items():
            await connected.execute(_ROWS, [store.PROJECT, resource_type, model, rows])


async def _steps(database: support.Database, alias: str = "embedding-model") -> list[schema.Step]:
    steps = await store.initialised(database.url, wanted=store.wish(alias=alias))
    return [one for one in steps if one.kind == "index" and one.key != indexes.NAME]


async def _types(database: support.Database) -> list[tuple[str, bool, str | None]]:
    async with store.connected(database.url) as connected:
        return [
            (one.name, one.valid, one.model_version)
            for one in await indexes.find(connected)
            if one.resource_type is not None
        ]


CONDITION = "clinical_embeddings_embedding_condition_idx"


@pytest.mark.usefixtures("few")
async def test_it_comes_and_goes_with_its_rows(postgres: support.Database) -> None:
    """A rare type gets its index at the next init, and loses it when its rows are too few."""
    await store.initialised(postgres.url)
    await _fill(postgres, Observation=300, Condition=20, Note=19)
    (step,) = await _steps(postgres)
    assert (step.key, step.action) == (CONDITION, schema.Action.CREATE)
    assert step.details[0].startswith("20 rows of type Condition, 5.9% of the model's: ")
    (step,) = await _steps(postgres)
    assert (step.key, step.action) == (CONDITION, schema.Action.UNCHANGED)
    assert await _types(postgres) == [(CONDITION, True, ACTIVE)]
    async with store.connected(postgres.url) as connected:
        await connected.execute(
            "DELETE FROM clinical_embeddings WHERE fhir_resource_type = 'Condition'"
        )
    (step,) = await _steps(postgres)
    assert (step.key, step.action) == (CONDITION, schema.Action.DELETE)
    assert await _types(postgres) == []


@pytest.mark.usefixtures("few")
async def test_an_invalid_one_is_built_again(postgres: support.Database) -> None:
    """What an interrupted build left is replaced."""
    await store.initialised(postgres.url)
    await _fill(postgres, Observation=300, Condition=20)
    await _steps(postgres)
    async with store.connected(postgres.url) as connected:
        await connected.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [CONDITION]
        )
    actions = [(one.key, one.action) for one in await _steps(postgres)]
    assert actions == [(CONDITION, schema.Action.DELETE), (CONDITION, schema.Action.CREATE)]
    assert await _types(postgres) == [(CONDITION, True, ACTIVE)]


@pytest.mark.usefixtures("few")
async def test_each_model_has_its_own(postgres: support.Database) -> None:
    """A second model's index of a type gets another name; each goes with its model's rows."""
    await store.initialised(postgres.url)
    await _fill(postgres, Observation=300, Condition=20)
    await _steps(postgres)
    other = "bge-m3/4/none"
    await _fill(postgres, model=other, Observation=300, Condition=20)
    await _steps(postgres, "bge-m3")
    found = await _types(postgres)
    assert [model for _, _, model in found] == [ACTIVE, other]
    assert found[0][0] == CONDITION
    assert found[1][0].startswith(f"{CONDITION}_")
    async with store.connected(postgres.url) as connected:
        await connected.execute(
            "DELETE FROM clinical_embeddings WHERE model_version = %s", [ACTIVE]
        )
    await _steps(postgres, "bge-m3")
    assert await _types(postgres) == [found[1]]


@pytest.mark.usefixtures("few")
async def test_any_name_of_a_type_makes_a_name(postgres: support.Database) -> None:
    """Long and strange names of types are cut and quoted: the index is found again by its type."""
    await store.initialised(postgres.url)
    strange = {"MedicationAdministrationOfAVeryLongName": 20, "it's; DROP": 21}
    await _fill(postgres, Observation=1_000, **strange)
    assert {one.action for one in await _steps(postgres)} == {schema.Action.CREATE}
    again = await _steps(postgres)
    assert {one.action for one in again} == {schema.Action.UNCHANGED}
    assert all(len(one.key) <= 63 for one in again)
    async with store.connected(postgres.url) as connected:
        found = await indexes.find(connected)
    assert {one.resource_type for one in found} == {None, *strange}


@pytest.mark.usefixtures("few")
async def test_maintenance_makes_it_too(postgres: support.Database) -> None:
    """A dry run of maintenance says what is due; a run builds it, and drops it at its end."""
    await store.initialised(postgres.url)
    await _fill(postgres, Observation=300, Condition=20)

    async def maintained(*, dry_run: bool = False) -> list[tuple[bool, bool]]:
        async with store.connected(postgres.url) as connected:
            steps = maintenance.maintain(connected, ACTIVE, dry_run=dry_run)
            return [(one.step.due, one.ran) async for one in steps if one.step.target == CONDITION]

    assert await maintained(dry_run=True) == [(True, False)]
    assert await _types(postgres) == []
    assert (await maintained())[0] == (True, True)
    assert await _types(postgres) == [(CONDITION, True, ACTIVE)]
    assert (await maintained())[0] == (False, False)
    async with store.connected(postgres.url) as connected:
        await connected.execute(
            "DELETE FROM clinical_embeddings WHERE fhir_resource_type = 'Condition'"
        )
    assert await maintained() == [(True, True)]
    assert await _types(postgres) == []


@pytest.mark.parametrize(("deleted", "due"), [(1_000, False), (10_000, True)])
def test_the_churn_of_other_types_wears_out_none(deleted: int, *, due: bool) -> None:
    """Deletions are counted for the table: as many as a type has rows are few of all."""
    index = wear.Index(CONDITION, 1_000, wear.warranted(1_000, 768, 16), 16)
    found = wear.Table(
        name="public.clinical_embeddings",
        rows=20_000,
        live=20_000,
        dead=0,
        deleted=deleted,
        updated=0,
        modified=0,
        analyzed_at=None,
        inserted=0,
        vacuumed_at=None,
        dimension=768,
        owned=True,
        indexes=(index,),
    )
    (step,) = [one for one in upkeep.of_table(found) if one.kind is upkeep.Kind.REINDEX]
    assert step.due is due
