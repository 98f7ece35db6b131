"""Numbered SQL files, applied once each, in order, each in one transaction with its record."""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
import itertools
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

import medbots
from medbots import assets, errors
from medbots.database import builds
from medbots.database import connection as connection_module
from medbots.database import watch as watch_module

HISTORY = "public.medbots_migrations"

_FILE = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")


class Condition(enum.StrEnum):
    """How a migration of this release and the database's history stand to each other."""

    APPLIED = "applied"
    PENDING = "pending"
    CHANGED = "changed"
    """Applied, from another text than this release holds."""
    UNKNOWN = "unknown"
    """Applied by a later release: this one does not know it."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """`sha256:` and the digest of the text, whatever line ends a checkout gave it."""
        canonical = self.text.replace("\r\n", "\n").encode()
        return f"sha256:{hashlib.sha256(canonical).hexdigest()}"

    @property
    def label(self) -> str:
        """The file's name without its ending."""
        return label(self.version, self.name)

    @property
    def summary(self) -> str:
        """The first paragraph of its comment, on one line."""
        first = self.text.split("\n--\n")[0].splitlines()
        lines = itertools.takewhile(lambda line: line.startswith("--"), first)
        return " ".join(line.removeprefix("--").strip() for line in lines)


@dataclass(frozen=True, slots=True)
class Applied:
    """One line of the history."""

    version: int
    name: str
    checksum: str
    at: dt.datetime

    @property
    def label(self) -> str:
        """As the migration's."""
        return label(self.version, self.name)


@dataclass(frozen=True, slots=True)
class Entry:
    """A migration beside what the history says of it."""

    version: int
    name: str
    checksum: str
    """Of the text that was applied; of the file, where it is pending."""
    condition: Condition
    applied: dt.datetime | None = None

    @property
    def label(self) -> str:
        """As the migration's."""
        return label(self.version, self.name)


def label(version: int, name: str) -> str:
    """Return how a migration is called: its file's name without the ending."""
    return f"{version:04}_{name}"


def packaged(folder: Path | None = None) -> tuple[Migration, ...]:
    """Return the migrations of this release, in order.

    Raises:
        errors.MedbotsError: a file is misnamed, or two have the same number.
    """
    found: dict[int, Migration] = {}
    for file in sorted((folder or assets.sql() / "migrations").glob("*.sql")):
        match = _FILE.fullmatch(file.name)
        if match is None:
            raise errors.MedbotsError(
                f"{file}: a migration is named NNNN_what_it_does.sql, in lower case"
            )
        version = int(match["version"])
        if version in found:
            raise errors.MedbotsError(
                f"{file}: number {match['version']} is taken by {found[version].label}.sql"
            )
        found[version] = Migration(version, match["name"], file.read_text(encoding="utf-8"))
    return tuple(found[version] for version in sorted(found))


async def history(connection: connection_module.Connection) -> tuple[Applied, ...]:
    """Return what has been applied; nothing where there is no history yet."""
    there = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [HISTORY])
    if await there.fetchone() != (True,):
        return ()
    rows = await connection.execute(
        f"SELECT version, name, checksum, applied_at FROM {HISTORY} ORDER BY version"  # noqa: S608
    )
    return tuple([Applied(*row) async for row in rows])


def compare(known: Sequence[Migration], applied: Sequence[Applied]) -> tuple[Entry, ...]:
    """Return every migration that either side knows, in order."""
    done = {one.version: one for one in applied}
    entries: dict[int, Entry] = {}
    for migration in known:
        record = done.get(migration.version)
        if record is None:
            condition, checksum, at = Condition.PENDING, migration.checksum, None
        else:
            same = (record.name, record.checksum) == (migration.name, migration.checksum)
            condition = Condition.APPLIED if same else Condition.CHANGED
            checksum, at = record.checksum, record.at
        entries[migration.version] = Entry(
            migration.version, migration.name, checksum, condition, at
        )
    for record in applied:
        if record.version not in entries:
            entries[record.version] = Entry(
                record.version, record.name, record.checksum, Condition.UNKNOWN, record.at
            )
    return tuple(entries[version] for version in sorted(entries))


def refuse_drift(known: Sequence[Migration], entries: Sequence[Entry]) -> None:
    """Raise unless what has been applied is what this release would have applied.

    Raises:
        errors.DatabaseError: an applied migration has another text here, is unknown here, or a
            pending one is older than an applied one. The hint is the cure.
    """
    files = {migration.version: migration for migration in known}
    unknown = [entry for entry in entries if entry.condition is Condition.UNKNOWN]
    if unknown:
        raise errors.DatabaseError(
            "the database was migrated by a later medbots: it has "
            + ", ".join(entry.label for entry in unknown),
            hint="pip install --upgrade medbots",
        )
    for entry in entries:
        if entry.condition is Condition.CHANGED:
            raise errors.DatabaseError(
                f"migration {entry.label} was applied from another text than this medbots holds "
                f"(applied {entry.checksum}, here {files[entry.version].checksum})",
                hint="pip install --force-reinstall medbots; if both texts mean the same: "
                f"medbots db repair --status applied {entry.version:04}",
            )
    done = [entry for entry in entries if entry.condition is Condition.APPLIED]
    for entry in entries:
        if entry.condition is Condition.PENDING and done and entry.version < done[-1].version:
            again = revert(one for one in done if one.version > entry.version)
            raise errors.DatabaseError(
                f"migration {entry.label} is missing from the history, which has "
                f"{done[-1].version:04} already",
                hint="restore the history from the backup that the tables came from; or have the "
                f"later ones applied again, which keeps what is there: {again}; medbots db migrate",
            )


def revert(entries: Iterable[Entry]) -> str:
    """Return the command that takes these out of the history."""
    numbers = " ".join(f"{entry.version:04}" for entry in entries)
    return f"medbots db repair --status reverted {numbers}"


async def migrate(
    connection: connection_module.Connection,
    settings: Mapping[str, str],
    known: Sequence[Migration] | None = None,
    watch: watch_module.Watch = watch_module.SILENT,
) -> AsyncIterator[Entry]:
    """Apply what is pending, and yield every migration in order: applied now, or before.

    The caller holds `lock.alone`. `settings` are what the files read by `current_setting`, such as
    `medbots.dimension`: values travel as parameters and reach DDL through `format`.

    Raises:
        errors.MedbotsError: the history has drifted, or a statement failed; whatever was yielded
            before is applied, the failed migration is not, and the next run goes on with it.
    """
    files = packaged() if known is None else tuple(known)
    entries = compare(files, await history(connection))
    refuse_drift(files, entries)
    for migration, entry in zip(files, entries, strict=True):
        if entry.condition is Condition.PENDING:
            script = _script(connection, migration, settings)
            watch.statement(f"migration {migration.label}", script, migration.summary)
            if not watch.dry_run:
                await _apply(connection, migration, settings)
        yield entry


def _local(settings: Mapping[str, str]) -> dict[str, str]:
    return {"statement_timeout": "0", **settings}


def _script(
    connection: connection_module.Connection, migration: Migration, settings: Mapping[str, str]
) -> str:
    """Return what `_apply` does as one text that psql takes."""
    record = sql.SQL(_RECORD).format(*(sql.Literal(value) for value in _values(migration)))
    config = builds.set_config(_local(settings), local=True)
    return (
        f"BEGIN;\n{config.as_string(connection)};\n{migration.text.rstrip()}\n"
        f"{record.as_string(connection)};\nCOMMIT;"
    )


_RECORD = (
    f"INSERT INTO {HISTORY} (version, name, checksum, medbots_version) "  # noqa: S608
    "VALUES ({}, {}, {}, {})"
)


def _values(migration: Migration) -> tuple[int, str, str, str]:
    return migration.version, migration.name, migration.checksum, medbots.__version__


async def _apply(
    connection: connection_module.Connection, migration: Migration, settings: Mapping[str, str]
) -> None:
    with connection_module.translated(doing=f"migration {migration.label}"):
        async with connection.transaction():
            for name, value in _local(settings).items():
                await connection.execute("SELECT set_config(%s, %s, true)", [name, value])
            # The text goes as it is: many statements, no parameters, one transaction.
            await connection.execute(migration.text.encode())
            await connection.execute(_RECORD.replace("{}", "%s").encode(), _values(migration))
