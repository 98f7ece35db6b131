"""The names of what triggered runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medbots import errors
from medbots.medplum import server

if TYPE_CHECKING:
    from medbots.medplum.client import Client


class Triggers:
    """Names Subscriptions; one that is gone, or that the login may not read, keeps its id."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._server = server.ProjectServer(client, namespace)
        self._names: dict[str, str] = {}

    async def name(self, trigger: str) -> str:
        """Return the name of a run's trigger; the project's are read when one is not known."""
        if trigger.startswith("Subscription/") and trigger not in self._names:
            self._names[trigger] = trigger
            self._names |= await self._read()
        return self._names.get(trigger, trigger)

    async def _read(self) -> dict[str, str]:
        try:
            found = await self._server.subscriptions()
        except errors.NotAllowedError:
            return {}
        return {f"Subscription/{one.id}": one.name or f"Subscription/{one.id}" for one, _ in found}
