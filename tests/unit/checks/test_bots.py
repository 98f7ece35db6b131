"""The checks of bots: each trouble is named by its own check, with its cure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medbots import check, secret, state
from tests.support import specs
from tests.support.stand import Stand

FAMILY = ("bots.*", "login.rights", "login.valid")


def wrong(seen: dict[str, check.Result]) -> dict[str, check.Status]:
    """Return what did not pass."""
    return {name: one.status for name, one in seen.items() if one.status is not check.Status.PASS}


async def test_all_pass() -> None:
    """In a project where everything stands, every check of every bot passes."""
    stand = await Stand.deployed()
    seen = await stand.look("bots.*")
    assert wrong(seen) == {}
    assert [name for name in seen if name.startswith("bots.search.")] == [
        f"bots.search.{part}"
        for part in (
            "exists",
            "digest",
            "code",
            "runtime",
            "identity",
            "timeout",
            "membership",
            "policy",
            "secrets",
        )
    ]


@pytest.mark.parametrize(
    ("changes", "failing", "observed"),
    [
        ({"runtime": "awslambda"}, "runtime", "awslambda"),
        ({"timeout": None}, "timeout", "none"),
        ({"timeout": 10}, "timeout", "10 s"),
        ({"run_as_user": True}, "identity", "runs as the user"),
        ({"digest": "sha256:0"}, "digest", "sha256:0"),
        ({"digest": None}, "digest", "none stored"),
        ({"code_hash": None}, "code", "no hash: replaced by $deploy"),
        ({"code_hash": "x="}, "code", "hash x="),
        (
            {"code_hash": "x=", "code_moved": True},
            "code",
            "hash x=, but in another file than was uploaded: replaced",
        ),
    ],
)
async def test_a_changed_field_fails_its_own_check(
    changes: dict[str, object], failing: str, observed: str
) -> None:
    """A field changed behind medbots fails one check of that bot, and none of the others."""
    stand = await Stand.deployed()
    stand.change_bot("embedding", **changes)
    seen = await stand.look("bots.*")
    assert wrong(seen) == {f"bots.embedding.{failing}": check.Status.FAIL}
    result = seen[f"bots.embedding.{failing}"]
    assert result.observed == observed
    assert result.fix == "medbots deploy --only embedding"


async def test_a_missing_bot_skips_what_needs_it() -> None:
    """A bot that is not there fails `exists`; the rest names that as the reason."""
    stand = await Stand.deployed()
    del stand.server.bots[stand.bot("embedding").id]
    seen = await stand.look("bots.*")
    assert seen["bots.embedding.exists"].status is check.Status.FAIL
    assert seen["bots.embedding.exists"].observed == "none"
    assert seen["bots.embedding.policy"].status is check.Status.SKIP
    assert seen["bots.embedding.policy"].reason == "bots.embedding.exists failed"
    assert seen["bots.embedding.secrets"].status is check.Status.PASS
    assert {seen[name].status for name in seen if ".search." in name} == {check.Status.PASS}


async def test_two_bots_of_one_identifier_fail_that_bot_alone() -> None:
    """Two claimants are named by their ids, and say nothing against the other bots."""
    stand = await Stand.deployed()
    live = stand.bot("embedding")
    stand.server.bots["twin"] = replace(live, id="twin")
    seen = await stand.look("bots.*")
    result = seen["bots.embedding.exists"]
    assert result.status is check.Status.FAIL
    assert f"Bot/{live.id}, Bot/twin" in result.observed
    assert seen["bots.search.exists"].status is check.Status.PASS


async def test_a_bot_of_the_same_name_is_not_ours() -> None:
    """A bot without our identifier fails `exists`, and deploy is named, which adopts it."""
    stand = await Stand.deployed()
    stand.change_bot("embedding", key=None)
    seen = await stand.look("bots.embedding.exists")
    result = seen["bots.embedding.exists"]
    assert result.status is check.Status.FAIL
    assert "not our identifier" in result.observed


async def test_a_missing_membership() -> None:
    """Without a membership the check says none, and the policy is skipped for it."""
    stand = await Stand.deployed()
    bot_id = stand.bot("embedding").id
    stand.server.memberships = {
        key: one for key, one in stand.server.memberships.items() if one.bot_id != bot_id
    }
    seen = await stand.look("bots.*")
    assert wrong(seen) == {
        "bots.embedding.membership": check.Status.FAIL,
        "bots.embedding.policy": check.Status.SKIP,
    }
    result = seen["bots.embedding.membership"]
    assert (result.observed, result.expected) == ("none", "a ProjectMembership")
    assert "medbots project doctor" in result.fix


async def test_a_membership_without_its_policy() -> None:
    """A membership that names no policy leaves the bot with all rights: that fails."""
    stand = await Stand.deployed()
    bot_id = stand.bot("embedding").id
    for key, one in stand.server.memberships.items():
        if one.bot_id == bot_id:
            stand.server.memberships[key] = replace(one, policy_id=None)
    seen = await stand.look("bots.*")
    assert wrong(seen) == {"bots.embedding.policy": check.Status.FAIL}
    assert seen["bots.embedding.policy"].observed == "the membership does not name it"


async def test_a_policy_with_other_rules() -> None:
    """A policy that somebody widened fails."""
    stand = await Stand.deployed()
    for key, one in stand.server.policies.items():
        if one.key == "embedding":
            stand.server.policies[key] = replace(one, rules=({"resourceType": "*"},))
    seen = await stand.look("bots.*")
    assert wrong(seen) == {"bots.embedding.policy": check.Status.FAIL}
    assert "resource differs" in seen["bots.embedding.policy"].observed


async def test_a_bot_without_a_policy_in_the_manifest() -> None:
    """Where the manifest manages no policy, nothing is asked of it."""
    stand = await Stand.deployed(bots=(specs.bot("embedding", policy=()),))
    seen = await stand.look("bots.embedding.policy")
    assert seen["bots.embedding.policy"].status is check.Status.PASS


async def test_missing_secrets_name_who_makes_them() -> None:
    """Missing secrets are named, with the command for each; no value is shown."""
    stand = await Stand.deployed()
    stand.change_project(secrets={})
    seen = await stand.look("bots.embedding.secrets", "bots.search.secrets")
    result = seen["bots.embedding.secrets"]
    assert result.observed == "missing: DATABASE_URL, LLM_ROUTER_URL"
    assert result.fix == "medbots db init && medbots deploy --only embedding"
    assert seen["bots.search.secrets"].fix == "medbots db init"


async def test_a_secret_that_leads_into_another_project() -> None:
    """A project id copied from elsewhere fails by name, and no value is shown."""
    stand = await Stand.deployed(bots=(specs.bot("embedding", secrets=("MEDBOTS_PROJECT_ID",)),))
    assert wrong(await stand.look("bots.*")) == {}
    stand.change_project(secrets={"MEDBOTS_PROJECT_ID": secret.Secret("p-other")})
    seen = await stand.look("bots.*")
    assert wrong(seen) == {"bots.embedding.secrets": check.Status.FAIL}
    result = seen["bots.embedding.secrets"]
    assert result.observed == "not this project's: MEDBOTS_PROJECT_ID"
    assert result.fix == "medbots deploy --only embedding"


async def test_a_bot_made_by_the_guide_is_said_to_lack_its_membership() -> None:
    """Only the name fits and nothing runs it: both are said, with who can mend it first."""
    stand = await Stand.deployed()
    bot_id = stand.bot("embedding").id
    stand.change_bot("embedding", key=None, digest=None)
    seen = await stand.look("bots.embedding.exists")
    assert "ProjectMembership" not in seen["bots.embedding.exists"].observed
    assert seen["bots.embedding.exists"].fix == "medbots deploy --only embedding"
    members = stand.server.memberships
    stand.server.memberships = {key: one for key, one in members.items() if one.bot_id != bot_id}
    result = (await stand.look("bots.embedding.exists"))["bots.embedding.exists"]
    assert "no ProjectMembership" in result.observed
    assert "super admin" in result.fix
    assert "medbots project doctor --target p1 --fix" in result.fix


async def test_without_admin_rights_nothing_is_called_missing() -> None:
    """A login that cannot see memberships and secrets fails for that, and skips what it hides."""
    stand = await Stand.deployed()
    stand.server.rights = stand.clinic.rights = state.Rights()
    seen = await stand.look(*FAMILY)
    assert seen["login.rights"].status is check.Status.FAIL
    assert seen["bots.embedding.membership"].reason == "login.rights failed"
    assert seen["bots.embedding.secrets"].reason == "login.rights failed"
    assert seen["bots.embedding.digest"].status is check.Status.PASS


async def test_strict_compares_bytes() -> None:
    """With --strict, code that kept digest and hash but not its bytes is found."""
    stand = await Stand.deployed()
    bot_id = stand.bot("embedding").id
    stand.code[bot_id] = b"exports.handler = () => 2;\n"
    assert wrong(await stand.look("bots.*")) == {}
    seen = await stand.look("bots.*", strict=True)
    assert wrong(seen) == {"bots.embedding.code": check.Status.FAIL}
    assert seen["bots.embedding.code"].observed.startswith("27 bytes, sha256:")
    assert seen["bots.embedding.code"].fix == "medbots deploy --only embedding --strict"


async def test_one_read_of_the_project_for_all() -> None:
    """All checks share one login and one read of the project."""
    stand = await Stand.deployed()
    reads = []
    read = stand.server.read

    async def counted(desired: object) -> state.ServerState:
        reads.append(desired)
        return await read(desired)  # type: ignore[arg-type]

    stand.server.read = counted  # type: ignore[method-assign]
    await stand.look("bots.*", "subscriptions.*", "devices.*", "project.*", "login.valid")
    assert (len(reads), stand.logins) == (1, 1)
