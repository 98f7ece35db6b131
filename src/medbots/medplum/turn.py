"""Turns: one run at a time makes what the server would make once for each that asks.

A bot with its membership comes from an endpoint that knows no conditional create, so two runs at
once would make two. A Basic resource, which can be created conditionally, says whose turn it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from medbots import errors
from medbots.medplum import client as client_module
from medbots.medplum import fhir

LOG = logging.getLogger("medbots.turn")

_PAUSE = 0.2
_SILENCE = 1.0
"""Seconds of waiting that need no explanation."""
_PATIENCE = 15.0
"""Seconds after which a turn is a killed run's: it lasts three small requests."""


@contextlib.asynccontextmanager
async def taken(
    client: client_module.Client,
    names: fhir.Names,
    key: str,
    *,
    patience: float = _PATIENCE,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[None]:
    """Hold the turn to make the bot `key`.

    Raises:
        errors.MedbotsError: the server refuses the resource that stands for it.
    """
    holder = str(uuid.uuid4())
    path = f"fhir/R4/Basic/{await _take(client, names, key, holder, patience, sleep)}"
    try:
        yield
    finally:
        # One that stays behind is taken over.
        with contextlib.suppress(errors.MedbotsError):
            await client.delete(path)


async def _take(
    client: client_module.Client,
    names: fhir.Names,
    key: str,
    holder: str,
    patience: float,
    sleep: Callable[[float], Awaitable[None]],
) -> str:
    wish = {
        "resourceType": "Basic",
        "identifier": [
            {"system": names.system("turn"), "value": key},
            {"system": names.system("turn-of"), "value": holder},
        ],
        "code": {"text": "medbots is making a bot"},
    }
    condition = f"identifier={names.token('turn', key)}"
    seen, since = "", 0.0
    begun, told = time.monotonic(), False
    while True:
        live: Any = await client.post("fhir/R4/Basic", wish, if_none_exist=condition)
        if names.identified(live, "turn-of") == holder:
            return str(live["id"])
        version = str(live["meta"]["versionId"])
        if version != seen:
            seen, since = version, time.monotonic()
        elif time.monotonic() - since >= patience:
            with contextlib.suppress(errors.ConflictError, errors.NotFoundError):
                mine = {**wish, "id": live["id"]}
                await client.put(f"fhir/R4/Basic/{live['id']}", mine, if_match=version)
                return str(live["id"])
        if not told and time.monotonic() - begun >= _SILENCE:
            told = True
            LOG.warning(
                "another run is making the bot %s, or was killed there: waiting up to %.0f s",
                key,
                patience,
            )
        await sleep(_PAUSE)
