"""The plan: what differs, what is adopted, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medbots import errors, model, plan, secret, state
from medbots.plan import fields
from tests.support import specs

PROJECT = state.Project(
    "p1", "Clinic", frozenset({"bots"}), {"LLM_ROUTER_URL": secret.Secret("http://localhost:8080")}
)


def live_bot(spec: model.BotSpec, **changes: object) -> state.LiveBot:
    """Return a Bot that needs no change."""
    bundle = specs.bundle(spec.key)
    found = state.LiveBot(
        "b1",
        spec.name,
        spec.key,
        spec.description,
        fields.RUNTIME,
        spec.timeout,
        spec.run_as_user,
        bundle.digest,
        bundle.attachment_hash,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def settled(**changes: object) -> state.ServerState:
    """Return a project in which nothing is left to do."""
    spec = specs.bot()
    found = state.ServerState(
        PROJECT,
        state.Rights(admin=True),
        bots=(live_bot(spec),),
        memberships=(state.LiveMembership("m1", "b1", "a1"),),
        policies=(state.LivePolicy("a1", spec.key, plan.policy_name(spec), spec.policy),),
        devices=(state.LiveDevice("d1", "clinical-model", "clinical-model (model alias)"),),
        subscriptions=(
            state.LiveSubscription(
                "s1", "embedding-condition", "Embedding - Condition", "Condition", "Bot/b1"
            ),
        ),
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def change(the_plan: plan.Plan, kind: state.Kind, key: str | None = None) -> plan.Change:
    """Return the one change of a kind."""
    found = [one for one in the_plan.changes if one.kind is kind and key in (None, one.key)]
    assert len(found) == 1
    return found[0]


def test_nothing_to_do() -> None:
    """A project that holds everything needs no change."""
    found = plan.diff(specs.desired(), settled())
    assert found.to_do == ()
    assert found.summary == {
        "create": 0,
        "update": 0,
        "adopt": 0,
        "delete": 0,
        "unchanged": 7,
        "skipped": 1,  # the secret that only `db init` makes
    }


def test_empty_project_creates_everything() -> None:
    """In an empty project everything but what others make is created."""
    empty = state.ServerState(
        replace(PROJECT, secrets={}), state.Rights(admin=True), memberships=()
    )
    found = plan.diff(specs.desired(), empty)
    assert [(one.kind.value, one.action.value, bool(one.skip)) for one in found.changes] == [
        ("feature", "unchanged", False),
        ("secret", "create", True),
        ("secret", "create", False),
        ("policy", "create", False),
        ("device", "create", False),
        ("bot", "create", False),
        ("membership", "create", False),
        ("subscription", "create", False),
    ]
    found.raise_if_blocked()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "Other"}, ("name",)),
        ({"description": ""}, ("description",)),
        ({"runtime": "awslambda"}, ("runtimeVersion",)),
        ({"timeout": None}, ("timeout",)),
        ({"run_as_user": True}, ("runAsUser",)),
        ({"digest": "sha256:00"}, ("executableCode",)),
        ({"code_hash": None}, ("executableCode",)),
        ({"code_moved": True}, ("executableCode",)),
    ],
)
def test_each_managed_field_is_compared(
    changes: dict[str, object], expected: tuple[str, ...]
) -> None:
    """A difference in any managed field of a bot is an update that names the field."""
    found = change(
        plan.diff(specs.desired(), settled(bots=(live_bot(specs.bot(), **changes),))),
        state.Kind.BOT,
    )
    assert (found.action, found.fields) == (plan.Action.UPDATE, expected)


def test_code_replaced_behind_our_back_is_said() -> None:
    """When the stored digest is ours and the live code is not, somebody else replaced it."""
    actual = settled(bots=(live_bot(specs.bot(), code_hash=None),))
    assert "replaced" in change(plan.diff(specs.desired(), actual), state.Kind.BOT).note


def test_adopts_the_only_bot_of_that_name() -> None:
    """A bot with our name and without an owner is taken over, aloud."""
    actual = settled(bots=(live_bot(specs.bot(), key=None, digest=None, code_hash=None),))
    found = change(plan.diff(specs.desired(), actual), state.Kind.BOT)
    assert found.action is plan.Action.ADOPT
    assert found.id == "b1"
    assert found.fields == ("identifier", "executableCode")
    assert "Bot/b1" in found.note


@pytest.mark.parametrize("key", [None, "embedding"])
def test_two_candidates_are_refused(key: str | None) -> None:
    """Two bots that could be meant are an error which names both."""
    bot = live_bot(specs.bot(), key=key)
    with pytest.raises(errors.StateError, match=r"Bot/b1, Bot/b2"):
        plan.diff(specs.desired(), settled(bots=(bot, replace(bot, id="b2"))))


def test_a_namesake_beside_our_bot_is_left_alone() -> None:
    """Where one bot carries our identifier, another of its name is none of our business."""
    ours = live_bot(specs.bot())
    found = plan.diff(specs.desired(), settled(bots=(ours, replace(ours, id="b2", key=None))))
    assert change(found, state.Kind.BOT).id == "b1"
    assert found.to_do == ()


def test_feature_needs_a_super_admin() -> None:
    """A project admin is told who can enable bots, and nothing is applied."""
    bare = replace(PROJECT, features=frozenset({"cron"}))
    found = plan.diff(specs.desired(), settled(project=bare))
    with pytest.raises(errors.NotAllowedError, match="super admin") as caught:
        found.raise_if_blocked()
    assert "project doctor --target p1 --fix" in (caught.value.hint or "")
    allowed = settled(project=bare, rights=state.Rights(admin=True, super_admin=True))
    made = change(plan.diff(specs.desired(), allowed), state.Kind.FEATURE)
    assert (made.action, made.blocked) == (plan.Action.CREATE, "")


def test_missing_membership_needs_a_super_admin() -> None:
    """A bot that lacks a membership cannot be repaired by a project admin."""
    found = plan.diff(specs.desired(), settled(memberships=()))
    with pytest.raises(errors.NotAllowedError, match="no membership"):
        found.raise_if_blocked()
    rights = state.Rights(admin=True, super_admin=True)
    plan.diff(specs.desired(), settled(memberships=(), rights=rights)).raise_if_blocked()


def test_membership_gets_its_policy() -> None:
    """A membership without the bot's policy is updated."""
    bare = (state.LiveMembership("m1", "b1", None),)
    found = change(plan.diff(specs.desired(), settled(memberships=bare)), state.Kind.MEMBERSHIP)
    assert (found.action, found.fields, found.id) == (plan.Action.UPDATE, ("accessPolicy",), "m1")


def test_a_bot_without_policy_keeps_whatever_membership_it_has() -> None:
    """Where the manifest names no policy, none is taken away."""
    spec = specs.bot(policy=())
    found = plan.diff(specs.desired(spec), settled())
    assert change(found, state.Kind.MEMBERSHIP).action is plan.Action.UNCHANGED


def test_who_is_no_admin_can_update_but_not_create() -> None:
    """A plain client updates existing bots; memberships and secrets are skipped with a reason."""
    plain = settled(
        rights=state.Rights(),
        memberships=None,
        project=replace(PROJECT, features=None, secrets=None),
        bots=(live_bot(specs.bot(), digest="sha256:00"),),
    )
    found = plan.diff(specs.desired(), plain)
    found.raise_if_blocked()
    assert [one.kind for one in found.to_do] == [state.Kind.BOT]
    assert "project admin" in change(found, state.Kind.MEMBERSHIP).skip
    with pytest.raises(errors.NotAllowedError, match="membership"):
        plan.diff(specs.desired(), replace(plain, bots=())).raise_if_blocked()


@pytest.mark.parametrize(
    ("spec", "live", "action"),
    [
        (model.SecretSpec("A", secret.Secret("1")), {}, plan.Action.CREATE),
        (model.SecretSpec("A", secret.Secret("1")), {"A": "1"}, plan.Action.UNCHANGED),
        (model.SecretSpec("A", secret.Secret("1")), {"A": "2"}, plan.Action.UPDATE),
        (
            model.SecretSpec("A", secret.Secret("1"), default=True),
            {"A": "2"},
            plan.Action.UNCHANGED,
        ),
        (model.SecretSpec("A", required=False), {}, plan.Action.UNCHANGED),
        (model.SecretSpec("A"), {"A": "2"}, plan.Action.UNCHANGED),
    ],
)
def test_secrets(spec: model.SecretSpec, live: dict[str, str], action: plan.Action) -> None:
    """A value that was set replaces another; a default never does; unknown ones stay."""
    project = replace(PROJECT, secrets={name: secret.Secret(one) for name, one in live.items()})
    wish = specs.desired(secrets=(spec,))
    found = change(plan.diff(wish, settled(project=project)), state.Kind.SECRET)
    assert (found.action, found.blocked, found.skip) == (action, "", "")


def test_a_required_secret_without_value_stops_the_plan() -> None:
    """Bots that would fail for want of a secret are not deployed."""
    wish = specs.desired(secrets=(model.SecretSpec("SAFETY_POLICY"),))
    with pytest.raises(errors.NotAllowedError, match="SAFETY_POLICY"):
        plan.diff(wish, settled()).raise_if_blocked()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "x"}, ("reason",)),
        ({"criteria": "Condition?code=1"}, ("criteria",)),
        ({"status": "off"}, ("status",)),
        ({"channel": "websocket"}, ("channel.type",)),
        ({"endpoint": "Bot/b9"}, ("channel.endpoint",)),
        ({"interaction": "create"}, ("interaction",)),
        ({"fhirpath": "true"}, ("fhirPathCriteria",)),
    ],
)
def test_each_field_of_a_subscription_is_compared(
    changes: dict[str, str], expected: tuple[str, ...]
) -> None:
    """A subscription edited by somebody is put right, field by field."""
    live = replace(settled().subscriptions[0], **changes)  # type: ignore[arg-type]
    found = change(
        plan.diff(specs.desired(), settled(subscriptions=(live,))), state.Kind.SUBSCRIPTION
    )
    assert (found.action, found.fields) == (plan.Action.UPDATE, expected)


def test_adopts_a_subscription_by_criteria_and_endpoint() -> None:
    """The guide's subscriptions, which carry no tag, are taken over instead of doubled."""
    live = replace(settled().subscriptions[0], key=None, name="Trigger embedding generation")
    found = change(
        plan.diff(specs.desired(), settled(subscriptions=(live,))), state.Kind.SUBSCRIPTION
    )
    assert (found.action, found.id) == (plan.Action.ADOPT, "s1")
    assert found.fields == ("meta.tag", "reason")


def test_a_duplicate_is_reported() -> None:
    """A second subscription that runs the same bot for the same event is named, not deleted."""
    ours = settled().subscriptions[0]
    double = replace(ours, id="s2", key=None)
    found = plan.diff(specs.desired(), settled(subscriptions=(ours, double)))
    assert "Subscription/s2" in change(found, state.Kind.SUBSCRIPTION).note
    assert found.to_do == ()


def test_sync_needs_the_bot() -> None:
    """Subscriptions to a bot that is not there are refused: the server would never say so."""
    found = plan.diff(specs.desired(), settled(bots=()), (state.Kind.SUBSCRIPTION,))
    with pytest.raises(errors.NotAllowedError, match="not deployed"):
        found.raise_if_blocked()


def test_kinds_limit_the_plan() -> None:
    """Only the asked kinds are in the plan."""
    found = plan.diff(specs.desired(), settled(), (state.Kind.SUBSCRIPTION,))
    assert {one.kind for one in found.changes} == {state.Kind.SUBSCRIPTION}
