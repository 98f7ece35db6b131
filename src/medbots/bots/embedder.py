"""Has the Embedding Bot embed records one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medbots import errors
from medbots.bots import execution, words
from medbots.embeddings.reconcile import Outcome
from medbots.inventory import Version

if TYPE_CHECKING:
    from medbots.bots.deployed import Bot
    from medbots.medplum.client import Client

KEY = "embedding"
_GONE = "INVALID_INPUT"
"""What the bot answers of a record that there is not: it was deleted meanwhile."""
_UNKNOWN = "EMBEDDING_ERROR"


class BotEmbedder:
    """An `Embedder` that runs the bot as the logged-in user."""

    batch = 1

    def __init__(self, client: Client, bot: Bot) -> None:
        self._client = client
        self._bot = bot

    async def embed(self, kind: str, versions: Sequence[Version]) -> Outcome:
        """Run the bot once for each record.

        Raises:
            errors.MedbotsError: the bot cannot be run at all.
        """
        outcome = Outcome()
        for one in versions:
            body = {"resourceType": kind, "id": one.id}
            try:
                answer = await execution.run(self._client, self._bot, body)
            except (errors.UnreachableError, errors.NotAllowedError, errors.NotLoggedInError):
                raise
            except errors.ServerError:
                outcome.failed[one.id] = _UNKNOWN
                continue
            if execution.failure(self._bot.key, answer) is None:
                outcome.done += 1
            elif (code := words.code(answer["errorCode"]) or _UNKNOWN) != _GONE:
                outcome.failed[one.id] = code
        return outcome
