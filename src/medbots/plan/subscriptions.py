"""What of the triggers has to change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from medbots import model, state
from medbots.plan import counterparts, fields
from medbots.plan.change import Action, Change, action_of


def subscriptions(
    desired: model.Desired,
    actual: state.ServerState,
    bots: dict[str, state.LiveBot | None],
    *,
    creating: bool,
) -> Iterator[Change]:
    """Yield a change for each subscription; duplicates are said aloud, never deleted.

    `creating`: the same plan makes the bots that are missing.
    """
    taken: set[str] = set()
    for spec in desired.subscriptions:
        bot = bots.get(spec.bot)
        endpoint = f"Bot/{bot.id}" if bot else ""
        live = counterparts.subscription(spec, endpoint, actual.subscriptions, taken)
        if live:
            taken.add(live.id)
        differing = fields.differing(
            fields.live_subscription(live) if live else None,
            fields.wanted_subscription(spec, endpoint),
        )
        change = Change(
            state.Kind.SUBSCRIPTION,
            spec.key,
            spec.name,
            action_of(live, differing),
            spec,
            id=live.id if live else None,
            fields=differing,
        )
        if bot is None and not creating:
            change = replace(
                change,
                blocked=f"the bot {spec.bot!r} is not deployed in {actual.project.name!r}",
                hint="medbots deploy",
            )
        if live and live.key is None:
            change = replace(
                change,
                action=Action.ADOPT,
                fields=("meta.tag", *differing),
                note=f"takes over Subscription/{live.id}, which has these criteria and endpoint",
            )
        doubles = counterparts.duplicates(spec, endpoint, live, actual.subscriptions)
        if doubles:
            names = ", ".join(f"Subscription/{double.id}" for double in doubles)
            change = replace(change, note=f"{change.note} duplicate: {names} fires too".strip())
        yield change
