"""What a decision about a command will do, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from medbots.cli import approval_states, options, render, render_approvals

if TYPE_CHECKING:
    from medbots.bots.dossier import Dossier

_EFFECTS = {
    "FlagAbnormalResult": "makes a Flag",
    "CreateEncounterNoteDraft": "makes a DocumentReference, docStatus preliminary",
    "ProposeProblemListUpdate": "changes the problem list: a Condition, provisional or resolved",
    "SuggestBillingCodes": "makes a Claim, draft and without prices",
    "QueueReferralLetter": "makes a ServiceRequest, draft, and a referral note",
    "SuggestMedicationChange": "makes a MedicationRequest, draft proposal: it prescribes nothing",
}
"""What each command does when it is carried out."""


def intention(
    opts: options.Options,
    found: Dossier,
    changes: Mapping[str, Any] | None,
    *,
    me: str | None,
    in_full: bool,
) -> None:
    """Say what an approval by `me` will do: in full where somebody is about to be asked."""
    if in_full and not opts.json:
        render_approvals.dossier(opts, found)
        for line in _changes(found, changes or {}):
            render.line(render.visible(line))
    else:
        for warning in found.warnings:
            render.note(f"warning: {warning}")
    effect = _EFFECTS.get(found.first.command, "carries the command out")
    render.note(
        f"{approval_states.about(found)}: {_turn(found, me)}, the Approval Queue Bot {effect}"
    )


def refusal(found: Dossier, decision: str) -> None:
    """Say what a rejection or a withdrawal will do."""
    for warning in found.warnings:
        render.note(f"warning: {warning}")
    if found.now.status == "in-progress":
        render.note(f"{approval_states.about(found)}: {_DECIDED}")
    else:
        render.note(f"{approval_states.about(found)}: once you {decision} it, it never runs")


_DECIDED = "somebody has decided, and the Approval Queue Bot is carrying that out"


def _turn(found: Dossier, me: str | None) -> str:
    if found.now.status == "in-progress":
        return f"{_DECIDED}; if it was approved"
    if not found.now.dual:
        return "once you approve"
    if any(one.who == me for one in found.now.approvers):
        return "your approval stands; once somebody else approves in the other role"
    if found.now.approvers:
        return "once you approve as the second, in the other role"
    return "once you approve, and then somebody else in the other role"


def _changes(found: Dossier, changes: Mapping[str, Any]) -> Iterator[str]:
    if not changes:
        return
    yield "what you change"
    own = found.now.parameters()
    for name, value in changes.items():
        yield f"  {name}"
        yield f"  - {json.dumps(own.get(name), ensure_ascii=False)}"
        yield f"  + {json.dumps(value, ensure_ascii=False)}"
    yield ""


def decided(answer: Mapping[str, Any] | None) -> None:
    """Print what became of a decision; nothing where the answer has been printed already."""
    if answer is None:
        return
    where = answer.get("businessStatus")
    line = f"{answer.get('status')}{f' ({where})' if where else ''}"
    if answer.get("executedResourceId"):
        line += f": {answer.get('executedResourceType')}/{answer['executedResourceId']}"
    if answer.get("provenanceId"):
        line += f", Provenance/{answer['provenanceId']}"
    render.line(render.visible(line))
    if where == "awaiting-second":
        stands = "your approval was counted before; " if answer.get("alreadyDone") else ""
        render.note(f"{stands}nothing is done before somebody else approves in the other role")
    elif answer.get("alreadyDone"):
        render.note("it was so before: nothing was done")
