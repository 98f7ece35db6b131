"""Has the Embedding Bot embed records one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from medbots import errors
from medbots.bots import execution, words
from medbots.embeddings import faults
from medbots.embeddings.faults import Outcome
from medbots.inventory import Version

if TYPE_CHECKING:
    from medbots.bots.deployed import Bot
    from medbots.medplum.client import Client

KEY = "embedding"


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
                # Nothing that the bot says of the record: it does not run, or did not get far.
                outcome.fail(one.id, faults.UNKNOWN, own=False)
                continue
            if execution.failure(self._bot.key, answer) is None:
                outcome.done += 1
            else:
                code = words.code(answer.get("errorCode")) or faults.UNKNOWN
                outcome.fail(one.id, code, own=faults.own(code, _status(answer.get("details"))))
        return outcome


def _status(details: object) -> object:
    return details.get("status") if isinstance(details, Mapping) else None
