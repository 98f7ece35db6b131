"""Finds the bots of a project by their keys."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medbots import errors
from medbots.bots import words
from medbots.medplum import fhir

if TYPE_CHECKING:
    from medbots.medplum.client import Client

_COUNT = 1000


@dataclass(frozen=True, slots=True)
class Bot:
    """A Bot that stands on the server."""

    key: str
    id: str
    name: str

    @property
    def reference(self) -> str:
        """`Bot/<id>`."""
        return f"Bot/{self.id}"


async def bots(client: Client, namespace: str) -> dict[str, Bot]:
    """Return the bots of this namespace in the login's project, by key; one request.

    A project that is linked shows its bots too. Those are not meant: another clinic's bot must
    never be taken for ours.

    Raises:
        errors.StateError: two carry one key.
        errors.MedbotsError: the server cannot be reached, or refuses.
    """
    names = fhir.Names(namespace)
    params = {"identifier": names.token("bot", ""), "_fields": "identifier,name", "_count": _COUNT}
    page = await client.get("fhir/R4/Bot", params, extended=True)
    found: dict[str, Bot] = {}
    for entry in page.get("entry") or ():
        bot = entry["resource"]
        key = names.identified(bot, "bot")
        home = (bot.get("meta") or {}).get("project", client.project.id)
        if key is None or home != client.project.id:
            continue
        if key in found:
            raise errors.StateError(
                f"two bots carry the key {key!r}: {found[key].reference} and Bot/{bot['id']}",
                hint="take the identifier away from the one that medbots did not deploy",
            )
        found[key] = Bot(key, str(bot["id"]), str(bot.get("name", "")))
    return found


async def bot(client: Client, namespace: str, key: str, wanted: Collection[str]) -> Bot:
    """Return the bot of a key.

    Args:
        client: logged in to the project.
        namespace: the manifest's.
        key: the bot's key in the manifest.
        wanted: the keys of the manifest.

    Raises:
        errors.MedbotsError: as `pick`; or the server cannot be reached, or refuses.
    """
    return pick(client, await bots(client, namespace), key, wanted)


def pick(client: Client, found: Mapping[str, Bot], key: str, wanted: Collection[str]) -> Bot:
    """Return the bot of a key among those of the project.

    Raises:
        errors.NotFoundError: the manifest has it, or medbots ships it, and it is not deployed.
        errors.UsageError: there is no such bot.
    """
    if key in found:
        return found[key]
    if key in wanted:
        raise errors.NotFoundError(
            f"bot {key!r} is not deployed in project {client.project.name!r}",
            hint=f"medbots deploy --only {key}",
        )
    if key in words.SHIPPED:
        raise errors.NotFoundError(
            f"bot {key!r} is not in the manifest, nor in project {client.project.name!r}",
            hint="take its entry over from the packaged manifest, then medbots deploy --only "
            + key,
        )
    known = sorted({*wanted, *found})
    near = difflib.get_close_matches(key, known, n=1)
    raise errors.UsageError(
        f"there is no bot {key!r}, neither in the manifest nor in project {client.project.name!r}",
        hint=f"did you mean {near[0]}?" if near else f"keys: {', '.join(known)}",
    )
