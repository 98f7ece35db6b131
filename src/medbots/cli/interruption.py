"""Ends that come from outside: what a Ctrl-C cleans up, a terminated command cleans up too."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def by_termination() -> Iterator[None]:
    """Let SIGTERM, and the end of the terminal, arrive as a KeyboardInterrupt.

    What the caller ignores stays ignored: under nohup, a run outlives its terminal.
    """
    names = ("SIGTERM", "SIGHUP")
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {
        number: signal.signal(number, _interrupt)
        for number in known
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_signal: int, frame: FrameType | None) -> None:
    # asyncio's own handler of Ctrl-C cancels what runs; an exception out of nowhere would break a
    # statement off half-way, and the cleanup could use that connection no more.
    ctrl_c = signal.getsignal(signal.SIGINT)
    if callable(ctrl_c):
        ctrl_c(signal.SIGINT, frame)
    else:
        raise KeyboardInterrupt
