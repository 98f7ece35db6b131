"""What a change of the database tells as it goes: each statement beforehand, how far a build is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import pooler, queries

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.25


DONE = "done"
"""The phase at the end of a build that went well."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an index build is."""

    what: str
    """Such as `index clinical_embeddings_embedding_idx`."""
    phase: str
    """As Postgres names it, or `DONE`."""
    done: int
    total: int
    """In the phase's own unit: blocks, tuples, or sessions waited for; 0 where it has none."""


class Watch:
    """Who hears of it; this one says nothing and lets everything run."""

    dry_run = False
    """Whether statements are told and not executed."""

    def statement(self, label: str, text: str, summary: str = "") -> None:
        """Hear of SQL that is about to run.

        Args:
            label: what it makes or changes.
            text: the SQL, as psql takes it.
            summary: what it is for, where it is long.
        """

    def progress(self, found: Progress) -> None:
        """Hear how far a build is."""

    def waiting(self, reason: str) -> None:
        """Hear that nothing happens for a while, and because of whom."""

    def second(self) -> AbstractAsyncContextManager[connection_module.Connection] | None:
        """Return another connection to the same database, by which builds are looked at."""
        return None


SILENT = Watch()


async def execute(
    connection: connection_module.Connection, label: str, statement: sql.Composed, watch: Watch
) -> None:
    """Tell a statement, then execute it unless this is a dry run."""
    watch.statement(label, f"{statement.as_string(connection).strip()};")
    if not watch.dry_run:
        with connection_module.translated(doing=label):
            await connection.execute(statement)


@contextlib.asynccontextmanager
async def building(
    connection: connection_module.Connection, what: str, watch: Watch
) -> AsyncIterator[None]:
    """Tell how far the index build is that `connection` runs meanwhile.

    A look that fails ends the telling and never the build.
    """
    second = watch.second()
    if second is None:
        yield
        return
    session = await pooler.session(connection)
    looking = asyncio.create_task(_look(second, session, what, watch))
    try:
        yield
    except BaseException:
        await _end(looking)
        raise
    if await _end(looking):
        with contextlib.suppress(OSError):
            watch.progress(Progress(what, DONE, 1, 1))


async def _end(looking: asyncio.Task[None]) -> bool:
    """Stop looking; return whether it went well so far."""
    looking.cancel()
    await asyncio.wait([looking])
    return looking.cancelled()


async def _look(
    second: AbstractAsyncContextManager[connection_module.Connection],
    pid: int,
    what: str,
    watch: Watch,
) -> None:
    try:
        async with second as connection:
            while True:
                row = await (await queries.run(connection, "index_progress", pid)).fetchone()
                if row is not None:
                    watch.progress(Progress(what, *row))
                await asyncio.sleep(_POLL_SECONDS)
    except (errors.MedbotsError, psycopg.Error, OSError) as error:
        _LOG.debug("the progress of %s cannot be seen: %s", what, type(error).__name__)
