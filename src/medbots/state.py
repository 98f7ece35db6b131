"""What stands on the server, and the port through which it is read and changed."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from medbots import model, secret


class Kind(enum.StrEnum):
    """The kinds of thing medbots keeps in a project."""

    FEATURE = "feature"
    SECRET = "secret"  # noqa: S105
    POLICY = "policy"
    DEVICE = "device"
    BOT = "bot"
    MEMBERSHIP = "membership"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True)
class Project:
    """The one project that the login works in."""

    id: str
    name: str
    features: frozenset[str] | None = frozenset()
    """None: the login may not read the Project."""
    secrets: Mapping[str, secret.Secret] | None = field(default=None, repr=False)
    """None: the login may not read them."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What the login may do."""

    admin: bool = False
    """Project admin: bots with membership, secrets, memberships' policies."""
    super_admin: bool = False
    """Works in the super admin project: features and missing memberships too."""


@dataclass(frozen=True, slots=True)
class LiveBot:
    """A Bot on the server."""

    id: str
    name: str
    key: str | None = None
    """From our identifier; None: not (yet) ours."""
    description: str = ""
    runtime: str = ""
    timeout: int | None = None
    run_as_user: bool = False
    digest: str | None = None
    """What medbots stored with it when it deployed."""
    code_hash: str | None = None
    """`Attachment.hash` of the code that runs; `$deploy` behind our back drops it."""
    code_moved: bool = False
    """The code that runs lies in another file than the one that medbots uploaded."""
    foreign: bool = False
    """Whether it is another manifest's, by the identifier of another namespace."""


@dataclass(frozen=True, slots=True)
class LiveMembership:
    """A Bot's ProjectMembership."""

    id: str
    bot_id: str
    policy_id: str | None = None


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """An AccessPolicy that carries our tag."""

    id: str
    key: str
    name: str
    rules: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class LiveDevice:
    """A Device that carries our identifier."""

    id: str
    key: str
    name: str


@dataclass(frozen=True, slots=True)
class LiveSubscription:
    """A Subscription on the server."""

    id: str
    key: str | None
    """From our tag; None: not (yet) ours."""
    name: str
    """`Subscription.reason`."""
    criteria: str
    endpoint: str
    """`channel.endpoint`, such as `Bot/<id>`."""
    status: str = "active"
    channel: str = "rest-hook"
    interaction: str | None = None
    fhirpath: str | None = None


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a project holds of the things that a manifest could ask for."""

    project: Project
    rights: Rights = Rights()
    bots: tuple[LiveBot, ...] = ()
    """Ours by identifier, and those that share a name with one of ours."""
    memberships: tuple[LiveMembership, ...] | None = ()
    """None: the login may not see memberships."""
    policies: tuple[LivePolicy, ...] = ()
    devices: tuple[LiveDevice, ...] = ()
    subscriptions: tuple[LiveSubscription, ...] = ()
    """Ours by tag, and those whose endpoint is one of `bots`."""


class Server(Protocol):
    """The port to one project of one server.

    Every method raises a MedbotsError: ConflictError when somebody else changed the resource,
    NotAllowedError, UnreachableError, ServerError. A method that takes an id of None creates.
    Each can be repeated safely after an interruption.
    """

    async def read(self, desired: model.Desired) -> ServerState:
        """Return what the project holds of `desired`, in two requests."""
        ...

    async def add_features(self, features: tuple[str, ...]) -> str:
        """Add project features, keep the others; return the project's id."""
        ...

    async def write_secrets(self, values: Mapping[str, secret.Secret]) -> str:
        """Set these project secrets, keep the others; return the project's id."""
        ...

    async def write_policy(self, policy_id: str | None, spec: model.BotSpec) -> str:
        """Create or update the AccessPolicy of a bot; return its id."""
        ...

    async def write_device(self, device_id: str | None, spec: model.DeviceSpec) -> str:
        """Create or update the Device of a model alias; return its id."""
        ...

    async def create_bot(
        self, spec: model.BotSpec, bundle: model.Bundle, policy_id: str | None
    ) -> str:
        """Create a Bot with a ProjectMembership of this policy; return the Bot's id."""
        ...

    async def update_bot(
        self, bot_id: str, spec: model.BotSpec, bundle: model.Bundle, *, upload: bool
    ) -> str:
        """Write the managed fields, and the code when `upload`; return the Bot's id."""
        ...

    async def write_membership(
        self, bot_id: str, membership_id: str | None, policy_id: str | None
    ) -> str:
        """Make sure that the Bot has a membership with this policy; return its id."""
        ...

    async def write_subscription(
        self, subscription_id: str | None, spec: model.SubscriptionSpec, bot_id: str
    ) -> str:
        """Create or update a Subscription that runs the Bot; return its id."""
        ...
