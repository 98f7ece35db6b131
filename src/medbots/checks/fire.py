"""Does it fire? The one proof that a bot runs when a record changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from medbots import check, errors, model, plan, secret, state
from medbots.checks import family as family_module
from medbots.checks import polling, synthetic
from medbots.checks import rows as rows_module
from medbots.checks import target as target_module
from medbots.embeddings import contract

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
        return self.subscription.criteria

    @property
    def keeps_rows(self) -> bool:
        """Whether the bot is to write a row for it."""
        return {*self.bot.secrets, *self.bot.optional_secrets} >= _WRITES_ROWS

    @property
    def sees_deletion(self) -> bool:
        """Whether the subscription also fires when the record goes."""
        return self.subscription.interaction is None


def _shots(target: target_module.Target) -> Iterator[tuple[dict[str, str], tuple[Shot]]]:
    """Only criteria that every record of the type meets: others might rightly not fire."""
    bots = {bot.key: bot for bot in target.manifest.bots}
    for one in target.manifest.subscriptions:
        creates = one.interaction in (None, model.Interaction.CREATE)
        plain = one.criteria in synthetic.RECORDS and one.fhirpath is None
        if creates and plain and one.bot in bots:
            yield {"key": one.key, "bot": one.bot}, (Shot(one, bots[one.bot]),)


family = family_module.Family("fire", "Fire: a bot really runs", _shots)


@family.define(
    "fire.<key>",
    needs=(
        "project.feature.bots",
        "database.schema",
        "bots.<bot>.membership",
        "bots.<bot>.runtime",
        "bots.<bot>.secrets",
        "subscriptions.<key>.exists",
        "subscriptions.<key>.active",
        "subscriptions.<key>.criteria",
        "subscriptions.<key>.endpoint",
        "subscriptions.<key>.interaction",
    ),
)
async def fires(target: target_module.Target, shot: Shot) -> check.Result:
    """A new record makes the subscription run the bot.

    There is one such check for every subscription of the manifest whose criteria are just
    `Condition` and that fires on creation. A Patient and a Condition are created, both tagged
    `<namespace>/verify|fire`, without a name or any clinical meaning, and labelled as test data.

    Proves: the server ran the bot for that Condition by this subscription: an AuditEvent of type
    `execute`, with the bot as its source, the Condition and the Subscription as its entities, and
    outcome 0. Of a bot that keeps vectors (it reads `DATABASE_URL` and `EMBEDDING_DIM`) also: its
    row is there, of the configured length and model version, and its deletion is followed.
    Afterwards Condition, Patient, row and tombstone are removed, also after a failure or Ctrl-C;
    what a killed run left is found by the tag. The AuditEvents stay.

    Fails: with what is missing: the feature, the membership, the subscription; or with the last
    line of the bot's log when it failed; or when nothing ran within the time limit.

    Cure: what the result names. A bot's whole log is in the AuditEvent that is named.
    """
    obstacle = await _obstacle(target, shot)
    if obstacle:
        return obstacle
    client = await target.client()
    rows = None
    if shot.keeps_rows:
        rows = rows_module.Rows(await target.database(), client.project.id)
    planter = synthetic.Planter(client, target.manifest.namespace, rows)
    if rows is None:
        return await _fire(target, shot, planter, rows)
    async with rows.alone(target.limits.turn):
        return await _fire(target, shot, planter, rows)


async def _obstacle(target: target_module.Target, shot: Shot) -> check.Result | None:
    """What is known to keep it from firing, for a run that left the other checks out."""
    expected = f"{shot.subscription.name!r} runs {shot.bot.name!r}"
    for feature in target.wanted().features:
        change = await target.change(state.Kind.FEATURE, feature)
        if change.action is plan.Action.CREATE:
            return check.failed(
                f"cannot fire: the project lacks the feature {feature!r}",
                expected,
                change.hint or "medbots deploy",
            )
    deploy = f"medbots deploy --only {shot.bot.key}"
    bot = await target.change(state.Kind.BOT, shot.bot.key)
    if bot.id is None:
        return check.failed("cannot fire: the bot is not deployed", expected, deploy)
    member = await target.change(state.Kind.MEMBERSHIP, shot.bot.key)
    if member.id is None and not member.skip:
        return check.failed(
            "cannot fire: the bot has no ProjectMembership", expected, member.hint or deploy
        )
    trigger = await target.change(state.Kind.SUBSCRIPTION, shot.subscription.key)
    if trigger.action is not plan.Action.UNCHANGED:
        wrong = f"differs: {', '.join(trigger.fields)}" if trigger.id else "does not exist"
        return check.failed(
            f"cannot fire: the subscription {wrong}", expected, "medbots subscriptions sync"
        )
    return None


async def _fire(
    target: target_module.Target,
    shot: Shot,
    planter: synthetic.Planter,
    rows: rows_module.Rows | None,
) -> check.Result:
    async for left in planter.leftovers():
        await planter.remove(left, target.limits.litter)
    trace = synthetic.Trace()
    seen: check.Result | None = None
    trouble: errors.MedbotsError | None = None
    followed = True
    try:
        await planter.plant(shot.resource_type, trace)
        seen = await _watch(target, shot, str(trace.record), rows)
    finally:
        ran = seen is not None and seen.status is check.Status.PASS
        wait = target.limits.gone if ran and shot.sees_deletion else target.limits.litter
        try:
            followed = await planter.remove(trace, wait)
        except errors.MedbotsError as error:
            trouble = error
    if trouble:
        stays = ", ".join(one for one in (trace.record, trace.patient) if one)
        return check.failed(
            f"{seen.observed}; but {stays} could not be removed: {trouble.message}",
            "no synthetic record stays",
            f"medbots verify --only 'fire.{shot.subscription.key}' removes what is left",
        )
    if ran and shot.sees_deletion and not followed:
        return check.warned(
            f"{seen.observed}; but the deletion was not followed within {target.limits.gone:g} s",
            "a deleted record leaves a tombstone",
            "look for AuditEvents of the bot with outcome 4 or 8",
        )
    return seen


async def _watch(
    target: target_module.Target, shot: Shot, record: str, rows: rows_module.Rows | None
) -> check.Result:
    """Wait for the run, then for its row."""
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
    settings = target.settings
    version = contract.model_version(
        settings.embedding_model, settings.embedding_dim, settings.embedding_prefix
    )

    async def look() -> list[rows_module.Row] | None:
        return await rows.of(record) or None

    found = await polling.until(look, target.limits.row)
    expected = f"a row of {settings.embedding_dim} dimensions, model version {version}"
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
    if {(one.dimension, one.model_version) for one in found} != {(settings.embedding_dim, version)}:
        return check.failed(f"{observed}; its row has {seen}", expected, "medbots deploy")
    return check.passed(f"{observed}; {len(found)} row of {seen}", expected)
