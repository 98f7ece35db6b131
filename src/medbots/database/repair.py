"""`db repair`: the history of migrations is mended where it is known to be wrong; no table is."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

import medbots
from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import migrations
from medbots.database import watch as watch_module
from medbots.database.step import Action, Step


class Status(enum.StrEnum):
    """What the history shall say of a migration."""

    APPLIED = "applied"
    REVERTED = "reverted"


@dataclass(frozen=True, slots=True)
class Mend:
    """One line of the history that is written, or taken away."""

    entry: migrations.Entry
    """What the history says so far."""
    action: Action
    """Create, update (another text) or delete."""

    @property
    def words(self) -> str:
        """What it does, such as `0003_clinical_embeddings as applied`."""
        status = Status.REVERTED if self.action is Action.DELETE else Status.APPLIED
        return f"{self.entry.label} as {status}"


async def plan(
    connection: connection_module.Connection,
    status: Status,
    names: Sequence[str],
    known: Sequence[migrations.Migration] | None = None,
) -> tuple[Mend, ...]:
    """Return what has to be written so that the history says `status` of these migrations.

    Args:
        connection: of the owner of the history.
        status: what the history shall say.
        names: versions, such as `3`, `0003` or `0003_clinical_embeddings`.
        known: the migrations of this release.

    Raises:
        errors.UsageError: there is no such migration, the history says so already, or it would
            have a gap afterwards.
        errors.DatabaseError: there is no history at all.
    """
    files = migrations.packaged() if known is None else known
    applied = await migrations.history(connection)
    if not applied:
        raise errors.DatabaseError(
            f"there is no history of migrations: {migrations.HISTORY} is not there, or is empty",
            hint="medbots db migrate: where tables are there, the migrations keep them",
        )
    entries = migrations.compare(files, applied)
    mends = tuple(_mend(one, status) for one in _chosen(entries, names))
    _refuse_gap(entries, mends, status)
    return mends


def _chosen(
    entries: Sequence[migrations.Entry], names: Sequence[str]
) -> Sequence[migrations.Entry]:
    found = {}
    for name in names:
        matching = [
            entry
            for entry in entries
            if name == entry.label
            or (name.isascii() and name.isdecimal() and int(name) == entry.version)
        ]
        if not matching:
            raise errors.UsageError(
                f"there is no migration {name!r}, neither in this medbots nor in the history",
                hint="medbots db status shows them; a version is written as 3, 0003 or "
                f"{entries[-1].label}",
            )
        found[matching[0].version] = matching[0]
    return [found[version] for version in sorted(found)]


def _mend(entry: migrations.Entry, status: Status) -> Mend:
    condition = entry.condition
    if status is Status.REVERTED:
        if condition is migrations.Condition.PENDING:
            raise errors.UsageError(
                f"migration {entry.label} is not in the history", hint="medbots db status"
            )
        return Mend(entry, Action.DELETE)
    match condition:
        case migrations.Condition.PENDING:
            return Mend(entry, Action.CREATE)
        case migrations.Condition.CHANGED:
            return Mend(entry, Action.UPDATE)
        case migrations.Condition.UNKNOWN:
            raise errors.UsageError(
                f"migration {entry.label} was applied by a later medbots, and this one does not "
                "know it",
                hint="pip install --upgrade medbots",
            )
        case _:
            raise errors.UsageError(
                f"migration {entry.label} is marked as applied already, from the text that this "
                "medbots holds",
                hint="medbots db status",
            )


def _refuse_gap(entries: Sequence[migrations.Entry], mends: Sequence[Mend], status: Status) -> None:
    """Raise where the history would lack a migration before one that it has, and does not now."""
    before = {one.version for one in entries if one.condition is not migrations.Condition.PENDING}
    touched = {one.entry.version for one in mends}
    after = before | touched if status is Status.APPLIED else before - touched
    new = sorted(_gaps(entries, after) - _gaps(entries, before))
    if not new:
        return
    if status is Status.APPLIED:
        wanted = sorted(touched | set(new))
    else:
        wanted = sorted(one for one in before if one >= new[0])
    numbers = " ".join(f"{version:04}" for version in wanted)
    raise errors.UsageError(
        f"the history would lack {new[0]:04} and have a later one: migrations run in order",
        hint=f"medbots db repair --status {status} {numbers}",
    )


def _gaps(entries: Sequence[migrations.Entry], there: set[int]) -> set[int]:
    last = max(there, default=0)
    return {one.version for one in entries if one.version < last} - there


async def apply(
    connection: connection_module.Connection,
    mends: Sequence[Mend],
    known: Sequence[migrations.Migration] | None = None,
    watch: watch_module.Watch = watch_module.SILENT,
) -> list[Step]:
    """Write the history, all of it or nothing; the caller holds `lock.alone`.

    Raises:
        errors.ConflictError: the history has been changed since the plan was made.
    """
    files = {one.version: one for one in (migrations.packaged() if known is None else known)}
    with connection_module.translated(doing="the history of migrations"):
        async with connection.transaction():
            now = migrations.compare(tuple(files.values()), await migrations.history(connection))
            if any(one.entry not in now for one in mends):
                raise errors.ConflictError(
                    "the history of migrations was changed by another run meanwhile",
                    hint="medbots db status",
                )
            for one in mends:
                statement = _statement(one, files)
                await watch_module.execute(connection, one.entry.label, statement, watch)
    return [Step("history", one.entry.label, one.action, (_told(one),)) for one in mends]


def _told(mend: Mend) -> str:
    if mend.action is Action.UPDATE:
        return f"marked as applied from this medbots' text, before from {mend.entry.checksum}"
    if mend.action is Action.DELETE:
        return f"marked as reverted; it was applied at {mend.entry.applied:%Y-%m-%d %H:%M:%S}"
    return "marked as applied, without running it"


_STATEMENTS = {
    Action.CREATE: "INSERT INTO {history} (version, name, checksum, medbots_version) "
    "VALUES ({version}, {name}, {checksum}, {release})",
    Action.UPDATE: "UPDATE {history} SET name = {name}, checksum = {checksum}, "
    "medbots_version = {release} WHERE version = {version}",
    Action.DELETE: "DELETE FROM {history} WHERE version = {version}",
}


def _statement(mend: Mend, files: dict[int, migrations.Migration]) -> sql.Composed:
    version = mend.entry.version
    file = files.get(version)
    return sql.SQL(_STATEMENTS[mend.action]).format(
        history=sql.SQL(migrations.HISTORY),
        version=sql.Literal(version),
        name=sql.Literal(file.name if file else ""),
        checksum=sql.Literal(file.checksum if file else ""),
        release=sql.Literal(medbots.__version__),
    )
