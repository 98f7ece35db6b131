"""Running the catalogue: its ids, its order, repetition, and what it never shows."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from medbots import check, errors
from medbots.checks import catalogue, verification
from medbots.cli import render_checks
from tests.support.stand import Silence, Stand


def test_ids_are_unique_and_dotted() -> None:
    """No two checks share an id, and each id begins with its family's name."""
    checks = catalogue.checks_of(Stand().target())
    ids = [one.id for one in checks]
    assert len(set(ids)) == len(ids)
    assert all("." in name and name == name.strip() and " " not in name for name in ids)
    for family in catalogue.families():
        assert all(one.pattern.startswith(f"{family.name}.") for one in family.definitions)


PATTERNS = [
    "medplum.reachable",
    "medplum.version",
    "login.valid",
    "login.rights",
    "login.policies",
    "approvals.approvers",
    "approvals.second-person",
    "memberships.orphaned",
    "bots.<key>.exists",
    "bots.<key>.digest",
    "bots.<key>.code",
    "bots.<key>.runtime",
    "bots.<key>.identity",
    "bots.<key>.timeout",
    "bots.<key>.membership",
    "bots.<key>.policy",
    "bots.<key>.secrets",
    "database.reachable",
    "database.pgvector",
    "database.schema",
    "database.role",
    "devices.<alias>",
    "router.reachable",
    "router.models",
    "embeddings.contract",
    "embeddings.settings",
    "embeddings.rows",
    "embeddings.index",
    "project.feature.<feature>",
    "subscriptions.<key>.exists",
    "subscriptions.<key>.active",
    "subscriptions.<key>.criteria",
    "subscriptions.<key>.endpoint",
    "subscriptions.<key>.interaction",
    "fire.<key>",
]
"""Pipelines name these in --only and --skip: a release may add to them, and takes none away."""


def test_ids_are_stable() -> None:
    """Every id that was ever released is still there."""
    found = [one.pattern for family in catalogue.families() for one in family.definitions]
    assert set(PATTERNS) <= set(found)


def test_prerequisites_exist_and_come_first() -> None:
    """Every prerequisite is a check of the same run that stands before the one that needs it."""
    seen: set[str] = set()
    for one in catalogue.checks_of(Stand().target()):
        assert set(one.needs) <= seen, one.id
        seen.add(one.id)


def test_the_catalogue_needs_nothing_to_be_listed() -> None:
    """Listing logs in nowhere, and needs no bundles."""
    stand = Stand(login=errors.NotLoggedInError("no"))
    assert len(verification.chosen(stand.target(), verification.Choice())) > 30
    assert stand.logins == 0


async def test_everything_passes_with_few_requests() -> None:
    """A whole run passes with one login, one request, and seven for each record that is fired."""
    stand = await Stand.deployed()
    seen = await stand.look(skip=("database.*", "embeddings.*"))
    assert {one.status for one in seen.values()} == {check.Status.PASS, check.Status.SKIP}
    assert seen["database.schema"].reason == "left out by --skip"
    assert stand.logins == 1
    assert len(stand.clinic.calls) <= 1 + 7 * 2


async def test_wait_repeats_until_it_passes() -> None:
    """Each repetition looks anew, and the run ends as soon as it succeeds."""
    stand = await Stand.deployed()
    down = replace(stand, health=errors.UnreachableError("down"))
    targets = iter([down.target(), down.target(), stand.target()])
    silence = Silence()
    choice = verification.Choice(("medplum.*",), wait=30, interval=0.01)
    report = await verification.run(lambda: next(targets), choice, silence)
    assert report.ok
    assert silence.again == [True, True, False]


async def test_wait_ends() -> None:
    """When the time is over, the last run is the result."""
    stand = Stand(health=errors.UnreachableError("down"))
    silence = Silence()
    started = time.monotonic()
    choice = verification.Choice(("medplum.*",), wait=0.2, interval=0.05)
    report = await verification.run(stand.target, choice, silence)
    assert not report.ok
    assert len(silence.again) >= 2
    assert silence.again[-1] is False
    assert time.monotonic() - started < 5


async def test_without_wait_there_is_one_run() -> None:
    """A failure is final unless a wait was asked for."""
    silence = Silence()
    stand = Stand(health=errors.UnreachableError("down"))
    await verification.run(stand.target, verification.Choice(("medplum.*",)), silence)
    assert silence.again == [False]


async def test_warnings_repeat_only_where_they_fail() -> None:
    """A warning is waited out only when warnings fail the run."""
    stand = Stand()
    stand.clinic.add(
        {"resourceType": "ProjectMembership", "profile": {"reference": "Practitioner/a"}}
    )
    silence = Silence()
    choice = verification.Choice(("login.policies",), wait=0.1, interval=0.05)
    assert (await verification.run(stand.target, choice, silence)).ok
    assert silence.again == [False]
    strict = replace(choice, fail_on=check.Severity.WARNING)
    assert not (await verification.run(stand.target, strict, Silence())).ok


@pytest.mark.parametrize(("only", "skip"), [(("nothing",), ()), ((), ("nothing",))])
async def test_unknown_ids_are_refused_before_anything_is_looked_at(
    only: tuple[str, ...], skip: tuple[str, ...]
) -> None:
    """A glob without a match stops the run before its first request."""
    stand = Stand()
    with pytest.raises(errors.UsageError):
        await stand.look(*only, skip=skip)
    assert (stand.logins, stand.clinic.calls) == (0, [])


async def test_secrets_and_patients_are_not_shown() -> None:
    """Neither a secret's value nor a patient's data comes out, in whatever state things are."""
    stand = await Stand.deployed()
    patient = {"resourceType": "Patient", "name": [{"family": "Doe"}]}
    stand.clinic.add(patient)
    stand.environ["LLM_API_KEY"] = "sk-hunter2"
    stand.clinic.bot.outcome = "4"
    stand.clinic.bot.log = "Authorization: Bearer sk-hunter2sk-hunter2"
    stand.server.subscriptions.clear()
    stand.router_status = 401
    outputs = [await stand.look(skip=("database.*", "embeddings.*")), await stand.look("fire.*")]
    text = json.dumps(
        [render_checks.document(check.Report(tuple(seen.values()))) for seen in outputs]
    )
    for hidden in ("hunter2", "Doe", "postgresql://bot@"):
        assert hidden not in text
