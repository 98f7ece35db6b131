"""The embedding contract of a project: the secrets by which its bots work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from medbots import errors

if TYPE_CHECKING:
    from medbots import secret
    from medbots.database.connection import Connection
    from medbots.embeddings.contract import Contract
    from medbots.medplum.client import Client


class ProjectContract:
    """The secrets EMBEDDING_MODEL, EMBEDDING_DIM and EMBEDDING_PREFIX_MODE of a project."""

    def __init__(self, client: Client, namespace: str) -> None:
        from medbots.medplum import server

        self._server = server.ProjectServer(client, namespace)
        self._namespace = namespace
        self._client = client

    async def read(self) -> Contract:
        """Return what the bots work by.

        Raises:
            errors.NotAllowedError: only a project admin may read secrets.
        """
        from medbots.embeddings import contract

        live = await self._secrets()
        return contract.of_secrets({name: one.reveal() for name, one in live.items()})

    async def phi_hosts(self) -> str | None:
        """Return where patient text may go: the project's word, or this environment's without one.

        No environment widens what the project's secret allows.
        """
        from medbots.embeddings import phi_route

        found = (await self._secrets()).get(phi_route.SETTING)
        return (found.reveal() if found else None) or os.environ.get(phi_route.SETTING)

    async def require_database(self, connection: Connection) -> None:
        """Raise unless the bots use the database of this connection.

        Raises:
            errors.StateError: they use another one, or none.
        """
        from medbots import desired
        from medbots.database import whose

        url = (await self._secrets()).get(desired.DATABASE_SECRET)
        await whose.require(connection, self._client.project.id, url)

    async def write(self, contract: Contract) -> None:
        """Set the three at once: no bot ever reads a mixture."""
        from medbots import secret

        values = {name: secret.Secret(value) for name, value in contract.secrets().items()}
        await self._server.write_secrets(values)

    async def _secrets(self) -> Mapping[str, secret.Secret]:
        from medbots import model

        found = await self._server.read(model.Desired(self._namespace))
        if found.project.secrets is None:
            raise errors.NotAllowedError(
                f"{self._client.user} may not read the secrets of project {found.project.name!r}",
                hint="log in as a project admin: medbots login",
            )
        return found.project.secrets
