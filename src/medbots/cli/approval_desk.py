"""What the verbs of `approvals` do: read the queue, and hand a person's decision to the bot."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from medbots import errors
from medbots.cli import answers, approval_states, options, prompts, render_decisions, wiring

if TYPE_CHECKING:
    from medbots.bots.approvals import Approval, Query
    from medbots.bots.dossier import Dossier
    from medbots.manifest import Manifest
    from medbots.medplum.client import Client

QUEUE, PROCESSOR = "approval-queue", "command-processor"


def known_command(name: str | None) -> str | None:
    """Return the name of a command; what nobody hands in would be found never.

    Raises:
        errors.UsageError: there is none of this name.
    """
    from medbots.bots import approvals

    if name is None or name in approvals.COMMANDS:
        return name
    near = difflib.get_close_matches(name, approvals.COMMANDS, n=1, cutoff=0.5)
    raise errors.UsageError(
        f"--command: there is no command {name!r}",
        hint=f"did you mean {near[0]}?" if near else f"commands: {', '.join(approvals.COMMANDS)}",
    )


async def listed(opts: options.Options, query: Query, *, mine: bool) -> tuple[list[Approval], bool]:
    """Return the Tasks that are meant, and whether there are more."""
    from medbots.bots import approvals

    the_manifest = wiring.manifest(opts)
    async with wiring.connected(wiring.settings(opts, the_manifest)) as client:
        if mine:
            query = replace(query, requester=_me(client))
        return await approvals.queue(client, the_manifest.namespace, query)


def _me(client: Client) -> str:
    """Return who is logged in, as a reference: without it a search would be one for all.

    Raises:
        errors.StateError: the server does not tell.
    """
    if client.identity.profile:
        return client.identity.profile
    raise errors.StateError("the server does not tell who is logged in", hint="medbots whoami")


async def opened(opts: options.Options, task_id: str) -> tuple[Dossier, str | None]:
    """Return what is known of a Task, and who is logged in, as a reference."""
    the_manifest = wiring.manifest(opts)
    async with wiring.connected(wiring.settings(opts, the_manifest)) as client:
        return await _open(client, the_manifest, task_id), client.identity.profile


async def _open(client: Client, the_manifest: Manifest, task_id: str) -> Dossier:
    from medbots.bots import deployed, dossier

    bots = await deployed.bots(client, the_manifest.namespace)
    return await dossier.read(
        client, the_manifest.namespace, task_id, bots.get(PROCESSOR), bots.get(QUEUE)
    )


def approve(
    opts: options.Options, task_id: str, reason: str | None, changes: Mapping[str, Any] | None
) -> None:
    """Show what an approval does, ask, and hand it to the bot, with the hash of what was shown.

    Raises:
        errors.ClosedError: nothing is to be decided about it.
        errors.ConfirmationError: there is nobody to ask, and no --yes.
        errors.DeclinedError: the answer was no.
        errors.BotFailedError: the bot refuses.
    """
    found, me = _still_open(opts, task_id)
    asks = opts.interactive and not opts.yes
    render_decisions.intention(opts, found, changes, me=me, in_full=asks)
    prompts.confirm(opts, "Approve it?")
    given = {"reason": reason, "modifications": changes, "commandSha256": found.digest}
    _decide(opts, task_id, "approve", {k: v for k, v in given.items() if v is not None})


def refuse(opts: options.Options, task_id: str, decision: str, reason: str | None) -> None:
    """Say what a rejection or a withdrawal does, ask, and hand it to the bot.

    Raises:
        errors.MedbotsError: as `approve`.
    """
    found, _ = _still_open(opts, task_id)
    render_decisions.refusal(found, decision)
    prompts.confirm(opts, f"{decision.capitalize()} it?")
    _decide(opts, task_id, decision, {} if reason is None else {"reason": reason})


def _still_open(opts: options.Options, task_id: str) -> tuple[Dossier, str | None]:
    """Return what is known of a Task about which something can be decided, and who decides."""
    from datetime import UTC, datetime

    from medbots.bots import approvals

    (found, me), now = wiring.run(opened(opts, task_id)), datetime.now(UTC)
    ended = approval_states.ending(found, now)
    if ended is None:
        return found, me
    shows = f"medbots approvals show {task_id}"
    if found.now.expired(now):
        hint = "medbots approvals sweep closes what is over"
    elif found.now.status in approvals.PUT_ASIDE:
        hint = f"set its status back to requested, and it waits again; {shows}"
    else:
        hint = f"{shows} tells its history"
    raise errors.ClosedError(f"{approval_states.about(found)} {ended}", hint=hint)


def _decide(opts: options.Options, task_id: str, decision: str, given: Mapping[str, Any]) -> None:
    """Hand a decision to the Approval Queue Bot, and print the result."""
    body = {"taskId": task_id, "decision": decision, **given}
    answer = answers.of(opts, QUEUE, body)
    render_decisions.decided(answers.finished(opts, QUEUE, answer))
