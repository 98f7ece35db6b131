"""The checks of who may approve: nobody, one person, two people."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from medbots import check, secret, state
from medbots.checks import approvers, catalogue
from tests.support import specs
from tests.support.stand import Stand

PASS, WARN = check.Status.PASS, check.Status.WARN
ANYBODY, SECOND = "approvals.approvers", "approvals.second-person"
HL7 = "http://terminology.hl7.org/CodeSystem/practitioner-role"
QUEUE = (specs.bot("approval-queue", optional_secrets=("APPROVER_ROLES",)),)


@pytest.fixture
def stand() -> Stand:
    """A clinic with the bot that asks people, and nobody yet."""
    return Stand(bots=QUEUE, subscriptions=())


def somebody(stand: Stand, *codes: str, member: bool = True, active: bool = True) -> str:
    """Make a Practitioner with a role of each code; return the reference."""
    who = stand.clinic.add({"resourceType": "Practitioner", "active": active})
    for code in codes:
        give_role(stand, who, code)
    if member:
        stand.clinic.add({"resourceType": "ProjectMembership", "profile": {"reference": who}})
    return who


def give_role(stand: Stand, who: str, code: str, **more: Any) -> None:
    """Give a Practitioner a role."""
    system, _, value = code.rpartition("|")
    coding = {"system": system or HL7, "code": value}
    stand.clinic.add(
        {
            "resourceType": "PractitionerRole",
            "active": True,
            "practitioner": {"reference": who},
            "code": [{"coding": [coding]}],
            **more,
        }
    )


async def test_nobody_may_approve(stand: Stand) -> None:
    """Without any role both checks warn, name the cure, and fail no run that warnings do not."""
    somebody(stand)
    seen = await stand.look("approvals.*")
    for name in (ANYBODY, SECOND):
        assert (seen[name].status, seen[name].severity) == (WARN, check.Severity.WARNING)
    assert seen[ANYBODY].observed == "nobody may approve"
    assert "the code doctor (docs/tutorial/your-own-medplum.md, step 6)" in seen[ANYBODY].fix
    assert seen[SECOND].observed == "no practitioner and no pharmacist may approve"
    assert check.Report(tuple(seen.values())).ok


async def test_two_people(stand: Stand) -> None:
    """A doctor and a pharmacist are enough, and both checks together take two requests."""
    somebody(stand, "doctor")
    somebody(stand, "pharmacist")
    seen = await stand.look("approvals.*")
    assert {one.status for one in seen.values()} == {PASS}
    assert seen[ANYBODY].observed == "1 practitioner, 1 pharmacist"
    assert stand.clinic.calls == ["GET ProjectMembership", "GET batch"]


@pytest.mark.parametrize(
    ("codes", "observed", "code"),
    [
        (("doctor",), "no pharmacist may approve", "pharmacist"),
        (("pharmacist",), "no practitioner may approve", "doctor"),
        (("nurse", "pharmacist"), "no practitioner may approve", "doctor"),
        (("doctor", "pharmacist"), "practitioner and pharmacist are the same person", "pharmacist"),
    ],
)
async def test_one_person_is_no_two(
    stand: Stand, codes: tuple[str, ...], observed: str, code: str
) -> None:
    """What needs two people is not approved by one, whatever roles they have."""
    somebody(stand, *codes)
    seen = await stand.look("approvals.*")
    assert seen[ANYBODY].status is PASS
    assert (seen[SECOND].status, seen[SECOND].observed) == (WARN, observed)
    assert f"the code {code} " in seen[SECOND].fix


@pytest.mark.parametrize(
    ("member", "active"), [(False, True), (True, False)], ids=["no member", "inactive"]
)
async def test_who_cannot_decide_does_not_count(stand: Stand, member: bool, active: bool) -> None:
    """Who is no member cannot log in, and who is inactive is refused by the bot."""
    somebody(stand, "doctor", member=member, active=active)
    assert (await stand.look(ANYBODY))[ANYBODY].status is WARN


def _day(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


@pytest.mark.parametrize(
    ("period", "status"),
    [
        ({}, PASS),
        ({"start": _day(-1)}, PASS),
        ({"start": _day(2)}, WARN),
        ({"end": _day(0)}, PASS),
        ({"end": _day(-2)}, WARN),
        ({"start": "2001", "end": "2001-02"}, WARN),
        ({"start": "2001-02-03T04:05:06Z", "end": "2999-01-01T00:00:00+02:00"}, PASS),
        ({"start": "yesterday"}, WARN),
        ({"end": "2999-13-45"}, WARN),
    ],
)
async def test_the_period_of_a_role(
    stand: Stand, period: dict[str, str], status: check.Status
) -> None:
    """A role counts in its period, whose last day is whole; one that cannot be read never."""
    who = somebody(stand)
    give_role(stand, who, "doctor", period=period)
    assert (await stand.look(ANYBODY))[ANYBODY].status is status


async def test_own_codes(stand: Stand) -> None:
    """By the codes of APPROVER_ROLES others approve; a role that it leaves out keeps its own."""
    value = json.dumps({"practitioner": ["urn:site|chief"]})
    stand.change_project(secrets={"APPROVER_ROLES": secret.Secret(value)})
    somebody(stand, "doctor")
    seen = await stand.look("approvals.*")
    assert seen[ANYBODY].observed == "nobody may approve; by the codes of APPROVER_ROLES"
    assert "a code of practitioner " in seen[ANYBODY].fix
    somebody(stand, "urn:site|chief")
    somebody(stand, "pharmacist")
    seen = await stand.look("approvals.*")
    assert {one.status for one in seen.values()} == {PASS}


async def test_a_role_that_is_nobodys(stand: Stand) -> None:
    """Where a site gives a role no code, the cure is the setting and not a role."""
    stand.change_project(secrets={"APPROVER_ROLES": secret.Secret('{"pharmacist": []}')})
    somebody(stand, "doctor")
    seen = await stand.look("approvals.*")
    assert seen[SECOND].fix.startswith("let APPROVER_ROLES name the codes of pharmacist")


@pytest.mark.parametrize(
    "value",
    [
        "doctor",
        "[]",
        '{"surgeon": []}',
        '{"nurse": "x|y"}',
        '{"nurse": ["nurse"]}',
        '{"nurse": ["a|b c"]}',
        '{"nurse": [1]}',
        json.dumps({"nurse": ["a|b"] * 101}),
    ],
)
async def test_a_setting_that_is_not_understood(stand: Stand, value: str) -> None:
    """The bot refuses such a value, so that nobody approves; the value itself is not shown."""
    stand.change_project(secrets={"APPROVER_ROLES": secret.Secret(value)})
    somebody(stand, "doctor")
    result = (await stand.look("approvals.*"))[ANYBODY]
    assert result.status is WARN
    assert result.observed == "the secret APPROVER_ROLES is not understood: nobody may approve"
    assert "medbots deploy" in result.fix


def test_an_empty_setting_keeps_the_defaults() -> None:
    """An object without roles changes none."""
    assert approvers.codes_of("{}") == approvers.DEFAULTS


async def test_a_login_that_is_no_admin(stand: Stand) -> None:
    """Neither the setting nor the members are visible: the defaults are taken, and it is said."""
    stand.server.rights = stand.clinic.rights = state.Rights()
    somebody(stand, "doctor", member=False)
    result = (await stand.look(ANYBODY))[ANYBODY]
    assert result.status is PASS
    assert "by the default codes, for APPROVER_ROLES is not visible" in result.observed
    assert "not seen whether they are members" in result.observed


def test_where_nobody_is_asked() -> None:
    """A manifest without a bot that looks at roles has no such checks."""
    assert not [one for one in catalogue.checks_of(Stand().target()) if "approvals" in one.id]
