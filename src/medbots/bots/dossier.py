"""All that is known of one command that waits for approval: its Task, from the first version on.

A Task can be rewritten, and be put back under its id after a deletion. What the Approval Queue Bot
carries out is the command of the oldest version, and so it is that one which a person must see.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from medbots import errors
from medbots.bots import approvals
from medbots.medplum import fhir

if TYPE_CHECKING:
    from medbots.bots.deployed import Bot
    from medbots.medplum.client import Client

_COUNT = 1000


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the Task."""

    at: datetime
    author: str | None
    """Reference of who wrote it, as the server attests it."""
    on_behalf_of: str | None
    task: approvals.Approval


@dataclass(frozen=True, slots=True)
class Dossier:
    """The Task as it is, as it was, and what is wrong with it."""

    now: approvals.Approval
    versions: Sequence[Version]
    """The oldest first."""
    warnings: Sequence[str]
    """Why the Approval Queue Bot will refuse it, in words that hold nothing of a record."""

    @property
    def first(self) -> approvals.Approval:
        """As it was handed in: its command is the one that runs."""
        return self.versions[0].task

    @property
    def since(self) -> Version:
        """The version that brought it to the status it has."""
        same = itertools.takewhile(
            lambda one: one.task.status == self.now.status, reversed(self.versions)
        )
        return list(same)[-1]

    @property
    def digest(self) -> str | None:
        """Of the command that would run: what an approver has seen."""
        return self.now.modified_digest or self.first.digest


async def read(
    client: Client, namespace: str, task_id: str, processor: Bot | None, queue: Bot | None
) -> Dossier:
    """Return what is known of a Task.

    Args:
        client: logged in to the project.
        namespace: the manifest's.
        task_id: of the Task.
        processor: the Command Processor Bot, which alone hands commands in; None: not deployed.
        queue: the Approval Queue Bot, which alone writes down who approved, and what they changed.

    Raises:
        errors.NotFoundError: there is no such Task, or it asks for no approval.
        errors.MedbotsError: the server cannot be reached, or refuses.
    """
    path = f"fhir/R4/Task/{task_id}/_history"
    try:
        page = await client.get(path, {"_count": _COUNT}, extended=True)
    except errors.NotFoundError as exc:
        raise errors.NotFoundError(
            f"there is no Task {task_id}, or this login may not read it",
            hint="medbots approvals list",
        ) from exc
    entries: list[dict[str, Any]] = list(page.get("entry") or ())
    tasks = [entry["resource"] for entry in entries if "resource" in entry]
    if not tasks or not any(map(approvals.is_approval, tasks)):
        raise errors.NotFoundError(
            f"Task/{task_id} is not an approval task: it asks for no approval of a command",
            hint="medbots approvals list",
        )
    if "resource" not in entries[0]:
        raise errors.NotFoundError(f"Task/{task_id} was deleted", hint="medbots approvals list")
    names = fhir.Names(namespace)
    versions = [_version(task, names) for task in reversed(tasks)]
    whole = len(entries) >= page.get("total", 0) and len(entries) < _COUNT
    warnings = [*_warnings(versions, processor, deleted=len(tasks) < len(entries), whole=whole)]
    now = _attested(versions, queue)
    if (versions[-1].task.modified, versions[-1].task.approvers) != (now.modified, now.approvers):
        warnings.append(
            "somebody else than the Approval Queue Bot wrote approvals or a changed command into "
            "it; they do not count and are not shown"
        )
    return Dossier(now, versions, tuple(warnings))


def _attested(versions: Sequence[Version], queue: Bot | None) -> approvals.Approval:
    """Return the Task as it is, with what was decided as the Approval Queue Bot last wrote it."""
    own = (one.task for one in reversed(versions) if queue and one.author == queue.reference)
    last = next(own, None)
    modified = last.modified if last else None
    if modified is None or last is None or _digest(modified) != last.modified_digest:
        modified = None
    return replace(
        versions[-1].task,
        modified=modified,
        modified_digest=None if modified is None else _digest(modified),
        approvers=last.approvers if last else (),
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _version(task: dict[str, Any], names: fhir.Names) -> Version:
    meta = task["meta"]
    return Version(
        at=datetime.fromisoformat(meta["lastUpdated"]),
        author=(meta.get("author") or {}).get("reference"),
        on_behalf_of=(meta.get("onBehalfOf") or {}).get("reference"),
        task=approvals.of(task, names),
    )


def _warnings(
    versions: Sequence[Version], processor: Bot | None, *, deleted: bool, whole: bool
) -> Iterator[str]:
    first = versions[0]
    if not whole:
        yield "its history is longer than anybody reads"
    if deleted:
        yield "it was deleted once, and put back"
    if processor is None:
        yield "the Command Processor Bot is not deployed: nobody can tell who handed it in"
    elif first.author != processor.reference:
        yield f"{first.author or 'somebody'} handed it in, and not the Command Processor Bot"
    if first.task.digest != _digest(first.task.text):
        yield "its command is not the one that its hash stands for"
    if any(one.task.text != first.task.text for one in versions):
        yield "its command was changed since; what is shown is the one that was handed in"
