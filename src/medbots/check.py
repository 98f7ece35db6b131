"""A check is a name and a function that looks; running many is a loop that yields."""

from __future__ import annotations

import difflib
import enum
import fnmatch
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from medbots import errors


class Status(enum.StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


class Severity(enum.StrEnum):
    """How bad it is when this check does not pass."""

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
    """WARNING: not passing is never worse than a warning."""
    needs: tuple[str, ...] = ()
    """Ids of checks without which this one cannot mean anything: it is skipped when one failed."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a whole run saw."""

    results: tuple[Result, ...]
    fail_on: Severity = Severity.ERROR
    """The mildest thing that makes the run fail."""
    duration_ms: int = 0

    @property
    def ok(self) -> bool:
        """Whether the run succeeded."""
        bad = {Status.FAIL} if self.fail_on is Severity.ERROR else {Status.FAIL, Status.WARN}
        return not any(result.status in bad for result in self.results)

    @property
    def summary(self) -> dict[str, int]:
        """Number of results by status."""
        count = Counter(result.status for result in self.results)
        return {status.value: count[status] for status in Status}


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


def select(checks: Sequence[Check], only: Collection[str] = ()) -> tuple[Check, ...]:
    """Return the checks whose id matches one of the globs; all of them without a glob.

    Raises:
        errors.UsageError: a glob matches nothing; the hint names the nearest ids.
    """
    for pattern in only:
        matching([pattern], checks, "--only")
    chosen = matching(only, checks, "--only") if only else {check.id for check in checks}
    return tuple(check for check in checks if check.id in chosen)


def matching(patterns: Collection[str], checks: Sequence[Check], flag: str) -> frozenset[str]:
    """Return the ids that any of the globs matches.

    Raises:
        errors.UsageError: there are globs, and none of them matches.
    """
    ids = [check.id for check in checks]
    found = frozenset(
        name for name in ids if any(fnmatch.fnmatchcase(name, glob) for glob in patterns)
    )
    if patterns and not found:
        asked = ", ".join(patterns)
        near = [name for glob in patterns for name in _nearest(glob, ids)]
        raise errors.UsageError(
            f"{flag} {asked}: no check has such an id",
            hint=f"did you mean {', '.join(near)}?" if near else "medbots verify --list-checks",
        )
    return found


def _nearest(pattern: str, ids: list[str]) -> list[str]:
    """By letters; a glob also by its fixed beginning, so that `bot.*` finds `bots.…`."""
    near = difflib.get_close_matches(pattern, ids, n=3, cutoff=0.6)
    stem = pattern.partition("*")[0].rstrip(".")
    families = difflib.get_close_matches(stem, dict.fromkeys(name.split(".")[0] for name in ids))
    return near or [f"{family}.*" for family in families[:3]]


async def run_all(checks: Iterable[Check], skip: Collection[str] = ()) -> AsyncIterator[Result]:
    """Run `checks` in their order and yield each result as it is known.

    A check whose prerequisite failed, or was itself skipped for a failure, is skipped and names
    that failure; but where it failed for want of a setting, what needs it wants the same setting,
    and fails too. One that the user skips (`skip`: ids) holds up nothing: what needs it finds out
    for itself.
    """
    causes: dict[str, Result] = {}
    for check in checks:
        cause = _worst([causes[need] for need in check.needs if need in causes])
        started = time.perf_counter()
        if check.id in skip:
            result = skipped("left out by --skip")
        elif cause is not None:
            causes[check.id] = cause
            result = _graded(cause, check.severity)
        else:
            result, cause = await _look(check)
            result = _graded(result, check.severity)
            if result.status is Status.FAIL:
                causes[check.id] = cause or skipped(f"{check.id} failed")
        elapsed = round((time.perf_counter() - started) * 1000)
        yield replace(result, id=check.id, duration_ms=elapsed)


def _worst(causes: Sequence[Result]) -> Result | None:
    """A missing setting goes before a failed prerequisite: it is the one to be named."""
    missing = (one for one in causes if one.status is Status.FAIL)
    return next(missing, causes[0] if causes else None)


async def _look(check: Check) -> tuple[Result, Result | None]:
    """Return what was seen and, for want of a setting, what that means for those who need it."""
    try:
        return await check.run(), None
    except errors.MissingSettingError as error:
        result = failed(error.message, fix=error.hint or "")
        return result, result
    except errors.MedbotsError as error:
        return failed(error.message, fix=error.hint or ""), None


def _graded(result: Result, severity: Severity) -> Result:
    """A failure of a mild check is a warning; a warning of a severe one is no error."""
    if result.status is Status.FAIL and severity is Severity.WARNING:
        return replace(result, status=Status.WARN, severity=severity)
    if result.status is Status.WARN:
        return replace(result, severity=Severity.WARNING)
    return replace(result, severity=severity)
