"""How figures grow."""

from __future__ import annotations

import pytest

from medbots.bench import figures, laws


def test_a_law_is_found_again() -> None:
    """Points of a known power give that power, and what it says between and beyond them."""
    law = laws.fit("exact search", "ms", [(rows, 0.002 * rows) for rows in (5e3, 2e4, 1e5)])
    assert (law.factor, law.power) == (pytest.approx(0.002), pytest.approx(1))
    assert law.worst == pytest.approx(0, abs=1e-9)
    assert law.at(500_000) == pytest.approx(1000)


def test_a_point_beside_the_line_is_told() -> None:
    """The greatest deviation is that of the worst point."""
    law = laws.fit("search", "ms", [(1e4, 2.0), (1e5, 2.2), (1e6, 2.0)])
    assert law.power == pytest.approx(0, abs=1e-9)
    assert law.worst == pytest.approx(2.2 / 2.0645 - 1, abs=1e-3)


def test_one_number_of_rows_is_too_few() -> None:
    """No line goes through one point alone."""
    with pytest.raises(ValueError, match="gives no law"):
        laws.fit("search", "ms", [(1e4, 2.0), (1e4, 2.1)])


def test_every_figure_of_the_stages_has_a_law() -> None:
    """Eight figures, each by its own values."""
    stages = [
        figures.Stage(
            rows=rows,
            build=0.0005 * rows,
            load_row=0.0001,
            insert_row=0.005,
            guide_row=0.001,
            search=2.0,
            exact=0.002 * rows,
            guide_search=0.0004 * rows,
            guide_exact=0.009 * rows,
            bytes=5000 * rows,
            guide_bytes=9500 * rows,
        )
        for rows in (5_000, 20_000)
    ]
    found = {law.what: (round(law.factor, 6), round(law.power, 3)) for law in laws.of(stages)}
    assert found["default search"] == (2.0, 0)
    assert found["exact search"] == (0.002, 1)
    assert found["COPY into the index, a row"] == (5.0, 0)
    assert found["size"] == (0.005, 1)
    assert len(found) == 8
