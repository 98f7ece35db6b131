"""Waits for something that another machine does, without pressing it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST = 0.05
_GROWTH = 1.6
_LONGEST = 2.0


async def until(look: Callable[[], Awaitable[T | None]], limit: float) -> T | None:
    """Return what `look` finds, looking again ever more seldom; None after `limit` seconds.

    It looks once more at the very end, so that a short limit still looks twice.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + limit
    pause = _FIRST
    while True:
        found = await look()
        left = end - clock()
        if found is not None or left <= 0:
            return found
        await asyncio.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST)
