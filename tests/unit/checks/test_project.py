"""The checks of server, login, project, devices and router."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medbots import check, errors, state
from medbots.medplum import health
from tests.support import specs
from tests.support.stand import Stand

PASS, WARN, FAIL, SKIP = check.Status.PASS, check.Status.WARN, check.Status.FAIL, check.Status.SKIP


@pytest.mark.parametrize(
    ("postgres", "redis", "status"),
    [
        (True, True, PASS),
        (True, False, FAIL),
        (False, True, FAIL),
        (True, None, FAIL),
        (None, True, FAIL),
    ],
)
async def test_health_is_read_field_by_field(
    postgres: bool | None, redis: bool | None, status: check.Status
) -> None:
    """A server that lost its Redis or its database fails, though it says ok."""
    stand = Stand(health=health.Health("5.1.3", postgres, redis))
    result = (await stand.look("medplum.reachable"))["medplum.reachable"]
    assert result.status is status
    words = {True: "ok", False: "lost", None: "not reported"}
    assert f"postgres {words[postgres]}, redis {words[redis]}" in result.observed


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("5.1.3-af1c2d3", PASS),
        ("5.2.13", PASS),
        ("v5.0.0", PASS),
        ("4.5.2", FAIL),
        ("6.0.0", WARN),
        ("15.1", WARN),
        ("", FAIL),
        ("five", FAIL),
    ],
)
async def test_versions(said: str, status: check.Status) -> None:
    """5.x passes, older fails, newer is untried."""
    stand = Stand(health=health.Health(said, postgres=True, redis=True))
    assert (await stand.look("medplum.*"))["medplum.version"].status is status


async def test_a_server_that_is_down_is_one_failure() -> None:
    """With the server down one check fails, and whatever needs it is skipped for that."""
    down = errors.UnreachableError("http://localhost:8103/ cannot be reached", hint="start it")
    stand = Stand(health=down)
    seen = await stand.look("medplum.*", "login.*", "project.*", "bots.*", "subscriptions.*")
    failing = [name for name, one in seen.items() if one.status is FAIL]
    assert failing == ["medplum.reachable"]
    assert seen["medplum.reachable"].fix == "start it"
    assert {one.reason for name, one in seen.items() if name not in failing} == {
        "medplum.reachable failed"
    }
    assert stand.logins == 0


async def test_a_refused_login_is_tried_once() -> None:
    """Without the prerequisite in the run, every check says what the login said, from one try."""
    refused = errors.NotLoggedInError("does not accept x", hint="set MEDPLUM_PASSWORD")
    stand = Stand(login=refused)
    seen = await stand.look("bots.embedding.exists", "project.*", "login.valid")
    assert {one.status for one in seen.values()} == {FAIL, SKIP}
    assert seen["login.valid"].observed == "does not accept x"
    seen = await stand.look("bots.*.exists")
    assert {one.observed for one in seen.values()} == {"does not accept x"}
    assert stand.logins == 2


@pytest.mark.parametrize(
    ("rights", "status"),
    [
        (state.Rights(admin=True), PASS),
        (state.Rights(super_admin=True), PASS),
        (state.Rights(), FAIL),
    ],
)
async def test_rights(rights: state.Rights, status: check.Status) -> None:
    """Only an admin sees what the other checks look for."""
    stand = Stand()
    stand.clinic.rights = rights
    assert (await stand.look("login.rights"))["login.rights"].status is status


def member(profile: str, **more: object) -> dict[str, object]:
    """Return a ProjectMembership."""
    reference = {"reference": profile}
    return {"resourceType": "ProjectMembership", "profile": reference, **more}


async def test_members_without_a_policy_are_a_warning() -> None:
    """People and clients who could replace a bot's code are counted; admins and bots are not."""
    stand = Stand()
    stand.clinic.add(member("Practitioner/admin", admin=True))
    stand.clinic.add(member("Bot/b1"))
    stand.clinic.add(member("Practitioner/a", accessPolicy={"reference": "AccessPolicy/1"}))
    stand.clinic.add(member("Practitioner/b", access=[{"policy": {"reference": "AccessPolicy/1"}}]))
    assert (await stand.look("login.policies"))["login.policies"].status is PASS
    one = stand.clinic.add(member("ClientApplication/c"))
    two = stand.clinic.add(member("Patient/p"))
    result = (await stand.look("login.policies"))["login.policies"]
    assert (result.status, result.severity) == (WARN, check.Severity.WARNING)
    assert result.observed.startswith(f"2 without: {one} (ClientApplication), {two} (Patient);")
    assert "Patient/p" not in result.observed


async def test_many_members_are_counted() -> None:
    """The result names a few memberships and counts the rest."""
    stand = Stand()
    for number in range(12):
        stand.clinic.add(member(f"Practitioner/{number}"))
    observed = (await stand.look("login.policies"))["login.policies"].observed
    assert observed.startswith("12 without: ")
    assert " and 7 more;" in observed


async def test_a_project_without_the_feature() -> None:
    """Without the feature it is said who can enable it."""
    stand = await Stand.deployed()
    stand.change_project(features=frozenset({"cron"}))
    result = (await stand.look("project.feature.bots"))["project.feature.bots"]
    assert result.status is FAIL
    assert "only a super admin" in result.observed
    assert "medbots project doctor" in result.fix


async def test_a_project_that_hides_its_features() -> None:
    """What the login cannot see is neither called present nor missing."""
    stand = await Stand.deployed()
    stand.server.rights = state.Rights()
    result = (await stand.look("project.feature.bots"))["project.feature.bots"]
    assert result.status is FAIL
    assert result.observed.startswith("not visible")


async def test_devices() -> None:
    """Each model alias has its Device; a missing or renamed one fails its own check."""
    stand = await Stand.deployed()
    seen = await stand.look("devices.*")
    assert {name: one.status for name, one in seen.items()} == {
        "devices.clinical-model": PASS,
        "devices.embedding-model": PASS,
    }
    live = next(one for one in stand.server.devices.values() if one.key == "clinical-model")
    stand.server.devices[live.id] = replace(live, name="renamed")
    result = (await stand.look("devices.*"))["devices.clinical-model"]
    assert (result.status, result.fix) == (FAIL, "medbots deploy")
    del stand.server.devices[live.id]
    assert (await stand.look("devices.*"))["devices.clinical-model"].observed == "none"


async def test_router() -> None:
    """A router with both aliases passes, and no model is called."""
    seen = await Stand().look("router.*")
    assert {one.status for one in seen.values()} == {PASS}


@pytest.mark.parametrize(("reads", "status"), [(("CLINICAL_MODEL",), FAIL), ((), WARN)])
async def test_router_without_an_alias(reads: tuple[str, ...], status: check.Status) -> None:
    """A missing alias is named beside those on offer; it fails where a bot of ours uses it."""
    bots = (specs.bot("rag", optional_secrets=reads),)
    stand = Stand(models=("embedding-model", "gpt"), bots=bots, subscriptions=())
    seen = await stand.look("router.*")
    assert seen["router.models"].status is status
    said = "missing: clinical-model; offered: embedding-model, gpt"
    assert seen["router.models"].observed.startswith(said)


@pytest.mark.parametrize("status", [401, 403, 400])
async def test_router_refuses_the_key(status: int) -> None:
    """A router that wants a key has LLM_API_KEY named."""
    result = (await Stand(router_status=status).look("router.*"))["router.models"]
    assert result.status is FAIL
    assert "LLM_API_KEY is not set" in result.observed
    assert "LLM_API_KEY" in result.fix


async def test_router_down() -> None:
    """A router behind a gateway that does not reach it is not reachable."""
    seen = await Stand(router_status=502).look("router.*")
    assert seen["router.reachable"].status is FAIL
    assert "LLM_ROUTER_URL" in seen["router.reachable"].fix
    assert seen["router.models"].status is SKIP
