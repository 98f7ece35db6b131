"""The checks of database and embeddings, on a real Postgres."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest

from medbots import check, errors, secret, state
from medbots.checks import rows
from medbots.database import connection as connection_module
from medbots.database import schema
from tests.support.fake_server import FakeServer
from tests.support.postgres import Database
from tests.support.stand import Stand

PASS, WARN, FAIL, SKIP = check.Status.PASS, check.Status.WARN, check.Status.FAIL, check.Status.SKIP
VERSION = "embedding-model/768/none"

pytestmark = pytest.mark.enable_socket


class Store:
    """Keeps the bots' URL."""

    def __init__(self) -> None:
        self.url: secret.Secret | None = None

    async def read(self) -> secret.Secret | None:
        """Return the URL."""
        return self.url

    async def write(self, url: secret.Secret) -> None:
        """Store the URL."""
        self.url = url


@pytest.fixture
def project() -> str:
    """The id of a project."""
    return str(uuid.uuid4())


async def init(url: secret.Secret, project: str, dimension: int = 768) -> secret.Secret:
    """Do what `db init` does; return the bots' URL."""
    store = Store()
    version = f"embedding-model/{dimension}/none"
    wish = schema.Wish(project, "embedding-model", dimension, "none", version)
    async with await connection_module.connect(url) as connection:
        async for _ in schema.init(connection, wish, store):
            pass
    assert store.url is not None
    return store.url


@pytest.fixture
async def empty(postgres: Database, project: str) -> Stand:
    """Everything is deployed, and the database has pgvector and nothing else."""
    server = FakeServer(project=state.Project(project, "Clinic", frozenset({"bots"}), {}))
    stand = await Stand.deployed(server=server, url=postgres.url)
    stand.clinic.project = replace(stand.clinic.project, id=project)
    return stand


@pytest.fixture
async def stand(empty: Stand, postgres: Database, project: str) -> Stand:
    """Everything stands."""
    url = await init(postgres.url, project)
    empty.change_project(secrets={**(empty.server.project.secrets or {}), "DATABASE_URL": url})
    return empty


@pytest.fixture
async def owner(postgres: Database) -> AsyncIterator[psycopg.AsyncConnection[object]]:
    """A connection of the superuser."""
    url = postgres.url.reveal()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection  # type: ignore[misc]


def insert(project: str, version: str = VERSION) -> tuple[str, list[object]]:
    """Return the statement that adds one row."""
    vector = "[" + ",".join(["0.1"] * 768) + "]"
    return (
        (
            "INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, "
            "version_id, content_type, chunk_index, chunk_count, content_text, content_hash, "
            "embedding, model_version, resource_updated_at) VALUES (%s, 'Condition', "
            "gen_random_uuid(), 'v', 'x', 0, 1, 'Jane Doe has gout', 'h', %s::halfvec, %s, now()) "
        ),
        [project, vector, version],
    )


async def test_all_pass(stand: Stand) -> None:
    """After `db init`, every check of the database and the embeddings passes."""
    seen = await stand.look("database.*", "embeddings.*")
    assert {name: one.status for name, one in seen.items()} == dict.fromkeys(seen, PASS)
    assert "its password opens" in seen["database.role"].observed
    assert seen["embeddings.rows"].observed == "no rows yet"


async def test_before_db_init(empty: Stand) -> None:
    """Before it, the schema fails with the command, and the rest is skipped for that."""
    seen = await empty.look("database.*", "embeddings.*")
    assert seen["database.pgvector"].status is PASS
    result = seen["database.schema"]
    assert (result.status, result.fix) == (FAIL, "medbots db init")
    assert result.observed.startswith("pending: 0001_")
    for name in ("database.role", "embeddings.contract", "embeddings.index"):
        assert seen[name].reason == "database.schema failed"


async def test_without_pgvector(empty: Stand, owner: psycopg.AsyncConnection[object]) -> None:
    """A database without the extension says so."""
    await owner.execute("DROP EXTENSION vector")
    result = (await empty.look("database.*"))["database.pgvector"]
    assert (result.status, result.observed, result.fix) == (
        FAIL,
        "not in this database",
        "medbots db init",
    )


@pytest.mark.parametrize(
    ("version", "status"), [("0.7.4", FAIL), ("0.8.0", WARN), ("0.8.3", WARN), ("0.8.4", PASS)]
)
async def test_pgvector_versions(
    empty: Stand, owner: psycopg.AsyncConnection[object], version: str, status: check.Status
) -> None:
    """Too old fails, old enough to be dangerous warns."""
    await owner.execute(
        "UPDATE pg_extension SET extversion = %s WHERE extname = 'vector'", [version]
    )
    result = (await empty.look("database.pgvector"))["database.pgvector"]
    assert result.status is status
    assert version in result.observed


async def test_a_changed_migration(stand: Stand, owner: psycopg.AsyncConnection[object]) -> None:
    """A history of other texts than this release's fails."""
    await owner.execute("UPDATE medbots_migrations SET checksum = 'sha256:0' WHERE version = 3")
    result = (await stand.look("database.*"))["database.schema"]
    assert result.status is FAIL
    assert "0003_" in result.observed


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER ROLE {} SUPERUSER", "it has powers over the server"),
        ("ALTER ROLE {} BYPASSRLS", "it has powers over the server"),
        ("ALTER ROLE {} NOLOGIN", "it may not log in"),
        (
            "REVOKE DELETE ON clinical_embeddings FROM {}",
            "it lacks DELETE on public.clinical_embeddings",
        ),
        (
            "GRANT TRUNCATE ON clinical_embedding_tombstones TO {}",
            "it has TRUNCATE on public.clinical_embedding_tombstones",
        ),
        ("DROP POLICY {} ON clinical_embeddings", "no policy holds it"),
        ("ALTER TABLE clinical_embeddings DISABLE ROW LEVEL SECURITY -- {}", "no policy holds it"),
        ("ALTER POLICY {} ON clinical_embeddings USING (true)", "no policy holds it"),
        ("ALTER POLICY {} ON clinical_embeddings WITH CHECK (true)", "no policy holds it"),
        ("GRANT pg_read_all_data TO {}", "it is in pg_read_all_data"),
        ("ALTER ROLE {} PASSWORD 'another'", "is refused"),
    ],
)
async def test_a_role_that_was_changed(
    stand: Stand, owner: psycopg.AsyncConnection[object], statement: str, said: str
) -> None:
    """A right too many or too few fails with its name, and `db init` mends it."""
    name = _role(stand)
    await owner.execute(statement.format(f'"{name}"').encode())
    result = (await stand.look("database.role"))["database.role"]
    assert (result.status, result.fix) == (FAIL, "medbots db init")
    assert said in result.observed


async def test_a_policy_of_others_that_opens_the_rows(
    stand: Stand, owner: psycopg.AsyncConnection[object]
) -> None:
    """Policies add up: one for everybody undoes the limit, and the cure is to drop that one."""
    await owner.execute("CREATE POLICY everybody ON clinical_embeddings USING (true)")
    result = (await stand.look("database.role"))["database.role"]
    assert (result.status, result.fix) == (FAIL, "DROP POLICY everybody ON clinical_embeddings")
    assert "rows of other projects" in result.observed


def _role(stand: Stand) -> str:
    url = (stand.server.project.secrets or {})["DATABASE_URL"]
    return connection_module.address(url).user


async def test_a_secret_of_somebody_else(stand: Stand) -> None:
    """A secret that names another role than the project's own fails, and is not shown."""
    other = secret.Secret("postgresql://medplum:hunter2@localhost/medplum")
    stand.change_project(secrets={**(stand.server.project.secrets or {}), "DATABASE_URL": other})
    result = (await stand.look("database.role"))["database.role"]
    assert (result.status, "DATABASE_URL is not its" in result.observed) == (FAIL, True)
    assert "hunter2" not in repr(result)


@pytest.mark.parametrize("name", ["database.reachable", "embeddings.index", "database.schema"])
async def test_a_missing_setting_is_named(stand: Stand, name: str) -> None:
    """Each check that needs the database fails without the setting, and names it."""
    del stand.environ["MEDBOTS_DATABASE_URL"]
    result = (await stand.look(name))[name]
    assert (result.status, result.observed) == (FAIL, "MEDBOTS_DATABASE_URL is not set")


async def test_a_database_that_is_down(stand: Stand) -> None:
    """What connecting said is the one failure."""
    stand.database = errors.UnreachableError("the database cannot be reached", hint="start it")
    seen = await stand.look("database.*", "embeddings.index")
    assert [name for name, one in seen.items() if one.status is FAIL] == ["database.reachable"]
    assert seen["embeddings.index"].reason == "database.reachable failed"


async def test_a_model_of_another_length(stand: Stand) -> None:
    """A model that answers other vectors than the column takes fails, with both lengths."""
    stand.dimension = 1536
    result = (await stand.look("embeddings.contract"))["embeddings.contract"]
    assert result.status is FAIL
    assert result.observed == "settings 768, column 768, embedding-model answers 1536"
    assert "768" in result.fix


async def deployed_with(stand: Stand, **values: str) -> None:
    """Let the bots work by these secrets."""
    known = stand.server.project.secrets or {}
    given = {name: secret.Secret(value) for name, value in values.items()}
    stand.change_project(secrets={**known, **given})


AT_FAULT = [
    (
        "384",
        {},
        "settings 384 (env EMBEDDING_DIM), column 768: the setting",
        "set EMBEDDING_DIM=768",
    ),
    (
        "384",
        {"EMBEDDING_DIM": "768"},
        "column 768: the setting",
        "set EMBEDDING_DIM=768, or models.",
    ),
    (
        "384",
        {"EMBEDDING_DIM": "384"},
        "column 768: the column is at fault",
        "medbots db migrate --reembed",
    ),
    ("384", {"EMBEDDING_DIM": "512"}, "column 768, and the bots' secret differs", "decide on a"),
    (
        "768",
        {"EMBEDDING_DIM": "512"},
        "say otherwise: EMBEDDING_DIM",
        "EMBEDDING_DIM=768 medbots dep",
    ),
]


@pytest.mark.parametrize(
    "name",
    ["embeddings.settings", "embeddings.contract", "embeddings.rows", "embeddings.index"],
)
async def test_no_table_yet(empty: Stand, name: str) -> None:
    """Each check that looks for the table, asked for alone, names the command that makes it."""
    result = (await empty.look(name))[name]
    assert (result.status, result.fix) == (FAIL, "medbots db init")
    assert result.observed == "there is no table public.clinical_embeddings"


@pytest.mark.parametrize(("setting", "secrets", "observed", "fix"), AT_FAULT)
async def test_the_one_at_fault_is_named(
    stand: Stand, setting: str, secrets: dict[str, str], observed: str, fix: str
) -> None:
    """Of setting, secret and column the one that is alone is at fault, and is to be changed."""
    stand.environ["EMBEDDING_DIM"] = setting
    await deployed_with(stand, **secrets)
    seen = await stand.look("database.*", "embeddings.*", "router.*", "login.*")
    result = seen.pop("embeddings.settings")
    assert result.status is FAIL
    assert observed in result.observed
    assert result.fix.startswith(fix)
    # What rests on it says nothing of its own: its cure would be the wrong one.
    rest = {name: one.reason for name, one in seen.items() if name.startswith("embeddings.")}
    assert rest == dict.fromkeys(
        ("embeddings.contract", "embeddings.rows", "embeddings.index"), "embeddings.settings failed"
    )
    assert all(one.status is not FAIL for one in seen.values())


async def test_rows_tell_which_is_at_fault_where_secrets_are_hidden(
    stand: Stand, owner: psycopg.AsyncConnection[object], project: str
) -> None:
    """Without sight of the secrets a column with rows is what the bots work by."""
    stand.environ["EMBEDDING_DIM"] = "384"
    stand.server.rights = state.Rights()
    result = (await stand.look("embeddings.settings"))["embeddings.settings"]
    assert "the column is at fault" in result.observed
    await owner.execute(*insert(project))  # type: ignore[arg-type]
    result = (await stand.look("embeddings.settings"))["embeddings.settings"]
    assert "the setting is at fault" in result.observed
    # A secret that is seen counts for more than old rows.
    stand.server.rights = state.Rights(admin=True)
    await deployed_with(stand, EMBEDDING_DIM="384")
    result = (await stand.look("embeddings.settings"))["embeddings.settings"]
    assert "the column is at fault" in result.observed


async def test_an_index_alone_names_the_check_to_ask(stand: Stand) -> None:
    """In a run of this check alone, vectors of another length lead on and not to `db init`."""
    stand.environ["EMBEDDING_DIM"] = "384"
    result = (await stand.look("embeddings.index"))["embeddings.index"]
    assert (result.status, result.fix) == (FAIL, "medbots verify --only embeddings.settings")


async def test_rows_of_another_model(
    stand: Stand, owner: psycopg.AsyncConnection[object], project: str
) -> None:
    """Rows that no search finds warn beside right ones, and fail where there are no others."""
    await owner.execute(*insert(project, "old-model/768/none"))  # type: ignore[arg-type]
    result = (await stand.look("embeddings.rows"))["embeddings.rows"]
    assert result.status is FAIL
    assert "--reembed" in result.fix
    await owner.execute(*insert(project))  # type: ignore[arg-type]
    result = (await stand.look("embeddings.rows"))["embeddings.rows"]
    assert result.status is WARN
    assert "1 rows of old-model/768/none" in result.observed
    assert "gout" not in repr(result)
    # Once every record has a vector of the model in use, the others may go.
    assert "--drop-previous" not in result.fix
    await owner.execute(
        "UPDATE clinical_embeddings SET fhir_resource_id = (SELECT min(fhir_resource_id::text)"
        "::uuid FROM clinical_embeddings), resource_updated_at = now(), created_at = now()"
    )
    result = (await stand.look("embeddings.rows"))["embeddings.rows"]
    assert (result.status, "--drop-previous" in result.fix) == (WARN, True)


async def test_bots_that_would_find_nothing(
    stand: Stand, owner: psycopg.AsyncConnection[object], project: str
) -> None:
    """A model in the settings without vectors is not to be deployed but to be embedded first."""
    await deployed_with(stand, EMBEDDING_MODEL="old-model")
    stand.bots = tuple(
        replace(one, optional_secrets=(*one.optional_secrets, "EMBEDDING_MODEL"))
        for one in stand.bots
    )
    await owner.execute(*insert(project, "old-model/768/none"))  # type: ignore[arg-type]
    result = (await stand.look("embeddings.settings"))["embeddings.settings"]
    assert result.status is FAIL
    assert "records have no vectors" in result.observed
    assert result.fix.startswith("EMBEDDING_MODEL=embedding-model medbots db migrate --reembed")


async def test_rows_of_the_guides_table_warn(
    stand: Stand, owner: psycopg.AsyncConnection[object], project: str
) -> None:
    """Rows whose model nobody recorded are a task and no misconfiguration."""
    await owner.execute(*insert(project, "nomic-embed-text"))  # type: ignore[arg-type]
    await owner.execute("UPDATE clinical_embeddings SET content_hash = 'unknown'")
    result = (await stand.look("embeddings.rows"))["embeddings.rows"]
    assert result.status is WARN
    assert "1 rows of nomic-embed-text" in result.observed
    assert "--reembed" in result.fix


async def test_a_secret_that_says_otherwise(stand: Stand) -> None:
    """The bots work by the project's secrets, and without one by the default."""
    await deployed_with(stand, EMBEDDING_DIM="768")
    result = (await stand.look("embeddings.settings"))["embeddings.settings"]
    assert result.status is PASS
    bots = tuple(
        replace(one, optional_secrets=(*one.optional_secrets, "EMBEDDING_PREFIX_MODE"))
        for one in stand.bots
    )
    stand.bots = bots
    stand.environ["EMBEDDING_PREFIX_MODE"] = "nomic"
    result = (await stand.look("embeddings.settings"))["embeddings.settings"]
    assert result.status is FAIL
    assert result.observed.endswith("the bots' secrets say otherwise: EMBEDDING_PREFIX_MODE")
    assert result.fix == "EMBEDDING_PREFIX_MODE=nomic medbots deploy"


async def test_rows_of_another_project_do_not_count(
    stand: Stand, owner: psycopg.AsyncConnection[object]
) -> None:
    """Another project may use another model."""
    await owner.execute(*insert(str(uuid.uuid4()), "old-model/768/none"))  # type: ignore[arg-type]
    result = (await stand.look("embeddings.rows"))["embeddings.rows"]
    assert result.status is PASS


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP INDEX clinical_embeddings_embedding_idx", "none"),
        (
            (
                "UPDATE pg_index SET indisvalid = false "
                "WHERE indexrelid = 'clinical_embeddings_embedding_idx'::regclass"
            ),
            "invalid",
        ),
        (
            (
                "DROP INDEX clinical_embeddings_embedding_idx; CREATE INDEX "
                "clinical_embeddings_embedding_idx ON clinical_embeddings "
                "USING hnsw (embedding halfvec_cosine_ops) WHERE model_version = 'other'"
            ),
            "hnsw for other",
        ),
        (
            (
                "DROP INDEX clinical_embeddings_embedding_idx; CREATE INDEX "
                "clinical_embeddings_embedding_idx ON clinical_embeddings "
                "USING ivfflat (embedding halfvec_cosine_ops)"
            ),
            "ivfflat for all models",
        ),
    ],
)
async def test_an_index_that_serves_nobody(
    stand: Stand, owner: psycopg.AsyncConnection[object], statement: str, said: str
) -> None:
    """A missing, invalid or wrong index fails, and `db init` builds it."""
    await owner.execute("SET client_min_messages = error")
    await owner.execute(statement.encode())
    result = (await stand.look("embeddings.index"))["embeddings.index"]
    assert (result.status, result.fix) == (FAIL, "medbots db init")
    assert said in result.observed


async def test_another_index_that_is_invalid(
    stand: Stand, owner: psycopg.AsyncConnection[object]
) -> None:
    """An invalid index of a rare type is a warning: searches work, and for that type are slower."""
    await owner.execute("SET client_min_messages = error")
    await owner.execute(
        "CREATE INDEX clinical_embeddings_embedding_condition_idx ON clinical_embeddings "
        "USING hnsw (embedding halfvec_cosine_ops) "
        "WHERE model_version = 'embedding-model/768/none' AND fhir_resource_type = 'Condition'"
    )
    name = "embeddings.index"
    assert (await stand.look(name))[name].status is PASS
    await owner.execute(
        "UPDATE pg_index SET indisvalid = false "
        "WHERE indexrelid = 'clinical_embeddings_embedding_condition_idx'::regclass"
    )
    result = (await stand.look(name))[name]
    assert (result.status, result.fix) == (WARN, "medbots db init")
    assert result.observed.endswith("; invalid: clinical_embeddings_embedding_condition_idx")


async def test_rows_and_tombstones_of_one_record(
    stand: Stand, owner: psycopg.AsyncConnection[object], project: str
) -> None:
    """Rows are read and removed by project and record, and nothing of others."""
    await owner.execute(*insert(project))  # type: ignore[arg-type]
    await owner.execute(*insert(project))  # type: ignore[arg-type]
    found = await owner.execute("SELECT fhir_resource_id::text FROM clinical_embeddings")
    mine, other = [f"Condition/{one}" for (one,) in await found.fetchall()]  # type: ignore[misc]
    await owner.execute(
        "INSERT INTO clinical_embedding_tombstones VALUES (%s, 'Condition', %s, 'v', now())",
        [project, mine.partition("/")[2]],
    )
    async with stand.target() as target:
        table = await target.rows()
        assert await table.of(mine) == [rows.Row(768, VERSION)]
        assert await table.clear_tombstone(mine) is True
        assert await table.clear_tombstone(mine) is False
        await table.delete(mine)
        assert await table.of(mine) == []
        assert len(await table.of(other)) == 1


async def test_the_turn_to_fire(stand: Stand) -> None:
    """One session at a time has a project's turn, and gives it back."""
    async with stand.target() as one, stand.target() as two:
        first, second = await one.rows(), await two.rows()
        async with first.alone(0.1):
            with pytest.raises(errors.ConflictError, match="another medbots verify"):
                async with second.alone(0.1):
                    pass
        async with second.alone(0.1):
            pass
