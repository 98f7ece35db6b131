"""What of the bots has to change, with what they need to run: policy, device, membership."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from medbots import model, state
from medbots.plan import fields
from medbots.plan.change import ADMIN, SUPER_ADMIN, Action, Change, action_of, enabling


def policy_name(spec: model.BotSpec) -> str:
    """Return the name of a bot's own AccessPolicy."""
    return f"{spec.name} (medbots)"


def policies(desired: model.Desired, standing: dict[str, state.LivePolicy]) -> Iterator[Change]:
    """Yield a change for the access policy of each bot that has one in the manifest."""
    for spec in desired.bots:
        if not spec.policy:
            continue
        live = standing.get(spec.key)
        differing = fields.differing(
            {"name": live.name, "resource": list(live.rules)} if live else None,
            {"name": policy_name(spec), "resource": list(spec.policy)},
        )
        yield Change(
            state.Kind.POLICY,
            spec.key,
            policy_name(spec),
            action_of(live, differing),
            spec,
            id=live.id if live else None,
            fields=differing,
        )


def devices(desired: model.Desired, actual: state.ServerState) -> Iterator[Change]:
    """Yield a change for the Device of each model alias."""
    standing = {device.key: device for device in actual.devices}
    for spec in desired.devices:
        live = standing.get(spec.key)
        differing = fields.differing(
            {"deviceName": live.name} if live else None, {"deviceName": spec.name}
        )
        yield Change(
            state.Kind.DEVICE,
            spec.key,
            spec.name,
            action_of(live, differing),
            spec,
            id=live.id if live else None,
            fields=differing,
        )


def bots(
    desired: model.Desired,
    actual: state.ServerState,
    bots: dict[str, state.LiveBot | None],
) -> Iterator[Change]:
    """Yield a change for each bot; adoption and replaced code are said aloud."""
    for spec in desired.bots:
        live = bots[spec.key]
        bundle = desired.bundles[spec.key]
        differing = fields.differing(
            fields.live_bot(live) if live else None, fields.wanted_bot(spec, bundle)
        )
        change = Change(
            state.Kind.BOT,
            spec.key,
            spec.name,
            action_of(live, differing),
            spec,
            id=live.id if live else None,
            fields=differing,
            digest=bundle.digest,
            was_digest=live.digest if live else None,
        )
        if live is None and not actual.rights.admin and not actual.rights.super_admin:
            yield replace(
                change,
                blocked=f"a new bot needs a membership, and only {ADMIN} can make one",
                hint=f"log in as {ADMIN} of {actual.project.name!r}: medbots login",
            )
        elif live is not None and live.key is None:
            yield replace(
                change,
                action=Action.ADOPT,
                fields=("identifier", *differing),
                note=f"takes over Bot/{live.id}, which has this name and no owner",
            )
        elif live is not None and live.digest == bundle.digest and "executableCode" in differing:
            yield replace(change, note="the code on the server was replaced by somebody else")
        else:
            yield change


def memberships(
    desired: model.Desired,
    actual: state.ServerState,
    bots: dict[str, state.LiveBot | None],
    policies: dict[str, state.LivePolicy],
    wanted: set[state.Kind],
) -> Iterator[Change]:
    """Yield a change for each membership: without one no subscription can run the bot."""
    by_bot = {member.bot_id: member for member in actual.memberships or ()}
    for spec in desired.bots:
        bot = bots[spec.key]
        if bot is None and state.Kind.BOT not in wanted:
            continue
        change = Change(state.Kind.MEMBERSHIP, spec.key, spec.name, Action.UNCHANGED, spec)
        if actual.memberships is None:
            yield replace(change, skip=f"only {ADMIN} can see memberships")
            continue
        live = by_bot.get(bot.id) if bot else None
        if live is None:
            yield replace(
                change,
                action=Action.CREATE,
                fields=("accessPolicy",) if spec.policy else (),
                blocked=_no_membership(bot, actual),
                hint=enabling(actual.project) if _no_membership(bot, actual) else "",
            )
            continue
        policy = policies.get(spec.key)
        coming = policy is None and state.Kind.POLICY in wanted
        differs = bool(spec.policy) and (
            coming or (policy is not None and live.policy_id != policy.id)
        )
        yield replace(
            change,
            action=Action.UPDATE if differs else Action.UNCHANGED,
            id=live.id,
            fields=("accessPolicy",) if differs else (),
        )


def _no_membership(bot: state.LiveBot | None, actual: state.ServerState) -> str:
    if bot is None or actual.rights.super_admin:
        return ""
    return (
        f"{bot.name!r} (Bot/{bot.id}) has no membership, so no subscription can run it; "
        f"only {SUPER_ADMIN} can make one for a bot that exists"
    )
