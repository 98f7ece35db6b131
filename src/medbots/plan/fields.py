"""What differs: the fields that medbots manages, in the words of FHIR."""

from __future__ import annotations

from collections.abc import Mapping

from medbots import model, state

RUNTIME = "vmcontext"
"""`Bot.runtimeVersion` of every bot that medbots deploys."""

Fields = Mapping[str, object]


def live_bot(live: state.LiveBot) -> dict[str, object]:
    """Return the managed fields of a Bot as they stand."""
    return {
        "name": live.name,
        "description": live.description,
        "runtimeVersion": live.runtime,
        "timeout": live.timeout,
        "runAsUser": live.run_as_user,
        "executableCode": (live.digest, live.code_hash, live.code_moved),
    }


def wanted_bot(spec: model.BotSpec, bundle: model.Bundle) -> dict[str, object]:
    """Return the managed fields of a Bot as they should be."""
    return {
        "name": spec.name,
        "description": spec.description,
        "runtimeVersion": RUNTIME,
        "timeout": spec.timeout,
        "runAsUser": spec.run_as_user,
        "executableCode": (bundle.digest, bundle.attachment_hash, False),
    }


def live_subscription(live: state.LiveSubscription) -> dict[str, object]:
    """Return the managed fields of a Subscription as they stand."""
    return {
        "reason": live.name,
        "criteria": live.criteria,
        "status": live.status,
        "channel.type": live.channel,
        "channel.endpoint": live.endpoint,
        "interaction": live.interaction,
        "fhirPathCriteria": live.fhirpath,
    }


def wanted_subscription(spec: model.SubscriptionSpec, endpoint: str) -> dict[str, object]:
    """Return the managed fields of a Subscription as they should be."""
    return {
        "reason": spec.name,
        "criteria": spec.criteria,
        "status": "active",
        "channel.type": "rest-hook",
        "channel.endpoint": endpoint,
        "interaction": spec.interaction and spec.interaction.value,
        "fhirPathCriteria": spec.fhirpath,
    }


def differing(live: Fields | None, wanted: Fields) -> tuple[str, ...]:
    """Return the names of the fields that a write would change; of a new one, those it sets."""
    if live is None:
        return tuple(name for name, value in wanted.items() if value not in (None, "", False))
    return tuple(name for name, value in wanted.items() if live[name] != value)
