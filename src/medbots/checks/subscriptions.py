"""What triggers the bots."""

from __future__ import annotations

from collections.abc import Iterator

from medbots import check, model, plan, state
from medbots.checks import family as family_module
from medbots.checks import target as target_module
from medbots.plan import counterparts

_SYNC = "medbots subscriptions sync"


def _subscriptions(
    target: target_module.Target,
) -> Iterator[tuple[dict[str, str], tuple[model.SubscriptionSpec]]]:
    for spec in target.manifest.subscriptions:
        yield {"key": spec.key, "bot": spec.bot}, (spec,)


family = family_module.Family(
    "subscriptions", "Subscriptions: each of the manifest", _subscriptions
)

_EXISTS = ("subscriptions.<key>.exists",)


@family.define("subscriptions.<key>.exists", needs=("login.valid", "bots.<bot>.exists"))
async def exists(target: target_module.Target, spec: model.SubscriptionSpec) -> check.Result:
    """The subscription stands exactly once, and is ours.

    Proves: one Subscription carries the tag that medbots gives it, and no other active one would
    run the same bot for the same criteria. The server runs a bot twice for two equal ones.

    Fails: when there is none, when one is there without our tag, or when there are several.

    Cure: `medbots subscriptions sync`, which also adopts; delete the duplicates that are named.
    """
    change = await target.change(state.Kind.SUBSCRIPTION, spec.key)
    expected = f"one Subscription with tag {target.manifest.namespace}/subscription|{spec.key}"
    if change.action is plan.Action.CREATE:
        return check.failed("none", expected, _SYNC)
    live = await target.live_subscription(spec.key)
    doubles = counterparts.duplicates(
        spec, live.endpoint, live, (await target.state()).subscriptions
    )
    if doubles:
        named = ", ".join(f"Subscription/{one.id}" for one in doubles)
        cure = " and ".join(f"delete Subscription/{one.id}" for one in doubles)
        return check.failed(f"Subscription/{live.id}, and {named} fires too", expected, cure)
    if change.action is plan.Action.ADOPT:
        return check.failed(f"Subscription/{live.id} does not carry our tag", expected, _SYNC)
    return check.passed(f"Subscription/{live.id}", expected)


@family.define("subscriptions.<key>.active", needs=_EXISTS)
async def active(target: target_module.Target, spec: model.SubscriptionSpec) -> check.Result:
    """The subscription is active.

    Proves: `status` is `active`; every other value, also a misspelled one, is accepted by the
    server and fires nothing.

    Fails: for any other status.

    Cure: `medbots subscriptions sync`.
    """
    live = await target.live_subscription(spec.key)
    return await _fields(target, spec, {"status": (live.status, "active")})


@family.define("subscriptions.<key>.criteria", needs=_EXISTS)
async def criteria(target: target_module.Target, spec: model.SubscriptionSpec) -> check.Result:
    """The subscription fires for what the manifest says.

    Proves: `criteria` and the FHIRPath extension are the manifest's.

    Fails: when either differs.

    Cure: `medbots subscriptions sync`.
    """
    live = await target.live_subscription(spec.key)
    return await _fields(
        target,
        spec,
        {
            "criteria": (live.criteria, spec.criteria),
            "fhirPathCriteria": (live.fhirpath or "", spec.fhirpath or ""),
        },
    )


@family.define("subscriptions.<key>.endpoint", needs=_EXISTS)
async def endpoint(target: target_module.Target, spec: model.SubscriptionSpec) -> check.Result:
    """The subscription runs our bot.

    Proves: the channel is a rest-hook whose endpoint is the Bot that stands in this project under
    the manifest's key. The server says nothing of a bot that does not exist.

    Fails: when the endpoint is another, or nothing that exists.

    Cure: `medbots subscriptions sync`.
    """
    live = await target.live_subscription(spec.key)
    bot = await target.live_bot(spec.bot)
    return await _fields(
        target,
        spec,
        {
            "channel.type": (live.channel, "rest-hook"),
            "channel.endpoint": (live.endpoint or "none", f"Bot/{bot.id}"),
        },
    )


@family.define("subscriptions.<key>.interaction", needs=_EXISTS)
async def interaction(target: target_module.Target, spec: model.SubscriptionSpec) -> check.Result:
    """The subscription fires on the changes that the manifest names.

    Proves: the extension for the supported interaction is the manifest's: create, update or
    delete, or none for all three.

    Fails: when it differs.

    Cure: `medbots subscriptions sync`.
    """
    live = await target.live_subscription(spec.key)
    return await _fields(
        target,
        spec,
        {"interaction": (live.interaction or "all", spec.interaction or "all")},
    )


async def _fields(
    target: target_module.Target,
    spec: model.SubscriptionSpec,
    compared: dict[str, tuple[str, str]],
) -> check.Result:
    """Whether the plan would change any of these fields, each given as observed and expected."""
    change = await target.change(state.Kind.SUBSCRIPTION, spec.key)
    observed = ", ".join(text for text, _ in compared.values() if text)
    expected = ", ".join(text for _, text in compared.values() if text)
    if set(compared) & set(change.fields):
        return check.failed(observed or "none", expected, _SYNC)
    return check.passed(observed, expected)
