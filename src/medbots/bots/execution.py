"""Runs a bot as the logged-in user, and says what became of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medbots import errors
from medbots.bots import words
from medbots.medplum import outcome

if TYPE_CHECKING:
    from medbots.bots.deployed import Bot
    from medbots.medplum.client import Client

TIME_LIMIT = 120.0
"""Seconds that a bot may take: those that ask a model take tens of them."""

_GRACE = 5.0
"""Seconds, so that this limit is met before the connection's own."""

_OFF = "bots not enabled"

_ROLE = (
    "who approves needs an active PractitionerRole with the code doctor, nurse or pharmacist of "
    "http://terminology.hl7.org/CodeSystem/practitioner-role, or whatever the secret "
    "APPROVER_ROLES names"
)

REPAIR = (
    "medbots embeddings reconcile embeds what was missed; where the database is out of reach, "
    "medbots bot exec embedding --field action=backfill --field resourceType=Observation does, a "
    "type at a time"
)
"""After a trouble of vectors has been mended: the server runs no subscription a second time."""

_DOWN = "medbots verify --only 'router.*' tells what is down"

_CURES = {
    "AUDIT_UNAVAILABLE": "medbots bot logs audit-logging --failed",
    "DB_ERROR": "medbots db status, and medbots verify",
    "DIMENSION_MISMATCH": f"medbots verify --only 'embeddings.*' tells what differs; then {REPAIR}",
    "EMBEDDING_ERROR": f"{_DOWN}; then {REPAIR}",
    "LLM_ERROR": _DOWN,
    "LLM_ROUTER_ERROR": f"{_DOWN}; then {REPAIR}",
    "NOT_CONFIGURED": "medbots deploy",
    "PATIENT_NOT_FOUND": "check the id, and by medbots whoami who is logged in: only what they may "
    "read is found",
    "PHI_ROUTE_BLOCKED": "LLM_PHI_ALLOWED_HOSTS names the hosts that may see patient data",
    "UNAUTHORIZED": "medbots whoami shows who is logged in",
    "COMMAND_DIFFERS": "medbots approvals show tells what would run now",
    "EXPIRED": "medbots approvals sweep closes what is over",
    "NO_ACTIVE_ROLE": _ROLE,
    "OWN_COMMAND": "somebody else approves it; medbots approvals withdraw takes it back",
    "ROLE_NOT_ALLOWED": _ROLE,
    "OTHER_ROLE_NEEDED": "medbots approvals show tells which roles it needs, and who has approved",
    "NOT_THE_SUBMITTER": "an approver ends it by medbots approvals reject",
    "WRONG_STATUS": "medbots approvals show tells what became of it",
    "TARGET_CHANGED": "the record was changed since: hand the command in anew",
}
"""What helps, by the bots' error codes and by the rules that a refusal names."""


async def run(
    client: Client, bot: Bot, body: Any, *, limit: float = TIME_LIMIT, verbose: bool = False
) -> Any:
    """Run a bot and return its answer: JSON, or text where it is none.

    Args:
        client: logged in as whoever shall have asked.
        bot: what runs.
        body: its input.
        limit: seconds.
        verbose: whether an error repeats words that may hold patient data.

    Raises:
        errors.UsageError: the input cannot be sent.
        errors.UnreachableError: no answer came in time.
        errors.MedbotsError: the server does not run it, or it threw an error.
    """
    path = f"fhir/R4/{bot.reference}/$execute"
    _expect_text(body)
    try:
        async with asyncio.timeout(limit):
            return await client.post(path, body, time_limit=limit + _GRACE, text=True)
    except TimeoutError as exc:
        raise errors.UnreachableError(
            f"bot {bot.key!r} gave no answer within {limit:g} s; whether it did its work is "
            "unknown",
            hint=f"medbots bot logs {bot.key} tells how it ended; --timeout waits longer",
        ) from exc
    except errors.MedbotsError as exc:
        if not exc.said:
            raise
        raise _refused(client, bot, exc, verbose=verbose) from exc


async def succeed(client: Client, bot: Bot, body: Any) -> Mapping[str, Any]:
    """Run a bot of ours, which has to do what it is asked, and return its answer.

    Raises:
        errors.BotFailedError: it says that it could not.
        errors.MedbotsError: it did not run.
    """
    answer = await run(client, bot, body)
    if failed := failure(bot.key, answer):
        raise failed
    if not isinstance(answer, Mapping):
        raise errors.BotFailedError(f"bot {bot.key!r} answered something else than its answer")
    return answer


def _expect_text(body: Any) -> None:
    """Refuse what cannot be sent: half a character, as a shell or an escape can give it."""
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as exc:
        raise errors.UsageError("the input holds something that is no text in UTF-8") from exc


def _refused(
    client: Client, bot: Bot, error: errors.MedbotsError, *, verbose: bool
) -> errors.MedbotsError:
    """Return the error of a run that the server did not start, or that the bot did not finish."""
    if _OFF in error.said.lower():
        return errors.ServerError(
            f"project {client.project.name!r} lacks the feature 'bots', so no bot runs in it",
            hint="medbots project doctor",
        )
    said = error.said if verbose or words.harmless(bot.key) else words.WITHHELD
    if isinstance(error, errors.NotLoggedInError | errors.UnreachableError):
        # A gateway's or the login's trouble, it seems; a bot can answer with these statuses too.
        return type(error)(error.message.replace(error.said, said), hint=error.hint)
    return type(error)(
        f"bot {bot.key!r} ended in an error: {said}",
        hint=f"medbots bot logs {bot.key} --limit 1 shows its log",
    )


def failure(key: str, answer: Any, *, verbose: bool = False) -> errors.BotFailedError | None:
    """Return what an answer with `success: false` amounts to; None for any other answer.

    Args:
        key: whose answer it is.
        answer: what the bot returned.
        verbose: whether the error repeats words that may hold patient data.
    """
    if not isinstance(answer, Mapping) or answer.get("success") is not False:
        return None
    code = words.code(answer.get("errorCode"))
    rule = words.rule(key, answer.get("details"))
    said = outcome.one_line(str(answer.get("message") or "it does not say why"))
    if not (verbose or words.harmless(key)):
        said = words.WITHHELD
    what = f"{code} ({rule})" if code and rule else code or rule
    return errors.BotFailedError(
        f"bot {key!r} failed: {what + ': ' if what else ''}{said}",
        hint=_CURES.get(rule) or _CURES.get(code or ""),
    )
