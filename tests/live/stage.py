"""A project with medbots' own bots: deployed under a namespace of the test, and taken away."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import yaml
from psycopg import sql

from medbots import assets
from tests.live import medplum, polling, scratch
from tests.live.command import Medbots
from tests.live.medplum import Json
from tests.live.projects import Clinic
from tests.live.scratch import Scratch
from tests.live.target import Target

Row = dict[str, object]
BOT_ROLES = "medbots_bot_"
"""How the names of the bots' own roles begin; a project may have a reader too."""
TABLES = ("clinical_embeddings", "clinical_embedding_tombstones")


@dataclass(frozen=True)
class Stage:
    """A project, the command that works on it, and the database."""

    clinic: Clinic
    target: Target
    medbots: Medbots
    namespace: str
    manifest: Path
    ids: list[str] = field(default_factory=list)
    """Of the records that were made, whose rows and tombstones are to be removed."""

    def deploy(self) -> None:
        """Do the main job: everything but `verify`."""
        for verb in (("deploy",), ("db", "init"), ("deploy",), ("subscriptions", "sync")):
            self.medbots(*verb).expect()

    def bot(self, key: str) -> Json:
        """Return the Bot of a key; there must be one."""
        (found,) = self.clinic.admin.find(f"Bot?identifier={self.namespace}/bot|{key}")
        return found

    def subscription(self, key: str) -> Json:
        """Return the Subscription of a key; there must be one."""
        found = self.clinic.admin.find(f"Subscription?_tag={self.namespace}/subscription|{key}")
        (one,) = found
        return one

    def secrets(self) -> dict[str, str]:
        """Return the project's secrets."""
        project = self.clinic.admin.read(f"Project/{self.clinic.id}")
        return {one["name"]: one["valueString"] for one in project.get("secret", [])}

    def database(self) -> psycopg.Connection[Row]:
        """Connect as the owner, each statement a transaction."""
        return psycopg.connect(
            self.target.database_url,
            autocommit=True,
            row_factory=psycopg.rows.dict_row,
            # Medplum's Postgres defaults to REPEATABLE READ, where a delete meets the bots' own.
            options="-c default_transaction_isolation=read\\ committed",
        )

    def rows(self, resource: Json) -> list[Row]:
        """Return the chunks of a resource, in order."""
        return self._of("clinical_embeddings", resource, "chunk_index")

    def tombstones(self, resource: Json) -> list[Row]:
        """Return the tombstones of a resource."""
        return self._of("clinical_embedding_tombstones", resource, "version_id")

    def wait_for_rows(self, resource: Json) -> list[Row]:
        """Wait for the chunks of a resource's current version."""
        version = resource["meta"]["versionId"]

        def current() -> list[Row]:
            return [row for row in self.rows(resource) if row["version_id"] == version]

        what = f"the rows of {resource['resourceType']}/{resource['id']}"
        return polling.until(current, what)

    def _of(self, table: str, resource: Json, order: str) -> list[Row]:
        query = sql.SQL(
            "SELECT * FROM {} WHERE project_id = %s AND fhir_resource_type = %s"
            " AND fhir_resource_id = %s ORDER BY {}"
        ).format(sql.Identifier(table), sql.Identifier(order))
        values = (self.clinic.id, resource["resourceType"], resource["id"])
        with self.database() as connection:
            return connection.execute(query, values).fetchall()


@contextmanager
def of(clinic: Clinic, target: Target, folder: Path) -> Iterator[Stage]:
    """Give a stage on which nothing is deployed yet, and clear it at the end."""
    token = str(clinic.admin.headers["Authorization"]).removeprefix("Bearer ")
    namespace = f"urn:medbots:live:{uuid.uuid4().hex[:12]}"
    manifest = write_manifest(folder, namespace)
    settings = {
        **target.environment(),
        "MEDPLUM_ACCESS_TOKEN": token,
        "MEDPLUM_PROJECT": clinic.id,
        "MEDBOTS_STATE_DIR": str(folder / "state"),
    }
    for name in ("MEDPLUM_EMAIL", "MEDPLUM_PASSWORD"):
        del settings[name]
    stage = Stage(clinic, target, Medbots(settings, manifest), namespace, manifest)
    before = clinic.admin.read(f"Project/{clinic.id}").get("secret", [])
    had_role = bool(_roles(stage))
    try:
        yield stage
    finally:
        _clear(stage, before, had_role=had_role)


def write_manifest(folder: Path, namespace: str) -> Path:
    """Copy the packaged bots, and give them names that nothing else in a project has."""
    source = assets.bot_templates()
    shutil.copytree(
        source, folder / "bots", ignore=shutil.ignore_patterns("node_modules", "test", ".cache")
    )
    if (source / "node_modules").is_dir():
        (folder / "bots" / "node_modules").symlink_to(source / "node_modules")
    file = folder / "bots" / "medbots.yaml"
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["namespace"] = namespace
    mark = namespace.rpartition(":")[2]
    for part in ("bots", "subscriptions"):
        for one in document[part].values():
            one["name"] = f"{one['name']} {mark}"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return file


def change_manifest(stage: Stage, folder: Path, change: Json) -> Path:
    """Write a manifest beside the stage's own, with some of it changed, and return it."""
    document = yaml.safe_load(stage.manifest.read_text(encoding="utf-8"))
    _merge(document, change)
    file = stage.manifest.with_name(f"{folder.name}.yaml")
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return file


def _merge(document: Json, change: Json) -> None:
    for key, value in change.items():
        if isinstance(value, dict):
            _merge(document.setdefault(key, {}), value)
        else:
            document[key] = value


@contextmanager
def records(stage: Stage) -> Iterator[Scratch]:
    """Give a scratch for records; what the bots write of them goes with the stage."""
    with scratch.of(stage.clinic) as made:
        yield made
        stage.ids.extend(reference.split("/")[1] for reference in made.references)


def _clear(stage: Stage, secrets: list[Json], *, had_role: bool) -> None:
    admin, space = stage.clinic.admin, stage.namespace
    bots = admin.find(f"Bot?identifier={space}/bot|&_count=100&_fields=name")
    profiles = ",".join(f"Bot/{each['id']}" for each in bots)
    memberships = admin.find(f"ProjectMembership?profile={profiles}") if bots else []
    triggers = admin.find(f"Subscription?url={profiles}&_count=100") if bots else []
    for each in (
        *triggers,
        *admin.find(f"Subscription?_tag={space}/subscription|&_count=100"),
        *memberships,
        *bots,
        *admin.find(f"AccessPolicy?_tag={space}/policy|&_count=100"),
        *admin.find(f"Device?identifier={space}/device|&_count=100"),
        *admin.find(f"Basic?identifier={space}/turn|&_count=100"),
    ):
        admin.delete(f"fhir/R4/{each['resourceType']}/{each['id']}")
    medplum.expect(admin.post(f"admin/projects/{stage.clinic.id}/secrets", json=secrets))
    roles = [] if had_role else _roles(stage)
    with stage.database() as connection:
        for role in roles:
            # First, so that no bot that still runs writes a row after they are deleted.
            with connection.transaction():
                # In the order of the bots' queries, else one of another project waits crosswise.
                connection.execute(
                    f"LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE".encode()
                )
                connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
        for table in TABLES:
            there = connection.execute("SELECT to_regclass(%s) AS name", (table,)).fetchone()
            if there is None or there["name"] is None:
                continue
            query = sql.SQL(
                "DELETE FROM {} WHERE project_id = %s AND (%s OR fhir_resource_id = ANY(%s))"
            ).format(sql.Identifier(table))
            connection.execute(query, (stage.clinic.id, not had_role, stage.ids))


def role_of(stage: Stage) -> str:
    """Return the name of the project's bot role; there must be one."""
    (found,) = [one for one in _roles(stage) if one.startswith(BOT_ROLES)]
    return found


def _roles(stage: Stage) -> list[str]:
    """Return the names of the project's roles in this database: the bots', and a reader's."""
    with stage.database() as connection:
        found = connection.execute(
            "SELECT DISTINCT rolname FROM pg_roles JOIN pg_shdepend ON refobjid = pg_roles.oid"
            " JOIN pg_database ON pg_database.oid = dbid AND datname = current_database()"
            " WHERE rolname LIKE %s",
            (f"%{uuid.UUID(stage.clinic.id).hex}%",),
        ).fetchall()
    return [str(one["rolname"]) for one in found]
