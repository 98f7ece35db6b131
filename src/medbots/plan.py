"""A plan is a value: the difference between what should be and what is."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from medbots import counterparts, errors, model, state
from medbots import fields as what

_ADMIN = "a project admin"
_SUPER_ADMIN = "a super admin of this server"

Spec = model.BotSpec | model.SubscriptionSpec | model.DeviceSpec | model.SecretSpec | str


class Action(enum.StrEnum):
    """What is done to one thing."""

    CREATE = "create"
    UPDATE = "update"
    ADOPT = "adopt"
    DELETE = "delete"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan."""

    kind: state.Kind
    key: str
    name: str
    action: Action
    spec: Spec
    id: str | None = None
    """Server id; None: it does not exist yet."""
    fields: tuple[str, ...] = ()
    """What differs, in the words of FHIR."""
    digest: str | None = None
    was_digest: str | None = None
    note: str = ""
    """Something to say aloud: an adoption, code replaced behind our back, a duplicate."""
    skip: str = ""
    """Why this is left out; the rest of the plan goes on."""
    blocked: str = ""
    """Why this login may not do it; nothing of the plan is applied."""
    hint: str = ""

    @property
    def to_do(self) -> bool:
        """Whether applying it would write."""
        return self.action is not Action.UNCHANGED and not self.skip


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that has to change in one project, in the order of application."""

    project: state.Project
    changes: tuple[Change, ...]
    desired: model.Desired
    ids: tuple[tuple[state.Kind, str, str], ...] = ()
    """(kind, key, server id) of everything that stands already."""

    @property
    def to_do(self) -> tuple[Change, ...]:
        """The changes that would write."""
        return tuple(change for change in self.changes if change.to_do)

    @property
    def summary(self) -> dict[str, int]:
        """Number of changes by action, those that are skipped apart."""
        count = Counter(change.action for change in self.changes if not change.skip)
        skipped = sum(bool(change.skip) for change in self.changes)
        return {action.value: count[action] for action in Action} | {"skipped": skipped}

    def raise_if_blocked(self) -> None:
        """Refuse the whole plan when this login may not do a part of it.

        Raises:
            errors.NotAllowedError: names what, and who can.
        """
        blocked = [change for change in self.changes if change.blocked]
        if not blocked:
            return
        reasons = dict.fromkeys(change.blocked for change in blocked)
        hints = dict.fromkeys(change.hint for change in blocked if change.hint)
        raise errors.NotAllowedError("; ".join(reasons), hint="\n".join(hints) or None)


def diff(
    desired: model.Desired,
    actual: state.ServerState,
    kinds: Iterable[state.Kind] = tuple(state.Kind),
) -> Plan:
    """Return the plan that turns `actual` into `desired`, limited to `kinds`.

    Raises:
        errors.StateError: two resources claim the same place, and only a person can tell.
    """
    wanted = set(kinds)
    bots = dict(counterparts.bots(desired, actual))
    policies = {policy.key: policy for policy in actual.policies}
    makers = {
        state.Kind.FEATURE: lambda: _features(desired, actual),
        state.Kind.SECRET: lambda: _secrets(desired, actual),
        state.Kind.POLICY: lambda: _policies(desired, policies),
        state.Kind.DEVICE: lambda: _devices(desired, actual),
        state.Kind.BOT: lambda: _bots(desired, actual, bots),
        state.Kind.MEMBERSHIP: lambda: _memberships(desired, actual, bots, policies, wanted),
        state.Kind.SUBSCRIPTION: lambda: _subscriptions(
            desired, actual, bots, creating=state.Kind.BOT in wanted
        ),
    }
    changes = tuple(change for kind in state.Kind if kind in wanted for change in makers[kind]())
    ids = (
        *((state.Kind.BOT, key, bot.id) for key, bot in bots.items() if bot),
        *((state.Kind.POLICY, policy.key, policy.id) for policy in actual.policies),
    )
    return Plan(actual.project, changes, desired, ids)


def _features(desired: model.Desired, actual: state.ServerState) -> Iterator[Change]:
    live = actual.project.features
    for feature in desired.features:
        if live is None:
            reason = f"only {_ADMIN} can see the project's features"
            change = Change(state.Kind.FEATURE, feature, feature, Action.UNCHANGED, feature)
            yield replace(change, id=actual.project.id, skip=reason)
            continue
        present = feature in live
        may = actual.rights.super_admin
        yield Change(
            state.Kind.FEATURE,
            feature,
            feature,
            Action.UNCHANGED if present else Action.CREATE,
            feature,
            id=actual.project.id,
            fields=() if present else ("features",),
            blocked=""
            if present or may
            else f"project {actual.project.name!r} lacks the feature {feature!r}, without which "
            f"no bot runs; only {_SUPER_ADMIN} can enable it",
            hint="" if present or may else _enable(actual),
        )


def _secrets(desired: model.Desired, actual: state.ServerState) -> Iterator[Change]:
    live = actual.project.secrets
    for spec in desired.secrets:
        change = Change(state.Kind.SECRET, spec.name, spec.name, Action.UNCHANGED, spec)
        if live is None:
            skip = "" if not spec.required else f"only {_ADMIN} can see the project's secrets"
            yield replace(change, skip=skip)
        elif spec.value is None:
            if spec.name in live or not spec.required:
                yield change
            elif spec.made_by:
                yield replace(change, action=Action.CREATE, skip=f"made by: {spec.made_by}")
            else:
                yield replace(
                    change,
                    action=Action.CREATE,
                    blocked=f"the bots need the secret {spec.name}, and there is no value for it",
                    hint=f"set {spec.name} in the environment",
                )
        elif spec.name not in live:
            yield replace(change, action=Action.CREATE, fields=("valueString",))
        elif live[spec.name] != spec.value and not spec.default:
            yield replace(change, action=Action.UPDATE, fields=("valueString",))
        else:
            yield change


def _policies(desired: model.Desired, policies: dict[str, state.LivePolicy]) -> Iterator[Change]:
    for spec in desired.bots:
        if not spec.policy:
            continue
        live = policies.get(spec.key)
        fields = what.differing(
            {"name": live.name, "resource": list(live.rules)} if live else None,
            {"name": policy_name(spec), "resource": list(spec.policy)},
        )
        yield Change(
            state.Kind.POLICY,
            spec.key,
            policy_name(spec),
            _action(live, fields),
            spec,
            id=live.id if live else None,
            fields=fields,
        )


def _devices(desired: model.Desired, actual: state.ServerState) -> Iterator[Change]:
    devices = {device.key: device for device in actual.devices}
    for spec in desired.devices:
        live = devices.get(spec.key)
        fields = what.differing(
            {"deviceName": live.name} if live else None, {"deviceName": spec.name}
        )
        yield Change(
            state.Kind.DEVICE,
            spec.key,
            spec.name,
            _action(live, fields),
            spec,
            id=live.id if live else None,
            fields=fields,
        )


def _bots(
    desired: model.Desired,
    actual: state.ServerState,
    bots: dict[str, state.LiveBot | None],
) -> Iterator[Change]:
    for spec in desired.bots:
        live = bots[spec.key]
        bundle = desired.bundles[spec.key]
        fields = what.differing(
            what.live_bot(live) if live else None, what.wanted_bot(spec, bundle)
        )
        change = Change(
            state.Kind.BOT,
            spec.key,
            spec.name,
            _action(live, fields),
            spec,
            id=live.id if live else None,
            fields=fields,
            digest=bundle.digest,
            was_digest=live.digest if live else None,
        )
        if live is None and not actual.rights.admin and not actual.rights.super_admin:
            yield replace(
                change,
                blocked=f"a new bot needs a membership, and only {_ADMIN} can make one",
                hint=f"log in as {_ADMIN} of {actual.project.name!r}: medbots login",
            )
        elif live is not None and live.key is None:
            yield replace(
                change,
                action=Action.ADOPT,
                fields=("identifier", *fields),
                note=f"takes over Bot/{live.id}, which has this name and no owner",
            )
        elif live is not None and live.digest == bundle.digest and "executableCode" in fields:
            yield replace(change, note="the code on the server was replaced by somebody else")
        else:
            yield change


def _memberships(
    desired: model.Desired,
    actual: state.ServerState,
    bots: dict[str, state.LiveBot | None],
    policies: dict[str, state.LivePolicy],
    wanted: set[state.Kind],
) -> Iterator[Change]:
    by_bot = {member.bot_id: member for member in actual.memberships or ()}
    for spec in desired.bots:
        bot = bots[spec.key]
        if bot is None and state.Kind.BOT not in wanted:
            continue
        change = Change(state.Kind.MEMBERSHIP, spec.key, spec.name, Action.UNCHANGED, spec)
        if actual.memberships is None:
            yield replace(change, skip=f"only {_ADMIN} can see memberships")
            continue
        live = by_bot.get(bot.id) if bot else None
        if live is None:
            yield replace(
                change,
                action=Action.CREATE,
                fields=("accessPolicy",) if spec.policy else (),
                blocked=_no_membership(bot, actual),
                hint=_enable(actual) if _no_membership(bot, actual) else "",
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
        f"only {_SUPER_ADMIN} can make one for a bot that exists"
    )


def _enable(actual: state.ServerState) -> str:
    return (
        f"log in as {_SUPER_ADMIN}, then: medbots project doctor --target {actual.project.id} --fix"
    )


def _subscriptions(
    desired: model.Desired,
    actual: state.ServerState,
    bots: dict[str, state.LiveBot | None],
    *,
    creating: bool,
) -> Iterator[Change]:
    taken: set[str] = set()
    for spec in desired.subscriptions:
        bot = bots.get(spec.bot)
        endpoint = f"Bot/{bot.id}" if bot else ""
        live = counterparts.subscription(spec, endpoint, actual.subscriptions, taken)
        if live:
            taken.add(live.id)
        fields = what.differing(
            what.live_subscription(live) if live else None,
            what.wanted_subscription(spec, endpoint),
        )
        change = Change(
            state.Kind.SUBSCRIPTION,
            spec.key,
            spec.name,
            _action(live, fields),
            spec,
            id=live.id if live else None,
            fields=fields,
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
                fields=("meta.tag", *fields),
                note=f"takes over Subscription/{live.id}, which has these criteria and endpoint",
            )
        doubles = counterparts.duplicates(spec, endpoint, live, actual.subscriptions)
        if doubles:
            names = ", ".join(f"Subscription/{double.id}" for double in doubles)
            change = replace(change, note=f"{change.note} duplicate: {names} fires too".strip())
        yield change


def policy_name(spec: model.BotSpec) -> str:
    """Return the name of a bot's own AccessPolicy."""
    return f"{spec.name} (medbots)"


def _action(live: object | None, fields: tuple[str, ...]) -> Action:
    if live is None:
        return Action.CREATE
    return Action.UPDATE if fields else Action.UNCHANGED
