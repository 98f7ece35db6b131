"""What maintenance has to do, and in which order."""

from __future__ import annotations

from collections.abc import AsyncIterator

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import (
    generations,
    indexes,
    leftovers,
    model_indexes,
    table,
    type_indexes,
    upkeep,
    wear,
)


async def due(
    connection: connection_module.Connection, model_version: str
) -> AsyncIterator[upkeep.Step]:
    """Yield each step, due or not; what the use of a table asks for is judged as it comes.

    Raises:
        errors.DatabaseError: there is no store, or no table with vectors of the model's length.
        errors.NotAllowedError: this login does not own the tables.
    """
    every = await tables(connection)
    in_use = await _in_use(connection, every, model_version)
    for found in every:
        steps: list[upkeep.Step] = []
        if found is in_use and found.name == generations.NEXT:
            steps.append(_to_be_filled(found.name))
        elif found is in_use:
            steps += await model_indexes.plan(connection, found, model_version)
            changes = await type_indexes.plan(connection, model_version, found.name)
            steps += [_type_index(change, found.name) for change in changes]
        anew = {step.target for step in steps if step.due}
        invalid = await leftovers.find(connection, (found.name,))
        steps[:0] = [left_over(one) for one in invalid if one.name not in anew]
        for step in steps:
            yield step
        # What has just been built has nothing to be judged by, and what goes is not judged.
        going = {step.target for step in steps if step.due}
        for step in upkeep.of_table(found):
            if step.target in going:
                continue
            now = await wear.inspect(connection, found.name)
            for again in upkeep.of_table(now) if now else ():
                if (again.kind, again.target) == (step.kind, step.target):
                    yield again


def _to_be_filled(name: str) -> upkeep.Step:
    why = "medbots db migrate --reembed fills this table, and builds its index then"
    return upkeep.Step(upkeep.Kind.INDEX, indexes.name_on(name), False, why, name)


async def _in_use(
    connection: connection_module.Connection, every: tuple[wear.Table, ...], model_version: str
) -> wear.Table:
    """Return the table that bots of a model work with.

    Raises:
        errors.DatabaseError: no table has vectors of that length.
    """
    found = model_indexes.of_model(every, model_version)
    if found is not None:
        return found
    dimension = model_version.rpartition("/")[0].rpartition("/")[2]
    table.refuse(await table.inspect(connection), int(dimension))
    raise errors.DatabaseError(f"no table has vectors of {model_version}")  # pragma: no cover


async def tables(connection: connection_module.Connection) -> tuple[wear.Table, ...]:
    """Return the store's tables.

    Raises:
        errors.DatabaseError: there is none.
        errors.NotAllowedError: this login does not own them.
    """
    every = [await wear.inspect(connection, name) for name in table.GENERATIONS]
    found = tuple(one for one in every if one is not None)
    if not found or (await table.inspect(connection)).origin is not table.Origin.OURS:
        raise errors.DatabaseError(
            f"there is no embedding store here: {table.NAME} is not medbots' table",
            hint="medbots db init",
        )
    foreign = [one.name for one in found if not one.owned]
    if foreign:
        raise errors.NotAllowedError(
            f"{connection.info.user} does not own {', '.join(foreign)}: only an owner may "
            "reindex, analyse and vacuum",
            hint="let MEDBOTS_DATABASE_URL name the owner, or a superuser",
        )
    return found


def left_over(one: leftovers.LeftOver) -> upkeep.Step:
    """Return what is to be done about an invalid index."""
    due = one.copy_of is not None
    if due:
        why = "an interrupted rebuild left it: writers keep it up, and no search uses it"
    elif one.building:
        why = "it is invalid, and a session builds an index of that table now"
    elif one.ours:
        why = "it is invalid: medbots db migrate builds it anew, or takes it away"
    else:
        why = (
            "it is invalid, and not medbots': to have it built, REINDEX INDEX CONCURRENTLY "
            f"public.{one.name}"
        )
    return upkeep.Step(
        upkeep.Kind.DROP, one.name, due, why, one.table, {"kind": one.kind, "bytes": one.bytes}
    )


def _type_index(change: type_indexes.Change, on: str) -> upkeep.Step:
    due = change.action is not type_indexes.Action.KEEP
    evidence = {"action": change.action.value, "rows": change.rows, "share": change.share}
    return upkeep.Step(upkeep.Kind.INDEX, change.name, due, change.why, on, evidence)
