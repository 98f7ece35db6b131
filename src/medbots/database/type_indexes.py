"""Indexes of rare resource types: in the model's index a search for one type finds few of it."""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass

from psycopg import sql

from medbots.database import builds, indexes, queries, table
from medbots.database import connection as connection_module
from medbots.database import watch as watch_module

LEAST_ROWS = 1_000
"""Of a type: fewer are read exactly within milliseconds."""
GREATEST_SHARE = 0.10
"""Of the model's rows: of a more frequent type the model's index finds enough."""
_ROWS_TO_STAY, _SHARE_TO_STAY = LEAST_ROWS // 2, GREATEST_SHARE * 1.5
"""An index that stands goes only beyond these, so that none comes and goes with a few rows."""
_LONGEST_NAME = 63


class Action(enum.StrEnum):
    """What is to become of an index."""

    BUILD = "build"
    KEEP = "keep"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Change:
    """One type's index, and what is to become of it."""

    action: Action
    name: str
    resource_type: str
    rows: int
    """Of the type and the model."""
    share: float
    """Of the model's rows, 0 to 1."""
    reason: str

    @property
    def why(self) -> str:
        """The evidence and the reason, for people."""
        what = f"{self.rows:,} rows of type {self.resource_type}, {self.share:.1%} of the model's"
        return f"{what}: {self.reason}"


def wanted(counts: Mapping[str, int], standing: Collection[str] = ()) -> frozenset[str]:
    """Return the types that should have an index of their own.

    Args:
        counts: rows of one model by resource type.
        standing: types that have one.
    """
    total = sum(counts.values())
    return frozenset(
        name
        for name, rows in counts.items()
        if rows >= (_ROWS_TO_STAY if name in standing else LEAST_ROWS)
        and rows <= total * (_SHARE_TO_STAY if name in standing else GREATEST_SHARE)
    )


async def plan(
    connection: connection_module.Connection, model_version: str, on: str = table.NAME
) -> tuple[Change, ...]:
    """Return what is to become of each type's index, by name; nothing is changed.

    Indexes of the model in use are built, kept or dropped; those of another model only go with its
    rows, for another project may use it.

    Raises:
        errors.MedbotsError: the database refused.
    """
    cursor = await queries.run(connection, "type_counts", table=on)
    counts: dict[str, dict[str, int]] = {}
    async for model, resource_type, rows in cursor:
        counts.setdefault(model, {})[resource_type] = rows
    found = [one for one in await indexes.find(connection, on) if one.resource_type is not None]
    own = [one for one in found if one.model_version == model_version and one.kind == "hnsw"]
    changes = [
        _change(Action.DROP, one, counts, f"no row is of the model {one.model_version}")
        for one in found
        if one.model_version not in counts
    ]
    rows = counts.get(model_version, {})
    wish = wanted(rows, {str(one.resource_type) for one in own if one.valid})
    kept: set[str] = set()
    for one in own if rows else ():
        name = str(one.resource_type)
        if name in wish and one.valid and name not in kept:
            kept.add(name)
            changes.append(_change(Action.KEEP, one, counts, "it is valid"))
        else:
            changes.append(_change(Action.DROP, one, counts, _why_not(one, twice=name in kept)))
    taken = {one.name for one in found} - {one.name for one in changes if one.action is Action.DROP}
    total = sum(rows.values())
    changes += [
        Change(
            Action.BUILD,
            _name(resource_type, model_version, on, taken),
            resource_type,
            rows[resource_type],
            rows[resource_type] / total,
            "a search for this type finds few of its rows in the model's index",
        )
        for resource_type in sorted(wish - kept)
    ]
    return tuple(sorted(changes, key=lambda one: (one.name, one.action is not Action.DROP)))


async def apply(
    connection: connection_module.Connection,
    change: Change,
    model_version: str,
    *,
    on: str = table.NAME,
    watch: watch_module.Watch = watch_module.SILENT,
) -> None:
    """Build or drop an index, beside the readers and writers. The caller holds `lock.alone`.

    Raises:
        errors.MedbotsError: the build failed; the next run replaces what it left.
    """
    match change.action:
        case Action.BUILD:
            definition = sql.SQL(
                "ON {table} USING hnsw (embedding halfvec_cosine_ops) "
                "WITH (m = 16, ef_construction = 64) "
                "WHERE model_version = {model} AND fhir_resource_type = {type}"
            ).format(
                table=sql.SQL(on),
                model=sql.Literal(model_version),
                type=sql.Literal(change.resource_type),
            )
            await indexes.build(
                connection, change.name, definition, on=on, rows=change.rows, watch=watch
            )
        case Action.DROP:
            await builds.drop(connection, change.name, concurrently=True, watch=watch)


async def ensure(
    connection: connection_module.Connection,
    model_version: str,
    *,
    on: str = table.NAME,
    watch: watch_module.Watch = watch_module.SILENT,
) -> AsyncIterator[Change]:
    """Make the types' indexes what they should be, and yield each when it is.

    The caller holds `lock.alone`.

    Raises:
        errors.DatabaseError: another session builds one for too long, or a build failed.
    """
    changes = await plan(connection, model_version, on)
    if not watch.dry_run and any(one.action is not Action.KEEP for one in changes):
        # What another session builds looks like a left-over until it is ready.
        await builds.alone(connection, [on])
        changes = await plan(connection, model_version, on)
    for change in changes:
        await apply(connection, change, model_version, on=on, watch=watch)
        yield change


def _change(
    action: Action, index: indexes.Index, counts: Mapping[str, Mapping[str, int]], reason: str
) -> Change:
    of_model = counts.get(index.model_version or "", {})
    resource_type = str(index.resource_type)
    rows = of_model.get(resource_type, 0)
    share = rows / (sum(of_model.values()) or 1)
    return Change(action, index.name, resource_type, rows, share, reason)


def _why_not(index: indexes.Index, *, twice: bool) -> str:
    if not index.valid:
        return "it is invalid: an interrupted build left it"
    return "there are two" if twice else "the type is no longer rare and numerous enough"


def _name(resource_type: str, model_version: str, on: str, taken: Collection[str]) -> str:
    """Return a name for a new index: the type's, with a digest where that name is taken or long."""
    before, _, after = indexes.name_on(on).rpartition("_idx")
    word = re.sub(r"\W", "_", resource_type.lower(), flags=re.ASCII)
    name = f"{before}_{word}_idx{after}"
    if name not in taken and len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(f"{model_version}/{resource_type}".encode()).hexdigest()[:8]
    room = _LONGEST_NAME - len(f"{before}__idx_{digest}")
    return f"{before}_{word[:room]}_idx_{digest}"
