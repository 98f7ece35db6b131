"""Running checks: order, prerequisites, severity, selection, and the report."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from medbots import check, errors
from medbots.check import Check, Report, Result, Severity, Status

SETTING = errors.MissingSettingError("X_URL is not set", hint="set X_URL")


def make(
    name: str,
    result: Result | Exception | None = None,
    *,
    needs: tuple[str, ...] = (),
    severity: Severity = Severity.ERROR,
) -> Check:
    """Return a check that sees `result`; it passes without one."""

    async def run() -> Result:
        if isinstance(result, Exception):
            raise result
        return result or check.passed("fine")

    return Check(name, f"Title of {name}", run, severity, needs)


async def ran(*checks: Check, skip: Collection[str] = ()) -> dict[str, Result]:
    """Run them and return the results by id, in the order in which they came."""
    return {one.id: one async for one in check.run_all(checks, skip)}


async def test_results_come_in_order_with_id_and_severity() -> None:
    """Each result carries its check's id and severity."""
    seen = await ran(make("a"), make("b", severity=Severity.WARNING))
    assert list(seen) == ["a", "b"]
    assert seen["a"].status is Status.PASS
    assert [one.severity for one in seen.values()] == [Severity.ERROR, Severity.WARNING]


async def test_an_error_is_a_failure_with_its_hint() -> None:
    """A check that cannot even look has failed, and the error's hint is the cure."""
    seen = await ran(make("a", errors.UnreachableError("down", hint="start it")))
    assert (seen["a"].status, seen["a"].observed, seen["a"].fix) == (
        Status.FAIL,
        "down",
        "start it",
    )


async def test_a_defect_is_not_a_failed_check() -> None:
    """Any other exception is a defect of medbots and is not swallowed."""
    with pytest.raises(ZeroDivisionError):
        await ran(make("a", ZeroDivisionError()))


async def test_a_failed_prerequisite_skips_down_the_line() -> None:
    """What needs a failed check is skipped, also indirectly, and names the failure itself."""
    seen = await ran(
        make("a", check.failed("no")), make("b", needs=("a",)), make("c", needs=("b",)), make("d")
    )
    assert [one.status for one in seen.values()] == [
        Status.FAIL,
        Status.SKIP,
        Status.SKIP,
        Status.PASS,
    ]
    assert (seen["b"].reason, seen["c"].reason) == ("a failed", "a failed")


async def test_a_warning_holds_up_nothing() -> None:
    """What needs a check that warned is made."""
    seen = await ran(make("a", check.warned("hm")), make("b", needs=("a",)))
    assert seen["b"].status is Status.PASS


async def test_a_missing_setting_fails_all_who_need_it() -> None:
    """For want of a setting nothing is skipped: whoever needs it fails and names it."""
    seen = await ran(make("a", SETTING), make("b", needs=("a",)), make("c", needs=("b",)))
    assert {(one.status, one.observed, one.fix) for one in seen.values()} == {
        (Status.FAIL, "X_URL is not set", "set X_URL")
    }


async def test_a_missing_setting_goes_before_a_failure() -> None:
    """Of two prerequisites, the one that wants a setting is named."""
    seen = await ran(make("a", check.failed("no")), make("b", SETTING), make("c", needs=("a", "b")))
    assert seen["c"].observed == "X_URL is not set"


async def test_what_the_user_skips_holds_up_nothing() -> None:
    """A check left out on purpose is no obstacle for the others."""
    seen = await ran(make("a", check.failed("no")), make("b", needs=("a",)), skip=("a",))
    assert (seen["a"].status, seen["a"].reason) == (Status.SKIP, "left out by --skip")
    assert seen["b"].status is Status.PASS


@pytest.mark.parametrize(
    ("severity", "seen", "status", "graded"),
    [
        (Severity.ERROR, check.failed("x"), Status.FAIL, Severity.ERROR),
        (Severity.WARNING, check.failed("x"), Status.WARN, Severity.WARNING),
        (Severity.ERROR, check.warned("x"), Status.WARN, Severity.WARNING),
        (Severity.WARNING, check.warned("x"), Status.WARN, Severity.WARNING),
    ],
)
async def test_grades(severity: Severity, seen: Result, status: Status, graded: Severity) -> None:
    """A mild check never fails, and a warning is never called an error."""
    result = (await ran(make("a", seen, severity=severity)))["a"]
    assert (result.status, result.severity) == (status, graded)


@pytest.mark.parametrize(
    ("statuses", "fail_on", "ok"),
    [
        ([Status.PASS, Status.SKIP], Severity.WARNING, True),
        ([Status.PASS, Status.WARN], Severity.ERROR, True),
        ([Status.PASS, Status.WARN], Severity.WARNING, False),
        ([Status.WARN, Status.FAIL], Severity.ERROR, False),
        ([Status.FAIL], Severity.WARNING, False),
        ([], Severity.WARNING, True),
    ],
)
def test_report(statuses: list[Status], fail_on: Severity, ok: bool) -> None:
    """Failures always fail a run; warnings where that was asked for; skips never."""
    report = Report(tuple(Result("x", status) for status in statuses), fail_on)
    assert report.ok is ok
    assert sum(report.summary.values()) == len(statuses)
    assert list(report.summary) == ["pass", "warn", "fail", "skip"]


CHECKS = [make("medplum.reachable"), make("bots.embedding.digest"), make("bots.embedding.code")]


@pytest.mark.parametrize(
    ("only", "ids"),
    [
        ((), ["medplum.reachable", "bots.embedding.digest", "bots.embedding.code"]),
        (("bots.*",), ["bots.embedding.digest", "bots.embedding.code"]),
        (("*.code", "medplum.reachable"), ["medplum.reachable", "bots.embedding.code"]),
        (("*",), ["medplum.reachable", "bots.embedding.digest", "bots.embedding.code"]),
    ],
)
def test_select(only: tuple[str, ...], ids: list[str]) -> None:
    """Globs choose; the order stays that of the catalogue."""
    assert [one.id for one in check.select(CHECKS, only)] == ids


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("bots.embeding.digest", "bots.embedding.digest"),
        ("bot.*", "bots.*"),
        ("zzzz", "medbots verify --list-checks"),
        ("Bots.*", "bots.*"),
    ],
)
def test_a_glob_that_matches_nothing(pattern: str, hint: str) -> None:
    """A typo is a usage error that names the nearest ids, also beside a glob that matches."""
    with pytest.raises(errors.UsageError) as caught:
        check.select(CHECKS, ("medplum.*", pattern))
    assert pattern in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_skip_that_matches_nothing() -> None:
    """Of several globs to skip one may match nothing, but not all."""
    assert check.matching(["bots.*", "zzz"], CHECKS, "--skip") == {
        "bots.embedding.digest",
        "bots.embedding.code",
    }
    assert check.matching([], CHECKS, "--skip") == frozenset()
    with pytest.raises(errors.UsageError, match="--skip zzz"):
        check.matching(["zzz"], CHECKS, "--skip")
