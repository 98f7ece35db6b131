"""The runs of bots, by the AuditEvent that the server keeps of each.

A run names its trigger, who caused it and what it worked on by reference. Displays are never read:
the server writes a record's own words into them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from medbots import secret
from medbots.bots import words

if TYPE_CHECKING:
    from medbots.bots.deployed import Bot
    from medbots.medplum.client import Client

_TYPE = "https://medplum.com/CodeSystem/audit-event|execute"
FAILED = "4,8,12"
"""Every outcome but success."""
_PAGE = 1000

EXECUTE, TIMER = "$execute", "timer"
"""Triggers that are no Subscription."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a bot."""

    id: str
    """Of the AuditEvent."""
    at: datetime
    """When it ended."""
    updated: datetime
    """When the AuditEvent was written, by the server's clock."""
    bot: str
    """Its key."""
    ok: bool
    duration_ms: int | None
    """From the event that caused it to its end: a subscription's wait in the queue included."""
    trigger: str
    """`Subscription/<id>`, `$execute` or `timer`."""
    requester: str | None
    """Reference of whoever caused it."""
    input: str | None
    """Reference of the resource that a subscription handed over."""
    log: str
    """What the bot logged, and the error that ended it; free of passwords."""

    def shown_log(self, *, verbose: bool) -> str | None:
        """Return the log; None where it may hold patient data and nobody asked for that."""
        return self.log if verbose or words.harmless(self.bot) else None


@dataclass(frozen=True, slots=True)
class Query:
    """Which runs are meant."""

    bots: Sequence[Bot]
    since: datetime | None = None
    failed: bool = False
    """Only those that failed."""
    limit: int = 50
    """The newest, where there are more."""


async def recent(client: Client, query: Query) -> tuple[list[Run], bool]:
    """Return the newest runs, the newest last; and whether there were more of them.

    Raises:
        errors.MedbotsError: the server cannot be reached, or the login may not read AuditEvents.
    """
    count = min(query.limit + 1, _PAGE)
    params = {**_params(query), "_sort": "-_lastUpdated", "_count": count}
    found: list[Run] = []
    async for event in client.search("AuditEvent", params):
        if len(found) == query.limit:
            return found[::-1], True
        found.append(of(event, query.bots))
    return found[::-1], False


async def after(client: Client, query: Query, moment: datetime | None) -> list[Run]:
    """Return the runs since a moment, or since the query's own; the oldest first.

    Raises:
        errors.MedbotsError: as `recent`.
    """
    params = {**_params(query), "_sort": "_lastUpdated", "_count": _PAGE}
    if moment is not None:
        params["_lastUpdated"] = f"ge{_instant(moment)}"
    return [of(event, query.bots) async for event in client.search("AuditEvent", params)]


def _params(query: Query) -> dict[str, Any]:
    params = {"source": ",".join(bot.reference for bot in query.bots), "type": _TYPE}
    if query.since is not None:
        params["_lastUpdated"] = f"ge{_instant(query.since)}"
    if query.failed:
        params["outcome"] = FAILED
    return params


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def of(event: Mapping[str, Any], bots: Sequence[Bot]) -> Run:
    """Read the AuditEvent of a run."""
    source = _reference((event.get("source") or {}).get("observer"))
    keys = {bot.reference: bot.key for bot in bots}
    entities = [_reference(one.get("what")) for one in event.get("entity") or ()]
    requester = next(
        (_reference(one.get("who")) for one in event.get("agent") or () if one.get("requestor")),
        None,
    )
    start, end = _period(event)
    return Run(
        id=str(event["id"]),
        at=end or datetime.fromisoformat(event["recorded"]),
        updated=datetime.fromisoformat(event["meta"]["lastUpdated"]),
        bot=keys.get(source or "", source or ""),
        ok=str(event.get("outcome", "0")) == "0",
        duration_ms=round((end - start) / timedelta(milliseconds=1)) if start and end else None,
        trigger=_trigger(entities, source, requester),
        requester=requester,
        input=next((one for one in entities if one and not one.startswith(_PARTS)), None),
        log=secret.redact(str(event.get("outcomeDesc") or "").strip()),
    )


_PARTS = ("Bot/", "Subscription/", "Agent/")
"""What took part in a run, besides its input."""


def _trigger(entities: Sequence[str | None], source: str | None, requester: str | None) -> str:
    subscription = next((one for one in entities if one and one.startswith("Subscription/")), None)
    if subscription:
        return subscription
    # A timer has nobody who asks, and hands the Bot to itself.
    return TIMER if requester is None and entities.count(source) > 1 else EXECUTE


def _period(event: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    period = event.get("period") or {}
    start, end = period.get("start"), period.get("end")
    return (
        datetime.fromisoformat(start) if start else None,
        datetime.fromisoformat(end) if end else None,
    )


def _reference(value: Any) -> str | None:
    """Return the reference without its version, and never its display."""
    text = value.get("reference") if isinstance(value, Mapping) else None
    return str(text).partition("/_history/")[0] if text else None
