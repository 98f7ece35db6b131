"""One suite for the port `state.Server`: on the project in memory, and on the real adapter."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from medbots import apply, config, errors, model, plan, secret, state
from medbots.medplum import auth, code, server, sessions, strict
from tests.support import specs
from tests.support.fake_server import FakeServer
from tests.support.medplum_transport import Medplum


@dataclass
class Subject:
    """A server under test, and a way to look at how often it was written to."""

    server: state.Server
    writes: Callable[[], int]


@pytest.fixture
def medplum() -> Medplum:
    """The project behind the mock transport."""
    return Medplum()


async def adapter(medplum: Medplum, folder: Path) -> AsyncIterator[server.ProjectServer]:
    """Yield the real adapter, logged in to `medplum`."""
    environ = {"MEDPLUM_ACCESS_TOKEN": "token", "MEDPLUM_BASE_URL": "http://localhost:8103/"}
    settings = config.resolve({}, environ, {}, {})
    store = sessions.Sessions(folder)
    async with auth.connect(settings, store, transport=medplum.transport()) as client:
        medplum.requests.clear()
        yield server.ProjectServer(client, "urn:medbots")


@pytest.fixture(params=["fake", "real"])
async def subject(
    request: pytest.FixtureRequest, medplum: Medplum, tmp_path: Path
) -> AsyncIterator[Subject]:
    """Each implementation of the port in turn."""
    if request.param == "fake":
        fake = FakeServer()
        yield Subject(fake, lambda: fake.writes)
        return
    async for real in adapter(medplum, tmp_path):
        yield Subject(real, lambda: medplum.writes)


@pytest.fixture
async def real(medplum: Medplum, tmp_path: Path) -> AsyncIterator[server.ProjectServer]:
    """The adapter alone, for what only HTTP shows."""
    async for one in adapter(medplum, tmp_path):
        yield one


async def run(one: state.Server, wish: model.Desired) -> list[apply.Applied]:
    """Plan and apply once."""
    the_plan = plan.diff(wish, await one.read(wish))
    return [applied async for applied in apply.apply(the_plan, one)]


async def left(one: state.Server, wish: model.Desired) -> list[tuple[str, str]]:
    """Return what a further run would still do."""
    return [(c.kind.value, c.key) for c in plan.diff(wish, await one.read(wish)).to_do]


TWO = specs.desired(specs.bot("embedding"), specs.bot("semantic-search", run_as_user=True))


async def test_what_was_applied_is_read_back(subject: Subject) -> None:
    """After a run nothing is left to do, and everything is found under its key."""
    ended = await run(subject.server, TWO)
    assert [one.error for one in ended if one.error] == []
    assert await left(subject.server, TWO) == []
    found = await subject.server.read(TWO)
    assert {bot.key for bot in found.bots} == {"embedding", "semantic-search"}
    assert {one.bot_id for one in found.memberships or ()} == {bot.id for bot in found.bots}
    assert [one.key for one in found.subscriptions] == ["embedding-condition"]


async def test_a_second_run_writes_nothing(subject: Subject) -> None:
    """Nothing to do is no write."""
    await run(subject.server, TWO)
    before = subject.writes()
    await run(subject.server, TWO)
    assert subject.writes() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Renamed Bot"},
        {"description": "Other words."},
        {"description": ""},
        {"timeout": 99},
        {"run_as_user": True},
        {"policy": ({"resourceType": "Patient", "interaction": ["read"]},)},
    ],
)
async def test_each_field_of_a_bot_is_brought_up_to_date(
    subject: Subject, changes: dict[str, Any]
) -> None:
    """A change of the manifest arrives, and a further run finds nothing to do."""
    await run(subject.server, specs.desired())
    wish = specs.desired(specs.bot(**changes))
    assert await left(subject.server, wish) != []
    await run(subject.server, wish)
    assert await left(subject.server, wish) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"criteria": "Condition?clinical-status=active"},
        {"interaction": model.Interaction.CREATE},
        {"fhirpath": "%current.id.exists()"},
        {"name": "Other name"},
    ],
)
async def test_each_field_of_a_subscription_is_brought_up_to_date(
    subject: Subject, changes: dict[str, Any]
) -> None:
    """A subscription changes in place, and can change back."""
    await run(subject.server, specs.desired())
    wish = specs.desired(subscriptions=(specs.subscription(**changes),))
    for each in (wish, specs.desired()):
        await run(subject.server, each)
        assert await left(subject.server, each) == []
        assert len((await subject.server.read(each)).subscriptions) == 1


async def test_secrets_of_others_are_kept(subject: Subject) -> None:
    """Setting one secret leaves the others as they are."""
    await subject.server.write_secrets({"OTHER": secret.Secret("theirs")})
    await run(subject.server, specs.desired())
    found = (await subject.server.read(specs.desired())).project.secrets or {}
    assert {name: one.reveal() for name, one in found.items()} == {
        "OTHER": "theirs",
        "LLM_ROUTER_URL": "http://localhost:8080",
    }


async def test_nothing_to_do_is_two_requests(real: server.ProjectServer, medplum: Medplum) -> None:
    """A plan without changes reads in two batches and makes no other request."""
    await run(real, TWO)
    medplum.requests.clear()
    await run(real, TWO)
    assert medplum.requests == [("POST", "fhir/R4/"), ("POST", "fhir/R4/")]


async def test_changed_code_is_two_requests_a_bot(
    real: server.ProjectServer, medplum: Medplum
) -> None:
    """New code is one upload and one patch for each bot, beside the two reads."""
    await run(real, TWO)
    medplum.requests.clear()
    code = {bot.key: specs.bundle(bot.key, b"exports.handler = 2;\n") for bot in TWO.bots}
    await run(real, replace(TWO, bundles=code))
    assert len(medplum.requests) == 2 + 2 * len(TWO.bots)


async def test_code_in_another_file_is_deployed_again(
    real: server.ProjectServer, medplum: Medplum
) -> None:
    """A URL that leads elsewhere than to the uploaded file counts, however it is signed."""
    await run(real, specs.desired())
    bot = medplum.of("Bot")[0]
    (mark,) = bot["meta"]["tag"]
    uploaded, other = (f"{uuid.uuid4()}/{uuid.uuid4()}" for _ in range(2))
    assert mark["display"].startswith(bot["executableCode"]["url"].removeprefix("Binary/"))
    mark["display"] = uploaded
    for signature in "xy":
        signed = f"http://localhost:8103/storage/{uploaded}?Signature={signature}"
        bot["executableCode"]["url"] = signed
        assert await left(real, specs.desired()) == []
    bot["executableCode"]["url"] = f"http://localhost:8103/storage/{other}?Signature=x"
    assert await left(real, specs.desired()) == [("bot", "embedding")]
    await run(real, specs.desired())
    assert other not in bot["executableCode"]["url"]
    assert await left(real, specs.desired()) == []


async def test_strictly_the_bytes_count(
    real: server.ProjectServer, medplum: Medplum, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that kept every mark and not its bytes is found, and only by who reads it."""
    await run(real, specs.desired())
    strictly = strict.StrictServer(real._client, "urn:medbots")
    running = specs.bundle("embedding").code

    async def read(*_: object) -> bytes:
        return running

    monkeypatch.setattr(code, "read", read)
    assert await left(strictly, specs.desired()) == []
    running = b"exports.handler = 0;\n"
    assert await left(real, specs.desired()) == []
    assert await left(strictly, specs.desired()) == [("bot", "embedding")]


async def test_a_bot_of_that_name_is_adopted_with_what_others_wrote(
    real: server.ProjectServer, medplum: Medplum
) -> None:
    """Adoption keeps foreign identifiers and tags."""
    medplum._created(
        {
            "resourceType": "Bot",
            "name": "Embedding Bot",
            "identifier": [{"system": "urn:theirs", "value": "7"}],
            "meta": {"tag": [{"system": "urn:theirs", "code": "x"}]},
        }
    )
    medplum.super_admin = True
    bot = medplum.of("Bot")[0]
    member = {"reference": f"Bot/{bot['id']}"}
    medplum._created({"resourceType": "ProjectMembership", "user": member, "profile": member})
    await run(real, specs.desired())
    assert len(medplum.of("Bot")) == 1
    assert [one["system"] for one in bot["identifier"]] == ["urn:theirs", "urn:medbots/bot"]
    assert [one["system"] for one in bot["meta"]["tag"]] == ["urn:theirs", "urn:medbots/digest"]


async def test_a_bot_of_another_namespace_is_left_alone(
    real: server.ProjectServer, medplum: Medplum
) -> None:
    """Two manifests of one project, apart by their namespaces, do not take each other's bots."""
    await run(real, specs.desired())
    other = server.ProjectServer(real._client, "urn:medbots:test")
    wish = replace(specs.desired(), namespace="urn:medbots:test")
    await run(other, wish)
    assert await left(real, specs.desired()) == await left(other, wish) == []
    assert [bot["name"] for bot in medplum.of("Bot")] == ["Embedding Bot"] * 2
    assert [len(bot["identifier"]) for bot in medplum.of("Bot")] == [1, 1]


async def test_what_others_wrote_into_policy_and_device_is_kept(
    real: server.ProjectServer, medplum: Medplum
) -> None:
    """Rules and name are ours; a limit to addresses, a manufacturer or a tag is somebody else's."""
    await run(real, specs.desired())
    policy, device = medplum.of("AccessPolicy")[0], medplum.of("Device")[0]
    rule = {"name": "ward", "value": "10.0.0.0/8", "action": "allow"}
    policy |= {"ipAccessRule": [rule], "resource": []}
    policy["meta"]["tag"].append({"system": "urn:theirs", "code": "x"})
    device |= {"manufacturer": "ACME", "deviceName": [{"name": "other", "type": "model-name"}]}
    device["identifier"].append({"system": "urn:theirs", "value": "7"})
    await run(real, specs.desired())
    assert await left(real, specs.desired()) == []
    assert policy["ipAccessRule"] == [rule]
    assert {one["system"] for one in policy["meta"]["tag"]} == {"urn:theirs", "urn:medbots/policy"}
    assert device["manufacturer"] == "ACME"
    assert {one["system"] for one in device["identifier"]} == {"urn:theirs", "urn:medbots/device"}


async def test_a_policy_changed_in_between_is_a_conflict(
    real: server.ProjectServer, medplum: Medplum
) -> None:
    """Rules that somebody else wrote since the plan was made are not overwritten."""
    await run(real, specs.desired())
    wish = specs.desired(specs.bot(policy=({"resourceType": "Patient"},)))
    the_plan = plan.diff(wish, await real.read(wish))
    medplum._new_version(medplum.of("AccessPolicy")[0])
    ended = [one async for one in apply.apply(the_plan, real)]
    assert [type(one.error) for one in ended if one.error] == [errors.ConflictError]


async def test_a_secret_set_in_between_is_kept(
    real: server.ProjectServer, medplum: Medplum, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody else adds between the read and the write stays beside ours."""
    patch = medplum._patch

    def added_first(live: dict[str, Any], operations: list[dict[str, Any]]) -> Any:
        monkeypatch.setattr(medplum, "_patch", patch)
        live["secret"] = [{"name": "THEIRS", "valueString": "x"}]
        medplum._new_version(live)
        return patch(live, operations)

    monkeypatch.setattr(medplum, "_patch", added_first)
    await real.write_secrets({"TOKEN": secret.Secret("hunter22")})
    assert [one["name"] for one in medplum.project["secret"]] == ["THEIRS", "TOKEN"]


async def test_secrets_that_were_not_kept_are_an_error(
    real: server.ProjectServer, medplum: Medplum, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 200 that stored nothing is not taken for success; no value is told."""
    monkeypatch.setattr(medplum, "_patch", lambda live, _: medplum._new_version(live))
    with pytest.raises(errors.ServerError, match="did not keep the secrets TOKEN") as caught:
        await real.write_secrets({"TOKEN": secret.Secret("hunter22")})
    assert "hunter22" not in str(caught.value)


async def test_a_super_admin_looks_into_the_project_that_is_meant(
    medplum: Medplum, tmp_path: Path
) -> None:
    """In another project than their own, their searches find that one's resources and no others."""
    medplum.super_admin = True
    medplum.resources["Project", "p2"] = {"resourceType": "Project", "id": "p2", "meta": {}}
    async for real in adapter(medplum, tmp_path):
        other = server.ProjectServer(
            real._client, "urn:medbots", project=state.Project("p2", "Research")
        )
        ids = {}
        for project in ("p1", "p2"):
            bot = {"resourceType": "Bot", "name": "Embedding Bot", "meta": {"project": project}}
            ids[project] = f"Bot/{medplum._created(bot).json()['id']}"
        found = await other.read(specs.desired(subscriptions=()))
        assert [f"Bot/{bot.id}" for bot in found.bots] == [ids["p2"]]
        profile = {"reference": ids["p2"]}
        member = {"resourceType": "ProjectMembership", "user": profile, "profile": profile}
        made = medplum._created({**member, "meta": {"project": "p2"}}).json()["id"]
        assert await other.write_membership(found.bots[0].id, None, None) == made


async def test_a_change_in_between_is_a_conflict(
    real: server.ProjectServer, medplum: Medplum
) -> None:
    """What somebody else changed since the plan was made is not overwritten."""
    await run(real, specs.desired())
    wish = specs.desired(specs.bot(name="Renamed Bot"), subscriptions=())
    the_plan = plan.diff(wish, await real.read(wish))
    medplum._new_version(medplum.of("Bot")[0])
    ended = [one async for one in apply.apply(the_plan, real)]
    failures = [one.error for one in ended if one.error]
    assert [type(one) for one in failures] == [errors.ConflictError]
    assert medplum.of("Bot")[0]["name"] == "Embedding Bot"


async def test_a_subscription_changed_in_between_is_a_conflict(
    real: server.ProjectServer, medplum: Medplum
) -> None:
    """A stale version of a Subscription is refused by the server and said so."""
    await run(real, specs.desired())
    wish = specs.desired(subscriptions=(specs.subscription(name="Other"),))
    the_plan = plan.diff(wish, await real.read(wish))
    medplum._new_version(medplum.of("Subscription")[0])
    ended = [one async for one in apply.apply(the_plan, real)]
    assert [type(one.error) for one in ended if one.error] == [errors.ConflictError]


async def test_features_ignored_by_the_server_are_an_error(
    real: server.ProjectServer, medplum: Medplum
) -> None:
    """A 200 that changed nothing, as a project admin gets it, is not taken for success."""
    with pytest.raises(errors.NotAllowedError, match="ignored"):
        await real.add_features(("cron",))
    medplum.super_admin = True
    await real.add_features(("cron",))
    assert medplum.project["features"] == ["bots", "cron"]


async def test_a_plain_client_sees_neither_secrets_nor_memberships(
    medplum: Medplum, tmp_path: Path
) -> None:
    """What the login may not see is unknown, not absent."""
    medplum.admin = False
    async for one in adapter(medplum, tmp_path):
        medplum._created({"resourceType": "Bot", "name": "Embedding Bot"})
        found = await one.read(specs.desired())
        assert found.memberships is None
        assert found.project == state.Project("p1", "Clinic", features=None, secrets=None)


async def test_two_runs_at_once_make_each_thing_once(
    real: server.ProjectServer, medplum: Medplum
) -> None:
    """Both plan on an empty project: one makes a bot, the other finds it made, and none is left."""
    other = server.ProjectServer(real._client, "urn:medbots")
    # Secrets are one list of the project: of two that write it, one is told to run again.
    wish = replace(TWO, secrets=())
    plans = [plan.diff(wish, await one.read(wish)) for one in (real, other)]

    async def applied(index: int, one: state.Server) -> list[apply.Applied]:
        return [ended async for ended in apply.apply(plans[index], one)]

    for ended in await asyncio.gather(applied(0, real), applied(1, other)):
        assert [one.error for one in ended if one.error] == []
    assert await left(real, wish) == []
    counts = {kind: len(medplum.of(kind)) for kind in ("Bot", "ProjectMembership", "Basic")}
    assert counts == {"Bot": 2, "ProjectMembership": 2, "Basic": 0}


@pytest.mark.parametrize("number", range(1, 22))
async def test_a_failure_at_any_write_is_completed_by_the_next_run(
    real: server.ProjectServer, medplum: Medplum, number: int
) -> None:
    """Whichever write fails, the next run ends with nothing left to do and nothing doubled."""
    medplum.fail = frozenset({number})
    await run(real, TWO)
    medplum.fail = frozenset()
    await run(real, TWO)
    assert await left(real, TWO) == []
    assert len(medplum.of("Bot")) == 2
    assert len(medplum.of("ProjectMembership")) == 2
    assert len(medplum.of("Subscription")) == 1
    assert len(medplum.of("AccessPolicy")) == 2
