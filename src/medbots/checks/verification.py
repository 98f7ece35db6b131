"""Runs the catalogue: once, or again until everything passes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from medbots import check
from medbots.checks import catalogue
from medbots.checks import target as target_module


@dataclass(frozen=True, slots=True)
class Choice:
    """Which checks are made, and what counts as success."""

    only: Collection[str] = ()
    """Globs over ids; empty: every check."""
    skip: Collection[str] = ()
    """Globs over ids."""
    fail_on: check.Severity = check.Severity.ERROR
    wait: float = 0.0
    """Seconds in which the run is repeated until it succeeds."""
    interval: float = 2.0
    """Seconds between the end of a run and the next."""


class Observer(Protocol):
    """Is told how a run gets on."""

    def started(self, total: int) -> None:
        """A run of `total` checks begins."""

    def looked(self, result: check.Result) -> None:
        """One check has ended."""

    def ended(self, report: check.Report, *, again: bool) -> None:
        """The run has ended; `again`: it did not succeed and will be repeated."""


def chosen(target: target_module.Target, choice: Choice) -> tuple[check.Check, ...]:
    """Return the checks that `choice` names.

    Raises:
        errors.UsageError: a glob of `only`, or all of `skip`, match nothing.
    """
    every = catalogue.checks_of(target)
    check.matching(choice.skip, every, "--skip")
    return check.select(every, choice.only)


async def run(
    open_target: Callable[[], AbstractAsyncContextManager[target_module.Target]],
    choice: Choice,
    observer: Observer,
) -> check.Report:
    """Return the report of the last run.

    Every run opens its target anew, so that it sees what has changed, a new login included.

    Raises:
        errors.UsageError: `choice` names checks that do not exist.
    """
    end = time.monotonic() + choice.wait
    while True:
        async with open_target() as target:
            report = await _once(target, choice, observer)
        left = end - time.monotonic()
        done = report.ok or left <= 0
        observer.ended(report, again=not done)
        if done:
            return report
        await asyncio.sleep(min(choice.interval, left))


async def _once(target: target_module.Target, choice: Choice, observer: Observer) -> check.Report:
    started = time.perf_counter()
    checks = chosen(target, choice)
    left_out = check.matching(choice.skip, catalogue.checks_of(target), "--skip")
    observer.started(len(checks))
    results = []
    async for result in check.run_all(checks, left_out):
        results.append(result)
        observer.looked(result)
    elapsed = round((time.perf_counter() - started) * 1000)
    return check.Report(tuple(results), choice.fail_on, elapsed)
