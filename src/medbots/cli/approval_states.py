"""Where a command that waits for approval stands: as a code, in words, and why it is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from medbots.bots import approvals
from medbots.cli import moment

if TYPE_CHECKING:
    from medbots.bots.approvals import Approval
    from medbots.bots.dossier import Dossier

_BY_HAND = {
    "accepted": "accepted by hand",
    "on-hold": "put aside: on hold",
    "draft": "put aside: draft",
    "received": "put aside: received",
    "ready": "put aside: ready",
}
"""What only people set a Task to; its businessStatus stays what it was."""


def code(one: Approval, now: datetime) -> str:
    """Return where a Task stands; one whose time is over waits for a sweep."""
    if one.expired(now):
        return "expired"
    return one.status if one.status in _BY_HAND else one.state or one.status


def words(one: Approval, now: datetime) -> str:
    """Return the same as a person reads it."""
    found = code(one, now)
    return _BY_HAND.get(found, found)


def expiry(one: Approval, now: datetime) -> str:
    """Return how far its end is; empty where it has none, or is over."""
    return moment.distance(one.expires, now) if one.expires and one.status in approvals.OPEN else ""


def about(found: Dossier) -> str:
    """Return which command is meant, and about whom: references, and nothing of a record."""
    return (
        f"{found.first.command} (Task/{found.first.id}) for {found.first.patient or 'no patient'}"
    )


def ending(found: Dossier, now: datetime) -> str | None:
    """Return why nothing is decided about a Task any more, or for now; None: it can be."""
    task, since = found.now, found.since
    when = moment.local(since.at)
    if task.expires and task.expired(now):
        return f"expired on {moment.local(task.expires)}: nobody approved it in time"
    if task.status in ("requested", "accepted", "in-progress"):
        return None
    if since.author is not None and not since.author.startswith("Bot/"):
        return f"was set to {task.status} on {when} by {since.author}"
    match task.status:
        case "completed":
            made = f": {_listed(task.results)}" if task.results else ""
            return f"was approved{_approvers(task)} and carried out on {when}{made}"
        case "rejected":
            return f"was rejected on {when}"
        case "cancelled":
            return f"was {'withdrawn' if task.state == 'withdrawn' else 'cancelled'} on {when}"
        case "failed" if task.state == "expired":
            when = moment.local(task.expires) if task.expires else when
            return f"expired on {when}: nobody approved it in time"
        case "failed":
            return f"failed on {when} ({task.state or 'it does not say why'}), and does not run"
        case other:
            return f"was set to {other} on {when}"


def _approvers(task: Approval) -> str:
    return f" by {_listed([one.who for one in task.approvers])}" if task.approvers else ""


def _listed(references: Sequence[str]) -> str:
    return " and ".join(references)
