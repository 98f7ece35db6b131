"""A plan and its application, as a table and as the contract's JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medbots import errors
from medbots import plan as plan_module
from medbots.cli import error_json, options, render

if TYPE_CHECKING:
    from medbots.apply import Applied
    from medbots.cli.changes import Report


def result(opts: options.Options, report: Report, error: errors.MedbotsError | None = None) -> None:
    """Print what a run planned and did."""
    if opts.json:
        render.json(document(report, error))
    else:
        _text(opts, report, failed=error is not None)


def document(report: Report, error: errors.MedbotsError | None = None) -> dict[str, Any]:
    """Return the contract's JSON of a run that got as far as a plan."""
    plan = _plan(report)
    ends = {(one.change.kind, one.change.key): one for one in report.applied}
    changes = [_change(one, ends.get((one.kind, one.key)), report) for one in plan.changes]
    failed = sum(one["status"] == "failed" for one in changes)
    shown: dict[str, Any] = {
        "project": {"id": plan.project.id, "name": plan.project.name},
        "dryRun": report.dry_run,
        "changes": changes,
        "summary": {**plan.summary, "failed": failed},
        "requests": report.requests,
        "durationMs": report.duration_ms,
    }
    if error is not None:
        shown["error"] = error_json.document(error)
    return shown


def _plan(report: Report) -> plan_module.Plan:
    if report.plan is None:
        raise AssertionError("a result is printed only once there is a plan")
    return report.plan


def _change(change: plan_module.Change, end: Applied | None, report: Report) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "kind": change.kind,
        "key": change.key,
        "name": change.name,
        "action": change.action,
        "id": (end.id if end else None) or change.id,
        "fields": list(change.fields),
        "digest": change.digest,
        "status": _status(change, end, report),
    }
    if change.note:
        shown["note"] = change.note
    reason = change.skip or change.blocked or (end.reason if end else "")
    if reason:
        shown["reason"] = reason
    if end and end.error:
        shown["error"] = error_json.document(end.error)
    return shown


def _status(change: plan_module.Change, end: Applied | None, report: Report) -> str:
    if end:
        return str(end.status)
    if change.skip or not report.dry_run:
        return "skipped"
    return "planned"


def _text(opts: options.Options, report: Report, *, failed: bool) -> None:
    plan = _plan(report)
    shown = document(report)["changes"]
    rows = [
        (_action(change), one["kind"], one["name"], _what(change), _end(one))
        for one, change in zip(shown, plan.changes, strict=True)
        if change.skip
        or change.action is not plan_module.Action.UNCHANGED
        or one["status"] == "failed"
    ]
    if rows:
        render.table(opts, ("action", "kind", "name", "changes", "status"), rows)
    for change in plan.changes:
        if change.note:
            render.note(f"note: {change.kind} {change.key}: {change.note}")
    if not failed or rows:
        render.line(_summary(report, plan, failed=failed))


def _action(change: plan_module.Change) -> str:
    """Return what is to be done; of what the login cannot see, nothing is known."""
    unseen = change.skip and change.action is plan_module.Action.UNCHANGED
    return "unknown" if unseen else str(change.action)


def _what(change: plan_module.Change) -> str:
    if change.digest and "executableCode" in change.fields:
        old = _short(change.was_digest) if change.was_digest else "none"
        rest = [name for name in change.fields if name != "executableCode"]
        code = f"code {old} → {_short(change.digest)}"
        return ", ".join([code, *rest]) if change.id else code
    return ", ".join(change.fields)


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _end(one: dict[str, Any]) -> str:
    detail = one["error"]["message"] if "error" in one else one.get("reason", "")
    return f"{one['status']}: {detail}" if detail else str(one["status"])


def _summary(report: Report, plan: plan_module.Plan, *, failed: bool) -> str:
    counts = ", ".join(f"{count} {action}" for action, count in plan.summary.items() if count)
    verb = _verb(report, plan, failed=failed)
    requests = f"{report.requests} request{'' if report.requests == 1 else 's'}"
    return (
        f"{verb}: {counts or 'no changes'} in project {plan.project.name!r} "
        f"({requests}, {report.duration_ms / 1000:.2f} s)"
    )


def _verb(report: Report, plan: plan_module.Plan, *, failed: bool) -> str:
    if not plan.to_do:
        return "nothing to do"
    if report.dry_run:
        return "plan"
    if not failed:
        return "done"
    done = sum(one.change.to_do and one.status == "done" for one in report.applied)
    return f"{done or 'none'} of {len(plan.to_do)} changes done"
