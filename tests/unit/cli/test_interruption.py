"""Ends from outside: which signals end a command as Ctrl-C does, and which are left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from medbots import errors
from medbots.cli import db_maintain, db_report, interruption, options

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Leave the signals as they were."""
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_is_an_interruption(number: signal.Signals) -> None:
    """What cleans up after Ctrl-C cleans up after these too; then they are as before."""
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interruption.by_termination():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_what_is_ignored_stays_ignored() -> None:
    """A run that nohup has started outlives the terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruption.by_termination():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize("verb", ["migrate", "maintain"])
def test_a_terminated_change_of_the_database_is_cancelled(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its statement must not run on in the server, with the lock that the next run needs."""
    heard = []
    signal.signal(signal.SIGTERM, lambda *_: heard.append("by nobody"))

    async def work(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(3)
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    monkeypatch.setattr(db_maintain, "_work", work)
    opts = options.Options()
    run = {
        "migrate": lambda: db_report.reported(opts, db_report.Report(), work()),
        "maintain": lambda: db_maintain._report(opts, db_maintain.Report(), maintaining=True),
    }
    with pytest.raises(errors.InterruptedByUserError):
        run[verb]()
    assert heard == ["cancelled"]
