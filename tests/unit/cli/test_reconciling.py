"""When a reconciliation does without the vector index."""

from __future__ import annotations

import pytest

from medbots.cli import reconciling


@pytest.mark.parametrize(
    ("rows", "missing", "anew"),
    [
        (0, 0, False),
        (0, 1, True),
        (0, 500_000, True),
        (1_000, 80, False),
        (1_000, 81, True),
        (1_000, -5, False),
        (19_999, 30_001, True),
        (19_999, 30_002, False),
        (20_000, 10_000, False),
    ],
)
def test_the_index_goes_only_while_searches_can_do_without(
    rows: int, missing: int, anew: bool
) -> None:
    """For many records beside few rows, and never for hours of searches that read a large table."""
    assert reconciling.faster_anew(rows, missing) is anew
