"""One shot: a record was created, and it is watched what comes of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from medbots import check, model, polling, secret
from medbots.checks import rows as rows_module
from medbots.checks import target as target_module

_LONGEST = 300
"""Characters of a bot's own words that a result repeats."""

_WRITES_ROWS = {"DATABASE_URL", "EMBEDDING_DIM"}
"""Secrets that only a bot reads which keeps vectors in the table."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A subscription that a synthetic record can set off."""

    subscription: model.SubscriptionSpec
    bot: model.BotSpec

    @property
    def resource_type(self) -> str:
        """What has to be created."""
        return self.subscription.criteria.partition("?")[0]

    @property
    def keeps_rows(self) -> bool:
        """Whether the bot is to write a row for it."""
        return {*self.bot.secrets, *self.bot.optional_secrets} >= _WRITES_ROWS

    @property
    def sees_deletion(self) -> bool:
        """Whether the subscription also fires when the record goes."""
        return self.subscription.interaction is None


async def watch(
    target: target_module.Target, shot: Shot, record: str, rows: rows_module.Rows | None
) -> check.Result:
    """Wait for the run that a new record sets off, then for its row; say what was seen.

    Args:
        target: the project and its time limits.
        shot: what should run.
        record: the record's reference, such as `Condition/<id>`.
        rows: the table; None: the bot keeps no rows.

    Raises:
        errors.MedbotsError: the server or the database cannot be asked.
    """
    bot = await target.live_bot(shot.bot.key)
    trigger = await target.live_subscription(shot.subscription.key)
    clock = asyncio.get_running_loop().time
    started = clock()

    async def look() -> dict[str, Any] | None:
        return await _run_of(target, bot.id, record, trigger.id)

    event = await polling.until(look, target.limits.run)
    expected = f"Bot/{bot.id} runs for a new {shot.resource_type} by Subscription/{trigger.id}"
    if event is None:
        return await _nothing_ran(target, shot, record, rows, expected)
    where = f"AuditEvent/{event['id']}"
    if event.get("outcome") != "0":
        return check.failed(
            f"the bot ran and failed ({where}, outcome {event.get('outcome')}): {_last(event)}",
            expected,
            f"correct what it reports; {where} holds the whole log",
        )
    observed = f"ran after {clock() - started:.1f} s ({where})"
    if rows is None:
        return check.passed(observed, expected)
    return await _row(target, record, rows, observed)


async def _run_of(
    target: target_module.Target, bot_id: str, record: str, trigger_id: str
) -> dict[str, Any] | None:
    """The newest run of the bot for our record, by our subscription and nobody else's."""
    client = await target.client()
    page = await client.get(
        "fhir/R4/AuditEvent",
        {
            "source": f"Bot/{bot_id}",
            "entity": record,
            "_sort": "-_lastUpdated",
            "_count": "20",
            "_fields": "type,outcome,outcomeDesc,entity",
        },
    )
    for entry in page.get("entry") or ():
        event: dict[str, Any] = entry["resource"]
        entities = {(one.get("what") or {}).get("reference") for one in event.get("entity") or ()}
        if (event.get("type") or {}).get("code") == "execute" and entities >= {
            record,
            f"Subscription/{trigger_id}",
        }:
            return event
    return None


def _last(event: dict[str, Any]) -> str:
    """The last line of the bot's log, in which it says why it gave up."""
    lines = [line.strip() for line in str(event.get("outcomeDesc") or "").splitlines()]
    last = next((line for line in reversed(lines) if line), "it logged nothing")
    return secret.redact(last)[:_LONGEST]


async def _nothing_ran(
    target: target_module.Target,
    shot: Shot,
    record: str,
    rows: rows_module.Rows | None,
    expected: str,
) -> check.Result:
    limit = f"{target.limits.run:g} s"
    if rows is not None and await rows.of(record):
        return check.failed(
            f"the row is there, but no AuditEvent within {limit}",
            expected,
            "let the Bot keep its AuditEvents: auditEventTrigger always, auditEventDestination "
            "resource",
        )
    return check.failed(
        f"nothing ran within {limit}; feature, membership and subscription are as they should be",
        expected,
        "the server's job queue is behind, or its workers do not run: look into the Medplum "
        f"server's log for Subscription {shot.subscription.name!r}",
    )


async def _row(
    target: target_module.Target, record: str, rows: rows_module.Rows, observed: str
) -> check.Result:
    """The bot commits before it ends, so that a row that is late is a row that is not there."""
    dimension, version = target.settings.embedding_dim, target.model_version

    async def look() -> list[rows_module.Row] | None:
        return await rows.of(record) or None

    found = await polling.until(look, target.limits.row)
    expected = f"a row of {dimension} dimensions, model version {version}"
    if found is None:
        return check.failed(
            f"{observed}, without an error, and wrote no row",
            expected,
            "medbots db init: the project's secrets DATABASE_URL or MEDBOTS_PROJECT_ID may lead "
            "elsewhere than MEDBOTS_DATABASE_URL",
        )
    seen = ", ".join(
        f"{one.dimension} dimensions, model version {one.model_version}"
        for one in dict.fromkeys(found)
    )
    if {(one.dimension, one.model_version) for one in found} != {(dimension, version)}:
        return check.failed(
            f"{observed}; its row has {seen}",
            expected,
            "medbots verify --only embeddings.settings tells what is at fault",
        )
    return check.passed(f"{observed}; {len(found)} row of {seen}", expected)
