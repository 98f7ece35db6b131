"""Memberships that nobody stands behind any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from medbots import check
from medbots.checks import family as family_module
from medbots.checks import target as target_module
from medbots.medplum import batch
from medbots.medplum import client as client_module

_SHOWN = 5
"""How many memberships are named; more are counted."""
_COUNT = 100
"""How many bots are looked for at a time."""
_GONE = frozenset({404, 410})

family = family_module.Family("memberships", "The memberships of bots")


@family.define(
    "memberships.orphaned", severity=check.Severity.WARNING, needs=("login.valid", "login.rights")
)
async def orphaned(target: target_module.Target) -> check.Result:
    """Every membership of a bot has its bot.

    Proves: the Bot that is the profile of a ProjectMembership exists. The server keeps the
    membership of a deleted Bot, and with it the rights: whoever may write Bots can bring that one
    back under its id.

    Fails: as a warning, for every membership whose Bot was deleted or is unknown, as after a Bot
    was deleted by hand and deployed anew.

    Cure: delete the memberships that are named, in the Medplum app or over FHIR. A bot of the
    manifest that is gone comes back with `medbots deploy`, with a membership of its own.
    """
    by_bot: dict[str, list[str]] = {}
    for one in await target.members():
        kind, _, bot_id = str((one.get("profile") or {}).get("reference")).partition("/")
        if kind == "Bot":
            by_bot.setdefault(bot_id, []).append(f"ProjectMembership/{one['id']}")
    expected = "a Bot behind every membership of one"
    orphans = [
        name for bot_id in await _gone(await target.client(), by_bot) for name in by_bot[bot_id]
    ]
    if not orphans:
        return check.passed(f"{len(by_bot)} bots are members", expected)
    named = ", ".join(orphans[:_SHOWN])
    more = f" and {len(orphans) - _SHOWN} more" if len(orphans) > _SHOWN else ""
    observed = f"{len(orphans)} of deleted bots: {named}{more}"
    return check.warned(observed, expected, f"delete {' and '.join(orphans[:_SHOWN])}")


async def _gone(client: client_module.Client, bots: Mapping[str, object]) -> list[str]:
    """Return the ids of bots that do not exist.

    A search shows what is there in one cheap request; what it does not show is read one by one,
    for it may only be hidden from this login.
    """
    ids = list(bots)
    pages = [ids[start : start + _COUNT] for start in range(0, len(ids), _COUNT)]
    found = await client.batch([_search(page) for page in pages])
    seen = {
        str(entry["resource"]["id"])
        for result in found
        for entry in (result.value() or {}).get("entry") or ()
        if "resource" in entry
    }
    missing = [one for one in ids if one not in seen]
    reads = await client.batch([batch.BatchEntry("GET", f"Bot/{one}") for one in missing])
    return [one for one, result in zip(missing, reads, strict=True) if result.status in _GONE]


def _search(ids: Iterable[str]) -> batch.BatchEntry:
    params = {"_id": ",".join(ids), "_fields": "name", "_count": _COUNT}
    return batch.BatchEntry("GET", f"Bot?{urlencode(params)}")
