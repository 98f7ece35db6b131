"""A project in which everything stands, for tests to break one thing and look what is said."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx

from medbots import apply, check, config, errors, manifest, model, plan, secret, state
from medbots.checks import rows, verification
from medbots.checks import target as target_module
from medbots.database import connection, migrations, status, table
from medbots.embeddings import router
from medbots.medplum import health
from tests.support import specs
from tests.support.clinic import Clinic, Table
from tests.support.fake_server import FakeServer

ENVIRON = {
    "MEDPLUM_BASE_URL": "http://localhost:8103/",
    "MEDBOTS_DATABASE_URL": "postgresql://owner:hunter2@localhost:5432/clinic",
}
LIMITS = target_module.Limits(run=0.2, row=0.1, gone=0.2, litter=0.1, turn=0.1)

BOTS = (
    specs.bot(
        "embedding", secrets=("DATABASE_URL", "LLM_ROUTER_URL"), optional_secrets=("EMBEDDING_DIM",)
    ),
    specs.bot("search", run_as_user=True, secrets=("DATABASE_URL",)),
)
SUBSCRIPTIONS = (
    specs.subscription("embedding-condition"),
    specs.subscription("embedding-observation", name="Observations", criteria="Observation"),
)


class Silence:
    """Is told everything and says nothing."""

    def __init__(self) -> None:
        self.again: list[bool] = []

    def started(self, total: int) -> None:
        """Say nothing."""

    def looked(self, result: check.Result) -> None:
        """Say nothing."""

    def ended(self, report: check.Report, *, again: bool) -> None:
        """Remember whether there is another run."""
        self.again.append(again)


@dataclass
class Stand:
    """Everything a run looks at. Change a part, then look."""

    server: FakeServer = field(default_factory=FakeServer)
    table: Table = field(default_factory=Table)
    """The rows in memory, where there is no real database."""
    bots: tuple[model.BotSpec, ...] = BOTS
    subscriptions: tuple[model.SubscriptionSpec, ...] = SUBSCRIPTIONS
    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))
    health: health.Health | errors.MedbotsError = field(
        default_factory=lambda: health.Health("5.1.3-abc", postgres=True, redis=True)
    )
    login: errors.MedbotsError | None = None
    database: errors.MedbotsError | None = None
    url: secret.Secret | None = None
    """A real database; None: one that nobody asks anything."""
    code: dict[str, bytes] = field(default_factory=dict)
    """The bytes that run, by the Bot's id, where they are not the bundle's."""
    models: tuple[str, ...] = ("embedding-model", "clinical-model")
    router_status: int = 200
    dimension: int = 768
    limits: target_module.Limits = LIMITS
    logins: int = 0

    def __post_init__(self) -> None:
        self.clinic = Clinic(self.table, self.server.rights)

    @classmethod
    async def deployed(cls, **parts: Any) -> Stand:
        """Return a project into which everything has been deployed."""
        stand = cls(**parts)
        wish = stand.target().wanted("p1")
        values = tuple(
            replace(one, value=secret.Secret("postgresql://bot@localhost/clinic"), made_by=None)
            if one.name == "DATABASE_URL"
            else one
            for one in wish.secrets
        )
        wish = replace(wish, secrets=values)
        the_plan = plan.diff(wish, await stand.server.read(wish))
        async for _ in apply.apply(the_plan, stand.server):
            pass
        stand.clinic.bot.reference = f"Bot/{stand.bot('embedding').id}"
        stand.clinic.bot.subscriptions = {
            one.criteria: f"Subscription/{stand.subscription(one.key).id}"
            for one in stand.subscriptions
        }
        return stand

    def bot(self, key: str) -> state.LiveBot:
        """Return a bot as it stands."""
        return next(one for one in self.server.bots.values() if one.key == key)

    def subscription(self, key: str) -> state.LiveSubscription:
        """Return a subscription as it stands."""
        return next(one for one in self.server.subscriptions.values() if one.key == key)

    def change_bot(self, key: str, /, **changes: Any) -> None:
        """Change a bot behind medbots."""
        live = self.bot(key)
        self.server.bots[live.id] = replace(live, **changes)

    def change_subscription(self, key: str, /, **changes: Any) -> None:
        """Change a subscription behind medbots."""
        live = self.subscription(key)
        self.server.subscriptions[live.id] = replace(live, **changes)

    def change_project(self, **changes: Any) -> None:
        """Change the project."""
        self.server.project = replace(self.server.project, **changes)

    def target(self, *, strict: bool = False) -> target_module.Target:
        """Return what a run looks at."""
        models = manifest.Models("embedding-model", 768, "none", "clinical-model")
        the_manifest = manifest.Manifest(
            Path("/clinic/medbots.yaml"),
            "urn:medbots",
            None,
            self.bots,
            self.subscriptions,
            models,
        )
        bundles = {bot.key: specs.bundle(bot.key) for bot in self.bots}
        settings = config.resolve({}, self.environ, {}, {})
        sources: Any = target_module.Sources(
            login=self._log_in,  # type: ignore[arg-type]
            server=lambda _: self.server,
            code=self._code,
            health=self._health,
            database=self._connect,  # type: ignore[arg-type]
            store=status.read if self.url else self._read_store,
            router=router.Router(
                settings.llm_router_url,
                settings.llm_api_key,
                transport=httpx.MockTransport(self._route),
            ),
            rows=rows.Rows if self.url else lambda _, __: self.table,  # type: ignore[arg-type,return-value]
        )
        return target_module.Target(
            the_manifest,
            settings,
            self.environ,
            bundles,
            sources,
            strict=strict,
            limits=self.limits,
        )

    async def look(self, *only: str, skip: tuple[str, ...] = (), strict: bool = False) -> Seen:
        """Run the checks that match and return what they saw, by id."""
        choice = verification.Choice(only, skip)
        report = await verification.run(lambda: self.target(strict=strict), choice, Silence())
        return {one.id: one for one in report.results}

    @contextlib.asynccontextmanager
    async def _log_in(self) -> AsyncIterator[Clinic]:
        self.logins += 1
        if self.login:
            raise self.login
        yield self.clinic

    async def _health(self) -> health.Health:
        if isinstance(self.health, errors.MedbotsError):
            raise self.health
        return self.health

    async def _code(self, _: object, bot_id: str) -> bytes | None:
        live = self.server.bots[bot_id]
        return self.code.get(bot_id, specs.bundle(live.key or "").code)

    async def _connect(self, _: secret.Secret) -> Connection | connection.Connection:
        if self.database:
            raise self.database
        return await connection.connect(self.url) if self.url else Connection()

    async def _read_store(self, _: object, __: str) -> status.Status:
        known = tuple(
            migrations.Entry(one.version, one.name, one.checksum, migrations.Condition.APPLIED)
            for one in migrations.packaged()
        )
        return status.Status(
            "localhost:5432/clinic", "16.4", "0.8.5", known, None, 768, 0, 0, table.Origin.OURS
        )

    def _route(self, request: httpx.Request) -> httpx.Response:
        if self.router_status != httpx.codes.OK:
            return httpx.Response(self.router_status, json={"error": "no"})
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": one} for one in self.models]})
        if request.url.path == "/v1/embeddings":
            vector = [0.5] * self.dimension
            return httpx.Response(200, json={"data": [{"index": 0, "embedding": vector}]})
        return httpx.Response(200, json="I'm alive!")


Seen = dict[str, check.Result]


class Connection:
    """A database connection that nobody asks anything."""

    info = SimpleNamespace(host="localhost", port=5432, dbname="clinic", user="owner")

    async def close(self) -> None:
        """Close it."""
