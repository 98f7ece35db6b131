"""Keeps a deploy from moving the bots to a model by which they would find nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from medbots import desired, errors, model, state
from medbots.cli import store

if TYPE_CHECKING:
    from medbots import config, secret
    from medbots.embeddings.contract import Contract
    from medbots.plan import Change, Plan

REEMBED = "medbots db migrate --reembed"


async def review(plan: Plan, actual: state.ServerState, settings: config.Settings) -> Plan:
    """Return the plan without a change of the embedding model that would empty the searches.

    Such a change is skipped where the database says that records have vectors of another model
    alone, and carries a note where no database can be asked.
    """
    from medbots.embeddings import contract

    moving = [
        one
        for one in plan.changes
        if one.kind is state.Kind.SECRET and one.to_do and one.key in contract.SECRETS
    ]
    live = actual.project.secrets or {}
    if not moving or desired.DATABASE_SECRET not in live:
        return plan
    before = {name: one.reveal() for name, one in live.items()}
    after = {**before, **{one.key: _value(one) for one in moving}}
    try:
        old, new = contract.of_secrets(before), contract.of_secrets(after)
    except errors.InvalidError:
        return plan
    if old == new:
        return plan
    said = f"{old.version} → {new.version}"
    try:
        url = live[desired.DATABASE_SECRET]
        reason = await _reason(plan.project.id, new, settings, url)
    except errors.MedbotsError as error:
        note = (
            f"{said}: searches find only what this model has embedded, and the database could not "
            f"be asked ({error.message.partition(':')[0]}); {REEMBED} embeds the records again "
            "first, and moves the bots itself"
        )
        return _with(plan, moving, note=note)
    if reason:
        return _with(plan, moving, skip=f"{said}: {reason}; made by: {REEMBED}")
    return _with(plan, moving, note=said)


def _value(change: Change) -> str:
    spec = change.spec
    return spec.value.reveal() if isinstance(spec, model.SecretSpec) and spec.value else ""


def _with(plan: Plan, moving: list[Change], *, note: str = "", skip: str = "") -> Plan:
    """Return the plan with a word on these changes; the first carries the note for all."""
    first = moving[0]
    changes = tuple(
        replace(one, skip=skip, note=note if one is first else "") if one in moving else one
        for one in plan.changes
    )
    return replace(plan, changes=changes)


async def _reason(
    project_id: str, new: Contract, settings: config.Settings, url: secret.Secret
) -> str:
    """Return what the new model's searches would lack; nothing where they find all.

    Args:
        project_id: whose bots.
        new: what they are to work by.
        settings: which name the database.
        url: by which the bots find theirs.

    Raises:
        errors.StateError: the bots use another database than the settings name.
    """
    from medbots.database import connection, generations, refill, whose

    async with store.connected(settings) as made:
        await whose.require(made, project_id, url)
        with connection.translated():
            tables = await generations.find(made)
            table = generations.of_dimension(tables, new.dimension)
            target = table.name if table else generations.NEXT
            behind = await refill.behind(made, project_id, new.version, target)
    if behind:
        return f"{len(behind)} records have no vector of it yet"
    if target != generations.CURRENT:
        return f"{generations.CURRENT} holds vectors of {tables[0].dimension} dimensions"
    return ""
