"""What a manifest asks for: frozen data, free of any server's ids."""

from __future__ import annotations

import base64
import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medbots import secret as secret_module


class Interaction(enum.StrEnum):
    """The one change of a resource that a Subscription may be limited to."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class BotSpec:
    """A bot as the manifest describes it."""

    key: str
    """Stable name within the manifest; the bot's identifier on the server is `NS/bot|key`."""
    name: str
    source: Path
    """Absolute path of the TypeScript (or already bundled JavaScript) file."""
    description: str = ""
    timeout: int = 30
    """Seconds of synchronous code the server allows; it does not stop an awaited call."""
    run_as_user: bool = False
    policy: tuple[Mapping[str, Any], ...] = ()
    """`AccessPolicy.resource` entries of the bot's own membership; empty: no policy is managed."""
    secrets: tuple[str, ...] = ()
    """Project secrets without which the bot cannot work."""
    optional_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """One bot's code, ready for the server."""

    key: str
    code: bytes
    digest: str
    """`sha256:` and the hex digest of `code`."""
    source_map: bytes | None = None

    @property
    def attachment_hash(self) -> str:
        """What FHIR wants in `Attachment.hash`: base64 of the code's SHA-1."""
        sha1 = hashlib.sha1(self.code, usedforsecurity=False)
        return base64.b64encode(sha1.digest()).decode()


@dataclass(frozen=True, slots=True)
class SubscriptionSpec:
    """What triggers a bot."""

    key: str
    name: str
    criteria: str
    """FHIR search criteria, such as `Encounter?status=finished`."""
    bot: str
    """Key of the bot that runs."""
    interaction: Interaction | None = None
    """None: creates, updates and deletes all fire."""
    fhirpath: str | None = None
    """FHIRPath over `%previous` and `%current` that must hold as well."""


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """The Device that authors what a model wrote: one for each model alias."""

    key: str
    """The model alias."""
    name: str


@dataclass(frozen=True, slots=True)
class SecretSpec:
    """A project secret that the bots read."""

    name: str
    value: secret_module.Secret | None = field(default=None, repr=False)
    """None: medbots has no value for it here."""
    required: bool = True
    default: bool = False
    """Nobody set it: good for a project that has none, never to replace one that is there."""
    made_by: str | None = None
    """The command that makes it, when it is not for the user to give."""


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that should stand in one project."""

    namespace: str
    bots: tuple[BotSpec, ...] = ()
    bundles: Mapping[str, Bundle] = field(default_factory=dict)
    subscriptions: tuple[SubscriptionSpec, ...] = ()
    devices: tuple[DeviceSpec, ...] = ()
    secrets: tuple[SecretSpec, ...] = ()
    features: tuple[str, ...] = ("bots",)
