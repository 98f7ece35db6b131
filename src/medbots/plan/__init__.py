"""A plan is a value: the difference between what should be and what is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from medbots import errors, model, state
from medbots.plan import bots, counterparts, project, subscriptions
from medbots.plan.bots import policy_name
from medbots.plan.change import Action, Change

__all__ = ["Action", "Change", "Plan", "diff", "policy_name"]


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
    live = dict(counterparts.bots(desired, actual))
    policies = {policy.key: policy for policy in actual.policies}
    makers = {
        state.Kind.FEATURE: lambda: project.features(desired, actual),
        state.Kind.SECRET: lambda: project.secrets(desired, actual),
        state.Kind.POLICY: lambda: bots.policies(desired, policies),
        state.Kind.DEVICE: lambda: bots.devices(desired, actual),
        state.Kind.BOT: lambda: bots.bots(desired, actual, live),
        state.Kind.MEMBERSHIP: lambda: bots.memberships(desired, actual, live, policies, wanted),
        state.Kind.SUBSCRIPTION: lambda: subscriptions.subscriptions(
            desired, actual, live, creating=state.Kind.BOT in wanted
        ),
    }
    changes = tuple(change for kind in state.Kind if kind in wanted for change in makers[kind]())
    ids = (
        *((state.Kind.BOT, key, bot.id) for key, bot in live.items() if bot),
        *((state.Kind.POLICY, policy.key, policy.id) for policy in actual.policies),
    )
    return Plan(actual.project, changes, desired, ids)
