"""A table that the deployment guide made is taken over, with its rows."""

from __future__ import annotations

from typing import Any

import pytest

from medbots import errors
from medbots.database import connection, indexes, schema, table
from tests.support import postgres as support
from tests.support import store

CONDITION = "aaaaaaaa-0000-4000-8000-000000000001"
NOTE = "aaaaaaaa-0000-4000-8000-000000000002"
PATIENT = "aaaaaaaa-0000-4000-8000-00000000000f"
ACTIVE = "embedding-model/4/none"

_SHAPE = """
SELECT 'column', a.attname::text, concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid), a.attstorage)
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
  WHERE a.attrelid = 'clinical_embeddings'::regclass AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
  WHERE conrelid = 'clinical_embeddings'::regclass AND contype <> 'n'
UNION ALL SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
  WHERE indrelid = 'clinical_embeddings'::regclass
UNION ALL SELECT 'policy', 'its own', pg_get_expr(polqual, polrelid) FROM pg_policy
  WHERE polrelid = 'clinical_embeddings'::regclass
UNION ALL SELECT 'options', 'table', concat_ws(' ', reloptions::text, relrowsecurity) FROM pg_class
  WHERE oid = 'clinical_embeddings'::regclass
ORDER BY 1, 2
"""


async def _fetch(database: support.Database, query: str, *values: Any) -> list[Any]:
    async with store.connected(database.url) as connected:
        return await (await connected.execute(query.encode(), values)).fetchall()


async def _guide(database: support.Database, *statements: str, times: int = 1) -> None:
    async with store.connected(database.url) as connected:
        for _ in range(times):
            script = store.GUIDE if _ == 0 else _again(store.GUIDE)
            await connected.execute(script.encode())
        for statement in statements:
            await connected.execute(statement.encode())


def _again(script: str) -> str:
    """What a second run of the guide adds before it fails: one more unnamed index."""
    return script[: script.index("CREATE INDEX idx_")]


def _insert(
    resource: str, resource_id: str, index: str, text: str | None, vector: str | None, *, model: str
) -> str:
    shown = "NULL" if text is None else f"'{text}'"
    embedding = "NULL" if vector is None else f"'{vector}'"
    return (
        "INSERT INTO clinical_embeddings (fhir_resource_type, fhir_resource_id, patient_id, "  # noqa: S608
        "content_type, chunk_index, content_text, embedding, model_version) VALUES "
        f"('{resource}', '{resource_id}', '{PATIENT}', 'note', {index}, {shown}, {embedding}, "
        f"{model})"
    )


async def test_the_shape_is_the_same_as_a_new_one(
    postgres_server: support.Server, postgres: support.Database
) -> None:
    """Adopted or made anew, columns, constraints, indexes, options and policies are equal."""
    await _guide(postgres, times=3)
    await store.initialised(postgres.url)
    adopted = await _fetch(postgres, _SHAPE)
    with postgres_server.database() as empty:
        await store.initialised(empty.url)
        assert adopted == await _fetch(empty, _SHAPE)
    kinds = [row[0] for row in adopted]
    assert kinds.count("column") == 16
    assert kinds.count("index") == 4
    assert ("index", "clinical_embeddings_embedding_idx") in [row[:2] for row in adopted]


async def test_rows_are_kept(postgres: support.Database) -> None:
    """Every column of a row survives; what the guide did not know is marked as unknown."""
    await _guide(
        postgres,
        _insert("Condition", CONDITION, "0", "Asthma", "[1,2,3,4]", model="'embedding-model'"),
    )
    before = await _fetch(postgres, "SELECT id, created_at FROM clinical_embeddings")
    steps = await store.initialised(postgres.url)
    adopt = next(step for step in steps if step.key == "0002_adopt_guide_table")
    assert adopt.action is schema.Action.ADOPT
    assert f"adopted 1 rows of the earlier table for project {store.PROJECT}" in adopt.details
    rows = await _fetch(
        postgres,
        "SELECT id, created_at, project_id::text, fhir_resource_type, fhir_resource_id::text, "
        "patient_id::text, content_type, content_section, chunk_index, chunk_count, content_text, "
        "embedding::text, model_version, version_id, content_hash, "
        "extract(epoch FROM resource_updated_at)::int FROM clinical_embeddings",
    )
    assert rows == [
        (
            *before[0],
            store.PROJECT,
            "Condition",
            CONDITION,
            PATIENT,
            "note",
            None,
            0,
            1,
            "Asthma",
            "[1,2,3,4]",
            ACTIVE,
            "unknown",
            "unknown",
            0,
        )
    ]


async def test_the_next_event_replaces_an_adopted_row(postgres: support.Database) -> None:
    """No stored hash or time keeps a bot from writing a resource again."""
    await _guide(
        postgres,
        _insert("Condition", CONDITION, "0", "Asthma", "[1,2,3,4]", model="'embedding-model'"),
    )
    await store.initialised(postgres.url)
    rows = await _fetch(
        postgres,
        "SELECT max(content_hash), bool_or(resource_updated_at > '1970-01-02'::timestamptz) "
        "FROM clinical_embeddings",
    )
    assert rows == [("unknown", False)]


async def test_vectors_are_stored_in_line(postgres: support.Database) -> None:
    """After the rewrite nothing of a vector lies in TOAST, as it did in the guide's layout."""
    wide = store.GUIDE.replace("VECTOR(4)", "VECTOR(768)")
    fill = (
        "INSERT INTO clinical_embeddings (fhir_resource_type, fhir_resource_id, content_text, "
        "embedding) SELECT 'Observation', gen_random_uuid(), 'text', "
        "array_fill(random()::real + 0.1, ARRAY[768])::vector FROM generate_series(1, 50)"
    )
    toast = (
        "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE relname = 'clinical_embeddings'"
    )
    async with store.connected(postgres.url) as connected:
        await connected.execute(wide.encode())
        await connected.execute(fill.encode())
    assert (await _fetch(postgres, toast))[0][0] > 50 * 3000
    await store.initialised(postgres.url, wanted=store.wish(dimension=768))
    assert await _fetch(postgres, toast) == [(0,)]
    assert await _fetch(postgres, "SELECT count(*) FROM clinical_embeddings") == [(50,)]


async def test_chunk_numbers_are_mended(postgres: support.Database) -> None:
    """Missing and doubled numbers, and two types that share an id, become counts from 0."""
    await _guide(
        postgres,
        _insert("Condition", CONDITION, "1", "c1", "[1,0,0,0]", model="'m'"),
        _insert("Observation", CONDITION, "0", "o0", "[1,0,0,0]", model="'m'"),
        _insert("Observation", CONDITION, "2", "o2", "[1,0,0,0]", model="'m'"),
        _insert("DocumentReference", NOTE, "NULL", "n-a", "[1,0,0,0]", model="'m'"),
        _insert("DocumentReference", NOTE, "NULL", "n-b", "[1,0,0,0]", model="'m'"),
        _insert("DocumentReference", NOTE, "0", "n0", "[1,0,0,0]", model="'m'"),
    )
    steps = await store.initialised(postgres.url)
    rows = await _fetch(
        postgres,
        "SELECT fhir_resource_type, content_text, chunk_index, chunk_count "
        "FROM clinical_embeddings ORDER BY fhir_resource_type, chunk_index",
    )
    assert rows == [
        ("Condition", "c1", 0, 1),
        ("DocumentReference", "n0", 0, 3),
        ("DocumentReference", "n-a", 1, 3),
        ("DocumentReference", "n-b", 2, 3),
        ("Observation", "o0", 0, 2),
        ("Observation", "o2", 1, 2),
    ]
    adopt = next(step for step in steps if step.key == "0002_adopt_guide_table")
    assert any(line.startswith("gave 4 rows a new chunk_index") for line in adopt.details)


async def test_what_cannot_be_a_row_is_set_aside(postgres: support.Database) -> None:
    """Rows without a usable vector move to a table of their own, whole, with the reason."""
    await _guide(
        postgres,
        _insert("Condition", CONDITION, "0", "none", None, model="'m'"),
        _insert("Condition", CONDITION, "1", "zero", "[0,0,0,0]", model="'m'"),
        _insert("Condition", CONDITION, "2", "tiny", "[1e-20,0,0,0]", model="'m'"),
        _insert("Condition", CONDITION, "3", "huge", "[70000,0,0,0]", model="'m'"),
        _insert("Condition", CONDITION, "4", "fine", "[1,0,0,0]", model="'m'"),
    )
    steps = await store.initialised(postgres.url)
    rows = await _fetch(
        postgres,
        "SELECT content ->> 'content_text', reason, content ->> 'embedding', "
        "content ->> 'fhir_resource_id' FROM clinical_embeddings_set_aside ORDER BY 1",
    )
    assert rows == [
        ("huge", "its vector has values beyond 65504", "[70000,0,0,0]", CONDITION),
        ("none", "it has no vector", None, CONDITION),
        ("tiny", "its vector is zero, which no search finds", "[1e-20,0,0,0]", CONDITION),
        ("zero", "its vector is zero, which no search finds", "[0,0,0,0]", CONDITION),
    ]
    kept = await _fetch(postgres, "SELECT content_text, chunk_index FROM clinical_embeddings")
    assert kept == [("fine", 0)]
    adopt = next(step for step in steps if step.key == "0002_adopt_guide_table")
    assert any("moved 4 rows to clinical_embeddings_set_aside" in line for line in adopt.details)


async def test_what_is_set_aside_is_the_owners(postgres: support.Database) -> None:
    """Where everybody may read new tables, the text of records that were set aside stays shut."""
    await _guide(postgres, _insert("Condition", CONDITION, "0", "none", None, model="'m'"))
    visitor = f"visitor_{postgres.name}"
    async with store.connected(postgres.url) as owner:
        await owner.execute(f"CREATE ROLE {visitor}".encode())
        await owner.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")
        await store.initialised(postgres.url)
        seen = []
        for role in ("NONE", visitor):
            await owner.execute(f"SET ROLE {role}".encode())
            cursor = await owner.execute("SELECT count(*) FROM clinical_embeddings_set_aside")
            seen.append(await cursor.fetchone())
    assert seen == [(1,), (0,)]


async def test_without_such_rows_no_table_is_left(postgres: support.Database) -> None:
    """The table of rows set aside exists only where it holds one."""
    await _guide(postgres, _insert("Condition", CONDITION, "0", "a", "[1,0,0,0]", model="'m'"))
    await store.initialised(postgres.url)
    found = await _fetch(postgres, "SELECT to_regclass('clinical_embeddings_set_aside') IS NULL")
    assert found == [(True,)]


@pytest.mark.parametrize(
    ("model", "prefix", "becomes"),
    [
        ("'embedding-model'", "none", "embedding-model/4/none"),
        ("'embedding-model'", "nomic", "embedding-model"),
        ("NULL", "none", "unknown"),
        ("''", "none", "unknown"),
        ("'  '", "none", "unknown"),
        ("'nomic-embed-text'", "none", "nomic-embed-text"),
    ],
)
async def test_models(postgres: support.Database, model: str, prefix: str, becomes: str) -> None:
    """Only rows that name the model in use count as its own; others wait to be embedded again."""
    await _guide(postgres, _insert("Condition", CONDITION, "0", "a", "[1,0,0,0]", model=model))
    wanted = store.wish(prefix=prefix)
    steps = await store.initialised(postgres.url, wanted=wanted)
    assert await _fetch(postgres, "SELECT model_version FROM clinical_embeddings") == [(becomes,)]
    adopt = next(step for step in steps if step.key == "0002_adopt_guide_table")
    told = any("embedded again" in line for line in adopt.details)
    assert told is (becomes != wanted.model_version)


async def test_missing_text_type_and_time(postgres: support.Database) -> None:
    """NULLs that the new columns do not take are filled, and the row stays."""
    await _guide(
        postgres,
        _insert("Condition", CONDITION, "0", None, "[1,0,0,0]", model="'m'"),
        "UPDATE clinical_embeddings SET content_type = NULL, created_at = NULL, patient_id = NULL",
    )
    await store.initialised(postgres.url)
    rows = await _fetch(
        postgres,
        "SELECT content_text, content_type, created_at <= now(), patient_id "
        "FROM clinical_embeddings",
    )
    assert rows == [("", "unknown", True, None)]


async def test_the_users_own_things_stay(postgres: support.Database) -> None:
    """A column, an index, a grant and a view of the user's own survive."""
    await _guide(
        postgres,
        "ALTER TABLE clinical_embeddings ADD COLUMN reviewed boolean DEFAULT true",
        "CREATE INDEX by_review ON clinical_embeddings (reviewed)",
        "GRANT SELECT ON clinical_embeddings TO pg_monitor",
        "CREATE VIEW reviewed AS SELECT id, content_text FROM clinical_embeddings WHERE reviewed",
        _insert("Condition", CONDITION, "0", "a", "[1,0,0,0]", model="'m'"),
    )
    await store.initialised(postgres.url)
    assert await _fetch(postgres, "SELECT content_text FROM reviewed") == [("a",)]
    assert await _fetch(postgres, "SELECT to_regclass('by_review') IS NOT NULL") == [(True,)]
    granted = "SELECT has_table_privilege('pg_monitor', 'clinical_embeddings', 'SELECT')"
    assert await _fetch(postgres, granted) == [(True,)]


async def test_every_index_of_the_guide_goes(postgres: support.Database) -> None:
    """Three runs of the guide left three vector indexes: one valid HNSW stands afterwards."""
    await _guide(postgres, times=3)
    async with store.connected(postgres.url) as connected:
        assert len(await indexes.find(connected)) == 3
    await store.initialised(postgres.url)
    async with store.connected(postgres.url) as connected:
        found = await indexes.find(connected)
        assert [(one.name, one.kind, one.valid, one.model_version) for one in found] == [
            (indexes.NAME, "hnsw", True, ACTIVE)
        ]
    rest = await _fetch(
        postgres, "SELECT indexname FROM pg_indexes WHERE indexname ~ '^idx_embeddings'"
    )
    assert rest == []


async def test_a_wrong_dimension_is_refused(postgres: support.Database) -> None:
    """A table of another dimension is left as it was; the hint names both cures."""
    await _guide(postgres, _insert("Condition", CONDITION, "0", "a", "[1,0,0,0]", model="'m'"))
    secrets = store.Secrets()
    with pytest.raises(errors.DatabaseError) as caught:
        await store.initialised(postgres.url, secrets, store.wish(dimension=768))
    assert caught.value.message == (
        "public.clinical_embeddings holds vectors of 4 dimensions; the manifest says 768"
    )
    assert "EMBEDDING_DIM=4" in (caught.value.hint or "")
    assert "medbots db init takes its rows over; then medbots db migrate --reembed" in (
        caught.value.hint or ""
    )
    async with store.connected(postgres.url) as connected:
        assert (await table.inspect(connected)).origin is table.Origin.GUIDE
    assert await _fetch(postgres, "SELECT to_regclass('medbots_migrations')") == [(None,)]
    assert secrets.writes == 0


async def test_a_column_without_a_dimension(postgres: support.Database) -> None:
    """Where the column took vectors of any length, those of another length are set aside."""
    script = store.GUIDE.replace("VECTOR(4)", "VECTOR")
    script = script[: script.index("CREATE INDEX ON")]
    async with store.connected(postgres.url) as connected:
        await connected.execute(script.encode())
        for index, vector in enumerate(("[1,2,3,4]", "[1,2]")):
            statement = _insert("Condition", CONDITION, str(index), vector, vector, model="'m'")
            await connected.execute(statement.encode())
    await store.initialised(postgres.url)
    assert await _fetch(postgres, "SELECT content_text FROM clinical_embeddings") == [
        ("[1,2,3,4]",)
    ]
    aside = await _fetch(postgres, "SELECT reason FROM clinical_embeddings_set_aside")
    assert aside == [("its vector has 2 dimensions",)]


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("CREATE VIEW clinical_embeddings AS SELECT 1 AS id", "no ordinary table"),
        ("CREATE TABLE clinical_embeddings (id int, text text)", "column id is integer, not uuid"),
        (
            "CREATE TABLE clinical_embeddings (id uuid, project_id text)",
            "column project_id is text, not uuid",
        ),
    ],
)
async def test_a_foreign_table_is_left_alone(
    postgres: support.Database, statement: str, word: str
) -> None:
    """What is neither ours nor the guide's is not touched, and what is odd about it is said."""
    async with store.connected(postgres.url) as connected:
        await connected.execute(statement.encode())
    with pytest.raises(errors.DatabaseError) as caught:
        await store.initialised(postgres.url)
    assert word in caught.value.message
    assert "neither medbots' table nor the guide's" in caught.value.message


async def test_somebody_who_uses_the_table_is_waited_for(
    postgres: support.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that keeps the table is waited for so long, then named as the reason."""
    await _guide(postgres)
    monkeypatch.setitem(connection._SESSION, "lock_timeout", "300ms")
    async with store.connected(postgres.url) as user, user.transaction():
        await user.execute("SELECT count(*) FROM clinical_embeddings")
        with pytest.raises(errors.DatabaseError, match="lock timeout") as caught:
            await store.initialised(postgres.url)
    assert "pg_stat_activity" in (caught.value.hint or "")
    steps = await store.initialised(postgres.url)
    assert steps[-1].kind == "secret"
