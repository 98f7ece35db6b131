"""`db init`, `db status`, `db migrate` and `db repair` on a running database."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.live import database
from tests.live import stage as stage_module
from tests.live.command import Medbots
from tests.live.projects import Clinic
from tests.live.stage import Stage
from tests.live.target import Target

TABLES = {"clinical_embeddings", "clinical_embedding_tombstones"}
INDEX = "clinical_embeddings_embedding_idx"


def bot_url(stage: Stage) -> str:
    """Return the URL that the bots were given, as it is reached from here."""
    given = urllib.parse.urlsplit(stage.secrets()["DATABASE_URL"])
    here = urllib.parse.urlsplit(stage.target.database_url)
    login = given.netloc.rpartition("@")[0]
    return given._replace(netloc=f"{login}@{here.netloc.rpartition('@')[2]}").geturl()


def role_of(stage: Stage) -> str:
    """Return the name of the bots' role."""
    return urllib.parse.unquote(str(urllib.parse.urlsplit(bot_url(stage)).username))


class TestInit:
    """What `db init` makes, once."""

    def test_it_makes_all_and_then_nothing(self, stage: Stage) -> None:
        """Tables, index, role and secret; a second run changes nothing and writes no secret."""
        first = stage.medbots.json("db", "init")
        assert first["summary"]["failed"] == 0
        assert first["project"]["id"] == stage.clinic.id
        kinds = {each["kind"] for each in first["changes"]}
        assert kinds == {"extension", "migration", "index", "role", "secret"}
        before = stage.secrets()["DATABASE_URL"]
        version = stage.clinic.admin.read(f"Project/{stage.clinic.id}")["meta"]["versionId"]
        second = stage.medbots.json("db", "init")
        assert {each["action"] for each in second["changes"]} == {"unchanged"}
        assert stage.secrets()["DATABASE_URL"] == before
        project = stage.clinic.admin.read(f"Project/{stage.clinic.id}")
        assert project["meta"]["versionId"] == version
        assert "nothing to do" in stage.medbots("db", "init").expect().out

    def test_the_password_is_nowhere_else(self, deployed: Stage) -> None:
        """The generated password stands in the project's secret and in no output."""
        password = urllib.parse.urlsplit(bot_url(deployed)).password
        assert password
        for args in (("db", "init"), ("db", "status"), ("plan",), ("deploy",), ("whoami",)):
            for form in ("text", "json"):
                result = deployed.medbots(*args, "--format", form, "--verbose")
                assert password not in result.out + result.err

    def test_a_lost_secret_is_made_again(self, deployed: Stage) -> None:
        """Without the secret, `db init` gives the role a new password, and it works."""
        path = f"admin/projects/{deployed.clinic.id}/secrets"
        kept = deployed.secrets()
        before = kept.pop("DATABASE_URL")
        given = [{"name": name, "valueString": value} for name, value in kept.items()]
        deployed.clinic.admin.post(path, json=given)
        deployed.medbots("db", "init").expect()
        after = deployed.secrets()
        assert after["DATABASE_URL"] != before
        assert {name: after[name] for name in kept} == kept
        with psycopg.connect(bot_url(deployed)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


class TestRole:
    """The role that the bots connect as."""

    def test_its_name_carries_the_project(self, deployed: Stage) -> None:
        """Roles belong to the whole cluster: the project's id is part of the name."""
        assert deployed.clinic.id.replace("-", "") in role_of(deployed)

    def test_it_may_do_no_more_than_it_must(self, deployed: Stage) -> None:
        """It owns nothing, makes nothing, and has rights on the two tables alone."""
        with deployed.database() as connection:
            attributes = connection.execute(
                "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
                " FROM pg_roles WHERE rolname = %s",
                (role_of(deployed),),
            ).fetchone()
            tables = connection.execute(
                "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE relkind IN ('r', 'p')"
                " AND nspname NOT IN ('pg_catalog', 'information_schema')"
                " AND has_table_privilege(%s, pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE')",
                (role_of(deployed),),
            ).fetchall()
        assert set((attributes or {}).values()) == {False}
        assert {str(each["relname"]) for each in tables} == TABLES

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TABLE live_forbidden (a int)",
            "DROP TABLE clinical_embeddings",
            "TRUNCATE clinical_embeddings",
            "ALTER TABLE clinical_embeddings DISABLE ROW LEVEL SECURITY",
            "CREATE ROLE live_forbidden",
        ],
    )
    def test_what_it_may_not(self, deployed: Stage, statement: str) -> None:
        """A statement that a bot has no use for is refused by the database."""
        with (
            psycopg.connect(bot_url(deployed)) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)

    def test_two_projects_have_two_roles(
        self, deployed: Stage, new_project: Callable[..., Clinic], tmp_path: Path
    ) -> None:
        """Initialising a second project changes nothing of the first: its password still works."""
        before = deployed.secrets()["DATABASE_URL"]
        with stage_module.of(new_project("second", "bots"), deployed.target, tmp_path) as second:
            second.medbots("db", "init").expect()
            assert role_of(second) != role_of(deployed)
            assert deployed.secrets()["DATABASE_URL"] == before
            for each in (deployed, second):
                with psycopg.connect(bot_url(each)) as connection:
                    assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_it_sees_its_own_project_alone(
        self, deployed: Stage, new_project: Callable[..., Clinic], tmp_path: Path
    ) -> None:
        """Rows of one project are invisible to the other's role, whatever it asks for."""
        insert = (
            "INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id,"
            " version_id, content_type, chunk_index, chunk_count, content_text, content_hash,"
            " embedding, model_version, resource_updated_at) SELECT %s, 'Condition',"
            " gen_random_uuid(), 'v', 'text', 0, 1, 'live', 'h',"
            " array_fill(0.1, ARRAY[%s::int])::halfvec, 'live/0/none', now()"
        )
        dimension = int(deployed.medbots.settings.get("EMBEDDING_DIM", "768"))
        count = "SELECT count(*) FROM clinical_embeddings WHERE content_text = 'live'"
        with stage_module.of(new_project("second", "bots"), deployed.target, tmp_path) as second:
            second.medbots("db", "init").expect()
            with psycopg.connect(bot_url(deployed)) as ours:
                ours.execute(insert, (deployed.clinic.id, dimension))
                assert ours.execute(count).fetchone() == (1,)
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    ours.execute(insert, (second.clinic.id, dimension))
                ours.rollback()
                ours.execute(insert, (deployed.clinic.id, dimension))
                ours.commit()
                try:
                    with psycopg.connect(bot_url(second)) as theirs:
                        assert theirs.execute(count).fetchone() == (0,)
                        gone = theirs.execute("DELETE FROM clinical_embeddings").rowcount
                        assert gone == 0
                finally:
                    ours.execute("DELETE FROM clinical_embeddings WHERE content_text = 'live'")
                    ours.commit()


class TestStatus:
    """`db status`."""

    def test_it_has_the_contracts_shape(self, deployed: Stage) -> None:
        """database, server, pgvector, migrations, index, dimension, rows, bytes."""
        status = deployed.medbots.json("db", "status")
        assert set(status) >= {
            "database",
            "server",
            "pgvector",
            "migrations",
            "index",
            "dimension",
            "rows",
            "bytes",
        }
        for migration in status["migrations"]:
            assert set(migration) >= {"version", "name", "applied", "checksum"}
            assert migration["applied"]
        assert status["index"]["name"] == INDEX
        assert (status["index"]["kind"], status["index"]["valid"]) == ("hnsw", True)
        assert status["dimension"] == int(deployed.medbots.settings.get("EMBEDDING_DIM", "768"))

    def test_it_needs_no_login(self, deployed: Stage) -> None:
        """The database is looked at without a Medplum login."""
        alone = deployed.medbots.having(MEDPLUM_ACCESS_TOKEN=None, MEDPLUM_PROJECT=None)
        assert alone.json("db", "status")["index"]["valid"] is True


class TestMigrate:
    """`db migrate` and `db repair`, by an administrator of the database who has no login."""

    def test_what_is_pending_is_applied(self, target: Target, stage: Stage) -> None:
        """A migration that is marked as reverted is pending, shown as SQL, and applied again."""
        with database.of_its_own(target) as own:
            alone = stage.medbots.having(
                MEDPLUM_ACCESS_TOKEN=None,
                MEDPLUM_PROJECT=None,
                MEDBOTS_DATABASE_URL=own.database_url,
            )
            self._mend(alone)

    def _mend(self, alone: Medbots) -> None:
        alone("db", "migrate").expect()
        last = alone.json("db", "status")["migrations"][-1]
        alone("db", "migrate", "--dry-run", "--detailed-exitcode").expect()
        alone("db", "repair", "--status", "reverted", str(last["version"])).expect(64)
        alone("db", "repair", "--status", "reverted", str(last["version"]), "--yes").expect()
        script = alone("db", "migrate", "--dry-run", "--detailed-exitcode").expect(2).out
        assert f"-- migration {last['version']:04}_{last['name']}\nBEGIN;" in script
        done = alone.json("db", "migrate")
        changed = [one["name"] for one in done["changes"] if one["action"] != "unchanged"]
        assert changed == [f"{last['version']:04}_{last['name']}"]
        assert alone.json("db", "status")["migrations"][-1]["condition"] == "applied"

    def test_monitoring_sees_what_there_is(self, deployed: Stage) -> None:
        """Who is given the project's reader counts its rows, and reads no text."""
        reader = role_of(deployed).replace("medbots_bot_", "medbots_reader_")
        with deployed.database() as owner:
            owner.execute(f"SET ROLE {reader}".encode())
            owner.execute("SELECT fhir_resource_type, count(*) FROM clinical_embeddings GROUP BY 1")
            owner.execute("SELECT max(version) FROM medbots_migrations")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute("SELECT content_text FROM clinical_embeddings")
            owner.rollback()
        roles = deployed.medbots.json("db", "status")["roles"]
        assert ("reader", deployed.clinic.id) in {(one["kind"], one["project"]) for one in roles}
