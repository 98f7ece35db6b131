"""A check is a name and a function that looks; running many is a loop that yields."""

from __future__ import annotations

import enum
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from medbots import errors


class Status(enum.StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


class Severity(enum.StrEnum):
    """How bad a failure of this check is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Result:
    """What one check saw."""

    id: str
    status: Status
    severity: Severity = Severity.ERROR
    observed: str = ""
    expected: str = ""
    fix: str = ""
    """The command that cures it."""
    reason: str = ""
    """Why it was skipped."""
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    `run` returns a Result whose id, severity and duration are filled in by `run_all`; it raises a
    MedbotsError where it cannot even look, which counts as a failure.
    """

    id: str
    """Dotted and stable, such as `bots.embedding.membership`."""
    title: str
    run: Callable[[], Awaitable[Result]]
    severity: Severity = Severity.ERROR
    needs: tuple[str, ...] = ()
    """Ids of checks without which this one cannot mean anything: it is skipped when one failed."""


def passed(observed: str = "", expected: str = "") -> Result:
    """Return a passing result."""
    return Result("", Status.PASS, observed=observed, expected=expected)


def warned(observed: str, expected: str = "", fix: str = "") -> Result:
    """Return a result that deserves a look and fails nothing."""
    return Result("", Status.WARN, observed=observed, expected=expected, fix=fix)


def failed(observed: str, expected: str = "", fix: str = "") -> Result:
    """Return a failing result, with the command that cures it."""
    return Result("", Status.FAIL, observed=observed, expected=expected, fix=fix)


def skipped(reason: str) -> Result:
    """Return a result for a check that was not made, with the reason."""
    return Result("", Status.SKIP, reason=reason)


async def run_all(checks: Iterable[Check]) -> AsyncIterator[Result]:
    """Run `checks` in their order and yield each result as it is known.

    A check whose prerequisite failed or was skipped is skipped with that reason.
    """
    unmet: dict[str, Status] = {}
    for check in checks:
        blocker = next((need for need in check.needs if need in unmet), None)
        started = time.perf_counter()
        if blocker is not None:
            verb = "failed" if unmet[blocker] is Status.FAIL else "was skipped"
            result = skipped(f"{blocker} {verb}")
        else:
            try:
                result = await check.run()
            except errors.MedbotsError as error:
                result = failed(error.message, fix=error.hint or "")
        elapsed = round((time.perf_counter() - started) * 1000)
        if result.status in (Status.FAIL, Status.SKIP):
            unmet[check.id] = result.status
        yield replace(result, id=check.id, severity=check.severity, duration_ms=elapsed)
