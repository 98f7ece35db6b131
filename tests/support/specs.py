"""Small values to plan with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from medbots import model, secret


def bundle(key: str, code: bytes = b"exports.handler = async () => 1;\n") -> model.Bundle:
    """Return a bundle of this code."""
    return model.Bundle(key, code, f"sha256:{hashlib.sha256(code).hexdigest()}")


def bot(key: str = "embedding", **changes: Any) -> model.BotSpec:
    """Return a bot with a policy."""
    values: dict[str, Any] = {
        "name": f"{key.title()} Bot",
        "source": Path(f"/bots/{key}.ts"),
        "description": "Does something.",
        "policy": ({"resourceType": "Observation", "interaction": ["read"]},),
    }
    return model.BotSpec(key, **(values | changes))


def subscription(key: str = "embedding-condition", **changes: Any) -> model.SubscriptionSpec:
    """Return a trigger of the embedding bot."""
    values: dict[str, Any] = {
        "name": "Embedding - Condition",
        "criteria": "Condition",
        "bot": "embedding",
    }
    return model.SubscriptionSpec(key, **(values | changes))


def desired(*bots: model.BotSpec, **changes: Any) -> model.Desired:
    """Return a wish for these bots, one subscription, one device and two secrets."""
    bots = bots or (bot(),)
    values: dict[str, Any] = {
        "bots": bots,
        "bundles": {one.key: bundle(one.key) for one in bots},
        "subscriptions": (subscription(bot=bots[0].key),),
        "devices": (model.DeviceSpec("clinical-model", "clinical-model (model alias)"),),
        "secrets": (
            model.SecretSpec("DATABASE_URL", made_by="medbots db init"),
            model.SecretSpec("LLM_ROUTER_URL", secret.Secret("http://localhost:8080")),
        ),
    }
    return model.Desired("urn:medbots", **(values | changes))
