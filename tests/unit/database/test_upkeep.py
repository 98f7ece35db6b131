"""What a table of embeddings needs: evidence in, steps out."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from medbots.database import upkeep, wear
from medbots.database.upkeep import Kind

THEN = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
ROWS = 20_000
NEW = wear.warranted(ROWS, 768, 16)


def _index(**changed: Any) -> wear.Index:
    rebuilt = wear.Rebuilt(THEN, deleted=100, updated=50)
    return dataclasses.replace(wear.Index("an_idx", ROWS, NEW, 16, rebuilt), **changed)


def _table(*indexes: wear.Index, **changed: Any) -> wear.Table:
    plain = wear.Table(
        name="public.clinical_embeddings",
        rows=ROWS,
        live=ROWS,
        dead=0,
        deleted=100,
        updated=50,
        modified=0,
        analyzed_at=THEN,
        inserted=0,
        vacuumed_at=THEN,
        dimension=768,
        owned=True,
        indexes=indexes or (_index(),),
    )
    return dataclasses.replace(plain, **changed)


def _due(table: wear.Table) -> list[Kind]:
    return [step.kind for step in upkeep.of_table(table) if step.due]


def _reason(table: wear.Table, kind: Kind) -> str:
    return next(step.reason for step in upkeep.of_table(table) if step.kind is kind)


def test_a_table_at_rest_needs_nothing() -> None:
    """Each step says why it is not needed."""
    assert _due(_table()) == []
    assert _reason(_table(), Kind.ANALYZE) == "nothing was written since the last time"
    assert _reason(_table(), Kind.VACUUM) == "there is no dead row, and few are new"
    assert _reason(_table(), Kind.REINDEX) == (
        "0 rows deleted or replaced since 2026-03-01, 39.1 MB, 1.00 times what 20,000 rows take"
    )


def test_the_order_is_analyse_reindex_vacuum() -> None:
    """Every index is rebuilt between the analysis and the vacuum."""
    worn = _table(_index(), _index(name="another"), dead=2_000, deleted=2_100, modified=2_000)
    assert _due(worn) == [Kind.ANALYZE, Kind.REINDEX, Kind.REINDEX, Kind.VACUUM]


@pytest.mark.parametrize(("dead", "due"), [(399, False), (400, True)])
def test_dead_rows_that_a_vacuum_would_mend_one_by_one(dead: int, *, due: bool) -> None:
    """From two dead rows in a hundred on, the index is rebuilt before the vacuum."""
    found = _table(dead=dead, deleted=100 + dead)
    assert (Kind.REINDEX in _due(found)) is due
    assert Kind.VACUUM in _due(found)
    if due:
        assert "400 dead rows beside 20,000" in _reason(found, Kind.REINDEX)


def test_rows_that_were_dead_before_the_index_was_built() -> None:
    """They are not in it: the vacuum removes them, and the index needs no rebuild."""
    assert _due(_table(dead=2_000)) == [Kind.VACUUM]


def test_rows_that_an_index_never_had() -> None:
    """Deleted rows of another model are taken from the count, also where no build is on record."""
    excused = _index(rebuilt=wear.Rebuilt(None, deleted=12_000, updated=0))
    found = _table(excused, deleted=12_100, updated=0, dead=12_000)
    assert _due(found) == [Kind.VACUUM]
    assert "100 rows deleted or replaced since the statistics began" in _reason(found, Kind.REINDEX)


@pytest.mark.parametrize(("deleted", "due"), [(10_000, False), (10_100, True)])
def test_churn_counts_from_the_last_rebuild(deleted: int, *, due: bool) -> None:
    """What was deleted before the index was built does not count; half of the rows does."""
    found = _table(deleted=deleted)
    assert (Kind.REINDEX in _due(found)) is due


def test_churn_without_a_record_counts_all() -> None:
    """An index of which no build is on record is judged by all that the statistics know."""
    found = _table(_index(rebuilt=None), deleted=9_000, updated=1_000)
    assert Kind.REINDEX in _due(found)
    assert "10,000 rows were deleted or replaced since the statistics began" in _reason(
        found, Kind.REINDEX
    )


def test_statistics_that_began_anew() -> None:
    """After a crash the counters are less than on record: what they say now is what is known."""
    found = _table(deleted=40, updated=2)
    assert found.churn(found.indexes[0]) == 42


@pytest.mark.parametrize(
    ("rows", "size", "due"),
    [
        (ROWS, NEW * 3 // 2 - 8192, False),
        (ROWS, NEW * 3 // 2 + 8192, True),
        # Twice what it should be, and a few megabytes to win.
        (1_000, 4 * 1024 * 1024, False),
    ],
)
def test_an_index_greater_than_its_rows_warrant(rows: int, size: int, *, due: bool) -> None:
    """Half as large again, and at least 16 MB to win."""
    assert (Kind.REINDEX in _due(_table(_index(rows=rows, bytes=size)))) is due


@pytest.mark.parametrize(
    ("changed", "due"),
    [
        ({"modified": 399}, False),
        ({"modified": 400}, True),
        ({"analyzed_at": None}, True),
        ({"rows": -1, "live": 0, "analyzed_at": None}, True),
    ],
)
def test_analyse(changed: dict[str, Any], *, due: bool) -> None:
    """Never analysed, or two rows in a hundred written since."""
    assert (Kind.ANALYZE in _due(_table(**changed))) is due


@pytest.mark.parametrize(
    ("changed", "due"),
    [({"dead": 1}, True), ({"inserted": 1_999}, False), ({"inserted": 2_000}, True)],
)
def test_vacuum(changed: dict[str, Any], *, due: bool) -> None:
    """One dead row is enough; so is a tenth of new ones, for the visibility map."""
    assert (Kind.VACUUM in _due(_table(**changed))) is due


def test_an_empty_table_is_not_maintained() -> None:
    """No rows, no division by them."""
    empty = _table(_index(rows=0, bytes=8192), rows=0, live=0, deleted=0, updated=0)
    assert _due(empty) == []
    assert _reason(empty, Kind.REINDEX).endswith("since 2026-03-01, it is empty")


@pytest.mark.parametrize(
    ("rows", "dimension", "neighbours", "megabytes"),
    [(20_000, 768, 16, 39.07), (100_000, 768, 16, 195.3), (20_000, 1536, 16, 78.1)],
)
def test_what_an_index_takes(rows: int, dimension: int, neighbours: int, megabytes: float) -> None:
    """Sizes that pgvector 0.8 was measured to make."""
    size = wear.warranted(rows, dimension, neighbours) / 1024 / 1024
    assert size == pytest.approx(megabytes, rel=0.02)
