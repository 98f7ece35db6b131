"""The project's bots as they stand, for whoever may see them: little rights suffice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medbots import errors
from medbots.medplum import fhir

if TYPE_CHECKING:
    from medbots.medplum.client import Client
    from medbots.model import BotSpec
    from medbots.state import LiveBot

_COUNT = 1000
_FIELDS = "identifier,name,runAsUser,meta"
"""Without the code: the server signs a URL for each attachment it returns, which is slow."""


@dataclass(frozen=True, slots=True)
class Roster:
    """The bots that are deployed."""

    bots: dict[str, LiveBot]
    """By key."""
    members: frozenset[str] | None
    """Ids of those that have a ProjectMembership; None: the login may not read these."""


async def read(client: Client, namespace: str, specs: Sequence[BotSpec]) -> Roster:
    """Return what stands of the bots in the login's project; two requests.

    Raises:
        errors.MedbotsError: the server cannot be reached, or the login may not read Bots.
    """
    names = fhir.Names(namespace)
    token = names.token("bot", *(one.key for one in specs))
    params = {"identifier": token, "_fields": _FIELDS, "_count": _COUNT}
    page = await client.get("fhir/R4/Bot", params, extended=True)
    found: dict[str, LiveBot] = {}
    for entry in page.get("entry") or ():
        bot = entry["resource"]
        # A project that is linked shows its bots too.
        home = (bot.get("meta") or {}).get("project", client.project.id)
        live = fhir.live_bot(bot, names)
        if live.key is not None and home == client.project.id:
            found.setdefault(live.key, live)
    return Roster(found, await _members(client, [one.id for one in found.values()]))


async def _members(client: Client, ids: Sequence[str]) -> frozenset[str] | None:
    if not ids:
        return frozenset()
    params = {"profile": ",".join(f"Bot/{one}" for one in ids)}
    try:
        found = [one async for one in client.search("ProjectMembership", params)]
    except errors.NotAllowedError:
        return None
    return frozenset(fhir.live_membership(one).bot_id for one in found)
