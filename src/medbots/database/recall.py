"""How many of the nearest records the default search finds, and how fast, on the real rows."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import generations, indexes, queries, search, table

NEIGHBOURS = 10
SIMILARITY = 0.8
"""Of a query and the stored chunk that it was made from. Questions come no nearer."""
_SAME = 1e-6
"""Cosine distances that differ by less are the same: so much is lost by 32-bit sums."""
_Z = 1.959964
"""Of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One query, asked both ways."""

    recall: float
    """Share of the nearest resources, by an exact scan, that the default search found."""
    default_seconds: float
    exact_seconds: float
    way: str
    """Which the default search took, as `search_settings.sql` names the ways."""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Recall:
    """What the answers say together."""

    queries: int
    recall: float
    """Recall@10, the mean of the queries'."""
    low: float
    high: float
    """The 95 % interval around it."""
    default: Times
    exact: Times
    ways: dict[str, int]
    """How many queries took which way."""

    @property
    def by_index(self) -> int:
        """How many queries were to go through an index; the others compared with every row."""
        return sum(count for way, count in self.ways.items() if way != search.EXACT)


def summarise(answers: Sequence[Answer]) -> Recall:
    """Return the figures of some answers, at least one."""
    mean = sum(one.recall for one in answers) / len(answers)
    low, high = interval(mean, len(answers))
    return Recall(
        queries=len(answers),
        recall=mean,
        low=low,
        high=high,
        default=times([one.default_seconds for one in answers]),
        exact=times([one.exact_seconds for one in answers]),
        ways=dict(Counter(one.way for one in answers)),
    )


def interval(mean: float, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a mean of values between 0 and 1.

    Each query counts as one trial. Such values vary no more than a coin of the same mean, so the
    true interval is no wider; and unlike a bootstrap's it has a width where all of them are 1.
    """
    square = _Z * _Z
    centre = (mean + square / (2 * count)) / (1 + square / count)
    spread = mean * (1 - mean) / count + square / (4 * count * count)
    half = _Z / (1 + square / count) * math.sqrt(max(spread, 0.0))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def times(seconds: Sequence[float]) -> Times:
    """Return median and 95th percentile (nearest rank) in milliseconds."""
    ordered = sorted(seconds)

    def rank(share: int) -> float:
        return 1000 * ordered[max(-(-len(ordered) * share // 100), 1) - 1]

    return Times(rank(50), rank(95))


async def projects(
    connection: connection_module.Connection, model_version: str, most: int = 5
) -> tuple[str, ...]:
    """Return the ids of projects that have rows of a model, at most so many.

    Raises:
        errors.DatabaseError: there is no store.
    """
    with connection_module.translated():
        if (await table.inspect(connection)).origin is not table.Origin.OURS:
            raise errors.DatabaseError(
                f"there is no embedding store here: {table.NAME} is not medbots' table",
                hint="medbots db init",
            )
    cursor = await queries.run(connection, "embedded_projects", model_version, most)
    return tuple([str(row[0]) async for row in cursor])


async def indexed(connection: connection_module.Connection, model_version: str) -> bool:
    """Whether a valid index serves a model, without which every way compares with all rows."""
    length = int(model_version.rpartition("/")[0].rpartition("/")[2])
    with connection_module.translated():
        tables = await generations.find(connection)
        used = generations.of_dimension(tables, length)
        found = await indexes.find(connection, used.name) if used else ()
    index = indexes.of_model(found, model_version)
    return index is not None and index.valid and index.kind == "hnsw"


async def ask(
    connection: connection_module.Connection,
    project_id: str,
    model_version: str,
    *,
    sample: int,
    resource_type: str | None = None,
    seed: int = 1,
) -> AsyncGenerator[Answer, None]:
    """Ask for the neighbours of stored chunks, by default and exactly, and yield each answer.

    A stored vector as the query would find itself, and is a node of the very graph that is
    judged: each is turned away at random until its similarity to what is stored is `SIMILARITY`,
    and the resource that it came from counts in neither answer. No text is read.

    Args:
        connection: of the tables' owner.
        project_id: whose rows are searched.
        model_version: of the rows.
        sample: how many queries.
        resource_type: search this type alone.
        seed: of the choice and of the turning: the same gives the same queries.

    Raises:
        errors.DatabaseError: there are too few rows, or the database refused.
    """
    search.prepare(connection)
    cursor = await queries.run(
        connection, "sample_rows", project_id, model_version, resource_type, seed, sample
    )
    rows = await cursor.fetchall()
    chance = random.Random(seed)  # noqa: S311 (nothing is kept secret by it)
    types = (resource_type,) if resource_type else None
    for kind, name, vector in rows:
        turned = turn(vector, chance)
        wanted = search.Search(project_id, model_version, turned, NEIGHBOURS + 1, types)
        default = await search.nearest(connection, wanted)
        exact = await search.nearest(connection, wanted, exact=True)
        recall = compare(
            [one for one in exact.hits if (one.resource_type, one.resource_id) != (kind, name)],
            [one for one in default.hits if (one.resource_type, one.resource_id) != (kind, name)],
        )
        if recall is not None:
            yield Answer(recall, default.seconds, exact.seconds, default.way)


def compare(exact: Sequence[search.Hit], found: Sequence[search.Hit]) -> float | None:
    """Return the share of the nearest ten that was found; None where there is nothing to find.

    What is as near as the tenth counts as found: of records with the same text any will do.
    """
    wanted = exact[:NEIGHBOURS]
    if not wanted:
        return None
    farthest = wanted[-1].distance + _SAME
    hits = sum(one.distance <= farthest for one in found[:NEIGHBOURS])
    return min(hits / len(wanted), 1.0)


def turn(vector: Sequence[float], chance: random.Random) -> list[float]:
    """Return a vector of length 1 whose cosine similarity to the given one is `SIMILARITY`."""
    length = math.hypot(*vector)
    unit = [value / length for value in vector]
    noise = [chance.gauss(0, 1) for _ in unit]
    along = _product(noise, unit)
    across = [value - along * part for value, part in zip(noise, unit, strict=True)]
    size = math.hypot(*across)
    if size == 0:
        # Of one dimension there is no other direction.
        return unit
    aside = math.sqrt(1 - SIMILARITY**2) / size
    return [SIMILARITY * part + aside * value for part, value in zip(unit, across, strict=True)]


def _product(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(one * other for one, other in zip(left, right, strict=True))
