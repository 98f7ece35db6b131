"""Opens both sides, server and embedding store, for the verbs that compare them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medbots import inventory
from medbots.cli import options, project_contract, references, store, wiring

if TYPE_CHECKING:
    from medbots import config
    from medbots.database.connection import Connection
    from medbots.database.inventory import Store
    from medbots.embeddings.contract import Contract
    from medbots.manifest import Manifest
    from medbots.medplum.client import Client
    from medbots.medplum.inventory import Server


@dataclass(frozen=True, slots=True)
class Sides:
    """Everything that a comparison takes."""

    manifest: Manifest
    settings: config.Settings
    client: Client
    server: Server
    connection: Connection
    store: Store
    contract: Contract
    """By which the bots work: the project's own secrets say so."""
    phi_hosts: str | None
    """Where patient text may go (`LLM_PHI_ALLOWED_HOSTS`)."""


@asynccontextmanager
async def opened(
    opts: options.Options, *, expect_project: str | None = None
) -> AsyncIterator[Sides]:
    """Connect to server and database.

    Args:
        opts: of the run.
        expect_project: id or name of the only project that may be meant.

    Raises:
        errors.NotAllowedError: it is another project; or the login does not see all of it, or not
            its secrets.
        errors.StateError: the bots use another database.
        errors.MedbotsError: server or database refuse, or cannot be reached.
    """
    from medbots import state
    from medbots.cli import changes
    from medbots.database import inventory as store_side
    from medbots.medplum import inventory as server_side

    the_manifest = wiring.manifest(opts)
    settings = wiring.settings(opts, the_manifest)
    store.url(settings)
    async with wiring.connected(settings) as client:
        changes.expect(state.Project(client.project.id, client.project.name), expect_project)
        await server_side.require_whole_sight(client)
        secrets = project_contract.ProjectContract(client, the_manifest.namespace)
        works_by = await secrets.read()
        async with store.connected(settings) as connection:
            await secrets.require_database(connection)
            kept = (connection, client.project.id, works_by.version, works_by.dimension)
            yield Sides(
                the_manifest,
                settings,
                client,
                server_side.Server(client, the_manifest.namespace),
                connection,
                store_side.Store(*kept),
                works_by,
                await secrets.phi_hosts(),
            )


def kinds(given: list[str] | None) -> tuple[str, ...]:
    """Return the resource types that `--type` names; all that are embedded without it.

    Raises:
        errors.UsageError: it names nothing, or a type that is not embedded.
    """
    named = references.embedded("--type", given)
    return tuple(one for one in inventory.TYPES if named is None or one in named)
