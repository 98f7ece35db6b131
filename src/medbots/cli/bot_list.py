"""What `bot list` shows: each bot of the manifest, and its counterpart on the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medbots.cli import options, wiring

if TYPE_CHECKING:
    from medbots.model import BotSpec
    from medbots.state import ServerState


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
    from medbots import model
    from medbots.medplum import server

    the_manifest = wiring.manifest(opts)
    async with wiring.connected(wiring.settings(opts, the_manifest)) as client:
        project = server.ProjectServer(client, the_manifest.namespace)
        found = await project.read(model.Desired(the_manifest.namespace, the_manifest.bots))
    return [_row(spec, found) for spec in the_manifest.bots]


def _row(spec: BotSpec, found: ServerState) -> Row:
    live = next((one for one in found.bots if one.key == spec.key), None)
    if live is None:
        return Row(spec.key, spec.name, None, spec.run_as_user, None, None)
    members = found.memberships
    member = None if members is None else any(one.bot_id == live.id for one in members)
    return Row(spec.key, live.name, live.id, live.run_as_user, member, live.digest)
