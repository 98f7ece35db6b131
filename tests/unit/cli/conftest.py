"""A project whose bots run, behind the command line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from medbots import __main__ as boundary
from medbots import config
from medbots.cli import wiring
from medbots.medplum import auth, client, sessions
from tests.support.ward import Ward

MANIFEST = """\
version: 1
namespace: urn:medbots
bots:
  embedding: {name: Embedding Bot, source: bot.ts}
  semantic-search: {name: Semantic Search Bot, source: bot.ts, runAsUser: true}
  command-processor: {name: Command Processor Bot, source: bot.ts}
  approval-queue: {name: Approval Queue Bot, source: bot.ts}
  rag-pipeline: {name: RAG Pipeline Bot, source: bot.ts, runAsUser: true}
  own: {name: A Bot Of Their Own, source: bot.ts}
"""


@dataclass(frozen=True)
class Told:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Medbots = Callable[..., Told]


@pytest.fixture
def ward(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ward:
    """The project; nothing is deployed in it."""
    found = Ward()

    @asynccontextmanager
    async def connected(settings: config.Settings) -> AsyncIterator[client.Client]:
        store = sessions.Sessions(tmp_path / "state")
        async with auth.connect(settings, store, transport=found.transport()) as one:
            yield one

    (tmp_path / "medbots.yaml").write_text(MANIFEST)
    (tmp_path / "bot.ts").write_text("export const handler = 1;")
    for name in (*config.VARIABLES.values(), config.PROFILE, "MEDBOTS_LOG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("MEDPLUM_ACCESS_TOKEN", "token")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wiring, "connected", connected)
    return found


@pytest.fixture
def medbots(ward: Ward, capsys: pytest.CaptureFixture[str]) -> Medbots:
    """The command line on that project."""

    def run(*args: str) -> Told:
        capsys.readouterr()
        code = boundary.run(args)
        captured = capsys.readouterr()
        return Told(code, captured.out, captured.err)

    return run
