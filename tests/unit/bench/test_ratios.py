"""Which ratios are reached, and the report of them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from medbots.bench import figures, ratios, report


def _searches(recall: float, p50: float) -> figures.Searches:
    return figures.Searches(recall, p50, 2 * p50, p50 + 1, 100)


def _stage(rows: int, **changed: Any) -> figures.Stage:
    plain = figures.Stage(
        rows=rows,
        build=rows * 0.0005,
        load_row=0.0001,
        insert_row=0.004,
        guide_row=0.0005,
        search=2.0,
        exact=40.0,
        guide_search=1.5,
        guide_exact=180.0,
        bytes=rows * 5000,
        guide_bytes=rows * 9500,
    )
    return dataclasses.replace(plain, **changed)


NO_DEFECTS = {"staleChunks": 0, "extraIndexes": 0}
GUIDE = figures.Side(
    everything=_searches(0.3, 1.5),
    rare=_searches(0.15, 1.5),
    patient=_searches(1.0, 2.0),
    exact=_searches(1.0, 180.0),
    bytes=1000,
    defects={"staleChunks": 3, "extraIndexes": 1},
)
OURS = figures.Side(
    everything=_searches(0.98, 2.0),
    rare=_searches(0.99, 1.6),
    patient=_searches(1.0, 1.0),
    exact=_searches(1.0, 40.0),
    bytes=530,
    defects=NO_DEFECTS,
)
GOOD = figures.Measured(
    rows=20_000,
    server="Postgres 16.14, pgvector 0.8.5",
    guide=GUIDE,
    ours=OURS,
    stages=(_stage(5_000), _stage(10_000), _stage(20_000)),
    reindex=12.0,
    stall=0.03,
    searches_meanwhile=4000,
    curve=(figures.Point(40, 0.97, 1.2), figures.Point(100, 0.98, 2.0)),
    guide_curve=(figures.Point(1, 0.3, 1.5), figures.Point(10, 0.88, 9.0)),
    seconds=100.0,
)


def _ours(**changed: Any) -> figures.Measured:
    return dataclasses.replace(GOOD, ours=dataclasses.replace(OURS, **changed))


def _missed(found: figures.Measured) -> list[int]:
    return [one.number for one in ratios.judge(found) if not one.met]


def test_few_rows_tell_of_mistakes_alone() -> None:
    """Below 20,000 rows only what counts mistakes is judged; a mistake is one with any number."""
    few = dataclasses.replace(_ours(exact=_searches(1.0, 170.0)), rows=19_999)
    assert [one.met for one in ratios.judge(few)] == [None] * 7 + [True]
    wrong = dataclasses.replace(_ours(defects={"staleChunks": 1}), rows=2_000)
    assert [one.met for one in ratios.judge(wrong)] == [None] * 7 + [False]
    page = report.html(few, ratios.judge(few))
    assert page.count(">not judged<") == 7


def test_all_are_reached() -> None:
    """Each ratio is what it says it is."""
    judged = ratios.judge(GOOD)
    assert [one.number for one in judged] == list(range(1, 9))
    assert _missed(GOOD) == []
    values = [round(one.value, 3) for one in judged]
    assert values == [3.267, 90.0, 4.5, 6.6, 0.5, 0.53, 0.003, 0.0]


@pytest.mark.parametrize(
    ("found", "number"),
    [
        (_ours(everything=_searches(0.96, 2.0)), 1),
        (_ours(everything=_searches(0.98, 2.3)), 2),
        (_ours(exact=_searches(1.0, 46.0)), 3),
        (_ours(rare=_searches(0.8, 1.6)), 4),
        (_ours(rare=_searches(0.99, 1.9)), 4),
        (_ours(patient=_searches(1.0, 1.2)), 5),
        (_ours(patient=_searches(0.99, 1.0)), 5),
        (_ours(bytes=560), 6),
        (dataclasses.replace(GOOD, stages=(_stage(20_000, build=20.0),)), 6),
        (dataclasses.replace(GOOD, stall=0.3), 7),
        (_ours(defects=NO_DEFECTS | {"staleChunks": 1}), 8),
    ],
)
def test_each_can_be_missed_alone(found: figures.Measured, number: int) -> None:
    """A little worse in one thing, and that line alone is missed."""
    assert _missed(found) == [number]


def test_a_guide_that_finds_nothing() -> None:
    """A ratio to nothing is infinite, shown as such, and null in JSON."""
    guide = dataclasses.replace(GUIDE, rare=_searches(0.0, 1.5))
    line = ratios.judge(dataclasses.replace(GOOD, guide=guide))[3]
    assert math.isinf(line.value)
    assert line.shown.startswith("∞")
    assert line.document()["value"] is None


def test_inserts_are_averaged_over_the_way() -> None:
    """Up to the first stage as a logarithm grows, then along the stages."""
    found = dataclasses.replace(
        GOOD, stages=(_stage(10_000, insert_row=0.003), _stage(20_000, insert_row=0.005))
    )
    first = 0.003 * (1 - 1 / math.log(10_000))
    assert found.insert_row == pytest.approx((first + 0.004) / 2)
    assert found.bulk_row == pytest.approx(0.0001 + 0.0005)


def test_searches_are_summed_up() -> None:
    """Mean recall, median and 95th percentile of the statement, median of the whole."""
    found = figures.searches([(1.0, n / 1000, n / 500) for n in range(1, 101)])
    assert found.p50 == pytest.approx(50.5)
    assert found.p95 == pytest.approx(95)
    assert found.whole_p50 == pytest.approx(101)


def test_the_report() -> None:
    """Every ratio, each plot as an element, and what is missed is said."""
    found = _ours(bytes=560)
    page = report.html(found, ratios.judge(found))
    assert page.count("<tr>") == 1 + 8 + 1 + 8 + 1 + 3
    assert page.count('class="missed"') == 1
    assert page.count("<svg") == page.count("</svg>") == 3
    assert "20,000 synthetic rows" in page
    assert "into the index" in page
