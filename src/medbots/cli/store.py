"""The embedding store as a run's settings name it, shared by `db` and `embeddings`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from medbots import config, errors

if TYPE_CHECKING:
    from medbots import secret
    from medbots.database import schema
    from medbots.database.connection import Connection, Notices


def url(settings: config.Settings) -> tuple[secret.Secret, str]:
    """Return the owner's URL, and how to name it in an error.

    Raises:
        errors.UsageError: it is not set.
    """
    variable = config.VARIABLES["database_url"]
    if settings.database_url is None:
        raise errors.UsageError(
            f"{variable} is not set: it names the Postgres database, as its owner connects from "
            "here",
            hint=f"set {variable}=postgresql://OWNER@HOST:5432/DATABASE, with the password in it "
            "or in PGPASSWORD; or medbots local up for a database on this machine",
        )
    origin = settings.origin("database_url")
    return settings.database_url, variable if origin.startswith("env") else f"{variable}, {origin}"


def name(settings: config.Settings) -> str:
    """Return the database's host, port and name: what may be shown of its URL."""
    from medbots.database import connection

    return str(connection.address(*url(settings)))


def wish(settings: config.Settings, project_id: str) -> schema.Wish:
    """Return what a project wants of the database; the model in use is the settings'."""
    from medbots.database import schema
    from medbots.embeddings import contract

    model = (settings.embedding_model, settings.embedding_dim, settings.embedding_prefix)
    version = contract.model_version(*model)
    return schema.Wish(project_id, *model, version, settings.bot_database_url)


@asynccontextmanager
async def connected(
    settings: config.Settings, *, notices: Notices | None = None
) -> AsyncIterator[Connection]:
    """Connect to the database as its owner, and close the connection at the end.

    Raises:
        errors.MedbotsError: there is no URL, or the database does not take it.
    """
    from medbots.database import extension

    where, setting = url(settings)
    made = await extension.connect(where, setting=setting, notices=notices)
    try:
        yield made
    finally:
        await made.close()
