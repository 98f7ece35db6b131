"""pgvector: there, new enough, or how to get it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import psycopg
from psycopg import sql

from medbots import errors, secret
from medbots.database import builds
from medbots.database import connection as connection_module
from medbots.database import watch as watch_module

NAME = "vector"
MINIMUM = (0, 8, 0)
"""halfvec came with 0.7.0, the iterative index scans that searches use with 0.8.0."""
RECOMMENDED = (0, 8, 4)
"""Older ones can overflow in parallel index builds, and corrupt an HNSW index in VACUUM."""


@dataclass(frozen=True, slots=True)
class Extension:
    """An installed pgvector."""

    version: str
    schema: str
    created: bool = False
    """Whether this run made it."""

    @property
    def too_old(self) -> bool:
        """Whether it lacks what searches use."""
        return _numbers(self.version) < MINIMUM

    @property
    def warning(self) -> str | None:
        """What is wrong with the version, where it works but should be replaced."""
        if _numbers(self.version) >= RECOMMENDED:
            return None
        return (
            f"pgvector {self.version} is older than {dotted(RECOMMENDED)}: a VACUUM can corrupt "
            f"its HNSW index; install a newer one, then: ALTER EXTENSION {NAME} UPDATE"
        )


async def find(connection: connection_module.Connection) -> Extension | None:
    """Return the pgvector of this database, if it has one."""
    cursor = await connection.execute(
        "SELECT extversion, extnamespace::regnamespace::text FROM pg_extension WHERE extname = %s",
        [NAME],
    )
    row = await cursor.fetchone()
    return Extension(*row) if row else None


async def ensure(
    connection: connection_module.Connection, watch: watch_module.Watch = watch_module.SILENT
) -> Extension:
    """Return the pgvector of this database, making it where it is missing.

    In a dry run that would make it, the version is the one that the server has.

    Raises:
        errors.DatabaseError: the server has none, or too old a one. The hint is the cure.
        errors.NotAllowedError: this role may not make it. The hint is what a superuser runs.
    """
    found = await find(connection)
    if found is None:
        offered = await _create(connection, watch)
        made = Extension(offered, "public") if watch.dry_run else await find(connection)
        if made is None:  # pragma: no cover
            raise errors.DatabaseError("CREATE EXTENSION vector made nothing")
        found = Extension(made.version, made.schema, created=True)
    if found.too_old:
        raise errors.DatabaseError(
            f"pgvector {found.version} is too old: {dotted(MINIMUM)} or later is needed",
            hint=await _update_cure(connection),
        )
    # Its types and operators are found wherever they were installed.
    path = builds.set_config({"search_path": search_path(found.schema)})
    if watch.dry_run:
        watch.statement("search path", f"{path.as_string(connection)};")
    await connection.execute(path)
    return found


async def use(connection: connection_module.Connection) -> None:
    """Let a session find pgvector's types and operators, wherever they were installed."""
    found = await find(connection)
    path = search_path(found.schema if found else "public")
    await connection.execute("SELECT set_config('search_path', %s, false)", [path])


async def connect(
    url: secret.Secret,
    *,
    setting: str = connection_module.SETTING,
    notices: connection_module.Notices | None = None,
) -> connection_module.Connection:
    """Return a connection, as `connection.connect` does, by which pgvector can be used.

    Raises:
        errors.MedbotsError: as there.
    """
    made = await connection_module.connect(url, setting=setting, notices=notices)
    try:
        with connection_module.translated():
            await use(made)
    except BaseException:  # a cancelled task too leaves no connection behind
        await made.close()
        raise
    return made


def search_path(schema: str) -> str:
    """Return the search path under which our tables and pgvector's types are found."""
    return "public" if schema in ("public", "pg_catalog") else f"public, {schema}"


async def _create(connection: connection_module.Connection, watch: watch_module.Watch) -> str:
    """Make the extension; return the version that the server has of it."""
    cursor = await connection.execute(
        "SELECT current_database(), current_user, default_version FROM pg_available_extensions "
        "WHERE name = %s",
        [NAME],
    )
    row = await cursor.fetchone()
    if row is None:
        raise errors.DatabaseError(
            "this Postgres server has no pgvector", hint=_install_cure(connection)
        )
    database, user, offered = row
    create = sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(NAME))
    watch.statement(f"extension {NAME}", f"{create.as_string(connection)};")
    if watch.dry_run:
        return str(offered)
    try:
        # Two runs of other programs may make it at once: then it is there.
        with contextlib.suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            await connection.execute(create)
    except psycopg.errors.InsufficientPrivilege as error:
        raise errors.NotAllowedError(
            f"{user} may not make the extension {NAME} in database {database}",
            hint=f"a superuser runs, in database {database}: CREATE EXTENSION {NAME};  "
            f"(Docker: docker exec -it CONTAINER psql -U postgres -d {database} "
            f"-c 'CREATE EXTENSION {NAME}'; managed: as rds_superuser on Amazon, "
            "cloudsqlsuperuser on Google, azure_pg_admin with azure.extensions=VECTOR on Azure)",
        ) from error
    except psycopg.errors.FeatureNotSupported as error:
        raise errors.NotAllowedError(
            f"this server does not allow the extension {NAME}: {error.diag.message_primary}",
            hint="add VECTOR to the server's allowed extensions (azure.extensions on Azure, "
            "rds.allowed_extensions on Amazon)",
        ) from error
    return str(offered)


def _install_cure(connection: connection_module.Connection) -> str:
    major = connection.info.server_version // 10000
    return (
        f"Docker: image pgvector/pgvector:pg{major} in place of postgres:{major}, on the same "
        f"volume; Debian and Ubuntu: apt install postgresql-{major}-pgvector; managed: a release "
        "whose list of extensions has vector"
    )


async def _update_cure(connection: connection_module.Connection) -> str:
    cursor = await connection.execute(
        "SELECT default_version FROM pg_available_extensions WHERE name = %s", [NAME]
    )
    row = await cursor.fetchone()
    if row and _numbers(str(row[0])) >= MINIMUM:
        return f"the server has {row[0]}; its owner runs: ALTER EXTENSION {NAME} UPDATE;"
    return f"{_install_cure(connection)}; then: ALTER EXTENSION {NAME} UPDATE;"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def dotted(numbers: tuple[int, ...]) -> str:
    """Return a version as people write it."""
    return ".".join(str(number) for number in numbers)
