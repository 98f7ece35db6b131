"""Who is who: finds the server's counterpart of what the manifest names.

By identifier or tag first; what carries neither may be adopted by name, or by criteria and
endpoint, when there is exactly one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from medbots import errors, model, state


def bots(
    desired: model.Desired, actual: state.ServerState
) -> Iterator[tuple[str, state.LiveBot | None]]:
    """Yield each bot's key with its counterpart, also for bots that only subscriptions name.

    Raises:
        errors.StateError: several bots could be meant.
    """
    for spec in desired.bots:
        ours = [bot for bot in actual.bots if bot.key == spec.key]
        same_name = [
            bot
            for bot in actual.bots
            if bot.key is None and not bot.foreign and bot.name == spec.name
        ]
        found = ours or same_name
        if len(found) > 1:
            ids = ", ".join(f"Bot/{bot.id}" for bot in found)
            why = "carry its identifier" if ours else "have its name and no owner"
            raise errors.StateError(
                f"bot {spec.key!r}: {len(found)} bots {why}: {ids}",
                hint="delete all but one of them, or give the others another name",
            )
        yield spec.key, found[0] if found else None
    known = {spec.key for spec in desired.bots}
    for trigger in desired.subscriptions:
        if trigger.bot not in known:
            known.add(trigger.bot)
            yield (
                trigger.bot,
                next((bot for bot in actual.bots if bot.key == trigger.bot), None),
            )


def subscription(
    spec: model.SubscriptionSpec,
    endpoint: str,
    live: Sequence[state.LiveSubscription],
    taken: set[str],
) -> state.LiveSubscription | None:
    """Return the subscription that is ours, or one that may be adopted and is not in `taken`."""
    ours = [one for one in live if one.key == spec.key]
    if ours:
        # Two of ours can only come from a race; the older id wins, the other is reported.
        return min(ours, key=lambda one: one.id)
    return next(
        (
            one
            for one in live
            if one.key is None
            and one.id not in taken
            and endpoint
            and (one.criteria, one.endpoint) == (spec.criteria, endpoint)
        ),
        None,
    )


def duplicates(
    spec: model.SubscriptionSpec,
    endpoint: str,
    chosen: state.LiveSubscription | None,
    live: Sequence[state.LiveSubscription],
) -> list[state.LiveSubscription]:
    """Return the other active subscriptions that would run the same bot for the same event."""
    return [
        one
        for one in live
        if (chosen is None or one.id != chosen.id)
        and one.status == "active"
        and (
            one.key == spec.key
            or (one.key is None and (one.criteria, one.endpoint) == (spec.criteria, endpoint))
        )
    ]
