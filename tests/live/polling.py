"""Waiting for what a server does in the background, by asking again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.4
GROWTH = 1.5
PATIENCE = 15.0
"""Seconds; a subscription's bot answers in a tenth of one, a busy machine takes longer."""


def until(look: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """Return the first true value that `look` gives.

    Raises:
        AssertionError: it gave none in time; says what was awaited and what was last seen.
    """
    deadline = time.monotonic() + patience
    pause = FIRST_PAUSE
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            message = f"waited {patience:.0f} s for {what}; last seen: {seen!r}"
            raise AssertionError(message)
        time.sleep(pause)
        pause = min(pause * GROWTH, LONGEST_PAUSE)
