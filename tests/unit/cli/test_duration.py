"""Lengths of time on the command line."""

from __future__ import annotations

import pytest

from medbots import errors
from medbots.cli import duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120s", 120), ("2m", 120), ("500ms", 0.5), ("1.5h", 5400), ("30", 30), (" 1s ", 1), ("0", 0)],
)
def test_seconds(text: str, seconds: float) -> None:
    """Each unit is read, and a bare number is seconds."""
    assert duration.seconds("--wait", text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1d", "1 s", "1e3", "two", "1s2", "٣s"])
def test_no_length_of_time(text: str) -> None:
    """Anything else is a usage error that names the flag and repeats the value."""
    with pytest.raises(errors.UsageError) as caught:
        duration.seconds("--wait", text)
    assert "--wait" in caught.value.message
    assert repr(text) in caught.value.message
