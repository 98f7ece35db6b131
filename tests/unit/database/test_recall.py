"""The arithmetic of `db recall`."""

from __future__ import annotations

import math
import random

import pytest

from medbots.database import recall, search


def _hits(*distances: float) -> list[search.Hit]:
    return [search.Hit("Condition", str(place), one) for place, one in enumerate(distances)]


def test_the_interval_of_a_perfect_sample_has_a_width() -> None:
    """A hundred queries that found all leave room for one in twenty-seven that would not."""
    low, high = recall.interval(1.0, 100)
    assert (round(low, 3), round(high, 3)) == (0.963, 1.0)


@pytest.mark.parametrize(
    ("mean", "count", "low", "high"),
    # By the tables of Wilson's score interval.
    [(0.5, 10, 0.237, 0.763), (0.9, 50, 0.786, 0.957), (0.0, 20, 0.0, 0.161)],
)
def test_the_interval_is_wilsons(mean: float, count: int, low: float, high: float) -> None:
    """Known values."""
    assert recall.interval(mean, count) == pytest.approx((low, high), abs=5e-4)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of many samples with a known mean, at least 95 in 100 have it in their interval."""
    chance = random.Random(3)  # noqa: S311
    held = 0
    for _ in range(400):
        found = [sum(chance.random() < 0.9 for _ in range(10)) / 10 for _ in range(50)]
        low, high = recall.interval(sum(found) / len(found), len(found))
        held += low <= 0.9 <= high
    assert held / 400 >= 0.95


def test_recall_of_ten() -> None:
    """Seven of the ten nearest were found."""
    exact = _hits(*(place / 100 for place in range(10)))
    found = _hits(*(place / 100 for place in range(7)), 0.5, 0.6, 0.7)
    assert recall.compare(exact, found) == pytest.approx(0.7)


def test_any_of_the_same_distance_will_do() -> None:
    """Records with the same text are as good as each other: the tenth place may be any of them."""
    exact = _hits(*[0.1] * 10)
    other = [search.Hit("Observation", f"twin {place}", 0.1) for place in range(10)]
    assert recall.compare(exact, other) == 1


def test_fewer_than_ten() -> None:
    """Of three that there are, two were found; of none, nothing can be said."""
    assert recall.compare(_hits(0.1, 0.2, 0.3), _hits(0.1, 0.2)) == pytest.approx(2 / 3)
    assert recall.compare([], []) is None


def test_a_search_that_finds_nothing_has_no_recall() -> None:
    """Nothing found of what there is: 0, not an error."""
    assert recall.compare(_hits(0.1), []) == 0


@pytest.mark.parametrize("size", [2, 4, 768])
def test_a_turned_vector_is_as_similar_as_it_should(size: int) -> None:
    """Length 1, and a cosine similarity of 0.8 to the stored one, whose length does not matter."""
    chance = random.Random(1)  # noqa: S311
    stored = [chance.gauss(0, 3) for _ in range(size)]
    turned = recall.turn(stored, chance)
    assert math.hypot(*turned) == pytest.approx(1)
    product = sum(one * other for one, other in zip(stored, turned, strict=True))
    assert product / math.hypot(*stored) == pytest.approx(recall.SIMILARITY)


def test_one_dimension_cannot_be_turned() -> None:
    """A line has no other direction: the vector stays."""
    assert recall.turn([-2.0], random.Random(1)) == [-1.0]  # noqa: S311


def test_times_are_nearest_ranks() -> None:
    """Median and 95th percentile in milliseconds."""
    found = recall.times([number / 1000 for number in range(1, 101)])
    assert (found.p50, found.p95) == (pytest.approx(50), pytest.approx(95))


def test_the_summary() -> None:
    """Means, and how many took which way."""
    answers = [recall.Answer(1, 0.001, 0.1, "index"), recall.Answer(0.5, 0.003, 0.2, "exact")]
    found = recall.summarise(answers)
    assert (found.queries, found.recall) == (2, 0.75)
    assert found.ways == {"index": 1, "exact": 1}
    assert found.exact == recall.Times(pytest.approx(100), pytest.approx(200))
