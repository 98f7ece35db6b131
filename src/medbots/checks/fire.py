"""Does it fire? The one proof that a bot runs when a record changes."""

from __future__ import annotations

from collections.abc import Iterator

from medbots import check, errors, model, plan, state
from medbots.checks import family as family_module
from medbots.checks import rows as rows_module
from medbots.checks import shot as shot_module
from medbots.checks import synthetic
from medbots.checks import target as target_module

_HARMLESS = {"reason", "meta.tag"}
"""Fields of a Subscription that have no part in whether it fires."""

_BECOMES_FINISHED = (
    "(%previous.status.exists().not() or %previous.status != 'finished') and "
    "%current.status = 'finished'"
)
"""The packaged expression, which a record that is created finished fulfils."""


def _shots(
    target: target_module.Target,
) -> Iterator[tuple[dict[str, str], tuple[shot_module.Shot]]]:
    """Only criteria that a synthetic record is known to meet: others might rightly not fire."""
    bots = {bot.key: bot for bot in target.manifest.bots}
    for one in target.manifest.subscriptions:
        creates = one.interaction in (None, model.Interaction.CREATE)
        known = one.criteria in synthetic.RECORDS and one.fhirpath in (None, _BECOMES_FINISHED)
        if creates and known and one.bot in bots:
            yield {"key": one.key, "bot": one.bot}, (shot_module.Shot(one, bots[one.bot]),)


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
    needs_of=lambda shot: ("embeddings.settings", "embeddings.contract") if shot.keeps_rows else (),
)
async def fires(target: target_module.Target, shot: shot_module.Shot) -> check.Result:
    """A new record makes the subscription run the bot.

    There is one such check for every subscription of the manifest that fires on creation and whose
    criteria are those of a packaged one, such as `Condition` or `Encounter?status=finished`. A
    Patient and a record that meets the criteria are created, both tagged `<namespace>/verify|fire`,
    without a name or any clinical meaning, and labelled as test data. The record asks nothing of a
    bot but to run: an Encounter is planned, an order or an approval is cancelled from the start.

    Proves: the server ran the bot for that record by this subscription: an AuditEvent of type
    `execute`, with the bot as its source, the record and the Subscription as its entities, and
    outcome 0. Of a bot that keeps vectors (it reads `DATABASE_URL` and `EMBEDDING_DIM`) also: its
    row is there, of the configured length and model version, and its deletion is followed.
    Afterwards record, Patient, row and tombstone are removed, also after a failure or Ctrl-C;
    what a killed run left is found by the tag. The AuditEvents stay.

    A bot that keeps vectors is not fired while `embeddings.settings` or `embeddings.contract`
    fails: its row could not be right.

    Fails: with what is missing: the feature, the membership, the subscription; or with the last
    line of the bot's log when it failed; or when nothing ran within the time limit.

    Cure: what the result names. A bot's whole log is in the AuditEvent that is named.
    """
    obstacle = await _obstacle(target, shot)
    if obstacle:
        return obstacle
    client = await target.client()
    kept = {one.resource_type for _, (one,) in _shots(target) if one.keeps_rows}
    rows = await target.rows() if kept else None
    planter = synthetic.Planter(client, target.manifest.namespace, rows, kept)
    if rows is None:
        return await _fire(target, shot, planter, None)
    async with rows.alone(target.limits.turn):
        return await _fire(target, shot, planter, rows if shot.keeps_rows else None)


async def _obstacle(target: target_module.Target, shot: shot_module.Shot) -> check.Result | None:
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
    differing = sorted(set(trigger.fields) - _HARMLESS)
    if trigger.id is None or differing:
        wrong = f"differs: {', '.join(differing)}" if trigger.id else "does not exist"
        return check.failed(
            f"cannot fire: the subscription {wrong}", expected, "medbots subscriptions sync"
        )
    return None


async def _fire(
    target: target_module.Target,
    shot: shot_module.Shot,
    planter: synthetic.Planter,
    rows: rows_module.Rows | None,
) -> check.Result:
    litter = target.limits.litter if shot.sees_deletion else 0.0
    for left in await planter.leftovers():
        await planter.remove(left, litter)
    trace = synthetic.Trace()
    seen: check.Result | None = None
    trouble: errors.MedbotsError | None = None
    followed = True
    try:
        await planter.plant(shot.subscription.criteria, trace)
        seen = await shot_module.watch(target, shot, str(trace.record), rows)
    finally:
        ran = seen is not None and seen.status is check.Status.PASS
        wait = target.limits.gone if ran and shot.sees_deletion else litter
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
