"""What `bot list` shows: each bot of the manifest, and its counterpart on the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medbots.cli import options, render, wiring

if TYPE_CHECKING:
    from medbots.bots.roster import Roster
    from medbots.model import BotSpec


@dataclass(frozen=True, slots=True)
class Row:
    """One bot."""

    key: str
    name: str
    id: str | None
    """None: not deployed."""
    run_as_user: bool
    """As it stands on the server; of one that is not deployed, as the manifest wants it."""
    membership: bool | None
    """None: the login may not see memberships, or the bot is not deployed."""
    digest: str | None
    """Of the code that medbots deployed."""


async def rows(opts: options.Options) -> list[Row]:
    """Return the manifest's bots in its order; two requests."""
    from medbots.bots import roster

    the_manifest = wiring.manifest(opts)
    async with wiring.connected(wiring.settings(opts, the_manifest)) as client:
        found = await roster.read(client, the_manifest.namespace, the_manifest.bots)
    if found.members is None:
        render.note("warning: membership is unknown: this login may not read ProjectMembership")
    return [_row(spec, found) for spec in the_manifest.bots]


def _row(spec: BotSpec, found: Roster) -> Row:
    live = found.bots.get(spec.key)
    if live is None:
        return Row(spec.key, spec.name, None, spec.run_as_user, None, None)
    member = None if found.members is None else live.id in found.members
    return Row(spec.key, live.name, live.id, live.run_as_user, member, live.digest)
