"""A project in memory that keeps the `state.Server` port; it subclasses nothing."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from medbots import errors, model, plan, secret, state
from medbots.plan import fields


@dataclass
class FakeServer:
    """Holds one project; `fail` makes the n-th write fail, `writes` counts them."""

    project: state.Project = field(
        default_factory=lambda: state.Project("p1", "Clinic", frozenset({"bots"}), {})
    )
    rights: state.Rights = field(default_factory=lambda: state.Rights(admin=True))
    bots: dict[str, state.LiveBot] = field(default_factory=dict)
    memberships: dict[str, state.LiveMembership] = field(default_factory=dict)
    policies: dict[str, state.LivePolicy] = field(default_factory=dict)
    devices: dict[str, state.LiveDevice] = field(default_factory=dict)
    subscriptions: dict[str, state.LiveSubscription] = field(default_factory=dict)
    fail: frozenset[int] = frozenset()
    halfway: frozenset[int] = frozenset()
    """Creations of a bot that stop after the membership, before identifier and time limit."""
    writes: int = 0

    def __post_init__(self) -> None:
        self._ids = (f"id{number}" for number in itertools.count(1))

    async def read(self, desired: model.Desired) -> state.ServerState:
        """Return everything."""
        admin = self.rights.admin or self.rights.super_admin
        return state.ServerState(
            self.project if admin else replace(self.project, features=None, secrets=None),
            self.rights,
            tuple(self.bots.values()),
            tuple(self.memberships.values()) if admin else None,
            tuple(self.policies.values()),
            tuple(self.devices.values()),
            tuple(self.subscriptions.values()),
        )

    def _write(self) -> None:
        self.writes += 1
        if self.writes in self.fail:
            raise errors.UnreachableError("the connection broke")

    async def add_features(self, features: tuple[str, ...]) -> str:
        """Add project features."""
        self._write()
        if not self.rights.super_admin:
            raise errors.NotAllowedError("the server ignored the change")
        both = (self.project.features or frozenset()) | set(features)
        self.project = replace(self.project, features=both)
        return self.project.id

    async def write_secrets(self, values: Mapping[str, secret.Secret]) -> str:
        """Set project secrets."""
        self._write()
        self.project = replace(self.project, secrets={**(self.project.secrets or {}), **values})
        return self.project.id

    async def write_policy(self, policy_id: str | None, spec: model.BotSpec) -> str:
        """Create or update an AccessPolicy."""
        self._write()
        policy_id = policy_id or next(self._ids)
        live = state.LivePolicy(policy_id, spec.key, plan.policy_name(spec), spec.policy)
        self.policies[policy_id] = live
        return policy_id

    async def write_device(self, device_id: str | None, spec: model.DeviceSpec) -> str:
        """Create or update a Device."""
        self._write()
        device_id = device_id or next(self._ids)
        self.devices[device_id] = state.LiveDevice(device_id, spec.key, spec.name)
        return device_id

    async def create_bot(
        self, spec: model.BotSpec, bundle: model.Bundle, policy_id: str | None
    ) -> str:
        """Create a Bot with its membership."""
        self._write()
        bot_id = next(self._ids)
        self.bots[bot_id] = state.LiveBot(bot_id, spec.name, runtime=fields.RUNTIME)
        member = state.LiveMembership(next(self._ids), bot_id, policy_id)
        self.memberships[member.id] = member
        if self.writes in self.halfway:
            raise errors.UnreachableError("the connection broke")
        self._set(bot_id, spec, bundle, upload=True)
        return bot_id

    async def update_bot(
        self, bot_id: str, spec: model.BotSpec, bundle: model.Bundle, *, upload: bool
    ) -> str:
        """Write the managed fields of a Bot."""
        self._write()
        self._set(bot_id, spec, bundle, upload=upload)
        return bot_id

    def _set(self, bot_id: str, spec: model.BotSpec, bundle: model.Bundle, *, upload: bool) -> None:
        live = replace(
            self.bots[bot_id],
            key=spec.key,
            name=spec.name,
            description=spec.description,
            runtime=fields.RUNTIME,
            timeout=spec.timeout,
            run_as_user=spec.run_as_user,
        )
        if upload:
            code_hash = bundle.attachment_hash
            live = replace(live, digest=bundle.digest, code_hash=code_hash, code_moved=False)
        self.bots[bot_id] = live

    async def write_membership(
        self, bot_id: str, membership_id: str | None, policy_id: str | None
    ) -> str:
        """Make sure that a Bot has a membership."""
        self._write()
        live = next((one for one in self.memberships.values() if one.bot_id == bot_id), None)
        if live is None:
            live = state.LiveMembership(next(self._ids), bot_id)
        self.memberships[live.id] = replace(live, policy_id=policy_id or live.policy_id)
        return live.id

    async def write_subscription(
        self, subscription_id: str | None, spec: model.SubscriptionSpec, bot_id: str
    ) -> str:
        """Create or update a Subscription."""
        self._write()
        subscription_id = subscription_id or next(self._ids)
        self.subscriptions[subscription_id] = state.LiveSubscription(
            id=subscription_id,
            key=spec.key,
            name=spec.name,
            criteria=spec.criteria,
            endpoint=f"Bot/{bot_id}",
            interaction=spec.interaction and spec.interaction.value,
            fhirpath=spec.fhirpath,
        )
        return subscription_id
