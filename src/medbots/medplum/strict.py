"""A project whose bots are judged by the bytes that run, whatever the marks beside them say."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import replace

from medbots import model, state
from medbots.medplum import code, server


class StrictServer(server.ProjectServer):
    """Reads the code of every bot: two more requests for each."""

    async def read(self, desired: model.Desired) -> state.ServerState:
        """Return what the project holds, with `code_hash` computed from the code itself.

        Raises:
            errors.MedbotsError: the server cannot be reached, or refuses.
        """
        found = await super().read(desired)
        bots = await asyncio.gather(*(self._judged(bot) for bot in found.bots))
        return replace(found, bots=tuple(bots))

    async def _judged(self, bot: state.LiveBot) -> state.LiveBot:
        if bot.key is None:
            return bot
        content = await code.read(self._client, bot.id)
        if content is None:
            return replace(bot, code_hash=None)
        sha1 = hashlib.sha1(content, usedforsecurity=False)
        return replace(bot, code_hash=base64.b64encode(sha1.digest()).decode())
