"""What tests log in with, and as whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medbots import config
from medbots.medplum import auth, client, login, sessions
from tests.support import auth_transport as support

ADA = {"MEDPLUM_EMAIL": "ada@example.com", "MEDPLUM_PASSWORD": support.PASSWORD}
CLIENT = {"MEDPLUM_CLIENT_ID": "client-1", "MEDPLUM_CLIENT_SECRET": support.CLIENT_SECRET}


class Person:
    """Somebody at a terminal: has codes, and chooses."""

    def __init__(self, *codes: str, choice: int | None = None) -> None:
        self.codes = list(codes)
        self.choice = choice
        self.shown: list[str] = []

    def mfa_code(self) -> str | None:
        """Read the next code."""
        return self.codes.pop(0) if self.codes else None

    def membership(self, choices: Sequence[login.Membership]) -> login.Membership | None:
        """Choose by number."""
        self.shown = [str(one) for one in choices]
        return None if self.choice is None else choices[self.choice]


async def connect(
    server: support.AuthServer,
    store: sessions.Sessions,
    environ: dict[str, str],
    prompts: login.Prompts | None = None,
) -> client.Client:
    """Connect and return the client; its connection is closed, which a mock does not mind."""
    settings = config.resolve({}, environ, store.profile(), {})
    transport = server.transport()
    async with auth.connect(settings, store, transport=transport, prompts=prompts) as connected:
        return connected


def files(folder: Path) -> list[Path]:
    """Return every file below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]
