"""The code that a Bot really runs, byte for byte."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from medbots.medplum import client as client_module

_BINARY = re.compile(r"(?:^|/)(?:storage|Binary)/([0-9a-fA-F-]{36})(?:/|$)")
"""Where a Binary's id stands: in a plain reference, and in the presigned address that a read gives
in its place."""


async def read(client: client_module.Client, bot_id: str) -> bytes | None:
    """Return the bytes of a Bot's `executableCode`; None where it has none in this server.

    Raises:
        errors.MedbotsError: the Bot or its Binary cannot be read.
    """
    found: Any = await client.get(f"fhir/R4/Bot/{bot_id}")
    url = str((found.get("executableCode") or {}).get("url") or "")
    match = _BINARY.search(urlsplit(url).path)
    return await client.read_binary(match.group(1)) if match else None
