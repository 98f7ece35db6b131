"""What a run of checks looks at: opened when the first check asks, read once, shared by all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from medbots import config, desired, errors, manifest, model, plan, secret, state
from medbots.checks import approvers as approvers_module
from medbots.embeddings import contract

if TYPE_CHECKING:
    from medbots.checks import rows as rows_module
    from medbots.database import connection as connection_module
    from medbots.database import status
    from medbots.embeddings import router as router_module
    from medbots.medplum import client as client_module
    from medbots.medplum import health as health_module

T = TypeVar("T")

_OF_A_BOT = (state.Kind.BOT, state.Kind.POLICY, state.Kind.MEMBERSHIP)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the fire checks wait, in seconds."""

    run: float = 60.0
    """For the bot to run: a server under load works through its queue first."""
    row: float = 5.0
    """For the row of a run that has ended."""
    gone: float = 30.0
    """For the bot to follow the deletion of what it has seen."""
    litter: float = 4.0
    """The same, where it may well never have run."""
    turn: float = 120.0
    """For another run in the same project to end."""


@dataclass(frozen=True, slots=True)
class Sources:
    """How to reach what is looked at. Each is opened at most once, and only when it is needed."""

    login: Callable[[], AbstractAsyncContextManager[client_module.Client]]
    server: Callable[[client_module.Client], state.Server]
    code: Callable[[client_module.Client, str], Awaitable[bytes | None]]
    """The bytes that a bot runs, by its id."""
    health: Callable[[], Awaitable[health_module.Health]]
    database: Callable[[secret.Secret], Awaitable[connection_module.Connection]]
    store: Callable[[connection_module.Connection, str], Awaitable[status.Status]]
    """The state of the embedding store, with the index of a model version."""
    router: router_module.Router
    rows: Callable[[connection_module.Connection, str], rows_module.Rows]
    """The embedding tables over a connection, held to the project of this id."""


class Target:
    """One project of one server, with its database and its model router.

    What cannot be opened raises its MedbotsError again for every check that asks.
    """

    def __init__(
        self,
        the_manifest: manifest.Manifest,
        settings: config.Settings,
        environ: Mapping[str, str],
        bundles: Mapping[str, model.Bundle],
        sources: Sources,
        *,
        strict: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.manifest = the_manifest
        self.settings = settings
        self.strict = strict
        """Whether code is compared byte for byte."""
        self.limits = limits or Limits()
        self.bundles = bundles
        self.router = sources.router
        self._environ = environ
        self._sources = sources
        self._opened = AsyncExitStack()
        self._plans: dict[str | None, plan.Plan] = {}
        self.client = _Once(self._log_in)
        self.state = _Once(self._read)
        self.health = _Once(sources.health)
        self.database = _Once(self._connect)
        self.store = _Once(self._read_store)
        self.members = _Once(self._read_members)
        """The project's memberships: who is a member, and by which policy."""
        self._approvers: _Once[approvers_module.Approvers] | None = None

    async def __aenter__(self) -> Self:
        """Open nothing yet: the router's client connects when it is used."""
        await self._opened.enter_async_context(self.router)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close what was opened."""
        await self._opened.aclose()

    @property
    def model_version(self) -> str:
        """What the rows of the model in use carry.

        Raises:
            errors.InvalidError: the model's alias is too long.
        """
        settings = self.settings
        return contract.model_version(
            settings.embedding_model, settings.embedding_dim, settings.embedding_prefix
        )

    def wanted(self, project_id: str = "") -> model.Desired:
        """Return what should stand in the project; its things are known without a network."""
        return desired.build(self.manifest, self.settings, self._environ, project_id, self.bundles)

    async def change(self, kind: state.Kind, key: str) -> plan.Change:
        """Return what `deploy` or `subscriptions sync` would do about one thing.

        Each bot is planned with its own subscriptions alone, so that an ambiguity about one says
        nothing about the others.

        Raises:
            errors.StateError: several resources on the server could be meant.
        """
        owner = self._owner(kind, key)
        if owner not in self._plans:
            actual = await self.state()
            part = self._part(self.wanted(actual.project.id), owner)
            self._plans[owner] = plan.diff(part, actual)
        changes = self._plans[owner].changes
        return next(change for change in changes if (change.kind, change.key) == (kind, key))

    def _owner(self, kind: state.Kind, key: str) -> str | None:
        if kind in _OF_A_BOT:
            return key
        if kind is state.Kind.SUBSCRIPTION:
            return next(one.bot for one in self.manifest.subscriptions if one.key == key)
        return None

    @staticmethod
    def _part(whole: model.Desired, owner: str | None) -> model.Desired:
        if owner is None:
            return replace(whole, bots=(), subscriptions=())
        return replace(
            whole,
            bots=tuple(bot for bot in whole.bots if bot.key == owner),
            subscriptions=tuple(one for one in whole.subscriptions if one.bot == owner),
            devices=(),
            secrets=(),
            features=(),
        )

    async def live_bot(self, key: str) -> state.LiveBot:
        """Return the bot as it stands.

        Raises:
            errors.NotFoundError: there is none.
        """
        change = await self.change(state.Kind.BOT, key)
        found = (bot for bot in (await self.state()).bots if bot.id == change.id)
        live = next(found, None)
        if live is None:
            raise errors.NotFoundError(
                f"bot {key!r} is not deployed", hint=f"medbots deploy --only {key}"
            )
        return live

    async def live_subscription(self, key: str) -> state.LiveSubscription:
        """Return the subscription as it stands.

        Raises:
            errors.NotFoundError: there is none.
        """
        change = await self.change(state.Kind.SUBSCRIPTION, key)
        found = (one for one in (await self.state()).subscriptions if one.id == change.id)
        live = next(found, None)
        if live is None:
            raise errors.NotFoundError(
                f"subscription {key!r} does not exist", hint="medbots subscriptions sync"
            )
        return live

    async def approvers(self, codes: Mapping[str, tuple[str, ...]]) -> approvers_module.Approvers:
        """Return who may approve by `codes`, the same for every check of a run."""
        if self._approvers is None:
            client = await self.client()
            members = None
            if client.rights.admin or client.rights.super_admin:
                profiles = [one.get("profile") or {} for one in await self.members()]
                members = frozenset(str(one.get("reference")) for one in profiles)
            self._approvers = _Once(lambda: approvers_module.read(client, codes, members))
        return await self._approvers()

    async def code(self, bot_id: str) -> bytes | None:
        """Return the bytes that a bot runs; None where it has no code on this server."""
        return await self._sources.code(await self.client(), bot_id)

    async def rows(self) -> rows_module.Rows:
        """Return the project's part of the embedding tables."""
        connection, client = await self.database(), await self.client()
        return self._sources.rows(connection, client.project.id)

    async def _log_in(self) -> client_module.Client:
        return await self._opened.enter_async_context(self._sources.login())

    async def _read(self) -> state.ServerState:
        client = await self.client()
        return await self._sources.server(client).read(self.wanted(client.project.id))

    async def _read_members(self) -> list[Mapping[str, Any]]:
        client = await self.client()
        params = {
            "project": f"Project/{client.project.id}",
            "_fields": "admin,accessPolicy,access,profile",
        }
        return [one async for one in client.search("ProjectMembership", params)]

    async def _connect(self) -> connection_module.Connection:
        url = self.settings.database_url
        if url is None:
            raise errors.MissingSettingError(
                "MEDBOTS_DATABASE_URL is not set",
                hint="set MEDBOTS_DATABASE_URL to the database's postgresql:// address as seen "
                "from here, with a user that may create",
            )
        connection = await self._sources.database(url)
        self._opened.push_async_callback(connection.close)
        return connection

    async def _read_store(self) -> status.Status:
        return await self._sources.store(await self.database(), self.model_version)


class _Once(Generic[T]):
    """The result of a coroutine that runs at most once, or the error that it raised."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._values: list[T] = []
        self._error: errors.MedbotsError | None = None

    async def __call__(self) -> T:
        if self._error is not None:
            raise self._error
        if not self._values:
            try:
                self._values.append(await self._make())
            except errors.MedbotsError as error:
                self._error = error
                raise
        return self._values[0]
