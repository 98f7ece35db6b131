"""Commands that wait for approval: the list, one in full, and the counts of a sweep."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from medbots.cli import approval_states, moment, options, render

if TYPE_CHECKING:
    from medbots.bots.approvals import Approval
    from medbots.bots.dossier import Dossier, Version


def listing(opts: options.Options, found: Sequence[Approval], *, more: bool) -> None:
    """Print the Tasks: ids, codes and times."""
    if opts.json:
        render.json([_summary(one) for one in found])
    elif found:
        columns = ("id", "command", "patient", "age", "expires", "state", "approver", "confidence")
        now = datetime.now(UTC)
        render.table(opts, columns, [_row(one, now) for one in found])
    else:
        render.note("nothing waits for approval")
    if more:
        render.note(f"the newest {len(found)}; --limit shows more")


def _row(one: Approval, now: datetime) -> list[str]:
    return [
        one.id,
        one.command,
        (one.patient or "").removeprefix("Patient/"),
        moment.length(now - one.authored) if one.authored else "",
        approval_states.expiry(one, now),
        approval_states.words(one, now),
        _who(one),
        "" if one.confidence is None else f"{one.confidence:.2f}",
    ]


def _who(one: Approval) -> str:
    return (" and " if one.dual else " or ").join(one.roles)


def _summary(one: Approval) -> dict[str, Any]:
    return {
        "id": one.id,
        "command": one.command,
        "patient": one.patient,
        "encounter": one.encounter,
        "requester": one.requester,
        "status": one.status,
        "state": approval_states.code(one, datetime.now(UTC)),
        "authoredOn": moment.utc(one.authored) if one.authored else None,
        "expires": moment.utc(one.expires) if one.expires else None,
        "confidence": one.confidence,
        "roles": list(one.roles),
        "dual": one.dual,
        "reasons": list(one.reasons),
        "results": list(one.results),
    }


def dossier(opts: options.Options, found: Dossier) -> None:
    """Print one command in full, with the history of its Task."""
    if opts.json:
        render.json(_document(found))
    else:
        for line in _full(found):
            render.line(render.visible(line))
    for warning in found.warnings:
        render.note(f"warning: {warning}")


def _document(found: Dossier) -> dict[str, Any]:
    return {
        **_summary(found.now),
        "handedIn": _parsed(found.first.text),
        "modified": _parsed(found.now.modified) if found.now.modified else None,
        "commandSha256": found.digest,
        "model": found.first.model,
        "prompt": found.first.prompt,
        "sources": list(found.first.sources),
        "reason": found.now.reason,
        "history": [
            {
                "version": one.task.version,
                "at": moment.utc(one.at),
                "status": one.task.status,
                "state": one.task.state,
                "by": one.author,
                "onBehalfOf": one.on_behalf_of,
                "approvers": [
                    {"who": each.who, "roles": list(each.roles)} for each in one.task.approvers
                ],
            }
            for one in found.versions
        ],
        "warnings": list(found.warnings),
    }


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _full(found: Dossier) -> Iterator[str]:
    now, first = datetime.now(UTC), found.first
    expiry = approval_states.expiry(found.now, now)
    state = approval_states.words(found.now, now)
    yield f"{first.command} for {first.patient or 'no patient'}"
    facts = (
        ("task", f"Task/{first.id}"),
        ("state", state + (f", expires {expiry}" if expiry else "")),
        ("approver", _who(found.now)),
        ("because", ", ".join(first.reasons)),
        ("encounter", first.encounter or ""),
        ("handed in by", first.requester or ""),
        ("confidence", "" if first.confidence is None else f"{first.confidence:.2f}, uncalibrated"),
        ("model", first.model or ""),
        ("prompt", first.prompt or ""),
        ("sources", ", ".join(first.sources)),
        ("results", ", ".join(found.now.results)),
        ("reason", found.now.reason or ""),
    )
    yield from (f"  {name:<13} {value}" for name, value in facts if value)
    yield ""
    yield from _parameters("as it was handed in", first.text)
    if found.now.modified:
        yield from _parameters("as an approver changed it", found.now.modified)
    yield "history"
    yield from _history(found.versions)


def _parameters(title: str, text: str) -> Iterator[str]:
    yield title
    parsed = _parsed(text)
    shown = parsed.get("parameters", parsed) if isinstance(parsed, dict) else parsed
    laid_out = json.dumps(shown, indent=2, ensure_ascii=False)
    yield from (f"  {line}" for line in laid_out.splitlines())
    yield ""


def _history(versions: Sequence[Version]) -> Iterator[str]:
    known = 0
    for one in versions:
        task = one.task
        new = [f"{each.who} ({', '.join(each.roles)})" for each in task.approvers[known:]]
        known = max(known, len(task.approvers))
        approved = f"  approved by {', '.join(new)}" if new else ""
        behalf = f" for {one.on_behalf_of}" if one.on_behalf_of else ""
        where = f"{task.status:<11}  {task.state:<17}"
        yield f"  {moment.local(one.at)}  {where}  {one.author or ''}{behalf}{approved}".rstrip()


def swept(answer: Mapping[str, Any] | None) -> None:
    """Print the counts of a sweep; nothing where the answer has been printed already."""
    if answer is None:
        return
    counts = ((k, v) for k, v in answer.items() if isinstance(v, int) and not isinstance(v, bool))
    render.line(", ".join(f"{name} {count}" for name, count in counts) or "nothing to do")
